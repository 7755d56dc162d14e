//! Whether io_uring works here, and which of its newer features: by trying each, never by version alone.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use io_uring::{Probe, opcode, squeue, types};

use super::buffers::Buffers;
use super::connection::SILENT_SEND_FLAGS;
use super::ring::{Capabilities, Completion, Ring};

/// The first kernel with DEFER_TASKRUN.
const KERNEL_FLOOR: (u32, u32) = (6, 1);

/// What the kernel can do; or why io_uring cannot be used, for the log.
pub(in crate::runtime::driver) fn probe() -> Result<Capabilities, String> {
    let release = kernel_release();
    if parse_release(&release).is_none_or(|version| version < KERNEL_FLOOR) {
        return Err(format!("kernel {release} is older than {}.{}", KERNEL_FLOOR.0, KERNEL_FLOOR.1));
    }
    let mut capabilities = Capabilities::default();
    let mut ring = Ring::new(capabilities).map_err(explain)?;
    let parameters = ring.inner().params();
    if !(parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_skip_cqe_on_success())
    {
        return Err("the kernel's io_uring lacks a needed feature".to_string());
    }
    capabilities.no_iowait = parameters.is_feature_no_iowait();
    let mut operations = Probe::new();
    ring.inner().submitter().register_probe(&mut operations).map_err(explain)?;
    let needed = [
        opcode::AcceptMulti::CODE,
        opcode::RecvMulti::CODE,
        opcode::Send::CODE,
        opcode::SendMsg::CODE,
        opcode::AsyncCancel2::CODE,
        opcode::Close::CODE,
        opcode::PollAdd::CODE,
    ];
    if let Some(missing) = needed.into_iter().find(|code| !operations.is_supported(*code)) {
        return Err(format!("the kernel's io_uring lacks operation {missing}"));
    }
    let buffers = Buffers::new(&ring, 1, 4096).map_err(explain)?;
    capabilities.silent_sends = silent_sends_work(&mut ring).unwrap_or(false);
    let with_no_sqarray = Capabilities { no_sqarray: true, ..capabilities };
    if let Ok(mut other) = Ring::new(with_no_sqarray) {
        capabilities.no_sqarray = true;
        capabilities.message_ring = operations.is_supported(opcode::MsgRingData::CODE)
            && message_ring_works(&mut ring, &mut other).unwrap_or(false);
    } else if let Ok(mut other) = Ring::new(capabilities) {
        capabilities.message_ring = message_ring_works(&mut ring, &mut other).unwrap_or(false);
    }
    drop(ring);
    drop(buffers);
    Ok(capabilities)
}

/// Says in words why the kernel refused a ring.
pub(in crate::runtime::driver) fn explain(error: io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "forbidden by a seccomp profile (containers) or by kernel.io_uring_disabled".to_string()
        }
        Some(libc::ENOSYS) => "the kernel has no io_uring".to_string(),
        Some(libc::EINVAL) => "the kernel refuses a needed feature".to_string(),
        Some(libc::ENOMEM) => "not enough lockable memory; raise RLIMIT_MEMLOCK (ulimit -l)".to_string(),
        Some(libc::EMFILE | libc::ENFILE) => "out of file descriptors; raise RLIMIT_NOFILE (ulimit -n)".to_string(),
        _ => error.to_string(),
    }
}

fn kernel_release() -> String {
    // SAFETY: utsname is plain bytes, for which zeroes are valid.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: uname writes into the struct it is given.
    if unsafe { libc::uname(&mut name) } != 0 {
        return String::new();
    }
    // SAFETY: the kernel ends the text with a zero.
    unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_string_lossy().into_owned()
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn completions(ring: &mut Ring) -> Vec<Completion> {
    let mut all = Vec::new();
    ring.take(|completion| all.push(completion));
    all
}

/// Sends a byte and then more than fits: the first must complete without a word, the second must report at once how
/// much went.
fn silent_sends_work(ring: &mut Ring) -> io::Result<bool> {
    let (ours, theirs) = UnixStream::pair()?;
    let bytes = vec![0u8; 4 << 20];
    for (count, reported) in [(1, false), (bytes.len(), true)] {
        let send = opcode::Send::new(types::Fd(ours.as_raw_fd()), bytes.as_ptr(), count as u32)
            .flags(SILENT_SEND_FLAGS)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(count as u64);
        // SAFETY: `bytes` lives until the end of this function, and the operation does not outlive its submission:
        // it may not wait.
        unsafe { ring.push(send) };
        ring.submit()?;
        let got = completions(ring);
        let short = |c: &Completion| c.user_data == count as u64 && c.result > 0 && (c.result as usize) < count;
        let as_expected = if reported { got.len() == 1 && short(&got[0]) } else { got.is_empty() };
        if !as_expected || ring.queued() != 0 {
            // Should anything still refer to the bytes, they must stay.
            std::mem::forget(bytes);
            return Ok(false);
        }
    }
    drop(theirs);
    Ok(true)
}

fn message_ring_works(from: &mut Ring, to: &mut Ring) -> io::Result<bool> {
    let target: OwnedFd = {
        let fd = to.inner().as_raw_fd();
        // SAFETY: the ring's descriptor is open for as long as the ring.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?
    };
    let message = opcode::MsgRingData::new(types::Fd(target.as_raw_fd()), 5, 77, None);
    // SAFETY: the operation points to no memory.
    unsafe { from.push(message.build().flags(squeue::Flags::SKIP_SUCCESS)) };
    from.submit()?;
    to.submit()?;
    let (sender, receiver) = (completions(from), completions(to));
    Ok(sender.is_empty() && matches!(receiver[..], [Completion { user_data: 77, result: 5, .. }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_numbers() {
        assert_eq!(parse_release("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(parse_release("6.1"), Some((6, 1)));
        assert_eq!(parse_release("5.10.0+"), Some((5, 10)));
        assert_eq!((parse_release(""), parse_release("six")), (None, None));
        assert!(parse_release(&kernel_release()).is_some());
    }

    #[test]
    fn refusals_are_explained() {
        for (code, word) in [(libc::EPERM, "seccomp"), (libc::ENOMEM, "RLIMIT_MEMLOCK"), (libc::ENOSYS, "no io_uring")]
        {
            assert!(explain(io::Error::from_raw_os_error(code)).contains(word));
        }
    }
}

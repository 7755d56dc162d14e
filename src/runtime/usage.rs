//! What the kernel has counted for us: processor time of the process, its children and one thread. Keeps nothing.

use std::mem::MaybeUninit;

/// Processor time, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTime {
    /// In our code.
    pub user_us: u64,
    /// In the kernel on our behalf.
    pub sys_us: u64,
}

/// All threads of the process, ended ones included.
pub fn process() -> CpuTime {
    of(libc::RUSAGE_SELF)
}

/// Bytes of this process in memory, those of mapped files included. 0 if the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let text = std::fs::read("/proc/self/statm").unwrap_or_default();
    let pages = text.split(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
    // SAFETY: asks for a number.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(0) as u64;
    pages.unwrap_or(0u64) * page_bytes
}

/// Children that have ended and were waited for.
pub fn children() -> CpuTime {
    of(libc::RUSAGE_CHILDREN)
}

/// The calling thread.
pub fn thread() -> CpuTime {
    of(libc::RUSAGE_THREAD)
}

/// getrusage(2). It fails only for a `who` that does not exist; then the time is zero.
fn of(who: libc::c_int) -> CpuTime {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is writable for a whole rusage, which is plain numbers, valid also when all are zero.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    CpuTime { user_us: us(usage.ru_utime), sys_us: us(usage.ru_stime) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_work_and_the_process_has_at_least_the_threads() {
        let before = thread();
        let mut sum = 0u64;
        while thread().user_us <= before.user_us {
            sum = (0..100_000u64).fold(sum, |a, b| std::hint::black_box(a ^ b));
        }
        let (thread, process) = (thread(), process());
        assert!(process.user_us + process.sys_us >= thread.user_us);
        assert_eq!(children(), children());
        assert!(resident_bytes() > 1 << 20);
    }
}

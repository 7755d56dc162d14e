//! One io_uring: made, entered, waited on. Knows no sockets.
//!
//! The ring is SINGLE_ISSUER and DEFER_TASKRUN: completions are produced only inside our own `io_uring_enter`, on
//! this core, when we ask. In between, two words in shared memory tell whether asking is worth a system call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::cqueue::CompletionStatus;
use io_uring::{IoUring, squeue, types};

/// Operations handed over by one system call; more are handed over in several.
const SUBMISSION_ENTRIES: u32 = 256;
/// Completions the kernel can report before it falls back to a slower list of its own.
const COMPLETION_ENTRIES: u32 = 4096;

// Of linux/io_uring.h.
const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 8;
const ENTER_REGISTERED_RING: u32 = 16;
const ENTER_NO_IOWAIT: u32 = 128;
const REGISTER_RING_FDS: libc::c_uint = 20;

/// What the kernel can do beyond the floor.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::runtime::driver) struct Capabilities {
    /// The submission queue needs no index array (6.6).
    pub(super) no_sqarray: bool,
    /// Waiting need not count as I/O wait (6.15).
    pub(super) no_iowait: bool,
    /// A send that goes through at once needs no completion, and one that does not gets one before enter returns.
    pub(super) silent_sends: bool,
    /// One ring can post into another.
    pub(super) message_ring: bool,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct EnterArgument {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// One completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// See the module's head.
pub(super) struct Ring {
    ring: IoUring,
    status: CompletionStatus,
    /// What the submission queue had no room for, in order.
    backlog: VecDeque<squeue::Entry>,
    enter_fd: RawFd,
    enter_flags: u32,
    /// System calls made.
    pub(super) enters: u64,
    /// Operations queued.
    pub(super) pushed: u64,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring(fd {}, {} in backlog)", self.ring.as_raw_fd(), self.backlog.len())
    }
}

impl Ring {
    /// Makes a ring that only the calling thread may use.
    pub(super) fn new(capabilities: Capabilities) -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETION_ENTRIES);
        if capabilities.no_sqarray {
            builder.setup_no_sqarray();
        }
        let mut ring: IoUring = builder.build(SUBMISSION_ENTRIES)?;
        // SAFETY: both live in `Ring`, and the status is not used after the ring is dropped.
        let status = unsafe { ring.completion().status() };
        let fd = ring.as_raw_fd();
        let (enter_fd, mut enter_flags) = match register_ring_fd(fd) {
            Some(index) => (index, ENTER_REGISTERED_RING),
            None => (fd, 0),
        };
        if capabilities.no_iowait {
            enter_flags |= ENTER_NO_IOWAIT;
        }
        Ok(Ring { ring, status, backlog: VecDeque::new(), enter_fd, enter_flags, enters: 0, pushed: 0 })
    }

    /// The ring itself, for registering things.
    pub(super) fn inner(&self) -> &IoUring {
        &self.ring
    }

    /// Queues an operation for the next [`Ring::submit`].
    ///
    /// # Safety
    /// What the entry points to stays valid until the operation completes.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        self.pushed += 1;
        // SAFETY: the caller's promise.
        if !self.backlog.is_empty() || unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.backlog.push_back(entry);
        }
    }

    /// Operations not handed over yet.
    #[inline]
    pub(super) fn queued(&mut self) -> usize {
        self.ring.submission().len() + self.backlog.len()
    }

    /// Whether the kernel posted completions that were not taken.
    #[inline]
    pub(super) fn has_completions(&self) -> bool {
        !self.status.is_empty()
    }

    /// Whether the kernel has completions for us that it posts only when entered.
    #[inline]
    pub(super) fn wants_enter(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether completions overflowed into the kernel's list, which the next enter empties.
    pub(super) fn overflowed(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Hands over what is queued and lets the kernel post what is due, without waiting.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        self.submit_and_wait(0, None)
    }

    /// As [`Ring::submit`], then waits for `completions` of them, at most `timeout` (`None`: for ever). If the kernel
    /// lacks memory, operations stay queued.
    pub(super) fn submit_and_wait(&mut self, completions: u32, timeout: Option<Duration>) -> io::Result<()> {
        loop {
            self.refill();
            let count = self.ring.submission().len();
            let wait = if self.backlog.is_empty() { completions } else { 0 };
            match self.enter(count as u32, wait, timeout) {
                Ok(submitted) if submitted < count => return Ok(()),
                Ok(_) if self.backlog.is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    return match error.raw_os_error() {
                        Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
    }

    fn refill(&mut self) {
        let mut queue = self.ring.submission();
        while let Some(entry) = self.backlog.pop_front() {
            // SAFETY: promised at `push`.
            if unsafe { queue.push(&entry) }.is_err() {
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    fn enter(&mut self, count: u32, wait: u32, timeout: Option<Duration>) -> io::Result<usize> {
        self.enters += 1;
        let timespec = timeout.map(types::Timespec::from);
        let timeout = timespec.as_ref().map_or(0, |spec| std::ptr::from_ref(spec) as u64);
        let argument = EnterArgument { sigmask: 0, sigmask_bytes: 0, min_wait_us: 0, timeout };
        let (flags, argument, bytes) = if wait > 0 && timeout != 0 {
            (ENTER_EXT_ARG, std::ptr::from_ref(&argument), size_of::<EnterArgument>())
        } else {
            (0, std::ptr::null(), 0)
        };
        let flags = flags | self.enter_flags | ENTER_GETEVENTS;
        // SAFETY: the argument is null or of the size given, and it and the time it points to outlive the call; what
        // the operations point to is valid as promised at `push`.
        let result =
            unsafe { libc::syscall(libc::SYS_io_uring_enter, self.enter_fd, count, wait, flags, argument, bytes) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as usize) }
    }

    /// Takes every posted completion.
    #[inline]
    pub(super) fn take(&mut self, mut each: impl FnMut(Completion)) {
        for entry in self.ring.completion() {
            each(Completion { user_data: entry.user_data(), result: entry.result(), flags: entry.flags() });
        }
    }
}

/// Registers the ring's descriptor with this thread, so that entering need not look it up. `None` if refused.
fn register_ring_fd(fd: RawFd) -> Option<RawFd> {
    let mut update = ResourceUpdate { offset: u32::MAX, reserved: 0, data: fd as u64 };
    // SAFETY: the kernel reads and writes one `io_uring_rsrc_update`, which `update` is.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_RING_FDS, &raw mut update, 1) };
    (result == 1).then_some(update.offset as RawFd)
}

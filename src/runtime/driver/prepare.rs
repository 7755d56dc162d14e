//! Chooses a driver, and makes one seed per core before the cores' threads exist. Falls back with a reason, never
//! silently.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::epoll::EpollDriver;
use super::uring::{self, Capabilities, UringDriver};
use super::{Driver, DriverKind};

/// How late the kernel may end a timed wait of a core's thread, to save wake-ups.
const TIMER_SLACK_NS: libc::c_ulong = 1000;

/// Which driver runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChosenKind {
    /// io_uring.
    Uring,
    /// epoll.
    Epoll,
    /// A simulated network.
    Sim,
}

impl ChosenKind {
    /// Its name for logs and INFO: `io_uring`, `epoll` or `sim`.
    pub fn name(self) -> &'static str {
        match self {
            ChosenKind::Uring => "io_uring",
            ChosenKind::Epoll => "epoll",
            ChosenKind::Sim => "sim",
        }
    }
}

/// Why no driver could be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// io_uring was asked for and does not work here.
    #[error("io_uring is not usable here: {0}")]
    Uring(String),
    /// A descriptor or mapping the driver cannot do without.
    #[error("cannot create {what}: {error}")]
    Resource {
        /// What was to be made.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

pub(super) fn resource(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::Resource { what, error }
}

/// The doorbells of all cores; any thread may ring them.
#[derive(Clone, Debug)]
pub struct Doorbells(Arc<[Bell]>);

#[derive(Debug)]
struct Bell {
    event: File,
    /// The descriptor of the core's ring, or -1 while there is none to post into.
    ring: AtomicI32,
}

impl Doorbells {
    pub(super) fn new(cores: usize) -> Result<Doorbells, StartError> {
        let bells = (0..cores).map(|_| {
            // SAFETY: no memory is involved; the result is checked.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(resource("eventfd")(io::Error::last_os_error()));
            }
            // SAFETY: the descriptor was just made and belongs to nobody else.
            Ok(Bell { event: File::from(unsafe { OwnedFd::from_raw_fd(fd) }), ring: AtomicI32::new(-1) })
        });
        Ok(Doorbells(bells.collect::<Result<_, _>>()?))
    }

    /// Rings core `core` by a system call; rings that nobody heard yet merge. From the thread of another core
    /// prefer `Driver::ring`.
    pub fn ring(&self, core: usize) {
        // The only failure is a counter at its maximum, and then the bell is ringing already.
        let _ = (&self.0[core].event).write(&1u64.to_ne_bytes());
    }

    /// Where peers may post to `core`, from now on or no longer.
    pub(super) fn announce_ring(&self, core: usize, ring: Option<RawFd>) {
        self.0[core].ring.store(ring.unwrap_or(-1), Ordering::Release);
    }

    pub(super) fn ring_of(&self, core: usize) -> Option<RawFd> {
        Some(self.0[core].ring.load(Ordering::Acquire)).filter(|fd| *fd >= 0)
    }

    pub(super) fn event_fd(&self, core: usize) -> RawFd {
        self.0[core].event.as_raw_fd()
    }
}

/// What the thread of one core needs to build its driver.
#[derive(Debug)]
pub struct DriverSeed {
    core: usize,
    bells: Doorbells,
    /// `None`: epoll.
    uring: Option<Capabilities>,
}

impl DriverSeed {
    /// Builds the driver. Call it on the thread that will use it: a ring serves the thread that made it only.
    pub fn build(self) -> Result<Driver, StartError> {
        // Waits of some ten microseconds would otherwise last up to 50 more. Where it fails, they do.
        // SAFETY: sets a number of the calling thread; no memory is involved.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK_NS) };
        Ok(match self.uring {
            Some(capabilities) => Driver::Uring(Box::new(UringDriver::new(self.core, self.bells, capabilities)?)),
            None => Driver::Epoll(Box::new(EpollDriver::new(self.core, self.bells)?)),
        })
    }
}

/// One seed per core, the doorbells, which driver it will be and, if it is not what `Auto` prefers, why.
pub type Prepared = (Vec<DriverSeed>, Doorbells, ChosenKind, Option<String>);

/// Chooses the driver and makes `cores` seeds for it; see [`Prepared`].
pub fn prepare(cores: usize, kind: DriverKind) -> Result<Prepared, StartError> {
    let (uring, reason) = match (kind, if kind == DriverKind::Epoll { None } else { Some(uring::probe()) }) {
        (_, None) => (None, None),
        (_, Some(Ok(capabilities))) => (Some(capabilities), None),
        (DriverKind::Uring, Some(Err(reason))) => return Err(StartError::Uring(reason)),
        (_, Some(Err(reason))) => (None, Some(reason)),
    };
    let bells = Doorbells::new(cores)?;
    let seeds = (0..cores).map(|core| DriverSeed { core, bells: bells.clone(), uring }).collect();
    let chosen = if uring.is_some() { ChosenKind::Uring } else { ChosenKind::Epoll };
    Ok((seeds, bells, chosen, reason))
}

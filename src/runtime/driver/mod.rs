//! The door between one core and the kernel: sockets in, bytes out, doorbells between cores. Never parses a byte.
//!
//! A core owns one [`Driver`] and drives it once per tick:
//!
//! ```text
//! submit_and_reap   hands everything queued since the last tick to the kernel, waits as told, collects completions
//! next_event*       one event at a time until None; the core reacts with send, close, pause_receive ...
//! ```
//!
//! Two implementations behave alike and pass the same tests: `uring` (one io_uring per core) and `epoll`, for
//! kernels and containers that refuse io_uring. A third, `sim`, knows no kernel: the seeded network of a simulation.
//!
//! Invariants:
//! - buffers belong to the driver while an operation uses them; they come back in an [`Event`];
//! - after [`Driver::close`] of a connection exactly one [`Event::Closed`] follows, and nothing after it. A send
//!   under way is still given back as [`Event::Sent`] before it; received bytes not yet delivered are dropped;
//! - no event of one connection overtakes an earlier one.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::base::bytes::OutBuf;

mod disk;
mod epoll;
mod outgoing;
mod pace;
mod pool;
mod prepare;
pub mod sim;
mod uring;

pub use pool::RecvBuf;
pub use prepare::{ChosenKind, Doorbells, DriverSeed, Prepared, StartError, prepare};

use super::aligned::AlignedBuf;
use super::mesh::SleepFlag;
use disk::Order;

/// Bytes of one receive buffer.
pub const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;
/// Receive buffers of one core.
pub const RECEIVE_BUFFERS: usize = 256;
/// See [`Driver::set_gather`]. Halves the processor time per request of many clients that do not pipeline.
pub const GATHER: Duration = Duration::from_micros(100);
/// How long accepting rests after the process ran out of file descriptors or memory.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Which driver is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DriverKind {
    /// io_uring where it works, otherwise epoll.
    Auto,
    /// io_uring or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// The caller's index of a connection. It may be reused once [`Event::Closed`] was delivered, not before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u32);

/// Something that happened; see [`Driver::next_event`].
#[derive(Debug)]
pub enum Event {
    /// A client connected. The socket is not registered yet and may go to another core's driver.
    Accepted {
        /// As given to [`Driver::listen`].
        listener: u32,
        /// The new socket, close-on-exec.
        socket: OwnedFd,
    },
    /// Accepting failed, mostly for want of file descriptors; the driver tries again after [`ACCEPT_RETRY`].
    AcceptFailed {
        /// As given to [`Driver::listen`].
        listener: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// Bytes came in, at least one.
    Received {
        /// From whom.
        conn: Token,
        /// The bytes; give it back with [`Driver::recycle`].
        buffer: RecvBuf,
    },
    /// The peer closed its side (`None`) or the socket broke; no more `Received` follow. Sending may still work.
    ReceiveEnded {
        /// From whom.
        conn: Token,
        /// Why, unless the peer simply closed.
        error: Option<io::Error>,
    },
    /// A send is over and its buffer comes back for reuse.
    Sent {
        /// To whom.
        conn: Token,
        /// As given to [`Driver::send`], unchanged.
        buffer: OutBuf,
        /// `Ok`: the kernel took every byte.
        result: io::Result<()>,
    },
    /// The connection is gone: every operation is over, its descriptor closed, its token free.
    Closed {
        /// Which one.
        conn: Token,
    },
    /// Somebody rang this core; several rings may come as one.
    Doorbell,
    /// A [`Driver::write_log`] is over and its buffer comes back for reuse.
    Logged {
        /// As given, unchanged.
        buffer: AlignedBuf,
        /// `Ok`: every byte is written, and durable if that was asked for.
        result: io::Result<()>,
    },
    /// A [`Driver::fill_log`] is over, well or not.
    LogFilled,
    /// A [`Driver::sync_log`] is over.
    LogSynced {
        /// `Ok`: what was written before is durable.
        result: io::Result<()>,
    },
}

/// How long [`Driver::submit_and_reap`] may wait when there is nothing to report.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Longest wait; zero does not wait, `None` waits until something happens.
    pub timeout: Option<Duration>,
    /// How much of it may be spent looking, without a system call, before the thread sleeps. It is used only when
    /// the last waits were so short that it is likely to succeed.
    pub spin: Duration,
}

impl Wait {
    /// Look once and return.
    pub const POLL: Wait = Wait { timeout: Some(Duration::ZERO), spin: Duration::ZERO };
}

/// What a driver did so far, for INFO and for tuning.
#[derive(Clone, Copy, Default, Debug)]
pub struct Statistics {
    /// System calls that enter the ring, or `epoll_wait`.
    pub enters: u64,
    /// Operations handed to the kernel.
    pub sqes: u64,
    /// Completions or readiness events taken from it.
    pub cqes: u64,
    /// Waits that ended while spinning.
    pub spins: u64,
    /// Waits that put the thread to sleep until something came.
    pub sleeps: u64,
    /// Waits that put it to sleep for a moment, to gather.
    pub gathers: u64,
    /// Times a receive found no free buffer.
    pub starved: u64,
}

/// One core's driver. Neither `Send` nor `Sync`: it lives and dies on the thread that built it.
#[derive(Debug)]
pub enum Driver {
    /// One io_uring.
    Uring(Box<uring::UringDriver>),
    /// epoll and ordinary system calls.
    Epoll(Box<epoll::EpollDriver>),
    /// A simulated network. No server that was started by its arguments has it.
    Sim(Box<sim::SimDriver>),
}

macro_rules! each {
    ($self:expr, $driver:ident => $call:expr) => {
        match $self {
            Driver::Uring($driver) => $call,
            Driver::Epoll($driver) => $call,
            Driver::Sim($driver) => $call,
        }
    };
}

impl Driver {
    /// Accepts connections on `socket`, already listening, until [`Driver::stop_listening`]. `listener` is the
    /// caller's small index, at most 65535, not in use.
    pub fn listen(&mut self, listener: u32, socket: OwnedFd) {
        each!(self, d => d.listen(listener, socket))
    }

    /// Stops accepting and closes the listening socket. An `Accepted` under way may still be delivered.
    pub fn stop_listening(&mut self, listener: u32) {
        each!(self, d => d.stop_listening(listener))
    }

    /// Takes over a connected socket and starts receiving from it. `conn` must be free.
    pub fn register(&mut self, conn: Token, socket: OwnedFd) {
        each!(self, d => d.register(conn, socket))
    }

    /// Stops reading from the socket; bytes already received may still be delivered. Idempotent.
    pub fn pause_receive(&mut self, conn: Token) {
        each!(self, d => d.pause_receive(conn))
    }

    /// Ends [`Driver::pause_receive`]. Idempotent.
    pub fn resume_receive(&mut self, conn: Token) {
        each!(self, d => d.resume_receive(conn))
    }

    /// Sends the whole of `buffer`, with the next [`Driver::submit_and_reap`]. At most one send per connection may
    /// be under way, and `buffer` must not be empty.
    pub fn send(&mut self, conn: Token, buffer: OutBuf) {
        each!(self, d => d.send(conn, buffer, true))
    }

    /// As [`Driver::send`], but its `Sent` alone does not end a wait: if the send goes through at once, `Sent` is
    /// reported when something else wakes the core. For replies after which nothing waits to be done; it saves
    /// a system call per tick.
    pub fn send_quiet(&mut self, conn: Token, buffer: OutBuf) {
        each!(self, d => d.send(conn, buffer, false))
    }

    /// Cancels what is under way and closes the socket; ends in [`Event::Closed`]. To close after the last reply,
    /// wait for its `Sent` first.
    pub fn close(&mut self, conn: Token) {
        each!(self, d => d.close(conn))
    }

    /// Rings the doorbell of core `core`.
    pub fn ring(&mut self, core: usize) {
        each!(self, d => d.ring(core))
    }

    /// Tells the driver which flag announces that this core sleeps. With it the driver raises the flag only around
    /// real sleep, after spinning in vain, and asks `ready` once more in between, so peers ring no bell in vain. While
    /// it gathers the flag is down: it will look by itself in a moment.
    pub fn attach_sleep_flag(&mut self, flag: SleepFlag) {
        each!(self, d => d.attach_sleep_flag(flag))
    }

    /// How long a core with many busy clients sleeps, at most, to take their requests together instead of being woken
    /// for each ([`GATHER`] at the start); zero never does. Work that is there already does not wait.
    pub fn set_gather(&mut self, window: Duration) {
        each!(self, d => d.set_gather(window))
    }

    /// Hands what was queued to the kernel and collects what happened, waiting as `wait` says while there is
    /// nothing. `ready` tells that other work came in (a mesh queue): it is asked while spinning and once more
    /// before sleeping, and ends the wait. An error means the driver is broken for good.
    pub fn submit_and_reap(&mut self, wait: Wait, ready: &dyn Fn() -> bool) -> io::Result<()> {
        each!(self, d => d.submit_and_reap(wait, ready))
    }

    /// The next thing that happened. Loop until `None` before the next [`Driver::submit_and_reap`].
    pub fn next_event(&mut self) -> Option<Event> {
        each!(self, d => d.next_event())
    }

    /// Gives a receive buffer back to the pool it came from.
    pub fn recycle(&mut self, buffer: RecvBuf) {
        each!(self, d => d.recycle(buffer))
    }

    /// Writes the whole of `buffer` at `offset`, at once; ends in [`Event::Logged`]. `durable` makes it survive a power
    /// loss as well. At most one may be under way. A file opened with O_DIRECT takes only whole blocks at their
    /// boundaries.
    pub fn write_log(&mut self, file: Arc<File>, buffer: AlignedBuf, offset: u64, durable: bool) {
        each!(self, d => d.log(Order::Write { file, buffer, offset, durable }))
    }

    /// Writes zeros to a part of a file, whose blocks need no change of the file system's own books later: a durable
    /// write into them is one write and one flush. `bytes`: whole blocks. Ends in
    /// [`Event::LogFilled`]; a failure is no harm. At most one may be under way.
    pub fn fill_log(&mut self, file: Arc<File>, offset: u64, bytes: usize) {
        each!(self, d => d.log(Order::Fill { file, offset, bytes }))
    }

    /// Makes durable what was written to `file` before; ends in [`Event::LogSynced`]. At most one may be under way.
    pub fn sync_log(&mut self, file: Arc<File>) {
        each!(self, d => d.log(Order::Sync(file)))
    }

    /// Which implementation this is.
    pub fn kind(&self) -> ChosenKind {
        match self {
            Driver::Uring(_) => ChosenKind::Uring,
            Driver::Epoll(_) => ChosenKind::Epoll,
            Driver::Sim(_) => ChosenKind::Sim,
        }
    }

    /// Counters since the start.
    pub fn statistics(&self) -> Statistics {
        each!(self, d => d.statistics())
    }

    /// The descriptor of a registered connection, for `getpeername` and socket options; it stays the driver's.
    /// `None` once closed.
    pub fn raw_fd(&self, conn: Token) -> Option<RawFd> {
        each!(self, d => d.raw_fd(conn))
    }
}

/// Whether an error of `accept` says that trying again at once is useless. Errors of the one connection that was to
/// be accepted do not.
fn accept_must_rest(error: &io::Error) -> bool {
    use libc::{ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, ENONET, ENOPROTOOPT, EOPNOTSUPP};
    let of_the_connection = matches!(
        error.raw_os_error(),
        Some(ECONNABORTED | EHOSTDOWN | EHOSTUNREACH | EINTR | ENETDOWN | ENETUNREACH | ENONET | ENOPROTOOPT)
            | Some(EOPNOTSUPP | libc::EPROTO)
    );
    !of_the_connection
}

/// Switches a socket between blocking and not: epoll needs the one, io_uring the other (it answers EAGAIN for a
/// socket that does not block, instead of waiting).
fn set_nonblocking(fd: RawFd, on: bool) {
    let mut on = libc::c_int::from(on);
    // SAFETY: FIONBIO reads one int, which lives through the call.
    let result = unsafe { libc::ioctl(fd, libc::FIONBIO, &mut on) };
    assert_eq!(result, 0, "FIONBIO on a socket");
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "driver_limit_tests.rs"]
mod limit_tests;

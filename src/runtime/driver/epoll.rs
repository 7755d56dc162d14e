//! The driver for kernels and containers without io_uring: edge-triggered epoll and plain system calls. Same events
//! in the same order as the ring, at more system calls.
//!
//! Connections are watched edge-triggered, so an edge seen is remembered until a read comes back short. A read
//! happens in [`EpollDriver::next_event`], right before its bytes are used: the one buffer that is recycled and
//! reused for each of them stays in the cache.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::base::bytes::OutBuf;

use super::disk::{Disk, Order};
use super::outgoing::{OPERATION_BYTES_MAX, Scatter};
use super::pace::{Pace, Plan};
use super::pool::Pool;
use super::prepare::{Doorbells, StartError, resource};
use super::{
    ACCEPT_RETRY, Event, GATHER, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, RecvBuf, SleepFlag, Statistics, Token, Wait,
};

/// Readiness reports taken by one `epoll_wait`.
const REPORTS: usize = 256;
/// Connections accepted from one listener per tick.
const ACCEPTS_PER_TICK: usize = 256;

/// What a report is about, in the upper half of its 64 bits; the index is in the lower.
const OF_CONNECTION: u64 = 0;
const OF_LISTENER: u64 = 1 << 32;
const OF_DOORBELL: u64 = 2 << 32;

/// Asked for paused; no reads.
const PAUSED: u8 = 1;
/// An edge was seen and no read came back short since.
const READABLE: u8 = 2;
/// In `reading` or `later`.
const QUEUED: u8 = 4;
/// Receiving is over; reported.
const ENDED: u8 = 8;
/// The peer shut down: read until the end even if a read comes back short.
const HUNG_UP: u8 = 16;
/// Watched for room to write as well, since a send did not fit once.
const WATCHES_OUT: u8 = 32;

#[derive(Debug)]
struct Conn {
    /// -1: free.
    fd: RawFd,
    flags: u8,
    /// For [`Pace::note_receive`].
    seen: u16,
    sent: usize,
    sending: Option<OutBuf>,
    scatter: Option<Box<Scatter>>,
}

#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    resting: bool,
}

/// See the module's head.
#[derive(Debug)]
pub struct EpollDriver {
    epoll: OwnedFd,
    core: usize,
    bells: Doorbells,
    pool: Pool,
    free: Vec<u16>,
    conns: Vec<Conn>,
    listeners: Vec<Option<Listener>>,
    retry_at: Option<Instant>,
    events: VecDeque<Event>,
    /// To be read in this tick, from `next_read` on.
    reading: Vec<u32>,
    next_read: usize,
    /// To be read in the next tick.
    later: Vec<u32>,
    to_send: Vec<u32>,
    /// Events are to be reported at once, not only when something else ends the wait.
    hurry: bool,
    reports: Box<[libc::epoll_event; REPORTS]>,
    disk: Disk,
    sleeping: Option<SleepFlag>,
    pace: Pace,
    statistics: Statistics,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl EpollDriver {
    pub(super) fn new(core: usize, bells: Doorbells) -> Result<EpollDriver, StartError> {
        // SAFETY: no memory is involved.
        let epoll = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map_err(resource("epoll instance"))?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let pool = Pool::new(RECEIVE_BUFFERS, RECEIVE_BUFFER_BYTES).map_err(resource("receive buffers"))?;
        let free = (0..pool.count()).rev().map(|index| index as u16).collect();
        let driver = EpollDriver {
            epoll,
            core,
            bells,
            pool,
            free,
            conns: Vec::new(),
            listeners: Vec::new(),
            retry_at: None,
            events: VecDeque::new(),
            reading: Vec::new(),
            next_read: 0,
            later: Vec::new(),
            to_send: Vec::new(),
            hurry: false,
            reports: Box::new([libc::epoll_event { events: 0, u64: 0 }; REPORTS]),
            disk: Disk::default(),
            sleeping: None,
            pace: Pace::new(Instant::now(), GATHER),
            statistics: Statistics::default(),
        };
        let bell = driver.bells.event_fd(core);
        driver
            .control(libc::EPOLL_CTL_ADD, bell, libc::EPOLLIN | libc::EPOLLET, OF_DOORBELL)
            .map_err(resource("doorbell"))?;
        Ok(driver)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: libc::c_int, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: data };
        // SAFETY: `event` lives through the call, which copies it.
        checked(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) }).map(drop)
    }

    pub(super) fn listen(&mut self, listener: u32, socket: OwnedFd) {
        assert!(listener <= u32::from(u16::MAX));
        let index = listener as usize;
        if self.listeners.len() <= index {
            self.listeners.resize_with(index + 1, || None);
        }
        assert!(self.listeners[index].is_none(), "listener {listener} is in use");
        set_nonblocking(socket.as_raw_fd());
        let watched = self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), libc::EPOLLIN, OF_LISTENER | index as u64);
        if let Err(error) = watched {
            self.events.push_back(Event::AcceptFailed { listener, error });
            self.rest();
        }
        self.listeners[index] = Some(Listener { socket, resting: self.retry_at.is_some() });
    }

    pub(super) fn stop_listening(&mut self, listener: u32) {
        // Closing the descriptor ends the watch.
        self.listeners[listener as usize] = None;
    }

    pub(super) fn register(&mut self, conn: Token, socket: OwnedFd) {
        let index = conn.0 as usize;
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || Conn {
                fd: -1,
                flags: 0,
                seen: 0,
                sent: 0,
                sending: None,
                scatter: None,
            });
        }
        assert!(self.conns[index].fd < 0, "connection {} is in use", conn.0);
        let fd = socket.into_raw_fd();
        set_nonblocking(fd);
        self.conns[index].fd = fd;
        self.conns[index].flags = 0;
        let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;
        if self.control(libc::EPOLL_CTL_ADD, fd, events, OF_CONNECTION | index as u64).is_err() {
            // Out of watches: the read below finds the socket alive and nobody would look again; end it.
            self.conns[index].flags = ENDED;
            let error = Some(io::Error::from_raw_os_error(libc::ENOSPC));
            self.events.push_back(Event::ReceiveEnded { conn, error });
        }
    }

    pub(super) fn pause_receive(&mut self, conn: Token) {
        self.live(conn).flags |= PAUSED;
    }

    pub(super) fn resume_receive(&mut self, conn: Token) {
        let state = self.live(conn);
        state.flags &= !PAUSED;
        if state.flags & READABLE != 0 {
            self.queue_read(conn.0);
        }
    }

    fn live(&mut self, conn: Token) -> &mut Conn {
        let state = &mut self.conns[conn.0 as usize];
        assert!(state.fd >= 0, "connection {} is not open", conn.0);
        state
    }

    fn queue_read(&mut self, index: u32) {
        let state = &mut self.conns[index as usize];
        if state.flags & (QUEUED | PAUSED | ENDED) == 0 {
            state.flags |= QUEUED;
            self.later.push(index);
        }
    }

    pub(super) fn send(&mut self, conn: Token, buffer: OutBuf, hurry: bool) {
        assert!(!buffer.is_empty(), "nothing to send");
        let state = self.live(conn);
        assert!(state.sending.is_none(), "a send is under way");
        state.sent = 0;
        state.scatter = if buffer.bigs.is_empty() { None } else { Some(Scatter::new()) };
        state.sending = Some(buffer);
        self.to_send.push(conn.0);
        self.hurry |= hurry;
    }

    pub(super) fn close(&mut self, conn: Token) {
        let state = self.live(conn);
        let fd = mem::replace(&mut state.fd, -1);
        state.scatter = None;
        if let Some(buffer) = state.sending.take() {
            let result = Err(io::Error::from_raw_os_error(libc::ECANCELED));
            self.events.push_back(Event::Sent { conn, buffer, result });
        }
        // SAFETY: the descriptor came from an OwnedFd at `register` and is given up here, once.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        self.events.retain(|event| !matches!(event, Event::ReceiveEnded { conn: ended, .. } if *ended == conn));
        self.events.push_back(Event::Closed { conn });
    }

    pub(super) fn ring(&mut self, core: usize) {
        self.bells.ring(core);
    }

    pub(super) fn attach_sleep_flag(&mut self, flag: SleepFlag) {
        self.sleeping = Some(flag);
    }

    pub(super) fn set_gather(&mut self, window: Duration) {
        self.pace.set_window(window);
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub(super) fn raw_fd(&self, conn: Token) -> Option<RawFd> {
        self.conns.get(conn.0 as usize).map(|state| state.fd).filter(|fd| *fd >= 0)
    }

    pub(super) fn recycle(&mut self, buffer: RecvBuf) {
        let index = self.pool.put(buffer);
        self.free.push(index);
    }

    pub(super) fn submit_and_reap(&mut self, wait: Wait, ready: &dyn Fn() -> bool) -> io::Result<()> {
        self.hurry |= !self.events.is_empty();
        let mut to_send = mem::take(&mut self.to_send);
        for index in to_send.drain(..) {
            self.continue_send(index);
        }
        self.to_send = to_send;
        debug_assert!(self.next_read == self.reading.len(), "events of the last tick were left");
        self.reading.clear();
        self.next_read = 0;
        self.retry_accepts();
        mem::swap(&mut self.reading, &mut self.later);
        let hurry = mem::take(&mut self.hurry) || !self.reading.is_empty();
        let idle = !hurry && wait.timeout != Some(Duration::ZERO);
        let count = if idle { self.wait_for_reports(wait, ready)? } else { self.take_reports(Some(Duration::ZERO))? };
        for at in 0..count {
            let report = self.reports[at];
            self.on_report(report);
        }
        self.hurry = false;
        // What the reports made readable is read in this tick.
        self.reading.append(&mut self.later);
        Ok(())
    }

    fn wait_for_reports(&mut self, wait: Wait, ready: &dyn Fn() -> bool) -> io::Result<usize> {
        let start = Instant::now();
        let retry = self.retry_at.map(|at| at.saturating_duration_since(start));
        let timeout = match (wait.timeout, retry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let within = |time: Duration| timeout.map_or(time, |timeout| time.min(timeout));
        let (spin, gather) = match self.pace.plan(start, wait.spin) {
            Plan::Spin(spin) => (within(spin), Duration::ZERO),
            Plan::Gather(_, window) => (Duration::ZERO, within(window)),
            Plan::Sleep => (Duration::ZERO, Duration::ZERO),
        };
        while !spin.is_zero() || !gather.is_zero() {
            let count = self.take_reports(Some(Duration::ZERO))?;
            if count > 0 || ready() {
                self.statistics.spins += u64::from(gather.is_zero());
                self.pace.waited(start.elapsed());
                return Ok(count);
            }
            if start.elapsed() >= spin {
                break;
            }
            std::hint::spin_loop();
        }
        if !gather.is_zero() {
            self.statistics.gathers += 1;
            std::thread::sleep(gather);
            let count = self.take_reports(Some(Duration::ZERO))?;
            if count > 0 || ready() {
                return Ok(count);
            }
        }
        let rest = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let count = self.sleep(rest, ready);
        self.pace.waited(start.elapsed());
        count
    }

    fn sleep(&mut self, timeout: Option<Duration>, ready: &dyn Fn() -> bool) -> io::Result<usize> {
        if timeout == Some(Duration::ZERO) {
            return Ok(0);
        }
        if let Some(flag) = &self.sleeping {
            flag.raise();
        }
        let count = if ready() {
            self.take_reports(Some(Duration::ZERO))
        } else {
            self.statistics.sleeps += 1;
            self.take_reports(timeout)
        };
        if let Some(flag) = &self.sleeping {
            flag.lower();
        }
        count
    }

    /// Takes readiness reports, waiting up to `timeout` for the first.
    fn take_reports(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.statistics.enters += 1;
        let spec = timeout.map(|t| libc::timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos().into() });
        let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (epoll, reports) = (self.epoll.as_raw_fd(), self.reports.as_mut_ptr());
        // SAFETY: `reports` has room for REPORTS entries and `spec` is null or lives through the call.
        let result = unsafe { libc::epoll_pwait2(epoll, reports, REPORTS as _, spec, std::ptr::null()) };
        let result = match checked(result) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                let ms = timeout.map_or(-1, |t| t.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
                // SAFETY: as above.
                checked(unsafe { libc::epoll_wait(epoll, reports, REPORTS as _, ms) })
            }
            result => result,
        };
        match result {
            Ok(count) => {
                self.statistics.cqes += count as u64;
                Ok(count as usize)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn on_report(&mut self, report: libc::epoll_event) {
        let (events, index) = (report.events as libc::c_int, report.u64 as u32);
        match report.u64 & !u64::from(u32::MAX) {
            OF_LISTENER => self.accept(index),
            OF_DOORBELL => {
                let mut count = 0u64;
                // SAFETY: reads at most 8 bytes into a local of 8 bytes; the eventfd does not block.
                unsafe { libc::read(self.bells.event_fd(self.core), (&raw mut count).cast(), 8) };
                self.events.push_back(Event::Doorbell);
            }
            _ => {
                let state = &mut self.conns[index as usize];
                if state.fd < 0 {
                    return;
                }
                if events & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
                    state.flags |= HUNG_UP;
                }
                if events & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
                    state.flags |= READABLE;
                    self.queue_read(index);
                }
                if events & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
                    self.continue_send(index);
                }
            }
        }
    }

    fn accept(&mut self, listener: u32) {
        for _ in 0..ACCEPTS_PER_TICK {
            let Some(Some(state)) = self.listeners.get_mut(listener as usize) else { return };
            let (fd, null) = (state.socket.as_raw_fd(), std::ptr::null_mut());
            // SAFETY: null addresses mean that the peer's is not wanted.
            let result = unsafe { libc::accept4(fd, null, null.cast(), libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) };
            match checked(result) {
                Ok(fd) => {
                    // SAFETY: the descriptor was just made and belongs to nobody else.
                    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                    self.events.push_back(Event::Accepted { listener, socket });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if !super::accept_must_rest(&error) => {}
                Err(error) => {
                    state.resting = true;
                    let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
                    self.events.push_back(Event::AcceptFailed { listener, error });
                    self.rest();
                    return;
                }
            }
        }
    }

    fn rest(&mut self) {
        self.retry_at = Some(Instant::now() + ACCEPT_RETRY);
    }

    fn retry_accepts(&mut self) {
        if self.retry_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        for index in 0..self.listeners.len() {
            let Some(listener) = self.listeners[index].as_mut().filter(|l| l.resting) else { continue };
            let fd = listener.socket.as_raw_fd();
            listener.resting = false;
            if self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, OF_LISTENER | index as u64).is_err() {
                self.listeners[index].as_mut().expect("just seen").resting = true;
                self.rest();
            }
        }
    }

    pub(super) fn log(&mut self, order: Order) {
        if let Some(done) = self.disk.give(self.core, &self.bells, order) {
            self.events.push_back(done.into());
            self.hurry = true;
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some(done) = self.disk.next() {
                return Some(done.into());
            }
            let index = *self.reading.get(self.next_read)?;
            self.next_read += 1;
            self.conns[index as usize].flags &= !QUEUED;
            if let Some(event) = self.read(index) {
                return Some(event);
            }
        }
    }

    fn read(&mut self, index: u32) -> Option<Event> {
        let state = &mut self.conns[index as usize];
        if state.fd < 0 || state.flags & (PAUSED | ENDED) != 0 || state.flags & READABLE == 0 {
            return None;
        }
        let conn = Token(index);
        let Some(part) = self.free.pop() else {
            self.statistics.starved += 1;
            self.queue_read(index);
            return None;
        };
        let limit = self.pool.part_bytes();
        // SAFETY: the part is free and has `limit` bytes.
        let result = unsafe { libc::recv(state.fd, self.pool.part(part).cast(), limit, 0) };
        self.statistics.sqes += 1;
        if result > 0 {
            let bytes = result as usize;
            self.pace.note_receive(&mut state.seen);
            if bytes < limit && state.flags & HUNG_UP == 0 {
                state.flags &= !READABLE;
            } else {
                self.queue_read(index);
            }
            // SAFETY: the part came off the free list and recv filled `bytes` of it.
            let buffer = unsafe { self.pool.take(part, bytes) };
            return Some(Event::Received { conn, buffer });
        }
        self.free.push(part);
        let error = if result == 0 { None } else { Some(io::Error::last_os_error()) };
        match &error {
            Some(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.conns[index as usize].flags &= !READABLE;
                None
            }
            Some(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.queue_read(index);
                None
            }
            _ => {
                self.conns[index as usize].flags |= ENDED;
                Some(Event::ReceiveEnded { conn, error })
            }
        }
    }

    /// Writes until everything went, the socket is full, or it broke.
    fn continue_send(&mut self, index: u32) {
        let conn = Token(index);
        let state = &mut self.conns[index as usize];
        let Some(buffer) = &state.sending else { return };
        let total = buffer.len();
        let result = loop {
            self.statistics.sqes += 1;
            let sent = match &mut state.scatter {
                None => {
                    let rest = &buffer.bytes[state.sent..];
                    // SAFETY: the pointer and length are those of a live slice.
                    unsafe {
                        libc::send(
                            state.fd,
                            rest.as_ptr().cast(),
                            rest.len().min(OPERATION_BYTES_MAX),
                            libc::MSG_NOSIGNAL,
                        )
                    }
                }
                // SAFETY: the header describes live slices of `buffer`.
                Some(scatter) => unsafe {
                    libc::sendmsg(state.fd, scatter.prepare(buffer, state.sent), libc::MSG_NOSIGNAL)
                },
            };
            if sent >= 0 {
                state.sent += sent as usize;
                if state.sent == total {
                    break Ok(());
                }
                continue;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    self.watch_out(index);
                    return;
                }
                _ => break Err(error),
            }
        };
        state.scatter = None;
        let buffer = state.sending.take().expect("just seen");
        self.hurry |= result.is_err();
        self.events.push_back(Event::Sent { conn, buffer, result });
    }

    fn watch_out(&mut self, index: u32) {
        let state = &mut self.conns[index as usize];
        if state.flags & WATCHES_OUT == 0 {
            state.flags |= WATCHES_OUT;
            let fd = state.fd;
            let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
            self.control(libc::EPOLL_CTL_MOD, fd, events, OF_CONNECTION | u64::from(index))
                .expect("the watch exists and changes without allocation");
        }
    }
}

impl Drop for EpollDriver {
    fn drop(&mut self) {
        for state in self.conns.iter().filter(|state| state.fd >= 0) {
            // SAFETY: the descriptor came from an OwnedFd at `register` and was not given up.
            drop(unsafe { OwnedFd::from_raw_fd(state.fd) });
        }
    }
}

fn set_nonblocking(fd: RawFd) {
    super::set_nonblocking(fd, true);
}

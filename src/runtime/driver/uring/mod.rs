//! The driver on io_uring: multishot accept and receive into shared buffers, sends gathered to one submission per
//! tick, doorbells posted from ring to ring. Allocates nothing per operation.
//!
//! A send is first tried silently: it may not wait (MSG_DONTWAIT) and success posts no completion, so when enter
//! returns, every send without a completion went through. Only one that the socket had no room for reports how far
//! it got, and is then continued by an operation that waits. Thus the usual tick enters the kernel once, for all its
//! sends and all that arrived, and wakes for nothing but new work.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{cqueue, opcode, squeue, types};

use crate::runtime::aligned::AlignedBuf;

use super::pace::{Pace, Plan};
use super::prepare::{Doorbells, StartError, resource};
use super::{Event, GATHER, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, RecvBuf, SleepFlag, Statistics, Token, Wait};

use accepting::Listener;
use buffers::Buffers;
use connection::{Conn, SEND_REPORTED};
use log::{LogWrite, result_of};
pub(super) use probe::{explain, probe};
pub(super) use ring::Capabilities;
use ring::{Completion, Ring};

mod accepting;
mod buffers;
mod connection;
mod log;
mod probe;
mod ring;

/// What an operation was, in the upper half of its 64 bits; the index is in the lower.
const RECEIVE: u64 = 0;
const SEND: u64 = 1 << 32;
const CLOSE: u64 = 2 << 32;
const ACCEPT: u64 = 3 << 32;
const CANCEL: u64 = 4 << 32;
/// A peer posted into our ring.
const RUNG: u64 = 5 << 32;
/// The descriptor other threads ring.
const BELL: u64 = 6 << 32;
/// A log write, or a part of one.
const LOG_WRITE: u64 = 8 << 32;
/// A log sync.
const LOG_SYNC: u64 = 9 << 32;
/// A log fill.
const LOG_FILL: u64 = 10 << 32;
/// Posting into the ring of peer `index` failed.
const RINGING: u64 = 7 << 32;

/// See the module's head. Fields are dropped in order: the ring before the memory the kernel may write to.
#[derive(Debug)]
pub struct UringDriver {
    ring: Ring,
    buffers: Buffers,
    capabilities: Capabilities,
    core: usize,
    bells: Doorbells,
    bell_armed: bool,
    conns: Vec<Conn>,
    listeners: Vec<Option<Listener>>,
    /// When listeners that are not armed are armed again.
    retry_at: Option<Instant>,
    /// Connections whose receive found no buffer, oldest first.
    starved: VecDeque<u32>,
    /// Completions taken from the kernel, from `next_completion` on not handled yet.
    completions: Vec<Completion>,
    next_completion: usize,
    /// Connections with a silent send handed over or queued.
    silent: Vec<u32>,
    /// How many of them are decided, and how many of those reported.
    settled: usize,
    next_settled: usize,
    /// A send was queued whose end the caller waits for.
    hurry: bool,
    /// Listening failed on the spot, or a ring could not be rung: events without a completion.
    events: VecDeque<Event>,
    /// The log write under way.
    log: Option<LogWrite>,
    /// The file of the log fill under way.
    log_fill: Option<Arc<File>>,
    /// What fills write; not changed while one is under way.
    zeros: AlignedBuf,
    /// The file of the log sync under way.
    log_sync: Option<Arc<File>>,
    sleeping: Option<SleepFlag>,
    pace: Pace,
    spins: u64,
    sleeps: u64,
    gathers: u64,
    starvations: u64,
    completed: u64,
}

impl UringDriver {
    pub(super) fn new(core: usize, bells: Doorbells, capabilities: Capabilities) -> Result<UringDriver, StartError> {
        let ring = Ring::new(capabilities).map_err(|error| StartError::Uring(explain(error)))?;
        let buffers =
            Buffers::new(&ring, RECEIVE_BUFFERS, RECEIVE_BUFFER_BYTES).map_err(resource("receive buffers"))?;
        if capabilities.message_ring {
            bells.announce_ring(core, Some(ring.inner().as_raw_fd()));
        }
        Ok(UringDriver {
            ring,
            buffers,
            capabilities,
            core,
            bells,
            bell_armed: false,
            conns: Vec::new(),
            listeners: Vec::new(),
            retry_at: None,
            starved: VecDeque::new(),
            completions: Vec::new(),
            next_completion: 0,
            silent: Vec::new(),
            settled: 0,
            next_settled: 0,
            hurry: false,
            events: VecDeque::new(),
            log: None,
            log_fill: None,
            zeros: AlignedBuf::default(),
            log_sync: None,
            sleeping: None,
            pace: Pace::new(Instant::now(), GATHER),
            spins: 0,
            sleeps: 0,
            gathers: 0,
            starvations: 0,
            completed: 0,
        })
    }

    pub(super) fn attach_sleep_flag(&mut self, flag: SleepFlag) {
        self.sleeping = Some(flag);
    }

    pub(super) fn set_gather(&mut self, window: Duration) {
        self.pace.set_window(window);
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            enters: self.ring.enters,
            sqes: self.ring.pushed,
            cqes: self.completed,
            spins: self.spins,
            sleeps: self.sleeps,
            gathers: self.gathers,
            starved: self.starvations,
        }
    }

    pub(super) fn recycle(&mut self, buffer: RecvBuf) {
        self.buffers.recycle(buffer);
    }

    // ---- doorbells

    pub(super) fn ring(&mut self, core: usize) {
        let Some(ring) = self.bells.ring_of(core).filter(|_| core != self.core) else {
            return self.bells.ring(core);
        };
        let message = opcode::MsgRingData::new(types::Fd(ring), 0, RUNG, None);
        let entry = message.build().flags(squeue::Flags::SKIP_SUCCESS).user_data(RINGING | core as u64);
        // SAFETY: the operation points to no memory.
        unsafe { self.ring.push(entry) };
    }

    fn arm_bell(&mut self) {
        self.bell_armed = true;
        let poll = opcode::PollAdd::new(types::Fd(self.bells.event_fd(self.core)), libc::POLLIN as u32).multi(true);
        // SAFETY: the operation points to no memory.
        unsafe { self.ring.push(poll.build().user_data(BELL)) };
    }

    // ---- the tick

    pub(super) fn submit_and_reap(&mut self, wait: Wait, ready: &dyn Fn() -> bool) -> io::Result<()> {
        debug_assert!(self.next_completion == self.completions.len(), "events of the last tick were left");
        if !self.bell_armed {
            self.arm_bell();
        }
        if !self.starved.is_empty() {
            self.feed_starved();
        }
        self.retry_accepts();
        let hurry = mem::take(&mut self.hurry) || !self.events.is_empty();
        let poll = wait.timeout == Some(Duration::ZERO);
        if hurry || poll || self.ring.has_completions() || self.ring.wants_enter() || ready() {
            return self.pass();
        }
        let now = Instant::now();
        let deadline = wait.timeout.map(|timeout| now + timeout);
        match self.pace.plan(now, wait.spin) {
            Plan::Gather(count, window) => self.gather(count, window, deadline, ready),
            Plan::Spin(spin) => self.spin(spin, deadline, ready),
            Plan::Sleep => self.sleep(now, deadline, ready),
        }
    }

    /// Enters the kernel if there is reason to, without waiting, and takes what it has.
    fn pass(&mut self) -> io::Result<()> {
        if self.ring.queued() > 0 || self.ring.wants_enter() {
            self.ring.submit()?;
        }
        self.collect()
    }

    /// Hands over, then looks for work without system calls, as long as there is none, then sleeps.
    fn spin(&mut self, spin: Duration, deadline: Option<Instant>, ready: &dyn Fn() -> bool) -> io::Result<()> {
        self.pass()?;
        let start = Instant::now();
        let end = deadline.map_or(start + spin, |deadline| deadline.min(start + spin));
        loop {
            for _ in 0..8 {
                if self.completions.is_empty() && (self.ring.has_completions() || self.ring.wants_enter()) {
                    self.pass()?;
                }
                if !self.completions.is_empty() || ready() {
                    self.spins += 1;
                    self.pace.waited(start.elapsed());
                    return Ok(());
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= end {
                return self.sleep(start, deadline, ready);
            }
        }
    }

    /// Hands over, then sleeps for a moment whatever comes; if nothing does, sleeps on. What came while handing over
    /// does not wait: leaving that out saved 3 % of the processor time and cost 10 % of the latency.
    fn gather(
        &mut self,
        count: u32,
        window: Duration,
        deadline: Option<Instant>,
        ready: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        self.pass()?;
        if !self.completions.is_empty() || self.ring.wants_enter() || ready() {
            return self.pass();
        }
        let start = Instant::now();
        self.gathers += 1;
        let window = deadline.map_or(window, |deadline| window.min(deadline.saturating_duration_since(start)));
        self.ring.submit_and_wait(count, Some(window))?;
        self.pass()?;
        if self.completions.is_empty() && !ready() {
            return self.sleep(start, deadline, ready);
        }
        Ok(())
    }

    /// Hands over and sleeps until something comes, in one system call. `since`: when the wait began.
    fn sleep(&mut self, since: Instant, deadline: Option<Instant>, ready: &dyn Fn() -> bool) -> io::Result<()> {
        if let Some(flag) = &self.sleeping {
            flag.raise();
        }
        let result = if ready() {
            self.pass()
        } else {
            self.sleeps += 1;
            let end = match (deadline, self.retry_at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let timeout = end.map(|end| end.saturating_duration_since(Instant::now()));
            self.ring.submit_and_wait(1, timeout).and_then(|()| self.collect())
        };
        if let Some(flag) = &self.sleeping {
            flag.lower();
        }
        self.pace.waited(since.elapsed());
        result
    }

    /// Takes the completions posted and decides which silent sends went through.
    fn collect(&mut self) -> io::Result<()> {
        if self.next_completion == self.completions.len() {
            self.completions.clear();
            self.next_completion = 0;
        }
        loop {
            let (conns, completions, completed) = (&mut self.conns, &mut self.completions, &mut self.completed);
            self.ring.take(|completion| {
                if completion.user_data & !u64::from(u32::MAX) == SEND {
                    conns[completion.user_data as u32 as usize].flags |= SEND_REPORTED;
                }
                completions.push(completion);
                *completed += 1;
            });
            if !self.ring.overflowed() {
                break;
            }
            self.ring.submit()?;
        }
        if !self.silent.is_empty() && self.ring.queued() == 0 {
            self.settled = self.silent.len();
        }
        Ok(())
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.next_silent() {
            return Some(event);
        }
        while let Some(completion) = self.completions.get(self.next_completion) {
            self.next_completion += 1;
            if let Some(event) = self.on_completion(*completion) {
                return Some(event);
            }
        }
        self.events.pop_front()
    }

    fn on_completion(&mut self, completion: Completion) -> Option<Event> {
        let index = completion.user_data as u32;
        match completion.user_data & !u64::from(u32::MAX) {
            RECEIVE => self.on_receive(index, completion),
            SEND => self.on_send(index, completion),
            ACCEPT => self.on_accept(index as usize, completion),
            CLOSE => {
                self.conns[index as usize].fd = -1;
                Some(Event::Closed { conn: Token(index) })
            }
            BELL => {
                self.bell_armed = cqueue::more(completion.flags);
                Some(Event::Doorbell)
            }
            RUNG => Some(Event::Doorbell),
            LOG_WRITE => self.on_log_write(completion.result),
            LOG_FILL => {
                self.log_fill = None;
                Some(Event::LogFilled)
            }
            LOG_SYNC => {
                self.log_sync = None;
                Some(Event::LogSynced { result: result_of(completion.result).map(drop) })
            }
            RINGING => {
                // The peer's ring is gone or refuses: its other bell reaches it.
                self.bells.ring(index as usize);
                None
            }
            _ => None,
        }
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        self.bells.announce_ring(self.core, None);
        // Nothing may write to our buffers or read our bytes once they are gone.
        let patience = types::Timespec::new().sec(1);
        let _ = self.ring.inner().submitter().register_sync_cancel(Some(patience), types::CancelBuilder::any());
        let _ = self.ring.submit();
        let mut undelivered = self.completions.split_off(self.next_completion);
        self.ring.take(|completion| undelivered.push(completion));
        for completion in undelivered {
            match completion.user_data & !u64::from(u32::MAX) {
                CLOSE => self.conns[completion.user_data as u32 as usize].fd = -1,
                // SAFETY: the kernel made this descriptor for us, and nobody was told of it.
                ACCEPT if completion.result >= 0 => drop(unsafe { OwnedFd::from_raw_fd(completion.result) }),
                _ => {}
            }
        }
        for state in self.conns.iter().filter(|state| state.fd >= 0) {
            // SAFETY: the descriptor came from an OwnedFd at `register`, and no close operation took it.
            drop(unsafe { OwnedFd::from_raw_fd(state.fd) });
        }
    }
}

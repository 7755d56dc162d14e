//! Connections on the ring: what is under way for each, receiving, sending, closing.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use io_uring::{cqueue, opcode, squeue, types};

use crate::base::bytes::OutBuf;
use crate::runtime::driver::outgoing::{OPERATION_BYTES_MAX, Scatter};
use crate::runtime::driver::{Event, Token, set_nonblocking};

use super::ring::Completion;
use super::{CANCEL, CLOSE, RECEIVE, SEND, UringDriver, buffers};

/// IORING_RECVSEND_POLL_FIRST of linux/io_uring.h: do not try before the socket says it is ready.
const POLL_FIRST: u16 = 1;
/// Flags of a send that waits until the socket took all of it.
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
/// Flags of a send that never waits and counts anything short of all as failed.
pub(super) const SILENT_SEND_FLAGS: libc::c_int = SEND_FLAGS | libc::MSG_DONTWAIT;

/// A receive is under way.
const ARMED: u16 = 1;
/// It was asked to end.
const CANCELLING: u16 = 1 << 1;
/// The caller wants no more bytes for now.
const PAUSED: u16 = 1 << 2;
/// Receiving is over; reported.
const ENDED: u16 = 1 << 3;
/// In `starved`: no buffer was free.
const STARVED: u16 = 1 << 4;
/// The caller closed it.
const CLOSING: u16 = 1 << 5;
/// The close operation is under way.
const CLOSE_QUEUED: u16 = 1 << 6;
/// A silent send is in `silent`: it went through unless a completion says otherwise.
const SEND_SILENT: u16 = 1 << 7;
/// A send that waits is under way.
const SEND_WAITING: u16 = 1 << 8;
/// The silent send has a completion.
pub(super) const SEND_REPORTED: u16 = 1 << 9;

#[derive(Debug)]
pub(super) struct Conn {
    /// -1: free.
    pub(super) fd: RawFd,
    pub(super) flags: u16,
    /// For [`Pace::note_receive`].
    seen: u16,
    sent: usize,
    sending: Option<OutBuf>,
    scatter: Option<Box<Scatter>>,
}

const _: () = assert!(size_of::<Conn>() <= 80, "ten thousand idle connections are cheap");

impl Conn {
    const FREE: Conn = Conn { fd: -1, flags: 0, seen: 0, sent: 0, sending: None, scatter: None };
}

impl UringDriver {
    pub(in crate::runtime::driver) fn register(&mut self, conn: Token, socket: OwnedFd) {
        let index = conn.0 as usize;
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || Conn::FREE);
        }
        let state = &mut self.conns[index];
        assert!(state.fd < 0, "connection {} is in use", conn.0);
        set_nonblocking(socket.as_raw_fd(), false);
        state.fd = socket.into_raw_fd();
        state.flags = 0;
        self.arm_receive(conn.0, true);
    }

    fn live(&mut self, conn: Token) -> &mut Conn {
        let state = &mut self.conns[conn.0 as usize];
        assert!(state.fd >= 0 && state.flags & CLOSING == 0, "connection {} is not open", conn.0);
        state
    }

    fn arm_receive(&mut self, index: u32, poll_first: bool) {
        let state = &mut self.conns[index as usize];
        state.flags |= ARMED;
        let mut entry =
            opcode::RecvMulti::new(types::Fd(state.fd), buffers::GROUP).build().user_data(RECEIVE | u64::from(index));
        if poll_first {
            // SAFETY: the entry is a 64-byte submission queue entry as in linux/io_uring.h: `ioprio`, which holds
            // the flags of a receive, are its bytes 2 and 3.
            unsafe { *(&raw mut entry).cast::<u16>().add(1) |= POLL_FIRST };
        }
        // SAFETY: the operation writes to registered buffers only, which outlive the ring.
        unsafe { self.ring.push(entry) };
    }

    pub(in crate::runtime::driver) fn pause_receive(&mut self, conn: Token) {
        let state = self.live(conn);
        state.flags |= PAUSED;
        if state.flags & (ARMED | CANCELLING) == ARMED {
            state.flags |= CANCELLING;
            self.push_cancel(RECEIVE | u64::from(conn.0));
        }
    }

    pub(in crate::runtime::driver) fn resume_receive(&mut self, conn: Token) {
        let state = self.live(conn);
        let was = state.flags;
        state.flags &= !PAUSED;
        // A receive that is being cancelled is armed again when that is over.
        if was & PAUSED != 0 && was & (ARMED | STARVED | ENDED) == 0 {
            self.arm_receive(conn.0, false);
        }
    }

    pub(super) fn on_receive(&mut self, index: u32, completion: Completion) -> Option<Event> {
        let conn = Token(index);
        let state = &mut self.conns[index as usize];
        if !cqueue::more(completion.flags) {
            state.flags &= !(ARMED | CANCELLING);
        }
        let (flags, part) = (state.flags, cqueue::buffer_select(completion.flags));
        if completion.result > 0 {
            let part = part.expect("received bytes lie in a buffer");
            self.pace.note_receive(&mut state.seen);
            // SAFETY: this completion says so, and each is handled once.
            let buffer = unsafe { self.buffers.filled(part, completion.result as usize) };
            if flags & CLOSING != 0 {
                self.buffers.recycle(buffer);
                self.try_close(index);
                return None;
            }
            if flags & (ARMED | PAUSED) == 0 {
                self.arm_receive(index, false);
            }
            return Some(Event::Received { conn, buffer });
        }
        if let Some(part) = part {
            self.buffers.unused(part);
        }
        if flags & CLOSING != 0 {
            self.try_close(index);
            return None;
        }
        match -completion.result {
            libc::ENOBUFS => {
                self.starvations += u64::from(!self.buffers.widen(self.conns.len()));
                self.conns[index as usize].flags |= STARVED;
                self.starved.push_back(index);
                None
            }
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => {
                if flags & (ARMED | PAUSED) == 0 {
                    self.arm_receive(index, false);
                }
                None
            }
            code => {
                self.conns[index as usize].flags |= ENDED;
                let error = (code != 0).then(|| io::Error::from_raw_os_error(code));
                Some(Event::ReceiveEnded { conn, error })
            }
        }
    }

    /// Lets starved connections receive again, as many as there are buffers.
    pub(super) fn feed_starved(&mut self) {
        for _ in 0..self.buffers.free_count().min(self.starved.len()) {
            let index = self.starved.pop_front().expect("counted");
            let state = &mut self.conns[index as usize];
            let was = state.flags;
            state.flags &= !STARVED;
            if was & STARVED != 0 && was & (PAUSED | CLOSING) == 0 {
                self.arm_receive(index, false);
            }
        }
    }

    pub(in crate::runtime::driver) fn send(&mut self, conn: Token, buffer: OutBuf, hurry: bool) {
        assert!(!buffer.is_empty(), "nothing to send");
        let silent = self.capabilities.silent_sends;
        let state = self.live(conn);
        assert!(state.sending.is_none(), "a send is under way");
        state.sent = 0;
        state.scatter = if buffer.bigs.is_empty() { None } else { Some(Scatter::new()) };
        state.sending = Some(buffer);
        if silent {
            state.flags |= SEND_SILENT;
            self.silent.push(conn.0);
            self.hurry |= hurry;
        }
        self.push_send(conn.0, silent, false);
    }

    fn push_send(&mut self, index: u32, silent: bool, poll_first: bool) {
        let state = &mut self.conns[index as usize];
        let flags = if silent { SILENT_SEND_FLAGS } else { SEND_FLAGS };
        let priority = if poll_first { POLL_FIRST } else { 0 };
        if !silent {
            state.flags |= SEND_WAITING;
        }
        let (fd, buffer) = (types::Fd(state.fd), state.sending.as_ref().expect("a send under way"));
        let entry = match &mut state.scatter {
            None => {
                let rest = &buffer.bytes[state.sent..];
                let count = rest.len().min(OPERATION_BYTES_MAX) as u32;
                opcode::Send::new(fd, rest.as_ptr(), count).flags(flags).ioprio(priority).build()
            }
            Some(scatter) => {
                let header = scatter.prepare(buffer, state.sent);
                opcode::SendMsg::new(fd, header).flags(flags as u32).ioprio(priority).build()
            }
        };
        let entry = if silent { entry.flags(squeue::Flags::SKIP_SUCCESS) } else { entry };
        // SAFETY: the bytes and the boxed header stay untouched in `conns` until the send is over.
        unsafe { self.ring.push(entry.user_data(SEND | u64::from(index))) };
    }

    fn finish_send(&mut self, index: u32, result: io::Result<()>) -> Event {
        let state = &mut self.conns[index as usize];
        state.scatter = None;
        let buffer = state.sending.take().expect("a send under way");
        if state.flags & CLOSING != 0 {
            self.try_close(index);
        }
        Event::Sent { conn: Token(index), buffer, result }
    }

    pub(super) fn on_send(&mut self, index: u32, completion: Completion) -> Option<Event> {
        let state = &mut self.conns[index as usize];
        state.flags &= !(SEND_SILENT | SEND_REPORTED | SEND_WAITING);
        let closing = state.flags & CLOSING != 0;
        let result = match completion.result {
            sent if sent > 0 => {
                state.sent += sent as usize;
                let whole = state.sent == state.sending.as_ref().expect("a send under way").len();
                if whole { Some(Ok(())) } else { None }
            }
            0 => Some(Err(io::ErrorKind::WriteZero.into())),
            error => match -error {
                libc::EAGAIN | libc::EINTR => None,
                code => Some(Err(io::Error::from_raw_os_error(code))),
            },
        };
        match result {
            None if closing => Some(self.finish_send(index, Err(io::Error::from_raw_os_error(libc::ECANCELED)))),
            None => {
                self.push_send(index, false, true);
                None
            }
            Some(result) => Some(self.finish_send(index, result)),
        }
    }

    /// The next silent send of which no completion came: it went through.
    pub(super) fn next_silent(&mut self) -> Option<Event> {
        while self.next_settled < self.settled {
            let index = self.silent[self.next_settled];
            self.next_settled += 1;
            let state = &mut self.conns[index as usize];
            if state.flags & SEND_REPORTED == 0 {
                state.flags &= !SEND_SILENT;
                return Some(self.finish_send(index, Ok(())));
            }
        }
        if self.settled > 0 {
            self.silent.drain(..self.settled);
            (self.settled, self.next_settled) = (0, 0);
        }
        None
    }

    pub(super) fn push_cancel(&mut self, user_data: u64) {
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::user_data(user_data));
        // SAFETY: the operation points to no memory.
        unsafe { self.ring.push(cancel.build().flags(squeue::Flags::SKIP_SUCCESS).user_data(CANCEL)) };
    }

    pub(in crate::runtime::driver) fn close(&mut self, conn: Token) {
        let state = self.live(conn);
        state.flags |= CLOSING;
        let flags = state.flags;
        if flags & (ARMED | CANCELLING) == ARMED {
            self.push_cancel(RECEIVE | u64::from(conn.0));
        }
        if flags & SEND_WAITING != 0 {
            self.push_cancel(SEND | u64::from(conn.0));
        }
        self.try_close(conn.0);
    }

    /// Closes the descriptor once nothing uses it.
    fn try_close(&mut self, index: u32) {
        let state = &mut self.conns[index as usize];
        if state.flags & (ARMED | SEND_SILENT | SEND_WAITING | CLOSE_QUEUED) != 0 {
            return;
        }
        state.flags |= CLOSE_QUEUED;
        let close = opcode::Close::new(types::Fd(state.fd));
        // SAFETY: the operation points to no memory, and nothing else will close the descriptor.
        unsafe { self.ring.push(close.build().user_data(CLOSE | u64::from(index))) };
    }

    pub(in crate::runtime::driver) fn raw_fd(&self, conn: Token) -> Option<RawFd> {
        let state = self.conns.get(conn.0 as usize)?;
        (state.fd >= 0 && state.flags & CLOSE_QUEUED == 0).then_some(state.fd)
    }
}

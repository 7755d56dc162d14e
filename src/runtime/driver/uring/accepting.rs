//! Listening sockets on the ring: one multishot accept each, rested while the process is out of descriptors.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use io_uring::{cqueue, opcode, types};

use crate::runtime::driver::{ACCEPT_RETRY, Event, accept_must_rest, set_nonblocking};

use super::ring::Completion;
use super::{ACCEPT, UringDriver};

#[derive(Debug)]
pub(super) struct Listener {
    /// The caller's name for it.
    id: u32,
    socket: OwnedFd,
    armed: bool,
    stopping: bool,
}

impl UringDriver {
    pub(in crate::runtime::driver) fn listen(&mut self, listener: u32, socket: OwnedFd) {
        let in_use = self.listeners.iter().flatten().any(|state| state.id == listener && !state.stopping);
        assert!(!in_use, "listener {listener} is in use");
        set_nonblocking(socket.as_raw_fd(), false);
        let state = Some(Listener { id: listener, socket, armed: false, stopping: false });
        let index = match self.listeners.iter().position(Option::is_none) {
            Some(free) => {
                self.listeners[free] = state;
                free
            }
            None => {
                self.listeners.push(state);
                self.listeners.len() - 1
            }
        };
        self.arm_accept(index);
    }

    pub(in crate::runtime::driver) fn stop_listening(&mut self, listener: u32) {
        let mut slots = self.listeners.iter_mut().enumerate();
        let found = slots.find(|(_, slot)| slot.as_ref().is_some_and(|state| state.id == listener && !state.stopping));
        let Some((index, slot)) = found else { return };
        let state = slot.as_mut().expect("just seen");
        if state.armed {
            state.stopping = true;
            self.push_cancel(ACCEPT | index as u64);
        } else {
            *slot = None;
        }
    }

    fn arm_accept(&mut self, index: usize) {
        let state = self.listeners[index].as_mut().expect("a listener");
        state.armed = true;
        let accept = opcode::AcceptMulti::new(types::Fd(state.socket.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        // SAFETY: the operation points to no memory.
        unsafe { self.ring.push(accept.build().user_data(ACCEPT | index as u64)) };
    }

    pub(super) fn on_accept(&mut self, index: usize, completion: Completion) -> Option<Event> {
        let state = self.listeners[index].as_mut().expect("kept until its last completion");
        let (listener, stopping) = (state.id, state.stopping);
        let over = !cqueue::more(completion.flags);
        if over {
            state.armed = false;
            if stopping {
                self.listeners[index] = None;
            }
        }
        if completion.result >= 0 {
            if over && !stopping {
                self.arm_accept(index);
            }
            // SAFETY: the kernel just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(completion.result) };
            return Some(Event::Accepted { listener, socket });
        }
        if stopping || !over {
            return None;
        }
        let error = io::Error::from_raw_os_error(-completion.result);
        if accept_must_rest(&error) {
            self.retry_at = Some(Instant::now() + ACCEPT_RETRY);
            return Some(Event::AcceptFailed { listener, error });
        }
        self.arm_accept(index);
        None
    }

    pub(super) fn retry_accepts(&mut self) {
        if self.retry_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        for index in 0..self.listeners.len() {
            if self.listeners[index].as_ref().is_some_and(|state| !state.armed) {
                self.arm_accept(index);
            }
        }
    }
}

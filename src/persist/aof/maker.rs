//! Makes a log's next segment ahead, on a thread of its own, so that no core waits for the file system. Never writes to
//! one.

use crate::runtime::affinity;
use crate::runtime::files::{MadeFile, NewFile};
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

/// One log's maker. The thread is started by the first order and ends when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Maker {
    thread: Option<(Sender<NewFile>, Receiver<io::Result<MadeFile>>)>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// One is being made.
    Ordered,
    /// It is made, or could not be.
    Made(io::Result<MadeFile>),
}

impl Maker {
    /// Has `file` be made, if there is none yet. `at_once`: before this returns.
    pub(super) fn order(&mut self, file: impl FnOnce() -> NewFile, at_once: bool) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        let file = file();
        if self.thread.is_none() && !at_once {
            self.thread = start().ok();
        }
        self.state = match &self.thread {
            Some((orders, _)) => match orders.send(file) {
                Ok(()) => State::Ordered,
                Err(refused) => State::Made(refused.0.make()),
            },
            None => State::Made(file.make()),
        };
    }

    /// Whether [`Maker::take`] has an answer without waiting.
    pub(super) fn is_ready(&mut self) -> bool {
        if let (State::Ordered, Some((_, made))) = (&self.state, &self.thread) {
            match made.try_recv() {
                Ok(result) => self.state = State::Made(result),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.state = State::Made(Err(ended())),
            }
        }
        !matches!(self.state, State::Ordered)
    }

    /// What was made, waiting for it if need be; `None` if nothing was ordered, or it could not be made.
    pub(super) fn take(&mut self) -> Option<MadeFile> {
        let made = match (std::mem::take(&mut self.state), &self.thread) {
            (State::Idle, _) => return None,
            (State::Made(result), _) => result,
            (State::Ordered, thread) => match thread {
                Some((_, made)) => made.recv().unwrap_or_else(|_| Err(ended())),
                None => Err(ended()),
            },
        };
        made.ok()
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that makes segments has ended")
}

fn start() -> io::Result<(Sender<NewFile>, Receiver<io::Result<MadeFile>>)> {
    let (orders, todo) = channel::<NewFile>();
    let (report, made) = channel();
    thread::Builder::new().name("segments".to_string()).spawn(move || {
        affinity::run_in_background();
        for file in todo {
            if report.send(file.make()).is_err() {
                return;
            }
        }
    })?;
    Ok((orders, made))
}

//! Log writes for drivers whose kernel has no ring: a thread per core does them, one after the other, and rings the
//! core.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::Event;
use super::prepare::Doorbells;
use crate::runtime::aligned::AlignedBuf;

/// One order.
#[derive(Debug)]
pub(super) enum Order {
    /// See `Driver::write_log`.
    Write { file: Arc<File>, buffer: AlignedBuf, offset: u64, durable: bool },
    /// See `Driver::fill_log`.
    Fill { file: Arc<File>, offset: u64, bytes: usize },
    /// See `Driver::sync_log`.
    Sync(Arc<File>),
}

/// What came of one.
#[derive(Debug)]
pub(super) enum Done {
    Logged { buffer: AlignedBuf, result: io::Result<()> },
    Filled,
    Synced { result: io::Result<()> },
}

impl From<Done> for Event {
    fn from(done: Done) -> Event {
        match done {
            Done::Logged { buffer, result } => Event::Logged { buffer, result },
            Done::Filled => Event::LogFilled,
            Done::Synced { result } => Event::LogSynced { result },
        }
    }
}

impl Order {
    /// Does it; blocks. `blank` are zeros kept from one fill to the next.
    pub(super) fn carry_out(self, blank: &mut AlignedBuf) -> Done {
        match self {
            Order::Write { file, buffer, offset, durable } => {
                let written = file.write_all_at(&buffer, offset);
                let result = written.and_then(|()| if durable { sync(&file) } else { Ok(()) });
                Done::Logged { buffer, result }
            }
            Order::Fill { file, offset, bytes } => {
                if blank.len() < bytes {
                    blank.resize(bytes);
                }
                let _ = file.write_all_at(&blank[..bytes], offset);
                Done::Filled
            }
            Order::Sync(file) => Done::Synced { result: sync(&file) },
        }
    }
}

/// What [`Order::Fill`] writes.
pub(super) fn zeros(bytes: usize) -> AlignedBuf {
    let mut zeros = AlignedBuf::default();
    zeros.resize(bytes);
    zeros
}

/// Makes what was written durable, without the times of the file.
pub(super) fn sync(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved; the descriptor is open as long as `file` is.
    if unsafe { libc::fdatasync(file.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The thread, started by the first order; ends when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Disk {
    thread: Option<(Sender<Order>, Receiver<Done>)>,
}

impl Disk {
    /// Has the thread carry out an order; answers what came of it if there is no thread to give it to.
    pub(super) fn give(&mut self, core: usize, bells: &Doorbells, order: Order) -> Option<Done> {
        if self.thread.is_none() {
            self.thread = start(core, bells.clone()).ok();
        }
        match &self.thread {
            Some((orders, _)) => orders.send(order).err().map(|refused| refused.0.carry_out(&mut zeros(0))),
            None => Some(order.carry_out(&mut zeros(0))),
        }
    }

    /// What is done by now.
    pub(super) fn next(&self) -> Option<Done> {
        self.thread.as_ref().and_then(|(_, done)| done.try_recv().ok())
    }
}

fn start(core: usize, bells: Doorbells) -> io::Result<(Sender<Order>, Receiver<Done>)> {
    let (orders, todo) = channel::<Order>();
    let (report, done) = channel();
    thread::Builder::new().name(format!("disk-{core}")).spawn(move || {
        let mut blank = zeros(0);
        for order in todo {
            if report.send(order.carry_out(&mut blank)).is_err() {
                return;
            }
            bells.ring(core);
        }
    })?;
    Ok((orders, done))
}

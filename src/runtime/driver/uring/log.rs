//! Log writes and syncs as operations of the ring: durable in one operation, submitted with everything else of the
//! tick.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{opcode, types};

use super::{LOG_FILL, LOG_SYNC, LOG_WRITE, UringDriver};
use crate::runtime::aligned::AlignedBuf;
use crate::runtime::driver::Event;
use crate::runtime::driver::disk::Order;

/// Most bytes of one write operation; the kernel takes no more than this at once either.
const WRITE_BYTES_MAX: usize = 1 << 30;

/// A write under way.
#[derive(Debug)]
pub(super) struct LogWrite {
    file: Arc<File>,
    buffer: AlignedBuf,
    offset: u64,
    durable: bool,
    written: usize,
}

/// What an operation answered: a count, or an errno.
pub(super) fn result_of(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

impl UringDriver {
    pub(in super::super) fn log(&mut self, order: Order) {
        match order {
            Order::Write { file, buffer, offset, durable } => {
                assert!(self.log.is_none(), "one log write at a time");
                self.log = Some(LogWrite { file, buffer, offset, durable, written: 0 });
                self.push_log_write();
                // Not with the tick's other operations: the kernel keeps a batch's block requests back until its last
                // operation has begun, and a tick's sends take a quarter of a millisecond. What is not taken now, the
                // tick's submit takes.
                let _ = self.ring.submit();
            }
            Order::Fill { file, offset, bytes } => self.push_log_fill(file, offset, bytes),
            Order::Sync(file) => self.push_log_sync(file),
        }
    }

    fn push_log_fill(&mut self, file: Arc<File>, offset: u64, bytes: usize) {
        assert!(self.log_fill.is_none(), "one log fill at a time");
        self.zeros.resize(bytes);
        let entry = opcode::Write::new(types::Fd(file.as_raw_fd()), self.zeros.as_ptr(), bytes as u32)
            .offset(offset)
            .build()
            .user_data(LOG_FILL);
        self.log_fill = Some(file);
        // SAFETY: the file stays in `log_fill` and the zeros as they are until the operation completes, and the ring
        // goes before them.
        unsafe { self.ring.push(entry) };
    }

    fn push_log_write(&mut self) {
        let Some(write) = &self.log else { return };
        let rest = &write.buffer[write.written..];
        let bytes = rest.len().min(WRITE_BYTES_MAX);
        let flags = if write.durable { libc::RWF_DSYNC } else { 0 };
        let entry = opcode::Write::new(types::Fd(write.file.as_raw_fd()), rest.as_ptr(), bytes as u32)
            .offset(write.offset + write.written as u64)
            .rw_flags(flags)
            .build()
            .user_data(LOG_WRITE);
        // SAFETY: the buffer and the file stay in `log` until the operation completes, and the ring goes before them.
        unsafe { self.ring.push(entry) };
    }

    pub(super) fn on_log_write(&mut self, result: i32) -> Option<Event> {
        let write = self.log.as_mut()?;
        let result = match result_of(result) {
            Ok(0) if write.written < write.buffer.len() => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Ok(bytes) => {
                write.written += bytes;
                if write.written < write.buffer.len() {
                    self.push_log_write();
                    return None;
                }
                Ok(())
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) => {
                self.push_log_write();
                return None;
            }
            Err(error) => Err(error),
        };
        self.log.take().map(|write| Event::Logged { buffer: write.buffer, result })
    }

    fn push_log_sync(&mut self, file: Arc<File>) {
        assert!(self.log_sync.is_none(), "one log sync at a time");
        let entry = opcode::Fsync::new(types::Fd(file.as_raw_fd()))
            .flags(types::FsyncFlags::DATASYNC)
            .build()
            .user_data(LOG_SYNC);
        self.log_sync = Some(file);
        // SAFETY: the operation points to no memory; the file stays open in `log_sync`.
        unsafe { self.ring.push(entry) };
    }
}

//! Replies on their way out: buffers, back-pressure, output limits, and the end of connections. Never writes a reply.

use crate::base::bytes::{BigPart, OutBuf};
use crate::base::limits;
use crate::net::connection::{Closing, Conn};
use crate::net::memory::spare_outputs_max;
use crate::net::worker::{Place, Worker};
use crate::runtime::driver::Token;
use crate::txn::finished::Cores;
use crate::txn::message::ConnId;
use std::sync::atomic::Ordering;

/// Output buffers for reuse, the one that was used last first: it is in the cache.
#[derive(Debug, Default)]
pub(super) struct SpareOutputs {
    buffers: Vec<OutBuf>,
    /// Sum of their capacities.
    bytes: usize,
}

impl SpareOutputs {
    /// Bytes that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn take(&mut self) -> Option<OutBuf> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.bytes.capacity();
        Some(buffer)
    }

    /// Empties and keeps a buffer, unless it is too large or there would be more than `bytes_max`.
    fn keep(&mut self, mut buffer: OutBuf, bytes_max: usize) {
        let bytes = buffer.bytes.capacity();
        if (limits::OUTPUT_BYTES_START..=limits::SPARE_OUTPUT_BYTES_MAX).contains(&bytes)
            && self.bytes + bytes <= bytes_max
        {
            buffer.clear();
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
    }
}

impl Worker {
    /// A buffer to write replies to.
    pub fn output(&mut self) -> OutBuf {
        self.outputs
            .take()
            .unwrap_or_else(|| OutBuf { bytes: Vec::with_capacity(limits::OUTPUT_BYTES_START), bigs: Vec::new() })
    }

    pub(crate) fn recycle_output(&mut self, buffer: OutBuf) {
        self.outputs.keep(buffer, spare_outputs_max(self.config.maxmemory));
    }

    /// Hands the output of every touched connection to the driver, and closes those that are done.
    pub fn send_outputs(&mut self) {
        self.broadcast_changes();
        self.pushed_bytes = 0;
        let mut touched = std::mem::take(&mut self.touched);
        for index in touched.drain(..) {
            let Some(mut conn) = self.take_conn(index) else { continue };
            conn.touched = false;
            self.send_output(&mut conn);
            self.put_conn(conn);
        }
        if self.touched.is_empty() {
            self.touched = touched;
        }
    }

    fn send_output(&mut self, conn: &mut Conn) {
        let token = Token(conn.id.index);
        if conn.closing == Closing::Told {
            return;
        }
        if conn.closing == Closing::Now || self.over_output_limit(conn) {
            return self.tell_close(conn);
        }
        if conn.sending == 0
            && let Some(out) = self.next_output(conn)
        {
            conn.sending = out.len();
            self.counters().writes.add(1);
            self.driver.send(token, out);
        }
        let waits = conn.ended && (conn.blocked.is_some() || self.aof_waits.iter().any(|wait| wait.conn == conn.id));
        if waits && conn.out.is_empty() && conn.gate.is_none() && conn.sending == 0 {
            // nobody is there to be served
            self.forget_aof_wait(conn.id);
            self.forget_wait(conn);
            return self.tell_close(conn);
        }
        if (conn.closing == Closing::AfterReplies || (conn.ended && !conn.queued)) && conn.is_drained() {
            return self.tell_close(conn);
        }
        let waiting = conn.output_bytes();
        if !conn.receive_paused && waiting > limits::OUTPUT_PAUSE_BYTES {
            conn.receive_paused = true;
            self.driver.pause_receive(token);
        } else if !conn.is_clogged() {
            if !conn.starved && !conn.input.is_empty() && !conn.queued && !conn.stalled {
                conn.queued = true;
                self.ready.push_back(token.0);
            }
            let little = conn.starved || conn.input.len() <= limits::INPUT_PAUSE_BYTES;
            if conn.receive_paused && little && waiting < limits::OUTPUT_PAUSE_BYTES / 2 {
                conn.receive_paused = false;
                self.driver.resume_receive(token);
            }
        }
    }

    fn tell_close(&mut self, conn: &mut Conn) {
        conn.closing = Closing::Told;
        if conn.session.monitor {
            self.monitors.retain(|m| *m != conn.id);
            self.shared.monitors.fetch_sub(1, Ordering::Relaxed);
        }
        self.forget_subscriptions(conn);
        self.untrack(conn);
        self.driver.close(Token(conn.id.index));
    }

    /// `client-output-buffer-limit`: passed at once, or softly for too long.
    fn over_output_limit(&mut self, conn: &mut Conn) -> bool {
        let limit = self.config.output_limits[conn.output_class()];
        let bytes = conn.output_bytes() as u64;
        let now = self.clock.unix_ms();
        let over_soft = limit.soft > 0 && bytes > limit.soft;
        if !over_soft {
            conn.over_soft_ms = 0;
        } else if conn.over_soft_ms == 0 {
            conn.over_soft_ms = now;
        }
        let over = limit.hard > 0 && bytes > limit.hard
            || over_soft && now.saturating_sub(conn.over_soft_ms) > limit.soft_seconds * 1000;
        if over {
            self.counters().output_limit_closed.add(1);
        }
        over
    }
}

/// Gives a reply from elsewhere to its connection, if that is still there.
pub(super) fn deliver(
    places: &mut [Place],
    touched: &mut Vec<u32>,
    outputs: &mut SpareOutputs,
    (id, seq, seen): (ConnId, u32, Cores),
    bytes: &[u8],
    bigs: Vec<(usize, BigPart)>,
) {
    let Some(place) = places.get_mut(id.index as usize).filter(|p| p.generation == id.generation) else { return };
    let Some(conn) = &mut place.conn else { return };
    if conn.out.bytes.capacity() == 0
        && let Some(spare) = outputs.take()
    {
        conn.out = spare;
    }
    conn.seen |= seen;
    conn.deliver(seq, bytes, bigs);
    if !conn.touched {
        conn.touched = true;
        touched.push(id.index);
    }
}

/// Takes back a reply that was written from `mark` on.
pub(super) fn truncate(out: &mut OutBuf, mark: usize) {
    out.bytes.truncate(mark);
    let keep = out.bigs.partition_point(|(at, _)| *at < mark);
    out.bigs.truncate(keep);
}

//! What arrived and waits to be run: which of it a tick parses, which is kept for the next one. Never runs a command.

use super::dispatch::{Run, Work};
use crate::base::clock::{self, Clock};
use crate::base::limits;
use crate::net::connection::{Big, Closing, Conn};
use crate::net::source::{Input, Source};
use crate::net::worker::{Pause, Worker};
use crate::resp::big::BigCollector;
use crate::resp::parse::{Limits, Parser};

/// How long the commands of a tick may run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunTime {
    /// In [`clock::ticks`].
    enough_at: u64,
    cut_at: u64,
}

impl RunTime {
    /// One that begins now.
    pub(super) fn begin(clock: &Clock) -> RunTime {
        RunTime { enough_at: clock.deadline(limits::RUN_TICK_US), cut_at: clock.deadline(limits::RUN_CUT_US) }
    }

    /// Whether no more should be parsed; `now` is in [`clock::ticks`].
    fn is_enough(self, now: u64) -> bool {
        now > self.enough_at
    }

    /// Whether not even the commands that were parsed should run.
    #[inline]
    pub(super) fn is_over(self, now: u64) -> bool {
        now > self.cut_at
    }
}

impl Worker {
    /// Moves the kept input of connections whose turn it is to the inbox: who was passed over comes before what has
    /// just arrived, who had a turn that was too long comes behind it.
    pub(super) fn queue_ready(&mut self) {
        let arrived = self.inbox.len();
        for _ in 0..self.ready.len() {
            let next = self.ready.pop_front();
            next.into_iter().for_each(|index| self.queue_kept(index));
        }
        self.inbox.rotate_left(arrived);
        for _ in 0..self.cut.len() {
            let next = self.cut.pop_front();
            next.into_iter().for_each(|index| self.queue_kept(index));
        }
    }

    fn queue_kept(&mut self, index: u32) {
        let paused = self.pause != Pause::No;
        let Some(conn) = self.conn_at(index) else { return };
        conn.queued = false;
        if conn.ended && !conn.touched {
            // it may have been passed over while its turn was to come
            conn.touched = true;
            self.touched.push(index);
        }
        let Some(conn) = self.conn_at(index) else { return };
        if conn.is_clogged() {
            // sending goes on with it once its replies are read
            return;
        }
        if conn.stalled || conn.closing != Closing::No || conn.is_collecting() {
            return;
        }
        if paused && conn.big.is_some() {
            // a command whose large argument was set apart cannot be put back into the input
            conn.held_back = true;
            return self.postpone(index);
        }
        if !conn.input.is_empty() {
            let kept = std::mem::take(&mut conn.input);
            self.inbox.push_back((index, Source::Kept(kept)));
        }
    }

    /// Parses so much of the inbox that there is a batch of commands. Once the tick has run commands for long enough,
    /// the rest is kept for the next one.
    pub(super) fn parse_inbox(&mut self, work: &mut Work) {
        work.batch.clear();
        let enough = self.run_time.is_enough(clock::ticks());
        while work.batch.commands.len() < limits::COMMANDS_PER_BATCH
            && let Some((index, source)) = self.inbox.pop_front()
        {
            let bulk_bytes_max = self.config.proto_max_bulk_len as usize;
            let Some(conn) = self.conn_at(index) else {
                self.recycle_source(source);
                continue;
            };
            let blocked = enough || conn.stalled || conn.is_collecting() || conn.is_clogged() || !conn.input.is_empty();
            if blocked || work.runs.iter().any(|r| r.conn == index) {
                // an earlier buffer of this connection comes first
                conn.starved = false;
                let taken = conn.collect(&source);
                match source {
                    Source::Kept(bytes) if taken == 0 && conn.input.is_empty() => conn.input = bytes,
                    _ => {
                        conn.input.extend_from_slice(&source[taken..]);
                        self.recycle_source(source);
                    }
                }
                self.make_ready(index);
                continue;
            }
            let limits = Limits {
                bulk_bytes_max,
                args_max: limits::ARGS_MAX,
                inline_bytes_max: limits::INLINE_BYTES_MAX,
                unauthenticated: !conn.session.authenticated,
            };
            let first = work.batch.commands.len();
            let (consumed, stop) = conn.parser.parse(&source, &limits, &mut work.batch, limits::COMMANDS_PER_TURN);
            let count = work.batch.commands.len() - first;
            work.runs.push(Run { conn: index, source, first, count, consumed, stop });
        }
    }

    pub(super) fn recycle_source(&mut self, source: Source) {
        if let Source::Received(buffer) = source {
            self.driver.recycle(buffer);
        }
    }

    /// Whether the commands of a run can wait for the next tick: not if a large argument was set apart for one.
    pub(super) fn may_put_off(&mut self, run: &Run) -> bool {
        self.conn_at(run.conn).is_some_and(|conn| conn.big.is_none() && !conn.ended)
    }

    /// Leaves commands that were parsed for the next tick.
    pub(super) fn put_off(&mut self, run: Run) {
        let Some(mut conn) = self.take_conn(run.conn) else { return self.recycle_source(run.source) };
        conn.parser = Parser::default();
        conn.starved = false;
        self.keep_rest(&mut conn, run.source, 0);
        self.put_conn(conn);
        self.make_ready(run.conn);
    }

    /// Keeps the bytes from `rest` on, in front of any that came later.
    pub(super) fn keep_rest(&mut self, conn: &mut Conn, source: Source, rest: usize) {
        if conn.closing != Closing::No {
            conn.input.clear();
            return self.recycle_source(source);
        }
        if rest < source.len() {
            let later = std::mem::take(&mut conn.input);
            conn.input = match source {
                Source::Received(buffer) => {
                    let kept = Input::from(&buffer[rest..]);
                    self.driver.recycle(buffer);
                    kept
                }
                Source::Kept(mut bytes) => {
                    bytes.skip(rest);
                    bytes
                }
            };
            conn.input.extend_from_slice(&later);
        } else {
            self.recycle_source(source);
        }
    }

    /// The next argument is large: its bytes go to a buffer of their own.
    pub(super) fn start_big(&mut self, conn: &mut Conn, len: usize, payload: usize) {
        let Some(collector) = BigCollector::new(len) else {
            return self.refuse(conn, b"ERR Protocol error: invalid bulk length");
        };
        let here = conn.input.split_off(payload);
        conn.big = Some(Box::new(Big::Collecting(collector)));
        conn.starved = true;
        let taken = conn.collect(&here);
        conn.input.extend_from_slice(&here[taken..]);
        if !conn.is_collecting() {
            self.go_on_next_tick(conn);
        }
    }

    /// Has a connection, which is taken out, go on in the next tick, behind those that wait for a turn.
    pub(super) fn go_on_next_tick(&mut self, conn: &mut Conn) {
        if !conn.queued {
            conn.queued = true;
            self.cut.push_back(conn.id.index);
        }
    }
}

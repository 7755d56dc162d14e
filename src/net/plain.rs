//! The short way of a command: one that needs nothing but its shard, from a connection and at a time where nothing is
//! out of the ordinary. What the long way ([`Worker::dispatch`]) asks for each command is asked once for a run of them.
//! Never changes what a command answers or what is counted of it.
//!
//! Measured with what `types/table` saves beside it, user CPU time in pipelines of 64 of a million keys: GET 0.22 us
//! before and 0.18 after, SET 0.28 and 0.19.

use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::commands::args::Args;
use crate::commands::flags::flag;
use crate::commands::spec::{CommandSpec, Plan};
use crate::net::connection::Conn;
use crate::net::dispatch::Next;
use crate::net::prepare::Known;
use crate::net::session::ReplyMode;
use crate::net::worker::{Pause, Worker};
use crate::resp::reply::Reply;
use crate::txn::finished::Cores;
use std::sync::atomic::Ordering;

/// Most commands that are timed together.
const TIMED_TOGETHER_MAX: u64 = 8;
/// Largest command of which that is done: words and bytes.
const SHORT_WORDS_MAX: usize = 4;
const SHORT_BYTES_MAX: u32 = 512;
/// Where SLOWLOG asks for commands that took less than this, microseconds, each is timed by itself.
pub(super) const SHORT_US: u64 = 1000;

/// Times commands that run one after the other. To read the clock costs as much as a tenth of a short command: so a few
/// of the same name in a pipeline share what they took. Their number and sum are exact, each one's share is the mean.
#[derive(Debug)]
pub(super) struct Stopwatch {
    pub(super) since: u64,
    /// Commands that ran since then.
    pub(super) untimed: u64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Stopwatch { since: clock::ticks(), untimed: 0 }
    }

    /// How many commands ran since it was read last, and the clock ticks they took.
    #[inline]
    pub(super) fn read(&mut self) -> (u64, u64) {
        let now = clock::ticks();
        let took = now.wrapping_sub(std::mem::replace(&mut self.since, now));
        (std::mem::take(&mut self.untimed), took)
    }
}

impl Worker {
    /// Whether a call of a command is so short and simple that a few may be timed together.
    #[inline]
    pub(super) fn is_short(spec: &CommandSpec, words: usize, bytes: u32) -> bool {
        spec.has(flag::FAST | flag::BRIEF) && words <= SHORT_WORDS_MAX && bytes <= SHORT_BYTES_MAX
    }

    /// Whether a call of this command may go the short way: it runs on one shard, which is `here`, and never waits.
    #[inline]
    pub(super) fn may_be_plain(&self, spec: &CommandSpec, here: bool) -> bool {
        let one_shard = match spec.plan {
            Plan::OneShard(_) => here,
            Plan::Session => false,
            _ => self.router.cores == 1,
        };
        one_shard && !spec.has(flag::BLOCKING | flag::PUBSUB | flag::COPIES)
    }

    /// Whether the next commands of a connection may go the short way. Asked again after each that did not.
    pub(super) fn is_plain(&self, conn: &Conn) -> bool {
        let session = &conn.session;
        session.authenticated
            && session.reply_mode == ReplyMode::On
            && session.multi.is_none()
            && session.tracking.is_none()
            && conn.subscriptions.is_none()
            && self.pause == Pause::No
            && !self.loading.active
            && !self.saving.stops_writes
            && self.shared.monitors.load(Ordering::Relaxed) == 0
            && self.shared.log_error.load(Ordering::Relaxed) == 0
    }

    /// Runs a command of this core's shard; `None` if something is in its way, and it has to go the long way. Where the
    /// next one is `alike` and both are short, they are timed together.
    #[inline]
    pub(super) fn run_plain(
        &mut self,
        conn: &mut Conn,
        known: &Known,
        args: &mut Args<'_>,
        wire_bytes: usize,
        out: &mut OutBuf,
        (watch, alike): (&mut Stopwatch, bool),
    ) -> Option<Next> {
        let id = known.id;
        let spec = self.router.table.get(id);
        if spec.has(flag::DENYOOM) && self.is_out_of_memory() {
            return None;
        }
        let session = &conn.session;
        let mark = out.bytes.len();
        let mut reply = Reply::new(out, session.proto);
        if !self.router.run_plain(spec, known.pos, (usize::from(session.db), session.no_touch), args, &mut reply) {
            return None;
        }
        conn.commands += 1;
        conn.last_command = Some(id);
        conn.seen |= Cores::one(self.router.core);
        self.publish_events();
        watch.untimed += 1;
        let failed = out.bytes.get(mark) == Some(&b'-');
        let together = alike && !failed && watch.untimed < TIMED_TOGETHER_MAX && self.slow_ticks >= self.short_ticks;
        if !together {
            let (calls, took) = watch.read();
            self.note_ran(conn, (id, spec.flags), (calls, took), args, out, mark);
        }
        self.note_sizes(conn, args, wire_bytes, out.bytes.len() - mark);
        if conn.is_parked() {
            conn.park_ready(out, mark);
        }
        Some(self.next_after(conn, out))
    }

    /// Counts those commands that ran and were not timed yet, as the next is not run now.
    #[cold]
    pub(super) fn note_untimed(&mut self, conn: &Conn, watch: &mut Stopwatch) {
        let Some(id) = conn.last_command else { return };
        let (calls, took) = watch.read();
        self.count_runs(id, (calls, took), false);
    }
}

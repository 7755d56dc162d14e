//! Commands that were slow or large, as the logs of them get to see: noted by the core of the client, without secrets.
//! Never decides which log keeps what.

use crate::base::stats::Histogram;
use crate::base::{clock, limits};
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::flags::flag;
use crate::commands::table::CommandId;
use crate::net::connection::Conn;
use crate::net::redact::{self, REDACTED};
use crate::net::shared::CoreCounters;
use crate::net::worker::Worker;
use hashbrown::HashMap;

/// What a log of commands gets to see of a command that was slow or large.
#[derive(Debug)]
pub struct Noted {
    /// Which log.
    pub kind: NotedKind,
    /// Microseconds, or bytes.
    pub amount: u64,
    /// Arguments, cut to what the log keeps.
    pub args: Vec<Vec<u8>>,
    /// How many arguments there were.
    pub args_count: usize,
    /// Where the client is.
    pub addr: Box<str>,
    /// Its name.
    pub name: Box<[u8]>,
}

/// See [`Noted::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotedKind {
    /// Ran long.
    Slow,
    /// Large request.
    LargeRequest,
    /// Large reply.
    LargeReply,
}

/// Counts an error by its code, the first word of the text.
pub(super) fn count_error(counts: &mut HashMap<Box<str>, u64>, text: &[u8]) {
    let Ok(code) = std::str::from_utf8(errors::code(text)) else { return };
    if let Some(count) = counts.get_mut(code) {
        *count += 1;
    } else if counts.len() < limits::ERROR_CODES_MAX {
        counts.insert(code.into(), 1);
    }
}

impl Worker {
    /// As [`note_run`].
    #[inline]
    pub(super) fn count_runs(&mut self, id: CommandId, (calls, ticks): (u64, u64), failed: bool) {
        let counters = &self.shared.cores[self.router.core];
        note_run(&mut self.histograms, counters, self.config.latency_tracking, id, (calls, ticks), failed);
    }

    /// Notes a command for one of the logs, without its secrets.
    pub(super) fn note(&mut self, conn: &Conn, kind: NotedKind, amount: u64, args: &Args<'_>) {
        let command = conn.last_command.map_or("", |id| self.router.table.get(id).name);
        let secrets = redact::secrets(command, args);
        let shown = args.from(0).enumerate().map(|(i, arg)| if secrets.contains(&i) { REDACTED } else { arg });
        self.noted.push(Noted {
            kind,
            amount,
            args: shown.take(limits::NOTED_ARGS_MAX).map(<[u8]>::to_vec).collect(),
            args_count: args.len(),
            addr: conn.addr.clone(),
            name: conn.session.name.clone(),
        });
    }

    /// Notes a command whose request or reply was large.
    #[inline]
    pub(super) fn note_sizes(&mut self, conn: &Conn, args: &Args<'_>, request: usize, reply: usize) {
        let over = |bytes: usize, limit: i64| limit >= 0 && bytes as u64 > limit as u64;
        if over(request, self.config.commandlog_request_larger_than) {
            self.note(conn, NotedKind::LargeRequest, request as u64, args);
        }
        if over(reply, self.config.commandlog_reply_larger_than) {
            self.note(conn, NotedKind::LargeReply, reply as u64, args);
        }
    }

    /// Notes a command of a transaction that its connection ran, if it was slow.
    pub(super) fn note_slow_turn(&mut self, conn: &Conn, id: CommandId, ticks: u64, args: &Args<'_>) {
        let spec = self.router.table.get(id);
        if ticks >= self.slow_ticks && !spec.has(flag::SKIP_SLOWLOG) {
            let secrets = redact::secrets(spec.name, args);
            let shown = args.from(0).enumerate().map(|(i, arg)| if secrets.contains(&i) { REDACTED } else { arg });
            self.router.slow.push((conn.id, clock::ticks_to_us(ticks), shown.map(<[u8]>::to_vec).collect()));
        }
    }

    /// Hands slow commands of transactions to the log.
    pub(super) fn deliver_slow(&mut self) {
        for (id, micros, args) in std::mem::take(&mut self.router.slow) {
            let (addr, name) = match self.conn_mut(id) {
                Some(conn) => (conn.addr.clone(), conn.session.name.clone()),
                None => Default::default(),
            };
            let args_count = args.len();
            self.noted.push(Noted { kind: NotedKind::Slow, amount: micros, args, args_count, addr, name });
        }
    }
}

/// Counts runs of a command, which took so many ticks in all; `failed` says that the last one did.
#[inline]
pub(crate) fn note_run(
    histograms: &mut [Option<Box<Histogram>>],
    counters: &CoreCounters,
    tracking: bool,
    id: CommandId,
    (calls, ticks): (u64, u64),
    failed: bool,
) {
    counters.commands.add(calls);
    let command = &counters.by_command[id.index()];
    command.calls.add(calls);
    command.ticks.add(ticks);
    if failed {
        command.failed.add(1);
        counters.errors.add(1);
    }
    if tracking {
        let each = if calls == 1 { ticks } else { ticks / calls.max(1) };
        histograms[id.index()].get_or_insert_with(Box::default).record(crate::base::clock::ticks_to_ns(each), calls);
    }
}

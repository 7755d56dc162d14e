//! SLOWLOG and COMMANDLOG: the last commands that took long, asked much, or answered much. Decides nothing about which
//! those are and reads no clock: whoever ran the command says what it cost.
//!
//! A [`Record`] is cut to size on the core that ran the command; one [`CommandLogs`] per process keeps them all.

use std::collections::VecDeque;

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::help;
use crate::commands::spec::{CommandId, CommandTable};
use crate::resp::reply::Reply;

/// Most arguments a record keeps, the last of them for the note about those left out (Redis).
const ARGS_MAX: usize = 32;
/// Most bytes a record keeps of one argument, the note about the rest aside (Redis).
const ARG_BYTES_MAX: usize = 128;
/// Records SLOWLOG GET returns unless it is told (Redis).
const GET_COUNT_DEFAULT: usize = 10;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took longer than `slowlog-log-slower-than`; the amount is microseconds.
    Slow = 0,
    /// Requests larger than `commandlog-request-larger-than`; the amount is bytes.
    LargeRequest = 1,
    /// Replies larger than `commandlog-reply-larger-than`; the amount is bytes.
    LargeReply = 2,
}

impl LogKind {
    fn named(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"slow" => Some(LogKind::Slow),
            b"large-request" => Some(LogKind::LargeRequest),
            b"large-reply" => Some(LogKind::LargeReply),
            _ => None,
        }
    }
}

/// One command that was worth noting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it ended, seconds since 1970.
    pub time_s: u64,
    /// Microseconds or bytes, see [`LogKind`].
    pub amount: u64,
    /// The client's address, `ip:port` or the socket's path.
    pub address: String,
    /// The client's name, empty without one.
    pub client: Vec<u8>,
    args: Vec<Vec<u8>>,
}

impl Record {
    /// Keeps what fits of `args`, the first of `count`: 31 of them and a note about the others, 128 bytes of each and a
    /// note about the rest. Secrets among them are the caller's to replace by `(redacted)`.
    pub fn new<'a>(
        time_s: u64,
        amount: u64,
        args: impl Iterator<Item = &'a [u8]>,
        count: usize,
        address: String,
        client: Vec<u8>,
    ) -> Self {
        let kept = if count > ARGS_MAX { ARGS_MAX - 1 } else { count };
        let mut short: Vec<Vec<u8>> = args.take(kept).map(shortened).collect();
        if count > kept {
            short.push(format!("... ({} more arguments)", count - kept).into());
        }
        Record { time_s, amount, address, client, args: short }
    }
}

fn shortened(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let mut kept = arg[..ARG_BYTES_MAX].to_vec();
    kept.extend(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).bytes());
    kept
}

#[derive(Debug, Default)]
struct Log {
    /// Newest first, with their numbers.
    records: VecDeque<(u64, Record)>,
    next: u64,
}

/// The three logs.
#[derive(Debug, Default)]
pub struct CommandLogs {
    logs: [Log; 3],
}

impl CommandLogs {
    /// Adds a record and forgets the oldest beyond `count_max` (`slowlog-max-len` and its neighbours).
    pub fn push(&mut self, kind: LogKind, record: Record, count_max: u64) {
        let log = &mut self.logs[kind as usize];
        log.records.push_front((log.next, record));
        log.next += 1;
        log.records.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    }

    /// Records in a log.
    pub fn len(&self, kind: LogKind) -> usize {
        self.logs[kind as usize].records.len()
    }

    /// Answers SLOWLOG; `args` are the whole request, which the table resolved to `id` and whose number the arity of
    /// that specification accepts.
    pub fn slowlog(&mut self, table: &CommandTable, id: CommandId, args: &Args<'_>, reply: &mut Reply<'_>) {
        match table.get(id).name {
            "slowlog|get" if args.len() == 2 => self.get(LogKind::Slow, GET_COUNT_DEFAULT, reply),
            "slowlog|get" if args.len() == 3 => self.get_counted(LogKind::Slow, &args[2], reply),
            "slowlog|get" => errors::subcommand_syntax(args, reply),
            "slowlog|len" => reply.integer(self.len(LogKind::Slow) as i64),
            "slowlog|reset" => self.reset(LogKind::Slow, reply),
            "slowlog|help" => help::reply(table.get(table.parent(id).unwrap_or(id)), reply),
            _ => errors::unknown_subcommand(args, reply),
        }
    }

    /// Answers COMMANDLOG, as [`Self::slowlog`].
    pub fn commandlog(&mut self, table: &CommandTable, id: CommandId, args: &Args<'_>, reply: &mut Reply<'_>) {
        let name = table.get(id).name;
        if name == "commandlog|help" {
            return help::reply(table.get(table.parent(id).unwrap_or(id)), reply);
        }
        let kind = args.get(args.len() - 1).and_then(LogKind::named);
        match (name, kind) {
            ("commandlog|get", _) if count(&args[2]).is_none() => reply.error(BAD_COUNT),
            (_, None) => reply.error("ERR type should be one of the following: slow, large-request, large-reply"),
            ("commandlog|get", Some(kind)) => self.get_counted(kind, &args[2], reply),
            ("commandlog|len", Some(kind)) => reply.integer(self.len(kind) as i64),
            ("commandlog|reset", Some(kind)) => self.reset(kind, reply),
            _ => errors::unknown_subcommand(args, reply),
        }
    }

    fn reset(&mut self, kind: LogKind, reply: &mut Reply<'_>) {
        self.logs[kind as usize].records.clear();
        reply.ok();
    }

    fn get_counted(&self, kind: LogKind, count_arg: &[u8], reply: &mut Reply<'_>) {
        match count(count_arg) {
            Some(count) => self.get(kind, count, reply),
            None => reply.error(BAD_COUNT),
        }
    }

    fn get(&self, kind: LogKind, count: usize, reply: &mut Reply<'_>) {
        let records = &self.logs[kind as usize].records;
        reply.array(count.min(records.len()));
        for (number, record) in records.iter().take(count) {
            reply.array(6);
            reply.integer(*number as i64);
            reply.integer(record.time_s as i64);
            reply.integer(record.amount as i64);
            reply.array(record.args.len());
            record.args.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(record.address.as_bytes());
            reply.bulk(&record.client);
        }
    }
}

const BAD_COUNT: &str = "ERR count should be greater than or equal to -1";

/// How many records a count asks for; -1 is all.
fn count(arg: &[u8]) -> Option<usize> {
    match parse_i64(arg)? {
        -1 => Some(usize::MAX),
        count => usize::try_from(count).ok(),
    }
}

#[cfg(test)]
#[path = "slowlog_tests.rs"]
mod tests;

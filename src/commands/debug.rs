//! DEBUG's testing subset: reads a call, answers what needs no keys, and says what the server must do about the rest.
//! Never aborts, sleeps or logs by itself; the functions that run on shards are in the modules below.

mod digest;
mod keyed;

pub use digest::{DatabaseDigest, DatasetDigest, database_digests};
pub use keyed::table_stats;

use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::CommandFn;
use crate::commands::errors;
use crate::commands::help;
use crate::commands::spec::Gather;
use crate::resp::reply::{Proto, Reply};

/// What remains to be done for a call.
#[derive(Debug, Clone, Copy)]
pub enum DebugCall {
    /// Nothing: the reply is written.
    Answered,
    /// Hold every core for so many microseconds, then `+OK`.
    Sleep(u64),
    /// Turn this on or off on every shard, then `+OK`.
    Switch(Switch, bool),
    /// Collect [`database_digests`] of every shard and answer [`DatasetDigest`] as a simple string.
    Digest,
    /// Collect [`table_stats`] of this database from every shard and answer them, joined, as a bulk string.
    TableStats(usize),
    /// Collect what every core says of its transactions, locks and waiting connections; answer it as a bulk string.
    Transactions,
    /// Draw new replication ids, then `+OK`.
    ChangeReplicationId,
    /// Write argument 2 to the log, then `+OK`.
    Log,
    /// Save, empty the databases, load what was saved, or the log; then `+OK`.
    Reload(ReloadOrder),
    /// End the process by a fault.
    Crash(Fault),
    /// Run the function on the shard of the key at this argument.
    OnKey(usize, CommandFn),
    /// Scatter the keys from argument 2 on, as `Plan::Scatter`.
    OnKeys(CommandFn, Gather),
    /// Run the function on every shard, as `Plan::AllShards`.
    OnShards(CommandFn, Gather),
}

/// What can be turned on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// SET-ACTIVE-EXPIRE: expired keys are looked for between commands.
    ActiveExpire,
    /// SET-SKIP-CHECKSUM-VALIDATION: payloads and snapshots with a wrong checksum are taken.
    SkipChecksums,
}

/// How the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// By SIGSEGV.
    Segfault,
    /// By a panic.
    Panic,
    /// By an assertion that fails.
    Assert,
    /// For want of memory.
    Memory,
}

/// What DEBUG RELOAD is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadOrder {
    /// Write the snapshot first, not only read it.
    pub saves: bool,
    /// Empty the databases first.
    pub flushes: bool,
    /// Keys of the snapshot replace those that are there.
    pub merges: bool,
    /// DEBUG LOADAOF: not a snapshot is read but the log.
    pub log: bool,
}

const PACKED_THRESHOLD: &str = "ERR argument must be a memory value bigger than 1 and smaller than 4gb";
const RELOAD_OPTIONS: &str = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";

/// Reads `DEBUG subcommand ...`: answers it, or says what is to be done. `databases` is how many there are.
pub fn debug(args: &Args<'_>, databases: usize, reply: &mut Reply<'_>) -> DebugCall {
    let name = args[1].to_ascii_lowercase();
    match (name.as_slice(), args.len()) {
        (b"sleep", 3) => DebugCall::Sleep(microseconds(&args[2])),
        (b"set-active-expire", 3) => switch(Switch::ActiveExpire, args),
        (b"set-skip-checksum-validation", 3) => switch(Switch::SkipChecksums, args),
        (b"digest", 2) => DebugCall::Digest,
        (b"htstats", 3 | 4) => stats_of(&args[2], databases, reply),
        (b"transactions", 2) => DebugCall::Transactions,
        (b"change-repl-id", 2) => DebugCall::ChangeReplicationId,
        (b"log", 3) => DebugCall::Log,
        (b"segfault", 2) => DebugCall::Crash(Fault::Segfault),
        (b"panic", 2) => DebugCall::Crash(Fault::Panic),
        (b"assert", 2) => DebugCall::Crash(Fault::Assert),
        (b"oom", 2) => DebugCall::Crash(Fault::Memory),
        (b"object", 3 | 4) => DebugCall::OnKey(2, keyed::object),
        (b"sdslen", 3) => DebugCall::OnKey(2, keyed::sdslen),
        (b"htstats-key", 3 | 4) => DebugCall::OnKey(2, keyed::htstats_key),
        (b"listpack", 3) => DebugCall::OnKey(2, keyed::listpack),
        (b"quicklist", 3 | 4) => DebugCall::OnKey(2, keyed::quicklist),
        (b"digest-value", 2) => answered(|| reply.array(0)),
        (b"digest-value", _) => DebugCall::OnKeys(digest::digest_value, Gather::ByKey),
        (b"populate", 3..=5) => populate(args, reply),
        (b"reload", _) => reload(args, reply),
        (b"loadaof", 2) => DebugCall::Reload(ReloadOrder { saves: false, flushes: true, merges: false, log: true }),
        _ => answered(|| answer(&name, args, reply)),
    }
}

fn switch(what: Switch, args: &Args<'_>) -> DebugCall {
    DebugCall::Switch(what, leading_integer(&args[2]) != 0)
}

fn answered(write: impl FnOnce()) -> DebugCall {
    write();
    DebugCall::Answered
}

/// Subcommands that need neither keys nor the server.
fn answer(name: &[u8], args: &Args<'_>, reply: &mut Reply<'_>) {
    match (name, args.len()) {
        (b"error", 3) => reply.error_bytes(&args[2]),
        (b"protocol", 3) => protocol(&args[2], reply),
        (b"help", 2) => help::frame("debug", HELP.iter().copied(), reply),
        (b"structsize", 2) => reply.bulk_fmt(format_args!(
            "bits:{} value:{} owned:{} ",
            usize::BITS,
            size_of::<crate::types::value::Value>(),
            size_of::<crate::types::value::Owned>(),
        )),
        (b"stringmatch-test", 2) => stringmatch_test(reply),
        (b"quicklist-packed-threshold", 3) => match text::parse_memory(&args[2]) {
            Some(0..4_294_967_296) => reply.ok(),
            _ => reply.error(PACKED_THRESHOLD),
        },
        (b"replybuffer", 4) => reply_buffer(args, reply),
        // Switches of mechanisms that this server does not have: accepted, without effect.
        (b"dict-resizing" | b"pause-cron" | b"set-disable-deny-scripts", 3)
        | (b"aof-flush-sleep" | b"hashtable-can-abort-shrink" | b"client-enforce-reply-list", 3)
        | (b"pause-after-fork" | b"drop-cluster-packet-filter", 3) => reply.ok(),
        _ => errors::subcommand_syntax(args, reply),
    }
}

/// Seconds with a fraction; what is no number counts as 0, as for strtod(3).
fn microseconds(seconds: &[u8]) -> u64 {
    let number = std::str::from_utf8(seconds).ok().and_then(|s| s.trim().parse::<f64>().ok()).unwrap_or(0.0);
    // Saturates: negative and NaN give 0.
    (number * 1e6) as u64
}

/// As atoi(3): the digits in front count, nothing is refused.
fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text[sign..].iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')))
}

fn stats_of(db: &[u8], databases: usize, reply: &mut Reply<'_>) -> DebugCall {
    match text::parse_i64(db).map(usize::try_from) {
        Some(Ok(db)) if db < databases => DebugCall::TableStats(db),
        Some(_) => answered(|| reply.error("ERR Out of range database")),
        None => answered(|| reply.error(errors::NOT_INTEGER)),
    }
}

fn populate(args: &Args<'_>, reply: &mut Reply<'_>) -> DebugCall {
    let positive = |index: usize| args.get(index).is_none_or(|n| text::parse_i64(n).is_some_and(|n| n >= 0));
    if positive(2) && positive(4) {
        return DebugCall::OnShards(keyed::populate, Gather::AllOk);
    }
    answered(|| reply.error("ERR value is out of range, must be positive"))
}

fn reload(args: &Args<'_>, reply: &mut Reply<'_>) -> DebugCall {
    let mut order = ReloadOrder { saves: true, flushes: true, merges: false, log: false };
    for word in args.from(2) {
        match word.to_ascii_lowercase().as_slice() {
            b"merge" => order.merges = true,
            b"noflush" => order.flushes = false,
            b"nosave" => order.saves = false,
            _ => return answered(|| reply.error(RELOAD_OPTIONS)),
        }
    }
    DebugCall::Reload(order)
}

fn reply_buffer(args: &Args<'_>, reply: &mut Reply<'_>) {
    if args[2].eq_ignore_ascii_case(b"resizing") {
        return reply.ok();
    }
    if !args[2].eq_ignore_ascii_case(b"peak-reset-time") {
        return errors::subcommand_syntax(args, reply);
    }
    let word = &args[3];
    if word.eq_ignore_ascii_case(b"never") || word.eq_ignore_ascii_case(b"reset") || text::parse_i64(word).is_some() {
        return reply.ok();
    }
    reply.error(errors::NOT_INTEGER);
}

/// `DEBUG PROTOCOL type`: one reply of each kind, so that clients can test their parsers.
fn protocol(kind: &[u8], reply: &mut Reply<'_>) {
    let resp3 = reply.proto == Proto::Resp3;
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !resp3 => reply.error("ERR RESP2 is not supported by this command"),
        b"push" => {
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        _ => reply.error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ),
    }
}

/// `DEBUG STRINGMATCH-TEST`: matches patterns and texts of all kinds of bytes; that it comes back is the test.
fn stringmatch_test(reply: &mut Reply<'_>) {
    const BYTES: &[u8] = b"ab*?[]^-\\\x00\xff";
    let mut state = 1u64;
    let mut word = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                BYTES[(state >> 33) as usize % BYTES.len()]
            })
            .collect()
    };
    for round in 0..10_000 {
        let (pattern, subject) = (word(round % 24), word(round / 24 % 24));
        crate::base::glob::matches(&pattern, &subject, round % 2 == 0);
    }
    reply.simple("Apparently the server did not crash: test passed");
}

/// Subcommands and what they do.
const HELP: &[(&str, &str)] = &[
    ("ASSERT", "End the process by an assertion that fails."),
    ("CHANGE-REPL-ID", "Draw new replication ids. For tests only."),
    ("DICT-RESIZING <0|1>", "Accepted without effect: tables grow by splitting small segments."),
    ("DIGEST", "Print a hash of the whole data set: 40 hexadecimal digits."),
    ("DIGEST-VALUE <key> [<key> ...]", "Print a hash of each key's value and expiry."),
    ("ERROR <string>", "Reply with <string> as an error."),
    ("HTSTATS <dbid> [full]", "Print figures about the table of a database."),
    ("HTSTATS-KEY <key> [full]", "Print figures about the table that holds a key's elements."),
    ("LISTPACK <key>", "Print how a listpack is laid out."),
    ("LOG <message>", "Write <message> to the log."),
    ("OBJECT <key> [fast]", "Print how a value is kept; `fast` leaves out what takes time."),
    ("OOM", "End the process as where there is no memory left."),
    ("PANIC", "End the process by a panic."),
    ("POPULATE <count> [<prefix>] [<size>]", "Make keys <prefix>:0 and on (default prefix: key), <size> bytes each."),
    (
        "PROTOCOL <type>",
        "Reply with a value of a type: string, integer, double, bignum, null, array, set, map,\n\
         attrib, push, verbatim, true, false.",
    ),
    ("QUICKLIST <key> [<0|1>]", "Print how a list is laid out."),
    ("QUICKLIST-PACKED-THRESHOLD <size>", "Accepted without effect."),
    ("RELOAD [MERGE] [NOFLUSH] [NOSAVE]", "Save the data to the snapshot file, drop it, and load it again."),
    ("REPLYBUFFER <option> <value>", "Accepted without effect: reply buffers are not resized by a timer."),
    ("SDSLEN <key>", "Print the lengths and the spare room of a string and its key."),
    ("SEGFAULT", "End the process by SIGSEGV."),
    ("SET-ACTIVE-EXPIRE <0|1>", "Whether expired keys are removed before somebody asks for them."),
    ("SLEEP <seconds>", "Stop every shard for <seconds>, which may have a fraction."),
    ("STRINGMATCH-TEST", "Match random patterns against random texts."),
    ("STRUCTSIZE", "Print the sizes of some structures."),
    ("TRANSACTIONS", "Print what every core waits for: transactions, locks, commands, connections, messages."),
];

#[cfg(test)]
#[path = "debug_tests.rs"]
mod tests;

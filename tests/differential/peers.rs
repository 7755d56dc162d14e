//! Where newer servers answer otherwise than Redis 7.0 and Pinion do, and why. Never about bugs of ours.

use crate::case::Command;
use crate::common::Value;
use crate::compare::Exceptions;
use pinion::commands::spec::{CommandTable, Group};

/// Replies that may differ from those of Redis 8.0. Pinion answers as Valkey 9.1 there.
pub(crate) const REDIS: Exceptions = &[
    ("BITCOUNT", "-ERR syntax error", "*", "Valkey takes a start without an end"),
    ("CLIENT LIST", "-ERR syntax error", "-ERR *", "Valkey reads filters one after the other and has words for each"),
    ("GEOPOS", "[*", "[*", "Redis prints coordinates with the fewest digits"),
    ("GEORADIUS", "[*", "[*", "so it does here"),
    ("GEORADIUSBYMEMBER", "[*", "[*", "so it does here"),
    ("GEOSEARCH", "[*", "[*", "so it does here"),
    ("XINFO GROUPS", "[*", "[*", "Redis counts a lag from the start where more was read than ever came"),
    ("XREAD", "-ERR Unbalanced \\'xread\\' *", "-ERR Unbalanced \\'xread\\' *", "Redis mentions `+` too"),
    ("XREADGROUP", "-ERR Unbalanced \\'xreadgroup\\' *", "-ERR Unbalanced \\'xreadgroup\\' *", "so it does here"),
    (
        "OBJECT ENCODING",
        "\"listpackex\"",
        "\"listpack\"",
        "HGETEX PERSIST makes room for times in Redis, needed or not",
    ),
    ("OBJECT ENCODING", "\"hashtable\"", "\"listpack*", "HSETEX with a time that is past stores the fields first"),
    (
        "SORT",
        "-ERR One or more scores *",
        "*",
        "Redis 7.0 reads weights with blanks in front or in hexadecimal, and none",
    ),
    ("SORT_RO", "-ERR One or more scores *", "*", "so it does here"),
    ("SORT", "[*", "-ERR One or more scores *", "Redis 8 takes a number beyond a double's range for an infinite one"),
    ("SORT", ":*", "-ERR One or more scores *", "so it does with STORE"),
    ("SORT_RO", "[*", "-ERR One or more scores *", "so it does here"),
];

/// Replies that may differ from those of Valkey 9.1. Pinion answers as Redis 7.0 and 8.0 there.
pub(crate) const VALKEY: Exceptions = &[
    ("BITCOUNT", "-ERR syntax error", "-ERR value is not an integer *", "Valkey looks at the unit first"),
    ("CLIENT KILL", "-ERR *", "-ERR *", "Valkey reads filters one after the other and has words for each"),
    ("CLIENT LIST", "-ERR *", "*", "Valkey reads filters one after the other, has words for each and refuses 0 and -1"),
    ("CLIENT UNBLOCK", "*", "-ERR unknown subcommand *", "Valkey takes more arguments"),
    ("GEORADIUSBYMEMBER", "-ERR member *", "-ERR could not decode *", "Valkey names the member"),
    ("GEOSEARCH", "-ERR member *", "-ERR could not decode *", "Valkey names the member"),
    ("GEOSEARCHSTORE", "-ERR member *", "-ERR could not decode *", "Valkey names the member"),
    ("GETEX", "-ERR *", "(null*", "Valkey looks at the expiry before the key"),
    ("GETEX", "-ERR *", "-WRONGTYPE *", "Valkey looks at the expiry before the key"),
    ("HELLO", "-ERR Syntax error *", "-WRONGPASS *", "Valkey reads all options before it looks at the password"),
    ("LOLWUT", "-ERR *", "*", "Valkey draws other art, with other arguments"),
    ("OBJECT ENCODING", "\"raw\"", "\"embstr\"", "Valkey embeds key and value together, or neither"),
    ("OBJECT ENCODING", "\"embstr\"", "\"raw\"", "a short key leaves room for a longer value"),
    ("LSET", "+OK", "-ERR index out of range", "Valkey takes the smallest index for the first element"),
    ("SCAN", "-ERR unknown type name *", "*", "Valkey knows which types there are"),
    (
        "SORT",
        "-ERR One or more scores *",
        "*",
        "Redis 7.0 reads weights with blanks in front or in hexadecimal, and none",
    ),
    ("SORT_RO", "-ERR One or more scores *", "*", "so it does here"),
];

/// Leaves out bounds of scores with blanks in front or in hexadecimal: Redis 7.0 takes them, Redis 8 and Valkey 9 do
/// not. And searches around a place on the edge of the map: Redis then looks in cells that are not there. And SORT BY a
/// pattern without a star, see [`sorts_by_nothing`].
pub(crate) fn for_old_redis(commands: &mut Vec<Command>) {
    commands.retain(|command| {
        let has_bounds = is_one_of(
            command,
            &[b"zcount", b"zrange", b"zrangestore", b"zrangebyscore", b"zrevrangebyscore", b"zremrangebyscore"],
        );
        let blank = |arg: &[u8]| arg.strip_prefix(b"(").unwrap_or(arg).first().is_some_and(u8::is_ascii_whitespace);
        let odd = |arg: &Vec<u8>| is_hex(arg) || blank(arg);
        !(has_bounds && command[1..].iter().any(odd) || is_at_the_edge(command) || sorts_by_nothing(command))
    });
    keep_to_the_map(commands);
}

/// Leaves out scores in hexadecimal, which Valkey 9 does not take; MULTI and WATCH inside MULTI, which make its EXEC
/// fail; and LSET of long elements, see [`sets_a_long_element`].
pub(crate) fn for_valkey(commands: &mut Vec<Command>) {
    let mut queues = false;
    commands.retain(|command| {
        let hex = command[0].to_ascii_lowercase().starts_with(b"z") && command[1..].iter().any(|arg| is_hex(arg));
        let begins = is_one_of(command, &[b"multi"]);
        let refused = queues && (begins || is_one_of(command, &[b"watch"]));
        queues = after(queues, command);
        !(hex || refused || is_at_the_edge(command) || sorts_another_key(command) || sets_a_long_element(command))
    });
    keep_to_the_map(commands);
}

/// Whether commands are queued after this one. A wrong number of arguments ends EXEC's transaction, and nothing else.
fn after(queues: bool, command: &Command) -> bool {
    let alone = |names: &[&[u8]]| command.len() == 1 && is_one_of(command, names);
    (queues || alone(&[b"multi"])) && !(is_one_of(command, &[b"exec"]) || alone(&[b"discard", b"reset"]))
}

/// Leaves out VADD with a huge number of dimensions: Redis 8.0 ends when it asks for that much memory. And COPY where
/// there are vector sets, which it does not copy; AUTH, after which it does not go on with a pipeline; and words with a
/// zero byte as options of VADD, which it reads up to there.
///
/// Commands of a module take any number of arguments until they run, so calls with too few or too many are left out;
/// and they count as a change of their key even if they change nothing, as HSETEX does with a time that is past (it
/// stores the fields first), so they are left out while keys are watched. NX and XX of HSETEX are Valkey's.
pub(crate) fn for_redis(commands: &mut Vec<Command>) {
    let huge = |arg: &Vec<u8>| arg.len() > 9 && arg.iter().all(u8::is_ascii_digit);
    let vectors = commands.iter().any(|command| is_one_of(command, &[b"vadd"]));
    let table = CommandTable::new();
    let spec = |command: &Command| table.lookup(&command[0]).map(|id| table.get(id));
    let mut watches = false;
    commands.retain(|command| {
        let of_module = spec(command).filter(|spec| spec.group == Group::Module);
        let hsetex = is_one_of(command, &[b"hsetex"]);
        if of_module.is_some_and(|spec| !spec.accepts(command.len())) || watches && (of_module.is_some() || hsetex) {
            return false;
        }
        if hsetex && command.iter().any(|arg| [&b"nx"[..], b"xx"].iter().any(|word| arg.eq_ignore_ascii_case(word))) {
            return false;
        }
        watches = (watches || is_one_of(command, &[b"watch"])) && !is_one_of(command, &[b"exec"]);
        let refused = vectors && is_one_of(command, &[b"copy"]);
        let login = command.iter().any(|arg| arg.eq_ignore_ascii_case(b"auth"));
        let ends = is_one_of(command, &[b"vadd"])
            && command.len() > 2
            && (command.iter().any(huge) || command[2..].iter().any(|arg| arg.contains(&0)));
        let differs = is_at_the_edge(command) || sorts_another_key(command) || sets_a_long_element(command);
        !(ends || refused || login || differs)
    });
    keep_to_the_map(commands);
}

fn is_one_of(command: &Command, names: &[&[u8]]) -> bool {
    names.iter().any(|name| command[0].eq_ignore_ascii_case(name))
}

/// SORT of a key that may be a sorted set: Redis keeps that as a skiplist from then on.
fn sorts_another_key(command: &Command) -> bool {
    let own = |key: &Vec<u8>| [&b"numbers"[..], b"{t}numbers", b"words"].contains(&&key[..]);
    is_one_of(command, &[b"sort", b"sort_ro"]) && !command.get(1).is_some_and(own)
}

/// SORT BY a pattern without a star leaves a set in the order of its hash table, which differs from server to server.
fn sorts_by_nothing(command: &Command) -> bool {
    let by = |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"by") && !pair[1].contains(&b'*');
    is_one_of(command, &[b"sort", b"sort_ro"]) && command.windows(2).any(by)
}

/// LSET of an element that does not fit into a listpack: newer servers turn the list into a quicklist before they see
/// that the index is out of range.
fn sets_a_long_element(command: &Command) -> bool {
    is_one_of(command, &[b"lset"]) && command.get(3).is_some_and(|element| element.len() > 4096)
}

/// Whether the servers hold different data from here on although the replies are excused: only one of them stored what
/// it sorted.
pub(crate) fn stored_once(command: &Command, theirs: &Value, ours: &Value) -> bool {
    let stores = is_one_of(command, &[b"sort"]) && command.iter().any(|arg| arg.eq_ignore_ascii_case(b"store"));
    stores && theirs.is_error() != ours.is_error()
}

fn is_hex(arg: &[u8]) -> bool {
    arg.windows(2).any(|two| two.eq_ignore_ascii_case(b"0x"))
}

fn is_at_the_edge(command: &Command) -> bool {
    let searches = is_one_of(command, &[b"georadius", b"geosearch", b"geosearchstore"]);
    searches && command.iter().any(|arg| [&b"85.05112878"[..], b"180", b"-180", b"1e9"].contains(&&arg[..]))
}

/// Leaves out searches around a member where sorted sets have scores that are no places on the map: below 0, or 2^52
/// and more. Redis takes such a place for one on the edge and looks in cells that are not there.
fn keep_to_the_map(commands: &mut Vec<Command>) {
    let number = |arg: &Vec<u8>| std::str::from_utf8(arg).ok().and_then(|text| text.parse::<f64>().ok());
    let off = |arg: &Vec<u8>| number(arg).is_some_and(|score| !(0.0..4_503_599_627_370_496.0).contains(&score));
    let scores = |command: &Command| command[0].first().is_some_and(|first| first.eq_ignore_ascii_case(&b'z'));
    if commands.iter().any(|command| scores(command) && command[1..].iter().any(off)) {
        let by_member = |command: &Command| {
            let search = is_one_of(command, &[b"geosearch", b"geosearchstore"]);
            let from = search && command.iter().any(|arg| arg.eq_ignore_ascii_case(b"frommember"));
            from || is_one_of(command, &[b"georadiusbymember", b"georadiusbymember_ro"])
        };
        commands.retain(|command| !by_member(command));
    }
}

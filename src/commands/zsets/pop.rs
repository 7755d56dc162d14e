//! ZPOPMIN, ZPOPMAX and ZMPOP: the least or greatest members are answered and go.

use crate::base::text::{self, parse_i64};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::Relay;
use crate::commands::zsets::{After, Refusal, edit, member};
use crate::resp::reply::{Proto, Reply};
use crate::types::listpack::Item;
use crate::types::table::Key;
use crate::types::zset::Zset;

const COUNT_NEGATIVE: Refusal = "ERR value is out of range, must be positive";
const NO_KEYS: Refusal = "ERR numkeys should be greater than 0";
const COUNT_NOT_POSITIVE: Refusal = "ERR count should be greater than 0";

/// Which end members are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The least scores.
    Min,
    /// The greatest.
    Max,
}

impl End {
    fn parse(word: &[u8]) -> Option<Self> {
        if word.eq_ignore_ascii_case(b"min") {
            Some(End::Min)
        } else if word.eq_ignore_ascii_case(b"max") {
            Some(End::Max)
        } else {
            None
        }
    }

    /// The command that takes from this end of one key, which is also the event's name.
    pub(crate) fn command(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

/// Takes up to `count` members out of a sorted set that is not empty and hands each to `visit`.
fn take(zset: &mut Zset, end: End, count: usize, mut visit: impl FnMut(usize, &Zset, std::ops::Range<usize>)) -> After {
    let (len, count) = (zset.len(), count.min(zset.len()));
    let ranks = if end == End::Min { 0..count } else { len - count..len };
    visit(count, zset, ranks.clone());
    if count == len {
        return After::Emptied;
    }
    zset.remove_ranks(ranks);
    if count > 0 { After::Changed } else { After::Same }
}

/// `ZPOPMIN key [count]`.
pub(crate) fn zpopmin(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    pop(ctx, args, reply, End::Min);
}

/// `ZPOPMAX key [count]`.
pub(crate) fn zpopmax(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    pop(ctx, args, reply, End::Max);
}

fn pop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) {
    if args.len() > 3 {
        return reply.error(errors::SYNTAX);
    }
    let count = match args.get(2).map(|text| parse_i64(text).and_then(|n| usize::try_from(n).ok())) {
        None => None,
        Some(Some(count)) => Some(count),
        Some(None) => return reply.error(COUNT_NEGATIVE),
    };
    // A RESP3 client that names a count gets pairs.
    let pairs = count.is_some() && reply.proto == Proto::Resp3;
    let popped = edit(ctx, Key::new(&args[1]), end.command(), |zset| {
        let mut taken = 0;
        let after = take(zset, end, count.unwrap_or(1), |count, zset, ranks| {
            taken = count;
            reply.array(if pairs { count } else { 2 * count });
            write(zset, ranks, end, pairs, reply);
        });
        (after, taken)
    });
    match popped {
        Ok(Some(taken)) => ctx.shard.changed_many(taken),
        Ok(None) => reply.array(0),
        Err(refusal) => reply.error(refusal),
    }
}

/// Writes members and scores, the first to go first.
fn write(zset: &Zset, ranks: std::ops::Range<usize>, end: End, pairs: bool, reply: &mut Reply<'_>) {
    for (item, score) in zset.range(ranks, end == End::Max) {
        if pairs {
            reply.array(2);
        }
        member(reply, item);
        reply.double(score);
    }
}

/// Pops up to `count` members of one key as ZMPOP answers it; false, and nothing written, if there are none.
pub(crate) fn pop_named(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<bool, Refusal> {
    let popped = edit(ctx, Key::new(key), end.command(), |zset| {
        let mut taken = 0;
        let after = take(zset, end, count, |count, zset, ranks| {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
            write(zset, ranks, end, true, reply);
            taken = count;
        });
        (after, taken)
    })?;
    let Some(taken) = popped else { return Ok(false) };
    ctx.shard.changed_many(taken);
    ctx.shard.events.effect(&[end.command().as_bytes(), key, itoa::Buffer::new().format(taken).as_bytes()]);
    Ok(true)
}

/// Pops one member of a key and hands it with its score to `visit`; nothing if there is none.
pub(crate) fn pop_one(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    mut visit: impl FnMut(Item<'_>, f64),
) -> Result<(), Refusal> {
    edit(ctx, Key::new(key), end.command(), |zset| {
        let after = take(zset, end, 1, |_, zset, ranks| {
            zset.range(ranks, false).for_each(|(item, score)| visit(item, score));
        });
        (after, ())
    })?;
    Ok(())
}

/// What ZMPOP is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Index of the first key.
    pub(crate) first: usize,
    /// Keys.
    pub(crate) keys: usize,
    /// Which end.
    pub(crate) end: End,
    /// Most members.
    pub(crate) count: usize,
}

impl Wanted {
    /// `numkeys key [key ...] MIN|MAX [COUNT count]`, `numkeys` being word `at` of `len`.
    pub(crate) fn parse<'a>(at: usize, len: usize, word: impl Fn(usize) -> &'a [u8]) -> Result<Self, Refusal> {
        let keys = parse_i64(word(at)).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or(NO_KEYS)?;
        let end_at = keys.saturating_add(at + 1);
        if end_at >= len {
            return Err(errors::SYNTAX);
        }
        let end = End::parse(word(end_at)).ok_or(errors::SYNTAX)?;
        let count = match len - end_at - 1 {
            0 => 1,
            2 if word(end_at + 1).eq_ignore_ascii_case(b"count") => {
                let count = parse_i64(word(end_at + 2)).and_then(|n| usize::try_from(n).ok());
                count.filter(|n| *n > 0).ok_or(COUNT_NOT_POSITIVE)?
            }
            _ if len > end_at + 2 && word(end_at + 1).eq_ignore_ascii_case(b"count") => {
                let count = parse_i64(word(end_at + 2)).filter(|n| *n > 0);
                return Err(count.map_or(COUNT_NOT_POSITIVE, |_| errors::SYNTAX));
            }
            _ => return Err(errors::SYNTAX),
        };
        Ok(Wanted { first: at + 1, keys, end, count })
    }
}

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]`, all keys being here.
pub(crate) fn zmpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let wanted = match Wanted::parse(1, args.len(), |at| &args[at]) {
        Ok(wanted) => wanted,
        Err(refusal) => return reply.error(refusal),
    };
    for at in wanted.first..wanted.first + wanted.keys {
        match pop_named(ctx, &args[at], wanted.end, wanted.count, reply) {
            Ok(false) => {}
            Ok(true) => return,
            Err(refusal) => return reply.error(refusal),
        }
    }
    ctx.shard.events.no_effect();
    reply.null_array();
}

/// ZMPOP over several shards: asks every key for its length, then pops from the first that has members.
pub(crate) fn relay_zmpop(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Vec<Vec<Vec<u8>>> {
    relay_pop(relay, reply, 1)
}

/// As [`relay_zmpop`], `numkeys` being argument `at` (BZMPOP has a timeout before it).
pub(crate) fn relay_pop(relay: &Relay<'_>, reply: &mut Reply<'_>, at: usize) -> Vec<Vec<Vec<u8>>> {
    let wanted = match Wanted::parse(at, relay.args.len(), |at| &relay.args[at]) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            reply.error(refusal);
            return Vec::new();
        }
    };
    let keys = &relay.args[wanted.first..wanted.first + wanted.keys];
    let end = if wanted.end == End::Min { "MIN" } else { "MAX" };
    let count = wanted.count.to_string();
    let pop = |key: &[u8]| words(&[b"zmpop", b"1", key, end.as_bytes(), b"COUNT", count.as_bytes()]);
    first_relay(relay, keys, pop, reply, |_, popped, reply| relay_answer(popped, reply))
}

/// Over several shards: pops one member of the first key that has some.
pub(crate) fn relay_one(relay: &Relay<'_>, keys: &[Vec<u8>], end: End, reply: &mut Reply<'_>) -> Vec<Vec<Vec<u8>>> {
    let pop = |key: &[u8]| words(&[end.command().as_bytes(), key]);
    first_relay(relay, keys, pop, reply, |key, mut popped, reply| {
        take_header(&mut popped, b'*');
        reply.array(3);
        reply.bulk(key);
        reply.bulk(take_bulk(&mut popped));
        reply.double(text::parse_f64(take_bulk(&mut popped)).unwrap_or(0.0));
    })
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Asks every key for its length, runs `pop` on the first that has members, and writes what that answered.
fn first_relay(
    relay: &Relay<'_>,
    keys: &[Vec<u8>],
    pop: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    reply: &mut Reply<'_>,
    write: impl Fn(&[u8], &[u8], &mut Reply<'_>),
) -> Vec<Vec<Vec<u8>>> {
    let Some(lengths) = relay.rounds.first() else {
        return keys.iter().map(|key| words(&[b"zcard", key])).collect();
    };
    let Some(chosen) = lengths.iter().position(|length| length != b":0\r\n") else {
        reply.null_array();
        return Vec::new();
    };
    match relay.rounds.get(1) {
        _ if lengths[chosen].starts_with(b"-") => reply.raw(&lengths[chosen]),
        None => return vec![pop(&keys[chosen])],
        Some(popped) => write(&keys[chosen], &popped[0], reply),
    }
    Vec::new()
}

/// Passes ZMPOP's RESP2 reply on in the client's dialect.
fn relay_answer(encoded: &[u8], reply: &mut Reply<'_>) {
    if reply.proto == Proto::Resp2 {
        return reply.raw(encoded);
    }
    let mut rest = encoded;
    if take_header(&mut rest, b'*') != Some(2) {
        return reply.raw(if encoded.starts_with(b"*-1") { b"_\r\n" } else { encoded });
    }
    reply.array(2);
    reply.bulk(take_bulk(&mut rest));
    let count = take_header(&mut rest, b'*').unwrap_or(0);
    reply.array(count);
    for _ in 0..count {
        take_header(&mut rest, b'*');
        reply.array(2);
        reply.bulk(take_bulk(&mut rest));
        reply.double(text::parse_f64(take_bulk(&mut rest)).unwrap_or(0.0));
    }
}

/// The number of a header line that begins with `marker`.
fn take_header(rest: &mut &[u8], marker: u8) -> Option<usize> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, after) = rest.split_at(end);
    let number = line.strip_prefix(&[marker])?;
    *rest = &after[2..];
    parse_i64(number).and_then(|n| usize::try_from(n).ok())
}

/// The next string; empty if there is none, which a shard does not answer.
fn take_bulk<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let len = take_header(rest, b'$').unwrap_or(0).min(rest.len());
    let (bulk, after) = rest.split_at(len);
    *rest = after.get(2..).unwrap_or_default();
    bulk
}

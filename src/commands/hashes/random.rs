//! HRANDFIELD: fields drawn at random.

use super::{Refusal, answer, read};
use crate::base::limits::RANDOM_MEMBERS_MAX;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::{Proto, Reply};
use crate::types::hash::{Hash, Pair};
use std::collections::BTreeSet;

const OUT_OF_RANGE: Refusal = "ERR value is out of range";
const COUNT_TOO_LOW: Refusal =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
/// Where more than one in this many fields is wanted, all are listed and some left out; else they are drawn one by one.
const DRAW_SHARE: usize = 3;

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(crate) fn hrandfield(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = hrandfield_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn hrandfield_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let wanted = match args.get(2) {
        None => None,
        Some(count) => Some(parse_count(args, count)?),
    };
    let now_ms = ctx.shard.now_ms;
    let mut dice = ctx.shard.dice();
    let hash = read(ctx, args)?;
    let Some((count, values)) = wanted else {
        match hash.and_then(|hash| hash.random(now_ms, dice)) {
            Some(pair) => answer(reply, pair.name),
            None => reply.null(),
        }
        return Ok(());
    };
    let live = hash.map_or(0, |hash| hash.live_len(now_ms));
    let Some(hash) = hash.filter(|_| live > 0 && count != 0) else {
        reply.array(0);
        return Ok(());
    };
    let many = count.unsigned_abs() as usize;
    if count > 0 {
        distinct(hash, now_ms, many.min(live), live, values, &mut dice, reply);
    } else if many > RANDOM_MEMBERS_MAX {
        return Err(OUT_OF_RANGE);
    } else {
        with_repeats(hash, now_ms, many, values, &mut dice, reply);
    }
    Ok(())
}

/// The count, and whether values are wanted.
fn parse_count(args: &Args<'_>, count: &[u8]) -> Result<(i64, bool), Refusal> {
    let count = parse_i64(count).ok_or(errors::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(COUNT_TOO_LOW);
    }
    let values = match (args.get(3), args.len()) {
        (None, _) => false,
        (Some(option), 4) if option.eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(errors::SYNTAX),
    };
    if values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    Ok((count, values))
}

/// Header of so many fields: with values an array of pairs in RESP3, a flat one in RESP2.
fn header(count: usize, values: bool, reply: &mut Reply<'_>) {
    reply.array(if values && reply.proto == Proto::Resp2 { 2 * count } else { count });
}

fn one(pair: Pair<'_>, values: bool, reply: &mut Reply<'_>) {
    if values && reply.proto == Proto::Resp3 {
        reply.array(2);
    }
    answer(reply, pair.name);
    if values {
        answer(reply, pair.value);
    }
}

/// Any field may come any number of times.
fn with_repeats(
    hash: &Hash,
    now_ms: u64,
    count: usize,
    values: bool,
    dice: &mut impl FnMut() -> u64,
    reply: &mut Reply<'_>,
) {
    header(count, values, reply);
    let listed: Vec<Pair<'_>> = if hash.is_table() { Vec::new() } else { hash.live(now_ms).collect() };
    for _ in 0..count {
        let pair = match (dice() as usize).checked_rem(listed.len()) {
            Some(index) => Some(listed[index]),
            None => hash.random(now_ms, &mut *dice),
        };
        let Some(pair) = pair else { unreachable!("a field is not due") };
        one(pair, values, reply);
    }
}

/// Each field at most once; `count` is at most `live`.
fn distinct(
    hash: &Hash,
    now_ms: u64,
    count: usize,
    live: usize,
    values: bool,
    dice: &mut impl FnMut() -> u64,
    reply: &mut Reply<'_>,
) {
    header(count, values, reply);
    if count == live {
        return hash.live(now_ms).for_each(|pair| one(pair, values, reply));
    }
    if count > live / DRAW_SHARE || !hash.is_table() {
        let mut listed: Vec<Pair<'_>> = hash.live(now_ms).collect();
        for at in 0..count {
            let chosen = at + dice() as usize % (listed.len() - at);
            listed.swap(at, chosen);
            one(listed[at], values, reply);
        }
        return;
    }
    let mut drawn = BTreeSet::new();
    while drawn.len() < count {
        let Some(pair) = hash.random(now_ms, &mut *dice) else { unreachable!("a field is not due") };
        if pair.name.with_bytes(|name| drawn.insert(name.to_vec())) {
            one(pair, values, reply);
        }
    }
}

//! Reading a hash: one field, several, or all of it.

use super::{Refusal, answer, read};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;
use crate::types::hash::{Hash, Pair};

/// `HGET key field`
pub(crate) fn hget(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    one(ctx, args, reply, |pair, reply| match pair {
        Some(pair) => answer(reply, pair.value),
        None => reply.null(),
    });
}

/// `HEXISTS key field`
pub(crate) fn hexists(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    one(ctx, args, reply, |pair, reply| reply.integer(i64::from(pair.is_some())));
}

/// `HSTRLEN key field`
pub(crate) fn hstrlen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    one(ctx, args, reply, |pair, reply| reply.integer(pair.map_or(0, |pair| pair.value.len() as i64)));
}

/// Looks the field at argument 2 up.
#[inline]
fn one(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    answer: impl FnOnce(Option<Pair<'_>>, &mut Reply<'_>),
) {
    let now_ms = ctx.shard.now_ms;
    match read(ctx, args) {
        Ok(hash) => answer(hash.and_then(|hash| hash.get(&args[2], now_ms)), reply),
        Err(refusal) => reply.error(refusal),
    }
}

/// `HMGET key field [field ...]`
pub(crate) fn hmget(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let now_ms = ctx.shard.now_ms;
    match read(ctx, args) {
        Ok(hash) => {
            reply.array(args.len() - 2);
            args.from(2).for_each(|name| value(hash, name, now_ms, reply));
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// Answers a value or nothing.
pub(super) fn value(hash: Option<&Hash>, name: &[u8], now_ms: u64, reply: &mut Reply<'_>) {
    match hash.and_then(|hash| hash.get(name, now_ms)) {
        Some(pair) => answer(reply, pair.value),
        None => reply.null(),
    }
}

/// `HLEN key`: fields that are due count until they are removed.
pub(crate) fn hlen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match read(ctx, args) {
        Ok(hash) => reply.integer(hash.map_or(0, Hash::len) as i64),
        Err(refusal) => reply.error(refusal),
    }
}

/// `HGETALL key`
pub(crate) fn hgetall(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let all = |live, reply: &mut Reply<'_>, hash: Option<&Hash>, now_ms| {
        reply.map(live);
        hash.into_iter().flat_map(|hash| hash.live(now_ms)).for_each(|pair| {
            answer(reply, pair.name);
            answer(reply, pair.value);
        });
    };
    whole(ctx, args, reply, all).unwrap_or_else(|refusal| reply.error(refusal));
}

/// `HKEYS key`
pub(crate) fn hkeys(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let names = |live, reply: &mut Reply<'_>, hash: Option<&Hash>, now_ms| {
        reply.array(live);
        hash.into_iter().flat_map(|hash| hash.live(now_ms)).for_each(|pair| answer(reply, pair.name));
    };
    whole(ctx, args, reply, names).unwrap_or_else(|refusal| reply.error(refusal));
}

/// `HVALS key`
pub(crate) fn hvals(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let values = |live, reply: &mut Reply<'_>, hash: Option<&Hash>, now_ms| {
        reply.array(live);
        hash.into_iter().flat_map(|hash| hash.live(now_ms)).for_each(|pair| answer(reply, pair.value));
    };
    whole(ctx, args, reply, values).unwrap_or_else(|refusal| reply.error(refusal));
}

/// Gives `answer` the number of fields that are not due, and the hash.
fn whole(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    answer: impl FnOnce(usize, &mut Reply<'_>, Option<&Hash>, u64),
) -> Result<(), Refusal> {
    let now_ms = ctx.shard.now_ms;
    let hash = read(ctx, args)?;
    let live = hash.map_or(0, |hash| hash.live_len(now_ms));
    answer(live, reply, hash, now_ms);
    Ok(())
}

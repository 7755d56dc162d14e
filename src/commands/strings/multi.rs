//! Strings by the handful: MGET, MSET, MSETNX, MSETEX. Each function handles the keys it is given; when they live on
//! several shards, each shard is given its own (the same command with fewer keys, for MSETEX with `numkeys` adjusted
//! and the options repeated).
//!
//! Keys are looked up in groups: first their buckets are prefetched, then their entries, then they are read, so that
//! the memory misses of a group overlap.

use super::options::{Condition, Family, Options};
use super::set::{holds, store};
use super::{Refusal, answer, is_alien, refuse_short};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::table::{Expire, Key};
use smallvec::SmallVec;

/// Keys whose misses overlap.
const GROUP: usize = 16;

const NUMKEYS: Refusal = "ERR invalid numkeys value or out of range";

/// The keys at `first`, `first + step`, ... (at most [`GROUP`], below `end`), their memory on its way.
fn fetch<'k>(
    ctx: &Context<'_>,
    args: &'k Args<'_>,
    first: usize,
    end: usize,
    step: usize,
) -> SmallVec<[Key<'k>; GROUP]> {
    let keys: SmallVec<[Key<'k>; GROUP]> =
        (first..end).step_by(step).take(GROUP).map(|index| Key::new(&args[index])).collect();
    if keys.len() > 1 {
        keys.iter().for_each(|key| ctx.shard.prefetch_bucket(ctx.db, key.pos));
        keys.iter().for_each(|key| ctx.shard.prefetch_entry(ctx.db, key.pos));
    }
    keys
}

/// `MGET key [key ...]`: null for a key that is absent or no string.
pub(crate) fn mget(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    reply.array(args.len() - 1);
    for first in (1..args.len()).step_by(GROUP) {
        for key in fetch(ctx, args, first, args.len(), 1) {
            match ctx.shard.read(ctx.db, key, ctx.no_touch) {
                Some(view) if !is_alien(view) => answer(reply, view),
                _ => reply.null(),
            }
        }
    }
}

/// Sets the key-value pairs of arguments `start..end`, in order.
fn set_pairs(ctx: &mut Context<'_>, args: &mut Args<'_>, start: usize, end: usize, expire: Expire) {
    // Only one argument can be big, and a value among thousands seldom is: ask each time, it is one comparison.
    for first in (start..end).step_by(2 * GROUP) {
        drop(fetch(ctx, args, first, end, 2));
        for index in (first..end.min(first + 2 * GROUP)).step_by(2) {
            let big = args.take_big(index + 1);
            let key = Key::new(&args[index]);
            store(ctx, key, &args[index + 1], big, expire);
        }
    }
}

/// Whether none of the keys of the pairs `start..end` exists.
fn all_absent(ctx: &mut Context<'_>, args: &Args<'_>, start: usize, end: usize) -> bool {
    all_hold(ctx, args, start, end, Condition::Absent)
}

/// Whether `condition` (not IFEQ) holds for every key of the pairs `start..end`.
fn all_hold(ctx: &mut Context<'_>, args: &Args<'_>, start: usize, end: usize, condition: Condition) -> bool {
    condition == Condition::Always
        || (start..end).step_by(2 * GROUP).all(|first| {
            fetch(ctx, args, first, end, 2).into_iter().all(|key| holds(ctx, key, condition, args).unwrap_or(false))
        })
}

/// `MSET key value [key value ...]`
pub(crate) fn mset(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return errors::wrong_arity("mset", reply);
    }
    set_pairs(ctx, args, 1, args.len(), Expire::Clear);
    reply.ok();
}

/// The check of MSETNX: `:1` if none of the given keys exists.
pub(crate) fn msetnx_check(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return errors::wrong_arity("msetnx", reply);
    }
    let absent = all_absent(ctx, args, 1, args.len());
    reply.integer(i64::from(absent));
}

/// `MSETNX key value [key value ...]`, checking the given keys first: `:0` and nothing is set if one exists.
pub(crate) fn msetnx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return errors::wrong_arity("msetnx", reply);
    }
    let absent = all_absent(ctx, args, 1, args.len());
    if absent {
        set_pairs(ctx, args, 1, args.len(), Expire::Clear);
    }
    reply.integer(i64::from(absent));
}

/// MSETEX's arguments: where its pairs end and what its options say.
fn msetex_parse(args: &Args<'_>, now_ms: u64) -> Result<(usize, Condition, Expire), Refusal> {
    let pairs = match parse_i64(&args[1]) {
        Some(count) if (1..=i64::from(i32::MAX)).contains(&count) => count as usize,
        _ => return Err(NUMKEYS),
    };
    let end = 2 + 2 * pairs;
    if end > args.len() {
        return Err(errors::SYNTAX);
    }
    let options = Options::parse(args, end, Family::MsetEx)?;
    Ok((end, options.condition, options.expire(args, now_ms)?))
}

/// The check of MSETEX: `:1` if NX or XX, where given, hold for all the given keys.
pub(crate) fn msetex_check(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match msetex_parse(args, ctx.shard.now_ms) {
        Ok((end, condition, _)) => reply.integer(i64::from(all_hold(ctx, args, 2, end, condition))),
        Err(refusal) => reply.error(refusal),
    }
}

/// `MSETEX numkeys key value [key value ...] [NX|XX] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`, checking the given keys
/// first: `:1`, or `:0` and nothing is set.
pub(crate) fn msetex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match msetex_parse(args, ctx.shard.now_ms) {
        Ok((end, condition, expire)) => {
            let goes = all_hold(ctx, args, 2, end, condition);
            if goes {
                journal_msetex(ctx, args, end, expire);
                set_pairs(ctx, args, 2, end, expire);
            }
            reply.integer(i64::from(goes));
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// Journals an MSETEX with a time as one with the time that is meant.
fn journal_msetex(ctx: &mut Context<'_>, args: &Args<'_>, end: usize, expire: Expire) {
    let Expire::At(at_ms) = expire else { return };
    if ctx.shard.events.journaled {
        let mut digits = itoa::Buffer::new();
        let mut words: Vec<&[u8]> = args.from(0).take(end).collect();
        words.extend([&b"PXAT"[..], digits.format(at_ms).as_bytes()]);
        ctx.shard.events.effect(&words);
    }
}

#[cfg(test)]
#[path = "multi_tests.rs"]
mod tests;

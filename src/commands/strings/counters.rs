//! Strings that count: INCR, DECR, INCRBY, DECRBY. Keeps the expiry; a refused count changes nothing.

use super::{Refusal, current_bytes, refuse_short};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::table::Current;
use crate::types::value::{NewValue, View};

const OVERFLOW: Refusal = "ERR increment or decrement would overflow";
const NEGATION: Refusal = "ERR decrement would overflow";

/// `INCR key`
pub(crate) fn incr(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(ctx, args, reply, 2, |_| Ok(1));
}

/// `DECR key`
pub(crate) fn decr(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(ctx, args, reply, 2, |_| Ok(-1));
}

/// `INCRBY key increment`
pub(crate) fn incrby(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(ctx, args, reply, 3, |args| parse_i64(&args[2]).ok_or(errors::NOT_INTEGER));
}

/// `DECRBY key decrement`
pub(crate) fn decrby(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(ctx, args, reply, 3, |args| parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?.checked_neg().ok_or(NEGATION));
}

/// The frame of the four: reads the step, of a command with `arity` arguments, and answers the sum.
#[inline]
fn count(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    arity: usize,
    step: impl FnOnce(&Args<'_>) -> Result<i64, Refusal>,
) {
    if args.len() < arity {
        return refuse_short(args, reply);
    }
    match step(args).and_then(|step| add(ctx, &args[1], step)) {
        Ok(sum) => reply.integer(sum),
        Err(refusal) => reply.error(refusal),
    }
}

/// Adds `step` to the integer at `key`; an absent key counts as 0.
#[inline]
fn add(ctx: &mut Context<'_>, key: &[u8], step: i64) -> Result<i64, Refusal> {
    let key = ctx.first_key(key);
    let sum = ctx.shard.update(ctx.db, key, |current| {
        let old = match current {
            None => 0,
            Some(Current::Inline(View::Int(number))) => number,
            Some(current) => {
                let mut digits = itoa::Buffer::new();
                parse_i64(current_bytes(&current, &mut digits)?).ok_or(errors::NOT_INTEGER)?
            }
        };
        let sum = old.checked_add(step).ok_or(OVERFLOW)?;
        Ok::<_, Refusal>((Change::Replace(NewValue::Int(sum)), sum))
    })?;
    ctx.happen(class::STRING, "incrby", key.bytes);
    Ok(sum)
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;

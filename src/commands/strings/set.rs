//! SET and its older forms: SETNX, SETEX, PSETEX, GETSET. Never keeps part of an old value.

use super::options::{Condition, Family, Options, deadline};
use super::{Refusal, answer, boxed, bytes_of, encode, is_alien, refuse_short};
use crate::base::bytes::BigString;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::time_unit::TimeUnit;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::{Expire, Key};

/// Replaces whatever `key` holds by `big`, or else by `bytes`, counting the write and telling its events. A key whose
/// time is over already is removed instead, and what is told is what Redis tells: that it was set and has expired.
#[inline]
pub(super) fn store(ctx: &mut Context<'_>, key: Key<'_>, bytes: &[u8], big: Option<BigString>, expire: Expire) {
    if let Expire::At(at_ms) = expire
        && at_ms <= ctx.shard.now_ms
    {
        return store_expired(ctx, key);
    }
    let value = match big {
        Some(big) => boxed(big),
        None => encode(bytes),
    };
    ctx.shard.set(ctx.db, key, value, expire);
    ctx.happen(class::STRING, "set", key.bytes);
    if let Expire::At(_) = expire {
        ctx.happen(class::GENERIC, "expire", key.bytes);
    }
}

#[cold]
fn store_expired(ctx: &mut Context<'_>, key: Key<'_>) {
    if ctx.shard.remove(ctx.db, key) {
        ctx.shard.events.effect(&[b"DEL", key.bytes]);
    } else {
        ctx.happen(class::NEW, "new", key.bytes);
        ctx.shard.events.no_effect();
    }
    ctx.happen(class::STRING, "set", key.bytes);
    ctx.happen(class::GENERIC, "expire", key.bytes);
    ctx.happen(class::EXPIRED, "expired", key.bytes);
}

/// Journals a string that was set to expire: with the time it expires at, whatever the client's words for that were.
pub(super) fn journal_set_until(ctx: &mut Context<'_>, key: &[u8], value: &[u8], expire: Expire) {
    if let Expire::At(at_ms) = expire
        && ctx.shard.events.journaled
        && at_ms > ctx.shard.now_ms
    {
        let mut digits = itoa::Buffer::new();
        ctx.shard.events.effect(&[b"SET", key, value, b"PXAT", digits.format(at_ms).as_bytes()]);
    }
}

/// `SET key value [NX|XX|IFEQ v] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
pub(crate) fn set(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() == 3 {
        let big = args.take_big(2);
        let key = ctx.first_key(&args[1]);
        store(ctx, key, &args[2], big, Expire::Clear);
        reply.ok();
    } else if args.len() < 3 {
        refuse_short(args, reply);
    } else if let Err(refusal) = set_with_options(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn set_with_options(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let options = Options::parse(args, 3, Family::Set)?;
    let expire = options.expire(args, ctx.shard.now_ms)?;
    let big = args.take_big(2);
    let key = ctx.first_key(&args[1]);
    let goes = if options.get {
        let found = ctx.shard.read(ctx.db, key, ctx.no_touch);
        let mut digits = itoa::Buffer::new();
        let goes = match (options.condition, found) {
            (_, Some(view)) if is_alien(view) => return Err(errors::WRONGTYPE),
            (Condition::Always, _) => true,
            (Condition::Absent, found) => found.is_none(),
            (Condition::Present, found) => found.is_some(),
            (Condition::Equal(_), None) => false,
            (Condition::Equal(index), Some(view)) => bytes_of(view, &mut digits)? == &args[index],
        };
        match found {
            Some(view) => answer(reply, view),
            None => reply.null(),
        }
        goes
    } else {
        holds(ctx, key, options.condition, args)?
    };
    if goes {
        journal_set_until(ctx, key.bytes, big.as_ref().map_or(&args[2], |big| big), expire);
        store(ctx, key, &args[2], big, expire);
    }
    match (options.get, goes) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

/// Whether `condition` holds for `key`; refuses IFEQ on another type.
pub(super) fn holds(
    ctx: &mut Context<'_>,
    key: Key<'_>,
    condition: Condition,
    args: &Args<'_>,
) -> Result<bool, Refusal> {
    if condition == Condition::Always {
        return Ok(true);
    }
    let found = ctx.shard.write(ctx.db, key);
    match (condition, found) {
        (Condition::Always, _) => Ok(true),
        (Condition::Absent, found) => Ok(found.is_none()),
        (Condition::Present, found) => Ok(found.is_some()),
        (Condition::Equal(_), None) => Ok(false),
        (Condition::Equal(index), Some(view)) => {
            let mut digits = itoa::Buffer::new();
            Ok(bytes_of(view, &mut digits)? == &args[index])
        }
    }
}

/// `SETNX key value`
pub(crate) fn setnx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    let big = args.take_big(2);
    let key = ctx.first_key(&args[1]);
    if ctx.shard.write(ctx.db, key).is_some() {
        return reply.integer(0);
    }
    store(ctx, key, &args[2], big, Expire::Clear);
    reply.integer(1);
}

/// `SETEX key seconds value`
pub(crate) fn setex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set_until(ctx, args, reply, TimeUnit::SECONDS, "ERR invalid expire time in 'setex' command");
}

/// `PSETEX key milliseconds value`
pub(crate) fn psetex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set_until(ctx, args, reply, TimeUnit::MILLISECONDS, "ERR invalid expire time in 'psetex' command");
}

fn set_until(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>, unit: TimeUnit, invalid: Refusal) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match deadline(&args[2], unit, ctx.shard.now_ms, invalid) {
        Ok(at_ms) => {
            let big = args.take_big(3);
            let key = ctx.first_key(&args[1]);
            journal_set_until(ctx, key.bytes, big.as_ref().map_or(&args[3], |big| big), Expire::At(at_ms));
            store(ctx, key, &args[3], big, Expire::At(at_ms));
            reply.ok();
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `GETSET key value`
pub(crate) fn getset(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    let big = args.take_big(2);
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        Some(view) if is_alien(view) => return reply.error(errors::WRONGTYPE),
        Some(view) => answer(reply, view),
        None => reply.null(),
    }
    store(ctx, key, &args[2], big, Expire::Clear);
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;

//! HINCRBY and HINCRBYFLOAT: fields that count. The field's expiry stays; a refused count changes nothing.

use super::{Absent, Refusal, edit, tell};
use crate::base::long_double::{Human, LongDouble};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::listpack::Item;
use crate::types::table::Expire;

/// `HINCRBY key field increment`
pub(crate) fn hincrby(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match add(ctx, args) {
        Ok(sum) => reply.integer(sum),
        Err(refusal) => reply.error(refusal),
    }
}

fn add(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<i64, Refusal> {
    let (now_ms, limits) = (ctx.shard.now_ms, ctx.shard.settings.hash_limits);
    let step = parse_i64(&args[3]).ok_or(errors::NOT_INTEGER)?;
    let edited = edit(ctx, args, 2..3, Absent::Create, |hash| {
        let old = match hash.find(&args[2]).map(|pair| pair.value) {
            None => 0,
            Some(Item::Int(n)) => n,
            Some(Item::Str(bytes)) => parse_i64(bytes).ok_or("ERR hash value is not an integer")?,
        };
        let sum = old.checked_add(step).ok_or("ERR increment or decrement would overflow")?;
        let mut digits = itoa::Buffer::new();
        hash.set(&args[2], digits.format(sum).as_bytes(), Expire::Keep, now_ms, limits);
        Ok((true, sum))
    })?;
    tell(ctx, args, "hincrby");
    Ok(edited.map_or(0, |edited| edited.result))
}

/// `HINCRBYFLOAT key field increment`: the sum of two x87 long doubles, kept as text.
pub(crate) fn hincrbyfloat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match add_float(ctx, args) {
        Ok(sum) => reply.bulk(&sum),
        Err(refusal) => reply.error(refusal),
    }
}

fn add_float(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<Human, Refusal> {
    let (now_ms, limits) = (ctx.shard.now_ms, ctx.shard.settings.hash_limits);
    let step = LongDouble::parse(&args[3]).ok_or(errors::NOT_FLOAT)?;
    if !step.is_finite() {
        return Err("ERR value is NaN or Infinity");
    }
    let edited = edit(ctx, args, 2..3, Absent::Create, |hash| {
        let old = match hash.find(&args[2]).map(|pair| pair.value) {
            None => LongDouble::from(0),
            Some(Item::Int(n)) => LongDouble::from(n),
            Some(Item::Str(bytes)) => LongDouble::parse(bytes).ok_or("ERR hash value is not a float")?,
        };
        let sum = old.checked_add(step).filter(|sum| sum.is_finite());
        let sum = sum.ok_or("ERR increment would produce NaN or Infinity")?.human();
        hash.set(&args[2], &sum, Expire::Keep, now_ms, limits);
        Ok((true, (sum, hash.may_expire())))
    })?;
    let Some((sum, may_expire)) = edited.map(|edited| edited.result) else { unreachable!("the hash is made") };
    tell(ctx, args, "hincrbyfloat");
    // Not the step: another machine's sum may differ.
    if may_expire {
        ctx.shard.events.effect(&[b"HSETEX", &args[1], b"KEEPTTL", b"FIELDS", b"1", &args[2], &sum]);
    } else {
        ctx.shard.events.effect(&[b"HSET", &args[1], &args[2], &sum]);
    }
    Ok(sum)
}

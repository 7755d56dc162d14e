//! Reads by range: XLEN, XRANGE, XREVRANGE. Changes nothing.

use super::words::{self, Refusal, put_entries};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;

/// `XLEN key`
pub(crate) fn xlen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match words::read(ctx, key) {
        Ok(stream) => reply.integer(stream.map_or(0, |stream| stream.log.len()) as i64),
        Err(refusal) => reply.error_bytes(&refusal),
    }
}

/// `XRANGE key start end [COUNT count]`
pub(crate) fn xrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(range(ctx, args, reply, false), reply);
}

/// `XREVRANGE key end start [COUNT count]`
pub(crate) fn xrevrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(range(ctx, args, reply, true), reply);
}

fn range(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, back: bool) -> Result<(), Refusal> {
    let (start_at, end_at) = if back { (3, 2) } else { (2, 3) };
    let start = words::range_start(&args[start_at])?;
    let end = words::range_end(&args[end_at])?;
    let mut count = usize::MAX;
    let mut at = 4;
    while at < args.len() {
        if !words::is(args, at, "count") || at + 1 == args.len() {
            return Err(words::SYNTAX);
        }
        count = words::integer(&args[at + 1])?.max(0) as usize;
        at += 2;
    }
    let key = ctx.first_key(&args[1]);
    match words::read(ctx, key)? {
        None => reply.array(0),
        Some(_) if count == 0 => reply.null_array(),
        Some(stream) if back => put_entries(reply, stream.log.range_back(start, end).take(count)),
        Some(stream) => put_entries(reply, stream.log.range(start, end).take(count)),
    }
    Ok(())
}

//! HDEL and HGETDEL: taking fields out. The key goes with the last one.

use super::get::value;
use super::{Absent, COUNT_NOT_POSITIVE, Refusal, edit, finish, journal_hdel, names, read, tell};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;
use std::ops::Range;

/// `HDEL key field [field ...]`
pub(crate) fn hdel(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match remove(ctx, args, 2..args.len()) {
        Ok(removed) => reply.integer(removed),
        Err(refusal) => reply.error(refusal),
    }
}

/// Removes the fields named by these arguments; answers how many were there.
fn remove(ctx: &mut Context<'_>, args: &Args<'_>, names: Range<usize>) -> Result<i64, Refusal> {
    let now_ms = ctx.shard.now_ms;
    let edited = edit(ctx, args, names.clone(), Absent::Leave, |hash| {
        let removed = names.map(|index| i64::from(hash.remove(&args[index], now_ms))).sum::<i64>();
        Ok((removed > 0, removed))
    })?;
    let Some(edited) = edited else { return Ok(0) };
    if edited.result > 0 {
        ctx.shard.changed_many(edited.result as usize);
        tell(ctx, args, "hdel");
        finish(ctx, args, edited.emptied);
    }
    Ok(edited.result)
}

/// `HGETDEL key FIELDS numfields field [field ...]`
pub(crate) fn hgetdel(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = hgetdel_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn hgetdel_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let now_ms = ctx.shard.now_ms;
    let hash = read(ctx, args)?;
    let names = names(args, 2, COUNT_NOT_POSITIVE)?;
    reply.array(names.len());
    // A field that is named twice is gone the second time.
    for index in names.clone() {
        let seen = names.clone().take_while(|earlier| *earlier < index).any(|earlier| args[earlier] == args[index]);
        value(hash.filter(|_| !seen), &args[index], now_ms, reply);
    }
    if remove(ctx, args, names.clone())? > 0 {
        journal_hdel(ctx, &args[1], names.map(|index| &args[index]));
    }
    Ok(())
}

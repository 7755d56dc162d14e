//! Changes in the middle: LSET, LINSERT, LREM, LTRIM.

use super::range::{cut, symmetric};
use super::{Refusal, current_list};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::list::End;

/// `LSET key index element`
pub(crate) fn lset(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let fill = ctx.shard.settings.list_fill;
    let done = ctx.shard.update(ctx.db, key, |current| {
        let list = current_list(current.ok_or(errors::NO_SUCH_KEY)?)?;
        let index = parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?;
        if !list.has(index) {
            return Err("ERR index out of range");
        }
        list.grow(args[3].len(), 1, fill);
        list.set(index, &args[3], fill);
        list.shrink(fill);
        Ok((Change::InPlace, ()))
    });
    match done {
        Ok(()) => {
            ctx.shard.events.happen(class::LIST, "lset", ctx.db, key.bytes);
            reply.ok();
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(crate) fn linsert(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let after = args[2].eq_ignore_ascii_case(b"after");
    if !after && !args[2].eq_ignore_ascii_case(b"before") {
        return reply.error(errors::SYNTAX);
    }
    let key = ctx.first_key(&args[1]);
    let fill = ctx.shard.settings.list_fill;
    let inserted = ctx.shard.update(ctx.db, key, |current| {
        let Some(current) = current else { return Ok::<_, Refusal>((Change::Nothing, 0)) };
        let list = current_list(current)?;
        list.grow(args[4].len(), 1, fill);
        if list.insert(&args[3], after, &args[4], fill) {
            Ok((Change::InPlace, list.len() as i64))
        } else {
            Ok((Change::Nothing, -1))
        }
    });
    match inserted {
        Ok(len) => {
            if len > 0 {
                ctx.shard.events.happen(class::LIST, "linsert", ctx.db, key.bytes);
            }
            reply.integer(len);
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `LREM key count element`
pub(crate) fn lrem(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let count = match symmetric(&args[2]) {
        Ok(count) => count,
        Err(refusal) => return reply.error(refusal),
    };
    let from = if count < 0 { End::Tail } else { End::Head };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let key = ctx.first_key(&args[1]);
    let fill = ctx.shard.settings.list_fill;
    let done = ctx.shard.update(ctx.db, key, |current| {
        let Some(current) = current else { return Ok::<_, Refusal>((Change::Nothing, (0, 0))) };
        let list = current_list(current)?;
        let removed = list.remove_equal(&args[3], most, from);
        let change = if removed > 0 { Change::InPlace } else { Change::Nothing };
        if removed > 0 {
            list.shrink(fill);
        }
        Ok((change, (removed, list.len())))
    });
    match done {
        Ok((removed, left)) => {
            if removed > 0 {
                ctx.shard.changed_many(removed);
                ctx.shard.events.happen(class::LIST, "lrem", ctx.db, key.bytes);
                if left == 0 {
                    ctx.shard.remove_emptied(ctx.db, key);
                }
            }
            reply.integer(removed as i64);
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `LTRIM key start stop`
pub(crate) fn ltrim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let (Some(start), Some(stop)) = (parse_i64(&args[2]), parse_i64(&args[3])) else {
        return reply.error(errors::NOT_INTEGER);
    };
    let key = ctx.first_key(&args[1]);
    let fill = ctx.shard.settings.list_fill;
    let done = ctx.shard.update(ctx.db, key, |current| {
        let Some(current) = current else { return Ok::<_, Refusal>((Change::Nothing, None)) };
        let list = current_list(current)?;
        let (first, count) = cut(start, stop, list.len());
        let removed = list.len() - count;
        if count > 0 {
            // with none left the whole value goes, in steps if it is large
            list.remove_range(first + count, list.len() - first - count);
            list.remove_range(0, first);
            list.shrink(fill);
        }
        Ok((if removed > 0 { Change::InPlace } else { Change::Nothing }, Some((count, removed))))
    });
    match done {
        Ok(None) => reply.ok(),
        Ok(Some((left, removed))) => {
            ctx.shard.changed_many(removed);
            ctx.shard.events.happen(class::LIST, "ltrim", ctx.db, key.bytes);
            if left == 0 {
                ctx.shard.remove_emptied(ctx.db, key);
            }
            reply.ok();
        }
        Err(refusal) => reply.error(refusal),
    }
}

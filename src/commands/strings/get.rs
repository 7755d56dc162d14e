//! Reading one string: GET, GETRANGE, SUBSTR, STRLEN, and the reads that also end or move its life: GETEX, GETDEL,
//! DELIFEQ. Never changes a value's bytes.

use super::options::{Family, Lifetime, Options};
use super::{Refusal, answer, bytes_of, clip, is_alien, refuse_short};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::{Expire, Key};
use crate::types::value::{Value, View};

/// `GET key`
pub(crate) fn get(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        Some(view) => answer(reply, view),
        None => reply.null(),
    }
}

/// `STRLEN key`
pub(crate) fn strlen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    let key = ctx.first_key(&args[1]);
    let mut digits = itoa::Buffer::new();
    match ctx.shard.read(ctx.db, key, ctx.no_touch).map(|view| bytes_of(view, &mut digits)) {
        Some(Ok(bytes)) => reply.integer(bytes.len() as i64),
        Some(Err(refusal)) => reply.error(refusal),
        None => reply.integer(0),
    }
}

/// `GETRANGE key start end` and its old name, `SUBSTR`
pub(crate) fn getrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    let (Some(start), Some(end)) = (parse_i64(&args[2]), parse_i64(&args[3])) else {
        return reply.error(errors::NOT_INTEGER);
    };
    let key = ctx.first_key(&args[1]);
    let mut digits = itoa::Buffer::new();
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => reply.bulk(b""),
        Some(view) => match bytes_of(view, &mut digits).map(|bytes| (bytes, clip(start, end, bytes.len()))) {
            Err(refusal) => reply.error(refusal),
            Ok((_, None)) => reply.bulk(b""),
            Ok((bytes, Some((first, last)))) => match view {
                // Not a smaller part: it would have a writer copy all of the string meanwhile.
                View::Boxed(Value::Str(big)) if last - first >= bytes.len() / 2 => reply.big_part(big, first..last + 1),
                _ => reply.bulk(&bytes[first..=last]),
            },
        },
    }
}

/// `GETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
pub(crate) fn getex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    if let Err(refusal) = getex_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn getex_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let options = Options::parse(args, 2, Family::GetEx)?;
    let now_ms = ctx.shard.now_ms;
    let key = ctx.first_key(&args[1]);
    let Some(view) = ctx.shard.read(ctx.db, key, ctx.no_touch) else {
        reply.null();
        return Ok(());
    };
    if is_alien(view) {
        return Err(errors::WRONGTYPE);
    }
    let expire = options.expire(args, now_ms)?;
    answer(reply, view);
    match expire {
        Expire::At(at_ms) => {
            if at_ms <= now_ms {
                delete(ctx, key);
            } else {
                ctx.shard.set_expire(ctx.db, key, Some(at_ms));
                let mut digits = itoa::Buffer::new();
                ctx.shard.events.effect(&[b"PEXPIREAT", key.bytes, digits.format(at_ms).as_bytes()]);
                ctx.happen(class::GENERIC, "expire", key.bytes);
            }
        }
        Expire::Clear | Expire::Keep if options.lifetime == Lifetime::Persist => {
            let expires = ctx.shard.peek(ctx.db, key).is_some_and(|entry| entry.expire_ms.is_some());
            if expires {
                ctx.shard.set_expire(ctx.db, key, None);
                ctx.shard.events.effect(&[b"PERSIST", key.bytes]);
                ctx.happen(class::GENERIC, "persist", key.bytes);
            }
        }
        Expire::Clear | Expire::Keep => {}
    }
    Ok(())
}

/// `GETDEL key`
pub(crate) fn getdel(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => return reply.null(),
        Some(view) if is_alien(view) => return reply.error(errors::WRONGTYPE),
        Some(view) => answer(reply, view),
    }
    delete(ctx, key);
}

/// Removes a key that is there; the journal says DEL, whatever the command's name.
fn delete(ctx: &mut Context<'_>, key: Key<'_>) {
    ctx.shard.remove(ctx.db, key);
    ctx.shard.events.effect(&[b"DEL", key.bytes]);
    ctx.happen(class::GENERIC, "del", key.bytes);
}

/// `DELIFEQ key value`: deletes the key if it holds exactly `value`.
pub(crate) fn delifeq(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    let key = ctx.first_key(&args[1]);
    let mut digits = itoa::Buffer::new();
    let equal = match ctx.shard.write(ctx.db, key).map(|view| bytes_of(view, &mut digits)) {
        None => false,
        Some(Ok(bytes)) => bytes == &args[2],
        Some(Err(refusal)) => return reply.error(refusal),
    };
    if equal {
        delete(ctx, key);
    }
    reply.integer(i64::from(equal));
}

#[cfg(test)]
#[path = "get_tests.rs"]
mod tests;

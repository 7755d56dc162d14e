//! Members by name: adding, removing, asking, listing, walking. Never more than one key.

use super::{answer, boxed, limits, read};
use crate::base::bytes::OutBuf;
use crate::base::glob;
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::parse_cursor;
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::listpack::Item;
use crate::types::set::Set;
use crate::types::table::Current;

/// Members that SSCAN visits unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

/// `SADD key member [member ...]`
pub(crate) fn sadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match sadd_checked(ctx, args) {
        Ok(added) => reply.integer(added as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn sadd_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<u64, Refusal> {
    let (limits, key, count) = (limits(ctx), ctx.first_key(&args[1]), args.len() - 2);
    let add = |set: &mut Set| args.from(2).map(|member| u64::from(set.add(member, &limits))).sum();
    let added = ctx.shard.update(ctx.db, key, |current| match current {
        None => {
            let mut set = Set::for_members(&args[2], count, &limits);
            let added: u64 = add(&mut set);
            Ok((Change::Replace(boxed(set)), added))
        }
        Some(Current::Boxed(value)) => {
            let set = value.as_set_mut().ok_or(errors::WRONGTYPE)?;
            set.expect(count, &limits);
            let added = add(set);
            Ok((if added > 0 { Change::InPlace } else { Change::Nothing }, added))
        }
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
    })?;
    if added > 0 {
        ctx.shard.changed_many(added as usize);
        ctx.shard.events.happen(class::SET, "sadd", ctx.db, key.bytes);
    }
    Ok(added)
}

/// `SREM key member [member ...]`
pub(crate) fn srem(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match srem_checked(ctx, args) {
        Ok(removed) => reply.integer(removed as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn srem_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<u64, Refusal> {
    let key = ctx.first_key(&args[1]);
    let (removed, emptied) = ctx.shard.update(ctx.db, key, |current| match current {
        None => Ok((Change::Nothing, (0, false))),
        Some(Current::Boxed(value)) => {
            let set = value.as_set_mut().ok_or(errors::WRONGTYPE)?;
            let removed: u64 = args.from(2).map(|member| u64::from(set.remove(member))).sum();
            let change = if removed > 0 { Change::InPlace } else { Change::Nothing };
            Ok((change, (removed, set.is_empty())))
        }
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
    })?;
    if removed > 0 {
        ctx.shard.changed_many(removed as usize);
        ctx.shard.events.happen(class::SET, "srem", ctx.db, key.bytes);
        if emptied {
            ctx.shard.remove_emptied(ctx.db, key);
        }
    }
    Ok(removed)
}

/// `SCARD key`
pub(crate) fn scard(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match read(ctx, key) {
        Ok(set) => reply.integer(set.map_or(0, Set::len) as i64),
        Err(refusal) => reply.error(refusal),
    }
}

/// `SISMEMBER key member`
pub(crate) fn sismember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match read(ctx, key) {
        Ok(set) => reply.integer(i64::from(set.is_some_and(|set| set.contains(Item::Str(&args[2]))))),
        Err(refusal) => reply.error(refusal),
    }
}

/// `SMISMEMBER key member [member ...]`
pub(crate) fn smismember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = match read(ctx, key) {
        Ok(set) => set,
        Err(refusal) => return reply.error(refusal),
    };
    reply.array(args.len() - 2);
    for member in args.from(2) {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(Item::Str(member)))));
    }
}

/// `SMEMBERS key`
pub(crate) fn smembers(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match read(ctx, key) {
        Ok(None) => reply.set(0),
        Ok(Some(set)) => {
            reply.set(set.len());
            set.iter().for_each(|member| answer(reply, member));
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) fn sscan(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = sscan_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn sscan_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let cursor = parse_cursor(&args[2]).ok_or("ERR invalid cursor")?;
    let key = ctx.first_key(&args[1]);
    let Some(set) = read(ctx, key)? else {
        // Redis does not look at the options of a walk over nothing.
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let (pattern, count) = scan_options(args)?;
    let mut found = OutBuf::default();
    let mut elements = Reply::new(&mut found, reply.proto);
    let mut shown = 0;
    let next = set.scan(cursor, count, |member| {
        let matches = pattern.is_none_or(|pattern| member.with_bytes(|bytes| glob::matches(pattern, bytes, false)));
        if matches {
            answer(&mut elements, member);
            shown += 1;
        }
    });
    reply.array(2);
    reply.bulk_fmt(format_args!("{next}"));
    reply.array(shown);
    reply.out.append(&mut found);
    Ok(())
}

/// `MATCH`, unless everything matches, and `COUNT`.
fn scan_options<'a>(args: &'a Args<'_>) -> Result<(Option<&'a [u8]>, usize), Refusal> {
    let (mut pattern, mut count) = (None, COUNT_DEFAULT);
    let mut i = 3;
    while i < args.len() {
        let option = &args[i];
        let Some(value) = args.get(i + 1) else {
            let refusal = if option.eq_ignore_ascii_case(b"novalues") { NOVALUES } else { errors::SYNTAX };
            return Err(refusal);
        };
        if option.eq_ignore_ascii_case(b"count") {
            let number = text::parse_i64(value).ok_or(errors::NOT_INTEGER)?;
            count = usize::try_from(number).ok().filter(|n| *n > 0).ok_or(errors::SYNTAX)?;
        } else if option.eq_ignore_ascii_case(b"match") {
            pattern = (value != b"*").then_some(value);
        } else if option.eq_ignore_ascii_case(b"novalues") {
            return Err(NOVALUES);
        } else {
            return Err(errors::SYNTAX);
        }
        i += 2;
    }
    Ok((pattern, count))
}

const NOVALUES: Refusal = "ERR NOVALUES option can only be used in HSCAN";

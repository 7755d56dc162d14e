//! Elements in and out at the ends: LPUSH, RPUSH, their X forms, LPOP, RPOP, and the steps that moves are made of.

use super::{Refusal, current_list};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::{Change, Shard};
use crate::types::list::{End, Fill, List};
use crate::types::listpack::Item;
use crate::types::table::Key;
use crate::types::value::{NewValue, Value};

const NOT_POSITIVE: Refusal = "ERR value is out of range, must be positive";

/// `LPUSH key element [element ...]`
pub(crate) fn lpush(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    push_all(ctx, args, reply, End::Head, true);
}

/// `RPUSH key element [element ...]`
pub(crate) fn rpush(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    push_all(ctx, args, reply, End::Tail, true);
}

/// `LPUSHX key element [element ...]`
pub(crate) fn lpushx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    push_all(ctx, args, reply, End::Head, false);
}

/// `RPUSHX key element [element ...]`
pub(crate) fn rpushx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    push_all(ctx, args, reply, End::Tail, false);
}

#[inline]
fn push_all(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>, end: End, create: bool) {
    let key = ctx.first_key(&args[1]);
    let pushed = push(ctx.shard, ctx.db, key, end, create, || args.from(2));
    match pushed {
        Ok(len) => {
            ctx.shard.changed_many(if len > 0 { args.len() - 2 } else { 0 });
            reply.integer(len as i64);
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// Pushes elements one after the other and tells of it; the length then. 0 if the key is not there and not to be made.
#[inline]
pub(crate) fn push<'e, I: Iterator<Item = &'e [u8]>>(
    shard: &mut Shard,
    db: usize,
    key: Key<'_>,
    end: End,
    create: bool,
    elements: impl Fn() -> I,
) -> Result<usize, Refusal> {
    let fill = shard.settings.list_fill;
    let len = shard.update(db, key, |current| match current {
        Some(current) => {
            let list = current_list(current)?;
            push_to(list, end, fill, elements);
            Ok::<_, Refusal>((Change::InPlace, list.len()))
        }
        None if create => {
            let mut list = List::new();
            push_to(&mut list, end, fill, elements);
            let len = list.len();
            Ok((Change::Replace(NewValue::Boxed(Box::new(Value::List(list)))), len))
        }
        None => Ok((Change::Nothing, 0)),
    })?;
    if len > 0 {
        shard.events.happen(class::LIST, if end == End::Head { "lpush" } else { "rpush" }, db, key.bytes);
        shard.events.ready(db, key.bytes);
    }
    Ok(len)
}

#[inline]
fn push_to<'e, I: Iterator<Item = &'e [u8]>>(list: &mut List, end: End, fill: Fill, elements: impl Fn() -> I) {
    if list.is_small() {
        let (bytes, count) = elements().fold((0, 0), |(bytes, count), element| (bytes + element.len(), count + 1));
        list.grow(bytes, count, fill);
    }
    elements().for_each(|element| list.push(end, element, fill));
}

/// `LPOP key [count]`
pub(crate) fn lpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    pop_some(ctx, args, reply, End::Head);
}

/// `RPOP key [count]`
pub(crate) fn rpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    pop_some(ctx, args, reply, End::Tail);
}

#[inline]
fn pop_some(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>, end: End) {
    let key = ctx.first_key(&args[1]);
    let Some(count) = args.get(2) else {
        return match pop(ctx.shard, ctx.db, key, end, 1, |_, item| bulk(reply, item)) {
            Ok(0) => reply.null(),
            Ok(_) => {}
            Err(refusal) => reply.error(refusal),
        };
    };
    if args.len() > 3 {
        let name = if end == End::Head { "lpop" } else { "rpop" };
        return errors::wrong_arity(name, reply);
    }
    let Some(count) = parse_i64(count).and_then(|count| usize::try_from(count).ok()) else {
        return reply.error(NOT_POSITIVE);
    };
    if count == 0 {
        let found = ctx.shard.write(ctx.db, key).map(super::view_list);
        return match found {
            None => reply.null_array(),
            Some(Ok(_)) => reply.array(0),
            Some(Err(refusal)) => reply.error(refusal),
        };
    }
    match pop_array(ctx, key, end, count, reply) {
        Ok(0) => reply.null_array(),
        Ok(_) => {}
        Err(refusal) => reply.error(refusal),
    }
}

/// Pops up to `count` elements into an array; writes nothing if there is no list. How many.
pub(crate) fn pop_array(
    ctx: &mut Context<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<usize, Refusal> {
    pop(ctx.shard, ctx.db, key, end, count, |first, item| {
        if let Some(total) = first {
            reply.array(total);
        }
        bulk(reply, item);
    })
}

/// Pops up to `count` elements (at least one) and tells of it; 0 if there is no list. `show` gets each, with the first
/// their number.
#[inline]
pub(crate) fn pop(
    shard: &mut Shard,
    db: usize,
    key: Key<'_>,
    end: End,
    count: usize,
    mut show: impl FnMut(Option<usize>, Item<'_>),
) -> Result<usize, Refusal> {
    let fill = shard.settings.list_fill;
    let (popped, left) = shard.update(db, key, |current| {
        let Some(current) = current else { return Ok::<_, Refusal>((Change::Nothing, (0, 0))) };
        let list = current_list(current)?;
        let count = count.min(list.len());
        let mut first = Some(count);
        for _ in 0..count {
            list.pop(end, |item| show(first.take(), item));
        }
        list.shrink(fill);
        Ok((Change::InPlace, (count, list.len())))
    })?;
    if popped > 0 {
        shard.changed_many(popped);
        tell_popped(shard, db, key, end, left);
    }
    Ok(popped)
}

/// What a pop that left so many elements tells.
#[inline]
fn tell_popped(shard: &mut Shard, db: usize, key: Key<'_>, end: End, left: usize) {
    shard.events.happen(class::LIST, if end == End::Head { "lpop" } else { "rpop" }, db, key.bytes);
    if left == 0 {
        shard.remove_emptied(db, key);
    }
}

/// An element as a bulk string.
#[inline]
pub(crate) fn bulk(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(number) => reply.bulk_integer(number),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

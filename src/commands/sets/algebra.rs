//! Intersection, union and difference, answered, counted or stored. Sets of other shards are copies that were fetched.
//!
//! All three walk one set and look its members up in others, a batch at a time, so that the memory of a large set is
//! fetched for many lookups together. Two large sets share one hash, hence their tables are walked in the same order.

use super::{answer, boxed, limits, set_of};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::listpack::Item;
use crate::types::set::{BATCH, Set};
use crate::types::table::{Expire, Key};
use crate::types::value::{Owned, View};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::ops::Range;

/// A union of more sets collects its members in a set of its own, instead of looking each up in all sets before.
const UNION_LOOKUPS_MAX: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Inter,
    Union,
    Diff,
}

/// One set for each key; `None` where the key is absent.
type Sets<'c> = SmallVec<[Option<&'c Set>; 8]>;

/// The sets at the keys at `indices`, on this shard or fetched from others.
fn gather<'c>(ctx: &'c mut Context<'_>, args: &Args<'_>, indices: Range<usize>) -> Result<Sets<'c>, Refusal> {
    for key in indices.clone().map(|i| &args[i]) {
        let away = ctx.foreign(ctx.db, key).map(|foreign| match &foreign.found {
            Some((Owned::Boxed(value), _)) => value.as_set().is_some(),
            Some(_) => false,
            None => true,
        });
        match away {
            Some(true) => {}
            Some(false) => return Err(errors::WRONGTYPE),
            None => drop(super::read(ctx, Key::new(key))?),
        }
    }
    let (db, shard, foreign) = (ctx.db, &*ctx.shard, &*ctx.foreign);
    let find = |key: &[u8]| {
        if let Some(away) = foreign.iter().find(|f| f.db == db && f.key == key) {
            return match &away.found {
                Some((Owned::Boxed(value), _)) => set_of(View::Boxed(value)).ok(),
                _ => None,
            };
        }
        shard.tables[db].find(Key::new(key)).and_then(|entry| set_of(entry.value).ok())
    };
    Ok(indices.map(|i| find(&args[i])).collect())
}

/// Shows the members of `base` that all of `others` have, or with `absent` that none has, until `visit` answers false.
fn sift<'s>(base: &'s Set, others: &[&Set], absent: bool, mut visit: impl FnMut(Item<'s>) -> bool) {
    let mut members = base.iter();
    loop {
        let batch: SmallVec<[Item<'s>; BATCH]> = members.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return;
        }
        let mut left = u32::MAX >> (32 - batch.len());
        for other in others {
            if left == 0 {
                break;
            }
            let found = other.retain_contained(&batch, left);
            left = if absent { left & !found } else { found };
        }
        for (index, member) in batch.into_iter().enumerate() {
            if left >> index & 1 == 1 && !visit(member) {
                return;
            }
        }
    }
}

/// Shows the result's members, each once, until `visit` answers false.
fn combine<'s>(operation: Operation, sets: &Sets<'s>, visit: &mut dyn FnMut(Item<'s>) -> bool) {
    let mut there: SmallVec<[&'s Set; 8]> = sets.iter().flatten().copied().collect();
    match operation {
        Operation::Inter if there.len() < sets.len() => {}
        Operation::Inter => {
            there.sort_by_key(|set| set.len());
            if there.len() != 2 || !there[0].common(there[1], visit) {
                sift(there[0], &there[1..], false, visit);
            }
        }
        Operation::Diff => {
            let Some(Some(first)) = sets.first() else { return };
            let mut others: SmallVec<[&'s Set; 8]> = there[1..].into();
            // Where most members are found, so that few are looked up further.
            others.sort_by_key(|set| Reverse(set.len()));
            sift(first, &others, true, visit);
        }
        Operation::Union => {
            there.sort_by_key(|set| Reverse(set.len()));
            let mut going = true;
            for (index, set) in there.iter().enumerate() {
                sift(set, &there[..index], true, |member| {
                    going = visit(member);
                    going
                });
                if !going {
                    return;
                }
            }
        }
    }
}

/// The result as a set, its encoding as if its members had been added one by one.
fn collect(operation: Operation, sets: &Sets<'_>, limits: &crate::types::set::SetLimits) -> Set {
    let mut result = Set::new();
    if operation == Operation::Union && sets.len() > UNION_LOOKUPS_MAX {
        for set in sets.iter().flatten() {
            for member in set.iter() {
                member.with_bytes(|bytes| result.add(bytes, limits));
            }
        }
        return result;
    }
    combine(operation, sets, &mut |member| {
        member.with_bytes(|bytes| result.add(bytes, limits));
        true
    });
    result
}

fn answer_result(operation: Operation, ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) {
    let limits = limits(ctx);
    let sets = match gather(ctx, args, 1..args.len()) {
        Ok(sets) => sets,
        Err(refusal) => return reply.error(refusal),
    };
    let header = reply.array_later();
    let mut count = 0;
    let mut show = |member: Item<'_>| {
        answer(reply, member);
        count += 1;
    };
    if operation == Operation::Union && sets.len() > UNION_LOOKUPS_MAX {
        collect(operation, &sets, &limits).iter().for_each(show);
    } else {
        combine(operation, &sets, &mut |member| {
            show(member);
            true
        });
    }
    reply.set_set_len(header, count);
}

fn store_result(
    operation: Operation,
    event: &'static str,
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) {
    let limits = limits(ctx);
    let result = match gather(ctx, args, 2..args.len()) {
        Ok(sets) => collect(operation, &sets, &limits),
        Err(refusal) => return reply.error(refusal),
    };
    let (key, len) = (Key::new(&args[1]), result.len());
    if len > 0 {
        ctx.shard.set(ctx.db, key, boxed(result), Expire::Clear);
        ctx.shard.events.happen(class::SET, event, ctx.db, key.bytes);
    } else if ctx.shard.remove(ctx.db, key) {
        ctx.shard.events.happen(class::GENERIC, "del", ctx.db, key.bytes);
    }
    reply.integer(len as i64);
}

/// `SINTER key [key ...]`
pub(crate) fn sinter(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer_result(Operation::Inter, ctx, args, reply);
}

/// `SUNION key [key ...]`
pub(crate) fn sunion(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer_result(Operation::Union, ctx, args, reply);
}

/// `SDIFF key [key ...]`
pub(crate) fn sdiff(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer_result(Operation::Diff, ctx, args, reply);
}

/// `SINTERSTORE destination key [key ...]`
pub(crate) fn sinterstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    store_result(Operation::Inter, "sinterstore", ctx, args, reply);
}

/// `SUNIONSTORE destination key [key ...]`
pub(crate) fn sunionstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    store_result(Operation::Union, "sunionstore", ctx, args, reply);
}

/// `SDIFFSTORE destination key [key ...]`
pub(crate) fn sdiffstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    store_result(Operation::Diff, "sdiffstore", ctx, args, reply);
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) fn sintercard(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match sintercard_checked(ctx, args) {
        Ok(count) => reply.integer(count as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn sintercard_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<usize, Refusal> {
    const NUMKEYS: Refusal = "ERR numkeys should be greater than 0";
    const LIMIT: Refusal = "ERR LIMIT can't be negative";
    let numkeys = parse_i64(&args[1]).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or(NUMKEYS)?;
    if numkeys > args.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args");
    }
    let (mut limit, mut i) = (0, 2 + numkeys);
    while let Some(option) = args.get(i) {
        let value = args.get(i + 1).filter(|_| option.eq_ignore_ascii_case(b"limit")).ok_or(errors::SYNTAX)?;
        limit = parse_i64(value).and_then(|n| usize::try_from(n).ok()).ok_or(LIMIT)?;
        i += 2;
    }
    let sets = gather(ctx, args, 2..2 + numkeys)?;
    let mut count = 0;
    combine(Operation::Inter, &sets, &mut |_| {
        count += 1;
        count != limit
    });
    Ok(count)
}

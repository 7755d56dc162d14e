//! SPOP and SRANDMEMBER: members drawn at random, with the same chance each.
//!
//! What SPOP did stands in the journal as SREM of the members it drew, or as DEL if it drew all.

use super::{answer, read};
use crate::base::hash;
use crate::base::limits::RANDOM_MEMBERS_MAX;
use crate::base::stats::Random;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::listpack::Item;
use crate::types::set::Set;
use crate::types::table::{Current, Key};
use smallvec::SmallVec;

const NOT_POSITIVE: Refusal = "ERR value is out of range, must be positive";
const COUNT_RANGE: Refusal =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
/// Members of one SREM in the journal.
const EFFECT_MEMBERS: usize = 1024;

/// A member's bytes.
type Name = SmallVec<[u8; 64]>;

/// `SPOP key [count]`
pub(crate) fn spop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let popped = match args.len() {
        2 => pop_one(ctx, args, reply),
        3 => pop_many(ctx, args, reply),
        _ => Err(errors::SYNTAX),
    };
    if let Err(refusal) = popped {
        reply.error(refusal);
    }
}

fn pop_one(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let (key, mut dice) = (ctx.first_key(&args[1]), Random::new(ctx.shard.random_u64()));
    let ahead = ctx.shard.random_ahead();
    let popped = ctx.shard.update(ctx.db, key, |current| -> Result<_, Refusal> {
        let Some(set) = editable(current)? else { return Ok((Change::Nothing, None)) };
        let name = draw_out(set, &mut dice);
        let [mut next, mut later] = ahead.map(Random::new);
        set.prefetch_draws(|| next.next_u64(), || later.next_u64());
        Ok((Change::InPlace, name.map(|name| (name, set.is_empty()))))
    })?;
    let Some((name, emptied)) = popped else {
        reply.null();
        return Ok(());
    };
    reply.bulk(&name);
    ctx.shard.events.effect(&[b"SREM", key.bytes, &name]);
    ctx.shard.events.happen(class::SET, "spop", ctx.db, key.bytes);
    if emptied {
        ctx.shard.remove_emptied(ctx.db, key);
    }
    Ok(())
}

/// The set that a change found; `None` if there was none.
fn editable(current: Option<Current<'_>>) -> Result<Option<&mut Set>, Refusal> {
    match current {
        None => Ok(None),
        Some(Current::Boxed(value)) => value.as_set_mut().ok_or(errors::WRONGTYPE).map(Some),
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
    }
}

/// Removes a member drawn at random.
fn draw_out(set: &mut Set, dice: &mut Random) -> Option<Name> {
    let name = set.random(|| dice.next_u64())?.with_bytes(Name::from_slice);
    set.remove(&name);
    Some(name)
}

fn pop_many(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let count = parse_i64(&args[2]).and_then(|n| usize::try_from(n).ok()).ok_or(NOT_POSITIVE)?;
    let (key, mut dice, journaled) =
        (ctx.first_key(&args[1]), Random::new(ctx.shard.random_u64()), ctx.shard.events.journaled);
    let mut names: Vec<Name> = Vec::new();
    let (popped, emptied) = ctx.shard.update(ctx.db, key, |current| -> Result<_, Refusal> {
        let Some(set) = editable(current)?.filter(|_| count > 0) else {
            return Ok((Change::Nothing, (0, false)));
        };
        let len = set.len();
        reply.set(count.min(len));
        if count >= len {
            set.iter().for_each(|member| answer(reply, member));
            return Ok((Change::Nothing, (len, true)));
        }
        for _ in 0..count {
            let Some(name) = draw_out(set, &mut dice) else { break };
            reply.bulk(&name);
            if journaled {
                names.push(name);
            }
        }
        Ok((Change::InPlace, (count, false)))
    })?;
    if popped == 0 {
        reply.set(0);
        return Ok(());
    }
    ctx.shard.events.happen(class::SET, "spop", ctx.db, key.bytes);
    if emptied {
        ctx.shard.dirty += popped as u64;
        ctx.shard.events.effect(&[b"DEL", key.bytes]);
        ctx.shard.remove_emptied(ctx.db, key);
        return Ok(());
    }
    ctx.shard.changed_many(popped);
    journal_removal(ctx, key, &names);
    Ok(())
}

fn journal_removal(ctx: &mut Context<'_>, key: Key<'_>, names: &[Name]) {
    for part in names.chunks(EFFECT_MEMBERS) {
        let words: Vec<&[u8]> = [&b"SREM"[..], key.bytes].into_iter().chain(part.iter().map(|n| &n[..])).collect();
        ctx.shard.events.effect(&words);
    }
}

/// `SRANDMEMBER key [count]`: a negative count may draw a member more than once.
pub(crate) fn srandmember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = srandmember_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn srandmember_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let count = match args.len() {
        2 => None,
        3 => Some(parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?),
        _ => return Err(errors::SYNTAX),
    };
    if count == Some(i64::MIN) {
        return Err(COUNT_RANGE);
    }
    let (key, mut dice) = (ctx.first_key(&args[1]), Random::new(ctx.shard.random_u64()));
    let set = read(ctx, key)?;
    let Some(count) = count else {
        match set.and_then(|set| set.random(|| dice.next_u64())) {
            Some(member) => answer(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set.filter(|_| count != 0) else {
        reply.array(0);
        return Ok(());
    };
    let many = count.unsigned_abs() as usize;
    if count > 0 {
        draw_distinct(set, many, &mut dice, reply);
    } else if many > RANDOM_MEMBERS_MAX {
        return Err("ERR value is out of range");
    } else {
        reply.array(many);
        for _ in 0..many {
            set.random(|| dice.next_u64()).into_iter().for_each(|member| answer(reply, member));
        }
    }
    Ok(())
}

/// Answers `count` different members, or all.
fn draw_distinct(set: &Set, count: usize, dice: &mut Random, reply: &mut Reply<'_>) {
    let len = set.len();
    reply.array(count.min(len));
    if count >= len {
        return set.iter().for_each(|member| answer(reply, member));
    }
    if count > len / 3 {
        // Shuffle the beginning of all of them.
        let mut members: Vec<Item<'_>> = set.iter().collect();
        for at in 0..count {
            let drawn = at + dice.index(len - at);
            members.swap(at, drawn);
            answer(reply, members[at]);
        }
        return;
    }
    let mut seen = hashbrown::HashTable::with_capacity(count);
    let hashed = |member: &Item<'_>| member.with_bytes(hash::hash);
    while seen.len() < count {
        let Some(member) = set.random(|| dice.next_u64()) else { return };
        let hash = hashed(&member);
        if seen.find(hash, |known| *known == member).is_none() {
            seen.insert_unique(hash, member, hashed);
            answer(reply, member);
        }
    }
}

//! SMOVE: a member leaves one set for another, on one shard or between two.

use super::{boxed, limits, read};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::Relay;
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::listpack::Item;
use crate::types::set::Set;
use crate::types::table::{Current, Key};

/// `SMOVE source destination member`, both keys here.
pub(crate) fn smove(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match smove_checked(ctx, args) {
        Ok(moved) => reply.integer(i64::from(moved)),
        Err(refusal) => reply.error(refusal),
    }
}

fn smove_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<bool, Refusal> {
    let (from, to, member) = (Key::new(&args[1]), Key::new(&args[2]), &args[3]);
    let (db, no_touch) = (ctx.db, ctx.no_touch);
    let Some(set) = read(ctx, from)? else { return Ok(false) };
    let is_member = set.contains(Item::Str(member));
    ctx.shard.read(db, to, no_touch).map(super::set_of).transpose()?;
    if from.bytes == to.bytes || !is_member {
        return Ok(is_member);
    }
    let emptied = ctx.shard.update(ctx.db, from, |current| match current {
        Some(Current::Boxed(value)) => {
            let set = value.as_set_mut().ok_or(errors::WRONGTYPE)?;
            set.remove(member);
            Ok((Change::InPlace, set.is_empty()))
        }
        _ => Err(errors::WRONGTYPE),
    })?;
    ctx.shard.events.happen(class::SET, "srem", ctx.db, from.bytes);
    if emptied {
        ctx.shard.remove_emptied(ctx.db, from);
    }
    let limits = limits(ctx);
    let added = ctx.shard.update(ctx.db, to, |current| match current {
        None => {
            let mut set = Set::for_members(member, 1, &limits);
            let added = set.add(member, &limits);
            Ok((Change::Replace(boxed(set)), added))
        }
        Some(Current::Boxed(value)) => {
            let added = value.as_set_mut().ok_or(errors::WRONGTYPE)?.add(member, &limits);
            Ok((if added { Change::InPlace } else { Change::Nothing }, added))
        }
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
    })?;
    if added {
        ctx.shard.events.happen(class::SET, "sadd", ctx.db, to.bytes);
    }
    Ok(true)
}

/// `SMOVE` between two shards: looks first, then removes and adds.
pub(crate) fn smove_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Vec<Vec<Vec<u8>>> {
    let [_, from, to, member] = relay.args else { return Vec::new() };
    let command = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let Some(looks) = relay.rounds.first() else {
        let looks: [&[&[u8]]; 3] = [&[b"SCARD", from], &[b"SISMEMBER", from, member], &[b"SCARD", to]];
        return looks.map(command).to_vec();
    };
    if relay.rounds.len() > 1 {
        reply.integer(1);
        return Vec::new();
    }
    match looks.as_slice() {
        // No source: the destination may be anything.
        [source, ..] if source.as_slice() == b":0\r\n" => reply.integer(0),
        [source, ..] if source.starts_with(b"-") => reply.raw(source),
        [.., destination] if destination.starts_with(b"-") => reply.raw(destination),
        [_, is_member, _] if is_member.as_slice() == b":1\r\n" => {
            return vec![command(&[b"SREM", from, member]), command(&[b"SADD", to, member])];
        }
        _ => reply.integer(0),
    }
    Vec::new()
}

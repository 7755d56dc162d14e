//! Single elements and the set as a whole: what they are, and VREM, VSETATTR.

use super::{Refused, edit, finish, read};
use crate::base::hash;
use crate::base::limits::RANDOM_MEMBERS_MAX;
use crate::base::stats::Random;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;
use crate::types::vector::{Quant, Raw, VectorSet};

/// Too few arguments, or too many.
fn exactly(args: &Args<'_>, count: usize) -> Result<(), Refused> {
    if args.len() == count { Ok(()) } else { Err(Refused::Arity) }
}

/// `VCARD key`
pub(super) fn vcard(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let card = exactly(args, 2).and_then(|()| read(ctx, key));
    let done = card.map(|set| reply.integer(set.map_or(0, VectorSet::len) as i64));
    finish("VCARD", done, reply);
}

/// `VDIM key`
pub(super) fn vdim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = exactly(args, 2).and_then(|()| read(ctx, key));
    let dim = set.and_then(|set| Ok(set.ok_or("ERR key does not exist")?.shape().dim));
    let done = dim.map(|dim| reply.integer(dim as i64));
    finish("VDIM", done, reply);
}

/// `VISMEMBER key element`
pub(super) fn vismember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = exactly(args, 3).and_then(|()| read(ctx, key));
    let done = set.map(|set| reply.boolean(set.is_some_and(|set| set.contains(&args[2]))));
    finish("VISMEMBER", done, reply);
}

/// `VREM key element`
pub(super) fn vrem(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let removed = exactly(args, 3).and_then(|()| edit(ctx, key, |set| set.remove(&args[2])));
    let done = removed.map(|removed| reply.boolean(removed));
    finish("VREM", done, reply);
}

/// `VSETATTR key element json`: nothing takes the attributes away.
pub(super) fn vsetattr(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = exactly(args, 4).and_then(|()| edit(ctx, key, |set| set.set_attributes(&args[2], &args[3])));
    let done = set.map(|found| reply.boolean(found));
    finish("VSETATTR", done, reply);
}

/// `VGETATTR key element`
pub(super) fn vgetattr(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = exactly(args, 3).and_then(|()| read(ctx, key));
    let done = set.map(|set| match set.and_then(|set| set.attributes(&args[2])) {
        Some(attributes) => reply.bulk(attributes),
        None => reply.null(),
    });
    finish("VGETATTR", done, reply);
}

/// `VEMB key element [RAW]`
pub(super) fn vemb(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let done = vemb_checked(ctx, args, reply);
    finish("VEMB", done, reply);
}

fn vemb_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refused> {
    if args.len() < 3 {
        return Err(Refused::Arity);
    }
    if args.from(3).any(|option| !option.eq_ignore_ascii_case(b"raw")) {
        return Err("ERR invalid option".into());
    }
    let key = ctx.first_key(&args[1]);
    let Some(set) = read(ctx, key)? else {
        reply.null();
        return Ok(());
    };
    if args.len() > 3 {
        match set.raw(&args[2]) {
            Some(raw) => answer_raw(&raw, set.shape().quant, reply),
            None => reply.null(),
        }
        return Ok(());
    }
    let Some(vector) = set.vector(&args[2]) else {
        reply.null();
        return Ok(());
    };
    reply.array(vector.len());
    vector.iter().for_each(|x| reply.double(f64::from(*x)));
    Ok(())
}

fn answer_raw(raw: &Raw, quant: Quant, reply: &mut Reply<'_>) {
    let ranged = quant == Quant::Q8;
    reply.array(3 + usize::from(ranged));
    reply.simple(quant.name());
    reply.bulk(&raw.bytes);
    reply.double(f64::from(raw.length));
    if ranged {
        reply.double(f64::from(raw.range));
    }
}

/// `VLINKS key element [WITHSCORES]`
pub(super) fn vlinks(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let done = vlinks_checked(ctx, args, reply);
    finish("VLINKS", done, reply);
}

fn vlinks_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refused> {
    let scores = args.get(3).is_some_and(|option| option.eq_ignore_ascii_case(b"withscores"));
    exactly(args, if scores { 4 } else { 3 })?;
    let key = ctx.first_key(&args[1]);
    let Some(layers) = read(ctx, key)?.and_then(|set| set.links(&args[2])) else {
        reply.null();
        return Ok(());
    };
    reply.array(layers.len());
    for layer in layers {
        if scores {
            reply.map(layer.len());
        } else {
            reply.array(layer.len());
        }
        for link in layer {
            reply.bulk(link.name);
            if scores {
                // Redis rounds these to single precision, those of VSIM not.
                reply.double(f64::from((1.0 - f64::from(link.distance) / 2.0) as f32));
            }
        }
    }
    Ok(())
}

/// `VINFO key`
pub(super) fn vinfo(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let set = exactly(args, 2).and_then(|()| read(ctx, key));
    let done = set.map(|set| match set {
        Some(set) => describe(set, reply),
        None => reply.null_array(),
    });
    finish("VINFO", done, reply);
}

fn describe(set: &VectorSet, reply: &mut Reply<'_>) {
    let shape = set.shape();
    let (uid, last_uid) = set.uids();
    let numbers = [
        ("hnsw-m", shape.links as u64),
        ("vector-dim", shape.dim as u64),
        ("projection-input-dim", shape.input.unwrap_or(0) as u64),
        ("size", set.len() as u64),
        ("max-level", set.level_max() as u64),
        ("attributes-count", set.attributed() as u64),
        ("vset-uid", uid),
        ("hnsw-max-node-uid", last_uid),
    ];
    reply.map(1 + numbers.len());
    reply.simple("quant-type");
    reply.simple(shape.quant.name());
    for (name, number) in numbers {
        reply.simple(name);
        reply.integer(number as i64);
    }
}

/// `VRANDMEMBER key [count]`: a negative count may draw an element more than once.
pub(super) fn vrandmember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let done = vrandmember_checked(ctx, args, reply);
    finish("VRANDMEMBER", done, reply);
}

fn vrandmember_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refused> {
    if args.len() > 3 {
        return Err(Refused::Arity);
    }
    let count = args.get(2).map(|text| parse_i64(text).ok_or("ERR COUNT value is not an integer")).transpose()?;
    if count == Some(0) {
        reply.array(0);
        return Ok(());
    }
    let (key, mut dice) = (ctx.first_key(&args[1]), Random::new(ctx.shard.random_u64()));
    let set = read(ctx, key)?;
    let Some(count) = count else {
        match set.and_then(|set| set.random(|| dice.next_u64())) {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set else {
        reply.array(0);
        return Ok(());
    };
    let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        draw_distinct(set, many.min(set.len()), &mut dice, reply);
        return Ok(());
    }
    if many > RANDOM_MEMBERS_MAX {
        return Err("ERR value is out of range".into());
    }
    reply.array(many);
    for _ in 0..many {
        set.random(|| dice.next_u64()).into_iter().for_each(|name| reply.bulk(name));
    }
    Ok(())
}

/// Answers `count` different elements of at least as many.
fn draw_distinct(set: &VectorSet, count: usize, dice: &mut Random, reply: &mut Reply<'_>) {
    reply.array(count);
    if count > set.len() / 3 {
        // Shuffle the beginning of all of them.
        let mut names: Vec<&[u8]> = set.names().collect();
        for at in 0..count {
            let drawn = at + dice.index(names.len() - at);
            names.swap(at, drawn);
            reply.bulk(names[at]);
        }
        return;
    }
    let mut seen = hashbrown::HashTable::with_capacity(count);
    while seen.len() < count {
        let Some(name) = set.random(|| dice.next_u64()) else { return };
        let hash = hash::hash(name);
        if seen.find(hash, |known| *known == name).is_none() {
            seen.insert_unique(hash, name, |name| hash::hash(name));
            reply.bulk(name);
        }
    }
}

//! HyperLogLog commands. The string they work on is Redis's, byte for byte ([`crate::types::hll`]). Never keeps
//! anything beside it.
//!
//! PFCOUNT of one key remembers what it computed in the string, as in Redis: it is a read that may write.

mod debug;

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::spec::flag::{ADMIN, DENYOOM, FAST, MAY_REPLICATE, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Gather, Group, KeySpec, Plan, key};
use crate::commands::strings::{Refusal, boxed, bytes_of, current_bytes, hold};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::hll::{self, Corrupt, Observation, REGISTERS};
use crate::types::table::{Current, INLINE_BYTES_MAX, Key};
use crate::types::value::NewValue;
use debug::{pfdebug, pfselftest};
use std::sync::Arc;

const NOT_HLL: Refusal = "WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPT: Refusal = "INVALIDOBJ Corrupted HLL object detected";

/// The refusal of a string whose runs do not add up.
fn sound<T>(result: Result<T, Corrupt>) -> Result<T, Refusal> {
    result.map_err(|_| CORRUPT)
}

/// Refuses bytes that are no HyperLogLog.
fn checked(bytes: &[u8]) -> Result<&[u8], Refusal> {
    if hll::is_hll(bytes) { Ok(bytes) } else { Err(NOT_HLL) }
}

/// A value for the table. `bytes` is borrowed by a short one.
fn value(bytes: &mut Vec<u8>) -> NewValue<'_> {
    if bytes.len() < INLINE_BYTES_MAX {
        return NewValue::Str { bytes, raw: true };
    }
    boxed(Arc::new(std::mem::take(bytes)))
}

/// Changes the HyperLogLog at `key`, which is created if absent. Where `wanted` says of the present bytes that nothing
/// is to change, nothing does and nothing is copied.
fn change<R>(
    ctx: &mut Context<'_>,
    key: Key<'_>,
    wanted: impl FnOnce(&[u8]) -> Result<bool, Refusal>,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Refusal>,
) -> Result<Option<R>, Refusal> {
    let mut bytes = Vec::new();
    ctx.shard.update(ctx.db, key, |current| {
        let Some(mut current) = current else {
            bytes = hll::empty().to_vec();
            let result = change(&mut bytes)?;
            return Ok((Change::Replace(value(&mut bytes)), Some(result)));
        };
        let mut digits = itoa::Buffer::new();
        let old = checked(current_bytes(&current, &mut digits)?)?;
        if !wanted(old)? {
            return Ok((Change::Nothing, None));
        }
        if let Current::Boxed(boxed) = &mut current
            && let Some(big) = boxed.as_string_mut()
            && !hll::is_sparse(big)
        {
            return Ok((Change::InPlace, Some(change(Arc::make_mut(big))?)));
        }
        bytes = current_bytes(&current, &mut digits)?.to_vec();
        let result = change(&mut bytes)?;
        Ok((Change::Replace(value(&mut bytes)), Some(result)))
    })
}

/// `PFADD key [element ...]`
pub(crate) fn pfadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match pfadd_checked(ctx, args) {
        Ok(changed) => reply.integer(i64::from(changed)),
        Err(refusal) => reply.error(refusal),
    }
}

fn pfadd_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<bool, Refusal> {
    let key = ctx.first_key(&args[1]);
    let sparse_bytes_max = ctx.shard.settings.hll_sparse_bytes_max;
    let mut is_new = true;
    let raises = |bytes: &[u8]| {
        is_new = false;
        for element in args.from(2) {
            let seen = Observation::of(element);
            if sound(hll::get(bytes, seen.index))? < seen.value {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let added = change(ctx, key, raises, |bytes| {
        let mut added = 0;
        for element in args.from(2) {
            added += u64::from(sound(hll::raise(bytes, Observation::of(element), sparse_bytes_max))?);
        }
        // A key that was just created counts as changed, whatever came into it.
        hll::forget_count(bytes);
        Ok(added)
    })?;
    let Some(added) = added else { return Ok(false) };
    ctx.shard.changed_many(added as usize + usize::from(is_new));
    ctx.shard.events.happen(class::STRING, "pfadd", ctx.db, key.bytes);
    Ok(true)
}

/// `PFCOUNT key [key ...]`
pub(crate) fn pfcount(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let count = if args.len() == 2 { count_one(ctx, &args[1]) } else { count_union(ctx, args) };
    match count {
        Ok(count) => reply.integer(count as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn count_one(ctx: &mut Context<'_>, key: &[u8]) -> Result<u64, Refusal> {
    let key = ctx.first_key(key);
    let mut digits = itoa::Buffer::new();
    let Some(view) = ctx.shard.read(ctx.db, key, ctx.no_touch) else { return Ok(0) };
    let bytes = checked(bytes_of(view, &mut digits)?)?;
    if let Some(count) = hll::remembered_count(bytes) {
        return Ok(count);
    }
    let count = sound(hll::count(bytes))?;
    change(
        ctx,
        key,
        |_| Ok(true),
        |bytes| {
            hll::remember_count(bytes, count);
            Ok(())
        },
    )?;
    Ok(count)
}

fn count_union(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<u64, Refusal> {
    let (registers, _) = union(ctx, args)?;
    Ok(hll::count_registers(&registers))
}

/// The union of the keys from argument 1 on, and whether one of them is dense.
fn union(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<(Box<[u8; REGISTERS]>, bool), Refusal> {
    let mut registers = Box::new([0; REGISTERS]);
    let mut dense = false;
    for key in args.from(1) {
        let exists = match ctx.foreign(ctx.db, key) {
            Some(foreign) => foreign.found.is_some(),
            None => ctx.shard.exists(ctx.db, Key::new(key)),
        };
        let held = hold(ctx, key)?;
        if exists {
            dense |= !hll::is_sparse(checked(&held)?);
            sound(hll::merge(&held, &mut registers))?;
        }
    }
    Ok((registers, dense))
}

/// `PFMERGE destination [source ...]`
pub(crate) fn pfmerge(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match pfmerge_checked(ctx, args) {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal),
    }
}

fn pfmerge_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<(), Refusal> {
    let (registers, dense) = union(ctx, args)?;
    let key = Key::new(&args[1]);
    let sparse_bytes_max = ctx.shard.settings.hll_sparse_bytes_max;
    change(
        ctx,
        key,
        |_| Ok(true),
        |bytes| {
            if dense && hll::is_sparse(bytes) {
                *bytes = sound(hll::dense_of(bytes))?;
            }
            for (index, &value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
                sound(hll::raise(bytes, Observation { index, value }, sparse_bytes_max))?;
            }
            hll::forget_count(bytes);
            Ok(())
        },
    )?;
    ctx.shard.events.happen(class::STRING, "pfadd", ctx.db, key.bytes);
    Ok(())
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("pfadd", -2, Group::HyperLogLog, "2.8.9", Plan::OneShard(pfadd))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs("Adds elements to a HyperLogLog; a missing key starts empty.", "O(1) per element", "key#0 [element...]"),
    CommandSpec::new("pfcount", -2, Group::HyperLogLog, "2.8.9", Plan::TwoPhase { run: pfcount, home: 1 })
        .flags(READONLY | MAY_REPLICATE)
        .key_specs(&[KeySpec::range(key::RW | key::ACCESS, 1, -1, 1)])
        .docs(
            "Estimates how many distinct elements were added to one HyperLogLog, or to any of several.",
            "O(1) for one key, O(N) for N keys, with large constant factors",
            "key#0...",
        ),
    CommandSpec::new("pfdebug", 3, Group::HyperLogLog, "2.8.9", Plan::OneShard(pfdebug))
        .flags(WRITE | DENYOOM | ADMIN)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS, 2)])
        .docs("Looks inside a HyperLogLog.", "O(N)", "subcommand key#0")
        .internal(),
    CommandSpec::new("pfmerge", -2, Group::HyperLogLog, "2.8.9", Plan::TwoPhase { run: pfmerge, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[
            KeySpec::one(key::RW | key::ACCESS | key::INSERT, 1),
            KeySpec::range(key::RO | key::ACCESS, 2, -1, 1),
        ])
        .docs(
            "Adds what was added to other HyperLogLogs to one of them.",
            "O(N) for N keys, with large constant factors",
            "destkey#0 [sourcekey#1...]",
        ),
    CommandSpec::new("pfselftest", 1, Group::HyperLogLog, "2.8.9", Plan::AllShards(pfselftest, Gather::AllOk))
        .flags(ADMIN)
        .docs("Checks the implementation of HyperLogLog.", "O(1), a fraction of a second", "")
        .internal(),
];

#[cfg(test)]
#[path = "hyperloglog_tests.rs"]
mod tests;

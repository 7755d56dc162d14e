//! HEXPIRE and its kin, HTTL and its kin, HPERSIST, HGETEX: when fields expire. Times are Unix milliseconds inside.

use super::get::value;
use super::times;
use super::{Absent, COUNT_NOT_POSITIVE, Refusal, edit, finish, journal_fields, journal_hdel, names, read, tell};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::time_unit::TimeUnit;
use crate::resp::reply::Reply;
use crate::types::hash::Hash;
use std::ops::Range;

/// What is answered for each field.
mod outcome {
    /// No such field, or no such key.
    pub(super) const NO_FIELD: i64 = -2;
    /// The field has no expiry.
    pub(super) const NO_EXPIRY: i64 = -1;
    /// The condition does not hold.
    pub(super) const REFUSED: i64 = 0;
    /// Done.
    pub(super) const DONE: i64 = 1;
    /// Deleted, because the time is past.
    pub(super) const DELETED: i64 = 2;
}

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub(crate) fn hexpire(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    expire(ctx, args, reply, "hexpire", TimeUnit::SECONDS);
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub(crate) fn hpexpire(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    expire(ctx, args, reply, "hpexpire", TimeUnit::MILLISECONDS);
}

/// `HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub(crate) fn hexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    expire(ctx, args, reply, "hexpireat", TimeUnit::UNIX_SECONDS);
}

/// `HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub(crate) fn hpexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    expire(ctx, args, reply, "hpexpireat", TimeUnit::UNIX_MILLISECONDS);
}

/// When a new expiry replaces the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn named(word: &[u8]) -> Option<Condition> {
        match () {
            () if word.eq_ignore_ascii_case(b"nx") => Some(Condition::Nx),
            () if word.eq_ignore_ascii_case(b"xx") => Some(Condition::Xx),
            () if word.eq_ignore_ascii_case(b"gt") => Some(Condition::Gt),
            () if word.eq_ignore_ascii_case(b"lt") => Some(Condition::Lt),
            () => None,
        }
    }

    /// Whether `new` may replace `old`. No expiry counts as the latest of all.
    fn holds(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => old.is_none(),
            Condition::Xx => old.is_some(),
            Condition::Gt => old.is_some_and(|old| new > old),
            Condition::Lt => old.is_none_or(|old| new < old),
        }
    }
}

fn expire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, name: &str, unit: TimeUnit) {
    if let Err(refusal) = expire_checked(ctx, args, reply, name, unit) {
        reply.error(&refusal);
    }
}

fn expire_checked(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    name: &str,
    unit: TimeUnit,
) -> Result<(), String> {
    let now_ms = ctx.shard.now_ms;
    let there = look(ctx, args)?;
    let at_ms = times::instant(&args[2], unit, now_ms, name)?;
    let condition = Condition::named(&args[3]);
    let at = if condition.is_some() { 4 } else { 3 };
    let fields = names(args, at, "ERR Parameter `numFields` should be greater than 0")?;
    let condition = condition.unwrap_or(Condition::Always);
    if !there {
        all_absent(fields.len(), reply);
        return Ok(());
    }
    let mut outcomes = Vec::with_capacity(fields.len());
    let changed = set_all(ctx, args, fields, Some(at_ms), condition, &mut outcomes)?;
    if !changed && ctx.shard.events.effects.is_none() {
        ctx.shard.events.no_effect();
    }
    reply.array(outcomes.len());
    outcomes.into_iter().for_each(|outcome| reply.integer(outcome));
    Ok(())
}

/// Whether there is a hash at the first key; leaves no trace.
fn look(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<bool, Refusal> {
    use crate::types::value::View;
    let key = ctx.first_key(&args[1]);
    match ctx.shard.peek(ctx.db, key).map(|entry| entry.value) {
        None => Ok(false),
        Some(View::Boxed(value)) if value.as_hash().is_some() => Ok(true),
        Some(_) => Err(crate::commands::errors::WRONGTYPE),
    }
}

fn all_absent(count: usize, reply: &mut Reply<'_>) {
    reply.array(count);
    (0..count).for_each(|_| reply.integer(outcome::NO_FIELD));
}

/// Sets, or with `None` clears, the expiry of each of the fields; deletes them if it is past. Tells and journals that.
/// `outcomes` gets what happened to each. False if nothing did.
fn set_all(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    fields: Range<usize>,
    at_ms: Option<u64>,
    condition: Condition,
    outcomes: &mut Vec<i64>,
) -> Result<bool, Refusal> {
    let now_ms = ctx.shard.now_ms;
    let mut done: Vec<&[u8]> = Vec::new();
    let edited = edit(ctx, args, fields.clone(), Absent::Leave, |hash| {
        if at_ms.is_some() {
            // As in Redis, before a field is looked for.
            hash.make_timed();
        }
        for name in fields.map(|index| &args[index]) {
            let outcome = set_one(hash, name, at_ms, condition, now_ms);
            outcomes.push(outcome);
            if outcome > 0 {
                done.push(name);
            }
        }
        Ok((!done.is_empty(), ()))
    })?;
    let Some(edited) = edited.filter(|_| !done.is_empty()) else { return Ok(false) };
    match at_ms {
        None => {
            journal_fields(ctx, "HPERSIST", &args[1], None, &done);
            tell(ctx, args, "hpersist");
        }
        Some(at) if at > now_ms => {
            journal_fields(ctx, "HPEXPIREAT", &args[1], Some(at), &done);
            tell(ctx, args, "hexpire");
        }
        Some(_) => {
            journal_hdel(ctx, &args[1], done.into_iter());
            tell(ctx, args, "hdel");
        }
    }
    finish(ctx, args, edited.emptied);
    Ok(true)
}

fn set_one(hash: &mut Hash, name: &[u8], at_ms: Option<u64>, condition: Condition, now_ms: u64) -> i64 {
    let Some(old) = hash.get(name, now_ms).map(|pair| pair.expire_ms) else { return outcome::NO_FIELD };
    match at_ms {
        None if old.is_none() => outcome::NO_EXPIRY,
        None => {
            hash.set_expire(name, None);
            outcome::DONE
        }
        Some(at) if !condition.holds(old, at) => outcome::REFUSED,
        Some(at) if at > now_ms => {
            hash.set_expire(name, Some(at));
            outcome::DONE
        }
        Some(_) => {
            hash.remove(name, now_ms);
            outcome::DELETED
        }
    }
}

/// `HPERSIST key FIELDS numfields field [field ...]`
pub(crate) fn hpersist(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = hpersist_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn hpersist_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let there = look(ctx, args)?;
    let fields = names(args, 2, COUNT_NOT_POSITIVE)?;
    if !there {
        all_absent(fields.len(), reply);
        return Ok(());
    }
    let mut outcomes = Vec::with_capacity(fields.len());
    set_all(ctx, args, fields, None, Condition::Always, &mut outcomes)?;
    reply.array(outcomes.len());
    outcomes.into_iter().for_each(|outcome| reply.integer(outcome));
    Ok(())
}

/// `HGETEX key [EX seconds | PX ms | EXAT time | PXAT time | PERSIST] FIELDS numfields field [field ...]`
pub(crate) fn hgetex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = hgetex_checked(ctx, args, reply) {
        reply.error(&refusal);
    }
}

fn hgetex_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), String> {
    let now_ms = ctx.shard.now_ms;
    let hash = read(ctx, args)?;
    let (new, at) = match TimeUnit::named(&args[2]) {
        Some(unit) => (Some(Some(times::instant(&args[3], unit, now_ms, "hgetex")?)), 4),
        None if args[2].eq_ignore_ascii_case(b"persist") => (Some(None), 3),
        None => (None, 2),
    };
    let fields = names(args, at, COUNT_NOT_POSITIVE)?;
    let past = matches!(new, Some(Some(at)) if at <= now_ms);
    reply.array(fields.len());
    for index in fields.clone() {
        // A field that is named twice is gone the second time.
        let seen = past && (fields.start..index).any(|earlier| args[earlier] == args[index]);
        value(hash.filter(|_| !seen), &args[index], now_ms, reply);
    }
    if let Some(at_ms) = new {
        set_all(ctx, args, fields, at_ms, Condition::Always, &mut Vec::new())?;
    }
    Ok(())
}

/// `HTTL key FIELDS numfields field [field ...]`: seconds left.
pub(crate) fn httl(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    tell_times(ctx, args, reply, |at, now| times::seconds(at - now));
}

/// `HPTTL key FIELDS numfields field [field ...]`: milliseconds left.
pub(crate) fn hpttl(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    tell_times(ctx, args, reply, |at, now| at - now);
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]`: Unix time in seconds.
pub(crate) fn hexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    tell_times(ctx, args, reply, |at, _| times::seconds(at));
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`: Unix time in milliseconds.
pub(crate) fn hpexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    tell_times(ctx, args, reply, |at, _| at);
}

/// Answers for each field -2 without it, -1 without an expiry, else what `convert` makes of that and the time now.
fn tell_times(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, convert: fn(u64, u64) -> u64) {
    let now_ms = ctx.shard.now_ms;
    let (hash, fields) = match read(ctx, args).and_then(|hash| Ok((hash, names(args, 2, COUNT_NOT_POSITIVE)?))) {
        Ok(both) => both,
        Err(refusal) => return reply.error(refusal),
    };
    reply.array(fields.len());
    for index in fields {
        let pair = hash.and_then(|hash| hash.get(&args[index], now_ms));
        reply.integer(match pair.map(|pair| pair.expire_ms) {
            None => outcome::NO_FIELD,
            Some(None) => outcome::NO_EXPIRY,
            Some(Some(at)) => convert(at, now_ms) as i64,
        });
    }
}

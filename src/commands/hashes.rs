//! The hash commands: fields with values, and their expiries, under one key; the family's table. Never looks at a value
//! of another type but to refuse it.
//!
//! Replies and error texts are Redis 8's; where Valkey 9.1 allows more (HSETEX with NX or XX), that is taken, too.
//!
//! A field that is due is as good as gone for every command. A write that meets one removes it first, tells that and
//! puts an HDEL into the journal before itself, so that whoever replays it later sees the same. All others are
//! left to the shard's appointments with the hash ([`crate::shard::field_expiry`]).

pub(crate) mod counters;
pub(crate) mod expire;
pub(crate) mod get;
pub(crate) mod random;
pub(crate) mod remove;
pub(crate) mod scan;
pub(crate) mod set;
mod table;
pub(crate) mod times;

pub use table::COMMANDS;

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::hash::Hash;
use crate::types::listpack::Item;
use crate::types::table::Current;
use crate::types::value::{NewValue, Value, View};
use std::ops::Range;

/// An error text, as it goes to the client (without the leading `-`).
type Refusal = &'static str;

const FIELDS_MISSING: Refusal = "ERR Mandatory argument FIELDS is missing or not at the right position";
const COUNT_MISMATCH: Refusal = "ERR The `numfields` parameter must match the number of arguments";
const COUNT_NOT_POSITIVE: Refusal = "ERR Number of fields must be a positive integer";

/// Answers a name or a value.
#[inline]
fn answer(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

/// The hash at the first key for a read; `None` if there is no key.
#[inline]
fn read<'c>(ctx: &'c mut Context<'_>, args: &Args<'_>) -> Result<Option<&'c Hash>, Refusal> {
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => Ok(None),
        Some(View::Boxed(value)) => value.as_hash().map(Some).ok_or(errors::WRONGTYPE),
        Some(_) => Err(errors::WRONGTYPE),
    }
}

/// What an edit does where there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// Nothing.
    Leave,
    /// Makes a hash.
    Create,
}

/// What an edit did.
#[derive(Debug)]
struct Edited<R> {
    /// What the closure answered.
    result: R,
    /// No field is left: [`finish`] has to remove the key.
    emptied: bool,
}

/// Gives `change` the hash at the first key, without those of the fields at arguments `names` that are due; it answers
/// whether it changed something, and a result. `None` if there is no key and none is to be made. The events of the
/// change itself are the caller's, [`finish`] comes after them.
#[inline]
fn edit<R>(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    names: impl Iterator<Item = usize>,
    absent: Absent,
    change: impl FnOnce(&mut Hash) -> Result<(bool, R), Refusal>,
) -> Result<Option<Edited<R>>, Refusal> {
    let key = ctx.first_key(&args[1]);
    let now_ms = ctx.shard.now_ms;
    let (mut due, mut note, mut emptied, mut changed) = (Vec::new(), None, false, false);
    let outcome = ctx.shard.update(ctx.db, key, |current| {
        let value = match current {
            None if absent == Absent::Leave => return Ok((Change::Nothing, None)),
            None => {
                let mut hash = Hash::new();
                let result;
                (changed, result) = change(&mut hash)?;
                emptied = hash.is_empty();
                let new = if emptied { Change::Nothing } else { Change::Replace(boxed(hash)) };
                return Ok((new, Some(result)));
            }
            Some(Current::Inline(_)) => return Err(errors::WRONGTYPE),
            Some(Current::Boxed(value)) => value,
        };
        let hash = value.as_hash_mut().ok_or(errors::WRONGTYPE)?;
        if hash.may_expire() {
            due = take_due(hash, args, names, now_ms);
        }
        let outcome = change(hash);
        note = hash.take_note();
        emptied = hash.is_empty();
        let result;
        (changed, result) = outcome?;
        Ok((if changed { Change::InPlace } else { Change::Nothing }, Some(result)))
    });
    ctx.shard.note_fields(ctx.db, key, note);
    if !due.is_empty() {
        ctx.shard.fields_expired(ctx.db, key, &due, emptied && !changed);
    }
    Ok(outcome?.map(|result| Edited { result, emptied: emptied && changed }))
}

fn boxed(hash: Hash) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Value::Hash(hash)))
}

/// Takes those of the named fields out that are due.
#[cold]
fn take_due(hash: &mut Hash, args: &Args<'_>, names: impl Iterator<Item = usize>, now_ms: u64) -> Vec<Vec<u8>> {
    let mut due = Vec::new();
    for name in names.map(|index| &args[index]) {
        if hash.find(name).is_some_and(|pair| pair.is_due(now_ms)) {
            hash.remove(name, now_ms);
            due.push(name.to_vec());
        }
    }
    due
}

/// Tells an event of the hash at the first key.
#[inline]
fn tell(ctx: &mut Context<'_>, args: &Args<'_>, event: &'static str) {
    ctx.shard.events.happen(class::HASH, event, ctx.db, &args[1]);
}

/// Removes a key that lost its last field, after the command told its own events.
#[inline]
fn finish(ctx: &mut Context<'_>, args: &Args<'_>, emptied: bool) {
    if emptied {
        let key = ctx.first_key(&args[1]);
        ctx.shard.remove_emptied(ctx.db, key);
    }
}

/// Puts `HDEL key name ...` into the journal in the place of the command.
fn journal_hdel<'a>(ctx: &mut Context<'_>, key: &'a [u8], names: impl Iterator<Item = &'a [u8]>) {
    if ctx.shard.events.journaled {
        let words: Vec<&[u8]> = [b"HDEL".as_slice(), key].into_iter().chain(names).collect();
        ctx.shard.events.effect(&words);
    }
}

/// Puts `command key [time] FIELDS count name ...` into the journal in the place of the command.
fn journal_fields(ctx: &mut Context<'_>, command: &str, key: &[u8], at_ms: Option<u64>, names: &[&[u8]]) {
    if ctx.shard.events.journaled {
        let time = at_ms.map(|at| at.to_string());
        let count = names.len().to_string();
        let mut words: Vec<&[u8]> = vec![command.as_bytes(), key];
        words.extend(time.as_deref().map(str::as_bytes));
        words.extend([b"FIELDS".as_slice(), count.as_bytes()]);
        words.extend(names);
        ctx.shard.events.effect(&words);
    }
}

/// Reads `FIELDS numfields field ...` that begins at argument `at` and goes to the end; answers where the names are.
fn names(args: &Args<'_>, at: usize, not_positive: Refusal) -> Result<Range<usize>, Refusal> {
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"fields")) {
        return Err(FIELDS_MISSING);
    }
    let first = at + 2;
    let count = args.get(at + 1).and_then(parse_i64).filter(|count| *count > 0).ok_or(not_positive)?;
    if args.len().checked_sub(first) != usize::try_from(count).ok() {
        return Err(COUNT_MISMATCH);
    }
    Ok(first..args.len())
}

#[cfg(test)]
#[path = "hashes_tests.rs"]
mod tests;

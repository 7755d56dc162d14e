//! Changing a string in place: APPEND, SETRANGE, and the door through which the bitmap commands do. Keeps the expiry.
//!
//! A small string is rebuilt in a scratch buffer on the stack and set again, marked raw as Redis's is after such an
//! edit. A large one is changed where it is; if a reply that is still being sent shares its buffer, that reply keeps
//! the old buffer and the key gets a new one. Buffers grow by an eighth of their length or more, so that a run of
//! appends copies each byte a bounded number of times.

use super::{Refusal, boxed, bytes_of, encode, refuse_short};
use crate::base::bytes::BigString;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::table::{Current, Key};
use crate::types::value::NewValue;
use smallvec::SmallVec;
use std::sync::Arc;

/// A string up to this long is edited on the stack; the table decides whether it then lives in its entry.
const SCRATCH_BYTES: usize = 512;
/// Most spare room a growing buffer gets, unless an eighth of its length is more (Redis: SDS_MAX_PREALLOC).
const SPARE_BYTES: usize = 1024 * 1024;

type Scratch = SmallVec<[u8; SCRATCH_BYTES]>;

/// Capacity for a buffer that has just outgrown its old one and is `len` long now.
fn roomy(len: usize) -> usize {
    len + len.min(SPARE_BYTES).max(len / 8)
}

/// The buffer of a large string, ours alone and with room for `len` bytes in all.
fn writable(big: &mut BigString, len: usize) -> &mut Vec<u8> {
    if Arc::get_mut(big).is_none() {
        let mut copy = Vec::with_capacity(if len > big.len() { roomy(len) } else { big.len() });
        copy.extend_from_slice(big);
        *big = Arc::new(copy);
    }
    let bytes = Arc::make_mut(big);
    if len > bytes.capacity() {
        bytes.reserve_exact(roomy(len) - bytes.len());
    }
    bytes
}

/// What an edit found and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edited<R> {
    /// What the closure returned.
    pub(crate) result: R,
    /// Whether the string became longer, a key that was created included.
    pub(crate) grown: bool,
}

/// Gives `change` the bytes of the string at `key`, zero-filled to at least `len_min`; the key is created if absent
/// (even if empty then). Refuses another type. Counts and notes no write: the caller knows what changed.
pub(crate) fn edit<R>(
    ctx: &mut Context<'_>,
    key: Key<'_>,
    len_min: usize,
    change: impl FnOnce(&mut [u8]) -> R,
) -> Result<Edited<R>, Refusal> {
    let (dirty, noted) = (ctx.shard.dirty, ctx.shard.events.tracking.noted.len());
    let mut scratch = Scratch::new();
    let edited = ctx.shard.update(ctx.db, key, |current| {
        let mut digits = itoa::Buffer::new();
        let (old, is_new): (&[u8], bool) = match current {
            None => (b"", true),
            Some(Current::Inline(view)) => (bytes_of(view, &mut digits)?, false),
            Some(Current::Boxed(value)) => {
                let big = value.as_string_mut().ok_or(errors::WRONGTYPE)?;
                let (grown, len) = (big.len() < len_min, big.len().max(len_min));
                if len / 2 > big.len() {
                    // the shorter part is copied
                    *big = Arc::new(lengthened(big, len));
                }
                let bytes = writable(big, len);
                bytes.resize(len, 0);
                return Ok((Change::InPlace, Edited { result: change(bytes), grown }));
            }
        };
        let len = old.len().max(len_min);
        let grown = is_new || old.len() < len;
        if len <= SCRATCH_BYTES {
            scratch.extend_from_slice(old);
            scratch.resize(len, 0);
            let result = change(&mut scratch);
            return Ok((Change::Replace(NewValue::Str { bytes: &scratch, raw: true }), Edited { result, grown }));
        }
        let mut bytes = lengthened(old, len);
        let result = change(&mut bytes);
        Ok((Change::Replace(boxed(Arc::new(bytes))), Edited { result, grown }))
    });
    ctx.shard.dirty = dirty;
    ctx.shard.events.tracking.noted.truncate(noted);
    edited
}

/// `old` with zeros up to `len` bytes: they are pages from the system, so that a far offset costs nothing yet.
fn lengthened(old: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..old.len()].copy_from_slice(old);
    bytes
}

/// The length of `len + extra` bytes, refused beyond what a command may build.
fn total(len: usize, extra: usize, bytes_max: usize) -> Result<usize, Refusal> {
    match len.checked_add(extra) {
        Some(total) if total <= bytes_max => Ok(total),
        _ => Err(errors::STRING_TOO_LONG),
    }
}

/// `APPEND key value`
pub(crate) fn append(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    match append_checked(ctx, args) {
        Ok(len) => {
            ctx.happen(class::STRING, "append", &args[1]);
            reply.integer(len as i64);
        }
        Err(refusal) => reply.error(refusal),
    }
}

fn append_checked(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Result<usize, Refusal> {
    let big = args.take_big(2);
    let extra: &[u8] = match &big {
        Some(big) => big,
        None => &args[2],
    };
    let key = ctx.first_key(&args[1]);
    let bytes_max = ctx.bulk_bytes_max;
    let mut scratch = Scratch::new();
    ctx.shard.update(ctx.db, key, |current| {
        let mut digits = itoa::Buffer::new();
        let old = match current {
            None => {
                let value = big.as_ref().map_or_else(|| encode(extra), |big| boxed(big.clone()));
                return Ok((Change::Replace(value), extra.len()));
            }
            Some(Current::Boxed(value)) => {
                let string = value.as_string_mut().ok_or(errors::WRONGTYPE)?;
                let len = total(string.len(), extra.len(), bytes_max)?;
                writable(string, len).extend_from_slice(extra);
                return Ok((Change::InPlace, len));
            }
            Some(Current::Inline(view)) => bytes_of(view, &mut digits)?,
        };
        let len = total(old.len(), extra.len(), bytes_max)?;
        if len > SCRATCH_BYTES {
            let mut bytes = Vec::with_capacity(roomy(len));
            bytes.extend_from_slice(old);
            bytes.extend_from_slice(extra);
            return Ok((Change::Replace(boxed(Arc::new(bytes))), len));
        }
        scratch.extend_from_slice(old);
        scratch.extend_from_slice(extra);
        Ok((Change::Replace(NewValue::Str { bytes: &scratch, raw: true }), len))
    })
}

/// `SETRANGE key offset value`
pub(crate) fn setrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match setrange_checked(ctx, args) {
        Ok(len) => reply.integer(len as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn setrange_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<usize, Refusal> {
    let offset = parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?;
    let offset = usize::try_from(offset).map_err(|_| "ERR offset is out of range")?;
    let patch = &args[3];
    let key = ctx.first_key(&args[1]);
    if patch.is_empty() {
        let mut digits = itoa::Buffer::new();
        return match ctx.shard.write(ctx.db, key) {
            Some(view) => Ok(bytes_of(view, &mut digits)?.len()),
            None => Ok(0),
        };
    }
    let end = match total(offset, patch.len(), ctx.bulk_bytes_max) {
        Ok(end) => end,
        // Redis names the wrong type before the length.
        Err(_) if ctx.shard.write(ctx.db, key).is_some_and(super::is_alien) => return Err(errors::WRONGTYPE),
        Err(refusal) => return Err(refusal),
    };
    let edited = edit(ctx, key, end, |bytes| {
        bytes[offset..end].copy_from_slice(patch);
        bytes.len()
    })?;
    ctx.shard.changed(ctx.db, key, class::STRING, "setrange");
    Ok(edited.result)
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;

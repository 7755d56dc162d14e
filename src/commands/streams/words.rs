//! What the arguments of stream commands mean: identifiers, ranges, options of trimming; and how entries are answered.
//! Never looks a key up but to hand it over as a stream.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::listpack::Item;
use crate::types::stream::{Entry, Id, Keep, Stream, Trim};
use crate::types::table::Key;
use crate::types::value::View;
use std::borrow::Cow;

/// An error, as it goes to the client (without the leading `-`).
pub(super) type Refusal = Cow<'static, [u8]>;

/// A refusal with a fixed text.
pub(super) const fn refuse(text: &'static str) -> Refusal {
    Cow::Borrowed(text.as_bytes())
}

pub(super) const SYNTAX: Refusal = refuse(errors::SYNTAX);
const NOT_INTEGER: Refusal = refuse(errors::NOT_INTEGER);
const WRONGTYPE: Refusal = refuse(errors::WRONGTYPE);
const BAD_ID: Refusal = refuse("ERR Invalid stream ID specified as stream command argument");

/// A client's own word in an error: up to its first zero byte, as C prints it.
pub(super) fn quote(word: &[u8]) -> &[u8] {
    word.split(|byte| *byte == 0).next().unwrap_or(word)
}

/// `NOGROUP` for a group that a command needs, where a missing key is named as well.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    let texts = [b"NOGROUP No such key '", quote(key), b"' or consumer group '", quote(group), b"'"];
    Cow::Owned(texts.concat())
}

/// As [`no_group`], where the key is there.
pub(super) fn no_group_of(key: &[u8], group: &[u8]) -> Refusal {
    let texts = [b"NOGROUP No such consumer group '", quote(group), b"' for key name '", quote(key), b"'"];
    Cow::Owned(texts.concat())
}

/// Writes what a command's function answered by an error.
pub(super) fn answer(result: Result<(), Refusal>, reply: &mut Reply<'_>) {
    if let Err(refusal) = result {
        reply.error_bytes(&refusal);
    }
}

/// The stream at a key, for a read; `None` if there is no key.
pub(super) fn read<'a>(ctx: &'a mut Context<'_>, key: Key<'_>) -> Result<Option<&'a Stream>, Refusal> {
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => Ok(None),
        Some(View::Boxed(value)) => value.as_stream().map(Some).ok_or(WRONGTYPE),
        Some(_) => Err(WRONGTYPE),
    }
}

/// The stream at a key, for an edit; `None` if there is no key.
pub(super) fn write<'a>(ctx: &'a mut Context<'_>, key: Key<'_>) -> Result<Option<&'a mut Stream>, Refusal> {
    match ctx.shard.write(ctx.db, key) {
        None => return Ok(None),
        Some(View::Boxed(_)) => {}
        Some(_) => return Err(WRONGTYPE),
    }
    let value = ctx.shard.tables[ctx.db].boxed_mut(key);
    value.map(|value| value.as_stream_mut().ok_or(WRONGTYPE)).transpose()
}

/// Tells a change of a group: an event, and something for the journal, but nothing that WATCH minds.
pub(super) fn noted(ctx: &mut Context<'_>, key: Key<'_>, event: &'static str) {
    ctx.shard.dirty += 1;
    ctx.shard.events.happen(class::STREAM, event, ctx.db, key.bytes);
}

/// An integer as Redis reads one.
pub(super) fn integer(word: &[u8]) -> Result<i64, Refusal> {
    parse_i64(word).ok_or(NOT_INTEGER)
}

/// As [`integer`], with an error of its own.
pub(super) fn integer_or(word: &[u8], text: &'static str) -> Result<i64, Refusal> {
    parse_i64(word).ok_or(refuse(text))
}

/// A whole identifier, or its milliseconds with number 0.
pub(super) fn id(word: &[u8]) -> Result<Id, Refusal> {
    Id::parse(word, 0).ok_or(BAD_ID)
}

/// As [`id`], or `-` or `+`.
pub(super) fn id_or_bound(word: &[u8], seq: u64) -> Result<Id, Refusal> {
    match word {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        _ => Id::parse(word, seq).ok_or(BAD_ID),
    }
}

/// Where a range starts; `(` before an identifier excludes it.
pub(super) fn range_start(word: &[u8]) -> Result<Id, Refusal> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            id(rest)?.next().ok_or(refuse("ERR invalid start ID for the interval"))
        }
        _ => id_or_bound(word, 0),
    }
}

/// Where a range ends; `(` before an identifier excludes it.
pub(super) fn range_end(word: &[u8]) -> Result<Id, Refusal> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let id = Id::parse(rest, u64::MAX).ok_or(BAD_ID)?;
            id.prev().ok_or(refuse("ERR invalid end ID for the interval"))
        }
        _ => id_or_bound(word, u64::MAX),
    }
}

/// Whether argument `at` is this word, in any case.
pub(super) fn is(args: &Args<'_>, at: usize, word: &str) -> bool {
    args[at].eq_ignore_ascii_case(word.as_bytes())
}

/// Most entries that `~` trims at once unless LIMIT says otherwise: those of so many blocks ...
const TRIM_BLOCKS: u64 = 100;
/// ... or these, if a block has no bound of its own, and never more than the last.
const TRIM_ENTRIES: (u64, u64) = (10_000, 1_000_000);

/// The identifier that XADD is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Wish {
    /// `*`
    #[default]
    Any,
    /// `ms-*`
    Within(u64),
    /// `ms-seq`
    Exactly(Id),
}

/// The options of XADD and XTRIM.
#[derive(Debug, Default)]
pub(super) struct TrimWords {
    /// How to trim, if at all.
    pub(super) trim: Option<Trim>,
    /// Argument index of MAXLEN or MINID.
    pub(super) at: usize,
    /// Argument index of the length or identifier behind it.
    pub(super) threshold_at: usize,
    /// Argument index of LIMIT; 0 if it is not there.
    pub(super) limit_at: usize,
    /// NOMKSTREAM.
    pub(super) no_mkstream: bool,
    /// The identifier of XADD.
    pub(super) id: Wish,
}

/// Reads the options from argument 2 on. Returns them and where they end: for XADD (`adds`) at the identifier.
pub(super) fn trim_words(args: &Args<'_>, block_entries: u64, adds: bool) -> Result<(TrimWords, usize), Refusal> {
    let mut words = TrimWords::default();
    let mut keep: Option<Keep> = None;
    let (mut approximate, mut limit) = (false, None);
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - 1 - at;
        if adds && args[at] == *b"*" {
            break;
        } else if more > 0 && (is(args, at, "maxlen") || is(args, at, "minid")) {
            if keep.is_some() {
                return Err(refuse("ERR syntax error, MAXLEN and MINID options at the same time are not compatible"));
            }
            words.at = at;
            let operator = more >= 2 && matches!(&args[at + 1], b"~" | b"=");
            approximate = operator && args[at + 1] == *b"~";
            let threshold_at = at + 1 + usize::from(operator);
            keep = Some(threshold(args, at, threshold_at)?);
            words.threshold_at = threshold_at;
            at = threshold_at;
        } else if more > 0 && is(args, at, "limit") {
            words.limit_at = at;
            at += 1;
            let number = integer(&args[at])?;
            limit = Some(u64::try_from(number).map_err(|_| refuse("ERR The LIMIT argument must be >= 0."))?);
        } else if adds && is(args, at, "nomkstream") {
            words.no_mkstream = true;
        } else if adds {
            words.id = match Id::parse_ms(&args[at]) {
                Some(ms) => Wish::Within(ms),
                None => Wish::Exactly(id(&args[at])?),
            };
            break;
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    if keep.is_none() && limit.unwrap_or(0) > 0 {
        return Err(refuse("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"));
    }
    if keep.is_none() && !adds {
        return Err(refuse("ERR syntax error, XTRIM must be called with a trimming strategy"));
    }
    if limit.is_some() && !approximate {
        return Err(refuse("ERR syntax error, LIMIT cannot be used without the special ~ option"));
    }
    let usual = match block_entries.saturating_mul(TRIM_BLOCKS) {
        0 => TRIM_ENTRIES.0,
        entries => entries.min(TRIM_ENTRIES.1),
    };
    let limit = limit.unwrap_or(if approximate { usual } else { 0 });
    words.trim = keep.map(|keep| Trim { keep, approximate, limit });
    Ok((words, at))
}

fn threshold(args: &Args<'_>, at: usize, threshold_at: usize) -> Result<Keep, Refusal> {
    if is(args, at, "minid") {
        return Ok(Keep::From(id(&args[threshold_at])?));
    }
    let count = integer(&args[threshold_at])?;
    let count = u64::try_from(count).map_err(|_| refuse("ERR The MAXLEN argument must be >= 0."))?;
    Ok(Keep::Newest(count))
}

/// An entry: its identifier, then fields and values.
#[inline]
pub(super) fn put_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    put_id(reply, entry.id);
    reply.array(2 * entry.fields());
    for (field, value) in entry.pairs() {
        put_item(reply, field);
        put_item(reply, value);
    }
}

/// An identifier.
#[inline]
pub(super) fn put_id(reply: &mut Reply<'_>, id: Id) {
    reply.bulk(&id.text());
}

#[inline]
fn put_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

/// Answers entries.
pub(super) fn put_entries<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'a>>) {
    let later = reply.array_later();
    let mut count = 0;
    for entry in entries {
        put_entry(reply, &entry);
        count += 1;
    }
    reply.set_array_len(later, count);
}

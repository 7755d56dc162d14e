//! SCAN, KEYS and RANDOMKEY: finding keys without knowing their names.
//!
//! A SCAN cursor is a place in the order of slots. Each step runs on the shard that owns the cursor's slot; one that
//! is through with its slots answers a cursor at the next shard's first. A pattern that names a hash tag (`{user1}*`)
//! can only match keys of that tag's slot, so the other slots are passed over.

use crate::base::bytes::OutBuf;
use crate::base::glob;
use crate::base::hash::{self, SLOTS};
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::table::{EntryView, Key, cursor_at_slot, cursor_slot};

/// Entries a step visits unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

/// The options of SCAN.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// `MATCH`, unless everything matches.
    pattern: Option<&'a [u8]>,
    /// `COUNT`.
    count: usize,
    /// `TYPE`.
    kind: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn parse(args: &'a Args<'_>) -> Result<Self, &'static str> {
        let mut wanted = Wanted { pattern: None, count: COUNT_DEFAULT, kind: None };
        let mut i = 2;
        while i < args.len() {
            let (option, value) = (&args[i], args.get(i + 1).ok_or(errors::SYNTAX)?);
            if option.eq_ignore_ascii_case(b"count") {
                let count = text::parse_i64(value).ok_or(errors::NOT_INTEGER)?;
                wanted.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(errors::SYNTAX)?;
            } else if option.eq_ignore_ascii_case(b"match") {
                wanted.pattern = (value != b"*").then_some(value);
            } else if option.eq_ignore_ascii_case(b"type") {
                wanted.kind = Some(value);
            } else {
                return Err(errors::SYNTAX);
            }
            i += 2;
        }
        Ok(wanted)
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
pub(crate) fn scan(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let Some(cursor) = parse_cursor(&args[1]) else { return reply.error("ERR invalid cursor") };
    let wanted = match Wanted::parse(args) {
        Ok(wanted) => wanted,
        Err(text) => return reply.error(text),
    };
    let mut found = OutBuf::default();
    let mut elements = Reply::new(&mut found, reply.proto);
    let mut count = 0;
    let mut due = Vec::new();
    let mut visit = |entry: EntryView<'_>, is_due: bool| {
        if wanted.pattern.is_some_and(|pattern| !glob::matches(pattern, entry.key, false)) {
            return;
        }
        if is_due {
            due.push(entry.key.to_vec());
        } else if wanted.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value.type_name().as_bytes())) {
            elements.bulk(entry.key);
            count += 1;
        }
    };
    let own = ctx.shard.slots.clone();
    let only = wanted.pattern.and_then(pattern_slot);
    let next = match only {
        Some(slot) if cursor_slot(cursor) > slot => 0,
        Some(slot) if !own.contains(&slot) => cursor_at_slot(slot),
        _ => {
            let slots = only.map_or(own.clone(), |slot| slot..slot + 1);
            let next = ctx.shard.scan(ctx.db, cursor, wanted.count, slots, &mut visit);
            let ended = next == 0 && only.is_none() && own.end < SLOTS;
            if ended { cursor_at_slot(own.end) } else { next }
        }
    };
    reply.array(2);
    reply.bulk_fmt(format_args!("{next}"));
    reply.array(count);
    reply.out.append(&mut found);
    // as a lookup does
    due.iter().for_each(|key| ctx.shard.expire_found(ctx.db, Key::new(key)));
}

/// A cursor as clients send it back: an unsigned 64-bit number, read as leniently as Redis 8 does.
pub(crate) fn parse_cursor(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The one slot whose keys `pattern` can match, if it is only one: it has no wildcard at all, or none before the end
/// of a hash tag.
fn pattern_slot(pattern: &[u8]) -> Option<u16> {
    let literal = pattern.iter().take_while(|byte| !b"*?[\\".contains(byte)).count();
    if literal == pattern.len() {
        return Some(hash::slot(pattern));
    }
    let pattern = &pattern[..literal];
    let open = pattern.iter().position(|byte| *byte == b'{')?;
    let close = open + 1 + pattern[open + 1..].iter().position(|byte| *byte == b'}')?;
    (close > open + 1).then(|| hash::slot(&pattern[..=close]))
}

/// `KEYS pattern`.
pub(crate) fn keys(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let pattern = &args[1];
    let all = pattern == b"*";
    let header = reply.array_later();
    let mut count = 0;
    let mut visit = |key: &[u8]| {
        if all || glob::matches(pattern, key, false) {
            reply.bulk(key);
            count += 1;
        }
        true
    };
    match pattern_slot(pattern) {
        Some(slot) if !ctx.shard.slots.contains(&slot) => {}
        Some(slot) => ctx.shard.for_each_in_slot(ctx.db, slot, |entry| visit(entry.key)),
        None => ctx.shard.for_each(ctx.db, |entry| visit(entry.key)),
    }
    reply.set_array_len(header, count);
}

/// `RANDOMKEY`.
pub(crate) fn randomkey(ctx: &mut Context<'_>, _args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match ctx.shard.random_key(ctx.db) {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
}

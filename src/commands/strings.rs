//! The string commands: what a string key holds, how it is answered, and the family's table. Never looks at a value
//! of another type but to refuse it.
//!
//! A string lives in one of three forms ([`View`]): an integer, bytes inside the entry, or a shared buffer of its own.
//! [`encode`] chooses the form of a value that arrives (Redis's `tryObjectEncoding`), [`edit`] keeps the form of one
//! that is changed in place.

pub(crate) mod counters;
pub(crate) mod edit;
pub(crate) mod float;
pub(crate) mod get;
pub(crate) mod lcs;
pub(crate) mod multi;
pub(crate) mod options;
pub(crate) mod set;

use crate::base::bytes::BigString;
use crate::base::text::parse_i64;
use crate::base::thin::Thin;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::flag::{BRIEF, DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Gather, Group, KeyFlags, KeySpec, Plan, key};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::{Current, Key};
use crate::types::value::{NewValue, Owned, Value, View};
use counters::{decr, decrby, incr, incrby};
use edit::{append, setrange};
use float::incrbyfloat;
use get::{delifeq, get, getdel, getex, getrange, strlen};
use lcs::lcs;
use multi::{mget, mset, msetex, msetex_check, msetnx, msetnx_check};
use set::{getset, psetex, set, setex, setnx};
use smallvec::SmallVec;
use std::ops::Deref;

/// An error text, as it goes to the client (without the leading `-`).
pub(crate) type Refusal = &'static str;

/// Most digits of an `i64`, sign included.
const INTEGER_DIGITS_MAX: usize = 20;

/// The form in which bytes sent by a client are kept: an integer if they are exactly how that integer is written.
#[inline]
pub(crate) fn encode(bytes: &[u8]) -> NewValue<'_> {
    if let Some(first) = bytes.first()
        && bytes.len() <= INTEGER_DIGITS_MAX
        && (first.is_ascii_digit() || *first == b'-')
        && let Some(number) = parse_i64(bytes)
    {
        return NewValue::Int(number);
    }
    NewValue::Str { bytes, raw: false }
}

/// A large string as a value.
pub(crate) fn boxed(big: BigString) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Value::Str(Thin::new(big))))
}

/// The bytes of a string (an integer is written into `digits`), or the refusal of another type.
pub(crate) fn bytes_of<'v>(view: View<'v>, digits: &'v mut itoa::Buffer) -> Result<&'v [u8], Refusal> {
    match view {
        View::Int(number) => Ok(digits.format(number).as_bytes()),
        View::Str { bytes, .. } => Ok(bytes),
        View::Boxed(value) => match value.as_string() {
            Some(big) => Ok(big),
            None => Err(errors::WRONGTYPE),
        },
    }
}

/// As [`bytes_of`], of a value that is about to be changed.
pub(crate) fn current_bytes<'v>(current: &'v Current<'_>, digits: &'v mut itoa::Buffer) -> Result<&'v [u8], Refusal> {
    match current {
        Current::Inline(view) => bytes_of(*view, digits),
        Current::Boxed(value) => bytes_of(View::Boxed(value), digits),
    }
}

/// Answers a string as a bulk, a large one without a copy; refuses another type.
#[inline]
pub(crate) fn answer(reply: &mut Reply<'_>, view: View<'_>) {
    match view {
        View::Int(number) => reply.bulk_integer(number),
        View::Str { bytes, .. } => reply.bulk(bytes),
        View::Boxed(value) => match value.as_string() {
            Some(big) => reply.big(big),
            None => reply.error(errors::WRONGTYPE),
        },
    }
}

/// Whether the value is no string.
pub(crate) fn is_alien(view: View<'_>) -> bool {
    matches!(view, View::Boxed(value) if value.as_string().is_none())
}

/// A string's bytes held apart from the shard, so that several keys can be looked at together: small ones copied,
/// large ones shared.
#[derive(Debug)]
pub(crate) enum Held {
    /// A copy.
    Small(SmallVec<[u8; 64]>),
    /// The value itself.
    Big(BigString),
}

impl Held {
    /// A key that is not there reads as the empty string.
    pub(crate) fn empty() -> Held {
        Held::Small(SmallVec::new())
    }

    /// Holds what a lookup found; refuses another type.
    pub(crate) fn of_view(view: View<'_>) -> Result<Held, Refusal> {
        match view {
            View::Boxed(value) => Held::of_value(value),
            _ => {
                let mut digits = itoa::Buffer::new();
                Ok(Held::Small(SmallVec::from_slice(bytes_of(view, &mut digits)?)))
            }
        }
    }

    /// Holds what was fetched from another shard; refuses another type.
    pub(crate) fn of_owned(owned: &Owned) -> Result<Held, Refusal> {
        match owned {
            Owned::Int(number) => Held::of_view(View::Int(*number)),
            Owned::Str { bytes, raw } => Held::of_view(View::Str { bytes, raw: *raw }),
            Owned::Boxed(value) => Held::of_value(value),
        }
    }

    fn of_value(value: &Value) -> Result<Held, Refusal> {
        match value.as_string() {
            Some(big) => Ok(Held::Big(big.clone())),
            None => Err(errors::WRONGTYPE),
        }
    }
}

impl Deref for Held {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Held::Small(bytes) => bytes,
            Held::Big(bytes) => bytes,
        }
    }
}

/// What `key` holds, on this shard or on the one it was fetched from; empty if it is absent.
pub(crate) fn hold(ctx: &mut Context<'_>, key: &[u8]) -> Result<Held, Refusal> {
    if let Some(foreign) = ctx.foreign(ctx.db, key) {
        if let Some((owned, _)) = &foreign.found {
            return Held::of_owned(owned);
        }
        ctx.happen(class::MISS, "keymiss", key);
        return Ok(Held::empty());
    }
    match ctx.shard.read(ctx.db, Key::new(key), ctx.no_touch) {
        Some(view) => Held::of_view(view),
        None => Ok(Held::empty()),
    }
}

/// An inclusive range as GETRANGE and BITCOUNT mean it, cut to `len` units: negative positions count from the end.
/// `None` if nothing is in it.
pub(crate) fn clip(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    if start < 0 && end < 0 && start > end { None } else { clip_loose(start, end, len) }
}

/// As [`clip`], but two positions before the beginning are both the beginning (BITPOS).
pub(crate) fn clip_loose(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64; // a string's bits are below 2^63
    let start = if start < 0 { (len + start).max(0) } else { start };
    let end = if end < 0 { (len + end).max(0) } else { end }.min(len - 1);
    if start > end { None } else { Some((start as usize, end as usize)) }
}

/// Refuses a command with fewer arguments than it reads. The dispatcher has checked arity before; this keeps a
/// function from reading past its arguments whoever calls it.
#[cold]
pub(crate) fn refuse_short(args: &Args<'_>, reply: &mut Reply<'_>) {
    let name = args.get(0).unwrap_or_default().to_ascii_lowercase();
    errors::wrong_arity(&String::from_utf8_lossy(&name), reply);
}

/// SET reads the key only if it is to return what was there.
fn set_key_flags(args: &Args<'_>) -> KeyFlags {
    let reads = args.from(3).any(|a| a.eq_ignore_ascii_case(b"get"));
    if reads { key::RW | key::ACCESS | key::UPDATE } else { key::OW | key::UPDATE }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("append", 3, Group::String, "2.0.0", Plan::OneShard(append))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs("Adds bytes to the end of a string; a missing key starts empty.", "O(1) amortized", "key#0 value"),
    CommandSpec::new("decr", 2, Group::String, "1.0.0", Plan::OneShard(decr))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Subtracts one from an integer; a missing key counts as 0.", "O(1)", "key#0"),
    CommandSpec::new("decrby", 3, Group::String, "1.0.0", Plan::OneShard(decrby))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Subtracts a number from an integer; a missing key counts as 0.", "O(1)", "key#0 decrement:int"),
    CommandSpec::new("delifeq", 3, Group::String, "9.0.0", Plan::OneShard(delifeq))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RM | key::DELETE, 1)])
        .docs("Deletes a key if its string equals the given value.", "O(1)", "key#0 value"),
    CommandSpec::new("get", 2, Group::String, "1.0.0", Plan::OneShard(get))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns a string.", "O(1)", "key#0"),
    CommandSpec::new("getdel", 2, Group::String, "6.2.0", Plan::OneShard(getdel))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs("Returns a string and deletes its key.", "O(1)", "key#0"),
    CommandSpec::new("getex", -2, Group::String, "6.2.0", Plan::OneShard(getex))
        .flags(WRITE | FAST)
        .key_specs(&[
            KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1).notes("RW and update, as it may change the expiry")
        ])
        .docs(
            "Returns a string and may set or remove its expiry.",
            "O(1)",
            "key#0 [expiration=(EX seconds:int|PX milliseconds:int|EXAT unix-time-seconds:unix|PXAT \
                unix-time-milliseconds:unix|PERSIST)]",
        ),
    CommandSpec::new("getrange", 4, Group::String, "2.4.0", Plan::OneShard(getrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns a part of a string, both ends included.",
            "O(N) with N the bytes returned",
            "key#0 start:int end:int",
        ),
    CommandSpec::new("getset", 3, Group::String, "1.0.0", Plan::OneShard(getset))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Sets a string and returns the one before.", "O(1)", "key#0 value")
        .deprecated("6.2.0", "SET with the !GET argument"),
    CommandSpec::new("incr", 2, Group::String, "1.0.0", Plan::OneShard(incr))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Adds one to an integer; a missing key counts as 0.", "O(1)", "key#0"),
    CommandSpec::new("incrby", 3, Group::String, "1.0.0", Plan::OneShard(incrby))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Adds a number to an integer; a missing key counts as 0.", "O(1)", "key#0 increment:int"),
    CommandSpec::new("incrbyfloat", 3, Group::String, "2.6.0", Plan::OneShard(incrbyfloat))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Adds a decimal number to a number; a missing key counts as 0.", "O(1)", "key#0 increment:double"),
    CommandSpec::new("lcs", -3, Group::String, "7.0.0", Plan::TwoPhase { run: lcs, home: 1 })
        .flags(READONLY)
        .key_specs(&[KeySpec::range(key::RO | key::ACCESS, 1, 1, 1)])
        .docs(
            "Finds the longest common subsequence of two strings.",
            "O(N*M) with N and M the lengths of the strings",
            "key1#0 key2#0 [LEN] [IDX] [MINMATCHLEN min-match-len:int] [WITHMATCHLEN]",
        ),
    CommandSpec::new("mget", -2, Group::String, "1.0.0", Plan::Scatter(mget, Gather::ByKey))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)])
        .tips(&["request_policy:multi_shard"])
        .docs("Returns the strings of several keys.", "O(N) with N the number of keys", "key#0..."),
    CommandSpec::new("mset", -3, Group::String, "1.0.1", Plan::Scatter(mset, Gather::AllOk))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::range(key::OW | key::UPDATE, 1, -1, 2)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .docs("Sets several strings at once.", "O(N) with N the number of keys", "data={key#0 value}..."),
    CommandSpec::new(
        "msetex",
        -4,
        Group::String,
        "9.1.0",
        Plan::CheckedScatter { check: msetex_check, run: msetex, gather: Gather::AllOk },
    )
    .flags(WRITE | DENYOOM)
    .key_specs(&[KeySpec::counted(key::OW | key::UPDATE, 1, 2)])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
    .docs(
        "Sets several strings at once, with one condition and one expiry for all.",
        "O(N) with N the number of keys",
        "numkeys:int data={key#0 value}... [condition=(NX|XX)] [expiration=(EX seconds:int|PX \
                milliseconds:int|EXAT unix-time-seconds:unix|PXAT unix-time-milliseconds:unix|KEEPTTL)]",
    ),
    CommandSpec::new(
        "msetnx",
        -3,
        Group::String,
        "1.0.1",
        Plan::CheckedScatter { check: msetnx_check, run: msetnx, gather: Gather::AllOk },
    )
    .flags(WRITE | DENYOOM)
    .key_specs(&[KeySpec::range(key::OW | key::INSERT, 1, -1, 2)])
    .docs(
        "Sets several strings at once if none of the keys is there.",
        "O(N) with N the number of keys",
        "data={key#0 value}...",
    ),
    CommandSpec::new("psetex", 4, Group::String, "2.6.0", Plan::OneShard(psetex))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1)])
        .docs("Sets a string that expires after so many milliseconds.", "O(1)", "key#0 milliseconds:int value")
        .deprecated("2.6.12", "SET with the PX argument"),
    CommandSpec::new("set", -3, Group::String, "1.0.0", Plan::OneShard(set))
        .flags(WRITE | DENYOOM | BRIEF)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)
            .notes("Overwrites, or reads and writes with GET")])
        .key_flags(set_key_flags)
        .docs(
            "Sets a string, whatever the key held; on conditions and with an expiry if asked.",
            "O(1)",
            "key#0 value [condition=(NX|XX|IFEQ comparison-value)] [GET] [expiration=(EX seconds:int|PX \
                milliseconds:int|EXAT unix-time-seconds:unix|PXAT unix-time-milliseconds:unix|KEEPTTL)]",
        )
        .history(&[
            ("2.6.12", "EX, PX, NX and XX."),
            ("6.0.0", "KEEPTTL."),
            ("6.2.0", "GET, EXAT and PXAT."),
            ("7.0.0", "NX together with GET."),
            ("8.1.0", "IFEQ."),
        ]),
    CommandSpec::new("setex", 4, Group::String, "2.0.0", Plan::OneShard(setex))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1)])
        .docs("Sets a string that expires after so many seconds.", "O(1)", "key#0 seconds:int value")
        .deprecated("2.6.12", "SET with the EX argument"),
    CommandSpec::new("setnx", 3, Group::String, "1.0.0", Plan::OneShard(setnx))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::OW | key::INSERT, 1)])
        .docs("Sets a string if the key is not there.", "O(1)", "key#0 value")
        .deprecated("2.6.12", "SET with the NX argument"),
    CommandSpec::new("setrange", 4, Group::String, "2.2.0", Plan::OneShard(setrange))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Overwrites a part of a string; a gap is filled with zero bytes.",
            "O(1), or O(N) with N the bytes written if they are many",
            "key#0 offset:int value",
        ),
    CommandSpec::new("strlen", 2, Group::String, "2.2.0", Plan::OneShard(strlen))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns the length of a string.", "O(1)", "key#0"),
    CommandSpec::new("substr", 4, Group::String, "1.0.0", Plan::OneShard(getrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns a part of a string, both ends included.",
            "O(N) with N the bytes returned",
            "key#0 start:int end:int",
        )
        .deprecated("2.0.0", "GETRANGE"),
];

#[cfg(test)]
#[path = "strings_tests.rs"]
mod tests;

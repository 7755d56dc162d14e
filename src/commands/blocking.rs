//! What a blocking command says of itself, so that waiting is written once for all of them (in `txn::wait`): which keys
//! it waits for and how long, whether a key can serve it now, and how it is served. Functions here are synchronous and
//! see one shard; they never know who waits, nor that others do.
//!
//! A family adds a blocking command in three steps:
//! 1. its [`Blocking`], a `static` with three functions;
//! 2. `run`, the command without waiting (inside MULTI and scripts), which is mostly [`attempt`];
//! 3. in its row of the table a plan for that, and `.blocking(&THE_STATIC)`.
//!
//! A write that may serve a waiter says so with `shard.events.ready(db, key)`; nothing else is to be done.

use crate::base::long_double::LongDouble;
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use std::ops::Range;

/// An error text, as it goes to the client (without the leading `-`).
pub type Refusal = &'static str;

/// What a call waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Arguments that are the keys it waits for, in the order in which they are tried.
    pub keys: Range<usize>,
    /// The argument that is another key it writes (the destination of BLMOVE).
    pub also: Option<usize>,
    /// How long, milliseconds; 0: for ever.
    pub timeout_ms: u64,
}

/// Whether a key can serve a call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nobody who waits for this key: it is not there, or of another type.
    Empty,
    /// Not this call, but maybe another one that waits for the same key.
    NotThis,
    /// It can.
    Ready,
    /// The call fails because of what this key holds. Where it waits already, it goes on waiting.
    Refused(Refusal),
}

/// See the module.
#[derive(Debug)]
pub struct Blocking {
    /// Reads the arguments: what it waits for, `None` if this call does not wait at all (XREAD without BLOCK), or why
    /// it is refused.
    pub waits: fn(&Args<'_>) -> Result<Option<Wait>, Refusal>,
    /// Whether the key at this argument, which is on this shard, can serve the call. Changes nothing.
    pub look: fn(&mut Context<'_>, &Args<'_>, usize) -> Look,
    /// Serves the call from the key at this argument, which is ready: changes it and writes the reply, which may be an
    /// error that leaves everything as it was.
    pub serve: fn(&mut Context<'_>, &mut Args<'_>, usize, &mut Reply<'_>),
    /// Called once before it waits for the key at this argument; answers that argument and what to put in the place of
    /// others while it waits (the `$` of XREAD becomes the last id).
    pub enter: Option<EnterFn>,
    /// Why a call that waits for the key at this argument is to wait no longer (XREADGROUP, of a stream that is gone).
    pub lost: Option<LostFn>,
    /// What the call answers where it must not wait and no key can serve it. A timeout always answers a null array.
    pub nil: Nil,
}

/// See [`Blocking::enter`]: argument index and its new words.
pub type EnterFn = fn(&mut Context<'_>, &Args<'_>, usize) -> Option<(usize, Vec<u8>)>;

/// See [`Blocking::lost`].
pub type LostFn = fn(&mut Context<'_>, &Args<'_>, usize) -> Option<Refusal>;

/// See [`Blocking::nil`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nil {
    /// A null string.
    Bulk,
    /// A null array.
    Array,
}

impl Nil {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Nil::Bulk => reply.null(),
            Nil::Array => reply.null_array(),
        }
    }
}

/// The command without waiting, on one shard that has all its keys: serves it from the first key that can, else answers
/// nil.
pub fn attempt(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>, command: &Blocking) {
    let wait = match (command.waits)(args) {
        Ok(Some(wait)) => wait,
        Ok(None) => return command.nil.write(reply),
        Err(refusal) => return reply.error(refusal),
    };
    for at in wait.keys {
        match (command.look)(ctx, args, at) {
            Look::Empty | Look::NotThis => {}
            Look::Ready => return (command.serve)(ctx, args, at, reply),
            Look::Refused(refusal) => return reply.error(refusal),
        }
    }
    command.nil.write(reply);
}

const NEGATIVE: Refusal = "ERR timeout is negative";
const OUT_OF_RANGE: Refusal = "ERR timeout is out of range";

/// A timeout in seconds, with a fraction, as milliseconds, rounded up; 0: for ever.
pub fn seconds(text: &[u8]) -> Result<u64, Refusal> {
    let Some(seconds) = text::parse_f64(text) else {
        // Redis reads a long double, which goes further at both ends
        let negative = text.starts_with(b"-");
        let nearest = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        return match LongDouble::parse(text) {
            Some(_) if nearest.is_some_and(|nearest| nearest.abs() < 1.0) => Ok(u64::from(!negative)),
            Some(_) if negative => Err(NEGATIVE),
            Some(_) => Err(OUT_OF_RANGE),
            None => Err("ERR timeout is not a float or out of range"),
        };
    };
    let millis = (seconds * 1000.0).ceil();
    if millis >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    bounded(millis as i64)
}

/// A timeout in milliseconds; 0: for ever.
pub fn millis(text: &[u8]) -> Result<u64, Refusal> {
    bounded(text::parse_i64(text).ok_or("ERR timeout is not an integer or out of range")?)
}

fn bounded(millis: i64) -> Result<u64, Refusal> {
    match u64::try_from(millis) {
        Err(_) => Err(NEGATIVE),
        // what is added to the time of day must not pass 63 bits
        Ok(millis) if millis > i64::MAX as u64 / 2 => Err(OUT_OF_RANGE),
        Ok(millis) => Ok(millis),
    }
}

/// The refusal of a key of another type.
pub const ALIEN: Look = Look::Refused(errors::WRONGTYPE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_read_as_in_redis() {
        assert_eq!(seconds(b"0"), Ok(0));
        assert_eq!((seconds(b"0.05"), seconds(b"1.0001"), seconds(b"1e3")), (Ok(50), Ok(1001), Ok(1_000_000)));
        assert_eq!(seconds(b"-0.0001"), Ok(0));
        assert_eq!(seconds(b"-1"), Err("ERR timeout is negative"));
        for text in [&b"inf"[..], b"1e16", b"99999999999999999", b"1e400"] {
            assert_eq!(seconds(text), Err("ERR timeout is out of range"));
        }
        assert_eq!(seconds(b"-1e400"), Err("ERR timeout is negative"));
        assert_eq!((seconds(b"1e-400"), seconds(b"-1e-400")), (Ok(1), Ok(0)));
        for text in [&b"x"[..], b"nan", b"", b" 1"] {
            assert_eq!(seconds(text), Err("ERR timeout is not a float or out of range"));
        }
        assert_eq!((millis(b"0"), millis(b"7")), (Ok(0), Ok(7)));
        assert_eq!(millis(b"-1"), Err("ERR timeout is negative"));
        assert_eq!(millis(b"1.5"), Err("ERR timeout is not an integer or out of range"));
    }
}

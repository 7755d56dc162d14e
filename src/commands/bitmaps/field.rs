//! BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any bit of a string. Never touches the key before every
//! operation has been understood.

use super::parse_offset;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::strings::edit::edit;
use crate::commands::strings::{Refusal, bytes_of, refuse_short};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use smallvec::SmallVec;

const INVALID_TYPE: Refusal =
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
const INVALID_OVERFLOW: Refusal = "ERR Invalid OVERFLOW type specified";
const READ_ONLY: Refusal = "ERR BITFIELD_RO only supports the GET subcommand";

/// An integer's type: `i1`..`i64`, `u1`..`u63`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    signed: bool,
    bits: u32,
}

impl Kind {
    fn parse(text: &[u8]) -> Result<Kind, Refusal> {
        let (signed, digits, bits_max) = match text {
            [b'i', digits @ ..] => (true, digits, 64),
            [b'u', digits @ ..] => (false, digits, 63),
            _ => return Err(INVALID_TYPE),
        };
        match parse_i64(digits) {
            Some(bits) if (1..=bits_max).contains(&bits) => Ok(Kind { signed, bits: bits as u32 }),
            _ => Err(INVALID_TYPE),
        }
    }

    /// The low bits of `word` as an integer of this type.
    fn wrap(self, word: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { ((word << unused) as i64) >> unused } else { (word << unused >> unused) as i64 }
    }

    fn max(self) -> i64 {
        let value_bits = if self.signed { self.bits - 1 } else { self.bits };
        ((1_u64 << value_bits) - 1) as i64
    }

    /// `value + step`, and whether it left the type's range; then by `overflow` it is wrapped, saturated or `None`.
    ///
    /// SET comes here with a `value` from outside the range and a `step` of 0. The distances to the two ends are
    /// taken modulo 2^64, which is what clients see from Redis when they saturate a number near the ends of 64 bits.
    fn add(self, value: i64, step: i64, overflow: Overflow) -> Option<i64> {
        let max = self.max();
        let (above, below, min) = if self.signed {
            let min = -max - 1;
            let (up, down) = (max.wrapping_sub(value), min.wrapping_sub(value));
            let narrow = self.bits < 64;
            (
                value > max || (narrow || (value >= 0 && step > 0)) && step > up,
                value < min || (narrow || (value < 0 && step < 0)) && step < down,
                min,
            )
        } else {
            let (up, down) = (max.wrapping_sub(value), value.wrapping_neg());
            (value as u64 > max as u64 || step > 0 && step > up, step < 0 && step < down, 0)
        };
        match overflow {
            _ if !above && !below => Some(value.wrapping_add(step)),
            Overflow::Wrap => Some(self.wrap(value.wrapping_add(step) as u64)),
            Overflow::Saturate => Some(if above { max } else { min }),
            Overflow::Fail => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Overflow {
    fn parse(text: &[u8]) -> Result<Overflow, Refusal> {
        [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)]
            .into_iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, overflow)| overflow)
            .ok_or(INVALID_OVERFLOW)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    kind: Kind,
    offset: usize,
    action: Action,
}

type Operations = SmallVec<[Operation; 4]>;

/// Reads the operations from argument 2 on.
fn parse(ctx: &Context<'_>, args: &Args<'_>) -> Result<Operations, Refusal> {
    let mut operations = Operations::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let word = &args[index];
        let left = args.len() - index - 1;
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("overflow") && left >= 1 {
            overflow = Overflow::parse(&args[index + 1])?;
            index += 2;
            continue;
        }
        let (is_set, is_add) = (is("set") && left >= 3, is("incrby") && left >= 3);
        if !(is_set || is_add || is("get") && left >= 2) {
            return Err(errors::SYNTAX);
        }
        let kind = Kind::parse(&args[index + 1])?;
        let offset = parse_offset(ctx, &args[index + 2], Some(i64::from(kind.bits)))?;
        let action = if is_set || is_add {
            let number = parse_i64(&args[index + 3]).ok_or(errors::NOT_INTEGER)?;
            if is_set { Action::Set(number, overflow) } else { Action::Add(number, overflow) }
        } else {
            Action::Get
        };
        index += if action == Action::Get { 3 } else { 4 };
        operations.push(Operation { kind, offset, action });
    }
    Ok(operations)
}

/// Where the bits of an integer lie: the up to nine bytes that hold them, and how far they stand from the low end.
fn place(operation: &Operation) -> (usize, usize, u32) {
    let last_bit = operation.offset + operation.kind.bits as usize - 1;
    (operation.offset >> 3, last_bit >> 3, 7 - (last_bit & 7) as u32)
}

/// The integer at its place; bytes beyond the end count as zero.
fn load(bytes: &[u8], operation: &Operation) -> i64 {
    let (first, last, shift) = place(operation);
    let wide =
        (first..=last).fold(0_u128, |wide, index| wide << 8 | u128::from(bytes.get(index).copied().unwrap_or(0)));
    operation.kind.wrap((wide >> shift) as u64)
}

/// Writes the low bits of `value` at its place, which is inside `bytes`.
fn save(bytes: &mut [u8], operation: &Operation, value: i64) {
    let (first, last, shift) = place(operation);
    let mask = u128::from(u64::MAX >> (64 - operation.kind.bits)) << shift;
    let mut ours = u128::from(value as u64) << shift & mask;
    let mut mask = mask;
    for index in (first..=last).rev() {
        bytes[index] = bytes[index] & !(mask as u8) | ours as u8;
        ours >>= 8;
        mask >>= 8;
    }
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET|INCRBY type offset number] ...`
pub(crate) fn bitfield(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    run(ctx, args, reply, true);
}

/// `BITFIELD_RO key [GET type offset] ...`
pub(crate) fn bitfield_ro(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    run(ctx, args, reply, false);
}

fn run(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, may_write: bool) {
    if args.len() < 2 {
        return refuse_short(args, reply);
    }
    let outcome = parse(ctx, args).and_then(|operations| {
        let bytes_end = operations.iter().filter(|o| o.action != Action::Get).map(|o| place(o).1 + 1).max();
        match bytes_end {
            None => run_reads(ctx, args, reply, &operations),
            Some(_) if !may_write => Err(READ_ONLY),
            Some(end) => run_all(ctx, args, reply, &operations, end),
        }
    });
    if let Err(refusal) = outcome {
        reply.error(refusal);
    }
}

fn run_reads(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    operations: &Operations,
) -> Result<(), Refusal> {
    let key = ctx.first_key(&args[1]);
    let mut digits = itoa::Buffer::new();
    let bytes = match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        Some(view) => bytes_of(view, &mut digits)?,
        None => b"",
    };
    reply.array(operations.len());
    operations.iter().for_each(|operation| reply.integer(load(bytes, operation)));
    Ok(())
}

/// Runs operations of which some write, up to byte `end`. The string grows to there first, even if OVERFLOW FAIL
/// then refuses every write.
fn run_all(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    operations: &Operations,
    end: usize,
) -> Result<(), Refusal> {
    let key = ctx.first_key(&args[1]);
    let edited = edit(ctx, key, end, |bytes| {
        reply.array(operations.len());
        let (mut changed, mut written) = (0, 0);
        for operation in operations {
            let old = load(bytes, operation);
            let (new, answer) = match operation.action {
                Action::Get => {
                    reply.integer(old);
                    continue;
                }
                Action::Set(number, overflow) => (operation.kind.add(number, 0, overflow), Some(old)),
                Action::Add(step, overflow) => (operation.kind.add(old, step, overflow), None),
            };
            let Some(new) = new else {
                reply.null();
                continue;
            };
            save(bytes, operation, new);
            reply.integer(answer.unwrap_or(new));
            written += 1;
            changed += u64::from(new != old);
        }
        (changed, written)
    })?;
    // A string that only grew is a change too (Redis forgets to count it if every write failed).
    let (changed, written) = edited.result;
    ctx.shard.dirty += if edited.grown { written.max(1) } else { changed };
    if changed > 0 || edited.grown {
        ctx.shard.events.tracking.modified(key.bytes);
    }
    if changed > 0 || edited.grown && written > 0 {
        ctx.happen(class::STRING, "setbit", key.bytes);
    }
    Ok(())
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;

//! The bitmap commands: strings seen as bits, the most significant bit of the first byte being bit 0. The family's
//! table is at the end. Never holds state of its own: a bitmap is a string.

pub(crate) mod bits;
pub(crate) mod count;
pub(crate) mod field;
pub(crate) mod op;

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeyFlags, KeySpec, Plan, key};
use crate::commands::strings::Refusal;
use bits::{getbit, setbit};
use count::{bitcount, bitpos};
use field::{bitfield, bitfield_ro};
use op::bitop;

const BIT_OFFSET: Refusal = "ERR bit offset is not an integer or out of range";

/// A bit offset, 0 up to what the longest string holds. With `width`, `#n` means the n-th integer of that many bits.
fn parse_offset(ctx: &Context<'_>, text: &[u8], width: Option<i64>) -> Result<usize, Refusal> {
    let (digits, unit) = match (width, text) {
        (Some(width), [b'#', digits @ ..]) => (digits, width),
        _ => (text, 1),
    };
    let offset = parse_i64(digits).and_then(|number| number.checked_mul(unit)).ok_or(BIT_OFFSET)?;
    match usize::try_from(offset) {
        Ok(offset) if offset >> 3 < ctx.bulk_bytes_max => Ok(offset),
        _ => Err(BIT_OFFSET),
    }
}

/// BITFIELD writes unless every operation is a GET.
fn bitfield_key_flags(args: &Args<'_>) -> KeyFlags {
    let writes = args.from(2).any(|a| a.eq_ignore_ascii_case(b"set") || a.eq_ignore_ascii_case(b"incrby"));
    if writes { key::RW | key::ACCESS | key::UPDATE } else { key::RO | key::ACCESS }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("bitcount", -2, Group::Bitmap, "2.6.0", Plan::OneShard(bitcount))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Counts the bits that are set in a string or a part of it.",
            "O(N)",
            "key#0 [range={start:int [end-unit-block={end:int [unit=(BYTE|BIT)]}]}]",
        )
        .history(&[("7.0.0", "BYTE and BIT."), ("8.0.0", "The end may be left out.")]),
    CommandSpec::new("bitfield", -2, Group::Bitmap, "3.2.0", Plan::OneShard(bitfield))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)
            .notes("Reads only, or writes too: it depends on the operations")])
        .key_flags(bitfield_key_flags)
        .docs(
            "Reads, sets and increments integers of any width inside a string.",
            "O(1) per operation",
            "key#0 [operation=(GET get-block={encoding offset:int}|write={[OVERFLOW overflow-block=(WRAP|SAT|\
                FAIL)] write-operation=(SET set-block={encoding offset:int value:int}|INCRBY incrby-block={encoding \
                offset:int increment:int})})...]",
        ),
    CommandSpec::new("bitfield_ro", -2, Group::Bitmap, "6.0.0", Plan::OneShard(bitfield_ro))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Reads integers of any width inside a string.",
            "O(1) per operation",
            "key#0 [GET get-block={encoding offset:int}...+]",
        ),
    CommandSpec::new("bitop", -4, Group::Bitmap, "2.6.0", Plan::TwoPhase { run: bitop, home: 2 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 2), KeySpec::range(key::RO | key::ACCESS, 3, -1, 1)])
        .docs(
            "Combines strings bit by bit and stores the outcome.",
            "O(N)",
            "operation=(AND|OR|XOR|NOT) destkey#0 key#1...",
        ),
    CommandSpec::new("bitpos", -3, Group::Bitmap, "2.8.7", Plan::OneShard(bitpos))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Finds the first bit that is set, or clear.",
            "O(N)",
            "key#0 bit:int [range={start:int [end-unit-block={end:int [unit=(BYTE|BIT)]}]}]",
        )
        .history(&[("7.0.0", "BYTE and BIT.")]),
    CommandSpec::new("getbit", 3, Group::Bitmap, "2.2.0", Plan::OneShard(getbit))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns one bit of a string.", "O(1)", "key#0 offset:int"),
    CommandSpec::new("setbit", 4, Group::Bitmap, "2.2.0", Plan::OneShard(setbit))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Sets or clears one bit; the string grows as needed.", "O(1)", "key#0 offset:int value:int"),
];

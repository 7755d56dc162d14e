//! One bit: GETBIT and SETBIT. Never reads more of a string than the byte that holds it.

use super::parse_offset;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::strings::edit::edit;
use crate::commands::strings::{Refusal, bytes_of, refuse_short};
use crate::resp::reply::Reply;
use crate::shard::events::class;

/// `GETBIT key offset`
pub(crate) fn getbit(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    let offset = match parse_offset(ctx, &args[2], None) {
        Ok(offset) => offset,
        Err(refusal) => return reply.error(refusal),
    };
    let key = ctx.first_key(&args[1]);
    let mut digits = itoa::Buffer::new();
    match ctx.shard.read(ctx.db, key, ctx.no_touch).map(|view| bytes_of(view, &mut digits)) {
        None => reply.integer(0),
        Some(Ok(bytes)) => {
            let byte = bytes.get(offset >> 3).copied().unwrap_or(0);
            reply.integer(i64::from(byte >> (7 - (offset & 7)) & 1));
        }
        Some(Err(refusal)) => reply.error(refusal),
    }
}

/// `SETBIT key offset 0|1`
pub(crate) fn setbit(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match setbit_checked(ctx, args) {
        Ok(old) => reply.integer(i64::from(old)),
        Err(refusal) => reply.error(refusal),
    }
}

fn setbit_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<u8, Refusal> {
    let offset = parse_offset(ctx, &args[2], None)?;
    let bit = match &args[3] {
        b"0" => 0,
        b"1" => 1,
        _ => return Err("ERR bit is not an integer or out of range"),
    };
    let (index, shift) = (offset >> 3, 7 - (offset & 7));
    let key = ctx.first_key(&args[1]);
    let edited = edit(ctx, key, index + 1, |bytes| {
        let old = bytes[index] >> shift & 1;
        bytes[index] = bytes[index] & !(1 << shift) | bit << shift;
        old
    })?;
    if edited.grown || edited.result != bit {
        ctx.shard.changed(ctx.db, key, class::STRING, "setbit");
    }
    Ok(edited.result)
}

#[cfg(test)]
#[path = "bits_tests.rs"]
mod tests;

//! BITOP: whole strings combined bit by bit into a new one. Never reads the destination but as a source.

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::strings::{Held, Refusal, boxed, hold, refuse_short};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::Expire;
use crate::types::value::NewValue;
use smallvec::SmallVec;
use std::sync::Arc;

/// A result up to this long is handed to the table as bytes, a longer one as a buffer of its own.
const SMALL_BYTES: usize = 512;
/// Sources are combined block by block, so that a block of the result stays in the cache for all of them.
const BLOCK_BYTES: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(name: &[u8]) -> Option<Operation> {
        [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)]
            .into_iter()
            .find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes()))
            .map(|(_, operation)| operation)
    }
}

/// `BITOP AND|OR|XOR|NOT destination key [key ...]`
pub(crate) fn bitop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 4 {
        return refuse_short(args, reply);
    }
    match bitop_checked(ctx, args) {
        Ok(len) => reply.integer(len as i64),
        Err(refusal) => reply.error(refusal),
    }
}

fn bitop_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<usize, Refusal> {
    let operation = Operation::parse(&args[1]).ok_or(errors::SYNTAX)?;
    if operation == Operation::Not && args.len() != 4 {
        return Err("ERR BITOP NOT must be called with a single source key.");
    }
    let mut sources: SmallVec<[Held; 4]> = SmallVec::new();
    for key in args.from(3) {
        sources.push(hold(ctx, key)?);
    }
    let result = combine(operation, &sources);
    drop(sources);
    let len = result.len();
    let destination = ctx.first_key(&args[2]);
    if len == 0 {
        if ctx.shard.remove(ctx.db, destination) {
            ctx.happen(class::GENERIC, "del", destination.bytes);
        }
        return Ok(0);
    }
    let value = if len <= SMALL_BYTES { NewValue::Str { bytes: &result, raw: true } } else { boxed(Arc::new(result)) };
    ctx.shard.set(ctx.db, destination, value, Expire::Clear);
    ctx.happen(class::STRING, "set", destination.bytes);
    Ok(len)
}

/// The result, as long as the longest source; shorter ones count as zero beyond their end.
fn combine(operation: Operation, sources: &[Held]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    for start in (0..len).step_by(BLOCK_BYTES) {
        let end = len.min(start + BLOCK_BYTES);
        let block = &mut result[start..end];
        for (index, source) in sources.iter().enumerate() {
            let part = &source[start.min(source.len())..end.min(source.len())];
            let (under, beyond) = block.split_at_mut(part.len());
            let pairs = under.iter_mut().zip(part);
            match operation {
                _ if index == 0 => under.copy_from_slice(part),
                Operation::And => {
                    pairs.for_each(|(byte, other)| *byte &= other);
                    beyond.fill(0);
                }
                Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
                Operation::Xor | Operation::Not => pairs.for_each(|(byte, other)| *byte ^= other),
            }
        }
        if operation == Operation::Not {
            block.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    result
}

#[cfg(test)]
#[path = "op_tests.rs"]
mod tests;

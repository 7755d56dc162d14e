//! PFDEBUG and PFSELFTEST. Never for ordinary clients.

use super::{change, checked, sound};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::strings::{Refusal, bytes_of};
use crate::resp::reply::Reply;
use crate::types::hll::{self, Observation, REGISTERS, Registers};
use crate::types::table::Key;

/// Elements that PFSELFTEST counts; a tenth of a second or less.
const SELFTEST_ELEMENTS: u64 = 100_000;
/// Relative error that it allows: six times the standard error of 2^14 registers.
const SELFTEST_ERROR_MAX: f64 = 6.0 * 1.04 / 128.0;

/// `PFDEBUG GETREG|DECODE|ENCODING|TODENSE key`
pub(super) fn pfdebug(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = pfdebug_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn pfdebug_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let key = Key::new(&args[2]);
    let mut digits = itoa::Buffer::new();
    let Some(view) = ctx.shard.write(ctx.db, key) else { return Err("ERR The specified key does not exist") };
    let bytes = checked(bytes_of(view, &mut digits)?)?;
    let sparse = hll::is_sparse(bytes);
    match args[1].to_ascii_lowercase().as_slice() {
        b"getreg" => {
            let mut registers = [0; REGISTERS];
            sound(hll::merge(bytes, &mut registers))?;
            if sparse {
                make_dense(ctx, key)?;
            }
            reply.array(REGISTERS);
            registers.iter().for_each(|value| reply.integer(i64::from(*value)));
        }
        b"decode" if !sparse => return Err("ERR HLL encoding is not sparse"),
        b"decode" => reply.bulk(hll::describe_runs(bytes).as_bytes()),
        b"encoding" => reply.simple(if sparse { "sparse" } else { "dense" }),
        b"todense" => {
            if sparse {
                make_dense(ctx, key)?;
            }
            reply.integer(i64::from(sparse));
        }
        _ => reply.error_bytes(&[b"ERR Unknown PFDEBUG subcommand '", &args[1], b"'"].concat()),
    }
    Ok(())
}

fn make_dense(ctx: &mut Context<'_>, key: Key<'_>) -> Result<(), Refusal> {
    let dense = |bytes: &mut Vec<u8>| {
        *bytes = sound(hll::dense_of(bytes))?;
        Ok(())
    };
    change(ctx, key, |_| Ok(true), dense).map(|_| ())
}

/// `PFSELFTEST`
pub(super) fn pfselftest(_ctx: &mut Context<'_>, _args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match selftest() {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal),
    }
}

/// Registers read back what was written, sparse and dense agree, and estimates are near the truth.
fn selftest() -> Result<(), Refusal> {
    let mut sparse = hll::empty().to_vec();
    let mut dense = sound(hll::dense_of(&sparse))?;
    let mut largest: Box<Registers> = Box::new([0; REGISTERS]);
    let mut checkpoint = 1;
    for n in 1..=SELFTEST_ELEMENTS {
        let seen = Observation::of(&n.to_le_bytes());
        largest[seen.index] = largest[seen.index].max(seen.value);
        hll::raise_in_place(&mut dense, seen);
        if hll::is_sparse(&sparse) {
            sound(hll::raise(&mut sparse, seen, DENSE_AT))?;
        }
        if n != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let estimate = sound(hll::count(&dense))?;
        let error = (estimate as f64 - n as f64).abs();
        if error > (n as f64 * SELFTEST_ERROR_MAX).max(1.0) {
            return Err("ERR TESTFAILED Too big error");
        }
        if hll::is_sparse(&sparse) && sound(hll::count(&sparse))? != estimate {
            return Err("ERR TESTFAILED dense/sparse disagree");
        }
    }
    for (index, value) in largest.iter().enumerate() {
        if hll::get(&dense, index) != Ok(*value) {
            return Err("ERR TESTFAILED Register has an unexpected value");
        }
    }
    let mut merged: Box<Registers> = Box::new([0; REGISTERS]);
    sound(hll::merge(&dense, &mut merged))?;
    if merged == largest { Ok(()) } else { Err("ERR TESTFAILED Merged registers differ") }
}

/// Length at which the sparse string of the test gives way.
const DENSE_AT: usize = 3000;

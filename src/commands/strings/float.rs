//! INCRBYFLOAT: a string that counts in fractions, as text that an x87 long double reads and prints. Never stores
//! infinity or NaN.

use super::{Refusal, bytes_of, refuse_short};
use crate::base::long_double::LongDouble;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::table::Expire;
use crate::types::value::{NewValue, View};

const NOT_FINITE: Refusal = "ERR increment would produce NaN or Infinity";

/// `INCRBYFLOAT key increment`: the sum of two x87 long doubles, kept as text.
pub(crate) fn incrbyfloat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    if let Err(refusal) = incrbyfloat_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn incrbyfloat_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let key = ctx.first_key(&args[1]);
    let (old, expire) = match ctx.shard.write(ctx.db, key) {
        None => (LongDouble::from(0), Expire::Clear),
        Some(View::Int(number)) => (LongDouble::from(number), Expire::Keep),
        Some(view) => {
            let mut digits = itoa::Buffer::new();
            (LongDouble::parse(bytes_of(view, &mut digits)?).ok_or(errors::NOT_FLOAT)?, Expire::Keep)
        }
    };
    let step = LongDouble::parse(&args[2]).ok_or(errors::NOT_FLOAT)?;
    let sum = old.checked_add(step).filter(|sum| sum.is_finite()).ok_or(NOT_FINITE)?.human();
    ctx.shard.set(ctx.db, key, NewValue::Str { bytes: &sum, raw: false }, expire);
    reply.bulk(&sum);
    Ok(())
}

#[cfg(test)]
#[path = "float_tests.rs"]
mod tests;

//! INCRBYFLOAT: a string that counts in fractions, as text that an x87 long double reads and prints. Never stores
//! infinity or NaN.

use super::{Refusal, current_bytes, refuse_short};
use crate::base::long_double::{Human, LongDouble};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::table::Current;
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
    let mut sum = Human::new();
    ctx.shard.update(ctx.db, key, |current| -> Result<_, Refusal> {
        let old = match current {
            None => LongDouble::from(0),
            Some(Current::Inline(View::Int(number))) => LongDouble::from(number),
            Some(current) => {
                let mut digits = itoa::Buffer::new();
                LongDouble::parse(current_bytes(&current, &mut digits)?).ok_or(errors::NOT_FLOAT)?
            }
        };
        let step = LongDouble::parse(&args[2]).ok_or(errors::NOT_FLOAT)?;
        sum = old.checked_add(step).filter(|sum| sum.is_finite()).ok_or(NOT_FINITE)?.human();
        Ok((Change::Replace(NewValue::Str { bytes: &sum, raw: false }), ()))
    })?;
    ctx.shard.events.effect(&[b"SET", key.bytes, &sum, b"KEEPTTL"]);
    ctx.happen(class::STRING, "incrbyfloat", key.bytes);
    reply.bulk(&sum);
    Ok(())
}

#[cfg(test)]
#[path = "float_tests.rs"]
mod tests;

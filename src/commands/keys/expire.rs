//! EXPIRE, TTL and their kin: sets, reads and clears expiries. Times are Unix milliseconds inside, whatever unit and
//! starting point a command speaks.

use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::inspect;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::EXPIRE_MS_MAX;

/// What a command's number counts, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// Where a command counts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Now,
    Epoch,
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`.
pub(crate) fn expire(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set(ctx, args, reply, "expire", Unit::Seconds, From::Now);
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`.
pub(crate) fn pexpire(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set(ctx, args, reply, "pexpire", Unit::Milliseconds, From::Now);
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`.
pub(crate) fn expireat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set(ctx, args, reply, "expireat", Unit::Seconds, From::Epoch);
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`.
pub(crate) fn pexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    set(ctx, args, reply, "pexpireat", Unit::Milliseconds, From::Epoch);
}

/// When a new expiry replaces the old one.
#[derive(Clone, Copy, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    /// Reads arguments 3 and on; false if an error was answered.
    fn parse(args: &Args<'_>, reply: &mut Reply<'_>) -> Option<Self> {
        let mut condition = Condition::default();
        for option in args.from(3) {
            match () {
                () if option.eq_ignore_ascii_case(b"nx") => condition.nx = true,
                () if option.eq_ignore_ascii_case(b"xx") => condition.xx = true,
                () if option.eq_ignore_ascii_case(b"gt") => condition.gt = true,
                () if option.eq_ignore_ascii_case(b"lt") => condition.lt = true,
                () => {
                    // as far as C prints it
                    let shown = option.split(|b| *b == 0).next().unwrap_or_default();
                    reply.error_bytes(&[b"ERR Unsupported option ", shown].concat());
                    return None;
                }
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
            return None;
        }
        if condition.gt && condition.lt {
            reply.error("ERR GT and LT options at the same time are not compatible");
            return None;
        }
        Some(condition)
    }

    /// Whether `new` may replace `old`. No expiry counts as the latest of all.
    fn holds(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        match old {
            Some(old) => !self.nx && (!self.gt || new > old) && (!self.lt || new < old),
            None => !self.xx && !self.gt,
        }
    }
}

/// The Unix time in milliseconds that `count` units `from` there mean; `None` if it does not fit.
fn instant(count: i64, unit: Unit, from: From, now_ms: u64) -> Option<i64> {
    let ms = match unit {
        Unit::Seconds => count.checked_mul(1000)?,
        Unit::Milliseconds => count,
    };
    match from {
        From::Now => ms.checked_add(now_ms as i64),
        From::Epoch => Some(ms),
    }
}

fn set(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, name: &str, unit: Unit, from: From) {
    let Some(condition) = Condition::parse(args, reply) else { return };
    let Some(count) = text::parse_i64(&args[2]) else { return reply.error(errors::NOT_INTEGER) };
    let Some(at) = instant(count, unit, from, ctx.shard.now_ms) else {
        return reply.error_fmt(format_args!("ERR invalid expire time in '{name}' command"));
    };
    let at = at.min(EXPIRE_MS_MAX as i64);
    let key = ctx.first_key(&args[1]);
    let Some(old) = ctx.shard.peek(ctx.db, key).map(|entry| entry.expire_ms) else { return reply.integer(0) };
    if !condition.holds(old, at) {
        return reply.integer(0);
    }
    match u64::try_from(at) {
        Ok(at) if at > ctx.shard.now_ms => {
            ctx.shard.set_expire(ctx.db, key, Some(at));
            let mut digits = itoa::Buffer::new();
            ctx.shard.events.effect(&[b"PEXPIREAT", key.bytes, digits.format(at).as_bytes()]);
            ctx.happen(class::GENERIC, "expire", key.bytes);
        }
        _ => {
            ctx.shard.remove(ctx.db, key);
            ctx.shard.events.effect(&[b"DEL", key.bytes]);
            ctx.happen(class::GENERIC, "del", key.bytes);
        }
    }
    reply.integer(1);
}

/// `PERSIST key`.
pub(crate) fn persist(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let has_expiry = ctx.shard.peek(ctx.db, key).is_some_and(|entry| entry.expire_ms.is_some());
    let persists = has_expiry && ctx.shard.set_expire(ctx.db, key, None);
    if persists {
        ctx.happen(class::GENERIC, "persist", key.bytes);
    }
    reply.integer(i64::from(persists));
}

/// Answers -2 without the key, -1 without an expiry, else what `convert` makes of it and the time now.
fn read(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, convert: fn(u64, u64) -> u64) {
    let key = ctx.first_key(&args[1]);
    let now_ms = ctx.shard.now_ms;
    reply.integer(match inspect(ctx, key, |entry| entry.expire_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => convert(at, now_ms) as i64,
    });
}

/// Seconds nearest to `ms`.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

/// `TTL key`: seconds left.
pub(crate) fn ttl(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    read(ctx, args, reply, |at, now| seconds(at.saturating_sub(now)));
}

/// `PTTL key`: milliseconds left.
pub(crate) fn pttl(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    read(ctx, args, reply, u64::saturating_sub);
}

/// `EXPIRETIME key`: Unix time in seconds.
pub(crate) fn expiretime(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    read(ctx, args, reply, |at, _| seconds(at));
}

/// `PEXPIRETIME key`: Unix time in milliseconds.
pub(crate) fn pexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    read(ctx, args, reply, |at, _| at);
}

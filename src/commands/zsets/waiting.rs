//! BZPOPMIN, BZPOPMAX and BZMPOP: as their likes without B, but they wait where all sorted sets are missing.

use crate::commands::args::Args;
use crate::commands::blocking::{self, Blocking, Look, Nil, Wait};
use crate::commands::context::Context;
use crate::commands::spec::Relay;
use crate::commands::zsets::pop::{self, End, Wanted};
use crate::commands::zsets::{Refusal, member, read};
use crate::resp::reply::Reply;
use crate::types::zset::Zset;

/// Rounds of single-key commands.
type Rounds = Vec<Vec<Vec<u8>>>;

fn look(ctx: &mut Context<'_>, args: &Args<'_>, at: usize) -> Look {
    match read(ctx, &args[at], Zset::len) {
        Ok(Some(len)) if len > 0 => Look::Ready,
        Ok(_) => Look::Empty,
        Err(refusal) => Look::Refused(refusal),
    }
}

// ---- BZPOPMIN, BZPOPMAX ----

fn pop_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    let last = args.len() - 1;
    Ok(Some(Wait { keys: 1..last, also: None, timeout_ms: blocking::seconds(&args[last])? }))
}

fn pop_serve(ctx: &mut Context<'_>, key: &[u8], end: End, reply: &mut Reply<'_>) {
    ctx.shard.events.effect(&[end.command().as_bytes(), key]);
    let popped = pop::pop_one(ctx, key, end, |item, score| {
        reply.array(3);
        reply.bulk(key);
        member(reply, item);
        reply.double(score);
    });
    if let Err(refusal) = popped {
        reply.error(refusal);
    }
}

fn popmin_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    pop_serve(ctx, &args[at], End::Min, reply);
}

fn popmax_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    pop_serve(ctx, &args[at], End::Max, reply);
}

/// How BZPOPMIN waits.
pub(crate) static BZPOPMIN: Blocking =
    Blocking { waits: pop_waits, look, serve: popmin_serve, enter: None, lost: None, nil: Nil::Array };
/// How BZPOPMAX waits.
pub(crate) static BZPOPMAX: Blocking =
    Blocking { waits: pop_waits, look, serve: popmax_serve, enter: None, lost: None, nil: Nil::Array };

/// `BZPOPMIN key [key ...] timeout`, without waiting
pub(crate) fn bzpopmin(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BZPOPMIN);
}

/// `BZPOPMAX key [key ...] timeout`, without waiting
pub(crate) fn bzpopmax(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BZPOPMAX);
}

/// BZPOPMIN and BZPOPMAX over several shards, without waiting.
pub(crate) fn relay_bzpop(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    let last = relay.args.len() - 1;
    if let Err(refusal) = blocking::seconds(&relay.args[last]) {
        reply.error(refusal);
        return Vec::new();
    }
    let end = if relay.args[0].eq_ignore_ascii_case(b"bzpopmin") { End::Min } else { End::Max };
    pop::relay_one(relay, &relay.args[1..last], end, reply)
}

// ---- BZMPOP ----

fn mpop_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    let wanted = Wanted::parse(2, args.len(), |at| &args[at])?;
    let timeout_ms = blocking::seconds(&args[1])?;
    Ok(Some(Wait { keys: wanted.first..wanted.first + wanted.keys, also: None, timeout_ms }))
}

fn mpop_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    let served = Wanted::parse(2, args.len(), |at| &args[at])
        .and_then(|wanted| pop::pop_named(ctx, &args[at], wanted.end, wanted.count, reply));
    if let Err(refusal) = served {
        reply.error(refusal);
    }
}

/// How BZMPOP waits.
pub(crate) static BZMPOP: Blocking =
    Blocking { waits: mpop_waits, look, serve: mpop_serve, enter: None, lost: None, nil: Nil::Array };

/// `BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]`, without waiting
pub(crate) fn bzmpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BZMPOP);
}

/// BZMPOP over several shards, without waiting.
pub(crate) fn relay_bzmpop(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    let parsed = Wanted::parse(2, relay.args.len(), |at| &relay.args[at]);
    if let Err(refusal) = parsed.and_then(|_| blocking::seconds(&relay.args[1])) {
        reply.error(refusal);
        return Vec::new();
    }
    pop::relay_pop(relay, reply, 2)
}

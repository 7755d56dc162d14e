//! OBJECT: how a value is kept and how long ago, or how often, it was used.

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::keys::inspect_quietly;
use crate::resp::reply::Reply;
use crate::shard::settings::AccessClock;
use crate::types::value::{Value, View};

/// Longest string whose encoding is called `embstr`.
const EMBSTR_BYTES_MAX: usize = 44;

const NO_IDLETIME: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
                           switching between policies at runtime LRU and LFU data will take some time to adjust.";
const NO_FREQ: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
                       when switching between policies at runtime LRU and LFU data will take some time to adjust.";

/// The encoding's name, as Redis would call it.
pub(crate) fn encoding_name(value: View<'_>) -> &'static str {
    match value {
        View::Int(_) => "int",
        View::Str { bytes, raw: false } if bytes.len() <= EMBSTR_BYTES_MAX => "embstr",
        View::Str { .. } => "raw",
        View::Boxed(Value::Str(_)) => "raw",
        View::Boxed(Value::Zset(zset)) => zset.encoding(),
        View::Boxed(Value::Hash(hash)) => hash.encoding(),
        View::Boxed(Value::Stream(_)) => "stream",
        View::Boxed(Value::List(list)) => list.encoding(),
        View::Boxed(Value::Set(set)) => set.encoding().name(),
        View::Boxed(Value::Vectors(_)) => "raw",
    }
}

/// `OBJECT ENCODING key`.
pub(crate) fn object_encoding(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    match inspect_quietly(ctx, key, |entry| encoding_name(entry.value)) {
        Some(name) => reply.bulk(name.as_bytes()),
        None => reply.null(),
    }
}

/// `OBJECT REFCOUNT key`: always 1, nothing is shared between keys.
pub(crate) fn object_refcount(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    match inspect_quietly(ctx, key, |_| ()) {
        Some(()) => reply.integer(1),
        None => reply.null(),
    }
}

/// `OBJECT IDLETIME key`: seconds.
pub(crate) fn object_idletime(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    if inspect_quietly(ctx, key, |_| ()).is_none() {
        return reply.null();
    }
    if ctx.shard.settings.access_clock == AccessClock::Frequency {
        return reply.error(NO_IDLETIME);
    }
    reply.integer(ctx.shard.idle_s(ctx.db, key).unwrap_or(0) as i64);
}

/// `OBJECT FREQ key`: the logarithmic use counter.
pub(crate) fn object_freq(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    if inspect_quietly(ctx, key, |_| ()).is_none() {
        return reply.null();
    }
    if ctx.shard.settings.access_clock == AccessClock::Recency {
        return reply.error(NO_FREQ);
    }
    reply.integer(i64::from(ctx.shard.frequency(ctx.db, key).unwrap_or(0)));
}

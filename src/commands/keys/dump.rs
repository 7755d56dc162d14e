//! DUMP and RESTORE: a value as bytes that another server takes, in the format of RDB files. What a payload holds is
//! not believed.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Shard;
use crate::shard::settings::AccessClock;
use crate::types::rdb::read::{self, Bad, Limits};
use crate::types::rdb::{Flavor, write};
use crate::types::set::SetLimits;
use crate::types::table::{Expire, Key};

/// What the settings say about the encodings of values that come from outside.
pub(crate) fn limits(shard: &Shard) -> Limits {
    let settings = &shard.settings;
    Limits {
        set: SetLimits {
            ints: settings.set_intset_entries_max,
            pack: settings.set_listpack_entries_max,
            pack_value_bytes: settings.set_listpack_value_bytes_max,
        },
        hash: settings.hash_limits,
        zset: settings.zset_pack,
        list: settings.list_fill,
        now_ms: shard.now_ms,
    }
}

/// `DUMP key`
pub(super) fn dump(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        Some(value) => reply.bulk(&write::payload(value, Flavor::Redis)),
        None => reply.null(),
    }
}

/// The options of RESTORE.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, Refusal> {
        let mut options = Options::default();
        let mut i = 4;
        while i < args.len() {
            let (option, value) = (&args[i], args.get(i + 1));
            let number = |value: &[u8]| parse_i64(value).ok_or(errors::NOT_INTEGER);
            match value {
                _ if option.eq_ignore_ascii_case(b"replace") => options.replace = true,
                _ if option.eq_ignore_ascii_case(b"absttl") => options.absolute = true,
                Some(value) if option.eq_ignore_ascii_case(b"idletime") && options.frequency.is_none() => {
                    let idle = u64::try_from(number(value)?);
                    options.idle_s = Some(idle.map_err(|_| "ERR Invalid IDLETIME value, must be >= 0")?);
                    i += 1;
                }
                Some(value) if option.eq_ignore_ascii_case(b"freq") && options.idle_s.is_none() => {
                    let frequency = u8::try_from(number(value)?);
                    let refusal = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                    options.frequency = Some(frequency.map_err(|_| refusal)?);
                    i += 1;
                }
                _ => return Err(errors::SYNTAX),
            }
            i += 1;
        }
        Ok(options)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(super) fn restore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match restore_checked(ctx, args) {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal),
    }
}

fn restore_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<(), Refusal> {
    let options = Options::parse(args)?;
    let key = ctx.first_key(&args[1]);
    let there = ctx.shard.exists(ctx.db, key);
    if there && !options.replace {
        return Err("BUSYKEY Target key name already exists.");
    }
    let ttl = parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?;
    let ttl = u64::try_from(ttl).map_err(|_| "ERR Invalid TTL value, must be >= 0")?;
    // What reads the journal has to take it as well.
    let mended = if ctx.shard.settings.skip_checksums { write::signed_anew(&args[3]) } else { None };
    let payload = mended.as_deref().unwrap_or(&args[3]);
    let value = read::payload(payload, &limits(ctx.shard)).map_err(|bad| match bad {
        Bad::Envelope => "ERR DUMP payload version or checksum are wrong",
        _ => "ERR Bad data format",
    })?;
    let now = ctx.shard.now_ms;
    let expire_ms = match (ttl, options.absolute) {
        (0, _) => None,
        (at, true) => Some(at),
        (after, false) => Some(now.saturating_add(after)),
    };
    if expire_ms.is_some_and(|at| at <= now) {
        expired_already(ctx, key, there);
        return Ok(());
    }
    let at_ms = expire_ms.filter(|_| !options.absolute);
    if at_ms.is_some() || mended.is_some() {
        journal_changed(ctx, args, payload, at_ms);
    }
    let dirty = ctx.shard.dirty;
    ctx.shard.put(ctx.db, key, value, expire_ms.map_or(Expire::Clear, Expire::At));
    ctx.shard.dirty = dirty + 1;
    match (ctx.shard.settings.access_clock, options.idle_s, options.frequency) {
        (AccessClock::Recency, Some(idle_s), _) => drop_answer(ctx.shard.set_idle(ctx.db, key, idle_s)),
        (AccessClock::Frequency, _, Some(frequency)) => drop_answer(ctx.shard.set_frequency(ctx.db, key, frequency)),
        _ => {}
    }
    ctx.shard.events.happen(class::GENERIC, "restore", ctx.db, key.bytes);
    ctx.shard.events.ready(ctx.db, key.bytes);
    Ok(())
}

/// The key is there: it was just put.
fn drop_answer(_found: bool) {}

/// A value that would have expired by now only takes the place of the old one.
fn expired_already(ctx: &mut Context<'_>, key: Key<'_>, there: bool) {
    ctx.shard.events.no_effect();
    if there {
        ctx.shard.remove(ctx.db, key);
        ctx.shard.events.effect(&[b"DEL", key.bytes]);
        ctx.shard.events.happen(class::GENERIC, "del", ctx.db, key.bytes);
    }
}

/// In the journal a time to live stands as a time, and a payload with its right checksum.
fn journal_changed(ctx: &mut Context<'_>, args: &Args<'_>, payload: &[u8], at_ms: Option<u64>) {
    let mut digits = itoa::Buffer::new();
    let mut words: Vec<&[u8]> = args.from(0).collect();
    words[3] = payload;
    if let Some(at_ms) = at_ms {
        words[2] = digits.format(at_ms).as_bytes();
        words.push(b"ABSTTL");
    }
    ctx.shard.events.effect(&words);
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;

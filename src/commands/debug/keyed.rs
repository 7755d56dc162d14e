//! DEBUG's subcommands that look at one key, and POPULATE, which makes many. Counted neither as hits nor as accesses.

use crate::base::hash;
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::encoding_name;
use crate::resp::reply::Reply;
use crate::shard::keyspace::Shard;
use crate::types::rdb::{kind, write::Writer};
use crate::types::table::{Expire, Key};
use crate::types::value::{NewValue, Value, View};

/// Bits of Redis's access clock.
const LRU_CLOCK_MASK: u64 = 0xff_ffff;

/// `DEBUG OBJECT key [fast]`.
pub(super) fn object(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = Key::new(&args[2]);
    let fast = args.get(3).is_some_and(|option| option.eq_ignore_ascii_case(b"fast"));
    let idle_s = ctx.shard.idle_s(ctx.db, key).unwrap_or(0);
    let fill = ctx.shard.settings.list_fill;
    let lru = (ctx.shard.now_ms / 1000).saturating_sub(idle_s) & LRU_CLOCK_MASK;
    let Some(entry) = ctx.shard.peek(ctx.db, key) else { return reply.error(errors::NO_SUCH_KEY) };
    let place: *const u8 = entry.key.as_ptr();
    let encoding = encoding_name(entry.value);
    let length = if fast { String::new() } else { format!(" serializedlength:{}", rdb_bytes(entry.value)) };
    let runs = match entry.value {
        View::Boxed(Value::List(list)) => list.describe(fill),
        _ => String::new(),
    };
    reply.simple(&format!(
        "Value at:{place:p} refcount:1 encoding:{encoding}{length} lru:{lru} lru_seconds_idle:{idle_s}{runs}"
    ));
}

/// Bytes a value takes in an RDB file, uncompressed (Redis documentation, "RDB file format": length and integer
/// encodings of strings).
fn rdb_bytes(value: View<'_>) -> usize {
    let string = |len: usize| {
        let header = match len {
            0..64 => 1,
            64..16384 => 2,
            _ => 5,
        };
        header + len
    };
    let integer = |n: i64| match n {
        -0x80..=0x7f => 2,
        -0x8000..=0x7fff => 3,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => string(itoa::Buffer::new().format(n).len()),
    };
    match value {
        View::Int(n) => integer(n),
        View::Str { bytes, .. } => text::parse_i64(bytes).map_or(string(bytes.len()), integer),
        View::Boxed(Value::Str(bytes)) => string(bytes.len()),
        View::Boxed(Value::Zset(zset)) => match zset.as_listpack() {
            Some(pack) => string(pack.to_redis().len()),
            None => 5 + zset.iter().map(|(member, _)| string(member.len()) + size_of::<f64>()).sum::<usize>(),
        },
        View::Boxed(Value::Hash(hash)) => match hash.pack() {
            Some((pack, _)) => string(pack.to_redis().len()),
            None => hash.iter().map(|pair| string(pair.name.len()) + string(pair.value.len())).sum::<usize>() + 5,
        },
        View::Boxed(Value::Stream(stream)) => stream.log.blocks().map(|(_, block)| 17 + string(block.len())).sum(),
        // the number of runs, and for each its kind and its bytes
        View::Boxed(Value::List(list)) => 1 + list.packs().map(|pack| 1 + string(pack.len())).sum::<usize>(),
        View::Boxed(Value::Set(set)) => match (set.as_intset(), set.as_listpack()) {
            (Some(ints), _) => string(ints.len()),
            (_, Some(pack)) => string(pack.to_redis().len()),
            _ => set.iter().map(|member| string(member.len())).sum::<usize>() + 5,
        },
        View::Boxed(Value::Vectors(_)) => {
            let mut writer = Writer::default();
            writer.body(value, kind::MODULE);
            writer.bytes.len()
        }
    }
}

/// `DEBUG SDSLEN key`.
pub(super) fn sdslen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = Key::new(&args[2]);
    let bytes = ctx.shard.key_bytes(ctx.db, key).unwrap_or(0);
    let (len, spare) = match ctx.shard.peek(ctx.db, key).map(|entry| entry.value) {
        None => return reply.error(errors::NO_SUCH_KEY),
        Some(View::Int(_)) => return reply.error("ERR Not an sds encoded string."),
        Some(View::Str { bytes, .. }) => (bytes.len(), 0),
        Some(View::Boxed(Value::Str(string))) => (string.len(), string.capacity() - string.len()),
        Some(View::Boxed(_)) => return reply.error("ERR Not an sds encoded string."),
    };
    let name = format!("key_sds_len:{}, key_sds_avail:0, key_zmalloc: 0", key.bytes.len());
    reply.simple(&format!("{name}, val_sds_len:{len}, val_sds_avail:{spare}, val_zmalloc: {bytes}"));
}

/// Answers an error: the key is missing, or its value is not what was asked for.
fn refuse(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, text: &str) {
    let there = ctx.shard.peek(ctx.db, Key::new(&args[2])).is_some();
    reply.error(if there { text } else { errors::NO_SUCH_KEY });
}

/// `DEBUG HTSTATS-KEY key [full]`: no value that there is has a table yet.
pub(super) fn htstats_key(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    refuse(ctx, args, reply, "ERR The value stored at the specified key is not represented using an hash table");
}

/// `DEBUG LISTPACK key`: no value that there is has one yet.
pub(super) fn listpack(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    refuse(ctx, args, reply, "ERR Not a listpack encoded object.");
}

/// `DEBUG QUICKLIST key [0|1]`: no value that there is is one yet.
pub(super) fn quicklist(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    refuse(ctx, args, reply, "ERR Not a quicklist encoded object.");
}

/// One shard's part of `DEBUG HTSTATS`: lines of figures about its table of a database.
pub fn table_stats(shard: &Shard, db: usize) -> String {
    let stats = shard.tables[db].stats();
    let (keys, expiring) = (shard.len(db), shard.expiring(db));
    let displaced_by = stats.displaced_by as f64 / stats.displaced.max(1) as f64;
    format!(
        "slots {}-{}\n table size: {}\n number of entries: {keys}\n entries that expire: {expiring}\n segments: {}\n \
         smallest segment: {}\n largest segment: {}\n deepest segment: {} bits\n displaced entries: {}\n \
         mean displacement: {displaced_by:.2}\n bytes of entries: {} live, {} dead\n bytes of pages: {} of {}\n",
        shard.slots.start,
        shard.slots.end.saturating_sub(1),
        stats.slots,
        stats.segments,
        stats.segment_len_min,
        stats.segment_len_max,
        stats.depth_max,
        stats.displaced,
        stats.live_bytes,
        stats.dead_bytes,
        stats.page_bytes,
        stats.chunk_bytes,
    )
}

/// `DEBUG POPULATE count [prefix] [size]`: each shard makes the keys that are its own. Keys that are there stay.
pub(super) fn populate(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let number = |index: usize| args.get(index).and_then(text::parse_i64).unwrap_or(0);
    let (count, prefix, size) = (number(2), args.get(3).unwrap_or(b"key"), number(4) as usize);
    if size > ctx.bulk_bytes_max {
        return reply.error(errors::STRING_TOO_LONG);
    }
    let mut name = Vec::with_capacity(prefix.len() + 21);
    let mut value = Vec::new();
    let mut digits = itoa::Buffer::new();
    for n in 0..count {
        let digits = digits.format(n).as_bytes();
        name.clear();
        name.extend_from_slice(prefix);
        name.push(b':');
        name.extend_from_slice(digits);
        if !ctx.shard.slots.contains(&hash::slot(&name)) {
            continue;
        }
        let key = Key::new(&name);
        if ctx.shard.exists(ctx.db, key) {
            continue;
        }
        value.clear();
        value.extend_from_slice(b"value:");
        value.extend_from_slice(digits);
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.shard.set(ctx.db, key, NewValue::Str { bytes: &value, raw: false }, Expire::Clear);
    }
    reply.ok();
}

//! COPY and MOVE: the same value under another name, or in another database.

use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::carried;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::Key;

/// Source and destination are one and the same.
const SAME: &str = "ERR source and destination objects are the same";

/// The database that `bytes` names; `None` if an error was answered.
fn database(ctx: &Context<'_>, bytes: &[u8], reply: &mut Reply<'_>) -> Option<usize> {
    let Some(n) = text::parse_i64(bytes) else {
        reply.error(errors::NOT_INTEGER);
        return None;
    };
    if i32::try_from(n).is_err() {
        reply.error(errors::BEYOND_INT);
        return None;
    }
    match usize::try_from(n) {
        Ok(db) if db < ctx.shard.tables.len() => Some(db),
        _ => {
            reply.error(errors::DB_OUT_OF_RANGE);
            None
        }
    }
}

/// `COPY source destination [DB destination-db] [REPLACE]`. Runs on the destination's shard.
pub(crate) fn copy(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let (mut to_db, mut replace) = (ctx.db, false);
    let mut i = 3;
    while let Some(option) = args.get(i) {
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if let Some(name) = args.get(i + 1)
            && option.eq_ignore_ascii_case(b"db")
        {
            let Some(db) = database(ctx, name, reply) else { return };
            to_db = db;
            i += 1;
        } else {
            return reply.error(errors::SYNTAX);
        }
        i += 1;
    }
    let (from, to) = (&args[1], Key::new(&args[2]));
    if ctx.db == to_db && from == to.bytes {
        return reply.error(SAME);
    }
    let Some((value, expire_ms)) = source(ctx, from) else { return reply.integer(0) };
    let occupied = ctx.shard.peek(to_db, to).is_some();
    if !replace && occupied {
        ctx.shard.lazy.owned(value);
        return reply.integer(0);
    }
    super::replace(ctx, to_db, to, occupied, value, expire_ms);
    ctx.shard.events.happen(class::GENERIC, "copy_to", to_db, to.bytes);
    reply.integer(1);
}

/// The database that a call of COPY in order writes to, if it names one.
pub fn copied_to(args: &Args<'_>) -> Option<usize> {
    let at = (3..args.len()).find(|at| args[*at].eq_ignore_ascii_case(b"db"))?;
    args.get(at + 1).and_then(text::parse_u64).and_then(|db| usize::try_from(db).ok())
}

/// A copy of the source, counted as a read of it. One that is large was made before.
fn source(ctx: &mut Context<'_>, from: &[u8]) -> Option<(crate::types::value::Owned, Option<u64>)> {
    let (db, no_touch, key) = (ctx.db, ctx.no_touch, Key::new(from));
    let Some(foreign) = ctx.foreign(db, from) else {
        ctx.shard.read(db, key, no_touch)?;
        return ctx.shard.copy_out(db, key);
    };
    let found = foreign.found.take();
    match found {
        Some(_) => ctx.shard.stats.hits += 1,
        None => {
            ctx.shard.stats.misses += 1;
            ctx.happen(class::MISS, "keymiss", from);
        }
    }
    found
}

/// `MOVE key db`.
pub(crate) fn move_key(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let Some(to_db) = database(ctx, &args[2], reply) else { return };
    if to_db == ctx.db {
        return reply.error(SAME);
    }
    let key = ctx.first_key(&args[1]);
    if ctx.shard.peek(to_db, key).is_some() {
        return reply.integer(0);
    }
    let dirty = ctx.shard.dirty;
    let Some((value, expire_ms)) = ctx.shard.take(ctx.db, key) else { return reply.integer(0) };
    ctx.shard.put(to_db, key, value, carried(expire_ms));
    ctx.shard.dirty = dirty + 1;
    ctx.happen(class::GENERIC, "move_from", key.bytes);
    ctx.shard.events.happen(class::GENERIC, "move_to", to_db, key.bytes);
    reply.integer(1);
}

//! RENAME and RENAMENX. They run on the shard of the new name; a source that lives elsewhere comes as a
//! [`crate::commands::context::Foreign`] and is marked for deletion there.

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::replace;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::Key;

/// `RENAME key newkey`.
pub(crate) fn rename(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match run(ctx, args, false) {
        Outcome::NoSource => reply.error(errors::NO_SUCH_KEY),
        Outcome::Same | Outcome::Done | Outcome::Occupied => reply.ok(),
    }
}

/// `RENAMENX key newkey`.
pub(crate) fn renamenx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match run(ctx, args, true) {
        Outcome::NoSource => reply.error(errors::NO_SUCH_KEY),
        Outcome::Same | Outcome::Occupied => reply.integer(0),
        Outcome::Done => reply.integer(1),
    }
}

enum Outcome {
    NoSource,
    Same,
    Occupied,
    Done,
}

fn run(ctx: &mut Context<'_>, args: &Args<'_>, only_if_free: bool) -> Outcome {
    let (from, to) = (&args[1], Key::new(&args[2]));
    let db = ctx.db;
    let there = match ctx.foreign(db, from) {
        Some(foreign) => foreign.found.is_some(),
        None => ctx.shard.peek(db, Key::new(from)).is_some(),
    };
    if !there {
        return Outcome::NoSource;
    }
    if from == to.bytes {
        return Outcome::Same;
    }
    let occupied = ctx.shard.peek(db, to).is_some();
    if only_if_free && occupied {
        return Outcome::Occupied;
    }
    let dirty = ctx.shard.dirty;
    let (taken, is_here) = match ctx.foreign(db, from) {
        Some(foreign) => {
            foreign.delete = true;
            (foreign.found.take(), false)
        }
        None => (ctx.shard.take(db, Key::new(from)), true),
    };
    let Some((value, expire_ms)) = taken else { return Outcome::NoSource };
    replace(ctx, db, to, occupied, value, expire_ms);
    ctx.shard.dirty = dirty + 1;
    if is_here {
        // else its shard tells it, so that the events of one key come in their order
        ctx.happen(class::GENERIC, "rename_from", from);
    }
    ctx.happen(class::GENERIC, "rename_to", to.bytes);
    Outcome::Done
}

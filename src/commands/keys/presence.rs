//! DEL, UNLINK, EXISTS, TOUCH and TYPE: is the key there, and shall it stay? The first four take any number of keys and
//! answer how many; over several shards the counts add up.

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::keys::inspect;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::table::Key;

/// Counts the keys that `test` is true for. A key named twice is tested twice.
fn count(args: &Args<'_>, reply: &mut Reply<'_>, mut test: impl FnMut(Key<'_>) -> bool) {
    let found = args.from(1).filter(|bytes| test(Key::new(bytes))).count();
    reply.integer(found as i64);
}

/// `DEL key [key ...]`. Large values are freed in steps afterwards, as for UNLINK.
pub(crate) fn del(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(args, reply, |key| {
        let removed = ctx.shard.remove(ctx.db, key);
        if removed {
            ctx.happen(class::GENERIC, "del", key.bytes);
        }
        removed
    });
}

/// `UNLINK key [key ...]`.
pub(crate) fn unlink(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    del(ctx, args, reply);
}

/// `EXISTS key [key ...]`.
pub(crate) fn exists(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(args, reply, |key| inspect(ctx, key, |_| ()).is_some());
}

/// `TOUCH key [key ...]`: stamps the access, even of a client that said CLIENT NO-TOUCH.
pub(crate) fn touch(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    count(args, reply, |key| ctx.shard.read(ctx.db, key, false).is_some());
}

/// `TYPE key`.
pub(crate) fn type_name(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    reply.simple(inspect(ctx, key, |entry| entry.value.type_name()).unwrap_or("none"));
}

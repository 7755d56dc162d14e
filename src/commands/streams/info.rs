//! XINFO: what a stream, its groups and their consumers look like. Changes nothing.

use super::words::{self, Refusal, refuse};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::stream::{Consumer, Group, Id, Stream};

/// Entries that FULL shows unless COUNT says otherwise.
const FULL_COUNT: usize = 10;
/// Blocks up to which the nodes of Redis's radix tree are counted exactly.
const NODES_EXACT_BLOCKS: usize = 1024;

fn stream_of<'a>(ctx: &'a mut Context<'_>, args: &Args<'_>) -> Result<&'a Stream, Refusal> {
    let key = ctx.first_key(&args[2]);
    words::read(ctx, key)?.ok_or(refuse(errors::NO_SUCH_KEY))
}

/// `XINFO STREAM key [FULL [COUNT count]]`
pub(crate) fn stream(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(stream_checked(ctx, args, reply), reply);
}

fn stream_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let stream = stream_of(ctx, args)?;
    let full = match args.len() {
        3 => None,
        4 if words::is(args, 3, "full") => Some(FULL_COUNT),
        6 if words::is(args, 3, "full") && words::is(args, 4, "count") => {
            let count = words::integer(&args[5])?;
            Some(usize::try_from(count).unwrap_or(FULL_COUNT))
        }
        _ => {
            errors::subcommand_syntax(args, reply);
            return Ok(());
        }
    };
    reply.map(if full.is_some() { 9 } else { 10 });
    put_counters(stream, reply);
    match full {
        None => put_ends(stream, reply),
        Some(count) => put_full(stream, if count == 0 { usize::MAX } else { count }, reply),
    }
    Ok(())
}

fn named(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn named_id(reply: &mut Reply<'_>, name: &str, id: Id) {
    reply.bulk(name.as_bytes());
    words::put_id(reply, id);
}

fn maybe(reply: &mut Reply<'_>, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

fn put_counters(stream: &Stream, reply: &mut Reply<'_>) {
    let log = &stream.log;
    named(reply, "length", log.len() as i64);
    named(reply, "radix-tree-keys", log.block_count() as i64);
    named(reply, "radix-tree-nodes", tree_nodes(stream) as i64);
    named_id(reply, "last-generated-id", log.last_id);
    named_id(reply, "max-deleted-entry-id", log.max_deleted_id);
    named(reply, "entries-added", log.entries_added as i64);
    named_id(reply, "recorded-first-entry-id", log.first_id());
}

/// How many nodes Redis's radix tree would have over the same blocks; an estimate for very many.
fn tree_nodes(stream: &Stream) -> usize {
    let count = stream.log.block_count();
    if count > NODES_EXACT_BLOCKS {
        return 2 * count + count / 128;
    }
    let key = |id: Id| (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes();
    let keys: Vec<[u8; 16]> = stream.log.blocks().map(|(id, _)| key(id)).collect();
    if keys.is_empty() { 1 } else { nodes_below(&keys, 0) }
}

/// Nodes of a radix tree over sorted keys that agree in their first `depth` bytes: a run of bytes without a branch is
/// one node, a branch is one, the end of a key is one.
fn nodes_below(keys: &[[u8; 16]], depth: usize) -> usize {
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    if keys.len() == 1 {
        return if depth < first.len() { 2 } else { 1 };
    }
    let common = first[depth..].iter().zip(&last[depth..]).take_while(|(a, b)| a == b).count();
    let branch = depth + common;
    let children = keys.chunk_by(|a, b| a[branch] == b[branch]);
    let below: usize = children.map(|child| nodes_below(child, branch + 1)).sum();
    usize::from(common > 0) + 1 + below
}

fn put_ends(stream: &Stream, reply: &mut Reply<'_>) {
    named(reply, "groups", stream.group_count() as i64);
    let first = stream.log.range(Id::MIN, Id::MAX).next();
    let last = stream.log.range_back(Id::MIN, Id::MAX).next();
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => words::put_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

fn put_full(stream: &Stream, count: usize, reply: &mut Reply<'_>) {
    reply.bulk(b"entries");
    let later = reply.array_later();
    let mut shown = 0;
    for entry in stream.log.range(Id::MIN, Id::MAX).take(count) {
        words::put_entry(reply, &entry);
        shown += 1;
    }
    reply.set_array_len(later, shown);
    reply.bulk(b"groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        named_id(reply, "last-delivered-id", group.last_id);
        maybe(reply, "entries-read", group.entries_read.map(|read| read as i64));
        maybe(reply, "lag", stream.lag(group));
        named(reply, "pel-count", group.pending_count() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_count().min(count));
        for (id, pending) in group.pending_range(Id::MIN, Id::MAX).take(count) {
            reply.array(4);
            words::put_id(reply, id);
            reply.bulk(group.consumer(pending.consumer).name());
            reply.integer(pending.delivered_ms);
            reply.integer(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        group.consumers().for_each(|consumer| put_full_consumer(group, consumer, count, reply));
    }
}

fn put_full_consumer(group: &Group, consumer: &Consumer, count: usize, reply: &mut Reply<'_>) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    named(reply, "seen-time", consumer.seen_ms);
    named(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    named(reply, "pel-count", consumer.pending_count() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_count().min(count));
    let Some(id) = group.find(consumer.name()) else { return };
    for (id, pending) in group.pending_of(id, Id::MIN, Id::MAX).take(count) {
        reply.array(3);
        words::put_id(reply, id);
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
}

/// `XINFO GROUPS key`
pub(crate) fn groups(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let stream = match stream_of(ctx, args) {
        Ok(stream) => stream,
        Err(refusal) => return reply.error_bytes(&refusal),
    };
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        named(reply, "consumers", group.consumer_count() as i64);
        named(reply, "pending", group.pending_count() as i64);
        named_id(reply, "last-delivered-id", group.last_id);
        maybe(reply, "entries-read", group.entries_read.map(|read| read as i64));
        maybe(reply, "lag", stream.lag(group));
    }
}

/// `XINFO CONSUMERS key group`
pub(crate) fn consumers(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(consumers_checked(ctx, args, reply), reply);
}

fn consumers_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let now_ms = ctx.shard.now_ms as i64;
    let stream = stream_of(ctx, args)?;
    let group = stream.group(&args[3]).ok_or_else(|| words::no_group_of(&args[2], &args[3]))?;
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        named(reply, "pending", consumer.pending_count() as i64);
        named(reply, "idle", (now_ms - consumer.seen_ms).max(0));
        named(reply, "inactive", consumer.active_ms.map_or(-1, |active| (now_ms - active).max(0)));
    }
    Ok(())
}

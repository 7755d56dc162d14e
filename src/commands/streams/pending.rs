//! What consumers were given and have not acknowledged: XACK, XPENDING, XCLAIM, XAUTOCLAIM.

use super::words::{self, Refusal, quote, refuse};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;
use crate::shard::events::Events;
use crate::types::stream::{ConsumerId, Group, Id, Log, Pending};
use crate::types::table::Key;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Puts into the journal that `consumer` has the entry `id` pending, delivered so often and at that time; `last_id` is
/// the group's. Replays to the same state, whatever was there.
pub(super) fn journal(
    events: &mut Events,
    key: &[u8],
    (group, consumer): (&[u8], &[u8]),
    id: &[u8],
    (time, deliveries): (&[u8], &[u8]),
    last_id: &[u8],
) {
    events.effect(&[
        b"XCLAIM",
        key,
        group,
        consumer,
        b"0",
        id,
        b"TIME",
        time,
        b"RETRYCOUNT",
        deliveries,
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        last_id,
    ]);
}

/// Puts into the journal where a group stands.
pub(super) fn journal_group(events: &mut Events, key: &[u8], group: &[u8], last_id: Id, entries_read: Option<u64>) {
    let read = entries_read.map_or("-1".to_owned(), |read| read.to_string());
    events.effect(&[b"XGROUP", b"SETID", key, group, &last_id.text(), b"ENTRIESREAD", read.as_bytes()]);
}

/// `XACK key group id [id ...]`
pub(crate) fn xack(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(ack(ctx, args, reply), reply);
}

fn ack(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let key = ctx.first_key(&args[1]);
    let found = words::write(ctx, key)?.filter(|stream| stream.group(&args[2]).is_some());
    let Some(stream) = found else {
        reply.integer(0);
        return Ok(());
    };
    let ids = args.from(3).map(words::id).collect::<Result<SmallVec<[Id; 16]>, _>>()?;
    let count = stream
        .edit_group(&args[2], |_, group| ids.iter().filter(|id| group.acknowledge(**id).is_some()).count() as u64);
    let count = count.unwrap_or(0);
    ctx.shard.dirty += count;
    reply.integer(count as i64);
    Ok(())
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub(crate) fn xpending(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(pending(ctx, args, reply), reply);
}

/// What XPENDING is asked for, beyond a summary.
struct Filter {
    idle_ms_min: i64,
    start: Id,
    end: Id,
    count: usize,
    /// Argument index.
    consumer_at: Option<usize>,
}

fn filter(args: &Args<'_>) -> Result<Option<Filter>, Refusal> {
    match args.len() {
        3 => return Ok(None),
        6..=9 => {}
        _ => return Err(words::SYNTAX),
    }
    let mut at = 3;
    let mut idle_ms_min = 0;
    if words::is(args, at, "idle") {
        idle_ms_min = words::integer(&args[at + 1])?;
        if args.len() < 8 {
            return Err(words::SYNTAX);
        }
        at += 2;
    }
    let count = words::integer(&args[at + 2])?.max(0) as usize;
    let start = words::range_start(&args[at])?;
    let end = words::range_end(&args[at + 1])?;
    let consumer_at = (at + 3 < args.len()).then_some(at + 3);
    Ok(Some(Filter { idle_ms_min, start, end, count, consumer_at }))
}

fn pending(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let filter = filter(args)?;
    let now_ms = ctx.shard.now_ms as i64;
    let key = ctx.first_key(&args[1]);
    let group = words::read(ctx, key)?.and_then(|stream| stream.group(&args[2]));
    let group = group.ok_or_else(|| words::no_group(&args[1], &args[2]))?;
    match filter {
        None => put_summary(group, reply),
        Some(filter) => {
            let consumer = filter.consumer_at.map(|at| group.find(&args[at]));
            match consumer {
                Some(None) => reply.array(0),
                Some(Some(one)) => {
                    put_pending(group, group.pending_of(one, filter.start, filter.end), &filter, now_ms, reply);
                }
                None => put_pending(group, group.pending_range(filter.start, filter.end), &filter, now_ms, reply),
            }
        }
    }
    Ok(())
}

fn put_summary(group: &Group, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.integer(group.pending_count() as i64);
    let Some((first, last)) = group.pending_bounds() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    words::put_id(reply, first);
    words::put_id(reply, last);
    let later = reply.array_later();
    let mut count = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_count() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_count() as i64);
        count += 1;
    }
    reply.set_array_len(later, count);
}

fn put_pending<'g>(
    group: &Group,
    entries: impl Iterator<Item = (Id, &'g Pending)>,
    filter: &Filter,
    now_ms: i64,
    reply: &mut Reply<'_>,
) {
    let later = reply.array_later();
    let mut count = 0;
    let idle = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms);
    let long_enough = |(_, pending): &(Id, &Pending)| filter.idle_ms_min == 0 || idle(pending) >= filter.idle_ms_min;
    for (id, pending) in entries.filter(long_enough).take(filter.count) {
        reply.array(4);
        words::put_id(reply, id);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(idle(pending).max(0));
        reply.integer(pending.deliveries as i64);
        count += 1;
    }
    reply.set_array_len(later, count);
}

/// How entries are claimed.
#[derive(Debug, Clone, Copy)]
struct Claim {
    idle_ms_min: i64,
    /// The time of delivery that the entries get.
    delivered_ms: i64,
    /// The count of deliveries that they get, if not one more.
    deliveries: Option<u64>,
    just_id: bool,
    now_ms: i64,
}

/// One entry that was claimed, or dropped because the stream has it no more: for the journal.
struct Claimed {
    id: Id,
    owner: Vec<u8>,
    pending: Pending,
}

/// What a claim did.
#[derive(Default)]
struct Claims {
    created: bool,
    done: Vec<Claimed>,
    /// Set if the group moved and no entry tells it.
    moved_to: Option<(Id, Option<u64>)>,
    last_id: Id,
}

impl Claims {
    fn note(&mut self, group: &Group, id: Id, pending: Pending) {
        let owner = group.consumer(pending.consumer).name().to_vec();
        self.done.push(Claimed { id, owner, pending });
        self.moved_to = None;
    }

    /// Counts, events and the journal's share.
    fn tell(self, ctx: &mut Context<'_>, key: Key<'_>, group: &[u8], consumer: &[u8]) {
        if self.created {
            words::noted(ctx, key, "xgroup-createconsumer");
            if self.done.iter().all(|claimed| claimed.owner != consumer) {
                ctx.shard.events.effect(&[b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer]);
            }
        }
        let events = &mut ctx.shard.events;
        ctx.shard.dirty += self.done.len() as u64 + u64::from(self.moved_to.is_some());
        if !events.journaled {
            return;
        }
        for Claimed { id, owner, pending } in self.done {
            let (time, deliveries) = (pending.delivered_ms.to_string(), pending.deliveries.to_string());
            let times = (time.as_bytes(), deliveries.as_bytes());
            journal(events, key.bytes, (group, &owner), &id.text(), times, &self.last_id.text());
        }
        if let Some((last_id, entries_read)) = self.moved_to {
            journal_group(events, key.bytes, group, last_id, entries_read);
        }
    }
}

/// Gives one entry of the stream to `consumer` and answers it.
fn claim_one(
    log: &Log,
    group: &mut Group,
    (id, consumer): (Id, ConsumerId),
    old: Option<Pending>,
    claim: &Claim,
    claims: &mut Claims,
    reply: &mut Reply<'_>,
) {
    let before = old.map_or(1, |old| old.deliveries);
    let deliveries = match claim.deliveries {
        Some(deliveries) => deliveries,
        None => before.wrapping_add(u64::from(!claim.just_id)),
    };
    let pending = Pending { consumer, delivered_ms: claim.delivered_ms, deliveries };
    group.assign(id, pending);
    group.consumer_mut(consumer).active_ms = Some(claim.now_ms);
    match log.get(id).filter(|_| !claim.just_id) {
        Some(entry) => words::put_entry(reply, &entry),
        None => words::put_id(reply, id),
    }
    claims.note(group, id, pending);
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-ms] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID id]`
pub(crate) fn xclaim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(claim(ctx, args, reply), reply);
}

fn claim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let now_ms = ctx.shard.clock_ms() as i64;
    let key = ctx.first_key(&args[1]);
    let (group, consumer) = (&args[2], &args[3]);
    let stream = words::write(ctx, key)?.filter(|stream| stream.group(group).is_some());
    let stream = stream.ok_or_else(|| words::no_group(&args[1], group))?;
    let idle_ms_min = words::integer_or(&args[4], "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let ids: SmallVec<[Id; 16]> = args.from(5).map_while(|word| Id::parse(word, 0)).collect();
    let options = ClaimOptions::parse(args, 5 + ids.len(), now_ms)?;
    let claim = Claim {
        idle_ms_min,
        delivered_ms: options.delivered_ms,
        deliveries: options.deliveries,
        just_id: options.just_id,
        now_ms,
    };
    let claims = stream.edit_group(group, |log, group| {
        let mut claims = Claims::default();
        if options.last_id > group.last_id {
            group.last_id = options.last_id;
            claims.moved_to = Some((group.last_id, group.entries_read));
        }
        claims.last_id = group.last_id;
        let consumer = consumer_of(group, consumer, now_ms, &mut claims);
        let later = reply.array_later();
        let mut count = 0;
        for id in ids {
            let old = group.pending(id).copied();
            if log.get(id).is_none() {
                if let Some(old) = group.acknowledge(id) {
                    claims.note(group, id, old);
                }
                continue;
            }
            let young = old.is_some_and(|old| now_ms.saturating_sub(old.delivered_ms) < claim.idle_ms_min);
            if old.is_none() && !options.force || claim.idle_ms_min > 0 && young {
                continue;
            }
            claim_one(log, group, (id, consumer), old, &claim, &mut claims, reply);
            count += 1;
        }
        reply.set_array_len(later, count);
        claims
    });
    ctx.shard.events.no_effect();
    if let Some(claims) = claims {
        claims.tell(ctx, key, group, consumer);
    }
    Ok(())
}

fn consumer_of(group: &mut Group, name: &[u8], now_ms: i64, claims: &mut Claims) -> ConsumerId {
    let consumer = group.find(name).unwrap_or_else(|| {
        claims.created = true;
        group.add_consumer(name, now_ms).expect("the name was not found")
    });
    group.consumer_mut(consumer).seen_ms = now_ms;
    consumer
}

/// The words behind XCLAIM's identifiers.
struct ClaimOptions {
    delivered_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Id,
}

impl ClaimOptions {
    fn parse(args: &Args<'_>, from: usize, now_ms: i64) -> Result<Self, Refusal> {
        let mut options =
            ClaimOptions { delivered_ms: now_ms, deliveries: None, force: false, just_id: false, last_id: Id::MIN };
        let mut at = from;
        while at < args.len() {
            let more = at + 1 < args.len();
            let is = |name: &str| words::is(args, at, name);
            if is("force") {
                options.force = true;
                at += 1;
                continue;
            } else if is("justid") {
                options.just_id = true;
                at += 1;
                continue;
            } else if more && is("idle") {
                let idle = words::integer_or(&args[at + 1], "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_ms = now_ms.wrapping_sub(idle);
            } else if more && is("time") {
                let text = "ERR Invalid TIME option argument for XCLAIM";
                options.delivered_ms = words::integer_or(&args[at + 1], text)?;
            } else if more && is("retrycount") {
                let text = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
                options.deliveries = u64::try_from(words::integer_or(&args[at + 1], text)?).ok();
            } else if more && is("lastid") {
                options.last_id = words::id(&args[at + 1])?;
            } else {
                let text = [b"ERR Unrecognized XCLAIM option '", quote(&args[at]), b"'"];
                return Err(Cow::Owned(text.concat()));
            }
            at += 2;
        }
        // A time that cannot be is taken as now: clocks differ.
        if options.delivered_ms < 0 || options.delivered_ms > now_ms {
            options.delivered_ms = now_ms;
        }
        Ok(options)
    }
}

/// Entries that XAUTOCLAIM claims unless COUNT says otherwise.
const AUTOCLAIM_COUNT: usize = 100;
/// Pending entries that it looks at for each that it may claim.
const AUTOCLAIM_ATTEMPTS: usize = 10;
/// Largest COUNT (Redis: what its allocation can hold).
const AUTOCLAIM_COUNT_MAX: i64 = i64::MAX / 16;

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub(crate) fn xautoclaim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(autoclaim(ctx, args, reply), reply);
}

fn autoclaim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let now_ms = ctx.shard.now_ms as i64;
    let idle_ms_min = words::integer_or(&args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = words::range_start(&args[5])?;
    let (mut count, mut just_id) = (AUTOCLAIM_COUNT, false);
    let mut at = 6;
    while at < args.len() {
        if words::is(args, at, "count") && at + 1 < args.len() {
            let number = parse_i64(&args[at + 1]).filter(|number| (1..=AUTOCLAIM_COUNT_MAX).contains(number));
            count = number.ok_or(refuse("ERR COUNT must be > 0"))? as usize;
            at += 1;
        } else if words::is(args, at, "justid") {
            just_id = true;
        } else {
            return Err(words::SYNTAX);
        }
        at += 1;
    }
    let key = ctx.first_key(&args[1]);
    let (group, consumer) = (&args[2], &args[3]);
    let stream = words::write(ctx, key)?.filter(|stream| stream.group(group).is_some());
    let stream = stream.ok_or_else(|| words::no_group(&args[1], group))?;
    let claim = Claim { idle_ms_min, delivered_ms: now_ms, deliveries: None, just_id, now_ms };
    let claims = stream.edit_group(group, |log, group| {
        let mut claims = Claims { last_id: group.last_id, ..Claims::default() };
        let consumer = consumer_of(group, consumer, now_ms, &mut claims);
        let old_enough = |pending: &Pending| {
            claim.idle_ms_min == 0 || now_ms.saturating_sub(pending.delivered_ms) >= claim.idle_ms_min
        };
        // Which entries: those gone from the stream count, and nothing below changes which others are found.
        let mut candidates: Vec<(Id, Pending, bool)> = Vec::new();
        let mut attempts = count.saturating_mul(AUTOCLAIM_ATTEMPTS);
        let mut rest = group.pending_range(start, Id::MAX).peekable();
        while attempts > 0 && candidates.len() < count {
            let Some((id, pending)) = rest.next() else { break };
            attempts -= 1;
            let gone = log.get(id).is_none();
            if gone || old_enough(pending) {
                candidates.push((id, *pending, gone));
            }
        }
        let cursor = rest.peek().map_or(Id::MIN, |(id, _)| *id);
        drop(rest);
        reply.array(3);
        words::put_id(reply, cursor);
        reply.array(candidates.iter().filter(|(_, _, gone)| !gone).count());
        for (id, old, gone) in &candidates {
            if *gone {
                claims.note(group, *id, *old);
                group.acknowledge(*id);
            } else {
                claim_one(log, group, (*id, consumer), Some(*old), &claim, &mut claims, reply);
            }
        }
        let gone = candidates.iter().filter(|(_, _, gone)| *gone);
        reply.array(gone.clone().count());
        gone.for_each(|(id, ..)| words::put_id(reply, *id));
        claims
    });
    ctx.shard.events.no_effect();
    if let Some(claims) = claims {
        claims.tell(ctx, key, group, consumer);
    }
    Ok(())
}

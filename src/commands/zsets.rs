//! The sorted set commands: how they find and change a sorted set, how they answer members, and the family's table.

pub(crate) mod add;
pub(crate) mod algebra;
pub(crate) mod bounds;
pub(crate) mod pop;
pub(crate) mod random;
pub(crate) mod range;
pub(crate) mod read;
pub(crate) mod waiting;

use crate::base::text;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::flag::{BLOCKING, DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::hash::PackLimits;
use crate::types::listpack::Item;
use crate::types::table::{Current, Expire, Key};
use crate::types::value::{NewValue, Owned, Value, View};
use crate::types::zset::Zset;
use add::{zadd, zincrby, zrem};
use algebra::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use pop::{relay_zmpop, zmpop, zpopmax, zpopmin};
use random::zrandmember;
use range::{
    zrange, zrangebylex, zrangebyscore, zrangestore, zrangestore_source, zremrangebylex, zremrangebyrank,
    zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use read::{zcard, zcount, zlexcount, zmscore, zrank, zrevrank, zscan, zscore};
use waiting::{BZMPOP, BZPOPMAX, BZPOPMIN, bzmpop, bzpopmax, bzpopmin, relay_bzmpop, relay_bzpop};

/// An error text, as it goes to the client (without the leading `-`).
pub(crate) type Refusal = &'static str;

/// Up to where a sorted set is a listpack.
pub(crate) fn limits(ctx: &Context<'_>) -> PackLimits {
    ctx.shard.settings.zset_pack
}

/// Answers a member.
#[inline]
pub(crate) fn member(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

/// Answers a count or a refusal; `()` means that the reply has been written.
pub(crate) fn answer<T: Into<Answer>>(reply: &mut Reply<'_>, result: Result<T, Refusal>) {
    match result.map(Into::into) {
        Ok(Answer::Written) => {}
        Ok(Answer::Count(n)) => reply.integer(n),
        Err(refusal) => reply.error(refusal),
    }
}

/// What is left to answer.
pub(crate) enum Answer {
    /// Nothing.
    Written,
    /// An integer.
    Count(i64),
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Answer::Written
    }
}

impl From<i64> for Answer {
    fn from(n: i64) -> Self {
        Answer::Count(n)
    }
}

/// The sorted set that a value is.
fn of_value(value: &Value) -> Result<&Zset, Refusal> {
    value.as_zset().ok_or(errors::WRONGTYPE)
}

/// Looks at the sorted set of a key of this shard; `None` if there is none.
#[inline]
pub(crate) fn read<R>(ctx: &mut Context<'_>, key: &[u8], f: impl FnOnce(&Zset) -> R) -> Result<Option<R>, Refusal> {
    let key = Key::new(key);
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => Ok(None),
        Some(View::Boxed(value)) => of_value(value).map(|zset| Some(f(zset))),
        Some(_) => Err(errors::WRONGTYPE),
    }
}

/// As [`read`], of a key that may live on another shard and has been fetched from there.
pub(crate) fn source<R>(ctx: &mut Context<'_>, key: &[u8], f: impl FnOnce(&Zset) -> R) -> Result<Option<R>, Refusal> {
    let db = ctx.db;
    match ctx.foreign(db, key).map(|foreign| &foreign.found) {
        None => read(ctx, key, f),
        Some(None) => Ok(None),
        Some(Some((Owned::Boxed(value), _))) => of_value(value).map(|zset| Some(f(zset))),
        Some(Some(_)) => Err(errors::WRONGTYPE),
    }
}

/// What an edit left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Everything as it was.
    Same,
    /// Something changed.
    Changed,
    /// Nothing that is needed: the key is to go, with whatever the set still holds.
    Emptied,
}

impl After {
    /// Whether something changed.
    pub(crate) fn of(changed: bool) -> Self {
        if changed { After::Changed } else { After::Same }
    }
}

/// Edits the sorted set of a key if there is one, tells `event` if it changed, and removes the key if it is empty.
pub(crate) fn edit<R>(
    ctx: &mut Context<'_>,
    key: Key<'_>,
    event: &'static str,
    f: impl FnOnce(&mut Zset) -> (After, R),
) -> Result<Option<R>, Refusal> {
    let edited = ctx.shard.update(ctx.db, key, |current| match current {
        None => Ok((Change::Nothing, None)),
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
        Some(Current::Boxed(value)) => {
            let zset = value.as_zset_mut().ok_or(errors::WRONGTYPE)?;
            let (after, result) = f(zset);
            let after = if zset.is_empty() { After::Emptied } else { after };
            Ok((if after == After::Changed { Change::InPlace } else { Change::Nothing }, Some((after, result))))
        }
    })?;
    let Some((after, result)) = edited else { return Ok(None) };
    if after != After::Same {
        ctx.shard.events.happen(class::SORTED_SET, event, ctx.db, key.bytes);
    }
    if after == After::Emptied {
        ctx.shard.remove(ctx.db, key);
        ctx.shard.events.happen(class::GENERIC, "del", ctx.db, key.bytes);
    }
    Ok(Some(result))
}

/// Puts a result in the place of whatever `name` holds; an empty one removes the key. Answers the members stored.
pub(crate) fn store(ctx: &mut Context<'_>, name: &[u8], zset: Zset, event: &'static str) -> i64 {
    let key = Key::new(name);
    let len = zset.len();
    if !ctx.foreign.is_empty() && ctx.shard.events.journaled {
        store_effects(ctx, name, &zset);
    }
    if len > 0 {
        let value = NewValue::Boxed(Box::new(Value::Zset(zset)));
        ctx.shard.set(ctx.db, key, value, Expire::Clear);
        ctx.shard.events.happen(class::SORTED_SET, event, ctx.db, name);
        ctx.shard.events.ready(ctx.db, name);
    } else if ctx.shard.remove(ctx.db, key) {
        ctx.shard.events.happen(class::GENERIC, "del", ctx.db, name);
    }
    len as i64
}

/// Members of one ZADD in the journal.
const EFFECT_MEMBERS: usize = 512;

/// A result that was made of keys of other shards stands in the journal as what it is: this shard's journal says
/// nothing about those keys.
fn store_effects(ctx: &mut Context<'_>, name: &[u8], zset: &Zset) {
    ctx.shard.events.effect(&[b"DEL", name]);
    let mut ranks = 0..zset.len().min(EFFECT_MEMBERS);
    while !ranks.is_empty() {
        let mut words = vec![b"ZADD".to_vec(), name.to_vec()];
        for (item, score) in zset.range(ranks.clone(), false) {
            words.extend([text::double(score).to_vec(), item.to_vec()]);
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        ctx.shard.events.effect(&words);
        ranks = ranks.end..zset.len().min(ranks.end + EFFECT_MEMBERS);
    }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("bzmpop", -5, Group::SortedSet, "7.0.0", Plan::Relay { run: bzmpop, relay: relay_bzmpop })
        .flags(WRITE | BLOCKING)
        .key_specs(&[KeySpec::counted(key::RW | key::ACCESS | key::DELETE, 2, 1)])
        .docs(
            "Removes and returns the first or last members of the first sorted set that has any; waits for one.",
            "O(K)+O(M*log(N)) with K the keys, N the members and M those returned",
            "timeout:double numkeys:int key#0... where=(MIN|MAX) [COUNT count:int]",
        )
        .blocking(&BZMPOP),
    CommandSpec::new("bzpopmax", -3, Group::SortedSet, "5.0.0", Plan::Relay { run: bzpopmax, relay: relay_bzpop })
        .flags(WRITE | FAST | BLOCKING)
        .key_specs(&[KeySpec::range(key::RW | key::ACCESS | key::DELETE, 1, -2, 1)])
        .docs(
            "Removes and returns the last member of the first sorted set that has any; waits for one.",
            "O(log(N)) with N the members",
            "key#0... timeout:double",
        )
        .blocking(&BZPOPMAX),
    CommandSpec::new("bzpopmin", -3, Group::SortedSet, "5.0.0", Plan::Relay { run: bzpopmin, relay: relay_bzpop })
        .flags(WRITE | FAST | BLOCKING)
        .key_specs(&[KeySpec::range(key::RW | key::ACCESS | key::DELETE, 1, -2, 1)])
        .docs(
            "Removes and returns the first member of the first sorted set that has any; waits for one.",
            "O(log(N)) with N the members",
            "key#0... timeout:double",
        )
        .blocking(&BZPOPMIN),
    CommandSpec::new("zadd", -4, Group::SortedSet, "1.2.0", Plan::OneShard(zadd))
        .flags(WRITE | DENYOOM | FAST)
        .member(-1)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Adds members to a sorted set or changes their scores.",
            "O(log(N)) for each member, with N the members",
            "key#0 [condition=(NX|XX)] [comparison=(GT|LT)] [change=CH] [increment=INCR] data={score:double member}...",
        ),
    CommandSpec::new("zcard", 2, Group::SortedSet, "1.2.0", Plan::OneShard(zcard))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns the number of members of a sorted set.", "O(1)", "key#0"),
    CommandSpec::new("zcount", 4, Group::SortedSet, "2.0.0", Plan::OneShard(zcount))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Counts the members whose scores are in a range.",
            "O(log(N)) with N the members",
            "key#0 min:double max:double",
        ),
    CommandSpec::new("zdiff", -3, Group::SortedSet, "6.2.0", Plan::TwoPhase { run: zdiff, home: 2 })
        .flags(READONLY)
        .key_specs(&[KeySpec::counted(key::RO | key::ACCESS, 1, 1)])
        .docs(
            "Returns the members of the first sorted set that no other one has.",
            "O(N) with N the members of all sorted sets",
            "numkeys:int key#0... [WITHSCORES]",
        ),
    CommandSpec::new("zdiffstore", -4, Group::SortedSet, "6.2.0", Plan::TwoPhase { run: zdiffstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::counted(key::RO | key::ACCESS, 2, 1)])
        .docs(
            "Stores the members of the first sorted set that no other one has.",
            "O(N*log(N)) with N the members of all sorted sets",
            "destination#0 numkeys:int key#1...",
        ),
    CommandSpec::new("zincrby", 4, Group::SortedSet, "1.2.0", Plan::OneShard(zincrby))
        .flags(WRITE | DENYOOM | FAST)
        .member(3)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs(
            "Adds to the score of a member; a missing one counts as 0.",
            "O(log(N)) with N the members",
            "key#0 increment:int member",
        ),
    CommandSpec::new("zinter", -3, Group::SortedSet, "6.2.0", Plan::TwoPhase { run: zinter, home: 2 })
        .flags(READONLY)
        .key_specs(&[KeySpec::counted(key::RO | key::ACCESS, 1, 1)])
        .docs(
            "Returns the members that all sorted sets have.",
            "O(N*K)+O(M*log(M)) with N the smallest sorted set, K the sets and M the members returned",
            "numkeys:int key#0... [WEIGHTS weight:int...] [AGGREGATE aggregate=(SUM|MIN|MAX)] [WITHSCORES]",
        ),
    CommandSpec::new("zintercard", -3, Group::SortedSet, "7.0.0", Plan::TwoPhase { run: zintercard, home: 2 })
        .flags(READONLY)
        .key_specs(&[KeySpec::counted(key::RO | key::ACCESS, 1, 1)])
        .docs(
            "Counts the members that all sorted sets have.",
            "O(N*K) with N the smallest sorted set and K the sets",
            "numkeys:int key#0... [LIMIT limit:int]",
        ),
    CommandSpec::new("zinterstore", -4, Group::SortedSet, "2.0.0", Plan::TwoPhase { run: zinterstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::counted(key::RO | key::ACCESS, 2, 1)])
        .docs(
            "Stores the members that all sorted sets have.",
            "O(N*K)+O(M*log(M)) with N the smallest sorted set, K the sets and M the members stored",
            "destination#0 numkeys:int key#1... [WEIGHTS weight:int...] [AGGREGATE aggregate=(SUM|MIN|MAX)]",
        ),
    CommandSpec::new("zlexcount", 4, Group::SortedSet, "2.8.9", Plan::OneShard(zlexcount))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Counts the members between two others, all scores being equal.",
            "O(log(N)) with N the members",
            "key#0 min max",
        ),
    CommandSpec::new("zmpop", -4, Group::SortedSet, "7.0.0", Plan::Relay { run: zmpop, relay: relay_zmpop })
        .flags(WRITE)
        .key_specs(&[KeySpec::counted(key::RW | key::ACCESS | key::DELETE, 1, 1)])
        .docs(
            "Removes and returns the first or last members of the first sorted set that has any.",
            "O(K)+O(M*log(N)) with K the keys, N the members and M those returned",
            "numkeys:int key#0... where=(MIN|MAX) [COUNT count:int]",
        ),
    CommandSpec::new("zmscore", -3, Group::SortedSet, "6.2.0", Plan::OneShard(zmscore))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the scores of members.", "O(N) with N the members asked for", "key#0 member..."),
    CommandSpec::new("zpopmax", -2, Group::SortedSet, "5.0.0", Plan::OneShard(zpopmax))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs(
            "Removes and returns the members with the greatest scores.",
            "O(M*log(N)) with N the members and M those returned",
            "key#0 [count:int]",
        ),
    CommandSpec::new("zpopmin", -2, Group::SortedSet, "5.0.0", Plan::OneShard(zpopmin))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .docs(
            "Removes and returns the members with the least scores.",
            "O(M*log(N)) with N the members and M those returned",
            "key#0 [count:int]",
        ),
    CommandSpec::new("zrandmember", -2, Group::SortedSet, "6.2.0", Plan::OneShard(zrandmember))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns members drawn at random.",
            "O(M*log(N)) with N the members and M those returned",
            "key#0 [options={count:int [WITHSCORES]}]",
        ),
    CommandSpec::new("zrange", -4, Group::SortedSet, "1.2.0", Plan::OneShard(zrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members of a range of ranks, scores or members.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 start stop [sortby=(BYSCORE|BYLEX)] [REV] [LIMIT limit={offset:int count:int}] [WITHSCORES]",
        ),
    CommandSpec::new("zrangebylex", -4, Group::SortedSet, "2.8.9", Plan::OneShard(zrangebylex))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members between two others, all scores being equal.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 min max [LIMIT limit={offset:int count:int}]",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    CommandSpec::new("zrangebyscore", -4, Group::SortedSet, "1.0.5", Plan::OneShard(zrangebyscore))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members whose scores are in a range.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 min:double max:double [WITHSCORES] [LIMIT limit={offset:int count:int}]",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    CommandSpec::new("zrangestore", -5, Group::SortedSet, "6.2.0", Plan::TwoPhase { run: zrangestore, home: 1 })
        .fetches(zrangestore_source)
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::one(key::RO | key::ACCESS, 2)])
        .docs(
            "Stores the members of a range of ranks, scores or members.",
            "O(log(N)+M*log(M)) with N the members and M those stored",
            "dst#0 src#1 min max [sortby=(BYSCORE|BYLEX)] [REV] [LIMIT limit={offset:int count:int}]",
        ),
    CommandSpec::new("zrank", -3, Group::SortedSet, "2.0.0", Plan::OneShard(zrank))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the rank of a member, counted from the least score.",
            "O(log(N)) with N the members",
            "key#0 member [WITHSCORE]",
        ),
    CommandSpec::new("zrem", -3, Group::SortedSet, "1.2.0", Plan::OneShard(zrem))
        .flags(WRITE | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Removes members from a sorted set.",
            "O(M*log(N)) with N the members and M those removed",
            "key#0 member...",
        ),
    CommandSpec::new("zremrangebylex", 4, Group::SortedSet, "2.8.9", Plan::OneShard(zremrangebylex))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Removes the members between two others, all scores being equal.",
            "O(M*log(N)) with N the members and M those removed",
            "key#0 min max",
        ),
    CommandSpec::new("zremrangebyrank", 4, Group::SortedSet, "2.0.0", Plan::OneShard(zremrangebyrank))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Removes the members of a range of ranks.",
            "O(M*log(N)) with N the members and M those removed",
            "key#0 start:int stop:int",
        ),
    CommandSpec::new("zremrangebyscore", 4, Group::SortedSet, "1.2.0", Plan::OneShard(zremrangebyscore))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs(
            "Removes the members whose scores are in a range.",
            "O(M*log(N)) with N the members and M those removed",
            "key#0 min:double max:double",
        ),
    CommandSpec::new("zrevrange", -4, Group::SortedSet, "1.2.0", Plan::OneShard(zrevrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members of a range of ranks, counted from the greatest score.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 start:int stop:int [WITHSCORES]",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    CommandSpec::new("zrevrangebylex", -4, Group::SortedSet, "2.8.9", Plan::OneShard(zrevrangebylex))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members between two others, the last one first, all scores being equal.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 max min [LIMIT limit={offset:int count:int}]",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    CommandSpec::new("zrevrangebyscore", -4, Group::SortedSet, "2.2.0", Plan::OneShard(zrevrangebyscore))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the members whose scores are in a range, the greatest first.",
            "O(log(N)+M) with N the members and M those returned",
            "key#0 max:double min:double [WITHSCORES] [LIMIT limit={offset:int count:int}]",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    CommandSpec::new("zrevrank", -3, Group::SortedSet, "2.0.0", Plan::OneShard(zrevrank))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Returns the rank of a member, counted from the greatest score.",
            "O(log(N)) with N the members",
            "key#0 member [WITHSCORE]",
        ),
    CommandSpec::new("zscan", -3, Group::SortedSet, "2.8.0", Plan::OneShard(zscan))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Goes through the members of a sorted set step by step.",
            "O(1) for each step, O(N) for the whole with N the members",
            "key#0 cursor:int [MATCH pattern:pattern] [COUNT count:int] [NOSCORES]",
        ),
    CommandSpec::new("zscore", 3, Group::SortedSet, "1.2.0", Plan::OneShard(zscore))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the score of a member.", "O(1)", "key#0 member"),
    CommandSpec::new("zunion", -3, Group::SortedSet, "6.2.0", Plan::TwoPhase { run: zunion, home: 2 })
        .flags(READONLY)
        .key_specs(&[KeySpec::counted(key::RO | key::ACCESS, 1, 1)])
        .docs(
            "Returns the members that any of the sorted sets has.",
            "O(N*log(N)) with N the members of all sorted sets",
            "numkeys:int key#0... [WEIGHTS weight:int...] [AGGREGATE aggregate=(SUM|MIN|MAX)] [WITHSCORES]",
        ),
    CommandSpec::new("zunionstore", -4, Group::SortedSet, "2.0.0", Plan::TwoPhase { run: zunionstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::counted(key::RO | key::ACCESS, 2, 1)])
        .docs(
            "Stores the members that any of the sorted sets has.",
            "O(N*log(N)) with N the members of all sorted sets",
            "destination#0 numkeys:int key#1... [WEIGHTS weight:int...] [AGGREGATE aggregate=(SUM|MIN|MAX)]",
        ),
];

#[cfg(test)]
#[path = "zsets_tests.rs"]
mod tests;

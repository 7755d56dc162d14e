//! Ranges by rank, score and member: ZRANGE with all its older forms, ZRANGESTORE, and the ZREMRANGE commands.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::zsets::{After, Refusal, answer, bounds, edit, limits, member, read, source, store};
use crate::resp::reply::{Proto, Reply};
use crate::shard::keyspace::Shard;
use crate::types::hash::PackLimits;
use crate::types::table::Key;
use crate::types::value::{Owned, Value, View};
use crate::types::zset::{LexRange, ScoreRange, Zset};
use std::ops::Range;

const LIMIT_WITHOUT_BY: Refusal =
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
const SCORES_WITH_LEX: Refusal = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";

/// What a range is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What a command says by its name; the options may say the rest.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Index of the key.
    key: usize,
    by: Option<By>,
    reverse: Option<bool>,
    stores: bool,
}

/// A range as it was asked for.
#[derive(Debug)]
struct Wanted<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    /// Members to leave out at the begin, and the most to answer; negative: none, and all.
    offset: i64,
    limit: i64,
}

#[derive(Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

impl<'a> Wanted<'a> {
    fn parse(args: &'a Args<'_>, form: Form) -> Result<Self, Refusal> {
        let (mut by, mut reverse, mut with_scores, mut limit) = (form.by, form.reverse, false, None);
        let mut at = form.key + 3;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if !form.stores && is("withscores") {
                with_scores = true;
            } else if is("limit") && at + 2 < args.len() {
                let number = |at: usize| parse_i64(&args[at]).ok_or(errors::NOT_INTEGER);
                limit = Some((number(at + 1)?, number(at + 2)?));
                at += 2;
            } else if reverse.is_none() && is("rev") {
                reverse = Some(true);
            } else if by.is_none() && is("bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && is("byscore") {
                by = Some(By::Score);
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        // A limit of -1 says nothing, as in Redis.
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(LIMIT_WITHOUT_BY);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_WITH_LEX);
        }
        let (first, second) = (&args[form.key + 1], &args[form.key + 2]);
        let (min, max) = if reverse && by != By::Rank { (second, first) } else { (first, second) };
        let bounds = match by {
            By::Rank => {
                let number = |text| parse_i64(text).ok_or(errors::NOT_INTEGER);
                Bounds::Ranks(number(min)?, number(max)?)
            }
            By::Score => Bounds::Scores(bounds::scores(min, max)?),
            By::Lex => Bounds::Members(bounds::members(min, max)?),
        };
        let (offset, limit) = limit.filter(|_| by != By::Rank).unwrap_or((0, -1));
        Ok(Wanted { bounds, reverse, with_scores, offset, limit })
    }

    /// The ranks that are meant in `zset`, counted from the least score.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let len = zset.len();
        let found = match &self.bounds {
            Bounds::Ranks(start, stop) => {
                let ranks = bounds::ranks(*start, *stop, len);
                if self.reverse && !ranks.is_empty() { len - ranks.end..len - ranks.start } else { ranks }
            }
            Bounds::Scores(range) => zset.score_ranks(range),
            Bounds::Members(range) => zset.lex_ranks(range, self.reverse),
        };
        if self.offset < 0 || self.offset as usize >= found.len() {
            return 0..0;
        }
        let rest = found.len() - self.offset as usize;
        let count = if self.limit < 0 { rest } else { rest.min(self.limit as usize) };
        if self.reverse {
            let end = found.end - self.offset as usize;
            end - count..end
        } else {
            let start = found.start + self.offset as usize;
            start..start + count
        }
    }

    fn write(&self, zset: &Zset, reply: &mut Reply<'_>) {
        let ranks = self.ranks(zset);
        if !self.with_scores {
            reply.array(ranks.len());
            zset.range(ranks, self.reverse).for_each(|(item, _)| member(reply, item));
            return;
        }
        let pairs = reply.proto == Proto::Resp3;
        reply.array(if pairs { ranks.len() } else { 2 * ranks.len() });
        for (item, score) in zset.range(ranks, self.reverse) {
            if pairs {
                reply.array(2);
            }
            member(reply, item);
            reply.double(score);
        }
    }
}

fn range(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, by: Option<By>, reverse: Option<bool>) {
    let form = Form { key: 1, by, reverse, stores: false };
    let found = Wanted::parse(args, form).and_then(|wanted| read(ctx, &args[1], |zset| wanted.write(zset, reply)));
    match found {
        Ok(Some(())) => {}
        Ok(None) => reply.array(0),
        Err(refusal) => reply.error(refusal),
    }
}

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`.
pub(crate) fn zrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, None, None);
}

/// `ZREVRANGE key start stop [WITHSCORES]`.
pub(crate) fn zrevrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, Some(By::Rank), Some(true));
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`.
pub(crate) fn zrangebyscore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, Some(By::Score), Some(false));
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`.
pub(crate) fn zrevrangebyscore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, Some(By::Score), Some(true));
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`.
pub(crate) fn zrangebylex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, Some(By::Lex), Some(false));
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`.
pub(crate) fn zrevrangebylex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    range(ctx, args, reply, Some(By::Lex), Some(true));
}

const STORED: Form = Form { key: 2, by: None, reverse: None, stores: true };

fn cut_out(zset: &Zset, wanted: &Wanted<'_>, limits: PackLimits) -> Zset {
    let mut result = Zset::new();
    for (item, score) in zset.range(wanted.ranks(zset), false) {
        item.with_bytes(|bytes| result.insert(bytes, score, limits));
    }
    result
}

/// What ZRANGESTORE needs of a source on another shard: the range alone. What is no sorted set is shown as a number.
pub(crate) fn zrangestore_source(shard: &mut Shard, db: usize, args: &Args<'_>) -> Option<Owned> {
    let wanted = Wanted::parse(args, STORED).ok()?;
    let limits = shard.settings.zset_pack;
    let zset = match shard.read(db, Key::new(&args[2]), false)? {
        View::Boxed(value) => value.as_zset(),
        _ => None,
    };
    Some(zset.map_or(Owned::Int(0), |zset| Owned::Boxed(Box::new(Value::Zset(cut_out(zset, &wanted, limits))))))
}

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`.
pub(crate) fn zrangestore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let limits = limits(ctx);
    let result = Wanted::parse(args, STORED).and_then(|wanted| {
        let is_cut = ctx.foreign(ctx.db, &args[2]).is_some();
        let found = source(ctx, &args[2], |zset| if is_cut { zset.clone() } else { cut_out(zset, &wanted, limits) })?;
        Ok(store(ctx, &args[1], found.unwrap_or_default(), "zrangestore"))
    });
    answer(reply, result);
}

fn remove(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(&Zset) -> Range<usize>,
) -> Result<i64, Refusal> {
    let removed = edit(ctx, Key::new(&args[1]), event, |zset| {
        let ranks = ranks(zset);
        let count = ranks.len();
        if count == zset.len() {
            // The key goes: its members are freed in steps.
            return (After::Emptied, count);
        }
        zset.remove_ranks(ranks);
        (After::of(count > 0), count)
    })?;
    ctx.shard.changed_many(removed.unwrap_or(0));
    Ok(removed.unwrap_or(0) as i64)
}

/// `ZREMRANGEBYRANK key start stop`.
pub(crate) fn zremrangebyrank(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let result = match (parse_i64(&args[2]), parse_i64(&args[3])) {
        (Some(start), Some(stop)) => {
            remove(ctx, args, "zremrangebyrank", |zset| bounds::ranks(start, stop, zset.len()))
        }
        _ => Err(errors::NOT_INTEGER),
    };
    answer(reply, result);
}

/// `ZREMRANGEBYSCORE key min max`.
pub(crate) fn zremrangebyscore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let result = bounds::scores(&args[2], &args[3])
        .and_then(|range| remove(ctx, args, "zremrangebyscore", |zset| zset.score_ranks(&range)));
    answer(reply, result);
}

/// `ZREMRANGEBYLEX key min max`.
pub(crate) fn zremrangebylex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let result = bounds::members(&args[2], &args[3])
        .and_then(|range| remove(ctx, args, "zremrangebylex", |zset| zset.lex_ranks(&range, false)));
    answer(reply, result);
}

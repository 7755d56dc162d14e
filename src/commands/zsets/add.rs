//! ZADD, ZINCRBY and ZREM: members come, change their scores and go.

use crate::base::text::parse_f64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::zsets::{After, Refusal, answer, edit, limits};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Change;
use crate::types::hash::PackLimits;
use crate::types::table::{Current, Key};
use crate::types::value::{NewValue, Value};
use crate::types::zset::Zset;
use smallvec::SmallVec;

const NX_WITH_XX: Refusal = "ERR XX and NX options at the same time are not compatible";
const NX_WITH_GT: Refusal = "ERR GT, LT, and/or NX options at the same time are not compatible";
const INCR_SEVERAL: Refusal = "ERR INCR option supports a single increment-element pair";
const SUM_IS_NAN: Refusal = "ERR resulting score is not a number (NaN)";

/// The options of ZADD.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    ch: bool,
    incr: bool,
}

impl Wanted {
    /// The options, and the index of the first score.
    fn parse(args: &Args<'_>) -> Result<(Self, usize), Refusal> {
        let mut wanted = Wanted::default();
        let mut at = 2;
        while let Some(word) = args.get(at) {
            // No score has two letters that are one of these.
            let option = match word {
                [b'n' | b'N', b'x' | b'X'] => &mut wanted.nx,
                [b'x' | b'X', b'x' | b'X'] => &mut wanted.xx,
                [b'g' | b'G', b't' | b'T'] => &mut wanted.gt,
                [b'l' | b'L', b't' | b'T'] => &mut wanted.lt,
                [b'c' | b'C', b'h' | b'H'] => &mut wanted.ch,
                word if word.eq_ignore_ascii_case(b"incr") => &mut wanted.incr,
                _ => break,
            };
            *option = true;
            at += 1;
        }
        let rest = args.len() - at;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(errors::SYNTAX);
        }
        if wanted.nx && wanted.xx {
            return Err(NX_WITH_XX);
        }
        if [wanted.gt, wanted.lt, wanted.nx].into_iter().filter(|set| *set).count() > 1 {
            return Err(NX_WITH_GT);
        }
        if wanted.incr && rest > 2 {
            return Err(INCR_SEVERAL);
        }
        Ok((wanted, at))
    }
}

/// What ZADD did.
#[derive(Debug, Default)]
struct Done {
    added: i64,
    updated: i64,
    /// The score that INCR left, unless an option forbade it.
    score: Option<f64>,
    is_nan: bool,
}

impl Done {
    /// Adds or changes one member as the options say.
    #[inline]
    fn apply(&mut self, zset: &mut Zset, member: &[u8], given: f64, wanted: &Wanted, limits: PackLimits) {
        zset.upsert(member, limits, |old| {
            let Some(old) = old else {
                if wanted.xx {
                    return None;
                }
                self.added += 1;
                self.score = Some(given);
                return self.score;
            };
            if wanted.nx {
                return None;
            }
            let score = if wanted.incr { old + given } else { given };
            if score.is_nan() {
                self.is_nan = true;
                return None;
            }
            if (wanted.lt && score >= old) || (wanted.gt && score <= old) {
                return None;
            }
            self.score = Some(score);
            let changes = score != old;
            self.updated += i64::from(changes);
            changes.then_some(score)
        });
    }
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`.
pub(crate) fn zadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let result = Wanted::parse(args).and_then(|(wanted, first)| add(ctx, args, wanted, first, reply));
    answer(reply, result);
}

/// `ZINCRBY key increment member`.
pub(crate) fn zincrby(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let wanted = Wanted { incr: true, ..Wanted::default() };
    // what ZADD takes for an option is one here, and nothing is left to be the increment
    let is_option = [&b"nx"[..], b"xx", b"gt", b"lt", b"ch", b"incr"].iter().any(|o| args[2].eq_ignore_ascii_case(o));
    let result = if is_option { Err(errors::SYNTAX) } else { add(ctx, args, wanted, 2, reply) };
    answer(reply, result);
}

fn add(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    wanted: Wanted,
    first: usize,
    reply: &mut Reply<'_>,
) -> Result<(), Refusal> {
    let mut pairs = Pairs::new();
    for at in (first..args.len()).step_by(2) {
        pairs.push((parse_f64(&args[at]).ok_or(errors::NOT_FLOAT)?, at + 1));
    }
    apply(ctx, args, wanted, &pairs, reply)
}

/// Scores, each with the index of its member.
type Pairs = SmallVec<[(f64, usize); 16]>;

/// ZADD with these scores, each for the member at an argument (GEOADD); `options` are NX, XX and CH.
pub(crate) fn zadd_pairs(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    options: [bool; 3],
    pairs: impl Iterator<Item = (f64, usize)>,
    reply: &mut Reply<'_>,
) {
    let [nx, xx, ch] = options;
    let result = apply(ctx, args, Wanted { nx, xx, ch, ..Wanted::default() }, &pairs.collect(), reply);
    answer(reply, result);
}

fn apply(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    wanted: Wanted,
    pairs: &Pairs,
    reply: &mut Reply<'_>,
) -> Result<(), Refusal> {
    let limits = limits(ctx);
    let key = ctx.first_key(&args[1]);
    let fill = |zset: &mut Zset| {
        let mut done = Done::default();
        for (score, member) in pairs {
            done.apply(zset, &args[*member], *score, &wanted, limits);
        }
        done
    };
    let done = ctx.shard.update(ctx.db, key, |current| match current {
        None if wanted.xx => Ok((Change::Nothing, Done::default())),
        None => {
            let mut zset = Zset::new();
            let done = fill(&mut zset);
            Ok((Change::Replace(NewValue::Boxed(Box::new(Value::Zset(zset)))), done))
        }
        Some(Current::Boxed(value)) => {
            let done = fill(value.as_zset_mut().ok_or(errors::WRONGTYPE)?);
            Ok((if done.added + done.updated > 0 { Change::InPlace } else { Change::Nothing }, done))
        }
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE),
    })?;
    if done.added + done.updated > 0 {
        ctx.shard.changed_many((done.added + done.updated) as usize);
        let event = if wanted.incr { "zincr" } else { "zadd" };
        ctx.shard.events.happen(class::SORTED_SET, event, ctx.db, key.bytes);
        ctx.shard.events.ready(ctx.db, key.bytes);
    }
    match (wanted.incr, done.score) {
        _ if done.is_nan => return Err(SUM_IS_NAN),
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) => reply.integer(done.added + if wanted.ch { done.updated } else { 0 }),
    }
    Ok(())
}

/// `ZREM key member [member ...]`.
pub(crate) fn zrem(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = Key::new(&args[1]);
    let removed = edit(ctx, key, "zrem", |zset| {
        let removed = args.from(2).filter(|member| zset.remove(member).is_some()).count();
        (After::of(removed > 0), removed)
    });
    ctx.shard.changed_many(removed.unwrap_or_default().unwrap_or(0));
    answer(reply, removed.map(|removed| removed.unwrap_or(0) as i64));
}

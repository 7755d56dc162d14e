//! ZUNION, ZINTER, ZDIFF with their STORE forms, and ZINTERCARD. Plain sets count as sorted ones whose scores are 1.

use crate::base::text::{parse_f64, parse_i64};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::zsets::{Refusal, limits, member, store};
use crate::resp::reply::{Proto, Reply};
use crate::types::hash::PackLimits;
use crate::types::listpack::Item;
use crate::types::set::Set;
use crate::types::table::Key;
use crate::types::value::{Owned, Value, View};
use crate::types::zset::Zset;
use smallvec::SmallVec;

const NOT_WEIGHT: Refusal = "ERR weight value is not a float";
const LIMIT_NEGATIVE: Refusal = "ERR LIMIT can't be negative";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
}

/// How the scores of a member that several inputs have become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum => number(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// Infinity less infinity, and zero times infinity, count as 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What a command says by its name.
#[derive(Debug, Clone, Copy)]
struct Form {
    op: Op,
    name: &'static str,
    /// Index of the number of keys.
    count: usize,
    only_counts: bool,
}

#[derive(Debug)]
struct Wanted {
    weights: SmallVec<[f64; 8]>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// One of the sorted sets; a plain set is one too.
#[derive(Debug, Clone, Copy)]
enum Input<'a> {
    Missing,
    Zset(&'a Zset),
    Set(&'a Set),
}

impl<'a> Input<'a> {
    fn of(value: Option<&'a Value>) -> Result<Self, Refusal> {
        match value {
            None => Ok(Input::Missing),
            Some(Value::Zset(zset)) => Ok(Input::Zset(zset)),
            Some(Value::Set(set)) => Ok(Input::Set(set)),
            Some(_) => Err(errors::WRONGTYPE),
        }
    }

    fn len(&self) -> usize {
        match self {
            Input::Missing => 0,
            Input::Zset(zset) => zset.len(),
            Input::Set(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Input::Missing => None,
            Input::Zset(zset) => zset.score(member),
            Input::Set(set) => set.contains(Item::Str(member)).then_some(1.0),
        }
    }

    /// Visits members with their scores until `visit` answers false.
    fn each(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        match self {
            Input::Missing => {}
            Input::Zset(zset) => {
                zset.iter().all(|(item, score)| item.with_bytes(|bytes| visit(bytes, score)));
            }
            Input::Set(set) => {
                set.iter().all(|item| item.with_bytes(|bytes| visit(bytes, 1.0)));
            }
        }
    }
}

fn keys(args: &Args<'_>, form: Form) -> Result<usize, Refusal> {
    let keys = parse_i64(&args[form.count]).ok_or(errors::NOT_INTEGER)?;
    if keys < 1 {
        return Err(""); // told by the caller, who knows the command's name
    }
    usize::try_from(keys).ok().filter(|keys| *keys < args.len() - form.count).ok_or(errors::SYNTAX)
}

impl Wanted {
    fn parse(args: &Args<'_>, form: Form, keys: usize) -> Result<Self, Refusal> {
        let weights = SmallVec::from_elem(1.0, keys);
        let mut wanted = Wanted { weights, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        let weighs = form.op != Op::Diff && !form.only_counts;
        let mut at = form.count + 1 + keys;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let rest = args.len() - at;
            if weighs && rest > keys && is("weights") {
                for weight in &mut wanted.weights {
                    at += 1;
                    *weight = parse_f64(&args[at]).ok_or(NOT_WEIGHT)?;
                }
            } else if weighs && rest >= 2 && is("aggregate") {
                at += 1;
                wanted.aggregate = match args[at].to_ascii_lowercase().as_slice() {
                    b"sum" => Aggregate::Sum,
                    b"min" => Aggregate::Min,
                    b"max" => Aggregate::Max,
                    _ => return Err(errors::SYNTAX),
                };
            } else if form.count == 1 && !form.only_counts && is("withscores") {
                wanted.with_scores = true;
            } else if form.only_counts && rest >= 2 && is("limit") {
                at += 1;
                let limit = parse_i64(&args[at]).and_then(|limit| usize::try_from(limit).ok());
                wanted.limit = limit.ok_or(LIMIT_NEGATIVE)?;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        Ok(wanted)
    }
}

/// Runs `f` on the inputs and the options; the type of every key is checked before the options are read.
fn with_inputs<R>(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    form: Form,
    f: impl FnOnce(&[Input<'_>], &Wanted) -> R,
) -> Result<R, Refusal> {
    let keys = keys(args, form)?;
    let names = || (form.count + 1..=form.count + keys).map(|at| &args[at]);
    for name in names() {
        if !ctx.foreign.iter().any(|foreign| foreign.db == ctx.db && foreign.key == name) {
            ctx.shard.read(ctx.db, Key::new(name), ctx.no_touch);
        }
    }
    let ctx = &*ctx;
    let mut inputs = SmallVec::<[Input<'_>; 8]>::new();
    for name in names() {
        let foreign = ctx.foreign.iter().find(|foreign| foreign.db == ctx.db && foreign.key == name);
        inputs.push(match foreign {
            Some(foreign) => match &foreign.found {
                None => Input::Missing,
                Some((Owned::Boxed(value), _)) => Input::of(Some(value))?,
                Some(_) => return Err(errors::WRONGTYPE),
            },
            // What was due has been removed above.
            None => match ctx.shard.tables[ctx.db].find(Key::new(name)).map(|entry| entry.value) {
                None => Input::Missing,
                Some(View::Boxed(value)) => Input::of(Some(value))?,
                Some(_) => return Err(errors::WRONGTYPE),
            },
        });
    }
    let wanted = Wanted::parse(args, form, keys)?;
    Ok(f(&inputs, &wanted))
}

/// The inputs with their weights, the smallest first, so that the sums are added up in Redis's order.
fn by_size<'a>(inputs: &[Input<'a>], wanted: &Wanted) -> SmallVec<[(Input<'a>, f64); 8]> {
    let mut sorted: SmallVec<[_; 8]> = inputs.iter().copied().zip(wanted.weights.iter().copied()).collect();
    sorted.sort_by_key(|(input, _)| input.len());
    sorted
}

fn combine(op: Op, inputs: &[Input<'_>], wanted: &Wanted, limits: PackLimits) -> Zset {
    let mut result = Zset::new();
    match op {
        Op::Union => {
            for (input, weight) in by_size(inputs, wanted) {
                input.each(|member, score| {
                    let score = number(score * weight);
                    result
                        .upsert(member, limits, |old| Some(old.map_or(score, |old| wanted.aggregate.join(old, score))));
                    true
                });
            }
        }
        Op::Inter => intersect(inputs, wanted, |member, score| {
            result.insert(member, score, limits);
            true
        }),
        Op::Diff => inputs[0].each(|member, score| {
            if inputs[1..].iter().all(|other| other.score(member).is_none()) {
                result.insert(member, score, limits);
            }
            true
        }),
    }
    result
}

/// Visits the members that all inputs have until `visit` answers false.
fn intersect(inputs: &[Input<'_>], wanted: &Wanted, mut visit: impl FnMut(&[u8], f64) -> bool) {
    let sorted = by_size(inputs, wanted);
    let [(smallest, weight), others @ ..] = sorted.as_slice() else { return };
    smallest.each(|member, score| {
        let mut joined = number(score * weight);
        for (other, weight) in others {
            let Some(score) = other.score(member) else { return true };
            joined = wanted.aggregate.join(joined, score * weight);
        }
        visit(member, joined)
    });
}

fn refuse(reply: &mut Reply<'_>, refusal: Refusal, form: Form) {
    if refusal.is_empty() {
        return reply.error_fmt(format_args!("ERR at least 1 input key is needed for '{}' command", form.name));
    }
    reply.error(refusal);
}

fn answer(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, op: Op, name: &'static str) {
    let form = Form { op, name, count: 1, only_counts: false };
    let limits = limits(ctx);
    let found = with_inputs(ctx, args, form, |inputs, wanted| {
        let zset = combine(op, inputs, wanted, limits);
        let pairs = wanted.with_scores && reply.proto == Proto::Resp3;
        reply.array(if wanted.with_scores && !pairs { 2 * zset.len() } else { zset.len() });
        for (item, score) in zset.iter() {
            if pairs {
                reply.array(2);
            }
            member(reply, item);
            if wanted.with_scores {
                reply.double(score);
            }
        }
    });
    if let Err(refusal) = found {
        refuse(reply, refusal, form);
    }
}

fn keep(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, op: Op, name: &'static str) {
    let form = Form { op, name, count: 2, only_counts: false };
    let limits = limits(ctx);
    match with_inputs(ctx, args, form, |inputs, wanted| combine(op, inputs, wanted, limits)) {
        Ok(zset) => reply.integer(store(ctx, &args[1], zset, name)),
        Err(refusal) => refuse(reply, refusal, form),
    }
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`.
pub(crate) fn zunion(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer(ctx, args, reply, Op::Union, "zunion");
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`.
pub(crate) fn zinter(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer(ctx, args, reply, Op::Inter, "zinter");
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`.
pub(crate) fn zdiff(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    answer(ctx, args, reply, Op::Diff, "zdiff");
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX]`.
pub(crate) fn zunionstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    keep(ctx, args, reply, Op::Union, "zunionstore");
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX]`.
pub(crate) fn zinterstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    keep(ctx, args, reply, Op::Inter, "zinterstore");
}

/// `ZDIFFSTORE destination numkeys key [key ...]`.
pub(crate) fn zdiffstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    keep(ctx, args, reply, Op::Diff, "zdiffstore");
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`.
pub(crate) fn zintercard(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let form = Form { op: Op::Inter, name: "zintercard", count: 1, only_counts: true };
    let count = with_inputs(ctx, args, form, |inputs, wanted| {
        let mut count = 0;
        intersect(inputs, wanted, |_, _| {
            count += 1;
            count != wanted.limit
        });
        count
    });
    match count {
        Ok(count) => reply.integer(count as i64),
        Err(refusal) => refuse(reply, refusal, form),
    }
}

//! The commands of vector sets, which Redis 8 ships as a module: how the family's keys are read and changed, and how
//! its arguments are read. The table is at the end. Never looks at a value of another type but to refuse it.
//!
//! Redis gives these commands no arity: they count their arguments themselves, and name themselves in capitals when
//! they refuse. They tell no keyspace events of their own.

mod add;
mod members;
mod similar;

use crate::base::limits::VECTOR_DIM_MAX;
use crate::base::text::{parse_f64, parse_i64};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::flags::key::{ACCESS, RW, UPDATE};
use crate::commands::spec::flag::{DENYOOM, FAST, MODULE, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan};
use crate::resp::reply::Reply;
use crate::shard::keyspace::Change;
use crate::types::table::{Current, Key};
use crate::types::value::View;
use crate::types::vector::VectorSet;
use add::vadd;
use members::{vcard, vdim, vemb, vgetattr, vinfo, vismember, vlinks, vrandmember, vrem, vsetattr};
use similar::{LOOKS, vsim};
use std::borrow::Cow;

/// Why a command of this family does nothing.
#[derive(Debug)]
enum Refused {
    /// With this text.
    Text(Cow<'static, [u8]>),
    /// It has too few arguments, or too many.
    Arity,
}

impl From<&'static str> for Refused {
    fn from(text: &'static str) -> Self {
        Refused::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Refused::Text(Cow::Owned(text.into_bytes()))
    }
}

/// Answers what a command refused, if it did.
fn finish(name: &str, done: Result<(), Refused>, reply: &mut Reply<'_>) {
    match done {
        Ok(()) => {}
        Err(Refused::Text(text)) => reply.error_bytes(&text),
        Err(Refused::Arity) => errors::wrong_arity(name, reply),
    }
}

/// The vector set at `key`, for a read; `None` if the key is absent.
fn read<'c>(ctx: &'c mut Context<'_>, key: Key<'_>) -> Result<Option<&'c VectorSet>, Refused> {
    match ctx.shard.read(ctx.db, key, ctx.no_touch) {
        None => Ok(None),
        Some(View::Boxed(value)) => value.as_vectors().ok_or(errors::WRONGTYPE.into()).map(Some),
        Some(_) => Err(errors::WRONGTYPE.into()),
    }
}

/// Changes the vector set at `key`, if there is one: `change` says whether it did. Removes it if that left it empty.
fn edit(ctx: &mut Context<'_>, key: Key<'_>, change: impl FnOnce(&mut VectorSet) -> bool) -> Result<bool, Refused> {
    let (changed, emptied) = ctx.shard.update(ctx.db, key, |current| match current {
        None => Ok((Change::Nothing, (false, false))),
        Some(Current::Inline(_)) => Err(Refused::from(errors::WRONGTYPE)),
        Some(Current::Boxed(value)) => {
            let set = value.as_vectors_mut().ok_or(Refused::from(errors::WRONGTYPE))?;
            let changed = change(set);
            Ok((if changed { Change::InPlace } else { Change::Nothing }, (changed, set.is_empty())))
        }
    })?;
    if emptied {
        let dirty = ctx.shard.dirty;
        ctx.shard.remove(ctx.db, key);
        ctx.shard.dirty = dirty;
    }
    Ok(changed)
}

const NO_VECTOR: &str = "ERR invalid vector specification";

/// A vector in a client's words: `FP32 blob` or `VALUES count value ...` from argument `at` on, and the argument after.
fn vector_at(args: &Args<'_>, at: usize) -> Result<(Vec<f32>, usize), Refused> {
    let refused = || Refused::from(NO_VECTOR);
    let (form, first) = args.get(at).zip(args.get(at + 1)).ok_or_else(refused)?;
    if form.eq_ignore_ascii_case(b"fp32") {
        let (parts, rest) = first.as_chunks::<4>();
        if !rest.is_empty() || parts.is_empty() || parts.len() > VECTOR_DIM_MAX {
            return Err(refused());
        }
        return Ok((parts.iter().map(|part| f32::from_le_bytes(*part)).collect(), at + 2));
    }
    if !form.eq_ignore_ascii_case(b"values") {
        return Err(refused());
    }
    let dim = parse_i64(first).and_then(|dim| usize::try_from(dim).ok()).ok_or_else(refused)?;
    let end = at + 2 + dim.min(VECTOR_DIM_MAX);
    if dim == 0 || dim > VECTOR_DIM_MAX || end > args.len() {
        return Err(refused());
    }
    let component = |text: &[u8]| parse_f64(text).map(|x| x as f32);
    let vector: Option<Vec<f32>> = (at + 2..end).map(|i| component(&args[i])).collect();
    Ok((vector.ok_or_else(refused)?, end))
}

/// Vectors that do not have the dimension of the set's.
fn mismatch(got: usize, has: usize) -> Refused {
    format!("ERR Vector dimension mismatch - got {got} but set has {has}").into()
}

/// Vectors that do not have the dimension that the set reduces.
fn input_mismatch(got: usize, expects: usize) -> Refused {
    format!("ERR Input dimension mismatch for projection - got {got} but projection expects {expects}").into()
}

/// As Redis declares the key of every module command that says nothing about it.
const KEY: &[KeySpec] = &[KeySpec::one(RW | ACCESS | UPDATE, 1)];

const fn spec(name: &'static str, plan: Plan) -> CommandSpec {
    CommandSpec::new(name, -2, Group::Module, "8.0.0", plan).key_specs(KEY)
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    spec("vadd", Plan::OneShard(vadd)).flags(WRITE | DENYOOM | MODULE).docs(
        "Adds an element with its vector to a vector set, or gives it another vector.",
        "O(log(N)) with N the elements",
        "key#0 [REDUCE dim:int] vector=(FP32 blob|values={VALUES count:int value:double...}) element [CAS] \
         [quantization=(NOQUANT|Q8|BIN)] [EF exploration:int] [SETATTR attributes] [M links:int]",
    ),
    spec("vcard", Plan::OneShard(vcard)).flags(READONLY | FAST | MODULE).docs(
        "Returns the number of elements of a vector set.",
        "O(1)",
        "key#0",
    ),
    spec("vdim", Plan::OneShard(vdim)).flags(READONLY | FAST | MODULE).docs(
        "Returns how many components the vectors of a vector set have.",
        "O(1)",
        "key#0",
    ),
    spec("vemb", Plan::OneShard(vemb)).flags(READONLY | FAST | MODULE).docs(
        "Returns the vector of an element.",
        "O(D) with D the components",
        "key#0 element [RAW]",
    ),
    spec("vgetattr", Plan::OneShard(vgetattr)).flags(READONLY | FAST | MODULE).docs(
        "Returns the attributes of an element.",
        "O(1)",
        "key#0 element",
    ),
    spec("vinfo", Plan::OneShard(vinfo)).flags(READONLY | FAST | MODULE).docs(
        "Describes a vector set and its graph.",
        "O(1)",
        "key#0",
    ),
    spec("vismember", Plan::OneShard(vismember)).flags(READONLY | MODULE).docs(
        "Tells whether something is an element of a vector set.",
        "O(1)",
        "key#0 element",
    ),
    spec("vlinks", Plan::OneShard(vlinks)).flags(READONLY | FAST | MODULE).docs(
        "Returns the neighbours of an element on each layer of the graph.",
        "O(1)",
        "key#0 element [WITHSCORES]",
    ),
    spec("vrandmember", Plan::OneShard(vrandmember)).flags(READONLY | MODULE).docs(
        "Returns elements drawn at random.",
        "O(N) with N the count",
        "key#0 [count:int]",
    ),
    spec("vrem", Plan::OneShard(vrem)).flags(WRITE | MODULE).docs(
        "Removes an element from a vector set.",
        "O(log(N)) with N the elements",
        "key#0 element",
    ),
    spec("vsetattr", Plan::OneShard(vsetattr)).flags(WRITE | FAST | MODULE).docs(
        "Sets the attributes of an element, or takes them away.",
        "O(1)",
        "key#0 element json",
    ),
    spec("vsim", Plan::TwoPhase { run: vsim, home: 1 }).flags(READONLY | MODULE).looks(&LOOKS).docs(
        "Returns the elements whose vectors are nearest to a vector, or to that of an element.",
        "O(log(N)) with N the elements",
        "key#0 vector=(ELE element|FP32 blob|values={VALUES count:int value:double...}) [WITHSCORES] [WITHATTRIBS] \
         [COUNT count:int] [EPSILON distance:double] [EF exploration:int] [FILTER expression] \
         [FILTER-EF effort:int] [TRUTH] [NOTHREAD]",
    ),
];

#[cfg(test)]
#[path = "vectors_tests.rs"]
mod tests;

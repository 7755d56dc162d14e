//! VADD. Its own words stand in the journal: adding the same again gives the same elements, if not the same graph.

use super::{Refused, finish, input_mismatch, mismatch, vector_at};
use crate::base::limits::{VECTOR_DIM_MAX, VECTOR_EF_KEPT_MAX, VECTOR_EF_MAX, VECTOR_LINKS, VECTOR_PROJECTION_MAX};
use crate::base::text::parse_i64;
use crate::base::thin::Thin;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::keyspace::Change;
use crate::types::table::Current;
use crate::types::value::{NewValue, Value};
use crate::types::vector::{Quant, Shape, VectorSet};

const EF_DEFAULT: usize = 200;
const LINKS_DEFAULT: usize = 16;

/// What stands behind the element.
#[derive(Debug)]
struct Options<'a> {
    quant: Quant,
    ef: usize,
    links: usize,
    attributes: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &'a Args<'_>, from: usize) -> Result<Self, Refused> {
        let mut options = Options { quant: Quant::Q8, ef: EF_DEFAULT, links: LINKS_DEFAULT, attributes: None };
        let mut i = from;
        while let Some(word) = args.get(i) {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let quant = [("noquant", Quant::F32), ("bin", Quant::Bin), ("q8", Quant::Q8)];
            let quant = quant.iter().find(|(name, _)| is(name.as_bytes()));
            match (quant, args.get(i + 1)) {
                // CAS lets Redis search in a thread; here a command never leaves its shard.
                _ if is(b"cas") => {}
                (Some((_, quant)), _) => options.quant = *quant,
                (_, Some(value)) if is(b"ef") => {
                    let ef = parse_i64(value).filter(|ef| (1..=VECTOR_EF_MAX).contains(ef)).ok_or("ERR invalid EF")?;
                    options.ef = (ef as usize).min(VECTOR_EF_KEPT_MAX);
                    i += 1;
                }
                (_, Some(value)) if is(b"m") => {
                    let links = parse_i64(value).filter(|links| VECTOR_LINKS.contains(links));
                    options.links = links.ok_or("ERR invalid M")? as usize;
                    i += 1;
                }
                (_, Some(value)) if is(b"setattr") => {
                    options.attributes = Some(value);
                    i += 1;
                }
                _ => return Err("ERR invalid option after element".into()),
            }
            i += 1;
        }
        Ok(options)
    }
}

/// `VADD key [REDUCE dim] FP32 blob|VALUES count value ... element [CAS] [NOQUANT|Q8|BIN] [EF ef] [SETATTR json]
/// [M links]`
pub(super) fn vadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let done = vadd_checked(ctx, args).map(|added| reply.boolean(added));
    finish("VADD", done, reply);
}

fn vadd_checked(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<bool, Refused> {
    if args.len() < 5 {
        return Err(Refused::Arity);
    }
    let (reduced, at) = reduction(args)?;
    let (vector, at) = vector_at(args, at)?;
    let element = args.get(at).ok_or(Refused::Arity)?;
    if reduced.is_some_and(|dim| dim * vector.len() > VECTOR_PROJECTION_MAX) {
        return Err(super::NO_VECTOR.into());
    }
    let options = Options::parse(args, at + 1)?;
    let (key, seed) = (ctx.first_key(&args[1]), ctx.shard.random_u64());
    let input = reduced.map(|_| vector.len());
    let shape = Shape { dim: reduced.unwrap_or(vector.len()), quant: options.quant, links: options.links, input };
    ctx.shard.update(ctx.db, key, |current| match current {
        None => {
            let mut set = VectorSet::new(shape, seed);
            let vector = set.reduce(&vector);
            set.add(element, vector, options.attributes.filter(|text| !text.is_empty()), options.ef);
            Ok((Change::Replace(NewValue::Boxed(Box::new(Value::Vectors(Thin::new(set))))), true))
        }
        Some(Current::Inline(_)) => Err(errors::WRONGTYPE.into()),
        Some(Current::Boxed(value)) => {
            let set = value.as_vectors_mut().ok_or(Refused::from(errors::WRONGTYPE))?;
            check_shape(set.shape(), &shape, vector.len(), reduced)?;
            let vector = set.reduce(&vector);
            Ok((Change::InPlace, set.add(element, vector, options.attributes, options.ef)))
        }
    })
}

/// `REDUCE dim`, and the argument after it.
fn reduction(args: &Args<'_>) -> Result<(Option<usize>, usize), Refused> {
    if !args[2].eq_ignore_ascii_case(b"reduce") {
        return Ok((None, 2));
    }
    let dim = parse_i64(&args[3]).and_then(|dim| usize::try_from(dim).ok());
    let dim = dim.filter(|dim| (1..=VECTOR_DIM_MAX).contains(dim)).ok_or(super::NO_VECTOR)?;
    Ok((Some(dim), 4))
}

/// Whether an element of shape `new`, its vector having `got` components, may join a set of shape `set`.
fn check_shape(set: &Shape, new: &Shape, got: usize, reduced: Option<usize>) -> Result<(), Refused> {
    if set.quant != new.quant {
        return Err("ERR asked quantization mismatch with existing vector set".into());
    }
    if set.links != new.links {
        return Err("ERR asked M value mismatch with existing vector set".into());
    }
    let fits = if set.input.is_some() { reduced == Some(set.dim) } else { got == set.dim };
    if !fits {
        return Err(mismatch(got, set.dim));
    }
    match (set.input, reduced) {
        (None, Some(_)) => Err("ERR cannot add projection to existing set without projection".into()),
        (Some(input), _) if got != input => Err(input_mismatch(got, input)),
        _ => Ok(()),
    }
}

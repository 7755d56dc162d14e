//! VSIM: the elements nearest to a vector. Bounded in what it keeps and visits, but for TRUTH and for a COUNT that is
//! as good as all: those look at each element once, and at those of a large set in steps before the command runs.

use super::{Refused, finish, input_mismatch, mismatch, read, vector_at};
use crate::base::limits::{VECTOR_EF_KEPT_MAX, VECTOR_EF_MAX, VECTOR_FILTER_BYTES_MAX, VECTOR_FILTER_STEPS_MAX};
use crate::base::text::{parse_f64, parse_i64};
use crate::commands::args::Args;
use crate::commands::context::{Context, Foreign, Looks};
use crate::resp::reply::{Proto, Reply};
use crate::types::table::Key;
use crate::types::value::{Owned, Value, View};
use crate::types::vector::filter::Filter;
use crate::types::vector::look::Looked;
use crate::types::vector::{Found, VectorSet, Way};

const COUNT_DEFAULT: usize = 10;
const EF_DEFAULT: usize = 100;
/// Elements that a search with FILTER may follow for each that is wanted, unless FILTER-EF says otherwise.
const STEPS_PER_ELEMENT: usize = 100;
/// Elements of a set that a command looks at by itself, however many it wants.
const LOOKED_AT_ONCE: usize = 1024;
/// Distances are at most 1, in the measure of EPSILON.
const EPSILON_DEFAULT: f32 = 2.0;

/// What stands behind the vector.
#[derive(Debug)]
struct Options {
    scores: bool,
    attributes: bool,
    count: usize,
    ef: usize,
    epsilon: f32,
    filter: Option<Filter>,
    filter_ef: Option<usize>,
    truth: bool,
}

impl Options {
    fn parse(args: &Args<'_>, from: usize) -> Result<Self, Refused> {
        let mut options = Options {
            scores: false,
            attributes: false,
            count: COUNT_DEFAULT,
            ef: EF_DEFAULT,
            epsilon: EPSILON_DEFAULT,
            filter: None,
            filter_ef: None,
            truth: false,
        };
        let mut i = from;
        while let Some(word) = args.get(i) {
            i += 1 + options.take(&word.to_ascii_lowercase(), args.get(i + 1))?;
        }
        Ok(options)
    }

    /// Takes an option, and answers how many arguments more than its name it has.
    fn take(&mut self, word: &[u8], value: Option<&[u8]>) -> Result<usize, Refused> {
        let positive = |value: &[u8]| parse_i64(value).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        match (word, value) {
            (b"withscores", _) => self.scores = true,
            (b"withattribs", _) => self.attributes = true,
            (b"truth", _) => self.truth = true,
            // Redis searches in a thread unless told not to; here a command never leaves its shard.
            (b"nothread", _) => {}
            (b"count", Some(value)) => self.count = positive(value).ok_or("ERR invalid COUNT")?,
            (b"epsilon", Some(value)) => {
                let epsilon = parse_f64(value).filter(|epsilon| *epsilon > 0.0);
                self.epsilon = epsilon.ok_or("ERR invalid EPSILON")? as f32;
            }
            (b"ef", Some(value)) => {
                let ef = positive(value).filter(|ef| *ef as i64 <= VECTOR_EF_MAX).ok_or("ERR invalid EF")?;
                self.ef = ef.min(VECTOR_EF_KEPT_MAX);
            }
            (b"filter-ef", Some(value)) => self.filter_ef = Some(positive(value).ok_or("ERR invalid FILTER-EF")?),
            (b"filter", Some(value)) => self.filter = Some(compile(value)?),
            _ => return Err("ERR syntax error in VSIM command".into()),
        }
        let alone = matches!(word, b"withscores" | b"withattribs" | b"truth" | b"nothread");
        Ok(if alone { 0 } else { 1 })
    }

    /// How to search a set of `len` elements.
    fn way(&self, len: usize) -> Way {
        let count = self.count.min(len);
        // Following links to so many costs more than looking at all.
        if self.truth || count > VECTOR_EF_KEPT_MAX {
            return Way::All { count };
        }
        let steps = self.filter_ef.unwrap_or(self.count.saturating_mul(STEPS_PER_ELEMENT));
        let steps_max = if self.filter.is_some() { steps.min(VECTOR_FILTER_STEPS_MAX) } else { usize::MAX };
        Way::Graph { ef: self.ef.min(len).max(count), steps_max }
    }
}

fn compile(text: &[u8]) -> Result<Filter, Refused> {
    if text.len() > VECTOR_FILTER_BYTES_MAX {
        return Err("ERR FILTER expression is too long".into());
    }
    Filter::compile(text).map_err(|unclear| {
        let near = text[unclear.at..].split(|byte| *byte == 0).next().unwrap_or_default();
        Refused::Text([b"ERR syntax error in FILTER expression near: ", near].concat().into())
    })
}

/// `VSIM key ELE element|FP32 blob|VALUES count value ... [WITHSCORES] [WITHATTRIBS] [COUNT count] [EPSILON distance]
/// [EF ef] [FILTER expression] [FILTER-EF steps] [TRUTH] [NOTHREAD]`
pub(super) fn vsim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let done = vsim_checked(ctx, args, reply);
    finish("VSIM", done, reply);
}

/// See [`Looks`]. The words are looked at as if each could be an option: what is none costs a look at the set.
pub(super) static LOOKS: Looks = Looks {
    does: |args| {
        let count = |at| args.get(at).and_then(parse_i64).is_some_and(|count| count > VECTOR_EF_KEPT_MAX as i64);
        let all = |at: usize| {
            let word = &args[at];
            word.eq_ignore_ascii_case(b"truth") || word.eq_ignore_ascii_case(b"count") && count(at + 1)
        };
        (4..args.len()).any(all)
    },
    begin: |shard, db, args| {
        let View::Boxed(value) = shard.peek(db, Key::new(&args[1]))?.value else { return None };
        let set = value.as_vectors().filter(|set| set.len() > LOOKED_AT_ONCE)?;
        let (vector, at) = query(set, args).ok()?;
        let options = Options::parse(args, at).ok()?;
        match options.way(set.len()) {
            Way::All { count } => Some(set.begin_look(vector, count, options.filter)),
            Way::Graph { .. } => None,
        }
    },
};

/// What a look before the command found.
fn found_before(fetched: &mut Foreign) -> Option<Looked> {
    let (Owned::Boxed(found), _) = fetched.found.take()? else { return None };
    match &*found {
        Value::Str(bytes) => Some(Looked::from_bytes(bytes)),
        _ => None,
    }
}

fn vsim_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refused> {
    if args.len() < 4 {
        return Err(Refused::Arity);
    }
    let key = ctx.first_key(&args[1]);
    let looked = ctx.foreign(ctx.db, key.bytes).and_then(found_before);
    let Some(set) = read(ctx, key)? else {
        reply.array(0);
        return Ok(());
    };
    let (vector, at) = query(set, args)?;
    let options = Options::parse(args, at)?;
    let accept = |attributes: Option<&[u8]>| Filter::passes(options.filter.as_ref(), attributes);
    let found: Vec<Found<'_>> = match looked {
        Some(looked) => set.looked(looked).collect(),
        None => set.search(vector, options.way(set.len()), accept).collect(),
    };
    // What is no number is not too far: elements with such vectors are shown, as Redis shows them.
    let near = |found: &Found<'_>| found.distance.is_nan() || found.distance / 2.0 <= options.epsilon;
    let found = found.into_iter().take(options.count).take_while(near);
    answer(found, &options, reply);
    Ok(())
}

/// The vector to search for, in the set's dimension, and the argument after it.
fn query(set: &VectorSet, args: &Args<'_>) -> Result<(Vec<f32>, usize), Refused> {
    if args[2].eq_ignore_ascii_case(b"ele") {
        let vector = set.vector(&args[3]).ok_or("ERR element not found in set")?;
        return Ok((vector, 4));
    }
    let (vector, at) = vector_at(args, 2)?;
    let dim = set.shape().dim;
    match set.shape().input {
        _ if vector.len() == dim => Ok((vector, at)),
        Some(input) if vector.len() == input => Ok((set.reduce(&vector), at)),
        Some(input) => Err(input_mismatch(vector.len(), input)),
        None => Err(mismatch(vector.len(), dim)),
    }
}

fn answer<'s>(found: impl Iterator<Item = Found<'s>>, options: &Options, reply: &mut Reply<'_>) {
    let with = usize::from(options.scores) + usize::from(options.attributes);
    let map = reply.proto == Proto::Resp3 && with > 0;
    let later = reply.array_later();
    let mut count = 0;
    for element in found {
        count += 1;
        reply.bulk(element.name);
        if map && with > 1 {
            reply.array(with);
        }
        if options.scores {
            reply.double(1.0 - f64::from(element.distance) / 2.0);
        }
        if options.attributes {
            match element.attributes {
                Some(attributes) => reply.bulk(attributes),
                None => reply.null(),
            }
        }
    }
    if map {
        reply.set_map_len(later, count);
    } else {
        reply.set_array_len(later, count * (1 + with));
    }
}

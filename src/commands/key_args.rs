//! Finds the keys among a command's arguments from its key specifications. Never looks a key up.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys, KeyFlags, KeyShape, KeySpec, key};
use smallvec::SmallVec;

/// The arguments do not have the form that the key specifications describe (a count beyond their end ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKeys;

/// Where one key of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyArg {
    /// Argument index.
    pub index: usize,
    /// What the command does to it, bits of [`key`].
    pub flags: KeyFlags,
}

/// How a call with keys in several places is cut into parts: head, units of a key and what belongs to it, tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCut {
    /// Argument index of the first key: the first unit's begin.
    pub first: usize,
    /// End of the last unit; what follows are options that every part repeats. Beyond the arguments if the last unit
    /// is not complete (MSET with a key too many).
    pub end: usize,
    /// Arguments per unit: 1 for a key, 2 for a key and its value.
    pub step: usize,
    /// Index of the argument that counts the keys.
    pub count_at: Option<usize>,
}

/// Keys that one specification found: every `step` arguments from `first` to `last`, both included.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: usize,
    last: usize,
    step: usize,
    flags: KeyFlags,
    count_at: Option<usize>,
}

/// The keys of one call, in the order of the specifications.
#[derive(Debug, Clone, Default)]
pub struct KeyArgs {
    runs: SmallVec<[Run; 2]>,
    run: usize,
    next: Option<usize>,
}

impl Iterator for KeyArgs {
    type Item = KeyArg;

    fn next(&mut self) -> Option<KeyArg> {
        let run = self.runs.get(self.run)?;
        let index = self.next.unwrap_or(run.first);
        let following = index + run.step;
        if following > run.last {
            self.run += 1;
            self.next = None;
        } else {
            self.next = Some(following);
        }
        Some(KeyArg { index, flags: run.flags })
    }
}

impl CommandSpec {
    /// The keys among `args`, which the command's arity accepts.
    pub fn key_args(&self, args: &Args<'_>) -> Result<KeyArgs, InvalidKeys> {
        let mut found = KeyArgs::default();
        if let Some(keys) = self.keys_fn {
            let run =
                |key: KeyArg| Run { first: key.index, last: key.index, step: 1, flags: key.flags, count_at: None };
            found.runs.extend(keys(args).into_iter().map(run));
            return if found.runs.is_empty() { Err(InvalidKeys) } else { Ok(found) };
        }
        for spec in self.key_specs.iter().filter(|s| s.flags & key::NOT_KEY == 0) {
            let Some(mut run) = resolve(spec, args) else {
                if !found.runs.is_empty() && self.accepts(args.len()) && is_left_out(spec, args) {
                    continue;
                }
                return Err(InvalidKeys);
            };
            if let (true, Some(flags)) = (spec.flags & key::VARIABLE_FLAGS != 0, self.key_flags) {
                run.flags = flags(args);
            }
            found.runs.push(run);
        }
        Ok(found)
    }

    /// Argument indices of the keys; none if the arguments are not in order (the command's function then says so).
    pub fn key_indices(&self, args: &Args<'_>) -> impl Iterator<Item = usize> + use<> {
        self.key_args(args).unwrap_or_default().map(|key| key.index)
    }

    /// Argument index of the first key. Costs nothing for a command with one key.
    #[inline]
    pub fn first_key(&self, args: &Args<'_>) -> Option<usize> {
        match self.key_shape {
            KeyShape::None => None,
            KeyShape::One(index) => (index < args.len()).then_some(index),
            KeyShape::Many => self.key_indices(args).next(),
        }
    }

    /// How a call is cut into parts, for commands whose keys are one run. `None` if the arguments are not in order.
    pub fn key_cut(&self, args: &Args<'_>) -> Option<KeyCut> {
        let [spec] = self.key_specs else { return None };
        let run = resolve(spec, args)?;
        let end = run.last - (run.last - run.first) % run.step + run.step;
        Some(KeyCut { first: run.first, end, step: run.step, count_at: run.count_at })
    }
}

/// Whether the keys of a specification, all up to the end or behind a keyword, are none: the sources of PFMERGE, the
/// destination of GEORADIUS.
fn is_left_out(spec: &KeySpec, args: &Args<'_>) -> bool {
    let index = match spec.begin {
        BeginSearch::Index(index) => index,
        BeginSearch::Keyword { word, from } => return after_keyword(args, word, from).is_none(),
        BeginSearch::Unknown => return false,
    };
    matches!(spec.find, FindKeys::Range { last: ..0, .. }) && usize::try_from(index) == Ok(args.len())
}

/// The keys that one specification finds.
fn resolve(spec: &KeySpec, args: &Args<'_>) -> Option<Run> {
    let len = args.len() as i64;
    let begin = match spec.begin {
        BeginSearch::Unknown => return None,
        BeginSearch::Index(index) => i64::from(index),
        BeginSearch::Keyword { word, from } => after_keyword(args, word, from)?,
    };
    let (first, last, step, count_at) = match spec.find {
        FindKeys::Unknown => return None,
        FindKeys::Range { last, step, limit } => {
            let (last, limit) = (i64::from(last), i64::from(limit));
            let last = match (last, limit) {
                (0.., _) => begin + last,
                (_, 0..=1) => len + last,
                _ => begin + (len - begin) / limit + last,
            };
            (begin, last, step, None)
        }
        FindKeys::KeyNum { count, first, step } => {
            let count_at = begin + i64::from(count);
            let keys = parse_i64(args.get(usize::try_from(count_at).ok()?)?)?;
            // None at all is a form of its own: EVAL takes it, others refuse it themselves.
            let begin = begin + i64::from(first);
            let span = keys.checked_sub(1)?.checked_mul(i64::from(step))?;
            (begin, begin.checked_add(span)?, step, Some(count_at as usize))
        }
    };
    let fits = 0 < first && first <= last && last < len && step > 0;
    fits.then_some(Run { first: first as usize, last: last as usize, step: step as usize, flags: spec.flags, count_at })
}

/// Index of the argument after `word`, searched from `from` on, or backwards from the end if that is negative.
fn after_keyword(args: &Args<'_>, word: &str, from: i16) -> Option<i64> {
    let len = args.len() as i64;
    let matches = |at: &i64| args[*at as usize].eq_ignore_ascii_case(word.as_bytes());
    let at = if from >= 0 {
        (i64::from(from).max(1)..len).find(matches)
    } else {
        (1..=len + i64::from(from)).rev().find(matches)
    };
    at.map(|at| at + 1)
}

#[cfg(test)]
#[path = "key_args_tests.rs"]
mod tests;

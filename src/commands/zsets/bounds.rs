//! The ends of ranges as clients write them: `(1.5`, `-inf`, `[member`, `+`. Never looks at a set.

use crate::base::text;
use crate::commands::zsets::Refusal;
use crate::types::zset::{LexBound, LexRange, ScoreRange};

const NOT_SCORES: Refusal = "ERR min or max is not a float";
const NOT_MEMBERS: Refusal = "ERR min or max not valid string range item";

/// A number as Redis 8 and Valkey 9 read it: decimal, the whole text or up to a zero byte. Nothing at all is 0, what is
/// beyond a double's range is infinite or 0. No NaN, no blanks, no hexadecimal digits.
fn lenient(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    if end == 0 {
        return Some(0.0);
    }
    let text = &text[..end];
    let infinite = text.iter().all(|byte| byte.is_ascii_alphabetic() || b"+-".contains(byte));
    if infinite {
        return text::parse_f64(text);
    }
    let plain = text.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

fn score(text: &[u8]) -> Result<(f64, bool), Refusal> {
    let (number, excluded) = match text {
        [b'(', number @ ..] => (number, true),
        number => (number, false),
    };
    lenient(number).map(|value| (value, excluded)).ok_or(NOT_SCORES)
}

/// `min max`, each with `(` in front if it is to be left out.
pub(crate) fn scores(min: &[u8], max: &[u8]) -> Result<ScoreRange, Refusal> {
    let ((min, min_excluded), (max, max_excluded)) = (score(min)?, score(max)?);
    Ok(ScoreRange { min, min_excluded, max, max_excluded })
}

fn member(text: &[u8]) -> Result<LexBound<'_>, Refusal> {
    match text {
        b"-" => Ok(LexBound::Least),
        b"+" => Ok(LexBound::Most),
        [b'[', member @ ..] => Ok(LexBound::Included(member)),
        [b'(', member @ ..] => Ok(LexBound::Excluded(member)),
        _ => Err(NOT_MEMBERS),
    }
}

/// `min max`, each `-`, `+`, or a member behind `[` or `(`.
pub(crate) fn members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Refusal> {
    Ok(LexRange { min: member(min)?, max: member(max)? })
}

/// The ranks that `start stop` mean in a set of `len` members, negative ones counted from the end; empty if none.
pub(crate) fn ranks(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let start = if start < 0 { start.saturating_add(len).max(0) } else { start };
    let stop = if stop < 0 { stop.saturating_add(len) } else { stop.min(len - 1) };
    if start > stop || start >= len { 0..0 } else { start as usize..stop as usize + 1 }
}

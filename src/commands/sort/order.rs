//! The order that SORT puts elements in. Never looks at a key.

use super::options::Options;
use crate::base::text::parse_f64;
use std::cmp::Ordering;

/// An element that is no number where one is needed.
pub(crate) const NOT_A_NUMBER: &str = "ERR One or more scores can't be converted into double";

/// Sorts `elements`, by `weights` (one each, if there is BY) or by themselves; answers their indices in order.
pub(crate) fn sorted(
    elements: &[Vec<u8>],
    weights: Option<&[Option<Vec<u8>>]>,
    options: &Options<'_>,
) -> Result<Vec<usize>, &'static str> {
    let mut order: Vec<usize> = (0..elements.len()).collect();
    let turned = |ordering: Ordering| if options.descending { ordering.reverse() } else { ordering };
    if options.alpha {
        match weights {
            // What is not there comes first.
            Some(weights) => order.sort_by(|a, b| turned(weights[*a].cmp(&weights[*b]))),
            None => order.sort_by(|a, b| turned(elements[*a].cmp(&elements[*b]))),
        }
        return Ok(order);
    }
    let number = |index: usize| match weights {
        Some(weights) => weights[index].as_deref().map_or(Some(0.0), number_of),
        None => number_of(&elements[index]),
    };
    let scores: Option<Vec<f64>> = (0..elements.len()).map(number).collect();
    let scores = scores.ok_or(NOT_A_NUMBER)?;
    let compare = |a: &usize, b: &usize| {
        let by_score = scores[*a].partial_cmp(&scores[*b]).unwrap_or(Ordering::Equal);
        turned(by_score.then_with(|| elements[*a].cmp(&elements[*b])))
    };
    order.sort_by(compare);
    Ok(order)
}

/// A number as C's `strtod` takes it: blanks in front, nothing behind; nothing at all is 0.
fn number_of(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let start = text.iter().position(|byte| !blank(byte))?;
    parse_f64(&text[start..])
}

//! The rounds of SORT: from the replies so far to the next questions, or the outcome. Pure.
//!
//! ```text
//! 0  TYPE key
//! 1  LRANGE, SMEMBERS or ZRANGE: the elements
//! 2  GET or HGET for each element            with BY a pattern that has a `*`
//! 3  GET or HGET for each element shown      with GET patterns that have one
//! ```

use super::Words;
use super::options::{Options, has_star, question};
use super::order::sorted;
use crate::commands::errors;

/// What is shown for each element and GET pattern.
pub(crate) type Rows = Vec<Option<Vec<u8>>>;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Run these.
    Ask(Words),
    /// An error.
    Refuse(&'static str),
    /// The answer.
    Rows(Rows),
    /// The list to be stored, and where.
    Store(Vec<u8>, Rows),
}

/// The next round of a call; `done` has the RESP2 replies of those before.
pub(crate) fn next(args: &[Vec<u8>], done: &[Vec<Vec<u8>>], read_only: bool) -> Next {
    match step(args, done, read_only) {
        Ok(next) => next,
        Err(refusal) => Next::Refuse(refusal),
    }
}

fn step(args: &[Vec<u8>], done: &[Vec<Vec<u8>>], read_only: bool) -> Result<Next, &'static str> {
    let mut options = Options::parse(args, read_only)?;
    let key = &args[1];
    let [kind, done @ ..] = done else { return Ok(Next::Ask(vec![vec![b"TYPE".to_vec(), key.clone()]])) };
    let kind = kind[0].as_slice();
    let everything = match kind {
        b"+list\r\n" => words(&[b"LRANGE", key, b"0", b"-1"]),
        b"+set\r\n" => words(&[b"SMEMBERS", key]),
        b"+zset\r\n" if options.unsorted && options.descending => words(&[b"ZRANGE", key, b"0", b"-1", b"REV"]),
        b"+zset\r\n" => words(&[b"ZRANGE", key, b"0", b"-1"]),
        b"+none\r\n" => Vec::new(),
        _ => return Err(errors::WRONGTYPE),
    };
    if options.unsorted && kind == b"+set\r\n" && options.store.is_some() {
        // What is stored must not depend on the order that a set happens to have.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    if options.unsorted {
        options.by = None;
    }
    let (elements, mut done) = match (everything.is_empty(), done) {
        (true, done) => (Vec::new(), done),
        (false, []) => return Ok(Next::Ask(vec![everything])),
        (false, [elements, done @ ..]) => (list(&elements[0]), done),
    };
    let mut weights = None;
    if let Some(by) = options.by.filter(|_| !elements.is_empty()) {
        let [replies, rest @ ..] = done else {
            return Ok(Next::Ask(elements.iter().filter_map(|element| question(by, element)).collect()));
        };
        weights = Some(replies.iter().map(|reply| bulk(reply)).collect::<Rows>());
        done = rest;
    }
    let order = match options.unsorted {
        true => (0..elements.len()).collect(),
        false => sorted(&elements, weights.as_deref(), &options)?,
    };
    let (first, count) = options.part(elements.len());
    let shown = order[first..first + count].iter().map(|index| &elements[*index]);
    let Some(rows) = rows(shown, &options, done) else {
        let questions = |element: &Vec<u8>| options.get.iter().filter_map(|p| question(p, element)).collect::<Vec<_>>();
        return Ok(Next::Ask(
            order[first..first + count].iter().flat_map(|index| questions(&elements[*index])).collect(),
        ));
    };
    Ok(match options.store {
        Some(target) => Next::Store(target.to_vec(), rows),
        None => Next::Rows(rows),
    })
}

/// What is shown; `None` if GET patterns have to be looked up first.
fn rows<'a>(shown: impl Iterator<Item = &'a Vec<u8>>, options: &Options<'_>, done: &[Vec<Vec<u8>>]) -> Option<Rows> {
    if options.get.is_empty() {
        return Some(shown.cloned().map(Some).collect());
    }
    let mut shown = shown.peekable();
    let looks_up = options.get.iter().any(|pattern| has_star(pattern)) && shown.peek().is_some();
    let mut answers = match (looks_up, done.first()) {
        (true, None) => return None,
        (true, Some(replies)) => replies.iter(),
        (false, _) => [].iter(),
    };
    let mut rows = Rows::new();
    for element in shown {
        for pattern in &options.get {
            rows.push(match *pattern {
                b"#" => Some(element.clone()),
                pattern if has_star(pattern) => answers.next().and_then(|reply| bulk(reply)),
                _ => None,
            });
        }
    }
    Some(rows)
}

/// Whether the last of `done` is the round that stored the list.
pub(crate) fn has_stored(args: &[Vec<u8>], done: &[Vec<Vec<u8>>], read_only: bool) -> bool {
    let before = done.len().saturating_sub(1);
    matches!(next(args, &done[..before], read_only), Next::Store(..))
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// A RESP2 string; `None` for null and for anything else (a key of another type).
fn bulk(reply: &[u8]) -> Option<Vec<u8>> {
    if reply.first() != Some(&b'$') {
        return None;
    }
    take(&mut &*reply)
}

/// A RESP2 array of strings.
fn list(reply: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = reply;
    if length(&mut rest).is_none() {
        return Vec::new();
    }
    std::iter::from_fn(|| take(&mut rest)).collect()
}

/// Takes one string off the front.
fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let len = length(rest)?;
    let (payload, after) = rest.split_at_checked(len)?;
    *rest = after.get(2..)?;
    Some(payload.to_vec())
}

/// Takes a header line off the front: the length it tells.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    let number = std::str::from_utf8(rest.get(1..end)?).ok()?.parse().ok()?;
    *rest = rest.get(end + 2..)?;
    Some(number)
}

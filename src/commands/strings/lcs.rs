//! LCS: the longest common subsequence of two strings, by the textbook table of prefix lengths (Wagner and Fischer,
//! 1974). Never builds a table beyond what `proto-max-bulk-len` allows a string.

use super::{Refusal, hold, refuse_short};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use std::ops::Range;

const NOT_STRINGS: Refusal = "ERR The specified keys must contain string values";
const BOTH: Refusal = "ERR If you want both the length and indexes, please just use IDX.";
const TOO_LARGE: Refusal = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";

#[derive(Debug, Default)]
struct Wanted {
    len: bool,
    index: bool,
    match_len_min: i64,
    with_match_len: bool,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::default();
        let mut index = 3;
        while index < args.len() {
            let word = &args[index];
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("idx") {
                wanted.index = true;
            } else if is("len") {
                wanted.len = true;
            } else if is("withmatchlen") {
                wanted.with_match_len = true;
            } else if is("minmatchlen") && index + 1 < args.len() {
                index += 1;
                wanted.match_len_min = parse_i64(&args[index]).ok_or(errors::NOT_INTEGER)?.max(0);
            } else {
                return Err(errors::SYNTAX);
            }
            index += 1;
        }
        if wanted.len && wanted.index { Err(BOTH) } else { Ok(wanted) }
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]`
pub(crate) fn lcs(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if args.len() < 3 {
        return refuse_short(args, reply);
    }
    if let Err(refusal) = lcs_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn lcs_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let a = hold(ctx, &args[1]).map_err(|_| NOT_STRINGS)?;
    let b = hold(ctx, &args[2]).map_err(|_| NOT_STRINGS)?;
    let wanted = Wanted::parse(args)?;
    let cells = (a.len() + 1).checked_mul(b.len() + 1);
    if cells.and_then(|cells| cells.checked_mul(size_of::<u32>())).is_none_or(|bytes| bytes > ctx.bulk_bytes_max) {
        return Err(TOO_LARGE);
    }
    if wanted.len {
        reply.integer(length(&a, &b) as i64);
        return Ok(());
    }
    let table = Lengths::new(&a, &b);
    if !wanted.index {
        reply.bulk(&common(&table, &a, &b));
        return Ok(());
    }
    answer_index(&wanted, &table, &a, &b, reply);
    Ok(())
}

/// The length alone: two rows of the table do.
fn length(a: &[u8], b: &[u8]) -> u32 {
    let mut above = vec![0_u32; b.len() + 1];
    let mut row = above.clone();
    for &byte in a {
        fill_row(byte, b, &above, &mut row);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

/// One row of the table from the one above it.
fn fill_row(byte: u8, b: &[u8], above: &[u32], row: &mut [u32]) {
    let mut left = 0;
    for (j, &other) in b.iter().enumerate() {
        left = if byte == other { above[j] + 1 } else { left.max(above[j + 1]) };
        row[j + 1] = left;
    }
}

/// `at(i, j)`: the length for the first `i` bytes of one string and the first `j` of the other.
struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

impl Lengths {
    fn new(a: &[u8], b: &[u8]) -> Lengths {
        let width = b.len() + 1;
        let mut cells = vec![0_u32; (a.len() + 1) * width];
        for (i, &byte) in a.iter().enumerate() {
            let (done, rest) = cells.split_at_mut((i + 1) * width);
            fill_row(byte, b, &done[i * width..], &mut rest[..width]);
        }
        Lengths { cells, width }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// Walks back from the end through the pairs of positions that match, last first. Where two ways are equally
    /// long it gives up the second string's byte, as Redis does.
    fn walk_back(&self, a: &[u8], b: &[u8], mut visit: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1;
                j -= 1;
                visit(i, j);
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
}

/// The subsequence itself.
fn common(table: &Lengths, a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(table.at(a.len(), b.len()) as usize);
    table.walk_back(a, b, |i, _| bytes.push(a[i]));
    bytes.reverse();
    bytes
}

/// The runs of matching bytes as ranges of both strings, last first.
fn runs(table: &Lengths, a: &[u8], b: &[u8]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut runs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    table.walk_back(a, b, |i, j| match runs.last_mut() {
        Some((in_a, in_b)) if in_a.start == i + 1 && in_b.start == j + 1 => {
            in_a.start = i;
            in_b.start = j;
        }
        _ => runs.push((i..i + 1, j..j + 1)),
    });
    runs
}

fn answer_index(wanted: &Wanted, table: &Lengths, a: &[u8], b: &[u8], reply: &mut Reply<'_>) {
    let mut runs = runs(table, a, b);
    runs.retain(|(in_a, _)| in_a.len() as i64 >= wanted.match_len_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(runs.len());
    for (in_a, in_b) in &runs {
        reply.array(if wanted.with_match_len { 3 } else { 2 });
        for range in [in_a, in_b] {
            reply.array(2);
            reply.integer(range.start as i64);
            reply.integer(range.end as i64 - 1);
        }
        if wanted.with_match_len {
            reply.integer(in_a.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.at(a.len(), b.len())));
}

#[cfg(test)]
#[path = "lcs_tests.rs"]
mod tests;

//! Reading the logs of a run back: which blocks are whole, which transactions, and then the commands, once. Never
//! changes a file.

use crate::persist::aof::block::{self, Block, Broken, DIRECT_ALIGN, Place};
use crate::persist::aof::cut::{Part, survivors};
use crate::persist::aof::folder::{Folder, SegmentId};
use crate::persist::aof::manifest::Set;
use crate::persist::aof::pieces::{self, Pieces};
use crate::persist::aof::record::{self, Record, Words};
use std::fs;
use std::path::PathBuf;
use std::thread;

/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Damage that is no torn tail, or a file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: at byte {offset}: {why}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
    /// The segment that the file is.
    pub segment: SegmentId,
}

/// A tail that was being written when the machine stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub file: PathBuf,
    /// The first byte that is not used.
    pub offset: u64,
}

/// What one run's logs hold.
#[derive(Debug)]
pub struct Scanned {
    /// By shard: how many transactions of its log are kept; `None` keeps the log whole.
    cuts: Vec<Option<usize>>,
    /// Tails that are left out.
    pub torn: Vec<Torn>,
    /// Parts of transactions that are left out, as they are not whole.
    pub cut_parts: usize,
    /// Bytes of whole blocks.
    pub bytes: u64,
    /// By shard: the last segment, and the end of its last whole block.
    pub ends: Vec<(SegmentId, u64)>,
}

/// Told of bytes that were read since the last time; an error stops the reading.
pub type Progress<'p> = dyn Fn(u64) -> Result<(), &'static str> + Sync + 'p;

/// Bytes of the files that [`scan`] reads, with what is reserved in them.
pub fn files_bytes(folder: &Folder, set: &Set) -> u64 {
    let bytes = |id| fs::metadata(folder.segment_path(id)).map_or(0, |data| data.len());
    let of_shard = |shard| {
        let first = SegmentId { set: set.number, shard, number: set.begin(shard).segment };
        bytes(first) + folder.behind(first).map(bytes).sum::<u64>()
    };
    (0..set.shards).map(of_shard).sum()
}

/// Looks through all logs of a run, each on a thread of its own.
pub fn scan(folder: &Folder, set: &Set, progress: &Progress<'_>) -> Result<Scanned, Damage> {
    let mut scanned = Scanned { cuts: Vec::new(), torn: Vec::new(), cut_parts: 0, bytes: 0, ends: Vec::new() };
    let mut logs = Vec::new();
    let mut open_tails = Vec::new();
    let looked: Vec<_> = thread::scope(|scope| {
        let look = |shard| scope.spawn(move || look_through(folder, set, shard, progress));
        let threads: Vec<_> = (0..set.shards).map(look).collect();
        threads.into_iter().map(|thread| thread.join().expect("a log is looked through without a panic")).collect()
    });
    for looked in looked {
        let Looked { walked, parts, has_open_tail } = looked?;
        scanned.torn.extend(walked.torn);
        scanned.bytes += walked.bytes;
        scanned.ends.push(walked.end);
        open_tails.push(has_open_tail);
        logs.push(parts);
    }
    let kept = survivors(&logs);
    for (shard, kept) in kept.into_iter().enumerate() {
        let all = logs[shard].len();
        scanned.cut_parts += all - kept + usize::from(open_tails[shard]);
        // A part whose end is missing follows all whole ones.
        scanned.cuts.push((kept < all || open_tails[shard]).then_some(kept));
    }
    Ok(scanned)
}

/// What one shard's log holds.
struct Looked {
    walked: Walked,
    /// Of transactions, in order.
    parts: Vec<Part>,
    /// Whether one more begins and does not end.
    has_open_tail: bool,
}

fn look_through(folder: &Folder, set: &Set, shard: u16, progress: &Progress<'_>) -> Result<Looked, Damage> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Option<Part> = None;
    let mut visit = |record: Record<'_>| {
        match record {
            Record::Begin { id, shards } => {
                if open.is_some() {
                    return Err("a transaction's part that begins within another");
                }
                open = Some(Part { id, shards });
            }
            Record::End { id } => match open.take() {
                Some(part) if part.id == id => parts.push(part),
                _ => return Err("the end of a transaction's part that did not begin"),
            },
            Record::Command(_) | Record::Piece { .. } | Record::Whole { .. } => {}
        }
        Ok(true)
    };
    let walked = walk(folder, set, shard, &mut visit, progress)?;
    Ok(Looked { walked, parts, has_open_tail: open.is_some() })
}

/// Gives the commands of one shard's log to `run`, in order, as far as `scanned` keeps them; an error of `run` is
/// damage.
pub fn replay(
    folder: &Folder,
    set: &Set,
    shard: u16,
    scanned: &Scanned,
    run: &mut dyn FnMut(&Words<'_>) -> Result<(), &'static str>,
    progress: &Progress<'_>,
) -> Result<(), Damage> {
    let cut = scanned.cuts.get(shard as usize).copied().flatten();
    let (mut parts, mut pieces) = (0, Pieces::default());
    let mut visit = |record: Record<'_>| {
        match record {
            Record::Begin { .. } if cut == Some(parts) => return Ok(false),
            Record::Begin { .. } => parts += 1,
            Record::End { .. } => {}
            Record::Command(words) => run(&words)?,
            Record::Piece { id, number, bytes } => pieces.add(id, number, bytes)?,
            Record::Whole { id, count, words } => {
                let payload = pieces.take(id, count)?;
                run(&pieces::command(&words, &payload))?;
            }
        }
        Ok(true)
    };
    walk(folder, set, shard, &mut visit, progress).map(drop)
}

/// What [`walk`] came across.
#[derive(Debug)]
struct Walked {
    torn: Option<Torn>,
    bytes: u64,
    end: (SegmentId, u64),
}

type Visit<'v> = dyn FnMut(Record<'_>) -> Result<bool, &'static str> + 'v;

/// Visits the records of all whole blocks of a shard's log in order, until `visit` answers false.
fn walk(
    folder: &Folder,
    set: &Set,
    shard: u16,
    visit: &mut Visit<'_>,
    progress: &Progress<'_>,
) -> Result<Walked, Damage> {
    let mut untold = 0;
    let begin = set.begin(shard);
    let mut sequence = begin.sequence;
    let first = SegmentId { set: set.number, shard, number: begin.segment };
    let mut walked = Walked { torn: None, bytes: 0, end: (first, 0) };
    let unreadable = |segment: SegmentId, error: std::io::Error| {
        let file = folder.segment_path(segment);
        Damage { file, offset: 0, why: error.to_string(), segment }
    };
    let mut bytes = fs::read(folder.segment_path(first)).map_err(|error| unreadable(first, error))?;
    for number in begin.segment.. {
        let id = SegmentId { set: set.number, shard, number };
        let file = folder.segment_path(id);
        let damage =
            |offset: usize, why: String| Damage { file: file.clone(), offset: offset as u64, why, segment: id };
        let mut at = 0;
        bytes = loop {
            let expected = Place { epoch: id.epoch(), shard, sequence };
            let (from, block) = match next_block(&bytes, at, expected) {
                Ok(found) => found,
                Err(broken) => {
                    let next = SegmentId { number: number + 1, ..id };
                    let following = match fs::read(folder.segment_path(next)) {
                        Ok(bytes) => bytes,
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                        Err(error) => return Err(unreadable(next, error)),
                    };
                    let there = Place { epoch: next.epoch(), ..expected };
                    if block::read(&following, there).is_ok() {
                        break following;
                    }
                    let later = bytes.get(at..).unwrap_or_default();
                    if block::was_durable(later, expected) || block::was_durable(&following, there) {
                        return Err(damage(at, format!("{broken}, and what was written later is there")));
                    }
                    let is_torn = broken == Broken::Torn;
                    walked.torn = is_torn.then(|| Torn { file: file.clone(), offset: at as u64 });
                    return Ok(walked);
                }
            };
            let mut rest = block.payload;
            loop {
                let before = block.payload.len() - rest.len();
                let wrong = |why: &str| damage(from + block::HEADER_BYTES + before, why.into());
                let Some(record) = record::read(&mut rest).map_err(wrong)? else { break };
                if !visit(record).map_err(wrong)? {
                    return Ok(walked);
                }
            }
            untold += block.bytes as u64;
            if untold >= PROGRESS_BYTES {
                progress(std::mem::take(&mut untold)).map_err(|why| damage(from, why.into()))?;
            }
            sequence += 1;
            walked.bytes += block.bytes as u64;
            at = from + block.bytes;
            walked.end = (id, at as u64);
        };
    }
    Ok(walked)
}

/// The block at `at`, or on the next boundary of direct writes, and where it begins.
fn next_block(bytes: &[u8], at: usize, expected: Place) -> Result<(usize, Block<'_>), Broken> {
    let rest = bytes.get(at..).unwrap_or_default();
    let aligned = at.next_multiple_of(DIRECT_ALIGN);
    match block::read(rest, expected) {
        Ok(block) => Ok((at, block)),
        Err(broken) => match block::read(bytes.get(aligned..).unwrap_or_default(), expected) {
            Ok(block) => Ok((aligned, block)),
            Err(Broken::Torn) => Err(Broken::Torn),
            Err(_) => Err(broken),
        },
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

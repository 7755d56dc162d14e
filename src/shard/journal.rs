//! The journal: what one shard's writes did, in order, as RESP commands that give the same data when they run again.
//! Only gathers; the log takes what was gathered and says what became durable.
//!
//! What is appended in one tick of the core is committed together, whole or not at all; so what runs on one shard in
//! one piece needs no marks around it.
//!
//! The first [`HEAD_BYTES`] of what is gathered are left free, so that the log can put a header there without a copy.

use crate::runtime::aligned::AlignedBuf;
use crate::shard::keyspace::Shard;
use crate::types::rdb::{Flavor, write};
use crate::types::table::{EntryView, Key};
use crate::types::value::View;
use ahash::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Begins a cross-shard transaction's part: its id, then the shards that have a part of it.
pub const BEGIN: &[u8] = b"PINION.BEGIN";
/// Ends the part: the id again.
pub const END: &[u8] = b"PINION.END";
/// A piece of a huge value, and the record that asks for its pieces: see [`crate::shard::recording`].
pub const PIECE: &[u8] = b"PINION.PIECE";
/// See [`PIECE`].
pub const WHOLE: &[u8] = b"PINION.WHOLE";
/// Bytes left free in front of what is gathered.
pub const HEAD_BYTES: usize = 64;
/// Memory that a buffer keeps for its next use.
const KEPT_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Journal {
    gathered: AlignedBuf,
    /// What was gathered when [`Journal::split`] was called, and where it ended.
    before: Option<(AlignedBuf, u64)>,
    /// Database that the last command gathered here was for.
    db: Option<usize>,
    end: u64,
    /// `end`, for other threads.
    seen_end: Arc<AtomicU64>,
    /// The transaction whose part is running, and what it has left so far.
    running: Option<(u64, Part)>,
    /// What parts of transactions have left that still hold their locks here.
    parts: HashMap<u64, Part, RandomState>,
}

/// What a transaction left so far: encoded commands, and the database of the last one.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    db: Option<usize>,
}

/// Where a part of a transaction over several shards stands in the journal: its begin and its end.
pub type Place = (u64, u64);

impl Journal {
    /// Bytes journaled since the start: the position behind the last effect.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Where what is gathered begins, and what was split off before it.
    pub fn position(&self) -> u64 {
        self.end - self.len() as u64
    }

    /// Has `seen_end` follow [`Journal::end`], so that other threads may read it.
    pub fn publish_to(&mut self, seen_end: Arc<AtomicU64>) {
        seen_end.store(self.end, Ordering::Release);
        self.seen_end = seen_end;
    }

    /// Whether nothing was gathered since [`Journal::take`], and nothing was split off.
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.before.is_none()
    }

    /// A snapshot begins here: what was gathered so far goes to the log before it, the rest to the log behind it.
    pub fn split(&mut self) {
        assert!(self.before.is_none(), "one snapshot at a time begins a log");
        self.before = Some((std::mem::take(&mut self.gathered), self.end));
        self.db = None;
    }

    /// Whether something was split off that the log has not taken yet.
    pub fn is_split(&self) -> bool {
        self.before.is_some()
    }

    /// What stands before the split, behind [`HEAD_BYTES`] free ones, or nothing at all, and where it ends; `None` if
    /// there is no split, or it was taken.
    pub fn take_before(&mut self) -> Option<(AlignedBuf, u64)> {
        self.before.take()
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |(bytes, _)| bytes.len());
        self.gathered.len().saturating_sub(HEAD_BYTES) + before.saturating_sub(HEAD_BYTES)
    }

    /// Bytes of memory that it takes, but for transactions that still run.
    pub fn held_bytes(&self) -> usize {
        self.gathered.capacity() + self.before.as_ref().map_or(0, |(bytes, _)| bytes.capacity())
    }

    /// What was gathered, behind [`HEAD_BYTES`] free ones; `spare` is filled next.
    pub fn take(&mut self, mut spare: AlignedBuf) -> AlignedBuf {
        spare.clear(KEPT_BYTES);
        self.db = None;
        std::mem::replace(&mut self.gathered, spare)
    }

    /// Forgets what was gathered: there is no log that would take it.
    pub fn discard(&mut self) {
        self.gathered.clear(KEPT_BYTES);
        (self.before, self.db) = (None, None);
    }

    /// Appends one command; while a transaction's part runs, to that.
    pub fn append<'w>(&mut self, db: usize, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        match &mut self.running {
            Some((_, part)) => {
                if part.db.replace(db) != Some(db) {
                    select(&mut part.bytes, db);
                }
                command(&mut part.bytes, words);
            }
            None => self.append_now(db, words),
        }
    }

    /// Appends one command, whether or not a transaction's part runs.
    pub fn append_now<'w>(&mut self, db: usize, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        let before = self.open();
        if self.db.replace(db) != Some(db) {
            select(&mut self.gathered, db);
        }
        command(&mut self.gathered, words);
        self.note(before);
    }

    /// What is appended from now on belongs to transaction `id`, until [`Journal::leave`]. It is gathered when the
    /// transaction lets go of its locks: until then only it may change the keys that it changes.
    pub fn enter(&mut self, id: u64) {
        assert!(self.running.is_none(), "one part runs at a time");
        self.running = Some((id, self.parts.remove(&id).unwrap_or_default()));
    }

    /// Whether a transaction's part runs.
    pub fn is_entered(&self) -> bool {
        self.running.is_some()
    }

    /// See [`Journal::enter`].
    pub fn leave(&mut self) {
        if let Some((id, part)) = self.running.take()
            && !part.bytes.is_empty()
        {
            self.parts.insert(id, part);
        }
    }

    /// Transaction `id` lets go of its locks here: gathers what it left, between [`BEGIN`] and [`END`] if several
    /// `shards` have a part of it, and answers where that stands. On a shard among those there is a part even if it
    /// is empty: recovery asks for it.
    pub fn release(&mut self, id: u64, own: u16, shards: &[u16]) -> Option<Place> {
        let part = self.parts.remove(&id);
        let marked = shards.len() > 1 && shards.contains(&own);
        if part.is_none() && !marked {
            return None;
        }
        let (bytes, db) = part.map_or((Vec::new(), self.db), |part| (part.bytes, part.db));
        let before = self.open();
        if marked {
            begin(&mut self.gathered, id, shards);
        }
        self.gathered.extend_from_slice(&bytes);
        self.db = db;
        if marked {
            finish(&mut self.gathered, id);
        }
        let start = self.end;
        self.note(before);
        marked.then_some((start, self.end))
    }

    /// Makes room for a header, where nothing is gathered yet; bytes gathered so far.
    fn open(&mut self) -> usize {
        if self.gathered.is_empty() {
            self.gathered.resize(HEAD_BYTES);
        }
        self.gathered.len()
    }

    fn note(&mut self, before: usize) {
        self.end += (self.gathered.len() - before) as u64;
        self.seen_end.store(self.end, Ordering::Release);
    }
}

/// A buffer that records are written to.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for AlignedBuf {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

fn select(sink: &mut impl Sink, db: usize) {
    command(sink, [b"SELECT", itoa::Buffer::new().format(db).as_bytes()].into_iter());
}

fn begin(sink: &mut impl Sink, id: u64, shards: &[u16]) {
    let texts: Vec<String> = std::iter::once(id.to_string()).chain(shards.iter().map(u16::to_string)).collect();
    let words: Vec<&[u8]> = std::iter::once(BEGIN).chain(texts.iter().map(|text| text.as_bytes())).collect();
    command(sink, words.into_iter());
}

fn finish(sink: &mut impl Sink, id: u64) {
    command(sink, [END, itoa::Buffer::new().format(id).as_bytes()].into_iter());
}

fn command<'w>(sink: &mut impl Sink, words: impl ExactSizeIterator<Item = &'w [u8]>) {
    number(sink, b'*', words.len());
    for word in words {
        number(sink, b'$', word.len());
        sink.put(word);
        sink.put(b"\r\n");
    }
}

fn number(sink: &mut impl Sink, sign: u8, number: usize) {
    let mut digits = itoa::Buffer::new();
    sink.put(&[sign]);
    sink.put(digits.format(number).as_bytes());
    sink.put(b"\r\n");
}

/// What a command did, on its way to the journal. To be used while `events.journaled` is set.
impl Shard {
    /// Journals keys and fields that went because they were due, or were evicted. Before a command, so that what it
    /// does stands behind; never within a transaction's part, whose commands it does not belong to.
    pub fn record_due(&mut self) {
        if self.events.due.is_empty() && self.events.due_fields.is_empty() {
            return;
        }
        for (db, key) in self.events.due.drain(..) {
            self.journal.append_now(db, [b"DEL", &key[..]].into_iter());
        }
        for (db, words) in self.events.due_fields.drain(..) {
            self.journal.append_now(db, words.iter().map(Vec::as_slice));
        }
    }

    /// Journals a key as it is now: its whole value with its expiry, or that it is not there. A huge value of a
    /// transaction's part goes in steps: see [`Shard::begun_recordings`].
    pub fn record_key(&mut self, db: usize, name: &[u8]) {
        if !(self.journal.is_entered() && self.begin_recording(db, name)) {
            self.record_at_once(db, name);
        }
    }

    pub(super) fn record_at_once(&mut self, db: usize, name: &[u8]) {
        let found = self.peek(db, Key::new(name));
        if let Some(EntryView { value: View::Str { bytes, raw: true }, expire_ms, .. }) = &found
            && !bytes.is_empty()
        {
            // as RESTORE would not keep it: in an object of its own, however short
            let (bytes, expire_ms) = (bytes.to_vec(), *expire_ms);
            self.journal.append(db, [b"DEL", name].into_iter());
            self.journal.append(db, [b"SETRANGE", name, b"0", &bytes].into_iter());
            if let Some(at) = expire_ms {
                let mut digits = itoa::Buffer::new();
                self.journal.append(db, [b"PEXPIREAT", name, digits.format(at).as_bytes()].into_iter());
            }
            return;
        }
        let state = found.map(|entry| (write::payload(entry.value, Flavor::Redis), entry.expire_ms));
        let Some((payload, expire_ms)) = state else {
            return self.journal.append(db, [b"DEL", name].into_iter());
        };
        let mut digits = itoa::Buffer::new();
        let at = digits.format(expire_ms.unwrap_or(0)).as_bytes();
        let words: [&[u8]; 6] = [b"RESTORE", name, at, &payload, b"REPLACE", b"ABSTTL"];
        self.journal.append(db, words.into_iter());
    }

    /// Journals the command that just ran on `db`: the effects it left, or else `words` if it changed anything, that
    /// is if `dirty` is no longer `dirty_before`.
    pub fn record<'w>(&mut self, db: usize, dirty_before: u64, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        self.record_due();
        match self.events.effects.take() {
            Some(effects) => {
                for effect in &effects {
                    self.journal.append(db, effect.iter().map(Vec::as_slice));
                }
            }
            None if self.dirty != dirty_before => self.journal.append(db, words),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn gathers_commands_behind_room_for_a_header() {
        let mut journal = Journal::default();
        assert!(journal.is_empty());
        journal.append(0, words("SET k v").into_iter());
        journal.append(0, words("DEL k").into_iter());
        journal.append(3, words("DEL k").into_iter());
        journal.release(77, 5, &[0, 5]);
        let expected = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n\
             *2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n\
             *4\r\n$12\r\nPINION.BEGIN\r\n$2\r\n77\r\n$1\r\n0\r\n$1\r\n5\r\n*2\r\n$10\r\nPINION.END\r\n$2\r\n77\r\n";
        assert_eq!((journal.len(), journal.end()), (expected.len(), expected.len() as u64));
        let taken = journal.take(AlignedBuf::default());
        assert_eq!(String::from_utf8_lossy(&taken[HEAD_BYTES..]), expected);
        assert!(journal.is_empty());
        // A block is read on its own: the database is told again.
        journal.append(3, words("DEL k").into_iter());
        let again = journal.take(taken);
        assert!(again[HEAD_BYTES..].starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"));
        assert_eq!(journal.end(), expected.len() as u64 + again.len() as u64 - HEAD_BYTES as u64);
    }

    #[test]
    fn a_part_stands_where_its_locks_were_released() {
        let mut journal = Journal::default();
        let seen = Arc::new(AtomicU64::new(9));
        journal.publish_to(seen.clone());
        journal.enter(7);
        journal.append(1, words("SET a 1").into_iter());
        journal.append_now(1, words("DEL due").into_iter());
        journal.leave();
        journal.append(1, words("SET b 1").into_iter());
        journal.enter(7);
        journal.append(1, words("SET a 2").into_iter());
        journal.leave();
        let before = journal.end();
        assert_eq!(journal.release(7, 0, &[0, 2]), Some((before, journal.end())));
        journal.append(1, words("SET c 1").into_iter());
        // one shard alone needs no marks; an attempt that was given up leaves nothing
        journal.enter(8);
        journal.append(1, words("SET d 1").into_iter());
        journal.leave();
        assert_eq!((journal.release(8, 0, &[]), journal.release(9, 0, &[])), (None, None));
        assert_eq!(seen.load(Ordering::Acquire), journal.end());
        let taken = journal.take(AlignedBuf::default());
        let text = String::from_utf8_lossy(&taken[HEAD_BYTES..]).into_owned();
        let plain: Vec<&str> = text.split("\r\n").filter(|w| !w.starts_with(['*', '$'])).collect();
        let expected = "SELECT 1 DEL due SET b 1 PINION.BEGIN 7 0 2 SELECT 1 SET a 1 SET a 2 PINION.END 7 SET c 1 \
             SELECT 1 SET d 1 ";
        assert_eq!(plain.join(" "), expected);
    }
}

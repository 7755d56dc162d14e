//! Writing a table as it was at one moment while it goes on changing: a walk in small steps, and the old state of what
//! is about to change, written before the change. Never waits, never opens a file: bytes gather until they are taken.
//!
//! The table is cut into groups: the entries of one segment whose tags agree in their first bits, one or two each. A
//! group is written whole, once: by the walk when it comes by, or by the first change to any of its entries. A bit per
//! group says that it is done, which takes a sixteenth of a byte per entry while the walk lasts.
//!
//! - Before [`Walk::position`] everything is done; segments from there on have their bits in [`Walk::marks`].
//! - Tags never change, so the bits stay true when a segment's index is rebuilt or its log is moved. A segment that
//!   splits leaves its bits to both halves. No segments merge while a walk is under way.
//! - A key that was not there at the cut goes into a group that is done: whoever inserts has it written first.
//!
//! - A value of some size ([`long`]) is written in steps of its own and handed out part by part; a change to it has the
//!   rest written at once, unless who wants to change it has it written first and waits.
//!
//! Rejected: a bit or an epoch in every entry (bytes that are never given back), whole segments (half a millisecond for
//! the write that comes first), a list of the keys that changed (it grows with the writes).

mod long;

use super::index::TAGS;
use super::pool::Pool;
use super::segment::Segment;
use super::{EntryView, Key, Table};
use crate::base::limits::SNAPSHOT_PART_BYTES;
use crate::types::rdb::write::Writer;
use crate::types::rdb::{Attributes, Flavor, VERSION_MIN};
use long::Long;
use std::collections::VecDeque;

/// Groups of a segment.
const GROUPS: u32 = 2048;
const GROUP_TAGS: u32 = TAGS / GROUPS;
const WORDS: usize = GROUPS as usize / 64;
/// Groups whose entries are brought into the cache together. Each would be a miss of its own.
const GROUPS_AHEAD: u32 = 16;

type Marks = [u64; WORDS];
/// What an entry's access bits say of its use, for the file.
pub type Describe = Box<dyn Fn(u16) -> Attributes + Send>;

/// How a table is written.
pub struct WalkTerms {
    /// The number its entries are written under, whatever place the table has later.
    pub db: usize,
    /// `rdbcompression`.
    pub compress: bool,
    /// Whose form is used where Redis and Valkey differ.
    pub flavor: Flavor,
    /// What is written of an entry's use; `None`: nothing.
    pub describe: Option<Describe>,
}

impl WalkTerms {
    /// What the file says of an entry beside its value.
    pub(super) fn attributes(&self, entry: &EntryView<'_>) -> Attributes {
        let used = self.describe.as_ref().map_or(Attributes::default(), |describe| describe(entry.access));
        Attributes { expire_ms: entry.expire_ms, ..used }
    }

    /// What writes so.
    pub(super) fn writer(&self) -> Writer {
        Writer { compress: self.compress, flavor: self.flavor, ..Writer::default() }
    }
}

/// Bytes that were written and what they hold.
#[derive(Debug, Default)]
pub struct Written {
    /// Entries as they stand in a file, behind the number of their database; or a part of one.
    pub bytes: Vec<u8>,
    /// An entry ends in what is taken next.
    pub goes_on: bool,
    /// Entries that end in it.
    pub entries: u64,
    /// The version that they need.
    pub version: u16,
}

/// See the module.
pub(super) struct Walk {
    /// Where the first segment begins that is not done.
    position: u64,
    /// Its first group that may not be done.
    group: u32,
    /// Nothing is left.
    done: bool,
    /// By segment; `None`: no group is done.
    marks: Vec<Option<Box<Marks>>>,
    writer: Writer,
    entries: u64,
    version: u16,
    terms: WalkTerms,
    /// The large value that was handed out in part.
    open: Option<Long>,
    /// Those that are being written after it, one after the other.
    longs: VecDeque<Long>,
    /// Those that are written, to be taken.
    whole: VecDeque<Long>,
}

/// The group of a position in its segment.
fn group(pool: &Pool, pos: u64) -> u32 {
    u32::from(pool.tag(pos)) / GROUP_TAGS
}

impl Walk {
    fn write(&mut self, entry: &EntryView<'_>) {
        if self.writer.bytes.is_empty() {
            self.writer.database(self.terms.db);
        }
        let attributes = self.terms.attributes(entry);
        self.version = self.version.max(self.writer.entry(entry.key, entry.value, attributes));
        self.entries += 1;
    }

    /// As [`Walk::write`], in steps if the value is large.
    fn write_or_begin(&mut self, entry: &EntryView<'_>) {
        if Long::is_worth(entry) {
            self.longs.push_back(Long::begin(entry, &self.terms));
        } else {
            self.write(entry);
        }
    }

    fn has_longs(&self) -> bool {
        self.unwritten_longs().next().is_some()
    }

    fn is_done(&self) -> bool {
        self.done && !self.has_longs()
    }

    fn may_go_on(&self, full: usize) -> bool {
        !self.has_longs() && self.writer.bytes.len() < full
    }

    /// Whether a group is not done.
    fn is_left(&self, segment: &Segment, number: usize, group: u32) -> bool {
        let is_marked = |marks: &Marks| marks[group as usize / 64] & 1 << (group % 64) != 0;
        // the marks last: they are seldom in the cache
        !self.done
            && segment.start >= self.position
            && !self.marks.get(number).and_then(Option::as_deref).is_some_and(is_marked)
    }

    /// Marks a group as done; false if it was.
    fn mark(&mut self, number: usize, group: u32) -> bool {
        if self.marks.len() <= number {
            self.marks.resize_with(number + 1, || None);
        }
        let marks = self.marks[number].get_or_insert_with(|| Box::new([0; WORDS]));
        let (word, bit) = (&mut marks[group as usize / 64], 1 << (group % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// A segment gave half of its entries to another.
    pub(super) fn split(&mut self, number: usize, other: usize) {
        let Some(marks) = self.marks.get(number).cloned() else { return };
        if self.marks.len() <= other {
            self.marks.resize_with(other + 1, || None);
        }
        self.marks[other] = marks;
    }
}

impl Table {
    /// From here on the table is written as it is now.
    ///
    /// # Panics
    /// If it is being written already.
    pub fn begin_walk(&mut self, terms: WalkTerms) {
        assert!(self.walk.is_none(), "one walk at a time");
        let writer = terms.writer();
        self.walk = Some(Box::new(Walk {
            position: 0,
            group: 0,
            done: self.is_empty(),
            marks: Vec::new(),
            writer,
            entries: 0,
            version: VERSION_MIN,
            terms,
            open: None,
            longs: VecDeque::new(),
            whole: VecDeque::new(),
        }));
    }

    /// Whether it is being written.
    #[inline]
    pub fn is_walked(&self) -> bool {
        self.walk.is_some()
    }

    /// Whether nothing is left to write.
    pub fn is_written(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.is_done())
    }

    /// Ends the writing, finished or not.
    pub fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Bytes that wait to be taken, those of values that are not whole among them.
    pub fn written_bytes(&self) -> usize {
        let longs =
            |walk: &Walk| walk.open.iter().chain(&walk.longs).chain(&walk.whole).map(Long::bytes).sum::<usize>();
        self.walk.as_deref().map_or(0, |walk| walk.writer.bytes.len() + longs(walk))
    }

    /// Takes what has been written since it was last called, if that is at least `bytes`; a large value first, by
    /// itself and part by part.
    pub fn take_written(&mut self, bytes: usize) -> Option<Written> {
        let walk = self.walk.as_mut()?;
        let long = walk.take_long();
        if long.is_some() || walk.open.is_some() || walk.writer.bytes.len() < bytes.max(1) {
            return long;
        }
        // what comes next will be as large
        let next = Vec::with_capacity(walk.writer.bytes.capacity().min(2 * SNAPSHOT_PART_BYTES));
        Some(Written {
            bytes: std::mem::replace(&mut walk.writer.bytes, next),
            goes_on: false,
            entries: std::mem::take(&mut walk.entries),
            version: walk.version,
        })
    }

    /// Goes on writing until about `bytes` more wait to be taken, or nothing is left: then true. `looks` bounds the
    /// groups that are looked at, done or not.
    pub fn walk_step(&mut self, bytes: usize, looks: usize) -> bool {
        if self.walk.as_ref().is_some_and(|walk| walk.has_longs()) {
            self.long_step(bytes);
            return self.is_written();
        }
        let Table { walk, directory, segments, pool, .. } = self;
        let Some(walk) = walk else { return true };
        let full = walk.writer.bytes.len() + bytes;
        let mut left = looks;
        while !walk.done && left > 0 && walk.may_go_on(full) {
            let Some(number) = directory.get(walk.position) else {
                walk.done = true;
                break;
            };
            let segment = &segments[number as usize];
            while walk.group < GROUPS && left > 0 && walk.may_go_on(full) {
                let group = walk.group;
                walk.group += 1;
                left -= 1;
                if group.is_multiple_of(GROUPS_AHEAD) {
                    segment.prefetch_tags(pool, group * GROUP_TAGS..(group + GROUPS_AHEAD) * GROUP_TAGS);
                }
                if segment.len() > 0 && walk.mark(number as usize, group) {
                    let tags = group * GROUP_TAGS..(group + 1) * GROUP_TAGS;
                    segment.for_each(pool, tags, |entry| walk.write_or_begin(&entry));
                } else if segment.len() == 0 {
                    walk.group = GROUPS;
                }
            }
            if walk.group == GROUPS {
                if let Some(marks) = walk.marks.get_mut(number as usize) {
                    *marks = None;
                }
                walk.group = 0;
                match segment.last().checked_add(1) {
                    Some(next) => walk.position = next,
                    None => walk.done = true,
                }
            }
        }
        walk.is_done()
    }

    /// To be called before an entry at `pos` changes or comes, in segment `number`: has its group written.
    #[inline(always)]
    pub(super) fn keep_old(&mut self, number: usize, pos: u64) {
        if self.walk.is_some() {
            self.write_group(number, pos);
        }
    }

    #[cold]
    fn write_group(&mut self, number: usize, pos: u64) {
        // if the value there is being written, its group is done but for the rest of it
        if !self.finish_long(pos) {
            self.begin_group(number, pos, Some(pos));
        }
    }

    /// Writes the group of `pos` if it is not done; large values in it, but for what stands at `at_once`, in steps.
    fn begin_group(&mut self, number: usize, pos: u64, at_once: Option<u64>) {
        let Table { walk: Some(walk), segments, pool, .. } = self else { return };
        let group = group(pool, pos);
        let segment = &segments[number];
        if walk.is_left(segment, number, group) {
            walk.mark(number, group);
            segment.for_each(pool, group * GROUP_TAGS..(group + 1) * GROUP_TAGS, |entry| {
                if at_once.is_some_and(|pos| Key::new(entry.key).pos.0 == pos) {
                    walk.write(&entry);
                } else {
                    walk.write_or_begin(&entry);
                }
            });
        }
    }
}

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
//! Rejected: a bit or an epoch in every entry (bytes that are never given back), whole segments (half a millisecond for
//! the write that comes first), a list of the keys that changed (it grows with the writes).

use super::index::TAGS;
use super::{EntryView, Table};
use crate::types::rdb::write::Writer;
use crate::types::rdb::{Attributes, Flavor, VERSION_MIN};

/// Groups of a segment.
const GROUPS: u32 = 2048;
const GROUP_TAGS: u32 = TAGS / GROUPS;
const WORDS: usize = GROUPS as usize / 64;

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

/// Bytes that were written and what they hold.
#[derive(Debug, Default)]
pub struct Written {
    /// Entries as they stand in a file, behind the number of their database.
    pub bytes: Vec<u8>,
    /// How many.
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
}

impl Walk {
    fn write(&mut self, entry: &EntryView<'_>) {
        if self.writer.bytes.is_empty() {
            self.writer.database(self.terms.db);
        }
        let used = self.terms.describe.as_ref().map_or(Attributes::default(), |describe| describe(entry.access));
        let attributes = Attributes { expire_ms: entry.expire_ms, ..used };
        self.version = self.version.max(self.writer.entry(entry.key, entry.value, attributes));
        self.entries += 1;
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
        let writer = Writer { compress: terms.compress, flavor: terms.flavor, ..Writer::default() };
        self.walk = Some(Box::new(Walk {
            position: 0,
            group: 0,
            done: self.is_empty(),
            marks: Vec::new(),
            writer,
            entries: 0,
            version: VERSION_MIN,
            terms,
        }));
    }

    /// Whether it is being written.
    #[inline]
    pub fn is_walked(&self) -> bool {
        self.walk.is_some()
    }

    /// Whether nothing is left to write.
    pub fn is_written(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.done)
    }

    /// Ends the writing, finished or not.
    pub fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Bytes that wait to be taken.
    pub fn written_bytes(&self) -> usize {
        self.walk.as_ref().map_or(0, |walk| walk.writer.bytes.len())
    }

    /// Takes what has been written since it was last called.
    pub fn take_written(&mut self) -> Written {
        let Some(walk) = &mut self.walk else { return Written::default() };
        Written {
            bytes: std::mem::take(&mut walk.writer.bytes),
            entries: std::mem::take(&mut walk.entries),
            version: walk.version,
        }
    }

    /// Goes on writing until about `bytes` more wait to be taken, or nothing is left: then true. `looks` bounds the
    /// groups that are looked at, done or not.
    pub fn walk_step(&mut self, bytes: usize, looks: usize) -> bool {
        let Table { walk, directory, segments, pool, .. } = self;
        let Some(walk) = walk else { return true };
        let full = walk.writer.bytes.len() + bytes;
        let mut left = looks;
        while !walk.done && left > 0 && walk.writer.bytes.len() < full {
            let Some(number) = directory.get(walk.position) else {
                walk.done = true;
                break;
            };
            let segment = &segments[number as usize];
            while walk.group < GROUPS && left > 0 && walk.writer.bytes.len() < full {
                let group = walk.group;
                walk.group += 1;
                left -= 1;
                if segment.len() > 0 && walk.mark(number as usize, group) {
                    segment.for_each(pool, group * GROUP_TAGS..(group + 1) * GROUP_TAGS, |entry| walk.write(&entry));
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
        walk.done
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
        let Table { walk: Some(walk), segments, pool, .. } = self else { return };
        let segment = &segments[number];
        let group = u32::from(pool.tag(pos)) / GROUP_TAGS;
        if !walk.done && segment.start >= walk.position && walk.mark(number, group) {
            segment.for_each(pool, group * GROUP_TAGS..(group + 1) * GROUP_TAGS, |entry| walk.write(&entry));
        }
    }
}

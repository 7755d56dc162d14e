//! Large values of a table that is being written ([`super`]): in steps, aside, and each as a whole once it is
//! complete, as nothing may come between its parts in the file. Never written twice.
//!
//! Who wants to change a huge one ([`Table::unwritten_huge`]) asks for it to be written first and waits. Those that
//! somebody waits for come first, in the order in which they were asked for.

use super::{Walk, WalkTerms, Written, group};
use crate::base::hash::Position;
use crate::base::limits::{SNAPSHOT_HUGE_BYTES, SNAPSHOT_LONG_BYTES, SNAPSHOT_PART_BYTES};
use crate::types::rdb::steps::{Stepped, Steps, has_steps};
use crate::types::rdb::write::Writer;
use crate::types::table::pool::Pool;
use crate::types::table::segment::Segment;
use crate::types::table::{EntryView, Key, Table};
use crate::types::value::View;

/// See the module.
pub(super) struct Long {
    key: Vec<u8>,
    pos: u64,
    writer: Writer,
    /// What was written before.
    parts: Vec<Vec<u8>>,
    steps: Steps,
    /// Bytes before the value's own.
    head: Vec<u8>,
    kind: u8,
    version: u16,
    /// How often its members changed their order.
    restarts: u32,
    /// Somebody waits for it.
    awaited: bool,
}

/// A value whose members changed their order so often is written at once.
const RESTARTS_MAX: u32 = 3;

impl Long {
    /// Whether an entry is so large that it is written in steps.
    pub(super) fn is_worth(entry: &EntryView<'_>) -> bool {
        matches!(entry.value, View::Boxed(value) if value.heap_bytes() > SNAPSHOT_LONG_BYTES && has_steps(value))
    }

    /// Whether an entry is so large that nobody should have to write it at once.
    fn is_huge(entry: &EntryView<'_>) -> bool {
        matches!(entry.value, View::Boxed(value) if value.heap_bytes() > SNAPSHOT_HUGE_BYTES && has_steps(value))
    }

    /// Begins with what stands before the value.
    pub(super) fn begin(entry: &EntryView<'_>, terms: &WalkTerms) -> Long {
        let mut writer = terms.writer();
        writer.database(terms.db);
        let (kind, version) = writer.head(entry.key, entry.value, terms.attributes(entry));
        let head = writer.bytes.clone();
        let (key, pos) = (entry.key.to_vec(), Key::new(entry.key).pos.0);
        let steps = Steps::new(kind);
        Long { key, pos, writer, parts: Vec::new(), steps, head, kind, version, restarts: 0, awaited: false }
    }

    fn finish(mut self) -> Written {
        self.parts.push(self.writer.bytes);
        let mut parts = self.parts.into_iter();
        let bytes = parts.next().unwrap_or_default();
        Written { bytes, more: parts.collect(), entries: 1, version: self.version }
    }
}

impl Walk {
    /// Whether an entry of a segment is huge and not wholly written.
    pub(in crate::types::table) fn unwritten_huge(
        &self,
        segment: &Segment,
        pool: &Pool,
        number: usize,
        entry: &EntryView<'_>,
    ) -> bool {
        if !Long::is_huge(entry) {
            return false;
        }
        let pos = Key::new(entry.key).pos.0;
        self.longs.iter().any(|long| long.pos == pos) || self.is_left(segment, number, group(pool, pos))
    }
}

impl Table {
    /// Whether a huge value may be among the entries.
    pub fn may_have_huge(&self) -> bool {
        self.tally.boxed_bytes > SNAPSHOT_HUGE_BYTES
    }

    /// The entry at this position if it is huge and its state at the cut is not wholly written, so that a change to it
    /// now would have the rest of it written at once.
    #[cold]
    pub fn unwritten_huge(&self, pos: Position) -> Option<EntryView<'_>> {
        let (walk, number) = (self.walk.as_ref()?, self.directory.get(pos.0)? as usize);
        let (tag, mut found) = (u32::from(self.pool.tag(pos.0)), None);
        let segment = &self.segments[number];
        segment.for_each(&self.pool, tag..tag + 1, |entry| {
            if walk.unwritten_huge(segment, &self.pool, number, &entry) && Key::new(entry.key).pos == pos {
                found = Some(entry);
            }
        });
        found
    }

    /// Has what stands at a position written before everything that nobody waits for.
    pub fn write_first(&mut self, pos: Position) {
        let Some(number) = self.directory.get(pos.0) else { return };
        self.begin_group(number as usize, pos.0, None);
        let Some(walk) = &mut self.walk else { return };
        let Some(at) = walk.longs.iter().position(|long| long.pos == pos.0) else { return };
        let before = walk.longs.iter().take_while(|long| long.awaited).count();
        if before <= at
            && let Some(mut long) = walk.longs.remove(at)
        {
            long.awaited = true;
            walk.longs.insert(before, long);
        }
    }

    /// Whether somebody waits for a value that is being written.
    pub fn is_awaited(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.longs.front().is_some_and(|long| long.awaited))
    }

    /// Writes the rest of the large value at a position; false if none there is being written.
    pub(super) fn finish_long(&mut self, pos: u64) -> bool {
        let longs = self.walk.as_ref().map(|walk| &walk.longs);
        let Some(at) = longs.and_then(|longs| longs.iter().position(|long| long.pos == pos)) else { return false };
        while self.long_step(at, usize::MAX) {}
        true
    }

    /// Goes on with one of the large values that are being written, until about `bytes` more are; whether there is
    /// more of it.
    #[cold]
    pub(super) fn long_step(&mut self, at: usize, bytes: usize) -> bool {
        let Some(mut walk) = self.walk.take() else { return false };
        let more = self.step_of(&mut walk, at, bytes);
        self.walk = Some(walk);
        more
    }

    fn step_of(&self, walk: &mut Walk, at: usize, bytes: usize) -> bool {
        let Some(long) = walk.longs.get_mut(at) else { return false };
        let entry = self.find(Key::new(&long.key)).expect("whoever removes it has it written first");
        let View::Boxed(value) = entry.value else { unreachable!("whoever changes it has it written first") };
        let mut stepped = long.steps.step(&mut long.writer, value, bytes);
        if stepped == Stepped::Changed {
            // the order of its members changed under the cursor, as when memory is put in order
            long.restarts += 1;
            long.parts.clear();
            long.writer.bytes.clone_from(&long.head);
            long.steps = Steps::new(long.kind);
            if long.restarts > RESTARTS_MAX {
                long.writer.body(entry.value, long.kind);
                stepped = Stepped::Whole;
            }
        }
        if stepped != Stepped::Whole {
            if long.writer.bytes.len() >= SNAPSHOT_PART_BYTES {
                long.parts.push(std::mem::take(&mut long.writer.bytes));
            }
            return true;
        }
        if let Some(long) = walk.longs.remove(at) {
            walk.whole.push_back(long.finish());
        }
        false
    }
}

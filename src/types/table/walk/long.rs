//! Large values of a table that is being written ([`super`]): in steps, aside, and handed out part by part. Nothing may
//! come between the parts of one in the file, so one at a time is open: while it is, only its parts are handed out, and
//! it is written before others. Never written twice.
//!
//! The number of members stands in front of them. It is known, as the value stays as it is until it is written: whoever
//! changes it has the rest written at once, and that stays in memory until it is taken.
//!
//! Who wants to change a huge one ([`Table::unwritten_huge`]) asks for it to be written first and waits. Those that
//! somebody waits for come first, in the order in which they were asked for, but behind the one that is open.

use super::{Walk, WalkTerms, Written, group};
use crate::base::hash::Position;
use crate::base::limits::{SNAPSHOT_HUGE_BYTES, SNAPSHOT_LONG_BYTES, SNAPSHOT_PART_BYTES};
use crate::types::rdb::steps::{Steps, has_steps};
use crate::types::rdb::write::Writer;
use crate::types::table::pool::Pool;
use crate::types::table::segment::Segment;
use crate::types::table::{EntryView, Key, Table};
use crate::types::value::View;
use std::collections::VecDeque;

/// See the module.
pub(super) struct Long {
    key: Vec<u8>,
    pos: u64,
    writer: Writer,
    /// What was written before and waits to be taken.
    parts: VecDeque<Vec<u8>>,
    steps: Steps,
    version: u16,
    /// Nothing is left to write.
    whole: bool,
    /// Somebody waits for it.
    awaited: bool,
}

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
        let (key, pos) = (entry.key.to_vec(), Key::new(entry.key).pos.0);
        let (parts, steps) = (VecDeque::new(), Steps::new(kind));
        Long { key, pos, writer, parts, steps, version, whole: false, awaited: false }
    }

    /// Bytes that wait to be taken.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(Vec::len).sum::<usize>() + self.writer.bytes.len()
    }

    /// The next part, if there is one; the last one is that of which [`Written::goes_on`] does not hold.
    fn take(&mut self) -> Option<Written> {
        let bytes = self.parts.pop_front()?;
        let goes_on = !self.whole || !self.parts.is_empty();
        Some(Written { bytes, goes_on, entries: u64::from(!goes_on), version: self.version })
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
        self.unwritten_longs().any(|long| long.pos == pos) || self.is_left(segment, number, group(pool, pos))
    }

    /// Those that are being written, in the order in which they are.
    pub(super) fn unwritten_longs(&self) -> impl Iterator<Item = &Long> {
        self.open.iter().filter(|long| !long.whole).chain(&self.longs)
    }

    /// Takes the next part of a large value, if one may be handed out now.
    pub(super) fn take_long(&mut self) -> Option<Written> {
        if self.open.is_none() {
            let begun = self.longs.front().is_some_and(|long| !long.parts.is_empty());
            self.open = self.whole.pop_front().or_else(|| if begun { self.longs.pop_front() } else { None });
        }
        let written = self.open.as_mut()?.take()?;
        if !written.goes_on {
            self.open = None;
        }
        Some(written)
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
        if let Some(open) = walk.open.as_mut().filter(|open| open.pos == pos.0) {
            open.awaited = true;
        }
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
        // those are in front, but for the one that is open
        self.walk.as_ref().is_some_and(|walk| walk.unwritten_longs().take(2).any(|long| long.awaited))
    }

    /// Whether a value was handed out in part: what comes next has to be the rest of it.
    pub fn is_open(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.open.is_some())
    }

    /// Whether there is more to write of that value.
    pub fn is_open_unwritten(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.open.as_ref().is_some_and(|open| !open.whole))
    }

    /// Writes the rest of the large value at a position; false if none there is being written.
    pub(super) fn finish_long(&mut self, pos: u64) -> bool {
        let Some(mut walk) = self.walk.take() else { return false };
        let at = walk.unwritten_longs().position(|long| long.pos == pos);
        if let Some(at) = at {
            while self.step_of(&mut walk, at, usize::MAX) {}
        }
        self.walk = Some(walk);
        at.is_some()
    }

    /// Goes on with the first of the large values that are being written, until about `bytes` more are.
    #[cold]
    pub(super) fn long_step(&mut self, bytes: usize) {
        let Some(mut walk) = self.walk.take() else { return };
        self.step_of(&mut walk, 0, bytes);
        self.walk = Some(walk);
    }

    /// Goes on with one of [`Walk::unwritten_longs`]; whether there is more of it.
    fn step_of(&self, walk: &mut Walk, at: usize, bytes: usize) -> bool {
        let opened = usize::from(walk.open.as_ref().is_some_and(|open| !open.whole));
        let in_turn = at.checked_sub(opened);
        let long = match in_turn {
            Some(at) => walk.longs.get_mut(at),
            None => walk.open.as_mut(),
        };
        let Some(long) = long else { return false };
        let entry = self.find(Key::new(&long.key)).expect("whoever removes it has it written first");
        let View::Boxed(value) = entry.value else { unreachable!("whoever changes it has it written first") };
        long.whole = long.steps.step(&mut long.writer, value, bytes);
        if long.whole || long.writer.bytes.len() >= SNAPSHOT_PART_BYTES {
            long.parts.push_back(std::mem::take(&mut long.writer.bytes));
        }
        let more = !long.whole;
        if let Some(at) = in_turn.filter(|_| !more) {
            let long = walk.longs.remove(at);
            walk.whole.extend(long);
        }
        more
    }
}

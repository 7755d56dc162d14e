//! Walking a table: by cursor, by slot, whole, or at random. Never changes it.
//!
//! A cursor says: everything before position P has been visited, and of the aligned range of L bits that begins at P,
//! the entries whose tag is below a bound. Both stay true whatever happens to segments: one that was split covers less,
//! and the claim about the smaller range holds all the more; one that was merged covers more, and then the step visits
//! only the entries inside the range. Tags never change, so a rebuilt index is walked on where the old one was left.
//!
//! ```text
//! 63 62 | 61           16 | 15      10 | 9            0
//!   0   | P >> 18, 46 bits| L, 6 bits  | tag bound >> 6
//! ```
//! Zero starts a scan and ends it. The slot is readable in the cursor, so that it finds its shard.

use super::bucket::SLOTS;
use super::directory::DEPTH_MAX;
use super::index::{BUCKETS_MAX, TAGS};
use super::segment::{self, Segment};
use super::{EntryView, Table};
use crate::base::hash::Position;
use std::ops::Range;

const POSITION_SHIFT: u32 = 64 - DEPTH_MAX;
const DEPTH_SHIFT: u32 = 10;
const PREFIX_SHIFT: u32 = 16;
/// Tags per unit of progress: 1024 units, about four entries of a full segment each.
const UNIT_TAGS: u32 = TAGS >> DEPTH_SHIFT;
/// Segments that one step may pass that had nothing to show, per entry asked for, and beside that.
const EMPTY_PER_ENTRY: usize = 1;
const EMPTY_MIN: usize = 64;

/// A decoded cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    /// P.
    position: u64,
    /// L.
    depth: u32,
    /// First tag that has not been visited, a multiple of [`UNIT_TAGS`].
    tag: u32,
}

impl Cursor {
    /// Any number decodes to something a scan can go on from.
    fn decode(cursor: u64) -> Self {
        let depth = (cursor >> DEPTH_SHIFT & 63).min(u64::from(DEPTH_MAX)) as u32;
        let tag = (cursor as u32 & 1023) * UNIT_TAGS;
        let position = cursor >> PREFIX_SHIFT << POSITION_SHIFT;
        if tag == 0 || super::prefix(position, depth) == position {
            return Cursor { position, depth, tag };
        }
        // Not one of ours: begin the range anew.
        Cursor { position, depth: DEPTH_MAX, tag: 0 }
    }

    fn encode(self) -> u64 {
        let depth = if self.tag == 0 { 0 } else { u64::from(self.depth) };
        self.position >> POSITION_SHIFT << PREFIX_SHIFT | depth << DEPTH_SHIFT | u64::from(self.tag / UNIT_TAGS)
    }

    /// Settles which range the step works on, given the segment that covers P.
    fn adapt(&mut self, segment: &Segment) {
        if self.tag == 0 {
            // The largest aligned range that begins at P and lies in the segment.
            self.depth = segment.depth.max(64 - self.position.trailing_zeros());
        } else {
            // Split meanwhile: the claim holds for the part that begins at P.
            self.depth = self.depth.max(segment.depth);
        }
    }

    /// Positions of the range.
    fn range(&self) -> (u64, u64) {
        (self.position, self.position | u64::MAX.checked_shr(self.depth).unwrap_or(0))
    }
}

/// The slot that a cursor of [`Table::scan`] continues in: its shard runs the next step.
pub fn cursor_slot(cursor: u64) -> u16 {
    (cursor >> (PREFIX_SHIFT + 32)) as u16 & 0x3fff
}

/// The cursor that starts a scan at `slot`.
pub fn cursor_at_slot(slot: u16) -> u64 {
    u64::from(slot) << (PREFIX_SHIFT + 32)
}

impl Table {
    /// One step of a scan over the slots in `slots`: visits about `count` entries, due ones included, and returns the
    /// next cursor; 0 starts and 0 says that it is finished. An entry that is there from the first step to the last
    /// is visited at least once, whatever is inserted and removed between steps; it may be visited more than once.
    /// A cursor before `slots` is taken as its beginning.
    pub fn scan(&self, cursor: u64, count: usize, slots: Range<u16>, mut visit: impl FnMut(EntryView<'_>)) -> u64 {
        let end = u64::from(slots.end) << 50;
        let mut cursor = Cursor::decode(cursor);
        if cursor.position < u64::from(slots.start) << 50 {
            cursor = Cursor { position: u64::from(slots.start) << 50, depth: 0, tag: 0 };
        }
        let (mut visited, mut empty) = (0, 0);
        while let Some(segment) = self.segment(Position(cursor.position)) {
            if slots.end < 1 << 14 && cursor.position >= end || slots.is_empty() {
                break;
            }
            cursor.adapt(segment);
            let before = visited;
            while cursor.tag < TAGS && visited < count.max(1) {
                visited += visit_units(self, segment, &mut cursor, &slots, &mut visit);
            }
            if cursor.tag < TAGS {
                return cursor.encode();
            }
            empty += usize::from(visited == before);
            let Some(next) = cursor.range().1.checked_add(1) else { break };
            cursor = Cursor { position: next, depth: 0, tag: 0 };
            let outside = slots.end < 1 << 14 && cursor.position >= end;
            if !outside && (visited >= count.max(1) || empty >= EMPTY_MIN + count * EMPTY_PER_ENTRY) {
                return cursor.encode();
            }
        }
        0
    }

    /// Entries in one slot.
    pub fn count_in_slot(&self, slot: u16) -> usize {
        let mut count = 0;
        self.for_each_in_slot(slot, |_| {
            count += 1;
            true
        });
        count
    }

    /// Visits the entries of one slot until `visit` answers false.
    pub fn for_each_in_slot(&self, slot: u16, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        let mut going = true;
        let first = u64::from(slot) << 50;
        self.for_each_segment(first, first | ((1 << 50) - 1), |segment| {
            segment.for_each(&self.pool, 0..TAGS, |entry| {
                let here = segment.depth >= 14 || Position::of(entry.key).slot() == slot;
                going = going && (!here || visit(entry));
            });
            going
        });
    }

    /// Visits all entries until `visit` answers false.
    pub fn for_each(&self, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        let mut going = true;
        self.for_each_segment(0, u64::MAX, |segment| {
            segment.for_each(&self.pool, 0..TAGS, |entry| going = going && visit(entry));
            going
        });
    }

    /// Visits the segments that cover positions from `first` to `last` until `visit` answers false.
    fn for_each_segment<'a>(&'a self, first: u64, last: u64, mut visit: impl FnMut(&'a Segment) -> bool) {
        let mut position = first;
        while let Some(segment) = self.segment(Position(position)) {
            if !visit(segment) || segment.last() >= last {
                return;
            }
            position = segment.last() + 1;
        }
    }

    /// Visits the entries of one bucket of the index, drawn at random: about seven, unrelated to each other. `wanted`
    /// is asked by an entry's access bits before the entry itself is read. `random` gives 64 random bits.
    pub fn sample<'t>(
        &'t self,
        mut random: impl FnMut() -> u64,
        mut wanted: impl FnMut(u16) -> bool,
        mut visit: impl FnMut(EntryView<'t>),
    ) {
        const TRIES: usize = 16;
        if self.is_empty() {
            return;
        }
        for _ in 0..TRIES {
            let draw = random();
            let segment = &self.segments[(draw >> 32) as usize % self.segments.len()];
            if segment.len() == 0 {
                continue;
            }
            let bucket = (draw & 0xffff_ffff) as usize % segment.index.buckets();
            let mut visited = false;
            // New entries take the first free slot: from another one on each time, lest they come first.
            let first = (draw >> 16) as usize % SLOTS;
            for slot in (first..SLOTS).chain(0..first) {
                let Some(at) = segment.index.entry_in(&self.pool, bucket, slot) else { continue };
                visited = true;
                if wanted(segment::access(segment.index.word(&self.pool, at))) {
                    visit(segment.view(&self.pool, at));
                }
            }
            if visited {
                return;
            }
        }
    }

    /// An entry drawn at random, each with the same chance unless the table is nearly empty. `random` gives 64 random
    /// bits.
    pub fn random_entry(&self, mut random: impl FnMut() -> u64) -> Option<EntryView<'_>> {
        const TRIES: usize = 100;
        if self.is_empty() {
            return None;
        }
        // Draw any slot of any bucket of any segment until one holds an entry: every entry is equally likely.
        let buckets_max = self.draws_from();
        for _ in 0..TRIES {
            let (segment, bucket, slot) = self.slot_drawn(random(), buckets_max);
            if let Some(at) = segment.index.entry_in(&self.pool, bucket, slot) {
                return Some(segment.view(&self.pool, at));
            }
        }
        // Nearly empty: the next segment that is not, from a random one on.
        let first = random() as usize % self.segments.len();
        let (before, after) = self.segments.split_at(first);
        let segment = after.iter().chain(before).find(|s| s.len() > 0)?;
        let at = segment.index.nth(&self.pool, random() as usize % segment.len())?;
        Some(segment.view(&self.pool, at))
    }

    /// Asks for the entry that [`Table::random_entry`] is likely to draw with `next`, and for the bucket that it looks
    /// at with `later`, if they are dealt the same then. 600,000 SPOPs in pipelines of 16 take 0.73 us each outside the
    /// kernel where the set asks for the next two draws each time, 0.87 without.
    pub fn prefetch_draws(&self, mut next: impl FnMut() -> u64, mut later: impl FnMut() -> u64) {
        const TRIES: usize = 8;
        if self.is_empty() {
            return;
        }
        let buckets_max = self.draws_from();
        let mut drawn = (0..TRIES).map(|_| self.slot_drawn(later(), buckets_max));
        if let Some((segment, bucket, _)) = drawn.find(|(s, bucket, _)| *bucket < s.index.buckets()) {
            segment.index.prefetch_bucket(&self.pool, bucket);
        }
        for _ in 0..TRIES {
            let (segment, bucket, slot) = self.slot_drawn(next(), buckets_max);
            if let Some(at) = segment.index.entry_in(&self.pool, bucket, slot) {
                return segment.prefetch(&self.pool, at);
            }
        }
    }

    /// Out of how many buckets of a segment one is drawn.
    fn draws_from(&self) -> usize {
        match self.segments.len() {
            0..=64 => self.segments.iter().map(|s| s.index.buckets()).max().unwrap_or(0).max(1),
            _ => BUCKETS_MAX,
        }
    }

    /// The bucket and the slot that a number stands for.
    #[inline]
    fn slot_drawn(&self, draw: u64, buckets_max: usize) -> (&Segment, usize, usize) {
        let segment = &self.segments[(draw >> 32) as usize % self.segments.len()];
        let drawn = draw as usize & 0xffff_ffff;
        (segment, drawn / SLOTS % buckets_max, drawn % SLOTS)
    }
}

/// Visits the entries of the next home bucket, or of the next unit if that ends later; returns how many.
fn visit_units(
    table: &Table,
    segment: &Segment,
    cursor: &mut Cursor,
    slots: &Range<u16>,
    visit: &mut impl FnMut(EntryView<'_>),
) -> usize {
    let next = (segment.index.next_home_tag(cursor.tag) / UNIT_TAGS).max(cursor.tag / UNIT_TAGS + 1) * UNIT_TAGS;
    let (first, last) = cursor.range();
    let mut visited = 0;
    // The range is all of the segment, and all of it is asked for: nothing to check.
    let whole = first == segment.start
        && cursor.depth == segment.depth
        && (last >> 50 < u64::from(slots.end))
        && (first >> 50 >= u64::from(slots.start));
    segment.for_each(&table.pool, cursor.tag..next, |entry| {
        if !whole {
            let pos = table.placing.of(entry.key);
            if !(first..=last).contains(&pos.0) || !slots.contains(&pos.slot()) {
                return;
            }
        }
        visited += 1;
        visit(entry);
    });
    cursor.tag = next;
    visited
}

const _: () = assert!(POSITION_SHIFT >= 16, "the tag takes no part in splitting");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        for position in [0, 1 << 50, 12345 << 50, u64::MAX << 18] {
            for (depth, tag) in [(46, 64), (46, 65472), (46, 0)] {
                let cursor = Cursor { position, depth, tag };
                let decoded = Cursor::decode(cursor.encode());
                assert_eq!((decoded.position, decoded.tag), (position, tag));
                assert!(tag == 0 || decoded.depth == depth);
                assert_eq!(cursor_slot(cursor.encode()), (position >> 50) as u16);
                assert!(cursor.encode() >> 62 == 0);
            }
        }
        assert_eq!(Cursor::decode(cursor_at_slot(777)), Cursor { position: 777 << 50, depth: 0, tag: 0 });
    }
}

//! A table as the members of one value: laid out by hash alone, and walked one by one. Never knows what they mean.

use super::bucket::SLOTS;
use super::{EntryView, Key, Table};
use crate::base::hash::Position;

/// What a table lays its entries out by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placing {
    /// Slot, then hash: a keyspace.
    #[default]
    Slot,
    /// Hash alone: the members of one value.
    Hash,
}

impl Placing {
    /// Where a key stands.
    #[inline]
    pub(super) fn of(self, key: &[u8]) -> Position {
        match self {
            Placing::Slot => Position::of(key),
            Placing::Hash => Position::of_member(key),
        }
    }
}

impl<'a> Key<'a> {
    /// Computes the position of a member, for a table made by [`Table::of_members`].
    #[inline]
    pub fn member(bytes: &'a [u8]) -> Self {
        Key { bytes, pos: Position::of_member(bytes) }
    }
}

impl Table {
    /// A table for the members of one value: all its keys are made by [`Key::member`].
    pub fn of_members() -> Self {
        let mut table = Table::default();
        table.placing = Placing::Hash;
        table
    }

    /// All entries, due ones included, in no order.
    pub fn iter(&self) -> Members<'_> {
        Members { table: self, segment: 0, place: 0 }
    }

    /// When [`Table::sweep_expired`] will look at an entry again, Unix milliseconds; `u64::MAX` if none expires.
    pub fn next_expire_ms(&self) -> u64 {
        if self.tally.expiring == 0 { u64::MAX } else { self.sweeps.next_ms() }
    }
}

impl<'a> Members<'a> {
    /// Goes on at what [`Members::place`] said.
    pub(super) fn at(table: &'a Table, (segment, place): (usize, usize)) -> Self {
        Members { table, segment, place }
    }

    /// Where it is, while the table stays as it is.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.segment, self.place)
    }
}

/// Iterator of [`Table::iter`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    table: &'a Table,
    segment: usize,
    /// Slots of the segment's buckets that were visited.
    place: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = EntryView<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryView<'a>> {
        let Table { segments, pool, .. } = self.table;
        while let Some(segment) = segments.get(self.segment) {
            let slots = segment.index.buckets() * SLOTS;
            while self.place < slots {
                let place = self.place;
                self.place += 1;
                if let Some(at) = segment.index.entry_in(pool, place / SLOTS, place % SLOTS) {
                    return Some(segment.view(pool, at));
                }
            }
            self.segment += 1;
            self.place = 0;
        }
        None
    }
}

//! Room for keys that are known to come, made at once instead of by splitting and rebuilding on the way. Loading 5
//! million keys takes 40% less processor time so.

use super::segment::{SPLIT_LEN, Segment};
use super::{Table, bit};
use std::ops::Range;

/// Bits of a position that are the slot.
const SLOT_BITS: u32 = 14;
/// Entries of a segment that is made for keys that are expected: so few that it is unlikely to be split.
const EXPECTED_LEN: usize = SPLIT_LEN * 9 / 10;

impl Table {
    /// Makes the first segment, which covers everything; its number.
    #[cold]
    pub(super) fn begin(&mut self) -> usize {
        let number = self.add_segment(Segment::new(0, 0));
        self.directory.begin(number);
        number as usize
    }

    /// Makes an empty table ready for about `keys` keys that fall evenly over `slots`: as many segments as they would
    /// be split into, each with an index of its size. More or fewer keys are no mistake, only slower or larger.
    pub fn expect(&mut self, keys: usize, slots: &Range<u16>) {
        if !self.segments.is_empty() || keys <= SPLIT_LEN || slots.is_empty() {
            return;
        }
        let number = self.begin();
        self.directory.count(0, -1);
        self.spread(Some(number as u32), 0, 0, keys, slots);
    }

    /// As [`Table::expect`] for the range of `depth` bits at `start`.
    fn spread(&mut self, number: Option<u32>, start: u64, depth: u32, keys: usize, slots: &Range<u16>) {
        let first = (start >> (64 - SLOT_BITS)) as usize;
        let own = usize::from(slots.start).max(first)..usize::from(slots.end).min(first + (1 << (SLOT_BITS - depth)));
        let expected = (keys as u128 * own.len() as u128 / slots.len() as u128) as usize;
        if expected <= EXPECTED_LEN || depth == SLOT_BITS {
            if let Some(number) = number {
                self.segments[number as usize] = Segment::new(start, depth);
            }
            let number = self.place(number, start, depth) as usize;
            return self.segments[number].reserve(&mut self.pool, expected.min(EXPECTED_LEN));
        }
        self.spread(number, start, depth + 1, keys, slots);
        self.spread(None, start | bit(depth + 1), depth + 1, keys, slots);
    }
}

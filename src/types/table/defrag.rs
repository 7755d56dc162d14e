//! A round over a table that moves what its entries own out of line to fuller pages of the heap, in small steps. Never
//! moves entries: those lie in the pool, which tidies itself.

use super::Table;
use super::entry::Entry;
use super::index::TAGS;
use super::members::Placing;
use crate::types::defrag::Mover;

/// Where the round stands.
#[derive(Debug, Default)]
pub(super) struct DefragPlace {
    /// Position of the segment, and its first tag that was not visited.
    position: u64,
    tag: u32,
    /// Entries of that tag's bucket that were visited whole, and how far the next one's value was.
    visited: usize,
    from: usize,
}

impl Table {
    /// Goes on with the round until the mover's budget is spent, by one bucket at least; true when a round has ended.
    pub fn defrag_step(&mut self, mover: &mut Mover) -> bool {
        self.settle();
        let mut entries = Vec::new();
        let owners = self.tally.boxed_bytes > 0;
        loop {
            let DefragPlace { position, tag, .. } = self.sweeps.defrag;
            let Some(number) = self.directory.get(position) else { return self.end_round(mover) };
            let segment = &mut self.segments[number as usize];
            if tag == 0 && self.sweeps.defrag.visited == 0 && self.sweeps.defrag.from == 0 {
                segment.defrag(mover);
            }
            if owners && segment.len() > 0 {
                let next = segment.index.next_home_tag(tag);
                segment.outside(&self.pool, tag..next, &mut |entry| entries.push(entry));
                mover.look();
                if !self.defrag_entries(&mut entries, mover) {
                    return false;
                }
                (self.sweeps.defrag.tag, self.sweeps.defrag.visited) = (next, 0);
            }
            let segment = &self.segments[number as usize];
            if !owners || segment.len() == 0 || self.sweeps.defrag.tag >= TAGS {
                match segment.last().checked_add(1) {
                    Some(next) => self.sweeps.defrag = DefragPlace { position: next, ..DefragPlace::default() },
                    None => return self.end_round(mover),
                }
            }
            if mover.is_done() {
                return false;
            }
        }
    }

    /// Moves what these entries own, of one bucket; false if the budget was spent before the last.
    fn defrag_entries(&mut self, entries: &mut Vec<Entry>, mover: &mut Mover) -> bool {
        let keys = self.placing == Placing::Slot;
        for entry in entries.drain(..).skip(self.sweeps.defrag.visited) {
            let moved = mover.moved;
            if let Some(boxed) = entry.boxed() {
                // SAFETY: the entry is live and owns its value; nothing else of the table is used meanwhile.
                let value = unsafe { &mut *boxed };
                let bytes = value.heap_bytes();
                let next = value.defrag(mover, self.sweeps.defrag.from);
                self.tally.boxed_bytes = self.tally.boxed_bytes + value.heap_bytes() - bytes;
                self.sweeps.defrag.from = next.unwrap_or(0);
                if next.is_some() {
                    return false;
                }
            }
            // SAFETY: the entry is live, and no reference into its page is left.
            unsafe { entry.defrag_key(mover) };
            self.sweeps.defrag.visited += 1;
            mover.keys_moved += u64::from(keys && mover.moved > moved);
            mover.keys_stayed += u64::from(keys && mover.moved == moved);
        }
        true
    }

    fn end_round(&mut self, mover: &mut Mover) -> bool {
        self.sweeps.defrag = DefragPlace::default();
        self.directory.defrag(mover);
        self.pool.defrag(mover);
        mover.vec(&mut self.segments);
        mover.vec(&mut self.vacant);
        true
    }
}

//! Background rounds over a table in small steps: removing due entries, ageing access bits. Never reads a clock, never
//! visits more than it was given a budget for, but for the rest of a bucket or segment.
//!
//! A segment is looked through only when something in it is due, and then not again before a gap that doubles while
//! looking finds little and halves while it finds much: a pass over a segment costs a few dozen microseconds, whether
//! it removes one entry or a thousand. Due entries are invisible meanwhile, so the gap costs memory only.

use super::defrag::DefragPlace;
use super::index::TAGS;
use super::segment::Segment;
use super::{EntryView, Key, Table};
use crate::types::value::Value;

/// Longest gap between two passes over one segment.
const GAP_MS_MAX: u32 = 60_000;
/// Longest gap per entry of the segment: small segments are cheap to look through.
const GAP_MS_PER_ENTRY: u32 = 20;
/// A pass that removes less than one in this many entries doubles the gap; one that removes four times as much halves
/// it.
const YIELD_LOW: usize = 64;
/// Segments passed over count as one entry per this many.
const SEGMENTS_PER_ENTRY: usize = 4;

/// What one call of [`Table::sweep_expired`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Entries looked at, expiring or not.
    pub visited: usize,
    /// Entries removed.
    pub expired: usize,
    /// Expiring entries seen that are not due, and the sum of their times to live in milliseconds.
    pub alive: usize,
    /// See `alive`.
    pub ttl_ms_sum: u64,
}

/// Where the rounds stand.
#[derive(Debug)]
pub(super) struct Sweeps {
    /// Position from which the round goes on, and the first tag there that was not visited.
    position: u64,
    tag: u32,
    /// Entries that this pass over the segment has seen and removed.
    pass_seen: usize,
    pass_removed: usize,
    /// Nothing is due before this, as far as positions up to `position` and entries written since are concerned.
    round_next_ms: u64,
    /// Nothing at all is due before this.
    next_ms: u64,
    access_position: u64,
    /// Segment that [`Table::tidy_step`] looks at next.
    tidy_segment: usize,
    /// Where [`Table::defrag_step`] stands.
    pub(super) defrag: DefragPlace,
}

impl Default for Sweeps {
    fn default() -> Self {
        Sweeps {
            position: 0,
            tag: 0,
            pass_seen: 0,
            pass_removed: 0,
            round_next_ms: u64::MAX,
            next_ms: u64::MAX,
            access_position: 0,
            tidy_segment: 0,
            defrag: DefragPlace::default(),
        }
    }
}

impl Sweeps {
    /// Nothing at all is due before this.
    pub(super) fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// An entry now expires at this time.
    #[inline(always)]
    pub(super) fn note_expiry(&mut self, at_ms: u64) {
        self.next_ms = self.next_ms.min(at_ms);
        self.round_next_ms = self.round_next_ms.min(at_ms);
    }
}

impl Table {
    /// Removes entries that are due, looking at no more than about `budget` entries; goes on where it stopped.
    /// `expired` gets each removed key and its out-of-line value.
    pub fn sweep_expired(
        &mut self,
        now_ms: u64,
        budget: usize,
        mut expired: impl FnMut(&[u8], Option<Box<Value>>),
    ) -> Swept {
        let mut swept = Swept::default();
        let mut passed = 0;
        let mut due = Vec::new();
        while swept.visited + passed / SEGMENTS_PER_ENTRY < budget.max(1) && now_ms >= self.sweeps.next_ms {
            let Some(number) = self.directory.get(self.sweeps.position) else { break };
            let number = number as usize;
            if self.sweeps.tag == 0 && self.segments[number].next_expire_ms > now_ms {
                passed += 1;
                self.end_pass(number);
                continue;
            }
            self.sweep_bucket(number, now_ms, &mut swept, &mut due);
            self.remove_due(&mut due, &mut swept, &mut expired);
            self.end_pass_if_done(now_ms);
        }
        swept.visited += passed / SEGMENTS_PER_ENTRY;
        swept
    }

    /// Looks through the next home bucket of a segment.
    fn sweep_bucket(&mut self, number: usize, now_ms: u64, swept: &mut Swept, due: &mut Vec<u8>) {
        let Table { segments, pool, sweeps, walk, .. } = self;
        let segment = &mut segments[number];
        // what would have to be written at once now is left until it is
        let is_kept = |segment: &Segment, entry: &EntryView<'_>| match &*walk {
            Some(walk) => walk.unwritten_huge(segment, pool, number, entry),
            None => false,
        };
        if sweeps.tag == 0 {
            // From here on it gathers the soonest of what is visited and of what is written meanwhile.
            segment.next_expire_ms = u64::MAX;
            (sweeps.pass_seen, sweeps.pass_removed) = (0, 0);
        }
        let next = segment.index.next_home_tag(sweeps.tag);
        let mut soonest = u64::MAX;
        let mut seen = 0;
        segment.for_each(pool, sweeps.tag..next, |entry| {
            seen += 1;
            let Some(at) = entry.expire_ms else { return };
            if at <= now_ms && !is_kept(segment, &entry) {
                due.extend_from_slice(&(entry.key.len() as u32).to_le_bytes());
                due.extend_from_slice(entry.key);
            } else {
                soonest = soonest.min(at);
                swept.alive += 1;
                swept.ttl_ms_sum += at.saturating_sub(now_ms);
            }
        });
        segment.next_expire_ms = segment.next_expire_ms.min(soonest);
        swept.visited += seen.max(1);
        sweeps.pass_seen += seen;
        sweeps.tag = next;
    }

    /// Removes the keys in `due`, each with its length before it.
    fn remove_due(
        &mut self,
        due: &mut Vec<u8>,
        swept: &mut Swept,
        expired: &mut impl FnMut(&[u8], Option<Box<Value>>),
    ) {
        let mut rest = &due[..];
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let (key, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
            rest = tail;
            let key = Key { bytes: key, pos: self.placing.of(key) };
            if let Some(boxed) = self.discard(key) {
                swept.expired += 1;
                self.sweeps.pass_removed += 1;
                expired(key.bytes, boxed);
            }
        }
        due.clear();
    }

    /// Ends the pass if the last bucket of the segment has been looked through. Removals may have merged it.
    fn end_pass_if_done(&mut self, now_ms: u64) {
        if self.sweeps.tag < TAGS {
            return;
        }
        let Some(number) = self.directory.get(self.sweeps.position) else { return };
        let number = number as usize;
        let Sweeps { pass_seen, pass_removed, .. } = self.sweeps;
        let segment = &mut self.segments[number];
        let gap_max = GAP_MS_MAX.min(segment.len() as u32 * GAP_MS_PER_ENTRY);
        let gap = segment.sweep_gap_ms;
        segment.sweep_gap_ms = if pass_removed * YIELD_LOW < pass_seen {
            (gap * 2).clamp(gap_max / 64, gap_max)
        } else if pass_removed * YIELD_LOW > pass_seen * 4 {
            gap / 2
        } else {
            gap.min(gap_max)
        };
        let earliest = now_ms.saturating_add(u64::from(segment.sweep_gap_ms));
        if segment.expiring > 0 {
            segment.next_expire_ms = segment.next_expire_ms.max(earliest);
        }
        self.end_pass(number);
    }

    /// Goes on to the next segment, or to the next round.
    fn end_pass(&mut self, number: usize) {
        let segment = &self.segments[number];
        let sweeps = &mut self.sweeps;
        sweeps.tag = 0;
        sweeps.round_next_ms = sweeps.round_next_ms.min(segment.next_expire_ms);
        match segment.last().checked_add(1) {
            Some(next) => sweeps.position = next,
            None => {
                sweeps.position = 0;
                sweeps.next_ms = std::mem::replace(&mut sweeps.round_next_ms, u64::MAX);
            }
        }
    }

    /// If much of the table's memory is idle because much has been removed: moves about `budget` pieces of 8 KB
    /// together, so that memory can be given back. True if there is nothing to do.
    pub fn tidy_step(&mut self, budget: usize) -> bool {
        self.tidy(budget, false)
    }

    /// As [`Table::tidy_step`] while memory is short: less idle memory counts as much.
    pub fn tidy_short_step(&mut self, budget: usize) -> bool {
        self.tidy(budget, true)
    }

    fn tidy(&mut self, budget: usize, short: bool) -> bool {
        self.settle();
        let mut left = budget;
        for _ in 0..budget * SEGMENTS_PER_ENTRY {
            let Some(limit) = self.pool.surplus(short) else { return true };
            let Some(segment) = self.segments.get_mut(self.sweeps.tidy_segment) else {
                self.sweeps.tidy_segment = 0;
                return false;
            };
            self.sweeps.tidy_segment += 1;
            left = left.saturating_sub(segment.relocate(&mut self.pool, limit));
            if left == 0 {
                break;
            }
        }
        false
    }

    /// Lets `age` rewrite the access bits of about `budget` entries; goes on where it stopped. True when a round over
    /// the whole table has ended.
    pub fn sweep_access(&mut self, budget: usize, mut age: impl FnMut(u16) -> u16) -> bool {
        let mut visited = 0;
        while visited < budget.max(1) {
            let Some(number) = self.directory.get(self.sweeps.access_position) else { return true };
            let segment = &mut self.segments[number as usize];
            segment.rewrite_access(&self.pool, &mut age);
            visited += segment.len() + 1;
            match segment.last().checked_add(1) {
                Some(next) => self.sweeps.access_position = next,
                None => {
                    self.sweeps.access_position = 0;
                    return true;
                }
            }
        }
        false
    }
}

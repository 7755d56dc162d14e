//! Decides when the blocks of the heap are to be moved together, and for how much of a core's time. Never moves one
//! itself: the shard's tables do.
//!
//! With `activedefrag yes` the rules are those of Redis: from `active-defrag-threshold-lower` percent of waste and
//! `active-defrag-ignore-bytes` on, `active-defrag-cycle-min` to `-max` percent of each core's time, in steps of at
//! most `active-defrag-cycle-us`. Whatever that says, memory is moved together while the process takes clearly more of
//! the machine than `maxmemory`: the limit is about what the machine has to have.
//!
//! A round that moved next to nothing is not followed by the next at once: what is wasted then is not to be had this
//! way.

use crate::base::clock;
use crate::net::shared::{CoreCounters, Counter, Shared};
use crate::net::worker::Worker;
use crate::runtime::{alloc, usage};
use crate::types::defrag::Mover;
use std::sync::atomic::Ordering::Relaxed;

/// How often it is decided, milliseconds; the second one while memory is scarce.
const LOOK_MS: u64 = 10;
const LOOK_SCARCE_MS: u64 = 5;
/// Waste, or memory beyond `maxmemory`, in percent: from the first on with the least of the time given below, from the
/// second on with the most.
const OVER_PERCENT: (u64, u64) = (4, 14);
const OVER_CYCLE_PERCENT: (u64, u64) = (5, 80);
/// Longest step at the most of the time, microseconds: ticks in which much is evicted are as long.
const OVER_STEP_US: u64 = 2000;
/// Memory beyond `maxmemory` that is nothing to worry about.
const OVER_BYTES_MIN: u64 = 12 << 20;
/// Blocks looked at before the clock is.
const BLOCKS_PER_LOOK: usize = 64;
/// A round that moved less than one block in so many, and less than this part of what is wasted, is followed by a
/// pause, milliseconds.
const YIELD_MIN: u64 = 200;
const YIELD_PART: u64 = 16;
const PAUSE_MS: u64 = 1000;
/// The pause ends before its time once this part more is wasted: keys that went have left pages sparse.
const WASTE_GROWTH: u64 = 8;
/// Shortest step, microseconds.
const STEP_US_MIN: u64 = 50;

/// What a core knows of its round.
#[derive(Debug, Default)]
pub struct DefragWatch {
    /// Percent of the time that may be spent; 0: none.
    percent: u64,
    looked_ms: u64,
    next_look_ms: u64,
    since_ms: u64,
    paused_until_ms: u64,
    /// What was wasted when the pause began.
    paused_waste: u64,
    /// When time was last credited, and how much there is; clock ticks.
    credited: u64,
    credit: u64,
    /// Database that the round is at.
    table: usize,
    /// Blocks that this round moved and looked at, and the bytes that it moved.
    moved: u64,
    looked: u64,
    moved_bytes: u64,
}

/// What INFO shows of it, over all cores.
#[derive(Debug, Default, Clone, Copy)]
pub struct DefragFigures {
    /// Blocks that were moved, and those that were looked at and stayed.
    pub hits: u64,
    /// See `hits`.
    pub misses: u64,
    /// Keys with a block that moved, and those without.
    pub key_hits: u64,
    /// See `key_hits`.
    pub key_misses: u64,
    /// Time in which blocks were moved, and the present such time; milliseconds.
    pub ms: u64,
    /// See `ms`.
    pub current_ms: u64,
}

impl Shared {
    /// Sums; of times the longest of a core.
    pub fn defrag_figures(&self) -> DefragFigures {
        let most = |of: fn(&CoreCounters) -> &Counter| self.cores.iter().map(|core| of(core).get()).max().unwrap_or(0);
        DefragFigures {
            hits: self.total(|core| &core.defrag_hits),
            misses: self.total(|core| &core.defrag_misses),
            key_hits: self.total(|core| &core.defrag_key_hits),
            key_misses: self.total(|core| &core.defrag_key_misses),
            ms: most(|core| &core.defrag_ms),
            current_ms: most(|core| &core.defrag_current_ms),
        }
    }
}

/// The percentage of time for `value` between the two of `from`, out of the two of `to`.
fn between(value: u64, from: (u64, u64), to: (u64, u64)) -> u64 {
    if value < from.0 {
        return 0;
    }
    let span = from.1.saturating_sub(from.0).max(1);
    let (low, high) = (to.0.min(to.1), to.1);
    low + (high - low) * (value - from.0).min(span) / span
}

fn look_every_ms() -> u64 {
    if alloc::is_scarce() { LOOK_SCARCE_MS } else { LOOK_MS }
}

impl Worker {
    /// Whether a step is due soon.
    pub fn is_defragging(&self) -> bool {
        self.defrag.percent > 0
    }

    /// Once a tick: decides now and then, and does a step.
    #[inline]
    pub fn defrag(&mut self) {
        let now_ms = self.clock.unix_ms();
        if now_ms >= self.defrag.next_look_ms {
            self.decide(now_ms);
        }
        if self.defrag.percent > 0 {
            self.defrag_step(now_ms);
        }
    }

    /// Bytes of the process in memory, as seen lately by whichever core.
    fn resident_bytes(&self, now_ms: u64) -> u64 {
        let seen = self.shared.resident_seen_ms.load(Relaxed);
        let due = now_ms.wrapping_sub(seen) >= look_every_ms() / 2;
        if due && self.shared.resident_seen_ms.compare_exchange(seen, now_ms, Relaxed, Relaxed).is_ok() {
            let resident = usage::resident_bytes();
            self.shared.resident_bytes.store(resident, Relaxed);
            self.note_resident(resident);
        }
        self.shared.resident_bytes.load(Relaxed)
    }

    #[cold]
    fn decide(&mut self, now_ms: u64) {
        let looked_ms = std::mem::replace(&mut self.defrag.looked_ms, now_ms);
        self.defrag.next_look_ms = now_ms + look_every_ms();
        let percent = self.wanted_percent(now_ms);
        if percent > 0 && self.defrag.percent == 0 {
            (self.defrag.credited, self.defrag.credit, self.defrag.since_ms) = (clock::ticks(), 0, now_ms);
        }
        let counters = self.counters();
        counters.defrag_percent.set(percent);
        if self.defrag.percent > 0 {
            counters.defrag_ms.add(now_ms.saturating_sub(self.defrag.since_ms.max(looked_ms)));
        }
        let current = if percent > 0 { now_ms.saturating_sub(self.defrag.since_ms) } else { 0 };
        counters.defrag_current_ms.set(current);
        self.defrag.percent = percent;
    }

    fn wanted_percent(&self, now_ms: u64) -> u64 {
        let config = &self.config;
        let limit = if self.loading.active { 0 } else { config.maxmemory };
        let used = alloc::used_bytes();
        if limit == 0 {
            alloc::set_scarce(false);
        }
        if limit == 0 && !config.activedefrag || used == 0 {
            return 0;
        }
        let resident = self.resident_bytes(now_ms);
        let waste = resident.saturating_sub(used);
        let mut percent = 0;
        if config.activedefrag && waste >= config.defrag_ignore_bytes {
            let pair = |a: u32, b: u32| (u64::from(a), u64::from(b));
            let thresholds = pair(config.defrag_threshold_percent.0, config.defrag_threshold_percent.1);
            let cycle = pair(config.defrag_cycle_percent.0, config.defrag_cycle_percent.1);
            percent = between(waste.saturating_mul(100) / used, thresholds, cycle);
        }
        if limit > 0 {
            let over = resident.saturating_sub(limit).min(waste);
            let over_percent = between(over.saturating_mul(100) / limit, OVER_PERCENT, OVER_CYCLE_PERCENT);
            let scarce = over_percent > 0 && over > OVER_BYTES_MIN;
            alloc::set_scarce(scarce);
            if scarce {
                alloc::give_back_free();
                percent = percent.max(over_percent);
            }
        }
        let grown = waste > self.defrag.paused_waste + self.defrag.paused_waste / WASTE_GROWTH;
        if now_ms < self.defrag.paused_until_ms && !grown { 0 } else { percent }
    }

    fn defrag_step(&mut self, now_ms: u64) {
        let begin = clock::ticks();
        let defrag = &mut self.defrag;
        let earned = begin.wrapping_sub(defrag.credited).saturating_mul(defrag.percent) / 100;
        let urgent = if alloc::is_scarce() { defrag.percent * OVER_STEP_US / OVER_CYCLE_PERCENT.1 } else { 0 };
        let most = clock::us_to_ticks(u64::from(self.config.defrag_cycle_us).max(STEP_US_MIN).max(urgent));
        (defrag.credited, defrag.credit) = (begin, (defrag.credit + earned).min(most));
        if defrag.credit < clock::us_to_ticks(STEP_US_MIN) {
            return;
        }
        let mut ended = false;
        let (mut key_hits, mut key_misses, mut hits, mut misses, mut bytes) = (0, 0, 0, 0, 0);
        while !ended && clock::ticks().wrapping_sub(begin) < defrag.credit {
            let mut mover = Mover::new(alloc::is_sparse, BLOCKS_PER_LOOK);
            ended = self.router.shard.defrag_step(&mut defrag.table, &mut mover);
            (hits, misses, bytes) = (hits + mover.moved, misses + mover.stayed, bytes + mover.moved_bytes);
            (key_hits, key_misses) = (key_hits + mover.keys_moved, key_misses + mover.keys_stayed);
        }
        defrag.credit = defrag.credit.saturating_sub(clock::ticks().wrapping_sub(begin));
        (defrag.moved, defrag.looked) = (defrag.moved + hits, defrag.looked + hits + misses);
        defrag.moved_bytes += bytes;
        if ended {
            alloc::collect();
            alloc::give_back_free();
            let waste = self.shared.resident_bytes.load(Relaxed).saturating_sub(alloc::used_bytes());
            if defrag.moved * YIELD_MIN <= defrag.looked && defrag.moved_bytes * YIELD_PART <= waste {
                (defrag.paused_until_ms, defrag.next_look_ms) = (now_ms + PAUSE_MS, now_ms);
                defrag.paused_waste = waste;
            }
            (defrag.moved, defrag.looked, defrag.moved_bytes) = (0, 0, 0);
        }
        let counters = self.counters();
        counters.defrag_hits.add(hits);
        counters.defrag_misses.add(misses);
        counters.defrag_key_hits.add(key_hits);
        counters.defrag_key_misses.add(key_misses);
    }
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn the_more_waste_the_more_time() {
        let share = |value| between(value, (10, 100), (1, 25));
        assert_eq!([0, 9, 10, 55, 100, 1000].map(share), [0, 0, 1, 13, 25, 25]);
        assert_eq!(between(50, (60, 10), (1, 25)), 0);
        assert_eq!(between(50, (20, 20), (30, 10)), 10);
    }
}

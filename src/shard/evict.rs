//! Which key goes when memory is short: candidates are drawn from the tables at random, the best of them are kept, and
//! the best of those goes first. Never decides whether memory is short, and never reads a clock.
//!
//! Redis draws `maxmemory-samples` keys for each one that goes and remembers the 16 best. Here a draw is a whole
//! bucket of the index, about a dozen entries whose access bits lie in two cache lines, so that a draw sees more keys
//! and touches less memory; an entry itself is read only if it gets among the best. A candidate that was used since it
//! was drawn is dropped when its turn comes.
//!
//! How much a key deserves to go is its *score*, comparable between shards, so that whichever shard has the worst key
//! of all can be told to let it go:
//!
//! | policy | score |
//! |---|---|
//! | `*-lru` | seconds since the last use, plus 1 |
//! | `*-lfu` | 256 less the use counter |
//! | `volatile-ttl` | the later it expires, the smaller |
//! | `*-random` | 1 |

use crate::base::config::EvictionPolicy as Policy;
use crate::shard::access;
use crate::shard::keyspace::Shard;
use crate::types::table::{EXPIRE_MS_MAX, EntryView, Key};
use crate::types::value::Value;
use std::cell::Cell;

/// Candidates that are remembered.
const CANDIDATES_MAX: usize = 16;
/// Buckets drawn in vain before a walk through the table looks for keys with an expiry.
const DRAWS_MAX: usize = 32;
/// Entries that one step of that walk visits.
const WALK_ENTRIES: usize = 2048;
/// Members that are freed at once of a value that goes under `lazyfree-lazy-eviction no`; the rest is freed in steps.
const FREE_AT_ONCE: usize = 4096;

#[derive(Debug)]
struct Candidate {
    score: u64,
    db: usize,
    key: Vec<u8>,
}

/// What evicting remembers between two steps.
#[derive(Debug, Default)]
pub struct Eviction {
    /// The best last.
    candidates: Vec<Candidate>,
    /// The policy they were drawn under.
    policy: Option<Policy>,
    /// Where the walk for keys with an expiry goes on: database and cursor of the table.
    walk: (usize, u64),
}

impl Shard {
    /// Draws candidates and answers the score of the best; 0 if no key may go.
    pub fn victim_score(&mut self) -> u64 {
        let policy = self.settings.eviction;
        if self.eviction.policy != Some(policy) {
            self.eviction = Eviction { policy: Some(policy), ..Eviction::default() };
        }
        if policy == Policy::Noeviction {
            return 0;
        }
        self.draw();
        while let Some(best) = self.eviction.candidates.pop() {
            let entry = self.tables[best.db].find(Key::new(&best.key));
            let score = entry.and_then(|entry| self.score(entry.access, entry.expire_ms));
            let Some(score) = score.filter(|_| !self.keeps(&best.key)) else { continue };
            // An idle key only gets older; one that was used meanwhile has to be the best anew.
            let next = self.eviction.candidates.last().map_or(0, |next| next.score);
            if score >= best.score || score >= next {
                self.eviction.candidates.push(Candidate { score, ..best });
                return score;
            }
            self.keep(score, best.db, &best.key);
        }
        0
    }

    /// Removes the best candidate; false if no key may go.
    pub fn evict_one(&mut self) -> bool {
        if self.victim_score() == 0 {
            return false;
        }
        let Some(Candidate { db, key, .. }) = self.eviction.candidates.pop() else { return false };
        let place = Key::new(&key);
        if !self.settings.lazy_eviction {
            self.free_at_once(db, place);
        }
        if !self.remove(db, place) {
            return true; // it was due, and went for that
        }
        // Nobody wrote: it is no change to be saved.
        self.dirty -= 1;
        self.stats.evicted += 1;
        self.events.evict(db, &key);
        true
    }

    /// Whether a key stays until the snapshot has written its value, which it does soon.
    fn keeps(&mut self, key: &[u8]) -> bool {
        let pos = Key::new(key).pos;
        let keeps = self.snapshot.has_huge() && self.unwritten_huge(pos).is_some();
        if keeps {
            self.write_first(pos);
        }
        keeps
    }

    /// Frees what the value holds before the key goes, instead of in later steps.
    fn free_at_once(&mut self, db: usize, key: Key<'_>) {
        if let Some(value) = self.tables[db].boxed_mut(key)
            && !matches!(value, Value::Str(_))
        {
            value.free_step(FREE_AT_ONCE);
        }
    }

    /// What a key with these access bits and this expiry scores; `None` if it may not go.
    fn score(&self, code: u16, expire_ms: Option<u64>) -> Option<u64> {
        use Policy::{AllkeysLfu, AllkeysLru, AllkeysRandom, Noeviction};
        use Policy::{VolatileLfu, VolatileLru, VolatileRandom, VolatileTtl};
        let policy = self.settings.eviction;
        if expire_ms.is_none() && !matches!(policy, AllkeysLfu | AllkeysLru | AllkeysRandom) {
            return None;
        }
        Some(match policy {
            Noeviction => return None,
            AllkeysRandom | VolatileRandom => 1,
            AllkeysLru | VolatileLru => access::idle_s(code, self.now_ms) + 1,
            AllkeysLfu | VolatileLfu => 256 - u64::from(access::frequency(&self.settings, code, self.now_ms)),
            VolatileTtl => EXPIRE_MS_MAX + 1 - expire_ms?.min(EXPIRE_MS_MAX),
        })
    }

    fn only_expiring(&self) -> bool {
        !matches!(self.settings.eviction, Policy::AllkeysLfu | Policy::AllkeysLru | Policy::AllkeysRandom)
    }

    fn is_random(&self) -> bool {
        matches!(self.settings.eviction, Policy::AllkeysRandom | Policy::VolatileRandom)
    }

    /// Looks at `maxmemory-samples` keys or more and keeps the best.
    fn draw(&mut self) {
        let only_expiring = self.only_expiring();
        let weight = |db: usize| if only_expiring { self.expiring(db) } else { self.len(db) };
        let total: usize = (0..self.tables.len()).map(weight).sum();
        if total == 0 {
            self.eviction.candidates.clear();
            return;
        }
        let mut seen = 0;
        for _ in 0..DRAWS_MAX {
            let mut left = self.random_u64() as usize % total;
            let db = (0..self.tables.len()).find(|db| {
                let weight = if only_expiring { self.expiring(*db) } else { self.len(*db) };
                let here = left < weight;
                left = left.wrapping_sub(weight);
                here
            });
            seen += self.draw_from(db.unwrap_or(0));
            if seen >= self.settings.eviction_samples {
                return;
            }
        }
        if seen == 0 && self.eviction.candidates.is_empty() {
            self.walk();
        }
    }

    /// Looks at one bucket of a database; returns how many of its keys may go.
    fn draw_from(&mut self, db: usize) -> usize {
        let only_expiring = self.only_expiring();
        let floor = self.floor();
        let only_one = self.is_random();
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        let seen = Cell::new(0);
        let (mut random, mut dice, mut chances) = (self.random_u64(), self.random_u64(), 0);
        let shard = &*self;
        let draw = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random ^ random >> 32
        };
        shard.tables[db].sample(
            draw,
            |code| {
                // Without a look at the entry, where its access bits tell enough.
                seen.set(seen.get() + usize::from(!only_expiring));
                only_expiring || shard.score(code, None).is_some_and(|score| score > floor)
            },
            |entry: EntryView<'_>| {
                let Some(score) = shard.score(entry.access, entry.expire_ms) else { return };
                seen.set(seen.get() + usize::from(only_expiring));
                if only_one {
                    // Each with the same chance: new keys take the first free place of a bucket.
                    chances += 1;
                    if access::splitmix(&mut dice).is_multiple_of(chances) {
                        found = vec![(score, entry.key.to_vec())];
                    }
                } else if score > floor {
                    found.push((score, entry.key.to_vec()));
                }
            },
        );
        if only_one && !found.is_empty() {
            // None is better than another, and those that were left over would go before all others.
            self.eviction.candidates.clear();
        }
        found.into_iter().for_each(|(score, key)| self.keep(score, db, &key));
        seen.get()
    }

    /// The score that a candidate has to exceed.
    fn floor(&self) -> u64 {
        let candidates = &self.eviction.candidates;
        if candidates.len() < CANDIDATES_MAX { 0 } else { candidates[0].score }
    }

    fn keep(&mut self, score: u64, db: usize, key: &[u8]) {
        let candidates = &mut self.eviction.candidates;
        if candidates.iter().any(|known| known.db == db && known.key == key) {
            return;
        }
        let at = candidates.partition_point(|known| known.score < score);
        candidates.insert(at, Candidate { score, db, key: key.to_vec() });
        if candidates.len() > CANDIDATES_MAX {
            candidates.remove(0);
        }
    }

    /// Looks for keys with an expiry one after the other: where they are few, draws do not find them.
    fn walk(&mut self) {
        for _ in 0..=self.tables.len() {
            let (db, cursor) = self.eviction.walk;
            let db = db % self.tables.len();
            let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
            let mut next = cursor;
            if self.expiring(db) > 0 {
                next = self.tables[db].scan(cursor, WALK_ENTRIES, self.slots.clone(), |entry| {
                    if let Some(score) = self.score(entry.access, entry.expire_ms)
                        && found.len() < CANDIDATES_MAX
                    {
                        found.push((score, entry.key.to_vec()));
                    }
                });
            }
            let ended = next == 0;
            self.eviction.walk = if ended { (db + 1, 0) } else { (db, next) };
            found.into_iter().for_each(|(score, key)| self.keep(score, db, &key));
            if !self.eviction.candidates.is_empty() || !ended {
                return;
            }
        }
    }

    /// Moves up to about `pieces` pieces of 8 KB of each table together, so that idle memory can be given back.
    pub fn tidy_short(&mut self, pieces: usize) {
        for table in &mut self.tables {
            table.tidy_short_step(pieces);
        }
    }

    /// Bytes that are allocated but free for new entries, or about to be freed: memory that is not short.
    pub fn idle_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.idle_bytes()).sum::<usize>() + self.lazy.pending_bytes() as usize
    }
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;

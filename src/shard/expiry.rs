//! Active expiry: looks for due keys in budgeted steps, table by table. Lookups remove due keys by themselves
//! ([`crate::shard::keyspace`]). Never reads a clock.

use crate::shard::access::{self, SWEEP_ROUND_MS};
use crate::shard::keyspace::Shard;

/// Pieces of 8 KB that a step may move to give memory back.
const TIDY_PIECES: usize = 8;

/// What the steps remember.
#[derive(Debug, Default)]
pub struct ActiveExpiry {
    /// Database the next step begins with.
    next_db: usize,
    /// Database whose access bits are being aged, and when that was last done.
    aging_db: usize,
    aged_at_ms: u64,
    /// Mean time to live of the expiring keys seen lately, per database, milliseconds.
    avg_ttl_ms: Vec<u64>,
    /// Expired keys among the expiring keys seen lately, per ten thousand.
    stale_per_10000: u64,
}

impl Shard {
    /// One step of active expiry: looks at no more than about `budget` entries and removes those that are due; goes
    /// on where it stopped. Returns how many it removed. Also ages the access bits, in proportion to the time passed,
    /// and draws sparse memory together.
    pub fn expire_step(&mut self, budget: usize) -> u64 {
        self.age_step();
        for table in &mut self.tables {
            table.tidy_step(TIDY_PIECES);
        }
        if !self.settings.active_expire || self.settings.keeps_due {
            return 0;
        }
        let mut left = budget;
        let mut removed = 0;
        self.expire_fields_step(budget);
        for _ in 0..self.tables.len() {
            let db = self.expiry.next_db % self.tables.len();
            let (lazy, events, watches) = (&mut self.lazy, &mut self.events, &mut self.watches);
            let fields = &mut self.field_expiry;
            let swept = self.tables[db].sweep_expired(self.now_ms, left, |key, boxed| {
                lazy.value(fields.forget(db, key, boxed));
                watches.touched(db, key);
                events.expired(db, key);
            });
            removed += swept.expired as u64;
            self.expiry.note_ttl(db, swept.alive as u64, swept.ttl_ms_sum);
            self.expiry.note_stale(swept.expired as u64, swept.alive as u64);
            self.expiry.next_db = db + 1;
            left = left.saturating_sub(swept.visited);
            if left == 0 {
                self.stats.expire_capped += 1;
                break;
            }
        }
        self.stats.expired += removed;
        self.stats.expired_active += removed;
        removed
    }

    /// `avg_ttl` of INFO keyspace, milliseconds: an estimate from the keys that active expiry has seen lately; 0 if
    /// nothing expires.
    pub fn avg_ttl_ms(&self, db: usize) -> u64 {
        if self.tables[db].expiring() == 0 {
            return 0;
        }
        self.expiry.avg_ttl_ms.get(db).copied().unwrap_or(0)
    }

    /// `expired_stale_perc` of INFO: percent of the expiring keys seen lately that were due.
    pub fn expired_stale_percent(&self) -> f64 {
        self.expiry.stale_per_10000 as f64 / 100.0
    }

    /// Ages as many access stamps as the time since the last step asks for.
    fn age_step(&mut self) {
        let elapsed = self.now_ms.saturating_sub(self.expiry.aged_at_ms).min(SWEEP_ROUND_MS);
        let total: u64 = self.tables.iter().map(|t| t.len() as u64).sum();
        let mut left = total * elapsed / SWEEP_ROUND_MS;
        if left == 0 && elapsed < SWEEP_ROUND_MS {
            return;
        }
        self.expiry.aged_at_ms = self.now_ms;
        for _ in 0..=self.tables.len() {
            let db = self.expiry.aging_db % self.tables.len();
            let len = self.tables[db].len() as u64;
            let (settings, now_ms) = (&self.settings, self.now_ms);
            let done = self.tables[db].sweep_access(left as usize + 1, |code| access::age(settings, code, now_ms));
            if !done {
                return;
            }
            self.expiry.aging_db = db + 1;
            left = left.saturating_sub(len);
        }
    }
}

impl ActiveExpiry {
    /// Moves the mean one fiftieth of the way to what a sweep saw, the whole way at first.
    fn note_ttl(&mut self, db: usize, count: u64, sum_ms: u64) {
        if count == 0 {
            return;
        }
        if self.avg_ttl_ms.len() <= db {
            self.avg_ttl_ms.resize(db + 1, 0);
        }
        let seen = sum_ms / count;
        let avg = &mut self.avg_ttl_ms[db];
        *avg = if *avg == 0 { seen } else { (*avg * 49 + seen) / 50 };
    }

    fn note_stale(&mut self, expired: u64, alive: u64) {
        if let Some(stale) = (expired * 10_000).checked_div(expired + alive) {
            self.stale_per_10000 = (self.stale_per_10000 * 19 + stale) / 20;
        }
    }
}

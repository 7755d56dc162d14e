//! What a shard does differently while data is loaded into it: keys come in without a trace, and nothing is due.

use crate::shard::access;
use crate::shard::keyspace::Shard;
use crate::shard::settings::{AccessClock, ShardSettings};
use crate::types::rdb::Attributes;
use crate::types::table::{Expire, Inserted, Key};
use crate::types::value::NewValue;

/// About thirty years: how far the clock of a log that runs again is set back.
const SET_BACK_MS: u64 = 30 * 365 * 86_400_000;

/// The time at which the commands of a log run: so long ago that nothing which the log says was there has expired, and
/// a whole number of rounds of the access clock ago, so that keys get the access bits of `now_ms`.
pub fn clock_of_log(settings: &ShardSettings, now_ms: u64) -> u64 {
    let round_ms = access::ROUND_MS * u64::from(settings.lfu_decay_minutes.max(1));
    now_ms.saturating_sub(SET_BACK_MS / round_ms * round_ms)
}

impl Shard {
    /// Everything goes, and what `other` holds takes its place (DEBUG LOADAOF). Nothing of that is journaled.
    pub fn take_data(&mut self, other: Shard) {
        self.flush(None);
        self.tables = other.tables;
        self.field_expiry = other.field_expiry;
        self.dirty = 0;
    }

    /// About so many keys will be loaded into a database; one that is empty makes ready for them.
    pub fn expect(&mut self, db: usize, keys: u64) {
        self.tables[db].expect(keys as usize, &self.slots);
    }

    /// Puts in a key that comes from a file, last used as `loaded` says or at `now_ms`. Counts no change, tells no
    /// event and wakes nobody. False if the key is there already.
    pub fn load(&mut self, db: usize, key: Key<'_>, mut value: NewValue<'_>, loaded: Attributes, now_ms: u64) -> bool {
        if let NewValue::Boxed(value) = &mut value {
            let note = value.renew_note();
            self.note_fields(db, key, note);
        }
        let expire = loaded.expire_ms.map_or(Expire::Clear, Expire::At);
        let (settings, random) = (&self.settings, &mut self.random);
        let inserted = self.tables[db].insert(key, value, expire, |_| match (settings.access_clock, loaded) {
            (AccessClock::Recency, Attributes { idle_s: Some(idle_s), .. }) => access::encode_idle(idle_s, now_ms),
            (AccessClock::Frequency, Attributes { frequency: Some(frequency), .. }) => {
                access::encode_frequency(settings, frequency, now_ms)
            }
            _ => access::stamp(settings, random, None, now_ms),
        });
        if self.events.journaled && !self.reloads {
            self.record_key(db, key.bytes);
        }
        inserted == Inserted::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_228_262_001;

    #[test]
    fn the_clock_of_a_log_gives_the_access_bits_of_now() {
        for decay in [0, 1, 7] {
            for access_clock in [AccessClock::Recency, AccessClock::Frequency] {
                let settings = ShardSettings { lfu_decay_minutes: decay, access_clock, ..ShardSettings::default() };
                let then = clock_of_log(&settings, NOW);
                assert!(then < NOW - 29 * 365 * 86_400_000, "{then}");
                let stamp = |at| access::stamp(&settings, &mut 1, None, at);
                assert_eq!(stamp(then), stamp(NOW));
            }
        }
    }

    #[test]
    fn a_loaded_key_leaves_no_trace() {
        let mut shard = Shard::new(1, 0..16384, 1);
        (shard.now_ms, shard.events.wanted) = (NOW, u16::MAX);
        let loaded = Attributes { expire_ms: Some(NOW + 5000), idle_s: Some(77), frequency: Some(9) };
        let key = Key::new(b"k");
        assert!(shard.load(0, key, NewValue::Str { bytes: b"v", raw: false }, loaded, NOW));
        assert!(!shard.load(0, key, NewValue::Int(1), loaded, NOW), "it is there already");
        assert_eq!((shard.dirty, shard.events.happened.len()), (0, 0));
        assert_eq!(shard.idle_s(0, key), Some(77));
        assert_eq!(shard.peek(0, key).and_then(|entry| entry.expire_ms), Some(NOW + 5000));
    }
}

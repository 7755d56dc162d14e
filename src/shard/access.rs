//! When a key was last used, or how often, in 10 bits. Never decides what is evicted and never sees a key.
//!
//! The bits lie in the table's index, so a read stamps them without touching the entry. Two meanings, as
//! `maxmemory-policy` says; a change of policy leaves bits of the other meaning until keys are used again, as in Redis.
//!
//! **LRU**, five rings of time stamps, each coarser than the one before; a background sweep ([`age`]) moves a stamp to
//! the next ring before its own wraps. What is told is exact at first and then at most an eighth too long:
//!
//! | codes | unit | holds idle times up to |
//! |---|---|---|
//! | 0..320 | 1 s | 240 s |
//! | 320..512 | 8 s | 21 minutes |
//! | 512..688 | 64 s | 2.7 hours |
//! | 688..864 | 1024 s | 43 hours |
//! | 864..1024 | 16384 s | 28 days, and stays there |
//!
//! The first ring wraps after 320 s, so every stamp must be swept at least every 80 s ([`SWEEP_ROUND_MS`]).
//!
//! **LFU**: 8 bits of logarithmic counter above 2 bits of decay clock (the count of decay periods, modulo 4), as in
//! Redis's LFU (redis.conf, `lfu-log-factor`, `lfu-decay-time`), which keeps 16 bits of minutes instead; the same sweep
//! applies the decay before the 2 bits wrap.

use crate::shard::settings::{AccessClock, ShardSettings};

/// How long a round of the sweep may take, milliseconds.
pub const SWEEP_ROUND_MS: u64 = 40_000;

/// After so long the bits of a key that is used look the same again (for each minute of `lfu-decay-time`).
pub(super) const ROUND_MS: u64 = 3 * 1000 * EXACT_CODES;
const _: () = assert!(ROUND_MS.is_multiple_of(4 * 60_000));

const EXACT_CODES: u64 = 320;
const EXACT_IDLE_MAX: u64 = 240;
const RINGS: [Ring; 4] = [
    Ring { first: EXACT_CODES, codes: 192, unit_s: 8, age_max: 160 },
    Ring { first: 512, codes: 176, unit_s: 64, age_max: 150 },
    Ring { first: 688, codes: 176, unit_s: 1024, age_max: 150 },
    Ring { first: 864, codes: 160, unit_s: 16384, age_max: 150 },
];
const _: () = {
    assert!(SWEEP_ROUND_MS / 1000 < EXACT_CODES - EXACT_IDLE_MAX);
    let (mut ring, mut first) = (0, EXACT_CODES);
    while ring < RINGS.len() {
        let Ring { codes, unit_s, age_max, .. } = RINGS[ring];
        assert!(RINGS[ring].first == first && SWEEP_ROUND_MS / 1000 < (codes - age_max - 1) * unit_s);
        first += codes;
        ring += 1;
    }
    assert!(first == 1024);
};

/// Counter of a new key under LFU (Redis LFU_INIT_VAL).
const LFU_COUNTER_INIT: u16 = 5;

/// A coarse ring of stamps: code `first + unit number % codes`.
struct Ring {
    first: u64,
    codes: u64,
    unit_s: u64,
    /// Units after which a stamp must leave the ring.
    age_max: u64,
}

impl Ring {
    /// The ring of a code; `None` for the first, exact one.
    fn of(code: u16) -> Option<&'static Ring> {
        RINGS.iter().rev().find(|ring| u64::from(code) >= ring.first)
    }
    fn encode(&self, last_s: u64) -> u16 {
        (self.first + last_s / self.unit_s % self.codes) as u16
    }
    fn age_units(&self, code: u16, now_s: u64) -> u64 {
        (now_s / self.unit_s + self.codes - (u64::from(code) - self.first) % self.codes) % self.codes
    }
    /// The begin of the unit in which the stamp was made.
    fn last_s(&self, code: u16, now_s: u64) -> u64 {
        (now_s / self.unit_s).saturating_sub(self.age_units(code, now_s)) * self.unit_s
    }
}

/// The bits of a key that is used now; `old` is `None` for a new key.
#[inline]
pub fn stamp(settings: &ShardSettings, random: &mut u64, old: Option<u16>, now_ms: u64) -> u16 {
    if settings.access_clock == AccessClock::Frequency {
        return stamp_use(settings, random, old, now_ms);
    }
    (now_ms / 1000 % EXACT_CODES) as u16
}

fn stamp_use(settings: &ShardSettings, random: &mut u64, old: Option<u16>, now_ms: u64) -> u16 {
    let counter = match old {
        None => LFU_COUNTER_INIT,
        Some(old) => {
            let counter = decayed(settings, old, now_ms);
            let above = u64::from(counter.saturating_sub(LFU_COUNTER_INIT));
            let odds = above * u64::from(settings.lfu_log_factor) + 1;
            counter + u16::from(counter < 255 && splitmix(random).is_multiple_of(odds))
        }
    };
    counter << 2 | period(settings, now_ms)
}

/// What the sweep makes of an entry's bits.
#[inline]
pub fn age(settings: &ShardSettings, code: u16, now_ms: u64) -> u16 {
    if settings.access_clock == AccessClock::Frequency {
        return decayed(settings, code, now_ms) << 2 | period(settings, now_ms);
    }
    let now_s = now_ms / 1000;
    match Ring::of(code) {
        None if exact_idle(code, now_s) <= EXACT_IDLE_MAX => code,
        Some(ring) if ring.age_units(code, now_s) <= ring.age_max => code,
        _ => encode_idle(idle_s(code, now_ms), now_ms),
    }
}

/// `OBJECT IDLETIME`: seconds since the last use. Meaningless under LFU.
pub fn idle_s(code: u16, now_ms: u64) -> u64 {
    let now_s = now_ms / 1000;
    match Ring::of(code) {
        None => exact_idle(code, now_s),
        Some(ring) => now_s - ring.last_s(code, now_s),
    }
}

/// The bits of a key that was last used `idle_s` seconds ago (`RESTORE ... IDLETIME`); saturates at 28 days.
pub fn encode_idle(idle_s: u64, now_ms: u64) -> u16 {
    let now_s = now_ms / 1000;
    let last_s = now_s.saturating_sub(idle_s);
    if idle_s <= EXACT_IDLE_MAX {
        return (last_s % EXACT_CODES) as u16;
    }
    match RINGS.iter().find(|ring| now_s / ring.unit_s - last_s / ring.unit_s <= ring.age_max) {
        Some(ring) => ring.encode(last_s),
        None => {
            let ring = &RINGS[RINGS.len() - 1];
            ring.encode((now_s / ring.unit_s).saturating_sub(ring.age_max) * ring.unit_s)
        }
    }
}

/// `OBJECT FREQ`: the logarithmic counter, decayed up to now. Meaningless under LRU.
pub fn frequency(settings: &ShardSettings, code: u16, now_ms: u64) -> u8 {
    decayed(settings, code, now_ms) as u8
}

/// The bits of a key with this counter (`RESTORE ... FREQ`).
pub fn encode_frequency(settings: &ShardSettings, counter: u8, now_ms: u64) -> u16 {
    u16::from(counter) << 2 | period(settings, now_ms)
}

/// The decay period, modulo 4.
fn period(settings: &ShardSettings, now_ms: u64) -> u16 {
    match settings.lfu_decay_minutes {
        0 => 0,
        minutes => (now_ms / 60_000 / u64::from(minutes) % 4) as u16,
    }
}

fn decayed(settings: &ShardSettings, code: u16, now_ms: u64) -> u16 {
    let counter = code >> 2;
    if settings.lfu_decay_minutes == 0 {
        return counter;
    }
    counter.saturating_sub((period(settings, now_ms) + 4 - code % 4) % 4)
}

/// The splitmix64 generator (Steele, Lea, Flood 2014).
pub(super) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn exact_idle(code: u16, now_s: u64) -> u64 {
    (now_s + EXACT_CODES - u64::from(code)) % EXACT_CODES
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_700_000_123_456;

    /// Ages a stamp made at T0 every 30 s and returns (true idle, told idle) at each step.
    fn told(steps: u64) -> Vec<(u64, u64)> {
        let (lru, mut dice) = (ShardSettings::default(), 7);
        let mut code = stamp(&lru, &mut dice, None, T0);
        let mut out = Vec::new();
        for i in 0..steps {
            let now = T0 + i * 30_000;
            code = age(&lru, code, now);
            out.push((i * 30, idle_s(code, now)));
        }
        out
    }

    /// Exact at first, then never less and at most an eighth more, up to where it stays.
    fn assert_near(idle: u64, told: u64) {
        const MOST: u64 = 150 * 16384;
        match idle {
            0..=240 => assert_eq!(told, idle),
            _ if idle < MOST - 16384 => {
                assert!((idle..=idle + idle / 8).contains(&told), "{idle} told as {told}");
            }
            _ => assert!(told.abs_diff(idle.min(MOST)) <= 2 * 16384, "{idle} told as {told}"),
        }
    }

    #[test]
    fn idle_time_is_exact_at_first_and_near_for_weeks() {
        for (idle, told) in told(60 * 86400 / 30) {
            assert_near(idle, told);
        }
    }

    #[test]
    fn set_idle_times_read_back() {
        for idle in (0..3_000_000).step_by(7).chain([100_000_000]) {
            assert_near(idle, idle_s(encode_idle(idle, T0), T0));
        }
        let told = idle_s(encode_idle(1000, T0), T0);
        assert!((1000..1008).contains(&told), "{told}");
    }

    #[test]
    fn frequency_rises_logarithmically_and_decays() {
        let (mut lfu, mut dice) = (ShardSettings { access_clock: AccessClock::Frequency, ..Default::default() }, 7);
        let mut code = stamp(&lfu, &mut dice, None, T0);
        assert_eq!(frequency(&lfu, code, T0), 5);
        for _ in 0..1000 {
            code = stamp(&lfu, &mut dice, Some(code), T0);
        }
        // redis.conf: factor 10, 1000 hits gives about 18.
        let f = frequency(&lfu, code, T0);
        assert!((12..=25).contains(&f), "{f}");
        assert_eq!(frequency(&lfu, code, T0 + 2 * 60_000), f - 2);
        for minute in 1..=200 {
            code = age(&lfu, code, T0 + minute * 60_000);
        }
        assert_eq!(frequency(&lfu, code, T0 + 200 * 60_000), 0);
        assert_eq!(frequency(&lfu, encode_frequency(&lfu, 200, T0), T0), 200);
        lfu.lfu_decay_minutes = 0;
        assert_eq!(frequency(&lfu, encode_frequency(&lfu, 200, T0), T0 + 180_000), 200);
    }

    #[test]
    fn counter_saturates() {
        let (mut lfu, mut dice) = (ShardSettings { access_clock: AccessClock::Frequency, ..Default::default() }, 7);
        lfu.lfu_log_factor = 0;
        let mut code = stamp(&lfu, &mut dice, None, T0);
        for _ in 0..300 {
            code = stamp(&lfu, &mut dice, Some(code), T0);
        }
        assert_eq!(frequency(&lfu, code, T0), 255);
        assert!(code <= crate::types::table::ACCESS_MAX);
    }
}

//! When a key was last used, or how often, in 10 bits. Never decides what is evicted and never sees a key.
//!
//! The bits lie in the table's index, so a read stamps them without touching the entry. Two meanings, as
//! `maxmemory-policy` says; a change of policy leaves bits of the other meaning until keys are used again, as in Redis.
//!
//! **LRU**, three rings of time stamps, each coarser than the one before; a background sweep ([`age`])
//! moves a stamp to the next ring before its own wraps:
//!
//! | codes | unit | holds idle times up to | after that |
//! |---|---|---|---|
//! | 0..640 | 1 s | 500 s, exact | second ring |
//! | 640..832 | 512 s | 22 h | third ring |
//! | 832..1024 | 16384 s | 33 days | stays at 33 days |
//!
//! The first ring wraps after 640 s, so every stamp must be swept at least every 140 s ([`SWEEP_ROUND_MS`]).
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

const EXACT_CODES: u64 = 640;
const EXACT_IDLE_MAX: u64 = 500;
const RING_CODES: u64 = 192;
const MIDDLE: Ring = Ring { first: EXACT_CODES, unit_s: 512, age_max: 160 };
const COARSE: Ring = Ring { first: EXACT_CODES + RING_CODES, unit_s: 16384, age_max: 176 };
const _: () = assert!(COARSE.first + RING_CODES == 1024);
const _: () = assert!(SWEEP_ROUND_MS / 1000 < EXACT_CODES - EXACT_IDLE_MAX);

/// Counter of a new key under LFU (Redis LFU_INIT_VAL).
const LFU_COUNTER_INIT: u16 = 5;

/// A coarse ring of stamps: code `first + unit number % RING_CODES`.
struct Ring {
    first: u64,
    unit_s: u64,
    /// Units after which a stamp must leave the ring.
    age_max: u64,
}

impl Ring {
    fn encode(&self, last_s: u64) -> u16 {
        (self.first + last_s / self.unit_s % RING_CODES) as u16
    }
    fn age_units(&self, code: u16, now_s: u64) -> u64 {
        (now_s / self.unit_s + RING_CODES - (u64::from(code) - self.first)) % RING_CODES
    }
    /// The middle of the unit in which the stamp was made.
    fn last_s(&self, code: u16, now_s: u64) -> u64 {
        let unit = (now_s / self.unit_s).saturating_sub(self.age_units(code, now_s));
        (unit * self.unit_s + self.unit_s / 2).min(now_s)
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
    if u64::from(code) < EXACT_CODES {
        let idle = exact_idle(code, now_s);
        if idle > EXACT_IDLE_MAX { MIDDLE.encode(now_s - idle) } else { code }
    } else if u64::from(code) < COARSE.first {
        if MIDDLE.age_units(code, now_s) > MIDDLE.age_max { COARSE.encode(MIDDLE.last_s(code, now_s)) } else { code }
    } else if COARSE.age_units(code, now_s) > COARSE.age_max {
        COARSE.encode(now_s.saturating_sub(COARSE.age_max * COARSE.unit_s))
    } else {
        code
    }
}

/// `OBJECT IDLETIME`: seconds since the last use. Meaningless under LFU.
pub fn idle_s(code: u16, now_ms: u64) -> u64 {
    let now_s = now_ms / 1000;
    match u64::from(code) {
        c if c < EXACT_CODES => exact_idle(code, now_s),
        c if c < COARSE.first => now_s - MIDDLE.last_s(code, now_s),
        _ => now_s - COARSE.last_s(code, now_s),
    }
}

/// The bits of a key that was last used `idle_s` seconds ago (`RESTORE ... IDLETIME`); saturates at 33 days.
pub fn encode_idle(idle_s: u64, now_ms: u64) -> u16 {
    let now_s = now_ms / 1000;
    let last_s = now_s.saturating_sub(idle_s);
    if idle_s <= EXACT_IDLE_MAX {
        (last_s % EXACT_CODES) as u16
    } else if idle_s <= MIDDLE.age_max * MIDDLE.unit_s {
        MIDDLE.encode(last_s)
    } else {
        COARSE.encode(last_s.max(now_s.saturating_sub(COARSE.age_max * COARSE.unit_s)))
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

    #[test]
    fn idle_time_is_exact_at_first_and_right_in_magnitude_for_weeks() {
        for (idle, told) in told(60 * 86400 / 30) {
            match idle {
                0..=500 => assert_eq!(told, idle),
                501..=79_000 => assert!(told.abs_diff(idle) <= 512, "{idle} told as {told}"),
                79_001..=2_800_000 => assert!(told.abs_diff(idle) <= 17_000, "{idle} told as {told}"),
                _ => assert!(told >= 2_800_000, "{idle} told as {told}"),
            }
        }
    }

    #[test]
    fn set_idle_times_read_back() {
        for idle in [0, 1, 10, 499, 500, 501, 1000, 81_920, 81_921, 500_000, 2_800_000, 100_000_000] {
            let told = idle_s(encode_idle(idle, T0), T0);
            let slack = if idle <= 500 { 0 } else { 512 + idle / 20 };
            let expected = idle.min(COARSE.age_max * COARSE.unit_s);
            assert!(told.abs_diff(expected) <= slack.min(16_384), "{idle} told as {told}");
        }
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

//! Tests of evicting: which keys go under each policy, and how well that serves a skewed trace.

use super::*;
use crate::shard::events::class;
use crate::shard::settings::AccessClock;
use crate::types::table::Expire;
use crate::types::value::NewValue;

fn shard(policy: Policy) -> Shard {
    let mut shard = Shard::new(16, 0..16384, 7);
    shard.now_ms = 1_700_000_000_000;
    shard.settings.eviction = policy;
    if matches!(policy, Policy::AllkeysLfu | Policy::VolatileLfu) {
        shard.settings.access_clock = AccessClock::Frequency;
    }
    shard
}

fn name(n: usize) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn add(shard: &mut Shard, n: usize, expire: Expire) {
    let value = NewValue::Str { bytes: b"some value", raw: false };
    shard.set(n % 3, Key::new(&name(n)), value, expire);
}

fn there(shard: &mut Shard, n: usize) -> bool {
    shard.exists(n % 3, Key::new(&name(n)))
}

#[test]
fn the_keys_used_longest_ago_go() {
    let mut shard = shard(Policy::AllkeysLru);
    (0..1000).for_each(|n| add(&mut shard, n, Expire::Clear));
    shard.now_ms += 100_000;
    for n in 500..1000 {
        assert!(shard.read(n % 3, Key::new(&name(n)), false).is_some());
    }
    shard.events.wanted = class::EVICTED;
    shard.events.journaled = true;
    let dirty = shard.dirty;
    (0..300).for_each(|_| assert!(shard.evict_one()));
    let young = (500..1000).filter(|n| !there(&mut shard, *n)).count();
    assert!(young <= 2, "{young} keys went that were used lately");
    assert_eq!((shard.stats.evicted, shard.dirty), (300, dirty));
    assert_eq!((shard.events.happened.len(), shard.events.due.len()), (300, 300));
    assert_eq!(shard.events.happened[0].event, "evicted");
    while shard.evict_one() {}
    assert!(shard.is_empty() && shard.victim_score() == 0);
}

#[test]
fn a_candidate_that_was_used_stays() {
    let mut shard = shard(Policy::AllkeysLru);
    (0..100).for_each(|n| add(&mut shard, n, Expire::Clear));
    shard.now_ms += 60_000;
    assert_eq!(shard.victim_score(), 61);
    for n in (0..100).filter(|n| *n != 57) {
        assert!(shard.touch(n % 3, Key::new(&name(n))));
    }
    // so many samples that none of the keys was passed over in all of them
    (0..1000).for_each(|_| assert!(shard.victim_score() > 0));
    assert!(shard.evict_one());
    assert!(!there(&mut shard, 57));
}

#[test]
fn the_keys_used_least_often_go() {
    let mut shard = shard(Policy::AllkeysLfu);
    (0..1000).for_each(|n| add(&mut shard, n, Expire::Clear));
    for n in 0..200 {
        for _ in 0..60 {
            shard.touch(n % 3, Key::new(&name(n)));
        }
    }
    (0..500).for_each(|_| assert!(shard.evict_one()));
    assert!((0..200).filter(|n| !there(&mut shard, *n)).count() <= 2);
}

#[test]
fn only_keys_with_an_expiry_go() {
    for policy in [Policy::VolatileLru, Policy::VolatileLfu, Policy::VolatileRandom, Policy::VolatileTtl] {
        let mut shard = shard(policy);
        // One in a hundred: draws alone would seldom find one.
        for n in 0..5000 {
            let expire = if n % 100 == 0 { Expire::At(shard.now_ms + 10_000 + n as u64) } else { Expire::Clear };
            add(&mut shard, n, expire);
        }
        (0..50).for_each(|_| assert!(shard.evict_one(), "{policy:?}"));
        assert!(!shard.evict_one() && shard.victim_score() == 0);
        assert!((0..5000).all(|n| there(&mut shard, n) == (n % 100 != 0)));
    }
    let mut shard = shard(Policy::Noeviction);
    add(&mut shard, 1, Expire::Clear);
    assert!(!shard.evict_one());
}

#[test]
fn the_keys_that_expire_soonest_go() {
    let mut shard = shard(Policy::VolatileTtl);
    for n in 0..1000 {
        let at = shard.now_ms + 10_000 + n as u64 * 1000;
        add(&mut shard, n, Expire::At(at));
    }
    // so many samples that the best of them are of the earlier half
    (0..1000).for_each(|_| assert!(shard.victim_score() > 0));
    (0..200).for_each(|_| assert!(shard.evict_one()));
    assert!((500..1000).all(|n| there(&mut shard, n)), "of the later half none goes");
}

#[test]
fn any_key_may_go() {
    let mut shard = shard(Policy::AllkeysRandom);
    (0..1000).for_each(|n| add(&mut shard, n, Expire::Clear));
    (0..900).for_each(|_| assert!(shard.evict_one()));
    let early = (0..500).filter(|n| there(&mut shard, *n)).count();
    assert!((20..80).contains(&early), "{early} of the first half are left of 100 in all");
}

#[test]
fn old_keys_go_as_often_as_new_ones() {
    for policy in [Policy::AllkeysRandom, Policy::VolatileRandom] {
        let mut shard = shard(policy);
        let expire = Expire::At(shard.now_ms + 100_000_000);
        (0..3000).for_each(|n| add(&mut shard, n, expire));
        for n in 3000..9000 {
            assert!(shard.evict_one());
            add(&mut shard, n, expire);
        }
        // Of those that are there two e-folds long: 406.
        let early = (0..3000).filter(|n| there(&mut shard, *n)).count();
        assert!((320..500).contains(&early), "{policy:?}: {early} of the first 3000 are left");
    }
}

/// A cache of 1000 keys under accesses that follow Zipf's law, ten a second: hits per hundred of the second half.
fn hits(policy: Policy) -> usize {
    let mut shard = shard(policy);
    let weights: Vec<f64> = (1..=10_000).map(|n| 1.0 / f64::from(n)).collect();
    let total: f64 = weights.iter().sum();
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let (mut random, mut hits) = (5u64, 0);
    let rounds = 40_000;
    for round in 0..rounds {
        shard.now_ms += 100;
        let draw = (access::splitmix(&mut random) >> 11) as f64 / (1u64 << 53) as f64 * total;
        let n = sums.partition_point(|sum| *sum < draw);
        let hit = shard.read(n % 3, Key::new(&name(n)), false).is_some();
        hits += usize::from(hit && round >= rounds / 2);
        if !hit {
            if (0..3).map(|db| shard.len(db)).sum::<usize>() >= 1000 {
                assert!(shard.evict_one());
            }
            add(&mut shard, n, Expire::Clear);
        }
        if round % 100 == 0 {
            shard.expire_step(100_000);
        }
    }
    hits * 200 / rounds
}

#[test]
fn a_skewed_trace_is_served_well() {
    let (random, lru, lfu) = (hits(Policy::AllkeysRandom), hits(Policy::AllkeysLru), hits(Policy::AllkeysLfu));
    // With exact LRU it would be 67, and 76 if the thousand most wanted keys stayed for ever.
    assert!(random < lru && lru >= 65, "random {random}, LRU {lru}, LFU {lfu}");
    assert!(lfu >= 65, "random {random}, LRU {lru}, LFU {lfu}");
}

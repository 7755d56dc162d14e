//! The shard through its own door: expiry, flushing, drawing, scanning, counters.

use super::*;
use crate::base::thin::Thin;
use crate::shard::settings::AccessClock;
use std::collections::BTreeSet;
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;
const ALL: Range<u16> = 0..16384;

fn shard() -> Shard {
    let mut shard = Shard::new(16, ALL, 42);
    shard.now_ms = NOW;
    shard
}

fn key(bytes: &[u8]) -> Key<'_> {
    Key::new(bytes)
}

fn str(bytes: &[u8]) -> NewValue<'_> {
    NewValue::Str { bytes, raw: false }
}

fn big(len: usize) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Value::Str(Thin::new(Arc::new(vec![b'x'; len])))))
}

fn fill(shard: &mut Shard, db: usize, count: usize, expire: Expire) {
    for i in 0..count {
        shard.set(db, key(format!("key:{i}").as_bytes()), NewValue::Int(i as i64), expire);
    }
}

#[test]
fn a_key_is_there_until_its_time() {
    let mut s = shard();
    s.set(0, key(b"k"), str(b"v"), Expire::At(NOW + 10));
    assert!(matches!(s.read(0, key(b"k"), false), Some(View::Str { bytes: b"v", raw: false })));
    s.now_ms = NOW + 9;
    assert_eq!(s.peek(0, key(b"k")).unwrap().expire_ms, Some(NOW + 10));
    s.now_ms = NOW + 10;
    assert_eq!((s.len(0), s.expiring(0)), (1, 1));
    assert!(s.read(0, key(b"k"), false).is_none());
    assert_eq!((s.len(0), s.expiring(0)), (0, 0));
    assert_eq!((s.stats.hits, s.stats.misses, s.stats.expired), (1, 1, 1));
}

#[test]
fn expiry_is_kept_cleared_or_set() {
    let mut s = shard();
    s.set(0, key(b"k"), NewValue::Int(1), Expire::Keep);
    assert_eq!(s.peek(0, key(b"k")).unwrap().expire_ms, None);
    s.set(0, key(b"k"), NewValue::Int(2), Expire::At(NOW + 5));
    s.set(0, key(b"k"), NewValue::Int(3), Expire::Keep);
    assert_eq!(s.peek(0, key(b"k")).unwrap().expire_ms, Some(NOW + 5));
    assert!(s.set_expire(0, key(b"k"), None));
    assert_eq!(s.peek(0, key(b"k")).unwrap().expire_ms, None);
    assert!(s.set_expire(0, key(b"k"), Some(NOW + 7)));
    s.now_ms = NOW + 7;
    s.set(0, key(b"k"), NewValue::Int(4), Expire::Keep);
    assert_eq!(s.peek(0, key(b"k")).unwrap().expire_ms, None, "an expired key's expiry is not kept");
    assert!(!s.set_expire(0, key(b"absent"), Some(NOW + 7)));
}

#[test]
fn values_move_out_and_are_copied() {
    let mut s = shard();
    s.set(3, key(b"a"), str(b"text"), Expire::At(NOW + 1));
    s.set(3, key(b"b"), big(100_000), Expire::Clear);
    let text = Owned::Str { bytes: b"text".to_vec(), raw: false };
    assert_eq!(s.copy_out(3, key(b"a")), Some((text.clone(), Some(NOW + 1))));
    assert_eq!(s.take(3, key(b"a")), Some((text, Some(NOW + 1))));
    assert_eq!(s.take(3, key(b"a")), None);
    let (owned, expire) = s.copy_out(3, key(b"b")).unwrap();
    s.put(4, key(b"copy"), owned, expire.map_or(Expire::Clear, Expire::At));
    assert!(matches!(s.peek(4, key(b"copy")).unwrap().value, View::Boxed(Value::Str(b)) if b.len() == 100_000));
    let Some(Value::Str(bytes)) = s.boxed_mut(3, key(b"b")) else { panic!("boxed") };
    Arc::make_mut(bytes).push(b'y');
    assert!(matches!(s.peek(3, key(b"b")).unwrap().value, View::Boxed(Value::Str(b)) if b.len() == 100_001));
    assert!(s.boxed_mut(3, key(b"absent")).is_none());
    assert_eq!(s.dirty, 4);
}

#[test]
fn big_values_wait_for_their_step() {
    let mut s = shard();
    let empty = s.memory();
    s.set(0, key(b"big"), big(1 << 20), Expire::Clear);
    s.set(0, key(b"small"), big(2000), Expire::Clear);
    assert!(s.remove(0, key(b"big")) && s.remove(0, key(b"small")));
    assert!(!s.remove(0, key(b"big")));
    assert_eq!(s.lazy.pending_objects(), 1);
    assert!(s.memory() > 1 << 20);
    assert!(s.free_step(10));
    assert_eq!((s.lazy.pending_objects(), s.lazy.pending_bytes(), s.lazy.freed_objects), (0, 0, 1));
    assert!(s.memory() < empty + 100_000);
}

#[test]
fn what_is_flushed_is_freed_later() {
    let mut s = shard();
    fill(&mut s, 0, 10_000, Expire::Clear);
    fill(&mut s, 5, 100, Expire::Clear);
    assert_eq!(s.flush(Some(0)), 10_000);
    assert_eq!((s.len(0), s.len(5)), (0, 100));
    assert_eq!(s.lazy.pending_objects(), 10_000);
    let mut steps = 0;
    while !s.free_step(1000) {
        steps += 1;
        assert!(steps < 100);
    }
    assert!(steps > 1);
    assert_eq!(s.lazy.freed_objects, 10_000);
    assert_eq!(s.flush(None), 100);
    assert!(s.is_empty());
}

#[test]
fn large_values_of_what_is_flushed_are_freed_in_steps() {
    let mut s = shard();
    let text = vec![b'x'; 3000];
    for i in 0..100 {
        s.set(0, key(format!("text {i}").as_bytes()), NewValue::Str { bytes: &text, raw: false }, Expire::Clear);
    }
    let set = crate::types::rdb::steps::tests::large_values(20_000).swap_remove(0);
    s.put(0, key(b"set"), Owned::Boxed(Box::new(set)), Expire::Clear);
    s.flush(Some(0));
    let mut pending = vec![s.lazy.pending_bytes()];
    while !s.free_step(64) {
        pending.push(s.lazy.pending_bytes());
    }
    let largest = pending.windows(2).map(|step| step[0] - step[1]).max().expect("it takes steps");
    // some pages of entries with what stands behind them, or a chunk of a table
    assert!(largest <= (2 << 20) + 64 * 4000 && pending.len() > 4, "{largest} of {} at once", pending[0]);
    assert_eq!((s.lazy.pending_objects(), s.lazy.freed_objects), (0, 101));
}

#[test]
fn databases_swap() {
    let mut s = shard();
    s.set(0, key(b"k"), NewValue::Int(1), Expire::Clear);
    s.swap_db(0, 7);
    assert!(!s.exists(0, key(b"k")) && s.exists(7, key(b"k")));
}

#[test]
fn active_expiry_finds_all_due_keys() {
    let mut s = shard();
    fill(&mut s, 0, 5000, Expire::At(NOW + 1000));
    fill(&mut s, 9, 3000, Expire::At(NOW + 2000));
    s.set(0, key(b"stays"), NewValue::Int(1), Expire::Clear);
    assert_eq!(s.expire_step(100_000), 0);
    s.now_ms = NOW + 1500;
    s.settings.active_expire = false;
    assert_eq!(s.expire_step(100_000), 0);
    s.settings.active_expire = true;
    let mut removed = 0;
    for _ in 0..1000 {
        removed += s.expire_step(500);
    }
    assert_eq!((removed, s.len(0), s.len(9)), (5000, 1, 3000));
    assert_eq!((s.stats.expired, s.stats.expired_active), (5000, 5000));
    for _ in 0..1000 {
        s.now_ms += 100;
        s.expire_step(500);
    }
    assert_eq!((s.len(9), s.expiring(9)), (0, 0));
}

#[test]
fn mean_time_to_live_is_estimated() {
    let mut s = shard();
    assert_eq!(s.avg_ttl_ms(0), 0);
    fill(&mut s, 0, 5000, Expire::At(NOW + 100_000));
    s.set(0, key(b"due"), NewValue::Int(1), Expire::At(NOW + 1));
    s.now_ms += 2;
    s.expire_step(100_000);
    assert!((90_000..=100_000).contains(&s.avg_ttl_ms(0)), "{}", s.avg_ttl_ms(0));
}

#[test]
fn idle_times_grow_and_are_set() {
    let mut s = shard();
    s.set(0, key(b"k"), NewValue::Int(1), Expire::Clear);
    for _ in 0..300 {
        s.now_ms += 1000;
        s.expire_step(10);
    }
    assert_eq!(s.idle_s(0, key(b"k")), Some(300));
    assert!(s.read(0, key(b"k"), true).is_some());
    assert_eq!(s.idle_s(0, key(b"k")), Some(300), "no_touch leaves no stamp");
    assert!(s.touch(0, key(b"k")));
    assert_eq!(s.idle_s(0, key(b"k")), Some(0));
    assert!(s.set_idle(0, key(b"k"), 50_000));
    // an eighth of the time is what the stamps tell apart
    assert!((50_000..=56_250).contains(&s.idle_s(0, key(b"k")).unwrap()));
    for _ in 0..200 {
        s.now_ms += 60_000;
        s.expire_step(10);
    }
    let idle = s.idle_s(0, key(b"k")).unwrap();
    assert!((62_000..=69_750).contains(&idle), "{idle}");
    s.settings.access_clock = AccessClock::Frequency;
    assert!(s.set_frequency(0, key(b"k"), 77));
    assert_eq!(s.frequency(0, key(b"k")), Some(77));
    assert_eq!(s.frequency(0, key(b"absent")), None);
}

#[test]
fn random_key_is_never_a_due_one() {
    let mut s = shard();
    assert_eq!(s.random_key(0), None);
    fill(&mut s, 0, 50, Expire::At(NOW + 1));
    s.set(0, key(b"stays"), NewValue::Int(1), Expire::Clear);
    s.now_ms += 1;
    let drawn = s.random_key(0);
    assert!(drawn.is_none() || drawn.as_deref() == Some(b"stays"));
    fill(&mut s, 1, 1000, Expire::Clear);
    let drawn: BTreeSet<_> = (0..2000).filter_map(|_| s.random_key(1)).collect();
    assert!(drawn.len() > 500, "{}", drawn.len());
}

#[test]
fn scan_visits_every_live_key() {
    let mut s = shard();
    fill(&mut s, 0, 10_000, Expire::Clear);
    s.set(0, key(b"due"), NewValue::Int(1), Expire::At(NOW));
    let mut seen = BTreeSet::new();
    let (mut cursor, mut steps) = (0, 0);
    loop {
        cursor = s.scan(0, cursor, 10, ALL, |e, is_due| {
            assert_eq!(is_due, e.key == b"due");
            if !is_due {
                seen.insert(e.key.to_vec());
            }
        });
        steps += 1;
        assert!(steps < 5000);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 10_000);
    assert!(!seen.contains(&b"due"[..]) && steps > 100);
    let mut all = 0;
    s.for_each(0, |_| {
        all += 1;
        true
    });
    assert_eq!(all, 10_000);
}

#[test]
fn slots_are_counted_and_walked() {
    let mut s = shard();
    for i in 0..500 {
        s.set(0, key(format!("{{tag}}{i}").as_bytes()), NewValue::Int(i), Expire::Clear);
        s.set(0, key(format!("other{i}").as_bytes()), NewValue::Int(i), Expire::Clear);
    }
    let slot = key(b"{tag}").pos.slot();
    let expected = 500 + (0..500).filter(|i| key(format!("other{i}").as_bytes()).pos.slot() == slot).count();
    assert_eq!(s.count_in_slot(0, slot), expected);
    let mut seen = BTreeSet::new();
    s.for_each_in_slot(0, slot, |e| seen.insert(e.key.to_vec()));
    assert_eq!(seen.len(), expected);
}

#[test]
fn the_next_random_numbers_are_known_ahead() {
    let mut shard = Shard::new(1, ALL, 7);
    let ahead = shard.random_ahead();
    assert_eq!(ahead, shard.random_ahead(), "looking ahead draws nothing");
    assert_eq!(ahead, [shard.random_u64(), shard.random_u64()]);
    assert_ne!(ahead, shard.random_ahead());
}

//! The table against a naive model, with random histories; the scan's promise; memory; limits.

use super::*;
use crate::base::hash::Position;
use crate::base::thin::Thin;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

const ALL: Range<u16> = 0..16384;

impl Table {
    /// Panics if directory, segments, counters and pages contradict each other. Visits everything.
    fn check_invariants(&mut self) {
        self.settle();
        let (mut len, mut expiring, mut boxed, mut next) = (0, 0, 0, 0u64);
        let numbers = self.directory.walk();
        for (i, &number) in numbers.iter().enumerate() {
            let segment = &self.segments[number as usize];
            assert!(!self.vacant.contains(&number));
            segment.check(&self.pool, self.placing);
            assert_eq!(segment.start, next, "segments cover all positions without a gap");
            assert!(segment.last() == u64::MAX || i + 1 < numbers.len());
            next = segment.last().wrapping_add(1);
            len += segment.len();
            expiring += segment.expiring as usize;
            segment.for_each(&self.pool, 0..index::TAGS, |e| {
                boxed += if let View::Boxed(v) = e.value { v.heap_bytes() } else { 0 };
                boxed += if e.key.len() > 512 { e.key.len() } else { 0 };
            });
        }
        assert_eq!(numbers.len() + self.vacant.len(), self.segments.len());
        assert_eq!((len, expiring, boxed), (self.tally.len, self.tally.expiring, self.tally.boxed_bytes));
    }
}

/// What the model holds for a key.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    value: Owned,
    expire_ms: Option<u64>,
    access: u16,
}

/// Content of a value, by length: integers of every width, strings at the thresholds, boxed ones.
#[derive(Debug, Clone, Copy)]
enum Content {
    Int(i64),
    Str(usize, bool),
    Boxed(usize),
}

impl Content {
    fn owned(self, key_len: usize) -> Owned {
        match self {
            Content::Int(n) => Owned::Int(n),
            Content::Str(len, raw) => {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
                let in_entry = len + if key_len > 512 { 12 } else { key_len };
                match in_entry <= INLINE_BYTES_MAX {
                    true => Owned::Str { bytes, raw },
                    false => Owned::Boxed(Box::new(Value::Str(Thin::new(Arc::new(bytes))))),
                }
            }
            Content::Boxed(len) => Owned::Boxed(Box::new(Value::Str(Thin::new(Arc::new(vec![b'b'; len]))))),
        }
    }

    fn insert_into(self, table: &mut Table, key: Key<'_>, expire: Expire, access: u16) -> Inserted {
        let bytes: Vec<u8>;
        let value = match self {
            Content::Int(n) => NewValue::Int(n),
            Content::Str(len, raw) => {
                bytes = (0..len).map(|i| (i * 7 + len) as u8).collect();
                NewValue::Str { bytes: &bytes, raw }
            }
            Content::Boxed(len) => NewValue::Boxed(Box::new(Value::Str(Thin::new(Arc::new(vec![b'b'; len]))))),
        };
        table.insert(key, value, expire, |_| access)
    }
}

fn content() -> impl Strategy<Value = Content> {
    let widths = prop::sample::select(vec![0, 5, -1, 127, 128, -129, 32767, 32768, 1 << 31, i64::MAX, i64::MIN]);
    let lengths = prop::sample::select(vec![0usize, 1, 8, 32, 62, 63, 64, 128, 255, 1000, 1007, 1023, 1024, 1025]);
    prop_oneof![
        3 => widths.prop_map(Content::Int),
        5 => (lengths, any::<bool>()).prop_map(|(len, raw)| Content::Str(len, raw)),
        1 => prop::sample::select(vec![0usize, 100, 70_000]).prop_map(Content::Boxed),
    ]
}

fn expire() -> impl Strategy<Value = Expire> {
    prop_oneof![Just(Expire::Clear), Just(Expire::Keep), (1u64..2000).prop_map(Expire::At)]
}

/// Keys in many slots, and in one; short, and at the thresholds.
fn key_bytes(number: u32) -> Vec<u8> {
    match number % 8 {
        0..=3 => format!("key:{number}").into_bytes(),
        4 | 5 => format!("{{tag}}{number}").into_bytes(),
        6 => format!("{number:0>width$}", width = [61, 62, 63, 64][number as usize / 8 % 4]).into_bytes(),
        _ => format!("{number:0>width$}", width = [100, 512, 513, 1500][number as usize / 8 % 4]).into_bytes(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32, Content, Expire, u16),
    Remove(u32),
    Discard(u32),
    SetExpire(u32, Option<u64>),
    FindLive(u32, u64, u16),
    Append(u32),
    Sweep(u64),
    Age,
}

fn step(keys: u32) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..keys, content(), expire(), 0u16..1024).prop_map(|(k, c, e, a)| Step::Insert(k, c, e, a)),
        2 => (0..keys).prop_map(Step::Remove),
        2 => (0..keys).prop_map(Step::Discard),
        2 => (0..keys, prop::option::of(1u64..2000)).prop_map(|(k, e)| Step::SetExpire(k, e)),
        3 => (0..keys, 0u64..2000, 0u16..1024).prop_map(|(k, t, a)| Step::FindLive(k, t, a)),
        1 => (0..keys).prop_map(Step::Append),
        1 => (0u64..2000).prop_map(Step::Sweep),
        1 => Just(Step::Age),
    ]
}

#[derive(Default)]
struct Pair {
    table: Table,
    model: BTreeMap<Vec<u8>, Expected>,
}

impl Pair {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::Insert(k, content, expire, access) => self.insert(&key_bytes(k), content, expire, access),
            Step::Remove(k) => {
                let key = key_bytes(k);
                let expected = self.model.remove(&key).map(|e| (e.value, e.expire_ms));
                assert_eq!(self.table.remove(Key::new(&key)), expected);
            }
            Step::Discard(k) => {
                let key = key_bytes(k);
                let expected = self.model.remove(&key);
                let was_boxed = self.table.discard(Key::new(&key)).map(|b| b.is_some());
                assert_eq!(was_boxed, expected.map(|e| matches!(e.value, Owned::Boxed(_))));
            }
            Step::SetExpire(k, at) => {
                let key = key_bytes(k);
                let there = self.model.get_mut(&key).map(|e| e.expire_ms = at).is_some();
                assert_eq!(self.table.set_expire(Key::new(&key), at), there);
            }
            Step::FindLive(k, now, access) => self.find_live(&key_bytes(k), now, access),
            Step::Append(k) => self.append(&key_bytes(k)),
            Step::Sweep(now) => self.sweep(now),
            Step::Age => {
                self.model.values_mut().for_each(|e| e.access ^= 1);
                while !self.table.sweep_access(100, |a| a ^ 1) {}
            }
        }
    }

    fn insert(&mut self, key: &[u8], content: Content, expire: Expire, access: u16) {
        let old = self.model.get(key);
        let expire_ms = match expire {
            Expire::Clear => None,
            Expire::Keep => old.and_then(|e| e.expire_ms),
            Expire::At(at) => Some(at),
        };
        let expected = match old {
            None => Inserted::New,
            Some(Expected { value: Owned::Boxed(v), .. }) => Inserted::Replaced(Some(v.clone())),
            Some(_) => Inserted::Replaced(None),
        };
        assert_eq!(content.insert_into(&mut self.table, Key::new(key), expire, access), expected);
        self.model.insert(key.to_vec(), Expected { value: content.owned(key.len()), expire_ms, access });
    }

    fn find_live(&mut self, key: &[u8], now: u64, access: u16) {
        if now.is_multiple_of(2) {
            // kept, a due entry is passed over
            let live = self.table.find_live(Key::new(key), now, true, |_| access);
            assert_eq!(
                matches!(live, Live::Missing),
                self.model.get(key).is_none_or(|e| e.expire_ms.is_some_and(|at| at <= now))
            );
        }
        let live = self.table.find_live(Key::new(key), now, false, |_| access);
        match (live, self.model.get_mut(key)) {
            (Live::Missing, None) => {}
            (Live::Expired(_), Some(e)) => {
                assert!(e.expire_ms.unwrap() <= now);
                self.model.remove(key);
            }
            (Live::Found(view), Some(e)) => {
                assert!(e.expire_ms.is_none_or(|at| at > now));
                e.access = access;
                assert_eq!(expected_of(&view), *e);
            }
            (live, expected) => panic!("{live:?} instead of {expected:?}"),
        }
    }

    fn append(&mut self, key: &[u8]) {
        let boxed = self.table.boxed_mut(Key::new(key));
        match self.model.get_mut(key).map(|e| &mut e.value) {
            Some(Owned::Boxed(expected)) => {
                let (Value::Str(s), Value::Str(e)) = (boxed.unwrap(), &mut **expected) else { panic!("a string") };
                Arc::make_mut(s).extend_from_slice(&[1; 777]);
                Arc::make_mut(e).extend_from_slice(&[1; 777]);
            }
            _ => assert!(boxed.is_none()),
        }
    }

    fn sweep(&mut self, now: u64) {
        let mut removed = BTreeSet::new();
        for _ in 0..3 {
            self.table.sweep_expired(now, 200, |key, _| assert!(removed.insert(key.to_vec())));
        }
        for key in removed {
            assert!(self.model.remove(&key).unwrap().expire_ms.unwrap() <= now);
        }
    }

    fn check(&mut self) {
        self.table.check_invariants();
        assert_eq!(self.table.len(), self.model.len());
        for (key, expected) in &self.model {
            let view = self.table.find(Key::new(key)).unwrap_or_else(|| panic!("{key:?} is lost"));
            assert_eq!(expected_of(&view), *expected);
        }
        let mut seen = BTreeSet::new();
        self.table.for_each(|e| seen.insert(e.key.to_vec()));
        assert_eq!(seen.len(), self.model.len());
        let slot = Position::of(b"{tag}").slot();
        let in_slot = self.model.keys().filter(|k| Position::of(k).slot() == slot).count();
        assert_eq!(self.table.count_in_slot(slot), in_slot);
    }
}

fn expected_of(view: &EntryView<'_>) -> Expected {
    Expected { value: Owned::from(view.value), expire_ms: view.expire_ms, access: view.access }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec(step(600), 1..1500)) {
        let mut pair = Pair::default();
        for (i, step) in steps.iter().enumerate() {
            pair.run(step);
            if i % 200 == 0 {
                pair.table.check_invariants();
            }
        }
        pair.check();
    }

    /// Between steps of a scan the table grows, shrinks, splits and merges; what stays is seen.
    #[test]
    fn scan_sees_what_stays(
        seed in any::<u64>(),
        stay in 1u32..3000,
        tagged in any::<bool>(),
        count in 1usize..300,
        phases in prop::collection::vec((0u32..30_000, any::<bool>()), 1..12),
    ) {
        let mut table = Table::default();
        let name = |class: &str, n: u32| match tagged {
            true => format!("{{t}}{class}{n}").into_bytes(),
            false => format!("{class}{n}").into_bytes(),
        };
        let set = |table: &mut Table, key: &[u8]| {
            table.insert(Key::new(key), NewValue::Int(i64::from(seed as u32)), Expire::Clear, |_| 0);
        };
        (0..stay).for_each(|n| set(&mut table, &name("stay", n)));
        let mut seen = BTreeSet::new();
        let (mut cursor, mut filled, mut steps, mut phase) = (0, 0u32, 0, 0);
        loop {
            cursor = table.scan(cursor, count, ALL, |e| { seen.insert(e.key.to_vec()); });
            steps += 1;
            prop_assert!(steps < 200_000);
            if cursor == 0 {
                break;
            }
            // Every few steps, a burst of insertions or removals big enough to split or merge.
            if steps % 7 == 0 && phase < phases.len() {
                let (target, _) = phases[phase];
                phase += 1;
                (filled..target).for_each(|n| set(&mut table, &name("come", n)));
                (target..filled).for_each(|n| { table.discard(Key::new(&name("come", n))); });
                filled = target;
            }
        }
        for n in 0..stay {
            let key = name("stay", n);
            prop_assert!(seen.contains(&key), "{} was never visited", String::from_utf8_lossy(&key));
        }
        table.check_invariants();
    }
}

fn set(table: &mut Table, key: &[u8], n: i64) {
    table.insert(Key::new(key), NewValue::Int(n), Expire::Clear, |_| 0);
}

/// Deterministic dice.
fn dice(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[test]
fn grows_to_many_segments_and_back() {
    let mut table = Table::default();
    assert_eq!(table.memory(), 0);
    let key = |n: u32| format!("key:{n:012}").into_bytes();
    (0..400_000).for_each(|n| set(&mut table, &key(n), i64::from(n)));
    table.check_invariants();
    let stats = table.stats();
    assert!(stats.segments >= 400_000 / segment::SPLIT_LEN && stats.segment_len_max <= segment::SPLIT_LEN);
    assert!(table.len() as f64 / stats.slots as f64 > 0.75, "{stats:?}");
    let full = table.memory();
    for n in (0..400_000).filter(|n| n % 50 != 0) {
        assert_eq!(table.remove(Key::new(&key(n))), Some((Owned::Int(i64::from(n)), None)));
    }
    table.check_invariants();
    assert_eq!(table.len(), 8000);
    assert!(table.stats().segments <= 16, "{:?}", table.stats());
    assert!(table.stats().page_bytes < full / 8, "{:?} of {full}", table.stats());
    for _ in 0..10_000 {
        if table.tidy_step(3) {
            break;
        }
    }
    table.check_invariants();
    assert!(table.memory() < 5 << 20, "{} of {full}", table.memory());
    (0..8000).for_each(|n| assert!(table.find(Key::new(&key(n * 50))).is_some()));
    (0..400_000).for_each(|n| {
        table.discard(Key::new(&key(n)));
    });
    table.check_invariants();
    assert!(table.is_empty() && table.stats().segments == 1 && table.memory() < 4 << 20, "{}", table.memory());
}

#[test]
fn one_slot_splits_by_hash() {
    let mut table = Table::default();
    let key = |n: u32| format!("{{one}}:{n}").into_bytes();
    (0..50_000).for_each(|n| set(&mut table, &key(n), 1));
    set(&mut table, b"elsewhere", 1);
    table.check_invariants();
    assert!(table.stats().depth_max > 14);
    let slot = Position::of(b"{one}").slot();
    assert_eq!(table.count_in_slot(slot), 50_000);
    let mut cursor = cursor_at_slot(slot);
    let mut seen = BTreeSet::new();
    loop {
        assert_eq!(cursor_slot(cursor), slot);
        cursor = table.scan(cursor, 100, slot..slot + 1, |e| {
            seen.insert(e.key.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 50_000);
    (0..50_000).for_each(|n| {
        table.discard(Key::new(&key(n)));
    });
    table.check_invariants();
    assert_eq!((table.len(), table.stats().depth_max), (1, 0));
}

#[test]
fn changing_sizes_leave_no_holes_behind() {
    let mut table = Table::default();
    let mut dice = dice(99);
    for _ in 0..200_000 {
        let n = dice() % 3000;
        let bytes = vec![b'x'; (dice() % 300) as usize];
        let value = NewValue::Str { bytes: &bytes, raw: false };
        table.insert(Key::new(format!("k{n}").as_bytes()), value, Expire::Clear, |_| 0);
    }
    table.check_invariants();
    let stats = table.stats();
    assert!(stats.dead_bytes < stats.live_bytes / 4, "{stats:?}");
    assert!(stats.page_bytes < stats.live_bytes * 3 / 2, "{stats:?}");
}

#[test]
fn a_likely_value_is_the_keys_if_it_is_out_of_line() {
    let mut table = Table::default();
    set(&mut table, b"short", 1);
    assert!(table.likely_value(Position::of(b"short")).is_none());
    assert!(table.likely_value(Position::of(b"absent")).is_none());
    for n in 0..2000usize {
        let value = Value::Str(Thin::new(Arc::new(vec![0; 1 + n])));
        let key = format!("long{n}");
        table.insert(Key::new(key.as_bytes()), NewValue::Boxed(Box::new(value)), Expire::Clear, |_| 0);
    }
    let right = |n: &usize| {
        let value = table.likely_value(Position::of(format!("long{n}").as_bytes()));
        value.and_then(Value::as_string).is_some_and(|bytes| bytes.len() == 1 + n)
    };
    // another key's tag may be in the way, but seldom; one in nine stands away from its home
    let found = (0..2000usize).filter(right).count();
    assert!(found >= 1950, "{found}");
}

#[test]
fn memory_counts_boxed_values_exactly() {
    let mut table = Table::default();
    set(&mut table, b"first", 1);
    let start = table.memory();
    let long_key = vec![b'k'; 3000];
    let boxed = |len| NewValue::Boxed(Box::new(Value::Str(Thin::new(Arc::new(vec![0; len])))));
    table.insert(Key::new(&long_key), boxed(10_000), Expire::Clear, |_| 0);
    let one = table.memory();
    assert!((13_000..14_000).contains(&(one - start)), "{}", one - start);
    let Some(Value::Str(s)) = table.boxed_mut(Key::new(&long_key)) else { panic!("boxed") };
    Arc::make_mut(s).reserve_exact(90_000);
    assert!(table.memory() - one >= 80_000, "an edit in place is counted");
    assert!(table.entry_bytes(Key::new(&long_key)).unwrap() > 103_000);
    table.insert(Key::new(&long_key), NewValue::Int(1), Expire::Clear, |_| 0);
    assert!(table.memory() < start + 4000);
    table.discard(Key::new(&long_key));
    assert_eq!(table.memory(), start);
    for n in 0..5000 {
        table.insert(Key::new(format!("b{n}").as_bytes()), boxed(2000), Expire::At(5), |_| 0);
    }
    while !table.free_step(300, drop) {}
    assert_eq!((table.memory(), table.len(), table.expiring()), (0, 0, 0));
}

#[test]
fn draws_are_fair() {
    let mut table = Table::default();
    let mut dice = dice(5);
    assert!(table.random_entry(&mut dice).is_none());
    table.prefetch_draws(&mut dice, || 0);
    for keys in [1u32, 3, 20, 9000] {
        (0..keys).for_each(|n| set(&mut table, format!("k{n}").as_bytes(), i64::from(n)));
        let mut counts = vec![0u32; keys as usize];
        for _ in 0..keys * 50 {
            let draw = dice();
            table.prefetch_draws(|| draw, || !draw);
            let View::Int(n) = table.random_entry(&mut dice).unwrap().value else { panic!("an integer") };
            counts[n as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (10..150).contains(&c)), "{keys}: {:?}", counts.iter().minmax());
    }
}

trait MinMax {
    fn minmax(self) -> (u32, u32);
}

impl<'a, I: Iterator<Item = &'a u32> + Clone> MinMax for I {
    fn minmax(self) -> (u32, u32) {
        (self.clone().copied().min().unwrap_or(0), self.copied().max().unwrap_or(0))
    }
}

#[test]
fn sweeps_visit_only_what_is_due() {
    let mut table = Table::default();
    for n in 0..50_000u64 {
        let expire = if n % 10 == 0 { Expire::At(1000 + n) } else { Expire::Clear };
        table.insert(Key::new(format!("k{n}").as_bytes()), NewValue::Int(1), expire, |_| 0);
    }
    assert_eq!(table.sweep_expired(999, 1_000_000, |_, _| {}), Swept::default());
    let mut removed = 0;
    let mut now = 1000;
    while table.expiring() > 0 {
        now += 100;
        assert!(now < 200_000, "{} are left", table.expiring());
        for _ in 0..20 {
            let swept = table.sweep_expired(now, 1000, |_, _| removed += 1);
            assert!(swept.visited <= 1000 + 2 * segment::SPLIT_LEN);
        }
    }
    assert_eq!((removed, table.len()), (5000, 45_000));
    assert_eq!(table.sweep_expired(u64::MAX, 1_000_000, |_, _| {}).expired, 0);
    table.check_invariants();
}

#[test]
fn any_cursor_is_answered() {
    let mut table = Table::default();
    let mut dice = dice(17);
    assert_eq!(table.scan(dice(), 10, ALL, |_| {}), 0);
    (0..20_000).for_each(|n| set(&mut table, format!("k{n}").as_bytes(), n));
    for _ in 0..2000 {
        let mut cursor = dice() >> (dice() % 64);
        let mut steps = 0;
        while cursor != 0 && steps < 20 {
            cursor = table.scan(cursor, (dice() % 20) as usize, 100..9000, |e| {
                assert!((100..9000).contains(&Position::of(e.key).slot()));
            });
            steps += 1;
        }
    }
}

#[test]
fn an_occupied_entry_is_looked_at_and_changed() {
    let mut table = Table::default();
    let key = Key::new(b"k");
    let stamp = |_: Option<u16>| 1;
    assert!(table.occupied(key, 0).is_none());
    table.insert(key, NewValue::Int(5), Expire::At(100), stamp);
    assert!(table.occupied(key, 100).is_none(), "due");
    let mut entry = table.occupied(key, 99).unwrap();
    assert!(matches!(entry.current(), Current::Inline(View::Int(5))));
    assert_eq!(entry.access(), 1);
    assert_eq!(entry.replace(NewValue::Boxed(Box::new(Value::Str(Thin::new(Arc::new(vec![0; 2000]))))), 7), None);
    table.check_invariants();
    let before = table.memory();
    let mut entry = table.occupied(key, 99).unwrap();
    match entry.current() {
        Current::Boxed(Value::Str(big)) => Arc::make_mut(big).resize(50_000, 1),
        other => panic!("{other:?}"),
    }
    entry.set_access(9);
    table.check_invariants();
    assert!(table.memory() >= before + 48_000);
    let found = table.find(key).unwrap();
    assert_eq!((found.expire_ms, found.access), (Some(100), 9));
    // Edited, then replaced within the same look.
    let mut entry = table.occupied(key, 99).unwrap();
    match entry.current() {
        Current::Boxed(Value::Str(big)) => Arc::make_mut(big).resize(90_000, 1),
        other => panic!("{other:?}"),
    }
    let old = entry.replace(NewValue::Int(6), 3).unwrap();
    assert!(matches!(*old, Value::Str(big) if big.len() == 90_000));
    table.check_invariants();
    assert!(table.memory() < before);
    assert_eq!(table.find(key).unwrap().expire_ms, Some(100));
}

#[test]
fn expected_keys_find_their_segments_made() {
    let key = |n: u32| format!("key:{n:012}").into_bytes();
    for slots in [0..16384u16, 5461..10923] {
        let keys: Vec<Vec<u8>> =
            (0..200_000).map(key).filter(|key| slots.contains(&Position::of(key).slot())).collect();
        let (mut told, mut untold) = (Table::default(), Table::default());
        told.expect(keys.len(), &slots);
        told.check_invariants();
        let made = told.stats().segments;
        for (n, key) in keys.iter().enumerate() {
            set(&mut told, key, n as i64);
            set(&mut untold, key, n as i64);
        }
        told.check_invariants();
        let (stats, other) = (told.stats(), untold.stats());
        assert_eq!(stats.segments, made, "none is split");
        assert!(stats.segment_len_max <= segment::SPLIT_LEN, "{stats:?}");
        assert!(told.memory() < untold.memory() * 3 / 2, "{} {}: {other:?}", told.memory(), untold.memory());
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(told.remove(Key::new(key)), Some((Owned::Int(n as i64), None)));
        }
        told.check_invariants();
    }
    // expectations that are wrong
    let mut table = Table::default();
    table.expect(1_000_000, &(0..16384));
    (0..10_000).for_each(|n| set(&mut table, &key(n), 1));
    table.expect(5_000_000, &(0..16384));
    table.check_invariants();
    let mut table = Table::default();
    table.expect(5000, &(0..16384));
    (0..100_000).for_each(|n| set(&mut table, &key(n), 1));
    table.check_invariants();
    assert_eq!(table.len(), 100_000);
    let mut table = Table::default();
    table.expect(usize::MAX / 2, &(7..8));
    set(&mut table, b"k", 1);
    table.check_invariants();
}

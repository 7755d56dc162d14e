//! Snapshots against what the shard held at the cut, whatever happens meanwhile.

use super::*;
use crate::base::limits::{SNAPSHOT_HUGE_BYTES, SNAPSHOT_PART_BYTES};
use crate::base::stats::Random;
use crate::types::defrag::Mover;
use crate::types::rdb::read::{Limits, Reader};
use crate::types::rdb::steps::tests::large_values;
use crate::types::rdb::write::Writer;
use crate::types::table::{Expire, Key};
use crate::types::value::{NewValue, Owned, Value, View};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries as a file holds them, by database and key.
type Entries = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

const ORDER: CutOrder =
    CutOrder { id: 1, compress: true, flavor: Flavor::Redis, journal: JournalCut::None, last: false, reply: "OK" };

fn shard(databases: usize) -> Shard {
    let mut shard = Shard::new(databases, 0..16384, 7);
    shard.now_ms = 1_700_000_000_000;
    shard
}

fn held(shard: &Shard) -> Entries {
    let mut entries = Entries::new();
    for (db, table) in shard.tables.iter().enumerate() {
        table.for_each(|entry| {
            let mut writer = Writer { compress: true, ..Writer::default() };
            let attributes = Attributes { expire_ms: entry.expire_ms, ..Attributes::default() };
            writer.entry(entry.key, entry.value, attributes);
            entries.insert((db, entry.key.to_vec()), writer.bytes);
            true
        });
    }
    entries
}

/// Takes what waits, at least `bytes`; of a large value all parts.
fn take(shard: &mut Shard, bytes: usize) -> Option<Written> {
    let mut whole = shard.take_snapshot(bytes)?;
    while whole.goes_on {
        join(&mut whole, shard.take_snapshot(1)?);
    }
    Some(whole)
}

/// Adds the next part of a value.
fn join(whole: &mut Written, part: Written) {
    whole.bytes.extend(part.bytes);
    (whole.goes_on, whole.entries) = (part.goes_on, part.entries);
}

/// Adds what was written; nothing may come twice.
fn read(written: &Written, entries: &mut Entries) {
    let limits = Limits::default();
    let mut reader = Reader::new(&written.bytes, 12);
    let (mut db, mut count) = (usize::MAX, 0);
    while reader.position() < written.bytes.len() {
        let start = reader.position();
        let mut kind = reader.byte().unwrap();
        if kind == 0xfe {
            db = reader.length().unwrap() as usize;
            continue;
        }
        if kind == 0xfc {
            reader.take(8).unwrap();
            kind = reader.byte().unwrap();
        }
        let key = reader.string().unwrap().into_owned();
        reader.value(kind, &limits).unwrap();
        let bytes = written.bytes[start..reader.position()].to_vec();
        assert!(entries.insert((db, key), bytes).is_none(), "written twice");
        count += 1;
    }
    assert_eq!(count, written.entries);
}

#[derive(Debug, Clone)]
enum Change {
    Set { db: usize, keys: u32, bytes: usize, ttl: Option<u64> },
    Append { db: usize, keys: u32 },
    Remove { db: usize, keys: u32 },
    Expire { db: usize, keys: u32, ttl: Option<u64> },
    Pass { ms: u64 },
    Swap,
    Flush { db: Option<usize> },
}

fn change() -> impl Strategy<Value = Change> {
    let ttl = || proptest::option::of(0..200u64);
    prop_oneof![
        8 => (0..2usize, 1..3000u32, prop_oneof![0..40usize, 1000..1100usize], ttl())
            .prop_map(|(db, keys, bytes, ttl)| Change::Set { db, keys, bytes, ttl }),
        4 => (0..2usize, 1..500u32).prop_map(|(db, keys)| Change::Append { db, keys }),
        4 => (0..2usize, 1..3000u32).prop_map(|(db, keys)| Change::Remove { db, keys }),
        2 => (0..2usize, 1..500u32, ttl()).prop_map(|(db, keys, ttl)| Change::Expire { db, keys, ttl }),
        2 => (1..100u64).prop_map(|ms| Change::Pass { ms }),
        1 => Just(Change::Swap),
        1 => proptest::option::of(0..2usize).prop_map(|db| Change::Flush { db }),
    ]
}

fn name(random: &mut Random) -> Vec<u8> {
    format!("key:{}", random.next_u64() % 8_000).into_bytes()
}

fn apply(shard: &mut Shard, change: &Change, random: &mut Random) {
    match *change {
        Change::Set { db, keys, bytes, ttl } => {
            for _ in 0..keys {
                let (name, value) = (name(random), vec![random.next_u64() as u8; bytes]);
                let expire = ttl.map_or(Expire::Clear, |ttl| Expire::At(shard.now_ms + ttl));
                shard.set(db, Key::new(&name), NewValue::Str { bytes: &value, raw: false }, expire);
            }
        }
        Change::Append { db, keys } => {
            for _ in 0..keys {
                let name = name(random);
                if let Some(big) = shard.boxed_mut(db, Key::new(&name)).and_then(|value| value.as_string_mut()) {
                    std::sync::Arc::make_mut(big).push(b'+');
                }
            }
        }
        Change::Remove { db, keys } => {
            for _ in 0..keys {
                let name = name(random);
                if random.next_u64().is_multiple_of(2) {
                    shard.remove(db, Key::new(&name));
                } else {
                    shard.take(db, Key::new(&name));
                }
            }
        }
        Change::Expire { db, keys, ttl } => {
            for _ in 0..keys {
                let (name, now) = (name(random), shard.now_ms);
                shard.set_expire(db, Key::new(&name), ttl.map(|ttl| now + ttl));
            }
        }
        Change::Pass { ms } => {
            shard.now_ms += ms;
            shard.expire_step(2000);
            shard.free_step(2000);
        }
        Change::Swap => shard.swap_db(0, 1),
        Change::Flush { db } => {
            shard.flush(db);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_was_there_at_the_cut(
        before in proptest::collection::vec(change(), 0..12),
        after in proptest::collection::vec((change(), 0..4usize, 1..40_000usize), 0..16),
        seed in any::<u64>(),
    ) {
        let (mut shard, mut random) = (shard(2), Random::new(seed));
        before.iter().for_each(|change| apply(&mut shard, change, &mut random));
        let expected = held(&shard);
        shard.begin_snapshot(ORDER);
        let mut found = Entries::new();
        for (change, steps, bytes) in after {
            apply(&mut shard, &change, &mut random);
            for _ in 0..steps {
                shard.snapshot_step(bytes, 500);
            }
            while let Some(written) = take(&mut shard, bytes) {
                read(&written, &mut found);
            }
        }
        while !shard.snapshot_step(10_000, 1000) {}
        prop_assert!(shard.snapshot_bytes() > 0 || found == expected);
        while let Some(written) = take(&mut shard, 1) {
            read(&written, &mut found);
        }
        prop_assert_eq!(found.len(), expected.len());
        prop_assert!(found == expected);
        shard.end_snapshot(true);
        prop_assert!(shard.tables.iter().all(|table| !table.is_walked()));
    }
}

#[test]
fn steps_are_bounded_and_add_up() {
    let mut shard = shard(1);
    for i in 0..20_000u32 {
        let (key, value) = (format!("k{i}"), vec![b'x'; 100]);
        shard.set(0, Key::new(key.as_bytes()), NewValue::Str { bytes: &value, raw: false }, Expire::Clear);
    }
    shard.begin_snapshot(CutOrder { compress: false, ..ORDER });
    let mut entries = 0;
    let mut most = 0;
    loop {
        let done = shard.snapshot_step(4096, 10_000);
        while let Some(written) = shard.take_snapshot(1) {
            most = most.max(written.bytes.len());
            entries += written.entries;
        }
        if done {
            break;
        }
    }
    assert_eq!(entries, 20_000);
    assert!(most < 8192, "{most}");
}

#[test]
fn changes_up_to_the_cut_count_as_saved() {
    let mut shard = shard(1);
    let set = |shard: &mut Shard, key: &str| {
        shard.set(0, Key::new(key.as_bytes()), NewValue::Int(1), Expire::Clear);
    };
    set(&mut shard, "a");
    set(&mut shard, "b");
    shard.begin_snapshot(ORDER);
    assert_eq!(shard.snapshot.sizes(), Some(&CutSizes { databases: vec![(2, 0)] }));
    set(&mut shard, "c");
    shard.end_snapshot(false);
    assert_eq!(shard.dirty, 3);
    shard.begin_snapshot(ORDER);
    set(&mut shard, "d");
    shard.end_snapshot(true);
    assert_eq!((shard.dirty, shard.snapshot.id()), (1, None));
}

#[test]
fn uses_are_written_where_eviction_goes_by_them() {
    let mut shard = shard(1);
    shard.settings.eviction = Policy::AllkeysLru;
    shard.set(0, Key::new(b"k"), NewValue::Int(1), Expire::Clear);
    shard.set_idle(0, Key::new(b"k"), 20);
    shard.begin_snapshot(ORDER);
    while !shard.snapshot_step(100, 3000) {}
    let written = shard.take_snapshot(1).unwrap();
    assert_eq!(written.bytes, [0xfe, 0, 0xf8, 20, 0, 1, b'k', 0xc0, 1]);
}

/// What happens to a large value while it is being written.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Nothing,
    Changed,
    Removed,
    Replaced,
    Expired,
    Renamed,
    Copied,
    Swapped,
    Flushed,
}

fn meet(shard: &mut Shard, key: Key<'_>, fate: Fate) {
    let short = NewValue::Str { bytes: b"other", raw: false };
    match fate {
        Fate::Nothing => {}
        Fate::Changed => match shard.boxed_mut(0, key) {
            Some(Value::Set(set)) => drop(set.remove(b"member:7")),
            Some(Value::Zset(zset)) => drop(zset.remove(b"member:7")),
            Some(Value::List(list)) => list.remove_range(0, 7),
            Some(Value::Hash(hash)) => drop(hash.remove(b"member:7", 0)),
            Some(Value::Stream(stream)) => drop(stream.remove_group(b"first")),
            Some(Value::Str(string)) => Arc::make_mut(string).push(b'!'),
            other => panic!("{:?}", other.map(|value| value.type_name())),
        },
        Fate::Removed => drop(shard.take(0, key)),
        Fate::Replaced => shard.set(0, key, short, Expire::Clear),
        Fate::Expired => {
            let now = shard.now_ms;
            shard.set_expire(0, key, Some(now + 1));
            shard.now_ms += 5;
            while shard.expire_step(2000) > 0 {}
        }
        Fate::Renamed | Fate::Copied => {
            let moves = matches!(fate, Fate::Renamed);
            let (value, _) = if moves { shard.take(0, key) } else { shard.copy_out(0, key) }.expect("it is there");
            // and what has it now changes, too
            shard.put(0, Key::new(b"new"), value, Expire::Clear);
            shard.remove(0, Key::new(b"new"));
        }
        Fate::Swapped => {
            shard.swap_db(0, 1);
            shard.set(0, key, short, Expire::Clear);
            shard.remove(1, key);
        }
        Fate::Flushed => drop(shard.flush(None)),
    }
}

#[test]
fn a_large_value_is_written_in_steps_and_as_it_was_at_the_cut() {
    let values = large_values(8_000);
    let gone = [Fate::Removed, Fate::Replaced, Fate::Expired, Fate::Renamed, Fate::Swapped, Fate::Flushed];
    let fates = [Fate::Nothing, Fate::Changed, Fate::Copied].into_iter().chain(gone);
    for (value, fate) in values.iter().flat_map(|value| fates.clone().map(move |fate| (value, fate))) {
        for (steps, takes) in [(0, false), (1, false), (12, false), (12, true), (40, true)] {
            let mut shard = shard(2);
            let others = (0..50).map(|n| format!("k{n}").into_bytes());
            for name in others {
                shard.set(0, Key::new(&name), NewValue::Str { bytes: &name, raw: false }, Expire::Clear);
            }
            shard.put(0, Key::new(b"large"), Owned::Boxed(Box::new(value.clone())), Expire::Clear);
            shard.begin_snapshot(ORDER);
            let (mut found, mut begun) = (Entries::new(), None);
            let mut take_all = |shard: &mut Shard| {
                while let Some(part) = shard.take_snapshot(1) {
                    let whole = match &mut begun {
                        Some(whole) => {
                            join(whole, part);
                            whole
                        }
                        None => begun.insert(part),
                    };
                    if !whole.goes_on {
                        read(whole, &mut found);
                        begun = None;
                    }
                }
            };
            for _ in 0..steps {
                shard.snapshot_step(4096, 500);
                if takes {
                    take_all(&mut shard);
                }
            }
            meet(&mut shard, Key::new(b"large"), fate);
            while !shard.snapshot_step(4096, 500) {}
            take_all(&mut shard);
            assert_eq!(found.len(), 51, "{fate:?} after {steps} steps");
            let mut whole = Writer::default();
            whole.entry(b"large", View::Boxed(value), Attributes::default());
            let read = |bytes: &[u8]| {
                let mut reader = Reader::new(bytes, 12);
                let (kind, _) = (reader.byte().unwrap(), reader.string().unwrap());
                reader.value(kind, &Limits::default()).unwrap()
            };
            let written = read(&found[&(0, b"large".to_vec())]);
            assert!(written == read(&whole.bytes), "{} {fate:?} after {steps} steps", value.type_name());
        }
    }
}

#[test]
fn no_step_writes_more_of_a_large_value_than_asked_for() {
    for value in large_values(20_000) {
        let mut shard = shard(1);
        shard.put(0, Key::new(b"large"), Owned::Boxed(Box::new(value)), Expire::Clear);
        shard.begin_snapshot(ORDER);
        let mut steps = 1;
        while !shard.snapshot_step(4096, 10_000) {
            steps += 1;
        }
        let bytes = std::iter::from_fn(|| shard.take_snapshot(1)).map(|written| written.bytes.len()).sum::<usize>();
        assert!(bytes / steps < 16 * 1024, "{bytes} bytes in {steps} steps");
    }
}

/// Bytes of a large value that wait to be taken at most, if they are taken after each step.
const WAITING_BYTES_MAX: usize = SNAPSHOT_PART_BYTES + 20_000;

#[test]
fn what_is_kept_of_a_huge_value_is_bounded_while_it_is_written() {
    for value in large_values(200_000) {
        let (name, mut shard) = (value.type_name(), shard(2));
        // a compressed string stays until it is whole: its length comes first
        let order = CutOrder { compress: false, ..ORDER };
        shard.put(1, Key::new(b"huge"), Owned::Boxed(Box::new(value)), Expire::Clear);
        shard.set(0, Key::new(b"k"), NewValue::Int(1), Expire::Clear);
        shard.begin_snapshot(order);
        let (mut total, mut parts, mut done) = (0, Vec::new(), false);
        while !done {
            done = shard.snapshot_step(4096, 10_000);
            let waiting = shard.snapshot_bytes();
            assert!(waiting <= WAITING_BYTES_MAX, "{name}: {waiting}");
            while let Some(part) = shard.take_snapshot(if done { 1 } else { SNAPSHOT_PART_BYTES }) {
                total += part.bytes.len();
                parts.push(part.goes_on);
            }
        }
        // the key in front of it may be taken before or after
        assert!(total > 10 * WAITING_BYTES_MAX && parts.len() > 10, "{name}: {total}");
        assert_eq!(parts.iter().filter(|goes_on| !**goes_on).count(), 2);
        assert!(parts[2..parts.len() - 2].iter().all(|goes_on| *goes_on), "{name}: nothing comes between its parts");
    }
}

#[test]
fn while_a_huge_value_is_handed_out_nothing_else_is() {
    let (mut shard, [a, b, c]) = with_huge_values();
    let first = loop {
        shard.snapshot_step(4096, 10_000);
        if let Some(part) = shard.take_snapshot(1) {
            break part;
        }
    };
    assert!(first.goes_on);
    let open = [a, b, c].into_iter().find(|pos| pos.slot() == Key::new(&first.bytes[4..5]).pos.slot()).unwrap();
    let others: Vec<Position> = [a, b, c].into_iter().filter(|pos| *pos != open).collect();
    // somebody waits for another one, a third one is written at once, and small ones come and go
    shard.write_first(others[0]);
    shard.take(0, [b"a", b"b", b"c"].map(|name| Key::new(name)).into_iter().find(|key| key.pos == others[1]).unwrap());
    shard.set(0, Key::new(b"small"), NewValue::Int(1), Expire::Clear);
    assert!(shard.is_awaited() && shard.unwritten_huge(others[1]).is_none());
    while shard.unwritten_huge(open).is_some() {
        assert_eq!(shard.unwritten_huge(others[0]), Some(false), "the one that was begun comes first");
        assert!(shard.take_snapshot(1).is_none_or(|part| part.goes_on));
        shard.snapshot_step(4096, 10_000);
    }
    // SWAPDB and FLUSHALL change nothing of that
    shard.swap_db(0, 1);
    shard.flush(None);
    while !shard.snapshot_step(4096, 10_000) {}
    let rest = std::iter::from_fn(|| shard.take_snapshot(1)).map(|part| part.goes_on).collect::<Vec<_>>();
    assert_eq!(rest.iter().filter(|goes_on| !**goes_on).count(), 3, "each ends once");
}

#[test]
fn memory_may_be_put_in_order_under_a_value_that_is_being_written() {
    for value in large_values(20_000) {
        let mut shard = shard(1);
        let mut whole = Writer { compress: true, ..Writer::default() };
        whole.entry(b"large", View::Boxed(&value), Attributes::default());
        shard.put(0, Key::new(b"large"), Owned::Boxed(Box::new(value)), Expire::Clear);
        shard.begin_snapshot(ORDER);
        let (mut bytes, mut round, mut moved) = (Vec::new(), 0, 0);
        while !shard.snapshot_step(4096, 10_000) {
            let mut mover = Mover::new(|_| true, 200);
            shard.defrag_step(&mut round, &mut mover);
            moved += mover.moved;
            bytes.extend(std::iter::from_fn(|| shard.take_snapshot(1)).flat_map(|part| part.bytes));
        }
        bytes.extend(std::iter::from_fn(|| shard.take_snapshot(1)).flat_map(|part| part.bytes));
        assert!(moved > 0);
        let value = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes, 12);
            let (kind, _) = (reader.byte().unwrap(), reader.string().unwrap());
            reader.value(kind, &Limits::default()).unwrap()
        };
        assert!(value(&bytes[2..]) == value(&whole.bytes));
    }
}

/// A shard with three huge values, "a", "b" and "c", whose snapshot has begun; and the positions of the keys.
fn with_huge_values() -> (Shard, [Position; 3]) {
    let mut shard = shard(2);
    let keys = [Key::new(b"a"), Key::new(b"b"), Key::new(b"c")];
    for (key, value) in keys.into_iter().zip(large_values(100_000)) {
        assert!(value.heap_bytes() > SNAPSHOT_HUGE_BYTES, "{} bytes", value.heap_bytes());
        shard.put(0, key, Owned::Boxed(Box::new(value)), Expire::Clear);
    }
    assert_eq!(shard.unwritten_huge(keys[0].pos), None, "there is no snapshot");
    shard.begin_snapshot(ORDER);
    (shard, keys.map(|key| key.pos))
}

fn keys_of(shard: &mut Shard) -> Vec<Vec<u8>> {
    let name = |written: Written| {
        // the database, an expiry if there is one, the kind and the length of the key come before it
        let at = if written.bytes[2] == 0xfc { 13 } else { 4 };
        vec![written.bytes[at]]
    };
    std::iter::from_fn(|| take(shard, 1)).map(name).collect()
}

#[test]
fn what_somebody_waits_for_is_written_first_and_in_steps() {
    for steps in [0, 3] {
        let (mut shard, [a, b, c]) = with_huge_values();
        for _ in 0..steps {
            shard.snapshot_step(4096, 10_000);
        }
        assert!([a, b, c].iter().all(|pos| shard.unwritten_huge(*pos) == Some(false)));
        assert!(!shard.is_awaited());
        for pos in [c, a, c] {
            shard.write_first(pos);
        }
        let step = |shard: &mut Shard, pos: Position| {
            let mut count = 0;
            while shard.unwritten_huge(pos).is_some() {
                assert!(shard.is_awaited());
                shard.snapshot_step(4096, 10_000);
                count += 1;
            }
            count
        };
        assert!(step(&mut shard, c) > 50 && step(&mut shard, a) > 50);
        assert_eq!(keys_of(&mut shard), [b"c", b"a"]);
        assert!(!shard.is_awaited() && shard.unwritten_huge(b) == Some(false));
        // a change costs nothing now; the third one may have been begun
        let begun = shard.snapshot_bytes();
        for key in [b"a", b"c"] {
            shard.take(0, Key::new(key));
        }
        assert_eq!(shard.snapshot_bytes(), begun);
        while !shard.snapshot_step(4096, 10_000) {}
        assert_eq!(keys_of(&mut shard), [b"b"]);
        assert!(!shard.snapshot.has_huge());
    }
}

#[test]
fn expiry_and_eviction_leave_what_would_have_to_be_written_at_once() {
    let (mut shard, [a, b, c]) = with_huge_values();
    shard.settings.eviction = Policy::AllkeysRandom;
    let now = shard.now_ms;
    // what an expiry is changes an entry, too: that one is written
    shard.set_expire(0, Key::new(b"b"), Some(now + 1));
    assert_eq!((shard.unwritten_huge(a), shard.unwritten_huge(b)), (Some(false), None));
    shard.end_snapshot(false);
    shard.set_expire(0, Key::new(b"a"), Some(now + 1));
    shard.now_ms += 5;
    shard.begin_snapshot(CutOrder { id: 2, ..ORDER });
    assert_eq!((shard.unwritten_huge(a), shard.unwritten_huge(c)), (Some(true), Some(false)));
    assert_eq!(shard.expire_step(1000), 0);
    assert!(!shard.evict_one());
    // eviction has what it would have taken written first: that has begun
    assert!(shard.len(0) == 3 && shard.snapshot_bytes() < 50);
    while !shard.snapshot_step(4096, 10_000) {}
    let mut written = keys_of(&mut shard);
    written.sort();
    assert_eq!(written, [b"a", b"b", b"c"]);
    assert_eq!(shard.expire_step(1000), 2);
    assert!(shard.evict_one() && shard.is_empty());
}

#[test]
fn a_cut_that_was_held_up_past_a_later_one_begins_a_journal_at_most() {
    let mut shard = shard(1);
    shard.set(0, Key::new(b"k"), NewValue::Int(1), Expire::Clear);
    let begun = CutOrder { id: 8, journal: JournalCut::Begin, ..ORDER };
    assert!(shard.cut(begun) && shard.events.journaled);
    // of a rewrite before the log was stopped and begun again
    assert!(!shard.cut(CutOrder { id: 7, journal: JournalCut::Split, ..ORDER }));
    assert_eq!((shard.snapshot.id(), shard.journal.is_split()), (Some(8), false));
    assert!(shard.cut(CutOrder { id: 9, journal: JournalCut::Split, ..ORDER }));
    assert_eq!((shard.snapshot.id(), shard.journal.is_split()), (Some(9), true));
    // of a log that is open and waits for its journal
    let mut shard = self::shard(1);
    assert!(shard.cut(CutOrder { id: 2, ..ORDER }) && !shard.events.journaled);
    assert!(shard.cut(CutOrder { id: 1, journal: JournalCut::Begin, ..ORDER }));
    assert_eq!((shard.snapshot.id(), shard.events.journaled, shard.journal.is_split()), (Some(2), true, false));
}

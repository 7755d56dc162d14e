//! Hashes against a naive map, in every form they are kept in; names of encodings; expiries.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const LIMITS: PackLimits = PackLimits { entries: 512, value_bytes: 64 };

type Expected = (Vec<u8>, Option<u64>);

fn shown(pair: Pair<'_>) -> (Vec<u8>, Expected) {
    (pair.name.to_vec(), (pair.value.to_vec(), pair.expire_ms))
}

fn set(hash: &mut Hash, name: &str, value: &str) -> bool {
    hash.set(name.as_bytes(), value.as_bytes(), Expire::Clear, 0, LIMITS)
}

fn name(n: u32) -> Vec<u8> {
    if n.is_multiple_of(3) { n.to_string().into_bytes() } else { format!("field:{n}").into_bytes() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_map(
        fields in prop::sample::select(vec![5u32, 40, 300]),
        entries in prop::sample::select(vec![0u64, 10, 512]),
        steps in prop::collection::vec(
            (any::<u32>(), 0usize..9, 1u64..30, prop::sample::select(vec![0, 3, 20, 70])),
            1..600,
        ),
    ) {
        let limits = PackLimits { entries, value_bytes: 64 };
        let (mut hash, mut model) = (Hash::new(), BTreeMap::<Vec<u8>, Expected>::new());
        let mut now = 1;
        for &(n, action, ms, len) in &steps {
            let name = name(n % fields);
            let value = if len == 3 { n.to_string().into_bytes() } else { vec![n as u8; len] };
            let live = model.get(&name).filter(|e| e.1.is_none_or(|at| at > now)).cloned();
            match action {
                0..4 => {
                    prop_assert_eq!(hash.set(&name, &value, Expire::Clear, now, limits), live.is_none());
                    model.insert(name, (value, None));
                }
                4 => {
                    let expire = Expire::At(now + ms);
                    prop_assert_eq!(hash.set(&name, &value, expire, now, limits), live.is_none());
                    model.insert(name, (value, Some(now + ms)));
                }
                5 => {
                    prop_assert_eq!(hash.set(&name, &value, Expire::Keep, now, limits), live.is_none());
                    model.insert(name, (value, live.and_then(|e| e.1)));
                }
                6 => {
                    prop_assert_eq!(hash.remove(&name, now), live.is_some());
                    model.remove(&name);
                }
                7 => {
                    let at = (ms > 10).then_some(now + ms);
                    if live.is_some() {
                        hash.set_expire(&name, at);
                        model.get_mut(&name).unwrap().1 = at;
                    }
                }
                _ => {
                    now += ms;
                    let mut gone = BTreeSet::new();
                    hash.sweep(now, ms as usize, |name| { gone.insert(name.to_vec()); });
                    for name in gone {
                        prop_assert!(model.remove(&name).is_some_and(|e| e.1.is_some_and(|at| at <= now)));
                    }
                }
            }
            prop_assert_eq!(hash.len(), model.len());
        }
        let live: BTreeMap<_, _> = model.clone().into_iter().filter(|(_, e)| e.1.is_none_or(|at| at > now)).collect();
        prop_assert_eq!(hash.live(now).map(shown).collect::<BTreeMap<_, _>>(), live.clone());
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = hash.scan(cursor, 10, |pair| { scanned.extend([shown(pair)]); });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(&scanned, &model);
        for n in 0..fields {
            prop_assert_eq!(hash.get(&name(n), now).map(|p| shown(p).1), live.get(&name(n)).cloned());
        }
        // After a sweep, a table puts the next look off for a while.
        if steps.iter().all(|step| step.1 < 8) {
            prop_assert!(model.values().filter_map(|e| e.1).all(|at| at >= hash.next_expire_ms()));
        }
        prop_assert_eq!(hash.random(now, || 7).is_some(), !live.is_empty());
        prop_assert_eq!(&hash.clone(), &hash);
    }
}

#[test]
fn encodings_are_called_as_in_redis() {
    let mut hash = Hash::new();
    (0..512).for_each(|n| assert!(set(&mut hash, &n.to_string(), "v")));
    assert_eq!(hash.encoding(), "listpack");
    assert!(!set(&mut hash, "511", "w"));
    assert_eq!((hash.encoding(), hash.is_table()), ("listpack", false));
    assert!(set(&mut hash, "512", "v"));
    assert_eq!((hash.encoding(), hash.is_table()), ("hashtable", true));
    (0..512).for_each(|n| assert!(hash.remove(n.to_string().as_bytes(), 0)));
    assert_eq!(hash.encoding(), "hashtable");

    let mut hash = Hash::new();
    set(&mut hash, "a", &"x".repeat(64));
    assert_eq!(hash.encoding(), "listpack");
    hash.set_expire(b"a", Some(50));
    assert_eq!(hash.encoding(), "listpackex");
    hash.set_expire(b"a", None);
    assert_eq!(hash.encoding(), "listpackex");
    set(&mut hash, "a", &"x".repeat(65));
    assert_eq!((hash.encoding(), hash.is_table()), ("hashtable", false));

    // The setting may be anything: names follow it, the form does not.
    let all = PackLimits { entries: 100_000, value_bytes: 64 };
    let mut hash = Hash::new();
    (0..2000u32).for_each(|n| assert!(hash.set(&n.to_le_bytes(), b"v", Expire::Clear, 0, all)));
    assert_eq!((hash.encoding(), hash.is_table()), ("listpack", true));
    hash.set_expire(&7u32.to_le_bytes(), Some(50));
    assert_eq!(hash.encoding(), "listpackex");
}

#[test]
fn a_long_value_makes_no_table_and_a_huge_one_does() {
    let mut hash = Hash::new();
    (0..10).for_each(|n| assert!(set(&mut hash, &n.to_string(), &"x".repeat(200))));
    assert_eq!((hash.encoding(), hash.is_table()), ("hashtable", false));
    set(&mut hash, "10", &"x".repeat(10_000));
    assert!(hash.is_table());
    assert_eq!(hash.get(b"10", 0).unwrap().value.len(), 10_000);
}

#[test]
fn soonest_come_first_and_leave_first() {
    let mut hash = Hash::new();
    for (name, at) in [("c", 30), ("a", 10), ("b", 20), ("b2", 20)] {
        hash.set(name.as_bytes(), b"v", Expire::At(at), 0, LIMITS);
    }
    set(&mut hash, "never", "v");
    let order = |hash: &Hash| hash.iter().map(|p| String::from_utf8(p.name.to_vec()).unwrap()).collect::<Vec<_>>();
    assert_eq!(order(&hash), ["a", "b", "b2", "c", "never"]);
    hash.set_expire(b"a", Some(20));
    assert_eq!(order(&hash), ["b", "b2", "a", "c", "never"]);
    // A value alone changes in its place.
    hash.set(b"b", b"w", Expire::Keep, 0, LIMITS);
    assert_eq!(order(&hash), ["b", "b2", "a", "c", "never"]);
    let mut gone = Vec::new();
    assert_eq!(hash.sweep(29, 2, |name| gone.push(name.to_vec())), 2);
    assert_eq!(hash.sweep(29, 9, |name| gone.push(name.to_vec())), 1);
    assert_eq!(gone, [b"b".to_vec(), b"b2".to_vec(), b"a".to_vec()]);
    assert_eq!((hash.next_expire_ms(), hash.len()), (30, 2));
}

#[test]
fn notes_only_what_is_sooner() {
    let mut hash = Hash::new();
    let note = |at_ms, instead_of_ms| Some(Note { at_ms, instead_of_ms });
    set(&mut hash, "a", "1");
    assert_eq!(hash.take_note(), None);
    hash.set_expire(b"a", Some(50));
    assert_eq!((hash.take_note(), hash.take_note()), (note(Some(50), None), None));
    hash.set_expire(b"a", Some(60));
    assert_eq!((hash.take_note(), hash.noted_ms()), (None, Some(50)));
    hash.set_expire(b"a", Some(40));
    assert_eq!(hash.take_note(), note(Some(40), Some(50)));
    assert!(!hash.forget_note(50));
    assert!(hash.forget_note(40));
    assert_eq!(hash.take_note(), note(Some(40), None));
    hash.set_expire(b"a", None);
    assert_eq!((hash.take_note(), hash.take_note(), hash.noted_ms()), (note(None, Some(40)), None, None));
    hash.set_expire(b"a", Some(40));
    hash.forget_notes();
    (0..600).for_each(|n| assert!(set(&mut hash, &format!("f{n}"), "v")));
    assert_eq!((hash.is_table(), hash.take_note(), hash.take_note()), (true, note(Some(40), None), None));
}

#[test]
fn draws_are_fair_in_every_form() {
    for (fields, timed) in [(6u32, false), (6, true), (1000, false)] {
        let mut hash = Hash::new();
        for n in 0..fields {
            hash.set(&n.to_le_bytes(), b"v", Expire::Clear, 0, LIMITS);
        }
        if timed {
            hash.set(b"due!", b"v", Expire::At(5), 0, LIMITS);
        }
        let (mut dice, mut drawn) = (9u64, vec![0u32; fields as usize]);
        for _ in 0..fields * 100 {
            let pair = hash.random(10, || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                dice.rotate_right(29) ^ dice
            });
            let name = pair.unwrap().name.to_vec();
            drawn[u32::from_le_bytes(name.try_into().unwrap()) as usize] += 1;
        }
        assert!(drawn.iter().all(|&d| (40..180).contains(&d)), "{fields} {drawn:?}");
    }
}

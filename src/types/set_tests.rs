//! Sets against a tree, in every form. Never opens a shard.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const LIMITS: SetLimits = SetLimits { ints: 512, pack: 128, pack_value_bytes: 64 };

fn of<T: AsRef<[u8]>>(members: impl IntoIterator<Item = T>, limits: &SetLimits) -> Set {
    let mut set = Set::new();
    for member in members {
        set.add(member.as_ref(), limits);
    }
    set
}

fn digits(numbers: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    numbers.map(|n| n.to_string())
}

#[test]
fn encodings_follow_the_settings() {
    use Encoding::*;
    let with = |numbers: i64, more: &[&str]| {
        let mut set = of(digits(0..numbers), &LIMITS);
        for member in more {
            set.add(member.as_bytes(), &LIMITS);
        }
        (set.encoding(), set.len())
    };
    let long = "x".repeat(65);
    assert_eq!(with(512, &[]), (Intset, 512));
    assert_eq!(with(513, &[]), (Hashtable, 513));
    assert_eq!(with(512, &["511"]), (Intset, 512));
    assert_eq!(with(127, &["a"]), (Listpack, 128));
    assert_eq!(with(128, &["a"]), (Hashtable, 129));
    assert_eq!(with(127, &["a", "b"]), (Hashtable, 129));
    assert_eq!(with(1, &[&long]), (Hashtable, 2));
    assert_eq!(with(1, &["a", &long]), (Hashtable, 3));
    assert_eq!(with(5000, &["a"]), (Hashtable, 5001));
    let hinted = |member: &[u8], count| Set::for_members(member, count, &LIMITS).encoding();
    assert_eq!((hinted(b"1", 512), hinted(b"1", 513)), (Intset, Hashtable));
    assert_eq!((hinted(b"a", 128), hinted(b"a", 129)), (Listpack, Hashtable));
    // An integer with more to come than an intset may hold, but not more than a listpack may.
    let odd = SetLimits { ints: 2, ..LIMITS };
    assert_eq!(Set::for_members(b"1", 3, &odd).encoding(), Listpack);
}

#[test]
fn small_values_stay_small() {
    assert!(size_of::<Set>() <= 32);
    let set = of(digits(0..1000), &LIMITS);
    assert_eq!((set.encoding(), set.heap_bytes() < 2100), (Encoding::Hashtable, true));
    let set = of(["a", &"x".repeat(100)], &LIMITS);
    assert_eq!((set.encoding(), set.heap_bytes() < 200), (Encoding::Hashtable, true));
}

#[test]
fn parts_of_files_are_taken() {
    let set = of(["a", "1", "b"], &LIMITS);
    let pack = set.as_listpack().expect("short members").clone();
    assert_eq!(Set::from_listpack(pack.clone(), &LIMITS), Some(set));
    let mut twice = pack;
    twice.push_back(b"1");
    assert_eq!(Set::from_listpack(twice, &LIMITS), None);
    let ints = of(digits(-3..3), &LIMITS);
    let bytes = ints.as_intset().expect("integers");
    assert_eq!(Set::from_intset(Intset::from_bytes(bytes).expect("ours"), &LIMITS), ints);
}

#[test]
fn scans_show_everything() {
    for count in [3, 300, 3000] {
        let set = of((0..count).map(|n| format!("m{n}")), &LIMITS);
        let (mut seen, mut cursor, mut steps) = (BTreeSet::new(), 0, 0);
        loop {
            cursor = set.scan(cursor, 10, |member| {
                seen.insert(member.to_vec());
            });
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!((seen.len(), steps > 1), (count, count > 128));
    }
}

#[test]
fn draws_are_even() {
    for count in [10, 60, 2000] {
        for prefix in ["", "m"] {
            let set = of((0..count).map(|n| format!("{prefix}{n}")), &LIMITS);
            let (mut state, mut hits) = (7u64, std::collections::BTreeMap::<Vec<u8>, usize>::new());
            let random = || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) ^ z >> 31
            };
            let mut random = random;
            for _ in 0..count * 50 {
                *hits.entry(set.random(&mut random).expect("not empty").to_vec()).or_default() += 1;
            }
            assert_eq!(hits.len(), count);
            assert!(hits.values().all(|n| (10..120).contains(n)), "{count} {prefix} {:?}", hits.values().max());
        }
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-40..40i64).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => (0..40u8).prop_map(|n| vec![b'a' + n % 26; usize::from(n / 4)]),
        1 => prop_oneof![Just(b"007".to_vec()), Just(b"-0".to_vec()), Just(b"".to_vec()), Just(vec![b'x'; 65])],
    ]
}

fn limits() -> impl Strategy<Value = SetLimits> {
    (0..40usize, 0..40usize, 0..12usize).prop_map(|(ints, pack, bytes)| SetLimits {
        ints,
        pack,
        pack_value_bytes: bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn agrees_with_a_tree(
        steps in proptest::collection::vec((0..3u8, member()), 0..300),
        limits in limits(),
    ) {
        let (mut set, mut naive) = (Set::new(), BTreeSet::new());
        for (step, member) in &steps {
            if *step == 0 {
                prop_assert_eq!(set.remove(member), naive.remove(member));
            } else {
                prop_assert_eq!(set.add(member, &limits), naive.insert(member.clone()));
            }
            prop_assert_eq!(set.len(), naive.len());
            prop_assert_eq!(set.contains(Item::Str(member)), naive.contains(member));
        }
        let members: BTreeSet<Vec<u8>> = set.iter().map(|item| item.to_vec()).collect();
        prop_assert!(members == naive);
        prop_assert_eq!(&set.clone(), &set);
        for batch in steps.chunks(BATCH) {
            let items: Vec<Item<'_>> = batch.iter().map(|(_, member)| Item::Str(member)).collect();
            let found = set.retain_contained(&items, (1 << items.len()) - 1);
            for (index, (_, member)) in batch.iter().enumerate() {
                prop_assert_eq!(found >> index & 1 == 1, naive.contains(member));
            }
        }
    }
}

//! Sorted sets against a sorted vector, in both forms.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SMALL: PackLimits = PackLimits { entries: 128, value_bytes: 64 };
const NEVER: PackLimits = PackLimits { entries: 0, value_bytes: 64 };

/// Members with scores, kept in order by sorting.
#[derive(Debug, Default)]
struct Naive(BTreeMap<Vec<u8>, f64>);

impl Naive {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut list: Vec<_> = self.0.iter().map(|(member, score)| (member.clone(), *score)).collect();
        list.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        list
    }
}

fn all(set: &Zset) -> Vec<(Vec<u8>, f64)> {
    set.iter().map(|(member, score)| (member.to_vec(), score)).collect()
}

fn back(set: &Zset) -> Vec<(Vec<u8>, f64)> {
    set.range(0..set.len(), true).map(|(member, score)| (member.to_vec(), score)).collect()
}

/// Every question a set answers, compared.
fn compare(set: &Zset, naive: &Naive) {
    let sorted = naive.sorted();
    assert_eq!(all(set), sorted);
    let mut reversed = sorted.clone();
    reversed.reverse();
    assert_eq!(back(set), reversed);
    for (rank, (member, score)) in sorted.iter().enumerate().step_by(7) {
        assert_eq!(set.rank(member), Some((rank, *score)));
        assert_eq!(set.score(member), Some(*score));
        let (nth, nth_score) = set.nth(rank).expect("a rank within the set");
        assert!(nth.is(member) && nth_score == *score);
    }
    for (min, max) in [(-3.0, 3.0), (0.0, 0.0), (1.0, 50.0), (9.0, 2.0), (f64::NEG_INFINITY, f64::INFINITY)] {
        for excluded in 0..4 {
            let range = ScoreRange { min, min_excluded: excluded & 1 != 0, max, max_excluded: excluded & 2 != 0 };
            let ranks = set.score_ranks(&range);
            let found: Vec<_> = set.range(ranks, false).map(|(m, s)| (m.to_vec(), s)).collect();
            let within = |s: f64| !range.is_below(s) && range.reaches(s) && !range.is_empty();
            let expected: Vec<_> = sorted.iter().filter(|(_, s)| within(*s)).cloned().collect();
            assert_eq!(found, expected, "{range:?}");
        }
    }
    let mut scanned = BTreeMap::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 5, |member, score| {
            scanned.insert(member.to_vec(), score);
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(scanned, naive.0);
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u16, i8),
    Remove(u16),
    RemoveRanks(u16, u16),
    Ascending(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => (0u16..600, -20i8..20).prop_map(|(member, score)| Op::Insert(member, score)),
        30 => (0u16..600).prop_map(Op::Remove),
        3 => (0u16..600, 0u16..300).prop_map(|(from, count)| Op::RemoveRanks(from, count)),
        3 => (0u16..400).prop_map(Op::Ascending),
    ]
}

/// Members of all kinds: numbers, words, long ones.
fn name(member: u16) -> Vec<u8> {
    match member % 5 {
        0 => member.to_string().into_bytes(),
        1 => format!("member:{member:09}").into_bytes(),
        2 => format!("m{member}").repeat(1 + usize::from(member % 40)).into_bytes(),
        _ => vec![member as u8, (member >> 8) as u8],
    }
}

fn run(ops: &[Op], limits: PackLimits) {
    let (mut set, mut naive) = (Zset::new(), Naive::default());
    for op in ops {
        match op {
            Op::Insert(member, score) => {
                let (member, score) = (name(*member), f64::from(*score) / 4.0);
                assert_eq!(set.insert(&member, score, limits), naive.0.insert(member, score));
            }
            Op::Remove(member) => {
                let member = name(*member);
                assert_eq!(set.remove(&member), naive.0.remove(&member));
            }
            Op::RemoveRanks(from, count) => {
                let from = usize::from(*from).min(set.len());
                let to = (from + usize::from(*count)).min(set.len());
                naive.sorted()[from..to].iter().for_each(|(member, _)| {
                    naive.0.remove(member);
                });
                set.remove_ranks(from..to);
            }
            Op::Ascending(count) => {
                for i in 0..*count {
                    let (member, score) = (name(i), f64::from(i) + 1000.0);
                    assert_eq!(set.insert(&member, score, limits), naive.0.insert(member, score));
                }
            }
        }
        assert_eq!(set.len(), naive.0.len());
    }
    compare(&set, &naive);
    while !set.free_step(3) {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn index_agrees_with_a_sorted_vector(ops in proptest::collection::vec(op(), 1..400)) {
        run(&ops, NEVER);
    }

    #[test]
    fn listpack_agrees_with_a_sorted_vector(ops in proptest::collection::vec(op(), 1..60)) {
        run(&ops, SMALL);
    }
}

fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

#[test]
fn many_members_come_and_go() {
    let (mut set, mut naive, mut state) = (Zset::new(), Naive::default(), 7);
    for round in 0..3 {
        for _ in 0..20_000 {
            let member = format!("m:{}", dice(&mut state) % 30_000).into_bytes();
            let score = (dice(&mut state) % 5000) as f64;
            assert_eq!(set.insert(&member, score, SMALL), naive.0.insert(member, score));
        }
        compare(&set, &naive);
        for i in 0..30_000 {
            if i % 17 != round {
                let member = format!("m:{i}").into_bytes();
                assert_eq!(set.remove(&member), naive.0.remove(&member));
            }
        }
        compare(&set, &naive);
        assert!(set.heap_bytes() < 700_000, "{} bytes for {} members", set.heap_bytes(), set.len());
    }
    let len = set.len();
    set.remove_ranks(0..len);
    assert!(set.is_empty());
    assert_eq!(set.insert(b"again", 1.0, SMALL), None);
    assert_eq!(set.rank(b"again"), Some((0, 1.0)));
}

#[test]
fn what_arrives_in_order_fills_nodes_whole() {
    for down in [false, true] {
        let mut set = Zset::new();
        for i in 0..50_000 {
            let i = if down { 50_000 - i } else { i };
            set.insert(format!("member:{i:09}").as_bytes(), f64::from(i), SMALL);
        }
        let each = set.heap_bytes() / set.len();
        assert!(each <= 52, "{each} bytes per member");
        let middle = if down { 25_001.0 } else { 25_000.0 };
        assert_eq!(set.nth(25_000).map(|(_, score)| score), Some(middle));
    }
}

#[test]
fn ranges_of_members() {
    let limits = [SMALL, NEVER];
    for limits in limits {
        let mut set = Zset::new();
        for member in ["a", "b", "c", "d", "10", "e"] {
            set.insert(member.as_bytes(), 0.0, limits);
        }
        let found = |min, max, back| {
            let ranks = set.lex_ranks(&LexRange { min, max }, back);
            set.range(ranks, back).map(|(m, _)| String::from_utf8(m.to_vec()).expect("ASCII")).collect::<String>()
        };
        use LexBound::*;
        assert_eq!(found(Least, Most, false), "10abcde");
        assert_eq!(found(Least, Most, true), "edcba10");
        assert_eq!(found(Included(b"b"), Excluded(b"d"), false), "bc");
        assert_eq!(found(Excluded(b"b"), Included(b"d"), true), "dc");
        assert_eq!(found(Included(b"x"), Most, false), "");
        assert_eq!(found(Most, Least, false), "");
        assert_eq!(found(Included(b"c"), Included(b"c"), false), "c");
        assert_eq!(found(Included(b"c"), Excluded(b"c"), false), "");
        assert_eq!(found(Least, Least, false), "");
    }
}

#[test]
fn scan_survives_growth() {
    let mut set = Zset::new();
    let name = |i: u32| format!("m{i}").into_bytes();
    for i in 0..3000 {
        set.insert(&name(i), 1.0, SMALL);
    }
    let mut seen = std::collections::BTreeSet::new();
    let (mut cursor, mut added) = (0, 3000);
    loop {
        cursor = set.scan(cursor, 10, |member, _| {
            seen.insert(member.to_vec());
        });
        if cursor == 0 {
            break;
        }
        for _ in 0..40 {
            set.insert(&name(added), 2.0, SMALL);
            added += 1;
        }
    }
    assert!((0..3000).all(|i| seen.contains(&name(i))));
}

#[test]
fn forms_follow_the_limits() {
    let mut set = Zset::new();
    for i in 0..128 {
        set.insert(i.to_string().as_bytes(), 0.5, SMALL);
    }
    assert!(set.as_listpack().is_some());
    set.insert(b"5", -0.0, SMALL);
    assert!(set.as_listpack().is_some());
    assert_eq!(set.nth(0).map(|(member, score)| (member.to_vec(), score.to_bits())), Some((b"5".to_vec(), 0)));
    let copy = set.clone();
    set.insert(b"one more", 0.5, SMALL);
    assert!(set.as_listpack().is_none() && set != copy);
    set.remove(b"one more");
    assert!(set.as_listpack().is_none() && set == copy);
    let mut long = Zset::new();
    long.insert(&[b'x'; 65], 1.0, SMALL);
    assert!(long.as_listpack().is_none());
}

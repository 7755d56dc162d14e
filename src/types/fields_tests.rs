//! Members against a naive map: random histories, the scan's promise, fair draws, memory.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What the model holds for a member.
type Expected = (Vec<u8>, Option<u64>);

fn shown(field: Field<'_>) -> Expected {
    (field.value.to_vec(), field.expire_ms)
}

fn name(n: u32) -> Vec<u8> {
    match n % 50 {
        0 => vec![n as u8; 700 + n as usize],
        _ => format!("{{tag}}:{n}").into_bytes(),
    }
}

fn value(n: u32, len: usize) -> Vec<u8> {
    if len == 3 { (i64::from(n) - 300).to_string().into_bytes() } else { vec![n as u8; len] }
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_map(
        steps in prop::collection::vec(
            (0u32..400, 0usize..6, 0u64..40, prop::sample::select(vec![0, 3, 20, 1500])),
            1..800,
        ),
    ) {
        let (mut fields, mut model) = (Fields::new(), BTreeMap::<Vec<u8>, Expected>::new());
        for (i, &(n, action, at, len)) in steps.iter().enumerate() {
            let name = name(n);
            let known = model.contains_key(&name);
            match action {
                0 | 1 => {
                    let expire = if at < 20 { Expire::Clear } else { Expire::At(at) };
                    prop_assert_eq!(fields.set(&name, &value(n, len), expire), !known);
                    model.insert(name, (value(n, len), (at >= 20).then_some(at)));
                }
                2 => {
                    prop_assert_eq!(fields.set(&name, &value(n, len), Expire::Keep), !known);
                    let expire = model.get(&name).and_then(|old| old.1);
                    model.insert(name, (value(n, len), expire));
                }
                3 => prop_assert_eq!(fields.remove(&name), model.remove(&name).is_some()),
                4 => {
                    let at = (at > 5).then_some(at);
                    prop_assert_eq!(fields.set_expire(&name, at), known);
                    model.entry(name).and_modify(|old| old.1 = at);
                }
                _ => {
                    // Passes may lie up to a minute apart, so the sweep is asked far ahead of the times in use.
                    let mut gone = BTreeSet::new();
                    fields.sweep(i as u64 * 100_000 + at, 10_000, |name| { gone.insert(name.to_vec()); });
                    let due = |e: &Expected| e.1.is_some_and(|t| t <= i as u64 * 100_000 + at);
                    prop_assert!(gone.iter().all(|name| due(&model[name])));
                    model.retain(|name, _| !gone.contains(name));
                }
            }
            prop_assert_eq!(fields.len(), model.len());
        }
        prop_assert_eq!(fields.expiring(), model.values().filter(|e| e.1.is_some()).count());
        // After a sweep, the next look is put off for a while.
        if steps.iter().all(|step| step.1 < 5) {
            prop_assert!(model.values().filter_map(|e| e.1).all(|at| at >= fields.next_expire_ms()));
        }
        let seen: BTreeMap<_, _> = fields.iter().map(|field| (field.name.to_vec(), shown(field))).collect();
        prop_assert_eq!(&seen, &model);
        for n in 0..400 {
            prop_assert_eq!(fields.get(&name(n)).map(shown), model.get(&name(n)).cloned());
        }
        prop_assert_eq!(&fields.clone(), &fields);
    }

    /// Between steps of a scan members come and go, segments split and merge; what stays is seen.
    #[test]
    fn scan_sees_what_stays(
        stay in 1u32..2000,
        count in 1usize..200,
        targets in prop::collection::vec(0u32..20_000, 1..8),
    ) {
        let mut fields = Fields::new();
        (0..stay).for_each(|n| assert!(fields.add(format!("stay{n}").as_bytes())));
        let mut seen = BTreeSet::new();
        let (mut cursor, mut filled, mut targets) = (0, 0u32, targets.into_iter());
        for step in 1.. {
            cursor = fields.scan(cursor, count, |field| { seen.insert(field.name.to_vec()); });
            prop_assert!(step < 100_000);
            if cursor == 0 {
                break;
            }
            if step % 5 == 0 && let Some(target) = targets.next() {
                (filled..target).for_each(|n| { fields.add(format!("come{n}").as_bytes()); });
                (target..filled).for_each(|n| { fields.remove(format!("come{n}").as_bytes()); });
                filled = target;
            }
        }
        for n in 0..stay {
            prop_assert!(seen.contains(format!("stay{n}").as_bytes()), "stay{} was never visited", n);
        }
    }
}

#[test]
fn every_member_is_drawn_equally_often() {
    for members in [3u32, 100, 9000] {
        let mut fields = Fields::new();
        // Most of them leave again: what is left must not depend on where it stands.
        (0..members * 4).for_each(|n| assert!(fields.add(&n.to_le_bytes())));
        (members..members * 4).for_each(|n| assert!(fields.remove(&n.to_le_bytes())));
        let mut random = dice(7);
        let mut drawn = vec![0u32; members as usize];
        let draws = members * 100;
        for _ in 0..draws {
            let field = fields.random(&mut random).unwrap();
            drawn[u32::from_le_bytes(field.name.try_into().unwrap()) as usize] += 1;
        }
        // Chi-squared over mean 100: its mean is members - 1, its deviation sqrt(2 members).
        let chi: f64 = drawn.iter().map(|&d| (f64::from(d) - 100.0).powi(2) / 100.0).sum();
        let bound = f64::from(members) + 6.0 * (2.0 * f64::from(members)).sqrt() + 10.0;
        assert!(chi < bound, "{chi} for {members} members");
    }
    assert_eq!(Fields::new().random(dice(1)), None);
}

#[test]
fn members_take_few_bytes_and_give_them_back() {
    let mut fields = Fields::new();
    let empty = fields.heap_bytes();
    assert!(empty < 1024, "{empty}");
    (0..200_000u32).for_each(|n| assert!(fields.add(format!("member:{n:09}").as_bytes())));
    // 16 bytes of name, 9 beside, and what is not full yet: up to a fifth of the pool.
    assert!(fields.heap_bytes() < 200_000 * 38, "{}", fields.heap_bytes());
    (0..199_000u32).for_each(|n| assert!(fields.remove(format!("member:{n:09}").as_bytes())));
    assert!(fields.heap_bytes() < 6 << 20, "{}", fields.heap_bytes());
    let mut steps = 0;
    while !fields.free_step(64) {
        steps += 1;
    }
    assert!(steps < 1000 && fields.is_empty());
}

/// What one table gives in its own order, or a client read with SMEMBERS and writes elsewhere, arrives with tags close
/// together.
#[test]
fn members_may_arrive_in_the_order_of_another_table() {
    for count in [1000, 5000, 7000, 9000, 40_000] {
        let mut from = Fields::new();
        for n in 0..count {
            from.add(format!("m{n}").as_bytes());
        }
        let mut to = Fields::new();
        for field in from.iter() {
            assert!(to.add(field.name));
        }
        assert!(to == from && to.clone() == from, "{count}");
        assert!(to.heap_bytes() < 2 * from.heap_bytes(), "{} for {}", to.heap_bytes(), from.heap_bytes());
    }
}

#[test]
fn what_two_have_in_common() {
    for (own, other, overlap) in [(10, 20, 5), (20_000, 20_000, 10_000), (20_000, 30_000, 0), (9000, 4000, 4000)] {
        let mut one = Fields::new();
        (0..own).for_each(|n| assert!(one.add(&name(n))));
        let mut two = Fields::new();
        (own - overlap..own - overlap + other).for_each(|n| assert!(two.add(&name(n))));
        assert!(one.remove(&name(own - 1)));
        let mut seen = Vec::new();
        let told = one.common(&two, |field| {
            seen.push(field.name.to_vec());
            true
        });
        assert!(told || seen.is_empty());
        if told {
            seen.sort_unstable();
            let mut expected: Vec<_> = (own - overlap..own.max(1) - 1).take(other as usize).map(name).collect();
            expected.sort_unstable();
            assert_eq!(seen, expected);
        }
        let mut shown = 0;
        one.common(&two, |_| {
            shown += 1;
            shown < 3
        });
        assert!(shown <= 3);
    }
    let (empty, mut one) = (Fields::new(), Fields::new());
    one.add(b"a");
    assert!(empty.common(&one, |_| panic!("nothing")) && one.common(&empty, |_| panic!("nothing")));
}

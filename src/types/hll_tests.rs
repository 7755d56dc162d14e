//! HyperLogLog strings against plain registers. Never opens a shard.

use super::*;
use proptest::prelude::*;

/// Register by register, the plainest way.
struct Naive([u8; REGISTERS]);

impl Naive {
    fn raise(&mut self, seen: Observation) -> bool {
        let slot = &mut self.0[seen.index];
        let raised = *slot < seen.value;
        *slot = seen.value.max(*slot);
        raised
    }
}

fn with(elements: impl Iterator<Item = u64>, sparse_bytes_max: usize) -> Vec<u8> {
    let mut bytes = empty().to_vec();
    for n in elements {
        raise(&mut bytes, Observation::of(n.to_string().as_bytes()), sparse_bytes_max).expect("well formed");
    }
    bytes
}

#[test]
fn runs_are_those_of_redis() {
    // PFADD h a b c, PFDEBUG DECODE h
    let mut bytes = empty().to_vec();
    for element in [b"a", b"b", b"c"] {
        assert_eq!(raise(&mut bytes, Observation::of(element), 3000), Ok(true));
        assert_eq!(raise(&mut bytes, Observation::of(element), 3000), Ok(false));
    }
    assert_eq!(describe_runs(&bytes), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    assert_eq!(remembered_count(&bytes), None);
    assert_eq!(count(&bytes), Ok(3));
}

#[test]
fn sparse_and_dense_hold_the_same_registers() {
    for n in [0, 1, 10, 300, 900, 5000] {
        let (sparse, dense) = (with(0..n, usize::MAX), with(0..n, 0));
        assert!(is_hll(&sparse) && is_hll(&dense) && is_sparse(&sparse));
        assert_eq!(is_sparse(&dense), n == 0);
        for index in 0..REGISTERS {
            assert_eq!(get(&sparse, index), get(&dense, index), "register {index} of {n}");
        }
        assert_eq!(count(&sparse), count(&dense));
        let estimate = count(&dense).expect("well formed");
        assert!(estimate.abs_diff(n) as f64 <= n as f64 * 0.03, "{n} estimated as {estimate}");
        let converted = dense_of(&sparse).expect("well formed");
        assert_eq!(converted[16..], dense_of(&dense).expect("dense")[16..]);
    }
}

#[test]
fn a_remembered_count_reads_back() {
    let mut bytes = with(0..10, 3000);
    remember_count(&mut bytes, 10);
    assert_eq!(remembered_count(&bytes), Some(10));
    assert_eq!(remembered_count(&dense_of(&bytes).expect("well formed")), Some(10));
    raise(&mut bytes, Observation { index: 5, value: 32 }, 3000).expect("well formed");
    assert_eq!(remembered_count(&bytes), None);
    raise(&mut bytes, Observation { index: 5, value: 33 }, 3000).expect("well formed");
    assert!(!is_sparse(&bytes), "33 is too large for a sparse register");
}

#[test]
fn corrupt_runs_are_found() {
    let mut short = empty().to_vec();
    short[17] = 0;
    assert_eq!(count(&short), Err(Corrupt));
    assert_eq!(get(&short, REGISTERS - 1), Err(Corrupt));
    assert_eq!(raise(&mut short, Observation { index: REGISTERS - 1, value: 1 }, 3000), Err(Corrupt));
    assert_eq!(dense_of(&short), Err(Corrupt));
    let mut long = empty().to_vec();
    long.extend([Run::val(3, 4); 3]);
    assert_eq!(count(&long), Err(Corrupt));
    assert_eq!(merge(&long, &mut [0; REGISTERS]), Err(Corrupt));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_plain_registers(
        steps in proptest::collection::vec((0..REGISTERS, 1..=40u8, any::<bool>()), 1..200),
        bytes_max in 0..600usize,
    ) {
        let (mut bytes, mut naive) = (empty().to_vec(), Naive([0; REGISTERS]));
        for (index, value, near) in steps {
            // Half of them close together, so that runs split and join.
            let seen = Observation { index: if near { index % 40 } else { index }, value };
            prop_assert_eq!(raise(&mut bytes, seen, bytes_max), Ok(naive.raise(seen)));
        }
        let mut registers = [0; REGISTERS];
        prop_assert_eq!(merge(&bytes, &mut registers), Ok(()));
        prop_assert!(registers == naive.0);
        prop_assert_eq!(count(&bytes), Ok(count_registers(&naive.0)));
    }

    #[test]
    fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..64), index in 0..REGISTERS) {
        let mut bytes = [&empty()[..16], &body].concat();
        let _ = (count(&bytes), get(&bytes, index), dense_of(&bytes), describe_runs(&bytes));
        let _ = raise(&mut bytes, Observation { index, value: 7 }, 100);
        let _ = raise(&mut bytes, Observation { index, value: 40 }, 100);
    }
}

//! The list against a double-ended queue, with conversions at every threshold; what it costs; Redis's encodings.

use super::*;
use crate::types::listpack::Listpack;
use crate::types::lzf;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;

type Model = VecDeque<Vec<u8>>;

fn strings(list: &List) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.walk(0, true, |item| {
        all.push(item.to_vec());
        true
    });
    all
}

fn push(list: &mut List, end: End, bytes: &[u8], fill: Fill) {
    list.grow(bytes.len(), 1, fill);
    list.push(end, bytes, fill);
}

fn of(count: usize, fill: Fill) -> List {
    let mut list = List::new();
    (0..count).for_each(|i| push(&mut list, End::Tail, format!("element:{i}").as_bytes(), fill));
    list
}

#[test]
fn settings_mean_what_they_mean_in_redis() {
    let of = |setting| Fill::of(setting, 0).chunk;
    assert_eq!(of(-1), ChunkMax::Bytes(4096));
    assert_eq!(of(-2), ChunkMax::Bytes(8192));
    assert_eq!((of(-5), of(-6), of(i64::MIN + 1)), (ChunkMax::Bytes(65_536), of(-5), of(-5)));
    assert_eq!((of(0), of(1), of(128)), (ChunkMax::Count(1), ChunkMax::Count(1), ChunkMax::Count(128)));
    assert_eq!(of(100_000), ChunkMax::Count(32_767));
    assert_eq!([-5, -2, -1, 1, 128].map(|setting| of(setting).setting()), [-5, -2, -1, 1, 128]);
    assert_eq!(Fill::of(-2, 1_000_000).depth, u16::MAX);
}

/// Which runs are compressed.
fn compressed(list: &List) -> Vec<bool> {
    list.packs().map(|pack| matches!(pack, Pack::Compressed { .. })).collect()
}

/// That the runs which may be compressed are, unless they would not get shorter, and no other.
fn check_depth(list: &List, depth: usize) {
    let runs = compressed(list);
    for (at, pack) in list.packs().enumerate() {
        let is_inner = depth > 0 && !list.is_small() && at >= depth && at + depth < runs.len();
        match pack {
            Pack::Compressed { .. } => assert!(is_inner, "run {at} of {runs:?}"),
            Pack::Plain(bytes) if is_inner && bytes.len() >= 48 && bytes.len() <= 256 << 10 => {
                assert!(lzf::compress(&bytes, bytes.len() - 8).is_none(), "run {at} of {runs:?}");
            }
            Pack::Plain(_) => {}
        }
    }
}

#[test]
fn runs_between_the_ends_are_compressed() {
    let plain = of(20_000, Fill::of(-2, 0));
    assert!(compressed(&plain).iter().all(|compressed| !compressed));
    for depth in [1, 2, 5] {
        let fill = Fill::of(-2, depth);
        let mut list = of(20_000, fill);
        check_depth(&list, depth as usize);
        let inner = compressed(&list).iter().filter(|compressed| **compressed).count();
        assert_eq!(inner, compressed(&list).len() - 2 * depth as usize);
        assert!(list == plain && list.len() == plain.len());
        assert!(list.heap_bytes() * 10 < plain.heap_bytes() * 8, "{} of {}", list.heap_bytes(), plain.heap_bytes());
        assert_eq!(list.get(10_000, |item| item.to_vec()), Some(b"element:10000".to_vec()));
        assert!(list.describe(fill).contains("ql_compressed:1"));
        // what looks leaves it compressed, what changes compresses it again
        let before = list.heap_bytes();
        assert_eq!(list.find(b"element:19000"), Some(19_000));
        assert_eq!(list.remove_equal(b"not there", usize::MAX, End::Head), 0);
        assert_eq!(list.heap_bytes(), before);
        assert!(list.set(10_000, b"element:10000", fill));
        assert_eq!(list.heap_bytes(), before);
        while !list.is_empty() {
            list.pop(End::Head, |_| ());
            list.shrink(fill);
            if list.len().is_multiple_of(500) {
                check_depth(&list, depth as usize);
            }
        }
    }
}

#[test]
fn runs_that_would_not_shrink_stay_as_they_are() {
    let mut list = List::new();
    let mut state = 1u64;
    for _ in 0..3000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = state.to_be_bytes().map(|byte| byte ^ (state >> 29) as u8);
        push(&mut list, End::Tail, &bytes, Fill::of(-1, 1));
    }
    check_depth(&list, 1);
    assert!(compressed(&list).iter().all(|compressed| !compressed));
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let fill = Fill::of(128, 0);
    let mut list = of(128, fill);
    assert!(list.is_small());
    push(&mut list, End::Tail, b"one more", fill);
    assert!(!list.is_small());
    for left in (0..129).rev() {
        assert!(list.pop(End::Tail, |_| ()).is_some());
        list.shrink(fill);
        assert_eq!(list.is_small(), left <= 64, "{left}");
    }
    // seven bytes of an empty listpack count, those of the entry itself do not
    let fill = Fill::of(-2, 0);
    let mut list = List::new();
    push(&mut list, End::Tail, &[b'x'; 8192 - 7], fill);
    assert!(list.is_small());
    let mut list = List::new();
    push(&mut list, End::Tail, &[b'x'; 8192 - 6], fill);
    assert!(!list.is_small());
}

#[test]
fn ends_cost_nothing_but_the_element() {
    let fill = Fill::default();
    let mut list = of(100_000, fill);
    let bytes = list.heap_bytes();
    for i in 0..100_000 {
        let text = format!("element:{i}");
        push(&mut list, End::Head, text.as_bytes(), fill);
        list.pop(End::Tail, |_| ()).unwrap();
    }
    assert!(list.heap_bytes() < bytes + bytes / 16, "{} after {bytes}", list.heap_bytes());
}

#[test]
fn memory_is_that_of_the_entries() {
    let fill = Fill::default();
    for end in [End::Head, End::Tail] {
        let (mut list, mut entries) = (List::new(), 0);
        for i in 0..200_000 {
            let text = format!("element:{i}");
            entries += text.len() + 2;
            push(&mut list, end, text.as_bytes(), fill);
        }
        assert!(list.heap_bytes() < entries + entries / 50, "{} for {entries}", list.heap_bytes());
    }
    let (mut list, mut entries) = (List::new(), 0);
    for i in 0..50 {
        let text = format!("element:{i}");
        entries += text.len() + 2;
        push(&mut list, End::Tail, text.as_bytes(), fill);
        assert!(list.heap_bytes() < entries * 3 / 2 + 32, "{} for {entries}", list.heap_bytes());
    }
    while list.len() > 1 {
        list.pop(End::Head, |_| ());
        list.shrink(fill);
    }
    assert!(list.heap_bytes() < 300);
}

/// How many elements each run has.
fn run_lens(list: &List) -> Vec<usize> {
    let unpack = |pack| match pack {
        Pack::Plain(bytes) => bytes,
        Pack::Compressed { lzf, len } => lzf::decompress(lzf, len).expect("we compressed it"),
    };
    list.packs().map(|pack| Listpack::from_redis(&unpack(pack)).expect("well-formed").len()).collect()
}

#[test]
fn large_elements_have_chunks_of_their_own() {
    let fill = Fill::default();
    let mut list = of(10, fill);
    let large = vec![b'x'; 100_000];
    list.grow(large.len(), 1, fill);
    assert!(list.insert(b"element:4", true, &large, fill));
    assert!(list.set(0, &large, fill));
    assert_eq!(run_lens(&list), [1, 4, 1, 5]);
    let len_at = |index| list.get(index, |item| item.len());
    assert_eq!((len_at(0), len_at(5)), (Some(100_000), Some(100_000)));
    assert!(list.set(5, b"small", fill));
    assert_eq!(list.get(5, |item| item.to_vec()), Some(b"small".to_vec()));
}

#[test]
fn freed_in_steps() {
    let mut list = of(50_000, Fill::default());
    let mut steps = 0;
    while !list.free_step(8) {
        steps += 1;
        assert!(steps < 1000);
    }
    assert!(steps > 5);
}

#[derive(Debug, Clone)]
enum Step {
    Push(End, Vec<u8>),
    Pop(End),
    Set(i64, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    RemoveEqual(Vec<u8>, usize, End),
    RemoveRange(usize, usize),
    Walk(usize, bool, usize),
    Many(End, usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Head), Just(End::Tail)]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0i64..6).prop_map(|n| n.to_string().into_bytes()),
        2 => vec(prop::sample::select(b"abc".to_vec()), 0..3),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (0usize..300, any::<u8>()).prop_map(|(n, byte)| vec![byte; n]),
        1 => (0usize..10_000).prop_map(|n| vec![b'x'; n]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (end(), text()).prop_map(|(e, t)| Step::Push(e, t)),
        3 => end().prop_map(Step::Pop),
        2 => (-20i64..20, text()).prop_map(|(i, t)| Step::Set(i, t)),
        3 => (any::<usize>(), any::<bool>(), text()).prop_map(|(i, a, t)| Step::Insert(i, a, t)),
        1 => (text(), 1usize..4, end()).prop_map(|(t, n, e)| Step::RemoveEqual(t, n, e)),
        1 => (any::<usize>(), 0usize..12).prop_map(|(i, n)| Step::RemoveRange(i, n)),
        2 => (any::<usize>(), any::<bool>(), 0usize..30).prop_map(|(i, f, n)| Step::Walk(i, f, n)),
        1 => (end(), 1usize..40).prop_map(|(e, n)| Step::Many(e, n)),
    ]
}

fn model_push(model: &mut Model, end: End, text: Vec<u8>) {
    match end {
        End::Head => model.push_front(text),
        End::Tail => model.push_back(text),
    }
}

fn model_remove_equal(model: &mut Model, text: &[u8], count: usize, end: End) -> usize {
    let mut removed = 0;
    while removed < count {
        let at = match end {
            End::Head => model.iter().position(|own| own == text),
            End::Tail => model.iter().rposition(|own| own == text),
        };
        let Some(at) = at else { break };
        model.remove(at);
        removed += 1;
    }
    removed
}

/// Does `step` to both and compares what it answers.
fn apply(list: &mut List, model: &mut Model, fill: Fill, step: Step) {
    match step {
        Step::Push(end, text) => {
            push(list, end, &text, fill);
            model_push(model, end, text);
        }
        Step::Many(end, count) => {
            for i in 0..count {
                let text = format!("v{i}").into_bytes();
                push(list, end, &text, fill);
                model_push(model, end, text);
            }
        }
        Step::Pop(end) => {
            let expected = if end == End::Head { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.pop(end, |item| item.to_vec()), expected);
            list.shrink(fill);
        }
        Step::Set(index, text) => {
            list.grow(text.len(), 1, fill);
            let at = if index < 0 { index + model.len() as i64 } else { index };
            let place = usize::try_from(at).ok().and_then(|at| model.get_mut(at));
            assert_eq!(list.set(index, &text, fill), place.is_some());
            if let Some(place) = place {
                *place = text;
            }
            list.shrink(fill);
        }
        Step::Insert(which, after, text) => {
            let Some(pivot) = which.checked_rem(model.len()).map(|at| model[at].clone()) else { return };
            let at = model.iter().position(|own| *own == pivot).expect("it is one of them");
            list.grow(text.len(), 1, fill);
            assert!(list.insert(&pivot, after, &text, fill));
            model.insert(at + usize::from(after), text);
        }
        Step::RemoveEqual(text, count, end) => {
            assert_eq!(list.remove_equal(&text, count, end), model_remove_equal(model, &text, count, end));
            list.shrink(fill);
        }
        Step::RemoveRange(start, count) => {
            let start = start % (model.len() + 1);
            let count = count.min(model.len() - start);
            list.remove_range(start, count);
            model.drain(start..start + count);
            list.shrink(fill);
        }
        Step::Walk(start, forward, count) => {
            let start = start % (model.len() + 1);
            let mut seen = Vec::new();
            list.walk(start, forward, |item| {
                seen.push(item.to_vec());
                seen.len() < count.max(1)
            });
            let expected: Vec<_> = if forward {
                model.iter().skip(start).take(count.max(1)).cloned().collect()
            } else if start < model.len() {
                model.iter().take(start + 1).rev().take(count.max(1)).cloned().collect()
            } else {
                Vec::new()
            };
            assert_eq!(seen, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn does_what_a_queue_does(
        size in prop::sample::select(vec![-2i64, -1, 0, 1, 3, 8]),
        depth in 0u32..4,
        steps in vec(step(), 1..80),
    ) {
        let fill = Fill::of(size, depth);
        let (mut list, mut model) = (List::new(), Model::new());
        for step in steps {
            apply(&mut list, &mut model, fill, step);
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(strings(&list), Vec::from(model.clone()));
            prop_assert_eq!(list.get(-1, |item| item.to_vec()), model.back().cloned());
            let middle = model.len() / 2;
            prop_assert_eq!(list.get(middle as i64, |item| item.to_vec()), model.get(middle).cloned());
            prop_assert_eq!(run_lens(&list).iter().sum::<usize>(), model.len());
            check_depth(&list, depth as usize);
            if let Form::Big(quick) = &list.0 {
                quick.check_sums();
            }
            let copy = list.clone();
            prop_assert!(copy == list);
        }
    }
}

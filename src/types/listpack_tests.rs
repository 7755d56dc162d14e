//! The listpack against a vector, its bytes against Redis's, and hostile bytes.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn of(items: &[&[u8]]) -> Listpack {
    let mut list = Listpack::new();
    items.iter().for_each(|item| list.push_back(item));
    list
}

fn strings(list: &Listpack) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

/// Payloads of `DUMP` on redis-server 7 with hash-max-listpack-* out of the way, without type, length and footer.
#[test]
fn bytes_are_those_of_redis() {
    assert_eq!(Listpack::new().to_redis(), [7, 0, 0, 0, 0, 0, 0xff]);
    assert_eq!(of(&[b"a", b"1"]).to_redis(), b"\x0c\0\0\0\x02\0\x81a\x02\x01\x01\xff");
    assert_eq!(of(&[b"128", b"-1"]).to_redis(), b"\x0d\0\0\0\x02\0\xc0\x80\x02\xdf\xff\x02\xff");
    assert_eq!(of(&[b"-4097", b"32768"]).to_redis(), b"\x10\0\0\0\x02\0\xf1\xff\xef\x03\xf2\0\x80\0\x04\xff");
    assert_eq!(of(&[b"8388608"]).to_redis(), b"\x0d\0\0\0\x01\0\xf3\0\0\x80\0\x05\xff");
    assert_eq!(of(&[b"-2147483649"]).to_redis(), b"\x11\0\0\0\x01\0\xf4\xff\xff\xff\x7f\xff\xff\xff\xff\x09\xff");
    let long = [b'x'; 130];
    let list = of(&[&long]);
    assert_eq!(list.to_redis()[4..9], [1, 0, 0xe0, 130, b'x']);
    assert_eq!(list.to_redis()[list.to_redis().len() - 3..], [1, 0x80 | 4, 0xff]);
}

#[test]
fn only_canonical_numbers_are_numbers() {
    for text in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
        assert!(matches!(of(&[text.as_bytes()]).iter().next(), Some(Item::Int(_))), "{text}");
    }
    for text in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1e3"] {
        assert_eq!(of(&[text.as_bytes()]).iter().next(), Some(Item::Str(text.as_bytes())));
    }
}

#[test]
fn lengths_around_every_form() {
    for len in [0, 1, 62, 63, 64, 124, 125, 126, 127, 4094, 4095, 4096, 16_376, 16_378, 16_379, 2_097_146, 2_097_147] {
        let text = vec![b'x'; len];
        let list = of(&[b"a", &text, b"z"]);
        assert_eq!(Listpack::from_redis(&list.to_redis()).as_ref(), Ok(&list), "{len}");
        let middle = list.prev(list.last().unwrap()).unwrap();
        assert!(list.get(middle).is(&text), "{len}");
        assert_eq!(list.prev(middle), list.first());
    }
}

#[test]
fn more_entries_than_the_header_counts() {
    let mut list = Listpack::new();
    (0..70_000).for_each(|_| list.push_back(b"7"));
    assert_eq!(list.len(), 70_000);
    assert_eq!(list.to_redis()[4..6], [0xff, 0xff]);
    assert_eq!(list.remove_range(list.first().unwrap(), 69_000), list.first());
    assert_eq!((list.len(), list.to_redis()[4..6].to_vec()), (1000, 1000u16.to_le_bytes().to_vec()));
}

#[test]
fn finds_every_so_many() {
    let list = of(&[b"a", b"b", b"b", b"a", b"5", b"6"]);
    assert_eq!(list.find(b"a", None, 0), list.seek(0));
    assert_eq!(list.find(b"a", list.seek(1), 0), list.seek(3));
    assert_eq!(list.find(b"a", list.seek(2), 1), None);
    assert_eq!(list.find(b"5", None, 1), list.seek(4));
    assert_eq!(list.find(b"6", None, 1), None);
    assert_eq!(list.find(b"05", None, 0), None);
    assert_eq!(Listpack::new().find(b"a", None, 0), None);
}

#[test]
fn takes_no_more_room_than_said() {
    let mut list = Listpack::new();
    for i in 0..5000 {
        list.push_back(format!("value:{i}").as_bytes());
        assert!(list.heap_bytes() <= list.bytes() + list.bytes() / 4 + 32);
    }
    while let Some(at) = list.first() {
        list.remove(at);
        assert!(list.heap_bytes() <= list.bytes() + list.bytes() / 4 + 32);
    }
    assert!(list.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Find(usize, Vec<u8>, usize),
    Seek(i64),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (-200i64..200).prop_map(|n| n.to_string().into_bytes()),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (any::<i64>(), 0u32..64).prop_map(|(n, shift)| (n >> shift).to_string().into_bytes()),
        vec(prop::sample::select(b"ab01-".to_vec()), 0..4),
        vec(any::<u8>(), 0..200),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        text().prop_map(Step::PushBack),
        text().prop_map(Step::PushFront),
        (any::<usize>(), text()).prop_map(|(i, t)| Step::InsertBefore(i, t)),
        (any::<usize>(), text()).prop_map(|(i, t)| Step::InsertAfter(i, t)),
        (any::<usize>(), text()).prop_map(|(i, t)| Step::Replace(i, t)),
        (any::<usize>(), 1usize..5).prop_map(|(i, n)| Step::Remove(i, n)),
        (any::<usize>(), text(), 0usize..3).prop_map(|(i, t, s)| Step::Find(i, t, s)),
        (-30i64..30).prop_map(Step::Seek),
    ]
}

/// Does `step` to both and compares what it answers.
fn apply(list: &mut Listpack, model: &mut Vec<Vec<u8>>, step: Step) {
    let place = |list: &Listpack, model: &Vec<Vec<u8>>, i: usize| {
        let index = i.checked_rem(model.len())?;
        Some((index, list.seek(index as i64).expect("within")))
    };
    match step {
        Step::PushBack(text) => {
            list.push_back(&text);
            model.push(text);
        }
        Step::PushFront(text) => {
            list.push_front(&text);
            model.insert(0, text);
        }
        Step::InsertBefore(i, text) => {
            let Some((index, at)) = place(list, model, i) else { return };
            assert!(list.insert_before(at, &text) == at && list.get(at).is(&text));
            model.insert(index, text);
        }
        Step::InsertAfter(i, text) => {
            let Some((index, at)) = place(list, model, i) else { return };
            let new = list.insert_after(at, &text);
            assert!(list.get(new).is(&text));
            model.insert(index + 1, text);
        }
        Step::Replace(i, text) => {
            let Some((index, at)) = place(list, model, i) else { return };
            let new = list.replace(at, &text);
            assert!(list.get(new).is(&text));
            model[index] = text;
        }
        Step::Remove(i, count) => {
            let Some((index, at)) = place(list, model, i) else { return };
            let follows = list.remove_range(at, count);
            model.drain(index..(index + count).min(model.len()));
            assert_eq!(follows, list.seek(index as i64));
        }
        Step::Find(i, text, skip) => {
            let Some((index, at)) = place(list, model, i) else { return };
            let found = list.find(&text, Some(at), skip);
            let expected = (index..model.len()).step_by(skip + 1).find(|j| model[*j] == text);
            assert_eq!(found, expected.and_then(|j| list.seek(j as i64)));
        }
        Step::Seek(i) => {
            let index = if i < 0 { i + model.len() as i64 } else { i };
            let expected = usize::try_from(index).ok().and_then(|index| model.get(index));
            assert_eq!(list.seek(i).map(|at| list.get(at).to_vec()).as_ref(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn does_what_a_vector_does(steps in vec(step(), 1..60)) {
        let (mut list, mut model) = (Listpack::new(), Vec::new());
        for step in steps {
            apply(&mut list, &mut model, step);
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(&strings(&list), &model);
            let again = Listpack::from_redis(&list.to_redis());
            prop_assert_eq!(again.as_ref(), Ok(&list));
        }
        let (mut at, mut backwards) = (list.last(), Vec::new());
        while let Some(here) = at {
            backwards.push(list.get(here).to_vec());
            at = list.prev(here);
        }
        backwards.reverse();
        prop_assert_eq!(backwards, model);
    }

    #[test]
    fn hostile_bytes_are_refused_or_harmless(
        items in vec(text(), 0..6),
        spoil in vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let list = of(&items.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut bytes = list.to_redis().to_vec();
        for (at, byte) in spoil {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(mut taken) = Listpack::from_redis(&bytes) {
            let seen = strings(&taken);
            prop_assert_eq!(seen.len(), taken.len());
            taken.push_front(b"x");
            while let Some(at) = taken.last() {
                taken.remove(at);
            }
            prop_assert!(taken.is_empty());
        }
        let whole = list.to_redis();
        for cut in 0..whole.len() {
            prop_assert_eq!(Listpack::from_redis(&whole[..cut]), Err(Corrupt));
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..64)) {
        let mut framed = vec![0; 6];
        framed.extend(&bytes);
        framed.push(0xff);
        let total = framed.len() as u32;
        framed[..4].copy_from_slice(&total.to_le_bytes());
        framed[4..6].copy_from_slice(&[0xff, 0xff]);
        for bytes in [&bytes, &framed] {
            if let Ok(list) = Listpack::from_redis(bytes) {
                prop_assert_eq!(strings(&list).len(), list.len());
            }
        }
    }
}

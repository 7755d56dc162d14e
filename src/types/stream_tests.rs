//! Tests of streams: a random history against a plain list, the byte layout, groups, and freeing in steps.

use super::*;
use proptest::prelude::*;

const LIMITS: BlockLimits = BlockLimits { bytes: 4096, entries: 100 };

fn id(ms: u64, seq: u64) -> Id {
    Id { ms, seq }
}

/// Entries as text, in order.
fn shown<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(Id, Vec<Vec<u8>>)> {
    let words = |entry: Entry<'_>| entry.pairs().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]).collect();
    entries.map(|entry| (entry.id, words(entry))).collect()
}

/// The same as a plain list.
#[derive(Debug, Default)]
struct Model {
    entries: Vec<(Id, Vec<Vec<u8>>)>,
}

#[derive(Debug, Clone)]
enum Step {
    Add { ms: u64, seq: u64, words: Vec<Vec<u8>> },
    Delete(usize),
    Trim(Trim),
    Range(u64, u64),
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        "[a-c]".prop_map(String::into_bytes),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (0u16..300).prop_map(|n| n.to_string().into_bytes()),
        (0usize..5000).prop_map(|len| vec![b'x'; len]),
    ];
    prop_oneof![
        3 => word.clone().prop_map(|value| vec![b"a".to_vec(), value]),
        1 => prop::collection::vec(word, 1..4).prop_map(|all| [all.clone(), all].concat()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let keep = prop_oneof![(0u64..40).prop_map(Keep::Newest), (0u64..400).prop_map(|ms| Keep::From(id(ms, 3)))];
    prop_oneof![
        8 => (0u64..5, 0u64..5, words()).prop_map(|(ms, seq, words)| Step::Add { ms, seq, words }),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => keep.prop_map(|keep| Step::Trim(Trim { keep, approximate: false, limit: 0 })),
        2 => (0u64..400, 0u64..400).prop_map(|(a, b)| Step::Range(a, b)),
    ]
}

fn run(stream: &mut Stream, model: &mut Model, step: Step, limits: BlockLimits) {
    match step {
        Step::Add { ms, seq, words } => {
            let last = stream.log.last_id;
            let new = if ms == 0 { id(last.ms, last.seq + 1 + seq) } else { id(last.ms + ms, seq) };
            let refs: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            stream.log.append(new, &refs, limits);
            model.entries.push((new, words));
        }
        Step::Delete(at) => {
            assert!(!stream.log.delete(id(0, 0)));
            if !model.entries.is_empty() {
                let (gone, _) = model.entries.remove(at % model.entries.len());
                assert!(stream.log.delete(gone));
                assert!(!stream.log.delete(gone));
                assert!(stream.log.get(gone).is_none());
            }
        }
        Step::Trim(trim) => {
            let before = model.entries.len();
            match trim.keep {
                Keep::Newest(count) => drop(model.entries.drain(..before.saturating_sub(count as usize))),
                Keep::From(first) => model.entries.retain(|(id, _)| *id >= first),
            }
            assert_eq!(stream.log.trim(trim) as usize, before - model.entries.len());
        }
        Step::Range(a, b) => {
            let (start, end) = (id(a, 2), id(b, 2));
            let expected: Vec<_> = model.entries.iter().filter(|(id, _)| (start..=end).contains(id)).cloned().collect();
            if start <= end {
                assert_eq!(shown(stream.log.range(start, end)), expected);
                let mut back = shown(stream.log.range_back(start, end));
                back.reverse();
                assert_eq!(back, expected);
            }
        }
    }
    let log = &stream.log;
    assert_eq!(log.len() as usize, model.entries.len());
    assert_eq!(log.first_id(), model.entries.first().map_or(Id::MIN, |(id, _)| *id));
    assert_eq!(log.last_entry_id(), model.entries.last().map(|(id, _)| *id));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn is_a_list_of_entries(steps in prop::collection::vec(step(), 1..120), entries in 0u64..8, bytes in 0usize..300) {
        let mut stream = Stream::new();
        let mut model = Model::default();
        let limits = BlockLimits { bytes, entries };
        steps.into_iter().for_each(|step| run(&mut stream, &mut model, step, limits));
        prop_assert_eq!(&shown(stream.log.range(Id::MIN, Id::MAX)), &model.entries);
        // Blocks come back from a file as they went.
        let mut copy = Log::default();
        for (key, bytes) in stream.log.blocks() {
            prop_assert!(copy.push_block(key, bytes).is_ok());
        }
        prop_assert_eq!(&shown(copy.range(Id::MIN, Id::MAX)), &model.entries);
        prop_assert_eq!(copy.first_id(), stream.log.first_id());
        let heap = stream.log.heap_bytes();
        stream.log.trim(Trim { keep: Keep::Newest(0), approximate: false, limit: 0 });
        prop_assert!(stream.log.heap_bytes() <= heap);
        prop_assert!(stream.log.heap_bytes() < 1000);
    }

    #[test]
    fn a_bad_block_is_refused_or_walks(spoil in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut log = Log::default();
        log.append(id(5, 1), &[b"a", b"1", b"b", b"hello"], LIMITS);
        log.append(id(5, 3), &[b"a", b"70000", b"b", b"x"], LIMITS);
        log.append(id(9, 0), &[b"other", b"-5"], LIMITS);
        let mut bytes = log.blocks().next().expect("one block").1.to_vec();
        for (at, byte) in spoil {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let mut copy = Log::default();
        if copy.push_block(id(5, 1), &bytes).is_ok() {
            shown(copy.range(Id::MIN, Id::MAX));
            shown(copy.range_back(Id::MIN, Id::MAX));
        }
    }
}

#[test]
fn a_block_is_the_listpack_of_redis() {
    let mut log = Log::default();
    log.append(id(1000, 1), &[b"temp", b"20"], LIMITS);
    log.append(id(1500, 0), &[b"temp", b"x"], LIMITS);
    log.append(id(1501, 0), &[b"f", b"300"], LIMITS);
    log.delete(id(1500, 0));
    let (key, bytes) = log.blocks().next().expect("one block");
    assert_eq!(key, id(1000, 1));
    let head = [2, 1, 1, 1, 1, 1, 0x84, b't', b'e', b'm', b'p', 5, 0, 1];
    let first = [2, 1, 0, 1, 0, 1, 20, 1, 4, 1];
    let second = [3, 1, 0xc1, 0xf4, 2, 0xdf, 0xff, 2, 0x81, b'x', 2, 4, 1];
    let third = [0, 1, 0xc1, 0xf5, 2, 0xdf, 0xff, 2, 1, 1, 0x81, b'f', 2, 0xc1, 0x2c, 2, 6, 1];
    let body = [&head[..], &first, &second, &third, &[0xff]].concat();
    let total = (body.len() + 6) as u32;
    assert_eq!(bytes, [&total.to_le_bytes()[..], &22u16.to_le_bytes(), &body].concat());
}

#[test]
fn approximate_trimming_drops_whole_blocks_within_its_limit() {
    let mut log = Log::default();
    (1..=100).for_each(|n| log.append(id(n, 0), &[b"a", b"b"], BlockLimits { bytes: 0, entries: 10 }));
    assert_eq!(log.block_count(), 10);
    let trim = |keep, limit| Trim { keep, approximate: true, limit };
    assert_eq!(log.trim(trim(Keep::Newest(95), 0)), 0);
    assert_eq!(log.trim(trim(Keep::Newest(85), 0)), 10);
    assert_eq!(log.trim(trim(Keep::Newest(0), 25)), 20);
    assert_eq!(log.trim(trim(Keep::From(id(45, 0)), 0)), 10);
    assert_eq!((log.len(), log.first_id(), log.entries_added), (60, id(41, 0), 100));
}

#[test]
fn identifiers_that_are_made() {
    let mut log = Log::default();
    assert_eq!((log.next_id(0), log.next_id(7)), (Some(id(0, 1)), Some(id(7, 0))));
    assert_eq!(log.next_id_in(0), Some(id(0, 1)));
    log.last_id = id(7, 3);
    assert_eq!(
        (log.next_id(5), log.next_id_in(7), log.next_id_in(6)),
        (Some(id(7, 4)), Some(id(7, 4)), Some(id(6, 0)))
    );
    log.last_id = id(7, u64::MAX);
    assert_eq!((log.next_id(5), log.next_id_in(7)), (Some(id(8, 0)), None));
    log.last_id = Id::MAX;
    assert_eq!(log.next_id(5), None);
}

#[test]
fn a_group_knows_whose_an_entry_is() {
    let mut group = Group::new(Id::MIN, None);
    let ann = group.add_consumer(b"ann", 5).expect("free");
    let bob = group.add_consumer(b"bob", 6).expect("free");
    assert_eq!((group.add_consumer(b"ann", 7), group.find(b"bob")), (None, Some(bob)));
    let pending = |consumer| Pending { consumer, delivered_ms: 5, deliveries: 1 };
    for n in 1..=4 {
        group.assign(id(n, 0), pending(ann));
    }
    group.assign(id(2, 0), pending(bob));
    group.assign(id(2, 0), pending(bob));
    group.deliver_again(id(2, 0), 9);
    let of = |group: &Group, one| group.pending_of(one, Id::MIN, Id::MAX).map(|(id, _)| id.ms).collect::<Vec<_>>();
    assert_eq!((of(&group, ann), of(&group, bob)), (vec![1, 3, 4], vec![2]));
    assert_eq!(group.pending(id(2, 0)), Some(&Pending { consumer: bob, delivered_ms: 9, deliveries: 2 }));
    assert_eq!(group.pending_bounds(), Some((id(1, 0), id(4, 0))));
    assert_eq!(group.pending_range(id(3, 0), id(1, 0)).count(), 0);
    assert!(group.acknowledge(id(3, 0)).is_some() && group.acknowledge(id(3, 0)).is_none());
    assert_eq!((group.remove_consumer(b"ann"), group.remove_consumer(b"ann")), (Some(2), None));
    assert_eq!((group.pending_count(), group.consumer_count()), (1, 1));
    let eve = group.add_consumer(b"eve", 8).expect("free");
    assert_eq!(group.consumer(eve).pending_count(), 0);
    assert_eq!(group.consumers().map(Consumer::name).collect::<Vec<_>>(), [b"bob", b"eve"]);
}

#[test]
fn frees_in_steps_and_counts_its_bytes() {
    let mut stream = Stream::new();
    (1..=1000).for_each(|n| stream.log.append(id(n, 0), &[b"a", b"b"], LIMITS));
    assert!(stream.add_group(b"g", Group::new(Id::MIN, None)) && !stream.add_group(b"g", Group::new(Id::MIN, None)));
    let before = stream.heap_bytes();
    stream.edit_group(b"g", |log, group| {
        let consumer = group.add_consumer(b"c", 0).expect("free");
        let ids: Vec<Id> = log.range(Id::MIN, Id::MAX).map(|entry| entry.id).collect();
        ids.iter().for_each(|id| group.assign(*id, Pending { consumer, delivered_ms: 0, deliveries: 1 }));
    });
    assert!(stream.heap_bytes() > before + 50_000);
    let steps = (1..1000).find(|_| stream.free_step(64)).expect("it ends");
    assert!((30..40).contains(&steps), "{steps} steps of 64 for 10 blocks and 2000 pending entries");
    let mut other = Stream::new();
    let empty = other.heap_bytes();
    other.add_group(b"g", Group::new(Id::MIN, None));
    assert!(other.remove_group(b"g") && !other.remove_group(b"g"));
    assert_eq!(other.heap_bytes(), empty);
}

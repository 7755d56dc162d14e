//! The checkers, checked: histories that are right by construction pass, and each known anomaly is called by its name.

use super::check::op::{Anomaly, Call, Line, Op, Outcome, Side, op, serial, token};
use super::check::wgl::Verdict;
use super::check::workload::{Kind, Menu, Session};
use super::check::{list, register, wgl};
use crate::common::{Random, Value};

use Call::{Append, Copy, Get, GetSet, Incr, MGet, MSet, Rename, Set};

fn bulk(value: u64) -> Value {
    Value::bulk(value.to_string())
}

fn words(values: &[u64]) -> Value {
    if values.is_empty() {
        return Value::NullBulk;
    }
    Value::bulk(values.iter().map(|v| token(*v)).collect::<String>())
}

fn added(count: usize) -> Value {
    Value::Int((count * super::check::op::TOKEN) as i64)
}

fn nil() -> Value {
    Value::NullBulk
}

fn both(a: Value, b: Value) -> Value {
    Value::Array(vec![a, b])
}

#[track_caller]
fn rejects(result: Result<(), Anomaly>, name: &str) {
    match result {
        Ok(()) => panic!("{name} was not found"),
        Err(anomaly) => assert_eq!(anomaly.name, name, "{}", anomaly.text),
    }
}

#[track_caller]
fn accepts(result: Result<(), Anomaly>) {
    if let Err(anomaly) = result {
        panic!("{}: {}", anomaly.name, anomaly.text);
    }
}

#[track_caller]
fn assert_linearizable(history: &[Op], expected: bool) {
    match wgl::check(history) {
        Verdict::Linearizable => assert!(expected, "it was taken for linearizable"),
        Verdict::Not(anomaly) => assert!(!expected, "{}", anomaly.text),
        Verdict::Undecided => panic!("the search gave up"),
    }
}

/// One client increments a, then b; the other reads both and sees the new b with the old a.
fn read_skew() -> Vec<Op> {
    vec![
        op(0, 10, 100, &[MGet(vec![0, 1])], &[both(nil(), bulk(2))]),
        op(1, 20, 30, &[Set(0, 1)], &[Value::ok()]),
        op(1, 40, 50, &[Set(1, 2)], &[Value::ok()]),
    ]
}

#[test]
fn the_read_skew_of_mget_is_rejected() {
    rejects(register::check(&read_skew()), "G-single-realtime");
    assert_linearizable(&read_skew(), false);
    let lists = [
        op(0, 10, 100, &[MGet(vec![0, 1])], &[both(nil(), words(&[2]))]),
        op(1, 20, 30, &[Append(0, 1)], &[added(1)]),
        op(1, 40, 50, &[Append(1, 2)], &[added(1)]),
        op(2, 110, 120, &[MGet(vec![0, 1])], &[both(words(&[1]), words(&[2]))]),
    ];
    rejects(list::check(&lists), "G-single-realtime");
    // With counters, as it was first seen elsewhere.
    let counters = [
        op(0, 10, 100, &[MGet(vec![0, 1])], &[both(nil(), bulk(1))]),
        op(1, 20, 30, &[Incr(0)], &[Value::Int(1)]),
        op(1, 40, 50, &[Incr(1)], &[Value::Int(1)]),
    ];
    assert_linearizable(&counters, false);
    // The other way round the read lies between the two writes.
    let mut fine = read_skew();
    fine[0].outcome = Outcome::Replied(vec![both(bulk(1), nil())]);
    accepts(register::check(&fine));
    assert_linearizable(&fine, true);
}

#[test]
fn half_of_an_mset_is_rejected() {
    let half = [
        op(0, 10, 100, &[MSet(vec![(0, 1), (1, 2)])], &[Value::ok()]),
        op(1, 20, 30, &[MGet(vec![0, 1])], &[both(bulk(1), nil())]),
    ];
    rejects(register::check(&half), "G-single");
    assert_linearizable(&half, false);
}

#[test]
fn writes_in_opposite_orders_are_rejected() {
    let crossed = [
        op(0, 10, 100, &[Append(0, 1), Append(1, 2)], &[added(1), added(2)]),
        op(1, 10, 100, &[Append(0, 3), Append(1, 4)], &[added(2), added(1)]),
        op(2, 110, 120, &[MGet(vec![0, 1])], &[both(words(&[1, 3]), words(&[4, 2]))]),
    ];
    rejects(list::check(&crossed), "G0");
}

#[test]
fn what_was_never_committed_must_not_be_read() {
    let mut aborted = vec![op(0, 10, 20, &[Append(0, 1)], &[added(1)]), op(1, 10, 20, &[Get(0)], &[words(&[1])])];
    accepts(list::check(&aborted));
    aborted[0].outcome = Outcome::Failed;
    rejects(list::check(&aborted), "G1a");
    let mut aborted = vec![op(0, 10, 20, &[Set(0, 1)], &[Value::ok()]), op(1, 10, 20, &[Get(0)], &[bulk(1)])];
    aborted[0].outcome = Outcome::Failed;
    rejects(register::check(&aborted), "G1a");
    assert_linearizable(&aborted, false);
    aborted[0] = op(0, 10, u64::MAX, &[Set(0, 1)], &[]);
    accepts(register::check(&aborted));
    assert_linearizable(&aborted, true);
}

#[test]
fn the_middle_of_a_transaction_must_not_be_read() {
    let middle = [
        op(0, 10, 50, &[Append(0, 1), Append(0, 2)], &[added(1), added(2)]),
        op(1, 20, 30, &[Get(0)], &[words(&[1])]),
        op(1, 60, 70, &[Get(0)], &[words(&[1, 2])]),
    ];
    rejects(list::check(&middle), "G1b");
    let middle =
        [op(0, 10, 50, &[Set(0, 1), Set(0, 2)], &[Value::ok(), Value::ok()]), op(1, 20, 30, &[Get(0)], &[bulk(1)])];
    rejects(register::check(&middle), "G1b");
    assert_linearizable(&middle, false);
}

#[test]
fn transactions_that_read_each_other_are_rejected() {
    let circular = [
        op(0, 10, 50, &[Append(0, 1), Get(1)], &[added(1), words(&[2])]),
        op(1, 10, 50, &[Append(1, 2), Get(0)], &[added(1), words(&[1])]),
    ];
    rejects(list::check(&circular), "G1c");
}

#[test]
fn a_lost_update_is_rejected() {
    let lost = [
        op(0, 10, 50, &[Get(0), Append(0, 1)], &[nil(), added(1)]),
        op(1, 10, 50, &[Get(0), Append(0, 2)], &[nil(), added(2)]),
        op(2, 60, 70, &[Get(0)], &[words(&[1, 2])]),
    ];
    rejects(list::check(&lost), "G-single");
    let lost = [
        op(0, 10, 50, &[GetSet(0, 1)], &[nil()]),
        op(1, 10, 50, &[GetSet(0, 2)], &[nil()]),
        op(2, 60, 70, &[Get(0)], &[bulk(1)]),
    ];
    rejects(register::check(&lost), "G-single");
    assert_linearizable(&lost, false);
}

#[test]
fn write_skew_is_rejected() {
    let skew = [
        op(0, 10, 50, &[Get(0), Append(1, 1)], &[nil(), added(1)]),
        op(1, 10, 50, &[Get(1), Append(0, 2)], &[nil(), added(1)]),
        op(2, 60, 70, &[MGet(vec![0, 1])], &[both(words(&[2]), words(&[1]))]),
    ];
    rejects(list::check(&skew), "G2");
    let skew = [
        op(0, 10, 50, &[Get(0), Set(1, 1)], &[nil(), Value::ok()]),
        op(1, 10, 50, &[Get(1), Set(0, 2)], &[nil(), Value::ok()]),
    ];
    rejects(register::check(&skew), "G2");
    assert_linearizable(&skew, false);
}

#[test]
fn a_read_from_the_past_is_rejected() {
    let stale = [
        op(0, 10, 20, &[Append(0, 1)], &[added(1)]),
        op(1, 30, 40, &[Get(0)], &[nil()]),
        op(1, 50, 60, &[Get(0)], &[words(&[1])]),
    ];
    rejects(list::check(&stale), "G-single-realtime");
    let stale = [op(0, 10, 20, &[Set(0, 1)], &[Value::ok()]), op(1, 30, 40, &[Get(0)], &[nil()])];
    rejects(register::check(&stale), "cyclic versions");
    assert_linearizable(&stale, false);
    assert!(matches!(wgl::check_each_key(&stale, 1), Verdict::Not(_)));
    // A lost write, not seen by whoever reads last.
    let lost = [op(0, 10, 20, &[Append(0, 1)], &[added(1)]), op(1, 30, 40, &[Get(0)], &[nil()])];
    rejects(list::check(&lost), "G-single-realtime");
}

#[test]
fn pipelines_out_of_order_are_rejected() {
    let in_line = |strict: bool, places: [usize; 2], calls: [Call; 2], replies: [Value; 2]| {
        let [mut one, mut two] = [0, 1].map(|n| op(0, 10, 50, &calls[n..=n], &replies[n..=n]));
        let line = |place| Some(Line { number: 1, place, strict });
        (one.line, two.line) = (line(places[0]), line(places[1]));
        vec![one, two]
    };
    // a read sees the write that was sent behind it
    let late = |places| in_line(false, places, [Get(0), Set(0, 1)], [bulk(1), Value::ok()]);
    assert_linearizable(&late([0, 1]), false);
    assert_linearizable(&late([1, 0]), true);
    rejects(register::check(&late([0, 1])), "G1c-realtime");
    assert!(matches!(wgl::check_each_key(&late([0, 1]), 1), Verdict::Not(_)));
    // somebody sees the second write without the first, on another key
    let skipped = |strict: bool| {
        let mut history = in_line(strict, [0, 1], [Set(0, 1), Set(1, 2)], [Value::ok(), Value::ok()]);
        history.push(op(1, 20, 30, &[MGet(vec![0, 1])], &[both(nil(), bulk(2))]));
        history
    };
    assert_linearizable(&skipped(true), false);
    assert_linearizable(&skipped(false), true);
    rejects(register::check(&skipped(true)), "G-single-realtime");
    accepts(register::check(&skipped(false)));
}

#[test]
fn a_wait_in_vain_past_an_element_is_rejected() {
    let wait = |call: Call, reply: Value, at: u64| {
        let push = op(0, at, at + 10, &[Call::Push(Side::Left, 0, 7)], &[Value::Int(1)]);
        [push, op(1, 30, 90, &[call], &[reply])]
    };
    let pop = || Call::PopFirst(Side::Left, vec![1, 0]);
    let took = |value| Value::Array(vec![Value::bulk("k0"), value]);
    for (call, reply) in [(pop(), Value::NullArray), (Call::Move(0, 1, Side::Left, Side::Left, true), nil())] {
        assert_linearizable(&wait(call.clone(), reply.clone(), 10), false);
        assert_linearizable(&wait(call, reply, 50), true);
    }
    assert_linearizable(&wait(pop(), took(bulk(7)), 10), true);
    let many = || Call::PopMany { side: Side::Right, keys: vec![1, 0], count: 2, waits: true };
    assert_linearizable(&wait(many(), took(Value::Array(vec![bulk(7)])), 10), true);
    assert_linearizable(&wait(many(), Value::NullArray, 10), false);
}

#[test]
fn broken_lists_are_rejected() {
    let seen = |value: Value| [op(0, 10, 20, &[Append(0, 1)], &[added(1)]), op(1, 30, 40, &[Get(0)], &[value])];
    rejects(list::check(&seen(words(&[1, 1]))), "duplicate");
    rejects(list::check(&seen(words(&[1, 7]))), "unwritten");
    rejects(list::check(&seen(Value::bulk("0000"))), "torn value");
    let mut wrong = seen(words(&[1]));
    wrong[0].outcome = Outcome::Replied(vec![added(3)]);
    accepts(list::check(&wrong));
    wrong[0].outcome = Outcome::Replied(vec![added(0)]);
    rejects(list::check(&wrong), "wrong place");
    let forked = [
        op(0, 10, 20, &[Append(0, 1)], &[added(1)]),
        op(1, 10, 20, &[Append(0, 2)], &[added(1)]),
        op(2, 10, 20, &[Get(0)], &[words(&[1])]),
        op(3, 10, 20, &[Get(0)], &[words(&[2])]),
    ];
    rejects(list::check(&forked), "incompatible order");
    let blind = [op(0, 10, 20, &[Append(0, 1), Get(0)], &[added(1), nil()])];
    rejects(list::check(&blind), "internal");
}

#[test]
fn moved_keys_are_followed() {
    let moved = |seen: Value| {
        vec![
            op(0, 10, 20, &[Set(0, 1)], &[Value::ok()]),
            op(0, 30, 80, &[Rename(0, 1)], &[Value::ok()]),
            op(1, 40, 50, &[MGet(vec![0, 1])], &[seen]),
            op(1, 90, 95, &[Copy(1, 0)], &[Value::Int(1)]),
        ]
    };
    assert_linearizable(&moved(both(bulk(1), nil())), true);
    assert_linearizable(&moved(both(nil(), bulk(1))), true);
    assert_linearizable(&moved(both(nil(), nil())), false);
    assert_linearizable(&moved(both(bulk(1), bulk(1))), false);
}

/// Runs sessions against the model, one exchange at a time but with times that overlap: right by construction.
fn modelled(kind: Kind, seed: u64) -> (Menu, Vec<Op>) {
    let menu = Menu { multi_key: 30, watch: 0, ..Menu::of(kind, 4, false) };
    let mut random = Random(seed);
    let mut sessions: Vec<Session> = (0..5).map(|client| Session::new(client, menu, seed)).collect();
    let mut ops = Vec::new();
    for _ in 0..60 {
        for session in &mut sessions {
            drop(session.begin(0));
            session.lost();
        }
        // In which order the model runs them is the order that must be found again.
        while let Some(op) = sessions.iter_mut().find_map(|s| s.ops.pop()) {
            let at = random.below(ops.len() + 1).max(ops.len().saturating_sub(4));
            ops.insert(at, op);
        }
    }
    let calls = ops.iter().map(|op| op.calls.clone()).collect();
    let mut history = serial(calls);
    for (op, drawn) in history.iter_mut().zip(&ops) {
        op.client = drawn.client; // but in no pipeline: their order was drawn anew
        op.start = (op.start + 10).saturating_sub(random.below(8) as u64);
        op.end += 10 + random.below(8) as u64;
    }
    (menu, history)
}

#[test]
fn serial_histories_with_overlapping_times_are_accepted() {
    for seed in 0..40 {
        for kind in Kind::ALL {
            let (menu, history) = modelled(kind, seed);
            accepts(super::check::workload::check(&menu, &history));
            if seed < 10 {
                assert_linearizable(&history, true);
            }
        }
    }
}

/// A reply is exchanged for that of another moment: the checkers must notice whenever the whole search does.
#[test]
fn the_graph_finds_what_the_search_finds() {
    let (mut by_graph, mut by_search) = (0, 0);
    for seed in 0..300 {
        for kind in [Kind::Lists, Kind::Registers] {
            let (menu, mut history) = modelled(kind, seed);
            history.truncate(60);
            let mut random = Random(!seed);
            let victim = random.below(history.len());
            let other =
                history.iter().find(|o| o.start > history[victim].start + 6 && o.calls == history[victim].calls);
            let Some(other) = other.cloned() else { continue };
            history[victim].outcome = other.outcome;
            let wrong = matches!(wgl::check(&history), Verdict::Not(_));
            let found = super::check::workload::check(&menu, &history).is_err();
            assert!(wrong || !found, "seed {seed}: a good history was rejected");
            by_graph += u32::from(found);
            by_search += u32::from(wrong);
        }
    }
    assert!(by_search >= 20 && by_graph * 10 >= by_search * 8, "{by_graph} of {by_search}");
}

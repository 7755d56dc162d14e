//! Order, overflow and wake-ups of the mesh.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn pair<M: Send>(depth: usize) -> (Endpoint<M>, Endpoint<M>) {
    let mut ends = mesh(2, depth);
    let second = ends.pop().unwrap();
    (ends.pop().unwrap(), second)
}

#[test]
fn overflow_keeps_order() {
    let (mut a, mut b) = pair::<u32>(4);
    for n in 0..10 {
        a.send(1, n);
    }
    assert_eq!((a.overflow_len(1), a.outbound_len(1), b.inbound_len()), (6, 10, 4));
    let mut got = Vec::new();
    while got.len() < 10 {
        b.drain(3, |from, n| {
            assert_eq!(from, 0);
            got.push(n);
        });
        a.flush(|_| panic!("nobody sleeps"));
    }
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    assert_eq!((a.outbound_len(1), b.inbound_len()), (0, 0));
}

#[test]
fn every_core_reaches_every_other_and_only_those() {
    let mut ends = mesh::<(usize, usize)>(4, 2);
    for (from, end) in ends.iter_mut().enumerate() {
        assert_eq!((end.core(), end.cores()), (from, 4));
        for to in (0..4).filter(|to| *to != from) {
            end.send(to, (from, to));
        }
        end.flush(|_| {});
    }
    for (core, end) in ends.iter_mut().enumerate() {
        assert!(end.has_inbound());
        let mut senders = Vec::new();
        assert_eq!(
            end.drain(10, |from, message| {
                assert_eq!(message, (from, core));
                senders.push(from);
            }),
            3
        );
        assert_eq!(senders, (0..4).filter(|from| *from != core).collect::<Vec<_>>());
    }
}

#[test]
fn only_sleepers_are_rung_and_only_once() {
    let (mut a, mut b) = pair::<u32>(4);
    let mut rung = Vec::new();
    a.send(1, 1);
    a.flush(|core| rung.push(core));
    assert!(rung.is_empty());
    assert!(!b.going_to_sleep(), "something came in");
    b.drain(9, |_, _| {});
    assert!(b.going_to_sleep());
    a.flush(|core| rung.push(core));
    assert!(rung.is_empty(), "nothing new for the sleeper");
    a.send(1, 2);
    a.flush(|core| rung.push(core));
    a.send(1, 3);
    a.flush(|core| rung.push(core));
    assert_eq!(rung, [1]);
    b.woke_up();
    assert_eq!(b.drain(9, |_, _| {}), 2);
}

#[test]
fn a_sender_that_sleeps_on_a_full_queue_is_rung_when_there_is_room() {
    let (mut a, mut b) = pair::<u32>(2);
    (0..3).for_each(|n| a.send(1, n));
    a.flush(|_| {});
    assert!(!a.has_inbound() && a.overflow_len(1) == 1);
    assert!(a.going_to_sleep());
    let mut rung = Vec::new();
    b.drain(9, |_, _| {});
    b.flush(|core| rung.push(core));
    assert_eq!(rung, [0]);
    assert!(a.has_inbound(), "room counts as something to do");
    a.woke_up();
    a.flush(|_| {});
    assert_eq!((a.overflow_len(1), b.drain(9, |_, n| assert_eq!(n, 2))), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any interleaving of sends, flushes and drains delivers each pair's messages in order, none lost, and a core
    /// that may sleep has nothing to do.
    #[test]
    fn any_schedule_delivers_in_order(steps in prop::collection::vec((0usize..3, 0usize..3, 0u8..4), 0..400)) {
        let mut ends = mesh::<(usize, u32)>(3, 3);
        let mut sent = [[0u32; 3]; 3];
        let mut got = [[0u32; 3]; 3];
        let mut check = |at: usize, from: usize, message: (usize, u32)| {
            assert_eq!(message, (at, got[from][at]));
            got[from][at] += 1;
        };
        for (at, to, what) in steps {
            match what {
                0 | 1 if at != to => {
                    ends[at].send(to, (to, sent[at][to]));
                    sent[at][to] += 1;
                }
                2 => _ = ends[at].drain(2, |from, message| check(at, from, message)),
                3 => ends[at].flush(|_| panic!("nobody sleeps")),
                _ => {}
            }
            let idle = !ends[at].has_inbound();
            prop_assert_eq!(ends[at].going_to_sleep(), idle);
            ends[at].woke_up();
        }
        for _ in 0..200 {
            for (at, end) in ends.iter_mut().enumerate() {
                end.flush(|_| {});
                end.drain(2, |from, message| check(at, from, message));
            }
        }
        prop_assert_eq!(sent, got);
    }
}

/// Two cores that really sleep: a lost wake-up hangs them, and the channel's patience ends the test.
#[test]
fn no_wake_up_is_lost() {
    const MESSAGES: u64 = 200_000;
    let (a, b) = pair::<u64>(8);
    let (ring_a, bell_a) = mpsc::channel::<()>();
    let (ring_b, bell_b) = mpsc::channel::<()>();
    // Each core sends its numbers in bursts and takes the other's, sleeping whenever it may.
    let core = |mut end: Endpoint<u64>, bell: mpsc::Receiver<()>, ring: mpsc::Sender<()>| {
        let other = 1 - end.core();
        let (mut sent, mut got, mut sleeps) = (0, 0, 0);
        while got < MESSAGES || sent < MESSAGES || end.overflow_len(other) > 0 {
            let burst = 1 + (sent.wrapping_mul(0x9E37_79B9) >> 7) % 13;
            // One side waits for answers now and then, so that both fall asleep.
            if sent < got + 40 {
                for _ in 0..burst.min(MESSAGES - sent) {
                    end.send(other, sent);
                    sent += 1;
                }
            }
            end.drain(5, |_, n| {
                assert_eq!(n, got);
                got += 1;
            });
            end.flush(|_| ring.send(()).unwrap_or(()));
            let waits = sent >= MESSAGES || sent >= got + 40;
            if waits && (got < MESSAGES || end.overflow_len(other) > 0) && end.going_to_sleep() {
                sleeps += 1;
                bell.recv_timeout(Duration::from_secs(20)).expect("woken");
                end.woke_up();
            }
        }
        sleeps
    };
    let other = thread::spawn(move || core(b, bell_b, ring_a));
    let sleeps = core(a, bell_a, ring_b) + other.join().unwrap();
    assert!(sleeps > 0, "the test is about sleeping");
}

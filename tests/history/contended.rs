//! Many clients want the same keys: none starves, nobody sees a half. And the read skew that sharded servers are known
//! for, by itself.

use super::live;
use crate::common::{Random, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 50;
const ROUNDS: usize = 20;
const KEYS: usize = 10;

fn field(info: &str, name: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {info}")).trim().parse().expect("a number")
}

#[test]
fn fifty_clients_set_the_same_keys_and_all_get_through() {
    let server = live::server(8);
    let waits: Vec<Duration> = thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|number| {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                let mut longest = Duration::ZERO;
                for round in 0..ROUNDS {
                    let mut words = vec!["MSET".to_string()];
                    // Half of them name the keys in the other order.
                    let key = |n: usize| if number % 2 == 0 { n } else { KEYS - 1 - n };
                    words.extend((0..KEYS).flat_map(|n| [format!("k{}", key(n)), format!("{number}-{round}")]));
                    let start = Instant::now();
                    assert_eq!(live::call(server, &mut client, &words), Value::ok());
                    longest = longest.max(start.elapsed());
                    let seen = client.run("MGET k0 k1 k2 k3 k4 k5 k6 k7 k8 k9");
                    let same = seen.items().iter().all(|value| *value == seen.items()[0]);
                    assert!(same, "a half of an MSET: {seen:?}");
                }
                longest
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().map(|client| client.join().expect("a client thread")).collect()
    });
    let info = server.client().run("INFO shards").text();
    let retries = field(&info, "transaction_retries");
    println!(
        "{} MSETs and as many MGETs by {CLIENTS} clients: {retries} retries, at most {} of one; longest wait {:?}",
        CLIENTS * ROUNDS,
        field(&info, "transaction_retries_max"),
        waits.iter().max().expect("clients")
    );
    assert!(retries < (CLIENTS * ROUNDS * 2 * 4) as u64, "a storm of retries: {info}");
    live::assert_nothing_is_held(&server);
}

/// Cores that stop for a moment with claims in their hands: others overtake them, they are refused and come again, up
/// to priority. `PINION_HISTORY_SECONDS` prolongs it.
#[test]
fn claims_that_come_late_are_refused_and_get_through() {
    let server = live::server(8);
    let time = Duration::from_secs(super::number("PINION_HISTORY_SECONDS", 20)) / 10;
    let seed = super::number("PINION_HISTORY_SEED", 1);
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for number in 0..16 {
            let server = &server;
            scope.spawn(move || {
                let (mut client, mut random) = (server.client(), Random(seed + number));
                let mut round = 0;
                while Instant::now() < end {
                    round += 1;
                    let keys = (0..2 + random.below(6)).map(|_| format!("k{}", random.below(KEYS)));
                    let mut words = vec!["MSET".to_string()];
                    words.extend(keys.flat_map(|key| [key, format!("{number}-{round}")]));
                    match random.below(40) {
                        0 if number < 4 => words = vec!["DEBUG".into(), "SLEEP".into(), "0.002".into()],
                        1 => words = vec!["KEYS".into(), "*".into()],
                        _ => {}
                    }
                    assert!(!live::call(server, &mut client, &words).is_error());
                }
            });
        }
    });
    let info = server.client().run("INFO shards").text();
    let count = |name| field(&info, name);
    println!(
        "{} transactions: {} retries, at most {} of one, {} with priority",
        count("transactions"),
        count("transaction_retries"),
        count("transaction_retries_max"),
        count("transaction_priorities")
    );
    assert!(count("transaction_retries") > 0, "nobody was late: {info}");
    live::assert_nothing_is_held(&server);
}

/// One client increments k0, then k1, which are on different shards: whoever reads both sees no k1 ahead of k0.
#[test]
fn reads_of_two_counters_show_a_moment_that_was() {
    for shards in [2, 5] {
        let server = live::server(shards);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut client = server.client();
                for _ in 0..400 {
                    client.run("INCR k0");
                    client.run("INCR k1");
                }
                done.store(true, Ordering::Relaxed);
            });
            for words in ["MGET k0 k1", "MGET k1 k0", "MGET k0 k0 k1"] {
                scope.spawn(move || {
                    let mut client = server.client();
                    while !done.load(Ordering::Relaxed) {
                        let reply = client.run(words);
                        let counter = |at: usize| match &reply.items()[at] {
                            Value::NullBulk => 0,
                            value => value.text().parse::<u64>().expect("a number"),
                        };
                        let last = reply.items().len() - 1;
                        let (k0, k1) =
                            if words == "MGET k1 k0" { (counter(1), counter(0)) } else { (counter(0), counter(last)) };
                        assert!(k0 == k1 || k0 == k1 + 1, "{words}: {reply:?}");
                    }
                });
            }
        });
    }
}

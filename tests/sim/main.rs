//! The real server in a simulated world: all cores in one thread, every delay, order and failure drawn from one seed.
//! What clients see is checked as in tests/history; a failure prints its seed, and the seed brings it back.
//!
//! `PINION_SIM_SEED` runs that one seed and tells more; `PINION_SIM_SECONDS` is the time for fresh seeds (10 by
//! default).

#[path = "../crash/author.rs"]
mod author;
#[path = "../crash/bank.rs"]
mod bank;
#[path = "../history/check/mod.rs"]
mod check;
#[path = "../common/mod.rs"]
mod common;
mod power;
mod run;
mod world;

use check::op::Anomaly;
use check::workload::{Kind, Menu};
use common::{Random, Value};
use run::{Run, menu_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use world::{Faults, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Runs one seed; a panic of the server or the harness is a failure like any other.
fn run(seed: u64) -> Result<Run, Anomaly> {
    let ran = catch_unwind(AssertUnwindSafe(|| Run::of(seed, menu_of(seed))));
    let run = ran.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Anomaly::new("panic", text.unwrap_or_default())
    })?;
    check::workload::check(&run.menu, &run.history)?;
    Ok(run)
}

#[test]
fn fresh_seeds_are_strictly_serializable() {
    let fail = |seed: u64, anomaly: Anomaly| {
        panic!("{} with PINION_SIM_SEED={seed}:\n{}", anomaly.name, anomaly.text);
    };
    if let Some(seed) = number("PINION_SIM_SEED") {
        match run(seed) {
            Ok(run) => println!("{}", run.summary()),
            Err(anomaly) => fail(seed, anomaly),
        }
        return;
    }
    let end = Instant::now() + Duration::from_secs(number("PINION_SIM_SECONDS").unwrap_or(10));
    let first = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let (mut count, mut operations) = (0, 0);
    while Instant::now() < end {
        let seed = first + count;
        match run(seed) {
            Ok(run) => operations += run.history.len(),
            Err(anomaly) => fail(seed, anomaly),
        }
        count += 1;
    }
    println!("{count} seeds from {first} on, {operations} operations");
}

#[test]
fn a_seed_always_takes_the_same_course() {
    for seed in [1, 2, 3, 4] {
        let (one, other) = (Run::of(seed, menu_of(seed)), Run::of(seed, menu_of(seed)));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        let texts = |run: &Run| run.history.iter().map(check::op::Op::text).collect::<Vec<_>>();
        assert_eq!(texts(&one), texts(&other), "seed {seed}");
    }
}

/// What was found unchanged on one shard must still be so when the transaction runs on another.
#[test]
fn watched_keys_hold_until_a_transaction_has_run_everywhere() {
    for seed in 0..60 {
        let menu = Menu { multi: 100, watch: 100, ..Menu::of(Kind::Registers, 4, false) };
        let run = Run::of(seed, menu);
        if let Err(anomaly) = check::workload::check(&run.menu, &run.history) {
            panic!("{} with seed {seed}:\n{}", anomaly.name, anomaly.text);
        }
    }
}

/// Many clients write the same keys over all shards, while links and cores are slow: claims come late everywhere, are
/// refused, deferred and given priority, and everybody gets through. Answers retries and priorities.
fn rivals(seed: u64) -> (u64, u64) {
    let mut random = Random(seed);
    let shards = *random.one(&[2, 3, 5, 8]);
    let mut world = World::new(shards, "", Faults::drawn(&mut random), seed);
    let count = 2 + random.below(24);
    let mut clients: Vec<_> = (0..count).map(|_| (world.connect(random.below(shards)), 8, false)).collect();
    while clients.iter().any(|(_, left, waits)| *left > 0 || *waits) {
        for (number, (peer, left, waits)) in clients.iter_mut().enumerate() {
            if *waits {
                *waits = peer.reply().is_none();
            } else if *left > 0 {
                *left -= 1;
                let mut keys: Vec<usize> = (0..2 + random.below(6)).map(|_| random.below(8)).collect();
                keys.dedup();
                let pairs: Vec<String> = keys.iter().map(|key| format!("k{key} {number}")).collect();
                let line = match random.below(12) {
                    0 => "KEYS *".to_string(),
                    1 => "GET k1".to_string(),
                    2 => format!("MGET {}", keys.iter().map(|key| format!("k{key}")).collect::<Vec<_>>().join(" ")),
                    _ => format!("MSET {}", pairs.join(" ")),
                };
                peer.send(&common::client::encode(&line.split(' ').collect::<Vec<_>>()));
                *waits = true;
            }
        }
        world.step();
        assert!(world.steps < 3_000_000, "rivals wait for ever, seed {seed}: {}", world.describe());
    }
    world.wait_for_quiet();
    let stats = world.transactions();
    (stats.iter().map(|s| s.refused).sum(), stats.iter().map(|s| s.priority).sum())
}

#[test]
fn rivals_all_get_through() {
    let end = Instant::now() + Duration::from_secs(number("PINION_SIM_SECONDS").unwrap_or(10)) / 4;
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let first = number("PINION_SIM_SEED").unwrap_or_else(fresh);
    let (mut seeds, mut refused, mut priorities) = (0, 0, 0);
    // a slow machine gets as far as a fast one: until every course was taken
    while seeds < 20 || Instant::now() < end || (seeds < 2000 && (refused == 0 || priorities == 0)) {
        let (more_refused, more_priorities) = rivals(first + seeds);
        (seeds, refused, priorities) = (seeds + 1, refused + more_refused, priorities + more_priorities);
    }
    println!("{seeds} seeds from {first} on: {refused} refusals, {priorities} priorities");
    assert!(refused > 0 && priorities > 0, "nobody met anybody");
}

/// Clients that wait for a key are served in the order in which they came, whatever they wait with, over any shards.
#[test]
fn who_waits_longest_is_served_first() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let shards = 1 + random.below(5);
        let mut world = World::new(shards, "", Faults { date: 0, ..Faults::drawn(&mut random) }, seed);
        let count = 3 + random.below(6);
        let mut waiting = Vec::new();
        for n in 0..count {
            let peer = world.connect(random.below(shards));
            let line = match random.below(5) {
                0 => "BLPOP k 0".to_string(),
                1 => format!("BLPOP x{n} k y{n} 0"),
                2 => format!("BLMPOP 0 2 x{n} k LEFT COUNT 1"),
                3 => format!("BLMOVE k d{n} LEFT LEFT 0"),
                _ => format!("BLMOVE k {{k}}{n} LEFT RIGHT 0"),
            };
            peer.send(&common::client::encode(&line.split(' ').collect::<Vec<_>>()));
            world.wait_for_waiters(n + 1);
            waiting.push((line, peer));
        }
        let mut pusher = world.connect(random.below(shards));
        let mut next = 0;
        while next < count {
            // several at once, or under the locks of a transaction over all shards
            let some: Vec<String> = (next..count.min(next + 1 + random.below(3))).map(|n| format!("v{n}")).collect();
            let push = format!("RPUSH k {}", some.join(" "));
            if random.chance(50) {
                for line in ["MULTI", "MSET p1 1 p2 2 p3 3 p4 4", &push, "EXEC"] {
                    assert!(!world.call(&mut pusher, line).is_error());
                }
            } else {
                world.call(&mut pusher, &push);
            }
            next += some.len();
        }
        for (n, (line, peer)) in waiting.iter_mut().enumerate() {
            let reply = world.receive(peer);
            let text = format!("{reply:?}");
            assert!(text.contains(&format!("v{n}")), "seed {seed}: {line}, number {n} in line, got {text}");
        }
        world.wait_for_quiet();
    }
}

#[test]
fn every_core_answers_for_every_shard() {
    let mut world = World::new(5, "", Faults::NONE, 1);
    for core in 0..5 {
        let mut peer = world.connect(core);
        for key in 0..20 {
            assert_eq!(world.call(&mut peer, &format!("SET k{key} {core}")), Value::ok());
            assert_eq!(world.call(&mut peer, &format!("GET k{key}")), Value::bulk(core.to_string()));
        }
        assert_eq!(world.call(&mut peer, "DBSIZE"), Value::Int(20));
    }
}

/// Dates are those of the machine, so a date that jumps may end a key early or keep it; time that passes ends it.
#[test]
fn keys_expire_by_simulated_time() {
    let mut world = World::new(3, "", Faults::drawn(&mut Random(5)), 5);
    world.set_faults(Faults { date: 0, ..Faults::drawn(&mut Random(5)) });
    let mut peer = world.connect(0);
    for key in 0..10 {
        assert_eq!(world.call(&mut peer, &format!("SET k{key} v PX 60000")), Value::ok());
    }
    assert_eq!(world.call(&mut peer, "DBSIZE"), Value::Int(10));
    world.time.advance(61_000_000);
    for key in 0..10 {
        assert_eq!(world.call(&mut peer, &format!("GET k{key}")), Value::NullBulk);
    }
}

#[test]
fn clients_that_go_are_forgotten() {
    let mut world = World::new(4, "", Faults::drawn(&mut Random(9)), 9);
    let peers: Vec<_> = (0..40).map(|n| world.connect(n % 4)).collect();
    for (n, peer) in peers.iter().enumerate() {
        peer.send(&b"MGET k1 k2 k3 k4\r\nSET k1 v\r\nGET k".repeat(10));
        for _ in 0..n {
            world.step();
        }
        peer.close(n % 2 == 0);
    }
    let mut last = world.connect(0);
    for _ in 0..20_000 {
        world.step();
    }
    let info = world.call(&mut last, "INFO clients").text();
    assert!(info.contains("connected_clients:1\r\n"), "{info}");
    assert!(peers.iter().all(world::Peer::is_closed));
}

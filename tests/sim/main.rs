//! The real server in a simulated world: all cores in one thread, every delay, order and failure drawn from one seed.
//! What clients see is checked as in tests/history; a failure prints its seed, and the seed brings it back.
//!
//! `PINION_SIM_SEED` runs that one seed and tells more; `PINION_SIM_SECONDS` is the time for fresh seeds (10 by
//! default).

#[path = "../history/check/mod.rs"]
mod check;
#[path = "../common/mod.rs"]
mod common;
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
        let menu = Menu { kind: Kind::Registers, keys: 4, multi_key: 40, multi: 100, watch: 100 };
        let run = Run::of(seed, menu);
        if let Err(anomaly) = check::workload::check(&run.menu, &run.history) {
            panic!("{} with seed {seed}:\n{}", anomaly.name, anomaly.text);
        }
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

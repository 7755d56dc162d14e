//! Every command of the table with random arguments: no panic, one whole reply, nothing changed by a command that
//! fails or only reads, and memory that stays bounded. What the replies say is compared in `tests/differential`.
//!
//! `PINION_ARGS_SECONDS` bounds each test (a few seconds by default), `PINION_ARGS_SEED` is the first seed, or
//! `random`.

#[path = "../common/mod.rs"]
mod common;

mod draw;
mod live;
mod payloads;
mod shard;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: pinion::runtime::alloc::Allocator = pinion::runtime::alloc::Allocator;

/// How long a test goes on, and where it starts.
fn budget(seconds: u64) -> (Duration, u64) {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let seconds = text("PINION_ARGS_SECONDS").parse().unwrap_or(seconds);
    let seed = match text("PINION_ARGS_SEED").as_str() {
        "random" => SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64,
        number => number.parse().unwrap_or(1),
    };
    (Duration::from_secs(seconds), seed)
}

/// A command as redis-cli takes it.
fn shown(call: &[Vec<u8>]) -> String {
    call.iter().map(|word| format!("\"{}\"", common::value::shown(word))).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_arguments_break_a_shard() {
    let (time, seed) = budget(5);
    for proto in [pinion::resp::reply::Proto::Resp2, pinion::resp::reply::Proto::Resp3] {
        let calls = shard::try_all(proto, seed, time / 2);
        println!("{calls} calls from seed {seed}");
    }
}

#[test]
fn no_payload_breaks_a_shard() {
    let (time, seed) = budget(4);
    let (tried, taken) = payloads::try_all(seed, time);
    println!("{tried} payloads, {taken} of them taken, from seed {seed}");
    assert!(taken > tried / 50, "{taken} of {tried}");
}

#[test]
fn no_arguments_break_a_server() {
    let (time, seed) = budget(6);
    let setups = common::Setup::all();
    for (number, setup) in setups.iter().enumerate() {
        let calls = live::try_all(setup, seed + number as u64, time / setups.len() as u32);
        println!("{}: {calls} calls from seed {seed}", setup.name());
    }
}

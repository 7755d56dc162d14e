//! Histories of concurrent clients, checked: is there a serial order, true to real time, in which one Redis would have
//! answered the same? The checkers have tests of their own, on histories that are known to be good or bad.
//!
//! `PINION_HISTORY_SECONDS` is the time that live servers get in all (20 by default), `PINION_HISTORY_SEED` the seed
//! of what clients do. Threads and shards run as they like, so a seed does not bring the same history back; those of
//! tests/sim do.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod contended;
mod known;
mod live;

use check::workload::{Kind, Menu};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The shards of the live servers: as many as CPUs in a small machine, and more.
const SHARDS: [usize; 3] = [2, 5, 8];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// What clients do.
fn menu(kind: Kind, strict: bool) -> Menu {
    Menu::of(kind, if kind.is_searched() { 5 } else { 8 }, strict)
}

#[test]
fn live_histories_are_strictly_serializable() {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = number("PINION_HISTORY_SEED", fresh);
    let total = Duration::from_secs(number("PINION_HISTORY_SECONDS", 20));
    let share = total / (SHARDS.len() * Kind::ALL.len()) as u32;
    for shards in SHARDS {
        let server = live::server(shards);
        for kind in Kind::ALL {
            // `searched` histories have no pipelines
            let strict = !kind.is_searched() && (seed >> shards) & 1 == 1;
            server.client().ok(&format!("CONFIG SET pipeline-order {}", if strict { "strict" } else { "shard" }));
            let (count, anomaly) = live::hunt(&server, menu(kind, strict), share, seed);
            if let Some(anomaly) = anomaly {
                let what = format!("{kind:?} on {shards} shards, history {count} of seed {seed}");
                panic!("{} in {what}:\n{}", anomaly.name, anomaly.text);
            }
            println!("{kind:?} on {shards} shards: {count} histories are serializable");
        }
    }
}

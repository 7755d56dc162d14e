//! What every test of the whole server shares: starting servers, a blocking client, typed replies.
//! Never used by the server itself, and uses nothing of it but the binary.
#![allow(dead_code, unreachable_pub, unused_imports)] // each test file uses a part

pub mod client;
pub mod server;
pub mod sys;
pub mod value;

pub use client::Client;
pub use server::{Launch, Server, Setup, each_setup};
pub use value::Value;

use std::time::{Duration, Instant};

/// Longest that anything a test waits for may take. Generous: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `done` until it answers true; fails with `what` when [`PATIENCE`] is over.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Deterministic random numbers (SplitMix64): a test's whole course follows from its seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`.
    pub fn one<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// What a client may keep: a word, a number, something long, something that compresses.
pub fn word(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0..3 => (random.below(2000) as i64 - 1000).to_string().into_bytes(),
        3 => (random.next() as i64 >> random.below(64)).to_string().into_bytes(),
        4 => (0..random.below(200)).map(|_| random.next() as u8).collect(),
        5 => b"compressible ".repeat(random.below(60)),
        _ => format!("w{}", random.below(100_000)).into_bytes(),
    }
}

//! Commands: data (a [`spec::CommandSpec`] per command) plus one synchronous function each. A function sees its own
//! shard and its arguments; it never learns that other cores exist.

pub mod args;
pub mod bitmaps;
pub mod blocking;
pub mod connection;
pub mod context;
pub mod debug;
#[cfg(test)]
mod dirty_tests;
#[cfg(test)]
mod effects_tests;
pub mod errors;
pub mod flags;
pub mod geo;
pub mod hashes;
pub mod help;
pub mod hyperloglog;
pub mod key_args;
pub mod keys;
pub mod lists;
pub mod pubsub;
pub mod server;
pub mod sets;
pub mod sort;
pub mod spec;
pub mod streams;
pub mod strings;
pub mod syntax;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
mod time_unit;
pub mod transactions;
pub mod vectors;
pub mod zsets;

//! Commands: data (a [`spec::CommandSpec`] per command) plus one synchronous function each. A function sees its own
//! shard and its arguments; it never learns that other cores exist.

pub mod args;
pub mod bitmaps;
pub mod context;
pub mod errors;
pub mod keys;
pub mod spec;
pub mod strings;

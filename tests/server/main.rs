//! Tests of the whole server over real sockets, each with 1, 2 and 5 shards on both drivers. Never looks inside.

#[path = "../common/mod.rs"]
mod common;

mod frames;

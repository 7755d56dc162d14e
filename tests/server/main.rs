//! Tests of the whole server over real sockets, each with 1, 2 and 5 shards on both drivers. Never looks inside.
//!
//! They hold for Redis too, where it makes the same promise: `PINION_TEST_SERVER=redis-server tests/run --test server`
//! runs them against it, and so tests the tests.

#[path = "../common/mod.rs"]
mod common;

mod aof;
mod aof_switch;
mod auth;
mod blocking;
mod blocking_streams;
mod blocking_zsets;
mod check;
mod client_command;
mod client_memory;
mod clients;
mod copying;
mod events;
mod faults;
mod figures;
mod frames;
mod life;
mod memory;
mod monitor;
mod pipelines;
mod pubsub;
mod reloading;
mod saving;
mod saving_huge;
mod sockets;
mod storm;
mod tracking;
mod transactions;

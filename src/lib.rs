//! Pinion: a Redis-compatible server with one pinned shard per core.
//!
//! Modules in reading order, lowest layer first; each imports only from layers above it in this list.

pub mod base;

pub mod resp;
pub mod runtime;
pub mod types;

pub mod shard;

pub mod commands;
pub mod persist;

pub mod txn;

pub mod net;

pub mod admin;

pub mod server;

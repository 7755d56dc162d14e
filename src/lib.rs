//! Pinion: a Redis-compatible server with one pinned shard per core.
//!
//! Modules in reading order, lowest layer first; each imports only from layers above it in this list.

pub mod admin;
pub mod base;
pub mod commands;
pub mod resp;
pub mod runtime;
pub mod shard;
pub mod types;

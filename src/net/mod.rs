//! Bytes to sessions and back: connections, dispatch, and the commands that concern a connection. Never looks into a
//! key: that is the router's and the shards' work.

pub mod caching;
pub mod client;
pub mod client_filter;
pub mod connection;
pub mod defrag;
pub mod dispatch;
pub mod durability;
pub mod handshake;
mod inbox;
pub mod keyspace_events;
pub mod listener;
pub mod listening;
pub mod loading;
mod lookahead;
pub mod memory;
pub mod migrate;
mod monitors;
pub mod noted;
pub mod output;
mod pipeline;
mod plain;
mod prepare;
pub mod pubsub;
pub mod push;
pub mod redact;
pub mod saving;
pub mod session;
pub mod settings;
pub mod shared;
pub mod source;
pub mod subscribe;
pub mod tracking;
pub mod transactions;
pub mod waitaof;
pub mod worker;

//! One core's slice of the keyspace. Synchronous and single-threaded: time comes in as a number, nothing waits,
//! no other core is known here.

pub mod access;
pub mod copies;
pub mod defrag;
pub mod events;
pub mod evict;
pub mod expiry;
pub mod field_expiry;
pub mod journal;
pub mod keyspace;
pub mod lazyfree;
pub mod load;
pub mod recording;
pub mod settings;
pub mod snapshot;
pub mod tracking;
pub mod waiters;
pub mod watch;

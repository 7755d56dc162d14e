//! One core's slice of the keyspace. Synchronous and single-threaded: time comes in as a number, nothing waits,
//! no other core is known here.

pub mod keyspace;
pub mod settings;

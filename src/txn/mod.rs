//! The only layer that knows that other cores exist: who owns a slot, what cores say to each other, and how the
//! replies of several shards become one. Never touches a socket.

mod awaited;
mod describe;
pub mod feed;
mod fetches;
pub mod figures;
pub mod finished;
pub mod gather;
pub mod hop;
pub mod loading;
pub mod lock;
pub mod message;
pub mod nested;
pub mod news;
mod parked;
mod participant;
mod plain;
mod plan;
pub mod router;
pub mod scheduling;
mod stages;
pub mod transaction;
pub mod wait;

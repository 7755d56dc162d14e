//! What operators see and turn: figures, settings, logs. Nothing here is on a command's way to its key.

pub mod collect;
pub mod command;
pub mod config;
pub mod crash;
pub mod files;
pub mod handlers;
pub mod info;
pub mod latency;
pub mod log;
pub mod lolwut;
pub mod memory;
pub mod metrics;
pub mod oom;
pub mod save;
pub mod slowlog;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;

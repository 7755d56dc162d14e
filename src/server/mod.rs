//! Composes everything: the tick of a core, the start and end of the process.

mod base;
pub mod boot;
pub mod check;
pub mod compact;
pub mod core;
pub mod export;
pub mod loading;
pub mod recovery;
pub mod registry;

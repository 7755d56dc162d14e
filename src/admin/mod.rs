//! What operators see and set: figures, settings, logs. Nothing here is on a command's way to its key.

pub mod command;
pub mod info;

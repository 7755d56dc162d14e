//! Histories of concurrent clients, and whether a serial order explains them: operations and their model, what clients
//! do, and the checkers. Talks to no server, and uses nothing of ours.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

pub mod graph;
pub mod list;
pub mod op;
pub mod register;
pub mod state;
pub mod wgl;
pub mod workload;

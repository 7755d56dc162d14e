//! One ring per core: sockets, timers, doorbells and queues between cores. Knows no RESP and no keys.

pub mod affinity;
pub mod aligned;
pub mod alloc;
pub mod crash;
pub mod driver;
pub mod executor;
pub mod files;
pub mod mesh;
pub mod signals;
pub mod sockets;
pub mod timer;
pub mod usage;

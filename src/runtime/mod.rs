//! One ring per core: sockets, timers, doorbells and queues between cores. Knows no RESP and no keys.

pub mod driver;
pub mod mesh;

//! Data structures: no I/O, no clock, no clients. What they hold is bounded by their caller.

pub mod copying;
pub mod defrag;
pub mod fields;
pub mod hash;
pub mod hll;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod lzf;
pub mod rdb;
pub mod set;
pub mod stream;
pub mod table;
pub mod value;
pub mod vector;
pub mod zset;

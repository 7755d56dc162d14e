//! Values in the format of RDB files: what DUMP and RESTORE exchange, and what a file holds for each key. Works on
//! bytes in memory; never opens a file, never knows a key.
//!
//! A value is a type byte and a body. [`write`] chooses the type that the oldest server can read: everything that Redis
//! 7.0 can hold goes out in version 10, times of stream consumers in 11, expiring hash fields in 12 (Redis) or 80
//! (Valkey). [`read`] takes every type that Redis ever wrote, and Valkey 9's, from anybody: a payload is bounded by its
//! own length, whatever the numbers in it claim.
//!
//! Format: Redis's `rdb.h` and the "RDB file format" of its documentation.

pub mod crc64;
mod old;
pub mod payload;
pub mod read;
mod skim;
pub mod steps;
mod vectors;
pub mod write;

/// Type bytes.
pub mod kind {
    #![allow(missing_docs)]
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET: u8 = 5;
    pub const MODULE_OLD: u8 = 6;
    pub const MODULE: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes are ziplists.
    pub const LIST_QUICKLIST_1: u8 = 14;
    pub const STREAM_1: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    /// Nodes are listpacks, or single elements.
    pub const LIST_QUICKLIST: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
    /// Valkey 9: with an expiry for each field. Redis 7.4 used the number before its release, for something else.
    pub const HASH_VALKEY: u8 = 22;
    /// Redis 7.4, as a table and as a listpack.
    pub const HASH_TIMED: u8 = 24;
    pub const HASH_TIMED_LISTPACK: u8 = 25;
}

/// What may stand before a key's type byte.
pub(crate) mod opcode {
    pub(crate) const IDLE: u8 = 0xf8;
    pub(crate) const FREQUENCY: u8 = 0xf9;
    pub(crate) const EXPIRE_MS: u8 = 0xfc;
    pub(crate) const DATABASE: u8 = 0xfe;
}

/// What a key has beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// When it expires, Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// Seconds since it was used (eviction by recency).
    pub idle_s: Option<u64>,
    /// How often it is used (eviction by frequency).
    pub frequency: Option<u8>,
}

/// The version that every value can have.
pub const VERSION_MIN: u16 = 10;
/// Adds the times at which stream consumers were last active.
pub const VERSION_STREAM_3: u16 = 11;
/// Adds hash fields that expire; the newest version of Redis that is read.
pub const VERSION_REDIS: u16 = 12;
/// Valkey 9's version, which begins anew behind a gap.
pub const VERSION_VALKEY: u16 = 80;

/// Whose form hash fields that expire are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavor {
    /// Redis 7.4 and later.
    #[default]
    Redis,
    /// Valkey 9 and later.
    Valkey,
}

/// Kinds of what a module writes.
mod module_part {
    pub(super) const END: u64 = 0;
    pub(super) const SIGNED: u64 = 1;
    pub(super) const UNSIGNED: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}

/// How the body of a string or a length begins.
mod length {
    pub(super) const BITS_14: u8 = 0x40;
    pub(super) const BITS_32: u8 = 0x80;
    pub(super) const BITS_64: u8 = 0x81;
    pub(super) const INT_8: u8 = 0xc0;
    pub(super) const INT_16: u8 = 0xc1;
    pub(super) const INT_32: u8 = 0xc2;
    pub(super) const LZF: u8 = 0xc3;
}

#[cfg(test)]
#[path = "rdb_tests.rs"]
mod tests;

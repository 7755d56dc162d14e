//! The keyspace's table: position = (slot, hash) to entry, in bounded segments that split. Never reads a clock.

use crate::base::hash::Position;
use crate::types::value::{NewValue, Owned, View};

/// A key with its position, computed once per command.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Slot and hash of the bytes.
    pub pos: Position,
}

impl<'a> Key<'a> {
    /// Computes the position of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Key { bytes, pos: Position::of(bytes) }
    }
}

/// One entry as a visitor sees it.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: View<'a>,
    /// Absolute expiry, Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// 10 opaque bits for the eviction clock (LRU stamp or LFU counter).
    pub access: u16,
}

/// What to do with the expiry of a key that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// The key has no expiry afterwards.
    Clear,
    /// An expiry that is there stays.
    Keep,
    /// Absolute, Unix milliseconds.
    At(u64),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table {}

#[allow(unused_variables, clippy::todo, clippy::unused_self, missing_docs)]
impl Table {
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Keys that carry an expiry.
    pub fn expiring(&self) -> usize {
        todo!()
    }
    pub fn prefetch_bucket(&self, pos: Position) {
        todo!()
    }
    pub fn prefetch_entry(&self, pos: Position) {
        todo!()
    }
    pub fn find(&self, key: Key<'_>) -> Option<EntryView<'_>> {
        todo!()
    }
    pub fn insert(&mut self, key: Key<'_>, value: NewValue<'_>, expire: Expire) {
        todo!()
    }
    pub fn remove(&mut self, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        todo!()
    }
}

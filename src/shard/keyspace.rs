//! The shard: its databases, lookups with lazy expiry, writes, and the counters INFO reports.

use crate::shard::settings::ShardSettings;
use crate::types::table::{EntryView, Expire, Key, Table};
use crate::types::value::{NewValue, Owned, Value, View};
use std::ops::Range;

/// Counters of one shard since start or CONFIG RESETSTAT.
#[derive(Debug, Default, Clone)]
pub struct ShardStats {
    /// `keyspace_hits`.
    pub hits: u64,
    /// `keyspace_misses`.
    pub misses: u64,
    /// `expired_keys`.
    pub expired: u64,
}

/// One core's slice. The whole of it belongs to one thread.
#[derive(Debug)]
pub struct Shard {
    /// One table per logical database.
    pub tables: Vec<Table>,
    /// The slots it owns.
    pub slots: Range<u16>,
    /// What the configuration says to it.
    pub settings: ShardSettings,
    /// Unix time of this tick, milliseconds; set by the tick, constant while a command runs.
    pub now_ms: u64,
    /// See [`ShardStats`].
    pub stats: ShardStats,
    /// Writes since the last save (`rdb_changes_since_last_save`).
    pub dirty: u64,
}

/// Every method takes the database index (the caller has checked it) and answers as if expired keys were gone.
#[allow(unused_variables, clippy::todo, clippy::unused_self, missing_docs)]
impl Shard {
    /// Lookup for a read: counts a hit or miss and stamps the access (unless `no_touch`).
    pub fn read(&mut self, db: usize, key: Key<'_>, no_touch: bool) -> Option<View<'_>> {
        todo!()
    }
    /// Lookup for a write: no hit or miss is counted; the access is stamped.
    pub fn write(&mut self, db: usize, key: Key<'_>) -> Option<View<'_>> {
        todo!()
    }
    /// Lookup without a trace (TTL, OBJECT, DEBUG): no counter, no stamp.
    pub fn peek(&mut self, db: usize, key: Key<'_>) -> Option<EntryView<'_>> {
        todo!()
    }
    /// The boxed value for an edit in place; `None` if absent or not boxed. The caller counts `dirty`.
    pub fn boxed_mut(&mut self, db: usize, key: Key<'_>) -> Option<&mut Value> {
        todo!()
    }
    /// Inserts or replaces.
    pub fn set(&mut self, db: usize, key: Key<'_>, value: NewValue<'_>, expire: Expire) {
        todo!()
    }
    /// Sets or clears the expiry of a key that is there; false if it is not.
    pub fn set_expire(&mut self, db: usize, key: Key<'_>, at_ms: Option<u64>) -> bool {
        todo!()
    }
    /// Removes; big values are freed later, in budgeted steps. False if it was not there.
    pub fn remove(&mut self, db: usize, key: Key<'_>) -> bool {
        todo!()
    }
    /// Removes and returns value and expiry.
    pub fn take(&mut self, db: usize, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        todo!()
    }
    /// A copy of value and expiry.
    pub fn copy_out(&mut self, db: usize, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        todo!()
    }
}

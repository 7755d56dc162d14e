//! What a core, its transactions and its locks look like in figures, for INFO and MEMORY. Counts nothing itself.

use crate::base::stats::Histogram;
use crate::commands::table::CommandId;
use crate::runtime::usage::CpuTime;
use crate::shard::keyspace::ShardStats;

/// What transactions of this core met with, since the start or CONFIG RESETSTAT.
#[derive(Debug, Default, Clone)]
pub struct TxnStats {
    /// Transactions over several shards, and those over one that found a lock in the way.
    pub started: u64,
    /// Attempts that a shard refused.
    pub refused: u64,
    /// Most refusals that one transaction met with.
    pub refusals_max: u64,
    /// Transactions that were given priority.
    pub priority: u64,
    /// Transactions that kept everything else from every shard (FLUSHALL, SWAPDB).
    pub barriers: u64,
    /// Values that a snapshot wrote first because somebody wanted to change them.
    pub written_first: u64,
    /// Values that were copied in steps (COPY, RENAME to another shard).
    pub copied_in_steps: u64,
}

/// What transactions and locks look like on one core.
#[derive(Debug, Default, Clone)]
pub struct TxnFigures {
    /// Transactions that this core coordinates.
    pub stats: TxnStats,
    /// Claims that hold locks of this shard.
    pub locks_held: u64,
    /// Claims and single commands that wait for one.
    pub locks_waiting: u64,
    /// Keys of this shard that somebody watches.
    pub watched_keys: u64,
    /// Since when the oldest transaction is under way, milliseconds; 0 if none is.
    pub oldest_ms: u64,
}

/// What a core says of itself for INFO and MEMORY.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    /// Keys, keys with expiry, average TTL in ms, hashes with fields that expire; per database.
    pub databases: Vec<(u64, u64, u64, u64)>,
    /// Bytes of the tables and what they hold.
    pub table_bytes: u64,
    /// Of those, what is not keys and values.
    pub table_overhead: u64,
    /// Bytes of query and output buffers.
    pub client_bytes: u64,
    /// Largest query buffer now.
    pub input_bytes_max: u64,
    /// Largest output buffer now.
    pub output_bytes_max: u64,
    /// See `ShardStats`.
    pub stats: ShardStats,
    /// Writes since start.
    pub dirty: u64,
    /// Objects waiting to be freed.
    pub lazy_pending: u64,
    /// Objects freed lazily.
    pub lazy_freed: u64,
    /// How long memory has been short in all and this time, milliseconds.
    pub exceeded_ms: (u64, u64),
    /// Connections.
    pub clients: u64,
    /// Of those, connections that wait for keys.
    pub blocked_clients: u64,
    /// Keys that somebody waits for.
    pub blocking_keys: u64,
    /// Of those, keys where somebody is to be told when they are gone.
    pub losable_keys: u64,
    /// Connections that wait, for anything, no longer than some time.
    pub timed_waits: u64,
    /// Processor time of the core's thread.
    pub time: CpuTime,
    /// Messages waiting to be handled.
    pub queue: u64,
    /// Waits that ended while spinning, waits that slept.
    pub spins: u64,
    /// See `spins`.
    pub sleeps: u64,
    /// Errors by their code.
    pub errors: Vec<(String, u64)>,
    /// Latencies of the commands that ran here, if they were asked for.
    pub histograms: Vec<(CommandId, Histogram)>,
    /// Connections with CLIENT TRACKING on.
    pub tracking_clients: u64,
    /// Keys in the tracking table, clients in its entries.
    pub tracking: (u64, u64),
    /// Prefixes that clients want to hear of; the same on every core.
    pub tracking_prefixes: u64,
    /// Connections with a subscription.
    pub pubsub_clients: u64,
    /// Hashes of the channels, patterns and shard channels that have a subscriber.
    pub channels: [Vec<u64>; 3],
    /// Transactions and locks.
    pub txn: TxnFigures,
    /// Connections that watch keys.
    pub watching: u64,
    /// Estimated share of keys that are due but still there, percent.
    pub stale_percent: f64,
    /// The core refuses commands that need the data, which is being loaded.
    pub loading: bool,
}

//! What transactions and locks of one core look like in figures, for INFO. Counts nothing itself.

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

//! What the server's settings mean to a shard: a few plain numbers, copied in whenever a setting changes. Reads no
//! configuration itself.

use crate::base::config::EvictionPolicy;
use crate::types::hash::PackLimits;
use crate::types::list::Fill;

/// Which of a key's recent uses its 10 access bits remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessClock {
    /// When it was last used (`maxmemory-policy` without `lfu`): OBJECT IDLETIME answers, OBJECT FREQ does not.
    #[default]
    Recency,
    /// How often it is used (`...-lfu`): the other way round.
    Frequency,
}

/// The copy a shard keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSettings {
    /// Follows `maxmemory-policy`.
    pub access_clock: AccessClock,
    /// `hll-sparse-max-bytes`: a HyperLogLog that would become longer turns dense.
    pub hll_sparse_bytes_max: usize,
    /// `set-max-intset-entries`: most members of a set kept as an intset.
    pub set_intset_entries_max: usize,
    /// `set-max-listpack-entries`: most members of a set kept as a listpack.
    pub set_listpack_entries_max: usize,
    /// `set-max-listpack-value`: longest member of a set kept as a listpack, bytes.
    pub set_listpack_value_bytes_max: usize,
    /// `lfu-log-factor`: how slowly the use counter grows.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes until the use counter halves; 0 for never.
    pub lfu_decay_minutes: u32,
    /// Whether expired keys are looked for between commands (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: bool,
    /// Whether keys and fields that are due stay, unseen, where they are (CLIENT PAUSE).
    pub keeps_due: bool,
    /// Whether RESTORE takes a payload with a wrong checksum (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skip_checksums: bool,
    /// `active-expire-effort`, 1 to 10.
    pub active_expire_effort: u32,
    /// `hash-max-listpack-entries` and `hash-max-listpack-value`.
    pub hash_limits: PackLimits,
    /// `maxmemory-policy`.
    pub eviction: EvictionPolicy,
    /// `maxmemory-samples`: keys looked at, at least, for each that is evicted.
    pub eviction_samples: usize,
    /// `lazyfree-lazy-eviction`: evicted values are freed in steps.
    pub lazy_eviction: bool,
    /// `stream-node-max-bytes`: a block of stream entries is full at this size; 0 for no bound of its own.
    pub stream_block_bytes_max: usize,
    /// `stream-node-max-entries`: or at so many entries; 0 for no bound.
    pub stream_block_entries_max: u64,
    /// `list-max-listpack-size` and `list-compress-depth`: when a list changes its encoding, how much each of its runs
    /// holds, and which are compressed.
    pub list_fill: Fill,
    /// `zset-max-listpack-entries`, `zset-max-listpack-value`.
    pub zset_pack: PackLimits,
}

impl Default for ShardSettings {
    fn default() -> Self {
        ShardSettings {
            access_clock: AccessClock::Recency,
            hll_sparse_bytes_max: 3000,
            set_intset_entries_max: 512,
            set_listpack_entries_max: 128,
            set_listpack_value_bytes_max: 64,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            active_expire: true,
            keeps_due: false,
            skip_checksums: false,
            active_expire_effort: 1,
            hash_limits: PackLimits { entries: 512, value_bytes: 64 },
            eviction: EvictionPolicy::Noeviction,
            eviction_samples: 5,
            lazy_eviction: true,
            stream_block_bytes_max: 4096,
            stream_block_entries_max: 100,
            list_fill: Fill::default(),
            zset_pack: PackLimits { entries: 128, value_bytes: 64 },
        }
    }
}

//! What was set elsewhere, taken over at the begin of a tick: published settings and CLIENT PAUSE. Changes no setting.

use crate::base::config::{Config, EvictionPolicy as Policy};
use crate::commands::flags::{Flags, flag};
use crate::commands::table::CommandId;
use crate::net::worker::{Pause, Worker};
use crate::shard::events;
use crate::shard::settings::{AccessClock, ShardSettings};
use crate::types::list::Fill;
use std::sync::atomic::Ordering;

impl Worker {
    /// Takes over settings that were published since the last tick. True if there were any.
    pub fn refresh_config(&mut self) -> bool {
        let version = self.shared.config_version.load(Ordering::Acquire);
        if version == self.config_version {
            return false;
        }
        self.config_version = version;
        self.config = self.shared.config();
        self.apply_config();
        true
    }

    pub(super) fn apply_config(&mut self) {
        let config = &self.config;
        // a limit may be new, or smaller
        self.clients_over |= config.maxmemory_clients != 0;
        self.slow_ticks = match u64::try_from(config.slowlog_log_slower_than) {
            Ok(micros) => crate::base::clock::us_to_ticks(micros),
            Err(_) => u64::MAX,
        };
        self.router.terms.bulk_bytes_max = config.proto_max_bulk_len as usize;
        self.router.terms.slow_ticks = self.slow_ticks;
        apply_to_shard(config, &mut self.router.shard.settings);
        self.router.shard.events.wanted = events::classes(&config.notify_keyspace_events);
        self.follow_log_settings();
        self.follow_listening();
    }

    /// Whether CLIENT PAUSE holds back this command, which does what `flags` say.
    pub(super) fn is_paused(&self, flags: Flags, id: CommandId) -> bool {
        match self.pause {
            _ if self.router.table.get(id).name.starts_with("client") => false,
            Pause::No => false,
            Pause::Writes => flags & (flag::WRITE | flag::MAY_REPLICATE) != 0,
            Pause::All => true,
        }
    }

    /// Takes over CLIENT PAUSE as it stands now, during which nothing expires or is evicted, and whether snapshots
    /// fail; wakes what waited for the pause's end.
    pub fn refresh_pause(&mut self) {
        self.saving.stops_writes = self.shared.save_failed.load(Ordering::Relaxed)
            && self.config.stop_writes_on_bgsave_error
            && !self.config.save.is_empty();
        let before = self.pause;
        let until = self.shared.pause_until_ms.load(Ordering::Relaxed);
        self.pause = if until <= self.clock.unix_ms() {
            Pause::No
        } else if self.shared.pause_writes_only.load(Ordering::Relaxed) {
            Pause::Writes
        } else {
            Pause::All
        };
        self.router.shard.settings.keeps_due = self.pause != Pause::No;
        if (self.pause == Pause::No || self.pause != before) && !self.postponed.is_empty() {
            for index in std::mem::take(&mut self.postponed) {
                if let Some(conn) = self.conn_at(index) {
                    conn.held_back = false;
                }
                self.make_ready(index);
            }
        }
    }
}

/// Tells a shard what concerns it.
pub fn apply_to_shard(config: &Config, settings: &mut ShardSettings) {
    settings.access_clock = match config.maxmemory_policy {
        Policy::AllkeysLfu | Policy::VolatileLfu => AccessClock::Frequency,
        _ => AccessClock::Recency,
    };
    settings.hll_sparse_bytes_max = config.hll_sparse_max_bytes as usize;
    settings.set_intset_entries_max = config.set_max_intset_entries as usize;
    settings.set_listpack_entries_max = config.set_max_listpack_entries as usize;
    settings.set_listpack_value_bytes_max = config.set_max_listpack_value as usize;
    settings.lfu_log_factor = config.lfu_log_factor;
    settings.lfu_decay_minutes = config.lfu_decay_time;
    settings.active_expire_effort = config.active_expire_effort;
    settings.zset_pack.entries = config.zset_max_listpack_entries;
    settings.zset_pack.value_bytes = config.zset_max_listpack_value;
    settings.hash_limits.entries = config.hash_max_listpack_entries;
    settings.hash_limits.value_bytes = config.hash_max_listpack_value;
    settings.eviction = config.maxmemory_policy;
    settings.eviction_samples = config.maxmemory_samples as usize;
    settings.lazy_eviction = config.lazyfree_lazy_eviction;
    settings.stream_block_bytes_max = config.stream_node_max_bytes as usize;
    settings.stream_block_entries_max = config.stream_node_max_entries;
    settings.list_fill = Fill::of(i64::from(config.list_max_listpack_size), config.list_compress_depth);
}

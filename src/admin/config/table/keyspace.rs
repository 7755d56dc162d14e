//! Settings of databases, expiry, freeing, memory, and the encodings of small collections.

use super::{NO_REPLICATION, Setting};
use super::{count, int, long, one_of, size, text, yes_no};
use crate::admin::config::value::Kind;
use crate::base::config::EvictionPolicy;
use crate::base::limits::DATABASES_MAX;

const ALWAYS_LAZY: &str = "big values and whole databases are always freed in steps, whoever removed them";
const MIMALLOC: &str = "memory comes from mimalloc, which has no background threads";

pub(super) const ROWS: &[Setting] = &[
    int("databases", 1, DATABASES_MAX as i64, "16").fill(|c, v| c.databases = v.int()).at_start(),
    Setting::new("hz", Kind::Hz, "10").fill(|c, v| c.hz = v.int()),
    yes_no("dynamic-hz", "yes").no_effect("hz is what it says"),
    int("active-expire-effort", 1, 10, "1").fill(|c, v| c.active_expire_effort = v.int()),
    yes_no("import-mode", "no").refused("there is no import mode yet"),
    yes_no("lazyfree-lazy-eviction", "yes").fill(|c, v| c.lazyfree_lazy_eviction = v.yes()),
    yes_no("lazyfree-lazy-expire", "yes").no_effect(ALWAYS_LAZY),
    yes_no("lazyfree-lazy-server-del", "yes").no_effect(ALWAYS_LAZY),
    yes_no("lazyfree-lazy-user-del", "yes").no_effect(ALWAYS_LAZY),
    yes_no("lazyfree-lazy-user-flush", "yes").no_effect(ALWAYS_LAZY),
    yes_no("replica-lazy-flush", "yes")
        .also_named(&["slave-lazy-flush"])
        .fill(|c, v| c.replica_lazy_flush = v.yes())
        .no_effect(NO_REPLICATION),
    yes_no("activerehashing", "yes").no_effect("tables grow in bounded segments"),
    yes_no("activedefrag", "no").fill(|c, v| c.activedefrag = v.yes()),
    int("active-defrag-cycle-max", 1, 99, "25").fill(|c, v| c.defrag_cycle_percent.1 = v.int()),
    int("active-defrag-cycle-min", 1, 99, "1").fill(|c, v| c.defrag_cycle_percent.0 = v.int()),
    int("active-defrag-cycle-us", 0, 100_000, "500").fill(|c, v| c.defrag_cycle_us = v.int()),
    size("active-defrag-ignore-bytes", 1, "100mb").fill(|c, v| c.defrag_ignore_bytes = v.size()),
    int("active-defrag-max-scan-fields", 1, i64::MAX, "1000").no_effect("values of any size are gone through in steps"),
    int("active-defrag-threshold-lower", 0, 1000, "10").fill(|c, v| c.defrag_threshold_percent.0 = v.int()),
    int("active-defrag-threshold-upper", 0, 1000, "100").fill(|c, v| c.defrag_threshold_percent.1 = v.int()),
    yes_no("jemalloc-bg-thread", "yes").no_effect(MIMALLOC),
    text("hash-seed", "").no_effect("keys are hashed with a seed drawn at start").at_start(),
    Setting::new("maxmemory", Kind::Size { min: 0, max: u64::MAX }, "0").fill(|c, v| c.maxmemory = v.size()),
    one_of("maxmemory-policy", EvictionPolicy::NAMES, "noeviction")
        .fill(|c, v| c.maxmemory_policy = v.one(EvictionPolicy::named)),
    int("maxmemory-samples", 1, 64, "5").fill(|c, v| c.maxmemory_samples = v.int()),
    int("maxmemory-eviction-tenacity", 0, 100, "10").fill(|c, v| c.maxmemory_eviction_tenacity = v.int()),
    count("lfu-log-factor", "10").fill(|c, v| c.lfu_log_factor = v.int()),
    count("lfu-decay-time", "1").fill(|c, v| c.lfu_decay_time = v.int()),
    Setting::new("notify-keyspace-events", Kind::Events, "").fill(|c, v| c.notify_keyspace_events = v.bytes()),
    long("hash-max-listpack-entries", "512")
        .also_named(&["hash-max-ziplist-entries"])
        .fill(|c, v| c.hash_max_listpack_entries = v.int()),
    size("hash-max-listpack-value", 0, "64")
        .also_named(&["hash-max-ziplist-value"])
        .fill(|c, v| c.hash_max_listpack_value = v.size()),
    int("list-max-listpack-size", i32::MIN as i64, i32::MAX as i64, "-2")
        .also_named(&["list-max-ziplist-size"])
        .fill(|c, v| c.list_max_listpack_size = v.int()),
    count("list-compress-depth", "0").fill(|c, v| c.list_compress_depth = v.int()),
    long("set-max-intset-entries", "512").fill(|c, v| c.set_max_intset_entries = v.int()),
    long("set-max-listpack-entries", "128").fill(|c, v| c.set_max_listpack_entries = v.int()),
    long("set-max-listpack-value", "64").fill(|c, v| c.set_max_listpack_value = v.int()),
    long("zset-max-listpack-entries", "128")
        .also_named(&["zset-max-ziplist-entries"])
        .fill(|c, v| c.zset_max_listpack_entries = v.int()),
    size("zset-max-listpack-value", 0, "64")
        .also_named(&["zset-max-ziplist-value"])
        .fill(|c, v| c.zset_max_listpack_value = v.size()),
    size("hll-sparse-max-bytes", 0, "3000").fill(|c, v| c.hll_sparse_max_bytes = v.size()),
    size("stream-node-max-bytes", 0, "4096").fill(|c, v| c.stream_node_max_bytes = v.size()),
    long("stream-node-max-entries", "100").fill(|c, v| c.stream_node_max_entries = v.int()),
    text("locale-collate", "").no_effect("SORT with ALPHA compares bytes"),
];

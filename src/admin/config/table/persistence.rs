//! Settings of snapshots and the append-only file.

use super::{NO_SNAPSHOT, Setting};
use super::{count, int, one_of, size, text, yes_no};
use crate::admin::config::special;
use crate::admin::config::value::Kind;
use crate::base::config::{Fsync, RdbFlavor};
use crate::base::limits::{LOG_SEGMENT_BYTES_MAX, LOG_SEGMENT_BYTES_MIN};

/// Why it matters nowhere which processors a child process would use.
const NO_FORK: &str = "there is no other process: each shard writes its own part";

pub(super) const ROWS: &[Setting] = &[
    Setting::new("dir", Kind::Folder, ".").fill(|c, v| c.dir = v.string()).protected(),
    Setting::new("dbfilename", Kind::Text(special::snapshot_name), "dump.rdb")
        .fill(|c, v| c.dbfilename = v.string())
        .protected(),
    Setting::new("save", Kind::SavePoints, "3600 1 300 100 60 10000").fill(|c, v| c.save = v.save_points()),
    yes_no("rdbcompression", "yes").fill(|c, v| c.rdb_compression = v.yes()),
    yes_no("rdbchecksum", "yes").fill(|c, v| c.rdb_checksum = v.yes()).at_start(),
    one_of("rdb-flavor", RdbFlavor::NAMES, "redis").fill(|c, v| c.rdb_flavor = v.one(RdbFlavor::named)),
    yes_no("rdb-del-sync-files", "no").no_effect(super::NO_REPLICATION),
    yes_no("rdb-save-incremental-fsync", "yes").fill(|c, v| c.rdb_incremental_fsync = v.yes()),
    one_of("rdb-version-check", &["strict", "relaxed"], "strict").no_effect(NO_SNAPSHOT),
    int("rdb-key-save-delay", i32::MIN as i64, i32::MAX as i64, "0").no_effect(NO_SNAPSHOT).hidden(),
    int("key-load-delay", i32::MIN as i64, i32::MAX as i64, "0").no_effect(NO_SNAPSHOT).hidden(),
    int("loading-process-events-interval-bytes", 1024, i32::MAX as i64, "2097152").no_effect(NO_SNAPSHOT).hidden(),
    one_of("sanitize-dump-payload", &["no", "yes", "clients"], "no").no_effect("every payload is checked"),
    yes_no("stop-writes-on-bgsave-error", "yes").fill(|c, v| c.stop_writes_on_bgsave_error = v.yes()),
    yes_no("appendonly", "no").fill(|c, v| c.appendonly = v.yes()),
    one_of("appendfsync", Fsync::NAMES, "everysec").fill(|c, v| c.appendfsync = v.one(Fsync::named)),
    Setting::new("appendfilename", Kind::Text(special::aof_name), "appendonly.aof")
        .fill(|c, v| c.appendfilename = v.string())
        .at_start(),
    Setting::new("appenddirname", Kind::Text(special::aof_folder), "appendonlydir")
        .fill(|c, v| c.appenddirname = v.string())
        .at_start(),
    size("auto-aof-rewrite-min-size", 0, "64mb").fill(|c, v| c.auto_aof_rewrite_min_size = v.size()),
    count("auto-aof-rewrite-percentage", "100").fill(|c, v| c.auto_aof_rewrite_percentage = v.int()),
    yes_no("no-appendfsync-on-rewrite", "no")
        .no_effect("a rewrite does not slow a sync down: there is no other process"),
    yes_no("aof-load-truncated", "yes").fill(|c, v| c.aof_load_truncated = v.yes()),
    yes_no("aof-rewrite-incremental-fsync", "yes").no_effect("a rewrite goes around the page cache"),
    yes_no("aof-timestamp-enabled", "no").no_effect("the log holds no times"),
    yes_no("aof-use-rdb-preamble", "yes").no_effect("a log always begins with a snapshot"),
    yes_no("aof-disable-auto-gc", "no").no_effect("files that the manifest does not name are always removed").hidden(),
    text("aof_rewrite_cpulist", "").also_named(&["aof-rewrite-cpulist"]).no_effect(NO_FORK).at_start(),
    text("bgsave_cpulist", "").also_named(&["bgsave-cpulist"]).no_effect(NO_FORK).at_start(),
    // ---- Pinion's own ----
    Setting::new("aof-segment-size", Kind::Size { min: LOG_SEGMENT_BYTES_MIN, max: LOG_SEGMENT_BYTES_MAX }, "64mb")
        .fill(|c, v| c.aof_segment_bytes = v.size())
        .at_start(),
];

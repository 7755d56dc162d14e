//! Settings of snapshots and the append-only file.

use super::{NO_AOF, NO_SNAPSHOT, Setting};
use super::{count, int, one_of, size, text, yes_no};
use crate::admin::config::special;
use crate::admin::config::value::Kind;

pub(super) const ROWS: &[Setting] = &[
    Setting::new("dir", Kind::Folder, ".").fill(|c, v| c.dir = v.string()).protected(),
    Setting::new("dbfilename", Kind::Text(special::snapshot_name), "dump.rdb")
        .fill(|c, v| c.dbfilename = v.string())
        .no_effect(NO_SNAPSHOT)
        .protected(),
    Setting::new("save", Kind::SavePoints, "").fill(|c, v| c.save = v.save_points()).refused(NO_SNAPSHOT),
    yes_no("rdbcompression", "yes").no_effect(NO_SNAPSHOT),
    yes_no("rdbchecksum", "yes").no_effect(NO_SNAPSHOT).at_start(),
    yes_no("rdb-del-sync-files", "no").no_effect(NO_SNAPSHOT),
    yes_no("rdb-save-incremental-fsync", "yes").no_effect(NO_SNAPSHOT),
    one_of("rdb-version-check", &["strict", "relaxed"], "strict").no_effect(NO_SNAPSHOT),
    int("rdb-key-save-delay", i32::MIN as i64, i32::MAX as i64, "0").no_effect(NO_SNAPSHOT).hidden(),
    int("key-load-delay", i32::MIN as i64, i32::MAX as i64, "0").no_effect(NO_SNAPSHOT).hidden(),
    int("loading-process-events-interval-bytes", 1024, i32::MAX as i64, "2097152").no_effect(NO_SNAPSHOT).hidden(),
    one_of("sanitize-dump-payload", &["no", "yes", "clients"], "no").no_effect("every payload is checked"),
    yes_no("stop-writes-on-bgsave-error", "yes").no_effect(NO_SNAPSHOT),
    yes_no("appendonly", "no").fill(|c, v| c.appendonly = v.yes()).refused(NO_AOF),
    one_of("appendfsync", &["everysec", "always", "no"], "everysec").no_effect(NO_AOF),
    Setting::new("appendfilename", Kind::Text(special::aof_name), "appendonly.aof")
        .fill(|c, v| c.appendfilename = v.string())
        .no_effect(NO_AOF)
        .at_start(),
    Setting::new("appenddirname", Kind::Text(special::aof_folder), "appendonlydir")
        .fill(|c, v| c.appenddirname = v.string())
        .no_effect(NO_AOF)
        .at_start(),
    size("auto-aof-rewrite-min-size", 0, "64mb").no_effect(NO_AOF),
    count("auto-aof-rewrite-percentage", "100").no_effect(NO_AOF),
    yes_no("no-appendfsync-on-rewrite", "no").no_effect(NO_AOF),
    yes_no("aof-load-truncated", "yes").fill(|c, v| c.aof_load_truncated = v.yes()),
    yes_no("aof-rewrite-incremental-fsync", "yes").no_effect(NO_AOF),
    yes_no("aof-timestamp-enabled", "no").no_effect(NO_AOF),
    yes_no("aof-use-rdb-preamble", "yes").no_effect(NO_AOF),
    yes_no("aof-disable-auto-gc", "no").no_effect(NO_AOF).hidden(),
    text("aof_rewrite_cpulist", "").also_named(&["aof-rewrite-cpulist"]).no_effect(NO_AOF).at_start(),
    text("bgsave_cpulist", "").also_named(&["bgsave-cpulist"]).no_effect(NO_SNAPSHOT).at_start(),
];

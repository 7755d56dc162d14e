//! Settings of primaries and replicas.

use super::{NO_REPLICATION, Setting};
use super::{count, int, long, one_of, port, secret, size, text, yes_no};
use crate::admin::config::value::Kind;

pub(super) const ROWS: &[Setting] = &[
    Setting::new("replicaof", Kind::Primary, "").also_named(&["slaveof"]).refused(NO_REPLICATION).at_start(),
    secret("masterauth").also_named(&["primaryauth"]).no_effect(NO_REPLICATION),
    text("masteruser", "").also_named(&["primaryuser"]).no_effect(NO_REPLICATION),
    count("min-replicas-to-write", "0").also_named(&["min-slaves-to-write"]).refused(NO_REPLICATION),
    count("min-replicas-max-lag", "10").also_named(&["min-slaves-max-lag"]).no_effect(NO_REPLICATION),
    size("repl-backlog-size", 1, "10mb").no_effect(NO_REPLICATION),
    long("repl-backlog-ttl", "3600").no_effect(NO_REPLICATION),
    yes_no("repl-disable-tcp-nodelay", "no").no_effect(NO_REPLICATION),
    one_of("repl-diskless-load", &["disabled", "on-empty-db", "swapdb", "flush-before-load"], "disabled")
        .no_effect(NO_REPLICATION),
    yes_no("repl-diskless-sync", "yes").no_effect(NO_REPLICATION),
    count("repl-diskless-sync-delay", "5").no_effect(NO_REPLICATION),
    count("repl-diskless-sync-max-replicas", "0").no_effect(NO_REPLICATION),
    yes_no("repl-mptcp", "no").no_effect(NO_REPLICATION).at_start(),
    int("repl-ping-replica-period", 1, i32::MAX as i64, "10")
        .also_named(&["repl-ping-slave-period"])
        .no_effect(NO_REPLICATION),
    yes_no("repl-rdb-channel", "yes").no_effect(NO_REPLICATION).hidden(),
    yes_no("dual-channel-replication-enabled", "no").no_effect(NO_REPLICATION),
    int("repl-timeout", 1, i32::MAX as i64, "60").no_effect(NO_REPLICATION),
    text("replica-announce-ip", "").also_named(&["slave-announce-ip"]).no_effect(NO_REPLICATION),
    port("replica-announce-port", "0").also_named(&["slave-announce-port"]).no_effect(NO_REPLICATION),
    yes_no("replica-announced", "yes").no_effect(NO_REPLICATION),
    size("replica-full-sync-buffer-limit", 0, "0").no_effect(NO_REPLICATION),
    yes_no("replica-ignore-disk-write-errors", "no").no_effect(NO_REPLICATION),
    yes_no("replica-ignore-maxmemory", "yes").also_named(&["slave-ignore-maxmemory"]).no_effect(NO_REPLICATION),
    count("replica-priority", "100").also_named(&["slave-priority"]).no_effect(NO_REPLICATION),
    yes_no("replica-read-only", "yes").also_named(&["slave-read-only"]).no_effect(NO_REPLICATION),
    yes_no("replica-serve-stale-data", "yes").also_named(&["slave-serve-stale-data"]).no_effect(NO_REPLICATION),
    one_of("propagation-error-behavior", &["ignore", "panic", "panic-on-replicas"], "ignore").no_effect(NO_REPLICATION),
];

//! Settings of cluster mode.

use super::{NO_CLUSTER, Setting};
use super::{count, int, long, one_of, port, text, yes_no};
use crate::admin::config::special;
use crate::admin::config::value::Kind;

pub(super) const ROWS: &[Setting] = &[
    yes_no("cluster-enabled", "no").refused(NO_CLUSTER).at_start(),
    text("cluster-config-file", "nodes.conf").no_effect(NO_CLUSTER).at_start(),
    one_of("cluster-config-save-behavior", &["sync", "best-effort"], "sync").no_effect(NO_CLUSTER),
    int("cluster-databases", 1, i32::MAX as i64, "1").no_effect(NO_CLUSTER).at_start(),
    port("cluster-port", "0").no_effect(NO_CLUSTER).at_start(),
    yes_no("cluster-allow-pubsubshard-when-down", "yes").no_effect(NO_CLUSTER),
    yes_no("cluster-allow-reads-when-down", "no").no_effect(NO_CLUSTER),
    yes_no("cluster-allow-replica-migration", "yes").no_effect(NO_CLUSTER),
    port("cluster-announce-bus-port", "0").no_effect(NO_CLUSTER),
    Setting::new("cluster-announce-client-ipv4", Kind::Text(special::ipv4), "").no_effect(NO_CLUSTER),
    Setting::new("cluster-announce-client-ipv6", Kind::Text(special::ipv6), "").no_effect(NO_CLUSTER),
    port("cluster-announce-client-port", "0").no_effect(NO_CLUSTER),
    port("cluster-announce-client-tls-port", "0").no_effect(NO_CLUSTER),
    Setting::new("cluster-announce-hostname", Kind::Text(special::host_name), "").no_effect(NO_CLUSTER),
    Setting::new("cluster-announce-human-nodename", Kind::Text(special::node_name), "").no_effect(NO_CLUSTER),
    Setting::new("cluster-announce-ip", Kind::Text(special::node_address), "").no_effect(NO_CLUSTER),
    port("cluster-announce-port", "0").no_effect(NO_CLUSTER),
    port("cluster-announce-tls-port", "0").no_effect(NO_CLUSTER),
    int("cluster-blacklist-ttl", i64::MIN, i64::MAX, "60").no_effect(NO_CLUSTER),
    int("cluster-compatibility-sample-ratio", 0, 100, "0").no_effect(NO_CLUSTER),
    Setting::new("cluster-link-sendbuf-limit", Kind::Size { min: 0, max: u64::MAX }, "0").no_effect(NO_CLUSTER),
    int("cluster-manual-failover-timeout", 1, i32::MAX as i64, "5000").no_effect(NO_CLUSTER),
    int("cluster-message-gossip-perc", 1, 100, "10").no_effect(NO_CLUSTER).hidden(),
    count("cluster-migration-barrier", "1").no_effect(NO_CLUSTER),
    long("cluster-node-timeout", "15000").no_effect(NO_CLUSTER),
    long("cluster-ping-interval", "0").no_effect(NO_CLUSTER).hidden(),
    one_of("cluster-preferred-endpoint-type", &["ip", "hostname", "unknown-endpoint"], "ip").no_effect(NO_CLUSTER),
    yes_no("cluster-replica-no-failover", "no").also_named(&["cluster-slave-no-failover"]).no_effect(NO_CLUSTER),
    count("cluster-replica-validity-factor", "10").also_named(&["cluster-slave-validity-factor"]).no_effect(NO_CLUSTER),
    yes_no("cluster-require-full-coverage", "yes").no_effect(NO_CLUSTER),
    long("cluster-slot-migration-log-max-len", "1000").no_effect(NO_CLUSTER),
    yes_no("cluster-slot-stats-enabled", "no").no_effect(NO_CLUSTER),
    Setting::new("slot-migration-max-failover-repl-bytes", Kind::SizeOrMinusOne, "0").no_effect(NO_CLUSTER),
];

//! Settings of listening, connections, their limits, and who may do what.

use super::{NO_ACL, NO_MODULES, NO_TLS, ONE_THREAD_PER_SHARD, Setting};
use super::{count, int, long, one_of, port, secret, size, text, yes_no};
use crate::admin::config::value::Kind;
use crate::base::config::Allowed;

const MB: u64 = 1 << 20;

pub(super) const ROWS: &[Setting] = &[
    Setting::new("bind", Kind::Addresses, "* -::*").fill(|c, v| c.bind = v.words()),
    text("bind-source-addr", "").fill(|c, v| c.bind_source_addr = v.string()).no_effect(super::NO_REPLICATION),
    port("port", "6379").fill(|c, v| c.port = v.int()),
    text("unixsocket", "").fill(|c, v| c.unixsocket = v.string()).at_start(),
    Setting::new("unixsocketperm", Kind::Octal, "0").fill(|c, v| c.unixsocketperm = v.octal()).at_start(),
    text("unixsocketgroup", "").fill(|c, v| c.unixsocketgroup = v.string()).at_start(),
    count("tcp-backlog", "511").fill(|c, v| c.tcp_backlog = v.int()).at_start(),
    count("tcp-keepalive", "300").fill(|c, v| c.tcp_keepalive_s = v.int()),
    count("timeout", "0").fill(|c, v| c.timeout_s = v.int()),
    yes_no("protected-mode", "yes").fill(|c, v| c.protected_mode = v.yes()),
    int("socket-mark-id", 0, u32::MAX as i64, "0")
        .fill(|c, v| c.socket_mark_id = v.int())
        .no_effect("sockets carry no mark")
        .at_start(),
    int("maxclients", 1, u32::MAX as i64, "10000").fill(|c, v| c.maxclients = v.int()),
    int("max-new-connections-per-cycle", 1, 1000, "10").no_effect("every waiting connection is accepted at once"),
    int("max-new-tls-connections-per-cycle", 1, 1000, "1").no_effect(NO_TLS),
    yes_no("mptcp", "no").no_effect("connections are plain TCP").at_start(),
    size("proto-max-bulk-len", MB, "512mb").fill(|c, v| c.proto_max_bulk_len = v.size()),
    size("client-query-buffer-limit", MB, "1gb").fill(|c, v| c.client_query_buffer_limit = v.size()),
    Setting::new(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
    )
    .fill(|c, v| c.output_limits = v.limits()),
    Setting::new("maxmemory-clients", Kind::SizeOrPercent, "0").fill(|c, v| c.maxmemory_clients = v.size_or_percent()),
    int("io-threads", 1, 256, "1").no_effect(ONE_THREAD_PER_SHARD),
    yes_no("io-threads-do-reads", "no").no_effect(ONE_THREAD_PER_SHARD).at_start(),
    yes_no("io-threads-always-active", "no").no_effect(ONE_THREAD_PER_SHARD).hidden(),
    count("min-io-threads-avoid-copy-reply", "7").no_effect(ONE_THREAD_PER_SHARD).hidden(),
    count("min-string-size-avoid-copy-reply", "16384").no_effect("large strings are never copied").hidden(),
    count("min-string-size-avoid-copy-reply-threaded", "65536").no_effect("large strings are never copied").hidden(),
    int("prefetch-batch-max-size", 0, 128, "16").no_effect("all commands of a batch are prefetched"),
    secret("requirepass").fill(|c, v| c.requirepass = v.bytes()),
    text("aclfile", "").refused(NO_ACL).at_start(),
    one_of("acl-pubsub-default", &["allchannels", "resetchannels"], "resetchannels").no_effect(NO_ACL),
    long("acllog-max-len", "128").fill(|c, v| c.acllog_max_len = v.int()).no_effect(NO_ACL),
    one_of("enable-debug-command", Allowed::NAMES, "no")
        .fill(|c, v| c.enable_debug_command = v.one(Allowed::named))
        .at_start(),
    one_of("enable-module-command", Allowed::NAMES, "no")
        .fill(|c, v| c.enable_module_command = v.one(Allowed::named))
        .no_effect(NO_MODULES)
        .at_start(),
    one_of("enable-protected-configs", Allowed::NAMES, "no")
        .fill(|c, v| c.enable_protected_configs = v.one(Allowed::named))
        .at_start(),
    long("tracking-table-max-keys", "1000000").fill(|c, v| c.tracking_table_max_keys = v.int()),
];

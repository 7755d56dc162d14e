//! One function per section of INFO: its fields in order. Decides nothing else.
//!
//! Fields about forks are printed as the zeros they are here: dashboards look for them, and this server does not fork.

use super::data::*;
use super::{PINION_VERSION, Page};
use crate::base::version::REDIS_VERSION;
use crate::txn::figures::TxnFigures;
use std::fmt::Write as _;

/// A replication id before there is one.
const NO_REPLID: &str = "0000000000000000000000000000000000000000";

fn or<'a>(text: &'a str, if_empty: &'a str) -> &'a str {
    if text.is_empty() { if_empty } else { text }
}

pub(super) fn server(page: &mut Page, server: &ServerInfo) {
    let mode = if server.cluster { "cluster" } else { "standalone" };
    page.section("Server");
    page.field("redis_version", REDIS_VERSION);
    page.field("server_name", "pinion");
    page.field("pinion_version", PINION_VERSION);
    page.field("redis_git_sha1", or(&server.git_sha1, "00000000"));
    page.flag("redis_git_dirty", server.git_dirty);
    page.field("redis_build_id", or(&server.build_id, "0"));
    page.field("redis_mode", mode);
    page.field("server_mode", mode);
    page.field("os", &server.os);
    page.field("arch_bits", usize::BITS);
    page.field("monotonic_clock", &server.monotonic_clock);
    page.field("multiplexing_api", &server.io_driver);
    // What Redis prints when another compiler built it.
    page.field("gcc_version", "0.0.0");
    page.field("process_id", server.process_id);
    page.field("process_supervised", or(&server.supervised, "no"));
    page.field("run_id", &server.run_id);
    page.field("tcp_port", server.tcp_port);
    page.field("server_time_usec", server.time_us);
    page.field("uptime_in_seconds", server.uptime_s);
    page.field("uptime_in_days", server.uptime_s / (24 * 3600));
    page.field("hz", server.hz);
    page.field("configured_hz", server.hz);
    page.field("clients_hz", server.hz);
    // Seconds modulo 2^24, as Redis keeps them.
    page.field("lru_clock", (server.time_us / 1_000_000) & 0xff_ffff);
    page.field("executable", &server.executable);
    page.field("config_file", &server.config_file);
    page.flag("io_threads_active", false);
    page.field("availability_zone", &server.availability_zone);
    for (i, listener) in server.listeners.iter().enumerate() {
        let mut line = format!("name={}", listener.name);
        for bind in &listener.binds {
            line.push_str(",bind=");
            line.push_str(bind);
        }
        if let Some(port) = listener.port {
            let _ = write!(line, ",port={port}");
        }
        page.field(&format!("listener{i}"), line);
    }
}

pub(super) fn clients(page: &mut Page, clients: &ClientsInfo) {
    page.section("Clients");
    page.field("connected_clients", clients.connected);
    page.field("cluster_connections", clients.cluster_links);
    page.field("maxclients", clients.max);
    page.field("client_recent_max_input_buffer", clients.input_buffer_max);
    page.field("client_recent_max_output_buffer", clients.output_buffer_max);
    page.field("blocked_clients", clients.blocked);
    page.field("tracking_clients", clients.tracking);
    page.field("pubsub_clients", clients.pubsub);
    page.field("watching_clients", clients.watching);
    page.field("clients_in_timeout_table", clients.in_timeout_table);
    page.field("total_watched_keys", clients.watched_keys);
    page.field("total_blocking_keys", clients.blocking_keys);
    page.field("total_blocking_keys_on_nokey", clients.blocking_keys_on_nokey);
    page.field("paused_reason", or(&clients.paused_reason, "none"));
    page.field("paused_actions", or(&clients.paused_actions, "none"));
    page.field("paused_timeout_milliseconds", clients.paused_ms);
}

pub(super) fn memory(page: &mut Page, memory: &MemoryInfo) {
    page.section("Memory");
    page.bytes("used_memory", memory.used);
    page.bytes("used_memory_rss", memory.rss);
    page.bytes("used_memory_peak", memory.peak);
    page.field("used_memory_peak_time", memory.peak_time_s);
    page.percent("used_memory_peak_perc", memory.peak_percent());
    page.field("used_memory_overhead", memory.overhead());
    page.field("used_memory_startup", memory.startup);
    page.field("used_memory_dataset", memory.dataset());
    page.percent("used_memory_dataset_perc", memory.dataset_percent());
    page.field("allocator_allocated", memory.used);
    page.field("allocator_active", memory.allocator_committed);
    page.field("allocator_resident", memory.allocator_committed);
    page.bytes("total_system_memory", memory.system);
    page.field("used_memory_lua", memory.vm_eval);
    page.field("used_memory_vm_eval", memory.vm_eval);
    page.human("used_memory_lua", memory.vm_eval);
    page.field("used_memory_scripts_eval", memory.scripts_eval);
    page.field("number_of_cached_scripts", memory.scripts_count);
    page.field("number_of_functions", memory.functions_count);
    page.field("number_of_libraries", memory.libraries_count);
    page.field("used_memory_vm_functions", memory.vm_functions);
    page.bytes("used_memory_vm_total", memory.vm_total());
    page.field("used_memory_functions", memory.functions);
    page.bytes("used_memory_scripts", memory.scripts());
    page.bytes("maxmemory", memory.max);
    page.field("maxmemory_policy", &memory.policy);
    page.decimal("allocator_frag_ratio", memory.allocator_frag_ratio());
    page.field("allocator_frag_bytes", memory.allocator_committed as i64 - memory.used as i64);
    page.decimal("allocator_rss_ratio", 1.0);
    page.field("allocator_rss_bytes", 0);
    page.decimal("rss_overhead_ratio", memory.rss_overhead_ratio());
    page.field("rss_overhead_bytes", memory.rss as i64 - memory.allocator_committed as i64);
    page.decimal("mem_fragmentation_ratio", memory.fragmentation_ratio());
    page.field("mem_fragmentation_bytes", memory.rss as i64 - memory.used as i64);
    page.field("mem_not_counted_for_evict", memory.not_counted);
    page.field("mem_replication_backlog", memory.replication_backlog);
    page.field("mem_total_replication_buffers", memory.replication_buffers);
    page.field("mem_replica_full_sync_buffer", memory.full_sync_buffer);
    page.field("mem_replicas_repl_buffer", memory.replication_buffers);
    page.field("mem_clients_slaves", memory.clients_replicas);
    page.field("mem_clients_normal", memory.clients_normal);
    page.field("mem_cluster_links", memory.cluster_links);
    page.field("mem_aof_buffer", memory.aof_buffer);
    page.field("mem_allocator", &memory.allocator);
    page.field("mem_tables_overhead", memory.tables_overhead);
    page.field("active_defrag_running", memory.defrag_percent);
    page.field("lazyfree_pending_objects", memory.lazyfree_pending);
    page.field("lazyfreed_objects", memory.lazyfreed);
}

pub(super) fn persistence(page: &mut Page, p: &PersistenceInfo) {
    page.section("Persistence");
    page.flag("loading", p.load.is_some());
    page.flag("async_loading", p.async_loading);
    page.field("current_cow_peak", 0);
    page.field("current_cow_size", 0);
    page.field("current_cow_size_age", 0);
    page.decimal("current_fork_perc", 0.0);
    page.field("current_save_keys_processed", p.save_keys.0);
    page.field("current_save_keys_total", p.save_keys.1);
    page.field("rdb_changes_since_last_save", p.changes_since_save);
    page.flag("rdb_bgsave_in_progress", p.saving);
    page.field("rdb_last_save_time", p.last_save_time_s);
    page.status("rdb_last_bgsave_status", p.last_save_failed);
    page.seconds("rdb_last_bgsave_time_sec", p.last_save_s);
    page.seconds("rdb_current_bgsave_time_sec", p.current_save_s);
    page.field("rdb_saves", p.saves);
    page.field("rdb_last_cow_size", 0);
    page.field("rdb_last_load_keys_expired", p.loaded_keys_expired);
    page.field("rdb_last_load_keys_loaded", p.loaded_keys);
    page.flag("aof_enabled", p.aof_enabled);
    page.flag("aof_rewrite_in_progress", p.aof_rewriting);
    page.flag("aof_rewrite_scheduled", p.aof_rewrite_scheduled);
    page.seconds("aof_last_rewrite_time_sec", p.aof_last_rewrite_s);
    page.seconds("aof_current_rewrite_time_sec", p.aof_current_rewrite_s);
    page.status("aof_last_bgrewrite_status", p.aof_rewrite_failed);
    page.field("aof_rewrites", p.aof_rewrites);
    page.field("aof_rewrites_consecutive_failures", p.aof_rewrite_failures);
    page.status("aof_last_write_status", p.aof_write_failed);
    page.field("aof_last_cow_size", 0);
    page.flag("module_fork_in_progress", false);
    page.field("module_fork_last_cow_size", 0);
    if let Some(aof) = &p.aof {
        page.field("aof_current_size", aof.current_size);
        page.field("aof_base_size", aof.base_size);
        page.flag("aof_pending_rewrite", aof.pending_rewrite);
        page.field("aof_buffer_length", aof.buffer_length);
        page.field("aof_pending_bio_fsync", aof.pending_bio_fsync);
        page.field("aof_delayed_fsync", aof.delayed_fsync);
    }
    if let Some(load) = &p.load {
        page.field("loading_start_time", load.started_s);
        page.field("loading_total_bytes", load.total_bytes);
        page.field("loading_rdb_used_mem", load.used_memory);
        page.field("loading_loaded_bytes", load.loaded_bytes);
        page.decimal("loading_loaded_perc", percent(load.loaded_bytes, load.total_bytes));
        page.field("loading_eta_seconds", load.eta_s);
    }
}

pub(super) fn threads(page: &mut Page, shards: &[ShardInfo]) {
    page.section("Threads");
    for (i, s) in shards.iter().enumerate() {
        page.field(
            &format!("io_thread_{i}"),
            format_args!("clients={},reads={},writes={}", s.clients, s.reads, s.writes),
        );
    }
}

pub(super) fn stats(page: &mut Page, info: &InfoData) {
    let s = &info.stats;
    page.section("Stats");
    page.field("total_connections_received", s.connections);
    page.field("total_commands_processed", s.commands);
    page.field("instantaneous_ops_per_sec", s.ops_per_sec);
    page.field("total_net_input_bytes", s.input_bytes + s.repl_input_bytes);
    page.field("total_net_output_bytes", s.output_bytes + s.repl_output_bytes);
    page.field("total_net_repl_input_bytes", s.repl_input_bytes);
    page.field("total_net_repl_output_bytes", s.repl_output_bytes);
    page.decimal("instantaneous_input_kbps", s.input_kbps + s.repl_input_kbps);
    page.decimal("instantaneous_output_kbps", s.output_kbps + s.repl_output_kbps);
    page.decimal("instantaneous_input_repl_kbps", s.repl_input_kbps);
    page.decimal("instantaneous_output_repl_kbps", s.repl_output_kbps);
    page.field("rejected_connections", s.rejected_connections);
    page.field("sync_full", s.sync_full);
    page.field("sync_partial_ok", s.sync_partial_ok);
    page.field("sync_partial_err", s.sync_partial_err);
    page.field("expired_subkeys", s.expired_fields);
    page.field("expired_keys", s.expired_keys);
    page.field("expired_fields", s.expired_fields);
    page.decimal("expired_stale_perc", s.expired_stale_percent);
    page.field("expired_time_cap_reached_count", s.expire_time_cap_reached);
    page.field("expire_cycle_cpu_milliseconds", s.expire_cycle_ms);
    page.field("evicted_keys", s.evicted_keys);
    page.field("evicted_clients", s.evicted_clients);
    page.field("evicted_scripts", s.evicted_scripts);
    page.field("total_eviction_exceeded_time", s.eviction_exceeded_ms.0);
    page.field("current_eviction_exceeded_time", s.eviction_exceeded_ms.1);
    page.field("keyspace_hits", s.keyspace_hits);
    page.field("keyspace_misses", s.keyspace_misses);
    page.field("pubsub_channels", s.pubsub_channels);
    page.field("pubsub_patterns", s.pubsub_patterns);
    page.field("pubsubshard_channels", s.pubsubshard_channels);
    page.field("latest_fork_usec", 0);
    page.field("total_forks", 0);
    page.field("migrate_cached_sockets", 0);
    page.field("slave_expires_tracked_keys", s.replica_expires_tracked_keys);
    page.field("active_defrag_hits", s.defrag.hits);
    page.field("active_defrag_misses", s.defrag.misses);
    page.field("active_defrag_key_hits", s.defrag.key_hits);
    page.field("active_defrag_key_misses", s.defrag.key_misses);
    page.field("total_active_defrag_time", s.defrag.ms);
    page.field("current_active_defrag_time", s.defrag.current_ms);
    page.field("tracking_total_keys", s.tracking_keys);
    page.field("tracking_total_items", s.tracking_items);
    page.field("tracking_total_prefixes", s.tracking_prefixes);
    page.field("unexpected_error_replies", s.unexpected_errors);
    page.field("total_error_replies", s.errors);
    // looked through beyond what every payload is, which no setting asks for here
    page.field("dump_payload_sanitizations", 0);
    page.field("total_reads_processed", s.reads);
    page.field("total_writes_processed", s.writes);
    // each shard does its own
    page.field("io_threaded_reads_processed", 0);
    page.field("io_threaded_writes_processed", 0);
    page.field("client_query_buffer_limit_disconnections", s.query_buffer_disconnections);
    page.field("client_output_buffer_limit_disconnections", s.output_buffer_disconnections);
    page.field("eventloop_cycles", info.shards.iter().map(|s| s.ticks.0).sum::<u64>());
    page.field("eventloop_duration_sum", s.tick_us);
    page.field("eventloop_duration_cmd_sum", s.command_us);
    page.field("instantaneous_eventloop_cycles_per_sec", s.ticks_per_sec);
    page.field("instantaneous_eventloop_duration_usec", s.tick_us_mean);
    page.field("acl_access_denied_auth", s.acl_denied_auth);
    page.field("acl_access_denied_cmd", s.acl_denied_cmd);
    page.field("acl_access_denied_key", s.acl_denied_key);
    page.field("acl_access_denied_channel", s.acl_denied_channel);
    page.field("acl_access_denied_db", s.acl_denied_db);
}

pub(super) fn replication(page: &mut Page, r: &ReplicationInfo) {
    page.section("Replication");
    page.field("role", if r.primary.is_some() { "slave" } else { "master" });
    if let Some(primary) = &r.primary {
        page.field("master_host", &primary.host);
        page.field("master_port", primary.port);
        page.field("master_link_status", if primary.up { "up" } else { "down" });
        page.seconds("master_last_io_seconds_ago", primary.last_io_s);
        page.flag("master_sync_in_progress", primary.syncing);
        page.field("slave_read_repl_offset", primary.read_offset);
        page.field("slave_repl_offset", primary.offset);
        page.field("slave_priority", primary.priority);
        page.flag("slave_read_only", primary.read_only);
        page.flag("replica_announced", primary.announced);
    }
    page.field("connected_slaves", r.replicas.len());
    for (i, replica) in r.replicas.iter().enumerate() {
        let ReplicaInfo { ip, port, state, offset, lag_s } = replica;
        let line = format!("ip={ip},port={port},state={state},offset={offset},lag={lag_s}");
        page.field(&format!("slave{i}"), line);
    }
    page.field("replicas_waiting_psync", r.waiting_psync);
    page.field("master_failover_state", or(&r.failover_state, "no-failover"));
    page.field("master_replid", or(&r.replid, NO_REPLID));
    page.field("master_replid2", or(&r.replid2, NO_REPLID));
    page.field("master_repl_offset", r.offset);
    page.seconds("second_repl_offset", r.second_offset);
    page.flag("repl_backlog_active", r.backlog_active);
    page.field("repl_backlog_size", r.backlog_size);
    page.field("repl_backlog_first_byte_offset", r.backlog_first);
    page.field("repl_backlog_histlen", r.backlog_len);
}

pub(super) fn cpu(page: &mut Page, cpu: &CpuInfo) {
    page.section("CPU");
    let times = [("", cpu.process), ("_children", cpu.children), ("_main_thread", cpu.shards)];
    for (suffix, time) in times {
        for (kind, us) in [("sys", time.sys_us), ("user", time.user_us)] {
            page.field(&format!("used_cpu_{kind}{suffix}"), format_args!("{}.{:06}", us / 1_000_000, us % 1_000_000));
        }
    }
}

pub(super) fn commandstats(page: &mut Page, commands: &[CommandStats]) {
    page.section("Commandstats");
    for c in commands {
        page.field(
            &format!("cmdstat_{}", c.name),
            format_args!(
                "calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                c.calls,
                c.usec,
                ratio(c.usec, c.calls),
                c.rejected,
                c.failed
            ),
        );
    }
}

pub(super) fn errorstats(page: &mut Page, errors: &[ErrorStats]) {
    page.section("Errorstats");
    for e in errors {
        page.field(&format!("errorstat_{}", e.code), format_args!("count={}", e.count));
    }
}

pub(super) fn latencystats(page: &mut Page, latencies: &[LatencyStats]) {
    page.section("Latencystats");
    for l in latencies {
        let line: Vec<String> = l.percentiles.iter().map(|(p, us)| format!("p{p}={us:.3}")).collect();
        page.field(&format!("latency_percentiles_usec_{}", l.name), line.join(","));
    }
}

pub(super) fn cluster(page: &mut Page, cluster: &ClusterInfo) {
    page.section("Cluster");
    page.flag("cluster_enabled", cluster.enabled);
}

pub(super) fn shards(page: &mut Page, server: &ServerInfo, shards: &[ShardInfo]) {
    page.section("Shards");
    page.field("shards", shards.len());
    page.field("io_driver", &server.io_driver);
    let sum = |field: fn(&TxnFigures) -> u64| shards.iter().map(|s| field(&s.txn)).sum::<u64>();
    page.field("transactions", sum(|t| t.stats.started));
    page.field("transaction_retries", sum(|t| t.stats.refused));
    let worst = shards.iter().map(|s| s.txn.stats.refusals_max).max();
    page.field("transaction_retries_max", worst.unwrap_or(0));
    page.field("transaction_priorities", sum(|t| t.stats.priority));
    page.field("transaction_barriers", sum(|t| t.stats.barriers));
    page.field("transaction_oldest_ms", shards.iter().map(|s| s.txn.oldest_ms).max().unwrap_or(0));
    page.field("locks_held", sum(|t| t.locks_held));
    page.field("locks_waiting", sum(|t| t.locks_waiting));
    page.field("snapshot_written_first", sum(|t| t.stats.written_first));
    page.field("copied_in_steps", sum(|t| t.stats.copied_in_steps));
    for (i, s) in shards.iter().enumerate() {
        let cpu = s.cpu.map_or("any".to_owned(), |cpu| cpu.to_string());
        let line = format!(
            "slots={}-{},cpu={cpu},keys={},expires={},bytes={},clients={},ops={},ops_per_sec={},cpu_user_us={},\
             cpu_sys_us={},hops_in={},hops_out={},queue={},queue_max={},ticks={},tick_us_max={},spins={},sleeps={}",
            s.slots.0,
            s.slots.1.saturating_sub(1),
            s.keys,
            s.expires,
            s.bytes,
            s.clients,
            s.ops,
            s.ops_per_sec,
            s.time.user_us,
            s.time.sys_us,
            s.hops_in,
            s.hops_out,
            s.queue,
            s.queue_max,
            s.ticks.0,
            s.ticks.1,
            s.spins,
            s.sleeps,
        );
        page.field(&format!("shard{i}"), line);
    }
}

pub(super) fn keyspace(page: &mut Page, keyspace: &[KeyspaceInfo]) {
    page.section("Keyspace");
    for (i, db) in keyspace.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let KeyspaceInfo { keys, expires, avg_ttl_ms, subexpiry } = db;
        let line = format!("keys={keys},expires={expires},avg_ttl={avg_ttl_ms},subexpiry={subexpiry}");
        page.field(&format!("db{i}"), line);
    }
}

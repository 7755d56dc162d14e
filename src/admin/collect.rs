//! Gathers the figures behind INFO, MEMORY and LATENCY: each core's own, then all of them as the data those replies are
//! rendered from.

use crate::admin::info::data::{
    AofInfo, ClientsInfo, CommandStats, ErrorStats, InfoData, KeyspaceInfo, LatencyStats, ListenerInfo, MemoryInfo,
    PersistenceInfo, ServerInfo, ShardInfo, StatsInfo,
};
use crate::admin::metrics;
use crate::admin::state::AdminState;
use crate::base::clock;
use crate::base::config::EvictionPolicy;
use crate::base::hash;
use crate::base::stats::Histogram;
use crate::commands::table::CommandId;
use crate::net::connection::Conn;
use crate::net::shared::CommandCounters;
use crate::net::worker::{Pause, Worker};
use crate::runtime::{alloc, usage};
use crate::txn::figures::Figures;
use crate::txn::message::Answer;
use crate::txn::news::ChannelKind;
use crate::txn::router::slots_of;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What this core says of itself; `asker` is the connection whose command runs, if it is of this core.
pub fn figures(worker: &Worker, asker: Option<&Conn>, histograms: bool) -> Figures {
    let shard = &worker.router.shard;
    let databases = (0..shard.tables.len())
        .map(|db| {
            let hashes = shard.field_expiry.hashes(db) as u64;
            (shard.len(db) as u64, shard.expiring(db) as u64, shard.avg_ttl_ms(db), hashes)
        })
        .collect();
    let conns = || worker.conns().chain(asker);
    let driver = worker.driver.statistics();
    Figures {
        databases,
        table_bytes: shard.memory() as u64,
        table_overhead: shard.overhead() as u64,
        client_bytes: conns().map(|c| c.memory_bytes() as u64).sum(),
        input_bytes_max: conns().map(|c| c.input.capacity() as u64).max().unwrap_or(0),
        output_bytes_max: conns().map(|c| c.output_bytes() as u64).max().unwrap_or(0),
        stats: shard.stats.clone(),
        dirty: shard.dirty,
        lazy_pending: shard.lazy.pending_objects(),
        lazy_freed: shard.lazy.freed_objects,
        exceeded_ms: worker.memory.exceeded_ms(worker.clock.unix_ms()),
        clients: conns().count() as u64,
        blocked_clients: (worker.router.blocked_clients() + worker.aof_waits.len() + worker.postponed_clients()) as u64,
        blocking_keys: worker.router.blocking_keys() as u64,
        losable_keys: worker.router.losable_keys() as u64,
        timed_waits: (worker.router.timed_waits() + worker.timed_aof_waits()) as u64,
        time: usage::thread(),
        queue: worker.router.mesh.inbound_len() as u64,
        spins: driver.spins,
        sleeps: driver.sleeps,
        errors: worker.error_counts.iter().map(|(code, n)| (code.to_string(), *n)).collect(),
        histograms: if histograms { own_histograms(worker) } else { Vec::new() },
        tracking_clients: worker.tracking.clients.len() as u64,
        tracking: worker.tracking.len(),
        tracking_prefixes: worker.tracking.prefix_count(),
        pubsub_clients: worker.book.clients,
        channels: ChannelKind::ALL.map(|kind| worker.book.names(kind).map(hash::hash).collect()),
        txn: worker.router.txn_figures(),
        watching: conns().filter(|c| !c.session.watched.is_empty()).count() as u64,
        stale_percent: shard.expired_stale_percent(),
        loading: worker.refuses_for_loading(),
    }
}

fn own_histograms(worker: &Worker) -> Vec<(CommandId, Histogram)> {
    let table = &worker.router.table;
    let known = table.iter().filter_map(|(id, _)| Some((id, (**worker.histograms[id.index()].as_ref()?).clone())));
    known.collect()
}

/// The figures among the answers, by core.
pub fn from_answers(answers: Vec<Answer>) -> Vec<Figures> {
    answers.into_iter().filter_map(|a| if let Answer::Figures(f) = a { Some(*f) } else { None }).collect()
}

/// Histograms of all cores, by command.
pub fn merged_histograms(figures: &mut [Figures]) -> BTreeMap<u16, Histogram> {
    let mut merged: BTreeMap<u16, Histogram> = BTreeMap::new();
    for (id, histogram) in figures.iter_mut().flat_map(|f| std::mem::take(&mut f.histograms)) {
        merged.entry(id.0).or_default().merge(&histogram);
    }
    merged
}

/// Everything INFO shows.
pub fn info(worker: &Worker, state: &AdminState, mut figures: Vec<Figures>, commands: bool) -> InfoData {
    let histograms = merged_histograms(&mut figures);
    let keyspace = keyspace(&figures);
    let mut info = InfoData {
        server: server(worker, state),
        clients: clients(worker, &figures),
        memory: memory(worker, state, &figures),
        stats: stats(worker, state, &figures),
        cpu: metrics::cpu(figures.iter().map(|f| f.time)),
        errors: errors(&figures),
        latencies: latencies(worker, &histograms),
        shards: shards(worker, state, &figures),
        keyspace,
        ..InfoData::default()
    };
    let now_ms = worker.clock.unix_ms();
    info.persistence.load = figures.iter().any(|core| core.loading).then(|| worker.shared.loading.figures(now_ms));
    (info.persistence.loaded_keys, info.persistence.loaded_keys_expired) = worker.shared.loading.counted();
    info.persistence.changes_since_save = figures.iter().map(|f| f.dirty).sum();
    log_figures(worker, &mut info.persistence);
    let saves = state.saves().figures(worker.clock.unix_ms());
    info.persistence.saving = saves.saving;
    info.persistence.save_keys = saves.keys;
    info.persistence.last_save_time_s = saves.last_save_s;
    info.persistence.last_save_failed = saves.last_failed;
    info.persistence.last_save_s = saves.last_took_s;
    info.persistence.current_save_s = saves.current_s;
    info.persistence.saves = saves.saves;
    info.persistence.aof_rewriting = saves.rewriting;
    info.persistence.aof_rewrite_scheduled = saves.rewrite_scheduled;
    info.persistence.aof_last_rewrite_s = saves.rewrite_took_s;
    info.persistence.aof_current_rewrite_s = saves.rewrite_current_s;
    info.persistence.aof_rewrite_failed = saves.rewrite_failed;
    info.persistence.aof_rewrites = saves.rewrites;
    info.persistence.aof_rewrite_failures = saves.rewrite_failures;
    info.replication.replid = state.replication_id();
    info.replication.backlog_size = 10 * 1024 * 1024;
    if commands {
        info.commands = command_stats(worker);
    }
    info
}

fn log_figures(worker: &Worker, info: &mut PersistenceInfo) {
    let shared = &worker.shared;
    info.aof_enabled = worker.config.appendonly;
    info.aof_write_failed = shared.log_error.load(Ordering::Relaxed) != 0;
    info.aof = worker.config.appendonly.then(|| AofInfo {
        current_size: shared.log_base_bytes.load(Ordering::Relaxed) + shared.total(|core| &core.log_bytes),
        base_size: shared.log_base_bytes.load(Ordering::Relaxed),
        pending_rewrite: false,
        buffer_length: shared.total(|core| &core.log_waiting),
        pending_bio_fsync: shared.total(|core| &core.log_syncing),
        delayed_fsync: 0,
    });
}

/// Keys of each database, summed over the shards.
pub fn keyspace(figures: &[Figures]) -> Vec<KeyspaceInfo> {
    let databases = figures.iter().map(|f| f.databases.len()).max().unwrap_or(0);
    let sum = |db: usize| {
        let mut info = KeyspaceInfo::default();
        let mut ttl = 0u128;
        for (keys, expires, avg_ttl_ms, hashes) in figures.iter().filter_map(|f| f.databases.get(db)) {
            info.keys += keys;
            info.expires += expires;
            info.subexpiry += hashes;
            ttl += u128::from(*expires) * u128::from(*avg_ttl_ms);
        }
        info.avg_ttl_ms = (ttl / u128::from(info.expires.max(1))) as u64;
        info
    };
    (0..databases).map(sum).collect()
}

fn server(worker: &Worker, state: &AdminState) -> ServerInfo {
    let config = &worker.config;
    let process = state.process();
    let now_us = worker.clock.unix_us();
    let mut listeners = Vec::new();
    if config.port != 0 {
        listeners.push(ListenerInfo { name: "tcp".to_string(), binds: config.bind.clone(), port: Some(config.port) });
    }
    if !config.unixsocket.is_empty() {
        listeners.push(ListenerInfo { name: "unix".to_string(), binds: vec![config.unixsocket.clone()], port: None });
    }
    ServerInfo {
        os: process.os.clone(),
        monotonic_clock: "TSC or CLOCK_MONOTONIC".to_string(),
        io_driver: worker.shared.driver.to_string(),
        process_id: process.id,
        supervised: process.supervised.clone(),
        run_id: worker.shared.run_id.clone(),
        tcp_port: config.port,
        time_us: now_us,
        uptime_s: (now_us / 1000).saturating_sub(worker.shared.started_ms) / 1000,
        hz: config.hz,
        executable: process.executable.clone(),
        config_file: state.store().file.as_ref().map(|f| f.display().to_string()).unwrap_or_default(),
        availability_zone: config.availability_zone.clone(),
        listeners,
        ..ServerInfo::default()
    }
}

fn clients(worker: &Worker, figures: &[Figures]) -> ClientsInfo {
    let max = |of: fn(&Figures) -> u64| figures.iter().map(of).max().unwrap_or(0);
    let until = worker.shared.pause_until_ms.load(Ordering::Relaxed);
    let actions = match worker.pause {
        Pause::No => "none",
        Pause::Writes => "write",
        Pause::All => "all",
    };
    ClientsInfo {
        connected: figures.iter().map(|f| f.clients).sum(),
        max: u64::from(worker.config.maxclients),
        tracking: figures.iter().map(|f| f.tracking_clients).sum(),
        pubsub: figures.iter().map(|f| f.pubsub_clients).sum(),
        watching: figures.iter().map(|f| f.watching).sum(),
        watched_keys: figures.iter().map(|f| f.txn.watched_keys).sum(),
        blocked: figures.iter().map(|f| f.blocked_clients).sum(),
        blocking_keys: figures.iter().map(|f| f.blocking_keys).sum(),
        blocking_keys_on_nokey: figures.iter().map(|f| f.losable_keys).sum(),
        in_timeout_table: figures.iter().map(|f| f.timed_waits).sum(),
        input_buffer_max: max(|f| f.input_bytes_max),
        output_buffer_max: max(|f| f.output_bytes_max),
        paused_reason: if worker.pause == Pause::No { "none" } else { "client_pause" }.to_string(),
        paused_actions: actions.to_string(),
        paused_ms: if worker.pause == Pause::No { 0 } else { until.saturating_sub(worker.clock.unix_ms()) },
        ..ClientsInfo::default()
    }
}

/// What INFO memory and MEMORY show.
pub fn memory(worker: &Worker, state: &AdminState, figures: &[Figures]) -> MemoryInfo {
    let log_held = worker.shared.total(|core| &core.log_held);
    let mut memory = MemoryInfo {
        max: worker.config.maxmemory,
        policy: policy_name(worker.config.maxmemory_policy).to_string(),
        tables_overhead: figures.iter().map(|f| f.table_overhead).sum(),
        aof_buffer: log_held,
        not_counted: log_held,
        clients_normal: figures.iter().map(|f| f.client_bytes).sum(),
        lazyfree_pending: figures.iter().map(|f| f.lazy_pending).sum(),
        defrag_percent: worker.shared.cores.iter().map(|core| core.defrag_percent.get()).max().unwrap_or(0),
        lazyfreed: figures.iter().map(|f| f.lazy_freed).sum(),
        allocator: alloc::name(),
        ..MemoryInfo::default()
    };
    state.memory().fill(worker.clock.unix_ms() / 1000, state.process(), &mut memory);
    // What counts against the limit: room that tables keep is not in use.
    memory.used = memory.used.saturating_sub(worker.shared.idle_bytes(worker.config.maxmemory));
    memory
}

fn policy_name(policy: EvictionPolicy) -> &'static str {
    match policy {
        EvictionPolicy::VolatileLru => "volatile-lru",
        EvictionPolicy::VolatileLfu => "volatile-lfu",
        EvictionPolicy::VolatileRandom => "volatile-random",
        EvictionPolicy::VolatileTtl => "volatile-ttl",
        EvictionPolicy::AllkeysLru => "allkeys-lru",
        EvictionPolicy::AllkeysLfu => "allkeys-lfu",
        EvictionPolicy::AllkeysRandom => "allkeys-random",
        EvictionPolicy::Noeviction => "noeviction",
    }
}

fn stats(worker: &Worker, state: &AdminState, figures: &[Figures]) -> StatsInfo {
    let shared = &worker.shared;
    let rates = state.rates();
    let shard = |of: fn(&Figures) -> u64| figures.iter().map(of).sum();
    let command_ticks = worker.router.table.iter().map(|(id, _)| shared.command_total(id)[1]).sum();
    let ticks_per_sec = rates.ticks.per_second();
    StatsInfo {
        connections: shared.total(|c| &c.accepted),
        commands: shared.total(|c| &c.commands),
        ops_per_sec: rates.ops.iter().map(|r| r.per_second()).sum(),
        input_bytes: shared.total(|c| &c.bytes_in),
        output_bytes: shared.total(|c| &c.bytes_out),
        input_kbps: rates.input.per_second() as f64 / 1024.0,
        output_kbps: rates.output.per_second() as f64 / 1024.0,
        rejected_connections: shared.total(|c| &c.refused),
        expired_keys: shard(|f| f.stats.expired),
        expired_fields: shard(|f| f.stats.expired_fields),
        expire_time_cap_reached: shard(|f| f.stats.expire_capped),
        expire_cycle_ms: clock::ticks_to_us(shared.total(|c| &c.expire_ticks)) / 1000,
        evicted_keys: shard(|f| f.stats.evicted),
        evicted_clients: shared.total(|c| &c.evicted_clients),
        defrag: shared.defrag_figures(),
        eviction_exceeded_ms: (
            figures.iter().map(|f| f.exceeded_ms.0).max().unwrap_or(0),
            figures.iter().map(|f| f.exceeded_ms.1).max().unwrap_or(0),
        ),
        expired_stale_percent: figures.iter().map(|f| f.stale_percent).fold(0.0, f64::max),
        keyspace_hits: shard(|f| f.stats.hits),
        keyspace_misses: shard(|f| f.stats.misses),
        tracking_keys: shard(|f| f.tracking.0),
        tracking_items: shard(|f| f.tracking.1),
        tracking_prefixes: figures.iter().map(|f| f.tracking_prefixes).max().unwrap_or(0),
        pubsub_channels: distinct(figures, ChannelKind::Channel),
        pubsub_patterns: distinct(figures, ChannelKind::Pattern),
        pubsubshard_channels: distinct(figures, ChannelKind::Shard),
        errors: shared.total(|c| &c.errors),
        reads: shared.total(|c| &c.reads),
        writes: shared.total(|c| &c.writes),
        query_buffer_disconnections: shared.total(|c| &c.query_limit_closed),
        output_buffer_disconnections: shared.total(|c| &c.output_limit_closed),
        tick_us: clock::ticks_to_us(shared.total(|c| &c.tick_total)),
        command_us: clock::ticks_to_us(command_ticks),
        ticks_per_sec,
        tick_us_mean: rates.tick_us.per_second().checked_div(ticks_per_sec).unwrap_or(0),
        acl_denied_auth: shared.total(|c| &c.denied),
        ..StatsInfo::default()
    }
}

/// Channels or patterns that some core has a subscriber of.
fn distinct(figures: &[Figures], kind: ChannelKind) -> u64 {
    let mut hashes: Vec<u64> = figures.iter().flat_map(|f| &f.channels[kind as usize]).copied().collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.len() as u64
}

fn errors(figures: &[Figures]) -> Vec<ErrorStats> {
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in figures.iter().flat_map(|f| &f.errors) {
        *sum.entry(code).or_default() += count;
    }
    sum.into_iter().map(|(code, count)| ErrorStats { code: code.to_string(), count }).collect()
}

fn latencies(worker: &Worker, histograms: &BTreeMap<u16, Histogram>) -> Vec<LatencyStats> {
    let percents = &worker.config.latency_tracking_info_percentiles;
    let of = |(id, histogram): (&u16, &Histogram)| LatencyStats {
        name: worker.router.table.get(CommandId(*id)).name.to_string(),
        percentiles: percents.iter().map(|p| (*p, histogram.percentile(*p) as f64 / 1000.0)).collect(),
    };
    histograms.iter().map(of).collect()
}

fn command_stats(worker: &Worker) -> Vec<CommandStats> {
    let table = &worker.router.table;
    let all = table.iter().map(|(id, spec)| {
        let [calls, ticks, rejected, failed] = worker.shared.command_total(id);
        CommandStats { name: spec.name.to_string(), calls, usec: clock::ticks_to_us(ticks), rejected, failed }
    });
    all.filter(|c| c.calls + c.rejected > 0).collect()
}

fn shards(worker: &Worker, state: &AdminState, figures: &[Figures]) -> Vec<ShardInfo> {
    let rates = state.rates();
    let shard = |(core, f): (usize, &Figures)| {
        let counters = &worker.shared.cores[core];
        let slots = slots_of(core, figures.len());
        ShardInfo {
            slots: (slots.start, slots.end),
            cpu: None,
            keys: f.databases.iter().map(|d| d.0).sum(),
            expires: f.databases.iter().map(|d| d.1).sum(),
            bytes: f.table_bytes,
            clients: f.clients,
            ops: counters.commands.get(),
            ops_per_sec: rates.ops.get(core).map_or(0, |r| r.per_second()),
            reads: counters.reads.get(),
            writes: counters.writes.get(),
            time: f.time,
            hops_in: counters.hops_in.get(),
            hops_out: counters.hops_out.get(),
            queue: f.queue,
            queue_max: counters.queue_max.get(),
            txn: f.txn.clone(),
            ticks: (counters.ticks.get(), clock::ticks_to_us(counters.tick_max.get())),
            spins: f.spins,
            sleeps: f.sleeps,
        }
    };
    figures.iter().enumerate().map(shard).collect()
}

/// `CONFIG RESETSTAT` on this core.
pub fn reset(worker: &mut Worker) {
    worker.router.txn_stats = Default::default();
    let counters = worker.counters();
    let plain = [
        &counters.commands,
        &counters.bytes_in,
        &counters.bytes_out,
        &counters.accepted,
        &counters.refused,
        &counters.output_limit_closed,
        &counters.query_limit_closed,
        &counters.errors,
        &counters.evicted_clients,
        &counters.defrag_hits,
        &counters.defrag_misses,
        &counters.defrag_key_hits,
        &counters.defrag_key_misses,
        &counters.defrag_ms,
        &counters.denied,
        &counters.ticks,
        &counters.tick_total,
        &counters.tick_max,
        &counters.expire_ticks,
        &counters.reads,
        &counters.writes,
    ];
    plain.iter().for_each(|c| c.set(0));
    worker.router.shard.lazy.freed_objects = 0;
    let counters = worker.counters();
    for CommandCounters { calls, ticks, rejected, failed } in &counters.by_command {
        [calls, ticks, rejected, failed].iter().for_each(|c| c.set(0));
    }
    worker.histograms.iter_mut().for_each(|h| *h = None);
    worker.error_counts.clear();
    worker.router.shard.stats = Default::default();
}

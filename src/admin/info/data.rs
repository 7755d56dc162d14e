//! What INFO and MEMORY print, as plain numbers and texts that the server hands in. Computes nothing but what follows
//! from other fields here; `Default` is a server that has just started.

use crate::runtime::usage::CpuTime;
use crate::txn::{figures::TxnFigures, loading::LoadFigures};

/// Everything at once.
#[derive(Debug, Clone, Default)]
pub struct InfoData {
    /// `# Server`.
    pub server: ServerInfo,
    /// `# Clients`.
    pub clients: ClientsInfo,
    /// `# Memory`.
    pub memory: MemoryInfo,
    /// `# Persistence`.
    pub persistence: PersistenceInfo,
    /// `# Stats`.
    pub stats: StatsInfo,
    /// `# Replication`.
    pub replication: ReplicationInfo,
    /// `# CPU`.
    pub cpu: CpuInfo,
    /// `# Commandstats`: commands that were called or refused at least once.
    pub commands: Vec<CommandStats>,
    /// `# Errorstats`.
    pub errors: Vec<ErrorStats>,
    /// `# Latencystats`: commands that were called at least once.
    pub latencies: Vec<LatencyStats>,
    /// `# Cluster`.
    pub cluster: ClusterInfo,
    /// `# Keyspace`: one per database, empty ones included.
    pub keyspace: Vec<KeyspaceInfo>,
    /// `# Shards` and `# Threads`: one per shard.
    pub shards: Vec<ShardInfo>,
}

/// The process and its build.
#[derive(Debug, Clone, Default)]
pub struct ServerInfo {
    /// `git describe`-like hash of the build, 8 hex digits; empty prints zeros.
    pub git_sha1: String,
    /// Whether the build's tree had changes.
    pub git_dirty: bool,
    /// Identifies the build, hexadecimal.
    pub build_id: String,
    /// Whether `cluster-enabled` is on.
    pub cluster: bool,
    /// As `uname -srm` prints it.
    pub os: String,
    /// What the clock reads.
    pub monotonic_clock: String,
    /// `io_uring` or `epoll`.
    pub io_driver: String,
    /// Process id.
    pub process_id: u32,
    /// `no`, `systemd`, `upstart` or `unknown`.
    pub supervised: String,
    /// 40 hexadecimal digits drawn at the start.
    pub run_id: String,
    /// `port`.
    pub tcp_port: u16,
    /// Unix time, microseconds.
    pub time_us: u64,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// `hz`.
    pub hz: u32,
    /// Path of the executable.
    pub executable: String,
    /// Path of the configuration file; empty without one.
    pub config_file: String,
    /// `availability-zone`.
    pub availability_zone: String,
    /// Open listening sockets.
    pub listeners: Vec<ListenerInfo>,
}

/// One `listenerN` line.
#[derive(Debug, Clone, Default)]
pub struct ListenerInfo {
    /// `tcp`, `tls` or `unix`.
    pub name: String,
    /// Addresses as configured, or the socket's path.
    pub binds: Vec<String>,
    /// TCP port; `None` for a unix socket.
    pub port: Option<u16>,
}

/// Connections.
#[derive(Debug, Clone, Default)]
pub struct ClientsInfo {
    /// Ordinary and pub/sub clients now.
    pub connected: u64,
    /// Links to other nodes.
    pub cluster_links: u64,
    /// `maxclients`.
    pub max: u64,
    /// Largest query buffer now, bytes.
    pub input_buffer_max: u64,
    /// Largest reply buffer now, bytes.
    pub output_buffer_max: u64,
    /// Clients in BLPOP, WAIT and the like.
    pub blocked: u64,
    /// Clients with CLIENT TRACKING.
    pub tracking: u64,
    /// Clients with a subscription.
    pub pubsub: u64,
    /// Clients that watch a key.
    pub watching: u64,
    /// Blocked clients with a timeout.
    pub in_timeout_table: u64,
    /// Watched keys.
    pub watched_keys: u64,
    /// Keys that clients are blocked on.
    pub blocking_keys: u64,
    /// Those of them whose deletion wakes the client.
    pub blocking_keys_on_nokey: u64,
    /// Why clients are paused: `none`, `client_pause` ...; empty prints `none`.
    pub paused_reason: String,
    /// What is paused: `none`, `write`, `all`; empty prints `none`.
    pub paused_actions: String,
    /// How long still, milliseconds.
    pub paused_ms: u64,
}

/// Memory, bytes unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub struct MemoryInfo {
    /// Allocated and not freed.
    pub used: u64,
    /// Resident set of the process.
    pub rss: u64,
    /// Largest `used` so far.
    pub peak: u64,
    /// Unix time in seconds when that was.
    pub peak_time_s: u64,
    /// `used` at the end of the start.
    pub startup: u64,
    /// Tables' index and entry headers: what keys cost beyond their own bytes.
    pub tables_overhead: u64,
    /// Pages the allocator holds from the system.
    pub allocator_committed: u64,
    /// Physical memory of the machine.
    pub system: u64,
    /// `maxmemory`.
    pub max: u64,
    /// `maxmemory-policy` as it is written.
    pub policy: String,
    /// Not counted against `maxmemory`: replication and AOF buffers.
    pub not_counted: u64,
    /// Replication backlog.
    pub replication_backlog: u64,
    /// Buffers of all replicas.
    pub replication_buffers: u64,
    /// Buffer of a full synchronisation under way.
    pub full_sync_buffer: u64,
    /// Buffers of replicas' connections.
    pub clients_replicas: u64,
    /// Buffers of ordinary connections.
    pub clients_normal: u64,
    /// Buffers of links to other nodes.
    pub cluster_links: u64,
    /// Journal bytes not yet written.
    pub aof_buffer: u64,
    /// Lua interpreters for EVAL.
    pub vm_eval: u64,
    /// Lua interpreters for functions.
    pub vm_functions: u64,
    /// Cached scripts.
    pub scripts_eval: u64,
    /// Loaded functions.
    pub functions: u64,
    /// Cached scripts, count.
    pub scripts_count: u64,
    /// Loaded functions, count.
    pub functions_count: u64,
    /// Loaded libraries, count.
    pub libraries_count: u64,
    /// Name and version of the allocator.
    pub allocator: String,
    /// Values waiting to be freed off the hot path, count.
    pub lazyfree_pending: u64,
    /// Values freed so, count.
    pub lazyfreed: u64,
    /// Most of a core's time that is spent on moving blocks together, percent.
    pub defrag_percent: u64,
}

impl MemoryInfo {
    /// What is not the users' data.
    pub fn overhead(&self) -> u64 {
        self.startup
            + self.tables_overhead
            + self.replication_backlog
            + self.clients_replicas
            + self.clients_normal
            + self.cluster_links
            + self.aof_buffer
            + self.vm_total()
            + self.scripts()
    }

    /// The users' data.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// The dataset's part of what was allocated since the start, percent.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// `used` as percent of `peak`.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// All Lua interpreters.
    pub fn vm_total(&self) -> u64 {
        self.vm_eval + self.vm_functions
    }

    /// Cached scripts and functions.
    pub fn scripts(&self) -> u64 {
        self.scripts_eval + self.functions
    }

    /// What the allocator holds for each byte in use.
    pub fn allocator_frag_ratio(&self) -> f64 {
        ratio(self.allocator_committed, self.used)
    }

    /// What the process holds for each byte the allocator does.
    pub fn rss_overhead_ratio(&self) -> f64 {
        ratio(self.rss, self.allocator_committed)
    }

    /// What the process holds for each byte in use.
    pub fn fragmentation_ratio(&self) -> f64 {
        ratio(self.rss, self.used)
    }
}

/// `a / b`; 0 where `b` is.
pub(crate) fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

/// `a` as percent of `b`; 0 where `b` is.
pub(crate) fn percent(a: u64, b: u64) -> f64 {
    100.0 * ratio(a, b)
}

/// Snapshots and the append-only file. Until there are any, all is zero and well.
#[derive(Debug, Clone, Default)]
pub struct PersistenceInfo {
    /// How far the data set that is being loaded has come.
    pub load: Option<LoadFigures>,
    /// A replica loads while it serves its old data.
    pub async_loading: bool,
    /// Keys written by the snapshot under way, and how many there are.
    pub save_keys: (u64, u64),
    /// Writes since the last save.
    pub changes_since_save: u64,
    /// A snapshot is under way.
    pub saving: bool,
    /// Unix time of the last save (of the start, before the first), seconds.
    pub last_save_time_s: u64,
    /// The last snapshot failed.
    pub last_save_failed: bool,
    /// Duration of the last snapshot, seconds.
    pub last_save_s: Option<u64>,
    /// Duration of the one under way, seconds.
    pub current_save_s: Option<u64>,
    /// Snapshots since the start.
    pub saves: u64,
    /// Keys that had expired when the last data set was loaded.
    pub loaded_keys_expired: u64,
    /// Keys loaded.
    pub loaded_keys: u64,
    /// `appendonly`.
    pub aof_enabled: bool,
    /// A rewrite is under way.
    pub aof_rewriting: bool,
    /// A rewrite waits for a snapshot to end.
    pub aof_rewrite_scheduled: bool,
    /// Duration of the last rewrite, seconds.
    pub aof_last_rewrite_s: Option<u64>,
    /// Duration of the one under way, seconds.
    pub aof_current_rewrite_s: Option<u64>,
    /// The last rewrite failed.
    pub aof_rewrite_failed: bool,
    /// Rewrites since the start.
    pub aof_rewrites: u64,
    /// Failures in a row.
    pub aof_rewrite_failures: u64,
    /// The last write or sync failed.
    pub aof_write_failed: bool,
    /// Figures of the open file; `None` while `appendonly` is off.
    pub aof: Option<AofInfo>,
}

/// An append-only file that is open.
#[derive(Debug, Clone, Default)]
pub struct AofInfo {
    /// Bytes now.
    pub current_size: u64,
    /// Bytes after the last rewrite.
    pub base_size: u64,
    /// A rewrite waits.
    pub pending_rewrite: bool,
    /// Bytes not yet written.
    pub buffer_length: u64,
    /// Syncs handed to the disk and not finished.
    pub pending_bio_fsync: u64,
    /// Syncs that were late.
    pub delayed_fsync: u64,
}

/// Counters since the start or CONFIG RESETSTAT, and rates.
#[derive(Debug, Clone, Default)]
pub struct StatsInfo {
    /// Connections accepted.
    pub connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Commands per second.
    pub ops_per_sec: u64,
    /// Bytes received from clients.
    pub input_bytes: u64,
    /// Bytes sent to clients.
    pub output_bytes: u64,
    /// Bytes received from a primary.
    pub repl_input_bytes: u64,
    /// Bytes sent to replicas.
    pub repl_output_bytes: u64,
    /// Kilobytes received per second.
    pub input_kbps: f64,
    /// Kilobytes sent per second.
    pub output_kbps: f64,
    /// Kilobytes received from a primary per second.
    pub repl_input_kbps: f64,
    /// Kilobytes sent to replicas per second.
    pub repl_output_kbps: f64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: u64,
    /// Full synchronisations.
    pub sync_full: u64,
    /// Partial ones granted.
    pub sync_partial_ok: u64,
    /// Partial ones refused.
    pub sync_partial_err: u64,
    /// Hash fields that expired.
    pub expired_fields: u64,
    /// Keys that expired.
    pub expired_keys: u64,
    /// Keys that are due but still there, percent (an estimate).
    pub expired_stale_percent: f64,
    /// Expiry cycles that ran out of time.
    pub expire_time_cap_reached: u64,
    /// Time spent on expiry, milliseconds.
    pub expire_cycle_ms: u64,
    /// Keys evicted.
    pub evicted_keys: u64,
    /// Clients evicted.
    pub evicted_clients: u64,
    /// Scripts evicted.
    pub evicted_scripts: u64,
    /// Time spent above `maxmemory`, and the present such time; milliseconds.
    pub eviction_exceeded_ms: (u64, u64),
    /// What moving blocks together did.
    pub defrag: crate::net::defrag::DefragFigures,
    /// Reads of keys that were there.
    pub keyspace_hits: u64,
    /// Reads of keys that were not.
    pub keyspace_misses: u64,
    /// Channels with a subscriber.
    pub pubsub_channels: u64,
    /// Patterns with a subscriber.
    pub pubsub_patterns: u64,
    /// Shard channels with a subscriber.
    pub pubsubshard_channels: u64,
    /// Keys that a writable replica expires itself.
    pub replica_expires_tracked_keys: u64,
    /// Keys in the tracking table.
    pub tracking_keys: u64,
    /// Client and key pairs in it.
    pub tracking_items: u64,
    /// Prefixes of broadcasting clients.
    pub tracking_prefixes: u64,
    /// Error replies to a primary or AOF.
    pub unexpected_errors: u64,
    /// Error replies.
    pub errors: u64,
    /// Reads from clients' sockets.
    pub reads: u64,
    /// Writes to clients' sockets.
    pub writes: u64,
    /// Clients closed for an overlong query.
    pub query_buffer_disconnections: u64,
    /// Clients closed because they did not read.
    pub output_buffer_disconnections: u64,
    /// Time all ticks took, microseconds.
    pub tick_us: u64,
    /// Part of it spent in commands, microseconds.
    pub command_us: u64,
    /// Ticks per second.
    pub ticks_per_sec: u64,
    /// Mean duration of a tick, microseconds.
    pub tick_us_mean: u64,
    /// AUTH refused.
    pub acl_denied_auth: u64,
    /// Commands refused.
    pub acl_denied_cmd: u64,
    /// Keys refused.
    pub acl_denied_key: u64,
    /// Channels refused.
    pub acl_denied_channel: u64,
    /// Databases refused.
    pub acl_denied_db: u64,
}

/// A primary's replica, or a replica's primary.
#[derive(Debug, Clone, Default)]
pub struct ReplicationInfo {
    /// Set on a replica.
    pub primary: Option<PrimaryLink>,
    /// Attached replicas.
    pub replicas: Vec<ReplicaInfo>,
    /// Replicas that wait for a full synchronisation together.
    pub waiting_psync: u64,
    /// `no-failover`, `waiting-for-sync`, `failover-in-progress`; empty prints the first.
    pub failover_state: String,
    /// 40 hexadecimal digits; empty prints zeros.
    pub replid: String,
    /// Likewise.
    pub replid2: String,
    /// Offset in the stream.
    pub offset: u64,
    /// Offset up to which `replid2` is valid.
    pub second_offset: Option<u64>,
    /// Whether there is a backlog.
    pub backlog_active: bool,
    /// `repl-backlog-size`, bytes.
    pub backlog_size: u64,
    /// Offset of its first byte.
    pub backlog_first: u64,
    /// Bytes in it.
    pub backlog_len: u64,
}

/// What a replica says about its primary.
#[derive(Debug, Clone, Default)]
pub struct PrimaryLink {
    /// Host as configured.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the link is up.
    pub up: bool,
    /// Seconds since it was last heard.
    pub last_io_s: Option<u64>,
    /// A full synchronisation is under way.
    pub syncing: bool,
    /// Offset read from the link.
    pub read_offset: u64,
    /// Offset applied.
    pub offset: u64,
    /// `replica-priority`.
    pub priority: u32,
    /// `replica-read-only`.
    pub read_only: bool,
    /// `replica-announced`.
    pub announced: bool,
}

/// One `slaveN` line.
#[derive(Debug, Clone, Default)]
pub struct ReplicaInfo {
    /// Address.
    pub ip: String,
    /// Port.
    pub port: u16,
    /// `wait_bgsave`, `send_bulk`, `online`.
    pub state: String,
    /// Offset it acknowledged.
    pub offset: u64,
    /// Seconds since it did.
    pub lag_s: u64,
}

/// Processor time of the process.
#[derive(Debug, Clone, Default)]
pub struct CpuInfo {
    /// All threads.
    pub process: CpuTime,
    /// Ended child processes.
    pub children: CpuTime,
    /// The threads of all shards.
    pub shards: CpuTime,
}

/// One command's counters.
#[derive(Debug, Clone, Default)]
pub struct CommandStats {
    /// Lower case; `parent|name` for a subcommand.
    pub name: String,
    /// Times it ran.
    pub calls: u64,
    /// Time it took in all, microseconds.
    pub usec: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
}

/// One error code's counter.
#[derive(Debug, Clone, Default)]
pub struct ErrorStats {
    /// The reply's first word (`ERR`, `WRONGTYPE`).
    pub code: String,
    /// How many.
    pub count: u64,
}

/// One command's latencies.
#[derive(Debug, Clone, Default)]
pub struct LatencyStats {
    /// As in [`CommandStats`].
    pub name: String,
    /// Percentile and the latency there, microseconds.
    pub percentiles: Vec<(f64, f64)>,
}

/// Cluster mode.
#[derive(Debug, Clone, Default)]
pub struct ClusterInfo {
    /// `cluster-enabled`.
    pub enabled: bool,
}

/// One database, summed over all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyspaceInfo {
    /// Keys.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
    /// Mean time these have left, milliseconds (an estimate).
    pub avg_ttl_ms: u64,
    /// Hashes with fields that expire.
    pub subexpiry: u64,
}

/// One shard.
#[derive(Debug, Clone, Default)]
pub struct ShardInfo {
    /// First slot and the one after the last.
    pub slots: (u16, u16),
    /// CPU it is pinned to.
    pub cpu: Option<usize>,
    /// Keys of all databases.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
    /// Bytes of its tables and values.
    pub bytes: u64,
    /// Connections it serves.
    pub clients: u64,
    /// Commands it ran for its own connections and for other shards'.
    pub ops: u64,
    /// Commands per second.
    pub ops_per_sec: u64,
    /// Reads from its sockets.
    pub reads: u64,
    /// Writes to them.
    pub writes: u64,
    /// Processor time of its thread.
    pub time: CpuTime,
    /// Commands that came from other shards.
    pub hops_in: u64,
    /// Commands that went to other shards.
    pub hops_out: u64,
    /// Messages waiting in its inbound queues.
    pub queue: u64,
    /// Most there ever were.
    pub queue_max: u64,
    /// Transactions and locks.
    pub txn: TxnFigures,
    /// Ticks, and the longest since the start or CONFIG RESETSTAT, microseconds.
    pub ticks: (u64, u64),
    /// Ticks spent looking for work before sleeping.
    pub spins: u64,
    /// Times it slept.
    pub sleeps: u64,
}

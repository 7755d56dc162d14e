//! The settings as typed values, with the defaults of Redis 8.0 and Valkey 9.1. Parses nothing and never changes by
//! itself: `admin::config` fills it from files, arguments and CONFIG SET, every other part only reads it.
//!
//! Where the defaults of the two differ, Valkey's are taken (lazy freeing on, a 10 MB backlog). A setting that no
//! part of the server reads has no field here; its text lives in `admin::config`'s table alone.

use std::ops::{Index, IndexMut};

/// An enum whose variants are words of a setting: the words stand beside the variants and nowhere else.
macro_rules! words_of_a_setting {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$what])* $variant,)+ }

        impl $name {
            /// The words, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($word,)+];

            /// Its word.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// The variant with this word, in lower case.
            pub fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

/// A client's kind, as `client-output-buffer-limit` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientClass {
    /// Everyone else, MONITOR included.
    Normal = 0,
    /// Replicas receiving our stream.
    Replica = 1,
    /// Clients with at least one subscription.
    Pubsub = 2,
}

/// How many bytes of replies may wait for one client. Zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Above this the client is closed at once, bytes.
    pub hard: u64,
    /// Above this for `soft_seconds` in a row the client is closed, bytes.
    pub soft: u64,
    /// See `soft`.
    pub soft_seconds: u64,
}

/// One [`OutputLimit`] for each [`ClientClass`]; index it by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits(pub [OutputLimit; 3]);

impl Index<ClientClass> for OutputLimits {
    type Output = OutputLimit;
    fn index(&self, class: ClientClass) -> &OutputLimit {
        &self.0[class as usize]
    }
}

impl IndexMut<ClientClass> for OutputLimits {
    fn index_mut(&mut self, class: ClientClass) -> &mut OutputLimit {
        &mut self.0[class as usize]
    }
}

/// A save point: snapshot after `seconds` if at least `changes` writes happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot, at least 1.
    pub seconds: u64,
    /// Writes since the last snapshot.
    pub changes: u64,
}

words_of_a_setting! {
    /// `appendfsync`.
    Fsync {
        /// Commits are in the page cache before their replies leave, and durable within about a second.
        EverySecond = "everysec",
        /// Every commit is durable before its replies leave.
        Always = "always",
        /// As every second, but the kernel decides when.
        No = "no",
    }
}

words_of_a_setting! {
    /// What to evict when `maxmemory` is reached.
    EvictionPolicy {
        /// Least recently used of the keys with an expiry.
        VolatileLru = "volatile-lru",
        /// Least frequently used of the keys with an expiry.
        VolatileLfu = "volatile-lfu",
        /// Any key with an expiry.
        VolatileRandom = "volatile-random",
        /// The key that expires soonest.
        VolatileTtl = "volatile-ttl",
        /// Least recently used of all keys.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used of all keys.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Nothing: commands that need memory fail.
        Noeviction = "noeviction",
    }
}

words_of_a_setting! {
    /// How much the log says; each level contains those after it.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Rarely useful detail.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Silence.
        Nothing = "nothing",
    }
}

words_of_a_setting! {
    /// In which order the commands of one connection take effect.
    PipelineOrder {
        /// Those to one shard in their order, those to several side by side, as for a client of Redis Cluster.
        Shard = "shard",
        /// One after the other, as on one Redis: a command to another shard waits for the replies before it.
        Strict = "strict",
    }
}

words_of_a_setting! {
    /// Who may use a guarded group of commands.
    Allowed {
        /// Nobody.
        No = "no",
        /// Every connection.
        Yes = "yes",
        /// Connections over loopback or the unix socket.
        Local = "local",
    }
}

words_of_a_setting! {
    /// How the kernel's wish to kill this process when memory runs out is set (`/proc/self/oom_score_adj`).
    OomScoreAdj {
        /// As it was found.
        No = "no",
        /// That plus a value.
        Yes = "yes",
        /// As `Yes`.
        Relative = "relative",
        /// A value.
        Absolute = "absolute",
    }
}

words_of_a_setting! {
    /// Which kernel interface moves the bytes.
    IoDriver {
        /// io_uring where the kernel permits it, epoll otherwise.
        Auto = "auto",
        /// io_uring or no start.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
    }
}

words_of_a_setting! {
    /// Whose form snapshots take where Redis and Valkey differ: hash fields that expire.
    RdbFlavor {
        /// Redis 7.4 and later.
        Redis = "redis",
        /// Valkey 9 and later.
        Valkey = "valkey",
    }
}

/// How a SIGINT or SIGTERM ends the server; all false is `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownOn {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Ignore errors that would otherwise keep the server up.
    pub force: bool,
}

words_of_a_setting! {
    /// How a log line says when: `log-timestamp-format`.
    LogTimestamp {
        /// `21 Nov 2026 02:53:00.123`.
        Legacy = "legacy",
        /// ISO 8601 with the zone's offset.
        Iso8601 = "iso8601",
        /// Milliseconds since 1970.
        Milliseconds = "milliseconds",
    }
}

/// Every setting some part of the server reads. `Default` is what a server without file or arguments runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    // ---- network ----
    /// Addresses to listen on; `*` is every IPv4, `::*` every IPv6 address; a leading `-` makes one optional.
    pub bind: Vec<String>,
    /// Address our own outgoing connections start from; empty for any.
    pub bind_source_addr: String,
    /// TCP port; 0 for none.
    pub port: u16,
    /// Path of the unix socket; empty for none.
    pub unixsocket: String,
    /// Its permission bits; 0 leaves the umask's.
    pub unixsocketperm: u32,
    /// Its group; empty leaves the process's.
    pub unixsocketgroup: String,
    /// listen(2) backlog.
    pub tcp_backlog: u32,
    /// Seconds of silence before TCP probes a connection; 0 for never.
    pub tcp_keepalive_s: u32,
    /// Seconds an ordinary client may be idle; 0 for ever.
    pub timeout_s: u32,
    /// Refuse other machines while neither `bind` nor a password is set.
    pub protected_mode: bool,
    /// SO_MARK of listening sockets; 0 for none.
    pub socket_mark_id: u32,
    /// Most clients at once.
    pub maxclients: u32,

    // ---- limits of one client ----
    /// Longest single argument or string, bytes.
    pub proto_max_bulk_len: u64,
    /// Most unparsed bytes of one client.
    pub client_query_buffer_limit: u64,
    /// Most unsent bytes of one client.
    pub output_limits: OutputLimits,

    /// Most keys that client-side caching remembers, over all shards; 0 for no limit.
    pub tracking_table_max_keys: u64,

    // ---- who may do what ----
    /// Password of the default user; empty for none.
    pub requirepass: Vec<u8>,
    /// DEBUG.
    pub enable_debug_command: Allowed,
    /// MODULE.
    pub enable_module_command: Allowed,
    /// CONFIG SET of settings marked protected.
    pub enable_protected_configs: Allowed,
    /// `rename-command` pairs, old name (lower case) and new one; an empty new name removes the command.
    pub rename_command: Vec<(String, String)>,

    /// See [`OomScoreAdj`].
    pub oom_score_adj: OomScoreAdj,
    /// For a primary, a replica, and a process that Pinion does not have; -2000 to 2000.
    pub oom_score_adj_values: Vec<i32>,

    // ---- keyspace ----
    /// Number of databases.
    pub databases: usize,
    /// Times per second the periodic work runs.
    pub hz: u32,
    /// 1 to 10: how hard the expiry cycle works.
    pub active_expire_effort: u32,
    /// Free evicted values off the hot path.
    pub lazyfree_lazy_eviction: bool,
    /// Emptying the keyspace before a full synchronisation is asynchronous.
    pub replica_lazy_flush: bool,

    /// Which keyspace events are published, as letters in their canonical order.
    pub notify_keyspace_events: Vec<u8>,

    // ---- memory ----
    /// Most memory the data may use, bytes; 0 for no limit.
    pub maxmemory: u64,
    /// What gives way at the limit.
    pub maxmemory_policy: EvictionPolicy,
    /// Keys looked at for one eviction.
    pub maxmemory_samples: u32,
    /// 0 to 100: how long one eviction may go on.
    pub maxmemory_eviction_tenacity: u32,
    /// `activedefrag`.
    pub activedefrag: bool,
    /// `active-defrag-cycle-min` and `-max`: percent of a core's time.
    pub defrag_cycle_percent: (u32, u32),
    /// `active-defrag-cycle-us`: the longest that it holds commands up.
    pub defrag_cycle_us: u32,
    /// `active-defrag-ignore-bytes`.
    pub defrag_ignore_bytes: u64,
    /// `active-defrag-threshold-lower` and `-upper`: percent of waste.
    pub defrag_threshold_percent: (u32, u32),
    /// Most memory of all clients together: bytes if positive, percent of `maxmemory` if negative, 0 for no limit.
    pub maxmemory_clients: i64,
    /// LFU counter: how slowly it grows.
    pub lfu_log_factor: u32,
    /// LFU counter: minutes until it halves.
    pub lfu_decay_time: u32,

    // ---- encodings of small collections ----
    /// Most fields of a listpack hash.
    pub hash_max_listpack_entries: u64,
    /// Longest field or value of a listpack hash, bytes.
    pub hash_max_listpack_value: u64,
    /// Bytes of a list's listpack node: positive counts entries, -1 to -5 means 4 to 64 KB.
    pub list_max_listpack_size: i32,
    /// List nodes at each end that stay uncompressed; 0 compresses none.
    pub list_compress_depth: u32,
    /// Most members of an integer set.
    pub set_max_intset_entries: u64,
    /// Most members of a listpack set.
    pub set_max_listpack_entries: u64,
    /// Longest member of a listpack set, bytes.
    pub set_max_listpack_value: u64,
    /// Most members of a listpack sorted set.
    pub zset_max_listpack_entries: u64,
    /// Longest member of a listpack sorted set, bytes.
    pub zset_max_listpack_value: u64,
    /// Largest sparse HyperLogLog, bytes.
    pub hll_sparse_max_bytes: u64,
    /// Largest stream node, bytes.
    pub stream_node_max_bytes: u64,
    /// Most entries of a stream node.
    pub stream_node_max_entries: u64,

    // ---- persistence ----
    /// Working directory, where the files below live.
    pub dir: String,
    /// Name of the snapshot.
    pub dbfilename: String,
    /// When to snapshot.
    pub save: Vec<SavePoint>,
    /// Compress strings in snapshots.
    pub rdb_compression: bool,
    /// End snapshots with a checksum.
    pub rdb_checksum: bool,
    /// Have the kernel write a snapshot while it grows.
    pub rdb_incremental_fsync: bool,
    /// See [`RdbFlavor`].
    pub rdb_flavor: RdbFlavor,
    /// Refuse writes while the last snapshot that a save point asked for failed.
    pub stop_writes_on_bgsave_error: bool,
    /// Log every write.
    pub appendonly: bool,
    /// Its directory, inside `dir`.
    pub appenddirname: String,
    /// Its base name.
    pub appendfilename: String,
    /// When what was logged is durable.
    pub appendfsync: Fsync,
    /// A log whose last record was being written when the machine stopped is cut there; otherwise the start fails.
    pub aof_load_truncated: bool,
    /// Bytes of one file of a shard's log.
    pub aof_segment_bytes: u64,
    /// The log is rewritten once it has grown by this much since the last time, percent; 0 for never.
    pub auto_aof_rewrite_percentage: u32,
    /// But not before it has this many bytes.
    pub auto_aof_rewrite_min_size: u64,

    // ---- what the server tells ----
    /// How much is logged.
    pub loglevel: LogLevel,
    /// Where; empty for standard output.
    pub logfile: String,
    /// How times look in the log.
    pub log_timestamp_format: LogTimestamp,
    /// Report a fault in the log before the process ends of it.
    pub crash_log_enabled: bool,
    /// File for our process id; empty for none.
    pub pidfile: String,
    /// Leave keys and values out of log lines.
    pub hide_user_data_from_log: bool,
    /// Show the logo even when not on a terminal.
    pub always_show_logo: bool,
    /// How SIGINT ends the server.
    pub shutdown_on_sigint: ShutdownOn,
    /// How SIGTERM ends the server.
    pub shutdown_on_sigterm: ShutdownOn,
    /// Longest wait for replicas at shutdown, seconds.
    pub shutdown_timeout_s: u32,
    /// Commands at least this slow enter the slow log, microseconds; negative for none, 0 for all.
    /// (`slowlog-log-slower-than`, Valkey's `commandlog-execution-slower-than`)
    pub slowlog_log_slower_than: i64,
    /// Entries kept (`slowlog-max-len`, `commandlog-slow-execution-max-len`).
    pub slowlog_max_len: u64,
    /// Requests larger than this enter the large-request log, bytes; negative for none.
    pub commandlog_request_larger_than: i64,
    /// Entries kept.
    pub commandlog_large_request_max_len: u64,
    /// Replies larger than this enter the large-reply log, bytes; negative for none.
    pub commandlog_reply_larger_than: i64,
    /// Entries kept.
    pub commandlog_large_reply_max_len: u64,
    /// Keep a latency histogram of each command.
    pub latency_tracking: bool,
    /// Percentiles INFO latencystats shows.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Events at least this long enter LATENCY, milliseconds; 0 for none.
    pub latency_monitor_threshold_ms: u64,
    /// Entries of the ACL log.
    pub acllog_max_len: u64,
    /// Where this server runs; shown to clients.
    pub availability_zone: String,
    /// Answer HELLO and INFO as Redis 7.2 where clients insist on it.
    pub extended_redis_compatibility: bool,

    // ---- Pinion's own ----
    /// Shards, each with a thread of its own; 0 for one per CPU this process may use.
    pub shards: usize,
    /// How bytes move.
    pub io_driver: IoDriver,
    /// Longest spin before a core sleeps, microseconds; `None` chooses (20, or 0 with more shards than CPUs).
    pub spin_us: Option<u32>,
    /// Core `n` also listens on this port + `n`; 0 for no such ports.
    pub shard_port_base: u16,
    /// Pin each shard to a CPU.
    pub pin_cores: bool,
    /// Messages that fit in the queue from one core to another.
    pub mesh_depth: usize,
    /// Order of a pipeline's commands to different shards.
    pub pipeline_order: PipelineOrder,
}

impl Default for Config {
    fn default() -> Self {
        let mb = 1024 * 1024;
        let soft = |hard, soft| OutputLimit { hard, soft, soft_seconds: 60 };
        Config {
            bind: vec!["*".into(), "-::*".into()],
            bind_source_addr: String::new(),
            port: 6379,
            unixsocket: String::new(),
            unixsocketperm: 0,
            unixsocketgroup: String::new(),
            tcp_backlog: 511,
            tcp_keepalive_s: 300,
            timeout_s: 0,
            protected_mode: true,
            socket_mark_id: 0,
            maxclients: 10_000,

            proto_max_bulk_len: 512 * mb,
            client_query_buffer_limit: 1024 * mb,
            output_limits: OutputLimits([OutputLimit::default(), soft(256 * mb, 64 * mb), soft(32 * mb, 8 * mb)]),

            tracking_table_max_keys: 1_000_000,

            requirepass: Vec::new(),
            oom_score_adj: OomScoreAdj::No,
            oom_score_adj_values: vec![0, 200, 800],
            enable_debug_command: Allowed::No,
            enable_module_command: Allowed::No,
            enable_protected_configs: Allowed::No,
            rename_command: Vec::new(),

            databases: crate::base::limits::DATABASES_DEFAULT,
            hz: 10,
            active_expire_effort: 1,
            lazyfree_lazy_eviction: true,
            replica_lazy_flush: true,

            notify_keyspace_events: Vec::new(),

            maxmemory: 0,
            maxmemory_policy: EvictionPolicy::Noeviction,
            maxmemory_samples: 5,
            maxmemory_eviction_tenacity: 10,
            activedefrag: false,
            defrag_cycle_percent: (1, 25),
            defrag_cycle_us: 500,
            defrag_ignore_bytes: 100 << 20,
            defrag_threshold_percent: (10, 100),
            maxmemory_clients: 0,
            lfu_log_factor: 10,
            lfu_decay_time: 1,

            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,

            dir: ".".into(),
            dbfilename: "dump.rdb".into(),
            save: [(3600, 1), (300, 100), (60, 10_000)]
                .map(|(seconds, changes)| SavePoint { seconds, changes })
                .to_vec(),
            rdb_compression: true,
            rdb_checksum: true,
            rdb_incremental_fsync: true,
            rdb_flavor: RdbFlavor::Redis,
            stop_writes_on_bgsave_error: true,
            appendonly: false,
            appenddirname: "appendonlydir".into(),
            appendfilename: "appendonly.aof".into(),
            appendfsync: Fsync::EverySecond,
            aof_load_truncated: true,
            aof_segment_bytes: super::limits::LOG_SEGMENT_BYTES,
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size: 64 << 20,

            loglevel: LogLevel::Notice,
            logfile: String::new(),
            log_timestamp_format: LogTimestamp::Legacy,
            crash_log_enabled: true,
            pidfile: String::new(),
            hide_user_data_from_log: true,
            always_show_logo: false,
            shutdown_on_sigint: ShutdownOn::default(),
            shutdown_on_sigterm: ShutdownOn::default(),
            shutdown_timeout_s: 10,
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            commandlog_request_larger_than: mb as i64,
            commandlog_large_request_max_len: 128,
            commandlog_reply_larger_than: mb as i64,
            commandlog_large_reply_max_len: 128,
            latency_tracking: true,
            latency_tracking_info_percentiles: vec![50.0, 99.0, 99.9],
            latency_monitor_threshold_ms: 0,
            acllog_max_len: 128,
            availability_zone: String::new(),
            extended_redis_compatibility: false,

            shards: 0,
            io_driver: IoDriver::Auto,
            spin_us: None,
            shard_port_base: 0,
            pin_cores: true,
            mesh_depth: 1024,
            pipeline_order: PipelineOrder::Shard,
        }
    }
}

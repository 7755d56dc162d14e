//! What the cores of one process share: published settings, counters that each core writes for itself and others only
//! read, and a few flags. Nothing here is locked on the way of a command.

use crate::base::config::{Config, ShutdownOn};
use crate::commands::table::{CommandId, CommandTable};
use crate::net::durability::Kept;
use crate::net::listening::Listening;
use crate::net::pubsub::Interest;
use crate::persist::aof::frontier::{Barrier, Frontier};
use crate::persist::aof::log::Log;
use crate::persist::rdb_save::SaveJob;
use crate::runtime::driver::Doorbells;
use crate::txn::feed::Intake;
use crate::txn::loading::Loading;
use crate::txn::scheduling::TxnClock;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A counter that one core writes and all may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning core may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// Counters of one command on one core.
#[derive(Debug, Default)]
pub struct CommandCounters {
    /// Runs.
    pub calls: Counter,
    /// Duration of all runs, clock ticks.
    pub ticks: Counter,
    /// Refused before they ran.
    pub rejected: Counter,
    /// Answered an error.
    pub failed: Counter,
}

/// Counters of one core. Aligned so that two cores never write the same cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreCounters {
    /// Commands run here, for own clients and for other cores.
    pub commands: Counter,
    /// Bytes received from clients.
    pub bytes_in: Counter,
    /// Bytes sent to clients.
    pub bytes_out: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections refused because of maxclients.
    pub refused: Counter,
    /// Commands sent to other cores.
    pub hops_out: Counter,
    /// Commands run for other cores.
    pub hops_in: Counter,
    /// Deepest queue to a peer seen.
    pub queue_max: Counter,
    /// Ticks of the core's loop.
    pub ticks: Counter,
    /// How long all of them took, clock ticks.
    pub tick_total: Counter,
    /// The longest of them, clock ticks.
    pub tick_max: Counter,
    /// How long active expiry took, clock ticks.
    pub expire_ticks: Counter,
    /// Times it slept.
    pub sleeps: Counter,
    /// Connections closed for slow reading.
    pub output_limit_closed: Counter,
    /// Connections closed for a query buffer over its limit.
    pub query_limit_closed: Counter,
    /// Replies that were errors.
    pub errors: Counter,
    /// Failed AUTH attempts.
    pub denied: Counter,
    /// Events the kernel reported.
    pub reads: Counter,
    /// Sends handed to the kernel.
    pub writes: Counter,
    /// Bytes that are allocated but free, or about to be; while there is a memory limit.
    pub idle_bytes: Counter,
    /// What the best key to evict scores here, see [`crate::net::memory`]: plus 2; 1 if no key may go, 0 if unknown.
    pub victim: Counter,
    /// Bytes of all clients, and of the largest that may be evicted; while `maxmemory-clients` is set.
    pub client_bytes: Counter,
    /// See `client_bytes`.
    pub client_bytes_max: Counter,
    /// Connections evicted for `maxmemory-clients`.
    pub evicted_clients: Counter,
    /// Percent of its time that this core may spend on moving blocks together; 0: it does not.
    pub defrag_percent: Counter,
    /// Blocks that moved, and those that were looked at and did not.
    pub defrag_hits: Counter,
    /// See `defrag_hits`.
    pub defrag_misses: Counter,
    /// Keys with a block that moved, and those without.
    pub defrag_key_hits: Counter,
    /// See `defrag_key_hits`.
    pub defrag_key_misses: Counter,
    /// How long blocks have been moved in all, and this time; milliseconds from when it began to when it ended.
    pub defrag_ms: Counter,
    /// See `defrag_ms`.
    pub defrag_current_ms: Counter,
    /// Bytes of this core's log since the server started, or since the log was begun anew.
    pub log_bytes: Counter,
    /// Bytes of the log that are not written yet.
    pub log_waiting: Counter,
    /// Bytes of memory for what goes to the log: they do not count for `maxmemory`.
    pub log_held: Counter,
    /// Whether a sync of the log is under way.
    pub log_syncing: Counter,
    /// Changes since the last save.
    pub dirty: Counter,
    /// Connections now.
    pub clients: AtomicUsize,
    /// Per command, by [`CommandId`].
    pub by_command: Box<[CommandCounters]>,
}

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// None asked for.
    No = 0,
    /// Send what is ready, then end.
    Asked = 1,
}

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// Bumped with every published configuration.
    pub config_version: AtomicU64,
    config: Mutex<Arc<Config>>,
    /// The sockets of `port` and `bind`.
    pub listening: Mutex<Listening>,
    /// Every command.
    pub table: Arc<CommandTable>,
    /// Per core.
    pub cores: Vec<CoreCounters>,
    /// What each core's connections subscribe to.
    pub interest: Vec<Interest>,
    /// The next connection's number.
    pub next_client_id: AtomicU64,
    /// Connections in MONITOR.
    pub monitors: AtomicUsize,
    /// CLIENT PAUSE: until when, Unix milliseconds; 0 for not.
    pub pause_until_ms: AtomicU64,
    /// Whether the pause concerns writes only.
    pub pause_writes_only: AtomicBool,
    /// See [`Shutdown`].
    pub shutdown: AtomicU8,
    /// The snapshot under way.
    save_job: Mutex<Option<Arc<SaveJob>>>,
    /// Number of the last snapshot that is over.
    pub save_over: AtomicU64,
    /// Whether the last snapshot failed.
    pub save_failed: AtomicBool,
    /// A signal to end that no core has seen yet, as a [`ShutdownOn`] in bits.
    signal: AtomicU8,
    /// Exit code of the process.
    pub exit_code: AtomicI64,
    /// What is being loaded.
    pub loading: Arc<Loading>,
    /// Libraries of functions, as text: kept for the next snapshot, not run.
    libraries: Mutex<Vec<Vec<u8>>>,
    /// Bytes of the process in memory, as one of the cores saw them last, and when; Unix milliseconds.
    pub resident_bytes: AtomicU64,
    /// See `resident_bytes`.
    pub resident_seen_ms: AtomicU64,
    /// Bytes of `maxmemory` that are kept free for pages that hold little, see [`crate::net::memory`].
    pub memory_margin: AtomicU64,
    /// Numbers transactions.
    pub txn_clock: Arc<TxnClock>,
    /// How far the logs would survive.
    pub frontier: Arc<Frontier>,
    /// Bytes of the log when the server started, or was rewritten last.
    pub log_base_bytes: AtomicU64,
    /// The log is synced every second, whatever `appendfsync` says: somebody waits for it.
    pub log_hurries: AtomicBool,
    /// Cores that have a log, or are about to.
    pub logs_open: AtomicUsize,
    /// Whether a start would find the logs, that is whether the manifest names them.
    pub log_counts: AtomicBool,
    /// By core: a log that was opened for it.
    new_logs: Mutex<Vec<Log>>,
    /// By core: what was read back for it, until it takes it.
    kept: Mutex<Vec<Option<Kept>>>,
    /// Cores that have not taken over what was read back for them.
    kept_count: AtomicUsize,
    /// By core: what it is to be fed from, until it takes it; and whether it empties itself first.
    feeds: Mutex<Vec<Option<(Intake, bool)>>>,
    /// Cores that have not taken it.
    feed_count: AtomicUsize,
    /// What came of the last DEBUG RELOAD, and whether one is under way.
    reloaded: Mutex<Option<Result<(), String>>>,
    /// See `reloaded`.
    pub reloads: AtomicBool,
    /// Whether a snapshot with a wrong checksum is loaded (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skip_checksums: AtomicBool,
    /// Why the log cannot be written any more, as an errno; 0 while it can.
    pub log_error: AtomicI64,
    /// Wakes a core from any thread.
    pub doorbells: Doorbells,
    /// Unix milliseconds of the start.
    pub started_ms: u64,
    /// Random name of this run, 40 hex digits.
    pub run_id: String,
    /// Which driver runs.
    pub driver: &'static str,
    admin: Box<dyn Any + Send + Sync>,
}

/// What [`Shared::new`] needs.
#[derive(Debug)]
pub struct SharedParts {
    /// Number of cores.
    pub cores: usize,
    /// Settings at the start.
    pub config: Config,
    /// What listens.
    pub listening: Listening,
    /// Every command.
    pub table: Arc<CommandTable>,
    /// See [`Shared::doorbells`].
    pub doorbells: Doorbells,
    /// Unix milliseconds now.
    pub now_ms: u64,
    /// See [`Shared::run_id`].
    pub run_id: String,
    /// Which driver runs.
    pub driver: &'static str,
    /// State of the administration layer, which alone knows its type.
    pub admin: Box<dyn Any + Send + Sync>,
}

impl Shared {
    /// The state at start.
    pub fn new(parts: SharedParts) -> Self {
        let commands = parts.table.len();
        let counters = || CoreCounters {
            by_command: (0..commands).map(|_| CommandCounters::default()).collect(),
            ..CoreCounters::default()
        };
        Shared {
            config_version: AtomicU64::new(1),
            config: Mutex::new(Arc::new(parts.config)),
            listening: Mutex::new(parts.listening),
            table: parts.table,
            cores: (0..parts.cores).map(|_| counters()).collect(),
            interest: (0..parts.cores).map(|_| Interest::default()).collect(),
            next_client_id: AtomicU64::new(1),
            monitors: AtomicUsize::new(0),
            pause_until_ms: AtomicU64::new(0),
            pause_writes_only: AtomicBool::new(false),
            save_job: Mutex::new(None),
            save_over: AtomicU64::new(0),
            save_failed: AtomicBool::new(false),
            signal: AtomicU8::new(0),
            shutdown: AtomicU8::new(Shutdown::No as u8),
            exit_code: AtomicI64::new(0),
            loading: Arc::default(),
            libraries: Mutex::default(),
            resident_bytes: AtomicU64::new(0),
            resident_seen_ms: AtomicU64::new(0),
            memory_margin: AtomicU64::new(0),
            txn_clock: Arc::default(),
            frontier: Arc::new(Frontier::new(parts.cores)),
            log_base_bytes: AtomicU64::new(0),
            log_hurries: AtomicBool::new(false),
            logs_open: AtomicUsize::new(0),
            log_counts: AtomicBool::new(false),
            new_logs: Mutex::default(),
            feeds: Mutex::default(),
            feed_count: AtomicUsize::new(0),
            reloaded: Mutex::default(),
            reloads: AtomicBool::new(false),
            skip_checksums: AtomicBool::new(false),
            kept: Mutex::default(),
            kept_count: AtomicUsize::new(0),
            log_error: AtomicI64::new(0),
            doorbells: parts.doorbells,
            started_ms: parts.now_ms,
            run_id: parts.run_id,
            driver: parts.driver,
            admin: parts.admin,
        }
    }

    /// The settings now.
    pub fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes new settings; every core takes them over at its next tick.
    pub fn publish(&self, config: Config) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.config_version.fetch_add(1, Ordering::Release);
    }

    /// The texts of libraries of functions that were loaded.
    pub fn libraries(&self) -> Vec<Vec<u8>> {
        self.libraries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a library, in the place of one whose first line, which names it, is the same.
    pub fn keep_library(&self, text: &[u8]) {
        let title = |text: &[u8]| text.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
        let mut libraries = self.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.retain(|other| title(other) != title(text));
        libraries.push(text.to_vec());
    }

    /// Has every core take over what was read back for it; while data is loaded they look for it.
    pub fn hand_over(&self, kept: Vec<Kept>) {
        let count = kept.len();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept.into_iter().map(Some).collect();
        self.kept_count.store(count, Ordering::SeqCst);
        self.ring_all();
    }

    /// Whether some core has not taken over what was read back for it.
    pub fn has_kept(&self) -> bool {
        self.kept_count.load(Ordering::SeqCst) > 0
    }

    /// What was read back for core `core`; [`Shared::took_kept`] when it has taken that over.
    pub fn take_kept(&self, core: usize) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get_mut(core)?.take()
    }

    /// See [`Shared::take_kept`].
    pub fn took_kept(&self) {
        self.kept_count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Has every core be fed from its intake, after it has emptied its shard if `flushes`.
    pub fn feed_all(&self, intakes: Vec<Intake>, flushes: bool) {
        let count = intakes.len();
        let feeds = intakes.into_iter().map(|intake| Some((intake, flushes))).collect();
        *self.feeds.lock().unwrap_or_else(PoisonError::into_inner) = feeds;
        self.feed_count.store(count, Ordering::SeqCst);
        self.ring_all();
    }

    /// What core `core` is to be fed from, if it has not taken it.
    #[inline]
    pub fn take_feed(&self, core: usize) -> Option<(Intake, bool)> {
        if self.feed_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let feed = self.feeds.lock().unwrap_or_else(PoisonError::into_inner).get_mut(core)?.take();
        self.feed_count.fetch_sub(usize::from(feed.is_some()), Ordering::SeqCst);
        feed
    }

    /// Says what came of DEBUG RELOAD.
    pub fn reload_over(&self, result: Result<(), String>) {
        *self.reloaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.ring_all();
    }

    /// What came of DEBUG RELOAD, once.
    pub fn take_reloaded(&self) -> Option<Result<(), String>> {
        self.reloaded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// There are logs from the start on: each core is given its own.
    pub fn begin_logs(&self) {
        self.log_counts.store(true, Ordering::SeqCst);
        self.logs_open.store(self.cores.len(), Ordering::SeqCst);
        self.frontier.set_working(true, |_| {});
    }

    /// Has logs ready for the cores: each takes its own when its journal begins.
    pub fn open_logs(&self, logs: Vec<Log>) {
        self.log_counts.store(false, Ordering::SeqCst);
        self.logs_open.store(logs.len(), Ordering::SeqCst);
        *self.new_logs.lock().unwrap_or_else(PoisonError::into_inner) = logs;
        self.frontier.set_working(true, |_| {});
    }

    /// The log that was opened for core `core`.
    pub fn take_new_log(&self, core: usize) -> Option<Log> {
        let mut logs = self.new_logs.lock().unwrap_or_else(PoisonError::into_inner);
        let at = logs.iter().position(|log| usize::from(log.shard()) == core)?;
        Some(logs.swap_remove(at))
    }

    /// Whether a power loss would keep all that is before the barrier.
    pub fn is_durable(&self, barrier: &mut Barrier) -> bool {
        self.frontier.works() && self.log_counts.load(Ordering::SeqCst) && self.frontier.is_passed(barrier)
    }

    /// Whether every core has taken the log that was opened for it.
    pub fn logs_begun(&self) -> bool {
        self.new_logs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// No journal will begin: forgets the logs that were opened.
    pub fn drop_new_logs(&self) {
        self.new_logs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.logs_open.store(0, Ordering::SeqCst);
        self.frontier.set_working(false, |_| {});
    }

    /// Logs that work have come in the place of those that could not be written. True if there were any such; not if
    /// the new ones have failed, too.
    pub fn forget_log_error(&self) -> bool {
        let error = self.log_error.swap(0, Ordering::SeqCst);
        if error != 0 && !self.frontier.works() {
            // a core that fails stops the frontier before it says so
            self.log_error.store(error, Ordering::SeqCst);
            return false;
        }
        error != 0
    }

    /// A core has let go of its log. The last one ends the wait for logs.
    pub fn log_closed(&self) {
        if self.logs_open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.frontier.set_working(false, |core| self.doorbells.ring(core));
            self.log_base_bytes.store(0, Ordering::Relaxed);
            self.ring_all();
        }
    }

    /// The snapshot under way, or the last one until it was looked after.
    pub fn save_job(&self) -> Option<Arc<SaveJob>> {
        self.save_job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets it, before its cut.
    pub fn set_save_job(&self, job: Option<Arc<SaveJob>>) {
        *self.save_job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    /// Has the first core end the server, after a last save if there is to be one.
    pub fn signal(&self, how: ShutdownOn) {
        let bits = [true, how.save, how.nosave, how.force].iter().rev().fold(0, |bits, bit| bits << 1 | u8::from(*bit));
        self.signal.store(bits, Ordering::Relaxed);
        self.doorbells.ring(0);
    }

    /// Takes what [`Shared::signal`] left.
    #[inline]
    pub fn take_signal(&self) -> Option<ShutdownOn> {
        if self.signal.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let bits = self.signal.swap(0, Ordering::Relaxed);
        Some(ShutdownOn { save: bits & 2 != 0, nosave: bits & 4 != 0, now: false, force: bits & 8 != 0 })
    }

    /// Wakes every core.
    pub fn ring_all(&self) {
        for core in 0..self.cores.len() {
            self.doorbells.ring(core);
        }
    }

    /// The administration layer's state.
    ///
    /// # Panics
    /// If `T` is not the type that was given at the start.
    pub fn admin<T: 'static>(&self) -> &T {
        self.admin.downcast_ref().expect("the administration's state has one type")
    }

    /// Connections of all cores.
    pub fn clients(&self) -> usize {
        self.cores.iter().map(|c| c.clients.load(Ordering::Relaxed)).sum()
    }

    /// The core with the fewest connections; `prefer` where it is among them.
    pub fn least_loaded(&self, prefer: usize) -> usize {
        let load = |core: usize| self.cores[core].clients.load(Ordering::Relaxed);
        let mut best = prefer;
        for core in 0..self.cores.len() {
            if load(core) < load(best) {
                best = core;
            }
        }
        best
    }

    /// Asks every core to end.
    pub fn shut_down(&self) {
        self.shutdown.store(Shutdown::Asked as u8, Ordering::SeqCst);
        for core in 0..self.cores.len() {
            self.doorbells.ring(core);
        }
    }

    /// Whether the cores are to end.
    pub fn is_ending(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed) != Shutdown::No as u8
    }

    /// Sum of one counter over the cores.
    pub fn total(&self, counter: impl Fn(&CoreCounters) -> &Counter) -> u64 {
        self.cores.iter().map(|c| counter(c).get()).sum()
    }

    /// Counters of one command, summed over the cores: calls, ticks, rejected, failed.
    pub fn command_total(&self, id: CommandId) -> [u64; 4] {
        let mut sum = [0; 4];
        for core in &self.cores {
            let c = &core.by_command[id.index()];
            for (s, n) in sum.iter_mut().zip([&c.calls, &c.ticks, &c.rejected, &c.failed]) {
                *s += n.get();
            }
        }
        sum
    }
}

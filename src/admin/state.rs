//! What the administration of one process keeps between commands. Every part has its own lock; none of them is taken
//! on a command's way to its key.

use crate::admin::config::ConfigStore;
use crate::admin::latency::LatencyMonitor;
use crate::admin::metrics::{MemoryWatch, Process, hex_id};
use crate::admin::oom::OomScore;
use crate::admin::save::SaveState;
use crate::admin::slowlog::CommandLogs;
use crate::base::clock;
use crate::base::stats::{Random, Rate};
use crate::persist::lock::{FolderLock, lock as lock_folder};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How fast things happen.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands, per core.
    pub ops: Vec<Rate>,
    /// Bytes received.
    pub input: Rate,
    /// Bytes sent.
    pub output: Rate,
    /// Ticks of all cores, and the microseconds that they took.
    pub ticks: Rate,
    /// See `ticks`.
    pub tick_us: Rate,
}

/// See the module. One per process, inside `net::shared::Shared`.
#[derive(Debug)]
pub struct AdminState {
    store: Mutex<ConfigStore>,
    logs: Mutex<CommandLogs>,
    latency: Mutex<LatencyMonitor>,
    memory: Mutex<MemoryWatch>,
    rates: Mutex<Rates>,
    saves: Mutex<SaveState>,
    folder_lock: Mutex<Option<FolderLock>>,
    replication_id: Mutex<String>,
    oom: Mutex<OomScore>,
    process: Process,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AdminState {
    /// With the settings the process started with; `seed` differs from start to start.
    pub fn new(store: ConfigStore, cores: usize, seed: u64) -> Self {
        let process = Process::identify(seed);
        let logs = store.current.appendonly;
        AdminState {
            store: Mutex::new(store),
            logs: Mutex::default(),
            latency: Mutex::default(),
            memory: Mutex::new(MemoryWatch::start(clock::unix_ms_now() / 1000)),
            saves: Mutex::new(SaveState::new(clock::unix_ms_now() / 1000, logs)),
            folder_lock: Mutex::default(),
            rates: Mutex::new(Rates { ops: vec![Rate::default(); cores], ..Rates::default() }),
            oom: Mutex::default(),
            replication_id: Mutex::new(hex_id(&mut Random::new(seed.rotate_left(32)))),
            process,
        }
    }

    /// The settings as CONFIG sees them.
    pub fn store(&self) -> MutexGuard<'_, ConfigStore> {
        lock(&self.store)
    }

    /// SLOWLOG and COMMANDLOG.
    pub fn logs(&self) -> MutexGuard<'_, CommandLogs> {
        lock(&self.logs)
    }

    /// LATENCY's events.
    pub fn latency(&self) -> MutexGuard<'_, LatencyMonitor> {
        lock(&self.latency)
    }

    /// Peak and start of memory use.
    pub fn memory(&self) -> MutexGuard<'_, MemoryWatch> {
        lock(&self.memory)
    }

    /// See [`Rates`].
    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        lock(&self.rates)
    }

    /// Makes sure that the data directory `dir` is this process's alone, until it ends. The error is one line.
    pub fn hold_folder(&self, dir: &Path) -> Result<(), String> {
        let mut held = lock(&self.folder_lock);
        if held.as_ref().is_none_or(|lock| !lock.is_of(dir)) {
            *held = Some(lock_folder(dir)?);
        }
        Ok(())
    }

    /// Snapshots.
    pub fn saves(&self) -> MutexGuard<'_, SaveState> {
        lock(&self.saves)
    }

    /// 40 hex digits.
    pub fn replication_id(&self) -> String {
        lock(&self.replication_id).clone()
    }

    /// Draws a new replication id.
    pub fn change_replication_id(&self) {
        let seed = clock::ticks();
        *lock(&self.replication_id) = hex_id(&mut Random::new(seed));
    }

    /// What the kernel thinks of this process when memory runs out.
    pub fn oom(&self) -> MutexGuard<'_, OomScore> {
        lock(&self.oom)
    }

    /// What does not change while the process runs.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

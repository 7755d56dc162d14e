//! How far loading has come: what the loader says once in a while and every core reads. Loads nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// See the module. One per process.
#[derive(Debug, Default)]
pub struct Loading {
    active: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    /// Unix milliseconds.
    started_ms: AtomicU64,
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
    /// Memory that the data took where it was saved, as the file says.
    used_memory: AtomicU64,
    keys: AtomicU64,
    expired: AtomicU64,
    /// When the log was last told how far it is, Unix milliseconds.
    told_ms: AtomicU64,
}

/// What INFO says of a load under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadFigures {
    /// Unix seconds.
    pub started_s: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub loaded_bytes: u64,
    /// Memory that the data took where it was saved; 0 if the file does not say.
    pub used_memory: u64,
    /// Seconds until the end, as far as one can tell.
    pub eta_s: u64,
}

impl Loading {
    /// From now on commands are refused; nothing is loaded yet. Call it before the cores run, or while no command can
    /// run.
    pub fn begin(&self, now_ms: u64) {
        for counter in [&self.total_bytes, &self.loaded_bytes, &self.used_memory, &self.keys, &self.expired] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.failed.store(false, Ordering::Release);
        self.started_ms.store(now_ms, Ordering::Relaxed);
        self.told_ms.store(now_ms, Ordering::Relaxed);
        self.active.store(true, Ordering::Release);
    }

    /// Data is being loaded.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Commands run. Every shard must have been told before ([`Feeder::end`](crate::txn::feed::Feeder::end)).
    pub fn end(&self) {
        self.active.store(false, Ordering::Release);
    }

    /// Bytes that are to be read from now on, beside those that are known already.
    pub fn expect_bytes(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were read since the last call.
    pub fn read_bytes(&self, bytes: u64) {
        self.loaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// See [`LoadFigures::used_memory`].
    pub fn set_used_memory(&self, bytes: u64) {
        self.used_memory.store(bytes, Ordering::Relaxed);
    }

    /// Keys of snapshots that were put in, and those left out because they had expired.
    pub fn count(&self, keys: u64, expired: u64) {
        self.keys.fetch_add(keys, Ordering::Relaxed);
        self.expired.fetch_add(expired, Ordering::Relaxed);
    }

    /// See [`Loading::count`].
    pub fn counted(&self) -> (u64, u64) {
        (self.keys.load(Ordering::Relaxed), self.expired.load(Ordering::Relaxed))
    }

    /// Something cannot be loaded; the first reason stays.
    pub fn fail(&self, why: String) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(why);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why loading failed, if it has.
    pub fn failure(&self) -> Option<String> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the log is to say, if it has said nothing for `every_ms` milliseconds; answers that to one thread only.
    pub fn to_tell(&self, now_ms: u64, every_ms: u64) -> Option<LoadFigures> {
        let told = self.told_ms.load(Ordering::Relaxed);
        let is_due = now_ms.saturating_sub(told) >= every_ms;
        let is_mine =
            is_due && self.told_ms.compare_exchange(told, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        (is_mine && self.is_active()).then(|| self.figures(now_ms))
    }

    /// Of the load under way, or the last one.
    pub fn figures(&self, now_ms: u64) -> LoadFigures {
        let started_ms = self.started_ms.load(Ordering::Relaxed);
        let total_bytes = self.total_bytes.load(Ordering::Relaxed);
        let loaded_bytes = self.loaded_bytes.load(Ordering::Relaxed);
        let elapsed_s = now_ms.saturating_sub(started_ms) / 1000;
        let left = total_bytes.saturating_sub(loaded_bytes);
        // As Redis: a made-up second until something is known.
        let eta_s = if elapsed_s == 0 { 1 } else { elapsed_s.saturating_mul(left) / (loaded_bytes + 1) };
        let used_memory = self.used_memory.load(Ordering::Relaxed);
        LoadFigures { started_s: started_ms / 1000, total_bytes, loaded_bytes, used_memory, eta_s }
    }
}

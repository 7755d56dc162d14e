//! Keeps memory within `maxmemory` and clients within `maxmemory-clients`. Never chooses a key: the shard does.
//!
//! The limit is one for all cores, so a core whose shard holds most of the data may use most of the memory. What
//! counts is what the allocator has handed out, to whom ever, less what the tables keep free for new entries and what
//! waits to be freed; of that at most an eighth of the limit, so that memory that is only reserved counts at last. What
//! is on its way to the log does not count either: it grows as keys go.
//! The machine has to have more than that: pages that hold little. Where moving blocks together (`defrag.rs`) does not
//! keep the process within the limit and an eleventh, keys go for the rest, up to a quarter of the limit. Both get
//! more time the further it is beyond, up to four fifths of a core's: what comes in has to wait.
//!
//! Once a tick, before each command that may need memory, and before those of another core, a core looks whether too
//! much is in use. If so, each core publishes how much its best candidate deserves to go (its *score*); the core with
//! the greatest evicts, for a bounded time each tick, and is woken for that if it sleeps. One whose candidates are
//! worse evicts too once the excess has become large. A command is refused only if no shard has anything to evict.

use crate::base::clock;
use crate::base::config::{EvictionPolicy, OutputLimits};
use crate::base::limits;
use crate::net::connection::{Closing, Conn};
use crate::net::output::SpareOutputs;
use crate::net::worker::{Pause, Worker};
use crate::runtime::alloc;
use std::sync::atomic::Ordering::Relaxed;

/// Published for a core of which nothing is known.
const UNKNOWN: u64 = 0;
/// Published for a core that has no key that may go.
const NONE: u64 = 1;
/// What is added to a score for publishing.
const SCORE: u64 = 2;
/// Keys that go before the excess is looked at again.
const KEYS_PER_LOOK: usize = 4;
/// Keys that a single command may have to evict.
const KEYS_PER_COMMAND: usize = 16;
/// Part of the limit that may be exceeded while another core is asked to evict.
const SLACK: u64 = 64;
/// How many times as long as the setting says is evicted at most, with one time more for each such part.
const URGENCY_MAX: u64 = 4;
/// Part of the limit that idle memory is let off at most, and at least so many bytes.
const IDLE: (u64, u64) = (8, 4 << 20);
/// Part of the limit that the margin is at most.
const MARGIN: u64 = 4;
/// The part of what the process is beyond its bound by which the margin grows each time that is looked at: a small one,
/// or it is at its most before the pages of what went have been given back, and far too much goes; and a greater one
/// from that part of the limit on.
const MARGIN_STEP: u64 = 32;
const MARGIN_LEAP: u64 = 8;
const LEAP_FROM: u64 = 40;
/// The least that clients may take together, whatever the setting says: no client could connect to raise it.
const CLIENTS_LIMIT_MIN: u64 = 128 << 10;
/// What the process may take beyond the limit however small that is: code, stacks, and a page of the heap for each size
/// of blocks.
const RESIDENT_SLACK: u64 = 18 << 20;
/// How long clients may take to hear which of their cached keys were evicted, milliseconds, and ticks: in the first
/// their buffers go to the driver, in the second to the kernel, and in the third they come back. A slow machine takes
/// longer over these than the time.
const TELLING_MS: u64 = 5;
const TELLING_TICKS: u8 = 3;
/// Pieces of 8 KB that a table moves together in one tick while more than [`IDLE`] is idle, or memory is scarce.
const TIDY_PIECES: usize = 32;

/// What a core knows of the memory in use.
#[derive(Debug, Default)]
pub struct MemoryWatch {
    /// `maxmemory`; 0: none.
    limit: u64,
    /// Bytes beyond the limit when all cores were last looked at; below it if negative.
    over: i64,
    /// Of this core, at that time.
    own: isize,
    idle: usize,
    /// Since when the limit is exceeded, Unix milliseconds.
    since_ms: Option<u64>,
    exceeded_ms: u64,
    /// Whether evicting stopped for want of time only.
    unfinished: bool,
    /// Bytes that others have to be told of what was evicted in this tick.
    told: i64,
    /// Until when clients may still be on their way to hear what was evicted: Unix milliseconds, and ticks to come.
    telling_until_ms: u64,
    telling_ticks: u8,
}

impl MemoryWatch {
    /// How long the limit has been exceeded in all and, if it is now, this time; milliseconds.
    pub fn exceeded_ms(&self, now_ms: u64) -> (u64, u64) {
        let current = self.since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        (self.exceeded_ms + current, current)
    }

    /// Whether there are keys that the next tick will evict.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished
    }
}

/// How long a core may evict in one tick, clock ticks (Redis documentation, `maxmemory-eviction-tenacity`).
fn time_max(tenacity: u32) -> u64 {
    let micros = match tenacity {
        0..=10 => 50 * u64::from(tenacity),
        11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => return u64::MAX,
    };
    clock::us_to_ticks(micros)
}

/// The part of `maxmemory` that a core's output buffers kept for reuse may take: keys must not go for them.
const SPARE_PART: usize = 64;

/// Bytes of output buffers that a core keeps for reuse where `maxmemory` is so much (0: no limit).
pub(super) fn spare_outputs_max(maxmemory: u64) -> usize {
    let part = usize::try_from(maxmemory).map_or(usize::MAX, |limit| limit / SPARE_PART);
    if maxmemory == 0 { limits::SPARE_OUTPUTS_BYTES_MAX } else { part.min(limits::SPARE_OUTPUTS_BYTES_MAX) }
}

impl Worker {
    /// Once a tick: evicts if memory is short.
    pub fn refresh_memory(&mut self) {
        let limit = if self.loading.active { 0 } else { self.config.maxmemory };
        if limit == 0 {
            if self.memory.limit > 0 {
                self.memory = MemoryWatch::default();
                self.counters().victim.set(UNKNOWN);
                self.counters().idle_bytes.set(0);
            }
            return;
        }
        if self.memory.limit != limit {
            // what was kept clear under another limit says nothing about this one
            self.shared.memory_margin.store(0, Relaxed);
            self.memory.limit = limit;
        }
        self.memory.unfinished = false;
        self.memory.telling_ticks = self.memory.telling_ticks.saturating_sub(1);
        self.memory.told = 0;
        self.look();
        let now_ms = self.clock.unix_ms();
        if self.memory.over <= 0 {
            self.counters().victim.set(UNKNOWN);
            if let Some(since) = self.memory.since_ms.take() {
                self.memory.exceeded_ms += now_ms.saturating_sub(since);
            }
            return;
        }
        self.memory.since_ms.get_or_insert(now_ms);
        if self.outputs.bytes() > spare_outputs_max(limit) {
            self.outputs = SpareOutputs::default();
            self.look();
        }
        if alloc::is_scarce() || self.shared.idle_bytes(limit) < self.shared.total(|core| &core.idle_bytes) {
            self.router.shard.tidy_short(TIDY_PIECES);
        }
        if self.config.maxmemory_policy != EvictionPolicy::Noeviction {
            self.evict(usize::MAX, self.evict_ticks());
        }
        self.memory.over = self.over() + self.memory.told;
        (self.memory.own, self.memory.idle) = (alloc::own_bytes(), self.router.shard.idle_bytes());
    }

    /// Whether a command that may need memory has to be refused. Evicts a few keys first if that helps.
    #[inline]
    pub(super) fn is_out_of_memory(&mut self) -> bool {
        self.may_be_over() && self.is_full()
    }

    #[cold]
    fn is_full(&mut self) -> bool {
        self.make_room(1);
        let evicts = self.config.maxmemory_policy != EvictionPolicy::Noeviction;
        self.over() > 0 && (!evicts || self.shared.cores.iter().all(|core| core.victim.get() == NONE))
    }

    /// Before commands of another core: that has looked at what it may evict itself, which is nothing where the keys
    /// are all here.
    #[inline]
    pub(super) fn make_room_for(&mut self, commands: usize) {
        if self.may_be_over() {
            self.make_room(commands);
        }
    }

    /// Whether it is worth a look, by what this core knows.
    #[inline]
    fn may_be_over(&self) -> bool {
        self.memory.limit > 0 && self.memory.over + (alloc::own_bytes() - self.memory.own) as i64 > 0
    }

    /// Evicts ahead of so many commands, if that is needed. One that adds much may have to let many small keys go.
    #[cold]
    fn make_room(&mut self, commands: usize) {
        self.look();
        if self.over() <= 0 || self.config.maxmemory_policy == EvictionPolicy::Noeviction {
            return;
        }
        if self.memory.over <= (self.memory.limit / SLACK) as i64 {
            self.evict(KEYS_PER_COMMAND * commands, u64::MAX);
        } else {
            self.evict(usize::MAX, self.evict_ticks().saturating_mul(commands as u64));
        }
    }

    /// How long to evict at a time: the further the limit is exceeded, the longer. Large values that come where small
    /// ones go would come faster otherwise.
    fn evict_ticks(&self) -> u64 {
        let slacks = self.memory.over.max(0).unsigned_abs() / (self.memory.limit / SLACK).max(1);
        time_max(self.config.maxmemory_eviction_tenacity).saturating_mul((1 + slacks).min(URGENCY_MAX))
    }

    /// Notes how much memory the process takes of the machine: sets the margin that is kept for what holds no data.
    pub(super) fn note_resident(&self, resident: u64) {
        let limit = self.config.maxmemory;
        let (low, high) = ((limit / 16).max(RESIDENT_SLACK / 8 * 5), (limit / 11).max(RESIDENT_SLACK));
        let (low, high) = (limit.saturating_add(low), limit.saturating_add(high));
        let margin = self.shared.memory_margin.load(Relaxed);
        let beyond = resident.saturating_sub(high);
        let next = if limit == 0 || alloc::used_bytes() == 0 {
            0
        } else if beyond > 0 {
            let step = if self.memory.over < 0 && self.memory.since_ms.is_none() {
                // nothing had to go yet: what is wasted is known before it has to
                beyond + self.memory.over.unsigned_abs()
            } else {
                beyond / if beyond > limit / LEAP_FROM { MARGIN_LEAP } else { MARGIN_STEP }
            };
            (margin + step).min(limit / MARGIN)
        } else if resident < low {
            margin - (margin / 8 + 1).min(margin)
        } else {
            margin
        };
        self.shared.memory_margin.store(next, Relaxed);
    }

    /// Adds up what all cores use.
    fn look(&mut self) {
        let idle = self.router.shard.idle_bytes();
        self.counters().idle_bytes.set(idle as u64);
        let limit = self.memory.limit;
        self.note_log_held();
        let aside = self.shared.idle_bytes(limit) + self.shared.total(|core| &core.log_held);
        let counted = alloc::used_bytes().saturating_sub(aside);
        let margin = match self.config.maxmemory_policy {
            EvictionPolicy::Noeviction => 0,
            _ => self.shared.memory_margin.load(Relaxed).min(limit / MARGIN),
        };
        self.memory.over = counted as i64 - (limit - margin).min(i64::MAX as u64) as i64;
        (self.memory.own, self.memory.idle) = (alloc::own_bytes(), idle);
    }

    /// The excess now, with what this core did since it looked, less what is only noted for others.
    fn over(&self) -> i64 {
        let own = alloc::own_bytes() - self.memory.own;
        let idle = self.router.shard.idle_bytes() as i64 - self.memory.idle as i64;
        self.memory.over + own as i64 - idle - self.memory.told
    }

    /// Evicts keys of this shard for as long as they are the ones that should go.
    ///
    /// What others have to be told of it takes memory too, maybe more than the keys did: the log and those who wait for
    /// events at the end of the tick, and clients that cache. It must not make further keys go, so it does not count
    /// here; and where clients that cache are told, the next keys have time until that has been sent.
    fn evict(&mut self, keys_max: usize, time_max: u64) {
        let now_ms = self.clock.unix_ms();
        if self.pause != Pause::No || now_ms < self.memory.telling_until_ms || self.memory.telling_ticks > 0 {
            return;
        }
        let begin = clock::ticks();
        let mut left = keys_max;
        while left > 0 && self.over() > 0 {
            let score = self.router.shard.victim_score();
            self.counters().victim.set(if score == 0 { NONE } else { score.saturating_add(SCORE) });
            let slack = (self.memory.limit / SLACK) as i64;
            let elsewhere = self.wake_better(score);
            if score == 0 || elsewhere && self.over() <= slack {
                return;
            }
            let shard = &mut self.router.shard;
            let (noted, mark) = (shard.events.tracking.noted.len(), shard.events.eviction_mark());
            for _ in 0..KEYS_PER_LOOK.min(left) {
                shard.evict_one();
            }
            let cached = shard.events.tracking.noted_bytes(noted);
            self.memory.told += (cached + shard.events.noted_bytes(mark)) as i64;
            if cached > 0 {
                (self.memory.telling_until_ms, self.memory.telling_ticks) = (now_ms + TELLING_MS, TELLING_TICKS);
            }
            left = left.saturating_sub(KEYS_PER_LOOK);
            if clock::ticks().wrapping_sub(begin) >= time_max {
                self.memory.unfinished = self.over() > 0;
                return;
            }
        }
    }

    /// Wakes the cores whose candidates are clearly better than one with this score, or unknown. True if one of them is
    /// better.
    fn wake_better(&mut self, score: u64) -> bool {
        let mut better = false;
        for core in 0..self.shared.cores.len() {
            let theirs = self.shared.cores[core].victim.get();
            if core == self.router.core || theirs == NONE {
                continue;
            }
            let clearly = theirs.saturating_sub(SCORE) > score.saturating_add(score / 4);
            better |= clearly;
            if clearly || theirs == UNKNOWN {
                self.driver.ring(core);
            }
        }
        better
    }

    /// `maxmemory-clients` in bytes, at least [`CLIENTS_LIMIT_MIN`]; 0: none.
    fn clients_limit(&self) -> u64 {
        let limit = match self.config.maxmemory_clients {
            0 => 0,
            bytes @ 1.. => bytes as u64,
            percent => self.config.maxmemory / 100 * percent.unsigned_abs(),
        };
        if limit == 0 { 0 } else { limit.max(CLIENTS_LIMIT_MIN) }
    }

    /// While clients have a limit: notes what one takes now, and whether all together have come to take too much.
    #[cold]
    pub(super) fn note_client(&mut self, index: u32) {
        let (limit, limits) = (self.clients_limit(), self.config.output_limits);
        let Some(conn) = self.conn_at(index).filter(|_| limit > 0) else { return };
        let bytes = if is_going(conn, &limits) { 0 } else { conn.memory_bytes() };
        let before = std::mem::replace(&mut conn.noted_bytes, bytes);
        let own = &self.counters().client_bytes;
        own.set((own.get() + bytes as u64).saturating_sub(before as u64));
        self.clients_over |= bytes > before && self.shared.total(|core| &core.client_bytes) > limit;
    }

    /// Once a tick, before replies leave: closes the largest clients if they have come to take too much.
    pub fn relieve_clients(&mut self) {
        if std::mem::take(&mut self.clients_over) {
            self.evict_clients();
        }
    }

    /// Closes the largest clients while all together take more than `maxmemory-clients`. Ten times a second without a
    /// reason, for those whose share has changed elsewhere.
    pub(super) fn evict_clients(&mut self) {
        let (limit, limits) = (self.clients_limit(), self.config.output_limits);
        if limit == 0 {
            return;
        }
        let mut sizes: Vec<(usize, u32)> = Vec::new();
        let mut own = 0;
        for index in 0..self.place_count() as u32 {
            let Some(conn) = self.conn_at(index).filter(|conn| !is_going(conn, &limits)) else { continue };
            conn.noted_bytes = conn.memory_bytes();
            own += conn.noted_bytes;
            if !conn.session.no_evict && conn.closing == Closing::No {
                sizes.push((conn.noted_bytes, index));
            }
        }
        sizes.sort_unstable();
        self.counters().client_bytes.set(own as u64);
        let mut total: u64 = self.shared.cores.iter().map(|core| core.client_bytes.get()).sum();
        let own_core = self.router.core;
        let others = self.shared.cores.iter().enumerate().filter(|(core, _)| *core != own_core);
        let largest_elsewhere = others.map(|(_, core)| core.client_bytes_max.get()).max().unwrap_or(0);
        while total > limit
            && let Some((bytes, index)) = sizes.pop_if(|(bytes, _)| *bytes as u64 >= largest_elsewhere)
        {
            total = total.saturating_sub(bytes as u64);
            if let Some(mut conn) = self.take_conn(index) {
                self.close(&mut conn, Closing::Now);
                self.put_conn(conn);
                self.counters().evicted_clients.add(1);
            }
        }
        let largest = sizes.last().map_or(0, |(bytes, _)| *bytes);
        self.counters().client_bytes_max.set(largest as u64);
    }
}

/// Whether a connection is as good as gone: it is being closed, or will be in this tick for what waits for it.
fn is_going(conn: &Conn, limits: &OutputLimits) -> bool {
    let hard = limits[conn.output_class()].hard;
    conn.closing.is_at_once() || hard > 0 && conn.output_bytes() as u64 > hard
}

/// See [`IDLE`].
impl crate::net::shared::Shared {
    /// Idle bytes of all cores that do not count against this limit.
    pub fn idle_bytes(&self, limit: u64) -> u64 {
        let idle: u64 = self.cores.iter().map(|core| core.idle_bytes.get()).sum();
        idle.min((limit / IDLE.0).saturating_add(IDLE.1))
    }
}

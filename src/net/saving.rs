//! A core's part in the snapshot under way: has its shard write in budgeted steps, and hands what is written to the
//! writer's thread. Never opens a file and never decides when to save.
//!
//! The writer's queue is bounded, and stays full while the file is in the middle of another shard's value. While it is
//! full the shard does not walk on; what commands make it write ahead of the walk it keeps, up to a bound, and beyond
//! that waits for the writer a moment in each tick: writes cannot outrun the disk for long, and memory stays flat. Half
//! way there, or where somebody waits for a value of its, it has the shard in the middle of a value hurry.

use crate::base::{clock, limits};
use crate::commands::debug::ReloadOrder;
use crate::net::worker::Worker;
use crate::persist::rdb_save::{Part, SaveJob};
use crate::txn::message::ConnId;
use crate::txn::nested::Turn;
use std::sync::Arc;
use std::time::Duration;

/// What writes get while snapshots fail.
pub(super) const CANNOT_SAVE: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report \
errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for \
details about the RDB error.";

/// How soon a writer whose queue was full is looked at again.
const WRITER_LOOK: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Saving {
    job: Option<Arc<SaveJob>>,
    /// How far this shard has come.
    stage: Stage,
    /// Commands that had run here when this was last looked at.
    seen_commands: u64,
    /// When that was fewer than the time before.
    asked_ms: u64,
    /// When the last step of a shard that is asked for things ended, in ticks of the clock.
    stepped: u64,
    /// Whether nobody has asked for anything for a while.
    idle: bool,
    /// What the queue did not take.
    refused: Option<Part>,
    /// Whether the queue was full.
    full: bool,
    /// The last snapshot whose end was looked after here.
    pub seen_over: u64,
    /// Whether writes are refused because snapshots fail, as of this tick.
    pub stops_writes: bool,
    /// Clients of this core that wait for the end of a snapshot.
    pub waiters: Vec<SaveWaiter>,
    /// DEBUG RELOAD of a client of this core.
    pub reload: Option<Reload>,
    /// Clients of this core that wait until all logs are closed.
    pub log_waiters: Vec<(ConnId, u32)>,
}

/// Somebody who waits for the end of a snapshot.
#[derive(Debug)]
pub struct SaveWaiter {
    /// Which.
    pub job: Arc<SaveJob>,
    /// The client, or [`ConnId::NOBODY`].
    pub conn: ConnId,
    /// The reply's place.
    pub seq: u32,
    /// For what.
    pub waits: Waits,
}

/// See [`SaveWaiter::waits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// SAVE.
    Save,
    /// The server ends when the data is safe, or whatever comes of it if `force`.
    Shutdown {
        /// See above.
        force: bool,
    },
    /// The last save before a shutdown begins when this one is over.
    Turn {
        /// See [`Waits::Shutdown`].
        force: bool,
    },
    /// SAVE begins when this one is over.
    SaveTurn,
}

/// DEBUG RELOAD under way.
#[derive(Debug)]
pub struct Reload {
    /// The client.
    pub conn: ConnId,
    /// The reply's place.
    pub seq: u32,
    /// What it asked for.
    pub order: ReloadOrder,
    /// The turn in a transaction that it is part of, which holds all locks.
    pub within: Option<Turn>,
    /// How far it is.
    pub stage: ReloadStage,
    /// By which number the locks are to be released.
    pub held: u64,
}

/// See [`Reload::stage`].
#[derive(Debug, Clone)]
pub enum ReloadStage {
    /// Another snapshot ends first.
    Waits,
    /// What is there is written; the shards stay locked behind it.
    Saves(Arc<SaveJob>),
    /// The locks are waited for.
    Holds,
    /// What was written is read.
    Loads,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The cut is to be told.
    #[default]
    Cut,
    /// Entries are being written.
    Walk,
    /// All of them are; the rest is to be handed over.
    Written,
    /// Nothing is left to do here.
    Handed,
}

impl Saving {
    /// How soon the next tick should come, whatever happens.
    pub fn next_wait(&self) -> Option<Duration> {
        let unfinished = self.job.is_some() && (self.stage != Stage::Handed || self.full);
        unfinished.then_some(match (self.full, self.idle) {
            (true, _) => WRITER_LOOK,
            (false, true) => Duration::ZERO,
            (false, false) => Duration::from_micros(limits::SNAPSHOT_BUSY_PAUSE_US),
        })
    }

    /// Whether the writer has to go on first: it does not keep up, or is in the middle of another shard's value.
    pub fn is_held_up(&self) -> bool {
        self.full
    }

    /// Turns to another job, or to none.
    fn turn_to(&mut self, job: Option<Arc<SaveJob>>) {
        self.job = job;
        self.stage = Stage::Cut;
        self.refused = None;
        self.full = false;
    }

    fn offer(&mut self, job: &SaveJob, shard: usize, part: Part) -> bool {
        match job.offer(shard, part) {
            Ok(()) => true,
            Err(part) => {
                self.refused = Some(part);
                self.full = true;
                false
            }
        }
    }
}

impl Worker {
    /// Once a tick: goes on with the snapshot under way, if there is one.
    #[inline]
    pub fn save_step(&mut self) {
        if self.router.shard.snapshot.id().is_some() {
            self.save_some();
        }
    }

    #[cold]
    fn save_some(&mut self) {
        let id = self.router.shard.snapshot.id();
        if self.saving.job.as_ref().map(|job| job.id) != id {
            let job = self.shared.save_job().filter(|job| Some(job.id) == id);
            self.saving.turn_to(job);
        }
        let Some(job) = self.saving.job.clone() else {
            // it failed before its cut came here
            return self.router.shard.end_snapshot(false);
        };
        if job.is_over() {
            self.router.shard.end_snapshot(!job.rewrites && matches!(job.result(), Some(Ok(_))));
            if job.rewrites {
                // of one that failed; the next one has a begin of its own
                self.take_log_begin();
            }
            return self.saving.turn_to(None);
        }
        if job.rewrites
            && self.saving.refused.is_none()
            && let Some(begin) = self.take_log_begin()
        {
            self.saving.offer(&job, self.router.core, Part::Begun(begin));
        }
        let commands = self.counters().commands.get();
        let now_ms = self.clock.unix_ms();
        if std::mem::replace(&mut self.saving.seen_commands, commands) != commands {
            self.saving.asked_ms = now_ms;
        }
        self.saving.idle = now_ms >= self.saving.asked_ms + limits::SNAPSHOT_IDLE_AFTER_MS;
        let begin = clock::ticks();
        if self.router.is_awaiting() {
            self.write_awaited();
        }
        if self.saving.idle {
            self.write_some(&job, clock::us_to_ticks(limits::SNAPSHOT_IDLE_TICK_US));
        } else if self.router.shard.snapshot.is_open() && job.is_pressed() {
            self.write_some(&job, clock::us_to_ticks(limits::SNAPSHOT_AWAITED_TICK_US));
        } else if begin.wrapping_sub(self.saving.stepped) >= clock::us_to_ticks(limits::SNAPSHOT_BUSY_PAUSE_US) {
            self.write_some(&job, clock::us_to_ticks(limits::SNAPSHOT_BUSY_TICK_US));
            self.saving.stepped = clock::ticks();
        }
        let (keeps, awaits) = (self.router.shard.snapshot_bytes(), self.router.is_awaiting());
        job.press(self.router.core, self.saving.full && (awaits || keeps >= limits::SNAPSHOT_AWAITED_BYTES_MAX));
        let mut waited_us = 0;
        while self.saving.full
            && self.router.shard.snapshot_bytes() > limits::SNAPSHOT_KEPT_BYTES_MAX
            && waited_us < limits::SNAPSHOT_WAIT_US
        {
            std::thread::sleep(Duration::from_micros(200));
            waited_us += 200;
            self.write_some(&job, 0);
        }
    }

    /// Goes on with values that somebody waits for, even if the writer does not keep up, up to a bound.
    #[cold]
    fn write_awaited(&mut self) {
        let (begin, shard) = (clock::ticks(), &mut self.router.shard);
        let most = clock::us_to_ticks(limits::SNAPSHOT_AWAITED_TICK_US);
        while shard.is_awaited()
            && shard.snapshot_bytes() < limits::SNAPSHOT_AWAITED_BYTES_MAX
            && clock::ticks().wrapping_sub(begin) < most
        {
            shard.snapshot_step(limits::SNAPSHOT_STEP_BYTES, limits::SNAPSHOT_STEP_LOOKS);
        }
    }

    /// Writes for at most `ticks` of the clock, and hands over what there is.
    fn write_some(&mut self, job: &SaveJob, ticks: u64) {
        let (saving, shard, core) = (&mut self.saving, &mut self.router.shard, self.router.core);
        saving.full = false;
        if let Some(part) = saving.refused.take()
            && !saving.offer(job, core, part)
        {
            return;
        }
        if saving.stage == Stage::Cut {
            saving.stage = Stage::Walk;
            let sizes = shard.snapshot.sizes().cloned().unwrap_or_default();
            if !saving.offer(job, core, Part::Cut(sizes)) {
                return;
            }
        }
        let begin = clock::ticks();
        loop {
            let least = if saving.stage == Stage::Walk { limits::SNAPSHOT_PART_BYTES } else { 1 };
            while let Some(written) = shard.take_snapshot(least) {
                if !saving.offer(job, core, Part::Entries(written)) {
                    return;
                }
            }
            match saving.stage {
                Stage::Walk if job.is_full(core) => {
                    saving.full = true;
                    return;
                }
                Stage::Walk if clock::ticks().wrapping_sub(begin) >= ticks => return,
                Stage::Walk => {
                    if shard.snapshot_step(limits::SNAPSHOT_STEP_BYTES, limits::SNAPSHOT_STEP_LOOKS) {
                        saving.stage = Stage::Written;
                    }
                }
                Stage::Written => {
                    saving.stage = Stage::Handed;
                    if !saving.offer(job, core, Part::End) {
                        return;
                    }
                }
                Stage::Cut | Stage::Handed => return,
            }
        }
    }
}

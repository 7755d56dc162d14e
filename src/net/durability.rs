//! The log of one core: commits what the shard has journaled, and holds replies back until what they saw is in the
//! logs. Never looks into a reply, and never waits for the disk but to write to the page cache.
//!
//! Under `appendfsync always` a commit goes to the driver as one durable write; while that is under way the next one
//! gathers. A reply leaves once every shard that it saw is durable up to where its journal ended when the reply was
//! ready. Under the other policies a commit is in the page cache before the tick's replies leave, and what other cores
//! are to hear of it is held back as long; a reply waits only if a transaction over several shards is not written on
//! all of them yet.

use crate::base::bytes::OutBuf;
use crate::base::config::Fsync;
use crate::net::connection::{Closing, Conn};
use crate::net::worker::Worker;
use crate::persist::aof::folder::Folder;
use crate::persist::aof::frontier::{Frontier, Participants};
use crate::persist::aof::log::Log;
use crate::persist::aof::manifest::Begin;
use crate::resp::reply::Reply;
use crate::runtime::aligned::AlignedBuf;
use crate::runtime::driver::ChosenKind;
use crate::shard::keyspace::Shard;
use crate::txn::message::ConnId;
use smallvec::SmallVec;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the server answers to writes while the log cannot be written, as Redis does.
const MISCONF: &str = "MISCONF Errors writing to the AOF file: ";

/// What was read back from disk for one core.
#[derive(Debug, Default)]
pub struct Kept {
    /// Its data; `None` for none.
    pub shard: Option<Shard>,
    /// Where it logs; `None` if it does not.
    pub log: Option<Log>,
}

/// Replies that wait.
#[derive(Debug)]
pub struct Gate {
    /// The replies.
    pub out: OutBuf,
    /// Shards, and the positions up to which their logs must be safe.
    needs: SmallVec<[(u16, u64); 2]>,
    /// Transactions that must be safe.
    wrote: Vec<Arc<Participants>>,
}

impl Gate {
    fn is_open(&self, frontier: &Frontier) -> bool {
        let safe = |(shard, need): &(u16, u64)| frontier.safe(usize::from(*shard)) >= *need;
        !frontier.works() || (self.needs.iter().all(safe) && self.wrote.iter().all(|txn| txn.is_safe()))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    log: Log,
    /// As it is kept now: after `always` was given up, the write under way still ends first.
    fsync: Fsync,
    /// Connections with a gate.
    gated: Vec<u32>,
    /// What the frontier was told last.
    told: u64,
    stage: Stage,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It takes what is journaled.
    Open,
    /// Nothing is journaled any more; what was is on its way to the disk.
    Closing,
    /// It is closed; replies may still wait for other cores' logs.
    Closed,
}

impl Worker {
    /// Takes over a shard that was read back from disk, in the place of the empty one.
    pub fn install(&mut self, mut shard: Shard) {
        shard.now_ms = self.clock.unix_ms();
        shard.watches = std::mem::take(&mut self.router.shard.watches);
        self.router.shard = shard;
        self.apply_config();
    }

    /// Takes over what was read back for this core, if it is there.
    pub fn take_over(&mut self) {
        if !self.shared.has_kept() {
            return;
        }
        let Some(kept) = self.shared.take_kept(self.router.core) else { return };
        match kept.shard {
            Some(shard) if self.router.shard.events.journaled => self.router.shard.take_data(shard),
            Some(shard) => self.install(shard),
            None => {}
        }
        if let Some(log) = kept.log {
            self.keep_log(log);
        }
        self.shared.took_kept();
    }

    /// From now on every write is journaled, and goes to `log`. All cores must do so before anything changes.
    pub fn keep_log(&mut self, mut log: Log) {
        if self.driver.kind() == ChosenKind::Sim {
            log.make_at_once();
        }
        let core = self.router.core;
        self.router.shard.journal.publish_to(self.router.frontier.end_counter(core));
        self.router.shard.events.journaled = true;
        let fsync = self.config.appendfsync;
        let gated = self.keeper.take().map(|keeper| keeper.gated).unwrap_or_default();
        self.keeper = Some(Box::new(Keeper { log, fsync, gated, told: u64::MAX, stage: Stage::Open }));
        self.follow_log_settings();
    }

    /// The journal has begun: goes on with the log that was opened for that.
    #[cold]
    fn begin_log(&mut self) {
        let mut log = self.shared.take_new_log(self.router.core).expect("logs are opened before journals begin");
        log.begin_at(self.router.shard.journal.position());
        self.keep_log(log);
    }

    /// The folder of this run's log and its number among the runs; `None` if there is no log, or it cannot be written.
    pub fn log_set(&self) -> Option<(Folder, u32)> {
        let works = self.shared.frontier.works() && self.shared.log_error.load(Ordering::Relaxed) == 0;
        let keeper = self.keeper.as_ref().filter(|keeper| works && keeper.stage == Stage::Open)?;
        Some((keeper.log.folder().clone(), keeper.log.set()))
    }

    /// Where this core's log begins behind the last cut that splits it; said once, when it does.
    pub(super) fn take_log_begin(&mut self) -> Option<Begin> {
        let log = &mut self.keeper.as_mut()?.log;
        // an old segment that is still written to may not be used again yet
        if log.switches() || log.fills_behind() || self.router.shard.journal.is_split() {
            return None;
        }
        log.take_begun()
    }

    /// Takes over `appendfsync`.
    pub(super) fn follow_log_settings(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let before = keeper.fsync;
        keeper.fsync = if keeper.log.is_writing() { Fsync::Always } else { self.config.appendfsync };
        if keeper.fsync == Fsync::Always && before != Fsync::Always {
            // what is written but not durable is no longer enough
            keeper.told = u64::MAX;
        }
        self.router.log_first = keeper.fsync != Fsync::Always;
    }

    /// Commits what was journaled in this tick; to be called before its replies leave.
    pub fn commit_journal(&mut self) {
        let journaled = self.router.shard.events.journaled;
        if self.keeper.as_ref().is_none_or(|keeper| keeper.stage == Stage::Closed) {
            if !journaled {
                return self.forget_log();
            }
            self.begin_log();
        }
        self.follow_log_settings();
        let Some(keeper) = &mut self.keeper else { return };
        if !journaled {
            keeper.stage = Stage::Closing;
        }
        let shard = &mut self.router.shard;
        shard.record_due();
        let hurries = keeper.fsync == Fsync::No && self.shared.log_hurries.load(Ordering::Relaxed);
        let sync = match keeper.stage {
            Stage::Open if hurries => Fsync::EverySecond,
            Stage::Open => keeper.fsync,
            Stage::Closing | Stage::Closed => Fsync::Always,
        };
        let works = self.shared.frontier.works();
        if works {
            keeper.log.make_next();
        }
        let committed = if works { keeper.log.commit(&mut shard.journal, keeper.fsync) } else { Ok(None) };
        match committed {
            Ok(Some(write)) => self.driver.write_log(write.file, write.buffer, write.offset, true),
            Ok(None) => {}
            Err(error) => return self.log_failed(&error),
        }
        if self.shared.frontier.works() {
            match keeper.log.fill(keeper.fsync) {
                Ok(Some(fill)) => self.driver.fill_log(fill.file, fill.offset, fill.bytes),
                Ok(None) => {}
                Err(error) => return self.log_failed(&error),
            }
        }
        if self.shared.frontier.works()
            && let Some(file) = keeper.log.sync(sync, self.clock.unix_ms())
        {
            self.driver.sync_log(file);
        }
        let counters = &self.shared.cores[self.router.core];
        counters.log_bytes.set(keeper.log.bytes());
        counters.log_waiting.set(self.router.shard.journal.len() as u64);
        counters.log_syncing.set(u64::from(keeper.log.is_syncing()));
        self.note_log_held();
        self.tell_frontier();
        if !journaled {
            self.end_log();
        }
    }

    /// Publishes how much memory what goes to the log takes now.
    pub(super) fn note_log_held(&self) {
        let Some(keeper) = &self.keeper else { return };
        let held = self.router.shard.journal.held_bytes() + keeper.log.held_bytes();
        self.shared.cores[self.router.core].log_held.set(held as u64);
    }

    /// Nothing is journaled any more: closes the log once all of it is durable, or as it is if it cannot be written.
    fn end_log(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let (journal, works) = (&mut self.router.shard.journal, self.shared.frontier.works());
        let left = !journal.is_empty() || keeper.log.durable() < keeper.log.written();
        if keeper.log.is_busy() || (works && left) {
            return;
        }
        if works {
            if let Err(error) = keeper.log.close(journal) {
                return self.log_failed(&error);
            }
        } else {
            journal.discard();
        }
        keeper.stage = Stage::Closed;
        let counters = &self.shared.cores[self.router.core];
        counters.log_bytes.set(0);
        counters.log_waiting.set(0);
        counters.log_held.set(0);
        self.shared.log_closed();
    }

    /// Forgets a log that is closed, once no reply waits any more.
    fn forget_log(&mut self) {
        if self.keeper.as_ref().is_some_and(|keeper| keeper.gated.is_empty()) {
            self.keeper = None;
            self.router.log_first = false;
        }
    }

    fn tell_frontier(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        self.shared.frontier.synced(self.router.core, keeper.log.durable());
        let safe = if keeper.fsync == Fsync::Always { keeper.log.durable() } else { keeper.log.written() };
        if safe != keeper.told {
            keeper.told = safe;
            let driver = &mut self.driver;
            self.shared.frontier.advance(self.router.core, safe, |core| driver.ring(core));
        }
    }

    /// The driver has written.
    pub fn on_logged(&mut self, buffer: AlignedBuf, result: io::Result<()>) {
        let Some(keeper) = &mut self.keeper else { return };
        match keeper.log.logged(buffer, result) {
            Ok(()) => self.tell_frontier(),
            Err(error) => self.log_failed(&error),
        }
    }

    /// The driver has filled a part of the log's file.
    pub fn on_log_filled(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.log.filled();
        }
    }

    /// The driver has synced.
    pub fn on_log_synced(&mut self, result: io::Result<()>) {
        let Some(keeper) = &mut self.keeper else { return };
        match keeper.log.log_synced(result) {
            Ok(()) => self.tell_frontier(),
            Err(error) => self.log_failed(&error),
        }
    }

    /// The log cannot be written. What the disk has is not known any more, so nothing is written to it again.
    fn log_failed(&mut self, error: &io::Error) {
        let Some(keeper) = &mut self.keeper else { return };
        if keeper.fsync == Fsync::Always {
            (self.handlers.fatal)(&format!(
                "The append-only file cannot be written: {error}. With appendfsync always nothing more may be \
                 acknowledged: exiting."
            ));
        }
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        self.stop_gates();
        if self.shared.log_error.swap(i64::from(errno), Ordering::SeqCst) == 0 {
            (self.handlers.warning)(&format!(
                "The append-only file cannot be written: {error}. Writes are refused from now on, until a new file \
                 could be begun with what memory holds: that is tried again and again."
            ));
        }
    }

    /// Lets go whoever waits for the logs: there will be nothing to wait for.
    fn stop_gates(&mut self) {
        let driver = &mut self.driver;
        self.shared.frontier.set_working(false, |core| driver.ring(core));
        self.router.log_first = false;
    }

    /// Answers MISCONF if the log cannot be written; true if it did.
    pub(super) fn refuses_writes(&self, conn: &Conn, out: &mut OutBuf) -> bool {
        let refusal = self.log_refusal();
        if let Some(text) = &refusal {
            Reply::new(out, conn.session.proto).error(text);
        }
        refusal.is_some()
    }

    /// What writes get while the log cannot be written.
    #[inline]
    pub(super) fn log_refusal(&self) -> Option<String> {
        let errno = self.shared.log_error.load(Ordering::Relaxed);
        let text = || crate::runtime::sockets::errno_text(&io::Error::from_raw_os_error(errno as i32));
        (errno != 0).then(|| format!("{MISCONF}{}", text()))
    }

    // ---- replies ----

    /// The next replies of a connection are those of a transaction that wrote on several shards.
    pub(super) fn note_wrote(&mut self, conn: ConnId, wrote: Option<Arc<Participants>>) {
        if let Some(wrote) = wrote
            && let Some(conn) = self.conn_mut(conn)
        {
            conn.wrote.push(wrote);
        }
    }

    /// The replies of a connection that may leave now.
    pub(super) fn next_output(&mut self, conn: &mut Conn) -> Option<OutBuf> {
        if let Some(gate) = conn.gate.take() {
            if gate.is_open(&self.shared.frontier) {
                return Some(gate.out);
            }
            conn.gate = Some(gate);
            return None;
        }
        let ending = conn.ended || conn.closing != Closing::No;
        if conn.out.is_empty() || (!ending && conn.holds_output()) {
            return None;
        }
        let out = std::mem::take(&mut conn.out);
        let seen = std::mem::take(&mut conn.seen);
        let Some(keeper) = &mut self.keeper else { return Some(out) };
        let wrote = std::mem::take(&mut conn.wrote);
        if seen.is_empty() && wrote.is_empty() {
            return Some(out);
        }
        let (frontier, always) = (&self.shared.frontier, keeper.fsync == Fsync::Always);
        let needs = (0..self.router.cores)
            .filter(|core| seen.contains(*core) && (always || frontier.is_capped(*core)))
            .map(|core| (core as u16, frontier.end(core)))
            .filter(|(core, end)| frontier.safe(usize::from(*core)) < *end)
            .collect();
        let gate = Gate { out, needs, wrote };
        if gate.is_open(frontier) {
            return Some(gate.out);
        }
        conn.gate = Some(Box::new(gate));
        keeper.gated.push(conn.id.index);
        None
    }

    /// Looks again at connections whose replies wait; those that may leave are sent with the next outputs.
    pub fn open_gates(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        if keeper.gated.is_empty() {
            return;
        }
        let (frontier, places, touched) = (&self.shared.frontier, &mut self.places, &mut self.touched);
        keeper.gated.retain(|index| {
            let Some(conn) = places[*index as usize].conn.as_deref_mut() else { return false };
            let Some(gate) = &conn.gate else { return false };
            let opens = gate.is_open(frontier);
            if opens && !conn.touched {
                conn.touched = true;
                touched.push(*index);
            }
            !opens
        });
    }

    /// Before the core sleeps: has others wake it if replies wait. False if some may leave now.
    pub fn waits_for_logs(&self) -> bool {
        let Some(keeper) = self.keeper.as_ref().filter(|keeper| !keeper.gated.is_empty()) else { return true };
        let frontier = &self.shared.frontier;
        frontier.wait(self.router.core);
        let open = |index: &u32| {
            let conn = self.places[*index as usize].conn.as_deref();
            conn.is_none_or(|conn| conn.gate.as_ref().is_none_or(|gate| gate.is_open(frontier)))
        };
        !keeper.gated.iter().any(open)
    }

    // ---- the end ----

    /// Writes what is left, waiting for the disk, and lets go of the log. To be called when the core has ended.
    pub fn close_log(&mut self) {
        while self.keeper.as_ref().is_some_and(|keeper| keeper.log.is_busy()) {
            let wait = crate::runtime::driver::Wait { timeout: None, spin: std::time::Duration::ZERO };
            if self.driver.submit_and_reap(wait, &|| false).is_err() {
                break;
            }
            while let Some(event) = self.driver.next_event() {
                match event {
                    crate::runtime::driver::Event::Logged { buffer, result } => self.on_logged(buffer, result),
                    crate::runtime::driver::Event::LogFilled => self.on_log_filled(),
                    crate::runtime::driver::Event::LogSynced { result } => self.on_log_synced(result),
                    _ => {}
                }
            }
        }
        let Some(mut keeper) = self.keeper.take().filter(|keeper| keeper.stage != Stage::Closed) else { return };
        if !self.shared.frontier.works() && self.shared.log_error.load(Ordering::Relaxed) != 0 {
            return;
        }
        self.router.shard.record_due();
        if let Err(error) = keeper.log.close(&mut self.router.shard.journal) {
            (self.handlers.warning)(&format!("The append-only file could not be completed: {error}"));
            self.shared.exit_code.store(1, Ordering::Relaxed);
        }
        let driver = &mut self.driver;
        self.shared.frontier.advance(self.router.core, keeper.log.durable(), |core| driver.ring(core));
        self.router.shard.events.journaled = false;
        self.shared.log_closed();
    }
}

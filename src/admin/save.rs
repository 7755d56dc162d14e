//! When snapshots are made, by whom they are asked for, and what came of them: SAVE, BGSAVE, LASTSAVE, save points, the
//! last save at a shutdown. Never writes a file and never sees a key: shards and [`crate::persist::rdb_save`] do.
//!
//! A save belongs to the process; whichever core begins it has the shards make the cut. When it is over, the first core
//! that notices does the accounts, and each core answers the clients of its own that waited.

use crate::admin::log;
use crate::admin::state::AdminState;
use crate::base::bytes::OutBuf;
use crate::base::config::{Config, RdbFlavor, ShutdownOn};
use crate::base::version::REDIS_VERSION;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::saving::{SaveWaiter, Waits};
use crate::net::shared::Shared;
use crate::net::worker::Worker;
use crate::persist::rdb_save::{self, SaveJob, SaveTerms, Saved};
use crate::resp::reply::{Proto, Reply};
use crate::runtime::{alloc, signals};
use crate::shard::snapshot::CutOrder;
use crate::txn::finished::{Cores, Finished};
use crate::txn::message::ConnId;
use crate::txn::router::Outcome;
use crate::types::rdb::Flavor;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After a failure, save points and scheduled saves wait this long, seconds (Redis: CONFIG_BGSAVE_RETRY_DELAY).
const RETRY_S: u64 = 5;
const IN_PROGRESS: &str = "ERR Background save already in progress";
const STARTED: &str = "Background saving started";

/// What is known of saves; one per process.
#[derive(Debug, Default)]
pub struct SaveState {
    last_id: u64,
    running: Option<Running>,
    /// BGSAVE as soon as possible.
    scheduled: bool,
    last_save_s: u64,
    last_try_s: u64,
    last_failed: bool,
    last_took_s: Option<u64>,
    saves: u64,
}

#[derive(Debug)]
struct Running {
    job: Arc<SaveJob>,
    started_ms: u64,
    background: bool,
}

/// What INFO says of saves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveFigures {
    /// A BGSAVE is under way.
    pub saving: bool,
    /// Keys written, and in all.
    pub keys: (u64, u64),
    /// Unix time of the last save, seconds.
    pub last_save_s: u64,
    /// The last one failed.
    pub last_failed: bool,
    /// How long the last one took, and the one under way has taken, seconds.
    pub last_took_s: Option<u64>,
    /// See `last_took_s`.
    pub current_s: Option<u64>,
    /// Saves since the start.
    pub saves: u64,
}

impl SaveState {
    /// Nothing was saved yet; the time of the start stands for that.
    pub fn new(now_s: u64) -> Self {
        SaveState { last_save_s: now_s, ..SaveState::default() }
    }

    /// For INFO.
    pub fn figures(&self, now_ms: u64) -> SaveFigures {
        let background = self.running.as_ref().filter(|running| running.background);
        SaveFigures {
            saving: background.is_some(),
            keys: background.map_or((0, 0), |running| running.job.progress()),
            last_save_s: self.last_save_s,
            last_failed: self.last_failed,
            last_took_s: self.last_took_s,
            current_s: background.map(|running| now_ms.saturating_sub(running.started_ms) / 1000),
            saves: self.saves,
        }
    }

    /// Gives the BGSAVE up that is under way or scheduled; what the client is told.
    fn cancel(&mut self) -> Option<&'static str> {
        if let Some(running) = self.running.as_ref().filter(|running| running.background) {
            running.job.give_up();
            return Some("Background saving cancelled");
        }
        std::mem::take(&mut self.scheduled).then_some("Scheduled background saving cancelled")
    }

    /// Whether a save point asks for a snapshot: the point.
    fn due(&self, config: &Config, changes: u64, now_s: u64) -> Option<(u64, u64)> {
        let rests = self.last_failed && now_s.saturating_sub(self.last_try_s) <= RETRY_S;
        let reached = |seconds, least| changes >= least && now_s.saturating_sub(self.last_save_s) > seconds;
        let mut points = config.save.iter().map(|point| (point.seconds, point.changes));
        points.find(|(seconds, least)| !rests && reached(*seconds, *least))
    }
}

fn flavor(config: &Config) -> Flavor {
    match config.rdb_flavor {
        RdbFlavor::Redis => Flavor::Redis,
        RdbFlavor::Valkey => Flavor::Valkey,
    }
}

/// How a save is begun.
struct Start {
    /// Whoever the order's reply goes to.
    whose: Option<(ConnId, u32)>,
    background: bool,
    /// The shards stay locked: nothing may change after it.
    last: bool,
}

/// Begins a save, unless one is under way ([`IN_PROGRESS`]). An error is for the log.
fn begin(worker: &mut Worker, start: &Start) -> Result<Arc<SaveJob>, String> {
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let mut saves = state.saves();
    let config = &worker.config;
    let now_ms = worker.clock.unix_ms();
    if saves.running.is_some() {
        return Err(IN_PROGRESS.to_string());
    }
    saves.last_id += 1;
    saves.last_try_s = now_ms / 1000;
    let id = saves.last_id;
    let terms = SaveTerms {
        dir: PathBuf::from(&config.dir),
        name: config.dbfilename.clone(),
        temp: format!("temp-{}.rdb", std::process::id()),
        shards: worker.router.cores,
        flavor: flavor(config),
        checksum: config.rdb_checksum,
        write_behind: config.rdb_incremental_fsync,
        remarks: remarks(now_ms / 1000),
        libraries: shared.libraries(),
    };
    let tell = shared.clone();
    let ended = move || {
        tell.save_over.fetch_max(id, Ordering::Release);
        tell.ring_all();
    };
    let job = rdb_save::start(id, terms, ended)?;
    shared.set_save_job(Some(job.clone()));
    saves.running = Some(Running { job: job.clone(), started_ms: now_ms, background: start.background });
    drop(saves);
    let order =
        CutOrder { id, compress: config.rdb_compression, flavor: flavor(config), reply: STARTED, last: start.last };
    worker.router.cut(start.whose, order);
    Ok(job)
}

/// What a file says of itself.
fn remarks(now_s: u64) -> Vec<(&'static str, String)> {
    vec![
        ("redis-ver", REDIS_VERSION.to_string()),
        ("redis-bits", "64".to_string()),
        ("ctime", now_s.to_string()),
        ("used-mem", alloc::used_bytes().to_string()),
        ("aof-base", "0".to_string()),
    ]
}

/// SAVE
pub fn save(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    match begin(worker, &Start { whose: None, background: false, last: false }) {
        Ok(job) => {
            let waiter = SaveWaiter { job, conn: conn.id, seq: conn.next_seq(), waits: Waits::Save };
            worker.saving.waiters.push(waiter);
            Outcome::Stalls
        }
        Err(line) => {
            refuse(&line, &mut reply);
            Outcome::Done
        }
    }
}

fn refuse(line: &str, reply: &mut Reply<'_>) {
    if line == IN_PROGRESS {
        return reply.error(IN_PROGRESS);
    }
    log::warning(line);
    reply.error("ERR");
}

/// BGSAVE [SCHEDULE | CANCEL]
pub fn bgsave(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    match args.get(1) {
        None => {}
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"schedule") => {}
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"cancel") => {
            match saves.cancel() {
                Some(done) => reply.simple(done),
                None => reply.error("ERR Background saving is currently not in progress or scheduled"),
            }
            return Outcome::Done;
        }
        Some(_) => {
            reply.error(errors::SYNTAX);
            return Outcome::Done;
        }
    }
    if saves.running.is_some() {
        reply.error(IN_PROGRESS);
        return Outcome::Done;
    }
    if conn.stalled {
        // inside a transaction, whose locks the cut would wait for
        saves.scheduled = true;
        reply.simple("Background saving scheduled");
        return Outcome::Done;
    }
    drop(saves);
    match begin(worker, &Start { whose: Some((conn.id, conn.next_seq())), background: true, last: false }) {
        Ok(_) => {
            log::notice(STARTED);
            Outcome::Stalls
        }
        Err(line) => {
            refuse(&line, &mut reply);
            Outcome::Done
        }
    }
}

/// LASTSAVE
pub fn lastsave(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let last_save_s = worker.shared.admin::<AdminState>().saves().last_save_s;
    Reply::new(out, conn.session.proto).integer(last_save_s as i64);
    Outcome::Done
}

/// How a shutdown was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownHow {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// End even if that fails.
    pub force: bool,
}

impl From<ShutdownOn> for ShutdownHow {
    fn from(on: ShutdownOn) -> Self {
        ShutdownHow { save: on.save, nosave: on.nosave, force: on.force }
    }
}

/// Ends the server, after a last save where there is to be one. `whose` hears if that fails.
pub fn shut_down(worker: &mut Worker, whose: Option<(ConnId, u32)>, how: ShutdownHow) -> Outcome {
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let whole = !shared.loading.is_active();
    let wanted = whole && (how.save || (!how.nosave && !worker.config.save.is_empty()));
    let saves = state.saves();
    if let Some(running) = &saves.running {
        running.job.give_up();
        if wanted {
            // goes on when that one has ended
            let job = running.job.clone();
            let (conn, seq) = whose.unwrap_or((ConnId::NOBODY, 0));
            worker.saving.waiters.push(SaveWaiter { job, conn, seq, waits: Waits::Turn { force: how.force } });
            return Outcome::Stalls;
        }
    }
    drop(saves);
    if !wanted {
        end(&shared);
        return Outcome::Stalls;
    }
    log::notice("Saving the final RDB snapshot before exiting.");
    match begin(worker, &Start { whose: None, background: false, last: true }) {
        Ok(job) => {
            let (conn, seq) = whose.unwrap_or((ConnId::NOBODY, 0));
            worker.saving.waiters.push(SaveWaiter { job, conn, seq, waits: Waits::Shutdown { force: how.force } });
        }
        Err(line) => {
            log::warning(&line);
            shutdown_failed(worker, whose, how.force);
        }
    }
    Outcome::Stalls
}

fn end(shared: &Shared) {
    shared.shut_down();
    signals::raise_term();
}

fn shutdown_failed(worker: &mut Worker, whose: Option<(ConnId, u32)>, force: bool) {
    worker.router.release_cut();
    if force {
        log::warning("Error trying to save the DB, but the shutdown is forced: exiting.");
        return end(&worker.shared);
    }
    log::warning("Error trying to save the DB, can't exit.");
    if let Some((conn, seq)) = whose {
        answer(worker, conn, seq, |reply| reply.error("ERR Errors trying to SHUTDOWN. Check logs."));
    }
}

fn answer(worker: &mut Worker, conn: ConnId, seq: u32, write: impl FnOnce(&mut Reply<'_>)) {
    let mut out = OutBuf::default();
    write(&mut Reply { out: &mut out, proto: Proto::Resp2 });
    let seen = Cores::default();
    worker.router.finished.push(Finished { conn, seq, reply: out, unstalls: true, seen, wrote: None });
}

/// Once a tick, after the commands: looks after saves that are over, and after signals.
pub fn after_run(worker: &mut Worker) {
    let over = worker.shared.save_over.load(Ordering::Acquire);
    if over != worker.saving.seen_over {
        worker.saving.seen_over = over;
        settle(worker);
        answer_waiters(worker);
        worker.deliver_finished();
    }
    if worker.router.core == 0
        && let Some(how) = worker.shared.take_signal()
    {
        shut_down(worker, None, ShutdownHow::from(how));
    }
}

/// Does the accounts of a save that is over.
fn settle(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let mut saves = state.saves();
    let Some(result) = saves.running.as_ref().and_then(|running| running.job.result()) else { return };
    let Some(running) = saves.running.take() else { return };
    shared.set_save_job(None);
    let now_ms = worker.clock.unix_ms();
    if running.background {
        saves.last_took_s = Some(now_ms.saturating_sub(running.started_ms) / 1000);
    }
    match result {
        Ok(Saved { bytes, keys, version }) => {
            saves.last_save_s = now_ms / 1000;
            saves.last_failed = false;
            saves.saves += 1;
            log::notice(&format!("DB saved on disk: {keys} keys, {bytes} bytes, RDB version {version}"));
            if running.background {
                log::notice("Background saving terminated with success");
            }
        }
        Err(line) => {
            log::warning(&line);
            if running.background && !running.job.was_given_up() {
                saves.last_failed = true;
                log::warning("Background saving error");
            }
        }
    }
    shared.save_failed.store(saves.last_failed, Ordering::Relaxed);
}

/// Answers the clients of this core that waited for saves that are over.
fn answer_waiters(worker: &mut Worker) {
    let (over, waiting) = std::mem::take(&mut worker.saving.waiters).into_iter().partition(|w| w.job.is_over());
    worker.saving.waiters = waiting;
    let over: Vec<SaveWaiter> = over;
    for SaveWaiter { job, conn, seq, waits } in over {
        let saved = matches!(job.result(), Some(Ok(_)));
        match waits {
            Waits::Save if saved => answer(worker, conn, seq, |reply| reply.ok()),
            Waits::Save => answer(worker, conn, seq, |reply| reply.error("ERR")),
            Waits::Shutdown { .. } if saved => end(&worker.shared),
            Waits::Shutdown { force } => shutdown_failed(worker, Some((conn, seq)), force),
            Waits::Turn { force } => {
                let how = ShutdownHow { save: true, nosave: false, force };
                shut_down(worker, Some((conn, seq)), how);
            }
        }
    }
}

/// On the first core, as often as `hz` says: save points, and what was scheduled.
pub fn cron(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let now_s = worker.clock.unix_ms() / 1000;
    let due = {
        let mut saves = shared.admin::<AdminState>().saves();
        if saves.running.is_some() || shared.is_ending() || shared.loading.is_active() {
            return;
        }
        let rests = saves.last_failed && now_s.saturating_sub(saves.last_try_s) <= RETRY_S;
        let scheduled = saves.scheduled && !rests;
        let changes = shared.total(|core| &core.dirty);
        let point = saves.due(&worker.config, changes, now_s);
        if let Some((seconds, least)) = point {
            log::notice(&format!("{least} changes in {seconds} seconds. Saving..."));
        }
        if point.is_some() || scheduled {
            saves.scheduled = false;
        }
        point.is_some() || scheduled
    };
    if due {
        match begin(worker, &Start { whose: None, background: true, last: false }) {
            Ok(_) => log::notice(STARTED),
            Err(line) => log::warning(&line),
        }
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
mod tests;

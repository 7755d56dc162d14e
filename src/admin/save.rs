//! When snapshots are made, by whom they are asked for, and what came of them: SAVE, BGSAVE, LASTSAVE, save points, the
//! last save at a shutdown. Never writes a file and never sees a key: shards and [`crate::persist::rdb_save`] do.
//!
//! A save belongs to the process; whichever core begins it has the shards make the cut. When it is over, the first core
//! that notices does the accounts, and each core answers the clients of its own that waited.

mod reload;
mod rewrites;
mod shutdown;

pub use reload::reload;
pub use rewrites::{bgrewriteaof, switch_log};
pub use shutdown::{ShutdownHow, shut_down};

use crate::admin::log;
use crate::admin::state::AdminState;
use crate::base::bytes::OutBuf;
use crate::base::config::{Config, RdbFlavor};
use crate::base::version::REDIS_VERSION;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::saving::{SaveWaiter, Waits};
use crate::net::worker::Worker;
use crate::persist::rdb_save::{self, SaveJob, SaveTerms, Saved};
use crate::resp::reply::{Proto, Reply};
use crate::runtime::alloc;
use crate::runtime::driver::ChosenKind;
use crate::shard::snapshot::{CutOrder, JournalCut};
use crate::txn::finished::{Cores, Finished};
use crate::txn::message::ConnId;
use crate::txn::router::Outcome;
use crate::types::rdb::Flavor;
use rewrites::{RewriteState, Switch};
use shutdown::{end, shutdown_failed};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After a failure, save points and scheduled saves wait this long, seconds (Redis: CONFIG_BGSAVE_RETRY_DELAY).
const RETRY_S: u64 = 5;
const IN_PROGRESS: &str = "ERR Background save already in progress";
const ANOTHER: &str = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
order to schedule a BGSAVE whenever possible.";
const STARTED: &str = "Background saving started";

/// What is known of saves; one per process.
#[derive(Debug, Default)]
pub struct SaveState {
    last_id: u64,
    running: Option<Running>,
    /// BGSAVE as soon as possible.
    scheduled: bool,
    /// FLUSHALL has run, and is to be followed by a save.
    flushed: bool,
    last_save_s: u64,
    last_try_s: u64,
    last_failed: bool,
    last_took_s: Option<u64>,
    saves: u64,
    /// The log and its rewrites.
    rewrites: RewriteState,
}

#[derive(Debug)]
struct Running {
    job: Arc<SaveJob>,
    started_ms: u64,
    what: What,
}

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// SAVE, or the last one at a shutdown.
    Save,
    /// BGSAVE, or a save point.
    Background,
    /// A log that begins anew.
    Rewrite,
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
    /// A rewrite of the log is under way, or waits for a snapshot to end.
    pub rewriting: bool,
    /// See `rewriting`.
    pub rewrite_scheduled: bool,
    /// How long the last rewrite took, and the one under way has taken, seconds.
    pub rewrite_took_s: Option<u64>,
    /// See `rewrite_took_s`.
    pub rewrite_current_s: Option<u64>,
    /// The last rewrite failed.
    pub rewrite_failed: bool,
    /// Rewrites since the start, and failures in a row.
    pub rewrites: u64,
    /// See `rewrites`.
    pub rewrite_failures: u64,
}

impl SaveState {
    /// Nothing was saved yet; the time of the start stands for that. `logs`: there is a log from the start on.
    pub fn new(now_s: u64, logs: bool) -> Self {
        let switch = if logs { Switch::On } else { Switch::Off };
        let rewrites = RewriteState { switch, ..RewriteState::default() };
        SaveState { last_save_s: now_s, rewrites, ..SaveState::default() }
    }

    fn is_rewriting(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.what == What::Rewrite)
    }

    /// One that is no BGSAVE, was given up, or is over but for its accounts: whoever wants to save comes next.
    fn soon_over(&self) -> Option<Arc<SaveJob>> {
        let running = self.running.as_ref()?;
        let stays = running.what == What::Background && !running.job.was_given_up() && !running.job.is_over();
        (!stays).then(|| running.job.clone())
    }

    /// Whether the next save should wait a little, as the last one failed.
    fn rests(&self, now_s: u64) -> bool {
        self.last_failed && now_s.saturating_sub(self.last_try_s) <= RETRY_S
    }

    /// For INFO.
    pub fn figures(&self, now_ms: u64) -> SaveFigures {
        let is = |what| self.running.as_ref().filter(|running| running.what == what);
        let seconds = |running: &Running| now_ms.saturating_sub(running.started_ms) / 1000;
        let (background, rewrite) = (is(What::Background), is(What::Rewrite));
        SaveFigures {
            rewriting: rewrite.is_some(),
            rewrite_scheduled: self.rewrites.scheduled,
            rewrite_took_s: self.rewrites.last_took_s,
            rewrite_current_s: rewrite.map(seconds),
            rewrite_failed: self.rewrites.last_failed,
            rewrites: self.rewrites.count,
            rewrite_failures: self.rewrites.failures,
            saving: background.is_some(),
            keys: background.map_or((0, 0), |running| running.job.progress()),
            last_save_s: self.last_save_s,
            last_failed: self.last_failed,
            last_took_s: self.last_took_s,
            current_s: background.map(seconds),
            saves: self.saves,
        }
    }

    /// Gives the BGSAVE up that is under way or scheduled; what the client is told.
    fn cancel(&mut self) -> Option<&'static str> {
        if let Some(running) = self.running.as_ref().filter(|running| running.what == What::Background) {
            running.job.give_up();
            return Some("Background saving cancelled");
        }
        std::mem::take(&mut self.scheduled).then_some("Scheduled background saving cancelled")
    }

    /// Whether a save point asks for a snapshot: the point.
    fn due(&self, config: &Config, changes: u64, now_s: u64) -> Option<(u64, u64)> {
        let reached = |seconds, least| changes >= least && now_s.saturating_sub(self.last_save_s) > seconds;
        let mut points = config.save.iter().map(|point| (point.seconds, point.changes));
        points.find(|(seconds, least)| reached(*seconds, *least))
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
    what: What,
    /// The shards stay locked: nothing may change after it.
    last: bool,
    /// The order's reply.
    reply: &'static str,
}

impl Start {
    /// One that nobody is told of.
    fn quiet(what: What) -> Start {
        Start { whose: None, what, last: false, reply: STARTED }
    }

    /// One whose order's reply is the reply to the client's command.
    fn of(what: What, conn: &Conn) -> Start {
        Start { whose: Some((conn.id, conn.next_seq())), ..Start::quiet(what) }
    }
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
    let id = saves.last_id;
    let (log, journal) = if start.what == What::Rewrite {
        saves.rewrites.last_try_s = now_ms / 1000;
        let (log, journal) = rewrites::begin_log(worker, state, saves.rewrites.switch)?;
        (Some(log), journal)
    } else {
        saves.last_try_s = now_ms / 1000;
        (None, JournalCut::None)
    };
    let (dir, name) = match &log {
        Some(log) => (log.folder.path.clone(), log.folder.base_name(log.number, id)),
        None => (PathBuf::from(&config.dir), config.dbfilename.clone()),
    };
    let terms = SaveTerms {
        dir,
        name,
        temp: format!("temp-{}.rdb", std::process::id()),
        shards: worker.router.cores,
        flavor: flavor(config),
        checksum: config.rdb_checksum,
        write_behind: config.rdb_incremental_fsync,
        remarks: remarks(now_ms / 1000, log.is_some()),
        libraries: shared.libraries(),
        log,
    };
    let tell = shared.clone();
    let ended = move || {
        tell.save_over.fetch_max(id, Ordering::Release);
        tell.ring_all();
    };
    let job = rdb_save::start(id, terms, ended).inspect_err(|_| {
        if journal == JournalCut::Begin {
            shared.drop_new_logs();
        }
    })?;
    shared.set_save_job(Some(job.clone()));
    saves.running = Some(Running { job: job.clone(), started_ms: now_ms, what: start.what });
    match start.what {
        What::Save => {}
        What::Background => saves.scheduled = false,
        What::Rewrite => saves.rewrites.scheduled = false,
    }
    drop(saves);
    let order = CutOrder {
        id,
        compress: config.rdb_compression,
        flavor: flavor(config),
        reply: start.reply,
        journal,
        last: start.last,
    };
    worker.router.cut(start.whose, order);
    Ok(job)
}

/// What a file says of itself.
fn remarks(now_s: u64, base: bool) -> Vec<(&'static str, String)> {
    vec![
        ("redis-ver", REDIS_VERSION.to_string()),
        ("redis-bits", "64".to_string()),
        ("ctime", now_s.to_string()),
        ("used-mem", alloc::used_bytes().to_string()),
        ("aof-base", u8::from(base).to_string()),
    ]
}

/// SAVE
pub fn save(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    match save_in_turn(worker, conn.id, conn.next_seq()) {
        Ok(()) => Outcome::Stalls,
        Err(line) => {
            refuse(&line, &mut Reply::new(out, conn.session.proto));
            Outcome::Done
        }
    }
}

/// Begins the save of a SAVE, or has it wait for one that will soon be over.
fn save_in_turn(worker: &mut Worker, conn: ConnId, seq: u32) -> Result<(), String> {
    let shared = worker.shared.clone();
    let (job, waits) = loop {
        match begin(worker, &Start::quiet(What::Save)) {
            Ok(job) => break (job, Waits::Save),
            Err(line) if line == IN_PROGRESS => {
                let saves = shared.admin::<AdminState>().saves();
                match saves.soon_over() {
                    Some(job) => break (job, Waits::SaveTurn),
                    None if saves.running.is_some() => return Err(line),
                    // over since
                    None => {}
                }
            }
            Err(line) => return Err(line),
        }
    };
    worker.saving.waiters.push(SaveWaiter { job, conn, seq, waits });
    Ok(())
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
    let mut schedule = conn.stalled;
    match args.get(1) {
        None => {}
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"schedule") => schedule = true,
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
    let rewriting = saves.is_rewriting();
    let waits = saves.soon_over().is_some();
    if saves.running.is_some() && !rewriting && !waits {
        reply.error(IN_PROGRESS);
        return Outcome::Done;
    }
    if rewriting && !schedule {
        reply.error(ANOTHER);
        return Outcome::Done;
    }
    if rewriting || waits || conn.stalled {
        // conn.stalled: inside a transaction, whose locks the cut would wait for
        saves.scheduled = true;
        reply.simple("Background saving scheduled");
        return Outcome::Done;
    }
    drop(saves);
    match begin(worker, &Start::of(What::Background, conn)) {
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

fn answer(worker: &mut Worker, conn: ConnId, seq: u32, write: impl FnOnce(&mut Reply<'_>)) {
    let mut out = OutBuf::default();
    write(&mut Reply { out: &mut out, proto: Proto::Resp2 });
    let seen = Cores::default();
    worker.router.finished.push(Finished { conn, seq, reply: out, command: None, unstalls: true, seen, wrote: None });
}

/// Once a tick, after the commands: looks after saves that are over, and after signals.
pub fn after_run(worker: &mut Worker) {
    let over = worker.shared.save_over.load(Ordering::Acquire);
    if over != worker.saving.seen_over {
        worker.saving.seen_over = over;
        settle(worker);
        answer_waiters(worker);
        save_flushed(worker);
        worker.deliver_finished();
    }
    rewrites::answer_log_waiters(worker);
    reload::go_on(worker);
    if worker.router.core == 0 && std::mem::take(&mut worker.router.shard.flushed_all) {
        flushed(worker);
    }
    if worker.router.core == 0
        && let Some(how) = worker.shared.take_signal()
    {
        shut_down(worker, None, ShutdownHow::from(how));
    }
}

/// FLUSHALL has run: a snapshot of what was there is of no use any more; where there are save points the file is not to
/// bring it back.
fn flushed(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    if let Some(running) = saves.running.as_ref().filter(|running| running.what == What::Background) {
        running.job.give_up();
    }
    if worker.config.save.is_empty() || shared.loading.is_active() {
        return;
    }
    // one that is under way ends first
    saves.flushed = true;
    drop(saves);
    save_flushed(worker);
}

/// Saves after FLUSHALL, if that is wanted and nothing else is under way.
fn save_flushed(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    if !saves.flushed || saves.running.is_some() || shared.is_ending() {
        return;
    }
    saves.flushed = false;
    drop(saves);
    if let Err(line) = begin(worker, &Start::quiet(What::Save)) {
        log::warning(&line);
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
    let took_s = now_ms.saturating_sub(running.started_ms) / 1000;
    if running.what == What::Rewrite {
        rewrites::settle(&shared, &mut saves.rewrites, (took_s, now_ms / 1000), &running.job);
        return;
    }
    let background = running.what == What::Background;
    if background {
        saves.last_took_s = Some(took_s);
    }
    match result {
        Ok(Saved { bytes, keys, version }) => {
            saves.last_save_s = now_ms / 1000;
            saves.last_failed = false;
            saves.saves += 1;
            log::notice(&format!("DB saved on disk: {keys} keys, {bytes} bytes, RDB version {version}"));
            if background {
                log::notice("Background saving terminated with success");
            }
        }
        Err(line) => {
            log::warning(&line);
            if background && !running.job.was_given_up() {
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
            Waits::Shutdown { force } => {
                worker.router.release(job.id);
                shutdown_failed(worker, Some((conn, seq)), force);
            }
            Waits::SaveTurn => {
                if let Err(line) = save_in_turn(worker, conn, seq) {
                    answer(worker, conn, seq, |reply| refuse(&line, reply));
                }
            }
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
    rewrites::go_on(worker);
    let saves = shared.admin::<AdminState>().saves();
    if saves.running.is_some() || shared.is_ending() || shared.loading.is_active() {
        return;
    }
    // not in a simulation: the base is written by a thread, which would live on when the power is lost
    if worker.driver.kind() != ChosenKind::Sim && rewrites::is_anew_due(&shared, &saves.rewrites, now_s) {
        drop(saves);
        return rewrites::begin_anew(worker);
    }
    let changes = shared.total(|core| &core.dirty);
    let point = saves.due(&worker.config, changes, now_s);
    let what = if (point.is_some() || saves.scheduled) && !saves.rests(now_s) {
        if let Some((seconds, least)) = point {
            log::notice(&format!("{least} changes in {seconds} seconds. Saving..."));
        }
        What::Background
    } else if rewrites::is_due(worker, &saves, now_s) {
        What::Rewrite
    } else {
        return;
    };
    drop(saves);
    match begin(worker, &Start::quiet(what)) {
        Ok(_) => log::notice(if what == What::Rewrite { rewrites::STARTED } else { STARTED }),
        Err(line) => {
            log::warning(&line);
            let mut saves = shared.admin::<AdminState>().saves();
            match what {
                What::Rewrite => rewrites::could_not_begin(&mut saves.rewrites),
                _ => saves.last_failed = true,
            }
        }
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
mod tests;

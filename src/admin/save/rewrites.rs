//! The append-only file as a whole: BGREWRITEAOF, rewrites that are due, and what CONFIG SET appendonly does while the
//! server runs. Never writes to a log: cores and the snapshot's writer do.
//!
//! ```text
//!        CONFIG SET appendonly yes            the base is whole and the manifest names it
//! Off ---- opens logs, makes a cut ---> Starting ---------------------------------------> On
//!  ^                                       |                                              |
//!  +---- every core has closed its log -- Stopping <------ CONFIG SET appendonly no ------+
//! ```
//! Logs that cannot be written are closed, and new ones begin with a base of what memory holds: from On or Starting to
//! Stopping to Starting, until it works. Writes are refused until that base is whole.
//!
//! While it is starting, what is journaled goes to the new logs already, but a crash falls back to the state before:
//! the manifest is replaced when the base is durable. A base that cannot be written is tried again.

use super::{RETRY_S, SaveState, Start, What, begin};
use crate::admin::log;
use crate::admin::state::AdminState;
use crate::base::bytes::OutBuf;
use crate::commands::args::Args;
use crate::net::connection::Conn;
use crate::net::shared::Shared;
use crate::net::worker::Worker;
use crate::persist::aof::folder::Folder;
use crate::persist::aof::log::Log;
use crate::persist::rdb_save::{LogTerms, SaveJob};
use crate::resp::reply::Reply;
use crate::shard::snapshot::JournalCut;
use crate::txn::router::Outcome;
use std::path::Path;
use std::sync::atomic::Ordering;

/// How often the pause after a failure is doubled at most.
const RETRY_DOUBLINGS_MAX: u64 = 4;
pub(super) const STARTED: &str = "Background append only file rewriting started";
const SCHEDULED: &str = "Background append only file rewriting scheduled";

/// What is known of rewrites of the log, and of the log itself.
#[derive(Debug, Default)]
pub(super) struct RewriteState {
    pub(super) switch: Switch,
    pub(super) scheduled: bool,
    pub(super) last_try_s: u64,
    pub(super) last_failed: bool,
    pub(super) last_took_s: Option<u64>,
    pub(super) count: u64,
    pub(super) failures: u64,
}

/// See the module.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// Nothing is logged.
    #[default]
    Off,
    /// There is no base yet that the logs follow.
    Starting,
    /// The logs count.
    On,
    /// The logs are being closed.
    Stopping {
        /// The cores were told.
        told: bool,
    },
}

impl Switch {
    fn is_stopping(self) -> bool {
        matches!(self, Switch::Stopping { .. })
    }
}

impl RewriteState {
    /// Whether one was scheduled, or is to be tried again, and may begin.
    fn is_wanted(&self, now_s: u64) -> bool {
        self.scheduled && !self.rests(now_s) && !self.switch.is_stopping()
    }

    /// Nothing is logged any more: what was wrong with the logs is nobody's business.
    fn end(&mut self, shared: &Shared) {
        self.switch = Switch::Off;
        shared.log_error.store(0, Ordering::SeqCst);
    }

    /// Whether the next one should wait, as the last one failed: twice as long after each in a row.
    fn rests(&self, now_s: u64) -> bool {
        let pause_s = RETRY_S << self.failures.saturating_sub(1).min(RETRY_DOUBLINGS_MAX);
        self.last_failed && now_s.saturating_sub(self.last_try_s) <= pause_s
    }
}

/// What log begins with the next snapshot, and what its cut is to the journal. Opens the logs if there are to be any.
pub(super) fn begin_log(worker: &Worker, state: &AdminState, switch: Switch) -> Result<(LogTerms, JournalCut), String> {
    let shared = &worker.shared;
    if switch.is_stopping() {
        // logs that are being closed never tell where they begin behind the cut
        return Err("The append-only file is being closed".to_string());
    }
    if shared.logs_open.load(Ordering::SeqCst) > 0 {
        let (folder, number) = worker.log_set().ok_or("The append-only file cannot be written")?;
        return Ok((LogTerms { folder, number, has_logs: true }, JournalCut::Split));
    }
    let folder = Folder::of(&worker.config);
    let wrong = |error: std::io::Error| format!("Cannot begin a log in {}: {error}", folder.path.display());
    state.hold_folder(Path::new(&worker.config.dir))?;
    let manifest = folder.manifest().map_err(wrong)?.unwrap_or_default();
    std::fs::create_dir_all(&folder.path).map_err(wrong)?;
    // what an attempt left that failed
    folder.sweep(&manifest).map_err(wrong)?;
    let number = folder.next_number(&manifest);
    if switch == Switch::Off {
        return Ok((LogTerms { folder, number, has_logs: false }, JournalCut::None));
    }
    let logs = Log::begin_all(&folder, number, worker.router.cores).map_err(wrong)?;
    shared.open_logs(logs);
    Ok((LogTerms { folder, number, has_logs: true }, JournalCut::Begin))
}

/// BGREWRITEAOF
pub fn bgrewriteaof(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    if saves.is_rewriting() {
        reply.error("ERR Background append only file rewriting already in progress");
        return Outcome::Done;
    }
    let waits = saves.running.is_some() || saves.rewrites.switch.is_stopping() || !shared.logs_begun();
    if waits || conn.stalled {
        saves.rewrites.scheduled = true;
        reply.simple(SCHEDULED);
        return Outcome::Done;
    }
    if is_broken(&shared) {
        saves.rewrites.last_failed = false;
        drop(saves);
        begin_anew(worker);
        reply.simple(SCHEDULED);
        return Outcome::Done;
    }
    drop(saves);
    match begin(worker, &Start { reply: STARTED, ..Start::of(What::Rewrite, conn) }) {
        Ok(_) => {
            log::notice(STARTED);
            Outcome::Stalls
        }
        Err(line) => {
            log::warning(&line);
            reply.error(
                "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
            );
            Outcome::Done
        }
    }
}

/// `appendonly` has changed: does what it says now. The reply is `+OK`, and may come later. An error is what CONFIG
/// SET tells the client; then nothing was done.
pub fn switch_log(worker: &mut Worker, conn: &Conn, out: &mut OutBuf) -> Result<Outcome, String> {
    let outcome = if worker.config.appendonly { start(worker, conn)? } else { stop(worker, conn) };
    if outcome == Outcome::Done {
        Reply::new(out, conn.session.proto).ok();
    }
    Ok(outcome)
}

fn start(worker: &mut Worker, conn: &Conn) -> Result<Outcome, String> {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    let busy = saves.running.is_some() || conn.stalled;
    match saves.rewrites.switch {
        Switch::Off if !busy => {}
        Switch::Off | Switch::Stopping { .. } => {
            if saves.rewrites.switch == Switch::Off {
                saves.rewrites.switch = Switch::Starting;
            }
            saves.rewrites.scheduled = true;
            let why = if conn.stalled { "in a transaction" } else { "while something else is being written" };
            log::warning(&format!("AOF was enabled {why}: it begins as soon as possible"));
            return Ok(Outcome::Done);
        }
        Switch::Starting | Switch::On => return Ok(Outcome::Done),
    }
    saves.rewrites.switch = Switch::Starting;
    drop(saves);
    match begin(worker, &Start { reply: "OK", ..Start::of(What::Rewrite, conn) }) {
        Ok(_) => {
            log::notice(STARTED);
            Ok(Outcome::Stalls)
        }
        Err(line) => {
            log::warning(&line);
            shared.admin::<AdminState>().saves().rewrites.switch = Switch::Off;
            Err("Unable to turn on AOF. Check server logs.".to_string())
        }
    }
}

fn stop(worker: &mut Worker, conn: &Conn) -> Outcome {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    saves.rewrites.scheduled = false;
    if let Some(running) = saves.running.as_ref().filter(|running| running.what == What::Rewrite) {
        running.job.give_up();
    }
    if shared.logs_open.load(Ordering::SeqCst) == 0 {
        saves.rewrites.end(&shared);
        return Outcome::Done;
    }
    if !saves.rewrites.switch.is_stopping() {
        saves.rewrites.switch = Switch::Stopping { told: false };
    }
    drop(saves);
    go_on(worker);
    if conn.stalled {
        // a transaction, whose locks are waited for
        return Outcome::Done;
    }
    worker.saving.log_waiters.push((conn.id, conn.next_seq()));
    Outcome::Stalls
}

/// Whether there are logs that cannot be written.
fn is_broken(shared: &Shared) -> bool {
    shared.log_error.load(Ordering::SeqCst) != 0 && shared.logs_open.load(Ordering::SeqCst) > 0
}

/// Whether logs that cannot be written are to be replaced now.
pub(super) fn is_anew_due(shared: &Shared, rewrites: &RewriteState, now_s: u64) -> bool {
    !rewrites.switch.is_stopping() && is_broken(shared) && !rewrites.rests(now_s)
}

/// Closes logs that cannot be written; then new ones begin.
pub(super) fn begin_anew(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    saves.rewrites.scheduled = true;
    saves.rewrites.switch = Switch::Stopping { told: false };
    drop(saves);
    go_on(worker);
}

/// Goes on with closing the logs, if they are being closed.
pub(super) fn go_on(worker: &mut Worker) {
    let shared = worker.shared.clone();
    let mut saves = shared.admin::<AdminState>().saves();
    let rewrites = &mut saves.rewrites;
    let Switch::Stopping { told } = rewrites.switch else { return };
    if shared.logs_open.load(Ordering::SeqCst) == 0 {
        log::notice("The append only file is closed");
        match worker.config.appendonly {
            true => rewrites.switch = Switch::Starting,
            false => rewrites.end(&shared),
        }
    } else if !told && shared.logs_begun() {
        rewrites.switch = Switch::Stopping { told: true };
        drop(saves);
        worker.router.end_journal(None);
    }
}

/// Once a tick: answers the clients of this core that waited until all logs are closed.
pub(super) fn answer_log_waiters(worker: &mut Worker) {
    if worker.saving.log_waiters.is_empty() || worker.shared.logs_open.load(Ordering::SeqCst) > 0 {
        return;
    }
    if worker.shared.save_job().is_some_and(|job| job.rewrites) {
        // one that was given up: what follows may begin at once when its accounts are done
        return;
    }
    go_on(worker);
    for (conn, seq) in std::mem::take(&mut worker.saving.log_waiters) {
        super::answer(worker, conn, seq, |reply| reply.ok());
    }
    worker.deliver_finished();
}

/// Does the accounts of a rewrite that is over.
pub(super) fn settle(shared: &Shared, rewrites: &mut RewriteState, (took_s, now_s): (u64, u64), job: &SaveJob) {
    let Some(result) = job.result() else { return };
    let has_logs = job.has_logs;
    (rewrites.last_took_s, rewrites.last_try_s) = (Some(took_s), now_s);
    rewrites.last_failed = result.is_err() && !job.was_given_up();
    match result {
        Ok(saved) => {
            shared.log_base_bytes.store(saved.bytes, Ordering::Relaxed);
            rewrites.count += 1;
            rewrites.failures = 0;
            if rewrites.switch == Switch::Starting && has_logs {
                rewrites.switch = Switch::On;
                shared.log_counts.store(true, Ordering::SeqCst);
                if shared.forget_log_error() {
                    log::notice("The append-only file can be written again: writes are accepted");
                }
            }
            log::notice("Background AOF rewrite finished successfully");
        }
        Err(line) => {
            rewrites.failures += u64::from(rewrites.last_failed);
            rewrites.scheduled |= rewrites.switch == Switch::Starting;
            log::warning(&format!("Background AOF rewrite terminated with error: {line}"));
        }
    }
}

/// Whether the log has grown as far as `auto-aof-rewrite-*` allow, or a rewrite was scheduled.
pub(super) fn is_due(worker: &Worker, saves: &SaveState, now_s: u64) -> bool {
    let (shared, config, rewrites) = (&worker.shared, &worker.config, &saves.rewrites);
    if !shared.logs_begun() {
        // one was given up before its cut, which is still to come
        return false;
    }
    if rewrites.is_wanted(now_s) {
        return true;
    }
    if rewrites.rests(now_s) || rewrites.switch.is_stopping() || worker.log_set().is_none() {
        return false;
    }
    let base = shared.log_base_bytes.load(Ordering::Relaxed);
    let bytes = base + shared.total(|core| &core.log_bytes);
    let percent = u64::from(config.auto_aof_rewrite_percentage);
    let grown = (bytes - base) * 100 / base.max(1);
    let due = percent > 0 && bytes > config.auto_aof_rewrite_min_size && grown >= percent;
    if due {
        log::notice(&format!("Starting automatic rewriting of AOF on {grown}% growth"));
    }
    due
}

/// A rewrite that was due could not begin.
pub(super) fn could_not_begin(rewrites: &mut RewriteState) {
    rewrites.last_failed = true;
    rewrites.failures += 1;
    rewrites.scheduled |= rewrites.switch == Switch::Starting;
}

/// Whether the first base of the log is being written: a server that ended now would have no log of its data.
pub(super) fn writes_first_base(saves: &SaveState) -> bool {
    saves.rewrites.switch == Switch::Starting && saves.is_rewriting()
}

//! DEBUG RELOAD: save, drop everything, load what was saved, with the locks of all shards held throughout, so that no
//! command falls in between. DEBUG LOADAOF: the same with the log, once it is durable. Between MULTI and EXEC the locks
//! are those of the transaction. Reads no file.

use super::{IN_PROGRESS, Start, What, answer, begin};
use crate::admin::log;
use crate::admin::state::AdminState;
use crate::base::bytes::OutBuf;
use crate::commands::debug::ReloadOrder;
use crate::net::connection::Conn;
use crate::net::loading::LOADING;
use crate::net::saving::{Reload, ReloadStage};
use crate::net::worker::Worker;
use crate::resp::reply::Reply;
use crate::txn::router::Outcome;
use crate::txn::transaction::HELD;
use std::sync::atomic::Ordering;

const CANNOT_LOAD: &str = "ERR Error trying to load the RDB dump, check server logs.";
const CANNOT_LOAD_LOG: &str = "ERR Error trying to load the AOF files, check server logs.";
const NO_LOG: &str = "ERR DEBUG LOADAOF needs an append only file: appendonly is off, or it has not begun yet";

/// DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE], DEBUG LOADAOF
pub fn reload(worker: &mut Worker, conn: &mut Conn, order: ReloadOrder, out: &mut OutBuf) -> Outcome {
    let shared = worker.shared.clone();
    let mut reply = Reply::new(out, conn.session.proto);
    if order.log && !(shared.log_counts.load(Ordering::SeqCst) && worker.log_set().is_some()) {
        reply.error(NO_LOG);
        return Outcome::Done;
    }
    if shared.loading.is_active() || shared.reloads.swap(true, Ordering::SeqCst) {
        reply.error(LOADING);
        return Outcome::Done;
    }
    let within = worker.router.borrows;
    let stage = if order.saves { ReloadStage::Waits } else { ReloadStage::Holds };
    if !order.saves && within.is_none() {
        worker.router.hold_all();
    }
    worker.saving.reload = Some(Reload { conn: conn.id, seq: conn.next_seq(), order, within, stage, held: HELD });
    go_on(worker);
    Outcome::Stalls
}

/// Once a tick: goes on with the one of this core.
pub(super) fn go_on(worker: &mut Worker) {
    let Some(Reload { order, stage, within, held, .. }) = &worker.saving.reload else { return };
    let (order, stage, within, held) = (*order, stage.clone(), *within, *held);
    match stage {
        ReloadStage::Waits => {
            match worker.within(within, |worker| begin(worker, &Start { last: true, ..Start::quiet(What::Save) })) {
                Ok(job) => {
                    worker.saving.reload.iter_mut().for_each(|reload| reload.held = job.id);
                    turn_to(worker, ReloadStage::Saves(job));
                }
                // what is under way ends first
                Err(line) if line == IN_PROGRESS => {
                    if within.is_some() {
                        give_up_running(worker);
                    }
                }
                Err(line) => end(worker, Err(line), "ERR"),
            }
        }
        ReloadStage::Saves(job) => match job.result() {
            None => {}
            Some(Ok(_)) => turn_to(worker, ReloadStage::Holds),
            Some(Err(line)) => end(worker, Err(line), "ERR"),
        },
        ReloadStage::Holds if within.is_none() && !worker.router.holds_all(held) => {}
        // its end would change which files the log is
        ReloadStage::Holds if order.log && give_up_running(worker) => {}
        ReloadStage::Holds => {
            turn_to(worker, ReloadStage::Loads);
            (worker.handlers.reload)(&worker.shared, order);
        }
        ReloadStage::Loads => {
            if let Some(result) = worker.shared.take_reloaded() {
                end(worker, result, if order.log { CANNOT_LOAD_LOG } else { CANNOT_LOAD });
            }
        }
    }
}

/// Gives up what is being written, as its cut may wait for the locks that are held: it is tried again later. False if
/// nothing is.
fn give_up_running(worker: &Worker) -> bool {
    let mut saves = worker.shared.admin::<AdminState>().saves();
    let Some(what) = saves.running.as_ref().map(|running| running.what) else { return false };
    saves.running.iter().for_each(|running| running.job.give_up());
    match what {
        What::Background => saves.scheduled = true,
        What::Rewrite => saves.rewrites.scheduled = true,
        What::Save => {}
    }
    true
}

fn turn_to(worker: &mut Worker, stage: ReloadStage) {
    if let Some(reload) = &mut worker.saving.reload {
        reload.stage = stage;
    }
}

/// Lets commands run again, and answers.
fn end(worker: &mut Worker, result: Result<(), String>, refusal: &str) {
    let Some(Reload { conn, seq, order, within, held, .. }) = worker.saving.reload.take() else { return };
    let shared = worker.shared.clone();
    if worker.config.appendonly && !order.log && (order.merges || !order.flushes || !order.saves) {
        // the log does not hold what was loaded
        shared.admin::<AdminState>().saves().rewrites.scheduled = true;
    }
    if within.is_none() {
        worker.router.release(held);
    }
    shared.reloads.store(false, Ordering::SeqCst);
    match result {
        Ok(()) => {
            log::warning(match order.log {
                true => "Append Only File loaded by DEBUG LOADAOF",
                false => "DB reloaded by DEBUG RELOAD",
            });
            answer(worker, conn, seq, |reply| reply.ok());
        }
        Err(line) => {
            log::warning(&line);
            answer(worker, conn, seq, |reply| reply.error(refusal));
        }
    }
    worker.deliver_finished();
}

//! DEBUG RELOAD: save, drop everything, load what was saved, with the locks of all shards held throughout, so that no
//! command falls in between. Reads no file.

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
use std::sync::atomic::Ordering;

const IN_TRANSACTION: &str = "ERR DEBUG RELOAD is not possible inside a transaction, whose locks it would wait for";
const CANNOT_LOAD: &str = "ERR Error trying to load the RDB dump, check server logs.";

/// DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]
pub fn reload(worker: &mut Worker, conn: &mut Conn, order: ReloadOrder, out: &mut OutBuf) -> Outcome {
    let shared = worker.shared.clone();
    let mut reply = Reply::new(out, conn.session.proto);
    if conn.stalled {
        reply.error(IN_TRANSACTION);
        return Outcome::Done;
    }
    if shared.loading.is_active() || shared.reloads.swap(true, Ordering::SeqCst) {
        reply.error(LOADING);
        return Outcome::Done;
    }
    let stage = if order.saves {
        ReloadStage::Waits
    } else {
        worker.router.hold_all();
        ReloadStage::Holds
    };
    worker.saving.reload = Some(Reload { conn: conn.id, seq: conn.next_seq(), order, stage });
    go_on(worker);
    Outcome::Stalls
}

/// Once a tick: goes on with the one of this core.
pub(super) fn go_on(worker: &mut Worker) {
    let Some(Reload { order, stage, .. }) = &worker.saving.reload else { return };
    let (order, stage) = (*order, stage.clone());
    match stage {
        ReloadStage::Waits => match begin(worker, &Start { last: true, ..Start::quiet(What::Save) }) {
            Ok(job) => turn_to(worker, ReloadStage::Saves(job)),
            // what is under way ends first
            Err(line) if line == IN_PROGRESS => {}
            Err(line) => end(worker, Err(line), "ERR"),
        },
        ReloadStage::Saves(job) => match job.result() {
            None => {}
            Some(Ok(_)) => turn_to(worker, ReloadStage::Holds),
            Some(Err(line)) => end(worker, Err(line), "ERR"),
        },
        ReloadStage::Holds if worker.router.holds_all() => {
            turn_to(worker, ReloadStage::Loads);
            (worker.handlers.reload)(&worker.shared, order);
        }
        ReloadStage::Holds => {}
        ReloadStage::Loads => {
            if let Some(result) = worker.shared.take_reloaded() {
                end(worker, result, CANNOT_LOAD);
            }
        }
    }
}

fn turn_to(worker: &mut Worker, stage: ReloadStage) {
    if let Some(reload) = &mut worker.saving.reload {
        reload.stage = stage;
    }
}

/// Lets commands run again, and answers.
fn end(worker: &mut Worker, result: Result<(), String>, refusal: &str) {
    let Some(Reload { conn, seq, order, .. }) = worker.saving.reload.take() else { return };
    let shared = worker.shared.clone();
    if worker.config.appendonly && (order.merges || !order.flushes || !order.saves) {
        // the log does not hold what was loaded
        shared.admin::<AdminState>().saves().rewrites.scheduled = true;
    }
    worker.router.release_cut();
    shared.reloads.store(false, Ordering::SeqCst);
    match result {
        Ok(()) => {
            log::warning("DB reloaded by DEBUG RELOAD");
            answer(worker, conn, seq, |reply| reply.ok());
        }
        Err(line) => {
            log::warning(&line);
            answer(worker, conn, seq, |reply| reply.error(refusal));
        }
    }
    worker.deliver_finished();
}

//! The end of the server, after a last save where there is to be one. Never ends while the first base of a log is being
//! written, unless forced.

use super::{Start, What, answer, begin, rewrites};
use crate::admin::log;
use crate::admin::state::AdminState;
use crate::base::config::ShutdownOn;
use crate::net::saving::{SaveWaiter, Waits};
use crate::net::shared::Shared;
use crate::net::worker::Worker;
use crate::runtime::signals;
use crate::txn::message::ConnId;
use crate::txn::router::Outcome;

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
    if rewrites::writes_first_base(&saves) {
        if !how.force {
            log::warning("Writing initial AOF, can't exit.");
            drop(saves);
            return shutdown_refused(worker, whose);
        }
        log::warning("Writing initial AOF. Exit anyway.");
    }
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
    match begin(worker, &Start { last: true, ..Start::quiet(What::Save) }) {
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

pub(super) fn end(shared: &Shared) {
    shared.shut_down();
    signals::raise_term();
}

pub(super) fn shutdown_failed(worker: &mut Worker, whose: Option<(ConnId, u32)>, force: bool) {
    if force {
        log::warning("Error trying to save the DB, but the shutdown is forced: exiting.");
        return end(&worker.shared);
    }
    log::warning("Error trying to save the DB, can't exit.");
    shutdown_refused(worker, whose);
}

fn shutdown_refused(worker: &mut Worker, whose: Option<(ConnId, u32)>) -> Outcome {
    if let Some((conn, seq)) = whose {
        answer(worker, conn, seq, |reply| reply.error("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    Outcome::Stalls
}

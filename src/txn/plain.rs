//! The short way of a command through the router: nothing to plan, nobody to ask. Never sends, never waits.

use crate::base::hash::Position;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::spec::CommandSpec;
use crate::resp::reply::Reply;
use crate::txn::hop;
use crate::txn::message::Phase;
use crate::txn::router::Router;

impl Router {
    /// Runs a command of this core's shard for a client without CLIENT TRACKING, in a database and with or without
    /// a trace of its reading; false, and nothing done, if a lock may be in its way.
    #[inline]
    pub fn run_plain(
        &mut self,
        spec: &CommandSpec,
        pos: Option<Position>,
        (db, no_touch): (usize, bool),
        args: &mut Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        if self.is_guarded() {
            return false;
        }
        self.shard.events.tracking.caller = None;
        let bulk_bytes_max = self.terms.bulk_bytes_max;
        let mut ctx = Context { shard: &mut self.shard, db, no_touch, hint: pos, bulk_bytes_max, foreign: &mut [] };
        hop::run_phase(&spec.plan, Phase::Run, &mut ctx, args, reply);
        self.settle_ready();
        true
    }
}

//! `pipeline-order strict`: the commands of one connection take effect one after the other, whatever their shards, as
//! on one Redis. A command to another shard than those before it waits for their replies; to the same shard order holds
//! anyway.

use crate::base::config::PipelineOrder;
use crate::commands::spec::Plan;
use crate::net::prepare::{Known, Prepared};
use crate::net::worker::Worker;
use crate::resp::parse::{CommandSpan, Source as At};

impl Worker {
    /// With `pipeline-order strict`: whether the next command, if one is there, waits for the replies of those before
    /// it. Only one to the same shard need not. One with a large argument cannot be put back, so it is waited for here.
    pub(super) fn must_drain(&self, commands: &[CommandSpan], prepared: &[Prepared]) -> bool {
        if self.config.pipeline_order == PipelineOrder::Shard {
            return false;
        }
        let core = |at: usize| match prepared.get(at) {
            Some(Prepared::Known(Known { id, pos: Some(pos), .. }))
                if matches!(self.router.table.get(*id).plan, Plan::OneShard(_))
                    && !matches!(commands[at].source, At::Big(_)) =>
            {
                Some(self.router.owner_of(*pos))
            }
            _ => None,
        };
        core(0).is_none() || core(0) != core(1)
    }

    /// Lets connections go on that waited for their replies.
    pub(super) fn end_draining(&mut self) {
        for id in std::mem::take(&mut self.draining) {
            let Some(conn) = self.conn_mut(id) else { continue };
            if conn.is_parked() {
                self.draining.push(id);
                continue;
            }
            conn.stalled = false;
            self.make_ready(id.index);
        }
    }
}

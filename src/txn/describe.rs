//! What a core waits for, as text: transactions, locks, commands behind locks, messages under way. For people who look
//! for a reply that does not come; changes nothing.

use crate::base::limits::DESCRIBED_MAX;
use crate::txn::router::{Pending, Router};
use std::fmt::Write;

impl Router {
    /// Since when the oldest transaction of this core is under way, milliseconds; 0 if none is.
    pub(super) fn oldest_ms(&self) -> u64 {
        let transactions = self.pending.iter().flatten().filter_map(|pending| match pending {
            Pending::Transaction(t) => Some(t.since_ms),
            _ => None,
        });
        transactions.min().map_or(0, |since| self.shard.now_ms.saturating_sub(since))
    }

    /// See the module. Line by line; of each kind a bounded number.
    pub fn describe(&self) -> String {
        let mut text = format!("[Core {}]\n", self.core);
        let _ = self.describe_into(&mut text);
        text
    }

    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        let pending = self.pending.iter().enumerate().filter_map(|(index, p)| Some((index, p.as_ref()?)));
        for (index, pending) in pending.take(DESCRIBED_MAX) {
            match pending {
                Pending::Transaction(t) => {
                    let age = self.shard.now_ms.saturating_sub(t.since_ms);
                    let cores: Vec<usize> = t.claims.iter().map(|(core, _)| *core).collect();
                    writeln!(
                        text,
                        "transaction {index}: of connection {} for {age} ms on cores {cores:?}, {:?}, {} of {} \
                         commands planned, {:?}, {} shares out, released {}",
                        t.conn.index,
                        t.scheduling,
                        t.next,
                        t.commands.commands.len(),
                        std::mem::discriminant(&t.step),
                        t.out,
                        t.released
                    )?;
                }
                other => writeln!(text, "pending {index}: {other:?}")?,
            }
        }
        for line in self.locks.describe().into_iter().take(DESCRIBED_MAX) {
            writeln!(text, "{line}")?;
        }
        for (by, notice) in self.notices.iter().take(DESCRIBED_MAX) {
            writeln!(text, "refused: {notice:?} until {by:?} has ended")?;
        }
        for line in self.parked.describe().into_iter().take(DESCRIBED_MAX) {
            writeln!(text, "{line}")?;
        }
        for to in (0..self.cores).filter(|to| *to != self.core) {
            let (under_way, overflow) = (self.mesh.outbound_len(to), self.mesh.overflow_len(to));
            if under_way > 0 {
                writeln!(text, "to core {to}: {under_way} messages not taken, {overflow} of them not in the queue")?;
            }
        }
        writeln!(text, "{} messages wait here, {} to itself", self.mesh.inbound_len(), self.loopback_len())
    }
}

//! Work inside a transaction: a command of the connection that needs shards (DEBUG, MIGRATE) when its turn comes
//! between MULTI and EXEC. It is a transaction of its own that borrows the locks of the outer one, under the same
//! number, and neither asks for any nor releases them. To ask would be to wait for oneself.
//!
//! The outer one holds what is needed: see [`crate::txn::plan::claim`]. It stays until the turn is over.

use crate::txn::lock::TxnId;
use crate::txn::router::{Pending, Router};
use crate::txn::transaction::{Holds, Transaction};

/// The turn of a transaction's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Of the transaction.
    pub pending: u32,
    txn: TxnId,
}

impl Router {
    /// The turn that a transaction has given its connection.
    pub fn turn_of(&self, pending: u32) -> Option<Turn> {
        match self.pending.get(pending as usize)?.as_ref()? {
            Pending::Transaction(outer) => Some(Turn { pending, txn: outer.scheduling.id() }),
            _ => None,
        }
    }

    pub(super) fn start_within(&mut self, turn: Turn, mut t: Transaction) {
        let writes = t.commands.commands.iter().any(|command| self.writes(command));
        let Some(Some(Pending::Transaction(outer))) = self.pending.get_mut(turn.pending as usize) else { return };
        assert!(outer.scheduling.id() == turn.txn, "a transaction stays while its connection has its turn");
        outer.wrote |= writes;
        t.scheduling = outer.scheduling.clone();
        t.borrows = true;
        t.whole_at_once = false;
        t.holds = Holds::LastStage;
        t.since_ms = self.shard.now_ms;
        let t = Box::new(t);
        let index = self.pend(Pending::Transaction(t));
        if let Some(t) = self.take_transaction(index) {
            self.advance(index, t);
        }
        self.settle();
    }
}

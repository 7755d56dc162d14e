//! Huge values that a snapshot has not written and that somebody wants to change: the snapshot writes them first, in
//! steps, and whoever wants to change them waits meanwhile. Never writes anything itself.
//!
//! To wait is to wait for a lock: the shard claims the key, shared, under a number lower than those of all
//! transactions. So its claim goes before those that have not been granted, nothing is refused because of it, and
//! readers go on. It is not made where a transaction that may write holds the key already: what that changes is
//! written at once, as everything is that reaches the value in another way (a claim on the whole shard, DEBUG).
//!
//! What would be removed because it is due waits, too, whoever looks at it.

use crate::base::hash::Position;
use crate::txn::lock::{Claim, LockKey, Mode, TxnId, Verdict};
use crate::txn::router::Router;
use crate::txn::scheduling::OWN_IDS;

/// Claims of a shard on values that are to be written first.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    claims: Vec<(TxnId, LockKey)>,
}

impl Awaited {
    /// A number that none of them has.
    fn free_id(&self) -> Option<TxnId> {
        (1..=OWN_IDS).map(TxnId).find(|id| self.claims.iter().all(|(taken, _)| taken != id))
    }
}

impl Router {
    /// Whether a command has to look for more than that it is its turn.
    #[inline]
    pub(super) fn is_guarded(&self) -> bool {
        self.locks.any_held() || self.shard.snapshot.has_huge()
    }

    /// Whether somebody waits for a snapshot.
    pub fn is_awaiting(&self) -> bool {
        !self.awaited.claims.is_empty()
    }

    /// Whether a single-shard command on a key waits until a snapshot has written its value.
    pub(super) fn waits_for_snapshot(&mut self, key: LockKey, mode: Mode) -> bool {
        match self.shard.unwritten_huge(Position(key)) {
            Some(is_due) => (is_due || mode == Mode::Exclusive) && self.claim_own(key),
            None => false,
        }
    }

    /// Has the values that a claim may change written first, before it is granted; whether there are any.
    pub(super) fn defer_to_snapshot(&mut self, claim: &Claim) -> bool {
        let mut any = false;
        for (key, _) in claim.keys().iter().filter(|(_, mode)| *mode == Mode::Exclusive) {
            any |= self.waits_for_snapshot(*key, Mode::Exclusive);
        }
        any
    }

    /// Claims a key until its value is written; false where that cannot be.
    fn claim_own(&mut self, key: LockKey) -> bool {
        if self.awaited.claims.iter().any(|(_, claimed)| *claimed == key) {
            return true;
        }
        let Some(id) = self.awaited.free_id() else { return false };
        let mut claim = Claim::default();
        claim.add(key, Mode::Shared);
        if self.locks.schedule(id, claim, false) != Verdict::Granted {
            return false;
        }
        self.txn_stats.written_first += 1;
        self.shard.write_first(Position(key));
        self.awaited.claims.push((id, key));
        true
    }

    /// Grants the next of the queued claims whose turn it is.
    pub(super) fn next_grant(&mut self) -> Option<TxnId> {
        while self.shard.snapshot.has_huge()
            && let Some(claim) = self.locks.next_ready()
        {
            // a cut may have been made since it came
            let claim = claim.clone();
            if !self.defer_to_snapshot(&claim) {
                break;
            }
        }
        self.locks.next_grant()
    }

    /// Once a tick, before commands run: those that waited for what is written now have their turn.
    #[inline]
    pub fn settle_awaited(&mut self) {
        if self.is_awaiting() {
            self.release_written();
        }
    }

    #[cold]
    fn release_written(&mut self) {
        let is_written = |router: &Router, key: LockKey| router.shard.unwritten_huge(Position(key)).is_none();
        while let Some(at) = self.awaited.claims.iter().position(|(_, key)| is_written(self, *key)) {
            let (id, _) = self.awaited.claims.swap_remove(at);
            self.release_here(id, None);
        }
        self.settle();
    }
}

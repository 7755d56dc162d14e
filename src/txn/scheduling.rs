//! How a transaction gets its locks on all its shards: one attempt after the other, until every shard has granted. The
//! coordinator's half of the protocol in [`crate::txn::lock`], as a plain state machine: it sends nothing, and whoever
//! drives it does what it answers.
//!
//! ```text
//!            begin            all granted
//!   Idle ------------> Asking ------------> Held
//!    ^                   | refused as late: release everywhere, then begin again
//!    |    come again     | refused as busy: release everywhere, wait to be told
//!    +---- Deferred <----+
//! ```

use crate::base::limits;
use crate::txn::lock::{Refusal, TxnId, Verdict};
use crate::txn::wait::board::Board;
use std::sync::atomic::{AtomicU64, Ordering};

/// Refusals after which a transaction asks for priority.
pub const REFUSALS_MAX: u32 = 3;

/// What all coordinators of the process share.
#[derive(Debug)]
pub struct TxnClock {
    last_id: AtomicU64,
    /// Whether a transaction has priority.
    priority: AtomicU64,
    /// Which clients wait.
    pub board: Board,
}

/// Numbers up to this are those of the shards' own claims ([`crate::txn::awaited`]): before every transaction.
pub const OWN_IDS: u64 = limits::SNAPSHOT_AWAITED_MAX;

impl Default for TxnClock {
    fn default() -> Self {
        TxnClock { last_id: AtomicU64::new(OWN_IDS), priority: AtomicU64::new(0), board: Board::default() }
    }
}

impl TxnClock {
    /// A number higher than every one before.
    pub fn next_id(&self) -> TxnId {
        TxnId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Takes the one priority there is; false if another transaction has it.
    pub fn take_priority(&self) -> bool {
        self.priority.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives it back.
    pub fn give_priority_back(&self) {
        self.priority.store(0, Ordering::Release);
    }
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Idle,
    Asking { missing: u32 },
    Deferred,
    Held,
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Nothing: other verdicts are to come.
    Wait,
    /// Every shard has granted: go ahead.
    Go,
    /// Release the claims of this attempt on every shard but the one that refused, then begin again.
    Again,
    /// Release as for `Again`; begin again once the shard that refused says so.
    Defer,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scheduling {
    id: TxnId,
    state: State,
    /// Attempts that were refused.
    refusals: u32,
    priority: bool,
}

impl Default for Scheduling {
    fn default() -> Self {
        Scheduling { id: TxnId(0), state: State::Idle, refusals: 0, priority: false }
    }
}

impl Scheduling {
    /// The number of the attempt under way.
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// Attempts that were refused.
    pub fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Whether this attempt has priority, which is to be given back when the transaction ends.
    pub fn has_priority(&self) -> bool {
        self.priority
    }

    /// Whether every shard has granted.
    pub fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// Whether the next attempt should have priority, if it is to be had.
    pub fn wants_priority(&self) -> bool {
        !self.priority && self.refusals >= REFUSALS_MAX
    }

    /// A new attempt: claims go out to `shards` shards under the new number `id`.
    pub fn begin(&mut self, id: TxnId, shards: usize, priority: bool) {
        assert!(matches!(self.state, State::Idle | State::Deferred), "an attempt begins when the last is over");
        assert!(id > self.id && shards > 0, "every attempt has a new number, and shards to ask");
        self.id = id;
        self.priority |= priority;
        self.state = State::Asking { missing: shards as u32 };
    }

    /// A shard granted or refused the claim of attempt `id`. Queued claims are granted later; nothing is said of them.
    pub fn on_verdict(&mut self, id: TxnId, verdict: Verdict) -> Next {
        let State::Asking { missing } = self.state else { return Next::Wait };
        if id != self.id {
            // of an attempt that was given up
            return Next::Wait;
        }
        match verdict {
            Verdict::Queued => Next::Wait,
            Verdict::Granted if missing > 1 => {
                self.state = State::Asking { missing: missing - 1 };
                Next::Wait
            }
            Verdict::Granted => {
                self.state = State::Held;
                Next::Go
            }
            Verdict::Refused(refusal) => {
                assert!(!self.priority, "priority is never refused");
                self.refusals += 1;
                match refusal {
                    Refusal::Late => {
                        self.state = State::Idle;
                        Next::Again
                    }
                    Refusal::Busy(_) => {
                        self.state = State::Deferred;
                        Next::Defer
                    }
                }
            }
        }
    }

    /// A shard that refused attempt `id` as busy says to come again. True if a new attempt is to begin.
    pub fn on_come_again(&mut self, id: TxnId) -> bool {
        self.state == State::Deferred && self.id == id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_when_every_shard_has_granted() {
        let mut s = Scheduling::default();
        s.begin(TxnId(1), 3, false);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Granted), Next::Wait);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Queued), Next::Wait);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Granted), Next::Wait);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Granted), Next::Go);
        assert!(s.is_held());
    }

    #[test]
    fn verdicts_of_an_attempt_that_was_given_up_count_for_nothing() {
        let mut s = Scheduling::default();
        s.begin(TxnId(1), 2, false);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Refused(Refusal::Late)), Next::Again);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Refused(Refusal::Late)), Next::Wait);
        s.begin(TxnId(5), 2, false);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Granted), Next::Wait);
        assert_eq!(s.on_verdict(TxnId(5), Verdict::Granted), Next::Wait);
        assert_eq!(s.on_verdict(TxnId(5), Verdict::Granted), Next::Go);
        assert_eq!(s.refusals(), 1);
    }

    #[test]
    fn a_deferred_one_waits_to_be_told() {
        let mut s = Scheduling::default();
        s.begin(TxnId(1), 2, false);
        assert_eq!(s.on_verdict(TxnId(1), Verdict::Refused(Refusal::Busy(TxnId(9)))), Next::Defer);
        assert!(!s.on_come_again(TxnId(7)));
        assert!(s.on_come_again(TxnId(1)));
        s.begin(TxnId(2), 2, false);
        assert!(!s.on_come_again(TxnId(1)), "told twice");
    }

    #[test]
    fn only_one_has_priority() {
        let clock = TxnClock::default();
        assert!(clock.take_priority() && !clock.take_priority());
        clock.give_priority_back();
        assert!(clock.take_priority());
        assert!(clock.next_id() < clock.next_id());
    }

    #[test]
    fn priority_is_wanted_after_some_refusals() {
        let mut s = Scheduling::default();
        for attempt in 1..=u64::from(REFUSALS_MAX) {
            assert!(!s.wants_priority());
            s.begin(TxnId(attempt), 1, false);
            assert_eq!(s.on_verdict(TxnId(attempt), Verdict::Refused(Refusal::Late)), Next::Again);
        }
        assert!(s.wants_priority());
        s.begin(TxnId(100), 1, true);
        assert!(s.has_priority() && !s.wants_priority());
    }
}

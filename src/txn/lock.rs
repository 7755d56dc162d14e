//! The locks of one shard: which transactions hold which keys, who waits for whom, who is turned away. A plain
//! synchronous structure: it sends nothing, runs nothing, and knows neither time nor other shards.
//!
//! A transaction over several shards takes a number ([`TxnId`]) from one counter of the process and **claims** all its
//! keys on all its shards at once, in parallel (after VLL: Ren, Thomson, Abadi, "Lightweight locking for main memory
//! database systems", VLDB 2012). On each shard a claim is
//!
//! - **granted** if it conflicts with no claim that is there,
//! - **queued** behind those with lower numbers that it conflicts with, granted or not; claims with higher numbers that
//!   have not been granted go behind it,
//! - **refused as late** if one with a higher number that it conflicts with has been granted already.
//!
//! So claims only ever wait for lower numbers: no circle of waiting, hence no deadlock. A refused transaction releases
//! its claims everywhere and comes again with a new number. One that was refused too often comes with **priority**, of
//! which only one transaction of the process has any at a time: it is never refused, waits for all that is there, and
//! whatever comes after it and conflicts with it is **refused as busy**, and told when to come again. Nothing
//! ever waits for it, so it is granted in the end; this takes the place of a barrier over the whole keyspace.
//!
//! Claims are on key fingerprints ([`crate::base::hash::Position`]), whatever the database: two keys with one
//! fingerprint, or the same name in two databases, exclude each other for nothing, which is safe, and lets SWAPDB, MOVE
//! and COPY need no rule of their own. A claim on the **whole** shard (FLUSHALL, KEYS) conflicts with every other
//! unless both only read.
//!
//! Commands on one shard take no locks: they run at once unless a granted claim is in the way ([`LockTable::blocks`]),
//! and before anything that waits.

use ahash::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Number of one attempt of a transaction; from one counter of the process, so no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// Fingerprint of a key.
pub type LockKey = u64;

/// What a transaction may do under a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Read, as others may.
    Shared,
    /// Write.
    Exclusive,
}

impl Mode {
    fn conflicts(self, other: Mode) -> bool {
        self == Mode::Exclusive || other == Mode::Exclusive
    }
}

/// What a transaction locks on one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Each key once; empty if the whole shard is claimed.
    keys: SmallVec<[(LockKey, Mode); 2]>,
    /// The whole shard.
    whole: Option<Mode>,
}

impl Claim {
    /// A claim on the whole shard.
    pub fn whole(mode: Mode) -> Self {
        Claim { keys: SmallVec::new(), whole: Some(mode) }
    }

    /// Adds a key; the stronger mode counts if it is there already.
    pub fn add(&mut self, key: LockKey, mode: Mode) {
        if let Some(whole) = &mut self.whole {
            *whole = mode.max(*whole);
            return;
        }
        self.keys.push((key, mode));
    }

    /// Adds the whole shard.
    pub fn add_whole(&mut self, mode: Mode) {
        self.whole = Some(mode.max(self.whole.unwrap_or(mode)).max(self.mode()));
        self.keys.clear();
    }

    /// To be called when everything was added: brings each key down to once.
    pub fn seal(&mut self) {
        self.keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        self.keys.dedup_by_key(|(key, _)| *key);
    }

    /// The keys and their modes.
    pub fn keys(&self) -> &[(LockKey, Mode)] {
        &self.keys
    }

    /// Whether it claims the whole shard.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Whether it claims nothing.
    pub fn is_empty(&self) -> bool {
        self.whole.is_none() && self.keys.is_empty()
    }

    /// The strongest mode in it.
    pub fn mode(&self) -> Mode {
        let keys = self.keys.iter().map(|(_, mode)| *mode).max();
        keys.max(self.whole).unwrap_or(Mode::Shared)
    }
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The locks are held.
    Granted,
    /// [`LockTable::next_grant`] will name it.
    Queued,
    /// See [`Refusal`]. The shard keeps nothing of it.
    Refused(Refusal),
}

/// Why a claim was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A conflicting claim with a higher number is granted: come again with a new number, at once.
    Late,
    /// This transaction has priority: come again when it has released.
    Busy(TxnId),
}

#[derive(Debug, Clone)]
struct Txn {
    claim: Claim,
    /// Conflicting claims that come first; one for each key that they conflict on.
    blockers: u32,
    granted: bool,
    priority: bool,
}

/// A claim's place among those on the same key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: TxnId,
    mode: Mode,
    granted: bool,
    priority: bool,
}

impl Entry {
    /// Whether this claim waits for `other`, given that they conflict.
    fn waits_for(&self, other: &Entry) -> bool {
        self.priority || (!other.priority && other.id < self.id)
    }
}

type Queue = SmallVec<[Entry; 2]>;

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct LockTable {
    txns: HashMap<TxnId, Txn, RandomState>,
    queues: HashMap<LockKey, Queue, RandomState>,
    /// Claims on the whole shard.
    wholes: Queue,
    /// Granted claims.
    granted: usize,
    /// Of those, the ones that may write.
    granted_exclusive: usize,
    /// Queued claims that nothing blocks any more.
    ready: SmallVec<[TxnId; 4]>,
}

impl LockTable {
    /// Whether any claim is here, granted or queued. While not, commands need no other test.
    #[inline]
    pub fn any_held(&self) -> bool {
        !self.txns.is_empty()
    }

    /// Claims that are granted.
    pub fn granted_count(&self) -> usize {
        self.granted
    }

    /// Claims that wait.
    pub fn queued_count(&self) -> usize {
        self.txns.len() - self.granted
    }

    /// Keys that are locked or waited for.
    pub fn key_count(&self) -> usize {
        self.queues.len()
    }

    /// A line for each claim, for people.
    pub fn describe(&self) -> Vec<String> {
        let line = |(id, txn): (&TxnId, &Txn)| {
            let (keys, whole) = (txn.claim.keys.len(), txn.claim.whole);
            format!(
                "claim {}: granted {}, priority {}, waits for {}, {keys} keys, whole {whole:?}",
                id.0, txn.granted, txn.priority, txn.blockers
            )
        };
        self.txns.iter().map(line).collect()
    }

    /// Whether a granted claim keeps a single-shard command from `key`.
    pub fn blocks(&self, key: LockKey, mode: Mode) -> bool {
        let in_the_way = |queue: &Queue| queue.iter().any(|e| e.granted && e.mode.conflicts(mode));
        in_the_way(&self.wholes) || self.queues.get(&key).is_some_and(in_the_way)
    }

    /// Whether granted claims keep a single-shard command that may touch any key from running.
    pub fn blocks_whole(&self, mode: Mode) -> bool {
        if mode == Mode::Exclusive { self.granted > 0 } else { self.granted_exclusive > 0 }
    }

    /// Whether granted claims keep out a single-shard command that claims this.
    pub fn blocks_claim(&self, claim: &Claim) -> bool {
        match claim.whole {
            Some(mode) => self.blocks_whole(mode),
            None => claim.keys.iter().any(|(key, mode)| self.blocks(*key, *mode)),
        }
    }

    /// Puts a sealed claim in. `id` was never used here before.
    pub fn schedule(&mut self, id: TxnId, claim: Claim, priority: bool) -> Verdict {
        assert!(!self.txns.contains_key(&id), "an attempt claims once per shard");
        let me = Entry { id, mode: claim.mode(), granted: false, priority };
        let mut blockers = 0;
        let mut overtaken: SmallVec<[TxnId; 8]> = SmallVec::new();
        let mut refusal = None;
        self.each_conflict(&me, &claim, |other| {
            if me.waits_for(other) {
                blockers += 1;
            } else if other.priority {
                refusal = Some(Refusal::Busy(other.id));
            } else if other.granted {
                refusal = refusal.or(Some(Refusal::Late));
            } else {
                overtaken.push(other.id);
            }
        });
        if let Some(refusal) = refusal {
            return Verdict::Refused(refusal);
        }
        for other in overtaken {
            self.txns.get_mut(&other).expect("every entry has its transaction").blockers += 1;
            self.ready.retain(|ready| *ready != other);
        }
        match claim.whole {
            Some(_) => self.wholes.push(me),
            None => {
                for &(key, mode) in &claim.keys {
                    self.queues.entry(key).or_default().push(Entry { mode, ..me });
                }
            }
        }
        self.txns.insert(id, Txn { claim, blockers, granted: false, priority });
        if blockers > 0 {
            return Verdict::Queued;
        }
        self.grant(id);
        Verdict::Granted
    }

    /// Takes a claim out, granted or queued, and returns it; `None` if it is not here. Then commands that waited for
    /// its keys may run, and after them [`LockTable::next_grant`] names the claims whose turn has come.
    pub fn release(&mut self, id: TxnId) -> Option<Claim> {
        let txn = self.txns.remove(&id)?;
        self.ready.retain(|ready| *ready != id);
        if txn.granted {
            self.granted -= 1;
            self.granted_exclusive -= usize::from(txn.claim.mode() == Mode::Exclusive);
        }
        if txn.claim.whole.is_some() {
            self.wholes.retain(|e| e.id != id);
        }
        for (key, _) in &txn.claim.keys {
            if let Some(queue) = self.queues.get_mut(key) {
                queue.retain(|e| e.id != id);
                if queue.is_empty() {
                    self.queues.remove(key);
                }
            }
        }
        let gone = Entry { id, mode: txn.claim.mode(), granted: txn.granted, priority: txn.priority };
        let mut freed: SmallVec<[TxnId; 8]> = SmallVec::new();
        self.each_conflict(&gone, &txn.claim, |other| {
            if other.waits_for(&gone) && !other.granted {
                freed.push(other.id);
            }
        });
        for other in freed {
            let waiter = self.txns.get_mut(&other).expect("every entry has its transaction");
            waiter.blockers -= 1;
            if waiter.blockers == 0 {
                self.ready.push(other);
            }
        }
        Some(txn.claim)
    }

    /// The claim that [`LockTable::next_grant`] would grant.
    pub fn next_ready(&self) -> Option<&Claim> {
        self.ready.iter().min().map(|id| &self.txns[id].claim)
    }

    /// Grants one of the queued claims that nothing blocks any more, lowest number first.
    pub fn next_grant(&mut self) -> Option<TxnId> {
        let (at, _) = self.ready.iter().enumerate().min_by_key(|(_, id)| **id)?;
        let id = self.ready.swap_remove(at);
        self.grant(id);
        Some(id)
    }

    fn grant(&mut self, id: TxnId) {
        let txn = self.txns.get_mut(&id).expect("only a claim that is here is granted");
        assert!(!txn.granted && txn.blockers == 0, "a claim is granted once, when nothing blocks it");
        txn.granted = true;
        self.granted += 1;
        self.granted_exclusive += usize::from(txn.claim.mode() == Mode::Exclusive);
        for (key, _) in &txn.claim.keys {
            let queue = self.queues.get_mut(key).expect("a claim stands in the queue of each of its keys");
            queue.iter_mut().filter(|e| e.id == id).for_each(|e| e.granted = true);
        }
        self.wholes.iter_mut().filter(|e| e.id == id).for_each(|e| e.granted = true);
    }

    /// Every claim that conflicts with this one; on keys, once for each key.
    fn each_conflict(&self, me: &Entry, claim: &Claim, mut visit: impl FnMut(&Entry)) {
        if let Some(mode) = claim.whole {
            for (other, txn) in self.txns.iter().filter(|(other, _)| **other != me.id) {
                let theirs = txn.claim.mode();
                if theirs.conflicts(mode) {
                    visit(&Entry { id: *other, mode: theirs, granted: txn.granted, priority: txn.priority });
                }
            }
            return;
        }
        for (key, mode) in &claim.keys {
            let Some(queue) = self.queues.get(key) else { continue };
            queue.iter().filter(|e| e.id != me.id && e.mode.conflicts(*mode)).for_each(&mut visit);
        }
        let strongest = claim.mode();
        self.wholes.iter().filter(|e| e.id != me.id && e.mode.conflicts(strongest)).for_each(&mut visit);
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod protocol_tests;

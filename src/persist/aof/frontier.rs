//! How far each shard's log would survive a crash now. A log is durable up to some position; but recovery cuts it at
//! the first transaction over several shards that another log does not hold ([`crate::persist::aof::cut`]). So what
//! a reply saw is safe once the logs are durable beyond it *and* no such transaction stands before it. All cores share
//! one frontier; they meet in its lock only for transactions over several shards.

use crate::shard::journal::Place;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

/// A transaction that several shards have a part of.
#[derive(Debug)]
pub struct Participants {
    /// Its number.
    pub id: u64,
    /// The shards that may have written for it.
    pub shards: SmallVec<[u16; 4]>,
    /// Whether recovery would keep it.
    safe: AtomicBool,
}

impl Participants {
    /// A transaction that has no part in any log yet.
    pub fn new(id: u64, shards: impl Iterator<Item = u16>) -> Self {
        Participants { id, shards: shards.collect(), safe: AtomicBool::new(false) }
    }

    /// Whether recovery would keep it.
    pub fn is_safe(&self) -> bool {
        self.safe.load(Ordering::Acquire)
    }
}

/// All that was journaled up to a moment, for who waits until a power loss would keep it.
#[derive(Debug)]
pub struct Barrier {
    ends: Vec<u64>,
    /// Transactions over several shards that were not safe then: a part that is still to come stands behind `ends`.
    open: Vec<Arc<Participants>>,
}

/// A transaction that is not safe yet.
#[derive(Debug)]
struct Open {
    participants: Arc<Participants>,
    /// Where its parts stand, those that are there.
    places: SmallVec<[(u16, Place); 4]>,
}

#[derive(Debug, Default)]
struct Line {
    /// The journal's end.
    end: Arc<AtomicU64>,
    /// What is kept by itself, in the way that the policy wants it.
    durable: AtomicU64,
    /// What survives a power loss by itself.
    synced: AtomicU64,
    /// The begin of the first part whose transaction is not safe; the largest number if there is none.
    cap: AtomicU64,
    /// Whether this core wants to be woken when the frontier moves.
    waits: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub struct Frontier {
    lines: Box<[Line]>,
    open: Mutex<Vec<Open>>,
    /// How many are open.
    count: AtomicUsize,
    /// Whether there are logs, and they work.
    works: AtomicBool,
}

impl Frontier {
    /// For `shards` shards whose journals are at their begin. There are no logs yet.
    pub fn new(shards: usize) -> Self {
        let line = || Line { cap: AtomicU64::new(u64::MAX), ..Line::default() };
        let lines = (0..shards).map(|_| line()).collect();
        Frontier { lines, open: Mutex::default(), count: AtomicUsize::new(0), works: AtomicBool::new(false) }
    }

    /// Whether there are logs, and they work. While not, nothing is ever safe and nobody is to wait for it.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Acquire)
    }

    /// There are logs now, or there are none any more; then wakes whoever waits.
    pub fn set_working(&self, works: bool, ring: impl FnMut(usize)) {
        self.works.store(works, Ordering::SeqCst);
        if !works {
            let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
            // nobody is to wait for them, also not once there are logs again
            open.iter().for_each(|txn| txn.participants.safe.store(true, Ordering::Release));
            self.count.store(0, Ordering::SeqCst);
            self.lines.iter().for_each(|line| line.cap.store(u64::MAX, Ordering::SeqCst));
            let waiting = (0..self.lines.len()).filter(|core| self.lines[*core].waits.swap(false, Ordering::SeqCst));
            waiting.for_each(ring);
        }
    }

    /// Whether the shard's log has a part of a transaction that is not safe yet.
    pub fn is_capped(&self, shard: usize) -> bool {
        self.lines[shard].cap.load(Ordering::Acquire) != u64::MAX
    }

    /// The counter that a shard's journal keeps its end in.
    pub fn end_counter(&self, shard: usize) -> Arc<AtomicU64> {
        self.lines[shard].end.clone()
    }

    /// The end of a shard's journal: whatever it has said so far came from before.
    pub fn end(&self, shard: usize) -> u64 {
        self.lines[shard].end.load(Ordering::Acquire)
    }

    /// The position up to which a shard's log would survive.
    pub fn safe(&self, shard: usize) -> u64 {
        let line = &self.lines[shard];
        line.durable.load(Ordering::Acquire).min(line.cap.load(Ordering::Acquire))
    }

    /// A transaction ends: from now on each of its shards will journal its part. To be called before any of them may.
    pub fn open(&self, participants: &Arc<Participants>) {
        if !self.works() {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(Open { participants: participants.clone(), places: SmallVec::new() });
        self.count.store(open.len(), Ordering::Release);
    }

    /// Its part stands in `shard`'s journal at `place`. To be called before anything that follows is told to anybody.
    pub fn place(&self, shard: usize, id: u64, place: Place) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // the latest are at the end
        if let Some(found) = open.iter_mut().rev().find(|open| open.participants.id == id) {
            found.places.push((shard as u16, place));
            self.lines[shard].cap.fetch_min(place.0, Ordering::AcqRel);
        }
    }

    /// `shard`'s log is durable up to `durable`. Wakes, by `ring`, the cores that wait for it.
    pub fn advance(&self, shard: usize, durable: u64, ring: impl FnMut(usize)) {
        self.lines[shard].durable.store(durable, Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0 {
            self.settle();
        }
        let waiting = (0..self.lines.len()).filter(|core| *core != shard);
        waiting.filter(|core| self.lines[*core].waits.swap(false, Ordering::SeqCst)).for_each(ring);
    }

    /// `shard`'s log survives a power loss up to `synced`.
    #[inline]
    pub fn synced(&self, shard: usize, synced: u64) {
        self.lines[shard].synced.store(synced, Ordering::Release);
    }

    /// The ends of all journals.
    fn ends(&self) -> Vec<u64> {
        (0..self.lines.len()).map(|shard| self.end(shard)).collect()
    }

    /// Whether all logs survive a power loss up to these positions.
    fn is_synced_to(&self, ends: &[u64]) -> bool {
        self.lines.iter().zip(ends).all(|(line, end)| line.synced.load(Ordering::Acquire) >= *end)
    }

    /// Says that core `core` has something to do once the frontier moves. What it waits for may have come meanwhile:
    /// it must look again.
    pub fn wait(&self, core: usize) {
        self.lines[core].waits.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// What is journaled now.
    pub fn barrier(&self) -> Barrier {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.iter().map(|txn| txn.participants.clone()).collect();
        Barrier { ends: self.ends(), open }
    }

    /// Whether a power loss would keep all that is before the barrier. Recovery would cut a log in front of a part
    /// whose transaction another log does not hold: so the parts that were to come must be there, with all that they
    /// themselves follow, and then the logs must have been synced up to where they ended by that time.
    pub fn is_passed(&self, barrier: &mut Barrier) -> bool {
        if !barrier.open.is_empty() {
            if !barrier.open.iter().all(|txn| txn.is_safe()) {
                return false;
            }
            *barrier = Barrier { ends: self.ends(), open: Vec::new() };
        }
        self.is_synced_to(&barrier.ends)
    }

    /// Finds the transactions that recovery would keep.
    fn settle(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: SmallVec<[u64; 16]> = self.lines.iter().map(|line| line.durable.load(Ordering::SeqCst)).collect();
        let is_whole = |txn: &Open, kept: &[u64]| {
            txn.places.len() == txn.participants.shards.len()
                && txn.places.iter().all(|(shard, place)| place.1 <= kept[usize::from(*shard)])
        };
        loop {
            let mut cut = false;
            for txn in open.iter() {
                if is_whole(txn, &kept) {
                    continue;
                }
                for (shard, place) in &txn.places {
                    let kept = &mut kept[usize::from(*shard)];
                    cut |= *kept > place.0;
                    *kept = place.0.min(*kept);
                }
            }
            if !cut {
                break;
            }
        }
        open.retain(|txn| {
            let whole = is_whole(txn, &kept);
            if whole {
                txn.participants.safe.store(true, Ordering::Release);
            }
            !whole
        });
        self.count.store(open.len(), Ordering::Release);
        for (shard, line) in self.lines.iter().enumerate() {
            let places = open.iter().flat_map(|txn| &txn.places).filter(|(of, _)| usize::from(*of) == shard);
            let first = places.map(|(_, place)| place.0).min();
            line.cap.store(first.unwrap_or(u64::MAX), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(frontier: &Frontier, id: u64, shards: &[u16]) -> Arc<Participants> {
        frontier.set_working(true, |_| {});
        let participants = Arc::new(Participants::new(id, shards.iter().copied()));
        frontier.open(&participants);
        participants
    }

    #[test]
    fn without_transactions_durable_is_safe() {
        let frontier = Frontier::new(2);
        let mut rung = Vec::new();
        frontier.wait(0);
        frontier.wait(1);
        frontier.advance(1, 10, |core| rung.push(core));
        frontier.advance(1, 11, |core| rung.push(core));
        assert_eq!((frontier.safe(0), frontier.safe(1), rung), (0, 11, vec![0]));
    }

    #[test]
    fn what_follows_a_transaction_waits_for_all_its_parts() {
        let frontier = Frontier::new(3);
        // 1 stands on shards 0 and 1, 2 on 1 and 2 before it on shard 1
        let (first, second) = (open(&frontier, 1, &[0, 1]), open(&frontier, 2, &[1, 2]));
        frontier.place(0, 1, (10, 20));
        frontier.place(1, 2, (5, 15));
        frontier.place(1, 1, (15, 30));
        frontier.advance(0, 100, |_| {});
        frontier.advance(1, 100, |_| {});
        // 2 has no part on shard 2 yet: shard 1 would be cut there, and shard 0 with it
        assert_eq!([0, 1, 2].map(|shard| frontier.safe(shard)), [10, 5, 0]);
        assert!(!first.is_safe() && !second.is_safe());
        frontier.place(2, 2, (0, 9));
        frontier.advance(2, 8, |_| {});
        assert_eq!(frontier.safe(0), 10);
        frontier.advance(2, 9, |_| {});
        assert_eq!([0, 1, 2].map(|shard| frontier.safe(shard)), [100, 100, 9]);
        assert!(first.is_safe() && second.is_safe());
    }

    #[test]
    fn a_barrier_waits_for_the_parts_that_were_still_to_come() {
        let frontier = Frontier::new(2);
        let ends = |ends: [u64; 2]| (0..2).for_each(|at| frontier.end_counter(at).store(ends[at], Ordering::Release));
        let sync = |at: usize, to: u64| {
            frontier.synced(at, to);
            frontier.advance(at, to, |_| {});
        };
        frontier.set_working(true, |_| {});
        ends([10, 10]);
        let mut plain = frontier.barrier();
        assert!(!frontier.is_passed(&mut plain));
        sync(0, 10);
        sync(1, 10);
        assert!(frontier.is_passed(&mut plain));
        // its part on shard 0 is journaled and a write after it, its part on shard 1 is not
        open(&frontier, 1, &[0, 1]);
        frontier.place(0, 1, (10, 20));
        ends([30, 10]);
        let mut barrier = frontier.barrier();
        sync(0, 30);
        assert!(!frontier.is_passed(&mut barrier), "recovery would cut shard 0 at 10");
        frontier.place(1, 1, (10, 20));
        ends([40, 25]);
        frontier.advance(1, 25, |_| {});
        assert!(!frontier.is_passed(&mut barrier), "written, not synced");
        sync(1, 25);
        assert!(!frontier.is_passed(&mut barrier), "up to all that was there when the parts were");
        sync(0, 40);
        assert!(frontier.is_passed(&mut barrier));
    }

    #[test]
    fn transactions_in_opposite_orders_become_safe_together() {
        let frontier = Frontier::new(2);
        let (first, second) = (open(&frontier, 1, &[0, 1]), open(&frontier, 2, &[0, 1]));
        frontier.place(0, 1, (0, 10));
        frontier.place(0, 2, (10, 20));
        frontier.place(1, 2, (0, 10));
        frontier.place(1, 1, (10, 20));
        frontier.advance(0, 20, |_| {});
        frontier.advance(1, 10, |_| {});
        assert!(!first.is_safe() && !second.is_safe());
        assert_eq!((frontier.safe(0), frontier.safe(1)), (0, 0));
        frontier.advance(1, 20, |_| {});
        assert!(first.is_safe() && second.is_safe());
        assert_eq!((frontier.safe(0), frontier.safe(1)), (20, 20));
    }
}

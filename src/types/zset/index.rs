//! A sorted set beyond a listpack's size: records in an [`Arena`], their order in a [`Tree`], and [`Members`] to find
//! them by. Keeps the three in step; never decides when a set is small.

use super::arena::{Arena, Ref};
use super::members::{Hash, Members};
use super::tree::{self, Spot, Tree};
use crate::base::hash::Position;
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use crate::types::table::prefetch;

/// See [`Index::prefetch_removals`].
const REMOVALS_AHEAD: usize = 4;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    arena: Arena,
    members: Members,
    tree: Tree,
}

impl Index {
    pub(super) fn new() -> Self {
        Index { arena: Arena::default(), members: Members::new(), tree: Tree::new() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Heap bytes, its own box included.
    pub(super) fn bytes(&self) -> usize {
        self.arena.bytes() + self.members.bytes() + self.tree.bytes() + size_of::<Self>()
    }

    #[inline]
    pub(super) fn prefetch_place(&self, member: Position) {
        self.members.prefetch_place(Hash::at(member));
    }

    #[inline]
    pub(super) fn prefetch_member(&self, member: Position) {
        self.members.prefetch_record(&self.arena, Hash::at(member));
    }

    #[inline]
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(&self.arena, Hash::of(member), member).map(|at| self.arena.score(at))
    }

    /// Gives a member the score that `change` makes of its present one, or leaves it where that answers `None`; returns
    /// the present one.
    pub(super) fn upsert(&mut self, member: &[u8], change: impl FnOnce(Option<f64>) -> Option<f64>) -> Option<f64> {
        let hash = Hash::of(member);
        let found = self.members.find(&self.arena, hash, member);
        let old = found.map(|at| self.arena.score(at));
        let Some(score) = change(old) else { return old };
        match (found, old) {
            (Some(at), Some(old)) => {
                if old != score {
                    self.tree.rescore(&self.arena, old, score, at);
                }
                self.arena.set_score(at, score);
            }
            _ => {
                let at = self.arena.add(score, member);
                self.members.insert(&self.arena, hash, at);
                self.tree.insert(&self.arena, score, at);
            }
        }
        old
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = Hash::of(member);
        let at = self.members.find(&self.arena, hash, member)?;
        let score = self.arena.score(at);
        self.tree.remove(&self.arena, score, at);
        self.forget(hash, at);
        Some(score)
    }

    /// Removes the entry of this rank.
    pub(super) fn remove_at(&mut self, rank: usize) {
        let is_last = rank + 1 == self.len();
        if rank == 0 || is_last {
            self.prefetch_removals(rank, is_last);
        }
        let Some(at) = self.tree.remove_rank(rank) else { return };
        self.forget(Hash::of(self.arena.member(at)), at);
    }

    /// Who takes from an end will probably take more there: asks for the record of the one that is twice
    /// [`REMOVALS_AHEAD`] away, and for what leads to the one that is half as far. A million ZPOPMINs in pipelines
    /// of 16 take 0.40 us each outside the kernel so, 0.57 without.
    fn prefetch_removals(&self, rank: usize, back: bool) {
        let Some(spot) = self.tree.spot(rank) else { return };
        self.prefetch_record(spot, 2 * REMOVALS_AHEAD, back);
        if let Some(near) = self.tree.skip(spot, REMOVALS_AHEAD, back) {
            self.members.prefetch_place(Hash::of(self.get(near).0));
        }
    }

    /// Asks for the record of the entry that is `steps` away.
    #[inline]
    pub(super) fn prefetch_record(&self, spot: Spot, steps: usize, back: bool) {
        if let Some(far) = self.tree.skip(spot, steps, back) {
            prefetch(self.arena.address(self.tree.get(far).1));
        }
    }

    fn forget(&mut self, hash: Hash, at: Ref) {
        let was_known = self.members.remove(hash, at);
        assert!(was_known, "every member in the tree is in the table");
        self.arena.remove(at);
    }

    /// Rank and score.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let at = self.members.find(&self.arena, Hash::of(member), member)?;
        let score = self.arena.score(at);
        Some((self.tree.count(tree::order(&self.arena, score, member)), score))
    }

    /// How many entries have a score that is `before`, which holds for a beginning of the order.
    pub(super) fn count_scores(&self, before: impl Fn(f64) -> bool) -> usize {
        self.tree.count(|score, _| before(score))
    }

    /// How many entries have a member that is `before`, all scores being equal.
    pub(super) fn count_members(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        self.tree.count(|_, at| before(self.arena.member(at)))
    }

    #[inline]
    pub(super) fn spot(&self, rank: usize) -> Option<Spot> {
        self.tree.spot(rank)
    }

    #[inline]
    pub(super) fn get(&self, spot: Spot) -> (&[u8], f64) {
        let (score, at) = self.tree.get(spot);
        (self.arena.member(at), score)
    }

    #[inline]
    pub(super) fn step(&self, spot: Spot, back: bool) -> Option<Spot> {
        self.tree.skip(spot, 1, back)
    }

    /// See [`Members::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, count, |at| visit(self.arena.member(at), self.arena.score(at)))
    }

    /// See [`super::Zset::defrag`].
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        let mut place = Place::of(from);
        let ended = self.arena.defrag(mover, &mut place)
            && self.members.defrag(mover, &mut place)
            && self.tree.defrag(mover, &mut place);
        (!ended).then(|| place.reached())
    }

    /// Goes on with a copy, which was [`Index::default`] at first; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Index, progress: &mut Progress) -> bool {
        self.arena.copy_step(&mut copy.arena, progress)
            && self.members.copy_step(&mut copy.members, progress)
            && self.tree.copy_step(&mut copy.tree, progress)
    }

    /// Frees up to `budget` allocations; true if the rest may simply be dropped.
    pub(super) fn free_step(&mut self, mut budget: usize) -> bool {
        self.tree.free_step(&mut budget) && self.members.free_step(&mut budget) && self.arena.free_step(&mut budget)
    }
}

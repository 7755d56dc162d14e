//! A sorted set: members with scores, in order of score, then of the members' bytes. Up to the limits its caller names
//! it is a listpack, beyond them an index; it never goes back. Never knows keys, commands or clients.
//!
//! Every range that commands ask for is one of ranks in the end: [`Zset::score_ranks`] and [`Zset::lex_ranks`] turn the
//! others into ranks, in one descent for each end.
//!
//! Measured against the skip list and hash table of Redis, see `zset/tree.rs` and `zset/members.rs` for why:
//! the index takes 50 to 55 bytes for a member of 16 bytes.

mod arena;
mod copying;
mod defrag;
mod index;
mod members;
mod packed;
mod range;
mod tree;

pub use range::{LexBound, LexRange, ScoreRange};

use crate::base::hash::Position;
use crate::base::thin::Thin;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use crate::types::hash::PackLimits;
use crate::types::listpack::{At, Item, Listpack};
use index::Index;
use packed::Packed;
use smallvec::SmallVec;
use std::ops::Range;
use tree::Spot;

/// See the module. Scores are never NaN.
#[derive(Debug, Clone)]
pub struct Zset(Repr);

#[derive(Debug, Clone)]
enum Repr {
    Packed(Packed),
    Indexed(Thin<Index>),
}

impl Default for Zset {
    fn default() -> Self {
        Self::new()
    }
}

/// Same members with the same scores.
impl PartialEq for Zset {
    fn eq(&self, other: &Self) -> bool {
        let same = |((a, x), (b, y)): ((Item<'_>, f64), (Item<'_>, f64))| x == y && a.with_bytes(|a| b.is(a));
        self.len() == other.len() && self.iter().zip(other.iter()).all(same)
    }
}

impl Eq for Zset {}

impl Zset {
    /// An empty one.
    pub fn new() -> Self {
        Zset(Repr::Packed(Packed::default()))
    }

    /// What [`Zset::copy_step`] fills; `None` of a small one.
    pub(super) fn begin_copy(&self) -> Option<Zset> {
        match &self.0 {
            Repr::Packed(_) => None,
            Repr::Indexed(_) => Some(Zset(Repr::Indexed(Thin::new(Index::default())))),
        }
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Zset, progress: &mut Progress) -> bool {
        match (&self.0, &mut copy.0) {
            (Repr::Indexed(index), Repr::Indexed(copy)) => index.copy_step(copy, progress),
            _ => true,
        }
    }

    /// First step of a batch of lookups: see [`crate::types::value::Value::prefetch_place`].
    #[inline]
    pub(super) fn prefetch_place(&self, member: Position) {
        if let Repr::Indexed(index) = &self.0 {
            index.prefetch_place(member);
        }
    }

    /// Second step.
    #[inline]
    pub(super) fn prefetch_member(&self, member: Position) {
        if let Repr::Indexed(index) = &self.0 {
            index.prefetch_member(member);
        }
    }

    /// Members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.len(),
            Repr::Indexed(index) => index.len(),
        }
    }

    /// No member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The listpack of member, score, member, score, if it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Repr::Packed(packed) => Some(&packed.pack),
            Repr::Indexed(_) => None,
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Packed(_) => "listpack",
            Repr::Indexed(_) => "skiplist",
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Repr::Packed(packed) => packed.find(member).map(|(_, score)| score),
            Repr::Indexed(index) => index.score(member),
        }
    }

    /// Sets a member's score, adding it if need be; returns the score it had.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: PackLimits) -> Option<f64> {
        self.upsert(member, limits, |_| Some(score))
    }

    /// Gives a member the score that `change` makes of the one it has (`None` if it is not there), or leaves everything
    /// as it is if that answers `None`. Returns the score it had.
    #[inline]
    pub fn upsert(
        &mut self,
        member: &[u8],
        limits: PackLimits,
        change: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Option<f64> {
        match &mut self.0 {
            Repr::Indexed(index) => index.upsert(member, change),
            Repr::Packed(packed) => {
                let found = packed.find(member);
                let old = found.map(|(_, score)| score);
                let Some(score) = change(old) else { return old };
                debug_assert!(!score.is_nan());
                match found {
                    Some((_, old)) if old.to_bits() == score.to_bits() => {}
                    Some((at, _)) => packed.rescore(at, member, score),
                    None => self.add(member, score, limits),
                }
                old
            }
        }
    }

    /// Adds a member that a listpack does not have.
    fn add(&mut self, member: &[u8], score: f64, limits: PackLimits) {
        if let Repr::Packed(packed) = &mut self.0 {
            let fits = member.len() as u64 <= limits.value_bytes && packed.pack.has_room(member.len() + 64);
            if fits && (packed.len() as u64) < limits.entries {
                return packed.insert(member, score);
            }
        }
        self.make_index().upsert(member, |_| Some(score));
    }

    /// Makes it an index if it is none.
    fn make_index(&mut self) -> &mut Index {
        if let Repr::Packed(_) = self.0 {
            let mut index = Thin::new(Index::new());
            for (member, score) in self.iter() {
                member.with_bytes(|member| index.upsert(member, |_| Some(score)));
            }
            self.0 = Repr::Indexed(index);
        }
        match &mut self.0 {
            Repr::Indexed(index) => index,
            Repr::Packed(_) => unreachable!("it has just become an index"),
        }
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Repr::Packed(packed) => {
                let (at, score) = packed.find(member)?;
                packed.remove_at(at);
                Some(score)
            }
            Repr::Indexed(index) => index.remove(member),
        }
    }

    /// Removes the members of these ranks, which are within the set.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Repr::Packed(packed) => packed.remove_range(ranks),
            Repr::Indexed(index) => ranks.clone().for_each(|_| index.remove_at(ranks.start)),
        }
    }

    /// A member's rank, counted from the least score, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Repr::Packed(packed) => packed.rank(member),
            Repr::Indexed(index) => index.rank(member),
        }
    }

    /// The ranks of the members whose scores are in `range`.
    pub fn score_ranks(&self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let (below, reached) = (|score| range.is_below(score), |score| range.reaches(score));
        let (start, end) = match &self.0 {
            Repr::Packed(packed) => (packed.count_scores(below), packed.count_scores(reached)),
            Repr::Indexed(index) => (index.count_scores(below), index.count_scores(reached)),
        };
        start..end.max(start)
    }

    /// The ranks of the members that are in `range`, all having the same score; otherwise some members, which in a
    /// listpack depend on whether they are asked for from behind (`back`), as in Redis.
    pub fn lex_ranks(&self, range: &LexRange<'_>, back: bool) -> Range<usize> {
        match &self.0 {
            Repr::Packed(packed) => packed.lex_ranks(range, back),
            Repr::Indexed(_) if range.is_empty() => 0..0,
            Repr::Indexed(index) => {
                let start = index.count_members(|member| range.is_below(member));
                let end = index.count_members(|member| range.reaches(member));
                start..end.max(start)
            }
        }
    }

    /// All members with their scores, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len(), false)
    }

    /// The members of these ranks, in order or, `back`, the last one first. The ranks are within the set.
    pub fn range(&self, ranks: Range<usize>, back: bool) -> Iter<'_> {
        let left = ranks.len();
        let first = if back { ranks.end.saturating_sub(1) } else { ranks.start };
        let place = match &self.0 {
            _ if left == 0 => Place::End,
            Repr::Packed(packed) if back => Place::Back(packed, packed.places().skip(ranks.start).take(left).collect()),
            Repr::Packed(packed) => packed.seek(first).map_or(Place::End, |at| Place::Packed(packed, at)),
            Repr::Indexed(index) => index.spot(first).map_or(Place::End, |spot| Place::Indexed(index, spot)),
        };
        Iter { place, back, left }
    }

    /// The member of this rank and its score.
    pub fn nth(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        if rank < self.len() { self.range(rank..rank + 1, false).next() } else { None }
    }

    /// One step of ZSCAN: visits about `count` members from `cursor` on and answers the next cursor, 0 at the end. A
    /// listpack is visited whole. Every member that is there from the first step to the last is visited at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, f64)) -> u64 {
        match &self.0 {
            Repr::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Repr::Indexed(index) => index.scan(cursor, count, |member, score| visit(Item::Str(member), score)),
        }
    }

    /// Bytes of heap behind it.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.pack.heap_bytes(),
            Repr::Indexed(index) => index.bytes(),
        }
    }

    /// Moves blocks out of pages that hold little else, from where the last step ended (0 to begin with); `None` when
    /// all were looked at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        match &mut self.0 {
            Repr::Packed(packed) => packed.pack.defrag(mover),
            Repr::Indexed(index) => {
                mover.thin(index);
                return index.defrag(mover, from);
            }
        }
        None
    }

    /// Frees up to `budget` allocations of a set that nobody reads any more; true if the rest may simply be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Repr::Packed(_) => true,
            Repr::Indexed(index) => index.free_step(budget),
        }
    }
}

/// How far before a member is read its record is asked for.
const AHEAD: usize = 4;

#[derive(Debug, Clone)]
enum Place<'a> {
    Packed(&'a Packed, At),
    /// Those that are left, the next one last.
    Back(&'a Packed, SmallVec<[At; 32]>),
    Indexed(&'a Index, Spot),
    End,
}

/// Members with their scores; see [`Zset::range`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    place: Place<'a>,
    back: bool,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        match &mut self.place {
            Place::Back(packed, places) => {
                let at = places.pop()?;
                Some((packed.pack.get(at), packed.score_of(at)))
            }
            &mut Place::Packed(packed, at) => {
                self.place = packed.next(at).map_or(Place::End, |next| Place::Packed(packed, next));
                Some((packed.pack.get(at), packed.score_of(at)))
            }
            &mut Place::Indexed(index, spot) => {
                if self.left > AHEAD {
                    index.prefetch_record(spot, AHEAD, self.back);
                }
                let next = index.step(spot, self.back);
                self.place = next.map_or(Place::End, |next| Place::Indexed(index, next));
                let (member, score) = index.get(spot);
                Some((Item::Str(member), score))
            }
            Place::End => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
#[path = "zset_tests.rs"]
mod tests;

//! A small sorted set: a listpack of member, score, member, score, in order, as Redis keeps and saves it. Every search
//! is a walk. Never decides when a set has become too large for that.

use super::range::LexRange;
use crate::base::text;
use crate::types::listpack::{At, Item, Listpack};
use std::ops::Range;

/// Writes a score as the set keeps and saves it, and hands it to `f`. Whole numbers are integers, so -0 becomes 0, as
/// in Redis.
fn with_score_text<R>(score: f64, f: impl FnOnce(&[u8]) -> R) -> R {
    f(&text::double(if score == 0.0 { 0.0 } else { score }))
}

/// Reads a score; what is no number counts as 0, which only a damaged file can hold.
#[inline]
fn read_score(item: Item<'_>) -> f64 {
    match item {
        Item::Int(n) => n as f64,
        Item::Str(text) => text::parse_f64(text).unwrap_or(0.0),
    }
}

/// Whether `item`, as a member, comes before `member`.
#[inline]
fn is_less(item: Item<'_>, member: &[u8]) -> bool {
    item.with_bytes(|own| own < member)
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Packed {
    pub(super) pack: Listpack,
}

impl Packed {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.pack.len() / 2
    }

    /// Place of a member and its score.
    pub(super) fn find(&self, member: &[u8]) -> Option<(At, f64)> {
        let at = self.pack.find(member, None, 1)?;
        Some((at, self.score_of(at)))
    }

    /// The score of the member at `at`.
    #[inline]
    pub(super) fn score_of(&self, at: At) -> f64 {
        self.pack.next(at).map_or(0.0, |score| read_score(self.pack.get(score)))
    }

    /// The member after the one at `at`.
    #[inline]
    pub(super) fn next(&self, at: At) -> Option<At> {
        self.pack.next(self.pack.next(at)?)
    }

    /// The member of this rank.
    pub(super) fn seek(&self, rank: usize) -> Option<At> {
        self.pack.seek(rank as i64 * 2)
    }

    /// Members in order, with their places.
    pub(super) fn places(&self) -> impl Iterator<Item = At> + '_ {
        std::iter::successors(self.pack.first(), |at| self.next(*at))
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let at = self.places().find(|at| {
            let other = self.score_of(*at);
            other > score || (other == score && !is_less(self.pack.get(*at), member))
        });
        with_score_text(score, |text| match at {
            None => {
                self.pack.push_back(member);
                self.pack.push_back(text);
            }
            Some(at) => {
                let at = self.pack.insert_before(at, text);
                self.pack.insert_before(at, member);
            }
        });
    }

    /// Removes the member at `at`.
    pub(super) fn remove_at(&mut self, at: At) {
        self.pack.remove_range(at, 2);
    }

    /// Gives the member at `at` another score.
    pub(super) fn rescore(&mut self, at: At, member: &[u8], score: f64) {
        let before = self.places().take_while(|other| *other != at).last();
        let stays = before.is_none_or(|before| self.score_of(before) < score)
            && self.next(at).is_none_or(|next| score < self.score_of(next));
        if stays && let Some(old) = self.pack.next(at) {
            with_score_text(score, |text| self.pack.replace(old, text));
            return;
        }
        self.remove_at(at);
        self.insert(member, score);
    }

    pub(super) fn remove_range(&mut self, ranks: Range<usize>) {
        if let Some(at) = self.seek(ranks.start) {
            self.pack.remove_range(at, ranks.len() * 2);
        }
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let (at, score) = self.find(member)?;
        let rank = self.places().position(|other| other == at)?;
        Some((rank, score))
    }

    pub(super) fn count_scores(&self, before: impl Fn(f64) -> bool) -> usize {
        self.places().take_while(|at| before(self.score_of(*at))).count()
    }

    /// The ranks of `range`. Where scores differ, which makes such a range meaningless, the members found are those
    /// that Redis finds in a small set: forwards or `back`, up to the first that does not belong.
    pub(super) fn lex_ranks(&self, range: &LexRange<'_>, back: bool) -> Range<usize> {
        let below = |at: At| self.pack.get(at).with_bytes(|own| range.is_below(own));
        let reached = |at: At| self.pack.get(at).with_bytes(|own| range.reaches(own));
        let places: smallvec::SmallVec<[At; 64]> = self.places().collect();
        let ends = (places.first(), places.last());
        let (Some(first), Some(last)) = ends else { return 0..0 };
        if range.is_empty() || below(*last) || !reached(*first) {
            return 0..0;
        }
        if back {
            let end = places.iter().rposition(|at| reached(*at)).map_or(0, |last| last + 1);
            let start = places[..end].iter().rposition(|at| below(*at)).map_or(0, |before| before + 1);
            return start..end;
        }
        let start = places.iter().position(|at| !below(*at)).unwrap_or(places.len());
        let count = places[start..].iter().take_while(|at| reached(**at)).count();
        start..start + count
    }
}

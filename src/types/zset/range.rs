//! The two kinds of range that sorted sets are asked for beside ranks: of scores, and of members in the order of their
//! bytes. Never sees a set.

use std::cmp::Ordering;

/// Scores between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// Least score.
    pub min: f64,
    /// Whether `min` itself is left out.
    pub min_excluded: bool,
    /// Greatest score.
    pub max: f64,
    /// Whether `max` itself is left out.
    pub max_excluded: bool,
}

impl ScoreRange {
    /// Whether `score` is too small.
    #[inline]
    pub fn is_below(&self, score: f64) -> bool {
        if self.min_excluded { score <= self.min } else { score < self.min }
    }

    /// Whether `score` is not too great.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        if self.max_excluded { score < self.max } else { score <= self.max }
    }

    /// Whether no score can be in it.
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_excluded || self.max_excluded))
    }
}

/// An end of a range of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Least,
    /// `[member`
    Included(&'a [u8]),
    /// `(member`
    Excluded(&'a [u8]),
    /// `+`: after every member.
    Most,
}

impl LexBound<'_> {
    /// As what it compares, for [`LexRange::is_empty`].
    fn place(&self) -> (u8, &[u8]) {
        match self {
            LexBound::Least => (0, b""),
            LexBound::Included(bytes) | LexBound::Excluded(bytes) => (1, bytes),
            LexBound::Most => (2, b""),
        }
    }
}

/// Members between two bounds; meant for sets whose members all have one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Least member.
    pub min: LexBound<'a>,
    /// Greatest member.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether `member` is too small.
    #[inline]
    pub fn is_below(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Least => false,
            LexBound::Included(min) => member < min,
            LexBound::Excluded(min) => member <= min,
            LexBound::Most => true,
        }
    }

    /// Whether `member` is not too great.
    #[inline]
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Least => false,
            LexBound::Included(max) => member <= max,
            LexBound::Excluded(max) => member < max,
            LexBound::Most => true,
        }
    }

    /// Whether no member can be in it.
    pub fn is_empty(&self) -> bool {
        match self.min.place().cmp(&self.max.place()) {
            Ordering::Less => false,
            Ordering::Equal => {
                !(matches!(self.min, LexBound::Included(_)) && matches!(self.max, LexBound::Included(_)))
            }
            Ordering::Greater => true,
        }
    }
}

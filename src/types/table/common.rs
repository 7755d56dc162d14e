//! What two tables of members have in common. Never changes either.
//!
//! Both are laid out by the same hash, so the entries of one segment have their counterparts in one segment of the
//! other table, if that is not cut finer; and the low bits of a position, from which the other index's tag is made, can
//! be had from a tag. So a member is neither hashed nor, unless its counterpart's tag is there, read.

use super::bucket::SLOTS;
use super::index::At;
use super::members::Placing;
use super::pool::Pool;
use super::segment::Segment;
use super::{EntryView, Table};
use crate::base::hash::Position;

impl Table {
    /// Shows this table's entries whose keys `other` has, too, until `visit` answers false. False, and nothing shown,
    /// if that has to be found out key by key. Both hold members of values.
    pub fn common<'a>(&'a self, other: &Table, mut visit: impl FnMut(EntryView<'a>) -> bool) -> bool {
        if self.placing != Placing::Hash || other.placing != Placing::Hash {
            return false;
        }
        let mut pairs = Vec::with_capacity(self.segments.len());
        let mut position = Some(0);
        while let Some(number) = position.and_then(|at| self.directory.get(at)) {
            let segment = &self.segments[number as usize];
            let Some(there) = other.segment(Position(segment.start)) else { return true };
            if there.depth > segment.depth {
                return false;
            }
            pairs.push((segment, there));
            position = segment.last().checked_add(1);
        }
        for (segment, there) in pairs {
            for bucket in 0..segment.index.buckets() {
                if !common_in(&self.pool, segment, bucket, &other.pool, there, &mut visit) {
                    return true;
                }
            }
        }
        true
    }
}

/// Shows the entries of one bucket that `there` has, too; false as soon as `visit` says so.
fn common_in<'a>(
    pool: &'a Pool,
    segment: &'a Segment,
    bucket: usize,
    other: &Pool,
    there: &Segment,
    visit: &mut impl FnMut(EntryView<'a>) -> bool,
) -> bool {
    let mut found = [(At::default(), 0u16); SLOTS];
    let mut count = 0;
    for (at, tag) in segment.index.places_in(pool, bucket) {
        let tag = other.tag(u64::from(pool.low_bits(tag)));
        if there.may_have(other, tag) {
            segment.prefetch(pool, at);
            found[count] = (at, tag);
            count += 1;
        }
    }
    for &(at, tag) in &found[..count] {
        let view = segment.view(pool, at);
        if there.has(other, tag, view.key) && !visit(view) {
            return false;
        }
    }
    true
}

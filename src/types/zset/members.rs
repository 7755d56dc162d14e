//! Finds the record of a member by its bytes: an extendible hash table of references. Never owns a member.
//!
//! The upper bits of a member's hash choose a segment through the directory; the lowest 16 are its tag. A segment is an
//! array with gaps, ordered by tag: an entry stands at or behind the place its tag maps to, so a search reads a few
//! neighbouring tags and looks at a record only where the tag agrees. Growing a segment by a quarter needs no record,
//! as tags tell the new places; six bytes per place at 70 to 87% load are less than any table of powers of two takes.
//! A segment of about [`SPLIT_LEN`] entries splits by one more bit of the hash, which is the longest step there is.

use super::arena::{Arena, Ref};
use crate::base::hash::{self, Position};
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use crate::types::table::prefetch;

/// Entries at which a segment splits at the soonest.
const SPLIT_LEN: usize = 4096;
/// How much later the last of many segments splits than the first, in 64ths: they are about equally full, and one
/// command of many members would meet several splits of 0.4 ms each. ZADDs of 100 members, ten million in all, that
/// took more than 2 ms: 13 and 50 of 100,000 without, 8 and 18 so.
const SPLIT_SPREAD: u64 = 10;
/// Places behind those that tags map to.
const TAIL: usize = 8;
/// No entry.
const FREE: Ref = Ref::MAX;
/// Bits of the hash that the directory may use.
const DEPTH_MAX: u32 = 28;
const TAG_BITS: u32 = 16;

#[derive(Debug, Clone, Default)]
struct Segment {
    tags: Vec<u16>,
    refs: Vec<Ref>,
    /// Places that tags map to; the arrays may be a little longer.
    places: u32,
    len: u32,
    depth: u32,
}

impl Segment {
    fn with_room(len: usize, depth: u32) -> Self {
        let places = len * 10 / 7 + 4;
        let all = places + TAIL;
        Segment { tags: vec![0; all], refs: vec![FREE; all], places: places as u32, len: 0, depth }
    }

    #[inline(always)]
    fn home(&self, tag: u16) -> usize {
        ((u64::from(tag) * u64::from(self.places)) >> TAG_BITS) as usize
    }

    #[inline(always)]
    fn find(&self, tag: u16, mut is: impl FnMut(Ref) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        while let (Some(&found), Some(&other)) = (self.refs.get(at), self.tags.get(at)) {
            if found == FREE || other > tag {
                return None;
            }
            if other == tag && is(found) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    fn put(&mut self, tag: u16, value: Ref) {
        let mut at = self.home(tag);
        while at < self.refs.len() && self.refs[at] != FREE && self.tags[at] <= tag {
            at += 1;
        }
        let gap = self.refs[at..].iter().position(|other| *other == FREE).map_or(self.refs.len(), |gap| at + gap);
        if gap == self.refs.len() {
            self.refs.reserve_exact(TAIL);
            self.tags.reserve_exact(TAIL);
            self.refs.push(FREE);
            self.tags.push(0);
        }
        self.refs.copy_within(at..gap, at + 1);
        self.tags.copy_within(at..gap, at + 1);
        self.refs[at] = value;
        self.tags[at] = tag;
        self.len += 1;
    }

    fn take(&mut self, at: usize) -> Ref {
        let taken = self.refs[at];
        let mut end = at + 1;
        while end < self.refs.len() && self.refs[end] != FREE && self.home(self.tags[end]) < end {
            end += 1;
        }
        self.refs.copy_within(at + 1..end, at);
        self.tags.copy_within(at + 1..end, at);
        self.refs[end - 1] = FREE;
        self.len -= 1;
        taken
    }

    /// The same entries in an array that is 70% full with `room` of them.
    fn resized(&self, room: usize) -> Self {
        let mut new = Segment::with_room(room, self.depth);
        for (tag, value) in self.entries() {
            new.put(tag, value);
        }
        new
    }

    fn entries(&self) -> impl Iterator<Item = (u16, Ref)> + '_ {
        self.tags.iter().copied().zip(self.refs.iter().copied()).filter(|(_, value)| *value != FREE)
    }

    fn bytes(&self) -> usize {
        self.tags.capacity() * size_of::<u16>() + self.refs.capacity() * size_of::<Ref>()
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    segments: Vec<Segment>,
    /// Segment by the first `depth` bits of the hash.
    directory: Vec<u32>,
    depth: u32,
    /// Bytes of the segments' arrays.
    bytes: usize,
}

/// A member's hash, to look it up more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    #[inline]
    pub(super) fn of(member: &[u8]) -> Self {
        Hash(hash::hash(member))
    }

    /// Of the member with this position.
    pub(super) fn at(position: Position) -> Self {
        Hash(position.0.rotate_left(14))
    }

    fn tag(self) -> u16 {
        self.0 as u16
    }

    /// The first `depth` bits.
    fn prefix(self, depth: u32) -> usize {
        self.0.checked_shr(64 - depth).unwrap_or(0) as usize
    }
}

impl Members {
    pub(super) fn new() -> Self {
        Members { segments: vec![Segment::default()], directory: vec![0], depth: 0, bytes: 0 }
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.segments.capacity() * size_of::<Segment>() + self.directory.capacity() * size_of::<u32>()
    }

    #[inline]
    fn segment(&self, hash: Hash) -> usize {
        self.directory[hash.prefix(self.depth)] as usize
    }

    #[inline]
    pub(super) fn find(&self, arena: &Arena, hash: Hash, member: &[u8]) -> Option<Ref> {
        let segment = &self.segments[self.segment(hash)];
        let at = segment.find(hash.tag(), |other| arena.member(other) == member)?;
        Some(segment.refs[at])
    }

    /// First step of a batch of lookups: asks for the tags and references around a member's place.
    #[inline]
    pub(super) fn prefetch_place(&self, hash: Hash) {
        let segment = &self.segments[self.segment(hash)];
        let home = segment.home(hash.tag());
        if let (Some(tag), Some(found)) = (segment.tags.get(home), segment.refs.get(home)) {
            prefetch(tag);
            prefetch(found);
        }
    }

    /// Second step: asks for the record.
    #[inline]
    pub(super) fn prefetch_record(&self, arena: &Arena, hash: Hash) {
        let segment = &self.segments[self.segment(hash)];
        segment.find(hash.tag(), |found| {
            prefetch(arena.address(found));
            true
        });
    }

    /// Enters a member that is not there.
    pub(super) fn insert(&mut self, arena: &Arena, hash: Hash, value: Ref) {
        let mut number = self.segment(hash);
        if self.is_due(number) {
            self.split(arena, number, hash);
            number = self.segment(hash);
        }
        let segment = &mut self.segments[number];
        self.bytes -= segment.bytes();
        if (segment.len + 1) * 8 > segment.places * 7 {
            *segment = segment.resized(segment.len as usize);
        }
        segment.put(hash.tag(), value);
        self.bytes += segment.bytes();
    }

    /// Whether a segment's own turn to split has come, see [`SPLIT_SPREAD`].
    #[inline]
    fn is_due(&self, number: usize) -> bool {
        let segment = &self.segments[number];
        // even over any run of numbers
        let turn = (number as u32).wrapping_mul(0x9e37_79b9);
        let later = ((u64::from(turn) * (SPLIT_SPREAD + 1)) >> 32) as usize * (SPLIT_LEN / 64);
        segment.len as usize >= SPLIT_LEN + later && segment.depth < DEPTH_MAX
    }

    /// Takes out what stands for `value`; false if it is not there.
    pub(super) fn remove(&mut self, hash: Hash, value: Ref) -> bool {
        let number = self.segment(hash);
        let segment = &mut self.segments[number];
        let Some(at) = segment.find(hash.tag(), |other| other == value) else { return false };
        segment.take(at);
        if segment.places > 64 && segment.len * 3 < segment.places {
            self.bytes -= segment.bytes();
            *segment = segment.resized(segment.len as usize);
            self.bytes += segment.bytes();
        }
        true
    }

    #[cold]
    fn split(&mut self, arena: &Arena, number: usize, hash: Hash) {
        let depth = self.segments[number].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|number| [*number, *number]).collect();
            self.depth = depth;
        }
        let old = std::mem::take(&mut self.segments[number]);
        let half = old.len as usize / 2;
        let (mut left, mut right) = (Segment::with_room(half, depth), Segment::with_room(half, depth));
        for (tag, value) in old.entries() {
            let bit = Hash::of(arena.member(value)).prefix(depth) & 1;
            if bit == 0 { left.put(tag, value) } else { right.put(tag, value) }
        }
        self.bytes = self.bytes + left.bytes() + right.bytes() - old.bytes();
        self.segments[number] = left;
        self.segments.push(right);
        let new = self.segments.len() as u32 - 1;
        let run = 1usize << (self.depth - depth);
        let first = (hash.prefix(depth) | 1) << (self.depth - depth);
        self.directory[first..first + run].fill(new);
    }

    /// One step of ZSCAN: visits at least `count` entries from `cursor` on, unless the end comes first; answers the
    /// next cursor, 0 at the end. What is there during a whole scan is visited: a segment that splits meanwhile is
    /// only visited again in part.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Ref)) -> u64 {
        let (mut prefix, mut from) = (cursor >> TAG_BITS & ((1 << DEPTH_MAX) - 1), cursor as u16);
        let mut visited = 0;
        loop {
            let segment = &self.segments[self.directory[(prefix >> (DEPTH_MAX - self.depth)) as usize] as usize];
            let mut last = None;
            for (tag, value) in segment.entries().skip_while(|(tag, _)| *tag < from) {
                if visited >= count && last != Some(tag) {
                    return prefix << TAG_BITS | u64::from(tag);
                }
                visit(value);
                visited += 1;
                last = Some(tag);
            }
            let span = 1u64 << (DEPTH_MAX - segment.depth);
            prefix = (prefix & !(span - 1)) + span;
            from = 0;
            if prefix >> DEPTH_MAX != 0 {
                return 0;
            }
            if visited >= count {
                return prefix << TAG_BITS;
            }
        }
    }

    /// Moves blocks that are worth it; false if some are left to look at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        let ended = mover.each(place, self.segments.iter_mut(), |mover, segment| {
            mover.vec(&mut segment.tags);
            mover.vec(&mut segment.refs);
        });
        if ended {
            mover.vec(&mut self.segments);
            mover.vec(&mut self.directory);
        }
        ended
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Members, progress: &mut Progress) -> bool {
        let whole = progress.list(&self.segments, &mut copy.segments, Segment::bytes);
        if whole {
            copy.directory = self.directory.clone();
            (copy.depth, copy.bytes) = (self.depth, self.bytes);
        }
        whole
    }

    /// Frees up to `budget` allocations; true if the rest may simply be dropped.
    pub(super) fn free_step(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && self.segments.pop().is_some() {
            *budget -= 1;
        }
        self.segments.is_empty()
    }
}

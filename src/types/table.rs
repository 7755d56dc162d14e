//! The keyspace's table: position = (slot, hash) to entry, in bounded segments that split and merge. Never reads a
//! clock, never touches more than one segment at a time but to walk all.
//!
//! ```text
//! position --directory--> segment --index bucket--> log page --> entry
//!  64 bits    one word      128 B     one cache        8 KB       header, expiry, key, value
//!           per range                   line
//! ```
//! - [`directory`]: as many words as the finest segment needs, at most one per slot, then sub-directories by hash bits;
//! - [`segment`]: an aligned power-of-two range of positions, at most 4096 entries, so a split (0.2 ms) is the longest
//!   pause there is: one hashbrown table of 10 million entries pauses 1.5 s to grow;
//! - [`index`], [`bucket`]: 16-bit tags and 32-bit words in cache lines, about 90% full;
//! - [`log`], [`entry`]: entries byte-exact, one behind the other; [`pool`]: the 8 KB pages of all that.
//!
//! A lookup misses the cache twice: the bucket and the entry. A batch of lookups hides both: [`Table::prefetch_bucket`]
//! for all, [`Table::prefetch_entry`] for all, then the lookups.
//!
//! A word of the index keeps 10 bits for its user ([`EntryView::access`]): reads note themselves there.

mod bucket;
mod common;
mod defrag;
mod directory;
mod entry;
mod expect;
mod free;
mod index;
mod log;
mod members;
mod occupied;
mod pool;
mod scan;
mod segment;
mod sweep;
mod twin;
mod walk;

pub use entry::EXPIRE_MS_MAX;
pub use members::Members;
pub use occupied::{Current, Occupied};
pub use scan::{cursor_at_slot, cursor_slot};
pub use sweep::Swept;
pub use walk::{Describe, WalkTerms, Written};

use crate::base::hash::Position;
use crate::types::value::{NewValue, Owned, Value, View};
use directory::{DEPTH_MAX, Directory};
use members::Placing;
use pool::Pool;
use segment::{Found, Segment, Tally, access};
use std::fmt;
use sweep::Sweeps;
use walk::Walk;

/// Key and value together live in the entry up to this; beyond, the value lives out of line.
pub const INLINE_BYTES_MAX: usize = 1024;

/// Largest value of the opaque access bits.
pub const ACCESS_MAX: u16 = (1 << segment::ACCESS_BITS) - 1;

/// A key with its position, computed once per command.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Slot and hash of the bytes.
    pub pos: Position,
}

impl<'a> Key<'a> {
    /// Computes the position of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Key { bytes, pos: Position::of(bytes) }
    }
}

/// One entry as a visitor sees it.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: View<'a>,
    /// Absolute expiry, Unix milliseconds; at most 2^48 - 1 (the year 10889).
    pub expire_ms: Option<u64>,
    /// 10 opaque bits for the eviction clock (LRU stamp or LFU counter).
    pub access: u16,
}

/// What to do with the expiry of a key that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// The key has no expiry afterwards.
    Clear,
    /// An expiry that is there stays.
    Keep,
    /// Absolute, Unix milliseconds.
    At(u64),
}

/// What a lookup that honours expiry found.
#[derive(Debug)]
pub enum Live<'a> {
    /// The entry; its access bits are stamped.
    Found(EntryView<'a>),
    /// Nothing, or an entry that is due and is kept.
    Missing,
    /// An entry that was due: it has been removed, its out-of-line value is handed over.
    Expired(Option<Box<Value>>),
}

/// What an insertion did.
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key was not there.
    New,
    /// The key was there; its out-of-line value is handed over.
    Replaced(Option<Box<Value>>),
}

/// A boxed value that was lent for an edit, by address, and its heap bytes as last counted.
#[derive(Debug, Clone, Copy)]
struct Lent {
    address: usize,
    counted: usize,
}

impl Lent {
    fn heap_bytes(self) -> usize {
        // SAFETY: the table settles a loan before it moves or removes any entry, so the value is still there; the
        // borrow that lent it has ended, because this needs the table.
        unsafe { &*std::ptr::with_exposed_provenance::<Value>(self.address) }.heap_bytes()
    }
}

/// Figures for DEBUG HTSTATS.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TableStats {
    /// Segments, empty ones included.
    pub segments: usize,
    /// Entries of the smallest and the largest segment.
    pub segment_len_min: usize,
    /// See `segment_len_min`.
    pub segment_len_max: usize,
    /// Deepest prefix of a segment, bits.
    pub depth_max: u32,
    /// Index slots.
    pub slots: usize,
    /// Entries that stand away from their home bucket, and the sum of their places in their probe sequences.
    pub displaced: usize,
    /// See `displaced`.
    pub displaced_by: usize,
    /// Bytes of live and of dead entries in the logs.
    pub live_bytes: usize,
    /// See `live_bytes`.
    pub dead_bytes: usize,
    /// Bytes of index and logs, and of all the chunks they are cut from.
    pub page_bytes: usize,
    /// See `page_bytes`.
    pub chunk_bytes: usize,
}

/// See the module.
#[derive(Default)]
pub struct Table {
    directory: Directory,
    /// By number; the numbers in `vacant` are in use by nobody.
    segments: Vec<Segment>,
    vacant: Vec<u32>,
    pool: Pool,
    tally: Tally,
    lent: Option<Lent>,
    sweeps: Sweeps,
    placing: Placing,
    walk: Option<Box<Walk>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("len", &self.len())
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Keys, those that are due but still there included.
    #[inline]
    pub fn len(&self) -> usize {
        self.tally.len
    }

    /// No keys.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tally.len == 0
    }

    /// Keys that carry an expiry.
    pub fn expiring(&self) -> usize {
        self.tally.expiring
    }

    #[inline(always)]
    fn segment(&self, pos: Position) -> Option<&Segment> {
        self.directory.get(pos.0).map(|number| &self.segments[number as usize])
    }

    /// First step of a batch lookup: brings the key's index bucket into the cache.
    #[inline]
    pub fn prefetch_bucket(&self, pos: Position) {
        if let Some(segment) = self.segment(pos)
            && let Some(bucket) = segment.index.prefetch_address(&self.pool, self.pool.tag(pos.0))
        {
            prefetch(bucket);
        }
    }

    /// Second step of a batch lookup: reads the bucket and brings the entry into the cache.
    #[inline]
    pub fn prefetch_entry(&self, pos: Position) {
        if let Some(segment) = self.segment(pos) {
            segment.prefetch_entry(&self.pool, pos.0);
        }
    }

    /// What a value's own second lookup may be prepared with, before it is known that the key is right: the out-of-line
    /// value of the first entry that looks like the key's.
    #[inline]
    pub fn likely_value(&self, pos: Position) -> Option<&Value> {
        self.segment(pos)?.likely_value(&self.pool, pos.0)
    }

    /// The entry, due or not; leaves no trace.
    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<EntryView<'_>> {
        let found = self.segment(key.pos)?.find(&self.pool, key)?;
        // SAFETY: the view borrows the table, and only methods with `&mut self` change its pages.
        Some(unsafe { found.entry.view(access(found.word)) })
    }

    /// Number of the segment that covers the key, and the entry.
    #[inline(always)]
    fn locate(&self, key: Key<'_>) -> Option<(usize, Found)> {
        let number = self.directory.get(key.pos.0)? as usize;
        let found = self.segments[number].find(&self.pool, key)?;
        Some((number, found))
    }

    /// Lookup that removes an entry that is due at `now_ms`, or with `keeps_due` passes it over, and sets the access
    /// bits of one that is not to what `stamp` makes of them.
    #[inline]
    pub fn find_live(
        &mut self,
        key: Key<'_>,
        now_ms: u64,
        keeps_due: bool,
        stamp: impl FnOnce(u16) -> u16,
    ) -> Live<'_> {
        let Some((number, found)) = self.locate(key) else { return Live::Missing };
        // SAFETY: the entry is live.
        if unsafe { found.entry.expire_ms() }.is_some_and(|at| at <= now_ms) {
            if keeps_due {
                return Live::Missing;
            }
            return Live::Expired(self.remove_found(number, &found, key.pos));
        }
        let old = access(found.word);
        let new = stamp(old);
        if new != old {
            self.segments[number].set_access(&self.pool, &found, new);
        }
        // SAFETY: the view borrows the table, and only methods with `&mut self` change its pages.
        Live::Found(unsafe { found.entry.view(new) })
    }

    /// The out-of-line value of an entry, for an edit in place; `None` if absent or inline.
    pub fn boxed_mut(&mut self, key: Key<'_>) -> Option<&mut Value> {
        self.settle();
        let (number, found) = self.locate(key)?;
        self.keep_old(number, key.pos.0);
        let boxed = found.entry.boxed()?;
        // SAFETY: the value belongs to the entry, and what is returned borrows the table.
        Some(unsafe { self.lend(boxed) })
    }

    /// Lends a boxed value for an edit; what that does to its heap bytes is counted by [`Table::settle`].
    ///
    /// # Safety
    /// A live entry owns the value, no other loan is open, and the caller ties `'a` to a borrow of this table.
    #[inline]
    unsafe fn lend<'a>(&mut self, boxed: *mut Value) -> &'a mut Value {
        // SAFETY: the entry owns its value; the borrow of the table keeps everything else from it.
        let value = unsafe { &mut *boxed };
        self.lent = Some(Lent { address: boxed.expose_provenance(), counted: value.heap_bytes() });
        value
    }

    /// Counts what an edit in place did to the heap bytes of the value that was lent.
    #[inline]
    fn settle(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.tally.boxed_bytes = self.tally.boxed_bytes + lent.heap_bytes() - lent.counted;
        }
    }

    /// Inserts or replaces. `stamp` makes the access bits, from those of the entry that is replaced.
    pub fn insert(
        &mut self,
        key: Key<'_>,
        value: NewValue<'_>,
        expire: Expire,
        stamp: impl FnOnce(Option<u16>) -> u16,
    ) -> Inserted {
        self.settle();
        let number = self.make_room(key.pos);
        self.keep_old(number, key.pos.0);
        let Table { segments, pool, tally, sweeps, .. } = self;
        let segment = &mut segments[number];
        if let Expire::At(at) = expire {
            sweeps.note_expiry(at);
        }
        match segment.find(pool, key) {
            Some(found) => {
                let stamped = stamp(Some(access(found.word)));
                Inserted::Replaced(segment.replace(pool, tally, &found, value, expire, stamped))
            }
            None => {
                let expire_ms = if let Expire::At(at) = expire { Some(at) } else { None };
                segment.insert(pool, tally, key, value, expire_ms, stamp(None));
                Inserted::New
            }
        }
    }

    /// The segment that covers `pos`, split first if it is full.
    #[inline]
    fn make_room(&mut self, pos: Position) -> usize {
        loop {
            let number = match self.directory.get(pos.0) {
                Some(number) => number as usize,
                None => self.begin(),
            };
            if !self.segments[number].is_full() || !self.split(number) {
                return number;
            }
        }
    }

    fn add_segment(&mut self, segment: Segment) -> u32 {
        if let Some(number) = self.vacant.pop() {
            self.segments[number as usize] = segment;
            return number;
        }
        if self.segments.len() == self.segments.capacity() {
            self.segments.reserve_exact(1 + self.segments.len() / 4);
        }
        self.segments.push(segment);
        self.segments.len() as u32 - 1
    }

    /// Splits a segment where its entries first part, however deep that is; what lies beside the way there becomes
    /// empty segments. False if 46 bits do not tell its entries apart: then it goes on growing.
    #[cold]
    fn split(&mut self, number: usize) -> bool {
        let entries = self.segments[number].positions(&mut self.pool, self.placing);
        let (first, _) = entries[0];
        let differing = entries.iter().fold(0, |bits, (pos, _)| bits | (pos ^ first));
        let common = differing.leading_zeros();
        if common >= DEPTH_MAX {
            self.keep_scratch(entries);
            return false;
        }
        let old_depth = self.segments[number].depth;
        self.directory.count(old_depth, -1);
        for depth in old_depth + 1..=common {
            self.place(None, prefix(first, depth) ^ bit(depth), depth);
        }
        let depth = common + 1;
        let left_start = prefix(first, common);
        let right = self.place(None, left_start | bit(depth), depth);
        if let Some(walk) = &mut self.walk {
            walk.split(number, right as usize);
        }
        let left = Segment::new(left_start, depth);
        let old = std::mem::replace(&mut self.segments[number], left);
        self.place(Some(number as u32), left_start, depth);
        let rights = entries.iter().filter(|(pos, _)| pos & bit(depth) != 0).count();
        let pool = &mut self.pool;
        self.segments[number].reserve(pool, entries.len() - rights);
        self.segments[right as usize].reserve(pool, rights);
        for &(pos, word) in &entries {
            let into = if pos & bit(depth) != 0 { right as usize } else { number };
            self.segments[into].adopt(pool, &old, pos, word);
        }
        old.abandon(pool);
        self.keep_scratch(entries);
        true
    }

    /// A keyspace keeps the space for the next split; there may be too many values that never see another.
    fn keep_scratch(&mut self, mut scratch: Vec<(u64, u32)>) {
        scratch.clear();
        self.pool.scratch = if self.placing == Placing::Slot { scratch } else { Vec::new() };
    }

    /// Enters a segment, a new empty one unless `number` says which, for the range of `depth` bits at `start`.
    fn place(&mut self, number: Option<u32>, start: u64, depth: u32) -> u32 {
        let number = number.unwrap_or_else(|| self.add_segment(Segment::new(start, depth)));
        self.directory.set(start, depth, number);
        self.directory.count(depth, 1);
        number
    }

    /// Merges a segment with its buddy while both are small enough, the smaller into the larger.
    #[cold]
    fn merge(&mut self, mut number: usize) {
        let mut moved = 0;
        while moved < segment::SPLIT_LEN / 4 {
            let Segment { start, depth, .. } = self.segments[number];
            if depth == 0 {
                return;
            }
            let Some(buddy) = self.directory.get(start ^ bit(depth)) else { return };
            let mut buddy = buddy as usize;
            if !self.segments[number].may_merge(&self.segments[buddy]) {
                return;
            }
            if self.segments[buddy].len() > self.segments[number].len() {
                (number, buddy) = (buddy, number);
            }
            moved += self.absorb(number, buddy);
        }
    }

    /// Moves the entries of `smaller` into its buddy; returns how many.
    fn absorb(&mut self, number: usize, smaller: usize) -> usize {
        let pool = &mut self.pool;
        let entries = self.segments[smaller].positions(pool, self.placing);
        let from = std::mem::replace(&mut self.segments[smaller], Segment::new(0, 0));
        let depth = from.depth;
        let into = &mut self.segments[number];
        into.reserve(pool, entries.len());
        for &(pos, word) in &entries {
            into.adopt(pool, &from, pos, word);
        }
        from.abandon(pool);
        into.depth = depth - 1;
        into.start = prefix(into.start, depth - 1);
        let start = into.start;
        self.vacant.push(smaller as u32);
        self.directory.count(depth, -2);
        self.place(Some(number as u32), start, depth - 1);
        self.directory.shrink();
        let moved = entries.len();
        self.keep_scratch(entries);
        moved
    }

    /// Sets or clears the expiry of an entry; false if it is not there.
    pub fn set_expire(&mut self, key: Key<'_>, at_ms: Option<u64>) -> bool {
        self.settle();
        let Some((number, found)) = self.locate(key) else { return false };
        self.keep_old(number, key.pos.0);
        self.segments[number].set_expire(&mut self.pool, &mut self.tally, &found, at_ms);
        if let Some(at) = at_ms {
            self.sweeps.note_expiry(at);
        }
        true
    }

    /// Sets the access bits of an entry; false if it is not there.
    pub fn set_access(&mut self, key: Key<'_>, access: u16) -> bool {
        let Some((number, found)) = self.locate(key) else { return false };
        self.segments[number].set_access(&self.pool, &found, access);
        true
    }

    /// Removes an entry and returns its value and expiry.
    pub fn remove(&mut self, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        let (number, found) = self.locate(key)?;
        let (inline, expire_ms) = self.segments[number].copy_out(&found);
        let boxed = self.remove_found(number, &found, key.pos).map(Owned::Boxed);
        Some((inline.or(boxed)?, expire_ms))
    }

    /// Removes an entry without copying it; `Some(out-of-line value)` if it was there.
    pub fn discard(&mut self, key: Key<'_>) -> Option<Option<Box<Value>>> {
        let (number, found) = self.locate(key)?;
        Some(self.remove_found(number, &found, key.pos))
    }

    fn remove_found(&mut self, number: usize, found: &Found, pos: Position) -> Option<Box<Value>> {
        self.settle();
        self.keep_old(number, pos.0);
        let segment = &mut self.segments[number];
        let boxed = segment.remove(&mut self.pool, &mut self.tally, found);
        let len = segment.len();
        if len.is_multiple_of(128) && len < segment::SPLIT_LEN / 2 && self.walk.is_none() {
            self.merge(number);
        }
        boxed
    }

    /// Bytes of heap behind the table, out-of-line values included. Walks neither segments nor entries.
    pub fn memory(&self) -> usize {
        let segments = self.segments.capacity() * size_of::<Segment>() + self.vacant.capacity() * size_of::<u32>();
        let lent = self.lent.map_or(0, |lent| lent.heap_bytes().wrapping_sub(lent.counted));
        (segments + self.directory.bytes() + self.pool.bytes() + self.tally.boxed_bytes).wrapping_add(lent)
    }

    /// Bytes of heap that hold no entry: the index, and room kept for growth. Walks the segments, not the entries.
    pub fn overhead(&self) -> usize {
        let entries: usize = self.segments.iter().map(|segment| segment.log_bytes().0).sum();
        self.memory().saturating_sub(entries + self.tally.boxed_bytes)
    }

    /// Bytes of heap that wait for new entries: free pages, and dead entries in others. Walks nothing.
    pub fn idle_bytes(&self) -> usize {
        self.pool.idle_bytes()
    }

    /// Bytes that one entry takes, its out-of-line value and its place in the index included.
    pub fn entry_bytes(&self, key: Key<'_>) -> Option<usize> {
        let segment = self.segment(key.pos)?;
        let found = segment.find(&self.pool, key)?;
        // SAFETY: the entry is live.
        let (value, outside) = unsafe { (found.entry.value(), found.entry.boxed_key().is_some()) };
        let boxed = if let View::Boxed(value) = value { value.heap_bytes() } else { 0 };
        let key_bytes = if outside { key.bytes.len() } else { 0 };
        let places = segment.index.buckets() * bucket::SLOTS;
        Some(found.entry.bytes() + boxed + key_bytes + segment.index.bytes().div_ceil(places))
    }

    /// Figures over all segments; visits every bucket.
    pub fn stats(&self) -> TableStats {
        let mut stats = TableStats { segment_len_min: usize::MAX, ..TableStats::default() };
        let mut position = Some(0);
        while let Some(segment) = position.and_then(|at| self.segment(Position(at))) {
            let (displaced, displaced_by) = segment.index.displacement(&self.pool);
            let (live, dead) = segment.log_bytes();
            stats.segments += 1;
            stats.segment_len_min = stats.segment_len_min.min(segment.len());
            stats.segment_len_max = stats.segment_len_max.max(segment.len());
            stats.depth_max = stats.depth_max.max(segment.depth);
            stats.slots += segment.index.buckets() * bucket::SLOTS;
            stats.displaced += displaced;
            stats.displaced_by += displaced_by;
            stats.live_bytes += live;
            stats.dead_bytes += dead;
            position = segment.last().checked_add(1);
        }
        stats.segment_len_min = stats.segment_len_min.min(stats.segment_len_max);
        stats.page_bytes = self.pool.bytes_used();
        stats.chunk_bytes = self.pool.bytes();
        stats
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.settle();
        if self.tally.boxed_bytes > 0 {
            let Table { segments, pool, tally, .. } = self;
            segments.iter_mut().for_each(|segment| segment.drop_entries(pool, tally));
        }
    }
}

/// The first `depth` bits of a position.
fn prefix(pos: u64, depth: u32) -> u64 {
    pos & !u64::MAX.checked_shr(depth).unwrap_or(0)
}

/// The last of the first `depth` bits.
fn bit(depth: u32) -> u64 {
    1 << (64 - depth)
}

/// Asks for a cache line.
#[inline(always)]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing; any address will do.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
#[cfg(test)]
mod table_tests;

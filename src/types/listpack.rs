//! A listpack: many short byte strings in one allocation. Looking something up is a walk, so callers bound how many
//! entries they keep. Never looks at what the strings mean.
//!
//! ```text
//! in memory       total bytes, 4, little-endian | entries, 2, little-endian | entry ...
//! as Redis has it total bytes, 4, little-endian | entries, 2, little-endian | entry, its length ... | 0xff
//! ```
//! An entry is drawn in `entry.rs`; 65535 entries mean "count them". The layout that Redis 7 keeps in memory and
//! writes into RDB files (`listpack.c`) has each entry's length behind it, to walk backwards. That takes a byte for an
//! entry, a tenth of a hash of ten short fields, and small values are hardly ever walked backwards; so it is only
//! added where bytes leave ([`Listpack::to_redis`]). The allocation may be longer than the listpack, by at most a
//! quarter and 32 bytes; the first four tell where it ends.

pub(crate) mod entry;

pub use entry::Item;

use crate::base::thin::ThinBytes;
use crate::types::defrag::Mover;
use entry::{Encoded, Needle};

/// Bytes before the first entry.
const HEADER_BYTES: usize = 6;
/// The byte behind the last entry.
const END: u8 = 0xff;
/// What the header says when there are at least this many entries.
const COUNT_UNKNOWN: usize = 0xffff;
/// Largest listpack, bytes (Redis LISTPACK_MAX_SAFETY_LIMIT).
pub const BYTES_MAX: usize = 1 << 30;

/// See the module.
#[derive(Clone)]
pub struct Listpack {
    bytes: ThinBytes,
}

/// A place in a listpack: where an entry begins. Good until the listpack changes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(u32);

/// Bytes that are not a listpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a listpack")]
pub struct Corrupt;

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Listpack {
    /// Moves it if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        mover.bytes(&mut self.bytes);
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.bytes[..self.end()] == other.bytes[..other.end()]
    }
}

impl Eq for Listpack {}

/// Tells whether an item holds `bytes`; faster than [`Item::is`] for many items.
pub fn matcher(bytes: &[u8]) -> impl Fn(Item<'_>) -> bool + '_ {
    let needle = Needle::new(bytes);
    move |item| needle.is(item)
}

/// A listpack as Redis has it, of `count` entries with their lengths behind them.
pub(crate) fn redis_of(entries: &[u8], count: usize) -> Vec<u8> {
    let total = HEADER_BYTES + entries.len() + 1;
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&(total as u32).to_le_bytes());
    bytes.extend_from_slice(&(count.min(COUNT_UNKNOWN) as u16).to_le_bytes());
    bytes.extend_from_slice(entries);
    bytes.push(END);
    bytes
}

/// The entries of what [`redis_of`] made.
pub(crate) fn entries_of(pack: &[u8]) -> &[u8] {
    &pack[HEADER_BYTES..pack.len() - 1]
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty one with room for `entry_bytes` bytes of entries.
    pub fn with_capacity(entry_bytes: usize) -> Self {
        let mut bytes = ThinBytes::zeroed(HEADER_BYTES + entry_bytes);
        bytes[..4].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        Listpack { bytes }
    }

    /// Takes bytes that came from outside, if they are a whole and well-formed listpack as Redis has it.
    pub fn from_redis(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (header, entries) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Corrupt)?;
        let (&end, entries) = entries.split_last().ok_or(Corrupt)?;
        let total = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if total != bytes.len() || total > BYTES_MAX || end != END {
            return Err(Corrupt);
        }
        let mut own = header.to_vec();
        let (mut at, mut count) = (0, 0);
        while at < entries.len() {
            let size = entry::checked_size(entries, at).ok_or(Corrupt)?;
            own.extend_from_slice(&entries[at..at + entry::own_size(entries, at)]);
            at += size;
            count += 1;
        }
        let told = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if told != COUNT_UNKNOWN && told != count {
            return Err(Corrupt);
        }
        let total = own.len();
        let mut list = Listpack { bytes: own.into_boxed_slice().into() };
        list.set_header(total, told);
        Ok(list)
    }

    /// The listpack as Redis has it.
    pub fn to_redis(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.bytes() + self.len());
        let mut at = HEADER_BYTES;
        while at < self.end() {
            let next = self.after(at);
            entry::push_whole(&mut entries, &self.bytes[at..next]);
            at = next;
        }
        redis_of(&entries, self.count_field())
    }

    /// Entries. Counts them if there are 65535 or more.
    #[inline]
    pub fn len(&self) -> usize {
        match self.count_field() {
            COUNT_UNKNOWN => self.iter().count(),
            count => count,
        }
    }

    /// No entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes() == HEADER_BYTES
    }

    /// Bytes of the listpack in memory, header included.
    #[inline]
    pub fn bytes(&self) -> usize {
        u32::from_le_bytes([self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]]) as usize
    }

    /// Bytes it takes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether entries of `more` bytes in all can be added without passing [`BYTES_MAX`].
    pub fn has_room(&self, more: usize) -> bool {
        self.bytes() + more <= BYTES_MAX
    }

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<At> {
        self.entry(HEADER_BYTES)
    }

    /// The last entry. Walks over all.
    #[inline]
    pub fn last(&self) -> Option<At> {
        self.prev_of(self.end())
    }

    /// The entry after `at`.
    #[inline]
    pub fn next(&self, at: At) -> Option<At> {
        self.entry(self.after(at.0 as usize))
    }

    /// The entry before `at`. Walks over all before it.
    pub fn prev(&self, at: At) -> Option<At> {
        self.prev_of(at.0 as usize)
    }

    /// What the entry at `at` holds.
    #[inline]
    pub fn get(&self, at: At) -> Item<'_> {
        entry::item_at(&self.bytes, at.0 as usize)
    }

    /// The entry `index`, from 0; negative: from the end, -1 being the last. Walks over all before it.
    pub fn seek(&self, index: i64) -> Option<At> {
        let index = if index < 0 { index + self.len() as i64 } else { index };
        if index < 0 {
            return None;
        }
        (0..index).try_fold(self.first()?, |at, _| self.next(at))
    }

    /// Adds an entry at the end.
    #[inline]
    pub fn push_back(&mut self, bytes: &[u8]) {
        self.put(self.end(), 0, &Encoded::of(bytes));
    }

    /// Adds an entry at the front.
    pub fn push_front(&mut self, bytes: &[u8]) {
        self.put(HEADER_BYTES, 0, &Encoded::of(bytes));
    }

    /// Adds a number at the end.
    pub fn push_back_int(&mut self, n: i64) {
        self.put(self.end(), 0, &Encoded::int(n));
    }

    /// Adds an entry before `at`; answers where it is.
    pub fn insert_before(&mut self, at: At, bytes: &[u8]) -> At {
        self.put(at.0 as usize, 0, &Encoded::of(bytes));
        at
    }

    /// Adds an entry after `at`; answers where it is.
    pub fn insert_after(&mut self, at: At, bytes: &[u8]) -> At {
        let next = self.after(at.0 as usize);
        self.put(next, 0, &Encoded::of(bytes));
        At(next as u32)
    }

    /// Puts another entry in the place of the one at `at`; answers where it is.
    pub fn replace(&mut self, at: At, bytes: &[u8]) -> At {
        let old = entry::own_size(&self.bytes, at.0 as usize);
        self.put(at.0 as usize, old, &Encoded::of(bytes));
        at
    }

    /// Removes the entry at `at`; answers the one that followed it.
    pub fn remove(&mut self, at: At) -> Option<At> {
        self.remove_range(at, 1)
    }

    /// Removes up to `count` entries from `at` on; answers the one that followed them.
    pub fn remove_range(&mut self, at: At, count: usize) -> Option<At> {
        let start = at.0 as usize;
        let (mut end, mut removed) = (start, 0);
        while removed < count && end < self.end() {
            end = self.after(end);
            removed += 1;
        }
        let len = self.len();
        let total = self.bytes();
        self.bytes.copy_within(end..total, start);
        self.set_header(total - (end - start), len - removed);
        self.shrink();
        self.entry(start)
    }

    /// The first entry from `from` on (`None`: from the front) that holds `bytes`; looks at one entry, passes over
    /// `skip`, looks at the next one, and so on.
    pub fn find(&self, bytes: &[u8], from: Option<At>, skip: usize) -> Option<At> {
        let needle = Needle::new(bytes);
        let mut at = from.map_or(HEADER_BYTES, |at| at.0 as usize);
        let end = self.end();
        while at < end {
            if needle.is(entry::item_at(&self.bytes, at)) {
                return Some(At(at as u32));
            }
            for _ in 0..=skip {
                if at >= end {
                    break;
                }
                at = self.after(at);
            }
        }
        None
    }

    /// What the entries hold, from front to back.
    pub fn iter(&self) -> Iter<'_> {
        Iter { entries: &self.bytes[..self.end()], at: HEADER_BYTES }
    }

    /// Gives back what the allocation has beyond the listpack.
    pub fn shrink_to_fit(&mut self) {
        let total = self.bytes();
        self.bytes.resize(total);
    }

    fn count_field(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[4], self.bytes[5]]))
    }

    /// Where the last entry ends.
    #[inline]
    fn end(&self) -> usize {
        self.bytes()
    }

    /// Where the entry after the one at `at` begins.
    #[inline]
    fn after(&self, at: usize) -> usize {
        at + entry::own_size(&self.bytes, at)
    }

    fn entry(&self, at: usize) -> Option<At> {
        (at < self.end()).then_some(At(at as u32))
    }

    fn prev_of(&self, at: usize) -> Option<At> {
        let mut place = self.first().filter(|first| (first.0 as usize) < at)?;
        while let Some(next) = self.next(place).filter(|next| (next.0 as usize) < at) {
            place = next;
        }
        Some(place)
    }

    fn set_header(&mut self, total: usize, count: usize) {
        self.bytes[..4].copy_from_slice(&(total as u32).to_le_bytes());
        self.bytes[4..6].copy_from_slice(&(count.min(COUNT_UNKNOWN) as u16).to_le_bytes());
    }

    /// Puts `new` where `old` bytes of entries were at `at`: all of one entry, or none.
    fn put(&mut self, at: usize, old: usize, new: &Encoded<'_>) {
        let (total, size) = (self.bytes(), new.own_size());
        let grown = total - old + size;
        assert!(grown <= BYTES_MAX, "the caller bounds a listpack");
        if grown > self.bytes.len() {
            self.bytes.resize(size_class(grown));
        }
        self.bytes.copy_within(at + old..total, at + size);
        new.write_own(&mut self.bytes[at..at + size]);
        let count = match self.count_field() {
            // Never counted again while it only grows.
            COUNT_UNKNOWN => COUNT_UNKNOWN,
            count => count + usize::from(old == 0),
        };
        self.set_header(grown, count);
        self.shrink();
    }

    /// Keeps the allocation from being much longer than the listpack.
    fn shrink(&mut self) {
        let total = self.bytes();
        if self.bytes.len() > total + total / 4 + 32 {
            self.bytes.resize(size_class(total));
        }
    }
}

/// What the allocator (mimalloc) gives for `bytes` anyway: multiples of 16, from 128 on four sizes per doubling. Room
/// up to there costs nothing, and a listpack that grows is not moved every time; an eighth more would cost the next
/// class, 64 bytes for a hash of ten fields.
fn size_class(bytes: usize) -> usize {
    let step = if bytes <= 128 { 16 } else { 1 << ((bytes - 1).ilog2() - 2) };
    bytes.next_multiple_of(step)
}

/// See [`Listpack::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    entries: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.at >= self.entries.len() {
            return None;
        }
        let (item, next) = entry::read_own(self.entries, self.at);
        self.at = next;
        Some(item)
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;

//! A run of a list's elements: the entries of a listpack, with free room before and behind them instead of a listpack's
//! header and end, so that both ends grow and shrink without moving the rest. Knows no limits: the list sets them.
//!
//! ```text
//! start, 4 | end, 4 | entries, 2 | free | entry ... | free
//! ```
//! All in one allocation; numbers little-endian. A *place* is where an entry begins in it, good until the chunk
//! changes.

use crate::base::thin::ThinBytes;
use crate::types::defrag::Mover;
use crate::types::listpack;
use crate::types::listpack::entry::{self, Encoded, Item};

/// Bytes of the three numbers in front.
const HEAD: usize = 10;
/// Bytes by which a listpack of the same entries is longer than they are.
const LISTPACK_EXTRA: usize = 7;
/// Allocations up to this size get spare room when they grow.
const ROOMY_MAX: usize = 8192;

/// See the module.
#[derive(Clone)]
pub(super) struct Chunk(ThinBytes);

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} entries, {} of {} bytes)", self.count(), self.used(), self.0.len())
    }
}

impl Chunk {
    /// An empty one in an allocation of `bytes` bytes, its room before the entries if they will come from the front.
    pub(super) fn with_room(bytes: usize, at_front: bool) -> Chunk {
        let mut chunk = Chunk(ThinBytes::zeroed(bytes.max(HEAD)));
        let at = if at_front { chunk.0.len() } else { HEAD };
        chunk.set(at, at, 0);
        chunk
    }

    /// An empty one that takes no room yet.
    pub(super) fn new() -> Chunk {
        Self::with_room(HEAD, false)
    }

    /// Moves it if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        mover.bytes(&mut self.0);
    }

    /// Entries.
    #[inline]
    pub(super) fn count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[8], self.0[9]]))
    }

    /// Bytes of a listpack of the same entries.
    #[inline]
    pub(super) fn packed_bytes(&self) -> usize {
        self.used() + LISTPACK_EXTRA
    }

    /// Bytes it takes on the heap.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn used(&self) -> usize {
        self.end() - self.start()
    }

    /// Where the first entry begins.
    #[inline]
    pub(super) fn start(&self) -> usize {
        u32::from_le_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]) as usize
    }

    /// Where the last entry ends.
    #[inline]
    pub(super) fn end(&self) -> usize {
        u32::from_le_bytes([self.0[4], self.0[5], self.0[6], self.0[7]]) as usize
    }

    #[inline]
    fn set(&mut self, start: usize, end: usize, count: usize) {
        assert!(count <= usize::from(u16::MAX), "the list bounds a chunk");
        self.0[..4].copy_from_slice(&(start as u32).to_le_bytes());
        self.0[4..8].copy_from_slice(&(end as u32).to_le_bytes());
        self.0[8..10].copy_from_slice(&(count as u16).to_le_bytes());
    }

    /// What the entry at `place` holds, and the place behind it.
    #[inline]
    pub(super) fn read(&self, place: usize) -> (Item<'_>, usize) {
        entry::read(&self.0, place)
    }

    /// The place of the entry that ends at `end`.
    #[inline]
    pub(super) fn before(&self, end: usize) -> usize {
        entry::before(&self.0, end)
    }

    /// The place behind the entry at `place`.
    #[inline]
    pub(super) fn after(&self, place: usize) -> usize {
        place + entry::size_at(&self.0, place)
    }

    /// The place of entry `index`, which may be their number: the end. Walks from the nearer end.
    pub(super) fn place(&self, index: usize) -> usize {
        let count = self.count();
        if index <= count / 2 {
            (0..index).fold(self.start(), |at, _| self.after(at))
        } else {
            (index..count).fold(self.end(), |at, _| self.before(at))
        }
    }

    /// Adds an entry at one end.
    #[inline]
    pub(super) fn push(&mut self, at_front: bool, new: &Encoded<'_>) {
        let (start, end, size) = (self.start(), self.end(), new.size());
        let count = self.count() + 1;
        if at_front && start - HEAD >= size {
            new.write(&mut self.0[start - size..start]);
            self.set(start - size, end, count);
        } else if !at_front && self.0.len() - end >= size {
            new.write(&mut self.0[end..end + size]);
            self.set(start, end + size, count);
        } else {
            self.insert(if at_front { start } else { end }, new);
        }
    }

    /// Adds an entry before `place`; answers its place.
    pub(super) fn insert(&mut self, place: usize, new: &Encoded<'_>) -> usize {
        let at = self.splice(place, 0, new.size());
        new.write(&mut self.0[at..at + new.size()]);
        self.set(self.start(), self.end(), self.count() + 1);
        at
    }

    /// Puts another entry in the place of the one at `place`.
    pub(super) fn replace(&mut self, place: usize, new: &Encoded<'_>) {
        let at = self.splice(place, entry::size_at(&self.0, place), new.size());
        new.write(&mut self.0[at..at + new.size()]);
    }

    /// Removes the entries `index..index + count`.
    pub(super) fn remove(&mut self, index: usize, count: usize) {
        let from = self.place(index);
        let to = if index + count == self.count() { self.end() } else { (0..count).fold(from, |at, _| self.after(at)) };
        self.splice(from, to - from, 0);
        self.set(self.start(), self.end(), self.count() - count);
    }

    /// Removes the entry at `place`; answers the place of what followed.
    pub(super) fn remove_at(&mut self, place: usize) -> usize {
        let at = self.splice(place, entry::size_at(&self.0, place), 0);
        self.set(self.start(), self.end(), self.count() - 1);
        at
    }

    /// Removes the entry at one end.
    #[inline]
    pub(super) fn pop(&mut self, at_front: bool) {
        let (start, end, count) = (self.start(), self.end(), self.count() - 1);
        if at_front {
            self.set(self.after(start), end, count);
        } else {
            self.set(start, self.before(end), count);
        }
    }

    /// Moves the entries from `index` on to a chunk of their own.
    pub(super) fn split_off(&mut self, index: usize) -> Chunk {
        let (from, count) = (self.place(index), self.count());
        let mut rest = Chunk::with_room(HEAD + self.end() - from, false);
        rest.0[HEAD..].copy_from_slice(&self.0[from..self.end()]);
        rest.set(HEAD, rest.0.len(), count - index);
        self.set(self.start(), from, index);
        rest
    }

    /// Adds all entries of `other` behind its own.
    pub(super) fn append(&mut self, other: &Chunk) {
        let count = self.count() + other.count();
        let at = self.splice(self.end(), 0, other.used());
        self.0[at..at + other.used()].copy_from_slice(&other.0[other.start()..other.end()]);
        self.set(self.start(), self.end(), count);
    }

    /// Gives back room if more than an eighth is free.
    pub(super) fn trim_room(&mut self) {
        if self.0.len() - HEAD - self.used() > self.0.len() / 8 {
            self.relocate(0, false);
        }
    }

    /// Of a listpack of Redis that [`Chunk::to_redis`] made, of so many entries.
    pub(super) fn from_redis(pack: &[u8], count: usize) -> Chunk {
        let entries = listpack::entries_of(pack);
        let mut chunk = Chunk::with_room(HEAD + entries.len(), false);
        chunk.0[HEAD..].copy_from_slice(entries);
        chunk.set(HEAD, HEAD + entries.len(), count);
        chunk
    }

    /// The entries as a listpack of Redis.
    pub(super) fn to_redis(&self) -> Vec<u8> {
        let entries = &self.0[self.start()..self.end()];
        listpack::redis_of(entries, self.count())
    }

    /// Puts a gap of `new` bytes where `old` bytes were at `place`, moving the shorter side if it has room; answers
    /// where the gap is. Leaves the number of entries to the caller.
    fn splice(&mut self, place: usize, old: usize, new: usize) -> usize {
        let (start, end, count) = (self.start(), self.end(), self.count());
        let (before, after) = (place - start, end - place - old);
        if new <= old {
            let less = old - new;
            if before < after {
                self.0.copy_within(start..place, start + less);
                self.set(start + less, end, count);
                return place + less;
            }
            self.0.copy_within(place + old..end, place + new);
            self.set(start, end - less, count);
            return place;
        }
        let more = new - old;
        let (room_before, room_after) = (start - HEAD, self.0.len() - end);
        if room_before >= more && (before < after || room_after < more) {
            self.0.copy_within(start..place, start - more);
            self.set(start - more, end, count);
            place - more
        } else if room_after >= more {
            self.0.copy_within(place + old..end, place + new);
            self.set(start, end + more, count);
            place
        } else {
            self.relocate(more, before < after);
            self.splice(self.start() + before, old, new)
        }
    }

    /// Makes room for `more` bytes at one side: by moving the entries within the allocation if much of it is free, else
    /// in another one. With 0 it takes no more than it needs.
    fn relocate(&mut self, more: usize, at_front: bool) {
        let (start, end, count) = (self.start(), self.end(), self.count());
        let (used, len) = (end - start, self.0.len());
        let free = len - HEAD - used;
        let to = |len: usize| if at_front { len - used } else { HEAD };
        if more > 0 && free >= more + used / 4 {
            self.0.copy_within(start..end, to(len));
            return self.set(to(len), to(len) + used, count);
        }
        let need = HEAD + used + more;
        let spare = if more == 0 { 0 } else { (need / 4).min(ROOMY_MAX.saturating_sub(need)).max(need / 32) };
        let len = if more == 0 { need } else { (need + spare).next_multiple_of(8) };
        let mut moved = ThinBytes::zeroed(len);
        moved[to(len)..to(len) + used].copy_from_slice(&self.0[start..end]);
        self.0 = moved;
        self.set(to(len), to(len) + used, count);
    }
}

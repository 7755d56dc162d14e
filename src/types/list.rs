//! The list: one run of elements while it is small, else many of them in a row, as Redis's listpack and quicklist.
//! Never knows which key it is, and never empties itself of its key.
//!
//! Runs are [`chunk`]s, found through a flat directory of their element counts, so that the middle of a list of
//! millions is a scan over a few kilobytes and a walk through one chunk. How much a chunk holds follows
//! `list-max-listpack-size` by the rules of Redis 7.2, which also say when a list changes its encoding. Chunks are not
//! compressed, whatever
//! `list-compress-depth` says.

mod chunk;
mod quick;

use crate::base::thin::Thin;
use crate::types::defrag::Mover;
use crate::types::listpack::entry::{Encoded, Needle};
use chunk::Chunk;
use quick::Quick;

pub use crate::types::listpack::Item;

/// Most entries of a chunk if `list-max-listpack-size` is positive, whatever it says (Redis).
const COUNT_MAX: i64 = i16::MAX as i64;
/// Most bytes of a chunk whose entries are counted (Redis SIZE_SAFETY_LIMIT).
const COUNTED_BYTES_MAX: usize = 8192;
/// What Redis adds to a string's length when it guesses its entry's.
const ENTRY_GUESS: usize = 8;

/// Free bytes that a small list may keep, beside three quarters of its allocation.
const SMALL_FREE_MIN: usize = 128;

/// How much one chunk holds: `list-max-listpack-size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// So many bytes as a listpack.
    Bytes(usize),
    /// So many elements, in at most 8 KB.
    Count(usize),
}

impl Default for Fill {
    fn default() -> Self {
        Fill::of(-2)
    }
}

impl Fill {
    /// As the setting has it: -1 to -5 for 4, 8, 16, 32 or 64 KB, else a number of elements.
    pub fn of(setting: i64) -> Fill {
        match setting {
            ..0 => Fill::Bytes(2048 << (-setting).min(5)),
            0 => Fill::Count(1),
            _ => Fill::Count(setting.min(COUNT_MAX) as usize),
        }
    }

    /// Whether a listpack of `bytes` and `count` is too large.
    fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        match self {
            Fill::Bytes(max) => bytes > max,
            Fill::Count(max) => bytes > COUNTED_BYTES_MAX || count > max,
        }
    }

    /// Whether an element so long is kept in a chunk of its own.
    fn is_large(self, len: usize) -> bool {
        match self {
            Fill::Bytes(max) => len > max,
            Fill::Count(_) => len > COUNTED_BYTES_MAX,
        }
    }

    /// Whether a chunk takes another element of `len` bytes.
    #[inline]
    fn takes(self, chunk: &Chunk, len: usize) -> bool {
        !self.is_exceeded(chunk.packed_bytes() + len + ENTRY_GUESS, chunk.count() + 1)
    }

    /// Whether a list that shrinks goes back to the small form when this chunk is its only one.
    fn takes_back(self, chunk: &Chunk) -> bool {
        match self {
            Fill::Bytes(max) => chunk.packed_bytes() <= max / 2,
            Fill::Count(max) => chunk.packed_bytes() <= COUNTED_BYTES_MAX && chunk.count() <= max / 2,
        }
    }

    /// Bytes to allocate for a chunk that is about to be filled from one end.
    fn room(self) -> usize {
        match self {
            Fill::Bytes(max) => max,
            Fill::Count(max) => (max * 16).min(COUNTED_BYTES_MAX / 8),
        }
    }
}

/// Which end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The left one: index 0.
    Head,
    /// The right one: index -1.
    Tail,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct List(Form);

#[derive(Debug, Clone)]
enum Form {
    Small(Chunk),
    Big(Thin<Quick>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        let mut own = Vec::with_capacity(self.len());
        self.walk(0, true, |item| {
            own.push(item);
            true
        });
        let mut at = 0;
        self.len() == other.len() && {
            other.walk(0, true, |item| {
                at += 1;
                own[at - 1] == item
            }) == other.len()
        }
    }
}

impl Eq for List {}

impl List {
    /// An empty one; its key is to be removed if it stays so.
    pub fn new() -> List {
        List(Form::Small(Chunk::new()))
    }

    /// Elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Small(chunk) => chunk.count(),
            Form::Big(quick) => quick.len(),
        }
    }

    /// No element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The small form, `listpack` for OBJECT ENCODING; the other is `quicklist`.
    pub fn is_small(&self) -> bool {
        matches!(self.0, Form::Small(_))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        if self.is_small() { "listpack" } else { "quicklist" }
    }

    /// Prepares for `count` more elements of `bytes` in all: takes the large form if the small one would not hold them.
    #[inline]
    pub fn grow(&mut self, bytes: usize, count: usize, fill: Fill) {
        if let Form::Small(chunk) = &mut self.0
            && fill.is_exceeded(chunk.packed_bytes() + bytes, chunk.count() + count)
        {
            let chunk = std::mem::replace(chunk, Chunk::new());
            self.0 = Form::Big(Thin::new(Quick::of(chunk)));
        }
    }

    /// Takes the small form if it became small enough for that; to be called after elements were removed.
    #[inline]
    pub fn shrink(&mut self, fill: Fill) {
        match &mut self.0 {
            Form::Small(chunk) => {
                if chunk.heap_bytes() > 4 * chunk.packed_bytes() + SMALL_FREE_MIN {
                    chunk.trim_room();
                }
            }
            Form::Big(quick) => {
                if let Some(chunk) = quick.take_only(|chunk| fill.takes_back(chunk)) {
                    self.0 = Form::Small(chunk);
                }
            }
        }
    }

    /// Adds an element. [`List::grow`] comes first.
    #[inline]
    pub fn push(&mut self, end: End, bytes: &[u8], fill: Fill) {
        match &mut self.0 {
            Form::Small(chunk) => chunk.push(end == End::Head, &Encoded::of(bytes)),
            Form::Big(quick) => quick.push(end == End::Head, bytes, fill),
        }
    }

    /// Shows the element at one end, then removes it; `None` if there is none. [`List::shrink`] comes after the last.
    #[inline]
    pub fn pop<R>(&mut self, end: End, show: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let at_front = end == End::Head;
        match &mut self.0 {
            Form::Small(chunk) => {
                if chunk.count() == 0 {
                    return None;
                }
                let shown = show(ends_item(chunk, at_front));
                chunk.pop(at_front);
                Some(shown)
            }
            Form::Big(quick) => quick.pop(at_front, show),
        }
    }

    /// Element `index`, negative from the tail.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        let index = self.resolve(index)?;
        match &self.0 {
            Form::Small(chunk) => Some(chunk.read(chunk.place(index)).0),
            Form::Big(quick) => Some(quick.get(index)),
        }
    }

    /// Puts another element in the place of element `index`; false if there is no such. [`List::grow`] comes first,
    /// [`List::shrink`] after.
    pub fn set(&mut self, index: i64, bytes: &[u8], fill: Fill) -> bool {
        let Some(index) = self.resolve(index) else { return false };
        match &mut self.0 {
            Form::Small(chunk) => chunk.replace(chunk.place(index), &Encoded::of(bytes)),
            Form::Big(quick) => quick.set(index, bytes, fill),
        }
        true
    }

    /// Adds an element before or after the first that equals `pivot`; false if there is none. [`List::grow`] comes
    /// first.
    pub fn insert(&mut self, pivot: &[u8], after: bool, bytes: &[u8], fill: Fill) -> bool {
        let Some(index) = self.find(pivot) else { return false };
        let index = index + usize::from(after);
        match &mut self.0 {
            Form::Small(chunk) => {
                chunk.insert(chunk.place(index), &Encoded::of(bytes));
            }
            Form::Big(quick) => quick.insert(index, bytes, fill),
        }
        true
    }

    /// Index of the first element that equals `bytes`.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        let (needle, mut index) = (Needle::new(bytes), 0);
        let mut found = None;
        self.walk(0, true, |item| {
            if needle.is(item) {
                found = Some(index);
            }
            index += 1;
            found.is_none()
        });
        found
    }

    /// Removes up to `count` elements that equal `bytes`, from the head or from the tail; how many. [`List::shrink`]
    /// comes after.
    pub fn remove_equal(&mut self, bytes: &[u8], count: usize, from: End) -> usize {
        let needle = Needle::new(bytes);
        match &mut self.0 {
            Form::Small(chunk) => remove_equal(chunk, &needle, count, from == End::Tail),
            Form::Big(quick) => quick.remove_equal(&needle, count, from == End::Tail),
        }
    }

    /// Removes the elements `start..start + count`, which are there. [`List::shrink`] comes after.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        assert!(start + count <= self.len(), "the caller cuts a range to the list");
        if count == 0 {
            return;
        }
        match &mut self.0 {
            Form::Small(chunk) => {
                chunk.remove(start, count);
                chunk.trim_room();
            }
            Form::Big(quick) => quick.remove_range(start, count),
        }
    }

    /// Shows elements one after the other, from element `start` on towards the tail or (not `forward`) towards the
    /// head, until `show` answers false or there are no more; how many it showed and was told to go on from.
    #[inline]
    pub fn walk<'a>(&'a self, start: usize, forward: bool, mut show: impl FnMut(Item<'a>) -> bool) -> usize {
        if start >= self.len() {
            return 0;
        }
        match &self.0 {
            Form::Small(chunk) => {
                let mut shown = 0;
                walk_chunk(chunk, start, forward, &mut shown, &mut show);
                shown
            }
            Form::Big(quick) => quick.walk(start, forward, show),
        }
    }

    /// The elements in runs, each as a listpack of Redis: what RDB files hold. One run if the list is small.
    pub fn packs(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let (small, big) = match &self.0 {
            Form::Small(chunk) => (Some(chunk), None),
            Form::Big(quick) => (None, Some(quick.chunks())),
        };
        small.into_iter().chain(big.into_iter().flatten()).map(Chunk::to_redis)
    }

    /// Bytes behind it on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small(chunk) => chunk.heap_bytes(),
            Form::Big(quick) => quick.heap_bytes(),
        }
    }

    /// Frees up to `budget` chunks of a list that nobody can reach any more; true if the rest may simply be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Form::Small(_) => true,
            Form::Big(quick) => quick.free_step(budget),
        }
    }

    /// Moves blocks out of pages that hold little else, from where the last step ended (0 to begin with); `None` when
    /// all were looked at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        match &mut self.0 {
            Form::Small(chunk) => chunk.defrag(mover),
            Form::Big(quick) => {
                mover.thin(quick);
                return quick.defrag(mover, from);
            }
        }
        None
    }

    fn resolve(&self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let index = if index < 0 { index.checked_add(len)? } else { index };
        (0..len).contains(&index).then_some(index as usize)
    }
}

#[inline]
fn ends_item(chunk: &Chunk, at_front: bool) -> Item<'_> {
    let place = if at_front { chunk.start() } else { chunk.before(chunk.end()) };
    chunk.read(place).0
}

/// Shows the entries of a chunk from entry `index` on; false if `show` told it to stop.
#[inline]
fn walk_chunk<'a>(
    chunk: &'a Chunk,
    index: usize,
    forward: bool,
    shown: &mut usize,
    show: &mut impl FnMut(Item<'a>) -> bool,
) -> bool {
    let mut place = chunk.place(index);
    if forward {
        let end = chunk.end();
        while place < end {
            let (item, next) = chunk.read(place);
            if !show(item) {
                return false;
            }
            *shown += 1;
            place = next;
        }
        return true;
    }
    loop {
        if !show(chunk.read(place).0) {
            return false;
        }
        *shown += 1;
        if place == chunk.start() {
            return true;
        }
        place = chunk.before(place);
    }
}

/// Removes up to `count` entries that `needle` equals, from one end; how many.
fn remove_equal(chunk: &mut Chunk, needle: &Needle<'_>, count: usize, backwards: bool) -> usize {
    let mut removed = 0;
    let mut left = chunk.count();
    let mut place = if backwards { chunk.end() } else { chunk.start() };
    while left > 0 && removed < count {
        left -= 1;
        if backwards {
            place = chunk.before(place);
        }
        let (item, next) = chunk.read(place);
        if needle.is(item) {
            // what follows is where the entry was, or the whole front moved up to it
            place = chunk.remove_at(place);
            removed += 1;
        } else if !backwards {
            place = next;
        }
    }
    if removed > 0 {
        chunk.trim_room();
    }
    removed
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;

//! The list: one run of elements while it is small, else many of them in a row, as Redis's listpack and quicklist.
//! Never knows which key it is, and never empties itself of its key.
//!
//! Runs are [`chunk`]s, found through a flat directory of their element counts, so that the middle of a list of
//! millions is a scan over a few kilobytes and a walk through one chunk. How much a chunk holds follows
//! `list-max-listpack-size` by the rules of Redis 7.2, which also say when a list changes its encoding. With
//! `list-compress-depth` the chunks between so many at both ends are compressed while nobody changes them.

mod chunk;
mod quick;
mod run;

use crate::base::thin::Thin;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use crate::types::listpack::entry::{Encoded, Needle};
use chunk::Chunk;
use quick::Quick;

pub use crate::types::listpack::Item;
pub use run::Pack;

/// Most entries of a chunk if `list-max-listpack-size` is positive, whatever it says (Redis).
const COUNT_MAX: i64 = i16::MAX as i64;
/// Most bytes of a chunk whose entries are counted (Redis SIZE_SAFETY_LIMIT).
const COUNTED_BYTES_MAX: usize = 8192;
/// What Redis adds to a string's length when it guesses its entry's.
const ENTRY_GUESS: usize = 8;

/// Free bytes that a small list may keep, beside three quarters of its allocation.
const SMALL_FREE_MIN: usize = 128;

/// How a large list is kept: how much one chunk holds, and which are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    chunk: ChunkMax,
    /// Chunks at each end that are not compressed; 0 if none is. Counts when a list takes its large form.
    depth: u16,
}

/// How much one chunk holds: `list-max-listpack-size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkMax {
    /// So many bytes as a listpack.
    Bytes(usize),
    /// So many elements, in at most 8 KB.
    Count(usize),
}

impl Default for ChunkMax {
    fn default() -> Self {
        ChunkMax::of(-2)
    }
}

impl Fill {
    /// As the settings have it: -1 to -5 for 4, 8, 16, 32 or 64 KB, else a number of elements, and
    /// `list-compress-depth`, of which more than 65,535 means as much.
    pub fn of(size: i64, depth: u32) -> Fill {
        Fill { chunk: ChunkMax::of(size), depth: depth.min(u32::from(u16::MAX)) as u16 }
    }
}

impl ChunkMax {
    fn of(setting: i64) -> ChunkMax {
        match setting {
            ..0 => ChunkMax::Bytes(2048 << (-setting).min(5)),
            0 => ChunkMax::Count(1),
            _ => ChunkMax::Count(setting.min(COUNT_MAX) as usize),
        }
    }

    /// As the setting has it.
    fn setting(self) -> i64 {
        match self {
            ChunkMax::Bytes(max) => 11 - i64::from(max.ilog2()),
            ChunkMax::Count(max) => max as i64,
        }
    }

    /// Whether a listpack of `bytes` and `count` is too large.
    fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        match self {
            ChunkMax::Bytes(max) => bytes > max,
            ChunkMax::Count(max) => bytes > COUNTED_BYTES_MAX || count > max,
        }
    }

    /// Whether an element so long is kept in a chunk of its own.
    fn is_large(self, len: usize) -> bool {
        match self {
            ChunkMax::Bytes(max) => len > max,
            ChunkMax::Count(_) => len > COUNTED_BYTES_MAX,
        }
    }

    /// Whether a chunk, so long as a listpack and of so many entries, takes another element of `len` bytes.
    #[inline]
    fn takes(self, (bytes, count): (usize, usize), len: usize) -> bool {
        !self.is_exceeded(bytes + len + ENTRY_GUESS, count + 1)
    }

    /// Whether a list that shrinks goes back to the small form when this chunk is its only one.
    fn takes_back(self, chunk: &Chunk) -> bool {
        match self {
            ChunkMax::Bytes(max) => chunk.packed_bytes() <= max / 2,
            ChunkMax::Count(max) => chunk.packed_bytes() <= COUNTED_BYTES_MAX && chunk.count() <= max / 2,
        }
    }

    /// Bytes to allocate for a chunk that is about to be filled from one end.
    fn room(self) -> usize {
        match self {
            ChunkMax::Bytes(max) => max,
            ChunkMax::Count(max) => (max * 16).min(COUNTED_BYTES_MAX / 8),
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
            own.push(item.to_vec());
            true
        });
        let mut at = 0;
        self.len() == other.len() && {
            other.walk(0, true, |item| {
                at += 1;
                own[at - 1] == item.to_vec()
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
            && fill.chunk.is_exceeded(chunk.packed_bytes() + bytes, chunk.count() + count)
        {
            let chunk = std::mem::replace(chunk, Chunk::new());
            self.0 = Form::Big(Thin::new(Quick::of(chunk, fill.depth)));
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
                if let Some(chunk) = quick.take_only(|chunk| fill.chunk.takes_back(chunk)) {
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
            Form::Big(quick) => quick.push(end == End::Head, bytes, fill.chunk),
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

    /// Shows element `index`, negative from the tail; `None` if there is none.
    pub fn get<R>(&self, index: i64, show: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let index = self.resolve(index)?;
        Some(match &self.0 {
            Form::Small(chunk) => show(chunk.read(chunk.place(index)).0),
            Form::Big(quick) => quick.get(index, show),
        })
    }

    /// Whether there is an element `index`, negative from the tail.
    pub fn has(&self, index: i64) -> bool {
        self.resolve(index).is_some()
    }

    /// Puts another element in the place of element `index`; false if there is no such. [`List::grow`] comes first,
    /// [`List::shrink`] after.
    pub fn set(&mut self, index: i64, bytes: &[u8], fill: Fill) -> bool {
        let Some(index) = self.resolve(index) else { return false };
        match &mut self.0 {
            Form::Small(chunk) => chunk.replace(chunk.place(index), &Encoded::of(bytes)),
            Form::Big(quick) => quick.set(index, bytes, fill.chunk),
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
            Form::Big(quick) => quick.insert(index, bytes, fill.chunk),
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
    pub fn walk(&self, start: usize, forward: bool, mut show: impl FnMut(Item<'_>) -> bool) -> usize {
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

    /// The elements in runs, as RDB files hold them. One run if the list is small.
    pub fn packs(&self) -> impl Iterator<Item = Pack<'_>> {
        let (small, big) = match &self.0 {
            Form::Small(chunk) => (Some(Pack::Plain(chunk.to_redis())), None),
            Form::Big(quick) => (None, Some(quick.packs())),
        };
        small.into_iter().chain(big.into_iter().flatten())
    }

    /// How many runs [`List::packs`] shows.
    pub fn run_count(&self) -> usize {
        match &self.0 {
            Form::Small(_) => 1,
            Form::Big(quick) => quick.run_count(),
        }
    }

    /// What DEBUG OBJECT adds for a list in the large form; empty for a small one.
    pub fn describe(&self, fill: Fill) -> String {
        let Form::Big(quick) = &self.0 else { return String::new() };
        let (runs, size) = (quick.run_count(), fill.chunk.setting());
        let average = quick.len() as f64 / runs.max(1) as f64;
        let (compressed, bytes) = (u8::from(quick.depth() > 0), self.packs().map(|pack| pack.len()).sum::<usize>());
        format!(
            " ql_nodes:{runs} ql_avg_node:{average:.2} ql_listpack_max:{size} ql_compressed:{compressed} \
             ql_uncompressed_size:{bytes}"
        )
    }

    /// One of the runs of [`List::packs`].
    pub fn pack(&self, at: usize) -> Option<Pack<'_>> {
        match &self.0 {
            Form::Small(chunk) => (at == 0).then(|| Pack::Plain(chunk.to_redis())),
            Form::Big(quick) => quick.pack(at),
        }
    }

    /// Bytes behind it on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small(chunk) => chunk.heap_bytes(),
            Form::Big(quick) => quick.heap_bytes(),
        }
    }

    /// What [`List::copy_step`] fills; `None` of a small list.
    pub(super) fn begin_copy(&self) -> Option<List> {
        match &self.0 {
            Form::Small(_) => None,
            Form::Big(quick) => Some(List(Form::Big(Thin::new(Quick::empty(quick.depth()))))),
        }
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut List, progress: &mut Progress) -> bool {
        match (&self.0, &mut copy.0) {
            (Form::Big(quick), Form::Big(copy)) => quick.copy_step(copy, progress),
            _ => true,
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
fn walk_chunk(
    chunk: &Chunk,
    index: usize,
    forward: bool,
    shown: &mut usize,
    show: &mut impl FnMut(Item<'_>) -> bool,
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

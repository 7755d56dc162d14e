//! Memory for one table: runs of 1 to 8 KB inside 8 KB pages, cut from chunks of up to 2 MB. Never looks into a run.
//!
//! Index and entries of a table both live in such runs, so nothing of it is rounded up to an allocator's size classes
//! (mimalloc's are up to a quarter apart), and a dropped table frees a few hundred chunks instead of millions of
//! blocks. A segment's last index page and the page it is filling are as small as they can be, which for segments of
//! 4096 entries makes a byte per key. The first chunks are small, so a small table costs little. When much has been
//! removed, the runs of the last chunks are moved to the first ones ([`Pool::surplus`]), and the last are given back.
//!
//! Full-sized chunks are huge pages where the allocator has one ready (`runtime/alloc/ahead.rs`): lookups then take 71
//! ns instead of 83 (2 million keys, batches of 16).

use crate::base::hash::fresh_seed;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of a unit: runs are 1 to [`PAGE_UNITS`] units long.
pub(super) const UNIT_BYTES: usize = 1024;
/// Units of a page. No run crosses the border of a page.
pub(super) const PAGE_UNITS: usize = 8;
/// Bytes of a page, and its alignment.
pub(super) const PAGE_BYTES: usize = UNIT_BYTES * PAGE_UNITS;
/// Pages of a full-sized chunk: 2 MB.
const CHUNK_PAGES: usize = 2 * 1024 * 1024 / PAGE_BYTES;
const CHUNK_UNITS: usize = CHUNK_PAGES * PAGE_UNITS;
/// Chunks begin on a page of the system, not of ours: the allocator maps large requests of that alignment.
const CHUNK_ALIGN: usize = 4096;
/// Idle memory that is not worth a thought: two chunks.
const IDLE_PAGES_MIN: usize = 2 * CHUNK_PAGES;
/// The part of the memory that may be idle while memory is short.
const SHORT_PART: usize = 10;
const CHUNK_SHIFT: u32 = CHUNK_UNITS.trailing_zeros();
/// A pool grows by a page, or by one for as many that are there, until its chunks are full-sized: a value of a thousand
/// members is one of many, and twice the memory it needs would be too much.
const GROWTH: usize = 4;
/// Bytes that a chunk's page takes in [`Chunk`].
const NOTE_BYTES: usize = size_of::<u8>() + size_of::<u32>();

/// A run of the pool, named by its first unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(u32);

impl RunId {
    /// No run.
    pub(super) const NONE: RunId = RunId(u32::MAX);

    /// Number of its chunk.
    pub(super) fn chunk(self) -> usize {
        (self.0 >> CHUNK_SHIFT) as usize
    }
    fn page(self) -> usize {
        self.0 as usize % CHUNK_UNITS / PAGE_UNITS
    }
    fn unit(self) -> usize {
        self.0 as usize % PAGE_UNITS
    }
}

#[derive(Debug, Clone)]
struct Chunk {
    pages: u16,
    /// Pages without a run.
    free: u16,
    /// One bit per unit, one byte per page: units in use.
    used: Box<[u8]>,
    /// Where in its list of `Pool::partial` each page stands.
    listed_at: Box<[u32]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    /// Two odd numbers, see [`Pool::tag`].
    scramble: [u16; 2],
    /// Where each chunk begins; `None`: given back, its number is free.
    bases: Vec<Option<NonNull<u8>>>,
    chunks: Vec<Option<Box<Chunk>>>,
    /// No chunk before this one has a free page.
    first_free: usize,
    /// First units of the pages that have runs and gaps, by the length of their longest gap.
    partial: [Vec<RunId>; PAGE_UNITS],
    chunk_count: usize,
    pages_total: usize,
    units_used: usize,
    /// Space for whoever rebuilds or splits; empty between uses.
    pub(super) scratch: Vec<(u64, u32)>,
    /// Heap bytes of the lists of pages that the logs keep.
    pub(super) list_bytes: usize,
    /// Bytes of dead entries in the logs.
    pub(super) dead_bytes: usize,
}

impl Default for Pool {
    fn default() -> Self {
        let seed = fresh_seed();
        Pool {
            scramble: [seed as u16 | 1, (seed >> 16) as u16 | 1],
            bases: Vec::new(),
            chunks: Vec::new(),
            first_free: 0,
            partial: Default::default(),
            chunk_count: 0,
            pages_total: 0,
            units_used: 0,
            scratch: Vec::new(),
            list_bytes: 0,
            dead_bytes: 0,
        }
    }
}

// SAFETY: the pool owns its chunks alone; nothing in them is tied to a thread.
unsafe impl Send for Pool {}

impl Pool {
    /// The tag of a position: its low 16 bits, the ones that no segment is split by, in an order of this table's own.
    /// What is inserted in the order in which another table was walked (a copy, a client that writes what SMEMBERS or
    /// SCAN showed) would otherwise have tags close together, until no index can take them.
    #[inline(always)]
    pub(super) fn tag(&self, pos: u64) -> u16 {
        let mixed = (pos as u16).wrapping_mul(self.scramble[0]);
        (mixed ^ mixed >> 8).wrapping_mul(self.scramble[1])
    }

    /// The low 16 bits of the positions that have this tag.
    #[inline(always)]
    pub(super) fn low_bits(&self, tag: u16) -> u16 {
        let mixed = tag.wrapping_mul(inverse(self.scramble[1]));
        (mixed ^ mixed >> 8).wrapping_mul(inverse(self.scramble[0]))
    }

    /// Copies more of the chunks to `twin`, a new pool, so that the same runs have the same bytes under the same names
    /// there; true when all are copied.
    pub(super) fn twin_step(&self, twin: &mut Pool, progress: &mut Progress) -> bool {
        if twin.bases.is_empty() {
            twin.scramble = self.scramble;
            twin.bases.reserve_exact(self.bases.len());
            twin.chunks.reserve_exact(self.chunks.len());
        }
        progress.each(twin.bases.len()..self.bases.len(), |number| {
            let (Some(from), Some(chunk)) = (self.bases[number], &self.chunks[number]) else {
                twin.bases.push(None);
                twin.chunks.push(None);
                return 0;
            };
            let layout = chunk_layout(usize::from(chunk.pages));
            // SAFETY: the layout is not empty, both chunks have it, and nothing writes to the old one meanwhile.
            let to = unsafe {
                let Some(to) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
                std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), layout.size());
                to
            };
            twin.bases.push(Some(to));
            twin.chunks.push(Some(chunk.clone()));
            twin.chunk_count += 1;
            twin.pages_total += usize::from(chunk.pages);
            layout.size()
        })
    }

    /// The twin has all chunks: it knows what this pool knows, but for what the logs tell it.
    pub(super) fn end_twin(&self, twin: &mut Pool) {
        twin.partial = self.partial.clone();
        twin.first_free = self.first_free;
        twin.units_used = self.units_used;
        twin.dead_bytes = self.dead_bytes;
    }

    /// Bytes of all chunks and of what the pool and the logs know about them.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.chunk_count * size_of::<Chunk>() + self.pages_total * NOTE_BYTES;
        let lists = (self.bases.capacity() + self.chunks.capacity()) * size_of::<usize>()
            + self.partial.iter().map(|l| l.capacity() * size_of::<RunId>()).sum::<usize>()
            + self.scratch.capacity() * size_of::<(u64, u32)>()
            + self.list_bytes;
        self.pages_total * PAGE_BYTES + chunks + lists
    }

    /// Bytes of the runs in use.
    pub(super) fn bytes_used(&self) -> usize {
        self.units_used * UNIT_BYTES
    }

    /// Bytes that are free, or will be when their page is tidied up.
    pub(super) fn idle_bytes(&self) -> usize {
        self.pages_total * PAGE_BYTES - self.bytes_used() + self.dead_bytes
    }

    /// The first byte of a run. Valid for its length until it is put back.
    #[inline(always)]
    pub(super) fn address(&self, run: RunId) -> *mut u8 {
        match self.bases[run.chunk()] {
            // A RunId of this pool lies inside its chunk, so the address does not wrap.
            Some(base) => base.as_ptr().wrapping_add((run.0 as usize % CHUNK_UNITS) * UNIT_BYTES),
            None => unreachable!("a run of a chunk that was given back"),
        }
    }

    /// Takes a run of `units` units; its content is arbitrary.
    pub(super) fn take(&mut self, units: usize) -> RunId {
        let tightest = (units..PAGE_UNITS).find_map(|gap| self.partial[gap].last().copied());
        self.take_from(tightest, units)
    }

    /// As [`Pool::take`], from a chunk before number `limit` if one has room.
    pub(super) fn take_before(&mut self, units: usize, limit: usize) -> RunId {
        let tightest = (units..PAGE_UNITS).find_map(|gap| {
            let last_few = self.partial[gap].iter().rev().take(16);
            last_few.copied().find(|page| page.chunk() < limit)
        });
        self.take_from(tightest, units)
    }

    fn take_from(&mut self, page: Option<RunId>, units: usize) -> RunId {
        debug_assert!((1..=PAGE_UNITS).contains(&units));
        self.units_used += units;
        let page = match page {
            Some(page) => page,
            None => self.free_page(),
        };
        let used = self.used(page);
        let fits = |&unit: &usize| used & mask(units) << unit == 0;
        let unit = (0..=PAGE_UNITS - units).find(fits).expect("the page has such a gap");
        self.set_used(page, used | (mask(units) << unit));
        RunId(page.0 + unit as u32)
    }

    /// A page without runs.
    fn free_page(&mut self) -> RunId {
        let has_free = |c: &usize| self.chunks[*c].as_ref().is_some_and(|c| c.free > 0);
        let number = match (self.first_free..self.chunks.len()).find(has_free) {
            Some(number) => number,
            None => self.grow(),
        };
        self.first_free = number;
        let chunk = self.chunk(number);
        let page = chunk.used[..usize::from(chunk.pages)].iter().position(|&used| used == 0);
        let page = page.expect("a chunk counts its free pages");
        RunId(((number << CHUNK_SHIFT) | (page * PAGE_UNITS)) as u32)
    }

    /// Puts a run back. A chunk without runs is given back, unless few free pages would be left.
    pub(super) fn put(&mut self, run: RunId, units: usize) {
        let page = RunId(run.0 - run.unit() as u32);
        let bits = mask(units) << run.unit();
        let used = self.used(page);
        assert!(used & bits == bits, "a run is put back once");
        self.units_used -= units;
        self.set_used(page, used & !bits);
        if used == bits {
            let number = run.chunk();
            self.first_free = self.first_free.min(number);
            let idle = self.pages_total - self.units_used.div_ceil(PAGE_UNITS);
            let chunk = self.chunk(number);
            if chunk.free == chunk.pages && idle >= 2 * usize::from(chunk.pages) {
                self.release(number);
            }
        }
    }

    /// If a quarter of the memory (a tenth if it is short), and more than a few megabytes, is idle: the number of the
    /// first chunk that could be given back if the runs from there on were moved before it.
    pub(super) fn surplus(&self, short: bool) -> Option<usize> {
        let needed = self.units_used.div_ceil(PAGE_UNITS);
        let idle = self.pages_total - needed;
        let part = if short { SHORT_PART } else { 4 };
        if idle < IDLE_PAGES_MIN.max(self.pages_total / part) {
            return None;
        }
        let wanted = needed + needed / (2 * part) + CHUNK_PAGES / 2;
        let mut pages = 0;
        let enough = |chunk: &Option<Box<Chunk>>| {
            pages += chunk.as_ref().map_or(0, |c| usize::from(c.pages));
            pages >= wanted
        };
        self.chunks.iter().position(enough).map(|last| last + 1)
    }

    /// Moves a run to another place before chunk number `limit`; returns that place.
    pub(super) fn relocate(&mut self, run: RunId, units: usize, limit: usize) -> RunId {
        let new = self.take_before(units, limit);
        // SAFETY: both runs are `units` long, and a run in use is not handed out again.
        unsafe { std::ptr::copy_nonoverlapping(self.address(run), self.address(new), units * UNIT_BYTES) };
        self.put(run, units);
        new
    }

    fn chunk(&mut self, number: usize) -> &mut Chunk {
        self.chunks[number].as_mut().expect("the chunk of a run is there")
    }

    fn used(&mut self, page: RunId) -> u8 {
        self.chunk(page.chunk()).used[page.page()]
    }

    /// Notes which units of a page are in use, and lists it by its longest gap if it has runs and gaps.
    fn set_used(&mut self, page: RunId, used: u8) {
        let chunk = self.chunk(page.chunk());
        let old = std::mem::replace(&mut chunk.used[page.page()], used);
        chunk.free = chunk.free + u16::from(used == 0) - u16::from(old == 0);
        let (old_gap, gap) = (longest_gap(old), longest_gap(used));
        if old_gap == gap {
            return;
        }
        if (1..PAGE_UNITS).contains(&old_gap) {
            let at = chunk.listed_at[page.page()] as usize;
            let list = &mut self.partial[old_gap];
            list.swap_remove(at);
            if let Some(&moved) = list.get(at) {
                self.chunk(moved.chunk()).listed_at[moved.page()] = at as u32;
            }
        }
        if (1..PAGE_UNITS).contains(&gap) {
            let at = self.partial[gap].len() as u32;
            self.partial[gap].push(page);
            self.chunk(page.chunk()).listed_at[page.page()] = at;
        }
    }

    /// Adds a chunk and returns its number.
    #[cold]
    fn grow(&mut self) -> usize {
        let number = self.bases.iter().position(Option::is_none).unwrap_or(self.bases.len());
        let pages = (self.pages_total / GROWTH).clamp(1, CHUNK_PAGES);
        let layout = chunk_layout(pages);
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let chunk = Box::new(Chunk {
            pages: pages as u16,
            free: pages as u16,
            used: vec![0; pages].into(),
            listed_at: vec![0; pages].into(),
        });
        if number == self.bases.len() {
            self.bases.push(None);
            self.chunks.push(None);
        }
        self.bases[number] = Some(base);
        self.chunks[number] = Some(chunk);
        self.pages_total += pages;
        self.chunk_count += 1;
        number
    }

    /// Moves what is worth it: lists, and chunks that are not mapped pages of their own.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        for (chunk, base) in self.chunks.iter_mut().zip(&mut self.bases) {
            let (Some(known), Some(at)) = (chunk.as_mut(), base.as_mut()) else { continue };
            let layout = chunk_layout(usize::from(known.pages));
            if mover.is_worth(at.as_ptr(), layout.size()) {
                // SAFETY: the layout is not empty; the old chunk was allocated with it and is reached through its base
                // alone, which names the copy from here on.
                unsafe {
                    let Some(new) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
                    std::ptr::copy_nonoverlapping(at.as_ptr(), new.as_ptr(), layout.size());
                    dealloc(at.as_ptr(), layout);
                    *at = new;
                }
            }
            mover.slice(&mut known.used);
            mover.slice(&mut known.listed_at);
            mover.boxed(chunk);
        }
        mover.vec(&mut self.bases);
        mover.vec(&mut self.chunks);
        self.partial.iter_mut().for_each(|list| mover.vec(list));
        mover.vec(&mut self.scratch);
    }

    /// Gives up to `count` chunks back of a pool that nobody uses any more; true when none are left.
    pub(super) fn free_step(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let Some(last) = self.chunks.len().checked_sub(1) else { return true };
            self.release(last);
            self.chunks.pop();
        }
        self.chunks.is_empty()
    }

    fn release(&mut self, number: usize) {
        if let (Some(base), Some(chunk)) = (self.bases[number].take(), self.chunks[number].take()) {
            let pages = usize::from(chunk.pages);
            // SAFETY: allocated by `grow` with this layout; no run of it is in use.
            unsafe { dealloc(base.as_ptr(), chunk_layout(pages)) };
            self.pages_total -= pages;
            self.chunk_count -= 1;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for number in 0..self.chunks.len() {
            self.release(number);
        }
    }
}

/// The lowest `units` units of a page.
fn mask(units: usize) -> u8 {
    ((1u32 << units) - 1) as u8
}

/// Most free units of a page in a row.
fn longest_gap(used: u8) -> usize {
    let mut free = !used & mask(PAGE_UNITS);
    let mut gap = 0;
    while free != 0 {
        free &= free << 1;
        gap += 1;
    }
    gap
}

fn chunk_layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_BYTES, CHUNK_ALIGN).expect("a power of two")
}

/// What an odd number is to be multiplied with to make 1: Newton's iteration, which doubles the bits that are right,
/// the lowest three to begin with.
#[inline(always)]
fn inverse(odd: u16) -> u16 {
    let mut inverse = odd;
    for _ in 0..3 {
        inverse = inverse.wrapping_mul(2u16.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_distinct_and_go_back() {
        let mut pool = Pool::default();
        assert_eq!(pool.bytes(), 0);
        let mut runs = Vec::new();
        let mut dice = 1u64;
        for round in 0..40_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let units = (dice >> 33) as usize % PAGE_UNITS + 1;
            if runs.len() > 5000 || round % 3 == 2 {
                let (run, units) = runs.swap_remove((dice >> 35) as usize % runs.len());
                pool.put(run, units);
            } else {
                runs.push((pool.take(units), units));
            }
        }
        let used: usize = runs.iter().map(|&(_, units)| units * UNIT_BYTES).sum();
        assert_eq!(pool.bytes_used(), used);
        assert!(pool.bytes() < used * 5 / 4 + (4 << 20), "{} for {used}", pool.bytes());
        let mut at: Vec<_> = runs.iter().map(|&(run, units)| (pool.address(run) as usize, units)).collect();
        at.sort_unstable();
        assert!(at.windows(2).all(|w| w[0].0 + w[0].1 * UNIT_BYTES <= w[1].0));
        assert!(at.iter().all(|&(a, units)| a % UNIT_BYTES == 0 && units <= PAGE_UNITS));
        let full = pool.bytes();
        runs.iter().for_each(|&(run, units)| pool.put(run, units));
        assert_eq!(pool.bytes_used(), 0);
        assert!(pool.bytes() < full / 2, "{} of {full} bytes are kept", pool.bytes());
    }
}

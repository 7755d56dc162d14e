//! 4 KB pages for one table, cut from chunks of up to 2 MB. Never looks into a page.
//!
//! Index and entries of a table both live in such pages, so nothing of it is rounded up to an allocator's size classes
//! (mimalloc's are 12 to 25% apart beyond 1 KB: a measured 4 bytes per key of 50) and a dropped table frees a few
//! hundred chunks instead of millions of blocks. The first chunks are small, so a small table costs little.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of a page, and its alignment.
pub(super) const PAGE_BYTES: usize = 4096;
/// Pages of a full-sized chunk: 2 MB.
const CHUNK_PAGES: usize = 512;
const CHUNK_SHIFT: u32 = CHUNK_PAGES.trailing_zeros();
/// Pages of the first chunk; each next one is twice as large until they are full-sized.
const FIRST_CHUNK_PAGES: usize = 4;

/// A page of the pool: chunk number and page number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageId(u32);

impl PageId {
    /// No page.
    pub(super) const NONE: PageId = PageId(u32::MAX);
}

#[derive(Debug)]
struct Chunk {
    pages: usize,
    free: usize,
    /// A set bit is a page in use.
    used: [u64; CHUNK_PAGES / 64],
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Where each chunk begins; `None`: given back, its number is free.
    bases: Vec<Option<NonNull<u8>>>,
    chunks: Vec<Chunk>,
    /// No chunk before this one has a free page.
    first_free: usize,
    pages_total: usize,
    pages_used: usize,
}

// SAFETY: the pool owns its chunks alone; nothing in them is tied to a thread.
unsafe impl Send for Pool {}

impl Pool {
    /// Bytes of all chunks.
    pub(super) fn bytes(&self) -> usize {
        self.pages_total * PAGE_BYTES + self.chunks.capacity() * (size_of::<Chunk>() + size_of::<usize>())
    }

    /// Pages in use.
    pub(super) fn pages_used(&self) -> usize {
        self.pages_used
    }

    /// The first byte of a page. Valid for `PAGE_BYTES` until the page is freed.
    #[inline(always)]
    pub(super) fn page(&self, id: PageId) -> *mut u8 {
        let base = self.bases[(id.0 >> CHUNK_SHIFT) as usize];
        let offset = (id.0 as usize % CHUNK_PAGES) * PAGE_BYTES;
        match base {
            // A PageId of this pool lies inside its chunk, so the address does not wrap.
            Some(base) => base.as_ptr().wrapping_add(offset),
            None => unreachable!("page of a chunk that was given back"),
        }
    }

    /// Takes a page out of the pool; its content is arbitrary.
    pub(super) fn take(&mut self) -> PageId {
        let number = match (self.first_free..self.chunks.len()).find(|&c| self.chunks[c].free > 0) {
            Some(number) => number,
            None => self.grow(),
        };
        self.first_free = number;
        let chunk = &mut self.chunks[number];
        let word = chunk.used.iter().position(|&w| w != u64::MAX).expect("a chunk counts its free pages");
        let bit = chunk.used[word].trailing_ones();
        chunk.used[word] |= 1 << bit;
        chunk.free -= 1;
        self.pages_used += 1;
        PageId((number << CHUNK_SHIFT | word << 6 | bit as usize) as u32)
    }

    /// Puts a page back. A chunk without pages in use is given back, unless it is the only one with free pages.
    pub(super) fn put(&mut self, id: PageId) {
        let number = (id.0 >> CHUNK_SHIFT) as usize;
        let page = id.0 as usize % CHUNK_PAGES;
        let chunk = &mut self.chunks[number];
        let bit = 1u64 << (page % 64);
        assert!(chunk.used[page / 64] & bit != 0, "a page is put back once");
        chunk.used[page / 64] &= !bit;
        chunk.free += 1;
        self.pages_used -= 1;
        self.first_free = self.first_free.min(number);
        if chunk.free == chunk.pages && self.pages_total - self.pages_used >= 2 * chunk.pages {
            self.release(number);
        }
    }

    /// Adds a chunk and returns its number.
    #[cold]
    fn grow(&mut self) -> usize {
        let number = self.bases.iter().position(Option::is_none).unwrap_or(self.bases.len());
        let doubled = self.pages_total.next_power_of_two();
        let pages = doubled.clamp(FIRST_CHUNK_PAGES, CHUNK_PAGES);
        let layout = chunk_layout(pages);
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let mut used = [u64::MAX; CHUNK_PAGES / 64];
        for page in 0..pages {
            used[page / 64] &= !(1 << (page % 64));
        }
        let chunk = Chunk { pages, free: pages, used };
        if number == self.bases.len() {
            self.bases.push(Some(base));
            self.chunks.push(chunk);
        } else {
            self.bases[number] = Some(base);
            self.chunks[number] = chunk;
        }
        self.pages_total += pages;
        number
    }

    fn release(&mut self, number: usize) {
        let pages = self.chunks[number].pages;
        if let Some(base) = self.bases[number].take() {
            // SAFETY: allocated by `grow` with this layout; no page of it is in use.
            unsafe { dealloc(base.as_ptr(), chunk_layout(pages)) };
            self.pages_total -= pages;
        }
        self.chunks[number] = Chunk { pages: 0, free: 0, used: [u64::MAX; CHUNK_PAGES / 64] };
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for number in 0..self.chunks.len() {
            self.release(number);
        }
    }
}

fn chunk_layout(pages: usize) -> Layout {
    let bytes = pages * PAGE_BYTES;
    let align = if pages == CHUNK_PAGES { bytes } else { PAGE_BYTES };
    Layout::from_size_align(bytes, align).expect("powers of two")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_distinct_and_go_back() {
        let mut pool = Pool::default();
        assert_eq!(pool.bytes(), 0);
        let ids: Vec<_> = (0..3000).map(|_| pool.take()).collect();
        let mut at: Vec<_> = ids.iter().map(|&id| pool.page(id) as usize).collect();
        at.sort_unstable();
        assert!(at.windows(2).all(|w| w[1] - w[0] >= PAGE_BYTES));
        assert!(at.iter().all(|a| a % PAGE_BYTES == 0));
        assert_eq!(pool.pages_used(), 3000);
        let full = pool.bytes();
        ids.iter().for_each(|&id| pool.put(id));
        assert_eq!(pool.pages_used(), 0);
        assert!(pool.bytes() < full / 2, "{} of {full} bytes are kept", pool.bytes());
        let again: Vec<_> = (0..3000).map(|_| pool.take()).collect();
        assert!(pool.bytes() <= full + 2 * 1024 * 1024);
        again.iter().for_each(|&id| pool.put(id));
    }
}

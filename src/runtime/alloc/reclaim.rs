//! What mimalloc keeps free goes back to the system: in the background about a second after it was freed, and by the
//! shards themselves, at once, while the process takes more of the machine than it should ([`set_scarce`]).
//!
//! Left alone, mimalloc (3.3) does that on whichever thread frees a page when a second is over, all of that second's
//! pages in one call; and where two threads are in it at the same time, it can come to believe that nothing is due, for
//! good: of a process of 200 MB it then kept another 150 MB. So its own delay is put off for ever here, and pages are
//! given back by calls that do not ask whether they are due.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// Smallest block whose pages go back as soon as it is freed, while memory is scarce: mimalloc serves such sizes from
/// pages of half a megabyte to four, and keeps each whole until its last block is freed.
pub(super) const LARGE_BYTES_MIN: usize = 16 << 10;
static SCARCE: AtomicBool = AtomicBool::new(false);

/// `mi_option_purge_delay` (mimalloc.h), and a delay that never ends; with none at all pages would go back one by one.
const PURGE_DELAY_OPTION: c_int = 15;
const PURGE_DELAY_MS: c_long = 1 << 40;

// mimalloc.h, as in `alloc.rs`.
unsafe extern "C" {
    fn mi_collect(force: bool);
    fn mi_heap_collect(heap: *mut c_void, force: bool);
    fn mi_heap_new() -> *mut c_void;
    fn mi_option_set(option: c_int, value: c_long);
}

/// Has free pages stay until one of the functions here gives them back.
pub(super) fn keep_free_pages() {
    // SAFETY: may be called at any time, from any thread; the option is one that this version of mimalloc has.
    unsafe { mi_option_set(PURGE_DELAY_OPTION, PURGE_DELAY_MS) }
}

/// Says whether the process takes more of the machine than it should: freed memory then goes back at once.
pub fn set_scarce(scarce: bool) {
    if is_scarce() != scarce {
        SCARCE.store(scarce, Relaxed);
    }
}

/// What was last said to [`set_scarce`].
pub fn is_scarce() -> bool {
    SCARCE.load(Relaxed)
}

/// Gives the calling thread's free pages back to the system (MEMORY PURGE; each thread has its own), and those that
/// belong to no thread. Looks at every page that the thread has.
pub fn purge() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { mi_collect(true) }
}

/// Looks for pages of the calling thread whose blocks others have freed. Takes time by the number of its pages.
pub fn collect() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { mi_collect(false) }
}

/// A heap without blocks: collecting it is all that has to do with no thread's own pages.
static EMPTY: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Gives pages that belong to no thread back to the system. Takes time by their number alone.
pub fn give_back_free() {
    let mut heap = EMPTY.load(Acquire);
    if heap.is_null() {
        // SAFETY: may be called from any thread.
        let new = unsafe { mi_heap_new() };
        // Who comes second leaves a heap of a few hundred bytes unused.
        heap = EMPTY.compare_exchange(null_mut(), new, AcqRel, Acquire).map_or_else(|first| first, |_| new);
    }
    if !heap.is_null() {
        // SAFETY: the heap stays for as long as the process does, and may be collected from any thread.
        unsafe { mi_heap_collect(heap, true) }
    }
}

/// Gives the whole pages inside a block back to the system: they read as zeros, and come back when written to. The
/// first may stay, for the link that the allocator writes at the beginning of a free block.
///
/// # Safety
/// The block has so many bytes, all the caller's, who does not need what is in them any more.
pub(super) unsafe fn give_back_inside(block: *mut u8, bytes: usize) {
    // SAFETY: a question about the system; then advice about pages that lie wholly inside the block.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let begin = (block.addr() + size_of::<usize>()).next_multiple_of(page);
        let end = (block.addr() + bytes) / page * page;
        if begin < end {
            libc::madvise(block.with_addr(begin).cast(), end - begin, libc::MADV_DONTNEED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::alloc::{Allocator, tests::alone};
    use std::alloc::{GlobalAlloc, Layout};

    /// How many of the 4 KB pages that lie wholly inside a block are in memory. The block may have been freed.
    fn resident(block: *mut u8, bytes: usize) -> usize {
        let first = block.with_addr(block.addr().next_multiple_of(4096));
        let count = (block.addr() + bytes - first.addr()) / 4096;
        let mut pages = vec![0u8; count];
        // SAFETY: mimalloc's arenas stay mapped; nothing but whether the pages are there is asked.
        assert_eq!(unsafe { libc::mincore(first.cast(), count * 4096, pages.as_mut_ptr()) }, 0);
        pages.iter().filter(|page| **page & 1 == 1).count()
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 8).expect("a layout")
    }

    fn filled(bytes: usize) -> *mut u8 {
        // SAFETY: the size is not zero, and the block has it.
        unsafe {
            let block = Allocator.alloc(layout(bytes));
            block.write_bytes(1, bytes);
            block
        }
    }

    #[test]
    fn a_large_block_leaves_next_to_nothing_while_memory_is_scarce() {
        let _alone = alone();
        for (bytes, scarce) in [(25 * 4096, false), (25 * 4096, true), (LARGE_BYTES_MIN, true), (70_001, true)] {
            set_scarce(scarce);
            let blocks = [filled(bytes), filled(bytes), filled(bytes)];
            let all = resident(blocks[1], bytes);
            assert!(all >= bytes / 4096 - 1);
            // SAFETY: each block was allocated with this layout.
            unsafe { Allocator.dealloc(blocks[1], layout(bytes)) };
            let left = resident(blocks[1], bytes);
            assert!(if scarce { left <= 1 } else { left == all }, "{left} of {all} pages, scarce: {scarce}");
            for block in [blocks[0], blocks[2]] {
                // SAFETY: the block has so many bytes and goes for good then.
                unsafe {
                    assert!(std::slice::from_raw_parts(block, bytes).iter().all(|byte| *byte == 1));
                    Allocator.dealloc(block, layout(bytes));
                }
            }
        }
        set_scarce(false);
    }

    #[test]
    fn free_pages_go_back_when_they_are_asked_for() {
        const BYTES: usize = 8192;
        let _alone = alone();
        keep_free_pages();
        let blocks: Vec<*mut u8> = (0..2000).map(|_| filled(BYTES)).collect();
        // SAFETY: each block was allocated with this layout.
        blocks.iter().for_each(|block| unsafe { Allocator.dealloc(*block, layout(BYTES)) });
        let resident = || blocks.iter().map(|block| resident(*block, BYTES)).sum::<usize>();
        collect();
        let before = resident();
        give_back_free();
        assert!(before > 1900 && resident() < before / 4, "{} of {before} pages", resident());
    }
}

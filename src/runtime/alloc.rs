//! mimalloc with a true count of the bytes in use, and the allocator's own figures. Never takes a lock.
//!
//! Every thread counts what it allocates and frees in a cell of its own, on a cache line of its own; a value freed by
//! another thread than made it makes one cell fall and the other stay, and the sum over all cells is right. What is
//! counted is the size of the block that mimalloc hands out ([`block_bytes`]), so that `used_memory` holds the
//! rounding too, as Redis's does. mimalloc itself keeps such a sum only in slower builds. Measured here: an
//! allocation with its release costs 9-10 ns without the count and 11-12 ns with it.
//!
//! Page-aligned requests of a megabyte and more (the chunks of the keyspace's tables) go straight to the kernel, which
//! makes neighbours one mapping. mimalloc would serve them from huge pages (measured: 5 bytes more per key) or, aligned
//! to their size, as two mappings each, of which a process may have 65530. Once there are many, chunks of 2 MB are huge
//! pages that were made [`ahead`].
//!
//! So do requests of [`HUGE_BYTES_MIN`] and more: the kernel moves their pages to a longer mapping, where mimalloc
//! copies (APPEND to a string of 500 MB: 0.4 s), and takes the end of one back, so that they can be freed in steps.

mod ahead;
mod reclaim;

pub use reclaim::{collect, give_back_free, is_scarce, purge, set_scarce};

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

/// Threads with a cell of their own; all others share one more, with an atomic addition.
const CELLS: usize = 128;

#[repr(align(128))]
struct Counter(AtomicIsize);

static COUNTERS: [Counter; CELLS + 1] = [const { Counter(AtomicIsize::new(0)) }; CELLS + 1];
static CLAIMED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Index of this thread's cell; `usize::MAX` until it allocates.
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn count(bytes: isize) {
    let mut index = CELL.get();
    if index >= CELLS {
        index = claim(index);
    }
    let counter = &COUNTERS[index].0;
    if index == CELLS {
        counter.fetch_add(bytes, Relaxed);
    } else {
        // Only this thread writes the cell: no atomic addition is needed.
        counter.store(counter.load(Relaxed).wrapping_add(bytes), Relaxed);
    }
}

#[cold]
fn claim(index: usize) -> usize {
    if index == CELLS {
        return CELLS;
    }
    let index = CLAIMED.fetch_add(1, Relaxed).min(CELLS);
    CELL.set(index);
    index
}

/// Bytes allocated and not freed by all threads, if [`Allocator`] is the global one; else 0.
pub fn used_bytes() -> u64 {
    // Cells are handed out in order, and the shared one is only in use when all others are.
    let claimed = CLAIMED.load(Relaxed);
    let cells = if claimed < CELLS { &COUNTERS[..claimed] } else { &COUNTERS[..] };
    let sum = cells.iter().fold(0isize, |sum, counter| sum.wrapping_add(counter.0.load(Relaxed)));
    // Cells are read one after the other, so a block on its way from one thread to another may be seen freed only.
    sum.max(0) as u64
}

/// Bytes that this thread has allocated less those it has freed: what it did since it asked last is the difference.
pub fn own_bytes() -> isize {
    let index = CELL.get();
    if index == usize::MAX { 0 } else { COUNTERS[index].0.load(Relaxed) }
}

/// Largest request that mimalloc serves from a size class; above, it rounds to whole pages.
const CLASS_BYTES_MAX: usize = 512 * 1024;

/// The block that a request of `bytes` gets: mimalloc's size classes, 16-byte steps up to 64 bytes, then four classes
/// to each power of two (mimalloc, `page-queue.c`, `mi_bin`).
#[inline]
pub fn block_bytes(bytes: usize) -> usize {
    match bytes {
        0..=8 => 8,
        9..=64 => (bytes + 15) & !15,
        65..=CLASS_BYTES_MAX => {
            let words = bytes.div_ceil(8) - 1;
            let step = words.ilog2() - 2;
            ((words >> step) + 1) << step << 3
        }
        _ => bytes.saturating_add(4095) & !4095,
    }
}

/// Bytes that [`map`] has handed out.
static MAPPED: AtomicUsize = AtomicUsize::new(0);
/// Smallest request that goes to [`map`], and its alignment.
const MAP_BYTES_MIN: usize = 1 << 20;
const MAP_ALIGN: usize = 4096;

/// Smallest request of any smaller alignment that goes to [`map`].
pub const HUGE_BYTES_MIN: usize = 8 << 20;

#[inline(always)]
fn is_mapped(layout: Layout) -> bool {
    layout.size() >= MAP_BYTES_MIN
        && (layout.align() == MAP_ALIGN || layout.size() >= HUGE_BYTES_MIN && layout.align() < MAP_ALIGN)
}

/// # Safety
/// As of `dealloc`, of a block of [`reclaim::LARGE_BYTES_MIN`] or more.
#[inline(never)]
unsafe fn dealloc_large(block: *mut u8, layout: Layout) {
    // SAFETY: the caller's.
    unsafe {
        if is_mapped(layout) {
            return unmap(block, layout.size());
        }
        if is_scarce() {
            reclaim::give_back_inside(block, layout.size());
        }
        MiMalloc.dealloc(block, layout);
    }
}

/// Zeroed pages; null if the kernel has none.
#[cold]
fn map(bytes: usize) -> *mut u8 {
    if bytes != ahead::CHUNK_BYTES {
        return map_pages(bytes);
    }
    let chunk = ahead::take().unwrap_or_else(|| map_pages(bytes));
    ahead::stir();
    chunk
}

/// Zeroed pages from the kernel; null if it has none.
fn map_pages(bytes: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that is there.
    let pages = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
    if pages == libc::MAP_FAILED {
        return null_mut();
    }
    MAPPED.fetch_add(bytes, Relaxed);
    pages.cast()
}

/// Gives back what [`map`] gave.
///
/// # Safety
/// `pages` came from `map(bytes)` and is not used any more.
#[cold]
unsafe fn unmap(pages: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { unmap_pages(pages, bytes) };
    if bytes == ahead::CHUNK_BYTES {
        ahead::stir();
    }
}

/// Gives pages back to the kernel.
///
/// # Safety
/// They are all or a part of what [`map_pages`] gave, and not used any more.
unsafe fn unmap_pages(pages: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    let failed = unsafe { libc::munmap(pages.cast(), bytes) } != 0;
    assert!(!failed, "munmap refuses pages that were mapped");
    MAPPED.fetch_sub(bytes, Relaxed);
}

/// Starts the thread that makes chunks of huge pages ahead, where the kernel has any, and gives free pages back. To be
/// called once, before there is much to free.
pub fn start_keeper() -> std::io::Result<()> {
    ahead::start()?;
    reclaim::keep_free_pages();
    Ok(())
}

/// The global allocator.
#[derive(Debug, Default, Clone, Copy)]
pub struct Allocator;

// SAFETY: every call goes to mimalloc unchanged; counting touches neither the heap nor the blocks.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are mimalloc's.
        let block = if is_mapped(layout) { map(layout.size()) } else { unsafe { MiMalloc.alloc(layout) } };
        if !block.is_null() {
            count(block_bytes(layout.size()) as isize);
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = if is_mapped(layout) { map(layout.size()) } else { unsafe { MiMalloc.alloc_zeroed(layout) } };
        if !block.is_null() {
            count(block_bytes(layout.size()) as isize);
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(block_bytes(layout.size()) as isize));
        // SAFETY: as in `alloc`; the block came from where its layout says.
        unsafe {
            if layout.size() >= reclaim::LARGE_BYTES_MIN {
                dealloc_large(block, layout)
            } else {
                MiMalloc.dealloc(block, layout)
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if layout.size().max(bytes) >= MAP_BYTES_MIN {
            // SAFETY: `bytes` is not zero and fits a layout: the caller's promise.
            let new_layout = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
            if is_mapped(layout) || is_mapped(new_layout) {
                // SAFETY: as in `dealloc`.
                return unsafe { self.remap(block, layout, new_layout) };
            }
        }
        // SAFETY: as in `dealloc`.
        let moved = unsafe { MiMalloc.realloc(block, layout, bytes) };
        if !moved.is_null() {
            count(block_bytes(bytes) as isize - block_bytes(layout.size()) as isize);
        }
        moved
    }
}

impl Allocator {
    /// As `realloc`, where the old block or the new one is mapped.
    #[cold]
    unsafe fn remap(self, block: *mut u8, layout: Layout, new_layout: Layout) -> *mut u8 {
        let (old, new) = (layout.size(), new_layout.size());
        if is_mapped(layout) && is_mapped(new_layout) {
            // SAFETY: the block is a mapping of this length, which nothing else uses.
            let moved = unsafe { libc::mremap(block.cast(), old, new, libc::MREMAP_MAYMOVE) };
            if moved == libc::MAP_FAILED {
                return null_mut();
            }
            MAPPED.fetch_add(new.wrapping_sub(old), Relaxed);
            count(block_bytes(new) as isize - block_bytes(old) as isize);
            return moved.cast();
        }
        // SAFETY: the caller's promises are those of `realloc`.
        unsafe {
            let moved = self.alloc(new_layout);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, old.min(new));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

// mimalloc's own interface (mimalloc.h); the crate binds only what an allocator needs.
unsafe extern "C" {
    fn mi_version() -> c_int;
    fn mi_unsafe_heap_page_is_under_utilized(heap: *mut c_void, block: *const c_void, percent: usize) -> bool;
    fn mi_process_info(
        elapsed_ms: *mut usize,
        user_ms: *mut usize,
        system_ms: *mut usize,
        current_rss: *mut usize,
        peak_rss: *mut usize,
        current_commit: *mut usize,
        peak_commit: *mut usize,
        page_faults: *mut usize,
    );
    fn mi_stats_print_out(out: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>, arg: *mut c_void);
}

/// Bytes got from the system, by mimalloc or for it, and not given back.
pub fn committed_bytes() -> u64 {
    let mut commit = 0usize;
    // SAFETY: every argument is an out-parameter that may be null; `commit` outlives the call.
    unsafe {
        mi_process_info(
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut commit,
            null_mut(),
            null_mut(),
        );
    }
    (commit + MAPPED.load(Relaxed)) as u64
}

/// Blocks of a page in use, in percent, up to which it is worth emptying.
const SPARSE_PERCENT: usize = 80;

/// Whether the page of a live block is so empty that its blocks had better move to others, which new blocks go to: it
/// is not the one that its size is being served from. False for what is mapped on its own.
pub fn is_sparse(block: *const u8) -> bool {
    // SAFETY: the page of a live block stays; a block that another thread's heap owns is counted by that thread
    // meanwhile, and a count that is read a little late makes a worse choice, nothing else.
    unsafe { mi_unsafe_heap_page_is_under_utilized(null_mut(), block.cast(), SPARSE_PERCENT) }
}

/// Name and version, as INFO's `mem_allocator` has it.
pub fn name() -> String {
    // SAFETY: reads a constant.
    let version = unsafe { mi_version() };
    // 3.1.5 is 30105 (or, up to 2.x, 2.1.7 is 217).
    if version >= 10_000 {
        return format!("mimalloc-{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
    }
    format!("mimalloc-{}.{}.{}", version / 100, version / 10 % 10, version % 10)
}

/// mimalloc's report about itself (MEMORY MALLOC-STATS).
pub fn report() -> String {
    unsafe extern "C" fn append(text: *const c_char, report: *mut c_void) {
        // SAFETY: mimalloc calls with a NUL-terminated text and the pointer that was given to it below, which is a
        // `Vec<u8>` that nobody else uses meanwhile.
        let (text, report) = unsafe { (CStr::from_ptr(text), &mut *report.cast::<Vec<u8>>()) };
        report.extend_from_slice(text.to_bytes());
    }
    let mut report: Vec<u8> = Vec::new();
    // SAFETY: the function and its argument outlive the call, in which alone they are used.
    unsafe { mi_stats_print_out(Some(append), (&raw mut report).cast()) }
    String::from_utf8_lossy(&report).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// For tests that look at counts of the whole process.
    pub(super) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    unsafe extern "C" {
        fn mi_good_size(size: usize) -> usize;
    }

    #[test]
    fn blocks_are_those_of_mimalloc() {
        let sizes = (1..5000).chain((5000..4 << 20).step_by(997)).chain([CLASS_BYTES_MAX, CLASS_BYTES_MAX + 1]);
        for bytes in sizes {
            // SAFETY: a function of its argument.
            assert_eq!(block_bytes(bytes), unsafe { mi_good_size(bytes) }, "{bytes} bytes");
        }
    }

    #[test]
    fn counts_over_threads_and_tells_of_itself() {
        let _alone = alone();
        // The test binary uses the system's allocator; this one counts what goes through it here.
        let before = used_bytes();
        let layout = Layout::from_size_align(100_000, 8).expect("a layout");
        // SAFETY: the size is not zero.
        let block = unsafe { Allocator.alloc(layout) } as usize;
        assert_eq!(used_bytes() - before, block_bytes(100_000) as u64);
        let freed = std::thread::spawn(move || {
            // SAFETY: the block is this allocator's, with this layout; `realloc` keeps both so.
            unsafe {
                let block = Allocator.realloc(block as *mut u8, layout, 200_000);
                let layout = Layout::from_size_align(200_000, 8).expect("a layout");
                Allocator.dealloc(block, layout);
            }
        });
        freed.join().expect("the thread ends");
        assert_eq!(used_bytes(), before);
        let small = Layout::from_size_align(MAP_BYTES_MIN / 2, MAP_ALIGN).expect("a layout");
        let large = Layout::from_size_align(2 * MAP_BYTES_MIN, MAP_ALIGN).expect("a layout");
        // SAFETY: sizes are not zero, and each block is used and freed with its layout.
        unsafe {
            let block = Allocator.alloc(small);
            block.write(7);
            let block = Allocator.realloc(block, small, large.size());
            assert_eq!((MAPPED.load(Relaxed), used_bytes() - before), (large.size(), large.size() as u64));
            block.add(large.size() - 1).write(9);
            let block = Allocator.realloc(block, large, small.size());
            assert_eq!((block.read(), MAPPED.load(Relaxed)), (7, 0));
            Allocator.dealloc(block, small);
            // A huge block of any alignment keeps its bytes, and gives its end back.
            let of = |bytes| Layout::from_size_align(bytes, 1).expect("a layout");
            let mut block = Allocator.alloc(of(100));
            block.write(5);
            let mut bytes = 100;
            for next in [HUGE_BYTES_MIN, 9 * HUGE_BYTES_MIN + 1, 3 * HUGE_BYTES_MIN, 2000] {
                block = Allocator.realloc(block, of(bytes), next);
                bytes = next;
                block.add(bytes - 1).write(6);
                let mapped = if bytes >= HUGE_BYTES_MIN { bytes } else { 0 };
                assert_eq!((block.read(), MAPPED.load(Relaxed)), (5, mapped));
                assert_eq!(used_bytes() - before, block_bytes(bytes) as u64);
            }
            Allocator.dealloc(block, of(bytes));
        }
        assert_eq!(used_bytes(), before);
        // In the same test, because the count is the whole process's.
        assert!(committed_bytes() > 0);
        assert!(name().starts_with("mimalloc-"), "{}", name());
        assert!(!report().is_empty());
        purge();
    }
}

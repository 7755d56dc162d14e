//! Chunks of one huge page each, made ahead on a thread of their own, so that no core waits for the kernel to clear two
//! megabytes (in a virtual machine: to have them at all; 4 ms and more). Never hands out a chunk that is not there. The
//! same thread gives back what is free.
//!
//! A lookup in a large table misses the TLB three times with small pages, also where the memory was fetched ahead: GET
//! and SET of a million random keys, pipelines of 64, take 0.37 us with huge pages and 0.43 with small ones. Who finds
//! no chunk here maps small pages, as small processes do, for which half a chunk more would be much.

use crate::runtime::affinity;
use crate::runtime::alloc::reclaim;
use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes of a chunk, and its alignment: a huge page of x86-64, and of arm64 with pages of 4 KB.
pub(super) const CHUNK_BYTES: usize = 2 << 20;

/// Mapped bytes from which on chunks are made ahead: eight chunks.
const MAPPED_BYTES_MIN: usize = 8 * CHUNK_BYTES;
/// For each of so many mapped bytes one more chunk is kept ready: at 2 million keys of 32 bytes one makes a byte a key.
const MAPPED_BYTES_PER_SPARE: usize = 512 * CHUNK_BYTES;
/// Chunks that are kept ready, at most.
const SPARES_MAX: usize = 8;

static SPARES: [AtomicPtr<u8>; SPARES_MAX] = [const { AtomicPtr::new(null_mut()) }; SPARES_MAX];
static MAKER: OnceLock<Thread> = OnceLock::new();
/// How often free pages go back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// How many chunks should be ready when the process has mapped so many bytes.
fn wanted(mapped: usize) -> usize {
    if mapped < MAPPED_BYTES_MIN { 0 } else { (1 + mapped / MAPPED_BYTES_PER_SPARE).min(SPARES_MAX) }
}

/// A chunk that is ready, zeroed, if there is one.
pub(super) fn take() -> Option<*mut u8> {
    // An empty place is not written to: the line stays with whoever has it.
    let filled = SPARES.iter().filter(|place| !place.load(Acquire).is_null());
    filled.map(|place| place.swap(null_mut(), AcqRel)).find(|chunk| !chunk.is_null())
}

/// Has the maker look whether it has enough chunks.
pub(super) fn stir() {
    if let Some(maker) = MAKER.get() {
        maker.unpark();
    }
}

/// Starts the maker. To be called once.
pub(super) fn start() -> io::Result<()> {
    let huge = are_allowed();
    let maker = thread::Builder::new().name("pages".to_string()).spawn(move || {
        affinity::run_in_background();
        let mut given_back = Instant::now();
        loop {
            if huge {
                keep_ready(wanted(super::MAPPED.load(Acquire)));
            }
            // the shards do it themselves while memory is scarce, and need not wait for this thread's turn
            if given_back.elapsed() >= GIVE_BACK_EVERY && !reclaim::is_scarce() {
                reclaim::give_back_free();
                given_back = Instant::now();
            }
            thread::park_timeout(GIVE_BACK_EVERY);
        }
    })?;
    MAKER.set(maker.thread().clone()).expect("there is one maker");
    Ok(())
}

/// Fills the first `count` places and empties the others. Only the maker does.
fn keep_ready(count: usize) {
    let (filled, emptied) = SPARES.split_at(count);
    for place in filled.iter().filter(|place| place.load(Acquire).is_null()) {
        let Some(chunk) = make() else { return };
        place.store(chunk, Release);
    }
    emptied.iter().for_each(|place| give_back(place.swap(null_mut(), AcqRel)));
}

fn give_back(chunk: *mut u8) {
    if !chunk.is_null() {
        // SAFETY: a chunk comes from `map_aligned`, and whoever takes it out of `SPARES` alone has it.
        unsafe { super::unmap_pages(chunk, CHUNK_BYTES) };
    }
}

/// A chunk whose memory is there.
fn make() -> Option<*mut u8> {
    let chunk = map_aligned()?;
    // SAFETY: advice about a mapping of this length that nobody else knows, and a write into it.
    let is_there = unsafe {
        libc::madvise(chunk.cast::<c_void>(), CHUNK_BYTES, libc::MADV_HUGEPAGE);
        // The fault of a write locks this mapping alone. The advice below, which makes what is still missing, has who
        // maps anything wait meanwhile: a COPY of 10 million fields took ticks of 12.6 ms with it alone, 1.8 so.
        chunk.write_volatile(0);
        libc::madvise(chunk.cast::<c_void>(), CHUNK_BYTES, libc::MADV_POPULATE_WRITE) == 0
    };
    if !is_there {
        give_back(chunk);
        return None;
    }
    Some(chunk)
}

/// A mapping of a chunk on a border of chunks.
fn map_aligned() -> Option<*mut u8> {
    let chunk = super::map_pages(CHUNK_BYTES);
    if chunk.is_null() {
        return None;
    }
    if chunk.addr().is_multiple_of(CHUNK_BYTES) {
        return Some(chunk);
    }
    give_back(chunk);
    let wide = super::map_pages(2 * CHUNK_BYTES);
    if wide.is_null() {
        return None;
    }
    let front = wide.addr().next_multiple_of(CHUNK_BYTES) - wide.addr();
    let chunk = wide.wrapping_add(front);
    // SAFETY: both parts lie in the mapping, beside the chunk, and nobody uses them.
    unsafe {
        if front > 0 {
            super::unmap_pages(wide, front);
        }
        if front < CHUNK_BYTES {
            super::unmap_pages(chunk.wrapping_add(CHUNK_BYTES), CHUNK_BYTES - front);
        }
    }
    Some(chunk)
}

/// Whether the kernel gives huge pages to who asks: not if they are off, nor if this process was started without them.
fn are_allowed() -> bool {
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    // SAFETY: asks for a number.
    let denied = unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) } != 0;
    setting.is_ok_and(|setting| !setting.contains("[never]")) && !denied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_ready_once_there_is_much_and_go_back_when_there_is_little() {
        let _alone = crate::runtime::alloc::tests::alone();
        assert_eq!((wanted(0), wanted(MAPPED_BYTES_MIN - 1), wanted(MAPPED_BYTES_MIN)), (0, 0, 1));
        assert_eq!((wanted(2 * MAPPED_BYTES_PER_SPARE), wanted(usize::MAX)), (3, SPARES_MAX));
        keep_ready(3);
        let chunks: Vec<*mut u8> = std::iter::from_fn(take).collect();
        assert_eq!(chunks.len(), 3);
        for &chunk in &chunks {
            assert!(chunk.addr().is_multiple_of(CHUNK_BYTES));
            // SAFETY: a chunk that was taken is this test's alone.
            unsafe {
                assert!((0..CHUNK_BYTES).step_by(4096).all(|at| chunk.add(at).read() == 0));
                chunk.add(CHUNK_BYTES - 1).write(1);
            }
            give_back(chunk);
        }
        keep_ready(SPARES_MAX);
        keep_ready(1);
        assert_eq!(std::iter::from_fn(take).map(give_back).count(), 1);
    }
}

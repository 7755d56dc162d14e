//! The receive buffers as the kernel sees them: a ring it takes one from whenever bytes arrive. Hands out only what
//! the kernel filled.
//!
//! The kernel goes through the ring in turn, so that every buffer on it is resident before long. It starts with a few,
//! which stay in the processor's cache, and gets more when they run out and there are not two for each connection: one
//! that sends much at once is as well served when it waits until what it sent is worked off.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::runtime::driver::RecvBuf;
use crate::runtime::driver::pool::{Pool, map_anonymous, unmap};

use super::ring::Ring;

/// The only buffer group of the ring.
pub(super) const GROUP: u16 = 0;

/// Buffers on the ring at first.
const OFFERED_START: usize = 32;

/// The pool and the ring of its free parts shared with the kernel.
#[derive(Debug)]
pub(super) struct Buffers {
    pool: Pool,
    entries: NonNull<BufRingEntry>,
    /// A power of two, at least the pool's count: every part fits the ring.
    slots: u16,
    tail: u16,
    /// Parts that the ring has had so far.
    offered: usize,
}

impl Buffers {
    /// Makes `count` buffers and registers them. They must be dropped after the ring.
    pub(super) fn new(ring: &Ring, count: usize, bytes: usize) -> io::Result<Buffers> {
        let slots = u16::try_from(count.next_power_of_two()).expect("at most 32768 buffers");
        let pool = Pool::new(count, bytes)?;
        let entries = map_anonymous(usize::from(slots) * size_of::<BufRingEntry>())?.cast();
        let mut buffers = Buffers { pool, entries, slots, tail: 0, offered: 0 };
        let address = buffers.entries.as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, has room for `slots` entries, and is unmapped only when the ring is
        // gone: it is dropped after the ring.
        unsafe { ring.inner().submitter().register_buf_ring_with_flags(address, slots, GROUP, 0) }?;
        buffers.offer_up_to(OFFERED_START);
        Ok(buffers)
    }

    /// After the ring ran empty: puts as many again on it, if so many connections may need them; else false.
    pub(super) fn widen(&mut self, connections: usize) -> bool {
        let before = self.offered;
        if before < 2 * connections {
            self.offer_up_to(before * 2);
        }
        self.offered > before
    }

    fn offer_up_to(&mut self, count: usize) {
        while self.offered < count.min(self.pool.count()) {
            self.offer(self.offered as u16);
            self.offered += 1;
        }
    }

    /// Puts a free part at the end of the kernel's ring.
    fn offer(&mut self, index: u16) {
        let slot = usize::from(self.tail & (self.slots - 1));
        // SAFETY: the slot is inside the mapping, and the kernel does not read it before the tail passes it: the ring
        // has a slot for every part, so this one is not in use.
        let entry = unsafe { &mut *self.entries.as_ptr().add(slot) };
        entry.set_addr(self.pool.part(index) as u64);
        entry.set_len(self.pool.part_bytes() as u32);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry of the mapping, is aligned, and is written atomically only by us.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The part `index`, of which the kernel says that it put `bytes` into it.
    ///
    /// # Safety
    /// A completion said so, and it is used once.
    pub(super) unsafe fn filled(&mut self, index: u16, bytes: usize) -> RecvBuf {
        // SAFETY: the kernel took the part off its ring when it filled it.
        unsafe { self.pool.take(index, bytes) }
    }

    /// Gives a part back to the kernel.
    pub(super) fn recycle(&mut self, buffer: RecvBuf) {
        let index = self.pool.put(buffer);
        self.offer(index);
    }

    /// Gives back a part that the kernel took and did not use.
    pub(super) fn unused(&mut self, index: u16) {
        self.offer(index);
    }

    /// Parts not in the hands of the caller.
    pub(super) fn free_count(&self) -> usize {
        self.pool.count() - self.pool.out()
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this size; the ring it was registered with is gone.
        unsafe { unmap(self.entries.cast(), usize::from(self.slots) * size_of::<BufRingEntry>()) };
    }
}

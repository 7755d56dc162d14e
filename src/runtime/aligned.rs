//! A byte buffer whose memory begins on a disk block's boundary, as reading and writing around the page cache requires.
//! Grows like a `Vec`; never gives out memory that was not written.

use std::alloc::{self, Layout};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Boundary of the memory, and of the capacity.
pub const ALIGN: usize = 4096;

/// See the module.
pub struct AlignedBuf {
    memory: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for AlignedBuf {}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuf({} of {} bytes)", self.len, self.capacity)
    }
}

impl Default for AlignedBuf {
    fn default() -> Self {
        AlignedBuf { memory: NonNull::dangling(), len: 0, capacity: 0 }
    }
}

impl AlignedBuf {
    /// Room for at least `bytes` in all, rounded up to a multiple of [`ALIGN`].
    #[inline]
    pub fn reserve(&mut self, bytes: usize) {
        if bytes > self.capacity {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        let capacity = bytes.max(self.capacity * 2).next_multiple_of(ALIGN);
        let layout = Self::layout(capacity);
        // SAFETY: the size is not zero, as `bytes` is greater than the capacity.
        let memory = unsafe { alloc::alloc(layout) };
        let Some(memory) = NonNull::new(memory) else { alloc::handle_alloc_error(layout) };
        // SAFETY: both are valid for `len` bytes, and the new one was just made.
        unsafe { memory.copy_from_nonoverlapping(self.memory, self.len) };
        self.free();
        self.memory = memory;
        self.capacity = capacity;
    }

    /// Appends bytes.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(self.len + bytes.len());
        // SAFETY: there is room behind `len`, and `bytes` cannot be in memory that is borrowed mutably here.
        unsafe { self.memory.add(self.len).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.len += bytes.len();
    }

    /// Shortens it, or lengthens it with zeros.
    pub fn resize(&mut self, len: usize) {
        self.reserve(len);
        if len > self.len {
            // SAFETY: there is room for `len` bytes.
            unsafe { self.memory.add(self.len).write_bytes(0, len - self.len) };
        }
        self.len = len;
    }

    /// Empties it and keeps the memory, unless that is more than `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.len = 0;
        if self.capacity > keep {
            self.free();
        }
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, ALIGN).expect("a buffer that fits in the address space")
    }

    fn free(&mut self) {
        if self.capacity > 0 {
            // SAFETY: it was allocated with this layout, and is forgotten here.
            unsafe { alloc::dealloc(self.memory.as_ptr(), Self::layout(self.capacity)) };
            self.memory = NonNull::dangling();
            self.capacity = 0;
        }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        self.free();
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes were written.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.len) }
    }
}

impl Extend<u8> for AlignedBuf {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        bytes.into_iter().for_each(|byte| self.extend_from_slice(&[byte]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_stays_aligned_and_keeps_its_bytes() {
        let mut buffer = AlignedBuf::default();
        let mut model = Vec::new();
        for n in 0..2000u32 {
            let bytes = vec![n as u8; (n % 37) as usize];
            buffer.extend_from_slice(&bytes);
            model.extend_from_slice(&bytes);
            assert_eq!(buffer.as_ptr() as usize % if buffer.capacity() > 0 { ALIGN } else { 1 }, 0);
        }
        assert_eq!(*buffer, model[..]);
        buffer.resize(model.len() + 5000);
        model.resize(model.len() + 5000, 0);
        assert_eq!((buffer.len(), buffer.capacity() % ALIGN), (model.len(), 0));
        assert_eq!(*buffer, model[..]);
        buffer[7] = 99;
        buffer.resize(8);
        assert_eq!(buffer[7], 99);
        let capacity = buffer.capacity();
        buffer.clear(capacity);
        assert_eq!((buffer.len(), buffer.capacity()), (0, capacity));
        buffer.clear(ALIGN);
        assert_eq!(buffer.capacity(), 0);
        assert!(AlignedBuf::default().is_empty());
    }
}

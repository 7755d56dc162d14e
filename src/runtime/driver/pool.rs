//! Receive buffers of one core: one mapping, cut into equal parts. Hands parts out; never reads or writes them.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// Bytes that came in, in a buffer of the driver's pool. Give it back with `Driver::recycle`: a buffer that is
/// dropped instead is lost to the pool (its memory stays valid).
#[must_use = "give it back with Driver::recycle"]
pub struct RecvBuf {
    start: NonNull<u8>,
    bytes: u32,
    index: u16,
    _not_send: PhantomData<*const ()>,
}

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start..start + bytes` lies in a part that `Pool::take` gave to this handle alone; neither the
        // kernel nor the pool touches it until it is recycled, and the pool never unmaps while parts are out.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes as usize) }
    }
}

impl std::fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecvBuf({} bytes in buffer {})", self.bytes, self.index)
    }
}

/// The mapping and its bookkeeping. A part is free (on the driver's list or in the kernel's ring) or out.
#[derive(Debug)]
pub(super) struct Pool {
    start: NonNull<u8>,
    part_bytes: usize,
    count: usize,
    out: usize,
}

impl Pool {
    /// Maps and faults in `count` parts of `part_bytes` each.
    pub(super) fn new(count: usize, part_bytes: usize) -> io::Result<Pool> {
        assert!(count <= usize::from(u16::MAX) + 1 && part_bytes.is_multiple_of(4096));
        Ok(Pool { start: map_anonymous(count * part_bytes)?, part_bytes, count, out: 0 })
    }

    /// Parts in all.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of each part.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Parts held by [`RecvBuf`]s.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// Where part `index` starts.
    #[inline]
    pub(super) fn part(&self, index: u16) -> *mut u8 {
        assert!(usize::from(index) < self.count);
        // SAFETY: the index is in range, so the offset stays inside the mapping.
        unsafe { self.start.as_ptr().add(usize::from(index) * self.part_bytes) }
    }

    /// Makes the handle of a part whose first `bytes` were filled.
    ///
    /// # Safety
    /// The part is free, no one else writes to it from now on, and its first `bytes` are the received ones.
    #[inline]
    pub(super) unsafe fn take(&mut self, index: u16, bytes: usize) -> RecvBuf {
        assert!(bytes <= self.part_bytes);
        self.out += 1;
        let start = NonNull::new(self.part(index)).expect("inside a mapping");
        RecvBuf { start, bytes: bytes as u32, index, _not_send: PhantomData }
    }

    /// Takes a handle back and returns the index of its part, free again.
    #[inline]
    pub(super) fn put(&mut self, buffer: RecvBuf) -> u16 {
        assert_eq!(buffer.start.as_ptr(), self.part(buffer.index), "buffer of another pool");
        self.out -= 1;
        buffer.index
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.out == 0 {
            // SAFETY: the mapping is ours, of this size, and no handle into it exists.
            unsafe { unmap(self.start, self.count * self.part_bytes) };
        }
        // Otherwise some handle is still read from: leak the mapping rather than pull it away.
    }
}

/// A private zeroed mapping of `bytes`, faulted in, page-aligned.
pub(super) fn map_anonymous(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(at.cast()).expect("a mapping is not at zero"))
}

/// Ends a mapping.
///
/// # Safety
/// `start..start + bytes` is a mapping of [`map_anonymous`] that nobody uses any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    assert_eq!(result, 0, "munmap of our own mapping");
}

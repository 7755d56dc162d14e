//! Moving blocks of the heap out of pages that hold little else, so that the allocator can give such pages back. Never
//! knows the allocator: whoever drives it says which blocks are worth moving, and how much is done at a time.
//!
//! An allocator serves a size from pages of that size. When the sizes of values change, a few values that stay keep
//! whole pages of the old sizes resident; they have to move before memory can serve others.

use crate::base::thin::{Thin, ThinBytes};
use std::collections::VecDeque;

/// Whether a block lies in a page that is so empty that it should move. The address is one inside the block.
pub type Sparse = fn(*const u8) -> bool;

/// Bytes that cost as much to copy as looking at a block.
const COPY_BYTES: usize = 256;

/// How far a step got in a value of several lists, counted over all their items.
#[derive(Debug)]
pub(super) struct Place {
    at: usize,
    /// Items of the lists before this one.
    before: usize,
}

impl Place {
    /// Where the last step ended.
    pub(super) fn of(at: usize) -> Self {
        Place { at, before: 0 }
    }

    /// Where the next step begins.
    pub(super) fn reached(&self) -> usize {
        self.at
    }
}

/// One step's work: what may still be done, and what was.
#[derive(Debug)]
pub struct Mover {
    sparse: Sparse,
    left: usize,
    /// Blocks that moved.
    pub moved: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Blocks that stayed where they are.
    pub stayed: u64,
    /// Keys of which a block moved, and those of which none did.
    pub keys_moved: u64,
    /// See `keys_moved`.
    pub keys_stayed: u64,
}

impl Mover {
    /// For about so many blocks, or fewer if some are large and move.
    pub fn new(sparse: Sparse, budget: usize) -> Self {
        Mover { sparse, left: budget, moved: 0, moved_bytes: 0, stayed: 0, keys_moved: 0, keys_stayed: 0 }
    }

    /// Whether this step has done enough.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Counts something that was looked at.
    #[inline]
    pub(super) fn look(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Whether a block of `bytes` bytes should move; counts it as moved then.
    #[inline]
    pub(super) fn is_worth(&mut self, at: *const u8, bytes: usize) -> bool {
        if bytes == 0 {
            return false;
        }
        let worth = (self.sparse)(at);
        let cost = if worth { 1 + bytes / COPY_BYTES } else { 1 };
        self.left = self.left.saturating_sub(cost);
        self.moved += u64::from(worth);
        self.moved_bytes += if worth { bytes as u64 } else { 0 };
        self.stayed += u64::from(!worth);
        worth
    }

    /// Shows the items of the next list, but for those of former steps; false if this step has done enough first. Goes
    /// on by one item at least.
    pub(super) fn each<T>(
        &mut self,
        place: &mut Place,
        items: impl ExactSizeIterator<Item = T>,
        mut visit: impl FnMut(&mut Self, T),
    ) -> bool {
        let len = items.len();
        for item in items.skip(place.at.saturating_sub(place.before)) {
            visit(self, item);
            place.at += 1;
            if self.is_done() && place.at < place.before + len {
                return false;
            }
        }
        place.before += len;
        true
    }

    /// The items of a vector.
    pub(super) fn vec<T>(&mut self, vec: &mut Vec<T>) {
        if self.is_worth(vec.as_ptr().cast(), vec.capacity() * size_of::<T>()) {
            let mut new = Vec::with_capacity(vec.capacity());
            new.append(vec);
            *vec = new;
        }
    }

    /// The items of a queue.
    pub(super) fn deque<T>(&mut self, deque: &mut VecDeque<T>) {
        if self.is_worth(deque.as_slices().0.as_ptr().cast(), deque.capacity() * size_of::<T>()) {
            let mut new = VecDeque::with_capacity(deque.capacity());
            new.append(deque);
            *deque = new;
        }
    }

    /// The items of a boxed slice.
    pub(super) fn slice<T>(&mut self, slice: &mut Box<[T]>) {
        if self.is_worth(slice.as_ptr().cast(), size_of_val::<[T]>(slice)) {
            let mut new = Vec::with_capacity(slice.len());
            new.append(&mut std::mem::take(slice).into_vec());
            *slice = new.into_boxed_slice();
        }
    }

    /// A boxed value, if there is one.
    pub(super) fn boxed<T>(&mut self, boxed: &mut Option<Box<T>>) {
        if let Some(old) = boxed
            && self.is_worth(std::ptr::from_ref::<T>(old).cast(), size_of::<T>())
            && let Some(old) = boxed.take()
        {
            *boxed = Some(Box::new(*old));
        }
    }

    /// What a thin pointer points to.
    pub(super) fn thin<T>(&mut self, thin: &mut Thin<T>) {
        if self.is_worth(thin.address(), size_of::<T>()) {
            thin.relocate();
        }
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, bytes: &mut ThinBytes) {
        if self.is_worth(bytes.as_ptr(), bytes.len()) {
            bytes.relocate();
        }
    }
}

#[cfg(test)]
#[path = "defrag_tests.rs"]
mod tests;

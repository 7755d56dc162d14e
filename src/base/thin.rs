//! Owning pointers that need no alignment, for structures that lie between other bytes: a value inside its entry. Never
//! null, never shared.

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A `Box<T>` of alignment 1.
#[repr(C, packed)]
pub struct Thin<T> {
    at: NonNull<T>,
    owns: PhantomData<T>,
}

// SAFETY: it owns its value as a box does.
unsafe impl<T: Send> Send for Thin<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Thin<T> {}

impl<T> Thin<T> {
    /// Moves a value to the heap.
    pub fn new(value: T) -> Self {
        Box::new(value).into()
    }
}

impl<T> Thin<T> {
    /// Where the value lies.
    pub fn address(&self) -> *const u8 {
        self.at.as_ptr().cast_const().cast()
    }

    /// Moves the value to another allocation.
    pub fn relocate(&mut self) {
        let old = self.at.cast::<MaybeUninit<T>>();
        let mut new = Box::<T>::new_uninit();
        // SAFETY: both are allocations for one `T`; the old one came from a box, whose only owner this is. Its value
        // moves, so that the old allocation is freed as one that holds nothing.
        unsafe {
            std::ptr::copy_nonoverlapping(old.as_ptr(), &raw mut *new, 1);
            drop(Box::from_raw(old.as_ptr()));
            self.at = NonNull::from(Box::leak(new.assume_init()));
        }
    }
}

impl<T> From<Box<T>> for Thin<T> {
    fn from(value: Box<T>) -> Self {
        Thin { at: NonNull::from(Box::leak(value)), owns: PhantomData }
    }
}

impl<T> Deref for Thin<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let at = self.at;
        // SAFETY: it came from a box, which nobody else has.
        unsafe { at.as_ref() }
    }
}

impl<T> DerefMut for Thin<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        let mut at = self.at;
        // SAFETY: as in `deref`; the borrow of the pointer is exclusive.
        unsafe { at.as_mut() }
    }
}

impl<T> Drop for Thin<T> {
    fn drop(&mut self) {
        let at = self.at;
        // SAFETY: it came from a box, and nobody uses it any more.
        drop(unsafe { Box::from_raw(at.as_ptr()) });
    }
}

impl<T: Clone> Clone for Thin<T> {
    fn clone(&self) -> Self {
        Thin::new(T::clone(self))
    }
}

impl<T: PartialEq> PartialEq for Thin<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Thin<T> {}

impl<T: Default> Default for Thin<T> {
    fn default() -> Self {
        Thin::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Thin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// A `Box<[u8]>` of alignment 1, shorter than 4 GB.
#[repr(C, packed)]
pub struct ThinBytes {
    at: NonNull<u8>,
    len: u32,
}

// SAFETY: it owns its bytes as a box does.
unsafe impl Send for ThinBytes {}
// SAFETY: as above.
unsafe impl Sync for ThinBytes {}

impl ThinBytes {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        vec![0; len].into_boxed_slice().into()
    }

    /// Makes it as long as `len` says: with zeros at the end, or without what was there.
    pub fn resize(&mut self, len: usize) {
        let mut bytes = std::mem::take(self).into_box().into_vec();
        bytes.reserve_exact(len.saturating_sub(bytes.len()));
        bytes.resize(len, 0);
        *self = bytes.into_boxed_slice().into();
    }

    /// Moves the bytes to another allocation.
    pub fn relocate(&mut self) {
        *self = ThinBytes::from(&**self);
    }

    /// The same bytes as a box.
    pub fn into_box(self) -> Box<[u8]> {
        let (at, len) = (self.at, self.len as usize);
        std::mem::forget(self);
        // SAFETY: they came from a box of this length, and this was its only owner.
        unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(at.as_ptr(), len)) }
    }
}

impl From<Box<[u8]>> for ThinBytes {
    fn from(bytes: Box<[u8]>) -> Self {
        let len = u32::try_from(bytes.len()).expect("shorter than 4 GB");
        ThinBytes { at: NonNull::from(Box::leak(bytes)).cast(), len }
    }
}

impl From<&[u8]> for ThinBytes {
    fn from(bytes: &[u8]) -> Self {
        Box::<[u8]>::from(bytes).into()
    }
}

impl Default for ThinBytes {
    fn default() -> Self {
        Box::<[u8]>::default().into()
    }
}

impl Deref for ThinBytes {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        let (at, len) = (self.at, self.len as usize);
        // SAFETY: they came from a box of this length, which nobody else has.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }
    }
}

impl DerefMut for ThinBytes {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        let (at, len) = (self.at, self.len as usize);
        // SAFETY: as in `deref`; the borrow of the pointer is exclusive.
        unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), len) }
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let bytes = ThinBytes { at: self.at, len: self.len };
        drop(bytes.into_box());
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        ThinBytes::from(&**self)
    }
}

impl PartialEq for ThinBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ThinBytes {}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        <[u8]>::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(align_of::<Thin<String>>() == 1 && size_of::<Option<Thin<String>>>() == 8);
    const _: () = assert!(align_of::<ThinBytes>() == 1 && size_of::<ThinBytes>() == 12);

    #[test]
    fn owns_what_it_points_to() {
        let mut a = Thin::new(String::from("a"));
        let b = a.clone();
        a.push('b');
        assert_eq!((&**a, &**b), ("ab", "a"));
        assert!(a != b && format!("{b:?}") == "\"a\"");
        let mut at_odds = (1u8, [Thin::new(vec![1, 2]), Thin::default()]);
        at_odds.1[1].push(3);
        assert_eq!((at_odds.1[0].len(), at_odds.1[1].len()), (2, 1));
    }

    #[test]
    fn bytes_grow_and_shrink() {
        let mut bytes = ThinBytes::default();
        assert!(bytes.is_empty());
        bytes.resize(3);
        bytes[1] = 7;
        let copy = bytes.clone();
        bytes.resize(100);
        assert!(bytes[..3] == copy[..] && bytes[3..].iter().all(|&b| b == 0));
        bytes.resize(2);
        assert_eq!(&*bytes.into_box(), &[0, 7]);
        assert_eq!(copy, ThinBytes::from(&[0u8, 7, 0][..]));
        let mut gone = ThinBytes::zeroed(5);
        gone.resize(0);
        assert_eq!(gone, ThinBytes::default());
    }
}

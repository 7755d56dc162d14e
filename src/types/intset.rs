//! A sorted set of integers in Redis's intset layout: what small sets of numbers are kept as. Never holds anything but
//! integers, and never decides when a set becomes something else.
//!
//! ```text
//! 0        4        8
//! width    length   length integers of `width` bytes (2, 4 or 8), ascending, no two equal
//! ```
//! All little-endian. The width only grows: one wide member widens all, and its removal narrows none, as in Redis.
//!
//! Invariants: the buffer is exactly as long as the header says; members ascend strictly.

use crate::base::thin::ThinBytes;
use crate::types::defrag::Mover;

const HEADER_BYTES: usize = 8;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Intset {
    bytes: ThinBytes,
}

/// The bytes are no intset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Intset {
    /// Moves it if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        mover.bytes(&mut self.bytes);
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that a member takes.
fn width_of(n: i64) -> usize {
    match n {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

impl Intset {
    /// No members.
    pub fn new() -> Self {
        Intset { bytes: ThinBytes::from(&[2, 0, 0, 0, 0, 0, 0, 0][..]) }
    }

    /// Reads bytes of unknown origin; everything is checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Err(Corrupt) };
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (width, len) = (word(0), word(4));
        if ![2, 4, 8].contains(&width) || len.checked_mul(width) != Some(body.len()) {
            return Err(Corrupt);
        }
        let set = Intset { bytes: bytes.into() };
        if set.iter().zip(set.iter().skip(1)).all(|(a, b)| a < b) { Ok(set) } else { Err(Corrupt) }
    }

    /// The layout above.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes behind it.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn width(&self) -> usize {
        usize::from(self.bytes[0])
    }

    /// Members.
    #[inline]
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER_BYTES) / self.width()
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// Member number `index` in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = self.bytes.get(HEADER_BYTES + index * width..)?;
        Some(match width {
            2 => i64::from(i16::from_le_bytes(*at.first_chunk()?)),
            4 => i64::from(i32::from_le_bytes(*at.first_chunk()?)),
            _ => i64::from_le_bytes(*at.first_chunk()?),
        })
    }

    /// Members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.get(index).expect("below the length"))
    }

    /// Where `n` is, or where it would go.
    fn search(&self, n: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Members often arrive in order.
        if high > 0 && self.get(high - 1).is_some_and(|last| last < n) {
            return Err(high);
        }
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle).expect("below the length").cmp(&n) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether `n` is a member.
    #[inline]
    pub fn contains(&self, n: i64) -> bool {
        width_of(n) <= self.width() && self.search(n).is_ok()
    }

    /// Adds a member; false if it was there.
    pub fn insert(&mut self, n: i64) -> bool {
        let width = width_of(n);
        if width > self.width() {
            self.widen(width);
        }
        let Err(index) = self.search(n) else { return false };
        let (width, at) = (self.width(), HEADER_BYTES + index * self.width());
        let end = self.bytes.len();
        // Small sets are many: no spare room.
        self.bytes.resize(end + width);
        self.bytes.copy_within(at..end, at + width);
        self.bytes[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        self.write_len();
        true
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, n: i64) -> bool {
        if width_of(n) > self.width() {
            return false;
        }
        let Ok(index) = self.search(n) else { return false };
        self.remove_at(index);
        true
    }

    /// Removes member number `index` and returns it.
    pub fn remove_at(&mut self, index: usize) -> Option<i64> {
        let n = self.get(index)?;
        let (width, at) = (self.width(), HEADER_BYTES + index * self.width());
        let end = self.bytes.len();
        self.bytes.copy_within(at + width..end, at);
        self.bytes.resize(end - width);
        self.write_len();
        Some(n)
    }

    fn write_len(&mut self) {
        let len = self.len() as u32;
        self.bytes[4..8].copy_from_slice(&len.to_le_bytes());
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.len() * width);
        bytes.extend_from_slice(&self.bytes[..HEADER_BYTES]);
        bytes[0] = width as u8;
        self.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()[..width]));
        self.bytes = bytes.into_boxed_slice().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn layout_is_that_of_redis() {
        let mut set = Intset::new();
        for n in [3, 1, -1] {
            assert!(set.insert(n));
        }
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x03\0\0\0\xff\xff\x01\0\x03\0");
        assert!(set.insert(70_000));
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x04\0\0\0\xff\xff\xff\xff\x01\0\0\0\x03\0\0\0\x70\x11\x01\0");
        assert!(set.insert(i64::MIN) && set.remove(70_000) && set.remove(1) && set.remove(3) && set.remove(-1));
        assert_eq!(set.as_bytes(), b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80");
        assert_eq!(Intset::from_bytes(set.as_bytes()), Ok(set));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b""[..],
            b"\x02\0\0\0\0\0\0",
            b"\x03\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0",
            b"\x02\0\0\0\x01\0\0\0",
            b"\x02\0\0\0\x01\0\0\0\x01",
            b"\x02\0\0\0\x01\0\0\0\x01\0\0",
            b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0",
            b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
            b"\x08\0\0\0\xff\xff\xff\xff\x02\0\x01\0",
        ] {
            assert_eq!(Intset::from_bytes(bytes), Err(Corrupt), "{bytes:?}");
        }
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            -20..20i64,
            prop_oneof![Just(-32769), Just(-32768), Just(32767), Just(32768), Just(i64::MIN), Just(i64::MAX)],
            any::<i32>().prop_map(i64::from),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_tree(steps in proptest::collection::vec((any::<bool>(), number()), 0..200)) {
            let (mut set, mut naive) = (Intset::new(), BTreeSet::new());
            for (insert, n) in steps {
                if insert {
                    prop_assert_eq!(set.insert(n), naive.insert(n));
                } else {
                    prop_assert_eq!(set.remove(n), naive.remove(&n));
                }
                prop_assert_eq!(set.contains(n), naive.contains(&n));
                prop_assert_eq!(set.len(), naive.len());
            }
            prop_assert!(set.iter().eq(naive.iter().copied()));
            prop_assert_eq!(Intset::from_bytes(set.as_bytes()), Ok(set));
        }
    }
}

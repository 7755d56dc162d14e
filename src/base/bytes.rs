//! Byte buffers that layers hand to each other.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// A large string. Shared, because a reply that is still being sent keeps it alive after the key changed;
/// writers go through [`Arc::make_mut`], which copies only while such a reply is under way.
pub type BigString = Arc<Vec<u8>>;

/// A part of a large string, or all of it: keeps the whole string alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigPart {
    string: BigString,
    range: Range<usize>,
}

impl BigPart {
    /// The bytes `range` of `string`.
    ///
    /// # Panics
    /// If the string is shorter.
    pub fn new(string: BigString, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= string.len(), "a part of the string");
        BigPart { string, range }
    }
}

impl From<BigString> for BigPart {
    fn from(string: BigString) -> Self {
        let range = 0..string.len();
        BigPart { string, range }
    }
}

impl Deref for BigPart {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.string[self.range.clone()]
    }
}

/// Bytes on their way to one client: copied bytes, with large strings spliced in between uncopied.
#[derive(Debug, Clone, Default)]
pub struct OutBuf {
    /// The copied bytes.
    pub bytes: Vec<u8>,
    /// Each large string and the offset in `bytes` before which it goes, in order.
    pub bigs: Vec<(usize, BigPart)>,
}

impl OutBuf {
    /// Bytes in all, large strings included.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.bigs.iter().map(|(_, b)| b.len()).sum::<usize>()
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.bigs.is_empty()
    }

    /// The bytes in one piece, as they would be sent.
    pub fn flat(&self) -> Vec<u8> {
        let mut flat = Vec::with_capacity(self.len());
        let mut from = 0;
        for (at, big) in &self.bigs {
            flat.extend_from_slice(&self.bytes[from..*at]);
            flat.extend_from_slice(big);
            from = *at;
        }
        flat.extend_from_slice(&self.bytes[from..]);
        flat
    }

    /// Empties it, keeping the capacity of `bytes`.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bigs.clear();
    }

    /// Moves the content of `other` to the end of this one.
    pub fn append(&mut self, other: &mut OutBuf) {
        let base = self.bytes.len();
        self.bigs.extend(other.bigs.drain(..).map(|(at, big)| (base + at, big)));
        self.bytes.append(&mut other.bytes);
    }
}

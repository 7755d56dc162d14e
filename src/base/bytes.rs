//! Byte buffers that layers hand to each other.

use std::sync::Arc;

/// A large string. Shared, because a reply that is still being sent keeps it alive after the key changed;
/// writers go through [`Arc::make_mut`], which copies only while such a reply is under way.
pub type BigString = Arc<Vec<u8>>;

/// Bytes on their way to one client: copied bytes, with large strings spliced in between uncopied.
#[derive(Debug, Clone, Default)]
pub struct OutBuf {
    /// The copied bytes.
    pub bytes: Vec<u8>,
    /// Each large string and the offset in `bytes` before which it goes, in order.
    pub bigs: Vec<(usize, BigString)>,
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

//! A chunk as a list keeps it: as it is, or compressed while nobody changes it. Never decides which of the two.
//!
//! ```text
//! bytes of the listpack, 4 | its elements, 2 | LZF of the listpack
//! ```
//! What is compressed is a listpack of Redis, so that RDB files take it as it is.

use super::chunk::Chunk;
use crate::base::limits::LIST_COMPRESS_BYTES_MAX;
use crate::base::thin::ThinBytes;
use crate::types::defrag::Mover;
use crate::types::lzf;
use std::borrow::Cow;

/// Shortest listpack that is compressed, and how much shorter it has to become (Redis MIN_COMPRESS_BYTES,
/// MIN_COMPRESS_IMPROVE).
const COMPRESS_MIN: usize = 48;
const GAIN_MIN: usize = 8;
/// Bytes of the two numbers in front.
const HEAD: usize = 6;

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Run {
    Plain(Chunk),
    Compressed(ThinBytes),
}

/// A run as RDB files hold it: a listpack of Redis.
#[derive(Debug)]
pub enum Pack<'a> {
    /// As it is.
    Plain(Vec<u8>),
    /// Compressed.
    Compressed {
        /// The compressed bytes.
        lzf: &'a [u8],
        /// Bytes of the listpack.
        len: usize,
    },
}

impl Pack<'_> {
    /// Bytes of the listpack.
    #[allow(clippy::len_without_is_empty)] // not even one without elements is empty
    pub fn len(&self) -> usize {
        match self {
            Pack::Plain(bytes) => bytes.len(),
            Pack::Compressed { len, .. } => *len,
        }
    }
}

impl Run {
    #[inline]
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Run::Compressed(_))
    }

    /// Bytes it takes on the heap.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Run::Plain(chunk) => chunk.heap_bytes(),
            Run::Compressed(bytes) => bytes.len(),
        }
    }

    /// Bytes of a listpack of its elements.
    #[inline]
    pub(super) fn packed_bytes(&self) -> usize {
        match self {
            Run::Plain(chunk) => chunk.packed_bytes(),
            Run::Compressed(bytes) => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize,
        }
    }

    /// Of a run at an end of a list, which is not compressed.
    #[inline]
    pub(super) fn plain(&self) -> &Chunk {
        match self {
            Run::Plain(chunk) => chunk,
            Run::Compressed(_) => panic!("the ends of a list are not compressed"),
        }
    }

    /// To read from.
    #[inline]
    pub(super) fn view(&self) -> Cow<'_, Chunk> {
        match self {
            Run::Plain(chunk) => Cow::Borrowed(chunk),
            Run::Compressed(bytes) => Cow::Owned(decompress(bytes)),
        }
    }

    /// To change: not compressed afterwards.
    #[inline]
    pub(super) fn open(&mut self) -> &mut Chunk {
        if let Run::Compressed(bytes) = self {
            *self = Run::Plain(decompress(bytes));
        }
        match self {
            Run::Plain(chunk) => chunk,
            Run::Compressed(_) => unreachable!("it was replaced"),
        }
    }

    pub(super) fn into_plain(self) -> Chunk {
        match self {
            Run::Plain(chunk) => chunk,
            Run::Compressed(bytes) => decompress(&bytes),
        }
    }

    /// Compresses a run that is not; false, and as it was, if that would not make it shorter or take too long.
    pub(super) fn compress(&mut self) -> bool {
        let Run::Plain(chunk) = self else { return true };
        let len = chunk.packed_bytes();
        if !(COMPRESS_MIN..=LIST_COMPRESS_BYTES_MAX).contains(&len) {
            return false;
        }
        let Some(packed) = lzf::compress(&chunk.to_redis(), len - GAIN_MIN) else { return false };
        let mut bytes = ThinBytes::zeroed(HEAD + packed.len());
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        bytes[4..HEAD].copy_from_slice(&(chunk.count() as u16).to_le_bytes());
        bytes[HEAD..].copy_from_slice(&packed);
        *self = Run::Compressed(bytes);
        true
    }

    /// As RDB files hold it.
    pub(super) fn pack(&self) -> Pack<'_> {
        match self {
            Run::Plain(chunk) => Pack::Plain(chunk.to_redis()),
            Run::Compressed(bytes) => Pack::Compressed { lzf: &bytes[HEAD..], len: self.packed_bytes() },
        }
    }

    /// Moves it if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        match self {
            Run::Plain(chunk) => chunk.defrag(mover),
            Run::Compressed(bytes) => mover.bytes(bytes),
        }
    }
}

fn decompress(bytes: &[u8]) -> Chunk {
    let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let count = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let pack = lzf::decompress(&bytes[HEAD..], len).expect("we compressed it");
    Chunk::from_redis(&pack, count)
}

//! Blocks: what one commit writes. Sealed in place, read back only if whole. Never looks into a payload.

use std::fmt;

/// Bytes of a block's header. The payload follows it.
pub const HEADER_BYTES: usize = crate::shard::journal::HEAD_BYTES;
/// Blocks written around the page cache begin and end on this boundary, which every device accepts.
pub const DIRECT_ALIGN: usize = 4096;
/// Blocks written through the page cache begin and end on this boundary.
pub const BUFFERED_ALIGN: usize = 64;
/// Most bytes of one block.
pub const BLOCK_BYTES_MAX: usize = u32::MAX as usize;

const MAGIC: [u8; 8] = *b"PINIONv1";

/// Whose block it is and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's epoch.
    pub epoch: u64,
    /// The shard that wrote it.
    pub shard: u16,
    /// Number within the epoch, from 0.
    pub sequence: u64,
}

/// Why bytes are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// No block begins here: zeros, or what was here before.
    Absent,
    /// A block of another epoch or shard, or out of order: the file's earlier use.
    Stale,
    /// A block of the right place whose bytes are not those that were written: torn or damaged.
    Torn,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Absent => "no block here",
            Broken::Stale => "a block of an earlier use of the file",
            Broken::Torn => "a block whose checksum does not match",
        })
    }
}

/// A whole block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// What was committed.
    pub payload: &'a [u8],
    /// Bytes from this block's begin to the next one's.
    pub bytes: usize,
    /// The blocks before this number were durable when it was written.
    pub synced: u64,
}

/// The header of `block`, whose first [`HEADER_BYTES`] are the header's room and whose rest is the payload, and the
/// bytes that the block takes with the zeros behind it. `synced`: the blocks before this number are durable.
pub fn seal(place: Place, synced: u64, align: usize, block: &[u8]) -> ([u8; HEADER_BYTES], usize) {
    let payload = &block[HEADER_BYTES..];
    let bytes = block.len().next_multiple_of(align);
    let mut header = [0; HEADER_BYTES];
    header[0..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&place.epoch.to_le_bytes());
    header[16..24].copy_from_slice(&place.sequence.to_le_bytes());
    header[24..28].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[28..32].copy_from_slice(&(bytes as u32).to_le_bytes());
    header[32..40].copy_from_slice(&synced.to_le_bytes());
    header[40..42].copy_from_slice(&place.shard.to_le_bytes());
    let crc = checksum(&header, payload);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    (header, bytes)
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..60]), payload)
}

/// The block that begins at `bytes`, if it is the one expected there.
pub fn read(bytes: &[u8], expected: Place) -> Result<Block<'_>, Broken> {
    let Some(header) = bytes.get(..HEADER_BYTES).filter(|h| h[..8] == MAGIC) else { return Err(Broken::Absent) };
    let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap_or_default());
    let shard = u16::from_le_bytes([header[40], header[41]]);
    if (Place { epoch: u64_at(8), sequence: u64_at(16), shard }) != expected {
        return Err(Broken::Stale);
    }
    let (len, whole) = (u32_at(24) as usize, u32_at(28) as usize);
    let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + len) else { return Err(Broken::Torn) };
    if whole < HEADER_BYTES + len || whole > BLOCK_BYTES_MAX || checksum(header, payload) != u32_at(60) {
        return Err(Broken::Torn);
    }
    Ok(Block { payload, bytes: whole, synced: u64_at(32) })
}

/// Whether `bytes` hold a later block of this epoch and shard that was written when block `expected` was durable: then
/// the block that is missing was there once, and the log is damaged. Without one it is a torn tail: what was not
/// synced may be lost in any order.
pub fn was_durable(bytes: &[u8], expected: Place) -> bool {
    (0..bytes.len()).step_by(BUFFERED_ALIGN).any(|at| {
        let Some(header) = bytes.get(at..at + HEADER_BYTES).filter(|h| h[..8] == MAGIC) else { return false };
        let sequence = u64::from_le_bytes(header[16..24].try_into().unwrap_or_default());
        read(&bytes[at..], Place { sequence, ..expected }).is_ok_and(|block| block.synced > expected.sequence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place = Place { epoch: 7, shard: 3, sequence: 41 };

    const SYNCED: u64 = 42;

    fn sealed(place: Place, align: usize, payload: &[u8]) -> Vec<u8> {
        let mut block = vec![0; HEADER_BYTES];
        block.extend_from_slice(payload);
        let (header, bytes) = seal(place, SYNCED, align, &block);
        block[..HEADER_BYTES].copy_from_slice(&header);
        block.resize(bytes, 0);
        block
    }

    #[test]
    fn reads_back_what_was_sealed_and_nothing_else() {
        for align in [BUFFERED_ALIGN, DIRECT_ALIGN] {
            let block = sealed(PLACE, align, b"payload");
            assert_eq!(block.len(), (HEADER_BYTES + 7).next_multiple_of(align));
            assert_eq!(read(&block, PLACE), Ok(Block { payload: b"payload", bytes: block.len(), synced: SYNCED }));
            for wrong in [Place { epoch: 8, ..PLACE }, Place { shard: 4, ..PLACE }, Place { sequence: 42, ..PLACE }] {
                assert_eq!(read(&block, wrong), Err(Broken::Stale));
            }
        }
        assert_eq!(read(&[0; 4096], PLACE), Err(Broken::Absent));
        assert_eq!(read(b"PINI", PLACE), Err(Broken::Absent));
    }

    #[test]
    fn every_torn_sector_is_noticed() {
        let payload: Vec<u8> = (0..9000u32).map(|n| (n % 251) as u8 + 1).collect();
        let whole = sealed(PLACE, DIRECT_ALIGN, &payload);
        for sector in (0..HEADER_BYTES + payload.len()).step_by(512) {
            let mut torn = whole.clone();
            let end = (sector + 512).min(torn.len());
            torn[sector..end].fill(0);
            let expected = if sector == 0 { Broken::Absent } else { Broken::Torn };
            assert_eq!(read(&torn, PLACE), Err(expected), "sector at {sector}");
            assert_eq!(read(&whole[..sector], PLACE), Err(expected), "cut at {sector}");
        }
    }

    #[test]
    fn only_a_block_that_was_durable_is_missed() {
        let mut log = sealed(PLACE, DIRECT_ALIGN, b"first");
        let second = log.len();
        log.extend(sealed(Place { sequence: 43, ..PLACE }, BUFFERED_ALIGN, b"third"));
        log[65] ^= 1;
        assert_eq!(read(&log, PLACE), Err(Broken::Torn));
        // The later block was written when 41 was durable and 42 was not.
        assert!(was_durable(&log, PLACE) && was_durable(&log[64..], PLACE));
        assert!(!was_durable(&log[second..], Place { sequence: 42, ..PLACE }));
        assert!(!was_durable(&log[..second], PLACE));
        let stale = sealed(Place { epoch: 6, sequence: 99, ..PLACE }, DIRECT_ALIGN, b"old");
        assert!(!was_durable(&stale, PLACE));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_block(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic: bool) {
            if magic && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&MAGIC);
            }
            prop_assert!(read(&bytes, PLACE).is_err());
        }
    }
}

//! Where a key lives: CRC16 slots as Redis Cluster defines them, and the hash inside a slot. Never sees values.

/// Number of hash slots (Redis Cluster specification).
pub const SLOTS: u16 = 16384;

/// Slot in the top 14 bits, 50 bits of hash below: the order in which a keyspace is laid out and scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// The position of a key: CRC16 of the key or its {tag}, and the process's seeded hash of the whole key.
    pub fn of(key: &[u8]) -> Self {
        Position(u64::from(slot(key)) << 50 | hash(key) >> 14)
    }
    /// The slot, 0..16384.
    pub fn slot(self) -> u16 {
        (self.0 >> 50) as u16
    }
    /// The 50 hash bits.
    pub fn hash(self) -> u64 {
        self.0 & ((1 << 50) - 1)
    }
}

/// `crc16(key or {tag}) % 16384`.
pub fn slot(_key: &[u8]) -> u16 {
    todo!()
}

/// 64-bit hash with a seed drawn at start of the process.
pub fn hash(_key: &[u8]) -> u64 {
    todo!()
}

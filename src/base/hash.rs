//! Where a key lives: CRC16 slots as Redis Cluster defines them, and the hash inside a slot. Never sees values.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// Number of hash slots (Redis Cluster specification).
pub const SLOTS: u16 = 16384;

/// Slot in the top 14 bits, 50 bits of hash below: the order in which a keyspace is laid out and scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// The position of a key: CRC16 of the key or its {tag}, and the process's seeded hash of the whole key.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        Position(u64::from(slot(key)) << 50 | hash(key) >> 14)
    }
    /// The position of a member of one value, where slots mean nothing: the hash alone. Its low 50 bits are those that
    /// [`Position::of`] gives.
    #[inline]
    pub fn of_member(member: &[u8]) -> Self {
        Position(hash(member).rotate_right(14))
    }
    /// The slot, 0..16384.
    #[inline]
    pub fn slot(self) -> u16 {
        (self.0 >> 50) as u16
    }
    /// The 50 hash bits.
    #[inline]
    pub fn hash(self) -> u64 {
        self.0 & ((1 << 50) - 1)
    }
}

/// `crc16(key or {tag}) % 16384`. The tag is what stands between the first `{` and the first `}` behind it, unless
/// that is nothing (Redis Cluster specification, "Hash tags").
#[inline]
pub fn slot(key: &[u8]) -> u16 {
    let (crc, brace) = crc16_noting_braces(key);
    if brace {
        return slot_of_tag(key, crc);
    }
    crc % SLOTS
}

/// The rule for keys with a `{`; `whole` is the checksum of the whole key, used if there is no tag after all.
#[cold]
fn slot_of_tag(key: &[u8], whole: u16) -> u16 {
    let tag = key.iter().position(|&b| b == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|&b| b == b'}').map(|close| &rest[..close])
    });
    match tag {
        Some(tag) if !tag.is_empty() => crc16(tag) % SLOTS,
        _ => whole % SLOTS,
    }
}

/// CRC16-XMODEM (polynomial 0x1021, start 0, not reflected) of `bytes`.
pub fn crc16(bytes: &[u8]) -> u16 {
    crc16_noting_braces(bytes).0
}

/// Bytes that one step takes in.
const BLOCK: usize = 16;

/// `TABLES[k][b]`: checksum of byte `b` followed by `k` zero bytes. 8 KB, of which keys of digits touch 1 KB.
static TABLES: [[u16; 256]; BLOCK] = tables();

const fn tables() -> [[u16; 256]; BLOCK] {
    let mut tables = [[0u16; 256]; BLOCK];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut k = 0;
        while k < BLOCK {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
                bit += 1;
            }
            tables[k][byte] = crc;
            k += 1;
        }
        byte += 1;
    }
    tables
}

/// Sixteen bytes at a time ("slicing by 16": a step's lookups do not wait for each other). As the checksum starts at 0,
/// zero bytes in front change nothing: so the odd bytes go first, as a block padded in front, and no byte-wise tail is
/// left. Also answers whether a `{` occurs.
#[inline]
fn crc16_noting_braces(bytes: &[u8]) -> (u16, bool) {
    if bytes.len() > BLOCK {
        return long_crc16_noting_braces(bytes);
    }
    let (high, low) = words(bytes);
    (step(high, low), braces(high, low) != 0)
}

fn long_crc16_noting_braces(bytes: &[u8]) -> (u16, bool) {
    let (head, blocks) = bytes.split_at(bytes.len() % BLOCK);
    let (high, low) = words(head);
    let (mut crc, mut found) = (step(high, low), braces(high, low));
    for block in blocks.as_chunks::<BLOCK>().0 {
        let (high, low) = words(block);
        found |= braces(high, low);
        crc = step(high ^ u64::from(crc) << 48, low);
    }
    (crc, found != 0)
}

/// At most 16 bytes as a big-endian number, in its high and low word. Loads overlap instead of looping.
#[inline]
fn words(bytes: &[u8]) -> (u64, u64) {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let high = u64::from_be_bytes(*first).checked_shr(8 * (BLOCK - len) as u32).unwrap_or(0);
        return (high, u64::from_be_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let first = u64::from(u32::from_be_bytes(*first)) << (8 * (len - 4));
        return (0, first | u64::from(u32::from_be_bytes(*last)));
    }
    if len == 0 {
        return (0, 0);
    }
    let at = |i: usize| u64::from(bytes[i]) << (8 * (len - 1 - i));
    (0, at(0) | at(len / 2) | at(len - 1))
}

/// Checksum of the sixteen bytes of `high` and `low`, the top byte first.
#[inline]
fn step(high: u64, low: u64) -> u16 {
    let half =
        |word: u64, zeros: usize| (0..8).fold(0, |sum, k| sum ^ TABLES[zeros + k][(word >> (8 * k)) as usize & 0xff]);
    half(high, 8) ^ half(low, 0)
}

/// Not 0 if, and only if, one of the sixteen bytes is `{`.
#[inline]
fn braces(high: u64, low: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (x, y) = (high ^ (ONES * b'{' as u64), low ^ (ONES * b'{' as u64));
    (x.wrapping_sub(ONES) & !x | y.wrapping_sub(ONES) & !y) & (ONES << 7)
}

/// 64 bits that no other call gave, for tables that must not share an order.
pub fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0u64)
}

static SEED: OnceLock<RandomState> = OnceLock::new();

/// Makes [`hash`] the same in every run, for simulations that replay. `false` if the seed was drawn already.
pub fn fix_seed(seed: u64) -> bool {
    SEED.set(RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 0)).is_ok()
}

/// 64-bit hash with a seed drawn at start of the process, so that nobody can choose keys that collide.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    let mut hasher = SEED.get_or_init(RandomState::new).build_hasher();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc16_bitwise(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0u16, |crc, &byte| {
            (0..8)
                .fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
        })
    }

    #[test]
    fn checksum_is_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3); // the check value of the specification
        let bytes: Vec<u8> = (0..200u32).map(|i| (i * 37 % 251) as u8).collect();
        for len in 0..bytes.len() {
            assert_eq!(crc16(&bytes[..len]), crc16_bitwise(&bytes[..len]), "length {len}");
        }
    }

    #[test]
    fn slots_are_those_of_cluster_keyslot() {
        // Asked of a real server: CLUSTER KEYSLOT.
        for (key, want) in [("", 0), ("foo", 12182), ("bar", 5061), ("somekey", 11058), ("foo{hash_tag}", 2515)] {
            assert_eq!(slot(key.as_bytes()), want, "{key}");
        }
    }

    #[test]
    fn tag_rule() {
        let same = |a: &str, b: &str| assert_eq!(slot(a.as_bytes()), slot(b.as_bytes()), "{a} {b}");
        same("{user1000}.following", "user1000");
        same("{user1000}.followers.and.quite.some.more", "user1000");
        same("foo{{bar}}zap", "{bar");
        same("foo{bar}{zap}", "bar");
        let whole = |a: &str| assert_eq!(slot(a.as_bytes()), crc16_bitwise(a.as_bytes()) % SLOTS, "{a}");
        whole("foo{}{bar}");
        whole("foo{bar");
        whole("foo}bar{");
        whole("}{");
        whole("{");
    }

    #[test]
    fn position_orders_by_slot_then_hash() {
        let p = Position::of(b"foo");
        assert_eq!(p.slot(), 12182);
        assert_eq!(p.hash(), hash(b"foo") >> 14);
        assert_eq!(p, Position::of(b"foo"));
        assert_ne!(hash(b"foo"), hash(b"foo\0"));
        assert!(Position::of(b"bar") < p); // slot 5061
    }
}

//! CRC-64 with the polynomial of Jones, as at the end of RDB files and DUMP payloads: reflected, starting at 0, nothing
//! xored at the end. Never allocates.

/// The polynomial 0xad93d23594c935a9, its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// Bytes that one step takes in.
const BLOCK: usize = 8;

/// `TABLES[k][b]`: checksum of byte `b` followed by `k` zero bytes.
static TABLES: [[u64; 256]; BLOCK] = tables();

const fn tables() -> [[u64; 256]; BLOCK] {
    let mut tables = [[0; 256]; BLOCK];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < BLOCK {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The checksum of what had `crc` so far (0 for nothing) and `bytes` behind it.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let crc = blocks.iter().fold(crc, |crc, block| {
        let word = crc ^ u64::from_le_bytes(*block);
        (0..BLOCK).fold(0, |sum, k| sum ^ TABLES[BLOCK - 1 - k][(word >> (8 * k)) as usize & 0xff])
    });
    tail.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize])
}

/// A linear map on checksums: what each bit becomes.
type Map = [u64; 64];

fn apply(map: &Map, crc: u64) -> u64 {
    (0..64).filter(|bit| crc >> bit & 1 != 0).fold(0, |sum, bit| sum ^ map[bit])
}

/// The checksum of two pieces in a row, from their own and the bytes of the second: `len` zero bytes behind the first
/// are a map that squaring makes from that of one.
pub fn combine(first: u64, second: u64, len: u64) -> u64 {
    let mut map: Map = std::array::from_fn(|bit| crc64(1 << bit, &[0]));
    let mut moved = first;
    let mut left = len;
    while left > 0 {
        if left & 1 != 0 {
            moved = apply(&map, moved);
        }
        map = std::array::from_fn(|bit| apply(&map, map[bit]));
        left >>= 1;
    }
    moved ^ second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_redis() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let bytes: Vec<u8> = (0..100u32).map(|i| (i * 37) as u8).collect();
        for len in 0..bytes.len() {
            let one_by_one = bytes[..len].iter().fold(0, |crc, byte| crc64(crc, &[*byte]));
            assert_eq!(crc64(0, &bytes[..len]), one_by_one);
            let (first, second) = bytes.split_at(len);
            assert_eq!(combine(crc64(0, first), crc64(0, second), second.len() as u64), crc64(0, &bytes));
        }
    }
}

//! LZF, the compression of long strings in RDB and of lists (Lehmann's liblzf, in its stream format). Never allocates
//! more than its result and a small table.
//!
//! ```text
//! 000nnnnn, n+1 bytes                          those bytes
//! nnnooooo oooooooo                            n+2 bytes (n: 1 to 6) from o+1 bytes back
//! 111ooooo nnnnnnnn oooooooo                   n+9 bytes from o+1 bytes back
//! ```

const LITERALS_MAX: usize = 32;
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const DISTANCE_MAX: usize = 8192;
/// Places of the table of recent triples, binary logarithm: least and most. Twice the bytes to compress, or fewer: the
/// table is cleared for every string.
const TABLE_BITS: (u32, u32) = (6, 14);

/// What three bytes become in a table of `bits`.
#[inline]
fn slot(bytes: &[u8], at: usize, bits: u32) -> usize {
    let triple = u32::from(bytes[at]) << 16 | u32::from(bytes[at + 1]) << 8 | u32::from(bytes[at + 2]);
    (triple.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

/// The compressed form, if it takes at most `bytes_max` bytes.
pub fn compress(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut room = Room::default();
    room.compress(bytes, bytes_max).then_some(room.out)
}

/// Memory to compress one string after the other in.
#[derive(Debug, Default)]
pub struct Room {
    packer: Packer,
    out: Vec<u8>,
}

impl Room {
    /// Whether the compressed form, [`Room::packed`] from now on, takes at most `bytes_max` bytes.
    pub fn compress(&mut self, bytes: &[u8], bytes_max: usize) -> bool {
        self.out.clear();
        self.packer.begin(bytes.len());
        self.packer.go_on(&mut self.out, bytes, bytes_max)
    }

    /// What the last string became.
    pub fn packed(&self) -> &[u8] {
        &self.out
    }
}

/// Compresses in steps.
#[derive(Debug, Default)]
pub struct Packer {
    /// By what three bytes become: where they were last, plus one; zero is none.
    recent: Vec<u32>,
    bits: u32,
    /// What stands before is compressed.
    at: usize,
}

impl Packer {
    /// For `len` bytes in all.
    pub fn new(len: usize) -> Packer {
        let mut packer = Packer::default();
        packer.begin(len);
        packer
    }

    /// Begins anew, for `len` bytes in all.
    fn begin(&mut self, len: usize) {
        self.at = 0;
        self.bits = (len.max(1).ilog2() + 1).clamp(TABLE_BITS.0, TABLE_BITS.1);
        self.recent.clear();
        self.recent.resize(1 << self.bits, 0);
    }

    /// Goes on up to the end of `bytes`, which begin with everything that was given before, and appends what that
    /// becomes. False, and `out` of no use, if there would be more than `bytes_max` bytes in it.
    pub fn go_on(&mut self, out: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) -> bool {
        let (mut at, mut literals) = (self.at, self.at);
        self.at = bytes.len();
        while at + COPY_MIN <= bytes.len() {
            let slot = slot(bytes, at, self.bits);
            let candidate = std::mem::replace(&mut self.recent[slot], at as u32 + 1) as usize;
            let found = candidate.checked_sub(1).filter(|from| at - from <= DISTANCE_MAX);
            let Some(from) = found.filter(|from| bytes[*from..from + COPY_MIN] == bytes[at..at + COPY_MIN]) else {
                at += 1;
                continue;
            };
            let most = COPY_MAX.min(bytes.len() - at);
            let len = (COPY_MIN..most).find(|n| bytes[from + n] != bytes[at + n]).unwrap_or(most);
            push_literals(out, &bytes[literals..at]);
            push_copy(out, at - from - 1, len);
            if out.len() > bytes_max {
                return false;
            }
            at += len;
            literals = at;
        }
        push_literals(out, &bytes[literals..]);
        out.len() <= bytes_max
    }
}

fn push_literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_copy(out: &mut Vec<u8>, offset: usize, len: usize) {
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    match len - 2 {
        n @ 1..7 => out.extend_from_slice(&[(n as u8) << 5 | high, low]),
        n => out.extend_from_slice(&[7 << 5 | high, (n - 7) as u8, low]),
    }
}

/// The original of `len` bytes; `None` if the bytes are not one's compressed form.
pub fn decompress(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    // No byte makes more than a third of the longest copy, so the allocation is bounded by what is there.
    if len > bytes.len().checked_mul(COPY_MAX)? {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = bytes.iter();
    while let Some(&control) = rest.next() {
        let high = usize::from(control & 0x1f);
        let n = usize::from(control >> 5);
        if n == 0 {
            let (run, after) = rest.as_slice().split_at_checked(high + 1)?;
            out.extend_from_slice(run);
            rest = after.iter();
        } else {
            let n = if n == 7 { 7 + usize::from(*rest.next()?) } else { n } + 2;
            let from = out.len().checked_sub((high << 8 | usize::from(*rest.next()?)) + 1)?;
            if out.len() + n > len {
                return None;
            }
            (from..from + n).for_each(|i| out.push(out[i]));
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn copies_may_overlap_what_they_make() {
        let text = b"a".repeat(1000);
        let packed = compress(&text, 100).expect("compressible");
        assert!(packed.len() < 20);
        assert_eq!(decompress(&packed, 1000), Some(text));
        assert_eq!(decompress(&packed, 999), None);
        assert_eq!(decompress(&packed, 1001), None);
        assert_eq!(decompress(b"\x02ab", 3), None);
        assert_eq!(decompress(b"\x00a\x20\x01", 4), None, "from before the beginning");
        assert_eq!(decompress(b"", usize::MAX), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn reads_back(words in proptest::collection::vec((0..12u8, 1..40usize), 0..200), far in any::<bool>()) {
            let mut text: Vec<u8> = words.iter().flat_map(|(w, n)| vec![b'a' + w % 3 + (*n as u8 & 1); *n]).collect();
            if far {
                text.extend(text.clone().repeat(3));
            }
            if let Some(packed) = compress(&text, text.len()) {
                prop_assert_eq!(decompress(&packed, text.len()), Some(text));
            }
        }

        #[test]
        fn steps_make_one(text in proptest::collection::vec(0..4u8, 0..600), cut in 0..600usize) {
            let (mut out, mut packer) = (Vec::new(), Packer::new(text.len()));
            packer.go_on(&mut out, &text[..cut.min(text.len())], usize::MAX);
            packer.go_on(&mut out, &text, usize::MAX);
            prop_assert_eq!(decompress(&out, text.len()), Some(text));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80), len in 0..5000usize) {
            if let Some(out) = decompress(&bytes, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}

//! One cache line of the index: ten slots of a 16-bit tag and a 32-bit word. Never knows what a word means, nor where
//! in the index it stands.
//!
//! ```text
//! 0         20      22      24                  64
//! tags 10x2 | used  | away  | words 10x4
//! ```
//! `used` has one bit per slot. `away` bit k says: an entry whose home is this bucket stands in the k-th bucket of its
//! probe sequence; so a lookup that misses reads no further bucket unless one must be read.

/// Slots of a bucket.
pub(super) const SLOTS: usize = 10;
/// Last bucket of a probe sequence: the home is number 0, and `away` has a bit for each other.
pub(super) const PROBE_MAX: usize = 15;
const SLOTS_MASK: u16 = (1 << SLOTS) - 1;

/// See the module.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) tags: [u16; SLOTS],
    pub(super) used: u16,
    pub(super) away: u16,
    pub(super) words: [u32; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// A set of slots, lowest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots(pub(super) u32);

impl Iterator for Slots {
    type Item = usize;
    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

impl Bucket {
    /// Nothing in it.
    pub(super) const EMPTY: Bucket = Bucket { tags: [0; SLOTS], used: 0, away: 0, words: [0; SLOTS] };

    /// Slots in use that hold `tag`.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u16) -> Slots {
        Slots(imp::equal_tags(self, tag) & u32::from(self.used))
    }

    /// Slots in use.
    #[inline]
    pub(super) fn occupied(&self) -> Slots {
        Slots(u32::from(self.used))
    }

    /// A free slot.
    #[inline]
    pub(super) fn vacancy(&self) -> Option<usize> {
        let free = !self.used & SLOTS_MASK;
        if free == 0 { None } else { Some(free.trailing_zeros() as usize) }
    }

    /// Fills a free slot.
    #[inline]
    pub(super) fn put(&mut self, slot: usize, tag: u16, word: u32) {
        debug_assert!(self.used & 1 << slot == 0);
        self.tags[slot] = tag;
        self.words[slot] = word;
        self.used |= 1 << slot;
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
mod imp {
    //! SSE2: two loads, two compares, one mask. The second load runs over `used`, `away` and two words, whose lanes the
    //! caller masks off.
    use super::Bucket;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_load_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
    };

    #[inline(always)]
    pub(super) fn equal_tags(bucket: &Bucket, tag: u16) -> u32 {
        let lanes = std::ptr::from_ref(bucket).cast::<__m128i>();
        // SAFETY: a bucket is 64 bytes at an address divisible by 64, so both 16-byte loads are inside and aligned.
        unsafe {
            let wanted = _mm_set1_epi16(tag.cast_signed());
            let low = _mm_cmpeq_epi16(_mm_load_si128(lanes), wanted);
            let high = _mm_cmpeq_epi16(_mm_load_si128(lanes.add(1)), wanted);
            _mm_movemask_epi8(_mm_packs_epi16(low, high)).cast_unsigned()
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
mod imp {
    //! Any other processor: a loop the compiler may turn into vector code.
    use super::Bucket;

    #[inline(always)]
    pub(super) fn equal_tags(bucket: &Bucket, tag: u16) -> u32 {
        super::equal_tags_portable(bucket, tag)
    }
}

/// What both implementations answer, on the ten tags.
#[cfg_attr(all(target_arch = "x86_64", target_feature = "sse2", not(miri)), allow(dead_code))]
fn equal_tags_portable(bucket: &Bucket, tag: u16) -> u32 {
    bucket.tags.iter().enumerate().fold(0, |mask, (i, &t)| mask | u32::from(t == tag) << i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_comparisons_agree() {
        let mut bucket = Bucket::EMPTY;
        for round in 0..2000u32 {
            for slot in 0..SLOTS {
                bucket.tags[slot] = (round.wrapping_mul(2_654_435_761).rotate_left(slot as u32 * 3) % 5) as u16;
                bucket.words[slot] = round * 7;
            }
            bucket.used = (round % 1024) as u16;
            for tag in [0, 1, 2, 3, 4, 5, bucket.used] {
                let expected = equal_tags_portable(&bucket, tag) & u32::from(bucket.used);
                assert_eq!(bucket.matches(tag).0, expected);
            }
        }
    }

    #[test]
    fn slots_fill_up() {
        let mut bucket = Bucket::EMPTY;
        for i in 0..SLOTS {
            let slot = bucket.vacancy().unwrap();
            bucket.put(slot, i as u16, 100 + i as u32);
        }
        assert_eq!(bucket.vacancy(), None);
        assert_eq!(bucket.occupied().count(), SLOTS);
        assert_eq!(bucket.matches(7).map(|s| bucket.words[s]).collect::<Vec<_>>(), [107]);
    }
}

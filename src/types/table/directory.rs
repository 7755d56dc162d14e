//! Position to segment number: one word per range of positions, as fine as the smallest segment needs. Never sees
//! segments themselves.
//!
//! Extendible hashing (Fagin et al. 1979) on the position's top bits. The main array has at most one word per slot; a
//! slot that is more than one segment has an array of its own, by the hash bits that follow.

use crate::types::defrag::Mover;

/// Bits of the position that the main array looks at, at the most: the slot.
const BITS_MAX: u32 = 14;
/// Marks a word that is the number of a [`Sub`].
const SUB: u32 = 1 << 31;
/// Deepest prefix of a segment, in bits.
pub(super) const DEPTH_MAX: u32 = 46;

#[derive(Debug, Clone)]
struct Sub {
    bits: u32,
    words: Vec<u32>,
}

/// See the module. Without words there is no segment.
#[derive(Debug, Default, Clone)]
pub(super) struct Directory {
    words: Vec<u32>,
    /// 64 less the bits that the main array looks at.
    shift: u32,
    subs: Vec<Sub>,
    subs_free: Vec<u32>,
    /// Number of segments by depth.
    depths: Vec<u32>,
}

impl Directory {
    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        let words = self.words.capacity() + self.subs.iter().map(|s| s.words.capacity()).sum::<usize>();
        let lists = self.subs_free.capacity() + self.depths.capacity();
        (words + lists) * size_of::<u32>() + self.subs.capacity() * size_of::<Sub>()
    }

    /// Moves its lists if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        self.subs.iter_mut().for_each(|sub| mover.vec(&mut sub.words));
        mover.vec(&mut self.words);
        mover.vec(&mut self.subs);
        mover.vec(&mut self.subs_free);
        mover.vec(&mut self.depths);
    }

    /// The segment that covers `pos`; `None` if there are no segments at all.
    #[inline(always)]
    pub(super) fn get(&self, pos: u64) -> Option<u32> {
        let word = *self.words.get((pos >> (self.shift & 63)) as usize)?;
        if word & SUB == 0 { Some(word) } else { Some(self.get_sub(word, pos)) }
    }

    fn get_sub(&self, word: u32, pos: u64) -> u32 {
        let sub = &self.subs[(word & !SUB) as usize];
        sub.words[(pos << BITS_MAX >> (64 - sub.bits)) as usize]
    }

    /// Makes `segment` the one that covers the whole space; there must be none yet.
    pub(super) fn begin(&mut self, segment: u32) {
        assert!(self.words.is_empty());
        self.words = vec![segment; 2];
        self.shift = 63;
        self.depths = vec![0; DEPTH_MAX as usize + 1];
        self.depths[0] = 1;
    }

    /// Notes that a segment of `depth` has come or gone.
    pub(super) fn count(&mut self, depth: u32, change: i32) {
        let count = &mut self.depths[depth as usize];
        *count = count.checked_add_signed(change).expect("depths are counted in pairs");
    }

    /// Points the range of `depth` bits that begins at `start` to `segment`.
    pub(super) fn set(&mut self, start: u64, depth: u32, segment: u32) {
        while self.bits() < depth.min(BITS_MAX) {
            self.double();
        }
        let first = (start >> self.shift) as usize;
        if depth > self.bits() {
            return self.set_in_slot(first, start, depth, segment);
        }
        for at in first..first + (1 << (self.bits() - depth)) {
            let old = std::mem::replace(&mut self.words[at], segment);
            if old & SUB != 0 {
                self.subs[(old & !SUB) as usize].words = Vec::new();
                self.subs_free.push(old & !SUB);
            }
        }
    }

    fn set_in_slot(&mut self, at: usize, start: u64, depth: u32, segment: u32) {
        let word = self.words[at];
        let number = if word & SUB != 0 { word & !SUB } else { self.new_sub(word) };
        self.words[at] = SUB | number;
        let sub = &mut self.subs[number as usize];
        while sub.bits < depth - BITS_MAX {
            sub.words = sub.words.iter().flat_map(|&w| [w, w]).collect();
            sub.bits += 1;
        }
        let first = (start << BITS_MAX >> (64 - sub.bits)) as usize;
        sub.words[first..first + (1 << (sub.bits - (depth - BITS_MAX)))].fill(segment);
    }

    /// A sub-directory of two words that both say `word`.
    fn new_sub(&mut self, word: u32) -> u32 {
        let sub = Sub { bits: 1, words: vec![word; 2] };
        match self.subs_free.pop() {
            Some(number) => {
                self.subs[number as usize] = sub;
                number
            }
            None => {
                self.subs.push(sub);
                self.subs.len() as u32 - 1
            }
        }
    }

    fn bits(&self) -> u32 {
        64 - self.shift
    }

    fn double(&mut self) {
        self.words = self.words.iter().flat_map(|&w| [w, w]).collect();
        self.shift -= 1;
    }

    /// Halves the main array while no segment needs its last bit.
    pub(super) fn shrink(&mut self) {
        let deepest = self.depths.iter().rposition(|&n| n > 0).unwrap_or(0) as u32;
        while self.bits() > deepest.max(1) {
            self.words = self.words.iter().copied().step_by(2).collect();
            self.shift += 1;
        }
    }

    /// Numbers of the segments in the order of their positions, each once per word.
    #[cfg(test)]
    pub(super) fn walk(&self) -> Vec<u32> {
        let mut out = Vec::new();
        for &word in &self.words {
            match word & SUB {
                0 => out.push(word),
                _ => out.extend(&self.subs[(word & !SUB) as usize].words),
            }
        }
        out.dedup();
        out
    }
}

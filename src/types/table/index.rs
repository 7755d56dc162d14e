//! A segment's index: 16-bit tags to 32-bit words, in cache-line buckets. Never sees keys; a caller's closure compares.
//!
//! Open addressing over whole buckets: home bucket = `tag * buckets >> 16`, and an entry that finds no room there is
//! 1, 3, 6, 10 ... buckets further on, at the first that has some (at 90% load one entry in nine; with steps of one
//! bucket the fullest stretches run together and some entries end up more than 15 buckets away). Because the tag alone
//! gives the home, the index is rebuilt to any number of buckets without touching a key. So it grows by one page
//! (64 buckets) at a time, an eighth or less of a grown segment, and keeps 93% as its highest load. hashbrown doubles,
//! at 7/8, and its rebuild must hash, that is touch, every key. `benches/table.rs` compares both. hashbrown stays the
//! map for everything that is not a keyspace.

use super::bucket::{Bucket, PROBE_MAX, SLOTS};
use super::pool::{PAGE_BYTES, PageId, Pool};
use std::ops::Range;

/// Buckets in a page.
const PAGE_BUCKETS: usize = PAGE_BYTES / size_of::<Bucket>();
/// Pages of an index.
pub(super) const PAGES_MAX: usize = 8;
/// Entries for which a page is enough: 93% of its slots.
const PAGE_ENTRIES: usize = PAGE_BUCKETS * SLOTS * 93 / 100;
/// Entries an index is sure to hold.
pub(super) const ENTRIES_MAX: usize = PAGES_MAX * PAGE_ENTRIES;
/// Buckets of an index, at the most.
pub(super) const BUCKETS_MAX: usize = PAGES_MAX * PAGE_BUCKETS;
/// Number of tags.
pub(super) const TAGS: u32 = 1 << 16;

/// How far from its home each bucket of a probe sequence is: triangular numbers, so no two homes share a path.
const PROBE: [u8; PROBE_MAX + 1] = [0, 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 66, 78, 91, 105, 120];
const _: () = assert!((PROBE[PROBE_MAX] as usize) < 2 * PAGE_BUCKETS, "see `Index::probe`");

/// Where an entry stands. Good until the next insertion or removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    bucket: u32,
    slot: u32,
}

/// See the module.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Index {
    pages: [PageId; PAGES_MAX],
    count: u32,
    len: u32,
}

impl Default for Index {
    fn default() -> Self {
        Index { pages: [PageId::NONE; PAGES_MAX], count: 0, len: 0 }
    }
}

impl Index {
    /// Entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Buckets.
    #[inline]
    pub(super) fn buckets(&self) -> usize {
        self.count as usize * PAGE_BUCKETS
    }

    /// Bytes of its pages.
    pub(super) fn bytes(&self) -> usize {
        self.count as usize * PAGE_BYTES
    }

    /// The home of a tag; there must be buckets.
    #[inline(always)]
    fn home(&self, tag: u16) -> usize {
        ((u32::from(tag) * self.buckets() as u32) >> 16) as usize
    }

    #[inline(always)]
    fn address(&self, pool: &Pool, bucket: usize) -> *mut Bucket {
        let page = pool.page(self.pages[bucket / PAGE_BUCKETS]).cast::<Bucket>();
        page.wrapping_add(bucket % PAGE_BUCKETS)
    }

    #[inline(always)]
    fn bucket(&self, pool: &Pool, bucket: usize) -> &Bucket {
        assert!(bucket < self.buckets());
        // SAFETY: a page of this index holds PAGE_BUCKETS buckets, initialised when it was taken and aligned because
        // pages are; only methods with `&mut self` make a `&mut` to one.
        unsafe { &*self.address(pool, bucket) }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, pool: &Pool, bucket: usize) -> &mut Bucket {
        assert!(bucket < self.buckets());
        // SAFETY: as in `bucket`; pages belong to one index, and `&mut self` excludes other references into it.
        unsafe { &mut *self.address(pool, bucket) }
    }

    /// Bucket `k` of the probe sequence of `home`, around the end.
    #[inline]
    fn probe(&self, home: usize, k: usize) -> usize {
        let mut bucket = home + usize::from(PROBE[k]);
        while bucket >= self.buckets() {
            bucket -= self.buckets();
        }
        bucket
    }

    /// The place of bucket `number` in the probe sequence of `home`.
    fn place_of(&self, home: usize, number: usize) -> usize {
        let k = (0..=PROBE_MAX).find(|&k| self.probe(home, k) == number);
        k.expect("an entry stands in its probe sequence")
    }

    /// The address a lookup of `tag` reads first, for a prefetch; `None` if the index is empty.
    #[inline(always)]
    pub(super) fn prefetch_address(&self, pool: &Pool, tag: u16) -> Option<*const Bucket> {
        if self.count == 0 { None } else { Some(self.address(pool, self.home(tag))) }
    }

    /// The first entry with this tag of which `same` says that it is the one.
    #[inline(always)]
    pub(super) fn find(&self, pool: &Pool, tag: u16, mut same: impl FnMut(u32) -> bool) -> Option<At> {
        if self.count == 0 {
            return None;
        }
        let home = self.home(tag);
        let bucket = self.bucket(pool, home);
        for slot in bucket.matches(tag) {
            if same(bucket.words[slot]) {
                return Some(At { bucket: home as u32, slot: slot as u32 });
            }
        }
        let mut away = bucket.away;
        while away != 0 {
            let number = self.probe(home, away.trailing_zeros() as usize);
            let bucket = self.bucket(pool, number);
            for slot in bucket.matches(tag) {
                if same(bucket.words[slot]) {
                    return Some(At { bucket: number as u32, slot: slot as u32 });
                }
            }
            away &= away - 1;
        }
        None
    }

    /// The word of an entry.
    #[inline(always)]
    pub(super) fn word(&self, pool: &Pool, at: At) -> u32 {
        self.bucket(pool, at.bucket as usize).words[at.slot as usize]
    }

    /// Replaces the word of an entry.
    #[inline(always)]
    pub(super) fn set_word(&mut self, pool: &Pool, at: At, word: u32) {
        self.bucket_mut(pool, at.bucket as usize).words[at.slot as usize] = word;
    }

    /// Adds an entry. The caller keeps to [`ENTRIES_MAX`].
    #[inline]
    pub(super) fn insert(&mut self, pool: &mut Pool, tag: u16, word: u32) {
        if self.len() >= self.count as usize * PAGE_ENTRIES && (self.count as usize) < PAGES_MAX {
            self.resize(pool, self.count as usize + 1);
        }
        while self.count == 0 || !self.place(pool, tag, word, PROBE_MAX) {
            assert!((self.count as usize) < PAGES_MAX, "an index of {} entries is full", self.len);
            self.resize(pool, self.count as usize + 1);
        }
    }

    /// Puts an entry into the first bucket of its probe sequence, up to number `last`, that has room.
    #[inline]
    fn place(&mut self, pool: &Pool, tag: u16, word: u32, last: usize) -> bool {
        let home = self.home(tag);
        for k in 0..=last {
            let number = self.probe(home, k);
            let bucket = self.bucket_mut(pool, number);
            if let Some(slot) = bucket.vacancy() {
                bucket.put(slot, tag, word);
                if k > 0 {
                    self.bucket_mut(pool, home).away |= 1 << k;
                }
                self.len += 1;
                return true;
            }
        }
        false
    }

    /// Removes an entry and returns its word.
    pub(super) fn remove(&mut self, pool: &mut Pool, at: At) -> u32 {
        let number = at.bucket as usize;
        let (word, _) = self.cut(pool, number, at.slot as usize);
        self.len -= 1;
        self.pull_back(pool, number);
        if self.count > 1 && self.len() < (self.count as usize - 1) * PAGE_ENTRIES * 4 / 5 {
            self.resize(pool, self.count as usize - 1);
        }
        word
    }

    /// Frees a slot; its home forgets the distance if no other entry of that home stands there.
    fn cut(&mut self, pool: &Pool, number: usize, slot: usize) -> (u32, u16) {
        let bucket = self.bucket_mut(pool, number);
        assert!(bucket.used & 1 << slot != 0, "only an entry that is there is removed");
        bucket.used &= !(1 << slot);
        let (word, tag) = (bucket.words[slot], bucket.tags[slot]);
        let home = self.home(tag);
        if home != number && !self.holds_entry_of(pool, number, home) {
            let k = self.place_of(home, number);
            self.bucket_mut(pool, home).away &= !(1 << k);
        }
        (word, tag)
    }

    fn holds_entry_of(&self, pool: &Pool, number: usize, home: usize) -> bool {
        let bucket = self.bucket(pool, number);
        bucket.occupied().any(|slot| self.home(bucket.tags[slot]) == home)
    }

    /// Brings an entry whose home is `home`, where a slot just became free, back from the last bucket of its probe
    /// sequence.
    fn pull_back(&mut self, pool: &Pool, home: usize) {
        let away = self.bucket(pool, home).away;
        let Some(k) = away.checked_ilog2() else { return };
        let number = self.probe(home, k as usize);
        let bucket = self.bucket(pool, number);
        let slot = bucket.occupied().find(|&slot| self.home(bucket.tags[slot]) == home);
        let slot = slot.expect("a set away bit means that an entry stands there");
        let (word, tag) = self.cut(pool, number, slot);
        let bucket = self.bucket_mut(pool, home);
        let free = bucket.vacancy().expect("a slot was freed here");
        bucket.put(free, tag, word);
    }

    /// Rebuilds to `pages` pages or, if the entries fall badly, a few more.
    #[cold]
    fn resize(&mut self, pool: &mut Pool, pages: usize) {
        let mut entries = Vec::with_capacity(self.len());
        self.for_each(pool, 0..TAGS, |_, tag, word| entries.push((tag, word)));
        for pages in pages..=PAGES_MAX {
            self.clear(pool);
            for slot in 0..pages {
                self.pages[slot] = fresh_page(pool);
            }
            self.count = pages as u32;
            // First all that find room at home, so that as few as possible stand elsewhere.
            let crowded = |&(tag, word): &(u16, u32)| !self.place(pool, tag, word, 0);
            let crowded: Vec<_> = entries.iter().copied().filter(crowded).collect();
            if crowded.iter().all(|&(tag, word)| self.place(pool, tag, word, PROBE_MAX)) {
                return;
            }
        }
        panic!("{} entries do not fit an index", entries.len());
    }

    /// Makes room for `len` entries at once.
    pub(super) fn reserve(&mut self, pool: &mut Pool, len: usize) {
        let pages = len.div_ceil(PAGE_ENTRIES).min(PAGES_MAX);
        if pages > self.count as usize {
            self.resize(pool, pages);
        }
    }

    /// Forgets all entries and puts the pages back.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        for page in &mut self.pages[..self.count as usize] {
            pool.put(std::mem::replace(page, PageId::NONE));
        }
        self.count = 0;
        self.len = 0;
    }

    /// Visits the entries whose tags are in `tags`, by rising home: those that stand away from their home, too.
    #[inline]
    pub(super) fn for_each(&self, pool: &Pool, tags: Range<u32>, mut visit: impl FnMut(At, u16, u32)) {
        if self.count == 0 || tags.is_empty() {
            return;
        }
        let last = self.home((tags.end - 1) as u16);
        for home in self.home(tags.start as u16)..=last {
            // Bit 0 is the home itself.
            let mut places = self.bucket(pool, home).away | 1;
            while places != 0 {
                let number = self.probe(home, places.trailing_zeros() as usize);
                let bucket = self.bucket(pool, number);
                for slot in bucket.occupied() {
                    let tag = bucket.tags[slot];
                    if self.home(tag) == home && tags.contains(&u32::from(tag)) {
                        visit(At { bucket: number as u32, slot: slot as u32 }, tag, bucket.words[slot]);
                    }
                }
                places &= places - 1;
            }
        }
    }

    /// Lets `change` rewrite every word, in no order.
    pub(super) fn rewrite(&mut self, pool: &Pool, mut change: impl FnMut(u32) -> u32) {
        for number in 0..self.buckets() {
            let bucket = self.bucket_mut(pool, number);
            for slot in bucket.occupied() {
                bucket.words[slot] = change(bucket.words[slot]);
            }
        }
    }

    /// The tag with which the homes after that of `tag` begin; [`TAGS`] after the last.
    pub(super) fn next_home_tag(&self, tag: u32) -> u32 {
        if self.count == 0 {
            return TAGS;
        }
        let next = self.home(tag as u16) as u32 + 1;
        (next * TAGS).div_ceil(self.buckets() as u32)
    }

    /// The entry in slot `slot` of bucket `bucket`, if there is one.
    pub(super) fn entry_in(&self, pool: &Pool, bucket: usize, slot: usize) -> Option<At> {
        let used = bucket < self.buckets() && self.bucket(pool, bucket).used & 1 << slot != 0;
        used.then_some(At { bucket: bucket as u32, slot: slot as u32 })
    }

    /// The entry number `rank`, counted from zero in the order of the buckets.
    pub(super) fn nth(&self, pool: &Pool, rank: usize) -> Option<At> {
        let mut left = rank;
        for number in 0..self.buckets() {
            let bucket = self.bucket(pool, number);
            let here = bucket.used.count_ones() as usize;
            if left < here {
                let slot = bucket.occupied().nth(left)?;
                return Some(At { bucket: number as u32, slot: slot as u32 });
            }
            left -= here;
        }
        None
    }

    /// Entries that stand away from their home, and the sum of their places in their probe sequences.
    pub(super) fn displacement(&self, pool: &Pool) -> (usize, usize) {
        let (mut away, mut places) = (0, 0);
        for number in 0..self.buckets() {
            let bucket = self.bucket(pool, number);
            for slot in bucket.occupied() {
                let k = self.place_of(self.home(bucket.tags[slot]), number);
                away += usize::from(k > 0);
                places += k;
            }
        }
        (away, places)
    }

    /// Panics if counters, homes or away bits contradict each other. Visits everything.
    #[cfg(test)]
    pub(super) fn check(&self, pool: &Pool) {
        let mut len = 0;
        let mut away = vec![0u16; self.buckets()];
        for number in 0..self.buckets() {
            let bucket = self.bucket(pool, number);
            for slot in bucket.occupied() {
                let home = self.home(bucket.tags[slot]);
                away[home] |= 1 << self.place_of(home, number) & !1;
                len += 1;
            }
        }
        assert_eq!(len, self.len());
        for (number, &bits) in away.iter().enumerate() {
            assert_eq!(self.bucket(pool, number).away, bits, "away bits of bucket {number}");
        }
    }
}

/// A page of empty buckets.
fn fresh_page(pool: &mut Pool) -> PageId {
    let id = pool.take();
    let page = pool.page(id).cast::<Bucket>();
    for bucket in 0..PAGE_BUCKETS {
        // SAFETY: the page is PAGE_BUCKETS buckets long, aligned, and nobody else's.
        unsafe { page.add(bucket).write(Bucket::EMPTY) };
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A cheap scramble: what the hash would give.
    fn tag_of(n: u32) -> u16 {
        (n.wrapping_mul(2_654_435_761) >> 13) as u16
    }

    #[test]
    fn grows_shrinks_and_finds() {
        let mut pool = Pool::default();
        let mut index = Index::default();
        let mut model = BTreeMap::new();
        let mut step = 1u32;
        for round in 0..60_000u32 {
            step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let word = step >> 20;
            let growing = round / 10_000 % 2 == 0;
            let at = index.find(&pool, tag_of(word), |w| w == word);
            assert_eq!(at.is_some(), model.contains_key(&word));
            match at {
                Some(at) if !growing || step.is_multiple_of(8) => {
                    assert_eq!(index.remove(&mut pool, at), word);
                    model.remove(&word);
                }
                None if growing || step.is_multiple_of(8) => {
                    index.insert(&mut pool, tag_of(word), word);
                    model.insert(word, ());
                }
                _ => {}
            }
            if round % 1000 == 0 {
                index.check(&pool);
            }
        }
        index.check(&pool);
        let mut seen = Vec::new();
        index.for_each(&pool, 0..TAGS, |_, tag, word| {
            assert_eq!(tag, tag_of(word));
            seen.push(word);
        });
        seen.sort_unstable();
        assert_eq!(seen, model.keys().copied().collect::<Vec<_>>());
        index.clear(&mut pool);
        assert_eq!(pool.pages_used(), 0);
    }

    #[test]
    fn ranges_of_tags_cover_all_once() {
        let mut pool = Pool::default();
        let mut index = Index::default();
        (0..4000).for_each(|n| index.insert(&mut pool, tag_of(n), n));
        index.check(&pool);
        let mut seen = Vec::new();
        let mut from = 0;
        while from < TAGS {
            let to = index.next_home_tag(from);
            assert!(to > from);
            index.for_each(&pool, from..to, |_, _, word| seen.push(word));
            from = to;
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..4000).collect::<Vec<_>>());
        let ranks: Vec<_> = (0..4000).map(|r| index.word(&pool, index.nth(&pool, r).unwrap())).collect();
        assert_eq!(ranks.iter().collect::<std::collections::BTreeSet<_>>().len(), 4000);
        assert_eq!(index.nth(&pool, 4000), None);
    }

    #[test]
    fn many_of_one_tag_spread_and_come_back() {
        let mut pool = Pool::default();
        let mut index = Index::default();
        (0..100).for_each(|n| index.insert(&mut pool, 77, n));
        index.check(&pool);
        for n in (0..100).rev() {
            let at = index.find(&pool, 77, |w| w == n).unwrap();
            index.remove(&mut pool, at);
            index.check(&pool);
        }
        assert_eq!(index.len(), 0);
    }
}

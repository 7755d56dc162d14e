//! A segment's index: 16-bit tags to 32-bit words, in cache-line buckets. Never sees keys; a caller's closure compares.
//!
//! Open addressing over whole buckets: home bucket = `tag * buckets >> 16`, and an entry that finds no room there is
//! 1, 3, 6, 10 ... buckets further on, at the first that has some (at 90% load one entry in nine; with steps of one
//! bucket the fullest stretches run together and some entries end up more than 15 buckets away). Because the tag alone
//! gives the home, the index is rebuilt to any number of buckets without touching a key. So it grows by a twelfth of
//! itself, in units of 16 buckets, and keeps 94% as its highest load: 90% on average, 7.1 bytes per key. A rebuild
//! costs 4 ns per entry, which over all of them makes 60 ns per insertion. hashbrown doubles, at 7/8, and its rebuild
//! must hash, that is touch, every key. `benches/table.rs` compares both. hashbrown stays the map for everything that
//! is not a keyspace.

use super::bucket::{Bucket, PROBE_MAX, SLOTS};
use super::pool::{PAGE_BYTES, PAGE_UNITS, Pool, RunId, UNIT_BYTES};
use std::ops::Range;

/// Buckets in a page and in a unit.
const PAGE_BUCKETS: usize = PAGE_BYTES / size_of::<Bucket>();
const UNIT_BUCKETS: usize = UNIT_BYTES / size_of::<Bucket>();
/// Pages of an index.
const PAGES_MAX: usize = 32 * 1024 / PAGE_BYTES;
const UNITS_MAX: usize = PAGES_MAX * PAGE_UNITS;
/// Entries for which a unit is enough: 94% of its slots.
const UNIT_ENTRIES: usize = UNIT_BUCKETS * SLOTS * 94 / 100;
/// Entries an index is sure to hold.
pub(super) const ENTRIES_MAX: usize = UNITS_MAX * UNIT_ENTRIES;
/// Buckets of an index, at the most.
pub(super) const BUCKETS_MAX: usize = UNITS_MAX * UNIT_BUCKETS;
/// Number of tags.
pub(super) const TAGS: u32 = 1 << 16;

/// Each growth adds one unit and one for as many that are there.
const GROWTH: usize = 16;
/// How far from its home each bucket of a probe sequence is: triangular numbers, so no two homes share a path.
const PROBE: [u8; PROBE_MAX + 1] = [0, 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 66, 78, 91, 105, 120];

/// Where an entry stands. Good until the next insertion or removal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    bucket: u32,
    slot: u32,
}

/// See the module. A clone is for a twin of its pool ([`Pool::twin_step`]).
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Index {
    /// Pages of 64 buckets; the last may be a shorter run.
    pages: [RunId; PAGES_MAX],
    units: u32,
    len: u32,
}

impl Default for Index {
    fn default() -> Self {
        Index { pages: [RunId::NONE; PAGES_MAX], units: 0, len: 0 }
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
        self.units as usize * UNIT_BUCKETS
    }

    /// Bytes of its pages.
    pub(super) fn bytes(&self) -> usize {
        self.units as usize * UNIT_BYTES
    }

    /// The home of a tag; there must be buckets.
    #[inline(always)]
    fn home(&self, tag: u16) -> usize {
        ((u32::from(tag) * self.buckets() as u32) >> 16) as usize
    }

    #[inline(always)]
    fn address(&self, pool: &Pool, bucket: usize) -> *mut Bucket {
        let run = pool.address(self.pages[bucket / PAGE_BUCKETS]).cast::<Bucket>();
        run.wrapping_add(bucket % PAGE_BUCKETS)
    }

    #[inline(always)]
    fn bucket(&self, pool: &Pool, bucket: usize) -> &Bucket {
        assert!(bucket < self.buckets());
        // SAFETY: the runs of this index hold buckets, initialised when they were taken and aligned because units are;
        // only methods with `&mut self` make a `&mut` to one.
        unsafe { &*self.address(pool, bucket) }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, pool: &Pool, bucket: usize) -> &mut Bucket {
        assert!(bucket < self.buckets());
        // SAFETY: as in `bucket`; runs belong to one index, and `&mut self` excludes other references into it.
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

    /// Gives `entry` the words in the home bucket of `tag` that are of that tag. The bucket, if there are none.
    #[inline(always)]
    fn at_home(&self, pool: &Pool, tag: u16, mut entry: impl FnMut(u32)) -> Option<&Bucket> {
        if self.units == 0 {
            return Some(&Bucket::EMPTY);
        }
        let bucket = self.bucket(pool, self.home(tag));
        let mut none = true;
        for slot in bucket.matches(tag) {
            entry(bucket.words[slot]);
            none = false;
        }
        none.then_some(bucket)
    }

    /// Asks for what a lookup of `tag` reads after its home bucket: `entry` gets the words of that tag; if there are
    /// none, it is the next bucket that must be read, and those where an insertion looks for room: two homes in five
    /// are full. A million INCRs of new keys in pipelines of 16 take 0.45 us each outside the kernel so, 0.51 with one
    /// bucket and 0.57 without.
    #[inline(always)]
    pub(super) fn prefetch(&self, pool: &Pool, tag: u16, entry: impl FnMut(u32)) {
        let Some(bucket) = self.at_home(pool, tag, entry) else { return };
        let ask = |k| super::prefetch(self.address(pool, self.probe(self.home(tag), k)));
        if bucket.away != 0 {
            ask(bucket.away.trailing_zeros() as usize);
        }
        if bucket.vacancy().is_none() {
            ask(1);
            ask(2);
        }
    }

    /// Whether an entry of `tag` may be there; `entry` gets the words of those in its home bucket.
    #[inline(always)]
    pub(super) fn may_have(&self, pool: &Pool, tag: u16, entry: impl FnMut(u32)) -> bool {
        self.at_home(pool, tag, entry).is_none_or(|bucket| bucket.away != 0)
    }

    /// Asks for a bucket that is there.
    pub(super) fn prefetch_bucket(&self, pool: &Pool, bucket: usize) {
        super::prefetch(self.address(pool, bucket));
    }

    /// The address a lookup of `tag` reads first, for a prefetch; `None` if the index is empty.
    #[inline(always)]
    pub(super) fn prefetch_address(&self, pool: &Pool, tag: u16) -> Option<*const Bucket> {
        if self.units == 0 { None } else { Some(self.address(pool, self.home(tag))) }
    }

    /// The first entry with this tag of which `same` says that it is the one.
    #[inline(always)]
    pub(super) fn find(&self, pool: &Pool, tag: u16, mut same: impl FnMut(u32) -> bool) -> Option<At> {
        if self.units == 0 {
            return None;
        }
        let home = self.home(tag);
        let mut number = home;
        let mut bucket = self.bucket(pool, home);
        let mut away = bucket.away;
        loop {
            for slot in bucket.matches(tag) {
                if same(bucket.words[slot]) {
                    return Some(At { bucket: number as u32, slot: slot as u32 });
                }
            }
            if away == 0 {
                return None;
            }
            number = self.probe(home, away.trailing_zeros() as usize);
            bucket = self.bucket(pool, number);
            away &= away - 1;
        }
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

    /// Whether it is nearly as large as it may be. Entries that fall evenly never make it so before a segment is split;
    /// those that come in the order in which another table was walked do, because their tags lie close together.
    #[inline(always)]
    pub(super) fn is_strained(&self) -> bool {
        self.units as usize + 2 >= UNITS_MAX
    }

    /// Adds an entry. The caller keeps to [`ENTRIES_MAX`].
    #[inline]
    pub(super) fn insert(&mut self, pool: &mut Pool, tag: u16, word: u32) {
        let units = self.units as usize;
        if self.len() >= units * UNIT_ENTRIES && units < UNITS_MAX {
            self.resize(pool, units + 1 + units / GROWTH);
        }
        while !self.place(pool, tag, word, 0) {
            let units = self.units as usize;
            assert!(units < UNITS_MAX, "an index of {} entries is full", self.len);
            self.resize(pool, units + 1);
        }
    }

    /// Puts an entry into the first bucket of its probe sequence, from number `first` on, that has room.
    #[inline]
    fn place(&mut self, pool: &Pool, tag: u16, word: u32, first: usize) -> bool {
        let home = self.home(tag);
        for k in first..=PROBE_MAX {
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
        let units = self.units as usize;
        if units > 1 && self.len() < (units - units.div_ceil(GROWTH)) * UNIT_ENTRIES * 7 / 8 {
            self.resize(pool, units - units.div_ceil(GROWTH));
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

    /// Rebuilds to `units` units or, if the entries fall badly, a few more.
    #[cold]
    fn resize(&mut self, pool: &mut Pool, units: usize) {
        let mut crowded = std::mem::take(&mut pool.scratch);
        let rebuilt = (units.min(UNITS_MAX)..=UNITS_MAX).find_map(|units| {
            let mut new = Index::default();
            new.begin(pool, units);
            // First all that find room at home, so that as few as possible stand elsewhere.
            crowded.clear();
            for number in 0..self.buckets() {
                let bucket = self.bucket(pool, number);
                for slot in bucket.occupied() {
                    let (tag, word) = (bucket.tags[slot], bucket.words[slot]);
                    let home = new.bucket_mut(pool, new.home(tag));
                    match home.vacancy() {
                        Some(free) => home.put(free, tag, word),
                        None => crowded.push((u64::from(tag), word)),
                    }
                }
            }
            new.len = self.len - crowded.len() as u32;
            if crowded.iter().all(|&(tag, word)| new.place(pool, tag as u16, word, 1)) {
                return Some(new);
            }
            new.clear(pool);
            None
        });
        let rebuilt = rebuilt.expect("all entries fit the largest index");
        std::mem::replace(self, rebuilt).clear(pool);
        crowded.clear();
        pool.scratch = crowded;
    }

    /// Moves the runs that lie in chunk number `limit` or after it; returns how many.
    pub(super) fn relocate(&mut self, pool: &mut Pool, limit: usize) -> usize {
        let mut moved = 0;
        for (number, first) in (0..self.units as usize).step_by(PAGE_UNITS).enumerate() {
            if self.pages[number].chunk() >= limit {
                let units = (self.units as usize - first).min(PAGE_UNITS);
                self.pages[number] = pool.relocate(self.pages[number], units, limit);
                moved += 1;
            }
        }
        moved
    }

    /// Takes runs for `units` units of empty buckets; there must be none yet.
    fn begin(&mut self, pool: &mut Pool, units: usize) {
        for (number, first) in (0..units).step_by(PAGE_UNITS).enumerate() {
            let len = (units - first).min(PAGE_UNITS);
            let run = pool.take(len);
            let buckets = pool.address(run).cast::<Bucket>();
            for bucket in 0..len * UNIT_BUCKETS {
                // SAFETY: the run is that many buckets long, aligned, and nobody else's.
                unsafe { buckets.add(bucket).write(Bucket::EMPTY) };
            }
            self.pages[number] = run;
        }
        self.units = units as u32;
    }

    /// Makes room for `len` entries at once.
    pub(super) fn reserve(&mut self, pool: &mut Pool, len: usize) {
        let units = len.div_ceil(UNIT_ENTRIES).min(UNITS_MAX);
        if units > self.units as usize {
            self.resize(pool, units);
        }
    }

    /// Forgets all entries and puts the runs back.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        for (number, first) in (0..self.units as usize).step_by(PAGE_UNITS).enumerate() {
            let run = std::mem::replace(&mut self.pages[number], RunId::NONE);
            pool.put(run, (self.units as usize - first).min(PAGE_UNITS));
        }
        self.units = 0;
        self.len = 0;
    }

    /// Visits the entries whose tags are in `tags`, by rising home: those that stand away from their home, too.
    #[inline]
    pub(super) fn for_each(&self, pool: &Pool, tags: Range<u32>, mut visit: impl FnMut(At, u16, u32)) {
        if self.units == 0 || tags.is_empty() {
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
        if self.units == 0 {
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

    /// The entries of a bucket, each with its tag.
    #[inline]
    pub(super) fn places_in(&self, pool: &Pool, bucket: usize) -> impl Iterator<Item = (At, u16)> {
        let here = self.bucket(pool, bucket);
        here.occupied().map(move |slot| (At { bucket: bucket as u32, slot: slot as u32 }, here.tags[slot]))
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
        assert_eq!(pool.bytes_used(), 0);
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

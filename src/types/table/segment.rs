//! A run of positions: its index, its log, and what is counted about them. Never knows its neighbours.

use super::entry::{Draft, EXPIRE_MS_MAX, Entry, Stored, key_outside};
use super::index::{At, ENTRIES_MAX, Index};
use super::log::{Log, REF_BITS, Ref};
use super::pool::{PAGE_BYTES, Pool};
use super::{EntryView, Expire, Key, Placing};
use crate::base::hash;
use crate::types::defrag::Mover;
use crate::types::value::{NewValue, Owned, Value, View};
use std::ops::Range;

/// Entries at which a segment splits. More save memory (less of an open page and of a last index page per entry) and
/// lengthen the split; see `benches/table.rs`.
pub(super) const SPLIT_LEN: usize = 4096;
/// Pages of log at which it splits: 768 KB to copy.
const SPLIT_PAGES: usize = 768 * 1024 / PAGE_BYTES;
/// Two buddies merge when they have at most this many entries together, and this many bytes.
const MERGE_LEN: usize = SPLIT_LEN / 2;
const MERGE_BYTES: usize = SPLIT_PAGES * PAGE_BYTES / 2;
const _: () = assert!(SPLIT_LEN <= ENTRIES_MAX);

/// Dead bytes that are no reason to move entries.
const DEAD_BYTES_MIN: usize = 4096;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Low bits of an index word: opaque to the table.
pub(super) const ACCESS_BITS: u32 = 32 - REF_BITS;
const ACCESS_MASK: u32 = (1 << ACCESS_BITS) - 1;

fn word(at: Ref, access: u16) -> u32 {
    at.0 << ACCESS_BITS | u32::from(access) & ACCESS_MASK
}

#[inline(always)]
fn reference(word: u32) -> Ref {
    Ref(word >> ACCESS_BITS)
}

#[inline(always)]
pub(super) fn access(word: u32) -> u16 {
    (word & ACCESS_MASK) as u16
}

/// What a table counts over all its segments.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) len: usize,
    pub(super) expiring: usize,
    /// Heap bytes behind boxed values and out-of-line keys.
    pub(super) boxed_bytes: usize,
}

/// An entry that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) at: At,
    pub(super) entry: Entry,
    pub(super) word: u32,
}

/// See the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Segment {
    pub(super) index: Index,
    log: Log,
    /// First position it covers.
    pub(super) start: u64,
    /// Bits of `start` that all its positions share.
    pub(super) depth: u32,
    pub(super) expiring: u32,
    /// No entry is due before this.
    pub(super) next_expire_ms: u64,
    /// How long the expiry sweep leaves it alone, at the least.
    pub(super) sweep_gap_ms: u32,
}

impl Segment {
    /// Without entries, and without pages.
    pub(super) fn new(start: u64, depth: u32) -> Self {
        let (index, log) = (Index::default(), Log::default());
        Segment { index, log, start, depth, expiring: 0, next_expire_ms: u64::MAX, sweep_gap_ms: 0 }
    }

    /// The same entries in a twin of their pool ([`Pool::twin_step`]); none may own anything.
    pub(super) fn twin(&self, pool: &mut Pool) -> Segment {
        Segment { index: self.index.clone(), log: self.log.twin(pool), ..*self }
    }

    /// Entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The positions it covers, without the last.
    pub(super) fn last(&self) -> u64 {
        self.start | u64::MAX.checked_shr(self.depth).unwrap_or(0)
    }

    /// Whether the next new entry should find it split.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= SPLIT_LEN || self.log.pages() >= SPLIT_PAGES || self.index.is_strained()
    }

    /// Whether it and its buddy should be one.
    pub(super) fn may_merge(&self, buddy: &Segment) -> bool {
        self.depth == buddy.depth
            && self.len() + buddy.len() <= MERGE_LEN
            && self.log.live() + buddy.log.live() <= MERGE_BYTES
    }

    /// Live and dead bytes of entries.
    pub(super) fn log_bytes(&self) -> (usize, usize) {
        (self.log.live(), self.log.dead())
    }

    #[inline(always)]
    fn entry(&self, pool: &Pool, word: u32) -> Entry {
        // SAFETY: words of the index refer to live entries of this segment's log.
        unsafe { Entry::at(self.log.address(pool, reference(word))) }
    }

    /// Looks a key up.
    #[inline(always)]
    pub(super) fn find(&self, pool: &Pool, key: Key<'_>) -> Option<Found> {
        let at = self.index.find(pool, pool.tag(key.pos.0), |word| {
            // SAFETY: nothing changes the page while the key is compared.
            unsafe { self.entry(pool, word).key() == key.bytes }
        })?;
        // Decoded once more: what a closure stores in pieces is not there yet when it is read as a whole.
        let word = self.index.word(pool, at);
        Some(Found { at, entry: self.entry(pool, word), word })
    }

    /// Brings what a lookup of `pos` reads after the bucket into the cache.
    #[inline(always)]
    pub(super) fn prefetch_entry(&self, pool: &Pool, pos: u64) {
        self.index.prefetch(pool, pool.tag(pos), self.entry_prefetch(pool));
    }

    /// What brings an entry into the cache, given its word of the index.
    #[inline(always)]
    fn entry_prefetch(&self, pool: &Pool) -> impl Fn(u32) {
        // An entry of 66 bytes that begins at the end of a line touches three. GET of 64 bytes out of a million, in
        // pipelines of 64: 0.36 us with two lines, 0.32 with three. Asking for none in vain takes another 3 % off.
        let (len, live) = (self.len(), self.log.live());
        move |word| {
            let entry = self.log.address(pool, reference(word));
            // as many times as there are entries: where a mean one ends that begins here
            let end = (entry.addr() % LINE) * len + live;
            let line = |k: usize| entry.wrapping_add(usize::from(end > k * LINE * len) * k * LINE);
            super::prefetch(entry);
            super::prefetch(line(1));
            super::prefetch(line(2));
        }
    }

    /// The out-of-line value of the first entry with this tag.
    #[inline]
    pub(super) fn likely_value(&self, pool: &Pool, pos: u64) -> Option<&Value> {
        let likely = self.index.find(pool, pool.tag(pos), |_| true)?;
        // SAFETY: the value borrows the segment, and only methods with `&mut self` change its pages.
        match unsafe { self.entry(pool, self.index.word(pool, likely)).view(0) }.value {
            View::Boxed(value) => Some(value),
            _ => None,
        }
    }

    /// Whether an entry with this tag may be there; brings what a lookup of it reads into the cache.
    #[inline]
    pub(super) fn may_have(&self, pool: &Pool, tag: u16) -> bool {
        self.index.may_have(pool, tag, |word| super::prefetch(self.log.address(pool, reference(word))))
    }

    /// Whether a key, whose tag this is, is there.
    #[inline]
    pub(super) fn has(&self, pool: &Pool, tag: u16, key: &[u8]) -> bool {
        // SAFETY: nothing changes the page while the key is compared.
        self.index.find(pool, tag, |word| unsafe { self.entry(pool, word).key() } == key).is_some()
    }

    /// Brings the entry at a place in the index into the cache.
    #[inline]
    pub(super) fn prefetch(&self, pool: &Pool, at: At) {
        super::prefetch(self.log.address(pool, reference(self.index.word(pool, at))));
    }

    /// The entry at a place in the index.
    #[inline]
    pub(super) fn view(&self, pool: &Pool, at: At) -> EntryView<'_> {
        let word = self.index.word(pool, at);
        // SAFETY: the view borrows the segment, and only methods with `&mut self` change its pages.
        unsafe { self.entry(pool, word).view(access(word)) }
    }

    /// Sets the access bits.
    #[inline(always)]
    pub(super) fn set_access(&mut self, pool: &Pool, found: &Found, access: u16) {
        self.index.set_word(pool, found.at, word(reference(found.word), access));
    }

    /// Adds an entry for a key that is not there.
    pub(super) fn insert(
        &mut self,
        pool: &mut Pool,
        tally: &mut Tally,
        key: Key<'_>,
        value: NewValue<'_>,
        expire_ms: Option<u64>,
        access: u16,
    ) {
        let (value, boxed_bytes) = Stored::new(value, key.bytes.len());
        let outside = key_outside(key.bytes);
        let key_field = outside.as_ref().map_or(key.bytes, |field| &field[..]);
        let expire_ms = expire_ms.map(|at| at.min(EXPIRE_MS_MAX));
        let draft = Draft { key: key_field, key_outside: outside.is_some(), expire_ms, value };
        let at = self.write(pool, &draft);
        let tag = pool.tag(key.pos.0);
        self.index.insert(pool, tag, word(at, access));
        tally.len += 1;
        tally.boxed_bytes += boxed_bytes + if outside.is_some() { key.bytes.len() } else { 0 };
        self.count_expiry(tally, None, expire_ms);
    }

    fn write(&mut self, pool: &mut Pool, draft: &Draft<'_>) -> Ref {
        let at = self.log.alloc(pool, draft.bytes());
        // SAFETY: the log gave these bytes to this draft.
        unsafe { draft.write(self.log.address(pool, at)) };
        at
    }

    /// Replaces value, expiry and access bits of an entry; hands the old boxed value over. Inlined, like what it calls
    /// to overwrite: what one function leaves in memory piece by piece, the next waits for if it reads it as a whole.
    #[inline(always)]
    pub(super) fn replace(
        &mut self,
        pool: &mut Pool,
        tally: &mut Tally,
        found: &Found,
        value: NewValue<'_>,
        expire: Expire,
        access: u16,
    ) -> Option<Box<Value>> {
        let mut entry = found.entry;
        // SAFETY: the entry is live and no reference into its page exists; its boxed value changes hands here, once.
        let (old, old_expire, key_len) = unsafe {
            let old = entry.take_boxed();
            (old, entry.expire_ms(), entry.key().len())
        };
        let expire_ms = match expire {
            Expire::Clear => None,
            Expire::Keep => old_expire,
            Expire::At(at) => Some(at.min(EXPIRE_MS_MAX)),
        };
        let (value, boxed_bytes) = Stored::new(value, key_len);
        tally.boxed_bytes += boxed_bytes;
        tally.boxed_bytes -= old.as_ref().map_or(0, |v| v.heap_bytes());
        // SAFETY: as above.
        let in_place = unsafe { entry.overwrite(&value, expire_ms) };
        let mut at = reference(found.word);
        if !in_place {
            at = self.rewrite(pool, found.word, Some(value), expire_ms);
        }
        self.index.set_word(pool, found.at, word(at, access));
        self.count_expiry(tally, old_expire, expire_ms);
        if !in_place {
            self.compact(pool);
        }
        old
    }

    /// Writes an entry anew with another expiry, and another value if there is one, and marks the old one as dead. What
    /// that owned now belongs to the new one.
    #[inline(never)]
    fn rewrite(&mut self, pool: &mut Pool, old: u32, value: Option<Stored<'_>>, expire_ms: Option<u64>) -> Ref {
        // SAFETY: the entry is live; the draft is used before anything changes.
        let bytes = unsafe { self.entry(pool, old).draft_with(value, expire_ms) }.bytes();
        let at = self.log.alloc(pool, bytes);
        // SAFETY: decoded again, because the log may have moved the page; the log gave `bytes` bytes to this draft.
        // Then nothing refers to the old entry any more.
        unsafe {
            let draft = self.entry(pool, old).draft_with(value, expire_ms);
            draft.write(self.log.address(pool, at));
            self.log.kill(pool, reference(old));
        }
        at
    }

    /// Sets or clears the expiry of an entry.
    pub(super) fn set_expire(&mut self, pool: &mut Pool, tally: &mut Tally, found: &Found, expire_ms: Option<u64>) {
        let expire_ms = expire_ms.map(|at| at.min(EXPIRE_MS_MAX));
        let mut entry = found.entry;
        // SAFETY: the entry is live, and no reference into its page exists.
        let old_expire = unsafe { entry.expire_ms() };
        if old_expire == expire_ms {
            return;
        }
        self.count_expiry(tally, old_expire, expire_ms);
        if let (Some(_), Some(at)) = (old_expire, expire_ms) {
            // SAFETY: as above.
            unsafe { entry.set_expiry(at) };
            return;
        }
        let at = self.rewrite(pool, found.word, None, expire_ms);
        self.index.set_word(pool, found.at, word(at, access(found.word)));
        self.compact(pool);
    }

    /// A copy of an entry's value, unless that is boxed, and its expiry.
    pub(super) fn copy_out(&self, found: &Found) -> (Option<Owned>, Option<u64>) {
        // SAFETY: the entry is live, and no reference into its page outlives this.
        unsafe {
            let inline = found.entry.boxed().is_none().then(|| Owned::from(found.entry.value()));
            (inline, found.entry.expire_ms())
        }
    }

    /// Removes an entry; hands its boxed value over.
    pub(super) fn remove(&mut self, pool: &mut Pool, tally: &mut Tally, found: &Found) -> Option<Box<Value>> {
        // SAFETY: the entry is live and no reference into its page exists; what it owns changes hands here, once.
        let (value, key, expire_ms) = unsafe {
            let value = found.entry.take_boxed();
            let key = found.entry.boxed_key().map(|boxed| Box::from_raw(boxed));
            (value, key, found.entry.expire_ms())
        };
        tally.boxed_bytes -= value.as_ref().map_or(0, |v| v.heap_bytes()) + key.map_or(0, |k| k.len());
        tally.len -= 1;
        self.count_expiry(tally, expire_ms, None);
        self.index.remove(pool, found.at);
        // SAFETY: as above; the index does not refer to it any more.
        unsafe { self.log.kill(pool, reference(found.word)) };
        if self.len() == 0 {
            self.index.clear(pool);
            self.log.clear(pool);
        } else {
            self.compact(pool);
        }
        value
    }

    fn count_expiry(&mut self, tally: &mut Tally, old: Option<u64>, new: Option<u64>) {
        if old.is_some() {
            self.expiring -= 1;
            tally.expiring -= 1;
        }
        if let Some(at) = new {
            self.expiring += 1;
            tally.expiring += 1;
            self.next_expire_ms = self.next_expire_ms.min(at);
        }
    }

    /// Moves the live entries of the emptiest page or two, if more than an eighth of the log is dead, and gives the
    /// pages back.
    #[inline]
    fn compact(&mut self, pool: &mut Pool) {
        for _ in 0..2 {
            if self.log.dead() <= self.log.live() / 8 + DEAD_BYTES_MIN {
                return;
            }
            let Some(page) = self.log.emptiest() else { return };
            self.move_page(pool, page);
        }
    }

    #[cold]
    fn move_page(&mut self, pool: &mut Pool, page: usize) {
        for (from, entry) in self.log.live_entries(pool, page) {
            // SAFETY: the entry is live and its page stays until all of it has moved.
            let key = unsafe { entry.key() };
            let at = self.index.find(pool, pool.tag(hash::hash(key) >> 14), |word| reference(word) == from);
            let at = at.expect("a live entry is indexed");
            let access = access(self.index.word(pool, at));
            let to = self.copy_entry(pool, entry);
            self.index.set_word(pool, at, word(to, access));
        }
        self.log.discard_page(pool, page);
    }

    /// Copies an entry's bytes to the end of the log; what it owns must from then on be reached through the copy only.
    fn copy_entry(&mut self, pool: &mut Pool, entry: Entry) -> Ref {
        let bytes = entry.bytes();
        let to = self.log.alloc(pool, bytes);
        // SAFETY: a live entry is `bytes` long; the log gave as many elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(entry.address(), self.log.address(pool, to), bytes) };
        to
    }

    /// Position and index word of every entry, in the pool's scratch space, which the caller puts back. Reads all keys,
    /// a few entries ahead of itself.
    pub(super) fn positions(&self, pool: &mut Pool, placing: Placing) -> Vec<(u64, u32)> {
        const AHEAD: usize = 8;
        let mut out = std::mem::take(&mut pool.scratch);
        self.index.for_each(pool, 0..super::index::TAGS, |_, _, word| out.push((0, word)));
        for i in 0..out.len() {
            if let Some(&(_, word)) = out.get(i + AHEAD) {
                super::prefetch(self.log.address(pool, reference(word)));
            }
            // SAFETY: the key is read before anything changes.
            out[i].0 = placing.of(unsafe { self.entry(pool, out[i].1).key() }).0;
        }
        out
    }

    /// Makes room for `len` more entries in the index.
    pub(super) fn reserve(&mut self, pool: &mut Pool, len: usize) {
        self.index.reserve(pool, self.len() + len);
    }

    /// Copies an entry of `from` into this segment. `from` must then be given to [`Segment::abandon`].
    pub(super) fn adopt(&mut self, pool: &mut Pool, from: &Segment, pos: u64, from_word: u32) {
        let entry = from.entry(pool, from_word);
        let at = self.copy_entry(pool, entry);
        let tag = pool.tag(pos);
        self.index.insert(pool, tag, word(at, access(from_word)));
        // SAFETY: the entry is live.
        if let Some(expire_ms) = unsafe { entry.expire_ms() } {
            self.expiring += 1;
            self.next_expire_ms = self.next_expire_ms.min(expire_ms);
        }
    }

    /// Moves what lies in chunk number `limit` of the pool or after it; returns how many runs.
    pub(super) fn relocate(&mut self, pool: &mut Pool, limit: usize) -> usize {
        self.index.relocate(pool, limit) + self.log.relocate(pool, limit)
    }

    /// The boxed values and the out-of-line keys of the entries whose tags are in `tags`.
    pub(super) fn outside(&self, pool: &Pool, tags: Range<u32>, visit: &mut impl FnMut(Entry)) {
        self.index.for_each(pool, tags, |_, _, word| {
            let entry = self.entry(pool, word);
            if entry.boxed().is_some() || entry.key_is_outside() {
                visit(entry);
            }
        });
    }

    /// Moves its lists of pages if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        self.log.defrag(mover);
    }

    /// Gives the pages of a segment back whose entries live elsewhere now.
    pub(super) fn abandon(mut self, pool: &mut Pool) {
        self.index.clear(pool);
        self.log.clear(pool);
    }

    /// Drops what the entries own out of line, and all pages.
    pub(super) fn drop_entries(&mut self, pool: &mut Pool, tally: &mut Tally) {
        let mut all = usize::MAX;
        while !self.drop_some(pool, tally, &mut all, &mut drop) {}
    }

    /// As [`Segment::drop_entries`], page by page until `left` entries went; true when all did. Values go to `gone`.
    pub(super) fn drop_some(
        &mut self,
        pool: &mut Pool,
        tally: &mut Tally,
        left: &mut usize,
        gone: &mut impl FnMut(Value),
    ) -> bool {
        while tally.boxed_bytes > 0
            && let Some(page) = self.log.next_page()
        {
            if *left == 0 {
                return false;
            }
            for (_, entry) in self.log.live_entries(pool, page) {
                // SAFETY: live entries own their boxes, and none is reached again: the page goes next.
                let (value, key) = unsafe {
                    let value = entry.boxed().map(|boxed| boxed.read());
                    (value, entry.boxed_key().map(|boxed| Box::from_raw(boxed)))
                };
                tally.boxed_bytes -= value.as_ref().map_or(0, Value::heap_bytes) + key.map_or(0, |k| k.len());
                value.into_iter().for_each(&mut *gone);
                *left = left.saturating_sub(1);
            }
            self.log.give_up_page(pool, page);
        }
        *left = left.saturating_sub(self.len());
        tally.len -= self.len();
        tally.expiring -= self.expiring as usize;
        self.index.clear(pool);
        self.log.clear(pool);
        self.expiring = 0;
        true
    }

    /// Visits the entries whose tags are in `tags`.
    pub(super) fn for_each<'a>(&'a self, pool: &'a Pool, tags: Range<u32>, mut visit: impl FnMut(EntryView<'a>)) {
        self.index.for_each(pool, tags, |_, _, word| {
            // SAFETY: the view borrows the segment, and only methods with `&mut self` change its pages.
            visit(unsafe { self.entry(pool, word).view(access(word)) });
        });
    }

    /// Brings the entries whose tags are in `tags` into the cache.
    pub(super) fn prefetch_tags(&self, pool: &Pool, tags: Range<u32>) {
        let prefetch = self.entry_prefetch(pool);
        self.index.for_each(pool, tags, |_, _, word| prefetch(word));
    }

    /// Lets `age` rewrite the access bits of every entry.
    pub(super) fn rewrite_access(&mut self, pool: &Pool, mut age: impl FnMut(u16) -> u16) {
        self.index.rewrite(pool, |old| word(reference(old), age(access(old))));
    }

    /// Panics if counters, index and log contradict each other. Visits everything.
    #[cfg(test)]
    pub(super) fn check(&self, pool: &Pool, placing: Placing) {
        self.index.check(pool);
        assert_eq!(self.log.check(pool), self.len());
        let (mut expiring, mut soonest, mut bytes) = (0, u64::MAX, 0);
        self.index.for_each(pool, 0..super::index::TAGS, |_, tag_there, word| {
            let entry = self.entry(pool, word);
            assert!(!entry.is_dead());
            bytes += entry.bytes();
            // SAFETY: nothing changes meanwhile.
            let (key, expire_ms) = unsafe { (entry.key(), entry.expire_ms()) };
            let pos = placing.of(key).0;
            assert_eq!(pool.tag(pos), tag_there);
            assert!((self.start..=self.last()).contains(&pos));
            expiring += u32::from(expire_ms.is_some());
            soonest = soonest.min(expire_ms.unwrap_or(u64::MAX));
        });
        assert_eq!(bytes, self.log.live());
        assert_eq!(expiring, self.expiring);
    }
}

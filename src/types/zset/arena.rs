//! Where a big sorted set keeps its members: one record each, at a place that never changes while the member is there.
//! Never orders them and never looks one up by its bytes.
//!
//! A record is `score (8 bytes) | length (1) | member`; a member longer than [`INLINE_BYTES_MAX`] lies in an allocation
//! of its own, and the record holds its number. Records of one size share pages, so none is rounded up, and a freed
//! place fits the next record of that size exactly; a page whose records are all gone is given back. A [`Ref`] is page
//! and number in the page in 32 bits: two of them, in the order tree and in the member index, cost what one pointer
//! would.

use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};

/// A record's place: page number and, in the low bits, its number in the page.
pub(super) type Ref = u32;

/// Longest member that lies in its record, bytes.
const INLINE_BYTES_MAX: usize = 128;
/// Length byte of a record whose member lies elsewhere.
const OUTSIDE: u8 = u8::MAX;
const HEAD_BYTES: usize = 9;
const PLACE_BITS: u32 = 11;
const PAGE_BYTES: usize = 16 * 1024;
const PAGE_BYTES_START: usize = 256;
/// The last number is left out: no record is `Ref::MAX`.
const PAGES_MAX: usize = (1 << (32 - PLACE_BITS)) - 1;
/// No place: the end of a page's list of free ones.
const NONE: u16 = u16::MAX;
/// Record size of a page that is not in use.
const NO_SIZE: u8 = 0;
const _: () = assert!(PAGE_BYTES / HEAD_BYTES <= 1 << PLACE_BITS && HEAD_BYTES + INLINE_BYTES_MAX <= u8::MAX as usize);

#[derive(Debug, Clone, Default)]
struct Page {
    data: Vec<u8>,
    /// Bytes of each record.
    size: u8,
    /// Whether the list of pages with room for its size has it.
    listed: bool,
    live: u16,
    /// First freed place; each holds the next one's number.
    free: u16,
    /// First place never used.
    fresh: u16,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Arena {
    pages: Vec<Page>,
    /// Pages that hold nothing.
    idle: Vec<u32>,
    /// By size, up to the longest seen: pages that may have room. May name a page that has none, or that serves
    /// another size by now.
    roomy: Vec<Vec<u32>>,
    outside: Vec<Box<[u8]>>,
    outside_free: Vec<u32>,
    /// Bytes of pages and of members outside them.
    bytes: usize,
}

impl Arena {
    /// Heap bytes, but for the lists of pages with room.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.pages.capacity() * size_of::<Page>() + self.roomy.capacity() * size_of::<Vec<u32>>();
        let numbers = (self.idle.capacity() + self.outside_free.capacity()) * size_of::<u32>();
        self.bytes + lists + numbers + self.outside.capacity() * size_of::<Box<[u8]>>()
    }

    #[inline(always)]
    fn record(&self, at: Ref) -> &[u8] {
        let page = &self.pages[(at >> PLACE_BITS) as usize];
        &page.data[page.offset(at)..]
    }

    /// Where a record begins.
    #[inline(always)]
    pub(super) fn address(&self, at: Ref) -> *const u8 {
        self.record(at).as_ptr()
    }

    #[inline(always)]
    pub(super) fn score(&self, at: Ref) -> f64 {
        let head: &[u8; 8] = self.record(at).first_chunk().expect("a record begins with its score");
        f64::from_bits(u64::from_le_bytes(*head))
    }

    #[inline(always)]
    pub(super) fn member(&self, at: Ref) -> &[u8] {
        let record = self.record(at);
        match record[8] {
            OUTSIDE => self.outside_member(record),
            len => &record[HEAD_BYTES..HEAD_BYTES + usize::from(len)],
        }
    }

    #[cold]
    fn outside_member(&self, record: &[u8]) -> &[u8] {
        &self.outside[outside_index(record)]
    }

    pub(super) fn set_score(&mut self, at: Ref, score: f64) {
        let page = &mut self.pages[(at >> PLACE_BITS) as usize];
        let offset = page.offset(at);
        page.data[offset..offset + 8].copy_from_slice(&score.to_bits().to_le_bytes());
    }

    /// Stores a member.
    pub(super) fn add(&mut self, score: f64, member: &[u8]) -> Ref {
        if member.len() > INLINE_BYTES_MAX {
            return self.add_outside(score, member);
        }
        let at = self.allocate(HEAD_BYTES + member.len());
        self.fill(at, score, member.len() as u8, member);
        at
    }

    fn fill(&mut self, at: Ref, score: f64, len: u8, tail: &[u8]) {
        let page = &mut self.pages[(at >> PLACE_BITS) as usize];
        let offset = page.offset(at);
        let record = &mut page.data[offset..];
        record[..8].copy_from_slice(&score.to_bits().to_le_bytes());
        record[8] = len;
        record[HEAD_BYTES..HEAD_BYTES + tail.len()].copy_from_slice(tail);
    }

    #[cold]
    fn add_outside(&mut self, score: f64, member: &[u8]) -> Ref {
        self.bytes += member.len();
        let number = match self.outside_free.pop() {
            Some(number) => {
                self.outside[number as usize] = member.into();
                number
            }
            None => {
                self.outside.push(member.into());
                self.outside.len() as u32 - 1
            }
        };
        let at = self.allocate(HEAD_BYTES + 4);
        self.fill(at, score, OUTSIDE, &number.to_le_bytes());
        at
    }

    /// Forgets a member.
    pub(super) fn remove(&mut self, at: Ref) {
        let record = self.record(at);
        if record[8] == OUTSIDE {
            let number = outside_index(record);
            self.bytes -= self.outside[number].len();
            self.outside[number] = Box::default();
            self.outside_free.push(number as u32);
        }
        let number = at >> PLACE_BITS;
        let page = &mut self.pages[number as usize];
        page.live -= 1;
        if page.live == 0 {
            self.bytes -= page.data.len();
            *page = Page::default();
            self.idle.push(number);
            return;
        }
        let offset = page.offset(at);
        page.data[offset..offset + 2].copy_from_slice(&page.free.to_le_bytes());
        page.free = place(at);
        if !page.listed {
            page.listed = true;
            self.roomy[usize::from(page.size)].push(number);
        }
    }

    fn allocate(&mut self, size: usize) -> Ref {
        if size >= self.roomy.len() {
            self.roomy.reserve_exact(size + 1 - self.roomy.len());
            self.roomy.resize(size + 1, Vec::new());
        }
        while let Some(&number) = self.roomy[size].last() {
            let page = &mut self.pages[number as usize];
            if usize::from(page.size) == size {
                if let Some(place) = page.take(&mut self.bytes) {
                    return number << PLACE_BITS | u32::from(place);
                }
                page.listed = false;
            }
            self.roomy[size].pop();
        }
        let number = self.idle.pop().unwrap_or_else(|| {
            assert!(self.pages.len() < PAGES_MAX, "a sorted set's members fill 32 GB");
            self.pages.push(Page::default());
            self.pages.len() as u32 - 1
        });
        let page = &mut self.pages[number as usize];
        *page = Page { size: size as u8, listed: true, free: NONE, ..Page::default() };
        let place = page.take(&mut self.bytes).expect("an empty page has room");
        self.roomy[size].push(number);
        number << PLACE_BITS | u32::from(place)
    }

    /// Moves blocks that are worth it; false if some are left to look at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        let ended = mover.each(place, self.pages.iter_mut(), |mover, page| mover.vec(&mut page.data))
            && mover.each(place, self.outside.iter_mut(), |mover, member| mover.slice(member))
            && mover.each(place, self.roomy.iter_mut(), |mover, list| mover.vec(list));
        if ended {
            mover.vec(&mut self.pages);
            mover.vec(&mut self.idle);
            mover.vec(&mut self.roomy);
            mover.vec(&mut self.outside);
            mover.vec(&mut self.outside_free);
        }
        ended
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Arena, progress: &mut Progress) -> bool {
        let whole = progress.list(&self.pages, &mut copy.pages, |page| page.data.len())
            && progress.list(&self.outside, &mut copy.outside, |member| member.len())
            && progress.list(&self.roomy, &mut copy.roomy, |list| list.len() * size_of::<u32>());
        if whole {
            copy.idle = self.idle.clone();
            copy.outside_free = self.outside_free.clone();
            copy.bytes = self.bytes;
        }
        whole
    }

    /// Frees up to `budget` allocations; true if the rest may simply be dropped.
    pub(super) fn free_step(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && (self.pages.pop().is_some() || self.outside.pop().is_some()) {
            *budget -= 1;
        }
        self.pages.is_empty() && self.outside.is_empty()
    }
}

impl Page {
    /// Where in the page a record begins.
    #[inline(always)]
    fn offset(&self, at: Ref) -> usize {
        usize::from(place(at)) * usize::from(self.size)
    }

    /// A place for a record; `bytes` counts the page's growth.
    fn take(&mut self, bytes: &mut usize) -> Option<u16> {
        debug_assert!(self.size != NO_SIZE);
        let size = usize::from(self.size);
        if self.free != NONE {
            let place = self.free;
            let at = usize::from(place) * size;
            self.free = u16::from_le_bytes([self.data[at], self.data[at + 1]]);
            self.live += 1;
            return Some(place);
        }
        let end = (usize::from(self.fresh) + 1) * size;
        if end > PAGE_BYTES {
            return None;
        }
        if end > self.data.len() {
            let len = (self.data.len() * 2).clamp(PAGE_BYTES_START, PAGE_BYTES);
            *bytes += len - self.data.len();
            self.data.reserve_exact(len - self.data.len());
            self.data.resize(len, 0);
        }
        let place = self.fresh;
        self.fresh += 1;
        self.live += 1;
        Some(place)
    }
}

/// Its number in the page.
#[inline(always)]
fn place(at: Ref) -> u16 {
    (at & ((1 << PLACE_BITS) - 1)) as u16
}

fn outside_index(record: &[u8]) -> usize {
    let number: &[u8; 4] = record[HEAD_BYTES..].first_chunk().expect("four bytes hold the number");
    u32::from_le_bytes(*number) as usize
}

//! Where a big sorted set keeps its members: one record each, at a place that never changes while the member is there.
//! Never orders them and never looks one up by its bytes.
//!
//! A record is `score (8 bytes) | length (1) | member`, rounded up to units of four bytes; a member longer than
//! [`INLINE_BYTES_MAX`] lies in an allocation of its own, and the record holds its number. Records of one size share
//! pages, so a freed place fits the next record of that size exactly; a page whose records are all gone is given back.
//! A [`Ref`] is page and place in 32 bits: two of them, in the order tree and in the member index, cost what one
//! pointer would.

use crate::types::defrag::{Mover, Place};

/// A record's place: page number and, in the low bits, units from the page's begin.
pub(super) type Ref = u32;

/// Longest member that lies in its record, bytes.
const INLINE_BYTES_MAX: usize = 128;
/// Length byte of a record whose member lies elsewhere.
const OUTSIDE: u8 = u8::MAX;
const UNIT: usize = 4;
const HEAD_BYTES: usize = 9;
const PLACE_BITS: u32 = 12;
const PAGE_BYTES: usize = UNIT << PLACE_BITS;
const PAGE_BYTES_START: usize = 256;
const PAGES_MAX: usize = 1 << (32 - PLACE_BITS);
const CLASSES: usize = (HEAD_BYTES + INLINE_BYTES_MAX).div_ceil(UNIT) + 1;
/// No place: the end of a page's list of free ones.
const NONE: u16 = u16::MAX;
/// Class of a page that is not in use.
const NO_CLASS: u8 = 0;

#[derive(Debug, Clone, Default)]
struct Page {
    data: Vec<u8>,
    /// Units of each record.
    class: u8,
    /// Whether its class's list of pages with room has it.
    listed: bool,
    live: u16,
    /// First freed place, in units; each holds the next one's.
    free: u16,
    /// First place never used, in units.
    fresh: u16,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Arena {
    pages: Vec<Page>,
    /// Pages that hold nothing.
    idle: Vec<u32>,
    /// By class: pages that may have room. May name a page that has none, or that serves another class by now.
    roomy: Vec<Vec<u32>>,
    outside: Vec<Box<[u8]>>,
    outside_free: Vec<u32>,
    /// Bytes of pages and of members outside them.
    bytes: usize,
}

impl Arena {
    pub(super) fn new() -> Self {
        Arena {
            pages: Vec::new(),
            idle: Vec::new(),
            roomy: vec![Vec::new(); CLASSES],
            outside: Vec::new(),
            outside_free: Vec::new(),
            bytes: 0,
        }
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.pages.capacity() * size_of::<Page>() + CLASSES * size_of::<Vec<u32>>();
        self.bytes + lists + self.outside.capacity() * size_of::<Box<[u8]>>()
    }

    #[inline(always)]
    fn record(&self, at: Ref) -> &[u8] {
        &self.pages[(at >> PLACE_BITS) as usize].data[place(at)..]
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
        page.data[place(at)..place(at) + 8].copy_from_slice(&score.to_bits().to_le_bytes());
    }

    /// Stores a member.
    pub(super) fn add(&mut self, score: f64, member: &[u8]) -> Ref {
        if member.len() > INLINE_BYTES_MAX {
            return self.add_outside(score, member);
        }
        let at = self.allocate((HEAD_BYTES + member.len()).div_ceil(UNIT));
        self.fill(at, score, member.len() as u8, member);
        at
    }

    fn fill(&mut self, at: Ref, score: f64, len: u8, tail: &[u8]) {
        let page = &mut self.pages[(at >> PLACE_BITS) as usize];
        let record = &mut page.data[place(at)..];
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
        let at = self.allocate((HEAD_BYTES + 4).div_ceil(UNIT));
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
        page.data[place(at)..place(at) + 2].copy_from_slice(&page.free.to_le_bytes());
        page.free = (at & ((1 << PLACE_BITS) - 1)) as u16;
        if !page.listed {
            page.listed = true;
            self.roomy[usize::from(page.class)].push(number);
        }
    }

    fn allocate(&mut self, units: usize) -> Ref {
        while let Some(&number) = self.roomy[units].last() {
            let page = &mut self.pages[number as usize];
            if usize::from(page.class) == units
                && let Some(unit) = page.take(units, &mut self.bytes)
            {
                return number << PLACE_BITS | u32::from(unit);
            }
            if usize::from(page.class) == units {
                page.listed = false;
            }
            self.roomy[units].pop();
        }
        let number = self.idle.pop().unwrap_or_else(|| {
            assert!(self.pages.len() < PAGES_MAX, "a sorted set's members fill 16 GB");
            self.pages.push(Page::default());
            self.pages.len() as u32 - 1
        });
        let page = &mut self.pages[number as usize];
        *page = Page { class: units as u8, listed: true, free: NONE, ..Page::default() };
        let unit = page.take(units, &mut self.bytes).expect("an empty page has room");
        self.roomy[units].push(number);
        number << PLACE_BITS | u32::from(unit)
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

    /// Frees up to `budget` allocations; true if the rest may simply be dropped.
    pub(super) fn free_step(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && (self.pages.pop().is_some() || self.outside.pop().is_some()) {
            *budget -= 1;
        }
        self.pages.is_empty() && self.outside.is_empty()
    }
}

impl Page {
    /// A place for a record of its class; `bytes` counts its growth.
    fn take(&mut self, units: usize, bytes: &mut usize) -> Option<u16> {
        debug_assert!(self.class != NO_CLASS);
        if self.free != NONE {
            let unit = self.free;
            let at = usize::from(unit) * UNIT;
            self.free = u16::from_le_bytes([self.data[at], self.data[at + 1]]);
            self.live += 1;
            return Some(unit);
        }
        let end = (usize::from(self.fresh) + units) * UNIT;
        if end > PAGE_BYTES {
            return None;
        }
        if end > self.data.len() {
            let len = (self.data.len() * 2).clamp(PAGE_BYTES_START, PAGE_BYTES);
            *bytes += len - self.data.len();
            self.data.reserve_exact(len - self.data.len());
            self.data.resize(len, 0);
        }
        let unit = self.fresh;
        self.fresh += units as u16;
        self.live += 1;
        Some(unit)
    }
}

/// Bytes from the page's begin.
#[inline(always)]
fn place(at: Ref) -> usize {
    (at & ((1 << PLACE_BITS) - 1)) as usize * UNIT
}

fn outside_index(record: &[u8]) -> usize {
    let number: &[u8; 4] = record[HEAD_BYTES..].first_chunk().expect("four bytes hold the number");
    u32::from_le_bytes(*number) as usize
}

//! The pages of one segment, filled from front to back, and how many live bytes each holds. Never decides what is live.
//!
//! The page that is being filled starts as one unit of memory and moves to a longer run as it grows: no address in it
//! outlives a call of [`Log::alloc`].

use super::entry::{ENTRY_BYTES_MAX, Entry};
use super::pool::{PAGE_BYTES, PAGE_UNITS, Pool, RunId, UNIT_BYTES};
use crate::types::defrag::Mover;

/// A reference to an entry: page number in the log, offset in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ref(pub(super) u32);

/// Bits of a [`Ref`].
pub(super) const REF_BITS: u32 = 22;
const OFFSET_BITS: u32 = PAGE_BYTES.trailing_zeros();
/// Pages of a log, at the most.
const PAGES_MAX: usize = 1 << (REF_BITS - OFFSET_BITS);
const _: () = assert!(ENTRY_BYTES_MAX <= PAGE_BYTES);

impl Ref {
    fn new(page: usize, offset: usize) -> Self {
        Ref((page << OFFSET_BITS | offset) as u32)
    }
    #[inline(always)]
    fn page(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }
    #[inline(always)]
    fn offset(self) -> usize {
        self.0 as usize % PAGE_BYTES
    }
}

#[derive(Debug, Clone, Copy)]
struct LogPage {
    run: RunId,
    /// Bytes written.
    used: u16,
    /// Of those, bytes of entries that are not dead.
    live: u16,
}

impl LogPage {
    const VACANT: LogPage = LogPage { run: RunId::NONE, used: 0, live: 0 };
}

/// See the module.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Log {
    pages: Vec<LogPage>,
    /// Sums over the pages.
    used: u32,
    live: u32,
    /// Pages that exist.
    count: u16,
    /// The page that is being filled, if there is any page, and how many units of it are there.
    open: u16,
    open_units: u16,
}

impl Log {
    /// Bytes of entries that are not dead.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.live as usize
    }

    /// Bytes of dead entries.
    #[inline]
    pub(super) fn dead(&self) -> usize {
        (self.used - self.live) as usize
    }

    /// Moves its list of pages if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        mover.vec(&mut self.pages);
    }

    /// Pages in use.
    #[inline]
    pub(super) fn pages(&self) -> usize {
        usize::from(self.count)
    }

    /// Heap bytes of the list of pages. The pool has the sum over all logs.
    fn list_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<LogPage>()
    }

    /// The same pages in a twin of their pool ([`Pool::twin_step`]).
    pub(super) fn twin(&self, pool: &mut Pool) -> Log {
        let twin = Log { pages: self.pages.clone(), ..*self };
        pool.list_bytes += twin.list_bytes();
        twin
    }

    /// Where an entry begins.
    #[inline(always)]
    pub(super) fn address(&self, pool: &Pool, at: Ref) -> *mut u8 {
        pool.address(self.pages[at.page()].run).wrapping_add(at.offset())
    }

    /// Takes `bytes` bytes at the end of the open page, or of a new one.
    #[inline]
    pub(super) fn alloc(&mut self, pool: &mut Pool, bytes: usize) -> Ref {
        debug_assert!(bytes <= ENTRY_BYTES_MAX);
        let open = usize::from(self.open);
        let number = match self.pages.get(open) {
            Some(page) if usize::from(page.used) + bytes <= usize::from(self.open_units) * UNIT_BYTES => open,
            Some(page) if self.count > 0 && usize::from(page.used) + bytes <= PAGE_BYTES => self.widen(pool, bytes),
            _ => self.open_page(pool, bytes),
        };
        let page = &mut self.pages[number];
        let offset = usize::from(page.used);
        page.used += bytes as u16;
        page.live += bytes as u16;
        self.used += bytes as u32;
        self.live += bytes as u32;
        Ref::new(number, offset)
    }

    /// Moves the open page to a run that is long enough for `bytes` more.
    #[cold]
    fn widen(&mut self, pool: &mut Pool, bytes: usize) -> usize {
        let number = usize::from(self.open);
        let LogPage { run: old, used, .. } = self.pages[number];
        let units = (usize::from(used) + bytes).div_ceil(UNIT_BYTES);
        let run = pool.take(units);
        // SAFETY: `used` bytes were written in the old run, and the new one is longer and another.
        unsafe { std::ptr::copy_nonoverlapping(pool.address(old), pool.address(run), usize::from(used)) };
        pool.put(old, usize::from(self.open_units));
        self.pages[number].run = run;
        self.open_units = units as u16;
        number
    }

    /// Opens a page that begins with `bytes` bytes; the one that was open stays as it is.
    #[cold]
    fn open_page(&mut self, pool: &mut Pool, bytes: usize) -> usize {
        self.close_page(pool);
        let vacant = if usize::from(self.count) == self.pages.len() {
            None
        } else {
            self.pages.iter().position(|p| p.run == RunId::NONE)
        };
        let number = vacant.unwrap_or(self.pages.len());
        assert!(number < PAGES_MAX, "a segment's log is full");
        if number == self.pages.len() {
            if number == self.pages.capacity() {
                let before = self.list_bytes();
                self.pages.reserve_exact(1 + number / 8);
                pool.list_bytes += self.list_bytes() - before;
            }
            self.pages.push(LogPage::VACANT);
        }
        let units = bytes.div_ceil(UNIT_BYTES);
        self.pages[number].run = pool.take(units);
        self.count += 1;
        self.open = number as u16;
        self.open_units = units as u16;
        number
    }

    /// A page that is not open has all its units; so an open one, which is closed when an entry does not fit, gets the
    /// units that entry would have wanted.
    fn close_page(&mut self, pool: &mut Pool) {
        if self.count > 0 && usize::from(self.open_units) < PAGE_UNITS {
            self.widen(pool, PAGE_BYTES - usize::from(self.pages[usize::from(self.open)].used));
        }
    }

    /// Marks an entry as dead; a page without live entries goes back to the pool.
    ///
    /// # Safety
    /// A live entry begins at `at`, and nothing refers into its page.
    pub(super) unsafe fn kill(&mut self, pool: &mut Pool, at: Ref) {
        let address = self.address(pool, at);
        // SAFETY: the caller's.
        let mut entry = unsafe { Entry::at(address) };
        let bytes = entry.bytes();
        let page = &mut self.pages[at.page()];
        page.live -= bytes as u16;
        self.live -= bytes as u32;
        pool.dead_bytes += bytes;
        if page.live > 0 {
            // SAFETY: the caller's.
            unsafe { entry.kill() };
        } else if at.page() == usize::from(self.open) {
            self.used -= u32::from(page.used);
            pool.dead_bytes -= usize::from(page.used);
            page.used = 0;
        } else {
            self.drop_page(pool, at.page());
        }
    }

    fn drop_page(&mut self, pool: &mut Pool, number: usize) {
        let page = std::mem::replace(&mut self.pages[number], LogPage::VACANT);
        self.used -= u32::from(page.used);
        self.live -= u32::from(page.live);
        pool.dead_bytes -= usize::from(page.used - page.live);
        self.count -= 1;
        pool.put(page.run, PAGE_UNITS);
    }

    /// The page with the fewest live bytes, if at least an eighth of it is not live. Never the open one.
    pub(super) fn emptiest(&self) -> Option<usize> {
        let pages = self.pages.iter().enumerate();
        let closed = pages.filter(|(n, p)| p.run != RunId::NONE && *n != usize::from(self.open));
        let (number, page) = closed.min_by_key(|(_, p)| p.live)?;
        (usize::from(page.live) <= PAGE_BYTES / 8 * 7).then_some(number)
    }

    /// The live entries of a page, with their references.
    pub(super) fn live_entries(&self, pool: &Pool, number: usize) -> impl Iterator<Item = (Ref, Entry)> + use<> {
        let LogPage { run, used, .. } = self.pages[number];
        let base = pool.address(run);
        let mut offset = 0;
        std::iter::from_fn(move || {
            while offset < usize::from(used) {
                // SAFETY: entries stand one behind the other from the page's first byte to `used`.
                let entry = unsafe { Entry::at(base.add(offset)) };
                let at = Ref::new(number, offset);
                offset += entry.bytes();
                if !entry.is_dead() {
                    return Some((at, entry));
                }
            }
            None
        })
    }

    /// Gives a page back whose live entries have all been copied elsewhere.
    pub(super) fn discard_page(&mut self, pool: &mut Pool, number: usize) {
        debug_assert!(number != usize::from(self.open));
        self.drop_page(pool, number);
    }

    /// Moves the pages that lie in chunk number `limit` of the pool or after it; returns how many.
    pub(super) fn relocate(&mut self, pool: &mut Pool, limit: usize) -> usize {
        let mut moved = 0;
        for number in 0..self.pages.len() {
            let run = self.pages[number].run;
            if run != RunId::NONE && run.chunk() >= limit {
                let open = number == usize::from(self.open);
                let units = if open { usize::from(self.open_units) } else { PAGE_UNITS };
                self.pages[number].run = pool.relocate(run, units, limit);
                moved += 1;
            }
        }
        moved
    }

    /// A page that is there; the open one last.
    pub(super) fn next_page(&self) -> Option<usize> {
        let open = usize::from(self.open);
        self.page_numbers().find(|number| *number != open).or_else(|| self.page_numbers().next())
    }

    /// Gives a page back of a log that nobody reads or fills any more.
    pub(super) fn give_up_page(&mut self, pool: &mut Pool, number: usize) {
        if number == usize::from(self.open) { self.clear(pool) } else { self.drop_page(pool, number) }
    }

    /// Gives all pages back. What entries own out of line must have been taken care of.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        for (number, page) in self.pages.iter().enumerate().filter(|(_, p)| p.run != RunId::NONE) {
            let open = number == usize::from(self.open);
            pool.put(page.run, if open { usize::from(self.open_units) } else { PAGE_UNITS });
        }
        pool.list_bytes -= self.list_bytes();
        pool.dead_bytes -= self.dead();
        *self = Log::default();
    }

    /// Numbers of the pages that exist.
    pub(super) fn page_numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.pages.len()).filter(|&n| self.pages[n].run != RunId::NONE)
    }

    /// Panics if counters and pages contradict each other; returns the number of live entries. Visits everything.
    #[cfg(test)]
    pub(super) fn check(&self, pool: &Pool) -> usize {
        let (mut used, mut live, mut entries) = (0, 0, 0);
        for number in self.page_numbers() {
            let page = self.pages[number];
            let bytes: usize = self.live_entries(pool, number).map(|(_, e)| e.bytes()).sum();
            assert_eq!(bytes, usize::from(page.live));
            assert!(usize::from(page.used) <= PAGE_BYTES);
            assert!(page.live > 0 || number == usize::from(self.open));
            entries += self.live_entries(pool, number).count();
            used += u32::from(page.used);
            live += u32::from(page.live);
        }
        assert_eq!((used, live), (self.used, self.live));
        assert_eq!(self.page_numbers().count(), self.pages());
        entries
    }
}

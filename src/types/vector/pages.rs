//! Rows of equal length under dense numbers, in pages of some 64 KB: it grows without moving what is there, and gives
//! memory back a page at a time. Never knows what a row means.

use crate::types::copying::Progress;

/// Bytes of a page, unless a single row is larger.
const PAGE_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Pages<T> {
    pages: Vec<Vec<T>>,
    /// Items of a row.
    stride: usize,
    /// Binary logarithm of a page's rows.
    rows_log2: u32,
    len: usize,
}

impl<T> Pages<T> {
    /// Without rows; each will have `stride` items, at least one.
    pub(super) fn new(stride: usize) -> Self {
        assert!(stride > 0, "a row has items");
        let rows = (PAGE_BYTES / (stride * size_of::<T>())).max(1);
        Pages { pages: Vec::new(), stride, rows_log2: rows.ilog2(), len: 0 }
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Items of a row.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    #[inline]
    fn place(&self, row: usize) -> (usize, usize) {
        let mask = (1 << self.rows_log2) - 1;
        (row >> self.rows_log2, (row & mask) * self.stride)
    }

    /// Row `row`, which is there.
    #[inline]
    pub(super) fn row(&self, row: usize) -> &[T] {
        let (page, at) = self.place(row);
        &self.pages[page][at..at + self.stride]
    }

    /// As [`Pages::row`], for an edit.
    #[inline]
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [T] {
        let (page, at) = self.place(row);
        &mut self.pages[page][at..at + self.stride]
    }

    /// Appends a row of exactly that many items.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = T>) {
        let (page, at) = self.place(self.len);
        if page == self.pages.len() {
            // The first page grows by doubling, so that a small set stays small; later ones are made whole.
            let whole = self.stride << self.rows_log2;
            self.pages.push(if page == 0 { Vec::new() } else { Vec::with_capacity(whole) });
        }
        let items = &mut self.pages[page];
        items.extend(row);
        assert_eq!(items.len(), at + self.stride, "a row is whole");
        self.len += 1;
    }

    /// The pages, to be moved.
    pub(super) fn pages_mut(&mut self) -> &mut Vec<Vec<T>> {
        &mut self.pages
    }

    /// Goes on with a copy, which had no rows at first; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Pages<T>, progress: &mut Progress) -> bool
    where
        T: Clone,
    {
        let whole = progress.list(&self.pages, &mut copy.pages, |page| size_of_val(&page[..]));
        if whole {
            copy.len = self.len;
        }
        whole
    }

    /// Drops about `rows` rows from the end, a page at least; true if none are left.
    pub(super) fn free_step(&mut self, rows: usize) -> bool {
        let pages = (rows >> self.rows_log2).max(1);
        self.pages.truncate(self.pages.len().saturating_sub(pages));
        self.len = self.len.min(self.pages.len() << self.rows_log2);
        self.pages.is_empty()
    }

    /// Bytes of the pages.
    pub(super) fn heap_bytes(&self) -> usize {
        let Some((first, rest)) = self.pages.split_first() else { return 0 };
        let items = first.capacity() + rest.len() * (self.stride << self.rows_log2);
        items * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_where_they_are() {
        let mut pages = Pages::<u32>::new(3000);
        (0..50u32).for_each(|n| pages.push((0..3000).map(|i| n * 10_000 + i)));
        assert_eq!((pages.len(), pages.row(49)[2999]), (50, 492_999));
        pages.row_mut(7)[1] = 5;
        assert_eq!((pages.row(7)[0], pages.row(7)[1], pages.row(8)[0]), (70_000, 5, 80_000));
        assert!(pages.heap_bytes() >= 50 * 12_000 && pages.heap_bytes() < 60 * 12_000);
        assert!(!pages.free_step(1));
        assert_eq!(pages.len(), 48, "a page had four rows");
        assert!(pages.free_step(1000) && pages.len() == 0);
    }
}

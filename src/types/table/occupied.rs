//! A look at an entry and its change in one lookup. Never touches an expiry.

use super::{Expire, Found, Key, Table, access};
use crate::types::value::{NewValue, Value, View};

/// What a live entry holds, for a change.
#[derive(Debug)]
pub enum Current<'a> {
    /// Inside the entry: to be replaced.
    Inline(View<'a>),
    /// Out of line: to be edited in place, or replaced.
    Boxed(&'a mut Value),
}

/// A live entry that was looked up to be changed; see [`Table::occupied`].
#[derive(Debug)]
pub struct Occupied<'t> {
    table: &'t mut Table,
    number: usize,
    found: Found,
}

impl Occupied<'_> {
    /// The access bits.
    #[inline]
    pub fn access(&self) -> u16 {
        access(self.found.word)
    }

    /// What the entry holds.
    #[inline]
    pub fn current(&mut self) -> Current<'_> {
        match self.found.entry.boxed() {
            // SAFETY: the value belongs to the entry, and what is returned borrows this loan of the table.
            Some(boxed) => Current::Boxed(unsafe { self.table.lend(boxed) }),
            // SAFETY: the view borrows this loan of the table, and only `replace`, which ends it, changes its pages.
            None => Current::Inline(unsafe { self.found.entry.view(0) }.value),
        }
    }

    /// Replaces the value and keeps the expiry; the old out-of-line value is handed over.
    #[inline]
    pub fn replace(self, value: NewValue<'_>, access: u16) -> Option<Box<Value>> {
        self.table.settle();
        let Table { segments, pool, tally, .. } = self.table;
        segments[self.number].replace(pool, tally, &self.found, value, Expire::Keep, access)
    }

    /// Sets the access bits, where the value was edited in place or left alone.
    #[inline]
    pub fn set_access(self, access: u16) {
        self.table.segments[self.number].set_access(&self.table.pool, &self.found, access);
    }
}

impl Table {
    /// The entry of a key for a look and a change in one lookup; `None` if it is absent or due at `now_ms`.
    #[inline]
    pub fn occupied(&mut self, key: Key<'_>, now_ms: u64) -> Option<Occupied<'_>> {
        self.settle();
        let number = self.make_room(key.pos);
        let found = self.segments[number].find(&self.pool, key)?;
        // SAFETY: the entry is live.
        if unsafe { found.entry.expire_ms() }.is_some_and(|at| at <= now_ms) {
            return None;
        }
        self.keep_old(number, key.pos.0);
        Some(Occupied { table: self, number, found })
    }
}

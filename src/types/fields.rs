//! Byte-string members of one value, each optionally with a byte-string value and an expiry: what big hashes and sets
//! are made of. Never knows which of the two it is, nor a clock.
//!
//! It is the keyspace's [`Table`] laid out by the members' hash alone. So it grows, shrinks and is freed a segment at a
//! time (0.2 ms, whatever its size), a member costs 9 bytes beside its own (2 of header, 7 of index), six more for an
//! expiry, and a scan keeps SCAN's promise. Values that are canonical integers are stored as such, in 1 to 8 bytes.
//! A member that is due stays, and is shown with its expiry, until it is removed: the caller looks.

use crate::base::hash::Position;
use crate::base::text::parse_i64;
use crate::base::thin::Thin;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use crate::types::listpack::Item;
use crate::types::table::{EntryView, Expire, Inserted, Key, Members, Table};
use crate::types::value::{NewValue, View};

/// Pieces of 8 KB that a removal may move to give memory back.
const TIDY_PIECES: usize = 2;
/// Longest text of a 64-bit integer.
const INT_CHARS_MAX: usize = 20;

/// Most names of one [`Fields::contains_each`].
pub const CONTAINS_BATCH: usize = 16;

/// One member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value: empty bytes in a set.
    pub value: Item<'a>,
    /// When it expires, Unix milliseconds.
    pub expire_ms: Option<u64>,
}

impl<'a> From<EntryView<'a>> for Field<'a> {
    #[inline]
    fn from(entry: EntryView<'a>) -> Self {
        let value = match entry.value {
            View::Int(n) => Item::Int(n),
            View::Str { bytes, .. } => Item::Str(bytes),
            View::Boxed(value) => Item::Str(value.as_string().map_or(&[], |big| big.as_slice())),
        };
        Field { name: entry.key, value, expire_ms: entry.expire_ms }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Fields {
    table: Thin<Table>,
}

impl Default for Fields {
    fn default() -> Self {
        Fields { table: Thin::new(Table::of_members()) }
    }
}

impl Fields {
    /// Without members.
    pub fn new() -> Self {
        Fields::default()
    }

    /// Moves blocks out of pages that hold little else; true when a round has ended.
    pub(super) fn defrag(&mut self, mover: &mut Mover) -> bool {
        mover.thin(&mut self.table);
        self.table.defrag_step(mover)
    }

    /// Members, due ones included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// No members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Members that carry an expiry.
    #[inline]
    pub fn expiring(&self) -> usize {
        self.table.expiring()
    }

    /// Whether the member is there.
    #[inline]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.table.find(Key::member(name)).is_some()
    }

    /// As [`Fields::contains`], for at most [`CONTAINS_BATCH`] names together, whose memory is fetched side by side.
    /// `each` gets the index of the name and the answer.
    pub fn contains_each(&self, names: &[&[u8]], mut each: impl FnMut(usize, bool)) {
        let mut keys = [Key { bytes: b"", pos: Position(0) }; CONTAINS_BATCH];
        let keys = &mut keys[..names.len()];
        for (key, name) in keys.iter_mut().zip(names) {
            *key = Key::member(name);
            self.table.prefetch_bucket(key.pos);
        }
        keys.iter().for_each(|key| self.table.prefetch_entry(key.pos));
        for (index, key) in keys.iter().enumerate() {
            each(index, self.table.find(*key).is_some());
        }
    }

    /// Shows the members that `other` has, too, until `visit` answers false. False, and nothing shown, if that has to
    /// be found out one by one.
    pub fn common<'a>(&'a self, other: &Fields, mut visit: impl FnMut(Field<'a>) -> bool) -> bool {
        self.table.common(&other.table, |entry| visit(Field::from(entry)))
    }

    /// The member, due or not.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        self.table.find(Key::member(name)).map(Field::from)
    }

    /// Adds a member without a value; true if it was not there.
    #[inline]
    pub fn add(&mut self, name: &[u8]) -> bool {
        let nothing = NewValue::Str { bytes: b"", raw: false };
        self.table.insert(Key::member(name), nothing, Expire::Clear, |_| 0) == Inserted::New
    }

    /// Sets a member's value and expiry; true if it was not there.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], expire: Expire) -> bool {
        let number = if value.len() <= INT_CHARS_MAX { parse_i64(value) } else { None };
        let value = number.map_or(NewValue::Str { bytes: value, raw: false }, NewValue::Int);
        self.table.insert(Key::member(name), value, expire, |_| 0) == Inserted::New
    }

    /// First step of a batch of lookups: see [`Table::prefetch_bucket`].
    #[inline]
    pub fn prefetch_place(&self, member: Position) {
        self.table.prefetch_bucket(member);
    }

    /// Second step: see [`Table::prefetch_entry`].
    #[inline]
    pub fn prefetch_member(&self, member: Position) {
        self.table.prefetch_entry(member);
    }

    /// Sets or clears the expiry of a member; false if it is not there.
    pub fn set_expire(&mut self, name: &[u8], at_ms: Option<u64>) -> bool {
        self.table.set_expire(Key::member(name), at_ms)
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let removed = self.table.discard(Key::member(name)).is_some();
        self.table.tidy_step(TIDY_PIECES);
        removed
    }

    /// Removes members that are due at `now_ms`, looking at no more than about `budget` members; goes on where it
    /// stopped. `expired` gets the name of each. Returns how many members it looked at.
    pub fn sweep(&mut self, now_ms: u64, budget: usize, mut expired: impl FnMut(&[u8])) -> usize {
        let visited = self.table.sweep_expired(now_ms, budget, |name, _| expired(name)).visited;
        self.table.tidy_step(TIDY_PIECES);
        visited
    }

    /// When to sweep, Unix milliseconds; `u64::MAX` if no member expires. Too early after an expiry was changed, too
    /// late, by seconds and up to a minute in a large one, after a sweep that found little.
    pub fn next_expire_ms(&self) -> u64 {
        self.table.next_expire_ms()
    }

    /// A member drawn at random, each with the same chance; due ones too. `random` gives 64 random bits.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.table.random_entry(random).map(Field::from)
    }

    /// See [`Table::prefetch_draws`].
    pub fn prefetch_draws(&self, next: impl FnMut() -> u64, later: impl FnMut() -> u64) {
        self.table.prefetch_draws(next, later);
    }

    /// One step of a scan: visits about `count` members, due ones included, and returns the next cursor; 0 starts and 0
    /// says that it is finished. A member that is there from the first step to the last is visited at least once,
    /// whatever is added and removed between the steps; it may be visited more than once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'_>)) -> u64 {
        self.table.scan(cursor, count, 0..crate::base::hash::SLOTS, |entry| visit(Field::from(entry)))
    }

    /// All members, due ones included, in no order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.table.iter())
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Fields, progress: &mut Progress) -> bool {
        self.table.copy_step(&mut copy.table, progress)
    }

    /// Frees about `budget` members of a value that nobody can reach any more; true when the rest may be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.table.free_step(budget, drop)
    }

    /// Heap bytes behind it.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.table.memory() + size_of::<Table>()
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut copy = Fields::new();
        self.copy_step(&mut copy, &mut Progress::unbounded());
        copy
    }
}

/// The same members with the same values and expiries.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|field| other.get(field.name) == Some(field))
    }
}

impl Eq for Fields {}

/// Iterator of [`Fields::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(Members<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.0.next().map(Field::from)
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;

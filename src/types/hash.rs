//! A hash: fields with values, each with an expiry if it has one. Never knows its key; time comes in as a number.
//!
//! ```text
//! Packed   field, value | field, value | ...             a listpack
//! Timed    field, value, expiry | ...                    a listpack, once a field has had an expiry; soonest first,
//!                                                        those without one (0) last: the order Redis keeps and saves
//! Table    see `fields.rs`
//! ```
//! What `OBJECT ENCODING` answers follows Redis's settings ([`PackLimits`]) and only ever goes from listpack to
//! hashtable. How a hash is kept does not: one value longer than 64 bytes makes a hash of ten fields a `hashtable`, yet
//! as a listpack it takes a third of the memory and is as fast; and ten thousand fields are a table whatever the
//! settings say, because a walk over them would take too long.
//!
//! A field that is due is invisible. It stays until [`Hash::sweep`] or a write to it removes it, and counts in
//! [`Hash::len`] until then, as in Redis.

mod timed;

use crate::base::thin::Thin;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use crate::types::fields::{self, Field, Fields};
use crate::types::listpack::{self, Item, Listpack};
use crate::types::table::Expire;
use timed::{Timed, Triples};

/// Most fields of a hash that is kept as a listpack.
const PACKED_LEN_MAX: usize = 512;
/// Most bytes of a hash that is kept as a listpack.
const PACKED_BYTES_MAX: usize = 64 * 1024;
/// Most fields of a hash that is called a hashtable but is kept as a listpack.
const LARGE_PACKED_LEN_MAX: usize = 128;
/// Most bytes of a hash that is called a hashtable but is kept as a listpack.
const LARGE_PACKED_BYTES_MAX: usize = 8 * 1024;
/// Bytes that a field takes in a listpack beside name and value, at the most.
const PACKED_FIELD_BYTES: usize = 32;
/// Draws of a table's field that may hit a due one before all are looked through.
const DRAWS_MAX: usize = 100;

/// `hash-max-listpack-entries` and `hash-max-listpack-value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Most fields of a hash that is called a listpack.
    pub entries: u64,
    /// Longest field or value of one, bytes.
    pub value_bytes: u64,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, Unix milliseconds.
    pub expire_ms: Option<u64>,
}

impl Pair<'_> {
    /// Whether it is due.
    #[inline]
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.expire_ms.is_some_and(|at| at <= now_ms)
    }
}

impl<'a> From<Field<'a>> for Pair<'a> {
    #[inline]
    fn from(field: Field<'a>) -> Self {
        Pair { name: Item::Str(field.name), value: field.value, expire_ms: field.expire_ms }
    }
}

/// How it is kept.
#[derive(Debug, Clone)]
enum Kept {
    Packed {
        pack: Listpack,
        /// Called a hashtable.
        large: bool,
    },
    Timed(Thin<Timed>),
    Table(Thin<Tabled>),
}

#[derive(Debug, Clone)]
struct Tabled {
    fields: Fields,
    /// Called a hashtable.
    large: bool,
    /// Whether a field has had an expiry.
    timed: bool,
    /// See [`Hash::take_note`].
    noted_ms: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Hash {
    kept: Kept,
}

/// When to look for due fields of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Unix milliseconds; `None`: never.
    pub at_ms: Option<u64>,
    /// What was noted before and counts no more.
    pub instead_of_ms: Option<u64>,
}

impl Hash {
    /// Its fields' table, if it is large.
    #[inline]
    pub(super) fn table(&self) -> Option<&Fields> {
        match &self.kept {
            Kept::Table(tabled) => Some(&tabled.fields),
            _ => None,
        }
    }
}

impl Hash {
    /// What [`Hash::copy_step`] fills; `None` of a small hash.
    pub(super) fn begin_copy(&self) -> Option<Hash> {
        let Kept::Table(tabled) = &self.kept else { return None };
        let (large, timed, noted_ms) = (tabled.large, tabled.timed, tabled.noted_ms);
        Some(Hash { kept: Kept::Table(Thin::new(Tabled { fields: Fields::new(), large, timed, noted_ms })) })
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Hash, progress: &mut Progress) -> bool {
        match (&self.kept, &mut copy.kept) {
            (Kept::Table(tabled), Kept::Table(copy)) => tabled.fields.copy_step(&mut copy.fields, progress),
            _ => true,
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Hash { kept: Kept::Packed { pack: Listpack::new(), large: false } }
    }
}

/// The same fields with the same values and expiries.
impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        let same = |pair: Pair<'_>| {
            let there = pair.name.with_bytes(|name| other.find(name).map(|p| (p.value, p.expire_ms)));
            there == Some((pair.value, pair.expire_ms))
        };
        self.len() == other.len() && self.iter().all(same)
    }
}

impl Eq for Hash {}

impl Hash {
    /// Without fields.
    pub fn new() -> Self {
        Hash::default()
    }

    /// Fields, due ones included. Takes no time that grows with them.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.kept {
            Kept::Packed { pack, .. } => pack.len() / 2,
            Kept::Timed(timed) => timed.len(),
            Kept::Table(table) => table.fields.len(),
        }
    }

    /// No fields.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fields that are not due. Looks at all where some expire.
    #[inline]
    pub fn live_len(&self, now_ms: u64) -> usize {
        if self.may_expire() { self.live(now_ms).count() } else { self.len() }
    }

    /// Whether a field may have an expiry: none has where this is false.
    #[inline]
    pub fn may_expire(&self) -> bool {
        match &self.kept {
            Kept::Packed { .. } => false,
            Kept::Timed(_) => true,
            Kept::Table(table) => table.fields.expiring() > 0,
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        let (large, timed) = match &self.kept {
            Kept::Packed { large, .. } => (*large, false),
            Kept::Timed(timed) => (timed.large, true),
            Kept::Table(table) => (table.large, table.timed),
        };
        match (large, timed) {
            (true, _) => "hashtable",
            (false, false) => "listpack",
            (false, true) => "listpackex",
        }
    }

    /// The listpack of pairs or, with true, of triples, if that is how it is kept.
    pub fn pack(&self) -> Option<(&Listpack, bool)> {
        match &self.kept {
            Kept::Packed { pack, .. } => Some((pack, false)),
            Kept::Timed(timed) => Some((&timed.pack, true)),
            Kept::Table(_) => None,
        }
    }

    /// The field, due or not.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Pair<'_>> {
        match &self.kept {
            Kept::Packed { pack, .. } => {
                let at = pack.find(name, None, 1)?;
                let value = pack.get(pack.next(at)?);
                Some(Pair { name: pack.get(at), value, expire_ms: None })
            }
            Kept::Timed(timed) => timed.find(name).map(|at| timed.triple(at)),
            Kept::Table(table) => table.fields.get(name).map(Pair::from),
        }
    }

    /// The field, unless it is due.
    #[inline]
    pub fn get(&self, name: &[u8], now_ms: u64) -> Option<Pair<'_>> {
        self.find(name).filter(|pair| !pair.is_due(now_ms))
    }

    /// All fields, due ones included: those of a listpack in its order, those of a table in none.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.kept {
            Kept::Packed { pack, .. } => Walk::Packed(pack.iter()),
            Kept::Timed(timed) => Walk::Timed(timed.iter()),
            Kept::Table(table) => Walk::Table(table.fields.iter()),
        })
    }

    /// As [`Hash::iter`], without those that are due.
    pub fn live(&self, now_ms: u64) -> impl Iterator<Item = Pair<'_>> {
        self.iter().filter(move |pair| !pair.is_due(now_ms))
    }

    /// Sets value and expiry of a field; true if it was not there. One that was due counts as not there.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], expire: Expire, now_ms: u64, limits: PackLimits) -> bool {
        if name.len().max(value.len()) as u64 > limits.value_bytes {
            self.set_large();
        }
        if let Expire::At(_) = expire {
            self.make_timed();
        }
        self.make_room(name.len() + value.len());
        let is_new = match &mut self.kept {
            Kept::Packed { pack, .. } => match pack.find(name, None, 1).and_then(|at| pack.next(at)) {
                Some(at) => {
                    pack.replace(at, value);
                    return false;
                }
                None => {
                    pack.push_back(name);
                    pack.push_back(value);
                    true
                }
            },
            Kept::Timed(timed) => set_timed(timed, name, value, expire, now_ms),
            Kept::Table(table) => table.set(name, value, expire, now_ms),
        };
        self.keep_limits(limits);
        is_new
    }

    /// Sets or clears the expiry of a field that is there.
    pub fn set_expire(&mut self, name: &[u8], expire_ms: Option<u64>) {
        if expire_ms.is_some() {
            self.make_timed();
            self.make_room(0);
        }
        match &mut self.kept {
            Kept::Packed { .. } => {}
            Kept::Timed(timed) => {
                let Some(at) = timed.find(name) else { return };
                let value = timed.triple(at).value.to_vec();
                timed.remove(at);
                timed.add(name, &value, expire_ms);
            }
            Kept::Table(table) => {
                table.fields.set_expire(name, expire_ms);
            }
        }
    }

    /// Removes a field; false if it was not there or due.
    pub fn remove(&mut self, name: &[u8], now_ms: u64) -> bool {
        match &mut self.kept {
            Kept::Packed { pack, .. } => {
                let Some(at) = pack.find(name, None, 1) else { return false };
                pack.remove_range(at, 2);
                true
            }
            Kept::Timed(timed) => {
                let Some(at) = timed.find(name) else { return false };
                let was_due = timed.triple(at).is_due(now_ms);
                timed.remove(at);
                !was_due
            }
            Kept::Table(table) => {
                let was_due = table.is_due(name, now_ms);
                table.fields.remove(name) && !was_due
            }
        }
    }

    /// A field drawn at random, each that is not due with the same chance. `random` gives 64 random bits.
    pub fn random(&self, now_ms: u64, mut random: impl FnMut() -> u64) -> Option<Pair<'_>> {
        if let Kept::Table(table) = &self.kept {
            for _ in 0..DRAWS_MAX {
                let pair = Pair::from(table.fields.random(&mut random)?);
                if !pair.is_due(now_ms) {
                    return Some(pair);
                }
            }
        }
        let live = self.live(now_ms).count() as u64;
        self.live(now_ms).nth(random().checked_rem(live)? as usize)
    }

    /// One step of a scan; see [`Fields::scan`]. Due fields are visited, too. A listpack is visited whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Pair<'_>)) -> u64 {
        match &self.kept {
            Kept::Table(table) => table.fields.scan(cursor, count, |field| visit(Pair::from(field))),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// Whether the hash is too large to be looked at whole in one step.
    pub fn is_table(&self) -> bool {
        matches!(self.kept, Kept::Table(_))
    }

    /// Removes fields that are due, looking at no more than about `budget`; goes on where it stopped. `expired` gets
    /// the name of each. Returns how many it looked at.
    pub fn sweep(&mut self, now_ms: u64, budget: usize, expired: impl FnMut(&[u8])) -> usize {
        match &mut self.kept {
            Kept::Packed { .. } => 0,
            Kept::Timed(timed) => timed.sweep(now_ms, budget, expired),
            Kept::Table(table) => table.fields.sweep(now_ms, budget, expired),
        }
    }

    /// When to sweep, Unix milliseconds; `u64::MAX` if no field expires. See [`Fields::next_expire_ms`].
    pub fn next_expire_ms(&self) -> u64 {
        match &self.kept {
            Kept::Packed { .. } => u64::MAX,
            Kept::Timed(timed) => timed.soonest_ms(),
            Kept::Table(table) => table.fields.next_expire_ms(),
        }
    }

    fn noted_mut(&mut self) -> Option<&mut u64> {
        match &mut self.kept {
            Kept::Packed { .. } => None,
            Kept::Timed(timed) => Some(&mut timed.noted_ms),
            Kept::Table(table) => Some(&mut table.noted_ms),
        }
    }

    /// When to look for due fields, if that is sooner than what was answered last, or if there are none any more:
    /// whoever keeps the appointments of all hashes needs only one for each.
    #[inline]
    pub fn take_note(&mut self) -> Option<Note> {
        let next = self.next_expire_ms();
        let noted = self.noted_mut()?;
        if next >= *noted && (next != u64::MAX || *noted == u64::MAX) {
            return None;
        }
        let before = std::mem::replace(noted, next);
        let time = |at_ms: u64| (at_ms != u64::MAX).then_some(at_ms);
        Some(Note { at_ms: time(next), instead_of_ms: time(before) })
    }

    /// What [`Hash::take_note`] answered last.
    pub fn noted_ms(&self) -> Option<u64> {
        let noted = match &self.kept {
            Kept::Packed { .. } => u64::MAX,
            Kept::Timed(timed) => timed.noted_ms,
            Kept::Table(table) => table.noted_ms,
        };
        (noted != u64::MAX).then_some(noted)
    }

    /// Forgets what [`Hash::take_note`] answered if it was `at_ms`; false if it was something else.
    pub fn forget_note(&mut self, at_ms: u64) -> bool {
        match self.noted_mut() {
            Some(noted) if *noted == at_ms => {
                *noted = u64::MAX;
                true
            }
            _ => false,
        }
    }

    /// Forgets what [`Hash::take_note`] answered: the hash has another key now.
    pub fn forget_notes(&mut self) {
        if let Some(noted) = self.noted_mut() {
            *noted = u64::MAX;
        }
    }

    /// Frees about `budget` fields of a hash that nobody can reach any more; true when the rest may be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.kept {
            Kept::Table(table) => table.fields.free_step(budget),
            _ => true,
        }
    }

    /// Moves blocks out of pages that hold little else; true when a round has ended.
    pub(super) fn defrag(&mut self, mover: &mut Mover) -> bool {
        match &mut self.kept {
            Kept::Packed { pack, .. } => pack.defrag(mover),
            Kept::Timed(timed) => {
                mover.thin(timed);
                timed.pack.defrag(mover);
            }
            Kept::Table(table) => {
                mover.thin(table);
                return table.fields.defrag(mover);
            }
        }
        true
    }

    /// Heap bytes behind it.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match &self.kept {
            Kept::Packed { pack, .. } => pack.heap_bytes(),
            Kept::Timed(timed) => timed.pack.heap_bytes() + size_of::<Timed>(),
            Kept::Table(table) => table.fields.heap_bytes() + size_of::<Tabled>(),
        }
    }

    fn set_large(&mut self) {
        match &mut self.kept {
            Kept::Packed { large, .. } => *large = true,
            Kept::Timed(timed) => timed.large = true,
            Kept::Table(table) => table.large = true,
        }
    }

    /// Has room for expiries from now on, and says so in [`Hash::encoding`].
    pub fn make_timed(&mut self) {
        match &mut self.kept {
            Kept::Packed { pack, large } => self.kept = Kept::Timed(Thin::new(Timed::of_pairs(pack, *large))),
            Kept::Timed(_) => {}
            Kept::Table(table) => table.timed = true,
        }
    }

    /// Becomes a table if a field with `more` bytes would be too much for a listpack.
    #[inline]
    fn make_room(&mut self, more: usize) {
        let (bytes, large) = match &self.kept {
            Kept::Packed { pack, large } => (pack.bytes(), *large),
            Kept::Timed(timed) => (timed.pack.bytes(), timed.large),
            Kept::Table(_) => return,
        };
        let bytes_max = if large { LARGE_PACKED_BYTES_MAX } else { PACKED_BYTES_MAX };
        if bytes + more + PACKED_FIELD_BYTES > bytes_max {
            self.make_table();
        }
    }

    /// After a field was added: is called and kept as its length demands.
    #[inline]
    fn keep_limits(&mut self, limits: PackLimits) {
        let len = self.len();
        if len as u64 > limits.entries {
            self.set_large();
        }
        let large = match &self.kept {
            Kept::Packed { large, .. } => *large,
            Kept::Timed(timed) => timed.large,
            Kept::Table(_) => return,
        };
        if len > if large { LARGE_PACKED_LEN_MAX } else { PACKED_LEN_MAX } {
            self.make_table();
        }
    }

    #[cold]
    fn make_table(&mut self) {
        let (large, timed) = match &self.kept {
            Kept::Packed { large, .. } => (*large, false),
            Kept::Timed(timed) => (timed.large, true),
            Kept::Table(_) => return,
        };
        let mut fields = Fields::new();
        for pair in self.iter() {
            let expire = pair.expire_ms.map_or(Expire::Clear, Expire::At);
            pair.name.with_bytes(|name| pair.value.with_bytes(|value| fields.set(name, value, expire)));
        }
        let noted_ms = self.noted_mut().map_or(u64::MAX, |noted| *noted);
        self.kept = Kept::Table(Thin::new(Tabled { fields, large, timed, noted_ms }));
    }
}

/// [`Hash::set`] in a listpack of triples. The order of those whose expiry does not change stays.
fn set_timed(timed: &mut Timed, name: &[u8], value: &[u8], expire: Expire, now_ms: u64) -> bool {
    let at = timed.find(name);
    let old = at.map(|at| timed.triple(at));
    let was_due = old.is_some_and(|pair| pair.is_due(now_ms));
    let old_expire = old.and_then(|pair| pair.expire_ms);
    let new_expire = match expire {
        Expire::Clear => None,
        Expire::Keep => {
            if was_due {
                None
            } else {
                old_expire
            }
        }
        Expire::At(at) => Some(at),
    };
    match at {
        Some(at) if new_expire == old_expire => timed.replace_value(at, value),
        Some(at) => {
            timed.remove(at);
            timed.add(name, value, new_expire);
        }
        None => timed.add(name, value, new_expire),
    }
    at.is_none() || was_due
}

impl Tabled {
    #[inline]
    fn is_due(&self, name: &[u8], now_ms: u64) -> bool {
        self.fields.expiring() > 0 && self.fields.get(name).is_some_and(|field| Pair::from(field).is_due(now_ms))
    }

    #[inline]
    fn set(&mut self, name: &[u8], value: &[u8], expire: Expire, now_ms: u64) -> bool {
        let was_due = self.is_due(name, now_ms);
        let expire = if was_due && expire == Expire::Keep { Expire::Clear } else { expire };
        self.fields.set(name, value, expire) || was_due
    }
}

#[derive(Debug, Clone)]
enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    Timed(Triples<'a>),
    Table(fields::Iter<'a>),
}

/// Iterator of [`Hash::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(Walk<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        match &mut self.0 {
            Walk::Packed(items) => Some(Pair { name: items.next()?, value: items.next()?, expire_ms: None }),
            Walk::Timed(triples) => triples.next(),
            Walk::Table(fields) => fields.next().map(Pair::from),
        }
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;

//! The keyspace's table: position = (slot, hash) to entry. Never reads a clock.
//!
//! First version: an ordered map, correct and slow, so that everything above can be built and tested.

use crate::base::hash::Position;
use crate::types::value::{NewValue, Owned, Value, View};
use std::collections::BTreeMap;
use std::ops::Range;

/// A key with its position, computed once per command.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Slot and hash of the bytes.
    pub pos: Position,
}

impl<'a> Key<'a> {
    /// Computes the position of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Key { bytes, pos: Position::of(bytes) }
    }
}

/// One entry as a visitor sees it.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: View<'a>,
    /// Absolute expiry, Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// 10 opaque bits for the eviction clock (LRU stamp or LFU counter).
    pub access: u16,
}

/// What to do with the expiry of a key that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// The key has no expiry afterwards.
    Clear,
    /// An expiry that is there stays.
    Keep,
    /// Absolute, Unix milliseconds.
    At(u64),
}

/// What a lookup that honours expiry found.
#[derive(Debug)]
pub enum Live<'a> {
    /// The entry; its access bits are stamped.
    Found(EntryView<'a>),
    /// Nothing.
    Missing,
    /// An entry that was due: it has been removed, its out-of-line value is handed over.
    Expired(Option<Box<Value>>),
}

/// What an insertion did.
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key was not there.
    New,
    /// The key was there; its out-of-line value is handed over.
    Replaced(Option<Box<Value>>),
}

/// What one call of [`Table::sweep_expired`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Entries looked at, expiring or not.
    pub visited: usize,
    /// Entries removed.
    pub expired: usize,
    /// Expiring entries seen that are not due, and the sum of their times to live in milliseconds.
    pub alive: usize,
    /// See `alive`.
    pub ttl_ms_sum: u64,
}

#[derive(Debug)]
struct Slot {
    key: Box<[u8]>,
    value: Stored,
    expire_ms: Option<u64>,
    access: u16,
}

#[derive(Debug)]
enum Stored {
    Int(i64),
    Str { bytes: Box<[u8]>, raw: bool },
    Boxed(Box<Value>),
}

impl Stored {
    fn into_boxed(self) -> Option<Box<Value>> {
        match self {
            Stored::Boxed(v) => Some(v),
            _ => None,
        }
    }
}

impl Slot {
    fn view(&self) -> EntryView<'_> {
        let value = match &self.value {
            Stored::Int(n) => View::Int(*n),
            Stored::Str { bytes, raw } => View::Str { bytes, raw: *raw },
            Stored::Boxed(v) => View::Boxed(v),
        };
        EntryView { key: &self.key, value, expire_ms: self.expire_ms, access: self.access }
    }
}

/// Strings longer than this live out of line.
pub const INLINE_BYTES_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Table {
    map: BTreeMap<u64, Vec<Slot>>,
    len: usize,
    expiring: usize,
    sweep: u64,
}

impl Table {
    /// Keys, those that are due but still there included.
    pub fn len(&self) -> usize {
        self.len
    }
    /// No keys.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Keys that carry an expiry.
    pub fn expiring(&self) -> usize {
        self.expiring
    }
    /// Bytes of heap behind the table, out-of-line values included.
    pub fn memory(&self) -> usize {
        self.map.values().flatten().map(slot_bytes).sum()
    }
    /// Bytes that one entry takes, its out-of-line value and its share of the index included.
    pub fn entry_bytes(&self, key: Key<'_>) -> Option<usize> {
        self.slot(key).map(slot_bytes)
    }
    /// First step of a batch lookup: brings the key's index bucket into the cache.
    pub fn prefetch_bucket(&self, _pos: Position) {}
    /// Second step of a batch lookup: reads the bucket and brings the entry into the cache.
    pub fn prefetch_entry(&self, _pos: Position) {}

    fn slot(&self, key: Key<'_>) -> Option<&Slot> {
        self.map.get(&key.pos.0)?.iter().find(|s| *s.key == *key.bytes)
    }
    fn slot_mut(&mut self, key: Key<'_>) -> Option<&mut Slot> {
        self.map.get_mut(&key.pos.0)?.iter_mut().find(|s| *s.key == *key.bytes)
    }
    fn cut(&mut self, key: Key<'_>) -> Option<Slot> {
        let slots = self.map.get_mut(&key.pos.0)?;
        let at = slots.iter().position(|s| *s.key == *key.bytes)?;
        let slot = slots.swap_remove(at);
        if slots.is_empty() {
            self.map.remove(&key.pos.0);
        }
        self.len -= 1;
        self.expiring -= usize::from(slot.expire_ms.is_some());
        Some(slot)
    }

    /// The entry, due or not; leaves no trace.
    pub fn find(&self, key: Key<'_>) -> Option<EntryView<'_>> {
        self.slot(key).map(Slot::view)
    }
    /// Lookup that removes an entry that is due at `now_ms`, and sets the access bits of one that is not to
    /// what `stamp` makes of them.
    pub fn find_live(&mut self, key: Key<'_>, now_ms: u64, stamp: impl FnOnce(u16) -> u16) -> Live<'_> {
        match self.slot_mut(key) {
            None => Live::Missing,
            Some(slot) if slot.expire_ms.is_some_and(|at| at <= now_ms) => {
                Live::Expired(self.cut(key).and_then(|s| s.value.into_boxed()))
            }
            Some(slot) => {
                slot.access = stamp(slot.access);
                match self.slot(key) {
                    Some(slot) => Live::Found(slot.view()),
                    None => Live::Missing,
                }
            }
        }
    }
    /// The out-of-line value of an entry, for an edit in place; `None` if absent or inline.
    pub fn boxed_mut(&mut self, key: Key<'_>) -> Option<&mut Value> {
        match &mut self.slot_mut(key)?.value {
            Stored::Boxed(v) => Some(v),
            _ => None,
        }
    }
    /// Inserts or replaces. `stamp` makes the access bits, from those of the entry that is replaced.
    pub fn insert(
        &mut self,
        key: Key<'_>,
        value: NewValue<'_>,
        expire: Expire,
        stamp: impl FnOnce(Option<u16>) -> u16,
    ) -> Inserted {
        let value = match value {
            NewValue::Int(n) => Stored::Int(n),
            NewValue::Str { bytes, .. } if bytes.len() > INLINE_BYTES_MAX => {
                Stored::Boxed(Box::new(Value::Str(std::sync::Arc::new(bytes.to_vec()))))
            }
            NewValue::Str { bytes, raw } => Stored::Str { bytes: bytes.into(), raw },
            NewValue::Boxed(v) => Stored::Boxed(v),
        };
        let old = self.cut(key);
        let expire_ms = match expire {
            Expire::Clear => None,
            Expire::Keep => old.as_ref().and_then(|s| s.expire_ms),
            Expire::At(at) => Some(at),
        };
        let access = stamp(old.as_ref().map(|s| s.access));
        self.map.entry(key.pos.0).or_default().push(Slot { key: key.bytes.into(), value, expire_ms, access });
        self.len += 1;
        self.expiring += usize::from(expire_ms.is_some());
        match old {
            None => Inserted::New,
            Some(old) => Inserted::Replaced(old.value.into_boxed()),
        }
    }
    /// Sets or clears the expiry of an entry; false if it is not there.
    pub fn set_expire(&mut self, key: Key<'_>, at_ms: Option<u64>) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        let had = usize::from(slot.expire_ms.is_some());
        slot.expire_ms = at_ms;
        self.expiring = self.expiring - had + usize::from(at_ms.is_some());
        true
    }
    /// Sets the access bits of an entry; false if it is not there.
    pub fn set_access(&mut self, key: Key<'_>, access: u16) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        slot.access = access & ACCESS_MAX;
        true
    }
    /// Removes an entry and returns its value and expiry.
    pub fn remove(&mut self, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        let slot = self.cut(key)?;
        let owned = match slot.value {
            Stored::Int(n) => Owned::Int(n),
            Stored::Str { bytes, raw } => Owned::Str { bytes: bytes.into_vec(), raw },
            Stored::Boxed(v) => Owned::Boxed(v),
        };
        Some((owned, slot.expire_ms))
    }
    /// Removes an entry without copying it; `Some(out-of-line value)` if it was there.
    pub fn discard(&mut self, key: Key<'_>) -> Option<Option<Box<Value>>> {
        self.cut(key).map(|s| s.value.into_boxed())
    }

    /// One step of a scan over the slots in `slots`: visits about `count` entries, due ones included, and returns the
    /// next cursor; 0 starts and 0 says that it is finished. An entry that is there from the first step to the last
    /// is visited at least once, whatever is inserted and removed between steps. See [`cursor_slot`].
    pub fn scan(&self, cursor: u64, count: usize, slots: Range<u16>, mut visit: impl FnMut(EntryView<'_>)) -> u64 {
        let start = (cursor << CURSOR_SHIFT).max(u64::from(slots.start) << 50);
        let mut visited = 0;
        let mut last = None;
        for (&pos, entries) in self.map.range(start..) {
            if pos >> 50 >= u64::from(slots.end) {
                return 0;
            }
            let unit = pos >> CURSOR_SHIFT;
            if visited >= count && last.is_some_and(|l| l != unit) {
                return unit;
            }
            last = Some(unit);
            entries.iter().for_each(|s| visit(s.view()));
            visited += entries.len();
        }
        0
    }
    /// An entry drawn at random, each with about the same chance.
    pub fn random_entry(&self, mut random: impl FnMut() -> u64) -> Option<EntryView<'_>> {
        let from = random();
        let (_, slots) = self.map.range(from..).next().or_else(|| self.map.iter().next())?;
        Some(slots[random() as usize % slots.len()].view())
    }
    /// Entries in one slot.
    pub fn count_in_slot(&self, slot: u16) -> usize {
        self.slot_range(slot).map(|(_, s)| s.len()).sum()
    }
    /// Visits the entries of one slot until `visit` answers false.
    pub fn for_each_in_slot(&self, slot: u16, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        for s in self.slot_range(slot).flat_map(|(_, s)| s) {
            if !visit(s.view()) {
                return;
            }
        }
    }
    fn slot_range(&self, slot: u16) -> impl Iterator<Item = (&u64, &Vec<Slot>)> {
        let start = u64::from(slot) << 50;
        self.map.range(start..=start | ((1 << 50) - 1))
    }
    /// Visits all entries until `visit` answers false.
    pub fn for_each(&self, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        for s in self.map.values().flatten() {
            if !visit(s.view()) {
                return;
            }
        }
    }
    /// Removes entries that are due, looking at no more than about `budget` entries; goes on where it stopped.
    /// `expired` gets each removed key and its out-of-line value.
    pub fn sweep_expired(
        &mut self,
        now_ms: u64,
        budget: usize,
        mut expired: impl FnMut(&[u8], Option<Box<Value>>),
    ) -> Swept {
        let mut swept = Swept::default();
        let mut due = Vec::new();
        let mut next = 0;
        for (&pos, slots) in self.map.range(self.sweep..) {
            if swept.visited >= budget {
                next = pos;
                break;
            }
            swept.visited += slots.len();
            for s in slots {
                match s.expire_ms {
                    Some(at) if at <= now_ms => due.push((pos, s.key.clone())),
                    Some(at) => {
                        swept.alive += 1;
                        swept.ttl_ms_sum += at - now_ms;
                    }
                    None => {}
                }
            }
        }
        self.sweep = next;
        for (pos, key) in due {
            if let Some(boxed) = self.discard(Key { bytes: &key, pos: Position(pos) }) {
                swept.expired += 1;
                expired(&key, boxed);
            }
        }
        swept
    }
    /// Lets `age` rewrite the access bits of about `budget` entries; goes on where it stopped. True when a round over
    /// the whole table has ended.
    pub fn sweep_access(&mut self, _budget: usize, mut age: impl FnMut(u16) -> u16) -> bool {
        self.map.values_mut().flatten().for_each(|s| s.access = age(s.access) & ACCESS_MAX);
        true
    }
    /// Drops about `budget` entries of a table that nobody reads any more; true when it is empty.
    pub fn free_step(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            let Some((_, slots)) = self.map.pop_first() else { break };
            self.len -= slots.len();
        }
        self.map.is_empty()
    }
}

const CURSOR_SHIFT: u32 = 2;

/// Largest value of the opaque access bits.
pub const ACCESS_MAX: u16 = 1023;

/// The slot that a cursor of [`Table::scan`] continues in: its shard runs the next step.
pub fn cursor_slot(cursor: u64) -> u16 {
    (cursor >> (50 - CURSOR_SHIFT)) as u16 & 0x3fff
}

/// The cursor that starts a scan at `slot`.
pub fn cursor_at_slot(slot: u16) -> u64 {
    u64::from(slot) << (50 - CURSOR_SHIFT)
}

fn slot_bytes(slot: &Slot) -> usize {
    let value = match &slot.value {
        Stored::Int(_) => 0,
        Stored::Str { bytes, .. } => bytes.len(),
        Stored::Boxed(v) => v.heap_bytes(),
    };
    size_of::<Slot>() + slot.key.len() + value
}

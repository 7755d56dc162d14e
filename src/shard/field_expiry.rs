//! Fields of hashes that expire: an appointment with each hash that has such fields, at the time its first one is due,
//! and the step that keeps the appointments. Reads of a due field find nothing by themselves ([`Hash`]). Never reads a
//! clock.
//!
//! A hash remembers the one appointment that counts ([`Hash::take_note`]); it goes when a sooner one is made, and with
//! the hash.
//!
//! [`Hash`]: crate::types::hash::Hash
//! [`Hash::take_note`]: crate::types::hash::Hash::take_note

use crate::shard::events::class;
use crate::shard::keyspace::Shard;
use crate::types::hash::{Hash, Note};
use crate::types::table::Key;
use crate::types::value::Value;
use std::collections::BTreeSet;
use std::ops::Deref;

/// See the module.
#[derive(Debug, Default)]
pub struct FieldExpiry {
    /// Time and key, per database.
    appointments: Vec<BTreeSet<(u64, Box<[u8]>)>>,
}

impl FieldExpiry {
    /// Hashes of a database with fields that expire (`subexpiry` of INFO keyspace).
    pub fn hashes(&self, db: usize) -> usize {
        self.appointments.get(db).map_or(0, BTreeSet::len)
    }

    /// SWAPDB.
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        let needed = a.max(b) + 1;
        if self.appointments.len() < needed {
            self.appointments.resize_with(needed, BTreeSet::new);
        }
        self.appointments.swap(a, b);
    }

    /// The database was emptied.
    pub(super) fn clear(&mut self, db: usize) {
        if let Some(appointments) = self.appointments.get_mut(db) {
            appointments.clear();
        }
    }

    /// Cancels the appointment with a value that is not at this key any more, and gives the value back.
    #[inline]
    pub(super) fn forget<V: Deref<Target = Value>>(&mut self, db: usize, key: &[u8], value: Option<V>) -> Option<V> {
        if let Some(at_ms) = value.as_deref().and_then(Value::as_hash).and_then(Hash::noted_ms) {
            self.cancel(db, key, at_ms);
        }
        value
    }

    fn cancel(&mut self, db: usize, key: &[u8], at_ms: u64) {
        if let Some(appointments) = self.appointments.get_mut(db) {
            appointments.remove(&(at_ms, key.into()));
        }
    }

    fn note(&mut self, db: usize, key: &[u8], at_ms: u64) {
        if self.appointments.len() <= db {
            self.appointments.resize_with(db + 1, BTreeSet::new);
        }
        self.appointments[db].insert((at_ms, key.into()));
    }

    /// Takes the first appointment whose time has come.
    fn take_due(&mut self, db: usize, now_ms: u64) -> Option<(u64, Box<[u8]>)> {
        let appointments = self.appointments.get_mut(db)?;
        if appointments.first()?.0 > now_ms { None } else { appointments.pop_first() }
    }
}

impl Shard {
    /// To be called with what [`Hash::take_note`] answered after an edit of the hash at `key`.
    ///
    /// [`Hash::take_note`]: crate::types::hash::Hash::take_note
    #[inline]
    pub fn note_fields(&mut self, db: usize, key: Key<'_>, note: Option<Note>) {
        let Some(Note { at_ms, instead_of_ms }) = note else { return };
        if let Some(before_ms) = instead_of_ms {
            self.field_expiry.cancel(db, key.bytes, before_ms);
        }
        if let Some(at_ms) = at_ms {
            self.field_expiry.note(db, key.bytes, at_ms);
        }
    }

    /// Removes fields that are due, looking at no more than about `budget` of them; a hash without fields goes, too. A
    /// part of [`Shard::expire_step`], which knows whether anything may go.
    pub(super) fn expire_fields_step(&mut self, budget: usize) {
        let mut left = budget;
        for db in 0..self.field_expiry.appointments.len() {
            let mut kept = Vec::new();
            while left > 0
                && let Some((at_ms, key)) = self.field_expiry.take_due(db, self.now_ms)
            {
                let pos = Key::new(&key).pos;
                if self.unwritten_huge(pos).is_some() || self.is_being_copied(Some(pos)) {
                    // the snapshot would have to write all of it at once, the copy would miss some
                    kept.push((at_ms, key));
                    continue;
                }
                let seen = self.expire_fields(db, Key::new(&key), at_ms, left);
                left = left.saturating_sub(seen.max(1));
            }
            kept.into_iter().for_each(|(at_ms, key)| self.field_expiry.note(db, &key, at_ms));
        }
    }

    /// Keeps the appointment with one hash; returns how many fields it looked at.
    fn expire_fields(&mut self, db: usize, key: Key<'_>, at_ms: u64, budget: usize) -> usize {
        let hash = self.tables[db].boxed_mut(key).and_then(Value::as_hash_mut);
        let Some(hash) = hash else { return 0 };
        if !hash.forget_note(at_ms) {
            return 0;
        }
        let mut gone = Vec::new();
        let seen = hash.sweep(self.now_ms, budget, |name| gone.push(name.to_vec()));
        let (note, emptied) = (hash.take_note(), hash.is_empty());
        self.note_fields(db, key, note);
        if !gone.is_empty() {
            self.fields_expired(db, key, &gone, emptied);
        }
        seen
    }

    /// Counts and tells fields that were removed from the hash at `key` because they were due; if they were all,
    /// removes the key.
    pub fn fields_expired(&mut self, db: usize, key: Key<'_>, names: &[Vec<u8>], emptied: bool) {
        self.stats.expired_fields += names.len() as u64;
        self.events.fields_expired(db, key.bytes, names);
        // Counts, and whoever watches the key learns of it; the event is told already.
        self.changed(db, key, 0, "hexpired");
        if emptied && self.remove(db, key) {
            self.events.happen(class::GENERIC, "del", db, key.bytes);
        }
    }
}

#[cfg(test)]
#[path = "field_expiry_tests.rs"]
mod tests;

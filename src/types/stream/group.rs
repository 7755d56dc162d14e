//! Consumer groups: who was given which entry and has not acknowledged it. Never looks at entries.

use super::id::Id;
use crate::types::copying::Progress;
use crate::types::defrag::Mover;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What one pending entry takes in both maps, about, bytes.
const PENDING_BYTES: usize = 96;
/// What a consumer takes beside its name, about, bytes.
const CONSUMER_BYTES: usize = 160;
/// What a group takes beside its members, about, bytes.
const GROUP_BYTES: usize = 240;
/// Largest group that is made anew where its blocks should move.
const ANEW_BYTES_MAX: usize = 64 * 1024;

/// Number of a consumer within its group; a later one may get it when the consumer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerId,
    /// When last, Unix milliseconds.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for anything, Unix milliseconds.
    pub seen_ms: i64,
    /// When it last got anything; `None` if never.
    pub active_ms: Option<i64>,
    pending: BTreeSet<Id>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The last entry that was delivered.
    pub last_id: Id,
    /// How many entries were ever delivered, those deleted before included; `None` if unknown.
    pub entries_read: Option<u64>,
    pending: BTreeMap<Id, Pending>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
    free: Vec<u32>,
    names_bytes: usize,
}

impl Group {
    /// A group without consumers.
    pub fn new(last_id: Id, entries_read: Option<u64>) -> Self {
        Group {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            names: BTreeMap::new(),
            consumers: Vec::new(),
            free: Vec::new(),
            names_bytes: 0,
        }
    }

    /// Makes a small one anew if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        let bytes = self.heap_bytes();
        if let Some((_, first)) = self.pending.first_key_value()
            && bytes < ANEW_BYTES_MAX
            && mover.is_worth(std::ptr::from_ref(first).cast(), bytes)
        {
            *self = self.clone();
        }
    }

    /// Heap bytes, about.
    pub(super) fn heap_bytes(&self) -> usize {
        GROUP_BYTES + self.pending.len() * PENDING_BYTES + self.names.len() * CONSUMER_BYTES + 2 * self.names_bytes
    }

    /// The consumer with this name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer, by its number.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect("a number in use")
    }

    /// As [`Group::consumer`], for an edit.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect("a number in use")
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    /// The consumers in order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().map(|id| self.consumer(*id))
    }

    /// The first consumer behind this name, or of all.
    pub fn next_consumer(&self, after: Option<&[u8]>) -> Option<ConsumerId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range::<[u8], _>((start, Bound::Unbounded)).next().map(|(_, id)| *id)
    }

    /// Adds a consumer; `None` if the name is taken.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let consumer = Consumer { name: name.into(), seen_ms: now_ms, active_ms: None, pending: BTreeSet::new() };
        let id = match self.free.pop() {
            Some(free) => {
                self.consumers[free as usize] = Some(consumer);
                ConsumerId(free)
            }
            None => {
                self.consumers.push(Some(consumer));
                ConsumerId(self.consumers.len() as u32 - 1)
            }
        };
        self.names.insert(name.into(), id);
        self.names_bytes += name.len();
        Some(id)
    }

    /// Removes a consumer with its pending entries; returns how many those were, `None` if there is no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        self.names_bytes -= name.len();
        self.free.push(id.0);
        let consumer = self.consumers[id.0 as usize].take()?;
        for entry in &consumer.pending {
            self.pending.remove(entry);
        }
        Some(consumer.pending.len())
    }

    /// How many entries are pending.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// A pending entry.
    pub fn pending(&self, id: Id) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// The first and the last pending entry.
    pub fn pending_bounds(&self) -> Option<(Id, Id)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// The pending entries from `start` to `end`, both included, in order.
    pub fn pending_range(&self, start: Id, end: Id) -> impl Iterator<Item = (Id, &Pending)> {
        // An empty range is none that the map takes.
        let range = (start <= end).then(|| self.pending.range(start..=end));
        range.into_iter().flatten().map(|(id, pending)| (*id, pending))
    }

    /// As [`Group::pending_range`], of one consumer.
    pub fn pending_of(&self, consumer: ConsumerId, start: Id, end: Id) -> impl Iterator<Item = (Id, &Pending)> {
        let own = &self.consumer(consumer).pending;
        let range = (start <= end).then(|| own.range(start..=end));
        range.into_iter().flatten().filter_map(|id| Some((*id, self.pending.get(id)?)))
    }

    /// Gives an entry to a consumer, whoever had it before.
    pub fn assign(&mut self, id: Id, pending: Pending) {
        let old = self.pending.insert(id, pending);
        if let Some(old) = old {
            if old.consumer == pending.consumer {
                return;
            }
            self.consumer_mut(old.consumer).pending.remove(&id);
        }
        self.consumer_mut(pending.consumer).pending.insert(id);
    }

    /// Notes another delivery to the consumer that has the entry.
    pub fn deliver_again(&mut self, id: Id, now_ms: i64) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.delivered_ms = now_ms;
            pending.deliveries = pending.deliveries.wrapping_add(1);
        }
    }

    /// Ends the wait for an acknowledgement; what was known of it, or `None` if it is not pending.
    pub fn acknowledge(&mut self, id: Id) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.consumer_mut(pending.consumer).pending.remove(&id);
        Some(pending)
    }

    /// Goes on with a copy, which was [`Group::new`] at first; true when it is whole. The second half of the progress's
    /// place is the group's to use.
    pub(super) fn copy_step(&self, copy: &mut Group, progress: &mut Progress) -> bool {
        let consumers = progress.each(copy.consumers.len()..self.consumers.len(), |at| {
            let consumer = self.consumers[at].as_ref();
            let shell = |c: &Consumer| Consumer {
                name: c.name.clone(),
                seen_ms: c.seen_ms,
                active_ms: c.active_ms,
                pending: BTreeSet::new(),
            };
            if let Some(consumer) = consumer {
                copy.names.insert(consumer.name.clone(), ConsumerId(at as u32));
            }
            copy.consumers.push(consumer.map(shell));
            CONSUMER_BYTES
        });
        if !consumers {
            return false;
        }
        let after = copy.pending.last_key_value().map_or(Bound::Unbounded, |(last, _)| Bound::Excluded(*last));
        let pending = progress.each(self.pending.range((after, Bound::Unbounded)), |(id, pending)| {
            copy.pending.insert(*id, *pending);
            PENDING_BYTES
        });
        if !pending {
            return false;
        }
        while let Some(from) = self.consumers.get(progress.place.1) {
            if let (Some(from), Some(to)) = (from, &mut copy.consumers[progress.place.1]) {
                let after = to.pending.last().map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
                let whole = progress.each(from.pending.range((after, Bound::Unbounded)), |id| {
                    to.pending.insert(*id);
                    PENDING_BYTES
                });
                if !whole {
                    return false;
                }
            }
            progress.place.1 += 1;
            progress.spend(1);
        }
        copy.free = self.free.clone();
        copy.names_bytes = self.names_bytes;
        true
    }

    /// Frees up to `budget` pending entries; returns how many are left of the budget.
    pub(super) fn free_step(&mut self, budget: usize) -> usize {
        let mut left = budget;
        while left > 0 && self.pending.pop_first().is_some() {
            left -= 1;
        }
        for consumer in self.consumers.iter_mut().flatten() {
            while left > 0 && consumer.pending.pop_first().is_some() {
                left -= 1;
            }
        }
        left
    }
}

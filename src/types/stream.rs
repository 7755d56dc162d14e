//! Streams: an append-only log of entries with fields, and groups of consumers that read it. Never reads a clock, never
//! replies.
//!
//! [`Log`] holds the entries in blocks that are Redis's own listpacks ([`block`]), in a list ordered by identifier.
//! A block has a hundred entries or 4 KB, so its place in the list costs a percent of it, where a B-tree's costs three.
//! [`Group`]s hold who was given what.

mod block;
mod group;
mod id;
mod log;

pub use block::{Entry, Pairs};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{Id, IdText};
pub use log::{BlockLimits, Keep, Log, Range, RangeBack, Trim};

use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A block that comes from outside is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// The entries.
    pub log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    groups_bytes: usize,
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Heap bytes, about; costs nothing.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.log.heap_bytes() + self.groups_bytes
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The groups in order of their names.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The first group behind this name, or of all.
    pub fn next_group(&self, after: Option<&[u8]>) -> Option<(&[u8], &Group)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, group) = self.groups.range::<[u8], _>((start, Bound::Unbounded)).next()?;
        Some((name, group))
    }

    /// The group with this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Edits a group, with a look at the entries; `None` if there is no such group.
    pub fn edit_group<R>(&mut self, name: &[u8], edit: impl FnOnce(&Log, &mut Group) -> R) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group.heap_bytes();
        let result = edit(&self.log, group);
        self.groups_bytes = self.groups_bytes + group.heap_bytes() - before;
        Some(result)
    }

    /// Adds a group; false if the name is taken.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups_bytes += group.heap_bytes() + name.len();
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; false if there is none.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let removed = self.groups.remove(name);
        if let Some(group) = &removed {
            self.groups_bytes -= group.heap_bytes() + name.len();
        }
        removed.is_some()
    }

    /// How many entries a group has not been given yet, if that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let log = &self.log;
        if log.entries_added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !log.has_holes_from(group.last_id) => read,
            _ => log.position(group.last_id)?,
        };
        Some(log.entries_added.wrapping_sub(read) as i64)
    }

    /// Moves blocks out of pages that hold little else, from where the last step ended (0 to begin with); `None` when
    /// all were looked at. Groups are maps, whose nodes cannot be moved one by one: small ones are made anew.
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        let mut place = Place::of(from);
        let ended = self.log.defrag(mover, &mut place)
            && mover.each(&mut place, self.groups.values_mut(), |mover, group| group.defrag(mover));
        (!ended).then(|| place.reached())
    }

    /// Goes on with a copy, which was empty at first; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Stream, progress: &mut Progress) -> bool {
        if !self.log.copy_step(&mut copy.log, progress) {
            return false;
        }
        // the last group of the copy is whole unless `place` says so
        let mut last = copy.groups.last_key_value().map(|(name, _)| name.clone());
        loop {
            if progress.place.0 == 0 {
                let Some((name, group)) = self.next_group(last.as_deref()) else { break };
                copy.groups.insert(name.into(), Group::new(group.last_id, group.entries_read));
                last = Some(name.into());
                progress.place = (1, 0);
            }
            let Some(name) = &last else { break };
            let (Some(from), Some(to)) = (self.groups.get(name), copy.groups.get_mut(name)) else { break };
            if !from.copy_step(to, progress) {
                return false;
            }
            progress.place = (0, 0);
        }
        copy.groups_bytes = self.groups_bytes;
        true
    }

    /// Frees up to `budget` blocks or pending entries; true when the rest may simply be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut left = self.log.free_step(budget);
        for group in self.groups.values_mut() {
            if left == 0 {
                return false;
            }
            left = group.free_step(left);
        }
        left > 0
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

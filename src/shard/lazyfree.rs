//! Big values and flushed tables, dropped in budgeted steps off the commands' way. Never holds anything reachable.

use crate::base::limits::LAZY_FREE_BYTES_MIN;
use crate::types::table::Table;
use crate::types::value::{Owned, Value};
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub struct LazyFree {
    values: VecDeque<(Box<Value>, u64)>,
    tables: VecDeque<Table>,
    values_bytes: u64,
    /// Of the values, those that count as keys of a table.
    values_of_tables: u64,
    /// Objects freed in steps since start or CONFIG RESETSTAT (`lazyfreed_objects`).
    pub freed_objects: u64,
}

impl LazyFree {
    /// Objects that wait (`lazyfree_pending_objects`).
    pub fn pending_objects(&self) -> u64 {
        self.values.len() as u64 - self.values_of_tables + self.tables.iter().map(|t| t.len() as u64).sum::<u64>()
    }

    /// Bytes that wait.
    pub fn pending_bytes(&self) -> u64 {
        self.values_bytes + self.tables.iter().map(|t| t.memory() as u64).sum::<u64>()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.tables.is_empty()
    }

    /// Takes a value that left its key; a small one is dropped at once.
    #[inline]
    pub fn value(&mut self, value: Option<Box<Value>>) {
        let Some(value) = value else { return };
        let bytes = value.heap_bytes();
        if bytes >= LAZY_FREE_BYTES_MIN {
            self.values_bytes += bytes as u64;
            self.values.push_back((value, bytes as u64));
        }
    }

    /// Takes a value that never came to a key.
    pub fn owned(&mut self, value: Owned) {
        if let Owned::Boxed(value) = value {
            self.value(Some(value));
        }
    }

    /// Takes what was never whole.
    pub fn unfinished(&mut self, value: Value) {
        self.values.push_back((Box::new(value), 0));
    }

    /// Takes a table that was flushed.
    pub fn table(&mut self, table: Table) {
        if !table.is_empty() {
            self.tables.push_back(table);
        }
    }

    /// Frees about `budget` objects, of values first, so that a table's large ones do not heap up; true if nothing
    /// waits any more.
    pub fn step(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0 {
            let Some((value, bytes)) = self.values.front_mut() else { break };
            if !value.free_step(left) {
                break;
            }
            self.values_bytes -= *bytes;
            self.values.pop_front();
            match self.values_of_tables.checked_sub(1) {
                Some(left) => self.values_of_tables = left,
                None => self.freed_objects += 1,
            }
            left -= 1;
        }
        if left > 0
            && let Some(table) = self.tables.front_mut()
        {
            let before = table.len();
            let mut large = Vec::new();
            let done = table.free_step(left, |value| {
                if value.heap_bytes() >= LAZY_FREE_BYTES_MIN {
                    large.push(Box::new(value));
                }
            });
            self.freed_objects += (before - table.len()) as u64;
            if done {
                self.tables.pop_front();
            }
            self.values_of_tables += large.len() as u64;
            large.into_iter().for_each(|value| self.value(Some(value)));
        }
        self.is_empty()
    }
}

//! A table that nobody reads any more, dropped in steps. Never one with entries that somebody may ask for.

use super::Table;
use crate::types::value::Value;

/// Chunks of 2 MB of a table without entries that are freed at a time.
const FREE_CHUNKS: usize = 2;

impl Table {
    /// Drops about `budget` entries of a table that nobody reads any more; true when it is empty. Until then it must
    /// not be used for anything else. What stands out of line goes to `gone`, to be freed.
    pub fn free_step(&mut self, budget: usize, mut gone: impl FnMut(Value)) -> bool {
        self.settle();
        let mut left = budget;
        while left > 0
            && let Some(segment) = self.segments.last_mut()
        {
            if segment.drop_some(&mut self.pool, &mut self.tally, &mut left, &mut gone) {
                self.segments.pop();
            }
        }
        // a copy that was given up has chunks that no segment knows
        let empty = self.segments.is_empty() && self.pool.free_step(FREE_CHUNKS);
        if empty {
            *self = Table::default();
        }
        empty
    }
}

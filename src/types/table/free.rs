//! A table that nobody reads any more, dropped in steps. Never one with entries that somebody may ask for.

use super::Table;

/// Chunks of 2 MB of a table without entries that are freed at a time.
const FREE_CHUNKS: usize = 2;

impl Table {
    /// Drops about `budget` entries of a table that nobody reads any more; true when it is empty. Until then it must
    /// not be used for anything else.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.settle();
        let before = self.len();
        while before - self.len() < budget
            && let Some(mut segment) = self.segments.pop()
        {
            segment.drop_entries(&mut self.pool, &mut self.tally);
        }
        // a copy that was given up has chunks that no segment knows
        let empty = self.segments.is_empty() && self.pool.free_step(FREE_CHUNKS);
        if empty {
            *self = Table::default();
        }
        empty
    }
}

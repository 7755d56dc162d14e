//! Moves what keys own out of line together, table by table. Never decides whether that is worth its time.

use crate::shard::keyspace::Shard;
use crate::types::defrag::Mover;

impl Shard {
    /// Goes on with a round over all tables, `table` being the one it is at, until the mover's budget is spent; true
    /// when the round has ended. Nothing moves under a copy that is being made.
    pub fn defrag_step(&mut self, table: &mut usize, mover: &mut Mover) -> bool {
        if self.is_being_copied(None) {
            return false;
        }
        while let Some(current) = self.tables.get_mut(*table) {
            if !current.defrag_step(mover) {
                return false;
            }
            *table += 1;
        }
        *table = 0;
        true
    }
}

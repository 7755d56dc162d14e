//! Moving the nodes of the order tree to fuller pages of the heap. Never looks into a node.

use super::tree::Tree;
use crate::types::defrag::{Mover, Place};

impl Tree {
    /// Moves blocks that are worth it; false if some are left to look at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        let ended = mover.each(place, self.leaves.iter_mut(), |mover, leaf| mover.boxed(leaf))
            && mover.each(place, self.inners.iter_mut(), |mover, inner| mover.boxed(inner));
        if ended {
            mover.vec(&mut self.leaves);
            mover.vec(&mut self.inners);
            mover.vec(&mut self.leaves_free);
            mover.vec(&mut self.inners_free);
        }
        ended
    }
}

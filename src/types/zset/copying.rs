//! The order of a big sorted set, copied in steps. Never changes what it copies.

use super::tree::{Inner, Leaf, Tree};
use crate::types::copying::Progress;

impl Tree {
    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Tree, progress: &mut Progress) -> bool {
        let whole = progress.list(&self.leaves, &mut copy.leaves, |_| size_of::<Leaf>())
            && progress.list(&self.inners, &mut copy.inners, |_| size_of::<Inner>());
        if whole {
            copy.leaves_free = self.leaves_free.clone();
            copy.inners_free = self.inners_free.clone();
            (copy.root, copy.height, copy.len) = (self.root, self.height, self.len);
        }
        whole
    }
}

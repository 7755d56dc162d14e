//! Where the entries of a tree are: by rank, and from one to the next. Never changes it.

use super::{NONE, Spot, Tree};
use crate::types::zset::arena::Ref;

impl Tree {
    /// The entry of this rank.
    pub(in crate::types::zset) fn spot(&self, rank: usize) -> Option<Spot> {
        self.seek(rank, |_, _| {})
    }

    /// The entry of this rank; `visit` gets the way down to it.
    #[inline]
    pub(super) fn seek(&self, rank: usize, mut visit: impl FnMut(u32, usize)) -> Option<Spot> {
        if rank >= self.len {
            return None;
        }
        let (mut node, mut left) = (self.root, rank as u32);
        for _ in 0..self.height {
            let inner = self.inner(node);
            let mut kid = 0;
            while left >= inner.counts[kid] {
                left -= inner.counts[kid];
                kid += 1;
            }
            visit(node, kid);
            node = inner.kids[kid];
        }
        Some(Spot { leaf: node, at: left as usize })
    }

    /// The entry `steps` further on or back, if it is in the same leaf or in the next one.
    #[inline]
    pub(in crate::types::zset) fn skip(&self, spot: Spot, steps: usize, back: bool) -> Option<Spot> {
        let leaf = self.leaf(spot.leaf);
        let at = if back { spot.at.checked_sub(steps) } else { Some(spot.at + steps).filter(|at| *at < leaf.len()) };
        if let Some(at) = at {
            return Some(Spot { at, ..spot });
        }
        let number = if back { leaf.prev } else { leaf.next };
        if number == NONE {
            return None;
        }
        let len = self.leaf(number).len();
        let at = if back { (len + spot.at).checked_sub(steps) } else { Some(spot.at + steps - leaf.len()) };
        at.filter(|at| *at < len).map(|at| Spot { leaf: number, at })
    }

    pub(in crate::types::zset) fn get(&self, spot: Spot) -> (f64, Ref) {
        let leaf = self.leaf(spot.leaf);
        (leaf.scores[spot.at], leaf.refs[spot.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::zset::arena::Arena;

    #[test]
    fn skips_land_where_single_steps_do() {
        let (mut arena, mut tree) = (Arena::default(), Tree::new());
        for n in 0..1000u32 {
            let value = arena.add(f64::from(n * 7 % 1000), &n.to_le_bytes());
            tree.insert(&arena, f64::from(n * 7 % 1000), value);
        }
        for (rank, back) in [(0, false), (40, false), (500, false), (999, true), (900, true), (3, true)] {
            let spot = tree.spot(rank).expect("a rank of the tree");
            let mut stepped = Some(spot);
            for steps in 0..60 {
                let skipped = tree.skip(spot, steps, back).map(|spot| tree.get(spot));
                // one leaf further on is as far as a skip goes, and a leaf has at least 28
                if steps <= 28 || skipped.is_some() {
                    assert_eq!(skipped, stepped.map(|spot| tree.get(spot)), "{steps} from {rank}, back: {back}");
                }
                stepped = stepped.and_then(|spot| tree.skip(spot, 1, back));
            }
        }
        assert!(tree.skip(tree.spot(999).expect("the last"), 1, false).is_none());
        assert!(tree.skip(tree.spot(0).expect("the first"), 1, true).is_none());
    }
}

//! Finding the nodes nearest to a vector: greedily through the upper layers, then a best-first search of layer 0 that
//! keeps the `ef` best seen (Malkov and Yashunin 2016, algorithm 2). Changes nothing.

use super::code::Code;
use super::graph::Graph;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// A node and its distance, as one number that is ordered by the distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near(pub(super) u64);

const SIGN: u32 = 1 << 31;
const NAN_BITS: u32 = 0x7fc0_0000;

impl Near {
    #[inline]
    pub(super) fn new(distance: f32, slot: u32) -> Self {
        let bits = if distance.is_nan() { NAN_BITS } else { distance.to_bits() };
        let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        Near(u64::from(ordered) << 32 | u64::from(slot))
    }

    #[inline]
    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
    }
}

/// A bit per slot: whether a search has been there.
#[derive(Debug)]
pub(super) struct Visited(Vec<u64>);

impl Visited {
    pub(super) fn new(graph: &Graph) -> Self {
        Visited(vec![0; graph.slots().div_ceil(64) as usize])
    }

    /// True the first time.
    #[inline]
    fn enter(&mut self, slot: u32) -> bool {
        let (word, bit) = (&mut self.0[slot as usize / 64], 1 << (slot % 64));
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

/// How far a search of one layer goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// How many of the best it keeps.
    pub(super) ef: usize,
    /// Nodes whose links it follows at most.
    pub(super) steps_max: usize,
}

impl Effort {
    /// As many steps as it takes.
    pub(super) fn of(ef: usize) -> Self {
        Effort { ef, steps_max: usize::MAX }
    }
}

impl Graph {
    /// The distance from a query.
    #[inline]
    fn near(&self, query: Code<'_>, slot: u32) -> Near {
        Near::new(query.distance(self.vector(slot)), slot)
    }

    /// From the entry, the nearest node that a greedy walk finds on each layer above `layer`; `None` without nodes.
    pub(super) fn descend(&self, query: Code<'_>, layer: usize) -> Option<Near> {
        let mut best = self.near(query, self.entry?);
        for layer in (layer + 1..=self.top()).rev() {
            loop {
                let nearest = self.links(best.slot(), layer).iter().map(|slot| self.near(query, *slot)).min();
                match nearest {
                    Some(nearest) if nearest < best => best = nearest,
                    _ => break,
                }
            }
        }
        Some(best)
    }

    /// The best nodes of `layer` that `accept` takes, nearest first. Those that it does not take still lead further.
    pub(super) fn search_layer(
        &self,
        query: Code<'_>,
        from: Near,
        effort: Effort,
        layer: usize,
        mut accept: impl FnMut(u32) -> bool,
    ) -> Vec<Near> {
        let mut visited = Visited::new(self);
        let mut ahead = BinaryHeap::from([Reverse(from)]);
        let mut best = BinaryHeap::new();
        visited.enter(from.slot());
        if accept(from.slot()) {
            best.push(from);
        }
        let mut worst = Near(u64::MAX);
        for _ in 0..effort.steps_max {
            let Some(Reverse(here)) = ahead.pop() else { break };
            if here > worst {
                break;
            }
            for slot in self.links(here.slot(), layer) {
                if !visited.enter(*slot) {
                    continue;
                }
                let near = self.near(query, *slot);
                if near >= worst {
                    continue;
                }
                ahead.push(Reverse(near));
                if !accept(*slot) {
                    continue;
                }
                best.push(near);
                if best.len() > effort.ef {
                    best.pop();
                }
                if best.len() == effort.ef {
                    worst = best.peek().copied().unwrap_or(worst);
                }
            }
        }
        best.into_sorted_vec()
    }

    /// The best nodes among all, nearest first.
    pub(super) fn scan(&self, query: Code<'_>, count: usize, accept: impl FnMut(u32) -> bool) -> Vec<Near> {
        let mut best = BinaryHeap::new();
        self.look(query, 0..self.slots(), count, &mut best, accept);
        best.into_sorted_vec()
    }

    /// Looks at the nodes in some slots, keeping the `count` best that `accept` takes.
    pub(super) fn look(
        &self,
        query: Code<'_>,
        slots: Range<u32>,
        count: usize,
        best: &mut BinaryHeap<Near>,
        mut accept: impl FnMut(u32) -> bool,
    ) {
        for slot in slots.filter(|slot| self.node(*slot).taken) {
            let near = self.near(query, slot);
            if (best.len() < count || best.peek().is_some_and(|worst| near < *worst)) && accept(slot) {
                best.push(near);
                if best.len() > count {
                    best.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_distance() {
        let distances = [f32::NEG_INFINITY, -1e-7, 0.0, 1e-7, 0.5, 1.0, 2.0, f32::INFINITY];
        let nears: Vec<Near> = distances.iter().map(|d| Near::new(*d, 7)).collect();
        assert!(nears.is_sorted() && nears.iter().all(|near| near.slot() == 7));
        assert!(nears.iter().zip(distances).all(|(near, distance)| near.distance() == distance));
        assert!(Near::new(-f32::NAN, 0) > Near::new(f32::INFINITY, 9), "no distance is the farthest");
        assert!(Near::new(f32::NAN, 0).distance().is_nan());
    }
}

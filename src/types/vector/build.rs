//! Linking a new node, and mending the graph where one leaves. Every link goes both ways, so a full node takes a new
//! link only for one that it gives up, and never leaves another node without any.
//!
//! Which links: the nearest that are not nearer to one already chosen than to the node itself, so that links lead into
//! all directions (Malkov and Yashunin 2016, algorithm 4), then the nearest of the rest. A full node gives up the
//! farthest neighbour that another of its neighbours covers in that sense.

use super::graph::Graph;
use super::search::{Effort, Near};

impl Graph {
    /// Links a node that has been placed: on each of its layers to what a search with `ef` finds there.
    pub(super) fn connect(&mut self, slot: u32, ef: usize) {
        let level = self.level(slot);
        let Some(entry) = self.entry else {
            self.entry = Some(slot);
            return;
        };
        let top = self.level(entry);
        let Some(mut from) = self.descend(self.vector(slot), level) else { return };
        for layer in (0..=level.min(top)).rev() {
            let found = self.search_layer(self.vector(slot), from, Effort::of(ef), layer, |_| true);
            from = found.first().copied().unwrap_or(from);
            self.link_among(slot, &found, layer);
        }
        if level > top {
            self.entry = Some(slot);
        }
    }

    /// Links a node to the best of those found, which are in the order of their distance.
    fn link_among(&mut self, slot: u32, found: &[Near], layer: usize) {
        for near in self.choose(found, self.links_wanted()) {
            self.tie(slot, near, layer, false);
        }
        if let Some(nearest) = found.first().filter(|_| self.links(slot, layer).is_empty()) {
            self.tie(slot, *nearest, layer, true);
        }
    }

    /// Up to `count` of those found, into all directions first.
    fn choose(&self, found: &[Near], count: usize) -> Vec<Near> {
        let mut chosen: Vec<Near> = Vec::with_capacity(count);
        let mut covered = Vec::new();
        for near in found {
            if chosen.len() == count {
                return chosen;
            }
            let vector = self.vector(near.slot());
            let distance = near.distance();
            if chosen.iter().all(|other| vector.distance(self.vector(other.slot())) >= distance) {
                chosen.push(*near);
            } else {
                covered.push(*near);
            }
        }
        let room = count - chosen.len();
        chosen.extend(covered.into_iter().take(room));
        chosen
    }

    /// Links a node to one at that distance, if that is worth a link of the other's. `anyway`: whatever it is worth.
    fn tie(&mut self, slot: u32, near: Near, layer: usize, anyway: bool) {
        let other = near.slot();
        let links_max = self.links_max(layer);
        if self.links(slot, layer).len() >= links_max || self.links(slot, layer).contains(&other) {
            return;
        }
        if self.links(other, layer).len() >= links_max {
            let Some(victim) = self.victim(slot, near, layer, anyway) else { return };
            self.unlink(other, victim, layer);
        }
        self.link(slot, other, layer);
    }

    /// Whom a full node gives up for `slot`, which is `near` it.
    fn victim(&self, slot: u32, near: Near, layer: usize, anyway: bool) -> Option<u32> {
        let full = near.slot();
        let keep = (self.links_wanted() / 4).max(1);
        let mut old: Vec<Near> =
            self.links(full, layer).iter().map(|link| Near::new(self.distance(full, *link), *link)).collect();
        old.sort_unstable();
        let may_go = |link: &Near| self.links(link.slot(), layer).len() > keep;
        for (rank, link) in old.iter().enumerate().rev() {
            if link.distance() <= near.distance() {
                break;
            }
            let vector = self.vector(link.slot());
            let covers = |by: u32| vector.distance(self.vector(by)) < link.distance();
            if may_go(link) && (covers(slot) || old[..rank].iter().any(|nearer| covers(nearer.slot()))) {
                return Some(link.slot());
            }
        }
        let farther = |link: &&Near| link.distance() > near.distance() && may_go(link);
        let found = old.iter().rev().find(farther).map(|link| link.slot());
        if found.is_none() && anyway {
            return old.iter().map(|link| link.slot()).max_by_key(|link| self.links(*link, layer).len());
        }
        found
    }

    /// Takes a node out of every layer, links those among each other that it held together, and finds a new entry if
    /// it was that. The slot can then be given free.
    pub(super) fn disconnect(&mut self, slot: u32, ef: usize) {
        if self.entry == Some(slot) {
            self.entry = self.highest(slot);
        }
        for layer in 0..=self.level(slot) {
            let around = self.links(slot, layer).to_vec();
            around.iter().for_each(|other| self.unlink(slot, *other, layer));
            self.mend(&around, layer);
            for other in around {
                if self.links(other, layer).is_empty() {
                    self.rescue(other, layer, ef);
                }
            }
        }
    }

    /// Gives each of these nodes, which all have lost a link, a new one to another of them, the nearest pairs first.
    fn mend(&mut self, around: &[u32], layer: usize) {
        let mut pairs = Vec::with_capacity(around.len() * around.len() / 2);
        for (i, a) in around.iter().enumerate() {
            for (j, b) in around[..i].iter().enumerate() {
                pairs.push((Near::new(self.distance(*a, *b), 0), i, j));
            }
        }
        pairs.sort_unstable();
        let mut mended = vec![false; around.len()];
        for (_, i, j) in pairs {
            let (a, b) = (around[i], around[j]);
            if mended[i] && mended[j] || self.links(a, layer).contains(&b) {
                continue;
            }
            let room = |slot| self.links(slot, layer).len() < self.links_max(layer);
            if room(a) && room(b) {
                self.link(a, b, layer);
                (mended[i], mended[j]) = (true, true);
            }
        }
    }

    /// Links a node that has no links left to what a search finds.
    fn rescue(&mut self, slot: u32, layer: usize, ef: usize) {
        let Some(from) = self.descend(self.vector(slot), layer) else { return };
        if self.level(from.slot()) < layer {
            return;
        }
        let mut found = self.search_layer(self.vector(slot), from, Effort::of(ef), layer, |_| true);
        found.retain(|near| near.slot() != slot);
        self.link_among(slot, &found, layer);
    }
}

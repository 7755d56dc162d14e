//! The nodes of a proximity graph and their links, layer by layer (Malkov and Yashunin 2016, "Efficient and robust
//! approximate nearest neighbor search using Hierarchical Navigable Small World graphs"). Keeps the graph whole: a link
//! always goes both ways, so an element can be taken out for good. Searching it is in [`super::search`], changing it in
//! [`super::build`]. Never knows clients.
//!
//! Slots are dense numbers; that of a removed element is used again. Layer 0 has every node, and twice the links of the
//! layers above; those have ever fewer nodes, and the topmost holds the entry, where every search begins.

use super::Shape;
use super::code::{Code, Vectors};
use super::pages::Pages;
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use std::collections::BTreeSet;
use std::ops::Bound;

/// What belongs to a slot beside its vector and its links of layer 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The element.
    pub(super) name: Box<[u8]>,
    /// JSON, if the element has attributes.
    pub(super) attributes: Option<Box<[u8]>>,
    /// Links of layers 1 and up.
    pub(super) upper: Box<[Vec<u32>]>,
    /// Number that no other element of the set has, or had.
    pub(super) uid: u64,
    /// Length of the vector before it was brought to 1.
    pub(super) length: f32,
    /// Links of layer 0.
    pub(super) near: u16,
    /// Whether the slot is in use.
    pub(super) taken: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub(super) vectors: Vectors,
    nodes: Pages<Node>,
    near: Pages<u32>,
    free: Vec<u32>,
    pub(super) entry: Option<u32>,
    /// Nodes above layer 0, by their highest layer.
    tall: BTreeSet<(u8, u32)>,
    links_max: usize,
}

impl Graph {
    /// Without nodes; each will have up to `links_max` links on a layer, twice that on layer 0.
    pub(super) fn new(vectors: Vectors, links_max: usize) -> Self {
        Graph {
            vectors,
            nodes: Pages::new(1),
            near: Pages::new(2 * links_max),
            free: Vec::new(),
            entry: None,
            tall: BTreeSet::new(),
            links_max,
        }
    }

    /// One more than the highest slot.
    pub(super) fn slots(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Links that a new node looks for on a layer.
    pub(super) fn links_wanted(&self) -> usize {
        self.links_max
    }

    /// Links that a node may have on `layer`.
    pub(super) fn links_max(&self, layer: usize) -> usize {
        if layer == 0 { 2 * self.links_max } else { self.links_max }
    }

    pub(super) fn node(&self, slot: u32) -> &Node {
        &self.nodes.row(slot as usize)[0]
    }

    pub(super) fn node_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes.row_mut(slot as usize)[0]
    }

    /// Slots in use.
    pub(super) fn taken(&self) -> impl Iterator<Item = u32> + '_ {
        self.taken_from(0)
    }

    /// Slots in use from one on.
    pub(super) fn taken_from(&self, from: u32) -> impl Iterator<Item = u32> + '_ {
        (from..self.slots()).filter(|slot| self.node(*slot).taken)
    }

    /// The highest layer a node is on.
    pub(super) fn level(&self, slot: u32) -> usize {
        self.node(slot).upper.len()
    }

    /// The highest layer there is.
    pub(super) fn top(&self) -> usize {
        self.entry.map_or(0, |slot| self.level(slot))
    }

    #[inline]
    pub(super) fn vector(&self, slot: u32) -> Code<'_> {
        self.vectors.get(slot)
    }

    #[inline]
    pub(super) fn distance(&self, a: u32, b: u32) -> f32 {
        self.vector(a).distance(self.vector(b))
    }

    /// Who a node is linked to on `layer`; nobody if it is not there.
    #[inline]
    pub(super) fn links(&self, slot: u32, layer: usize) -> &[u32] {
        let node = self.node(slot);
        match layer {
            0 => &self.near.row(slot as usize)[..usize::from(node.near)],
            _ => node.upper.get(layer - 1).map_or(&[], Vec::as_slice),
        }
    }

    /// Takes a slot for a node on layers 0 to `level`, without links, with this vector.
    pub(super) fn place(&mut self, node: Node, vector: Code<'_>, level: usize) -> u32 {
        let node = Node { upper: vec![Vec::new(); level].into_boxed_slice(), near: 0, taken: true, ..node };
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.node_mut(slot) = node;
                slot
            }
            None => {
                self.nodes.push([node]);
                self.near.push(std::iter::repeat_n(0, self.near.stride()));
                self.slots() - 1
            }
        };
        self.vectors.set(slot, vector);
        if level > 0 {
            self.tall.insert((level as u8, slot));
        }
        slot
    }

    /// Gives a slot free whose links are gone, and answers what was there.
    pub(super) fn displace(&mut self, slot: u32) -> Node {
        let level = self.level(slot);
        self.tall.remove(&(level as u8, slot));
        let node = std::mem::take(self.node_mut(slot));
        assert!(node.near == 0 && node.taken, "links go first");
        self.free.push(slot);
        node
    }

    /// A node of the highest layer there is, any node if all are on layer 0; not `but`.
    pub(super) fn highest(&self, but: u32) -> Option<u32> {
        let tall = self.tall.iter().rev().map(|(_, slot)| *slot);
        tall.chain(self.taken()).find(|slot| *slot != but)
    }

    /// Links two nodes that both have room and are not linked.
    pub(super) fn link(&mut self, a: u32, b: u32, layer: usize) {
        self.push(a, b, layer);
        self.push(b, a, layer);
    }

    /// Takes the link of two nodes away.
    pub(super) fn unlink(&mut self, a: u32, b: u32, layer: usize) {
        self.pull(a, b, layer);
        self.pull(b, a, layer);
    }

    fn push(&mut self, from: u32, to: u32, layer: usize) {
        assert!(self.links(from, layer).len() < self.links_max(layer), "there is room");
        if layer > 0 {
            return self.node_mut(from).upper[layer - 1].push(to);
        }
        let at = usize::from(self.node(from).near);
        self.near.row_mut(from as usize)[at] = to;
        self.node_mut(from).near += 1;
    }

    fn pull(&mut self, from: u32, to: u32, layer: usize) {
        let Some(at) = self.links(from, layer).iter().position(|slot| *slot == to) else { return };
        if layer > 0 {
            self.node_mut(from).upper[layer - 1].swap_remove(at);
            return;
        }
        let last = usize::from(self.node(from).near) - 1;
        self.near.row_mut(from as usize).swap(at, last);
        self.node_mut(from).near -= 1;
    }

    /// Frees about `budget` nodes of a graph that nobody can reach any more; true when nothing is left.
    pub(super) fn free_step(&mut self, budget: usize) -> bool {
        self.free.clear();
        self.tall.clear();
        self.entry = None;
        // Links and vectors are plain memory, a page of them goes at once; nodes hold allocations of their own.
        self.near.free_step(budget) & self.vectors.free_step(budget) && self.nodes.free_step(budget)
    }

    /// What [`Graph::copy_step`] fills; `shape` is that of the set.
    pub(super) fn begin_copy(&self, shape: &Shape) -> Graph {
        Graph::new(Vectors::new(shape.quant, shape.dim), self.links_max)
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Graph, progress: &mut Progress) -> bool {
        let pages = self.vectors.copy_step(&mut copy.vectors, progress)
            && self.near.copy_step(&mut copy.near, progress)
            && self.nodes.copy_step(&mut copy.nodes, progress);
        if !pages {
            return false;
        }
        let after = copy.tall.last().map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
        let tall = progress.each(self.tall.range((after, Bound::Unbounded)), |tall| {
            copy.tall.insert(*tall);
            size_of_val(tall)
        });
        if !tall {
            return false;
        }
        copy.free = self.free.clone();
        copy.entry = self.entry;
        true
    }

    /// Moves blocks that are worth it; false if some are left to look at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        let ended = self.vectors.defrag(mover, place)
            && mover.each(place, self.near.pages_mut().iter_mut(), |mover, page| mover.vec(page))
            && mover.each(place, self.nodes.pages_mut().iter_mut(), |mover, page| {
                mover.vec(page);
                for node in page {
                    mover.slice(&mut node.name);
                    node.attributes.iter_mut().for_each(|attributes| mover.slice(attributes));
                    node.upper.iter_mut().for_each(|links| mover.vec(links));
                    mover.slice(&mut node.upper);
                }
            });
        if ended {
            mover.vec(&mut self.free);
        }
        ended
    }

    /// Heap bytes, without what nodes point to.
    pub(super) fn heap_bytes(&self) -> usize {
        let upper = self.tall.len() * (24 + size_of::<Vec<u32>>() + self.links_max * size_of::<u32>());
        let free = self.free.capacity() * size_of::<u32>();
        self.vectors.heap_bytes() + self.nodes.heap_bytes() + self.near.heap_bytes() + free + upper
    }
}

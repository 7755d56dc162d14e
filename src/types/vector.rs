//! Vector sets: elements that have a vector each, and perhaps attributes, found by how near their vectors are to
//! another. No I/O, no clock, no clients; what vectors and elements may be is bounded by the caller.
//!
//! - [`code`]: the forms in which vectors are kept, and their distance;
//! - [`graph`], [`search`], [`build`]: the proximity graph (HNSW) that finds near ones without looking at all;
//! - [`project`]: vectors in fewer dimensions;
//! - [`filter`]: expressions over attributes; [`stored`]: a set piece by piece, for files;
//! - the names lead to the graph's slots through [`Fields`], so that no change of one element touches many others, and
//!   a set of millions grows and is freed in small steps.
//!
//! Graphs are drawn by dice: two sets of the same elements are equal, though their links differ.

mod build;
mod code;
pub mod filter;
mod graph;
pub mod look;
mod pages;
mod project;
mod search;
mod stored;

pub use code::Quant;
pub use stored::{Layer, Stored};

use crate::base::stats::Random;
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use crate::types::fields::Fields;
use crate::types::listpack::Item;
use code::{Coded, Vectors, normalize};
use graph::{Graph, Node};
use project::Projection;
use search::{Effort, Near};

/// Highest layer of a graph.
const LEVEL_MAX: usize = 16;
/// Most links per node and layer that a graph is built with, whatever `M` says: more cost time and find no better.
const GRAPH_LINKS_MAX: usize = 512;
/// What a search for new links keeps when an element leaves.
const MEND_EF: usize = 64;
/// Heap bytes of a string beside its own.
const STRING_OVERHEAD: usize = 8;

/// What all elements of a set have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Components of the vectors as they are kept.
    pub dim: usize,
    /// Form of the components.
    pub quant: Quant,
    /// `M`: links that an element wants on each layer.
    pub links: usize,
    /// Components of vectors on their way in, if the set keeps them reduced to [`Shape::dim`].
    pub input: Option<usize>,
}

/// One element as a search shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'a> {
    /// The element.
    pub name: &'a [u8],
    /// Its attributes.
    pub attributes: Option<&'a [u8]>,
    /// 0 (the same direction) to 2 (the opposite one).
    pub distance: f32,
}

/// How a search goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the graph, keeping the `ef` best on the way and following the links of at most `steps_max` elements.
    Graph {
        /// At least how many are wanted.
        ef: usize,
        /// Matters where a filter refuses many.
        steps_max: usize,
    },
    /// By looking at every element, for `count` of them.
    All {
        /// How many are wanted.
        count: usize,
    },
}

/// A vector as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    /// In the form of the set's [`Quant`], little-endian.
    pub bytes: Vec<u8>,
    /// Length of the vector before it was brought to 1.
    pub length: f32,
    /// In [`Quant::Q8`]: what a byte of 127 stands for.
    pub range: f32,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct VectorSet {
    shape: Shape,
    projection: Option<Projection>,
    /// Element to slot.
    names: Fields,
    graph: Graph,
    /// Elements with attributes.
    attributed: usize,
    /// Bytes of names and attributes.
    text_bytes: usize,
    uid: u64,
    last_uid: u64,
    dice: Random,
}

impl VectorSet {
    /// An empty set. `seed` decides its number and what its graph looks like.
    pub fn new(shape: Shape, seed: u64) -> Self {
        assert!(shape.dim > 0 && shape.links > 1, "the caller checks");
        let vectors = Vectors::new(shape.quant, shape.dim);
        VectorSet {
            shape,
            projection: shape.input.map(Projection::new),
            names: Fields::new(),
            graph: Graph::new(vectors, shape.links.min(GRAPH_LINKS_MAX)),
            attributed: 0,
            text_bytes: 0,
            uid: seed >> 11,
            last_uid: 0,
            dice: Random::new(seed),
        }
    }

    /// What the elements have in common.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Elements with attributes.
    pub fn attributed(&self) -> usize {
        self.attributed
    }

    /// The highest layer of the graph.
    pub fn level_max(&self) -> usize {
        self.graph.top()
    }

    /// A number drawn for the set, and the highest that one of its elements ever had.
    pub fn uids(&self) -> (u64, u64) {
        (self.uid, self.last_uid)
    }

    fn slot(&self, name: &[u8]) -> Option<u32> {
        match self.names.get(name)?.value {
            Item::Int(slot) => u32::try_from(slot).ok(),
            Item::Str(_) => None,
        }
    }

    /// Whether it is an element.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.names.contains(name)
    }

    /// A vector of [`Shape::input`] components, reduced to [`Shape::dim`].
    pub fn reduce(&self, vector: &[f32]) -> Vec<f32> {
        match &self.projection {
            Some(projection) => projection.apply(vector, self.shape.dim),
            None => vector.to_vec(),
        }
    }

    /// Adds an element with a vector of [`Shape::dim`] components, or gives it another vector; true if it was not
    /// there. `attributes`, if any, replace those it has; empty ones take them away. `ef`: how widely to look for
    /// neighbours.
    pub fn add(&mut self, name: &[u8], mut vector: Vec<f32>, attributes: Option<&[u8]>, ef: usize) -> bool {
        assert_eq!(vector.len(), self.shape.dim, "the caller checks");
        let length = normalize(&mut vector);
        let coded = Coded::of(vector, self.shape.quant);
        let old = self.slot(name).map(|slot| {
            self.graph.disconnect(slot, MEND_EF);
            self.graph.displace(slot)
        });
        let added = old.is_none();
        if added {
            self.text_bytes += name.len() + STRING_OVERHEAD;
        }
        let level = self.draw_level();
        self.last_uid += 1;
        let old = old.unwrap_or_else(|| Node { name: name.into(), ..Node::default() });
        let slot = self.graph.place(Node { uid: self.last_uid, length, ..old }, coded.view(), level);
        self.graph.connect(slot, ef.max(self.graph.links_wanted()));
        self.names.set(name, itoa::Buffer::new().format(slot).as_bytes(), crate::types::table::Expire::Clear);
        if let Some(attributes) = attributes {
            self.set_attributes_at(slot, attributes);
        }
        added
    }

    /// Each layer has one in [`Shape::links`] of the nodes of the layer below.
    fn draw_level(&mut self) -> usize {
        let odds = self.graph.links_wanted() as u64;
        (0..LEVEL_MAX).take_while(|_| self.dice.below(odds) == 0).count()
    }

    /// Removes an element; false if it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(slot) = self.slot(name) else { return false };
        self.graph.disconnect(slot, MEND_EF);
        let node = self.graph.displace(slot);
        self.names.remove(name);
        self.text_bytes -= name.len() + STRING_OVERHEAD;
        if let Some(attributes) = node.attributes {
            self.attributed -= 1;
            self.text_bytes -= attributes.len() + STRING_OVERHEAD;
        }
        true
    }

    /// The vector of an element, as near to what was given as its form allows.
    pub fn vector(&self, name: &[u8]) -> Option<Vec<f32>> {
        let slot = self.slot(name)?;
        let mut vector = self.graph.vector(slot).decode();
        if self.shape.quant != Quant::Bin {
            let length = self.graph.node(slot).length;
            vector.iter_mut().for_each(|x| *x *= length);
        }
        Some(vector)
    }

    /// The vector of an element as it is kept.
    pub fn raw(&self, name: &[u8]) -> Option<Raw> {
        let slot = self.slot(name)?;
        let vector = self.graph.vector(slot);
        Some(Raw { bytes: vector.to_bytes(), length: self.graph.node(slot).length, range: vector.range() })
    }

    /// The attributes of an element, if it has any.
    pub fn attributes(&self, name: &[u8]) -> Option<&[u8]> {
        self.graph.node(self.slot(name)?).attributes.as_deref()
    }

    /// Sets the attributes of an element, empty ones take them away; false if it is not there.
    pub fn set_attributes(&mut self, name: &[u8], attributes: &[u8]) -> bool {
        let slot = self.slot(name);
        slot.into_iter().for_each(|slot| self.set_attributes_at(slot, attributes));
        slot.is_some()
    }

    fn set_attributes_at(&mut self, slot: u32, attributes: &[u8]) {
        let new = Some(Box::<[u8]>::from(attributes)).filter(|bytes| !bytes.is_empty());
        let bytes = |text: &Option<Box<[u8]>>| text.as_ref().map_or(0, |text| text.len() + STRING_OVERHEAD);
        self.attributed += usize::from(new.is_some());
        self.text_bytes += bytes(&new);
        let old = std::mem::replace(&mut self.graph.node_mut(slot).attributes, new);
        self.attributed -= usize::from(old.is_some());
        self.text_bytes -= bytes(&old);
    }

    /// The elements nearest to a vector of [`Shape::dim`] components, nearest first, of those whose attributes
    /// `accept` takes.
    pub fn search(
        &self,
        mut vector: Vec<f32>,
        way: Way,
        mut accept: impl FnMut(Option<&[u8]>) -> bool,
    ) -> impl Iterator<Item = Found<'_>> {
        assert_eq!(vector.len(), self.shape.dim, "the caller checks");
        normalize(&mut vector);
        let query = Coded::of(vector, self.shape.quant);
        let accept = |slot| accept(self.graph.node(slot).attributes.as_deref());
        let found = match way {
            Way::All { count } => self.graph.scan(query.view(), count, accept),
            Way::Graph { ef, steps_max } => match self.graph.descend(query.view(), 0) {
                Some(from) => self.graph.search_layer(query.view(), from, Effort { ef, steps_max }, 0, accept),
                None => Vec::new(),
            },
        };
        found.into_iter().map(|near| self.found(near))
    }

    fn found(&self, near: Near) -> Found<'_> {
        let node = self.graph.node(near.slot());
        Found { name: &node.name, attributes: node.attributes.as_deref(), distance: near.distance() }
    }

    /// Whom an element is linked to, from its highest layer down; `None` if it is not there.
    pub fn links(&self, name: &[u8]) -> Option<Vec<Vec<Found<'_>>>> {
        let slot = self.slot(name)?;
        let found = |other: &u32| self.found(Near::new(self.graph.distance(slot, *other), *other));
        let layer = |layer| self.graph.links(slot, layer).iter().map(found).collect();
        Some((0..=self.graph.level(slot)).rev().map(layer).collect())
    }

    /// An element drawn at random, each with the same chance. `random` gives 64 random bits.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<&[u8]> {
        self.names.random(random).map(|field| field.name)
    }

    /// The elements, in no order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> + '_ {
        self.names.iter().map(|field| field.name)
    }

    /// Moves blocks out of pages that hold little else, from where the last step ended (0 to begin with); `None` when
    /// all were looked at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        let mut place = Place::of(from);
        if !self.graph.defrag(mover, &mut place) {
            return Some(place.reached());
        }
        (!self.names.defrag(mover)).then(|| place.reached())
    }

    /// What [`VectorSet::copy_step`] fills.
    pub(super) fn begin_copy(&self) -> VectorSet {
        VectorSet {
            projection: self.projection.clone(),
            names: Fields::new(),
            graph: self.graph.begin_copy(&self.shape),
            dice: self.dice.clone(),
            ..*self
        }
    }

    /// Goes on with a copy; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut VectorSet, progress: &mut Progress) -> bool {
        self.graph.copy_step(&mut copy.graph, progress) && self.names.copy_step(&mut copy.names, progress)
    }

    /// Frees about `budget` elements of a set that nobody can reach any more; true when the rest may be dropped.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.names.free_step(budget) && self.graph.free_step(budget)
    }

    /// Heap bytes behind it.
    pub fn heap_bytes(&self) -> usize {
        let matrix = self.projection.as_ref().map_or(0, Projection::heap_bytes);
        self.names.heap_bytes() + self.graph.heap_bytes() + self.text_bytes + matrix + size_of::<VectorSet>()
    }
}

/// The same elements with the same vectors and attributes, whatever the graphs look like.
impl PartialEq for VectorSet {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.projection == other.projection
            && self.len() == other.len()
            && self.graph.taken().all(|slot| {
                let node = self.graph.node(slot);
                let there = other.slot(&node.name).map(|slot| (other.graph.node(slot), other.graph.vector(slot)));
                there.is_some_and(|(twin, vector)| {
                    let same = twin.length.to_bits() == node.length.to_bits() && twin.attributes == node.attributes;
                    same && vector.to_bytes() == self.graph.vector(slot).to_bytes()
                })
            })
    }
}

impl Eq for VectorSet {}

#[cfg(test)]
#[path = "vector_tests.rs"]
mod tests;

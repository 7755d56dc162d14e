//! A vector set piece by piece, links included, for what keeps it in a file: made from a set, and a set made from it.
//! What comes from a file is not believed: a set is made only of pieces that fit together.

use super::code::Coded;
use super::graph::Node;
use super::project::Projection;
use super::{LEVEL_MAX, STRING_OVERHEAD, Shape, VectorSet};
use crate::types::table::Expire;
use std::collections::BTreeMap;

/// An element's links on one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Numbers of the elements it is linked to.
    pub links: Vec<u64>,
    /// How many it may have.
    pub links_max: usize,
    /// Which of them is the farthest, and how far it is; both 0 without links.
    pub farthest: (usize, f32),
}

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<'a> {
    /// The element.
    pub name: &'a [u8],
    /// Its attributes.
    pub attributes: Option<&'a [u8]>,
    /// Its vector as it is kept, see [`super::Raw`].
    pub bytes: Vec<u8>,
    /// See [`super::Raw`].
    pub length: f32,
    /// See [`super::Raw`].
    pub range: f32,
    /// Its number, by which others are linked to it.
    pub uid: u64,
    /// Layers from 0 up.
    pub layers: Vec<Layer>,
}

impl VectorSet {
    /// The matrix of a set that reduces its vectors, row by row.
    pub fn matrix(&self) -> Option<impl Iterator<Item = f32> + '_> {
        self.projection.as_ref().map(|projection| projection.rows(self.shape.dim))
    }

    /// Its elements from a place on, each with its place; they keep them while the set does not change.
    pub fn stored(&self, from: u32) -> impl Iterator<Item = (u32, Stored<'_>)> {
        self.graph.taken_from(from).map(|slot| {
            let (node, vector) = (self.graph.node(slot), self.graph.vector(slot));
            let stored = Stored {
                name: &node.name,
                attributes: node.attributes.as_deref(),
                bytes: vector.to_bytes(),
                length: node.length,
                range: vector.range(),
                uid: node.uid,
                layers: (0..=self.graph.level(slot)).map(|layer| self.stored_layer(slot, layer)).collect(),
            };
            (slot, stored)
        })
    }

    fn stored_layer(&self, slot: u32, layer: usize) -> Layer {
        let links = self.graph.links(slot, layer);
        let mut farthest = (0, 0.0);
        for (at, link) in links.iter().enumerate() {
            let distance = self.graph.distance(slot, *link);
            if distance > farthest.1 {
                farthest = (at, distance);
            }
        }
        let links = links.iter().map(|link| self.graph.node(*link).uid).collect();
        Layer { links, links_max: self.graph.links_max(layer), farthest }
    }

    /// A set of these elements with these links. `matrix` for a shape with an input, of `input * dim` numbers. Tells
    /// what does not fit together.
    pub fn restore(
        shape: Shape,
        matrix: Option<Vec<f32>>,
        mut elements: Vec<Stored<'_>>,
        seed: u64,
    ) -> Result<Self, &'static str> {
        let mut set = VectorSet::new(shape, seed);
        if let (Some(input), Some(matrix)) = (shape.input, matrix) {
            set.projection = Some(Projection::with_matrix(input, shape.dim, matrix));
        }
        let mut slots = BTreeMap::new();
        for element in &mut elements {
            for layer in &mut element.layers {
                layer.links.sort_unstable();
            }
            let slot = set.restore_element(element)?;
            if slots.insert(element.uid, slot).is_some() {
                return Err("a vector set's number twice");
            }
        }
        for (slot, element) in elements.iter().enumerate() {
            for (layer, links) in element.layers.iter().enumerate() {
                for (at, uid) in links.links.iter().enumerate() {
                    let other = *slots.get(uid).ok_or("a link to nobody")?;
                    let back = elements[other as usize].layers.get(layer);
                    let mutual = back.is_some_and(|back| back.links.binary_search(&element.uid).is_ok());
                    let twice = at > 0 && links.links[at - 1] == *uid;
                    if !mutual || twice || other == slot as u32 {
                        return Err("a link that goes one way");
                    }
                    let room = |slot| set.graph.links(slot, layer).len() < set.graph.links_max(layer);
                    if other < slot as u32 && room(other) && room(slot as u32) {
                        set.graph.link(slot as u32, other, layer);
                    }
                }
            }
        }
        set.graph.entry = set.graph.highest(u32::MAX);
        Ok(set)
    }

    /// Takes an element in, without its links.
    fn restore_element(&mut self, element: &Stored<'_>) -> Result<u32, &'static str> {
        let shape = self.shape;
        let vector = Coded::from_bytes(&element.bytes, shape.quant, shape.dim, element.range);
        let vector = vector.ok_or("a vector of another dimension")?;
        let level = element.layers.len().checked_sub(1).filter(|level| *level <= LEVEL_MAX);
        let level = level.ok_or("an element without layers")?;
        let node = Node { name: element.name.into(), uid: element.uid, length: element.length, ..Node::default() };
        let slot = self.graph.place(node, vector.view(), level);
        let digits = &mut itoa::Buffer::new();
        if !self.names.set(element.name, digits.format(slot).as_bytes(), Expire::Clear) {
            return Err("an element twice");
        }
        self.text_bytes += element.name.len() + STRING_OVERHEAD;
        self.last_uid = self.last_uid.max(element.uid);
        element.attributes.into_iter().for_each(|attributes| self.set_attributes_at(slot, attributes));
        Ok(slot)
    }
}

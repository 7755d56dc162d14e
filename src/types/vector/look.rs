//! A look at every element of a vector set for those nearest to a vector, in steps. Never follows a link, and expects
//! that nobody changes the set between two steps.

use super::code::Coded;
use super::filter::Filter;
use super::search::Near;
use super::{Found, VectorSet, normalize};
use std::collections::BinaryHeap;

/// See the module.
#[derive(Debug)]
pub struct Look {
    query: Coded,
    filter: Option<Filter>,
    /// How many are wanted, and the best so far.
    count: usize,
    best: BinaryHeap<Near>,
    /// The slot to look at next.
    next: u32,
}

/// The elements that a look found, nearest first. Good as long as the set stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked(Vec<Near>);

impl Look {
    /// Looks at about as many elements as have `bytes` bytes; true when it has seen all.
    pub fn step(&mut self, set: &VectorSet, bytes: usize) -> bool {
        let (graph, query) = (&set.graph, self.query.view());
        let elements = (bytes / set.shape.quant.bytes(set.shape.dim).max(1)).max(1);
        let end = graph.slots().min(self.next.saturating_add(u32::try_from(elements).unwrap_or(u32::MAX)));
        let Look { filter, count, best, .. } = self;
        graph.look(query, self.next..end, *count, best, |slot| {
            Filter::passes(filter.as_ref(), graph.node(slot).attributes.as_deref())
        });
        self.next = end;
        end == graph.slots()
    }

    /// What it has found.
    pub fn end(self) -> Looked {
        Looked(self.best.into_sorted_vec())
    }
}

impl Looked {
    /// As bytes, to take it elsewhere.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|near| near.0.to_le_bytes()).collect()
    }

    /// What [`Looked::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Looked {
        let (numbers, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "whole numbers were written");
        Looked(numbers.iter().map(|number| Near(u64::from_le_bytes(*number))).collect())
    }
}

impl VectorSet {
    /// Begins to look for the `count` elements nearest to a vector, of those whose attributes the filter takes.
    pub fn begin_look(&self, mut vector: Vec<f32>, count: usize, filter: Option<Filter>) -> Look {
        assert_eq!(vector.len(), self.shape.dim, "the caller checks");
        normalize(&mut vector);
        Look { query: Coded::of(vector, self.shape.quant), filter, count, best: BinaryHeap::new(), next: 0 }
    }

    /// The elements that a look at this set found, nearest first.
    pub fn looked(&self, found: Looked) -> impl Iterator<Item = Found<'_>> {
        found.0.into_iter().map(|near| self.found(near))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::vector::{Quant, Shape, Way};

    #[test]
    fn steps_find_what_one_look_finds() {
        let shape = Shape { dim: 3, input: None, quant: Quant::Q8, links: 4 };
        let mut set = VectorSet::new(shape, 1);
        for n in 0..500u32 {
            let vector = vec![n as f32, 250.0 - n as f32, (n % 7) as f32];
            set.add(format!("e{n}").as_bytes(), vector, Some(format!("{{\"n\":{n}}}").as_bytes()), 20);
        }
        for n in (0..500).step_by(3) {
            set.remove(format!("e{n}").as_bytes());
        }
        let query = vec![1.0, 2.0, 3.0];
        let accept = |json: Option<&[u8]>| Filter::compile(b".n > 100").unwrap().accepts(json.unwrap());
        let once: Vec<Vec<u8>> =
            set.search(query.clone(), Way::All { count: 20 }, accept).map(|found| found.name.to_vec()).collect();
        for bytes in [1, 50, 1 << 20] {
            let mut look = set.begin_look(query.clone(), 20, Filter::compile(b".n > 100").ok());
            let mut steps = 1;
            while !look.step(&set, bytes) {
                steps += 1;
            }
            let looked = look.end();
            assert_eq!(Looked::from_bytes(&looked.to_bytes()), looked);
            let names: Vec<Vec<u8>> = set.looked(looked).map(|found| found.name.to_vec()).collect();
            assert_eq!((names, steps > 10), (once.clone(), bytes < 100), "by {bytes}");
        }
    }
}

//! The large form of a list: chunks in a row, and a directory of how many elements each has. Never keeps an empty
//! chunk. Which elements share a chunk follows Redis's quicklist.

use super::chunk::Chunk;
use super::{Fill, ends_item, remove_equal, walk_chunk};
use crate::types::defrag::{Mover, Place};
use crate::types::listpack::entry::{Encoded, Item, Needle};
use std::collections::VecDeque;

#[derive(Debug, Clone)]
struct Node {
    chunk: Chunk,
    /// The chunk's count, so that looking for an index does not touch every chunk.
    count: u32,
}

impl Node {
    fn of(chunk: Chunk) -> Node {
        let count = chunk.count() as u32;
        Node { chunk, count }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Quick {
    nodes: VecDeque<Node>,
    len: usize,
    /// Bytes of the chunks.
    bytes: usize,
}

impl Quick {
    /// Of one chunk, which may be empty.
    pub(super) fn of(chunk: Chunk) -> Quick {
        let mut quick = Quick { nodes: VecDeque::new(), len: 0, bytes: 0 };
        if chunk.count() > 0 {
            quick.put(0, chunk);
        }
        quick
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap, its own included.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + self.nodes.capacity() * size_of::<Node>() + size_of::<Quick>()
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.nodes.iter().map(|node| &node.chunk)
    }

    pub(super) fn free_step(&mut self, budget: usize) -> bool {
        let keep = self.nodes.len().saturating_sub(budget);
        self.nodes.truncate(keep);
        self.nodes.is_empty()
    }

    /// See [`super::List::defrag`].
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        let mut place = Place::of(from);
        if !mover.each(&mut place, self.nodes.iter_mut(), |mover, node| node.chunk.defrag(mover)) {
            return Some(place.reached());
        }
        mover.deque(&mut self.nodes);
        None
    }

    /// The only chunk, if it is the only one and `fits`; there is none afterwards.
    pub(super) fn take_only(&mut self, fits: impl FnOnce(&Chunk) -> bool) -> Option<Chunk> {
        match self.nodes.len() {
            0 => Some(Chunk::new()),
            1 if fits(&self.nodes[0].chunk) => {
                let mut chunk = self.nodes.pop_front()?.chunk;
                chunk.trim_room();
                Some(chunk)
            }
            _ => None,
        }
    }

    /// Adds a chunk as node `at`.
    fn put(&mut self, at: usize, chunk: Chunk) {
        self.len += chunk.count();
        self.bytes += chunk.heap_bytes();
        self.nodes.insert(at, Node::of(chunk));
    }

    /// Changes a chunk and keeps the sums; removes it if it became empty.
    #[inline]
    fn edit<R>(&mut self, at: usize, change: impl FnOnce(&mut Chunk) -> R) -> R {
        let node = &mut self.nodes[at];
        let (count, bytes) = (node.count as usize, node.chunk.heap_bytes());
        let result = change(&mut node.chunk);
        node.count = node.chunk.count() as u32;
        self.len = self.len + node.count as usize - count;
        self.bytes = self.bytes + node.chunk.heap_bytes() - bytes;
        if node.count == 0 {
            self.drop_node(at);
        }
        result
    }

    #[cold]
    fn drop_node(&mut self, at: usize) {
        let Some(node) = self.nodes.remove(at) else { return };
        self.len -= node.count as usize;
        self.bytes -= node.chunk.heap_bytes();
        if self.nodes.capacity() > 64 && self.nodes.len() * 4 < self.nodes.capacity() {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// The node of element `index`, and the element's index in it; the last node for the end of the list.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut left = index;
            for (at, node) in self.nodes.iter().enumerate() {
                if left < node.count as usize {
                    return (at, left);
                }
                left -= node.count as usize;
            }
        } else {
            let mut end = self.len;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                end -= node.count as usize;
                if index >= end {
                    return (at, index - end);
                }
            }
        }
        (self.nodes.len(), 0)
    }

    #[inline]
    pub(super) fn push(&mut self, at_front: bool, bytes: &[u8], fill: Fill) {
        let at = if at_front { 0 } else { self.nodes.len().wrapping_sub(1) };
        match self.nodes.get(at) {
            Some(node) if fill.takes(&node.chunk, bytes.len()) => {
                let new = Encoded::of(bytes);
                self.edit(at, |chunk| chunk.push(at_front, &new));
            }
            _ => self.push_node(at_front, bytes, fill),
        }
    }

    #[cold]
    fn push_node(&mut self, at_front: bool, bytes: &[u8], fill: Fill) {
        if !self.nodes.is_empty() {
            // the old end is full: what it does not need can go
            let end = if at_front { 0 } else { self.nodes.len() - 1 };
            self.edit(end, Chunk::trim_room);
        }
        let chunk = chunk_of(bytes, fill, at_front);
        self.put(if at_front { 0 } else { self.nodes.len() }, chunk);
    }

    #[inline]
    pub(super) fn pop<R>(&mut self, at_front: bool, show: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let at = if at_front { 0 } else { self.nodes.len().wrapping_sub(1) };
        let node = self.nodes.get(at)?;
        let shown = show(ends_item(&node.chunk, at_front));
        self.edit(at, |chunk| chunk.pop(at_front));
        Some(shown)
    }

    /// Element `index`, which is there.
    pub(super) fn get(&self, index: usize) -> Item<'_> {
        let (at, inner) = self.locate(index);
        let chunk = &self.nodes[at].chunk;
        chunk.read(chunk.place(inner)).0
    }

    /// Replaces element `index`, which is there.
    pub(super) fn set(&mut self, index: usize, bytes: &[u8], fill: Fill) {
        let (at, inner) = self.locate(index);
        let chunk = &self.nodes[at].chunk;
        if chunk.count() == 1 || !fill.is_large(bytes.len()) {
            let new = Encoded::of(bytes);
            return self.edit(at, |chunk| chunk.replace(chunk.place(inner), &new));
        }
        self.edit(at, |chunk| chunk.remove(inner, 1));
        self.insert(index, bytes, fill);
    }

    /// Adds an element so that it becomes element `index`, which may be the end.
    pub(super) fn insert(&mut self, index: usize, bytes: &[u8], fill: Fill) {
        if index == 0 || index == self.len {
            return self.push(index == 0, bytes, fill);
        }
        let (at, inner) = self.locate(index);
        let new = Encoded::of(bytes);
        if fill.takes(&self.nodes[at].chunk, bytes.len()) {
            self.edit(at, |chunk| chunk.insert(chunk.place(inner), &new));
        } else if inner > 0 {
            self.split(at, inner, bytes, fill);
        } else if fill.takes(&self.nodes[at - 1].chunk, bytes.len()) {
            self.edit(at - 1, |chunk| chunk.push(false, &new));
        } else {
            self.put(at, chunk_of(bytes, fill, false));
        }
    }

    /// Cuts a full node in two and adds the element between; neighbours that became small are joined.
    fn split(&mut self, at: usize, inner: usize, bytes: &[u8], fill: Fill) {
        let rest = self.edit(at, |chunk| {
            let rest = chunk.split_off(inner);
            chunk.trim_room();
            rest
        });
        self.put(at + 1, rest);
        if fill.takes(&self.nodes[at].chunk, bytes.len()) {
            let new = Encoded::of(bytes);
            self.edit(at, |chunk| chunk.push(false, &new));
        } else {
            self.put(at + 1, chunk_of(bytes, fill, false));
        }
        let last = (at + 2).min(self.nodes.len() - 1);
        for at in (at.saturating_sub(1)..last).rev() {
            self.join(at, fill);
        }
    }

    /// Joins node `at` and the next if they fit in one.
    fn join(&mut self, at: usize, fill: Fill) {
        let (Some(a), Some(b)) = (self.nodes.get(at), self.nodes.get(at + 1)) else { return };
        let bytes = a.chunk.packed_bytes() + b.chunk.packed_bytes();
        let count = a.chunk.count() + b.chunk.count();
        if fill.is_exceeded(bytes, count) || count > usize::from(u16::MAX) {
            return;
        }
        let Some(other) = self.nodes.remove(at + 1) else { return };
        self.len -= other.count as usize;
        self.bytes -= other.chunk.heap_bytes();
        self.edit(at, |chunk| chunk.append(&other.chunk));
    }

    pub(super) fn remove_equal(&mut self, needle: &Needle<'_>, count: usize, backwards: bool) -> usize {
        let mut removed = 0;
        let mut at = if backwards { self.nodes.len() } else { 0 };
        while removed < count {
            if backwards {
                if at == 0 {
                    break;
                }
                at -= 1;
            } else if at >= self.nodes.len() {
                break;
            }
            let nodes = self.nodes.len();
            removed += self.edit(at, |chunk| remove_equal(chunk, needle, count - removed, backwards));
            if !backwards && self.nodes.len() == nodes {
                at += 1;
            }
        }
        removed
    }

    /// Removes elements that are there, at least one.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let (first, inner) = self.locate(start);
        let (mut at, mut inner, mut left) = (first, inner, count);
        // whole nodes are taken out together: one by one each would move the directory
        let mut whole = None;
        while left > 0 {
            let here = self.nodes[at].count as usize - inner;
            if inner == 0 && left >= here {
                whole.get_or_insert(at..at).end = at + 1;
                at += 1;
            } else {
                let cut = left.min(here);
                self.edit(at, |chunk| {
                    chunk.remove(inner, cut);
                    chunk.trim_room();
                });
                at += 1;
            }
            left -= left.min(here);
            inner = 0;
        }
        if let Some(range) = whole {
            for node in self.nodes.drain(range) {
                self.len -= node.count as usize;
                self.bytes -= node.chunk.heap_bytes();
            }
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// See [`super::List::walk`]; `start` is there.
    #[inline]
    pub(super) fn walk<'a>(&'a self, start: usize, forward: bool, mut show: impl FnMut(Item<'a>) -> bool) -> usize {
        let (mut at, inner) = self.locate(start);
        let mut shown = 0;
        if !walk_chunk(&self.nodes[at].chunk, inner, forward, &mut shown, &mut show) {
            return shown;
        }
        loop {
            at = if forward { at + 1 } else { at.wrapping_sub(1) };
            let Some(node) = self.nodes.get(at) else { return shown };
            let from = if forward { 0 } else { node.count as usize - 1 };
            if !walk_chunk(&node.chunk, from, forward, &mut shown, &mut show) {
                return shown;
            }
        }
    }
}

/// A chunk for an element that no other takes.
fn chunk_of(bytes: &[u8], fill: Fill, at_front: bool) -> Chunk {
    let new = Encoded::of(bytes);
    let room = if fill.is_large(bytes.len()) { 0 } else { fill.room() };
    let mut chunk = Chunk::with_room(room, at_front);
    chunk.push(at_front, &new);
    chunk
}

//! The large form of a list: chunks in a row, and a directory of how many elements each has. Never keeps an empty
//! chunk. Which elements share a chunk follows Redis's quicklist.

use super::chunk::Chunk;
use super::run::{Pack, Run};
use super::{ChunkMax, ends_item, remove_equal, walk_chunk};
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use crate::types::listpack::entry::{Encoded, Item, Needle};
use std::collections::VecDeque;
use std::ops::Range;

/// By how many nodes one change can move others away from an end: a full node is cut in two and one comes between.
const MOVED_MAX: usize = 2;

#[derive(Debug, Clone)]
struct Node {
    run: Run,
    /// Its elements, so that looking for an index does not touch every chunk.
    count: u16,
    /// Was found not to get shorter by compression.
    is_dense: bool,
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    fn of(chunk: Chunk) -> Node {
        let count = chunk.count() as u16;
        Node { run: Run::Plain(chunk), count, is_dense: false }
    }

    /// Bytes of a listpack of its elements, and how many they are.
    #[inline]
    fn size(&self) -> (usize, usize) {
        (self.run.packed_bytes(), usize::from(self.count))
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Quick {
    nodes: VecDeque<Node>,
    len: usize,
    /// Bytes of the chunks.
    bytes: usize,
    /// Nodes at each end that are not compressed; 0 if none is.
    depth: u16,
}

impl Quick {
    /// Without chunks.
    pub(super) fn empty(depth: u16) -> Quick {
        Quick { nodes: VecDeque::new(), len: 0, bytes: 0, depth }
    }

    /// Of one chunk, which may be empty.
    pub(super) fn of(chunk: Chunk, depth: u16) -> Quick {
        let mut quick = Quick::empty(depth);
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

    pub(super) fn depth(&self) -> u16 {
        self.depth
    }

    pub(super) fn run_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn packs(&self) -> impl Iterator<Item = Pack<'_>> {
        self.nodes.iter().map(|node| node.run.pack())
    }

    /// That the sums are those of the nodes.
    #[cfg(test)]
    pub(super) fn check_sums(&self) {
        assert_eq!(self.bytes, self.nodes.iter().map(|node| node.run.heap_bytes()).sum::<usize>());
        assert_eq!(self.len, self.nodes.iter().map(|node| usize::from(node.count)).sum::<usize>());
    }

    pub(super) fn pack(&self, at: usize) -> Option<Pack<'_>> {
        self.nodes.get(at).map(|node| node.run.pack())
    }

    /// Goes on with a copy, which was empty at first; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Quick, progress: &mut Progress) -> bool {
        copy.nodes.reserve_exact(self.nodes.len() - copy.nodes.len());
        let whole = progress.each(copy.nodes.len()..self.nodes.len(), |at| {
            copy.nodes.push_back(self.nodes[at].clone());
            self.nodes[at].run.heap_bytes()
        });
        if whole {
            (copy.len, copy.bytes) = (self.len, self.bytes);
        }
        whole
    }

    pub(super) fn free_step(&mut self, budget: usize) -> bool {
        let keep = self.nodes.len().saturating_sub(budget);
        self.nodes.truncate(keep);
        self.nodes.is_empty()
    }

    /// See [`super::List::defrag`].
    pub(super) fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        let mut place = Place::of(from);
        if !mover.each(&mut place, self.nodes.iter_mut(), |mover, node| node.run.defrag(mover)) {
            return Some(place.reached());
        }
        mover.deque(&mut self.nodes);
        None
    }

    /// The only chunk, if it is the only one and `fits`; there is none afterwards.
    pub(super) fn take_only(&mut self, fits: impl FnOnce(&Chunk) -> bool) -> Option<Chunk> {
        match self.nodes.len() {
            0 => Some(Chunk::new()),
            1 if fits(self.nodes[0].run.plain()) => {
                let mut chunk = self.nodes.pop_front()?.run.into_plain();
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

    /// Changes a chunk and keeps the sums; removes it if it became empty. One that was compressed is not afterwards:
    /// [`Quick::settle`] comes after.
    #[inline]
    fn edit<R>(&mut self, at: usize, change: impl FnOnce(&mut Chunk) -> R) -> R {
        let node = &mut self.nodes[at];
        let (count, bytes) = (node.count as usize, node.run.heap_bytes());
        let chunk = node.run.open();
        let result = change(chunk);
        (node.count, node.is_dense) = (chunk.count() as u16, false);
        self.len = self.len + node.count as usize - count;
        self.bytes = self.bytes + node.run.heap_bytes() - bytes;
        if node.count == 0 {
            self.drop_node(at);
        }
        result
    }

    #[cold]
    fn drop_node(&mut self, at: usize) {
        let Some(node) = self.nodes.remove(at) else { return };
        self.len -= node.count as usize;
        self.bytes -= node.run.heap_bytes();
        if self.nodes.capacity() > 64 && self.nodes.len() * 4 < self.nodes.capacity() {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// Has what a change left behind compressed as the depth says: the nodes `near`, and those about the ends, for
    /// which others may have come or gone.
    #[inline]
    fn settle(&mut self, near: Range<usize>) {
        if self.depth > 0 {
            self.settle_runs(near);
        }
    }

    #[cold]
    fn settle_runs(&mut self, near: Range<usize>) {
        let (len, zone) = (self.nodes.len(), usize::from(self.depth) + MOVED_MAX);
        let (front, back) = (zone.min(len), len.saturating_sub(zone));
        for at in (0..front).chain(back.max(front)..len).chain(near.start..near.end.min(len)) {
            self.settle_run(at);
        }
    }

    fn settle_run(&mut self, at: usize) {
        let depth = usize::from(self.depth);
        let is_inner = depth > 0 && at >= depth && at + depth < self.nodes.len();
        let node = &mut self.nodes[at];
        if is_inner != node.run.is_compressed() && !(is_inner && node.is_dense) {
            let bytes = node.run.heap_bytes();
            if is_inner {
                node.is_dense = !node.run.compress();
            } else {
                node.run.open();
            }
            self.bytes = self.bytes + node.run.heap_bytes() - bytes;
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
    pub(super) fn push(&mut self, at_front: bool, bytes: &[u8], fill: ChunkMax) {
        let at = if at_front { 0 } else { self.nodes.len().wrapping_sub(1) };
        match self.nodes.get(at) {
            Some(node) if fill.takes(node.size(), bytes.len()) => {
                let new = Encoded::of(bytes);
                self.edit(at, |chunk| chunk.push(at_front, &new));
            }
            _ => self.push_node(at_front, bytes, fill),
        }
    }

    #[cold]
    fn push_node(&mut self, at_front: bool, bytes: &[u8], fill: ChunkMax) {
        if !self.nodes.is_empty() {
            // the old end is full: what it does not need can go
            let end = if at_front { 0 } else { self.nodes.len() - 1 };
            self.edit(end, Chunk::trim_room);
        }
        let chunk = chunk_of(bytes, fill, at_front);
        self.put(if at_front { 0 } else { self.nodes.len() }, chunk);
        self.settle(0..0);
    }

    #[inline]
    pub(super) fn pop<R>(&mut self, at_front: bool, show: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let at = if at_front { 0 } else { self.nodes.len().wrapping_sub(1) };
        let node = self.nodes.get(at)?;
        let (shown, is_last) = (show(ends_item(node.run.plain(), at_front)), node.count == 1);
        self.edit(at, |chunk| chunk.pop(at_front));
        if is_last {
            self.settle(0..0);
        }
        Some(shown)
    }

    /// Element `index`, which is there.
    pub(super) fn get<R>(&self, index: usize, show: impl FnOnce(Item<'_>) -> R) -> R {
        let (at, inner) = self.locate(index);
        let chunk = self.nodes[at].run.view();
        show(chunk.read(chunk.place(inner)).0)
    }

    /// Replaces element `index`, which is there.
    pub(super) fn set(&mut self, index: usize, bytes: &[u8], fill: ChunkMax) {
        let (at, inner) = self.locate(index);
        if self.nodes[at].count == 1 || !fill.is_large(bytes.len()) {
            let new = Encoded::of(bytes);
            self.edit(at, |chunk| chunk.replace(chunk.place(inner), &new));
            return self.settle(at..at + 1);
        }
        self.edit(at, |chunk| chunk.remove(inner, 1));
        self.insert(index, bytes, fill);
        self.settle(at..at + 1);
    }

    /// Adds an element so that it becomes element `index`, which may be the end.
    pub(super) fn insert(&mut self, index: usize, bytes: &[u8], fill: ChunkMax) {
        if index == 0 || index == self.len {
            return self.push(index == 0, bytes, fill);
        }
        let (at, inner) = self.locate(index);
        let new = Encoded::of(bytes);
        if fill.takes(self.nodes[at].size(), bytes.len()) {
            self.edit(at, |chunk| chunk.insert(chunk.place(inner), &new));
        } else if inner > 0 {
            self.split(at, inner, bytes, fill);
        } else if fill.takes(self.nodes[at - 1].size(), bytes.len()) {
            self.edit(at - 1, |chunk| chunk.push(false, &new));
        } else {
            self.put(at, chunk_of(bytes, fill, false));
        }
        self.settle(at.saturating_sub(1)..at + MOVED_MAX + 1);
    }

    /// Cuts a full node in two and adds the element between; neighbours that became small are joined.
    fn split(&mut self, at: usize, inner: usize, bytes: &[u8], fill: ChunkMax) {
        let rest = self.edit(at, |chunk| {
            let rest = chunk.split_off(inner);
            chunk.trim_room();
            rest
        });
        self.put(at + 1, rest);
        if fill.takes(self.nodes[at].size(), bytes.len()) {
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
    fn join(&mut self, at: usize, fill: ChunkMax) {
        let (Some(a), Some(b)) = (self.nodes.get(at), self.nodes.get(at + 1)) else { return };
        let (bytes, count) = (a.size().0 + b.size().0, a.size().1 + b.size().1);
        if fill.is_exceeded(bytes, count) || count > usize::from(u16::MAX) {
            return;
        }
        let Some(other) = self.nodes.remove(at + 1) else { return };
        self.len -= other.count as usize;
        self.bytes -= other.run.heap_bytes();
        let other = other.run.into_plain();
        self.edit(at, |chunk| chunk.append(&other));
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
            // what is compressed and has none stays so
            if !self.nodes[at].run.is_compressed() || holds(&self.nodes[at].run.view(), needle) {
                removed += self.edit(at, |chunk| remove_equal(chunk, needle, count - removed, backwards));
            }
            if self.nodes.len() == nodes {
                self.settle_run(at);
                at += usize::from(!backwards);
            }
        }
        self.settle(0..0);
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
                self.bytes -= node.run.heap_bytes();
            }
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
        // at most the first of the nodes and the last were cut, which are neighbours now
        self.settle(first..first + 2);
    }

    /// See [`super::List::walk`]; `start` is there.
    #[inline]
    pub(super) fn walk(&self, start: usize, forward: bool, mut show: impl FnMut(Item<'_>) -> bool) -> usize {
        let (mut at, inner) = self.locate(start);
        let mut shown = 0;
        if !walk_chunk(&self.nodes[at].run.view(), inner, forward, &mut shown, &mut show) {
            return shown;
        }
        loop {
            at = if forward { at + 1 } else { at.wrapping_sub(1) };
            let Some(node) = self.nodes.get(at) else { return shown };
            let from = if forward { 0 } else { node.count as usize - 1 };
            if !walk_chunk(&node.run.view(), from, forward, &mut shown, &mut show) {
                return shown;
            }
        }
    }
}

/// Whether an entry equals `needle`.
fn holds(chunk: &Chunk, needle: &Needle<'_>) -> bool {
    !walk_chunk(chunk, 0, true, &mut 0, &mut |item| !needle.is(item))
}

/// A chunk for an element that no other takes.
fn chunk_of(bytes: &[u8], fill: ChunkMax, at_front: bool) -> Chunk {
    let new = Encoded::of(bytes);
    let room = if fill.is_large(bytes.len()) { 0 } else { fill.room() };
    let mut chunk = Chunk::with_room(room, at_front);
    chunk.push(at_front, &new);
    chunk
}

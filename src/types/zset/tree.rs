//! The order of a big sorted set: a B+ tree of (score, reference), ordered by score, then member bytes. Nodes carry the
//! number of entries below each child, so ranks cost one descent. Never owns a member: it asks the [`Arena`].
//!
//! Invariants: all leaves are equally deep and linked in order; of every inner node, `scores[i]`, `refs[i]` of child
//! i > 0 are exactly that child's first entry (of child 0 they mean nothing); `counts[i]` is the number of entries
//! below child i; no node but the root is empty. A leaf is 1 KB, so a descent among a million entries touches four
//! nodes, the upper three of which stay in the cache; a skip list touches twenty. Entries that arrive in order fill
//! leaves whole.

mod places;

use super::arena::{Arena, Ref};
use smallvec::SmallVec;

/// Entries of a leaf; with its links it is 1 KB.
const LEAF_LEN: usize = 84;
/// Children of an inner node; it is 1 KB.
const INNER_LEN: usize = 50;
/// A node with fewer entries borrows from a neighbour or joins it.
const LEAF_LEN_MIN: usize = LEAF_LEN / 3;
const INNER_LEN_MIN: usize = INNER_LEN / 3;
/// Neighbours join if together they fill no more than this.
const LEAF_JOIN_MAX: usize = LEAF_LEN * 3 / 4;
const INNER_JOIN_MAX: usize = INNER_LEN * 3 / 4;
/// No node.
const NONE: u32 = u32::MAX;

const _: () = assert!(size_of::<Leaf>() <= 1024 && size_of::<Inner>() <= 1024);

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    scores: [f64; LEAF_LEN],
    refs: [Ref; LEAF_LEN],
    len: u16,
    prev: u32,
    next: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Inner {
    scores: [f64; INNER_LEN],
    refs: [Ref; INNER_LEN],
    kids: [u32; INNER_LEN],
    counts: [u32; INNER_LEN],
    len: u16,
}

impl Leaf {
    fn boxed() -> Box<Self> {
        Box::new(Leaf { scores: [0.0; LEAF_LEN], refs: [0; LEAF_LEN], len: 0, prev: NONE, next: NONE })
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn insert(&mut self, at: usize, score: f64, value: Ref) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.refs.copy_within(at..len, at + 1);
        self.scores[at] = score;
        self.refs[at] = value;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.refs.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Appends entries `from..` of `other`, and cuts them off there.
    fn append_tail(&mut self, other: &mut Leaf, from: usize) {
        let (len, count) = (self.len(), other.len() - from);
        self.scores[len..len + count].copy_from_slice(&other.scores[from..from + count]);
        self.refs[len..len + count].copy_from_slice(&other.refs[from..from + count]);
        self.len += count as u16;
        other.len = from as u16;
    }

    /// Moves the first `count` entries of `other` to the end.
    fn append_head(&mut self, other: &mut Leaf, count: usize) {
        let (len, rest) = (self.len(), other.len());
        self.scores[len..len + count].copy_from_slice(&other.scores[..count]);
        self.refs[len..len + count].copy_from_slice(&other.refs[..count]);
        other.scores.copy_within(count..rest, 0);
        other.refs.copy_within(count..rest, 0);
        self.len += count as u16;
        other.len -= count as u16;
    }

    /// Moves the last `count` entries of `other` to the front.
    fn prepend_tail(&mut self, other: &mut Leaf, count: usize) {
        let (len, from) = (self.len(), other.len() - count);
        self.scores.copy_within(..len, count);
        self.refs.copy_within(..len, count);
        self.scores[..count].copy_from_slice(&other.scores[from..from + count]);
        self.refs[..count].copy_from_slice(&other.refs[from..from + count]);
        self.len += count as u16;
        other.len = from as u16;
    }
}

/// A child of an inner node: its first entry, its number, and how many entries are below it.
#[derive(Debug, Clone, Copy)]
struct Child {
    score: f64,
    value: Ref,
    node: u32,
    count: u32,
}

impl Inner {
    fn boxed() -> Box<Self> {
        let (scores, refs) = ([0.0; INNER_LEN], [0; INNER_LEN]);
        Box::new(Inner { scores, refs, kids: [NONE; INNER_LEN], counts: [0; INNER_LEN], len: 0 })
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn child(&self, at: usize) -> Child {
        Child { score: self.scores[at], value: self.refs[at], node: self.kids[at], count: self.counts[at] }
    }

    fn total(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }

    fn insert(&mut self, at: usize, child: Child) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.refs.copy_within(at..len, at + 1);
        self.kids.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.scores[at] = child.score;
        self.refs[at] = child.value;
        self.kids[at] = child.node;
        self.counts[at] = child.count;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> Child {
        let (len, child) = (self.len(), self.child(at));
        self.scores.copy_within(at + 1..len, at);
        self.refs.copy_within(at + 1..len, at);
        self.kids.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.len -= 1;
        child
    }
}

/// The way down: inner node and child index at each level, root first.
type Path = SmallVec<[(u32, usize); 8]>;

/// Where an entry is: leaf and index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    leaf: u32,
    at: usize,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) leaves: Vec<Option<Box<Leaf>>>,
    pub(super) inners: Vec<Option<Box<Inner>>>,
    pub(super) leaves_free: Vec<u32>,
    pub(super) inners_free: Vec<u32>,
    pub(super) root: u32,
    /// Levels of inner nodes.
    pub(super) height: usize,
    pub(super) len: usize,
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree {
            leaves: vec![Some(Leaf::boxed())],
            inners: Vec::new(),
            leaves_free: Vec::new(),
            inners_free: Vec::new(),
            root: 0,
            height: 0,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        let leaves = self.leaves.len() - self.leaves_free.len();
        let inners = self.inners.len() - self.inners_free.len();
        let lists = (self.leaves.capacity() + self.inners.capacity()) * size_of::<usize>();
        leaves * size_of::<Leaf>() + inners * size_of::<Inner>() + lists
    }

    #[inline(always)]
    fn leaf(&self, number: u32) -> &Leaf {
        self.leaves[number as usize].as_ref().expect("a linked leaf is there")
    }

    #[inline(always)]
    fn leaf_mut(&mut self, number: u32) -> &mut Leaf {
        self.leaves[number as usize].as_mut().expect("a linked leaf is there")
    }

    #[inline(always)]
    fn inner(&self, number: u32) -> &Inner {
        self.inners[number as usize].as_ref().expect("a linked node is there")
    }

    #[inline(always)]
    fn inner_mut(&mut self, number: u32) -> &mut Inner {
        self.inners[number as usize].as_mut().expect("a linked node is there")
    }

    fn add_leaf(&mut self, leaf: Box<Leaf>) -> u32 {
        put(&mut self.leaves, &mut self.leaves_free, leaf)
    }

    fn add_inner(&mut self, inner: Box<Inner>) -> u32 {
        put(&mut self.inners, &mut self.inners_free, inner)
    }

    /// Goes down to the leaf where entries stop being `before` (which holds for a beginning of the order).
    #[inline]
    fn descend(&self, before: impl Fn(f64, Ref) -> bool, mut visit: impl FnMut(u32, usize)) -> u32 {
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = self.inner(node);
            let len = inner.len();
            let kid = 1 + partition(&inner.scores[1..len], &inner.refs[1..len], &before);
            visit(node, kid - 1);
            node = inner.kids[kid - 1];
        }
        node
    }

    /// How many entries are `before`.
    #[inline]
    pub(super) fn count(&self, before: impl Fn(f64, Ref) -> bool) -> usize {
        let mut rank = 0;
        let leaf = self.descend(&before, |node, kid| {
            rank += self.inner(node).counts[..kid].iter().map(|count| *count as usize).sum::<usize>();
        });
        let leaf = self.leaf(leaf);
        rank + partition(&leaf.scores[..leaf.len()], &leaf.refs[..leaf.len()], &before)
    }

    /// Enters `value`, whose record is in the arena, under `score`.
    pub(super) fn insert(&mut self, arena: &Arena, score: f64, value: Ref) {
        let before = order(arena, score, arena.member(value));
        let mut path = Path::new();
        let number = self.descend(&before, |node, kid| path.push((node, kid)));
        for (node, kid) in &path {
            self.inner_mut(*node).counts[*kid] += 1;
        }
        self.len += 1;
        let leaf = self.leaf_mut(number);
        let len = leaf.len();
        let at = partition(&leaf.scores[..len], &leaf.refs[..len], &before);
        if len < LEAF_LEN {
            leaf.insert(at, score, value);
        } else {
            self.split_leaf(number, at, score, value, path);
        }
    }

    /// Inserts into a full leaf: its upper half moves to a new one, unless the entry is a new first or last of all.
    fn split_leaf(&mut self, number: u32, at: usize, score: f64, value: Ref, path: Path) {
        let mut new = Leaf::boxed();
        let leaf = self.leaf_mut(number);
        let keep = match at {
            LEAF_LEN if leaf.next == NONE => LEAF_LEN,
            0 if leaf.prev == NONE => 0,
            _ => LEAF_LEN / 2,
        };
        new.append_tail(leaf, keep);
        if at > keep || keep == LEAF_LEN {
            new.insert(at - keep, score, value);
        } else {
            leaf.insert(at, score, value);
        }
        let count = u32::from(leaf.len);
        new.prev = number;
        new.next = leaf.next;
        let after = leaf.next;
        let mut right = Child { score: new.scores[0], value: new.refs[0], node: 0, count: u32::from(new.len) };
        right.node = self.add_leaf(new);
        self.leaf_mut(number).next = right.node;
        if after != NONE {
            self.leaf_mut(after).prev = right.node;
        }
        self.link(number, count, right, path);
    }

    /// Enters the right half of a node that was split, up to the root; `count` entries stayed in the left one.
    fn link(&mut self, mut left: u32, mut count: u32, mut right: Child, mut path: Path) {
        while let Some((node, kid)) = path.pop() {
            let inner = self.inner_mut(node);
            inner.counts[kid] = count;
            if inner.len() < INNER_LEN {
                return inner.insert(kid + 1, right);
            }
            let is_last = kid + 1 == INNER_LEN;
            let keep = if is_last { INNER_LEN - 1 } else { INNER_LEN / 2 };
            let mut new = Inner::boxed();
            for at in keep..INNER_LEN {
                new.insert(at - keep, inner.child(at));
            }
            inner.len = keep as u16;
            if kid + 1 > keep {
                new.insert(kid + 1 - keep, right)
            } else {
                inner.insert(kid + 1, right)
            }
            (left, count) = (node, inner.total());
            right = Child { count: new.total(), ..new.child(0) };
            right.node = self.add_inner(new);
        }
        let mut root = Inner::boxed();
        root.insert(0, Child { node: left, count, ..right });
        root.insert(1, right);
        self.root = self.add_inner(root);
        self.height += 1;
    }

    /// Removes the entry `value` that has `score`.
    pub(super) fn remove(&mut self, arena: &Arena, score: f64, value: Ref) {
        let (number, at, path) = self.locate(arena, score, value);
        self.remove_at(number, at, path);
    }

    /// Removes the entry of this rank, if there is one.
    pub(super) fn remove_rank(&mut self, rank: usize) -> Option<Ref> {
        let mut path = Path::new();
        let spot = self.seek(rank, |node, kid| path.push((node, kid)))?;
        let (_, value) = self.get(spot);
        self.remove_at(spot.leaf, spot.at, path);
        Some(value)
    }

    fn locate(&self, arena: &Arena, score: f64, value: Ref) -> (u32, usize, Path) {
        let before = order(arena, score, arena.member(value));
        let mut path = Path::new();
        // A separator may be the entry itself: then it is in the child behind.
        let number = self.descend(|s, r| r == value || before(s, r), |node, kid| path.push((node, kid)));
        let leaf = self.leaf(number);
        let at = partition(&leaf.scores[..leaf.len()], &leaf.refs[..leaf.len()], &before);
        assert!(leaf.len() > at && leaf.refs[at] == value, "an indexed member is in the tree");
        (number, at, path)
    }

    /// Gives an entry another score; in place if it stays between its neighbours.
    pub(super) fn rescore(&mut self, arena: &Arena, old: f64, score: f64, value: Ref) {
        let (number, at, path) = self.locate(arena, old, value);
        let leaf = self.leaf_mut(number);
        if at > 0 && at + 1 < leaf.len() && leaf.scores[at - 1] < score && score < leaf.scores[at + 1] {
            leaf.scores[at] = score;
            return;
        }
        self.remove_at(number, at, path);
        self.insert(arena, score, value);
    }

    fn remove_at(&mut self, number: u32, at: usize, mut path: Path) {
        for (node, kid) in &path {
            self.inner_mut(*node).counts[*kid] -= 1;
        }
        self.len -= 1;
        let leaf = self.leaf_mut(number);
        leaf.remove(at);
        let len = leaf.len();
        if at == 0 && len > 0 {
            let first = (leaf.scores[0], leaf.refs[0]);
            self.set_first(&path, first);
        }
        if len < LEAF_LEN_MIN
            && let Some((parent, kid)) = path.pop()
        {
            self.mend_leaf(parent, kid, &path);
            self.mend_inner(parent, path);
        }
    }

    /// Tells the ancestors of the last node of `path` that its chosen child begins with another entry.
    fn set_first(&mut self, path: &[(u32, usize)], (score, value): (f64, Ref)) {
        if let Some((node, kid)) = path.iter().rev().find(|(_, kid)| *kid > 0) {
            let inner = self.inner_mut(*node);
            inner.scores[*kid] = score;
            inner.refs[*kid] = value;
        }
    }

    /// Child `kid` of `parent` is a leaf with few entries: joins it with a neighbour or takes some from there.
    fn mend_leaf(&mut self, parent: u32, kid: usize, above: &[(u32, usize)]) {
        let inner = self.inner(parent);
        if inner.len() == 1 {
            if inner.counts[0] == 0 {
                self.drop_only_kid(parent);
            }
            return;
        }
        let right_kid = if kid + 1 < inner.len() { kid + 1 } else { kid };
        let (left, right) = (inner.kids[right_kid - 1], inner.kids[right_kid]);
        let mut taken = self.leaves[right as usize].take().expect("a linked leaf is there");
        let leaf = self.leaf_mut(left);
        let total = leaf.len() + taken.len();
        let lead_gone = right_kid > kid && leaf.len() == 0;
        if total <= LEAF_JOIN_MAX {
            leaf.append_head(&mut taken, total - leaf.len());
            leaf.next = taken.next;
            if taken.next != NONE {
                self.leaf_mut(taken.next).prev = left;
            }
            self.leaves_free.push(right);
            self.inner_mut(parent).remove(right_kid);
            self.inner_mut(parent).counts[right_kid - 1] = total as u32;
        } else {
            let half = total / 2;
            if leaf.len() < half {
                leaf.append_head(&mut taken, half - leaf.len());
            } else {
                taken.prepend_tail(leaf, leaf.len() - half);
            }
            let inner = self.inner_mut(parent);
            inner.counts[right_kid - 1] = half as u32;
            inner.counts[right_kid] = (total - half) as u32;
            inner.scores[right_kid] = taken.scores[0];
            inner.refs[right_kid] = taken.refs[0];
            self.leaves[right as usize] = Some(taken);
        }
        if lead_gone && total > 0 {
            let leaf = self.leaf(left);
            let first = (leaf.scores[0], leaf.refs[0]);
            let mut path: Path = above.into();
            path.push((parent, right_kid - 1));
            self.set_first(&path, first);
        }
    }

    /// Takes the empty leaf that is the only child of `parent` out of the chain; `parent` is then empty.
    fn drop_only_kid(&mut self, parent: u32) {
        let child = self.inner_mut(parent).remove(0);
        let leaf = self.leaves[child.node as usize].take().expect("a linked leaf is there");
        self.leaves_free.push(child.node);
        if leaf.prev != NONE {
            self.leaf_mut(leaf.prev).next = leaf.next;
        }
        if leaf.next != NONE {
            self.leaf_mut(leaf.next).prev = leaf.prev;
        }
    }

    /// Mends inner nodes from `node` up to the root, `path` being the way to it.
    fn mend_inner(&mut self, mut node: u32, mut path: Path) {
        while let Some((parent, kid)) = path.pop() {
            if self.inner(node).len() >= INNER_LEN_MIN {
                return;
            }
            if self.inner(parent).len() > 1 {
                self.balance(parent, kid, &path);
            } else if self.inner(node).len() == 0 {
                self.inner_mut(parent).remove(kid);
                self.free_inner(node);
            }
            node = parent;
        }
        while self.height > 0 && self.inner(self.root).len() == 1 {
            let old = self.root;
            self.root = self.inner(old).kids[0];
            self.height -= 1;
            self.free_inner(old);
        }
        if self.height > 0 && self.inner(self.root).len() == 0 {
            *self = Tree::new();
        }
    }

    fn free_inner(&mut self, node: u32) {
        self.inners[node as usize] = None;
        self.inners_free.push(node);
    }

    /// Child `kid` of `parent` is an inner node with few children: joins it with a neighbour or takes some from there.
    fn balance(&mut self, parent: u32, kid: usize, above: &[(u32, usize)]) {
        let inner = self.inner(parent);
        let right_kid = if kid + 1 < inner.len() { kid + 1 } else { kid };
        let (left, right) = (inner.child(right_kid - 1), inner.child(right_kid));
        let mut taken = self.inners[right.node as usize].take().expect("a linked node is there");
        // Of its child 0 a node knows no first entry, but its parent does.
        taken.scores[0] = right.score;
        taken.refs[0] = right.value;
        let node = self.inner_mut(left.node);
        let lead_gone = node.len() == 0;
        let total = node.len() + taken.len();
        let goal = if total <= INNER_JOIN_MAX { total } else { total / 2 };
        while node.len() < goal {
            let child = taken.remove(0);
            node.insert(node.len(), child);
        }
        while node.len() > goal {
            let child = node.remove(node.len() - 1);
            taken.insert(0, child);
        }
        let first = (node.scores[0], node.refs[0]);
        let count = node.total();
        let parent_node = self.inner_mut(parent);
        parent_node.counts[right_kid - 1] = count;
        if taken.len() == 0 {
            parent_node.remove(right_kid);
            self.inners_free.push(right.node);
        } else {
            parent_node.counts[right_kid] = taken.total();
            parent_node.scores[right_kid] = taken.scores[0];
            parent_node.refs[right_kid] = taken.refs[0];
            self.inners[right.node as usize] = Some(taken);
        }
        if lead_gone {
            let mut path: Path = above.into();
            path.push((parent, right_kid - 1));
            self.set_first(&path, first);
        }
    }

    /// Frees up to `budget` nodes; true if the rest may simply be dropped.
    pub(super) fn free_step(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && (self.leaves.pop().is_some() || self.inners.pop().is_some()) {
            *budget -= 1;
        }
        self.leaves.is_empty() && self.inners.is_empty()
    }
}

fn put<T>(nodes: &mut Vec<Option<T>>, free: &mut Vec<u32>, node: T) -> u32 {
    match free.pop() {
        Some(number) => {
            nodes[number as usize] = Some(node);
            number
        }
        None => {
            nodes.push(Some(node));
            nodes.len() as u32 - 1
        }
    }
}

/// Whether an entry is before `(score, member)`.
#[inline(always)]
pub(super) fn order<'a>(arena: &'a Arena, score: f64, member: &'a [u8]) -> impl Fn(f64, Ref) -> bool + 'a {
    move |other, at| other < score || (other == score && arena.member(at) < member)
}

/// How many of the entries, which begin with those `before`, are.
#[inline(always)]
fn partition(scores: &[f64], refs: &[Ref], before: &impl Fn(f64, Ref) -> bool) -> usize {
    let (mut low, mut high) = (0, scores.len());
    while low < high {
        let middle = (low + high) / 2;
        if before(scores[middle], refs[middle]) { low = middle + 1 } else { high = middle }
    }
    low
}

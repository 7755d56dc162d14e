//! The entries of a stream: a list of blocks in order of their first identifier, and the counters that outlive deleted
//! entries. Knows nothing of consumer groups.

use super::Corrupt;
use super::block::{Block, Entry, Head};
use super::id::Id;
use crate::types::copying::Progress;
use crate::types::defrag::{Mover, Place};
use std::collections::{VecDeque, vec_deque};

/// Largest block, bytes, whatever the settings say (Redis STREAM_LISTPACK_MAX_SIZE).
const BLOCK_BYTES_MAX: usize = 1 << 30;
/// The list of blocks grows by this part of its length at a time: it is copied then, but little of it is ever idle.
const GROWTH: usize = 8;

/// When a block is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// `stream-node-max-bytes`; 0 for no bound of its own.
    pub bytes: usize,
    /// `stream-node-max-entries`; 0 for no bound.
    pub entries: u64,
}

/// What is to stay when a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many.
    Newest(u64),
    /// Those from this identifier on.
    From(Id),
}

/// How a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// Only whole blocks go, so that a little more may stay.
    pub approximate: bool,
    /// Most entries that may go; 0 for any number.
    pub limit: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Log {
    /// In order; each key is the identifier of the block's first entry, deleted or not.
    blocks: VecDeque<(Id, Block)>,
    len: u64,
    first_id: Id,
    /// Identifier of the entry that was added last, deleted or not; XSETID may raise it.
    pub last_id: Id,
    /// Greatest identifier that XDEL deleted.
    pub max_deleted_id: Id,
    /// Entries ever added.
    pub entries_added: u64,
    /// Heap bytes of the blocks.
    heap: usize,
}

/// The same blocks and numbers, whatever room there is.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |log: &Log| (log.len, log.first_id, log.last_id, log.max_deleted_id, log.entries_added);
        numbers(self) == numbers(other) && self.blocks == other.blocks
    }
}

impl Eq for Log {}

impl Clone for Log {
    fn clone(&self) -> Self {
        let mut copy = Log::default();
        self.copy_step(&mut copy, &mut Progress::unbounded());
        copy
    }
}

impl Log {
    /// Entries that are there.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// No entry is there.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Identifier of the first entry; [`Id::MIN`] if there is none.
    pub fn first_id(&self) -> Id {
        self.first_id
    }

    /// Heap bytes.
    pub fn heap_bytes(&self) -> usize {
        self.heap + self.blocks.capacity() * size_of::<(Id, Block)>()
    }

    /// The identifier that `XADD *` gives at `now_ms`; `None` when all are used up.
    pub fn next_id(&self, now_ms: u64) -> Option<Id> {
        if now_ms > self.last_id.ms { Some(Id { ms: now_ms, seq: 0 }) } else { self.last_id.next() }
    }

    /// The identifier that `XADD ms-*` gives; `None` if no number of that millisecond is left.
    pub fn next_id_in(&self, ms: u64) -> Option<Id> {
        if ms != self.last_id.ms {
            return Some(Id { ms, seq: 0 });
        }
        Some(Id { ms, seq: self.last_id.seq.checked_add(1)? })
    }

    /// Appends an entry. `id` comes after [`Log::last_id`]; `words` are fields and values in turn, of at most 1 GiB.
    pub fn append(&mut self, id: Id, words: &[&[u8]], limits: BlockLimits) {
        assert!(id > self.last_id, "a stream grows at its end");
        let bytes: usize = words.iter().map(|word| word.len()).sum();
        let fits = self.blocks.back_mut().is_some_and(|(_, block)| {
            let fits = has_room(block, bytes, limits);
            if !fits {
                let before = block.capacity();
                block.shrink();
                self.heap -= before - block.capacity();
            }
            fits
        });
        if !fits {
            self.push(id, Block::start(words));
        }
        let (key, block) = self.blocks.back_mut().expect("a block was found or made");
        let before = block.capacity();
        block.append(id, *key, words);
        self.heap = self.heap + block.capacity() - before;
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    fn push(&mut self, key: Id, block: Block) {
        if self.blocks.len() == self.blocks.capacity() {
            self.blocks.reserve_exact(self.blocks.len() / GROWTH + 1);
        }
        self.heap += block.capacity();
        self.blocks.push_back((key, block));
    }

    /// How many blocks begin at `id` or before.
    fn blocks_up_to(&self, id: Id) -> usize {
        self.blocks.partition_point(|(key, _)| *key <= id)
    }

    /// Deletes an entry; false if it is not there.
    pub fn delete(&mut self, id: Id) -> bool {
        let Some(index) = self.blocks_up_to(id).checked_sub(1) else { return false };
        let (key, block) = &mut self.blocks[index];
        let Some(at) = find(block, *key, id) else { return false };
        let before = block.capacity();
        let left = block.delete(at);
        self.heap = self.heap + block.capacity() - before;
        if !left {
            self.drop_block(index);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    fn drop_block(&mut self, index: usize) {
        if let Some((_, block)) = self.blocks.remove(index) {
            self.heap -= block.capacity();
        }
        if self.blocks.capacity() > 4 * self.blocks.len() + GROWTH {
            self.blocks.shrink_to(2 * self.blocks.len());
        }
    }

    fn find_first(&mut self) {
        self.first_id = self.range(Id::MIN, Id::MAX).next().map_or(Id::MIN, |entry| entry.id);
    }

    /// Deletes from the front; returns how many entries went.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut deleted = 0;
        while let Some((key, block)) = self.blocks.front_mut() {
            let key = *key;
            let head = block.head();
            if matches!(trim.keep, Keep::Newest(count) if self.len <= count) {
                break;
            }
            if trim.limit > 0 && deleted + head.live > trim.limit {
                break;
            }
            let whole = match trim.keep {
                Keep::Newest(count) => self.len - head.live >= count,
                Keep::From(id) => last_of(block, &head, key).is_none_or(|last| last < id),
            };
            if whole {
                self.drop_block(0);
                self.len -= head.live;
                deleted += head.live;
                continue;
            }
            if !trim.approximate {
                let before = block.capacity();
                let mut excess = match trim.keep {
                    Keep::Newest(count) => self.len - count,
                    Keep::From(_) => 0,
                };
                let gone = match trim.keep {
                    Keep::Newest(_) => block.delete_front(key, |_, gone| {
                        let doomed = excess > 0;
                        excess -= u64::from(doomed && !gone);
                        doomed
                    }),
                    Keep::From(id) => block.delete_front(key, |here, _| here < id),
                };
                self.heap = self.heap + block.capacity() - before;
                self.len -= gone;
                deleted += gone;
            }
            break;
        }
        if self.len == 0 {
            self.first_id = Id::MIN;
        } else if deleted > 0 {
            self.find_first();
        }
        deleted
    }

    /// The entries from `start` to `end`, both included, in order.
    pub fn range(&self, start: Id, end: Id) -> Range<'_> {
        let first = if start == Id::MIN { 0 } else { self.blocks_up_to(start).saturating_sub(1) };
        Range { blocks: self.blocks.range(first..), cursor: None, start, end }
    }

    /// As [`Log::range`], from `end` backwards.
    pub fn range_back(&self, start: Id, end: Id) -> RangeBack<'_> {
        RangeBack { blocks: self.blocks.range(..self.blocks_up_to(end)), cursor: None, start, end }
    }

    /// The entry `id`, if it is there.
    pub fn get(&self, id: Id) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// Identifier of the last entry that is there.
    pub fn last_entry_id(&self) -> Option<Id> {
        let newest = self.range_back(self.last_id, Id::MAX).next();
        newest.or_else(|| self.range_back(Id::MIN, Id::MAX).next()).map(|entry| entry.id)
    }

    /// Whether an entry from `start` on was deleted by XDEL, as far as is known.
    pub fn has_holes_from(&self, start: Id) -> bool {
        self.len > 0 && self.max_deleted_id != Id::MIN && start <= self.max_deleted_id
    }

    /// How many entries were ever added up to `id`, if that can be told.
    pub fn position(&self, id: Id) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != Id::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        let whole = self.max_deleted_id == Id::MIN || self.max_deleted_id < self.first_id;
        let before_first = self.entries_added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less if whole => Some(before_first),
            std::cmp::Ordering::Equal if whole => Some(before_first.wrapping_add(1)),
            _ => None,
        }
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The key of each block (the identifier its entries' are relative to) and its listpack, in order.
    pub fn blocks(&self) -> impl Iterator<Item = (Id, &[u8])> {
        self.blocks.iter().map(|(key, block)| (*key, block.as_bytes()))
    }

    /// One of [`Log::blocks`].
    pub fn block(&self, at: usize) -> Option<(Id, &[u8])> {
        self.blocks.get(at).map(|(key, block)| (*key, block.as_bytes()))
    }

    /// Adds a block that comes from a file, behind those that are there; counts its entries.
    pub fn push_block(&mut self, key: Id, bytes: &[u8]) -> Result<(), Corrupt> {
        let block = Block::checked(bytes)?;
        if self.blocks.back().is_some_and(|(last, _)| *last >= key) {
            return Err(Corrupt);
        }
        self.len += block.head().live;
        self.push(key, block);
        if self.first_id == Id::MIN {
            self.find_first();
        }
        Ok(())
    }

    /// Moves blocks that are worth it; false if some are left to look at.
    pub(super) fn defrag(&mut self, mover: &mut Mover, place: &mut Place) -> bool {
        let ended = mover.each(place, self.blocks.iter_mut(), |mover, (_, block)| block.defrag(mover));
        if ended {
            mover.deque(&mut self.blocks);
        }
        ended
    }

    /// Goes on with a copy, which was empty at first; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Log, progress: &mut Progress) -> bool {
        copy.blocks.reserve_exact(self.blocks.len() - copy.blocks.len());
        let whole = progress.each(copy.blocks.len()..self.blocks.len(), |at| {
            copy.blocks.push_back(self.blocks[at].clone());
            // a copy's blocks have no spare room
            let bytes = copy.blocks[at].1.capacity();
            copy.heap += bytes;
            bytes
        });
        if whole {
            let (blocks, heap) = (std::mem::take(&mut copy.blocks), copy.heap);
            *copy = Log { blocks, heap, ..*self };
        }
        whole
    }

    /// Frees up to `budget` blocks; returns how many are left of the budget.
    pub(super) fn free_step(&mut self, budget: usize) -> usize {
        let mut left = budget;
        while left > 0 && self.blocks.pop_front().is_some() {
            left -= 1;
        }
        left
    }
}

/// Whether an entry of `bytes` goes into this block. Deleted entries count, as in Redis.
fn has_room(block: &Block, bytes: usize, limits: BlockLimits) -> bool {
    let bytes_max = if limits.bytes == 0 { BLOCK_BYTES_MAX } else { limits.bytes.min(BLOCK_BYTES_MAX) };
    if block.as_bytes().len() + bytes >= bytes_max {
        return false;
    }
    let head = block.head();
    limits.entries == 0 || head.live + head.dead < limits.entries
}

fn last_of(block: &Block, head: &Head, key: Id) -> Option<Id> {
    block.backward(head, key, block.back()).map(|(raw, _)| raw.entry.id)
}

/// Where the entry `id` is in the block, if it is there.
fn find(block: &Block, key: Id, id: Id) -> Option<usize> {
    let head = block.head();
    let mut at = Block::front(&head);
    while let Some((raw, next)) = block.forward(&head, key, at) {
        if raw.entry.id >= id && !raw.deleted {
            return (raw.entry.id == id).then_some(raw.at());
        }
        at = next;
    }
    None
}

#[derive(Debug, Clone)]
struct Cursor<'a> {
    block: &'a Block,
    key: Id,
    head: Head,
    at: usize,
}

/// See [`Log::range`].
#[derive(Debug, Clone)]
pub struct Range<'a> {
    blocks: vec_deque::Iter<'a, (Id, Block)>,
    cursor: Option<Cursor<'a>>,
    start: Id,
    end: Id,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(Cursor { block, key, head, at }) = &mut self.cursor {
                while let Some((raw, next)) = block.forward(head, *key, *at) {
                    *at = next;
                    if raw.deleted || raw.entry.id < self.start {
                        continue;
                    }
                    return (raw.entry.id <= self.end).then_some(raw.entry);
                }
            }
            let &(key, ref block) = self.blocks.next()?;
            if key > self.end {
                return None;
            }
            let head = block.head();
            self.cursor = Some(Cursor { block, key, head, at: Block::front(&head) });
        }
    }
}

/// See [`Log::range_back`].
#[derive(Debug, Clone)]
pub struct RangeBack<'a> {
    blocks: vec_deque::Iter<'a, (Id, Block)>,
    cursor: Option<Cursor<'a>>,
    start: Id,
    end: Id,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(Cursor { block, key, head, at }) = &mut self.cursor {
                while let Some((raw, begin)) = block.backward(head, *key, *at) {
                    *at = begin;
                    if raw.deleted || raw.entry.id > self.end {
                        continue;
                    }
                    return (raw.entry.id >= self.start).then_some(raw.entry);
                }
            }
            let &(key, ref block) = self.blocks.next_back()?;
            self.cursor = Some(Cursor { block, key, head: block.head(), at: block.back() });
        }
    }
}

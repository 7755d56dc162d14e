//! A block of stream entries: Redis's own listpack, byte for byte, so that blocks go to RDB files and come from them as
//! they are. Knows the entries of one block only; the first entry's identifier is its key and not in here.
//!
//! ```text
//! master    live | dead | fields | field 1 .. field N | 0
//! entry     flags | ms | seq | value 1 .. value N | pieces                          same fields as the master
//!           flags | ms | seq | fields | field 1 | value 1 | .. | pieces             its own fields
//! ```
//! Each a listpack entry (`t_stream.c` of Redis describes them): `ms` and `seq` are differences to the block's key,
//! `pieces` counts the listpack entries before it, to walk backwards. A deleted entry keeps its bytes and has a flag;
//! the master counts both kinds.

use super::Corrupt;
use super::id::Id;
use crate::types::defrag::Mover;
use crate::types::listpack::Item;
use crate::types::listpack::entry::{Encoded, before, checked_size, item_at, size_at};

/// Total bytes and number of entries, in front of every listpack.
const HEADER_BYTES: usize = 6;
/// Behind the last entry.
const END: u8 = 0xff;
/// Number of entries that says "count them".
const MANY: u16 = u16::MAX;
/// Flag of an entry that was deleted.
const DELETED: i64 = 1;
/// Flag of an entry with the master's fields.
const SAME_FIELDS: i64 = 2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    bytes: Vec<u8>,
}

impl Block {
    /// Moves it if that is worth it.
    pub(super) fn defrag(&mut self, mover: &mut Mover) {
        mover.vec(&mut self.bytes);
    }
}

/// The master entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Entries that are there.
    pub(super) live: u64,
    /// Entries that were deleted.
    pub(super) dead: u64,
    fields: usize,
    fields_at: usize,
    entries_at: usize,
}

/// One entry that is there.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its identifier.
    pub id: Id,
    bytes: &'a [u8],
    fields: usize,
    /// Where the field names are, if they are the master's.
    master_at: Option<usize>,
    data_at: usize,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Field names and values in order.
    #[inline]
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs { bytes: self.bytes, left: self.fields, master_at: self.master_at, at: self.data_at }
    }
}

/// Fields and values of an entry.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    bytes: &'a [u8],
    left: usize,
    master_at: Option<usize>,
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field_at = match &mut self.master_at {
            Some(at) => advance(self.bytes, at),
            None => advance(self.bytes, &mut self.at),
        };
        let value_at = advance(self.bytes, &mut self.at);
        Some((item_at(self.bytes, field_at), item_at(self.bytes, value_at)))
    }
}

#[inline]
fn advance(bytes: &[u8], at: &mut usize) -> usize {
    let here = *at;
    *at += size_at(bytes, here);
    here
}

/// The number at `at`, which the checks of [`Block::checked`] found to be one.
#[inline]
fn number_at(bytes: &[u8], at: usize) -> i64 {
    match item_at(bytes, at) {
        Item::Int(n) => n,
        Item::Str(_) => unreachable!("a block's numbers are numbers"),
    }
}

#[inline]
fn next_number(bytes: &[u8], at: &mut usize) -> i64 {
    let here = advance(bytes, at);
    number_at(bytes, here)
}

/// An entry as it lies in the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Meaningful if it is not deleted, and for its identifier in any case.
    pub(super) entry: Entry<'a>,
    /// Whether it was deleted.
    pub(super) deleted: bool,
    at: usize,
}

impl Block {
    /// A block for an entry with these fields, which is still to be appended. `words` are fields and values in turn.
    pub(super) fn start(words: &[&[u8]]) -> Self {
        let mut block = Block { bytes: vec![0; HEADER_BYTES] };
        block.push_int(0);
        block.push_int(0);
        block.push_int((words.len() / 2) as i64);
        words.iter().step_by(2).for_each(|field| block.push(Encoded::of(field)));
        block.push_int(0);
        block.finish(4 + words.len() / 2);
        block
    }

    /// Takes a block from a file, if its structure is sound: every number is one, and the master's counts are right.
    pub(super) fn checked(bytes: &[u8]) -> Result<Self, Corrupt> {
        check(bytes).ok_or(Corrupt)?;
        Ok(Block { bytes: bytes.to_vec() })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives unused memory back; called when a newer block begins. A copy, because the allocator shrinks nothing by
    /// less than half.
    pub(super) fn shrink(&mut self) {
        self.bytes = self.bytes.as_slice().to_vec();
    }

    #[inline]
    pub(super) fn head(&self) -> Head {
        let bytes = self.bytes.as_slice();
        let mut at = HEADER_BYTES;
        let live = next_number(bytes, &mut at) as u64;
        let dead = next_number(bytes, &mut at) as u64;
        let fields = next_number(bytes, &mut at) as usize;
        let fields_at = at;
        for _ in 0..fields {
            advance(bytes, &mut at);
        }
        advance(bytes, &mut at);
        Head { live, dead, fields, fields_at, entries_at: at }
    }

    /// Appends an entry; `ms` and `seq` are its differences to the block's key.
    pub(super) fn append(&mut self, id: Id, key: Id, words: &[&[u8]]) {
        let head = self.head();
        let fields = words.len() / 2;
        let same = head.fields == fields && self.has_fields(&head, words);
        self.bytes.pop();
        self.push_int(if same { SAME_FIELDS } else { 0 });
        self.push_int(id.ms.wrapping_sub(key.ms) as i64);
        self.push_int(id.seq.wrapping_sub(key.seq) as i64);
        let mut pieces = 3 + fields;
        if same {
            words.iter().skip(1).step_by(2).for_each(|value| self.push(Encoded::of(value)));
        } else {
            self.push_int(fields as i64);
            words.iter().for_each(|word| self.push(Encoded::of(word)));
            pieces += fields + 1;
        }
        self.push_int(pieces as i64);
        self.finish(pieces + 1);
        self.set_counts(head.live + 1, head.dead);
    }

    fn has_fields(&self, head: &Head, words: &[&[u8]]) -> bool {
        let mut at = head.fields_at;
        words.iter().step_by(2).all(|field| item_at(&self.bytes, advance(&self.bytes, &mut at)).is(field))
    }

    #[inline]
    fn push(&mut self, encoded: Encoded<'_>) {
        let at = self.bytes.len();
        self.bytes.resize(at + encoded.size(), 0);
        encoded.write(&mut self.bytes[at..]);
    }

    #[inline]
    fn push_int(&mut self, n: i64) {
        self.push(Encoded::int(n));
    }

    /// Ends the listpack behind `added` more entries than its header says.
    fn finish(&mut self, added: usize) {
        self.bytes.push(END);
        let count = u16::from_le_bytes([self.bytes[4], self.bytes[5]]);
        let count = if count == MANY { MANY } else { (usize::from(count) + added).min(usize::from(MANY)) as u16 };
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        self.set_size();
    }

    fn set_size(&mut self) {
        let size = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&size.to_le_bytes());
    }

    fn set_counts(&mut self, live: u64, dead: u64) {
        self.replace_int(HEADER_BYTES, live as i64);
        self.replace_int(HEADER_BYTES + size_at(&self.bytes, HEADER_BYTES), dead as i64);
    }

    fn replace_int(&mut self, at: usize, n: i64) {
        let encoded = Encoded::int(n);
        let (old, new) = (size_at(&self.bytes, at), encoded.size());
        if old != new {
            self.bytes.splice(at..at + old, std::iter::repeat_n(0, new));
            self.set_size();
        }
        encoded.write(&mut self.bytes[at..at + new]);
    }

    /// Marks an entry as deleted; `at` is a [`Raw::at`] of this block as it is now. False if that was the last one and
    /// nothing is left in the block.
    pub(super) fn delete(&mut self, at: usize) -> bool {
        let head = self.head();
        let flags = number_at(&self.bytes, at) | DELETED;
        // Flags and their like take one byte: nothing moves.
        self.replace_int(at, flags);
        self.set_counts(head.live - 1, head.dead + 1);
        head.live > 1
    }

    /// Marks entries as deleted from the front for as long as `doomed`, told each one's identifier and whether it was
    /// deleted before, says so; returns how many.
    pub(super) fn delete_front(&mut self, key: Id, mut doomed: impl FnMut(Id, bool) -> bool) -> u64 {
        let head = self.head();
        let mut at = head.entries_at;
        let mut deleted = 0;
        while let Some((raw, next)) = self.forward(&head, key, at) {
            let (here, gone, id) = (raw.at, raw.deleted, raw.entry.id);
            if !doomed(id, gone) {
                break;
            }
            if !gone {
                let flags = number_at(&self.bytes, here) | DELETED;
                self.replace_int(here, flags);
                deleted += 1;
            }
            at = next;
        }
        self.set_counts(head.live - deleted, head.dead + deleted);
        deleted
    }

    /// Where the first entry is.
    pub(super) fn front(head: &Head) -> usize {
        head.entries_at
    }

    /// Where the last entry ends.
    pub(super) fn back(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The entry at `at`, deleted or not, and where the next one is.
    #[inline]
    pub(super) fn forward<'a>(&'a self, head: &Head, key: Id, at: usize) -> Option<(Raw<'a>, usize)> {
        let bytes = self.bytes.as_slice();
        if bytes[at] == END {
            return None;
        }
        let raw = self.raw(head, key, at);
        let mut next = raw.entry.data_at;
        let values = if raw.entry.master_at.is_some() { raw.entry.fields } else { 2 * raw.entry.fields };
        for _ in 0..=values {
            advance(bytes, &mut next);
        }
        Some((raw, next))
    }

    /// The entry that ends before `end`, deleted or not, and where it begins.
    pub(super) fn backward<'a>(&'a self, head: &Head, key: Id, end: usize) -> Option<(Raw<'a>, usize)> {
        if end <= head.entries_at {
            return None;
        }
        let mut at = before(&self.bytes, end);
        for _ in 0..number_at(&self.bytes, at) {
            at = before(&self.bytes, at);
        }
        Some((self.raw(head, key, at), at))
    }

    #[inline]
    fn raw<'a>(&'a self, head: &Head, key: Id, begin: usize) -> Raw<'a> {
        let bytes = self.bytes.as_slice();
        let mut at = begin;
        let flags = next_number(bytes, &mut at);
        let ms = next_number(bytes, &mut at) as u64;
        let seq = next_number(bytes, &mut at) as u64;
        let same = flags & SAME_FIELDS != 0;
        let fields = if same { head.fields } else { next_number(bytes, &mut at) as usize };
        let id = Id { ms: key.ms.wrapping_add(ms), seq: key.seq.wrapping_add(seq) };
        let master_at = same.then_some(head.fields_at);
        let entry = Entry { id, bytes, fields, master_at, data_at: at };
        Raw { entry, deleted: flags & DELETED != 0, at: begin }
    }
}

impl Raw<'_> {
    /// Where it lies.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

/// Walks a block that comes from outside; `None` as soon as something is not as it should be.
fn check(bytes: &[u8]) -> Option<()> {
    let mut walk = Walk { bytes, at: HEADER_BYTES, count: 0 };
    let size = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    if size as usize != bytes.len() || bytes.len() <= HEADER_BYTES || *bytes.last()? != END {
        return None;
    }
    let (live, dead) = (walk.number()?, walk.number()?);
    let fields = usize::try_from(walk.number()?).ok()?;
    walk.skip(fields)?;
    (walk.number()? == 0).then_some(())?;
    let mut seen = [0i64; 2];
    while walk.at < bytes.len() - 1 {
        let before = walk.count;
        let flags = walk.number()?;
        (0..=3).contains(&flags).then_some(())?;
        walk.number()?;
        walk.number()?;
        let own =
            if flags & SAME_FIELDS != 0 { fields } else { usize::try_from(walk.number()?).ok()?.checked_mul(2)? };
        walk.skip(own)?;
        let pieces = i64::try_from(walk.count - before).ok()?;
        (walk.number()? == pieces).then_some(())?;
        seen[(flags & DELETED) as usize] += 1;
    }
    let told = u16::from_le_bytes([bytes[4], bytes[5]]);
    let right = told == MANY || usize::from(told) == walk.count;
    (right && seen == [live, dead]).then_some(())
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    count: usize,
}

impl Walk<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.at += self.size()?;
            self.count += 1;
        }
        Some(())
    }

    fn size(&self) -> Option<usize> {
        let size = checked_size(self.bytes, self.at)?;
        (self.at + size < self.bytes.len()).then_some(size)
    }

    fn number(&mut self) -> Option<i64> {
        let here = self.at;
        self.skip(1)?;
        match item_at(self.bytes, here) {
            Item::Int(n) => Some(n),
            Item::Str(_) => None,
        }
    }
}

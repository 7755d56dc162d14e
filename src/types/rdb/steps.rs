//! A large value to bytes in steps, so that nobody waits for all of it at once. Never changes the value and expects
//! that nobody does between two steps: whoever is about to has the rest written first.
//!
//! The bytes are those of [`Writer::body`], in the order in which cursors find them.

use super::kind;
use super::write::{COMPRESS_GAIN, Writer};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::lzf::Packer;
use crate::types::set::Set;
use crate::types::stream::{ConsumerId, Group, Id, Stream};
use crate::types::value::Value;
use crate::types::vector::VectorSet;
use crate::types::zset::Zset;
use std::collections::VecDeque;

/// Members of a table that are looked at between two looks at the bytes.
const SCAN_MEMBERS: usize = 64;
/// Members, entries or nodes that one step writes beyond what it was asked for, at most.
const RUN: usize = 64;
/// The same for elements of a vector set.
const VECTORS: usize = 4;
/// Bytes of a string that are written or compressed in one step.
const STRING_BYTES: usize = 16 * 1024;
/// A string is written as it is if so many bytes of it are not compressed to fewer.
const STRING_TRIAL_BYTES: usize = 1024 * 1024;

/// How far a value is written.
#[derive(Debug)]
pub struct Steps {
    kind: u8,
    place: Place,
    /// Members that were written.
    members: usize,
    /// The consumer group of a stream that is being written, or was last.
    group: Option<Box<[u8]>>,
    /// The compressed form of a string, as far as it is not written: its length comes first.
    packed: VecDeque<Vec<u8>>,
    packer: Option<Box<Packer>>,
    packed_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Begin,
    /// A hash with expiring fields: looking for the soonest.
    Soonest {
        cursor: u64,
        soonest: u64,
    },
    /// Members of a hash or a set; cursor 0 is their beginning.
    Scan {
        cursor: u64,
        soonest: u64,
    },
    /// Chunks of a list, blocks of a stream, members of a sorted set, or elements of a vector set.
    Run(usize),
    /// A string is compressed from this byte on.
    Pack(usize),
    /// What it was compressed to is written.
    Packed,
    /// A string is written as it is from this byte on.
    Plain(usize),
    /// The next consumer group of a stream.
    Group,
    /// What the group has pending.
    Pending(Id),
    /// What one of its consumers has pending.
    Owned(ConsumerId, Id),
    End,
}

/// Whether a value can be written in steps: its members lie in many places.
pub fn has_steps(value: &Value) -> bool {
    match value {
        Value::Set(set) => set.table().is_some(),
        Value::Hash(hash) => hash.is_table(),
        Value::Zset(zset) => zset.as_listpack().is_none(),
        Value::List(list) => !list.is_small(),
        Value::Stream(_) | Value::Str(_) | Value::Vectors(_) => true,
    }
}

impl Steps {
    /// Nothing is written of a value for which [`has_steps`] holds; `kind` is [`Writer::kind`]'s.
    pub fn new(kind: u8) -> Steps {
        Steps {
            kind,
            place: Place::Begin,
            members: 0,
            group: None,
            packed: VecDeque::new(),
            packer: None,
            packed_bytes: 0,
        }
    }

    /// Goes on until about `bytes` more are written; true if that is all of it.
    ///
    /// # Panics
    /// If the members are others than at the beginning: their number is written already.
    pub fn step(&mut self, writer: &mut Writer, value: &Value, bytes: usize) -> bool {
        let full = writer.bytes.len().saturating_add(bytes);
        let mut looks = (bytes / 8).max(1);
        while !matches!(self.place, Place::End) && writer.bytes.len() < full && looks > 0 {
            looks = looks.saturating_sub(SCAN_MEMBERS);
            self.place = match value {
                Value::Set(set) => self.set(writer, set),
                Value::Hash(hash) => self.hash(writer, hash),
                Value::Zset(zset) => self.zset(writer, zset),
                Value::List(list) => self.list(writer, list),
                Value::Stream(stream) => self.stream(writer, stream),
                Value::Str(string) => {
                    looks = 0;
                    self.string(writer, string)
                }
                Value::Vectors(set) => self.vectors(writer, set),
            };
        }
        let expected = match value {
            Value::Set(set) => set.len(),
            Value::Hash(hash) => hash.len(),
            _ => self.members,
        };
        let whole = matches!(self.place, Place::End);
        assert!(!whole || self.members == expected, "a value stays as it is while it is written");
        whole
    }

    fn set(&mut self, writer: &mut Writer, set: &Set) -> Place {
        let cursor = match self.place {
            Place::Scan { cursor, .. } => cursor,
            _ => {
                writer.length(set.len() as u64);
                0
            }
        };
        let next = set.scan(cursor, SCAN_MEMBERS, |member| {
            writer.item(member);
            self.members += 1;
        });
        if next == 0 { Place::End } else { Place::Scan { cursor: next, soonest: 0 } }
    }

    fn hash(&mut self, writer: &mut Writer, hash: &Hash) -> Place {
        let (cursor, soonest) = match self.place {
            Place::Scan { cursor, soonest } => (cursor, soonest),
            Place::Begin if self.kind != kind::HASH_TIMED => {
                writer.length(hash.len() as u64);
                (0, 0)
            }
            Place::Soonest { .. } | Place::Begin => {
                let (cursor, mut soonest) = match self.place {
                    Place::Soonest { cursor, soonest } => (cursor, soonest),
                    _ => (0, u64::MAX),
                };
                let next = hash.scan(cursor, SCAN_MEMBERS, |pair| {
                    soonest = soonest.min(pair.expire_ms.unwrap_or(u64::MAX));
                });
                if next != 0 {
                    return Place::Soonest { cursor: next, soonest };
                }
                writer.millis(soonest as i64);
                writer.length(hash.len() as u64);
                (0, soonest)
            }
            place => return place,
        };
        let next = hash.scan(cursor, SCAN_MEMBERS, |pair| {
            writer.pair(pair, self.kind, soonest);
            self.members += 1;
        });
        if next == 0 { Place::End } else { Place::Scan { cursor: next, soonest } }
    }

    fn zset(&mut self, writer: &mut Writer, zset: &Zset) -> Place {
        let from = match self.place {
            Place::Run(from) => from,
            _ => {
                writer.length(zset.len() as u64);
                0
            }
        };
        // the last one first, see `Writer::zset`
        let left = zset.len() - from;
        let taken = left.min(RUN);
        writer.scored(zset.range(left - taken..left, true));
        if taken == left { Place::End } else { Place::Run(from + taken) }
    }

    fn list(&mut self, writer: &mut Writer, list: &List) -> Place {
        let at = match self.place {
            Place::Run(at) => at,
            _ => {
                writer.length(list.run_count() as u64);
                0
            }
        };
        match list.pack(at) {
            Some(pack) => {
                writer.node(&pack);
                Place::Run(at + 1)
            }
            None => Place::End,
        }
    }

    fn stream(&mut self, writer: &mut Writer, stream: &Stream) -> Place {
        match self.place {
            Place::Begin => {
                writer.length(stream.log.block_count() as u64);
                Place::Run(0)
            }
            Place::Run(at) => match stream.log.block(at) {
                Some((key, bytes)) => {
                    writer.block(key, bytes);
                    Place::Run(at + 1)
                }
                None => {
                    writer.stream_head(stream);
                    Place::Group
                }
            },
            Place::Group => match stream.next_group(self.group.as_deref()) {
                Some((name, group)) => {
                    writer.group_head(name, group);
                    self.group = Some(name.into());
                    Place::Pending(Id::MIN)
                }
                None => Place::End,
            },
            Place::Pending(from) => {
                let Some(group) = self.group_of(stream) else { return Place::End };
                for (written, (id, pending)) in group.pending_range(from, Id::MAX).enumerate() {
                    if written == RUN {
                        return Place::Pending(id);
                    }
                    writer.pending(id, pending);
                }
                writer.length(group.consumer_count() as u64);
                self.consumer(writer, group, None)
            }
            Place::Owned(owner, from) => {
                let Some(group) = self.group_of(stream) else { return Place::End };
                for (written, (id, _)) in group.pending_of(owner, from, Id::MAX).enumerate() {
                    if written == RUN {
                        return Place::Owned(owner, id);
                    }
                    writer.id(id);
                }
                self.consumer(writer, group, Some(group.consumer(owner).name()))
            }
            _ => Place::End,
        }
    }

    fn vectors(&mut self, writer: &mut Writer, set: &VectorSet) -> Place {
        let Place::Run(from) = self.place else {
            writer.vectors_head(set);
            return Place::Run(0);
        };
        let mut next = None;
        for (slot, element) in set.stored(from as u32).take(VECTORS) {
            writer.vector(set, &element);
            next = Some(Place::Run(slot as usize + 1));
        }
        next.unwrap_or_else(|| {
            writer.vectors_end();
            Place::End
        })
    }

    /// As `Writer::string`, but that the string is compressed in steps, and not at all if its beginning does not get
    /// shorter.
    fn string(&mut self, writer: &mut Writer, string: &[u8]) -> Place {
        let part = |from: usize| from..(from + STRING_BYTES).min(string.len());
        match self.place {
            Place::Pack(from) => {
                let to = part(from).end;
                if self.packed.back().is_none_or(|last| last.len() >= STRING_BYTES) {
                    self.packed.push_back(Vec::with_capacity(2 * STRING_BYTES));
                }
                let packer = self.packer.get_or_insert_with(|| Box::new(Packer::new(string.len())));
                if let Some(last) = self.packed.back_mut() {
                    let before = last.len();
                    packer.go_on(last, &string[..to], usize::MAX);
                    self.packed_bytes += last.len() - before;
                }
                let gains = self.packed_bytes + COMPRESS_GAIN <= to;
                if !gains && (to == string.len() || to >= STRING_TRIAL_BYTES) {
                    self.packed.clear();
                    writer.length(string.len() as u64);
                    Place::Plain(0)
                } else if to == string.len() {
                    writer.compressed_head(self.packed_bytes, string.len());
                    Place::Packed
                } else {
                    Place::Pack(to)
                }
            }
            Place::Packed => match self.packed.pop_front() {
                Some(part) => {
                    writer.bytes.extend_from_slice(&part);
                    Place::Packed
                }
                None => Place::End,
            },
            Place::Plain(from) => {
                writer.bytes.extend_from_slice(&string[part(from)]);
                let to = part(from).end;
                if to == string.len() { Place::End } else { Place::Plain(to) }
            }
            _ if writer.compress => Place::Pack(0),
            _ => {
                writer.length(string.len() as u64);
                Place::Plain(0)
            }
        }
    }

    /// The group that is being written.
    fn group_of<'s>(&self, stream: &'s Stream) -> Option<&'s Group> {
        stream.group(self.group.as_deref()?)
    }

    /// The head of a group's next consumer, if there is one.
    fn consumer(&self, writer: &mut Writer, group: &Group, after: Option<&[u8]>) -> Place {
        match group.next_consumer(after) {
            Some(next) => {
                writer.consumer_head(group.consumer(next), self.kind);
                Place::Owned(next, Id::MIN)
            }
            None => Place::Group,
        }
    }
}

#[cfg(test)]
#[path = "steps_tests.rs"]
pub(crate) mod tests;

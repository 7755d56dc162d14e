//! A large value to bytes in steps, so that nobody waits for all of it at once. Never changes the value and expects
//! that nobody does between two steps: whoever is about to has the rest written first.
//!
//! The bytes are those of [`Writer::body`], in the order in which cursors find them.

use super::kind;
use super::write::Writer;
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{ConsumerId, Group, Id, Stream};
use crate::types::value::Value;
use crate::types::zset::Zset;

/// Members of a table that are looked at between two looks at the bytes.
const SCAN_MEMBERS: usize = 64;
/// Members, entries or nodes that one step writes beyond what it was asked for, at most.
const RUN: usize = 64;

/// How far a value is written.
#[derive(Debug)]
pub struct Steps {
    kind: u8,
    place: Place,
    /// Members that were written.
    members: usize,
    /// The consumer group of a stream that is being written, or was last.
    group: Option<Box<[u8]>>,
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
    /// Chunks of a list, blocks of a stream, or members of a sorted set.
    Run(usize),
    /// The next consumer group of a stream.
    Group,
    /// What the group has pending.
    Pending(Id),
    /// What one of its consumers has pending.
    Owned(ConsumerId, Id),
    End,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// There is more to write.
    More,
    /// All of it is written.
    Whole,
    /// The members are others than at the beginning: what was written is of no use.
    Changed,
}

/// Whether a value can be written in steps: its members lie in many places.
pub fn has_steps(value: &Value) -> bool {
    match value {
        Value::Set(set) => set.table().is_some(),
        Value::Hash(hash) => hash.is_table(),
        Value::Zset(zset) => zset.as_listpack().is_none(),
        Value::List(list) => !list.is_small(),
        Value::Stream(_) => true,
        Value::Str(_) | Value::Vectors(_) => false,
    }
}

impl Steps {
    /// Nothing is written of a value for which [`has_steps`] holds; `kind` is [`Writer::kind`]'s.
    pub fn new(kind: u8) -> Steps {
        Steps { kind, place: Place::Begin, members: 0, group: None }
    }

    /// Goes on until about `bytes` more are written.
    pub fn step(&mut self, writer: &mut Writer, value: &Value, bytes: usize) -> Stepped {
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
                Value::Str(_) | Value::Vectors(_) => unreachable!("written in one step"),
            };
        }
        let expected = match value {
            Value::Set(set) => set.len(),
            Value::Hash(hash) => hash.len(),
            _ => self.members,
        };
        match self.place {
            Place::End if self.members == expected => Stepped::Whole,
            Place::End => Stepped::Changed,
            _ => Stepped::More,
        }
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
            Place::Soonest { .. } | Place::Scan { .. } | Place::End => Place::End,
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

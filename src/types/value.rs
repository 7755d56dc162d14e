//! What a key can hold, when it is too large to live inside its entry. Never knows about keys, clocks or clients.

use crate::base::bytes::BigString;
use crate::base::hash::Position;
use crate::base::thin::Thin;
use crate::types::copying::{Progress, STRING_BYTES};
use crate::types::defrag::Mover;
use crate::types::fields::Fields;
use crate::types::hash::{Hash, Note};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::vector::VectorSet;
use crate::types::zset::Zset;
use std::sync::Arc;

/// A value that is more than a few bytes: it lies in its table entry, what it holds on the heap. Every later data type
/// is one more variant, of alignment 1: entries have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string longer than what an entry holds inline.
    Str(Thin<BigString>),
    /// A sorted set.
    Zset(Zset),
    /// Fields with values.
    Hash(Hash),
    /// A log of entries with its consumer groups.
    Stream(Thin<Stream>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// Elements with vectors.
    Vectors(Thin<VectorSet>),
}

const _: () = assert!(size_of::<Value>() <= 16 && align_of::<Value>() == 1);

impl Value {
    /// The name `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Str(_) => "string",
            Value::Zset(_) => "zset",
            Value::Hash(_) => "hash",
            Value::Stream(_) => "stream",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Vectors(_) => "vectorset",
        }
    }

    /// First step of a batch of lookups of members: asks for the memory that tells where a member lies.
    #[inline]
    pub fn prefetch_place(&self, member: Position) {
        if let Value::Zset(zset) = self {
            zset.prefetch_place(member);
        } else if let Some(fields) = self.table() {
            fields.prefetch_place(member);
        }
    }

    /// Second step: asks for the member itself.
    #[inline]
    pub fn prefetch_member(&self, member: Position) {
        if let Value::Zset(zset) = self {
            zset.prefetch_member(member);
        } else if let Some(fields) = self.table() {
            fields.prefetch_member(member);
        }
    }

    /// The table of a large hash or set.
    #[inline]
    fn table(&self) -> Option<&Fields> {
        match self {
            Value::Hash(hash) => hash.table(),
            Value::Set(set) => set.table(),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_string(&self) -> Option<&BigString> {
        match self {
            Value::Str(big) => Some(big),
            _ => None,
        }
    }

    /// As [`Value::as_string`], for an edit.
    pub fn as_string_mut(&mut self) -> Option<&mut BigString> {
        match self {
            Value::Str(big) => Some(big),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// As [`Value::as_list`], for an edit.
    pub fn as_list_mut(&mut self) -> Option<&mut List> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The stream, if it is one.
    pub fn as_stream(&self) -> Option<&Stream> {
        match self {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The set, if it is one.
    pub fn as_set(&self) -> Option<&Set> {
        match self {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    /// As [`Value::as_stream`], for an edit.
    pub fn as_stream_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// As [`Value::as_set`], for an edit.
    pub fn as_set_mut(&mut self) -> Option<&mut Set> {
        match self {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    /// The vector set, if it is one.
    pub fn as_vectors(&self) -> Option<&VectorSet> {
        match self {
            Value::Vectors(set) => Some(set),
            _ => None,
        }
    }

    /// As [`Value::as_vectors`], for an edit.
    pub fn as_vectors_mut(&mut self) -> Option<&mut VectorSet> {
        match self {
            Value::Vectors(set) => Some(set),
            _ => None,
        }
    }

    /// The hash, if it is one.
    pub fn as_hash(&self) -> Option<&Hash> {
        match self {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// As [`Value::as_hash`], for an edit.
    pub fn as_hash_mut(&mut self) -> Option<&mut Hash> {
        match self {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// For a hash that gets another key: when to look for due fields ([`Hash::take_note`]).
    pub fn renew_note(&mut self) -> Option<Note> {
        let hash = self.as_hash_mut()?;
        hash.forget_notes();
        hash.take_note()
    }

    /// The sorted set, if it is one.
    pub fn as_zset(&self) -> Option<&Zset> {
        match self {
            Value::Zset(zset) => Some(zset),
            _ => None,
        }
    }

    /// As [`Value::as_zset`], for an edit.
    pub fn as_zset_mut(&mut self) -> Option<&mut Zset> {
        match self {
            Value::Zset(zset) => Some(zset),
            _ => None,
        }
    }

    /// Frees up to `budget` members of a value that nobody can reach any more; true if the rest may simply be dropped.
    /// Keeps the drop of a value with millions of members from holding up commands.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match self {
            Value::Str(string) => free_end(string),
            Value::Zset(zset) => zset.free_step(budget),
            Value::Hash(hash) => hash.free_step(budget),
            Value::Stream(stream) => stream.free_step(budget),
            Value::List(list) => list.free_step(budget),
            Value::Set(set) => set.free_step(budget),
            Value::Vectors(set) => set.free_step(budget),
        }
    }

    /// What [`Value::copy_step`] fills; `None` of a small value, which is cloned.
    pub(super) fn begin_copy(&self) -> Option<Value> {
        match self {
            Value::Str(string) => Some(Value::Str(Thin::new(Arc::new(Vec::with_capacity(string.len()))))),
            Value::Zset(zset) => zset.begin_copy().map(Value::Zset),
            Value::Hash(hash) => hash.begin_copy().map(Value::Hash),
            Value::Stream(_) => Some(Value::Stream(Thin::new(Stream::new()))),
            Value::List(list) => list.begin_copy().map(Value::List),
            Value::Set(set) => set.begin_copy().map(Value::Set),
            Value::Vectors(set) => Some(Value::Vectors(Thin::new(set.begin_copy()))),
        }
    }

    /// Goes on with a copy of this value; true when it is whole.
    pub(super) fn copy_step(&self, copy: &mut Value, progress: &mut Progress) -> bool {
        match (self, copy) {
            (Value::Str(string), Value::Str(copy)) => copy_string(string, copy, progress),
            (Value::Zset(zset), Value::Zset(copy)) => zset.copy_step(copy, progress),
            (Value::Hash(hash), Value::Hash(copy)) => hash.copy_step(copy, progress),
            (Value::Stream(stream), Value::Stream(copy)) => stream.copy_step(copy, progress),
            (Value::List(list), Value::List(copy)) => list.copy_step(copy, progress),
            (Value::Set(set), Value::Set(copy)) => set.copy_step(copy, progress),
            (Value::Vectors(set), Value::Vectors(copy)) => set.copy_step(copy, progress),
            _ => unreachable!("a copy is begun as what it is of"),
        }
    }

    /// Moves blocks out of pages that hold little else, from where the last step ended (0 to begin with); `None` when
    /// all were looked at.
    pub fn defrag(&mut self, mover: &mut Mover, from: usize) -> Option<usize> {
        match self {
            Value::Str(string) => {
                move_string(string, mover);
                None
            }
            Value::Zset(zset) => zset.defrag(mover, from),
            Value::Hash(hash) => (!hash.defrag(mover)).then_some(from),
            Value::Stream(stream) => {
                mover.thin(stream);
                stream.defrag(mover, from)
            }
            Value::List(list) => list.defrag(mover, from),
            Value::Set(set) => (!set.defrag(mover)).then_some(from),
            Value::Vectors(set) => {
                mover.thin(set);
                set.defrag(mover, from)
            }
        }
    }

    /// Heap bytes behind the value. Never 0.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Str(s) => s.capacity() + size_of::<BigString>() + size_of::<Vec<u8>>() + 16,
            Value::Zset(zset) => zset.heap_bytes(),
            Value::Hash(hash) => hash.heap_bytes(),
            Value::Stream(stream) => stream.heap_bytes(),
            Value::List(list) => list.heap_bytes(),
            Value::Set(set) => set.heap_bytes(),
            Value::Vectors(set) => set.heap_bytes(),
        }
    }
}

/// Moves the three blocks of a string, unless a reply that is still being sent holds it.
fn move_string(string: &mut Thin<BigString>, mover: &mut Mover) {
    mover.thin(string);
    let head = Arc::as_ptr(string).cast();
    let Some(bytes) = Arc::get_mut(string) else { return };
    mover.vec(bytes);
    if mover.is_worth(head, size_of::<Vec<u8>>()) {
        let bytes = std::mem::take(bytes);
        **string = Arc::new(bytes);
    }
}

/// Goes on with a copy of a string. It shares nothing: the first change would have all of it copied at once.
fn copy_string(string: &BigString, copy: &mut BigString, progress: &mut Progress) -> bool {
    let Some(copy) = Arc::get_mut(copy) else { unreachable!("nobody has seen the copy") };
    progress.each(copy.len() / STRING_BYTES..string.len().div_ceil(STRING_BYTES), |part| {
        let from = part * STRING_BYTES;
        let part = &string[from..(from + STRING_BYTES).min(string.len())];
        copy.extend_from_slice(part);
        part.len()
    })
}

/// Bytes of a long string that are freed at a time: giving the kernel 1024 pages back takes 0.1 to 1.5 ms.
const FREE_BYTES: usize = 4 << 20;

/// Frees the end of a string that nobody else holds; true if the rest may be dropped.
fn free_end(string: &mut BigString) -> bool {
    let Some(bytes) = Arc::get_mut(string).filter(|bytes| bytes.capacity() > 2 * FREE_BYTES) else { return true };
    let len = bytes.capacity() - FREE_BYTES;
    bytes.truncate(len);
    bytes.shrink_to(len);
    false
}

/// What a reader sees of an entry's value.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// A canonical 64-bit integer, stored as one (`OBJECT ENCODING`: int).
    Int(i64),
    /// An inline string; `raw` says that an in-place edit made it (`OBJECT ENCODING`: raw, else embstr up to 44 bytes).
    Str {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether APPEND, SETRANGE or SETBIT made it.
        raw: bool,
    },
    /// Anything out of line.
    Boxed(&'a Value),
}

impl<'a> View<'a> {
    /// The stream, if it is one.
    pub fn as_stream(self) -> Option<&'a Stream> {
        match self {
            View::Boxed(value) => value.as_stream(),
            _ => None,
        }
    }

    /// The name `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            View::Int(_) | View::Str { .. } => "string",
            View::Boxed(value) => value.type_name(),
        }
    }
}

/// A value on its way into the table. `Str` longer than an entry holds inline is boxed by the table.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// Stored as an integer.
    Int(i64),
    /// Stored as bytes, never turned into an integer; see [`View::Str`] for `raw`.
    Str {
        /// The bytes.
        bytes: &'a [u8],
        /// As in [`View::Str`].
        raw: bool,
    },
    /// Stored as it is.
    Boxed(Box<Value>),
}

/// A value taken or copied out of the table: free of the shard, so it may cross cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    /// An integer.
    Int(i64),
    /// An inline string.
    Str {
        /// The bytes.
        bytes: Vec<u8>,
        /// As in [`View::Str`].
        raw: bool,
    },
    /// Anything out of line.
    Boxed(Box<Value>),
}

impl From<View<'_>> for Owned {
    fn from(view: View<'_>) -> Self {
        match view {
            View::Int(n) => Owned::Int(n),
            View::Str { bytes, raw } => Owned::Str { bytes: bytes.to_vec(), raw },
            View::Boxed(value) => Owned::Boxed(Box::new(value.clone())),
        }
    }
}

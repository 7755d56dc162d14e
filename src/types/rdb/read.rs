//! Bytes to values. The bytes may be anybody's: every length is checked against what is there, and nothing is reserved
//! because a number says so.

use super::length::{BITS_32, BITS_64, INT_8, INT_16, INT_32, LZF};
use super::{VERSION_REDIS, VERSION_VALKEY, crc64::crc64, kind, old, vectors};
use crate::base::text::{self, parse_i64};
use crate::base::thin::Thin;
use crate::types::hash::{Hash, PackLimits};
use crate::types::intset::Intset;
use crate::types::list::{End, Fill, List};
use crate::types::listpack::{Item, Listpack};
use crate::types::lzf;
use crate::types::set::{Set, SetLimits};
use crate::types::stream::{Group, Id, Pending, Stream};
use crate::types::table::Expire;
use crate::types::value::{Owned, Value};
use crate::types::zset::Zset;
use std::borrow::Cow;

/// What the settings say about encodings, and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of sets.
    pub set: SetLimits,
    /// Of hashes.
    pub hash: PackLimits,
    /// Of sorted sets.
    pub zset: PackLimits,
    /// Of lists.
    pub list: Fill,
    /// Unix time, milliseconds: hash fields that were due then are left out.
    pub now_ms: u64,
}

impl Default for Limits {
    /// Redis's thresholds, at the beginning of time: no field of a hash is due.
    fn default() -> Self {
        Limits {
            set: SetLimits { ints: 512, pack: 128, pack_value_bytes: 64 },
            hash: PackLimits { entries: 512, value_bytes: 64 },
            zset: PackLimits { entries: 128, value_bytes: 64 },
            list: Fill::default(),
            now_ms: 0,
        }
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The bytes end too soon.
    #[error("ends in the middle of a value")]
    Short,
    /// A checksum or version that is not ours.
    #[error("version or checksum are wrong")]
    Envelope,
    /// The checksum of a file is another: the one it tells, and that of its bytes. Redis's words.
    #[error("RDB CRC error: Wrong RDB checksum expected: ({told:x}) but got ({computed:x})")]
    Checksum {
        /// At the end of the file.
        told: u64,
        /// Of what stands before.
        computed: u64,
    },
    /// Something contradicts itself.
    #[error("{0}")]
    Corrupt(&'static str),
    /// A collection without elements.
    #[error("an empty {0}")]
    Empty(&'static str),
    /// A type that nobody writes.
    #[error("unknown type {0}")]
    Kind(u8),
    /// A value of a module, by the module's name.
    #[error("a value of the module type {0}")]
    Module(String),
}

pub(super) type Result<T> = std::result::Result<T, Bad>;

/// Reads on and on.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where what was last asked for would have ended, if it is not all there.
    wanted: usize,
    /// Version that the bytes were written in.
    pub version: u16,
}

/// The value of a DUMP payload.
pub fn payload(bytes: &[u8], limits: &Limits) -> Result<Owned> {
    let (signed, checksum) = bytes.split_last_chunk::<8>().ok_or(Bad::Envelope)?;
    let (body, version) = signed.split_last_chunk::<2>().ok_or(Bad::Envelope)?;
    let version = u16::from_le_bytes(*version);
    if version > VERSION_REDIS && version != VERSION_VALKEY || crc64(0, signed) != u64::from_le_bytes(*checksum) {
        return Err(Bad::Envelope);
    }
    let mut reader = Reader::new(body, version);
    let kind = reader.byte()?;
    let value = reader.value(kind, limits)?;
    if reader.is_at_end() { Ok(value) } else { Err(Bad::Corrupt("more than a value")) }
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8], version: u16) -> Self {
        Reader { bytes, at: 0, wanted: 0, version }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// After [`Bad::Short`]: how many bytes there would have to be at least.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.saturating_add(count);
        let Some(taken) = self.bytes.get(self.at..end) else {
            self.wanted = end;
            return Err(Bad::Short);
        };
        self.at = end;
        Ok(taken)
    }

    pub(super) fn chunk<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(Bad::Short)
    }

    /// Eight bytes, little-endian: a time in milliseconds.
    pub fn millis(&mut self) -> Result<i64> {
        self.chunk().map(i64::from_le_bytes)
    }

    /// A length, or any number that is not negative.
    pub fn length(&mut self) -> Result<u64> {
        let first = self.byte()?;
        self.length_from(first)
    }

    pub(super) fn length_from(&mut self, first: u8) -> Result<u64> {
        match (first >> 6, first) {
            (0, _) => Ok(u64::from(first)),
            (1, _) => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (_, BITS_32) => self.chunk().map(|b| u64::from(u32::from_be_bytes(b))),
            (_, BITS_64) => self.chunk().map(u64::from_be_bytes),
            _ => Err(Bad::Corrupt("no length")),
        }
    }

    /// A count of things of at least one byte each.
    pub(super) fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.length()?).unwrap_or(usize::MAX);
        if count > self.bytes.len() - self.at {
            self.wanted = self.at.saturating_add(count);
            return Err(Bad::Short);
        }
        Ok(count)
    }

    /// A string in any form.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let first = self.byte()?;
        let number = |n: i64| Ok(Cow::Owned(itoa::Buffer::new().format(n).as_bytes().to_vec()));
        match first {
            INT_8 => number(i64::from(i8::from_le_bytes(self.chunk()?))),
            INT_16 => number(i64::from(i16::from_le_bytes(self.chunk()?))),
            INT_32 => number(i64::from(i32::from_le_bytes(self.chunk()?))),
            LZF => {
                let (packed, len) = (self.length()?, self.length()?);
                let (packed, len) = (usize::try_from(packed).ok(), usize::try_from(len).ok());
                let (packed, len) = packed.zip(len).ok_or(Bad::Short)?;
                lzf::decompress(self.take(packed)?, len).map(Cow::Owned).ok_or(Bad::Corrupt("compressed string"))
            }
            _ => {
                let len = self.length_from(first)?;
                self.take(usize::try_from(len).unwrap_or(usize::MAX)).map(Cow::Borrowed)
            }
        }
    }

    /// The body of a value of this type.
    pub fn value(&mut self, kind: u8, limits: &Limits) -> Result<Owned> {
        let value = match kind {
            kind::STRING => return self.string().map(|bytes| string(&bytes)),
            kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST_1 | kind::LIST_QUICKLIST => {
                Value::List(self.list(kind, limits)?)
            }
            kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => Value::Set(self.set(kind, limits)?),
            kind::ZSET_TEXT | kind::ZSET | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
                Value::Zset(self.zset(kind, limits)?)
            }
            kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
                Value::Hash(self.hash(kind, limits)?)
            }
            kind::HASH_TIMED | kind::HASH_TIMED_LISTPACK => Value::Hash(self.timed_hash(kind, limits)?),
            kind::HASH_VALKEY if self.version >= VERSION_VALKEY => Value::Hash(self.timed_hash(kind, limits)?),
            kind::STREAM_1 | kind::STREAM_2 | kind::STREAM_3 => Value::Stream(Thin::new(self.stream(kind)?)),
            kind::MODULE => match self.length()? {
                vectors::TYPE_ID => Value::Vectors(Thin::new(self.vectors()?)),
                other => return Err(Bad::Module(module_name(other))),
            },
            kind::MODULE_OLD => return Err(Bad::Module(module_name(self.length()?))),
            _ => return Err(Bad::Kind(kind)),
        };
        Ok(Owned::Boxed(Box::new(value)))
    }

    fn listpack(&mut self) -> Result<Listpack> {
        Listpack::from_redis(&self.string()?).map_err(|_| Bad::Corrupt("listpack"))
    }

    fn list(&mut self, kind: u8, limits: &Limits) -> Result<List> {
        let mut list = List::new();
        let mut push = |bytes: &[u8]| {
            list.grow(bytes.len(), 1, limits.list);
            list.push(End::Tail, bytes, limits.list);
        };
        if kind == kind::LIST_ZIPLIST {
            old::ziplist(&self.string()?, |bytes| push(bytes))?;
        } else {
            for _ in 0..self.count()? {
                match kind {
                    kind::LIST => push(&self.string()?),
                    kind::LIST_QUICKLIST_1 => old::ziplist(&self.string()?, |bytes| push(bytes))?,
                    _ => match self.length()? {
                        1 => match self.string()? {
                            element if element.is_empty() => return Err(Bad::Corrupt("node of a list")),
                            element => push(&element),
                        },
                        2 => self.listpack()?.iter().for_each(|item| item.with_bytes(&mut push)),
                        _ => return Err(Bad::Corrupt("node of a list")),
                    },
                }
            }
        }
        if list.is_empty() { Err(Bad::Empty("list")) } else { Ok(list) }
    }

    fn set(&mut self, kind: u8, limits: &Limits) -> Result<Set> {
        const TWICE: Bad = Bad::Corrupt("a member twice");
        let set = match kind {
            kind::SET_INTSET => {
                let ints = Intset::from_bytes(&self.string()?).map_err(|_| Bad::Corrupt("intset"))?;
                Set::from_intset(ints, &limits.set)
            }
            kind::SET_LISTPACK => Set::from_listpack(self.listpack()?, &limits.set).ok_or(TWICE)?,
            _ => {
                let mut set = Set::new();
                let count = self.count()?;
                for _ in 0..count {
                    let member = self.string()?;
                    if set.is_empty() {
                        set = Set::for_members(&member, count, &limits.set);
                    }
                    if !set.add(&member, &limits.set) {
                        return Err(TWICE);
                    }
                }
                set
            }
        };
        if set.is_empty() { Err(Bad::Empty("set")) } else { Ok(set) }
    }

    fn zset(&mut self, kind: u8, limits: &Limits) -> Result<Zset> {
        let mut zset = Zset::new();
        let mut add = |member: &[u8], score: f64| {
            if score.is_nan() || zset.insert(member, score, limits.zset).is_some() {
                return Err(Bad::Corrupt("a score, or a member twice"));
            }
            Ok(())
        };
        match kind {
            kind::ZSET_LISTPACK => pairs(&self.listpack()?, |member, score| add(member, score_of(score)?))?,
            kind::ZSET_ZIPLIST => {
                let pack = old::listpack(&self.string()?)?;
                pairs(&pack, |member, score| add(member, score_of(score)?))?;
            }
            _ => {
                for _ in 0..self.count()? {
                    let member = self.string()?;
                    let score = match kind {
                        kind::ZSET => f64::from_le_bytes(self.chunk()?),
                        _ => self.text_score()?,
                    };
                    add(&member, score)?;
                }
            }
        }
        if zset.is_empty() { Err(Bad::Empty("sorted set")) } else { Ok(zset) }
    }

    /// A score as text behind its length, three lengths being special.
    fn text_score(&mut self) -> Result<f64> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            len => score_of(self.take(usize::from(len))?),
        }
    }

    fn hash(&mut self, kind: u8, limits: &Limits) -> Result<Hash> {
        let mut hash = Hash::new();
        let mut add = |name: &[u8], value: &[u8]| match hash.set(name, value, Expire::Clear, 0, limits.hash) {
            true => Ok(()),
            false => Err(Bad::Corrupt("a field twice")),
        };
        match kind {
            kind::HASH_ZIPMAP => old::zipmap(&self.string()?, add)?,
            kind::HASH_ZIPLIST => pairs(&old::listpack(&self.string()?)?, add)?,
            kind::HASH_LISTPACK => pairs(&self.listpack()?, add)?,
            _ => {
                for _ in 0..self.count()? {
                    let (name, value) = (self.string()?, self.string()?);
                    add(&name, &value)?;
                }
            }
        }
        if hash.is_empty() { Err(Bad::Empty("hash")) } else { Ok(hash) }
    }

    fn timed_hash(&mut self, kind: u8, limits: &Limits) -> Result<Hash> {
        let mut hash = Hash::new();
        let mut add = |name: &[u8], value: &[u8], at: Option<u64>| {
            if at.is_some_and(|at| at <= limits.now_ms) {
                return Ok(());
            }
            let expire = at.map_or(Expire::Clear, Expire::At);
            match hash.set(name, value, expire, limits.now_ms, limits.hash) {
                true => Ok(()),
                false => Err(Bad::Corrupt("a field twice")),
            }
        };
        let time = |at: i64| u64::try_from(at).ok().filter(|at| *at > 0);
        let soonest = if kind == kind::HASH_VALKEY { 0 } else { self.millis()? };
        if kind == kind::HASH_TIMED_LISTPACK {
            let pack = self.listpack()?;
            let items: Vec<Item<'_>> = pack.iter().collect();
            let (triples, []) = items.as_chunks::<3>() else { return Err(Bad::Corrupt("listpack of fields")) };
            for [name, value, at] in triples {
                let Item::Int(at) = at else { return Err(Bad::Corrupt("expiry of a field")) };
                name.with_bytes(|name| value.with_bytes(|value| add(name, value, time(*at))))?;
            }
        } else {
            for _ in 0..self.count()? {
                let relative = if kind == kind::HASH_TIMED { self.length()? } else { 0 };
                let (name, value) = (self.string()?, self.string()?);
                let at = match (kind, relative) {
                    (kind::HASH_VALKEY, _) => time(self.millis()?),
                    (_, 0) => None,
                    _ => time(soonest).and_then(|soonest| soonest.checked_add(relative - 1)),
                };
                add(&name, &value, at)?;
            }
        }
        if kind != kind::HASH_VALKEY {
            // also where none expires any more: Redis leaves it the form that has room for times
            hash.make_timed();
        }
        if hash.is_empty() { Err(Bad::Empty("hash")) } else { Ok(hash) }
    }

    fn id(&mut self) -> Result<Id> {
        self.chunk().map(|bytes| id(u128::from_be_bytes(bytes)))
    }

    fn id_lengths(&mut self) -> Result<Id> {
        Ok(Id { ms: self.length()?, seq: self.length()? })
    }

    fn stream(&mut self, kind: u8) -> Result<Stream> {
        const BLOCK: Bad = Bad::Corrupt("block of a stream");
        let mut stream = Stream::new();
        let log = &mut stream.log;
        for _ in 0..self.count()? {
            let key = self.string()?;
            let key = <[u8; 16]>::try_from(&key[..]).map_err(|_| BLOCK)?;
            let key = id(u128::from_be_bytes(key));
            log.push_block(key, &self.string()?).map_err(|_| BLOCK)?;
        }
        let len = self.length()?;
        log.last_id = self.id_lengths()?;
        log.entries_added = len;
        if kind != kind::STREAM_1 {
            self.id_lengths()?; // the first entry's, which the blocks tell
            log.max_deleted_id = self.id_lengths()?;
            log.entries_added = self.length()?;
        }
        let newest = log.last_entry_id().unwrap_or_default();
        if log.len() != len || newest > log.last_id {
            return Err(Bad::Corrupt("length of a stream"));
        }
        for _ in 0..self.count()? {
            let name = self.string()?;
            let mut group = self.group(kind)?;
            if kind == kind::STREAM_1 {
                group.entries_read = stream.log.position(group.last_id);
            }
            if !stream.add_group(&name, group) {
                return Err(Bad::Corrupt("a group twice"));
            }
        }
        Ok(stream)
    }

    fn group(&mut self, kind: u8) -> Result<Group> {
        const PENDING: Bad = Bad::Corrupt("pending entries of a stream");
        let last_id = self.id_lengths()?;
        let read = if kind == kind::STREAM_1 { u64::MAX } else { self.length()? };
        let mut group = Group::new(last_id, Some(read).filter(|read| *read != u64::MAX));
        let mut waiting = std::collections::BTreeMap::new();
        for _ in 0..self.count()? {
            let delivery = (self.id()?, (self.millis()?, self.length()?));
            if waiting.insert(delivery.0, delivery.1).is_some() {
                return Err(PENDING);
            }
        }
        for _ in 0..self.count()? {
            let (name, seen_ms) = (self.string()?, self.millis()?);
            let active_ms = if kind == kind::STREAM_3 { self.millis()? } else { seen_ms };
            let consumer = group.add_consumer(&name, seen_ms).ok_or(Bad::Corrupt("a consumer twice"))?;
            group.consumer_mut(consumer).active_ms = Some(active_ms).filter(|at| *at >= 0);
            for _ in 0..self.count()? {
                let id = self.id()?;
                let (delivered_ms, deliveries) = waiting.remove(&id).ok_or(PENDING)?;
                group.assign(id, Pending { consumer, delivered_ms, deliveries });
            }
        }
        if waiting.is_empty() { Ok(group) } else { Err(PENDING) }
    }
}

fn id(bits: u128) -> Id {
    Id { ms: (bits >> 64) as u64, seq: bits as u64 }
}

/// A string in the form in which the keyspace keeps it.
fn string(bytes: &[u8]) -> Owned {
    match parse_i64(bytes) {
        Some(n) => Owned::Int(n),
        None => Owned::Str { bytes: bytes.to_vec(), raw: false },
    }
}

fn score_of(text: &[u8]) -> Result<f64> {
    text::parse_f64(text).filter(|score| !score.is_nan()).ok_or(Bad::Corrupt("score"))
}

/// Visits the entries of a listpack two by two.
fn pairs(pack: &Listpack, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let mut items = pack.iter();
    while let Some(first) = items.next() {
        let second = items.next().ok_or(Bad::Corrupt("half a pair"))?;
        first.with_bytes(|first| second.with_bytes(|second| visit(first, second)))?;
    }
    Ok(())
}

/// The name in a module type's number: nine characters of six bits above ten bits of version.
pub fn module_name(id: u64) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|i| char::from(CHARS[(id >> (10 + 6 * i)) as usize & 63])).collect()
}

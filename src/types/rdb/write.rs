//! Values to bytes. Never fails and never waits.

use super::length::{BITS_14, BITS_32, BITS_64, INT_8, INT_16, INT_32, LZF};
use super::{Attributes, Flavor, VERSION_MIN, VERSION_REDIS, VERSION_STREAM_3, VERSION_VALKEY, opcode};
use super::{crc64::crc64, kind};
use crate::base::text::parse_i64;
use crate::types::hash::{Hash, Pair};
use crate::types::list::{List, Pack};
use crate::types::listpack::Item;
use crate::types::lzf;
use crate::types::set::Set;
use crate::types::stream::{Consumer, Group, Id, Pending, Stream};
use crate::types::value::{Value, View};
use crate::types::zset::Zset;

/// Longest text that may be kept as a number.
const NUMBER_CHARS_MAX: usize = 11;
/// Shortest string that is compressed, less one, and how much shorter it has to become.
const COMPRESS_MIN: usize = 20;
pub(super) const COMPRESS_GAIN: usize = 4;
/// A quicklist's node is a listpack.
const NODE_PACKED: u64 = 2;

/// Collects what is written.
#[derive(Debug, Default)]
pub struct Writer {
    /// The bytes so far.
    pub bytes: Vec<u8>,
    /// Whether long strings are compressed (`rdbcompression`).
    pub compress: bool,
    /// Whose form is used where Redis and Valkey differ.
    pub flavor: Flavor,
    /// For strings that are compressed.
    pub room: lzf::Room,
}

/// The version that a value needs, 10 at least.
pub fn version(value: View<'_>, flavor: Flavor) -> u16 {
    match value {
        View::Boxed(Value::Hash(hash)) if hash.may_expire() && hash.iter().any(|p| p.expire_ms.is_some()) => {
            match flavor {
                Flavor::Redis => VERSION_REDIS,
                Flavor::Valkey => VERSION_VALKEY,
            }
        }
        View::Boxed(Value::Stream(stream)) if needs_active_times(stream) => VERSION_STREAM_3,
        _ => VERSION_MIN,
    }
}

/// A DUMP payload: type, body, version, checksum.
pub fn payload(value: View<'_>, flavor: Flavor) -> Vec<u8> {
    let mut writer = Writer { compress: true, flavor, ..Writer::default() };
    writer.value(value);
    let mut bytes = writer.bytes;
    bytes.extend_from_slice(&version(value, flavor).to_le_bytes());
    let checksum = crc64(0, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A DUMP payload as it is with the checksum that its bytes have; `None` if it has that one, or is too short for any.
pub fn signed_anew(payload: &[u8]) -> Option<Vec<u8>> {
    let (signed, told) = payload.split_last_chunk::<8>()?;
    let checksum = crc64(0, signed).to_le_bytes();
    (checksum != *told).then(|| [signed, &checksum].concat())
}

/// Whether a consumer was active at another time than it was last seen: only then is there something to keep.
fn needs_active_times(stream: &Stream) -> bool {
    stream.groups().any(|(_, group)| group.consumers().any(|c| c.active_ms != Some(c.seen_ms)))
}

/// The version that a value of this type needs, 10 at least.
fn version_of_kind(kind: u8) -> u16 {
    match kind {
        kind::HASH_VALKEY => VERSION_VALKEY,
        kind::HASH_TIMED | kind::HASH_TIMED_LISTPACK => VERSION_REDIS,
        kind::STREAM_3 => VERSION_STREAM_3,
        _ => VERSION_MIN,
    }
}

impl Writer {
    /// A key as it stands in a file; answers the version that its value needs.
    pub fn entry(&mut self, key: &[u8], value: View<'_>, attributes: Attributes) -> u16 {
        let (kind, version) = self.head(key, value, attributes);
        self.body(value, kind);
        version
    }

    /// What stands in a file before a value's body; answers its type and the version that it needs.
    pub fn head(&mut self, key: &[u8], value: View<'_>, attributes: Attributes) -> (u8, u16) {
        if let Some(at) = attributes.expire_ms {
            self.bytes.push(opcode::EXPIRE_MS);
            self.bytes.extend_from_slice(&at.to_le_bytes());
        }
        if let Some(idle_s) = attributes.idle_s {
            self.bytes.push(opcode::IDLE);
            self.length(idle_s);
        }
        if let Some(frequency) = attributes.frequency {
            self.bytes.extend_from_slice(&[opcode::FREQUENCY, frequency]);
        }
        let kind = self.kind(value);
        self.bytes.push(kind);
        self.string(key);
        (kind, version_of_kind(kind))
    }

    /// What follows in the file is of this database.
    pub fn database(&mut self, db: usize) {
        self.bytes.push(opcode::DATABASE);
        self.length(db as u64);
    }

    /// Type and body of a value.
    pub fn value(&mut self, value: View<'_>) {
        let kind = self.kind(value);
        self.bytes.push(kind);
        self.body(value, kind);
    }

    /// The type that [`Writer::body`] writes a value as.
    pub fn kind(&self, value: View<'_>) -> u8 {
        match value {
            View::Int(_) | View::Str { .. } | View::Boxed(Value::Str(_)) => kind::STRING,
            View::Boxed(Value::List(_)) => kind::LIST_QUICKLIST,
            View::Boxed(Value::Set(set)) if set.as_intset().is_some() => kind::SET_INTSET,
            View::Boxed(Value::Set(_)) => kind::SET,
            View::Boxed(Value::Zset(zset)) if zset.as_listpack().is_some() => kind::ZSET_LISTPACK,
            View::Boxed(Value::Zset(_)) => kind::ZSET,
            View::Boxed(Value::Hash(hash)) => self.hash_kind(hash),
            View::Boxed(Value::Stream(stream)) if needs_active_times(stream) => kind::STREAM_3,
            View::Boxed(Value::Stream(_)) => kind::STREAM_2,
            View::Boxed(Value::Vectors(_)) => kind::MODULE,
        }
    }

    fn hash_kind(&self, hash: &Hash) -> u8 {
        // a table knows how many of its fields expire
        let timed = hash.may_expire() && (hash.is_table() || hash.iter().any(|pair| pair.expire_ms.is_some()));
        let packed = hash.encoding() != "hashtable";
        match (timed, hash.pack()) {
            (false, Some((_, false))) if packed => kind::HASH_LISTPACK,
            (false, _) => kind::HASH,
            (true, _) if self.flavor == Flavor::Valkey => kind::HASH_VALKEY,
            (true, Some((_, true))) if packed => kind::HASH_TIMED_LISTPACK,
            (true, _) => kind::HASH_TIMED,
        }
    }

    /// The body of a value of this type.
    pub fn body(&mut self, value: View<'_>, kind: u8) {
        match value {
            View::Int(n) => self.number(n),
            View::Str { bytes, .. } => self.string(bytes),
            View::Boxed(Value::Str(bytes)) => self.string(bytes),
            View::Boxed(Value::List(list)) => self.list(list),
            View::Boxed(Value::Set(set)) => self.set(set),
            View::Boxed(Value::Zset(zset)) => self.zset(zset),
            View::Boxed(Value::Hash(hash)) => self.hash(hash, kind),
            View::Boxed(Value::Stream(stream)) => self.stream(stream, kind),
            View::Boxed(Value::Vectors(set)) => self.vectors(set),
        }
    }

    /// A length, or any number that is not negative.
    pub fn length(&mut self, n: u64) {
        match n {
            0..64 => self.bytes.push(n as u8),
            64..16384 => self.bytes.extend_from_slice(&[BITS_14 | (n >> 8) as u8, n as u8]),
            _ => match u32::try_from(n) {
                Ok(n) => {
                    self.bytes.push(BITS_32);
                    self.bytes.extend_from_slice(&n.to_be_bytes());
                }
                Err(_) => {
                    self.bytes.push(BITS_64);
                    self.bytes.extend_from_slice(&n.to_be_bytes());
                }
            },
        }
    }

    /// A string: as a number, compressed, or as it is, whichever is shortest.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= NUMBER_CHARS_MAX
            && let Some(n) = parse_i64(bytes)
            && self.short_number(n)
        {
            return;
        }
        if self.compress && bytes.len() > COMPRESS_MIN && self.room.compress(bytes, bytes.len() - COMPRESS_GAIN) {
            self.compressed_head(self.room.packed().len(), bytes.len());
            return self.bytes.extend_from_slice(self.room.packed());
        }
        self.length(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A string of `len` bytes in its compressed form.
    fn compressed(&mut self, packed: &[u8], len: usize) {
        self.compressed_head(packed.len(), len);
        self.bytes.extend_from_slice(packed);
    }

    /// What stands before the `packed` bytes that a string of `len` bytes is compressed to.
    pub(super) fn compressed_head(&mut self, packed: usize, len: usize) {
        self.bytes.push(LZF);
        self.length(packed as u64);
        self.length(len as u64);
    }

    /// A string that is a number's digits.
    pub fn number(&mut self, n: i64) {
        if !self.short_number(n) {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(n).as_bytes();
            self.length(digits.len() as u64);
            self.bytes.extend_from_slice(digits);
        }
    }

    /// A number of up to 32 bits; false if it has more.
    fn short_number(&mut self, n: i64) -> bool {
        if let Ok(n) = i8::try_from(n) {
            self.bytes.extend_from_slice(&[INT_8, n as u8]);
        } else if let Ok(n) = i16::try_from(n) {
            self.bytes.push(INT_16);
            self.bytes.extend_from_slice(&n.to_le_bytes());
        } else if let Ok(n) = i32::try_from(n) {
            self.bytes.push(INT_32);
            self.bytes.extend_from_slice(&n.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    pub(super) fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Int(n) => self.number(n),
            Item::Str(bytes) => self.string(bytes),
        }
    }

    pub(super) fn millis(&mut self, at: i64) {
        self.bytes.extend_from_slice(&at.to_le_bytes());
    }

    pub(super) fn id(&mut self, id: Id) {
        self.bytes.extend_from_slice(&id_bytes(id));
    }

    fn id_lengths(&mut self, id: Id) {
        self.length(id.ms);
        self.length(id.seq);
    }

    fn list(&mut self, list: &List) {
        self.length(list.run_count() as u64);
        list.packs().for_each(|pack| self.node(&pack));
    }

    /// A node of a list.
    pub(super) fn node(&mut self, pack: &Pack<'_>) {
        self.length(NODE_PACKED);
        match pack {
            Pack::Plain(bytes) => self.string(bytes),
            Pack::Compressed { lzf, len } => self.compressed(lzf, *len),
        }
    }

    fn set(&mut self, set: &Set) {
        if let Some(ints) = set.as_intset() {
            return self.string(ints);
        }
        self.length(set.len() as u64);
        set.iter().for_each(|member| self.item(member));
    }

    fn zset(&mut self, zset: &Zset) {
        if let Some(pack) = zset.as_listpack() {
            return self.string(&pack.to_redis());
        }
        // The last one first, as Redis does: each goes to the front of its skip list then.
        self.length(zset.len() as u64);
        self.scored(zset.range(0..zset.len(), true));
    }

    /// Members of a sorted set.
    pub(super) fn scored<'a>(&mut self, members: impl Iterator<Item = (Item<'a>, f64)>) {
        for (member, score) in members {
            self.item(member);
            self.bytes.extend_from_slice(&score.to_le_bytes());
        }
    }

    fn hash(&mut self, hash: &Hash, kind: u8) {
        let times = || hash.iter().filter_map(|pair| pair.expire_ms);
        let soonest = if hash.may_expire() { times().min().unwrap_or(0) } else { 0 };
        match (kind, hash.pack()) {
            (kind::HASH_LISTPACK, Some((pack, _))) => self.string(&pack.to_redis()),
            (kind::HASH_TIMED_LISTPACK, Some((pack, _))) => {
                self.millis(soonest as i64);
                self.string(&pack.to_redis());
            }
            _ => {
                if kind == kind::HASH_TIMED {
                    self.millis(soonest as i64);
                }
                self.length(hash.len() as u64);
                hash.iter().for_each(|pair| self.pair(pair, kind, soonest));
            }
        }
    }

    pub(super) fn pair(&mut self, pair: Pair<'_>, kind: u8, soonest: u64) {
        if kind == kind::HASH_TIMED {
            // Relative to the soonest, plus one; 0 is none.
            self.length(pair.expire_ms.map_or(0, |at| at - soonest + 1));
        }
        self.item(pair.name);
        self.item(pair.value);
        if kind == kind::HASH_VALKEY {
            self.millis(pair.expire_ms.map_or(-1, |at| at as i64));
        }
    }

    fn stream(&mut self, stream: &Stream, kind: u8) {
        let log = &stream.log;
        self.length(log.block_count() as u64);
        log.blocks().for_each(|(key, bytes)| self.block(key, bytes));
        self.stream_head(stream);
        for (name, group) in stream.groups() {
            self.group_head(name, group);
            group.pending_range(Id::MIN, Id::MAX).for_each(|(id, pending)| self.pending(id, pending));
            self.length(group.consumer_count() as u64);
            group.consumers().for_each(|consumer| self.consumer(group, consumer, kind));
        }
    }

    /// A block of a stream.
    pub(super) fn block(&mut self, key: Id, bytes: &[u8]) {
        self.string(&id_bytes(key));
        self.string(bytes);
    }

    /// What stands between a stream's blocks and its groups.
    pub(super) fn stream_head(&mut self, stream: &Stream) {
        let log = &stream.log;
        self.length(log.len());
        self.id_lengths(log.last_id);
        self.id_lengths(log.first_id());
        self.id_lengths(log.max_deleted_id);
        self.length(log.entries_added);
        self.length(stream.group_count() as u64);
    }

    /// A group up to what is pending.
    pub(super) fn group_head(&mut self, name: &[u8], group: &Group) {
        self.string(name);
        self.id_lengths(group.last_id);
        self.length(group.entries_read.unwrap_or(u64::MAX));
        self.length(group.pending_count() as u64);
    }

    /// A pending entry of a group.
    pub(super) fn pending(&mut self, id: Id, pending: &Pending) {
        self.id(id);
        self.millis(pending.delivered_ms);
        self.length(pending.deliveries);
    }

    fn consumer(&mut self, group: &Group, consumer: &Consumer, kind: u8) {
        self.consumer_head(consumer, kind);
        let Some(number) = group.find(consumer.name()) else { return };
        for (id, _) in group.pending_of(number, Id::MIN, Id::MAX) {
            self.id(id);
        }
    }

    /// A consumer up to the identifiers of what it has pending.
    pub(super) fn consumer_head(&mut self, consumer: &Consumer, kind: u8) {
        self.string(consumer.name());
        self.millis(consumer.seen_ms);
        if kind == kind::STREAM_3 {
            self.millis(consumer.active_ms.unwrap_or(-1));
        }
        self.length(consumer.pending_count() as u64);
    }
}

/// An identifier as the key of a stream's block: big-endian, so that bytes sort as it does.
fn id_bytes(id: Id) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

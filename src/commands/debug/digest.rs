//! DEBUG DIGEST: one hash of a data set that does not depend on the order of its keys, the same that Redis computes, so
//! that data sets of two servers can be compared.
//!
//! Notation: `x ^= SHA1(data)` is *xor*; *mix* is xor followed by `x = SHA1(x)`, which depends on the order.
//! - a key: mix the name, mix the type's number (32 bits, big-endian), mix the value's parts, xor `!!expire!!` if it
//!   has an expiry;
//! - a database: xor each key's digest (it is hashed once more);
//! - the data set: for each database that is not empty, in order, mix its number (32 bits, big-endian), then its keys.

use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::resp::reply::Reply;
use crate::shard::keyspace::Shard;
use crate::types::stream::{Id, Stream};
use crate::types::table::{EntryView, Key};
use crate::types::value::{Value, View};
use crate::types::vector::VectorSet;
use crate::types::zset::Zset;
use sha1_smol::Sha1;

const BYTES: usize = 20;

/// A hash that things are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Digest([u8; BYTES]);

impl Digest {
    fn xor_bytes(&mut self, bytes: &[u8; BYTES]) {
        self.0.iter_mut().zip(bytes).for_each(|(a, b)| *a ^= b);
    }

    fn xor(&mut self, data: &[u8]) {
        self.xor_bytes(&Sha1::from(data).digest().bytes());
    }

    fn mix(&mut self, data: &[u8]) {
        self.xor(data);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Type numbers as in Redis's object header.
const STRING: u32 = 0;
const SORTED_SET: u32 = 3;
const HASH: u32 = 4;
const STREAM: u32 = 6;
const LIST: u32 = 1;
const SET: u32 = 2;
const MODULE: u32 = 5;

impl Digest {
    /// Adds a value and its expiry.
    fn add_value(&mut self, value: View<'_>, expire_ms: Option<u64>) {
        let kind = match value {
            View::Int(_) | View::Str { .. } | View::Boxed(Value::Str(_)) => STRING,
            View::Boxed(Value::Zset(_)) => SORTED_SET,
            View::Boxed(Value::Hash(_)) => HASH,
            View::Boxed(Value::Stream(_)) => STREAM,
            View::Boxed(Value::List(_)) => LIST,
            View::Boxed(Value::Set(_)) => SET,
            View::Boxed(Value::Vectors(_)) => MODULE,
        };
        self.mix(&kind.to_be_bytes());
        match value {
            View::Int(n) => self.mix(itoa::Buffer::new().format(n).as_bytes()),
            View::Str { bytes, .. } => self.mix(bytes),
            View::Boxed(Value::Str(bytes)) => self.mix(bytes),
            View::Boxed(Value::Zset(zset)) => self.add_zset(zset),
            View::Boxed(Value::Hash(hash)) => hash.iter().for_each(|pair| {
                let mut field = Digest::default();
                pair.name.with_bytes(|name| field.mix(name));
                pair.value.with_bytes(|value| field.mix(value));
                self.xor(&field.0);
            }),
            View::Boxed(Value::Stream(stream)) => self.add_stream(stream),
            View::Boxed(Value::List(list)) => {
                list.walk(0, true, |item| {
                    item.with_bytes(|bytes| self.mix(bytes));
                    true
                });
            }
            View::Boxed(Value::Set(set)) => set.iter().for_each(|member| member.with_bytes(|bytes| self.xor(bytes))),
            View::Boxed(Value::Vectors(set)) => self.add_vectors(set),
        }
        if expire_ms.is_some() {
            self.xor(b"!!expire!!");
        }
    }

    /// Adds the entries of a stream; its groups do not count.
    fn add_stream(&mut self, stream: &Stream) {
        for entry in stream.log.range(Id::MIN, Id::MAX) {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                field.with_bytes(|bytes| self.mix(bytes));
                value.with_bytes(|bytes| self.mix(bytes));
            }
        }
    }

    /// Xors the digests of the members, of each its bytes and its score in C's `%.17g`, mixed.
    fn add_zset(&mut self, zset: &Zset) {
        for (member, score) in zset.iter() {
            let mut element = Digest::default();
            member.with_bytes(|bytes| element.mix(bytes));
            element.mix(text::double_17(score).as_bytes());
            self.xor(&element.0);
        }
    }

    /// Xors a digest of the size, and of each element its vector as it is kept, its name and its attributes, mixed; and
    /// takes the hash of all that in.
    fn add_vectors(&mut self, set: &VectorSet) {
        let mut all = Digest::default();
        let mut size = Digest::default();
        size.mix(set.len().to_string().as_bytes());
        size.mix(set.shape().dim.to_string().as_bytes());
        all.xor(&size.0);
        for (_, element) in set.stored(0) {
            let mut digest = Digest::default();
            digest.mix(&element.bytes);
            digest.mix(element.name);
            element.attributes.into_iter().for_each(|attributes| digest.mix(attributes));
            all.xor(&digest.0);
        }
        self.xor(&all.0);
    }

    fn of_entry(entry: &EntryView<'_>) -> Self {
        let mut digest = Digest::default();
        digest.mix(entry.key);
        digest.add_value(entry.value, entry.expire_ms);
        digest
    }
}

/// What one shard holds of one database: parts of several shards add up by xor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseDigest {
    keys: u64,
    xor: Digest,
}

impl DatabaseDigest {
    /// Joins the parts of two shards.
    pub fn join(&mut self, other: &DatabaseDigest) {
        self.keys += other.keys;
        self.xor.xor_bytes(&other.xor.0);
    }
}

/// The digest of each database of a shard, in order.
pub fn database_digests(shard: &Shard) -> Vec<DatabaseDigest> {
    let database = |db| {
        let mut digest = DatabaseDigest::default();
        shard.for_each(db, |entry| {
            digest.keys += 1;
            digest.xor.xor(&Digest::of_entry(&entry).0);
            true
        });
        digest
    };
    (0..shard.tables.len()).map(database).collect()
}

/// The digest of a data set, as it is printed.
#[derive(Debug)]
pub struct DatasetDigest(String);

impl DatasetDigest {
    /// From each shard's [`database_digests`].
    pub fn of(shards: &[Vec<DatabaseDigest>]) -> Self {
        let databases = shards.iter().map(Vec::len).max().unwrap_or(0);
        let mut all = Digest::default();
        for db in 0..databases {
            let mut database = DatabaseDigest::default();
            shards.iter().filter_map(|shard| shard.get(db)).for_each(|part| database.join(part));
            if database.keys > 0 {
                all.mix(&(db as u32).to_be_bytes());
                all.xor_bytes(&database.xor.0);
            }
        }
        DatasetDigest(all.hex())
    }

    /// 40 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `DEBUG DIGEST-VALUE key [key ...]`: runs on a part of the keys, from argument 2 on.
pub(super) fn digest_value(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    reply.array(args.len() - 2);
    for name in args.from(2) {
        let mut digest = Digest::default();
        if let Some(entry) = ctx.shard.peek(ctx.db, Key::new(name)) {
            digest.add_value(entry.value, entry.expire_ms);
        }
        reply.simple(&digest.hex());
    }
}

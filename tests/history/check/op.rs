//! What histories are made of: commands that tests send, what they do to a keyspace, and when they were under way.
//! Knows no server.

use super::state::State;
use crate::common::Value;

/// Index of a key; [`name`] spells it.
pub type Key = usize;

/// The name of a key. Neighbours differ in their last byte, which sends them to different shards.
pub fn name(key: Key) -> String {
    format!("k{key}")
}

/// A command of a history. Values are numbers that no other write of the history uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Get(Key),
    Set(Key, u64),
    GetSet(Key, u64),
    SetNx(Key, u64),
    GetDel(Key),
    Incr(Key),
    /// The value as a word of [`TOKEN`] bytes.
    Append(Key, u64),
    MGet(Vec<Key>),
    MSet(Vec<(Key, u64)>),
    MSetNx(Vec<(Key, u64)>),
    Del(Vec<Key>),
    Exists(Vec<Key>),
    Rename(Key, Key),
    RenameNx(Key, Key),
    Copy(Key, Key),
    DbSize,
    FlushAll,
    /// To the left end or the right.
    Push(Side, Key, u64),
    Pop(Side, Key),
    /// From this end of a list to that end of another; the last says whether it waits for an element.
    Move(Key, Key, Side, Side, bool),
    Range(Key),
    /// BLPOP or BRPOP.
    PopFirst(Side, Vec<Key>),
    /// LMPOP, or BLMPOP if it waits.
    PopMany {
        side: Side,
        keys: Vec<Key>,
        count: usize,
        waits: bool,
    },
    SAdd(Key, u64),
    SRem(Key, u64),
    SMove(Key, Key, u64),
    /// Answered in order: sets have none of their own.
    SMembers(Key),
    SStore(Algebra, Key, Vec<Key>),
    /// A member and its score.
    ZAdd(Key, u64, i64),
    ZRem(Key, u64),
    /// With scores.
    ZRange(Key),
    /// BZPOPMIN (left) or BZPOPMAX.
    ZPopFirst(Side, Vec<Key>),
    /// ZMPOP, or BZMPOP if it waits.
    ZPopMany {
        side: Side,
        keys: Vec<Key>,
        count: usize,
        waits: bool,
    },
    ZStore(Algebra, Key, Vec<Key>),
    /// ZRANGESTORE of the first two, to the first key from the second.
    ZRangeStore(Key, Key),
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

impl Side {
    fn letter(self) -> &'static str {
        if self == Side::Left { "L" } else { "R" }
    }

    fn rank(self) -> String {
        if self == Side::Left { "MIN" } else { "MAX" }.to_string()
    }

    fn word(self) -> String {
        if self == Side::Left { "LEFT" } else { "RIGHT" }.to_string()
    }
}

/// What sets are made of others by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algebra {
    Union,
    Inter,
    Diff,
}

/// Seconds that a blocking call waits.
const BLOCKS: &str = "0.05";

/// Bytes of a value that APPEND adds.
pub const TOKEN: usize = 9;

/// A value as APPEND adds it.
pub fn token(value: u64) -> String {
    format!("{value:08},")
}

impl Call {
    /// The keys it names.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Call::Get(k) | Call::GetDel(k) | Call::Incr(k) => vec![*k],
            Call::Set(k, _) | Call::GetSet(k, _) | Call::SetNx(k, _) | Call::Append(k, _) => vec![*k],
            Call::MGet(keys) | Call::Del(keys) | Call::Exists(keys) => keys.clone(),
            Call::MSet(pairs) | Call::MSetNx(pairs) => pairs.iter().map(|(k, _)| *k).collect(),
            Call::Rename(a, b) | Call::RenameNx(a, b) | Call::Copy(a, b) => vec![*a, *b],
            Call::DbSize | Call::FlushAll => Vec::new(),
            Call::Push(_, k, _) | Call::Pop(_, k) | Call::Range(k) => vec![*k],
            Call::SAdd(k, _) | Call::SRem(k, _) | Call::SMembers(k) => vec![*k],
            Call::Move(a, b, ..) | Call::SMove(a, b, _) => vec![*a, *b],
            Call::SStore(_, to, from) | Call::ZStore(_, to, from) => [vec![*to], from.clone()].concat(),
            Call::PopFirst(_, keys) | Call::PopMany { keys, .. } => keys.clone(),
            Call::ZPopFirst(_, keys) | Call::ZPopMany { keys, .. } => keys.clone(),
            Call::ZAdd(k, ..) | Call::ZRem(k, _) | Call::ZRange(k) => vec![*k],
            Call::ZRangeStore(a, b) => vec![*a, *b],
        }
    }

    /// As a client sends it.
    pub fn words(&self) -> Vec<String> {
        let pairs = |command: &str, pairs: &[(Key, u64)]| {
            let rest = pairs.iter().flat_map(|(k, v)| [name(*k), v.to_string()]);
            [command.to_string()].into_iter().chain(rest).collect()
        };
        let keys = |command: &str, keys: &[Key]| {
            [command.to_string()].into_iter().chain(keys.iter().map(|k| name(*k))).collect()
        };
        let with = |command: &str, key: Key, value: u64| vec![command.to_string(), name(key), value.to_string()];
        match self {
            Call::Get(k) => keys("GET", &[*k]),
            Call::Set(k, v) => with("SET", *k, *v),
            Call::GetSet(k, v) => with("GETSET", *k, *v),
            Call::SetNx(k, v) => with("SETNX", *k, *v),
            Call::GetDel(k) => keys("GETDEL", &[*k]),
            Call::Incr(k) => keys("INCR", &[*k]),
            Call::Append(k, v) => vec!["APPEND".into(), name(*k), token(*v)],
            Call::MGet(k) => keys("MGET", k),
            Call::MSet(p) => pairs("MSET", p),
            Call::MSetNx(p) => pairs("MSETNX", p),
            Call::Del(k) => keys("DEL", k),
            Call::Exists(k) => keys("EXISTS", k),
            Call::Rename(a, b) => keys("RENAME", &[*a, *b]),
            Call::RenameNx(a, b) => keys("RENAMENX", &[*a, *b]),
            Call::Copy(a, b) => keys("COPY", &[*a, *b]),
            Call::DbSize => keys("DBSIZE", &[]),
            Call::FlushAll => keys("FLUSHALL", &[]),
            Call::Push(side, k, v) => with(&format!("{}PUSH", side.letter()), *k, *v),
            Call::Pop(side, k) => keys(&format!("{}POP", side.letter()), &[*k]),
            Call::Move(a, b, from, to, waits) => {
                let mut words = keys(if *waits { "BLMOVE" } else { "LMOVE" }, &[*a, *b]);
                words.extend([from.word(), to.word()]);
                words.extend(waits.then(|| BLOCKS.to_string()));
                words
            }
            Call::Range(k) => [keys("LRANGE", &[*k]), vec!["0".into(), "-1".into()]].concat(),
            Call::SAdd(k, v) => with("SADD", *k, *v),
            Call::SRem(k, v) => with("SREM", *k, *v),
            Call::SMove(a, b, v) => [keys("SMOVE", &[*a, *b]), vec![v.to_string()]].concat(),
            Call::SMembers(k) => keys("SMEMBERS", &[*k]),
            Call::SStore(algebra, to, from) => {
                let command = ["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"][*algebra as usize];
                keys(command, &[vec![*to], from.clone()].concat())
            }
            Call::PopFirst(..) | Call::PopMany { .. } | Call::ZPopFirst(..) | Call::ZPopMany { .. } => self.pop_words(),
            Call::ZAdd(k, member, score) => vec!["ZADD".into(), name(*k), score.to_string(), member.to_string()],
            Call::ZRem(k, member) => with("ZREM", *k, *member),
            Call::ZRange(k) => [keys("ZRANGE", &[*k]), ["0", "-1", "WITHSCORES"].map(String::from).to_vec()].concat(),
            Call::ZStore(algebra, to, from) => {
                let command = ["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"][*algebra as usize];
                let count = vec![from.len().to_string()];
                [keys(command, &[*to]), count, from.iter().map(|k| name(*k)).collect()].concat()
            }
            Call::ZRangeStore(a, b) => [keys("ZRANGESTORE", &[*a, *b]), vec!["0".into(), "1".into()]].concat(),
        }
    }

    fn pop_words(&self) -> Vec<String> {
        let (command, end, from, count, waits) = match self {
            Call::PopFirst(side, from) => (format!("B{}POP", side.letter()), String::new(), from, 0, true),
            Call::ZPopFirst(side, from) => (format!("BZPOP{}", side.rank()), String::new(), from, 0, true),
            Call::PopMany { side, keys, count, waits } => ("LMPOP".to_string(), side.word(), keys, *count, *waits),
            Call::ZPopMany { side, keys, count, waits } => ("ZMPOP".to_string(), side.rank(), keys, *count, *waits),
            other => panic!("{other:?} pops nothing"),
        };
        let names = from.iter().map(|k| name(*k));
        if count == 0 {
            return [command].into_iter().chain(names).chain([BLOCKS.to_string()]).collect();
        }
        let head = if waits { vec![format!("B{command}"), BLOCKS.to_string()] } else { vec![command] };
        let tail = [end, "COUNT".to_string(), count.to_string()];
        head.into_iter().chain([from.len().to_string()]).chain(names).chain(tail).collect()
    }

    /// A reply as the model gives it.
    pub fn tidy(&self, reply: Value) -> Value {
        match (self, reply) {
            (Call::SMembers(_), Value::Array(mut members) | Value::Set(mut members)) => {
                members.sort_by(|a, b| a.bytes().cmp(b.bytes()));
                Value::Array(members)
            }
            // A call that waited in vain says so by another null than one that may not wait.
            (Call::Move(.., true), Value::NullArray) => Value::NullBulk,
            (_, reply) => reply,
        }
    }
}

/// What a client learnt of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It took effect; one reply per call.
    Replied(Vec<Value>),
    /// It took no effect (a failed EXEC).
    Failed,
    /// The client was gone before the reply: it took effect at some time, or never.
    Unknown,
}

/// Calls that take effect at once, or not at all.
#[derive(Debug, Clone)]
pub struct Op {
    pub client: usize,
    /// When the client sent it, on a clock that all clients share.
    pub start: u64,
    /// When the reply was there; `u64::MAX` for an unknown outcome.
    pub end: u64,
    pub calls: Vec<Call>,
    pub outcome: Outcome,
    /// Its place in the pipeline that it was sent in, if others were sent with it.
    pub line: Option<Line>,
}

/// See [`Op::line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Unique among the pipelines of its client.
    pub number: usize,
    /// How many stand before it.
    pub place: usize,
    /// Whether it takes effect behind all of them (`pipeline-order strict`), not only behind those on its keys.
    pub strict: bool,
}

impl Op {
    /// Whether it takes effect before another one because it was sent first in the same pipeline.
    pub fn leads(&self, other: &Op) -> bool {
        let (Some(one), Some(two)) = (self.line, other.line) else { return false };
        let share = || {
            let keys: Vec<Key> = self.calls.iter().flat_map(Call::keys).collect();
            other.calls.iter().flat_map(Call::keys).any(|key| keys.contains(&key))
        };
        self.client == other.client && one.number == two.number && one.place < two.place && (two.strict || share())
    }

    /// Each call with its reply; none for an operation whose outcome is not known.
    pub fn replies(&self) -> impl Iterator<Item = (&Call, &Value)> {
        let replies: &[Value] = if let Outcome::Replied(replies) = &self.outcome { replies } else { &[] };
        self.calls.iter().zip(replies)
    }

    /// One line for people.
    pub fn text(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(|call| call.words().join(" ")).collect();
        let outcome = match &self.outcome {
            Outcome::Replied(replies) => format!("{replies:?}"),
            other => format!("{other:?}"),
        };
        let end = if self.end == u64::MAX { "..".to_string() } else { self.end.to_string() };
        format!("client {} [{}, {end}] {} -> {outcome}", self.client, self.start, calls.join("; "))
    }
}

/// A history is wrong: what is wrong, and the operations that show it.
#[derive(Debug, Clone)]
pub struct Anomaly {
    /// Its name in the literature, for instance `G-single`.
    pub name: String,
    /// The proof.
    pub text: String,
}

impl Anomaly {
    pub fn new(name: &str, text: impl Into<String>) -> Anomaly {
        Anomaly { name: name.to_string(), text: text.into() }
    }
}

/// Operations of one client in the making, for the known histories of tests: `op(1, 10, 20, call, reply)`.
pub fn op(client: usize, start: u64, end: u64, calls: &[Call], replies: &[Value]) -> Op {
    let outcome = if replies.is_empty() { Outcome::Unknown } else { Outcome::Replied(replies.to_vec()) };
    Op { client, start, end, calls: calls.to_vec(), outcome, line: None }
}

/// What operations would answer one after the other: histories that are right by construction.
pub fn serial(calls: Vec<Vec<Call>>) -> Vec<Op> {
    let mut state = State::default();
    let mut time = 0;
    let mut ops = Vec::new();
    for calls in calls {
        let replies: Vec<Value> = calls.iter().map(|call| state.run(call)).collect();
        ops.push(op(0, time, time + 1, &calls, &replies));
        time += 2;
    }
    ops
}

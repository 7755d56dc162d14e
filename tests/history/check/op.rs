//! What histories are made of: commands that tests send, what they do to a keyspace, and when they were under way.
//! Knows no server.

use crate::common::Value;
use std::collections::BTreeMap;

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
}

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
        }
    }
}

/// A keyspace, as far as [`Call`]s see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State(BTreeMap<Key, String>);

impl State {
    fn bulk(&self, key: Key) -> Value {
        self.0.get(&key).map_or(Value::NullBulk, Value::bulk)
    }

    fn set_all(&mut self, pairs: &[(Key, u64)]) {
        self.0.extend(pairs.iter().map(|(k, v)| (*k, v.to_string())));
    }

    fn has(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// Runs a call as a single Redis does.
    pub fn run(&mut self, call: &Call) -> Value {
        let yes = |done: bool| Value::Int(i64::from(done));
        match call {
            Call::Get(k) => self.bulk(*k),
            Call::Set(k, v) => {
                self.0.insert(*k, v.to_string());
                Value::ok()
            }
            Call::GetSet(k, v) => self.0.insert(*k, v.to_string()).map_or(Value::NullBulk, Value::bulk),
            Call::SetNx(k, v) => {
                let free = !self.has(*k);
                self.0.entry(*k).or_insert_with(|| v.to_string());
                yes(free)
            }
            Call::GetDel(k) => self.0.remove(k).map_or(Value::NullBulk, Value::bulk),
            Call::Incr(k) => {
                let old = self.0.get(k).map_or(Ok(0), |text| text.parse::<i64>());
                let Ok(old) = old else {
                    return Value::Error(b"ERR value is not an integer or out of range".to_vec());
                };
                self.0.insert(*k, (old + 1).to_string());
                Value::Int(old + 1)
            }
            Call::Append(k, v) => {
                let text = self.0.entry(*k).or_default();
                text.push_str(&token(*v));
                Value::Int(text.len() as i64)
            }
            Call::MGet(keys) => Value::Array(keys.iter().map(|k| self.bulk(*k)).collect()),
            Call::MSet(pairs) => {
                self.set_all(pairs);
                Value::ok()
            }
            Call::MSetNx(pairs) => {
                let free = pairs.iter().all(|(k, _)| !self.has(*k));
                if free {
                    self.set_all(pairs);
                }
                yes(free)
            }
            Call::Del(keys) => Value::Int(keys.iter().filter_map(|k| self.0.remove(k)).count() as i64),
            Call::Exists(keys) => Value::Int(keys.iter().filter(|k| self.has(**k)).count() as i64),
            Call::Rename(a, b) => match self.0.remove(a) {
                Some(value) => {
                    self.0.insert(*b, value);
                    Value::ok()
                }
                None => Value::Error(b"ERR no such key".to_vec()),
            },
            Call::RenameNx(a, b) => match (self.0.get(a).cloned(), self.has(*b)) {
                (None, _) => Value::Error(b"ERR no such key".to_vec()),
                (Some(_), true) => yes(false),
                (Some(value), false) => {
                    self.0.remove(a);
                    self.0.insert(*b, value);
                    yes(true)
                }
            },
            Call::Copy(a, b) => match (self.0.get(a).cloned(), self.has(*b)) {
                (Some(value), false) => {
                    self.0.insert(*b, value);
                    yes(true)
                }
                _ => yes(false),
            },
            Call::DbSize => Value::Int(self.0.len() as i64),
            Call::FlushAll => {
                self.0.clear();
                Value::ok()
            }
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
}

impl Op {
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
    Op { client, start, end, calls: calls.to_vec(), outcome }
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

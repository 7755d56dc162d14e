//! What histories are made of: commands that tests send, what they do to a keyspace, and when they were under way.
//! Knows no server.

use crate::common::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    SAdd(Key, u64),
    SRem(Key, u64),
    SMove(Key, Key, u64),
    /// Answered in order: sets have none of their own.
    SMembers(Key),
    SStore(Algebra, Key, Vec<Key>),
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
            Call::SStore(_, to, from) => [vec![*to], from.clone()].concat(),
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
        }
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

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    Text(String),
    List(VecDeque<u64>),
    Set(BTreeSet<String>),
}

/// A keyspace, as far as [`Call`]s see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State(BTreeMap<Key, Item>);

fn wrong_type() -> Value {
    Value::Error(b"WRONGTYPE Operation against a key holding the wrong kind of value".to_vec())
}

fn yes(done: bool) -> Value {
    Value::Int(i64::from(done))
}

fn number(value: Option<u64>) -> Value {
    value.map_or(Value::NullBulk, |v| Value::bulk(v.to_string()))
}

impl State {
    fn text(&self, key: Key) -> Option<&str> {
        match self.0.get(&key) {
            Some(Item::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn bulk(&self, key: Key) -> Value {
        self.text(key).map_or(Value::NullBulk, Value::bulk)
    }

    fn set(&mut self, key: Key, value: u64) {
        self.0.insert(key, Item::Text(value.to_string()));
    }

    fn has(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// Runs a call as a single Redis does.
    pub fn run(&mut self, call: &Call) -> Value {
        let texts =
            |state: &State, keys: &[Key]| keys.iter().all(|k| matches!(state.0.get(k), None | Some(Item::Text(_))));
        match call {
            Call::Get(k) | Call::GetSet(k, _) | Call::GetDel(k) | Call::Incr(k) | Call::Append(k, _)
                if !texts(self, &[*k]) =>
            {
                wrong_type()
            }
            Call::Get(k) => self.bulk(*k),
            Call::Set(k, v) => {
                self.set(*k, *v);
                Value::ok()
            }
            Call::GetSet(k, v) => {
                let old = self.bulk(*k);
                self.set(*k, *v);
                old
            }
            Call::SetNx(k, v) => self.run(&Call::MSetNx(vec![(*k, *v)])),
            Call::GetDel(k) => {
                let old = self.bulk(*k);
                self.0.remove(k);
                old
            }
            Call::Incr(k) => {
                let Ok(old) = self.text(*k).map_or(Ok(0), str::parse::<i64>) else {
                    return Value::Error(b"ERR value is not an integer or out of range".to_vec());
                };
                self.0.insert(*k, Item::Text((old + 1).to_string()));
                Value::Int(old + 1)
            }
            Call::Append(k, v) => {
                let text = self.text(*k).unwrap_or_default().to_string() + &token(*v);
                let length = text.len() as i64;
                self.0.insert(*k, Item::Text(text));
                Value::Int(length)
            }
            Call::MGet(keys) => Value::Array(keys.iter().map(|k| self.bulk(*k)).collect()),
            Call::MSet(pairs) => {
                pairs.iter().for_each(|(k, v)| self.set(*k, *v));
                Value::ok()
            }
            Call::MSetNx(pairs) => {
                let free = pairs.iter().all(|(k, _)| !self.has(*k));
                if free {
                    pairs.iter().for_each(|(k, v)| self.set(*k, *v));
                }
                yes(free)
            }
            Call::Del(keys) => Value::Int(keys.iter().filter_map(|k| self.0.remove(k)).count() as i64),
            Call::Exists(keys) => Value::Int(keys.iter().filter(|k| self.has(**k)).count() as i64),
            Call::DbSize => Value::Int(self.0.len() as i64),
            Call::FlushAll => {
                self.0.clear();
                Value::ok()
            }
            Call::Rename(a, b) => match self.0.remove(a) {
                Some(value) => {
                    self.0.insert(*b, value);
                    Value::ok()
                }
                None => Value::Error(b"ERR no such key".to_vec()),
            },
            Call::RenameNx(a, _) if !self.has(*a) => Value::Error(b"ERR no such key".to_vec()),
            Call::RenameNx(_, b) if self.has(*b) => yes(false),
            Call::RenameNx(a, b) => {
                self.run(&Call::Rename(*a, *b));
                yes(true)
            }
            Call::Copy(a, b) => match (self.0.get(a).cloned(), self.has(*b)) {
                (Some(value), false) => {
                    self.0.insert(*b, value);
                    yes(true)
                }
                _ => yes(false),
            },
            Call::Push(..) | Call::Pop(..) | Call::Move(..) | Call::Range(_) => self.run_list(call),
            Call::SAdd(..) | Call::SRem(..) | Call::SMove(..) | Call::SMembers(_) | Call::SStore(..) => {
                self.run_set(call)
            }
        }
    }

    fn run_list(&mut self, call: &Call) -> Value {
        let lists = |state: &State, key: Key| matches!(state.0.get(&key), None | Some(Item::List(_)));
        if !lists(self, call.keys()[0]) {
            return wrong_type();
        }
        match call {
            Call::Push(side, k, v) => {
                let Item::List(list) = self.0.entry(*k).or_insert_with(|| Item::List(VecDeque::new())) else {
                    return wrong_type();
                };
                if *side == Side::Left {
                    list.push_front(*v)
                } else {
                    list.push_back(*v)
                }
                Value::Int(list.len() as i64)
            }
            Call::Pop(side, k) => number(self.pop(*side, *k)),
            Call::Move(a, b, from, to, _) => {
                if !self.has(*a) {
                    return Value::NullBulk;
                }
                if !lists(self, *b) {
                    return wrong_type();
                }
                let moved = self.pop(*from, *a);
                if let Some(v) = moved {
                    self.run_list(&Call::Push(*to, *b, v));
                }
                number(moved)
            }
            Call::Range(k) => match self.0.get(k) {
                Some(Item::List(list)) => Value::Array(list.iter().map(|v| number(Some(*v))).collect()),
                _ => Value::Array(Vec::new()),
            },
            other => panic!("{other:?} is of no list"),
        }
    }

    fn pop(&mut self, side: Side, key: Key) -> Option<u64> {
        let Some(Item::List(list)) = self.0.get_mut(&key) else { return None };
        let popped = if side == Side::Left { list.pop_front() } else { list.pop_back() };
        if list.is_empty() {
            self.0.remove(&key);
        }
        popped
    }

    /// The members of a set; none if there is no such key.
    fn members(&self, key: Key) -> BTreeSet<String> {
        match self.0.get(&key) {
            Some(Item::Set(set)) => set.clone(),
            _ => BTreeSet::new(),
        }
    }

    fn put_set(&mut self, key: Key, set: BTreeSet<String>) {
        if set.is_empty() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, Item::Set(set));
        }
    }

    fn run_set(&mut self, call: &Call) -> Value {
        let sets = |k: &Key| matches!(self.0.get(k), None | Some(Item::Set(_)));
        let checked = if let Call::SStore(_, _, from) = call { from.clone() } else { call.keys() };
        let absent_source = matches!(call, Call::SMove(a, ..) if !self.has(*a));
        if !absent_source && !checked.iter().all(sets) {
            return wrong_type();
        }
        match call {
            Call::SAdd(k, v) => {
                let mut set = self.members(*k);
                let fresh = set.insert(v.to_string());
                self.put_set(*k, set);
                yes(fresh)
            }
            Call::SRem(k, v) => {
                let mut set = self.members(*k);
                let gone = set.remove(&v.to_string());
                if gone {
                    self.put_set(*k, set);
                }
                yes(gone)
            }
            Call::SMove(a, b, v) => {
                let there = self.members(*a).contains(&v.to_string());
                if there {
                    self.run_set(&Call::SRem(*a, *v));
                    self.run_set(&Call::SAdd(*b, *v));
                }
                yes(there)
            }
            Call::SMembers(k) => Value::Array(self.members(*k).iter().map(Value::bulk).collect()),
            Call::SStore(algebra, to, from) => {
                let mut sets = from.iter().map(|k| self.members(*k));
                let first = sets.next().unwrap_or_default();
                let set = sets.fold(first, |all, next| match algebra {
                    Algebra::Union => &all | &next,
                    Algebra::Inter => &all & &next,
                    Algebra::Diff => &all - &next,
                });
                let count = set.len() as i64;
                self.put_set(*to, set);
                Value::Int(count)
            }
            other => panic!("{other:?} is of no set"),
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

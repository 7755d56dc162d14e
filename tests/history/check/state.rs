//! What commands do to a keyspace, one after the other: the model that histories are compared with. Knows no server.

use super::op::{Algebra, Call, Key, Side, name, token};
use crate::common::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    Text(String),
    List(VecDeque<u64>),
    Set(BTreeSet<String>),
    /// Scores by member.
    Sorted(BTreeMap<String, i64>),
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
    /// What a key holds.
    pub fn get(&self, key: Key) -> Option<&Item> {
        self.0.get(&key)
    }

    /// Puts a key there, whatever it held.
    pub fn put(&mut self, key: Key, item: Item) {
        self.0.insert(key, item);
    }

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
            Call::PopFirst(side, keys) => self.pop_first(*side, keys, 0),
            Call::PopMany { side, keys, count, .. } => self.pop_first(*side, keys, *count),
            Call::ZPopFirst(side, keys) => self.pop_ranked(*side, keys, 0),
            Call::ZPopMany { side, keys, count, .. } => self.pop_ranked(*side, keys, *count),
            Call::ZAdd(..) | Call::ZRem(..) | Call::ZRange(_) | Call::ZStore(..) | Call::ZRangeStore(..) => {
                self.run_sorted(call)
            }
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

    /// From the first list that is there: so many elements, or one without a list around it.
    fn pop_first(&mut self, side: Side, keys: &[Key], count: usize) -> Value {
        let Some(key) = keys.iter().copied().find(|k| self.has(*k)) else { return Value::NullArray };
        if !matches!(self.0.get(&key), Some(Item::List(_))) {
            return wrong_type();
        }
        let popped: Vec<Value> =
            (0..count.max(1)).map_while(|_| self.pop(side, key)).map(|v| number(Some(v))).collect();
        let elements = if count == 0 { popped[0].clone() } else { Value::Array(popped) };
        Value::Array(vec![Value::bulk(name(key)), elements])
    }

    /// As [`State::pop_first`], from sorted sets: members and scores, the lowest or the highest first.
    fn pop_ranked(&mut self, side: Side, keys: &[Key], count: usize) -> Value {
        let Some(key) = keys.iter().copied().find(|k| self.has(*k)) else { return Value::NullArray };
        let Some(Item::Sorted(_)) = self.0.get(&key) else { return wrong_type() };
        let mut ranked = self.ranked(key);
        if side == Side::Right {
            ranked.reverse();
        }
        ranked.truncate(count.max(1));
        let mut left = self.scores(key);
        ranked.iter().for_each(|(member, _)| _ = left.remove(member));
        self.put_sorted(key, left);
        let pair = |(member, score): &(String, i64)| [Value::bulk(member), Value::bulk(score.to_string())];
        if count == 0 {
            return Value::Array([Value::bulk(name(key))].into_iter().chain(pair(&ranked[0])).collect());
        }
        let pairs = ranked.iter().map(|member| Value::Array(pair(member).to_vec())).collect();
        Value::Array(vec![Value::bulk(name(key)), Value::Array(pairs)])
    }

    /// Members and scores, lowest first; none if there is no such key.
    fn ranked(&self, key: Key) -> Vec<(String, i64)> {
        let mut ranked: Vec<(String, i64)> = self.scores(key).into_iter().collect();
        ranked.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        ranked
    }

    /// Scores by member; those of a set are all 1.
    fn scores(&self, key: Key) -> BTreeMap<String, i64> {
        match self.0.get(&key) {
            Some(Item::Sorted(scores)) => scores.clone(),
            _ => self.members(key).into_iter().map(|member| (member, 1)).collect(),
        }
    }

    fn put_sorted(&mut self, key: Key, scores: BTreeMap<String, i64>) {
        if scores.is_empty() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, Item::Sorted(scores));
        }
    }

    fn run_sorted(&mut self, call: &Call) -> Value {
        let from = match call {
            Call::ZStore(_, _, from) => from.clone(),
            Call::ZRangeStore(_, from) => vec![*from],
            call => call.keys(),
        };
        if from.iter().any(|k| !matches!(self.0.get(k), None | Some(Item::Sorted(_)))) {
            return wrong_type();
        }
        match call {
            Call::ZAdd(k, member, score) => {
                let mut scores = self.scores(*k);
                let fresh = scores.insert(member.to_string(), *score).is_none();
                self.put_sorted(*k, scores);
                yes(fresh)
            }
            Call::ZRem(k, member) => {
                let mut scores = self.scores(*k);
                let gone = scores.remove(&member.to_string()).is_some();
                self.put_sorted(*k, scores);
                yes(gone)
            }
            Call::ZRange(k) => {
                let flat = |(member, score): (String, i64)| [Value::bulk(member), Value::bulk(score.to_string())];
                Value::Array(self.ranked(*k).into_iter().flat_map(flat).collect())
            }
            Call::ZRangeStore(to, from) => {
                let kept: BTreeMap<String, i64> = self.ranked(*from).into_iter().take(2).collect();
                let count = kept.len() as i64;
                self.put_sorted(*to, kept);
                Value::Int(count)
            }
            Call::ZStore(algebra, to, from) => {
                let mut all = from.iter().map(|k| self.scores(*k));
                let first = all.next().unwrap_or_default();
                let result = all.fold(first, |mut one, other| {
                    match algebra {
                        Algebra::Union => other.into_iter().for_each(|(m, s)| *one.entry(m).or_default() += s),
                        Algebra::Inter => {
                            one.retain(|m, _| other.contains_key(m));
                            one.iter_mut().for_each(|(m, s)| *s += other[m]);
                        }
                        Algebra::Diff => one.retain(|m, _| !other.contains_key(m)),
                    }
                    one
                });
                let count = result.len() as i64;
                self.put_sorted(*to, result);
                Value::Int(count)
            }
            other => panic!("{other:?} is of no sorted set"),
        }
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

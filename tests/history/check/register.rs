//! Histories of registers: every write writes a value of its own, so a read shows which write it saw. In which order
//! the writes of a key came is inferred: from operations that read before they write, and from real time, since a
//! version that was seen before another one was first under way is the older one (Elle's rw-register with
//! linearizable keys).

use super::graph::{Edge, Graph};
use super::op::{Anomaly, Call, Key, Op, Outcome};
use crate::common::Value;
use std::collections::HashMap;

/// A version of a key: the value, or none as at the start.
type Version = Option<u64>;

enum Did {
    Wrote(Key, u64),
    Saw(Key, Version),
}

/// Checks a history of SET, GETSET, GET, MSET and MGET.
pub fn check(history: &[Op]) -> Result<(), Anomaly> {
    let mut registers = Registers { history, writers: HashMap::new(), versions: HashMap::new() };
    registers.find_writers();
    registers.find_versions()?;
    registers.graph()?.check(history)
}

/// When a version was surely there, and since when it may have been.
#[derive(Debug)]
struct Span {
    /// The earliest end of an operation that saw or wrote it.
    seen: u64,
    /// The latest start of one.
    last: u64,
    readers: Vec<usize>,
    /// Versions that replaced it in the operation that read it.
    followers: Vec<Version>,
}

struct Registers<'a> {
    history: &'a [Op],
    /// By key and value: the operation that wrote it, and whether it wrote another behind it.
    writers: HashMap<(Key, u64), (usize, bool)>,
    versions: HashMap<Key, HashMap<Version, Span>>,
}

fn version(value: &Value) -> Result<Version, Anomaly> {
    match value {
        Value::NullBulk => Ok(None),
        Value::Bulk(text) => match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(Anomaly::new("torn value", format!("{value:?}"))),
        },
        other => Err(Anomaly::new("wrong reply", format!("{other:?}"))),
    }
}

fn writes(call: &Call) -> Vec<(Key, u64)> {
    match call {
        Call::Set(k, v) | Call::GetSet(k, v) => vec![(*k, *v)],
        Call::MSet(pairs) => pairs.clone(),
        _ => Vec::new(),
    }
}

fn what(op: &Op) -> Result<Vec<Did>, Anomaly> {
    let mut did = Vec::new();
    for (call, reply) in op.replies() {
        match (call, reply) {
            (Call::Get(k) | Call::GetSet(k, _), value) => did.push(Did::Saw(*k, version(value)?)),
            (Call::MGet(keys), Value::Array(values)) if keys.len() == values.len() => {
                for (k, value) in keys.iter().zip(values) {
                    did.push(Did::Saw(*k, version(value)?));
                }
            }
            (Call::Set(..) | Call::MSet(_), ok) if *ok == Value::ok() => {}
            _ => return Err(Anomaly::new("wrong reply", op.text())),
        }
        did.extend(writes(call).into_iter().map(|(k, v)| Did::Wrote(k, v)));
    }
    Ok(did)
}

impl Registers<'_> {
    fn find_writers(&mut self) {
        for (index, op) in self.history.iter().enumerate() {
            let all: Vec<(Key, u64)> = op.calls.iter().flat_map(writes).collect();
            for (at, (k, v)) in all.iter().enumerate() {
                let more = all[at + 1..].iter().any(|(other, _)| other == k);
                self.writers.insert((*k, *v), (index, more));
            }
        }
    }

    /// Notes who saw and wrote which version when; finds what a single reply shows to be wrong.
    fn find_versions(&mut self) -> Result<(), Anomaly> {
        for (index, op) in self.history.iter().enumerate() {
            let mut own: HashMap<Key, u64> = HashMap::new();
            let mut first: HashMap<Key, Version> = HashMap::new();
            for did in what(op)? {
                match did {
                    Did::Wrote(k, v) => drop(own.insert(k, v)),
                    Did::Saw(k, v) => {
                        let expected = own.get(&k).map(|v| Some(*v)).or_else(|| first.get(&k).copied());
                        if expected.is_some_and(|expected| expected != v) {
                            return Err(Anomaly::new("internal", format!("key {k} changed within: {}", op.text())));
                        }
                        if expected.is_none() {
                            self.check_read(index, k, v)?;
                            first.insert(k, v);
                        }
                    }
                }
            }
            for (k, v) in &first {
                let span = self.touch(*k, *v, op);
                span.readers.push(index);
                if let Some(next) = own.get(k) {
                    span.followers.push(Some(*next));
                }
            }
            for (k, v) in own {
                self.touch(k, Some(v), op);
            }
        }
        Ok(())
    }

    fn touch(&mut self, key: Key, version: Version, op: &Op) -> &mut Span {
        let fresh = || Span { seen: u64::MAX, last: 0, readers: Vec::new(), followers: Vec::new() };
        let span = self.versions.entry(key).or_default().entry(version).or_insert_with(fresh);
        span.seen = span.seen.min(op.end);
        span.last = span.last.max(op.start);
        span
    }

    fn check_read(&self, reader: usize, key: Key, version: Version) -> Result<(), Anomaly> {
        let text = || self.history[reader].text();
        let Some(value) = version else { return Ok(()) };
        match self.writers.get(&(key, value)) {
            None => Err(Anomaly::new("unwritten", format!("nobody wrote {value} to key {key}: {}", text()))),
            Some((writer, _)) if self.history[*writer].outcome == Outcome::Failed => {
                Err(Anomaly::new("G1a", format!("{value} was never committed: {}", text())))
            }
            Some((writer, true)) if *writer != reader => {
                let text = format!("{}\nread the middle of {}", text(), self.history[*writer].text());
                Err(Anomaly::new("G1b", text))
            }
            Some(_) => Ok(()),
        }
    }

    fn graph(&self) -> Result<Graph, Anomaly> {
        let mut graph = Graph::of(self.history);
        for (key, versions) in &self.versions {
            let spans = Spans::of(*key, versions)?;
            for (version, span) in versions {
                if let Some(value) = version {
                    let writer = self.writers[&(*key, *value)].0;
                    span.readers.iter().for_each(|reader| graph.add(writer, *reader, Edge::Wr));
                }
                for next in spans.next_of(*version, span).into_iter().chain(span.followers.iter().copied()) {
                    let Some(next) = next else { continue };
                    let next = self.writers[&(*key, next)].0;
                    span.readers.iter().for_each(|reader| graph.add(*reader, next, Edge::Rw));
                    if let Some(value) = version {
                        graph.add(self.writers[&(*key, *value)].0, next, Edge::Ww);
                    }
                }
            }
        }
        Ok(graph)
    }
}

/// The versions of one key in the order of their `last`: all that are younger than a version stand at the end.
struct Spans {
    /// `last`, the version, its `seen`.
    sorted: Vec<(u64, Version, u64)>,
    /// From each index on: the two earliest `seen`, with their indices.
    earliest: Vec<[(u64, usize); 2]>,
}

impl Spans {
    /// Fails if two versions are each older than the other: then the key alone is not linearizable.
    fn of(key: Key, versions: &HashMap<Version, Span>) -> Result<Spans, Anomaly> {
        let seen = |version: &Version, span: &Span| if version.is_none() { 0 } else { span.seen };
        let mut sorted: Vec<_> = versions.iter().map(|(v, span)| (span.last, *v, seen(v, span))).collect();
        sorted.sort_unstable();
        let mut earliest = vec![[(u64::MAX, usize::MAX); 2]; sorted.len() + 1];
        for index in (0..sorted.len()).rev() {
            let mut three = [earliest[index + 1][0], earliest[index + 1][1], (sorted[index].2, index)];
            three.sort_unstable();
            earliest[index] = [three[0], three[1]];
        }
        let spans = Spans { sorted, earliest };
        for (index, (last, version, seen)) in spans.sorted.iter().enumerate() {
            // Anything that is younger than this one and older too?
            let (other, at) = spans.earliest_after(*seen, index);
            if other < *last {
                let text = format!("key {key}: {version:?} and {:?} are each older than the other", spans.sorted[at].1);
                return Err(Anomaly::new("cyclic versions", text));
            }
        }
        Ok(spans)
    }

    /// Among the versions younger than one that was seen then, but `not`: the earliest `seen`.
    fn earliest_after(&self, seen: u64, not: usize) -> (u64, usize) {
        let from = self.sorted.partition_point(|(last, ..)| *last <= seen);
        let [first, second] = self.earliest[from];
        if first.1 == not { second } else { first }
    }

    /// The versions that are younger than this one with none in between.
    fn next_of(&self, version: Version, span: &Span) -> Vec<Version> {
        let seen = if version.is_none() { 0 } else { span.seen };
        let from = self.sorted.partition_point(|(last, ..)| *last <= seen);
        let own = self.sorted.iter().position(|(_, v, _)| *v == version).expect("it is listed");
        let (between, _) = self.earliest_after(seen, own);
        let direct = self.sorted[from..]
            .iter()
            .filter(|(last, v, seen)| *v != version && (*last <= between || *seen == between));
        direct.map(|(_, v, _)| *v).collect()
    }
}

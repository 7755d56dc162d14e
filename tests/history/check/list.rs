//! Histories of appends: every append adds a word of its own, so a read shows which appends came before it, and in
//! which order. From that follow all dependencies, exactly (Elle's list-append).

use super::graph::{Edge, Graph};
use super::op::{Anomaly, Call, Key, Op, Outcome, TOKEN, token};
use crate::common::Value;
use std::collections::HashMap;

/// What a call did to one key.
enum Did {
    /// Added this word, as the n-th of the list, if the reply said so.
    Added(Key, String, Option<usize>),
    /// Saw this list.
    Saw(Key, Vec<String>),
}

/// Checks a history of APPEND, GET and MGET.
pub fn check(history: &[Op]) -> Result<(), Anomaly> {
    let mut lists = Lists { history, writers: HashMap::new(), orders: HashMap::new() };
    lists.find_writers();
    lists.find_orders()?;
    lists.check_replies()?;
    lists.graph().check(history)
}

struct Lists<'a> {
    history: &'a [Op],
    /// By key and word: the operation that added it, and whether it added more behind it.
    writers: HashMap<(Key, String), (usize, bool)>,
    /// By key: the longest list that was seen.
    orders: HashMap<Key, Vec<String>>,
}

fn split(value: &Value) -> Result<Vec<String>, Anomaly> {
    let text = match value {
        Value::NullBulk => return Ok(Vec::new()),
        Value::Bulk(text) if text.len().is_multiple_of(TOKEN) => text,
        other => return Err(Anomaly::new("torn value", format!("{other:?}"))),
    };
    Ok(text.chunks(TOKEN).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

fn what(op: &Op) -> Result<Vec<Did>, Anomaly> {
    let mut did = Vec::new();
    if op.outcome == Outcome::Unknown {
        for call in &op.calls {
            if let Call::Append(k, v) = call {
                did.push(Did::Added(*k, token(*v), None));
            }
        }
    }
    for (call, reply) in op.replies() {
        match (call, reply) {
            (Call::Append(k, v), Value::Int(n)) => did.push(Did::Added(*k, token(*v), Some(*n as usize / TOKEN))),
            (Call::Get(k), value) => did.push(Did::Saw(*k, split(value)?)),
            (Call::MGet(keys), Value::Array(values)) if keys.len() == values.len() => {
                for (k, value) in keys.iter().zip(values) {
                    did.push(Did::Saw(*k, split(value)?));
                }
            }
            _ => return Err(Anomaly::new("wrong reply", op.text())),
        }
    }
    Ok(did)
}

impl Lists<'_> {
    fn find_writers(&mut self) {
        for (index, op) in self.history.iter().enumerate() {
            for (at, call) in op.calls.iter().enumerate() {
                if let Call::Append(k, v) = call {
                    let more = op.calls[at + 1..].iter().any(|c| matches!(c, Call::Append(other, _) if other == k));
                    self.writers.insert((*k, token(*v)), (index, more));
                }
            }
        }
    }

    /// All lists seen of a key must be beginnings of the longest one.
    fn find_orders(&mut self) -> Result<(), Anomaly> {
        for op in self.history {
            for did in what(op)? {
                let Did::Saw(k, list) = did else { continue };
                let known = self.orders.entry(k).or_default();
                let same = known.len().min(list.len());
                if known[..same] != list[..same] {
                    let text = format!("key {k} was once {known:?}; {}", op.text());
                    return Err(Anomaly::new("incompatible order", text));
                }
                if list.len() > known.len() {
                    *known = list;
                }
            }
        }
        Ok(())
    }

    /// What each reply alone shows to be wrong.
    fn check_replies(&self) -> Result<(), Anomaly> {
        for order in &self.orders {
            let mut seen = std::collections::HashSet::new();
            if let Some(twice) = order.1.iter().find(|word| !seen.insert(*word)) {
                return Err(Anomaly::new("duplicate", format!("{twice} is twice in key {}: {:?}", order.0, order.1)));
            }
        }
        for (index, op) in self.history.iter().enumerate() {
            let mut own: HashMap<Key, Vec<String>> = HashMap::new();
            for did in what(op)? {
                match did {
                    Did::Saw(k, list) => self.check_read(index, k, &list, own.get(&k).map_or(&[], Vec::as_slice))?,
                    Did::Added(k, word, Some(n)) => {
                        let order = self.orders.get(&k).map_or(&[] as &[String], Vec::as_slice);
                        if n == 0 || order.len() >= n && order[n - 1] != word {
                            let text = format!("{word} is not word {n} of {order:?}; {}", op.text());
                            return Err(Anomaly::new("wrong place", text));
                        }
                        own.entry(k).or_default().push(word);
                    }
                    Did::Added(_, _, None) => {}
                }
            }
        }
        Ok(())
    }

    fn check_read(&self, reader: usize, key: Key, list: &[String], own: &[String]) -> Result<(), Anomaly> {
        let text = || self.history[reader].text();
        if !list.ends_with(own) {
            return Err(Anomaly::new("internal", format!("it does not see its own {own:?}: {}", text())));
        }
        for word in list {
            match self.writers.get(&(key, word.clone())) {
                None => return Err(Anomaly::new("unwritten", format!("nobody added {word}: {}", text()))),
                Some((writer, _)) if self.history[*writer].outcome == Outcome::Failed => {
                    return Err(Anomaly::new("G1a", format!("{word} was never committed: {}", text())));
                }
                Some(_) => {}
            }
        }
        let last = list.last().and_then(|word| self.writers.get(&(key, word.clone())));
        match last {
            Some((writer, true)) if *writer != reader => {
                let text = format!("{}\nread the middle of {}", text(), self.history[*writer].text());
                Err(Anomaly::new("G1b", text))
            }
            _ => Ok(()),
        }
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::of(self.history);
        let writer = |key: Key, word: &String| self.writers[&(key, word.clone())].0;
        for (key, order) in &self.orders {
            for pair in order.windows(2) {
                graph.add(writer(*key, &pair[0]), writer(*key, &pair[1]), Edge::Ww);
            }
        }
        // An append that nobody saw, though it was confirmed, came behind everything that was seen.
        let mut unseen: HashMap<Key, Vec<usize>> = HashMap::new();
        for ((key, word), (op, _)) in &self.writers {
            let committed = matches!(self.history[*op].outcome, Outcome::Replied(_));
            if committed && !self.orders.get(key).is_some_and(|order| order.contains(word)) {
                unseen.entry(*key).or_default().push(*op);
            }
        }
        for (reader, op) in self.history.iter().enumerate() {
            for did in what(op).unwrap_or_default() {
                let Did::Saw(key, list) = did else { continue };
                let order = self.orders.get(&key).map_or(&[] as &[String], Vec::as_slice);
                if let Some(last) = list.last() {
                    graph.add(writer(key, last), reader, Edge::Wr);
                }
                match order.get(list.len()) {
                    Some(next) => graph.add(reader, writer(key, next), Edge::Rw),
                    None => unseen.get(&key).into_iter().flatten().for_each(|op| graph.add(reader, *op, Edge::Rw)),
                }
            }
        }
        graph
    }
}

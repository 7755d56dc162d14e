//! A client with keys of its own: what it wrote, what of that was acknowledged, and which states its keys may be in
//! after a crash. Knows no server but the replies.

#![allow(dead_code)] // each test file uses a part

use crate::check::op::{Algebra, Call, Key, Side, name};
use crate::check::state::{Item, State};
use crate::common::client::encode;
use crate::common::{Random, Value};
use std::collections::VecDeque;

/// Acknowledged writes that are kept to be shown.
const RECENT: usize = 60;

/// See the module.
pub(crate) struct Author {
    number: usize,
    random: Random,
    next_value: u64,
    /// What every acknowledged write left.
    state: State,
    /// Sent, and not acknowledged when the server died. One at a time: what is sent behind a write that was not
    /// acknowledged may survive without it, if it is for another shard.
    open: VecDeque<Vec<Call>>,
    /// What the server had when it was last looked at, and everything acknowledged since.
    base: State,
    since: Vec<Vec<Call>>,
    /// How much of that is sure to be durable, whatever the policy.
    durable: usize,
    /// The last that were acknowledged.
    recent: VecDeque<Vec<Call>>,
    /// Replies to the first of them.
    heard: usize,
    /// Writes that were acknowledged so far.
    pub(crate) acknowledged: usize,
}

impl Author {
    pub(crate) fn new(number: usize, seed: u64) -> Author {
        Author {
            number,
            random: Random(seed),
            next_value: 0,
            state: State::default(),
            open: VecDeque::new(),
            base: State::default(),
            since: Vec::new(),
            durable: 0,
            recent: VecDeque::new(),
            heard: 0,
            acknowledged: 0,
        }
    }

    /// One of a few keys for strings and lists, sets, or sorted sets.
    fn key(&mut self, group: usize) -> Key {
        self.number * 100 + group * 10 + self.random.below(4)
    }

    fn keys(&mut self, group: usize) -> Vec<Key> {
        let mut keys: Vec<Key> = (0..1 + self.random.below(3)).map(|_| self.key(group)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn all_keys(&self) -> Vec<Key> {
        (0..3)
            .flat_map(|group| (0..4).map(move |at| (group, at)))
            .map(|(g, at)| self.number * 100 + g * 10 + at)
            .collect()
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn side(&mut self) -> Side {
        *self.random.one(&[Side::Left, Side::Right])
    }

    fn call(&mut self) -> Call {
        let algebra = *self.random.one(&[Algebra::Union, Algebra::Inter, Algebra::Diff]);
        let (member, score) = (self.random.below(8) as u64, self.random.below(5) as i64);
        match self.random.below(24) {
            0 | 1 => Call::Set(self.key(0), self.value()),
            2 => Call::Incr(self.key(0)),
            3 => Call::Append(self.key(0), self.value()),
            4 => Call::MSet(self.keys(0).into_iter().map(|key| (key, self.value())).collect()),
            5 => Call::MSetNx(self.keys(0).into_iter().map(|key| (key, self.value())).collect()),
            6 => Call::Del(self.keys(0)),
            7 => Call::GetDel(self.key(0)),
            8 => Call::Rename(self.key(0), self.key(0)),
            9..12 => Call::Push(self.side(), self.key(0), self.value()),
            12 => Call::Pop(self.side(), self.key(0)),
            13 => Call::Move(self.key(0), self.key(0), self.side(), self.side(), false),
            14 => Call::PopMany { side: self.side(), keys: self.keys(0), count: 2, waits: false },
            15 | 16 => Call::SAdd(self.key(1), member),
            17 => Call::SRem(self.key(1), member),
            18 => Call::SMove(self.key(1), self.key(1), member),
            19 => Call::SStore(algebra, self.key(1), self.keys(1)),
            20 | 21 => Call::ZAdd(self.key(2), member, score),
            22 => Call::ZPopMany { side: self.side(), keys: self.keys(2), count: 2, waits: false },
            _ => Call::ZStore(algebra, self.key(2), self.keys(2)),
        }
    }

    /// What to send next, when everything before was answered: a write or a transaction.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let calls = if self.random.chance(70) { 1 } else { 2 + self.random.below(4) };
        let calls: Vec<Call> = (0..calls).map(|_| self.call()).collect();
        let bytes = encoded(&calls);
        self.open.push_back(calls);
        bytes
    }

    /// Whether replies are still to come.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next reply.
    pub(crate) fn hear(&mut self, reply: Value) {
        let count = self.open[0].len();
        self.heard += 1;
        // MULTI and each command in it are answered before EXEC is
        let replies = match reply {
            reply if count == 1 => vec![reply],
            _ if self.heard <= count + 1 => return,
            Value::Array(replies) => replies,
            other => panic!("EXEC answered {other:?}"),
        };
        self.heard = 0;
        let calls = self.open.pop_front().expect("something was sent");
        for (call, reply) in calls.iter().zip(replies) {
            assert_eq!(call.tidy(reply), self.state.run(call), "{}", call.words().join(" "));
        }
        self.acknowledged += 1;
        self.since.push(calls.clone());
        self.recent.push_back(calls);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// What a server that was started anew has of this client: everything acknowledged, then what was sent, up to
    /// some point. From there it goes on. `ask` runs a command.
    pub(crate) fn verify(&mut self, ask: &mut dyn FnMut(&str) -> Value) -> Result<(), String> {
        let found = self.read(ask);
        let open = std::mem::take(&mut self.open);
        self.heard = 0;
        let mut state = self.state.clone();
        for sent in 0..=open.len() {
            if state == found {
                self.begin_anew(state);
                return Ok(());
            }
            if let Some(calls) = open.get(sent) {
                calls.iter().for_each(|call| _ = state.run(call));
            }
        }
        let wrong: Vec<Key> =
            self.all_keys().into_iter().filter(|key| found.get(*key) != self.state.get(*key)).collect();
        let mut text = format!("client {} after {} acknowledged writes\n", self.number, self.acknowledged);
        for key in &wrong {
            let (found, expected) = (found.get(*key), self.state.get(*key));
            text += &format!("{}: found {found:?}, acknowledged {expected:?}\n", name(*key));
        }
        let lines = |all: &VecDeque<Vec<Call>>| {
            let touching = all.iter().filter(|calls| calls.iter().flat_map(Call::keys).any(|key| wrong.contains(&key)));
            touching.map(|calls| format!("    {calls:?}\n")).collect::<String>()
        };
        Err(format!("{text}acknowledged:\n{}not acknowledged:\n{}", lines(&self.recent), lines(&open)))
    }

    fn begin_anew(&mut self, state: State) {
        self.base = state.clone();
        self.state = state;
        self.since.clear();
        self.durable = 0;
    }

    /// How many writes were acknowledged since the server was last looked at.
    pub(crate) fn progress(&self) -> usize {
        self.since.len()
    }

    /// So many of them are durable.
    pub(crate) fn is_durable(&mut self, progress: usize) {
        self.durable = self.durable.max(progress);
    }

    /// As [`Author::verify`], where the disk was not waited for: of what was sent a beginning is there, and what is
    /// durable at least.
    pub(crate) fn verify_beginning(&mut self, ask: &mut dyn FnMut(&str) -> Value) -> Result<(), String> {
        let found = self.read(ask);
        let all: Vec<Vec<Call>> = self.since.drain(..).chain(self.open.drain(..)).collect();
        self.heard = 0;
        let mut state = self.base.clone();
        for sent in 0..=all.len() {
            if sent >= self.durable && state == found {
                self.begin_anew(state);
                return Ok(());
            }
            if let Some(calls) = all.get(sent) {
                calls.iter().for_each(|call| _ = state.run(call));
            }
        }
        let (count, durable) = (all.len(), self.durable);
        Err(format!("client {}: {found:?} is no beginning of {count} writes, {durable} of them durable", self.number))
    }

    fn read(&self, ask: &mut dyn FnMut(&str) -> Value) -> State {
        let mut state = State::default();
        let mut ask = |line: String| ask(&line);
        for key in self.all_keys() {
            let texts = |value: Value| value.items().iter().map(Value::text).collect::<Vec<_>>();
            let number = |text: &String| text.parse().expect("a number");
            let item = match ask(format!("TYPE {}", name(key))).text().as_str() {
                "string" => Item::Text(ask(format!("GET {}", name(key))).text()),
                "list" => Item::List(texts(ask(format!("LRANGE {} 0 -1", name(key)))).iter().map(number).collect()),
                "set" => Item::Set(texts(ask(format!("SMEMBERS {}", name(key)))).into_iter().collect()),
                "zset" => {
                    let flat = texts(ask(format!("ZRANGE {} 0 -1 WITHSCORES", name(key))));
                    let pair = |pair: &[String]| (pair[0].clone(), pair[1].parse().expect("a score"));
                    Item::Sorted(flat.chunks(2).map(pair).collect())
                }
                _ => continue,
            };
            state.put(key, item);
        }
        state
    }
}

fn encoded(calls: &[Call]) -> Vec<u8> {
    let body = calls.iter().flat_map(|call| encode(&call.words()));
    if calls.len() == 1 {
        return body.collect();
    }
    encode(&["MULTI"]).into_iter().chain(body).chain(encode(&["EXEC"])).collect()
}

//! What clients of a history do: random exchanges with a server, and the operations they make. Sends nothing itself:
//! whoever owns the connection passes bytes to and replies from it, a thread or a simulation.

use super::op::{Call, Key, Op, Outcome};
use crate::common::client::encode;
use crate::common::{Random, Value};

/// Which commands a history is made of; each kind has its checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Appends and reads of what was appended.
    Lists,
    /// Writes of unique values, and reads.
    Registers,
    /// Every command that the model knows, for short histories.
    Everything,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Lists, Kind::Registers, Kind::Everything];
}

/// How a history is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Menu {
    pub kind: Kind,
    /// How many keys there are.
    pub keys: usize,
    /// Commands with several keys, percent.
    pub multi_key: usize,
    /// MULTI ... EXEC, percent.
    pub multi: usize,
    /// Of those, so many after a WATCH.
    pub watch: usize,
}

/// What to send, and how many replies it gets.
pub type Sending = (Vec<u8>, usize);

#[derive(Debug)]
enum Stage {
    Idle,
    /// WATCH and the reads after it are sent; this is to follow.
    Watching {
        reads: Vec<Call>,
        body: Vec<Call>,
    },
    /// One call is sent.
    Single(Call),
    /// MULTI, calls and EXEC are sent. What was read under WATCH must still hold if it succeeds.
    Multi {
        known: Vec<(Call, Value)>,
        body: Vec<Call>,
    },
}

/// One client of a history.
#[derive(Debug)]
pub struct Session {
    client: usize,
    menu: Menu,
    random: Random,
    next_value: u64,
    started: u64,
    stage: Stage,
    /// What it did so far.
    pub ops: Vec<Op>,
    /// EXECs that succeeded, and those that a WATCH made fail.
    pub execs: (u64, u64),
}

impl Session {
    /// Client number `client`, at most 99, of a history.
    pub fn new(client: usize, menu: Menu, seed: u64) -> Session {
        let random = Random(seed ^ (client as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        let next_value = (client as u64 + 1) * 100_000;
        Session { client, menu, random, next_value, started: 0, stage: Stage::Idle, ops: Vec::new(), execs: (0, 0) }
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn key(&mut self) -> Key {
        self.random.below(self.menu.keys)
    }

    /// Some different keys.
    fn keys(&mut self) -> Vec<Key> {
        let mut keys: Vec<Key> = (0..2 + self.random.below(3)).map(|_| self.key()).collect();
        keys.sort_unstable();
        keys.dedup();
        if self.random.chance(50) {
            keys.reverse();
        }
        keys
    }

    fn pairs(&mut self) -> Vec<(Key, u64)> {
        self.keys().into_iter().map(|key| (key, self.value())).collect()
    }

    fn call(&mut self) -> Call {
        let wide = self.random.chance(self.menu.multi_key);
        match (self.menu.kind, wide) {
            (Kind::Lists, true) => Call::MGet(self.keys()),
            (Kind::Lists, false) if self.random.chance(55) => Call::Append(self.key(), self.value()),
            (Kind::Registers, true) if self.random.chance(50) => Call::MSet(self.pairs()),
            (Kind::Registers, true) => Call::MGet(self.keys()),
            (Kind::Registers, false) => match self.random.below(4) {
                0 => Call::Set(self.key(), self.value()),
                1 => Call::GetSet(self.key(), self.value()),
                _ => Call::Get(self.key()),
            },
            (Kind::Everything, true) => match self.random.below(20) {
                0..3 => Call::MSet(self.pairs()),
                3..7 => Call::MGet(self.keys()),
                7..9 => Call::MSetNx(self.pairs()),
                9..11 => Call::Del(self.keys()),
                11..13 => Call::Exists(self.keys()),
                13..16 => Call::Rename(self.key(), self.key()),
                16 => Call::RenameNx(self.key(), self.key()),
                17 => self.copy(),
                18 => Call::DbSize,
                _ if self.random.chance(30) => Call::FlushAll,
                _ => Call::DbSize,
            },
            (Kind::Everything, false) => match self.random.below(8) {
                0 => Call::Set(self.key(), self.value()),
                1 => Call::GetSet(self.key(), self.value()),
                2 => Call::SetNx(self.key(), self.value()),
                3 => Call::GetDel(self.key()),
                4 | 5 => Call::Incr(self.key()),
                _ => Call::Get(self.key()),
            },
            (Kind::Lists, false) => Call::Get(self.key()),
        }
    }

    /// COPY refuses a key and itself before it looks.
    fn copy(&mut self) -> Call {
        let from = self.key();
        Call::Copy(from, (from + 1 + self.random.below(self.menu.keys - 1)) % self.menu.keys)
    }

    /// The last thing of a history: one client that is alone reads every key.
    pub fn read_all(&mut self, now: u64) -> Sending {
        let call = Call::MGet((0..self.menu.keys).collect());
        self.single(call, now)
    }

    fn single(&mut self, call: Call, now: u64) -> Sending {
        self.started = now;
        let bytes = encode(&call.words());
        self.stage = Stage::Single(call);
        (bytes, 1)
    }

    /// Begins the next exchange.
    pub fn begin(&mut self, now: u64) -> Sending {
        if !self.random.chance(self.menu.multi) {
            let call = self.call();
            return self.single(call, now);
        }
        let body: Vec<Call> = (0..1 + self.random.below(4)).map(|_| self.call()).collect();
        if !self.random.chance(self.menu.watch) {
            return self.multi(Vec::new(), body, now);
        }
        self.started = now;
        let keys = self.keys();
        let words = [vec!["WATCH".to_string()], keys.iter().map(|k| super::op::name(*k)).collect()].concat();
        let reads: Vec<Call> = keys.into_iter().map(Call::Get).collect();
        let mut bytes = encode(&words);
        reads.iter().for_each(|read| bytes.extend(encode(&read.words())));
        let replies = 1 + reads.len();
        self.stage = Stage::Watching { reads, body };
        (bytes, replies)
    }

    fn multi(&mut self, known: Vec<(Call, Value)>, body: Vec<Call>, now: u64) -> Sending {
        self.started = now;
        let mut bytes = encode(&["MULTI"]);
        body.iter().for_each(|call| bytes.extend(encode(&call.words())));
        bytes.extend(encode(&["EXEC"]));
        let replies = body.len() + 2;
        self.stage = Stage::Multi { known, body };
        (bytes, replies)
    }

    /// The replies to what was sent; what to send next, unless the exchange is over.
    pub fn replied(&mut self, replies: Vec<Value>, now: u64) -> Option<Sending> {
        let (client, start) = (self.client, self.started);
        let op = |calls, outcome| Op { client, start, end: now, calls, outcome };
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => panic!("replies to nothing: {replies:?}"),
            Stage::Single(call) => {
                self.ops.push(op(vec![call], Outcome::Replied(replies)));
                None
            }
            Stage::Watching { reads, body } => {
                assert_eq!(replies[0], Value::ok(), "WATCH");
                let known: Vec<(Call, Value)> = reads.into_iter().zip(replies.into_iter().skip(1)).collect();
                for (read, value) in &known {
                    self.ops.push(op(vec![read.clone()], Outcome::Replied(vec![value.clone()])));
                }
                Some(self.multi(known, body, now))
            }
            Stage::Multi { known, body } => {
                assert_eq!(replies[0], Value::ok(), "MULTI");
                for reply in &replies[1..replies.len() - 1] {
                    assert_eq!(*reply, Value::Simple(b"QUEUED".to_vec()), "{body:?}");
                }
                let (mut calls, mut values): (Vec<Call>, Vec<Value>) = known.into_iter().unzip();
                calls.extend(body);
                match replies.into_iter().next_back() {
                    Some(Value::Array(results)) => {
                        self.execs.0 += 1;
                        values.extend(results);
                        assert_eq!(values.len(), calls.len(), "EXEC answers every call");
                        self.ops.push(op(calls, Outcome::Replied(values)));
                    }
                    Some(Value::NullArray | Value::Null) => {
                        self.execs.1 += 1;
                        self.ops.push(op(calls, Outcome::Failed));
                    }
                    other => panic!("EXEC answered {other:?}"),
                }
                None
            }
        }
    }

    /// The connection was given up: what was under way may have happened or not.
    pub fn lost(&mut self) {
        let (client, start) = (self.client, self.started);
        let calls = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle | Stage::Watching { .. } => return,
            Stage::Single(call) => vec![call],
            Stage::Multi { body, .. } => body,
        };
        self.ops.push(Op { client, start, end: u64::MAX, calls, outcome: Outcome::Unknown });
    }

    /// What is under way, for people.
    pub fn under_way(&self) -> String {
        format!("{:?}", self.stage)
    }
}

/// Checks a history with every checker that fits its kind.
pub fn check(menu: &Menu, history: &[Op]) -> Result<(), super::op::Anomaly> {
    use super::wgl::{self, Verdict};
    let verdict = match menu.kind {
        Kind::Lists => return super::list::check(history),
        Kind::Registers => {
            super::register::check(history)?;
            wgl::check_each_key(history, menu.keys)
        }
        Kind::Everything => wgl::check(history),
    };
    match verdict {
        Verdict::Linearizable => Ok(()),
        Verdict::Not(anomaly) => Err(anomaly),
        Verdict::Undecided => {
            eprintln!("note: a history of {} operations was too long for the search", history.len());
            Ok(())
        }
    }
}

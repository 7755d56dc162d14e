//! What clients of a history do: random exchanges with a server, and the operations they make. Sends nothing itself:
//! whoever owns the connection passes bytes to and replies from it, a thread or a simulation.

use super::op::{Algebra, Call, Key, Line, Op, Outcome, Side};
use crate::common::client::encode;
use crate::common::{Random, Value};

/// Which commands a history is made of; each kind has its checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Appends and reads of what was appended.
    Lists,
    /// Writes of unique values, and reads.
    Registers,
    /// Every command on strings and keys that the model knows, for short histories.
    Everything,
    /// Elements that move between lists.
    Queues,
    /// Members that move between sets, and sets made of sets.
    Sets,
    /// Members that are taken from sorted sets, and sorted sets made of others.
    Sorted,
    /// Clients that wait for several keys, which are filled one at a time. (An EXEC that fills two serves who waits for
    /// both from the one that was filled first, here as in Redis, and no single command would do that. And what COPY
    /// and its kin bring is served when their locks go, which may be a moment after their reply.)
    Waiters,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Lists, Kind::Registers, Kind::Everything, Kind::Queues, Kind::Sets, Kind::Sorted, Kind::Waiters];

    /// Whether its histories are searched whole, so that they have to be short.
    pub fn is_searched(self) -> bool {
        !matches!(self, Kind::Lists | Kind::Registers)
    }
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
    /// The server keeps the order of pipelines over all shards.
    pub strict: bool,
}

impl Menu {
    /// The usual mixture of a kind.
    pub fn of(kind: Kind, keys: usize, strict: bool) -> Menu {
        Menu { kind, keys, multi_key: 40, multi: if kind == Kind::Waiters { 0 } else { 30 }, watch: 40, strict }
    }
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
    /// Calls are sent, each an operation of its own.
    Pipeline(Vec<Call>),
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
    /// Pipelines sent so far.
    lines: usize,
    stage: Stage,
    /// Keys that are still to be read at the end.
    unread: Vec<Key>,
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
        Session {
            client,
            menu,
            random,
            next_value,
            started: 0,
            lines: 0,
            stage: Stage::Idle,
            unread: Vec::new(),
            ops: Vec::new(),
            execs: (0, 0),
        }
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
            (Kind::Queues, true) => match self.random.below(10) {
                0 => Call::Del(self.keys()),
                1 => Call::Rename(self.key(), self.key()),
                2 => Call::Exists(self.keys()),
                3 => self.copy(),
                4 | 5 => {
                    let waits = self.random.chance(30);
                    // whether it waits for one key or several, see `Waiters`
                    let keys = if waits { vec![self.key()] } else { self.keys() };
                    Call::PopMany { side: self.side(), keys, count: 1 + self.random.below(3), waits }
                }
                n => Call::Move(self.key(), self.key(), self.side(), self.side(), n > 7),
            },
            (Kind::Waiters, _) => match self.random.below(12) {
                0 => Call::Del(self.keys()),
                1 => {
                    let (side, keys, count) = (self.side(), self.keys(), 1 + self.random.below(3));
                    Call::PopMany { side, keys, count, waits: true }
                }
                2..5 => Call::PopFirst(self.side(), self.keys()),
                5 | 6 => Call::Range(self.key()),
                _ => Call::Push(self.side(), self.key(), self.value()),
            },
            (Kind::Sorted, true) => match self.random.below(10) {
                0 => Call::Del(self.keys()),
                1 => Call::Rename(self.key(), self.key()),
                2 => Call::ZRangeStore(self.key(), self.key()),
                3..6 => {
                    let algebra = *self.random.one(&[Algebra::Union, Algebra::Inter, Algebra::Diff]);
                    Call::ZStore(algebra, self.key(), self.keys())
                }
                6 => Call::ZPopMany { side: self.side(), keys: vec![self.key()], count: 2, waits: true },
                7 => Call::ZPopFirst(self.side(), vec![self.key()]),
                _ => {
                    let (side, keys, count) = (self.side(), self.keys(), 1 + self.random.below(3));
                    Call::ZPopMany { side, keys, count, waits: false }
                }
            },
            (Kind::Sorted, false) => match self.random.below(6) {
                0..3 => Call::ZAdd(self.key(), self.member(), self.random.below(9) as i64),
                3 => Call::ZRem(self.key(), self.member()),
                _ => Call::ZRange(self.key()),
            },
            (Kind::Queues, false) => match self.random.below(5) {
                0 | 1 => Call::Push(self.side(), self.key(), self.value()),
                2 => Call::Pop(self.side(), self.key()),
                _ => Call::Range(self.key()),
            },
            (Kind::Sets, true) => match self.random.below(10) {
                0 => Call::Del(self.keys()),
                1 => Call::Rename(self.key(), self.key()),
                2 => Call::Exists(self.keys()),
                3..6 => {
                    let algebra = *self.random.one(&[Algebra::Union, Algebra::Inter, Algebra::Diff]);
                    Call::SStore(algebra, self.key(), self.keys())
                }
                _ => Call::SMove(self.key(), self.key(), self.member()),
            },
            (Kind::Sets, false) => match self.random.below(6) {
                0 | 1 => Call::SAdd(self.key(), self.member()),
                2 => Call::SRem(self.key(), self.member()),
                _ => Call::SMembers(self.key()),
            },
        }
    }

    fn side(&mut self) -> Side {
        *self.random.one(&[Side::Left, Side::Right])
    }

    /// Few different ones, so that clients meet.
    fn member(&mut self) -> u64 {
        self.random.below(6) as u64
    }

    /// COPY refuses a key and itself before it looks.
    fn copy(&mut self) -> Call {
        let from = self.key();
        Call::Copy(from, (from + 1 + self.random.below(self.menu.keys - 1)) % self.menu.keys)
    }

    /// The last thing of a history: one client that is alone reads every key.
    pub fn read_all(&mut self, now: u64) -> Option<Sending> {
        self.unread = (0..self.menu.keys).collect();
        self.read_next(now)
    }

    /// The next key that is still to be read at the end; where one call can read them all, it does.
    fn read_next(&mut self, now: u64) -> Option<Sending> {
        let call = match self.menu.kind {
            Kind::Queues | Kind::Waiters => Call::Range(self.unread.pop()?),
            Kind::Sorted => Call::ZRange(self.unread.pop()?),
            Kind::Sets => Call::SMembers(self.unread.pop()?),
            _ if self.unread.is_empty() => return None,
            _ => Call::MGet(std::mem::take(&mut self.unread)),
        };
        Some(self.single(call, now))
    }

    fn single(&mut self, call: Call, now: u64) -> Sending {
        self.pipeline(vec![call], now)
    }

    fn pipeline(&mut self, calls: Vec<Call>, now: u64) -> Sending {
        self.started = now;
        self.lines += 1;
        let bytes = calls.iter().flat_map(|call| encode(&call.words())).collect();
        let count = calls.len();
        self.stage = Stage::Pipeline(calls);
        (bytes, count)
    }

    /// Begins the next exchange.
    pub fn begin(&mut self, now: u64) -> Sending {
        if !self.random.chance(self.menu.multi) {
            // What is under way together makes the search long.
            let count =
                if !self.menu.kind.is_searched() && self.random.chance(20) { 2 + self.random.below(4) } else { 1 };
            let calls = (0..count).map(|_| self.call()).collect();
            return self.pipeline(calls, now);
        }
        let body: Vec<Call> = (0..1 + self.random.below(4)).map(|_| self.call()).collect();
        if !self.random.chance(self.menu.watch) {
            return self.multi(Vec::new(), body, now);
        }
        self.started = now;
        let keys = self.keys();
        let words = [vec!["WATCH".to_string()], keys.iter().map(|k| super::op::name(*k)).collect()].concat();
        let read = match self.menu.kind {
            Kind::Queues | Kind::Waiters => Call::Range,
            Kind::Sorted => Call::ZRange,
            Kind::Sets => Call::SMembers,
            _ => Call::Get,
        };
        let reads: Vec<Call> = keys.into_iter().map(read).collect();
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
        let op = |calls, outcome| Op { client, start, end: now, calls, outcome, line: None };
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => panic!("replies to nothing: {replies:?}"),
            Stage::Pipeline(calls) => {
                for (place, (call, reply)) in calls.into_iter().zip(replies).enumerate() {
                    let (reply, line) = (call.tidy(reply), self.line(place));
                    self.ops.push(Op { line, ..op(vec![call], Outcome::Replied(vec![reply])) });
                }
                self.read_next(now)
            }
            Stage::Watching { reads, body } => {
                assert_eq!(replies[0], Value::ok(), "WATCH");
                let values = replies.into_iter().skip(1);
                let known = reads.into_iter().zip(values).map(|(read, value)| (read.clone(), read.tidy(value)));
                let known: Vec<(Call, Value)> = known.collect();
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
                        let own = calls[values.len()..].iter();
                        assert_eq!(own.len(), results.len(), "EXEC answers every call");
                        let results: Vec<Value> = own.zip(results).map(|(call, reply)| call.tidy(reply)).collect();
                        values.extend(results);
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
        let op = |calls, line| Op { client, start, end: u64::MAX, calls, outcome: Outcome::Unknown, line };
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle | Stage::Watching { .. } => {}
            Stage::Pipeline(calls) => {
                let ops = calls.into_iter().enumerate().map(|(place, call)| op(vec![call], self.line(place)));
                let ops: Vec<Op> = ops.collect();
                self.ops.extend(ops);
            }
            Stage::Multi { body, .. } => self.ops.push(op(body, None)),
        }
    }

    /// See [`Op::line`].
    fn line(&self, place: usize) -> Option<Line> {
        Some(Line { number: self.lines, place, strict: self.menu.strict })
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
        _ => wgl::check(history),
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

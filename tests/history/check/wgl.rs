//! Linearizability of a whole keyspace: is there an order of the operations, each between its start and its end, in
//! which a single server answers the same? For operations on several keys that is strict serializability.
//!
//! The search is that of Wing and Gong (1993) with Lowe's cache of configurations (2017): take any operation that no
//! other has to precede, run it on the model, go on; step back when an operation ends that has not been taken. What
//! has been tried (which operations are taken, and the state they leave) is not tried again.

use super::op::{Anomaly, Call, Key, Op, Outcome};
use super::state::State;
use crate::common::Value;
use std::collections::HashSet;

/// Steps after which the search gives up on a history.
const STEPS_MAX: usize = 300_000;

/// What the search says.
#[derive(Debug)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Not(Anomaly),
    /// The search was too long.
    Undecided,
}

const NONE: usize = usize::MAX;

/// A start or an end of an operation, linked in the order of time.
struct Event {
    op: usize,
    is_end: bool,
    /// The end that belongs to a start.
    partner: usize,
    next: usize,
    previous: usize,
}

struct Search<'a> {
    ops: &'a [&'a Op],
    /// The last one is the head of the list.
    events: Vec<Event>,
    taken: Vec<u64>,
    /// Those that take effect before each one because they stand before it in a pipeline.
    leaders: Vec<Vec<usize>>,
    tried: HashSet<(Vec<u64>, State)>,
}

/// Looks for an order of `ops`, starting from an empty keyspace.
pub fn check(history: &[Op]) -> Verdict {
    let ops: Vec<&Op> = history.iter().filter(|op| op.outcome != Outcome::Failed).collect();
    Search::new(&ops).run()
}

/// Checks each key by itself, for histories of SET, GETSET, GET, MSET and MGET.
pub fn check_each_key(history: &[Op], keys: usize) -> Verdict {
    for key in 0..keys {
        let own: Vec<Op> = history.iter().map(|op| on_key(op, key)).collect();
        let own = own.iter().filter(|op| op.outcome != Outcome::Failed && !op.calls.is_empty());
        match Search::new(&own.collect::<Vec<_>>()).run() {
            Verdict::Linearizable => {}
            other => return other,
        }
    }
    Verdict::Linearizable
}

/// What an operation did to one key.
fn on_key(op: &Op, key: Key) -> Op {
    let mut own = Op { calls: Vec::new(), ..op.clone() };
    let mut replies = Vec::new();
    for (at, call) in op.calls.iter().enumerate() {
        let reply = op.replies().nth(at).map(|(_, reply)| reply);
        let (call, reply) = match (call, reply) {
            (Call::MGet(keys), Some(Value::Array(values))) => {
                let Some(place) = keys.iter().position(|k| *k == key) else { continue };
                (Call::Get(key), Some(&values[place]))
            }
            (Call::MSet(pairs), reply) => match pairs.iter().find(|(k, _)| *k == key) {
                Some((_, value)) => (Call::Set(key, *value), reply),
                None => continue,
            },
            (call, reply) if call.keys() == [key] => (call.clone(), reply),
            _ => continue,
        };
        own.calls.push(call);
        replies.extend(reply.cloned());
    }
    if op.outcome != Outcome::Failed && op.outcome != Outcome::Unknown {
        own.outcome = Outcome::Replied(replies);
    }
    own
}

impl<'a> Search<'a> {
    fn new(ops: &'a [&'a Op]) -> Search<'a> {
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            times.push((op.start, false, index));
            times.push((op.end, true, index));
        }
        // A start at the same moment as an end comes first: the two are concurrent.
        times.sort_unstable();
        let head = times.len();
        let mut partner_of = vec![NONE; ops.len()];
        for (at, (_, is_end, op)) in times.iter().enumerate() {
            if *is_end {
                partner_of[*op] = at;
            }
        }
        let mut events: Vec<Event> = Vec::with_capacity(head + 1);
        for (at, (_, is_end, op)) in times.iter().enumerate() {
            let previous = if at == 0 { head } else { at - 1 };
            let next = if at + 1 == head { NONE } else { at + 1 };
            events.push(Event { op: *op, is_end: *is_end, partner: partner_of[*op], next, previous });
        }
        let first = if head == 0 { NONE } else { 0 };
        events.push(Event { op: NONE, is_end: false, partner: NONE, next: first, previous: NONE });
        let in_lines: Vec<usize> = (0..ops.len()).filter(|op| ops[*op].line.is_some()).collect();
        let leaders_of = |op: &&Op| in_lines.iter().copied().filter(|other| ops[*other].leads(op)).collect();
        let leaders = ops.iter().map(leaders_of).collect();
        Search { ops, events, taken: vec![0; ops.len().div_ceil(64)], leaders, tried: HashSet::new() }
    }

    fn is_taken(&self, op: usize) -> bool {
        self.taken[op / 64] & 1 << (op % 64) != 0
    }

    fn unlink(&mut self, at: usize) {
        let (next, previous) = (self.events[at].next, self.events[at].previous);
        self.events[previous].next = next;
        if next != NONE {
            self.events[next].previous = previous;
        }
    }

    fn relink(&mut self, at: usize) {
        let (next, previous) = (self.events[at].next, self.events[at].previous);
        self.events[previous].next = at;
        if next != NONE {
            self.events[next].previous = at;
        }
    }

    fn set_taken(&mut self, op: usize, taken: bool) {
        if taken {
            self.taken[op / 64] |= 1 << (op % 64);
        } else {
            self.taken[op / 64] &= !(1 << (op % 64));
        }
    }

    /// The state after `op`, if the model answers as the server did.
    fn after(&self, state: &State, op: usize) -> Option<State> {
        if !self.leaders[op].iter().all(|leader| self.is_taken(*leader)) {
            return None;
        }
        let op = self.ops[op];
        let mut state = state.clone();
        match &op.outcome {
            Outcome::Replied(replies) => {
                let right = op.calls.iter().zip(replies).all(|(call, reply)| state.run(call) == *reply);
                right.then_some(state)
            }
            Outcome::Unknown => {
                op.calls.iter().for_each(|call| drop(state.run(call)));
                Some(state)
            }
            Outcome::Failed => None,
        }
    }

    fn run(mut self) -> Verdict {
        let head = self.events.len() - 1;
        let mut stack: Vec<(usize, State)> = Vec::new();
        let mut state = State::default();
        let mut at = self.events[head].next;
        let (mut furthest, mut proof) = (0, Vec::new());
        for _ in 0..STEPS_MAX {
            if at == NONE {
                return Verdict::Linearizable;
            }
            let event = &self.events[at];
            let (op, partner) = (event.op, event.partner);
            if !event.is_end {
                let after = self.after(&state, op).filter(|after| {
                    self.set_taken(op, true);
                    let fresh = self.tried.insert((self.taken.clone(), after.clone()));
                    self.set_taken(op, fresh);
                    fresh
                });
                if let Some(after) = after {
                    stack.push((at, std::mem::replace(&mut state, after)));
                    self.unlink(at);
                    self.unlink(partner);
                    at = self.events[head].next;
                } else {
                    at = self.events[at].next;
                }
                continue;
            }
            if self.ops[op].end == u64::MAX {
                // Whatever is left has an unknown outcome: it may never have happened.
                return Verdict::Linearizable;
            }
            if proof.is_empty() || stack.len() > furthest {
                furthest = stack.len();
                proof = self.stuck(op, &state, &stack);
            }
            let Some((undone, before)) = stack.pop() else {
                return Verdict::Not(Anomaly::new("not linearizable", proof.join("\n")));
            };
            self.set_taken(self.events[undone].op, false);
            self.relink(self.events[undone].partner);
            self.relink(undone);
            state = before;
            at = self.events[undone].next;
        }
        Verdict::Undecided
    }

    /// For people: an operation that fits nowhere, in the longest order that was found.
    fn stuck(&self, op: usize, state: &State, stack: &[(usize, State)]) -> Vec<String> {
        let mut lines = vec![format!("no place for: {}", self.ops[op].text()), format!("the state then: {state:?}")];
        let last = stack.iter().rev().take(12).map(|(at, _)| self.ops[self.events[*at].op].text());
        lines.extend(last.map(|text| format!("before it, latest first: {text}")));
        lines
    }
}

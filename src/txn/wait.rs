//! Waiting: clients in BLPOP and its kin, over any shards. This file is the client's core: who of its clients waits,
//! for how long, and how waiting ends. The shards' half is [`desk`], which clients still wait is on the [`board`].
//!
//! **The way of a command that may wait.** It visits the shards of its keys one after the other, in the order of the
//! keys. On each it looks at its keys there; a key that can serve it does, else it joins that key's queue and goes on
//! to the next shard. Waiting, it holds no lock. When a write gives a key something, its shard serves the queue,
//! first come first served, before any later command runs there; after a transaction, when its locks are released.
//!
//! **Served once.** A word per client, seen by all cores, says whether it still waits. A shard changes it, then takes
//! the element; if another shard, a timeout or the end of the connection was there first, the element stays, and the
//! next in the queue is tried. So no message is needed between an element's arrival and its delivery, and none is lost
//! on the way. (To ask the client's core by message would leave the key locked for a round trip.) A visit that finds a
//! key ready changes the word too: it succeeds only if none of the queues it has joined served it, so the keys before
//! this one are empty at that moment, and the order of keys holds.
//!
//! **Turns.** A visit that finds a key with something for those who came before (one of them is on its way to move it,
//! or a lock is in the way of serving them) joins its queue and rests: only when its turn comes does it go on to the
//! next keys, or is served. So a wait never ends in vain past an element that was there for it: every key it waited for
//! was seen empty, or was empty when it came, before its time may end.
//!
//! **What it does not promise.** A client that waits for keys of several shards is served by the first shard that sees
//! one of them filled. What an EXEC, a COPY or a RENAME brings is seen when its locks go, shard by shard: another key,
//! filled a moment later, may serve the client first, though it stands behind in the client's list. Redis serves from
//! the key that was filled first, which is the same but for that moment.
//!
//! **Moves between shards** (BLMOVE): the shard cannot push to another. It tells the client's core, which runs the
//! command without waiting, as a transaction, while whoever waits behind it goes on waiting; if the element has gone by
//! then, it waits on in its old place.
//!
//! A family adds a command by a [`Blocking`](crate::commands::blocking::Blocking) in its row of the table; nothing here
//! knows one command from another. Bounded by the number of connections, one wait each.

pub mod board;
pub(crate) mod desk;

use crate::base::bytes::OutBuf;
use crate::base::hash::Position;
use crate::commands::args::{Args, lay_out};
use crate::commands::blocking::{Look, Wait};
use crate::commands::context::Context;
use crate::resp::reply::{Proto, Reply};
use crate::runtime::timer::{TimerId, Timers};
use crate::txn::finished::{Cores, Finished};
use crate::txn::message::{Message, Phase, Ticket};
use crate::txn::router::{Call, Outcome, Router};
use desk::Means;
use hashbrown::HashMap;

/// A command's visit to one shard: travels with the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The client's place on the board.
    pub slot: u32,
    /// Which wait there.
    pub serial: u32,
    /// First of the arguments that are keys of this shard.
    pub first: u32,
    /// Behind the last of them.
    pub end: u32,
    /// The other key the command writes, if it is of this shard.
    pub also: Option<u16>,
    /// The client's core.
    pub home: u16,
    /// The other key is of another shard: only a transaction can serve it.
    pub relay: bool,
}

/// What a shard and a client's core say to each other of one wait.
#[derive(Debug)]
pub enum Note {
    /// To the client's core: it is in the queues of all keys of that visit.
    Entered {
        /// See [`Visit`].
        slot: u32,
        /// See [`Visit`].
        serial: u32,
    },
    /// To the client's core: a key has something, go and get it by a transaction.
    Away {
        /// See [`Visit`].
        slot: u32,
        /// See [`Visit`].
        serial: u32,
    },
    /// To the client's core: it is served.
    Served {
        /// See [`Visit`].
        slot: u32,
        /// See [`Visit`].
        serial: u32,
        /// The reply.
        reply: OutBuf,
    },
    /// To a shard: it waits no more.
    Leave {
        /// See [`Visit`].
        slot: u32,
        /// See [`Visit`].
        serial: u32,
    },
    /// To a shard: it found nothing and waits on.
    Back {
        /// See [`Visit`].
        slot: u32,
        /// See [`Visit`].
        serial: u32,
    },
}

/// How a wait ends that no key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Timeout,
    Error,
    Gone,
}

#[derive(Debug)]
struct Waiting {
    serial: u32,
    call: Call,
    args: Vec<Vec<u8>>,
    /// Visits, in order: core, first and end of the keys.
    visits: Vec<(usize, u32, u32)>,
    /// Visits made or under way.
    made: usize,
    also: Option<u16>,
    relay: bool,
    timer: Option<TimerId>,
    /// It has not yet looked at all its keys: its time does not end before.
    is_visiting: bool,
    /// A transaction tries to serve it.
    is_trying: bool,
    /// How it ends if its visits, or that transaction, find nothing.
    ending: Option<Ending>,
}

/// The clients of one core that wait.
#[derive(Debug, Default)]
pub struct Waits {
    by_slot: HashMap<u32, Waiting>,
    timers: Timers<u32>,
    /// Places on the board that are this core's and free.
    free: Vec<u32>,
    /// Those that a transaction tries to serve.
    trying: Vec<u32>,
}

/// What came of [`Router::block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// As of any other call.
    pub outcome: Outcome,
    /// The client's place on the board, if it may wait now: what [`Router::unblock`] wants to know.
    pub slot: Option<u32>,
}

impl Blocked {
    fn done() -> Blocked {
        Blocked { outcome: Outcome::Done, slot: None }
    }
}

impl Router {
    /// Runs a command that may wait.
    pub fn block(&mut self, call: Call, args: &mut Args<'_>, out: &mut OutBuf) -> Blocked {
        let blocking = self.table.get(call.id).blocking.expect("the caller has looked");
        let wait = match (blocking.waits)(args) {
            Ok(Some(wait)) => wait,
            Ok(None) => return Blocked { outcome: self.call(call, args, out), slot: None },
            Err(refusal) => {
                Reply { out, proto: call.manner.proto }.error(refusal);
                return Blocked::done();
            }
        };
        let visits = self.visits(&wait, args);
        let here = visits.iter().all(|(core, ..)| *core == self.core);
        let relay = wait.also.is_some_and(|at| self.owner_of(Position::of(&args[at])) != visits[0].0);
        if here && !relay && !self.is_guarded() && self.serve_now(call, &wait, args, out) {
            return Blocked::done();
        }
        let Some(slot) = self.waits.free.pop().or_else(|| self.clock.board.new_slot()) else {
            Reply { out, proto: call.manner.proto }.error("ERR too many clients wait already");
            return Blocked::done();
        };
        let serial = self.clock.board.enter(slot);
        // the clock shows whole milliseconds: one more, so that nobody waits less than was asked for
        let deadline = self.shard.now_ms.saturating_add(wait.timeout_ms).saturating_add(1);
        let waiting = Waiting {
            serial,
            call: Call { pos: None, ..call },
            args: args.from(0).map(<[u8]>::to_vec).collect(),
            visits,
            made: 0,
            also: wait.also.filter(|_| !relay).and_then(|at| u16::try_from(at).ok()),
            relay,
            timer: (wait.timeout_ms > 0).then(|| self.waits.timers.insert(deadline, slot)),
            is_visiting: true,
            is_trying: false,
            ending: None,
        };
        self.waits.by_slot.insert(slot, waiting);
        self.visit_next(slot);
        Blocked { outcome: Outcome::Stalls, slot: Some(slot) }
    }

    /// Which shards to visit, with which keys: neighbouring keys of one shard together.
    fn visits(&self, wait: &Wait, args: &Args<'_>) -> Vec<(usize, u32, u32)> {
        let mut visits: Vec<(usize, u32, u32)> = Vec::new();
        for at in wait.keys.clone() {
            let core = self.owner_of(Position::of(&args[at]));
            match visits.last_mut() {
                Some((last, _, end)) if *last == core => *end += 1,
                _ => visits.push((core, at as u32, at as u32 + 1)),
            }
        }
        visits
    }

    /// All keys are here and no lock is held: serves the command if it can be.
    fn serve_now(&mut self, call: Call, wait: &Wait, args: &mut Args<'_>, out: &mut OutBuf) -> bool {
        let blocking = self.table.get(call.id).blocking.expect("the caller has looked");
        if self.shard.events.has_waiters {
            // somebody may have to be served first: join the queue
            return false;
        }
        let mut ctx = Context {
            shard: &mut self.shard,
            db: call.manner.db as usize,
            no_touch: call.manner.no_touch,
            hint: None,
            bulk_bytes_max: self.terms.bulk_bytes_max,
            foreign: &mut [],
        };
        let mut reply = Reply { out, proto: call.manner.proto };
        for at in wait.keys.clone() {
            match (blocking.look)(&mut ctx, args, at) {
                Look::Empty | Look::NotThis => continue,
                Look::Ready => desk::serve_at(blocking, &mut ctx, args, at, &mut reply),
                Look::Refused(refusal) => reply.error(refusal),
            }
            return true;
        }
        false
    }

    /// Sends a waiting command to the next shard of its keys.
    fn visit_next(&mut self, slot: u32) {
        let core = self.core;
        let Some(waiting) = self.waits.by_slot.get_mut(&slot) else { return };
        let Some(&(to, first, end)) = waiting.visits.get(waiting.made) else {
            waiting.is_visiting = false;
            if let Some(ending) = waiting.ending.take() {
                self.end_by(slot, ending);
            }
            return;
        };
        waiting.made += 1;
        let visit = Visit {
            slot,
            serial: waiting.serial,
            first,
            end,
            also: waiting.also,
            home: core as u16,
            relay: waiting.relay,
        };
        let (call, phase) = (waiting.call, Phase::Wait(visit));
        let (data, spans) = lay_out(&waiting.args);
        let mut args = Args::new(&data, &spans);
        if to != core {
            return self.send(to, Ticket::Slot { conn: call.conn, seq: call.seq }, call, phase, &mut args);
        }
        if self.is_guarded() && self.waits_here(call, phase, &args) {
            return;
        }
        let (desk, shard, means) = self.desk();
        desk.visit(shard, means, visit, (call.id, call.manner), &mut args);
    }

    /// The shard's half, the shard, and what else it needs.
    pub(super) fn desk(&mut self) -> (&mut desk::Desk, &mut crate::shard::keyspace::Shard, Means<'_>) {
        let means = Means { table: &self.table, terms: self.terms, locks: &self.locks, board: &self.clock.board };
        (&mut self.desk, &mut self.shard, means)
    }

    /// Serves who waits for keys that the command which just ran gave something.
    #[inline]
    pub fn settle_ready(&mut self) {
        if !self.shard.events.ready.is_empty() {
            let (desk, shard, means) = self.desk();
            desk.settle(shard, means);
        }
    }

    /// As [`Router::settle_ready`], after locks were released.
    #[inline]
    pub(super) fn settle_released(&mut self) {
        let (desk, shard, means) = self.desk();
        desk.settle_deferred(shard, means);
    }

    /// Whether there is something to say or to deliver.
    pub fn has_news(&self) -> bool {
        !self.desk.outgoing.is_empty() || !self.finished.is_empty()
    }

    /// Does what shards had to say to clients of this core, and sends what others are to know.
    pub fn exchange_notes(&mut self) {
        while !self.desk.outgoing.is_empty() {
            for (core, note) in std::mem::take(&mut self.desk.outgoing) {
                if core == self.core {
                    self.on_note(note);
                } else {
                    self.mesh_after_commands(core, Message::Wait(Box::new(note)));
                }
            }
        }
    }

    /// A note of another core, or of this one to itself.
    pub fn on_note(&mut self, note: Note) {
        match note {
            Note::Entered { slot, serial } => {
                if self.waits_with(slot, serial).is_some() {
                    self.visit_next(slot);
                }
            }
            Note::Away { slot, serial } => self.try_moving(slot, serial),
            Note::Served { slot, serial, reply } => {
                if self.waits_with(slot, serial).is_some() {
                    self.end_wait(slot, Some(reply));
                }
            }
            Note::Leave { slot, serial } => {
                let (desk, shard, means) = self.desk();
                desk.leave(shard, means, slot, serial);
            }
            Note::Back { slot, serial } => {
                let (desk, shard, means) = self.desk();
                desk.come_back(shard, means, slot, serial);
            }
        }
    }

    fn waits_with(&mut self, slot: u32, serial: u32) -> Option<&mut Waiting> {
        self.waits.by_slot.get_mut(&slot).filter(|waiting| waiting.serial == serial)
    }

    /// A wait is over, and its word changed: every shard forgets it, the client gets its reply.
    fn end_wait(&mut self, slot: u32, reply: Option<OutBuf>) {
        let Some(waiting) = self.waits.by_slot.remove(&slot) else { return };
        if let Some(timer) = waiting.timer {
            self.waits.timers.cancel(timer);
        }
        self.waits.free.push(slot);
        let mut cores: Vec<usize> = waiting.visits[..waiting.made].iter().map(|(core, ..)| *core).collect();
        cores.sort_unstable();
        cores.dedup();
        for core in cores {
            let note = Note::Leave { slot, serial: waiting.serial };
            self.desk.outgoing.push((core, note));
        }
        if let Some(reply) = reply {
            let (conn, seq) = (waiting.call.conn, waiting.call.seq);
            // serving it took no time of its own: only a log of everything gets to see it
            if self.terms.slow_ticks == 0 {
                self.slow.push((conn, 0, waiting.args));
            }
            self.finished.push(Finished {
                conn,
                seq,
                reply,
                command: Some(waiting.call.id),
                unstalls: true,
                seen: Cores::ALL,
                wrote: None,
            });
        }
    }

    /// Ends a wait unless it is being served at this moment; true if it ends so.
    fn end_by(&mut self, slot: u32, ending: Ending) -> bool {
        let Some(waiting) = self.waits.by_slot.get_mut(&slot) else { return false };
        if waiting.is_trying || waiting.is_visiting && ending == Ending::Timeout {
            waiting.ending.get_or_insert(ending);
            return true;
        }
        let (serial, proto) = (waiting.serial, waiting.call.manner.proto);
        if !self.clock.board.claim(slot, serial) {
            return false;
        }
        self.end_wait(slot, ending.reply(proto));
        true
    }

    /// Ends the waits whose time is over.
    pub fn expire_waits(&mut self) {
        let now = self.shard.now_ms;
        while let Some(slot) = self.waits.timers.pop_due(now) {
            if let Some(waiting) = self.waits.by_slot.get_mut(&slot) {
                waiting.timer = None;
            }
            self.end_by(slot, Ending::Timeout);
        }
    }

    /// When the next wait ends by itself.
    pub fn next_wait_end_ms(&self) -> Option<u64> {
        self.waits.timers.next_deadline()
    }

    /// CLIENT UNBLOCK: as if its time were over, or with an error. False if it is being served.
    pub fn unblock(&mut self, slot: u32, error: bool) -> bool {
        self.end_by(slot, if error { Ending::Error } else { Ending::Timeout })
    }

    /// The client has gone.
    pub fn abandon_wait(&mut self, slot: u32) {
        self.end_by(slot, Ending::Gone);
    }

    /// Clients of this core that wait and have looked at all their keys.
    pub fn blocked_clients(&self) -> usize {
        self.waits.by_slot.values().filter(|waiting| !waiting.is_visiting).count()
    }

    /// Whether every client of this core that waits has looked at all its keys.
    pub fn all_have_entered(&self) -> bool {
        self.waits.by_slot.values().all(|waiting| !waiting.is_visiting && !waiting.is_trying)
    }

    /// Keys of this shard that clients wait for.
    pub fn blocking_keys(&self) -> usize {
        self.desk.key_count()
    }

    /// Of those, keys where a client is to be told when they are gone.
    pub fn losable_keys(&self) -> usize {
        self.desk.losable_key_count()
    }

    /// Clients of this core that wait no longer than some time.
    pub fn timed_waits(&self) -> usize {
        self.waits.timers.len()
    }

    // ---- moves between shards ----

    /// A key has something that only a transaction can move.
    fn try_moving(&mut self, slot: u32, serial: u32) {
        let Some(waiting) = self.waits_with(slot, serial) else { return };
        waiting.is_visiting = false;
        waiting.is_trying = true;
        let call = waiting.call;
        let (data, spans) = lay_out(&waiting.args);
        self.waits.trying.push(slot);
        let mut out = OutBuf::default();
        if self.call(call, &mut Args::new(&data, &spans), &mut out) == Outcome::Done {
            let (conn, seq, seen) = (call.conn, call.seq, Cores::ALL);
            self.finished.push(Finished {
                conn,
                seq,
                reply: out,
                command: Some(call.id),
                unstalls: true,
                seen,
                wrote: None,
            });
        }
    }

    /// Replies that are ready to be delivered. One that says that there was nothing to move is none: the client waits
    /// on.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        if self.is_fed() {
            self.take_fed();
        }
        let mut finished = std::mem::take(&mut self.finished);
        if self.waits.trying.is_empty() {
            return finished;
        }
        finished.retain_mut(|reply| !self.has_tried(reply));
        finished.append(&mut self.finished);
        finished
    }

    /// What a transaction made of a waiting client; true if its reply is not for the client.
    fn has_tried(&mut self, finished: &mut Finished) -> bool {
        let is_this = |waiting: &Waiting| waiting.call.conn == finished.conn && waiting.call.seq == finished.seq;
        let slots = self.waits.trying.iter().position(|slot| self.waits.by_slot.get(slot).is_some_and(is_this));
        let Some(index) = slots else { return false };
        let slot = self.waits.trying.swap_remove(index);
        let Some(waiting) = self.waits.by_slot.get_mut(&slot) else { return false };
        waiting.is_trying = false;
        let (serial, shard) = (waiting.serial, waiting.visits[0].0);
        let nothing = matches!(&finished.reply.bytes[..], b"$-1\r\n" | b"_\r\n");
        if nothing && waiting.ending.is_none() {
            self.desk.outgoing.push((shard, Note::Back { slot, serial }));
            return true;
        }
        if nothing && let Some(reply) = waiting.ending.and_then(|ending| ending.reply(waiting.call.manner.proto)) {
            finished.reply = reply;
        }
        // nobody else does: its only shard has sent it away
        self.clock.board.claim(slot, serial);
        self.end_wait(slot, None);
        false
    }
}

impl Ending {
    fn reply(self, proto: Proto) -> Option<OutBuf> {
        let mut out = OutBuf::default();
        let mut reply = Reply::new(&mut out, proto);
        match self {
            Ending::Timeout => reply.null_array(),
            Ending::Error => reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            Ending::Gone => return None,
        }
        Some(out)
    }
}

//! The shard's half of waiting: visits of commands that may wait, the queues they join, and serving them. Knows nothing
//! of timeouts and connections; what it has to say to a client's core it leaves in `outgoing`.

use crate::base::bytes::OutBuf;
use crate::commands::args::{Args, lay_out};
use crate::commands::blocking::{Blocking, Look};
use crate::commands::context::Context;
use crate::commands::table::{CommandId, CommandTable};
use crate::resp::reply::Reply;
use crate::shard::events::EVERY_KEY;
use crate::shard::keyspace::Shard;
use crate::shard::waiters::{Waiters, Waiting};
use crate::txn::hop::{self, Terms};
use crate::txn::lock::{LockTable, Mode};
use crate::txn::message::Manner;
use crate::txn::plan;
use crate::txn::wait::board::Board;
use crate::txn::wait::{Note, Visit};
use std::collections::VecDeque;

/// What is needed to run a waiting command.
#[derive(Debug)]
pub(super) struct WaitingCall {
    id: CommandId,
    manner: Manner,
    args: Vec<Vec<u8>>,
    /// Of several visits to this shard the first, or the one that rests.
    visit: Visit,
    /// The argument whose key had something when it came, for those before it. Its visit rests there until its turn
    /// comes: it may not give up while it has not seen the key empty.
    owed: Option<usize>,
    /// See [`Blocking::lost`].
    may_lose: bool,
}

impl WaitingCall {
    /// The other key it writes, if that is of this shard.
    fn also(&self) -> Option<usize> {
        self.visit.also.map(usize::from)
    }
}

/// See the module. One per shard.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    waiters: Waiters<WaitingCall>,
    /// Keys that got something under a lock that is still held.
    deferred: Vec<(usize, Vec<u8>)>,
    /// Waiters whose visit rests.
    resting: usize,
    /// Waiters that are to be told when a key is gone.
    losers: usize,
    /// Those whose visits go on, for the key at which they rested has nothing for them: slot and serial number.
    passed: Vec<(u32, u32)>,
    /// To which core, and what.
    pub(super) outgoing: Vec<(usize, Note)>,
}

/// What serving needs of the core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means<'a> {
    /// Every command.
    pub(crate) table: &'a CommandTable,
    /// Limits.
    pub(crate) terms: Terms,
    /// The shard's locks.
    pub(crate) locks: &'a LockTable,
    /// Who still waits.
    pub(crate) board: &'a Board,
}

impl Means<'_> {
    fn blocking(&self, id: CommandId) -> &'static Blocking {
        self.table.get(id).blocking.expect("only commands that may wait come here")
    }

    fn is_locked(&self, key: &[u8]) -> bool {
        self.locks.any_held() && self.locks.blocks(plan::lock_key(key), Mode::Exclusive)
    }
}

fn context<'a>(shard: &'a mut Shard, manner: Manner, terms: Terms) -> Context<'a> {
    Context {
        shard,
        db: manner.db as usize,
        no_touch: manner.no_touch,
        hint: None,
        bulk_bytes_max: terms.bulk_bytes_max,
        foreign: &mut [],
    }
}

impl Desk {
    /// Keys that somebody waits for.
    pub(super) fn key_count(&self) -> usize {
        self.waiters.key_count()
    }

    /// Of those, keys where somebody is to be told when they are gone.
    pub(super) fn losable_key_count(&self) -> usize {
        if self.losers == 0 { 0 } else { self.waiters.key_count_of(|call| call.may_lose) }
    }

    /// A command that may wait looks at its keys here, one after the other: it is served, or joins the queues.
    pub(crate) fn visit(
        &mut self,
        shard: &mut Shard,
        means: Means<'_>,
        visit: Visit,
        (id, manner): (CommandId, Manner),
        args: &mut Args<'_>,
    ) {
        let Visit { slot, serial, home, .. } = visit;
        if !means.board.is_waiting(slot, serial) {
            return;
        }
        if let Some(other) = self.waiters.serial_of(slot).filter(|other| *other != serial) {
            // it ended elsewhere, and this visit overtook the word of it
            self.leave(shard, means, slot, other);
        }
        let (blocking, db, home) = (means.blocking(id), manner.db as usize, usize::from(home));
        for at in visit.first as usize..visit.end as usize {
            let look = (blocking.look)(&mut context(shard, manner, means.terms), args, at);
            let must_queue = self.waiters.is_held(db, &args[at]) || self.is_deferred(db, &args[at]);
            match look {
                Look::Ready if !must_queue && !visit.relay => {
                    if means.board.claim(slot, serial) {
                        let reply = serve(shard, means, (id, manner), args, at);
                        self.outgoing.push((home, Note::Served { slot, serial, reply }));
                        self.settle(shard, means);
                    }
                    return;
                }
                Look::Refused(refusal) => return self.refuse(means, (slot, serial, home), manner, refusal),
                Look::Ready | Look::Empty | Look::NotThis => {}
            }
            let waiting = Waiting { slot, serial, home: home as u32 };
            let call = || WaitingCall {
                id,
                manner,
                args: args.from(0).map(<[u8]>::to_vec).collect(),
                visit,
                owed: None,
                may_lose: blocking.lost.is_some(),
            };
            if self.waiters.serial_of(slot).is_none() {
                self.losers += usize::from(blocking.lost.is_some());
            }
            self.waiters.enter(waiting, call, db, &args[at], at);
            shard.events.has_waiters = true;
            shard.events.wants_gone = self.losers > 0;
            if let Some(enter) = blocking.enter
                && let Some((index, words)) = enter(&mut context(shard, manner, means.terms), args, at)
                && let Some(waiter) = self.waiters.get(slot, serial)
            {
                waiter.call.args[index] = words;
            }
            if look == Look::Ready
                && let Some(waiter) = self.waiters.get(slot, serial)
            {
                if must_queue {
                    (waiter.call.owed, waiter.call.visit) = (Some(at), visit);
                    self.resting += 1;
                    return;
                }
                // it is there, but only a transaction can move it
                waiter.is_away = true;
                return self.outgoing.push((home, Note::Away { slot, serial }));
            }
        }
        self.outgoing.push((home, Note::Entered { slot, serial }));
    }

    /// Ends a wait with an error, if it waits still; `who`: slot, serial number, core.
    fn refuse(&mut self, means: Means<'_>, who: (u32, u32, usize), manner: Manner, refusal: &str) {
        let (slot, serial, home) = who;
        if means.board.claim(slot, serial) {
            let mut reply = OutBuf::default();
            Reply::new(&mut reply, manner.proto).error(refusal);
            self.outgoing.push((home, Note::Served { slot, serial, reply }));
        }
    }

    /// Goes on with a visit that rested at a key which has nothing for it.
    fn go_on(&mut self, shard: &mut Shard, means: Means<'_>, slot: u32, serial: u32) {
        let Some(waiter) = self.waiters.get(slot, serial) else { return };
        let Some(at) = waiter.call.owed.take() else { return };
        self.resting -= 1;
        let visit = Visit { first: at as u32 + 1, ..waiter.call.visit };
        let call = (waiter.call.id, waiter.call.manner);
        let (data, spans) = lay_out(&waiter.call.args);
        self.visit(shard, means, visit, call, &mut Args::new(&data, &spans));
    }

    /// Serves those who wait for keys that got something. To be called after a command, or after a transaction has
    /// released its locks; not between the commands of a transaction.
    pub(crate) fn settle(&mut self, shard: &mut Shard, means: Means<'_>) {
        let mut ready = VecDeque::from(std::mem::take(&mut shard.events.ready));
        while let Some((db, key)) = ready.pop_front() {
            if db == EVERY_KEY {
                ready.extend(self.waiters.keys().map(|(db, key)| (db, key.to_vec())));
                continue;
            }
            self.settle_key(shard, means, db, &key);
            for (slot, serial) in std::mem::take(&mut self.passed) {
                self.go_on(shard, means, slot, serial);
            }
            ready.extend(shard.events.ready.drain(..));
        }
    }

    /// Keys that got something in a part of a transaction wait for its end.
    #[inline]
    pub(crate) fn defer(&mut self, shard: &mut Shard) {
        if !shard.events.ready.is_empty() {
            self.deferred.append(&mut shard.events.ready);
        }
    }

    /// After locks were released: serves those who wait for keys that no lock is on any more.
    pub(crate) fn settle_deferred(&mut self, shard: &mut Shard, means: Means<'_>) {
        if self.deferred.is_empty() {
            return;
        }
        let (locked, free) = std::mem::take(&mut self.deferred).into_iter().partition(|(_, key)| means.is_locked(key));
        self.deferred = locked;
        shard.events.ready.extend::<Vec<_>>(free);
        self.settle(shard, means);
    }

    fn is_deferred(&self, db: usize, key: &[u8]) -> bool {
        self.deferred.iter().any(|(other_db, other)| *other_db == db && other == key)
    }

    fn settle_key(&mut self, shard: &mut Shard, means: Means<'_>, db: usize, key: &[u8]) {
        let mut index = 0;
        while let Some((waiter, at)) = self.waiters.nth(db, key, index) {
            let Waiting { slot, serial, home } = waiter.waiting;
            if !means.board.is_waiting(slot, serial) {
                self.leave_here(shard, slot, serial);
                continue;
            }
            if waiter.is_away {
                return;
            }
            if means.is_locked(key) {
                // what it holds now may be half of what a transaction does to it
                return self.deferred.push((db, key.to_vec()));
            }
            let call = (waiter.call.id, waiter.call.manner);
            let (data, spans) = lay_out(&waiter.call.args);
            let mut args = Args::new(&data, &spans);
            let (is_owed, blocking) = (waiter.call.owed == Some(at), means.blocking(call.0));
            if let Some(lost) = blocking.lost.filter(|_| !is_owed)
                && let Some(refusal) = lost(&mut context(shard, call.1, means.terms), &args, at)
            {
                self.refuse(means, (slot, serial, home as usize), call.1, refusal);
                self.leave_here(shard, slot, serial);
                continue;
            }
            match (blocking.look)(&mut context(shard, call.1, means.terms), &args, at) {
                Look::Empty if self.resting == 0 && self.losers == 0 => return,
                Look::Refused(refusal) if is_owed => {
                    self.refuse(means, (slot, serial, home as usize), call.1, refusal);
                    self.leave_here(shard, slot, serial);
                    continue;
                }
                Look::Empty | Look::NotThis | Look::Refused(_) => {
                    self.passed.extend(is_owed.then_some((slot, serial)));
                    index += 1;
                    continue;
                }
                Look::Ready => {}
            }
            if waiter.call.visit.relay {
                self.resting -= usize::from(waiter.call.owed.take().is_some());
                waiter.is_away = true;
                return self.outgoing.push((home as usize, Note::Away { slot, serial }));
            }
            if waiter.call.also().is_some_and(|also| means.is_locked(&args[also])) {
                return self.deferred.push((db, key.to_vec()));
            }
            if means.board.claim(slot, serial) {
                let reply = serve(shard, means, call, &mut args, at);
                self.outgoing.push((home as usize, Note::Served { slot, serial, reply }));
            }
            self.leave_here(shard, slot, serial);
        }
    }

    fn leave_here(&mut self, shard: &mut Shard, slot: u32, serial: u32) {
        if let Some(waiter) = self.waiters.get(slot, serial) {
            self.resting -= usize::from(waiter.call.owed.is_some());
            self.losers -= usize::from(waiter.call.may_lose);
            shard.events.wants_gone = self.losers > 0;
        }
        let keys = self.waiters.leave(slot, serial);
        shard.events.has_waiters = !self.waiters.is_empty();
        if shard.events.has_waiters {
            shard.events.ready.extend(keys);
        }
    }

    /// A client waits no more. Those who waited for it to serve itself have their turn.
    pub(crate) fn leave(&mut self, shard: &mut Shard, means: Means<'_>, slot: u32, serial: u32) {
        self.leave_here(shard, slot, serial);
        self.settle(shard, means);
    }

    /// A client that was away found nothing and waits on.
    pub(crate) fn come_back(&mut self, shard: &mut Shard, means: Means<'_>, slot: u32, serial: u32) {
        let keys = self.waiters.come_back(slot, serial);
        shard.events.ready.extend(keys);
        self.settle(shard, means);
    }
}

/// Has the key at argument `at` serve a command, and journals what it did.
pub(super) fn serve_at(
    blocking: &Blocking,
    ctx: &mut Context<'_>,
    args: &mut Args<'_>,
    at: usize,
    reply: &mut Reply<'_>,
) {
    if ctx.shard.events.journaled {
        return hop::recorded(ctx, args, |ctx, args| (blocking.serve)(ctx, args, at, reply));
    }
    (blocking.serve)(ctx, args, at, reply);
}

/// Runs a command that a key can serve, and journals what it did; its reply.
fn serve(
    shard: &mut Shard,
    means: Means<'_>,
    (id, manner): (CommandId, Manner),
    args: &mut Args<'_>,
    at: usize,
) -> OutBuf {
    let mut out = OutBuf::default();
    let mut reply = Reply::new(&mut out, manner.proto);
    serve_at(means.blocking(id), &mut context(shard, manner, means.terms), args, at, &mut reply);
    out
}

//! Turns a command's plan into work on shards: here, on one other core, or as a transaction on several; and collects
//! what comes back. Knows connections only as [`ConnId`]s and never touches one: finished replies wait in `finished`.
//!
//! A command on one shard takes no locks. It runs at once, and pays one test for it: whether any lock is held on its
//! shard. Everything over several shards is a [`Transaction`](crate::txn::transaction).

use crate::base::bytes::{BigPart, OutBuf};
use crate::base::hash::{Position, SLOTS};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::debug::DebugCall;
use crate::commands::key_args::KeyCut;
use crate::commands::spec::Plan;
use crate::commands::table::{CommandId, CommandTable};
use crate::persist::aof::frontier::Frontier;
use crate::resp::reply::Reply;
use crate::runtime::mesh::Endpoint;
use crate::shard::keyspace::Shard;
use crate::txn::awaited::Awaited;
use crate::txn::feed::Intake;
use crate::txn::fetches::Fetches;
use crate::txn::figures::TxnStats;
use crate::txn::finished::Finished;
use crate::txn::hop::{self, Outboxes, Terms};
use crate::txn::lock::{LockTable, TxnId};
use crate::txn::message::{
    Answer, CommandBatch, ConnId, Manner, Message, Phase, RemoteCommand, Request, Share, Ticket, WatchKeys,
};
use crate::txn::nested::Turn;
use crate::txn::parked::{Notice, Parked};
use crate::txn::plan::{self, Form};
use crate::txn::scheduling::TxnClock;
use crate::txn::transaction::{Kept, Transaction};
use crate::txn::wait::Waits;
use crate::txn::wait::desk::{Desk, Means};
use ahash::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The core that owns a slot: contiguous slices of equal size.
pub fn owner(slot: u16, cores: usize) -> usize {
    (usize::from(slot) * cores) / usize::from(SLOTS)
}

/// The slots that `core` owns.
pub fn slots_of(core: usize, cores: usize) -> Range<u16> {
    let first = |c: usize| (c * usize::from(SLOTS)).div_ceil(cores) as u16;
    first(core)..first(core + 1)
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is in the output buffer.
    Done,
    /// The reply comes later, for the sequence number that was passed in.
    Waits,
    /// As `Waits`, and the connection's next command may not start before it.
    Stalls,
}

/// The answers of all cores to a question.
#[derive(Debug)]
pub struct Answered {
    /// Who asked.
    pub conn: ConnId,
    /// The slot that waits.
    pub seq: u32,
    /// One answer per core, in core order.
    pub answers: Vec<Answer>,
}

/// Counters of one command on one core.
pub type Ran<'a> = &'a mut dyn FnMut(CommandId, u64, bool);

/// Takes the reply of a single command that ran elsewhere.
pub type Deliver<'a> = &'a mut dyn FnMut(ConnId, u32, &[u8], Vec<(usize, BigPart)>);

/// Who calls, and how.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The command.
    pub id: CommandId,
    /// Database, dialect, touch.
    pub manner: Manner,
    /// Position of its first key, if the command has keys.
    pub pos: Option<Position>,
    /// Who.
    pub conn: ConnId,
    /// Sequence number of the reply slot to use if the reply comes later.
    pub seq: u32,
}

/// A command that waits for other cores.
#[derive(Debug)]
pub(super) enum Pending {
    /// Every core answers a question.
    Ask { conn: ConnId, seq: u32, remaining: u32, answers: Vec<Option<Answer>> },
    /// Shards are asked to watch keys.
    Watch { conn: ConnId, seq: u32, remaining: u32, proto: crate::resp::reply::Proto },
    /// See [`Transaction`].
    Transaction(Box<Transaction>),
}

/// See the module. One per core.
#[derive(Debug)]
pub struct Router {
    /// This core.
    pub core: usize,
    /// How many there are.
    pub cores: usize,
    /// This core's slice.
    pub shard: Shard,
    /// Every command.
    pub table: Arc<CommandTable>,
    /// Queues to and from the other cores.
    pub mesh: Endpoint<Message>,
    /// Replies that came back and wait to be delivered.
    pub finished: Vec<Finished>,
    /// Questions that every core has answered.
    pub answered: Vec<Answered>,
    /// Slow commands that ran elsewhere: connection, microseconds, arguments.
    pub slow: Vec<(ConnId, u64, Vec<Vec<u8>>)>,
    /// Limits and thresholds for running commands.
    pub terms: Terms,
    /// Commands sent to other cores.
    pub hops_out: u64,
    /// Commands run for other cores.
    pub hops_in: u64,
    pub(super) outboxes: Outboxes,
    pub(super) pending: Vec<Option<Pending>>,
    pub(super) pending_free: Vec<u32>,
    /// Connections whose core is to run the next command of a transaction; see [`Router::turn`].
    pub turns: Vec<(ConnId, u32)>,
    /// Commands that ran outside a batch and are to be counted: ticks, and whether the reply was an error.
    pub ran: Vec<(CommandId, u64, bool)>,
    /// Codes of the errors inside the replies of EXEC.
    pub failures: Vec<Box<[u8]>>,
    /// See [`TxnStats`].
    pub txn_stats: TxnStats,
    pub(super) clock: Arc<TxnClock>,
    pub(super) locks: LockTable,
    pub(super) awaited: Awaited,
    pub(super) fetches: Fetches,
    /// The turn of the transaction whose locks are borrowed by what begins now.
    pub borrows: Option<Turn>,
    pub(super) parked: Parked,
    /// Claims that wait for locks of this shard, and the core they came from.
    pub(super) queued: HashMap<TxnId, (usize, Box<Share>), RandomState>,
    /// Locks that somebody holds until they are released.
    pub(super) kept: Vec<Kept>,
    /// Whom to tell when a transaction with priority has ended here.
    pub(super) notices: Vec<(TxnId, Notice)>,
    loopback: VecDeque<Message>,
    /// Clients of this core that wait.
    pub(super) waits: Waits,
    /// Who waits for keys of this shard.
    pub(super) desk: Desk,
    /// Where loaders feed this shard, while they do.
    pub(super) intake: Option<Box<Intake>>,
    /// How far the logs of all shards would survive.
    pub frontier: Arc<Frontier>,
    /// What was journaled in this tick is to be in the log before anybody hears of it.
    pub log_first: bool,
}

impl Router {
    /// A router for `core` of the mesh's cores; `clock` is that of the process.
    pub fn new(
        shard: Shard,
        table: Arc<CommandTable>,
        mesh: Endpoint<Message>,
        terms: Terms,
        clock: Arc<TxnClock>,
    ) -> Self {
        let (core, cores) = (mesh.core(), mesh.cores());
        Router {
            core,
            cores,
            shard,
            table,
            mesh,
            finished: Vec::new(),
            answered: Vec::new(),
            slow: Vec::new(),
            terms,
            hops_out: 0,
            hops_in: 0,
            outboxes: Outboxes::new(cores),
            pending: Vec::new(),
            pending_free: Vec::new(),
            turns: Vec::new(),
            ran: Vec::new(),
            failures: Vec::new(),
            txn_stats: TxnStats::default(),
            clock,
            locks: LockTable::default(),
            awaited: Awaited::default(),
            fetches: Fetches::default(),
            borrows: None,
            parked: Parked::default(),
            queued: HashMap::default(),
            notices: Vec::new(),
            kept: Vec::new(),
            loopback: VecDeque::new(),
            waits: Waits::default(),
            desk: Desk::default(),
            intake: None,
            frontier: Arc::new(Frontier::new(cores)),
            log_first: false,
        }
    }

    /// The core that owns a position.
    #[inline]
    pub fn owner_of(&self, pos: Position) -> usize {
        if self.cores == 1 { 0 } else { owner(pos.slot(), self.cores) }
    }

    /// Commands that wait for other cores.
    pub fn waiting(&self) -> usize {
        self.pending.len() - self.pending_free.len()
    }

    /// Runs or sends a command that has keys or concerns all shards. `Plan::Session` is not for here.
    #[inline]
    pub fn call(&mut self, call: Call, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
        let plan = self.table.get(call.id).plan;
        match plan {
            Plan::OneShard(_) => {
                let to = call.pos.map_or(self.core, |pos| self.owner_of(pos));
                self.one(to, call, Phase::Run, args, out)
            }
            _ if self.cores == 1 && !self.copies_huge(call.id, call.manner.db, args) => {
                self.one(0, call, Phase::Run, args, out)
            }
            Plan::ByCursor(_) => self.one(plan::core_of_cursor(args, self.cores), call, Phase::Run, args, out),
            _ => self.over_shards(call, args, out),
        }
    }

    /// A command whose keys may be on several shards.
    fn over_shards(&mut self, call: Call, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
        let spec = self.table.get(call.id);
        let form = plan::form(spec, args, call.manner.db as usize, self.core, self.cores);
        let call = Call { pos: None, ..call };
        if let Some(core) = self.core_of(&form, call.id, call.manner.db, args) {
            return self.one(core, call, Phase::Run, args, out);
        }
        match form {
            Form::Anywhere | Form::Session => {
                // the function itself answers what is wrong with the arguments
                self.run_here(call, Phase::Run, args, out);
                Outcome::Done
            }
            form => {
                let command = RemoteCommand::new(call.id, Phase::Run, call.manner, Ticket::Nobody);
                self.begin_one(command, (call.conn, call.seq), args, form);
                Outcome::Stalls
            }
        }
    }

    /// The core that runs all of a command of this form, if there is one. A key of another shard may be too large to be
    /// copied at once.
    pub(super) fn core_of(&mut self, form: &Form, id: CommandId, db: u16, args: &Args<'_>) -> Option<usize> {
        match form {
            Form::One(core) => Some(*core),
            Form::TwoPhase { home, foreign } => {
                let is_here = *home == self.core && foreign.iter().all(|(core, _)| core == home);
                (is_here && !self.copies_huge(id, db, args)).then_some(*home)
            }
            _ => None,
        }
    }

    /// Runs on this core, or sends to one other.
    #[inline]
    pub(super) fn one(
        &mut self,
        to: usize,
        call: Call,
        phase: Phase,
        args: &mut Args<'_>,
        out: &mut OutBuf,
    ) -> Outcome {
        if to == self.core {
            if self.is_guarded() && self.waits_here(call, phase, args) {
                return Outcome::Waits;
            }
            self.run_here(call, phase, args, out);
            return Outcome::Done;
        }
        self.send(to, Ticket::Slot { conn: call.conn, seq: call.seq }, call, phase, args);
        Outcome::Waits
    }

    /// Has a command wait if a lock is in its way.
    #[cold]
    pub(super) fn waits_here(&mut self, call: Call, phase: Phase, args: &Args<'_>) -> bool {
        let ticket = Ticket::Slot { conn: call.conn, seq: call.seq };
        let command = RemoteCommand { pos: call.pos, ..RemoteCommand::new(call.id, phase, call.manner, ticket) };
        let Some(obstacle) = self.obstacle((self.core, call.conn), &command, args) else { return false };
        self.park_here(command, args, call.conn, obstacle);
        true
    }

    #[inline]
    pub(super) fn run_here(&mut self, call: Call, phase: Phase, args: &mut Args<'_>, out: &mut OutBuf) {
        self.shard.events.tracking.caller = call.manner.tracker;
        let mut ctx = Context {
            shard: &mut self.shard,
            db: call.manner.db as usize,
            no_touch: call.manner.no_touch,
            hint: call.pos,
            bulk_bytes_max: self.terms.bulk_bytes_max,
            foreign: &mut [],
        };
        let mut reply = Reply { out, proto: call.manner.proto };
        let spec = self.table.get(call.id);
        hop::run_phase(&spec.plan, phase, &mut ctx, args, &mut reply);
        if let Some(reader) = call.manner.tracker {
            hop::note_reads(reader, spec, args, &mut self.shard);
        }
        self.settle_ready();
    }

    /// As [`Router::call`], for the subcommands of DEBUG that concern keys; `plan` is the subcommand's.
    pub fn call_debug(&mut self, call: Call, plan: &DebugCall, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
        match plan {
            DebugCall::OnKey(at, _) => {
                let pos = args.get(*at).map(Position::of);
                let to = pos.map_or(self.core, |pos| self.owner_of(pos));
                self.one(to, Call { pos, ..call }, Phase::Debug, args, out)
            }
            DebugCall::OnKeys(_, gather) | DebugCall::OnShards(_, gather)
                if self.cores > 1 || self.locks.any_held() =>
            {
                let on_keys = matches!(plan, DebugCall::OnKeys(..));
                let cut = on_keys.then(|| KeyCut { first: 2, end: args.len(), step: 1, count_at: None });
                let command = RemoteCommand::new(call.id, Phase::Debug, call.manner, Ticket::Nobody);
                self.begin_debug(command, (call.conn, call.seq), args, cut, *gather);
                Outcome::Stalls
            }
            _ => self.one(self.core, call, Phase::Debug, args, out),
        }
    }

    pub(super) fn send(&mut self, to: usize, ticket: Ticket, call: Call, phase: Phase, args: &mut Args<'_>) {
        let big = args.big_index().and_then(|i| Some((i as u32, args.take_big(i)?)));
        let command = RemoteCommand { pos: call.pos, ..RemoteCommand::new(call.id, phase, call.manner, ticket) };
        self.outboxes.push(to, command, args.from(0), big);
        self.sent(to);
    }

    pub(super) fn sent(&mut self, to: usize) {
        self.hops_out += 1;
        if self.outboxes.is_full(to)
            && let Some(batch) = self.outboxes.take(to)
        {
            self.mesh.send(to, Message::Commands(batch));
        }
    }

    /// Before something is sent: holds it back if it may tell of what is not in the log yet.
    #[inline]
    pub(super) fn hold_unlogged(&mut self) {
        if self.log_first && !self.shard.journal.is_empty() {
            self.mesh.hold();
        }
    }

    /// Sends what this tick gathered; then rings the cores that sleep.
    pub fn flush(&mut self, ring: impl FnMut(usize)) {
        if self.cores == 1 {
            return;
        }
        for to in 0..self.cores {
            if let Some(batch) = self.outboxes.take(to) {
                self.mesh.send(to, Message::Commands(batch));
            }
        }
        self.mesh.flush(ring);
    }

    pub(super) fn pend(&mut self, pending: Pending) -> u32 {
        if let Some(index) = self.pending_free.pop() {
            self.pending[index as usize] = Some(pending);
            return index;
        }
        self.pending.push(Some(pending));
        (self.pending.len() - 1) as u32
    }

    /// Puts a question to every core; `answer` answers for this one.
    pub fn ask_all(&mut self, conn: ConnId, seq: u32, request: &Request, own: Answer) {
        let answers = (0..self.cores).map(|_| None).collect();
        let index = self.pend(Pending::Ask { conn, seq, remaining: self.cores as u32, answers });
        let own_core = self.core;
        for core in (0..self.cores).filter(|c| *c != own_core) {
            let ticket = Ticket::Part { pending: index, part: core as u32 };
            self.mesh_after_commands(core, Message::Ask { ticket, request: Box::new(request.clone()) });
        }
        self.on_answer(Ticket::Part { pending: index, part: self.core as u32 }, own);
    }

    /// Tells a core something that needs no answer.
    pub fn tell(&mut self, core: usize, message: Message) {
        self.mesh_after_commands(core, message);
    }

    /// An answer to a question of ours.
    pub fn on_answer(&mut self, ticket: Ticket, answer: Answer) {
        let Ticket::Part { pending: index, part } = ticket else { return };
        let Some(Pending::Ask { conn, seq, remaining, answers }) = self.pending[index as usize].as_mut() else {
            return;
        };
        answers[part as usize] = Some(answer);
        *remaining -= 1;
        if *remaining == 0 {
            let answers = std::mem::take(answers).into_iter().flatten().collect();
            self.answered.push(Answered { conn: *conn, seq: *seq, answers });
            self.pending[index as usize] = None;
            self.pending_free.push(index);
        }
    }

    /// WATCH: has every shard watch its part of the keys. The reply comes when all do. Names the cores.
    pub fn watch(&mut self, conn: ConnId, seq: u32, manner: Manner, keys: &Args<'_>) -> Vec<usize> {
        let mut parts: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
        for key in keys.from(1) {
            let core = self.owner_of(Position::of(key));
            match parts.iter_mut().find(|(c, _)| *c == core) {
                Some((_, keys)) => keys.push(key.to_vec()),
                None => parts.push((core, vec![key.to_vec()])),
            }
        }
        let cores = parts.iter().map(|(core, _)| *core).collect();
        let remaining = parts.len() as u32;
        let index = self.pend(Pending::Watch { conn, seq, remaining, proto: manner.proto });
        for (core, keys) in parts {
            self.post(core, Message::Watch(Box::new(WatchKeys { pending: index, conn, db: manner.db, keys })));
        }
        self.settle();
        cores
    }

    /// UNWATCH, and whatever else ends a WATCH without asking.
    pub fn unwatch(&mut self, conn: ConnId, cores: &[usize]) {
        for core in cores {
            self.post(*core, Message::Unwatch(conn));
        }
        self.settle();
    }

    fn on_watched(&mut self, index: u32) {
        let Some(Pending::Watch { conn, seq, remaining, proto }) = self.pending[index as usize].as_mut() else {
            return;
        };
        *remaining -= 1;
        if *remaining == 0 {
            let mut reply = OutBuf::default();
            Reply { out: &mut reply, proto: *proto }.ok();
            self.finished.push(Finished::of_nothing(*conn, *seq, reply));
            self.pending[index as usize] = None;
            self.pending_free.push(index);
        }
    }

    /// Sends a message behind the commands already gathered for `core`, so that order per shard holds.
    pub(super) fn mesh_after_commands(&mut self, core: usize, message: Message) {
        self.hold_unlogged();
        if let Some(batch) = self.outboxes.take(core) {
            self.mesh.send(core, Message::Commands(batch));
        }
        self.hops_out += 1;
        self.mesh.send(core, message);
    }

    /// Sends to a core that may be this one; then it is handled by [`Router::settle`].
    pub(super) fn post(&mut self, core: usize, message: Message) {
        if core == self.core {
            self.loopback.push_back(message);
        } else {
            self.mesh_after_commands(core, message);
        }
    }

    /// Messages of this core to itself that wait.
    pub(super) fn loopback_len(&self) -> usize {
        self.loopback.len()
    }

    /// Handles what this core has to say to itself.
    pub(super) fn settle(&mut self) {
        while let Some(message) = self.loopback.pop_front() {
            self.handle(self.core, message);
        }
    }

    /// A message about transactions or watched keys, from another core.
    pub fn on_message(&mut self, from: usize, message: Message) {
        self.hops_in += 1;
        self.handle(from, message);
        self.settle();
    }

    fn handle(&mut self, from: usize, message: Message) {
        match message {
            Message::Schedule(share) => self.on_schedule(from, share),
            Message::Scheduled(share) => self.on_scheduled(share),
            Message::Proceed(share) => self.on_proceed(from, share),
            Message::Proceeded(share) => self.on_proceeded(share),
            Message::Release(txn, participants) => self.release_here(txn, participants.as_deref()),
            Message::ComeAgain { pending, txn } => self.on_come_again(pending, txn),
            Message::Watch(keys) => self.on_watch(from, keys),
            Message::Watched { pending } => self.on_watched(pending),
            Message::Unwatch(conn) => self.on_unwatch(from, conn),
            Message::Wait(note) => self.on_note(*note),
            Message::Commands(_)
            | Message::Replies(_)
            | Message::WatchedChanged(_)
            | Message::Invalidate(_)
            | Message::Redirected { .. }
            | Message::RedirectGone(_)
            | Message::Publish { .. }
            | Message::Published { .. }
            | Message::Adopt { .. }
            | Message::Ask { .. }
            | Message::Answer { .. } => unreachable!("not about transactions"),
        }
    }

    /// Commands of another core: run, and send the replies back.
    pub fn on_commands(&mut self, from: usize, mut batch: Box<CommandBatch>, ran: Ran<'_>) {
        self.hops_in += batch.commands.len() as u64;
        if self.is_guarded() {
            self.run_guarded(from, &mut batch);
            self.hold_unlogged();
            return self.mesh.send(from, Message::Replies(batch));
        }
        let means = Means { table: &self.table, terms: self.terms, locks: &self.locks, board: &self.clock.board };
        let desk = Some((&mut self.desk, means));
        hop::run_batch(&mut batch, &mut self.shard, &self.table, self.terms, desk, |c, ticks, failed| {
            ran(c.id, ticks, failed);
        });
        self.hold_unlogged();
        self.mesh.send(from, Message::Replies(batch));
    }

    /// Replies to commands we sent. `deliver` gets those of single commands: connection, slot, bytes, and the large
    /// strings among them with their offsets.
    pub fn on_replies(&mut self, mut batch: Box<CommandBatch>, deliver: Deliver<'_>) {
        for slow in std::mem::take(&mut batch.slow) {
            let (command, args) = batch.args(slow.command as usize);
            if let Ticket::Slot { conn, .. } = command.ticket {
                self.slow.push((conn, slow.micros, args.from(0).map(<[u8]>::to_vec).collect()));
            }
        }
        let mut bigs = std::mem::take(&mut batch.replies.bigs).into_iter().peekable();
        let mut start = 0usize;
        for i in 0..batch.commands.len() {
            let end = batch.reply_ends[i] as usize;
            let bytes = &batch.replies.bytes[start..end];
            let mut spliced = Vec::new();
            // a large string stands before the byte at its offset; the CRLF behind it belongs to the same reply
            while let Some((at, big)) = bigs.next_if(|(at, _)| *at < end) {
                spliced.push((at - start, big));
            }
            match batch.commands[i].ticket {
                Ticket::Slot { conn, seq } => deliver(conn, seq, bytes, spliced),
                Ticket::Part { .. } | Ticket::Counted { .. } | Ticket::Nobody => {}
            }
            start = end;
        }
        self.outboxes.recycle(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_contiguous_and_cover_every_slot() {
        for cores in 1..=64 {
            let mut next = 0;
            for core in 0..cores {
                let slots = slots_of(core, cores);
                assert_eq!(slots.start, next);
                assert!(slots.clone().all(|s| owner(s, cores) == core));
                next = slots.end;
            }
            assert_eq!(next, SLOTS);
        }
    }
}

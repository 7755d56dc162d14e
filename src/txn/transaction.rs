//! The coordinator's half of transactions: gets the locks, has the commands done stage by stage, puts the replies
//! together, lets go of the locks. Every command over several shards is a transaction of one command; EXEC is one of
//! several.
//!
//! ```text
//! claims go out in parallel, with the first stage if it only reads
//!   all granted            -> the stages, each to its shards in parallel; the last one releases as it runs
//!   refused                -> given back everywhere, and again with a new number
//! ```
//!
//! A stage is as many commands as need nothing of each other: one message per shard, whatever their number. Commands
//! that take several steps (RENAME, MSETNX, SMOVE) and those of the connection (SELECT) are stages of their own. What a
//! shard answers first, the order of the replies is that of the commands.
//!
//! Two rounds of messages for a write, one for a read: its locks are held at one moment on all shards, so what it read
//! is a state that was there at that moment, and the release needs no answer.

use crate::base::bytes::OutBuf;
use crate::commands::args::{Args, lay_out};
use crate::commands::key_args::KeyCut;
use crate::commands::spec::Gather;
use crate::commands::table::CommandId;
use crate::persist::aof::frontier::Participants;
use crate::resp::reply::{Proto, Reply};
use crate::shard::snapshot::{CutOrder, JournalCut};
use crate::txn::finished::{Cores, Finished};
use crate::txn::lock::{Mode, Refusal, TxnId, Verdict};
use crate::txn::message::{CommandBatch, ConnId, Manner, Message, Phase, RemoteCommand, Share, Ticket, Work};
use crate::txn::plan::{self, Claims, Form};
use crate::txn::router::{Outcome, Pending, Router};
use crate::txn::scheduling::{Next, Scheduling};
use crate::txn::stages::{Planned, Step};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) conn: ConnId,
    pub(super) seq: u32,
    /// Whether the reply is an array of replies.
    pub(super) exec: bool,
    /// As the next command is to run.
    pub(super) manner: Manner,
    /// What to run, in order.
    pub(super) commands: Box<CommandBatch>,
    /// Form of the only command, worked out already.
    pub(super) form: Option<Form>,
    /// How DEBUG is cut, and gathered.
    pub(super) debug: Option<(Option<KeyCut>, Gather)>,
    pub(super) claims: Claims,
    /// The date when it began.
    pub(super) since_ms: u64,
    /// Cores on which the connection watches keys.
    pub(super) watched: Vec<usize>,
    pub(super) changed: bool,
    pub(super) scheduling: Scheduling,
    /// All of it runs on one shard, with the claim.
    pub(super) whole_at_once: bool,
    /// The first stage went out with the claims.
    pub(super) ahead: bool,
    /// Shares that have not come back.
    pub(super) out: usize,
    /// The next command to plan.
    pub(super) next: usize,
    pub(super) step: Step,
    pub(super) planned: Vec<Planned>,
    pub(super) slots: Vec<OutBuf>,
    /// How long the parts with replies in `slots` ran, clock ticks.
    pub(super) took: Vec<u64>,
    /// How long the earlier stages of the command under way ran, clock ticks.
    pub(super) spent: u64,
    /// Its locks are those of another one, see [`crate::txn::nested`].
    pub(super) borrows: bool,
    /// Until when it keeps its locks.
    pub(super) holds: Holds,
    /// The last stage: shards release as they run it.
    pub(super) released: bool,
    /// Something was sent that may write.
    pub(super) wrote: bool,
    /// Who has a part of it in the journal: known once it lets go of its locks.
    pub(super) participants: Option<Arc<Participants>>,
    pub(super) replies: OutBuf,
}

/// Until when a transaction keeps its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Each shard lets go as it runs the last stage.
    LastStage,
    /// Until every shard has run it: nothing runs anywhere between the first and the last.
    AllRan,
    /// [`Router::release`] of this number.
    Told(u64),
}

/// What [`Router::hold_all`] holds goes by this number: cuts begin at 1.
pub const HELD: u64 = 0;

/// A transaction that keeps its locks until [`Router::release`].
#[derive(Debug)]
pub(super) struct Kept {
    number: u64,
    pub(super) index: u32,
    /// It has its locks, and has run.
    pub(super) made: bool,
}

/// The commands between MULTI and EXEC.
#[derive(Debug)]
pub struct Exec {
    /// Whose.
    pub conn: ConnId,
    /// The reply's place.
    pub seq: u32,
    /// Database, dialect, touch as EXEC finds them.
    pub manner: Manner,
    /// The commands.
    pub commands: Box<CommandBatch>,
    /// Cores on which the connection watches keys.
    pub watched: Vec<usize>,
}

impl Router {
    // ---- beginnings ----

    /// EXEC: the queued commands as one. Where all of it is on this shard and nothing is in the way it runs at once.
    pub fn exec(&mut self, mut exec: Exec, out: &mut OutBuf) -> Outcome {
        for command in &mut exec.commands.commands {
            command.manner = exec.manner;
        }
        let single = self.only_core(&mut exec);
        let free = self.borrows.is_none() && !self.is_guarded();
        if single == Some(self.core) && free && exec.watched.iter().all(|core| *core == self.core) {
            return self.exec_here(exec, out);
        }
        let claims = self.claims_of(&mut exec, single);
        let transaction = Transaction {
            exec: true,
            watched: exec.watched,
            whole_at_once: single.is_some() && claims.len() == 1,
            ..Transaction::new(exec.conn, exec.seq, exec.manner, exec.commands, claims)
        };
        self.start(transaction);
        Outcome::Stalls
    }

    /// Where a connection gathers the commands of a transaction; [`Router::exec`] takes it back.
    pub fn queue(&mut self) -> Box<CommandBatch> {
        self.outboxes.spare()
    }

    /// The core that runs every queued command, if there is one.
    fn only_core(&mut self, exec: &mut Exec) -> Option<usize> {
        let mut only = None;
        for index in 0..exec.commands.commands.len() {
            let core = match exec.commands.commands[index].pos {
                Some(pos) => self.owner_of(pos),
                None => {
                    let (command, args) = exec.commands.args(index);
                    let spec = self.table.get(command.id);
                    let form = plan::form(spec, &args, command.manner.db as usize, self.core, self.cores);
                    if matches!(form, Form::Anywhere) {
                        continue;
                    }
                    self.core_of(&form, command.id, command.manner.db, &args)?
                }
            };
            if only.is_some_and(|only| only != core) {
                return None;
            }
            only = Some(core);
        }
        let watched = exec.watched.first().copied();
        let core = only.or(watched).unwrap_or(self.core);
        exec.watched.iter().all(|watched| *watched == core).then_some(core)
    }

    fn claims_of(&self, exec: &mut Exec, single: Option<usize>) -> Claims {
        let mut claims = Claims::new();
        for index in 0..exec.commands.commands.len() {
            let (command, args) = exec.commands.args(index);
            let spec = self.table.get(command.id);
            let form = plan::form(spec, &args, command.manner.db as usize, self.core, self.cores);
            plan::claim(spec, &args, &form, self.cores, &mut claims);
        }
        for core in exec.watched.iter().copied().chain(single) {
            plan::claim_on(&mut claims, core);
        }
        if claims.is_empty() {
            plan::claim_on(&mut claims, self.core);
        }
        claims
    }

    /// All of a transaction on this shard, nothing in the way.
    fn exec_here(&mut self, mut exec: Exec, out: &mut OutBuf) -> Outcome {
        if !exec.watched.is_empty() {
            let watcher = super::participant::watcher((self.core, exec.conn));
            let changed = self.shard.watched_changed(watcher);
            self.shard.watches.forget(watcher);
            if changed {
                Reply { out, proto: exec.manner.proto }.null_array();
                self.outboxes.recycle(exec.commands);
                return Outcome::Done;
            }
        }
        Reply { out, proto: exec.manner.proto }.array(exec.commands.commands.len());
        let ran = &mut self.ran;
        super::hop::run_batch(
            &mut exec.commands,
            &mut self.shard,
            &self.table,
            self.terms,
            None,
            |c, ticks, failed| {
                ran.push((c.id, ticks, failed));
            },
        );
        self.note_failures(&exec.commands);
        self.settle_ready();
        self.note_slow(exec.conn, &mut exec.commands);
        out.append(&mut exec.commands.replies);
        self.outboxes.recycle(exec.commands);
        Outcome::Done
    }

    /// A command over several shards, with the form that was worked out.
    pub(super) fn begin_one(&mut self, command: RemoteCommand, call: (ConnId, u32), args: &Args<'_>, form: Form) {
        let mut claims = Claims::new();
        plan::claim(self.table.get(command.id), args, &form, self.cores, &mut claims);
        let mut commands = self.outboxes.spare();
        commands.push_args(command, args);
        let transaction =
            Transaction { form: Some(form), ..Transaction::new(call.0, call.1, command.manner, commands, claims) };
        self.start(transaction);
    }

    /// A subcommand of DEBUG over several shards: on the keys that `cut` finds, or on all.
    pub(super) fn begin_debug(
        &mut self,
        command: RemoteCommand,
        call: (ConnId, u32),
        args: &Args<'_>,
        cut: Option<KeyCut>,
        gather: Gather,
    ) {
        let mut claims = Claims::new();
        (0..self.cores).for_each(|core| {
            plan::claim_on(&mut claims, core).add_whole(super::lock::Mode::Exclusive);
        });
        let mut commands = self.outboxes.spare();
        commands.push_args(command, args);
        let transaction = Transaction {
            debug: Some((cut, gather)),
            holds: match command.phase {
                Phase::Cut(CutOrder { last: true, id, .. }) => Holds::Told(id),
                Phase::Hold => Holds::Told(HELD),
                Phase::Cut(CutOrder { journal: JournalCut::Begin, .. }) | Phase::EndJournal => Holds::AllRan,
                _ => Holds::LastStage,
            },
            ..Transaction::new(call.0, call.1, command.manner, commands, claims)
        };
        self.start(transaction);
    }

    /// The cut of a snapshot: one moment on all shards, with nothing half done. `whose` gets the order's reply.
    pub fn cut(&mut self, whose: Option<(ConnId, u32)>, order: CutOrder) {
        self.on_all_shards(whose, Phase::Cut(order));
    }

    /// Nothing is journaled any more, from one moment on all shards on. `whose` gets `+OK`.
    pub fn end_journal(&mut self, whose: Option<(ConnId, u32)>) {
        self.on_all_shards(whose, Phase::EndJournal);
    }

    /// Takes the locks of all shards, until [`Router::release`] of [`HELD`].
    pub fn hold_all(&mut self) {
        self.on_all_shards(None, Phase::Hold);
    }

    /// Whether this router holds the locks of all shards for the cut of this number, or for [`HELD`].
    pub fn holds_all(&self, number: u64) -> bool {
        self.kept.iter().any(|kept| kept.number == number && kept.made)
    }

    fn on_all_shards(&mut self, whose: Option<(ConnId, u32)>, phase: Phase) {
        let (conn, seq) = whose.unwrap_or((ConnId::NOBODY, 0));
        let Some(id) = self.table.lookup_any(b"bgsave") else { return };
        let manner = Manner { db: 0, proto: Proto::Resp2, no_touch: false, tracker: None };
        let command = RemoteCommand::new(id, phase, manner, Ticket::Nobody);
        let (data, spans) = lay_out(&[b"BGSAVE"]);
        self.begin_debug(command, (conn, seq), &Args::new(&data, &spans), None, Gather::AllOk);
    }

    /// Lets go of the locks that the last cut of this number keeps, or will keep, or that are held for [`HELD`]; if
    /// this core's router ordered that.
    pub fn release(&mut self, number: u64) {
        let Some(at) = self.kept.iter().position(|kept| kept.number == number) else { return };
        let Kept { index, made, .. } = self.kept.swap_remove(at);
        let Some(mut t) = self.take_transaction(index) else { return };
        t.holds = Holds::LastStage;
        if made {
            self.finish(index, t);
            return self.settle();
        }
        self.put_transaction(index, t);
    }

    fn start(&mut self, mut transaction: Transaction) {
        if let Some(turn) = self.borrows {
            return self.start_within(turn, transaction);
        }
        transaction.claims.iter_mut().for_each(|(_, claim)| claim.seal());
        transaction.since_ms = self.shard.now_ms;
        self.txn_stats.started += 1;
        if Router::is_barrier(&transaction.claims, self.cores) {
            self.txn_stats.barriers += 1;
        }
        let holds = transaction.holds;
        let index = self.pend(Pending::Transaction(Box::new(transaction)));
        if let Holds::Told(number) = holds {
            self.kept.push(Kept { number, index, made: false });
        }
        self.attempt(index);
        self.settle();
    }

    // ---- locks ----

    pub(super) fn take_transaction(&mut self, index: u32) -> Option<Box<Transaction>> {
        match self.pending.get_mut(index as usize)?.take() {
            Some(Pending::Transaction(transaction)) => Some(transaction),
            other => {
                self.pending[index as usize] = other;
                None
            }
        }
    }

    pub(super) fn put_transaction(&mut self, index: u32, transaction: Box<Transaction>) {
        self.pending[index as usize] = Some(Pending::Transaction(transaction));
    }

    /// Claims go out under a new number.
    fn attempt(&mut self, index: u32) {
        let Some(mut t) = self.take_transaction(index) else { return };
        let priority = t.scheduling.wants_priority() && self.clock.take_priority();
        self.txn_stats.priority += u64::from(priority);
        t.scheduling.begin(self.clock.next_id(), t.claims.len(), priority);
        t.restart();
        let mut works: Vec<(usize, Work)> = Vec::new();
        if t.whole_at_once {
            works.push((t.claims[0].0, Work { batch: Some(std::mem::take(&mut t.commands)), ..Work::default() }));
        } else if t.watched.is_empty() && self.reads_first(&mut t) {
            self.plan(index, &mut t, &mut works);
            t.ahead = true;
        }
        let mut shares: Vec<(usize, Box<Share>)> = Vec::with_capacity(t.claims.len());
        for (core, claim) in &t.claims {
            let work = works.iter().position(|(c, _)| c == core).map(|at| works.swap_remove(at).1);
            let share = Share {
                claim: claim.clone(),
                watches: t.watched.contains(core),
                work: work.unwrap_or_default(),
                release: t.whole_at_once,
                answer: true,
                ..t.share(index)
            };
            shares.push((*core, Box::new(share)));
        }
        assert!(works.is_empty(), "a stage runs where its locks are");
        self.put_transaction(index, t);
        for (core, share) in shares {
            self.post(core, Message::Schedule(share));
        }
    }

    /// Whether the first stage only reads, so that it may run before the other shards have granted.
    fn reads_first(&self, t: &mut Transaction) -> bool {
        if t.commands.commands.is_empty() || t.debug.is_some() {
            return false;
        }
        if !t.exec && matches!(t.form, Some(Form::Checked(..) | Form::TwoPhase { .. })) {
            return true;
        }
        let mut readers = t.commands.commands.iter();
        readers.all(|c| !self.writes(c) && !matches!(self.table.get(c.id).plan, crate::commands::spec::Plan::Session))
    }

    /// What a shard said to a claim.
    pub fn on_scheduled(&mut self, mut share: Box<Share>) {
        let index = share.pending;
        let Some(mut t) = self.take_transaction(index) else { return };
        if share.txn != t.scheduling.id() {
            return self.put_transaction(index, t);
        }
        let verdict = share.verdict;
        let next = t.scheduling.on_verdict(share.txn, verdict);
        t.changed |= share.changed;
        if t.whole_at_once {
            t.commands = share.work.batch.take().unwrap_or_default();
        } else if verdict == Verdict::Granted {
            self.take_results(&mut t, &mut share);
        }
        match next {
            Next::Wait => self.put_transaction(index, t),
            Next::Go => self.held(index, t),
            Next::Again | Next::Defer => {
                self.txn_stats.refused += 1;
                let txn = share.txn;
                for (core, _) in &t.claims {
                    self.post(*core, Message::Release(txn, None));
                }
                self.put_transaction(index, t);
                if next == Next::Again {
                    self.attempt(index);
                }
            }
        }
    }

    /// A shard that was busy is free.
    pub fn on_come_again(&mut self, index: u32, txn: TxnId) {
        let Some(Some(Pending::Transaction(t))) = self.pending.get_mut(index as usize) else { return };
        if t.scheduling.on_come_again(txn) {
            self.attempt(index);
        }
    }

    fn held(&mut self, index: u32, mut t: Box<Transaction>) {
        if t.changed {
            t.replies.clear();
            Reply { out: &mut t.replies, proto: t.manner.proto }.null_array();
            t.released = t.whole_at_once;
            t.exec = false;
            return self.finish(index, t);
        }
        if t.whole_at_once {
            t.released = true;
            let mut commands = std::mem::take(&mut t.commands);
            self.note_slow(t.conn, &mut commands);
            self.note_failures(&commands);
            t.replies = std::mem::take(&mut commands.replies);
            t.next = commands.commands.len();
            t.commands = commands;
            return self.finish(index, t);
        }
        if t.ahead {
            return self.stage_done(index, t);
        }
        self.advance(index, t);
    }

    // ---- the connection's turn ----

    /// The command that the connection's own core is to run for a transaction.
    pub fn turn(&mut self, index: u32) -> Option<(CommandId, Vec<Vec<u8>>)> {
        let Some(Some(Pending::Transaction(t))) = self.pending.get_mut(index as usize) else { return None };
        let (command, args) = t.commands.args(t.next - 1);
        Some((command.id, args.from(0).map(<[u8]>::to_vec).collect()))
    }

    /// It has run; `manner` is what the connection is set to now.
    pub fn turn_done(&mut self, index: u32, mut reply: OutBuf, manner: Manner) {
        let Some(mut t) = self.take_transaction(index) else { return };
        t.manner = manner;
        self.append_reply(&mut t, &mut reply);
        self.advance(index, t);
        self.settle();
    }

    // ---- the end ----

    pub(super) fn finish(&mut self, index: u32, mut t: Box<Transaction>) {
        if !t.released && !t.borrows {
            if self.lone_writer(&t).is_some() {
                return self.send_works(index, t, Vec::new(), true);
            }
            let participants = self.participants(&mut t);
            for (core, _) in &t.claims {
                self.post(*core, Message::Release(t.scheduling.id(), participants.clone()));
            }
        }
        if !t.whole_at_once {
            for core in &t.watched {
                self.post(*core, Message::Unwatch(t.conn));
            }
        }
        if t.scheduling.has_priority() && !t.borrows {
            self.clock.give_priority_back();
        }
        self.txn_stats.refusals_max = self.txn_stats.refusals_max.max(u64::from(t.scheduling.refusals()));
        let reply = if t.exec {
            let mut out = OutBuf::default();
            Reply { out: &mut out, proto: t.manner.proto }.array(t.commands.commands.len());
            out.append(&mut t.replies);
            out
        } else {
            std::mem::take(&mut t.replies)
        };
        self.pending_free.push(index);
        let command = t.commands.commands.first().filter(|_| !t.exec).map(|c| c.id);
        self.outboxes.recycle(std::mem::take(&mut t.commands));
        let mut seen = Cores::default();
        t.claims.iter().for_each(|(core, _)| seen |= Cores::one(*core));
        let (conn, seq, wrote) = (t.conn, t.seq, t.participants);
        self.finished.push(Finished { conn, seq, reply, command, unstalls: true, seen, wrote });
    }
}

impl Router {
    /// The only shard on which a transaction wrote, if it is another core's: its part must be journaled before the
    /// reply leaves, so it is asked for a last answer. (Parts of several shards are waited for where replies leave.)
    pub(super) fn lone_writer(&self, t: &Transaction) -> Option<usize> {
        if !self.shard.events.journaled || !t.wrote {
            return None;
        }
        let mut writers = t.claims.iter().filter(|(_, claim)| claim.mode() == Mode::Exclusive).map(|(core, _)| *core);
        let first = writers.next()?;
        (writers.next().is_none() && first != self.core).then_some(first)
    }

    /// Who has a part of a transaction in the journal: every shard on which it might write, if it did anywhere.
    pub(super) fn participants(&self, t: &mut Transaction) -> Option<Arc<Participants>> {
        if !self.shard.events.journaled || !t.wrote {
            return None;
        }
        let writers = t.claims.iter().filter(|(_, claim)| claim.mode() == Mode::Exclusive);
        let participants = Arc::new(Participants::new(t.scheduling.id().0, writers.map(|(core, _)| *core as u16)));
        if participants.shards.len() > 1 {
            self.frontier.open(&participants);
            t.participants = Some(participants.clone());
        }
        Some(participants)
    }
}

impl Transaction {
    fn new(conn: ConnId, seq: u32, manner: Manner, commands: Box<CommandBatch>, claims: Claims) -> Self {
        Transaction {
            conn,
            seq,
            exec: false,
            manner,
            commands,
            form: None,
            debug: None,
            claims,
            since_ms: 0,
            watched: Vec::new(),
            changed: false,
            scheduling: Scheduling::default(),
            whole_at_once: false,
            ahead: false,
            out: 0,
            next: 0,
            step: Step::Flat,
            planned: Vec::new(),
            slots: Vec::new(),
            took: Vec::new(),
            spent: 0,
            borrows: false,
            holds: Holds::LastStage,
            released: false,
            wrote: false,
            participants: None,
            replies: OutBuf::default(),
        }
    }

    /// Nothing has run.
    fn restart(&mut self) {
        self.ahead = false;
        self.next = 0;
        self.planned.clear();
        self.clear_slots();
        self.spent = 0;
        self.replies.clear();
    }

    /// An empty share of it.
    pub(super) fn share(&self, pending: u32) -> Share {
        Share {
            pending,
            txn: self.scheduling.id(),
            conn: self.conn,
            claim: super::lock::Claim::default(),
            priority: self.scheduling.has_priority(),
            watches: false,
            changed: false,
            work: Work::default(),
            release: false,
            participants: None,
            answer: false,
            verdict: Verdict::Refused(Refusal::Late),
        }
    }
}

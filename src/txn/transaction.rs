//! The coordinator's half of transactions: gets the locks, has the commands done stage by stage, puts the replies together,
//! lets go of the locks. Every command over several shards is a transaction of one command; EXEC is one of several.
//!
//! ```text
//! claims go out in parallel, with the first stage if it only reads
//!   all granted            -> the stages, each to its shards in parallel; the last one releases as it runs
//!   refused                -> given back everywhere, and again with a new number
//! ```
//!
//! A stage is as many commands as need nothing of each other: one message per shard, whatever their number. Commands that
//! take several steps (RENAME, MSETNX, SMOVE) and those of the connection (SELECT) are stages of their own. What a shard
//! answers first, the order of the replies is that of the commands.
//!
//! Two rounds of messages for a write, one for a read: its locks are held at one moment on all shards, so what it read is a
//! state that was there at that moment, and the release needs no answer.

use crate::base::bytes::OutBuf;
use crate::commands::args::Args;
use crate::commands::context::Foreign;
use crate::commands::key_args::KeyCut;
use crate::commands::spec::{Gather, Relay, RelayFn};
use crate::commands::table::CommandId;
use crate::resp::parse::Span;
use crate::resp::reply::{Proto, Reply};
use crate::txn::gather;
use crate::txn::lock::{Refusal, TxnId, Verdict};
use crate::txn::message::{CommandBatch, ConnId, HomeRun, Manner, Message, Phase, RemoteCommand, Share, Ticket, Work};
use crate::txn::plan::{self, Claims, Form, Parts};
use crate::txn::router::{Finished, Outcome, Pending, Router, owner};
use crate::txn::scheduling::{Next, Scheduling};

/// A command of the running stage.
#[derive(Debug)]
struct Planned {
    id: CommandId,
    /// Index of its first slot.
    first: usize,
    /// How many.
    count: usize,
    /// How their replies become one; `None` for a single part.
    gather: Option<(Gather, Vec<u32>)>,
}

/// What the running stage is.
#[derive(Debug)]
enum Step {
    /// Commands that need nothing of each other.
    Flat,
    /// The check of the command, which then runs in these parts.
    Check(Parts, Gather),
    /// Keys of other shards come in for the home shard.
    Fetch { home: usize, foreign: Vec<Foreign> },
    /// The home shard runs the command.
    Home,
    /// A round of single-key commands.
    Relay(Box<RelayRounds>),
    /// The connection's own core runs the command.
    Session,
}

#[derive(Debug)]
struct RelayRounds {
    relay: RelayFn,
    args: Vec<Vec<u8>>,
    rounds: Vec<Vec<Vec<u8>>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Transaction {
    conn: ConnId,
    seq: u32,
    /// Whether the reply is an array of replies.
    exec: bool,
    /// As the next command is to run.
    manner: Manner,
    /// What to run, in order.
    commands: Box<CommandBatch>,
    /// Form of the only command, worked out already.
    form: Option<Form>,
    /// How DEBUG is cut, and gathered.
    debug: Option<(Option<KeyCut>, Gather)>,
    claims: Claims,
    /// Cores on which the connection watches keys.
    watched: Vec<usize>,
    changed: bool,
    scheduling: Scheduling,
    /// All of it runs on one shard, with the claim.
    whole_at_once: bool,
    /// The first stage went out with the claims.
    ahead: bool,
    /// Shares that have not come back.
    out: usize,
    /// The next command to plan.
    next: usize,
    step: Step,
    planned: Vec<Planned>,
    slots: Vec<OutBuf>,
    /// The last stage: shards release as they run it.
    released: bool,
    replies: OutBuf,
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
        if single == Some(self.core) && !self.locks.any_held() && exec.watched.iter().all(|core| *core == self.core) {
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

    /// The core that runs every queued command, if there is one.
    fn only_core(&self, exec: &mut Exec) -> Option<usize> {
        let mut only = None;
        for index in 0..exec.commands.commands.len() {
            let (command, args) = exec.commands.args(index);
            let core = match command.pos {
                Some(pos) => self.owner_of(pos),
                None => {
                    let spec = self.table.get(command.id);
                    match plan::form(spec, &args, command.manner.db as usize, self.core, self.cores) {
                        Form::One(core) => core,
                        Form::Anywhere => continue,
                        _ => return None,
                    }
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
        super::hop::run_batch(&mut exec.commands, &mut self.shard, &self.table, self.terms, |c, ticks, failed| {
            ran.push((c.id, ticks, failed));
        });
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
            ..Transaction::new(call.0, call.1, command.manner, commands, claims)
        };
        self.start(transaction);
    }

    fn start(&mut self, mut transaction: Transaction) {
        transaction.claims.iter_mut().for_each(|(_, claim)| claim.seal());
        self.txn_stats.started += 1;
        if Router::is_barrier(&transaction.claims, self.cores) {
            self.txn_stats.barriers += 1;
        }
        let index = self.pend(Pending::Transaction(Box::new(transaction)));
        self.attempt(index);
        self.settle();
    }

    // ---- locks ----

    fn take_transaction(&mut self, index: u32) -> Option<Box<Transaction>> {
        match self.pending.get_mut(index as usize)?.take() {
            Some(Pending::Transaction(transaction)) => Some(transaction),
            other => {
                self.pending[index as usize] = other;
                None
            }
        }
    }

    fn put_transaction(&mut self, index: u32, transaction: Box<Transaction>) {
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
                    self.post(*core, Message::Release(txn));
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

    // ---- stages ----

    /// Starts the next stage, or ends.
    fn advance(&mut self, index: u32, mut t: Box<Transaction>) {
        let mut works = Vec::new();
        self.plan(index, &mut t, &mut works);
        if works.is_empty() {
            return match t.step {
                Step::Session => {
                    self.turns.push((t.conn, index));
                    self.put_transaction(index, t);
                }
                Step::Flat if t.planned.is_empty() => self.finish(index, t),
                _ => self.stage_done(index, t),
            };
        }
        let last = matches!(t.step, Step::Flat) && t.next == t.commands.commands.len();
        self.send_works(index, t, works, last);
    }

    fn send_works(&mut self, index: u32, mut t: Box<Transaction>, works: Vec<(usize, Work)>, last: bool) {
        t.out = works.len();
        t.released = last;
        let mut messages: Vec<(usize, Message)> = Vec::with_capacity(t.claims.len());
        for (core, _) in t.claims.iter().filter(|(core, _)| last && !works.iter().any(|(c, _)| c == core)) {
            messages.push((*core, Message::Release(t.scheduling.id())));
        }
        for (core, work) in works {
            let share = Share { work, release: last, answer: true, ..t.share(index) };
            messages.push((core, Message::Proceed(Box::new(share))));
        }
        self.put_transaction(index, t);
        for (core, message) in messages {
            self.post(core, message);
        }
    }

    /// A shard has done its work.
    pub fn on_proceeded(&mut self, mut share: Box<Share>) {
        let index = share.pending;
        let Some(mut t) = self.take_transaction(index) else { return };
        if share.txn != t.scheduling.id() {
            return self.put_transaction(index, t);
        }
        self.take_results(&mut t, &mut share);
        t.out -= 1;
        if t.out > 0 {
            return self.put_transaction(index, t);
        }
        self.stage_done(index, t);
    }

    fn take_results(&mut self, t: &mut Transaction, share: &mut Share) {
        if let Some(mut batch) = share.work.batch.take() {
            self.note_slow(t.conn, &mut batch);
            t.take_replies(&mut batch);
            self.outboxes.recycle(batch);
        }
        if let Step::Fetch { foreign, .. } = &mut t.step {
            foreign.append(&mut share.work.fetch);
        }
        if let Some(home) = share.work.home.take() {
            let HomeRun { id, foreign, reply, .. } = *home;
            if t.exec {
                self.ran.push((id, 0, reply.bytes.first() == Some(&b'-')));
            }
            t.slots = vec![reply];
            self.delete_foreign(t, &foreign);
        }
    }

    /// Logs commands that were slow.
    fn note_slow(&mut self, conn: ConnId, batch: &mut CommandBatch) {
        for slow in std::mem::take(&mut batch.slow) {
            let (_, args) = batch.args(slow.command as usize);
            self.slow.push((conn, slow.micros, args.from(0).map(<[u8]>::to_vec).collect()));
        }
    }

    /// Keys that moved to the home shard go where they were. Nothing waits for that: the locks are held until then.
    fn delete_foreign(&mut self, t: &Transaction, foreign: &[Foreign]) {
        let Some(unlink) = self.table.lookup_any(b"unlink") else { return };
        for gone in foreign.iter().filter(|f| f.delete) {
            let manner = Manner { db: gone.db as u16, ..t.manner };
            let command = remote(unlink, Phase::Quiet, manner, Ticket::Part { pending: 0, part: 0 });
            let mut batch = self.outboxes.spare();
            batch.push(command, [b"UNLINK".as_slice(), &gone.key].into_iter(), None);
            let work = Work { batch: Some(batch), ..Work::default() };
            let core = owner(crate::base::hash::slot(&gone.key), self.cores);
            let share = Share { work, ..t.share(u32::MAX) };
            self.post(core, Message::Proceed(Box::new(share)));
        }
    }

    /// Every shard has answered.
    fn stage_done(&mut self, index: u32, mut t: Box<Transaction>) {
        t.ahead = false;
        match std::mem::replace(&mut t.step, Step::Flat) {
            Step::Flat | Step::Session => self.gather_stage(&mut t),
            Step::Check(parts, gather) => {
                let refused = t.slots.iter().position(|p| gather::integer(&p.bytes) != Some(1));
                if let Some(refused) = refused {
                    let mut reply = t.slots.swap_remove(refused);
                    self.count(&t, t.next - 1, &reply);
                    t.replies.append(&mut reply);
                } else {
                    t.planned.clear();
                    t.slots.clear();
                    let mut works = Vec::new();
                    self.plan_parts(index, &mut t, parts, gather, Phase::Run, &mut works);
                    let last = t.next == t.commands.commands.len();
                    return self.send_works(index, t, works, last);
                }
            }
            Step::Fetch { home, foreign } => {
                let (command, args) = t.commands.args(t.next - 1);
                let run = HomeRun {
                    id: command.id,
                    manner: t.manner,
                    args: args.from(0).map(<[u8]>::to_vec).collect(),
                    foreign,
                    reply: OutBuf::default(),
                };
                t.step = Step::Home;
                let work = Work { home: Some(Box::new(run)), ..Work::default() };
                return self.send_works(index, t, vec![(home, work)], false);
            }
            Step::Home => {
                let mut reply = t.slots.pop().unwrap_or_default();
                t.replies.append(&mut reply);
            }
            Step::Relay(mut rounds) => {
                let replies = t.slots.drain(..).map(|mut slot| {
                    gather::flatten(&mut slot);
                    slot.bytes
                });
                rounds.rounds.push(replies.collect());
                let mut works = Vec::new();
                self.relay_round(index, &mut t, rounds, &mut works);
                if !works.is_empty() {
                    return self.send_works(index, t, works, false);
                }
            }
        }
        t.planned.clear();
        t.slots.clear();
        if t.released {
            return self.finish(index, t);
        }
        self.advance(index, t);
    }

    fn gather_stage(&mut self, t: &mut Transaction) {
        for planned in std::mem::take(&mut t.planned) {
            let slots = &mut t.slots[planned.first..planned.first + planned.count];
            let Some((gather, part_of_key)) = planned.gather else {
                t.replies.append(&mut slots[0]);
                continue;
            };
            slots.iter_mut().for_each(gather::flatten);
            let first = (self.shard.random_u64() % slots.len() as u64) as usize;
            let start = t.replies.bytes.len();
            merge(gather, slots, &part_of_key, first, t.manner.proto, &mut t.replies.bytes);
            if t.exec {
                self.ran.push((planned.id, 0, t.replies.bytes.get(start) == Some(&b'-')));
            }
        }
    }

    fn count(&mut self, t: &Transaction, command: usize, reply: &OutBuf) {
        if t.exec {
            self.ran.push((t.commands.commands[command].id, 0, reply.bytes.first() == Some(&b'-')));
        }
    }

    /// Plans the next stage: fills `works`, or `t.step` says that the connection has its turn, or nothing is left.
    fn plan(&mut self, index: u32, t: &mut Transaction, works: &mut Vec<(usize, Work)>) {
        t.step = Step::Flat;
        while t.next < t.commands.commands.len() {
            let (command, args) = t.commands.args(t.next);
            let spec = self.table.get(command.id);
            let form = match (t.form.take(), t.debug) {
                (Some(form), _) => form,
                (None, None) => plan::form(spec, &args, t.manner.db as usize, self.core, self.cores),
                (None, Some((None, gather))) => Form::Everywhere(gather),
                (None, Some((cut, gather))) => match plan::parts(cut, &args, self.cores) {
                    Some(parts) => Form::Parts(parts, gather),
                    None => Form::Anywhere,
                },
            };
            let flat = matches!(form, Form::Anywhere | Form::One(_) | Form::Parts(..) | Form::Everywhere(_));
            if !flat && !t.planned.is_empty() {
                t.form = None;
                return;
            }
            t.next += 1;
            match form {
                Form::Anywhere => self.plan_here(t),
                Form::One(core) => {
                    let slot = t.slots.len() as u32;
                    t.plan_slot(command.id, None, 1);
                    let ticket = Ticket::Counted { pending: index, part: slot };
                    let command = remote_at(command, command.phase, t.manner, ticket);
                    let (_, args) = t.commands.args(t.next - 1);
                    batch_for(works, core, &mut self.outboxes).push_args(command, &args);
                }
                Form::Parts(parts, gather) => {
                    self.plan_parts(index, t, parts, gather, command.phase, works);
                }
                Form::Everywhere(gather) => {
                    let slot = t.slots.len() as u32;
                    t.plan_slot(command.id, Some((gather, Vec::new())), self.cores);
                    let (_, args) = t.commands.args(t.next - 1);
                    for core in 0..self.cores {
                        let ticket = Ticket::Part { pending: index, part: slot + core as u32 };
                        let command = remote(command.id, command.phase, t.manner, ticket);
                        batch_for(works, core, &mut self.outboxes).push_args(command, &args);
                    }
                }
                Form::Checked(parts, gather) => {
                    self.plan_parts(index, t, parts, gather, Phase::Check, works);
                    return;
                }
                Form::TwoPhase { home, foreign } => {
                    for (core, key) in foreign {
                        work_for(works, core).fetch.push(Foreign { db: t.manner.db as usize, ..key });
                    }
                    t.step = Step::Fetch { home, foreign: Vec::new() };
                    return;
                }
                Form::Relay(relay) => {
                    let args = args_of(t);
                    let rounds = Box::new(RelayRounds { relay, args, rounds: Vec::new() });
                    self.relay_round(index, t, rounds, works);
                    if !works.is_empty() {
                        return;
                    }
                }
                Form::Session => {
                    t.step = Step::Session;
                    return;
                }
            }
        }
    }

    /// The arguments are not in order: the function says so, here and now.
    fn plan_here(&mut self, t: &mut Transaction) {
        let (command, mut args) = t.commands.args(t.next - 1);
        let mut reply = OutBuf::default();
        let call = super::router::Call { id: command.id, manner: t.manner, pos: None, conn: t.conn, seq: t.seq };
        self.run_here(call, Phase::Run, &mut args, &mut reply);
        self.count(t, t.next - 1, &reply);
        t.plan_slot(command.id, None, 1);
        *t.slots.last_mut().expect("just planned") = reply;
    }

    fn plan_parts(
        &mut self,
        index: u32,
        t: &mut Transaction,
        parts: Parts,
        gather: Gather,
        phase: Phase,
        works: &mut Vec<(usize, Work)>,
    ) {
        let slot = t.slots.len() as u32;
        let id = t.commands.commands[t.next - 1].id;
        let gathered = (gather, parts.part_of_key.clone());
        t.plan_slot(id, Some(gathered), parts.lists.len());
        let manner = t.manner;
        let (_, args) = t.commands.args(t.next - 1);
        for (part, (core, units)) in parts.lists.iter().enumerate() {
            let ticket = Ticket::Part { pending: index, part: slot + part as u32 };
            let command = remote(id, phase, manner, ticket);
            parts.units.push_part(&args, units, command, batch_for(works, *core, &mut self.outboxes));
        }
        if phase == Phase::Check {
            t.step = Step::Check(parts, gather);
        }
    }

    /// The next round of a relay; when it has none its reply is written.
    fn relay_round(
        &mut self,
        index: u32,
        t: &mut Transaction,
        rounds: Box<RelayRounds>,
        works: &mut Vec<(usize, Work)>,
    ) {
        let mut out = OutBuf::default();
        let view = Relay { args: &rounds.args, rounds: &rounds.rounds };
        let commands = (rounds.relay)(&view, &mut Reply { out: &mut out, proto: t.manner.proto });
        if commands.is_empty() {
            self.count(t, t.next - 1, &out);
            t.replies.append(&mut out);
            return;
        }
        t.slots.clear();
        for words in &commands {
            let slot = t.slots.len() as u32;
            t.slots.push(OutBuf::default());
            let ticket = Ticket::Part { pending: index, part: slot };
            let Some(id) = self.table.lookup_any(&words[0]) else { continue };
            let (data, spans) = join(words);
            let args = Args::new(&data, &spans);
            let core = self
                .table
                .get(id)
                .first_key(&args)
                .map_or(self.core, |at| owner(crate::base::hash::slot(&args[at]), self.cores));
            let manner = Manner { proto: Proto::Resp2, ..t.manner };
            batch_for(works, core, &mut self.outboxes).push_args(remote(id, Phase::Run, manner, ticket), &args);
        }
        t.step = Step::Relay(rounds);
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
        t.replies.append(&mut reply);
        self.advance(index, t);
        self.settle();
    }

    // ---- the end ----

    fn finish(&mut self, index: u32, mut t: Box<Transaction>) {
        if !t.released {
            for (core, _) in &t.claims {
                self.post(*core, Message::Release(t.scheduling.id()));
            }
        }
        if !t.whole_at_once {
            for core in &t.watched {
                self.post(*core, Message::Unwatch(t.conn));
            }
        }
        if t.scheduling.has_priority() {
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
        self.outboxes.recycle(std::mem::take(&mut t.commands));
        self.finished.push(Finished { conn: t.conn, seq: t.seq, reply, unstalls: true });
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
            released: false,
            replies: OutBuf::default(),
        }
    }

    /// Nothing has run.
    fn restart(&mut self) {
        self.ahead = false;
        self.next = 0;
        self.planned.clear();
        self.slots.clear();
        self.replies.clear();
    }

    /// An empty share of it.
    fn share(&self, pending: u32) -> Share {
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
            answer: false,
            verdict: Verdict::Refused(Refusal::Late),
        }
    }

    fn plan_slot(&mut self, id: CommandId, gather: Option<(Gather, Vec<u32>)>, count: usize) {
        self.planned.push(Planned { id, first: self.slots.len(), count, gather });
        self.slots.extend((0..count).map(|_| OutBuf::default()));
    }

    /// Puts the replies of a batch where its tickets say.
    fn take_replies(&mut self, batch: &mut CommandBatch) {
        let mut bigs = std::mem::take(&mut batch.replies.bigs).into_iter().peekable();
        let mut start = 0usize;
        for (command, end) in batch.commands.iter().zip(&batch.reply_ends) {
            let end = *end as usize;
            let mut reply = OutBuf { bytes: batch.replies.bytes[start..end].to_vec(), bigs: Vec::new() };
            while let Some((at, big)) = bigs.next_if(|(at, _)| *at < end) {
                reply.bigs.push((at - start, big));
            }
            if let Ticket::Part { part, .. } | Ticket::Counted { part, .. } = command.ticket
                && let Some(slot) = self.slots.get_mut(part as usize)
            {
                *slot = reply;
            }
            start = end;
        }
    }
}

fn args_of(t: &mut Transaction) -> Vec<Vec<u8>> {
    let (_, args) = t.commands.args(t.next - 1);
    args.from(0).map(<[u8]>::to_vec).collect()
}

fn work_for(works: &mut Vec<(usize, Work)>, core: usize) -> &mut Work {
    let at = works.iter().position(|(c, _)| *c == core).unwrap_or_else(|| {
        works.push((core, Work::default()));
        works.len() - 1
    });
    &mut works[at].1
}

fn batch_for<'w>(
    works: &'w mut Vec<(usize, Work)>,
    core: usize,
    outboxes: &mut super::hop::Outboxes,
) -> &'w mut CommandBatch {
    work_for(works, core).batch.get_or_insert_with(|| outboxes.spare())
}

/// A command without arguments yet.
pub(super) fn remote(id: CommandId, phase: Phase, manner: Manner, ticket: Ticket) -> RemoteCommand {
    RemoteCommand { ticket, id, phase, manner, pos: None, first: 0, count: 0 }
}

fn remote_at(command: RemoteCommand, phase: Phase, manner: Manner, ticket: Ticket) -> RemoteCommand {
    RemoteCommand { ticket, phase, manner, ..command }
}

fn merge(gather: Gather, parts: &[OutBuf], part_of_key: &[u32], first: usize, proto: Proto, out: &mut Vec<u8>) {
    match gather {
        Gather::Sum => gather::sum(parts, out),
        Gather::AllOk => gather::all_ok(parts, out),
        Gather::ByKey => gather::by_key(parts, part_of_key, out),
        Gather::Concat => gather::concat(parts, out),
        Gather::Draw => gather::draw(parts, first, proto, out),
    }
}

/// Owned arguments as one buffer and its spans.
pub fn join(args: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut data = Vec::with_capacity(args.iter().map(Vec::len).sum());
    let mut spans = Vec::with_capacity(args.len());
    for arg in args {
        spans.push(Span { start: data.len() as u32, len: arg.len() as u32 });
        data.extend_from_slice(arg);
    }
    (data, spans)
}

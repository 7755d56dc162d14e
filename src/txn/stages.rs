//! The stages of a transaction that holds its locks: which commands go out together, what comes back, what follows. A
//! command that takes several steps is several stages; the order of the replies is that of the commands.

use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::base::hash;
use crate::commands::args::{Args, lay_out};
use crate::commands::context::Foreign;
use crate::commands::errors;
use crate::commands::spec::{Gather, Relay, RelayFn, flag};
use crate::commands::table::CommandId;
use crate::resp::reply::{Proto, Reply};
use crate::shard::tracking::Tracker;
use crate::txn::gather;
use crate::txn::hop::Outboxes;
use crate::txn::message::{CommandBatch, ConnId, HomeRun, Manner, Message, Phase, RemoteCommand, Share, Ticket, Work};
use crate::txn::plan::{self, Form, Parts};
use crate::txn::router::{Call, Router, owner};
use crate::txn::transaction::{Holds, Transaction};

/// A command of the running stage.
#[derive(Debug)]
pub(super) struct Planned {
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
pub(super) enum Step {
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
pub(super) struct RelayRounds {
    relay: RelayFn,
    args: Vec<Vec<u8>>,
    rounds: Vec<Vec<Vec<u8>>>,
}

impl Router {
    /// Starts the next stage, or ends.
    pub(super) fn advance(&mut self, index: u32, mut t: Box<Transaction>) {
        let mut works = Vec::new();
        self.plan(index, &mut t, &mut works);
        if works.is_empty() {
            return match t.step {
                Step::Session => {
                    self.turns.push((t.conn, index));
                    self.put_transaction(index, t);
                }
                Step::Flat if t.planned.is_empty() && matches!(t.holds, Holds::Told(_)) => {
                    self.kept.iter_mut().filter(|kept| kept.index == index).for_each(|kept| kept.made = true);
                    self.put_transaction(index, t);
                }
                Step::Flat if t.planned.is_empty() => self.finish(index, t),
                _ => self.stage_done(index, t),
            };
        }
        let last = matches!(t.step, Step::Flat) && t.next == t.commands.commands.len() && t.holds == Holds::LastStage;
        self.send_works(index, t, works, last);
    }

    pub(super) fn send_works(
        &mut self,
        index: u32,
        mut t: Box<Transaction>,
        mut works: Vec<(usize, Work)>,
        last: bool,
    ) {
        let last = last && !t.borrows;
        t.wrote |= works.iter().any(|(_, work)| self.may_write(work));
        if last
            && let Some(writer) = self.lone_writer(&t)
            && !works.iter().any(|(core, _)| *core == writer)
        {
            works.push((writer, Work::default()));
        }
        t.out = works.len();
        t.released = last;
        let participants = if last { self.participants(&mut t) } else { None };
        let mut messages: Vec<(usize, Message)> = Vec::with_capacity(t.claims.len());
        for (core, _) in t.claims.iter().filter(|(core, _)| last && !works.iter().any(|(c, _)| c == core)) {
            messages.push((*core, Message::Release(t.scheduling.id(), participants.clone())));
        }
        for (core, work) in works {
            let participants = participants.clone();
            let share = Share { work, release: last, participants, answer: true, ..t.share(index) };
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

    pub(super) fn take_results(&mut self, t: &mut Transaction, share: &mut Share) {
        if let Some(mut batch) = share.work.batch.take() {
            self.note_slow(t.conn, &mut batch);
            t.take_replies(&mut batch);
            self.outboxes.recycle(batch);
        }
        if let Step::Fetch { foreign, .. } = &mut t.step {
            foreign.append(&mut share.work.fetch);
        }
        if let Some(home) = share.work.home.take() {
            let HomeRun { id, foreign, reply, took, .. } = *home;
            if t.exec {
                self.ran.push((id, took, reply.bytes.first() == Some(&b'-')));
            }
            t.slots = vec![reply];
            self.delete_foreign(t, &foreign);
        }
    }

    /// Logs commands that were slow.
    pub(super) fn note_slow(&mut self, conn: ConnId, batch: &mut CommandBatch) {
        for slow in std::mem::take(&mut batch.slow) {
            let (_, args) = batch.args(slow.command as usize);
            self.slow.push((conn, slow.micros, args.from(0).map(<[u8]>::to_vec).collect()));
        }
    }

    fn may_write(&self, work: &Work) -> bool {
        let batch = work.batch.as_ref().is_some_and(|batch| batch.commands.iter().any(|c| self.writes(c)));
        batch || work.home.as_ref().is_some_and(|home| self.table.get(home.id).has(flag::WRITE))
    }

    /// Keys that moved to the home shard go where they were. Nothing waits for that: the locks are held until then.
    fn delete_foreign(&mut self, t: &Transaction, foreign: &[Foreign]) {
        let Some(unlink) = self.table.lookup_any(b"unlink") else { return };
        for gone in foreign.iter().filter(|f| f.delete) {
            let manner = Manner { db: gone.db as u16, ..t.manner };
            let command = RemoteCommand::new(unlink, Phase::Renamed, manner, Ticket::Part { pending: 0, part: 0 });
            let mut batch = self.outboxes.spare();
            batch.push(command, [b"UNLINK".as_slice(), &gone.key].into_iter(), None);
            let work = Work { batch: Some(batch), ..Work::default() };
            let core = owner(hash::slot(&gone.key), self.cores);
            let share = Share { work, ..t.share(u32::MAX) };
            self.post(core, Message::Proceed(Box::new(share)));
        }
    }

    /// Every shard has answered.
    pub(super) fn stage_done(&mut self, index: u32, mut t: Box<Transaction>) {
        t.ahead = false;
        match std::mem::replace(&mut t.step, Step::Flat) {
            Step::Flat | Step::Session => self.gather_stage(&mut t),
            Step::Check(parts, gather) => {
                let refused = t.slots.iter().position(|p| gather::integer(&p.bytes) != Some(1));
                if let Some(refused) = refused {
                    let mut reply = t.slots.swap_remove(refused);
                    t.spend();
                    self.count(&mut t, &reply);
                    self.append_reply(&mut t, &mut reply);
                } else {
                    t.planned.clear();
                    t.spend();
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
                    took: 0,
                    recording: Vec::new(),
                };
                t.step = Step::Home;
                let work = Work { home: Some(Box::new(run)), ..Work::default() };
                return self.send_works(index, t, vec![(home, work)], false);
            }
            Step::Home => {
                let mut reply = t.slots.pop().unwrap_or_default();
                self.append_reply(&mut t, &mut reply);
            }
            Step::Relay(mut rounds) => {
                let replies = t.slots.drain(..).map(|mut slot| {
                    gather::flatten(&mut slot);
                    slot.bytes
                });
                rounds.rounds.push(replies.collect());
                t.spend();
                let mut works = Vec::new();
                self.relay_round(index, &mut t, rounds, &mut works);
                if !works.is_empty() {
                    return self.send_works(index, t, works, false);
                }
            }
        }
        t.planned.clear();
        t.clear_slots();
        if t.released {
            return self.finish(index, t);
        }
        self.advance(index, t);
    }

    fn gather_stage(&mut self, t: &mut Transaction) {
        for planned in std::mem::take(&mut t.planned) {
            let Some((gather, part_of_key)) = planned.gather else {
                let mut reply = std::mem::take(&mut t.slots[planned.first]);
                self.append_reply(t, &mut reply);
                continue;
            };
            let slots = &mut t.slots[planned.first..planned.first + planned.count];
            slots.iter_mut().for_each(gather::flatten);
            let first = (self.shard.random_u64() % slots.len() as u64) as usize;
            let start = t.replies.bytes.len();
            merge(gather, slots, &part_of_key, first, t.manner.proto, &mut t.replies.bytes);
            if t.exec {
                let took = t.took[planned.first..planned.first + planned.count].iter().sum::<u64>();
                let failed = t.replies.bytes.get(start) == Some(&b'-');
                self.ran.push((planned.id, std::mem::take(&mut t.spent) + took, failed));
                self.note_failure(&t.replies.bytes[start..]);
            }
        }
    }

    /// The reply of one command of a transaction follows those before it.
    pub(super) fn append_reply(&mut self, t: &mut Transaction, reply: &mut OutBuf) {
        if t.exec {
            self.note_failure(&reply.bytes);
        }
        t.replies.append(reply);
    }

    /// As [`Router::note_failure`], for each command of a transaction that ran at once.
    pub(super) fn note_failures(&mut self, batch: &CommandBatch) {
        let mut start = 0;
        for end in &batch.reply_ends {
            self.note_failure(&batch.replies.bytes[start..*end as usize]);
            start = *end as usize;
        }
    }

    /// Notes which error a command inside EXEC ended in, if it did.
    fn note_failure(&mut self, reply: &[u8]) {
        if let [b'-', text @ ..] = reply {
            self.failures.push(errors::code(text).into());
        }
    }

    /// Counts the command that was planned last, if nobody else does.
    fn count(&mut self, t: &mut Transaction, reply: &OutBuf) {
        let took = std::mem::take(&mut t.spent);
        if t.exec {
            self.ran.push((t.commands.commands[t.next - 1].id, took, reply.bytes.first() == Some(&b'-')));
        }
    }

    /// Plans the next stage: fills `works`, or `t.step` says that the connection has its turn, or nothing is left.
    pub(super) fn plan(&mut self, index: u32, t: &mut Transaction, works: &mut Vec<(usize, Work)>) {
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
                        let command = RemoteCommand::new(command.id, command.phase, t.manner, ticket);
                        batch_for(works, core, &mut self.outboxes).push_args(command, &args);
                    }
                }
                Form::Checked(parts, gather) => {
                    self.plan_parts(index, t, parts, gather, Phase::Check, works);
                    return;
                }
                Form::TwoPhase { home, foreign } => {
                    let reads = self.table.get(command.id).flags & flag::READONLY != 0;
                    let reader = t.manner.tracker.filter(|tracker| tracker.remembers && reads);
                    for (core, key) in foreign {
                        let work = work_for(works, core);
                        work.reader = reader;
                        work.fetch.push(Foreign { db: t.manner.db as usize, ..key });
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
        let call = Call { id: command.id, manner: t.manner, pos: None, conn: t.conn, seq: t.seq };
        let before = clock::ticks();
        self.run_here(call, Phase::Run, &mut args, &mut reply);
        t.spent = clock::ticks().wrapping_sub(before);
        self.count(t, &reply);
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
            let command = RemoteCommand::new(id, phase, manner, ticket);
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
            self.count(t, &out);
            self.append_reply(t, &mut out);
            return;
        }
        t.slots.clear();
        let outer = t.commands.commands[t.next - 1].id;
        let reads = self.table.get(outer).has(flag::READONLY);
        for words in &commands {
            let slot = t.slots.len() as u32;
            t.slots.push(OutBuf::default());
            t.took.push(0);
            let ticket = Ticket::Part { pending: index, part: slot };
            let Some(id) = self.table.lookup_any(&words[0]) else { continue };
            let (data, spans) = lay_out(words);
            let args = Args::new(&data, &spans);
            let core =
                self.table.get(id).first_key(&args).map_or(self.core, |at| owner(hash::slot(&args[at]), self.cores));
            // A client caches what it asked to read, not what a write looks at on its way.
            let tracker = t.manner.tracker.map(|tracker| Tracker { remembers: tracker.remembers && reads, ..tracker });
            let manner = Manner { proto: Proto::Resp2, tracker, ..t.manner };
            let stores_found = id == outer && self.table.get(id).has(flag::STORES_FOUND);
            let phase = if stores_found { Phase::Sorted } else { Phase::Run };
            batch_for(works, core, &mut self.outboxes).push_args(RemoteCommand::new(id, phase, manner, ticket), &args);
        }
        t.step = Step::Relay(rounds);
    }
}

impl Transaction {
    fn plan_slot(&mut self, id: CommandId, gather: Option<(Gather, Vec<u32>)>, count: usize) {
        self.planned.push(Planned { id, first: self.slots.len(), count, gather });
        self.slots.extend((0..count).map(|_| OutBuf::default()));
        self.took.resize(self.slots.len(), 0);
    }

    pub(super) fn clear_slots(&mut self) {
        self.slots.clear();
        self.took.clear();
    }

    /// A stage of the command under way is over; its slots are being emptied.
    fn spend(&mut self) {
        self.spent += self.took.drain(..).sum::<u64>();
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
                self.took[part as usize] += u64::from(command.took);
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

fn batch_for<'w>(works: &'w mut Vec<(usize, Work)>, core: usize, outboxes: &mut Outboxes) -> &'w mut CommandBatch {
    work_for(works, core).batch.get_or_insert_with(|| outboxes.spare())
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

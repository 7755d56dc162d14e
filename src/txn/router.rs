//! Turns a command's plan into work on shards: here, on one other core, on several, or in two phases; and collects what
//! comes back. Knows connections only as [`ConnId`]s and never touches one: finished replies wait in `finished`.

use crate::base::bytes::{BigString, OutBuf};
use crate::base::clock;
use crate::base::hash::{Position, SLOTS};
use crate::base::limits;
use crate::commands::args::Args;
use crate::commands::context::{Context, Foreign};
use crate::commands::debug::DebugCall;
use crate::commands::key_args::KeyCut;
use crate::commands::spec::{Gather, Plan};
use crate::commands::table::{CommandId, CommandTable};
use crate::resp::parse::Span;
use crate::resp::reply::{Proto, Reply};
use crate::runtime::mesh::Endpoint;
use crate::shard::keyspace::Shard;
use crate::txn::gather;
use crate::txn::hop::{self, Outboxes, Terms};
use crate::txn::message::{
    Answer, CommandBatch, ConnId, Fetch, HomeRun, Manner, Message, Phase, RemoteCommand, Request, Ticket,
};
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

/// The reply of a command that ran in parts or phases.
#[derive(Debug)]
pub struct Finished {
    /// Whose.
    pub conn: ConnId,
    /// Its slot.
    pub seq: u32,
    /// The encoded reply.
    pub reply: OutBuf,
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
pub type Deliver<'a> = &'a mut dyn FnMut(ConnId, u32, &[u8], Vec<(usize, BigString)>);

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

#[derive(Debug)]
enum Step {
    /// Parts run; merge their replies.
    Merge { gather: Gather, part_of_key: Vec<u32> },
    /// Parts are checked; run them if all agree.
    Check { gather: Gather },
    /// Keys are being fetched for the home shard.
    Fetch { home: usize, foreign: Vec<Foreign> },
    /// The home shard runs; then foreign keys may have to go.
    Home,
    /// Foreign keys are being deleted; then this is the reply.
    Delete { reply: OutBuf },
    /// Every core answers a question.
    Ask { answers: Vec<Option<Answer>> },
}

#[derive(Debug)]
struct Pending {
    conn: ConnId,
    seq: u32,
    id: CommandId,
    manner: Manner,
    remaining: u32,
    parts: Vec<OutBuf>,
    /// Arguments by part (CheckedScatter), or of the whole command as the only element (TwoPhase).
    args: Vec<(usize, Vec<Vec<u8>>)>,
    step: Step,
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
    outboxes: Outboxes,
    pending: Vec<Option<Pending>>,
    pending_free: Vec<u32>,
    scratch: Vec<Vec<u32>>,
}

impl Router {
    /// A router for `core` of the mesh's cores.
    pub fn new(shard: Shard, table: Arc<CommandTable>, mesh: Endpoint<Message>, terms: Terms) -> Self {
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
            scratch: (0..cores).map(|_| Vec::new()).collect(),
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
            _ if self.cores == 1 => self.one(0, call, Phase::Run, args, out),
            Plan::ByCursor(_) => {
                let slot =
                    args.get(1).and_then(crate::base::text::parse_u64).map_or(0, crate::types::table::cursor_slot);
                self.one(owner(slot, self.cores), call, Phase::Run, args, out)
            }
            Plan::Scatter(_, gather) => self.scatter(call, Phase::Run, args, out, gather, None),
            Plan::CheckedScatter { gather, .. } => self.scatter(call, Phase::Check, args, out, gather, None),
            Plan::TwoPhase { home, .. } => self.two_phase(call, args, out, home),
            Plan::AllShards(_, gather) => self.all_shards(call, Phase::Run, args, gather),
            Plan::Session => {
                Reply { out, proto: call.manner.proto }.error("ERR this command has no part on a shard");
                Outcome::Done
            }
        }
    }

    /// Runs on this core, or sends to one other.
    #[inline]
    fn one(&mut self, to: usize, call: Call, phase: Phase, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
        if to == self.core {
            self.run_here(call, phase, args, out);
            return Outcome::Done;
        }
        self.send(to, Ticket::Slot { conn: call.conn, seq: call.seq }, call, phase, args);
        Outcome::Waits
    }

    #[inline]
    fn run_here(&mut self, call: Call, phase: Phase, args: &mut Args<'_>, out: &mut OutBuf) {
        let mut ctx = Context {
            shard: &mut self.shard,
            db: call.manner.db as usize,
            no_touch: call.manner.no_touch,
            hint: call.pos,
            bulk_bytes_max: self.terms.bulk_bytes_max,
            foreign: &mut [],
        };
        let mut reply = Reply { out, proto: call.manner.proto };
        hop::run_phase(&self.table.get(call.id).plan, phase, &mut ctx, args, &mut reply);
    }

    /// As [`Router::call`], for the subcommands of DEBUG that concern keys; `plan` is the subcommand's.
    pub fn call_debug(&mut self, call: Call, plan: &DebugCall, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
        match plan {
            DebugCall::OnKey(at, _) => {
                let pos = args.get(*at).map(Position::of);
                let to = pos.map_or(self.core, |pos| self.owner_of(pos));
                self.one(to, Call { pos, ..call }, Phase::Debug, args, out)
            }
            DebugCall::OnKeys(_, gather) if self.cores > 1 => {
                let keys = KeyCut { first: 2, end: args.len(), step: 1, count_at: None };
                self.scatter(call, Phase::Debug, args, out, *gather, Some(keys))
            }
            DebugCall::OnShards(_, gather) if self.cores > 1 => self.all_shards(call, Phase::Debug, args, *gather),
            _ => self.one(self.core, call, Phase::Debug, args, out),
        }
    }

    fn send(&mut self, to: usize, ticket: Ticket, call: Call, phase: Phase, args: &mut Args<'_>) {
        let big = args.big_index().and_then(|i| Some((i as u32, args.take_big(i)?)));
        let command =
            RemoteCommand { ticket, id: call.id, phase, manner: call.manner, pos: call.pos, first: 0, count: 0 };
        self.outboxes.push(to, command, args.from(0), big);
        self.sent(to);
    }

    fn send_owned(&mut self, to: usize, ticket: Ticket, call: Call, phase: Phase, args: &[Vec<u8>]) {
        let command =
            RemoteCommand { ticket, id: call.id, phase, manner: call.manner, pos: call.pos, first: 0, count: 0 };
        self.outboxes.push(to, command, args.iter().map(Vec::as_slice), None);
        self.sent(to);
    }

    fn sent(&mut self, to: usize) {
        self.hops_out += 1;
        if self.outboxes.open_bytes(to) > limits::HOP_BATCH_BYTES_MAX
            && let Some(batch) = self.outboxes.take(to)
        {
            self.mesh.send(to, Message::Commands(batch));
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

    fn pend(&mut self, pending: Pending) -> u32 {
        if let Some(index) = self.pending_free.pop() {
            self.pending[index as usize] = Some(pending);
            return index;
        }
        self.pending.push(Some(pending));
        (self.pending.len() - 1) as u32
    }

    /// Cuts a command into one part per shard that holds some of its keys; `cut` says how, if the table does not.
    fn scatter(
        &mut self,
        call: Call,
        phase: Phase,
        args: &mut Args<'_>,
        out: &mut OutBuf,
        gather: Gather,
        cut: Option<KeyCut>,
    ) -> Outcome {
        let cut = cut.or_else(|| self.table.get(call.id).key_cut(args));
        let Some(units) = cut.and_then(|cut| Units::of(cut, args)) else {
            // not cut: the function itself answers what is wrong with the arguments
            self.run_here(call, Phase::Run, args, out);
            return Outcome::Done;
        };
        let checked = phase == Phase::Check;
        let mut part_of_key = Vec::with_capacity(units.count());
        let mut cores: Vec<usize> = Vec::new();
        for list in &mut self.scratch {
            list.clear();
        }
        for (unit, at) in units.starts().enumerate() {
            let core = owner(crate::base::hash::slot(&args[at]), self.cores);
            let part = cores.iter().position(|c| *c == core).unwrap_or_else(|| {
                cores.push(core);
                cores.len() - 1
            });
            part_of_key.push(part as u32);
            self.scratch[core].push(unit as u32);
        }
        if cores.len() == 1 {
            let phase = if checked { Phase::Run } else { phase };
            return self.one(cores[0], call, phase, args, out);
        }
        let parts: Vec<(usize, Vec<Vec<u8>>)> =
            cores.iter().map(|&core| (core, units.part(args, &self.scratch[core]))).collect();
        let step = if checked { Step::Check { gather } } else { Step::Merge { gather, part_of_key } };
        self.start_parts(call, parts, step, phase);
        if checked { Outcome::Stalls } else { Outcome::Waits }
    }

    fn all_shards(&mut self, call: Call, phase: Phase, args: &Args<'_>, gather: Gather) -> Outcome {
        let args: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
        let parts = (0..self.cores).map(|core| (core, args.clone())).collect();
        self.start_parts(call, parts, Step::Merge { gather, part_of_key: Vec::new() }, phase);
        Outcome::Waits
    }

    fn start_parts(&mut self, call: Call, parts: Vec<(usize, Vec<Vec<u8>>)>, step: Step, phase: Phase) {
        let index = self.pend(Pending {
            conn: call.conn,
            seq: call.seq,
            id: call.id,
            manner: call.manner,
            remaining: 0,
            parts: Vec::new(),
            args: Vec::new(),
            step,
        });
        self.run_parts(index, call, parts, phase);
    }

    /// Sends every part; the one of this core runs at once. Parts are kept for a second phase if this is a check.
    fn run_parts(&mut self, index: u32, call: Call, parts: Vec<(usize, Vec<Vec<u8>>)>, phase: Phase) {
        {
            let pending = self.pending[index as usize].as_mut().expect("a pending command stays until it is finished");
            pending.remaining = parts.len() as u32;
            pending.parts = (0..parts.len()).map(|_| OutBuf::default()).collect();
        }
        let call = Call { pos: None, ..call };
        let mut here = None;
        for (part, (core, args)) in parts.iter().enumerate() {
            if *core == self.core {
                here = Some(part);
            } else {
                self.send_owned(*core, Ticket::Part { pending: index, part: part as u32 }, call, phase, args);
            }
        }
        let mut reply = OutBuf::default();
        if let Some(part) = here {
            let (data, spans) = join(&parts[part].1);
            self.run_here(call, phase, &mut Args::new(&data, &spans), &mut reply);
        }
        if phase == Phase::Check {
            self.pending[index as usize].as_mut().expect("see above").args = parts;
        }
        if let Some(part) = here {
            self.part_done(index, part as u32, reply);
        }
    }

    /// Reads the keys of other shards, then runs on the home key's shard.
    fn two_phase(&mut self, call: Call, args: &mut Args<'_>, out: &mut OutBuf, home: usize) -> Outcome {
        let Some(home_key) = args.get(home) else {
            self.run_here(call, Phase::Run, args, out);
            return Outcome::Done;
        };
        let home = owner(crate::base::hash::slot(home_key), self.cores);
        let mut foreign: Vec<(usize, Foreign)> = Vec::new();
        for index in self.table.get(call.id).key_indices(args) {
            let key = &args[index];
            let core = owner(crate::base::hash::slot(key), self.cores);
            if core != home && !foreign.iter().any(|(_, f)| f.key == *key) {
                let foreign_key =
                    Foreign { key: key.to_vec(), db: call.manner.db as usize, found: None, delete: false };
                foreign.push((core, foreign_key));
            }
        }
        let call = Call { pos: None, ..call };
        if foreign.is_empty() {
            return self.one(home, call, Phase::Run, args, out);
        }
        let all: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
        let mut cores: Vec<usize> = foreign.iter().map(|(core, _)| *core).collect();
        cores.sort_unstable();
        cores.dedup();
        let index = self.pend(Pending {
            conn: call.conn,
            seq: call.seq,
            id: call.id,
            manner: call.manner,
            remaining: cores.len() as u32,
            parts: Vec::new(),
            args: vec![(home, all)],
            step: Step::Fetch { home, foreign: Vec::new() },
        });
        let mut here = None;
        for core in cores {
            let keys: Vec<Foreign> = foreign.extract_if(.., |(c, _)| *c == core).map(|(_, f)| f).collect();
            let fetch = Box::new(Fetch { ticket: Ticket::Part { pending: index, part: 0 }, keys });
            if core == self.core {
                here = Some(fetch);
            } else {
                self.mesh_after_commands(core, Message::Fetch(fetch));
            }
        }
        if let Some(mut fetch) = here {
            self.fetch_here(&mut fetch);
            self.fetched(*fetch);
        }
        Outcome::Stalls
    }

    /// Sends a message behind the commands already gathered for `core`, so that order per shard holds.
    fn mesh_after_commands(&mut self, core: usize, message: Message) {
        if let Some(batch) = self.outboxes.take(core) {
            self.mesh.send(core, Message::Commands(batch));
        }
        self.hops_out += 1;
        self.mesh.send(core, message);
    }

    fn fetch_here(&mut self, fetch: &mut Fetch) {
        for foreign in &mut fetch.keys {
            let key = crate::types::table::Key::new(&foreign.key);
            foreign.found = self.shard.copy_out(foreign.db, key);
        }
    }

    fn fetched(&mut self, fetch: Fetch) {
        let Ticket::Part { pending: index, .. } = fetch.ticket else { return };
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        let Step::Fetch { home, foreign } = &mut pending.step else { return };
        foreign.extend(fetch.keys);
        pending.remaining -= 1;
        if pending.remaining > 0 {
            return;
        }
        let home = *home;
        let run = Box::new(HomeRun {
            ticket: fetch.ticket,
            id: pending.id,
            manner: pending.manner,
            args: std::mem::take(&mut pending.args).pop().map(|(_, args)| args).unwrap_or_default(),
            foreign: std::mem::take(foreign),
            reply: OutBuf::default(),
        });
        pending.step = Step::Home;
        if home == self.core {
            let mut run = run;
            hop::run_home(&mut run, &mut self.shard, &self.table, self.terms);
            self.home_done(*run);
        } else {
            self.mesh_after_commands(home, Message::HomeRun(run));
        }
    }

    fn home_done(&mut self, run: HomeRun) {
        let Ticket::Part { pending: index, .. } = run.ticket else { return };
        let deletes: Vec<&Foreign> = run.foreign.iter().filter(|f| f.delete).collect();
        if deletes.is_empty() {
            return self.finish(index, run.reply);
        }
        let Some(unlink) = self.table.lookup(b"unlink") else { return self.finish(index, run.reply) };
        let parts: Vec<(usize, Vec<Vec<u8>>)> = deletes
            .iter()
            .map(|f| (owner(crate::base::hash::slot(&f.key), self.cores), vec![b"UNLINK".to_vec(), f.key.clone()]))
            .collect();
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        pending.step = Step::Delete { reply: run.reply };
        let call = Call { id: unlink, manner: pending.manner, pos: None, conn: pending.conn, seq: pending.seq };
        self.run_parts(index, call, parts, Phase::Run);
    }

    fn part_done(&mut self, index: u32, part: u32, mut reply: OutBuf) {
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        gather::flatten(&mut reply);
        pending.parts[part as usize] = reply;
        pending.remaining -= 1;
        if pending.remaining == 0 {
            self.parts_done(index);
        }
    }

    fn parts_done(&mut self, index: u32) {
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        let parts = std::mem::take(&mut pending.parts);
        let mut out = OutBuf::default();
        match &mut pending.step {
            Step::Merge { gather, part_of_key } => {
                let first = (self.shard.random_u64() % parts.len() as u64) as usize;
                merge(*gather, &parts, part_of_key, first, pending.manner.proto, &mut out.bytes);
            }
            Step::Check { gather } => {
                let refused = parts.iter().find(|p| gather::integer(&p.bytes) != Some(1));
                if let Some(refused) = refused {
                    out.bytes.extend_from_slice(&refused.bytes);
                } else {
                    let call = Call {
                        id: pending.id,
                        manner: pending.manner,
                        pos: None,
                        conn: pending.conn,
                        seq: pending.seq,
                    };
                    let gather = *gather;
                    pending.step = Step::Merge { gather, part_of_key: Vec::new() };
                    let args = std::mem::take(&mut pending.args);
                    return self.run_parts(index, call, args, Phase::Run);
                }
            }
            Step::Delete { reply } => out = std::mem::take(reply),
            Step::Fetch { .. } | Step::Home | Step::Ask { .. } => return,
        }
        self.finish(index, out);
    }

    fn finish(&mut self, index: u32, reply: OutBuf) {
        let Some(pending) = self.pending[index as usize].take() else { return };
        self.pending_free.push(index);
        self.finished.push(Finished { conn: pending.conn, seq: pending.seq, reply });
    }

    /// Puts a question to every core; `answer` answers for this one.
    pub fn ask_all(&mut self, conn: ConnId, seq: u32, request: &Request, own: Answer) {
        let index = self.pend(Pending {
            conn,
            seq,
            id: CommandId(0),
            manner: Manner { db: 0, proto: Proto::Resp2, no_touch: false },
            remaining: self.cores as u32,
            parts: Vec::new(),
            args: Vec::new(),
            step: Step::Ask { answers: (0..self.cores).map(|_| None).collect() },
        });
        let own_core = self.core;
        for core in (0..self.cores).filter(|c| *c != own_core) {
            let ticket = Ticket::Part { pending: index, part: core as u32 };
            self.mesh_after_commands(core, Message::Ask { ticket, request: Box::new(request.clone()) });
        }
        self.answer(Ticket::Part { pending: index, part: self.core as u32 }, own);
    }

    /// Tells a core something that needs no answer.
    pub fn tell(&mut self, core: usize, message: Message) {
        self.mesh_after_commands(core, message);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Ticket::Part { pending: index, part } = ticket else { return };
        let Some(pending) = self.pending[index as usize].as_mut() else { return };
        let Step::Ask { answers } = &mut pending.step else { return };
        answers[part as usize] = Some(answer);
        pending.remaining -= 1;
        if pending.remaining == 0 {
            let answers = std::mem::take(answers).into_iter().flatten().collect();
            let (conn, seq) = (pending.conn, pending.seq);
            self.pending[index as usize] = None;
            self.pending_free.push(index);
            self.answered.push(Answered { conn, seq, answers });
        }
    }

    /// Commands of another core: run, and send the replies back.
    pub fn on_commands(&mut self, from: usize, mut batch: Box<CommandBatch>, ran: Ran<'_>) {
        self.hops_in += batch.commands.len() as u64;
        hop::run_batch(&mut batch, &mut self.shard, &self.table, self.terms, |c, ticks, failed| {
            ran(c.id, ticks, failed);
        });
        self.mesh.send(from, Message::Replies(batch));
    }

    /// Replies to commands we sent. `deliver` gets those of single commands: connection, slot, bytes, and the large
    /// strings among them with their offsets.
    pub fn on_replies(&mut self, mut batch: Box<CommandBatch>, deliver: Deliver<'_>) {
        for slow in &batch.slow {
            let command = &batch.commands[slow.command as usize];
            if let Ticket::Slot { conn, .. } = command.ticket {
                let spans = &batch.spans[command.first as usize..(command.first + command.count) as usize];
                let args = Args::new(&batch.data, spans);
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
                Ticket::Part { pending, part } => {
                    let reply = OutBuf { bytes: bytes.to_vec(), bigs: spliced };
                    self.part_done(pending, part, reply);
                }
                Ticket::Nobody => {}
            }
            start = end;
        }
        self.outboxes.recycle(batch);
    }

    /// A fetch of another core, or the answer to ours.
    pub fn on_fetch(&mut self, from: usize, mut fetch: Box<Fetch>) {
        self.hops_in += 1;
        self.fetch_here(&mut fetch);
        self.mesh.send(from, Message::Fetched(fetch));
    }

    /// See [`Router::on_fetch`].
    pub fn on_fetched(&mut self, fetch: Fetch) {
        self.fetched(fetch);
    }

    /// A TwoPhase command whose home is here.
    pub fn on_home_run(&mut self, from: usize, mut run: Box<HomeRun>, ran: Ran<'_>) {
        self.hops_in += 1;
        let before = clock::ticks();
        hop::run_home(&mut run, &mut self.shard, &self.table, self.terms);
        ran(run.id, clock::ticks().wrapping_sub(before), run.reply.bytes.first() == Some(&b'-'));
        self.mesh.send(from, Message::HomeDone(run));
    }

    /// See [`Router::on_home_run`].
    pub fn on_home_done(&mut self, run: HomeRun) {
        self.home_done(run);
    }

    /// An answer to a question of ours.
    pub fn on_answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answer(ticket, answer);
    }
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

/// How the arguments of a Scatter command are cut: a head, units of one key each, a tail.
#[derive(Debug)]
struct Units {
    /// Arguments before the first key, the name included.
    head: Range<usize>,
    /// Index of the argument in the head that counts the keys, if one does.
    count_at: Option<usize>,
    /// First argument of the first unit, and the end of the last.
    keys: Range<usize>,
    /// Arguments per unit: the key, and its value if it has one.
    step: usize,
    /// Arguments behind the units.
    tail: Range<usize>,
}

impl Units {
    /// `None` if the arguments do not have the form that `cut` describes.
    fn of(cut: KeyCut, args: &Args<'_>) -> Option<Units> {
        let whole = cut.first < cut.end && (cut.end - cut.first).is_multiple_of(cut.step) && cut.end <= args.len();
        whole.then(|| Units {
            head: 0..cut.first,
            count_at: cut.count_at,
            keys: cut.first..cut.end,
            step: cut.step,
            tail: cut.end..args.len(),
        })
    }

    fn count(&self) -> usize {
        self.keys.len() / self.step
    }

    fn starts(&self) -> impl Iterator<Item = usize> {
        self.keys.clone().step_by(self.step)
    }

    /// The arguments of the part that holds these units.
    fn part(&self, args: &Args<'_>, units: &[u32]) -> Vec<Vec<u8>> {
        let mut part = Vec::with_capacity(self.head.len() + units.len() * self.step + self.tail.len());
        for i in self.head.clone() {
            if Some(i) == self.count_at {
                part.push(units.len().to_string().into_bytes());
            } else {
                part.push(args[i].to_vec());
            }
        }
        for &unit in units {
            let start = self.keys.start + unit as usize * self.step;
            part.extend((start..start + self.step).map(|i| args[i].to_vec()));
        }
        part.extend(self.tail.clone().map(|i| args[i].to_vec()));
        part
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

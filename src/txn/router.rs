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
use crate::resp::reply::{Proto, Reply};
use crate::runtime::mesh::Endpoint;
use crate::shard::keyspace::Shard;
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
    /// Whether the connection waited for this one ([`Outcome::Stalls`]).
    pub unstalls: bool,
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
pub(super) enum Step {
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
pub(super) struct Pending {
    pub(super) conn: ConnId,
    pub(super) seq: u32,
    pub(super) id: CommandId,
    pub(super) manner: Manner,
    /// Whether the connection waits for it.
    pub(super) stalls: bool,
    pub(super) remaining: u32,
    pub(super) parts: Vec<OutBuf>,
    /// Arguments by part (CheckedScatter), or of the whole command as the only element (TwoPhase).
    pub(super) args: Vec<(usize, Vec<Vec<u8>>)>,
    pub(super) step: Step,
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
    pub(super) scratch: Vec<Vec<u32>>,
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
            Plan::Relay { .. } => {
                Reply { out, proto: call.manner.proto }.error("ERR the keys of this command must be on one shard");
                Outcome::Done
            }
            Plan::Session => {
                Reply { out, proto: call.manner.proto }.error("ERR this command has no part on a shard");
                Outcome::Done
            }
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
            self.run_here(call, phase, args, out);
            return Outcome::Done;
        }
        self.send(to, Ticket::Slot { conn: call.conn, seq: call.seq }, call, phase, args);
        Outcome::Waits
    }

    #[inline]
    pub(super) fn run_here(&mut self, call: Call, phase: Phase, args: &mut Args<'_>, out: &mut OutBuf) {
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

    pub(super) fn send(&mut self, to: usize, ticket: Ticket, call: Call, phase: Phase, args: &mut Args<'_>) {
        let big = args.big_index().and_then(|i| Some((i as u32, args.take_big(i)?)));
        let command =
            RemoteCommand { ticket, id: call.id, phase, manner: call.manner, pos: call.pos, first: 0, count: 0 };
        self.outboxes.push(to, command, args.from(0), big);
        self.sent(to);
    }

    pub(super) fn send_owned(&mut self, to: usize, ticket: Ticket, call: Call, phase: Phase, args: &[Vec<u8>]) {
        let command =
            RemoteCommand { ticket, id: call.id, phase, manner: call.manner, pos: call.pos, first: 0, count: 0 };
        self.outboxes.push(to, command, args.iter().map(Vec::as_slice), None);
        self.sent(to);
    }

    pub(super) fn sent(&mut self, to: usize) {
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
        let index = self.pend(Pending {
            conn,
            seq,
            id: CommandId(0),
            manner: Manner { db: 0, proto: Proto::Resp2, no_touch: false },
            stalls: false,
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

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
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

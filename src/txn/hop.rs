//! Batches of commands for other shards: filled during a tick, sent at its end, run by the owner, sent back as the same
//! box. A pipeline over several shards costs one message per shard, not one per command.

use crate::base::bytes::BigString;
use crate::base::clock;
use crate::base::hash::{self, Position};
use crate::base::limits::{HOP_BATCH_BYTES_MAX, HOP_BATCH_COMMANDS_MAX};
use crate::commands::args::{Args, lay_out};
use crate::commands::context::CommandFn;
use crate::commands::context::Context;
use crate::commands::debug::{DebugCall, debug};
use crate::commands::spec::{CommandSpec, Plan, flag, key};
use crate::commands::table::CommandTable;
use crate::commands::{keys, sort};
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::shard::keyspace::Shard;
use crate::shard::tracking::Tracker;
use crate::txn::message::{CommandBatch, HomeRun, Phase, RemoteCommand, Slow, Ticket};
use crate::txn::wait::desk::{Desk, Means};
use crate::types::table::Table;
use smallvec::SmallVec;

/// Empty batches kept for reuse, and the batch under way to each core.
#[derive(Debug)]
pub struct Outboxes {
    open: Vec<Option<Box<CommandBatch>>>,
    #[expect(clippy::vec_box, reason = "the boxes travel between cores and back as they are")]
    spare: Vec<Box<CommandBatch>>,
}

/// Batches kept for reuse per core; more are freed.
const SPARE_BATCHES_MAX: usize = 64;
/// A batch whose buffers grew beyond this is freed, not kept.
const SPARE_BYTES_MAX: usize = 256 * 1024;

impl Outboxes {
    /// For `cores` cores.
    pub fn new(cores: usize) -> Self {
        Outboxes { open: (0..cores).map(|_| None).collect(), spare: Vec::new() }
    }

    /// Adds a command for `core`. Arguments that arrived in a buffer of their own move uncopied.
    pub fn push<'a>(
        &mut self,
        core: usize,
        command: RemoteCommand,
        args: impl Iterator<Item = &'a [u8]>,
        big: Option<(u32, BigString)>,
    ) {
        let spare = &mut self.spare;
        self.open[core].get_or_insert_with(|| spare.pop().unwrap_or_default()).push(command, args, big);
    }

    /// An empty batch.
    pub fn spare(&mut self) -> Box<CommandBatch> {
        self.spare.pop().unwrap_or_default()
    }

    /// Whether enough is gathered for `core`.
    pub fn is_full(&self, core: usize) -> bool {
        let full = |batch: &CommandBatch| {
            batch.data.len() > HOP_BATCH_BYTES_MAX || batch.commands.len() >= HOP_BATCH_COMMANDS_MAX
        };
        self.open[core].as_deref().is_some_and(full)
    }

    /// The batches to send now.
    pub fn take(&mut self, core: usize) -> Option<Box<CommandBatch>> {
        self.open[core].take()
    }

    /// Keeps an emptied batch for reuse.
    pub fn recycle(&mut self, mut batch: Box<CommandBatch>) {
        let bytes = batch.data.capacity() + batch.replies.bytes.capacity();
        if self.spare.len() < SPARE_BATCHES_MAX && bytes <= SPARE_BYTES_MAX {
            batch.clear();
            self.spare.push(batch);
        }
    }
}

/// The function that `plan` runs on a shard in this phase.
pub fn function(plan: &Plan, phase: Phase) -> Option<CommandFn> {
    match (plan, phase) {
        (Plan::Session, _) => None,
        (Plan::OneShard(f) | Plan::Scatter(f, _) | Plan::AllShards(f, _) | Plan::ByCursor(f), _) => Some(*f),
        (Plan::CheckedScatter { check, .. }, Phase::Check) => Some(*check),
        (Plan::CheckedScatter { run, .. } | Plan::TwoPhase { run, .. } | Plan::Relay { run, .. }, _) => Some(*run),
    }
}

/// Runs a command's part on this shard, and journals what it did.
#[inline]
pub fn run_phase(plan: &Plan, phase: Phase, ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if ctx.shard.events.journaled {
        recorded(ctx, args, |ctx, args| execute(plan, phase, ctx, args, reply));
    } else {
        execute(plan, phase, ctx, args, reply);
    }
}

/// Runs `run`, a command, and journals what it did. The journal must be on.
pub(super) fn recorded(ctx: &mut Context<'_>, args: &mut Args<'_>, run: impl FnOnce(&mut Context<'_>, &mut Args<'_>)) {
    ctx.shard.record_due();
    let (db, dirty) = (ctx.db, ctx.shard.dirty);
    // the function may take it away
    let big = args.big().map(|(at, bytes)| (at, bytes.clone()));
    run(ctx, args);
    let word = |index: usize| match &big {
        Some((at, bytes)) if *at == index => &bytes[..],
        _ => &args[index],
    };
    ctx.shard.record(db, dirty, (0..args.len()).map(word));
}

/// DEBUG's subcommands are not in the table: their function is found here.
#[inline]
fn execute(plan: &Plan, phase: Phase, ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match phase {
        Phase::Run | Phase::Check | Phase::Wait(_) => {}
        Phase::Cut(order) => {
            if ctx.shard.cut(order) {
                return reply.simple(order.reply);
            }
            return reply.error("ERR a later snapshot or log has begun");
        }
        Phase::Hold => return reply.ok(),
        Phase::Sorted => return sort::store_sorted(ctx, args, reply),
        Phase::EndJournal => {
            ctx.shard.events.journaled = false;
            return reply.ok();
        }
        Phase::Debug => {
            let databases = ctx.shard.tables.len();
            if let DebugCall::OnKey(_, run) | DebugCall::OnKeys(run, _) | DebugCall::OnShards(run, _) =
                debug(args, databases, reply)
            {
                run(ctx, args, reply);
            }
            return;
        }
        Phase::Renamed => {
            let wanted = std::mem::take(&mut ctx.shard.events.wanted);
            execute(plan, Phase::Run, ctx, args, reply);
            ctx.shard.events.wanted = wanted;
            return ctx.happen(class::GENERIC, "rename_from", &args[1]);
        }
    }
    match function(plan, phase) {
        Some(run) => run(ctx, args, reply),
        None => reply.error("ERR this command has no part on a shard"),
    }
}

/// Remembers that a client with CLIENT TRACKING on read the keys of this command that live here.
#[cold]
pub fn note_reads(reader: Tracker, spec: &CommandSpec, args: &Args<'_>, shard: &mut Shard) {
    if !reader.remembers || spec.flags & flag::READONLY == 0 || spec.flags & flag::PUBSUB != 0 {
        return;
    }
    for index in spec.key_indices(args) {
        let key = &args[index];
        if shard.slots.contains(&hash::slot(key)) {
            shard.events.tracking.read(reader, key);
        }
    }
}

/// What running commands for others needs besides the shard.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Largest string a command may build (proto-max-bulk-len).
    pub bulk_bytes_max: usize,
    /// A command that runs longer is noted, clock ticks.
    pub slow_ticks: u64,
}

/// Commands whose keys are looked up together, so that their cache misses overlap. Measured in `benches/prefetch`.
pub const PREFETCH_COMMANDS: usize = 16;

/// Fetches the memory of a few keys, given by database and position: their buckets, then their entries. One key alone
/// gains nothing.
#[inline]
pub fn prefetch(tables: &[Table], keys: impl Iterator<Item = (usize, Position)> + Clone) {
    for (db, pos) in keys.clone() {
        tables[db].prefetch_bucket(pos);
    }
    for (db, pos) in keys {
        tables[db].prefetch_entry(pos);
    }
}

/// A member that a command looks up in a value: the key's database, its position, the member's.
pub type Member = (usize, Position, Position);

/// Which of its words a command looks up in the value of its key, counted from 0; `None` if that is none of `count`.
#[inline]
pub fn member_word(spec: &CommandSpec, count: usize) -> Option<usize> {
    let at = isize::from(spec.member) + if spec.member < 0 { count as isize } else { 0 };
    (spec.member != 0 && (1..count as isize).contains(&at)).then_some(at as usize)
}

/// Fetches the memory of members, at most [`PREFETCH_COMMANDS`], of large values whose entries [`prefetch`] fetched.
/// Commands on one key often follow each other: its value is found once.
pub fn prefetch_members(tables: &[Table], members: impl Iterator<Item = Member> + Clone) {
    let mut values = [None; PREFETCH_COMMANDS];
    let mut last = None;
    for (found, (db, pos, member)) in values.iter_mut().zip(members.clone()) {
        *found = match last {
            Some((same_db, same_pos, value)) if same_db == db && same_pos == pos => value,
            _ => tables[db].likely_value(pos),
        };
        last = Some((db, pos, *found));
        if let Some(value) = found {
            value.prefetch_place(member);
        }
    }
    for (value, (.., member)) in values.iter().zip(members) {
        if let Some(value) = value {
            value.prefetch_member(member);
        }
    }
}

/// Where those who wait for keys are served after each command; none between the commands of a transaction.
pub(crate) type AtDesk<'a> = (&'a mut Desk, Means<'a>);

/// Runs every command of a batch from another core, in order, and leaves the replies in it. `ran` is told each command
/// and its duration in clock ticks, and whether its reply was an error.
pub(crate) fn run_batch(
    batch: &mut CommandBatch,
    shard: &mut Shard,
    table: &CommandTable,
    terms: Terms,
    mut desk: Option<AtDesk<'_>>,
    mut ran: impl FnMut(&RemoteCommand, u64, bool),
) {
    let mut before = clock::ticks();
    for chunk_start in (0..batch.commands.len()).step_by(PREFETCH_COMMANDS) {
        let chunk = &batch.commands[chunk_start..(chunk_start + PREFETCH_COMMANDS).min(batch.commands.len())];
        let chunk_len = chunk.len();
        if chunk_len > 1 {
            prefetch(&shard.tables, chunk.iter().filter_map(|c| Some((c.manner.db as usize, c.pos?))));
            let member = |c: &RemoteCommand| {
                let at = member_word(table.get(c.id), c.count as usize)?;
                let word = &batch.spans[c.first as usize + at];
                let word = &batch.data[word.start as usize..][..word.len as usize];
                Some((c.manner.db as usize, c.pos?, Position::of_member(word)))
            };
            let members: SmallVec<[Member; PREFETCH_COMMANDS]> = chunk.iter().filter_map(member).collect();
            if members.len() > 1 {
                prefetch_members(&shard.tables, members.iter().copied());
            }
        }
        for index in chunk_start..chunk_start + chunk_len {
            run_command(batch, index, shard, table, terms, &mut desk, &mut before, &mut ran);
        }
    }
}

/// Runs one command of a batch; those before it have run or left an empty reply.
#[inline]
#[expect(clippy::too_many_arguments, reason = "borrowed parts of the router")]
pub(crate) fn run_command(
    batch: &mut CommandBatch,
    index: usize,
    shard: &mut Shard,
    table: &CommandTable,
    terms: Terms,
    desk: &mut Option<AtDesk<'_>>,
    before: &mut u64,
    ran: &mut impl FnMut(&RemoteCommand, u64, bool),
) {
    let CommandBatch { data, spans, commands, bigs, replies, reply_ends, slow } = batch;
    let command = &commands[index];
    let spans = &spans[command.first as usize..(command.first + command.count) as usize];
    let big = if bigs.is_empty() { None } else { bigs.iter_mut().find(|b| b.0 as usize == index) };
    let mut args = match big {
        Some((_, at, bytes)) => Args::with_big(data, spans, *at as usize, bytes),
        None => Args::new(data, spans),
    };
    if let Phase::Wait(visit) = command.phase {
        // what becomes of it is told in a note
        if let Some((desk, means)) = desk {
            desk.visit(shard, *means, visit, (command.id, command.manner), &mut args);
        }
        reply_ends.push(replies.bytes.len() as u32);
        commands[index].ticket = Ticket::Nobody;
        return;
    }
    let start = replies.bytes.len();
    let mut ctx = Context {
        shard,
        db: command.manner.db as usize,
        no_touch: command.manner.no_touch,
        hint: command.pos,
        bulk_bytes_max: terms.bulk_bytes_max,
        foreign: &mut [],
    };
    let mut reply = Reply { out: replies, proto: command.manner.proto };
    let spec = table.get(command.id);
    ctx.shard.events.tracking.caller = command.manner.tracker;
    run_phase(&spec.plan, command.phase, &mut ctx, &mut args, &mut reply);
    if let Some(reader) = command.manner.tracker {
        note_reads(reader, spec, &args, shard);
    }
    if let Some((desk, means)) = desk
        && !shard.events.ready.is_empty()
    {
        desk.settle(shard, *means);
    }
    let failed = replies.bytes.get(start) == Some(&b'-');
    reply_ends.push(replies.bytes.len() as u32);
    let after = clock::ticks();
    let took = after.wrapping_sub(*before);
    *before = after;
    if matches!(command.ticket, Ticket::Part { .. }) {
        commands[index].took = u32::try_from(took).unwrap_or(u32::MAX);
    }
    if took >= terms.slow_ticks {
        slow.push(Slow { command: index as u32, micros: clock::ticks_to_us(took) });
    }
    ran(&commands[index], took, failed);
}

/// As [`recorded`], for a command that saw keys of other shards. Its words would not do the same again without those:
/// unless it left effects, the keys that it wrote stand in the journal as they are now.
fn recorded_home(
    ctx: &mut Context<'_>,
    args: &mut Args<'_>,
    spec: &CommandSpec,
    run: impl FnOnce(&mut Context<'_>, &mut Args<'_>),
) {
    ctx.shard.record_due();
    let dirty = ctx.shard.dirty;
    run(ctx, args);
    if ctx.shard.events.effects.is_some() || ctx.shard.dirty == dirty {
        return ctx.shard.record(ctx.db, dirty, std::iter::empty());
    }
    if spec.key_indices(args).all(|key| ctx.shard.slots.contains(&hash::slot(&args[key]))) {
        // its words do the same again: no key was foreign
        return ctx.shard.record(ctx.db, dirty, args.from(0).collect::<Vec<_>>().into_iter());
    }
    ctx.shard.record_due();
    let db = if spec.name == "copy" { keys::copied_to(args).unwrap_or(ctx.db) } else { ctx.db };
    let Ok(found) = spec.key_args(args) else { return };
    for written in found.filter(|found| found.flags & key::RO == 0) {
        let name = &args[written.index];
        if ctx.shard.slots.contains(&hash::slot(name)) {
            ctx.shard.record_key(db, name);
        }
    }
}

/// Runs a TwoPhase command on its home shard with the keys that were fetched for it.
pub fn run_home(run: &mut HomeRun, shard: &mut Shard, table: &CommandTable, terms: Terms) {
    let before = clock::ticks();
    let (data, spans) = lay_out(&run.args);
    let mut ctx = Context {
        shard,
        db: run.manner.db as usize,
        no_touch: run.manner.no_touch,
        hint: None,
        bulk_bytes_max: terms.bulk_bytes_max,
        foreign: &mut run.foreign,
    };
    let mut reply = Reply { out: &mut run.reply, proto: run.manner.proto };
    match function(&table.get(run.id).plan, Phase::Run) {
        Some(f) => {
            ctx.shard.events.tracking.caller = run.manner.tracker;
            let mut args = Args::new(&data, &spans);
            if ctx.shard.events.journaled {
                recorded_home(&mut ctx, &mut args, table.get(run.id), |ctx, args| f(ctx, args, &mut reply));
            } else {
                f(&mut ctx, &mut args, &mut reply);
            }
        }
        None => reply.error("ERR this command has no part on a shard"),
    }
    if let Some(reader) = run.manner.tracker {
        note_reads(reader, table.get(run.id), &Args::new(&data, &spans), shard);
    }
    for (unused, _) in run.foreign.iter_mut().filter_map(|foreign| foreign.found.take()) {
        shard.lazy.owned(unused);
    }
    run.took = clock::ticks().wrapping_sub(before);
}

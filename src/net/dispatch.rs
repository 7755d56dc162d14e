//! From received bytes to commands run: parse everything that arrived in this tick, look the keys of neighbouring
//! commands up together, run command after command. Checks what concerns the connection (arity, password, pause); what
//! concerns keys is the router's.

use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::base::limits;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::flags::{Flags, flag};
use crate::commands::spec::Plan;
use crate::commands::table::CommandId;
use crate::net::connection::{Big, Closing, Conn};
use crate::net::handshake::is_http;
use crate::net::inbox::RunTime;
use crate::net::loading::LOADING;
use crate::net::lookahead::Lookahead;
use crate::net::noted::{NotedKind, count_error};
use crate::net::output::truncate;
use crate::net::plain::Stopwatch;
use crate::net::prepare::{Known, Prepared, is_alike};
use crate::net::saving;
use crate::net::session::ReplyMode;
use crate::net::source::Source;
use crate::net::subscribe;
use crate::net::worker::{Pause, Worker};
use crate::resp::parse::{Batch, Parser, Source as At, Stop};
use crate::resp::reply::{Proto, Reply};
use crate::txn::finished::Cores;
use crate::txn::router::{Call, Outcome};
use std::sync::atomic::Ordering;

/// The refusal of commands that may need memory when there is none.
pub(super) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// Buffers that dispatch reuses from tick to tick.
#[derive(Debug, Default)]
pub struct Work {
    pub(super) batch: Batch,
    pub(super) runs: Vec<Run>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) ahead: Lookahead,
}

/// Commands parsed from one source of one connection.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) conn: u32,
    pub(super) source: Source,
    /// Its commands in the batch.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) consumed: usize,
    pub(super) stop: Stop,
}

/// Whether `set` contains `flag`.
fn has(set: Flags, flag: Flags) -> bool {
    set & flag != 0
}

/// Whether the commands behind this one may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    /// This command was run; the following ones wait.
    StopAfter,
    /// This command was not run and waits.
    StopBefore,
    /// This command was not run and waits for the replies of those before it.
    AwaitReplies,
}

impl Worker {
    /// Runs what arrived in this tick, and what waited for its turn.
    pub fn run_inputs(&mut self) {
        self.queue_ready();
        self.replied_bytes = 0;
        self.run_time = RunTime::begin(&self.clock);
        while !self.inbox.is_empty() {
            let mut work = std::mem::take(&mut self.work);
            self.parse_inbox(&mut work);
            self.run_all(&mut work);
            self.work = work;
        }
    }

    /// Has a connection that is held back looked at again at the end of CLIENT PAUSE.
    pub(super) fn postpone(&mut self, index: u32) {
        if !self.postponed.contains(&index) {
            self.postponed.push(index);
        }
    }

    fn run_all(&mut self, work: &mut Work) {
        let mut runs = std::mem::take(&mut work.runs);
        work.prepared.clear();
        work.ahead.clear();
        for run in &runs {
            self.prepare(work, run);
        }
        for run in runs.drain(..) {
            // What is sent soon is sent from the cache, by buffers that stay there: LRANGE of 100 elements in pipelines
            // of 16 takes 3.6 us of CPU instead of 5.5.
            let enough = self.replied_bytes > limits::OUTPUT_BYTES_PER_TICK || self.run_time.is_over(clock::ticks());
            if enough && self.may_put_off(&run) {
                self.put_off(run);
            } else {
                self.run_one(work, run);
            }
        }
        work.runs = runs;
    }

    fn run_one(&mut self, work: &mut Work, run: Run) {
        let Some(mut conn) = self.take_conn(run.conn) else { return self.recycle_source(run.source) };
        let mut out = std::mem::take(&mut conn.out);
        if out.bytes.capacity() == 0 {
            out = self.output();
        }
        let commands = &work.batch.commands[run.first..run.first + run.count];
        let prepared = &work.prepared[run.first..run.first + run.count];
        let mut offset = 0;
        let mut stopped = None;
        let mut watch = Stopwatch::start();
        let mut plain = self.is_plain(&conn);
        for (i, (command, known)) in commands.iter().zip(prepared).enumerate() {
            work.ahead.before(run.first + i, &self.router.shard.tables);
            let (bytes, spans) = work.batch.args(command, &run.source);
            let mut big = None;
            let mut args = match command.source {
                At::Big(index) => {
                    let Some(Big::Ready(value)) = conn.big.take().map(|b| *b) else { break };
                    Args::with_big(bytes, spans, index as usize, big.insert(value))
                }
                At::Buffer | At::Scratch => Args::new(bytes, spans),
            };
            let wire_bytes = command.bytes as usize;
            let short = match known {
                Prepared::Known(known) if plain && known.plain => {
                    let alike = known.short && is_alike(known.id, prepared.get(i + 1));
                    self.run_plain(&mut conn, known, &mut args, wire_bytes, &mut out, (&mut watch, alike))
                }
                _ => None,
            };
            let next = match short {
                Some(next) => next,
                None => {
                    if watch.untimed > 0 {
                        self.note_untimed(&conn, &mut watch);
                    }
                    let next = self.dispatch(&mut conn, *known, &mut args, wire_bytes, &mut out, &mut watch);
                    plain = self.is_plain(&conn);
                    next
                }
            };
            if !self.held.is_empty() {
                self.release_held(&mut conn, &mut out);
            }
            if !matches!(next, Next::StopBefore | Next::AwaitReplies) {
                offset += command.bytes as usize;
            }
            if next == Next::Go && conn.is_parked() && self.must_drain(&commands[i..], &prepared[i..]) {
                conn.stalled = true;
                self.draining.push(conn.id);
                stopped = Some(Next::StopAfter);
                break;
            }
            // others get their turn; the clock was read after the last command that may be slow
            let over = i + 1 < commands.len() && self.run_time.is_over(watch.since);
            if next != Next::Go || over {
                stopped = Some(next);
                break;
            }
        }
        if watch.untimed > 0 {
            self.note_untimed(&conn, &mut watch);
        }
        conn.active_ms = self.clock.unix_ms();
        self.replied_bytes += out.bytes.len();
        conn.out = out;
        // one that ended, or whose receiving was paused, is looked at again, replies or not
        if !conn.out.is_empty() || conn.closing != Closing::No || conn.receive_paused || conn.ended {
            self.touch(&mut conn);
        }
        conn.starved = false;
        let rest = if stopped.is_some() {
            conn.parser = Parser::default();
            offset
        } else {
            run.consumed
        };
        self.keep_rest(&mut conn, run.source, rest);
        let index = conn.id.index;
        match stopped {
            Some(Next::StopBefore) => {
                conn.held_back = true;
                self.postpone(index);
            }
            Some(Next::StopAfter | Next::AwaitReplies) => {}
            Some(Next::Go) => self.go_on_next_tick(&mut conn),
            None => self.after_run(&mut conn, run.stop, run.consumed),
        }
        self.put_conn(conn);
    }

    /// What the parser said when it came to the end of the bytes.
    fn after_run(&mut self, conn: &mut Conn, stop: Stop, consumed: usize) {
        if conn.closing != Closing::No {
            return;
        }
        match stop {
            Stop::NeedMore { hint } => {
                // unless bytes of a later buffer have joined the rest of this one
                conn.starved = !conn.queued;
                conn.input.reserve_exact(hint.min(limits::BIG_ARG_RESERVE_MAX));
            }
            Stop::Big { len, payload, .. } => self.start_big(conn, len, payload - consumed),
            Stop::Full => self.go_on_next_tick(conn),
            Stop::Error(error) => {
                conn.input.clear();
                self.refuse(conn, &error.text());
            }
        }
    }

    /// Checks a command and runs it, here or elsewhere.
    fn dispatch(
        &mut self,
        conn: &mut Conn,
        known: Prepared,
        args: &mut Args<'_>,
        wire_bytes: usize,
        out: &mut OutBuf,
        watch: &mut Stopwatch,
    ) -> Next {
        let mark = out.bytes.len();
        let Prepared::Known(Known { id, pos, .. }) = known else {
            if is_http(&args[0]) {
                // a browser that was made to speak to us: what follows may be anybody's words
                self.close(conn, Closing::Now);
                return Next::StopAfter;
            }
            let mut reply = Reply::new(out, conn.session.proto);
            if matches!(known, Prepared::UnknownSub) {
                errors::unknown_subcommand(args, &mut reply);
            } else {
                errors::unknown_command(args, &mut reply);
            }
            return self.rejected(conn, None, out, mark);
        };
        let spec = self.router.table.get(id);
        let (spec_flags, session) = (spec.flags, matches!(spec.plan, Plan::Session));
        let single = matches!(spec.plan, Plan::OneShard(_) | Plan::ByCursor(_));
        if !spec.accepts(args.len()) {
            errors::wrong_arity(spec.name, &mut Reply::new(out, conn.session.proto));
            return self.rejected(conn, Some(id), out, mark);
        }
        if !conn.session.authenticated && !has(spec_flags, flag::NO_AUTH) {
            Reply::new(out, conn.session.proto).error("NOAUTH Authentication required.");
            return self.rejected(conn, Some(id), out, mark);
        }
        let subscribes = has(spec_flags, flag::PUBSUB) && has(spec_flags, flag::NOSCRIPT);
        if conn.subscriptions.is_some() && conn.session.proto == Proto::Resp2 && !subscribes {
            let name = spec.name;
            if !matches!(name, "ping" | "quit" | "reset") {
                subscribe::refuse_while_subscribed(name, out);
                return self.rejected(conn, Some(id), out, mark);
            }
        }
        if subscribes && conn.is_parked() && args.big_index().is_none() {
            // its confirmation and the messages after it must not overtake earlier replies
            return Next::AwaitReplies;
        }
        let in_multi = conn.session.multi.is_some();
        if self.pause != Pause::No {
            let queued = has(spec_flags, flag::NOT_QUEUED) && conn.session.multi.as_ref().is_some_and(|m| m.writes);
            let flags = if queued && spec.name == "exec" { spec_flags | flag::WRITE } else { spec_flags };
            if self.is_paused(flags, id) {
                conn.last_command = Some(id);
                return Next::StopBefore;
            }
        }
        if self.loading.active && !has(spec_flags, flag::LOADING) {
            Reply::new(out, conn.session.proto).error(LOADING);
            return self.rejected(conn, Some(id), out, mark);
        }
        if has(spec_flags, flag::DENYOOM) && self.is_out_of_memory() {
            Reply::new(out, conn.session.proto).error(OUT_OF_MEMORY);
            return self.rejected(conn, Some(id), out, mark);
        }
        if self.saving.stops_writes && (has(spec_flags, flag::WRITE) || spec.name == "ping") {
            Reply::new(out, conn.session.proto).error(saving::CANNOT_SAVE);
            return self.rejected(conn, Some(id), out, mark);
        }
        if has(spec_flags, flag::WRITE) && self.refuses_writes(conn, out) {
            return self.rejected(conn, Some(id), out, mark);
        }
        if in_multi && has(spec_flags, flag::NO_MULTI) {
            Reply::new(out, conn.session.proto).error("ERR Command not allowed inside a transaction");
            return self.rejected(conn, Some(id), out, mark);
        }
        let queued = in_multi && !has(spec_flags, flag::NOT_QUEUED);
        let monitored = self.shared.monitors.load(Ordering::Relaxed) > 0
            && !has(spec_flags, flag::SKIP_MONITOR)
            && !has(spec_flags, flag::ADMIN);
        if monitored && !session && !queued {
            let name = self.router.table.get(id).name;
            self.feed_monitors(name, conn, args, out);
        }
        let mark = out.bytes.len();
        conn.commands += 1;
        conn.last_command = Some(id);
        let mode = conn.session.reply_mode;
        if mode == ReplyMode::SkipNext {
            conn.session.reply_mode = ReplyMode::Skipping;
        }
        let outcome = if queued {
            // what may take steps is asked about when EXEC comes
            let pos = pos.filter(|_| !has(spec_flags, flag::COPIES));
            if !self.queue(conn, id, pos, args, out) {
                return Next::StopAfter;
            }
            Outcome::Done
        } else if session {
            match self.handlers.session[id.index()] {
                Some(handler) => handler(self, conn, args, out),
                None => {
                    errors::unknown_command(args, &mut Reply::new(out, conn.session.proto));
                    Outcome::Done
                }
            }
        } else {
            let call = Call { id, manner: conn.session.manner(), pos, conn: conn.id, seq: conn.next_seq() };
            if has(spec_flags, flag::BLOCKING) && self.router.table.get(id).blocking.is_some() {
                let blocked = self.router.block(call, args, out);
                conn.blocked = blocked.slot;
                blocked.outcome
            } else {
                self.router.call(call, args, out)
            }
        };
        if outcome == Outcome::Done && !queued && (!session || spec.name == "exec" || has(spec_flags, flag::LOCKS_ALL))
        {
            conn.seen |= Cores::one(self.router.core);
        }
        self.publish_events();
        if let Some(tracking) = &mut conn.session.tracking
            && tracking.caching
            && conn.session.multi.is_none()
            && !spec.name.starts_with("client|")
        {
            tracking.caching = false;
        }
        if monitored && session && !queued {
            // As in Redis, SELECT is shown in the database it selects, and RESET no longer to who left MONITOR by it.
            let name = self.router.table.get(id).name;
            self.feed_monitors(name, conn, args, out);
        }
        let (_, took) = watch.read();
        let muted = match conn.session.reply_mode {
            ReplyMode::On => false,
            ReplyMode::Off => mode == ReplyMode::Off,
            ReplyMode::SkipNext => mode == ReplyMode::SkipNext,
            ReplyMode::Skipping => {
                conn.session.reply_mode = ReplyMode::On;
                true
            }
        };
        // one that another shard runs, or this one later, is counted there
        let here = outcome == Outcome::Done || !single && (session || outcome == Outcome::Stalls);
        if here && !queued {
            // one that waits is noted when it is served
            let unnoted = if outcome == Outcome::Stalls { flag::SKIP_SLOWLOG } else { 0 };
            self.note_ran(conn, (id, spec_flags | unnoted), (1, took), args, out, mark);
        }
        self.note_sizes(conn, args, wire_bytes, out.bytes.len() - mark);
        match outcome {
            Outcome::Done => {
                if muted && !subscribes {
                    truncate(out, mark);
                } else if conn.is_parked() {
                    conn.park_ready(out, mark);
                }
            }
            Outcome::Waits => conn.park(muted),
            Outcome::Stalls => {
                conn.park(muted);
                conn.stalled = true;
                return Next::StopAfter;
            }
        }
        self.next_after(conn, out)
    }

    /// Whether the next command may run, as far as the output goes.
    #[inline]
    pub(super) fn next_after(&mut self, conn: &mut Conn, out: &OutBuf) -> Next {
        let flooding = self.pushed_bytes > limits::PUSHED_BYTES_PER_TICK;
        if flooding {
            // what it published is to leave before it publishes more
            self.touch(conn);
        }
        let clogged = flooding || conn.sending + out.len() > limits::OUTPUT_PAUSE_BYTES || conn.has_many_parked();
        if conn.closing != Closing::No || clogged { Next::StopAfter } else { Next::Go }
    }

    /// Counts calls of a command that ran here, the last with a reply that begins at `mark`, and notes it if they were
    /// slow.
    #[inline]
    pub(super) fn note_ran(
        &mut self,
        conn: &Conn,
        (id, flags): (CommandId, Flags),
        (calls, ticks): (u64, u64),
        args: &Args<'_>,
        out: &OutBuf,
        mark: usize,
    ) {
        let failed = out.bytes.get(mark) == Some(&b'-');
        self.count_runs(id, (calls, ticks), failed);
        if failed {
            count_error(&mut self.error_counts, &out.bytes[mark + 1..]);
        }
        if ticks >= self.slow_ticks && !has(flags, flag::SKIP_SLOWLOG) {
            self.note(conn, NotedKind::Slow, clock::ticks_to_us(ticks), args);
        }
    }

    /// An error before the command ran.
    fn rejected(&mut self, conn: &mut Conn, id: Option<CommandId>, out: &mut OutBuf, mark: usize) -> Next {
        self.abort_multi(conn, id, out, mark);
        self.counters().errors.add(1);
        if let Some(id) = id {
            self.counters().by_command[id.index()].rejected.add(1);
        }
        count_error(&mut self.error_counts, &out.bytes[mark + 1..]);
        match conn.session.reply_mode {
            ReplyMode::On => {
                if conn.is_parked() {
                    conn.park_ready(out, mark);
                }
            }
            ReplyMode::Off => truncate(out, mark),
            ReplyMode::SkipNext | ReplyMode::Skipping => {
                conn.session.reply_mode = ReplyMode::On;
                truncate(out, mark);
            }
        }
        Next::Go
    }
}

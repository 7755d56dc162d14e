//! MULTI, EXEC, DISCARD, WATCH, UNWATCH on the connection's side: what is queued, what EXEC refuses, and the commands
//! inside a transaction that concern the connection itself. Locks and shards are the router's.

use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::base::hash::{self, Position};
use crate::commands::args::{Args, lay_out};
use crate::commands::flags::flag;
use crate::commands::table::CommandId;
use crate::net::connection::{Closing, Conn};
use crate::net::dispatch::OUT_OF_MEMORY;
use crate::net::noted::count_error;
use crate::net::session::Multi;
use crate::net::worker::Worker;
use crate::resp::reply::Reply;
use crate::txn::message::{ConnId, Phase, RemoteCommand, Ticket};
use crate::txn::router::Outcome;
use crate::txn::transaction::Exec;
use std::sync::atomic::Ordering;

/// MULTI
pub fn multi(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    if conn.session.multi.is_some() {
        reply.error("ERR MULTI calls can not be nested");
    } else {
        let commands = worker.router.queue();
        conn.session.multi = Some(Box::new(Multi { commands, ..Multi::default() }));
        reply.ok();
    }
    Outcome::Done
}

/// DISCARD
pub fn discard(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    if conn.session.multi.take().is_none() {
        Reply::new(out, conn.session.proto).error("ERR DISCARD without MULTI");
        return Outcome::Done;
    }
    forget_watched(worker, conn);
    Reply::new(out, conn.session.proto).ok();
    Outcome::Done
}

/// About what a watched key takes beside its name.
const WATCHED_KEY_BYTES: usize = 48;

/// WATCH key [key ...]
pub fn watch(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    if conn.session.multi.is_some() {
        Reply::new(out, conn.session.proto).error("ERR WATCH inside MULTI is not allowed");
        return Outcome::Done;
    }
    let cores = worker.router.watch(conn.id, conn.next_seq(), conn.session.manner(), args);
    let session = &mut conn.session;
    for key in args.from(1) {
        if session.watched_keys.insert(hash::hash(key) ^ session.db as u64) {
            session.watched_bytes += key.len() + WATCHED_KEY_BYTES;
        }
    }
    for core in cores {
        if !conn.session.watched.contains(&core) {
            conn.session.watched.push(core);
        }
    }
    Outcome::Waits
}

/// UNWATCH
pub fn unwatch(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    forget_watched(worker, conn);
    Reply::new(out, conn.session.proto).ok();
    Outcome::Done
}

/// Ends every WATCH of a connection.
pub fn forget_watched(worker: &mut Worker, conn: &mut Conn) {
    worker.router.unwatch(conn.id, &conn.session.watched);
    conn.session.take_watched();
}

/// EXEC
pub fn exec(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let Some(multi) = conn.session.multi.take() else {
        Reply::new(out, conn.session.proto).error("ERR EXEC without MULTI");
        return Outcome::Done;
    };
    let mut multi = *multi;
    if multi.aborted {
        forget_watched(worker, conn);
        Reply::new(out, conn.session.proto).error("EXECABORT Transaction discarded because of previous errors.");
        return Outcome::Done;
    }
    if multi.writes
        && let Some(refusal) = worker.log_refusal()
    {
        forget_watched(worker, conn);
        let text = format!("EXECABORT Transaction discarded because of: {refusal}");
        Reply::new(out, conn.session.proto).error(&text);
        return Outcome::Done;
    }
    if multi.needs_memory && worker.is_out_of_memory() {
        forget_watched(worker, conn);
        let text = format!("EXECABORT Transaction discarded because of: {OUT_OF_MEMORY}");
        Reply::new(out, conn.session.proto).error(&text);
        return Outcome::Done;
    }
    if multi.writes && worker.saving.stops_writes {
        forget_watched(worker, conn);
        let text = format!("EXECABORT Transaction discarded because of: {}", crate::net::saving::CANNOT_SAVE);
        Reply::new(out, conn.session.proto).error(&text);
        return Outcome::Done;
    }
    if worker.shared.monitors.load(Ordering::Relaxed) > 0 {
        for index in 0..multi.commands.commands.len() {
            let (command, args) = multi.commands.args(index);
            let spec = worker.router.table.get(command.id);
            if !spec.has(flag::SKIP_MONITOR | flag::ADMIN) {
                worker.feed_monitors(spec.name, conn, &args, out);
            }
        }
    }
    let watched = conn.session.take_watched();
    let exec =
        Exec { conn: conn.id, seq: conn.next_seq(), manner: conn.session.manner(), commands: multi.commands, watched };
    worker.router.exec(exec, out)
}

impl Worker {
    /// Queues a command behind MULTI; false if the connection was closed for having queued too much.
    pub(super) fn queue(
        &mut self,
        conn: &mut Conn,
        id: CommandId,
        pos: Option<Position>,
        args: &Args<'_>,
        out: &mut OutBuf,
    ) -> bool {
        let manner = conn.session.manner();
        let Some(multi) = conn.session.multi.as_deref_mut() else { return true };
        let command = RemoteCommand { pos, ..RemoteCommand::new(id, Phase::Run, manner, Ticket::Nobody) };
        multi.commands.push_args(command, args);
        let spec = self.router.table.get(id);
        multi.writes |= spec.has(flag::WRITE | flag::MAY_REPLICATE);
        multi.needs_memory |= spec.has(flag::DENYOOM);
        let bytes = multi.commands.argument_bytes() as u64;
        if bytes > self.config.client_query_buffer_limit || bytes > u64::from(u32::MAX) {
            self.counters().query_limit_closed.add(1);
            self.close(conn, Closing::Now);
            return false;
        }
        Reply::new(out, manner.proto).simple("QUEUED");
        true
    }

    /// A command was refused: a transaction that it was to belong to will be. EXEC itself refused ends the transaction,
    /// and says so even where there is none.
    pub(super) fn abort_multi(&mut self, conn: &mut Conn, id: Option<CommandId>, out: &mut OutBuf, mark: usize) {
        if let Some(multi) = conn.session.multi.as_deref_mut() {
            multi.aborted = true;
        }
        if id.is_some_and(|id| self.router.table.get(id).name == "exec") {
            conn.session.multi = None;
            forget_watched(self, conn);
            let refusal = out.bytes.split_off(mark);
            let text = refusal.strip_prefix(b"-").unwrap_or(&refusal);
            let text = text.strip_prefix(b"ERR ").unwrap_or(text);
            let text = text.strip_suffix(b"\r\n").unwrap_or(text);
            let text = [b"EXECABORT Transaction discarded because of: ", text].concat();
            Reply::new(out, conn.session.proto).error_bytes(&text);
        }
    }

    /// Runs the commands inside transactions that concern their connections; true if there were any.
    pub(super) fn run_turns(&mut self) -> bool {
        let mut any = false;
        for (id, pending) in std::mem::take(&mut self.router.turns) {
            any = true;
            self.run_turn(id, pending);
        }
        let mut open = std::mem::take(&mut self.open_turns);
        open.retain(|(id, pending)| {
            let waits = match self.conn_mut(*id) {
                Some(conn) => conn.turn.as_ref().is_some_and(|turn| turn.1.is_none()),
                // what it began goes on, under the locks of the transaction
                None => self.is_within(*pending),
            };
            if !waits {
                any = true;
                self.end_turn(*id, *pending);
            }
            waits
        });
        self.open_turns.append(&mut open);
        any
    }

    fn run_turn(&mut self, id: ConnId, pending: u32) {
        let Some((command, words)) = self.router.turn(pending) else { return };
        if self.conn_mut(id).is_none() {
            return self.end_turn(id, pending);
        }
        let Some(mut conn) = self.take_conn(id.index) else { return };
        let (data, spans) = lay_out(&words);
        let mut args = Args::new(&data, &spans);
        let mut out = OutBuf::default();
        let before = clock::ticks();
        let spec = self.router.table.get(command);
        self.router.borrows = self.router.turn_of(pending).filter(|_| spec.has(flag::WITHIN_LOCKS));
        let outcome = match self.handlers.session[command.index()] {
            _ if spec.name == "monitor" => {
                Reply::new(&mut out, conn.session.proto).error("ERR MONITOR isn't allowed for DENY BLOCKING client");
                Outcome::Done
            }
            Some(handler) => handler(self, &mut conn, &mut args, &mut out),
            None => {
                crate::commands::errors::unknown_command(&args, &mut Reply::new(&mut out, conn.session.proto));
                Outcome::Done
            }
        };
        self.router.borrows = None;
        let (manner, took) = (conn.session.manner(), clock::ticks().wrapping_sub(before));
        self.note_slow_turn(&conn, command, took, &args);
        if outcome == Outcome::Done {
            self.router.ran.push((command, took, out.bytes.first() == Some(&b'-')));
            self.put_conn(conn);
            return self.router.turn_done(pending, out, manner);
        }
        self.router.ran.push((command, took, false));
        conn.turn = Some(Box::new((conn.next_seq(), None)));
        self.put_conn(conn);
        self.open_turns.push((id, pending));
    }

    /// Whether something that a transaction's connection began on its turn has not ended.
    fn is_within(&self, pending: u32) -> bool {
        let reload = self.saving.reload.as_ref().and_then(|reload| reload.within);
        let mut turns = self.migrations.turns().chain(reload);
        turns.any(|turn| turn.pending == pending)
    }

    /// The reply is there, or nobody waits for it any more.
    fn end_turn(&mut self, id: ConnId, pending: u32) {
        let (reply, manner) = match self.conn_mut(id) {
            Some(conn) => {
                let reply = conn.turn.take().and_then(|turn| turn.1).unwrap_or_default();
                (reply, conn.session.manner())
            }
            None => (OutBuf::default(), crate::net::session::Session::new(true).manner()),
        };
        self.router.turn_done(pending, reply, manner);
    }

    /// Tells connections that keys of this shard which they watch have changed.
    pub(super) fn spread_watch_news(&mut self) {
        if !self.router.shard.watches.news.is_empty() {
            self.router.spread_watch_news().into_iter().for_each(|conn| self.on_watched_changed(conn));
        }
    }

    /// A key that a connection of this core watches has changed.
    pub(super) fn on_watched_changed(&mut self, id: ConnId) {
        if let Some(conn) = self.conn_mut(id)
            && !conn.session.watched.is_empty()
        {
            conn.session.watched_changed = true;
        }
    }

    /// Counts commands that ran in transactions, and their errors.
    pub(super) fn count_ran(&mut self) {
        let mut ran = std::mem::take(&mut self.router.ran);
        for (id, ticks, failed) in ran.drain(..) {
            self.count_runs(id, (1, ticks), failed);
        }
        self.router.ran = ran;
        for code in self.router.failures.drain(..) {
            count_error(&mut self.error_counts, &code);
        }
    }
}

const _: () = assert!(size_of::<Multi>() <= 64, "a connection between MULTI and EXEC carries little");

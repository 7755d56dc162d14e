//! MIGRATE: keys to another server, and away from here once that has them. The core goes on serving meanwhile: a thread
//! of its own speaks to the target.
//!
//! ```text
//! watch the keys -> copy them, as one transaction -> send, on a thread -> delete them, unless they changed
//! ```
//! A key that changed while it was sent is copied and sent again; after [`ATTEMPTS_MAX`] times MIGRATE gives up, and
//! the key stays in both places. In Redis nothing can change meanwhile, as nothing runs. Inside a transaction nothing
//! can either: it holds the keys' locks until the target has answered.

mod errand;

use crate::base::bytes::OutBuf;
use crate::base::limits;
use crate::base::text::parse_i64;
use crate::commands::args::{Args, lay_out};
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::worker::Worker;
use crate::persist::aof::frontier::Participants;
use crate::resp::reply::{Proto, Reply};
use crate::runtime::affinity;
use crate::txn::finished::{Cores, Finished};
use crate::txn::gather::flatten;
use crate::txn::message::{CommandBatch, ConnId, Manner, Phase, RemoteCommand, Ticket};
use crate::txn::nested::Turn;
use crate::txn::router::Outcome;
use crate::txn::transaction::Exec;
use errand::{Errand, Parcel, Report, Trouble};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// In the place of a connection: what the keys are watched and copied for. The generation is the migration's number.
const INDEX: u32 = u32::MAX - 1;
/// How often keys that go on changing are sent.
const ATTEMPTS_MAX: u32 = 8;
/// The timeout that stands for one that is not positive, milliseconds (as in Redis).
const TIMEOUT_MS_DEFAULT: u64 = 1000;

/// What MIGRATE was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    host: String,
    port: String,
    db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    user: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Watching,
    Copying,
    Sending,
    Deleting,
}

#[derive(Debug)]
struct Migration {
    conn: ConnId,
    seq: u32,
    manner: Manner,
    order: Order,
    /// The turn in a transaction that it is part of: nothing can change meanwhile.
    within: Option<Turn>,
    stage: Stage,
    /// Cores that watch its keys.
    cores: Vec<usize>,
    /// Keys that were sent, by index; and of those, the ones that the target took.
    sent: Vec<usize>,
    taken: Vec<usize>,
    /// Keys that have gone from here, or need not go: the rest is looked at again.
    done: Vec<bool>,
    /// Keys that the target has from an earlier attempt.
    there: Vec<bool>,
    attempts: u32,
    trouble: Option<Trouble>,
    /// The transaction that deleted them, which the reply has to wait for.
    wrote: Option<Arc<Participants>>,
}

/// The migrations of one core.
#[derive(Debug)]
pub(crate) struct Migrations {
    active: HashMap<u32, Migration>,
    next: u32,
    running: usize,
    waiting: VecDeque<Errand>,
    reports: (Sender<Report>, Receiver<Report>),
}

impl Default for Migrations {
    fn default() -> Self {
        let (waiting, active) = (VecDeque::new(), HashMap::new());
        Migrations { active, next: 0, running: 0, waiting, reports: channel() }
    }
}

impl Migrations {
    /// The turns in transactions that migrations are part of.
    pub(super) fn turns(&self) -> impl Iterator<Item = Turn> {
        self.active.values().filter_map(|migration| migration.within)
    }
}

impl Order {
    fn parse(args: &Args<'_>) -> Result<Order, &'static str> {
        let (mut copy, mut replace, mut user, mut password) = (false, false, None, None);
        let mut keys = vec![args[3].to_vec()];
        let mut at = 6;
        while at < args.len() {
            let more = args.len() - at - 1;
            let is = |word: &[u8]| args[at].eq_ignore_ascii_case(word);
            if is(b"copy") {
                copy = true;
            } else if is(b"replace") {
                replace = true;
            } else if is(b"auth") && more >= 1 {
                at += 1;
                password = Some(args[at].to_vec());
            } else if is(b"auth2") && more >= 2 {
                (user, password) = (Some(args[at + 1].to_vec()), Some(args[at + 2].to_vec()));
                at += 2;
            } else if is(b"keys") {
                if !args[3].is_empty() {
                    return Err("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
                }
                keys = args.from(at + 1).map(<[u8]>::to_vec).collect();
                break;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        let timeout = parse_i64(&args[5]).ok_or(errors::NOT_INTEGER)?;
        let db = parse_i64(&args[4]).ok_or(errors::NOT_INTEGER)?;
        let timeout_ms = u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS_DEFAULT);
        let text = |index: usize| String::from_utf8_lossy(&args[index]).into_owned();
        let (host, port, timeout) = (text(1), text(2), Duration::from_millis(timeout_ms));
        Ok(Order { host, port, db, timeout, copy, replace, user, password, keys })
    }
}

/// `MIGRATE host port key|"" destination-db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 username password]
/// [KEYS key [key ...]]`
pub fn migrate(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let order = match Order::parse(args) {
        Ok(order) => order,
        Err(text) => {
            reply.error(text);
            return Outcome::Done;
        }
    };
    if order.keys.is_empty() {
        reply.simple("NOKEY");
        return Outcome::Done;
    }
    let number = worker.migrations.next;
    worker.migrations.next = number.wrapping_add(1);
    let manner = Manner { proto: Proto::Resp2, no_touch: true, tracker: None, ..conn.session.manner() };
    let count = order.keys.len();
    let mut migration = Migration {
        conn: conn.id,
        seq: conn.next_seq(),
        manner,
        order,
        within: worker.router.borrows,
        stage: Stage::Watching,
        cores: Vec::new(),
        sent: Vec::new(),
        taken: Vec::new(),
        done: vec![false; count],
        there: vec![false; count],
        attempts: 0,
        trouble: None,
        wrote: None,
    };
    if migration.within.is_none() {
        worker.watch_for(number, &mut migration);
    } else {
        worker.copy_keys(number, &mut migration);
    }
    worker.migrations.active.insert(number, migration);
    Outcome::Stalls
}

/// The connection that stands for a migration.
fn stand_in(number: u32) -> ConnId {
    ConnId { index: INDEX, generation: number }
}

impl Worker {
    fn watch_for(&mut self, number: u32, migration: &mut Migration) {
        migration.stage = Stage::Watching;
        let left = migration.left();
        let mut words: Vec<&[u8]> = vec![b"WATCH"];
        words.extend(left.iter().map(|index| &migration.order.keys[*index][..]));
        let (data, spans) = lay_out(&words);
        migration.cores = self.router.watch(stand_in(number), 0, migration.manner, &Args::new(&data, &spans));
    }

    /// Takes a reply that is a migration's; gives it back if it is not.
    pub(super) fn take_migrated(&mut self, finished: Finished) -> Option<Finished> {
        if finished.conn.index != INDEX {
            return Some(finished);
        }
        self.migrated(finished.conn.generation, finished.reply, finished.wrote);
        None
    }

    /// The next step of a migration: `reply` is what came of the last one.
    fn migrated(&mut self, number: u32, mut reply: OutBuf, wrote: Option<Arc<Participants>>) {
        let Some(mut migration) = self.migrations.active.remove(&number) else { return };
        migration.wrote = wrote;
        flatten(&mut reply);
        let ended = match migration.stage {
            Stage::Watching => {
                self.copy_keys(number, &mut migration);
                None
            }
            Stage::Copying => self.send_keys(number, &mut migration, &reply.bytes),
            Stage::Deleting => self.deleted(number, &mut migration, &reply.bytes),
            Stage::Sending => None,
        };
        match ended {
            Some(text) => self.end_migration(number, &migration, &text),
            None => drop(self.migrations.active.insert(number, migration)),
        }
    }

    /// Runs commands on the keys as one transaction; its reply comes to [`Worker::migrated`], perhaps at once.
    fn run_for(&mut self, number: u32, migration: &Migration, commands: Box<CommandBatch>, watched: Vec<usize>) {
        let exec = Exec { conn: stand_in(number), seq: 0, manner: migration.manner, commands, watched };
        let mut reply = OutBuf::default();
        if self.within(migration.within, |worker| worker.router.exec(exec, &mut reply)) == Outcome::Done {
            let (conn, seen) = (stand_in(number), Cores::ALL);
            self.router.finished.push(Finished {
                conn,
                seq: 0,
                reply,
                command: None,
                unstalls: false,
                seen,
                wrote: None,
            });
        }
    }

    fn queue_words(&self, batch: &mut CommandBatch, manner: Manner, words: &[&[u8]]) {
        let Some(id) = self.router.table.lookup_any(words[0]) else { return };
        let command = RemoteCommand::new(id, Phase::Run, manner, Ticket::Nobody);
        batch.push(command, words.iter().copied(), None);
    }

    fn copy_keys(&mut self, number: u32, migration: &mut Migration) {
        migration.stage = Stage::Copying;
        let mut batch = self.router.queue();
        for index in migration.left() {
            let key = &migration.order.keys[index];
            self.queue_words(&mut batch, migration.manner, &[b"DUMP", key]);
            self.queue_words(&mut batch, migration.manner, &[b"PEXPIRETIME", key]);
        }
        self.run_for(number, migration, batch, Vec::new());
    }

    fn send_keys(&mut self, number: u32, migration: &mut Migration, reply: &[u8]) -> Option<String> {
        migration.stage = Stage::Sending;
        migration.sent.clear();
        let Some(copies) = errand::copies(reply) else { return Some("-ERR the keys cannot be copied".into()) };
        let mut parcels = Vec::new();
        let now_ms = self.clock.unix_ms();
        for (index, (payload, expire_ms)) in migration.left().into_iter().zip(copies) {
            let Some(payload) = payload else {
                migration.done[index] = true;
                continue;
            };
            let ttl_ms = expire_ms.map_or(0, |at| at.saturating_sub(now_ms).max(1));
            let replace = migration.order.replace || migration.there[index];
            let key = migration.order.keys[index].clone();
            parcels.push(Parcel { key, payload: payload.to_vec(), ttl_ms, replace });
            migration.sent.push(index);
        }
        if parcels.is_empty() {
            return Some(if migration.attempts == 0 { "+NOKEY".into() } else { migration.verdict() });
        }
        migration.attempts += 1;
        let order = &migration.order;
        let (doorbells, core) = (self.shared.doorbells.clone(), self.router.core);
        let errand = Errand {
            number,
            host: order.host.clone(),
            port: order.port.clone(),
            db: order.db,
            timeout: order.timeout,
            user: order.user.clone(),
            password: order.password.clone(),
            parcels,
            reports: self.migrations.reports.0.clone(),
            wake: Box::new(move || doorbells.ring(core)),
        };
        self.migrations.waiting.push_back(errand);
        self.start_errands();
        None
    }

    fn start_errands(&mut self) {
        while self.migrations.running < limits::MIGRATIONS_PER_CORE
            && let Some(errand) = self.migrations.waiting.pop_front()
        {
            self.migrations.running += 1;
            let (number, reports) = (errand.number, errand.reports.clone());
            let body = move || {
                affinity::run_in_background();
                errand.run();
            };
            if std::thread::Builder::new().name("migrate".into()).spawn(body).is_err() {
                // as if the target could not be reached; the channel is this core's own and open
                let _ = reports.send(Report { number, taken: Vec::new(), trouble: Some(Trouble::Connecting) });
            }
        }
    }

    /// Once a tick: what threads have done.
    pub fn take_migration_reports(&mut self) {
        if self.migrations.active.is_empty() && self.migrations.running == 0 {
            return;
        }
        while let Ok(report) = self.migrations.reports.1.try_recv() {
            self.migrations.running -= 1;
            self.start_errands();
            if let Some(migration) = self.migrations.active.remove(&report.number) {
                self.sent(migration, report);
            }
        }
    }

    /// The target has answered, or cannot.
    fn sent(&mut self, mut migration: Migration, report: Report) {
        let number = report.number;
        migration.taken = report.taken.iter().map(|at| migration.sent[*at]).collect();
        migration.taken.iter().for_each(|index| migration.there[*index] = true);
        migration.trouble = report.trouble;
        if migration.order.copy || migration.taken.is_empty() {
            return self.end_migration(number, &migration, &migration.verdict());
        }
        migration.stage = Stage::Deleting;
        let mut batch = self.router.queue();
        for index in &migration.taken {
            self.queue_words(&mut batch, migration.manner, &[b"DEL", &migration.order.keys[*index]]);
        }
        let watched = std::mem::take(&mut migration.cores);
        self.run_for(number, &migration, batch, watched);
        self.migrations.active.insert(number, migration);
    }

    fn deleted(&mut self, number: u32, migration: &mut Migration, reply: &[u8]) -> Option<String> {
        let changed = reply.starts_with(b"*-1") || reply.starts_with(b"_");
        if !changed {
            for index in std::mem::take(&mut migration.taken) {
                migration.done[index] = true;
            }
            return Some(migration.verdict());
        }
        if migration.trouble.is_some() {
            return Some(migration.verdict());
        }
        if migration.attempts >= ATTEMPTS_MAX {
            return Some("-IOERR the keys change faster than they can be sent: they are in both places".into());
        }
        self.watch_for(number, migration);
        None
    }

    fn end_migration(&mut self, number: u32, migration: &Migration, text: &str) {
        if !migration.cores.is_empty() {
            self.router.unwatch(stand_in(number), &migration.cores);
        }
        let mut reply = OutBuf::default();
        reply.bytes.extend_from_slice(text.as_bytes());
        reply.bytes.extend_from_slice(b"\r\n");
        let (conn, seq, wrote) = (migration.conn, migration.seq, migration.wrote.clone());
        self.router.finished.push(Finished {
            conn,
            seq,
            reply,
            command: None,
            unstalls: true,
            seen: Cores::ALL,
            wrote,
        });
    }
}

impl Migration {
    /// Keys that are still to be looked at, by index.
    fn left(&self) -> Vec<usize> {
        (0..self.order.keys.len()).filter(|index| !self.done[*index]).collect()
    }

    /// The reply, once nothing more will happen.
    fn verdict(&self) -> String {
        match &self.trouble {
            None => "+OK".into(),
            Some(trouble) => trouble.text(),
        }
    }
}

//! One core's network half: connections, what arrived and waits to run, what is ready to leave. The tick in
//! `server::core` calls it step by step; `net::dispatch` runs the commands.

use crate::base::bytes::OutBuf;
use crate::base::clock::Clock;
use crate::base::config::Config;
use crate::base::limits;
use crate::base::stats::Histogram;
use crate::commands::debug::ReloadOrder;
use crate::net::connection::{Closing, Conn};
use crate::net::defrag::DefragWatch;
use crate::net::dispatch::Work;
use crate::net::durability::Keeper;
use crate::net::inbox::RunTime;
use crate::net::loading::LoadWatch;
use crate::net::memory::MemoryWatch;
use crate::net::migrate::Migrations;
use crate::net::noted::{Noted, count_error, note_run};
use crate::net::output::{SpareOutputs, deliver};
use crate::net::pubsub::Book;
use crate::net::push::Held;
use crate::net::saving::Saving;
use crate::net::shared::{CoreCounters, Shared};
use crate::net::source::Source;
use crate::net::tracking::TrackingTable;
use crate::net::waitaof::AofWait;
use crate::resp::reply::Reply;
use crate::runtime::driver::{Driver, RecvBuf, Token};
use crate::txn::finished::Cores;
use crate::txn::message::{Answer, ConnId, Message, Request};
use crate::txn::nested::Turn;
use crate::txn::router::{Outcome, Router};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A session command: no keys, answered by the connection's own core. It writes its reply, or says that it comes later.
pub type SessionFn = fn(&mut Worker, &mut Conn, &mut crate::commands::args::Args<'_>, &mut OutBuf) -> Outcome;
/// Answers another core's question; the connection is the one that asks, if it is of this core.
pub type AnswerFn = fn(&mut Worker, &Request, Option<&mut Conn>) -> Answer;
/// Writes the reply to a question that every core has answered.
pub type Finish = Box<dyn FnOnce(&mut Worker, &mut Conn, Vec<Answer>, &mut OutBuf)>;

/// The functions of layers above this one.
pub struct Handlers {
    /// By command id.
    pub session: Vec<Option<SessionFn>>,
    /// Answers questions.
    pub answer: AnswerFn,
    /// Writes a warning to the server's log.
    pub warning: fn(&str),
    /// Starts a thread that loads the snapshot again; [`Shared::reload_over`] says when it has ended.
    pub reload: fn(&Arc<Shared>, ReloadOrder),
    /// Writes it as the last one: the process ends at once, with an error.
    pub fatal: fn(&str),
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handlers({})", self.session.iter().flatten().count())
    }
}

#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) generation: u32,
    pub(super) conn: Option<Box<Conn>>,
    /// Taken out while its commands run.
    pub(super) taken: bool,
}

/// See the module.
pub struct Worker {
    /// Shard and messages.
    pub router: Router,
    /// Sockets.
    pub driver: Driver,
    /// What all cores see.
    pub shared: Arc<Shared>,
    /// The settings as of this tick.
    pub config: Arc<Config>,
    /// Time as of this tick.
    pub clock: Clock,
    /// Functions of the layers above.
    pub handlers: Arc<Handlers>,
    /// Commands that logs want to see; the server hands them on.
    pub noted: Vec<Noted>,
    /// Duration of each command's runs, where it ran.
    pub histograms: Vec<Option<Box<Histogram>>>,
    /// Errors by their code.
    pub error_counts: HashMap<Box<str>, u64>,
    /// Connections in MONITOR.
    pub monitors: Vec<ConnId>,
    /// Whether commands wait because of CLIENT PAUSE, as of this tick.
    pub pause: Pause,
    /// Whether data is being loaded.
    pub(super) loading: LoadWatch,
    /// Keys on their way to other servers.
    pub(super) migrations: Migrations,
    /// The memory in use.
    pub memory: MemoryWatch,
    /// Moving blocks together.
    pub defrag: DefragWatch,
    /// Who subscribes to what.
    pub book: Book,
    /// Who may have cached what.
    pub tracking: TrackingTable,
    /// This core's log, while there is one.
    pub keeper: Option<Box<Keeper>>,
    /// See [`Saving`].
    pub saving: Saving,
    /// Clients in WAIT and WAITAOF.
    pub aof_waits: Vec<AofWait>,
    /// Messages being handled; kept for its memory.
    pub messages: Vec<(usize, Message)>,
    pub(crate) touched: Vec<u32>,
    pub(crate) ready: VecDeque<u32>,
    /// Connections with more to run whose last turn was cut short.
    pub(super) cut: VecDeque<u32>,
    pub(crate) postponed: Vec<u32>,
    /// Clients have come to take more than `maxmemory-clients`.
    pub(crate) clients_over: bool,
    pub(crate) inbox: VecDeque<(u32, Source)>,
    pub(crate) work: Work,
    pub(crate) slow_ticks: u64,
    /// [`SHORT_US`](crate::net::plain::SHORT_US), in ticks.
    pub(super) short_ticks: u64,
    /// Connections whose next command waits until their replies have come.
    pub(super) draining: Vec<ConnId>,
    /// Transactions that wait for a command of their connection, run by this core.
    pub(super) open_turns: Vec<(ConnId, u32)>,
    /// Messages for connections that are taken out.
    pub(super) held: Vec<Held>,
    /// Bytes of messages since output was last sent.
    pub(super) pushed_bytes: usize,
    pub(super) places: Vec<Place>,
    free: Vec<u32>,
    asks: HashMap<(ConnId, u32), Finish>,
    pub(super) outputs: SpareOutputs,
    /// Bytes of replies that this tick has made.
    pub(super) replied_bytes: usize,
    pub(super) run_time: RunTime,
    pub(super) config_version: u64,
    cron_at: usize,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("router", &self.router)
            .field("places", &self.places.len())
            .finish_non_exhaustive()
    }
}

/// See [`Worker::pause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Commands run.
    No,
    /// Writes wait.
    Writes,
    /// Everything but CLIENT waits.
    All,
}

impl Worker {
    /// A worker with no connections.
    pub fn new(mut router: Router, driver: Driver, shared: Arc<Shared>, handlers: Arc<Handlers>, clock: Clock) -> Self {
        let commands = router.table.len();
        let config = shared.config();
        let config_version = shared.config_version.load(Ordering::Acquire);
        router.frontier = shared.frontier.clone();
        let mut worker = Worker {
            router,
            driver,
            shared,
            config,
            clock,
            handlers,
            noted: Vec::new(),
            histograms: (0..commands).map(|_| None).collect(),
            error_counts: HashMap::new(),
            monitors: Vec::new(),
            pause: Pause::No,
            loading: LoadWatch::default(),
            migrations: Migrations::default(),
            memory: MemoryWatch::default(),
            defrag: DefragWatch::default(),
            book: Book::default(),
            tracking: TrackingTable::default(),
            keeper: None,
            saving: Saving::default(),
            aof_waits: Vec::new(),
            messages: Vec::new(),
            touched: Vec::new(),
            ready: VecDeque::new(),
            cut: VecDeque::new(),
            postponed: Vec::new(),
            clients_over: false,
            inbox: VecDeque::new(),
            work: Work::default(),
            slow_ticks: u64::MAX,
            short_ticks: crate::base::clock::us_to_ticks(crate::net::plain::SHORT_US),
            open_turns: Vec::new(),
            draining: Vec::new(),
            held: Vec::new(),
            pushed_bytes: 0,
            places: Vec::new(),
            free: Vec::new(),
            asks: HashMap::new(),
            outputs: SpareOutputs::default(),
            replied_bytes: 0,
            run_time: RunTime::default(),
            config_version,
            cron_at: 0,
        };
        worker.apply_config();
        worker
    }

    /// This core's counters.
    #[inline]
    pub fn counters(&self) -> &CoreCounters {
        &self.shared.cores[self.router.core]
    }

    // ---- connections ----
    /// The connection at a place, if it is still the same and not being run.
    pub fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let place = self.places.get_mut(id.index as usize)?;
        if place.generation != id.generation {
            return None;
        }
        place.conn.as_deref_mut()
    }

    /// Every connection but the one that is being run.
    pub fn conns(&self) -> impl Iterator<Item = &Conn> {
        self.places.iter().filter_map(|p| p.conn.as_deref())
    }

    /// Places ever used; each may be looked at with [`Worker::conn_at`].
    pub fn place_count(&self) -> usize {
        self.places.len()
    }

    /// The connection at a place now.
    pub fn conn_at(&mut self, index: u32) -> Option<&mut Conn> {
        self.places.get_mut(index as usize)?.conn.as_deref_mut()
    }

    pub(crate) fn take_conn(&mut self, index: u32) -> Option<Box<Conn>> {
        let place = self.places.get_mut(index as usize)?;
        let conn = place.conn.take()?;
        place.taken = true;
        Some(conn)
    }

    pub(crate) fn put_conn(&mut self, mut conn: Box<Conn>) {
        if !self.held.is_empty() {
            let mut out = std::mem::take(&mut conn.out);
            self.release_held(&mut conn, &mut out);
            conn.out = out;
            self.touch(&mut conn);
        }
        let index = conn.id.index;
        let place = &mut self.places[index as usize];
        assert!(place.taken, "only a connection that was taken is put back");
        place.taken = false;
        place.conn = Some(conn);
        if self.config.maxmemory_clients != 0 {
            self.note_client(index);
        }
    }

    /// Connections with commands that CLIENT PAUSE holds back.
    pub fn postponed_clients(&self) -> usize {
        let held_back = |index: &&u32| self.places[**index as usize].conn.as_ref().is_some_and(|conn| conn.held_back);
        self.postponed.iter().filter(held_back).count()
    }

    /// Serves an accepted socket. The caller has checked limits and set its options.
    pub fn add(&mut self, socket: OwnedFd, describe: impl FnOnce(&mut Conn)) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        let id = ConnId { index, generation: place.generation };
        let client_id = self.shared.next_client_id.fetch_add(1, Ordering::Relaxed);
        let open = self.config.requirepass.is_empty();
        let mut conn = Box::new(Conn::new(id, client_id, open, self.clock.unix_ms()));
        describe(&mut conn);
        place.conn = Some(conn);
        self.driver.register(Token(index), socket);
        id
    }

    /// The driver has closed a connection: its place is free.
    pub fn on_closed(&mut self, token: Token) {
        let place = &mut self.places[token.0 as usize];
        if let Some(mut conn) = place.conn.take() {
            self.forget_wait(&mut conn);
            self.router.unwatch(conn.id, &conn.session.watched);
            self.free.push(token.0);
            self.counters().clients.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends a connection: now, or once its replies are sent.
    pub fn close(&mut self, conn: &mut Conn, how: Closing) {
        if matches!(conn.closing, Closing::Told | Closing::Now) {
            return;
        }
        // the reply that one waits for in BLPOP or WAIT will not come
        let waits = self.forget_aof_wait(conn.id) || conn.blocked.is_some();
        conn.closing = if waits { Closing::Now } else { how };
        self.forget_wait(conn);
        self.touch(conn);
    }

    /// A connection that ends waits for no key any more.
    pub(super) fn forget_wait(&mut self, conn: &mut Conn) {
        if let Some(slot) = conn.blocked.take() {
            self.router.abandon_wait(slot);
        }
    }

    /// Looks at a connection again when output is sent.
    pub fn touch(&mut self, conn: &mut Conn) {
        if !conn.touched {
            conn.touched = true;
            self.touched.push(conn.id.index);
        }
    }

    /// Runs a connection's waiting input in this tick or the next.
    pub fn make_ready(&mut self, index: u32) {
        if let Some(conn) = self.conn_at(index)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Whether input waits to be run.
    pub fn has_ready(&self) -> bool {
        let waits = !self.ready.is_empty() || !self.cut.is_empty() || !self.inbox.is_empty();
        waits || self.router.has_news() || self.loading.waits
    }

    // ---- bytes in ----

    /// Bytes came in.
    pub fn on_received(&mut self, token: Token, buffer: RecvBuf) {
        let counters = self.counters();
        counters.reads.add(1);
        counters.bytes_in.add(buffer.len() as u64);
        let Some(conn) = self.conn_at(token.0) else { return self.driver.recycle(buffer) };
        conn.bytes_in += buffer.len() as u64;
        if conn.closing != Closing::No {
            return self.driver.recycle(buffer);
        }
        if conn.queued || conn.stalled || conn.big.is_some() || !conn.input.is_empty() {
            self.keep_input(token.0, &buffer);
            return self.driver.recycle(buffer);
        }
        self.inbox.push_back((token.0, Source::Received(buffer)));
    }

    /// Bytes that join others already waiting.
    fn keep_input(&mut self, index: u32, bytes: &[u8]) {
        let limit = self.config.client_query_buffer_limit as usize;
        let Some(conn) = self.conn_at(index) else { return };
        let bytes = &bytes[conn.collect(bytes)..];
        // one that arrived while an earlier buffer of the same connection waits in the inbox comes behind it
        conn.input.extend_from_slice(bytes);
        conn.starved = false;
        let (waiting, blocked) = (conn.input_bytes(), conn.stalled || conn.queued || conn.receive_paused);
        if waiting > limit {
            self.counters().query_limit_closed.add(1);
            let Some(mut conn) = self.take_conn(index) else { return };
            self.close(&mut conn, Closing::Now);
            return self.put_conn(conn);
        }
        if self.config.maxmemory_clients != 0 {
            self.note_client(index);
        }
        let Some(conn) = self.conn_at(index) else { return };
        if blocked && conn.input.len() > limits::INPUT_PAUSE_BYTES {
            let Some(conn) = self.conn_at(index) else { return };
            conn.receive_paused = true;
            self.driver.pause_receive(Token(index));
        }
        if !self.conn_at(index).is_some_and(|c| c.is_collecting()) {
            self.make_ready(index);
        }
    }

    /// The client will send nothing more.
    pub fn on_receive_ended(&mut self, token: Token, broken: bool) {
        let Some(mut conn) = self.take_conn(token.0) else { return };
        conn.ended = true;
        if broken {
            self.close(&mut conn, Closing::Now);
        } else {
            self.touch(&mut conn);
        }
        self.put_conn(conn);
    }

    /// A send is over.
    pub fn on_sent(&mut self, token: Token, buffer: OutBuf, failed: bool) {
        self.recycle_output(buffer);
        let Some(mut conn) = self.take_conn(token.0) else { return };
        let sent = std::mem::take(&mut conn.sending) as u64;
        self.counters().bytes_out.add(sent);
        conn.bytes_out += sent;
        if failed {
            self.close(&mut conn, Closing::Now);
        } else if !conn.out.is_empty() || conn.closing != Closing::No || conn.ended || conn.receive_paused {
            self.touch(&mut conn);
        }
        self.put_conn(conn);
    }

    // ---- replies from elsewhere ----

    /// One message of another core.
    pub fn on_message(&mut self, from: usize, message: Message) {
        match message {
            Message::Commands(batch) => {
                self.make_room_for(batch.commands.len());
                let (histograms, shared, core) = (&mut self.histograms, &self.shared, self.router.core);
                let tracking = self.config.latency_tracking;
                self.router.on_commands(from, batch, &mut |id, ticks, failed| {
                    note_run(histograms, &shared.cores[core], tracking, id, (1, ticks), failed);
                });
            }
            Message::Replies(batch) => {
                let (places, touched, outputs) = (&mut self.places, &mut self.touched, &mut self.outputs);
                let errors = &mut self.error_counts;
                self.router.on_replies(batch, &mut |id, seq, bytes, bigs| {
                    if let [b'-', text @ ..] = bytes {
                        count_error(errors, text);
                    }
                    deliver(places, touched, outputs, (id, seq, Cores::one(from)), bytes, bigs);
                });
            }
            Message::Publish { pending, publication } => self.on_publish(from, pending, &publication),
            Message::Published { pending, receivers } => self.on_published(pending, receivers),
            Message::Invalidate(invalidation) => self.on_invalidate(from, *invalidation),
            Message::Redirected { to, from, keys } => self.on_redirected(to, from, keys),
            Message::RedirectGone(conn) => self.on_redirect_gone(conn),
            Message::WatchedChanged(conn) => self.on_watched_changed(conn),
            Message::Adopt { socket, listener } => self.adopt(socket, listener),
            Message::Ask { ticket, request } => {
                let answer = (self.handlers.answer)(self, &request, None);
                self.router.mesh.send(from, Message::Answer { ticket, answer: Box::new(answer) });
            }
            Message::Answer { ticket, answer } => self.router.on_answer(ticket, *answer),
            about_transactions => self.router.on_message(from, about_transactions),
        }
    }

    /// Delivers what the router has finished: replies of commands in parts, answers to questions, slow commands; and
    /// runs the connections' own commands in transactions.
    pub fn deliver_finished(&mut self) {
        loop {
            self.deliver_answers();
            self.deliver_replies();
            if !self.run_turns() {
                break;
            }
        }
        self.end_draining();
        self.spread_watch_news();
        self.count_ran();
        self.deliver_slow();
    }

    fn deliver_answers(&mut self) {
        while let Some(answered) = self.router.answered.pop() {
            let Some(finish) = self.asks.remove(&(answered.conn, answered.seq)) else { continue };
            let index = answered.conn.index;
            if self.conn_mut(answered.conn).is_none() {
                continue;
            }
            let Some(mut conn) = self.take_conn(index) else { continue };
            let mut reply = OutBuf::default();
            finish(self, &mut conn, answered.answers, &mut reply);
            conn.deliver(answered.seq, &reply.bytes, reply.bigs);
            self.touch(&mut conn);
            self.put_conn(conn);
        }
    }

    fn deliver_replies(&mut self) {
        self.router.exchange_notes();
        for finished in self.router.take_finished() {
            let Some(finished) = self.take_migrated(finished) else { continue };
            let OutBuf { bytes, bigs } = finished.reply;
            if let [b'-', text @ ..] = &bytes[..] {
                count_error(&mut self.error_counts, text);
                if let Some(id) = finished.command {
                    self.counters().by_command[id.index()].failed.add(1);
                    self.counters().errors.add(1);
                }
            }
            self.note_wrote(finished.conn, finished.wrote);
            let to = (finished.conn, finished.seq, finished.seen);
            deliver(&mut self.places, &mut self.touched, &mut self.outputs, to, &bytes, bigs);
            if finished.unstalls
                && let Some(conn) = self.conn_mut(finished.conn)
                && conn.turn.is_none()
            {
                conn.stalled = false;
                conn.blocked = None;
                let index = finished.conn.index;
                self.make_ready(index);
            }
        }
    }

    /// Puts a question to every core and has `finish` write the reply when all have answered.
    pub fn ask_all(&mut self, conn: &mut Conn, request: &Request, finish: Finish) -> Outcome {
        let seq = conn.next_seq();
        let own = (self.handlers.answer)(self, request, Some(conn));
        self.asks.insert((conn.id, seq), finish);
        self.router.ask_all(conn.id, seq, request, own);
        Outcome::Waits
    }

    // ---- cron ----

    /// Looks at some connections: idle ones past `timeout`, slow readers past their soft limit.
    pub fn cron(&mut self) {
        self.evict_clients();
        self.tracking_cron();
        let timeout_ms = u64::from(self.config.timeout_s) * 1000;
        let now = self.clock.unix_ms();
        for _ in 0..limits::CRON_CONNECTIONS.min(self.places.len()) {
            self.cron_at = (self.cron_at + 1) % self.places.len();
            let Some(mut conn) = self.take_conn(self.cron_at as u32) else { continue };
            let idle = now.saturating_sub(conn.active_ms);
            if timeout_ms > 0 && idle > timeout_ms && !conn.session.monitor && conn.is_drained() {
                self.close(&mut conn, Closing::Now);
            } else if conn.output_bytes() > 0 {
                self.touch(&mut conn);
            } else if idle > limits::IDLE_BUFFERS_MS {
                conn.forget_buffers();
            }
            self.put_conn(conn);
        }
    }

    /// What `run` begins on shards borrows the locks of the transaction whose turn it is, if that is given.
    pub fn within<T>(&mut self, turn: Option<Turn>, run: impl FnOnce(&mut Worker) -> T) -> T {
        let before = std::mem::replace(&mut self.router.borrows, turn);
        let result = run(self);
        self.router.borrows = before;
        result
    }

    /// Lets other cores see this core's counters; this tick took so many clock ticks.
    pub fn publish_counters(&mut self, took: u64) {
        let counters = &self.shared.cores[self.router.core];
        counters.ticks.add(1);
        counters.tick_total.add(took);
        counters.tick_max.set(counters.tick_max.get().max(took));
        counters.hops_out.set(self.router.hops_out);
        counters.hops_in.set(self.router.hops_in);
        counters.dirty.set(self.router.shard.dirty);
    }

    /// Accepting failed, mostly for want of descriptors; the driver tries again by itself.
    pub fn on_accept_failed(&mut self) {
        self.counters().refused.add(1);
    }

    /// Writes an error that does not belong to a command, and closes behind it.
    pub fn refuse(&mut self, conn: &mut Conn, text: &[u8]) {
        let mut out = std::mem::take(&mut conn.out);
        let mark = out.bytes.len();
        Reply::new(&mut out, conn.session.proto).error_bytes(text);
        if conn.is_parked() {
            conn.park_ready(&mut out, mark);
        }
        conn.out = out;
        self.close(conn, Closing::AfterReplies);
    }
}

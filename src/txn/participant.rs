//! The shard's half of transactions: claims that are granted, queued or refused, work under locks, and the single-shard
//! commands that a lock keeps waiting. The rules are those of [`crate::txn::lock`]; here they meet the shard.
//!
//! A part of a transaction runs to its end before anything else does on the shard; between two parts other commands
//! run if no lock is in their way. When a transaction ends here, first the commands that waited for its keys run, then
//! the claims whose turn has come are granted: no stream of transactions can keep a single command waiting for ever.

use crate::base::clock;
use crate::commands::args::{Args, lay_out};
use crate::commands::flags::flag;
use crate::commands::spec::{Plan, key};
use crate::persist::aof::frontier::Participants;
use crate::shard::watch::Watcher;
use crate::txn::fetches;
use crate::txn::figures::TxnFigures;
use crate::txn::finished::{Cores, Finished};
use crate::txn::hop;
use crate::txn::lock::{Claim, LockKey, Mode, Refusal, TxnId, Verdict};
use crate::txn::message::{CommandBatch, ConnId, Message, Phase, RemoteCommand, Share, Ticket, WatchKeys, Work};
use crate::txn::parked::{Held, Notice, Obstacle, Origin};
use crate::txn::plan;
use crate::txn::router::Router;
use crate::txn::wait::desk::Means;
use crate::types::table::Key;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Who watches, as the shard knows it.
pub(super) fn watcher((core, conn): Origin) -> Watcher {
    (core as u32, u64::from(conn.index) << 32 | u64::from(conn.generation))
}

impl Router {
    /// What keeps a single-shard command from running now. Only asked while [`Router::is_guarded`].
    #[cold]
    pub(super) fn obstacle(&mut self, origin: Origin, command: &RemoteCommand, args: &Args<'_>) -> Option<Obstacle> {
        if self.parked.has(origin) {
            return Some(Obstacle::Turn);
        }
        if command.phase == Phase::Debug {
            return None;
        }
        let spec = self.table.get(command.id);
        let mode = plan::mode(spec);
        if plan::touches_any(spec) {
            return self.locks.blocks_whole(mode).then_some(Obstacle::Any);
        }
        if let (Some(pos), Plan::OneShard(_)) = (command.pos, &spec.plan) {
            let waits = self.locks.blocks(pos.0, mode) || self.waits_for_snapshot(pos.0, mode);
            return waits.then_some(Obstacle::Key(pos.0));
        }
        let Ok(keys) = spec.key_args(args) else { return None };
        let own = |flags: u16| if flags & key::RO == 0 { mode } else { Mode::Shared };
        let keys: SmallVec<[(LockKey, Mode); 4]> =
            keys.map(|key| (plan::lock_key(&args[key.index]), own(key.flags))).collect();
        let waits = |(key, own): &(LockKey, Mode)| self.locks.blocks(*key, mode) || self.waits_for_snapshot(*key, *own);
        keys.into_iter().find(waits).map(|(key, _)| Obstacle::Key(key))
    }

    /// Has a command of this core wait for its turn.
    pub(super) fn park_here(&mut self, command: RemoteCommand, args: &Args<'_>, conn: ConnId, obstacle: Obstacle) {
        let mut batch = self.outboxes.spare();
        batch.push_args(command, args);
        self.parked.add((self.core, conn), batch, obstacle);
    }

    /// As `on_commands`, while locks are held: commands that one is in the way of are set apart, the others run.
    #[cold]
    pub(super) fn run_guarded(&mut self, from: usize, batch: &mut CommandBatch) {
        let mut before = clock::ticks();
        for index in 0..batch.commands.len() {
            let Ticket::Slot { conn, .. } = batch.commands[index].ticket else {
                self.run_in(batch, index, &mut before);
                continue;
            };
            let (command, args) = batch.args(index);
            let Some(obstacle) = self.obstacle((from, conn), &command, &args) else {
                self.run_in(batch, index, &mut before);
                continue;
            };
            let mut waiting = self.outboxes.spare();
            waiting.push_args(command, &args);
            self.parked.add((from, conn), waiting, obstacle);
            batch.commands[index].ticket = Ticket::Nobody;
            batch.reply_ends.push(batch.replies.bytes.len() as u32);
        }
    }

    fn run_in(&mut self, batch: &mut CommandBatch, index: usize, before: &mut u64) {
        let ran = &mut self.ran;
        let means = Means { table: &self.table, terms: self.terms, locks: &self.locks, board: &self.clock.board };
        let mut desk = Some((&mut self.desk, means));
        let mut note = |c: &RemoteCommand, ticks, failed| {
            if !matches!(c.ticket, Ticket::Part { .. }) {
                ran.push((c.id, ticks, failed));
            }
        };
        hop::run_command(batch, index, &mut self.shard, &self.table, self.terms, &mut desk, before, &mut note);
    }

    /// Runs what waits of a connection until something is in the way again.
    fn resume(&mut self, origin: Origin) {
        let Some(mut chain) = self.parked.take(origin) else { return };
        while let Some(mut batch) = chain.commands.pop_front() {
            let (command, args) = batch.args(0);
            if let Some(obstacle) = self.obstacle(origin, &command, &args) {
                chain.commands.push_front(batch);
                self.parked.put_back(origin, chain);
                return self.parked.wait(origin, obstacle);
            }
            self.run_in(&mut batch, 0, &mut clock::ticks());
            self.send_parked_reply(origin.0, batch);
        }
        for held in chain.held {
            match held {
                Held::Share(share) => self.on_schedule(origin.0, share),
                Held::Watch(keys) => self.on_watch(origin.0, keys),
            }
        }
        for notice in chain.notices {
            self.post(notice.core, Message::ComeAgain { pending: notice.pending, txn: notice.txn });
        }
    }

    fn send_parked_reply(&mut self, core: usize, mut batch: Box<CommandBatch>) {
        if core != self.core {
            self.hold_unlogged();
            return self.mesh.send(core, Message::Replies(batch));
        }
        if let Ticket::Slot { conn, seq } = batch.commands[0].ticket {
            for slow in std::mem::take(&mut batch.slow) {
                let (_, args) = batch.args(0);
                self.slow.push((conn, slow.micros, args.from(0).map(<[u8]>::to_vec).collect()));
            }
            let reply = std::mem::take(&mut batch.replies);
            let seen = Cores::one(self.core);
            self.finished.push(Finished { conn, seq, reply, command: None, unstalls: false, seen, wrote: None });
        }
        self.outboxes.recycle(batch);
    }

    /// A transaction of core `from` claims its locks here.
    pub fn on_schedule(&mut self, from: usize, mut share: Box<Share>) {
        let origin = (from, share.conn);
        if self.locks.any_held() {
            let notice = Notice { core: from, pending: share.pending, txn: share.txn };
            if let Some(chain) = self.parked.chain(origin) {
                // Commands that the connection sent before still wait here. To wait for them while it may hold
                // locks elsewhere could close a circle; only priority, for which nothing waits, may.
                if share.priority {
                    chain.held.push(Held::Share(share));
                } else {
                    chain.notices.push(notice);
                    share.verdict = Verdict::Refused(Refusal::Busy(share.txn));
                    self.post(from, Message::Scheduled(share));
                }
                return;
            }
        }
        if share.watches {
            // What was watched must stay as it was found until the transaction has run on every shard.
            for (_, key) in self.shard.watches.keys_of(watcher(origin)) {
                share.claim.add(plan::lock_key(&key), Mode::Shared);
            }
            share.claim.seal();
        }
        if self.shard.snapshot.has_huge() {
            self.defer_to_snapshot(&share.claim);
        }
        if share.release && !(self.locks.any_held() && self.locks.blocks_claim(&share.claim)) {
            // all there is of it: no lock is needed
            self.run_share(from, &mut share);
            self.settle_released();
            return self.post(from, Message::Scheduled(share));
        }
        let claim = std::mem::take(&mut share.claim);
        match self.locks.schedule(share.txn, claim, share.priority) {
            Verdict::Granted => self.granted(from, share),
            Verdict::Queued => {
                self.queued.insert(share.txn, (from, share));
            }
            refused @ Verdict::Refused(refusal) => {
                if let Refusal::Busy(by) = refusal {
                    self.notices.push((by, Notice { core: from, pending: share.pending, txn: share.txn }));
                }
                share.verdict = refused;
                self.post(from, Message::Scheduled(share));
            }
        }
    }

    /// The locks are held: does what came with the claim, and says so. True if that was all.
    fn granted_once(&mut self, from: usize, mut share: Box<Share>) -> Option<TxnId> {
        self.run_share(from, &mut share);
        if fetches::is_copying(&share.work) {
            self.fetches.add(from, Message::Scheduled(share));
            return None;
        }
        let over = share.release.then_some(share.txn);
        self.post(from, Message::Scheduled(share));
        over
    }

    fn granted(&mut self, from: usize, share: Box<Share>) {
        if let Some(over) = self.granted_once(from, share) {
            self.release_here(over, None);
        }
    }

    fn run_share(&mut self, from: usize, share: &mut Share) {
        share.verdict = Verdict::Granted;
        if share.watches {
            let watcher = watcher((from, share.conn));
            share.changed = self.shard.watched_changed(watcher);
            if share.release {
                self.shard.watches.forget(watcher);
                if share.changed {
                    return;
                }
            }
        }
        self.run_work((!share.release).then_some(share.txn), &mut share.work);
    }

    /// Runs a part of transaction `of`, which goes on after it; `None` if this is all of it.
    fn run_work(&mut self, of: Option<TxnId>, work: &mut Work) {
        let part = of.filter(|_| self.shard.events.journaled);
        if let Some(txn) = part {
            self.shard.record_due();
            self.shard.journal.enter(txn.0);
        }
        if let Some(batch) = &mut work.batch {
            let ran = &mut self.ran;
            hop::run_batch(batch, &mut self.shard, &self.table, self.terms, None, |c, ticks, failed| {
                if !matches!(c.ticket, Ticket::Part { .. }) {
                    ran.push((c.id, ticks, failed));
                }
            });
        }
        for foreign in &mut work.fetch {
            foreign.copying = of.and_then(|_| self.begin_fetch(foreign));
            foreign.found = match &foreign.cut {
                None if foreign.copying.is_some() || foreign.look.is_some() => None,
                None => self.shard.copy_out(foreign.db, Key::new(&foreign.key)),
                Some((cut, args)) => {
                    let (data, spans) = lay_out(args);
                    cut(&mut self.shard, foreign.db, &Args::new(&data, &spans)).map(|part| (part, None))
                }
            };
            if let Some(reader) = work.reader {
                self.shard.events.tracking.read(reader, &foreign.key);
            }
        }
        if let Some(home) = &mut work.home {
            hop::run_home(home, &mut self.shard, &self.table, self.terms);
            home.recording = self.shard.begun_recordings();
        }
        if part.is_some() {
            self.shard.record_due();
            self.shard.journal.leave();
        }
        self.desk.defer(&mut self.shard);
    }

    /// A transaction that holds its locks has something done here.
    pub fn on_proceed(&mut self, from: usize, mut share: Box<Share>) {
        self.run_work(Some(share.txn), &mut share.work);
        if fetches::is_copying(&share.work) {
            assert!(share.answer && !share.release, "what is fetched goes to somebody");
            return self.fetches.add(from, Message::Proceeded(share));
        }
        let over = share.release.then(|| (share.txn, share.participants.clone()));
        if share.answer {
            self.post(from, Message::Proceeded(share));
        }
        if let Some((over, participants)) = over {
            self.release_here(over, participants.as_deref());
        }
    }

    /// An attempt ends here: its locks, or its place among those who wait, are free; what it wrote is journaled.
    pub fn release_here(&mut self, txn: TxnId, participants: Option<&Participants>) {
        self.give_up_fetches(txn);
        if self.shard.events.journaled {
            let shards = participants.map_or(&[][..], |participants| &participants.shards);
            if let Some(place) = self.shard.journal.release(txn.0, self.core as u16, shards) {
                self.frontier.place(self.core, txn.0, place);
            }
        }
        let mut over = VecDeque::from([txn]);
        while let Some(txn) = over.pop_front() {
            self.queued.remove(&txn);
            let Some(claim) = self.locks.release(txn) else { continue };
            self.settle_released();
            for origin in self.parked.woken(&claim) {
                self.resume(origin);
            }
            self.tell_refused(txn);
            while let Some(next) = self.next_grant() {
                let (from, share) = self.queued.remove(&next).expect("a queued claim has its share");
                over.extend(self.granted_once(from, share));
            }
        }
    }

    /// Those that `by` kept out may come again.
    fn tell_refused(&mut self, by: TxnId) {
        if self.notices.is_empty() {
            return;
        }
        for (_, notice) in self.notices.extract_if(.., |(holder, _)| *holder == by).collect::<Vec<_>>() {
            self.post(notice.core, Message::ComeAgain { pending: notice.pending, txn: notice.txn });
        }
    }

    /// A connection of core `from` watches keys of this shard.
    pub fn on_watch(&mut self, from: usize, keys: Box<WatchKeys>) {
        let origin = (from, keys.conn);
        if let Some(chain) = self.parked.chain(origin) {
            return chain.held.push(Held::Watch(keys));
        }
        for key in &keys.keys {
            // one that is due goes first: its end is no change that the watcher is to be told
            self.shard.peek(keys.db as usize, crate::types::table::Key::new(key));
            self.shard.watches.watch(watcher(origin), keys.db as usize, key);
        }
        self.post(from, Message::Watched { pending: keys.pending });
    }

    /// A connection of core `from` watches nothing any more.
    pub fn on_unwatch(&mut self, from: usize, conn: ConnId) {
        self.shard.watches.forget(watcher((from, conn)));
    }

    /// Tells the cores of connections whose watched keys changed here; names those of this core.
    pub fn spread_watch_news(&mut self) -> Vec<ConnId> {
        let mut own = Vec::new();
        for (core, number) in std::mem::take(&mut self.shard.watches.news) {
            let conn = ConnId { index: (number >> 32) as u32, generation: number as u32 };
            if core as usize == self.core {
                own.push(conn);
            } else {
                self.mesh_after_commands(core as usize, Message::WatchedChanged(conn));
            }
        }
        own
    }

    /// Whether a command of this kind changes keys.
    pub(super) fn writes(&self, command: &RemoteCommand) -> bool {
        let writes = self.table.get(command.id).has(flag::WRITE) && command.phase != Phase::Check;
        writes || command.phase == Phase::Debug
    }

    /// Transactions and locks of this core, for INFO.
    pub fn txn_figures(&self) -> TxnFigures {
        TxnFigures {
            stats: self.txn_stats.clone(),
            locks_held: self.locks.granted_count() as u64,
            locks_waiting: (self.locks.queued_count() + self.parked.len()) as u64,
            watched_keys: self.shard.watches.key_count() as u64,
            oldest_ms: self.oldest_ms(),
        }
    }

    /// The strongest thing a claim may do.
    pub(super) fn is_barrier(claims: &[(usize, Claim)], cores: usize) -> bool {
        claims.len() == cores && claims.iter().all(|(_, c)| c.is_whole() && c.mode() == Mode::Exclusive)
    }
}

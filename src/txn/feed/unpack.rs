//! The shard's side: keys are decoded and put in, commands run. Nothing of it is told to clients, counted or journaled.

use super::{Entries, Intake, Item, LOADER, Parcel, Source, is_relative};
use crate::base::bytes::OutBuf;
use crate::base::limits;
use crate::base::text::parse_i64;
use crate::commands::context::Context;
use crate::commands::keys::value_limits;
use crate::resp::reply::{Proto, Reply};
use crate::shard::load::clock_of_log;
use crate::txn::hop::{PREFETCH_COMMANDS, function};
use crate::txn::message::{CommandBatch, Phase};
use crate::txn::router::{Call, Outcome, Router};
use crate::types::rdb::kind;
use crate::types::rdb::read::{Bad, Limits, Reader};
use crate::types::table::Key;
use crate::types::value::{NewValue, Owned};
use std::sync::mpsc::TryRecvError;

/// How far [`Router::unpack`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpacked {
    /// There is nothing now.
    Idle,
    /// There may be more.
    More,
    /// Loading has ended on this shard.
    Ended,
}

impl Router {
    /// From now on loaders feed this shard.
    pub fn attach(&mut self, intake: Intake) {
        self.intake = Some(Box::new(intake));
    }

    /// Loaders feed this shard no more: they failed.
    pub fn detach(&mut self) {
        self.intake = None;
    }

    /// Whether loaders feed this shard.
    #[inline]
    pub fn is_fed(&self) -> bool {
        self.intake.is_some()
    }

    /// Once a tick while [`Router::is_fed`], before the shard is used: commands of logs run long ago, see
    /// [`clock_of_log`], and nobody hears of them.
    pub fn prepare_feed(&mut self) {
        self.shard.log_read_ms = Some(self.shard.now_ms);
        self.shard.now_ms = clock_of_log(&self.shard.settings, self.shard.now_ms);
        self.shard.events.wanted = 0;
    }

    /// Puts in a few parcels; `now_ms` is the time.
    pub fn unpack(&mut self, now_ms: u64) -> Unpacked {
        let Some(mut intake) = self.intake.take() else { return Unpacked::Idle };
        let mut answer = Unpacked::More;
        for _ in 0..limits::FEED_PARCELS_PER_TICK {
            if intake.whole.is_some() {
                // a transaction is under way; its end is told by a message
                answer = Unpacked::Idle;
                break;
            }
            match intake.parcels.try_recv() {
                Ok(Parcel::Expect(db, keys)) => self.shard.expect(usize::from(db), keys),
                Ok(Parcel::Entries(entries)) => self.put_entries(&entries, &intake, now_ms),
                Ok(Parcel::Commands(batch)) => self.run_fed(&batch, now_ms),
                Ok(Parcel::Whole(mut batch, done)) => {
                    intake.whole = Some(done);
                    if self.run_whole(&mut batch) {
                        self.end_whole(&mut intake);
                    }
                }
                // whoever waited for it may have given up
                Ok(Parcel::Mark(done)) => {
                    let _ = done.send(());
                }
                Ok(Parcel::End(done)) => {
                    (self.shard.dirty, self.shard.flushed_all) = (0, false);
                    let _ = done.send(());
                    return Unpacked::Ended;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    answer = Unpacked::Idle;
                    break;
                }
            }
        }
        self.intake = Some(intake);
        answer
    }

    fn put_entries(&mut self, entries: &Entries, intake: &Intake, now_ms: u64) {
        let source = &entries.source;
        let mut limits = value_limits(&self.shard);
        limits.now_ms = if source.keeps_expired { 0 } else { now_ms };
        let (mut keys, mut expired) = (0, 0);
        for chunk in entries.items.chunks(PREFETCH_COMMANDS) {
            for item in chunk {
                self.shard.prefetch_bucket(usize::from(item.entry.db), item.pos);
            }
            for item in chunk {
                match self.put(entries, item, source, &limits, now_ms) {
                    Ok(true) => keys += 1,
                    Ok(false) => expired += 1,
                    Err(why) => {
                        let key = String::from_utf8_lossy(&entries.data[item.key.clone()]).into_owned();
                        let at = item.entry.at;
                        intake.loading.fail(format!("{}: at byte {at}: the key {key:?}: {why}", source.file));
                        return;
                    }
                }
            }
        }
        intake.loading.count(keys, expired);
    }

    /// Puts in one key; false if it has expired.
    fn put(
        &mut self,
        entries: &Entries,
        item: &Item,
        source: &Source,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<bool, Bad> {
        let meta = &item.entry;
        let attributes = meta.attributes;
        let is_due = attributes.expire_ms.is_some_and(|at| at < now_ms);
        let mut reader = Reader::new(&entries.data[item.body.clone()], source.version);
        let key = Key { bytes: &entries.data[item.key.clone()], pos: item.pos };
        let put = |value: NewValue<'_>| {
            if is_due && !source.keeps_expired {
                return Ok(false);
            }
            let fits = self.shard.load(usize::from(meta.db), key, value, attributes, now_ms);
            if fits || source.replaces { Ok(true) } else { Err(Bad::Corrupt("it is there twice")) }
        };
        with_value(&mut reader, meta.kind, limits, put)?.unwrap_or(Ok(false))
    }

    fn run_fed(&mut self, batch: &CommandBatch, now_ms: u64) {
        let stats = self.shard.stats.clone();
        let mut replies = OutBuf::default();
        for chunk in batch.commands.chunks(PREFETCH_COMMANDS) {
            for command in chunk {
                if let Some(pos) = command.pos {
                    self.shard.prefetch_bucket(usize::from(command.manner.db), pos);
                }
            }
            for command in chunk {
                let spec = self.table.get(command.id);
                let Some(run) = function(&spec.plan, Phase::Run) else { continue };
                let spans = &batch.spans[command.first as usize..(command.first + command.count) as usize];
                let mut args = crate::commands::args::Args::new(&batch.data, spans);
                let then = self.shard.now_ms;
                if is_relative(spec.name, &args) {
                    self.shard.now_ms = now_ms;
                }
                let mut ctx = Context {
                    shard: &mut self.shard,
                    db: usize::from(command.manner.db),
                    no_touch: false,
                    hint: command.pos,
                    bulk_bytes_max: self.terms.bulk_bytes_max,
                    foreign: &mut [],
                };
                run(&mut ctx, &mut args, &mut Reply { out: &mut replies, proto: Proto::Resp2 });
                replies.clear();
                self.shard.now_ms = then;
            }
        }
        self.shard.stats = stats;
    }

    /// Begins a command over several shards; true if it has ended already.
    fn run_whole(&mut self, batch: &mut CommandBatch) -> bool {
        let (command, mut args) = batch.args(0);
        let call = Call { id: command.id, manner: command.manner, pos: None, conn: LOADER, seq: 0 };
        let mut reply = OutBuf::default();
        self.call(call, &mut args, &mut reply) == Outcome::Done
    }

    fn end_whole(&mut self, intake: &mut Intake) {
        if let Some(done) = intake.whole.take() {
            // whoever waited for it may have given up
            let _ = done.send(());
        }
    }

    /// Takes the loader's replies out of those that have come.
    #[cold]
    pub(in crate::txn) fn take_fed(&mut self) {
        let before = self.finished.len();
        self.finished.retain(|reply| reply.conn != LOADER);
        if self.finished.len() < before
            && let Some(mut intake) = self.intake.take()
        {
            self.end_whole(&mut intake);
            self.intake = Some(intake);
        }
    }
}

/// Reads a value as it stands in a snapshot, which is all that `body` may hold, and gives it to `put`. `None` if there
/// is nothing in it: old servers may have left such values, and a hash may have lost all its fields to time.
///
/// # Errors
/// What is wrong with the bytes; `put` was not called then.
pub fn with_value<T>(
    body: &mut Reader<'_>,
    kind: u8,
    limits: &Limits,
    put: impl FnOnce(NewValue<'_>) -> T,
) -> Result<Option<T>, Bad> {
    let (bytes, owned);
    let value = if kind == kind::STRING {
        bytes = body.string()?;
        match parse_i64(&bytes) {
            Some(n) => NewValue::Int(n),
            None => NewValue::Str { bytes: &bytes, raw: false },
        }
    } else {
        owned = match body.value(kind, limits) {
            Ok(value) => value,
            Err(Bad::Empty(_)) => return Ok(None),
            Err(bad) => return Err(bad),
        };
        match owned {
            Owned::Int(n) => NewValue::Int(n),
            Owned::Str { ref bytes, raw } => NewValue::Str { bytes, raw },
            Owned::Boxed(value) => NewValue::Boxed(value),
        }
    };
    if !body.is_at_end() {
        return Err(Bad::Corrupt("more than a value"));
    }
    Ok(Some(put(value)))
}

//! The shard: its databases, lookups with lazy expiry, writes, and the counters INFO reports. Never waits, never
//! reads a clock: `now_ms` is the time.

use crate::base::hash::Position;
use crate::shard::access;
use crate::shard::copies::Copies;
use crate::shard::events::{EVERY_KEY, Events, class};
use crate::shard::evict::Eviction;
use crate::shard::expiry::ActiveExpiry;
use crate::shard::field_expiry::FieldExpiry;
use crate::shard::journal::Journal;
use crate::shard::lazyfree::LazyFree;
use crate::shard::recording::Recordings;
use crate::shard::settings::ShardSettings;
use crate::shard::snapshot::Snapshot;
use crate::shard::watch::{Watcher, Watches};
use crate::types::table::{Current, EntryView, Expire, Inserted, Key, Live, Table};
use crate::types::value::{NewValue, Owned, Value, View};
use std::ops::Range;

/// Counters of one shard since start or CONFIG RESETSTAT.
#[derive(Debug, Default, Clone)]
pub struct ShardStats {
    /// `keyspace_hits`.
    pub hits: u64,
    /// `keyspace_misses`.
    pub misses: u64,
    /// `expired_keys`: removed because they were due, by a lookup or by active expiry.
    pub expired: u64,
    /// Of those, the ones that active expiry found.
    pub expired_active: u64,
    /// `evicted_keys`: removed because memory was short.
    pub evicted: u64,
    /// `expired_subkeys`: fields of hashes removed because they were due.
    pub expired_fields: u64,
    /// `expired_time_cap_reached_count`: steps of active expiry that ended before they had seen everything.
    pub expire_capped: u64,
}

/// What [`Shard::update`] is to do.
#[derive(Debug)]
pub enum Change<'n> {
    /// Put this value in the old one's place, or where there was none.
    Replace(NewValue<'n>),
    /// The boxed value was edited where it is.
    InPlace,
    /// The value is as it was.
    Nothing,
}

/// One core's slice. The whole of it belongs to one thread.
#[derive(Debug)]
pub struct Shard {
    /// One table per logical database.
    pub tables: Vec<Table>,
    /// The slots it owns.
    pub slots: Range<u16>,
    /// What the configuration says to it.
    pub settings: ShardSettings,
    /// Unix time of this tick, milliseconds; set by the tick, constant while a command runs.
    pub now_ms: u64,
    /// The time while commands of a log run, for which `now_ms` is long ago.
    pub log_read_ms: Option<u64>,
    /// See [`ShardStats`].
    pub stats: ShardStats,
    /// Writes since the last save (`rdb_changes_since_last_save`).
    pub dirty: u64,
    /// FLUSHALL has run here, and nobody has taken note yet.
    pub flushed_all: bool,
    /// What is loaded was there before: the log holds it already.
    pub reloads: bool,
    /// State of active expiry.
    pub expiry: ActiveExpiry,
    /// When to look for due fields of hashes.
    pub field_expiry: FieldExpiry,
    /// State of evicting.
    pub eviction: Eviction,
    /// What waits to be freed.
    pub lazy: LazyFree,
    /// What the running command tells beyond its reply.
    pub events: Events,
    /// What writes did, for the log; while `events.journaled` is set.
    pub journal: Journal,
    /// Who watches which keys.
    pub watches: Watches,
    /// The snapshot under way.
    pub snapshot: Snapshot,
    /// What is being copied in steps.
    pub copies: Copies,
    pub(super) recordings: Recordings,
    pub(super) random: u64,
}

/// Every method takes the database index (the caller has checked it) and answers as if expired keys were gone, unless
/// it says otherwise.
impl Shard {
    /// A shard with `databases` empty databases that owns `slots`; `seed` feeds its dice (RANDOMKEY, LFU), which need
    /// not be secret.
    pub fn new(databases: usize, slots: Range<u16>, seed: u64) -> Self {
        Shard {
            tables: (0..databases).map(|_| Table::default()).collect(),
            slots,
            settings: ShardSettings::default(),
            now_ms: 0,
            log_read_ms: None,
            stats: ShardStats::default(),
            dirty: 0,
            flushed_all: false,
            reloads: false,
            expiry: ActiveExpiry::default(),
            field_expiry: FieldExpiry::default(),
            eviction: Eviction::default(),
            lazy: LazyFree::default(),
            events: Events::default(),
            journal: Journal::default(),
            watches: Watches::default(),
            snapshot: Snapshot::default(),
            copies: Copies::default(),
            recordings: Recordings::default(),
            random: seed,
        }
    }

    /// The time by which clients are measured: of now, also while commands of a log run.
    pub fn clock_ms(&self) -> u64 {
        self.log_read_ms.unwrap_or(self.now_ms)
    }

    /// Lookup for a read: counts a hit or miss and stamps the access (unless `no_touch`).
    #[inline(always)]
    pub fn read(&mut self, db: usize, key: Key<'_>, no_touch: bool) -> Option<View<'_>> {
        self.read_at(db, key.bytes, key.pos, no_touch)
    }

    /// Takes the key in registers: one passed in memory is not there yet when it is read (3% of a GET's user time).
    #[inline(never)]
    fn read_at(&mut self, db: usize, bytes: &[u8], pos: Position, no_touch: bool) -> Option<View<'_>> {
        let key = Key { bytes, pos };
        let (settings, random, now) = (&self.settings, &mut self.random, self.now_ms);
        let live = self.tables[db].find_live(key, now, settings.keeps_due, |old| {
            if no_touch { old } else { access::stamp(settings, random, Some(old), now) }
        });
        match live {
            Live::Found(entry) => {
                self.stats.hits += 1;
                Some(entry.value)
            }
            Live::Missing => {
                self.stats.misses += 1;
                self.events.happen(class::MISS, "keymiss", db, key.bytes);
                None
            }
            Live::Expired(boxed) => {
                self.stats.misses += 1;
                self.stats.expired += 1;
                self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
                self.watches.touched(db, key.bytes);
                self.events.expired(db, key.bytes);
                self.events.happen(class::MISS, "keymiss", db, key.bytes);
                None
            }
        }
    }

    /// Lookup for a write: no hit or miss is counted; the access is stamped.
    #[inline]
    pub fn write(&mut self, db: usize, key: Key<'_>) -> Option<View<'_>> {
        let (settings, random, now) = (&self.settings, &mut self.random, self.now_ms);
        let live = self.tables[db]
            .find_live(key, now, settings.keeps_due, |old| access::stamp(settings, random, Some(old), now));
        match live {
            Live::Found(entry) => Some(entry.value),
            Live::Missing => None,
            Live::Expired(boxed) => {
                self.stats.expired += 1;
                self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
                self.watches.touched(db, key.bytes);
                self.events.expired(db, key.bytes);
                None
            }
        }
    }

    /// Lookup without a trace (TTL, OBJECT, DEBUG): no counter, no stamp.
    #[inline]
    pub fn peek(&mut self, db: usize, key: Key<'_>) -> Option<EntryView<'_>> {
        match self.tables[db].find_live(key, self.now_ms, self.settings.keeps_due, |old| old) {
            Live::Found(entry) => Some(entry),
            Live::Missing => None,
            Live::Expired(boxed) => {
                self.stats.expired += 1;
                self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
                self.watches.touched(db, key.bytes);
                self.events.expired(db, key.bytes);
                None
            }
        }
    }

    /// Whether the key is there; leaves no trace.
    pub fn exists(&mut self, db: usize, key: Key<'_>) -> bool {
        self.peek(db, key).is_some()
    }

    /// The boxed value for an edit in place; `None` if absent or not boxed. The caller tells what it
    /// did by [`Shard::changed`].
    pub fn boxed_mut(&mut self, db: usize, key: Key<'_>) -> Option<&mut Value> {
        self.write(db, key)?;
        self.tables[db].boxed_mut(key)
    }

    /// Inserts or replaces. Counts one `dirty`. An expired key counts as absent, also for [`Expire::Keep`].
    #[inline]
    pub fn set(&mut self, db: usize, key: Key<'_>, mut value: NewValue<'_>, expire: Expire) {
        let note = if let NewValue::Boxed(value) = &mut value { value.renew_note() } else { None };
        // in the journal a key that is due goes before what takes its place: the command may not mean to replace it
        let may_be_due = self.events.journaled && self.tables[db].expiring() > 0;
        let looks = expire == Expire::Keep || self.events.wanted != 0 || may_be_due;
        if looks && self.peek(db, key).is_none() {
            self.events.happen(class::NEW, "new", db, key.bytes);
        }
        self.dirty += 1;
        let (settings, random, now) = (&self.settings, &mut self.random, self.now_ms);
        let inserted = self.tables[db].insert(key, value, expire, |old| access::stamp(settings, random, old, now));
        if let Inserted::Replaced(boxed) = inserted {
            self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
            self.events.gone(db, key.bytes);
        }
        self.note_fields(db, key, note);
        self.touch_watches(db, key.bytes);
    }

    /// Tells those who watch or cache the key that it changed, came or went.
    #[inline]
    pub(super) fn touch_watches(&mut self, db: usize, key: &[u8]) {
        self.events.tracking.modified(key);
        self.watches.touched(db, key);
    }

    /// Changes a value in one lookup; the expiry stays. `change` is shown `None` if the key is absent, and answers what
    /// to do and what to return; where it refuses nothing changes. Counts one `dirty` unless it refuses or answers
    /// [`Change::Nothing`].
    #[inline]
    pub fn update<'n, R, E>(
        &mut self,
        db: usize,
        key: Key<'_>,
        change: impl FnOnce(Option<Current<'_>>) -> Result<(Change<'n>, R), E>,
    ) -> Result<R, E> {
        let (settings, random, now) = (&self.settings, &mut self.random, self.now_ms);
        let Some(mut entry) = self.tables[db].occupied(key, now) else {
            let (change, result) = change(None)?;
            if let Change::Replace(value) = change {
                self.set(db, key, value, Expire::Clear);
            }
            return Ok(result);
        };
        let (change, result) = change(Some(entry.current()))?;
        let changes = !matches!(change, Change::Nothing);
        self.dirty += u64::from(changes);
        let stamped = access::stamp(settings, random, Some(entry.access()), now);
        match change {
            Change::Replace(mut value) => {
                let note = if let NewValue::Boxed(value) = &mut value { value.renew_note() } else { None };
                let boxed = entry.replace(value, stamped);
                self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
                self.note_fields(db, key, note);
                self.events.gone(db, key.bytes);
            }
            Change::InPlace | Change::Nothing => entry.set_access(stamped),
        }
        if changes {
            self.touch_watches(db, key.bytes);
        }
        Ok(result)
    }

    /// To be called once by a command that edited a boxed value in place: counts one `dirty` and tells the event.
    #[inline]
    pub fn changed(&mut self, db: usize, key: Key<'_>, class: u16, event: &'static str) {
        self.dirty += 1;
        self.touch_watches(db, key.bytes);
        self.events.happen(class, event, db, key.bytes);
    }

    /// As [`Shard::set`], for a value that was taken or copied out of a table (RENAME, COPY, MOVE).
    pub fn put(&mut self, db: usize, key: Key<'_>, value: Owned, expire: Expire) {
        self.events.ready(db, key.bytes);
        match value {
            Owned::Int(n) => self.set(db, key, NewValue::Int(n), expire),
            Owned::Str { bytes, raw } => self.set(db, key, NewValue::Str { bytes: &bytes, raw }, expire),
            Owned::Boxed(value) => self.set(db, key, NewValue::Boxed(value), expire),
        }
    }

    /// Sets or clears the expiry of a key that is there; false if it is not. Counts one `dirty` if it is.
    pub fn set_expire(&mut self, db: usize, key: Key<'_>, at_ms: Option<u64>) -> bool {
        let found = self.peek(db, key).is_some() && self.tables[db].set_expire(key, at_ms);
        self.dirty += u64::from(found);
        if found {
            self.touch_watches(db, key.bytes);
        }
        found
    }

    /// Removes; big values are freed later, in budgeted steps. False if it was not there. Counts one `dirty` if it was.
    pub fn remove(&mut self, db: usize, key: Key<'_>) -> bool {
        if self.peek(db, key).is_none() {
            return false;
        }
        if let Some(boxed) = self.tables[db].discard(key) {
            self.lazy.value(self.field_expiry.forget(db, key.bytes, boxed));
            self.dirty += 1;
            self.touch_watches(db, key.bytes);
            self.events.gone(db, key.bytes);
        }
        true
    }

    /// Removes a key whose last member went, and tells it. Counts nothing: taking the member did.
    #[cold]
    pub fn remove_emptied(&mut self, db: usize, key: Key<'_>) {
        let dirty = self.dirty;
        self.remove(db, key);
        self.dirty = dirty;
        self.events.happen(class::GENERIC, "del", db, key.bytes);
    }

    /// What an edit changed were so many things, of which one is counted already: `dirty` counts each, as in Redis.
    #[inline]
    pub fn changed_many(&mut self, things: usize) {
        self.dirty += things.saturating_sub(1) as u64;
    }

    /// Removes and returns value and expiry. Counts one `dirty` if it was there.
    pub fn take(&mut self, db: usize, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        self.peek(db, key)?;
        self.dirty += 1;
        self.touch_watches(db, key.bytes);
        self.events.gone(db, key.bytes);
        let taken = self.tables[db].remove(key);
        if let Some((Owned::Boxed(value), _)) = &taken {
            self.field_expiry.forget(db, key.bytes, Some(&**value));
        }
        taken
    }

    /// A copy of value and expiry.
    pub fn copy_out(&mut self, db: usize, key: Key<'_>) -> Option<(Owned, Option<u64>)> {
        let entry = self.peek(db, key)?;
        Some((Owned::from(entry.value), entry.expire_ms))
    }

    /// Stamps the access of a key (TOUCH); false if it is not there.
    pub fn touch(&mut self, db: usize, key: Key<'_>) -> bool {
        self.write(db, key).is_some()
    }

    /// `OBJECT IDLETIME`, seconds; meaningless under [`crate::shard::settings::AccessClock::Frequency`].
    pub fn idle_s(&mut self, db: usize, key: Key<'_>) -> Option<u64> {
        let code = self.peek(db, key)?.access;
        Some(access::idle_s(code, self.now_ms))
    }

    /// `OBJECT FREQ`; meaningful under [`crate::shard::settings::AccessClock::Frequency`] only.
    pub fn frequency(&mut self, db: usize, key: Key<'_>) -> Option<u8> {
        let code = self.peek(db, key)?.access;
        Some(access::frequency(&self.settings, code, self.now_ms))
    }

    /// Makes a key look as if last used `idle_s` seconds ago (`RESTORE ... IDLETIME`); false if it is not there.
    pub fn set_idle(&mut self, db: usize, key: Key<'_>, idle_s: u64) -> bool {
        let code = access::encode_idle(idle_s, self.now_ms);
        self.tables[db].set_access(key, code)
    }

    /// Sets a key's use counter (`RESTORE ... FREQ`); false if it is not there.
    pub fn set_frequency(&mut self, db: usize, key: Key<'_>, counter: u8) -> bool {
        let code = access::encode_frequency(&self.settings, counter, self.now_ms);
        self.tables[db].set_access(key, code)
    }

    /// Keys of a database, those that are due but still there included (as DBSIZE answers in Redis).
    pub fn len(&self, db: usize) -> usize {
        self.tables[db].len()
    }

    /// No key in any database.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Table::is_empty)
    }

    /// Keys of a database that carry an expiry.
    pub fn expiring(&self, db: usize) -> usize {
        self.tables[db].expiring()
    }

    /// SWAPDB.
    pub fn swap_db(&mut self, a: usize, b: usize) {
        if a != b && self.watches.any() {
            for (watched, other) in [(a, b), (b, a)] {
                for key in self.watches.keys_in(watched) {
                    // What is due is as good as gone: it must not count as a change once it has come to the other side.
                    self.peek(watched, Key::new(&key));
                    self.peek(other, Key::new(&key));
                    if self.is_live(watched, &key) || self.is_live(other, &key) {
                        self.watches.touched(watched, &key);
                    }
                }
            }
        }
        self.tables.swap(a, b);
        self.events.ready(EVERY_KEY, b"");
        self.field_expiry.swap(a, b);
    }

    /// Empties one database, or all with `None`; returns how many keys went and counts them in `dirty`. They are freed
    /// by [`Shard::free_step`].
    pub fn flush(&mut self, db: Option<usize>) -> usize {
        let range = db.map_or(0..self.tables.len(), |db| db..db + 1);
        if self.watches.any() {
            for db in range.clone() {
                for key in self.watches.keys_in(db) {
                    if self.is_live(db, &key) {
                        self.watches.touched(db, &key);
                    }
                }
            }
        }
        let mut removed = 0;
        for (db, table) in range.clone().zip(&mut self.tables[range]) {
            self.field_expiry.clear(db);
            removed += table.len();
            let old = self.snapshot.adopt(std::mem::take(table));
            old.into_iter().for_each(|old| self.lazy.table(old));
        }
        self.events.tracking.flushed();
        self.events.gone(EVERY_KEY, b"");
        self.dirty += removed as u64;
        removed
    }

    /// Whether a key is there and not due; removes nothing.
    fn is_live(&self, db: usize, key: &[u8]) -> bool {
        self.tables[db].find(Key::new(key)).is_some_and(|entry| !is_due(&entry, self.now_ms))
    }

    /// Whether a key that the watcher watches on this shard has changed since; expiry up to now counts.
    pub fn watched_changed(&mut self, watcher: Watcher) -> bool {
        for (db, key) in self.watches.keys_of(watcher) {
            let live = self.peek(db, Key::new(&key)).is_some();
            if !live && self.settings.keeps_due && self.tables[db].find(Key::new(&key)).is_some() {
                self.watches.touched(db, &key);
            }
        }
        self.watches.has_changed(watcher)
    }

    /// Frees about `budget` objects of those that wait; true if none wait any more.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.lazy.step(budget)
    }

    /// A key drawn at random (RANDOMKEY). `None` if the database is empty, or if a hundred draws hit only due keys.
    pub fn random_key(&mut self, db: usize) -> Option<Vec<u8>> {
        for _ in 0..100 {
            let random = &mut self.random;
            let entry = self.tables[db].random_entry(|| access::splitmix(random))?;
            let key = entry.key.to_vec();
            if !is_due(&entry, self.now_ms) {
                return Some(key);
            }
            self.peek(db, Key::new(&key));
        }
        None
    }

    /// 64 random bits, for choices that need no secrecy.
    pub fn random_u64(&mut self) -> u64 {
        access::splitmix(&mut self.random)
    }

    /// What the next two calls of [`Shard::random_u64`] will answer if nobody else calls it.
    pub fn random_ahead(&self) -> [u64; 2] {
        let mut state = self.random;
        [access::splitmix(&mut state), access::splitmix(&mut state)]
    }

    /// Dice that hold no borrow of the shard: each roll is 64 random bits, for choices that need no secrecy.
    pub fn dice(&mut self) -> impl FnMut() -> u64 + use<> {
        let mut state = access::splitmix(&mut self.random);
        move || access::splitmix(&mut state)
    }

    /// One step of SCAN over the slots in `slots`; `visit` learns whether an entry is due. See [`Table::scan`] for the
    /// cursor and the guarantee.
    pub fn scan(
        &self,
        db: usize,
        cursor: u64,
        count: usize,
        slots: Range<u16>,
        mut visit: impl FnMut(EntryView<'_>, bool),
    ) -> u64 {
        let now = self.now_ms;
        self.tables[db].scan(cursor, count, slots, |entry| visit(entry, is_due(&entry, now)))
    }

    /// Removes a key that was found due by the way. Not a large one that somebody is in the middle of reading: active
    /// expiry does, later.
    pub fn expire_found(&mut self, db: usize, key: Key<'_>) {
        if self.unwritten_huge(key.pos).is_none() && !self.is_being_copied(Some(key.pos)) {
            self.peek(db, key);
        }
    }

    /// Visits all entries that are not due until `visit` answers false (KEYS).
    pub fn for_each(&self, db: usize, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        let now = self.now_ms;
        self.tables[db].for_each(|entry| is_due(&entry, now) || visit(entry));
    }

    /// Entries of one slot, due ones included (CLUSTER COUNTKEYSINSLOT).
    pub fn count_in_slot(&self, db: usize, slot: u16) -> usize {
        self.tables[db].count_in_slot(slot)
    }

    /// Visits the entries of one slot that are not due until `visit` answers false.
    pub fn for_each_in_slot(&self, db: usize, slot: u16, mut visit: impl FnMut(EntryView<'_>) -> bool) {
        let now = self.now_ms;
        self.tables[db].for_each_in_slot(slot, |entry| is_due(&entry, now) || visit(entry));
    }

    /// Bytes that one key takes, its share of the index included (MEMORY USAGE).
    pub fn key_bytes(&mut self, db: usize, key: Key<'_>) -> Option<usize> {
        self.peek(db, key)?;
        self.tables[db].entry_bytes(key)
    }

    /// Bytes behind the tables and what waits to be freed.
    pub fn memory(&self) -> usize {
        self.tables.iter().map(Table::memory).sum::<usize>() + self.lazy.pending_bytes() as usize
    }

    /// Of those, bytes of the tables that hold no entry.
    pub fn overhead(&self) -> usize {
        self.tables.iter().map(Table::overhead).sum()
    }

    /// Batch lookups, first step: brings the key's index bucket into the cache. Do the whole batch, then the second.
    #[inline]
    pub fn prefetch_bucket(&self, db: usize, pos: Position) {
        self.tables[db].prefetch_bucket(pos);
    }

    /// Batch lookups, second step: brings the entry into the cache.
    #[inline]
    pub fn prefetch_entry(&self, db: usize, pos: Position) {
        self.tables[db].prefetch_entry(pos);
    }
}

fn is_due(entry: &EntryView<'_>, now_ms: u64) -> bool {
    entry.expire_ms.is_some_and(|at| at <= now_ms)
}

#[cfg(test)]
#[path = "keyspace_tests.rs"]
mod tests;

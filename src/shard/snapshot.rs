//! The shard as it was at one moment, written while commands go on changing it. Never waits, never opens a file: the
//! caller takes the bytes, and decides how much is written in one step.
//!
//! A large value is written in steps, too, but for strings and vector sets. The first change to it has the rest of it
//! written at once: a sorted set of 5 million members holds its shard up for 0.6 s then, a set for 0.14 s.
//!
//! Each table writes itself ([`crate::types::table`]); here they are brought together: all begin at the cut, keep the
//! number that they had then (SWAPDB), and stay until they are written whole (FLUSHALL). What is due at the cut is
//! written, too, with its time: whoever loads the file leaves it out.

use crate::base::config::EvictionPolicy as Policy;
use crate::shard::access;
use crate::shard::keyspace::Shard;
use crate::types::rdb::{Attributes, Flavor};
use crate::types::table::{Describe, Table, WalkTerms, Written};

/// What a snapshot is to be like; goes to every shard with the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOrder {
    /// Tells it from others before and after it.
    pub id: u64,
    /// `rdbcompression`.
    pub compress: bool,
    /// `rdb-flavor`.
    pub flavor: Flavor,
    /// What becomes of the journal there.
    pub journal: JournalCut,
    /// Nothing may change after it: the shards stay locked.
    pub last: bool,
    /// What each shard answers to the order.
    pub reply: &'static str,
}

/// What a cut is to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalCut {
    /// Nothing.
    None,
    /// A log begins anew with the snapshot: the journal is split.
    Split,
    /// There was none: from here on what happens is journaled, on all shards or on none.
    Begin,
}

/// What a shard held at the cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutSizes {
    /// Keys and keys that expire, per database.
    pub databases: Vec<(usize, usize)>,
}

/// The snapshot under way, if one is.
#[derive(Debug, Default)]
pub struct Snapshot {
    running: Option<Running>,
    /// Number of the last cut that counted here.
    last_id: u64,
}

#[derive(Debug)]
struct Running {
    id: u64,
    sizes: CutSizes,
    /// `Shard::dirty` at the cut.
    dirty: u64,
    /// Tables that were flushed and are not written yet.
    flushed: Vec<Table>,
    /// The table that the next step goes on with: a database, then the flushed ones.
    turn: usize,
}

impl Snapshot {
    /// The one under way.
    #[inline]
    pub fn id(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.id)
    }

    /// What the shard held at the cut.
    pub fn sizes(&self) -> Option<&CutSizes> {
        self.running.as_ref().map(|running| &running.sizes)
    }

    /// Takes a flushed table that has to be written first; gives it back if it has not.
    pub(super) fn adopt(&mut self, table: Table) -> Option<Table> {
        match &mut self.running {
            Some(running) if table.is_walked() => {
                running.flushed.push(table);
                None
            }
            _ => Some(table),
        }
    }
}

/// What the file says of an entry's use; Redis says it where eviction goes by it.
fn describe(shard: &Shard) -> Option<Describe> {
    let (settings, now_ms) = (shard.settings.clone(), shard.now_ms);
    match settings.eviction {
        Policy::AllkeysLru | Policy::VolatileLru => Some(Box::new(move |code| {
            // It may have been used after the cut: reckoned from a later time, that does not look like long ago.
            let idle_s = access::idle_s(code, now_ms + AHEAD_S * 1000).saturating_sub(AHEAD_S);
            Attributes { idle_s: Some(idle_s), ..Attributes::default() }
        })),
        Policy::AllkeysLfu | Policy::VolatileLfu => Some(Box::new(move |code| {
            let frequency = Some(access::frequency(&settings, code, now_ms));
            Attributes { frequency, ..Attributes::default() }
        })),
        _ => None,
    }
}

/// How long a snapshot may take for idle times to be right. The exact part of an access stamp has so much to spare.
const AHEAD_S: u64 = 90;

impl Shard {
    /// The cut: what the shard holds now is what will be written, and the journal is split or begun as the order says.
    /// A snapshot that is under way is given up.
    ///
    /// False if a later cut was here before: then nothing happens. Orders are given under numbers that only grow, so
    /// one that was held up can neither end the snapshot that came after it nor split the log that begins with that.
    pub fn cut(&mut self, order: CutOrder) -> bool {
        if order.id < self.snapshot.last_id {
            return false;
        }
        self.begin_snapshot(order);
        match order.journal {
            JournalCut::Split if self.events.journaled => self.journal.split(),
            JournalCut::None | JournalCut::Split => {}
            JournalCut::Begin => self.events.journaled = true,
        }
        true
    }

    fn begin_snapshot(&mut self, order: CutOrder) {
        self.end_snapshot(false);
        self.snapshot.last_id = order.id;
        let databases = self.tables.iter().map(|table| (table.len(), table.expiring())).collect();
        for db in 0..self.tables.len() {
            if self.tables[db].is_empty() {
                continue;
            }
            let terms = WalkTerms { db, compress: order.compress, flavor: order.flavor, describe: describe(self) };
            self.tables[db].begin_walk(terms);
        }
        self.snapshot.running = Some(Running {
            id: order.id,
            sizes: CutSizes { databases },
            dirty: self.dirty,
            flushed: Vec::new(),
            turn: 0,
        });
    }

    /// Writes about `bytes` more, looking at about `looks` places; true if nothing is left to write.
    pub fn snapshot_step(&mut self, bytes: usize, looks: usize) -> bool {
        let Some(running) = &mut self.snapshot.running else { return true };
        let databases = self.tables.len();
        while running.turn < databases + running.flushed.len() {
            let table = match running.turn.checked_sub(databases) {
                None => &mut self.tables[running.turn],
                Some(at) => &mut running.flushed[at],
            };
            if !table.walk_step(bytes, looks) {
                return false;
            }
            running.turn += 1;
            if table.is_walked() {
                return false;
            }
        }
        // SWAPDB may have put one where the steps had been already.
        let left = self.tables.iter().any(|table| table.is_walked() && !table.is_written());
        running.turn = if left { 0 } else { running.turn };
        !left
    }

    /// Bytes that wait to be taken.
    pub fn snapshot_bytes(&self) -> usize {
        let Some(running) = &self.snapshot.running else { return 0 };
        self.tables.iter().chain(&running.flushed).map(Table::written_bytes).sum()
    }

    /// Takes what one of the tables has written, if that is at least `bytes`.
    pub fn take_snapshot(&mut self, bytes: usize) -> Option<Written> {
        let running = self.snapshot.running.as_mut()?;
        let mut tables = self.tables.iter_mut().chain(&mut running.flushed);
        let table = tables.find(|table| table.written_bytes() >= bytes.max(1))?;
        Some(table.take_written())
    }

    /// The snapshot is over. If it is `saved`, what changed up to the cut counts as saved.
    pub fn end_snapshot(&mut self, saved: bool) {
        let Some(running) = self.snapshot.running.take() else { return };
        for table in &mut self.tables {
            table.end_walk();
        }
        for mut table in running.flushed {
            table.end_walk();
            self.lazy.table(table);
        }
        if saved {
            self.dirty = self.dirty.saturating_sub(running.dirty);
        }
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;

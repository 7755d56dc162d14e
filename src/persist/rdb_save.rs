//! Writes a snapshot's file: a thread of its own that takes what the shards hand over, each in its own queue, and makes
//! one RDB of it. Never reads a shard, never keeps one waiting: what it cannot take yet stays with them.
//!
//! ```text
//! shard -- parts, a bounded queue --\
//! shard -- parts, a bounded queue ----> thread -- temp file --> fsync, rename, fsync of the folder
//! shard -- parts, a bounded queue --/
//! ```
//! A large value comes in parts, and nothing may stand between them in the file. While the thread is in the middle of
//! one it takes from that shard's queue alone. The queues of the others fill up, and those shards stop walking; nothing
//! that the shard in the middle does waits for them, so it gets to the end of its value.
//!
//! The version stands at the front of the file and is known at its end: the header is written over once more, and the
//! checksum of the whole put together from that of the header and that of the rest.

use crate::persist::aof::folder::Folder;
use crate::persist::aof::manifest::{Begin, Manifest, Set};
use crate::persist::bulk::BulkWriter;
use crate::persist::rdb::FileWriter;
use crate::runtime::{affinity, files};
use crate::shard::snapshot::CutSizes;
use crate::types::rdb::crc64::{combine, crc64};
use crate::types::rdb::{Flavor, VERSION_MIN};
use crate::types::table::Written;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Parts of a shard that wait for the writer at most.
const QUEUE_PARTS_MAX: usize = 256;
/// Bytes of all shards that wait for the writer, from which on shards stop walking; each has its share.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often a writer without work looks whether it was given up.
const GIVE_UP_LOOK: Duration = Duration::from_millis(50);
/// Bytes in front of the remarks: the version.
const HEADER_BYTES: usize = 9;

/// What is to be written.
#[derive(Debug, Clone)]
pub struct SaveTerms {
    /// The folder.
    pub dir: PathBuf,
    /// The file's name in it.
    pub name: String,
    /// The name it has until it is whole.
    pub temp: String,
    /// How many shards hand parts over.
    pub shards: usize,
    /// Whose form is used where Redis and Valkey differ.
    pub flavor: Flavor,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// `rdb-save-incremental-fsync`.
    pub write_behind: bool,
    /// What the file says of itself.
    pub remarks: Vec<(&'static str, String)>,
    /// Libraries of functions, as text.
    pub libraries: Vec<Vec<u8>>,
    /// The log that begins with this file; its older files go.
    pub log: Option<LogTerms>,
}

/// What log begins with a snapshot.
#[derive(Debug, Clone)]
pub struct LogTerms {
    /// Where.
    pub folder: Folder,
    /// Number of the run.
    pub number: u32,
    /// Whether the logs of that run follow; otherwise nothing is logged.
    pub has_logs: bool,
}

/// What a shard hands over.
#[derive(Debug)]
pub enum Part {
    /// Its cut, before anything else of it.
    Cut(CutSizes),
    /// Entries.
    Entries(Written),
    /// Where its log begins behind the cut.
    Begun(Begin),
    /// All of its entries have been handed over.
    End,
}

/// What came of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Bytes of the file.
    pub bytes: u64,
    /// Keys in it.
    pub keys: u64,
    /// The version that was needed.
    pub version: u16,
}

/// A save under way, as shards and the administration see it.
#[derive(Debug)]
pub struct SaveJob {
    /// Number of the snapshot.
    pub id: u64,
    /// Whether a log begins with it.
    pub rewrites: bool,
    /// Whether the shards' logs follow it: then each says where its log begins.
    pub has_logs: bool,
    queues: Vec<Queue>,
    /// Who takes from them.
    writer: OnceLock<Thread>,
    keys: AtomicU64,
    keys_total: AtomicU64,
    given_up: AtomicBool,
    over: AtomicBool,
    result: Mutex<Option<Result<Saved, String>>>,
}

/// What one shard handed over and the writer has not written.
#[derive(Debug)]
struct Queue {
    sender: SyncSender<Part>,
    bytes: AtomicUsize,
    /// See [`SaveJob::press`].
    presses: AtomicBool,
}

impl SaveJob {
    /// Whether so much of a shard waits for the writer that it should not walk on.
    pub fn is_full(&self, shard: usize) -> bool {
        self.queues[shard].bytes.load(Ordering::Relaxed) >= QUEUE_BYTES_MAX / self.queues.len()
    }

    /// Hands a part of a shard over; gives it back where the queue is full. One that failed already takes everything.
    pub fn offer(&self, shard: usize, part: Part) -> Result<(), Part> {
        let bytes = if let Part::Entries(written) = &part { written.bytes.len() } else { 0 };
        let queue = &self.queues[shard];
        queue.bytes.fetch_add(bytes, Ordering::Relaxed);
        match queue.sender.try_send(part) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {
                if let Some(writer) = self.writer.get() {
                    writer.unpark();
                }
                Ok(())
            }
            Err(TrySendError::Full(part)) => {
                queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(part)
            }
        }
    }

    /// A shard says whether its clients suffer as long as its queue is full.
    pub fn press(&self, shard: usize, presses: bool) {
        self.queues[shard].presses.store(presses, Ordering::Relaxed);
    }

    /// Whether any shard presses: the one in the middle of a value should come to its end.
    pub fn is_pressed(&self) -> bool {
        self.queues.iter().any(|queue| queue.presses.load(Ordering::Relaxed))
    }

    /// Keys written so far, and how many there are.
    pub fn progress(&self) -> (u64, u64) {
        (self.keys.load(Ordering::Relaxed), self.keys_total.load(Ordering::Relaxed))
    }

    /// Ends it soon, without a file.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether [`SaveJob::give_up`] was called.
    pub fn was_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether [`SaveJob::result`] is there.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What came of it, once it is over: bytes and keys, or what went wrong.
    pub fn result(&self) -> Option<Result<Saved, String>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self, result: Result<Saved, String>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.over.store(true, Ordering::Release);
    }
}

/// Starts the writer's thread; `ended` is called on it when [`SaveJob::result`] is there. An error is what the log is
/// to say.
pub fn start(id: u64, terms: SaveTerms, ended: impl FnOnce() + Send + 'static) -> Result<Arc<SaveJob>, String> {
    let queue = |_| {
        let (sender, parts) = sync_channel(QUEUE_PARTS_MAX);
        (Queue { sender, bytes: AtomicUsize::new(0), presses: AtomicBool::new(false) }, parts)
    };
    let (queues, parts): (Vec<Queue>, Vec<Receiver<Part>>) = (0..terms.shards).map(queue).unzip();
    let job = Arc::new(SaveJob {
        id,
        rewrites: terms.log.is_some(),
        has_logs: terms.log.as_ref().is_some_and(|log| log.has_logs),
        queues,
        writer: OnceLock::new(),
        keys: AtomicU64::new(0),
        keys_total: AtomicU64::new(0),
        given_up: AtomicBool::new(false),
        over: AtomicBool::new(false),
        result: Mutex::new(None),
    });
    let shared = job.clone();
    let body = move || {
        affinity::run_in_background();
        let result = write_file(terms, &shared, &parts);
        // from here on parts go nowhere
        drop(parts);
        shared.end(result);
        ended();
    };
    let thread = thread::Builder::new().name("pinion-save".to_string()).spawn(body);
    let thread = thread.map_err(|error| format!("Can't save in background: thread: {error}"))?;
    job.writer.get_or_init(|| thread.thread().clone());
    Ok(job)
}

fn write_file(terms: SaveTerms, job: &SaveJob, parts: &[Receiver<Part>]) -> Result<Saved, String> {
    let path = terms.dir.join(&terms.temp);
    let file = BulkWriter::create(path.clone(), terms.write_behind).map_err(|error| {
        let (folder, error) = (terms.dir.display(), os_error(&error));
        format!("Failed opening the temp RDB file {} (in server root dir {folder}) for saving: {error}", terms.temp)
    })?;
    let result = Save::new(terms, file, job).run(parts);
    if result.is_err() {
        // it is of no use to anybody, and may be gone
        let _ = fs::remove_file(&path);
    }
    result
}

/// The system's text, without Rust's "(os error 2)".
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// The writer's state.
struct Save<'a> {
    terms: SaveTerms,
    file: BulkWriter,
    job: &'a SaveJob,
    /// What each shard held at the cut, as far as it was told.
    cuts: Vec<Option<CutSizes>>,
    /// The shard in whose large value the file is.
    middle: Option<usize>,
    /// The shard that is looked at first for the next part.
    turn: usize,
    /// Checksum of what is in the file behind the header.
    crc: u64,
    version: u16,
    keys: u64,
}

impl<'a> Save<'a> {
    fn new(terms: SaveTerms, file: BulkWriter, job: &'a SaveJob) -> Self {
        let cuts = vec![None; terms.shards];
        Save { terms, file, job, cuts, middle: None, turn: 0, crc: 0, version: VERSION_MIN, keys: 0 }
    }

    /// The next part that may be taken, if it is there: the cuts first.
    fn next(&mut self, parts: &[Receiver<Part>]) -> Option<(usize, Part)> {
        if let Some(shard) = self.middle {
            return parts[shard].try_recv().ok().map(|part| (shard, part));
        }
        let lacks_cuts = self.cuts.contains(&None);
        let shards = (self.turn..parts.len()).chain(0..self.turn);
        let mut shards = shards.filter(|shard| !lacks_cuts || self.cuts[*shard].is_none());
        let found = shards.find_map(|shard| parts[shard].try_recv().ok().map(|part| (shard, part)))?;
        self.turn = (found.0 + 1) % parts.len();
        Some(found)
    }

    fn run(mut self, parts: &[Receiver<Part>]) -> Result<Saved, String> {
        let failed = |error: io::Error| format!("Write error saving DB on disk: {}", os_error(&error));
        let (mut ends, mut begins) = (0, vec![None; self.terms.shards]);
        while ends < self.terms.shards || (self.job.has_logs && begins.contains(&None)) {
            if self.job.given_up.load(Ordering::Relaxed) {
                return Err("Background saving terminated by signal 10".to_string());
            }
            let Some((shard, part)) = self.next(parts) else {
                // whoever offers a part wakes this thread
                thread::park_timeout(GIVE_UP_LOOK);
                continue;
            };
            match part {
                Part::Cut(sizes) => {
                    self.cuts[shard] = Some(sizes);
                    if !self.cuts.contains(&None) {
                        self.begin().map_err(failed)?;
                    }
                }
                Part::Entries(written) => {
                    self.middle = written.goes_on.then_some(shard);
                    self.entries(&written).map_err(failed)?;
                    self.job.queues[shard].bytes.fetch_sub(written.bytes.len(), Ordering::Relaxed);
                }
                Part::Begun(begin) => begins[shard] = Some(begin),
                Part::End => ends += 1,
            }
        }
        let log = self.terms.log.take();
        let name = self.terms.name.clone();
        let saved = self.finish().map_err(failed)?;
        if let Some(LogTerms { folder, number, has_logs }) = log {
            let shards = begins.len() as u16;
            let set = Set { number, shards, begins: begins.into_iter().flatten().collect() };
            let sets = if has_logs { vec![set] } else { Vec::new() };
            let manifest = Manifest { base: Some(name), sets, ..Manifest::default() };
            folder.replace_manifest(&manifest).and_then(|()| folder.sweep(&manifest)).map_err(failed)?;
        }
        Ok(saved)
    }

    /// What stands in front of the keys.
    fn begin(&mut self) -> io::Result<()> {
        let mut front = FileWriter::new(VERSION_MIN, self.terms.flavor, false, false);
        for (name, value) in &self.terms.remarks {
            front.remark(name, value);
        }
        for library in &self.terms.libraries {
            front.function(library);
        }
        let cuts = || self.cuts.iter().flatten();
        let databases = cuts().map(|cut| cut.databases.len()).max().unwrap_or(0);
        let mut total = 0;
        for db in 0..databases {
            let sizes = || cuts().filter_map(|cut| cut.databases.get(db));
            let (keys, expiring) = sizes().fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            total += keys as u64;
            if keys > 0 {
                front.database(db, keys, expiring);
            }
        }
        self.job.keys_total.store(total, Ordering::Relaxed);
        let front = front.take();
        self.file.write(&front)?;
        self.crc = crc64(0, &front[HEADER_BYTES..]);
        Ok(())
    }

    fn entries(&mut self, written: &Written) -> io::Result<()> {
        if self.terms.checksum {
            self.crc = crc64(self.crc, &written.bytes);
        }
        self.file.write(&written.bytes)?;
        self.version = self.version.max(written.version);
        self.keys += written.entries;
        self.job.keys.store(self.keys, Ordering::Relaxed);
        Ok(())
    }

    /// The end of the file, its final header, and its name.
    fn finish(mut self) -> io::Result<Saved> {
        let flavor = self.terms.flavor;
        self.file.write(&FileWriter::end_mark())?;
        self.crc = crc64(self.crc, &FileWriter::end_mark());
        let header = FileWriter::new(self.version, flavor, false, false).take();
        let rest = self.file.bytes() - HEADER_BYTES as u64;
        let crc = if self.terms.checksum { combine(crc64(0, &header), self.crc, rest) } else { 0 };
        self.file.write(&crc.to_le_bytes())?;
        let bytes = self.file.bytes();
        self.file.finish(&header)?;
        let (temp, target) = (self.terms.dir.join(&self.terms.temp), self.terms.dir.join(&self.terms.name));
        fs::rename(temp, target)?;
        files::sync_folder(&self.terms.dir)?;
        Ok(Saved { bytes, keys: self.keys, version: self.version })
    }
}

#[cfg(test)]
#[path = "rdb_save_tests.rs"]
mod tests;

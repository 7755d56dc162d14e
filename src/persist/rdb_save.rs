//! Writes a snapshot's file: a thread of its own that takes what the shards hand over, in any order, and makes one RDB
//! of it. Never reads a shard, never keeps one waiting: what it cannot take yet stays with them.
//!
//! ```text
//! shards -- parts, a bounded queue --> thread -- temp file --> fsync, rename, fsync of the folder
//! ```
//! The version stands at the front of the file and is known at its end: the header is written over once more, and the
//! checksum of the whole put together from that of the header and that of the rest.
//!
//! A plain file, written behind with `sync_file_range` and dropped from the page cache once it is safe. A stream with
//! O_DIRECT on an executor of its own (glommio) was considered: it brings rings that containers may refuse, so the
//! plain file would be needed beside it, and one thread writes faster than shards encode.

use crate::persist::aof::folder::Folder;
use crate::persist::aof::manifest::{Begin, Manifest, Set};
use crate::persist::rdb::FileWriter;
use crate::runtime::{affinity, files};
use crate::shard::snapshot::CutSizes;
use crate::types::rdb::crc64::{combine, crc64};
use crate::types::rdb::{Flavor, VERSION_MIN};
use crate::types::table::Written;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Parts that wait for the writer at most, and the bytes from which on shards stop walking.
const QUEUE_PARTS_MAX: usize = 256;
/// See [`SaveJob::is_full`].
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The kernel is told to write behind in pieces of this size (`rdb-save-incremental-fsync`).
const WRITE_BEHIND_BYTES: u64 = 4 * 1024 * 1024;
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
    Begun(usize, Begin),
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
    sender: SyncSender<Part>,
    queued_bytes: AtomicUsize,
    keys: AtomicU64,
    keys_total: AtomicU64,
    given_up: AtomicBool,
    over: AtomicBool,
    result: Mutex<Option<Result<Saved, String>>>,
}

impl SaveJob {
    /// Whether so much waits for the writer that shards should not walk on.
    pub fn is_full(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) >= QUEUE_BYTES_MAX
    }

    /// Hands a part over; gives it back where the queue is full. One that failed already takes everything.
    pub fn offer(&self, part: Part) -> Result<(), Part> {
        let bytes = if let Part::Entries(written) = &part { written.len() } else { 0 };
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.sender.try_send(part) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(part)) => {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(part)
            }
        }
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
    let (sender, parts) = sync_channel(QUEUE_PARTS_MAX);
    let job = Arc::new(SaveJob {
        id,
        rewrites: terms.log.is_some(),
        has_logs: terms.log.as_ref().is_some_and(|log| log.has_logs),
        sender,
        queued_bytes: AtomicUsize::new(0),
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
    let thread = std::thread::Builder::new().name("pinion-save".to_string()).spawn(body);
    thread.map_err(|error| format!("Can't save in background: thread: {error}"))?;
    Ok(job)
}

fn write_file(terms: SaveTerms, job: &SaveJob, parts: &Receiver<Part>) -> Result<Saved, String> {
    let path = terms.dir.join(&terms.temp);
    let file = File::create(&path).map_err(|error| {
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
    file: File,
    job: &'a SaveJob,
    /// Bytes in the file, and the checksum of those behind the header.
    offset: u64,
    crc: u64,
    version: u16,
    keys: u64,
    /// Up to here the kernel was told to write.
    behind: u64,
}

impl<'a> Save<'a> {
    fn new(terms: SaveTerms, file: File, job: &'a SaveJob) -> Self {
        Save { terms, file, job, offset: 0, crc: 0, version: VERSION_MIN, keys: 0, behind: 0 }
    }

    fn run(mut self, parts: &Receiver<Part>) -> Result<Saved, String> {
        let failed = |error: io::Error| format!("Write error saving DB on disk: {}", os_error(&error));
        let mut cuts = Vec::new();
        let mut early = Vec::new();
        let (mut ends, mut begins) = (0, vec![None; self.terms.shards]);
        while ends < self.terms.shards || (self.job.has_logs && begins.contains(&None)) {
            if self.job.given_up.load(Ordering::Relaxed) {
                return Err("Background saving terminated by signal 10".to_string());
            }
            let part = match parts.recv_timeout(GIVE_UP_LOOK) {
                Ok(part) => part,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Err("the shards have ended".to_string()),
            };
            match part {
                Part::Cut(sizes) => {
                    cuts.push(sizes);
                    if cuts.len() == self.terms.shards {
                        self.begin(&cuts).map_err(failed)?;
                        for written in early.drain(..) {
                            self.entries(written).map_err(failed)?;
                        }
                    }
                }
                Part::Entries(written) if cuts.len() < self.terms.shards => early.push(written),
                Part::Entries(written) => self.entries(written).map_err(failed)?,
                Part::Begun(shard, begin) => begins[shard] = Some(begin),
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
            let manifest = Manifest { base: Some(name), sets };
            folder.replace_manifest(&manifest).and_then(|()| folder.sweep(&manifest)).map_err(failed)?;
        }
        Ok(saved)
    }

    /// What stands in front of the keys.
    fn begin(&mut self, cuts: &[CutSizes]) -> io::Result<()> {
        let mut front = FileWriter::new(VERSION_MIN, self.terms.flavor, false, false);
        for (name, value) in &self.terms.remarks {
            front.remark(name, value);
        }
        for library in &self.terms.libraries {
            front.function(library);
        }
        let databases = cuts.iter().map(|cut| cut.databases.len()).max().unwrap_or(0);
        let mut total = 0;
        for db in 0..databases {
            let sizes = || cuts.iter().filter_map(|cut| cut.databases.get(db));
            let (keys, expiring) = sizes().fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            total += keys as u64;
            if keys > 0 {
                front.database(db, keys, expiring);
            }
        }
        self.job.keys_total.store(total, Ordering::Relaxed);
        let front = front.take();
        self.write(&front)?;
        self.crc = crc64(0, &front[HEADER_BYTES..]);
        Ok(())
    }

    fn entries(&mut self, written: Written) -> io::Result<()> {
        for bytes in written.parts() {
            if self.terms.checksum {
                self.crc = crc64(self.crc, bytes);
            }
            self.write(bytes)?;
        }
        self.version = self.version.max(written.version);
        self.keys += written.entries;
        self.job.keys.store(self.keys, Ordering::Relaxed);
        self.job.queued_bytes.fetch_sub(written.len(), Ordering::Relaxed);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        if self.terms.write_behind && self.offset - self.behind >= WRITE_BEHIND_BYTES {
            files::write_behind(&self.file, self.behind, self.offset - self.behind);
            self.behind = self.offset;
        }
        Ok(())
    }

    /// The end of the file, its final header, and its name.
    fn finish(mut self) -> io::Result<Saved> {
        let flavor = self.terms.flavor;
        self.write(&FileWriter::end_mark())?;
        self.crc = crc64(self.crc, &FileWriter::end_mark());
        let header = FileWriter::new(self.version, flavor, false, false).take();
        let rest = self.offset - HEADER_BYTES as u64;
        let crc = if self.terms.checksum { combine(crc64(0, &header), self.crc, rest) } else { 0 };
        self.write(&crc.to_le_bytes())?;
        self.file.write_all_at(&header, 0)?;
        self.file.sync_all()?;
        files::drop_cached(&self.file);
        let (temp, target) = (self.terms.dir.join(&self.terms.temp), self.terms.dir.join(&self.terms.name));
        fs::rename(temp, target)?;
        files::sync_folder(&self.terms.dir)?;
        Ok(Saved { bytes: self.offset, keys: self.keys, version: self.version })
    }
}

#[cfg(test)]
#[path = "rdb_save_tests.rs"]
mod tests;

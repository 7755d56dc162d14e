//! One shard's log while the server runs: what was gathered goes out as one block per commit, one commit at a time;
//! while it is under way the next one gathers. Knows what is durable. Never waits for a durable write: the driver does
//! those, and a thread makes the next segment ahead.

use crate::base::config::Fsync;
use crate::base::limits::LOG_SEGMENTS_BEHIND_MAX;
use crate::persist::aof::block::{self, BUFFERED_ALIGN, DIRECT_ALIGN, Place};
use crate::persist::aof::folder::{Folder, SegmentId};
use crate::persist::aof::maker::Maker;
use crate::persist::aof::manifest::Begin;
use crate::runtime::aligned::AlignedBuf;
use crate::runtime::files::{MadeFile, preallocate};
use crate::shard::journal::Journal;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes by which a segment's file grows ahead of what is written.
const AHEAD_BYTES: u64 = 4 << 20;
/// Bytes that are filled with zeros at a time: then a small commit is one write and one flush, where blocks that were
/// only reserved cost a change of the file system's journal as well (80 us instead of 120 on the disk measured).
const FILL_BYTES: u64 = 256 << 10;
/// Filling begins so far ahead of what is written, that commits go on meanwhile.
pub(super) const FILL_GAP_BYTES: u64 = 64 << 10;
/// Filled are so many bytes ahead.
pub(super) const FILL_AHEAD_BYTES: u64 = 1 << 20;
/// Behind commits of more bytes than this filling is not worth writing everything twice.
const FILL_COMMIT_BYTES_MAX: u64 = 32 << 10;
/// Bytes that a segment has from the begin that was not made ahead.
const FIRST_BYTES: u64 = 256 << 10;
/// The next segment is made when this part of one is used.
const MAKE_FROM: u64 = 4;
/// While the next segment is not there yet, one may grow to so many times its size.
const OVERFULL: u64 = 2;
/// What the page cache reads from the disk before a part of it is written.
const PAGE_BYTES: usize = 4096;
/// Milliseconds between two syncs under `appendfsync everysec`.
const SYNC_INTERVAL_MS: u64 = 1000;

/// A write for the driver; give what comes of it to [`Log::logged`].
#[derive(Debug)]
pub struct Write {
    /// Where to.
    pub file: Arc<File>,
    /// What.
    pub buffer: AlignedBuf,
    /// At which offset.
    pub offset: u64,
}

/// Zeros for the driver to write; tell it with [`Log::filled`].
#[derive(Debug)]
pub struct Fill {
    /// Where to.
    pub file: Arc<File>,
    /// At which offset.
    pub offset: u64,
    /// How many.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    folder: Folder,
    id: SegmentId,
    segment: MadeFile,
    /// Makes the next one.
    maker: Maker,
    /// Whether it makes it when it is told to, before anything else goes on.
    makes_at_once: bool,
    /// Full segments that are not synced yet, and position and block number behind what is in them.
    behind: VecDeque<(Arc<File>, u64, u64)>,
    offset: u64,
    /// Bytes that the file has.
    allocated: u64,
    /// The segment's blocks before this offset were written once.
    filled: u64,
    /// Begin and end of the fill under way; of another segment's it is empty.
    filling: Option<(u64, u64)>,
    /// Bytes of the last block.
    last_bytes: u64,
    /// Number of the next block.
    sequence: u64,
    /// Blocks before this number are durable.
    synced: u64,
    /// Journal positions: handed to the kernel, durable.
    written: u64,
    durable: u64,
    /// Position and block number behind the durable write under way.
    writing: Option<(u64, u64)>,
    /// The same of the sync under way, and when the last one began.
    syncing: Option<(u64, u64)>,
    synced_ms: u64,
    spare: AlignedBuf,
    /// Bytes in this run's files, since the last rewrite.
    bytes: u64,
    /// What is written next begins a new segment.
    switches: bool,
    /// Where the log begins that follows the last [`Journal::split`], if nobody has asked yet.
    begun: Option<Begin>,
}

impl Log {
    /// Begins a shard's log of a run. The run must be in the manifest already. `position` is the journal's end.
    pub fn begin(folder: Folder, set: u32, shard: u16, position: u64) -> io::Result<Log> {
        let id = SegmentId { set, shard, number: 0 };
        let segment = folder.new_segment(id, FIRST_BYTES).make()?;
        Ok(Log {
            allocated: segment.bytes,
            filled: segment.filled,
            folder,
            id,
            segment,
            maker: Maker::default(),
            makes_at_once: false,
            behind: VecDeque::new(),
            offset: 0,
            filling: None,
            last_bytes: 0,
            sequence: 0,
            synced: 0,
            written: position,
            durable: position,
            writing: None,
            syncing: None,
            synced_ms: 0,
            spare: AlignedBuf::default(),
            bytes: 0,
            switches: false,
            begun: None,
        })
    }

    /// Begins the logs of all shards of a run that is in no manifest yet; all or none.
    pub fn begin_all(folder: &Folder, set: u32, shards: usize) -> io::Result<Vec<Log>> {
        std::thread::scope(|scope| {
            let begin = |shard| scope.spawn(move || Log::begin(folder.clone(), set, shard as u16, 0));
            let threads: Vec<_> = (0..shards).map(begin).collect();
            let ended = |error| io::Error::other(format!("a thread ended: {error:?}"));
            threads.into_iter().map(|thread| thread.join().map_err(ended)?).collect()
        })
    }

    /// The journal goes on from `position` in this log, which has nothing yet and begins with the snapshot whose cut
    /// was just made.
    pub fn begin_at(&mut self, position: u64) {
        (self.written, self.durable) = (position, position);
        self.begun = Some(Begin { segment: self.id.number, sequence: self.sequence });
    }

    /// From now on the next segment is made when it is asked for, by whoever does: in a simulation, where no thread may
    /// decide.
    pub fn make_at_once(&mut self) {
        self.makes_at_once = true;
    }

    /// Where it is.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The journal position up to which everything survives a power loss.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The journal position up to which everything survives the end of the process.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The shard.
    pub fn shard(&self) -> u16 {
        self.id.shard
    }

    /// Number of the run.
    pub fn set(&self) -> u32 {
        self.id.set
    }

    /// Bytes in the files of this run.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory that its buffers take, the one that is being written among them.
    pub fn held_bytes(&self) -> usize {
        self.spare.capacity() + if self.is_writing() { self.last_bytes as usize } else { 0 }
    }

    /// Whether a durable write is under way.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Whether zeros are still being written to a segment that it has left.
    pub fn fills_behind(&self) -> bool {
        self.filling.is_some_and(|(from, to)| from == to)
    }

    /// Whether a write, a sync or a fill is under way.
    pub fn is_busy(&self) -> bool {
        self.writing.is_some() || self.syncing.is_some() || self.filling.is_some()
    }

    /// Commits what `journal` gathered, if there is something and no commit is under way. Under [`Fsync::Always`] the
    /// answer is a write for the driver to make durable; otherwise the page cache has it when this returns.
    pub fn commit(&mut self, journal: &mut Journal, fsync: Fsync) -> io::Result<Option<Write>> {
        let idle = journal.is_empty() && !self.switches;
        if idle || self.writing.is_some() {
            return Ok(None);
        }
        if fsync == Fsync::Always && self.durable < self.written {
            // a durable write is durable by itself only: what an easier policy left in the page cache goes first
            return Ok(None);
        }
        let bytes = (journal.len() + 2 * (block::HEADER_BYTES + DIRECT_ALIGN)) as u64;
        if self.filling.is_some_and(|(from, to)| from < to && self.offset + bytes > from) {
            return Ok(None);
        }
        if let Some((before, end)) = journal.take_before() {
            self.switches = true;
            if !before.is_empty() {
                let write = self.write(before, end, fsync)?;
                if write.is_some() {
                    return Ok(write);
                }
            }
        }
        if self.switches {
            self.switches = false;
            self.next_segment()?;
            self.offset = 0;
            self.bytes = 0;
            self.begun = Some(Begin { segment: self.id.number, sequence: self.sequence });
        }
        if journal.is_empty() {
            return Ok(None);
        }
        let end = journal.end();
        let buffer = journal.take(std::mem::take(&mut self.spare));
        self.write(buffer, end, fsync)
    }

    /// Where the log begins that follows the last [`Journal::split`]; said once.
    pub fn take_begun(&mut self) -> Option<Begin> {
        self.begun.take()
    }

    /// Whether the next commit has something to do even if nothing is gathered.
    pub fn switches(&self) -> bool {
        self.switches
    }

    fn write(&mut self, mut buffer: AlignedBuf, end: u64, fsync: Fsync) -> io::Result<Option<Write>> {
        let direct = self.segment.direct.as_ref().filter(|_| fsync == Fsync::Always).cloned();
        let align = if direct.is_some() { DIRECT_ALIGN } else { BUFFERED_ALIGN };
        let mut offset = self.offset.next_multiple_of(align as u64);
        if offset > 0 && offset + buffer.len() as u64 > self.folder.segment_bytes && self.may_switch() {
            self.next_segment()?;
            offset = 0;
        }
        let file = if align == DIRECT_ALIGN { self.segment.direct.clone() } else { None };
        let align = if file.is_some() { DIRECT_ALIGN } else { BUFFERED_ALIGN };
        let file = file.unwrap_or_else(|| self.segment.buffered.clone());
        self.grow(offset + buffer.len() as u64)?;
        let place = Place { epoch: self.id.epoch(), shard: self.id.shard, sequence: self.sequence };
        let (header, bytes) = block::seal(place, self.synced, align, &buffer);
        if bytes > block::BLOCK_BYTES_MAX {
            return Err(io::Error::other("a commit too large for one block"));
        }
        buffer[..block::HEADER_BYTES].copy_from_slice(&header);
        buffer.resize(bytes);
        self.sequence += 1;
        self.offset = offset + bytes as u64;
        self.last_bytes = bytes as u64;
        self.bytes += bytes as u64;
        if fsync == Fsync::Always {
            self.writing = Some((end, self.sequence));
            return Ok(Some(Write { file, buffer, offset }));
        }
        if self.segment.filled > 0 {
            // what was there before would have to be read first where a page is written in part
            buffer.resize((offset as usize + bytes).next_multiple_of(PAGE_BYTES) - offset as usize);
        }
        file.write_all_at(&buffer, offset)?;
        self.written = end;
        self.spare = buffer;
        Ok(None)
    }

    /// The driver's answer to a write.
    pub fn logged(&mut self, buffer: AlignedBuf, result: io::Result<()>) -> io::Result<()> {
        self.spare = buffer;
        if let Some((end, sequence)) = self.writing.take() {
            result?;
            (self.written, self.durable, self.synced) = (end, end, sequence);
        }
        Ok(())
    }

    /// What to fill with zeros, if there is something and no fill is under way.
    pub fn fill(&mut self, fsync: Fsync) -> io::Result<Option<Fill>> {
        let ends = self.offset.next_multiple_of(DIRECT_ALIGN as u64);
        let from = self.filled.max(ends + FILL_GAP_BYTES);
        let to = (from + FILL_BYTES).min(self.folder.segment_bytes);
        let small = self.last_bytes > 0 && self.last_bytes <= FILL_COMMIT_BYTES_MAX;
        if fsync != Fsync::Always || !small || self.filling.is_some() || from >= (ends + FILL_AHEAD_BYTES).min(to) {
            return Ok(None);
        }
        let Some(file) = self.segment.direct.clone() else { return Ok(None) };
        self.grow(to)?;
        self.filling = Some((from, to));
        Ok(Some(Fill { file, offset: from, bytes: (to - from) as usize }))
    }

    /// The driver has filled what it was given, or failed to, which is no harm.
    pub fn filled(&mut self) {
        if let Some((from, to)) = self.filling.take()
            && from < to
        {
            self.filled = to;
        }
    }

    /// A file to sync, if it is time to; give the driver's answer to [`Log::log_synced`].
    pub fn sync(&mut self, fsync: Fsync, now_ms: u64) -> Option<Arc<File>> {
        let due = match fsync {
            _ if !self.behind.is_empty() => true,
            Fsync::Always => self.durable < self.written,
            Fsync::EverySecond => self.durable < self.written && now_ms >= self.synced_ms + SYNC_INTERVAL_MS,
            Fsync::No => false,
        };
        if !due || self.is_busy() {
            return None;
        }
        if let Some((file, end, sequence)) = self.behind.front() {
            self.syncing = Some((*end, *sequence));
            return Some(file.clone());
        }
        self.synced_ms = now_ms;
        self.syncing = Some((self.written, self.sequence));
        Some(self.segment.buffered.clone())
    }

    /// The driver's answer to a sync.
    pub fn log_synced(&mut self, result: io::Result<()>) -> io::Result<()> {
        if let Some((end, sequence)) = self.syncing.take() {
            result?;
            (self.durable, self.synced) = (end, sequence);
            if self.behind.front().is_some_and(|(_, behind, _)| *behind == end) {
                self.behind.pop_front();
            }
        }
        Ok(())
    }

    /// Commits and syncs what is left, waiting for the disk: at the end of the server. No write may be under way.
    pub fn close(&mut self, journal: &mut Journal) -> io::Result<()> {
        self.syncing = None;
        self.commit(journal, Fsync::No)?;
        if self.durable < self.written {
            self.sync_behind()?;
            self.segment.buffered.sync_data()?;
            self.durable = self.written;
        }
        if self.maker.take().is_some() {
            // where that fails the next start does it
            let _ = self.folder.retire(self.next_id());
        }
        // what was allocated ahead is given back; where that fails it is only space
        let _ = self.segment.buffered.set_len(self.offset);
        Ok(())
    }

    /// Has the file take `bytes`, and some more than that.
    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = bytes.next_multiple_of(DIRECT_ALIGN as u64);
        if bytes > self.allocated {
            let ahead = (self.allocated * 2).min(self.allocated + AHEAD_BYTES).min(self.folder.segment_bytes);
            self.allocated = bytes.max(ahead);
            preallocate(&self.segment.buffered, self.allocated)?;
        }
        Ok(())
    }

    fn next_id(&self) -> SegmentId {
        SegmentId { number: self.id.number + 1, ..self.id }
    }

    /// Has the next segment made, once enough of this one is used and if that was not done yet. Not at once: where a
    /// snapshot is being written, as behind its cut, the sync of a name would have that written first (ext4).
    pub fn make_next(&mut self) {
        if self.offset >= self.folder.segment_bytes / MAKE_FROM {
            let (folder, id) = (&self.folder, self.next_id());
            self.maker.order(|| folder.new_segment(id, folder.segment_bytes), self.makes_at_once);
        }
    }

    /// Whether a full segment gives way to the next one now. It goes on for a while rather than wait for the disk.
    fn may_switch(&mut self) -> bool {
        let is_ready = self.maker.is_ready() && self.behind.len() < LOG_SEGMENTS_BEHIND_MAX;
        is_ready || self.offset >= self.folder.segment_bytes * OVERFULL
    }

    /// Makes what is in full segments durable, waiting for the disk.
    fn sync_behind(&mut self) -> io::Result<()> {
        for (file, ..) in self.behind.drain(..) {
            file.sync_data()?;
        }
        Ok(())
    }

    /// Goes on in a new file. What is in the old one becomes durable before anything in the new one is called so.
    fn next_segment(&mut self) -> io::Result<()> {
        if self.behind.len() >= LOG_SEGMENTS_BEHIND_MAX {
            self.sync_behind()?;
        }
        if self.durable < self.written {
            self.behind.push_back((self.segment.buffered.clone(), self.written, self.sequence));
        }
        let made = self.maker.take();
        self.id = self.next_id();
        self.segment = match made {
            Some(made) => made,
            None => self.folder.new_segment(self.id, FIRST_BYTES).make()?,
        };
        self.allocated = self.segment.bytes;
        self.filled = self.segment.filled;
        self.last_bytes = 0;
        self.filling = self.filling.map(|_| (0, 0));
        Ok(())
    }
}

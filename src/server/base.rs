//! The base of a log of our own, read by one thread that cuts it into keys and put in by one per shard. Nobody is
//! served meanwhile; changes no file.

use crate::base::clock;
use crate::base::hash;
use crate::commands::keys::value_limits;
use crate::persist::load::{LoadError, RawEntry, Refusal, Sink, Window, rdb};
use crate::server::loading::read_bytes;
use crate::shard::keyspace::Shard;
use crate::txn::feed::with_value;
use crate::txn::loading::Loading;
use crate::txn::router::owner;
use crate::types::rdb::Attributes;
use crate::types::rdb::read::{Bad, Limits, Reader};
use crate::types::table::Key;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of keys and values that go to a shard at once, and how many such pieces wait for it at most.
const PIECE_BYTES: usize = 128 * 1024;
const PIECES_MAX: usize = 8;

/// What a shard is to put in.
#[derive(Default)]
struct Piece {
    version: u16,
    /// About how many keys are to come, by database.
    expected: Vec<(usize, u64)>,
    entries: Vec<Entry>,
    /// Of each entry its key, then its value.
    data: Vec<u8>,
}

struct Entry {
    db: usize,
    kind: u8,
    key_bytes: usize,
    body_bytes: usize,
    attributes: Attributes,
    at: u64,
}

/// Reads a base into shards; answers its bytes. Libraries of functions are added to `libraries`.
///
/// # Errors
/// What is wrong and where, to follow the file's name.
pub(super) fn load(
    path: &Path,
    shards: &mut [Shard],
    libraries: &mut Vec<Vec<u8>>,
    loading: &Loading,
) -> Result<u64, String> {
    let mut window = Window::open(path).map_err(reason)?;
    loading.expect_bytes(window.len());
    let databases = shards[0].tables.len();
    std::thread::scope(|scope| {
        let (mut senders, mut takers) = (Vec::new(), Vec::new());
        for shard in shards {
            let (sender, pieces) = sync_channel(PIECES_MAX);
            senders.push(sender);
            takers.push(scope.spawn(move || put_in(shard, &pieces)));
        }
        let pieces = senders.iter().map(|_| Piece::default()).collect();
        let mut spread = Spread { senders, pieces, version: 0, databases, libraries, loading };
        let read = rdb::read(&mut window, true, &mut spread);
        let sent = spread.send_all();
        drop(spread);
        // what a shard found is the reason why reading stopped
        for taker in takers {
            taker.join().expect("keys are put in without a panic")?;
        }
        read.and(sent.map_err(|_| LoadError::Stopped)).map_err(reason)?;
        Ok(window.position())
    })
}

fn reason(error: LoadError) -> String {
    match error {
        LoadError::Stopped => "it was stopped".to_string(),
        LoadError::Damage { at, why, .. } => format!("at byte {at}: {why}"),
        LoadError::Io { error, .. } => error.to_string(),
    }
}

/// Gives each shard its keys.
struct Spread<'a> {
    senders: Vec<SyncSender<Piece>>,
    pieces: Vec<Piece>,
    version: u16,
    databases: usize,
    libraries: &'a mut Vec<Vec<u8>>,
    loading: &'a Loading,
}

impl Spread<'_> {
    fn database(&self, db: u64) -> Result<usize, Refusal> {
        let small = usize::try_from(db).ok().filter(|db| *db < self.databases);
        small.ok_or_else(|| Refusal::Because("a database beyond `databases`".to_string()))
    }

    fn send(&mut self, shard: usize) -> Result<(), Refusal> {
        let piece = std::mem::take(&mut self.pieces[shard]);
        self.senders[shard].send(Piece { version: self.version, ..piece }).map_err(|_| Refusal::Stopped)
    }

    fn send_all(&mut self) -> Result<(), Refusal> {
        (0..self.pieces.len()).try_for_each(|shard| self.send(shard))
    }
}

impl Sink for Spread<'_> {
    fn snapshot(&mut self, _: &Path, version: u16, _: bool) -> Result<(), Refusal> {
        self.version = version;
        Ok(())
    }

    fn sizes(&mut self, db: u64, keys: u64) -> Result<(), Refusal> {
        let db = self.database(db)?;
        let share = keys / self.pieces.len() as u64;
        self.pieces.iter_mut().for_each(|piece| piece.expected.push((db, share)));
        Ok(())
    }

    fn entry(&mut self, entry: &RawEntry<'_>) -> Result<(), Refusal> {
        let db = self.database(entry.db)?;
        let shard = owner(hash::slot(entry.key), self.pieces.len());
        let piece = &mut self.pieces[shard];
        piece.data.extend_from_slice(entry.key);
        piece.data.extend_from_slice(entry.body);
        let (key_bytes, body_bytes) = (entry.key.len(), entry.body.len());
        let RawEntry { kind, attributes, at, .. } = *entry;
        piece.entries.push(Entry { db, kind, key_bytes, body_bytes, attributes, at });
        if piece.data.len() < PIECE_BYTES {
            return Ok(());
        }
        if self.loading.has_failed() {
            return Err(Refusal::Stopped);
        }
        self.send(shard)
    }

    fn remark(&mut self, _: &[u8], _: &[u8]) {}

    fn function(&mut self, text: &[u8]) {
        self.libraries.push(text.to_vec());
    }

    fn command(&mut self, _: u64, _: &[&[u8]]) -> Result<(), Refusal> {
        Err(Refusal::Because("a command in a snapshot".to_string()))
    }

    fn warn(&mut self, text: &str) {
        crate::admin::log::warning(text);
    }

    fn progress(&mut self, bytes: u64) {
        read_bytes(self.loading, bytes);
    }
}

/// Puts in what comes, until nothing more does.
fn put_in(shard: &mut Shard, pieces: &Receiver<Piece>) -> Result<(), String> {
    let limits = value_limits(shard);
    for piece in pieces {
        for (db, keys) in &piece.expected {
            shard.expect(*db, *keys);
        }
        let mut rest = &piece.data[..];
        for entry in &piece.entries {
            let (key, behind) = rest.split_at(entry.key_bytes);
            let (body, behind) = behind.split_at(entry.body_bytes);
            rest = behind;
            put(shard, entry, key, &mut Reader::new(body, piece.version), &limits)
                .map_err(|bad| format!("at byte {}: {bad}", entry.at))?;
        }
    }
    Ok(())
}

fn put(shard: &mut Shard, entry: &Entry, key: &[u8], body: &mut Reader<'_>, limits: &Limits) -> Result<(), Bad> {
    with_value(body, entry.kind, limits, |value| {
        // when it was used is reckoned anew in the end
        shard.load(entry.db, Key::new(key), value, entry.attributes, clock::unix_ms_now());
    })?;
    Ok(())
}

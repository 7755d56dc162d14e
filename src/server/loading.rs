//! Loading what is on disk when the server starts: which files there are, which of them count, and a thread that reads
//! them while the cores answer `-LOADING`. Writes nothing.
//!
//! With `appendonly yes` an append-only file counts: the folder of several, or the single file of Redis before 7.0. If
//! there is none, or with `appendonly no`, the snapshot does.

use crate::admin::log;
use crate::base::clock;
use crate::base::config::Config;
use crate::commands::debug::ReloadOrder;
use crate::net::shared::Shared;
use crate::persist::aof::folder::Folder;
use crate::persist::load::aof::Ending;
use crate::persist::load::manifest::RedisManifest;
use crate::persist::load::{LoadError, RawEntry, Refusal, Sink, Window, aof, rdb};
use crate::runtime::affinity;
use crate::server::recovery;
use crate::txn::feed::{FeedError, Feeder, Meta, Source, Stopped, feed};
use crate::txn::loading::Loading;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Milliseconds between two lines of progress in the log.
const PROGRESS_MS: u64 = 5000;

/// What is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is nothing.
    Nothing,
    /// A log of our own: nothing else counts.
    OwnLog,
    /// A snapshot.
    Snapshot(PathBuf),
    /// Append-only files of Redis, in order.
    RedisAof(Vec<PathBuf>),
}

/// Looks for what the settings say is to be loaded. The error is one line.
pub fn find(config: &Config) -> Result<Found, String> {
    let dir = Path::new(&config.dir);
    if recovery::has_log(config)? {
        return Ok(Found::OwnLog);
    }
    if config.appendonly
        && let Some(files) = redis_aof(config)?
    {
        return Ok(Found::RedisAof(files));
    }
    let snapshot = dir.join(&config.dbfilename);
    if !exists(&snapshot)? {
        return Ok(Found::Nothing);
    }
    if config.appendonly {
        let name = snapshot.display();
        log::warning(&format!("appendonly is on, but there is no append-only file yet: {name} is loaded"));
    }
    Ok(Found::Snapshot(snapshot))
}

fn redis_aof(config: &Config) -> Result<Option<Vec<PathBuf>>, String> {
    let folder = Folder::of(config);
    let manifest = folder.others_path();
    if exists(&manifest)? {
        let wrong = |why: String| format!("{}: {why}", manifest.display());
        let text = std::fs::read(&manifest).map_err(|error| wrong(error.to_string()))?;
        let parsed = RedisManifest::parse(&text).map_err(wrong)?;
        return Ok(Some(parsed.files().map(|name| folder.path.join(name)).collect()));
    }
    let single = Path::new(&config.dir).join(&config.appendfilename);
    Ok(exists(&single)?.then(|| vec![single]))
}

fn exists(path: &Path) -> Result<bool, String> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Loads, calls `loaded`, then lets clients in. The error is one line; [`Shared::loading`] has the reason if a shard
/// found one.
pub fn load(
    found: &Found,
    feeder: Feeder,
    shared: &Arc<Shared>,
    loaded: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    load_into(found, feeder, shared, false, loaded)
}

/// As [`load`]; `replaces`: keys that are there may come again.
fn load_into(
    found: &Found,
    feeder: Feeder,
    shared: &Arc<Shared>,
    replaces: bool,
    loaded: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let started_ms = clock::unix_ms_now();
    let mut sink = FeedSink { feeder, shared: shared.clone(), replaces };
    let done = read_all(found, &mut sink);
    let reason = |error: LoadError| shared.loading.failure().unwrap_or_else(|| error.to_string());
    done.map_err(reason)?;
    let stopped = |_| reason(LoadError::Stopped);
    sink.feeder.wait().map_err(stopped)?;
    let (keys, expired) = shared.loading.counted();
    let seconds = (clock::unix_ms_now() - started_ms) as f64 / 1000.0;
    match found {
        Found::Nothing | Found::OwnLog => {}
        Found::Snapshot(_) => {
            log::notice(&format!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}."));
            log::notice(&format!("DB loaded from disk: {seconds:.3} seconds"));
        }
        Found::RedisAof(_) => log::notice(&format!("DB loaded from append only file: {seconds:.3} seconds")),
    }
    sink.feeder.end().map_err(stopped)?;
    loaded()?;
    shared.loading.end();
    Ok(())
}

/// DEBUG RELOAD: has a thread load the snapshot again; DEBUG LOADAOF: the log. The caller holds the locks of all
/// shards.
pub fn reload(shared: &Arc<Shared>, order: ReloadOrder) {
    if order.log {
        shared.loading.begin(clock::unix_ms_now());
        return load_aside(shared, |to| recovery::load_again(to));
    }
    let config = shared.config();
    let found = Found::Snapshot(Path::new(&config.dir).join(&config.dbfilename));
    let (feeder, intakes) = feed(shared.cores.len(), config.databases, &shared.doorbells, &shared.loading);
    shared.loading.begin(clock::unix_ms_now());
    shared.feed_all(intakes, order.flushes);
    load_aside(shared, move |to| load_into(&found, feeder, to, order.merges, || Ok(())));
}

/// Runs `load` on a thread of its own; how it went is told by [`Shared::reload_over`].
fn load_aside(shared: &Arc<Shared>, load: impl FnOnce(&Arc<Shared>) -> Result<(), String> + Send + 'static) {
    let to = shared.clone();
    let body = move || {
        affinity::run_in_background();
        let loaded = load(&to);
        to.loading.end();
        to.reload_over(loaded);
    };
    if let Err(error) = std::thread::Builder::new().name("loader".into()).spawn(body) {
        shared.loading.end();
        shared.reload_over(Err(format!("cannot start a thread: {error}")));
    }
}

fn read_all(found: &Found, sink: &mut FeedSink) -> Result<(), LoadError> {
    match found {
        Found::Nothing | Found::OwnLog => Ok(()),
        Found::Snapshot(path) => {
            let mut window = Window::open(path)?;
            sink.shared.loading.expect_bytes(window.len());
            rdb::read(&mut window, false, sink)
        }
        Found::RedisAof(paths) => {
            let mut windows = paths.iter().map(|path| Window::open(path)).collect::<Result<Vec<_>, _>>()?;
            windows.iter().for_each(|window| sink.shared.loading.expect_bytes(window.len()));
            let count = windows.len();
            for (index, window) in windows.iter_mut().enumerate() {
                let ending = aof::read(window, sink)?;
                sink.feeder.wait().map_err(|Stopped| LoadError::Stopped)?;
                if let Ending::Torn { at } = ending {
                    torn(window, at, index + 1 == count, &sink.shared.config())?;
                }
            }
            Ok(())
        }
    }
}

/// What follows the last whole command of a file may be left out if nothing was logged behind it.
fn torn(window: &Window, at: u64, is_last: bool, config: &Config) -> Result<(), LoadError> {
    let file = window.path().to_path_buf();
    if is_last && config.aof_load_truncated {
        let lost = window.len() - at;
        let name = file.display();
        log::warning(&format!("{name} ends in mid-command: its last {lost} bytes, from byte {at} on, are left out"));
        return Ok(());
    }
    let why = match is_last {
        true => "it ends in mid-command, and aof-load-truncated is off",
        false => "it ends in mid-command, but others were written after it",
    };
    let why = format!("Unexpected end of file reading the append only file: {why}");
    Err(LoadError::Damage { file, at, why })
}

/// Gives what files hold to the shards.
struct FeedSink {
    feeder: Feeder,
    shared: Arc<Shared>,
    replaces: bool,
}

impl FeedSink {
    fn database(&self, db: u64) -> Result<u16, Refusal> {
        let databases = self.feeder.databases();
        match u16::try_from(db) {
            Ok(small) if usize::from(small) < databases => Ok(small),
            _ => Err(Refusal::Because(format!("database {db}, but this server has only {databases} (databases)"))),
        }
    }
}

impl Sink for FeedSink {
    fn checks(&self) -> bool {
        self.shared.config().rdb_checksum && !self.shared.skip_checksums.load(Ordering::Relaxed)
    }

    fn snapshot(&mut self, file: &Path, version: u16, is_preamble: bool) -> Result<(), Refusal> {
        let file = file.display().to_string().into();
        let source = Source { file, version, keeps_expired: is_preamble, replaces: self.replaces };
        self.feeder.begin_file(source).map_err(|Stopped| Refusal::Stopped)
    }

    fn sizes(&mut self, db: u64, keys: u64) -> Result<(), Refusal> {
        let db = self.database(db)?;
        self.feeder.expect(db, keys).map_err(|Stopped| Refusal::Stopped)
    }

    fn entry(&mut self, entry: &RawEntry<'_>) -> Result<(), Refusal> {
        let db = self.database(entry.db)?;
        let meta = Meta { db, kind: entry.kind, at: entry.at, attributes: entry.attributes };
        self.feeder.entry(meta, entry.key, entry.body).map_err(|Stopped| Refusal::Stopped)
    }

    fn remark(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(&value[..value.len().min(64)]);
        match name {
            b"redis-ver" => log::notice(&format!("Loading RDB produced by version {value}")),
            b"valkey-ver" => log::notice(&format!("Loading RDB produced by Valkey version {value}")),
            b"ctime" => {
                let age = (clock::unix_ms_now() / 1000).saturating_sub(value.parse().unwrap_or(u64::MAX));
                log::notice(&format!("RDB age {age} seconds"));
            }
            b"used-mem" => self.shared.loading.set_used_memory(value.parse().unwrap_or(0)),
            _ => {}
        }
    }

    fn function(&mut self, text: &[u8]) {
        self.shared.keep_library(text);
    }

    fn command(&mut self, db: u64, words: &[&[u8]]) -> Result<(), Refusal> {
        let db = self.database(db)?;
        self.feeder.command(db, words).map_err(|error| match error {
            FeedError::Stopped => Refusal::Stopped,
            FeedError::Refused(why) => Refusal::Because(why),
        })
    }

    fn warn(&mut self, text: &str) {
        log::warning(text);
    }

    fn progress(&mut self, bytes: u64) {
        read_bytes(&self.shared.loading, bytes);
    }
}

/// So many bytes more are read; once in a while the log says how far that is.
pub(super) fn read_bytes(loading: &Loading, bytes: u64) {
    loading.read_bytes(bytes);
    if let Some(figures) = loading.to_tell(clock::unix_ms_now(), PROGRESS_MS) {
        let (mb, total_mb) = (figures.loaded_bytes >> 20, figures.total_bytes >> 20);
        let eta_s = figures.eta_s;
        log::notice(&format!("Loading: {mb} of {total_mb} MB read, about {eta_s} seconds left"));
    }
}

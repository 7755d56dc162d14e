//! What was logged before this start, read back: each shard's log is run by a thread of its own, as the shard that
//! wrote it was cut; then, if there are more or fewer shards now, keys move to where they belong. Opens this run's
//! logs. Never talks to a client.

use crate::admin;
use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::base::config::Config;
use crate::base::hash;
use crate::base::text;
use crate::commands::args::{Args, lay_out_in};
use crate::commands::context::Context;
use crate::commands::table::{CommandTable, Resolved};
use crate::net::durability::Kept;
use crate::net::settings::apply_to_shard;
use crate::net::shared::Shared;
use crate::persist::aof::folder::{Folder, SegmentId};
use crate::persist::aof::log::Log;
use crate::persist::aof::manifest::{Manifest, Set};
use crate::persist::aof::others;
use crate::persist::aof::read::{self, Damage, Scanned, Torn};
use crate::persist::aof::record::Words;
use crate::resp::parse::Span;
use crate::resp::reply::{Proto, Reply};
use crate::server::loading::read_bytes;
use crate::server::{base, compact};
use crate::shard::access;
use crate::shard::keyspace::{Shard, ShardStats};
use crate::txn::hop;
use crate::txn::loading::Loading;
use crate::txn::message::Phase;
use crate::txn::router::{owner, slots_of};
use crate::types::rdb::Flavor;
use crate::types::table::{Expire, Key};
use std::fs::{File, OpenOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Commands after which what was removed is freed.
const FREE_EVERY: u64 = 64;
/// How often it is looked whether the logs are synced.
const SYNC_LOOK: Duration = Duration::from_millis(5);
/// How often it is looked whether the cores have taken over what is theirs.
const HANDED_LOOK: Duration = Duration::from_millis(1);
/// A log is read twice: first it is only looked through, which counts as this part of it in the progress.
const SCAN_SHARE: u64 = 4;
/// Objects freed then.
const FREE_OBJECTS: usize = 1024;

/// What [`open`] found and began.
#[derive(Debug)]
pub struct Opened {
    /// By core.
    pub kept: Vec<Kept>,
    /// Bytes of the logs and the base that were there.
    pub bytes: u64,
    /// What the manifest is to be; `None` if nothing is logged.
    pub manifest: Option<Manifest>,
    /// Texts of libraries of functions.
    pub libraries: Vec<Vec<u8>>,
}

/// What the files of a manifest hold.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// The data, over as many shards as the last run had; none if nothing was ever logged.
    pub shards: Vec<Shard>,
    /// Texts of libraries of functions.
    pub libraries: Vec<Vec<u8>>,
    /// The runs that logged anything, and what was found in their logs.
    pub used: Vec<(Set, Scanned)>,
    /// Bytes of the base.
    pub base_bytes: u64,
    /// What was left out and why, a line each.
    pub left_out: Vec<String>,
}

/// Reads the logs back, if there are to be any, and begins new ones for `cores` cores. They count once the manifest
/// that is answered was published.
///
/// # Errors
/// One line that says what is wrong, where, and what may help.
pub fn open(config: &Config, cores: usize, loading: &Loading) -> Result<Opened, String> {
    let mut kept: Vec<Kept> = (0..cores).map(|_| Kept::default()).collect();
    if !config.appendonly {
        return Ok(Opened { kept, bytes: 0, manifest: None, libraries: Vec::new() });
    }
    let folder = Folder::of(config);
    let wrong = |what: &str, error: &dyn std::fmt::Display| format!("{what} {}: {error}", folder.path.display());
    let found = folder
        .manifest()
        .map_err(|error| format!("Cannot read the manifest {}: {error}", folder.manifest_path().display()))?;
    let mut manifest = found.unwrap_or_default();
    let started = clock::unix_ms_now();
    let ReadBack { mut shards, libraries, used, base_bytes, left_out } =
        read_back(config, &folder, &manifest, cores, loading)?;
    left_out.iter().for_each(|line| admin::log::warning(line));
    let mut bytes = base_bytes;
    for (_, scanned) in &used {
        bytes += scanned.bytes;
        trim(&folder, scanned);
    }
    for (set, scanned) in &used {
        sync(&folder, set, scanned).map_err(|error| wrong("Cannot sync the logs in", &error))?;
    }
    manifest.sets = used.into_iter().map(|(set, _)| set).collect();
    if !shards.is_empty() {
        shards = cut_anew(config, shards, cores);
        let keys: usize = shards.iter().map(|shard| shard.tables.iter().map(|table| table.len()).sum::<usize>()).sum();
        let seconds = (clock::unix_ms_now() - started) as f64 / 1000.0;
        admin::log::notice(&format!("DB loaded from append only file: {seconds:.3} seconds, {keys} keys"));
        shards.iter_mut().for_each(settle);
    }
    let set = Set::new(folder.next_number(&manifest), cores as u16);
    if compact::is_due(config, base_bytes, bytes) {
        let name = folder.base_name(set.number, 0);
        bytes = compact::write_base(&folder, &name, Flavor::Redis, &libraries, &shards)
            .map_err(|error| wrong("Cannot write a base in", &error))?;
        admin::log::notice(&format!("The append only file was rewritten: {bytes} bytes in {name}"));
        manifest = Manifest { base: Some(name), ..Manifest::default() };
    }
    for (kept, shard) in kept.iter_mut().zip(shards) {
        kept.shard = Some(shard);
    }
    manifest.sets.push(set.clone());
    std::fs::create_dir_all(&folder.path).map_err(|error| wrong("Cannot create", &error))?;
    for (core, kept) in kept.iter_mut().enumerate() {
        let log = Log::begin(folder.clone(), set.number, core as u16, 0);
        kept.log = Some(log.map_err(|error| wrong("Cannot begin a log in", &error))?);
    }
    Ok(Opened { kept, bytes, manifest: Some(manifest), libraries })
}

/// Reads what the files of a manifest hold; changes none of them. `cores`: how many shards a base is read for if no
/// run is named. `loading` is told how far it has come, and stops it by its failure.
///
/// # Errors
/// One line that says what is wrong, where, and what may help.
pub fn read_back(
    config: &Config,
    folder: &Folder,
    manifest: &Manifest,
    cores: usize,
    loading: &Loading,
) -> Result<ReadBack, String> {
    let mut back = ReadBack::default();
    if let Some(base) = &manifest.base {
        let count = manifest.sets.first().map_or(cores, |set| usize::from(set.shards));
        let path = folder.base_path(base);
        back.shards = empty(config, count);
        back.base_bytes = base::load(&path, &mut back.shards, &mut back.libraries, loading)
            .map_err(|why| format!("Cannot read the base {}: {why}. Restore the file from a backup", path.display()))?;
    }
    for set in &manifest.sets {
        let there = read::files_bytes(folder, set);
        loading.expect_bytes(there);
        let read = AtomicU64::new(0);
        let scanned = read::scan(folder, set, &|bytes| {
            read_bytes(loading, bytes / SCAN_SHARE);
            read.fetch_add(bytes / SCAN_SHARE, Ordering::Relaxed);
            go_on(loading)
        });
        let scanned = scanned.map_err(|damage| remedy(&damage))?;
        // what is left counts when it runs
        let left = scanned.bytes - scanned.bytes / SCAN_SHARE;
        loading.read_bytes(there.saturating_sub(left + read.into_inner()));
        tell(config, &scanned, &mut back.left_out)?;
        if scanned.bytes == 0 {
            continue;
        }
        let count = usize::from(set.shards);
        let from = if back.shards.is_empty() { empty(config, count) } else { back.shards };
        back.shards = replay_all(folder, set, &scanned, cut_anew(config, from, count), loading)?;
        back.used.push((set.clone(), scanned));
    }
    Ok(back)
}

/// Whether there are logs to read back.
///
/// # Errors
/// One line.
pub fn has_log(config: &Config) -> Result<bool, String> {
    if !config.appendonly {
        return Ok(false);
    }
    let folder = Folder::of(config);
    let path = folder.manifest_path();
    let is_there = path.try_exists().map_err(|error| format!("{}: {error}", path.display()))?;
    // one that cannot be read says so itself
    let noted = folder.manifest().ok().flatten().and_then(|manifest| manifest.others);
    if noted.is_some_and(|noted| ![0, noted].contains(&others::mark(&folder))) {
        return Err(format!(
            "Another server wrote an append-only file beside Pinion's log, after that: {} or {}. One can be loaded: \
             move those files away to keep what Pinion wrote, or {} to load what the other server wrote",
            folder.others_path().display(),
            std::path::Path::new(&config.dir).join(&config.appendfilename).display(),
            path.display()
        ));
    }
    Ok(is_there)
}

/// Reads the logs back while the cores run and answer `-LOADING`, hands each core its part, and lets clients in.
///
/// # Errors
/// As [`open`].
pub fn load(shared: &Shared) -> Result<(), String> {
    let config = shared.config();
    let opened = open(&config, shared.cores.len(), &shared.loading)?;
    opened.libraries.iter().for_each(|text| shared.keep_library(text));
    if let Some(manifest) = &opened.manifest {
        publish(&Folder::of(&config), manifest)?;
        shared.log_base_bytes.store(opened.bytes, Ordering::Relaxed);
        shared.begin_logs();
    }
    hand_over(shared, opened.kept)?;
    shared.loading.end();
    Ok(())
}

/// As [`load`] while the logs are being written, for DEBUG LOADAOF: the caller sees to it that nothing else is. What is
/// there stays if they cannot be read.
///
/// # Errors
/// As [`open`].
pub fn load_again(shared: &Shared) -> Result<(), String> {
    shared.log_hurries.store(true, Ordering::Relaxed);
    let synced = wait_until_synced(shared);
    shared.log_hurries.store(false, Ordering::Relaxed);
    synced?;
    let (config, cores) = (shared.config(), shared.cores.len());
    let folder = Folder::of(&config);
    let manifest = folder.manifest().map_err(|error| format!("{}: {error}", folder.manifest_path().display()))?;
    let back = read_back(&config, &folder, &manifest.unwrap_or_default(), cores, &shared.loading)?;
    back.left_out.iter().for_each(|line| admin::log::warning(line));
    let mut shards = if back.shards.is_empty() { empty(&config, cores) } else { cut_anew(&config, back.shards, cores) };
    shards.iter_mut().for_each(settle);
    hand_over(shared, shards.into_iter().map(|shard| Kept { shard: Some(shard), log: None }).collect())
}

/// Waits until each core has taken over what is its own.
fn hand_over(shared: &Shared, kept: Vec<Kept>) -> Result<(), String> {
    shared.hand_over(kept);
    while shared.has_kept() {
        if shared.is_ending() {
            return Err("the server ends".to_string());
        }
        std::thread::sleep(HANDED_LOOK);
    }
    Ok(())
}

/// Waits until what is journaled by now is durable.
fn wait_until_synced(shared: &Shared) -> Result<(), String> {
    let mut barrier = shared.frontier.barrier();
    while !shared.frontier.is_passed(&mut barrier) {
        if shared.is_ending() || !shared.frontier.works() {
            return Err("what was loaded could not be written to the append only file".to_string());
        }
        std::thread::sleep(SYNC_LOOK);
    }
    Ok(())
}

/// Has the logs that were begun count, and removes files that no longer do.
///
/// # Errors
/// One line.
pub fn publish(folder: &Folder, manifest: &Manifest) -> Result<(), String> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| format!("{what} {}: {error}", folder.path.display());
    folder.replace_manifest(manifest).map_err(|error| wrong("Cannot write the manifest in", &error))?;
    folder.sweep(manifest).map_err(|error| wrong("Cannot remove old files from", &error))
}

/// As [`publish`], once all that the shards have journaled by now is durable. Blocks. Libraries of functions, which no
/// log holds, go to a base of their own first.
///
/// # Errors
/// One line.
pub fn publish_when_synced(manifest: &Manifest, shared: &Shared) -> Result<(), String> {
    wait_until_synced(shared)?;
    shared.log_hurries.store(false, Ordering::Relaxed);
    let (folder, libraries) = (Folder::of(&shared.config()), shared.libraries());
    let mut manifest = manifest.clone();
    if let (false, Some(set)) = (libraries.is_empty(), manifest.sets.first()) {
        let name = folder.base_name(set.number, 0);
        let bytes = compact::write_base(&folder, &name, Flavor::Redis, &libraries, &[])
            .map_err(|error| format!("Cannot write a base in {}: {error}", folder.path.display()))?;
        shared.log_base_bytes.store(bytes, Ordering::Relaxed);
        manifest.base = Some(name);
    }
    publish(&folder, &manifest)
}

fn remedy(damage: &Damage) -> String {
    format!(
        "Bad file format reading the append only file: {damage}. Restore the file from a backup, or see `pinion check \
         {}`, which can cut the log there",
        damage.file.display()
    )
}

/// Adds what is left out, or refuses to leave it out.
fn tell(config: &Config, scanned: &Scanned, left_out: &mut Vec<String>) -> Result<(), String> {
    for Torn { file, offset } in &scanned.torn {
        let where_ = format!("{} at byte {offset}", file.display());
        if !config.aof_load_truncated {
            return Err(format!(
                "Unexpected end of the append only file: {where_}. Set aof-load-truncated yes to start without what \
                 was being written there when the server stopped"
            ));
        }
        left_out.push(format!("The append only file ends in the middle of a write: {where_}; it is cut there"));
    }
    if scanned.cut_parts > 0 {
        left_out.push(format!(
            "{} parts of transactions over several shards are left out, and what follows them: other parts were not \
             written when the server stopped, and none of it was acknowledged as durable",
            scanned.cut_parts
        ));
    }
    Ok(())
}

/// Cuts files off behind their last whole block: what was allocated ahead, or torn. Segments behind that hold nothing.
fn trim(folder: &Folder, scanned: &Scanned) {
    for (id, end) in &scanned.ends {
        let file = OpenOptions::new().write(true).open(folder.segment_path(*id));
        // where that fails it is found torn again next time
        let _ = file.and_then(|file| file.set_len(*end));
        for later in folder.behind(*id) {
            let _ = folder.retire(later);
        }
    }
}

/// What this run logs builds on what was read, which may be in the page cache only: it goes to the disk first.
fn sync(folder: &Folder, set: &Set, scanned: &Scanned) -> std::io::Result<()> {
    for (shard, (last, _)) in scanned.ends.iter().enumerate() {
        for number in set.begin(shard as u16).segment..=last.number {
            File::open(folder.segment_path(SegmentId { number, ..*last }))?.sync_all()?;
        }
    }
    Ok(())
}

/// An error if reading is to stop.
fn go_on(loading: &Loading) -> Result<(), &'static str> {
    if loading.has_failed() { Err("it was stopped") } else { Ok(()) }
}

fn empty(config: &Config, shards: usize) -> Vec<Shard> {
    (0..shards)
        .map(|core| {
            let mut shard = Shard::new(config.databases, slots_of(core, shards), clock::ticks() ^ core as u64);
            apply_to_shard(config, &mut shard.settings);
            shard
        })
        .collect()
}

/// The same keys over `count` shards.
fn cut_anew(config: &Config, shards: Vec<Shard>, count: usize) -> Vec<Shard> {
    if shards.len() == count {
        return shards;
    }
    let mut cut = empty(config, count);
    for mut shard in shards {
        for db in 0..shard.tables.len() {
            let mut names = Vec::with_capacity(shard.len(db));
            shard.for_each(db, |entry| {
                names.push(entry.key.to_vec());
                true
            });
            for name in names {
                let key = Key::new(&name);
                if let Some((value, expire_ms)) = shard.take(db, key) {
                    let to = &mut cut[owner(hash::slot(&name), count)];
                    to.put(db, key, value, expire_ms.map_or(Expire::Clear, Expire::At));
                }
            }
        }
    }
    cut
}

/// After the last command: the shard is as if it had always been there.
fn settle(shard: &mut Shard) {
    (shard.now_ms, shard.log_read_ms) = (clock::unix_ms_now(), None);
    (shard.dirty, shard.flushed_all) = (0, false);
    shard.stats = ShardStats::default();
    let (settings, now) = (&shard.settings, shard.now_ms);
    let mut dice = 0;
    for table in &mut shard.tables {
        while !table.sweep_access(usize::MAX, |_| access::stamp(settings, &mut dice, None, now)) {}
    }
    while !shard.free_step(FREE_OBJECTS) {}
}

/// Runs the logs of a set, each on its shard.
fn replay_all(
    folder: &Folder,
    set: &Set,
    scanned: &Scanned,
    shards: Vec<Shard>,
    loading: &Loading,
) -> Result<Vec<Shard>, String> {
    std::thread::scope(|scope| {
        let players: Vec<_> = shards
            .into_iter()
            .enumerate()
            .map(|(number, shard)| {
                scope.spawn(move || Player::new(shard, loading).play(folder, set, number as u16, scanned))
            })
            .collect();
        players.into_iter().map(|player| player.join().expect("a log is replayed without a panic")).collect()
    })
}

/// Runs one log.
struct Player<'a> {
    shard: Shard,
    loading: &'a Loading,
    /// Every command under its own name.
    table: CommandTable,
    db: usize,
    data: Vec<u8>,
    spans: Vec<Span>,
    reply: OutBuf,
    commands: u64,
    refused: u64,
}

impl<'a> Player<'a> {
    fn new(mut shard: Shard, loading: &'a Loading) -> Player<'a> {
        // nothing is due while a log is run: what expired meanwhile had not when the commands ran
        shard.now_ms = 0;
        shard.log_read_ms = Some(clock::unix_ms_now());
        let table = CommandTable::new();
        let reply = OutBuf::default();
        let (data, spans) = (Vec::new(), Vec::new());
        Player { shard, loading, table, db: 0, data, spans, reply, commands: 0, refused: 0 }
    }

    fn play(mut self, folder: &Folder, set: &Set, number: u16, scanned: &Scanned) -> Result<Shard, String> {
        let loading = self.loading;
        let progress = |bytes: u64| {
            read_bytes(loading, bytes - bytes / SCAN_SHARE);
            go_on(loading)
        };
        read::replay(folder, set, number, scanned, &mut |words| self.run(words), &progress)
            .map_err(|damage| remedy(&damage))?;
        if self.refused > 0 {
            admin::log::warning(&format!(
                "{} of {} commands of shard {number}'s log were refused when they ran again",
                self.refused, self.commands
            ));
        }
        Ok(self.shard)
    }

    fn run(&mut self, words: &Words<'_>) -> Result<(), &'static str> {
        if words[0] == b"SELECT" {
            let db = words.get(1).and_then(|word| text::parse_u64(word)).and_then(|db| usize::try_from(db).ok());
            self.db = db.filter(|db| *db < self.shard.tables.len()).ok_or("a database beyond `databases`")?;
            return Ok(());
        }
        lay_out_in(words, &mut self.data, &mut self.spans);
        let mut args = Args::new(&self.data, &self.spans);
        let Resolved::Command(id) = self.table.resolve(&args) else { return Err("a command that is not known") };
        let spec = self.table.get(id);
        if !spec.accepts(args.len()) {
            return Err("a command with too few words");
        }
        let phase = if words[0].eq_ignore_ascii_case(b"debug") { Phase::Debug } else { Phase::Run };
        let mut ctx = Context {
            shard: &mut self.shard,
            db: self.db,
            no_touch: false,
            hint: None,
            bulk_bytes_max: usize::MAX,
            foreign: &mut [],
        };
        let mut reply = Reply { out: &mut self.reply, proto: Proto::Resp2 };
        hop::run_phase(&spec.plan, phase, &mut ctx, &mut args, &mut reply);
        self.refused += u64::from(self.reply.bytes.first() == Some(&b'-'));
        self.reply.clear();
        self.commands += 1;
        if self.commands.is_multiple_of(FREE_EVERY) {
            self.shard.free_step(FREE_OBJECTS);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;

//! `pinion check [--cut] FILE|DIR`: looks through what persistence made and says what is wrong and where. Starts no
//! server. Changes a file only with `--cut`, which cuts a log behind its last whole command, after saying so.

use crate::persist::aof::folder::Folder;
use crate::persist::aof::manifest::Set;
use crate::persist::aof::read::{self, Damage, Scanned, Torn};
use crate::persist::aof::record::Words;
use crate::persist::load::aof::Ending;
use crate::persist::load::manifest::RedisManifest;
use crate::persist::load::{LoadError, RawEntry, Refusal, Sink, Window, aof, rdb};
use crate::persist::lock::lock;
use crate::types::rdb::read::{Bad, Limits, Reader};
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

const USAGE: &str = "Usage: pinion check [--cut] FILE|DIR
Says what is wrong, in which file and at which byte. Exit code: 0 if all is well or has been cut, 1 if not.
  FILE    a snapshot, an append-only file of Redis, the manifest of one that has several files, or a file or the
          manifest (.pinion) of Pinion's own log, which is looked through as a whole
  DIR     a data directory: all of this that is in it or in a folder in it
  --cut   cuts a log that ends in mid-command behind its last whole one; one of Pinion's that is damaged in the
          middle in front of the damage: what was written behind it is lost then";

/// Runs the tool if the arguments ask for it; answers the exit code: 0 if all is well, 1 if not.
pub fn run(args: &[OsString]) -> Option<i32> {
    let (first, rest) = args.split_first()?;
    if first != "check" {
        return None;
    }
    let cut = rest.iter().any(|arg| arg == "--cut");
    let files: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).filter(|arg| *arg != "--cut").collect();
    let [file] = files[..] else {
        eprintln!("{USAGE}");
        return Some(1);
    };
    if file.to_string_lossy().starts_with("--") {
        eprintln!("{USAGE}");
        return Some(1);
    }
    match check(Path::new(file), cut) {
        Ok(()) => Some(0),
        Err(why) => {
            eprintln!("{why}");
            Some(1)
        }
    }
}

fn check(path: &Path, cut: bool) -> Result<(), String> {
    if path.is_dir() {
        return directory(path, cut);
    }
    if path.extension() == Some(OsStr::new("manifest")) {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let manifest = RedisManifest::parse(&text).map_err(|why| format!("{}: {why}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let files: Vec<PathBuf> = manifest.files().map(|name| folder.join(name)).collect();
        let last = files.len() - 1;
        for (index, file) in files.iter().enumerate() {
            one(file, cut && index == last)?;
        }
        return Ok(());
    }
    match Folder::of_manifest(path).or_else(|| Folder::of_segment(path)) {
        Some(folder) => own_log(&folder, cut),
        None => one(path, cut),
    }
}

/// Everything in a data directory; one thing that is wrong hides no other.
fn directory(dir: &Path, cut: bool) -> Result<(), String> {
    let wrong = |error: io::Error| format!("{}: {error}", dir.display());
    let mut files = Vec::new();
    let mut folders = vec![(dir.to_path_buf(), true)];
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        folders.push((entry.map_err(wrong)?.path(), false));
    }
    for (folder, is_top) in folders {
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(names.filter(|path| counts(path, is_top)));
    }
    if files.is_empty() {
        return Err(format!("{}: there is nothing here that persistence made", dir.display()));
    }
    files.sort();
    let problems: Vec<String> = files.iter().filter_map(|file| check(file, cut).err()).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Whether a file is looked through by itself: not what is half written, nor what a manifest names.
fn counts(path: &Path, is_top: bool) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let kind = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_alone = is_top && ["rdb", "aof"].contains(&kind);
    let is_part = [".base.", ".incr."].iter().any(|part| name.contains(part));
    path.is_file() && !name.starts_with("temp-") && (["pinion", "manifest"].contains(&kind) || is_alone && !is_part)
}

/// A log of our own: its manifest, its base, and the logs of all runs.
fn own_log(folder: &Folder, cut: bool) -> Result<(), String> {
    let path = folder.manifest_path();
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let manifest = folder.manifest().map_err(named)?.ok_or_else(|| named(io::ErrorKind::NotFound.into()))?;
    let data = folder.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _lock = cut.then(|| lock(data)).transpose()?;
    if let Some(base) = &manifest.base {
        one(&folder.base_path(base), false)?;
    }
    for (index, set) in manifest.sets.iter().enumerate() {
        run_of(folder, set, cut, index + 1 == manifest.sets.len())?;
    }
    println!("{}: all is well: {} runs", path.display(), manifest.sets.len());
    Ok(())
}

/// The logs of one run.
fn run_of(folder: &Folder, set: &Set, cut: bool, is_last: bool) -> Result<(), String> {
    let scanned = loop {
        let damage = match read::scan(folder, set, &|_| Ok(())) {
            Ok(scanned) => break scanned,
            Err(damage) => damage,
        };
        if !is_last {
            return Err(format!("{damage}\nA later run of the server builds on it: restore the files from a backup"));
        }
        if !cut {
            return Err(format!("{damage}\n--cut cuts this log there; what was written to it later is lost then"));
        }
        cut_damage(folder, &damage)?;
    };
    for Torn { file, offset } in &scanned.torn {
        let what = format!("{}: at byte {offset}: it ends in the middle of a write", file.display());
        if !cut {
            return Err(format!("{what}\n--cut cuts it there; the next start does, too, with aof-load-truncated yes"));
        }
        println!("{what}; cutting there");
        shorten(file, *offset)?;
    }
    count(folder, set, &scanned)
}

/// Cuts a shard's log in front of the damage, later segments with it.
fn cut_damage(folder: &Folder, damage: &Damage) -> Result<(), String> {
    println!("{damage}; cutting there");
    shorten(&damage.file, damage.offset)?;
    for later in folder.behind(damage.segment).map(|id| folder.segment_path(id)) {
        println!("{}: behind the cut", later.display());
        shorten(&later, 0)?;
    }
    Ok(())
}

fn shorten(path: &Path, bytes: u64) -> Result<(), String> {
    let file = OpenOptions::new().write(true).open(path);
    let cut = file.and_then(|file| file.set_len(bytes).and_then(|()| file.sync_all()));
    cut.map_err(|error| format!("{}: {error}", path.display()))
}

/// Says what the logs of a run hold, as far as they count.
fn count(folder: &Folder, set: &Set, scanned: &Scanned) -> Result<(), String> {
    let mut commands = 0u64;
    for shard in 0..set.shards {
        let mut one = |words: &Words<'_>| {
            commands += u64::from(words[0] != b"SELECT");
            Ok(())
        };
        read::replay(folder, set, shard, scanned, &mut one, &|_| Ok(())).map_err(|damage| damage.to_string())?;
    }
    let name = folder.path.join(format!("{}.{}", folder.name, set.number));
    let (shards, bytes) = (set.shards, scanned.bytes);
    println!("{}.*.log: all is well: {shards} shards, {commands} commands, {bytes} bytes", name.display());
    if scanned.cut_parts > 0 {
        println!(
            "{}.*.log: {} parts of transactions over several shards do not count, and what follows them: other parts \
             were not written when the server stopped",
            name.display(),
            scanned.cut_parts
        );
    }
    Ok(())
}

fn one(path: &Path, cut: bool) -> Result<(), String> {
    let name = path.display();
    let mut tally = Tally::default();
    let mut window = Window::open(path).map_err(|error| error.to_string())?;
    window.fill(window.len().min(9) as usize).map_err(|error| error.to_string())?;
    let is_snapshot = rdb::is_snapshot(window.unread());
    let told = |error: LoadError, tally: &Tally| format!("{error}\n{name}: before that: {}", tally.text());
    let ending = if is_snapshot {
        rdb::read(&mut window, false, &mut tally).map_err(|error| told(error, &tally))?;
        let behind = window.more().map_err(|error| error.to_string())?;
        // what follows a snapshot is a log
        if behind { aof::read(&mut window, &mut tally) } else { Ok(Ending::Whole) }
    } else {
        aof::read(&mut window, &mut tally)
    };
    match ending.map_err(|error| told(error, &tally))? {
        Ending::Whole => {
            println!("{name}: all is well: {}", tally.text());
            Ok(())
        }
        Ending::Torn { at } => {
            let lost = window.len() - at;
            let what = format!("{name}: at byte {at}: it ends in mid-command; before that: {}", tally.text());
            if !cut {
                return Err(format!("{what}\n{name}: --cut cuts off the {lost} bytes from there on"));
            }
            println!("{what}\n{name}: cutting off {lost} bytes");
            shorten(path, at)
        }
    }
}

/// Counts what a file holds, and decodes every value.
#[derive(Debug, Default)]
struct Tally {
    version: Option<u16>,
    writer: Option<String>,
    keys: u64,
    expiring: u64,
    empty: u64,
    commands: u64,
    libraries: u64,
    databases: std::collections::BTreeSet<u64>,
}

impl Tally {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(version) = self.version {
            let writer = self.writer.as_deref().map(|writer| format!(" by {writer}")).unwrap_or_default();
            parts.push(format!("a snapshot of version {version}{writer}"));
            parts.push(format!("{} keys, {} of them expire", self.keys, self.expiring));
            if self.empty > 0 {
                parts.push(format!("{} keys without elements, which are left out", self.empty));
            }
            if self.libraries > 0 {
                parts.push(format!("{} libraries of functions", self.libraries));
            }
        }
        if self.version.is_none() || self.commands > 0 {
            parts.push(format!("{} commands", self.commands));
        }
        parts.push(format!("{} databases", self.databases.len()));
        parts.join(", ")
    }
}

impl Sink for Tally {
    fn snapshot(&mut self, _: &Path, version: u16, _: bool) -> Result<(), Refusal> {
        self.version = Some(version);
        Ok(())
    }

    fn entry(&mut self, entry: &RawEntry<'_>) -> Result<(), Refusal> {
        let mut reader = Reader::new(entry.body, self.version.unwrap_or_default());
        match reader.value(entry.kind, &Limits::default()) {
            Ok(_) => self.keys += 1,
            Err(Bad::Empty(_)) => self.empty += 1,
            Err(bad) => {
                let key = String::from_utf8_lossy(entry.key);
                return Err(Refusal::Because(format!("the key {key:?}: {bad}")));
            }
        }
        self.expiring += u64::from(entry.attributes.expire_ms.is_some());
        self.databases.insert(entry.db);
        Ok(())
    }

    fn remark(&mut self, name: &[u8], value: &[u8]) {
        let server = match name {
            b"redis-ver" => "Redis",
            b"valkey-ver" => "Valkey",
            _ => return,
        };
        self.writer = Some(format!("{server} {}", String::from_utf8_lossy(value)));
    }

    fn function(&mut self, _: &[u8]) {
        self.libraries += 1;
    }

    fn command(&mut self, db: u64, _: &[&[u8]]) -> Result<(), Refusal> {
        self.commands += 1;
        self.databases.insert(db);
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        println!("{text}");
    }

    fn progress(&mut self, _: u64) {}
}

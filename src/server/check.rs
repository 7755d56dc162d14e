//! `pinion check [--cut] FILE`: looks through a file that persistence made and says what is wrong and where. Starts no
//! server. Changes a file only with `--cut`, which cuts a log behind its last whole command, after saying so.

use crate::persist::load::aof::Ending;
use crate::persist::load::manifest::RedisManifest;
use crate::persist::load::{LoadError, RawEntry, Refusal, Sink, Window, aof, rdb};
use crate::types::rdb::read::{Bad, Limits, Reader};
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const USAGE: &str = "Usage: pinion check [--cut] FILE\n\
    FILE is a snapshot, an append-only file of Redis, or the manifest of one that has several.\n\
    --cut cuts a log that ends in mid-command behind its last whole one.";

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
    one(path, cut)
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
            let file = OpenOptions::new().write(true).open(path);
            let cut = file.and_then(|file| file.set_len(at).and_then(|()| file.sync_all()));
            cut.map_err(|error| format!("{name}: {error}"))
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

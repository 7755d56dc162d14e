//! The folder that holds the logs: names, opening, the manifest's replacement. Every function may block.

use crate::base::config::Config;
use crate::base::limits::{LOG_SEGMENT_BYTES, LOG_SPARE_BYTES_MAX, LOG_SPARES_PER_SHARD};
use crate::persist::aof::manifest::Manifest;
use crate::persist::aof::others;
use crate::runtime::files::{NewFile, Spares, preallocate, replace, written_bytes};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// How the name of a segment ends, and of one that may be written over: `NAME.R.S.N` is the segment it was last, so no
/// block in it has a later epoch.
const SEGMENT: &str = ".log";
const SPARE: &str = ".spare";

/// Where a server's logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// `dir` with `appenddirname`.
    pub path: PathBuf,
    /// `appendfilename`.
    pub name: String,
    /// Bytes of a segment (`aof-segment-size`). A block that does not fit begins the next one, however large it is.
    pub segment_bytes: u64,
}

/// One segment of one shard's log in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentId {
    /// Number of the run.
    pub set: u32,
    /// The shard.
    pub shard: u16,
    /// From 0.
    pub number: u32,
}

/// The segment whose name ends in this, behind which stands `kind`.
fn segment_of(rest: &str, kind: &str) -> Option<SegmentId> {
    let mut numbers = rest.strip_suffix(kind)?.split('.');
    let set = numbers.next()?.parse().ok()?;
    let shard = numbers.next()?.parse().ok()?;
    Some(SegmentId { set, shard, number: numbers.next()?.parse().ok()? })
}

/// Whether the name of one of our bases ends in this: two numbers, where Redis's bases have one. Files of Redis are
/// left alone.
fn is_base(rest: &str) -> bool {
    let Some(numbers) = rest.strip_suffix(".base.rdb") else { return false };
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() == 2 && numbers.iter().all(|n| n.parse::<u64>().is_ok())
}

impl SegmentId {
    /// What its blocks carry.
    pub fn epoch(self) -> u64 {
        u64::from(self.set) << 32 | u64::from(self.number)
    }
}

impl Folder {
    /// A folder with segments of the usual size.
    pub fn new(path: PathBuf, name: &str) -> Folder {
        Folder { path, name: name.into(), segment_bytes: LOG_SEGMENT_BYTES }
    }

    /// The logs that `dir` itself or a folder in it holds the manifests of.
    pub fn find(dir: &Path) -> io::Result<Vec<Folder>> {
        let mut found = Vec::new();
        let mut folders = vec![dir.to_path_buf()];
        for entry in fs::read_dir(dir)? {
            folders.push(entry?.path());
        }
        for path in folders {
            // folders that cannot be read hold no log that could
            for file in fs::read_dir(&path).into_iter().flatten().flatten() {
                found.extend(Folder::of_manifest(&file.path()));
            }
        }
        found.sort_by_key(Folder::manifest_path);
        Ok(found)
    }

    /// The log whose manifest has this path.
    pub fn of_manifest(path: &Path) -> Option<Folder> {
        let name = path.file_name()?.to_str()?.strip_suffix(".pinion")?;
        let folder = Folder::new(path.parent()?.to_path_buf(), name);
        (!name.starts_with("temp-")).then_some(folder)
    }

    /// The log that a segment, or a spare one, with this path is of.
    pub fn of_segment(path: &Path) -> Option<Folder> {
        let name = path.file_name()?.to_str()?;
        let (at, _) = name.rmatch_indices('.').nth(3)?;
        segment_of(&name[at + 1..], SEGMENT).or_else(|| segment_of(&name[at + 1..], SPARE))?;
        Some(Folder::new(path.parent()?.to_path_buf(), &name[..at]))
    }

    /// The segments behind this one of its shard in its run, as far as there are any.
    pub fn behind(&self, id: SegmentId) -> impl Iterator<Item = SegmentId> {
        let ids = (id.number + 1..).map(move |number| SegmentId { number, ..id });
        ids.take_while(|id| self.segment_path(*id).exists())
    }

    /// Where the settings say that the logs are.
    pub fn of(config: &Config) -> Folder {
        let path = Path::new(&config.dir).join(&config.appenddirname);
        Folder { path, name: config.appendfilename.clone(), segment_bytes: config.aof_segment_bytes }
    }

    /// A number that no run in `manifest` has, nor a file that a run left which is no longer named.
    pub fn next_number(&self, manifest: &Manifest) -> u32 {
        let own = format!("{}.", self.name);
        let of_file = |entry: fs::DirEntry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix(&own)?.split('.').next()?.parse::<u32>().ok()
        };
        let there = fs::read_dir(&self.path).into_iter().flatten().flatten().filter_map(of_file).max();
        manifest.next_number().max(there.map_or(1, |number| number.saturating_add(1)))
    }

    /// The manifest's path.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join(format!("{}.pinion", self.name))
    }

    /// Where Redis has the manifest of its log.
    pub fn others_path(&self) -> PathBuf {
        self.path.join(format!("{}.manifest", self.name))
    }

    /// A segment's path.
    pub fn segment_path(&self, id: SegmentId) -> PathBuf {
        self.path_of(id, SEGMENT)
    }

    /// Where it stays to be written over.
    fn spare_path(&self, id: SegmentId) -> PathBuf {
        self.path_of(id, SPARE)
    }

    fn path_of(&self, id: SegmentId, kind: &str) -> PathBuf {
        self.path.join(format!("{}.{}.{}.{}{kind}", self.name, id.set, id.shard, id.number))
    }

    /// The manifest; `None` if there is none.
    pub fn manifest(&self) -> io::Result<Option<Manifest>> {
        let text = match fs::read_to_string(self.manifest_path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Manifest::parse(&text).map(Some).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Puts `manifest` in the old one's place, and notes in it what another server has beside; after a crash either the
    /// old or the new one is there, whole.
    pub fn replace_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let temporary = self.path.join(format!("temp-{}.pinion", self.name));
        let manifest = Manifest { others: Some(others::mark(self)), ..manifest.clone() };
        replace(&temporary, &self.manifest_path(), manifest.text().as_bytes())
    }

    /// What a new segment is to be: one that may be written over, or else a new file with `bytes` reserved.
    pub fn new_segment(&self, id: SegmentId, bytes: u64) -> NewFile {
        let spares = Spares { prefix: format!("{}.", self.name), suffix: SPARE, bytes: self.segment_bytes };
        NewFile { path: self.segment_path(id), bytes: bytes.min(self.segment_bytes), spares }
    }

    /// A segment that nobody needs any more nor writes to: it stays to be written over, if enough of it was written to
    /// make that worth while, or is deleted.
    pub fn retire(&self, id: SegmentId) -> io::Result<()> {
        let path = self.segment_path(id);
        let file = OpenOptions::new().write(true).open(&path)?;
        let bytes = file.metadata()?.len();
        if written_bytes(&file) < self.segment_bytes / 2 {
            return fs::remove_file(&path);
        }
        if bytes > self.segment_bytes {
            file.set_len(self.segment_bytes)?;
        } else if bytes < self.segment_bytes {
            preallocate(&file, self.segment_bytes)?;
        }
        fs::rename(&path, self.spare_path(id))
    }

    /// How many segments may stay to be written over beside the logs of so many shards.
    fn spares_max(&self, shards: u64) -> u64 {
        (shards * LOG_SPARES_PER_SHARD).min(LOG_SPARE_BYTES_MAX / self.segment_bytes)
    }

    /// The path of a base.
    pub fn base_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A base's name: that of the snapshot that was made for run `set` as the `number`th one of it.
    pub fn base_name(&self, set: u32, number: u64) -> String {
        format!("{}.{set}.{number}.base.rdb", self.name)
    }

    /// Clears away segments of runs that `manifest` does not name, segments before the begin of their shard's log, and
    /// bases that it does not name. Some of the segments stay to be written over. The logs may be written to meanwhile,
    /// and may take what stays.
    pub fn sweep(&self, manifest: &Manifest) -> io::Result<()> {
        let own = format!("{}.", self.name);
        let (mut spares, mut stale) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&own)) else { continue };
            if let Some(id) = segment_of(rest, SEGMENT) {
                let set = manifest.sets.iter().find(|set| set.number == id.set);
                if set.is_none_or(|set| id.number < set.begin(id.shard).segment) {
                    stale.push(id);
                }
            } else if segment_of(rest, SPARE).is_some() {
                spares.push(self.path.join(&name));
            } else if is_base(rest) && manifest.base.as_deref() != name.to_str() {
                fs::remove_file(self.path.join(&name))?;
            }
        }
        let shards = manifest.sets.last().map_or(0, |set| u64::from(set.shards));
        let (mut kept, most) = (0, self.spares_max(shards));
        for path in spares {
            // one that is not there any more was taken by a log meanwhile
            let fits = fs::metadata(&path).is_ok_and(|data| data.len() == self.segment_bytes);
            if fits && kept < most { kept += 1 } else { there(fs::remove_file(&path))? }
        }
        for id in stale {
            there(if kept < most { self.retire(id) } else { fs::remove_file(self.segment_path(id)) })?;
            kept += u64::from(self.spare_path(id).exists());
        }
        Ok(())
    }
}

/// What was done to a file; one that is gone needs nothing.
fn there(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_know_their_log() {
        let folder = Folder::new("/data/logs".into(), "a.b");
        let id = SegmentId { set: 12, shard: 3, number: 4 };
        assert_eq!(Folder::of_segment(&folder.segment_path(id)), Some(folder.clone()));
        assert_eq!(Folder::of_segment(&folder.spare_path(id)), Some(folder.clone()));
        assert_eq!(Folder::of_manifest(&folder.manifest_path()), Some(folder));
        for other in ["/x/a.log", "/x/a.1.2.log", "/x/a.1.2.x.log", "/x/a.1.base.rdb", "/x/temp-a.pinion"] {
            let path = Path::new(other);
            assert!(Folder::of_segment(path).is_none() && Folder::of_manifest(path).is_none(), "{other}");
        }
    }
}

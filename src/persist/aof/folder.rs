//! The folder that holds the logs: names, opening, the manifest's replacement. Every function may block.

use crate::base::config::Config;
use crate::persist::aof::manifest::Manifest;
use crate::runtime::files::{preallocate, replace, sync_folder};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a server's logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// `dir` with `appenddirname`.
    pub path: PathBuf,
    /// `appendfilename`.
    pub name: String,
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

/// The segment whose name ends in this.
fn segment_of(rest: &str) -> Option<SegmentId> {
    let mut numbers = rest.strip_suffix(".log")?.split('.');
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

/// A segment open for writing.
#[derive(Debug, Clone)]
pub struct OpenSegment {
    /// Around the page cache; `None` where the file system refuses.
    pub direct: Option<Arc<File>>,
    /// Through the page cache.
    pub buffered: Arc<File>,
}

impl Folder {
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
        let folder = Folder { path: path.parent()?.to_path_buf(), name: name.into() };
        (!name.starts_with("temp-")).then_some(folder)
    }

    /// The log that a segment with this path is of.
    pub fn of_segment(path: &Path) -> Option<Folder> {
        let name = path.file_name()?.to_str()?;
        let (at, _) = name.rmatch_indices('.').nth(3)?;
        segment_of(&name[at + 1..])?;
        Some(Folder { path: path.parent()?.to_path_buf(), name: name[..at].into() })
    }

    /// The segments of this shard in this run from `number` on, as far as there are any.
    pub fn segments_from(&self, id: SegmentId) -> impl Iterator<Item = PathBuf> {
        let paths = (id.number..).map(move |number| self.segment_path(SegmentId { number, ..id }));
        paths.take_while(|path| path.exists())
    }

    /// Where the settings say that the logs are.
    pub fn of(config: &Config) -> Folder {
        let path = Path::new(&config.dir).join(&config.appenddirname);
        Folder { path, name: config.appendfilename.clone() }
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

    /// A segment's path.
    pub fn segment_path(&self, id: SegmentId) -> PathBuf {
        self.path.join(format!("{}.{}.{}.{}.log", self.name, id.set, id.shard, id.number))
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

    /// Puts `manifest` in the old one's place; after a crash either the old or the new one is there, whole.
    pub fn replace_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let temporary = self.path.join(format!("temp-{}.pinion", self.name));
        replace(&temporary, &self.manifest_path(), manifest.text().as_bytes())
    }

    /// Makes a new segment with `bytes` preallocated; its name is durable when this returns.
    pub fn create_segment(&self, id: SegmentId, bytes: u64) -> io::Result<OpenSegment> {
        let path = self.segment_path(id);
        let buffered = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        preallocate(&buffered, bytes)?;
        let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path).ok();
        buffered.sync_all()?;
        sync_folder(&self.path)?;
        Ok(OpenSegment { direct: direct.map(Arc::new), buffered: Arc::new(buffered) })
    }

    /// The path of a base.
    pub fn base_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A base's name: that of the snapshot that was made for run `set` as the `number`th one of it.
    pub fn base_name(&self, set: u32, number: u64) -> String {
        format!("{}.{set}.{number}.base.rdb", self.name)
    }

    /// Deletes the files of runs that `manifest` does not name, segments before the begin of their shard's log, and
    /// bases that it does not name.
    pub fn sweep(&self, manifest: &Manifest) -> io::Result<()> {
        let own = format!("{}.", self.name);
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&own)) else { continue };
            let stale_log = segment_of(rest).is_some_and(|id| {
                let set = manifest.sets.iter().find(|set| set.number == id.set);
                set.is_none_or(|set| id.number < set.begin(id.shard).segment)
            });
            let stale_base = is_base(rest) && manifest.base.as_deref() != name.to_str();
            if stale_log || stale_base {
                fs::remove_file(self.path.join(&name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_know_their_log() {
        let folder = Folder { path: "/data/logs".into(), name: "a.b".into() };
        let id = SegmentId { set: 12, shard: 3, number: 4 };
        assert_eq!(Folder::of_segment(&folder.segment_path(id)), Some(folder.clone()));
        assert_eq!(Folder::of_manifest(&folder.manifest_path()), Some(folder));
        for other in ["/x/a.log", "/x/a.1.2.log", "/x/a.1.2.x.log", "/x/a.1.base.rdb", "/x/temp-a.pinion"] {
            let path = Path::new(other);
            assert!(Folder::of_segment(path).is_none() && Folder::of_manifest(path).is_none(), "{other}");
        }
    }
}

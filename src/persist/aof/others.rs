//! Append-only files of another server beside our log: of Redis, from which the data came, or to which somebody went
//! back. They never count while there is a log of our own, so whether they changed must be known. Never reads what is
//! in them.

use crate::persist::aof::folder::Folder;
use crate::persist::load::manifest::RedisManifest;
use std::fs;
use std::path::Path;

/// What is there: a mark that changes with the names and the sizes; 0 for nothing.
pub fn mark(folder: &Folder) -> u32 {
    let mut seen = fs::read(folder.others_path()).unwrap_or_default();
    let files = RedisManifest::parse(&seen).unwrap_or_default();
    files.files().for_each(|name| note(&folder.path.join(name), &mut seen));
    // in the folder itself where `appenddirname` is a dot
    for dir in folder.path.ancestors().take(2) {
        note(&dir.join(&folder.name), &mut seen);
    }
    if seen.is_empty() { 0 } else { crc32c::crc32c(&seen).max(1) }
}

/// Adds a file's size, if it is there.
fn note(path: &Path, seen: &mut Vec<u8>) {
    if let Ok(data) = fs::metadata(path)
        && data.is_file()
    {
        seen.extend_from_slice(path.file_name().map_or(b"", |name| name.as_encoded_bytes()));
        seen.extend_from_slice(&data.len().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_changes_the_mark() {
        let dir = std::env::temp_dir().join(format!("pinion-others-{}", std::process::id()));
        let folder = Folder::new(dir.join("logs"), "a.aof");
        fs::create_dir_all(&folder.path).unwrap();
        let mut marks = vec![mark(&folder)];
        assert_eq!(marks, [0]);
        for (path, bytes) in [
            (dir.join("a.aof"), "*1"),
            (dir.join("a.aof"), "*1\r\n"),
            (folder.others_path(), "file a.aof.1.incr.aof seq 1 type i\n"),
            (folder.path.join("a.aof.1.incr.aof"), ""),
            (folder.path.join("a.aof.1.incr.aof"), "*1"),
            (folder.others_path(), "file a.aof.2.incr.aof seq 2 type i\n"),
            (folder.others_path(), "what is this"),
            (folder.path.join("a.aof"), "*1"),
        ] {
            fs::write(path, bytes).unwrap();
            let now = mark(&folder);
            assert!(!marks.contains(&now), "{bytes}");
            assert_eq!(mark(&folder), now);
            marks.push(now);
        }
        fs::write(folder.path.join("a.aof.1.0.0.log"), "ours").unwrap();
        assert_eq!(Some(&mark(&folder)), marks.last());
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! The data directory belongs to one process: a lock on the folder itself, which leaves no file behind and goes with
//! the process, however that ends. Also tells, before any client comes, whether the folder can be written at all.

use crate::runtime::files::lock_exclusive;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The lock; it goes when this is dropped.
#[derive(Debug)]
pub struct FolderLock(File);

impl FolderLock {
    /// Whether it is the lock of this folder.
    pub fn is_of(&self, folder: &Path) -> bool {
        let id = |data: fs::Metadata| (data.dev(), data.ino());
        match (self.0.metadata(), fs::metadata(folder)) {
            (Ok(own), Ok(other)) => id(own) == id(other),
            _ => false,
        }
    }
}

/// Takes the lock of a folder that data will be written to. The error is one line.
pub fn lock(folder: &Path) -> Result<FolderLock, String> {
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let wrong = |error: io::Error| format!("Cannot use the data directory {}: {error}", name.display());
    if !fs::metadata(folder).map_err(wrong)?.is_dir() {
        return Err(wrong(io::ErrorKind::NotADirectory.into()));
    }
    let file = File::open(folder).map_err(|error| denied(folder, &error))?;
    if !lock_exclusive(&file).map_err(wrong)? {
        return Err(format!(
            "Another server uses the data directory {}: stop that one, or give this one a `dir` of its own",
            name.display()
        ));
    }
    let probe = folder.join(format!("temp-probe-{}", std::process::id()));
    OpenOptions::new().write(true).create(true).truncate(true).open(&probe).map_err(|error| denied(folder, &error))?;
    fs::remove_file(&probe).map_err(wrong)?;
    Ok(FolderLock(file))
}

/// Says whose folder it is, where that may be the reason.
fn denied(folder: &Path, error: &io::Error) -> String {
    let name = folder.display();
    let owner = fs::metadata(folder).map(|folder| folder.uid());
    let own = fs::metadata("/proc/self").map(|process| process.uid());
    match (owner, own) {
        (Ok(owner), Ok(own)) if error.kind() == io::ErrorKind::PermissionDenied && owner != own => {
            format!("Cannot write to the data directory {name}: {error}: it belongs to user {owner}, not to {own}")
        }
        _ => format!("Cannot write to the data directory {name}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = std::env::temp_dir().join(format!("pinion-lock-{}", std::process::id()));
        let missing = lock(&folder).expect_err("it is not there");
        assert!(missing.starts_with("Cannot use the data directory "), "{missing}");
        fs::create_dir(&folder).expect("a folder");
        let held = lock(&folder).expect("nobody has it");
        let refused = lock(&folder).expect_err("it is taken");
        assert!(refused.starts_with("Another server uses the data directory "), "{refused}");
        drop(held);
        drop(lock(&folder).expect("it is free again"));
        assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 0);
        fs::remove_dir(&folder).expect("it is empty");
    }
}

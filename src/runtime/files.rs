//! What files need beyond std: names and contents that last, and what the kernel can do besides. Never reads one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes what happened to the names in a folder last: a new file, a rename.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts `bytes` in the place of a file, by way of another in the same folder: after a crash the old or the new one is
/// there, whole.
pub fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reserves `bytes` from the start of a file, so that writing needs no new blocks; a file system that cannot is no
/// error.
pub fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes as libc::off_t) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        error => Err(error),
    }
}

/// Opens a file for writing around the page cache, which takes whole blocks only; `None` where the file system refuses.
pub fn open_direct(path: &Path) -> Option<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok()
}

/// A file to be made for writing around the page cache, whose room on the disk is there before anything is written.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its path.
    pub path: PathBuf,
    /// Bytes that are reserved.
    pub bytes: u64,
    /// What may be written over instead, if there is any.
    pub spares: Spares,
}

/// Files that nobody needs any more: those of a folder whose names begin and end so, and that have this size.
#[derive(Debug, Clone)]
pub struct Spares {
    /// How their names begin.
    pub prefix: String,
    /// How they end.
    pub suffix: &'static str,
    /// Bytes that each has.
    pub bytes: u64,
}

/// A file that was made.
#[derive(Debug, Clone)]
pub struct MadeFile {
    /// Around the page cache; `None` where the file system refuses.
    pub direct: Option<Arc<File>>,
    /// Through the page cache.
    pub buffered: Arc<File>,
    /// Bytes that it has.
    pub bytes: u64,
    /// Bytes from the begin on whose blocks were written before, and hold what they did then: of a spare.
    pub filled: u64,
}

impl NewFile {
    /// Makes it, or renames a spare; its name is durable when this returns. Blocks. Several threads may take spares
    /// from the same folder.
    pub fn make(&self) -> io::Result<MadeFile> {
        let was_used = self.take_spare();
        let bytes = if was_used { self.spares.bytes } else { self.bytes };
        let buffered = OpenOptions::new().write(true).create(true).truncate(!was_used).open(&self.path)?;
        if !was_used {
            preallocate(&buffered, bytes)?;
        }
        let filled = if was_used { written_bytes(&buffered).min(bytes) } else { 0 };
        let direct = open_direct(&self.path);
        buffered.sync_all()?;
        self.path.parent().map_or(Ok(()), sync_folder)?;
        Ok(MadeFile { direct: direct.map(Arc::new), buffered: Arc::new(buffered), bytes, filled })
    }

    /// Renames a spare. One that cannot be had, as another thread was faster, is passed over.
    fn take_spare(&self) -> bool {
        let Some(folder) = self.path.parent() else { return false };
        fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            let is_one = name.to_str().is_some_and(|name| self.spares.names(name));
            let fits = || entry.metadata().is_ok_and(|data| data.is_file() && data.len() == self.spares.bytes);
            is_one && fits() && fs::rename(entry.path(), &self.path).is_ok()
        })
    }
}

impl Spares {
    fn names(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.ends_with(self.suffix))
    }
}

/// Bytes from the begin of a file on that were ever written, not only reserved. Moves the file's position.
pub fn written_bytes(file: &File) -> u64 {
    // SAFETY: no memory is involved.
    let hole = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE) };
    u64::try_from(hole).unwrap_or(0)
}

/// Has the kernel begin to write a part of a file to the disk, without waiting for more than what it was told before.
/// Only a hint: where it fails, the next sync has more to do.
pub fn write_behind(file: &File, offset: u64, bytes: u64) {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: no memory is involved.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset as libc::off64_t, bytes as libc::off64_t, flags) };
}

/// Tells the kernel that nobody will read a file soon: what is on the disk need not stay in memory. Only a hint.
pub fn drop_cached(file: &File) {
    // SAFETY: no memory is involved.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Locks a file or folder for this process; false if another one has it. The lock goes when the file is closed. A file
/// system without locks is no error.
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: no memory is involved.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(true),
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOLCK | libc::EINVAL | libc::EBADF)) => {
            Ok(true)
        }
        error => Err(error),
    }
}

//! What files need beyond std: names and contents that last, and what the kernel can do besides. Never reads one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

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

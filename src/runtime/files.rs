//! What the kernel can do with files beyond std: reserving room. Never opens one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

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

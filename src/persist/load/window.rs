//! A file read from front to back: the part that is not used yet, as large as its user needs. Never holds more than the
//! file has, whatever a length in it says.

use crate::persist::load::LoadError;
use crate::runtime::files;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that one read asks for at least.
const READ_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Window {
    path: PathBuf,
    file: File,
    len: u64,
    buffer: Vec<u8>,
    /// The unread part of the buffer begins here.
    from: usize,
    /// Where that is in the file.
    position: u64,
    ended: bool,
}

impl Drop for Window {
    /// What was read stays in memory as keys; the page cache has better uses.
    fn drop(&mut self) {
        files::drop_cached(&self.file);
    }
}

impl Window {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Window, LoadError> {
        let io = |error| LoadError::Io { file: path.to_path_buf(), error };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let path = path.to_path_buf();
        Ok(Window { path, file, len, buffer: Vec::new(), from: 0, position: 0, ended: false })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// An empty file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where in the file the unread part begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What was read from the file and not used yet.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.from..]
    }

    /// The first `count` unread bytes are used.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.from, "only what was read can be used");
        self.from += count;
        self.position += count as u64;
    }

    /// Reads on until at least `wanted` bytes are unread; false if the file has not so many.
    pub fn fill(&mut self, wanted: usize) -> Result<bool, LoadError> {
        if (wanted as u64) > self.len.saturating_sub(self.position) {
            // one that still grows is read to where it ends now
            self.ended = true;
        }
        self.buffer.drain(..self.from);
        self.from = 0;
        while self.buffer.len() < wanted && !self.ended {
            let start = self.buffer.len();
            let target = wanted.saturating_sub(start).max(READ_BYTES);
            self.buffer.resize(start + target, 0);
            let got = loop {
                match self.file.read(&mut self.buffer[start..]) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(LoadError::Io { file: self.path.clone(), error }),
                    Ok(got) => break got,
                }
            };
            self.buffer.truncate(start + got);
            self.ended = got == 0;
        }
        Ok(self.buffer.len() >= wanted)
    }

    /// As [`Window::fill`] of one more byte than there is; false at the end of the file.
    pub fn more(&mut self) -> Result<bool, LoadError> {
        self.fill(self.buffer.len() - self.from + 1)
    }
}

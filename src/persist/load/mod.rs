//! Reading the files that Redis and Valkey keep: snapshots, append-only files, and folders of these. Gives what they
//! hold to a [`Sink`], in order; changes no file and knows no shard.

pub mod aof;
pub mod manifest;
pub mod rdb;
mod window;

pub use window::Window;

use crate::types::rdb::Attributes;
use std::path::{Path, PathBuf};

/// A key as a snapshot holds it.
#[derive(Debug, Clone, Copy)]
pub struct RawEntry<'a> {
    /// Its database.
    pub db: u64,
    /// Its name.
    pub key: &'a [u8],
    /// Type of its value, see [`crate::types::rdb::kind`].
    pub kind: u8,
    /// Its value, encoded.
    pub body: &'a [u8],
    /// Expiry and use.
    pub attributes: Attributes,
    /// Where it begins in the file.
    pub at: u64,
}

/// Where what was read goes.
pub trait Sink {
    /// A snapshot of this version begins; a log follows it if `is_preamble`.
    fn snapshot(&mut self, file: &Path, version: u16, is_preamble: bool) -> Result<(), Refusal>;
    /// Whether the checksum of a snapshot is to be right.
    fn checks(&self) -> bool {
        true
    }
    /// A database will hold about so many keys.
    fn sizes(&mut self, db: u64, keys: u64) -> Result<(), Refusal> {
        let _ = (db, keys);
        Ok(())
    }
    /// A key of the snapshot.
    fn entry(&mut self, entry: &RawEntry<'_>) -> Result<(), Refusal>;
    /// A remark of the snapshot: name and value.
    fn remark(&mut self, name: &[u8], value: &[u8]);
    /// The text of a library of functions.
    fn function(&mut self, text: &[u8]);
    /// A command of a log.
    fn command(&mut self, db: u64, words: &[&[u8]]) -> Result<(), Refusal>;
    /// Something that the operator is to know.
    fn warn(&mut self, text: &str);
    /// Bytes that were read since the last call.
    fn progress(&mut self, bytes: u64);
}

/// Why a sink takes no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody wants the rest.
    Stopped,
    /// It cannot be.
    Because(String),
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The sink stopped.
    #[error("loading was stopped")]
    Stopped,
    /// The file is damaged, or holds what this server does not have.
    #[error("{}: at byte {at}: {why}", file.display())]
    Damage {
        /// The file.
        file: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl LoadError {
    fn damage(file: &Path, at: u64, why: impl Into<String>) -> Self {
        LoadError::Damage { file: file.to_path_buf(), at, why: why.into() }
    }

    fn refused(file: &Path, at: u64, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stopped => LoadError::Stopped,
            Refusal::Because(why) => Self::damage(file, at, why),
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

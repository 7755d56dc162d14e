//! A snapshot file, cut into keys. Values are not decoded here: that is the shards' work.

use crate::persist::load::{LoadError, RawEntry, Refusal, Sink, Window};
use crate::persist::rdb::{FileReader, Skimmed};
use crate::types::rdb::read::Bad;

/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Fewest bytes of a key with its value.
const ENTRY_BYTES_MIN: u64 = 4;

/// Whether a file that begins so is a snapshot.
pub fn is_snapshot(begin: &[u8]) -> bool {
    begin.starts_with(b"REDIS") || begin.starts_with(b"VALKEY")
}

/// Reads a snapshot from the beginning of a file; what follows it stays unread.
pub fn read(window: &mut Window, is_preamble: bool, sink: &mut dyn Sink) -> Result<(), LoadError> {
    let reader = FileReader::new();
    let mut reader = if sink.checks() { reader } else { reader.ignoring_checksum() };
    let mut reported = 0;
    loop {
        let at = window.position();
        let taken = match reader.skim(window.unread()) {
            Ok((Skimmed::End, taken)) => {
                window.consume(taken);
                sink.progress(window.position() - reported);
                return Ok(());
            }
            Ok((skimmed, taken)) => {
                give(skimmed, at, window, is_preamble, sink)
                    .map_err(|why| LoadError::refused(window.path(), at, why))?;
                taken
            }
            Err(Bad::Short) => {
                let wanted = reader.wanted().max(window.unread().len() + 1);
                if !window.fill(wanted)? {
                    let what = if window.is_empty() { "the file is empty" } else { "the file ends in mid-value" };
                    return Err(LoadError::damage(window.path(), at, what));
                }
                continue;
            }
            Err(bad) => return Err(LoadError::damage(window.path(), at, bad.to_string())),
        };
        window.consume(taken);
        if window.position() - reported >= PROGRESS_BYTES {
            sink.progress(window.position() - reported);
            reported = window.position();
        }
    }
}

fn give(skimmed: Skimmed<'_>, at: u64, window: &Window, is_preamble: bool, sink: &mut dyn Sink) -> Result<(), Refusal> {
    match skimmed {
        Skimmed::Version(version) => sink.snapshot(window.path(), version, is_preamble)?,
        Skimmed::Remark(name, value) => sink.remark(&name, &value),
        Skimmed::Function(text) => sink.function(&text),
        Skimmed::ModuleRemark(name) => {
            sink.warn(&format!("what the module {name} kept beside keys is left out: this server has no modules"));
        }
        Skimmed::Entry { db, key, kind, body, attributes } => {
            sink.entry(&RawEntry { db, key: &key, kind, body, attributes, at })?;
        }
        // no more than the rest of the file can hold
        Skimmed::Sizes(db, keys) => sink.sizes(db, keys.min((window.len() - at) / ENTRY_BYTES_MIN))?,
        Skimmed::Nothing | Skimmed::End => {}
    }
    Ok(())
}

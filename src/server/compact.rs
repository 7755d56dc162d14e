//! A log that was read back and has grown far beyond its data is begun anew at the start: the data goes to a base, and
//! the old logs go. Runs while nobody is served, so it needs no snapshot.

use crate::base::config::Config;
use crate::persist::aof::folder::Folder;
use crate::persist::rdb::FileWriter;
use crate::runtime::files::sync_folder;
use crate::shard::keyspace::Shard;
use crate::types::rdb::{Attributes, Flavor, VERSION_MIN, write};
use std::fs::{self, File};
use std::io::{self, Write};

/// Bytes that are gathered for one write.
const PIECE_BYTES: usize = 1 << 20;

/// Whether logs of `bytes` in all, a base of `base_bytes` among them, are to be begun anew (`auto-aof-rewrite-*`).
pub fn is_due(config: &Config, base_bytes: u64, bytes: u64) -> bool {
    let percent = u64::from(config.auto_aof_rewrite_percentage);
    let grown = bytes.saturating_sub(base_bytes);
    percent > 0 && bytes >= config.auto_aof_rewrite_min_size && grown * 100 >= base_bytes.max(1) * percent
}

/// Writes what the shards hold, and libraries of functions, as the base `name`; it is durable when this returns.
/// Answers its bytes.
pub fn write_base(
    folder: &Folder,
    name: &str,
    flavor: Flavor,
    libraries: &[Vec<u8>],
    shards: &[Shard],
) -> io::Result<u64> {
    let temporary = folder.base_path(&format!("temp-{name}"));
    let mut file = File::create(&temporary)?;
    let mut writer = FileWriter::new(version(shards, flavor), flavor, true, true);
    libraries.iter().for_each(|text| writer.function(text));
    let mut bytes = 0;
    let mut failed = None;
    for shard in shards {
        for db in (0..shard.tables.len()).filter(|db| shard.len(*db) > 0) {
            writer.database(db, shard.len(db), shard.expiring(db));
            shard.for_each(db, |entry| {
                let attributes = Attributes { expire_ms: entry.expire_ms, ..Attributes::default() };
                writer.entry(entry.key, entry.value, attributes);
                if writer.waiting() >= PIECE_BYTES {
                    let piece = writer.take();
                    bytes += piece.len() as u64;
                    failed = file.write_all(&piece).err();
                }
                failed.is_none()
            });
            if let Some(error) = failed.take() {
                return Err(error);
            }
        }
    }
    let rest = writer.end();
    bytes += rest.len() as u64;
    file.write_all(&rest)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.base_path(name))?;
    sync_folder(&folder.path)?;
    Ok(bytes)
}

/// The lowest version that every value fits.
fn version(shards: &[Shard], flavor: Flavor) -> u16 {
    let mut highest = VERSION_MIN;
    for shard in shards {
        for db in 0..shard.tables.len() {
            shard.for_each(db, |entry| {
                highest = highest.max(write::version(entry.value, flavor));
                true
            });
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_begun_anew_when_it_has_grown_enough() {
        let config = Config::default();
        let mb = 1u64 << 20;
        for (base, bytes, due) in
            [(0, 63 * mb, false), (0, 64 * mb, true), (40 * mb, 79 * mb, false), (40 * mb, 80 * mb, true)]
        {
            assert_eq!(is_due(&config, base, bytes), due, "{base} {bytes}");
        }
        let never = Config { auto_aof_rewrite_percentage: 0, ..config };
        assert!(!is_due(&never, 0, 1 << 40));
    }
}

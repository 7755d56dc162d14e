//! RDB files as a whole: what stands around the values. From data to bytes and back; opens no file and sees no shard.
//!
//! ```text
//! "REDIS" 4 digits | "VALKEY" 3 digits      the version
//! 0xfa name value                           remarks (what wrote it, when)
//! 0xfe n, 0xfb keys expiring                the database of what follows, and how large its tables will be
//! [0xfc time] [0xf8 idle | 0xf9 frequency] type key value
//! 0xff checksum                             CRC-64 of all before, 0 if it was left out
//! ```
//! [`FileWriter`] gathers bytes until its user takes them; [`FileReader`] is shown the unread part of a file and says
//! how much of it one step took, so neither needs the whole in memory.

use crate::types::rdb::crc64::crc64;
use crate::types::rdb::read::{Bad, Limits, Reader};
use crate::types::rdb::write::Writer;
use crate::types::rdb::{Attributes, Flavor, VERSION_REDIS, VERSION_VALKEY};
use crate::types::value::{Owned, View};
use std::borrow::Cow;

/// What may stand where a value's type would.
mod opcode {
    pub(super) use crate::types::rdb::opcode::{DATABASE, EXPIRE_MS, FREQUENCY, IDLE};
    pub(super) const SLOT: u8 = 0xf4;
    pub(super) const FUNCTION: u8 = 0xf5;
    pub(super) const MODULE_REMARK: u8 = 0xf7;
    pub(super) const REMARK: u8 = 0xfa;
    pub(super) const SIZES: u8 = 0xfb;
    pub(super) const EXPIRE_S: u8 = 0xfd;
    pub(super) const END: u8 = 0xff;
}

/// Bytes of the version's line.
const HEADER_BYTES: usize = 9;
/// The first version that ends in a checksum.
const CHECKSUM_SINCE: u16 = 5;

/// Writes a file, part by part.
#[derive(Debug)]
pub struct FileWriter {
    writer: Writer,
    crc: u64,
    checksum: bool,
}

impl FileWriter {
    /// Begins a file of this version, the greatest that one of its values needs
    /// ([`version`](crate::types::rdb::write::version)). `compress` and `checksum` as the settings say.
    pub fn new(version: u16, flavor: Flavor, compress: bool, checksum: bool) -> Self {
        let mut writer = Writer { compress, flavor, ..Writer::default() };
        let header =
            if version >= VERSION_VALKEY { format!("VALKEY{version:03}") } else { format!("REDIS{version:04}") };
        writer.bytes.extend_from_slice(header.as_bytes());
        FileWriter { writer, crc: 0, checksum }
    }

    /// A remark.
    pub fn remark(&mut self, name: &str, value: &str) {
        self.writer.bytes.push(opcode::REMARK);
        self.writer.string(name.as_bytes());
        self.writer.string(value.as_bytes());
    }

    /// The library text of a set of functions.
    pub fn function(&mut self, text: &[u8]) {
        self.writer.bytes.push(opcode::FUNCTION);
        self.writer.string(text);
    }

    /// What follows is of this database, which holds about so many keys.
    pub fn database(&mut self, db: usize, keys: usize, expiring: usize) {
        self.writer.database(db);
        self.writer.bytes.push(opcode::SIZES);
        self.writer.length(keys as u64);
        self.writer.length(expiring as u64);
    }

    /// A key.
    pub fn entry(&mut self, key: &[u8], value: View<'_>, attributes: Attributes) {
        self.writer.entry(key, value, attributes);
    }

    /// Bytes that wait to be taken.
    pub fn waiting(&self) -> usize {
        self.writer.bytes.len()
    }

    /// Takes what has been written since it was last called; it goes behind what was taken before.
    pub fn take(&mut self) -> Vec<u8> {
        if self.checksum {
            self.crc = crc64(self.crc, &self.writer.bytes);
        }
        std::mem::take(&mut self.writer.bytes)
    }

    /// What stands behind the last key, in front of the checksum.
    pub fn end_mark() -> [u8; 1] {
        [opcode::END]
    }

    /// The rest of the file.
    pub fn end(mut self) -> Vec<u8> {
        self.writer.bytes.push(opcode::END);
        let mut rest = self.take();
        rest.extend_from_slice(&self.crc.to_le_bytes());
        rest
    }
}

/// What one step of a [`FileReader`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The version.
    Version(u16),
    /// A remark.
    Remark(Vec<u8>, Vec<u8>),
    /// The library text of a set of functions.
    Function(Vec<u8>),
    /// About how many keys, and keys that expire, the database holds.
    Sizes(u64, u64),
    /// Something without a meaning for the data: a database's number, a slot's sizes.
    Nothing,
    /// A key.
    Entry {
        /// Its database.
        db: u64,
        /// Its name.
        key: Vec<u8>,
        /// Its value; `None` for a collection without elements (left), which old servers may have written.
        value: Option<Owned>,
        /// What it has beside that.
        attributes: Attributes,
    },
    /// The end. What follows is not part of the file.
    End,
}

/// What one step of [`FileReader::skim`] found: as [`Found`], with the value still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skimmed<'a> {
    /// See [`Found`].
    Version(u16),
    /// See [`Found`].
    Remark(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// See [`Found`].
    Function(Cow<'a, [u8]>),
    /// What this module kept beside keys, which nobody else can read.
    ModuleRemark(String),
    /// A database's number, and about how many keys it holds.
    Sizes(u64, u64),
    /// Something without a meaning for the data.
    Nothing,
    /// A key.
    Entry {
        /// Its database.
        db: u64,
        /// Its name.
        key: Cow<'a, [u8]>,
        /// Type of its value.
        kind: u8,
        /// Its value, for [`Reader::value`].
        body: &'a [u8],
        /// What it has beside that.
        attributes: Attributes,
    },
    /// The end.
    End,
}

/// Reads a file, step by step.
#[derive(Debug, Default)]
pub struct FileReader {
    version: u16,
    db: u64,
    crc: u64,
    position: u64,
    wanted: usize,
    ignores_checksum: bool,
}

impl FileReader {
    /// Stands at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, but a file with a wrong checksum is read as well.
    pub fn ignoring_checksum(self) -> Self {
        FileReader { ignores_checksum: true, ..self }
    }

    /// Bytes that were taken: where in the file the next step begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// After [`Bad::Short`]: how many unread bytes the step needs at least.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// The file's version, once it was read.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// As [`FileReader::step`]; values are passed over and answered as they are.
    pub fn skim<'a>(&mut self, unread: &'a [u8]) -> Result<(Skimmed<'a>, usize), Bad> {
        let mut reader = Reader::new(unread, self.version);
        let skimmed = if self.position == 0 {
            self.header(&mut reader).map(|_| Skimmed::Version(self.version))
        } else {
            self.skim_part(&mut reader, unread)
        };
        self.wanted = reader.wanted();
        let skimmed = skimmed?;
        let taken = reader.position();
        self.took(&unread[..taken], skimmed == Skimmed::End);
        Ok((skimmed, taken))
    }

    fn took(&mut self, bytes: &[u8], is_end: bool) {
        if !is_end {
            self.crc = crc64(self.crc, bytes);
        }
        self.position += bytes.len() as u64;
    }

    fn skim_part<'a>(&mut self, reader: &mut Reader<'a>, unread: &'a [u8]) -> Result<Skimmed<'a>, Bad> {
        let start = reader.position();
        let mut attributes = Attributes::default();
        loop {
            let opcode = reader.byte()?;
            if read_attribute(opcode, reader, &mut attributes)? {
                continue;
            }
            return match opcode {
                opcode::REMARK => Ok(Skimmed::Remark(reader.string()?, reader.string()?)),
                opcode::FUNCTION => Ok(Skimmed::Function(reader.string()?)),
                opcode::MODULE_REMARK => reader.skip_module_remark().map(Skimmed::ModuleRemark),
                opcode::END => self.end(reader, start).map(|_| Skimmed::End),
                opcode::SIZES => {
                    let keys = reader.length()?;
                    reader.length()?;
                    Ok(Skimmed::Sizes(self.db, keys))
                }
                opcode if self.read_aside(opcode, reader)?.is_some() => Ok(Skimmed::Nothing),
                kind => {
                    let key = reader.string()?;
                    let from = reader.position();
                    reader.skip_value(kind)?;
                    let body = &unread[from..reader.position()];
                    Ok(Skimmed::Entry { db: self.db, key, kind, body, attributes })
                }
            };
        }
    }

    /// Reads what has no meaning for the data; `None` if `opcode` begins something else.
    fn read_aside(&mut self, opcode: u8, reader: &mut Reader<'_>) -> Result<Option<Found>, Bad> {
        match opcode {
            opcode::SIZES => return Ok(Some(Found::Sizes(reader.length()?, reader.length()?))),
            opcode::DATABASE => self.db = reader.length()?,
            opcode::SLOT => {
                for _ in 0..3 {
                    reader.length()?;
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(Found::Nothing))
    }

    /// Takes the next thing from the beginning of `unread`; answers it and how many bytes it was. [`Bad::Short`] asks
    /// for a longer part of the file from the same place (the double, say); at the file's end it means that it is cut.
    pub fn step(&mut self, unread: &[u8], limits: &Limits) -> Result<(Found, usize), Bad> {
        let mut reader = Reader::new(unread, self.version);
        let found = if self.position == 0 { self.header(&mut reader)? } else { self.part(&mut reader, limits)? };
        let taken = reader.position();
        self.took(&unread[..taken], found == Found::End);
        Ok((found, taken))
    }

    fn header(&mut self, reader: &mut Reader<'_>) -> Result<Found, Bad> {
        let header = reader.take(HEADER_BYTES)?;
        let digits = header.strip_prefix(b"REDIS").or_else(|| header.strip_prefix(b"VALKEY")).unwrap_or_default();
        let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        match version {
            Some(version @ (1..=VERSION_REDIS | VERSION_VALKEY)) => {
                self.version = version;
                Ok(Found::Version(version))
            }
            Some(_) => Err(Bad::Corrupt("a version that is newer than this server")),
            None => Err(Bad::Corrupt("no RDB file")),
        }
    }

    fn part(&mut self, reader: &mut Reader<'_>, limits: &Limits) -> Result<Found, Bad> {
        let start = reader.position();
        let mut attributes = Attributes::default();
        loop {
            let opcode = reader.byte()?;
            if read_attribute(opcode, reader, &mut attributes)? {
                continue;
            }
            if let Some(found) = self.read_aside(opcode, reader)? {
                return Ok(found);
            }
            match opcode {
                opcode::REMARK => {
                    let name = reader.string()?.into_owned();
                    return Ok(Found::Remark(name, reader.string()?.into_owned()));
                }
                opcode::FUNCTION => return Ok(Found::Function(reader.string()?.into_owned())),
                opcode::MODULE_REMARK => {
                    return Err(Bad::Module(crate::types::rdb::read::module_name(reader.length()?)));
                }
                opcode::END => return self.end(reader, start),
                kind => {
                    let key = reader.string()?.into_owned();
                    let value = match reader.value(kind, limits) {
                        Ok(value) => Some(value),
                        Err(Bad::Empty(_)) => None,
                        Err(bad) => return Err(bad),
                    };
                    return Ok(Found::Entry { db: self.db, key, value, attributes });
                }
            }
        }
    }

    fn end(&mut self, reader: &mut Reader<'_>, start: usize) -> Result<Found, Bad> {
        if reader.position() != start + 1 {
            return Err(Bad::Corrupt("attributes of no key"));
        }
        if self.version < CHECKSUM_SINCE {
            return Ok(Found::End);
        }
        let told = u64::from_le_bytes(reader.take(8)?.try_into().map_err(|_| Bad::Short)?);
        let computed = crc64(self.crc, &[opcode::END]);
        match told {
            0 => Ok(Found::End),
            _ if told == computed || self.ignores_checksum => Ok(Found::End),
            _ => Err(Bad::Checksum { told, computed }),
        }
    }
}

/// Reads what `opcode` tells of the key that follows; false if it tells nothing.
fn read_attribute(opcode: u8, reader: &mut Reader<'_>, attributes: &mut Attributes) -> Result<bool, Bad> {
    match opcode {
        opcode::EXPIRE_MS => attributes.expire_ms = Some(u64::try_from(reader.millis()?).unwrap_or(0)),
        opcode::EXPIRE_S => {
            let bytes = reader.take(4)?;
            let seconds = bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
            attributes.expire_ms = Some(seconds * 1000);
        }
        opcode::IDLE => attributes.idle_s = Some(reader.length()?),
        opcode::FREQUENCY => attributes.frequency = Some(reader.byte()?),
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
#[path = "rdb_tests.rs"]
mod tests;

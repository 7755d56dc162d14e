//! Where values end: finds it from their lengths alone, so that one thread can cut a file into keys faster than others
//! decode them. What is inside a string is not looked at.

use super::length::{INT_8, INT_16, INT_32, LZF};
use super::read::{Bad, Reader, module_name};
use super::{VERSION_VALKEY, kind, module_part, vectors};

/// Bytes of a stream entry's id.
const ID_BYTES: usize = 16;
const MILLIS_BYTES: usize = 8;

type Result<T> = std::result::Result<T, Bad>;

impl Reader<'_> {
    /// Passes over the body of a value of this type. What passes may still be no value.
    pub fn skip_value(&mut self, kind: u8) -> Result<()> {
        match kind {
            kind::STRING
            | kind::HASH_ZIPMAP
            | kind::LIST_ZIPLIST
            | kind::SET_INTSET
            | kind::SET_LISTPACK
            | kind::ZSET_ZIPLIST
            | kind::ZSET_LISTPACK
            | kind::HASH_ZIPLIST
            | kind::HASH_LISTPACK => self.skip_string(),
            kind::LIST | kind::SET | kind::LIST_QUICKLIST_1 => self.skip_each(Self::skip_string),
            kind::HASH => self.skip_each(Self::skip_pair),
            kind::ZSET => self.skip_each(|reader| {
                reader.skip_string()?;
                reader.take(size_of::<f64>()).map(drop)
            }),
            kind::ZSET_TEXT => self.skip_each(|reader| {
                reader.skip_string()?;
                match reader.byte()? {
                    253..=255 => Ok(()),
                    len => reader.take(usize::from(len)).map(drop),
                }
            }),
            kind::LIST_QUICKLIST => self.skip_each(|reader| {
                reader.length()?;
                reader.skip_string()
            }),
            kind::HASH_TIMED_LISTPACK => {
                self.millis()?;
                self.skip_string()
            }
            kind::HASH_TIMED => {
                self.millis()?;
                self.skip_each(|reader| {
                    reader.length()?;
                    reader.skip_pair()
                })
            }
            kind::HASH_VALKEY if self.version >= VERSION_VALKEY => self.skip_each(|reader| {
                reader.skip_pair()?;
                reader.millis().map(drop)
            }),
            kind::STREAM_1 | kind::STREAM_2 | kind::STREAM_3 => self.skip_stream(kind),
            kind::MODULE => match self.length()? {
                vectors::TYPE_ID => self.skip_module_parts(),
                other => Err(Bad::Module(module_name(other))),
            },
            kind::MODULE_OLD => Err(Bad::Module(module_name(self.length()?))),
            _ => Err(Bad::Kind(kind)),
        }
    }

    fn skip_each(&mut self, mut one: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        (0..self.count()?).try_for_each(|_| one(self))
    }

    fn skip_pair(&mut self) -> Result<()> {
        self.skip_string()?;
        self.skip_string()
    }

    fn skip_lengths(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.length().map(drop))
    }

    /// Passes over a string.
    pub fn skip_string(&mut self) -> Result<()> {
        let len = match self.byte()? {
            INT_8 => 1,
            INT_16 => 2,
            INT_32 => 4,
            LZF => {
                let packed = self.length()?;
                self.length()?;
                packed
            }
            first => self.length_from(first)?,
        };
        self.take(usize::try_from(len).unwrap_or(usize::MAX)).map(drop)
    }

    fn skip_stream(&mut self, kind: u8) -> Result<()> {
        self.skip_each(Self::skip_pair)?;
        // length and last id; then first id, greatest deleted id, entries ever added
        self.skip_lengths(if kind == kind::STREAM_1 { 3 } else { 8 })?;
        self.skip_each(|reader| {
            reader.skip_string()?;
            reader.skip_lengths(if kind == kind::STREAM_1 { 2 } else { 3 })?;
            reader.skip_each(|reader| {
                reader.take(ID_BYTES + MILLIS_BYTES)?;
                reader.length().map(drop)
            })?;
            reader.skip_each(|reader| {
                reader.skip_string()?;
                reader.take(if kind == kind::STREAM_3 { 2 * MILLIS_BYTES } else { MILLIS_BYTES })?;
                reader.skip_each(|reader| reader.take(ID_BYTES).map(drop))
            })
        })
    }

    /// Passes over what a module keeps beside keys; its name.
    pub fn skip_module_remark(&mut self) -> Result<String> {
        let name = module_name(self.length()?);
        self.skip_lengths(2)?;
        self.skip_module_parts()?;
        Ok(name)
    }

    /// Passes over what a module wrote, its end mark included.
    fn skip_module_parts(&mut self) -> Result<()> {
        loop {
            match self.length()? {
                module_part::END => return Ok(()),
                module_part::SIGNED | module_part::UNSIGNED => self.skip_lengths(1)?,
                module_part::FLOAT => drop(self.take(size_of::<f32>())?),
                module_part::DOUBLE => drop(self.take(size_of::<f64>())?),
                module_part::STRING => self.skip_string()?,
                _ => return Err(Bad::Corrupt("what a module wrote")),
            }
        }
    }
}

//! The journal: what one shard's writes did, in order, as RESP commands that give the same data when they run again.
//! Only gathers; the log takes what was gathered and says what became durable.
//!
//! The first [`HEAD_BYTES`] of what is gathered are left free, so that the log can put a header there without a copy.

use crate::runtime::aligned::AlignedBuf;

/// Begins a cross-shard transaction's part: its id, then the shards that have a part of it.
pub const BEGIN: &[u8] = b"PINION.BEGIN";
/// Ends the part: the id again.
pub const END: &[u8] = b"PINION.END";
/// Bytes left free in front of what is gathered.
pub const HEAD_BYTES: usize = 64;
/// Memory that a buffer keeps for its next use.
const KEPT_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Journal {
    gathered: AlignedBuf,
    /// Database that the last command gathered here was for.
    db: Option<usize>,
    end: u64,
}

impl Journal {
    /// Bytes journaled since the start: the position behind the last effect.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether nothing was gathered since [`Journal::take`].
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        self.gathered.len().saturating_sub(HEAD_BYTES)
    }

    /// What was gathered, behind [`HEAD_BYTES`] free ones; `spare` is filled next.
    pub fn take(&mut self, mut spare: AlignedBuf) -> AlignedBuf {
        spare.clear(KEPT_BYTES);
        self.db = None;
        std::mem::replace(&mut self.gathered, spare)
    }

    /// Appends one command.
    pub fn append<'w>(&mut self, db: usize, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.write([b"SELECT", itoa::Buffer::new().format(db).as_bytes()].into_iter());
        }
        self.write(words);
    }

    /// Begins this shard's part of transaction `id`.
    pub fn begin(&mut self, id: u64, shards: impl ExactSizeIterator<Item = u16>) {
        let texts: Vec<String> = std::iter::once(id.to_string()).chain(shards.map(|s| s.to_string())).collect();
        let words: Vec<&[u8]> = std::iter::once(BEGIN).chain(texts.iter().map(|text| text.as_bytes())).collect();
        self.write(words.into_iter());
    }

    /// Ends it.
    pub fn finish(&mut self, id: u64) {
        self.write([END, itoa::Buffer::new().format(id).as_bytes()].into_iter());
    }

    fn write<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        if self.gathered.is_empty() {
            self.gathered.resize(HEAD_BYTES);
        }
        let before = self.gathered.len();
        self.number(b'*', words.len());
        for word in words {
            self.number(b'$', word.len());
            self.gathered.extend_from_slice(word);
            self.gathered.extend_from_slice(b"\r\n");
        }
        self.end += (self.gathered.len() - before) as u64;
    }

    fn number(&mut self, sign: u8, number: usize) {
        let mut digits = itoa::Buffer::new();
        self.gathered.extend_from_slice(&[sign]);
        self.gathered.extend_from_slice(digits.format(number).as_bytes());
        self.gathered.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn gathers_commands_behind_room_for_a_header() {
        let mut journal = Journal::default();
        assert!(journal.is_empty());
        journal.append(0, words("SET k v").into_iter());
        journal.append(0, words("DEL k").into_iter());
        journal.append(3, words("DEL k").into_iter());
        journal.begin(77, [0, 5].into_iter());
        journal.finish(77);
        let expected = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n\
             *2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n\
             *4\r\n$12\r\nPINION.BEGIN\r\n$2\r\n77\r\n$1\r\n0\r\n$1\r\n5\r\n*2\r\n$10\r\nPINION.END\r\n$2\r\n77\r\n";
        assert_eq!((journal.len(), journal.end()), (expected.len(), expected.len() as u64));
        let taken = journal.take(AlignedBuf::default());
        assert_eq!(String::from_utf8_lossy(&taken[HEAD_BYTES..]), expected);
        assert!(journal.is_empty());
        // A block is read on its own: the database is told again.
        journal.append(3, words("DEL k").into_iter());
        let again = journal.take(taken);
        assert!(again[HEAD_BYTES..].starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"));
        assert_eq!(journal.end(), expected.len() as u64 + again.len() as u64 - HEAD_BYTES as u64);
    }
}

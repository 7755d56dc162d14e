//! What a block's payload says: commands as RESP arrays, and the marks around a cross-shard transaction's part, as
//! the journal writes them. Strict: the bytes passed a checksum, so anything odd is damage.

use crate::base::text::parse_u64;
use crate::shard::journal::{BEGIN, END, PIECE, WHOLE};
use smallvec::SmallVec;

/// Most words of one record.
const WORDS_MAX: usize = 1 << 24;

/// Words of one record.
pub type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A command with its arguments.
    Command(Words<'a>),
    /// See [`BEGIN`].
    Begin {
        /// The transaction.
        id: u64,
        /// Shards with a part of it.
        shards: Vec<u16>,
    },
    /// See [`END`].
    End {
        /// The transaction.
        id: u64,
    },
    /// A piece of a huge value: see [`crate::shard::recording`].
    Piece {
        /// The value.
        id: u64,
        /// Which piece, from 0 on.
        number: u64,
        /// What it holds.
        bytes: &'a [u8],
    },
    /// A command whose payload is made of pieces.
    Whole {
        /// The value.
        id: u64,
        /// How many pieces.
        count: u64,
        /// The command without its payload.
        words: Words<'a>,
    },
}

/// Takes the first record off `rest`; `None` at the end, an error if the bytes are no record.
pub fn read<'a>(rest: &mut &'a [u8]) -> Result<Option<Record<'a>>, &'static str> {
    if rest.is_empty() {
        return Ok(None);
    }
    let count = number(rest, b'*')?;
    if count == 0 || count > WORDS_MAX.min(rest.len()) {
        return Err("a record with an impossible number of words");
    }
    let mut words = Words::new();
    for _ in 0..count {
        let len = number(rest, b'$')?;
        let (word, behind) = rest.split_at_checked(len).ok_or("a record that ends in mid-word")?;
        *rest = behind.strip_prefix(b"\r\n").ok_or("a word of another length than it says")?;
        words.push(word);
    }
    let number = |at: usize, otherwise| words.get(at).and_then(|word| parse_u64(word)).ok_or(otherwise);
    if words[0] == BEGIN {
        let shard = |at| number(at, ODD_MARK).and_then(|n| u16::try_from(n).map_err(|_| "a shard that cannot be"));
        let shards = (2..words.len()).map(shard).collect::<Result<Vec<_>, _>>()?;
        return Ok(Some(Record::Begin { id: number(1, ODD_MARK)?, shards }));
    }
    if words[0] == END {
        return Ok(Some(Record::End { id: number(1, ODD_MARK)? }));
    }
    if words[0] == PIECE {
        let bytes = words.get(3).filter(|_| words.len() == 4).ok_or(ODD_PIECE)?;
        return Ok(Some(Record::Piece { id: number(1, ODD_PIECE)?, number: number(2, ODD_PIECE)?, bytes }));
    }
    if words[0] == WHOLE {
        let (id, count) = (number(1, ODD_PIECE)?, number(2, ODD_PIECE)?);
        words.drain(..3);
        return if words.len() < 3 { Err(ODD_PIECE) } else { Ok(Some(Record::Whole { id, count, words })) };
    }
    Ok(Some(Record::Command(words)))
}

const ODD_MARK: &str = "a transaction's mark without a number";
const ODD_PIECE: &str = "a piece of a value without its words";

fn number(rest: &mut &[u8], sign: u8) -> Result<usize, &'static str> {
    let line = rest.strip_prefix(&[sign]).ok_or("bytes that begin no record")?;
    let end = line.iter().take(20).position(|b| *b == b'\r').ok_or("a length that does not end")?;
    let value = crate::base::text::parse_u64(&line[..end]).ok_or("a length that is no number")?;
    *rest = line[end..].strip_prefix(b"\r\n").ok_or("a length that does not end")?;
    usize::try_from(value).map_err(|_| "a length that is no number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::aligned::AlignedBuf;
    use crate::shard::journal::{HEAD_BYTES, Journal};
    use proptest::prelude::*;

    #[test]
    fn records_read_back() {
        let mut journal = Journal::default();
        journal.append(2, [&b"SET"[..], b"k\r\n", b""].into_iter());
        journal.release(12, 300, &[0, 300]);
        let out = journal.take(AlignedBuf::default());
        let mut rest = &out[HEAD_BYTES..];
        let select: Words<'_> = SmallVec::from_slice(&[&b"SELECT"[..], b"2"]);
        assert_eq!(read(&mut rest), Ok(Some(Record::Command(select))));
        let set: Words<'_> = SmallVec::from_slice(&[&b"SET"[..], b"k\r\n", b""]);
        assert_eq!(read(&mut rest), Ok(Some(Record::Command(set))));
        assert_eq!(read(&mut rest), Ok(Some(Record::Begin { id: 12, shards: vec![0, 300] })));
        assert_eq!(read(&mut rest), Ok(Some(Record::End { id: 12 })));
        let mut journal = Journal::default();
        journal.append(0, [PIECE, b"7", b"0", b"bytes"].into_iter());
        journal.append(0, [WHOLE, b"7", b"1", b"RESTORE", b"k", b"0"].into_iter());
        let out = journal.take(AlignedBuf::default());
        let mut rest = &out[HEAD_BYTES..];
        assert!(matches!(read(&mut rest), Ok(Some(Record::Command(_)))));
        assert_eq!(read(&mut rest), Ok(Some(Record::Piece { id: 7, number: 0, bytes: b"bytes" })));
        let words = SmallVec::from_slice(&[&b"RESTORE"[..], b"k", b"0"]);
        assert_eq!(read(&mut rest), Ok(Some(Record::Whole { id: 7, count: 1, words })));
        assert_eq!(read(&mut rest), Ok(None));
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in [
            &b"SET a b\r\n"[..],
            b"*0\r\n",
            b"*99999999999\r\n",
            b"*1\r\n$5\r\nabc\r\n",
            b"*1\r\n$3\r\nabcd\r\n",
            b"*1\r\n$-1\r\n",
            b"*2\r\n$3\r\nabc\r\n",
            b"*1\r\n$12\r\nPINION.BEGIN\r\n",
            b"*3\r\n$12\r\nPINION.BEGIN\r\n$1\r\n1\r\n$5\r\n70000\r\n",
            b"*2\r\n$10\r\nPINION.END\r\n$1\r\nx\r\n",
        ] {
            assert!(read(&mut &bytes[..]).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_in_an_error_or_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = read(&mut rest) {}
        }
    }
}

//! Puts the pieces of huge values together that a log holds: see [`crate::shard::recording`]. Keeps those that nobody
//! has asked for until the end of the log.

use crate::persist::aof::record::Words;
use ahash::RandomState;
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Pieces {
    /// By number: how many came, and their bytes.
    kept: HashMap<u64, (u64, Vec<u8>), RandomState>,
}

impl Pieces {
    /// The next piece of a value; the first one begins it anew.
    pub fn add(&mut self, id: u64, number: u64, bytes: &[u8]) -> Result<(), &'static str> {
        if number == 0 {
            self.kept.insert(id, (0, Vec::new()));
        }
        match self.kept.get_mut(&id) {
            Some((count, kept)) if *count == number => {
                *count += 1;
                kept.extend_from_slice(bytes);
                Ok(())
            }
            _ => Err("a piece of a value out of turn"),
        }
    }

    /// The `count` pieces of a value.
    pub fn take(&mut self, id: u64, count: u64) -> Result<Vec<u8>, &'static str> {
        match self.kept.remove(&id) {
            Some((there, bytes)) if there == count => Ok(bytes),
            _ => Err("a value whose pieces are not there"),
        }
    }
}

/// The words of a command whose payload stood in pieces: it comes behind the key and the expiry.
pub fn command<'a>(words: &[&'a [u8]], payload: &'a [u8]) -> Words<'a> {
    let (before, behind) = words.split_at(words.len().min(3));
    before.iter().copied().chain([payload]).chain(behind.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_turn_and_are_taken_once() {
        let mut pieces = Pieces::default();
        assert!(pieces.add(1, 1, b"x").is_err());
        for (id, number, bytes) in [(1, 0, b"old"), (2, 0, b"abc"), (1, 0, b"new"), (2, 1, b"def"), (1, 1, b"er.")] {
            pieces.add(id, number, bytes).unwrap();
        }
        assert!(pieces.add(2, 1, b"again").is_err());
        assert_eq!(pieces.take(2, 2).unwrap(), b"abcdef");
        assert!(pieces.take(2, 2).is_err() && pieces.take(1, 3).is_err());
        let words: Words<'_> = [&b"RESTORE"[..], b"k", b"0", b"REPLACE"].into_iter().collect();
        assert_eq!(&command(&words, b"bytes")[..], [&b"RESTORE"[..], b"k", b"0", b"bytes", b"REPLACE"]);
    }
}

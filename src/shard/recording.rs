//! Huge values on their way to the journal: their bytes go ahead in pieces, which alone change nothing, and a record in
//! the part of the transaction that wrote the value says that they are it. Never keeps anybody from changing the value:
//! the transaction holds its lock. What goes because it is due, or was evicted, is journaled as gone.
//!
//! ```text
//! PINION.PIECE number 0 bytes ... PINION.PIECE number n bytes      in steps, as they are made
//! PINION.WHOLE number n+1 RESTORE key expiry REPLACE ABSTTL        in the transaction's part
//! ```
//!
//! A crash between them leaves pieces that nobody asks for. Numbers begin anew with the process, and with piece 0 so
//! does a value.

use crate::base::hash::Position;
use crate::base::limits::SNAPSHOT_HUGE_BYTES;
use crate::shard::journal::{PIECE, WHOLE};
use crate::shard::keyspace::Shard;
use crate::types::rdb::Flavor;
use crate::types::rdb::payload::Payload;
use crate::types::table::Key;
use crate::types::value::View;

/// Those under way.
#[derive(Debug, Default)]
pub struct Recordings {
    under_way: Vec<Recording>,
    /// Begun since [`Shard::begun_recordings`].
    begun: Vec<u64>,
    last_number: u64,
}

#[derive(Debug)]
struct Recording {
    number: u64,
    db: usize,
    key: Vec<u8>,
    pos: Position,
    payload: Payload,
    pieces: u64,
    whole: bool,
}

impl Recordings {
    /// Whether the value of a key is on its way, or of any.
    pub(super) fn is_under_way(&self, pos: Option<Position>) -> bool {
        self.under_way.iter().any(|recording| pos.is_none_or(|pos| pos == recording.pos))
    }
}

impl Shard {
    /// Begins to journal a value that a transaction's part wrote, if it is huge.
    pub(super) fn begin_recording(&mut self, db: usize, name: &[u8]) -> bool {
        let key = Key::new(name);
        let found = self.peek(db, key).map(|entry| entry.value);
        let Some(View::Boxed(value)) =
            found.filter(|v| matches!(v, View::Boxed(v) if v.heap_bytes() > SNAPSHOT_HUGE_BYTES))
        else {
            return false;
        };
        let Some(payload) = Payload::begin(value, Flavor::Redis) else { return false };
        let recordings = &mut self.recordings;
        recordings.last_number += 1;
        let (number, key, pos) = (recordings.last_number, name.to_vec(), key.pos);
        recordings.begun.push(number);
        recordings.under_way.push(Recording { number, db, key, pos, payload, pieces: 0, whole: false });
        true
    }

    /// The numbers of those that were begun since this was asked last: for each, [`Shard::recording_step`] until it is
    /// done, and [`Shard::end_recording`].
    pub fn begun_recordings(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.recordings.begun)
    }

    /// Journals about `bytes` more; true when nothing is left.
    pub fn recording_step(&mut self, number: u64, bytes: usize) -> bool {
        let Some(at) = self.recordings.under_way.iter().position(|r| r.number == number) else { return true };
        let mut recording = self.recordings.under_way.swap_remove(at);
        let found = self.peek(recording.db, Key { bytes: &recording.key, pos: recording.pos });
        let Some(View::Boxed(value)) = found.map(|entry| entry.value) else {
            self.recordings.under_way.push(recording);
            return true;
        };
        recording.whole = recording.payload.step(value, bytes);
        let (mut id, mut piece) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (id, piece) = (id.format(number), piece.format(recording.pieces));
        let words: [&[u8]; 4] = [PIECE, id.as_bytes(), piece.as_bytes(), recording.payload.written()];
        self.journal.append_now(recording.db, words.into_iter());
        recording.payload.forget_written();
        recording.pieces += 1;
        let whole = recording.whole;
        self.recordings.under_way.push(recording);
        whole
    }

    /// Journals in the transaction's part that the pieces are the value; what went meanwhile is journaled as gone.
    pub fn end_recording(&mut self, number: u64) {
        let Some(at) = self.recordings.under_way.iter().position(|r| r.number == number) else { return };
        let recording = self.recordings.under_way.swap_remove(at);
        let found = self.peek(recording.db, Key { bytes: &recording.key, pos: recording.pos });
        let Some(expire_ms) = found.filter(|_| recording.whole).map(|entry| entry.expire_ms) else {
            return self.record_at_once(recording.db, &recording.key);
        };
        let mut digits = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
        let [id, pieces, at] = &mut digits;
        let (id, pieces) = (id.format(number).as_bytes(), pieces.format(recording.pieces).as_bytes());
        let at = at.format(expire_ms.unwrap_or(0)).as_bytes();
        let words: [&[u8]; 8] = [WHOLE, id, pieces, b"RESTORE", &recording.key, at, b"REPLACE", b"ABSTTL"];
        self.journal.append(recording.db, words.into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::aligned::AlignedBuf;
    use crate::shard::journal::HEAD_BYTES;
    use crate::types::rdb::steps::tests::large_values;
    use crate::types::table::Expire;
    use crate::types::value::Owned;

    /// Records a value as a transaction's part; `between` runs before the last step. What was journaled, without bytes.
    fn recorded(members: u64, between: impl Fn(&mut Shard)) -> Vec<String> {
        let mut shard = Shard::new(1, 0..crate::base::hash::SLOTS, 1);
        shard.now_ms = 1000;
        let value = large_values(members).swap_remove(0);
        shard.put(0, Key::new(b"k"), Owned::Boxed(Box::new(value)), Expire::At(9000));
        shard.journal.enter(5);
        shard.record_key(0, b"k");
        shard.journal.leave();
        for number in shard.begun_recordings() {
            assert!(shard.is_being_copied(Some(Key::new(b"k").pos)));
            assert!(!shard.recording_step(number, 10_000));
            between(&mut shard);
            while !shard.recording_step(number, 10_000) {}
            shard.journal.enter(5);
            shard.end_recording(number);
            shard.journal.leave();
        }
        assert!(!shard.is_being_copied(None));
        shard.journal.release(5, 0, &[]);
        let taken = shard.journal.take(AlignedBuf::default());
        let text = String::from_utf8_lossy(&taken[HEAD_BYTES..]).into_owned();
        let names = ["PINION.PIECE", "PINION.WHOLE", "RESTORE", "DEL"];
        text.split("\r\n").filter(|word| names.contains(word)).map(str::to_owned).collect()
    }

    #[test]
    fn a_huge_value_goes_in_pieces_that_one_record_asks_for() {
        let names = recorded(80_000, |_| {});
        let (pieces, rest) = names.split_at(names.iter().filter(|name| *name == "PINION.PIECE").count());
        assert!(pieces.len() > 10 && pieces.iter().all(|name| name == "PINION.PIECE"));
        assert_eq!(rest, ["PINION.WHOLE", "RESTORE"]);
        assert_eq!(recorded(300, |_| panic!("at once")), ["RESTORE"]);
    }

    #[test]
    fn what_goes_meanwhile_is_journaled_as_gone() {
        let names = recorded(80_000, |shard| shard.now_ms = 9000);
        assert_eq!(names.last().map(String::as_str), Some("DEL"));
        assert!(!names.iter().any(|name| name == "PINION.WHOLE"));
    }
}

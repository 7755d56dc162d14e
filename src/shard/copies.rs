//! Values that are being copied, or looked through, in steps: too large to be done with at once while others wait.
//! Never keeps anybody from changing them: the caller holds their locks. What goes because it is due, or was evicted,
//! ends the copy; fields of hashes that are due stay until it is whole.

use crate::base::hash::Position;
use crate::base::limits::SNAPSHOT_HUGE_BYTES;
use crate::base::thin::Thin;
use crate::shard::keyspace::Shard;
use crate::types::copying::Copying;
use crate::types::table::Key;
use crate::types::value::{Owned, Value, View};
use crate::types::vector::look::Look;
use std::sync::Arc;

/// Those under way.
#[derive(Debug, Default)]
pub struct Copies {
    under_way: Vec<Copy>,
    last_number: u64,
}

#[derive(Debug)]
struct Copy {
    number: u64,
    db: usize,
    key: Vec<u8>,
    pos: Position,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Copy(Copying),
    /// What it finds is the copy: see [`crate::types::vector::look::Looked::to_bytes`].
    Look(Box<Look>),
}

impl Work {
    /// Goes on with a value, for about so many bytes; true when that was all of it.
    fn step(&mut self, value: &Value, bytes: usize) -> bool {
        match (self, value.as_vectors()) {
            (Work::Copy(copying), _) => copying.step(value, bytes),
            (Work::Look(look), Some(set)) => look.step(set, bytes),
            (Work::Look(_), None) => unreachable!("nobody changes it meanwhile"),
        }
    }

    /// What came of it, whole or not.
    fn end(self) -> Value {
        match self {
            Work::Copy(copying) => copying.end(),
            Work::Look(look) => Value::Str(Thin::new(Arc::new(look.end().to_bytes()))),
        }
    }
}

/// A value and its expiry, or that there is none.
type Copied = Option<(Owned, Option<u64>)>;

/// Whether to copy a value takes so long that it is done in steps. A string is shared unless its copy is to stand
/// `apart`, so that neither has to be copied when it is changed.
fn is_worth(value: View<'_>, apart: bool) -> bool {
    match value {
        View::Boxed(Value::Str(string)) => apart && string.len() > SNAPSHOT_HUGE_BYTES,
        View::Boxed(value) => value.heap_bytes() > SNAPSHOT_HUGE_BYTES,
        View::Int(_) | View::Str { .. } => false,
    }
}

impl Shard {
    /// Whether [`Shard::begin_copy`] would begin one.
    pub fn copies_in_steps(&mut self, db: usize, key: &[u8], apart: bool) -> bool {
        self.peek(db, Key::new(key)).is_some_and(|entry| is_worth(entry.value, apart))
    }

    /// Begins to copy what stands at a key and answers the number of that copy; `None` if it can be copied at once.
    /// Nobody may change the value until the copy is whole or given up.
    pub fn begin_copy(&mut self, db: usize, key: &[u8], apart: bool) -> Option<u64> {
        let place = Key::new(key);
        let View::Boxed(value) = self.peek(db, place).map(|entry| entry.value).filter(|v| is_worth(*v, apart))? else {
            return None;
        };
        let copying = Copying::begin(value)?;
        Some(self.go_on_in_steps(db, place, Work::Copy(copying)))
    }

    /// As [`Shard::begin_copy`], for what a look at all of a vector set finds.
    pub fn begin_look(&mut self, db: usize, key: &[u8], look: Look) -> u64 {
        self.go_on_in_steps(db, Key::new(key), Work::Look(Box::new(look)))
    }

    fn go_on_in_steps(&mut self, db: usize, key: Key<'_>, work: Work) -> u64 {
        self.copies.last_number += 1;
        let number = self.copies.last_number;
        self.copies.under_way.push(Copy { number, db, key: key.bytes.to_vec(), pos: key.pos, work });
        number
    }

    /// Copies about `bytes` more; when the copy is whole, or the value went, that.
    pub fn copy_step(&mut self, number: u64, bytes: usize) -> Option<Copied> {
        let Some(at) = self.copies.under_way.iter().position(|copy| copy.number == number) else { return Some(None) };
        let mut copy = self.copies.under_way.swap_remove(at);
        let found = self.peek(copy.db, Key { bytes: &copy.key, pos: copy.pos });
        let Some((View::Boxed(value), expire_ms)) = found.map(|entry| (entry.value, entry.expire_ms)) else {
            self.lazy.unfinished(copy.work.end());
            return Some(None);
        };
        if !copy.work.step(value, bytes) {
            self.copies.under_way.push(copy);
            return None;
        }
        Some(Some((Owned::Boxed(Box::new(copy.work.end())), expire_ms)))
    }

    /// Ends a copy that nobody wants any more.
    pub fn give_up_copy(&mut self, number: u64) {
        for copy in self.copies.under_way.extract_if(.., |copy| copy.number == number) {
            self.lazy.unfinished(copy.work.end());
        }
    }

    /// Whether a value is being copied, or journaled in steps, of the key at this position or of any key.
    pub fn is_being_copied(&self, pos: Option<Position>) -> bool {
        let copies = &self.copies.under_way;
        copies.iter().any(|copy| pos.is_none_or(|pos| pos == copy.pos)) || self.recordings.is_under_way(pos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rdb::steps::tests::large_values;
    use crate::types::table::Expire;

    fn shard_with(value: Value) -> Shard {
        let mut shard = Shard::new(2, 0..crate::base::hash::SLOTS, 1);
        shard.now_ms = 1000;
        shard.put(1, Key::new(b"k"), Owned::Boxed(Box::new(value)), Expire::At(9000));
        shard
    }

    #[test]
    fn only_what_is_large_is_copied_in_steps() {
        for value in large_values(80_000) {
            let is_string = matches!(value, Value::Str(_));
            let mut shard = shard_with(value.clone());
            assert!(!shard.copies_in_steps(0, b"k", true) && shard.copies_in_steps(1, b"k", true));
            assert_eq!(shard.copies_in_steps(1, b"k", false), !is_string);
            let number = shard.begin_copy(1, b"k", true).expect("it is large");
            assert!(shard.is_being_copied(Some(Key::new(b"k").pos)) && shard.is_being_copied(None));
            assert_eq!(shard.copy_step(number, 10_000), None);
            let copied = std::iter::repeat_with(|| shard.copy_step(number, 10_000)).find_map(|copied| copied);
            let (copy, expire_ms) = copied.flatten().expect("nothing happened to it");
            assert!(copy == Owned::Boxed(Box::new(value)) && expire_ms == Some(9000));
            assert!(!shard.is_being_copied(None));
        }
        for value in large_values(100) {
            assert!(shard_with(value).begin_copy(1, b"k", true).is_none());
        }
    }

    #[test]
    fn what_goes_meanwhile_was_not_there() {
        for value in large_values(80_000) {
            let mut shard = shard_with(value);
            let (number, other) = (shard.begin_copy(1, b"k", true), shard.begin_copy(1, b"k", true));
            let (number, other) = (number.expect("a large one"), other.expect("a large one"));
            assert!(shard.copy_step(number, 1000).is_none() && shard.copy_step(other, 1000).is_none());
            shard.give_up_copy(other);
            assert_eq!(shard.copy_step(other, 1000), Some(None));
            shard.now_ms = 9000;
            assert_eq!(shard.copy_step(number, 1000), Some(None));
            assert!(!shard.is_being_copied(None));
            while !shard.free_step(64) {}
        }
    }
}

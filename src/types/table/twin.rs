//! A table of members once more, in steps: page by page where it can be, else entry by entry. Never for keyspaces.
//!
//! Copying the entries of a set of ten million one by one took 2.8 s: each is hashed, looked for, and the new table
//! split a few thousand times. Its pages are 250 MB, and take 0.15 s. Entries that own memory outside the pages go the
//! long way.

use super::members::Members;
use super::sweep::Sweeps;
use super::{Expire, Key, Segment, Table};
use crate::types::copying::Progress;
use crate::types::value::{NewValue, View};

/// What an entry counts for that is inserted, beside its own bytes: it is hashed, looked for and split from others.
const INSERTION_BYTES: usize = 256;

impl Table {
    /// Goes on with a copy of this table, which was empty at first; true when it is whole. Until then nothing may be
    /// done with it but [`Table::free_step`].
    pub fn copy_step(&self, copy: &mut Table, progress: &mut Progress) -> bool {
        if self.tally.boxed_bytes > 0 || self.lent.is_some() || self.walk.is_some() {
            self.insert_into(copy, progress)
        } else {
            self.twin_into(copy, progress)
        }
    }

    fn insert_into(&self, copy: &mut Table, progress: &mut Progress) -> bool {
        let mut members = Members::at(self, progress.place);
        while !progress.is_spent() {
            let Some(entry) = members.next() else { return true };
            let (value, bytes) = match entry.value {
                View::Int(n) => (NewValue::Int(n), 0),
                View::Str { bytes, raw } => (NewValue::Str { bytes, raw }, bytes.len()),
                View::Boxed(value) => (NewValue::Boxed(Box::new(value.clone())), value.heap_bytes()),
            };
            let expire = entry.expire_ms.map_or(Expire::Clear, Expire::At);
            copy.insert(Key::member(entry.key), value, expire, |_| 0);
            progress.spend(INSERTION_BYTES + entry.key.len() + bytes);
        }
        progress.place = members.place();
        false
    }

    fn twin_into(&self, copy: &mut Table, progress: &mut Progress) -> bool {
        if !self.pool.twin_step(&mut copy.pool, progress) {
            return false;
        }
        if progress.place == (0, 0) {
            progress.place = (1, 0);
            self.pool.end_twin(&mut copy.pool);
            copy.tally = self.tally.clone();
            copy.segments.reserve_exact(self.segments.len());
        }
        let whole = progress.each(copy.segments.len()..self.segments.len(), |at| {
            copy.segments.push(self.segments[at].twin(&mut copy.pool));
            size_of::<Segment>()
        });
        if whole {
            copy.directory = self.directory.clone();
            copy.vacant = self.vacant.clone();
            copy.placing = self.placing;
            copy.sweeps = Sweeps::default();
            if self.tally.expiring > 0 {
                copy.sweeps.note_expiry(self.next_expire_ms());
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::table::{Expire, Key};
    use crate::types::value::{NewValue, View};

    fn set(table: &mut Table, n: u64, bytes: &[u8]) {
        let expire = if n.is_multiple_of(3) { Expire::At(1_000 + n) } else { Expire::Clear };
        table.insert(Key::member(format!("member:{n}").as_bytes()), NewValue::Str { bytes, raw: false }, expire, |_| 7);
    }

    fn shown(table: &Table, n: u64) -> Option<(Vec<u8>, Option<u64>)> {
        table.find(Key::member(format!("member:{n}").as_bytes())).map(|entry| {
            let bytes = match entry.value {
                View::Str { bytes, .. } => bytes.to_vec(),
                other => panic!("{other:?}"),
            };
            (bytes, entry.expire_ms)
        })
    }

    fn twin_of(table: &Table) -> Table {
        let mut twin = Table::of_members();
        assert!(table.copy_step(&mut twin, &mut Progress::unbounded()));
        twin
    }

    #[test]
    fn each_goes_its_own_way() {
        let mut table = Table::of_members();
        assert!(twin_of(&table).is_empty());
        (0..30_000).for_each(|n| set(&mut table, n, b"before"));
        (0..30_000).step_by(4).for_each(|n| {
            table.discard(Key::member(format!("member:{n}").as_bytes()));
        });
        let mut twin = twin_of(&table);
        assert_eq!((twin.len(), twin.expiring()), (table.len(), table.expiring()));
        assert!(twin.next_expire_ms() <= 1_003);
        assert!(twin.memory() <= table.memory());
        // one loses what the other gains
        for n in 0..40_000 {
            match n % 5 {
                0 | 1 => set(&mut twin, n, b"after"),
                2 => _ = twin.discard(Key::member(format!("member:{n}").as_bytes())),
                3 => _ = table.discard(Key::member(format!("member:{n}").as_bytes())),
                _ => {}
            }
            twin.tidy_step(2);
            table.tidy_step(2);
        }
        for n in 0..40_000 {
            let was = (n < 30_000 && n % 4 != 0).then(|| (b"before".to_vec(), (n % 3 == 0).then_some(1_000 + n)));
            let set = Some((b"after".to_vec(), (n % 3 == 0).then_some(1_000 + n)));
            let twins = match n % 5 {
                0 | 1 => set,
                2 => None,
                _ => was.clone(),
            };
            assert_eq!(shown(&twin, n), twins, "{n}");
            assert_eq!(shown(&table, n), was.filter(|_| n % 5 != 3), "{n}");
        }
        drop(table);
        assert_eq!(twin.iter().count(), twin.len());
    }

    #[test]
    fn what_is_out_of_line_is_there_twice() {
        let mut table = Table::of_members();
        set(&mut table, 1, &[b'x'; 5000]);
        let twin = twin_of(&table);
        drop(table);
        assert!(twin.find(Key::member(b"member:1")).is_some_and(|entry| matches!(entry.value, View::Boxed(_))));
    }
}

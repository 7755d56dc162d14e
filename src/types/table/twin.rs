//! A table once more, page by page instead of entry by entry. Never for tables whose entries own memory outside it.
//!
//! Copying the entries of a set of ten million one by one took 2.8 s: each is hashed, looked for, and the new table
//! split a few thousand times. Its pages are 250 MB.

use super::Table;
use super::sweep::Sweeps;

impl Table {
    /// The same table; `None` if values or keys stand out of line, or it is being written.
    pub fn twin(&self) -> Option<Table> {
        if self.tally.boxed_bytes > 0 || self.lent.is_some() || self.walk.is_some() {
            return None;
        }
        let mut pool = self.pool.twin();
        let segments = self.segments.iter().map(|segment| segment.twin(&mut pool)).collect();
        let mut sweeps = Sweeps::default();
        if self.tally.expiring > 0 {
            sweeps.note_expiry(self.next_expire_ms());
        }
        Some(Table {
            directory: self.directory.clone(),
            segments,
            vacant: self.vacant.clone(),
            pool,
            tally: self.tally.clone(),
            lent: None,
            sweeps,
            placing: self.placing,
            walk: None,
        })
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

    #[test]
    fn each_goes_its_own_way() {
        let mut table = Table::of_members();
        assert!(table.twin().is_some_and(|twin| twin.is_empty()));
        (0..30_000).for_each(|n| set(&mut table, n, b"before"));
        (0..30_000).step_by(4).for_each(|n| {
            table.discard(Key::member(format!("member:{n}").as_bytes()));
        });
        let mut twin = table.twin().expect("nothing is out of line");
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
    fn not_of_what_is_out_of_line() {
        let mut table = Table::of_members();
        set(&mut table, 1, &[b'x'; 5000]);
        assert!(table.twin().is_none());
    }
}

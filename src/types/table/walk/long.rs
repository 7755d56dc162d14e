//! A large value of a table that is being written ([`super`]): in steps, aside, and as a whole once it is
//! complete, as nothing may come between its parts in the file. Never written twice.

use super::{WalkTerms, Written};
use crate::base::limits::{SNAPSHOT_LONG_BYTES, SNAPSHOT_PART_BYTES};
use crate::types::rdb::steps::{Stepped, Steps, has_steps};
use crate::types::rdb::write::Writer;
use crate::types::table::{EntryView, Key, Table};
use crate::types::value::View;

/// See the module.
pub(super) struct Long {
    key: Vec<u8>,
    pos: u64,
    writer: Writer,
    /// What was written before.
    parts: Vec<Vec<u8>>,
    steps: Steps,
    /// Bytes before the value's own.
    head: Vec<u8>,
    kind: u8,
    version: u16,
}

impl Long {
    /// Whether an entry is so large that it is written in steps.
    pub(super) fn is_worth(entry: &EntryView<'_>) -> bool {
        matches!(entry.value, View::Boxed(value) if value.heap_bytes() > SNAPSHOT_LONG_BYTES && has_steps(value))
    }

    /// Begins with what stands before the value.
    pub(super) fn begin(entry: &EntryView<'_>, terms: &WalkTerms) -> Long {
        let mut writer = terms.writer();
        writer.database(terms.db);
        let (kind, version) = writer.head(entry.key, entry.value, terms.attributes(entry));
        let head = writer.bytes.clone();
        let (key, pos) = (entry.key.to_vec(), Key::new(entry.key).pos.0);
        Long { key, pos, writer, parts: Vec::new(), steps: Steps::new(kind), head, kind, version }
    }

    /// The position of its key.
    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    fn finish(mut self) -> Written {
        self.parts.push(self.writer.bytes);
        let mut parts = self.parts.into_iter();
        let bytes = parts.next().unwrap_or_default();
        Written { bytes, more: parts.collect(), entries: 1, version: self.version }
    }
}

impl Table {
    /// Goes on with the large value that is being written, until about `bytes` more are.
    #[cold]
    pub(super) fn long_step(&mut self, bytes: usize) {
        let Some(mut walk) = self.walk.take() else { return };
        if let Some(mut long) = walk.long.take() {
            let entry = self.find(Key::new(&long.key)).expect("whoever removes it has it written first");
            let View::Boxed(value) = entry.value else { unreachable!("whoever changes it has it written first") };
            let mut stepped = long.steps.step(&mut long.writer, value, bytes);
            if stepped == Stepped::Changed {
                // the order of its members changed under the cursor, as when memory is put in order
                long.parts.clear();
                long.writer.bytes.clone_from(&long.head);
                long.writer.body(entry.value, long.kind);
                stepped = Stepped::Whole;
            }
            if stepped == Stepped::Whole {
                walk.whole.push_back(long.finish());
            } else {
                if long.writer.bytes.len() >= SNAPSHOT_PART_BYTES {
                    long.parts.push(std::mem::take(&mut long.writer.bytes));
                }
                walk.long = Some(long);
            }
        }
        self.walk = Some(walk);
    }
}

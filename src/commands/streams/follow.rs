//! Entries of a stream looked up one after the other, as a consumer reads its own history. Never changes the stream.

use crate::types::stream::{Entry, Id, Log, Range};

/// Looks up entries in rising order: steps on from the last one while that is likely to be shorter than a search.
pub(super) struct Follow<'a> {
    log: &'a Log,
    entries: std::iter::Peekable<Range<'a>>,
}

/// Entries that [`Follow`] passes over before it searches.
const STEPS_MAX: usize = 64;

impl<'a> Follow<'a> {
    pub(super) fn new(log: &'a Log) -> Self {
        // Empty: the first lookup searches.
        Follow { log, entries: log.range(Id::MAX, Id::MIN).peekable() }
    }

    /// The entry of that identifier, which is above the last one asked for; none where it was deleted.
    pub(super) fn get(&mut self, id: Id) -> Option<Entry<'a>> {
        for _ in 0..STEPS_MAX {
            match self.entries.peek() {
                Some(entry) if entry.id < id => drop(self.entries.next()),
                Some(entry) if entry.id == id => return self.entries.next(),
                Some(_) => return None,
                None => break,
            }
        }
        self.entries = self.log.range(id, Id::MAX).peekable();
        self.entries.next_if(|entry| entry.id == id)
    }
}

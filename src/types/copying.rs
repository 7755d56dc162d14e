//! A copy of a large value, made in steps, so that nobody waits for all of it at once. Never looks at how far it is in
//! what was copied: the value must stay as it is until its copy is whole.
//!
//! Each type copies its pieces (pages, chunks, blocks, leaves) in order behind those that its copy has already.

use crate::types::value::Value;

/// What a piece counts for at the least, bytes: it is an allocation.
const PIECE_BYTES: usize = 64;
/// Bytes of a string that are copied at a time.
pub(super) const STRING_BYTES: usize = 64 * 1024;

/// How much one step may still copy, and where the steps before it ended for what cannot tell by itself.
#[derive(Debug, Default)]
pub struct Progress {
    left: usize,
    /// Means what the type likes; 0, 0 at the beginning.
    pub(super) place: (usize, usize),
}

impl Progress {
    /// Without an end: all of it in one step.
    pub(super) fn unbounded() -> Progress {
        Progress { left: usize::MAX, place: (0, 0) }
    }

    /// Whether nothing more is to be copied in this step.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// So many bytes were copied.
    pub(super) fn spend(&mut self, bytes: usize) {
        if self.left != usize::MAX {
            self.left = self.left.saturating_sub(bytes.max(PIECE_BYTES));
        }
    }

    /// Copies pieces while there is something left; `copy` answers how many bytes each had. True if these were all.
    pub(super) fn each<T>(&mut self, pieces: impl IntoIterator<Item = T>, mut copy: impl FnMut(T) -> usize) -> bool {
        for piece in pieces {
            if self.is_spent() {
                return false;
            }
            let bytes = copy(piece);
            self.spend(bytes);
        }
        true
    }

    /// [`Progress::each`] of what one list has and the other does not yet.
    pub(super) fn list<T: Clone>(&mut self, from: &[T], to: &mut Vec<T>, bytes: impl Fn(&T) -> usize) -> bool {
        to.reserve_exact(from.len() - to.len());
        self.each(to.len()..from.len(), |at| {
            to.push(from[at].clone());
            bytes(&from[at])
        })
    }
}

/// A copy that is under way.
#[derive(Debug)]
pub struct Copying {
    copy: Value,
    progress: Progress,
}

impl Copying {
    /// Nothing is copied yet; `None` of what is copied at once.
    pub fn begin(value: &Value) -> Option<Copying> {
        Some(Copying { copy: value.begin_copy()?, progress: Progress::default() })
    }

    /// Copies about `bytes` more of the same value; true when the copy is whole.
    pub fn step(&mut self, value: &Value, bytes: usize) -> bool {
        self.progress.left = bytes.max(1);
        value.copy_step(&mut self.copy, &mut self.progress)
    }

    /// The copy, whole or not.
    pub fn end(self) -> Value {
        self.copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rdb::steps::tests::large_values;

    #[test]
    fn steps_make_what_a_clone_is() {
        for value in large_values(3000) {
            for bytes in [1, 3000, 1 << 30] {
                let mut copying = Copying::begin(&value).expect("a large one");
                let mut steps = 1;
                while !copying.step(&value, bytes) {
                    steps += 1;
                }
                let copy = copying.end();
                assert!(copy == value, "{} by {bytes}", value.type_name());
                assert!(steps > 1 || bytes == 1 << 30, "{} by {bytes} in {steps} steps", value.type_name());
                assert_eq!(copy.heap_bytes(), value.clone().heap_bytes(), "{}", value.type_name());
            }
        }
    }

    #[test]
    fn what_is_given_up_is_freed() {
        for value in large_values(3000) {
            for steps in [0, 1, 7, 100] {
                let mut copying = Copying::begin(&value).expect("a large one");
                (0..steps).for_each(|_| _ = copying.step(&value, 500));
                let mut copy = copying.end();
                while !copy.free_step(16) {}
            }
        }
    }
}

//! Deadlines in order. Never reads a clock: the caller says what time it is.

use std::collections::BTreeMap;

/// Names a timer until it fires or is cancelled; never used twice by one [`Timers`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId {
    at_ms: u64,
    sequence: u64,
}

/// Timers of one core, each with what it is for. Insert, cancel and pop cost O(log n).
#[derive(Debug)]
pub struct Timers<T> {
    waiting: BTreeMap<TimerId, T>,
    next_sequence: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers { waiting: BTreeMap::new(), next_sequence: 0 }
    }
}

impl<T> Timers<T> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a timer for `at_ms`, on the same clock as [`Timers::pop_due`]; the past fires at once.
    pub fn insert(&mut self, at_ms: u64, payload: T) -> TimerId {
        let id = TimerId { at_ms, sequence: self.next_sequence };
        self.next_sequence += 1;
        self.waiting.insert(id, payload);
        id
    }

    /// Takes a timer back; `None` if it fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.waiting.remove(&id)
    }

    /// When the next timer fires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(id, _)| id.at_ms)
    }

    /// Takes one timer whose time has come: the earliest, and of equals the one set first.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().at_ms <= now_ms).then(|| first.remove())
    }

    /// Timers waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// No timer waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u64..200).prop_map(Step::Insert),
            2 => any::<usize>().prop_map(Step::Cancel),
            1 => (0u64..40).prop_map(Step::Advance),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn fires_like_a_sorted_list(steps in prop::collection::vec(step(), 0..200)) {
            let (mut timers, mut model, mut ids) = (Timers::new(), Vec::<(u64, usize)>::new(), Vec::new());
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Insert(at) => {
                        model.push((at, ids.len()));
                        ids.push(timers.insert(at, ids.len()));
                    }
                    Step::Cancel(which) if !ids.is_empty() => {
                        let which = which % ids.len();
                        let there = model.iter().position(|(_, n)| *n == which);
                        prop_assert_eq!(timers.cancel(ids[which]), there.map(|at| model.remove(at).1));
                    }
                    Step::Cancel(_) => {}
                    Step::Advance(by) => {
                        now += by;
                        model.sort();
                        let due = model.iter().take_while(|(at, _)| *at <= now).count();
                        for (_, n) in model.drain(..due) {
                            prop_assert_eq!(timers.pop_due(now), Some(n));
                        }
                        prop_assert_eq!(timers.pop_due(now), None);
                    }
                }
                prop_assert_eq!(timers.next_deadline(), model.iter().map(|(at, _)| *at).min());
                prop_assert_eq!(timers.len(), model.len());
            }
        }
    }
}

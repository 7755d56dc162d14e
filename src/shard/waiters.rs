//! Who waits for which key of this shard, in the order of arrival. Plain queues: never looks at a key's value, serves
//! nobody, and knows clients only by numbers. Bounded by the clients that wait, each with the keys of its one command.

use hashbrown::HashMap;
use std::collections::VecDeque;

/// Where a waiting command came from and where its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its place on the board of claims, unique among the clients that wait.
    pub slot: u32,
    /// Which of the waits that had that place.
    pub serial: u32,
    /// Core of its client.
    pub home: u32,
}

/// A command that waits for keys of this shard.
#[derive(Debug)]
pub struct Waiter<C> {
    /// Who.
    pub waiting: Waiting,
    /// What, as the layer above runs it.
    pub call: C,
    /// It was told to come and serve itself; nobody behind it is served before it has.
    pub is_away: bool,
    keys: Vec<(usize, Vec<u8>)>,
}

/// Who waits for a key, oldest first: the waiter, and which of its arguments the key is.
type Queue = VecDeque<(u32, u32)>;

/// See the module. `C` is what the layer above needs to run a command.
#[derive(Debug)]
pub struct Waiters<C> {
    all: HashMap<u32, Waiter<C>>,
    /// Slot and argument index of the key, by database and key.
    queues: HashMap<(usize, Vec<u8>), Queue>,
}

impl<C> Default for Waiters<C> {
    fn default() -> Self {
        Waiters { all: HashMap::new(), queues: HashMap::new() }
    }
}

impl<C> Waiters<C> {
    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Keys that somebody waits for.
    pub fn key_count(&self) -> usize {
        self.queues.len()
    }

    /// Of those keys, the ones that some waiter waits for whose command is such a one.
    pub fn key_count_of(&self, is_one: impl Fn(&C) -> bool) -> usize {
        let waits = |slot: &u32| self.all.get(slot).is_some_and(|waiter| is_one(&waiter.call));
        self.queues.values().filter(|queue| queue.iter().any(|(slot, _)| waits(slot))).count()
    }

    /// Those keys.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.queues.keys().map(|(db, key)| (*db, key.as_slice()))
    }

    /// The serial number of the waiter that has a slot, if one has.
    pub fn serial_of(&self, slot: u32) -> Option<u32> {
        self.all.get(&slot).map(|waiter| waiter.waiting.serial)
    }

    /// Puts a command behind those that wait for `key`, its argument `at`. One that waits for another key of this shard
    /// already keeps what it came with then. Whoever had its slot before has left.
    pub fn enter(&mut self, waiting: Waiting, call: impl FnOnce() -> C, db: usize, key: &[u8], at: usize) {
        let serial = self.serial_of(waiting.slot).unwrap_or(waiting.serial);
        assert!(serial == waiting.serial, "a slot has one waiter at a time");
        let new = || Waiter { waiting, call: call(), is_away: false, keys: Vec::new() };
        let waiter = self.all.entry(waiting.slot).or_insert_with(new);
        if waiter.keys.iter().any(|(own_db, own)| *own_db == db && own == key) {
            return;
        }
        waiter.keys.push((db, key.to_vec()));
        self.queues.entry((db, key.to_vec())).or_default().push_back((waiting.slot, at as u32));
    }

    /// Whether one of those that wait for `key` is away, so that a newcomer has to wait for its turn.
    pub fn is_held(&self, db: usize, key: &[u8]) -> bool {
        if self.queues.is_empty() {
            return false;
        }
        let Some(queue) = self.queues.get(&(db, key.to_vec())) else { return false };
        queue.iter().any(|(slot, _)| self.all.get(slot).is_some_and(|waiter| waiter.is_away))
    }

    /// Number `index` of those that wait for `key`, and which of its arguments that key is.
    pub fn nth(&mut self, db: usize, key: &[u8], index: usize) -> Option<(&mut Waiter<C>, usize)> {
        if self.queues.is_empty() {
            return None;
        }
        let (slot, at) = *self.queues.get(&(db, key.to_vec()))?.get(index)?;
        self.all.get_mut(&slot).map(|waiter| (waiter, at as usize))
    }

    /// The waiter, if it waits here.
    pub fn get(&mut self, slot: u32, serial: u32) -> Option<&mut Waiter<C>> {
        self.all.get_mut(&slot).filter(|waiter| waiter.waiting.serial == serial)
    }

    /// Takes a waiter out of all its queues. Answers the keys it waited for if those behind it waited for it to serve
    /// itself.
    pub fn leave(&mut self, slot: u32, serial: u32) -> Vec<(usize, Vec<u8>)> {
        if self.get(slot, serial).is_none() {
            return Vec::new();
        }
        let Some(waiter) = self.all.remove(&slot) else { return Vec::new() };
        for key in &waiter.keys {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            queue.retain(|(other, _)| *other != slot);
            if queue.is_empty() {
                self.queues.remove(key);
            }
        }
        if waiter.is_away { waiter.keys } else { Vec::new() }
    }

    /// A waiter that was away found nothing: it waits on. Answers its keys, to be looked at again.
    pub fn come_back(&mut self, slot: u32, serial: u32) -> Vec<(usize, Vec<u8>)> {
        let Some(waiter) = self.get(slot, serial) else { return Vec::new() };
        waiter.is_away = false;
        waiter.keys.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(slot: u32) -> Waiting {
        Waiting { slot, serial: slot * 10, home: 0 }
    }

    fn order(waiters: &mut Waiters<()>, key: &[u8]) -> Vec<(u32, usize)> {
        let nth = |i| waiters.nth(0, key, i).map(|(waiter, at)| (waiter.waiting.slot, at));
        (0..).map_while(nth).collect()
    }

    #[test]
    fn first_come_first_in_the_queue() {
        let mut waiters = Waiters::default();
        for slot in [3, 1, 2] {
            waiters.enter(waiting(slot), || (), 0, b"k", 1);
            waiters.enter(waiting(slot), || (), 0, b"l", 2);
        }
        waiters.enter(waiting(1), || (), 0, b"k", 5);
        waiters.enter(waiting(4), || (), 7, b"k", 1);
        assert_eq!(order(&mut waiters, b"k"), [(3, 1), (1, 1), (2, 1)]);
        assert_eq!(order(&mut waiters, b"l"), [(3, 2), (1, 2), (2, 2)]);
        assert_eq!(waiters.key_count(), 3);
        assert_eq!(waiters.leave(1, 11), []);
        assert_eq!(order(&mut waiters, b"k").len(), 3);
        assert_eq!(waiters.leave(1, 10), []);
        assert_eq!(order(&mut waiters, b"k"), [(3, 1), (2, 1)]);
        for slot in [2, 3, 4] {
            waiters.leave(slot, slot * 10);
        }
        assert!(waiters.is_empty() && waiters.key_count() == 0);
    }

    #[test]
    fn one_that_is_away_tells_what_waited_for_it() {
        let mut waiters = Waiters::default();
        waiters.enter(waiting(1), || (), 0, b"k", 1);
        waiters.get(1, 10).unwrap().is_away = true;
        assert_eq!(waiters.come_back(1, 10), [(0, b"k".to_vec())]);
        assert!(!waiters.get(1, 10).unwrap().is_away);
        waiters.get(1, 10).unwrap().is_away = true;
        assert_eq!(waiters.leave(1, 10), [(0, b"k".to_vec())]);
    }
}

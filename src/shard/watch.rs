//! Watched keys of one shard: who wants to know whether a key has changed since (WATCH). Only notes that something
//! changed, never what; the transaction asks when it holds its locks.

use ahash::RandomState;
use hashbrown::HashMap;

/// Who watches: a number that its layer gives meaning to (core, connection).
pub type Watcher = (u32, u64);

#[derive(Debug, Default)]
struct Watching {
    keys: Vec<(usize, Vec<u8>)>,
    changed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Watches {
    keys: HashMap<(usize, Vec<u8>), Vec<Watcher>, RandomState>,
    watchers: HashMap<Watcher, Watching, RandomState>,
    /// Those for whom something has changed since this was last taken: each once.
    pub news: Vec<Watcher>,
}

impl Watches {
    /// Whether anybody watches anything: the one test that a write pays otherwise.
    #[inline]
    pub fn any(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Watches a key; again is the same.
    pub fn watch(&mut self, watcher: Watcher, db: usize, key: &[u8]) {
        let watchers = self.keys.entry((db, key.to_vec())).or_default();
        if watchers.contains(&watcher) {
            return;
        }
        watchers.push(watcher);
        self.watchers.entry(watcher).or_default().keys.push((db, key.to_vec()));
    }

    /// What somebody watches here.
    pub fn keys_of(&self, watcher: Watcher) -> Vec<(usize, Vec<u8>)> {
        self.watchers.get(&watcher).map(|w| w.keys.clone()).unwrap_or_default()
    }

    /// Whether something that the watcher watches has changed.
    pub fn has_changed(&self, watcher: Watcher) -> bool {
        self.watchers.get(&watcher).is_some_and(|watching| watching.changed)
    }

    /// Stops watching; true if something that was watched changed meanwhile.
    pub fn forget(&mut self, watcher: Watcher) -> bool {
        let Some(watching) = self.watchers.remove(&watcher) else { return false };
        for key in watching.keys {
            if let Some(watchers) = self.keys.get_mut(&key) {
                watchers.retain(|w| *w != watcher);
                if watchers.is_empty() {
                    self.keys.remove(&key);
                }
            }
        }
        watching.changed
    }

    /// A key changed, came or went.
    #[inline]
    pub fn touched(&mut self, db: usize, key: &[u8]) {
        if self.any() {
            self.changed(db, key);
        }
    }

    #[cold]
    fn changed(&mut self, db: usize, key: &[u8]) {
        let Some(watchers) = self.keys.get(&(db, key.to_vec())) else { return };
        for watcher in watchers {
            if let Some(watching) = self.watchers.get_mut(watcher)
                && !std::mem::replace(&mut watching.changed, true)
            {
                self.news.push(*watcher);
            }
        }
    }

    /// The watched keys of a database.
    pub fn keys_in(&self, db: usize) -> Vec<Vec<u8>> {
        self.keys.keys().filter(|(d, _)| *d == db).map(|(_, key)| key.clone()).collect()
    }

    /// Clients that watch something here.
    pub fn watcher_count(&self) -> usize {
        self.watchers.len()
    }

    /// Keys that somebody watches here.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Watcher = (0, 1);
    const OTHER: Watcher = (1, 1);

    #[test]
    fn tells_those_who_watch_and_nobody_else() {
        let mut watches = Watches::default();
        watches.watch(ME, 0, b"a");
        watches.watch(ME, 0, b"a");
        watches.watch(OTHER, 0, b"b");
        watches.watch(OTHER, 1, b"a");
        watches.touched(0, b"a");
        watches.touched(0, b"unwatched");
        watches.touched(0, b"a");
        assert!(watches.has_changed(ME) && !watches.has_changed(OTHER));
        assert_eq!(watches.news, [ME]);
        assert!(watches.forget(ME));
        assert!(!watches.forget(ME), "forgotten");
        assert!(!watches.forget(OTHER));
        assert!(!watches.any() && watches.watcher_count() == 0);
    }
}

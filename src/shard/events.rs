//! What a command tells beyond its reply: keyspace events, keys that may serve a waiting client, and how the command is
//! to be journaled. Only collects; whoever ran the command takes the collection and acts on it before the next one.

use crate::shard::tracking::TrackLog;

/// Kinds of keyspace event, as `notify-keyspace-events` selects them; one bit each.
pub mod class {
    /// `g`: DEL, EXPIRE, RENAME and what else concerns every type.
    pub const GENERIC: u16 = 1;
    /// `$`
    pub const STRING: u16 = 1 << 1;
    /// `l`
    pub const LIST: u16 = 1 << 2;
    /// `s`
    pub const SET: u16 = 1 << 3;
    /// `h`
    pub const HASH: u16 = 1 << 4;
    /// `z`
    pub const SORTED_SET: u16 = 1 << 5;
    /// `x`
    pub const EXPIRED: u16 = 1 << 6;
    /// `e`
    pub const EVICTED: u16 = 1 << 7;
    /// `t`
    pub const STREAM: u16 = 1 << 8;
    /// `m`: a read found no key. Not part of `A`.
    pub const MISS: u16 = 1 << 9;
    /// `d`: data types of modules, vector sets among them.
    pub const MODULE: u16 = 1 << 10;
    /// `n`: a key came to be. Not part of `A`.
    pub const NEW: u16 = 1 << 11;
    /// `A`: every class but [`MISS`] and [`NEW`].
    pub const ALL: u16 = (NEW - 1) & !MISS;
    /// `K`: events go to `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: u16 = 1 << 12;
    /// `E`: events go to `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: u16 = 1 << 13;
}

/// The classes that letters of `notify-keyspace-events` select; 0 if they select nothing that would be published.
pub fn classes(letters: &[u8]) -> u16 {
    let class_of = |letter: &u8| match letter {
        b'g' => class::GENERIC,
        b'$' => class::STRING,
        b'l' => class::LIST,
        b's' => class::SET,
        b'h' => class::HASH,
        b'z' => class::SORTED_SET,
        b'x' => class::EXPIRED,
        b'e' => class::EVICTED,
        b't' => class::STREAM,
        b'd' => class::MODULE,
        b'A' => class::ALL,
        b'm' => class::MISS,
        b'n' => class::NEW,
        b'K' => class::KEYSPACE,
        b'E' => class::KEYEVENT,
        _ => 0,
    };
    let wanted = letters.iter().fold(0, |wanted, letter| wanted | class_of(letter));
    if wanted & (class::KEYSPACE | class::KEYEVENT) == 0 { 0 } else { wanted }
}

/// In the place of a database in [`Events::ready`]: every key that somebody waits for may have got something (SWAPDB).
pub const EVERY_KEY: usize = usize::MAX;

/// One keyspace event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Its class, one bit of [`class`].
    pub class: u16,
    /// Its name as subscribers see it.
    pub event: &'static str,
    /// Database of the key.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
}

/// One command of the journal that stands for what the running command did.
pub type Effect = Vec<Vec<u8>>;

/// What was collected since it was last taken.
#[derive(Debug, Default)]
pub struct Events {
    /// Classes that somebody wants, from `notify-keyspace-events`; 0 costs one test per change.
    pub wanted: u16,
    /// Keyspace events in order.
    pub happened: Vec<Happening>,
    /// Whether keys that may serve a waiter are collected: set while any client waits on this shard.
    pub has_waiters: bool,
    /// Whether a client on this shard waits for what only an existing key has, and is to be told when that is gone.
    pub wants_gone: bool,
    /// Keys that got something a waiting client may take, or that are gone while `wants_gone`: database and key.
    pub ready: Vec<(usize, Vec<u8>)>,
    /// Whether effects are collected: set while there is a journal or a replica.
    pub journaled: bool,
    /// Keys that were removed because they were due or evicted, database and key: each stands in the journal as a DEL
    /// of its own, before what the running command leaves there. Collected while `journaled`.
    pub due: Vec<(usize, Vec<u8>)>,
    /// Fields that were removed because they were due, as an HDEL each time: database and words. They stand in the
    /// journal like the keys in `due`, and are collected while `journaled`.
    pub due_fields: Vec<(usize, Effect)>,
    /// Keys that clients read and keys that changed, for client-side caching.
    pub tracking: TrackLog,
    /// What stands for the running command in the journal; `None` lets its own words stand.
    pub effects: Option<Vec<Effect>>,
}

/// How far the lists were that evicting adds to: see [`Events::eviction_mark`].
#[derive(Debug, Clone, Copy)]
pub struct EvictionMark {
    happened: usize,
    ready: usize,
    due: usize,
    list_bytes: usize,
}

impl Events {
    /// To ask later with [`Events::noted_bytes`] how much was noted from now on.
    pub fn eviction_mark(&self) -> EvictionMark {
        let (happened, ready, due) = (self.happened.len(), self.ready.len(), self.due.len());
        EvictionMark { happened, ready, due, list_bytes: self.list_bytes() }
    }

    /// Bytes that what evicting has noted since `mark` takes until it is passed on.
    pub fn noted_bytes(&self, mark: EvictionMark) -> usize {
        let happened = self.happened.iter().skip(mark.happened).map(|happening| happening.key.capacity());
        let others = self.ready.iter().skip(mark.ready).chain(self.due.iter().skip(mark.due));
        happened.chain(others.map(|(_, key)| key.capacity())).sum::<usize>()
            + self.list_bytes().saturating_sub(mark.list_bytes)
    }

    fn list_bytes(&self) -> usize {
        self.happened.capacity() * size_of::<Happening>()
            + (self.ready.capacity() + self.due.capacity()) * size_of::<(usize, Vec<u8>)>()
    }

    /// Notes a keyspace event if its class is wanted.
    #[inline]
    pub fn happen(&mut self, class: u16, event: &'static str, db: usize, key: &[u8]) {
        if self.wanted & class != 0 {
            self.happened.push(Happening { class, event, db, key: key.to_vec() });
        }
    }

    /// Notes that a key has been evicted.
    pub fn evict(&mut self, db: usize, key: &[u8]) {
        self.happen(class::EVICTED, "evicted", db, key);
        self.gone(db, key);
        if self.journaled {
            self.due.push((db, key.to_vec()));
        }
    }

    /// Notes that a key was due and has been removed.
    #[inline]
    pub fn expired(&mut self, db: usize, key: &[u8]) {
        self.happen(class::EXPIRED, "expired", db, key);
        self.tracking.modified(key);
        self.gone(db, key);
        if self.journaled {
            self.due.push((db, key.to_vec()));
        }
    }

    /// Notes that fields of the hash at `key` were due and have been removed.
    pub fn fields_expired(&mut self, db: usize, key: &[u8], names: &[Vec<u8>]) {
        self.happen(class::HASH, "hexpired", db, key);
        if self.journaled {
            let words = [b"HDEL".to_vec(), key.to_vec()].into_iter().chain(names.iter().cloned()).collect();
            self.due_fields.push((db, words));
        }
    }

    /// Notes that a client waiting for `key` may be served.
    #[inline]
    pub fn ready(&mut self, db: usize, key: &[u8]) {
        if self.has_waiters {
            self.ready.push((db, key.to_vec()));
        }
    }

    /// Notes that a key is gone, or has another value than the one it had.
    #[inline]
    pub fn gone(&mut self, db: usize, key: &[u8]) {
        if self.wants_gone {
            self.ready.push((db, key.to_vec()));
        }
    }

    /// Puts `words` into the journal in the place of the running command's own; once for each command that is to stand
    /// there.
    #[inline]
    pub fn effect(&mut self, words: &[&[u8]]) {
        if self.journaled {
            self.effects.get_or_insert_default().push(words.iter().map(|word| word.to_vec()).collect());
        }
    }

    /// Keeps the running command out of the journal, unless effects follow.
    #[inline]
    pub fn no_effect(&mut self) {
        if self.journaled {
            self.effects.get_or_insert_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_only_what_is_wanted() {
        let mut events = Events::default();
        events.happen(class::LIST, "lpush", 0, b"k");
        events.ready(0, b"k");
        events.effect(&[b"DEL", b"k"]);
        events.no_effect();
        assert!(events.happened.is_empty() && events.ready.is_empty() && events.effects.is_none());

        events.wanted = class::LIST | class::KEYEVENT;
        events.happen(class::LIST, "lpush", 3, b"k");
        events.happen(class::SET, "sadd", 3, b"k");
        let lpush = Happening { class: class::LIST, event: "lpush", db: 3, key: b"k".to_vec() };
        assert_eq!(events.happened, [lpush]);
        events.has_waiters = true;
        events.ready(1, b"w");
        assert_eq!(events.ready, [(1, b"w".to_vec())]);
    }

    #[test]
    fn letters_name_classes() {
        assert_eq!(classes(b"A"), 0, "neither K nor E: nothing would be published");
        assert_eq!(classes(b"KAmn"), (1 << 13) - 1);
        assert_eq!(classes(b"AE") & (class::MISS | class::NEW), 0);
        assert_eq!(classes(b"g$lshzxetdE"), classes(b"AE"));
    }

    #[test]
    fn effects_replace_or_silence_a_command() {
        let mut events = Events { journaled: true, ..Events::default() };
        events.no_effect();
        assert_eq!(events.effects, Some(vec![]));
        events.effect(&[b"SREM", b"s", b"a"]);
        events.effect(&[b"DEL", b"s"]);
        let words = |list: &[&str]| list.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(events.effects, Some(vec![words(&["SREM", "s", "a"]), words(&["DEL", "s"])]));
    }
}

//! Client-side caching: which clients may have cached which keys of this shard, and how they learn that a key is no
//! longer what it was. The table of a key is on its shard; messages go to the client's core, and from there, if the
//! client says so, to another connection. Never reads a value.
//!
//! ```text
//! shard's core    reads and changes in order (shard::tracking)  ->  table, prefixes  ->  Invalidate per core
//! client's core   Invalidate  ->  the client, behind the replies it still waits for   or  Redirected
//! other's core    Redirected  ->  the other connection                                or  RedirectGone back
//! ```

use crate::base::hash;
use crate::net::connection::{Closing, Conn};
use crate::net::push::Note;
use crate::net::worker::Worker;
use crate::shard::tracking::{Noted, Tracker};
use crate::txn::message::{Answer, ConnId, Message, Request, Ticket};
use crate::txn::news::Invalidation;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most keys that go from the table when one comes in, and each time that it is looked at without a reason: together
/// they bound a tick where the limit has become smaller.
const FORGOTTEN_PER_READ: usize = 2;
const FORGOTTEN_PER_CRON: usize = 2000;

/// Where a client's invalidations go instead of to itself.
#[derive(Debug, Clone, Copy)]
pub struct Redirect {
    /// Number of the other connection, as clients know it.
    pub client_id: u64,
    /// Its core.
    pub core: usize,
    /// Its place there.
    pub conn: ConnId,
}

/// What CLIENT TRACKING says of one connection.
#[derive(Debug, Clone)]
pub struct Tracking {
    /// How shards know it.
    pub tracker: Tracker,
    /// BCAST.
    pub broadcast: bool,
    /// OPTIN.
    pub opt_in: bool,
    /// OPTOUT.
    pub opt_out: bool,
    /// CLIENT CACHING was said for the next command.
    pub caching: bool,
    /// REDIRECT.
    pub redirect: Option<Redirect>,
    /// The connection it redirects to is gone.
    pub broken: bool,
    /// PREFIX; with BCAST and none given, the empty one.
    pub prefixes: BTreeSet<Vec<u8>>,
}

impl Tracking {
    /// How the next command's shard sees this client.
    pub fn tracker(&self) -> Tracker {
        let asked = if self.opt_in { self.caching } else { !(self.opt_out && self.caching) };
        let remembers = !self.broadcast && asked;
        Tracker { remembers, ..self.tracker }
    }
}

/// A client, wherever its connection is.
type Client = (u16, ConnId);

fn client_of(tracker: &Tracker) -> Client {
    (tracker.core, ConnId { index: tracker.index, generation: tracker.generation })
}

/// A key that clients may have cached.
#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    clients: SmallVec<[Client; 2]>,
}

/// Keys of this shard and the clients that read them.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    /// Places in `entries`, by the key's hash.
    index: HashTable<u32>,
    /// Clients in all entries.
    items: u64,
}

impl Table {
    fn remember(&mut self, key: Box<[u8]>, client: Client) {
        let Table { entries, index, items } = self;
        let hash = hash::hash(&key);
        let place = match index.find(hash, |place| entries[*place as usize].key == key) {
            Some(place) => *place as usize,
            None => {
                entries.push(Entry { key, clients: SmallVec::new() });
                let place = entries.len() - 1;
                index.insert_unique(hash, place as u32, |place| hash::hash(&entries[*place as usize].key));
                place
            }
        };
        let clients = &mut entries[place].clients;
        if let Err(at) = clients.binary_search(&client) {
            clients.insert(at, client);
            *items += 1;
        }
    }

    fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let entries = &self.entries;
        let same = |place: &u32| *entries[*place as usize].key == *key;
        let (place, _) = self.index.find_entry(hash::hash(key), same).ok()?.remove();
        let entry = self.entries.swap_remove(place as usize);
        if let Some(moved) = self.entries.get(place as usize) {
            let last = self.entries.len() as u32;
            let at = self.index.find_mut(hash::hash(&moved.key), |other| *other == last);
            *at.expect("every entry is in the index") = place;
        }
        self.items -= entry.clients.len() as u64;
        Some(entry)
    }
}

/// A prefix that clients want to hear of.
#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeMap<Client, bool>,
    /// Keys that changed since the clients were last told, and through whom.
    changed: BTreeMap<Box<[u8]>, Option<Client>>,
}

/// What one core knows of clients that cache.
#[derive(Debug, Default)]
pub struct TrackingTable {
    table: Table,
    prefixes: HashMap<Vec<u8>, Prefix>,
    /// Lengths of the prefixes, and how many have each.
    lengths: BTreeMap<usize, usize>,
    /// Prefixes with a key that changed.
    pending: BTreeSet<Vec<u8>>,
    /// Connections of this core with tracking on, and whether in BCAST mode.
    pub clients: BTreeMap<ConnId, bool>,
    /// How often each shard was flushed, and the flushes that this core's clients have been told of.
    flushes: Vec<u64>,
    flushes_told: u64,
    /// Those of them that redirect.
    redirects: HashMap<ConnId, Redirect>,
}

impl TrackingTable {
    /// Keys in the table, and clients in its entries.
    pub fn len(&self) -> (u64, u64) {
        (self.table.entries.len() as u64, self.table.items)
    }

    /// Whether nobody can have cached a key of this shard.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty() && self.prefixes.is_empty()
    }

    /// Prefixes that clients want to hear of.
    pub fn prefix_count(&self) -> u64 {
        self.prefixes.len() as u64
    }

    fn add_prefix(&mut self, prefix: &[u8], client: Client, noloop: bool) {
        let entry = self.prefixes.entry_ref(prefix).or_insert_with(|| {
            *self.lengths.entry(prefix.len()).or_default() += 1;
            Prefix::default()
        });
        entry.clients.insert(client, noloop);
    }

    fn remove_prefix(&mut self, prefix: &[u8], client: Client) {
        let Some(entry) = self.prefixes.get_mut(prefix) else { return };
        entry.clients.remove(&client);
        if entry.clients.is_empty() {
            self.prefixes.remove(prefix);
            self.pending.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
            }
            self.lengths.retain(|_, count| *count > 0);
        }
    }

    fn note_broadcast(&mut self, key: &[u8], by: Option<Client>) {
        for len in self.lengths.range(..=key.len()).map(|(len, _)| *len) {
            if let Some(prefix) = self.prefixes.get_mut(&key[..len]) {
                prefix.changed.insert(key.into(), by);
                self.pending.insert(key[..len].to_vec());
            }
        }
    }
}

/// An array of keys, encoded.
fn encode<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Arc<Vec<u8>> {
    let mut bytes = format!("*{}\r\n", keys.len()).into_bytes();
    for key in keys {
        bytes.extend_from_slice(format!("${}\r\n", key.len()).as_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(b"\r\n");
    }
    Arc::new(bytes)
}

impl Worker {
    /// Acts on what the shard noted: remembers who read what, tells who is to forget what.
    #[cold]
    pub(super) fn settle_tracking(&mut self) {
        for noted in std::mem::take(&mut self.router.shard.events.tracking.noted) {
            match noted {
                Noted::Read(reader, key) => {
                    self.tracking.table.remember(key, client_of(&reader));
                    self.limit_tracking(FORGOTTEN_PER_READ);
                }
                Noted::Modified(by, key) => {
                    if !self.tracking.prefixes.is_empty() {
                        self.tracking.note_broadcast(&key, by.as_ref().map(client_of));
                    }
                    if let Some(entry) = self.tracking.table.take(&key) {
                        let spared = by.filter(|by| by.noloop).map(|by| client_of(&by));
                        self.tell_to_forget(&entry, spared);
                    }
                }
                Noted::Flushed => self.tell_flushed(),
            }
        }
        self.router.shard.events.tracking.active = !self.tracking.is_empty();
    }

    /// Some times a second: the limit may have become smaller.
    pub(super) fn tracking_cron(&mut self) {
        self.limit_tracking(FORGOTTEN_PER_CRON);
    }

    /// Brings the table nearer to this shard's share of `tracking-table-max-keys`, by `most` keys at most: one that is
    /// dropped is one that its clients are told to forget.
    fn limit_tracking(&mut self, most: usize) {
        let max = self.config.tracking_table_max_keys;
        let share = (max / self.router.cores as u64).max(1);
        for _ in 0..most {
            if max == 0 || self.tracking.table.entries.len() as u64 <= share {
                return;
            }
            let at = self.router.shard.random_u64() as usize % self.tracking.table.entries.len();
            let key = self.tracking.table.entries[at].key.clone();
            let Some(entry) = self.tracking.table.take(&key) else { return };
            self.tell_to_forget(&entry, None);
        }
    }

    fn tell_to_forget(&mut self, entry: &Entry, spared: Option<Client>) {
        let keys = encode([&*entry.key].into_iter());
        let clients = entry.clients.iter().filter(|client| Some(**client) != spared).copied();
        self.send_invalidation(clients.collect(), &Some(keys), false);
    }

    /// To clients of any core.
    fn send_invalidation(&mut self, clients: SmallVec<[Client; 2]>, keys: &Option<Arc<Vec<u8>>>, broadcast: bool) {
        let own = self.router.core;
        let mut by_core: BTreeMap<usize, Vec<ConnId>> = BTreeMap::new();
        for (core, conn) in clients {
            by_core.entry(usize::from(core)).or_default().push(conn);
        }
        for (core, clients) in by_core {
            let invalidation = Invalidation { clients, keys: keys.clone(), broadcast };
            if core == own {
                self.invalidate_here(invalidation);
            } else {
                self.router.tell(core, Message::Invalidate(Box::new(invalidation)));
            }
        }
    }

    /// A database of this shard was emptied: tells every core, behind the replies to those who read from it before.
    fn tell_flushed(&mut self) {
        self.tracking.table = Table::default();
        let own = self.router.core;
        for core in (0..self.router.cores).filter(|core| *core != own) {
            self.router.tell(
                core,
                Message::Invalidate(Box::new(Invalidation { clients: Vec::new(), keys: None, broadcast: false })),
            );
        }
        self.on_flushed(own);
    }

    /// A shard was flushed. All are, each flush in the same order: once all have said so, this core's clients can no
    /// longer get a reply from before, and hear of it, once.
    fn on_flushed(&mut self, shard: usize) {
        let flushes = &mut self.tracking.flushes;
        flushes.resize(self.router.cores, 0);
        flushes[shard] += 1;
        let everywhere = flushes.iter().copied().min().unwrap_or(0);
        if everywhere > self.tracking.flushes_told {
            self.tracking.flushes_told = everywhere;
            let clients = self.tracking.clients.keys().copied().collect();
            self.invalidate_here(Invalidation { clients, keys: None, broadcast: false });
        }
    }

    /// Tells broadcasting clients which keys changed since the last time; to be called once a tick.
    #[inline]
    pub(super) fn broadcast_changes(&mut self) {
        if !self.tracking.pending.is_empty() {
            self.broadcast_pending();
        }
    }

    #[cold]
    fn broadcast_pending(&mut self) {
        for name in std::mem::take(&mut self.tracking.pending) {
            let Some(prefix) = self.tracking.prefixes.get_mut(&name) else { continue };
            let changed = std::mem::take(&mut prefix.changed);
            let clients: Vec<(Client, bool)> =
                prefix.clients.iter().map(|(client, noloop)| (*client, *noloop)).collect();
            let all = encode(changed.keys().map(|key| &**key));
            for (client, noloop) in clients {
                let keys = if noloop && changed.values().any(|by| *by == Some(client)) {
                    let others: Vec<&[u8]> =
                        changed.iter().filter(|(_, by)| **by != Some(client)).map(|(key, _)| &**key).collect();
                    if others.is_empty() {
                        continue;
                    }
                    encode(others.into_iter())
                } else {
                    all.clone()
                };
                self.send_invalidation([client].into_iter().collect(), &Some(keys), true);
            }
        }
    }

    /// A shard says what is to be forgotten.
    pub(super) fn on_invalidate(&mut self, shard: usize, invalidation: Invalidation) {
        match invalidation {
            Invalidation { keys: None, .. } => self.on_flushed(shard),
            keys => self.invalidate_here(keys),
        }
    }

    /// Tells clients of this core.
    fn invalidate_here(&mut self, invalidation: Invalidation) {
        let Invalidation { clients, keys, broadcast } = invalidation;
        for conn in clients {
            // One that broadcasts now does not care for what it read before.
            let cares =
                self.tracking.clients.get(&conn).map(|is_broadcast| broadcast || !is_broadcast || keys.is_none());
            if cares != Some(true) {
                continue;
            }
            match self.tracking.redirects.get(&conn) {
                None => drop(self.push(conn, &Note::Forget { keys: keys.clone(), redirected: false })),
                Some(redirect) if redirect.core == self.router.core => {
                    let to = redirect.conn;
                    self.on_redirected(to, (self.router.core, conn), keys.clone());
                }
                Some(redirect) => {
                    let from = (self.router.core, conn);
                    let message = Message::Redirected { to: redirect.conn, from, keys: keys.clone() };
                    self.router.tell(redirect.core, message);
                }
            }
        }
    }

    /// An invalidation that another connection redirects to one of this core.
    pub(super) fn on_redirected(&mut self, to: ConnId, from: (usize, ConnId), keys: Option<Arc<Vec<u8>>>) {
        if self.push(to, &Note::Forget { keys, redirected: true }) {
            return;
        }
        if from.0 == self.router.core {
            self.on_redirect_gone(from.1);
        } else {
            self.router.tell(from.0, Message::RedirectGone(from.1));
        }
    }

    /// The connection that `conn` redirects to is gone.
    pub(super) fn on_redirect_gone(&mut self, conn: ConnId) {
        if let Some(redirect) = self.tracking.redirects.get(&conn) {
            let client_id = redirect.client_id;
            self.push(conn, &Note::RedirectBroken(client_id));
        }
    }

    /// Turns tracking on; the options have been checked.
    pub(super) fn track(&mut self, conn: &mut Conn, tracking: Tracking) {
        self.tracking.clients.insert(conn.id, tracking.broadcast);
        match tracking.redirect {
            Some(redirect) => drop(self.tracking.redirects.insert(conn.id, redirect)),
            None => drop(self.tracking.redirects.remove(&conn.id)),
        }
        conn.session.tracking = Some(Box::new(tracking));
    }

    /// Turns tracking off. What shards remember of the client finds nobody any more.
    pub(crate) fn untrack(&mut self, conn: &mut Conn) {
        let Some(tracking) = conn.session.tracking.take() else { return };
        self.tracking.clients.remove(&conn.id);
        self.tracking.redirects.remove(&conn.id);
        if tracking.prefixes.is_empty() {
            return;
        }
        self.end_broadcast_everywhere(tracking.tracker, tracking.prefixes.into_iter().collect());
    }

    /// As [`Worker::end_broadcast`], on every core.
    pub(super) fn end_broadcast_everywhere(&mut self, tracker: Tracker, prefixes: Vec<Vec<u8>>) {
        self.end_broadcast(&tracker, &prefixes);
        let own = self.router.core;
        for core in (0..self.router.cores).filter(|core| *core != own) {
            let request = Box::new(Request::EndBroadcast(tracker, prefixes.clone()));
            self.router.tell(core, Message::Ask { ticket: Ticket::Nobody, request });
        }
    }

    /// This core's part of CLIENT TRACKING.
    pub fn answer_track(
        &mut self,
        find: Option<u64>,
        tracker: &Tracker,
        prefixes: &[Vec<u8>],
        asker: Option<&Conn>,
    ) -> Answer {
        self.start_broadcast(tracker, prefixes);
        let found = self.conns().chain(asker).find(|conn| Some(conn.client_id) == find && conn.closing == Closing::No);
        found.map_or(Answer::Done, |conn| Answer::Client(self.router.core, conn.id))
    }

    /// A client wants to hear of every key with these prefixes.
    pub fn start_broadcast(&mut self, tracker: &Tracker, prefixes: &[Vec<u8>]) {
        let client = client_of(tracker);
        prefixes.iter().for_each(|prefix| self.tracking.add_prefix(prefix, client, tracker.noloop));
        self.router.shard.events.tracking.active = !self.tracking.is_empty();
    }

    /// No longer.
    pub fn end_broadcast(&mut self, tracker: &Tracker, prefixes: &[Vec<u8>]) {
        let client = client_of(tracker);
        prefixes.iter().for_each(|prefix| self.tracking.remove_prefix(prefix, client));
        self.router.shard.events.tracking.active = !self.tracking.is_empty();
    }
}

//! Who listens to what: each core keeps a book of its own connections' subscriptions, and all cores see, by a few
//! counts, which of them a message may concern. A publisher sends to those alone and adds up how many got it. Never
//! touches a key.
//!
//! The counts ([`Interest`]) are per bucket of channels, not per channel: a core is asked in vain if a channel of its
//! own has the same bucket, never passed over. They are written when a core gets its first subscriber of a channel or
//! loses its last, and read by every PUBLISH.

use crate::base::glob;
use crate::base::hash;
use crate::net::connection::Conn;
use crate::net::output::deliver;
use crate::net::push::{Frame, Note};
use crate::net::worker::Worker;
use crate::txn::finished::Cores;
use crate::txn::message::{ConnId, Message};
use crate::txn::news::{ChannelKind, Payload, Publication};
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Buckets of channels that [`Interest`] counts.
const BUCKETS: usize = 4096;

/// What one core's connections subscribe to, as other cores see it.
#[derive(Debug)]
pub struct Interest {
    /// Channels with a subscriber, by bucket; shard channels behind them.
    channels: Box<[AtomicU32]>,
    patterns: AtomicU32,
}

impl Default for Interest {
    fn default() -> Self {
        Interest { channels: (0..2 * BUCKETS).map(|_| AtomicU32::new(0)).collect(), patterns: AtomicU32::new(0) }
    }
}

impl Interest {
    fn count(&self, kind: ChannelKind, name: &[u8]) -> &AtomicU32 {
        let bucket = hash::hash(name) as usize % BUCKETS;
        match kind {
            ChannelKind::Channel => &self.channels[bucket],
            ChannelKind::Shard => &self.channels[BUCKETS + bucket],
            ChannelKind::Pattern => &self.patterns,
        }
    }

    /// Whether a message to this channel may have a receiver there.
    fn may_want(&self, kind: ChannelKind, channel: &[u8]) -> bool {
        self.count(kind, channel).load(Ordering::Relaxed) > 0
            || kind == ChannelKind::Channel && self.patterns.load(Ordering::Relaxed) > 0
    }
}

/// The subscriptions of one core's connections.
#[derive(Debug, Default)]
pub struct Book {
    lists: [HashMap<Box<[u8]>, BTreeSet<ConnId>>; 3],
    /// Connections with a subscription.
    pub clients: u64,
    /// PUBLISHes of this core that wait for other cores.
    publishing: Vec<Option<Publishing>>,
    publishing_free: Vec<u32>,
}

/// A PUBLISH that other cores have yet to answer.
#[derive(Debug)]
struct Publishing {
    conn: ConnId,
    seq: u32,
    remaining: u32,
    receivers: u64,
}

impl Book {
    /// Channels or patterns with a subscriber here.
    pub fn names(&self, kind: ChannelKind) -> impl Iterator<Item = &[u8]> {
        self.lists[kind as usize].keys().map(|name| &**name)
    }

    /// Subscribers of a channel here, those through patterns not counted.
    pub fn subscribers(&self, kind: ChannelKind, name: &[u8]) -> u64 {
        self.lists[kind as usize].get(name).map_or(0, |list| list.len() as u64)
    }

    fn add(&mut self, kind: ChannelKind, name: &[u8], id: ConnId, interest: &Interest) {
        let list = match self.lists[kind as usize].get_mut(name) {
            Some(list) => list,
            None => {
                interest.count(kind, name).fetch_add(1, Ordering::SeqCst);
                self.lists[kind as usize].entry(name.into()).or_default()
            }
        };
        list.insert(id);
    }

    fn remove(&mut self, kind: ChannelKind, name: &[u8], id: ConnId, interest: &Interest) {
        let Some(list) = self.lists[kind as usize].get_mut(name) else { return };
        list.remove(&id);
        if list.is_empty() {
            self.lists[kind as usize].remove(name);
            interest.count(kind, name).fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The subscriptions of one connection.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [HashSet<Box<[u8]>>; 3],
    bytes: usize,
}

/// What a name takes beside its bytes: here, and in the book of its core.
const NAME_BYTES: usize = 64;

impl Subscriptions {
    /// Bytes of memory behind them.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// How many of a kind.
    pub fn count(&self, kind: ChannelKind) -> usize {
        self.names[kind as usize].len()
    }

    fn is_empty(&self) -> bool {
        self.names.iter().all(HashSet::is_empty)
    }
}

impl Worker {
    /// Adds a subscription.
    pub fn subscribe(&mut self, conn: &mut Conn, kind: ChannelKind, name: &[u8]) {
        if conn.subscriptions.is_none() {
            self.book.clients += 1;
        }
        let own = conn.subscriptions.get_or_insert_default();
        if own.names[kind as usize].insert(name.into()) {
            own.bytes += name.len() + NAME_BYTES;
            self.book.add(kind, name, conn.id, &self.shared.interest[self.router.core]);
        }
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, conn: &mut Conn, kind: ChannelKind, name: &[u8]) {
        let Some(own) = conn.subscriptions.as_deref_mut() else { return };
        if own.names[kind as usize].remove(name) {
            own.bytes -= name.len() + NAME_BYTES;
            self.book.remove(kind, name, conn.id, &self.shared.interest[self.router.core]);
        }
        if own.is_empty() {
            conn.subscriptions = None;
            self.book.clients -= 1;
        }
    }

    /// Ends all subscriptions of a kind; their names.
    pub fn unsubscribe_all(&mut self, conn: &mut Conn, kind: ChannelKind) -> Vec<Box<[u8]>> {
        let Some(own) = conn.subscriptions.as_deref_mut() else { return Vec::new() };
        let names: Vec<Box<[u8]>> = own.names[kind as usize].drain().collect();
        for name in &names {
            own.bytes -= name.len() + NAME_BYTES;
            self.book.remove(kind, name, conn.id, &self.shared.interest[self.router.core]);
        }
        if own.is_empty() {
            conn.subscriptions = None;
            self.book.clients -= 1;
        }
        names
    }

    /// Ends every subscription without a word: the connection goes, or starts anew.
    pub fn forget_subscriptions(&mut self, conn: &mut Conn) {
        for kind in ChannelKind::ALL {
            if conn.subscriptions.is_some() {
                self.unsubscribe_all(conn, kind);
            }
        }
    }

    /// Sends a message to everyone who listens, on whichever core, without waiting for how many they are.
    pub fn announce(&mut self, publication: Publication) {
        let others = self.interested(&publication);
        self.deliver_here(&publication);
        let publication = Arc::new(publication);
        for core in others {
            self.router.tell(core, Message::Publish { pending: None, publication: publication.clone() });
        }
    }

    /// As [`Worker::announce`] for a client, who is to learn how many got it: answers that at once if all of them are
    /// on this core, otherwise `None`, and the reply comes for the connection's next sequence number.
    pub fn publish(&mut self, conn: &Conn, publication: Publication) -> Option<u64> {
        let others = self.interested(&publication);
        let here = self.deliver_here(&publication);
        if others.is_empty() {
            return Some(here);
        }
        let publishing =
            Publishing { conn: conn.id, seq: conn.next_seq(), remaining: others.len() as u32, receivers: here };
        let pending = match self.book.publishing_free.pop() {
            Some(pending) => pending,
            None => {
                self.book.publishing.push(None);
                (self.book.publishing.len() - 1) as u32
            }
        };
        self.book.publishing[pending as usize] = Some(publishing);
        let publication = Arc::new(publication);
        for core in others {
            let publication = publication.clone();
            self.router.tell(core, Message::Publish { pending: Some(pending), publication });
        }
        None
    }

    /// Other cores that may have a receiver.
    fn interested(&self, publication: &Publication) -> smallvec::SmallVec<[usize; 8]> {
        let (own, interest) = (self.router.core, &self.shared.interest);
        let wants = |core: &usize| interest[*core].may_want(publication.kind, &publication.channel);
        (0..interest.len()).filter(|core| *core != own).filter(wants).collect()
    }

    /// A message of another core.
    pub fn on_publish(&mut self, from: usize, pending: Option<u32>, publication: &Publication) {
        let receivers = self.deliver_here(publication);
        if let Some(pending) = pending {
            self.router.tell(from, Message::Published { pending, receivers });
        }
    }

    /// How many receivers a core had; once all have said so, the publisher gets its reply.
    pub(super) fn on_published(&mut self, pending: u32, receivers: u64) {
        let Some(publishing) = self.book.publishing[pending as usize].as_mut() else { return };
        publishing.receivers += receivers;
        publishing.remaining -= 1;
        if publishing.remaining > 0 {
            return;
        }
        let Publishing { conn, seq, receivers, .. } = *publishing;
        self.book.publishing[pending as usize] = None;
        self.book.publishing_free.push(pending);
        let reply = format!(":{receivers}\r\n");
        let (places, touched, outputs) = (&mut self.places, &mut self.touched, &mut self.outputs);
        deliver(places, touched, outputs, (conn, seq, Cores::default()), reply.as_bytes(), Vec::new());
    }

    /// Gives a message to this core's subscribers; how many times it was sent.
    fn deliver_here(&mut self, publication: &Publication) -> u64 {
        let mut receivers = 0;
        let lists = std::mem::take(&mut self.book.lists);
        let Publication { kind, channel, payload } = publication;
        if let Some(list) = lists[*kind as usize].get(&**channel) {
            let word: &[u8] = if *kind == ChannelKind::Shard { b"smessage" } else { b"message" };
            let note = Note::Message(Frame::new(&[word, channel], payload));
            receivers += list.iter().filter(|id| self.push(**id, &note)).count() as u64;
        }
        if *kind == ChannelKind::Channel {
            for (pattern, list) in &lists[ChannelKind::Pattern as usize] {
                if glob::matches(pattern, channel, false) {
                    let note = Note::Message(Frame::new(&[b"pmessage", pattern, channel], payload));
                    receivers += list.iter().filter(|id| self.push(**id, &note)).count() as u64;
                }
            }
        }
        self.book.lists = lists;
        receivers
    }
}

/// A message as it travels.
pub fn publication(kind: ChannelKind, channel: &[u8], payload: Payload) -> Publication {
    Publication { kind, channel: channel.into(), payload }
}

//! Queues between cores: one bounded single-producer single-consumer ring per ordered pair. Never blocks, never
//! drops, never reorders what one core sends to another; what does not fit waits in the sender's overflow.
//!
//! Sleep protocol. Each core owns a [`SleepFlag`]. A core about to sleep raises it, fences, and looks at its queues
//! once more; a sender publishes, fences, and looks at the flag. Whatever the interleaving, one of the two sees the
//! other: either the sleeper stays awake or the sender takes the flag down and rings. The same handshake runs the
//! other way for room: a sender whose queue is full says so, and the receiver rings it after making room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};

pub mod relay;

/// Says that its core sleeps, or is about to. On a cache line of its own.
#[derive(Clone, Debug, Default)]
pub struct SleepFlag(Arc<Padded<AtomicBool>>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl SleepFlag {
    /// Raises the flag; whoever raised it must look for work once more before it sleeps.
    pub fn raise(&self) {
        self.0.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes it down: awake.
    pub fn lower(&self) {
        self.0.0.store(false, Ordering::Relaxed);
    }

    /// Whether it is up.
    pub fn is_raised(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    /// For a sender that has published and fenced: whether it must ring; at most one of several senders does.
    fn take(&self) -> bool {
        self.0.0.load(Ordering::Relaxed) && self.0.0.swap(false, Ordering::Relaxed)
    }
}

/// Set by a sender that found its queue full, taken by the receiver that made room.
type Starved = Arc<Padded<AtomicBool>>;

/// What one core needs to talk to another.
#[derive(Debug)]
struct Peer<M> {
    outgoing: Producer<M>,
    incoming: Consumer<M>,
    overflow: VecDeque<M>,
    /// Something was published since the last flush.
    published: bool,
    /// The peer waits for room that was made since the last flush.
    owed: bool,
    sleeping: SleepFlag,
    starved_out: Starved,
    starved_in: Starved,
}

/// One core's end of the mesh: a queue to and from every other core.
#[derive(Debug)]
pub struct Endpoint<M> {
    core: usize,
    /// By core; `None` at our own place.
    peers: Vec<Option<Peer<M>>>,
    sleeping: SleepFlag,
    /// See [`Endpoint::hold`].
    held: bool,
}

/// Makes the ends for `cores` cores with queues of `depth` messages, at least one each.
pub fn mesh<M: Send>(cores: usize, depth: usize) -> Vec<Endpoint<M>> {
    assert!(depth > 0);
    ends(cores, |_, _| RingBuffer::new(depth))
}

/// Makes the ends; `queue` makes what `from` puts into and `to` takes out of.
fn ends<M: Send>(cores: usize, mut queue: impl FnMut(usize, usize) -> (Producer<M>, Consumer<M>)) -> Vec<Endpoint<M>> {
    assert!(cores > 0);
    let flags: Vec<SleepFlag> = (0..cores).map(|_| SleepFlag::default()).collect();
    let starved: Vec<Vec<Starved>> = (0..cores).map(|_| (0..cores).map(|_| Starved::default()).collect()).collect();
    let mut senders: Vec<Vec<Option<Producer<M>>>> = (0..cores).map(|_| Vec::new()).collect();
    let mut receivers: Vec<Vec<Option<Consumer<M>>>> = (0..cores).map(|_| Vec::new()).collect();
    for (from, senders) in senders.iter_mut().enumerate() {
        for (to, receivers) in receivers.iter_mut().enumerate() {
            let (sender, receiver) = if from == to {
                (None, None)
            } else {
                let (sender, receiver) = queue(from, to);
                (Some(sender), Some(receiver))
            };
            senders.push(sender);
            receivers.push(receiver);
        }
    }
    let ends = senders.into_iter().zip(receivers).enumerate();
    ends.map(|(core, (senders, receivers))| Endpoint {
        core,
        held: false,
        sleeping: flags[core].clone(),
        peers: (senders.into_iter().zip(receivers).enumerate())
            .map(|(other, pair)| match pair {
                (Some(outgoing), Some(incoming)) => Some(Peer {
                    outgoing,
                    incoming,
                    overflow: VecDeque::new(),
                    published: false,
                    owed: false,
                    sleeping: flags[other].clone(),
                    starved_out: starved[core][other].clone(),
                    starved_in: starved[other][core].clone(),
                }),
                _ => None,
            })
            .collect(),
    })
    .collect()
}

impl<M> Endpoint<M> {
    /// Which core this end belongs to.
    pub fn core(&self) -> usize {
        self.core
    }

    /// How many cores the mesh has.
    pub fn cores(&self) -> usize {
        self.peers.len()
    }

    /// The flag of this core, for the driver that sleeps on its behalf.
    pub fn sleep_flag(&self) -> SleepFlag {
        self.sleeping.clone()
    }

    /// Sends to another core, in order. A full queue keeps the message in the overflow, which the caller bounds.
    #[inline]
    pub fn send(&mut self, to: usize, message: M) {
        let peer = self.peers[to].as_mut().expect("a core does not send to itself");
        peer.published = true;
        if peer.overflow.is_empty() && !self.held {
            if let Err(rtrb::PushError::Full(message)) = peer.outgoing.push(message) {
                peer.overflow.push_back(message);
            }
        } else {
            peer.overflow.push_back(message);
        }
    }

    /// Nobody is to see what is sent from now on before the next [`Endpoint::flush`].
    #[inline]
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Messages to `to` that did not fit its queue yet.
    pub fn overflow_len(&self, to: usize) -> usize {
        self.peers[to].as_ref().map_or(0, |peer| peer.overflow.len())
    }

    /// Messages to `to` that it has not taken yet, overflow included.
    pub fn outbound_len(&self, to: usize) -> usize {
        self.peers[to]
            .as_ref()
            .map_or(0, |peer| peer.outgoing.buffer().capacity() - peer.outgoing.slots() + peer.overflow.len())
    }

    /// Messages of all peers waiting for this core.
    pub fn inbound_len(&self) -> usize {
        self.peers.iter().flatten().map(|peer| peer.incoming.slots()).sum()
    }

    /// Takes at most `budget_per_peer` messages of each peer and gives them to `on_message` with their sender.
    /// Returns how many.
    pub fn drain(&mut self, budget_per_peer: usize, mut on_message: impl FnMut(usize, M)) -> usize {
        let mut taken = 0;
        for (from, peer) in self.peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            let count = peer.incoming.slots().min(budget_per_peer);
            if count == 0 {
                continue;
            }
            let chunk = peer.incoming.read_chunk(count).expect("as many as were there");
            for message in chunk {
                on_message(from, message);
            }
            taken += count;
            fence(Ordering::SeqCst);
            if peer.starved_in.0.load(Ordering::Relaxed) {
                peer.starved_in.0.store(false, Ordering::Relaxed);
                peer.owed = true;
            }
        }
        taken
    }

    /// Whether a tick has something to do here: a message to take, or room for one that overflowed.
    pub fn has_inbound(&self) -> bool {
        self.peers
            .iter()
            .flatten()
            .any(|peer| !peer.incoming.is_empty() || (!peer.overflow.is_empty() && !peer.outgoing.is_full()))
    }

    /// Moves overflow into the queues and rings the peers that sleep and have something to find: messages, or room.
    pub fn flush(&mut self, mut ring: impl FnMut(usize)) {
        self.held = false;
        for peer in self.peers.iter_mut().flatten().filter(|peer| !peer.overflow.is_empty()) {
            peer.move_overflow();
        }
        if !self.peers.iter().flatten().any(|peer| peer.published || peer.owed) {
            return;
        }
        fence(Ordering::SeqCst);
        for (to, peer) in self.peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            if std::mem::take(&mut peer.published) | std::mem::take(&mut peer.owed) && peer.sleeping.take() {
                ring(to);
            }
        }
    }

    /// Announces sleep. `false`, and awake again, if something came in meanwhile. A core whose driver holds
    /// the [`SleepFlag`] needs neither this nor [`Endpoint::woke_up`].
    #[must_use]
    pub fn going_to_sleep(&self) -> bool {
        self.sleeping.raise();
        if self.has_inbound() {
            self.sleeping.lower();
            return false;
        }
        true
    }

    /// Ends [`Endpoint::going_to_sleep`].
    pub fn woke_up(&self) {
        self.sleeping.lower();
    }
}

impl<M> Peer<M> {
    fn move_overflow(&mut self) {
        loop {
            let room = self.outgoing.slots().min(self.overflow.len());
            if room > 0 {
                let chunk = self.outgoing.write_chunk_uninit(room).expect("as much as there was");
                chunk.fill_from_iter(self.overflow.drain(..room));
                self.published = true;
            }
            if self.overflow.is_empty() {
                return;
            }
            // Full: ask to be rung once there is room, then look again, for it may have come in between.
            self.starved_out.0.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.outgoing.is_full() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod doorbell_tests;
#[cfg(test)]
#[path = "mesh_tests.rs"]
mod tests;

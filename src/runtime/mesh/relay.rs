//! A mesh with somebody in the middle of every queue, who decides when a message arrives: the inter-core network of a
//! simulation. Never reorders, drops or copies what one core sends to another. The cores' ends are those of any mesh.

use super::{Endpoint, ends};
use rtrb::{Consumer, Producer, RingBuffer};

/// Carries messages from the senders' queues to the receivers', as its owner says.
#[derive(Debug)]
pub struct Relay<M> {
    cores: usize,
    /// By sender and receiver; `None` where both are the same core.
    links: Vec<Option<Link<M>>>,
}

#[derive(Debug)]
struct Link<M> {
    sent: Consumer<M>,
    arrived: Producer<M>,
}

/// As [`super::mesh`], but what is sent stays on its way until [`Relay::carry`].
pub fn relayed<M: Send>(cores: usize, depth: usize) -> (Vec<Endpoint<M>>, Relay<M>) {
    let mut links: Vec<Option<Link<M>>> = (0..cores * cores).map(|_| None).collect();
    let ends = ends(cores, |from, to| {
        let (sender, sent) = RingBuffer::new(depth);
        let (arrived, receiver) = RingBuffer::new(depth);
        links[from * cores + to] = Some(Link { sent, arrived });
        (sender, receiver)
    });
    (ends, Relay { cores, links })
}

impl<M> Relay<M> {
    /// Messages under way from one core to another.
    pub fn under_way(&self, from: usize, to: usize) -> usize {
        self.links[from * self.cores + to].as_ref().map_or(0, |link| link.sent.slots())
    }

    /// Lets at most `count` of them arrive, in order, as far as the receiver's queue has room. Returns how many.
    pub fn carry(&mut self, from: usize, to: usize, count: usize) -> usize {
        let Some(link) = &mut self.links[from * self.cores + to] else { return 0 };
        for carried in 0..count {
            if link.arrived.is_full() {
                return carried;
            }
            let Ok(message) = link.sent.pop() else { return carried };
            assert!(link.arrived.push(message).is_ok(), "the relay alone fills this queue");
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_when_they_are_carried_and_in_order() {
        let (mut ends, mut relay) = relayed::<u32>(2, 4);
        for n in 0..7 {
            ends[0].send(1, n);
        }
        assert_eq!((relay.under_way(0, 1), relay.under_way(1, 0), ends[0].overflow_len(1)), (4, 0, 3));
        let mut got = Vec::new();
        assert_eq!(ends[1].drain(10, |_, n| got.push(n)), 0);
        while got.len() < 7 {
            relay.carry(0, 1, 2);
            ends[1].drain(10, |from, n| {
                assert_eq!(from, 0);
                got.push(n);
            });
            ends[0].flush(|_| {});
        }
        assert_eq!(got, (0..7).collect::<Vec<_>>());
        assert_eq!(relay.carry(0, 0, 1), 0);
    }

    #[test]
    fn a_full_receiver_holds_messages_back() {
        let (mut ends, mut relay) = relayed::<u32>(2, 2);
        (0..4).for_each(|n| ends[1].send(0, n));
        assert_eq!(relay.carry(1, 0, 9), 2);
        ends[1].flush(|_| {});
        assert_eq!((relay.carry(1, 0, 9), relay.under_way(1, 0)), (0, 2));
        assert_eq!(ends[0].drain(9, |_, _| {}), 2);
        assert_eq!(relay.carry(1, 0, 9), 2);
    }
}

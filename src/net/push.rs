//! Messages that no request asked for, on their way to a connection: pub/sub, keyspace events, invalidations. Decides
//! where among the replies they may stand, and drops who does not read them. Never knows what they say.

use crate::base::bytes::OutBuf;
use crate::net::connection::{Closing, Conn};
use crate::net::worker::Worker;
use crate::resp::reply::{Proto, Reply};
use crate::txn::message::{ConnId, Payload};

/// One message, encoded once for all who get it. The two dialects differ in the first byte alone.
#[derive(Debug, Default)]
pub struct Frame {
    encoded: OutBuf,
}

impl Frame {
    /// A message of `words`; the last may be large and is then shared, not copied.
    pub fn new(words: &[&[u8]], last: &Payload) -> Self {
        let mut encoded = OutBuf::default();
        let mut reply = Reply::new(&mut encoded, Proto::Resp2);
        reply.push(words.len() + 1);
        words.iter().for_each(|word| reply.bulk(word));
        match last {
            Payload::Small(bytes) => reply.bulk(bytes),
            Payload::Large(big) => reply.big(big),
        }
        Frame { encoded }
    }

    /// Its bytes in all.
    pub fn len(&self) -> usize {
        self.encoded.len()
    }

    /// Whether it has no bytes, which would be no message.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Appends it to `out`.
    fn write(&self, out: &mut OutBuf, proto: Proto) {
        let at = out.bytes.len();
        out.bytes.extend_from_slice(&self.encoded.bytes);
        if proto == Proto::Resp3 {
            out.bytes[at] = b'>';
        }
        out.bigs.extend(self.encoded.bigs.iter().map(|(offset, big)| (at + offset, big.clone())));
    }
}

/// Messages for a connection whose commands are being run: they wait for the end of its command.
#[derive(Debug)]
pub struct Held {
    conn: ConnId,
    out: OutBuf,
    /// Where each message begins.
    starts: Vec<usize>,
}

impl Worker {
    /// Sends a message to a connection of this core. False if it is gone or about to go.
    pub fn push(&mut self, id: ConnId, frame: &Frame) -> bool {
        let Some(place) = self.places.get_mut(id.index as usize).filter(|p| p.generation == id.generation) else {
            return false;
        };
        let Some(conn) = place.conn.as_deref_mut() else {
            let is_there = place.taken;
            if is_there {
                self.hold(id, frame);
            }
            return is_there;
        };
        if conn.closing != Closing::No {
            return false;
        }
        self.pushed_bytes += frame.len();
        if conn.out.bytes.capacity() == 0
            && frame.len() >= SPARE_BUFFER_FRAME_BYTES
            && let Some(spare) = self.outputs.pop()
        {
            conn.out = spare;
        }
        let proto = conn.session.proto;
        if proto == Proto::Resp2 && conn.is_parked() {
            // RESP2 knows no messages out of turn: this one comes behind the replies that are still to come
            let mut out = OutBuf::default();
            frame.write(&mut out, proto);
            conn.park_ready(&mut out, 0);
        } else {
            frame.write(&mut conn.out, proto);
        }
        let limit = self.config.output_limits[conn.output_class()];
        if limit.hard > 0 && conn.output_bytes() as u64 > limit.hard {
            // nothing more is kept for it; it is closed when output is sent
            conn.closing = Closing::Now;
            self.shared.cores[self.router.core].output_limit_closed.add(1);
        }
        if !conn.touched {
            conn.touched = true;
            self.touched.push(id.index);
        }
        true
    }

    fn hold(&mut self, id: ConnId, frame: &Frame) {
        let at = self.held.iter().position(|held| held.conn == id).unwrap_or_else(|| {
            self.held.push(Held { conn: id, out: OutBuf::default(), starts: Vec::new() });
            self.held.len() - 1
        });
        let held = &mut self.held[at];
        held.starts.push(held.out.bytes.len());
        frame.write(&mut held.out, Proto::Resp2);
        self.pushed_bytes += frame.len();
    }

    /// Writes the messages that waited for the end of this connection's command to `out`, behind its reply.
    #[cold]
    pub(crate) fn release_held(&mut self, conn: &mut Conn, out: &mut OutBuf) {
        let Some(at) = self.held.iter().position(|held| held.conn == conn.id) else { return };
        let Held { out: mut messages, starts, .. } = self.held.swap_remove(at);
        if conn.session.proto == Proto::Resp3 {
            starts.into_iter().for_each(|start| messages.bytes[start] = b'>');
        }
        let mark = out.bytes.len();
        out.append(&mut messages);
        if conn.session.proto == Proto::Resp2 && conn.is_parked() {
            conn.park_ready(out, mark);
        }
    }
}

/// A message shorter than this gets a buffer of its own size: most subscribers are sent little, and often.
const SPARE_BUFFER_FRAME_BYTES: usize = 2048;

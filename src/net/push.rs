//! Messages that no request asked for, on their way to a connection: pub/sub, keyspace events, invalidations. Decides
//! where among the replies they may stand, and drops who does not read them. Never knows what they say.

use crate::base::bytes::OutBuf;
use crate::net::connection::{Closing, Conn};
use crate::net::session::Session;
use crate::net::worker::Worker;
use crate::resp::reply::{Proto, Reply};
use crate::txn::message::ConnId;
use crate::txn::news::Payload;
use std::sync::Arc;

/// What a connection is told without having asked.
#[derive(Debug, Clone)]
pub enum Note {
    /// A published message.
    Message(Frame),
    /// Keys it may have cached are no longer what they were (CLIENT TRACKING).
    Forget {
        /// An encoded array; `None` for everything.
        keys: Option<Arc<Vec<u8>>>,
        /// Whether it is another connection that tracks.
        redirected: bool,
    },
    /// The connection with this number, to which it redirects its invalidations, is gone.
    RedirectBroken(u64),
}

impl Note {
    /// Bytes of it, about.
    fn len(&self) -> usize {
        match self {
            Note::Message(frame) => frame.len(),
            Note::Forget { keys, .. } => 64 + keys.as_ref().map_or(0, |keys| keys.len()),
            Note::RedirectBroken(_) => 64,
        }
    }

    /// Appends it to `out` in the form for this connection, if there is one.
    fn write(&self, conn: &mut Session, is_subscriber: bool, out: &mut OutBuf) {
        let proto = conn.proto;
        match self {
            Note::Message(frame) => frame.write(out, proto),
            Note::Forget { keys, redirected } => {
                let mut reply = Reply::new(out, proto);
                if proto == Proto::Resp3 {
                    reply.push(2);
                    reply.bulk(b"invalidate");
                } else if *redirected && is_subscriber {
                    reply.push(3);
                    reply.bulk(b"message");
                    reply.bulk(b"__redis__:invalidate");
                } else {
                    // RESP2 has no form for it
                    return;
                }
                match keys {
                    Some(keys) => reply.raw(keys),
                    None => reply.null(),
                }
            }
            Note::RedirectBroken(client_id) => {
                let Some(tracking) = &mut conn.tracking else { return };
                tracking.broken = true;
                if proto == Proto::Resp3 {
                    let mut reply = Reply::new(out, proto);
                    reply.push(2);
                    reply.bulk(b"tracking-redir-broken");
                    reply.integer(*client_id as i64);
                }
            }
        }
    }
}

/// One message, encoded once for all who get it. The two dialects differ in the first byte alone.
#[derive(Debug, Clone, Default)]
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
pub type Held = (ConnId, Vec<Note>);

impl Worker {
    /// Tells a connection of this core. False if it is gone or about to go.
    pub fn push(&mut self, id: ConnId, note: &Note) -> bool {
        let Some(place) = self.places.get_mut(id.index as usize).filter(|p| p.generation == id.generation) else {
            return false;
        };
        let Some(conn) = place.conn.as_deref_mut() else {
            let is_there = place.taken;
            if is_there {
                self.hold(id, note);
            }
            return is_there;
        };
        if conn.closing != Closing::No {
            return false;
        }
        self.pushed_bytes += note.len();
        if conn.out.bytes.capacity() == 0
            && note.len() >= SPARE_BUFFER_NOTE_BYTES
            && let Some(spare) = self.outputs.take()
        {
            conn.out = spare;
        }
        conn.tell(note);
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

    fn hold(&mut self, id: ConnId, note: &Note) {
        self.pushed_bytes += note.len();
        match self.held.iter_mut().find(|(conn, _)| *conn == id) {
            Some((_, notes)) => notes.push(note.clone()),
            None => self.held.push((id, vec![note.clone()])),
        }
    }

    /// Tells what waited for the end of this connection's command; behind its reply, which is in `out`.
    #[cold]
    pub(crate) fn release_held(&mut self, conn: &mut Conn, out: &mut OutBuf) {
        let Some(at) = self.held.iter().position(|(id, _)| *id == conn.id) else { return };
        let (_, notes) = self.held.swap_remove(at);
        std::mem::swap(&mut conn.out, out);
        notes.iter().for_each(|note| conn.tell(note));
        std::mem::swap(&mut conn.out, out);
    }
}

impl Conn {
    /// Puts a note where it may stand among the replies. RESP2 knows no messages out of turn, so there it comes behind
    /// the replies that are still to come. So does an invalidation in either dialect: one of those replies may be what
    /// the client is to forget.
    fn tell(&mut self, note: &Note) {
        let (subscribes, mut out) = (self.subscriptions.is_some(), std::mem::take(&mut self.out));
        let mark = out.bytes.len();
        note.write(&mut self.session, subscribes, &mut out);
        let in_turn = self.session.proto == Proto::Resp2 || matches!(note, Note::Forget { .. });
        if in_turn && self.is_parked() && out.bytes.len() > mark {
            self.park_ready(&mut out, mark);
        }
        self.out = out;
    }
}

/// A note shorter than this gets a buffer of its own size: most subscribers are sent little, and often.
const SPARE_BUFFER_NOTE_BYTES: usize = 2048;

//! What cores tell each other that no request asked for: published messages, and keys that clients are to forget. Owns
//! what it carries; never knows who listens.

use crate::base::bytes::BigString;
use crate::base::limits::BIG_REPLY_BYTES_MIN;
use crate::txn::message::ConnId;
use std::sync::Arc;

/// What a subscription names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// A channel (SUBSCRIBE).
    Channel = 0,
    /// Every channel that matches a pattern (PSUBSCRIBE).
    Pattern = 1,
    /// A shard channel (SSUBSCRIBE).
    Shard = 2,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [ChannelKind; 3] = [ChannelKind::Channel, ChannelKind::Pattern, ChannelKind::Shard];
}

/// What a published message carries.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Copied to each who gets it.
    Small(Vec<u8>),
    /// Shared by all who get it.
    Large(BigString),
}

impl Payload {
    /// Takes bytes that were collected in a buffer of their own, or copies them.
    pub fn new(bytes: &[u8], big: Option<BigString>) -> Self {
        match big {
            Some(big) => Payload::Large(big),
            None if bytes.len() >= BIG_REPLY_BYTES_MIN => Payload::Large(BigString::new(bytes.to_vec())),
            None => Payload::Small(bytes.to_vec()),
        }
    }
}

/// A published message on its way; the same one for every core that may have a receiver.
#[derive(Debug)]
pub struct Publication {
    /// A channel or a shard channel.
    pub kind: ChannelKind,
    /// Its name.
    pub channel: Box<[u8]>,
    /// The message.
    pub payload: Payload,
}

/// Keys that are to be forgotten by clients of one core.
#[derive(Debug)]
pub struct Invalidation {
    /// The clients.
    pub clients: Vec<ConnId>,
    /// An encoded array of keys, the same in both dialects; `None` says that the shard was flushed: everything, by all
    /// who track.
    pub keys: Option<Arc<Vec<u8>>>,
    /// Whether it is for clients in BCAST mode, or for those that read the keys.
    pub broadcast: bool,
}

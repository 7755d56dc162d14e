//! A reply that came from other cores, and which of them it saw. Never touches a connection.

use crate::base::bytes::OutBuf;
use crate::commands::table::CommandId;
use crate::persist::aof::frontier::Participants;
use crate::txn::message::ConnId;
use std::sync::Arc;

/// A set of cores; with more than 64 of them, a core and the 64th one after it are told apart no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cores(u64);

impl Cores {
    /// All of them.
    pub const ALL: Cores = Cores(u64::MAX);

    /// Just this one.
    pub fn one(core: usize) -> Cores {
        Cores(1 << (core % 64))
    }

    /// Whether this one may be in it.
    pub fn contains(self, core: usize) -> bool {
        self.0 & 1 << (core % 64) != 0
    }

    /// None of them.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOrAssign for Cores {
    fn bitor_assign(&mut self, other: Cores) {
        self.0 |= other.0;
    }
}

/// The reply of a command that ran in parts or phases.
#[derive(Debug)]
pub struct Finished {
    /// Whose.
    pub conn: ConnId,
    /// Its slot.
    pub seq: u32,
    /// The encoded reply.
    pub reply: OutBuf,
    /// The command, if an error in the reply is still to be counted for it.
    pub command: Option<CommandId>,
    /// Whether the connection waited for this one ([`Outcome::Stalls`]).
    pub unstalls: bool,
    /// Shards whose data it may have seen.
    pub seen: Cores,
    /// The transaction that it is the reply of, if that wrote on several shards.
    pub wrote: Option<Arc<Participants>>,
}

impl Finished {
    /// A reply that tells nothing about any data.
    pub fn of_nothing(conn: ConnId, seq: u32, reply: OutBuf) -> Finished {
        Finished { conn, seq, reply, command: None, unstalls: false, seen: Cores::default(), wrote: None }
    }
}

//! What a command function works on: its shard, the selected database, and copies of keys that live elsewhere.

use crate::base::hash::Position;
use crate::commands::args::Args;
use crate::resp::reply::Reply;
use crate::shard::keyspace::Shard;
use crate::types::table::Key;
use crate::types::value::Owned;
use crate::types::vector::look::Look;

/// A command's function. It writes exactly one reply.
pub type CommandFn = fn(&mut Context<'_>, &mut Args<'_>, &mut Reply<'_>);

/// Copies what a command needs of a key, on the key's own shard and from the command's arguments, where that is less
/// than the whole value.
pub type CutFn = fn(&mut Shard, usize, &Args<'_>) -> Option<Owned>;

/// How a command looks through the whole of a value, in steps, before it runs.
#[derive(Debug)]
pub struct Looks {
    /// Whether a call does, as far as its words tell.
    pub does: fn(&Args<'_>) -> bool,
    /// Begins; `None` where the value is none to look through, or is so small that the command does it at once.
    pub begin: fn(&mut Shard, usize, &Args<'_>) -> Option<Look>,
}

/// A key of another shard that a TwoPhase command reads: fetched before the function runs on the home shard.
#[derive(Debug, Default)]
pub struct Foreign {
    /// The key.
    pub key: Vec<u8>,
    /// Database it was read from.
    pub db: usize,
    /// Value and expiry; `None` if it is not there.
    pub found: Option<(Owned, Option<u64>)>,
    /// Set by the function: the key is to be deleted on its own shard (RENAME's source).
    pub delete: bool,
    /// The copy is to share nothing with what it is of, see [`Shard::begin_copy`].
    pub apart: bool,
    /// Number of the copy that is being made in steps.
    pub copying: Option<u64>,
    /// What is fetched in place of the value, and the arguments that say so.
    pub cut: Option<(CutFn, Vec<Vec<u8>>)>,
    /// The same, for what is found by looking through the value in steps.
    pub look: Option<(&'static Looks, Vec<Vec<u8>>)>,
}

/// See the module.
#[derive(Debug)]
pub struct Context<'a> {
    /// This core's slice.
    pub shard: &'a mut Shard,
    /// The selected database.
    pub db: usize,
    /// `CLIENT NO-TOUCH on`.
    pub no_touch: bool,
    /// Position of the first key, if the dispatcher computed it already.
    pub hint: Option<Position>,
    /// Largest string a command may build, bytes (proto-max-bulk-len).
    pub bulk_bytes_max: usize,
    /// Fetched keys of other shards; empty but for TwoPhase commands.
    pub foreign: &'a mut [Foreign],
}

impl Context<'_> {
    /// The command's first key, with the position the dispatcher computed.
    pub fn first_key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        match self.hint {
            Some(pos) => Key { bytes, pos },
            None => Key::new(bytes),
        }
    }

    /// Tells a keyspace event of the selected database; `class` is one of [`crate::shard::events::class`].
    #[inline]
    pub fn happen(&mut self, class: u16, event: &'static str, key: &[u8]) {
        self.shard.events.happen(class, event, self.db, key);
    }

    /// The fetched copy of `key` in `db`, if that key lives on another shard. Reads of a TwoPhase command ask here
    /// first: `Some(foreign)` means "not ours, this is what its shard holds".
    pub fn foreign(&mut self, db: usize, key: &[u8]) -> Option<&mut Foreign> {
        self.foreign.iter_mut().find(|f| f.db == db && f.key == key)
    }
}

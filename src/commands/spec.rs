//! The declarative command table's vocabulary: what a command is called, takes, touches, and how it travels.

use crate::commands::context::CommandFn;

/// How a command reaches the shards that hold its keys.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// No key: answered by the connection's own core at once (PING, CLIENT, CONFIG ...). The function lives above.
    Session,
    /// All keys on one shard (one key, or a key that is named twice).
    OneShard(CommandFn),
    /// Keys may be anywhere: each shard runs the function on its part of the keys, a gather merges the replies.
    Scatter(CommandFn, Gather),
    /// As Scatter, if the check function answers :1 on every part; otherwise the reply is `:0` and nothing happens
    /// (MSETNX, MSETEX with NX or XX).
    CheckedScatter {
        /// Answers `:1` if its part may go ahead.
        check: CommandFn,
        /// Does it.
        run: CommandFn,
        /// Reply when done.
        gather: Gather,
    },
    /// Reads keys of other shards first, then runs on the shard of the key at argument `home`, seeing them as
    /// [`crate::commands::context::Foreign`].
    TwoPhase {
        /// The function.
        run: CommandFn,
        /// Argument index of the key whose shard it runs on.
        home: usize,
    },
    /// Every shard runs it (FLUSHALL, KEYS, DBSIZE).
    AllShards(CommandFn, Gather),
    /// The shard that argument 1, a SCAN cursor, names.
    ByCursor(CommandFn),
}

/// How the parts' replies become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Integers add up.
    Sum,
    /// Every part answers the same simple reply or the first error (MSET, FLUSHALL).
    AllOk,
    /// Array elements go back to the order of the keys (MGET).
    ByKey,
    /// Arrays are joined (KEYS).
    Concat,
    /// One part's non-null reply, drawn with each shard's key count as its weight (RANDOMKEY).
    Draw,
}

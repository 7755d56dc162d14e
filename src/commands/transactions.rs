//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. Data only: what they do concerns the connection and the shards of its keys, so
//! their functions live with the connections, above this layer.

use crate::commands::spec::flag::*;
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("discard", 1, Group::Transactions, "2.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | NOT_QUEUED)
        .docs("Drops the queued commands and ends the transaction.", "O(N) with N the queued commands", ""),
    CommandSpec::new("exec", 1, Group::Transactions, "1.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | NOT_QUEUED)
        .docs("Runs the queued commands, as one.", "Depends on the queued commands.", ""),
    CommandSpec::new("multi", 1, Group::Transactions, "1.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | NOT_QUEUED)
        .docs("Starts a transaction: the commands that follow are queued.", "O(1)", ""),
    CommandSpec::new("unwatch", 1, Group::Transactions, "2.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY)
        .docs("Forgets the watched keys.", "O(N) with N the watched keys", ""),
    CommandSpec::new("watch", -2, Group::Transactions, "2.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | NOT_QUEUED)
        .key_specs(&[KeySpec::range(key::RO, 1, -1, 1)])
        .docs("Has the next EXEC do nothing if one of these keys has changed by then.", "O(1) per key", "key#0..."),
];

//! Generic commands: those that treat a key as a name with an expiry, whatever it holds. No function here looks
//! inside a value beyond its type and encoding.

mod copy;
mod dump;
mod expire;
mod object;
mod presence;
mod rename;
pub(crate) mod scan;

pub use copy::copied_to;
use copy::{copy, move_key};
pub(crate) use dump::limits as value_limits;
use dump::{dump, restore};
use expire::{expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl};
pub(crate) use object::encoding_name;
use object::{object_encoding, object_freq, object_idletime, object_refcount};
use presence::{del, exists, touch, type_name, unlink};
use rename::{rename, renamenx};
pub(crate) use scan::parse_cursor;
use scan::{keys, randomkey, scan};

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::key_args::KeyArg;
use crate::commands::spec::flag::*;
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys, Gather, Group, KeySpec, Plan, acl, key};
use crate::shard::events::class;
use crate::types::table::{EntryView, Expire, Key};
use crate::types::value::Owned;

/// The expiry of a key that moves with its value.
fn carried(expire_ms: Option<u64>) -> Expire {
    expire_ms.map_or(Expire::Clear, Expire::At)
}

/// Puts a value that came from another key in the place of whatever `key` holds. Redis removes that first, so the key
/// counts as new in any case.
fn replace(ctx: &mut Context<'_>, db: usize, key: Key<'_>, occupied: bool, value: Owned, expire_ms: Option<u64>) {
    if occupied {
        ctx.shard.events.happen(class::NEW, "new", db, key.bytes);
    }
    ctx.shard.put(db, key, value, carried(expire_ms));
}

/// Looks at a key as TTL and TYPE do: counted as a hit or miss, but not as an access.
fn inspect<T>(ctx: &mut Context<'_>, key: Key<'_>, look: impl FnOnce(EntryView<'_>) -> T) -> Option<T> {
    let seen = inspect_quietly(ctx, key, look);
    if seen.is_none() {
        ctx.happen(class::MISS, "keymiss", key.bytes);
    }
    seen
}

/// As [`inspect`], but without an event where there is no key (OBJECT).
fn inspect_quietly<T>(ctx: &mut Context<'_>, key: Key<'_>, look: impl FnOnce(EntryView<'_>) -> T) -> Option<T> {
    let seen = ctx.shard.peek(ctx.db, key).map(look);
    match seen {
        Some(_) => ctx.shard.stats.hits += 1,
        None => ctx.shard.stats.misses += 1,
    }
    seen
}

const RESTORE_SYNTAX: &str =
    "key#0 ttl:int serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:int] [FREQ frequency:int]";
const RESTORE_HISTORY: &[(&str, &str)] =
    &[("3.0.0", "REPLACE."), ("5.0.0", "ABSTTL."), ("5.0.0", "IDLETIME and FREQ.")];

/// Subcommands of OBJECT.
const OBJECT: &[CommandSpec] = &[
    CommandSpec::new("object|encoding", 3, Group::Generic, "2.2.3", Plan::OneShard(object_encoding))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO, 2)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the encoding of a value.", "O(1)", "key#0"),
    CommandSpec::new("object|freq", 3, Group::Generic, "4.0.0", Plan::OneShard(object_freq))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO, 2)])
        .tips(&["nondeterministic_output"])
        .docs("Returns a key's access frequency, as the LFU eviction policy counts it.", "O(1)", "key#0"),
    CommandSpec::new("object|help", 2, Group::Generic, "6.2.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("object|idletime", 3, Group::Generic, "2.2.3", Plan::OneShard(object_idletime))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO, 2)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the seconds since a key was last touched.", "O(1)", "key#0"),
    CommandSpec::new("object|refcount", 3, Group::Generic, "2.2.3", Plan::OneShard(object_refcount))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO, 2)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the reference count of a value.", "O(1)", "key#0"),
];

/// The keys of MIGRATE: one, or those behind KEYS.
const MIGRATED: &[KeySpec] = &[
    KeySpec::one(key::RW | key::ACCESS | key::DELETE, 3),
    KeySpec {
        flags: key::RW | key::ACCESS | key::DELETE | key::INCOMPLETE,
        notes: "",
        begin: BeginSearch::Keyword { word: "KEYS", from: -2 },
        find: FindKeys::Range { last: -1, step: 1, limit: 0 },
    },
];

/// The keys of a call of MIGRATE: the one in its place or, where that is empty, those behind KEYS. None if the call has
/// both. What follows AUTH and AUTH2 is no option.
fn migrated(args: &Args<'_>) -> Vec<KeyArg> {
    let arg = |index| KeyArg { index, flags: key::RW | key::ACCESS | key::DELETE };
    let mut at = 6;
    while at < args.len() {
        match args[at].to_ascii_lowercase().as_slice() {
            b"keys" if args[3].is_empty() => return (at + 1..args.len()).map(arg).collect(),
            b"keys" => return Vec::new(),
            b"auth" => at += 2,
            b"auth2" => at += 3,
            _ => at += 1,
        }
    }
    vec![arg(3)]
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("copy", -3, Group::Generic, "6.2.0", Plan::TwoPhase { run: copy, home: 2 })
        .flags(WRITE | DENYOOM | COPIES)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1), KeySpec::one(key::OW | key::UPDATE, 2)])
        .docs(
            "Copies a value, and its expiry, to another key.",
            "O(N) with N the elements; O(1) for a string",
            "source#0 destination#1 [DB destination-db:int] [REPLACE]",
        ),
    CommandSpec::new("del", -2, Group::Generic, "1.0.0", Plan::Scatter(del, Gather::Sum))
        .flags(WRITE)
        .key_specs(&[KeySpec::range(key::RM | key::DELETE, 1, -1, 1)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs("Deletes keys.", "O(N) with N the keys and the elements they hold", "key#0..."),
    CommandSpec::new("dump", 2, Group::Generic, "2.6.0", Plan::OneShard(dump))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Returns a value in the format of RDB files.", "O(N) with N the bytes of the value", "key#0"),
    CommandSpec::new("exists", -2, Group::Generic, "1.0.0", Plan::Scatter(exists, Gather::Sum))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::range(key::RO, 1, -1, 1)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs("Counts how many of the named keys are there.", "O(N) with N the number of keys", "key#0...")
        .history(&[("3.0.3", "Several keys.")]),
    CommandSpec::new("expire", -3, Group::Generic, "1.0.0", Plan::OneShard(expire))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Lets a key expire after so many seconds.", "O(1)", "key#0 seconds:int [condition=(NX|XX|GT|LT)]")
        .history(&[("7.0.0", "NX, XX, GT and LT.")]),
    CommandSpec::new("expireat", -3, Group::Generic, "1.2.0", Plan::OneShard(expireat))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Lets a key expire at a Unix time in seconds.",
            "O(1)",
            "key#0 unix-time-seconds:unix [condition=(NX|XX|GT|LT)]",
        )
        .history(&[("7.0.0", "NX, XX, GT and LT.")]),
    CommandSpec::new("expiretime", 2, Group::Generic, "7.0.0", Plan::OneShard(expiretime))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the Unix time in seconds at which a key expires.", "O(1)", "key#0"),
    CommandSpec::new("keys", 2, Group::Generic, "1.0.0", Plan::AllShards(keys, Gather::Concat))
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
        .acl(acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .docs("Returns every key that matches a pattern.", "O(N) with N the keys in the database", "pattern:pattern"),
    CommandSpec::new("migrate", -6, Group::Generic, "2.6.0", Plan::Session)
        .flags(WRITE | WITHIN_LOCKS)
        .acl(acl::DANGEROUS)
        .key_specs(MIGRATED)
        .keys_by(migrated)
        .tips(&["nondeterministic_output"])
        .docs(
            "Moves keys to another server.",
            "O(N) with N the elements of the values, and what DUMP and RESTORE take",
            "host port:int key-selector=(key#0|empty-string=\"\") destination-db:int timeout:int [COPY] [REPLACE] \
             [authentication=(AUTH auth/password/|AUTH2 auth2={username password})] [KEYS keys#1/key/...]",
        )
        .history(&[("3.0.0", "COPY and REPLACE."), ("3.0.6", "KEYS."), ("4.0.7", "AUTH."), ("6.0.0", "AUTH2.")]),
    CommandSpec::new("move", 3, Group::Generic, "1.0.0", Plan::OneShard(move_key))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .docs("Moves a key to another database.", "O(1)", "key#0 db:int"),
    CommandSpec::container("object", Group::Generic, "2.2.3", "Container: looks at how a value is kept.", OBJECT),
    CommandSpec::new("persist", 2, Group::Generic, "2.2.0", Plan::OneShard(persist))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Removes the expiry of a key.", "O(1)", "key#0"),
    CommandSpec::new("pexpire", -3, Group::Generic, "2.6.0", Plan::OneShard(pexpire))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Lets a key expire after so many milliseconds.",
            "O(1)",
            "key#0 milliseconds:int [condition=(NX|XX|GT|LT)]",
        )
        .history(&[("7.0.0", "NX, XX, GT and LT.")]),
    CommandSpec::new("pexpireat", -3, Group::Generic, "2.6.0", Plan::OneShard(pexpireat))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Lets a key expire at a Unix time in milliseconds.",
            "O(1)",
            "key#0 unix-time-milliseconds:unix [condition=(NX|XX|GT|LT)]",
        )
        .history(&[("7.0.0", "NX, XX, GT and LT.")]),
    CommandSpec::new("pexpiretime", 2, Group::Generic, "7.0.0", Plan::OneShard(pexpiretime))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the Unix time in milliseconds at which a key expires.", "O(1)", "key#0"),
    CommandSpec::new("pttl", 2, Group::Generic, "2.6.0", Plan::OneShard(pttl))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the milliseconds until a key expires.", "O(1)", "key#0"),
    CommandSpec::new("randomkey", 1, Group::Generic, "1.0.0", Plan::AllShards(randomkey, Gather::Draw))
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .docs("Returns any key of the database.", "O(1)", ""),
    CommandSpec::new("rename", 3, Group::Generic, "1.0.0", Plan::TwoPhase { run: rename, home: 2 })
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::OW | key::UPDATE, 2)])
        .docs("Renames a key, replacing the target.", "O(1), and freeing a replaced value", "key#0 newkey#1")
        .history(&[("3.2.0", "The same key twice is no error.")]),
    CommandSpec::new("renamenx", 3, Group::Generic, "1.0.0", Plan::TwoPhase { run: renamenx, home: 2 })
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::OW | key::INSERT, 2)])
        .docs("Renames a key if the target is not there.", "O(1)", "key#0 newkey#1")
        .history(&[("3.2.0", "The same key twice is no error.")]),
    CommandSpec::new("restore", -4, Group::Generic, "2.6.0", Plan::OneShard(restore))
        .flags(WRITE | DENYOOM)
        .acl(acl::DANGEROUS)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1)])
        .docs("Makes a key of what DUMP returned.", "O(N) with N the elements of the value", RESTORE_SYNTAX)
        .history(RESTORE_HISTORY),
    CommandSpec::new("restore-asking", -4, Group::Server, "3.0.0", Plan::OneShard(restore))
        .flags(WRITE | DENYOOM | ASKING)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1)])
        .docs("RESTORE, as one node of a cluster sends it to another.", "O(N)", RESTORE_SYNTAX)
        .history(RESTORE_HISTORY)
        .internal(),
    CommandSpec::new("scan", -2, Group::Generic, "2.8.0", Plan::ByCursor(scan))
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .docs(
            "Walks the keys of the database, a few per call.",
            "O(1) per call, O(N) for the whole walk",
            "cursor:int [MATCH pattern:pattern] [COUNT count:int] [TYPE type]",
        )
        .history(&[("6.0.0", "TYPE.")]),
    CommandSpec::new("touch", -2, Group::Generic, "3.2.1", Plan::Scatter(touch, Gather::Sum))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::range(key::RO, 1, -1, 1)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Counts the named keys that are there, and stamps them as used.",
            "O(N) with N the number of keys",
            "key#0...",
        ),
    CommandSpec::new("ttl", 2, Group::Generic, "1.0.0", Plan::OneShard(ttl))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the seconds until a key expires.", "O(1)", "key#0"),
    CommandSpec::new("type", 2, Group::Generic, "1.0.0", Plan::OneShard(type_name))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns the type of a value.", "O(1)", "key#0"),
    CommandSpec::new("unlink", -2, Group::Generic, "4.0.0", Plan::Scatter(unlink, Gather::Sum))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::range(key::RM | key::DELETE, 1, -1, 1)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs("Deletes keys and frees what they held later.", "O(1) per key; freeing is O(N) off the way", "key#0..."),
];

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;

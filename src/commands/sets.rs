//! The set commands: members, and how the family's keys are read, changed and emptied. The table is at the end. Never
//! looks at a value of another type but to refuse it.

mod algebra;
mod members;
mod random;
mod transfer;

use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};
use crate::commands::strings::Refusal;
use crate::resp::reply::Reply;
use crate::types::listpack::Item;
use crate::types::set::{Set, SetLimits};
use crate::types::table::Key;
use crate::types::value::{NewValue, Value, View};
use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use members::{sadd, scard, sismember, smembers, smismember, srem, sscan};
use random::{spop, srandmember};
use transfer::{smove, smove_relay};

/// What the settings say about encodings.
fn limits(ctx: &Context<'_>) -> SetLimits {
    let settings = &ctx.shard.settings;
    SetLimits {
        ints: settings.set_intset_entries_max,
        pack: settings.set_listpack_entries_max,
        pack_value_bytes: settings.set_listpack_value_bytes_max,
    }
}

/// The set in a view, or the refusal of another type.
fn set_of(view: View<'_>) -> Result<&Set, Refusal> {
    match view {
        View::Boxed(value) => value.as_set().ok_or(errors::WRONGTYPE),
        _ => Err(errors::WRONGTYPE),
    }
}

/// The set at `key`, for a read; `None` if the key is absent.
fn read<'c>(ctx: &'c mut Context<'_>, key: Key<'_>) -> Result<Option<&'c Set>, Refusal> {
    ctx.shard.read(ctx.db, key, ctx.no_touch).map(set_of).transpose()
}

/// A set as a value.
fn boxed(set: Set) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Value::Set(set)))
}

/// Answers a member as a string.
#[inline]
fn answer(reply: &mut Reply<'_>, member: Item<'_>) {
    match member {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("sadd", -3, Group::Set, "1.0.0", Plan::OneShard(sadd))
        .flags(WRITE | DENYOOM | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .docs("Adds members to a set; a missing key starts empty.", "O(1) per member", "key#0 member...")
        .history(&[("2.4.0", "Several members.")]),
    CommandSpec::new("scard", 2, Group::Set, "1.0.0", Plan::OneShard(scard))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns how many members a set has.", "O(1)", "key#0"),
    CommandSpec::new("sdiff", -2, Group::Set, "1.0.0", Plan::TwoPhase { run: sdiff, home: 1 })
        .flags(READONLY)
        .key_specs(&[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Returns the members of the first set that are in none of the others.",
            "O(N) with N the members of the first set times the sets",
            "key#0...",
        ),
    CommandSpec::new("sdiffstore", -3, Group::Set, "1.0.0", Plan::TwoPhase { run: sdiffstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::range(key::RO | key::ACCESS, 2, -1, 1)])
        .docs(
            "Stores the members of the first set that are in none of the others.",
            "O(N) with N the members of the first set times the sets",
            "destination#0 key#1...",
        ),
    CommandSpec::new("sinter", -2, Group::Set, "1.0.0", Plan::TwoPhase { run: sinter, home: 1 })
        .flags(READONLY)
        .key_specs(&[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Returns the members that all sets have.",
            "O(N*M) with N the members of the smallest set and M the sets",
            "key#0...",
        ),
    CommandSpec::new("sintercard", -3, Group::Set, "7.0.0", Plan::TwoPhase { run: sintercard, home: 2 })
        .flags(READONLY)
        .key_specs(&[KeySpec::counted(key::RO | key::ACCESS, 1, 1)])
        .docs(
            "Counts the members that all sets have, up to a limit.",
            "O(N*M) with N the members of the smallest set and M the sets",
            "numkeys:int key#0... [LIMIT limit:int]",
        ),
    CommandSpec::new("sinterstore", -3, Group::Set, "1.0.0", Plan::TwoPhase { run: sinterstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::range(key::RO | key::ACCESS, 2, -1, 1)])
        .docs(
            "Stores the members that all sets have.",
            "O(N*M) with N the members of the smallest set and M the sets",
            "destination#0 key#1...",
        ),
    CommandSpec::new("sismember", 3, Group::Set, "1.0.0", Plan::OneShard(sismember))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Tells whether something is a member of a set.", "O(1)", "key#0 member"),
    CommandSpec::new("smembers", 2, Group::Set, "1.0.0", Plan::OneShard(smembers))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs("Returns all members of a set.", "O(N) with N the members", "key#0"),
    CommandSpec::new("smismember", -3, Group::Set, "6.2.0", Plan::OneShard(smismember))
        .flags(READONLY | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Tells of several things whether they are members of a set.", "O(1) each", "key#0 member..."),
    CommandSpec::new("smove", 4, Group::Set, "1.0.0", Plan::Relay { run: smove, relay: smove_relay })
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .docs("Moves a member from one set to another.", "O(1)", "source#0 destination#1 member"),
    CommandSpec::new("spop", -2, Group::Set, "1.0.0", Plan::OneShard(spop))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Removes and returns members drawn at random.", "O(1) per member", "key#0 [count:int]")
        .history(&[("3.2.0", "The count.")]),
    CommandSpec::new("srandmember", -2, Group::Set, "1.0.0", Plan::OneShard(srandmember))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Returns members drawn at random.", "O(1) per member", "key#0 [count:int]")
        .history(&[("2.6.0", "The count.")]),
    CommandSpec::new("srem", -3, Group::Set, "1.0.0", Plan::OneShard(srem))
        .flags(WRITE | FAST)
        .member(2)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs("Removes members from a set.", "O(1) per member", "key#0 member...")
        .history(&[("2.4.0", "Several members.")]),
    CommandSpec::new("sscan", -3, Group::Set, "2.8.0", Plan::OneShard(sscan))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Walks the members of a set, a few per call.",
            "O(1) per call, O(N) for the whole walk",
            "key#0 cursor:int [MATCH pattern:pattern] [COUNT count:int]",
        ),
    CommandSpec::new("sunion", -2, Group::Set, "1.0.0", Plan::TwoPhase { run: sunion, home: 1 })
        .flags(READONLY)
        .key_specs(&[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)])
        .tips(&["nondeterministic_output_order"])
        .docs("Returns the members that any of the sets has.", "O(N) with N the members of all sets", "key#0..."),
    CommandSpec::new("sunionstore", -3, Group::Set, "1.0.0", Plan::TwoPhase { run: sunionstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::range(key::RO | key::ACCESS, 2, -1, 1)])
        .docs(
            "Stores the members that any of the sets has.",
            "O(N) with N the members of all sets",
            "destination#0 key#1...",
        ),
];

#[cfg(test)]
#[path = "sets_tests.rs"]
mod tests;

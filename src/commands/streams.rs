//! The stream commands and their table. Never looks at a value of another type but to refuse it.
//!
//! [`words`] reads arguments and writes entries, [`add`] changes entries, [`range`] and [`read`] read them, [`groups`]
//! and [`pending`] keep who was given what, [`info`] shows it.

mod add;
mod follow;
mod groups;
mod info;
mod pending;
mod range;
mod read;
mod resp3;
mod words;

use crate::commands::spec::flag::*;
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys, Group, KeyFlags, KeySpec, Plan, key};
use add::{xadd, xdel, xsetid, xtrim};
use pending::{xack, xautoclaim, xclaim, xpending};
use range::{xlen, xrange, xrevrange};
use read::{relay, xread, xreadgroup};

/// The keys behind STREAMS: half of what follows.
const fn streams(from: i16) -> KeySpec {
    let flags: KeyFlags = key::RO | key::ACCESS;
    let begin = BeginSearch::Keyword { word: "STREAMS", from };
    KeySpec { flags, notes: "", begin, find: FindKeys::Range { last: -1, step: 1, limit: 2 } }
}

/// Subcommands of XGROUP.
const XGROUP: &[CommandSpec] = &[
    CommandSpec::new("xgroup|create", -5, Group::Stream, "5.0.0", Plan::OneShard(groups::create))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 2)])
        .docs(
            "Makes a consumer group.",
            "O(1)",
            "key#0 group id-selector=(id|new-id=\"$\") [MKSTREAM] [ENTRIESREAD entriesread:int/entries-read/]",
        )
        .history(&[("7.0.0", "ENTRIESREAD.")]),
    CommandSpec::new("xgroup|createconsumer", 5, Group::Stream, "6.2.0", Plan::OneShard(groups::create_consumer))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::INSERT, 2)])
        .docs("Makes a consumer in a group.", "O(1)", "key#0 group consumer"),
    CommandSpec::new("xgroup|delconsumer", 5, Group::Stream, "5.0.0", Plan::OneShard(groups::del_consumer))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 2)])
        .docs(
            "Removes a consumer with its pending entries.",
            "O(N) with N its pending entries",
            "key#0 group consumer",
        ),
    CommandSpec::new("xgroup|destroy", 4, Group::Stream, "5.0.0", Plan::OneShard(groups::destroy))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 2)])
        .docs("Removes a consumer group.", "O(N) with N its pending entries", "key#0 group"),
    CommandSpec::new("xgroup|help", 2, Group::Stream, "5.0.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("xgroup|setid", -5, Group::Stream, "5.0.0", Plan::OneShard(groups::set_id))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 2)])
        .docs(
            "Sets where a consumer group stands.",
            "O(1)",
            "key#0 group id-selector=(id|new-id=\"$\") [ENTRIESREAD entriesread:int/entries-read/]",
        )
        .history(&[("7.0.0", "ENTRIESREAD.")]),
];

/// Subcommands of XINFO.
const XINFO: &[CommandSpec] = &[
    CommandSpec::new("xinfo|consumers", 4, Group::Stream, "5.0.0", Plan::OneShard(info::consumers))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the consumers of a group.", "O(N) with N the consumers", "key#0 group")
        .history(&[("7.2.0", "`inactive`.")]),
    CommandSpec::new("xinfo|groups", 3, Group::Stream, "5.0.0", Plan::OneShard(info::groups))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .docs("Returns the consumer groups of a stream.", "O(N) with N the groups", "key#0")
        .history(&[("7.0.0", "`entries-read` and `lag`.")]),
    CommandSpec::new("xinfo|help", 2, Group::Stream, "5.0.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("xinfo|stream", -3, Group::Stream, "5.0.0", Plan::OneShard(info::stream))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .docs(
            "Returns how a stream looks; with FULL its entries and groups too.",
            "O(1); with FULL O(N) with N what it shows",
            "key#0 [full-block={FULL [COUNT count:int]}]",
        )
        .history(&[
            ("6.0.0", "FULL."),
            ("7.0.0", "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read`, `lag`."),
            ("7.2.0", "`active-time`; `seen-time` is the last time the consumer asked for anything."),
        ]),
];

const RETURNED: &str = "O(N) with N the entries returned";
const XADD_SYNTAX: &str = "key#0 [NOMKSTREAM] \
                           [trim={strategy=(MAXLEN|MINID) [operator=(equal=\"=\"|approximately=\"~\")] threshold \
                           [LIMIT count:int]}] id-selector=(auto-id=\"*\"|id) data={field value}...";
const XTRIM_SYNTAX: &str = "key#0 trim={strategy=(MAXLEN|MINID) \
                            [operator=(equal=\"=\"|approximately=\"~\")] threshold [LIMIT count:int]}";

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("xack", -4, Group::Stream, "5.0.0", Plan::OneShard(xack))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs("Acknowledges entries that a group's consumers were given.", "O(1) per identifier", "key#0 group id..."),
    CommandSpec::new("xadd", -5, Group::Stream, "5.0.0", Plan::OneShard(xadd))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Appends an entry to a stream, making the stream if there is none.",
            "O(1); with trimming O(N) with N the entries that go",
            XADD_SYNTAX,
        )
        .history(&[("6.2.0", "NOMKSTREAM, MINID and LIMIT."), ("7.0.0", "Identifiers of the form `<ms>-*`.")]),
    CommandSpec::new("xautoclaim", -6, Group::Stream, "6.2.0", Plan::OneShard(xautoclaim))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Gives a consumer entries that another has kept pending for too long.",
            "O(1) for a small COUNT",
            "key#0 group consumer min-idle-time start [COUNT count:int] [JUSTID]",
        )
        .history(&[("7.0.0", "Returns the entries that were deleted meanwhile.")]),
    CommandSpec::new("xclaim", -6, Group::Stream, "5.0.0", Plan::OneShard(xclaim))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Gives a consumer entries that another has pending.",
            "O(log N) per identifier with N the group's pending entries",
            "key#0 group consumer min-idle-time id... [IDLE ms:int] [TIME unix-time-milliseconds:unix] \
             [RETRYCOUNT count:int] [FORCE] [JUSTID] [LASTID lastid]",
        ),
    CommandSpec::new("xdel", -3, Group::Stream, "5.0.0", Plan::OneShard(xdel))
        .flags(WRITE | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .docs("Deletes entries.", "O(1) per identifier", "key#0 id..."),
    CommandSpec::container("xgroup", Group::Stream, "5.0.0", "Container: consumer groups.", XGROUP),
    CommandSpec::container("xinfo", Group::Stream, "5.0.0", "Container: looks at a stream.", XINFO),
    CommandSpec::new("xlen", 2, Group::Stream, "5.0.0", Plan::OneShard(xlen))
        .flags(READONLY | FAST)
        .key_specs(&[KeySpec::one(key::RO, 1)])
        .docs("Returns how many entries a stream has.", "O(1)", "key#0"),
    CommandSpec::new("xpending", -3, Group::Stream, "5.0.0", Plan::OneShard(xpending))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns what a group's consumers have not acknowledged.",
            "O(N) with N what it returns",
            "key#0 group [filters={[IDLE min-idle-time:int] start end count:int [consumer]}]",
        )
        .history(&[("6.2.0", "IDLE and exclusive ranges.")]),
    CommandSpec::new("xrange", -4, Group::Stream, "5.0.0", Plan::OneShard(xrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the entries of a range.", RETURNED, "key#0 start end [COUNT count:int]")
        .history(&[("6.2.0", "Exclusive ranges.")]),
    CommandSpec::new("xread", -4, Group::Stream, "5.0.0", Plan::Relay { run: xread, relay })
        .flags(READONLY | BLOCKING)
        .key_specs(&[streams(1)])
        .docs(
            "Returns the entries behind given ones, of one or more streams; may wait for them.",
            RETURNED,
            "[COUNT count:int] [BLOCK milliseconds:int] STREAMS streams={key#0... id...}",
        )
        .history(&[("7.4.0", "The identifier `+` for the last entry.")])
        .blocking(&read::XREAD),
    CommandSpec::new("xreadgroup", -7, Group::Stream, "5.0.0", Plan::Relay { run: xreadgroup, relay })
        .flags(WRITE | BLOCKING)
        .key_specs(&[streams(4)])
        .docs(
            "Returns entries to a consumer that its group was not given yet, or its own pending ones; may wait.",
            RETURNED,
            "GROUP group-block={group consumer} [COUNT count:int] [BLOCK milliseconds:int] [NOACK] \
             STREAMS streams={key#0... id...}",
        )
        .blocking(&read::XREADGROUP),
    CommandSpec::new("xrevrange", -4, Group::Stream, "5.0.0", Plan::OneShard(xrevrange))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the entries of a range, the last first.", RETURNED, "key#0 end start [COUNT count:int]")
        .history(&[("6.2.0", "Exclusive ranges.")]),
    CommandSpec::new("xsetid", -3, Group::Stream, "5.0.0", Plan::OneShard(xsetid))
        .flags(WRITE | DENYOOM | FAST)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Sets the last identifier of a stream (for replication and the like).",
            "O(1)",
            "key#0 last-id [ENTRIESADDED entries-added:int] [MAXDELETEDID max-deleted-id]",
        )
        .history(&[("7.0.0", "ENTRIESADDED and MAXDELETEDID.")]),
    CommandSpec::new("xtrim", -4, Group::Stream, "5.0.0", Plan::OneShard(xtrim))
        .flags(WRITE)
        .key_specs(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .docs("Deletes entries from the front of a stream.", "O(N) with N the entries that go", XTRIM_SYNTAX)
        .history(&[("6.2.0", "MINID and LIMIT.")]),
];

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;

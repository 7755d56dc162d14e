//! Commands about the server as a whole. Here are the functions of those that a shard runs for its slice of the keys;
//! the others touch no key, and their functions live with configuration and statistics, above this layer.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::flag::*;
use crate::commands::spec::{CommandSpec, Gather, Group, KeySpec, Plan, acl, key};
use crate::resp::reply::Reply;

/// DBSIZE: this shard's keys of the selected database, expired ones that nobody met included, as in Redis.
pub(crate) fn dbsize(ctx: &mut Context<'_>, _args: &mut Args<'_>, reply: &mut Reply<'_>) {
    reply.integer(ctx.shard.len(ctx.db) as i64);
}

/// FLUSHDB [ASYNC|SYNC].
pub(crate) fn flushdb(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    flush(ctx, Some(ctx.db), args, reply);
}

/// FLUSHALL [ASYNC|SYNC].
pub(crate) fn flushall(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    flush(ctx, None, args, reply);
}

fn flush(ctx: &mut Context<'_>, db: Option<usize>, args: &Args<'_>, reply: &mut Reply<'_>) {
    // Both free in steps: a client that asked for SYNC is not to hold up all others.
    let known = |word: &[u8]| word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    if args.len() > 2 || args.get(1).is_some_and(|word| !known(word)) {
        return reply.error(errors::SYNTAX);
    }
    ctx.shard.flush(db);
    ctx.shard.flushed_all |= db.is_none();
    reply.ok();
}

/// SWAPDB index1 index2: this shard's part of the two databases.
pub(crate) fn swapdb(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    // Redis reads a C int: larger numbers are no indexes at all.
    let index = |text: &[u8]| parse_i64(text).and_then(|n| i32::try_from(n).ok());
    let Some(first) = index(&args[1]) else { return reply.error("ERR invalid first DB index") };
    let Some(second) = index(&args[2]) else { return reply.error("ERR invalid second DB index") };
    let known = |db: i32| usize::try_from(db).ok().filter(|db| *db < ctx.shard.tables.len());
    let (Some(first), Some(second)) = (known(first), known(second)) else {
        return reply.error(errors::DB_OUT_OF_RANGE);
    };
    ctx.shard.swap_db(first, second);
    ctx.shard.dirty += 1;
    reply.ok();
}

/// MEMORY USAGE key [SAMPLES count]. Strings need no sampling; the count is only checked.
pub(crate) fn memory_usage(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let mut at = 3;
    while at < args.len() {
        if !args[at].eq_ignore_ascii_case(b"samples") || at + 1 == args.len() {
            return reply.error(errors::SYNTAX);
        }
        match parse_i64(&args[at + 1]) {
            None => return reply.error(errors::NOT_INTEGER),
            Some(..0) => return reply.error(errors::SYNTAX),
            Some(_) => at += 2,
        }
    }
    // The position that the dispatcher worked out is that of the first key, which is this one.
    match ctx.shard.key_bytes(ctx.db, ctx.first_key(&args[2])) {
        Some(bytes) => reply.integer(bytes as i64),
        None => reply.null(),
    }
}

/// Subcommands of COMMAND.
const COMMAND: &[CommandSpec] = &[
    CommandSpec::new("command|count", 2, Group::Server, "2.8.13", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .docs("Counts the commands.", "O(1)", ""),
    CommandSpec::new("command|docs", -2, Group::Server, "7.0.0", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs("Documents commands.", "O(N) with N the commands asked for", "[command-name...]"),
    CommandSpec::new("command|getkeys", -3, Group::Server, "2.8.13", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .docs("Finds the keys among the arguments of a command.", "O(N) with N the arguments", "command [arg...]"),
    CommandSpec::new("command|getkeysandflags", -3, Group::Server, "7.0.0", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .docs(
            "Finds the keys among the arguments of a command, and what it does to them.",
            "O(N) with N the arguments",
            "command [arg...]",
        ),
    CommandSpec::new("command|help", 2, Group::Server, "5.0.0", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .docs("Lists the subcommands.", "O(1)", ""),
    CommandSpec::new("command|info", -2, Group::Server, "2.8.13", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs("Describes the named commands, or all.", "O(N) with N the commands asked for", "[command-name...]")
        .history(&[("7.0.0", "No name means all.")]),
    CommandSpec::new("command|list", -2, Group::Server, "7.0.0", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Lists the names of commands.",
            "O(N) with N the number of commands",
            "[FILTERBY filterby=(MODULE module-name|ACLCAT category|PATTERN pattern:pattern)]",
        ),
];

/// Subcommands of COMMANDLOG.
const COMMANDLOG: &[CommandSpec] = &[
    CommandSpec::new("commandlog|get", 4, Group::Server, "8.1.0", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .docs(
            "Returns the newest entries of a log.",
            "O(N) with N the entries returned",
            "count:int type=(SLOW|LARGE-REQUEST|LARGE-REPLY)",
        ),
    CommandSpec::new("commandlog|help", 2, Group::Server, "8.1.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("commandlog|len", 3, Group::Server, "8.1.0", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .docs("Counts the entries of a log.", "O(1)", "type=(SLOW|LARGE-REQUEST|LARGE-REPLY)"),
    CommandSpec::new("commandlog|reset", 3, Group::Server, "8.1.0", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Empties a log.", "O(N) with N the entries", "type=(SLOW|LARGE-REQUEST|LARGE-REPLY)"),
];

/// Subcommands of CONFIG.
const CONFIG: &[CommandSpec] = &[
    CommandSpec::new("config|get", -3, Group::Server, "2.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs("Returns the settings that match.", "O(N) with N the patterns", "parameter...")
        .history(&[("7.0.0", "Several patterns.")]),
    CommandSpec::new("config|help", 2, Group::Server, "5.0.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("config|resetstat", 2, Group::Server, "2.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Sets the counters of INFO back.", "O(1)", ""),
    CommandSpec::new("config|rewrite", 2, Group::Server, "2.8.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Writes the settings in effect to the configuration file.", "O(1)", ""),
    CommandSpec::new("config|set", -4, Group::Server, "2.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Changes settings, all or none.", "O(N) with N the settings", "data={parameter value}...")
        .history(&[("7.0.0", "Several settings.")]),
];

/// Subcommands of LATENCY.
const LATENCY: &[CommandSpec] = &[
    CommandSpec::new("latency|doctor", 2, Group::Server, "2.8.13", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .docs("Explains what was slow, in words.", "O(1)", ""),
    CommandSpec::new("latency|graph", 3, Group::Server, "2.8.13", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .docs("Draws the latency of an event.", "O(1)", "event"),
    CommandSpec::new("latency|help", 2, Group::Server, "2.8.13", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("latency|histogram", -2, Group::Server, "7.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .docs(
            "Returns how long commands took, as cumulative histograms.",
            "O(N) with N the commands that have a histogram",
            "[command...]",
        ),
    CommandSpec::new("latency|history", 3, Group::Server, "2.8.13", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .docs("Returns times and latencies of an event.", "O(1)", "event"),
    CommandSpec::new("latency|latest", 2, Group::Server, "2.8.13", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .docs("Returns the latest latency of every event.", "O(1)", ""),
    CommandSpec::new("latency|reset", -2, Group::Server, "2.8.13", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
        .docs("Forgets the samples of events.", "O(1)", "[event...]"),
];

/// Subcommands of MEMORY.
const MEMORY: &[CommandSpec] = &[
    CommandSpec::new("memory|doctor", 2, Group::Server, "4.0.0", Plan::Session)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .docs("Explains how memory is used, in words.", "O(1)", ""),
    CommandSpec::new("memory|help", 2, Group::Server, "4.0.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("memory|malloc-stats", 2, Group::Server, "4.0.0", Plan::Session)
        .flags(LOADING)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .docs("Returns the allocator's figures.", "Depends on how much memory is allocated.", ""),
    CommandSpec::new("memory|purge", 2, Group::Server, "4.0.0", Plan::Session)
        .flags(LOADING)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("Asks the allocator to give memory back.", "Depends on how much memory is allocated.", ""),
    CommandSpec::new("memory|stats", 2, Group::Server, "4.0.0", Plan::Session)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .docs("Returns figures about memory.", "O(1)", ""),
    CommandSpec::new("memory|usage", -3, Group::Server, "4.0.0", Plan::OneShard(memory_usage))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO, 2)])
        .docs("Estimates the bytes a key takes.", "O(N) with N the samples", "key#0 [SAMPLES count:int]"),
];

/// Subcommands of SLOWLOG.
const SLOWLOG: &[CommandSpec] = &[
    CommandSpec::new("slowlog|get", -2, Group::Server, "2.2.12", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .docs("Returns the newest entries.", "O(N) with N the entries returned", "[count:int]")
        .history(&[("4.0.0", "The client's address and name.")]),
    CommandSpec::new("slowlog|help", 2, Group::Server, "6.2.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("slowlog|len", 2, Group::Server, "2.2.12", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .docs("Counts the entries.", "O(1)", ""),
    CommandSpec::new("slowlog|reset", 2, Group::Server, "2.2.12", Plan::Session)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Empties the log.", "O(N) with N the entries", ""),
];

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("command", -1, Group::Server, "2.8.13", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs("Describes every command.", "O(N) with N the number of commands", "")
        .subcommands(COMMAND),
    CommandSpec::container(
        "commandlog",
        Group::Server,
        "8.1.0",
        "Container: commands that were slow or large.",
        COMMANDLOG,
    ),
    CommandSpec::container("config", Group::Server, "2.0.0", "Container: the settings of the server.", CONFIG),
    CommandSpec::new("dbsize", 1, Group::Server, "1.0.0", Plan::AllShards(dbsize, Gather::Sum))
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .docs("Counts the keys of the database.", "O(1)", ""),
    CommandSpec::new("bgrewriteaof", 1, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING)
        .docs("Begins the append-only file anew, while commands go on.", "O(1)", ""),
    CommandSpec::new("bgsave", -1, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING)
        .docs("Saves the data set to disk while commands go on.", "O(1)", "[operation=(SCHEDULE|CANCEL)]")
        .history(&[("3.2.2", "SCHEDULE."), ("8.1.0", "CANCEL.")]),
    CommandSpec::new("lastsave", 1, Group::Server, "1.0.0", Plan::Session)
        .flags(LOADING | STALE | FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .tips(&["nondeterministic_output"])
        .docs("Tells when the data set was last saved.", "O(1)", ""),
    CommandSpec::new("save", 1, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI)
        .docs("Saves the data set to disk and answers when that is done.", "O(N) with N the keys", ""),
    CommandSpec::new("debug", -2, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | WITHIN_LOCKS | LOCKS_ALL)
        .docs("Container: for tests and for developers of the server.", "", "")
        .internal(),
    CommandSpec::new("flushall", -1, Group::Server, "1.0.0", Plan::AllShards(flushall, Gather::AllOk))
        .flags(WRITE)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "Deletes every key of every database.",
            "O(N) with N the keys in all databases",
            "[flush-type=(ASYNC|SYNC)]",
        )
        .history(&[("4.0.0", "ASYNC."), ("6.2.0", "SYNC.")]),
    CommandSpec::new("flushdb", -1, Group::Server, "1.0.0", Plan::AllShards(flushdb, Gather::AllOk))
        .flags(WRITE)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("Deletes every key of the database.", "O(N) with N the keys in the database", "[flush-type=(ASYNC|SYNC)]")
        .history(&[("4.0.0", "ASYNC."), ("6.2.0", "SYNC.")]),
    CommandSpec::new("info", -1, Group::Server, "1.0.0", Plan::Session)
        .flags(LOADING | STALE)
        .acl(acl::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .docs("Returns figures about the server.", "O(1)", "[section...]")
        .history(&[("7.0.0", "Several sections.")]),
    CommandSpec::container("latency", Group::Server, "2.8.13", "Container: what slowed the server down.", LATENCY),
    CommandSpec::new("lolwut", -1, Group::Server, "5.0.0", Plan::Session).flags(READONLY | FAST).docs(
        "Draws something, and tells the version.",
        "",
        "[VERSION version:int]",
    ),
    CommandSpec::container("memory", Group::Server, "4.0.0", "Container: where memory goes.", MEMORY),
    CommandSpec::new("monitor", 1, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs("Streams every command the server runs.", "", ""),
    CommandSpec::new("role", 1, Group::Server, "2.8.12", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .docs("Tells whether the server is a master or a replica, and of whom.", "O(1)", ""),
    CommandSpec::new("shutdown", -1, Group::Server, "1.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY)
        .docs(
            "Ends the server, after saving if it should.",
            "O(N) with N the keys if it saves",
            "[abort-selector=(save-selector-block={[save-selector=(NOSAVE|SAVE)] [NOW] [FORCE] [SAFE] \
                [FAILOVER]}|ABORT)]",
        )
        .history(&[("7.0.0", "NOW, FORCE and ABORT."), ("9.0.0", "SAFE and FAILOVER.")]),
    CommandSpec::container("slowlog", Group::Server, "2.2.12", "Container: commands that were slow.", SLOWLOG),
    CommandSpec::new("swapdb", 3, Group::Server, "4.0.0", Plan::AllShards(swapdb, Gather::AllOk))
        .flags(WRITE | FAST)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .docs(
            "Swaps two databases for all clients.",
            "O(N) with N the clients that watch or wait for their keys",
            "index1:int index2:int",
        ),
    CommandSpec::new("time", 1, Group::Server, "2.6.0", Plan::Session)
        .flags(LOADING | STALE | FAST)
        .tips(&["nondeterministic_output"])
        .docs("Returns the Unix time in seconds, and the microseconds beyond.", "O(1)", ""),
    CommandSpec::new("wait", 3, Group::Generic, "3.0.0", Plan::Session)
        .flags(BLOCKING)
        .acl(acl::CONNECTION)
        .not_acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs("Waits until so many replicas have what was written so far.", "O(1)", "numreplicas:int timeout:int"),
    CommandSpec::new("waitaof", 4, Group::Generic, "7.2.0", Plan::Session)
        .flags(BLOCKING)
        .acl(acl::CONNECTION)
        .not_acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "Waits until what was written so far is durable in this server's log, and in those of replicas.",
            "O(1)",
            "numlocal:int numreplicas:int timeout:int",
        ),
];

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

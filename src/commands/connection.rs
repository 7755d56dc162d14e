//! Commands about the connection that sends them. Data only: they touch no key, so their functions live with the
//! connections, above this layer.

use crate::commands::spec::flag::*;
use crate::commands::spec::{CommandSpec, Group, Plan};

/// Subcommands of CLIENT.
const CLIENT: &[CommandSpec] = &[
    CommandSpec::new("client|caching", 3, Group::Connection, "6.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Says whether the keys of the next command are tracked.", "O(1)", "mode=(YES|NO)"),
    CommandSpec::new("client|capa", -3, Group::Connection, "8.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Declares what the client can do beyond the protocol.", "O(1)", "capability..."),
    CommandSpec::new("client|getname", 2, Group::Connection, "2.6.9", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Returns the name of the connection.", "O(1)", ""),
    CommandSpec::new("client|getredir", 2, Group::Connection, "6.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Returns the client that gets the invalidation messages of this one.", "O(1)", ""),
    CommandSpec::new("client|help", 2, Group::Connection, "5.0.0", Plan::Session).flags(LOADING | STALE).docs(
        "Lists the subcommands.",
        "O(1)",
        "",
    ),
    CommandSpec::new("client|id", 2, Group::Connection, "5.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Returns the number of the connection.", "O(1)", ""),
    CommandSpec::new("client|import-source", 3, Group::Connection, "8.1.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE)
        .docs("Marks the connection as a source of imported data.", "O(1)", "enabled=(ON|OFF)"),
    CommandSpec::new("client|info", 2, Group::Connection, "6.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output"])
        .docs("Describes this connection.", "O(1)", ""),
    CommandSpec::new("client|kill", -3, Group::Connection, "2.4.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs(
            "Closes connections.",
            "O(N) with N the connections",
            "filter=(old-format/ip:port/|new-format=([ID client-id:int...]|[TYPE client-type=(NORMAL|MASTER|\
                PRIMARY|SLAVE|REPLICA|PUBSUB)]|[USER username]|[ADDR addr/ip:port/]|[LADDR laddr/ip:port/]|[SKIPME \
                skipme=(YES|NO)]|[MAXAGE maxage:int]|[NAME name]|[IDLE idle:int]|[FLAGS flags]|[LIB-NAME lib-name]|\
                [LIB-VER lib-ver]|[DB db:int]|[CAPA capa]|[IP ip]|[NOT-TYPE not-client-type=(NORMAL|MASTER|PRIMARY|\
                SLAVE|REPLICA|PUBSUB)]|[NOT-ID not-client-id:int...]|[NOT-USER not-username]|[NOT-ADDR \
                not-addr/ip:port/]|[NOT-LADDR not-laddr/ip:port/]|[NOT-NAME not-name]|[NOT-FLAGS not-flags]|\
                [NOT-LIB-NAME not-lib-name]|[NOT-LIB-VER not-lib-ver]|[NOT-DB not-db:int]|[NOT-CAPA not-capa]|\
                [NOT-IP not-ip])...)",
        )
        .history(&[
            ("2.8.12", "Filters."),
            ("6.2.0", "LADDR."),
            ("7.4.0", "MAXAGE."),
            ("8.1.0", "Several IDs."),
            ("9.0.0", "NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA and IP, and NOT- filters."),
        ]),
    CommandSpec::new("client|list", -2, Group::Connection, "2.4.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "Describes connections.",
            "O(N) with N the connections",
            "[TYPE client-type=(NORMAL|MASTER|REPLICA|PUBSUB)] [ID client-id:int...] [USER username] [ADDR \
                addr/ip:port/] [LADDR laddr/ip:port/] [SKIPME skipme=(YES|NO)] [MAXAGE maxage:int] [NAME name] \
                [IDLE idle:int] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db:int] [CAPA capa] [IP ip] \
                [NOT-TYPE not-client-type=(NORMAL|MASTER|REPLICA|PUBSUB)] [NOT-ID not-client-id:int...] [NOT-USER \
                not-username] [NOT-ADDR not-addr/ip:port/] [NOT-LADDR not-laddr/ip:port/] [NOT-NAME not-name] \
                [NOT-FLAGS not-flags] [NOT-LIB-NAME not-lib-name] [NOT-LIB-VER not-lib-ver] [NOT-DB not-db:int] \
                [NOT-CAPA not-capa] [NOT-IP not-ip]",
        )
        .history(&[
            ("2.8.12", "The field id."),
            ("5.0.0", "TYPE."),
            ("6.0.0", "The field user."),
            ("6.2.0", "The fields argv-mem, tot-mem, laddr and redir; ID."),
            ("7.0.0", "The fields resp, multi-mem, rbs and rbp."),
            ("8.1.0", "USER, ADDR, LADDR, SKIPME and MAXAGE."),
            ("9.0.0", "NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA and IP, and NOT- filters."),
        ]),
    CommandSpec::new("client|no-evict", 3, Group::Connection, "7.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Exempts the connection from eviction of clients.", "O(1)", "enabled=(ON|OFF)"),
    CommandSpec::new("client|no-touch", 3, Group::Connection, "7.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Lets commands of the connection leave the access time of keys alone.", "O(1)", "enabled=(ON|OFF)"),
    CommandSpec::new("client|pause", -3, Group::Connection, "3.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs("Holds the commands of all clients back for a while.", "O(1)", "timeout:int [mode=(WRITE|ALL)]")
        .history(&[("6.2.0", "WRITE and ALL.")]),
    CommandSpec::new("client|reply", 3, Group::Connection, "3.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .docs("Turns replies off and on.", "O(1)", "action=(ON|OFF|SKIP)"),
    CommandSpec::new("client|setinfo", 4, Group::Connection, "7.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Tells the client library's name or version.", "O(1)", "attr=(LIB-NAME libname|LIB-VER libver)"),
    CommandSpec::new("client|setname", 3, Group::Connection, "2.6.9", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Names the connection.", "O(1)", "connection-name"),
    CommandSpec::new("client|tracking", -3, Group::Connection, "6.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE)
        .docs(
            "Turns invalidation messages for cached keys on or off.",
            "O(1); options may add to it",
            "status=(ON|OFF) [REDIRECT client-id:int] [PREFIX prefix...+] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        ),
    CommandSpec::new("client|trackinginfo", 2, Group::Connection, "6.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE)
        .docs("Tells how keys are tracked for this connection.", "O(1)", ""),
    CommandSpec::new("client|unblock", -3, Group::Connection, "5.0.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs(
            "Wakes a connection that is blocked in a command.",
            "O(log N) with N the connections",
            "client-id:int [unblock-type=(TIMEOUT|ERROR)]",
        ),
    CommandSpec::new("client|unpause", 2, Group::Connection, "6.2.0", Plan::Session)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .docs("Ends CLIENT PAUSE.", "O(N) with N the connections held back", ""),
];

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("auth", -2, Group::Connection, "1.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY)
        .docs("Logs the connection in.", "O(N) with N the passwords of the user", "[username] password")
        .history(&[("6.0.0", "A user name.")]),
    CommandSpec::container("client", Group::Connection, "2.4.0", "Container: this connection and the others.", CLIENT),
    CommandSpec::new("echo", 2, Group::Connection, "1.0.0", Plan::Session).flags(LOADING | STALE | FAST).docs(
        "Returns its argument.",
        "O(1)",
        "message",
    ),
    CommandSpec::new("hello", -1, Group::Connection, "6.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY)
        .docs(
            "Chooses the protocol, and may log in and name the connection.",
            "O(1)",
            "[arguments={protover:int [AUTH auth={username password}] [SETNAME clientname]}]",
        )
        .history(&[("6.2.0", "The version may be left out.")]),
    CommandSpec::new("ping", -1, Group::Connection, "1.0.0", Plan::Session)
        .flags(FAST)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("Answers PONG, or its argument.", "O(1)", "[message]"),
    CommandSpec::new("quit", -1, Group::Connection, "1.0.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | NOT_QUEUED)
        .docs("Closes the connection.", "O(1)", "")
        .deprecated("7.2.0", "just closing the connection"),
    CommandSpec::new("reset", 1, Group::Connection, "6.2.0", Plan::Session)
        .flags(NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | NOT_QUEUED)
        .docs("Puts the connection back to how it started.", "O(1)", ""),
    CommandSpec::new("select", 2, Group::Connection, "1.0.0", Plan::Session)
        .flags(LOADING | STALE | FAST | ALLOW_BUSY)
        .docs("Chooses the database.", "O(1)", "index:int"),
];

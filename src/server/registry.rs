//! Which function answers which session command: the one place where names of the table meet functions of the layers
//! above it.

use crate::admin;
use crate::commands::table::CommandTable;
use crate::net::worker::{Handlers, SessionFn};
use crate::net::{client, handshake, migrate, subscribe, transactions, waitaof};
use crate::server::loading;

/// Name of the command or `container|subcommand`, and its function. A container's function also serves its
/// subcommands that are not listed.
const SESSION: &[(&str, SessionFn)] = &[
    ("ping", handshake::ping),
    ("echo", handshake::echo),
    ("quit", handshake::quit),
    ("select", handshake::select),
    ("auth", handshake::auth),
    ("hello", handshake::hello),
    ("reset", handshake::reset),
    ("monitor", handshake::monitor),
    ("multi", transactions::multi),
    ("exec", transactions::exec),
    ("discard", transactions::discard),
    ("watch", transactions::watch),
    ("unwatch", transactions::unwatch),
    ("client", client::client),
    ("migrate", migrate::migrate),
    ("subscribe", subscribe::subscribe),
    ("psubscribe", subscribe::psubscribe),
    ("ssubscribe", subscribe::ssubscribe),
    ("unsubscribe", subscribe::unsubscribe),
    ("punsubscribe", subscribe::punsubscribe),
    ("sunsubscribe", subscribe::sunsubscribe),
    ("publish", subscribe::publish),
    ("spublish", subscribe::spublish),
    ("pubsub", subscribe::pubsub),
    ("command", admin::handlers::command),
    ("config", admin::handlers::config),
    ("info", admin::handlers::info),
    ("slowlog", admin::handlers::slowlog),
    ("commandlog", admin::handlers::commandlog),
    ("latency", admin::handlers::latency),
    ("memory", admin::handlers::memory),
    ("debug", admin::handlers::debug),
    ("lolwut", admin::handlers::lolwut),
    ("save", admin::save::save),
    ("bgsave", admin::save::bgsave),
    ("bgrewriteaof", admin::save::bgrewriteaof),
    ("lastsave", admin::save::lastsave),
    ("shutdown", admin::handlers::shutdown),
    ("role", admin::handlers::role),
    ("time", admin::handlers::time),
    ("wait", waitaof::wait),
    ("waitaof", waitaof::waitaof),
];

/// The functions by command id.
pub fn handlers(table: &CommandTable) -> Handlers {
    let mut session: Vec<Option<SessionFn>> = vec![None; table.len()];
    for (id, spec) in table.iter() {
        let container = spec.name.split('|').next().unwrap_or(spec.name);
        if spec.name.ends_with("|help") {
            session[id.index()] = Some(handshake::help);
            continue;
        }
        session[id.index()] = SESSION.iter().find(|(name, _)| *name == container).map(|(_, f)| *f);
    }
    Handlers {
        session,
        answer: admin::handlers::answer,
        warning: admin::log::warning,
        reload: loading::reload,
        fatal: |line| {
            admin::log::warning(line);
            eprintln!("{line}");
            std::process::exit(1);
        },
    }
}

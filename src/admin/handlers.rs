//! The functions behind the server's own commands: each takes the connection's worker, gathers what the command needs
//! from all cores, and hands it to the pure functions of this layer.

use crate::admin::state::AdminState;
use crate::admin::{command as command_replies, log};
use crate::base::bytes::OutBuf;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::table::Resolved;
use crate::net::client;
use crate::net::connection::Conn;
use crate::net::worker::Worker;
use crate::resp::reply::Reply;
use crate::txn::message::{Answer, Request};
use crate::txn::router::Outcome;

/// COMMAND ...
pub fn command(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let table = worker.router.table.clone();
    if let Resolved::Command(id) = table.resolve(args) {
        command_replies::command(&table, id, args, &mut Reply::new(out, conn.session.proto));
    }
    Outcome::Done
}

/// CONFIG GET | SET | REWRITE | RESETSTAT | HELP
pub fn config(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let mut reply = Reply::new(out, conn.session.proto);
    let rest: Vec<&[u8]> = args.from(2).collect();
    match args[1].to_ascii_lowercase().as_slice() {
        b"get" => {
            let found = state.store().get(&rest);
            reply.map(found.len());
            for (name, value) in found {
                reply.bulk(name.as_bytes());
                reply.bulk(&value);
            }
        }
        b"set" => {
            let mut store = state.store();
            match store.set(&rest, conn.local) {
                Ok(_) => {
                    let config = store.current.clone();
                    log::apply(&config);
                    shared.publish(config);
                    drop(store);
                    worker.refresh_config();
                    reply.ok();
                }
                Err(error) => reply.error(&error),
            }
        }
        b"rewrite" => match state.store().rewrite() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&error),
        },
        b"resetstat" => {
            let done = Box::new(|_: &mut Worker, conn: &mut Conn, _: Vec<Answer>, out: &mut OutBuf| {
                Reply::new(out, conn.session.proto).ok();
            });
            return worker.ask_all(conn, &Request::ResetStats, done);
        }
        _ => errors::unknown_subcommand(args, &mut reply),
    }
    Outcome::Done
}

/// TIME
pub fn time(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let now = worker.clock.unix_us();
    let mut reply = Reply::new(out, conn.session.proto);
    reply.array(2);
    reply.bulk_integer((now / 1_000_000) as i64);
    reply.bulk_integer((now % 1_000_000) as i64);
    Outcome::Done
}

/// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]
pub fn shutdown(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let (mut save, mut nosave, mut others, mut abort) = (false, false, false, false);
    for arg in args.from(1) {
        match arg.to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => nosave = true,
            b"now" | b"force" | b"failover" | b"safe" => others = true,
            b"abort" => abort = true,
            _ => {
                reply.error(errors::SYNTAX);
                return Outcome::Done;
            }
        }
    }
    if save && nosave || abort && (save || nosave || others) {
        reply.error(errors::SYNTAX);
    } else if abort {
        reply.error("ERR No shutdown in progress.");
    } else if save {
        reply.error("ERR Errors trying to SHUTDOWN: nothing can be saved, this server keeps data in memory only.");
    } else {
        log::notice("User requested shutdown...");
        worker.shared.shut_down();
        crate::runtime::signals::raise_term();
        worker.close(conn, crate::net::connection::Closing::AfterReplies);
    }
    Outcome::Done
}

/// Answers another core's (or this one's) question about this core.
pub fn answer(worker: &mut Worker, request: &Request, asker: Option<&mut Conn>) -> Answer {
    match request {
        Request::ClientList(filter) => client::answer_list(worker, filter, asker.as_deref()),
        Request::ClientKill(filter) => client::answer_kill(worker, filter, asker),
        Request::MonitorLine(line) => {
            worker.monitor_line(line);
            Answer::Done
        }
        _ => Answer::Done,
    }
}

/// After the commands of a tick.
pub fn after_run(worker: &mut Worker) {
    worker.noted.clear();
}

/// As often as `hz` says.
pub fn cron(_: &mut Worker) {}

//! PING, ECHO, QUIT, SELECT, AUTH, HELLO, RESET: what a connection says about itself. Never touches a key.

use crate::base::bytes::OutBuf;
use crate::base::text;
use crate::base::version::REDIS_VERSION;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::{Closing, Conn};
use crate::net::session::{ReplyMode, Session};
use crate::net::worker::Worker;
use crate::resp::reply::{Proto, Reply};
use crate::txn::router::Outcome;
use std::sync::atomic::Ordering;

/// PING [message]
pub fn ping(_: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let message_like = conn.subscriptions.is_some() && conn.session.proto == Proto::Resp2;
    match args.len() {
        1 | 2 if message_like => {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(args.get(1).unwrap_or_default());
        }
        1 => reply.simple("PONG"),
        2 => reply.bulk(&args[1]),
        _ => reply.error("ERR wrong number of arguments for 'ping' command"),
    }
    Outcome::Done
}

/// ECHO message
pub fn echo(_: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    Reply::new(out, conn.session.proto).bulk(&args[1]);
    Outcome::Done
}

/// QUIT: the reply, then the end.
pub fn quit(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    Reply::new(out, conn.session.proto).ok();
    worker.close(conn, Closing::AfterReplies);
    Outcome::Done
}

/// SELECT index
pub fn select(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    match text::parse_i64(&args[1]) {
        None => reply.error(errors::NOT_INTEGER),
        Some(db) if i32::try_from(db).is_err() => reply.error(errors::BEYOND_INT),
        Some(db) if db < 0 || db >= worker.config.databases as i64 => reply.error(errors::DB_OUT_OF_RANGE),
        Some(db) => {
            conn.session.db = db as u16;
            reply.ok();
        }
    }
    Outcome::Done
}

/// AUTH [username] password
pub fn auth(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    if args.len() > 3 {
        reply.error(errors::SYNTAX);
        return Outcome::Done;
    }
    if args.len() == 2 && worker.config.requirepass.is_empty() {
        reply.error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        );
        return Outcome::Done;
    }
    let (user, password) = if args.len() == 3 { (&args[1], &args[2]) } else { (&b"default"[..], &args[1]) };
    if is_admitted(worker, user, password) {
        conn.session.authenticated = true;
        reply.ok();
    } else {
        worker.counters().denied.add(1);
        reply.error("WRONGPASS invalid username-password pair or user is disabled.");
    }
    Outcome::Done
}

/// The default user, who needs no password while none is set.
fn is_admitted(worker: &Worker, user: &[u8], password: &[u8]) -> bool {
    let wanted = &worker.config.requirepass;
    // compared over the whole length whatever differs, so that time tells nothing
    let differs = wanted.len() ^ password.len();
    let differs = wanted.iter().zip(password).fold(differs, |d, (a, b)| d | usize::from(a ^ b));
    user == b"default" && (wanted.is_empty() || differs == 0)
}

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub fn hello(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut proto = conn.session.proto;
    if let Some(version) = args.get(1) {
        proto = match text::parse_i64(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            None => {
                let mut reply = Reply::new(out, conn.session.proto);
                reply.error("ERR Protocol version is not an integer or out of range");
                return Outcome::Done;
            }
            Some(_) => {
                Reply::new(out, conn.session.proto).error("NOPROTO unsupported protocol version");
                return Outcome::Done;
            }
        };
    }
    let mut name = None;
    let mut admitted = conn.session.authenticated;
    let mut i = 2;
    while i < args.len() {
        let more = args.len() - 1 - i;
        if args[i].eq_ignore_ascii_case(b"auth") && more >= 2 {
            if !is_admitted(worker, &args[i + 1], &args[i + 2]) {
                worker.counters().denied.add(1);
                let mut reply = Reply::new(out, conn.session.proto);
                reply.error("WRONGPASS invalid username-password pair or user is disabled.");
                return Outcome::Done;
            }
            admitted = true;
            i += 3;
        } else if args[i].eq_ignore_ascii_case(b"setname") && more >= 1 {
            if !is_plain(&args[i + 1]) {
                let mut reply = Reply::new(out, conn.session.proto);
                reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
                return Outcome::Done;
            }
            name = Some(args[i + 1].to_vec());
            i += 2;
        } else {
            let mut reply = Reply::new(out, conn.session.proto);
            reply.error_bytes(&[b"ERR Syntax error in HELLO option '", &args[i], b"'"].concat());
            return Outcome::Done;
        }
    }
    if !admitted {
        let mut reply = Reply::new(out, conn.session.proto);
        reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        );
        return Outcome::Done;
    }
    conn.session.authenticated = true;
    conn.session.proto = proto;
    if let Some(name) = name {
        conn.session.name = name.into_boxed_slice();
    }
    let mut reply = Reply::new(out, proto);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(conn.client_id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Outcome::Done
}

/// Printable and without spaces, as names of clients and libraries have to be.
pub fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|b| (b'!'..=b'~').contains(b))
}

/// RESET: back to what a fresh connection is.
pub fn reset(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    if conn.session.monitor {
        worker.monitors.retain(|m| *m != conn.id);
        worker.shared.monitors.fetch_sub(1, Ordering::Relaxed);
    }
    worker.forget_subscriptions(conn);
    crate::net::transactions::forget_watched(worker, conn);
    worker.untrack(conn);
    let kept = std::mem::replace(&mut conn.session, Session::new(worker.config.requirepass.is_empty()));
    conn.session.lib_name = kept.lib_name;
    conn.session.lib_ver = kept.lib_ver;
    conn.session.reply_mode = ReplyMode::On;
    Reply::new(out, conn.session.proto).simple("RESET");
    Outcome::Done
}

/// MONITOR
pub fn monitor(worker: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    if !conn.session.monitor {
        conn.session.monitor = true;
        worker.monitors.push(conn.id);
        worker.shared.monitors.fetch_add(1, Ordering::Relaxed);
    }
    Reply::new(out, conn.session.proto).ok();
    Outcome::Done
}

/// HELP of any command with subcommands.
pub fn help(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let table = &worker.router.table;
    let mut reply = Reply::new(out, conn.session.proto);
    match table.lookup(&args[0]) {
        Some(container) => crate::commands::help::reply(table.get(container), &mut reply),
        None => errors::unknown_command(args, &mut reply),
    }
    Outcome::Done
}

/// The begin of an HTTP request, which Redis takes for an attack.
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

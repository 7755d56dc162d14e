//! CLIENT: what connections there are, on every core, and how they are named, paused, muted and ended.

use crate::base::bytes::OutBuf;
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::table::CommandTable;
use crate::net::caching;
use crate::net::client_filter;
use crate::net::connection::{Closing, Conn};
use crate::net::handshake::is_plain;
use crate::net::session::ReplyMode;
use crate::net::worker::Worker;
use crate::resp::reply::{Proto, Reply};
use crate::txn::message::{Answer, ClientFilter, ClientKind, Request};
use crate::txn::news::ChannelKind;
use crate::txn::router::Outcome;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// CLIENT subcommand ...
pub fn client(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    let sub = args[1].to_ascii_lowercase();
    match sub.as_slice() {
        b"id" => reply.integer(conn.client_id as i64),
        b"getname" => {
            if conn.session.name.is_empty() {
                reply.null();
            } else {
                reply.bulk(&conn.session.name);
            }
        }
        b"getredir" => reply.integer(caching::redirect_id(conn)),
        b"tracking" => return caching::tracking(worker, conn, args, out),
        b"caching" => caching::caching(conn, &args[2], &mut reply),
        b"trackinginfo" => caching::info(conn, &mut reply),
        b"setname" => set_name(conn, &args[2], &mut reply),
        b"setinfo" => set_info(conn, args, &mut reply),
        b"info" => {
            let line = describe(conn, &worker.router.table, worker.clock.unix_ms());
            reply.verbatim("txt", format!("{line}\n").as_bytes());
        }
        b"list" => return list(worker, conn, args, out),
        b"kill" => return kill(worker, conn, args, out),
        b"reply" => reply_mode(conn, &args[2], &mut reply),
        b"no-evict" => on_off(&args[2], &mut reply, |on| conn.session.no_evict = on),
        b"no-touch" => on_off(&args[2], &mut reply, |on| conn.session.no_touch = on),
        b"import-source" if args[2].eq_ignore_ascii_case(b"off") => reply.ok(),
        b"import-source" => reply.error("ERR Server is not in import mode"),
        b"capa" => {
            conn.session.capa_redirect |= args.from(2).any(|a| a.eq_ignore_ascii_case(b"redirect"));
            reply.ok();
        }
        b"pause" => pause(worker, args, &mut reply),
        b"unpause" => {
            worker.shared.pause_until_ms.store(0, Ordering::Relaxed);
            wake_all(worker);
            reply.ok();
        }
        b"unblock" => return unblock(worker, conn, args, out),
        _ => errors::unknown_subcommand(args, &mut reply),
    }
    Outcome::Done
}

fn set_name(conn: &mut Conn, name: &[u8], reply: &mut Reply<'_>) {
    if is_plain(name) {
        conn.session.name = name.into();
        reply.ok();
    } else {
        reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
    }
}

fn set_info(conn: &mut Conn, args: &Args<'_>, reply: &mut Reply<'_>) {
    let (option, value) = (&args[2], &args[3]);
    let name = String::from_utf8_lossy(option);
    let field = if option.eq_ignore_ascii_case(b"lib-name") {
        &mut conn.session.lib_name
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        &mut conn.session.lib_ver
    } else {
        return reply.error_fmt(format_args!("ERR Unrecognized option '{name}'"));
    };
    if !is_plain(value) {
        return reply.error_fmt(format_args!("ERR {name} cannot contain spaces, newlines or special characters."));
    }
    *field = value.into();
    reply.ok();
}

fn on_off(word: &[u8], reply: &mut Reply<'_>, set: impl FnOnce(bool)) {
    if word.eq_ignore_ascii_case(b"on") {
        set(true);
    } else if word.eq_ignore_ascii_case(b"off") {
        set(false);
    } else {
        return reply.error(errors::SYNTAX);
    }
    reply.ok();
}

fn reply_mode(conn: &mut Conn, word: &[u8], reply: &mut Reply<'_>) {
    if word.eq_ignore_ascii_case(b"on") {
        conn.session.reply_mode = ReplyMode::On;
        reply.ok();
    } else if word.eq_ignore_ascii_case(b"off") {
        conn.session.reply_mode = ReplyMode::Off;
    } else if word.eq_ignore_ascii_case(b"skip") {
        if conn.session.reply_mode != ReplyMode::Off {
            conn.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        reply.error(errors::SYNTAX);
    }
}

fn pause(worker: &mut Worker, args: &Args<'_>, reply: &mut Reply<'_>) {
    let writes_only = match args.get(3) {
        None => false,
        Some(mode) if mode.eq_ignore_ascii_case(b"all") => false,
        Some(mode) if mode.eq_ignore_ascii_case(b"write") => true,
        Some(_) => return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let millis = match text::parse_i64(&args[2]) {
        None => return reply.error("ERR timeout is not an integer or out of range"),
        Some(millis) if millis < 0 => return reply.error("ERR timeout is negative"),
        Some(millis) => millis as u64,
    };
    let now = worker.clock.unix_ms();
    let Some(until) = now.checked_add(millis).filter(|until| i64::try_from(*until).is_ok()) else {
        return reply.error("ERR timeout is out of range");
    };
    let shared = &worker.shared;
    let running = shared.pause_until_ms.load(Ordering::Relaxed);
    // as in Redis: a running pause is only ever made longer and stricter
    let stricter = running > now && !shared.pause_writes_only.load(Ordering::Relaxed);
    shared.pause_writes_only.store(writes_only && !stricter, Ordering::Relaxed);
    shared.pause_until_ms.store(until.max(if running > now { running } else { 0 }), Ordering::Relaxed);
    worker.refresh_pause();
    wake_all(worker);
    reply.ok();
}

/// Lets sleeping cores see what changed.
fn wake_all(worker: &Worker) {
    (0..worker.router.cores).for_each(|core| worker.shared.doorbells.ring(core));
}

fn unblock(worker: &mut Worker, conn: &mut Conn, args: &Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    if args.len() > 4 {
        errors::subcommand_syntax(args, &mut reply);
        return Outcome::Done;
    }
    let mode = args.get(3).unwrap_or(b"timeout");
    let error = mode.eq_ignore_ascii_case(b"error");
    if !error && !mode.eq_ignore_ascii_case(b"timeout") {
        reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return Outcome::Done;
    }
    let Some(client_id) = text::parse_i64(&args[2]) else {
        reply.error(errors::NOT_INTEGER);
        return Outcome::Done;
    };
    let Ok(client_id) = u64::try_from(client_id) else {
        reply.integer(0);
        return Outcome::Done;
    };
    let finish = Box::new(|_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        Reply::new(out, conn.session.proto).integer(count_of(answers) as i64);
    });
    worker.ask_all(conn, &Request::Unblock { client_id, error }, finish)
}

/// This core's part of `CLIENT UNBLOCK`: whether it has that client, and it waited.
pub fn answer_unblock(worker: &mut Worker, client_id: u64, error: bool) -> Answer {
    let found = worker.conns().find(|conn| conn.client_id == client_id).map(|conn| (conn.id, conn.blocked));
    let ended = match found {
        Some((_, Some(slot))) => worker.router.unblock(slot, error),
        Some((conn, None)) => worker.unblock_aof_wait(conn, error),
        None => false,
    };
    Answer::Count(u64::from(ended))
}

fn list(worker: &mut Worker, conn: &mut Conn, args: &Args<'_>, out: &mut OutBuf) -> Outcome {
    let filter = match client_filter::parse_list(args, worker.config.databases) {
        Ok(filter) => filter,
        Err(error) => {
            Reply::new(out, conn.session.proto).error(&error);
            return Outcome::Done;
        }
    };
    let finish = Box::new(|_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let mut lines: Vec<(u64, String)> = lines_of(answers);
        lines.sort_by_key(|(id, _)| *id);
        let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
        Reply::new(out, conn.session.proto).verbatim("txt", text.as_bytes());
    });
    worker.ask_all(conn, &Request::ClientList(filter), finish)
}

fn kill(worker: &mut Worker, conn: &mut Conn, args: &Args<'_>, out: &mut OutBuf) -> Outcome {
    let old = args.len() == 3;
    let filter = if old {
        ClientFilter { addr: Some(args[2].to_vec()), ..ClientFilter::default() }
    } else {
        match client_filter::parse_kill(args, conn.client_id, worker.config.databases) {
            Ok(filter) => filter,
            Err(error) => {
                Reply::new(out, conn.session.proto).error(&error);
                return Outcome::Done;
            }
        }
    };
    let finish = Box::new(move |_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let killed = count_of(answers);
        let mut reply = Reply::new(out, conn.session.proto);
        match (old, killed) {
            (false, _) => reply.integer(killed as i64),
            (true, 0) => reply.error("ERR No such client"),
            (true, _) => reply.ok(),
        }
    });
    worker.ask_all(conn, &Request::ClientKill(filter), finish)
}

/// This core's answer to `CLIENT LIST`. `asker` is the connection that asks, if it is of this core.
pub fn answer_list(worker: &Worker, filter: &ClientFilter, asker: Option<&Conn>) -> Answer {
    let now = worker.clock.unix_ms();
    let table = &worker.router.table;
    let wanted = worker
        .conns()
        .chain(asker)
        .filter(|c| !matches!(c.closing, Closing::Told | Closing::Now) && client_filter::matches(filter, c, now));
    Answer::Lines(wanted.map(|c| (c.client_id, describe(c, table, now))).collect())
}

/// This core's part of `CLIENT KILL`.
pub fn answer_kill(worker: &mut Worker, filter: &ClientFilter, asker: Option<&mut Conn>) -> Answer {
    let now = worker.clock.unix_ms();
    let wanted: Vec<u32> = worker
        .conns()
        .filter(|c| c.closing == Closing::No && client_filter::matches(filter, c, now))
        .map(|c| c.id.index)
        .collect();
    let mut killed = wanted.len() as u64;
    for index in wanted {
        let Some(mut conn) = worker.take_conn(index) else { continue };
        worker.close(&mut conn, Closing::Now);
        worker.put_conn(conn);
    }
    if let Some(asker) = asker
        && client_filter::matches(filter, asker, now)
    {
        // it still gets the reply to this very command
        worker.close(asker, Closing::AfterReplies);
        killed += 1;
    }
    Answer::Count(killed)
}

/// The flags that CLIENT LIST shows.
pub fn flags(conn: &Conn) -> String {
    let mut flags = String::new();
    let tracking = conn.session.tracking.as_deref();
    let set = [
        (conn.session.monitor, 'O'),
        (conn.subscriptions.is_some(), 'P'),
        (conn.session.multi.is_some(), 'x'),
        (conn.blocked.is_some() || conn.held_back, 'b'),
        (tracking.is_some(), 't'),
        (tracking.is_some_and(|t| t.broken), 'R'),
        (tracking.is_some_and(|t| t.broadcast), 'B'),
        (conn.session.watched_changed, 'd'),
        (conn.closing == Closing::AfterReplies, 'c'),
        (conn.closing == Closing::Now, 'A'),
        (conn.unix, 'U'),
        (conn.session.import_source, 'I'),
        (conn.session.no_evict, 'e'),
        (conn.session.no_touch, 'T'),
    ];
    flags.extend(set.iter().filter(|(on, _)| *on).map(|(_, c)| c));
    if flags.is_empty() {
        flags.push('N');
    }
    flags
}

/// The kind that TYPE filters by.
pub fn kind(conn: &Conn) -> ClientKind {
    if conn.subscriptions.is_some() { ClientKind::Pubsub } else { ClientKind::Normal }
}

/// One line of CLIENT LIST, without the line's end.
fn describe(conn: &Conn, table: &CommandTable, now_ms: u64) -> String {
    let mut line = String::with_capacity(400);
    let s = &conn.session;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = conn.last_command.map_or("NULL", |id| table.get(id).name);
    let age = now_ms.saturating_sub(conn.created_ms) / 1000;
    let idle = now_ms.saturating_sub(conn.active_ms) / 1000;
    let input_free = conn.input.capacity() - conn.input.len();
    let (output_fixed, output_list) = conn.output_split();
    let subscribed = |kind| conn.subscriptions.as_ref().map_or(0, |own| own.count(kind));
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={age} idle={idle} flags={} db={} sub={} psub={} ssub={} multi={} \
         watch={} qbuf={} qbuf-free={input_free} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} \
         omem={output_list} tot-mem={} events={} cmd={command} user=default \
         redir={} resp={} lib-name={} lib-ver={} io-thread=0 \
         tot-net-in={} tot-net-out={} tot-cmds={}",
        conn.client_id,
        conn.addr,
        conn.laddr,
        conn.fd,
        text(&s.name),
        flags(conn),
        s.db,
        subscribed(ChannelKind::Channel),
        subscribed(ChannelKind::Pattern),
        subscribed(ChannelKind::Shard),
        s.multi.as_ref().map_or(-1, |multi| multi.commands.commands.len() as i64),
        s.watched_keys.len(),
        conn.input_bytes() - conn.set_apart_bytes(),
        conn.set_apart_bytes(),
        s.multi.as_ref().map_or(0, |multi| multi.commands.argument_bytes()),
        conn.out.bytes.capacity(),
        output_fixed,
        output_fixed,
        usize::from(output_list > 0),
        conn.memory_bytes(),
        if conn.output_bytes() > 0 { "rw" } else { "r" },
        caching::redirect_id(conn),
        if s.proto == Proto::Resp3 { 3 } else { 2 },
        text(&s.lib_name),
        text(&s.lib_ver),
        conn.bytes_in,
        conn.bytes_out,
        conn.commands,
    );
    line
}

fn lines_of(answers: Vec<Answer>) -> Vec<(u64, String)> {
    let lines = answers.into_iter().map(|a| if let Answer::Lines(lines) = a { lines } else { Vec::new() });
    lines.flatten().collect()
}

fn count_of(answers: Vec<Answer>) -> u64 {
    answers.iter().map(|a| if let Answer::Count(n) = a { *n } else { 0 }).sum()
}

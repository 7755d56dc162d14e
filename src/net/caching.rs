//! CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: what a client says of its cache. The work is done in
//! [`crate::net::tracking`].

use crate::base::bytes::OutBuf;
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::tracking::{Redirect, Tracking};
use crate::net::worker::Worker;
use crate::resp::reply::Reply;
use crate::shard::tracking::Tracker;
use crate::txn::message::{Answer, Request};
use crate::txn::router::Outcome;
use std::collections::BTreeSet;

const SWITCHED: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                        re-enabling it with a different mode.";
const NO_REDIRECT: &str = "ERR The client ID you want redirect to does not exist";

/// The options of CLIENT TRACKING.
#[derive(Debug, Default)]
struct Options {
    on: bool,
    redirect: Option<u64>,
    prefixes: Vec<Vec<u8>>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    noloop: bool,
}

/// Reads the options into `options`, up to the first that is wrong.
fn parse(args: &Args<'_>, options: &mut Options) -> Result<(), String> {
    let mut i = 3;
    while i < args.len() {
        let (is, more) = (|word: &str| args[i].eq_ignore_ascii_case(word.as_bytes()), i + 1 < args.len());
        if is("redirect") && more {
            if options.redirect.is_some() {
                return Err("ERR A client can only redirect to a single other client".into());
            }
            let id = text::parse_i64(&args[i + 1]).ok_or(errors::NOT_INTEGER)?;
            // a number that no client has is refused when it is looked for
            options.redirect = Some(u64::try_from(id).unwrap_or(u64::MAX));
            i += 1;
        } else if is("prefix") && more {
            options.prefixes.push(args[i + 1].to_vec());
            i += 1;
        } else if is("bcast") {
            options.broadcast = true;
        } else if is("optin") {
            options.opt_in = true;
        } else if is("optout") {
            options.opt_out = true;
        } else if is("noloop") {
            options.noloop = true;
        } else {
            return Err(errors::SYNTAX.into());
        }
        i += 1;
    }
    options.on = match () {
        () if args[2].eq_ignore_ascii_case(b"on") => true,
        () if args[2].eq_ignore_ascii_case(b"off") => false,
        () => return Err(errors::SYNTAX.into()),
    };
    Ok(())
}

/// Checks options that turn tracking on, beside what is on already.
fn check(options: &Options, now: Option<&Tracking>) -> Result<(), String> {
    if !options.broadcast && !options.prefixes.is_empty() {
        return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
    }
    if now.is_some_and(|now| now.broadcast != options.broadcast) {
        return Err(SWITCHED.into());
    }
    if options.broadcast && (options.opt_in || options.opt_out) {
        return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
    }
    if options.opt_in && options.opt_out {
        return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
    }
    if now.is_some_and(|now| options.opt_in && now.opt_out || options.opt_out && now.opt_in) {
        return Err("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                    re-enabling it with a different mode."
            .into());
    }
    if options.broadcast {
        check_prefixes(&options.prefixes, now)?;
    }
    Ok(())
}

/// No key may match two prefixes of one client.
fn check_prefixes(prefixes: &[Vec<u8>], now: Option<&Tracking>) -> Result<(), String> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let shown = |prefix: &[u8]| String::from_utf8_lossy(prefix).into_owned();
    for (i, prefix) in prefixes.iter().enumerate() {
        if let Some(old) = now.and_then(|now| now.prefixes.iter().find(|old| overlap(old, prefix))) {
            return Err(format!(
                "ERR Prefix '{}' overlaps with an existing prefix '{}'. Prefixes for a single client must not overlap.",
                shown(prefix),
                shown(old)
            ));
        }
        if let Some(other) = prefixes[i + 1..].iter().find(|other| overlap(other, prefix)) {
            return Err(format!(
                "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a single client must not \
                 overlap.",
                shown(prefix),
                shown(other)
            ));
        }
    }
    Ok(())
}

/// CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
pub fn tracking(worker: &mut Worker, conn: &mut Conn, args: &Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut options = Options::default();
    let checked = parse(args, &mut options).and_then(|()| match options.on {
        true => check(&options, conn.session.tracking.as_deref()),
        false => Ok(()),
    });
    if let Err(error) = checked {
        return refuse(worker, conn, &options, error, out);
    }
    if !options.on && options.redirect.is_none() {
        worker.untrack(conn);
        Reply::new(out, conn.session.proto).ok();
        return Outcome::Done;
    }
    if options.redirect.is_none() && !options.broadcast {
        turn_on(worker, conn, options, None);
        Reply::new(out, conn.session.proto).ok();
        return Outcome::Done;
    }
    let mut prefixes = if options.on { options.prefixes.clone() } else { Vec::new() };
    // without a prefix, all keys: beside the prefixes that it has, which Redis does not compare with this one
    let has_all = conn.session.tracking.as_ref().is_some_and(|now| now.prefixes.contains(&[][..]));
    if options.on && options.broadcast && prefixes.is_empty() && !has_all {
        prefixes.push(Vec::new());
    }
    let tracker = tracker_of(worker, conn, &options);
    // Those it has already count with NOLOOP as it is said now.
    let kept = conn.session.tracking.iter().filter(|_| options.on).flat_map(|now| now.prefixes.iter().cloned());
    let all = prefixes.iter().cloned().chain(kept).collect();
    let request = Request::Track { find: options.redirect, tracker, prefixes: all };
    let options = Options { prefixes, ..options };
    let finish = Box::new(move |worker: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let found = answers.into_iter().find_map(|answer| match answer {
            Answer::Client(core, conn) => Some((core, conn)),
            _ => None,
        });
        let redirect = match (options.redirect, found) {
            (Some(_), None) => {
                worker.end_broadcast_everywhere(tracker, options.prefixes);
                return Reply::new(out, conn.session.proto).error(NO_REDIRECT);
            }
            (Some(client_id), Some((core, conn))) => Some(Redirect { client_id, core, conn }),
            (None, _) => None,
        };
        if options.on {
            turn_on(worker, conn, options, redirect);
        } else {
            worker.untrack(conn);
        }
        Reply::new(out, conn.session.proto).ok();
    });
    worker.ask_all(conn, &request, finish)
}

/// Refuses wrong options; whether a connection named before them is there is said first, as in Redis.
fn refuse(worker: &mut Worker, conn: &mut Conn, options: &Options, error: String, out: &mut OutBuf) -> Outcome {
    if options.redirect.is_none() {
        Reply::new(out, conn.session.proto).error_bytes(error.as_bytes());
        return Outcome::Done;
    }
    let tracker = tracker_of(worker, conn, options);
    let request = Request::Track { find: options.redirect, tracker, prefixes: Vec::new() };
    let finish = Box::new(move |_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let is_there = answers.iter().any(|answer| matches!(answer, Answer::Client(..)));
        let error = if is_there { error.as_str() } else { NO_REDIRECT };
        Reply::new(out, conn.session.proto).error_bytes(error.as_bytes());
    });
    worker.ask_all(conn, &request, finish)
}

fn tracker_of(worker: &Worker, conn: &Conn, options: &Options) -> Tracker {
    Tracker {
        core: worker.router.core as u16,
        index: conn.id.index,
        generation: conn.id.generation,
        remembers: !options.broadcast,
        noloop: options.noloop,
    }
}

fn turn_on(worker: &mut Worker, conn: &mut Conn, options: Options, redirect: Option<Redirect>) {
    let tracker = tracker_of(worker, conn, &options);
    let mut prefixes: BTreeSet<Vec<u8>> = conn.session.tracking.take().map(|old| old.prefixes).unwrap_or_default();
    prefixes.extend(options.prefixes);
    let Options { broadcast, opt_in, opt_out, .. } = options;
    let tracking = Tracking { tracker, broadcast, opt_in, opt_out, caching: false, redirect, broken: false, prefixes };
    worker.track(conn, tracking);
}

/// CLIENT CACHING YES|NO
pub fn caching(conn: &mut Conn, word: &[u8], reply: &mut Reply<'_>) {
    let Some(tracking) = conn.session.tracking.as_deref_mut() else {
        return reply.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        );
    };
    if word.eq_ignore_ascii_case(b"yes") {
        if !tracking.opt_in {
            return reply.error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        }
    } else if word.eq_ignore_ascii_case(b"no") {
        if !tracking.opt_out {
            return reply.error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
        }
    } else {
        return reply.error(errors::SYNTAX);
    }
    tracking.caching = true;
    reply.ok();
}

/// What CLIENT GETREDIR and the field `redir` say: -1 without tracking, 0 without REDIRECT.
pub fn redirect_id(conn: &Conn) -> i64 {
    match conn.session.tracking.as_deref() {
        None => -1,
        Some(tracking) => tracking.redirect.map_or(0, |redirect| redirect.client_id as i64),
    }
}

/// CLIENT TRACKINGINFO
pub fn info(conn: &Conn, reply: &mut Reply<'_>) {
    let tracking = conn.session.tracking.as_deref();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(t) = tracking {
        let set = [
            (t.broadcast, "bcast"),
            (t.opt_in, "optin"),
            (t.opt_in && t.caching, "caching-yes"),
            (t.opt_out, "optout"),
            (t.opt_out && t.caching, "caching-no"),
            (t.tracker.noloop, "noloop"),
            (t.broken, "broken_redirect"),
        ];
        flags.extend(set.iter().filter(|(on, _)| *on).map(|(_, name)| *name));
    }
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect_id(conn));
    reply.bulk(b"prefixes");
    let none = BTreeSet::new();
    let prefixes = tracking.map_or(&none, |t| &t.prefixes);
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
}

//! The functions behind the server's own commands: each takes the connection's worker, gathers what the command needs
//! from all cores, and hands it to the pure functions of this layer.

use crate::admin::config::refusal;
use crate::admin::info::Sections;
use crate::admin::latency::LatencyFacts;
use crate::admin::save::{self, ShutdownHow};
use crate::admin::slowlog::{CommandLogs, LogKind, Record};
use crate::admin::state::AdminState;
use crate::admin::{collect, command as command_replies, crash, log};
use crate::base::bytes::OutBuf;
use crate::base::clock;
use crate::base::config::{Allowed, Config};
use crate::base::limits;
use crate::base::stats::Histogram;
use crate::commands::args::{Args, lay_out};
use crate::commands::debug::{self, DatasetDigest, DebugCall, Switch};
use crate::commands::errors;
use crate::commands::table::{CommandId, CommandTable, Resolved};
use crate::net::client;
use crate::net::connection::Conn;
use crate::net::loading::LOADING;
use crate::net::noted::NotedKind;
use crate::net::subscribe;
use crate::net::worker::Worker;
use crate::resp::reply::Reply;
use crate::runtime::alloc;
use crate::txn::message::{Answer, Request};
use crate::txn::router::{Call, Outcome};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
        b"set" => return config_set(worker, conn, &rest, out),
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

/// Settings that stay as they are while data is loaded.
const NOT_WHILE_LOADING: [&[u8]; 3] = [b"appendonly", b"dir", b"repl-diskless-load"];

/// CONFIG SET name value ...: what cannot be put into effect is taken back.
fn config_set(worker: &mut Worker, conn: &mut Conn, pairs: &[&[u8]], out: &mut OutBuf) -> Outcome {
    let shared = worker.shared.clone();
    let waits = |name: &&[u8]| NOT_WHILE_LOADING.iter().any(|other| name.eq_ignore_ascii_case(other));
    if pairs.iter().step_by(2).any(waits) && shared.loading.is_active() {
        Reply::new(out, conn.session.proto).error(LOADING);
        return Outcome::Done;
    }
    let mut store = shared.admin::<AdminState>().store();
    let publish = |worker: &mut Worker, config: Config| {
        log::apply(&config);
        crash::apply(&config);
        worker.shared.publish(config);
        worker.refresh_config();
        if worker.router.core != 0 {
            // it may have sockets to take over
            worker.driver.ring(0);
        }
    };
    let changes = match store.set(pairs, conn.local) {
        Ok(changes) => changes,
        Err(error) => {
            Reply::new(out, conn.session.proto).error(&error);
            return Outcome::Done;
        }
    };
    let concerns_oom = changes.names.iter().any(|name| name.starts_with("oom-score-adj"));
    let done = match concerns_oom.then(|| shared.admin::<AdminState>().oom().apply(&store.current)) {
        Some(Err(error)) => {
            log::warning(&error);
            let name: &[u8] = if changes.names.contains(&"oom-score-adj") { b"oom-score-adj" } else { OOM_VALUES };
            Err((name, "Failed to set current oom_score_adj. Check server logs."))
        }
        _ => listen(worker, &store.current, &changes.names),
    };
    if let Err((name, why)) = done {
        store.undo(changes);
        let _ = shared.admin::<AdminState>().oom().apply(&store.current);
        Reply::new(out, conn.session.proto).error(&refusal(name, why));
        return Outcome::Done;
    }
    publish(worker, store.current.clone());
    if !changes.names.contains(&"appendonly") {
        Reply::new(out, conn.session.proto).ok();
        return Outcome::Done;
    }
    match save::switch_log(worker, conn, out) {
        Ok(outcome) => outcome,
        Err(why) => {
            let names = changes.names.clone();
            store.undo(changes);
            // where it listened before there is room
            let _ = listen(worker, &store.current, &names);
            publish(worker, store.current.clone());
            Reply::new(out, conn.session.proto).error(&refusal(b"appendonly", &why));
            Outcome::Done
        }
    }
}

const OOM_VALUES: &[u8] = b"oom-score-adj-values";

/// Listens where `port` and `bind` say now, if they are among what changed.
fn listen(worker: &mut Worker, config: &Config, changed: &[&str]) -> Result<(), (&'static [u8], &'static str)> {
    let (port, bind) = (changed.contains(&"port"), changed.contains(&"bind"));
    if !port && !bind {
        return Ok(());
    }
    if bind && config.shard_port_base != 0 {
        return Err((b"bind", "the shards' own ports (shard-port-base) stay where they are: change it at a start"));
    }
    let mut listening = worker.shared.listening.lock().unwrap_or_else(PoisonError::into_inner);
    listening.change(&config.bind, config.port, config.tcp_backlog).map_err(|refused| {
        log::warning(&refused.to_string());
        match port {
            true => (b"port".as_slice(), "Unable to listen on this port. Check server logs."),
            false => (b"bind".as_slice(), "Failed to bind to specified addresses."),
        }
    })?;
    Ok(())
}

/// ROLE: a master whose stream of changes nobody follows.
pub fn role(_: &mut Worker, conn: &mut Conn, _: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let mut reply = Reply::new(out, conn.session.proto);
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
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
    let (mut save, mut nosave, mut force, mut others, mut abort) = (false, false, false, false, false);
    for arg in args.from(1) {
        match arg.to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => nosave = true,
            b"force" => (force, others) = (true, true),
            b"now" | b"failover" | b"safe" => others = true,
            b"abort" => abort = true,
            _ => {
                reply.error(errors::SYNTAX);
                return Outcome::Done;
            }
        }
    }
    if save && nosave || abort && (save || nosave || others) {
        reply.error(errors::SYNTAX);
        return Outcome::Done;
    }
    if abort {
        reply.error("ERR No shutdown in progress.");
        return Outcome::Done;
    }
    log::notice("User requested shutdown...");
    let whose = Some((conn.id, conn.next_seq()));
    let outcome = save::shut_down(worker, whose, ShutdownHow { save, nosave, force });
    if worker.shared.is_ending() {
        worker.close(conn, crate::net::connection::Closing::AfterReplies);
        return Outcome::Done;
    }
    outcome
}

/// Answers another core's (or this one's) question about this core.
pub fn answer(worker: &mut Worker, request: &Request, asker: Option<&mut Conn>) -> Answer {
    match request {
        Request::ClientList(filter) => return client::answer_list(worker, filter, asker.as_deref()),
        Request::ClientKill(filter) => return client::answer_kill(worker, filter, asker),
        Request::Unblock { client_id, error } => return client::answer_unblock(worker, *client_id, *error),
        Request::Figures { histograms } => {
            return Answer::Figures(Box::new(collect::figures(worker, asker.as_deref(), *histograms)));
        }
        Request::Channels { kind, pattern } => {
            return subscribe::answer_channels(worker, *kind, pattern.as_deref());
        }
        Request::Track { find, tracker, prefixes } => {
            return worker.answer_track(*find, tracker, prefixes, asker.as_deref());
        }
        Request::EndBroadcast(tracker, prefixes) => worker.end_broadcast(tracker, prefixes),
        Request::Subscribers { kind, names } => return subscribe::answer_subscribers(worker, *kind, names),
        Request::ResetStats => collect::reset(worker),
        Request::MonitorLine(line) => worker.monitor_line(line),
        Request::Switch(Switch::ActiveExpire, on) => worker.router.shard.settings.active_expire = *on,
        Request::Switch(Switch::SkipChecksums, on) => {
            worker.router.shard.settings.skip_checksums = *on;
            worker.shared.skip_checksums.store(*on, Ordering::Relaxed);
        }
        Request::Digest => return Answer::Digest(debug::database_digests(&worker.router.shard)),
        Request::Hold(micros) => std::thread::sleep(Duration::from_micros(*micros)),
        Request::Purge => alloc::purge(),
        Request::Transactions => return Answer::Text(describe(worker)),
        Request::TableStats(db) => {
            let (core, shard) = (worker.router.core, &worker.router.shard);
            return Answer::Text(format!("[Shard {core}]\n{}", debug::table_stats(shard, *db as usize)));
        }
    }
    Answer::Done
}

/// What a core waits for, line by line: for people who look for a reply that does not come.
fn describe(worker: &Worker) -> String {
    let mut text = worker.router.describe();
    for conn in worker.conns().filter(|conn| !conn.is_drained()).take(limits::DESCRIBED_MAX) {
        text += &format!(
            "connection {}: client {}, {} stalled {} queued {} touched {} parked {} starved {} paused {} blocked {:?}, \
             input {}, out {}, sending {}\n",
            conn.id.index,
            conn.client_id,
            conn.last_command.map_or("", |id| worker.router.table.get(id).name),
            conn.stalled,
            conn.queued,
            conn.touched,
            conn.is_parked(),
            conn.starved,
            conn.receive_paused,
            conn.blocked,
            conn.input_bytes(),
            conn.out.len(),
            conn.sending,
        );
    }
    text
}

/// After the commands of a tick.
pub fn after_run(worker: &mut Worker) {
    hand_over_noted(worker);
    save::after_run(worker);
}

/// As often as `hz` says: the first core takes the samples that INFO's rates and peaks are made of.
pub fn cron(worker: &mut Worker) {
    if worker.router.core != 0 {
        return;
    }
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let now_us = worker.clock.mono_us();
    let mut rates = state.rates();
    for (rate, core) in rates.ops.iter_mut().zip(&shared.cores) {
        rate.sample(now_us, core.commands.get());
    }
    rates.input.sample(now_us, shared.total(|c| &c.bytes_in));
    rates.output.sample(now_us, shared.total(|c| &c.bytes_out));
    rates.ticks.sample(now_us, shared.total(|c| &c.ticks));
    rates.tick_us.sample(now_us, clock::ticks_to_us(shared.total(|c| &c.tick_total)));
    drop(rates);
    state.memory().sample(worker.clock.unix_ms() / 1000);
    save::cron(worker);
}

/// INFO [section ...]
pub fn info(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, _: &mut OutBuf) -> Outcome {
    let sections = Sections::parse(args.from(1));
    let finish = Box::new(move |worker: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let shared = worker.shared.clone();
        let figures = collect::from_answers(answers);
        let data = collect::info(worker, shared.admin(), figures, sections.commands());
        let text = crate::admin::info::render(&data, sections);
        Reply::new(out, conn.session.proto).verbatim("txt", text.as_bytes());
    });
    worker.ask_all(conn, &Request::Figures { histograms: sections.latencies() }, finish)
}

/// SLOWLOG GET | LEN | RESET
pub fn slowlog(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    logs(worker, conn, args, out, CommandLogs::slowlog)
}

/// COMMANDLOG GET | LEN | RESET
pub fn commandlog(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    logs(worker, conn, args, out, CommandLogs::commandlog)
}

type LogFn = fn(&mut CommandLogs, &CommandTable, CommandId, &Args<'_>, &mut Reply<'_>);

fn logs(worker: &mut Worker, conn: &Conn, args: &Args<'_>, out: &mut OutBuf, answer: LogFn) -> Outcome {
    hand_over_noted(worker);
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    if let Resolved::Command(id) = shared.table.resolve(args) {
        answer(&mut state.logs(), &shared.table, id, args, &mut Reply::new(out, conn.session.proto));
    }
    Outcome::Done
}

/// LATENCY LATEST | HISTORY | GRAPH | DOCTOR | RESET | HISTOGRAM
pub fn latency(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, _: &mut OutBuf) -> Outcome {
    let wanted: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
    let finish = Box::new(move |worker: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let shared = worker.shared.clone();
        let state: &AdminState = shared.admin();
        let histograms = collect::merged_histograms(&mut collect::from_answers(answers));
        let named: Vec<(&str, &Histogram)> =
            histograms.iter().map(|(id, h)| (shared.table.get(CommandId(*id)).name, h)).collect();
        let facts = LatencyFacts {
            now_s: worker.clock.unix_ms() / 1000,
            threshold_ms: worker.config.latency_monitor_threshold_ms,
            histograms: &named,
        };
        let (data, spans) = lay_out(&wanted);
        let args = Args::new(&data, &spans);
        let mut reply = Reply::new(out, conn.session.proto);
        if let Resolved::Command(id) = shared.table.resolve(&args) {
            state.latency().answer(&shared.table, id, &args, &facts, &mut reply);
        }
    });
    worker.ask_all(conn, &Request::Figures { histograms: true }, finish)
}

/// MEMORY STATS | DOCTOR | PURGE | MALLOC-STATS; USAGE runs on the key's shard.
pub fn memory(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let sub = args[1].to_ascii_lowercase();
    if sub == b"malloc-stats" {
        Reply::new(out, conn.session.proto).verbatim("txt", alloc::report().as_bytes());
        return Outcome::Done;
    }
    let request = if sub == b"purge" { Request::Purge } else { Request::Figures { histograms: false } };
    let finish = Box::new(move |worker: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let shared = worker.shared.clone();
        let figures = collect::from_answers(answers);
        let mut reply = Reply::new(out, conn.session.proto);
        if sub == b"purge" {
            return reply.ok();
        }
        let memory = collect::memory(worker, shared.admin(), &figures);
        if sub == b"doctor" {
            let clients = figures.iter().map(|f| f.clients).sum();
            return reply.verbatim("txt", crate::admin::memory::doctor(&memory, clients, 0).as_bytes());
        }
        crate::admin::memory::stats(&memory, &collect::keyspace(&figures), &mut reply);
    });
    worker.ask_all(conn, &request, finish)
}

/// LOLWUT [VERSION version]
pub fn lolwut(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let seed = worker.router.shard.random_u64();
    crate::admin::lolwut::lolwut(args, seed, env!("CARGO_PKG_VERSION"), &mut Reply::new(out, conn.session.proto));
    Outcome::Done
}

const DEBUG_REFUSED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
you can run it from a local connection, otherwise you need to set this option in the configuration file, and then \
restart the server.";

/// DEBUG subcommand ...
pub fn debug(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let allowed = match worker.config.enable_debug_command {
        Allowed::Yes => true,
        Allowed::Local => conn.local,
        Allowed::No => false,
    };
    if !allowed {
        Reply::new(out, conn.session.proto).error(DEBUG_REFUSED);
        return Outcome::Done;
    }
    let databases = worker.config.databases;
    let call = debug::debug(args, databases, &mut Reply::new(out, conn.session.proto));
    let request = match call {
        DebugCall::Answered => return Outcome::Done,
        DebugCall::OnKey(..) | DebugCall::OnKeys(..) | DebugCall::OnShards(..) => {
            let Some(id) = worker.router.table.lookup(&args[0]) else { return Outcome::Done };
            let from = Call { id, manner: conn.session.manner(), pos: None, conn: conn.id, seq: conn.next_seq() };
            return worker.router.call_debug(from, &call, args, out);
        }
        DebugCall::ChangeReplicationId => {
            worker.shared.clone().admin::<AdminState>().change_replication_id();
            Reply::new(out, conn.session.proto).ok();
            return Outcome::Done;
        }
        DebugCall::Log => {
            log::warning(&format!("DEBUG LOG: {}", String::from_utf8_lossy(&args[2])));
            Reply::new(out, conn.session.proto).ok();
            return Outcome::Done;
        }
        DebugCall::Reload(order) => return save::reload(worker, conn, order, out),
        DebugCall::Crash(fault) => crash::end_by(fault),
        DebugCall::Sleep(micros) => Request::Hold(micros),
        DebugCall::Switch(what, on) => Request::Switch(what, on),
        DebugCall::Digest => Request::Digest,
        DebugCall::TableStats(db) => Request::TableStats(db as u16),
        DebugCall::Transactions => Request::Transactions,
    };
    worker.ask_all(conn, &request, Box::new(finish_debug))
}

fn finish_debug(_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf) {
    let mut reply = Reply::new(out, conn.session.proto);
    let mut digests = Vec::new();
    let mut texts = String::new();
    for answer in answers {
        match answer {
            Answer::Digest(shard) => digests.push(shard),
            Answer::Text(text) => texts.push_str(&text),
            _ => {}
        }
    }
    if !digests.is_empty() {
        reply.simple(DatasetDigest::of(&digests).as_str());
    } else if !texts.is_empty() {
        reply.verbatim("txt", texts.as_bytes());
    } else {
        reply.ok();
    }
}

/// Moves what was noted to the logs.
fn hand_over_noted(worker: &mut Worker) {
    if worker.noted.is_empty() {
        return;
    }
    let shared = worker.shared.clone();
    let state: &AdminState = shared.admin();
    let time_s = worker.clock.unix_ms() / 1000;
    let mut logs = state.logs();
    for noted in worker.noted.drain(..) {
        let (kind, max) = match noted.kind {
            NotedKind::Slow => (LogKind::Slow, worker.config.slowlog_max_len),
            NotedKind::LargeRequest => (LogKind::LargeRequest, worker.config.commandlog_large_request_max_len),
            NotedKind::LargeReply => (LogKind::LargeReply, worker.config.commandlog_large_reply_max_len),
        };
        let args = noted.args.iter().map(Vec::as_slice);
        logs.push(
            kind,
            Record::new(time_s, noted.amount, args, noted.args_count, noted.addr.into(), noted.name.into()),
            max,
        );
        let ms = noted.amount / 1000;
        let threshold = worker.config.latency_monitor_threshold_ms;
        if noted.kind == NotedKind::Slow && threshold > 0 && ms >= threshold {
            state.latency().record("command", time_s, ms);
        }
    }
}

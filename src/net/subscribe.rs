//! SUBSCRIBE, PUBLISH, PUBSUB and their kin: what clients say to [`crate::net::pubsub`] and what they are answered.

use crate::base::bytes::OutBuf;
use crate::base::glob;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::connection::Conn;
use crate::net::pubsub::publication;
use crate::net::worker::Worker;
use crate::resp::reply::{Proto, Reply};
use crate::txn::message::{Answer, Request};
use crate::txn::news::{ChannelKind, Payload};
use crate::txn::router::Outcome;
use hashbrown::HashSet;

/// Subscriptions as confirmations count them: channels and patterns together, shard channels apart.
fn count(conn: &Conn, kind: ChannelKind) -> i64 {
    let Some(own) = conn.subscriptions.as_deref() else { return 0 };
    let count = match kind {
        ChannelKind::Shard => own.count(ChannelKind::Shard),
        ChannelKind::Channel | ChannelKind::Pattern => {
            own.count(ChannelKind::Channel) + own.count(ChannelKind::Pattern)
        }
    };
    count as i64
}

fn confirm(conn: &Conn, word: &str, kind: ChannelKind, name: Option<&[u8]>, out: &mut OutBuf) {
    let mut reply = Reply::new(out, conn.session.proto);
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count(conn, kind));
}

type Parts<'a, 'b> = (&'a mut Worker, &'a mut Conn, &'a mut Args<'b>, &'a mut OutBuf);

fn begin((worker, conn, args, out): Parts<'_, '_>, kind: ChannelKind, word: &str) -> Outcome {
    for name in args.from(1) {
        worker.subscribe(conn, kind, name);
        confirm(conn, word, kind, Some(name), out);
    }
    Outcome::Done
}

fn end((worker, conn, args, out): Parts<'_, '_>, kind: ChannelKind, word: &str) -> Outcome {
    if args.len() > 1 {
        for name in args.from(1) {
            worker.unsubscribe(conn, kind, name);
            confirm(conn, word, kind, Some(name), out);
        }
    } else {
        let left = count(conn, kind);
        let names = worker.unsubscribe_all(conn, kind);
        if names.is_empty() {
            confirm(conn, word, kind, None, out);
        }
        let rest = left - names.len() as i64;
        for (i, name) in names.iter().enumerate() {
            let mut reply = Reply::new(out, conn.session.proto);
            reply.push(3);
            reply.bulk(word.as_bytes());
            reply.bulk(name);
            reply.integer(rest + (names.len() - 1 - i) as i64);
        }
    }
    Outcome::Done
}

/// SUBSCRIBE channel [channel ...]
pub fn subscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    begin((worker, conn, args, out), ChannelKind::Channel, "subscribe")
}

/// PSUBSCRIBE pattern [pattern ...]
pub fn psubscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    begin((worker, conn, args, out), ChannelKind::Pattern, "psubscribe")
}

/// SSUBSCRIBE shardchannel [shardchannel ...]
pub fn ssubscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    begin((worker, conn, args, out), ChannelKind::Shard, "ssubscribe")
}

/// UNSUBSCRIBE [channel ...]
pub fn unsubscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    end((worker, conn, args, out), ChannelKind::Channel, "unsubscribe")
}

/// PUNSUBSCRIBE [pattern ...]
pub fn punsubscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    end((worker, conn, args, out), ChannelKind::Pattern, "punsubscribe")
}

/// SUNSUBSCRIBE [shardchannel ...]
pub fn sunsubscribe(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    end((worker, conn, args, out), ChannelKind::Shard, "sunsubscribe")
}

/// PUBLISH channel message
pub fn publish(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    send(worker, conn, args, out, ChannelKind::Channel)
}

/// SPUBLISH shardchannel message
pub fn spublish(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    send(worker, conn, args, out, ChannelKind::Shard)
}

fn send(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf, kind: ChannelKind) -> Outcome {
    let big = args.take_big(2);
    let payload = Payload::new(&args[2], big);
    match worker.publish(conn, publication(kind, &args[1], payload)) {
        Some(receivers) => {
            Reply::new(out, conn.session.proto).integer(receivers as i64);
            Outcome::Done
        }
        None => Outcome::Waits,
    }
}

/// PUBSUB CHANNELS | NUMSUB | NUMPAT | SHARDCHANNELS | SHARDNUMSUB
pub fn pubsub(worker: &mut Worker, conn: &mut Conn, args: &mut Args<'_>, out: &mut OutBuf) -> Outcome {
    let sub = args[1].to_ascii_lowercase();
    let kind = match sub.as_slice() {
        b"shardchannels" | b"shardnumsub" => ChannelKind::Shard,
        b"numpat" => ChannelKind::Pattern,
        _ => ChannelKind::Channel,
    };
    if sub.ends_with(b"numsub") {
        return numsub(worker, conn, args, kind);
    }
    if args.len() > 3 {
        errors::subcommand_syntax(args, &mut Reply::new(out, conn.session.proto));
        return Outcome::Done;
    }
    let pattern = args.get(2).map(<[u8]>::to_vec);
    let finish = Box::new(move |_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let names: HashSet<Vec<u8>> =
            answers.into_iter().flat_map(|a| if let Answer::Names(names) = a { names } else { Vec::new() }).collect();
        let mut reply = Reply::new(out, conn.session.proto);
        if kind == ChannelKind::Pattern {
            return reply.integer(names.len() as i64);
        }
        reply.array(names.len());
        names.iter().for_each(|name| reply.bulk(name));
    });
    worker.ask_all(conn, &Request::Channels { kind, pattern }, finish)
}

fn numsub(worker: &mut Worker, conn: &mut Conn, args: &Args<'_>, kind: ChannelKind) -> Outcome {
    let names: Vec<Vec<u8>> = args.from(2).map(<[u8]>::to_vec).collect();
    let request = Request::Subscribers { kind, names: names.clone() };
    let finish = Box::new(move |_: &mut Worker, conn: &mut Conn, answers: Vec<Answer>, out: &mut OutBuf| {
        let mut sums = vec![0u64; names.len()];
        for answer in answers {
            if let Answer::Counts(counts) = answer {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        let mut reply = Reply::new(out, conn.session.proto);
        // not a map in RESP3 either
        reply.array(2 * names.len());
        for (name, sum) in names.iter().zip(sums) {
            reply.bulk(name);
            reply.integer(sum as i64);
        }
    });
    worker.ask_all(conn, &request, finish)
}

/// This core's answer to PUBSUB.
pub fn answer_channels(worker: &Worker, kind: ChannelKind, pattern: Option<&[u8]>) -> Answer {
    let wanted = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
    Answer::Names(worker.book.names(kind).filter(wanted).map(<[u8]>::to_vec).collect())
}

/// See [`answer_channels`].
pub fn answer_subscribers(worker: &Worker, kind: ChannelKind, names: &[Vec<u8>]) -> Answer {
    Answer::Counts(names.iter().map(|name| worker.book.subscribers(kind, name)).collect())
}

/// Refuses a command that a RESP2 connection may not run while it subscribes.
pub fn refuse_while_subscribed(name: &str, out: &mut OutBuf) {
    Reply::new(out, Proto::Resp2).error_fmt(format_args!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context"
    ));
}

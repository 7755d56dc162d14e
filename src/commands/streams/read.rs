//! XREAD and XREADGROUP: what came after an identifier, over several streams, for one reader or for a consumer of a
//! group. Where the streams lie on several shards, [`relay`] asks each for its own.

use super::follow::Follow;
use super::words::{self, Refusal, put_entries, refuse};
use crate::commands::args::Args;
use crate::commands::blocking::{self, ALIEN, Blocking, Look, Nil, Wait, millis};
use crate::commands::context::Context;
use crate::commands::spec::Relay;
use crate::commands::streams::resp3::put_as_resp3;
use crate::resp::reply::{Proto, Reply};
use crate::types::stream::{ConsumerId, Entry, Group, Id, Log, Pending};
use crate::types::table::Key;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The arguments, the command's name first.
type Words<'a> = SmallVec<[&'a [u8]; 16]>;

/// What was asked for, all but the keys and identifiers themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request<'a> {
    /// Group and consumer, of XREADGROUP.
    group: Option<(&'a [u8], &'a [u8])>,
    /// Most entries per stream; 0 for any number.
    count: usize,
    /// BLOCK: milliseconds, 0 for ever.
    block: Option<u64>,
    no_ack: bool,
    /// Argument index of the first key.
    keys_at: usize,
    /// How many keys, and as many identifiers behind them.
    keys: usize,
}

impl<'a> Request<'a> {
    /// Reads the options up to the keys.
    fn parse(words: &[&'a [u8]]) -> Result<Self, Refusal> {
        let grouped = words[0].len() == "xreadgroup".len();
        let mut request = Request::default();
        let mut at = 1;
        while at < words.len() {
            let more = words.len() - 1 - at;
            let is = |name: &str| words[at].eq_ignore_ascii_case(name.as_bytes());
            if more > 0 && is("block") {
                request.block = Some(millis(words[at + 1]).map_err(refuse)?);
                at += 2;
            } else if more > 0 && is("count") {
                request.count = words::integer(words[at + 1])?.max(0) as usize;
                at += 2;
            } else if more > 0 && is("streams") {
                request.keys_at = at + 1;
                request.keys = more / 2;
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(grouped));
                }
                break;
            } else if more > 1 && is("group") {
                if !grouped {
                    return Err(refuse(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                request.group = Some((words[at + 1], words[at + 2]));
                at += 3;
            } else if is("noack") {
                if !grouped {
                    return Err(refuse(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                request.no_ack = true;
                at += 1;
            } else {
                return Err(words::SYNTAX);
            }
        }
        if request.keys == 0 {
            return Err(words::SYNTAX);
        }
        if grouped && request.group.is_none() {
            return Err(refuse("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(request)
    }

    fn take(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }
}

fn unbalanced(grouped: bool) -> Refusal {
    let (name, symbol) = if grouped { ("xreadgroup", '>') } else { ("xread", '$') };
    let text =
        format!("ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified.");
    Cow::Owned(text.into_bytes())
}

/// From where a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Entries behind this one; of a group the consumer's own pending ones.
    After(Id),
    /// `$` of XREAD: what comes from now on.
    Now,
    /// `+` of XREAD: the last entry.
    Last,
    /// `>` of XREADGROUP: what no consumer was given yet.
    New,
}

fn from(word: &[u8], grouped: bool) -> Result<From, Refusal> {
    match (word, grouped) {
        (b"$", false) => Ok(From::Now),
        (b"+", false) => Ok(From::Last),
        (b">", true) => Ok(From::New),
        (b"$", true) => Err(meaningless('$')),
        (b"+", true) => Err(meaningless('+')),
        (b">", false) => Err(refuse(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        // Redis takes the greatest ID, behind which nothing can stand, for `>`.
        _ => words::id(word).map(|id| if grouped && id == Id::MAX { From::New } else { From::After(id) }),
    }
}

fn meaningless(symbol: char) -> Refusal {
    let text = format!(
        "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
         consumer by specifying a proper ID, or use the > ID to get new messages. The {symbol} ID would just return \
         an empty result set."
    );
    Cow::Owned(text.into_bytes())
}

/// The streams of a reply, whose number is known at the end: pairs in RESP2, a map in RESP3.
struct Served {
    later: Option<crate::resp::reply::Later>,
    count: usize,
}

impl Served {
    fn new() -> Self {
        Served { later: None, count: 0 }
    }

    fn begin(&mut self, key: &[u8], reply: &mut Reply<'_>) {
        if self.later.is_none() {
            self.later = Some(reply.array_later());
        }
        self.count += 1;
        if reply.proto == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    fn end(self, reply: &mut Reply<'_>) {
        match self.later {
            None => reply.null_array(),
            Some(later) if reply.proto == Proto::Resp2 => reply.set_array_len(later, self.count),
            Some(later) => reply.set_map_len(later, self.count),
        }
    }
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
pub(crate) fn xread(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let words: Words<'_> = args.from(0).collect();
    words::answer(read(ctx, &words, reply), reply);
}

fn read(ctx: &mut Context<'_>, words: &[&[u8]], reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let request = Request::parse(words)?;
    let keys = &words[request.keys_at..][..request.keys];
    let ids = &words[request.keys_at + request.keys..];
    let mut after: SmallVec<[Id; 8]> = SmallVec::new();
    for (key, word) in keys.iter().zip(ids) {
        let stream = words::read(ctx, Key::new(key))?;
        after.push(match from(word, false)? {
            From::After(id) => id,
            From::Now | From::New => stream.map_or(Id::MIN, |stream| stream.log.last_id),
            From::Last => {
                let last = stream.and_then(|stream| stream.log.last_entry_id());
                last.and_then(Id::prev).unwrap_or(Id::MIN)
            }
        });
    }
    let mut served = Served::new();
    for (key, after) in keys.iter().zip(after) {
        let view = ctx.shard.peek(ctx.db, Key::new(key)).map(|entry| entry.value);
        let Some(log) = view.and_then(|view| view.as_stream()).map(|stream| &stream.log) else { continue };
        let Some(start) = after.next().filter(|start| *start <= log.last_id) else { continue };
        let mut entries = log.range(start, Id::MAX).take(request.take()).peekable();
        if entries.peek().is_some() {
            served.begin(key, reply);
            put_entries(reply, entries);
        }
    }
    served.end(reply);
    Ok(())
}

/// How both commands wait. Serving reads every stream that this shard has, not only the one that is ready.
pub(super) static XREAD: Blocking =
    Blocking { waits, look, serve: xread_served, enter: Some(enter), lost: None, nil: Nil::Array };
/// See [`XREAD`].
pub(super) static XREADGROUP: Blocking =
    Blocking { waits, look, serve: xreadgroup_served, enter: None, lost: Some(lost), nil: Nil::Array };

/// What a call waits for: nothing without BLOCK, or if its arguments are wrong; then it answers at once.
fn waits(args: &Args<'_>) -> Result<Option<Wait>, blocking::Refusal> {
    let words: Words<'_> = args.from(0).collect();
    let Ok(Request { block: Some(timeout_ms), keys_at, keys, .. }) = Request::parse(&words) else { return Ok(None) };
    Ok(Some(Wait { keys: keys_at..keys_at + keys, also: None, timeout_ms }))
}

/// Whether the stream at this argument has something for the call. What is wrong with it, the reply says.
fn look(ctx: &mut Context<'_>, args: &Args<'_>, at: usize) -> Look {
    let words: Words<'_> = args.from(0).collect();
    let Ok(request) = Request::parse(&words) else { return Look::Ready };
    let view = ctx.shard.peek(ctx.db, Key::new(&args[at])).map(|entry| entry.value);
    let stream = match view.map(|view| view.as_stream()) {
        Some(None) => return ALIEN,
        Some(Some(stream)) => Some(stream),
        None => None,
    };
    let from = from(&args[at + request.keys], request.group.is_some());
    let log = match (stream, request.group) {
        (Some(stream), Some((group, _))) => match (stream.group(group), from) {
            (Some(group), Ok(From::New)) => return newer(&stream.log, group.last_id),
            _ => return Look::Ready,
        },
        (None, Some(_)) => return Look::Ready,
        (stream, None) => stream.map(|stream| &stream.log),
    };
    match (from, log) {
        (Err(_), _) => Look::Ready,
        (_, None) => Look::Empty,
        (Ok(From::After(id)), Some(log)) => newer(log, id),
        (Ok(From::Last), Some(log)) if !log.is_empty() => Look::Ready,
        _ => Look::NotThis,
    }
}

/// The stream or the group that a call waits for may be gone.
fn lost(ctx: &mut Context<'_>, args: &Args<'_>, at: usize) -> Option<blocking::Refusal> {
    let words: Words<'_> = args.from(0).collect();
    let group = Request::parse(&words).ok()?.group?.0;
    let stream = ctx.shard.peek(ctx.db, Key::new(&args[at])).and_then(|entry| entry.value.as_stream());
    let Some(stream) = stream else { return Some("UNBLOCKED the stream key no longer exists") };
    let is_gone = stream.group(group).is_none();
    is_gone.then_some("NOGROUP the consumer group this client was blocked on no longer exists")
}

fn newer(log: &Log, id: Id) -> Look {
    let last = if id < log.last_id { log.last_entry_id() } else { None };
    if last.is_some_and(|last| last > id) { Look::Ready } else { Look::NotThis }
}

/// `$` means what the stream has when the wait begins.
fn enter(ctx: &mut Context<'_>, args: &Args<'_>, at: usize) -> Option<(usize, Vec<u8>)> {
    let words: Words<'_> = args.from(0).collect();
    let id_at = at + Request::parse(&words).ok()?.keys;
    if args[id_at] != *b"$" {
        return None;
    }
    let view = ctx.shard.peek(ctx.db, Key::new(&args[at])).map(|entry| entry.value);
    let last_id = view.and_then(|view| view.as_stream()).map_or(Id::MIN, |stream| stream.log.last_id);
    Some((id_at, last_id.text().to_vec()))
}

fn xread_served(ctx: &mut Context<'_>, args: &mut Args<'_>, _at: usize, reply: &mut Reply<'_>) {
    xread(ctx, args, reply);
}

/// Streams that are elsewhere, or have no such group, are passed over; the one at `at` must not be.
fn xreadgroup_served(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    let words: Words<'_> = args.from(0).collect();
    words::answer(read_group(ctx, &words, Some(at), reply), reply);
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`
pub(crate) fn xreadgroup(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let words: Words<'_> = args.from(0).collect();
    words::answer(read_group(ctx, &words, None, reply), reply);
}

/// With `woken_at` only the stream at that argument has to be there, with the group.
fn read_group(
    ctx: &mut Context<'_>,
    words: &[&[u8]],
    woken_at: Option<usize>,
    reply: &mut Reply<'_>,
) -> Result<(), Refusal> {
    let request = Request::parse(words)?;
    let keys = &words[request.keys_at..][..request.keys];
    let ids = &words[request.keys_at + request.keys..];
    let Some((group, _)) = request.group else { return Err(words::SYNTAX) };
    let mut froms: SmallVec<[Option<From>; 8]> = SmallVec::new();
    for (index, (key, word)) in keys.iter().zip(ids).enumerate() {
        let stream = words::read(ctx, Key::new(key));
        let there = matches!(&stream, Ok(Some(stream)) if stream.group(group).is_some());
        if !there && woken_at.is_some_and(|at| at != request.keys_at + index) {
            froms.push(None);
            continue;
        }
        stream?.and_then(|stream| stream.group(group)).ok_or_else(|| no_group(key, group))?;
        froms.push(Some(from(word, true)?));
    }
    ctx.shard.events.no_effect();
    let mut served = Served::new();
    for (key, from) in keys.iter().zip(froms) {
        let Some(from) = from else { continue };
        read_one(ctx, key, from, &request, &mut served, reply)?;
    }
    served.end(reply);
    Ok(())
}

fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    let text = [&words::no_group(key, group), b" in XREADGROUP with GROUP option".as_slice()];
    Cow::Owned(text.concat())
}

/// What became of one stream.
#[derive(Debug, Default)]
struct Read {
    /// Whether the consumer was made for this.
    created: bool,
    /// Whether there is something in the reply.
    served: bool,
    /// Entries that became pending, if the journal wants to know.
    delivered: Vec<Id>,
    /// Where the group stands, if it has moved. An entry that became pending does not tell how many were read.
    moved_to: Option<(Id, Option<u64>)>,
}

fn read_one(
    ctx: &mut Context<'_>,
    key: &[u8],
    from: From,
    request: &Request<'_>,
    served: &mut Served,
    reply: &mut Reply<'_>,
) -> Result<(), Refusal> {
    let Some((group_name, consumer_name)) = request.group else { return Ok(()) };
    let now_ms = ctx.shard.now_ms as i64;
    let journaled = ctx.shard.events.journaled;
    let place = Key::new(key);
    let Some(stream) = words::write(ctx, place)? else { return Ok(()) };
    let read = stream.edit_group(group_name, |log, group| {
        let found = group.find(consumer_name);
        let mut read = Read { created: found.is_none(), ..Read::default() };
        let Some(consumer) = found.or_else(|| group.add_consumer(consumer_name, now_ms)) else { return read };
        group.consumer_mut(consumer).seen_ms = now_ms;
        match from {
            From::After(id) => {
                read.served = true;
                served.begin(key, reply);
                put_history(log, group, consumer, id, request.take(), now_ms, reply);
            }
            _ => {
                let start = group.last_id.next().filter(|start| *start <= log.last_id);
                let mut entries = start.map(|start| log.range(start, Id::MAX).take(request.take()).peekable());
                let first = entries.as_mut().and_then(|entries| entries.peek());
                if let (true, Some(entries)) = (first.is_some(), entries) {
                    read.served = true;
                    served.begin(key, reply);
                    let delivery = Delivery { consumer, no_ack: request.no_ack, now_ms, journaled };
                    deliver(log, group, entries, &delivery, &mut read, reply);
                }
            }
        }
        read
    });
    let read = read.unwrap_or_default();
    tell(ctx, place, request, &read);
    Ok(())
}

/// To whom entries go, and how.
struct Delivery {
    consumer: ConsumerId,
    no_ack: bool,
    now_ms: i64,
    journaled: bool,
}

/// Answers entries that no consumer was given yet, and notes whose they are now.
fn deliver<'a>(
    log: &Log,
    group: &mut Group,
    entries: impl Iterator<Item = Entry<'a>>,
    delivery: &Delivery,
    read: &mut Read,
    reply: &mut Reply<'_>,
) {
    let later = reply.array_later();
    let mut count = 0;
    for entry in entries {
        count += 1;
        group.entries_read = match group.entries_read {
            Some(read) if group.last_id >= log.first_id() && !log.has_holes_from(group.last_id) => Some(read + 1),
            known if log.entries_added == 0 => known,
            _ => log.position(entry.id),
        };
        group.last_id = entry.id;
        words::put_entry(reply, &entry);
        if delivery.no_ack {
            continue;
        }
        let Delivery { consumer, now_ms, .. } = *delivery;
        group.assign(entry.id, Pending { consumer, delivered_ms: now_ms, deliveries: 1 });
        if delivery.journaled {
            read.delivered.push(entry.id);
        }
    }
    read.moved_to = Some((group.last_id, group.entries_read));
    if !delivery.no_ack {
        group.consumer_mut(delivery.consumer).active_ms = Some(delivery.now_ms);
    }
    reply.set_array_len(later, count);
}

/// Answers the consumer's own pending entries behind `after`; those that are not in the stream any more without fields.
fn put_history(
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    after: Id,
    count: usize,
    now_ms: i64,
    reply: &mut Reply<'_>,
) {
    let ids: Vec<Id> = match after.next() {
        Some(start) => group.pending_of(consumer, start, Id::MAX).take(count).map(|(id, _)| id).collect(),
        None => Vec::new(),
    };
    reply.array(ids.len());
    let mut entries = Follow::new(log);
    for id in ids {
        match entries.get(id) {
            Some(entry) => {
                words::put_entry(reply, &entry);
                group.deliver_again(id, now_ms);
            }
            None => {
                reply.array(2);
                words::put_id(reply, id);
                reply.null_array();
            }
        }
    }
}

/// Counts, events and the journal's share of what one stream's read changed.
fn tell(ctx: &mut Context<'_>, key: Key<'_>, request: &Request<'_>, read: &Read) {
    let Some((group, consumer)) = request.group else { return };
    if read.created {
        words::noted(ctx, key, "xgroup-createconsumer");
        // A delivery that is journaled makes the consumer as well.
        if read.delivered.is_empty() {
            ctx.shard.events.effect(&[b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer]);
        }
    }
    ctx.shard.dirty += u64::from(read.served);
    if !ctx.shard.events.journaled {
        return;
    }
    let now_ms = ctx.shard.now_ms.to_string();
    for id in &read.delivered {
        let id = id.text();
        super::pending::journal(
            &mut ctx.shard.events,
            key.bytes,
            (group, consumer),
            &id,
            (now_ms.as_bytes(), b"1"),
            &id,
        );
    }
    if let Some((last_id, entries_read)) = read.moved_to {
        super::pending::journal_group(&mut ctx.shard.events, key.bytes, group, last_id, entries_read);
    }
}

/// The rounds of both commands where their streams lie on several shards: XREADGROUP first makes sure that no stream
/// would refuse, then each stream is read on its own.
pub(crate) fn relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Vec<Vec<Vec<u8>>> {
    let words: Words<'_> = relay.args.iter().map(Vec::as_slice).collect();
    let request = match Request::parse(&words) {
        Ok(request) => request,
        Err(refusal) => {
            reply.error_bytes(&refusal);
            return Vec::new();
        }
    };
    let keys = &words[request.keys_at..][..request.keys];
    let ids = &words[request.keys_at + request.keys..];
    match (request.group, relay.rounds) {
        (Some((group, _)), []) => {
            let ask = |key: &&[u8]| owned(&[b"XPENDING", key, group, b"-", b"+", b"0"]);
            keys.iter().map(ask).collect()
        }
        (None, []) => one_by_one(&words, &request),
        (Some((group, _)), [checks]) => {
            for ((key, id), check) in keys.iter().zip(ids).zip(checks) {
                let refusal = if check.starts_with(b"-NOGROUP") {
                    Some(no_group(key, group))
                } else if let [b'-', text @ .., b'\r', b'\n'] = check.as_slice() {
                    Some(Cow::Owned(text.to_vec()))
                } else {
                    from(id, true).err()
                };
                if let Some(refusal) = refusal {
                    reply.error_bytes(&refusal);
                    return Vec::new();
                }
            }
            one_by_one(&words, &request)
        }
        (_, [.., parts]) => {
            join(parts, reply);
            Vec::new()
        }
    }
}

fn owned(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The command for each stream alone; it never waits.
fn one_by_one(words: &[&[u8]], request: &Request<'_>) -> Vec<Vec<Vec<u8>>> {
    let mut head: Vec<&[u8]> = vec![words[0]];
    if let Some((group, consumer)) = request.group {
        head.extend([b"GROUP", group, consumer]);
    }
    let count = request.count.to_string();
    if request.count > 0 {
        head.extend([b"COUNT", count.as_bytes()]);
    }
    if request.no_ack {
        head.push(b"NOACK");
    }
    head.push(b"STREAMS");
    let at = request.keys_at;
    let one = |index: usize| owned(&[&head[..], &[words[at + index], words[at + request.keys + index]]].concat());
    (0..request.keys).map(one).collect()
}

/// Makes one reply of the streams' own, which are in RESP2: `*1`, `*2`, key, entries; or an error, or null.
fn join(parts: &[Vec<u8>], reply: &mut Reply<'_>) {
    if let Some(error) = parts.iter().find(|part| part.first() == Some(&b'-')) {
        return reply.raw(error);
    }
    const HEAD: &[u8] = b"*1\r\n*2\r\n";
    let served: Vec<&[u8]> = parts.iter().filter_map(|part| part.strip_prefix(HEAD)).collect();
    if served.is_empty() {
        return reply.null_array();
    }
    match reply.proto {
        Proto::Resp2 => reply.array(served.len()),
        Proto::Resp3 => reply.map(served.len()),
    }
    for part in served {
        if reply.proto == Proto::Resp2 {
            reply.array(2);
            reply.raw(part);
        } else {
            put_as_resp3(part, reply);
        }
    }
}

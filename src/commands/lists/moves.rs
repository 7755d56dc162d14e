//! From one list to another, and from the first of several: LMOVE, RPOPLPUSH, LMPOP, and their blocking forms.
//! Where the keys are on several shards, rounds of single-key commands do the same.

use super::push::{bulk, pop, pop_array, push};
use super::{Refusal, view_list};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::blocking::{self, Blocking, Look, Nil, Wait};
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::spec::Relay;
use crate::resp::reply::Reply;
use crate::types::list::End;
use crate::types::table::Key;

type Rounds = Vec<Vec<Vec<u8>>>;

/// `LEFT` or `RIGHT`.
fn end_of(word: &[u8]) -> Result<End, Refusal> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(End::Head)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(End::Tail)
    } else {
        Err(errors::SYNTAX)
    }
}

fn word_of(end: End) -> &'static [u8] {
    if end == End::Head { b"LEFT" } else { b"RIGHT" }
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Looks at a list as a write does, without a miss that events would tell: `*-1` if it is not there, `*0` if it is.
fn look_at(key: &[u8]) -> Vec<Vec<u8>> {
    words(&[b"LPOP", key, b"0"])
}

// ---- LMOVE ----

/// Moves an element from the list at `args[1]` to the one at `args[2]`; writes nothing if there is none.
fn move_one(ctx: &mut Context<'_>, args: &Args<'_>, from: End, to: End, reply: &mut Reply<'_>) -> bool {
    let (source, target) = (ctx.first_key(&args[1]), Key::new(&args[2]));
    let mut element = Vec::new();
    match ctx.shard.write(ctx.db, source).map(view_list) {
        None => return false,
        Some(Err(refusal)) => {
            reply.error(refusal);
            return true;
        }
        Some(Ok(list)) => {
            let index = if from == End::Head { 0 } else { -1 };
            list.get(index, |item| item.with_bytes(|bytes| element.extend_from_slice(bytes)));
        }
    }
    if args[1] == args[2] {
        return rotate(ctx, source, from, to, &element, reply);
    }
    let dirty = ctx.shard.dirty;
    if let Err(refusal) = push(ctx.shard, ctx.db, target, to, true, || std::iter::once(&element[..])) {
        reply.error(refusal);
        return true;
    }
    // it is there: it was looked at
    let _ = pop(ctx.shard, ctx.db, source, from, 1, |_, item| bulk(reply, item));
    ctx.shard.dirty = dirty + 1;
    true
}

/// The list keeps its key, even if it has one element only.
fn rotate(ctx: &mut Context<'_>, key: Key<'_>, from: End, to: End, element: &[u8], reply: &mut Reply<'_>) -> bool {
    use crate::shard::events::class;
    let (event_in, event_out) =
        (if to == End::Head { "lpush" } else { "rpush" }, if from == End::Head { "lpop" } else { "rpop" });
    let fill = ctx.shard.settings.list_fill;
    if let Some(list) = ctx.shard.boxed_mut(ctx.db, key).and_then(|value| value.as_list_mut()) {
        list.pop(from, |_| ());
        list.grow(element.len(), 1, fill);
        list.push(to, element, fill);
        list.shrink(fill);
    }
    ctx.shard.changed(ctx.db, key, class::LIST, event_in);
    ctx.shard.events.ready(ctx.db, key.bytes);
    ctx.shard.events.happen(class::LIST, event_out, ctx.db, key.bytes);
    reply.bulk(element);
    true
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(crate) fn lmove(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match end_of(&args[3]).and_then(|from| Ok((from, end_of(&args[4])?))) {
        Err(refusal) => reply.error(refusal),
        Ok((from, to)) => {
            if !move_one(ctx, args, from, to, reply) {
                reply.null();
            }
        }
    }
}

/// `RPOPLPUSH source destination`
pub(crate) fn rpoplpush(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if !move_one(ctx, args, End::Tail, End::Head, reply) {
        reply.null();
    }
}

/// LMOVE over two shards: looks at both keys, then takes from one and adds to the other.
pub(crate) fn lmove_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    match end_of(&relay.args[3]).and_then(|from| Ok((from, end_of(&relay.args[4])?))) {
        Ok((from, to)) => move_relay(relay, from, to, reply),
        Err(refusal) => {
            reply.error(refusal);
            Vec::new()
        }
    }
}

/// RPOPLPUSH over two shards.
pub(crate) fn rpoplpush_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    move_relay(relay, End::Tail, End::Head, reply)
}

fn move_relay(relay: &Relay<'_>, from: End, to: End, reply: &mut Reply<'_>) -> Rounds {
    let (source, target) = (&relay.args[1], &relay.args[2]);
    let Some(looks) = relay.rounds.first() else {
        let at: &[u8] = if from == End::Head { b"0" } else { b"-1" };
        return vec![words(&[b"LRANGE", source, at, at]), look_at(target)];
    };
    if let Some(error) = looks.iter().find(|look| look.first() == Some(&b'-')) {
        // of a source that is not there the target's type does not matter
        if looks[0] != b"*0\r\n" {
            reply.raw(error);
            return Vec::new();
        }
    }
    let Some(element) = looks[0].strip_prefix(b"*1\r\n") else {
        reply.null();
        return Vec::new();
    };
    if relay.rounds.len() > 1 {
        reply.raw(element);
        return Vec::new();
    }
    let start = element.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let payload = &element[start..element.len() - 2];
    let (pop, push): (&[u8], &[u8]) =
        (if from == End::Head { b"LPOP" } else { b"RPOP" }, if to == End::Head { b"LPUSH" } else { b"RPUSH" });
    vec![words(&[pop, source]), words(&[push, target, payload])]
}

/// Whether the list at argument `at` has an element.
fn look(ctx: &mut Context<'_>, args: &Args<'_>, at: usize) -> Look {
    match ctx.shard.write(ctx.db, Key::new(&args[at])).map(view_list) {
        None => Look::Empty,
        Some(Ok(_)) => Look::Ready,
        Some(Err(_)) => blocking::ALIEN,
    }
}

fn blmove_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    end_of(&args[3])?;
    end_of(&args[4])?;
    Ok(Some(Wait { keys: 1..2, also: Some(2), timeout_ms: blocking::seconds(&args[5])? }))
}

fn blmove_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, _: usize, reply: &mut Reply<'_>) {
    let (Ok(from), Ok(to)) = (end_of(&args[3]), end_of(&args[4])) else { return reply.error(errors::SYNTAX) };
    move_journaled(ctx, args, (from, to), &[b"LMOVE", &args[1], &args[2], word_of(from), word_of(to)], reply);
}

/// As [`move_one`]; if something was moved, the journal gets `effect`.
fn move_journaled(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    (from, to): (End, End),
    effect: &[&[u8]],
    reply: &mut Reply<'_>,
) {
    let dirty = ctx.shard.dirty;
    move_one(ctx, args, from, to, reply);
    if ctx.shard.dirty != dirty {
        ctx.shard.events.effect(effect);
    }
}

/// How BLMOVE waits.
pub(crate) static BLMOVE: Blocking =
    Blocking { waits: blmove_waits, look, serve: blmove_serve, enter: None, lost: None, nil: Nil::Bulk };

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`, without waiting
pub(crate) fn blmove(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BLMOVE);
}

/// BLMOVE over two shards, without waiting.
pub(crate) fn blmove_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    let ends = end_of(&relay.args[3]).and_then(|_| end_of(&relay.args[4]));
    if let Err(refusal) = ends.and_then(|_| blocking::seconds(&relay.args[5])) {
        reply.error(refusal);
        return Vec::new();
    }
    lmove_relay(relay, reply)
}

fn brpoplpush_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    Ok(Some(Wait { keys: 1..2, also: Some(2), timeout_ms: blocking::seconds(&args[3])? }))
}

fn brpoplpush_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, _: usize, reply: &mut Reply<'_>) {
    move_journaled(ctx, args, (End::Tail, End::Head), &[b"RPOPLPUSH", &args[1], &args[2]], reply);
}

/// How BRPOPLPUSH waits.
pub(crate) static BRPOPLPUSH: Blocking =
    Blocking { waits: brpoplpush_waits, look, serve: brpoplpush_serve, enter: None, lost: None, nil: Nil::Bulk };

/// `BRPOPLPUSH source destination timeout`, without waiting
pub(crate) fn brpoplpush(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BRPOPLPUSH);
}

/// BRPOPLPUSH over two shards, without waiting.
pub(crate) fn brpoplpush_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    if let Err(refusal) = blocking::seconds(&relay.args[3]) {
        reply.error(refusal);
        return Vec::new();
    }
    rpoplpush_relay(relay, reply)
}

// ---- BLPOP ----

fn blpop_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    let last = args.len() - 1;
    Ok(Some(Wait { keys: 1..last, also: None, timeout_ms: blocking::seconds(&args[last])? }))
}

fn pop_serve(ctx: &mut Context<'_>, args: &Args<'_>, at: usize, end: End, reply: &mut Reply<'_>) {
    ctx.shard.events.effect(&[if end == End::Head { b"LPOP" } else { b"RPOP" }, &args[at]]);
    reply.array(2);
    reply.bulk(&args[at]);
    // it is a list: it was looked at
    let _ = pop(ctx.shard, ctx.db, Key::new(&args[at]), end, 1, |_, item| bulk(reply, item));
}

fn blpop_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    pop_serve(ctx, args, at, End::Head, reply);
}

fn brpop_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    pop_serve(ctx, args, at, End::Tail, reply);
}

/// How BLPOP waits.
pub(crate) static BLPOP: Blocking =
    Blocking { waits: blpop_waits, look, serve: blpop_serve, enter: None, lost: None, nil: Nil::Array };
/// How BRPOP waits.
pub(crate) static BRPOP: Blocking =
    Blocking { waits: blpop_waits, look, serve: brpop_serve, enter: None, lost: None, nil: Nil::Array };

/// `BLPOP key [key ...] timeout`, without waiting
pub(crate) fn blpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BLPOP);
}

/// `BRPOP key [key ...] timeout`, without waiting
pub(crate) fn brpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BRPOP);
}

/// BLPOP over several shards, without waiting.
pub(crate) fn blpop_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    let keys = &relay.args[1..relay.args.len() - 1];
    if let Err(refusal) = blocking::seconds(&relay.args[relay.args.len() - 1]) {
        reply.error(refusal);
        return Vec::new();
    }
    let is_left = relay.args[0].eq_ignore_ascii_case(b"blpop");
    let command: &[u8] = if is_left { b"LPOP" } else { b"RPOP" };
    first_relay(
        relay,
        keys,
        |key| words(&[command, key]),
        reply,
        |reply, key, popped| {
            reply.array(2);
            reply.bulk(key);
            reply.raw(popped);
        },
    )
}

// ---- LMPOP ----

/// What LMPOP and BLMPOP say.
#[derive(Debug, Clone, Copy)]
struct Mpop {
    /// Arguments that are the keys.
    first: usize,
    end: usize,
    from: End,
    count: usize,
}

impl Mpop {
    /// Reads them from the argument that counts the keys on.
    fn parse<'a>(len: usize, arg: impl Fn(usize) -> &'a [u8], count_at: usize) -> Result<Mpop, Refusal> {
        let keys = parse_i64(arg(count_at)).filter(|n| *n > 0).ok_or("ERR numkeys should be greater than 0")?;
        let first = count_at + 1;
        let end = usize::try_from(keys).ok().and_then(|keys| first.checked_add(keys));
        let end = end.filter(|end| *end < len).ok_or(errors::SYNTAX)?;
        let mut mpop = Mpop { first, end, from: end_of(arg(end))?, count: 0 };
        let mut at = end + 1;
        while at < len {
            if mpop.count > 0 || !arg(at).eq_ignore_ascii_case(b"count") || at + 1 == len {
                return Err(errors::SYNTAX);
            }
            let count = parse_i64(arg(at + 1)).filter(|n| *n > 0).ok_or("ERR count should be greater than 0")?;
            mpop.count = count as usize;
            at += 2;
        }
        mpop.count = mpop.count.max(1);
        Ok(mpop)
    }

    fn of(args: &Args<'_>, count_at: usize) -> Result<Mpop, Refusal> {
        Self::parse(args.len(), |at| args.get(at).unwrap_or_default(), count_at)
    }

    fn serve(&self, ctx: &mut Context<'_>, key: &[u8], reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(key);
        // it is a list: it was looked at
        let popped = pop_array(ctx, Key::new(key), self.from, self.count, reply).unwrap_or(0);
        let command: &[u8] = if self.from == End::Head { b"LPOP" } else { b"RPOP" };
        ctx.shard.events.effect(&[command, key, itoa::Buffer::new().format(popped).as_bytes()]);
    }

    fn relay(&self, relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
        let keys = &relay.args[self.first..self.end];
        let (from, count) = (word_of(self.from), self.count.to_string());
        let pop = |key: &[u8]| words(&[b"LMPOP", b"1", key, from, b"COUNT", count.as_bytes()]);
        first_relay(relay, keys, pop, reply, |reply, _, popped| reply.raw(popped))
    }
}

/// Looks at all keys, takes from the first that has elements, and writes what that answered.
fn first_relay(
    relay: &Relay<'_>,
    keys: &[Vec<u8>],
    pop: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    reply: &mut Reply<'_>,
    write: impl Fn(&mut Reply<'_>, &[u8], &[u8]),
) -> Rounds {
    let Some(looks) = relay.rounds.first() else {
        return keys.iter().map(|key| look_at(key)).collect();
    };
    let Some(chosen) = looks.iter().position(|look| look != b"*-1\r\n") else {
        reply.null_array();
        return Vec::new();
    };
    if looks[chosen].first() == Some(&b'-') {
        reply.raw(&looks[chosen]);
        return Vec::new();
    }
    match relay.rounds.get(1) {
        None => vec![pop(&keys[chosen])],
        Some(popped) => {
            write(reply, &keys[chosen], &popped[0]);
            Vec::new()
        }
    }
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(crate) fn lmpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let mpop = match Mpop::of(args, 1) {
        Ok(mpop) => mpop,
        Err(refusal) => return reply.error(refusal),
    };
    for at in mpop.first..mpop.end {
        match look(ctx, args, at) {
            Look::Ready => return mpop.serve(ctx, &args[at], reply),
            Look::Refused(refusal) => return reply.error(refusal),
            Look::Empty | Look::NotThis => {}
        }
    }
    ctx.shard.events.no_effect();
    reply.null_array();
}

/// LMPOP over several shards.
pub(crate) fn lmpop_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    match Mpop::parse(relay.args.len(), |at| &relay.args[at], 1) {
        Ok(mpop) => mpop.relay(relay, reply),
        Err(refusal) => {
            reply.error(refusal);
            Vec::new()
        }
    }
}

fn blmpop_waits(args: &Args<'_>) -> Result<Option<Wait>, Refusal> {
    let mpop = Mpop::of(args, 2)?;
    Ok(Some(Wait { keys: mpop.first..mpop.end, also: None, timeout_ms: blocking::seconds(&args[1])? }))
}

fn blmpop_serve(ctx: &mut Context<'_>, args: &mut Args<'_>, at: usize, reply: &mut Reply<'_>) {
    match Mpop::of(args, 2) {
        Ok(mpop) => mpop.serve(ctx, &args[at], reply),
        Err(refusal) => reply.error(refusal),
    }
}

/// How BLMPOP waits.
pub(crate) static BLMPOP: Blocking =
    Blocking { waits: blmpop_waits, look, serve: blmpop_serve, enter: None, lost: None, nil: Nil::Array };

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`, without waiting
pub(crate) fn blmpop(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    blocking::attempt(ctx, args, reply, &BLMPOP);
}

/// BLMPOP over several shards, without waiting.
pub(crate) fn blmpop_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Rounds {
    let parsed = Mpop::parse(relay.args.len(), |at| &relay.args[at], 2)
        .and_then(|mpop| blocking::seconds(&relay.args[1]).map(|_| mpop));
    match parsed {
        Ok(mpop) => mpop.relay(relay, reply),
        Err(refusal) => {
            reply.error(refusal);
            Vec::new()
        }
    }
}

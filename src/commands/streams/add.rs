//! What changes the entries of a stream: XADD, XTRIM, XDEL, XSETID. Never touches a consumer group.

use super::words::{self, Refusal, TrimWords, Wish, refuse};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::{Events, class};
use crate::types::stream::{BlockLimits, Id, Keep, Stream};
use crate::types::table::{Expire, Key};
use crate::types::value::{NewValue, Value};
use smallvec::SmallVec;

/// Largest entry, bytes of fields and values (Redis STREAM_LISTPACK_MAX_SIZE).
const ENTRY_BYTES_MAX: usize = 1 << 30;

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]`
pub(crate) fn xadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(add(ctx, args, reply), reply);
}

fn add(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let limits = BlockLimits {
        bytes: ctx.shard.settings.stream_block_bytes_max,
        entries: ctx.shard.settings.stream_block_entries_max,
    };
    let (options, id_at) = words::trim_words(args, limits.entries, true)?;
    let wish = options.id;
    let pairs: SmallVec<[&[u8]; 32]> = args.from(id_at + 1).collect();
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        errors::wrong_arity("xadd", reply);
        return Ok(());
    }
    if matches!(wish, Wish::Exactly(Id::MIN)) {
        return Err(refuse("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let now_ms = ctx.shard.now_ms;
    let key = ctx.first_key(&args[1]);
    let (id, trimmed, left) = match words::write(ctx, key)? {
        Some(stream) => append(stream, wish, &pairs, limits, &options, now_ms)?,
        None if options.no_mkstream => {
            reply.null();
            return Ok(());
        }
        None => {
            let mut stream = Box::new(Stream::new());
            let done = append(&mut stream, wish, &pairs, limits, &options, now_ms)?;
            let value = NewValue::Boxed(Box::new(Value::Stream(stream.into())));
            ctx.shard.set(ctx.db, key, value, Expire::Clear);
            ctx.shard.dirty -= 1; // counted with the event
            done
        }
    };
    words::put_id(reply, id);
    ctx.shard.changed(ctx.db, key, class::STREAM, "xadd");
    if trimmed > 0 {
        ctx.shard.events.happen(class::STREAM, "xtrim", ctx.db, key.bytes);
    }
    let rewritten = !matches!(wish, Wish::Exactly(_)) || options.trim.is_some_and(|trim| trim.approximate);
    if rewritten {
        journal(&mut ctx.shard.events, args, &options, Some((id_at, id)), left);
    }
    ctx.shard.events.ready(ctx.db, key.bytes);
    Ok(())
}

/// Appends and trims; answers the new identifier, how many entries were trimmed, and what is left.
fn append(
    stream: &mut Stream,
    wish: Wish,
    pairs: &[&[u8]],
    limits: BlockLimits,
    options: &TrimWords,
    now_ms: u64,
) -> Result<(Id, u64, Left), Refusal> {
    const SMALLER: Refusal = refuse("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    let log = &mut stream.log;
    if log.last_id == Id::MAX {
        return Err(refuse("ERR The stream has exhausted the last possible ID, unable to add more items"));
    }
    let id = match wish {
        Wish::Any => log.next_id(now_ms),
        Wish::Within(ms) => log.next_id_in(ms),
        Wish::Exactly(id) => Some(id),
    };
    let id = id.filter(|id| *id > log.last_id).ok_or(SMALLER)?;
    if pairs.iter().map(|word| word.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(refuse("ERR Elements are too large to be stored"));
    }
    log.append(id, pairs, limits);
    let trimmed = options.trim.map_or(0, |trim| log.trim(trim));
    Ok((id, trimmed, Left::of(stream)))
}

/// What a trimmed stream still has: in the journal an approximate trim says exactly that.
#[derive(Debug, Clone, Copy)]
struct Left {
    entries: u64,
    first: Id,
}

impl Left {
    fn of(stream: &Stream) -> Self {
        Left { entries: stream.log.len(), first: stream.log.first_id() }
    }
}

/// Puts the command into the journal with its outcome in the place of what was left open.
fn journal(events: &mut Events, args: &Args<'_>, options: &TrimWords, id: Option<(usize, Id)>, left: Left) {
    if !events.journaled {
        return;
    }
    let id = id.map(|(at, id)| (at, id.text()));
    let threshold = match options.trim {
        Some(trim) if trim.approximate => match trim.keep {
            Keep::Newest(_) => Some(left.entries.to_string().into_bytes()),
            Keep::From(_) => Some(left.first.text().to_vec()),
        },
        _ => None,
    };
    let mut out: Vec<&[u8]> = Vec::with_capacity(args.len());
    for (at, word) in args.from(0).enumerate() {
        let limit = options.limit_at > 0 && (at == options.limit_at || at == options.limit_at + 1);
        match (&id, &threshold) {
            _ if limit => {}
            (Some((id_at, id)), _) if at == *id_at => out.push(id),
            (_, Some(threshold)) if at == options.threshold_at => out.push(threshold),
            (_, Some(_)) if at + 1 == options.threshold_at => out.push(b"="),
            _ => out.push(word),
        }
    }
    events.effect(&out);
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]`
pub(crate) fn xtrim(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(trim(ctx, args, reply), reply);
}

fn trim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let (options, _) = words::trim_words(args, ctx.shard.settings.stream_block_entries_max, false)?;
    let key = ctx.first_key(&args[1]);
    let (Some(stream), Some(trim)) = (words::write(ctx, key)?, options.trim) else {
        reply.integer(0);
        return Ok(());
    };
    let trimmed = stream.log.trim(trim);
    let left = Left::of(stream);
    if trimmed > 0 {
        changed_by(ctx, key, "xtrim", trimmed);
        if trim.approximate {
            journal(&mut ctx.shard.events, args, &options, None, left);
        }
    }
    reply.integer(trimmed as i64);
    Ok(())
}

/// Tells a change of `count` entries at once.
fn changed_by(ctx: &mut Context<'_>, key: Key<'_>, event: &'static str, count: u64) {
    ctx.shard.changed(ctx.db, key, class::STREAM, event);
    ctx.shard.changed_many(count as usize);
}

/// `XDEL key id [id ...]`
pub(crate) fn xdel(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(delete(ctx, args, reply), reply);
}

fn delete(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let key = ctx.first_key(&args[1]);
    let Some(stream) = words::write(ctx, key)? else {
        reply.integer(0);
        return Ok(());
    };
    // All or nothing: a bad identifier deletes none of the others.
    let ids = args.from(2).map(words::id).collect::<Result<SmallVec<[Id; 8]>, _>>()?;
    let deleted = ids.iter().filter(|id| stream.log.delete(**id)).count();
    if deleted > 0 {
        changed_by(ctx, key, "xdel", deleted as u64);
    }
    reply.integer(deleted as i64);
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]`
pub(crate) fn xsetid(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(set_id(ctx, args, reply), reply);
}

fn set_id(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let id = words::id(&args[2])?;
    let (mut entries_added, mut max_deleted_id) = (None, Id::MIN);
    let mut at = 3;
    while at < args.len() {
        let more = at + 1 < args.len();
        if more && words::is(args, at, "entriesadded") {
            let count = words::integer(&args[at + 1])?;
            let count = u64::try_from(count).map_err(|_| refuse("ERR entries_added must be positive"))?;
            entries_added = Some(count);
        } else if more && words::is(args, at, "maxdeletedid") {
            max_deleted_id = words::id(&args[at + 1])?;
            if id < max_deleted_id {
                return Err(refuse("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"));
            }
        } else {
            return Err(words::SYNTAX);
        }
        at += 2;
    }
    let key = ctx.first_key(&args[1]);
    let log = &mut words::write(ctx, key)?.ok_or(refuse(errors::NO_SUCH_KEY))?.log;
    if id < log.max_deleted_id {
        return Err(refuse("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if log.last_entry_id().is_some_and(|last| id < last) {
        return Err(refuse("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if entries_added.is_some_and(|count| log.len() > count) {
        return Err(refuse("ERR The entries_added specified in XSETID is smaller than the target stream length"));
    }
    log.last_id = id;
    log.entries_added = entries_added.unwrap_or(log.entries_added);
    if max_deleted_id != Id::MIN {
        log.max_deleted_id = max_deleted_id;
    }
    reply.ok();
    ctx.shard.changed(ctx.db, key, class::STREAM, "xsetid");
    Ok(())
}

//! XGROUP: makes, moves and removes consumer groups and their consumers.

use super::words::{self, Refusal, refuse};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::shard::events::class;
use crate::types::stream::{Group, Id, Stream};
use crate::types::table::Expire;
use crate::types::value::{NewValue, Value};

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
                      the MKSTREAM option to create an empty stream automatically.";

/// The words behind the identifier of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

/// Reads the options; `None` if an error was answered.
fn options(args: &Args<'_>, create: bool, reply: &mut Reply<'_>) -> Result<Option<Options>, Refusal> {
    let mut options = Options::default();
    let mut at = 5;
    while at < args.len() {
        if create && words::is(args, at, "mkstream") {
            options.make_stream = true;
            at += 1;
        } else if words::is(args, at, "entriesread") && at + 1 < args.len() {
            let number = words::integer(&args[at + 1])?;
            if number < -1 {
                return Err(refuse("ERR value for ENTRIESREAD must be positive or -1"));
            }
            options.entries_read = u64::try_from(number).ok();
            at += 2;
        } else {
            errors::subcommand_syntax(args, reply);
            return Ok(None);
        }
    }
    Ok(Some(options))
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]`
pub(crate) fn create(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(create_checked(ctx, args, reply), reply);
}

fn create_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let Some(options) = options(args, true, reply)? else { return Ok(()) };
    let key = ctx.first_key(&args[2]);
    let stream = words::write(ctx, key)?;
    if stream.is_none() && !options.make_stream {
        return Err(refuse(NO_KEY));
    }
    if args.len() > 8 {
        errors::subcommand_syntax(args, reply);
        return Ok(());
    }
    let last_id = match &args[4] {
        b"$" => stream.as_ref().map_or(Id::MIN, |stream| stream.log.last_id),
        word => words::id(word)?,
    };
    let group = Group::new(last_id, options.entries_read);
    match stream {
        Some(stream) => {
            if !stream.add_group(&args[3], group) {
                return Err(refuse("BUSYGROUP Consumer Group name already exists"));
            }
            words::noted(ctx, key, "xgroup-create");
        }
        None => {
            let mut stream = Box::new(Stream::new());
            stream.add_group(&args[3], group);
            let value = NewValue::Boxed(Box::new(Value::Stream(stream.into())));
            ctx.shard.set(ctx.db, key, value, Expire::Clear);
            ctx.shard.events.happen(class::STREAM, "xgroup-create", ctx.db, key.bytes);
        }
    }
    reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD entries-read]`
pub(crate) fn set_id(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    words::answer(set_id_checked(ctx, args, reply), reply);
}

fn set_id_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let Some(options) = options(args, false, reply)? else { return Ok(()) };
    let key = ctx.first_key(&args[2]);
    let stream = grouped(ctx, args)?;
    if args.len() != 5 && args.len() != 7 {
        errors::subcommand_syntax(args, reply);
        return Ok(());
    }
    let last_id = match &args[4] {
        b"$" => stream.log.last_id,
        word => words::id_or_bound(word, 0)?,
    };
    stream.edit_group(&args[3], |_, group| {
        group.last_id = last_id;
        group.entries_read = options.entries_read;
    });
    reply.ok();
    words::noted(ctx, key, "xgroup-setid");
    Ok(())
}

/// The stream of a subcommand whose group, argument 3, has to be there.
fn grouped<'a>(ctx: &'a mut Context<'_>, args: &Args<'_>) -> Result<&'a mut Stream, Refusal> {
    let key = ctx.first_key(&args[2]);
    let stream = words::write(ctx, key)?.ok_or(refuse(NO_KEY))?;
    if stream.group(&args[3]).is_none() {
        return Err(words::no_group_of(&args[2], &args[3]));
    }
    Ok(stream)
}

/// `XGROUP DESTROY key group`
pub(crate) fn destroy(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    let removed = match words::write(ctx, key) {
        Ok(Some(stream)) => stream.remove_group(&args[3]),
        Ok(None) => return reply.error(NO_KEY),
        Err(refusal) => return reply.error_bytes(&refusal),
    };
    if removed {
        words::noted(ctx, key, "xgroup-destroy");
        // Readers that wait for the group have to learn that it is gone.
        ctx.shard.events.ready(ctx.db, key.bytes);
    }
    reply.integer(i64::from(removed));
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(crate) fn create_consumer(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    let now_ms = ctx.shard.clock_ms() as i64;
    let created = match grouped(ctx, args) {
        Ok(stream) => stream.edit_group(&args[3], |_, group| group.add_consumer(&args[4], now_ms).is_some()),
        Err(refusal) => return reply.error_bytes(&refusal),
    };
    let created = created == Some(true);
    if created {
        words::noted(ctx, key, "xgroup-createconsumer");
    }
    reply.integer(i64::from(created));
}

/// `XGROUP DELCONSUMER key group consumer`
pub(crate) fn del_consumer(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[2]);
    let removed = match grouped(ctx, args) {
        Ok(stream) => stream.edit_group(&args[3], |_, group| group.remove_consumer(&args[4])).flatten(),
        Err(refusal) => return reply.error_bytes(&refusal),
    };
    if removed.is_some() {
        words::noted(ctx, key, "xgroup-delconsumer");
    }
    reply.integer(removed.unwrap_or(0) as i64);
}

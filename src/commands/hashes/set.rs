//! HSET, HMSET, HSETNX, HSETEX: giving fields values.

use super::times;
use super::{Absent, Refusal, edit, finish, journal_hdel, tell};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::time_unit::TimeUnit;
use crate::resp::reply::Reply;
use crate::types::table::Expire;

/// `HSET key field value [field value ...]`
pub(crate) fn hset(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match set_all(ctx, args, reply, "hset") {
        Some(Ok(created)) => reply.integer(created),
        Some(Err(refusal)) => reply.error(refusal),
        None => {}
    }
}

/// `HMSET key field value [field value ...]`
pub(crate) fn hmset(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match set_all(ctx, args, reply, "hmset") {
        Some(Ok(_)) => reply.ok(),
        Some(Err(refusal)) => reply.error(refusal),
        None => {}
    }
}

/// Sets the pairs from argument 2 on and answers how many fields were not there; `None` if an error was answered.
#[inline]
fn set_all(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, name: &str) -> Option<Result<i64, Refusal>> {
    if args.len() < 4 || !args.len().is_multiple_of(2) {
        errors::wrong_arity(name, reply);
        return None;
    }
    let (now_ms, limits) = (ctx.shard.now_ms, ctx.shard.settings.hash_limits);
    let pairs = (2..args.len()).step_by(2);
    let edited = edit(ctx, args, pairs.clone(), Absent::Create, |hash| {
        let set = |index: usize| hash.set(&args[index], &args[index + 1], Expire::Clear, now_ms, limits);
        Ok((true, pairs.map(set).map(i64::from).sum()))
    });
    Some(edited.map(|edited| {
        ctx.shard.changed_many((args.len() - 2) / 2);
        tell(ctx, args, "hset");
        edited.map_or(0, |edited| edited.result)
    }))
}

/// `HSETNX key field value`
pub(crate) fn hsetnx(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let (now_ms, limits) = (ctx.shard.now_ms, ctx.shard.settings.hash_limits);
    let edited = edit(ctx, args, 2..3, Absent::Create, |hash| {
        let is_new = hash.find(&args[2]).is_none();
        if is_new {
            hash.set(&args[2], &args[3], Expire::Clear, now_ms, limits);
        }
        Ok((is_new, is_new))
    });
    match edited {
        Ok(edited) => {
            let is_new = edited.is_some_and(|edited| edited.result);
            if is_new {
                tell(ctx, args, "hset");
            }
            reply.integer(i64::from(is_new));
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// The options of HSETEX.
#[derive(Debug, Default)]
struct Options {
    /// NX: true, XX: false.
    key_absent: Option<bool>,
    /// FNX: true, FXX: false.
    fields_absent: Option<bool>,
    lifetime: Lifetime,
    /// Where the first name is.
    first: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Lifetime {
    #[default]
    Unsaid,
    Keep,
    At(u64),
}

const ONE_CONDITION: Refusal = "ERR Only one of FXX or FNX arguments can be specified";
const ONE_LIFETIME: Refusal = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
const WRONG_ARITY: Refusal = "ERR wrong number of arguments for 'hsetex' command";

/// Reads all arguments of HSETEX; an unknown one is told in its own words.
fn parse(args: &Args<'_>, now_ms: u64) -> Result<Options, String> {
    let mut options = Options::default();
    let mut index = 2;
    while index < args.len() {
        let word = &args[index];
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        index += 1;
        if is("fields") {
            let count = args.get(index).filter(|_| args.len() > index + 2).ok_or(WRONG_ARITY)?;
            let count = parse_i64(count).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
            let count = count.ok_or("ERR invalid number of fields")? as usize;
            options.first = index + 1;
            if args.len() - options.first != 2 * count {
                return Err(WRONG_ARITY.into());
            }
            return Ok(options);
        }
        if is("fnx") || is("fxx") {
            if options.fields_absent.is_some() {
                return Err(ONE_CONDITION.into());
            }
            options.fields_absent = Some(is("fnx"));
        } else if is("nx") || is("xx") {
            if options.key_absent.is_some_and(|absent| absent != is("nx")) {
                return Err(errors::SYNTAX.into());
            }
            options.key_absent = Some(is("nx"));
        } else if is("keepttl") {
            options.live(Lifetime::Keep)?;
        } else if let Some(unit) = TimeUnit::named(word) {
            // Redis sees that there are two before it reads the time.
            if options.lifetime != Lifetime::Unsaid {
                return Err(ONE_LIFETIME.into());
            }
            let time = args.get(index).ok_or(WRONG_ARITY)?;
            options.live(Lifetime::At(times::instant(time, unit, now_ms, "hsetex")?))?;
            index += 1;
        } else {
            let shown = word.split(|&byte| byte == 0).next().unwrap_or_default();
            return Err(format!("ERR unknown argument: {}", String::from_utf8_lossy(shown)));
        }
    }
    Err(WRONG_ARITY.into())
}

impl Options {
    fn live(&mut self, lifetime: Lifetime) -> Result<(), Refusal> {
        if self.lifetime != Lifetime::Unsaid {
            return Err(ONE_LIFETIME);
        }
        self.lifetime = lifetime;
        Ok(())
    }
}

/// `HSETEX key [NX | XX] [FNX | FXX] [EX .. | PX .. | EXAT .. | PXAT .. | KEEPTTL] FIELDS numfields field value ...`
pub(crate) fn hsetex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let options = match parse(args, ctx.shard.now_ms) {
        Ok(options) => options,
        Err(text) => return reply.error(&text),
    };
    match hsetex_parsed(ctx, args, &options) {
        Ok(done) => reply.integer(i64::from(done)),
        Err(refusal) => reply.error(refusal),
    }
}

fn hsetex_parsed(ctx: &mut Context<'_>, args: &Args<'_>, options: &Options) -> Result<bool, Refusal> {
    let (now_ms, limits) = (ctx.shard.now_ms, ctx.shard.settings.hash_limits);
    let pairs = (options.first..args.len()).step_by(2);
    let expire = match options.lifetime {
        Lifetime::Unsaid => Expire::Clear,
        Lifetime::Keep => Expire::Keep,
        Lifetime::At(at) => Expire::At(at),
    };
    let past = matches!(expire, Expire::At(at) if at <= now_ms);
    let edited = edit(ctx, args, pairs.clone(), Absent::Create, |hash| {
        // A hash that was just made is the only one without fields.
        let allowed = options.key_absent.is_none_or(|absent| hash.is_empty() == absent)
            && options
                .fields_absent
                .is_none_or(|absent| pairs.clone().all(|i| hash.find(&args[i]).is_none() == absent));
        if allowed && matches!(expire, Expire::At(_)) {
            hash.make_timed();
        }
        if allowed {
            for index in pairs.clone() {
                if past {
                    hash.remove(&args[index], now_ms);
                } else {
                    hash.set(&args[index], &args[index + 1], expire, now_ms, limits);
                }
            }
        }
        Ok((allowed, allowed))
    })?;
    let Some(edited) = edited.filter(|edited| edited.result) else { return Ok(false) };
    tell(ctx, args, "hset");
    if past {
        tell(ctx, args, "hdel");
        journal_hdel(ctx, &args[1], pairs.map(|index| &args[index]));
    } else if let Lifetime::At(at) = options.lifetime {
        tell(ctx, args, "hexpire");
        journal(ctx, args, options, &[b"PXAT", at.to_string().as_bytes()]);
    } else {
        let keep: &[&[u8]] = if options.lifetime == Lifetime::Keep { &[b"KEEPTTL"] } else { &[] };
        journal(ctx, args, options, keep);
    }
    finish(ctx, args, edited.emptied);
    Ok(true)
}

/// What was done, without conditions and with an absolute time.
fn journal(ctx: &mut Context<'_>, args: &Args<'_>, options: &Options, lifetime: &[&[u8]]) {
    if ctx.shard.events.journaled {
        let mut words: Vec<&[u8]> = vec![b"HSETEX", &args[1]];
        words.extend(lifetime);
        words.push(b"FIELDS");
        words.extend(args.from(options.first - 1));
        ctx.shard.events.effect(&words);
    }
}

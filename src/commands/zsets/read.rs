//! What is asked of single members, and how many there are: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT
//! and ZSCAN.

use crate::base::bytes::OutBuf;
use crate::base::{glob, text};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::scan::parse_cursor;
use crate::commands::zsets::{Refusal, answer, bounds, member, read};
use crate::resp::reply::Reply;

/// Members a step of ZSCAN visits unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

/// `ZCARD key`.
pub(crate) fn zcard(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let len = read(ctx, &args[1], |zset| zset.len());
    answer(reply, len.map(|len| len.unwrap_or(0) as i64));
}

/// `ZSCORE key member`.
pub(crate) fn zscore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match read(ctx, &args[1], |zset| zset.score(&args[2])) {
        Ok(Some(Some(score))) => reply.double(score),
        Ok(_) => reply.null(),
        Err(refusal) => reply.error(refusal),
    }
}

/// `ZMSCORE key member [member ...]`.
pub(crate) fn zmscore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let found = read(ctx, &args[1], |zset| {
        reply.array(args.len() - 2);
        for member in args.from(2) {
            match zset.score(member) {
                Some(score) => reply.double(score),
                None => reply.null(),
            }
        }
    });
    match found {
        Ok(Some(())) => {}
        Ok(None) => {
            reply.array(args.len() - 2);
            (2..args.len()).for_each(|_| reply.null());
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `ZRANK key member [WITHSCORE]`.
pub(crate) fn zrank(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    rank(ctx, args, reply, "zrank", |rank, _| rank);
}

/// `ZREVRANK key member [WITHSCORE]`.
pub(crate) fn zrevrank(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    rank(ctx, args, reply, "zrevrank", |rank, len| len - 1 - rank);
}

fn rank(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    name: &str,
    turn: impl Fn(usize, usize) -> usize,
) {
    let with_score = match args.get(3) {
        None => false,
        Some(_) if args.len() > 4 => return errors::wrong_arity(name, reply),
        Some(option) if option.eq_ignore_ascii_case(b"withscore") => true,
        Some(_) => return reply.error(errors::SYNTAX),
    };
    let found = read(ctx, &args[1], |zset| zset.rank(&args[2]).map(|(rank, score)| (turn(rank, zset.len()), score)));
    match found {
        Ok(Some(Some((rank, score)))) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(rank as i64);
            if with_score {
                reply.double(score);
            }
        }
        Ok(_) if with_score => reply.null_array(),
        Ok(_) => reply.null(),
        Err(refusal) => reply.error(refusal),
    }
}

/// `ZCOUNT key min max`.
pub(crate) fn zcount(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let count =
        bounds::scores(&args[2], &args[3]).and_then(|range| read(ctx, &args[1], |zset| zset.score_ranks(&range).len()));
    answer(reply, count.map(|count| count.unwrap_or(0) as i64));
}

/// `ZLEXCOUNT key min max`.
pub(crate) fn zlexcount(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let count = bounds::members(&args[2], &args[3])
        .and_then(|range| read(ctx, &args[1], |zset| zset.lex_ranks(&range, false).len()));
    answer(reply, count.map(|count| count.unwrap_or(0) as i64));
}

/// The options of ZSCAN.
struct Scan<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    scores: bool,
}

impl<'a> Scan<'a> {
    fn parse(args: &'a Args<'_>) -> Result<Self, Refusal> {
        let mut scan = Scan { count: COUNT_DEFAULT, pattern: None, scores: true };
        let mut at = 3;
        while let Some(option) = args.get(at) {
            let value = args.get(at + 1);
            at += 2;
            match value {
                _ if option.eq_ignore_ascii_case(b"noscores") => {
                    scan.scores = false;
                    at -= 1;
                }
                Some(value) if option.eq_ignore_ascii_case(b"count") => {
                    let count = text::parse_i64(value).ok_or(errors::NOT_INTEGER)?;
                    scan.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(errors::SYNTAX)?;
                }
                Some(value) if option.eq_ignore_ascii_case(b"match") => {
                    scan.pattern = (value != b"*").then_some(value);
                }
                _ => return Err(errors::SYNTAX),
            }
        }
        Ok(scan)
    }
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`.
pub(crate) fn zscan(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let mut found = OutBuf::default();
    let mut elements = Reply::new(&mut found, reply.proto);
    let mut count = 0;
    let Some(cursor) = parse_cursor(&args[2]) else { return reply.error("ERR invalid cursor") };
    // The options count only where there is something to walk through, as in Redis.
    let walked = read(ctx, &args[1], |zset| {
        let scan = Scan::parse(args)?;
        Ok(zset.scan(cursor, scan.count, |item, score| {
            if scan.pattern.is_some_and(|pattern| !item.with_bytes(|own| glob::matches(pattern, own, false))) {
                return;
            }
            member(&mut elements, item);
            count += 1;
            if scan.scores {
                elements.bulk(&text::double(score));
                count += 1;
            }
        }))
    });
    match walked.and_then(|walked| walked.unwrap_or(Ok(0))) {
        Ok(next) => {
            reply.array(2);
            reply.bulk_fmt(format_args!("{next}"));
            reply.array(count);
            reply.out.append(&mut found);
        }
        Err(refusal) => reply.error(refusal),
    }
}

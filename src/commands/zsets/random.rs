//! ZRANDMEMBER: members drawn by their ranks, so that each is as likely as any other.

use crate::base::limits::RANDOM_MEMBERS_MAX;
use crate::base::stats::Random;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::zsets::{Refusal, member, read};
use crate::resp::reply::{Proto, Reply};
use crate::types::zset::Zset;

const COUNT_OUT_OF_RANGE: Refusal =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
const VALUE_OUT_OF_RANGE: Refusal = "ERR value is out of range";

/// `ZRANDMEMBER key [count [WITHSCORES]]`.
pub(crate) fn zrandmember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let mut dice = Random::new(ctx.shard.random_u64());
    if args.len() == 2 {
        let found = read(ctx, &args[1], |zset| match zset.nth(dice.index(zset.len().max(1))) {
            Some((item, _)) => member(reply, item),
            None => reply.null(),
        });
        return match found {
            Ok(Some(())) => {}
            Ok(None) => reply.null(),
            Err(refusal) => reply.error(refusal),
        };
    }
    let found = parse(args).and_then(|(count, with_scores)| {
        read(ctx, &args[1], |zset| several(zset, count, with_scores, &mut dice, reply))
    });
    match found {
        Ok(Some(())) => {}
        Ok(None) => reply.array(0),
        Err(refusal) => reply.error(refusal),
    }
}

fn parse(args: &Args<'_>) -> Result<(i64, bool), Refusal> {
    let count = parse_i64(&args[2]).ok_or(errors::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(COUNT_OUT_OF_RANGE);
    }
    let with_scores = args.get(3).is_some_and(|option| option.eq_ignore_ascii_case(b"withscores"));
    if args.len() > 4 || (args.len() == 4 && !with_scores) {
        return Err(errors::SYNTAX);
    }
    let repeats_too_often = count < -(RANDOM_MEMBERS_MAX as i64);
    if (with_scores && count.unsigned_abs() > i64::MAX as u64 / 2) || repeats_too_often {
        return Err(VALUE_OUT_OF_RANGE);
    }
    Ok((count, with_scores))
}

/// `count` different members, or, negative, that many draws.
fn several(zset: &Zset, count: i64, with_scores: bool, dice: &mut Random, reply: &mut Reply<'_>) {
    let len = zset.len();
    let wanted = count.unsigned_abs() as usize;
    let drawn = if count < 0 { wanted } else { wanted.min(len) };
    let pairs = with_scores && reply.proto == Proto::Resp3;
    reply.array(if with_scores && !pairs { 2 * drawn } else { drawn });
    let mut write = |(item, score)| {
        if pairs {
            reply.array(2);
        }
        member(reply, item);
        if with_scores {
            reply.double(score);
        }
    };
    if count < 0 {
        return (0..drawn).filter_map(|_| zset.nth(dice.index(len))).for_each(write);
    }
    if drawn == len {
        return zset.iter().for_each(write);
    }
    // Selection sampling (Knuth, Algorithm S) walks everything; where few of many are wanted, draw again until new.
    if drawn * 3 < len {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < drawn {
            let rank = dice.index(len);
            if seen.insert(rank) {
                zset.nth(rank).into_iter().for_each(&mut write);
            }
        }
        return;
    }
    let mut left = drawn;
    for (nth, entry) in zset.iter().enumerate() {
        if left > 0 && dice.index(len - nth) < left {
            write(entry);
            left -= 1;
        }
    }
}

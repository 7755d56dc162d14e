//! HSCAN: a hash in steps, with SCAN's guarantee.

use super::{Refusal, answer, read};
use crate::base::bytes::OutBuf;
use crate::base::glob;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::keys::scan::parse_cursor;
use crate::resp::reply::Reply;

/// Fields a step visits unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

/// The options of HSCAN.
struct Wanted<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    values: bool,
}

impl<'a> Wanted<'a> {
    fn parse(args: &'a Args<'_>) -> Result<Self, Refusal> {
        let mut wanted = Wanted { pattern: None, count: COUNT_DEFAULT, values: true };
        let mut index = 3;
        while index < args.len() {
            let option = &args[index];
            if option.eq_ignore_ascii_case(b"novalues") {
                wanted.values = false;
                index += 1;
                continue;
            }
            let value = args.get(index + 1).ok_or(errors::SYNTAX)?;
            if option.eq_ignore_ascii_case(b"count") {
                let count = parse_i64(value).ok_or(errors::NOT_INTEGER)?;
                wanted.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(errors::SYNTAX)?;
            } else if option.eq_ignore_ascii_case(b"match") {
                wanted.pattern = (value != b"*").then_some(value);
            } else {
                return Err(errors::SYNTAX);
            }
            index += 2;
        }
        Ok(wanted)
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub(crate) fn hscan(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    if let Err(refusal) = hscan_checked(ctx, args, reply) {
        reply.error(refusal);
    }
}

fn hscan_checked(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let cursor = parse_cursor(&args[2]).ok_or("ERR invalid cursor")?;
    let now_ms = ctx.shard.now_ms;
    let mut found = OutBuf::default();
    let mut elements = Reply::new(&mut found, reply.proto);
    let (mut next, mut count) = (0, 0);
    if let Some(hash) = read(ctx, args)? {
        let wanted = Wanted::parse(args)?;
        next = hash.scan(cursor, wanted.count, |pair| {
            let matches = |pattern| pair.name.with_bytes(|name| glob::matches(pattern, name, false));
            if pair.is_due(now_ms) || !wanted.pattern.is_none_or(matches) {
                return;
            }
            answer(&mut elements, pair.name);
            count += 1;
            if wanted.values {
                answer(&mut elements, pair.value);
                count += 1;
            }
        });
    }
    reply.array(2);
    reply.bulk_fmt(format_args!("{next}"));
    reply.array(count);
    reply.out.append(&mut found);
    Ok(())
}

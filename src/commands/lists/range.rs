//! Reading lists: LLEN, LINDEX, LRANGE, LPOS. Never changes one.

use super::push::bulk;
use super::{Refusal, view_list};
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::resp::reply::Reply;
use crate::types::list::List;
use crate::types::listpack::matcher;

const RANK_ZERO: Refusal = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                            negative to start from the end of the list";
const SYMMETRIC: Refusal = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// `LLEN key`
pub(crate) fn llen(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch).map(view_list) {
        None => reply.integer(0),
        Some(Ok(list)) => reply.integer(list.len() as i64),
        Some(Err(refusal)) => reply.error(refusal),
    }
}

/// `LINDEX key index`
pub(crate) fn lindex(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let key = ctx.first_key(&args[1]);
    let list = match ctx.shard.read(ctx.db, key, ctx.no_touch).map(view_list) {
        None => return reply.null(),
        Some(Err(refusal)) => return reply.error(refusal),
        Some(Ok(list)) => list,
    };
    let Some(index) = parse_i64(&args[2]) else { return reply.error(errors::NOT_INTEGER) };
    if list.get(index, |item| bulk(reply, item)).is_none() {
        reply.null();
    }
}

/// First element and number of elements that `start` and `stop`, negative from the tail, mean in a list of `len`.
pub(super) fn cut(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let start = if start < 0 { start.saturating_add(len).max(0) } else { start };
    let stop = if stop < 0 { stop.saturating_add(len) } else { stop.min(len - 1) };
    if start > stop || start >= len { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}

/// `LRANGE key start stop`
pub(crate) fn lrange(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let (Some(start), Some(stop)) = (parse_i64(&args[2]), parse_i64(&args[3])) else {
        return reply.error(errors::NOT_INTEGER);
    };
    let key = ctx.first_key(&args[1]);
    match ctx.shard.read(ctx.db, key, ctx.no_touch).map(view_list) {
        None => reply.array(0),
        Some(Err(refusal)) => reply.error(refusal),
        Some(Ok(list)) => {
            let (first, count) = cut(start, stop, list.len());
            reply.array(count);
            let mut left = count;
            if left > 0 {
                list.walk(first, true, |item| {
                    bulk(reply, item);
                    left -= 1;
                    left > 0
                });
            }
        }
    }
}

/// Options of LPOS.
#[derive(Debug)]
struct Search {
    /// Which match is the first to be told, from 1.
    rank: u64,
    /// From the tail.
    backwards: bool,
    /// Most matches to tell, 0 for all; `None` asks for one, not in an array.
    count: Option<u64>,
    /// Most elements to compare, 0 for all.
    compare_max: u64,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Search, Refusal> {
        let mut search = Search { rank: 1, backwards: false, count: None, compare_max: 0 };
        for at in (3..args.len()).step_by(2) {
            let (option, Some(value)) = (&args[at], args.get(at + 1)) else { return Err(errors::SYNTAX) };
            let positive = |refusal| parse_i64(value).and_then(|n| u64::try_from(n).ok()).ok_or(refusal);
            if option.eq_ignore_ascii_case(b"rank") {
                let rank = parse_i64(value).ok_or(errors::NOT_INTEGER)?;
                match rank {
                    i64::MIN => return Err(SYMMETRIC),
                    0 => return Err(RANK_ZERO),
                    _ => (search.rank, search.backwards) = (rank.unsigned_abs(), rank < 0),
                }
            } else if option.eq_ignore_ascii_case(b"count") {
                search.count = Some(positive("ERR COUNT can't be negative")?);
            } else if option.eq_ignore_ascii_case(b"maxlen") {
                search.compare_max = positive("ERR MAXLEN can't be negative")?;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        Ok(search)
    }

    /// Tells the index of each match that counts.
    fn run(&self, list: &List, element: &[u8], mut tell: impl FnMut(usize)) {
        let is_match = matcher(element);
        let (len, mut compared, mut matches) = (list.len(), 0, 0);
        let start = if self.backwards { len - 1 } else { 0 };
        list.walk(start, !self.backwards, |item| {
            if is_match(item) {
                matches += 1;
                if matches >= self.rank {
                    tell(if self.backwards { len - 1 - compared } else { compared });
                    let told = matches - self.rank + 1;
                    if self.count.is_none_or(|count| count > 0 && told >= count) {
                        return false;
                    }
                }
            }
            compared += 1;
            self.compare_max == 0 || (compared as u64) < self.compare_max
        });
    }
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub(crate) fn lpos(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let search = match Search::parse(args) {
        Ok(search) => search,
        Err(refusal) => return reply.error(refusal),
    };
    let key = ctx.first_key(&args[1]);
    let list = match ctx.shard.read(ctx.db, key, ctx.no_touch).map(view_list) {
        None if search.count.is_some() => return reply.array(0),
        None => return reply.null(),
        Some(Err(refusal)) => return reply.error(refusal),
        Some(Ok(list)) => list,
    };
    if search.count.is_none() {
        let mut found = None;
        search.run(list, &args[2], |index| found = Some(index));
        return match found {
            Some(index) => reply.integer(index as i64),
            None => reply.null(),
        };
    }
    let (later, mut told) = (reply.array_later(), 0);
    search.run(list, &args[2], |index| {
        reply.integer(index as i64);
        told += 1;
    });
    reply.set_array_len(later, told);
}

/// The count of LREM: its sign says from where.
pub(super) fn symmetric(text: &[u8]) -> Result<i64, Refusal> {
    match parse_i64(text).ok_or(errors::NOT_INTEGER)? {
        i64::MIN => Err(SYMMETRIC),
        number => Ok(number),
    }
}

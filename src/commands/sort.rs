//! SORT and SORT_RO: the elements of a list, set or sorted set in order, by themselves or by what other keys hold.
//!
//! The command is a sequence of rounds ([`rounds::next`]): what type the key has, its elements, the weights that BY
//! names, the values that GET names, and for STORE the list that is left. Each round is a handful of plain commands
//! with one key each; over several shards the router runs them under one transaction's locks, here [`sort`] runs them
//! itself. So a pattern may name keys of any shard, and no value crosses cores but those asked for.

pub(crate) mod options;
pub(crate) mod order;
pub(crate) mod rounds;

use crate::base::bytes::OutBuf;
use crate::commands::args::{Args, lay_out};
use crate::commands::context::{CommandFn, Context};
use crate::commands::key_args::KeyArg;
use crate::commands::spec::flag::{DENYOOM, READONLY, STORES_FOUND, TOUCHES_ARBITRARY_KEYS, WRITE};
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys, Group, KeyFlags, KeySpec, Plan, Relay, acl, key};
use crate::commands::table::FAMILIES;
use crate::resp::reply::{Proto, Reply};
use crate::shard::events::class;
use crate::types::list::{End, List};
use crate::types::table::{Expire, Key};
use crate::types::value::{NewValue, Value};
use rounds::{Next, Rows};

/// Commands of one round, each as its words.
type Words = Vec<Vec<Vec<u8>>>;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]`
pub(crate) fn sort(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    here(ctx, args, reply, false);
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]`
pub(crate) fn sort_ro(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    here(ctx, args, reply, true);
}

/// All rounds on this shard.
fn here(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, read_only: bool) {
    let args: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
    let mut known: Option<(Vec<u8>, CommandFn)> = None;
    let mut done = Vec::new();
    loop {
        match rounds::next(&args, &done, read_only) {
            Next::Ask(commands) => {
                done.push(commands.iter().map(|words| ask(ctx, words, &mut known)).collect());
            }
            Next::Refuse(refusal) => return reply.error(refusal),
            Next::Rows(rows) => return answer(&rows, reply),
            Next::Store(target, rows) => return store(ctx, &target, &rows, reply),
        }
    }
}

/// Runs one command on this shard and returns its RESP2 reply. `known` saves looking the same function up again.
fn ask(ctx: &mut Context<'_>, words: &[Vec<u8>], known: &mut Option<(Vec<u8>, CommandFn)>) -> Vec<u8> {
    let function = match known {
        Some((name, function)) if *name == words[0] => *function,
        _ => {
            let found = function(&words[0]);
            *known = Some((words[0].clone(), found));
            found
        }
    };
    let (buffer, spans) = lay_out(words);
    let mut out = OutBuf::default();
    let mut own = Context { shard: ctx.shard, hint: None, foreign: &mut [], ..*ctx };
    function(&mut own, &mut Args::new(&buffer, &spans), &mut Reply::new(&mut out, Proto::Resp2));
    if out.bigs.is_empty() { out.bytes } else { out.flat() }
}

/// The function of a command that needs one shard.
fn function(name: &[u8]) -> CommandFn {
    let all = FAMILIES.iter().flat_map(|family| family.iter());
    let spec = all.into_iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name));
    match spec.map(|spec| spec.plan) {
        Some(Plan::OneShard(run)) => run,
        _ => unreachable!("the rounds ask for commands of one shard"),
    }
}

fn answer(rows: &Rows, reply: &mut Reply<'_>) {
    reply.array(rows.len());
    for row in rows {
        match row {
            Some(value) => reply.bulk(value),
            None => reply.null(),
        }
    }
}

/// Puts the list in the place of whatever is at `target`; without elements the key goes.
fn store(ctx: &mut Context<'_>, target: &[u8], rows: &Rows, reply: &mut Reply<'_>) {
    let key = Key::new(target);
    ctx.shard.events.effect(&[b"DEL", target]);
    if rows.is_empty() {
        if ctx.shard.remove(ctx.db, key) {
            ctx.shard.events.happen(class::GENERIC, "del", ctx.db, target);
        }
        return reply.integer(0);
    }
    let fill = ctx.shard.settings.list_fill;
    let mut list = List::new();
    for row in rows {
        let value = row.as_deref().unwrap_or_default();
        list.grow(value.len(), 1, fill);
        list.push(End::Tail, value, fill);
    }
    ctx.shard.set(ctx.db, key, NewValue::Boxed(Box::new(Value::List(list))), Expire::Clear);
    ctx.shard.changed_many(rows.len());
    ctx.shard.events.happen(class::LIST, "sortstore", ctx.db, target);
    ctx.shard.events.ready(ctx.db, target);
    if ctx.shard.events.journaled {
        let values = rows.iter().map(|row| row.as_deref().unwrap_or_default());
        let words: Vec<&[u8]> = [b"RPUSH".as_slice(), target].into_iter().chain(values).collect();
        ctx.shard.events.effect(&words);
    }
    reply.integer(rows.len() as i64);
}

/// The last round of a SORT over several shards: `SORT key element ...` stores the list.
pub(crate) fn store_sorted(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let rows: Rows = args.from(2).map(|value| Some(value.to_vec())).collect();
    let target = args[1].to_vec();
    store(ctx, &target, &rows, reply);
}

/// SORT over several shards.
fn sort_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Words {
    over_shards(relay, reply, false)
}

/// SORT_RO over several shards.
fn sort_ro_relay(relay: &Relay<'_>, reply: &mut Reply<'_>) -> Words {
    over_shards(relay, reply, true)
}

fn over_shards(relay: &Relay<'_>, reply: &mut Reply<'_>, read_only: bool) -> Words {
    if let Some([count]) = relay.rounds.last().map(Vec::as_slice)
        && rounds::has_stored(relay.args, relay.rounds, read_only)
    {
        reply.raw(count);
        return Vec::new();
    }
    match rounds::next(relay.args, relay.rounds, read_only) {
        Next::Ask(commands) => return commands,
        Next::Refuse(refusal) => reply.error(refusal),
        Next::Rows(rows) => answer(&rows, reply),
        Next::Store(target, rows) => {
            let values = rows.into_iter().map(Option::unwrap_or_default);
            return vec![[b"SORT".to_vec(), target].into_iter().chain(values).collect()];
        }
    }
    Vec::new()
}

/// The key and the destination; those that patterns name are known to nobody.
fn keys(args: &Args<'_>) -> Vec<KeyArg> {
    let mut keys = vec![KeyArg { index: 1, flags: READ }];
    let mut at = 2;
    while at < args.len() {
        let word = &args[at];
        if word.eq_ignore_ascii_case(b"limit") {
            at += 2;
        } else if word.eq_ignore_ascii_case(b"get") || word.eq_ignore_ascii_case(b"by") {
            at += 1;
        } else if word.eq_ignore_ascii_case(b"store") && at + 1 < args.len() {
            keys.truncate(1);
            keys.push(KeyArg { index: at + 1, flags: key::OW | key::UPDATE });
            at += 1;
        }
        at += 1;
    }
    keys
}

fn key_only(args: &Args<'_>) -> Vec<KeyArg> {
    let _ = args;
    vec![KeyArg { index: 1, flags: READ }]
}

const READ: KeyFlags = key::RO | key::ACCESS;
const BY_PATTERN: KeySpec = KeySpec {
    flags: READ,
    notes: "BY and GET make names of keys from patterns and elements",
    begin: BeginSearch::Unknown,
    find: FindKeys::Unknown,
};
const BY_OPTION: KeySpec = KeySpec {
    flags: key::OW | key::UPDATE,
    notes: "STORE may stand anywhere among the options",
    begin: BeginSearch::Unknown,
    find: FindKeys::Unknown,
};

/// The sort commands.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("sort", -2, Group::Generic, "1.0.0", Plan::Relay { run: sort, relay: sort_relay })
        .flags(WRITE | DENYOOM | TOUCHES_ARBITRARY_KEYS | STORES_FOUND)
        .not_acl(acl::KEYSPACE)
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .key_specs(&[KeySpec::one(READ, 1), BY_PATTERN, BY_OPTION])
        .keys_by(keys)
        .docs(
            "Sorts a list, set or sorted set, by itself or by other keys, and may store the outcome.",
            "O(N+M*log(M)) with N the number of elements and M the number returned",
            "key#0 [BY by-pattern:pattern/pattern/] [LIMIT limit={offset:int count:int}] \
                [GET get-pattern:pattern/pattern/...+] [order=(ASC|DESC)] [sorting=ALPHA] \
                [STORE destination#2]",
        ),
    CommandSpec::new("sort_ro", -2, Group::Generic, "7.0.0", Plan::Relay { run: sort_ro, relay: sort_ro_relay })
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
        .not_acl(acl::KEYSPACE)
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .key_specs(&[KeySpec::one(READ, 1), BY_PATTERN])
        .keys_by(key_only)
        .docs(
            "Sorts a list, set or sorted set, by itself or by other keys.",
            "O(N+M*log(M)) with N the number of elements and M the number returned",
            "key#0 [BY by-pattern:pattern/pattern/] [LIMIT limit={offset:int count:int}] \
                [GET get-pattern:pattern/pattern/...+] [order=(ASC|DESC)] [sorting=ALPHA]",
        ),
];

#[cfg(test)]
#[path = "sort_tests.rs"]
mod tests;

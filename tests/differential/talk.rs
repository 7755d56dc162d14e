//! Two connections to each of two servers: what one says reaches the other as messages, invalidations and keyspace
//! events. After every command both connections are asked for a sign, and everything that came before it is compared.
//! Never sends a command whose reply a sign could be mistaken for.

use crate::case::{Command, shown};
use crate::common::client::encode;
use crate::common::{Client, Launch, Random, Server, Setup, Value};
use crate::compare::numbers;
use crate::grammar::{self, Node};
use crate::pools::Pools;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long what one server has sent and the other has not is waited for: messages between cores are not replies.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Weight and grammar of what is said. Not of keys that are missed (`m`): Redis 7.0 tells of them in the middle of
/// MGET's reply.
const SAID: &[(usize, &str)] = &[
    (8, "SUBSCRIBE channel+"),
    (3, "UNSUBSCRIBE channel*"),
    (5, "PSUBSCRIBE chpattern+"),
    (3, "PUNSUBSCRIBE chpattern*"),
    (4, "SSUBSCRIBE channel+"),
    (2, "SUNSUBSCRIBE channel*"),
    (14, "PUBLISH channel value"),
    (6, "SPUBLISH channel value"),
    (2, "PUBSUB CHANNELS [chpattern]"),
    (2, "PUBSUB SHARDCHANNELS [chpattern]"),
    (2, "PUBSUB (NUMSUB|SHARDNUMSUB) channel*"),
    (2, "PUBSUB NUMPAT"),
    (1, "PUBSUB junk*"),
    (3, "HELLO proto"),
    (1, "RESET"),
    (2, "SELECT db"),
    (5, "CLIENT TRACKING onoff [OPTIN|OPTOUT] [NOLOOP]"),
    (4, "CLIENT TRACKING ON [BCAST] (PREFIX chprefix)* [NOLOOP]"),
    (3, "CLIENT TRACKING ON [BCAST] REDIRECT @other"),
    (1, "CLIENT TRACKING onoff REDIRECT clientid"),
    (1, "CLIENT TRACKING onoff [BCAST] [OPTIN] [OPTOUT] [NOLOOP] [PREFIX chprefix]"),
    (4, "CLIENT CACHING (YES|NO|Maybe)"),
    (3, "CLIENT (TRACKINGINFO|GETREDIR)"),
    (8, "CONFIG SET notify-keyspace-events (KEA|KEA|KEA|Kg|E$l|Ehsz|KEx|Kt|K)"),
    (1, "CONFIG GET notify-keyspace-events"),
    (10, "GET key"),
    (4, "MGET key+"),
    (10, "SET key value [KEEPTTL]"),
    (2, "MSET (key value)+"),
    (3, "(INCR|DECR|APPEND|SETRANGE|GETDEL|GETSET|SETNX) key [int] [value]"),
    (4, "DEL key+"),
    (2, "UNLINK key"),
    (3, "(LPUSH|RPUSH|SADD) key value+"),
    (2, "(LPOP|RPOP|SPOP) key"),
    (2, "(LMOVE key key LEFT RIGHT|SMOVE key key value|RPOPLPUSH key key)"),
    (2, "(LTRIM key index index|LREM key index value|LSET key index value|LINSERT key BEFORE value value)"),
    (2, "(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) key key+"),
    (1, "SREM key value+"),
    (3, "(HSET|HMSET) key (field value)+"),
    (2, "(HDEL key field+|HINCRBY key field int|HINCRBYFLOAT key field float|HSETNX key field value)"),
    (3, "ZADD key (zscore zmember)+"),
    (2, "(ZINCRBY key zscore zmember|ZREM key zmember+|ZPOPMIN key|ZPOPMAX key count)"),
    (2, "(ZREMRANGEBYRANK key index index|ZREMRANGEBYSCORE key zbound zbound|ZREMRANGEBYLEX key lexbound lexbound)"),
    (2, "(ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE) key 2 key key"),
    (1, "ZRANGESTORE key key index index"),
    (2, "(GEOADD key longitude latitude zmember|GEOSEARCHSTORE key key FROMMEMBER zmember BYRADIUS radius KM)"),
    (3, "XADD key sid field value"),
    (2, "(XDEL key sid+|XTRIM key MAXLEN limit|XSETID key sid|XACK key group sid)"),
    (2, "XGROUP (CREATE key group sid MKSTREAM|SETID key group sid|DESTROY key group)"),
    (1, "XGROUP (CREATECONSUMER|DELCONSUMER) key group consumer"),
    (2, "XREADGROUP GROUP group consumer STREAMS key >"),
    (2, "(PFADD key value+|PFMERGE key key+)"),
    (1, "(SETBIT key bitoffset bit|BITOP AND key key key|BITFIELD key SET u8 0 int)"),
    (2, "(EXPIRE|PEXPIREAT) key 99999999999"),
    (2, "(EXPIRE|PEXPIRE|EXPIREAT) key (0|-1)"),
    (1, "PERSIST key"),
    (2, "(RENAME|RENAMENX|COPY) key key"),
    (1, "MOVE key db"),
    (1, "SORT key ALPHA STORE key"),
    (1, "GETEX key (PERSIST|EX 99999)"),
    (1, "(FLUSHDB|FLUSHALL|SWAPDB db db)"),
];

/// Something said on the first or the second connection.
type Line = (usize, Command);

/// Commands and who says them.
#[derive(Debug, Clone)]
struct Talk {
    resp3: [bool; 2],
    lines: Vec<Line>,
}

impl Talk {
    fn draw(seed: u64, menu: &[(usize, Node)]) -> Talk {
        let mut random = Random(seed);
        let pools = Pools::new();
        let total: usize = menu.iter().map(|(weight, _)| weight).sum();
        let mut lines = Vec::new();
        for _ in 0..30 + random.below(50) {
            let mut at = random.below(total);
            let chosen = menu.iter().find(|(weight, _)| {
                let found = at < *weight;
                at = at.saturating_sub(*weight);
                found
            });
            let mut args = Vec::new();
            chosen.expect("within the weights").1.draw(&mut random, &pools, &mut args);
            lines.push((random.below(2), args));
        }
        Talk { resp3: [random.chance(50), random.chance(50)], lines }
    }
}

/// One server with two connections.
struct Side {
    clients: [Client; 2],
    ids: [i64; 2],
    signs: u64,
    version: String,
}

impl Side {
    fn open((launch, server): &mut (Launch, Server), talk: &Talk) -> Side {
        if Client::try_connect(&server.address).is_err() {
            *server = launch.start();
        }
        let mut clients = [server.client(), server.client()];
        clients[0].ok("FLUSHALL");
        clients[0].call(&["CONFIG", "SET", "notify-keyspace-events", ""]);
        let mut ids = [0; 2];
        // A connection's number is to be none that another reply could be.
        for _ in 0..20 {
            drop(server.client());
        }
        clients[1] = server.client();
        for (at, client) in clients.iter_mut().enumerate() {
            if talk.resp3[at] {
                client.run("HELLO 3");
            }
            if let Value::Int(id) = client.run("CLIENT ID") {
                ids[at] = id;
            }
        }
        let hello = format!("{:?}", clients[0].run("HELLO"));
        let version = hello.split('"').find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        Side { clients, ids, signs: 0, version: version.unwrap_or("unknown").to_string() }
    }

    /// Says a line, and answers what came on both connections.
    fn say(&mut self, (who, command): &Line) -> [Vec<String>; 2] {
        let other = self.ids[1 - who].to_string();
        let words: Vec<&[u8]> = command
            .iter()
            .map(|arg| if arg.eq_ignore_ascii_case(b"@other") { other.as_bytes() } else { arg.as_slice() })
            .collect();
        let _ = self.clients[*who].stream.write_all(&encode(&words));
        let mut heard = [Vec::new(), Vec::new()];
        // Redis tells of changes in BCAST mode after the commands that it has read at once, the first PING among them.
        for at in [*who, 1 - who, *who] {
            heard[at].extend(self.listen(at));
            heard[at].sort();
        }
        heard
    }

    /// Everything that comes before the answer to a PING.
    fn listen(&mut self, at: usize) -> Vec<String> {
        self.signs += 1;
        let sign = format!("sign-{}", self.signs);
        let client = &mut self.clients[at];
        let _ = client.stream.write_all(&encode(&["PING", &sign]));
        let mut heard = Vec::new();
        loop {
            match client.try_recv() {
                Ok(Some(value)) if is_sign(&value, &sign) => break,
                Ok(Some(value)) => {
                    let text = |value: &Value| match value {
                        // Redis 7.2 writes scores in their shortest form
                        Value::Double(_) | Value::Bulk(_) => numbers(value),
                        // Redis writes the null of a flush in the dialect of who flushed
                        _ if format!("{value:?}").contains("invalidate\"") => {
                            format!("{value:?}").replace("(null bulk)", "(null)")
                        }
                        _ => format!("{value:?}"),
                    };
                    let texts = one_by_one(value).into_iter();
                    heard.extend(texts.map(|value| named(text(&value), self.ids, &self.version)));
                }
                _ => {
                    heard.push("(closed)".into());
                    break;
                }
            }
        }
        heard.sort();
        heard
    }
}

fn is_sign(value: &Value, sign: &str) -> bool {
    match value {
        Value::Bulk(text) => text == sign.as_bytes(),
        Value::Array(parts) => parts.len() == 2 && is_sign(&parts[1], sign),
        _ => false,
    }
}

/// A message that several keys are no longer what they were as one for each: keys of several shards are told apart.
fn one_by_one(value: Value) -> Vec<Value> {
    let (Value::Push(parts) | Value::Array(parts)) = &value else { return vec![value] };
    let Some((Value::Array(keys), head)) = parts.split_last() else { return vec![value] };
    let is_told = head.last().is_some_and(|word| [&b"invalidate"[..], b"__redis__:invalidate"].contains(&bytes(word)));
    if !is_told {
        return vec![value];
    }
    let one = |key: &Value| Value::Push([head, std::slice::from_ref(key)].concat());
    keys.iter().map(one).collect()
}

fn bytes(word: &Value) -> &[u8] {
    if let Value::Bulk(bytes) = word { bytes } else { b"" }
}

/// Puts names in the place of the connections' numbers and of the server's version, and takes from the end of a
/// subscription the count of those left: which of them ends first follows each server's hash.
fn named(text: String, ids: [i64; 2], version: &str) -> String {
    let mut text = text.replace(version, "version");
    for (id, name) in ids.iter().zip(["first", "second"]) {
        for field in ["id", "redirect"] {
            for (between, end) in [(", ", ","), (": ", ","), (": ", "}")] {
                let number = format!("\"{field}\"{between}:{id}{end}");
                text = text.replace(&number, &format!("\"{field}\"{between}{name}{end}"));
            }
        }
        if text == format!(":{id}") && *id > 9 {
            text = name.to_string();
        }
    }
    if text.contains("unsubscribe") {
        text.truncate(text.rfind(',').unwrap_or(text.len()));
        text.push(']');
    }
    // Keys, channels and fields of a list without order.
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => {
            let mut words: Vec<&str> = list.split(", ").collect();
            words.sort_unstable();
            words.join(", ")
        }
        None => text,
    }
}

/// What differs first, and where.
fn run(talk: &Talk, theirs: &mut (Launch, Server), ours: &mut (Launch, Server)) -> Option<(usize, String)> {
    let (mut a, mut b) = (Side::open(theirs, talk), Side::open(ours, talk));
    for (at, line) in talk.lines.iter().enumerate() {
        let (mut theirs, mut ours) = (a.say(line), b.say(line));
        let end = Instant::now() + LATE_MAX;
        while theirs != ours && Instant::now() < end {
            for who in 0..2 {
                theirs[who].extend(a.listen(who));
                ours[who].extend(b.listen(who));
                theirs[who].sort();
                ours[who].sort();
            }
        }
        // Redis 7.0 takes some prefixes although it says that they overlap.
        if theirs.iter().flatten().any(|text| text.contains("overlaps with another provided prefix")) {
            return None;
        }
        if theirs != ours {
            return Some((at, format!("  theirs {theirs:?}\n  ours   {ours:?}\n")));
        }
        if theirs.iter().flatten().any(|text| text == "(closed)") {
            return None;
        }
    }
    None
}

/// Removes lines for as long as it still differs.
fn shrink(talk: &Talk, mut differs: impl FnMut(&Talk) -> bool) -> Talk {
    let end = Instant::now() + Duration::from_secs(20);
    let mut best = talk.clone();
    let mut at = 0;
    while at < best.lines.len() && Instant::now() < end {
        let mut fewer = best.clone();
        fewer.lines.remove(at);
        if differs(&fewer) { best = fewer } else { at += 1 }
    }
    best
}

/// Compares random talks for `time`; answers the differences found, at most `failures` of them.
pub(crate) fn compare(oracle: &Setup, setups: &[Setup], seed: u64, time: Duration, failures: usize) -> Vec<String> {
    let menu: Vec<(usize, Node)> = SAID.iter().map(|(weight, line)| (*weight, grammar::parse(line))).collect();
    let end = Instant::now() + time;
    let start = |setup: &Setup| {
        let launch = Launch::new(setup);
        let server = launch.start();
        (launch, server)
    };
    let mut theirs = start(oracle);
    let mut ours: Vec<(Launch, Server)> = setups.iter().map(start).collect();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut number = 0;
    while Instant::now() < end && found.len() < failures {
        let which = (number % setups.len() as u64) as usize;
        let mut talk = Talk::draw(seed + number, &menu);
        number += 1;
        let ours = &mut ours[which];
        let Some((at, first)) = run(&talk, &mut theirs, ours) else { continue };
        let name = String::from_utf8_lossy(&talk.lines[at].1[0]).to_uppercase();
        if found.iter().any(|(known, _)| *known == name) {
            continue;
        }
        talk.lines.truncate(at + 1);
        let small = shrink(&talk, |talk| run(talk, &mut theirs, ours).is_some());
        let why = run(&small, &mut theirs, ours).map_or(format!("not every time\n{first}"), |(_, why)| why);
        let lines: Vec<String> = small.lines.iter().map(|(who, c)| format!("    {who}: {}\n", shown(c))).collect();
        let head = format!("seed {} ({}), RESP3 {:?}\n", seed + number - 1, setups[which].name(), small.resp3);
        found.push((name, head + &lines.concat() + &why));
    }
    println!("{number} talks from seed {seed}");
    found.into_iter().map(|(_, text)| text).collect()
}

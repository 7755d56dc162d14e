//! Spoilt DUMP payloads with the checksum left aside: what RESTORE takes of them has to be a value like any other, for
//! every command. Never opens a socket.

use crate::common::Random;
use crate::common::server::OnPanic;
use crate::common::value::Value;
use crate::draw::{Call, Form, forms, words};
use crate::shard::Home;
use crate::shown;
use pinion::commands::args::{Args, lay_out};
use pinion::commands::debug::database_digests;
use pinion::commands::spec::{CommandTable, Plan};
use pinion::resp::reply::Proto;
use pinion::runtime::alloc::own_bytes;
use std::time::{Duration, Instant};

/// Where values are made, and where they are restored.
const MADE: &[u8] = b"made";
const KEY: &[u8] = b"a";
/// Calls with a value that was taken.
const CALLS: usize = 12;
/// What a payload may leave behind beyond this many times its own bytes: what was compressed is kept as it is.
const GROWTH_TIMES: isize = 400;
/// Longest that one call may take, of machines that do other things meanwhile.
const CALL_MAX: Duration = Duration::from_secs(20);

/// What makes values of every type in every encoding that DUMP writes.
fn makers() -> Vec<Vec<String>> {
    let numbered = |name: &str, word: &str, count: usize| {
        let words: Vec<String> = (0..count).map(|n| format!("{word}{n}")).collect();
        format!("{name} made {}", words.join(" "))
    };
    let pairs = |name: &str, count: usize, word: &str| {
        let words: Vec<String> = (0..count).map(|n| format!("{n} {word}{n}")).collect();
        format!("{name} made {}", words.join(" "))
    };
    let long = "long-".repeat(30);
    let mut stream: Vec<String> = (1..150).map(|n| format!("XADD made {n}-{} field {n} other {long}", n % 3)).collect();
    stream.push("XDEL made 5-2 60-0".to_string());
    let mut groups = vec!["XADD made 1-1 a 1 b 2".to_string(), "XADD made 2-1 a 3 b 4".to_string()];
    for group in ["g", "h"] {
        groups.push(format!("XGROUP CREATE made {group} 0"));
        groups.push(format!("XREADGROUP GROUP {group} c1 COUNT 1 STREAMS made >"));
        groups.push(format!("XREADGROUP GROUP {group} c2 COUNT 1 STREAMS made >"));
    }
    let one = |line: String| vec![line];
    vec![
        one("SET made 12".into()),
        one("SET made 1000000".into()),
        one("SET made hello".into()),
        one(format!("SET made {}", long.repeat(9))),
        one("RPUSH made a 1 b 70000 -1".into()),
        one(numbered("RPUSH", &long, 80)),
        one("SADD made 1 2 3 70000".into()),
        one("SADD made 5000000000 1".into()),
        one(numbered("SADD", "m", 20)),
        one(numbered("SADD", "m", 200)),
        one("ZADD made 1 a 2.5 b -inf c 3 d".into()),
        one(pairs("ZADD", 150, "m")),
        one("HSET made a 1 b text c 3".into()),
        one(pairs("HSET", 20, &long)),
        vec!["HSET made a 1 b text c 3".into(), "HPEXPIREAT made 4102444800000 FIELDS 1 b".into()],
        vec![pairs("HSET", 20, &long), "HPEXPIREAT made 4102444800000 FIELDS 2 3 4".into()],
        stream,
        groups,
        one(numbered("PFADD", "e", 30)),
        one(numbered("PFADD", "e", 3000)),
        one(pairs("GEOADD", 0, "").replace("made ", "made 13.361389 38.115556 a 15.087269 37.502669 b")),
        vec!["VADD made VALUES 3 1 0.5 2 a SETATTR {\"x\":1}".into(), "VADD made VALUES 3 0 1 2 b".into()],
        vec!["VADD made VALUES 3 1 0.5 2 a NOQUANT".into(), "VADD made VALUES 3 0 1 2 b NOQUANT".into()],
        vec!["VADD made VALUES 3 1 0.5 2 a BIN".into(), "VADD made VALUES 3 0 1 2 b BIN".into()],
    ]
}

/// Payloads of layouts that nobody writes any more: zipmap, ziplist as hash, list, sorted set and in a quicklist,
/// lists, sets, sorted sets and hashes one by one, the two older streams.
fn old_payloads() -> Vec<Vec<u8>> {
    let entries: &[u8] = b"\x00\x01a\x03\xf6\x02\xfe\xfe\x03\xc0\xe8\x03";
    let ziplist = [&(10 + entries.len() as u32 + 1).to_le_bytes()[..], &[0; 4], &[4, 0], entries, b"\xff"].concat();
    let ziplist = [&[ziplist.len() as u8][..], &ziplist].concat();
    let of = |kind: u8, body: &[u8]| [&[kind], body, &[6, 0], &[0; 8]].concat();
    vec![
        of(9, b"\x1a\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff"),
        of(10, &ziplist),
        of(12, &ziplist),
        of(13, &ziplist),
        of(14, &[&[1], &ziplist[..]].concat()),
        of(1, b"\x02\x01a\x01b"),
        of(2, b"\x02\x01a\x01b"),
        of(3, b"\x02\x01a\x031.5\x01b\xfe"),
        of(4, b"\x01\x01a\x01b"),
        of(5, b"\x01\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f"),
        of(15, &[0, 0, 5, 0, 1, 1, b'g', 0, 0, 0, 0]),
        of(19, &[0, 0, 5, 0, 0, 0, 0, 0, 5, 1, 1, b'g', 0, 0, 5, 0, 0]),
    ]
}

fn payloads(home: &mut Home) -> Vec<Vec<u8>> {
    let mut payloads = old_payloads();
    for lines in makers() {
        call(home, &words("DEL made"));
        for line in &lines {
            let reply = call(home, &words(line));
            assert!(!reply.is_error(), "{line}: {reply:?}");
        }
        payloads.push(dump(home, MADE));
    }
    call(home, &words("DEL made"));
    payloads
}

fn dump(home: &mut Home, key: &[u8]) -> Vec<u8> {
    match call(home, &vec![b"DUMP".to_vec(), key.to_vec()]) {
        Value::Bulk(bytes) => bytes,
        other => panic!("no payload of {key:?}: {other:?}"),
    }
}

fn restore(home: &mut Home, key: &[u8], payload: &[u8]) -> Value {
    call(home, &vec![b"RESTORE".to_vec(), key.to_vec(), b"0".to_vec(), payload.to_vec(), b"REPLACE".to_vec()])
}

fn call(home: &mut Home, call: &Call) -> Value {
    let begun = Instant::now();
    let plan = home.plan(call);
    let reply = home.call(plan, call);
    home.settle();
    assert!(begun.elapsed() < CALL_MAX, "{} took {:?}", shown(call), begun.elapsed());
    reply
}

/// One to four changes; the version and the checksum stay behind what comes of it.
fn spoil(payload: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let (body, tail) = payload.split_at(payload.len() - 10);
    let mut body = body.to_vec();
    for _ in 0..1 + random.below(4) {
        // what says how the rest is to be read stands ahead, mostly
        let near = if random.chance(50) { body.len().min(40) } else { body.len() };
        let at = random.below(near);
        match random.below(9) {
            _ if body.len() < 2 => body.push(random.next() as u8),
            0 => body[at] ^= 1 << random.below(8),
            1 => body[at] = random.next() as u8,
            2 => body[at] = *random.one(&[0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xf4, 0xfe, 0xff]),
            3 => body[at] = body[at].wrapping_add(if random.chance(50) { 1 } else { 255 }),
            4 => body.truncate(at.max(1)),
            5 => body.insert(at, random.next() as u8),
            6 => drop(body.remove(at)),
            7 => {
                let piece = body[at..(at + 1 + random.below(12)).min(body.len())].to_vec();
                let to = random.below(body.len());
                body.splice(to..to, piece);
            }
            _ => {
                let other = random.one(others);
                let from = random.below(other.len());
                let piece = &other[from..(from + 1 + random.below(30)).min(other.len())];
                let end = (at + random.below(30)).min(body.len());
                body.splice(at..end, piece.iter().copied());
            }
        }
    }
    body.extend_from_slice(tail);
    body
}

/// Restores one payload; what is taken is used by random commands, and read back.
fn try_one(home: &mut Home, forms: &[Form], payload: &[u8], random: &mut Random) -> bool {
    let bytes = own_bytes();
    let reply = restore(home, KEY, payload);
    let grown = own_bytes() - bytes;
    assert!(grown < 64 * 1024 + payload.len() as isize * GROWTH_TIMES, "{grown} bytes more");
    if reply.is_error() {
        return false;
    }
    for _ in 0..CALLS {
        read_back(home, payload);
        let form = random.one(forms);
        let mut drawn = form.draw(random);
        if !form.spec.accepts(drawn.len()) {
            continue;
        }
        let keys: Vec<usize> = {
            let (buffer, spans) = lay_out(&drawn);
            form.spec.key_indices(&Args::new(&buffer, &spans)).collect()
        };
        keys.iter().filter(|_| random.chance(80)).for_each(|index| drawn[*index] = KEY.to_vec());
        let _said = OnPanic(shown(&drawn));
        call(home, &drawn);
    }
    true
}

/// The key is there, perhaps anew, and its own payload says the same.
fn read_back(home: &mut Home, payload: &[u8]) {
    if call(home, &words("EXISTS a")) == Value::Int(0) && restore(home, KEY, payload).is_error() {
        panic!("it was taken before");
    }
    call(home, &words("PERSIST a"));
    let (own, digests) = (dump(home, KEY), database_digests(&home.shard));
    home.shard.settings.skip_checksums = false;
    assert_eq!(restore(home, KEY, &own), Value::ok(), "what DUMP says of it: {own:02x?}");
    home.shard.settings.skip_checksums = true;
    assert!(database_digests(&home.shard) == digests, "another value comes back from {own:02x?}");
}

/// Tries spoilt payloads until the time is over; answers how many, and how many of them were taken.
pub(crate) fn try_all(seed: u64, time: Duration) -> (usize, usize) {
    let end = Instant::now() + time;
    let forms = forms(&CommandTable::new(), |spec| !matches!(spec.plan, Plan::Session) && !spec.key_specs.is_empty());
    let (mut tried, mut taken) = (0, 0);
    let mut home = Home::new(Proto::Resp3);
    let whole = payloads(&mut home);
    for life in 0.. {
        let mut random = Random(seed + life);
        let _said = OnPanic(format!("seed {}", seed + life));
        home = Home::new(Proto::Resp3);
        home.shard.settings.skip_checksums = true;
        for index in 0..10 * whole.len() {
            if life > 0 && Instant::now() > end {
                return (tried, taken);
            }
            let payload = spoil(&whole[index % whole.len()], &whole, &mut random);
            let _said = OnPanic(format!("payload {payload:02x?}"));
            tried += 1;
            taken += usize::from(try_one(&mut home, &forms, &payload, &mut random));
        }
    }
    (tried, taken)
}

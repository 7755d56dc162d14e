//! Random histories that a server logs and, after its end without warning, has to read back: every key, its value, its
//! expiry and its encoding must be as they were.

use crate::case::{Case, Menu, shown};
use crate::common::client::encode;
use crate::common::{Client, Launch, Setup, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Histories between two ends of a server.
const CASES_PER_LIFE: u64 = 12;
/// Databases that histories use.
const DATABASES: usize = 16;
/// Commands that would say nothing about the log: they end or reconfigure the server, or are answered later.
const LEFT_OUT: [&[u8]; 4] = [b"config", b"shutdown", b"debug", b"client"];

/// What is known of one key.
#[derive(Debug, PartialEq)]
struct Kept {
    dump: Value,
    expires: i64,
    encoding: String,
}

/// What of an encoding outlives a restart: that an edit made a string raw, or that a field once had an expiry, does
/// not, as in Redis.
fn lasting(encoding: &str) -> String {
    match encoding {
        "raw" | "embstr" | "int" => "string",
        "listpackex" => "listpack",
        other => other,
    }
    .to_string()
}

/// What XINFO STREAM FULL answers, but for the times of which Redis too says after a restart when it was.
fn without_sightings(info: Value) -> Value {
    let Value::Array(items) = info else { return info };
    let mut left = Vec::new();
    let mut items = items.into_iter();
    while let Some(item) = items.next() {
        if item == Value::bulk("seen-time") || item == Value::bulk("active-time") {
            items.next();
        } else {
            left.push(without_sightings(item));
        }
    }
    Value::Array(left)
}

fn keys_of(client: &mut Client) -> BTreeMap<(usize, Vec<u8>), Kept> {
    let mut all = BTreeMap::new();
    for db in 0..DATABASES {
        client.ok(&format!("SELECT {db}"));
        for key in client.run("KEYS *").items() {
            let key = key.bytes().to_vec();
            let expires = client.call(&[b"PEXPIRETIME".as_slice(), &key]).int();
            let encoding = client.call(&[b"OBJECT".as_slice(), b"ENCODING", &key]).text();
            let dump = match encoding.as_str() {
                // the order of a table is its process's own
                "hashtable" => client.call(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", &key]),
                // when a consumer was seen last, the log does not say
                "stream" => without_sightings(client.call(&[b"XINFO".as_slice(), b"STREAM", &key, b"FULL"])),
                _ => client.call(&[b"DUMP".as_slice(), &key]),
            };
            all.insert((db, key), Kept { dump, expires, encoding: lasting(&encoding) });
        }
    }
    client.ok("SELECT 0");
    all
}

/// Runs one history; what it answered does not matter.
fn run(client: &mut Client, case: &Case) {
    let says = |command: &&Vec<Vec<u8>>| !LEFT_OUT.iter().any(|name| command[0].eq_ignore_ascii_case(name));
    for commands in case.commands.iter().filter(says).collect::<Vec<_>>().chunks(case.batch) {
        let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        client.pipeline(&bytes, commands.len());
    }
}

/// Fails if a key is not as it was, unless it has expired since.
fn compare(
    before: &BTreeMap<(usize, Vec<u8>), Kept>,
    after: &BTreeMap<(usize, Vec<u8>), Kept>,
    now_ms: i64,
    cases: &[Case],
) {
    let expired = |kept: &Kept| kept.expires >= 0 && kept.expires <= now_ms;
    let names = before.keys().chain(after.keys());
    for (db, key) in names {
        let at = (*db, key.clone());
        let (was, is) = (before.get(&at), after.get(&at));
        if was == is || was.or(is).is_some_and(expired) {
            continue;
        }
        let mut touching = String::new();
        for command in cases.iter().flat_map(|case| &case.commands).filter(|c| c.contains(key)) {
            touching += &format!("    {}\n", shown(command));
        }
        panic!("{} in database {db}:\n  was {was:?}\n  is  {is:?}\n{touching}", key.escape_ascii());
    }
}

/// Lives of servers until the time is over.
pub(crate) fn read_back(setup: &Setup, menu: &Menu, seed: u64, without: &[String], time: Duration) {
    let end = Instant::now() + time;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{}-{seed}", std::process::id()));
    for life in 0.. {
        if life > 0 && Instant::now() > end {
            break;
        }
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a folder");
        let line = format!("--appendonly yes --appendfsync no --enable-debug-command yes --dir {}", dir.display());
        let mut server = Launch::new(setup).args(&line).start();
        let mut cases = Vec::new();
        let first = seed + life * CASES_PER_LIFE;
        for number in first..first + CASES_PER_LIFE {
            let mut case = Case::draw(number, menu);
            case.commands.retain(|c| !without.contains(&String::from_utf8_lossy(&c[0]).to_lowercase()));
            let mut client = server.client();
            run(&mut client, &case);
            cases.push(case);
        }
        let before = keys_of(&mut server.client());
        server.signal(libc::SIGKILL);
        server.wait_exit();
        let server = Launch::new(setup).args(&line).start();
        let mut client = server.client();
        let now = client.run("TIME").items()[0].text().parse::<i64>().expect("seconds") * 1000 + 999;
        let after = keys_of(&mut client);
        println!("{}: {} keys after seed {first}", setup.name(), after.len());
        compare(&before, &after, now, &cases);
        assert!(!server.log().contains("were refused"), "{}", server.log());
    }
    let _ = fs::remove_dir_all(&dir);
}

//! Keyspace events: the same commands here and on redis-server make the same events, in the same order where one shard
//! serves them all, key by key where several do.

use crate::common::{Client, Launch, Server, Setup, Value, each_setup, wait_until};
use std::collections::BTreeMap;

/// A command a line. Redis 7.0 knows all of them.
const SCRIPT: &str = "
    SET a 1|SET a 2|SET a 3 EX 100|SET a 4 GET|SET new 4 GET|SET a 5 GET PX 100000|SET a 5 KEEPTTL|SET a 5 XX
    SET zz 5 XX|SET a 5 NX|SETNX a 1|SETNX b 1|SETEX c 100 v|PSETEX c 100000 v|GETSET a 9|GETSET nn 9|GETDEL nn
    GETDEL nn|GET nn|GETEX a|GETEX a EX 100|GETEX a PERSIST|GETEX a PERSIST|GETEX a PXAT 1|GETEX a
    APPEND ap x|APPEND ap y|SETRANGE ap 1 zz|SETRANGE ap2 1 zz|INCR i|INCRBY i 5|DECR i|DECRBY i 2|INCR ap
    INCRBYFLOAT i 1.5|INCRBYFLOAT f 1.5|INCRBYFLOAT ap 1|MSET m1 1 m2 2 m1 3|MSETNX m1 1 m9 2|MSETNX m8 1 m9 2
    RPUSH l a b c d e|LPUSH l z|LPUSHX nope z|RPUSHX l y|LPOP l|RPOP l 2|LPOP nope|LPOP l 0|LSET l 0 q|LLEN nope
    LINSERT l BEFORE q w|LINSERT l BEFORE nope w|LREM l 0 w|LREM l 0 w|LTRIM l 0 1|LRANGE nope 0 1|LINDEX nope 0
    LPOS nope x|LMOVE l l LEFT RIGHT|LMOVE l l2 LEFT RIGHT|RPOPLPUSH l l2|LMPOP 2 l l2 LEFT|LMPOP 1 nope LEFT
    BLPOP l2 0|RPUSH l3 x y|BRPOPLPUSH l3 l3 0|BLMOVE l3 l4 LEFT LEFT 0|BLMPOP 0 1 l4 LEFT|LTRIM l3 1 0
    MGET m1 nope nope2|STRLEN nope|GETRANGE nope 0 1|EXISTS nope m1|TYPE nope|TTL nope|PTTL nope|EXPIRETIME nope
    TOUCH nope m1|OBJECT ENCODING nope|OBJECT FREQ nope|EXPIRE m1 100|EXPIRE m1 100 NX|PEXPIRE m1 100000
    EXPIREAT m1 33177117420|PEXPIREAT m1 33177117420000|PERSIST m1|PERSIST m1|EXPIRE m1 -1|EXPIRE m1 0|PEXPIRE m2 0
    DEL m8 m9 nope|UNLINK ap nope|SET r1 x EX 100|SET r2 y|RENAME r1 r2|RENAMENX r2 r3|SET r4 z|RENAMENX r3 r4
    RENAME r4 r4|RENAME nope r4|COPY r3 r5|COPY r3 r4|COPY r3 r4 REPLACE|COPY nope r6|COPY r3 r3 DB 2|MOVE r5 3
    MOVE nope 3|SETBIT bit 3 1|SETBIT bit 3 1|SETBIT bit 3 0|GETBIT nope 3|BITCOUNT nope|BITPOS nope 1
    BITFIELD bf SET u8 0 255|BITFIELD bf SET u8 0 255|BITFIELD bf GET u8 0|BITFIELD nope2 GET u8 0
    BITFIELD bf INCRBY u8 0 10 OVERFLOW FAIL INCRBY u8 0 10|BITFIELD bf2 OVERFLOW FAIL INCRBY u2 0 10
    BITOP AND dst bit bf|BITOP AND dst nope nope2|BITOP AND dst nope nope2|LCS nope r4|SELECT 5|SET five 1|DEL five
    SET five 1|SELECT 0|SWAPDB 0 5|DEL five|RPUSH sl 3 1 2|SORT sl STORE sd|SORT sl LIMIT 0 0 STORE sd
    SORT sl LIMIT 0 0 STORE sd|SORT sl STORE sl|FLUSHDB|FLUSHALL";

/// One event: its channel and what it carries.
type Event = (String, String);

fn commands() -> impl Iterator<Item = &'static str> {
    SCRIPT.split(['|', '\n']).map(str::trim).filter(|line| !line.is_empty())
}

fn listener(server: &Server, letters: &str) -> Client {
    server.client().ok(&format!("CONFIG SET notify-keyspace-events {letters}"));
    let mut client = server.client();
    client.run("PSUBSCRIBE __key*__:*");
    client
}

/// All events up to that of a last key, which this makes.
fn collect(server: &Server, listener: &mut Client) -> Vec<Event> {
    // the shards' events come independently of each other: each is to say that it has said everything
    let mut client = server.client();
    let lasts: Vec<String> = (0..40).map(|i| format!("last{i}")).collect();
    lasts.iter().for_each(|key| client.ok(&format!("SET {key} 1")));
    let mut left = lasts.len();
    let mut events = Vec::new();
    while left > 0 {
        let message = listener.recv();
        let text = |i: usize| String::from_utf8_lossy(message.items()[i].bytes()).into_owned();
        assert_eq!(text(0), "pmessage");
        let (channel, payload) = (text(2), text(3));
        let is_last = channel.contains(":last") || payload.starts_with("last");
        if channel.starts_with("__keyspace@0__:last") && payload == "set" {
            left -= 1;
        }
        if !is_last {
            events.push((channel, payload));
        }
    }
    events
}

fn run_script(server: &Server) -> Vec<Event> {
    let mut listener = listener(server, "KEAmn");
    let mut client = server.client();
    commands().for_each(|line| drop(client.run(line)));
    collect(server, &mut listener)
}

/// The events of each key, in order; the two forms apart.
fn by_key(events: &[Event]) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (channel, payload) in events {
        match channel.split_once("__:") {
            Some((kind, key)) if kind.starts_with("__keyspace") => {
                keys.entry(format!("{kind} {key}")).or_default().push(payload.clone());
            }
            Some((kind, event)) => keys.entry(format!("{kind} {payload}")).or_default().push(event.to_string()),
            None => panic!("{channel}"),
        }
    }
    keys
}

#[test]
fn events_are_those_of_redis() {
    let theirs = run_script(&Launch::new(&Setup::oracle()).start());
    assert!(theirs.len() > 200, "{theirs:?}");
    each_setup(|setup| {
        let ours = run_script(&Launch::new(setup).start());
        if setup.shards == 1 {
            for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
                assert_eq!(our, their, "event {at}, after {:?}", &theirs[at.saturating_sub(5)..at]);
            }
        }
        assert_eq!(by_key(&ours), by_key(&theirs));
    });
}

#[test]
fn expired_keys_are_told_whoever_finds_them() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut listener = listener(&server, "Exm");
        let mut client = server.client();
        for i in 0..20 {
            client.ok(&format!("SET active{i} v PX 1"));
        }
        let mut expired = Vec::new();
        for _ in 0..20 {
            let message = listener.recv();
            assert_eq!(message.items()[2], Value::bulk("__keyevent@0__:expired"));
            expired.push(String::from_utf8_lossy(message.items()[3].bytes()).into_owned());
        }
        expired.sort();
        expired.dedup();
        assert_eq!(expired.len(), 20, "each once");
        if setup.is_pinion {
            server.client().run("CONFIG SET hz 1");
        }
        client.ok("SET lazy v PX 1");
        wait_until("it is due", || client.run("GET lazy") == Value::NullBulk);
        assert_eq!(listener.recv().items()[2], Value::bulk("__keyevent@0__:expired"));
        assert_eq!(listener.recv().items()[2], Value::bulk("__keyevent@0__:keymiss"));
    });
}

#[test]
fn only_what_is_wanted_is_told() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut listener = listener(&server, "Kg");
        let mut client = server.client();
        client.ok("SET k v EX 100");
        client.run("DEL k");
        client.ok("CONFIG SET notify-keyspace-events Ag");
        client.ok("SET k v EX 100");
        client.ok("CONFIG SET notify-keyspace-events E$");
        client.ok("SET k v EX 100");
        let mut heard = Vec::new();
        for _ in 0..3 {
            let message = listener.recv();
            heard.push((message.items()[2].text(), message.items()[3].text()));
        }
        let event = |channel: &str, payload: &str| (channel.to_string(), payload.to_string());
        let expected =
            [event("__keyspace@0__:k", "expire"), event("__keyspace@0__:k", "del"), event("__keyevent@0__:set", "k")];
        assert_eq!(heard, expected);
        assert_eq!(client.run("CONFIG GET notify-keyspace-events"), Value::bulks(&["notify-keyspace-events", "$E"]));
        assert!(client.run("CONFIG SET notify-keyspace-events Kq").is_error());
    });
}

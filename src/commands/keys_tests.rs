//! The generic commands, replies compared with Redis 7.0, 8.0 and Valkey 9.1 as they answered.

use crate::base::hash;
use crate::commands::context::Foreign;
use crate::commands::testing::{TestShard, check, check_script};
use crate::shard::settings::AccessClock;
use crate::types::value::Owned;

fn run(script: &str) {
    check_script(&mut TestShard::new(), script);
}

#[test]
fn expire_options() {
    run("
        SET a 1 => +OK
        EXPIRE a 10 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE a 10 NX GT => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE a 10 GT LT => -ERR GT and LT options at the same time are not compatible
        EXPIRE a 10 foo => -ERR Unsupported option foo
        EXPIRE a x foo => -ERR Unsupported option foo
        EXPIRE a x => -ERR value is not an integer or out of range
        EXPIRE nokey x => -ERR value is not an integer or out of range
        EXPIRE nokey 10 foo => -ERR Unsupported option foo
        EXPIRE a 1.5 => -ERR value is not an integer or out of range
        EXPIRE a => -ERR wrong number of arguments for 'expire' command
        EXPIRE a 100 XX => :0
        EXPIRE a 100 GT => :0
        TTL a => :-1
        EXPIRE a 100 LT => :1
        EXPIRE a 50 GT => :0
        EXPIRE a 200 GT => :1
        EXPIRE a 200 NX => :0
        EXPIRE a 100 XX LT => :1
        EXPIRE a 100 LT => :0
        EXPIRE a 99 XX GT => :0
        EXPIRE a 300 XX GT => :1
        EXPIRE a 100 NX NX => :0
        TTL a => :300
        PERSIST a => :1
        EXPIRE a 7 nx => :1
        EXPIRE nokey 10 => :0
    ");
}

#[test]
fn expire_ranges_and_times_past() {
    run("
        SET a 1 => +OK
        EXPIRE a 9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE a -9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE a 9223372036854775 => -ERR invalid expire time in 'expire' command
        PEXPIRE a 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
        EXPIREAT a 9223372036854775807 => -ERR invalid expire time in 'expireat' command
        PTTL a => :-1
        EXPIRE a -9223372036854775 => :1
        EXISTS a => :0
        SET a 1 => +OK
        PEXPIRE a -9223372036854775808 => :1
        EXISTS a => :0
        SET a 1 => +OK
        EXPIREAT a -1 => :1
        EXISTS a => :0
        SET a 1 => +OK
        PEXPIREAT a 1700000000000 => :1
        EXISTS a => :0
        SET a 1 => +OK
        EXPIRE a 0 => :1
        EXISTS a => :0
        SET a 1 PX 100000 => +OK
        EXPIRE a -1 GT => :0
        EXPIRE a -1 NX => :0
        EXPIRE a -1 XX => :1
        EXISTS a => :0
    ");
}

/// Redis keeps 64 bits; a table's entries have 48, which last until the year 10889. The differences are these.
#[test]
fn times_beyond_the_year_10889_become_that() {
    run("
        SET a 1 => +OK
        PEXPIREAT a 9223372036854775807 => :1
        PEXPIRETIME a => :281474976710655
        EXPIRETIME a => :281474976711
        PTTL a => :279774976710655
        PEXPIREAT a 9223372036854775806 GT => :0
        PEXPIREAT a 9223372036854775806 LT => :0
        PEXPIREAT a 281474976710654 LT => :1
    ");
}

#[test]
fn times_left_are_rounded_to_the_nearest_second() {
    let shard = &mut TestShard::new();
    check_script(
        shard,
        "
        SET a 1 PX 1500 => +OK
        TTL a => :2
        PTTL a => :1500
        EXPIRETIME a => :1700000002
        PEXPIRETIME a => :1700000001500
        SET b 1 => +OK
        TTL b => :-1
        EXPIRETIME b => :-1
        PTTL nokey => :-2
        PEXPIRETIME nokey => :-2
        TTL a b => -ERR wrong number of arguments for 'ttl' command
    ",
    );
    shard.shard.now_ms += 1001;
    check(shard, "TTL a", ":0");
    check(shard, "PTTL a", ":499");
    shard.shard.now_ms += 499;
    check(shard, "PTTL a", ":-2");
    check(shard, "EXPIRE a 10", ":0");
    check(shard, "PERSIST a", ":0");
    check(shard, "PERSIST b", ":0");
}

#[test]
fn presence_counts_each_mention() {
    run("
        SET a 1 => +OK
        SET b x => +OK
        EXISTS a b a nokey => :3
        TOUCH a b a nokey => :3
        TYPE a => +string
        TYPE b => +string
        TYPE nokey => +none
        DEL a a nokey => :1
        UNLINK b b => :1
        EXISTS a b => :0
        DEL => -ERR wrong number of arguments for 'del' command
        TYPE a b => -ERR wrong number of arguments for 'type' command
    ");
}

#[test]
fn hits_and_misses_are_counted_as_in_redis() {
    let shard = &mut TestShard::new();
    let mut counted = |line: &str| {
        check(shard, "SET b 1", "+OK");
        let before = (shard.shard.stats.hits, shard.shard.stats.misses);
        shard.run(line);
        (shard.shard.stats.hits - before.0, shard.shard.stats.misses - before.1)
    };
    for line in ["TTL b", "TYPE b", "OBJECT ENCODING b", "OBJECT IDLETIME b", "COPY b x REPLACE", "TOUCH b"] {
        assert_eq!(counted(line), (1, 0), "{line}");
    }
    for line in ["TTL no", "TYPE no", "OBJECT ENCODING no", "COPY no x", "TOUCH no", "EXPIRETIME no"] {
        assert_eq!(counted(line), (0, 1), "{line}");
    }
    assert_eq!(counted("EXISTS b no"), (1, 1));
    let silent =
        ["RENAME no x", "MOVE no 1", "EXPIRE no 3", "PERSIST b", "DEL no", "SCAN 0", "KEYS *", "RANDOMKEY", "DEL b"];
    for line in silent {
        assert_eq!(counted(line), (0, 0), "{line}");
    }
}

#[test]
fn rename_on_one_shard() {
    run("
        RENAME a b => -ERR no such key
        RENAME a a => -ERR no such key
        RENAMENX a a => -ERR no such key
        SET a 1 EX 1000 => +OK
        RENAME a a => +OK
        RENAMENX a a => :0
        RENAME a b => +OK
        EXISTS a => :0
        GET b => \"1\"
        TTL b => :1000
        SET a 2 => +OK
        RENAMENX a b => :0
        GET a => \"2\"
        RENAME a b => +OK
        TTL b => :-1
        GET b => \"2\"
        RENAMENX b c => :1
        GET c => \"2\"
        RENAME a => -ERR wrong number of arguments for 'rename' command
    ");
}

fn foreign(key: &str, found: Option<(Owned, Option<u64>)>) -> Foreign {
    Foreign { key: key.as_bytes().to_vec(), db: 0, found, ..Foreign::default() }
}

#[test]
fn rename_from_another_shard_takes_the_copy_and_asks_for_its_deletion() {
    let shard = &mut TestShard::new();
    shard.foreign = vec![foreign("far", Some((Owned::Int(7), Some(1_700_000_060_000))))];
    check(shard, "SET here old", "+OK");
    check(shard, "RENAMENX far here", ":0");
    assert!(!shard.foreign[0].delete);
    check(shard, "RENAME far here", "+OK");
    assert!(shard.foreign[0].delete);
    check(shard, "GET here", "\"7\"");
    check(shard, "TTL here", ":60");

    shard.foreign = vec![foreign("far", None)];
    check(shard, "RENAME far here", "-ERR no such key");
    assert!(!shard.foreign[0].delete);
    check(shard, "GET here", "\"7\"");
}

#[test]
fn copy_from_another_shard_leaves_it_alone() {
    let shard = &mut TestShard::new();
    for (line, reply) in [("COPY far here DB 1", ":1"), ("COPY far here", ":1"), ("COPY far here", ":0")] {
        // what was fetched for a call is that call's own
        shard.foreign = vec![foreign("far", Some((Owned::Str { bytes: b"x".to_vec(), raw: false }, None)))];
        check(shard, line, reply);
        assert!(!shard.foreign[0].delete && shard.foreign[0].found.is_none());
    }
    check(shard, "GET here", "\"x\"");
    shard.foreign = vec![foreign("far", None)];
    check(shard, "COPY far here REPLACE", ":0");
    check(shard, "GET here", "\"x\"");
}

#[test]
fn copy_options() {
    run("
        SET b 1 EX 100 => +OK
        COPY a b => :0
        COPY b c => :1
        TTL c => :100
        COPY b c => :0
        SET b 2 => +OK
        COPY b c REPLACE REPLACE => :1
        GET c => \"2\"
        TTL c => :-1
        COPY b c DB 1 => :1
        COPY b c DB 1 => :0
        COPY b c DB 1 REPLACE => :1
        COPY b b DB 1 => :1
        COPY b b => -ERR source and destination objects are the same
        COPY b b DB 0 => -ERR source and destination objects are the same
        COPY nokey nokey => -ERR source and destination objects are the same
        COPY b c DB 16 => -ERR DB index is out of range
        COPY b c DB -1 => -ERR DB index is out of range
        COPY nokey c DB 99 => -ERR DB index is out of range
        COPY b c DB x => -ERR value is not an integer or out of range
        COPY b c DB 4294967296 => -ERR value is out of range, value must between -2147483648 and 2147483647
        COPY b c DB => -ERR syntax error
        COPY b c foo => -ERR syntax error
        COPY b => -ERR wrong number of arguments for 'copy' command
    ");
}

#[test]
fn move_between_databases() {
    let shard = &mut TestShard::new();
    check_script(
        shard,
        "
        SET b 1 EX 50 => +OK
        MOVE b 0 => -ERR source and destination objects are the same
        MOVE nokey 0 => -ERR source and destination objects are the same
        MOVE b 16 => -ERR DB index is out of range
        MOVE b -1 => -ERR DB index is out of range
        MOVE b x => -ERR value is not an integer or out of range
        MOVE nokey 1 => :0
        MOVE b 1 => :1
        EXISTS b => :0
        SET b 2 => +OK
        MOVE b 1 => :0
        GET b => \"2\"
    ",
    );
    shard.db = 1;
    check(shard, "GET b", "\"1\"");
    check(shard, "TTL b", ":50");
}

#[test]
fn object_answers() {
    let shard = &mut TestShard::new();
    check_script(
        shard,
        "
        SET n 1 => +OK
        SET s foo => +OK
        OBJECT ENCODING n => \"int\"
        OBJECT ENCODING s => \"embstr\"
        APPEND s x => :4
        OBJECT ENCODING s => \"raw\"
        OBJECT REFCOUNT s => :1
        OBJECT ENCODING nokey => $-1
        OBJECT REFCOUNT nokey => $-1
        OBJECT IDLETIME nokey => $-1
        OBJECT FREQ nokey => $-1
        OBJECT IDLETIME n => :0
        OBJECT ENCODING => -ERR wrong number of arguments for 'object|encoding' command
    ",
    );
    check(
        shard,
        "OBJECT FREQ n",
        "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
         between policies at runtime LRU and LFU data will take some time to adjust.",
    );
    check(shard, &format!("SET long {}", "x".repeat(44)), "+OK");
    check(shard, "OBJECT ENCODING long", "\"embstr\"");
    check(shard, &format!("SET long {}", "x".repeat(45)), "+OK");
    check(shard, "OBJECT ENCODING long", "\"raw\"");
    shard.shard.now_ms += 7000;
    check(shard, "OBJECT IDLETIME n", ":7");
    check(shard, "TTL n", ":-1");
    check(shard, "OBJECT IDLETIME n", ":7");
    check(shard, "TOUCH n", ":1");
    check(shard, "OBJECT IDLETIME n", ":0");
    shard.shard.settings.access_clock = AccessClock::Frequency;
    check(
        shard,
        "OBJECT IDLETIME n",
        "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
         policies at runtime LRU and LFU data will take some time to adjust.",
    );
    check(shard, "SET f 1", "+OK");
    check(shard, "OBJECT FREQ f", ":5");
    assert_eq!(TestShard::resp3().run("OBJECT ENCODING nokey"), "_");
}

#[test]
fn scan_refuses_what_redis_8_refuses() {
    run("
        SCAN x => -ERR invalid cursor
        SCAN \"\" => -ERR invalid cursor
        SCAN -1 => -ERR invalid cursor
        SCAN 0x => -ERR invalid cursor
        SCAN \"0 \" => -ERR invalid cursor
        SCAN 18446744073709551616 => -ERR invalid cursor
        SCAN x foo => -ERR invalid cursor
        SCAN 0 foo => -ERR syntax error
        SCAN 0 foo bar => -ERR syntax error
        SCAN 0 MATCH => -ERR syntax error
        SCAN 0 MATCH * COUNT => -ERR syntax error
        SCAN 0 COUNT 0 => -ERR syntax error
        SCAN 0 COUNT -1 => -ERR syntax error
        SCAN 0 COUNT x => -ERR value is not an integer or out of range
        SCAN 0 COUNT 9223372036854775808 => -ERR value is not an integer or out of range
        SCAN => -ERR wrong number of arguments for 'scan' command
        SET a 1 => +OK
        SCAN \" 0\" => [\"0\" [\"a\"]]
        SCAN +0 COUNT 9223372036854775807 => [\"0\" [\"a\"]]
        SCAN 0 match a* type STRING count 3 => [\"0\" [\"a\"]]
        SCAN 0 TYPE hash => [\"0\" []]
        SCAN 0 TYPE nosuch => [\"0\" []]
        SCAN 0 MATCH b* => [\"0\" []]
        SCAN 0 MATCH a => [\"0\" [\"a\"]]
    ");
}

/// Follows a scan over several shards to its end, as the router would. Returns the keys and the number of steps.
fn scan_all(shards: &mut [TestShard], options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut found, mut steps) = (0u64, Vec::new(), 0);
    loop {
        let slot = crate::types::table::cursor_slot(cursor);
        let shard = shards.iter_mut().find(|s| s.shard.slots.contains(&slot)).expect("every slot has an owner");
        let reply = shard.run(&format!("SCAN {cursor} {options}"));
        let (next, keys) = reply[1..reply.len() - 1].split_once(' ').expect("cursor and keys");
        found.extend(
            keys[1..keys.len() - 1].split(' ').filter(|k| !k.is_empty()).map(|k| k.trim_matches('"').to_owned()),
        );
        steps += 1;
        assert!(steps < 10_000, "a scan must end");
        cursor = next.trim_matches('"').parse().expect("a cursor");
        if cursor == 0 {
            found.sort();
            return (found, steps);
        }
    }
}

fn three_shards(keys: usize) -> (Vec<TestShard>, Vec<String>) {
    let mut shards: Vec<TestShard> = [0..5000, 5000..5001, 5001..16384]
        .into_iter()
        .map(|slots| {
            let mut shard = TestShard::new();
            shard.shard.slots = slots;
            shard
        })
        .collect();
    let mut names: Vec<String> =
        (0..keys).map(|i| format!("key:{i}")).chain((0..20).map(|i| format!("{{u}}{i}"))).collect();
    for name in &names {
        let slot = hash::slot(name.as_bytes());
        let shard = shards.iter_mut().find(|s| s.shard.slots.contains(&slot)).expect("every slot has an owner");
        check(shard, &format!("SET {name} v"), "+OK");
    }
    names.sort();
    (shards, names)
}

#[test]
fn scan_goes_from_shard_to_shard_and_meets_every_key() {
    let (mut shards, names) = three_shards(500);
    for options in ["", "COUNT 1", "COUNT 7", "COUNT 100000"] {
        let (mut found, _) = scan_all(&mut shards, options);
        found.dedup();
        assert_eq!(found, names, "SCAN {options}");
    }
    assert_eq!(scan_all(&mut shards, "COUNT 100000").1, 3);
}

#[test]
fn a_pattern_with_a_hash_tag_visits_one_slot() {
    let (mut shards, names) = three_shards(500);
    let tagged: Vec<String> = names.iter().filter(|n| n.starts_with("{u}")).cloned().collect();
    let (found, steps) = scan_all(&mut shards, "MATCH {u}* COUNT 100");
    assert_eq!(found, tagged);
    assert!(steps <= 3, "{steps} steps");
    let (found, steps) = scan_all(&mut shards, "MATCH key:123 COUNT 100");
    assert_eq!(found, ["key:123"]);
    assert!(steps <= 3, "{steps} steps");
    // No tag, or none that is sure to be one.
    assert_eq!(scan_all(&mut shards, "MATCH *{u}1").0, ["{u}1"]);
    assert_eq!(scan_all(&mut shards, "MATCH ?u}1").0, ["{u}1"]);
    assert_eq!(scan_all(&mut shards, "MATCH {}*").0, [""; 0]);
}

#[test]
fn keys_by_pattern() {
    let shard = &mut TestShard::new();
    check_script(
        shard,
        "
        KEYS * => []
        SET foo 1 => +OK
        KEYS * => [\"foo\"]
        KEYS f?o => [\"foo\"]
        KEYS foo => [\"foo\"]
        KEYS [g-z]oo => []
        KEYS FOO => []
        SET {t}a 1 PX 10 => +OK
        KEYS {t}* => [\"{t}a\"]
        KEYS => -ERR wrong number of arguments for 'keys' command
        KEYS a b => -ERR wrong number of arguments for 'keys' command
    ",
    );
    shard.shard.now_ms += 10;
    check(shard, "KEYS {t}*", "[]");
    check(shard, "SCAN 0", "[\"0\" [\"foo\"]]");
    shard.shard.slots = 0..1;
    check(shard, "KEYS {t}*", "[]");
}

#[test]
fn randomkey_never_answers_an_expired_key() {
    let shard = &mut TestShard::new();
    check(shard, "RANDOMKEY", "$-1");
    assert_eq!(TestShard::resp3().run("RANDOMKEY"), "_");
    check(shard, "SET a 1 PX 5", "+OK");
    check(shard, "RANDOMKEY", "\"a\"");
    shard.shard.now_ms += 5;
    check(shard, "SET b 1", "+OK");
    for _ in 0..20 {
        check(shard, "RANDOMKEY", "\"b\"");
    }
}

#[test]
fn refused_commands_change_nothing() {
    let shard = &mut TestShard::new();
    check(shard, "SET a 1", "+OK");
    let dirty = shard.shard.dirty;
    for line in [
        "EXPIRE a x",
        "EXPIRE a 1 foo",
        "EXPIRE a 100 XX",
        "EXPIRE no 1",
        "PERSIST a",
        "RENAME no b",
        "RENAME a a",
        "RENAMENX a a",
        "COPY a a",
        "COPY a b DB 99",
        "COPY no b",
        "MOVE a 0",
        "MOVE no 1",
        "DEL no",
    ] {
        shard.run(line);
        assert_eq!(shard.shard.dirty, dirty, "{line}");
    }
    check(shard, "KEYS *", "[\"a\"]");
    check(shard, "TTL a", ":-1");
}

#[test]
fn scan_removes_the_due_keys_that_it_meets() {
    let mut shard = TestShard::new();
    shard.shard.settings.active_expire = false;
    for (line, left) in [("SCAN 0 COUNT 100 MATCH k*", 3), ("SCAN 0 COUNT 100 TYPE hash", 1), ("SCAN 0 COUNT 100", 1)] {
        for line in ["SET k v", "SET due v PX 1", "HSET h f v", "PEXPIRE h 1"] {
            shard.run(line);
        }
        shard.shard.now_ms += 10;
        shard.run(line);
        assert_eq!(shard.run("DBSIZE"), format!(":{left}"), "{line}");
    }
    shard.run("SET due v PX 1");
    shard.shard.now_ms += 10;
    shard.shard.settings.keeps_due = true;
    assert_eq!(shard.run("SCAN 0 COUNT 100"), "[\"0\" [\"k\"]]");
    assert_eq!(shard.run("DBSIZE"), ":2", "nothing expires while clients are paused");
}

//! The hash commands, line by line.

use crate::commands::testing::{TestShard, check, check_script};

fn told(shard: &mut TestShard) -> Vec<String> {
    let happened = shard.shard.events.happened.drain(..);
    happened.map(|h| format!("{} {}", h.event, String::from_utf8_lossy(&h.key))).collect()
}

fn journaled(shard: &mut TestShard) -> Option<Vec<String>> {
    let line = |words: &Vec<Vec<u8>>| String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    let due: Vec<String> = shard.shard.events.due_fields.drain(..).map(|(_, words)| line(&words)).collect();
    let effects = shard.shard.events.effects.take();
    if due.is_empty() && effects.is_none() {
        return None;
    }
    Some(due.into_iter().chain(effects.iter().flatten().map(line)).collect())
}

#[test]
fn fields_are_set_read_and_removed() {
    check_script(
        &mut TestShard::new(),
        r#"
        HSET h a 1 b two c 3.5 => :3
        HSET h a 5 d x => :1
        HGET h a => "5"
        HGET h none => $-1
        HGET none a => $-1
        HMGET h a none b => ["5" $-1 "two"]
        HMGET none a b => [$-1 $-1]
        HGETALL h => ["a" "5" "b" "two" "c" "3.5" "d" "x"]
        HKEYS h => ["a" "b" "c" "d"]
        HVALS h => ["5" "two" "3.5" "x"]
        HGETALL none => []
        HKEYS none => []
        HLEN h => :4
        HLEN none => :0
        HEXISTS h a => :1
        HEXISTS h z => :0
        HSTRLEN h b => :3
        HSTRLEN h a => :1
        HSTRLEN h z => :0
        HSETNX h a 9 => :0
        HSETNX h e 9 => :1
        HMSET h e 10 f 11 => +OK
        HDEL h e f zz => :2
        HDEL h a b c d => :4
        EXISTS h => :0
        HDEL h a => :0
        TYPE h => +none
        HSET h a 1 => :1
        TYPE h => +hash
        "#,
    );
    check_script(&mut TestShard::resp3(), "HSET h a 1 => :1\nHGETALL h => %[\"a\" \"1\"]\nHKEYS h => [\"a\"]");
}

#[test]
fn wrong_uses_are_refused() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET s x => +OK
        HSET s a 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSET s a 1 b => -ERR wrong number of arguments for 'hset' command
        HMSET s a 1 b => -ERR wrong number of arguments for 'hmset' command
        HGETALL s => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSETNX s a 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        HDEL s a => -WRONGTYPE Operation against a key holding the wrong kind of value
        HINCRBY s a x => -ERR value is not an integer or out of range
        HINCRBY s a 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        HEXPIRE s x FIELDS 1 a => -WRONGTYPE Operation against a key holding the wrong kind of value
        HTTL s FOO 2 a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        HGETDEL s FOO 2 a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSETEX s FOO 2 a b => -ERR unknown argument: FOO
        HSETEX s "F\x00O" 2 a b => -ERR unknown argument: F
        HSETEX s FIELDS 1 a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSCAN s 0 FOO => -WRONGTYPE Operation against a key holding the wrong kind of value
        HRANDFIELD s x => -ERR value is not an integer or out of range
        HRANDFIELD s 1 x => -ERR syntax error
        HSET h a 1 => :1
        GET h => -WRONGTYPE Operation against a key holding the wrong kind of value
        APPEND h x => -WRONGTYPE Operation against a key holding the wrong kind of value
        INCR h => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn fields_count() {
    check_script(
        &mut TestShard::new(),
        r#"
        HINCRBY h n 5 => :5
        HINCRBY h n -7 => :-2
        HSET h t abc f 10.5 max 9223372036854775807 blank " 7" => :4
        HINCRBY h t 1 => -ERR hash value is not an integer
        HINCRBY h f 1 => -ERR hash value is not an integer
        HINCRBY h blank 1 => -ERR hash value is not an integer
        HINCRBY h max 1 => -ERR increment or decrement would overflow
        HINCRBYFLOAT h f 0.1 => "10.6"
        HINCRBYFLOAT h new 3.0e3 => "3000"
        HINCRBYFLOAT h n 1.5 => "-0.5"
        HINCRBYFLOAT h t 1 => -ERR hash value is not a float
        HINCRBYFLOAT h n x => -ERR value is not a valid float
        HINCRBYFLOAT h t inf => -ERR value is NaN or Infinity
        HGET h new => "3000"
        "#,
    );
}

#[test]
fn encodings_follow_the_settings() {
    let mut shard = TestShard::new();
    check(&mut shard, "HSET h a 1", ":1");
    check(&mut shard, "OBJECT ENCODING h", "\"listpack\"");
    check(&mut shard, "HEXPIRE h 100 FIELDS 1 a", "[:1]");
    check(&mut shard, "OBJECT ENCODING h", "\"listpackex\"");
    check(&mut shard, &format!("HSET h b {}", "x".repeat(65)), ":1");
    check(&mut shard, "OBJECT ENCODING h", "\"hashtable\"");
    shard.shard.settings.hash_limits.entries = 2;
    check(&mut shard, "HSET few a 1 b 2", ":2");
    check(&mut shard, "OBJECT ENCODING few", "\"listpack\"");
    check(&mut shard, "HSET few c 3", ":1");
    check(&mut shard, "OBJECT ENCODING few", "\"hashtable\"");
}

#[test]
fn fields_expire() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        HSET h a 1 b 2 c 3 => :3
        HEXPIRE h 100 FIELDS 2 a x => [:1 :-2]
        HTTL h FIELDS 3 a b x => [:100 :-1 :-2]
        HPTTL h FIELDS 1 a => [:100000]
        HEXPIRETIME h FIELDS 1 a => [:1700000100]
        HPEXPIRETIME h FIELDS 1 a => [:1700000100000]
        HPEXPIRE h 99500 LT FIELDS 1 a => [:1]
        HTTL h FIELDS 1 a => [:100]
        HPEXPIRE h 99500 GT FIELDS 2 a b => [:0 :0]
        HPEXPIRE h 99600 LT FIELDS 2 a b => [:0 :1]
        HPEXPIRE h 5 NX FIELDS 2 b c => [:0 :1]
        HPEXPIRE h 7 XX FIELDS 1 c => [:1]
        HPERSIST h FIELDS 3 a x b => [:1 :-2 :1]
        HPERSIST h FIELDS 1 a => [:-1]
        HPERSIST none FIELDS 2 a b => [:-2 :-2]
        HTTL none FIELDS 2 a b => [:-2 :-2]
        HEXPIRE none 1 FIELDS 2 a b => [:-2 :-2]
        HEXPIREAT h 1 FIELDS 2 a a => [:2 :-2]
        HGETALL h => ["c" "3" "b" "2"]
        "#,
    );
    shard.shard.now_ms += 7;
    check_script(
        &mut shard,
        r#"
        HGETALL h => ["b" "2"]
        HGET h c => $-1
        HEXISTS h c => :0
        HSTRLEN h c => :0
        HLEN h => :2
        HTTL h FIELDS 1 c => [:-2]
        HRANDFIELD h 5 => ["b"]
        HSCAN h 0 => ["0" ["b" "2"]]
        HDEL h c => :0
        HLEN h => :1
        HPEXPIREAT h 0 FIELDS 1 b => [:2]
        EXISTS h => :0
        "#,
    );
}

#[test]
fn a_write_finds_due_fields_gone() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = crate::shard::events::class::ALL;
    shard.shard.events.journaled = true;
    check(&mut shard, "HSET h a 1 b 2 c 3", ":3");
    check(&mut shard, "HPEXPIRE h 5 FIELDS 3 a b c", "[:1 :1 :1]");
    shard.shard.now_ms += 5;
    told(&mut shard);
    journaled(&mut shard);
    check(&mut shard, "HINCRBY h a 5", ":5");
    assert_eq!(told(&mut shard), ["hexpired h", "hincrby h"]);
    assert_eq!(journaled(&mut shard).unwrap(), ["HDEL h a"]);
    check(&mut shard, "HTTL h FIELDS 1 a", "[:-1]");
    check(&mut shard, "HSETNX h b 7", ":1");
    assert_eq!(journaled(&mut shard).unwrap(), ["HDEL h b"]);
    check(&mut shard, "HINCRBYFLOAT h c 1.5", "\"1.5\"");
    assert_eq!(journaled(&mut shard).unwrap(), ["HDEL h c", "HSETEX h KEEPTTL FIELDS 1 c 1.5"]);
    assert_eq!(shard.shard.stats.expired_fields, 3);

    check(&mut shard, "HSET one a 1", ":1");
    check(&mut shard, "HPEXPIRE one 5 FIELDS 1 a", "[:1]");
    shard.shard.now_ms += 5;
    told(&mut shard);
    journaled(&mut shard);
    check(&mut shard, "HDEL one a", ":0");
    assert_eq!(told(&mut shard), ["hexpired one", "del one"]);
    check(&mut shard, "EXISTS one", ":0");
}

#[test]
fn hgetex_and_hgetdel() {
    check_script(
        &mut TestShard::new(),
        r#"
        HSET h a 1 b 2 c 3 => :3
        HGETEX h FIELDS 2 a x => ["1" $-1]
        HTTL h FIELDS 1 a => [:-1]
        HGETEX h EX 100 FIELDS 2 a x => ["1" $-1]
        HTTL h FIELDS 1 a => [:100]
        HGETEX h PERSIST FIELDS 1 a => ["1"]
        HTTL h FIELDS 1 a => [:-1]
        HGETEX h PXAT 1 FIELDS 2 a a => ["1" $-1]
        HGETEX h EX 100 PX 100 FIELDS 1 a => -ERR Mandatory argument FIELDS is missing or not at the right position
        HGETEX h EX -1 FIELDS 1 a => -ERR invalid expire time, must be >= 0
        HGETEX h EX 999999999999999 FIELDS 1 a => -ERR invalid expire time in 'hgetex' command
        HGETEX h FIELDS 0 a => -ERR Number of fields must be a positive integer
        HGETEX h FIELDS 2 a => -ERR The `numfields` parameter must match the number of arguments
        HGETEX none EX 5 FIELDS 2 a b => [$-1 $-1]
        HGETDEL h FIELDS 3 b b x => ["2" $-1 $-1]
        HGETDEL none FIELDS 1 a => [$-1]
        HGETDEL h FIELDS 1 c => ["3"]
        EXISTS h => :0
        "#,
    );
}

#[test]
fn hsetex_with_every_option() {
    check_script(
        &mut TestShard::new(),
        r#"
        HSETEX h EX 100 FIELDS 2 a 1 b 2 => :1
        HTTL h FIELDS 2 a b => [:100 :100]
        HSETEX h FIELDS 1 a 1 => :1
        HSETEX h KEEPTTL FIELDS 2 a 2 b 3 => :1
        HTTL h FIELDS 2 a b => [:-1 :100]
        HSETEX h FNX FIELDS 2 a 9 n 9 => :0
        HSETEX h FXX FIELDS 2 a 9 n 9 => :0
        HSETEX h FXX PX 1500 FIELDS 2 a 9 b 9 => :1
        HSETEX h FNX FIELDS 1 n 9 => :1
        HSETEX h FXX FIELDS x a => -ERR wrong number of arguments for 'hsetex' command
        HSETEX h FXX FIELDS x a b => -ERR invalid number of fields
        HSETEX none FXX FIELDS 1 n 9 => :0
        HSETEX none XX FIELDS 1 n 9 => :0
        EXISTS none => :0
        HSETEX new NX FIELDS 1 n 9 => :1
        HSETEX new NX FIELDS 1 n 9 => :0
        HSETEX new XX FIELDS 1 n 8 => :1
        HGETALL new => ["n" "8"]
        HSETEX h PXAT 1 FIELDS 2 a 1 zz 1 => :1
        HMGET h a b n zz => [$-1 "9" "9" $-1]
        HSETEX past EXAT 1 FIELDS 1 a 1 => :1
        EXISTS past => :0
        HSETEX h FNX FXX FIELDS 1 a 1 => -ERR Only one of FXX or FNX arguments can be specified
        HSETEX h EX 1 KEEPTTL FIELDS 1 a 1
        => -ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
        HSETEX h EX x FIELDS 1 a 1 => -ERR value is not an integer or out of range
        HSETEX h EX 99999999999999999 FIELDS 1 a 1 => -ERR invalid expire time in 'hsetex' command
        HSETEX h FIELDS 0 a 1 => -ERR invalid number of fields
        HSETEX h FIELDS 2 a 1 => -ERR wrong number of arguments for 'hsetex' command
        HSETEX h FIELDS 1 a 1 EX 5 => -ERR wrong number of arguments for 'hsetex' command
        "#,
    );
}

#[test]
fn expiry_commands_read_their_arguments_in_order() {
    check_script(
        &mut TestShard::new(),
        r#"
        HSET h a 1 => :1
        HEXPIRE h x FOO 1 a => -ERR value is not an integer or out of range
        HEXPIRE h -1 FOO 1 a => -ERR invalid expire time, must be >= 0
        HEXPIRE h 99999999999999999 FOO 1 a => -ERR invalid expire time in 'hexpire' command
        HPEXPIREAT h 70368744177664 FIELDS 1 a => -ERR invalid expire time in 'hpexpireat' command
        HPEXPIREAT h 70368744177663 FIELDS 1 a => [:1]
        HEXPIRE h 1 NX XX FIELDS 1 a => -ERR Mandatory argument FIELDS is missing or not at the right position
        HEXPIRE h 1 FIELDS 0 a => -ERR Parameter `numFields` should be greater than 0
        HEXPIRE h 1 FIELDS x a => -ERR Parameter `numFields` should be greater than 0
        HEXPIRE h 1 FIELDS 2 a => -ERR The `numfields` parameter must match the number of arguments
        HEXPIRE none 1 FIELDS 2 a => -ERR The `numfields` parameter must match the number of arguments
        HTTL h FIELDS 0 a => -ERR Number of fields must be a positive integer
        HTTL none FOO 1 a => -ERR Mandatory argument FIELDS is missing or not at the right position
        HPERSIST h FIELDS 2 a => -ERR The `numfields` parameter must match the number of arguments
        "#,
    );
}

/// What Redis 8 told its subscribers and wrote into its AOF for the same commands.
#[test]
fn events_and_effects_are_those_of_redis() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = crate::shard::events::class::ALL;
    shard.shard.events.journaled = true;
    let own: Option<&[&str]> = None;
    type Case = (&'static str, &'static [&'static str], Option<&'static [&'static str]>);
    let cases: [Case; 18] = [
        ("HSET h a 1 b 2 c 3 d 4", &["hset h"], own),
        ("HEXPIRE h 100 FIELDS 2 a x", &["hexpire h"], Some(&["HPEXPIREAT h 1700000100000 FIELDS 1 a"])),
        ("HEXPIRE h 100 NX FIELDS 1 a", &[], Some(&[])),
        ("HEXPIRE h 0 FIELDS 1 a", &["hdel h"], Some(&["HDEL h a"])),
        ("HEXPIRE h 100 FIELDS 1 b", &["hexpire h"], Some(&["HPEXPIREAT h 1700000100000 FIELDS 1 b"])),
        ("HPERSIST h FIELDS 1 b", &["hpersist h"], Some(&["HPERSIST h FIELDS 1 b"])),
        ("HGETEX h EX 100 FIELDS 2 b c", &["hexpire h"], Some(&["HPEXPIREAT h 1700000100000 FIELDS 2 b c"])),
        ("HGETEX h PERSIST FIELDS 2 b c", &["hpersist h"], Some(&["HPERSIST h FIELDS 2 b c"])),
        ("HGETEX h PXAT 1 FIELDS 1 b", &["hdel h"], Some(&["HDEL h b"])),
        ("HGETDEL h FIELDS 2 c zz", &["hdel h"], Some(&["HDEL h c zz"])),
        ("HSETEX h FNX EX 100 FIELDS 1 q 1", &["hset h", "hexpire h"], {
            Some(&["HSETEX h PXAT 1700000100000 FIELDS 1 q 1"])
        }),
        ("HSETEX h KEEPTTL FIELDS 1 q 2", &["hset h"], Some(&["HSETEX h KEEPTTL FIELDS 1 q 2"])),
        ("HINCRBYFLOAT h d 1.5", &["hincrbyfloat h"], Some(&["HSETEX h KEEPTTL FIELDS 1 d 5.5"])),
        ("HINCRBYFLOAT new d 1.5", &["hincrbyfloat new"], Some(&["HSET new d 1.5"])),
        ("HINCRBY h n 5", &["hincrby h"], own),
        ("HSETEX h PXAT 1 FIELDS 1 q 2", &["hset h", "hdel h"], Some(&["HDEL h q"])),
        ("HDEL h n", &["hdel h"], own),
        ("HSETEX none EXAT 1 FIELDS 1 q 2", &["hset none", "hdel none", "del none"], Some(&["HDEL none q"])),
    ];
    for (line, events, effects) in cases {
        shard.run(line);
        assert_eq!(told(&mut shard), events, "{line}");
        let effects = effects.map(|list| list.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(journaled(&mut shard), effects, "{line}");
    }
}

#[test]
fn random_fields() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        HRANDFIELD none => $-1
        HRANDFIELD none 5 => []
        HSET h a 1 => :1
        HRANDFIELD h => "a"
        HRANDFIELD h 0 => []
        HRANDFIELD h 5 => ["a"]
        HRANDFIELD h 5 WITHVALUES => ["a" "1"]
        HRANDFIELD h -3 => ["a" "a" "a"]
        HRANDFIELD h -16777217 => -ERR value is out of range
        HRANDFIELD none -16777217 => []
        HRANDFIELD h -2 WITHVALUES => ["a" "1" "a" "1"]
        HRANDFIELD h 1 WITHVALUES x => -ERR syntax error
        HRANDFIELD h 4611686018427387904 WITHVALUES => -ERR value is out of range
        HRANDFIELD h -9223372036854775808
        => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        "#,
    );
    let mut three = TestShard::resp3();
    check(&mut three, "HSET h a 1", ":1");
    check(&mut three, "HRANDFIELD h 2 WITHVALUES", "[[\"a\" \"1\"]]");
    for fields in [20, 2000] {
        (0..fields).for_each(|n| drop(shard.run(&format!("HSET big f{n} {n}"))));
        for count in [1, 5, fields / 2, fields - 1] {
            let reply = shard.run(&format!("HRANDFIELD big {count}"));
            let names: std::collections::BTreeSet<&str> = reply.trim_matches(['[', ']']).split(' ').collect();
            assert_eq!(names.len(), count);
        }
    }
}

#[test]
fn scans() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        HSET h a 1 b 2 ab 3 => :3
        HSCAN h 0 => ["0" ["a" "1" "b" "2" "ab" "3"]]
        HSCAN h 0 NOVALUES COUNT 1 => ["0" ["a" "b" "ab"]]
        HSCAN h 0 MATCH a* => ["0" ["a" "1" "ab" "3"]]
        HSCAN none 0 FOO => ["0" []]
        HSCAN h x => -ERR invalid cursor
        HSCAN h 0 COUNT 0 => -ERR syntax error
        HSCAN h 0 COUNT x => -ERR value is not an integer or out of range
        HSCAN h 0 MATCH => -ERR syntax error
        HSCAN h 0 TYPE hash => -ERR syntax error
        "#,
    );
    (0..2000).for_each(|n| drop(shard.run(&format!("HSET big f{n} {n}"))));
    let (mut cursor, mut seen) = ("0".to_string(), std::collections::BTreeSet::new());
    for step in 0.. {
        let reply = shard.run(&format!("HSCAN big {cursor} COUNT 50 NOVALUES"));
        let (next, names) = reply[1..].split_once(' ').unwrap();
        seen.extend(names.trim_matches(['[', ']']).split(' ').filter(|n| !n.is_empty()).map(str::to_string));
        cursor = next.trim_matches('"').to_string();
        assert!(step < 500);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2000);
}

#[test]
fn hashes_move_with_their_fields_expiries() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        HSETEX h PX 50 FIELDS 1 a 1 => :1
        HSET h b 2 => :1
        RENAME h moved => +OK
        COPY moved copied => :1
        "#,
    );
    shard.shard.now_ms += 50;
    shard.shard.expire_step(100);
    check(&mut shard, "HLEN moved", ":1");
    check(&mut shard, "HLEN copied", ":1");
}

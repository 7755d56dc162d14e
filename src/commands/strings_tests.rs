//! What concerns the string family as a whole: counted writes, values of other shards, arguments that arrived apart,
//! calls that a dispatcher would not make.

use super::*;
use crate::base::bytes::OutBuf;
use crate::base::thin::Thin;
use crate::commands::bitmaps;
use crate::commands::context::Foreign;
use crate::commands::testing::{TestShard, check, check_script, render};
use crate::types::value::Owned;
use std::sync::Arc;

#[test]
fn writes_are_counted_as_redis_counts_them() {
    let mut shard = TestShard::new();
    let table: &[(&str, u64)] = &[
        ("SET a b", 1),
        ("SET a b NX", 0),
        ("SET none b XX", 0),
        ("SET a b EX 10", 1),
        ("SET a b PXAT 1", 1),
        ("GET a", 0),
        ("SET a b GET", 1),
        ("SET a b IFEQ x", 0),
        ("SET a b IFEQ b", 1),
        ("SETNX a b", 0),
        ("SETNX n b", 1),
        ("GETSET a c", 1),
        ("GETEX a", 0),
        ("GETEX a EX 10", 1),
        ("GETEX a PERSIST", 1),
        ("GETEX a PERSIST", 0),
        ("GETEX a EXAT 1", 1),
        ("GETDEL a", 0),
        ("SET a b", 1),
        ("GETDEL a", 1),
        ("APPEND a b", 1),
        ("APPEND a \"\"", 1),
        ("SETRANGE a 0 \"\"", 0),
        ("SETRANGE a 0 x", 1),
        ("SETRANGE a 0 x", 1),
        ("SETRANGE a 2000 x", 1),
        ("SETRANGE a 0 x", 1),
        ("APPEND a b", 1),
        ("SETRANGE none 0 \"\"", 0),
        ("INCR i", 1),
        ("INCRBYFLOAT i 0", 1),
        ("INCRBY i 0", 1),
        ("INCRBY i x", 0),
        ("MSET x 1 y 2 x 3", 3),
        ("MSETNX x 1 u 2", 0),
        ("MSETNX u 1 v 2", 2),
        ("MSETEX 2 x 1 y 2 EX 10", 2),
        ("MSETEX 2 x 1 y 2 NX", 0),
        ("SETBIT b 7 1", 1),
        ("SETBIT b 7 1", 0),
        ("SETBIT b 100 0", 1),
        ("SETBIT b 100 0", 0),
        ("SETBIT b 100000 0", 1),
        ("SETBIT b 100000 0", 0),
        ("BITFIELD b GET u8 0", 0),
        ("BITFIELD b SET u8 0 5", 1),
        ("BITFIELD b SET u8 0 5", 0),
        ("BITFIELD b SET u8 0 5 SET u8 0 7 INCRBY u8 0 1 GET u8 0", 2),
        ("BITFIELD b OVERFLOW FAIL INCRBY u8 0 1000", 0),
        ("BITFIELD f SET u8 0 0 SET u8 0 0", 2),
        ("BITFIELD f SET u8 0 0", 0),
        ("BITFIELD g OVERFLOW FAIL INCRBY u8 0 1000", 1),
        ("BITOP OR d b", 1),
        ("BITOP OR d b", 1),
        ("BITOP OR d none", 1),
        ("BITOP OR d none", 0),
        ("DELIFEQ b x", 0),
        ("SET b x", 1),
        ("DELIFEQ b x", 1),
    ];
    for (line, count) in table {
        let before = shard.shard.dirty;
        shard.run(line);
        assert_eq!(shard.shard.dirty - before, *count, "writes of {line}");
    }
}

#[test]
fn reads_count_hits_and_misses() {
    let mut shard = TestShard::new();
    shard.run("SET a 1");
    for line in ["GET a", "MGET a a none", "STRLEN a", "GETRANGE none 0 1", "GETBIT a 0", "SETNX a 1", "INCR a"] {
        shard.run(line);
    }
    assert_eq!((shard.shard.stats.hits, shard.shard.stats.misses), (5, 2));
}

#[test]
fn values_end_when_their_time_comes() {
    let mut shard = TestShard::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        shard.run(&format!("SET {key} 5 PX 1000"));
    }
    shard.shard.now_ms += 999;
    check(&mut shard, "MGET a b c d e f", r#"["5" "5" "5" "5" "5" "5"]"#);
    shard.shard.now_ms += 1;
    check_script(
        &mut shard,
        r#"
        GET a => $-1
        INCR a => :1
        TTL a => :-1
        APPEND b x => :1
        TTL b => :-1
        SET c v KEEPTTL => +OK
        TTL c => :-1
        SETNX d 1 => :1
        SETRANGE e 1 x => :2
        GET e => "\x00x"
        SETBIT f 0 1 => :0
        GET f => "\x80"
        TTL f => :-1
        "#,
    );
}

#[test]
fn two_phase_commands_read_copies_of_keys_that_live_elsewhere() {
    let mut shard = TestShard::new();
    let elsewhere = |key: &str, found: Option<Owned>| Foreign {
        key: key.into(),
        found: found.map(|owned| (owned, None)),
        ..Foreign::default()
    };
    let big = Arc::new(vec![b'x'; 5000]);
    shard.foreign = vec![
        elsewhere("int", Some(Owned::Int(12345))),
        elsewhere("small", Some(Owned::Str { bytes: b"mynewtext".to_vec(), raw: false })),
        elsewhere("big", Some(Owned::Boxed(Box::new(Value::Str(Thin::new(big)))))),
        elsewhere("none", None),
    ];
    // A key of this shard under the same name must not be seen.
    shard.run("SET none here");
    check_script(
        &mut shard,
        r#"
        SET here ohmytext => +OK
        LCS here small => "mytext"
        LCS small here => "mytext"
        LCS here none LEN => :0
        LCS big big LEN => :5000
        BITOP OR to int => :5
        GET to => "12345"
        BITOP XOR to int here none => :8
        GET to => "^Z^MAext"
        BITOP AND to big here => :5000
        BITCOUNT to => :25
        "#,
    );
}

#[test]
fn an_argument_that_arrived_apart_becomes_the_value() {
    let mut shard = TestShard::new();
    for (words, index) in [
        (["SET", "k", "", "EX", "100"].as_slice(), 2),
        (&["SETEX", "k", "100", ""], 3),
        (&["SET", "k", ""], 2),
        (&["SETNX", "new", ""], 2),
        (&["GETSET", "k", ""], 2),
        (&["MSET", "a", "1", "k", ""], 4),
        (&["MSETEX", "2", "a", "1", "k", "", "XX"], 5),
        (&["APPEND", "fresh", ""], 2),
    ] {
        let mut big: BigString = Arc::new(vec![b'x'; 40_000]);
        let address = big.as_ptr();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        shard.run_with_big(&words, index, &mut big);
        let key = words[index - if words.len() == 4 { 2 } else { 1 }];
        let found = shard.shard.peek(0, Key::new(key)).map(|entry| entry.value);
        let Some(View::Boxed(Value::Str(value))) = found else { panic!("{words:?} left {found:?}") };
        assert_eq!((value.len(), value.as_ptr()), (40_000, address), "{words:?} copied");
    }
}

#[test]
fn an_argument_that_arrived_apart_can_be_any() {
    let mut shard = TestShard::new();
    let big: BigString = Arc::new(vec![b'7'; 40_000]);
    let run = |shard: &mut TestShard, words: &[&str], index| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        shard.run_with_big(&words, index, &mut big.clone())
    };
    assert_eq!(run(&mut shard, &["SET", "", "v"], 1), "+OK");
    assert_eq!(run(&mut shard, &["GET", ""], 1), r#""v""#);
    assert_eq!(run(&mut shard, &["SET", "k", ""], 2), "+OK");
    assert_eq!(run(&mut shard, &["SET", "k", "v", "IFEQ", ""], 4), "+OK");
    assert_eq!(run(&mut shard, &["APPEND", "k", ""], 2), ":40001");
    assert_eq!(run(&mut shard, &["APPEND", "k", ""], 2), ":80001");
    assert_eq!(run(&mut shard, &["SETRANGE", "k", "1", ""], 3), ":80001");
    assert_eq!(run(&mut shard, &["DELIFEQ", "k", ""], 2), ":0");
    assert_eq!(run(&mut shard, &["INCRBY", "k", ""], 2), "-ERR value is not an integer or out of range");
    assert_eq!(run(&mut shard, &["INCRBYFLOAT", "none", ""], 2), "-ERR value is not a valid float");
    assert_eq!(run(&mut shard, &["SETNX", "k", ""], 2), ":0");
    assert_eq!(run(&mut shard, &["SET", "none", "", "XX"], 2), "$-1");
}

#[test]
fn too_few_arguments_are_refused_by_the_functions_too() {
    let mut shard = TestShard::new();
    for spec in COMMANDS.iter().chain(bitmaps::COMMANDS) {
        let functions = match spec.plan {
            Plan::OneShard(run) | Plan::Scatter(run, _) | Plan::TwoPhase { run, .. } => vec![run],
            Plan::CheckedScatter { check, run, .. } => vec![check, run],
            _ => panic!("{} travels in no way this test knows", spec.name),
        };
        for function in functions {
            for count in 1..spec.arity.unsigned_abs() as usize {
                let mut words = vec![b"1".as_slice(); count];
                words[0] = spec.name.as_bytes();
                let mut out = OutBuf::default();
                shard.call(function, &words, &mut out);
                let expected = format!("-ERR wrong number of arguments for '{}' command", spec.name);
                assert_eq!(render(&out.flat()), expected, "{count} arguments");
            }
        }
    }
}

#[test]
fn integers_are_told_from_text() {
    let int = |text: &str| match encode(text.as_bytes()) {
        NewValue::Int(number) => Some(number),
        _ => None,
    };
    for number in [0, 1, -1, 9, 10, i64::MAX, i64::MIN, 1_234_567_890_123_456_789] {
        assert_eq!(int(&number.to_string()), Some(number));
    }
    for text in
        ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "1e3", "9223372036854775808", "99999999999999999999"]
    {
        assert_eq!(int(text), None, "{text}");
    }
}

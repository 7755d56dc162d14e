//! GETEX, GETDEL, DELIFEQ, STRLEN, GETRANGE, SUBSTR against the replies of a real server.

use super::getrange;
use crate::base::bytes::OutBuf;
use crate::commands::testing::{TestShard, check_script};

#[test]
fn getex() {
    check_script(
        &mut TestShard::new(),
        r#"
        GETEX k => $-1
        GETEX k EX 0 => $-1
        GETEX k EX abc => $-1
        GETEX k EX 10 PX 10 => -ERR syntax error
        GETEX k FOO => -ERR syntax error
        SET k v => +OK
        GETEX k => "v"
        TTL k => :-1
        GETEX k EX 100 => "v"
        TTL k => :100
        GETEX k => "v"
        TTL k => :100
        GETEX k PX 50000 => "v"
        TTL k => :50
        GETEX k PERSIST => "v"
        TTL k => :-1
        GETEX k PERSIST => "v"
        GETEX k PERSIST PERSIST => "v"
        GETEX k EX 10 EX 20 => "v"
        TTL k => :20
        GETEX k EX 0 => -ERR invalid expire time in 'getex' command
        GETEX k EX -1 => -ERR invalid expire time in 'getex' command
        GETEX k PX abc => -ERR value is not an integer or out of range
        GETEX k EX 9223372036854775807 => -ERR invalid expire time in 'getex' command
        GETEX k PX 9223372036854775807 => -ERR invalid expire time in 'getex' command
        GETEX k EX => -ERR syntax error
        GETEX k EX 10 PERSIST => -ERR syntax error
        GETEX k PERSIST EX 10 => -ERR syntax error
        GETEX k EX 10 PX 10 => -ERR syntax error
        GETEX k KEEPTTL => -ERR syntax error
        GETEX k NX => -ERR syntax error
        GETEX k GET => -ERR syntax error
        GETEX k IFEQ v => -ERR syntax error
        TTL k => :20
        GETEX k EXAT 1 => "v"
        EXISTS k => :0
        SET k 5 => +OK
        GETEX k PXAT 1 => "5"
        EXISTS k => :0
        SET k 5 => +OK
        GETEX k EXAT 9000000000 => "5"
        OBJECT ENCODING k => "int"
        GETEX k persist => "5"
        GETEX => -ERR wrong number of arguments for 'getex' command
        "#,
    );
}

#[test]
fn getdel() {
    check_script(
        &mut TestShard::new(),
        r#"
        GETDEL k => $-1
        SET k v => +OK
        GETDEL k => "v"
        GETDEL k => $-1
        EXISTS k => :0
        SET k 12 => +OK
        GETDEL k => "12"
        GETDEL => -ERR wrong number of arguments for 'getdel' command
        GETDEL a b => -ERR wrong number of arguments for 'getdel' command
        "#,
    );
}

#[test]
fn delifeq() {
    // As Valkey 9.1 answers: Redis 8.0 does not have it.
    check_script(
        &mut TestShard::new(),
        r#"
        DELIFEQ k v => :0
        SET k v => +OK
        DELIFEQ k w => :0
        DELIFEQ k V => :0
        DELIFEQ k "" => :0
        EXISTS k => :1
        DELIFEQ k v => :1
        EXISTS k => :0
        SET k 12 => +OK
        DELIFEQ k 012 => :0
        DELIFEQ k 12 => :1
        SET k "" => +OK
        DELIFEQ k "" => :1
        DELIFEQ k => -ERR wrong number of arguments for 'delifeq' command
        DELIFEQ k a b => -ERR wrong number of arguments for 'delifeq' command
        "#,
    );
}

#[test]
fn strlen() {
    check_script(
        &mut TestShard::new(),
        r#"
        STRLEN k => :0
        SET k "" => +OK
        STRLEN k => :0
        SET k hello => +OK
        STRLEN k => :5
        SET k -12345 => +OK
        STRLEN k => :6
        STRLEN => -ERR wrong number of arguments for 'strlen' command
        STRLEN a b => -ERR wrong number of arguments for 'strlen' command
        "#,
    );
}

#[test]
fn getrange_and_substr() {
    check_script(
        &mut TestShard::new(),
        r#"
        GETRANGE k 0 -1 => ""
        SET k "Hello World" => +OK
        GETRANGE k 0 -1 => "Hello World"
        GETRANGE k 0 4 => "Hello"
        GETRANGE k -3 -1 => "rld"
        GETRANGE k -5 8 => "Wor"
        GETRANGE k 5 2 => ""
        GETRANGE k -1 -3 => ""
        GETRANGE k -100 -200 => ""
        GETRANGE k -200 -100 => "H"
        GETRANGE k 0 -100 => "H"
        GETRANGE k 10 100 => "d"
        GETRANGE k 11 100 => ""
        GETRANGE k 100 200 => ""
        GETRANGE k -9223372036854775808 9223372036854775807 => "Hello World"
        GETRANGE k 9223372036854775807 -9223372036854775808 => ""
        GETRANGE k 9223372036854775808 1 => -ERR value is not an integer or out of range
        GETRANGE k a 1 => -ERR value is not an integer or out of range
        GETRANGE k 1 a => -ERR value is not an integer or out of range
        GETRANGE k 1.0 2 => -ERR value is not an integer or out of range
        GETRANGE none a 1 => -ERR value is not an integer or out of range
        GETRANGE none 0 1 => ""
        SET k 12345 => +OK
        GETRANGE k 1 2 => "23"
        GETRANGE k -2 -1 => "45"
        GETRANGE k 0 -1 => "12345"
        SET k "" => +OK
        GETRANGE k 0 -1 => ""
        GETRANGE k 0 0 => ""
        GETRANGE k 0 => -ERR wrong number of arguments for 'getrange' command
        SET k abc => +OK
        SUBSTR k 0 1 => "ab"
        SUBSTR k -2 -1 => "bc"
        SUBSTR k 0 => -ERR wrong number of arguments for 'substr' command
        "#,
    );
}

#[test]
fn resp3_nulls() {
    check_script(
        &mut TestShard::resp3(),
        r#"
        GET k => _
        GETEX k => _
        GETDEL k => _
        SET k v XX => _
        SET k v GET => _
        SET k w GET => "v"
        MGET k none => ["w" _]
        "#,
    );
}

/// A reply of half of a string or more shares it; a smaller one is copied, or a writer would have to copy all of it.
#[test]
fn most_of_a_large_string_is_sent_from_the_value() {
    let mut shard = TestShard::new();
    let text: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    shard.run_words(&[b"SETRANGE", b"k", b"0", &text]);
    for (first, last, shared) in [(0, 99_999, true), (1, 99_998, true), (50_000, 99_999, false), (49_999, 99_999, true)]
    {
        let mut out = OutBuf::default();
        let words: [&[u8]; 4] = [b"GETRANGE", b"k", &first.to_string().into_bytes(), &last.to_string().into_bytes()];
        shard.call(getrange, &words, &mut out);
        assert_eq!(out.bigs.len(), usize::from(shared), "{first} to {last}");
        let head = format!("${}\r\n", last - first + 1);
        assert_eq!(out.flat(), [head.as_bytes(), &text[first..=last], b"\r\n"].concat());
    }
}

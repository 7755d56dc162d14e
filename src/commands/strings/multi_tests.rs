//! MGET, MSET, MSETNX, MSETEX against the replies of a real server.

use super::*;
use crate::base::bytes::OutBuf;
use crate::commands::context::CommandFn;
use crate::commands::testing::{TestShard, check, check_script, render};

#[test]
fn mget() {
    check_script(
        &mut TestShard::new(),
        r#"
        MGET a b => [$-1 $-1]
        MSET a 1 b two c "" => +OK
        MGET a none b c a => ["1" $-1 "two" "" "1"]
        MGET none => [$-1]
        MGET => -ERR wrong number of arguments for 'mget' command
        "#,
    );
}

#[test]
fn mset() {
    check_script(
        &mut TestShard::new(),
        r#"
        MSET a => -ERR wrong number of arguments for 'mset' command
        MSET a 1 b => -ERR wrong number of arguments for 'mset' command
        MSET a 1 b 2 c => -ERR wrong number of arguments for 'mset' command
        EXISTS a => :0
        MSET a 1 b 2 => +OK
        MGET a b => ["1" "2"]
        MSET a 1 a 2 => +OK
        GET a => "2"
        SET a x EX 100 => +OK
        MSET a y => +OK
        TTL a => :-1
        "#,
    );
}

#[test]
fn msetnx() {
    check_script(
        &mut TestShard::new(),
        r#"
        MSETNX a => -ERR wrong number of arguments for 'msetnx' command
        MSETNX a 1 b => -ERR wrong number of arguments for 'msetnx' command
        MSETNX a 1 b 2 => :1
        MSETNX b 3 c 4 => :0
        MGET a b c => ["1" "2" $-1]
        MSETNX c 1 c 2 => :1
        GET c => "2"
        "#,
    );
}

#[test]
fn msetex() {
    // As Valkey 9.1 answers: Redis 8.0 does not have it.
    check_script(
        &mut TestShard::new(),
        r#"
        MSETEX 2 a 1 b two => :1
        MGET a b => ["1" "two"]
        OBJECT ENCODING a => "int"
        MSETEX 2 a 1 b 2 EX 100 => :1
        TTL a => :100
        TTL b => :100
        MSETEX 1 a 1 KEEPTTL => :1
        TTL a => :100
        MSETEX 1 a 1 => :1
        TTL a => :-1
        MSETEX 2 b 5 c 6 XX => :0
        MSETEX 2 b 5 c 6 NX => :0
        MGET b c => ["2" $-1]
        MSETEX 2 c 6 d 7 NX PX 50000 => :1
        TTL d => :50
        MSETEX 2 c 8 d 9 XX KEEPTTL => :1
        TTL d => :50
        MGET c d => ["8" "9"]
        MSETEX 2 e 1 e 2 NX => :1
        GET e => "2"
        MSETEX 2 a 1 b 2 PXAT 1 => :1
        EXISTS a => :0
        EXISTS b => :0
        MSETEX 1 a 1 EXAT 1 NX => :1
        MSETEX 1 a 1 NX XX => -ERR syntax error
        MSETEX 1 a 1 XX NX => -ERR syntax error
        MSETEX 1 a 1 NX NX => :1
        MSETEX 1 a 1 nx keepttl => :0
        MSETEX 1 a 1 KEEPTTL EX 10 => -ERR syntax error
        MSETEX 1 a 1 EX 10 PX 10 => -ERR syntax error
        MSETEX 1 a 1 EX 10 EX 20 => :1
        MSETEX 1 a 1 PERSIST => -ERR syntax error
        MSETEX 1 a 1 GET => -ERR syntax error
        MSETEX 1 a 1 IFEQ x => -ERR syntax error
        MSETEX 1 a 1 FOO => -ERR syntax error
        MSETEX 1 a 1 EX => -ERR syntax error
        MSETEX 1 a 1 EX 0 => -ERR invalid expire time in 'msetex' command
        MSETEX 1 a 1 EX -1 => -ERR invalid expire time in 'msetex' command
        MSETEX 1 a 1 EX abc => -ERR value is not an integer or out of range
        MSETEX 1 a 1 NX EX 0 => -ERR invalid expire time in 'msetex' command
        MSETEX 1 a 1 EX 9223372036854775807 => -ERR invalid expire time in 'msetex' command
        MSETEX 1 a 1 b 2 => -ERR syntax error
        MSETEX 3 a 1 b 2 => -ERR syntax error
        MSETEX 2 a 1 b => -ERR syntax error
        MSETEX 0 a 1 => -ERR invalid numkeys value or out of range
        MSETEX -1 a 1 => -ERR invalid numkeys value or out of range
        MSETEX abc a 1 => -ERR invalid numkeys value or out of range
        MSETEX 2147483647 a 1 => -ERR syntax error
        MSETEX 2147483648 a 1 => -ERR invalid numkeys value or out of range
        MSETEX 9223372036854775807 a 1 => -ERR invalid numkeys value or out of range
        MSETEX 1 a => -ERR wrong number of arguments for 'msetex' command
        MSETEX 1 => -ERR wrong number of arguments for 'msetex' command
        MSETEX => -ERR wrong number of arguments for 'msetex' command
        "#,
    );
}

#[test]
fn more_keys_than_a_group() {
    let mut shard = TestShard::new();
    let pairs: Vec<String> = (0..100).flat_map(|i| [format!("k{i}"), i.to_string()]).collect();
    check(&mut shard, &format!("MSET {}", pairs.join(" ")), "+OK");
    let keys: Vec<String> = (0..101).rev().map(|i| format!("k{i}")).collect();
    let values: Vec<String> = (0..100).rev().map(|i| format!("\"{i}\"")).collect();
    check(&mut shard, &format!("MGET {}", keys.join(" ")), &format!("[$-1 {}]", values.join(" ")));
    check(&mut shard, &format!("MSETEX 100 {} XX EX 50", pairs.join(" ")), ":1");
    check(&mut shard, &format!("MSETEX 101 {} k100 v XX", pairs.join(" ")), ":0");
    check(&mut shard, &format!("MSETNX k100 v {}", pairs.join(" ")), ":0");
    check(&mut shard, "TTL k99", ":50");
    check(&mut shard, "EXISTS k100", ":0");
}

#[test]
fn checks_answer_for_their_part_and_change_nothing() {
    let mut shard = TestShard::new();
    shard.run("MSET a 1 b 2");
    let before = shard.shard.dirty;
    let mut ask = |function: CommandFn, line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = OutBuf::default();
        shard.call(function, &words, &mut out);
        render(&out.flat())
    };
    assert_eq!(ask(msetnx_check, "MSETNX a 1 c 2"), ":0");
    assert_eq!(ask(msetnx_check, "MSETNX c 1 d 2"), ":1");
    assert_eq!(ask(msetex_check, "MSETEX 2 a 1 b 2 NX"), ":0");
    assert_eq!(ask(msetex_check, "MSETEX 2 a 1 b 2 XX EX 10"), ":1");
    assert_eq!(ask(msetex_check, "MSETEX 2 a 1 c 2 XX"), ":0");
    assert_eq!(ask(msetex_check, "MSETEX 1 c 1 XX"), ":0");
    assert_eq!(ask(msetex_check, "MSETEX 2 a 1 c 2"), ":1");
    assert_eq!(ask(msetex_check, "MSETEX 1 a 1 NX XX"), "-ERR syntax error");
    assert_eq!(ask(msetex_check, "MSETEX 0 a 1"), "-ERR invalid numkeys value or out of range");
    assert_eq!(ask(msetex_check, "MSETEX 1 a 1 EX 0"), "-ERR invalid expire time in 'msetex' command");
    assert_eq!(shard.shard.dirty, before);
}

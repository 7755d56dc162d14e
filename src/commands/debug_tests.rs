//! DEBUG against what Redis 7.0, 8.0 and Valkey 9.1 answer.

use super::*;
use crate::base::bytes::OutBuf;
use crate::base::words;
use crate::commands::args::lay_out;
use crate::commands::context::Context;
use crate::resp::parse::Span;
use crate::shard::keyspace::Shard;

/// Words as arguments in a buffer.
fn arguments(line: &str) -> (Vec<u8>, Vec<Span>) {
    lay_out(&words::split(line.as_bytes()).expect("balanced quotes"))
}

fn call_as(line: &str, proto: Proto) -> (DebugCall, String) {
    let (buffer, spans) = arguments(line);
    let mut out = OutBuf::default();
    let call = debug(&Args::new(&buffer, &spans), 16, &mut Reply::new(&mut out, proto));
    (call, String::from_utf8_lossy(&out.bytes).into_owned())
}

/// The reply of a call that needs no server.
fn reply(line: &str) -> String {
    let (call, text) = call_as(line, Proto::Resp2);
    assert!(matches!(call, DebugCall::Answered), "{line}: {call:?}");
    text
}

fn shard(slots: std::ops::Range<u16>) -> Shard {
    let mut shard = Shard::new(16, slots, 1);
    shard.now_ms = 1_700_000_000_000;
    shard
}

/// Runs a call's function on a shard.
fn run(shard: &mut Shard, line: &str) -> String {
    let (buffer, spans) = arguments(line);
    let mut out = OutBuf::default();
    let mut reply = Reply::new(&mut out, Proto::Resp2);
    let mut args = Args::new(&buffer, &spans);
    let function = match debug(&args, 16, &mut reply) {
        DebugCall::OnKey(_, function) | DebugCall::OnKeys(function, _) | DebugCall::OnShards(function, _) => function,
        other => panic!("{line} has no function: {other:?}"),
    };
    let mut ctx = Context { shard, db: 0, no_touch: false, hint: None, bulk_bytes_max: 1 << 20, foreign: &mut [] };
    function(&mut ctx, &mut args, &mut reply);
    String::from_utf8_lossy(&out.bytes).into_owned()
}

#[test]
fn refuses_what_it_does_not_know() {
    for line in ["foo", "sleep", "sleep 0 0", "jmap", "populate", "protocol", "log a b", "object", "digest x"] {
        let name = line.split(' ').next().unwrap_or(line);
        let expected =
            format!("-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.\r\n");
        assert_eq!(reply(&format!("DEBUG {line}")), expected);
    }
}

#[test]
fn says_what_the_server_has_to_do() {
    let call = |line: &str| call_as(line, Proto::Resp2).0;
    assert!(matches!(call("DEBUG SLEEP 0.25"), DebugCall::Sleep(250_000)));
    assert!(matches!(call("debug sleep x"), DebugCall::Sleep(0)));
    assert!(matches!(call("debug sleep -1"), DebugCall::Sleep(0)));
    assert!(matches!(call("debug set-active-expire 0"), DebugCall::Switch(Switch::ActiveExpire, false)));
    assert!(matches!(call("debug set-active-expire x"), DebugCall::Switch(Switch::ActiveExpire, false)));
    assert!(matches!(call("debug set-active-expire 1"), DebugCall::Switch(Switch::ActiveExpire, true)));
    assert!(matches!(call("debug htstats 3 full"), DebugCall::TableStats(3)));
    assert!(matches!(call("debug digest"), DebugCall::Digest));
    assert!(matches!(call("debug change-repl-id"), DebugCall::ChangeReplicationId));
    assert!(matches!(call("debug log x"), DebugCall::Log));
    assert!(matches!(call("debug segfault"), DebugCall::Crash(Fault::Segfault)));
    assert!(matches!(call("debug Panic"), DebugCall::Crash(Fault::Panic)));
    assert!(matches!(call("debug assert"), DebugCall::Crash(Fault::Assert)));
    assert!(matches!(call("debug oom"), DebugCall::Crash(Fault::Memory)));
    assert!(matches!(call("debug object k"), DebugCall::OnKey(2, _)));
    assert!(matches!(call("debug populate 3"), DebugCall::OnShards(_, Gather::AllOk)));
}

#[test]
fn answers_by_itself() {
    for (line, expected) in [
        ("htstats x", "-ERR value is not an integer or out of range"),
        ("htstats 16", "-ERR Out of range database"),
        ("htstats -1", "-ERR Out of range database"),
        ("error \"ERR foo bar\"", "-ERR foo bar"),
        ("error foo", "-foo"),
        ("digest-value", "*0"),
        ("populate x", "-ERR value is out of range, must be positive"),
        ("populate 3 zz -1", "-ERR value is out of range, must be positive"),
        ("reload foo", "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."),
        ("quicklist-packed-threshold 100b", "+OK"),
        ("quicklist-packed-threshold xx", "-ERR argument must be a memory value bigger than 1 and smaller than 4gb"),
        ("quicklist-packed-threshold 4gb", "-ERR argument must be a memory value bigger than 1 and smaller than 4gb"),
        ("replybuffer resizing 0", "+OK"),
        ("replybuffer peak-reset-time never", "+OK"),
        ("replybuffer peak-reset-time x", "-ERR value is not an integer or out of range"),
        ("dict-resizing 1", "+OK"),
        ("stringmatch-test", "+Apparently the server did not crash: test passed"),
    ] {
        assert_eq!(reply(&format!("DEBUG {line}")), format!("{expected}\r\n"), "{line}");
    }
    let help = reply("DEBUG HELP");
    let header = format!(
        "*{}\r\n+DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n",
        help.matches("\r\n").count() - 1
    );
    assert!(help.starts_with(&header));
}

#[test]
fn protocol_speaks_both_dialects() {
    for (kind, resp2, resp3) in [
        ("string", "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"),
        ("integer", ":12345\r\n", ":12345\r\n"),
        ("double", "$5\r\n3.141\r\n", ",3.141\r\n"),
        ("NULL", "$-1\r\n", "_\r\n"),
        ("array", "*3\r\n:0\r\n:1\r\n:2\r\n", "*3\r\n:0\r\n:1\r\n:2\r\n"),
        ("set", "*3\r\n:0\r\n:1\r\n:2\r\n", "~3\r\n:0\r\n:1\r\n:2\r\n"),
        ("map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
        ("true", ":1\r\n", "#t\r\n"),
        ("false", ":0\r\n", "#f\r\n"),
        ("bignum", "$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n"),
        ("verbatim", "$25\r\nThis is a verbatim\nstring\r\n", "=29\r\ntxt:This is a verbatim\nstring\r\n"),
        (
            "attrib",
            "$39\r\nSome real reply following the attribute\r\n",
            "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the \
             attribute\r\n",
        ),
        (
            "push",
            "-ERR RESP2 is not supported by this command\r\n",
            "$40\r\nSome real reply following the push reply\r\n>2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n",
        ),
    ] {
        let line = format!("DEBUG PROTOCOL {kind}");
        assert_eq!(call_as(&line, Proto::Resp2).1, resp2);
        assert_eq!(call_as(&line, Proto::Resp3).1, resp3);
    }
    assert!(reply("DEBUG PROTOCOL bigint").starts_with("-ERR Wrong protocol type name."));
}

#[test]
fn populate_fills_each_shard_with_its_own_keys() {
    let (mut low, mut high) = (shard(0..8000), shard(8000..16384));
    for part in [&mut low, &mut high] {
        assert_eq!(run(part, "DEBUG POPULATE 1000 k 10"), "+OK\r\n");
    }
    assert_eq!(low.len(0) + high.len(0), 1000);
    assert!(low.len(0) > 300 && high.len(0) > 300);
    let mut whole = shard(0..16384);
    run(&mut whole, "DEBUG POPULATE 3");
    run(&mut whole, "DEBUG POPULATE 4 key 2");
    assert_eq!(whole.len(0), 4);
    let digest = run(&mut whole, "DEBUG DIGEST-VALUE key:0");
    assert_eq!(run(&mut whole, "DEBUG POPULATE 1 key 5"), "+OK\r\n");
    assert_eq!(run(&mut whole, "DEBUG DIGEST-VALUE key:0"), digest, "keys that are there stay");
    assert!(run(&mut whole, "DEBUG POPULATE 1 z 9999999999").starts_with("-ERR string exceeds maximum"));
}

#[test]
fn table_stats_count_entries() {
    let mut shard = shard(0..16384);
    run(&mut shard, "DEBUG POPULATE 20000");
    let text = table_stats(&shard, 0);
    assert!(text.starts_with("slots 0-16383\n") && text.contains("\n number of entries: 20000\n"), "{text}");
    assert!(table_stats(&shard, 1).contains("\n number of entries: 0\n"));
    assert!(shard.overhead() > 0 && shard.overhead() < shard.memory(), "{} of {}", shard.overhead(), shard.memory());
}

/// Digests that redis-server 7.0.15 gave for the same data.
#[test]
fn digests_are_those_of_redis() {
    use crate::types::table::{Expire, Key};
    use crate::types::value::NewValue;
    let put = |shard: &mut Shard, db: usize, key: &str, value: NewValue<'_>, expire: Expire| {
        shard.set(db, Key::new(key.as_bytes()), value, expire);
    };
    let mut one = shard(0..16384);
    let digest = |shards: &[&Shard]| {
        let parts: Vec<_> = shards.iter().map(|shard| database_digests(shard)).collect();
        DatasetDigest::of(&parts).as_str().to_owned()
    };
    assert_eq!(digest(&[&one]), "0".repeat(40));
    put(&mut one, 0, "a", NewValue::Str { bytes: b"", raw: false }, Expire::Clear);
    assert_eq!(digest(&[&one]), "fef61c2d26eaf28fd7429c09980f3a036164af0b");
    assert_eq!(
        run(&mut one, "DEBUG DIGEST-VALUE a x"),
        "*2\r\n+8b3447c33a834b810e3e181b6fd6a2ee1020921c\r\n+0000000000000000000000000000000000000000\r\n"
    );
    one.set_expire(0, Key::new(b"a"), Some(99_999_999_999_999));
    assert_eq!(run(&mut one, "DEBUG DIGEST-VALUE a"), "*1\r\n+6db1b93ce6baa1d5cf28f3e32abc6d750a8ed39f\r\n");

    // SET a 1; SET foo bar in 0, SET q 1 with an expiry in 1; split over two shards or not.
    let (mut left, mut right) = (shard(0..8000), shard(8000..16384));
    put(&mut left, 0, "a", NewValue::Int(1), Expire::Clear);
    put(&mut right, 0, "foo", NewValue::Str { bytes: b"bar", raw: false }, Expire::Clear);
    put(&mut left, 1, "q", NewValue::Int(1), Expire::At(99_999_999_999_999));
    assert_eq!(digest(&[&left, &right]), "3503804c949eb151283e878a9c06c0036075cadb");
    assert_eq!(digest(&[&left, &right]), digest(&[&right, &left]));
}

#[test]
fn object_tells_encoding_length_and_idle_time() {
    use crate::types::table::{Expire, Key};
    use crate::types::value::NewValue;
    let mut shard = shard(0..16384);
    for (value, expected) in [
        (NewValue::Int(1), "encoding:int serializedlength:2 "),
        (NewValue::Int(1000), "encoding:int serializedlength:3 "),
        (NewValue::Int(70_000), "encoding:int serializedlength:5 "),
        (NewValue::Int(12_345_678_901), "encoding:int serializedlength:12 "),
        (NewValue::Str { bytes: b"bar", raw: false }, "encoding:embstr serializedlength:4 "),
        (NewValue::Str { bytes: b"10001", raw: true }, "encoding:raw serializedlength:3 "),
    ] {
        shard.set(0, Key::new(b"k"), value, Expire::Clear);
        let text = run(&mut shard, "DEBUG OBJECT k");
        assert!(text.starts_with("+Value at:0x") && text.contains(" refcount:1 "), "{text}");
        assert!(text.contains(expected), "{text} has no {expected}");
    }
    shard.now_ms += 9000;
    assert!(run(&mut shard, "DEBUG OBJECT k").ends_with(" lru_seconds_idle:9\r\n"));
    assert!(!run(&mut shard, "DEBUG OBJECT k fast").contains("serializedlength"));
    assert_eq!(run(&mut shard, "DEBUG OBJECT no"), "-ERR no such key\r\n");
    assert!(run(&mut shard, "DEBUG SDSLEN k").contains("val_sds_len:5,"));
    assert_eq!(run(&mut shard, "DEBUG SDSLEN no"), "-ERR no such key\r\n");
    assert_eq!(run(&mut shard, "DEBUG QUICKLIST k"), "-ERR Not a quicklist encoded object.\r\n");
    assert_eq!(run(&mut shard, "DEBUG LISTPACK no"), "-ERR no such key\r\n");
    assert_eq!((shard.stats.hits, shard.stats.misses), (0, 0));
}

/// A digest that redis-server 8.0.6 gave for the same elements.
#[test]
fn digests_of_vector_sets_are_those_of_redis() {
    use crate::types::table::{Expire, Key};
    use crate::types::value::{NewValue, Value};
    use crate::types::vector::{Quant, Shape, VectorSet};
    let mut set = VectorSet::new(Shape { dim: 2, quant: Quant::Q8, links: 16, input: None }, 1);
    set.add(b"x", vec![1.0, 1.0], None, 200);
    set.add(b"y", vec![1.0, 2.0], Some(b"zz"), 200);
    let mut one = shard(0..16384);
    one.set(
        0,
        Key::new(b"v"),
        NewValue::Boxed(Box::new(Value::Vectors(crate::base::thin::Thin::new(set)))),
        Expire::Clear,
    );
    assert_eq!(run(&mut one, "DEBUG DIGEST-VALUE v"), "*1\r\n+16555ddeba72d425f5f5f7b9dd60763e0062583a\r\n");
    let mut reply = run(&mut one, "DEBUG OBJECT v");
    reply.retain(|c| !c.is_ascii_digit());
    assert!(reply.contains("encoding:raw serializedlength:"), "{reply}");
}

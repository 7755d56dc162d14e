//! DUMP and RESTORE: payloads of real servers, options, refusals. Never opens a socket.

use crate::commands::testing::{TestShard, check, check_script};
use crate::shard::events::class;
use crate::shard::settings::AccessClock;

const ENVELOPE: &str = "-ERR DUMP payload version or checksum are wrong";

/// The payload of `key`.
fn dump(shard: &mut TestShard, key: &str) -> Vec<u8> {
    let reply = shard.reply_to(&[b"DUMP", key.as_bytes()]);
    let start = reply.iter().position(|b| *b == b'\n').expect("a bulk") + 1;
    reply[start..reply.len() - 2].to_vec()
}

#[test]
fn values_of_every_type_come_back() {
    let mut shard = TestShard::new();
    let long = "long value ".repeat(200);
    let lines = [
        "SET k 12".to_owned(),
        "SET k -100000000000".to_owned(),
        "SET k hello".to_owned(),
        format!("SET k \"{long}\""),
        "RPUSH k a 1 b".to_owned(),
        format!("RPUSH k \"{long}\" b"),
        "SADD k 3 1 2".to_owned(),
        "SADD k 3 1 x".to_owned(),
        format!("SADD k 3 1 x \"{long}\""),
        "ZADD k 1 a 2.5 b inf c".to_owned(),
        format!("ZADD k 1 a 2.5 \"{long}\" -inf c"),
        "HSET k a 1 b x".to_owned(),
        format!("HSET k a 1 b \"{long}\""),
        "XADD k 1-1 a 1".to_owned(),
    ];
    for line in &lines {
        shard.run("DEL k copy");
        shard.run(line);
        let payload = dump(&mut shard, "k");
        assert_eq!(shard.run_words(&[b"RESTORE", b"copy", b"0", &payload]), "+OK", "{line}");
        assert_eq!(dump(&mut shard, "copy"), payload, "{line}");
        for look in ["OBJECT ENCODING", "TYPE"] {
            let (own, copy) = (shard.run(&format!("{look} k")), shard.run(&format!("{look} copy")));
            assert_eq!(own, copy, "{look} of {line}");
        }
    }
    check(&mut shard, "DUMP none", "$-1");
}

#[test]
fn options_and_refusals() {
    let mut shard = TestShard::new();
    shard.run("SET k hello");
    let payload = dump(&mut shard, "k");
    assert_eq!(payload[..7], *b"\0\x05hello");
    assert_eq!(payload[7..9], [10, 0]);
    let mut run = |words: &[&str]| {
        let mut all: Vec<&[u8]> = words[..3].iter().map(|w| w.as_bytes()).collect();
        all.push(&payload);
        all.extend(words[3..].iter().map(|w| w.as_bytes()));
        shard.run_words(&all)
    };
    for (words, expected) in [
        (&["RESTORE", "k", "0"][..], "-BUSYKEY Target key name already exists."),
        (&["RESTORE", "new", "x"], "-ERR value is not an integer or out of range"),
        (&["RESTORE", "new", "-1"], "-ERR Invalid TTL value, must be >= 0"),
        (&["RESTORE", "new", "0", "JUNK"], "-ERR syntax error"),
        (&["RESTORE", "new", "0", "IDLETIME"], "-ERR syntax error"),
        (&["RESTORE", "new", "0", "IDLETIME", "x"], "-ERR value is not an integer or out of range"),
        (&["RESTORE", "new", "0", "IDLETIME", "-1"], "-ERR Invalid IDLETIME value, must be >= 0"),
        (&["RESTORE", "new", "0", "FREQ", "256"], "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        (&["RESTORE", "new", "0", "FREQ", "1", "IDLETIME", "1"], "-ERR syntax error"),
        (&["RESTORE", "new", "0", "IDLETIME", "100"], "+OK"),
        (&["RESTORE", "k", "5000", "replace"], "+OK"),
        (&["RESTORE", "abs", "1700000009000", "ABSTTL"], "+OK"),
        (&["RESTORE", "gone", "1000", "ABSTTL"], "+OK"),
        (&["RESTORE", "new", "1000", "ABSTTL", "REPLACE"], "+OK"),
    ] {
        assert_eq!(run(words), expected, "{words:?}");
    }
    check_script(&mut shard, "PTTL k => :5000\nPTTL abs => :9000\nEXISTS gone new => :0");
    shard.shard.settings.access_clock = AccessClock::Frequency;
    assert_eq!(shard.run_words(&[b"RESTORE", b"freq", b"0", &payload, b"FREQ", b"77"]), "+OK");
    check(&mut shard, "OBJECT FREQ freq", ":77");
    let mut other = payload.clone();
    other[3] ^= 1;
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", &other]), ENVELOPE);
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", b""]), ENVELOPE);
}

#[test]
fn tells_and_journals() {
    let mut shard = TestShard::new();
    shard.run("SET k hello");
    let payload = dump(&mut shard, "k");
    shard.shard.events.wanted = class::GENERIC;
    shard.shard.events.journaled = true;
    shard.run_words(&[b"RESTORE", b"a", b"5000", &payload]);
    let effects = shard.shard.events.effects.take().expect("an effect");
    assert_eq!((&effects[0][2][..], &effects[0][4][..]), (&b"1700000005000"[..], &b"ABSTTL"[..]));
    shard.run_words(&[b"RESTORE", b"b", b"0", &payload]);
    assert_eq!(shard.shard.events.effects.take(), None);
    shard.run_words(&[b"RESTORE", b"b", b"1", &payload, b"ABSTTL", b"REPLACE"]);
    assert_eq!(shard.shard.events.effects.take().expect("an effect")[0][0], b"DEL");
    shard.run_words(&[b"RESTORE", b"b", b"1", &payload, b"ABSTTL"]);
    assert_eq!(shard.shard.events.effects.take(), Some(vec![]));
    let told: Vec<_> = shard.shard.events.happened.iter().map(|h| h.event).collect();
    assert_eq!(told, ["restore", "restore", "del"]);
}

/// What is journaled of a payload with a wrong checksum is accepted by who checks.
#[test]
fn checksums_are_left_aside_where_the_setting_says_so() {
    let mut shard = TestShard::new();
    shard.run("SET k hello");
    let payload = dump(&mut shard, "k");
    let mut other = payload.clone();
    other[3] ^= 1;
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", &other]), ENVELOPE);
    shard.shard.settings.skip_checksums = true;
    shard.shard.events.journaled = true;
    for (ttl, rest) in [(&b"0"[..], 4), (b"5000", 5)] {
        assert_eq!(shard.run_words(&[b"RESTORE", b"x", ttl, &other, b"REPLACE"]), "+OK");
        let effect = shard.shard.events.effects.take().expect("an effect").remove(0);
        assert_eq!((effect.len(), &effect[4][..]), (rest + 1, &b"REPLACE"[..]));
        shard.shard.settings.skip_checksums = false;
        assert_eq!(shard.run_words(&[b"RESTORE", b"y", b"0", &effect[3], b"REPLACE"]), "+OK");
        shard.shard.settings.skip_checksums = true;
        shard.shard.events.effects = None;
    }
    check(&mut shard, "GET x", "\"hdllo\"");
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", &payload, b"REPLACE"]), "+OK");
    assert_eq!(shard.shard.events.effects.take(), None, "its own words");
    let newer = [&payload[..payload.len() - 10], &[99, 0], &[0; 8]].concat();
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", &newer, b"REPLACE"]), ENVELOPE);
    assert_eq!(shard.run_words(&[b"RESTORE", b"x", b"0", b"short", b"REPLACE"]), ENVELOPE);
}

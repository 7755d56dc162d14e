//! What the set commands answer, store, tell and journal. Never opens a socket.

use crate::base::bytes::OutBuf;
use crate::commands::context::Foreign;
use crate::commands::sets::transfer::smove_relay;
use crate::commands::spec::Relay;
use crate::commands::testing::{TestShard, check, check_script, render};
use crate::resp::reply::{Proto, Reply};
use crate::shard::events::class;
use crate::types::table::Key;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// The reply's elements in order, for replies without one.
#[track_caller]
fn sorted(shard: &mut TestShard, line: &str) -> String {
    let reply = shard.run(line);
    let open = reply.find('[').unwrap_or_else(|| panic!("reply to {line} is {reply}"));
    let mut elements: Vec<&str> = reply[open + 1..reply.len() - 1].split(' ').collect();
    elements.sort_unstable();
    format!("{}{}", &reply[..open], elements.join(" ").replace('"', ""))
}

#[test]
fn members_come_and_go() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        SADD s a b c => :3
        SADD s a d => :1
        SADD s a => :0
        SCARD s => :4
        SISMEMBER s a => :1
        SISMEMBER s x => :0
        SISMEMBER none x => :0
        SMISMEMBER s a x b => [:1 :0 :1]
        SMISMEMBER none a b => [:0 :0]
        SREM s a x => :1
        SREM none x => :0
        SREM s b c d => :3
        EXISTS s => :0
        SCARD s => :0
        SMEMBERS s => []
        SADD n 3 1 2 => :3
        SMEMBERS n => ["1" "2" "3"]
        OBJECT ENCODING n => "intset"
        SADD n x => :1
        OBJECT ENCODING n => "listpack"
        TYPE n => +set
        "#,
    );
    shard.proto = Proto::Resp3;
    check(&mut shard, "SMEMBERS none", "~[]");
    check(&mut shard, "SMEMBERS n", r#"~["1" "2" "3" "x"]"#);
}

#[test]
fn other_types_are_refused() {
    let mut shard = TestShard::new();
    for value in ["hello", "12", &"x".repeat(2000)] {
        shard.run(&format!("SET str {value}"));
        shard.run("SADD s a");
        for line in [
            "SADD str a",
            "SREM str a",
            "SCARD str",
            "SISMEMBER str a",
            "SMISMEMBER str a",
            "SMEMBERS str",
            "SPOP str",
            "SPOP str 3",
            "SRANDMEMBER str",
            "SRANDMEMBER str 2",
            "SMOVE str s a",
            "SMOVE s str a",
            "SINTER s str",
            "SINTER none str",
            "SUNION str",
            "SDIFF s str",
            "SINTERCARD 2 s str",
            "SINTERSTORE d s str",
            "SUNIONSTORE d str",
            "SDIFFSTORE d none str",
            "SSCAN str 0",
        ] {
            check(&mut shard, line, WRONG);
        }
        check(&mut shard, "SMOVE none str a", ":0");
    }
    check(&mut shard, "SUNIONSTORE str s", ":1");
    check(&mut shard, "TYPE str", "+set");
}

#[test]
fn algebra() {
    let mut shard = TestShard::new();
    check_script(&mut shard, "SADD a 1 2 3 x => :4\nSADD b 2 3 4 y => :4\nSADD c 3 x => :2");
    for (line, expected) in [
        ("SINTER a b", "2 3"),
        ("SINTER a b c", "3"),
        ("SINTER a", "1 2 3 x"),
        ("SINTER a a", "1 2 3 x"),
        ("SINTER a none", ""),
        ("SUNION a b c", "1 2 3 4 x y"),
        ("SUNION a b c a b c a none", "1 2 3 4 x y"),
        ("SUNION none", ""),
        ("SDIFF a b", "1 x"),
        ("SDIFF a b c", "1"),
        ("SDIFF a none", "1 2 3 x"),
        ("SDIFF none a", ""),
        ("SDIFF a a", ""),
    ] {
        assert_eq!(sorted(&mut shard, line), expected, "{line}");
    }
    check_script(
        &mut shard,
        r#"
        SINTERSTORE d a b => :2
        OBJECT ENCODING d => "intset"
        SMEMBERS d => ["2" "3"]
        SUNIONSTORE a a b => :6
        SDIFFSTORE a a b => :2
        SDIFFSTORE a a c c none => :1
        SMEMBERS a => ["1"]
        SINTERSTORE a a none => :0
        EXISTS a => :0
        SINTERSTORE a none => :0
        SINTERCARD 2 b c => :1
        SINTERCARD 1 b => :4
        SINTERCARD 1 b LIMIT 2 => :2
        SINTERCARD 1 b LIMIT 0 => :4
        SINTERCARD 1 b limit 9 => :4
        SINTERCARD 1 none => :0
        SINTERCARD 0 b => -ERR numkeys should be greater than 0
        SINTERCARD x b => -ERR numkeys should be greater than 0
        SINTERCARD 2 b => -ERR Number of keys can't be greater than number of args
        SINTERCARD 1 b LIMIT -1 => -ERR LIMIT can't be negative
        SINTERCARD 1 b LIMIT => -ERR syntax error
        SINTERCARD 1 b c => -ERR syntax error
        "#,
    );
    shard.proto = Proto::Resp3;
    check(&mut shard, "SDIFF b c b", "~[]");
}

#[test]
fn large_sets_combine() {
    let mut shard = TestShard::new();
    for n in 0..3000 {
        shard.run(&format!("SADD big m{n}"));
        if n % 3 == 0 {
            shard.run(&format!("SADD third m{n} only{n}"));
        }
        shard.run(&format!("SADD ints {n}"));
    }
    check(&mut shard, "SINTERCARD 2 big third", ":1000");
    check(&mut shard, "SINTERCARD 2 big third LIMIT 7", ":7");
    check(&mut shard, "SUNIONSTORE u big third ints", ":7000");
    check(&mut shard, "SDIFFSTORE d big third", ":2000");
    check(&mut shard, "SINTERSTORE i u ints", ":3000");
    check(&mut shard, "SDIFFSTORE e i ints", ":0");
    check(&mut shard, "OBJECT ENCODING i", r#""hashtable""#);
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = shard.run(&format!("SSCAN big {cursor} COUNT 100 MATCH m1*"));
        let mut words = reply.trim_matches(['[', ']']).split(' ');
        cursor = words.next().expect("a cursor").trim_matches('"').to_owned();
        seen.extend(words.map(|w| w.trim_matches(['[', ']']).to_owned()).filter(|w| !w.is_empty()));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1111);
}

#[test]
fn drawing_at_random() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        SPOP none => $-1
        SPOP none 2 => []
        SRANDMEMBER none => $-1
        SRANDMEMBER none 2 => []
        SADD one a => :1
        SRANDMEMBER one => "a"
        SRANDMEMBER one 5 => ["a"]
        SRANDMEMBER one -3 => ["a" "a" "a"]
        SRANDMEMBER one 0 => []
        SRANDMEMBER one x => -ERR value is not an integer or out of range
        SRANDMEMBER one 1 1 => -ERR syntax error
        SPOP one 0 => []
        SPOP one -1 => -ERR value is out of range, must be positive
        SPOP one x => -ERR value is out of range, must be positive
        SPOP one 1 1 => -ERR syntax error
        SPOP one => "a"
        EXISTS one => :0
        SADD one a => :1
        SPOP one 3 => ["a"]
        EXISTS one => :0
        "#,
    );
    for prefix in ["", "m"] {
        for n in 0..1000 {
            shard.run(&format!("SADD s {prefix}{n}"));
        }
        for count in [1, 10, 400, 999, 1000, 2000] {
            let drawn = shard.run(&format!("SRANDMEMBER s {count}"));
            let distinct: std::collections::BTreeSet<&str> = drawn.trim_matches(['[', ']']).split(' ').collect();
            assert_eq!(distinct.len(), count.min(1000));
        }
        let popped = shard.run("SPOP s 300");
        assert_eq!(popped.split(' ').count(), 300);
        check(&mut shard, "SCARD s", ":700");
        for word in popped.trim_matches(['[', ']']).split(' ') {
            check(&mut shard, &format!("SISMEMBER s {word}"), ":0");
        }
        shard.run("DEL s");
    }
    let mut shard = TestShard::resp3();
    check_script(
        &mut shard,
        r#"
        SADD s a => :1
        SRANDMEMBER s 1 => ["a"]
        SPOP s 0 => ~[]
        SPOP s 5 => ~["a"]
        SPOP s 5 => ~[]
        SPOP s => _
        "#,
    );
}

#[test]
fn scans() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        SADD s 1 2 30 => :3
        SSCAN s 0 => ["0" ["1" "2" "30"]]
        SSCAN s 0 MATCH 3* COUNT 1 => ["0" ["30"]]
        SSCAN none 0 JUNK => ["0" []]
        SSCAN none x => -ERR invalid cursor
        SSCAN s 0 COUNT 0 => -ERR syntax error
        SSCAN s 0 COUNT x => -ERR value is not an integer or out of range
        SSCAN s 0 COUNT => -ERR syntax error
        SSCAN s 0 TYPE set => -ERR syntax error
        SSCAN s 0 NOVALUES => -ERR NOVALUES option can only be used in HSCAN
        "#,
    );
}

#[test]
fn tells_what_changed_in_the_order_of_redis() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = class::SET | class::GENERIC;
    for (line, told, dirty) in [
        ("SADD s a b c", "sadd s", 3),
        ("SADD s a", "", 0),
        ("SREM s a x", "srem s", 1),
        ("SMOVE s t b", "srem s,sadd t", 2),
        ("SMOVE s t c", "srem s,del s,sadd t", 2),
        ("SMOVE s t c", "", 0),
        ("SUNIONSTORE s t", "sunionstore s", 1),
        ("SINTERSTORE s t none", "del s", 1),
        ("SINTERSTORE s t none", "", 0),
        ("SDIFFSTORE u t none", "sdiffstore u", 1),
        ("SINTERSTORE v u t", "sinterstore v", 1),
        ("SPOP t", "spop t", 1),
        ("SPOP t 1", "spop t,del t", 1),
        ("SPOP u 1", "spop u", 1),
        ("SPOP u", "spop u,del u", 1),
        ("SREM v b c", "srem v,del v", 2),
        ("SPOP v", "", 0),
    ] {
        let before = shard.shard.dirty;
        shard.run(line);
        let happened = std::mem::take(&mut shard.shard.events.happened);
        let texts: Vec<_> = happened.iter().map(|h| format!("{} {}", h.event, h.key.escape_ascii())).collect();
        assert_eq!((texts.join(",").as_str(), shard.shard.dirty - before), (told, dirty), "{line}");
    }
}

#[test]
fn draws_are_journaled_as_removals() {
    let mut shard = TestShard::new();
    shard.shard.events.journaled = true;
    shard.run("SADD s a b c d");
    for (line, name, members) in [("SPOP s", "SREM", 1), ("SPOP s 2", "SREM", 2), ("SPOP s 9", "DEL", 0)] {
        let reply = shard.run(line);
        let effects = shard.shard.events.effects.take().expect("effects");
        assert_eq!((effects.len(), effects[0][0].as_slice(), effects[0].len()), (1, name.as_bytes(), 2 + members));
        assert!(effects[0][2..].iter().all(|m| reply.contains(&format!("\"{}\"", m.escape_ascii()))));
    }
    shard.run("SPOP s");
    assert_eq!(shard.shard.events.effects, None);
}

#[test]
fn sets_of_other_shards_are_seen() {
    let mut shard = TestShard::new();
    check_script(&mut shard, "SADD there a b => :2\nSADD here b c => :2\nSET str x => +OK");
    let away = |shard: &mut TestShard, key: &str| {
        let found = shard.shard.take(0, Key::new(key.as_bytes()));
        shard.foreign.push(Foreign { key: key.as_bytes().to_vec(), db: 0, found, ..Foreign::default() });
    };
    away(&mut shard, "there");
    away(&mut shard, "str");
    away(&mut shard, "none");
    assert_eq!(sorted(&mut shard, "SUNION here there none"), "a b c");
    assert_eq!(sorted(&mut shard, "SDIFF there here"), "a");
    check(&mut shard, "SINTERSTORE d there here", ":1");
    check(&mut shard, "SINTERCARD 2 none here", ":0");
    check(&mut shard, "SUNION here str", WRONG);
}

/// Rounds of SMOVE between two shards, each key on a shard of its own.
fn relayed(from: &mut TestShard, to: &mut TestShard, member: &str) -> (String, usize) {
    let args: Vec<Vec<u8>> = ["SMOVE", "from", "to", member].map(|w| w.as_bytes().to_vec()).to_vec();
    let mut rounds: Vec<Vec<Vec<u8>>> = Vec::new();
    loop {
        let mut out = OutBuf::default();
        let commands = smove_relay(&Relay { args: &args, rounds: &rounds }, &mut Reply::new(&mut out, Proto::Resp2));
        if commands.is_empty() {
            return (render(&out.flat()), rounds.len());
        }
        assert!(out.is_empty(), "no reply before the last round");
        let run = |command: &Vec<Vec<u8>>| {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            if words[1] == b"from" { from.reply_to(&words) } else { to.reply_to(&words) }
        };
        rounds.push(commands.iter().map(run).collect());
    }
}

#[test]
fn moves_between_shards() {
    let (mut from, mut to) = (TestShard::new(), TestShard::new());
    assert_eq!(relayed(&mut from, &mut to, "a"), (":0".into(), 1));
    to.run("SET to x");
    assert_eq!(relayed(&mut from, &mut to, "a"), (":0".into(), 1));
    from.run("SADD from a b");
    assert_eq!(relayed(&mut from, &mut to, "x"), (WRONG.into(), 1));
    to.run("DEL to");
    assert_eq!(relayed(&mut from, &mut to, "x"), (":0".into(), 1));
    assert_eq!(relayed(&mut from, &mut to, "a"), (":1".into(), 2));
    check(&mut to, "SMEMBERS to", r#"["a"]"#);
    check(&mut from, "SMEMBERS from", r#"["b"]"#);
    from.run("SET from x");
    assert_eq!(relayed(&mut from, &mut to, "b"), (WRONG.into(), 1));
}

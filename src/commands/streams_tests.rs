//! Tests of the stream commands: replies, errors, events, effects, and the rounds over several shards.

use crate::commands::testing::{TestShard, check, check_script, render};
use crate::shard::events::class;

#[test]
fn adds_and_reads_ranges() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        XADD s 1-1 a 1 b two => "1-1"
        XADD s 1-* a 3 b four => "1-2"
        XADD s 5 c d => "5-0"
        XADD s * e f => "1700000000000-0"
        XADD s * g h => "1700000000000-1"
        XLEN s => :5
        TYPE s => +stream
        OBJECT ENCODING s => "stream"
        XRANGE s - + COUNT 2 => [["1-1" ["a" "1" "b" "two"]] ["1-2" ["a" "3" "b" "four"]]]
        XRANGE s (1-1 (5-0 => [["1-2" ["a" "3" "b" "four"]]]
        XRANGE s 5 5 => [["5-0" ["c" "d"]]]
        XREVRANGE s + (5-0 COUNT 1 => [["1700000000000-1" ["g" "h"]]]
        XREVRANGE s 5 1-2 => [["5-0" ["c" "d"]] ["1-2" ["a" "3" "b" "four"]]]
        XRANGE s - + COUNT 0 => *-1
        XRANGE none - + COUNT 0 => []
        XRANGE s 9 1 => []
        XRANGE s (+ + => -ERR Invalid stream ID specified as stream command argument
        XRANGE s (18446744073709551615-18446744073709551615 + => -ERR invalid start ID for the interval
        XRANGE s - (0-0 => -ERR invalid end ID for the interval
        XRANGE s - + COUNT => -ERR syntax error
        XADD s 1-1 a b => -ERR The ID specified in XADD is equal or smaller than the target stream top item
        XADD s 0-0 a b => -ERR The ID specified in XADD must be greater than 0-0
        XADD s x a b => -ERR Invalid stream ID specified as stream command argument
        XADD s * a => -ERR wrong number of arguments for 'xadd' command
        XADD s * a b c => -ERR wrong number of arguments for 'xadd' command
        XADD none NOMKSTREAM * a b => $-1
        EXISTS none => :0
        XADD t 18446744073709551615-18446744073709551615 a b => "18446744073709551615-18446744073709551615"
        XADD t * a b => -ERR The stream has exhausted the last possible ID, unable to add more items
        SET str x => +OK
        XADD str * a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        XLEN str => -WRONGTYPE Operation against a key holding the wrong kind of value
        XLEN none => :0
        "#,
    );
}

#[test]
fn deletes_and_trims() {
    let mut shard = TestShard::new();
    for n in 1..=20 {
        check(&mut shard, &format!("XADD s {n} n {n}"), &format!("\"{n}-0\""));
    }
    check_script(
        &mut shard,
        r#"
        XDEL s 3 4-0 99 => :2
        XDEL s 5 x => -ERR Invalid stream ID specified as stream command argument
        XLEN s => :18
        XTRIM s MAXLEN 15 => :3
        XTRIM s MAXLEN ~ 5 => :0
        XTRIM s MINID = 10 => :4
        XRANGE s - + COUNT 1 => [["10-0" ["n" "10"]]]
        XTRIM s MAXLEN ~ 5 LIMIT -1 => -ERR The LIMIT argument must be >= 0.
        XTRIM s MAXLEN -1 => -ERR The MAXLEN argument must be >= 0.
        XTRIM s MAXLEN x => -ERR value is not an integer or out of range
        XTRIM s LIMIT 5 => -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
        XTRIM s LIMIT 0 => -ERR syntax error, XTRIM must be called with a trimming strategy
        XTRIM s MAXLEN 5 LIMIT 5 => -ERR syntax error, LIMIT cannot be used without the special ~ option
        XTRIM s MAXLEN 5 MINID 5 => -ERR syntax error, MAXLEN and MINID options at the same time are not compatible
        XTRIM s FOO 5 => -ERR syntax error
        XTRIM none MAXLEN 5 => :0
        XADD s MAXLEN 2 30 n 30 => "30-0"
        XRANGE s - + => [["20-0" ["n" "20"]] ["30-0" ["n" "30"]]]
        XTRIM s MAXLEN ~ 0 => :2
        XLEN s => :0
        XADD s 25 n 25 => -ERR The ID specified in XADD is equal or smaller than the target stream top item
        XSETID s 3-0 => -ERR The ID specified in XSETID is smaller than current max_deleted_entry_id
        XSETID s 24 ENTRIESADDED 3 MAXDELETEDID 5-5 => +OK
        XADD s 25 n 25 => "25-0"
        XSETID s 24 => -ERR The ID specified in XSETID is smaller than the target stream top item
        XSETID s 26 ENTRIESADDED 0
        => -ERR The entries_added specified in XSETID is smaller than the target stream length
        XSETID s 26 ENTRIESADDED -1 => -ERR entries_added must be positive
        XSETID s 26 MAXDELETEDID 27
        => -ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id
        XSETID s 26 FOO => -ERR syntax error
        XSETID none 26 => -ERR no such key
        "#,
    );
}

#[test]
fn reads_what_is_new() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        XADD s 1 a b => "1-0"
        XADD s 2 c d => "2-0"
        XADD t 7 x y => "7-0"
        XREAD STREAMS s t 1 0 => [["s" [["2-0" ["c" "d"]]]] ["t" [["7-0" ["x" "y"]]]]]
        XREAD COUNT 1 STREAMS s none 0 0 => [["s" [["1-0" ["a" "b"]]]]]
        XREAD STREAMS s $ => *-1
        XREAD STREAMS s t 2 + => [["t" [["7-0" ["x" "y"]]]]]
        XREAD STREAMS s => -ERR wrong number of arguments for 'xread' command
        XREAD COUNT 1 STREAMS s
        => -ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.
        XREAD STREAMS s t 0
        => -ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.
        XREAD COUNT x STREAMS s 0 => -ERR value is not an integer or out of range
        XREAD BLOCK -1 STREAMS s 0 => -ERR timeout is negative
        XREAD BLOCK x STREAMS s 0 => -ERR timeout is not an integer or out of range
        XREAD NOACK STREAMS s 0 => -ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.
        XREAD GROUP g c STREAMS s 0
        => -ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.
        XREAD STREAMS s >
        => -ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
        XREAD COUNT 1 BLOCK 2 => -ERR syntax error
        SET str x => +OK
        XREAD STREAMS s str 0 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
    let mut shard = TestShard::resp3();
    check(&mut shard, "XADD s 1 a b", "\"1-0\"");
    check(&mut shard, "XREAD STREAMS s none 0 0", r#"%["s" [["1-0" ["a" "b"]]]]"#);
    check(&mut shard, "XREAD STREAMS s 1", "_");
}

#[test]
fn groups_deliver_each_entry_once() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        XGROUP CREATE s g 0 => -ERR The XGROUP subcommand requires the key to exist. Note that...
        XGROUP CREATE s g $ MKSTREAM => +OK
        XGROUP CREATE s g 0 => -BUSYGROUP Consumer Group name already exists
        XADD s 1 a b => "1-0"
        XADD s 2 c d => "2-0"
        XADD s 3 e f => "3-0"
        XREADGROUP GROUP g ann COUNT 2 STREAMS s > => [["s" [["1-0" ["a" "b"]] ["2-0" ["c" "d"]]]]]
        XREADGROUP GROUP g bob STREAMS s > => [["s" [["3-0" ["e" "f"]]]]]
        XREADGROUP GROUP g bob STREAMS s > => *-1
        XREADGROUP GROUP g ann STREAMS s 1 => [["s" [["2-0" ["c" "d"]]]]]
        XREADGROUP GROUP g eve STREAMS s 0 => [["s" []]]
        XINFO GROUPS s
        => [["name" "g" "consumers" :3 "pending" :3 "last-delivered-id" "3-0" "entries-read" :3 "lag" :0]]
        XPENDING s g => [:3 "1-0" "3-0" [["ann" "2"] ["bob" "1"]]]
        XPENDING s g - + 10 => [["1-0" "ann" :0 :1] ["2-0" "ann" :0 :2] ["3-0" "bob" :0 :1]]
        XPENDING s g (1-0 + 10 ann => [["2-0" "ann" :0 :2]]
        XPENDING s g - + 10 nobody => []
        XPENDING s g IDLE 5 - + 10 => []
        XPENDING s g IDLE 5 => -ERR syntax error
        XACK s g 1 9 => :1
        XACK s nogroup 1 => :0
        XACK s g x => -ERR Invalid stream ID specified as stream command argument
        XDEL s 2 => :1
        XREADGROUP GROUP g ann STREAMS s 0 => [["s" [["2-0" *-1]]]]
        XGROUP CREATECONSUMER s g ann => :0
        XGROUP CREATECONSUMER s g new => :1
        XGROUP DELCONSUMER s g ann => :1
        XGROUP DELCONSUMER s g ann => :0
        XGROUP SETID s g 0 => +OK
        XREADGROUP GROUP g eve NOACK STREAMS s > => [["s" [["1-0" ["a" "b"]] ["3-0" ["e" "f"]]]]]
        XPENDING s g => [:1 "3-0" "3-0" [["bob" "1"]]]
        XGROUP DESTROY s g => :1
        XGROUP DESTROY s g => :0
        XREADGROUP GROUP g ann STREAMS s >
        => -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
        XPENDING s g => -NOGROUP No such key 's' or consumer group 'g'
        XGROUP DELCONSUMER s g ann => -NOGROUP No such consumer group 'g' for key name 's'
        XINFO CONSUMERS s g => -NOGROUP No such consumer group 'g' for key name 's'
        XREADGROUP COUNT 1 BLOCK 2 STREAMS s > => -ERR Missing GROUP option for XREADGROUP
        XGROUP CREATE s g 0 ENTRIESREAD -2 => -ERR value for ENTRIESREAD must be positive or -1
        XGROUP CREATE s g 0 FOO
        => -ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
        "#,
    );
}

#[test]
fn claims_change_the_owner() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        XGROUP CREATE s g 0 MKSTREAM => +OK
        XADD s 1 a b => "1-0"
        XADD s 2 c d => "2-0"
        XADD s 3 e f => "3-0"
        XREADGROUP GROUP g ann STREAMS s > => [["s" [["1-0" ["a" "b"]] ["2-0" ["c" "d"]] ["3-0" ["e" "f"]]]]]
        XDEL s 2 => :1
        XCLAIM s g bob 10 1 => []
        XCLAIM s g bob 0 1 2 9 => [["1-0" ["a" "b"]]]
        XPENDING s g - + 9 => [["1-0" "bob" :0 :2] ["3-0" "ann" :0 :1]]
        XCLAIM s g bob 0 3 JUSTID IDLE 500 RETRYCOUNT 7 LASTID 9-9 => ["3-0"]
        XPENDING s g - + 9 => [["1-0" "bob" :0 :2] ["3-0" "bob" :500 :7]]
        XACK s g 1 => :1
        XCLAIM s g eve 0 1 => []
        XCLAIM s g eve 0 1 FORCE => [["1-0" ["a" "b"]]]
        XCLAIM s g eve 0 1 FOO => -ERR Unrecognized XCLAIM option 'FOO'
        XCLAIM s g eve x 1 => -ERR Invalid min-idle-time argument for XCLAIM
        XCLAIM s g eve 0 1 IDLE x => -ERR Invalid IDLE option argument for XCLAIM
        XCLAIM s none eve 0 1 => -NOGROUP No such key 's' or consumer group 'none'
        XINFO GROUPS s
        => [["name" "g" "consumers" :3 "pending" :2 "last-delivered-id" "9-9" "entries-read" :3 "lag" :0]]
        XAUTOCLAIM s g ann 0 0 COUNT 1 => ["3-0" [["1-0" ["a" "b"]]] []]
        XDEL s 1 => :1
        XAUTOCLAIM s g ann 0 0 JUSTID => ["0-0" ["3-0"] ["1-0"]]
        XAUTOCLAIM s g ann 9 - COUNT 0 => -ERR COUNT must be > 0
        XAUTOCLAIM s g ann x - => -ERR Invalid min-idle-time argument for XAUTOCLAIM
        XAUTOCLAIM s g ann 9999 - => ["0-0" [] []]
        "#,
    );
}

#[test]
fn shows_a_stream() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 1-1 a 2 => "1-1"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g c COUNT 1 STREAMS s > => [["s" [["1-0" ["a" "1"]]]]]
        XINFO CONSUMERS s g => [["name" "c" "pending" :1 "idle" :0 "inactive" :0]]
        XINFO STREAM s FULL COUNT => -ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.
        XINFO STREAM none => -ERR no such key
        "#,
    );
    let counters = concat!(
        r#""length" :2 "radix-tree-keys" :1 "radix-tree-nodes" :2 "last-generated-id" "1-1" "#,
        r#""max-deleted-entry-id" "0-0" "entries-added" :2 "recorded-first-entry-id" "1-0" "#,
    );
    let ends = r#""groups" :1 "first-entry" ["1-0" ["a" "1"]] "last-entry" ["1-1" ["a" "2"]]"#;
    check(&mut shard, "XINFO STREAM s", &format!("[{counters}{ends}]"));
    let group = concat!(
        r#"["name" "g" "last-delivered-id" "1-0" "entries-read" :1 "lag" :1 "pel-count" :1 "#,
        r#""pending" [["1-0" "c" :1700000000000 :1]] "#,
        r#""consumers" [["name" "c" "seen-time" :1700000000000 "active-time" :1700000000000 "pel-count" :1 "#,
        r#""pending" [["1-0" :1700000000000 :1]]]]]"#,
    );
    let full = format!(r#"[{counters}"entries" [["1-0" ["a" "1"]]] "groups" [{group}]]"#);
    check(&mut shard, "XINFO STREAM s FULL COUNT 1", &full);
}

/// The reply, the events and what the journal gets.
fn told(shard: &mut TestShard, line: &str) -> (Vec<&'static str>, Option<Vec<String>>, u64) {
    let dirty = shard.shard.dirty;
    shard.run(line);
    let events = std::mem::take(&mut shard.shard.events.happened).into_iter().map(|h| h.event).collect();
    let text = |effect: Vec<Vec<u8>>| String::from_utf8_lossy(&effect.join(&b' ')).into_owned();
    let effects = shard.shard.events.effects.take().map(|all| all.into_iter().map(text).collect());
    (events, effects, shard.shard.dirty - dirty)
}

#[test]
fn tells_events_and_effects() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = class::STREAM | class::KEYEVENT;
    shard.shard.events.journaled = true;
    let effects = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    assert_eq!(told(&mut shard, "XADD s 1-1 a b"), (vec!["xadd"], None, 1));
    assert_eq!(told(&mut shard, "XADD s * a b"), (vec!["xadd"], effects(&["XADD s 1700000000000-0 a b"]), 1));
    assert_eq!(
        told(&mut shard, "XADD s MAXLEN ~ 1 LIMIT 7 * a b"),
        (vec!["xadd"], effects(&["XADD s MAXLEN = 3 1700000000000-1 a b"]), 1)
    );
    assert_eq!(told(&mut shard, "XADD s MINID 5 1700000000000-5 a b"), (vec!["xadd", "xtrim"], None, 1));
    assert_eq!(told(&mut shard, "XTRIM s MAXLEN ~ 1"), (vec![], None, 0));
    assert_eq!(
        told(&mut shard, "XTRIM s MINID ~ 1700000000009"),
        (vec!["xtrim"], effects(&["XTRIM s MINID = 0-0"]), 3)
    );
    assert_eq!(told(&mut shard, "XGROUP CREATE s g 0"), (vec!["xgroup-create"], None, 1));
    assert_eq!(
        told(&mut shard, "XREADGROUP GROUP g c STREAMS s >"),
        (vec!["xgroup-createconsumer"], effects(&["XGROUP CREATECONSUMER s g c"]), 1)
    );
    shard.run("XADD s 1700000000010 a b");
    shard.run("XADD s 1700000000011 a b");
    let claim = "XCLAIM s g c 0 1700000000010-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1700000000010-0";
    let reads = "XGROUP SETID s g 1700000000010-0 ENTRIESREAD 5";
    shard.shard.events.happened.clear();
    assert_eq!(told(&mut shard, "XREADGROUP GROUP g c COUNT 1 STREAMS s >"), (vec![], effects(&[claim, reads]), 1));
    let moved = "XGROUP SETID s g 1700000000011-0 ENTRIESREAD 6";
    let created = "XGROUP CREATECONSUMER s g d";
    assert_eq!(
        told(&mut shard, "XREADGROUP GROUP g d NOACK STREAMS s >"),
        (vec!["xgroup-createconsumer"], effects(&[created, moved]), 2)
    );
    let claim = "XCLAIM s g d 0 1700000000010-0 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1700000000011-0";
    assert_eq!(told(&mut shard, "XCLAIM s g d 0 1700000000010"), (vec![], effects(&[claim]), 1));
    assert_eq!(
        told(&mut shard, "XCLAIM s g d 0 5 LASTID 1800000000000"),
        (vec![], effects(&["XGROUP SETID s g 1800000000000-0 ENTRIESREAD 6"]), 1)
    );
    assert_eq!(told(&mut shard, "XACK s g 1700000000010"), (vec![], None, 1));
    assert_eq!(told(&mut shard, "XDEL s 1700000000010 1700000000011"), (vec!["xdel"], None, 2));
    assert_eq!(told(&mut shard, "XGROUP DELCONSUMER s g d"), (vec!["xgroup-delconsumer"], None, 1));
    assert_eq!(told(&mut shard, "XGROUP SETID s g 7"), (vec!["xgroup-setid"], None, 1));
    assert_eq!(told(&mut shard, "XGROUP DESTROY s g"), (vec!["xgroup-destroy"], None, 1));
    assert_eq!(told(&mut shard, "XSETID s 1900000000000"), (vec!["xsetid"], None, 1));
}

/// Runs the rounds of a relay as the router does, every key on this shard.
fn relayed(shard: &mut TestShard, line: &str) -> String {
    use crate::commands::spec::{Plan, Relay};
    let args = crate::base::words::split(line.as_bytes()).expect("balanced");
    let id = shard.commands.lookup(&args[0]).expect("a command");
    let Plan::Relay { relay, .. } = shard.commands.get(id).plan else { panic!("no relay") };
    let (mut rounds, proto) = (Vec::new(), shard.proto);
    loop {
        let mut out = crate::base::bytes::OutBuf::default();
        let mut reply = crate::resp::reply::Reply::new(&mut out, proto);
        let next = relay(&Relay { args: &args, rounds: &rounds }, &mut reply);
        if next.is_empty() {
            return render(&out.flat());
        }
        assert!(out.is_empty(), "a reply and more commands");
        shard.proto = crate::resp::reply::Proto::Resp2;
        let run = |words: &Vec<Vec<u8>>| shard.reply_to(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        rounds.push(next.iter().map(run).collect());
        shard.proto = proto;
    }
}

#[test]
fn several_shards_answer_as_one() {
    for resp3 in [false, true] {
        let fill = |shard: &mut TestShard| {
            for line in ["XADD a 1 x 1 y long", "XADD a 2 x 2", "XADD b 7 z *-1", "SET str x", "XGROUP CREATE a g 0"] {
                shard.run(line);
            }
            shard.run("XGROUP CREATE b g 0");
        };
        let new = || if resp3 { TestShard::resp3() } else { TestShard::new() };
        let (mut one, mut many) = (new(), new());
        fill(&mut one);
        fill(&mut many);
        for line in [
            "XREAD STREAMS a b 0 0",
            "XREAD COUNT 1 STREAMS a none b 0 0 0",
            "XREAD STREAMS a b 2 7",
            "XREAD STREAMS a b $ +",
            "XREAD STREAMS a str b 0 0 x",
            "XREAD STREAMS a b str 0 x 0",
            "XREAD STREAMS a b 0",
            "XREADGROUP GROUP g c STREAMS a b > x",
            "XREADGROUP GROUP g c STREAMS a str > >",
            "XREADGROUP GROUP g c STREAMS a none > >",
            "XREADGROUP GROUP g c COUNT 1 STREAMS a b > >",
            "XREADGROUP GROUP g c NOACK STREAMS a b > >",
            "XREADGROUP GROUP g c STREAMS a b > >",
            "XDEL a 1",
            "XREADGROUP GROUP g c STREAMS a b 0 0",
            "XREADGROUP GROUP g c STREAMS a b > $",
        ] {
            let expected = one.run(line);
            if line.starts_with("XREAD") {
                assert_eq!(relayed(&mut many, line), expected, "{line}");
            } else {
                many.run(line);
            }
        }
    }
}

#[test]
fn waits_for_what_is_new() {
    use super::read::{XREAD, XREADGROUP};
    use crate::base::bytes::OutBuf;
    use crate::commands::context::CommandFn;
    let mut shard = TestShard::new();
    let ask = |shard: &mut TestShard, function: CommandFn, line: &str| {
        let words = crate::base::words::split(line.as_bytes()).expect("balanced");
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut out = OutBuf::default();
        shard.call(function, &words, &mut out);
        render(&out.flat())
    };
    let waits: CommandFn = |_, args, reply| reply.simple(&format!("{:?}", (XREAD.waits)(args)));
    let look: CommandFn = |ctx, args, reply| reply.simple(&format!("{:?}", (XREAD.look)(ctx, args, 4)));
    let enter: CommandFn = |ctx, args, reply| {
        let (at, words) = XREAD.enter.and_then(|enter| enter(ctx, args, 4)).unwrap_or_default();
        reply.simple(&format!("{at} {}", String::from_utf8_lossy(&words)));
    };
    assert_eq!(ask(&mut shard, waits, "XREAD STREAMS s 0"), "+Ok(None)");
    let expected = "+Ok(Some(Wait { keys: 4..6, also: None, timeout_ms: 50 }))";
    assert_eq!(ask(&mut shard, waits, "XREAD BLOCK 50 STREAMS s t 0 $"), expected);
    assert_eq!(ask(&mut shard, look, "XREAD BLOCK 0 STREAMS s $"), "+Empty");
    shard.run("XADD s 5-1 a b");
    for (id, expected) in [("$", "+NotThis"), ("5-1", "+NotThis"), ("5", "+Ready"), ("+", "+Ready"), ("x", "+Ready")] {
        assert_eq!(ask(&mut shard, look, &format!("XREAD BLOCK 0 STREAMS s {id}")), expected, "{id}");
    }
    assert_eq!(ask(&mut shard, enter, "XREAD BLOCK 0 STREAMS s $"), "+5 5-1");
    assert_eq!(ask(&mut shard, enter, "XREAD BLOCK 0 STREAMS s 3"), "+0 ");
    shard.run("SET str x");
    assert!(ask(&mut shard, look, "XREAD BLOCK 0 STREAMS str 0").starts_with("+Refused"));

    let look: CommandFn = |ctx, args, reply| reply.simple(&format!("{:?}", (XREADGROUP.look)(ctx, args, 7)));
    let serve: CommandFn = |ctx, args, reply| (XREADGROUP.serve)(ctx, args, 7, reply);
    let line = "XREADGROUP GROUP g c BLOCK 0 STREAMS s elsewhere > >";
    assert_eq!(ask(&mut shard, look, line), "+Ready");
    let error = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    assert_eq!(ask(&mut shard, serve, line), error);
    shard.run("XGROUP CREATE s g 5-1");
    assert_eq!(ask(&mut shard, look, line), "+NotThis");
    shard.run("XADD s 6-1 c d");
    assert_eq!(ask(&mut shard, look, line), "+Ready");
    assert_eq!(ask(&mut shard, serve, line), r#"[["s" [["6-1" ["c" "d"]]]]]"#);
    assert_eq!(ask(&mut shard, look, line), "+NotThis");
}

/// Redis keeps `>` as the greatest ID, so that ID means the same.
#[test]
fn the_greatest_id_asks_for_new_entries() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        "XADD s 1-1 a 1 => \"1-1\"\n\
         XGROUP CREATE s g 0 => +OK\n\
         XREADGROUP GROUP g c STREAMS s 18446744073709551615 => [[\"s\" []]]\n\
         XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615 \
         => [[\"s\" [[\"1-1\" [\"a\" \"1\"]]]]]\n\
         XREAD STREAMS s 18446744073709551615-18446744073709551615 => *-1",
    );
}

//! The list commands on one shard: replies, errors in Redis's order (as Valkey 9.1 and Redis 8 answered), events,
//! encodings, and the rounds of commands that moves over several shards are made of.

use crate::base::bytes::OutBuf;
use crate::commands::spec::{Plan, Relay};
use crate::commands::testing::{TestShard, check, check_script, render};
use crate::resp::reply::{Proto, Reply};
use crate::shard::events::class;
use crate::types::list::Fill;

#[test]
fn ends_take_and_give() {
    check_script(
        &mut TestShard::new(),
        r#"
        LPUSH k a b c => :3
        RPUSH k d 5 => :5
        LPUSHX none x => :0
        RPUSHX none x => :0
        RPUSHX k e => :6
        LPUSHX k 07 -3 => :8
        LLEN k => :8
        LRANGE k 0 -1 => ["-3" "07" "c" "b" "a" "d" "5" "e"]
        LPOP k => "-3"
        RPOP k => "e"
        LPOP k 2 => ["07" "c"]
        RPOP k 0 => []
        RPOP k 100 => ["5" "d" "a" "b"]
        LPOP k => $-1
        LPOP k 0 => *-1
        LPOP k 3 => *-1
        EXISTS k => :0
        LPOP k -1 => -ERR value is out of range, must be positive
        LPOP k x => -ERR value is out of range, must be positive
        LPOP k 1 2 => -ERR wrong number of arguments for 'lpop' command
        RPOP k 1 2 => -ERR wrong number of arguments for 'rpop' command
        LPUSH k => -ERR wrong number of arguments for 'lpush' command
        "#,
    );
}

#[test]
fn reading_looks_at_ranges() {
    check_script(
        &mut TestShard::new(),
        r#"
        RPUSH l 0 1 2 3 4 5 => :6
        LINDEX l 0 => "0"
        LINDEX l -1 => "5"
        LINDEX l 6 => $-1
        LINDEX l -7 => $-1
        LINDEX none x => $-1
        LINDEX l x => -ERR value is not an integer or out of range
        LLEN none => :0
        LRANGE l 1 2 => ["1" "2"]
        LRANGE l -2 100 => ["4" "5"]
        LRANGE l -100 1 => ["0" "1"]
        LRANGE l 4 2 => []
        LRANGE l 10 20 => []
        LRANGE l -9223372036854775808 9223372036854775807 => ["0" "1" "2" "3" "4" "5"]
        LRANGE none 0 -1 => []
        LRANGE none x 0 => -ERR value is not an integer or out of range
        LRANGE l 0 x => -ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn positions_of_matches() {
    check_script(
        &mut TestShard::new(),
        r#"
        RPUSH p a b c 1 2 3 c c => :8
        LPOS p c => :2
        LPOS p c RANK 2 => :6
        LPOS p c RANK -1 => :7
        LPOS p c RANK -4 => $-1
        LPOS p c COUNT 0 => [:2 :6 :7]
        LPOS p c COUNT 2 => [:2 :6]
        LPOS p c RANK -1 COUNT 2 => [:7 :6]
        LPOS p c COUNT 0 MAXLEN 3 => [:2]
        LPOS p c COUNT 0 MAXLEN 3 RANK -1 => [:7 :6]
        LPOS p 3 => :5
        LPOS p 03 => $-1
        LPOS p x => $-1
        LPOS p x COUNT 1 => []
        LPOS none x => $-1
        LPOS none x COUNT 0 => []
        LPOS none x RANK 0
        => -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ...
        LPOS p c RANK x => -ERR value is not an integer or out of range
        LPOS p c COUNT -1 => -ERR COUNT can't be negative
        LPOS p c MAXLEN -1 => -ERR MAXLEN can't be negative
        LPOS p c COUNT x => -ERR COUNT can't be negative
        LPOS p c RANK => -ERR syntax error
        LPOS p c JUNK 1 => -ERR syntax error
        LPOS p c RANK -9223372036854775808
        => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        "#,
    );
}

#[test]
fn changes_in_the_middle() {
    check_script(
        &mut TestShard::new(),
        r#"
        RPUSH p a b c 1 2 3 c c => :8
        LINSERT p BEFORE b new => :9
        LINSERT p after c newer => :10
        LINSERT p AFTER zzz x => :-1
        LINSERT none AFTER zzz x => :0
        LINSERT p BESIDE b new => -ERR syntax error
        LRANGE p 0 -1 => ["a" "new" "b" "c" "newer" "1" "2" "3" "c" "c"]
        LSET p 0 first => +OK
        LSET p -1 99 => +OK
        LSET p 100 x => -ERR index out of range
        LSET p -100 x => -ERR index out of range
        LSET p x x => -ERR value is not an integer or out of range
        LSET none x x => -ERR no such key
        LREM p 1 c => :1
        LREM p -1 c => :1
        LREM p 0 none => :0
        LREM none 0 x => :0
        LREM p x c => -ERR value is not an integer or out of range
        LREM p -9223372036854775808 c
        => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        LRANGE p 0 -1 => ["first" "new" "b" "newer" "1" "2" "3" "99"]
        LTRIM p 1 -2 => +OK
        LRANGE p 0 -1 => ["new" "b" "newer" "1" "2" "3"]
        LTRIM p 0 100 => +OK
        LTRIM p x 1 => -ERR value is not an integer or out of range
        LTRIM none 0 1 => +OK
        LTRIM p 5 1 => +OK
        EXISTS p => :0
        RPUSH q a a a => :3
        LREM q -2 a => :2
        LREM q 0 a => :1
        EXISTS q => :0
        "#,
    );
}

#[test]
fn moves_between_lists() {
    check_script(
        &mut TestShard::new(),
        r#"
        RPUSH s 1 2 3 => :3
        LMOVE s d LEFT RIGHT => "1"
        LMOVE s d RIGHT LEFT => "3"
        RPOPLPUSH s d => "2"
        LRANGE d 0 -1 => ["2" "3" "1"]
        EXISTS s => :0
        LMOVE s d LEFT LEFT => $-1
        LMOVE d d LEFT RIGHT => "2"
        RPOPLPUSH d d => "2"
        LMOVE d d RIGHT RIGHT => "1"
        LRANGE d 0 -1 => ["2" "3" "1"]
        RPUSH one x => :1
        LMOVE one one LEFT RIGHT => "x"
        LRANGE one 0 -1 => ["x"]
        LMOVE s d UP LEFT => -ERR syntax error
        LMOVE s d LEFT DOWN => -ERR syntax error
        LMPOP 2 none d LEFT => ["d" ["2"]]
        LMPOP 2 none d RIGHT COUNT 10 => ["d" ["1" "3"]]
        LMPOP 1 none LEFT => *-1
        LMPOP 0 none LEFT => -ERR numkeys should be greater than 0
        LMPOP x none LEFT => -ERR numkeys should be greater than 0
        LMPOP 2 none LEFT => -ERR syntax error
        LMPOP 1 none UP => -ERR syntax error
        LMPOP 1 none LEFT COUNT 0 => -ERR count should be greater than 0
        LMPOP 1 none LEFT COUNT x => -ERR count should be greater than 0
        LMPOP 1 none LEFT COUNT 1 COUNT 1 => -ERR syntax error
        LMPOP 1 none LEFT JUNK 1 => -ERR syntax error
        LMPOP 1 none LEFT COUNT => -ERR syntax error
        "#,
    );
}

#[test]
fn other_types_are_refused() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET str x => +OK
        LPUSH str a => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPUSHX str a => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOP str => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOP str 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOP str 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LLEN str => -WRONGTYPE Operation against a key holding the wrong kind of value
        LINDEX str 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LRANGE str 0 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOS str x => -WRONGTYPE Operation against a key holding the wrong kind of value
        LINSERT str BEFORE a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        LSET str 0 x => -WRONGTYPE Operation against a key holding the wrong kind of value
        LREM str 0 x => -WRONGTYPE Operation against a key holding the wrong kind of value
        LTRIM str 0 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMOVE str d LEFT LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMOVE none str LEFT LEFT => $-1
        RPUSH src a => :1
        LMOVE src str LEFT LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LRANGE src 0 -1 => ["a"]
        RPOPLPUSH src str => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMPOP 2 str src LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMPOP 2 none str LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMPOP 2 src str LEFT => ["src" ["a"]]
        GET none => $-1
        SET src2 x => +OK
        RPUSH lst a => :1
        GET lst => -WRONGTYPE Operation against a key holding the wrong kind of value
        APPEND lst x => -WRONGTYPE Operation against a key holding the wrong kind of value
        INCR lst => -WRONGTYPE Operation against a key holding the wrong kind of value
        TYPE lst => +list
        OBJECT ENCODING lst => "listpack"
        "#,
    );
}

#[test]
fn blocking_commands_that_need_not_wait() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET str x => +OK
        RPUSH b1 1 2 3 4 => :4
        BLPOP none b1 0 => ["b1" "1"]
        BRPOP b1 none 0 => ["b1" "4"]
        BLMPOP 0 2 none b1 LEFT COUNT 5 => ["b1" ["2" "3"]]
        RPUSH b1 1 2 => :2
        BLMOVE b1 b2 LEFT RIGHT 0 => "1"
        BRPOPLPUSH b1 b2 0 => "2"
        LRANGE b2 0 -1 => ["2" "1"]
        BLPOP str 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        BLPOP b2 str 0 => ["b2" "2"]
        BLPOP b2 -1 => -ERR timeout is negative
        BLPOP b2 x => -ERR timeout is not a float or out of range
        BLPOP b2 => -ERR wrong number of arguments for 'blpop' command
        BLMOVE str b2 LEFT LEFT 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        BLMOVE b2 str LEFT LEFT 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        BLMOVE b2 b2 LEFT UP 0 => -ERR syntax error
        BLMOVE b2 b2 LEFT LEFT x => -ERR timeout is not a float or out of range
        BLMPOP x 0 b2 LEFT => -ERR numkeys should be greater than 0
        BLMPOP x 1 b2 LEFT => -ERR timeout is not a float or out of range
        BLMPOP -1 1 b2 LEFT => -ERR timeout is negative
        BLMPOP 0 1 b2 LEFT COUNT 0 => -ERR count should be greater than 0
        BRPOPLPUSH b2 b2 nan => -ERR timeout is not a float or out of range
        BRPOPLPUSH b2 str 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn nulls_of_resp3() {
    let mut shard = TestShard::resp3();
    for line in ["LPOP none", "LPOP none 2", "LINDEX none 0", "LPOS none x", "LMOVE none x LEFT LEFT", "BLPOP none 0"] {
        check(&mut shard, line, "_");
    }
    check(&mut shard, "LMPOP 1 none LEFT", "_");
}

#[test]
fn encodings_follow_the_setting() {
    let mut shard = TestShard::new();
    shard.shard.settings.list_fill = Fill::of(4, 0);
    check(&mut shard, "RPUSH k 1 2 3 4", ":4");
    check(&mut shard, "OBJECT ENCODING k", "\"listpack\"");
    check(&mut shard, "LINSERT k BEFORE 3 x", ":5");
    check(&mut shard, "OBJECT ENCODING k", "\"quicklist\"");
    check(&mut shard, "LRANGE k 0 -1", "[\"1\" \"2\" \"x\" \"3\" \"4\"]");
    check(&mut shard, "LTRIM k 0 1", "+OK");
    check(&mut shard, "OBJECT ENCODING k", "\"listpack\"");
    check(&mut shard, "COPY k copy", ":1");
    check(&mut shard, "LPUSH copy a", ":3");
    check(&mut shard, "LRANGE k 0 -1", "[\"1\" \"2\"]");
}

/// The events of lists and keys that a command told, in order.
fn events_of(shard: &mut TestShard, line: &str) -> String {
    shard.shard.events.wanted = class::LIST | class::GENERIC;
    shard.run(line);
    let told = shard.shard.events.happened.drain(..);
    let texts = told.map(|e| format!("{} {}", e.event, String::from_utf8_lossy(&e.key)));
    texts.collect::<Vec<_>>().join(", ")
}

#[test]
fn events_come_in_the_order_of_redis() {
    let mut shard = TestShard::new();
    let mut expect = |line: &str, events: &str| assert_eq!(events_of(&mut shard, line), events, "{line}");
    expect("RPUSH k a b c d", "rpush k");
    expect("LPUSHX none a", "");
    expect("LPUSH k z", "lpush k");
    expect("LPOP k 0", "");
    expect("LPOP k 2", "lpop k");
    expect("LSET k 0 x", "lset k");
    expect("LINSERT k BEFORE nope y", "");
    expect("LINSERT k BEFORE x y", "linsert k");
    expect("LREM k 0 nope", "");
    expect("LREM k 0 x", "lrem k");
    expect("LTRIM k 0 100", "ltrim k");
    expect("LMOVE k k LEFT RIGHT", "rpush k, lpop k");
    expect("LMOVE k d LEFT RIGHT", "rpush d, lpop k");
    expect("LTRIM k 5 6", "ltrim k, del k");
    expect("RPOPLPUSH d e", "lpush e, rpop d, del d");
    expect("LMPOP 1 e RIGHT", "rpop e, del e");
    expect("RPUSH k a a", "rpush k");
    expect("LREM k 0 a", "lrem k, del k");
    expect("BLPOP k 0", "");
}

#[test]
fn waiters_hear_of_new_elements() {
    let mut shard = TestShard::new();
    shard.shard.events.has_waiters = true;
    for line in ["RPUSH a x", "LMOVE a b LEFT LEFT", "LPOP b", "LPUSHX b x"] {
        shard.run(line);
    }
    let ready: Vec<_> = shard.shard.events.ready.drain(..).map(|(_, key)| key).collect();
    assert_eq!(ready, [b"a", b"b"]);
}

#[test]
fn the_journal_gets_what_was_done() {
    let mut shard = TestShard::new();
    shard.shard.events.journaled = true;
    let mut effect_of = |line: &str| {
        shard.run(line);
        let effects = shard.shard.events.effects.take();
        effects.map(|list| list.iter().map(|words| String::from_utf8(words.join(&b' ')).unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(effect_of("RPUSH k 1 2 3 4 5 6 7"), None);
    assert_eq!(effect_of("BLPOP none k 0"), Some(vec!["LPOP k".to_string()]));
    assert_eq!(effect_of("BRPOP k 0"), Some(vec!["RPOP k".to_string()]));
    assert_eq!(effect_of("LMPOP 2 none k LEFT COUNT 2"), Some(vec!["LPOP k 2".to_string()]));
    assert_eq!(effect_of("BLMPOP 0 1 k RIGHT"), Some(vec!["RPOP k 1".to_string()]));
    assert_eq!(effect_of("BLMOVE k d LEFT RIGHT 0"), Some(vec!["LMOVE k d LEFT RIGHT".to_string()]));
    assert_eq!(effect_of("BRPOPLPUSH k d 0"), Some(vec!["RPOPLPUSH k d".to_string()]));
    effect_of("SET str x");
    effect_of("RPUSH k a b");
    assert_eq!(effect_of("BLMOVE k str LEFT RIGHT 0"), None);
    assert_eq!(effect_of("BRPOPLPUSH k str 0"), None);
}

/// Runs a command through its relay, every round's commands on one shard, and returns the reply.
fn relayed(shard: &mut TestShard, line: &str) -> String {
    let args = crate::base::words::split(line.as_bytes()).unwrap();
    let spec = shard.commands.get(shard.commands.lookup(&args[0]).unwrap());
    let Plan::Relay { relay, .. } = spec.plan else { panic!("no relay") };
    let mut rounds: Vec<Vec<Vec<u8>>> = Vec::new();
    loop {
        let mut out = OutBuf::default();
        let next = relay(&Relay { args: &args, rounds: &rounds }, &mut Reply::new(&mut out, Proto::Resp2));
        if next.is_empty() {
            return render(&out.bytes);
        }
        assert!(out.is_empty());
        let run = |words: &Vec<Vec<u8>>| shard.reply_to(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let replies = next.iter().map(run).collect();
        rounds.push(replies);
    }
}

#[test]
fn over_several_shards_the_same_happens() {
    let setup = ["DEL a b", "RPUSH a 1 2 3", "RPUSH b x", "SET str s"];
    let lines = [
        "LMOVE a b LEFT RIGHT",
        "LMOVE a b RIGHT LEFT",
        "LMOVE none b LEFT LEFT",
        "LMOVE a str LEFT LEFT",
        "LMOVE str a LEFT LEFT",
        "LMOVE none str LEFT LEFT",
        "LMOVE a b UP LEFT",
        "RPOPLPUSH a b",
        "RPOPLPUSH a new",
        "RPOPLPUSH none str",
        "LMPOP 2 none a LEFT",
        "LMPOP 3 none a b RIGHT COUNT 2",
        "LMPOP 2 none none2 LEFT",
        "LMPOP 2 none str LEFT",
        "LMPOP 2 a str LEFT",
        "LMPOP 0 a LEFT",
        "LMPOP 2 a b LEFT COUNT 0",
        "BLPOP none b a 0",
        "BRPOP a b 0",
        "BLPOP none none2 0",
        "BLPOP str a 0",
        "BLPOP a b x",
        "BLMOVE a b LEFT LEFT 0",
        "BLMOVE none b LEFT LEFT 0",
        "BLMOVE a b LEFT LEFT x",
        "BLMOVE a b x LEFT x",
        "BLMOVE a b LEFT x -1",
        "BRPOPLPUSH a b 0",
        "BRPOPLPUSH a b -1",
        "BLMPOP 0 2 none a LEFT COUNT 9",
        "BLMPOP x 2 none a LEFT",
        "BLMPOP x 0 none a LEFT",
    ];
    for line in lines {
        let (mut one, mut several) = (TestShard::new(), TestShard::new());
        for line in setup {
            one.run(line);
            several.run(line);
        }
        assert_eq!(relayed(&mut several, line), one.run(line), "{line}");
        for key in ["a", "b", "new"] {
            let look = format!("LRANGE {key} 0 -1");
            assert_eq!(several.run(&look), one.run(&look), "{key} after {line}");
        }
    }
}

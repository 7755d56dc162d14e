//! SORT, on one shard and in rounds; replies are those of Redis 7.0.

use crate::commands::spec::{Plan, Relay};
use crate::commands::testing::{TestShard, check, check_script, render};

const DATA: &str = r#"
    RPUSH n 3 1 10 2 => :4
    RPUSH w b a C aa => :4
    SADD s 5 4 30 => :3
    MSET w_3 1 w_1 30 w_10 20 w_2 5 => +OK
    HSET h_1 f one => :1
    HSET h_2 f two => :1
    SET str x => +OK
"#;

const CASES: &str = r#"
    SORT n => ["1" "2" "3" "10"]
    SORT n DESC => ["10" "3" "2" "1"]
    SORT n ALPHA => ["1" "10" "2" "3"]
    SORT n LIMIT 1 2 => ["2" "3"]
    SORT n LIMIT -5 2 => ["1" "2"]
    SORT n LIMIT 2 -1 => ["3" "10"]
    SORT n LIMIT 9 1 => []
    SORT w ALPHA => ["C" "a" "aa" "b"]
    SORT w ALPHA DESC LIMIT 0 1 => ["b"]
    SORT w => -ERR One or more scores can't be converted into double
    SORT s => ["4" "5" "30"]
    SORT n BY w_* => ["3" "2" "10" "1"]
    SORT n BY w_* DESC => ["1" "10" "2" "3"]
    SORT n BY none_* => ["1" "10" "2" "3"]
    SORT n BY nosort => ["3" "1" "10" "2"]
    SORT n BY nosort LIMIT 1 2 => ["1" "10"]
    SORT n GET # GET w_* GET h_*->f => ["1" "30" "one" "2" "5" "two" "3" "1" $-1 "10" "20" $-1]
    SORT n LIMIT 0 1 GET nostar GET str* => [$-1 $-1]
    SORT n BY h_*->f ALPHA => ["3" "10" "1" "2"]
    SORT none => []
    SORT none GET # => []
    SORT str => -WRONGTYPE Operation against a key holding the wrong kind of value
    SORT n LIMIT 1 => -ERR syntax error
    SORT n LIMIT a 1 => -ERR value is not an integer or out of range
    SORT n FOO => -ERR syntax error
    SORT n BY => -ERR syntax error
    SORT_RO n DESC => ["10" "3" "2" "1"]
    SORT_RO n STORE x => -ERR syntax error
    SORT n GET w_* GET h_*->f STORE out => :8
    LRANGE out 0 -1 => ["30" "one" "5" "two" "1" "" "20" ""]
    SORT s BY nosort STORE out => :3
    LRANGE out 0 -1 => ["30" "4" "5"]
    SORT none STORE out => :0
    EXISTS out => :0
"#;

#[test]
fn one_shard_sorts() {
    let mut shard = TestShard::new();
    check_script(&mut shard, DATA);
    check_script(&mut shard, CASES);
}

/// Runs the rounds of a relay as the router does, every key on this shard.
fn relayed(shard: &mut TestShard, line: &str) -> String {
    let args = crate::base::words::split(line.as_bytes()).expect("balanced");
    let id = shard.commands.lookup(&args[0]).expect("a command");
    let Plan::Relay { relay, .. } = shard.commands.get(id).plan else { return shard.run(line) };
    let mut rounds = Vec::new();
    loop {
        let mut out = crate::base::bytes::OutBuf::default();
        let mut reply = crate::resp::reply::Reply::new(&mut out, shard.proto);
        let next = relay(&Relay { args: &args, rounds: &rounds }, &mut reply);
        if next.is_empty() {
            return render(&out.flat());
        }
        assert!(out.is_empty(), "a reply and more commands");
        let run = |words: &Vec<Vec<u8>>| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            if words[0] != b"SORT" {
                return shard.reply_to(&words);
            }
            let mut out = crate::base::bytes::OutBuf::default();
            shard.call(super::store_sorted, &words, &mut out);
            out.flat()
        };
        rounds.push(next.iter().map(run).collect());
    }
}

#[test]
fn rounds_give_the_same() {
    let mut shard = TestShard::new();
    check_script(&mut shard, DATA);
    for line in CASES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, expected) = line.rsplit_once(" => ").expect("a reply");
        assert_eq!(relayed(&mut shard, command), expected, "{command}");
    }
}

#[test]
fn a_stored_list_is_told_and_journaled() {
    let mut shard = TestShard::new();
    check_script(&mut shard, DATA);
    shard.shard.events.wanted = crate::shard::events::class::ALL;
    shard.shard.events.journaled = true;
    check(&mut shard, "SORT n STORE out", ":4");
    let told: Vec<_> = shard.shard.events.happened.drain(..).map(|h| (h.event, h.key)).collect();
    assert_eq!(told, [("sortstore", b"out".to_vec())]);
    let effects = shard.shard.events.effects.take().expect("effects");
    let lines: Vec<_> = effects.iter().map(|words| words.join(&b' ')).collect();
    assert_eq!(lines, [b"DEL out".to_vec(), b"RPUSH out 1 2 3 10".to_vec()]);
}

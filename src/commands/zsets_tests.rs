//! The sorted set commands through the command door: options, refusals, both dialects and both forms.

use crate::commands::testing::{TestShard, check, check_script};

/// Runs a script on a set that is a listpack and on one that is an index.
fn both_forms(script: &str) {
    for entries in [128, 0] {
        let mut shard = TestShard::new();
        shard.shard.settings.zset_pack.entries = entries;
        check_script(&mut shard, script);
    }
}

#[test]
fn zadd_and_its_options() {
    both_forms(
        r#"
        ZADD z 1 a 2 b 3 c => :3
        ZADD z 1 a 2 b 4 c => :0
        ZADD z CH 1 a 5 c 7 d => :2
        ZADD z NX 9 a 9 e => :1
        ZADD z XX 9 f 10 a => :0
        ZSCORE z a => "10"
        ZADD z GT CH 5 a 11 a => :1
        ZADD z LT CH 12 a => :0
        ZADD z LT 3 g => :1
        ZADD z INCR 1.5 a => "12.5"
        ZADD z NX INCR 1 a => $-1
        ZADD z XX INCR 1 nobody => $-1
        ZADD z GT INCR -1 a => $-1
        ZADD z inf top -inf bottom => :2
        ZADD z INCR -inf top => -ERR resulting score is not a number (NaN)
        ZINCRBY z 0.1 b => "2.1"
        ZINCRBY new 3 x => "3"
        ZRANGE z 0 -1 WITHSCORES
        => ["bottom" "-inf" "b" "2.1" "g" "3" "c" "5" "d" "7" "e" "9" "a" "12.5" "top" "inf"]
        ZADD z NX XX 1 a => -ERR XX and NX options at the same time are not compatible
        ZADD z GT LT 1 a => -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z NX GT 1 a => -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z INCR 1 a 2 b => -ERR INCR option supports a single increment-element pair
        ZADD z 1 => -ERR wrong number of arguments for 'zadd' command
        ZADD z NX 1 => -ERR syntax error
        ZADD z 1 a 2 => -ERR syntax error
        ZADD z x a => -ERR value is not a valid float
        ZADD z nan a => -ERR value is not a valid float
        ZINCRBY z abc a => -ERR value is not a valid float
        ZADD none XX 1 a => :0
        EXISTS none => :0
        SET s x => +OK
        ZADD s 1 a => -WRONGTYPE Operation against a key holding the wrong kind of value
        ZCARD s => -WRONGTYPE Operation against a key holding the wrong kind of value
        TYPE z => +zset
        ZREM z a nobody top => :2
        ZCARD z => :6
        ZREM z bottom b c d e g => :6
        EXISTS z => :0
        "#,
    );
}

#[test]
fn ranges_in_every_form() {
    both_forms(
        r#"
        ZADD z 1 a 2 b 3 c 4 d 5 e => :5
        ZRANGE z 0 -1 => ["a" "b" "c" "d" "e"]
        ZRANGE z -2 10 REV => ["b" "a"]
        ZRANGE z 3 1 => []
        ZREVRANGE z 0 1 WITHSCORES => ["e" "5" "d" "4"]
        ZRANGEBYSCORE z (1 3 => ["b" "c"]
        ZRANGEBYSCORE z -inf +inf LIMIT 1 2 WITHSCORES => ["b" "2" "c" "3"]
        ZRANGEBYSCORE z -inf +inf LIMIT -1 2 => []
        ZRANGEBYSCORE z -inf +inf LIMIT 2 -5 => ["c" "d" "e"]
        ZREVRANGEBYSCORE z +inf (2 LIMIT 1 1 => ["d"]
        ZRANGE z 4 (1 BYSCORE REV => ["d" "c" "b"]
        ZRANGE z 0 -1 LIMIT 0 1
        => -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        ZRANGE z - + BYLEX WITHSCORES
        => -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        ZRANGE z a b => -ERR value is not an integer or out of range
        ZRANGEBYSCORE z a b => -ERR min or max is not a float
        ZRANGEBYLEX z a b => -ERR min or max not valid string range item
        ZRANGE z 0 1 NONSENSE => -ERR syntax error
        ZRANGE none 0 -1 => []
        ZCOUNT z 2 (4 => :2
        ZCOUNT z nan 1 => -ERR min or max is not a float
        ZRANK z c => :2
        ZREVRANK z c => :2
        ZREVRANK z e => :0
        ZRANK z nobody => $-1
        ZRANK z c WITHSCORE => [:2 "3"]
        ZRANK z nobody WITHSCORE => *-1
        ZRANK z c WITHSCORES => -ERR syntax error
        ZRANK z c WITHSCORE more => -ERR wrong number of arguments for 'zrank' command
        ZMSCORE z a nobody e => ["1" $-1 "5"]
        ZMSCORE none a => [$-1]
        ZRANGESTORE to z 1 3 => :3
        ZRANGE to 0 -1 WITHSCORES => ["b" "2" "c" "3" "d" "4"]
        ZRANGESTORE to z 9 9 => :0
        EXISTS to => :0
        ZRANGESTORE to z 0 -1 WITHSCORES => -ERR syntax error
        ZREMRANGEBYRANK z 0 0 => :1
        ZREMRANGEBYSCORE z (2 3 => :1
        ZRANGE z 0 -1 => ["b" "d" "e"]
        ZREMRANGEBYRANK z 0 -1 => :3
        EXISTS z => :0
        ZADD l 0 a 0 b 0 c 0 d => :4
        ZRANGEBYLEX l [b (d => ["b" "c"]
        ZREVRANGEBYLEX l + [c => ["d" "c"]
        ZLEXCOUNT l - + => :4
        ZREMRANGEBYLEX l (a [c => :2
        ZRANGE l 0 -1 => ["a" "d"]
        "#,
    );
}

#[test]
fn popping() {
    both_forms(
        r#"
        ZADD z 1 a 2 b 3 c 4 d 5 e => :5
        ZPOPMIN z => ["a" "1"]
        ZPOPMAX z 2 => ["e" "5" "d" "4"]
        ZPOPMIN z 0 => []
        ZPOPMIN z -1 => -ERR value is out of range, must be positive
        ZPOPMIN z 1 2 => -ERR syntax error
        ZMPOP 2 none z MAX COUNT 5 => ["z" [["c" "3"] ["b" "2"]]]
        EXISTS z => :0
        ZMPOP 1 z MIN => *-1
        ZPOPMAX z => []
        ZMPOP 0 z MIN => -ERR numkeys should be greater than 0
        ZMPOP 1 z SIDE => -ERR syntax error
        ZMPOP 2 z MIN => -ERR syntax error
        ZMPOP 1 z MIN COUNT 0 => -ERR count should be greater than 0
        ZMPOP 1 z MIN COUNT 1 COUNT 1 => -ERR syntax error
        BZPOPMIN z 0 => *-1
        ZADD z 1 a 2 b 3 c => :3
        BZPOPMIN none z 0 => ["z" "a" "1"]
        BZPOPMAX z 0.5 => ["z" "c" "3"]
        BZMPOP 0 1 z MIN => ["z" [["b" "2"]]]
        BZPOPMIN z -1 => -ERR timeout is negative
        BZMPOP x 1 z MIN => -ERR timeout is not a float or out of range
        BZMPOP 1 0 z MIN => -ERR numkeys should be greater than 0
        "#,
    );
}

#[test]
fn algebra() {
    both_forms(
        r#"
        ZADD a 1 x 2 y 3 z => :3
        ZADD b 10 y 20 z 30 w => :3
        ZUNION 2 a b WITHSCORES => ["x" "1" "y" "12" "z" "23" "w" "30"]
        ZUNION 2 a b WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES => ["w" "-30" "z" "-20" "y" "-10" "x" "2"]
        ZINTER 2 a b WITHSCORES AGGREGATE MAX => ["y" "10" "z" "20"]
        ZINTER 2 a none => []
        ZDIFF 2 a b WITHSCORES => ["x" "1"]
        ZDIFF 1 a => ["x" "y" "z"]
        ZUNIONSTORE to 2 a b => :4
        ZINTERSTORE to 2 a b WEIGHTS 1 0.5 => :2
        ZRANGE to 0 -1 WITHSCORES => ["y" "7" "z" "13"]
        ZDIFFSTORE to 2 a a => :0
        EXISTS to => :0
        ZINTERCARD 2 a b => :2
        ZINTERCARD 2 a b LIMIT 1 => :1
        ZINTERCARD 2 a b LIMIT -1 => -ERR LIMIT can't be negative
        ZUNION 0 a => -ERR at least 1 input key is needed for 'zunion' command
        ZUNIONSTORE to 0 a => -ERR at least 1 input key is needed for 'zunionstore' command
        ZUNION 3 a b => -ERR syntax error
        ZUNION x a b => -ERR value is not an integer or out of range
        ZUNION 1 a WEIGHTS x => -ERR weight value is not a float
        ZDIFF 1 a WEIGHTS 1 => -ERR syntax error
        SADD p y 7 => :2
        ZUNION 2 a p WITHSCORES => ["7" "1" "x" "1" "y" "3" "z" "3"]
        ZINTER 2 p a WITHSCORES => ["y" "3"]
        ZDIFF 2 a p => ["x" "z"]
        ZINTERCARD 2 a p => :1
        SET s 1 => +OK
        ZUNION 2 a s NONSENSE => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn resp3_forms() {
    let mut shard = TestShard::resp3();
    check_script(
        &mut shard,
        r#"
        ZADD z 1 a 2.5 b -0 n => :3
        ZSCORE z b => ,2.5
        ZSCORE z nobody => _
        ZRANGE z 0 -1 WITHSCORES => [["n" ,0] ["a" ,1] ["b" ,2.5]]
        ZADD z INCR inf b => ,inf
        ZPOPMIN z => ["n" ,0]
        ZPOPMIN z 1 => [["a" ,1]]
        ZMPOP 1 z MIN => ["z" [["b" ,inf]]]
        ZMPOP 1 z MIN => _
        ZADD z 1 5 2 6 => :2
        ZUNION 1 z WITHSCORES => [["5" ,1] ["6" ,2]]
        ZRANDMEMBER z 5 WITHSCORES => [["5" ,1] ["6" ,2]]
        ZRANK z 6 WITHSCORE => [:1 ,2]
        ZSCAN z 0 => ["0" ["5" "1" "6" "2"]]
        ZSCAN z 0 NOSCORES MATCH 5 => ["0" ["5"]]
        "#,
    );
}

#[test]
fn drawing_at_random() {
    both_forms(
        r#"
        ZADD z 1 a => :1
        ZRANDMEMBER z => "a"
        ZRANDMEMBER z -3 => ["a" "a" "a"]
        ZRANDMEMBER z 3 WITHSCORES => ["a" "1"]
        ZRANDMEMBER z 0 => []
        ZRANDMEMBER none => $-1
        ZRANDMEMBER none 2 => []
        ZRANDMEMBER z x => -ERR value is not an integer or out of range
        ZRANDMEMBER z 1 NONSENSE => -ERR syntax error
        ZRANDMEMBER z -9223372036854775807 WITHSCORES => -ERR value is out of range
        "#,
    );
    let mut shard = TestShard::new();
    for i in 0..300 {
        check(&mut shard, &format!("ZADD z {i} m{i}"), ":1");
    }
    for count in [1, 50, 99, 101, 250, 299, 300, 1000] {
        let reply = shard.run(&format!("ZRANDMEMBER z {count}"));
        let drawn: std::collections::BTreeSet<&str> = reply.trim_matches(['[', ']']).split(' ').collect();
        assert_eq!(drawn.len(), count.min(300), "{reply}");
    }
}

#[test]
fn scanning() {
    let mut shard = TestShard::new();
    for i in 0..1000 {
        check(&mut shard, &format!("ZADD z {i} m{i}"), ":1");
    }
    check(&mut shard, "OBJECT ENCODING z", "\"skiplist\"");
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = shard.run(&format!("ZSCAN z {cursor} COUNT 20"));
        let mut words = reply.split(['"', ' ', '[', ']']).filter(|word| !word.is_empty());
        cursor = words.next().expect("a cursor").to_owned();
        seen.extend(words.step_by(2).map(str::to_owned));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    check(&mut shard, "ZSCAN z x", "-ERR invalid cursor");
    check(&mut shard, "ZSCAN z 0 COUNT 0", "-ERR syntax error");
    check(&mut shard, "ZSCAN none 0", "[\"0\" []]");
}

#[test]
fn events_in_order() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = u16::MAX;
    shard.shard.events.has_waiters = true;
    let script = ["ZADD z 1 a 2 b", "ZADD z 1 a", "ZINCRBY z 1 a", "ZPOPMIN z", "ZREMRANGEBYRANK z 0 -1"];
    script.iter().for_each(|line| drop(shard.run(line)));
    let told: Vec<&str> = shard.shard.events.happened.iter().map(|happening| happening.event).collect();
    let of_zsets: Vec<&str> = told.into_iter().filter(|event| *event != "new").collect();
    assert_eq!(of_zsets, ["zadd", "zincr", "zpopmin", "zremrangebyrank", "del"]);
    assert_eq!(shard.shard.events.ready.len(), 2);
}

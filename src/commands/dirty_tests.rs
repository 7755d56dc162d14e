//! How many changes a command counts (`rdb_changes_since_last_save`), as Redis 7.0, Redis 8.0 and Valkey 9.1 do: save
//! points go by it.

use crate::commands::testing::TestShard;

#[test]
fn a_command_counts_each_thing_that_it_changes_once() {
    let mut shard = TestShard::new();
    for (line, changes) in [
        ("SET a 1", 1),
        ("MSET a 1 b 2 d 3", 3),
        ("APPEND a x", 1),
        ("SETNX a 1", 0),
        ("DEL d nokey", 1),
        ("RENAME a a2", 1),
        ("RENAME a2 b", 1),
        ("COPY b c", 1),
        ("MOVE c 1", 1),
        ("EXPIRE b 100", 1),
        ("EXPIRE nokey 100", 0),
        ("LPUSH l 1 2 3", 3),
        ("LPUSHX nokey 1 2", 0),
        ("RPUSH l 4 4 4 4 5", 5),
        ("LREM l 0 4", 4),
        ("LTRIM l 0 1", 2),
        ("LTRIM l 0 -1", 0),
        ("LMOVE l m LEFT RIGHT", 1),
        ("RPOPLPUSH l m", 1),
        ("LMOVE m m LEFT RIGHT", 1),
        ("LPOP m 10", 2),
        ("RPUSH l 1 2", 2),
        ("LMPOP 1 l LEFT COUNT 10", 2),
        ("RPUSH l 3 1 2", 3),
        ("SORT l STORE sorted", 3),
        ("SADD s 1 2 3 a", 4),
        ("SADD s 1 2", 0),
        ("SMOVE s t a", 2),
        ("SPOP s 10", 3),
        ("HSET h a 1 b 2", 2),
        ("HSET h a 1", 1),
        ("HMSET h c 3 d 4", 2),
        ("HDEL h a b nofield", 2),
        ("HDEL h c", 1),
        ("HDEL h d", 1),
        ("ZADD z 1 a 2 b 3 c", 3),
        ("ZADD z 1 a 5 b 4 d", 2),
        ("ZADD z 1 a", 0),
        ("ZINCRBY z 2 a", 1),
        ("ZREM z a nomember", 1),
        ("ZPOPMIN z", 1),
        ("ZREMRANGEBYRANK z 0 0", 1),
        ("ZPOPMIN z 10", 1),
        ("ZADD z 1 a 2 b 3 c 4 d", 4),
        ("ZMPOP 1 z MIN COUNT 2", 2),
        ("ZREMRANGEBYSCORE z 0 100", 2),
        ("ZADD z 1 a 2 b", 2),
        ("ZRANGESTORE y z 0 -1", 1),
        ("ZREM z a b", 2),
        ("GEOADD g 13.3 38.1 P 15 37 C", 2),
        ("GEOSEARCHSTORE near g FROMLONLAT 15 37 BYRADIUS 200 km", 2),
        ("PFADD p a b c", 4),
        ("PFADD p a", 0),
        ("PFADD p d", 1),
        ("PFADD empty", 1),
        ("XADD x 1-0 a b", 1),
        ("XADD x 2-0 a b", 1),
        ("XTRIM x MAXLEN 0", 2),
        ("DEL l z h", 1),
    ] {
        let before = shard.shard.dirty;
        let reply = shard.run(line);
        assert_eq!(shard.shard.dirty - before, changes, "{line} => {reply}");
    }
}

//! The parts of server commands that a shard runs.

use crate::commands::testing::{TestShard, check};

#[test]
fn dbsize_counts_the_selected_database() {
    let mut shard = TestShard::new();
    check(&mut shard, "dbsize", ":0");
    check(&mut shard, "mset a 1 b 2", "+OK");
    check(&mut shard, "dbsize", ":2");
    shard.db = 1;
    check(&mut shard, "dbsize", ":0");
    check(&mut shard, "dbsize x", "-ERR wrong number of arguments for 'dbsize' command");
}

#[test]
fn flushdb_empties_one_database_and_flushall_all() {
    for option in ["", " async", " SYNC"] {
        let mut shard = TestShard::new();
        for db in 0..3 {
            shard.db = db;
            check(&mut shard, "mset a 1 b 2", "+OK");
        }
        let dirty = shard.shard.dirty;
        check(&mut shard, &format!("flushdb{option}"), "+OK");
        assert_eq!([0, 1, 2].map(|db| shard.shard.len(db)), [2, 2, 0]);
        assert_eq!(shard.shard.dirty, dirty + 2);
        check(&mut shard, &format!("FlushAll{option}"), "+OK");
        assert_eq!([0, 1, 2].map(|db| shard.shard.len(db)), [0, 0, 0]);
        check(&mut shard, "set a 1", "+OK");
        check(&mut shard, "dbsize", ":1");
    }
}

#[test]
fn a_flush_with_other_words_changes_nothing() {
    let mut shard = TestShard::new();
    check(&mut shard, "set a 1", "+OK");
    for bad in ["flushdb now", "flushall async sync", "flushall \"\"", "flushdb sync sync"] {
        check(&mut shard, bad, "-ERR syntax error");
    }
    check(&mut shard, "dbsize", ":1");
}

#[test]
fn swapdb_swaps() {
    let mut shard = TestShard::new();
    check(&mut shard, "set a 1 ex 100", "+OK");
    check(&mut shard, "swapdb 0 15", "+OK");
    check(&mut shard, "dbsize", ":0");
    shard.db = 15;
    check(&mut shard, "ttl a", ":100");
    check(&mut shard, "swapdb 15 15", "+OK");
    check(&mut shard, "get a", "\"1\"");
}

#[test]
fn swapdb_refuses_what_is_no_database() {
    let mut shard = TestShard::new();
    check(&mut shard, "set a 1", "+OK");
    check(&mut shard, "swapdb x 1", "-ERR invalid first DB index");
    check(&mut shard, "swapdb 0 1.0", "-ERR invalid second DB index");
    check(&mut shard, "swapdb 0 2147483648", "-ERR invalid second DB index");
    for bad in ["swapdb 16 0", "swapdb 0 16", "swapdb -1 0", "swapdb 0 2147483647"] {
        check(&mut shard, bad, "-ERR DB index is out of range");
    }
    check(&mut shard, "get a", "\"1\"");
}

#[test]
fn memory_usage_grows_with_the_value() {
    let mut shard = TestShard::new();
    check(&mut shard, "memory usage nosuch", "$-1");
    check(&mut shard, "set small x", "+OK");
    check(&mut shard, "setrange large 100000 x", ":100001");
    let bytes = |reply: String| reply[1..].parse::<usize>().expect("an integer");
    let small = bytes(shard.run("memory usage small"));
    let large = bytes(shard.run("MEMORY Usage large samples 0"));
    assert!((10..200).contains(&small), "{small}");
    assert!((100_001..200_000).contains(&large), "{large}");
    shard = TestShard { proto: crate::resp::reply::Proto::Resp3, ..shard };
    check(&mut shard, "memory usage nosuch", "_");
}

#[test]
fn memory_usage_checks_its_options_first() {
    let mut shard = TestShard::new();
    check(&mut shard, "set k x", "+OK");
    for key in ["k", "nosuch"] {
        for (options, error) in [
            ("samples", "ERR syntax error"),
            ("foo 1", "ERR syntax error"),
            ("samples -1", "ERR syntax error"),
            ("samples x", "ERR value is not an integer or out of range"),
            ("samples 5 samples", "ERR syntax error"),
        ] {
            check(&mut shard, &format!("memory usage {key} {options}"), &format!("-{error}"));
        }
    }
    check(&mut shard, "memory usage k samples 5 samples 6", ":...");
    check(&mut shard, "memory usage", "-ERR wrong number of arguments for 'memory|usage' command");
    check(&mut shard, "memory usages k", "-ERR unknown subcommand 'usages'. Try MEMORY HELP.");
}

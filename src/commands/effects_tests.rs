//! What string, bitmap and generic commands leave in the journal: Redis's own forms, in absolute times.

use crate::commands::testing::TestShard;

/// The line's effects, joined by `; `; `-` for the line itself.
fn effect(shard: &mut TestShard, line: &str) -> String {
    shard.journal(line).map_or("-".to_string(), |effects| effects.join("; "))
}

#[test]
fn relative_times_become_absolute() {
    let mut shard = TestShard::new();
    // the clock stands at 1700000000000
    for (line, expected) in [
        ("SET k v", "-"),
        ("SET k v EX 100", "SET k v PXAT 1700000100000"),
        ("SET k v PX 5 GET", "SET k v PXAT 1700000000005"),
        ("SET k v EXAT 1800000000 XX", "SET k v PXAT 1800000000000"),
        ("SET k v KEEPTTL", "-"),
        ("SET k v NX EX 100", "-"),
        ("SETEX k 10 v", "SET k v PXAT 1700000010000"),
        ("PSETEX k 10 v", "SET k v PXAT 1700000000010"),
        ("EXPIRE k 100", "PEXPIREAT k 1700000100000"),
        ("PEXPIRE k 100 GT", "-"),
        ("PEXPIRE k 100", "PEXPIREAT k 1700000000100"),
        ("EXPIREAT k 1800000000", "PEXPIREAT k 1800000000000"),
        ("PEXPIREAT k 1800000000000", "PEXPIREAT k 1800000000000"),
        ("PERSIST k", "-"),
        ("GETEX k", "-"),
        ("GETEX k EX 7", "PEXPIREAT k 1700000007000"),
        ("GETEX k PERSIST", "PERSIST k"),
        ("GETEX k PXAT 1", "DEL k"),
        ("MSETEX 2 a 1 b 2 EX 3", "MSETEX 2 a 1 b 2 PXAT 1700000003000"),
        ("MSETEX 2 a 1 b 2 NX EX 3", "-"),
    ] {
        assert_eq!(effect(&mut shard, line), expected, "{line}");
    }
}

#[test]
fn what_only_the_command_knew_is_written_out() {
    let mut shard = TestShard::new();
    for (line, expected) in [
        ("INCRBYFLOAT f 1.5", "SET f 1.5 KEEPTTL"),
        ("INCRBYFLOAT f 1.25", "SET f 2.75 KEEPTTL"),
        ("GETDEL f", "DEL f"),
        ("GETDEL f", "-"),
        ("SET k v PXAT 1", ""),
        ("SET k v", "-"),
        ("SET k v PXAT 1", "DEL k"),
        ("SET k v", "-"),
        ("EXPIRE k -1", "DEL k"),
        ("SET k v", "-"),
        ("DELIFEQ k other", "-"),
        ("DELIFEQ k v", "DEL k"),
        ("SETBIT b 3 1", "-"),
        ("APPEND b x", "-"),
    ] {
        assert_eq!(effect(&mut shard, line), expected, "{line}");
    }
}

#[test]
fn keys_that_were_due_go_first() {
    let mut shard = TestShard::new();
    shard.run("SET k v PX 10");
    shard.run("SET other v PX 10");
    shard.shard.now_ms += 11;
    assert_eq!(effect(&mut shard, "GET k"), "DEL k");
    assert_eq!(effect(&mut shard, "GET k"), "-");
    assert_eq!(effect(&mut shard, "GETEX other EX 1"), "DEL other");
    shard.run("SET k v PX 10");
    shard.shard.now_ms += 11;
    shard.shard.events.journaled = true;
    shard.shard.expire_step(1000);
    assert_eq!(shard.shard.events.due, [(0, b"k".to_vec())]);
}

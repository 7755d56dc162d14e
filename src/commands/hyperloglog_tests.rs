//! What the HyperLogLog commands answer, store and tell. Never opens a socket.

use crate::commands::context::Foreign;
use crate::commands::testing::{TestShard, check, check_script};
use crate::shard::events::class;
use crate::types::hll;
use crate::types::value::Owned;

const WRONG: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected";

#[test]
fn adds_counts_and_merges() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        PFADD h a b c => :1
        PFADD h a => :0
        PFADD h => :0
        PFCOUNT h => :3
        PFADD e => :1
        PFADD e => :0
        PFCOUNT e none => :0
        PFADD i c d => :1
        PFCOUNT h i none => :4
        PFMERGE m h i => +OK
        PFCOUNT m => :4
        PFMERGE new => +OK
        PFCOUNT new => :0
        OBJECT ENCODING h => "raw"
        PFSELFTEST => +OK
        "#,
    );
}

#[test]
fn bytes_are_those_of_redis() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        PFADD h a b c => :1
        GET h => "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        PFCOUNT h => :3
        GET h => "HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        PFDEBUG TODENSE h => :1
        PFDEBUG TODENSE h => :0
        STRLEN h => :12304
        PFCOUNT h => :3
        "#,
    );
}

#[test]
fn debug_looks_inside() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        PFADD h a b c => :1
        PFDEBUG DECODE h => "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
        PFDEBUG encoding h => +sparse
        PFDEBUG GETREG h => [:0 :0 ...
        PFDEBUG encoding h => +dense
        PFDEBUG DECODE h => -ERR HLL encoding is not sparse
        PFDEBUG nothing h => -ERR Unknown PFDEBUG subcommand 'nothing'
        PFDEBUG encoding none => -ERR The specified key does not exist
        PFDEBUG encoding => -ERR wrong number of arguments for 'pfdebug' command
        "#,
    );
}

#[test]
fn other_strings_are_refused() {
    let mut shard = TestShard::new();
    for value in ["hello", "12345", "HYLL", "HYLL\\x02aaaaaaaaaaaaaaaaaaa", "HYLL\\x00aaaaaaaaaaaaaaaaaaa"] {
        check(&mut shard, &format!("SET s \"{value}\""), "+OK");
        for line in ["PFADD s x", "PFCOUNT s", "PFCOUNT none s", "PFMERGE h s", "PFMERGE s", "PFDEBUG GETREG s"] {
            check(&mut shard, line, WRONG);
        }
    }
    check(&mut shard, "EXISTS h", ":0");
}

#[test]
fn corrupt_strings_are_refused_and_stay() {
    let mut shard = TestShard::new();
    let mut bytes = hll::empty().to_vec();
    bytes[15] = 0x80;
    bytes[16] = 0x40;
    shard.run_words(&[b"SET", b"s", &bytes]);
    let before = shard.run("GET s");
    for line in ["PFCOUNT s", "PFCOUNT s none", "PFMERGE h s", "PFADD s a b c d e f g", "PFDEBUG TODENSE s"] {
        check(&mut shard, line, CORRUPT);
    }
    assert_eq!(shard.run("GET s"), before);
}

#[test]
fn a_long_one_turns_dense_and_keeps_its_expiry() {
    let mut shard = TestShard::new();
    shard.shard.settings.hll_sparse_bytes_max = 100;
    shard.run("PFADD h 1");
    shard.run("EXPIRE h 100");
    for n in 0..100 {
        shard.run(&format!("PFADD h {n}"));
    }
    check(&mut shard, "PFDEBUG ENCODING h", "+dense");
    check(&mut shard, "PFCOUNT h", ":100");
    check(&mut shard, "TTL h", ":100");
}

#[test]
fn keys_of_other_shards_are_merged() {
    let mut shard = TestShard::new();
    shard.run("PFADD there a b c");
    let found = shard.shard.take(0, crate::types::table::Key::new(b"there"));
    let there = |found| Foreign { key: b"there".to_vec(), db: 0, found, ..Foreign::default() };
    shard.foreign = vec![there(found)];
    check(&mut shard, "PFADD here c d", ":1");
    check(&mut shard, "PFCOUNT here there", ":4");
    check(&mut shard, "PFMERGE here there", "+OK");
    shard.foreign = vec![there(Some((Owned::Int(7), None)))];
    check(&mut shard, "PFMERGE here there", WRONG);
    shard.foreign.clear();
    check(&mut shard, "PFCOUNT here", ":4");
}

#[test]
fn tells_of_changes_only() {
    let mut shard = TestShard::new();
    shard.shard.events.wanted = class::STRING;
    for (line, told, dirty) in [
        ("PFADD h a b", 1, 3),
        ("PFADD h a", 0, 0),
        ("PFCOUNT h", 0, 1),
        ("PFCOUNT h", 0, 0),
        ("PFADD e", 1, 1),
        ("PFMERGE m h", 1, 1),
    ] {
        let before = shard.shard.dirty;
        shard.run(line);
        let happened = std::mem::take(&mut shard.shard.events.happened);
        assert_eq!((happened.len(), shard.shard.dirty - before), (told, dirty), "{line}");
        assert!(happened.iter().all(|h| h.event == "pfadd"));
    }
}

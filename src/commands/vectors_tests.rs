//! What the commands of vector sets answer, keep and journal. Never opens a socket.

use crate::commands::testing::{TestShard, check, check_script};
use crate::types::table::Key;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Two elements and a third in another direction.
fn filled(mut shard: TestShard) -> TestShard {
    let added = if shard.run("VADD k VALUES 2 1 1 e").starts_with(':') { ":1" } else { "#t" };
    check(&mut shard, r#"VADD k VALUES 2 1 2 f SETATTR '{"a":1}'"#, added);
    check(&mut shard, "VADD k VALUES 2 -1 0 g", added);
    shard
}

#[test]
fn elements_come_and_go() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        VADD k VALUES 2 1 1 e => :1
        VADD k VALUES 2 1 2 e => :0
        VADD k FP32 "\x00\x00\x80?\x00\x00\x00\x00" f => :1
        VCARD k => :2
        VCARD none => :0
        VDIM k => :2
        VDIM none => -ERR key does not exist
        VISMEMBER k e => :1
        VISMEMBER k x => :0
        VISMEMBER none x => :0
        TYPE k => +vectorset
        OBJECT ENCODING k => "raw"
        VREM k x => :0
        VREM none x => :0
        VREM k e => :1
        VREM k e => :0
        VREM k f => :1
        EXISTS k => :0
        "#,
    );
}

#[test]
fn arguments_are_checked_as_redis_does() {
    let mut shard = filled(TestShard::new());
    for name in ["VADD", "VSIM", "VREM", "VEMB", "VGETATTR", "VSETATTR", "VLINKS", "VISMEMBER"] {
        let line = format!("{} k", name.to_lowercase());
        check(&mut shard, &line, &format!("-ERR wrong number of arguments for '{name}' command"));
    }
    for name in ["VCARD", "VDIM", "VINFO"] {
        check(&mut shard, &format!("{name} k x"), &format!("-ERR wrong number of arguments for '{name}' command"));
    }
    check_script(
        &mut shard,
        r#"
        VADD k VALUES 2 1 1 => -ERR wrong number of arguments for 'VADD' command
        VADD k VALUES 3 1 1 e => -ERR invalid vector specification
        VADD k VALUES 2 nan 1 e => -ERR invalid vector specification
        VADD k VALUES 2 1e400 1 e => -ERR invalid vector specification
        VADD k VALUES 0 e x => -ERR invalid vector specification
        VADD k VALUES 65537 1 e => -ERR invalid vector specification
        VADD k VALUES 9223372036854775807 1 e => -ERR invalid vector specification
        VADD k FP32 abc e => -ERR invalid vector specification
        VADD k FP32 "" e => -ERR invalid vector specification
        VADD k FP32 abcd e => -ERR Vector dimension mismatch - got 1 but set has 2
        VADD k what is e => -ERR invalid vector specification
        VADD k REDUCE 0 FP32 abcdefgh e => -ERR invalid vector specification
        VADD k REDUCE 2 FP32 abcdefgh e => -ERR cannot add projection to existing set without projection
        VADD k VALUES 2 1 2 e what => -ERR invalid option after element
        VADD k VALUES 2 1 2 e SETATTR => -ERR invalid option after element
        VADD k VALUES 2 1 2 e M => -ERR invalid option after element
        VADD k VALUES 2 1 2 e M 3 => -ERR invalid M
        VADD k VALUES 2 1 2 e M 4097 => -ERR invalid M
        VADD k VALUES 2 1 2 e EF 0 => -ERR invalid EF
        VADD k VALUES 2 1 2 e EF 1000001 => -ERR invalid EF
        VADD k VALUES 2 1 2 e NOQUANT => -ERR asked quantization mismatch with existing vector set
        VADD k VALUES 2 1 2 e M 32 => -ERR asked M value mismatch with existing vector set
        VADD k VALUES 2 1 2 e Q8 CAS EF 1000000 M 16 => :0
        VSIM k ELE => -ERR wrong number of arguments for 'VSIM' command
        VSIM k ELE x => -ERR element not found in set
        VSIM k what f => -ERR invalid vector specification
        VSIM k VALUES 3 1 1 1 => -ERR Vector dimension mismatch - got 3 but set has 2
        VSIM k ELE e COUNT 0 => -ERR invalid COUNT
        VSIM k ELE e EF 0 => -ERR invalid EF
        VSIM k ELE e EF 1000001 => -ERR invalid EF
        VSIM k ELE e EPSILON -1 => -ERR invalid EPSILON
        VSIM k ELE e EPSILON nan => -ERR invalid EPSILON
        VSIM k ELE e FILTER-EF 0 => -ERR invalid FILTER-EF
        VSIM k ELE e FILTER .a=1 => -ERR syntax error in FILTER expression near: 1
        VSIM k ELE e FILTER (( => -ERR syntax error in FILTER expression near: ((
        VSIM k ELE e COUNT => -ERR syntax error in VSIM command
        VSIM k ELE e what => -ERR syntax error in VSIM command
        VEMB k e what => -ERR invalid option
        VLINKS k e what => -ERR wrong number of arguments for 'VLINKS' command
        VRANDMEMBER k what => -ERR COUNT value is not an integer
        VRANDMEMBER k 1 1 => -ERR wrong number of arguments for 'VRANDMEMBER' command
        VRANDMEMBER k -9223372036854775808 => -ERR value is out of range
        "#,
    );
    let long = format!("VSIM k ELE e FILTER {}1", "1+".repeat(40_000));
    check(&mut shard, &long, "-ERR FILTER expression is too long");
}

#[test]
fn other_types_are_refused() {
    let mut shard = TestShard::new();
    check_script(&mut shard, "SET s 1 => +OK\nRPUSH l 1 => :1");
    for key in ["s", "l"] {
        for line in [
            "VADD @ VALUES 1 1 e",
            "VSIM @ ELE e",
            "VREM @ e",
            "VCARD @",
            "VDIM @",
            "VEMB @ e",
            "VGETATTR @ e",
            "VSETATTR @ e 1",
            "VINFO @",
            "VISMEMBER @ e",
            "VLINKS @ e",
            "VRANDMEMBER @",
            "VRANDMEMBER @ 1",
        ] {
            check(&mut shard, &line.replace('@', key), WRONG);
        }
        check(&mut shard, &format!("VRANDMEMBER {key} 0"), "[]");
    }
    check_script(&mut shard, "VADD k VALUES 1 1 e => :1");
    check(&mut shard, "SADD k 1", WRONG);
    check(&mut shard, "GET k", WRONG);
}

#[test]
fn the_nearest_come_first() {
    let mut shard = filled(TestShard::new());
    check_script(
        &mut shard,
        r#"
        VSIM none what 1 => []
        VSIM k VALUES 2 1 1 => ["e" "f" "g"]
        VSIM k ELE e COUNT 2 WITHSCORES => ["e" "1" "f" "0.9730966687202454"]
        VSIM k VALUES 2 1 1 WITHSCORES WITHATTRIBS COUNT 2 TRUTH => ["e" "1" $-1 "f" "0.9730966091156006" "{\"a\":1}"]
        VSIM k ELE e WITHATTRIBS COUNT 1 NOTHREAD => ["e" $-1]
        VSIM k ELE e EPSILON 0.1 => ["e" "f"]
        VSIM k ELE e FILTER ".a == 1" => ["f"]
        VSIM k ELE e FILTER ".a == 1" FILTER ".a == 2" => []
        VSIM k ELE e FILTER ".a == 1" FILTER-EF 1000 EF 5 COUNT 100 TRUTH => ["f"]
        "#,
    );
    let mut shard = filled(TestShard::resp3());
    check_script(
        &mut shard,
        r#"
        VSIM none ELE e => []
        VSIM k ELE e COUNT 2 => ["e" "f"]
        VSIM k ELE e COUNT 2 WITHSCORES => %["e" ,1 "f" ,0.9730966687202454]
        VSIM k ELE e COUNT 2 WITHATTRIBS => %["e" _ "f" "{\"a\":1}"]
        VSIM k ELE e COUNT 2 WITHATTRIBS WITHSCORES => %["e" [,1 _] "f" [,0.9730966687202454 "{\"a\":1}"]]
        "#,
    );
}

#[test]
fn vectors_come_back() {
    let mut shard = filled(TestShard::new());
    check_script(
        &mut shard,
        r#"
        VEMB k e => ["0.9999999403953552" "0.9999999403953552"]
        VEMB k e RAW => [+int8 "\x7f\x7f" "1.4142135381698608" "0.7071067690849304"]
        VEMB k x => $-1
        VEMB none e => $-1
        VADD z VALUES 2 0 0 e => :1
        VEMB z e => ["0" "0"]
        VEMB z e RAW => [+int8 "\x00\x00" "1" "0"]
        VADD z VALUES 2 1 0 f => :1
        VSIM z ELE e WITHSCORES TRUTH EPSILON 0.5 => ["e" "0.5" "f" "0.5"]
        VADD z VALUES 2 inf 1 i => :1
        VEMB z i => ["nan" "nan"]
        VADD n VALUES 3 1 2 3 e NOQUANT => :1
        VEMB n e RAW => [+f32 "w\xd6\x88>w\xd6\x08?\xb2AM?" "3.7416574954986572"]
        VADD b VALUES 3 1 -2 3 e BIN => :1
        VEMB b e => ["1" "-1" "1"]
        VEMB b e RAW => [+bin "\x05\x00\x00\x00\x00\x00\x00\x00" "3.7416574954986572"]
        "#,
    );
}

#[test]
fn attributes_are_set_and_taken_away() {
    let mut shard = filled(TestShard::new());
    check_script(
        &mut shard,
        r#"
        VGETATTR k f => "{\"a\":1}"
        VGETATTR k e => $-1
        VGETATTR none e => $-1
        VSETATTR k e what => :1
        VSETATTR k x what => :0
        VSETATTR none e what => :0
        VGETATTR k e => "what"
        VADD k VALUES 2 1 1 e => :0
        VGETATTR k e => "what"
        VADD k VALUES 2 1 1 e SETATTR "" => :0
        VGETATTR k e => $-1
        VSETATTR k f "" => :1
        VGETATTR k f => $-1
        VADD k VALUES 2 1 1 h SETATTR "" => :1
        VGETATTR k h => $-1
        "#,
    );
    assert!(shard.run("VINFO k").contains("+attributes-count :0"));
}

#[test]
fn fewer_dimensions() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        VADD k REDUCE 2 VALUES 4 1 2 3 4 a => :1
        VDIM k => :2
        VADD k REDUCE 2 VALUES 4 1 2 3 5 b => :1
        VADD k REDUCE 2 VALUES 3 1 2 3 c
        => -ERR Input dimension mismatch for projection - got 3 but projection expects 4
        VADD k REDUCE 3 VALUES 4 1 2 3 4 c => -ERR Vector dimension mismatch - got 4 but set has 2
        VADD k VALUES 4 1 2 3 4 c => -ERR Vector dimension mismatch - got 4 but set has 2
        VADD k VALUES 2 1 2 c => -ERR Vector dimension mismatch - got 2 but set has 2
        VSIM k VALUES 4 1 2 3 4 COUNT 1 => ["a"]
        VSIM k VALUES 2 5 -1 COUNT 1 => ["a"]
        VSIM k VALUES 3 1 2 3 => -ERR Input dimension mismatch for projection - got 3 but projection expects 4
        VEMB k a => ["5" "-0.9842519760131836"]
        "#,
    );
    let blob = vec![1u8; 4 * 65536];
    let refused = shard.run_words(&[b"VADD", b"big", b"REDUCE", b"65536", b"FP32", &blob, b"e"]);
    assert_eq!(refused, "-ERR invalid vector specification");
}

#[test]
fn a_set_describes_itself() {
    let mut shard = filled(TestShard::new());
    let info = shard.run("VINFO k");
    let begin = "[+quant-type +int8 +hnsw-m :16 +vector-dim :2 +projection-input-dim :0 +size :3 +max-level :";
    assert!(info.starts_with(begin), "{info}");
    assert!(info.ends_with(" +hnsw-max-node-uid :3]") && info.contains(" +attributes-count :1 +vset-uid :"), "{info}");
    check_script(
        &mut shard,
        r#"
        VINFO none => *-1
        VLINKS none e => $-1
        VLINKS k x => $-1
        VREM k g => :1
        VLINKS k e => [["f"]]
        VLINKS k e WITHSCORES => [["f" "0.9730966091156006"]]
        "#,
    );
    let mut shard = TestShard::resp3();
    check_script(
        &mut shard,
        r#"
        VADD k VALUES 2 1 1 e => #t
        VADD k VALUES 2 1 2 f => #t
        VADD k VALUES 2 1 2 f => #f
        VISMEMBER k e => #t
        VSETATTR k e x => #t
        VSETATTR k x x => #f
        VLINKS k e WITHSCORES => [%["f" ,0.9730966091156006]]
        VINFO none => _
        VINFO k => %[+quant-type...
        VLINKS k x => _
        VREM k f => #t
        VREM k f => #f
        "#,
    );
}

#[test]
fn members_are_drawn() {
    let mut shard = TestShard::new();
    check_script(&mut shard, "VRANDMEMBER none => $-1\nVRANDMEMBER none 3 => []\nVRANDMEMBER none 0 => []");
    for n in 0..30 {
        check(&mut shard, &format!("VADD k VALUES 2 1 {n} e{n}"), ":1");
    }
    for count in [1, 5, 20, 30, 50] {
        let drawn = shard.run(&format!("VRANDMEMBER k {count}"));
        let mut names: Vec<&str> = drawn[1..drawn.len() - 1].split(' ').collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count.min(30), "{drawn}");
    }
    assert_eq!(shard.run("VRANDMEMBER k -100").split(' ').count(), 100);
    assert!(shard.run("VRANDMEMBER k").starts_with("\"e"));
}

#[test]
fn only_changes_are_journaled_and_counted() {
    let mut shard = filled(TestShard::new());
    let dirty = shard.shard.dirty;
    for line in ["VREM k x", "VSETATTR k x y", "VSETATTR none x y", "VADD k VALUES 3 1 1 1 e"] {
        shard.run(line);
    }
    assert_eq!(shard.shard.dirty, dirty);
    for line in ["VADD k VALUES 2 5 6 h", "VADD k VALUES 2 5 7 h", "VSETATTR k h y", "VREM k h"] {
        assert_eq!(shard.journal(line), None, "its own words: {line}");
    }
    assert_eq!(shard.shard.dirty, dirty + 4);
    ["VREM k e", "VREM k f", "VREM k g"].iter().for_each(|line| check(&mut shard, line, ":1"));
    assert_eq!(shard.shard.dirty, dirty + 7, "the key's own removal counts no further write");
}

#[test]
fn copies_and_dumps_are_equal() {
    let mut shard = TestShard::new();
    for (key, form) in [("f", "NOQUANT"), ("q", "Q8"), ("b", "BIN")] {
        for n in 0..200 {
            let attributes = if n % 3 == 0 { "SETATTR {}" } else { "" };
            let line =
                format!("VADD {key} REDUCE 5 VALUES 8 {n} 1 2 -5 {} 7 -{n} 3 e{n} {form} {attributes}", n * n % 7);
            check(&mut shard, &line, ":1");
        }
        check(&mut shard, &format!("COPY {key} copy REPLACE"), ":1");
        let dump = shard.reply_to(&[b"DUMP", key.as_bytes()]);
        let payload = &dump[dump.iter().position(|byte| *byte == b'\n').expect("a header") + 1..dump.len() - 2];
        let restored = shard.run_words(&[b"RESTORE", b"back", b"0", payload, b"REPLACE"]);
        assert_eq!(restored, "+OK");
        let value =
            |shard: &mut TestShard, key: &str| shard.shard.copy_out(0, Key::new(key.as_bytes())).expect("a key");
        assert_eq!(value(&mut shard, "copy"), value(&mut shard, key));
        assert_eq!(value(&mut shard, "back"), value(&mut shard, key));
        let line = "VSIM @ VALUES 5 1 2 3 4 5 WITHSCORES COUNT 7";
        let similar = shard.run(&line.replace('@', key));
        check(&mut shard, &line.replace('@', "back"), &similar);
        for at in 0..payload.len().min(400) {
            // A flipped byte is refused by the checksum; one under a right checksum is refused or gives another set.
            let mut bad = payload.to_vec();
            bad[at] ^= 0x41;
            let end = bad.len() - 8;
            let checksum = crate::types::rdb::crc64::crc64(0, &bad[..end]);
            bad[end..].copy_from_slice(&checksum.to_le_bytes());
            shard.run_words(&[b"RESTORE", b"bad", b"0", &bad, b"REPLACE"]);
        }
    }
}

/// A payload that Redis 8.0 wrote, and the one digest that it computes of the same set.
#[test]
fn what_redis_dumped_is_read() {
    let mut shard = TestShard::new();
    let dump = "0781bde72da2bb1eb400020302020250000202050179\
                05077b226e223a357d050cb2414d3f77d6083f77d6883e0207020202800100000002010220020102813e92492600000000\
                0280406f7751050178050005\
                0c77d6883e77d6083fb2414d3f020a020102800100000102010220020202813e92492600000000020002100200\
                0280406f7751000c00fc077d6cb57a8c8a";
    let hex: Vec<u8> = dump.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes: Vec<u8> = hex
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect();
    assert_eq!(shard.run_words(&[b"RESTORE", b"k", b"0", &bytes]), "+OK");
    check_script(
        &mut shard,
        r#"
        VCARD k => :2
        VGETATTR k y => "{\"n\":5}"
        VEMB k x => ["1" "2" "3"]
        VLINKS k y => [["x"]]
        VADD k VALUES 3 4 4 4 z NOQUANT => :1
        "#,
    );
}

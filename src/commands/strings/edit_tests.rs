//! APPEND, SETRANGE and edits of large strings against the replies of a real server.

use crate::base::bytes::BigString;
use crate::commands::testing::{TestShard, check, check_script};
use crate::types::table::Key;
use crate::types::value::{Value, View};
use proptest::prelude::*;

#[test]
fn append() {
    check_script(
        &mut TestShard::new(),
        r#"
        APPEND k hello => :5
        APPEND k " world" => :11
        GET k => "hello world"
        OBJECT ENCODING k => "raw"
        APPEND k "" => :11
        SET i 12345 => +OK
        APPEND i "" => :5
        OBJECT ENCODING i => "raw"
        GET i => "12345"
        APPEND i 6 => :6
        GET i => "123456"
        INCR i => :123457
        OBJECT ENCODING i => "int"
        APPEND n 12 => :2
        OBJECT ENCODING n => "int"
        APPEND n 3 => :3
        OBJECT ENCODING n => "raw"
        APPEND e "" => :0
        EXISTS e => :1
        OBJECT ENCODING e => "embstr"
        SET s abc => +OK
        OBJECT ENCODING s => "embstr"
        APPEND s d => :4
        OBJECT ENCODING s => "raw"
        SET s abc EX 100 => +OK
        APPEND s d => :4
        TTL s => :100
        APPEND s => -ERR wrong number of arguments for 'append' command
        APPEND s a b => -ERR wrong number of arguments for 'append' command
        "#,
    );
}

#[test]
fn setrange() {
    check_script(
        &mut TestShard::new(),
        r#"
        SETRANGE k 0 "" => :0
        EXISTS k => :0
        SETRANGE k 5 "" => :0
        EXISTS k => :0
        SETRANGE k -1 "" => -ERR offset is out of range
        SETRANGE k -1 x => -ERR offset is out of range
        SETRANGE k abc x => -ERR value is not an integer or out of range
        SETRANGE k 1.0 x => -ERR value is not an integer or out of range
        SETRANGE k 536870912 "" => :0
        SETRANGE k 536870912 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 536870911 xx => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775800 xxxxxxxxxxxxxxxxx => -ERR string exceeds maximum allowed size...
        SETRANGE k 9223372036854775808 x => -ERR value is not an integer or out of range
        EXISTS k => :0
        SETRANGE k 0 abc => :3
        OBJECT ENCODING k => "raw"
        GET k => "abc"
        SETRANGE k 5 x => :6
        GET k => "abc\x00\x00x"
        SETRANGE k 1 ZZ => :6
        GET k => "aZZ\x00\x00x"
        SETRANGE k 0 "" => :6
        SETRANGE k 100 "" => :6
        STRLEN k => :6
        SET i 12345 => +OK
        SETRANGE i 0 "" => :5
        OBJECT ENCODING i => "int"
        SETRANGE i 1 9 => :5
        OBJECT ENCODING i => "raw"
        GET i => "19345"
        INCR i => :19346
        OBJECT ENCODING i => "int"
        SET s abc => +OK
        SETRANGE s 0 "" => :3
        OBJECT ENCODING s => "embstr"
        SETRANGE s 0 A => :3
        OBJECT ENCODING s => "raw"
        SET s abc EX 100 => +OK
        SETRANGE s 1 x => :3
        TTL s => :100
        SETRANGE s 1 => -ERR wrong number of arguments for 'setrange' command
        "#,
    );
}

/// The buffer of the large string at `key`.
fn buffer(shard: &mut TestShard, key: &str) -> BigString {
    let found = shard.shard.peek(0, Key::new(key.as_bytes())).map(|entry| entry.value);
    match found {
        Some(View::Boxed(Value::Str(big))) => BigString::clone(big),
        _ => panic!("{key} is {found:?}"),
    }
}

#[test]
fn a_large_string_grows_far_behind_its_end() {
    check_script(
        &mut TestShard::new(),
        r#"
        SETRANGE k 999 x => :1000
        EXPIRE k 100 => :1
        SETRANGE k 99998 yz => :100000
        GETRANGE k 998 1000 => "\x00x\x00"
        GETRANGE k 99997 -1 => "\x00yz"
        BITCOUNT k => :14
        SETBIT k 7999999 1 => :0
        GETRANGE k 99998 100000 => "yz\x00"
        STRLEN k => :1000000
        BITCOUNT k => :15
        TTL k => :100
        "#,
    );
}

#[test]
fn a_large_string_is_edited_where_it_is() {
    let mut shard = TestShard::new();
    shard.run("SETRANGE k 99999 x");
    let address = buffer(&mut shard, "k").as_ptr();
    shard.run("SETRANGE k 5 abc");
    shard.run("SETBIT k 0 1");
    shard.run("BITFIELD k SET u8 #1 255");
    assert_eq!(buffer(&mut shard, "k").as_ptr(), address);
    check_script(
        &mut shard,
        r#"
        GETRANGE k 0 9 => "\x80\xff\x00\x00\x00abc\x00\x00"
        STRLEN k => :100000
        APPEND k yz => :100002
        GETRANGE k -4 -1 => "\x00xyz"
        SETRANGE k 100005 end => :100008
        GETRANGE k -8 -1 => "yz\x00\x00\x00end"
        EXPIRE k 100 => :1
        APPEND k ! => :100009
        SETRANGE k 0 ! => :100009
        SETBIT k 0 0 => :0
        TTL k => :100
        OBJECT ENCODING k => "raw"
        "#,
    );
}

#[test]
fn a_reply_under_way_keeps_the_bytes_it_promised() {
    let mut shard = TestShard::new();
    for edit in ["SETRANGE k 0 y", "APPEND k y", "SETBIT k 0 1", "BITFIELD k SET u8 0 1", "SETRANGE k 70000 y"] {
        shard.run_words(&[b"SET", b"k", &vec![b'x'; 60_000]]);
        let sent = buffer(&mut shard, "k");
        shard.run(edit);
        assert_eq!(*sent, vec![b'x'; 60_000], "{edit}");
        let now = buffer(&mut shard, "k");
        assert_ne!((now.as_ptr(), &*now), (sent.as_ptr(), &*sent), "{edit}");
    }
}

#[test]
fn appends_copy_each_byte_a_bounded_number_of_times() {
    let mut shard = TestShard::new();
    let mut addresses = 0;
    let mut address = std::ptr::null();
    for _ in 0..4000 {
        shard.run_words(&[b"APPEND", b"k", &[b'x'; 1000]]);
        let now = shard.shard.peek(0, Key::new(b"k")).map(|entry| match entry.value {
            View::Boxed(Value::Str(big)) => big.as_ptr(),
            _ => std::ptr::null(),
        });
        if now != Some(address) {
            address = now.unwrap();
            addresses += 1;
        }
    }
    check(&mut shard, "STRLEN k", ":4000000");
    assert!(addresses < 30, "moved {addresses} times");
}

#[test]
fn a_string_may_be_as_long_as_the_limit_and_no_longer() {
    let mut shard = TestShard::new();
    shard.bulk_bytes_max = 1000;
    for key in ["small", "large"] {
        shard.run_words(&[b"SET", key.as_bytes(), &vec![b'x'; if key == "small" { 10 } else { 990 }]]);
        let room = if key == "small" { 990 } else { 10 };
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        assert_eq!(shard.run_words(&[b"APPEND", key.as_bytes(), &vec![b'y'; room + 1]]), too_long);
        assert_eq!(shard.run_words(&[b"SETRANGE", key.as_bytes(), b"1000", b"y"]), too_long);
        assert_eq!(shard.run_words(&[b"SETRANGE", key.as_bytes(), b"999", b"yy"]), too_long);
        assert_eq!(shard.run_words(&[b"SETRANGE", key.as_bytes(), b"999", b"y"]), ":1000");
        assert_eq!(shard.run_words(&[b"APPEND", key.as_bytes(), b""]), ":1000");
        assert_eq!(shard.run_words(&[b"APPEND", key.as_bytes(), b"y"]), too_long);
    }
    check(&mut shard, "SETBIT b 8000 1", "-ERR bit offset is not an integer or out of range");
    check(&mut shard, "SETBIT b 7999 1", ":0");
    check(&mut shard, "STRLEN b", ":1000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// APPEND and SETRANGE against a plain vector, across the border between strings in the entry and large ones.
    #[test]
    fn edits_agree_with_a_vector(edits in prop::collection::vec((any::<bool>(), 0_usize..1500, 0_usize..700), 1..12)) {
        let mut shard = TestShard::new();
        let mut model: Vec<u8> = Vec::new();
        for (turn, (append, offset, len)) in edits.into_iter().enumerate() {
            let patch = vec![b'a' + turn as u8; len];
            let reply = if append {
                model.extend_from_slice(&patch);
                shard.run_words(&[b"APPEND", b"k", &patch])
            } else {
                if !patch.is_empty() {
                    model.resize(model.len().max(offset + len), 0);
                    model[offset..offset + len].copy_from_slice(&patch);
                }
                shard.run_words(&[b"SETRANGE", b"k", offset.to_string().as_bytes(), &patch])
            };
            prop_assert_eq!(reply, format!(":{}", model.len()));
            prop_assert_eq!(shard.run("GETRANGE k 0 -1"), format!("\"{}\"", model.escape_ascii()));
        }
    }
}

//! APPEND, SETRANGE and edits of large strings against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

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

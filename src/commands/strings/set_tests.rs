//! SET, SETNX, SETEX, PSETEX, GETSET against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

#[test]
fn stores_bytes() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k v => +OK
        GET k => "v"
        SET k "" => +OK
        GET k => ""
        SET k "\x00\r\n\xff" => +OK
        GET k => "\x00\r\n\xff"
        GET none => $-1
        SET => -ERR wrong number of arguments for 'set' command
        SET k => -ERR wrong number of arguments for 'set' command
        GET => -ERR wrong number of arguments for 'get' command
        GET a b => -ERR wrong number of arguments for 'get' command
        "#,
    );
}

#[test]
fn nx_and_xx() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k v XX => $-1
        SET k v NX => +OK
        SET k w NX => $-1
        GET k => "v"
        SET k w XX => +OK
        GET k => "w"
        SET k v nx => $-1
        SET k v XX NX => -ERR syntax error
        SET k v NX XX => -ERR syntax error
        SET k v NX NX => $-1
        SET k v XX XX => +OK
        SET k v PERSIST => -ERR syntax error
        SET k v FOO => -ERR syntax error
        SET k v NX FOO => -ERR syntax error
        "#,
    );
}

#[test]
fn get_returns_the_old_value() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k 1 GET => $-1
        SET k 2 GET => "1"
        SET k 3 GET GET => "2"
        SET k 4 NX GET => "3"
        SET k 5 GET NX => "3"
        SET new 5 GET NX => $-1
        SET k 6 XX GET => "3"
        SET none 6 XX GET => $-1
        GET none => $-1
        GET k => "6"
        "#,
    );
}

#[test]
fn expiry_options() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k v EX => -ERR syntax error
        SET k v EX 0 => -ERR invalid expire time in 'set' command
        SET k v EX -1 => -ERR invalid expire time in 'set' command
        SET k v EX abc => -ERR value is not an integer or out of range
        SET k v EX 1.5 => -ERR value is not an integer or out of range
        SET k v EX " 1" => -ERR value is not an integer or out of range
        SET k v EX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775808 => -ERR value is not an integer or out of range
        SET k v EX 9223372036854775 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854776 => -ERR invalid expire time in 'set' command
        SET k v PX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v PX 0 => -ERR invalid expire time in 'set' command
        SET k v EXAT 0 => -ERR invalid expire time in 'set' command
        SET k v EXAT 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v PXAT -5 => -ERR invalid expire time in 'set' command
        SET k v GET EX 0 => -ERR invalid expire time in 'set' command
        SET k v NX EX 0 => -ERR invalid expire time in 'set' command
        GET k => $-1
        SET k v PXAT 9223372036854775807 => +OK
        GET k => "v"
        SET k v EX 100 => +OK
        TTL k => :100
        SET k v => +OK
        TTL k => :-1
        SET k v PX 100000 => +OK
        TTL k => :100
        SET k v KEEPTTL => +OK
        TTL k => :100
        SET k v XX KEEPTTL GET => "v"
        TTL k => :100
        SET k v KEEPTTL KEEPTTL => +OK
        SET k v EX 10 EX 1000 => +OK
        TTL k => :1000
        SET k v NX KEEPTTL => $-1
        SET none v KEEPTTL => +OK
        TTL none => :-1
        SET k v EX 10 PX 10 => -ERR syntax error
        SET k v PX 10 EX 10 => -ERR syntax error
        SET k v EX 10 KEEPTTL => -ERR syntax error
        SET k v KEEPTTL EX 10 => -ERR syntax error
        SET k v EXAT 10 EX 10 => -ERR syntax error
        SET k v KEEPTTL EX => -ERR syntax error
        SET k v PX 10 PXAT 10 => -ERR syntax error
        SET k v ex 50 xx get => "v"
        TTL k => :50
        "#,
    );
}

#[test]
fn a_time_that_is_over_deletes() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k v => +OK
        SET k v PXAT 1 => +OK
        GET k => $-1
        EXISTS k => :0
        SET k v EXAT 1 => +OK
        EXISTS k => :0
        SET k v => +OK
        SET k w EXAT 1 GET => "v"
        SET k w EXAT 1 GET => $-1
        SET k v PXAT 1 NX => +OK
        SET k v NX => +OK
        SET k v PXAT 1 XX => +OK
        EXISTS k => :0
        "#,
    );
}

#[test]
fn ifeq_compares() {
    // As Valkey 9.1 answers: Redis 8.0 does not have it.
    check_script(
        &mut TestShard::new(),
        r#"
        SET k a IFEQ x => $-1
        SET k a IFEQ x GET => $-1
        EXISTS k => :0
        SET k a => +OK
        SET k b IFEQ x => $-1
        SET k b IFEQ x GET => "a"
        SET k b IFEQ A => $-1
        SET k b IFEQ a => +OK
        SET k c IFEQ b GET => "b"
        GET k => "c"
        SET k d GET IFEQ c EX 100 => "c"
        TTL k => :100
        SET k e IFEQ d KEEPTTL => +OK
        TTL k => :100
        SET k f IFEQ e => +OK
        TTL k => :-1
        SET k 123 => +OK
        SET k 5 IFEQ 0123 => $-1
        SET k 5 IFEQ 123 => +OK
        GET k => "5"
        SET k "" IFEQ 5 => +OK
        SET k x IFEQ "" => +OK
        SET k v IFEQ => -ERR syntax error
        SET k v IFEQ x NX => -ERR syntax error
        SET k v NX IFEQ x => -ERR syntax error
        SET k v XX IFEQ x => -ERR syntax error
        SET k v IFEQ x XX => -ERR syntax error
        SET k v IFEQ x IFEQ y => -ERR syntax error
        SET k v IFEQ x IFEQ => -ERR syntax error
        SET k w IFEQ EX EX 10 => $-1
        SET k GET IFEQ x => +OK
        GET k => "GET"
        "#,
    );
}

#[test]
fn setnx() {
    check_script(
        &mut TestShard::new(),
        r#"
        SETNX k 1 => :1
        SETNX k 2 => :0
        GET k => "1"
        SETNX k => -ERR wrong number of arguments for 'setnx' command
        SET k 1 EX 100 => +OK
        SETNX k 1 => :0
        TTL k => :100
        "#,
    );
}

#[test]
fn setex_and_psetex() {
    check_script(
        &mut TestShard::new(),
        r#"
        SETEX k 100 v => +OK
        TTL k => :100
        GET k => "v"
        PSETEX k 50000 w => +OK
        TTL k => :50
        SETEX k 0 v => -ERR invalid expire time in 'setex' command
        SETEX k -1 v => -ERR invalid expire time in 'setex' command
        SETEX k abc v => -ERR value is not an integer or out of range
        SETEX k 9223372036854775807 v => -ERR invalid expire time in 'setex' command
        SETEX k 9223372036854775 v => -ERR invalid expire time in 'setex' command
        PSETEX k 0 v => -ERR invalid expire time in 'psetex' command
        PSETEX k -1 v => -ERR invalid expire time in 'psetex' command
        PSETEX k abc v => -ERR value is not an integer or out of range
        PSETEX k 9223372036854775807 v => -ERR invalid expire time in 'psetex' command
        GET k => "w"
        SETEX k 10 => -ERR wrong number of arguments for 'setex' command
        PSETEX k 10 => -ERR wrong number of arguments for 'psetex' command
        "#,
    );
}

#[test]
fn getset() {
    check_script(
        &mut TestShard::new(),
        r#"
        GETSET k 1 => $-1
        GETSET k 2 => "1"
        GET k => "2"
        GETSET k => -ERR wrong number of arguments for 'getset' command
        SET k v EX 100 => +OK
        GETSET k w => "v"
        TTL k => :-1
        "#,
    );
}

#[test]
fn encodings() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k 0 => +OK
        OBJECT ENCODING k => "int"
        SET k -1 => +OK
        OBJECT ENCODING k => "int"
        SET k 9223372036854775807 => +OK
        OBJECT ENCODING k => "int"
        SET k -9223372036854775808 => +OK
        OBJECT ENCODING k => "int"
        GET k => "-9223372036854775808"
        SET k 9223372036854775808 => +OK
        OBJECT ENCODING k => "embstr"
        SET k -9223372036854775809 => +OK
        OBJECT ENCODING k => "embstr"
        SET k 99999999999999999999 => +OK
        OBJECT ENCODING k => "embstr"
        SET k 007 => +OK
        OBJECT ENCODING k => "embstr"
        GET k => "007"
        SET k -0 => +OK
        OBJECT ENCODING k => "embstr"
        SET k +1 => +OK
        OBJECT ENCODING k => "embstr"
        SET k " 1" => +OK
        OBJECT ENCODING k => "embstr"
        SET k "1 " => +OK
        OBJECT ENCODING k => "embstr"
        SET k - => +OK
        OBJECT ENCODING k => "embstr"
        SET k "" => +OK
        OBJECT ENCODING k => "embstr"
        SET k 1.5 => +OK
        OBJECT ENCODING k => "embstr"
        SET k 12345678901234567890123456789012345678901234 => +OK
        OBJECT ENCODING k => "embstr"
        SET k 123456789012345678901234567890123456789012345 => +OK
        OBJECT ENCODING k => "raw"
        SETNX i 12 => :1
        OBJECT ENCODING i => "int"
        GETSET i 13 => "12"
        OBJECT ENCODING i => "int"
        SETEX i 10 14 => +OK
        OBJECT ENCODING i => "int"
        MSET i 15 => +OK
        OBJECT ENCODING i => "int"
        "#,
    );
}

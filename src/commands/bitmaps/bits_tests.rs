//! GETBIT and SETBIT against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

#[test]
fn getbit_and_setbit() {
    check_script(
        &mut TestShard::new(),
        r#"
        GETBIT k 0 => :0
        SETBIT k 7 1 => :0
        OBJECT ENCODING k => "raw"
        GET k => "\x01"
        GETBIT k 7 => :1
        GETBIT k 6 => :0
        GETBIT k 8 => :0
        GETBIT k 4294967295 => :0
        SETBIT k 7 1 => :1
        SETBIT k 7 0 => :1
        SETBIT k 20 1 => :0
        GET k => "\x00\x00\x08"
        SETBIT k 100 0 => :0
        STRLEN k => :13
        SETBIT k 7 2 => -ERR bit is not an integer or out of range
        SETBIT k 7 abc => -ERR bit is not an integer or out of range
        SETBIT k 7 01 => -ERR bit is not an integer or out of range
        SETBIT k 7 "" => -ERR bit is not an integer or out of range
        SETBIT k abc 1 => -ERR bit offset is not an integer or out of range
        SETBIT k abc 3 => -ERR bit offset is not an integer or out of range
        SETBIT k -1 1 => -ERR bit offset is not an integer or out of range
        SETBIT k #1 1 => -ERR bit offset is not an integer or out of range
        SETBIT k 4294967296 1 => -ERR bit offset is not an integer or out of range
        SETBIT k 9223372036854775807 1 => -ERR bit offset is not an integer or out of range
        GETBIT k 4294967296 => -ERR bit offset is not an integer or out of range
        GETBIT k -1 => -ERR bit offset is not an integer or out of range
        GETBIT k abc => -ERR bit offset is not an integer or out of range
        GETBIT k #1 => -ERR bit offset is not an integer or out of range
        GETBIT none 1 => :0
        GETBIT none abc => -ERR bit offset is not an integer or out of range
        SET i 12345 => +OK
        GETBIT i 2 => :1
        GETBIT i 40 => :0
        OBJECT ENCODING i => "int"
        SETBIT i 2 1 => :1
        OBJECT ENCODING i => "raw"
        SETBIT i 2 0 => :1
        GET i => "\x112345"
        SET s abc EX 100 => +OK
        SETBIT s 0 1 => :0
        TTL s => :100
        GETBIT s => -ERR wrong number of arguments for 'getbit' command
        SETBIT s 1 => -ERR wrong number of arguments for 'setbit' command
        SETBIT s 1 1 1 => -ERR wrong number of arguments for 'setbit' command
        "#,
    );
}

//! INCR, DECR, INCRBY, DECRBY against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

#[test]
fn incr_decr_incrby_decrby() {
    check_script(
        &mut TestShard::new(),
        r#"
        INCR k => :1
        INCR k => :2
        DECR k => :1
        INCRBY k 10 => :11
        DECRBY k 4 => :7
        GET k => "7"
        OBJECT ENCODING k => "int"
        DECR n => :-1
        GET n => "-1"
        INCRBY m -5 => :-5
        DECRBY o 5 => :-5
        GET o => "-5"
        SET k 9223372036854775807 => +OK
        INCR k => -ERR increment or decrement would overflow
        INCRBY k 1 => -ERR increment or decrement would overflow
        DECR k => :9223372036854775806
        INCRBY k 2 => -ERR increment or decrement would overflow
        INCRBY k -9223372036854775808 => :-2
        SET k -9223372036854775808 => +OK
        DECR k => -ERR increment or decrement would overflow
        INCRBY k -1 => -ERR increment or decrement would overflow
        DECRBY k 1 => -ERR increment or decrement would overflow
        INCRBY k 9223372036854775807 => :-1
        DECRBY k -9223372036854775808 => -ERR decrement would overflow
        DECRBY none -9223372036854775808 => -ERR decrement would overflow
        DECRBY none 9223372036854775807 => :-9223372036854775807
        INCRBY k abc => -ERR value is not an integer or out of range
        INCRBY k 1.0 => -ERR value is not an integer or out of range
        INCRBY k " 1" => -ERR value is not an integer or out of range
        INCRBY k +1 => -ERR value is not an integer or out of range
        INCRBY k -0 => -ERR value is not an integer or out of range
        INCRBY k 00 => -ERR value is not an integer or out of range
        INCRBY k "" => -ERR value is not an integer or out of range
        INCRBY k 9223372036854775808 => -ERR value is not an integer or out of range
        DECRBY k abc => -ERR value is not an integer or out of range
        DECRBY k 9223372036854775808 => -ERR value is not an integer or out of range
        SET k 007 => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k -0 => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k 99999999999999999999 => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k 18446744073709551615 => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k " 1" => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k "1 " => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k "" => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k 1.0 => +OK
        INCR k => -ERR value is not an integer or out of range
        SET k abc => +OK
        INCR k => -ERR value is not an integer or out of range
        DECR k => -ERR value is not an integer or out of range
        INCRBY k 1 => -ERR value is not an integer or out of range
        DECRBY k abc => -ERR value is not an integer or out of range
        SET k 10 EX 100 => +OK
        INCR k => :11
        TTL k => :100
        INCR => -ERR wrong number of arguments for 'incr' command
        INCR k 1 => -ERR wrong number of arguments for 'incr' command
        INCRBY k => -ERR wrong number of arguments for 'incrby' command
        DECRBY k => -ERR wrong number of arguments for 'decrby' command
        DECR => -ERR wrong number of arguments for 'decr' command
        "#,
    );
}

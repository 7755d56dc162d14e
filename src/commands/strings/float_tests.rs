//! INCRBYFLOAT against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

#[test]
fn incrbyfloat() {
    check_script(
        &mut TestShard::new(),
        r#"
        INCRBYFLOAT k 1.5 => "1.5"
        OBJECT ENCODING k => "embstr"
        INCRBYFLOAT k 1.5 => "3"
        OBJECT ENCODING k => "embstr"
        INCR k => :4
        OBJECT ENCODING k => "int"
        INCRBYFLOAT k 0.1 => "4.1"
        INCRBYFLOAT k abc => -ERR value is not a valid float
        INCRBYFLOAT k nan => -ERR value is not a valid float
        INCRBYFLOAT k inf => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT k -inf => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT k +inf => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT k infinity => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT k 1e5000 => -ERR value is not a valid float
        INCRBYFLOAT k 1e-5000 => -ERR value is not a valid float
        INCRBYFLOAT k " 1" => -ERR value is not a valid float
        INCRBYFLOAT k "1 " => -ERR value is not a valid float
        INCRBYFLOAT k "" => -ERR value is not a valid float
        INCRBYFLOAT k 1e => -ERR value is not a valid float
        INCRBYFLOAT k 1,5 => -ERR value is not a valid float
        INCRBYFLOAT k 0x => -ERR value is not a valid float
        GET k => "4.1"
        INCRBYFLOAT a 0.1 => "0.1"
        INCRBYFLOAT a 0.2 => "0.3"
        INCRBYFLOAT a 1e-17 => "0.30000000000000001"
        INCRBYFLOAT a 1e-18 => "0.30000000000000001"
        INCRBYFLOAT a 3.0e3 => "3000.30000000000000004"
        INCRBYFLOAT b 0x10 => "16"
        INCRBYFLOAT b 0x1p4 => "32"
        INCRBYFLOAT b +1 => "33"
        INCRBYFLOAT b .5 => "33.5"
        INCRBYFLOAT b 5. => "38.5"
        INCRBYFLOAT b 1e+2 => "138.5"
        INCRBYFLOAT b -138.5 => "0"
        INCRBYFLOAT b -16 => "-16"
        INCRBYFLOAT b 0 => "-16"
        INCRBYFLOAT b -0 => "-16"
        INCRBYFLOAT c -0 => "0"
        INCRBYFLOAT d -0.0000000000000000001 => "0"
        INCRBYFLOAT e 0.1234567890123456789 => "0.12345678901234568"
        INCRBYFLOAT e 123456789012345678901234567890 => "123456789012345678899921813504"
        INCRBYFLOAT f 1e30 => "1000000000000000000024696061952"
        INCRBYFLOAT f -1e30 => "0"
        INCRBYFLOAT g 9223372036854775807 => "9223372036854775807"
        INCRBYFLOAT g 1 => "9223372036854775808"
        SET h 5.0e3 => +OK
        INCRBYFLOAT h 200 => "5200"
        SET h " 1" => +OK
        INCRBYFLOAT h 1 => -ERR value is not a valid float
        SET h abc => +OK
        INCRBYFLOAT h 1 => -ERR value is not a valid float
        SET h "" => +OK
        INCRBYFLOAT h 1 => -ERR value is not a valid float
        SET h nan => +OK
        INCRBYFLOAT h 1 => -ERR value is not a valid float
        SET h inf => +OK
        INCRBYFLOAT h 1 => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT h -inf => -ERR increment would produce NaN or Infinity
        SET h 10 EX 100 => +OK
        INCRBYFLOAT h 1 => "11"
        TTL h => :100
        INCRBYFLOAT h => -ERR wrong number of arguments for 'incrbyfloat' command
        "#,
    );
}

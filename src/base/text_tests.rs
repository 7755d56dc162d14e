//! Texts of numbers, as redis-server 7.0, 8.0 and valkey-server 9.1 answered when asked.

use super::*;

#[test]
fn integers_are_strict() {
    for n in [0, 1, -1, 10, 99, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1, 1234567890123456789] {
        assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
    }
    let refused = "|-|+1|01|-01|-0|00| 1|1 |1x|x|--1|1.0|9223372036854775808|-9223372036854775809|18446744073709551615|\
                   18446744073709551617|99999999999999999999999|1\0";
    for text in refused.split('|') {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"007"), Some(7));
    for text in ["18446744073709551616", "", "-1", "+1", "1 "] {
        assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn doubles_are_read_as_scores_are() {
    let cases: &[(&str, f64)] = &[
        ("inf", f64::INFINITY),
        ("+INF", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("0x10", 16.0),
        ("0x1p3", 8.0),
        ("-0x.8p1", -1.0),
        ("0X1P-3", 0.125),
        ("0x1.", 1.0),
        ("0x1.8p-1074", 1e-323),
        ("0x1.7p-1074", 5e-324),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.00000000000018p0", 1.0000000000000004),
        ("0x1.000000000000080000000000000000000000000000000000001p0", 1.0000000000000002),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0xffffffffffffffffffffffffffffffffffffffffp0", 1.461501637330903e48),
        ("1e-320", 1e-320),
        ("4.9e-324", 5e-324),
        ("0e-999", 0.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+5", 5.0),
        ("000001", 1.0),
        ("1e0000000000005", 100000.0),
        ("-0", -0.0),
    ];
    for &(text, value) in cases {
        assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
    }
    let refused = "infi|nan|-nan|nan(1)|0x|0x1.fp|0x.p1|0x1p-2000|0x1p1024|0x1.fffffffffffff8p1023|1e400|-1e400|1e-400|\
                   2e-324|.|+-5||1e|1e+| 1|1 |\t1|1_0|1\0|1d5|1e5x|1,5|1p3|+|-|e5|.e5";
    for text in refused.split('|') {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
    let long = [b'1'; 400];
    assert_eq!(parse_f64(&long), None);
    assert_eq!(parse_f64(&long[..300]), Some(1.1111111111111111e299));
}

#[test]
fn doubles_are_written_shortest() {
    let cases: &[(f64, &str)] = &[
        (0.1, "0.1"),
        (1e20, "1e+20"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e17, "100000000000000000"),
        (4611686018427387904.0, "4611686018427387904"),
        (-4611686018427387904.0, "-4611686018427387904"),
        (9223372036854775807.0, "9223372036854776000"),
        (1.5e300, "1.5e+300"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (0.00001234, "1.234e-5"),
        (123456.789, "123456.789"),
        (3e18, "3000000000000000000"),
        (5e18, "5e+18"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (-1.2345678901234567e-300, "-1.2345678901234568e-300"),
        (-1e21, "-1e+21"),
        (12345678901234567890.0, "12345678901234567000"),
        (100000.0, "100000"),
        (-3.5, "-3.5"),
        (9007199254740993.0, "9007199254740992"),
        (12e30, "1.2e+31"),
        (123456e22, "1.23456e+27"),
        (0.0, "0"),
        (-0.0, "-0"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for &(value, text) in cases {
        assert_eq!(std::str::from_utf8(&double(value)).unwrap(), text);
    }
}

#[test]
fn sizes_in_memory() {
    let cases: &[(&str, Option<u64>)] = &[
        ("0", Some(0)),
        ("1024", Some(1024)),
        ("7b", Some(7)),
        ("1k", Some(1000)),
        ("1Kb", Some(1024)),
        ("100mb", Some(104857600)),
        ("3M", Some(3000000)),
        ("1GB", Some(1073741824)),
        ("2g", Some(2000000000)),
        ("", Some(0)),
        ("kb", Some(0)),
        ("1tb", None),
        ("-1", None),
        ("1 kb", None),
        ("1.5mb", None),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551615k", None),
    ];
    for &(text, bytes) in cases {
        assert_eq!(parse_memory(text.as_bytes()), bytes, "{text}");
    }
    for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1572864, "1.50M"), (u64::MAX, "16384.00P")] {
        assert_eq!(human_bytes(bytes), text);
    }
}

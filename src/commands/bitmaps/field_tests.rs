//! BITFIELD and BITFIELD_RO against the replies of a real server.

use super::*;
use crate::commands::testing::{TestShard, check_script};
use proptest::prelude::*;

#[test]
fn bitfield() {
    check_script(
        &mut TestShard::new(),
        r#"
        BITFIELD k => []
        EXISTS k => :0
        BITFIELD k GET u8 0 => [:0]
        EXISTS k => :0
        BITFIELD k SET u8 0 255 => [:0]
        OBJECT ENCODING k => "raw"
        BITFIELD k SET u8 0 256 GET u8 0 => [:255 :0]
        BITFIELD k SET i8 0 255 GET i8 0 => [:0 :-1]
        BITFIELD k GET u4 0 GET i4 4 get u1 7 => [:15 :-1 :1]
        BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 => [:1 :1]
        BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 => [:2 :2]
        BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 => [:3 :3]
        BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 => [:0 :3]
        BITFIELD k OVERFLOW FAIL INCRBY u2 102 1 => [$-1]
        BITFIELD k OVERFLOW FAIL SET u2 102 5 => [$-1]
        BITFIELD k OVERFLOW SAT SET u2 102 5 => [:3]
        BITFIELD k OVERFLOW SAT SET u2 102 -1 GET u2 102 => [:3 :3]
        BITFIELD k OVERFLOW WRAP SET u2 102 -1 GET u2 102 => [:3 :3]
        BITFIELD k OVERFLOW SAT SET i4 200 8 GET i4 200 SET i4 200 -9 GET i4 200 => [:0 :7 :7 :-8]
        BITFIELD k OVERFLOW FAIL INCRBY i4 200 -1 INCRBY i4 200 1 => [$-1 :-7]
        BITFIELD k OVERFLOW FOO => -ERR Invalid OVERFLOW type specified
        BITFIELD k OVERFLOW FOO GET u8 0 => -ERR Invalid OVERFLOW type specified
        BITFIELD k OVERFLOW => -ERR syntax error
        BITFIELD k OVERFLOW SAT => []
        BITFIELD k GET u8 #1 GET u8 #0 => [:0 :255]
        BITFIELD k SET u8 #3 7 => [:0]
        BITFIELD k GET u8 24 => [:7]
        BITFIELD k GET u64 0 => -ERR Invalid bitfield type...
        BITFIELD k GET i65 0 => -ERR Invalid bitfield type...
        BITFIELD k GET i0 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u0 0 => -ERR Invalid bitfield type...
        BITFIELD k GET x8 0 => -ERR Invalid bitfield type...
        BITFIELD k GET U8 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u8a 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u-1 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u08 0 => -ERR Invalid bitfield type...
        BITFIELD k GET "" 0 => -ERR Invalid bitfield type...
        BITFIELD k GET u8 => -ERR syntax error
        BITFIELD k GET u8 -1 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 abc => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 #-1 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 # => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 #536870911 => [:0]
        BITFIELD k GET u8 #536870912 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 4294967295 => [:0]
        BITFIELD k GET u8 4294967296 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 4294967296 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 #9223372036854775807 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 0 abc => -ERR value is not an integer or out of range
        BITFIELD k SET u8 0 => -ERR syntax error
        BITFIELD k INCRBY u8 0 => -ERR syntax error
        BITFIELD k INCRBY u8 0 1.5 => -ERR value is not an integer or out of range
        BITFIELD k FOO u8 0 => -ERR syntax error
        BITFIELD k GET u8 0 FOO => -ERR syntax error
        BITFIELD k SET u8 0 77 FOO => -ERR syntax error
        BITFIELD k GET u8 0 => [:255]
        BITFIELD => -ERR wrong number of arguments for 'bitfield' command
        "#,
    );
}

#[test]
fn bitfield_near_the_ends_of_64_bits() {
    check_script(
        &mut TestShard::new(),
        r#"
        BITFIELD k SET i64 3 9223372036854775807 => [:0]
        BITFIELD k GET i64 3 GET u63 3 GET u63 4 GET i64 #0
            => [:9223372036854775807 :4611686018427387903 :9223372036854775807 :1152921504606846975]
        BITFIELD k INCRBY i64 3 1 => [:-9223372036854775808]
        BITFIELD k OVERFLOW SAT INCRBY i64 3 -1 => [:-9223372036854775808]
        BITFIELD k OVERFLOW FAIL INCRBY i64 3 -1 => [$-1]
        BITFIELD k SET i64 #1 9223372036854775807 OVERFLOW SAT INCRBY i64 #1 1 => [:0 :9223372036854775807]
        BITFIELD k SET i64 64 -9223372036854775808 OVERFLOW SAT INCRBY i64 64 -9223372036854775808
            => [:9223372036854775807 :-9223372036854775808]
        BITFIELD k SET i64 #1 -4000000000000000000 OVERFLOW SAT INCRBY i64 #1 9223372036854775807
            => [:-9223372036854775808 :5223372036854775807]
        BITFIELD k SET i64 #1 4000000000000000000 OVERFLOW SAT INCRBY i64 #1 9223372036854775807
            => [:5223372036854775807 :9223372036854775807]
        BITFIELD k SET u63 #1 0 INCRBY u63 #1 9223372036854775807 => [:2305843009213693951 :9223372036854775807]
        BITFIELD k INCRBY u63 #1 9223372036854775807 => [:9223372036854775806]
        BITFIELD k INCRBY u63 #1 -9223372036854775808 => [:9223372036854775806]
        BITFIELD k OVERFLOW SAT INCRBY u63 #1 -9223372036854775808 => [:0]
        BITFIELD k SET u63 #1 -1 GET u63 #1 => [:0 :9223372036854775807]
        BITFIELD k SET u63 0 4000000000000000000 OVERFLOW SAT INCRBY u63 0 9223372036854775807
            => [:576460752303423488 :9223372036854775807]
        BITFIELD k SET u63 0 4000000000000000000 OVERFLOW SAT INCRBY u63 0 -9223372036854775808
            => [:9223372036854775807 :0]
        BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0 => [:0 :127]
        BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775807 GET i8 0 => [:127 :127]
        BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775600 GET i8 0 => [:127 :-128]
        BITFIELD k OVERFLOW SAT SET i8 0 9223372036854775807 GET i8 0 => [:-128 :127]
        BITFIELD k OVERFLOW SAT SET u8 0 9223372036854775807 GET u8 0 => [:127 :255]
        BITFIELD k OVERFLOW SAT SET u8 0 -9223372036854775808 GET u8 0 => [:255 :255]
        BITFIELD k OVERFLOW SAT SET u63 0 -9223372036854775808 GET u63 0 => [:9187343239835811840 :9223372036854775807]
        BITFIELD k OVERFLOW SAT SET i63 0 -9223372036854775808 GET i63 0 => [:-1 :4611686018427387903]
        BITFIELD k OVERFLOW FAIL SET i63 0 -9223372036854775808 GET i63 0 => [$-1 :4611686018427387903]
        BITFIELD k SET i8 0 10 OVERFLOW SAT INCRBY i8 0 9223372036854775807 => [:127 :127]
        BITFIELD k SET i8 0 10 OVERFLOW SAT INCRBY i8 0 -9223372036854775808 => [:127 :-128]
        BITFIELD k SET i8 0 -10 OVERFLOW SAT INCRBY i8 0 9223372036854775807 => [:-128 :127]
        BITFIELD k SET i8 0 -10 OVERFLOW SAT INCRBY i8 0 -9223372036854775808 => [:127 :-128]
        BITFIELD k SET i63 0 -4000000000000000000 OVERFLOW SAT INCRBY i63 0 -9223372036854775808
            => [:-4575657221408423937 :-4611686018427387904]
        BITFIELD k SET i63 0 4000000000000000000 OVERFLOW SAT INCRBY i63 0 9223372036854775807
            => [:-4611686018427387904 :4611686018427387903]
        BITFIELD k SET u8 0 10 OVERFLOW SAT INCRBY u8 0 -9223372036854775808 => [:127 :0]
        BITFIELD k SET u8 0 10 OVERFLOW WRAP INCRBY u8 0 -9223372036854775808 => [:0 :10]
        BITFIELD k SET u8 0 10 INCRBY u8 0 300 => [:10 :54]
        BITFIELD k SET u8 0 10 INCRBY u8 0 -300 => [:54 :222]
        BITFIELD k SET i1 0 0 INCRBY i1 0 1 OVERFLOW SAT INCRBY i1 0 5 OVERFLOW FAIL INCRBY i1 0 -1 => [:-1 :-1 :0 :-1]
        BITFIELD k SET u1 0 0 INCRBY u1 0 1 INCRBY u1 0 1 => [:1 :1 :0]
        BITFIELD k SET i5 0 100 SET i5 0 -100 SET u5 0 -100 SET u5 0 1000 => [:11 :4 :28 :28]
        BITFIELD k OVERFLOW SAT INCRBY i5 0 31 INCRBY i5 0 -100 OVERFLOW WRAP INCRBY i5 0 -100 => [:15 :-16 :12]
        BITFIELD k OVERFLOW FAIL INCRBY i5 0 9223372036854775807 => [$-1]
        GET k => "f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "#,
    );
}

#[test]
fn bitfield_grows_and_makes_raw() {
    check_script(
        &mut TestShard::new(),
        r#"
        BITFIELD k OVERFLOW FAIL INCRBY u1 0 2 => [$-1]
        EXISTS k => :1
        BITFIELD k OVERFLOW FAIL INCRBY u1 100 2 => [$-1]
        STRLEN k => :13
        SET i 12345 => +OK
        BITFIELD i GET u8 0 => [:49]
        OBJECT ENCODING i => "int"
        BITFIELD i OVERFLOW FAIL INCRBY u8 0 1000 => [$-1]
        OBJECT ENCODING i => "raw"
        BITFIELD i SET u8 0 65 => [:49]
        GET i => "A2345"
        SET s abc EX 100 => +OK
        BITFIELD s SET u8 0 65 => [:97]
        TTL s => :100
        "#,
    );
}

#[test]
fn bitfield_ro() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET k abc => +OK
        BITFIELD_RO k GET u8 0 => [:97]
        BITFIELD_RO k GET u8 0 GET u8 #1 GET i8 100 => [:97 :98 :0]
        BITFIELD_RO k SET u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD_RO k INCRBY u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD_RO k GET u8 0 SET u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD_RO k OVERFLOW SAT GET u8 0 => [:97]
        BITFIELD_RO k OVERFLOW FOO => -ERR Invalid OVERFLOW type specified
        BITFIELD_RO k => []
        BITFIELD_RO none GET u8 0 => [:0]
        BITFIELD_RO k GET u8 => -ERR syntax error
        BITFIELD_RO k FOO => -ERR syntax error
        GET k => "abc"
        BITFIELD_RO => -ERR wrong number of arguments for 'bitfield_ro' command
        "#,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is saved is loaded again, and no bit beside it changes.
    #[test]
    fn integers_keep_to_their_place(
        signed in any::<bool>(),
        width in 1_u32..=64,
        offset in 0_usize..100,
        value in any::<i64>(),
        fill in any::<u8>(),
    ) {
        let kind = Kind { signed, bits: if signed { width } else { width.min(63) } };
        let operation = Operation { kind, offset, action: Action::Get };
        let mut bytes = vec![fill; 24];
        let before: Vec<bool> = (0..192).map(|i| bytes[i / 8] >> (7 - i % 8) & 1 == 1).collect();
        save(&mut bytes, &operation, value);
        prop_assert_eq!(load(&bytes, &operation), kind.wrap(value as u64));
        for (i, bit) in before.into_iter().enumerate() {
            if !(offset..offset + kind.bits as usize).contains(&i) {
                prop_assert_eq!(bytes[i / 8] >> (7 - i % 8) & 1 == 1, bit);
            }
        }
        // Beyond the end of the string there are zeros.
        let cut = &bytes[..(offset / 8).min(bytes.len())];
        prop_assert_eq!(load(cut, &Operation { offset: cut.len() * 8, ..operation }), 0);
    }

    /// INCRBY in 128 bits.
    #[test]
    fn sums_agree_with_wide_arithmetic(
        signed in any::<bool>(),
        width in 1_u32..=64,
        a in any::<i64>(),
        b in any::<i64>(),
    ) {
        let kind = Kind { signed, bits: if signed { width } else { width.min(63) } };
        let value = kind.wrap(a as u64);
        let (max, min) = (i128::from(kind.max()), if signed { -i128::from(kind.max()) - 1 } else { 0 });
        let sum = i128::from(value) + i128::from(b);
        let fits = (min..=max).contains(&sum);
        prop_assert_eq!(kind.add(value, b, Overflow::Fail), fits.then_some(sum as i64));
        prop_assert_eq!(kind.add(value, b, Overflow::Saturate), Some(sum.clamp(min, max) as i64));
        prop_assert_eq!(kind.add(value, b, Overflow::Wrap), Some(kind.wrap(sum as u64)));
    }
}

//! BITCOUNT and BITPOS against the replies of a real server.

use super::*;
use crate::commands::testing::{TestShard, check_script};
use proptest::prelude::*;

#[test]
fn bitcount() {
    check_script(
        &mut TestShard::new(),
        r#"
        BITCOUNT k => :0
        SET k foobar => +OK
        BITCOUNT k => :26
        BITCOUNT k 0 0 => :4
        BITCOUNT k 1 1 => :6
        BITCOUNT k 1 1 BYTE => :6
        BITCOUNT k 5 30 BIT => :17
        BITCOUNT k 5 30 byte => :4
        BITCOUNT k 0 -5 => :10
        BITCOUNT k -2 -1 => :7
        BITCOUNT k -1 -2 => :0
        BITCOUNT k -100 -200 => :0
        BITCOUNT k -100 -50 => :4
        BITCOUNT k 0 -100 => :4
        BITCOUNT k 0 100 => :26
        BITCOUNT k 0 -1 BIT => :26
        BITCOUNT k -5 -1 BIT => :2
        BITCOUNT k 3 3 BIT => :0
        BITCOUNT k 1 2 BIT => :2
        BITCOUNT k 47 48 BIT => :0
        BITCOUNT k 48 100 BIT => :0
        BITCOUNT k -9223372036854775808 9223372036854775807 BIT => :26
        BITCOUNT k 9223372036854775807 -9223372036854775808 => :0
        BITCOUNT k 0 => :26
        BITCOUNT k 3 => :10
        BITCOUNT k -1 => :4
        BITCOUNT k 100 => :0
        BITCOUNT k a => -ERR value is not an integer or out of range
        BITCOUNT k 5 30 BITS => -ERR syntax error
        BITCOUNT k 5 30 BIT X => -ERR syntax error
        BITCOUNT k a 1 => -ERR value is not an integer or out of range
        BITCOUNT k 1 a => -ERR value is not an integer or out of range
        BITCOUNT none a 1 => -ERR value is not an integer or out of range
        BITCOUNT none 0 => :0
        BITCOUNT none 0 1 X => -ERR syntax error
        BITCOUNT none 0 1 BIT => :0
        SET i 12345 => +OK
        BITCOUNT i => :17
        BITCOUNT i 0 0 => :3
        SET e "" => +OK
        BITCOUNT e => :0
        BITCOUNT e 0 -1 => :0
        BITCOUNT e 0 0 BIT => :0
        BITCOUNT => -ERR wrong number of arguments for 'bitcount' command
        "#,
    );
}

#[test]
fn bitpos() {
    check_script(
        &mut TestShard::new(),
        r#"
        BITPOS k 0 => :0
        BITPOS k 1 => :-1
        BITPOS k 0 0 -1 => :0
        BITPOS k 1 0 -1 => :-1
        SET k "\x00\xff\xf0" => +OK
        BITPOS k 0 => :0
        BITPOS k 1 => :8
        BITPOS k 2 => -ERR The bit argument must be 1 or 0.
        BITPOS k -1 => -ERR The bit argument must be 1 or 0.
        BITPOS k a => -ERR value is not an integer or out of range
        BITPOS k 0 1 x y => -ERR syntax error
        BITPOS k 0 x 1 y => -ERR value is not an integer or out of range
        BITCOUNT k 1 x y => -ERR value is not an integer or out of range
        BITPOS k 0 1 => :20
        BITPOS k 0 1 -1 => :20
        BITPOS k 0 1 1 => :-1
        BITPOS k 1 2 => :16
        BITPOS k 1 2 -1 BYTE => :16
        BITPOS k 1 12 -1 BIT => :12
        BITPOS k 1 2 3 BIT => :-1
        BITPOS k 1 0 8 BIT => :8
        BITPOS k 1 0 7 BIT => :-1
        BITPOS k 0 8 15 BIT => :-1
        BITPOS k 0 8 23 BIT => :20
        BITPOS k 0 8 -1 BIT => :20
        BITPOS k 1 -4 -1 BIT => :-1
        BITPOS k 0 -4 -1 BIT => :20
        BITPOS k 0 -4 -4 BIT => :20
        BITPOS k 1 2 BIT => -ERR value is not an integer or out of range
        BITPOS k 1 2 3 FOO => -ERR syntax error
        BITPOS k 1 a => -ERR value is not an integer or out of range
        BITPOS k 1 0 a => -ERR value is not an integer or out of range
        BITPOS k 1 0 1 BIT X => -ERR syntax error
        BITPOS k 1 5 => :-1
        BITPOS k 0 5 => :-1
        BITPOS k 1 2 1 => :-1
        BITPOS k 0 -1 => :20
        BITPOS k 1 -100 -50 => :-1
        BITPOS k 1 0 -100 => :-1
        BITPOS k 0 -100 -200 => :0
        BITPOS k 0 100 => :-1
        BITPOS k 0 0 100 => :0
        BITPOS none 2 => -ERR The bit argument must be 1 or 0.
        BITPOS none 0 a => -ERR value is not an integer or out of range
        BITPOS none 0 0 0 FOO => -ERR syntax error
        SET f "\xff\xff" => +OK
        BITPOS f 0 => :16
        BITPOS f 0 0 => :16
        BITPOS f 0 1 => :16
        BITPOS f 0 2 => :-1
        BITPOS f 0 0 -1 => :-1
        BITPOS f 0 0 -1 BIT => :-1
        BITPOS f 0 0 1 => :-1
        SET z "\x00\x00" => +OK
        BITPOS z 1 => :-1
        BITPOS z 1 0 -1 => :-1
        SET e "" => +OK
        BITPOS e 0 => :-1
        BITPOS e 1 => :-1
        BITPOS e 0 0 => :-1
        BITPOS e 0 0 -1 => :-1
        SET i 12345 => +OK
        BITPOS i 1 => :2
        BITPOS k => -ERR wrong number of arguments for 'bitpos' command
        "#,
    );
}

fn bit_at(bytes: &[u8], index: usize) -> bool {
    bytes[index >> 3] >> (7 - (index & 7)) & 1 == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Long runs of one byte with a few others in between, every range, bit by bit.
    #[test]
    fn counting_and_finding_agree_with_single_bits(
        fill in prop::sample::select(vec![0x00_u8, 0xff, 0x5a]),
        len in 1_usize..1200,
        spots in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let mut bytes = vec![fill; len];
        for (index, byte) in spots {
            bytes[index.index(len)] = byte;
        }
        let (a, b) = (ends.0.index(len * 8), ends.1.index(len * 8));
        let (first, last) = (a.min(b), a.max(b));
        let ones = (first..=last).filter(|index| bit_at(&bytes, *index)).count();
        prop_assert_eq!(count_ones(&bytes, first, last), ones as u64);
        for bit in [false, true] {
            let found = (first..=last).find(|index| bit_at(&bytes, *index) == bit);
            prop_assert_eq!(find_bit(&bytes, bit, first, last), found);
        }
    }
}

//! BITOP against the replies of a real server.

use super::*;
use crate::commands::testing::{TestShard, check_script};
use proptest::prelude::*;

#[test]
fn bitop() {
    check_script(
        &mut TestShard::new(),
        r#"
        SET a foobar => +OK
        SET b "\x00\xff\xf0" => +OK
        BITOP AND d a b => :6
        GET d => "\x00o`\x00\x00\x00"
        OBJECT ENCODING d => "raw"
        BITOP OR d a b => :6
        GET d => "f\xff\xffbar"
        BITOP XOR d a b => :6
        GET d => "f\x90\x9fbar"
        BITOP NOT d a => :6
        GET d => "\x99\x90\x90\x9d\x9e\x8d"
        BITOP NOT d b => :3
        GET d => "\xff\x00\x0f"
        BITOP AND d b a => :6
        GET d => "\x00o`\x00\x00\x00"
        BITOP OR d b a none => :6
        GET d => "f\xff\xffbar"
        BITOP AND d b a none => :6
        GET d => "\x00\x00\x00\x00\x00\x00"
        BITOP XOR d a a => :6
        GET d => "\x00\x00\x00\x00\x00\x00"
        BITOP XOR d a b a => :6
        GET d => "\x00\xff\xf0\x00\x00\x00"
        BITOP OR d a => :6
        GET d => "foobar"
        BITOP and d a b => :6
        BITOP NOT d a b => -ERR BITOP NOT must be called with a single source key.
        BITOP FOO d a => -ERR syntax error
        BITOP DIFF d a b => -ERR syntax error
        BITOP DIFF1 d a b => -ERR syntax error
        BITOP ANDOR d a b => -ERR syntax error
        BITOP ONE d a b => -ERR syntax error
        BITOP NOT d => -ERR wrong number of arguments for 'bitop' command
        BITOP AND d => -ERR wrong number of arguments for 'bitop' command
        BITOP AND d none => :0
        EXISTS d => :0
        BITOP NOT d none => :0
        BITOP OR d none none2 => :0
        SET i 12345 => +OK
        BITOP OR d i i => :5
        OBJECT ENCODING d => "raw"
        GET d => "12345"
        SET d 1 EX 100 => +OK
        BITOP OR d a => :6
        TTL d => :-1
        BITOP OR a a b => :6
        GET a => "f\xff\xffbar"
        BITOP NOT a a => :6
        GET a => "\x99\x00\x00\x9d\x9e\x8d"
        SET e "" => +OK
        BITOP OR a e => :0
        EXISTS a => :0
        "#,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sources that are absent, short, and longer than a block, byte by byte.
    #[test]
    fn combining_agrees_with_single_bytes(lens in prop::collection::vec(prop::sample::select(
        vec![0, 1, 7, 8, 100, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 9],
    ), 1..5), seed in any::<u8>()) {
        let texts: Vec<Vec<u8>> = lens
            .iter()
            .enumerate()
            .map(|(turn, len)| (0..*len).map(|i| (i * (7 + turn)) as u8 ^ seed.rotate_left(turn as u32)).collect())
            .collect();
        let sources: Vec<Held> = texts.iter().map(|text| Held::Big(Arc::new(text.clone()))).collect();
        let len = lens.iter().copied().max().unwrap_or(0);
        for (operation, combined) in [
            (Operation::And, (|a, b| a & b) as fn(u8, u8) -> u8),
            (Operation::Or, |a, b| a | b),
            (Operation::Xor, |a, b| a ^ b),
        ] {
            let byte = |index: usize| {
                texts.iter().map(|text| text.get(index).copied().unwrap_or(0)).reduce(combined).unwrap_or(0)
            };
            let expected: Vec<u8> = (0..len).map(byte).collect();
            prop_assert_eq!(combine(operation, &sources), expected);
        }
        let inverted: Vec<u8> = texts[0].iter().map(|byte| !byte).collect();
        prop_assert_eq!(combine(Operation::Not, &sources[..1]), inverted);
    }
}

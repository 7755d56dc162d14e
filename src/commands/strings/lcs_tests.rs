//! LCS against the replies of a real server.

use super::*;
use crate::commands::testing::{TestShard, check, check_script};
use proptest::prelude::*;

#[test]
fn lcs() {
    check_script(
        &mut TestShard::new(),
        r#"
        LCS a b => ""
        LCS a b LEN => :0
        LCS a b IDX => ["matches" [] "len" :0]
        MSET a ohmytext b mynewtext => +OK
        LCS a b => "mytext"
        LCS a b LEN => :6
        LCS a b IDX => ["matches" [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] "len" :6]
        LCS a b IDX MINMATCHLEN 4 => ["matches" [[[:4 :7] [:5 :8]]] "len" :6]
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN => ["matches" [[[:4 :7] [:5 :8] :4]] "len" :6]
        LCS a b IDX WITHMATCHLEN => ["matches" [[[:4 :7] [:5 :8] :4] [[:2 :3] [:0 :1] :2]] "len" :6]
        LCS a b IDX MINMATCHLEN 0 => ["matches" [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] "len" :6]
        LCS a b IDX MINMATCHLEN -5 => ["matches" [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] "len" :6]
        LCS a b IDX MINMATCHLEN 100 => ["matches" [] "len" :6]
        LCS b a IDX => ["matches" [[[:5 :8] [:4 :7]] [[:0 :1] [:2 :3]]] "len" :6]
        LCS a a => "ohmytext"
        LCS a a IDX WITHMATCHLEN => ["matches" [[[:0 :7] [:0 :7] :8]] "len" :8]
        LCS a none => ""
        LCS a b IDX LEN => -ERR If you want both the length and indexes, please just use IDX.
        LCS a b LEN IDX => -ERR If you want both the length and indexes, please just use IDX.
        LCS a b LEN LEN => :6
        LCS a b WITHMATCHLEN => "mytext"
        LCS a b WITHMATCHLEN LEN => :6
        LCS a b MINMATCHLEN 4 => "mytext"
        LCS a b MINMATCHLEN abc => -ERR value is not an integer or out of range
        LCS a b MINMATCHLEN => -ERR syntax error
        LCS a b FOO => -ERR syntax error
        LCS a b len FOO => -ERR syntax error
        LCS a => -ERR wrong number of arguments for 'lcs' command
        MSET a 12345 b 1357 => +OK
        LCS a b => "135"
        LCS a b IDX => ["matches" [[[:4 :4] [:2 :2]] [[:2 :2] [:1 :1]] [[:0 :0] [:0 :0]]] "len" :3]
        MSET a AGCAT b GAC => +OK
        LCS a b => "GA"
        LCS a b idx withmatchlen => ["matches" [[[:3 :3] [:1 :1] :1] [[:1 :1] [:0 :0] :1]] "len" :2]
        MSET a "" b x => +OK
        LCS a b => ""
        LCS a b IDX => ["matches" [] "len" :0]
        "#,
    );
}

#[test]
fn resp3_index_is_a_map() {
    check_script(
        &mut TestShard::resp3(),
        r#"
        LCS a b IDX => %["matches" [] "len" :0]
        MSET a ohmytext b mynewtext => +OK
        LCS a b IDX WITHMATCHLEN => %["matches" [[[:4 :7] [:5 :8] :4] [[:2 :3] [:0 :1] :2]] "len" :6]
        "#,
    );
}

#[test]
fn the_table_is_bounded_as_a_string_is() {
    let mut shard = TestShard::new();
    shard.bulk_bytes_max = 4 * 11 * 6;
    shard.run("MSET a 1234567890 b 12345 c 123456");
    check(&mut shard, "LCS a b", r#""12345""#);
    let refusal = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    check(&mut shard, "LCS a c", refusal);
    check(&mut shard, "LCS a c LEN", refusal);
    check(&mut shard, "LCS c c", r#""123456""#);
}

/// Whether `part` is a subsequence of `whole`.
fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

/// The length by plain recursion.
fn naive(a: &[u8], b: &[u8]) -> u32 {
    match (a, b) {
        ([x, a @ ..], [y, b @ ..]) if x == y => 1 + naive(a, b),
        ([_, short_a @ ..], [_, short_b @ ..]) => naive(short_a, b).max(naive(a, short_b)),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_three_answers_agree_with_recursion(a in "[abc]{0,9}", b in "[abc]{0,9}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let len = naive(a, b);
        let table = Lengths::new(a, b);
        prop_assert_eq!(length(a, b), len);
        prop_assert_eq!(table.at(a.len(), b.len()), len);
        let found = common(&table, a, b);
        prop_assert_eq!(found.len(), len as usize);
        prop_assert!(is_subsequence(&found, a) && is_subsequence(&found, b));
        let joined: Vec<u8> = runs(&table, a, b).iter().rev().flat_map(|(in_a, _)| a[in_a.clone()].to_vec()).collect();
        prop_assert_eq!(joined, found);
        for (in_a, in_b) in runs(&table, a, b) {
            prop_assert_eq!(&a[in_a], &b[in_b]);
        }
    }
}

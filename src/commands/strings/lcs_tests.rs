//! LCS against the replies of a real server.

use crate::commands::testing::{TestShard, check_script};

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

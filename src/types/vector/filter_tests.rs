//! Expressions against attributes.

use super::*;
use proptest::prelude::*;

const ATTRIBUTES: &str = r#"{"n": 5, "zero": 0, "text": "abc", "empty": "", "num": "12", "yes": true, "no": false,
    "nothing": null, "list": [1, "x", 2.5, [3]], "none": [], "nested": {"n": 1},
    "quoted": "a\"b\\c\nd", "last": -1.5e2 }"#;

#[track_caller]
fn check(text: &str, expected: bool) {
    let filter = Filter::compile(text.as_bytes()).unwrap_or_else(|unclear| panic!("{text}: {unclear:?}"));
    assert_eq!(filter.accepts(ATTRIBUTES.as_bytes()), expected, "{text}");
}

#[track_caller]
fn check_unclear(text: &str, near: &str) {
    let unclear = Filter::compile(text.as_bytes()).expect_err(text);
    assert_eq!(&text[unclear.at..], near, "{text}");
}

#[test]
fn values_compare() {
    for text in [
        ".n == 5",
        ".n != 6",
        ".n > 4.5",
        ".n>=5",
        ".n <= 5",
        "not .n < 5",
        "!(.n < 5)",
        ".text == 'abc'",
        ".text == \"abc\"",
        ".num == 12",
        ".num == '12'",
        ".num > 11",
        ".nothing == null",
        ".yes",
        ".yes == 1",
        "not .no",
        "not .zero",
        "not .empty",
        "not .nothing",
        ".list",
        ".none",
        ".last == -150",
        "null == null",
        "(.nothing == null)",
        ".text != null",
        "' 12' == 12",
        "'0x10' == 16",
        "'1e1' == 10",
        ".list == 0",
    ] {
        check(text, true);
    }
    for text in [".n == 6", ".text == 'ab'", ".n == null", "null", "''", "0", ".text > 0", ".no or .zero", ".n == 'x'"]
    {
        check(text, false);
    }
}

#[test]
fn operators_bind_as_in_arithmetic() {
    for text in [
        "2 + 3 * 4 == 14",
        "(2 + 3) * 4 == 20",
        "2 ** 3 ** 2 == 512",
        "7 % 4 == 3",
        "-7 % 4 == -3",
        "10 - 2 - 3 == 5",
        "1 / 4 == 0.25",
        "-1 + 2 == 1",
        "2 -1 == 1",
        "(1) -1 == 0",
        "1 == 1 and 2 == 2 or 0",
        "0 and 0 or 1",
        "1 or 0 and 0",
        "!!.yes",
        "not not .yes",
        "!!!.no",
        "!!.n == 1",
        "!.yes or !!.yes",
        "1 > 0 && 2 > 1",
        "0 || 1",
        "2 * -3 == -6",
        "!0 + 1 == 2",
    ] {
        check(text, true);
    }
}

#[test]
fn things_are_in_lists_and_texts() {
    for text in [
        "1 in .list",
        "'x' in .list",
        "2.5 in .list",
        ".n in [4, 5, 6]",
        ".n in [5,]",
        ".text in ['abc', \"d\"]",
        "'b' in .text",
        "'' in .text",
        "'abc' in .text",
        ".num in [12]",
        "not (7 in [])",
        "0 in .list",
    ] {
        check(text, true);
    }
    for text in ["4 in .list", "'abcd' in .text", "5 in .text", ".n in []", ".text in 5"] {
        check(text, false);
    }
}

#[test]
fn escapes_stand_for_characters() {
    check(r#".quoted == "a\"b\\c\nd""#, true);
    check(r#"'"' in .quoted"#, true);
    check(r#"'\'' in .quoted"#, false);
}

#[test]
fn a_field_that_is_not_there_matches_nothing() {
    for text in [".missing", "not .missing", ".missing or .yes", ".nested", ".nested == 1", ".", ".list and .-x"] {
        check(text, false);
    }
    for attributes in
        ["", "5", "null", "{", "{\"n\"", "{\"n\":", "{\"n\":5x", "{\"a\" 1, \"n\": 5}", "{\"a\":x,\"n\":5}"]
    {
        let filter = Filter::compile(b".n == 6").expect("it compiles");
        assert!(!filter.accepts(attributes.as_bytes()), "{attributes}");
    }
    let filter = Filter::compile(b".n == 5").expect("it compiles");
    for attributes in ["{\"n\":5", "{\"n\":5, what", " { \"a\" : [[{\"]\"}] , \"}\" ] , \"n\" : 5 }"] {
        assert!(filter.accepts(attributes.as_bytes()), "{attributes}: nobody looks behind the field");
    }
    let deep = format!("{{\"n\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!Filter::compile(b".n").expect("it compiles").accepts(deep.as_bytes()));
}

#[test]
fn what_means_nothing_is_refused_with_its_place() {
    for text in [
        "", "  ", "(((", ".n)", "(.n", ".n .n", ".n and", "and .n", "1 2", "()", ".n == ", "not", "-.n", "'open", "\"",
        "[1", "=", "[1, 2",
    ] {
        check_unclear(text, text);
    }
    check_unclear("1e-5", "-5");
    check_unclear(".n == 1 # x", "# x");
    check_unclear(".n = 1", " 1");
    check_unclear("nothing", "nothing");
    check_unclear("[.n] == 1", ".n] == 1");
    check_unclear("1.2.3 == 1", " == 1");
    check_unclear("not hing .n", " .n");
}

#[test]
fn a_nul_ends_the_text() {
    let filter = Filter::compile(b".n == 5\0 and what").expect("it compiles");
    assert!(filter.accepts(ATTRIBUTES.as_bytes()));
}

#[test]
fn many_parentheses_take_no_stack() {
    let text = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    check(&text, true);
    check(&format!("{}1", "!".repeat(100_000)), true);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_panics(
        text in "[-a-z0-9.()\\[\\]'\"!=<>*/%+|& ,\\\\]{0,40}",
        attributes in "[{}\":,a-c0-9\\[\\]\\\\ tn-]{0,40}",
    ) {
        if let Ok(filter) = Filter::compile(text.as_bytes()) {
            filter.accepts(attributes.as_bytes());
        }
        for name in ["a", "b"] {
            json::field(attributes.as_bytes(), name.as_bytes());
        }
    }
}

//! Replies, byte for byte, in both dialects.

use super::*;
use std::sync::Arc;

fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
    for (proto, want) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
        let mut out = OutBuf::default();
        out.bytes.extend_from_slice(b"before");
        write(&mut Reply::new(&mut out, proto));
        let got = String::from_utf8(out.bytes).unwrap();
        assert_eq!(got.strip_prefix("before"), Some(want), "{proto:?}");
    }
}

fn same(write: impl Fn(&mut Reply<'_>), want: &str) {
    check(write, want, want);
}

#[test]
fn lines() {
    same(|r| r.ok(), "+OK\r\n");
    same(|r| r.simple("PONG"), "+PONG\r\n");
    same(|r| r.simple("a\r\nb"), "+a  b\r\n");
    same(|r| r.error("ERR no such key"), "-ERR no such key\r\n");
    same(|r| r.error("\r\nERR one\r\ntwo\n\r\n"), "-ERR one  two\r\n");
    same(|r| r.error("\r\n"), "-\r\n");
    same(|r| r.error_fmt(format_args!("ERR unknown '{}'", "a\nb\n")), "-ERR unknown 'a b '\r\n");
    same(|r| r.error_fmt(format_args!("ERR plain")), "-ERR plain\r\n");
    same(|r| r.error_bytes(b"ERR x"), "-ERR x\r\n");
}

#[test]
fn integers() {
    for n in (-1100..1100).chain([i64::MIN, i64::MAX, 65535, 1_000_000_007]) {
        same(|r| r.integer(n), &format!(":{n}\r\n"));
    }
}

#[test]
fn strings() {
    for len in (0..600).chain([65535, 65536, 1_000_000]) {
        let text = "x".repeat(len);
        same(|r| r.bulk(text.as_bytes()), &format!("${len}\r\n{text}\r\n"));
        same(|r| r.bulk_fmt(format_args!("{text}")), &format!("${len}\r\n{text}\r\n"));
    }
    same(|r| r.bulk_integer(-42), "$3\r\n-42\r\n");
    check(|r| r.verbatim("txt", b"hello"), "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n");
    check(|r| r.big_number(b"123456789012345678901"), "$21\r\n123456789012345678901\r\n", "(123456789012345678901\r\n");
}

#[test]
fn nulls_and_truth() {
    check(|r| r.null(), "$-1\r\n", "_\r\n");
    check(|r| r.null_array(), "*-1\r\n", "_\r\n");
    check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
    check(|r| r.boolean(false), ":0\r\n", "#f\r\n");
}

#[test]
fn doubles() {
    check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
    check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(|r| r.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
}

#[test]
fn aggregates() {
    same(|r| r.array(0), "*0\r\n");
    same(|r| r.array(1_000_000), "*1000000\r\n");
    check(|r| r.map(3), "*6\r\n", "%3\r\n");
    check(|r| r.set(3), "*3\r\n", "~3\r\n");
    check(|r| r.push(3), "*3\r\n", ">3\r\n");
}

#[test]
fn lengths_set_later() {
    for n in [0, 1, 9, 10, 99, 100, 1234] {
        let elements = ":7\r\n".repeat(n);
        let twice = elements.repeat(2);
        let fill = |r: &mut Reply<'_>, n: usize| (0..n).for_each(|_| r.integer(7));
        let array = |r: &mut Reply<'_>| {
            let later = r.array_later();
            fill(r, n);
            r.set_array_len(later, n);
        };
        same(array, &format!("*{n}\r\n{elements}"));
        let set = |r: &mut Reply<'_>| {
            let later = r.array_later();
            fill(r, n);
            r.set_set_len(later, n);
        };
        check(set, &format!("*{n}\r\n{elements}"), &format!("~{n}\r\n{elements}"));
        let map = |r: &mut Reply<'_>| {
            let later = r.array_later();
            fill(r, 2 * n);
            r.set_map_len(later, n);
        };
        check(map, &format!("*{}\r\n{twice}", 2 * n), &format!("%{n}\r\n{twice}"));
    }
    let nested = |r: &mut Reply<'_>| {
        let outer = r.array_later();
        let inner = r.array_later();
        (0..12).for_each(|_| r.null());
        r.set_array_len(inner, 12);
        r.set_array_len(outer, 1);
    };
    let want = |null: &str| format!("*1\r\n*12\r\n{}", null.repeat(12));
    check(nested, &want("$-1\r\n"), &want("_\r\n"));
    let cancelled = |r: &mut Reply<'_>| {
        let later = r.array_later();
        r.integer(1);
        r.cancel(later);
        r.error("ERR x");
    };
    same(cancelled, "-ERR x\r\n");
}

#[test]
fn large_strings_are_spliced_in() {
    let small: BigString = Arc::new(vec![b's'; BIG_REPLY_BYTES_MIN - 1]);
    let large: BigString = Arc::new(vec![b'l'; BIG_REPLY_BYTES_MIN]);
    let mut out = OutBuf::default();
    let mut reply = Reply::new(&mut out, Proto::Resp2);
    reply.big(&large);
    let later = reply.array_later();
    reply.big(&large);
    reply.big(&small);
    (0..10).for_each(|n| reply.integer(n));
    reply.set_array_len(later, 12);
    let bulk = |s: &BigString| format!("${}\r\n{}\r\n", s.len(), String::from_utf8(s.to_vec()).unwrap());
    let numbers: String = (0..10).map(|n| format!(":{n}\r\n")).collect();
    let want = format!("{}*12\r\n{}{}{numbers}", bulk(&large), bulk(&large), bulk(&small));
    assert_eq!(out.bigs.len(), 2, "the small one is copied");
    assert_eq!(out.len(), want.len());
    assert_eq!(out.flat(), want.as_bytes());
}

//! Files that are damaged anywhere: an error that names a place, or data; never a panic, never more memory than the
//! file accounts for.

use super::*;
use crate::persist::rdb::FileWriter;
use crate::types::rdb::Flavor;
use crate::types::rdb::read::{Bad, Limits, Reader};
use crate::types::value::View;
use proptest::prelude::*;
use std::fs;

/// Decodes all that it is given.
#[derive(Debug, Default)]
struct Decoder {
    version: u16,
    keys: Vec<Vec<u8>>,
    commands: Vec<Vec<u8>>,
}

impl Sink for Decoder {
    fn snapshot(&mut self, _: &Path, version: u16, _: bool) -> Result<(), Refusal> {
        self.version = version;
        Ok(())
    }

    fn entry(&mut self, entry: &RawEntry<'_>) -> Result<(), Refusal> {
        let mut reader = Reader::new(entry.body, self.version);
        match reader.value(entry.kind, &Limits::default()) {
            Ok(_) if !reader.is_at_end() => panic!("a value of type {} is shorter than its place", entry.kind),
            Ok(_) | Err(Bad::Empty(_)) => self.keys.push(entry.key.to_vec()),
            Err(Bad::Short) => panic!("a value of type {} is longer than its place", entry.kind),
            Err(bad) => return Err(Refusal::Because(bad.to_string())),
        }
        Ok(())
    }

    fn remark(&mut self, _: &[u8], _: &[u8]) {}
    fn function(&mut self, _: &[u8]) {}

    fn command(&mut self, db: u64, words: &[&[u8]]) -> Result<(), Refusal> {
        let words: Vec<&[u8]> =
            std::iter::once(if db == 0 { &b"0"[..] } else { b"n" }).chain(words.iter().copied()).collect();
        self.commands.push(words.join(&b' '));
        Ok(())
    }

    fn warn(&mut self, _: &str) {}
    fn progress(&mut self, _: u64) {}
}

/// Reads these bytes as a file.
fn read(bytes: &[u8], name: &str) -> (Result<aof::Ending, LoadError>, Decoder) {
    let path = std::env::temp_dir().join(format!("pinion-load-{}-{name}", std::process::id()));
    fs::write(&path, bytes).expect("written");
    let mut window = Window::open(&path).expect("it is there");
    let mut decoder = Decoder::default();
    let result = aof::read(&mut window, &mut decoder);
    fs::remove_file(&path).expect("it is there");
    (result, decoder)
}

/// A snapshot with strings short, long and numeric, then commands.
fn sample() -> Vec<u8> {
    let mut writer = FileWriter::new(11, Flavor::Redis, true, true);
    writer.remark("redis-ver", "7.2.0");
    writer.database(3, 3, 1);
    let long = b"compressible ".repeat(50);
    let attributes = Attributes { expire_ms: Some(33_000_000_000_000), idle_s: Some(7), frequency: None };
    writer.entry(b"long", View::Str { bytes: &long, raw: false }, attributes);
    writer.entry(b"number", View::Int(12_345), Attributes::default());
    writer.entry(b"text", View::Str { bytes: b"text", raw: false }, Attributes::default());
    let mut bytes = writer.end();
    bytes.extend_from_slice(
        b"#TS:1\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n\
          *1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n",
    );
    bytes
}

#[test]
fn a_whole_file_is_read() {
    let (result, decoder) = read(&sample(), "whole");
    assert!(matches!(result, Ok(aof::Ending::Whole)), "{result:?}");
    assert_eq!(decoder.keys, [&b"long"[..], b"number", b"text"]);
    assert_eq!(decoder.commands, [&b"n SET a 1"[..], b"n DEL a"]);
}

#[test]
fn wherever_a_file_ends_it_is_torn_or_damaged_but_no_transaction_is_half_there() {
    let whole = sample();
    let log = whole.windows(4).position(|bytes| bytes == b"#TS:").expect("the log");
    for len in 1..whole.len() {
        let (result, decoder) = read(&whole[..len], "cut");
        assert_eq!(
            matches!(result, Ok(aof::Ending::Torn { .. } | aof::Ending::Whole)),
            len >= log,
            "{len}: {result:?}"
        );
        assert!(!decoder.commands.contains(&b"n DEL a".to_vec()), "{len}");
        if let Ok(aof::Ending::Torn { at }) = result {
            assert!((log..len).contains(&(at as usize)), "{len}: {at}");
        }
    }
}

#[test]
fn lengths_beyond_the_file_are_refused_without_reading_on() {
    for (body, why) in [
        (&b"\xfe\x00\x00\x81\x00\x00\x10\x00\x00\x00\x00\x00k"[..], "the file ends in mid-value"),
        (b"\xfe\x00\x00\x01k\xc3\x01\x81\x00\x00\x10\x00\x00\x00\x00\x00x", "compressed string"),
        (b"\xfe\x00\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff", "the file ends in mid-value"),
        (b"\xfe\x00\x0f\x01k\x80\xff\xff\xff\xff", "the file ends in mid-value"),
    ] {
        let (result, _) = read(&[b"REDIS0011", body].concat(), "huge");
        let error = result.expect_err("it is no file").to_string();
        assert!(error.contains(why) && error.contains(": at byte "), "{error}");
    }
    let (result, _) = read(b"*3\r\n$99999999999999999\r\nx", "huge-word");
    assert!(matches!(result, Ok(aof::Ending::Torn { at: 0 })), "{result:?}");
    let (result, _) = read(b"*1\r\n$40\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "long-word");
    let error = result.expect_err("a wrong length is no torn tail").to_string();
    assert!(error.contains("with commands behind it"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Some bytes of a whole file are others.
    #[test]
    fn flipped_bytes_do_no_harm(flips in proptest::collection::vec((0usize..1000, any::<u8>()), 1..4)) {
        let mut bytes = sample();
        let len = bytes.len();
        for (at, byte) in flips {
            bytes[at % len] = byte;
        }
        drop(read(&bytes, "flipped"));
    }

    /// A value of any type made of arbitrary bytes.
    #[test]
    fn arbitrary_values_do_no_harm(kind in 0u8..26, body in proptest::collection::vec(any::<u8>(), 0..120)) {
        let version = if kind == 22 { &b"VALKEY080"[..] } else { b"REDIS0012" };
        drop(read(&[version, b"\xfe\x00", &[kind], b"\x01k", &body].concat(), "arbitrary"));
    }
}

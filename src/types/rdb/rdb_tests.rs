//! Values through RDB and back, payloads of real servers, and payloads of nobody.

use super::read::{self, Bad, Limits, Reader};
use super::write::{self, Writer};
use super::{Flavor, crc64::crc64, kind};
use crate::types::hash::Hash;
use crate::types::list::{End, Fill, List};
use crate::types::set::Set;
use crate::types::table::Expire;
use crate::types::value::{Owned, Value, View};
use proptest::prelude::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn limits() -> Limits {
    Limits { now_ms: NOW_MS, ..Limits::default() }
}

/// A body as a payload of this version.
fn sealed(kind: u8, body: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [&[kind], body, &version.to_le_bytes()].concat();
    bytes.extend(crc64(0, &bytes).to_le_bytes());
    bytes
}

fn boxed(value: Value) -> Owned {
    Owned::Boxed(Box::new(value))
}

#[test]
fn lengths_read_back() {
    for n in [0, 1, 63, 64, 16383, 16384, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
        let mut writer = Writer::default();
        writer.length(n);
        assert_eq!(Reader::new(&writer.bytes, 10).length(), Ok(n));
    }
}

#[test]
fn strings_take_their_shortest_form() {
    for (text, len) in [
        ("12", 2),
        ("-300", 3),
        ("100000", 5),
        ("2147483648", 11),
        ("012", 4),
        ("", 1),
        (&"a".repeat(100), 11),
        (&"abcdefghij".repeat(2), 21),
    ] {
        let mut writer = Writer { compress: true, ..Writer::default() };
        writer.string(text.as_bytes());
        assert!(writer.bytes.len() <= len, "{text}: {}", writer.bytes.len());
        assert_eq!(Reader::new(&writer.bytes, 10).string().expect("ours"), text.as_bytes());
    }
}

#[test]
fn lists_read_back_in_the_form_of_their_size() {
    for (len, encoding) in [(100, "listpack"), (70_000, "quicklist")] {
        let mut list = List::new();
        for n in 0..len {
            let text = format!("element:{n}");
            list.grow(text.len(), 1, Fill::default());
            list.push(End::Tail, text.as_bytes(), Fill::default());
        }
        let value = Value::List(list);
        let payload = write::payload(View::Boxed(&value), Flavor::Redis);
        let Ok(Owned::Boxed(read)) = read::payload(&payload, &limits()) else { panic!("a list") };
        assert!(*read == value);
        assert_eq!(read.as_list().map(List::encoding), Some(encoding));
        assert!(read.heap_bytes() < value.heap_bytes() * 11 / 10);
    }
}

#[test]
fn hashes_that_expire_take_both_forms() {
    for (fields, value_len) in [(3, 5), (3, 100), (1000, 5)] {
        let mut hash = Hash::new();
        for n in 0..fields {
            let expire = if n % 3 == 0 { Expire::Clear } else { Expire::At(NOW_MS + 1000 + n) };
            let value = "v".repeat(value_len);
            hash.set(format!("f{n}").as_bytes(), value.as_bytes(), expire, NOW_MS, limits().hash);
        }
        let value = Value::Hash(hash);
        for (flavor, version) in [(Flavor::Redis, 12), (Flavor::Valkey, 80)] {
            let payload = write::payload(View::Boxed(&value), flavor);
            assert_eq!(write::version(View::Boxed(&value), flavor), version);
            assert_eq!(read::payload(&payload, &limits()), Ok(boxed(value.clone())));
            let later = Limits { now_ms: NOW_MS + 10_000, ..limits() };
            let Ok(Owned::Boxed(left)) = read::payload(&payload, &later) else { panic!("some fields stay") };
            assert_eq!(left.as_hash().map(Hash::len), Some(fields.div_ceil(3) as usize));
            let form = if flavor == Flavor::Redis && value_len < 64 { "listpackex" } else { "" };
            assert!(form.is_empty() || left.as_hash().map(Hash::encoding) == Some(form), "as Redis leaves it");
        }
    }
}

#[test]
fn old_layouts_are_read() {
    let hash = |pairs: &[(&str, &str)]| {
        let mut hash = Hash::new();
        for (name, value) in pairs {
            hash.set(name.as_bytes(), value.as_bytes(), Expire::Clear, 0, limits().hash);
        }
        boxed(Value::Hash(hash))
    };
    let zipmap = b"\x1a\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
    assert_eq!(read::payload(&sealed(kind::HASH_ZIPMAP, zipmap, 2), &limits()), {
        Ok(hash(&[("foo", "bar"), ("hello", "world")]))
    });
    // Two strings and a number: "a", 5 as an immediate, -2 in a byte, 1000 in two.
    let entries: &[u8] = b"\x00\x01a\x03\xf6\x02\xfe\xfe\x03\xc0\xe8\x03";
    let bytes = [&(10 + entries.len() as u32 + 1).to_le_bytes()[..], &[0; 4], &[4, 0], entries, b"\xff"].concat();
    let body = [&[bytes.len() as u8][..], &bytes].concat();
    assert_eq!(
        read::payload(&sealed(kind::HASH_ZIPLIST, &body, 6), &limits()),
        Ok(hash(&[("a", "5"), ("-2", "1000")]))
    );
    let list = read::payload(&sealed(kind::LIST_ZIPLIST, &body, 6), &limits()).expect("a list");
    assert_eq!(read::payload(&sealed(kind::LIST_QUICKLIST_1, &[&[1], &body[..]].concat(), 7), &limits()), Ok(list));
    let zset = b"\x02\x01a\x031.5\x01b\xfe";
    assert!(read::payload(&sealed(kind::ZSET_TEXT, zset, 6), &limits()).is_ok());
    let nan = b"\x01\x01a\xfd";
    assert!(read::payload(&sealed(kind::ZSET_TEXT, nan, 6), &limits()).is_err());
}

/// An element by itself is a large one; Redis refuses one without bytes.
#[test]
fn an_element_by_itself_has_bytes() {
    let list = |body: &[u8]| read::payload(&sealed(kind::LIST_QUICKLIST, body, 10), &limits());
    assert!(list(&[1, 1, 1, b'a']).is_ok());
    assert_eq!(list(&[1, 1, 0]), Err(Bad::Corrupt("node of a list")));
}

/// What a group had read is told from its last entry, as the oldest layout does not say it.
#[test]
fn groups_of_the_oldest_streams_know_what_they_read() {
    let body = [0, 0, 5, 0, 1, 1, b'g', 0, 0, 0, 0];
    let read = read::payload(&sealed(kind::STREAM_1, &body, 9), &limits()).expect("a stream");
    let Owned::Boxed(value) = read else { panic!("{read:?}") };
    let Value::Stream(stream) = *value else { panic!("{value:?}") };
    assert!(stream.groups().all(|(name, group)| name == b"g" && group.entries_read == Some(0)), "{stream:?}");
}

#[test]
fn refusals_name_the_reason() {
    let refusal = |kind, body: &[u8], version| read::payload(&sealed(kind, body, version), &limits()).unwrap_err();
    assert_eq!(refusal(kind::STRING, b"\x05hell", 10), Bad::Short);
    assert_eq!(refusal(kind::STRING, b"\x05hello", 13), Bad::Envelope);
    assert_eq!(refusal(kind::STRING, b"\x05hello!", 10), Bad::Corrupt("more than a value"));
    assert_eq!(refusal(kind::SET, b"\x00", 10), Bad::Empty("set"));
    assert_eq!(refusal(kind::SET, b"\x02\x01a\x01a", 10), Bad::Corrupt("a member twice"));
    assert_eq!(refusal(kind::HASH, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", 10), Bad::Short);
    assert_eq!(refusal(8, b"", 10), Bad::Kind(8));
    assert_eq!(refusal(kind::HASH_VALKEY, b"", 12), Bad::Kind(22));
    assert_eq!(read::payload(b"", &limits()), Err(Bad::Envelope));
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        (-400..400i64).prop_map(|n| n.to_string().into_bytes()),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40),
        (0..200usize).prop_map(|n| vec![b'x'; n]),
    ];
    proptest::collection::vec(word, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sets_read_back(words in words()) {
        let mut set = Set::new();
        words.iter().for_each(|word| { set.add(word, &limits().set); });
        let value = Value::Set(set);
        let payload = write::payload(View::Boxed(&value), Flavor::Redis);
        prop_assert_eq!(read::payload(&payload, &limits()), Ok(boxed(value)));
    }

    #[test]
    fn any_body_is_survived(
        kind in 0..27u8,
        body in proptest::collection::vec(prop_oneof![any::<u8>(), Just(1), Just(2), Just(0xc3)], 0..120),
        version in prop_oneof![Just(10u16), Just(80)],
    ) {
        let _ = read::payload(&sealed(kind, &body, version), &limits());
    }

    /// Bytes of real values, spoiled here and there, behind a good checksum.
    #[test]
    fn spoiled_bodies_are_survived(
        words in words(),
        spoil in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4),
        timed in any::<bool>(),
    ) {
        let mut hash = Hash::new();
        for pair in words.chunks_exact(2) {
            let expire = if timed { Expire::At(NOW_MS + 5) } else { Expire::Clear };
            hash.set(&pair[0], &pair[1], expire, NOW_MS, limits().hash);
        }
        let value = Value::Hash(hash);
        for flavor in [Flavor::Redis, Flavor::Valkey] {
            let payload = write::payload(View::Boxed(&value), flavor);
            let (kind, mut body) = (payload[0], payload[1..payload.len() - 10].to_vec());
            for (at, byte) in &spoil {
                let at = usize::from(*at) % body.len();
                body[at] = *byte;
            }
            let _ = read::payload(&sealed(kind, &body, write::version(View::Boxed(&value), flavor)), &limits());
        }
    }
}

//! Whole RDB files: written and read back, of a real server, cut, spoiled. Never opens a file.

use super::*;
use proptest::prelude::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn limits() -> Limits {
    Limits { now_ms: NOW_MS, ..Limits::default() }
}

/// Everything in a file that arrives `chunk` bytes at a time.
fn read_all(file: &[u8], chunk: usize) -> Result<Vec<Found>, Bad> {
    let (mut reader, mut found) = (FileReader::new(), Vec::new());
    let mut end = chunk.min(file.len());
    loop {
        let start = reader.position() as usize;
        match reader.step(&file[start..end], &limits()) {
            Ok((Found::End, _)) => return Ok(found),
            Ok((one, _)) => found.push(one),
            Err(Bad::Short) if end < file.len() => end = (end + chunk).min(file.len()),
            Err(bad) => return Err(bad),
        }
    }
}

fn sample(version: u16, checksum: bool) -> Vec<u8> {
    let mut writer = FileWriter::new(version, Flavor::Redis, true, checksum);
    writer.remark("redis-ver", "7.0.15");
    writer.function(b"#!lua name=l\n");
    writer.database(0, 3, 1);
    writer.entry(b"n", View::Int(12), Attributes::default());
    let mut file = writer.take();
    let timed = Attributes { expire_ms: Some(NOW_MS + 5), idle_s: Some(300), frequency: None };
    writer.entry(b"text", View::Str { bytes: &b"long ".repeat(200), raw: false }, timed);
    writer.database(9, 1, 0);
    writer.entry(b"f", View::Str { bytes: b"x", raw: true }, Attributes { frequency: Some(9), ..timed });
    assert!(writer.waiting() > 0);
    file.extend(writer.end());
    file
}

#[test]
fn files_read_back_however_they_arrive() {
    for checksum in [true, false] {
        let file = sample(10, checksum);
        let whole = read_all(&file, usize::MAX).expect("our own");
        assert_eq!(whole.len(), 10);
        assert_eq!(whole[0], Found::Version(10));
        assert_eq!(whole[4], Found::Sizes(3, 1));
        let Found::Entry { db: 9, key, value: Some(Owned::Str { bytes, .. }), attributes } = &whole[9] else {
            panic!("{:?}", whole[9])
        };
        assert_eq!((&key[..], &bytes[..], attributes.frequency), (&b"f"[..], &b"x"[..], Some(9)));
        for chunk in [1, 7, 100] {
            assert_eq!(read_all(&file, chunk), Ok(whole.clone()));
        }
        for cut in 0..file.len() {
            assert_eq!(read_all(&file[..cut], usize::MAX), Err(Bad::Short), "cut at {cut}");
        }
    }
}

#[test]
fn a_file_of_valkey_is_read() {
    // SET a 1, HSET h f v, HEXPIRE h 1000 FIELDS 1 f, SET e 1 EX 1000, SAVE on Valkey 9.1
    let file = b"VALKEY080\xfa\nvalkey-ver\x059.1.2\xfa\nredis-bits\xc0@\xfa\x05ctime\xc2\xa7K\x01k\xfa\x08used-mem\
        \xc2\xf0\xda\x0f\x00\xfa\x08aof-base\xc0\x00\xfe\x00\xfb\x03\x01\x00\x01a\xc0\x01\x16\x01h\x01\x01f\x01v\x12\
        \xc9\x1e\xfd\xa1\x01\x00\x00\xfcB\xc9\x1e\xfd\xa1\x01\x00\x00\x00\x01e\xc0\x01\xff\
        \x0f\x1d\xf7\x9d\xa0\xf8\x93<";
    let found = read_all(file, 50).expect("a sound file");
    let keys = |one: &&Found| matches!(one, Found::Entry { value: Some(_), .. });
    assert_eq!(found.iter().filter(keys).count(), 3);
}

#[test]
fn wrong_files_are_refused() {
    let reason = |file: &[u8]| read_all(file, usize::MAX).unwrap_err();
    assert_eq!(reason(b"*1\r\n$4\r\nPING"), Bad::Corrupt("no RDB file"));
    assert_eq!(reason(b"REDIS0013\xff"), Bad::Corrupt("a version that is newer than this server"));
    assert_eq!(reason(b"REDIS0010\xfc12345678\xff00000000"), Bad::Corrupt("attributes of no key"));
    let mut file = sample(10, true);
    let last = file.len() - 1;
    file[last] ^= 1;
    assert!(matches!(reason(&file), Bad::Checksum { told, computed } if told ^ computed == 1 << 56));
    let mut file = sample(10, true);
    file[60] ^= 1;
    assert!(read_all(&file, usize::MAX).is_err());
    assert_eq!(read_all(b"REDIS0003\x00\x01a\x01b\xff", usize::MAX).map(|found| found.len()), Ok(2), "no checksum yet");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_file_is_survived(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_all(&[b"REDIS0010", &rest[..]].concat(), 64);
    }

    #[test]
    fn spoilt_files_are_survived(spots in proptest::collection::vec((9usize.., any::<u8>()), 1..4)) {
        let mut file = sample(12, true);
        let len = file.len();
        spots.iter().for_each(|(at, byte)| file[9 + at % (len - 9)] = *byte);
        let (mut reader, mut at) = (FileReader::new().ignoring_checksum(), 0);
        while let Ok((found, taken)) = reader.step(&file[at..], &limits()) {
            at += taken;
            if found == Found::End {
                break;
            }
        }
    }
}

//! Files from parts, read back; and folders that cannot be written to.

use super::*;
use crate::persist::rdb::{FileReader, Found};
use crate::shard::keyspace::Shard;
use crate::shard::snapshot::{CutOrder, JournalCut};
use crate::types::hash::{Hash, PackLimits};
use crate::types::rdb::read::Limits;
use crate::types::table::{Expire, Key};
use crate::types::value::{NewValue, Owned, Value};
use std::path::Path;
use std::sync::mpsc;

const PACK: PackLimits = PackLimits { entries: 128, value_bytes: 64 };

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pinion-rdb-save-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn terms(dir: &Path, shards: usize) -> SaveTerms {
    SaveTerms {
        dir: dir.to_path_buf(),
        name: "dump.rdb".to_string(),
        temp: "temp-1.rdb".to_string(),
        shards,
        flavor: Flavor::Redis,
        checksum: true,
        write_behind: true,
        remarks: vec![("redis-ver", "7.4.0".to_string())],
        libraries: Vec::new(),
        log: None,
    }
}

/// Runs a save of these shards to its end.
fn save(terms: SaveTerms, shards: &mut [Shard]) -> Result<Saved, String> {
    let (tell, told) = mpsc::channel();
    let flavor = terms.flavor;
    let job = start(1, terms, move || tell.send(()).unwrap()).unwrap();
    for (at, shard) in shards.iter_mut().enumerate() {
        shard.cut(CutOrder { id: 1, compress: true, flavor, journal: JournalCut::None, last: false, reply: "OK" });
        job.offer(at, Part::Cut(shard.snapshot.sizes().cloned().unwrap())).unwrap();
    }
    for (at, shard) in shards.iter_mut().enumerate() {
        while !shard.snapshot_step(1000, 1000) {}
        while let Some(written) = shard.take_snapshot(1) {
            job.offer(at, Part::Entries(written)).unwrap();
        }
        job.offer(at, Part::End).unwrap();
        shard.end_snapshot(true);
    }
    told.recv_timeout(Duration::from_secs(20)).expect("it ends");
    job.result().unwrap()
}

/// Database, key, value, expiry.
type Loaded = (u64, Vec<u8>, Owned, Option<u64>);

/// The version, and the keys by database.
fn load(path: &Path) -> (u16, Vec<Loaded>) {
    let bytes = fs::read(path).unwrap();
    let limits = Limits::default();
    let (mut reader, mut at, mut keys, mut version) = (FileReader::new(), 0, Vec::new(), 0);
    loop {
        let (found, taken) = reader.step(&bytes[at..], &limits).unwrap();
        at += taken;
        match found {
            Found::Version(told) => version = told,
            Found::Entry { db, key, value, attributes } => {
                keys.push((db, key, value.unwrap(), attributes.expire_ms));
            }
            Found::End => break,
            _ => {}
        }
    }
    assert_eq!(at, bytes.len());
    keys.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    (version, keys)
}

fn shards() -> Vec<Shard> {
    let mut shards = vec![Shard::new(4, 0..8192, 1), Shard::new(4, 8192..16384, 2)];
    for (i, shard) in shards.iter_mut().enumerate() {
        let key = format!("k{i}");
        shard.set(0, Key::new(key.as_bytes()), NewValue::Int(i as i64), Expire::Clear);
        shard.set(3, Key::new(key.as_bytes()), NewValue::Str { bytes: b"x", raw: false }, Expire::At(9_000_000));
    }
    shards
}

#[test]
fn several_shards_make_one_file_of_the_lowest_version() {
    let folder = folder("plain");
    let saved = save(terms(&folder, 2), &mut shards()).unwrap();
    let path = folder.join("dump.rdb");
    assert_eq!(saved, Saved { bytes: fs::metadata(&path).unwrap().len(), keys: 4, version: 10 });
    let (version, keys) = load(&path);
    assert_eq!(version, 10);
    let text = |bytes: &[u8]| Owned::Str { bytes: bytes.to_vec(), raw: false };
    let expected = [
        (0, b"k0".to_vec(), Owned::Int(0), None),
        (0, b"k1".to_vec(), Owned::Int(1), None),
        (3, b"k0".to_vec(), text(b"x"), Some(9_000_000)),
        (3, b"k1".to_vec(), text(b"x"), Some(9_000_000)),
    ];
    assert_eq!(keys, expected);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file stays");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn fields_that_expire_need_a_later_version_in_either_form() {
    let folder = folder("timed");
    for (flavor, expected) in [(Flavor::Redis, 12), (Flavor::Valkey, 80)] {
        let mut shards = shards();
        let mut hash = Hash::new();
        hash.set(b"f", b"v", Expire::At(5_000_000_000_000), 0, PACK);
        let value = NewValue::Boxed(Box::new(Value::Hash(hash)));
        shards[1].set(2, Key::new(b"h"), value, Expire::Clear);
        let saved = save(SaveTerms { flavor, ..terms(&folder, 2) }, &mut shards).unwrap();
        let (version, keys) = load(&folder.join("dump.rdb"));
        assert_eq!((saved.version, version, keys.len()), (expected, expected, 5));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_save_that_fails_leaves_the_last_file_alone() {
    let folder = folder("fails");
    save(terms(&folder, 2), &mut shards()).unwrap();
    let before = fs::read(folder.join("dump.rdb")).unwrap();
    // a folder stands where the temporary file would
    fs::create_dir(folder.join("temp-1.rdb")).unwrap();
    let error = save(terms(&folder, 2), &mut shards()).unwrap_err();
    assert!(error.starts_with("Failed opening the temp RDB file temp-1.rdb (in server root dir "), "{error}");
    assert_eq!(fs::read(folder.join("dump.rdb")).unwrap(), before);
    let error = save(terms(&folder.join("missing"), 2), &mut shards()).unwrap_err();
    assert!(error.ends_with("No such file or directory"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn one_that_is_given_up_ends_without_a_file() {
    let folder = folder("given-up");
    let (tell, told) = mpsc::channel();
    let job = start(1, terms(&folder, 1), move || tell.send(()).unwrap()).unwrap();
    job.give_up();
    told.recv_timeout(Duration::from_secs(20)).expect("it ends");
    assert!(job.is_over() && job.result().unwrap().is_err());
    assert!(job.offer(0, Part::End).is_ok(), "what comes later goes nowhere");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir_all(folder).unwrap();
}

/// What a shard hands over of a huge value: `parts` of so many bytes.
fn huge(shard: u8, parts: usize, bytes: usize) -> impl Iterator<Item = Part> {
    (0..parts).map(move |at| {
        let goes_on = at + 1 < parts;
        let (bytes, entries) = (vec![shard; bytes], u64::from(!goes_on));
        Part::Entries(Written { bytes, goes_on, entries, version: VERSION_MIN })
    })
}

#[test]
fn while_the_file_is_in_the_middle_of_a_value_other_shards_wait_with_full_queues() {
    const BYTES: usize = 64 * 1024;
    let folder = folder("middle");
    let (tell, told) = mpsc::channel();
    let job = start(1, terms(&folder, 3), move || tell.send(()).unwrap()).unwrap();
    for shard in 0..3 {
        job.offer(shard, Part::Cut(CutSizes::default())).unwrap();
    }
    let offered = |shard: usize, mut part: Part| {
        while let Err(refused) = job.offer(shard, part) {
            part = refused;
            thread::yield_now();
        }
    };
    let mut first = huge(b'0', 500, BYTES);
    offered(0, first.next().unwrap());
    while job.queues[0].bytes.load(Ordering::Relaxed) > 0 {
        thread::yield_now();
    }
    // two more huge values at the same time: nothing of them is taken now, however much the first shard writes
    let mut others = [huge(b'1', 500, BYTES), huge(b'2', 500, BYTES)];
    let mut queued = [0; 2];
    for (at, parts) in others.iter_mut().enumerate() {
        while !job.is_full(at + 1) {
            job.offer(at + 1, parts.next().unwrap()).unwrap();
            queued[at] += 1;
        }
    }
    assert_eq!(queued, [(QUEUE_BYTES_MAX / 3).div_ceil(BYTES); 2]);
    first.for_each(|part| {
        assert!(job.is_full(1) && job.is_full(2));
        offered(0, part);
    });
    for (at, parts) in others.into_iter().enumerate() {
        parts.for_each(|part| offered(at + 1, part));
    }
    (0..3).for_each(|shard| offered(shard, Part::End));
    told.recv_timeout(Duration::from_secs(60)).expect("it ends");
    assert_eq!(job.result().unwrap().unwrap().keys, 3);
    let bytes = fs::read(folder.join("dump.rdb")).unwrap();
    // the end mark and the checksum stand behind them
    let begin = bytes.len() - 9 - 3 * 500 * BYTES;
    let values: Vec<&[u8]> = bytes[begin..].chunks(500 * BYTES).take(3).collect();
    assert!(values.iter().all(|value| value.iter().all(|byte| *byte == value[0])), "one after the other");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_full_queue_stops_its_shard_and_gives_parts_back() {
    let folder = folder("full");
    let (tell, told) = mpsc::channel();
    let job = start(1, terms(&folder, 2), move || tell.send(()).unwrap()).unwrap();
    // the other shard has not made its cut: nothing behind this one's is taken
    job.offer(0, Part::Cut(CutSizes::default())).unwrap();
    let mut offers = 0;
    let refused = loop {
        if let Err(part) = job.offer(0, huge(b'0', 1, QUEUE_BYTES_MAX / 2 / 64).next().unwrap()) {
            break part;
        }
        offers += 1;
        assert_eq!(job.is_full(0), offers >= 64);
    };
    // the cut may not have been taken yet
    assert!((QUEUE_PARTS_MAX - 1..=QUEUE_PARTS_MAX).contains(&offers) && !job.is_full(1), "{offers}");
    let Part::Entries(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(job.queues[0].bytes.load(Ordering::Relaxed), offers * refused.bytes.len());
    job.give_up();
    told.recv_timeout(Duration::from_secs(20)).expect("it ends");
    fs::remove_dir_all(folder).unwrap();
}

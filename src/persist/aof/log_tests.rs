//! Logs written and read back through real files, whole, torn at every place, and damaged.

use super::*;
use crate::base::config::Fsync;
use crate::base::limits::LOG_SEGMENT_BYTES as SEGMENT_BYTES;
use crate::persist::aof::log::{FILL_AHEAD_BYTES, FILL_GAP_BYTES, Fill, Log};
use crate::persist::aof::manifest::Manifest;
use crate::runtime::aligned::AlignedBuf;
use crate::shard::journal::Journal;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, gone at the end.
struct Temporary(Folder);

impl Temporary {
    fn new() -> Temporary {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pinion-aof-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder::new(std::env::temp_dir().join(name), "appendonly.aof");
        fs::create_dir_all(&folder.path).unwrap();
        Temporary(folder)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.path);
    }
}

const SET: Set = Set { number: 9, shards: 2, begins: Vec::new() };

/// Nobody looks on.
const QUIET: &Progress<'_> = &|_| Ok(());

/// Commits what was gathered, doing what a driver would.
fn commit(log: &mut Log, journal: &mut Journal, fsync: Fsync) {
    if fsync == Fsync::Always && log.durable() < log.written() {
        assert!(log.commit(journal, fsync).unwrap().is_none(), "what an easier policy wrote is synced first");
        log.sync(fsync, 0).unwrap().sync_data().unwrap();
        log.log_synced(Ok(())).unwrap();
    }
    if let Some(write) = log.commit(journal, fsync).unwrap() {
        write.file.write_all_at(&write.buffer, write.offset).unwrap();
        log.logged(write.buffer, Ok(())).unwrap();
    }
    if let Some(fill) = log.fill(fsync).unwrap() {
        fill.file.write_all_at(&zeros(fill.bytes), fill.offset).unwrap();
        log.filled();
    }
}

/// In memory that a file opened with O_DIRECT takes.
fn zeros(bytes: usize) -> AlignedBuf {
    let mut zeros = AlignedBuf::default();
    zeros.resize(bytes);
    zeros
}

fn set(journal: &mut Journal, key: &str, value: &[u8]) {
    journal.append(0, [b"SET", key.as_bytes(), value].into_iter());
}

/// The commands of a shard's log, without SELECT, as "SET key length".
fn read_back(folder: &Folder, shard: u16) -> Result<Vec<String>, Damage> {
    read_set(folder, &SET, shard)
}

fn read_set(folder: &Folder, set: &Set, shard: u16) -> Result<Vec<String>, Damage> {
    let scanned = scan(folder, set, QUIET)?;
    let mut commands = Vec::new();
    let mut one = |words: &Words<'_>| {
        if words[0] != b"SELECT" {
            let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
            commands.push(format!("{} {} {}", text(words[0]), text(words[1]), words[2].len()));
        }
        Ok(())
    };
    replay(folder, set, shard, &scanned, &mut one, QUIET)?;
    Ok(commands)
}

/// Two logs with `keys` commits each, policies in turn.
fn written(folder: &Folder, keys: usize, bytes: usize) -> Vec<String> {
    let mut expected = Vec::new();
    for shard in 0..2 {
        let mut journal = Journal::default();
        let mut log = Log::begin(folder.clone(), SET.number, shard, 0).unwrap();
        expected.clear();
        for n in 0..keys {
            let fsync = [Fsync::Always, Fsync::EverySecond, Fsync::No][n % 3];
            set(&mut journal, &format!("k{n}"), &vec![b'v'; bytes]);
            expected.push(format!("SET k{n} {bytes}"));
            commit(&mut log, &mut journal, fsync);
            assert_eq!(log.written(), journal.end());
            assert_eq!(log.durable() == journal.end(), fsync == Fsync::Always);
        }
    }
    expected
}

#[test]
fn commits_of_all_policies_read_back_over_segments() {
    let temporary = Temporary::new();
    let expected = written(&temporary.0, 30, 3_000_000);
    let third = SegmentId { set: SET.number, shard: 1, number: 1 };
    assert!(temporary.0.segment_path(third).exists(), "more than one segment");
    for shard in 0..2 {
        assert_eq!(read_back(&temporary.0, shard).unwrap(), expected);
    }
    assert!(scan(&temporary.0, &SET, QUIET).unwrap().torn.is_empty());
}

#[test]
fn a_sync_makes_what_was_written_durable_once_a_second() {
    let temporary = Temporary::new();
    let mut journal = Journal::default();
    let mut log = Log::begin(temporary.0.clone(), 1, 0, 0).unwrap();
    set(&mut journal, "a", b"1");
    commit(&mut log, &mut journal, Fsync::EverySecond);
    assert!(log.sync(Fsync::No, 5000).is_none());
    let file = log.sync(Fsync::EverySecond, 5000).unwrap();
    assert!(log.is_busy() && log.sync(Fsync::EverySecond, 9000).is_none());
    let position = journal.end();
    set(&mut journal, "b", b"2");
    commit(&mut log, &mut journal, Fsync::EverySecond);
    file.sync_data().unwrap();
    log.log_synced(Ok(())).unwrap();
    assert_eq!((log.durable(), log.written()), (position, journal.end()));
    assert!(log.sync(Fsync::EverySecond, 5999).is_none() && log.sync(Fsync::EverySecond, 6000).is_some());
    assert!(log.log_synced(Err(std::io::Error::other("no"))).is_err());
}

#[test]
fn only_one_commit_is_under_way_and_a_failed_one_is_told() {
    let temporary = Temporary::new();
    let mut journal = Journal::default();
    let mut log = Log::begin(temporary.0.clone(), 1, 0, 0).unwrap();
    set(&mut journal, "a", b"1");
    let write = log.commit(&mut journal, Fsync::Always).unwrap().unwrap();
    set(&mut journal, "b", b"2");
    assert!(log.commit(&mut journal, Fsync::Always).unwrap().is_none());
    assert!(log.logged(write.buffer, Err(std::io::Error::other("no"))).is_err());
    assert_eq!(log.durable(), 0);
}

#[test]
fn small_commits_go_into_blocks_filled_ahead_and_wait_for_the_fill_they_run_into() {
    let temporary = Temporary::new();
    let mut journal = Journal::default();
    let mut log = Log::begin(temporary.0.clone(), SET.number, 0, 0).unwrap();
    Log::begin(temporary.0.clone(), SET.number, 1, 0).unwrap();
    assert!(log.fill(Fsync::Always).unwrap().is_none(), "nothing says that commits are small");
    let mut expected = Vec::new();
    let mut filling = None;
    let mut waited = 0;
    for n in 0..3000 {
        set(&mut journal, &format!("k{n}"), b"v");
        expected.push(format!("SET k{n} 1"));
        let write = match log.commit(&mut journal, Fsync::Always).unwrap() {
            Some(write) => write,
            None => {
                let fill: Fill = filling.take().expect("only a fill is waited for");
                fill.file.write_all_at(&zeros(fill.bytes), fill.offset).unwrap();
                log.filled();
                waited += 1;
                log.commit(&mut journal, Fsync::Always).unwrap().unwrap()
            }
        };
        let end = write.offset + write.buffer.len() as u64;
        write.file.write_all_at(&write.buffer, write.offset).unwrap();
        log.logged(write.buffer, Ok(())).unwrap();
        assert!(log.fill(Fsync::No).unwrap().is_none());
        if let Some(fill) = log.fill(Fsync::Always).unwrap() {
            assert!(filling.is_none() && fill.offset >= end + FILL_GAP_BYTES && fill.offset < end + FILL_AHEAD_BYTES);
            assert!(log.is_busy());
            // done only when a commit cannot go on without it
            filling = Some(fill);
        }
    }
    assert!(waited > 10, "{waited}");
    drop(log);
    assert_eq!(read_back(&temporary.0, 0).unwrap(), expected);
}

#[test]
fn large_commits_are_not_written_twice() {
    let temporary = Temporary::new();
    let mut journal = Journal::default();
    let mut log = Log::begin(temporary.0.clone(), 1, 0, 0).unwrap();
    set(&mut journal, "a", &[b'v'; 100_000]);
    commit(&mut log, &mut journal, Fsync::Always);
    assert!(log.fill(Fsync::Always).unwrap().is_none());
}

#[test]
fn what_is_filled_in_one_segment_says_nothing_about_the_next_one() {
    let temporary = Temporary::new();
    let mut journal = Journal::default();
    let mut log = Log::begin(temporary.0.clone(), 1, 0, 0).unwrap();
    set(&mut journal, "a", b"v");
    commit(&mut log, &mut journal, Fsync::Always);
    set(&mut journal, "a", &vec![b'v'; SEGMENT_BYTES as usize - 150_000]);
    commit(&mut log, &mut journal, Fsync::Always);
    set(&mut journal, "a", &[b'v'; 200_000]);
    commit(&mut log, &mut journal, Fsync::Always);
    set(&mut journal, "a", b"v");
    let write = log.commit(&mut journal, Fsync::Always).unwrap().unwrap();
    assert!(write.offset < SEGMENT_BYTES / 2, "a new segment");
    log.logged(write.buffer, Ok(())).unwrap();
    let fill = log.fill(Fsync::Always).unwrap().unwrap();
    assert!(fill.offset < write.offset + FILL_AHEAD_BYTES, "{fill:?}");
}

#[test]
fn a_tail_torn_at_any_sector_is_cut_and_nothing_before_it() {
    let temporary = Temporary::new();
    let expected = written(&temporary.0, 4, 1500);
    let file = temporary.0.segment_path(SegmentId { set: SET.number, shard: 0, number: 0 });
    let whole = fs::read(&file).unwrap();
    let last = whole.windows(8).rposition(|w| w == b"PINIONv1").unwrap();
    for sector in (last / 512 * 512..last + 1500).step_by(512) {
        let mut torn = whole.clone();
        let from = sector.max(last);
        torn[from..sector + 512].fill(0);
        fs::write(&file, &torn).unwrap();
        assert_eq!(read_back(&temporary.0, 0).unwrap(), expected[..3], "sector at {sector}");
        let tails = scan(&temporary.0, &SET, QUIET).unwrap().torn;
        assert_eq!(tails.len(), usize::from(from > last), "a block without a header is not there");
    }
}

#[test]
fn damage_before_what_was_durable_is_refused() {
    let temporary = Temporary::new();
    written(&temporary.0, 7, 1500);
    let file = temporary.0.segment_path(SegmentId { set: SET.number, shard: 0, number: 0 });
    let whole = fs::read(&file).unwrap();
    // Block 3 is durable when block 4 is written, and the last, 6, is the first that shows it.
    for at in [3, 100, 4096 + 100] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&file, &damaged).unwrap();
        let error = read_back(&temporary.0, 0).unwrap_err();
        assert_eq!(error.file, file);
        assert!(error.to_string().contains("what was written later is there"), "{error}");
    }
    fs::remove_file(&file).unwrap();
    assert!(read_back(&temporary.0, 0).is_err());
}

#[test]
fn a_transaction_that_is_not_whole_is_left_out_on_every_shard() {
    let temporary = Temporary::new();
    let mut logs: Vec<(Log, Journal)> = (0..2)
        .map(|shard| (Log::begin(temporary.0.clone(), SET.number, shard, 0).unwrap(), Journal::default()))
        .collect();
    let mut part = |shard: usize, id: u64, shards: &[u16], key: &str| {
        let (log, journal) = &mut logs[shard];
        journal.enter(id);
        set(journal, key, b"v");
        journal.leave();
        journal.release(id, shard as u16, shards);
        set(journal, &format!("after-{key}"), b"v");
        commit(log, journal, Fsync::Always);
    };
    part(0, 1, &[0, 1], "a");
    part(1, 1, &[0, 1], "b");
    part(0, 2, &[0, 1], "c");
    assert_eq!(read_back(&temporary.0, 0).unwrap(), ["SET a 1", "SET after-a 1"]);
    assert_eq!(read_back(&temporary.0, 1).unwrap(), ["SET b 1", "SET after-b 1"]);
    assert_eq!(scan(&temporary.0, &SET, QUIET).unwrap().cut_parts, 1);
}

#[test]
fn the_manifest_is_replaced_whole_and_old_runs_are_swept() {
    let temporary = Temporary::new();
    let folder = &temporary.0;
    assert_eq!(folder.manifest().unwrap(), None);
    written(folder, 1, 1);
    let manifest = Manifest { sets: vec![SET], ..Manifest::default() };
    folder.replace_manifest(&manifest).unwrap();
    // files of Redis, which may stand beside ours
    let (theirs, ours) = (folder.base_path("appendonly.aof.1.base.rdb"), folder.base_path(&folder.base_name(1, 7)));
    [&theirs, &ours].iter().for_each(|path| fs::write(path, "x").unwrap());
    folder.sweep(&manifest).unwrap();
    assert!(theirs.exists() && !ours.exists());
    fs::remove_file(theirs).unwrap();
    assert_eq!(read_back(folder, 0).unwrap().len(), 1);
    let next = Manifest { sets: vec![Set { number: 10, shards: 1, begins: Vec::new() }], ..Manifest::default() };
    folder.replace_manifest(&next).unwrap();
    assert_eq!(folder.manifest().unwrap(), Some(Manifest { others: Some(0), ..next.clone() }));
    folder.sweep(&next).unwrap();
    let left: Vec<_> = fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["appendonly.aof.pinion"]);
    fs::write(folder.manifest_path(), "pinion-aof 1\n").unwrap();
    assert!(folder.manifest().is_err());
}

/// How many files there are whose name ends so.
fn count(folder: &Folder, end: &str) -> usize {
    let names = fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(end)).count()
}

/// Writes a log of run `set` with `keys` commits of 5000 bytes; answers as [`read_run`] is to.
fn small_segments(folder: &Folder, set: u32, keys: usize, fsync: Fsync) -> Vec<String> {
    let mut journal = Journal::default();
    let mut log = Log::begin(folder.clone(), set, 0, 0).unwrap();
    log.make_at_once();
    let mut expected = Vec::new();
    for n in 0..keys {
        self::set(&mut journal, &format!("run{set}-{n}"), &[b'v'; 5000]);
        expected.push(format!("SET run{set}-{n} 5000"));
        log.make_next();
        commit(&mut log, &mut journal, fsync);
        if let Some(file) = log.sync(fsync, n as u64 * 100) {
            file.sync_data().unwrap();
            log.log_synced(Ok(())).unwrap();
        }
    }
    expected
}

/// As [`read_back`], of the only shard of run `number`.
fn read_run(folder: &Folder, number: u32) -> Vec<String> {
    read_set(folder, &Set::new(number, 1), 0).unwrap()
}

#[test]
fn what_a_rewrite_leaves_is_written_over_and_never_read_again() {
    for fsync in [Fsync::Always, Fsync::EverySecond, Fsync::No] {
        let temporary = Temporary::new();
        let folder = Folder { segment_bytes: 64 << 10, ..temporary.0.clone() };
        let first = small_segments(&folder, 1, 100, fsync);
        assert_eq!(read_run(&folder, 1), first);
        let full = count(&folder, ".log");
        assert!(full > 8, "{full} segments");
        // run 2 follows: some of what run 1 left stays, up to a bound
        let manifest = Manifest { sets: vec![Set::new(2, 1)], ..Manifest::default() };
        folder.sweep(&manifest).unwrap();
        assert_eq!((count(&folder, ".spare"), count(&folder, ".log")), (2, 0));
        assert_eq!(folder.next_number(&Manifest::default()), 2, "no number whose blocks may still be there");
        let second = small_segments(&folder, 2, 12, fsync);
        assert_eq!(count(&folder, ".spare"), 0, "they were renamed");
        assert_eq!(read_run(&folder, 2), second, "and hold blocks of run 1 behind these");
        // a spare that is too many, or has another size, goes
        folder.sweep(&Manifest { sets: vec![Set::new(3, 1)], ..Manifest::default() }).unwrap();
        assert_eq!(count(&folder, ".spare"), 2);
        Folder { segment_bytes: 128 << 10, ..folder.clone() }.sweep(&Manifest::default()).unwrap();
        assert_eq!(count(&folder, ""), 0);
    }
}

#[test]
fn a_segment_that_was_only_reserved_is_not_kept() {
    let temporary = Temporary::new();
    let folder = &temporary.0;
    let id = SegmentId { set: 1, shard: 0, number: 0 };
    folder.new_segment(id, SEGMENT_BYTES).make().unwrap();
    folder.retire(id).unwrap();
    assert_eq!(count(folder, ""), 0);
}

#[test]
fn a_full_segment_is_synced_before_what_follows_it_and_nobody_waits() {
    let temporary = Temporary::new();
    let folder = Folder { segment_bytes: 64 << 10, ..temporary.0.clone() };
    let mut journal = Journal::default();
    let mut log = Log::begin(folder.clone(), 1, 0, 0).unwrap();
    log.make_at_once();
    let mut ends = Vec::new();
    for n in 0..3 {
        self::set(&mut journal, &format!("k{n}"), &[b'v'; 40_000]);
        log.make_next();
        assert!(log.commit(&mut journal, Fsync::No).unwrap().is_none());
        ends.push(journal.end());
    }
    assert_eq!((log.written(), log.durable()), (ends[2], 0));
    // under any policy the full ones are synced, in order; the one in use as the policy says
    for end in &ends[..2] {
        log.sync(Fsync::No, 0).unwrap().sync_data().unwrap();
        log.log_synced(Ok(())).unwrap();
        assert_eq!(log.durable(), *end);
    }
    assert!(log.sync(Fsync::No, 0).is_none());
    log.sync(Fsync::Always, 0).unwrap().sync_data().unwrap();
    log.log_synced(Ok(())).unwrap();
    assert_eq!(log.durable(), ends[2]);
    // without any sync there is a bound, beyond which it waits for the disk itself
    for n in 0..20 {
        self::set(&mut journal, &format!("l{n}"), &[b'v'; 60_000]);
        log.make_next();
        log.commit(&mut journal, Fsync::No).unwrap();
    }
    let file = log.sync(Fsync::No, 0).unwrap();
    file.sync_data().unwrap();
    log.log_synced(Ok(())).unwrap();
    assert!(log.durable() > ends[2]);
    log.close(&mut journal).unwrap();
    assert_eq!(log.durable(), journal.end());
    assert_eq!(read_run(&folder, 1).len(), 23);
}

#[test]
fn reading_says_how_far_it_is() {
    let temporary = Temporary::new();
    written(&temporary.0, 12, 500_000);
    let told = std::sync::atomic::AtomicU64::new(0);
    let scanned = scan(&temporary.0, &SET, &|bytes| {
        told.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    });
    let (told, bytes) = (told.into_inner(), scanned.unwrap().bytes);
    assert!(told <= bytes && told + 2 * (1 << 20) > bytes, "{told} of {bytes}");
    assert!(files_bytes(&temporary.0, &SET) >= bytes);
}

//! What reading logs back says of itself.

use super::*;
use crate::base::config::Fsync;
use crate::shard::journal::Journal;

#[test]
fn progress_moves_in_both_readings_and_ends_where_it_was_to() {
    let dir = std::env::temp_dir().join(format!("pinion-recovery-{}", std::process::id()));
    let config = Config { dir: dir.display().to_string(), appendonly: true, ..Config::default() };
    let folder = Folder::of(&config);
    std::fs::create_dir_all(&folder.path).unwrap();
    let mut journal = Journal::default();
    let mut log = Log::begin(folder.clone(), 1, 0, 0).unwrap();
    for n in 0..100 {
        journal.append(0, [b"SET", format!("k{n}").as_bytes(), &[b'v'; 100_000]].into_iter());
        assert!(log.commit(&mut journal, Fsync::No).unwrap().is_none());
    }
    let set = Set::new(1, 1);
    let there = read::files_bytes(&folder, &set);
    assert!(there > 10_000_000);
    let loading = Loading::default();
    loading.begin(0);
    let manifest = Manifest { sets: vec![set], ..Manifest::default() };
    let back = read_back(&config, &folder, &manifest, 1, &loading).unwrap();
    assert_eq!(back.shards[0].len(0), 100);
    let figures = loading.figures(0);
    assert_eq!(figures.total_bytes, there);
    // what is read since the last report does not count
    assert!(figures.loaded_bytes <= there && figures.loaded_bytes + (2 << 20) > there, "{figures:?}");
    // it can be stopped in the first reading
    loading.fail("no".to_string());
    let why = read_back(&config, &folder, &manifest, 1, &loading).unwrap_err();
    assert!(why.contains("it was stopped"), "{why}");
    std::fs::remove_dir_all(dir).unwrap();
}

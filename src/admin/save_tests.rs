//! When a save point asks for a snapshot.

use super::*;
use crate::base::config::SavePoint;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn a_save_point_needs_its_changes_and_its_time() {
    let points = vec![SavePoint { seconds: 900, changes: 1 }, SavePoint { seconds: 10, changes: 100 }];
    let config = Config { save: points, ..Config::default() };
    let state = SaveState::new(1000, false);
    let due = |changes, now_s| state.due(&config, changes, now_s);
    assert_eq!(due(0, 5000), None);
    assert_eq!(due(1, 1900), None);
    assert_eq!(due(1, 1901), Some((900, 1)));
    assert_eq!(due(99, 1011), None);
    assert_eq!(due(100, 1011), Some((10, 100)));
}

#[test]
fn after_a_failure_save_points_wait_a_little() {
    let state = SaveState { last_failed: true, last_try_s: 2000, ..SaveState::new(1000, false) };
    assert!(state.rests(2005) && !state.rests(2006));
}

#[test]
fn who_wants_to_save_waits_for_the_accounts_of_one_that_is_over() {
    let terms = SaveTerms {
        dir: std::env::temp_dir(),
        name: "dump.rdb".to_string(),
        temp: "missing/temp.rdb".to_string(),
        shards: 1,
        flavor: Flavor::Redis,
        checksum: true,
        write_behind: true,
        remarks: Vec::new(),
        libraries: Vec::new(),
        log: None,
    };
    let (tell, told) = mpsc::channel();
    let job = rdb_save::start(1, terms, move || tell.send(()).unwrap()).unwrap();
    told.recv_timeout(Duration::from_secs(20)).expect("it fails, as there is no such folder");
    assert!(job.is_over() && !job.was_given_up());
    for what in [What::Save, What::Background, What::Rewrite] {
        let mut state = SaveState::new(1000, false);
        assert!(state.soon_over().is_none());
        state.running = Some(Running { job: job.clone(), started_ms: 0, what });
        assert!(state.soon_over().is_some(), "{what:?}");
    }
}

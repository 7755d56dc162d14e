//! When a save point asks for a snapshot.

use super::*;
use crate::base::config::SavePoint;

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

//! LATENCY, reply by reply.

use super::*;
use crate::admin::testing::ask;

const NOW: u64 = 1_700_000_000;

fn latency(monitor: &mut LatencyMonitor, line: &str) -> String {
    latency_with(monitor, line, 100, &[])
}

fn latency_with(
    monitor: &mut LatencyMonitor,
    line: &str,
    threshold_ms: u64,
    histograms: &[(&str, &Histogram)],
) -> String {
    let facts = LatencyFacts { now_s: NOW, threshold_ms, histograms };
    ask(line, |table, id, args, reply| monitor.answer(table, id, args, &facts, reply))
}

fn monitor() -> LatencyMonitor {
    let mut monitor = LatencyMonitor::default();
    monitor.record("command", NOW - 9, 123);
    monitor.record("command", NOW - 9, 110);
    monitor.record("command", NOW - 1, 300);
    monitor.record("expire-cycle", NOW - 90, 25);
    monitor
}

#[test]
fn events_are_listed_with_their_latest_and_longest() {
    let mut monitor = monitor();
    monitor.record("command", NOW, 120);
    assert_eq!(
        latency(&mut monitor, "latency latest"),
        format!("*2 *4 $7 command :{NOW} :120 :300 *4 $12 expire-cycle :{} :25 :25", NOW - 90)
    );
    assert_eq!(latency(&mut LatencyMonitor::default(), "latency latest"), "*0");
}

#[test]
fn history_has_the_longest_of_each_second_oldest_first() {
    let mut monitor = monitor();
    let expected = format!("*2 *2 :{} :123 *2 :{} :300", NOW - 9, NOW - 1);
    assert_eq!(latency(&mut monitor, "latency history command"), expected);
    assert_eq!(latency(&mut monitor, "latency history nope"), "*0");
    for n in 0..1000 {
        monitor.record("command", NOW + n, n + 1);
        monitor.record("command", NOW + n, n);
    }
    let history = latency(&mut monitor, "latency history command");
    assert!(history.starts_with(&format!("*160 *2 :{} :841 ", NOW + 840)), "{history}");
    assert!(history.ends_with(&format!(":{} :1000", NOW + 999)));
}

#[test]
fn reset_forgets_the_named_events_or_all() {
    let mut monitor = monitor();
    assert_eq!(latency(&mut monitor, "latency reset nope command"), ":1");
    assert_eq!(latency(&mut monitor, "latency history command"), "*0");
    monitor.record("command", NOW, 10);
    assert_eq!(
        latency(&mut monitor, "latency latest"),
        format!("*2 *4 $12 expire-cycle :{} :25 :25 *4 $7 command :{NOW} :10 :10", NOW - 90)
    );
    assert_eq!(latency(&mut monitor, "latency reset"), ":2");
    assert_eq!(latency(&mut monitor, "latency latest"), "*0");
}

#[test]
fn a_graph_shows_heights_and_ages() {
    let mut monitor = monitor();
    monitor.record("command", NOW, 210);
    let text = String::from_utf8(drawing(&monitor.series[0], NOW)).expect("text");
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "command - high 300 ms, low 123 ms (all time high 300 ms)");
    assert_eq!(rows[1], "-".repeat(80));
    assert_eq!(rows[2..], [" # ", " | ", " |#", "_||", "", "910", "sss"]);
    assert_eq!(latency(&mut monitor, "latency graph nope"), "-ERR No samples available for event 'nope'");
    assert!(latency(&mut monitor, "latency graph command").starts_with('$'));
    assert_eq!([age(59), age(60), age(7199), age(86400)], ["59s", "1m", "1h", "1d"]);
}

#[test]
fn the_doctor_knows_three_states() {
    assert!(latency_with(&mut monitor(), "latency doctor", 0, &[]).contains("monitoring is off"));
    assert!(latency(&mut LatencyMonitor::default(), "latency doctor").contains("Nothing took 100 ms"));
    let report = latency(&mut monitor(), "latency doctor");
    assert!(
        report.contains(
            "1. command: 2 spikes, 212 ms on average (mean deviation 88 ms), one every 4.50 s, the longest 300 ms."
        ),
        "{report}"
    );
}

#[test]
fn histograms_are_shown_by_name_and_by_container() {
    let (mut get, mut config_set, never) = (Histogram::default(), Histogram::default(), Histogram::default());
    get.record(900, 1);
    get.record(3_000, 1);
    config_set.record(100_000, 1);
    let all = [("get", &get), ("config|set", &config_set), ("config|get", &never)];
    let mut monitor = monitor();
    let get = "$3 get *4 $5 calls :2 $14 histogram_usec *4 :1 :1 :4 :2";
    let config = "$10 config|set *4 $5 calls :1 $14 histogram_usec *2 :128 :1";
    for (line, expected) in [
        ("latency histogram", format!("*4 {get} {config}")),
        ("latency histogram GET nope", format!("*2 {get}")),
        ("latency histogram config get", format!("*4 {config} {get}")),
        ("latency histogram config|set", format!("*2 {config}")),
        ("latency histogram nope", "*0".to_string()),
    ] {
        assert_eq!(latency_with(&mut monitor, line, 0, &all), expected, "{line}");
    }
}

#[test]
fn help_is_there() {
    assert!(latency(&mut monitor(), "latency help").contains("LATENCY <subcommand>"));
}

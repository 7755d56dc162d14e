//! redis-benchmark: every test it is asked for runs to its end. Never judges its numbers.

use crate::common::Value;
use crate::program::{each_server, run};
use std::process::Command;

/// What it runs when it is asked for nothing in particular.
const DEFAULTS: [&str; 21] = [
    "test",
    "PING_INLINE",
    "PING_MBULK",
    "SET",
    "GET",
    "INCR",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "SADD",
    "HSET",
    "SPOP",
    "ZADD",
    "ZPOPMIN",
    "LPUSH (needed to benchmark LRANGE)",
    "LRANGE_100 (first 100 elements)",
    "LRANGE_300 (first 300 elements)",
    "LRANGE_500 (first 500 elements)",
    "LRANGE_600 (first 600 elements)",
    "MSET (10 keys)",
];

#[test]
fn benchmark_runs_by_default() {
    each_server(|_, server| {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &server.port().to_string(), "-n", "2000", "-P", "4", "-r", "1000", "--csv"]);
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{output:?}");
        let names: Vec<&str> = output.text.lines().map(|line| line.split("\",").next().unwrap_or(line)).collect();
        let names: Vec<&str> = names.iter().map(|name| name.trim_start_matches('"')).collect();
        assert_eq!(names, DEFAULTS, "{output:?}");
        assert!(!output.text.contains("ERR") && output.errors.is_empty(), "{output:?}");
        // LRANGE was of real lists: what LPUSH brought for it is there.
        assert_eq!(server.client().run("LLEN mylist"), Value::Int(2000));
    });
}

#[test]
fn benchmark_finishes_every_test() {
    each_server(|_, server| {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &server.port().to_string(), "-t", "ping,set,get,incr,mset"]);
        command.args(["-n", "2000", "-P", "8", "-r", "100", "--csv"]);
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{output:?}");
        let rows: Vec<Vec<&str>> = output.text.lines().map(|line| line.split(',').collect()).collect();
        let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('"')).collect();
        let expected = ["test", "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"];
        assert_eq!(names, expected, "{output:?}");
        for row in &rows[1..] {
            let rate: f64 = row[1].trim_matches('"').parse().unwrap_or_else(|e| panic!("{e}: {row:?}"));
            assert!(rate > 0.0, "{row:?}");
        }
        // What it did is there: its counters add up to its requests.
        let mut client = server.client();
        let keys: Vec<Value> = client.run("KEYS counter:*").items().to_vec();
        let mut read = vec![Value::bulk("MGET")];
        read.extend(keys);
        let words: Vec<&[u8]> = read.iter().map(Value::bytes).collect();
        let sum: i64 = client.call(&words).items().iter().map(|v| v.text().parse::<i64>().expect("a number")).sum();
        assert_eq!(sum, 2000);
    });
}

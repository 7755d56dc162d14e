//! redis-benchmark: every test it is asked for runs to its end. Never judges its numbers.

use crate::common::Value;
use crate::program::{each_server, run};
use std::process::Command;

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

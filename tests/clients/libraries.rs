//! Client libraries: redis-py, ioredis, node-redis, Celery and a job queue like BullMQ's do in scripts of their own
//! what applications do with them, and the server is asked afterwards what has come of it. The scripts hold the checks
//! and end with an error at the first that fails.

use crate::common::{Server, Setup, Value};
use crate::program::{each_server, run};
use crate::script;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `tests/run --prepare` puts libraries.
fn installed(path: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let found = target.join("clients").join(path);
    assert!(found.exists(), "{} is missing: run tests/run --prepare", found.display());
    found
}

/// Runs the script with the port and whether the server knows what Redis 7.0, Debian's, does not; it must name
/// these checks as passed, in this order.
fn check(command: &mut Command, setup: &Setup, server: &Server, checks: &[&str]) {
    command.arg(server.port().to_string()).arg(if setup.is_pinion { "new" } else { "old" });
    let output = run(command, b"");
    assert!(output.status.success(), "{}\n{}", output.text, output.errors);
    let passed: Vec<&str> = output.text.lines().collect();
    assert_eq!(passed, checks, "{}", output.errors);
}

#[test]
fn redis_py_works() {
    each_server(|setup, server| {
        let mut command = Command::new(installed("python/bin/python"));
        command.arg("-B").arg(script("python_work.py"));
        let checks = [
            "handshake",
            "protocols",
            "pipelines",
            "several keys",
            "bytes",
            "large values",
            "expiry",
            "bits",
            "scan",
            "errors",
            "reconnect",
            "threads",
        ];
        check(&mut command, setup, server, &checks);
        // Every database but the one of the last check was left empty.
        let mut client = server.client();
        assert_eq!(client.run("DBSIZE"), Value::Int(1));
        assert_eq!(client.run("GET threads:total"), Value::bulk("4000"));
    });
}

#[test]
fn ioredis_works() {
    each_server(|setup, server| {
        let modules = installed("node/node_modules/ioredis");
        let mut command = Command::new("node");
        command.arg(script("node_work.js")).arg(modules);
        let checks = [
            "handshake",
            "automatic pipelines",
            "increments",
            "explicit pipelines",
            "buffers",
            "scan streams",
            "errors",
            "reconnect",
        ];
        check(&mut command, setup, server, &checks);
        let mut client = server.client();
        assert_eq!(client.run("GET counter"), Value::bulk("10000"));
        assert_eq!(client.run("DBSIZE"), Value::Int(1));
    });
}

#[test]
fn node_redis_works() {
    each_server(|setup, server| {
        let modules = installed("node/node_modules/redis");
        let mut command = Command::new("node");
        command.arg(script("node_redis_work.js")).arg(modules);
        let checks = [
            "types in RESP2",
            "types in RESP3",
            "transactions",
            "pipelines",
            "blocking",
            "messages in RESP2",
            "messages in RESP3",
            "cached",
            "errors",
        ];
        check(&mut command, setup, server, &checks);
        assert_eq!(server.client().run("DBSIZE"), Value::Int(0));
    });
}

#[test]
fn job_queue_works() {
    each_server(|setup, server| {
        let modules = installed("node/node_modules/ioredis");
        let mut command = Command::new("node");
        command.arg(script("queue_work.js")).arg(modules);
        check(&mut command, setup, server, &["jobs", "events", "priorities", "consumer groups", "pauses"]);
    });
}

#[test]
fn celery_works() {
    each_server(|setup, server| {
        let mut command = Command::new(installed("python/bin/python"));
        command.arg("-B").arg(script("celery_work.py"));
        let checks = [
            "results",
            "failures",
            "retries",
            "chains",
            "groups",
            "chords",
            "later",
            "priorities",
            "revocation",
            "inspection",
            "producers",
            "nothing is left",
        ];
        check(&mut command, setup, server, &checks);
        // The binding of the queue is what stays.
        assert_eq!(server.client().run("DBSIZE"), Value::Int(0));
    });
}

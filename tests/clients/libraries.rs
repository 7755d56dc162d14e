//! Client libraries: redis-py and ioredis do in scripts of their own what applications do with them, and the server is
//! asked afterwards what has come of it. The scripts hold the checks and end with an error at the first that fails.

use crate::common::{Server, Setup, Value};
use crate::program::{each_server, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `tests/run --prepare` puts libraries.
fn installed(path: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let found = target.join("clients").join(path);
    assert!(found.exists(), "{} is missing: run tests/run --prepare", found.display());
    found
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
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

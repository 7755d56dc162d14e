//! Real clients at real work: redis-cli, redis-benchmark, redis-py, Celery, ioredis, node-redis. `tests/run --prepare`
//! installs them; a client that is missing fails its test, it is never skipped.

#[path = "../common/mod.rs"]
mod common;
mod libraries;
mod program;
mod redis_benchmark;
mod redis_cli;

use common::client::encode;
use common::{Launch, Server, Setup, Value, each_setup};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest that a client program may run.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(240);

/// Runs a client program to its end with this input; fails the test if it does not end, or not well.
fn run(mut command: Command, input: &[u8]) -> String {
    let shown = format!("{command:?}");
    common::sys::die_with_parent(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}; tests/run --prepare installs it"));
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_vec();
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let pid = child.id();
    let watch = thread::spawn(move || {
        let end = Instant::now() + CLIENT_TIME_MAX;
        let alive = || Path::new(&format!("/proc/{pid}")).exists();
        while alive() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        if alive() {
            common::sys::kill(pid, libc::SIGKILL);
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("its output");
    feeder.join().expect("the input");
    watch.join().expect("the watch");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{shown}: {status}\n{text}\n{errors}");
    text
}

fn cli(server: &Server, args: &[&str]) -> String {
    cli_with_input(server, args, b"")
}

fn cli_with_input(server: &Server, args: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string()]).args(args);
    run(command, input)
}

/// Folder in which `tests/run --prepare` installs the client libraries.
fn libraries() -> PathBuf {
    // The folder of cargo's own temporary files is target/tmp.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target").join("clients")
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).to_string_lossy().into_owned()
}

fn fill(server: &Server, count: usize) {
    let mut bytes = Vec::new();
    for i in 0..count {
        bytes.extend(encode(&["SET", &format!("key:{i}"), &"x".repeat(i % 300)]));
    }
    let replies = server.client().pipeline(&bytes, count);
    assert!(replies.iter().all(|reply| *reply == Value::ok()));
}

#[test]
fn redis_cli_talks() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        assert_eq!(cli(&server, &["PING"]), "PONG\n");
        assert_eq!(cli(&server, &["SET", "k", "a \"quoted\" value"]), "OK\n");
        assert_eq!(cli(&server, &["GET", "k"]), "a \"quoted\" value\n");
        assert_eq!(cli(&server, &["-3", "GET", "nothing"]), "\n");
        assert_eq!(cli(&server, &["-n", "5", "DBSIZE"]), "0\n");
        assert_eq!(cli(&server, &["-r", "5", "INCR", "counter"]), "1\n2\n3\n4\n5\n");
        assert_eq!(cli_with_input(&server, &["-x", "SET", "piped"], b"from stdin"), "OK\n");
        assert_eq!(cli(&server, &["--no-auth-warning", "STRLEN", "piped"]), "10\n");
        let lines = cli_with_input(&server, &[], b"SET a 1\nINCR a\nGETRANGE k 0 0\nNOSUCH\nMGET a k\n");
        assert!(lines.starts_with("OK\n2\na\nERR unknown command 'NOSUCH'"), "{lines}");
        assert!(cli(&server, &["INFO", "server"]).contains("redis_version:"));
        let found = cli(&server, &["--scan", "--pattern", "*i*"]);
        assert_eq!(found, "piped\n");
        assert_eq!(cli(&server, &["-e", "--json", "-3", "MGET", "a", "nothing"]).trim(), "[\"2\",null]");
    });
}

#[test]
fn redis_cli_counts_keys_and_memory() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        fill(&server, 3000);
        let big = cli(&server, &["--bigkeys"]);
        assert!(big.contains("Sampled 3000 keys in the keyspace!"), "{big}");
        assert!(big.contains("299 bytes"), "{big}");
        let memory = cli(&server, &["--memkeys"]);
        assert!(memory.contains("Sampled 3000 keys in the keyspace!"), "{memory}");
        let keys = cli(&server, &["--scan"]);
        assert_eq!(keys.lines().count(), 3000);
    });
}

#[test]
fn redis_cli_watches() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        fill(&server, 100);
        let mut stat = Command::new("timeout");
        // It runs until it is interrupted, and into a pipe it would print only when its buffer is full.
        stat.args(["--preserve-status", "-s", "INT", "2", "stdbuf", "-oL", "redis-cli"]);
        stat.args(["-p", &server.port().to_string(), "--stat", "-i", "0.2"]);
        common::sys::die_with_parent(&mut stat);
        let output = stat.stdin(Stdio::null()).output().expect("redis-cli");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("keys") && text.lines().any(|l| l.trim_start().starts_with("100 ")), "{text}");
        // Without a terminal --latency takes samples for a second and ends.
        let latency = cli(&server, &["--latency", "-i", "1"]);
        let figures: Vec<f64> = latency.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(figures.len() >= 4 && figures[3] > 0.0, "{latency}");
    });
}

#[test]
fn redis_cli_pipe_inserts_in_mass() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let count = 50_000;
        let mut bytes = Vec::new();
        for i in 0..count {
            bytes.extend(encode(&["SET", &format!("mass:{i}"), &i.to_string()]));
        }
        let said = cli_with_input(&server, &["--pipe"], &bytes);
        assert!(said.contains(&format!("errors: 0, replies: {count}")), "{said}");
        assert_eq!(cli(&server, &["DBSIZE"]), format!("{count}\n"));
        assert_eq!(cli(&server, &["GET", "mass:49999"]), "49999\n");
    });
}

#[test]
fn redis_benchmark_runs() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        for args in [
            ["-t", "ping,set,get,incr,mset", "-n", "5000", "-P", "1"],
            ["-t", "ping,set,get,incr,mset", "-n", "50000", "-P", "16"],
        ] {
            let mut command = Command::new("redis-benchmark");
            command.args(["-p", &server.port().to_string(), "--csv", "-r", "10000"]).args(args);
            let text = run(command, b"");
            for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
                assert!(text.contains(&format!("\"{name}\",\"")), "no {name} in {text}");
            }
        }
    });
}

fn python(server: &Server) {
    let mut command = Command::new(libraries().join("python/bin/python"));
    command.args([script("redis_py.py"), server.port().to_string()]);
    let text = run(command, b"");
    assert!(text.ends_with("all is well\n"), "{text}");
}

fn node(server: &Server) {
    let mut command = Command::new("node");
    command.args([script("ioredis.js"), server.port().to_string()]);
    command.env("NODE_PATH", libraries().join("node/node_modules"));
    let text = run(command, b"");
    assert!(text.ends_with("all is well\n"), "{text}");
}

#[test]
fn redis_py_works() {
    each_setup(|setup| python(&Launch::new(setup).start()));
}

#[test]
fn ioredis_works() {
    each_setup(|setup| node(&Launch::new(setup).start()));
}

/// Both libraries and a benchmark at once, on one server.
#[test]
fn clients_share_a_server() {
    let setup = Setup::typical();
    let mut server = Launch::new(&setup).start();
    thread::scope(|scope| {
        scope.spawn(|| python(&server));
        scope.spawn(|| node(&server));
    });
    server.assert_alive();
}

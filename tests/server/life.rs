//! From start to end: settings from files, arguments and standard input, starts that must fail, orderly shutdowns.

use crate::common::client::encode;
use crate::common::server::{OnPanic, free_port};
use crate::common::{Launch, Setup, Value, each_setup};
use std::fs;

fn setting(server: &crate::common::Server, name: &str) -> String {
    let reply = server.client().run(&format!("CONFIG GET {name}"));
    reply.items()[1].text()
}

#[test]
fn signals_end_it_in_order() {
    each_setup(|setup| {
        for signal in [libc::SIGTERM, libc::SIGINT] {
            let mut server = Launch::new(setup).unix().start();
            let mut idle = server.client();
            let mut busy = server.client();
            busy.send_raw(&encode(&["SET", "k", "v"]).repeat(1000));
            server.signal(signal);
            let status = server.wait_exit();
            assert_eq!(status.code(), Some(0), "signal {signal}: {status}\n{}", server.log());
            idle.expect_closed();
            let Some(crate::common::client::Address::Unix(path)) = &server.unix else { panic!("no unix socket") };
            assert!(fs::metadata(path).is_err(), "{path} is still there");
        }
    });
}

#[test]
fn shutdown_ends_it() {
    each_setup(|setup| {
        for line in ["SHUTDOWN", "SHUTDOWN NOSAVE", "shutdown nosave now force"] {
            let mut server = Launch::new(setup).start();
            let mut client = server.client();
            assert_eq!(client.run("SHUTDOWN NONSENSE"), Value::Error(b"ERR syntax error".to_vec()));
            assert_eq!(client.run("SHUTDOWN SAVE NOSAVE"), Value::Error(b"ERR syntax error".to_vec()));
            client.ok("SET k v");
            client.send(&line.split(' ').collect::<Vec<_>>());
            client.expect_closed();
            assert_eq!(server.wait_exit().code(), Some(0), "{line}");
        }
    });
}

/// A start that must fail: the exit code is not 0, and what it says names the cause, on one line.
fn fails(setup: &Setup, launch: &Launch, port: u16, causes: &[&str]) {
    let _named = OnPanic(format!("{launch:?}"));
    let (status, log) = launch.start_failing(port);
    assert!(!status.success(), "it started: {log}");
    for cause in causes {
        assert!(log.to_lowercase().contains(&cause.to_lowercase()), "no {cause:?} in: {log}");
    }
    if setup.is_pinion {
        assert_eq!(log.trim_end().lines().count(), 1, "one line says it: {log}");
    }
}

#[test]
fn a_port_in_use_is_said_so() {
    each_setup(|setup| {
        let first = Launch::new(setup).start();
        fails(setup, &Launch::new(setup), first.port(), &["in use", &first.port().to_string()]);
        assert_eq!(first.client().run("PING"), Value::Simple(b"PONG".to_vec()));
    });
}

#[test]
fn a_bad_setting_is_said_with_its_line() {
    for setup in Setup::all() {
        let launch = Launch::new(&setup);
        let port = free_port("127.0.0.1");
        let cases = [
            ("timeout 0\n# a comment\nno-such-setting 1\n", "line 3", "no-such-setting"),
            ("\n\nmaxmemory abc\n", "line 3", "maxmemory"),
            ("timeout 0 0\n", "line 1", "timeout"),
            ("timeout \"0\n", "line 1", ""),
            ("timeout -1\n", "line 1", "timeout"),
            ("databases 0\n", "line 1", "databases"),
            ("maxmemory-policy sometimes\n", "line 1", "maxmemory-policy"),
            ("include /no/such/file.conf\n", "", "/no/such/file.conf"),
        ];
        for (text, line, cause) in cases {
            fails(&setup, &launch.clone().config(text), port, &[line, cause]);
        }
        fails(&setup, &launch.clone().args("--no-such-setting 1"), port, &["no-such-setting"]);
        fails(&setup, &launch.clone().args("--bind 192.0.2.77"), port, &["192.0.2.77"]);
        if setup.is_pinion {
            fails(&setup, &launch.clone().args("--shards -1"), port, &["shards"]);
            fails(&setup, &launch.clone().args("--shards many"), port, &["shards"]);
            fails(&setup, &launch.clone().args("--io-driver nosuch"), port, &["io-driver"]);
        }
    }
}

#[test]
fn settings_come_from_file_and_arguments() {
    each_setup(|setup| {
        let text = "# comment\n\nproto-max-bulk-len 100mb\ntimeout 7\nHZ 20\nrequirepass \"\"\ntcp-keepalive '60'\n";
        let server = Launch::new(setup).config(text).args("--timeout 9").start();
        assert_eq!(setting(&server, "proto-max-bulk-len"), "104857600");
        assert_eq!(setting(&server, "timeout"), "9");
        assert_eq!(setting(&server, "hz"), "20");
        assert_eq!(setting(&server, "tcp-keepalive"), "60");
        assert_eq!(setting(&server, "port"), server.port().to_string());
    });
}

#[test]
fn settings_come_from_standard_input() {
    each_setup(|setup| {
        let server = Launch::new(setup).stdin("timeout 11\nmaxclients 77\n").start();
        assert_eq!(setting(&server, "timeout"), "11");
        assert_eq!(setting(&server, "maxclients"), "77");
    });
}

#[test]
fn rewrite_keeps_what_was_set() {
    each_setup(|setup| {
        let server = Launch::new(setup).config("# kept comment\ntimeout 7\n").start();
        let mut client = server.client();
        client.ok("CONFIG SET timeout 8 hz 30");
        assert!(client.run("CONFIG SET timeout 9 hz abc").is_error());
        assert_eq!(setting(&server, "timeout"), "8");
        client.ok("CONFIG REWRITE");
        let text = fs::read_to_string(server.dir.join("test.conf")).expect("the file");
        let has = |line: &str| text.lines().any(|l| l == line);
        assert!(has("# kept comment") && has("timeout 8") && has("hz 30"), "{text}");
        let none = Launch::new(setup).start();
        let error = none.client().run("CONFIG REWRITE");
        assert_eq!(error, Value::Error(b"ERR The server is running without a config file".to_vec()));
    });
}

#[test]
fn each_shard_may_have_a_port_of_its_own() {
    for setup in Setup::all().iter().filter(|s| s.is_pinion) {
        // Consecutive free ports can only be guessed, and another process may take one meanwhile: try a few times.
        for attempt in 1.. {
            // Below the ports that the kernel gives to clients.
            let dice = std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_nanos();
            let base = 20_000 + (dice / 1000 % 12_000) as u16;
            let ports: Vec<u16> = (0..setup.shards as u16).map(|i| base + i).collect();
            let server = match Launch::new(setup).args(&format!("--shard-port-base {base}")).try_start() {
                Ok(server) => server,
                Err(why) if attempt < 50 && why.to_lowercase().contains("in use") => continue,
                Err(why) => panic!("{why}"),
            };
            for port in &ports {
                let address = crate::common::client::Address::Tcp("127.0.0.1".into(), *port);
                let mut client = crate::common::Client::connect(&address);
                for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                    client.ok(&format!("SET {key} {port}"));
                    assert_eq!(server.client().run(&format!("GET {key}")), Value::bulk(port.to_string()));
                }
            }
            break;
        }
    }
}

#[test]
fn the_kernel_is_told_how_willing_to_be_to_kill_it() {
    let server = Launch::new(&Setup::typical()).start();
    let score = || {
        let text = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).expect("a process");
        text.trim().parse::<i32>().expect("a number")
    };
    let before = score();
    let mut client = server.client();
    let mut set = |pairs: &[&str]| client.call(&[&["CONFIG", "SET"][..], pairs].concat());
    assert_eq!(set(&["oom-score-adj-values", "11 200 800"]), Value::ok());
    assert_eq!(score(), before, "not while it is off");
    assert_eq!(set(&["oom-score-adj", "yes"]), Value::ok());
    assert_eq!(score(), (before + 11).min(1000));
    assert_eq!(set(&["oom-score-adj-values", "2000 0 0", "oom-score-adj", "absolute"]), Value::ok());
    assert_eq!(score(), 1000);
    // What fails takes it back too.
    assert!(set(&["oom-score-adj", "relative", "hz", "x"]).is_error());
    assert_eq!(score(), 1000);
    assert_eq!(set(&["oom-score-adj", "no"]), Value::ok());
    assert_eq!(score(), before);
}

/// What DEBUG does to end a server, the signal that ends it, and what its log says.
const FAULTS: [(&str, i32, &[&str]); 4] = [
    ("SEGFAULT", libc::SIGSEGV, &["crashed by signal: 11", "Killed by PID"]),
    ("PANIC", libc::SIGABRT, &["panicked at", "called by DEBUG PANIC", "crashed by signal: 6"]),
    ("ASSERT", libc::SIGABRT, &["assertion failed: 1 == 2", "crashed by signal: 6"]),
    ("OOM", libc::SIGABRT, &["crashed by signal: 6"]),
];

#[test]
fn a_fault_leaves_a_report() {
    use std::os::unix::process::ExitStatusExt;
    let launch = Launch::new(&Setup::typical()).args("--enable-debug-command yes");
    let end = |launch: &Launch, before: &str, fault: &str| {
        let mut server = launch.start();
        let mut client = server.client();
        if !before.is_empty() {
            client.ok(before);
        }
        client.send(&["DEBUG", fault]);
        client.expect_closed();
        (server.wait_exit().signal(), server.log())
    };
    let report = [
        "=== PINION BUG REPORT START",
        "process_id:",
        "VmRSS:",
        "STACK TRACE",
        "pinion(+0x",
        "=== PINION BUG REPORT END",
    ];
    for (fault, signal, says) in FAULTS {
        let (by, log) = end(&launch, "", fault);
        assert_eq!(by, Some(signal), "{fault}: {log}");
        let missing: Vec<_> = says.iter().chain(&report).filter(|text| !log.contains(**text)).collect();
        assert!(missing.is_empty(), "{fault}: no {missing:?} in\n{log}");
        assert_eq!(log.matches("REPORT START").count(), 1, "{fault}: {log}");
    }
    for (before, quiet) in
        [("CONFIG SET crash-log-enabled no", &launch), ("", &launch.clone().args("--crash-log-enabled no"))]
    {
        let (by, log) = end(quiet, before, "PANIC");
        assert_eq!(by, Some(libc::SIGABRT));
        assert!(log.contains("called by DEBUG PANIC") && !log.contains("REPORT"), "{log}");
    }
}

#[test]
fn a_signal_from_outside_leaves_a_report_in_the_log_file() {
    let data = crate::aof::Data::new();
    let path = data.0.join("log");
    let mut server = Launch::new(&Setup::typical()).args(&format!("--logfile {}", path.display())).start();
    server.signal(libc::SIGABRT);
    server.wait_exit();
    let log = fs::read_to_string(&path).expect("a log");
    assert!(log.contains("crashed by signal: 6"), "{log}");
    assert!(log.contains(&format!("Killed by PID: {}, ", std::process::id())), "{log}");
}

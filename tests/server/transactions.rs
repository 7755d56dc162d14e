//! MULTI, EXEC, WATCH and commands over several shards: all or nothing, and never a state between. Each test ends with
//! no lock held.

use crate::common::{Client, Launch, Server, Value, each_setup, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A number of INFO shards; 0 where that section does not exist.
fn figure(client: &mut Client, name: &str) -> u64 {
    let info = client.run("INFO shards").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.map_or(0, |number| number.trim().parse().expect("a number"))
}

/// Waits for what is under way: a reader's locks go after its reply, and nobody hears of it.
fn no_lock_is_left(server: &Server) {
    let mut client = server.client();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let held = (figure(&mut client, "locks_held"), figure(&mut client, "locks_waiting"));
        if held == (0, 0) {
            return;
        }
        assert!(Instant::now() < end, "locks held and waited for: {held:?}");
    }
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

fn queued() -> Value {
    Value::Simple(b"QUEUED".to_vec())
}

/// Runs `lines` between MULTI and EXEC.
fn exec(client: &mut Client, lines: &[&str]) -> Value {
    client.ok("MULTI");
    for line in lines {
        assert_eq!(client.run(line), queued(), "{line}");
    }
    client.run("EXEC")
}

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

#[test]
fn what_is_refused() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut c = server.client();
        assert_eq!(c.run("EXEC"), error("ERR EXEC without MULTI"));
        assert_eq!(c.run("DISCARD"), error("ERR DISCARD without MULTI"));
        c.ok("MULTI");
        assert_eq!(c.run("MULTI"), error("ERR MULTI calls can not be nested"));
        assert_eq!(c.run("WATCH k"), error("ERR WATCH inside MULTI is not allowed"));
        assert_eq!(c.run("PING"), queued());
        assert_eq!(c.run("EXEC"), Value::Array(vec![Value::Simple(b"PONG".to_vec())]), "neither aborts it");
        for wrong in ["GET", "NOSUCH", "CLIENT NOSUCH", "SHUTDOWN"] {
            c.ok("MULTI");
            assert_eq!(c.run("SET k 1"), queued());
            assert!(c.run(wrong).is_error());
            assert_eq!(c.run("EXEC"), error(ABORTED), "{wrong}");
        }
        c.ok("MULTI");
        let text = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        assert_eq!(c.run("EXEC now"), error(text));
        assert_eq!(c.run("EXEC"), error("ERR EXEC without MULTI"), "that was the end of it");
        assert_eq!(c.run("EXEC now"), error(text), "so it says without a transaction");
        assert_eq!(c.run("EXISTS k"), Value::Int(0), "nothing of them ran");
        let failing = exec(&mut c, &["SET k text", "INCR k", "SET l 2"]);
        let not_integer = error("ERR value is not an integer or out of range");
        assert_eq!(failing, Value::Array(vec![Value::ok(), not_integer, Value::ok()]), "the rest runs");
        assert_eq!(exec(&mut c, &[]), Value::Array(vec![]));
        no_lock_is_left(&server);
    });
}

#[test]
fn everything_that_takes_several_steps_runs_inside() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut c = server.client();
        let replies = exec(
            &mut c,
            &[
                "MSET a 1 b 2 c 3 d 4",
                "RENAME a e",
                "MGET a b c d e",
                "MSETNX x 1 b 2",
                "MSETNX x 1 y 2",
                "COPY x z",
                "DBSIZE",
                "SELECT 1",
                "SET a other",
                "DBSIZE",
                "SELECT 0",
                "DEL b c d e x y z",
                "PING",
                "RPUSH l 1 2 3",
                "LMOVE l m LEFT RIGHT",
                "LMOVE l n LEFT RIGHT",
                "LRANGE m 0 -1",
                "FLUSHALL",
                "DBSIZE",
            ],
        );
        let Value::Array(replies) = replies else { panic!("{replies:?}") };
        let bulk = |text: &str| Value::bulk(text);
        let expected = [
            Value::ok(),
            Value::ok(),
            Value::Array(vec![Value::NullBulk, bulk("2"), bulk("3"), bulk("4"), bulk("1")]),
            Value::Int(0),
            Value::Int(1),
            Value::Int(1),
            Value::Int(7),
            Value::ok(),
            Value::ok(),
            Value::Int(1),
            Value::ok(),
            Value::Int(7),
            Value::Simple(b"PONG".to_vec()),
            Value::Int(3),
            bulk("1"),
            bulk("2"),
            Value::Array(vec![bulk("1")]),
            Value::ok(),
            Value::Int(0),
        ];
        for (i, (reply, expected)) in replies.iter().zip(&expected).enumerate() {
            assert_eq!(reply, expected, "command {i}");
        }
        no_lock_is_left(&server);
    });
}

#[test]
fn watched_keys_stop_exec_if_they_change() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut me, mut other) = (server.client(), server.client());
        me.ok("MSET a 1 b 2 c 3");
        let mut watching = |me: &mut Client, watch: &str, change: &str| {
            me.ok(watch);
            other.run(change);
            exec(me, &["PING", "GET a"]) == Value::NullArray
        };
        for change in ["SET b 2", "DEL c", "RENAME a d", "APPEND c x", "EXPIRE c 100", "MSET x 1 c 2 y 3", "FLUSHALL"] {
            me.ok("MSET a 1 b 2 c 3");
            assert!(watching(&mut me, "WATCH a b c", change), "{change}");
        }
        me.ok("MSET a 1 b 2 c 3");
        for change in ["SET d 1", "GET a", "EXPIRE nokey 100", "DEL nokey", "SWAPDB 2 3"] {
            assert!(!watching(&mut me, "WATCH a b c nokey", change), "{change}");
        }
        assert!(watching(&mut me, "WATCH nokey", "SET nokey 1"), "a key that came to be");
        assert!(!watching(&mut me, "WATCH none", "FLUSHALL"), "a key that was not there before or after");
        me.ok("SET a 1");
        assert!(watching(&mut me, "WATCH a", "SWAPDB 0 1"));
        assert!(!watching(&mut me, "WATCH a", "PING"), "only once");
        no_lock_is_left(&server);
    });
}

#[test]
fn watches_end_and_follow_their_database() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut me, mut other) = (server.client(), server.client());
        me.ok("WATCH a b");
        me.ok("UNWATCH");
        other.ok("SET a 1");
        assert_eq!(exec(&mut me, &["PING"]), Value::Array(vec![Value::Simple(b"PONG".to_vec())]));
        me.ok("WATCH a");
        me.ok("MULTI");
        me.ok("DISCARD");
        other.ok("SET a 2");
        assert_eq!(exec(&mut me, &[]), Value::Array(vec![]));
        me.ok("SELECT 1");
        me.ok("WATCH a b c");
        other.ok("SET a 3");
        assert_eq!(exec(&mut me, &[]), Value::Array(vec![]), "another database");
        me.ok("WATCH a b c");
        me.ok("SELECT 0");
        other.ok("SELECT 1");
        other.ok("SET c 1");
        assert_eq!(exec(&mut me, &[]), Value::NullArray, "watched where it was");
        me.ok("WATCH a");
        me.ok("SET a 4");
        assert_eq!(exec(&mut me, &[]), Value::NullArray, "the own change counts");
        me.ok("SET soon 1 PX 20");
        me.ok("WATCH soon a");
        while me.run("EXISTS soon") == Value::Int(1) {}
        assert_eq!(exec(&mut me, &["PING"]), Value::NullArray, "an expiry is a change");
        me.ok("WATCH a b");
        assert_eq!(me.run("RESET"), Value::Simple(b"RESET".to_vec()));
        other.ok("SELECT 0");
        other.ok("SET a 5");
        assert_eq!(exec(&mut me, &[]), Value::Array(vec![]));
        no_lock_is_left(&server);
    });
}

#[test]
fn a_due_key_that_swapdb_brings_is_no_change() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--enable-debug-command yes").start();
        let (mut me, mut other) = (server.client(), server.client());
        me.ok("DEBUG SET-ACTIVE-EXPIRE 0");
        other.ok("SELECT 2");
        other.ok("SET due 1 PX 1");
        other.ok("SET live 1");
        std::thread::sleep(std::time::Duration::from_millis(5));
        me.ok("SELECT 3");
        me.ok("WATCH due");
        other.ok("SWAPDB 2 3");
        assert_eq!(exec(&mut me, &["PING"]), Value::Array(vec![Value::Simple(b"PONG".to_vec())]));
        me.ok("WATCH live");
        other.ok("SWAPDB 2 3");
        assert_eq!(exec(&mut me, &["PING"]), Value::NullArray);
    });
}

#[test]
fn exec_is_refused_where_memory_ran_out_after_its_commands_were_queued() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut me, mut other) = (server.client(), server.client());
        me.ok("MULTI");
        assert_eq!(me.run("SET k 1"), queued());
        other.ok("CONFIG SET maxmemory 1");
        let text =
            "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(me.run("EXEC"), error(text));
        assert_eq!(me.run("EXEC"), error("ERR EXEC without MULTI"));
        assert_eq!(exec(&mut me, &["GET k"]), Value::Array(vec![Value::NullBulk]));
        other.ok("CONFIG SET maxmemory 0");
        assert_eq!(exec(&mut me, &["SET k 1"]), Value::Array(vec![Value::Simple(b"OK".to_vec())]));
    });
}

/// One client raises a, then b; no reader may see b raised and a not, nor b more than one behind.
#[test]
fn readers_see_no_skew() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (a, b) in [("a", "b"), ("c", "d"), ("b2", "a2")] {
                for _ in 0..2 {
                    let mut reader = server.client();
                    let done = &done;
                    scope.spawn(move || {
                        while !done.load(Ordering::Relaxed) {
                            let Value::Array(seen) = reader.call(&["MGET", a, b]) else { panic!("no array") };
                            let number =
                                |v: &Value| if *v == Value::NullBulk { 0 } else { v.text().parse::<i64>().unwrap() };
                            let behind = number(&seen[0]) - number(&seen[1]);
                            assert!(behind == 0 || behind == 1, "{seen:?}");
                        }
                    });
                }
            }
            let writers = [("a", "b"), ("c", "d"), ("b2", "a2")].map(|(a, b)| {
                let mut writer = server.client();
                scope.spawn(move || {
                    for i in 1..=300 {
                        assert_eq!(writer.call(&["INCR", a]), Value::Int(i));
                        assert_eq!(writer.call(&["INCR", b]), Value::Int(i));
                    }
                })
            });
            writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
            done.store(true, Ordering::Relaxed);
        });
        no_lock_is_left(&server);
    });
}

/// Everybody writes the same keys; all get on, and nobody reads a mixture.
#[test]
fn contended_keys_are_written_as_one() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let keys: Vec<String> = (0..10).map(|i| format!("key{i}")).collect();
        std::thread::scope(|scope| {
            for me in 0..12 {
                let (mut client, keys) = (server.client(), &keys);
                scope.spawn(move || {
                    for i in 0..40 {
                        let value = format!("{me}:{i}");
                        let mut mset = vec!["MSET"];
                        keys.iter().for_each(|key| mset.extend([key.as_str(), value.as_str()]));
                        assert_eq!(client.call(&mset), Value::ok());
                        let mget: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
                        let Value::Array(seen) = client.call(&mget) else { panic!("no array") };
                        assert!(seen.iter().all(|v| *v == seen[0]), "{seen:?}");
                    }
                });
            }
        });
        no_lock_is_left(&server);
    });
}

/// Clients that leave at any moment leave no lock behind.
#[test]
fn clients_that_leave_hold_nothing() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut one = server.client();
        for round in 0..60 {
            let mut leaving = server.client();
            let text = "WATCH a b c\nMULTI\nMSET a 1 b 2 c 3\nSELECT 1\nRENAME a d\nINFO\nEXEC\nMGET a b c d\nKEYS *\n";
            leaving.send_raw(&text.as_bytes()[..text.len() * (round % 12 + 1) / 12]);
            one.ok("MSET a 1 b 2 c 3 d 4");
        }
        one.ok("MSET a 1 b 2 c 3 d 4");
        // what was sent whole still runs
        no_lock_is_left(&server);
        let quit = server.client().pipeline(b"MULTI\nSET a 9\nQUIT\n", 3);
        assert_eq!(quit, [Value::ok(), queued(), Value::ok()]);
        assert_eq!(one.run("GET a"), Value::bulk("1"));
        no_lock_is_left(&server);
    });
}

#[test]
fn replies_may_be_off() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut c = server.client();
        c.send_raw(b"CLIENT REPLY OFF\nMULTI\nMSET a 1 b 2 c 3\nEXEC\nMGET a b c\nCLIENT REPLY ON\nMGET a b c\n");
        assert_eq!(c.recv(), Value::ok());
        assert_eq!(c.recv(), Value::Array(["1", "2", "3"].map(Value::bulk).to_vec()));
        c.send_raw(b"MULTI\nSET a 5\nCLIENT REPLY SKIP\nEXEC\nMGET a b\n");
        c.recv();
        no_lock_is_left(&server);
    });
}

/// With `pipeline-order strict` a pipeline over several shards is ordered as on one: what a command shows was written
/// by those before it only.
#[test]
fn a_strict_pipeline_is_ordered_over_shards() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut c, mut other) = (server.client(), server.client());
        if c.run("CONFIG SET pipeline-order strict").is_error() {
            return;
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Value::Array(seen) = other.run("MGET first second") else { panic!("no array") };
                    let number = |v: &Value| if *v == Value::NullBulk { 0 } else { v.text().parse::<i64>().unwrap() };
                    assert!(number(&seen[0]) >= number(&seen[1]), "{seen:?}");
                }
            });
            for _ in 0..20 {
                let bytes = b"INCR first\nINCR second\n".repeat(20);
                let replies = c.pipeline(&bytes, 40);
                assert!(replies.iter().all(|reply| matches!(reply, Value::Int(_))));
            }
            done.store(true, Ordering::Relaxed);
        });
        let big = "x".repeat(100_000);
        let mut bytes = b"SET first 1\n".to_vec();
        bytes.extend(crate::common::client::encode(&["SET", "big", &big]));
        bytes.extend(b"MGET first second\nSTRLEN big\n");
        let replies = c.pipeline(&bytes, 4);
        assert_eq!(replies[3], Value::Int(100_000));
        no_lock_is_left(&server);
    });
}

#[test]
fn client_list_shows_transactions_and_changed_watches() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut client, mut other) = (server.client(), server.client());
        let id = client.run("CLIENT ID").int();
        let mut shows = |flags: &str| {
            let line = format!("id={id} ");
            wait_until(flags, || {
                let list = other.run("CLIENT LIST").text();
                let line = list.lines().find(|l| l.starts_with(&line)).expect("a line for each client").to_string();
                line.contains(&format!(" flags={flags} "))
            });
        };
        shows("N");
        for key in ["a", "b", "c", "d"] {
            client.ok("WATCH a b c d");
            shows("N");
            let mut writer = server.client();
            writer.ok(&format!("SET {key} x"));
            shows("d");
            client.ok("MULTI");
            shows("xd");
            assert_eq!(client.run("EXEC"), Value::NullArray);
            shows("N");
            client.ok(&format!("WATCH {key}"));
            writer.ok(&format!("SET {key} y"));
            shows("d");
            client.ok("UNWATCH");
            shows("N");
        }
    });
}

/// Also a command whose parts run on several shards takes time that is counted.
#[test]
fn commands_in_transactions_are_counted_with_their_time() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let value = "x".repeat(3000);
        let pairs: Vec<String> = (0..20).map(|n| format!("key{n} {value}")).collect();
        for _ in 0..30 {
            client.ok("MULTI");
            for line in
                [&format!("MSET {}", pairs.join(" ")), "RENAME key1 key2", "MSETNX key1 x key2 y", "MGET key3 key4"]
            {
                assert_eq!(client.run(line), queued());
            }
            assert_eq!(client.run("EXEC").items().len(), 4);
        }
        let info = client.run("INFO commandstats").text();
        for name in ["mset", "rename", "msetnx", "mget"] {
            let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect("counted");
            assert!(line.contains("calls=30,") && !line.contains("usec=0,"), "{line}");
        }
    });
}

#[test]
fn errors_inside_exec_are_counted_by_their_code() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--enable-debug-command yes").start();
        let mut client = server.client();
        client.ok("SET text x");
        client.ok("SET {text}2 x");
        client.ok("CONFIG RESETSTAT");
        // on one shard; with parts and phases on several; on the connection's core
        let one = ["LPUSH text a", "INCR text", "GET text"];
        let several = [
            "SINTERSTORE to text a b c",
            "RENAME nokey to",
            "SUNION text a b c d",
            "XREADGROUP GROUP g me STREAMS a b > >",
            "LPUSH text a",
            "CONFIG SET nosuch 1",
            "MGET text a b",
        ];
        exec(&mut client, &one);
        exec(&mut client, &several);
        let info = client.run("INFO errorstats").text();
        for line in ["errorstat_WRONGTYPE:count=4\r\n", "errorstat_ERR:count=3\r\n", "errorstat_NOGROUP:count=1\r\n"] {
            assert!(info.contains(line), "{line} of {info}");
        }
        assert!(client.run("INFO stats").text().contains("\r\ntotal_error_replies:8\r\n"));
    });
}

/// Wherever the keys are: on the client's core, on one other, on several.
#[test]
fn commands_of_several_keys_are_counted_once() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for n in 0..40 {
            client.ok(&format!("MSET {{k{n}}}a 1 {{k{n}}}b 2"));
            client.ok(&format!("MSET k{n} 1 l{n} 2"));
            assert_eq!(client.run(&format!("LMPOP 1 nolist{n} LEFT")), Value::NullArray);
        }
        let info = client.run("INFO commandstats").text();
        for (name, calls) in [("mset", 80), ("lmpop", 40)] {
            let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect("counted");
            assert!(line.contains(&format!("calls={calls},")), "{line}");
        }
    });
}

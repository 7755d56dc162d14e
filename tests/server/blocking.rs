//! Clients that wait for keys: who is served, when, by what, and what ends a wait that nothing serves. The keys of most
//! tests are spread over all shards.

use crate::common::client::encode;
use crate::common::{Client, Launch, Server, Value, each_setup, wait_until};
use std::net::Shutdown;
use std::time::{Duration, Instant};

const KEYS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Waits until so many clients wait.
pub(crate) fn await_blocked(server: &Server, count: usize) {
    let mut client = server.client();
    let wanted = format!("blocked_clients:{count}\r\n");
    wait_until("clients to wait", || client.run("INFO clients").text().contains(&wanted));
}

/// A client that waits in this command, behind those that wait already.
pub(crate) fn waiting(server: &Server, line: &str) -> Client {
    let mut looker = server.client();
    let info = looker.run("INFO clients").text();
    let count = info.split("blocked_clients:").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    let mut client = server.client();
    client.send(&line.split(' ').collect::<Vec<_>>());
    await_blocked(server, count.parse::<usize>().unwrap() + 1);
    client
}

fn all_keys(command: &str, timeout: &str) -> String {
    format!("{command} {} {timeout}", KEYS.join(" "))
}

#[test]
fn first_come_first_served() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut waiters: Vec<Client> = (0..3).map(|_| waiting(&server, "BLPOP k 0")).collect();
        let mut last = waiting(&server, "BRPOP k 0");
        assert_eq!(client.run("RPUSH k 1 2 3 4 5"), Value::Int(5));
        for (i, waiter) in waiters.iter_mut().enumerate() {
            assert_eq!(waiter.recv(), Value::bulks(&["k", &(i + 1).to_string()]));
        }
        assert_eq!(last.recv(), Value::bulks(&["k", "5"]));
        assert_eq!(client.run("LRANGE k 0 -1"), Value::bulks(&["4"]));
    });
}

#[test]
fn any_of_many_keys_serves_and_the_first_that_has_something() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for key in KEYS {
            let mut waiter = waiting(&server, &all_keys("BLPOP", "0"));
            client.run(&format!("RPUSH {key} v"));
            assert_eq!(waiter.recv(), Value::bulks(&[key, "v"]));
        }
        KEYS.iter().rev().for_each(|key| drop(client.run(&format!("RPUSH {key} v"))));
        for key in KEYS {
            assert_eq!(client.run(&all_keys("BLPOP", "0")), Value::bulks(&[key, "v"]));
        }
        assert_eq!(client.run("SET a x"), Value::ok());
        assert!(client.run(&all_keys("BLPOP", "0")).is_error());
        let mut waiter = waiting(&server, "BLMPOP 0 2 b c LEFT COUNT 2");
        client.run("RPUSH c 1 2 3");
        assert_eq!(waiter.recv(), Value::Array(vec![Value::bulk("c"), Value::bulks(&["1", "2"])]));
    });
}

#[test]
fn a_transaction_serves_at_its_end() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for (one, other) in [("{t}a", "{t}b"), ("a", "b"), ("a", "e")] {
            let mut waiter = waiting(&server, &format!("BLPOP {one} {other} 0"));
            let script = [
                vec![format!("RPUSH {one} gone"), format!("SET {other} x"), format!("DEL {one} {other}")],
                vec![format!("RPUSH {other} 1 2"), format!("LPOP {other}")],
            ];
            for lines in script {
                assert_eq!(client.run("MULTI"), Value::ok());
                lines.iter().for_each(|line| drop(client.run(line)));
                assert!(!client.run("EXEC").is_error());
            }
            assert_eq!(waiter.recv(), Value::bulks(&[other, "2"]));
        }
        client.ok("MULTI");
        client.run("BLPOP a 0");
        client.run("BLMOVE a b LEFT LEFT 0");
        assert_eq!(client.run("EXEC"), Value::Array(vec![Value::NullArray, Value::NullBulk]));
    });
}

#[test]
fn moves_serve_in_chains() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for (from, to) in [("{t}a", "{t}b"), ("a", "b"), ("c", "f"), ("g", "a")] {
            let mut first = waiting(&server, &format!("BLMOVE {from} {to} LEFT RIGHT 0"));
            let mut second = waiting(&server, &format!("BLPOP {from} 0"));
            let mut third = waiting(&server, &format!("BLPOP {to} 0"));
            assert_eq!(client.run(&format!("RPUSH {from} 1 2 3")), Value::Int(3));
            assert_eq!((first.recv(), second.recv()), (Value::bulk("1"), Value::bulks(&[from, "2"])));
            assert_eq!(third.recv(), Value::bulks(&[to, "1"]));
            await_blocked(&server, 0);
            assert_eq!(client.run(&format!("LRANGE {from} 0 -1")), Value::bulks(&["3"]));
            client.run(&format!("DEL {from}"));

            let mut refused = waiting(&server, &format!("BRPOPLPUSH {from} {to} 0"));
            client.ok(&format!("SET {to} x"));
            client.run(&format!("RPUSH {from} v"));
            assert!(refused.recv().is_error());
            assert_eq!(client.run(&format!("LRANGE {from} 0 -1")), Value::bulks(&["v"]));
            client.run(&format!("DEL {from} {to}"));
        }
    });
}

/// The next wait of a client that was served by a transaction must not hide that it was: those behind it have their
/// turn.
#[test]
fn a_client_that_waits_again_at_once_holds_nobody_up() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for (from, to) in [("a", "b"), ("c", "f"), ("g", "a")] {
            for _ in 0..20 {
                let mut first = server.client();
                let lines = [format!("BLMOVE {from} {to} LEFT LEFT 0"), format!("BLPOP {from} 0")];
                let bytes = lines.iter().flat_map(|line| encode(&line.split(' ').collect::<Vec<_>>()));
                first.send_raw(&bytes.collect::<Vec<u8>>());
                await_blocked(&server, 1);
                let mut second = waiting(&server, &format!("BLPOP {from} 0"));
                assert_eq!(client.run(&format!("RPUSH {from} 1 2 3")), Value::Int(3));
                assert_eq!(first.recv(), Value::bulk("1"));
                assert_eq!(second.recv(), Value::bulks(&[from, "2"]));
                assert_eq!(first.recv(), Value::bulks(&[from, "3"]));
                client.run(&format!("DEL {from} {to}"));
            }
        }
    });
}

#[test]
fn keys_that_come_by_another_way_serve_too() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut waiter = waiting(&server, "BLPOP k a 0");
        for line in ["SET k x", "DEL k", "SADD k x", "DEL k", "RPUSH other v", "RENAME other k"] {
            assert!(!client.run(line).is_error());
        }
        assert_eq!(waiter.recv(), Value::bulks(&["k", "v"]));
        waiter = waiting(&server, "BLPOP k a 0");
        client.run("RPUSH other w");
        client.run("COPY other a");
        assert_eq!(waiter.recv(), Value::bulks(&["a", "w"]));
        waiter = waiting(&server, "BLPOP k a 0");
        for line in ["SELECT 3", "RPUSH a z", "SWAPDB 0 3"] {
            assert!(!client.run(line).is_error());
        }
        assert_eq!(waiter.recv(), Value::bulks(&["a", "z"]));
    });
}

#[test]
fn waits_end_by_time_and_by_command() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let begin = Instant::now();
        assert_eq!(client.run(&all_keys("BLPOP", "0.05")), Value::NullArray);
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert_eq!(client.run("BLMOVE a b LEFT LEFT 0.01"), Value::NullArray);
        let mut waiter = server.client();
        let id = waiter.run("CLIENT ID").int();
        for (reason, expected) in [
            ("", Value::NullArray),
            (" TIMEOUT", Value::NullArray),
            (" ERROR", Value::Error(b"UNBLOCKED client unblocked via CLIENT UNBLOCK".to_vec())),
        ] {
            waiter.send(&all_keys("BRPOP", "0").split(' ').collect::<Vec<_>>());
            await_blocked(&server, 1);
            let list = client.run("CLIENT LIST").text();
            let line = list.lines().find(|line| line.starts_with(&format!("id={id} "))).unwrap();
            assert!(line.contains(" flags=b ") && line.contains(" cmd=brpop "), "{line}");
            assert_eq!(client.run(&format!("CLIENT UNBLOCK {id}{reason}")), Value::Int(1));
            assert_eq!(waiter.recv(), expected);
            assert_eq!(client.run(&format!("CLIENT UNBLOCK {id}")), Value::Int(0));
            assert!(
                client
                    .run(&format!("CLIENT UNBLOCK {id} TIMEOUT more"))
                    .text()
                    .starts_with("ERR unknown subcommand or wrong number")
            );
        }
        // the shards hear of it a moment later
        wait_until("shards to forget", || client.run("INFO clients").text().contains("total_blocking_keys:0\r\n"));
    });
}

#[test]
fn what_a_client_sends_while_it_waits_runs_after() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut client, mut waiter) = (server.client(), server.client());
        let keys = all_keys("BLPOP", "0");
        let bytes: Vec<u8> = [keys.as_str(), "SET p 1", "GET p"]
            .iter()
            .flat_map(|line| encode(&line.split(' ').collect::<Vec<_>>()))
            .collect();
        waiter.send_raw(&bytes);
        await_blocked(&server, 1);
        assert_eq!(client.run("EXISTS p"), Value::Int(0));
        client.run("RPUSH g v");
        assert_eq!(waiter.recv(), Value::bulks(&["g", "v"]));
        assert_eq!((waiter.recv(), waiter.recv()), (Value::ok(), Value::bulk("1")));
    });
}

#[test]
fn a_client_that_has_gone_takes_nothing() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for half in [false, true] {
            let waiter = waiting(&server, &all_keys("BLPOP", "0"));
            if half {
                waiter.stream.shutdown(Shutdown::Write).unwrap();
            } else {
                drop(waiter);
            }
            await_blocked(&server, 0);
            for key in KEYS {
                client.run(&format!("RPUSH {key} v"));
                assert_eq!(client.run(&format!("LPOP {key}")), Value::bulk("v"));
            }
        }
    });
}

#[test]
fn every_element_goes_to_one_client() {
    const ELEMENTS: usize = 300;
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        std::thread::scope(|scope| {
            let poppers: Vec<_> = (0..6)
                .map(|i| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut keys = KEYS.map(str::to_string);
                        keys.rotate_left(i);
                        let (mut client, mut got) = (server.client(), Vec::new());
                        loop {
                            let reply = client.run(&format!("BLPOP {} 0", keys.join(" ")));
                            match reply.items()[1].text() {
                                end if end == "end" => return got,
                                element => got.push(element),
                            }
                        }
                    })
                })
                .collect();
            let pushers: Vec<_> = (0..3)
                .map(|j| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut client = server.client();
                        for n in 0..ELEMENTS {
                            client.run(&format!("RPUSH {} {j}:{n}", KEYS[(n * 3 + j) % KEYS.len()]));
                        }
                    })
                })
                .collect();
            pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
            let mut client = server.client();
            wait_until("empty lists", || client.run(&format!("EXISTS {}", KEYS.join(" "))) == Value::Int(0));
            for _ in &poppers {
                client.run("RPUSH a end");
            }
            let mut all: Vec<String> = poppers.into_iter().flat_map(|popper| popper.join().unwrap()).collect();
            assert_eq!(all.len(), 3 * ELEMENTS);
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 3 * ELEMENTS);
        });
    });
}

#[test]
fn wait_has_no_replicas_to_wait_for() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        assert_eq!(client.run("SET k v"), Value::ok());
        assert_eq!(client.run("WAIT 0 0"), Value::Int(0));
        assert_eq!(client.run("WAIT -1 0"), Value::Int(0));
        assert_eq!(client.run("WAIT 1 20"), Value::Int(0), "after its time");
        let refusals = [
            ("WAIT 1 -1", "ERR timeout is negative"),
            ("WAIT a 1", "ERR value is not an integer or out of range"),
            ("WAIT a b", "ERR value is not an integer or out of range"),
            ("WAIT 1 a", "ERR timeout is not an integer or out of range"),
            ("WAIT 1", "ERR wrong number of arguments for 'wait' command"),
        ];
        for (line, refusal) in refusals {
            assert_eq!(client.run(line), Value::Error(refusal.into()));
        }
        // Inside a transaction nobody waits.
        client.ok("MULTI");
        client.run("WAIT 1 0");
        assert_eq!(client.run("EXEC"), Value::Array(vec![Value::Int(0)]));
        // Without an end: what follows in the pipeline waits too, and another client ends it.
        let mut first = server.client();
        let id = first.run("CLIENT ID");
        first.send(&["WAIT", "1", "0"]);
        first.send(&["PING"]);
        await_blocked(&server, 1);
        assert_eq!(client.run(&format!("CLIENT UNBLOCK {} TIMEOUT", id.int())), Value::Int(1));
        assert_eq!(first.recv(), Value::Int(0));
        assert_eq!(first.recv(), Value::Simple(b"PONG".to_vec()));
        let mut second = waiting(&server, "WAIT 1 0");
        let listed = client.run("CLIENT LIST").text();
        let line = listed.lines().find(|line| line.contains("cmd=wait ")).expect("it is listed");
        let id = line.strip_prefix("id=").and_then(|rest| rest.split(' ').next()).expect("an id");
        assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} ERROR")), Value::Int(1));
        assert_eq!(second.recv(), Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into()));
        // One that goes while it waits is not counted any more.
        drop(waiting(&server, "WAIT 1 0"));
        await_blocked(&server, 0);
    });
}

#[test]
fn what_other_shards_and_waits_end_with_is_counted_and_logged() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--enable-debug-command yes").start();
        let mut client = server.client();
        KEYS.iter().for_each(|key| client.ok(&format!("SET {key} text")));
        client.ok("CONFIG RESETSTAT");
        KEYS.iter().for_each(|key| assert!(client.run(&format!("INCR {key}")).is_error()));
        let errors = client.run("INFO errorstats").text();
        assert!(errors.contains(&format!("errorstat_ERR:count={}\r\n", KEYS.len())), "{errors}");
        client.ok("XGROUP CREATE stream group $ MKSTREAM");
        let mut reader = waiting(&server, "XREADGROUP GROUP group me BLOCK 0 STREAMS stream >");
        assert_eq!(client.run("XGROUP DESTROY stream group"), Value::Int(1));
        assert!(reader.recv().is_error());
        let errors = client.run("INFO errorstats").text();
        assert!(errors.contains("errorstat_NOGROUP:count=1\r\n"), "{errors}");
        assert!(client.run(&format!("SUNION {}", KEYS.join(" "))).is_error());
        let commands = client.run("INFO commandstats").text();
        for (name, failed) in [("incr", KEYS.len()), ("xreadgroup", 1), ("sunion", 1)] {
            let line = commands.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect("counted");
            assert!(line.ends_with(&format!(",failed_calls={failed}")), "{line}");
        }
        let stats = client.run("INFO stats").text();
        assert!(stats.contains(&format!("\r\ntotal_error_replies:{}\r\n", KEYS.len() + 2)), "{stats}");
        let logged = |client: &mut Client, words: &[&str]| {
            let entries = client.run("SLOWLOG GET -1");
            entries.items().iter().filter(|entry| entry.items()[3] == Value::bulks(words)).count()
        };
        // A log of everything has commands that waited too, once they are served.
        client.ok("CONFIG SET slowlog-log-slower-than 0");
        let mut waiter = waiting(&server, "BLPOP list 0");
        assert_eq!(logged(&mut client, &["BLPOP", "list", "0"]), 0);
        client.run("RPUSH list x");
        assert_eq!(waiter.recv(), Value::bulks(&["list", "x"]));
        wait_until("it is logged", || logged(&mut client, &["BLPOP", "list", "0"]) == 1);
        // And one of slow commands has what a transaction did with its connection, without its secrets.
        client.ok("CONFIG SET slowlog-log-slower-than 20000");
        client.ok("SLOWLOG RESET");
        client.ok("MULTI");
        client.run("DEBUG SLEEP 0.03");
        assert_eq!(client.run("EXEC"), Value::Array(vec![Value::ok()]));
        wait_until("it is logged", || logged(&mut client, &["DEBUG", "SLEEP", "0.03"]) == 1);
    });
}

//! Copies of values that are too large to be made at once: what clients see while and after they are made.

use crate::aof::{Data, digest, kill, segments};
use crate::common::{Client, Setup, Value, each_setup, wait_until};

const MEMBERS: usize = 45_000;

/// A value of each kind that is copied in steps, in keys that lie on different shards and on the same.
fn fill(client: &mut Client) -> Vec<&'static str> {
    for start in (0..MEMBERS).step_by(1000) {
        let names: Vec<String> = (start..start + 1000).map(|n| format!("a-long-name-of-member:{n}")).collect();
        let with = |word: &str| names.iter().map(|name| format!("{word} {name}")).collect::<Vec<_>>().join(" ");
        let pairs: Vec<String> = names.iter().map(|name| format!("{name} value")).collect();
        for line in [
            format!("SADD set {}", names.join(" ")),
            format!("ZADD zset {}", with("1")),
            format!("HSET hash {}", pairs.join(" ")),
            format!("RPUSH list {}", names.join(" ")),
            format!("XADD stream * {}", pairs.join(" ")),
            format!("APPEND string {}", names.join("")),
        ] {
            assert!(!client.run(&line).is_error(), "{}", &line[..20]);
        }
    }
    client.run("HEXPIRE hash 100000 FIELDS 1 a-long-name-of-member:7");
    client.run("PEXPIREAT zset 9999999999999");
    vec!["set", "zset", "hash", "list", "stream", "string"]
}

/// What tells a value, and when it expires.
fn shown(client: &mut Client, key: &str) -> Vec<Value> {
    ["DEBUG DIGEST-VALUE", "PEXPIRETIME", "OBJECT ENCODING"].map(|look| client.run(&format!("{look} {key}"))).to_vec()
}

#[test]
fn a_copy_is_what_was_there_at_one_moment() {
    each_setup(|setup| {
        let server = crate::common::Launch::new(setup).args("--enable-debug-command yes").start();
        let (mut client, mut other) = (server.client(), server.client());
        for key in fill(&mut client) {
            let before = shown(&mut client, key);
            let steps = client.info_number("everything", "copied_in_steps");
            for (round, to) in
                [format!("{{{key}}}same"), format!("{key}:else"), format!("{key}:third")].iter().enumerate()
            {
                // the other changes the source meanwhile, or before, or after
                client.send_raw(format!("COPY {key} {to}\r\n").as_bytes());
                other.send_raw(b"INCR bystander\r\n");
                other.send_raw(format!("RENAME {key} away\r\n").as_bytes());
                assert_eq!(other.recv(), Value::Int(round as i64 + 1));
                assert_eq!(other.recv(), Value::Simple("OK".into()));
                let copied = client.recv();
                match copied {
                    Value::Int(1) => assert!(shown(&mut client, to) == before, "{key} to {to}"),
                    copied => assert_eq!((copied, client.run(&format!("EXISTS {to}"))), (Value::Int(0), Value::Int(0))),
                }
                other.ok(&format!("RENAME away {key}"));
            }
            client.run("DEL bystander");
            assert_eq!(client.run(&format!("COPY {key} to:{key}")), Value::Int(1));
            assert_eq!(client.run(&format!("COPY {key} to:{key}")), Value::Int(0));
            assert_eq!(client.run(&format!("COPY {key} to:{key} REPLACE DB 3")), Value::Int(1));
            client.run("MULTI");
            client.run(&format!("COPY {key} to:{key} REPLACE"));
            client.run("INCR in:multi");
            assert_eq!(client.run("EXEC").items()[0], Value::Int(1));
            assert!(shown(&mut client, &format!("to:{key}")) == before, "{key}");
            client.ok("SELECT 3");
            assert!(shown(&mut client, &format!("to:{key}")) == before, "{key}");
            client.ok("SELECT 0");
            assert!(client.info_number("everything", "copied_in_steps") >= steps + 4, "{key}: not in steps");
            assert!(shown(&mut client, key) == before, "{key}");
            client.run(&format!("DEL to:{key} {{{key}}}same {key}:else {key}:third"));
        }
        assert_eq!(
            (client.info_number("everything", "locks_held"), client.info_number("everything", "locks_waiting")),
            (0, 0)
        );
        client.ok("FLUSHALL");
        wait_until("what was copied to be freed", || client.info_number("everything", "lazyfree_pending_objects") == 0);
    });
}

#[test]
fn who_wants_to_change_what_is_copied_waits() {
    for setup in Setup::all() {
        let server = crate::common::Launch::new(&setup).args("--enable-debug-command yes").start();
        let (mut client, mut other) = (server.client(), server.client());
        fill(&mut client);
        for (key, write) in [("set", "SADD set new"), ("zset", "ZADD zset 1 new"), ("list", "RPUSH list new")] {
            client.send_raw(format!("COPY {key} copy\r\n{write}\r\nCOPY {key} copy REPLACE\r\n").as_bytes());
            other.send_raw(format!("{write}\r\n").as_bytes());
            assert_eq!(client.recv(), Value::Int(1));
            assert!(!client.recv().is_error() && !other.recv().is_error());
            assert_eq!(client.recv(), Value::Int(1));
            let counts = if key == "list" { 1..=2 } else { 1..=1 };
            let count = match key {
                "set" => "SCARD copy",
                "zset" => "ZCARD copy",
                _ => "LLEN copy",
            };
            let Value::Int(count) = client.run(count) else { panic!("a number") };
            assert!(counts.contains(&(count - MEMBERS as i64)), "{key}: {count}");
            client.run("DEL copy");
        }
    }
}

#[test]
fn the_log_holds_the_whole_copy() {
    for setup in [Setup::pinion(1, "epoll"), Setup::pinion(3, "epoll")] {
        let data = Data::new();
        let server = data.launch(&setup, "always").start();
        let mut client = server.client();
        for key in fill(&mut client) {
            for to in [format!("{{{key}}}same"), format!("{key}:else"), format!("{key}:third")] {
                assert_eq!(client.run(&format!("COPY {key} {to}")), Value::Int(1));
            }
            assert_eq!(client.run(&format!("COPY {key} {key} DB 3")), Value::Int(1));
        }
        let before = digest(&mut client);
        kill(server);
        // what came from another shard went to the log in pieces
        assert_eq!(in_log(&data, b"PINION.WHOLE") > 0, setup.shards > 1);
        let server = data.launch(&setup, "always").start();
        assert!(digest(&mut server.client()) == before, "not what was there");
    }
}

/// How often a word stands in the logs.
fn in_log(data: &Data, word: &[u8]) -> usize {
    let logs = segments(data).into_iter().map(|path| std::fs::read(path).expect("a log"));
    logs.map(|log| log.windows(word.len()).filter(|here| *here == word).count()).sum()
}

#[test]
fn a_crash_amid_a_copy_leaves_what_was_there_or_all_of_it() {
    let setup = Setup::pinion(3, "epoll");
    for policy in ["always", "everysec"] {
        let data = Data::new();
        let launch = || data.launch(&setup, policy).args("--aof-segment-size 1mb").start();
        let mut server = launch();
        let mut client = server.client();
        fill(&mut client);
        for key in ["set", "hash"] {
            client.run(&format!("SET {key}:moved old"));
        }
        let old = [Value::Simple("string".into()), Value::Simple("string".into())];
        let new = [Value::Simple("set".into()), Value::Simple("hash".into())];
        let types = |client: &mut Client| ["set", "hash"].map(|key| client.run(&format!("TYPE {key}:moved")));
        let whole = ["set", "hash"].map(|key| client.run(&format!("DEBUG DIGEST-VALUE {key}")));
        for round in 0..4 {
            let pieces = in_log(&data, b"PINION.PIECE");
            client.send_raw(b"MULTI\r\nCOPY set set:moved REPLACE\r\nRENAME hash hash:moved\r\nEXEC\r\n");
            if round == 3 {
                (0..4).for_each(|_| drop(client.recv()));
            } else {
                // some pieces are in the log, and the transaction may be or not
                wait_until("some pieces", || in_log(&data, b"PINION.PIECE") > pieces);
            }
            kill(server);
            server = launch();
            client = server.client();
            let there = types(&mut client);
            if there == new {
                assert!(["set", "hash"].map(|key| client.run(&format!("DEBUG DIGEST-VALUE {key}:moved"))) == whole);
                assert_eq!(client.run("EXISTS hash"), Value::Int(0));
                break;
            }
            assert!(round < 3 && there == old, "half of it: {there:?}");
            assert_eq!(client.run("EXISTS set hash"), Value::Int(2));
        }
    }
}

#[test]
fn a_look_at_all_of_a_vector_set_sees_one_moment() {
    const ELEMENTS: usize = 1100;
    each_setup(|setup| {
        let server = crate::common::Launch::new(setup).start();
        let (mut client, mut other) = (server.client(), server.client());
        for n in 0..ELEMENTS {
            let angle = n as f32 / ELEMENTS as f32;
            let (x, y) = (angle.cos(), angle.sin());
            client.run(&format!("VADD vectors VALUES 2 {x} {y} e{n} NOQUANT M 4 EF 10"));
        }
        let nearest = |from: usize| Value::Array((from..from + 3).map(|n| Value::bulk(format!("e{n}"))).collect());
        let steps = client.info_number("everything", "copied_in_steps");
        for look in ["VSIM vectors VALUES 2 1 0 COUNT 3 TRUTH", "VSIM vectors ELE e0 TRUTH COUNT 3 WITHSCORES"] {
            let alone = client.run(look);
            if !look.contains("SCORES") {
                assert_eq!(alone, nearest(0));
            }
            client.run("MULTI");
            client.run(look);
            assert_eq!(client.run("EXEC").items(), [alone]);
        }
        assert_eq!(client.run("VSIM vectors VALUES 2 1 0 COUNT 20000").items().len(), ELEMENTS);
        assert!(client.info_number("everything", "copied_in_steps") >= steps + 4);
        // who changes it waits, or came before
        client.send_raw(b"VSIM vectors VALUES 2 1 0 COUNT 3 TRUTH\r\nVREM vectors e9\r\n");
        other.run("VREM vectors e0");
        let first = client.recv();
        assert!(first == nearest(0) || first == nearest(1), "{first:?}");
        assert_eq!(client.recv(), Value::Int(1));
        assert!(client.run("VSIM none VALUES 2 1 0 TRUTH").items().is_empty());
        client.ok("SET string x");
        assert!(client.run("VSIM string VALUES 2 1 0 TRUTH").is_error());
        assert!(client.run("VSIM vectors VALUES 3 1 0 0 TRUTH").is_error());
    });
}

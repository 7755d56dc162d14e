//! Clients that wait for streams: XREAD and XREADGROUP with BLOCK. The keys of most tests are spread over all shards.

use crate::blocking::{await_blocked, waiting};
use crate::common::{Client, Launch, Server, Value, each_setup};
use std::time::{Duration, Instant};

const KEY_GONE: &str = "UNBLOCKED the stream key no longer exists";
const GROUP_GONE: &str = "NOGROUP the consumer group this client was blocked on no longer exists";

/// One entry of one stream, in RESP2.
fn read(key: &str, id: &str, value: &str) -> Value {
    let entry = Value::Array(vec![Value::bulk(id), Value::bulks(&["f", value])]);
    Value::Array(vec![Value::Array(vec![Value::bulk(key), Value::Array(vec![entry])])])
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

fn run_all(client: &mut Client, lines: &[&str]) {
    for line in lines {
        assert!(!client.run(line).is_error(), "{line}");
    }
}

#[test]
fn a_new_entry_serves_all_readers_and_one_of_a_group() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        run_all(&mut client, &["XADD a 1-0 f old", "XGROUP CREATE a g $", "XGROUP CREATE b g $ MKSTREAM"]);
        let mut readers: Vec<Client> = ["XREAD BLOCK 0 STREAMS a $", "XREAD BLOCK 0 STREAMS c a b 0 $ 0"]
            .map(|line| waiting(&server, line))
            .into();
        let mut first = waiting(&server, "XREADGROUP GROUP g one BLOCK 0 STREAMS b a > >");
        let mut second = waiting(&server, "XREADGROUP GROUP g two BLOCK 0 STREAMS a b > >");
        run_all(&mut client, &["XADD a 2-0 f x"]);
        for client in readers.iter_mut().chain([&mut first]) {
            assert_eq!(client.recv(), read("a", "2-0", "x"));
        }
        await_blocked(&server, 1);
        run_all(&mut client, &["XADD b 1-0 f y"]);
        assert_eq!(second.recv(), read("b", "1-0", "y"));
        let pending = client.run("XPENDING a g").items()[0].clone();
        assert_eq!((pending, client.run("XPENDING b g").items()[0].clone()), (Value::Int(1), Value::Int(1)));
    });
}

#[test]
fn readers_in_order_and_with_a_count() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        run_all(&mut client, &["XGROUP CREATE s g $ MKSTREAM"]);
        let mut waiters: Vec<Client> = (0..3)
            .map(|n| waiting(&server, &format!("XREADGROUP GROUP g c{n} COUNT 1 BLOCK 0 NOACK STREAMS s >")))
            .collect();
        for (n, waiter) in waiters.iter_mut().enumerate() {
            run_all(&mut client, &[&format!("XADD s {}-0 f {n}", n + 1)]);
            assert_eq!(waiter.recv(), read("s", &format!("{}-0", n + 1), &n.to_string()));
        }
        // an entry that no reader wants: one behind what it asked for
        let mut waiter = waiting(&server, "XREAD BLOCK 0 STREAMS s 5-0");
        run_all(&mut client, &["XADD s 4-0 f no", "XADD s 5-0 f no", "XADD s 5-1 f yes"]);
        assert_eq!(waiter.recv(), read("s", "5-1", "yes"));
    });
}

#[test]
fn waits_end_by_time_and_by_command() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        run_all(&mut client, &["XGROUP CREATE a g $ MKSTREAM", "XGROUP CREATE b g $ MKSTREAM"]);
        for line in ["XREAD BLOCK 50 STREAMS a b c $ $ $", "XREADGROUP GROUP g c BLOCK 50 STREAMS a b > >"] {
            let begin = Instant::now();
            assert_eq!(client.run(line), Value::NullArray);
            assert!(begin.elapsed() >= Duration::from_millis(50));
        }
        let mut waiter = server.client();
        let id = waiter.run("CLIENT ID").int();
        let unblocked = error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
        for line in ["XREAD BLOCK 0 STREAMS a b 0 0", "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >"] {
            for (reason, expected) in [("TIMEOUT", Value::NullArray), ("ERROR", unblocked.clone())] {
                waiter.send(&line.split(' ').collect::<Vec<_>>());
                await_blocked(&server, 1);
                assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} {reason}")), Value::Int(1));
                assert_eq!(waiter.recv(), expected);
            }
        }
        run_all(&mut client, &["XADD a 1-0 f x"]);
        assert_eq!(client.run("XPENDING a g").items()[0], Value::Int(0), "who waits no more takes nothing");
    });
}

#[test]
fn transactions_neither_wait_nor_serve_before_their_end() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        run_all(&mut client, &["XGROUP CREATE a g $ MKSTREAM", "XGROUP CREATE b g $ MKSTREAM"]);
        let mut reader = waiting(&server, "XREAD BLOCK 0 STREAMS b $");
        let mut member = waiting(&server, "XREADGROUP GROUP g c BLOCK 0 STREAMS b >");
        run_all(&mut client, &["MULTI", "SET a x", "XADD b 1-0 f gone", "XDEL b 1-0", "XADD b 2-0 f x", "EXEC"]);
        assert_eq!(reader.recv(), read("b", "2-0", "x"));
        assert_eq!(member.recv(), read("b", "2-0", "x"));
        run_all(&mut client, &["DEL a", "MULTI", "XREAD BLOCK 0 STREAMS a b $ $"]);
        run_all(&mut client, &["XREADGROUP GROUP g c BLOCK 0 STREAMS b >"]);
        assert_eq!(client.run("EXEC"), Value::Array(vec![Value::NullArray, Value::NullArray]));
    });
}

/// What ends waits for a group of the stream `k` when it is done, and with which error.
const ENDS: [(&[&str], &str); 14] = [
    (&["DEL k"], KEY_GONE),
    (&["UNLINK k"], KEY_GONE),
    (&["SET k x"], KEY_GONE),
    (&["RPUSH l x", "COPY l k REPLACE"], KEY_GONE),
    (&["RENAME k z"], KEY_GONE),
    (&["SET l x", "RENAME l k"], KEY_GONE),
    (&["XADD l 1-0 f x", "RENAME l k"], GROUP_GONE),
    (&["MOVE k 3"], KEY_GONE),
    (&["PEXPIRE k -1"], KEY_GONE),
    (&["FLUSHALL"], KEY_GONE),
    (&["SWAPDB 0 1"], KEY_GONE),
    (&["MULTI", "SET l x", "DEL k", "RPUSH k x", "EXEC"], KEY_GONE),
    (&["MULTI", "SET l x", "DEL k", "XADD k 1-0 f x", "EXEC"], GROUP_GONE),
    (&["XGROUP DESTROY k g"], GROUP_GONE),
];

fn group_waiters(server: &Server) -> [Client; 2] {
    ["XREADGROUP GROUP g c BLOCK 0 STREAMS k >", "XREADGROUP GROUP g d BLOCK 0 STREAMS j i k > > >"]
        .map(|line| waiting(server, line))
}

#[test]
fn members_of_a_group_hear_that_its_stream_is_gone() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for (lines, text) in ENDS {
            run_all(&mut client, &["FLUSHALL"]);
            let mut bystander = waiting(&server, "BLPOP k never 0");
            for key in ["i", "j", "k"] {
                run_all(&mut client, &[&format!("XGROUP CREATE {key} g $ MKSTREAM")]);
            }
            let waiters = group_waiters(&server);
            run_all(&mut client, lines);
            for mut waiter in waiters {
                assert_eq!(waiter.recv(), error(text), "{lines:?}");
            }
            let left = client.run("LLEN never");
            assert_eq!(left, Value::Int(0));
            run_all(&mut client, &["RPUSH never x"]);
            let served = bystander.recv();
            assert!(matches!(served.items()[0].text().as_str(), "k" | "never"), "{served:?}");
        }
    });
}

#[test]
fn a_stream_that_is_back_with_its_group_serves_on() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        run_all(&mut client, &["XGROUP CREATE k g $ MKSTREAM"]);
        let mut waiter = waiting(&server, "XREADGROUP GROUP g c BLOCK 0 STREAMS k >");
        run_all(&mut client, &["MULTI", "SET l x", "DEL k", "XGROUP CREATE k g $ MKSTREAM", "EXEC"]);
        await_blocked(&server, 1);
        run_all(&mut client, &["XADD k 1-0 f x"]);
        assert_eq!(waiter.recv(), read("k", "1-0", "x"));
        // a key that goes by its time is missed too
        let mut waiter = waiting(&server, "XREADGROUP GROUP g c BLOCK 0 STREAMS k >");
        run_all(&mut client, &["PEXPIRE k 20"]);
        assert_eq!(waiter.recv(), error(KEY_GONE));
    });
}

//! Clients that wait for sorted sets: BZPOPMIN, BZPOPMAX, BZMPOP. The keys of most tests are spread over all shards.

use crate::blocking::{await_blocked, waiting};
use crate::common::{Client, Launch, Value, each_setup, wait_until};
use std::time::{Duration, Instant};

fn popped(key: &str, member: &str, score: &str) -> Value {
    Value::bulks(&[key, member, score])
}

#[test]
fn the_lowest_and_the_highest_go_first_come_first_served() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut lowest: Vec<Client> = (0..2).map(|_| waiting(&server, "BZPOPMIN z y x 0")).collect();
        let mut highest = waiting(&server, "BZPOPMAX x y z 0");
        assert_eq!(client.run("ZADD y 1 a 2 b 3 c 4 d"), Value::Int(4));
        assert_eq!((lowest[0].recv(), lowest[1].recv()), (popped("y", "a", "1"), popped("y", "b", "2")));
        assert_eq!(highest.recv(), popped("y", "d", "4"));
        assert_eq!(client.run("ZRANGE y 0 -1"), Value::bulks(&["c"]));
        // of several keys the first that has something
        client.run("ZADD x 7 e");
        assert_eq!(client.run("BZPOPMAX w x y 0"), popped("x", "e", "7"));
        assert_eq!(client.run("BZPOPMIN w x y 0"), popped("y", "c", "3"));
    });
}

#[test]
fn several_at_once() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let pairs = |pairs: &[(&str, &str)]| Value::Array(pairs.iter().map(|(m, s)| Value::bulks(&[m, s])).collect());
        for (command, got, rest) in [
            ("BZMPOP 0 2 k l MIN COUNT 2", [("a", "1"), ("b", "2")], "c"),
            ("BZMPOP 0 2 l k MAX COUNT 2", [("c", "3"), ("b", "2")], "a"),
        ] {
            let mut waiter = waiting(&server, command);
            client.run("ZADD l 1 a 2 b 3 c");
            assert_eq!(waiter.recv(), Value::Array(vec![Value::bulk("l"), pairs(&got)]));
            assert_eq!(client.run("ZRANGE l 0 -1"), Value::bulks(&[rest]));
            client.run("DEL l");
        }
    });
}

#[test]
fn other_commands_that_make_a_sorted_set_serve_too() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.run("ZADD source 5 m");
        for line in [
            "ZINCRBY k 5 m",
            "ZUNIONSTORE k 2 source nothing",
            "ZRANGESTORE k source 0 -1",
            "COPY source k",
            "GEOADD geo 13.361389 38.115556 m",
        ] {
            let mut waiter = waiting(&server, if line.starts_with("GEO") { "BZPOPMIN geo 0" } else { "BZPOPMIN k 0" });
            assert!(!client.run(line).is_error(), "{line}");
            assert_eq!(waiter.recv().items()[1], Value::bulk("m"), "{line}");
        }
    });
}

#[test]
fn keys_of_other_types_are_refused_at_first_and_passed_over_later() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.ok("SET s x");
        assert!(client.run("BZPOPMIN a b s 0").is_error());
        client.run("ZADD a 1 m");
        assert_eq!(client.run("BZPOPMIN a b s 0"), popped("a", "m", "1"));
        let mut waiter = waiting(&server, "BZPOPMAX a b 0");
        client.ok("SET a x");
        client.run("DEL a");
        client.run("RPUSH b x");
        client.run("DEL b");
        client.run("ZADD b 2 n");
        assert_eq!(waiter.recv(), popped("b", "n", "2"));
    });
}

#[test]
fn waits_end_by_time_and_by_command() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for line in ["BZPOPMIN a b c 0.05", "BZPOPMAX a 0.05", "BZMPOP 0.05 3 a b c MIN"] {
            let begin = Instant::now();
            assert_eq!(client.run(line), Value::NullArray);
            assert!(begin.elapsed() >= Duration::from_millis(50));
        }
        let mut waiter = server.client();
        let id = waiter.run("CLIENT ID").int();
        let unblocked = Value::Error(b"UNBLOCKED client unblocked via CLIENT UNBLOCK".to_vec());
        for (reason, expected) in [("TIMEOUT", Value::NullArray), ("ERROR", unblocked)] {
            waiter.send(&["BZPOPMIN", "a", "b", "c", "0"]);
            await_blocked(&server, 1);
            assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} {reason}")), Value::Int(1));
            assert_eq!(waiter.recv(), expected);
            assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} {reason}")), Value::Int(0));
        }
        client.run("ZADD a 1 m");
        assert_eq!(client.run("ZCARD a"), Value::Int(1), "who waits no more takes nothing");
    });
}

#[test]
fn transactions_neither_wait_nor_serve_before_their_end() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let mut waiter = waiting(&server, "BZPOPMIN a b 0");
        for line in ["MULTI", "ZADD a 1 gone", "DEL a", "ZADD b 3 z", "ZADD b 2 y"] {
            assert!(!client.run(line).is_error());
        }
        assert!(!client.run("EXEC").is_error());
        assert_eq!(waiter.recv(), popped("b", "y", "2"));
        client.run("DEL b");
        for line in ["MULTI", "BZPOPMIN a b 0", "BZMPOP 0 1 a MIN", "ZADD a 1 m", "BZPOPMAX b a 0"] {
            assert!(!client.run(line).is_error());
        }
        let replies = vec![Value::NullArray, Value::NullArray, Value::Int(1), popped("a", "m", "1")];
        assert_eq!(client.run("EXEC"), Value::Array(replies));
        wait_until("nobody to wait", || client.run("INFO clients").text().contains("blocked_clients:0\r\n"));
    });
}

//! MIGRATE between Pinion and redis-server, both ways: what arrives, what goes, and what a target that refuses, hangs
//! or is not there makes of it.

mod common;

use common::client::Client;
use common::{Launch, Server, Setup, Value, each_setup};
use std::net::TcpListener;

fn text(value: Value) -> String {
    match value {
        Value::Simple(bytes) | Value::Error(bytes) | Value::Bulk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

fn migrate(client: &mut Client, port: u16, rest: &str) -> String {
    let line = format!("MIGRATE 127.0.0.1 {port} {rest}");
    let words: Vec<&[u8]> = line.split(' ').map(|word| if word == "''" { &b""[..] } else { word.as_bytes() }).collect();
    text(client.call(&words))
}

fn servers(setup: &Setup) -> (Server, Server) {
    (Launch::new(setup).start(), Launch::new(&Setup::oracle()).args("--requirepass pw").start())
}

#[test]
fn keys_move_to_redis() {
    each_setup(|setup| {
        let (ours, theirs) = servers(setup);
        let (mut client, mut target) = (ours.client(), theirs.client());
        let port = theirs.port();
        assert_eq!(text(target.run("AUTH pw")), "OK");
        for line in ["SET a 1", "SET b 2 PX 100000", "RPUSH c x y z", "HSET d f v", "SET e 5", "ZADD f 1.5 m"] {
            client.run(line);
        }
        assert_eq!(
            migrate(&mut client, port, "a 0 5000"),
            "ERR Target instance replied with error: NOAUTH Authentication required."
        );
        assert_eq!(migrate(&mut client, port, "a 0 5000 AUTH pw"), "OK");
        assert_eq!(migrate(&mut client, port, "a 0 5000 AUTH pw"), "NOKEY");
        assert_eq!(migrate(&mut client, port, "'' 3 5000 AUTH2 default pw KEYS b c none d f"), "OK");
        assert_eq!(text(client.run("EXISTS a b c d f")), format!("{:?}", Value::Int(0)));
        assert_eq!(text(target.run("GET a")), "1");
        target.ok("SELECT 3");
        assert_eq!(target.run("DBSIZE"), Value::Int(4));
        assert_eq!(text(target.run("LINDEX c -1")), "z");
        let Value::Int(ttl) = target.run("PTTL b") else { panic!("no time to live") };
        assert!((1..=100_000).contains(&ttl), "{ttl}");
        assert_eq!(migrate(&mut client, port, "e 3 5000 COPY AUTH pw"), "OK");
        assert_eq!(text(client.run("GET e")), "5");
        let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
        assert_eq!(migrate(&mut client, port, "e 3 5000 AUTH pw"), busy);
        client.ok("SET g 7");
        assert_eq!(migrate(&mut client, port, "'' 3 5000 AUTH pw KEYS e g"), busy);
        assert_eq!(client.run("EXISTS e g"), Value::Int(1), "what the target took has gone");
        assert_eq!(migrate(&mut client, port, "e 3 5000 REPLACE AUTH pw"), "OK");
    });
}

#[test]
fn migrate_is_a_part_of_a_transaction() {
    each_setup(|setup| {
        let (ours, theirs) = (Launch::new(setup).start(), Launch::new(&Setup::oracle()).start());
        let (mut client, mut target, mut other) = (ours.client(), theirs.client(), ours.client());
        let port = theirs.port();
        for round in 0..5 {
            client.ok("MSET a 1 b 2 c 3 d 4");
            let lines = [
                "MULTI".to_string(),
                "INCR a".to_string(),
                format!("MIGRATE 127.0.0.1 {port} a 0 5000"),
                "EXISTS a b".to_string(),
                format!("MIGRATE 127.0.0.1 {port} a 0 5000"),
                "RPUSH list x y".to_string(),
                format!("MIGRATE 127.0.0.1 {port} \"\" 1 5000 COPY REPLACE KEYS b c d list none"),
                format!("MIGRATE 127.0.0.1 {port} b 1 5000"),
                "APPEND b !".to_string(),
                "EXEC".to_string(),
            ];
            client.send_raw(format!("{}\r\n", lines.join("\r\n")).as_bytes());
            // meanwhile others ask for the same keys: they come before all of it, or behind
            let seen = other.run("MGET a b");
            let seen: Vec<Option<&Value>> = seen.items().iter().map(|v| (*v != Value::NullBulk).then_some(v)).collect();
            assert!(
                seen == [Some(&Value::bulk("1")), Some(&Value::bulk("2"))] || seen == [None, Some(&Value::bulk("2!"))]
            );
            let replies: Vec<Value> = lines.iter().map(|_| client.recv()).collect();
            let items = replies[9].items();
            let ok = Value::ok();
            let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
            let nokey = Value::Simple(b"NOKEY".to_vec());
            assert_eq!(items[..4], [Value::Int(2), ok.clone(), Value::Int(1), nokey], "round {round}");
            assert_eq!(items[4..6], [Value::Int(2), ok]);
            assert_eq!(items[6..], [Value::Error(busy.into()), Value::Int(2)]);
            assert_eq!(client.run("EXISTS a b c d list"), Value::Int(4));
            assert_eq!(text(target.run("GET a")), "2");
            target.ok("SELECT 1");
            assert_eq!((target.run("DBSIZE"), text(target.run("GET b"))), (Value::Int(4), "2".into()));
            target.ok("SELECT 0");
            target.run("FLUSHALL");
            client.run("FLUSHALL");
        }
        assert!(client.run("INFO shards").text().contains("locks_held:0\r"));
    });
}

#[test]
fn a_client_that_leaves_in_the_midst_of_it_leaves_nothing_locked() {
    // a target that takes connections and never answers
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = deaf.local_addr().expect("an address").port();
    each_setup(|setup| {
        let ours = Launch::new(setup).start();
        let (mut client, mut other) = (ours.client(), ours.client());
        client.ok("MSET a 1 b 2");
        client.send_raw(format!("MULTI\r\nMIGRATE 127.0.0.1 {port} a 0 300\r\nINCR b\r\nEXEC\r\n").as_bytes());
        assert_eq!(client.recv(), Value::ok());
        drop(client);
        assert_eq!(other.run("INCR a"), Value::Int(2));
        assert_eq!(other.run("GET b"), Value::bulk("3"));
    });
}

#[test]
fn keys_come_from_redis() {
    let (ours, theirs) = servers(&Setup::typical());
    let mut source = theirs.client();
    source.run("AUTH pw");
    for i in 0..100 {
        source.run(&format!("SADD s{i} a b {i}"));
    }
    let keys: Vec<String> = (0..100).map(|i| format!("s{i}")).collect();
    assert_eq!(migrate(&mut source, ours.port(), &format!("'' 0 5000 KEYS {}", keys.join(" "))), "OK");
    let mut client = ours.client();
    assert_eq!(client.run("DBSIZE"), Value::Int(100));
    assert_eq!(client.run("SISMEMBER s77 77"), Value::Int(1));
    assert_eq!(source.run("DBSIZE"), Value::Int(0));
}

#[test]
fn what_is_wrong_is_told_as_redis_tells_it() {
    let setups = [Setup::oracle(), Setup::typical()];
    let all: Vec<Vec<String>> = setups.iter().map(answers).collect();
    assert_eq!(all[1], all[0]);
}

fn answers(setup: &Setup) -> Vec<String> {
    let (server, target) = (Launch::new(setup).start(), Launch::new(&Setup::oracle()).start());
    let mut client = server.client();
    client.ok("SET k v");
    let mut all = Vec::new();
    for rest in [
        "none 0 10",
        "k x 10",
        "k 0 x",
        "k 0 x FOO",
        "k 0 10 FOO",
        "k 0 10 AUTH",
        "k 0 10 AUTH2 a",
        "k 0 10 KEYS a",
        "'' 0 10 KEYS",
        "'' 0 10",
        "k 99 5000",
        "k 0 5000 AUTH2 nobody x",
    ] {
        all.push(migrate(&mut client, target.port(), rest));
    }
    let nobody = common::server::free_port("127.0.0.1");
    all.push(migrate(&mut client, nobody, "k 0 1000"));
    all.push(text(client.run("MIGRATE nowhere.invalid 1 k 0 1000")));
    // One that listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    all.push(migrate(&mut client, silent.local_addr().expect("an address").port(), "k 0 50"));
    all.push(text(client.run("GET k")));
    all
}

#[test]
fn a_key_that_changes_meanwhile_arrives_as_it_was_last() {
    let (ours, theirs) = (Launch::new(&Setup::typical()).start(), Launch::new(&Setup::oracle()).start());
    let (port, writes) = (theirs.port(), 300);
    let writer = std::thread::spawn({
        let address = ours.address.clone();
        move || {
            let mut client = Client::connect(&address);
            (0..writes).for_each(|_| drop(client.run("INCR n")));
        }
    });
    let mut client = ours.client();
    let mut sum = 0;
    let mut taken = |client: &mut Client| {
        if migrate(client, port, "n 0 5000 REPLACE") == "OK" {
            let mut target = theirs.client();
            sum += text(target.run("GET n")).parse::<i64>().expect("a number");
            target.run("DEL n");
        }
    };
    (0..30).for_each(|_| taken(&mut client));
    writer.join().expect("it writes to the end");
    taken(&mut client);
    assert_eq!(sum, writes, "no write is lost, none counted twice");
    assert_eq!(ours.client().run("EXISTS n"), Value::Int(0));
}

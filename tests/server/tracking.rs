//! CLIENT TRACKING: the same script here and on redis-server makes the same invalidations; step by step where one shard
//! serves all keys, in all where several do.

use crate::common::{Client, Launch, Server, Setup, Value, each_setup, wait_until};
use std::time::Duration;

/// Each scenario: how the reader starts, then its steps. `R` is the client that caches, in RESP3, `W` another.
const SCENARIOS: &[(&str, &str)] = &[
    (
        "CLIENT TRACKING on",
        "R GET a|W SET a 1|W SET a 2|R GET a|R GET a|W APPEND a x|R MGET a b c|W MSET a 1 b 2 d 3|W DEL c|R EXISTS e\
         |W SET e 1|R TTL e|W EXPIRE e 100|R TTL e|W PERSIST e|R TTL e|W PERSIST e|R STRLEN e|W RENAME e f|R GET f\
         |W RENAME f e|R GET a|R SET a own|R GET a|R INCRBYFLOAT n 1|R GET n|R INCRBYFLOAT n 1|R GETDEL a|W SET a 1\
         |R GET a|W SETBIT a 3 1|R GET a|W SETBIT a 3 1|W SETRANGE a 0 zz|R GETEX a|W SET a 5|R GET a|W GETEX a EX 9\
         |R BITCOUNT a|W COPY b a REPLACE|R GET a|W MOVE a 3|R GET x|W FLUSHALL|R GET x|W SET x 1|R GET x|W FLUSHDB\
         |W SET x 1|R LCS l1 l2|W SET l1 a|W SET l2 b|R GET p|W GETSET p 1|R TYPE p|W GETDEL p|R GET q\
         |W SET q v PX 1|R GET z|W INCR z|W INCR z|R TOUCH z|W DECR z|R OBJECT ENCODING z|W INCR z",
    ),
    (
        "CLIENT TRACKING on NOLOOP",
        "R GET a|R SET a 1|W SET a 2|R GET a|W SET a 3|R GET b|R DEL b|R SET b 1|R GET b|R DEL b",
    ),
    (
        "CLIENT TRACKING on OPTIN",
        "R GET a|W SET a 1|R CLIENT CACHING yes|R GET a|W SET a 2|R GET a|W SET a 3|R CLIENT CACHING yes|R PING\
         |R GET a|W SET a 1|R CLIENT CACHING yes|R CLIENT GETNAME|R GET a|W SET a 4",
    ),
    ("CLIENT TRACKING on OPTOUT", "R GET a|W SET a 1|R CLIENT CACHING no|R GET a|W SET a 2|R GET a|W SET a 3"),
    (
        "CLIENT TRACKING on BCAST",
        "W SET a 1|W DEL a|R SET b 1|R GET b|W EXPIRE b 100|W MSET x 1|W SET x 2|W FLUSHALL|W DEL nothing\
         |W SETBIT t 1 1\
         |W SETBIT t 1 1|W GETDEL t",
    ),
    ("CLIENT TRACKING on BCAST NOLOOP", "R SET a 1|W SET a 2|R DEL a"),
    (
        "CLIENT TRACKING on BCAST PREFIX user: PREFIX item:",
        "W SET user:1 1|W SET other 1|W SET item:1 1|W SET user: 1|W SET use 1|R CLIENT TRACKING on BCAST PREFIX more\
         |W SET more1 1|R CLIENT TRACKING off|W SET user:1 1|R GET user:1|W SET user:1 2",
    ),
];

/// What comes before the reply to a PING, and that.
fn pushes(client: &mut Client) -> Vec<Value> {
    client.send(&["PING", "mark"]);
    let mut all = Vec::new();
    loop {
        match client.recv() {
            push @ Value::Push(_) => all.push(push),
            other => {
                assert_eq!(other, Value::bulk("mark"));
                return all;
            }
        }
    }
}

/// The reply to a command among invalidations, which may come before it or after.
fn reply(client: &mut Client, line: &str, all: &mut Vec<Value>) -> Value {
    client.send(&line.split_whitespace().collect::<Vec<_>>());
    loop {
        match client.recv() {
            push @ Value::Push(_) => all.push(push),
            other => return other,
        }
    }
}

/// The invalidations after each step.
fn play(server: &Server, start: &str, steps: &str) -> Vec<(String, Vec<Value>)> {
    let (mut reader, mut writer) = (server.client3(), server.client());
    writer.ok("FLUSHALL");
    // its answers come behind what every shard has to say about that, which who tracks from now on would hear, too
    reader.run("DBSIZE");
    reader.ok(start);
    let mut heard = Vec::new();
    for step in steps.split('|').map(str::trim) {
        let (who, line) = step.split_once(' ').expect("who and what");
        let mut all = Vec::new();
        match who {
            "R" => drop(reply(&mut reader, line, &mut all)),
            _ => drop(writer.run(line)),
        }
        all.extend(pushes(&mut reader));
        heard.push((step.to_string(), all));
    }
    // what still is on its way between shards
    let mut last = Vec::new();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(10));
        last.extend(pushes(&mut reader));
    }
    heard.push(("the end".to_string(), last));
    heard
}

/// Every key that was invalidated, as often as it was; `*` for all.
fn keys(heard: &[(String, Vec<Value>)]) -> Vec<String> {
    let mut keys = Vec::new();
    for push in heard.iter().flat_map(|(_, pushes)| pushes) {
        assert_eq!(push.items()[0], Value::bulk("invalidate"), "{push:?}");
        match &push.items()[1] {
            Value::Array(names) => keys.extend(names.iter().map(Value::text)),
            other => {
                assert_eq!(*other, Value::Null);
                keys.push("*".to_string());
            }
        }
    }
    keys.sort();
    keys
}

#[test]
fn invalidations_are_those_of_redis() {
    let oracle = Launch::new(&Setup::oracle()).start();
    let theirs: Vec<_> = SCENARIOS.iter().map(|(start, steps)| play(&oracle, start, steps)).collect();
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        for ((start, steps), theirs) in SCENARIOS.iter().zip(&theirs) {
            let ours = play(&server, start, steps);
            if setup.shards == 1 {
                for (our, their) in ours.iter().zip(theirs) {
                    assert_eq!(our, their, "{start}");
                }
            }
            // every shard says that all is gone
            let dedup = |mut keys: Vec<String>| {
                let all = keys.iter().filter(|key| *key == "*").count();
                keys.retain(|key| key != "*");
                (keys, all > 0)
            };
            assert_eq!(dedup(keys(&ours)), dedup(keys(theirs)), "{start}");
        }
    });
}

#[test]
fn invalidations_can_go_to_another_connection() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        for resp3 in [false, true] {
            let mut listener = if resp3 { server.client3() } else { server.client() };
            let id = listener.run("CLIENT ID").int();
            if !resp3 {
                listener.run("SUBSCRIBE __redis__:invalidate");
            }
            let (mut reader, mut writer) = (server.client(), server.client());
            reader.ok(&format!("CLIENT TRACKING on REDIRECT {id}"));
            assert_eq!(reader.run("CLIENT GETREDIR"), Value::Int(id));
            for key in ["a", "b", "c", "d", "e"] {
                reader.run(&format!("GET {key}"));
                writer.ok(&format!("SET {key} 1"));
                let keys = Value::bulks(&[key]);
                let expected = if resp3 {
                    Value::Push(vec![Value::bulk("invalidate"), keys])
                } else {
                    Value::Array(vec![Value::bulk("message"), Value::bulk("__redis__:invalidate"), keys])
                };
                assert_eq!(listener.recv(), expected);
            }
            reader.run("GET a");
            writer.ok("FLUSHALL");
            let all = listener.recv();
            assert_eq!(*all.items().last().expect("keys"), if resp3 { Value::Null } else { Value::NullBulk });
            drop(listener);
            let mut broken = |reader: &mut Client| {
                reader.run("GET a");
                writer.ok("SET a 2");
                reader.run("CLIENT TRACKINGINFO").items()[1].items().contains(&Value::bulk("broken_redirect"))
            };
            wait_until("it learns that the connection is gone", || broken(&mut reader));
            assert!(reader.run("CLIENT INFO").text().contains(" flags=tR "));
        }
    });
}

#[test]
fn options_are_refused_as_redis_refuses_them() {
    let script = "
        CLIENT TRACKING foo|CLIENT TRACKING on foo|CLIENT TRACKING on bcast optin|CLIENT TRACKING on optin optout
        CLIENT TRACKING on prefix a|CLIENT TRACKING on redirect 99999|CLIENT TRACKING on redirect x
        CLIENT TRACKING on bcast prefix a prefix ab|CLIENT TRACKING on bcast prefix a prefix b
        CLIENT TRACKING on bcast prefix ax|CLIENT TRACKING on bcast prefix c|CLIENT TRACKINGINFO|CLIENT TRACKING on
        CLIENT TRACKING off|CLIENT CACHING yes|CLIENT TRACKING on|CLIENT CACHING yes|CLIENT CACHING no
        CLIENT TRACKING on bcast|CLIENT TRACKING on optin|CLIENT TRACKING on optout|CLIENT TRACKING off
        CLIENT TRACKING on optin|CLIENT CACHING no|CLIENT CACHING maybe|CLIENT CACHING yes|CLIENT TRACKINGINFO
        CLIENT GETREDIR|CLIENT TRACKING on optout|CLIENT TRACKING off|CLIENT TRACKING on optout|CLIENT CACHING yes
        CLIENT CACHING no|CLIENT TRACKINGINFO|CLIENT TRACKING off|CLIENT TRACKINGINFO|CLIENT GETREDIR
        CLIENT TRACKING on redirect|CLIENT TRACKING on bcast prefix|CLIENT TRACKING on redirect 0
        CLIENT TRACKING on noloop|CLIENT TRACKINGINFO|RESET|CLIENT TRACKINGINFO|HELLO 3|CLIENT TRACKING on bcast
        CLIENT TRACKINGINFO|CLIENT TRACKING off";
    let oracle = Launch::new(&Setup::oracle()).start();
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut ours, mut theirs) = (server.client(), oracle.client());
        for line in script.split(['|', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            let (our, their) = (ours.run(line), theirs.run(line));
            if !line.starts_with("HELLO") {
                assert_eq!(our, their, "{line}");
            }
        }
    });
}

#[test]
fn the_table_is_limited() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        server.client().ok("CONFIG SET tracking-table-max-keys 50");
        let mut reader = server.client3();
        reader.ok("CLIENT TRACKING on");
        let mut all = Vec::new();
        for i in 0..500 {
            reply(&mut reader, &format!("GET key{i}"), &mut all);
        }
        let mut other = server.client();
        let tracked = |client: &mut Client| {
            let info = client.run("INFO stats").text();
            let line = info.lines().find_map(|line| line.strip_prefix("tracking_total_keys:")).expect("the field");
            line.trim().parse::<usize>().expect("a number")
        };
        wait_until("the table shrinks", || tracked(&mut other) <= 50);
        let left = tracked(&mut other);
        wait_until("who read the others was told", || {
            all.extend(pushes(&mut reader));
            all.len() == 500 - left
        });
        assert!(other.run("INFO clients").text().contains("tracking_clients:1"));
        drop(reader);
        wait_until("it is gone", || other.run("INFO clients").text().contains("tracking_clients:0"));
    });
}

/// Nobody has to read a key for the table to shrink.
#[test]
fn a_smaller_limit_of_the_table_counts() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut reader = server.client3();
        reader.ok("CLIENT TRACKING on");
        (0..20).for_each(|i| drop(reader.run(&format!("GET {{one}}{i}"))));
        server.client().ok("CONFIG SET tracking-table-max-keys 1");
        let mut forgotten = Vec::new();
        wait_until("all but one are forgotten", || {
            forgotten.extend(pushes(&mut reader));
            forgotten.len() == 19
        });
    });
}

#[test]
fn a_client_never_keeps_what_it_was_to_forget() {
    each_setup(|setup| {
        if !setup.is_pinion {
            return;
        }
        let server = Launch::new(setup).start();
        let mut writer = server.client();
        let mut reader = server.client3();
        reader.ok("CLIENT TRACKING on");
        let keys: Vec<String> = (0..8).map(|i| format!("k{i}")).collect();
        let mut cache: std::collections::BTreeMap<String, Value> = Default::default();
        for round in 0..100 {
            // reads and writes race; replies and invalidations are taken in the order they come
            let line = format!("MGET {}\r\n", keys.join(" "));
            let single: String = keys.iter().map(|key| format!("GET {key}\r\n")).collect();
            reader.send_raw(format!("{line}{single}").as_bytes());
            for key in &keys {
                writer.send(&["SET", key, &round.to_string()]);
            }
            let mut left = 1 + keys.len();
            while left > 0 {
                match reader.recv() {
                    Value::Push(items) => items[1].items().iter().for_each(|key| drop(cache.remove(&key.text()))),
                    Value::Array(values) => {
                        cache.extend(keys.iter().cloned().zip(values));
                        left -= 1;
                    }
                    value => {
                        cache.insert(keys[1 + keys.len() - left - 1].clone(), value);
                        left -= 1;
                    }
                }
            }
            keys.iter().for_each(|_| assert_eq!(writer.recv(), Value::ok()));
        }
        wait_until("the last invalidations", || {
            for push in pushes(&mut reader) {
                push.items()[1].items().iter().for_each(|key| drop(cache.remove(&key.text())));
            }
            cache.values().all(|value| *value == Value::bulk("99"))
        });
    });
}

#[test]
fn telling_clients_of_evicted_keys_evicts_no_more() {
    // of one core: of several, the output buffers that each keeps for reuse weigh more than these keys
    each_setup(|setup| {
        if setup.shards > 1 {
            return;
        }
        let args = "--maxmemory-policy allkeys-lru --maxmemory-eviction-tenacity 100 --enable-debug-command yes";
        let server = Launch::new(setup).args(args).start();
        let mut admin = server.client();
        let mut caching: Vec<Client> = (0..10).map(|_| server.client3()).collect();
        caching.iter_mut().for_each(|client| client.ok("CLIENT TRACKING on"));
        for number in 0..600 {
            let key = format!("{number}{}", "x".repeat(1000));
            admin.call(&["SET", &key, "x"]);
            for client in &mut caching {
                client.call(&["GET", &key]);
            }
        }
        let used = admin.info_number("memory", "used_memory");
        // each tick from here on lasts long, as on a machine that is busy with other things
        let mut sleeper = server.client();
        let sleeper = std::thread::spawn(move || (0..40).for_each(|_| sleeper.ok("DEBUG SLEEP 0.01")));
        // what tables keep free does not count against the limit, so some of this may go without a key
        admin.ok(&format!("CONFIG SET maxmemory {}", used - 100_000));
        let mut left = admin.run("DBSIZE").int();
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(20));
            left = admin.run("DBSIZE").int();
        }
        sleeper.join().expect("the sleeper");
        assert!(left > 400, "{left} keys are left");
    });
}

#[test]
fn events_of_evicted_keys_evict_no_more() {
    evict_some("--notify-keyspace-events KEA");
}

#[test]
fn what_is_logged_of_evicted_keys_evicts_no_more() {
    evict_some("--appendonly yes --appendfsync always");
    evict_some("--appendonly yes --appendfsync no");
}

/// Evicts 200 KB of 1,000 keys with names of 1 KB: most of them have to be left.
fn evict_some(more: &str) {
    each_setup(|setup| {
        if setup.shards > 1 {
            return;
        }
        let args = format!("--maxmemory-policy allkeys-lru --maxmemory-eviction-tenacity 100 {more}");
        let server = Launch::new(setup).args(&args).start();
        let mut admin = server.client();
        for number in 0..1000 {
            admin.call(&["SET", &format!("{number}{}", "x".repeat(1000)), "x"]);
        }
        let used = admin.info_number("memory", "used_memory");
        admin.ok(&format!("CONFIG SET maxmemory {}", used - 200_000));
        let left = admin.run("DBSIZE").int();
        assert!(left > 600, "{left} keys are left");
    });
}

//! Values in RDB's form, both ways with a running redis-server: what it dumps is read, and what is written of that
//! again restores to an equal value. With `PINION_PEERS` also newer redis-server and valkey-server. Starts no Pinion.

mod common;

use common::client::Client;
use common::{Launch, Random, Setup, Value, word};
use pinion::types::rdb::read::{self, Limits};
use pinion::types::rdb::{Flavor, write};
use pinion::types::value::{Owned, View};
use std::time::{SystemTime, UNIX_EPOCH};

fn limits() -> Limits {
    Limits {
        now_ms: SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64,
        ..Limits::default()
    }
}

fn view(owned: &Owned) -> View<'_> {
    match owned {
        Owned::Int(n) => View::Int(*n),
        Owned::Str { bytes, raw } => View::Str { bytes, raw: *raw },
        Owned::Boxed(value) => View::Boxed(value),
    }
}

/// Fills `key` with a value of a random type and size.
fn fill(client: &mut Client, random: &mut Random, timed: bool) {
    let count = [1, 3, 20, 100, 140, 600, 3000][random.below(7)];
    let pushes = |name: &str, make: &mut dyn FnMut() -> Vec<Vec<u8>>| {
        let mut command = vec![name.as_bytes().to_vec(), b"k".to_vec()];
        (0..count).for_each(|_| command.extend(make()));
        command
    };
    let commands = match random.below(if timed { 8 } else { 7 }) {
        0 => vec![vec![b"SET".to_vec(), b"k".to_vec(), word(random)]],
        1 => vec![pushes("RPUSH", &mut || vec![word(random)])],
        2 => vec![pushes("SADD", &mut || vec![(random.next() as i32 >> 12).to_string().into_bytes()])],
        3 => vec![pushes("SADD", &mut || vec![word(random)])],
        4 => {
            vec![pushes("ZADD", &mut || vec![(random.below(1000) as f64 / 7.0).to_string().into_bytes(), word(random)])]
        }
        5 => vec![pushes("HSET", &mut || vec![word(random), word(random)])],
        6 => {
            let add =
                |random: &mut Random| vec![b"XADD".to_vec(), b"k".to_vec(), b"*".to_vec(), b"f".to_vec(), word(random)];
            let mut all: Vec<Vec<Vec<u8>>> = (0..count).map(|_| add(random)).collect();
            let line = |text: &str| text.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
            all.push(line("XGROUP CREATE k g 0"));
            all.push(line("XREADGROUP GROUP g alice COUNT 3 STREAMS k >"));
            all.push(line("XGROUP CREATECONSUMER k g bob"));
            all.push(line("XTRIM k MAXLEN ~ 50"));
            all
        }
        _ => {
            let fill = pushes("HSET", &mut || vec![format!("f{}", random.below(5000)).into_bytes(), word(random)]);
            let field = fill[2].clone();
            let expire = ["HPEXPIRE", "k", "100000000", "FIELDS", "1"].map(|w| w.as_bytes().to_vec());
            vec![fill, [expire.to_vec(), vec![field]].concat()]
        }
    };
    for command in commands {
        let reply = client.call(&command);
        assert!(!reply.is_error(), "{reply:?}");
    }
}

fn exchange(setup: &Setup, flavor: Flavor, timed: bool) {
    let server = Launch::new(setup).args("--enable-debug-command yes").start();
    let (mut client, mut random) = (server.client(), Random(7));
    for round in 0..150 {
        if round % 5 == 0 {
            let small = ["0", "128", "512"][random.below(3)];
            for name in ["hash", "zset"] {
                client.ok(&format!("CONFIG SET {name}-max-listpack-entries {small}"));
            }
            client.ok(&format!("CONFIG SET rdbcompression {}", ["yes", "no"][random.below(2)]));
        }
        client.run("DEL k copy");
        fill(&mut client, &mut random, timed);
        let Value::Bulk(theirs) = client.run("DUMP k") else { panic!("no payload") };
        let value = read::payload(&theirs, &limits()).unwrap_or_else(|bad| panic!("type {}: {bad}", theirs[0]));
        let ours = write::payload(view(&value), flavor);
        assert_eq!(read::payload(&ours, &limits()), Ok(value));
        let restored = client.call(&[b"RESTORE", &b"copy"[..], b"0", &ours]);
        assert_eq!(restored, Value::ok(), "type {} as type {}", theirs[0], ours[0]);
        let [own, copy] = ["k", "copy"].map(|key| client.run(&format!("DEBUG DIGEST-VALUE {key}")));
        assert_eq!(own, copy, "type {} as type {}", theirs[0], ours[0]);
        // Of the same order: RDB files are to be no larger than Redis's.
        assert!(ours.len() <= theirs.len() + theirs.len() / 4 + 64, "{} for {}", ours.len(), theirs.len());
    }
}

#[test]
fn redis_takes_what_it_gave() {
    exchange(&Setup::oracle(), Flavor::Redis, false);
}

#[test]
fn newer_servers_take_what_they_gave() {
    let Ok(root) = std::env::var("PINION_PEERS") else {
        println!("PINION_PEERS is not set: nothing to exchange with");
        return;
    };
    for (name, flavor) in [("redis", Flavor::Redis), ("valkey", Flavor::Valkey)] {
        exchange(&Setup::other(&format!("chroot {root} {name}-server")), flavor, true);
    }
}

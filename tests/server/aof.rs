//! The append-only log over real restarts: what was acknowledged is there again, whatever ended the process, on as many
//! shards as before or on others.

use crate::common::{Client, Launch, Random, Server, Setup, Value, each_setup};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A data directory that outlives its servers.
pub(crate) struct Data(pub(crate) PathBuf);

impl Data {
    pub(crate) fn new() -> Data {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("data-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a data directory");
        Data(path)
    }

    pub(crate) fn launch(&self, setup: &Setup, policy: &str) -> Launch {
        let line = format!("--dir {} --appendonly yes --appendfsync {policy}", self.0.display());
        Launch::new(setup).args(&line).args("--enable-debug-command yes")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("appendonlydir")
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) const POLICIES: [&str; 3] = ["always", "everysec", "no"];

pub(crate) fn kill(mut server: Server) {
    server.signal(libc::SIGKILL);
    server.wait_exit();
}

pub(crate) fn digest(client: &mut Client) -> String {
    let mut all = String::new();
    for db in [0, 3] {
        client.ok(&format!("SELECT {db}"));
        let mut keys: Vec<String> = client.run("KEYS *").items().iter().map(Value::text).collect();
        keys.sort();
        for key in keys {
            for line in ["DEBUG DIGEST-VALUE", "PEXPIRETIME", "OBJECT ENCODING"] {
                all += &format!("{line} {key}: {:?}\n", client.run(&format!("{line} {key}")));
            }
        }
    }
    client.ok("SELECT 0");
    all + &format!("{:?}", client.run("DEBUG DIGEST"))
}

/// Commands of every kind whose effect the log has to find its own words for, over one shard and several.
pub(crate) fn write_all_kinds(server: &Server) {
    let mut client = server.client();
    let mut waiting = server.client();
    for line in [
        "MSET a 1 b 2 c 3 d 4 e 5 f 6",
        "SET ttl v EX 1000",
        "GETEX a PX 2000000",
        "INCRBYFLOAT b 1.25",
        "RENAME c renamed",
        "COPY d copied DB 3",
        "SADD s1 x y z",
        "SADD s2 y z w",
        "SADD s3 1 2 3",
        "SUNIONSTORE union s1 s2 s3",
        "SINTERSTORE s1 s2 s3",
        "SDIFFSTORE s3 s2 union",
        "SPOP s2",
        "SMOVE union moved x",
        "ZADD z1 1 a 2 b",
        "ZADD z2 3 b 4 c",
        "ZUNIONSTORE z3 2 z1 z2",
        "ZRANGESTORE z4 z3 0 1",
        "ZPOPMIN z3",
        "BITOP OR bits a b",
        "PFADD p1 a b c",
        "PFADD p2 d e",
        "PFMERGE p3 p1 p2",
        "RPUSH l1 1 2 3 4",
        "LMOVE l1 l2 LEFT RIGHT",
        "SORT l1 STORE sorted",
        "XADD x * f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g me STREAMS x >",
        "HSET h f v g w",
        "HINCRBYFLOAT h n 1.5",
        "GEOADD geo 13.36 38.11 Palermo 15.08 37.50 Catania",
        "GEOSEARCHSTORE near geo FROMLONLAT 15 37 BYRADIUS 200 km",
        "MSETNX n1 1 n2 2 n3 3",
        "MSETNX n1 1 n4 2 n5 3",
        "UNLINK e n3",
        "DEBUG POPULATE 20 filler 3",
        "SELECT 3",
        "SET in3 v",
        "SWAPDB 3 5",
        "SWAPDB 5 3",
        "SELECT 0",
        "SET short v PX 1",
        "EXPIRE f 5000",
        "MULTI",
        "SET m1 v",
        "INCR m2",
        "RENAME m1 m3",
        "SELECT 3",
        "LPUSH m4 a b",
        "SELECT 0",
        "EXEC",
    ] {
        let reply = client.run(line);
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    waiting.send(&["BLPOP", "wanted", "other", "0"]);
    crate::common::wait_until("a client waits", || client.run("INFO clients").text().contains("blocked_clients:1"));
    client.run("RPUSH wanted one two");
    assert_eq!(waiting.recv().items().len(), 2);
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(client.run("GET short"), Value::NullBulk);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_dies() {
    each_setup(|setup| {
        for policy in POLICIES {
            let data = Data::new();
            let server = data.launch(setup, policy).start();
            write_all_kinds(&server);
            let before = digest(&mut server.client());
            kill(server);
            for shards in [setup.shards, 3] {
                let other = Setup { shards, ..setup.clone() };
                let server = data.launch(&other, policy).start();
                let mut client = server.client();
                assert_eq!(digest(&mut client), before, "{policy}, {shards} shards");
                client.ok("SET again 1");
                client.run("DEL again");
                kill(server);
            }
        }
    });
}

/// One client's counter and triple of equal keys until the connection breaks; what it was told last.
pub(crate) fn load(mut client: Client, number: u64) -> (i64, i64) {
    let (mut counted, mut tripled) = (0, 0);
    let mut random = Random(number);
    loop {
        let next = tripled + 1;
        let keys = ["left", "right", "third"].map(|key| format!("{key}:{number} {next}"));
        let (triple, replies) = match random.chance(50) {
            true => (format!("MSET {}\r\n", keys.join(" ")), 1),
            false => (format!("MULTI\r\nSET {}\r\nSET {}\r\nSET {}\r\nEXEC\r\n", keys[0], keys[1], keys[2]), 5),
        };
        let request = format!("INCR count:{number}\r\n{triple}");
        if client.stream.write_all(request.as_bytes()).is_err() {
            return (counted, tripled);
        }
        for reply in 0..=replies {
            match client.try_recv() {
                Ok(Some(Value::Error(text))) => panic!("{}", String::from_utf8_lossy(&text)),
                Ok(Some(Value::Int(n))) if reply == 0 => counted = n,
                Ok(Some(_)) if reply == replies => tripled = next,
                Ok(Some(_)) => {}
                _ => return (counted, tripled),
            }
        }
    }
}

/// What [`load`]s were told is there, and no transaction by halves.
pub(crate) fn verify(client: &mut Client, told: Vec<(i64, i64)>, what: &str) {
    for (number, (counted, tripled)) in told.into_iter().enumerate() {
        let mut number_at = |key: &str| -> i64 {
            let text = client.run(&format!("GET {key}:{number}"));
            if text == Value::NullBulk { 0 } else { text.text().parse().expect("a number") }
        };
        let [count, left, right, third] = ["count", "left", "right", "third"].map(&mut number_at);
        assert!(count >= counted && count <= counted + 1, "{what}: {count} of {counted} counted");
        assert!(left >= tripled && left <= tripled + 1, "{what}: {left}, but {tripled} was acknowledged");
        assert_eq!((left, left), (right, third), "{what}: half a transaction");
    }
}

#[test]
fn a_crash_under_load_keeps_what_was_acknowledged_and_tears_nothing() {
    each_setup(|setup| {
        for (round, policy) in POLICIES.iter().enumerate() {
            let data = Data::new();
            let server = data.launch(setup, policy).start();
            let told: Vec<(i64, i64)> = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..4).map(|n| (n, server.client())).collect();
                let loads: Vec<_> = clients.into_iter().map(|(n, c)| scope.spawn(move || load(c, n))).collect();
                std::thread::sleep(Duration::from_millis(120 + 40 * round as u64));
                server.signal(libc::SIGKILL);
                loads.into_iter().map(|load| load.join().expect("a load ends")).collect()
            });
            drop(server);
            let server = data.launch(setup, policy).start();
            let mut client = server.client();
            verify(&mut client, told, policy);
        }
    });
}

#[test]
fn an_orderly_end_leaves_files_without_slack_and_runs_add_up() {
    let data = Data::new();
    for run in 0..4 {
        let setup = Setup { shards: 1 + run % 3, ..Setup::typical() };
        let mut server = data.launch(&setup, "everysec").start();
        let mut client = server.client();
        assert_eq!(client.run("DBSIZE"), Value::Int(run as i64 * 10));
        for key in 0..10 {
            client.ok(&format!("SET run{run}:{key} v"));
        }
        client.send(&["SHUTDOWN"]);
        client.expect_closed();
        assert_eq!(server.wait_exit().code(), Some(0), "{}", server.log());
    }
    let bytes: u64 = fs::read_dir(data.logs()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 32 * 1024, "{bytes} bytes for forty small keys");
}

/// The segments of a log that hold something, in order.
pub(crate) fn segments(data: &Data) -> Vec<PathBuf> {
    let files = fs::read_dir(data.logs()).expect("the logs").map(|file| file.expect("a file").path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.retain(|path| fs::metadata(path).expect("a file").len() > 0);
    logs.sort();
    logs
}

#[test]
fn a_torn_tail_is_cut_and_damage_in_the_middle_refuses_to_start() {
    let setup = Setup { shards: 1, ..Setup::typical() };
    let data = Data::new();
    let mut server = data.launch(&setup, "always").start();
    let mut client = server.client();
    for n in 0..10 {
        client.ok(&format!("SET key{n} {}", "v".repeat(100)));
    }
    server.signal(libc::SIGTERM);
    server.wait_exit();
    let log = segments(&data).remove(0);
    let whole = fs::read(&log).expect("the log");

    let mut damaged = whole.clone();
    damaged[4096 + 80] ^= 1;
    fs::write(&log, &damaged).expect("written");
    let (status, said) = data.launch(&setup, "always").start_failing(crate::common::server::free_port("127.0.0.1"));
    assert!(!status.success(), "{said}");
    for part in [log.to_str().expect("a path"), "at byte 4096", "pinion check"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }

    fs::write(&log, &whole[..whole.len() - 4000]).expect("written");
    let (status, said) = data
        .launch(&setup, "always")
        .args("--aof-load-truncated no")
        .start_failing(crate::common::server::free_port("127.0.0.1"));
    assert!(!status.success() && said.contains("aof-load-truncated"), "{said}");
    let server = data.launch(&setup, "always").start();
    assert!(server.log().contains("it is cut there"), "{}", server.log());
    assert_eq!(server.client().run("DBSIZE"), Value::Int(9));
}

#[test]
fn the_policy_may_change_while_clients_write() {
    each_setup(|setup| {
        let data = Data::new();
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        for round in 0..30 {
            let policy = POLICIES[round % 3];
            client.ok(&format!("CONFIG SET appendfsync {policy}"));
            for key in 0..10 {
                client.ok(&format!("MSET a{key} {round} b{key} {round} c{key} {round}"));
            }
        }
        kill(server);
        let server = data.launch(setup, "no").start();
        let mut client = server.client();
        for key in 0..10 {
            let three = client.run(&format!("MGET a{key} b{key} c{key}"));
            assert!(three.items().iter().all(|v| v.text() == "29"), "{three:?}");
        }
    });
}

#[test]
fn a_rewrite_under_writes_loses_nothing() {
    for (policy, setup) in POLICIES.iter().zip([Setup::typical(), Setup::typical(), Setup::all()[0].clone()]) {
        let data = Data::new();
        let server = data.launch(&setup, policy).start();
        write_all_kinds(&server);
        let mut client = server.client();
        client.ok("DEBUG POPULATE 300 filler 2000");
        let ends = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (ends, mut client) = (ends.clone(), server.client());
                std::thread::spawn(move || {
                    let mut n = 0;
                    while !ends.load(Ordering::Relaxed) {
                        n += 1;
                        client.ok(&format!("MSET w{writer}:a {n} w{writer}:b {n} w{writer}:c {n}"));
                        client.run(&format!("DEL filler:{}", n * 3 + writer));
                    }
                })
            })
            .collect();
        for round in 1..=3 {
            let reply = Value::Simple(b"Background append only file rewriting started".to_vec());
            assert_eq!(client.run("BGREWRITEAOF"), reply);
            crate::common::wait_until("the rewrite", || {
                let info = client.run("INFO persistence").text();
                info.contains("aof_rewrite_in_progress:0") && info.contains(&format!("aof_rewrites:{round}\r"))
            });
        }
        ends.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        let before = digest(&mut client);
        let bases = fs::read_dir(data.logs()).expect("logs").filter_map(Result::ok);
        let bases = bases.filter(|file| file.file_name().to_string_lossy().ends_with(".base.rdb"));
        assert_eq!(bases.count(), 1, "older bases go");
        kill(server);
        let server = data.launch(&setup, policy).start();
        let after = digest(&mut server.client());
        assert_eq!(without_encodings(&after), without_encodings(&before));
    }
}

/// A snapshot does not say that an edit made a string raw.
pub(crate) fn without_encodings(digest: &str) -> Vec<&str> {
    digest.lines().filter(|line| !line.starts_with("OBJECT ENCODING")).collect()
}

/// A snapshot of one library and nothing else, as Redis 7 writes it.
fn snapshot_of_library(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 64).expect("a short text");
    let end = [0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    [b"REDIS0010", &[0xf5, length][..], text.as_bytes(), &end].concat()
}

#[test]
fn libraries_of_functions_are_durable_before_clients_are_let_in() {
    const LIBRARY: &str = "#!lua name=kept\nredis.register_function('f', print)";
    each_setup(|setup| {
        let data = Data::new();
        let dump = data.0.join("dump.rdb");
        fs::write(&dump, snapshot_of_library(LIBRARY)).expect("a snapshot");
        let server = data.launch(setup, "everysec").start();
        server.client().ok("SET k v");
        kill(server);
        fs::remove_file(&dump).expect("the snapshot has no part in what follows");
        for round in 0..3 {
            let server = data.launch(setup, "everysec").start();
            let mut client = server.client();
            assert_eq!(client.run("GET k").text(), "v", "round {round}");
            client.ok("SAVE");
            let saved = fs::read(&dump).expect("a snapshot");
            assert!(saved.windows(LIBRARY.len()).any(|part| part == LIBRARY.as_bytes()), "round {round}");
            fs::remove_file(&dump).expect("a snapshot");
            if round == 1 {
                client.run("BGREWRITEAOF");
                crate::common::wait_until("the rewrite", || {
                    client.run("INFO persistence").text().contains("aof_rewrite_in_progress:0")
                });
            }
            kill(server);
        }
    });
}

#[test]
fn a_log_that_another_server_wrote_beside_ours_since_is_not_passed_over() {
    let setup = Setup::typical();
    let data = Data::new();
    let folder = data.0.join("appendonlydir");
    let manifest = folder.join("appendonly.aof.manifest");
    let redis = |key: &str| format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n$5\r\nredis\r\n");
    let stop = |mut server: crate::common::Server| {
        server.signal(libc::SIGTERM);
        server.wait_exit();
    };
    let refused = || {
        let (status, said) = data.launch(&setup, "always").start_failing(crate::common::server::free_port("127.0.0.1"));
        assert!(!status.success() && said.contains("Another server wrote"), "{said}");
    };
    // the data comes from Redis, whose files stay
    fs::create_dir(&folder).expect("made");
    fs::write(&manifest, "file appendonly.aof.1.incr.aof seq 1 type i\n").expect("written");
    fs::write(folder.join("appendonly.aof.1.incr.aof"), redis("a")).expect("written");
    let server = data.launch(&setup, "always").start();
    assert_eq!(server.client().run("GET a").text(), "redis");
    server.client().ok("SET a ours");
    stop(server);
    let server = data.launch(&setup, "always").start();
    assert_eq!(server.client().run("GET a").text(), "ours");
    stop(server);
    // Redis went on there
    fs::write(folder.join("appendonly.aof.1.incr.aof"), redis("a") + &redis("b")).expect("written");
    refused();
    fs::rename(folder.join("appendonly.aof.pinion"), folder.join("aside")).expect("moved");
    let server = data.launch(&setup, "always").start();
    assert_eq!(server.client().run("GET b").text(), "redis");
    stop(server);
    // and the other way: ours stays
    fs::write(&manifest, "file appendonly.aof.2.incr.aof seq 2 type i\n").expect("written");
    refused();
    fs::remove_file(&manifest).expect("removed");
    stop(data.launch(&setup, "always").start());
    // a single file of an old Redis counts, too
    fs::write(data.0.join("appendonly.aof"), redis("c")).expect("written");
    refused();
}

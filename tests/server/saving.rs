//! Snapshots: what they hold, who may load them, what happens where they cannot be written, and the last one at the
//! end. The real Redis 7 reads what Pinion wrote.

use crate::aof::{Data, kill};
use crate::common::{Client, Launch, Random, Server, Setup, Value, each_setup, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn persistence(client: &mut Client, field: &str) -> String {
    let info = client.run("INFO persistence").text();
    let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {info}")).to_string()
}

/// BGSAVE, and waits for its end.
fn bgsave(client: &mut Client) {
    assert_eq!(client.run("BGSAVE"), Value::Simple(b"Background saving started".to_vec()));
    wait_for_save(client);
}

/// BGSAVE with a command right behind it, whose reply this is: where one shard does both, nothing is written then.
pub(crate) fn bgsave_begun_with(client: &mut Client, line: &str) -> Value {
    client.send_raw(format!("BGSAVE\r\n{line}\r\n").as_bytes());
    assert_eq!(client.recv(), Value::Simple(b"Background saving started".to_vec()));
    client.recv()
}

pub(crate) fn save_points(client: &mut Client, points: &str) {
    assert_eq!(client.call(&["CONFIG", "SET", "save", points]), Value::ok());
}

pub(crate) fn wait_for_save(client: &mut Client) {
    wait_until("the snapshot", || persistence(client, "rdb_bgsave_in_progress") == "0");
}

/// A real Redis that has loaded the snapshot in this folder.
pub(crate) fn redis_on(folder: &Path) -> Server {
    let launch = Launch::new(&Setup::oracle()).args("--enable-debug-command yes --dir");
    launch.args(folder.to_str().expect("UTF-8")).start()
}

fn check_rdb(path: &Path) {
    let output = Command::new("redis-check-rdb").arg(path).output().expect("redis-check-rdb");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("RDB looks OK"), "{text}");
}

/// A folder of the server's own, to be moved out of the way.
fn folder(server: &Server) -> PathBuf {
    let path = server.dir.join("data");
    fs::create_dir(&path).expect("a folder");
    path
}

pub(crate) fn start(setup: &Setup) -> Server {
    Launch::new(setup).args("--enable-debug-command yes --enable-protected-configs yes").start()
}

/// Every type in its encodings, with and without a time to live, in three databases.
pub(crate) fn fill(client: &mut Client, random: &mut Random) {
    for db in [0, 1, 9] {
        client.ok(&format!("SELECT {db}"));
        for i in 0..40 {
            client.ok(&format!("SET int:{i} {}", random.next() as i64 >> random.below(64)));
            client.ok(&format!("SET short:{i} {}", "ab".repeat(1 + random.below(30))));
            client.ok(&format!("SET long:{i} {:0>width$}", i, width = 1000 + random.below(9000)));
        }
        for i in 0..4 {
            let many = [5, 200, 1, 20][i];
            for n in 0..many {
                let member = random.next() >> random.below(64);
                client.run(&format!("RPUSH list:{i} {member} text:{member}"));
                client.run(&format!("SADD set:{i} text:{member}"));
                client.run(&format!("SADD ints:{i} {n}"));
                client.run(&format!("HSET hash:{i} field:{n} {member}"));
                client.run(&format!("ZADD zset:{i} {}.25 {member}", n as i64 - 50));
                client.run(&format!("XADD stream:{i} {}-1 field {member}", n + 1));
            }
            client.ok(&format!("XGROUP CREATE stream:{i} group 0"));
            client.run(&format!("XREADGROUP GROUP group consumer COUNT 3 STREAMS stream:{i} >"));
        }
        for kind in ["int", "short", "long", "list", "set", "hash", "zset", "stream"] {
            client.run(&format!("PEXPIREAT {kind}:3 {}", 4_000_000_000_000_u64 + random.below(1000) as u64));
        }
    }
    client.ok("SELECT 0");
}

/// The same keys with the same values and times.
fn compare(ours: &mut Client, theirs: &mut Client) {
    for db in [0, 1, 9] {
        ours.ok(&format!("SELECT {db}"));
        theirs.ok(&format!("SELECT {db}"));
        let keys = ours.run("KEYS *");
        assert_eq!(theirs.run("DBSIZE").int() as usize, keys.items().len());
        for key in keys.items() {
            let key = key.text();
            for command in ["TYPE", "PEXPIRETIME", "DEBUG DIGEST-VALUE"] {
                let command = format!("{command} {key}");
                assert_eq!(ours.run(&command), theirs.run(&command), "{command}");
            }
            if key.starts_with("stream:") {
                for command in [format!("XPENDING {key} group"), format!("XINFO GROUPS {key}")] {
                    assert_eq!(ours.run(&command), theirs.run(&command), "{command}");
                }
            }
        }
    }
}

#[test]
fn redis_loads_what_was_saved() {
    for setup in Setup::all() {
        let server = start(&setup);
        let mut client = server.client();
        fill(&mut client, &mut Random(7));
        bgsave(&mut client);
        let path = server.dir.join("dump.rdb");
        check_rdb(&path);
        let background = fs::read(&path).expect("a snapshot");
        compare(&mut client, &mut redis_on(&server.dir).client());
        client.ok("CONFIG SET rdbcompression no");
        client.ok("SAVE");
        check_rdb(&path);
        assert!(fs::read(&path).expect("a snapshot").len() > background.len() * 5 / 4, "compression shows");
        compare(&mut client, &mut redis_on(&server.dir).client());
        assert_eq!(persistence(&mut client, "rdb_changes_since_last_save"), "0");
        assert_eq!(persistence(&mut client, "rdb_saves"), "2");
    }
}

#[test]
fn a_snapshot_is_one_moment() {
    const GROUPS: usize = 8;
    const KEYS: usize = 6;
    for setup in Setup::all() {
        let server = start(&setup);
        let mut client = server.client();
        client.ok("DEBUG POPULATE 40000 filler 100");
        let ends = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..GROUPS)
            .map(|group| {
                let (ends, mut client) = (ends.clone(), server.client());
                std::thread::spawn(move || {
                    let mut rounds = 0;
                    while !ends.load(Ordering::Relaxed) {
                        rounds += 1;
                        let pairs: Vec<String> = (0..KEYS).map(|key| format!("g{group}:{key} {rounds}")).collect();
                        client.ok(&format!("MSET {}", pairs.join(" ")));
                        // Removed and made again, they must not come twice or get lost.
                        client.run(&format!("DEL filler:{}", (rounds * 31 + group) % 40_000));
                        client.ok(&format!("SET own:{group} {rounds}"));
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            let before: Vec<u64> = (0..GROUPS).map(|group| number(&mut client, &format!("own:{group}"))).collect();
            assert_eq!(client.run("BGSAVE"), Value::Simple(b"Background saving started".to_vec()));
            let after: Vec<u64> = (0..GROUPS).map(|group| number(&mut client, &format!("own:{group}"))).collect();
            wait_for_save(&mut client);
            check_rdb(&server.dir.join("dump.rdb"));
            let redis = redis_on(&server.dir);
            let mut redis = redis.client();
            for group in 0..GROUPS {
                let keys: Vec<String> = (0..KEYS).map(|key| format!("g{group}:{key}")).collect();
                let values = redis.run(&format!("MGET {}", keys.join(" ")));
                let first = &values.items()[0];
                assert!(values.items().iter().all(|value| value == first), "a torn MSET: {values:?}");
                let own = number(&mut redis, &format!("own:{group}"));
                assert!((before[group]..=after[group]).contains(&own), "{own} of {before:?}..{after:?}");
            }
        }
        ends.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    }
}

/// A set and a sorted set that are not written in one step.
pub(crate) fn fill_huge(client: &mut Client, members: usize) {
    for start in (0..members).step_by(1000) {
        let names: Vec<String> = (start..start + 1000).map(|n| format!("member:{n}")).collect();
        let scored: Vec<String> = names.iter().map(|name| format!("1 {name}")).collect();
        client.run(&format!("SADD huge:set {}", names.join(" ")));
        client.run(&format!("ZADD huge:zset {}", scored.join(" ")));
    }
}

#[test]
fn who_changes_a_huge_value_waits_until_it_is_written() {
    const MEMBERS: usize = 100_000;
    let figure = |client: &mut Client, name: &str| -> u64 {
        let info = client.run("INFO shards").text();
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a figure").parse().expect("a number")
    };
    for setup in Setup::all() {
        let server = start(&setup);
        let (mut client, mut other) = (server.client(), server.client());
        fill_huge(&mut client, MEMBERS);
        client.ok("SET small 1");
        let mut seen_waiting = false;
        for round in 1..=20u64 {
            // what follows the cut finds nothing written yet, where one shard does all of it in one tick
            let lines = [
                "BGSAVE",
                "INCR small",
                "SADD huge:set new",
                "PEXPIRE huge:set 500",
                "MULTI",
                "ZADD huge:zset 7 new",
                "INCR small",
                "EXEC",
                "ZCARD huge:zset",
                "SCARD huge:set",
            ];
            client.send_raw(format!("{}\r\n", lines.join("\r\n")).as_bytes());
            assert_eq!(client.recv().text(), "Background saving started");
            seen_waiting |= figure(&mut other, "locks_waiting") > 0;
            let replies: Vec<Value> = (1..lines.len()).map(|_| client.recv()).collect();
            assert_eq!(replies[1], Value::Int(1));
            assert_eq!(replies[6].items()[0], Value::Int(1));
            assert_eq!(replies[7..], [Value::Int(MEMBERS as i64 + 1), Value::Int(MEMBERS as i64 + 1)]);
            wait_for_save(&mut client);
            if setup.shards == 1 {
                assert!(figure(&mut client, "snapshot_written_first") >= 2 * round - 1);
            }
            if round == 1 {
                let loaded = redis_on(&server.dir);
                let mut loaded = loaded.client();
                assert_eq!(loaded.run("SCARD huge:set"), Value::Int(MEMBERS as i64));
                assert_eq!(loaded.run("ZCARD huge:zset"), Value::Int(MEMBERS as i64));
                assert_eq!((loaded.run("PTTL huge:set"), loaded.run("GET small")), (Value::Int(-1), Value::bulk("1")));
            }
            client.run("PERSIST huge:set");
            client.run("SREM huge:set new");
            client.run("ZREM huge:zset new");
            client.ok("SET small 1");
            if seen_waiting {
                break;
            }
        }
        assert!(seen_waiting, "{}: never was a command seen that waits", setup.name());
        wait_until("the locks to be gone", || figure(&mut client, "locks_held") == 0);
    }
}

/// Huge values of every kind on all shards at once, so that those in whose value the file is not have to wait; some
/// change meanwhile, with a counter beside them.
#[test]
fn shards_with_huge_values_take_turns_in_the_file() {
    const TAGS: usize = 6;
    const MEMBERS: usize = 30_000;
    let values = ["set", "zset", "hash", "list", "string", "changed"];
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        for tag in 0..TAGS {
            for start in (0..MEMBERS).step_by(1000) {
                let names: Vec<String> = (start..start + 1000).map(|n| format!("member:of:{tag}:{n}")).collect();
                let paired =
                    |value: &str| names.iter().map(|name| format!("{value} {name}")).collect::<Vec<_>>().join(" ");
                client.run(&format!("SADD {{{tag}}}set {}", names.join(" ")));
                client.run(&format!("SADD {{{tag}}}changed {}", names.join(" ")));
                client.run(&format!("RPUSH {{{tag}}}list {}", names.join(" ")));
                client.run(&format!("ZADD {{{tag}}}zset {}", paired("1.5")));
                client.run(&format!("HSET {{{tag}}}hash {}", paired(&names[0])));
                client.run(&format!(
                    "HSET {{{tag}}}hash {}",
                    names.iter().map(|n| format!("{n} 1")).collect::<Vec<_>>().join(" ")
                ));
                client.run(&format!("APPEND {{{tag}}}string {}", names.join("|")));
            }
        }
        let ends = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..TAGS)
            .map(|tag| {
                let (ends, mut client) = (ends.clone(), server.client());
                std::thread::spawn(move || {
                    for round in 1.. {
                        let lines = [
                            "MULTI".to_string(),
                            format!("SET {{{tag}}}rounds {round}"),
                            format!("SADD {{{tag}}}changed new:{round}"),
                            format!("SET {{{tag}}}own:{} {}", round % 500, "x".repeat(1000)),
                            "EXEC".to_string(),
                        ];
                        lines.iter().for_each(|line| drop(client.run(line)));
                        if ends.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                })
            })
            .collect();
        bgsave(&mut client);
        ends.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        check_rdb(&server.dir.join("dump.rdb"));
        let redis = redis_on(&server.dir);
        let mut redis = redis.client();
        for tag in 0..TAGS {
            let frozen: Vec<String> = values[..5].iter().map(|value| format!("{{{tag}}}{value}")).collect();
            let digest = format!("DEBUG DIGEST-VALUE {}", frozen.join(" "));
            assert_eq!(redis.run(&digest), client.run(&digest), "of {tag}");
            let rounds = match redis.run(&format!("GET {{{tag}}}rounds")) {
                Value::NullBulk => 0,
                rounds => rounds.text().parse().expect("a number"),
            };
            assert_eq!(redis.run(&format!("SCARD {{{tag}}}changed")), Value::Int((MEMBERS + rounds) as i64));
        }
    });
}

fn number(client: &mut Client, key: &str) -> u64 {
    match client.run(&format!("GET {key}")) {
        Value::NullBulk => 0,
        value => value.text().parse().expect("a number"),
    }
}

#[test]
fn replies_are_those_of_redis() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        let error = |text: &str| Value::Error(text.as_bytes().to_vec());
        assert_eq!(client.run("BGSAVE NOW"), error("ERR syntax error"));
        assert_eq!(client.run("BGSAVE SCHEDULE x"), error("ERR syntax error"));
        assert_eq!(client.run("SAVE x"), error("ERR wrong number of arguments for 'save' command"));
        let last = client.run("LASTSAVE").int();
        assert_eq!(client.run("BGSAVE schedule"), Value::Simple(b"Background saving started".to_vec()));
        wait_for_save(&mut client);
        assert!(client.run("LASTSAVE").int() >= last);
        client.ok("MULTI");
        assert_eq!(client.run("SAVE"), error("ERR Command not allowed inside a transaction"));
        client.run("DISCARD");
        client.ok("MULTI");
        client.run("SET k v");
        client.run("BGSAVE");
        let replies = client.run("EXEC");
        assert_eq!(replies.items()[1], Value::Simple(b"Background saving scheduled".to_vec()));
        wait_until("the scheduled snapshot", || persistence(&mut client, "rdb_saves") == "2");
    });
}

#[test]
fn where_nothing_can_be_written_writes_stop() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        let data = folder(&server);
        client.ok(&format!("CONFIG SET dir {}", data.display()));
        client.ok("SET k v");
        client.ok("SAVE");
        fs::remove_dir_all(&data).expect("a folder");
        assert_eq!(client.run("SAVE"), Value::Error(b"ERR".to_vec()));
        assert_eq!(client.run("SET k v"), Value::ok(), "SAVE says it itself");
        bgsave(&mut client);
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "err");
        client.ok("SET k w");
        save_points(&mut client, "3600 1");
        let refused = |value: Value| value.text().starts_with("MISCONF Redis is configured to save RDB snapshots");
        wait_until("writes to stop", || refused(client.run("SET k x")));
        assert!(refused(client.run("PING")) && refused(client.run("DEL k")));
        assert_eq!(client.run("GET k"), Value::bulk("w"));
        client.ok("CONFIG SET stop-writes-on-bgsave-error no");
        wait_until("writes to go on", || client.run("SET k x") == Value::ok());
        client.ok("CONFIG SET stop-writes-on-bgsave-error yes");
        wait_until("writes to stop", || refused(client.run("SET k x")));
        fs::create_dir(&data).expect("a folder");
        bgsave(&mut client);
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "ok");
        wait_until("writes to go on", || client.run("SET k x") == Value::ok());
        check_rdb(&data.join("dump.rdb"));
    });
}

#[test]
fn save_points_save() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        client.ok("SET a 1");
        assert_eq!(persistence(&mut client, "rdb_changes_since_last_save"), "1");
        save_points(&mut client, "1 2");
        client.ok("SET b 1");
        wait_until("the snapshot", || persistence(&mut client, "rdb_saves") == "1");
        wait_until("changes to count as saved", || persistence(&mut client, "rdb_changes_since_last_save") == "0");
        check_rdb(&server.dir.join("dump.rdb"));
    });
}

#[test]
fn a_shutdown_saves_where_it_is_to() {
    each_setup(|setup| {
        for (points, line, saves) in [
            ("", "SHUTDOWN", false),
            ("", "SHUTDOWN SAVE", true),
            ("3600 1", "SHUTDOWN", true),
            ("3600 1", "SHUTDOWN NOSAVE", false),
            ("", "SIGTERM", false),
            ("3600 1", "SIGTERM", true),
        ] {
            let mut server = start(setup);
            let mut client = server.client();
            save_points(&mut client, points);
            for i in 0..100 {
                client.ok(&format!("SET k{i} {i}"));
            }
            match line {
                "SIGTERM" => server.signal(libc::SIGTERM),
                line => client.send(&line.split(' ').collect::<Vec<_>>()),
            }
            client.expect_closed();
            assert_eq!(server.wait_exit().code(), Some(0), "{points} {line}");
            let path = server.dir.join("dump.rdb");
            assert_eq!(path.exists(), saves, "{points} {line}");
            if saves {
                assert_eq!(redis_on(&server.dir).client().run("DBSIZE"), Value::Int(100));
            }
        }
    });
}

#[test]
fn a_shutdown_that_cannot_save_does_not_happen() {
    each_setup(|setup| {
        let mut server = start(setup);
        let mut client = server.client();
        let data = folder(&server);
        client.ok(&format!("CONFIG SET dir {}", data.display()));
        fs::remove_dir_all(&data).expect("a folder");
        let refused = Value::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec());
        assert_eq!(client.run("SHUTDOWN SAVE"), refused);
        client.ok("SET k v");
        assert_eq!(server.client().run("GET k"), Value::bulk("v"), "nothing stays locked");
        client.send(&["SHUTDOWN", "SAVE", "FORCE"]);
        client.expect_closed();
        assert_eq!(server.wait_exit().code(), Some(0));
    });
}

#[test]
fn several_clients_save_one_after_the_other() {
    each_setup(|setup| {
        let server = start(setup);
        server.client().ok("DEBUG POPULATE 20000 key 100");
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(&["SAVE"]);
        }
        for client in &mut clients {
            assert_eq!(client.recv(), Value::ok());
        }
    });
}

#[test]
fn flushall_gives_a_snapshot_up_and_leaves_an_empty_file() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        client.ok("DEBUG POPULATE 50000 key 100");
        bgsave(&mut client);
        client.ok("DEBUG POPULATE 50000 more 100");
        client.run("BGSAVE");
        client.ok("FLUSHALL");
        // without save points the old file stays
        wait_for_save(&mut client);
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "ok");
        let dump = server.dir.join("dump.rdb");
        assert!(fs::metadata(&dump).expect("the file").len() > 100_000);
        save_points(&mut client, "3600 1");
        client.ok("DEBUG POPULATE 50000 key 100");
        client.run("BGSAVE");
        client.ok("FLUSHALL");
        wait_until("an empty file", || fs::metadata(&dump).is_ok_and(|file| file.len() < 1000));
        wait_for_save(&mut client);
        assert_eq!(client.run("SAVE"), Value::ok());
    });
}

#[test]
fn save_points_are_those_of_redis_unless_others_are_named() {
    let points = |launch: Launch| {
        let server = launch.start();
        let mut client = server.client();
        client.run("CONFIG GET save").items()[1].text()
    };
    let setup = Setup::typical();
    assert_eq!(points(Launch::new(&setup)), "");
    let usual = "3600 1 300 100 60 10000";
    assert_eq!(points(Launch::new(&setup).default_save()), usual);
    assert_eq!(points(Launch::new(&setup).default_save().config("save 900 5\nsave 10 1\n")), "900 5 10 1");
    assert_eq!(points(Launch::new(&setup).default_save().config("save \"\"\n")), "");
}

#[test]
fn debug_runs_inside_a_transaction() {
    each_setup(|setup| {
        let server = start(setup);
        let (mut client, mut other) = (server.client(), server.client());
        client.ok("MSET a 1 b 2 c 3");
        let digests = client.run("DEBUG DIGEST-VALUE a b c");
        let mut exec = |lines: &[&str]| {
            client.ok("MULTI");
            lines.iter().for_each(|line| assert_eq!(client.run(line).text(), "QUEUED"));
            let result = client.run("EXEC");
            assert_eq!(other.run("EXISTS a"), Value::Int(1), "nothing is locked");
            result
        };
        assert_eq!(exec(&["DEBUG DIGEST-VALUE a b c", "INCR c"]), Value::Array(vec![digests, Value::Int(4)]));
        let found = exec(&["DEBUG POPULATE 50 filler 10", "DBSIZE", "DEBUG RELOAD", "DBSIZE", "SET c 7", "GET b"]);
        let ok = Value::ok;
        let expected = [ok(), Value::Int(53), ok(), Value::Int(53), ok(), Value::bulk("2")];
        assert_eq!(found.items(), expected);
        let found = exec(&["SET d 1", "GET c", "DEBUG RELOAD NOSAVE", "GET c", "EXISTS d", "SET c 8"]);
        assert_eq!(found.items(), [ok(), Value::bulk("7"), ok(), Value::bulk("4"), Value::Int(0), ok()]);
        let mut third = server.client();
        assert_eq!(third.run("GET c"), Value::bulk("8"));
        // one that is being written may wait for the transaction's locks: it makes way
        third.ok("DEBUG POPULATE 30000 more 100");
        third.run("BGSAVE");
        assert_eq!(exec(&["INCR c", "DEBUG RELOAD", "GET c"]).items()[1..], [ok(), Value::bulk("9")]);
        wait_for_save(&mut third);
        let why = "ERR DEBUG LOADAOF needs an append only file: appendonly is off, or it has not begun yet";
        assert_eq!(third.run("DEBUG LOADAOF"), Value::Error(why.into()));
    });
}

/// DEBUG SET-SKIP-CHECKSUM-VALIDATION: a payload and a file with a wrong checksum are taken, and what was taken is
/// there again after a restart, where nothing is left aside.
#[test]
fn checksums_are_left_aside_where_debug_says_so() {
    each_setup(|setup| {
        let data = Data::new();
        let server = data.launch(setup, "always").start();
        let mut client = server.client();
        client.ok("SET k hello");
        let Value::Bulk(mut payload) = client.run("DUMP k") else { panic!("no payload") };
        payload[3] ^= 1;
        let restore = |client: &mut Client, key: &str| client.call(&[&b"RESTORE"[..], key.as_bytes(), b"0", &payload]);
        let refusal = Value::Error("ERR DUMP payload version or checksum are wrong".into());
        assert_eq!(restore(&mut client, "a"), refusal);
        client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
        let keys: Vec<String> = (0..8).map(|n| format!("key:{n}")).collect();
        keys.iter().for_each(|key| assert_eq!(restore(&mut client, key), Value::ok()));

        client.ok("SAVE");
        let path = data.0.join("dump.rdb");
        let mut file = fs::read(&path).expect("it is there");
        *file.last_mut().expect("a checksum") ^= 1;
        fs::write(&path, file).expect("written");
        client.ok("DEBUG RELOAD NOSAVE");
        assert_eq!(client.run("GET key:3").text(), "hdllo");
        client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
        assert_eq!(restore(&mut client, "a"), refusal);
        assert!(client.run("DEBUG RELOAD NOSAVE NOFLUSH MERGE").is_error());
        kill(server);

        let server = data.launch(setup, "always").start();
        let mut client = server.client();
        keys.iter().for_each(|key| assert_eq!(client.run(&format!("GET {key}")).text(), "hdllo"));
    });
}

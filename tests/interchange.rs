//! Data directories of other servers: what redis-server wrote is found, loaded and the same, key by key, and what is
//! damaged is refused with its place. With `PINION_PEERS` also newer redis-server and valkey-server.

mod common;

use common::client::Client;
use common::{Launch, Random, Server, Setup, Value, wait_until, word};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that another server fills and Pinion starts on; removed in the end.
struct Folder {
    /// As this process sees it.
    path: PathBuf,
    /// As the other server sees it, which may run under another root.
    inner: PathBuf,
}

impl Folder {
    fn new(root: &str) -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let inner = std::env::temp_dir().join(format!("pinion-interchange-{}-{number}", std::process::id()));
        let path = PathBuf::from(format!("{root}{}", inner.display()));
        fs::create_dir_all(&path).expect("a folder");
        Folder { path, inner }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The increment that redis-server appends to.
    fn increment(&self) -> PathBuf {
        let entries = fs::read_dir(self.file("appendonlydir")).expect("its folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max().expect("an increment")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

type Line = Vec<Vec<u8>>;

fn line(text: &str) -> Line {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Commands that give `key` a value of a random type and size.
fn value(key: &str, random: &mut Random, timed: bool) -> Vec<Line> {
    let count = [1, 3, 20, 140, 600][random.below(5)];
    let pushes = |name: &str, make: &mut dyn FnMut() -> Line| {
        let mut command = line(&format!("{name} {key}"));
        (0..count).for_each(|_| command.extend(make()));
        vec![command]
    };
    match random.below(if timed { 9 } else { 8 }) {
        0 | 1 => vec![[line(&format!("SET {key}")), vec![word(random)]].concat()],
        2 => pushes("RPUSH", &mut || vec![word(random)]),
        3 => pushes("SADD", &mut || line(&(random.next() as i32 >> 12).to_string())),
        4 => pushes("SADD", &mut || vec![word(random)]),
        5 => pushes("ZADD", &mut || vec![(random.below(1000) as f64 / 7.0).to_string().into_bytes(), word(random)]),
        6 => pushes("HSET", &mut || vec![word(random), word(random)]),
        7 => {
            let mut all: Vec<Line> =
                (0..count).map(|i| [line(&format!("XADD {key} {}-1 f", i + 1)), vec![word(random)]].concat()).collect();
            all.push(line(&format!("XGROUP CREATE {key} g 0")));
            all.push(line(&format!("XREADGROUP GROUP g alice COUNT 3 STREAMS {key} >")));
            all.push(line(&format!("XGROUP CREATECONSUMER {key} g bob")));
            // one that nobody has read: Redis's own log forgets that a deleted entry was pending
            all.push(line(&format!("XADD {key} {}-1 f x", count + 1)));
            all.push(line(&format!("XDEL {key} {}-1", count + 1)));
            all
        }
        _ => {
            let mut all = pushes("HSET", &mut || vec![format!("f{}", random.below(5000)).into_bytes(), word(random)]);
            let field = all[0][2].clone();
            all.push([line(&format!("HPEXPIRE {key} 100000000 FIELDS 1")), vec![field]].concat());
            all
        }
    }
}

fn run_all(client: &mut Client, lines: &[Line]) {
    for line in lines {
        let reply = client.call(line);
        assert!(!reply.is_error(), "{reply:?} to {:?}", String::from_utf8_lossy(&line.concat()));
    }
}

/// Fills two databases with every type, and times to live.
fn fill(client: &mut Client, random: &mut Random, timed: bool) {
    for db in [0, 9] {
        client.ok(&format!("SELECT {db}"));
        for i in 0..150 {
            let key = format!("key:{db}:{i}");
            run_all(client, &value(&key, random, timed));
            match random.below(6) {
                0 => drop(client.run(&format!("PEXPIREAT {key} 33000000000000"))),
                1 => drop(client.run(&format!("PEXPIRE {key} 1"))),
                _ => {}
            }
        }
    }
    client.ok("SELECT 0");
}

/// Each field of a hash with its value and when it expires, in order. Redis's digest tells of a hash that fields of it
/// expire, not when.
fn fields(client: &mut Client, key: &str) -> Value {
    let all = client.run(&format!("HGETALL {key}"));
    let mut rows = Vec::new();
    for pair in all.items().chunks(2) {
        let name = pair[0].bytes().to_vec();
        let mut command = line(&format!("HPEXPIRETIME {key} FIELDS 1"));
        command.push(name);
        rows.push(Value::Array(vec![pair[0].clone(), pair[1].clone(), client.call(&command)]));
    }
    rows.sort_by(|a, b| a.items()[0].bytes().cmp(b.items()[0].bytes()));
    Value::Array(rows)
}

/// Each member of a sorted set with its score. Servers differ in how they write the same number, their digests too.
fn scores(client: &mut Client, key: &str) -> Value {
    let all = client.run(&format!("ZRANGE {key} 0 -1 WITHSCORES"));
    let rows = all.items().chunks(2).map(|pair| {
        let score: f64 = pair[1].text().parse().expect("a score");
        Value::Array(vec![pair[0].clone(), Value::Int(score.to_bits() as i64)])
    });
    Value::Array(rows.collect())
}

/// What a key holds, as far as commands tell. `timed`: whether the servers know fields that expire.
fn described(client: &mut Client, key: &str, timed: bool) -> Vec<Value> {
    let mut all = vec![client.run(&format!("TYPE {key}")), client.run(&format!("PEXPIRETIME {key}"))];
    all.push(match all[0].bytes() {
        b"hash" if timed => fields(client, key),
        b"zset" if timed => scores(client, key),
        _ => client.run(&format!("DEBUG DIGEST-VALUE {key}")),
    });
    if all[0] == Value::Simple(b"stream".to_vec()) {
        all.push(client.run(&format!("XPENDING {key} g - + 1000 alice")));
        all.push(client.run(&format!("XINFO GROUPS {key}")));
    }
    all
}

fn keys(client: &mut Client) -> Vec<String> {
    let Value::Array(keys) = client.run("KEYS *") else { panic!("no keys") };
    let text = |key: Value| match key {
        Value::Bulk(bytes) => String::from_utf8(bytes).expect("names of ours are text"),
        other => panic!("{other:?}"),
    };
    let mut keys: Vec<String> = keys.into_iter().map(text).collect();
    keys.sort();
    keys
}

/// Both servers hold the same, key by key.
fn compare(theirs: &mut Client, ours: &mut Client, timed: bool) {
    for db in [0, 9] {
        for client in [&mut *theirs, &mut *ours] {
            client.ok(&format!("SELECT {db}"));
        }
        let expected = keys(theirs);
        assert!(expected.len() > 50, "there is something to compare");
        assert_eq!(keys(ours), expected);
        for key in expected {
            let (theirs, ours) = (described(theirs, &key, timed), described(ours, &key, timed));
            // how long ago an entry was delivered goes on counting
            let still = |mut all: Vec<Value>| {
                if let Some(Value::Array(rows)) = all.get_mut(3) {
                    for row in rows {
                        if let Value::Array(row) = row {
                            row.remove(2);
                        }
                    }
                }
                all
            };
            assert_eq!(still(ours), still(theirs), "{key} of database {db}");
        }
    }
}

/// Pinion on this folder as if for the first time: a log of its own would count before those of others.
fn pinion(folder: &Folder, more: &str) -> Launch {
    let _ = fs::remove_file(folder.file("appendonlydir/appendonly.aof.pinion"));
    let args = format!("--dir {} --enable-debug-command yes {more}", folder.path.display());
    Launch::new(&Setup::typical()).args(&args)
}

/// Started and done loading.
fn loaded(launch: &Launch) -> Server {
    let server = launch.start();
    wait_until("it has loaded", || server.client().run("PING") == Value::Simple(b"PONG".to_vec()));
    server
}

fn snapshots_of(setup: &Setup, root: &str, timed: bool) {
    let mut random = Random(11);
    for compression in ["yes", "no"] {
        let folder = Folder::new(root);
        let args =
            format!("--dir {} --enable-debug-command yes --rdbcompression {compression}", folder.inner.display());
        let theirs = Launch::new(setup).args(&args).start();
        let mut client = theirs.client();
        fill(&mut client, &mut random, timed);
        if compression == "no" {
            client.ok("FLUSHALL");
            for name in ["hash", "zset"] {
                client.ok(&format!("CONFIG SET {name}-max-listpack-entries 0"));
            }
            fill(&mut client, &mut random, timed);
        }
        client.ok("SAVE");
        let ours = loaded(&pinion(&folder, ""));
        compare(&mut client, &mut ours.client(), timed);
        let text = info(&mut ours.client());
        assert!(text.contains("\r\nloading:0\r\n"), "{text}");
    }
}

#[test]
fn a_snapshot_of_redis_is_loaded() {
    snapshots_of(&Setup::oracle(), "", false);
}

/// The folder that holds newer servers, if there is one.
fn peers() -> Option<String> {
    let root = std::env::var("PINION_PEERS").ok();
    if root.is_none() {
        println!("PINION_PEERS is not set: nothing to exchange with");
    }
    root
}

#[test]
fn snapshots_of_newer_servers_are_loaded() {
    let Some(root) = peers() else { return };
    for name in ["redis", "valkey"] {
        snapshots_of(&Setup::other(&format!("chroot {root} {name}-server")), &root, true);
    }
}

/// Commands over several keys, transactions and databases.
fn churn(client: &mut Client, random: &mut Random) {
    for i in 0..120 {
        let key = |random: &mut Random| format!("key:0:{}", random.below(150));
        let (a, b) = (key(random), key(random));
        let lines = match random.below(9) {
            0 => vec![format!("RENAME {a} {b}")],
            1 => vec![format!("COPY {a} {b} REPLACE")],
            2 => vec![format!("MSET n1 {i} n2 {i} {a} {i}")],
            3 => vec![
                "MULTI".into(),
                format!("SET {a} {i}"),
                format!("INCR {a}"),
                "SELECT 9".into(),
                "INCR counter".into(),
                "SELECT 0".into(),
                "EXEC".into(),
            ],
            4 => vec![format!("SADD one {i} {a}"), "SUNIONSTORE both one two".into()],
            5 => vec![format!("RPUSH from {i}"), "LMOVE from to LEFT RIGHT".into()],
            6 => vec![format!("SET {a} {i} EX 10000"), format!("SET {b} {i} PX 1")],
            7 => vec![format!("UNLINK {a} {b}"), format!("SETNX {a} {i}")],
            _ => vec![format!("MOVE {a} 9"), format!("SETEX {b} 10000 {i}"), "INCRBYFLOAT float 1.25".into()],
        };
        for line in lines {
            client.run(&line);
        }
    }
    for text in ["SELECT 5", "SET gone 1", "FLUSHDB", "SELECT 0", "SWAPDB 3 4"] {
        client.ok(text);
    }
}

fn info(client: &mut Client) -> String {
    match client.run("INFO persistence") {
        Value::Bulk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn wait_for_rewrite(client: &mut Client) {
    assert!(!client.run("BGREWRITEAOF").is_error());
    wait_until("the rewrite has ended", || {
        let info = info(client);
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
}

fn logs_of(setup: &Setup, root: &str, timed: bool) {
    for preamble in ["yes", "no"] {
        let (folder, mut random) = (Folder::new(root), Random(5));
        let args = format!(
            "--dir {} --enable-debug-command yes --appendonly yes --appendfsync no --aof-use-rdb-preamble {preamble}",
            folder.inner.display()
        );
        let theirs = Launch::new(setup).args(&args).start();
        let mut client = theirs.client();
        fill(&mut client, &mut random, timed);
        churn(&mut client, &mut random);
        wait_for_rewrite(&mut client);
        churn(&mut client, &mut random);
        // what is due goes now, so that both sides agree about it
        for db in [0, 9] {
            client.ok(&format!("SELECT {db}"));
            keys(&mut client);
        }
        client.ok("SELECT 0");
        let ours = loaded(&pinion(&folder, "--appendonly yes"));
        compare(&mut client, &mut ours.client(), timed);
    }
}

#[test]
fn the_append_only_files_of_redis_are_loaded() {
    logs_of(&Setup::oracle(), "", false);
}

#[test]
fn append_only_files_of_newer_servers_are_loaded() {
    let Some(root) = peers() else { return };
    for name in ["redis", "valkey"] {
        logs_of(&Setup::other(&format!("chroot {root} {name}-server")), &root, true);
    }
}

/// A folder with an append-only file of redis-server: three keys, then a transaction.
fn small_log() -> Folder {
    let folder = Folder::new("");
    let args = format!("--dir {} --appendonly yes --appendfsync always", folder.inner.display());
    let theirs = Launch::new(&Setup::oracle()).args(&args).start();
    let mut client = theirs.client();
    for text in ["SET a 1", "SET b 2", "SET c 3", "MULTI", "SET d 4", "SET e 5"] {
        client.run(text);
    }
    client.run("EXEC");
    drop(theirs);
    folder
}

fn names(server: &Server) -> Vec<String> {
    keys(&mut server.client())
}

fn refusal(launch: &Launch) -> String {
    let (status, log) = launch.start_failing(common::server::free_port("127.0.0.1"));
    assert_eq!(status.code(), Some(1), "{log}");
    log
}

#[test]
fn a_torn_tail_is_left_out_and_damage_in_the_middle_refused() {
    let folder = small_log();
    let path = folder.increment();
    let whole = fs::read(&path).expect("it is there");
    // In mid-EXEC: the transaction goes as a whole, wherever it ends.
    for cut in [3, 12, 20, 60] {
        fs::write(&path, &whole[..whole.len() - cut]).expect("written");
        let server = loaded(&pinion(&folder, "--appendonly yes"));
        assert_eq!(names(&server), ["a", "b", "c"], "{cut} bytes less");
        assert!(server.log().contains("ends in mid-command"), "{}", server.log());
        drop(server);
        let log = refusal(&pinion(&folder, "--appendonly yes --aof-load-truncated no"));
        assert!(log.contains(&path.display().to_string()) && log.contains("aof-load-truncated is off"), "{log}");
        assert!(log.contains("Unexpected end of file reading the append only file"), "{log}");
    }
    let mut damaged = whole.clone();
    let at = whole.windows(4).position(|bytes| bytes == b"$1\r\n").expect("a word of one byte");
    damaged[at + 1] = b'7';
    fs::write(&path, &damaged).expect("written");
    let log = refusal(&pinion(&folder, "--appendonly yes"));
    assert!(log.contains("Bad file format reading the append only file: a word of another length than"), "{log}");
    assert!(log.contains(".incr.aof: at byte "), "{log}");
}

#[test]
fn the_single_file_of_older_servers_is_loaded() {
    let folder = small_log();
    let increment = fs::read(folder.increment()).expect("it is there");
    let base = fs::read_dir(folder.file("appendonlydir")).expect("its folder");
    let base = base.map(|entry| entry.expect("an entry").path()).find(|path| path.to_string_lossy().contains(".base."));
    let snapshot = fs::read(base.expect("a base")).expect("it is there");
    fs::remove_dir_all(folder.file("appendonlydir")).expect("removed");
    for text in [increment.clone(), [snapshot, increment].concat()] {
        fs::write(folder.file("appendonly.aof"), text).expect("written");
        let server = loaded(&pinion(&folder, "--appendonly yes"));
        assert_eq!(names(&server), ["a", "b", "c", "d", "e"]);
    }
    let server = loaded(&pinion(&folder, "--appendonly no"));
    assert_eq!(names(&server), [""; 0], "without appendonly only a snapshot counts");
}

#[test]
fn a_damaged_snapshot_is_refused_with_its_place() {
    let folder = Folder::new("");
    let args = format!("--dir {}", folder.inner.display());
    let theirs = Launch::new(&Setup::oracle()).args(&args).start();
    theirs.client().ok("SET a-key 1");
    theirs.client().ok("SAVE");
    let path = folder.file("dump.rdb");
    let whole = fs::read(&path).expect("it is there");
    let refused = |bytes: &[u8], why: &str| {
        fs::write(&path, bytes).expect("written");
        let log = refusal(&pinion(&folder, ""));
        assert!(log.contains("dump.rdb: at byte ") && log.contains(why), "{why}: {log}");
        assert_eq!(log.lines().filter(|line| line.contains("Fatal error loading the DB")).count(), 1, "{log}");
    };
    refused(&whole[..whole.len() - 3], "the file ends in mid-value");
    refused(&[], "the file is empty");
    refused(b"something else", "no RDB file");
    let mut flipped = whole.clone();
    let at = whole.windows(5).position(|bytes| bytes == b"a-key").expect("the key");
    flipped[at] = b'b';
    refused(&flipped, "RDB CRC error: Wrong RDB checksum expected: (");
    let newer = [b"REDIS0099", &whole[9..]].concat();
    refused(&newer, "a version that is newer than this server");
    let mut other_kind = whole.clone();
    other_kind[at - 2] = 99;
    refused(&other_kind, "unknown type 99");
    let path: &Path = &path;
    fs::write(path, &whole).expect("written");
    let few = pinion(&folder, "--databases 1");
    assert_eq!(names(&loaded(&few)), ["a-key"]);
}

/// What our SAVE writes is loaded by another server, and is the same there.
fn snapshots_for(setup: &Setup, root: &str, timed: bool, flavor: &str) {
    let (folder, mut random) = (Folder::new(root), Random(23));
    let ours = loaded(&pinion(&folder, &format!("--rdb-flavor {flavor}")));
    let mut client = ours.client();
    fill(&mut client, &mut random, timed);
    churn(&mut client, &mut random);
    if !timed {
        // when a consumer came and got nothing is more than Redis 7.0 can be told
        for db in [9, 0] {
            client.ok(&format!("SELECT {db}"));
            // by name, so that what is due, which a snapshot would still hold, goes
            for key in (0..150).flat_map(|i| [format!("key:0:{i}"), format!("key:9:{i}")]) {
                client.run(&format!("XGROUP DELCONSUMER {key} g bob"));
            }
        }
        client.ok("SELECT 0");
    }
    client.ok("SAVE");
    let args = format!("--dir {} --enable-debug-command yes", folder.inner.display());
    let theirs = Launch::new(setup).args(&args).start();
    wait_until("they have loaded", || theirs.client().run("PING") == Value::Simple(b"PONG".to_vec()));
    compare(&mut theirs.client(), &mut client, timed);
}

#[test]
fn redis_loads_our_snapshots() {
    snapshots_for(&Setup::oracle(), "", false, "redis");
}

#[test]
fn newer_servers_load_our_snapshots() {
    let Some(root) = peers() else { return };
    for flavor in ["redis", "valkey"] {
        snapshots_for(&Setup::other(&format!("chroot {root} {flavor}-server")), &root, true, flavor);
    }
}

/// Runs a tool of Pinion's; its exit code and what it said.
fn tool(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pinion")).args(args).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Ends a server as an operator does.
fn stop(mut server: Server) {
    server.signal(libc::SIGTERM);
    server.wait_exit();
}

fn exports_to(setup: &Setup, root: &str, timed: bool, server: &str) {
    let (folder, mut random) = (Folder::new(root), Random(17));
    let launch = pinion(&folder, "--appendonly yes --appendfsync no");
    let ours = loaded(&launch);
    let mut client = ours.client();
    fill(&mut client, &mut random, timed);
    churn(&mut client, &mut random);
    stop(ours);
    let dir = folder.path.to_str().expect("a path of text");
    let (code, said) = tool(&["aof", "export", "--for", server, dir]);
    assert_eq!(code, Some(0), "{said}");
    let args = format!("--dir {}/export --enable-debug-command yes --appendonly yes", folder.inner.display());
    let theirs = Launch::new(setup).args(&args).start();
    let ours = loaded(&launch);
    wait_until("they have loaded", || theirs.client().run("PING") == Value::Simple(b"PONG".to_vec()));
    compare(&mut theirs.client(), &mut ours.client(), timed);
    let (code, said) = tool(&["aof", "export", "--to", "/tmp/nowhere", dir]);
    assert!(code == Some(1) && said.starts_with("Another server uses the data directory "), "{said}");
}

#[test]
fn redis_loads_an_exported_log() {
    exports_to(&Setup::oracle(), "", false, "redis-7.0");
}

#[test]
fn newer_servers_load_an_exported_log() {
    let Some(root) = peers() else { return };
    for (name, server) in [("redis", "redis-8.0"), ("valkey", "valkey-9.0")] {
        exports_to(&Setup::other(&format!("chroot {root} {name}-server")), &root, true, server);
    }
}

#[test]
fn an_export_loses_nothing_in_silence() {
    let folder = Folder::new("");
    let launch = pinion(&folder, "--appendonly yes");
    let ours = launch.start();
    let mut client = ours.client();
    for text in ["SET a 1", "HSET h f v g w", "HPEXPIRE h 100000000 FIELDS 1 f", "VADD v VALUES 2 1 0 one", "SELECT 9"]
    {
        assert!(!client.run(text).is_error(), "{text}");
    }
    for text in ["SET b 2", "XADD s 1-1 f v", "XGROUP CREATE s g $", "XREADGROUP GROUP g c STREAMS s >"] {
        assert!(!client.run(text).is_error(), "{text}");
    }
    stop(ours);
    let (dir, out) = (folder.path.to_str().expect("text"), folder.file("out"));
    let out = out.to_str().expect("text");
    let (code, said) = tool(&["aof", "export", "--to", out, dir]);
    assert_eq!(code, Some(1), "{said}");
    for part in ["1 fields of hashes expire (one in \"h\" of database 0)", "1 vector sets", "Nothing was written"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!Path::new(out).exists(), "nothing is written");
    let (code, said) = tool(&["aof", "export", "--lossy", "--to", out, dir]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["Left out: 1 fields", "Left out: 1 vector sets", "1 consumers of streams", "4 keys"] {
        assert!(said.contains(part), "{said}");
    }
    let manifest = format!("{out}/appendonlydir/appendonly.aof.manifest");
    let output = Command::new("redis-check-aof").arg(&manifest).output().expect("it is installed");
    let checked = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && checked.contains("All AOF files and manifest are valid"), "{checked}");
    let (code, said) = tool(&["check", &manifest]);
    assert_eq!(code, Some(0), "{said}");
    let theirs = Launch::new(&Setup::oracle()).args(&format!("--dir {out} --appendonly yes")).start();
    assert_eq!(names(&theirs), ["a", "h"]);
    assert_eq!(theirs.client().run("HGETALL h").items().len(), 4);
    drop(theirs);
    let (code, said) = tool(&["aof", "export", "--lossy", "--to", out, dir]);
    assert!(code == Some(1) && said.contains("not empty"), "{said}");
    for wrong in
        [&["aof"][..], &["aof", "export"], &["aof", "export", "--for", "redis-6", dir], &["aof", "export", "--to"]]
    {
        let (code, said) = tool(wrong);
        assert!(code == Some(1) && said.starts_with("Usage: pinion aof export"), "{said}");
    }
    let (code, said) = tool(&["aof", "export", out]);
    assert!(code == Some(1) && said.contains("no append-only log of Pinion is here"), "{said}");
    let (code, said) = tool(&["aof", "export", "/tmp/there/is/no/such/folder"]);
    assert!(code == Some(1) && said.starts_with("Cannot use the data directory "), "{said}");
}

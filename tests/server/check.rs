//! `pinion check` on what servers of ours leave: healthy, torn and damaged logs.

use crate::aof::{Data, kill, segments};
use crate::common::{Server, Setup, Value};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs it; whether all was well, and what it said.
fn check(args: &[&Path]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pinion")).arg("check").args(args).output().expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

fn cut(path: &Path) -> (bool, String) {
    check(&[Path::new("--cut"), path])
}

fn says(found: &(bool, String), well: bool, parts: &[&str]) {
    assert_eq!(found.0, well, "{}", found.1);
    for part in parts {
        assert!(found.1.contains(part), "no {part:?} in {}", found.1);
    }
}

fn stop(mut server: Server) {
    server.signal(libc::SIGTERM);
    server.wait_exit();
}

/// Ten keys, each in a block of its own.
fn ten_keys(data: &Data, setup: &Setup) {
    let server = data.launch(setup, "always").start();
    let mut client = server.client();
    for n in 0..10 {
        client.ok(&format!("SET key{n} {}", "v".repeat(100)));
    }
    stop(server);
}

#[test]
fn a_healthy_directory_is_well() {
    let data = Data::new();
    let server = data.launch(&Setup::typical(), "everysec").start();
    let mut client = server.client();
    for n in 0..100 {
        client.ok(&format!("MSET a{n} 1 b{n} 2 c{n} 3"));
    }
    let manifest = data.logs().join("appendonly.aof.pinion");
    // a server that runs may be looked at, but not cut
    says(&cut(&manifest), false, &["Another server uses the data directory"]);
    client.ok("SAVE");
    assert!(!client.run("BGREWRITEAOF").is_error());
    crate::common::wait_until("it has ended", || {
        client.run("INFO persistence").text().contains("aof_rewrite_in_progress:0")
    });
    client.ok("SET last 1");
    kill(server);
    let all = check(&[&data.0]);
    says(
        &all,
        true,
        &["dump.rdb: all is well", "300 keys", ".base.rdb: all is well", "2 shards, ", "all is well: 1 runs"],
    );
    says(&check(&[&manifest]), true, &["all is well"]);
    says(&check(&[&segments(&data)[0]]), true, &["all is well: 1 runs"]);
    says(&cut(&data.0), true, &["all is well"]);
    let empty = data.0.join("empty");
    fs::create_dir(&empty).expect("a folder");
    says(&check(&[&empty]), false, &["there is nothing here that persistence made"]);
    says(&check(&[&data.0.join("none.rdb")]), false, &["none.rdb", "No such file"]);
    says(&check(&[]), false, &["Usage: pinion check"]);
}

#[test]
fn a_torn_tail_is_told_and_cut() {
    let (data, setup) = (Data::new(), Setup { shards: 1, ..Setup::typical() });
    ten_keys(&data, &setup);
    let log = segments(&data).remove(0);
    let whole = fs::read(&log).expect("the log");
    fs::write(&log, &whole[..whole.len() - 4000]).expect("written");
    let name = log.display().to_string();
    let at = format!("{name}: at byte {}: it ends in the middle of a write", whole.len() - 4096);
    says(&check(&[&log]), false, &[&at, "--cut cuts it there"]);
    says(&check(&[&data.0]), false, &[&at]);
    says(&cut(&data.0), true, &[&at, "9 commands"]);
    assert_eq!(fs::metadata(&log).expect("it is there").len(), whole.len() as u64 - 4096);
    says(&check(&[&data.0]), true, &["9 commands"]);
    let server = data.launch(&setup, "always").args("--aof-load-truncated no").start();
    assert_eq!(server.client().run("DBSIZE"), Value::Int(9));
}

#[test]
fn damage_in_the_middle_is_told_and_what_is_behind_it_cut_on_demand() {
    let (data, setup) = (Data::new(), Setup { shards: 1, ..Setup::typical() });
    ten_keys(&data, &setup);
    let log = segments(&data).remove(0);
    let whole = fs::read(&log).expect("the log");
    let mut damaged = whole.clone();
    damaged[3 * 4096 + 80] ^= 1;
    fs::write(&log, &damaged).expect("written");
    let at = format!("{}: at byte {}: a block whose checksum does not match", log.display(), 3 * 4096);
    says(&check(&[&log]), false, &[&at, "what was written to it later is lost then"]);
    assert_eq!(fs::read(&log).expect("it is there"), damaged, "nothing is changed without --cut");
    says(&cut(&log), true, &[&at, "cutting there", "3 commands"]);
    let server = data.launch(&setup, "always").start();
    assert_eq!(server.client().run("DBSIZE"), Value::Int(3));
    server.client().ok("SET more 1");
    stop(server);
    // now another run builds on it
    let cut_log = fs::read(&log).expect("it is there");
    fs::write(&log, [&cut_log[..4096 + 80], &[9], &cut_log[4096 + 81..]].concat()).expect("written");
    says(&cut(&log), false, &["A later run of the server builds on it"]);
    let manifest = data.logs().join("appendonly.aof.pinion");
    let text = fs::read_to_string(&manifest).expect("it is there");
    fs::write(&manifest, text.replace("set", "sex")).expect("written");
    says(&check(&[&manifest]), false, &["appendonly.aof.pinion: line 3: not a word of a manifest"]);
    fs::remove_file(&manifest).expect("removed");
    says(&check(&[&log]), false, &["appendonly.aof.pinion: "]);
}

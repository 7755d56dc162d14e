//! Disks that are full or refuse, folders that are missing, taken or somebody else's: what operators and clients are
//! told, and that the server goes on or ends as its policy says.

use crate::aof::{Data, kill};
use crate::common::client::encode;
use crate::common::server::free_port;
use crate::common::{Client, Launch, Random, Server, Setup, Value, sys, wait_until};
use crate::saving::redis_on;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

fn refused(launch: &Launch) -> String {
    let (status, log) = launch.start_failing(free_port("127.0.0.1"));
    assert_eq!(status.code(), Some(1), "{log}");
    log
}

/// Writes values that do not get shorter until something is refused; what that said, or nothing if the connection
/// broke.
fn fill(client: &mut Client) -> Option<String> {
    let mut random = Random(7);
    for n in 0..10_000 {
        let value: Vec<u8> = (0..1250).flat_map(|_| random.next().to_le_bytes()).collect();
        if client.stream.write_all(&encode(&[&b"SET"[..], format!("key{n}").as_bytes(), &value])).is_err() {
            return None;
        }
        match client.try_recv() {
            Ok(Some(reply)) if reply.is_error() => return Some(reply.text()),
            Ok(Some(_)) => {}
            _ => return None,
        }
    }
    panic!("nothing was refused");
}

/// A server whose disk is full, under a policy that lets it go on.
fn goes_on(server: Server, why: &str) {
    let refusal = fill(&mut server.client()).expect("the server goes on");
    refuses(server, &refusal, why);
}

/// A server that has refused a write since its log failed.
fn refuses(mut server: Server, refusal: &str, why: &str) {
    let mut client = server.client();
    assert_eq!(refusal, format!("MISCONF Errors writing to the AOF file: {why}"));
    assert!(client.run("INFO persistence").text().contains("aof_last_write_status:err\r\n"));
    assert_eq!(client.run("GET key0").bytes().len(), 10_000, "reads go on");
    assert!(client.run("DEL key0").text().starts_with("MISCONF "));
    assert!(client.run("DEBUG SLEEP 0").text() == "OK");
    let log = server.log();
    assert!(log.contains(&format!("The append-only file cannot be written: {why}")), "{log}");
    assert!(log.contains("Writes are refused from now on"), "{log}");
    server.assert_alive();
    kill(server);
}

/// One that must not.
fn ends(mut server: Server, why: &str) {
    let mut client = server.client();
    assert_eq!(fill(&mut client), None, "nothing that is not durable is answered");
    let status = server.wait_exit();
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let line = format!("The append-only file cannot be written: {why}");
    assert!(log.contains(&line) && log.contains("With appendfsync always nothing more may be acknowledged"), "{log}");
}

#[test]
fn a_limit_of_file_sizes_is_a_full_disk() {
    for policy in ["everysec", "no", "always"] {
        let data = Data::new();
        let setup = Setup::typical();
        let server = data.launch(&setup, policy).start();
        sys::limit_file_bytes(server.pid(), 400_000);
        match policy {
            "always" => ends(server, "File too large"),
            _ => goes_on(server, "File too large"),
        }
        // what was written is there again
        let server = data.launch(&setup, policy).start();
        assert_eq!(server.client().run("GET key0").bytes().len(), 10_000);
    }
}

/// A small file system, gone in the end.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this process may not mount.
    fn new(name: &str, bytes: &str) -> Option<Mount> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mount-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let options = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("no file system can be mounted here");
            let _ = fs::remove_dir(&path);
        }
        is_mounted.then_some(Mount(path))
    }

    /// Has it be read only (`ro`), or no longer (`rw`).
    fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let output = Command::new("mount").args(["-o", &options]).arg(&self.0).output().expect("it was mounted so");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_disk_refuses_writes_or_ends_the_server() {
    for policy in ["everysec", "always"] {
        let Some(mount) = Mount::new(policy, "2m") else { return };
        let args = format!("--dir {} --appendonly yes --appendfsync {policy}", mount.0.display());
        let server = Launch::new(&Setup::typical()).args(&args).args("--enable-debug-command yes").start();
        match policy {
            "always" => ends(server, "No space left on device"),
            _ => goes_on(server, "No space left on device"),
        }
    }
}

#[test]
fn a_snapshot_that_does_not_fit_leaves_the_last_one() {
    let Some(mount) = Mount::new("snapshot", "24m") else { return };
    let args = format!("--dir {} --save '' --rdbcompression no --enable-debug-command yes", mount.0.display());
    let server = Launch::new(&Setup::typical()).args(&args).start();
    let mut client = server.client();
    client.ok("DEBUG POPULATE 40000 key 200");
    client.ok("SAVE");
    let (dump, ballast) = (mount.0.join("dump.rdb"), mount.0.join("ballast"));
    let before = fs::read(&dump).expect("the file");
    client.ok("DEBUG POPULATE 80000 key 200");
    fs::write(&ballast, vec![0; 4 << 20]).expect("there is room for it");
    assert_eq!(client.run("SAVE").text(), "ERR");
    let log = server.log();
    assert!(log.contains("Write error saving DB on disk: No space left on device"), "{log}");
    assert_eq!(fs::read(&dump).expect("the last one stays"), before);
    let names = fs::read_dir(&mount.0).expect("the folder").count();
    assert_eq!(names, 2, "nothing is left of the one that failed");
    fs::remove_file(&ballast).expect("it is there");
    fs::remove_file(&dump).expect("it is there");
    client.ok("SAVE");
    assert_eq!(redis_on(&mount.0).client().run("DBSIZE"), Value::Int(80_000));
}

/// A small file system that has a log to be, and a file that takes most of its room.
struct Tight {
    launch: Launch,
    ballast: PathBuf,
    /// Goes last.
    _mount: Mount,
}

impl Tight {
    /// `None` where this process may not mount. Sizes are in megabytes.
    fn new(name: &str, driver: &str, all: usize, taken: usize) -> Option<Tight> {
        let mount = Mount::new(&format!("{driver}-{name}"), &format!("{all}m"))?;
        let ballast = mount.0.join("ballast");
        fs::write(&ballast, vec![0; taken << 20]).expect("there is room for it");
        let args = format!("--dir {} --appendonly yes --save '' --enable-debug-command yes", mount.0.display());
        let driver = if sys::has_io_uring() { driver } else { "epoll" };
        Some(Tight { launch: Launch::new(&Setup::pinion(2, driver)).args(&args), ballast, _mount: mount })
    }
}

#[test]
fn a_log_that_could_not_be_written_begins_anew_once_there_is_room() {
    for (driver, asks) in [("uring", false), ("epoll", true)] {
        let Some(Tight { launch, ballast, _mount }) = Tight::new("alone", driver, 24, 16) else { return };
        let server = launch.start();
        let mut client = server.client();
        fill(&mut client).expect("the server goes on");
        wait_until("a first attempt", || server.log().contains("Background AOF rewrite terminated with error"));
        let refusal = client.run("SET other v").text();
        assert_eq!(refusal, "MISCONF Errors writing to the AOF file: No space left on device");
        assert!(client.run("INFO persistence").text().contains("aof_last_write_status:err\r\n"));
        fs::remove_file(&ballast).expect("it is there");
        if asks {
            assert_eq!(client.run("BGREWRITEAOF").text(), "Background append only file rewriting scheduled");
        }
        wait_until("writes to go on", || client.run("SET other v").text() == "OK");
        assert!(client.run("INFO persistence").text().contains("aof_last_write_status:ok\r\n"));
        assert!(server.log().contains("The append-only file can be written again"));
        client.ok("SET last v");
        let (keys, digest) = (client.run("DBSIZE"), client.run("DEBUG DIGEST"));
        kill(server);
        // also what was answered while the old log could not be written
        let server = launch.start();
        let mut client = server.client();
        assert_eq!((client.run("DBSIZE"), client.run("DEBUG DIGEST")), (keys, digest));
    }
}

/// Sets two keys to the same number, higher and higher, until `ends`; what was acknowledged last is in `done`. Answers
/// how many were refused.
fn count_up(server: &Server, keys: [&str; 2], done: &AtomicU64, ends: &AtomicBool) -> u64 {
    let (mut client, mut refused) = (server.client(), 0);
    for n in 1u64.. {
        if ends.load(Ordering::SeqCst) {
            break;
        }
        match client.run(&format!("MSET {} {n} {} {n}", keys[0], keys[1])).text().as_str() {
            "OK" => done.store(n, Ordering::SeqCst),
            refusal => {
                assert_eq!(refusal, "MISCONF Errors writing to the AOF file: No space left on device");
                refused += 1;
            }
        }
    }
    refused
}

#[test]
fn a_log_that_begins_anew_under_load_has_all_that_was_acknowledged() {
    const PAIRS: [[&str; 2]; 3] = [["a", "b"], ["counter:1", "counter:2"], ["{same}x", "{same}y"]];
    for driver in ["uring", "epoll"] {
        let Some(Tight { launch, ballast, _mount }) = Tight::new("load", driver, 32, 22) else { return };
        let server = launch.start();
        let (done, ends) = ([const { AtomicU64::new(0) }; PAIRS.len()], AtomicBool::new(false));
        thread::scope(|scope| {
            let count = |(keys, done)| count_up(&server, keys, done, &ends);
            let writers: Vec<_> = PAIRS.into_iter().zip(&done).map(|each| scope.spawn(move || count(each))).collect();
            fill(&mut server.client()).expect("the server goes on");
            wait_until("a first attempt", || server.log().contains("Background AOF rewrite terminated with error"));
            let before = done.each_ref().map(|done| done.load(Ordering::SeqCst));
            fs::remove_file(&ballast).expect("it is there");
            wait_until("writes to go on", || {
                done.iter().zip(before).all(|(done, before)| done.load(Ordering::SeqCst) > before + 100)
            });
            ends.store(true, Ordering::SeqCst);
            for writer in writers {
                assert!(writer.join().expect("it ends") > 0, "all were refused for a while");
            }
        });
        let mut client = server.client();
        assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        let keys = client.run("DBSIZE");
        kill(server);
        let server = launch.start();
        let mut client = server.client();
        assert_eq!(client.run("DBSIZE"), keys);
        for (keys, done) in PAIRS.iter().zip(&done) {
            for key in keys {
                assert_eq!(client.run(&format!("GET {key}")).text(), done.load(Ordering::SeqCst).to_string(), "{key}");
            }
        }
    }
}

#[test]
fn a_sync_that_fails_refuses_writes_or_ends_the_server() {
    if cfg!(not(target_arch = "x86_64")) {
        return println!("system calls cannot be made to fail here");
    }
    for policy in ["everysec", "always"] {
        let (data, why) = (Data::new(), "Input/output error");
        // only a pool of threads makes system calls of its own for the log
        let server = data.launch(&Setup::pinion(2, "epoll"), policy).fail_syncs().start();
        if policy == "always" {
            ends(server, why);
            continue;
        }
        let (mut client, value, mut refusal) = (server.client(), "v".repeat(10_000), String::new());
        wait_until("a write to be refused", || {
            client.stream.write_all(&encode(&["SET", "key0", &value])).expect("the server goes on");
            let reply = client.try_recv().expect("a reply").expect("the server goes on");
            refusal = reply.text();
            reply.is_error()
        });
        refuses(server, &refusal, why);
    }
}

const DEVICE_BYTES: u64 = 64 << 20;

/// A file system on a device of its own, which can be made to fail.
struct Device {
    mount: PathBuf,
    image: PathBuf,
    device: String,
}

impl Device {
    /// `None` where this process may not have one.
    fn new(name: &str) -> Option<Device> {
        let path = |what| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{what}-{}-{name}", std::process::id()));
        let (mount, image) = (path("device"), path("image"));
        fs::create_dir_all(&mount).expect("a folder");
        fs::File::create(&image).and_then(|file| file.set_len(DEVICE_BYTES)).expect("a file");
        let mut device = Device { mount, image, device: String::new() };
        let made = device.run("mkfs.ext2", &["-q", "IMAGE"]).is_some()
            && device.run("losetup", &["-f", "--show", "IMAGE"]).map(|text| device.device = text).is_some()
            && device.run("mount", &["DEVICE", "MOUNT"]).is_some();
        if !made {
            println!("no device can be made here");
        }
        made.then_some(device)
    }

    /// Its output, if it succeeds.
    fn run(&self, command: &str, words: &[&str]) -> Option<String> {
        let place = |path: &Path| path.to_str().expect("UTF-8").to_string();
        let words = words.iter().map(|word| match *word {
            "IMAGE" => place(&self.image),
            "MOUNT" => place(&self.mount),
            "DEVICE" => self.device.clone(),
            other => other.to_string(),
        });
        let output = Command::new(command).args(words).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// From now on there is no device behind its first megabyte, which has all that the file system itself needs: the
    /// kernel answers EIO.
    fn fail(&self) {
        self.resize(1 << 20);
    }

    /// It is there again, without what it had.
    fn mend(&self) {
        self.resize(DEVICE_BYTES);
    }

    fn resize(&self, bytes: u64) {
        let image = fs::OpenOptions::new().write(true).open(&self.image);
        image.and_then(|file| file.set_len(bytes)).expect("another size");
        self.run("losetup", &["-c", "DEVICE"]).expect("the device is looked at again");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.run("umount", &["-l", "MOUNT"]);
        if !self.device.is_empty() {
            self.run("losetup", &["-d", "DEVICE"]);
        }
        let _ = fs::remove_dir(&self.mount);
        let _ = fs::remove_file(&self.image);
    }
}

#[test]
fn a_device_that_fails_refuses_writes_or_ends_the_server() {
    let drivers = if sys::has_io_uring() { &["uring", "epoll"][..] } else { &["epoll"] };
    for driver in drivers {
        for policy in ["everysec", "always"] {
            let Some(device) = Device::new(&format!("{driver}-{policy}")) else { return };
            let args = format!("--dir {} --appendonly yes --appendfsync {policy}", device.mount.display());
            let launch = Launch::new(&Setup::pinion(2, driver)).args(&args).args("--enable-debug-command yes");
            let server = launch.start();
            // what the file system needs to know to go on writing is in memory then
            let mut client = server.client();
            client.ok(&format!("SET first {}", "v".repeat(100_000)));
            assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
            device.fail();
            match policy {
                "always" => ends(server, "Input/output error"),
                _ => goes_on(server, "Input/output error"),
            }
        }
    }
}

#[test]
fn a_log_that_could_not_be_synced_begins_anew_once_the_device_is_back() {
    for driver in ["uring", "epoll"] {
        let Some(device) = Device::new(&format!("{driver}-back")) else { return };
        let args = format!("--dir {} --appendonly yes --save '' --enable-debug-command yes", device.mount.display());
        let driver = if sys::has_io_uring() { driver } else { "epoll" };
        let launch = Launch::new(&Setup::pinion(2, driver)).args(&args);
        let server = launch.start();
        let mut client = server.client();
        client.ok("SET first 1");
        assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        device.fail();
        // the page cache takes what is written, more than what is left of the device; only the sync says so
        let second = "2".repeat(2 << 20);
        client.ok(&format!("SET second {second}"));
        wait_until("writes to be refused", || client.run("SET k v").text().starts_with("MISCONF Errors writing to"));
        device.mend();
        client.run("BGREWRITEAOF");
        wait_until("writes to go on", || client.run("SET third 3").text() == "OK");
        assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        assert!(client.run("INFO persistence").text().contains("aof_last_write_status:ok\r\n"));
        kill(server);
        let server = launch.start();
        let mut client = server.client();
        for (key, value) in [("first", "1"), ("second", &*second), ("third", "3")] {
            assert_eq!(client.run(&format!("GET {key}")).text(), value);
        }
    }
}

#[test]
fn a_disk_that_turns_read_only_stops_writes_until_it_can_be_written() {
    let Some(mount) = Mount::new("read-only", "8m") else { return };
    let dir = mount.0.display();
    let launch = Launch::new(&Setup::typical()).args(&format!("--dir {dir} --enable-debug-command yes"));
    let server = launch.clone().args("--save 3600 1000").start();
    let mut client = server.client();
    client.ok("SET k v");
    client.ok("SAVE");
    mount.remount("ro");
    assert_eq!(client.run("SAVE").text(), "ERR");
    client.run("BGSAVE");
    let stopped = |text: String| text.starts_with("MISCONF Redis is configured to save RDB snapshots");
    wait_until("writes to stop", || stopped(client.run("SET other v").text()));
    assert_eq!(client.run("GET k").text(), "v");
    let log = server.log();
    assert!(log.contains(&format!("(in server root dir {dir}) for saving: Read-only file system")), "{log}");
    let log = refused(&launch.clone().args("--appendonly yes"));
    assert!(log.contains("Another server uses the data directory"), "{log}");
    mount.remount("rw");
    client.run("BGSAVE");
    wait_until("writes to go on", || client.run("SET k x").text() == "OK");
    kill(server);
    mount.remount("ro");
    let log = refused(&launch.args("--appendonly yes"));
    assert!(log.contains(&format!("Cannot write to the data directory {dir}: Read-only file system")), "{log}");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let (data, setup) = (Data::new(), Setup::typical());
    let name = data.0.canonicalize().expect("it is there").display().to_string();
    let server = data.launch(&setup, "everysec").start();
    let log = refused(&data.launch(&setup, "everysec"));
    assert!(log.contains(&format!("Another server uses the data directory {name}: stop that one")), "{log}");
    kill(server);
    let log = refused(&Launch::new(&setup).args("--appendonly yes --dir /there/is/no/folder"));
    assert!(log.contains("/there/is/no/folder") && log.contains("No such file or directory"), "{log}");
    let file = data.0.join("file");
    fs::write(&file, "").expect("written");
    let log = refused(&Launch::new(&setup).args(&format!("--appendonly yes --dir {}", file.display())));
    assert!(log.contains(&file.display().to_string()) && log.contains("Not a directory"), "{log}");
    let logs = data.0.join("logs");
    fs::write(&logs, "").expect("written");
    let log = refused(&data.launch(&setup, "everysec").args("--appenddirname logs"));
    assert!(log.contains(&logs.display().to_string()), "{log}");
    let manifest = data.logs().join("appendonly.aof.pinion");
    fs::write(&manifest, "something else\n").expect("written");
    let log = refused(&data.launch(&setup, "everysec"));
    assert!(log.contains(&manifest.display().to_string()) && log.contains("line 1: not a manifest"), "{log}");
}

#[test]
fn a_folder_of_somebody_else_is_named_with_its_owner() {
    let folder = std::env::temp_dir().join(format!("pinion-owner-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("pinion");
    fs::copy(env!("CARGO_BIN_EXE_pinion"), &program).expect("copied");
    let drop_rights = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let can = Command::new(drop_rights[0]).args(&drop_rights[1..]).arg(&program).arg("--version").output();
    if can.is_ok_and(|output| output.status.success()) {
        let mut setup = Setup::typical();
        let words = drop_rights.iter().map(ToString::to_string);
        setup.program = words.chain([program.display().to_string()]).collect();
        let args = format!("--appendonly yes --dir {}", folder.display());
        let log = refused(&Launch::new(&setup).args(&args));
        let text = format!("Cannot write to the data directory {}: Permission denied", folder.display());
        assert!(log.contains(&text) && log.contains("it belongs to user 0, not to 65534"), "{log}");
    } else {
        println!("nobody else can be had here");
    }
    fs::remove_dir_all(&folder).expect("removed");
}

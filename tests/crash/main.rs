//! Servers that are killed in the midst of writes, and started again on what they left: every write that was
//! acknowledged is there, what was not is there in the order it was sent or not at all, and no transaction is there by
//! halves. A process that is killed loses nothing that the kernel has, so this holds for every `appendfsync`.
//!
//! `PINION_CRASH_SECONDS` is the time for servers that start and die (20 by default), `PINION_CRASH_SEED` the seed of
//! what clients do and when servers die; the instants themselves are not repeatable.

#[path = "../history/check/mod.rs"]
mod check;
#[path = "../common/mod.rs"]
mod common;

mod author;
mod bank;

use author::Author;
use bank::Teller;
use common::{Client, Launch, Random, Server, Setup, Value, wait_until};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const POLICIES: [&str; 3] = ["always", "everysec", "no"];
/// Lives of a server on the same files.
const LIVES: usize = 4;
const AUTHORS: usize = 8;
const TELLERS: usize = 3;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// A folder that goes when this does, unless a test failed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for data");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- what was on disk: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Starts a server on what is in a folder, and waits until all of it is loaded.
fn start(setup: &Setup, policy: &str, folder: &Folder, logs: &str, segment: &str) -> Server {
    let args = format!(
        "--appendonly {logs} --appendfsync {policy} --aof-segment-size {segment} --auto-aof-rewrite-min-size {segment} \
         --dir {}",
        folder.0.display()
    );
    let server = Launch::new(setup).args(&args).start();
    let mut client = server.client();
    wait_until("the files to be loaded", || client.run("PING") == Value::Simple(b"PONG".to_vec()));
    server
}

fn write_until_the_end(author: &mut Author, mut client: Client) {
    loop {
        if client.stream.write_all(&author.next()).is_err() {
            return;
        }
        while author.is_waiting() {
            let Ok(Some(reply)) = client.try_recv() else { return };
            author.hear(reply);
        }
    }
}

fn transfer_until_the_end(teller: &mut Teller, mut client: Client) {
    loop {
        let (bytes, replies) = teller.next_transfer();
        if client.stream.write_all(&bytes).is_err() {
            return;
        }
        for _ in 0..replies {
            let Ok(Some(_)) = client.try_recv() else { return };
        }
        teller.done();
    }
}

/// Switches the log off, or leaves it so, then on again, and returns when it holds everything.
fn switch(client: &mut Client) {
    for state in ["no", "yes"] {
        client.ok(&format!("CONFIG SET appendonly {state}"));
    }
    wait_until("the log to hold everything", || {
        let info = client.run("INFO persistence").text();
        let idle = ["aof_rewrite_in_progress:0\r", "aof_rewrite_scheduled:0\r", "aof_last_bgrewrite_status:ok\r"];
        idle.iter().all(|line| info.contains(line))
    });
}

/// Lets everybody write until the server dies at some instant.
fn live_and_die(
    server: &mut Server,
    authors: &mut [Author],
    tellers: &mut [Teller],
    random: &mut Random,
    switches: bool,
) {
    let life = Duration::from_micros(random.below(300_000) as u64 + 2000);
    let rewrites = random.chance(40);
    thread::scope(|scope| {
        let client = || server.client();
        for author in authors {
            let client = client();
            scope.spawn(|| write_until_the_end(author, client));
        }
        for teller in tellers {
            let client = client();
            scope.spawn(|| transfer_until_the_end(teller, client));
        }
        if switches {
            thread::sleep(life / 3);
            switch(&mut server.client());
            thread::sleep(life * 2 / 3);
        } else if rewrites {
            thread::sleep(life / 3);
            let _ = server.client().run("BGREWRITEAOF");
            thread::sleep(life * 2 / 3);
        } else {
            thread::sleep(life);
        }
        server.signal(libc::SIGKILL);
    });
    server.wait_exit();
}

fn verify(client: &mut Client, authors: &mut [Author], tellers: &mut [Teller], what: &str) {
    let mut ask = |line: &str| client.run(line);
    for author in authors {
        author.verify(&mut ask).unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    bank::verify(&mut ask, tellers).unwrap_or_else(|why| panic!("{what}: {why}"));
}

fn ordeal(setup: &Setup, policy: &str, seed: u64) -> usize {
    let mut random = Random(seed);
    let folder = Folder::new(&format!("{}-{policy}-{seed}", setup.shards));
    let mut authors: Vec<Author> = (0..AUTHORS).map(|number| Author::new(number, random.next())).collect();
    let mut tellers: Vec<Teller> = (0..TELLERS).map(|number| Teller::new(number, random.next())).collect();
    // the first life may begin without a log; whoever switches it on lives until it holds everything
    let late = random.chance(50);
    // small segments are often full, and a log of one is begun anew already: what it leaves is written over
    let segment = *random.one(&["64kb", "1mb", "64mb"]);
    for life in 0..=LIVES {
        let mut server = start(setup, policy, &folder, if late && life == 0 { "no" } else { "yes" }, segment);
        let what = format!(
            "{} appendfsync {policy}, segments of {segment}, life {life}, PINION_CRASH_SEED={seed}",
            setup.name()
        );
        verify(&mut server.client(), &mut authors, &mut tellers, &what);
        if life < LIVES {
            let switches = late && life == 0 || random.chance(25);
            live_and_die(&mut server, &mut authors, &mut tellers, &mut random, switches);
        }
    }
    authors.iter().map(|author| author.acknowledged).sum()
}

#[test]
fn killed_servers_keep_what_they_acknowledged() {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = number("PINION_CRASH_SEED", fresh);
    let end = Instant::now() + Duration::from_secs(number("PINION_CRASH_SECONDS", 20));
    let setups = Setup::all();
    let (mut count, mut writes) = (0, 0);
    while count < POLICIES.len() || Instant::now() < end {
        let at = seed.wrapping_add(count as u64);
        let setup = &setups[Random(at).below(setups.len())];
        writes += ordeal(setup, POLICIES[count % POLICIES.len()], at);
        count += 1;
    }
    println!("{count} servers, each killed {LIVES} times; {writes} acknowledged writes, none lost");
}

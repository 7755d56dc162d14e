//! Everything that makes, ends, drops or reads files, by several clients at once, in any order: each gets an answer,
//! and in the end the log has what memory has. `PINION_STORM_SECONDS` is the time (6 by default).

use crate::aof::{Data, kill};
use crate::aof_switch::wait_for_base;
use crate::common::{Client, Launch, Random, Setup, Value, each_setup, wait_until};
use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: u64 = 6;
const LINES: [&str; 38] = [
    "SAVE",
    "BGSAVE",
    "BGSAVE SCHEDULE",
    "BGSAVE CANCEL",
    "BGREWRITEAOF",
    "CONFIG SET appendonly yes",
    "CONFIG SET appendonly no",
    "CONFIG SET appendfsync always",
    "CONFIG SET appendfsync everysec",
    "CONFIG SET appendfsync no",
    "CONFIG SET save '1 1'",
    "CONFIG SET save ''",
    "CONFIG SET rdb-save-incremental-fsync no",
    "CONFIG SET rdb-save-incremental-fsync yes",
    "CONFIG SET auto-aof-rewrite-percentage 1",
    "CONFIG SET auto-aof-rewrite-min-size 1",
    "CONFIG SET maxmemory 30mb",
    "CONFIG SET maxmemory 0",
    "CONFIG SET maxmemory-policy allkeys-lru",
    "DEBUG RELOAD",
    "DEBUG LOADAOF",
    "DEBUG POPULATE 2000 key 50",
    "DEBUG DIGEST",
    "DEBUG SLEEP 0.01",
    "CLIENT PAUSE 20 WRITE",
    "WAITAOF 1 0 100",
    "FLUSHALL",
    "FLUSHDB ASYNC",
    "SWAPDB 0 1",
    "RENAME key:1 key:2",
    "COPY key:3 key:4 REPLACE",
    "MULTI",
    "EXEC",
    "DISCARD",
    "KEYS nothing*",
    "INFO persistence",
    "LASTSAVE",
    "SHUTDOWN ABORT",
];

/// One client, until the time is over. Replies are what they are; that one comes is what counts.
fn rage(mut client: Client, mut random: Random, end: Instant) {
    while Instant::now() < end {
        let line = match random.below(4) {
            0 | 1 => random.one(&LINES).to_string(),
            2 => format!("MSET key:{} 1 key:{} 2", random.below(3000), random.below(3000)),
            _ => format!("SET key:{} {}", random.below(3000), random.below(1000)),
        };
        client.send_raw(format!("{line}\r\n").as_bytes());
        client.recv();
    }
}

#[test]
fn whoever_asks_is_answered_and_the_log_has_what_memory_has() {
    let seconds = std::env::var("PINION_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6.0);
    let rounds = Cell::new(0);
    each_setup(|setup: &Setup| {
        let seed = rounds.replace(rounds.get() + 1) * CLIENTS;
        let data = Data::new();
        let line = format!("--dir {} --enable-debug-command yes", data.0.display());
        let server = Launch::new(setup).args(&line).start();
        let end = Instant::now() + Duration::from_secs_f64(seconds / Setup::all().len() as f64);
        thread::scope(|scope| {
            for number in 1..=CLIENTS {
                let client = server.client();
                scope.spawn(move || rage(client, Random(seed + number), end));
            }
        });
        let mut client = server.client();
        client.ok("CONFIG SET maxmemory 0");
        // under `no` nothing is called durable, however long one waits
        client.ok("CONFIG SET appendfsync everysec");
        wait_until("the log to begin", || client.run("CONFIG SET appendonly yes") == Value::ok());
        wait_for_base(&mut client);
        client.ok("MSET a 1 b 2 c 3 d 4");
        assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        let before = (client.run("DBSIZE"), client.run("DEBUG DIGEST"));
        kill(server);
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        assert_eq!((client.run("DBSIZE"), client.run("DEBUG DIGEST")), before);
    });
}

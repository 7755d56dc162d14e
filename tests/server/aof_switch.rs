//! CONFIG SET appendonly and appendfsync while the server runs: from when on what is written survives a kill, and what
//! a client is told when it cannot be.

use crate::aof::{Data, POLICIES, digest, kill, load, verify, without_encodings, write_all_kinds};
use crate::common::{Client, Launch, Setup, Value, each_setup, wait_until};
use std::cell::Cell;
use std::fs;
use std::time::Duration;

fn launch(data: &Data, setup: &Setup) -> Launch {
    let line = format!("--dir {} --enable-debug-command yes", data.0.display());
    Launch::new(setup).args(&line)
}

/// Whether a line of INFO persistence is there.
fn says(client: &mut Client, line: &str) -> bool {
    client.run("INFO persistence").text().contains(&format!("{line}\r"))
}

pub(crate) fn wait_for_base(client: &mut Client) {
    let lines =
        ["aof_enabled:1", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"];
    wait_until("the base to be written", || {
        let info = client.run("INFO persistence").text();
        lines.iter().all(|line| info.contains(&format!("{line}\r")))
    });
}

#[test]
fn a_log_that_is_switched_on_holds_everything() {
    let rounds = Cell::new(0);
    each_setup(|setup| {
        let policy = POLICIES[rounds.replace(rounds.get() + 1) % POLICIES.len()];
        let data = Data::new();
        let server = launch(&data, setup).args(&format!("--appendfsync {policy}")).start();
        let mut client = server.client();
        client.ok("DEBUG POPULATE 500 before 100");
        write_all_kinds(&server);
        assert!(says(&mut client, "aof_enabled:0"));
        client.ok("CONFIG SET appendonly yes");
        assert!(says(&mut client, "aof_enabled:1"));
        client.run("DEL before:7 a b");
        wait_for_base(&mut client);
        client.ok("MSET a 7 b 8 c 9 after 1");
        let before = digest(&mut client);
        kill(server);
        let server = data.launch(setup, policy).start();
        let after = digest(&mut server.client());
        assert_eq!(without_encodings(&after), without_encodings(&before), "{policy}");
    });
}

#[test]
fn off_and_on_again() {
    each_setup(|setup| {
        let data = Data::new();
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        for round in 0..3 {
            client.ok(&format!("SET logged {round}"));
            client.ok("CONFIG SET appendonly no");
            assert!(says(&mut client, "aof_enabled:0"));
            let refusal = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
            assert_eq!(client.run("WAITAOF 1 0 0"), Value::Error(refusal.into()));
            client.ok(&format!("MSET unlogged {round} x {round} y {round}"));
            client.ok("CONFIG SET appendonly yes");
            client.ok("CONFIG SET appendonly yes");
            client.ok(&format!("MSET again {round} x 1{round} z {round}"));
            assert_eq!(client.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        }
        wait_for_base(&mut client);
        let before = digest(&mut client);
        kill(server);
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        assert_eq!(digest(&mut client), before);
        client.ok("SET last 1");
        client.ok("CONFIG SET appendonly no");
        client.ok("SET lost 1");
        kill(server);
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        assert_eq!(client.run("MGET last lost").items()[0].text(), "1", "all that was acknowledged before");
        assert_eq!(client.run("GET lost"), Value::NullBulk);
    });
}

#[test]
fn no_rewrite_begins_of_a_log_that_is_being_closed() {
    let data = Data::new();
    // whoever looks whether a rewrite is due looks every 2 ms, and finds it due from when the log may be rewritten
    let line = "--hz 500 --auto-aof-rewrite-min-size 1 --auto-aof-rewrite-percentage 0";
    let server = launch(&data, &Setup::typical()).args(line).start();
    let mut client = server.client();
    let filler = "x".repeat(2000);
    for _ in 0..40 {
        client.ok("CONFIG SET appendonly yes");
        wait_for_base(&mut client);
        for n in 0..100 {
            client.ok(&format!("SET key:{n} {filler}"));
        }
        client.send_raw(b"CONFIG SET auto-aof-rewrite-percentage 1\r\nCONFIG SET appendonly no\r\n");
        assert_eq!([client.recv().text(), client.recv().text()], ["OK", "OK"]);
        client.ok("CONFIG SET auto-aof-rewrite-percentage 0");
    }
}

#[test]
fn a_snapshot_under_way_ends_first() {
    let data = Data::new();
    let server = launch(&data, &Setup::typical()).start();
    let mut client = server.client();
    client.ok("DEBUG POPULATE 300000 key 100");
    assert_eq!(client.run("BGSAVE").text(), "Background saving started");
    client.ok("CONFIG SET appendonly yes");
    let scheduled = says(&mut client, "aof_rewrite_scheduled:1");
    assert!(scheduled || says(&mut client, "rdb_bgsave_in_progress:0"), "it waits for the snapshot");
    client.ok("MSET a 1 b 2 c 3");
    wait_for_base(&mut client);
    assert!(data.0.join("dump.rdb").exists(), "{}", server.log());
    kill(server);
    let server = data.launch(&Setup::typical(), "everysec").start();
    assert_eq!(server.client().run("DBSIZE"), Value::Int(300_003));
}

#[test]
fn switched_on_under_load_nothing_acknowledged_is_lost() {
    let rounds = Cell::new(0);
    each_setup(|setup| {
        let round = rounds.replace(rounds.get() + 1) % POLICIES.len();
        let policy = POLICIES[round];
        let data = Data::new();
        let server = launch(&data, setup).args(&format!("--appendfsync {policy}")).start();
        let told: Vec<(i64, i64)> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4).map(|n| (n, server.client())).collect();
            let loads: Vec<_> = clients.into_iter().map(|(n, c)| scope.spawn(move || load(c, n))).collect();
            let mut client = server.client();
            std::thread::sleep(Duration::from_millis(20));
            for _ in 0..round {
                client.ok("CONFIG SET appendonly yes");
                client.ok("CONFIG SET appendonly no");
            }
            client.ok("CONFIG SET appendonly yes");
            wait_for_base(&mut client);
            std::thread::sleep(Duration::from_millis(30));
            server.signal(libc::SIGKILL);
            loads.into_iter().map(|load| load.join().expect("a load ends")).collect()
        });
        drop(server);
        let server = data.launch(setup, policy).start();
        verify(&mut server.client(), told, policy);
    });
}

#[test]
fn what_cannot_be_opened_is_refused_and_nothing_changes() {
    let data = Data::new();
    fs::write(data.logs(), "no folder").expect("a file in the way");
    let server = launch(&data, &Setup::typical()).start();
    let mut client = server.client();
    let why =
        "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.";
    assert_eq!(client.run("CONFIG SET hz 50 appendonly yes"), Value::Error(why.into()));
    assert_eq!(client.run("CONFIG GET appendonly").items()[1].text(), "no");
    assert_eq!(client.run("CONFIG GET hz").items()[1].text(), "10");
    assert!(says(&mut client, "aof_enabled:0"));
    fs::remove_file(data.logs()).expect("out of the way");
    client.ok("CONFIG SET appendonly yes");
    wait_for_base(&mut client);
    let wrong = "ERR CONFIG SET failed (possibly related to argument 'appendonly') - argument must be 'yes' or 'no'";
    assert_eq!(client.run("CONFIG SET appendonly maybe"), Value::Error(wrong.into()));
}

#[test]
fn a_transaction_may_switch() {
    each_setup(|setup| {
        let data = Data::new();
        let server = launch(&data, setup).start();
        let mut client = server.client();
        for state in ["yes", "no", "yes"] {
            client.ok("MULTI");
            for line in [&format!("SET state {state}"), &format!("CONFIG SET appendonly {state}"), "MSET x 1 y 2 z 3"] {
                assert_eq!(client.run(line).text(), "QUEUED");
            }
            let done = client.run("EXEC");
            assert!(done.items().iter().all(|reply| reply.text() == "OK"), "{done:?}");
            assert!(says(&mut client, if state == "yes" { "aof_enabled:1" } else { "aof_enabled:0" }));
        }
        wait_for_base(&mut client);
        kill(server);
        let server = data.launch(setup, "everysec").start();
        assert_eq!(server.client().run("MGET state x y z").items().len(), 4);
        assert_eq!(server.client().run("GET state").text(), "yes");
    });
}

#[test]
fn without_a_log_a_rewrite_leaves_a_base_to_start_from() {
    let data = Data::new();
    let server = launch(&data, &Setup::typical()).start();
    let mut client = server.client();
    client.ok("MSET a 1 b 2 c 3");
    assert_eq!(client.run("BGREWRITEAOF").text(), "Background append only file rewriting started");
    wait_until("the base", || says(&mut client, "aof_rewrites:1") && says(&mut client, "aof_rewrite_in_progress:0"));
    assert!(says(&mut client, "aof_enabled:0"));
    client.ok("SET later 1");
    kill(server);
    let server = data.launch(&Setup::typical(), "everysec").start();
    let mut client = server.client();
    assert_eq!(client.run("DBSIZE"), Value::Int(3));
    client.ok("SET later 1");
    kill(server);
    let server = data.launch(&Setup::typical(), "everysec").start();
    assert_eq!(server.client().run("DBSIZE"), Value::Int(4));
}

#[test]
fn clients_are_told_that_the_log_is_being_read() {
    let data = Data::new();
    let server = data.launch(&Setup::typical(), "no").start();
    let mut client = server.client();
    client.ok("DEBUG POPULATE 300000 key 100");
    client.run("BGREWRITEAOF");
    wait_until("the base", || says(&mut client, "aof_rewrites:1") && says(&mut client, "aof_rewrite_in_progress:0"));
    client.ok("MSET last 1 of 2 all 3");
    kill(server);
    let server = data.launch(&Setup::typical(), "no").start_loading();
    let mut client = server.client();
    let mut told = 0;
    wait_until("the log to be read", || {
        // one batch: the server may have finished in between
        client.send_raw(
            b"PING\r\nINFO persistence\r\nCONFIG SET appendonly no\r\nCONFIG SET dir /nonexistent\r\nGET last\r\n",
        );
        let replies: Vec<Value> = (0..5).map(|_| client.recv()).collect();
        let is_told = |reply: &Value| reply.is_error() && reply.text().starts_with("LOADING ");
        if is_told(&replies[4]) {
            told += 1;
            assert!([0, 2, 3].iter().all(|at| is_told(&replies[*at])), "{replies:?}");
            let info = replies[1].text();
            assert!(info.contains("loading:1\r") && info.contains("loading_loaded_perc:"), "{info}");
        } else if replies[2] == Value::ok() {
            client.ok("CONFIG SET appendonly yes");
        }
        replies[4].text() == "1"
    });
    println!("LOADING was answered {told} times");
    assert_eq!(client.run("DBSIZE"), Value::Int(300_003));
    assert!(says(&mut client, "loading:0"));
}

#[test]
fn a_reload_leaves_the_log_true() {
    let data = Data::new();
    let server = data.launch(&Setup::typical(), "everysec").start();
    write_all_kinds(&server);
    let mut client = server.client();
    client.ok("DEBUG RELOAD");
    client.ok("MSET a 1 behind 2");
    client.ok("DEBUG RELOAD NOSAVE");
    assert_eq!(client.run("EXISTS behind"), Value::Int(0));
    wait_until("the log to follow", || says(&mut client, "aof_rewrites:1"));
    client.ok("SET last 1");
    let before = digest(&mut client);
    kill(server);
    let server = data.launch(&Setup::typical(), "everysec").start();
    let after = digest(&mut server.client());
    assert_eq!(without_encodings(&after), without_encodings(&before));
}

#[test]
fn debug_loadaof_reads_the_log_back() {
    let rounds = Cell::new(0);
    each_setup(|setup| {
        let policy = POLICIES[rounds.replace(rounds.get() + 1) % POLICIES.len()];
        let data = Data::new();
        let server = data.launch(setup, policy).start();
        write_all_kinds(&server);
        let (mut client, mut other) = (server.client(), server.client());
        let before = digest(&mut client);
        for _ in 0..2 {
            client.ok("DEBUG LOADAOF");
            assert_eq!(without_encodings(&digest(&mut client)), without_encodings(&before), "{policy}");
        }
        client.ok("MSET a 1 b 2 c 3");
        client.ok("DEBUG LOADAOF");
        client.run("BGREWRITEAOF");
        client.ok("SET a 4");
        client.ok("DEBUG LOADAOF");
        assert_eq!(client.run("MGET a b c"), Value::bulks(&["4", "2", "3"]));
        // as in Redis, what the transaction itself has written is not in the log yet
        client.ok("MULTI");
        for line in ["INCR a", "DEBUG LOADAOF", "GET a", "INCR b"] {
            client.run(line);
        }
        let replies = client.run("EXEC");
        assert_eq!(replies.items()[1..], [Value::ok(), Value::bulk("4"), Value::Int(3)]);
        assert_eq!(other.run("MGET a b"), Value::bulks(&["4", "3"]));
        other.ok("SET after 1");
        wait_until("the log to be whole", || {
            says(&mut other, "aof_rewrite_in_progress:0") && says(&mut other, "aof_rewrite_scheduled:0")
        });
        kill(server);
        let server = data.launch(setup, policy).start();
        let mut client = server.client();
        assert_eq!(client.run("MGET b c after"), Value::bulks(&["3", "3", "1"]), "{policy}");
        // the log has the INCR, unless it began anew since
        assert!(["4", "5"].contains(&client.run("GET a").text().as_str()));
    });
}

#[test]
fn a_log_whose_begin_is_overtaken_by_a_snapshot_begins_all_the_same() {
    each_setup(|setup| {
        let data = Data::new();
        let server = launch(&data, setup).start();
        let (mut client, mut other) = (server.client(), server.client());
        client.ok("DEBUG POPULATE 1000 before 100");
        for _ in 0..3 {
            // its snapshot goes past what waits for the transaction's locks
            client.send_raw(b"MULTI\r\nSET k 1\r\nDEBUG SLEEP 0.05\r\nDEBUG RELOAD\r\nEXEC\r\n");
            std::thread::sleep(Duration::from_millis(20));
            wait_until("the log to begin", || other.run("CONFIG SET appendonly yes") == Value::ok());
            (0..4).for_each(|_| assert!(!client.recv().is_error()));
            assert_eq!(client.recv().items().len(), 3);
            wait_until("the log to end", || other.run("CONFIG SET appendonly no") == Value::ok());
        }
        other.ok("SET unlogged 1");
        other.ok("CONFIG SET appendonly yes");
        wait_for_base(&mut other);
        other.ok("SET after 1");
        assert_eq!(other.run("WAITAOF 1 0 0").items()[0], Value::Int(1));
        kill(server);
        let server = data.launch(setup, "everysec").start();
        let mut client = server.client();
        assert_eq!(client.run("DBSIZE"), Value::Int(1003));
        assert_eq!(client.run("MGET unlogged after").items(), [Value::bulk("1"), Value::bulk("1")]);
    });
}

//! Figures of INFO and CLIENT LIST that something must move.

use crate::common::client::listed_number;
use crate::common::{Client, Launch, each_setup, wait_until};

/// A field of the caller's line of CLIENT LIST.
fn own(client: &mut Client, name: &str) -> u64 {
    listed_number(&client.run("CLIENT INFO").text(), name)
}

#[test]
fn who_waits_shows_by_key_and_by_timeout() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut admin, mut list, mut stream) = (server.client(), server.client(), server.client());
        admin.ok("XGROUP CREATE s g $ MKSTREAM");
        list.send(&["BLPOP", "l", "m", "1000"]);
        stream.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
        wait_until("both wait", || admin.info_number("clients", "blocked_clients") == 2);
        let mut figures = || {
            ["clients_in_timeout_table", "total_blocking_keys", "total_blocking_keys_on_nokey"]
                .map(|field| admin.info_number("clients", field))
        };
        assert_eq!(figures(), [1, 3, 1]);
        drop((list, stream));
        wait_until("nobody waits", || figures() == [0, 0, 0]);
    });
}

#[test]
fn fields_that_expire_are_counted() {
    each_setup(|setup| {
        // steps of some microseconds are to make a millisecond soon
        let server = Launch::new(setup).args("--hz 500").start();
        let mut client = server.client();
        client.run("HSET h a 1 b 2 c 3");
        client.run("HSET plain a 1");
        let keyspace = |client: &mut Client| client.run("INFO keyspace").text();
        assert!(keyspace(&mut client).contains(",subexpiry=0"), "{}", keyspace(&mut client));
        client.run("HEXPIRE h 10000 FIELDS 1 a");
        assert!(keyspace(&mut client).contains(",subexpiry=1"), "{}", keyspace(&mut client));
        client.run("HPEXPIRE h 1 FIELDS 2 a b");
        wait_until("they go", || client.info_number("stats", "expired_subkeys") == 2);
        assert_eq!(client.run("HLEN h").int(), 1);
        for end in ["DEL h", "SET h v", "RENAME h plain", "EXPIRE h -1"] {
            client.run("DEL h");
            client.run("HSET h a 1");
            client.run("HEXPIRE h 10000 FIELDS 1 a");
            client.run(end);
            client.run("DEL plain");
            client.run("SET left v");
            assert!(keyspace(&mut client).contains(",subexpiry=0"), "{end}: {}", keyspace(&mut client));
        }
        wait_until("the steps took time", || {
            client.run("SET k v PX 1");
            client.info_number("stats", "expire_cycle_cpu_milliseconds") > 0
        });
    });
}

#[test]
fn ticks_and_commands_take_time() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--enable-debug-command yes").start();
        let mut client = server.client();
        let figures = |client: &mut Client| {
            ["eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum"]
                .map(|field| client.info_number("stats", field))
        };
        let before = figures(&mut client);
        client.ok("DEBUG SLEEP 0.01");
        let after = figures(&mut client);
        assert!(after[0] > before[0] && after[1] >= before[1] + 10_000 && after[2] >= before[2] + 10_000, "{after:?}");
        wait_until("they show by the second", || {
            client.info_number("stats", "instantaneous_eventloop_cycles_per_sec") > 0
                && client.info_number("stats", "instantaneous_eventloop_duration_usec") > 0
        });
        client.ok("CONFIG RESETSTAT");
        assert!(figures(&mut client)[1] < after[1]);
    });
}

#[test]
fn a_key_watched_twice_counts_once_and_exec_forgets_it() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let idle = own(&mut client, "tot-mem");
        for _ in 0..3 {
            client.ok("WATCH k k other");
            client.ok("WATCH k");
            assert_eq!(own(&mut client, "watch"), 2);
            assert_eq!(client.info_number("clients", "total_watched_keys"), 2);
            client.ok("SELECT 1");
            client.ok("WATCH k");
            assert_eq!(own(&mut client, "watch"), 3);
            client.ok("SELECT 0");
            assert!(own(&mut client, "tot-mem") > idle);
            client.ok("MULTI");
            client.run("PING");
            client.run("EXEC");
            assert_eq!((own(&mut client, "watch"), own(&mut client, "tot-mem")), (0, idle));
        }
    });
}

//! What clients may take: the largest go once all together pass `maxmemory-clients`, whatever they hold, at once.

use crate::common::client::{encode, listed_number};
use crate::common::{Client, Launch, each_setup, wait_until};

/// Sends parts of what a client must not hold, each with so many replies, until it is closed; fails if it never is.
fn fill(client: &mut Client, what: &str, replies: usize, part: impl Fn(usize) -> Vec<u8>) {
    for number in 0..100 {
        let sent = std::io::Write::write_all(&mut client.stream, &part(number));
        if sent.is_err() || (0..replies).any(|_| !matches!(client.try_recv(), Ok(Some(_)))) {
            return;
        }
    }
    panic!("not closed: {what}");
}

#[test]
fn clients_that_take_too_much_are_closed_at_once() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--maxmemory-clients 400000").start();
        let mut admin = server.client();
        let value = "v".repeat(100_000);
        // what is allowed to one
        let mut client = server.client();
        client.ok("CLIENT SETNAME small");
        assert!(!client.call(&["SET", "k", &value]).is_error());
        assert_eq!(client.call(&["STRLEN", "k"]).int(), 100_000);
        // the argument of which only the announcement has come
        let mut argument = server.client();
        argument.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\nv");
        argument.expect_closed();
        let mut queueing = server.client();
        queueing.ok("MULTI");
        fill(&mut queueing, "MULTI", 1, |_| encode(&["SET", "k", &value]));
        // one that is on its way out takes nobody else along
        for _ in 0..50 {
            assert!(!client.run("CLIENT LIST").is_error());
        }
        let words = |name: &str, number: usize| {
            let names: Vec<String> = (0..200).map(|i| format!("{name}{number}-{i}")).collect();
            names.join(" ")
        };
        let mut watching = server.client();
        fill(&mut watching, "WATCH", 1, |number| format!("WATCH {}\r\n", words("k", number)).into_bytes());
        let mut subscribing = server.client();
        fill(&mut subscribing, "PSUBSCRIBE", 200, |number| {
            format!("PSUBSCRIBE {}\r\n", words("p", number)).into_bytes()
        });
        // and nobody else, while those went
        assert_eq!(admin.info_number("stats", "evicted_clients"), 4);
        assert_eq!(client.run("CLIENT GETNAME").text(), "small");
        let mut immune = server.client();
        immune.ok("CLIENT NO-EVICT on");
        immune.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\nv");
        immune.send_raw(&[vec![b'v'; 399_999], b"\r\n".to_vec()].concat());
        assert_eq!(immune.recv().text(), "OK");
    });
}

#[test]
fn unread_replies_show_in_client_list() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut admin, mut slow) = (server.client(), server.client());
        slow.run("SUBSCRIBE news");
        let message = "m".repeat(1_000_000);
        let field = |admin: &mut Client, name: &str| listed_number(&admin.run("CLIENT LIST TYPE pubsub").text(), name);
        for _ in 0..14 {
            admin.call(&["PUBLISH", "news", &message]);
        }
        let list = field(&mut admin, "omem");
        assert!(list > 1_000_000, "{list}");
        assert_eq!((field(&mut admin, "obl"), field(&mut admin, "oll")), (16384, 1));
        assert!(field(&mut admin, "tot-mem") > list);
    });
}

#[test]
fn the_count_of_objects_freed_later_begins_anew() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let members: Vec<String> = (0..20_000).map(|i| format!("member:{i}")).collect();
        let mut add = vec!["SADD".to_string(), "big".to_string()];
        add.extend(members);
        client.call(&add);
        assert_eq!(client.run("UNLINK big").int(), 1);
        crate::common::wait_until("the set is freed", || client.info_number("memory", "lazyfreed_objects") == 1);
        client.ok("CONFIG RESETSTAT");
        assert_eq!(client.info_number("memory", "lazyfreed_objects"), 0);
    });
}

#[test]
fn an_argument_that_arrives_counts_once() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut admin = server.client();
        for bytes in [100_000, 1_000_000] {
            let mut sender = server.client();
            sender.ok("CLIENT SETNAME sender");
            sender.send_raw(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${bytes}\r\n").as_bytes());
            sender.send_raw(&vec![b'v'; bytes]);
            let mut line = String::new();
            wait_until("all has come", || {
                let list = admin.run("CLIENT LIST").text();
                line = list.lines().find(|line| line.contains("name=sender")).unwrap_or_default().to_string();
                listed_number(&line, "qbuf") == bytes as u64
            });
            let most = if setup.is_pinion { bytes + 20_000 } else { 2 * bytes };
            assert!((bytes..most).contains(&(listed_number(&line, "tot-mem") as usize)), "{line}");
            sender.send_raw(b"\r\n");
            assert_eq!(sender.recv().text(), "OK");
        }
    });
}

#[test]
fn a_smaller_limit_closes_clients_at_once() {
    each_setup(|setup| {
        if setup.shards > 1 || !setup.is_pinion {
            return; // over several shards the largest of all go within a tenth of a second
        }
        let server = Launch::new(setup).start();
        let mut admin = server.client();
        let mut senders: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for sender in &mut senders {
            sender.ok("CLIENT SETNAME sender");
            sender.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n");
        }
        let count = |admin: &mut Client| admin.run("CLIENT LIST").text().matches("name=sender").count();
        wait_until("all have begun", || {
            let list = admin.run("CLIENT LIST").text();
            list.lines().filter(|line| line.contains("name=sender") && !line.contains("argv-mem=0 ")).count() == 6
        });
        admin.ok("CONFIG SET maxmemory-clients 3500000");
        assert_eq!(count(&mut admin), 3);
    });
}

#[test]
fn a_limit_for_clients_leaves_some_that_can_raise_it() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--maxmemory-clients 1").start();
        for _ in 0..3 {
            let mut client = server.client();
            assert_eq!(client.run("PING").text(), "PONG");
            client.ok("CONFIG SET maxmemory 10000 maxmemory-clients 1%");
        }
        assert_eq!(server.client().info_number("stats", "evicted_clients"), 0);
        let mut large = server.client();
        large.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\nv");
        large.expect_closed();
    });
}

//! CLIENT and its subcommands, as seen from several connections at once.

use crate::common::{Client, Launch, Server, Value, each_setup, wait_until};
use std::thread;
use std::time::Duration;

/// The fields of a line of CLIENT LIST.
fn fields(line: &str) -> Vec<(String, String)> {
    let pair = |field: &str| field.split_once('=').map(|(k, v)| (k.to_string(), v.to_string()));
    line.split_whitespace().map(|field| pair(field).unwrap_or_else(|| panic!("{field:?} in {line:?}"))).collect()
}

fn field(line: &str, name: &str) -> String {
    let found = fields(line).into_iter().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {line:?}")).1
}

fn lines(client: &mut Client) -> Vec<String> {
    client.run("CLIENT LIST").text().lines().map(str::to_string).collect()
}

fn three(server: &Server) -> [Client; 3] {
    let mut clients = [server.client(), server.client(), server.client()];
    for (number, client) in clients.iter_mut().enumerate() {
        client.ok(&format!("CLIENT SETNAME c{number}"));
    }
    clients
}

#[test]
fn list_and_info_tell_of_every_client() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let [mut a, mut b, _c] = three(&server);
        b.ok("SELECT 5");
        wait_until("three clients and no more", || lines(&mut a).len() == 3);
        let list = lines(&mut a);
        for name in ["id", "addr", "laddr", "fd", "name", "age", "idle", "flags", "db", "sub", "psub", "ssub", "multi"]
            .iter()
            .chain(&["qbuf", "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp", "obl", "oll", "omem", "tot-mem"])
            .chain(&["events", "cmd", "user", "redir", "resp"])
        {
            list.iter().for_each(|line| drop(field(line, name)));
        }
        let line_of = |name: &str| list.iter().find(|l| field(l, "name") == name).expect("its line").clone();
        assert_eq!(field(&line_of("c1"), "db"), "5");
        assert_eq!(field(&line_of("c1"), "cmd"), "select");
        assert_eq!(field(&line_of("c0"), "cmd"), "client|list");
        assert_eq!(field(&line_of("c2"), "cmd"), "client|setname");
        assert_eq!(field(&line_of("c2"), "user"), "default");
        assert_eq!(field(&line_of("c2"), "laddr"), format!("127.0.0.1:{}", server.port()));
        let info = b.run("CLIENT INFO").text();
        assert_eq!(field(&info, "name"), "c1");
        assert_eq!(field(&info, "id"), b.run("CLIENT ID").int().to_string());
        let ids: Vec<i64> = list.iter().map(|l| field(l, "id").parse().expect("a number")).collect();
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
        let two = a.run(&format!("CLIENT LIST ID {} {}", ids[0], ids[2])).text();
        assert_eq!(two.lines().count(), 2);
        assert_eq!(a.run("CLIENT LIST TYPE normal").text().lines().count(), 3);
        assert_eq!(a.run("CLIENT LIST TYPE pubsub").text(), "");
    });
}

#[test]
fn names_and_libraries_are_kept() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        assert_eq!(client.run("CLIENT GETNAME"), Value::NullBulk);
        client.ok("CLIENT SETNAME me");
        assert_eq!(client.run("CLIENT GETNAME"), Value::bulk("me"));
        assert!(client.call(&["CLIENT", "SETNAME", "with space"]).is_error());
        assert_eq!(client.run("CLIENT GETNAME"), Value::bulk("me"));
        assert_eq!(client.call(&["CLIENT", "SETNAME", ""]), Value::ok());
        assert_eq!(client.run("CLIENT GETNAME"), Value::NullBulk);
        if setup.is_pinion {
            client.ok("CLIENT SETINFO LIB-NAME lib");
            client.ok("CLIENT SETINFO lib-ver 1.2");
            let info = client.run("CLIENT INFO").text();
            assert_eq!([field(&info, "lib-name"), field(&info, "lib-ver")], ["lib", "1.2"]);
            assert!(client.call(&["CLIENT", "SETINFO", "lib-name", "a b"]).is_error());
            assert!(client.run("CLIENT SETINFO nothing x").is_error());
            client.ok("CLIENT NO-TOUCH on");
            client.ok("CLIENT NO-TOUCH off");
        }
        client.ok("CLIENT NO-EVICT on");
        assert!(field(&client.run("CLIENT INFO").text(), "flags").contains('e'));
        client.ok("CLIENT NO-EVICT off");
        assert!(client.run("CLIENT NO-EVICT maybe").is_error());
        assert_eq!(client.run("CLIENT GETREDIR"), Value::Int(-1));
        assert_eq!(client.run("CLIENT UNBLOCK 999999"), Value::Int(0));
    });
}

#[test]
fn kill_ends_whom_it_names() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut admin = server.client();
        let victim = |admin: &mut Client| {
            let mut client = server.client();
            let info = client.run("CLIENT INFO").text();
            wait_until("the victim in the list", || lines(admin).iter().any(|l| field(l, "id") == field(&info, "id")));
            (client, info)
        };
        let (mut client, info) = victim(&mut admin);
        assert_eq!(admin.run(&format!("CLIENT KILL ID {}", field(&info, "id"))), Value::Int(1));
        client.expect_closed();
        let (mut client, info) = victim(&mut admin);
        assert_eq!(admin.run(&format!("CLIENT KILL ADDR {}", field(&info, "addr"))), Value::Int(1));
        client.expect_closed();
        let (mut client, info) = victim(&mut admin);
        admin.ok(&format!("CLIENT KILL {}", field(&info, "addr")));
        client.expect_closed();
        let (mut client, _) = victim(&mut admin);
        let (mut other, _) = victim(&mut admin);
        assert_eq!(admin.run("CLIENT KILL TYPE normal"), Value::Int(2));
        client.expect_closed();
        other.expect_closed();
        let (mut client, _) = victim(&mut admin);
        assert_eq!(admin.run("CLIENT KILL USER default SKIPME yes"), Value::Int(1));
        client.expect_closed();
        assert_eq!(admin.run("CLIENT KILL ID 999999999"), Value::Int(0));
        assert_eq!(admin.run("CLIENT KILL 127.0.0.1:1"), Value::Error(b"ERR No such client".to_vec()));
        // Killing oneself: the reply comes, then the end.
        let id = admin.run("CLIENT ID").int();
        assert_eq!(admin.run(&format!("CLIENT KILL ID {id} SKIPME no")), Value::Int(1));
        admin.expect_closed();
        assert_eq!(lines(&mut server.client()).len(), 1);
    });
}

#[test]
fn reply_modes_silence_replies() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client
            .send_raw(b"CLIENT REPLY OFF\r\nSET a 1\r\nSET b 2\r\nNOSUCH\r\nGET a\r\nCLIENT REPLY ON\r\nMGET a b\r\n");
        assert_eq!(client.recv(), Value::ok());
        assert_eq!(client.recv(), Value::bulks(&["1", "2"]));
        client.send_raw(
            b"CLIENT REPLY SKIP\r\nINCR a\r\nINCR a\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nGET a\r\nGET b\r\n",
        );
        assert_eq!(client.recv(), Value::Int(3));
        assert_eq!(client.recv(), Value::bulk("2"));
        assert_eq!(client.run("CLIENT REPLY MAYBE"), Value::Error(b"ERR syntax error".to_vec()));
        client.expect_silence(Duration::from_millis(20));
    });
}

#[test]
fn pause_holds_commands_back() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let [mut admin, mut writer, mut reader] = three(&server);
        admin.ok("SET k old");
        admin.ok("CLIENT PAUSE 100000 WRITE");
        writer.send(&["SET", "k", "new"]);
        assert_eq!(reader.run("GET k"), Value::bulk("old"));
        writer.expect_silence(Duration::from_millis(50));
        assert_eq!(reader.run("GET k"), Value::bulk("old"));
        assert!(reader.run("INFO clients").text().contains("blocked_clients:1\r\n"), "the one that is held back");
        let list = reader.run("CLIENT LIST").text();
        let held = list.lines().find(|line| line.contains(" cmd=set ")).expect("what is held back is named");
        assert!(held.contains(" flags=b "), "{held}");
        // what may change what is kept waits too, and one that gives up counts no more
        for line in ["PFCOUNT k", "PUBLISH c m", "SPUBLISH c m"] {
            let mut other = server.client();
            other.send(&line.split(' ').collect::<Vec<_>>());
            wait_until("it is held back", || reader.run("INFO clients").text().contains("blocked_clients:2\r\n"));
            drop(other);
            let mut another = server.client();
            another.run("PING");
            wait_until("it has gone", || reader.run("INFO clients").text().contains("blocked_clients:1\r\n"));
        }
        admin.ok("CLIENT UNPAUSE");
        assert_eq!(writer.recv(), Value::ok());
        assert_eq!(reader.run("GET k"), Value::bulk("new"));
        // A pause of everything holds CLIENT UNPAUSE back too: it ends by itself.
        admin.ok("CLIENT PAUSE 400");
        reader.send(&["GET", "k"]);
        reader.expect_silence(Duration::from_millis(50));
        assert_eq!(reader.recv(), Value::bulk("new"));
        assert!(admin.run("CLIENT PAUSE abc").is_error());
        assert!(admin.run("CLIENT PAUSE 10 SOME").is_error());
        assert!(admin.run("CLIENT PAUSE -1").is_error());
    });
}

#[test]
fn a_pause_keeps_what_is_due() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let [mut admin, mut watcher, _] = three(&server);
        watcher.ok("SET k v PX 100");
        watcher.ok("SET stays v");
        watcher.ok("WATCH k");
        admin.ok("CLIENT PAUSE 100000 WRITE");
        wait_until("the key is due", || admin.run("PTTL k") == Value::Int(-2));
        assert_eq!(admin.run("GET k"), Value::NullBulk);
        assert_eq!(admin.run("EXISTS k"), Value::Int(0));
        assert_eq!(admin.run("RANDOMKEY"), Value::bulk("stays"));
        assert_eq!(admin.run("DBSIZE"), Value::Int(2), "it is still there");
        assert!(admin.run("INFO stats").text().contains("\r\nexpired_keys:0\r\n"));
        watcher.ok("MULTI");
        watcher.run("GET stays");
        assert_eq!(watcher.run("EXEC"), Value::NullArray, "the watched key is no more");
        admin.ok("CLIENT UNPAUSE");
        wait_until("it goes", || admin.run("DBSIZE") == Value::Int(1));
        assert!(admin.run("INFO stats").text().contains("\r\nexpired_keys:1\r\n"));
    });
}

#[test]
fn listing_while_clients_come_and_go_is_safe() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..60 {
                        let mut client = server.client();
                        client.ok("CLIENT SETNAME busy");
                        lines(&mut client).iter().for_each(|line| drop(field(line, "id")));
                        client.run("CLIENT KILL TYPE normal SKIPME yes ID 1");
                    }
                });
            }
        });
        server.assert_alive();
    });
}

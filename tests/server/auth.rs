//! Passwords, HELLO, RESET, SELECT and QUIT: the same dialogue is held with redis-server, reply by reply.

use crate::common::{Client, Launch, Server, Setup, Value, each_setup};
use std::time::Duration;

/// Fields that name the server that answers, in HELLO.
const OWN_FIELDS: [&str; 4] = ["server", "version", "id", "modules"];

fn without_own_fields(value: Value) -> Value {
    let is_own = |name: &Value| matches!(name, Value::Bulk(b) if OWN_FIELDS.iter().any(|f| f.as_bytes() == b));
    match value {
        Value::Map(pairs) => Value::Map(pairs.into_iter().filter(|(name, _)| !is_own(name)).collect()),
        Value::Array(items) if items.len() == 14 => {
            Value::Array(items.chunks(2).filter(|pair| !is_own(&pair[0])).flatten().cloned().collect())
        }
        other => other,
    }
}

/// Holds the dialogue with both servers; both must answer the same to every line.
fn same_dialogue(setup: &Setup, args: &str, lines: &[&str]) {
    let start = |setup: &Setup| Launch::new(setup).args(args).start();
    let (oracle, server): (Server, Server) = (start(&Setup::oracle()), start(setup));
    let (mut theirs, mut ours): (Client, Client) = (oracle.client(), server.client());
    for line in lines {
        let want = without_own_fields(theirs.run(line));
        let got = without_own_fields(ours.run(line));
        assert_eq!(got, want, "left: ours, right: redis; {line}");
    }
}

#[test]
fn a_password_is_asked_for() {
    let lines = [
        "PING",
        "GET k",
        "SELECT 1",
        "CLIENT ID",
        "AUTH",
        "AUTH wrong",
        "AUTH nobody secret",
        "AUTH default wrong",
        "AUTH a b c",
        "PING",
        "AUTH secret",
        "PING",
        "SET k v",
        "AUTH wrong",
        "GET k",
        "RESET",
        "GET k",
        "AUTH default secret",
        "GET k",
        "HELLO 3 AUTH default wrong",
        "HELLO 3 AUTH default secret SETNAME me",
        "CLIENT GETNAME",
        "RESET",
        "CLIENT GETNAME",
        "HELLO 2 AUTH default secret",
        "CLIENT GETNAME",
        "CONFIG GET requirepass",
        "CONFIG SET requirepass other",
        "PING",
        "RESET",
        "AUTH secret",
        "AUTH other",
        "CONFIG SET requirepass",
        "PING",
    ];
    each_setup(|setup| same_dialogue(setup, "--requirepass secret", &lines));
}

#[test]
fn no_password_is_asked_for() {
    let lines = [
        "AUTH any",
        "AUTH default any",
        "AUTH nobody any",
        "HELLO",
        "HELLO 2",
        "HELLO 3",
        "HELLO",
        "GET nothing",
        "HELLO 4",
        "HELLO 1",
        "HELLO x",
        "HELLO 3 NOSUCH",
        "HELLO 3 SETNAME",
        "HELLO 3 AUTH default",
        "HELLO 2 SETNAME name",
        "CLIENT GETNAME",
        "SELECT 3",
        "SET k 3",
        "SELECT 16",
        "SELECT -1",
        "SELECT abc",
        "SELECT 2147483647",
        "SELECT 2147483648",
        "GET k",
        "RESET",
        "GET k",
        "SELECT 3",
        "GET k",
        "ECHO hello",
        "PING hello",
        "PING a b",
        "QUIT",
    ];
    each_setup(|setup| same_dialogue(setup, "", &lines));
}

#[test]
fn setting_a_password_later_spares_those_who_are_in() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut inside = server.client();
        inside.ok("CONFIG SET requirepass secret");
        inside.ok("SET k v");
        let mut outside = server.client();
        assert_eq!(outside.run("GET k"), Value::Error(b"NOAUTH Authentication required.".to_vec()));
        outside.ok("AUTH secret");
        assert_eq!(outside.run("GET k"), Value::bulk("v"));
        assert_eq!(inside.call(&["CONFIG", "SET", "requirepass", ""]), Value::ok());
        assert_eq!(server.client().run("GET k"), Value::bulk("v"));
    });
}

#[test]
fn quit_answers_and_closes() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        client.send_raw(b"PING\r\nSET k v\r\nGET k\r\nQUIT\r\nSET k never\r\n");
        let want = [Value::Simple(b"PONG".to_vec()), Value::ok(), Value::bulk("v"), Value::ok()];
        assert_eq!(client.recv_until_closed(), want);
        assert_eq!(server.client().run("GET k"), Value::bulk("v"));
    });
}

#[test]
fn protocols_are_each_connections_own() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let (mut two, mut three) = (server.client(), server.client3());
        for _ in 0..3 {
            assert_eq!(two.run("GET nothing"), Value::NullBulk);
            assert_eq!(three.run("GET nothing"), Value::Null);
        }
        // A pipeline that changes its protocol in the middle: each reply is in the dialect of its place.
        let bytes = b"GET nothing\r\nHELLO 3\r\nGET nothing\r\nHELLO 2\r\nGET nothing\r\n";
        let replies = two.pipeline(bytes, 5);
        assert_eq!([&replies[0], &replies[2], &replies[4]], [&Value::NullBulk, &Value::Null, &Value::NullBulk]);
        assert!(matches!(replies[1], Value::Map(_)), "{:?}", replies[1]);
        two.expect_silence(Duration::from_millis(20));
    });
}

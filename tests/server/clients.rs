//! The commands that concern connections: CLIENT and its filters, muted replies, secrets in logs. Never looks at keys.

use crate::common::{Launch, Value, each_setup, wait_until};

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

#[test]
fn a_muted_pipeline_answers_what_redis_answers() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let pong = || Value::Simple(b"PONG".to_vec());
        let cases: [(&str, Vec<Value>); 5] = [
            ("CLIENT REPLY OFF\r\nPING\r\nNOSUCH\r\nGET\r\nCLIENT REPLY ON\r\nPING\r\n", vec![Value::ok(), pong()]),
            ("CLIENT REPLY SKIP\r\nPING\r\nPING\r\n", vec![pong()]),
            ("CLIENT REPLY SKIP\r\nSET a b\r\nGET a\r\n", vec![Value::bulk("b")]),
            ("CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\n", vec![Value::ok(), pong()]),
            ("CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\n", vec![Value::ok()]),
        ];
        for (bytes, want) in cases {
            assert_eq!(client.pipeline(bytes.as_bytes(), want.len()), want, "{bytes}");
        }
        assert_eq!(client.run("ECHO end"), Value::bulk("end"));
    });
}

#[test]
fn secrets_show_neither_in_the_slow_log_nor_in_monitor() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--slowlog-log-slower-than 0").start();
        let (mut client, mut monitor) = (server.client(), server.client());
        monitor.ok("MONITOR");
        for line in [
            "AUTH hunter2",
            "AUTH default hunter2",
            "HELLO 2 AUTH default hunter2 SETNAME x",
            "CONFIG SET requirepass hunter2 hz 10",
            "CONFIG SET hz 10 masterauth hunter2",
            "ECHO end",
        ] {
            client.run(line);
        }
        let log = format!("{:?}", client.run("SLOWLOG GET -1"));
        assert!(log.contains("(redacted)") && !log.contains("hunter2"), "{log}");
        let mut seen = String::new();
        while !seen.contains("\"end\"") {
            seen += &monitor.recv().text();
        }
        assert!(seen.contains("\"AUTH\" \"(redacted)\" \"(redacted)\"") && !seen.contains("hunter2"), "{seen}");
    });
}

#[test]
fn a_password_set_later_concerns_new_connections_only() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut old = server.client();
        old.ok("CONFIG SET requirepass secret");
        assert_eq!(old.run("ECHO in"), Value::bulk("in"));
        let mut new = server.client();
        assert_eq!(new.run("GET a"), error("NOAUTH Authentication required."));
        assert!(new.run("HELLO 3").is_error());
        assert_eq!(new.run("HELLO 4 AUTH default secret"), error("NOPROTO unsupported protocol version"));
        assert_eq!(new.run("AUTH wrong"), error("WRONGPASS invalid username-password pair or user is disabled."));
        new.ok("AUTH secret");
        assert_eq!(new.run("ECHO in"), Value::bulk("in"));
        assert_eq!(new.run("RESET"), Value::Simple(b"RESET".to_vec()));
        assert_eq!(new.run("ECHO out"), error("NOAUTH Authentication required."));
        new.ok("AUTH default secret");
    });
}

#[test]
fn filters_refuse_what_they_do_not_know() {
    each_setup(|setup| {
        if !setup.is_pinion {
            return;
        }
        let server = Launch::new(setup).start();
        let mut client = server.client();
        for (line, text) in [
            ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
            ("CLIENT KILL TYPE what", "ERR Unknown client type 'what'"),
            ("CLIENT KILL MAXAGE 0", "ERR maxage should be greater than 0"),
            ("CLIENT LIST IDLE 0", "ERR idle should be greater than 0"),
            ("CLIENT LIST DB 16", "ERR DB number should be between 0 and 15"),
            ("CLIENT LIST DB x", "ERR DB is not an integer or out of range"),
            ("CLIENT LIST FLAGS NZ", "ERR Unknown flags found in the provided filter: NZ"),
            ("CLIENT LIST CAPA x", "ERR Unknown capa found in the provided filter: x"),
            ("CLIENT PAUSE 9223372036854775807", "ERR timeout is out of range"),
            ("CLIENT IMPORT-SOURCE on", "ERR Server is not in import mode"),
        ] {
            assert_eq!(client.run(line), error(text), "{line}");
        }
        assert_eq!(client.run("CLIENT LIST ID -5"), Value::bulk(""));
        client.ok("CLIENT CAPA redirect");
        // the connection that waited for the server's start may take a moment to go
        wait_until("no other client", || client.run("CLIENT LIST").text().lines().count() == 1);
        assert_eq!(client.run("CLIENT LIST CAPA r").text().lines().count(), 1);
        assert_eq!(client.run("CLIENT LIST NOT-CAPA r"), Value::bulk(""));
        assert_eq!(client.run("CLIENT KILL TYPE primary"), Value::Int(0));
        let version = client.run("INFO server").text();
        let hello = format!("{:?}", client.run("HELLO 3"));
        assert!(version.contains("redis_version:7.4.0\r\n") && hello.contains("7.4.0"), "{version} {hello}");
    });
}

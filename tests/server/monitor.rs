//! MONITOR: what others see of each command, from whichever core, and what they must not see.

use crate::common::{Client, Launch, Value, each_setup};
use std::time::Duration;

/// The next line without its time, which is checked for its form.
fn next(client: &mut Client) -> String {
    let line = match client.recv() {
        Value::Simple(line) => String::from_utf8(line).expect("escaped"),
        other => panic!("not a line: {other:?}"),
    };
    let (time, rest) = line.split_once(' ').expect("a time");
    let (seconds, micros) = time.split_once('.').expect("a point");
    assert!(seconds.parse::<u64>().is_ok() && micros.len() == 6 && micros.parse::<u32>().is_ok(), "{line}");
    rest.to_string()
}

fn address(client: &mut Client) -> String {
    let info = client.run("CLIENT INFO").text();
    info.split("addr=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address").to_string()
}

#[test]
fn monitors_see_commands_as_they_were_sent() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let address = address(&mut client);
        let mut monitors = [server.client(), server.client()];
        monitors.iter_mut().for_each(|monitor| monitor.ok("MONITOR"));
        for key in ["a", "b", "c", "d", "e", "f"] {
            client.ok(&format!("SET {key} 1"));
        }
        client.ok("SELECT 3");
        client.call(&[b"set".as_slice(), b"k", b"\x00\r\n\"\\\xff"]);
        client.run("NOSUCH arg");
        client.run("GET");
        for monitor in &mut monitors {
            for key in ["a", "b", "c", "d", "e", "f"] {
                assert_eq!(next(monitor), format!("[0 {address}] \"SET\" \"{key}\" \"1\""));
            }
            assert_eq!(next(monitor), format!("[3 {address}] \"SELECT\" \"3\""));
            assert_eq!(next(monitor), format!("[3 {address}] \"set\" \"k\" \"\\x00\\r\\n\\\"\\\\\\xff\""));
            // What is refused before it runs is not shown.
            monitor.expect_silence(Duration::from_millis(30));
        }
    });
}

#[test]
fn passwords_are_not_shown() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--requirepass secret").start();
        let mut monitor = server.client();
        monitor.ok("AUTH secret");
        monitor.ok("MONITOR");
        let mut client = server.client();
        client.ok("AUTH secret");
        client.run("HELLO 3 AUTH default secret");
        client.run("CONFIG SET requirepass secret");
        client.ok("SET last 1");
        loop {
            let line = next(&mut monitor);
            assert!(!line.contains("secret"), "{line}");
            if line.contains("last") {
                break;
            }
        }
    });
}

#[test]
fn reset_ends_monitoring() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut monitor = server.client();
        let mut client = server.client();
        monitor.ok("MONITOR");
        client.ok("SET k 1");
        assert!(next(&mut monitor).ends_with("\"SET\" \"k\" \"1\""));
        assert_eq!(monitor.run("RESET"), Value::Simple(b"RESET".to_vec()));
        client.ok("SET k 2");
        assert_eq!(monitor.run("GET k"), Value::bulk("2"));
        monitor.expect_silence(Duration::from_millis(20));
    });
}

//! DEBUG RELOAD: the same data, and nothing in between.

use crate::common::{Random, Value, each_setup};
use crate::saving::{fill, persistence, redis_on, save_points, start};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn debug_reload_gives_the_same_data() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        fill(&mut client, &mut Random(7));
        client.ok("SELECT 0");
        let before = client.run("DEBUG DIGEST");
        let mut other = server.client();
        let mut writer = server.client();
        writer.ok("SET outside 1");
        client.run("DEL outside");
        for options in ["", "NOSAVE", "nosave merge noflush", "MERGE"] {
            client.ok(&format!("DEBUG RELOAD {options}"));
            assert_eq!(client.run("DEBUG DIGEST"), before, "{options}");
            assert_eq!(other.run("PING").text(), "PONG");
        }
        assert_eq!(persistence(&mut client, "rdb_changes_since_last_save"), "0");
        client.ok("SET more 1");
        client.ok("DEBUG RELOAD NOSAVE");
        assert_eq!(client.run("DEBUG DIGEST"), before, "what is on disk counts");
        fs::write(server.dir.join("dump.rdb"), "REDIS0010 no snapshot").expect("written");
        let why = "ERR Error trying to load the RDB dump, check server logs.";
        assert_eq!(client.run("DEBUG RELOAD NOSAVE"), Value::Error(why.into()));
        assert_eq!(client.run("DBSIZE"), Value::Int(0));
        client.ok("MSET a 1 b 2 c 3");
        client.ok("DEBUG RELOAD");
        assert_eq!(client.run("DBSIZE"), Value::Int(3));
    });
}

#[test]
fn no_key_is_made_between_what_is_saved_and_what_is_loaded() {
    each_setup(|setup| {
        let server = start(setup);
        let mut client = server.client();
        client.ok("DEBUG POPULATE 100000 key 100");
        let ends = AtomicBool::new(false);
        let made = thread::scope(|scope| {
            let maker = scope.spawn(|| {
                let (mut client, mut made) = (server.client(), Vec::new());
                for n in 0.. {
                    let reply = client.run(&format!("DEBUG POPULATE 1 late{n}"));
                    assert!(reply == Value::ok() || reply.text().starts_with("LOADING "), "{reply:?}");
                    if reply == Value::ok() {
                        made.push(format!("late{n}:0"));
                    }
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                }
                made
            });
            for _ in 0..3 {
                client.ok("DEBUG RELOAD");
            }
            ends.store(true, Ordering::Relaxed);
            maker.join().expect("it ends")
        });
        for key in &made {
            assert_eq!(client.run(&format!("EXISTS {key}")), Value::Int(1), "{key} of {}", made.len());
        }
    });
}

#[test]
fn a_server_that_reloads_ends_when_it_is_to() {
    each_setup(|setup| {
        for (line, keys) in [("SHUTDOWN SAVE", 100_000), ("SHUTDOWN SAVE", 0), ("SIGTERM", 100_000)] {
            let mut server = start(setup);
            let (mut client, mut other) = (server.client(), server.client());
            client.ok(&format!("DEBUG POPULATE {keys} key 100"));
            save_points(&mut client, "3600 1");
            // what is being saved for it is given up; what has been saved is loaded first
            client.send_raw(b"DEBUG RELOAD\r\n");
            match line {
                "SIGTERM" => server.signal(libc::SIGTERM),
                line => other.send_raw(format!("{line}\r\n").as_bytes()),
            }
            assert_eq!(server.wait_exit().code(), Some(0), "{line}, {keys} keys");
            let loaded = redis_on(&server.dir);
            assert_eq!(loaded.client().run("DBSIZE"), Value::Int(keys), "{line}");
        }
    });
}

//! Connections that misbehave, or are many: slow readers, half-closed sockets, bursts, clients killed in the middle
//! of a command. Whatever they do, the others are served and nothing stays behind.

use crate::common::client::{Address, Stream, encode};
use crate::common::server::free_port;
use crate::common::{Client, Launch, Random, Server, Setup, Value, each_setup, sys, wait_until};
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A field of INFO, as text.
fn info(client: &mut Client, section: &str, field: &str) -> String {
    let text = client.run(&format!("INFO {section}")).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in INFO {section}:\n{text}")).to_string()
}

fn wait_for_clients(client: &mut Client, count: usize) {
    wait_until(&format!("connected_clients:{count}"), || {
        info(client, "clients", "connected_clients") == count.to_string()
    });
}

/// Waits until the server holds no more descriptors than before.
fn wait_for_files(server: &Server, before: usize) {
    wait_until(&format!("{before} open files, now {}", sys::open_files(server.pid())), || {
        sys::open_files(server.pid()) <= before
    });
}

#[test]
fn a_slow_reader_is_not_buffered_without_bound() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        let mut other = server.client();
        for i in 0..10 {
            assert_eq!(other.call(&["SET", &format!("k{i}"), &"x".repeat(10_000)]), Value::ok());
        }
        let mut slow = server.client();
        sys::set_receive_buffer(&slow.stream, 64 * 1024);
        let before = sys::resident_bytes(server.pid());
        // 200 MB of replies are asked for, and not read.
        let count = 20_000;
        let mut writer = slow.stream.try_clone().expect("a second handle");
        let sender = thread::spawn(move || {
            let bytes: Vec<u8> = (0..count).flat_map(|i| encode(&["GET", &format!("k{}", i % 10)])).collect();
            writer.write_all(&bytes)
        });
        let mut most = 0;
        let end = Instant::now() + Duration::from_millis(800);
        while Instant::now() < end {
            most = most.max(sys::resident_bytes(server.pid()).saturating_sub(before));
            assert_eq!(other.run("PING"), Value::Simple(b"PONG".to_vec()));
        }
        if setup.is_pinion {
            // 16 MB of replies, and the buffers they are written to
            assert!(most < 128 << 20, "{most} bytes for a client that does not read");
        }
        // Reading again brings everything.
        for _ in 0..count {
            assert_eq!(slow.recv().bytes().len(), 10_000);
        }
        sender.join().expect("the sender").expect("sent");
        server.assert_alive();
    });
}

#[test]
fn an_output_buffer_past_its_limit_ends_the_connection() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).args("--client-output-buffer-limit normal 1mb 0 0").start();
        let mut other = server.client();
        let value = vec![b'x'; 10_000_000];
        assert_eq!(other.call(&["SET".as_bytes(), b"k", &value]), Value::ok());
        let mut slow = server.client();
        sys::set_receive_buffer(&slow.stream, 64 * 1024);
        for _ in 0..20 {
            if slow.stream.write_all(&encode(&["GET", "k"])).is_err() {
                break;
            }
        }
        wait_for_clients(&mut other, 1);
        let mut got = 0;
        let mut buffer = vec![0; 1 << 20];
        while let Ok(count @ 1..) = slow.stream.read(&mut buffer) {
            got += count;
        }
        assert!(got < 200_000_000, "{got} bytes came");
        server.assert_alive();
    });
}

#[test]
fn a_half_closed_socket_gets_all_its_replies() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        let mut client = server.client();
        let bytes: Vec<u8> = (0..500).flat_map(|i| encode(&["INCRBY", &format!("k{}", i % 37), "1"])).collect();
        client.send_raw(&bytes);
        client.stream.shutdown(Shutdown::Write).expect("half a close");
        let replies = client.recv_until_closed();
        let want: Vec<Value> = (0..500).map(|i| Value::Int(i / 37 + 1)).collect();
        assert_eq!(replies, want);
    });
}

#[test]
fn a_burst_of_ten_thousand_connections_is_served() {
    let limit = sys::raise_open_files();
    let count = 10_000.min(limit as usize / 2 - 1000);
    each_setup(|setup| {
        let server = Launch::new(setup).args("--maxclients 12000").start();
        let mut admin = server.client();
        wait_for_clients(&mut admin, 1);
        let before = sys::open_files(server.pid());
        let mut clients: Vec<Stream> = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(Stream::connect(&server.address).expect("connect"));
        }
        for stream in &mut clients {
            stream.write_all(b"PING\r\n").expect("send");
        }
        for stream in &mut clients {
            stream.set_read_timeout(Some(crate::common::PATIENCE)).expect("a timeout");
            let mut reply = [0; 7];
            stream.read_exact(&mut reply).expect("a reply");
            assert_eq!(&reply, b"+PONG\r\n");
        }
        wait_for_clients(&mut admin, count + 1);
        drop(clients);
        wait_for_clients(&mut admin, 1);
        wait_for_files(&server, before);
    });
}

#[test]
fn an_idle_connection_takes_two_kilobytes() {
    let limit = sys::raise_open_files();
    let count = 10_000.min(limit as usize / 2 - 1000);
    for setup in Setup::all().iter().filter(|s| s.is_pinion && s.shards == 2) {
        let server = Launch::new(setup).args("--maxclients 12000").start();
        let mut admin = server.client();
        // What a first client makes the server allocate is not a matter of each connection.
        let warm: Vec<Client> = (0..100).map(|_| server.client()).collect();
        drop(warm);
        wait_for_clients(&mut admin, 1);
        let before = sys::resident_bytes(server.pid());
        let mut clients: Vec<Stream> = (0..count).map(|_| Stream::connect(&server.address).expect("connect")).collect();
        for stream in &mut clients {
            stream.write_all(b"PING\r\n").expect("send");
            let mut reply = [0; 7];
            stream.read_exact(&mut reply).expect("a reply");
        }
        wait_for_clients(&mut admin, count + 1);
        let each = sys::resident_bytes(server.pid()).saturating_sub(before) / count as u64;
        println!("{}: {each} bytes for an idle connection", setup.name());
        assert!(each <= 2048, "{each} bytes each, with {}", setup.name());
    }
}

/// Started as a process of its own by the test below: sends half a command, says so, and waits to be killed.
#[test]
fn helper_that_is_killed() {
    let Ok(port) = std::env::var("PINION_TEST_HELPER_PORT") else { return };
    let mut client = Client::connect(&Address::Tcp("127.0.0.1".into(), port.parse().expect("a port")));
    client.send(&["SET", "before", "1"]);
    client.send(&["GET", "big"]);
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000000\r\nonly a few bytes");
    println!("ready");
    thread::sleep(crate::common::PATIENCE);
}

#[test]
fn clients_killed_in_a_command_leave_nothing() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        let mut admin = server.client();
        assert_eq!(admin.call(&["SET".as_bytes(), b"big", &vec![b'x'; 20_000_000]]), Value::ok());
        wait_for_clients(&mut admin, 1);
        let before = sys::open_files(server.pid());
        for _ in 0..5 {
            let mut helper = Command::new(std::env::current_exe().expect("this program"));
            helper.args(["sockets::helper_that_is_killed", "--exact", "--nocapture"]);
            helper.env("PINION_TEST_HELPER_PORT", server.port().to_string());
            sys::die_with_parent(&mut helper);
            let mut child = helper.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the helper");
            let mut said = String::new();
            let mut output = child.stdout.take().expect("its output");
            while !said.contains("ready") {
                let mut byte = [0];
                output.read_exact(&mut byte).expect("the helper's word");
                said.push(byte[0] as char);
            }
            wait_for_clients(&mut admin, 2);
            child.kill().expect("kill -9");
            child.wait().expect("its end");
            wait_for_clients(&mut admin, 1);
        }
        assert_eq!(admin.run("MGET before half"), Value::Array(vec![Value::bulk("1"), Value::NullBulk]));
        wait_for_files(&server, before);
        server.assert_alive();
    });
}

/// Connections that end in every way, again and again: descriptors and memory are back where they were.
#[test]
fn nothing_leaks() {
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        let mut admin = server.client();
        assert_eq!(admin.call(&["SET".as_bytes(), b"big", &vec![b'x'; 1_000_000]]), Value::ok());
        let mut random = Random(11);
        let mut abuse = |rounds: usize| {
            for _ in 0..rounds {
                let mut client = server.client();
                match random.below(8) {
                    0 => {}
                    1 => drop(client.run("PING")),
                    2 => client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$10000000\r\n0123456789"),
                    3 => {
                        let _ = client.stream.write_all(&vec![b'x'; 50_000]);
                    }
                    4 => (0..20).for_each(|_| client.send(&["GET", "big"])),
                    5 => {
                        client.send(&["MGET", "big", "a", "b", "c", "big"]);
                        let _ = client.stream.shutdown(Shutdown::Write);
                    }
                    6 => {
                        client.send(&["GET", "big"]);
                        sys::reset_on_close(&client.stream);
                    }
                    _ => {
                        client.send_raw(b"*1\r\n$x\r\n");
                        client.recv_until_closed();
                    }
                }
            }
        };
        abuse(200);
        wait_for_clients(&mut admin, 1);
        let (files, memory) = (sys::open_files(server.pid()), sys::resident_bytes(server.pid()));
        abuse(1000);
        wait_for_clients(&mut admin, 1);
        wait_for_files(&server, files);
        let grown = sys::resident_bytes(server.pid()).saturating_sub(memory);
        assert!(grown < 32 << 20, "{grown} bytes more than before");
        server.assert_alive();
    });
}

#[test]
fn too_many_clients_are_told_so() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--maxclients 5").start();
        let mut admin = server.client();
        wait_for_clients(&mut admin, 1);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.run("PING"), Value::Simple(b"PONG".to_vec()));
        }
        let mut refused = server.client();
        assert_eq!(refused.recv_until_closed(), [Value::Error(b"ERR max number of clients reached".to_vec())]);
        clients.pop();
        wait_for_clients(&mut admin, 4);
        assert_eq!(server.client().run("PING"), Value::Simple(b"PONG".to_vec()));
        let rejected: u64 = info(&mut admin, "stats", "rejected_connections").parse().expect("a number");
        assert!(rejected >= 1);
    });
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    each_setup(|setup| {
        let server = Launch::new(setup).args("--timeout 1").start();
        let mut idle = server.client();
        let mut busy = server.client();
        let busy = thread::spawn(move || {
            let end = Instant::now() + Duration::from_secs(3);
            while Instant::now() < end {
                assert_eq!(busy.run("PING"), Value::Simple(b"PONG".to_vec()));
                thread::sleep(Duration::from_millis(100));
            }
        });
        idle.expect_closed();
        busy.join().expect("a client that talks is not closed");
    });
}

/// This machine's own address on a network, if it has one: nothing is sent.
fn outward_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

#[test]
fn protected_mode_refuses_strangers() {
    let Some(host) = outward_address() else {
        println!("no address but the loopback one: nothing to test");
        return;
    };
    let answers = |setup: &Setup, args: &str| {
        let server = Launch::new(setup).bind("0.0.0.0").args(args).start();
        let mut stranger = Client::connect(&Address::Tcp(host.clone(), server.port()));
        let _ = stranger.stream.write_all(&encode(&["PING"]));
        let _ = stranger.stream.shutdown(Shutdown::Write);
        stranger.recv_until_closed()
    };
    let theirs = answers(&Setup::oracle(), "");
    assert!(theirs[0].text().starts_with("DENIED"), "{theirs:?}");
    each_setup(|setup| {
        let ours = answers(setup, "");
        assert!(ours.len() == 1 && ours[0].text().starts_with("DENIED "), "{ours:?}");
        assert_eq!(answers(setup, "--protected-mode no"), [Value::Simple(b"PONG".to_vec())]);
        let noauth = Value::Error(b"NOAUTH Authentication required.".to_vec());
        assert_eq!(answers(setup, "--requirepass secret"), [noauth]);
    });
}

#[test]
fn unix_sockets_serve() {
    each_setup(|setup| {
        let server = Launch::new(setup).unix().args("--unixsocketperm 700").start();
        let unix = server.unix.clone().expect("asked for");
        let mut client = Client::connect(&unix);
        client.ok("SET k v");
        assert_eq!(server.client().run("GET k"), Value::bulk("v"));
        let bytes: Vec<u8> = (0..1000).flat_map(|i| encode(&["SET", &format!("k{i}"), "v"])).collect();
        assert!(client.pipeline(&bytes, 1000).iter().all(|reply| *reply == Value::ok()));
        let Address::Unix(path) = &unix else { panic!("{unix:?}") };
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).expect("the socket").permissions());
        assert_eq!(mode & 0o777, 0o700);
        let line = client.run("CLIENT INFO").text();
        assert!(line.contains(&format!("addr={path}:0")), "{line}");
    });
}

#[test]
fn ipv6_serves() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("no IPv6 here: nothing to test");
        return;
    }
    each_setup(|setup| {
        let server = Launch::new(setup).host("::1").start();
        let mut client = server.client();
        client.ok("SET k v");
        let line = client.run("CLIENT INFO").text();
        assert!(line.contains("addr=[::1]:"), "{line}");
        let both = Launch::new(setup).bind("127.0.0.1 ::1").start();
        let six = Client::connect(&Address::Tcp("::1".into(), both.port())).run("PING");
        assert_eq!(six, Value::Simple(b"PONG".to_vec()));
        let none = Launch::new(setup).bind("127.0.0.1 -192.0.2.77").start();
        assert_eq!(none.client().run("PING"), Value::Simple(b"PONG".to_vec()));
    });
}

/// CONFIG SET of `port` and `bind`: clients stay, and nobody listens where it was.
#[test]
fn ports_and_addresses_change_while_it_runs() {
    let connects = |host: &str, port: u16| std::net::TcpStream::connect((host, port)).is_ok();
    let asks = |host: &str, port: u16| {
        let mut client = Client::connect(&Address::Tcp(host.to_string(), port));
        assert_eq!(client.run("PING"), Value::Simple(b"PONG".to_vec()), "{host}:{port}");
    };
    each_setup(|setup| {
        let mut server = Launch::new(setup).start();
        let (old, new) = (server.port(), free_port("127.0.0.1"));
        let mut client = server.client();
        client.ok(&format!("CONFIG SET port {new}"));
        asks("127.0.0.1", new);
        assert!(!connects("127.0.0.1", old), "the old port is closed");
        assert_eq!(client.run("CONFIG GET port"), Value::bulks(&["port", &new.to_string()]));
        // A port that another has: everything stays.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let refused = client.run(&format!("CONFIG SET maxclients 77 port {port}"));
        let text = "ERR CONFIG SET failed (possibly related to argument 'port') - \
            Unable to listen on this port. Check server logs.";
        assert_eq!(refused, Value::Error(text.as_bytes().to_vec()));
        assert_eq!(client.run("CONFIG GET port"), Value::bulks(&["port", &new.to_string()]));
        assert_ne!(client.run("CONFIG GET maxclients"), Value::bulks(&["maxclients", "77"]));
        asks("127.0.0.1", new);
        // More addresses, one around the old one, fewer, one that is nobody's.
        assert_eq!(client.call(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]), Value::ok());
        asks("127.0.0.2", new);
        client.ok("CONFIG SET bind 0.0.0.0");
        asks("127.0.0.1", new);
        asks("127.0.0.3", new);
        assert_eq!(client.call(&["CONFIG", "SET", "bind", "127.0.0.2 -::9"]), Value::ok());
        asks("127.0.0.2", new);
        assert!(!connects("127.0.0.1", new));
        let text = "ERR CONFIG SET failed (possibly related to argument 'bind') - \
            Failed to bind to specified addresses.";
        assert_eq!(client.run("CONFIG SET bind 192.0.2.1"), Value::Error(text.as_bytes().to_vec()));
        asks("127.0.0.2", new);
        client.ok("CONFIG SET port 0");
        assert!(!connects("127.0.0.2", new));
        client.ok(&format!("CONFIG SET port {old} bind 127.0.0.1"));
        asks("127.0.0.1", old);
        server.assert_alive();
    });
}

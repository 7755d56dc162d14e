//! Both drivers, the same behaviour, over real sockets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::*;
use crate::runtime::sockets;

/// Runs a test on each driver that works here.
pub(super) fn on_both(test: impl Fn(&mut Driver)) {
    for kind in [DriverKind::Epoll, DriverKind::Uring] {
        match prepare(1, kind) {
            Ok((mut seeds, ..)) => test(&mut seeds.remove(0).build().unwrap()),
            Err(error) => assert!(kind == DriverKind::Uring, "{error}"),
        }
    }
}

pub(super) const PATIENT: Wait = Wait { timeout: Some(Duration::from_secs(20)), spin: Duration::ZERO };

/// Ticks until `done` says so after an event; fails when nothing happens for long.
pub(super) fn until(driver: &mut Driver, mut done: impl FnMut(&mut Driver, Event) -> bool) {
    let mut last = Instant::now();
    loop {
        driver.submit_and_reap(PATIENT, &|| false).unwrap();
        let mut over = false;
        while let Some(event) = driver.next_event() {
            last = Instant::now();
            over |= done(driver, event);
        }
        if over {
            return;
        }
        assert!(last.elapsed() < PATIENT.timeout.unwrap(), "nothing happened for a long time");
    }
}

/// Ticks without waiting until nothing more happens, and returns what did.
pub(super) fn pending(driver: &mut Driver) -> Vec<Event> {
    let (mut events, mut idle) = (Vec::new(), 0);
    while idle < 4 {
        driver.submit_and_reap(Wait::POLL, &|| false).unwrap();
        let before = events.len();
        events.extend(std::iter::from_fn(|| driver.next_event()));
        idle = if events.len() == before { idle + 1 } else { 0 };
    }
    events
}

pub(super) fn small(bytes: &[u8]) -> OutBuf {
    OutBuf { bytes: bytes.to_vec(), bigs: Vec::new() }
}

/// A listener of the driver and its address.
pub(super) fn listening(driver: &mut Driver, id: u32) -> SocketAddr {
    let listener = TcpListener::from(sockets::listen_tcp("127.0.0.1", 0, 16_384).unwrap());
    let address = listener.local_addr().unwrap();
    driver.listen(id, listener.into());
    address
}

/// A registered connection and the other end of it.
pub(super) fn connected(driver: &mut Driver, conn: Token) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    driver.register(conn, ours.into());
    theirs
}

/// Closes a connection, taking what still comes of it, and returns the results of its sends.
pub(super) fn close_and_wait(driver: &mut Driver, conn: Token) -> Vec<io::Result<()>> {
    driver.close(conn);
    let mut sent = Vec::new();
    until(driver, |_, event| match event {
        Event::Closed { conn: closed } => closed == conn,
        Event::Sent { result, .. } => {
            sent.push(result);
            false
        }
        other => panic!("{other:?} after close"),
    });
    assert_eq!(driver.raw_fd(conn), None);
    sent
}

/// Answers everything received with itself; ends when `clients` connections were closed.
fn echo(driver: &mut Driver, clients: usize) {
    let (mut next, mut free, mut closed) = (0u32, Vec::new(), 0);
    let mut waiting: HashMap<Token, (bool, Vec<u8>, bool)> = HashMap::new();
    until(driver, |driver, event| {
        match event {
            Event::Accepted { socket, .. } => {
                let conn = free.pop().unwrap_or_else(|| {
                    next += 1;
                    Token(next - 1)
                });
                waiting.insert(conn, (false, Vec::new(), false));
                driver.register(conn, socket);
            }
            Event::Received { conn, buffer } => {
                let (sending, rest, _) = waiting.get_mut(&conn).unwrap();
                rest.extend_from_slice(&buffer);
                driver.recycle(buffer);
                if !std::mem::replace(sending, true) {
                    driver.send(conn, small(&std::mem::take(rest)));
                }
            }
            Event::Sent { conn, result, .. } => {
                result.unwrap();
                let (sending, rest, ended) = waiting.get_mut(&conn).unwrap();
                *sending = !rest.is_empty();
                if *sending {
                    driver.send(conn, small(&std::mem::take(rest)));
                } else if *ended {
                    driver.close(conn);
                }
            }
            Event::ReceiveEnded { conn, error } => {
                assert!(error.is_none());
                let (sending, _, ended) = waiting.get_mut(&conn).unwrap();
                *ended = true;
                if !*sending {
                    driver.close(conn);
                }
            }
            Event::Closed { conn } => {
                free.push(conn);
                closed += 1;
            }
            other => panic!("{other:?}"),
        }
        closed == clients
    });
}

#[test]
fn echoes_many_messages_of_many_sizes() {
    on_both(|driver| {
        let address = listening(driver, 7);
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            for size in [1, 5, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300_000, 3] {
                let bytes: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
                let mut writer = client.try_clone().unwrap();
                let sent = bytes.clone();
                let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
                let mut got = vec![0; size];
                client.read_exact(&mut got).unwrap();
                writing.join().unwrap();
                assert!(got == bytes);
            }
        });
        echo(driver, 1);
        client.join().unwrap();
    });
}

#[test]
fn serves_a_thousand_connections_twice_and_leaks_no_descriptor() {
    on_both(|driver| {
        let address = listening(driver, 0);
        for _ in 0..2 {
            let clients = thread::spawn(move || {
                let mut clients: Vec<_> = (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
                for (n, client) in clients.iter_mut().enumerate() {
                    client.write_all(&(n as u32).to_le_bytes()).unwrap();
                }
                for (n, client) in clients.iter_mut().enumerate() {
                    let mut got = [0; 4];
                    client.read_exact(&mut got).unwrap();
                    assert_eq!(u32::from_le_bytes(got), n as u32);
                }
            });
            echo(driver, 1000);
            clients.join().unwrap();
        }
        assert!((0..1000).all(|n| driver.raw_fd(Token(n)).is_none()));
    });
}

/// A buffer of many pieces and the flat bytes it stands for.
fn spliced(pieces: usize, big_bytes: usize) -> (OutBuf, Vec<u8>) {
    let (mut buffer, mut flat) = (OutBuf::default(), Vec::new());
    for n in 0..pieces {
        let text = format!("${n}\r\n");
        let big: Vec<u8> = (0..big_bytes).map(|at| (at * 7 + n) as u8).collect();
        buffer.bytes.extend_from_slice(text.as_bytes());
        flat.extend_from_slice(text.as_bytes());
        flat.extend_from_slice(&big);
        buffer.bigs.push((buffer.bytes.len(), Arc::new(big).into()));
    }
    buffer.bytes.extend_from_slice(b"end");
    flat.extend_from_slice(b"end");
    (buffer, flat)
}

#[test]
fn sends_spliced_strings_whole_to_a_slow_reader() {
    on_both(|driver| {
        for (pieces, big_bytes) in [(1, 20_000_000), (3000, 3000), (600, 20_000)] {
            let mut peer = connected(driver, Token(1));
            let (buffer, flat) = spliced(pieces, big_bytes);
            driver.send(Token(1), buffer);
            let reader = thread::spawn(move || {
                let (mut got, mut part) = (Vec::new(), vec![0; 150_000]);
                while got.len() < flat.len() {
                    let count = peer.read(&mut part).unwrap();
                    assert!(count > 0);
                    got.extend_from_slice(&part[..count]);
                    thread::yield_now();
                }
                assert!(got == flat);
                peer
            });
            until(driver, |_, event| match event {
                Event::Sent { conn: Token(1), buffer, result } => {
                    result.unwrap();
                    assert_eq!(buffer.bigs.len(), pieces);
                    true
                }
                other => panic!("{other:?}"),
            });
            let _peer = reader.join().unwrap();
            assert!(close_and_wait(driver, Token(1)).is_empty());
        }
    });
}

#[test]
fn a_quiet_send_goes_out_before_the_wait_and_is_reported_with_the_next_event() {
    on_both(|driver| {
        let mut peer = connected(driver, Token(0));
        driver.send_quiet(Token(0), small(b"hello"));
        let answering = thread::spawn(move || {
            let mut got = [0; 5];
            peer.read_exact(&mut got).unwrap();
            peer.write_all(b"thanks").unwrap();
            peer
        });
        let mut order = Vec::new();
        until(driver, |driver, event| match event {
            Event::Sent { result, buffer, .. } => {
                result.unwrap();
                order.push(buffer.bytes.clone());
                false
            }
            Event::Received { buffer, .. } => {
                order.push(buffer.to_vec());
                driver.recycle(buffer);
                true
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(order, [b"hello".to_vec(), b"thanks".to_vec()]);
        drop(answering.join().unwrap());
    });
}

#[test]
fn a_send_to_a_broken_peer_fails_and_gives_the_buffer_back() {
    on_both(|driver| {
        let peer = connected(driver, Token(0));
        drop(peer);
        driver.send(Token(0), small(b"into the void"));
        let (mut failed, mut ended) = (false, false);
        until(driver, |_, event| {
            match event {
                Event::Sent { result, buffer, .. } => {
                    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPIPE));
                    assert_eq!(buffer.bytes, b"into the void");
                    failed = true;
                }
                Event::ReceiveEnded { .. } => ended = true,
                other => panic!("{other:?}"),
            }
            failed && ended
        });
        assert!(close_and_wait(driver, Token(0)).is_empty());
    });
}

#[test]
fn pausing_stops_the_bytes_and_resuming_brings_them_all() {
    on_both(|driver| {
        let mut peer = connected(driver, Token(0));
        peer.write_all(b"a").unwrap();
        let mut got = Vec::new();
        let take = |driver: &mut Driver, event, got: &mut Vec<u8>| match event {
            Event::Received { buffer, .. } => {
                got.extend_from_slice(&buffer);
                driver.recycle(buffer);
            }
            other => panic!("{other:?}"),
        };
        until(driver, |driver, event| {
            take(driver, event, &mut got);
            true
        });
        driver.pause_receive(Token(0));
        driver.pause_receive(Token(0));
        assert!(pending(driver).is_empty());
        peer.write_all(b"b").unwrap();
        assert!(pending(driver).is_empty());
        driver.resume_receive(Token(0));
        until(driver, |driver, event| {
            take(driver, event, &mut got);
            true
        });
        // Back and forth within one tick, with bytes on the way.
        for _ in 0..10 {
            peer.write_all(b"c").unwrap();
            driver.pause_receive(Token(0));
            driver.resume_receive(Token(0));
            driver.pause_receive(Token(0));
            for event in pending(driver) {
                take(driver, event, &mut got);
            }
            driver.resume_receive(Token(0));
            driver.resume_receive(Token(0));
        }
        while got.len() < 12 {
            until(driver, |driver, event| {
                take(driver, event, &mut got);
                true
            });
        }
        assert_eq!(got, b"abcccccccccc");
        driver.pause_receive(Token(0));
        assert!(pending(driver).is_empty());
        drop(peer);
        assert!(pending(driver).is_empty());
        driver.resume_receive(Token(0));
        until(driver, |_, event| matches!(event, Event::ReceiveEnded { error: None, .. }));
    });
}

#[test]
fn half_closed_peers_still_get_their_answer() {
    on_both(|driver| {
        let address = listening(driver, 0);
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"last words").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        echo(driver, 1);
        assert_eq!(client.join().unwrap(), b"last words");
    });
}

#[test]
fn more_senders_than_buffers_all_get_through() {
    on_both(|driver| {
        let count = RECEIVE_BUFFERS as u32 + 100;
        let mut peers: Vec<_> = (0..count).map(|n| connected(driver, Token(n))).collect();
        assert!(pending(driver).is_empty());
        for peer in &mut peers {
            peer.write_all(b"me").unwrap();
        }
        // The caller holds on to buffers until there are none left.
        let (mut held, mut got) = (Vec::new(), 0);
        for event in pending(driver) {
            match event {
                Event::Received { buffer, .. } => held.push(buffer),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(held.len(), RECEIVE_BUFFERS);
        got += held.len();
        for buffer in held {
            assert_eq!(&*buffer, b"me");
            driver.recycle(buffer);
        }
        while got < count as usize {
            until(driver, |driver, event| match event {
                Event::Received { buffer, .. } => {
                    driver.recycle(buffer);
                    got += 1;
                    true
                }
                other => panic!("{other:?}"),
            });
        }
        assert!(driver.statistics().starved > 0);
    });
}

#[test]
fn doorbells_wake_a_sleeping_core_from_any_thread() {
    for kind in [DriverKind::Epoll, DriverKind::Uring] {
        let Ok((seeds, bells, ..)) = prepare(2, kind) else { continue };
        let mut seeds = seeds.into_iter();
        let mut first = seeds.next().unwrap().build().unwrap();
        let second = seeds.next().unwrap();
        let forever = Wait { timeout: None, spin: Duration::ZERO };
        let heard = move |driver: &mut Driver| loop {
            driver.submit_and_reap(forever, &|| false).unwrap();
            let rung = std::iter::from_fn(|| driver.next_event()).filter(|e| matches!(e, Event::Doorbell)).count();
            if rung > 0 {
                return;
            }
        };
        let ringing = bells.clone();
        let peer = thread::spawn(move || {
            let mut second = second.build().unwrap();
            for _ in 0..200 {
                second.ring(0);
                heard(&mut second);
            }
            // Its bell works before the driver is built and after it is gone.
            drop(second);
            ringing.ring(0);
        });
        for _ in 0..200 {
            heard(&mut first);
            first.ring(1);
        }
        heard(&mut first);
        peer.join().unwrap();
        first.ring(1);
        assert!(pending(&mut first).is_empty());
        thread::spawn(move || bells.ring(0)).join().unwrap();
        heard(&mut first);
    }
}

#[test]
fn a_sleep_flag_is_up_only_while_asleep_and_ready_ends_the_wait() {
    on_both(|driver| {
        let flag = SleepFlag::default();
        driver.attach_sleep_flag(flag.clone());
        let forever = Wait { timeout: None, spin: Duration::ZERO };
        let seen = std::cell::RefCell::new(Vec::new());
        let spinning = Wait { spin: Duration::from_millis(1), ..forever };
        let last_look = || {
            seen.borrow_mut().push(flag.is_raised());
            flag.is_raised()
        };
        driver.submit_and_reap(spinning, &last_look).unwrap();
        // Down while spinning, up when asked for the last time before sleeping, down afterwards.
        assert_eq!(seen.borrow().iter().filter(|up| **up).count(), 1);
        assert_eq!((seen.borrow().first(), seen.borrow().last()), (Some(&false), Some(&true)));
        assert!(!flag.is_raised());
        driver.submit_and_reap(forever, &|| true).unwrap();
        driver.submit_and_reap(Wait { spin: Duration::from_secs(100), ..forever }, &|| true).unwrap();
        assert!(!flag.is_raised() && driver.next_event().is_none());
    });
}

#[test]
fn waits_as_long_as_told_and_no_longer() {
    on_both(|driver| {
        for spin in [Duration::ZERO, Duration::from_micros(100), Duration::from_secs(5)] {
            let timeout = Duration::from_millis(20);
            let start = Instant::now();
            while start.elapsed() < timeout {
                let wait = Wait { timeout: Some(timeout.saturating_sub(start.elapsed())), spin };
                driver.submit_and_reap(wait, &|| false).unwrap();
                assert!(driver.next_event().is_none());
            }
            assert!(start.elapsed() < Duration::from_secs(4));
        }
    });
}

#[test]
fn stops_listening_and_listens_again_under_the_same_name() {
    on_both(|driver| {
        let first = listening(driver, 3);
        let _client = TcpStream::connect(first).unwrap();
        until(driver, |_, event| matches!(event, Event::Accepted { listener: 3, .. }));
        driver.stop_listening(3);
        let second = listening(driver, 3);
        assert!(pending(driver).is_empty());
        assert!(TcpStream::connect(first).is_err());
        let _client = TcpStream::connect(second).unwrap();
        until(driver, |_, event| matches!(event, Event::Accepted { listener: 3, .. }));
        driver.stop_listening(3);
        driver.stop_listening(3);
        assert!(pending(driver).is_empty());
    });
}

#[test]
fn sockets_that_do_not_block_are_taken_as_well() {
    on_both(|driver| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = ours.as_raw_fd();
        driver.register(Token(0), ours.into());
        assert_eq!(driver.raw_fd(Token(0)), Some(fd));
        assert!(pending(driver).is_empty());
        theirs.write_all(b"x").unwrap();
        until(driver, |driver, event| match event {
            Event::Received { buffer, .. } => {
                driver.recycle(buffer);
                true
            }
            other => panic!("{other:?}"),
        });
    });
}

#[test]
fn log_writes_reach_the_file_whole_and_errors_give_the_buffer_back() {
    use crate::runtime::aligned::AlignedBuf;
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::env::temp_dir().join(format!("pinion-log-{}", std::process::id()));
    for direct in [0, libc::O_DIRECT] {
        on_both(|driver| {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).custom_flags(direct);
            // Not every file system can go around the page cache.
            let Ok(file) = options.open(&path) else { return };
            let file = Arc::new(file);
            let mut buffer = AlignedBuf::default();
            let mut model = Vec::new();
            for turn in 0..3u64 {
                let bytes: Vec<u8> =
                    (0..8192u32 * (1 + 40 * turn as u32)).map(|n| (n / 7) as u8 ^ turn as u8).collect();
                buffer.clear(usize::MAX);
                buffer.extend_from_slice(&bytes);
                driver.write_log(file.clone(), std::mem::take(&mut buffer), model.len() as u64, turn != 1);
                model.extend_from_slice(&bytes);
                until(driver, |_, event| match event {
                    Event::Logged { buffer: back, result } => {
                        result.unwrap();
                        assert_eq!(*back, bytes[..]);
                        buffer = back;
                        true
                    }
                    Event::Doorbell => false,
                    other => panic!("{other:?}"),
                });
            }
            driver.fill_log(file.clone(), model.len() as u64, 65536);
            model.resize(model.len() + 65536, 0);
            until(driver, |_, event| matches!(event, Event::LogFilled));
            driver.sync_log(file.clone());
            until(driver, |_, event| matches!(event, Event::LogSynced { result: Ok(()) }));
            assert!(std::fs::read(&path).unwrap() == model);
            let unwritable = Arc::new(std::fs::File::open(&path).unwrap());
            driver.write_log(unwritable, buffer, 0, true);
            until(driver, |_, event| matches!(event, Event::Logged { result: Err(_), buffer } if !buffer.is_empty()));
        });
    }
    std::fs::remove_file(&path).unwrap();
}

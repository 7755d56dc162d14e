//! Both drivers at the limits of the process: descriptors, bursts, refusals, ends. Each runs in a child process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

use super::tests::{PATIENT, close_and_wait, connected, listening, on_both, pending, small, until};
use super::*;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn closes_with_operations_under_way() {
    // In a child, for other tests open and close descriptors of this process.
    in_child(|| {
        on_both(|driver| {
            let before = open_descriptors();
            for round in 0..50 {
                let conn = Token(round % 3);
                let mut peer = connected(driver, conn);
                match round % 4 {
                    // Nothing but the receive.
                    0 => {}
                    // A send that nobody reads, started.
                    1 => {
                        driver.send(conn, small(&vec![1; 5_000_000]));
                        assert!(pending(driver).is_empty());
                    }
                    // A send not yet handed over, and bytes not yet received.
                    2 => {
                        driver.send(conn, small(&vec![1; 5_000_000]));
                        peer.write_all(b"unread").unwrap();
                    }
                    // Bytes received and not delivered, a pause under way.
                    _ => {
                        peer.write_all(b"unread").unwrap();
                        driver.pause_receive(conn);
                    }
                }
                let sent = close_and_wait(driver, conn);
                assert_eq!(sent.len(), usize::from(matches!(round % 4, 1 | 2)));
                assert!(sent.iter().all(|result| result.is_err()));
                let mut rest = Vec::new();
                let _ = peer.read_to_end(&mut rest);
                assert!(pending(driver).is_empty());
            }
            assert_eq!(open_descriptors(), before);
            // No receive buffer got lost on the way.
            let mut peer = connected(driver, Token(9));
            let writing = thread::spawn(move || {
                peer.write_all(&vec![0; RECEIVE_BUFFERS * RECEIVE_BUFFER_BYTES * 2]).unwrap();
            });
            until(driver, |driver, event| match event {
                Event::Received { buffer, .. } => {
                    driver.recycle(buffer);
                    false
                }
                Event::ReceiveEnded { .. } => true,
                other => panic!("{other:?}"),
            });
            writing.join().unwrap();
        })
    });
}

#[test]
fn a_dropped_driver_closes_everything() {
    // In a child, for other tests open and close descriptors of this process.
    in_child(|| {
        for kind in [DriverKind::Epoll, DriverKind::Uring] {
            let before = open_descriptors();
            let Ok((mut seeds, bells, ..)) = prepare(1, kind) else { continue };
            let mut driver = seeds.remove(0).build().unwrap();
            let address = listening(&mut driver, 0);
            let mut peers: Vec<_> = (0..10).map(|n| connected(&mut driver, Token(n))).collect();
            driver.send(Token(0), small(&vec![0; 5_000_000]));
            assert!(pending(&mut driver).is_empty());
            let clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
            peers[1].write_all(b"never read").unwrap();
            driver.submit_and_reap(PATIENT, &|| false).unwrap();
            // A buffer outlives the driver it came from.
            let mut kept = None;
            while let Some(event) = driver.next_event() {
                if let Event::Received { buffer, .. } = event {
                    kept = Some(buffer);
                    break;
                }
            }
            drop(driver);
            assert!(kept.is_none_or(|buffer| &*buffer == b"never read"));
            drop((peers, clients, bells));
            // The kernel tears a ring down in its own time.
            for _ in 0..500 {
                if open_descriptors() <= before {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            assert!(open_descriptors() <= before);
        }
    });
}

/// Runs `body` in a child process, because it changes limits of the process.
fn in_child(body: impl FnOnce()) {
    // SAFETY: the child runs only this thread; it uses the heap, whose locks glibc and mimalloc keep usable over fork,
    // and leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 1 }) };
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for our child and writes its status.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0, "the child failed");
        }
    }
}

#[test]
fn running_out_of_descriptors_rests_and_recovers() {
    for kind in [DriverKind::Epoll, DriverKind::Uring] {
        in_child(|| {
            let Ok((mut seeds, ..)) = prepare(1, kind) else { return };
            let mut driver = seeds.remove(0).build().unwrap();
            let address = listening(&mut driver, 0);
            let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
            let first_free = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
            let limit = libc::rlimit { rlim_cur: first_free + 5, rlim_max: 4096 };
            // SAFETY: reads a struct that lives through the call.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
            let (mut accepted, mut failures) = (Vec::new(), 0);
            until(&mut driver, |_, event| match event {
                Event::Accepted { socket, .. } => {
                    accepted.push(socket);
                    false
                }
                Event::AcceptFailed { error, .. } => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                    failures += 1;
                    true
                }
                other => panic!("{other:?}"),
            });
            assert_eq!((accepted.len(), failures), (5, 1));
            let enters = driver.statistics().enters;
            let rest = Wait { timeout: Some(ACCEPT_RETRY / 2), spin: Duration::ZERO };
            driver.submit_and_reap(rest, &|| false).unwrap();
            assert!(driver.next_event().is_none());
            assert!(driver.statistics().enters - enters <= 2, "it rests instead of trying on and on");
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            // SAFETY: as above.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
            while accepted.len() < clients.len() {
                driver.submit_and_reap(PATIENT, &|| false).unwrap();
                while let Some(event) = driver.next_event() {
                    if let Event::Accepted { socket, .. } = event {
                        accepted.push(socket);
                    }
                }
            }
        });
    }
}

#[test]
fn takes_a_burst_of_ten_thousand_connections() {
    for kind in [DriverKind::Epoll, DriverKind::Uring] {
        in_child(|| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: writes to, then reads, a struct that lives through the calls.
            unsafe {
                assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
                limit.rlim_cur = limit.rlim_max;
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            // A connection takes two descriptors, and other tests of this process have some open.
            let count = 10_000.min((limit.rlim_cur as u32 - open_descriptors() as u32) / 2 - 100);
            let Ok((mut seeds, ..)) = prepare(1, kind) else { return };
            let mut driver = seeds.remove(0).build().unwrap();
            let address = listening(&mut driver, 0);
            let burst = move || -> Vec<_> {
                let mut clients: Vec<_> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
                clients.iter_mut().for_each(|client| client.write_all(b"hi").unwrap());
                clients
            };
            let clients = thread::spawn(burst);
            let (mut accepted, mut got, mut closed) = (0, 0, 0);
            until(&mut driver, |driver, event| {
                match event {
                    Event::Accepted { socket, .. } => {
                        driver.register(Token(accepted), socket);
                        accepted += 1;
                    }
                    Event::Received { conn, buffer } => {
                        assert_eq!(&*buffer, b"hi");
                        driver.recycle(buffer);
                        driver.send(conn, small(b"bye"));
                        got += 1;
                    }
                    Event::Sent { conn, result, .. } => {
                        result.unwrap();
                        driver.close(conn);
                    }
                    Event::Closed { .. } => closed += 1,
                    other => panic!("{other:?}"),
                }
                got == count
            });
            while closed < count {
                driver.submit_and_reap(PATIENT, &|| false).unwrap();
                while let Some(event) = driver.next_event() {
                    match event {
                        Event::Sent { conn, .. } => driver.close(conn),
                        Event::Closed { .. } => closed += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
            for mut client in clients.join().unwrap() {
                let mut got = Vec::new();
                client.read_to_end(&mut got).unwrap();
                assert_eq!(got, b"bye");
            }
        });
    }
}

#[test]
fn a_refused_ring_falls_back_with_a_reason_only_when_that_is_allowed() {
    in_child(|| {
        forbid_io_uring();
        let (_, _, kind, reason) = prepare(1, DriverKind::Auto).unwrap();
        assert_eq!(kind, ChosenKind::Epoll);
        assert!(reason.unwrap().contains("seccomp"));
        let error = prepare(1, DriverKind::Uring).unwrap_err().to_string();
        assert!(error.starts_with("io_uring is not usable here: forbidden"), "{error}");
    });
    let (.., kind, reason) = prepare(1, DriverKind::Epoll).unwrap();
    assert_eq!((kind, reason), (ChosenKind::Epoll, None));
}

/// What a container's seccomp profile does: `io_uring_setup` fails with EPERM.
fn forbid_io_uring() {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        step(RETURN, 0, 0, 0x0005_0000 | libc::EPERM as u32),
        step(RETURN, 0, 0, 0x7fff_0000),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live through the calls, which copy them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program), 0);
    }
}

//! Histories of real servers: several processes' worth of shards on few CPUs, clients in threads of their own.

use super::check::op::{Anomaly, Op};
use super::check::workload::{Kind, Menu, Sending, Session, check};
use crate::common::client::Client;
use crate::common::{Launch, Server, Setup, Value, wait_until};
use std::thread;
use std::time::{Duration, Instant};

/// How much one history holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub clients: usize,
    /// Exchanges of each client.
    pub exchanges: usize,
}

impl Size {
    pub(super) fn of(kind: Kind) -> Size {
        match kind {
            Kind::Lists => Size { clients: 8, exchanges: 60 },
            Kind::Registers => Size { clients: 8, exchanges: 300 },
            _ => Size { clients: 6, exchanges: 60 },
        }
    }
}

fn exchange(server: &Server, client: &mut Client, session: &mut Session, epoch: Instant, first: Sending) {
    let mut next = Some(first);
    while let Some((bytes, count)) = next {
        client.send_raw(&bytes);
        let replies = (0..count).map(|_| receive(server, client)).collect();
        next = session.replied(replies, now(epoch));
    }
}

/// Nanoseconds; never 0.
fn now(epoch: Instant) -> u64 {
    epoch.elapsed().as_nanos() as u64 + 1
}

/// Lets clients loose on a server that is emptied first; the history, ended by one read of everything.
pub(super) fn record(server: &Server, menu: Menu, size: Size, seed: u64) -> Vec<Op> {
    server.client().ok("FLUSHALL");
    let epoch = Instant::now();
    let mut history: Vec<Op> = thread::scope(|scope| {
        let clients = (0..size.clients).map(|number| {
            scope.spawn(move || {
                let mut client = server.client();
                let mut session = Session::new(number, menu, seed);
                for _ in 0..size.exchanges {
                    let first = session.begin(now(epoch));
                    exchange(server, &mut client, &mut session, epoch, first);
                }
                session.ops
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client thread")).collect()
    });
    let mut last = Session::new(size.clients, menu, seed);
    if let Some(first) = last.read_all(now(epoch)) {
        exchange(server, &mut server.client(), &mut last, epoch, first);
    }
    history.extend(last.ops);
    assert_nothing_is_held(server);
    history
}

/// Longest that a reply may take; what the cores waited for then is printed.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// The reply to a command; if it does not come, fails with what every core waits for.
pub(super) fn call(server: &Server, client: &mut Client, words: &[String]) -> Value {
    client.send(words);
    receive(server, client)
}

/// The next reply; see [`call`].
fn receive(server: &Server, client: &mut Client) -> Value {
    client.stream.set_read_timeout(Some(REPLY_WITHIN)).expect("a timeout");
    match client.try_recv() {
        Ok(Some(value)) => value,
        Ok(None) => panic!("the server closed the connection"),
        Err(error) => {
            let mut other = server.client();
            let dump = [other.run("DEBUG TRANSACTIONS").text(), other.run("CLIENT LIST").text()];
            panic!("no reply: {error}\n{}\n{}", dump.join("\n"), other.run("INFO shards").text());
        }
    }
}

/// When everybody has their replies no lock is held, and nothing waits for one. Releases may still be on their way.
pub(super) fn assert_nothing_is_held(server: &Server) {
    let mut client = server.client();
    wait_until("locks to be released", || {
        let info = client.run("INFO shards").text();
        info.contains("locks_held:0\r\n") && info.contains("locks_waiting:0\r\n")
    });
}

/// Checks history after history until the time is over; how many there were, and the first that is wrong.
pub(super) fn hunt(server: &Server, menu: Menu, time: Duration, seed: u64) -> (usize, Option<Anomaly>) {
    let end = Instant::now() + time;
    let mut count = 0;
    while count == 0 || Instant::now() < end {
        let history = record(server, menu, Size::of(menu.kind), seed.wrapping_add(count as u64));
        count += 1;
        if let Err(anomaly) = check(&menu, &history) {
            return (count, Some(anomaly));
        }
    }
    (count, None)
}

/// A server with this many shards.
pub(super) fn server(shards: usize) -> Server {
    let driver = if crate::common::sys::has_io_uring() { "uring" } else { "epoll" };
    Launch::new(&Setup::pinion(shards, driver)).args("--enable-debug-command yes").start()
}

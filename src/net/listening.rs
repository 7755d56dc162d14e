//! The TCP sockets of `port` and `bind`: opens them, and exchanges them while the server runs. Never accepts: the first
//! core does, which takes [`Order`]s when it sees new settings.

use crate::net::worker::Worker;
use crate::runtime::sockets::{self, SocketError};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;

/// Sockets of `port` have indices below this; the one of `unixsocket` has this one.
const INDEX_END: u32 = crate::net::listener::OWN_PORT_FIRST - 1;

/// What the first core is to do about a socket.
#[derive(Debug)]
enum Order {
    Listen(u32, OwnedFd),
    Stop(u32),
}

/// A socket that listens.
#[derive(Debug)]
struct Open {
    host: String,
    port: u16,
    index: u32,
    /// A duplicate: what is done to it concerns the socket that the driver has.
    socket: OwnedFd,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Listening {
    open: Vec<Open>,
    orders: Vec<Order>,
    next_index: u32,
}

/// Why an address cannot be listened on: the address, and what the kernel said.
#[derive(Debug)]
pub struct Refused {
    /// As in `bind`.
    pub host: String,
    /// Which port.
    pub port: u16,
    /// Why.
    pub why: SocketError,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Refused { host, port, why } = self;
        let why = sockets::errno_text(&why.error);
        write!(f, "Could not create server TCP listening socket {host}:{port}: {why}")
    }
}

/// Listens on an address of `bind`; `None` if it begins with `-` and cannot be had. `patient`: as
/// [`sockets::listen_tcp`].
pub fn open(host: &str, port: u16, backlog: u32, patient: bool) -> Result<Option<OwnedFd>, Refused> {
    let (optional, host) = (host.starts_with('-'), host.trim_start_matches('-'));
    let listen = if patient { sockets::listen_tcp } else { sockets::listen_tcp_at_once };
    match listen(host, port, backlog) {
        Ok(socket) => Ok(Some(socket)),
        Err(_) if optional => Ok(None),
        Err(why) => Err(Refused { host: host.to_string(), port, why }),
    }
}

impl Listening {
    /// At the start: opens every address. Port 0: none. Returns what the first core is to listen on.
    pub fn begin(&mut self, hosts: &[String], port: u16, backlog: u32) -> Result<Vec<(u32, OwnedFd)>, Refused> {
        let mut sockets = Vec::new();
        for host in hosts.iter().filter(|_| port != 0) {
            if let Some(socket) = open(host, port, backlog, true)? {
                sockets.push((self.note(host, port, &socket), socket));
            }
        }
        Ok(sockets)
    }

    /// An index that nothing has.
    fn index(&mut self) -> u32 {
        loop {
            let index = self.next_index;
            self.next_index = (index + 1) % INDEX_END;
            if self.open.iter().all(|open| open.index != index) {
                return index;
            }
        }
    }

    fn note(&mut self, host: &str, port: u16, socket: &OwnedFd) -> u32 {
        let index = self.index();
        // without a duplicate the socket cannot be exchanged later, but it listens
        if let Ok(socket) = socket.try_clone() {
            self.open.push(Open { host: host.to_string(), port, index, socket });
        }
        index
    }

    /// Listens on these addresses instead: what is new is opened before what is left closes. Only where a new address
    /// contains an old one (`*` and 127.0.0.1) the old one has to go first; clients that had not been accepted there
    /// are turned away, all others stay.
    ///
    /// # Errors
    /// The address that cannot be had; then everything listens as before.
    pub fn change(&mut self, hosts: &[String], port: u16, backlog: u32) -> Result<(), Refused> {
        let wanted: Vec<&String> = hosts.iter().filter(|_| port != 0).collect();
        let stays = |open: &Open| open.port == port && wanted.contains(&&open.host);
        let (kept, left): (Vec<Open>, Vec<Open>) = std::mem::take(&mut self.open).into_iter().partition(stays);
        let missing: Vec<&String> =
            wanted.iter().filter(|host| kept.iter().all(|open| open.host != ***host)).copied().collect();
        let open_all = || -> Result<Vec<(String, OwnedFd)>, Refused> {
            let mut fresh = Vec::new();
            for host in &missing {
                if let Some(socket) = open(host, port, backlog, false)? {
                    fresh.push((host.to_string(), socket));
                }
            }
            Ok(fresh)
        };
        let mut fresh = open_all();
        if fresh.as_ref().is_err_and(|refused| refused.why.error.kind() == ErrorKind::AddrInUse) && !left.is_empty() {
            left.iter().for_each(|open| sockets::stop_listening(&open.socket));
            fresh = open_all();
            if fresh.is_err() {
                left.iter().for_each(|open| sockets::listen_again(&open.socket, backlog));
            }
        }
        self.open = kept;
        let fresh = match fresh {
            Ok(fresh) => fresh,
            Err(refused) => {
                self.open.extend(left);
                return Err(refused);
            }
        };
        for open in left {
            sockets::stop_listening(&open.socket);
            self.orders.push(Order::Stop(open.index));
        }
        for (host, socket) in fresh {
            let index = self.note(&host, port, &socket);
            self.orders.push(Order::Listen(index, socket));
        }
        Ok(())
    }
}

impl Worker {
    /// The first core: takes over which sockets listen.
    pub(super) fn follow_listening(&mut self) {
        if self.router.core != 0 {
            return;
        }
        let shared = self.shared.clone();
        let mut listening = shared.listening.lock().unwrap_or_else(PoisonError::into_inner);
        for order in listening.orders.drain(..) {
            match order {
                Order::Listen(index, socket) => self.driver.listen(index, socket),
                Order::Stop(index) => self.driver.stop_listening(index),
            }
        }
    }
}

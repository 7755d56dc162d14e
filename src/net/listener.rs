//! Accepted sockets on their way to a core: limits, socket options, hand-over. Never reads from them.

use crate::base::config::Config;
use crate::net::connection::Conn;
use crate::net::worker::Worker;
use crate::runtime::sockets;
use crate::txn::message::Message;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::Ordering;

/// Listeners below this index are shared by all cores; from it on, core `index - OWN_PORT_FIRST`'s own port.
pub const OWN_PORT_FIRST: u32 = 1024;

/// What a client is told when `maxclients` is reached.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a client from elsewhere is told in protected mode.
const PROTECTED: &[u8] = b"-DENIED Pinion is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers, you may: 1) disable protected mode with 'CONFIG SET protected-mode no' from \
the loopback interface, or in the configuration file, if you are sure that the server is not reachable from the \
internet; 2) start the server with '--protected-mode no'; 3) set a password for the default user.\r\n";

impl Worker {
    /// A client connected: it goes to the core with the fewest connections.
    pub fn on_accepted(&mut self, listener: u32, socket: OwnedFd) {
        let core = self.router.core;
        self.counters().accepted.add(1);
        if self.shared.clients() >= self.config.maxclients as usize {
            self.counters().refused.add(1);
            return say_and_close(socket, TOO_MANY);
        }
        let to = if listener >= OWN_PORT_FIRST { core } else { self.shared.least_loaded(core) };
        self.shared.cores[to].clients.fetch_add(1, Ordering::Relaxed);
        if to == core {
            self.adopt(socket, listener);
        } else {
            self.router.tell(to, Message::Adopt { socket, listener });
        }
    }

    /// Serves an accepted socket on this core; it is counted already.
    pub fn adopt(&mut self, socket: OwnedFd, _listener: u32) {
        let fd = socket.as_raw_fd();
        let peer = sockets::peer_text(fd);
        let own = sockets::local_text(fd);
        let unix = peer.starts_with('/') || own.starts_with('/');
        let local = unix || peer.starts_with("127.") || peer.starts_with("[::1]") || peer.starts_with("::1:");
        if is_protected(&self.config) && !local {
            self.counters().clients.fetch_sub(1, Ordering::Relaxed);
            self.counters().refused.add(1);
            return say_and_close(socket, PROTECTED);
        }
        if !unix {
            // a client that is gone already fails here; the driver will say so
            let _ = sockets::set_nodelay(fd);
            let _ = sockets::set_keepalive(fd, self.config.tcp_keepalive_s);
        }
        self.add(socket, |conn: &mut Conn| {
            conn.fd = fd;
            conn.unix = unix;
            conn.local = local;
            // both ends of a unix socket are shown by its path
            conn.addr = if unix { own.clone().into() } else { peer.into() };
            conn.laddr = own.into();
        });
    }
}

/// Protected mode holds while nobody needs a password and no address was chosen by hand.
fn is_protected(config: &Config) -> bool {
    config.protected_mode && config.requirepass.is_empty()
}

/// One attempt to say why, as the socket is not waited for.
fn say_and_close(socket: OwnedFd, text: &[u8]) {
    let mut stream = std::net::TcpStream::from(socket);
    let _ = stream.set_nonblocking(true);
    let _ = stream.write(text);
}

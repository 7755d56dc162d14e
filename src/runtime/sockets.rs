//! Making listening sockets, setting what Redis sets on a connection, and naming addresses the way Redis prints them.
//! Never reads or writes a socket.

use std::ffi::CStr;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// What went wrong and in which step, in Redis's words: `bind: Address already in use`.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {}", errno_text(.error))]
pub struct SocketError {
    /// The call that failed.
    pub step: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

fn during(step: &'static str) -> impl Fn(io::Error) -> SocketError {
    move |error| SocketError { step, error }
}

/// The text of an error without Rust's `(os error N)`, as C programs print it.
pub fn errno_text(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else { return error.to_string() };
    let mut text = [0 as libc::c_char; 256];
    // SAFETY: the buffer has the length given, and the call ends the text in it with a zero.
    let result = unsafe { libc::strerror_r(code, text.as_mut_ptr(), text.len()) };
    if result != 0 {
        return format!("Unknown error {code}");
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// How long binding is tried again while the address is in use: the kernel closes the sockets of a killed process that
/// used io_uring some milliseconds after the process is gone (4 to 16 measured), which must not fail a restart.
const BIND_PATIENCE: Duration = Duration::from_millis(200);
/// Between two such attempts.
const BIND_PAUSE: Duration = Duration::from_millis(5);

/// Listens on TCP; may take [`BIND_PATIENCE`]. `host` is an address, a name, `*` (every IPv4 address) or `::*` (every
/// IPv6 address); port 0 lets the kernel choose. IPv6 sockets take IPv6 only, so both families can share a port.
pub fn listen_tcp(host: &str, port: u16, backlog: u32) -> Result<OwnedFd, SocketError> {
    listen_within(host, port, backlog, BIND_PATIENCE)
}

/// As [`listen_tcp`], but an address that is in use fails at once.
pub fn listen_tcp_at_once(host: &str, port: u16, backlog: u32) -> Result<OwnedFd, SocketError> {
    listen_within(host, port, backlog, Duration::ZERO)
}

/// Turns away who connects from now on. The socket keeps its address, which others may listen on meanwhile, and can
/// [`listen_again`].
pub fn stop_listening(socket: &OwnedFd) {
    // one that does not listen is as wanted
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Read);
}

/// Takes back [`stop_listening`].
pub fn listen_again(socket: &OwnedFd, backlog: u32) {
    let _ = SockRef::from(socket).listen(backlog.min(i32::MAX as u32) as i32);
}

fn listen_within(host: &str, port: u16, backlog: u32, patience: Duration) -> Result<OwnedFd, SocketError> {
    let address = match host {
        "*" => SocketAddr::from(([0, 0, 0, 0], port)),
        "::*" => SocketAddr::from(([0u16; 8], port)),
        _ => resolve(host, port).map_err(during("resolve"))?,
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(during("creating socket"))?;
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(during("setsockopt"))?;
    }
    socket.set_reuse_address(true).map_err(during("setsockopt SO_REUSEADDR"))?;
    let give_up = Instant::now() + patience;
    while let Err(error) = socket.bind(&address.into()) {
        if error.kind() != io::ErrorKind::AddrInUse || Instant::now() >= give_up {
            return Err(during("bind")(error));
        }
        std::thread::sleep(BIND_PAUSE);
    }
    socket.listen(backlog.min(i32::MAX as u32) as i32).map_err(during("listen"))?;
    Ok(socket.into())
}

/// The first address of `host`, an address or a name; may ask a name server and so block.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let first = (host, port).to_socket_addrs()?.next();
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "Name or service not known"))
}

/// Listens on a Unix socket, replacing whatever is at `path`. `mode` 0 leaves the permissions to the umask,
/// an empty `group` (a name or a number) the file's group to the process's.
pub fn listen_unix(path: &Path, mode: u32, group: &str, backlog: u32) -> Result<OwnedFd, SocketError> {
    let address = SockAddr::unix(path).map_err(during("bind"))?;
    let _ = std::fs::remove_file(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(during("creating socket"))?;
    socket.bind(&address).map_err(during("bind"))?;
    if !group.is_empty() {
        let id = group_id(group).map_err(during("unixsocketgroup"))?;
        std::os::unix::fs::chown(path, None, Some(id)).map_err(during("chown"))?;
    }
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(during("chmod"))?;
    }
    socket.listen(backlog.min(i32::MAX as u32) as i32).map_err(during("listen"))?;
    Ok(socket.into())
}

/// The id of a group given by name or number.
fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let name = std::ffi::CString::new(group)?;
    let (mut found, mut buffer) = (std::ptr::null_mut(), vec![0; 64 * 1024]);
    // SAFETY: all zeros is a value of this plain struct; the call writes to it and to the buffer, which outlive it.
    let error = unsafe {
        let mut entry: libc::group = std::mem::zeroed();
        let error = libc::getgrnam_r(name.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found);
        if error == 0 && !found.is_null() {
            return Ok(entry.gr_gid);
        }
        error
    };
    Err(io::Error::from_raw_os_error(if error == 0 { libc::ENOENT } else { error }))
}

/// Runs `with` on the socket behind a raw descriptor.
fn on<R>(fd: RawFd, with: impl FnOnce(SockRef<'_>) -> io::Result<R>) -> io::Result<R> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is not -1; a descriptor that is not open yields EBADF from the calls below, and nothing is kept.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    with(SockRef::from(&fd))
}

/// Sends small replies at once (TCP_NODELAY).
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    on(fd, |socket| socket.set_tcp_nodelay(true))
}

/// Probes a silent peer after `seconds`, then every third of it, three times (as Redis's `tcp-keepalive`). 0: off.
pub fn set_keepalive(fd: RawFd, seconds: u32) -> io::Result<()> {
    if seconds == 0 {
        return on(fd, |socket| socket.set_keepalive(false));
    }
    let interval = Duration::from_secs(u64::from((seconds / 3).max(1)));
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(seconds.into()));
    on(fd, |socket| socket.set_tcp_keepalive(&probes.with_interval(interval).with_retries(3)))
}

/// The other end: `1.2.3.4:5`, `[::1]:5`, or for a Unix socket `/path:0` of the listening end; `?:0` if unknown.
pub fn peer_text(fd: RawFd) -> String {
    text(on(fd, |socket| {
        let local = socket.local_addr()?;
        if local.is_unix() { Ok(local) } else { socket.peer_addr() }
    }))
}

/// This end, written like [`peer_text`].
pub fn local_text(fd: RawFd) -> String {
    text(on(fd, |socket| socket.local_addr()))
}

fn text(address: io::Result<SockAddr>) -> String {
    let Ok(address) = address else { return "?:0".to_string() };
    match (address.as_socket(), address.as_pathname()) {
        (Some(SocketAddr::V6(v6)), _) => format!("[{}]:{}", v6.ip(), v6.port()),
        (Some(v4), _) => v4.to_string(),
        (None, Some(path)) => format!("{}:0", String::from_utf8_lossy(path.as_os_str().as_bytes())),
        (None, None) => "?:0".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tcp_listener_takes_clients_and_names_them() {
        for (host, shown) in [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("*", "0.0.0.0")] {
            let listener = TcpListener::from(listen_tcp(host, 0, 511).unwrap());
            let port = listener.local_addr().unwrap().port();
            assert_eq!(local_text(listener.as_raw_fd()).split(':').next(), Some(shown));
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (server, _) = listener.accept().unwrap();
            assert_eq!(peer_text(server.as_raw_fd()), client.local_addr().unwrap().to_string());
            assert_eq!(local_text(server.as_raw_fd()), format!("127.0.0.1:{port}"));
            set_nodelay(server.as_raw_fd()).unwrap();
            assert!(server.nodelay().unwrap());
        }
    }

    #[test]
    fn ipv6_is_shown_in_brackets() {
        let Ok(listener) = listen_tcp("::1", 0, 1) else { return };
        let shown = local_text(listener.as_raw_fd());
        assert!(shown.starts_with("[::1]:"), "{shown}");
    }

    #[test]
    fn a_taken_port_is_refused_in_redis_words() {
        let taken = TcpListener::from(listen_tcp("127.0.0.1", 0, 1).unwrap());
        let error = listen_tcp("127.0.0.1", taken.local_addr().unwrap().port(), 1).unwrap_err();
        assert_eq!(error.to_string(), "bind: Address already in use");
        assert_eq!(error.error.kind(), io::ErrorKind::AddrInUse);
        assert!(listen_tcp("no.such.name.invalid", 0, 1).is_err());
    }

    #[test]
    fn a_port_that_is_about_to_be_free_is_waited_for() {
        let taken = TcpListener::from(listen_tcp("127.0.0.1", 0, 1).unwrap());
        let port = taken.local_addr().unwrap().port();
        let freeing = std::thread::spawn(move || {
            std::thread::sleep(2 * BIND_PAUSE);
            drop(taken);
        });
        assert!(listen_tcp("127.0.0.1", port, 1).is_ok());
        freeing.join().unwrap();
    }

    #[test]
    fn keepalive_is_set_as_redis_does() {
        let listener = listen_tcp("127.0.0.1", 0, 1).unwrap();
        let fd = listener.as_raw_fd();
        for (seconds, time, interval) in [(300, 300, 100), (2, 2, 1)] {
            set_keepalive(fd, seconds).unwrap();
            let socket = SockRef::from(&listener);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(time));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(interval));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        }
        set_keepalive(fd, 0).unwrap();
        assert!(!SockRef::from(&listener).keepalive().unwrap());
    }

    #[test]
    fn unix_listener_replaces_the_file_and_sets_its_mode() {
        let path = std::env::temp_dir().join(format!("pinion-sockets-{}", std::process::id()));
        std::fs::write(&path, "stale").unwrap();
        let listener = std::os::unix::net::UnixListener::from(listen_unix(&path, 0o700, "", 16).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let _client = UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        let shown = format!("{}:0", path.display());
        assert_eq!((peer_text(server.as_raw_fd()), local_text(server.as_raw_fd())), (shown.clone(), shown));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(peer_text(-1), "?:0");
        assert!(listen_unix(Path::new(&"x".repeat(200)), 0, "", 1).is_err());
    }

    #[test]
    fn a_group_is_known_by_name_or_number() {
        assert_eq!((group_id("root").unwrap(), group_id("77").unwrap()), (0, 77));
        assert!(group_id("no such group").is_err() && group_id("with\0nul").is_err());
        let path = std::env::temp_dir().join(format!("pinion-sockets-group-{}", std::process::id()));
        let refused = listen_unix(&path, 0, "no such group", 1).unwrap_err();
        assert_eq!(refused.step, "unixsocketgroup");
        // SAFETY: asks for the process's own group.
        let own = unsafe { libc::getegid() };
        listen_unix(&path, 0o770, &own.to_string(), 1).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&path).unwrap()), own);
        std::fs::remove_file(&path).unwrap();
    }
}

//! A small blocking client: one connection, typed replies, raw bytes where a test wants them. Never retries.

use super::PATIENCE;
use super::value::{Incomplete, Value, parse, shown};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// Path of a socket.
    Unix(String),
}

/// Either kind of stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
}

impl Stream {
    /// Connects once.
    pub fn connect(address: &Address) -> io::Result<Stream> {
        Ok(match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        })
    }

    /// A second handle to the same connection.
    pub fn try_clone(&self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(s) => Stream::Tcp(s.try_clone()?),
            Stream::Unix(s) => Stream::Unix(s.try_clone()?),
        })
    }

    /// Longest that a read waits.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_read_timeout(timeout),
            Stream::Unix(s) => s.set_read_timeout(timeout),
        }
    }

    /// Longest that a write waits.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_write_timeout(timeout),
            Stream::Unix(s) => s.set_write_timeout(timeout),
        }
    }

    /// Ends one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.shutdown(how),
            Stream::Unix(s) => s.shutdown(how),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(buffer),
            Stream::Unix(s) => s.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.write(buffer),
            Stream::Unix(s) => s.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(s) => s.as_raw_fd(),
            Stream::Unix(s) => s.as_raw_fd(),
        }
    }
}

/// A connection with the bytes it has received but not yet returned.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub stream: Stream,
    received: Vec<u8>,
    start: usize,
}

/// A command as the wire carries it: an array of bulk strings.
pub fn encode<T: AsRef<[u8]>>(args: &[T]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A number of a line of CLIENT LIST; fails the test if it is not there.
pub fn listed_number(line: &str, name: &str) -> u64 {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name}: {line}")).trim().parse().expect("a number")
}

impl Client {
    /// Connects; fails the test if that fails.
    pub fn connect(address: &Address) -> Client {
        Client::try_connect(address).unwrap_or_else(|e| panic!("connect to {address:?}: {e}"))
    }

    /// Connects.
    pub fn try_connect(address: &Address) -> io::Result<Client> {
        let stream = Stream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, received: Vec::new(), start: 0 })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|e| panic!("send: {e}"));
    }

    /// Sends one command.
    pub fn send<T: AsRef<[u8]>>(&mut self, args: &[T]) {
        self.send_raw(&encode(args));
    }

    /// Sends one command and returns its reply.
    pub fn call<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Value {
        self.send(args);
        self.recv()
    }

    /// As [`Client::call`], the arguments separated by blanks.
    pub fn run(&mut self, line: &str) -> Value {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// A number of a section of INFO; fails the test if it is not there.
    pub fn info_number(&mut self, section: &str, field: &str) -> u64 {
        let text = self.run(&format!("INFO {section}")).text();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in INFO {section}:\n{text}")).trim().parse().expect("a number")
    }

    /// Runs a command that must answer `+OK`.
    pub fn ok(&mut self, line: &str) {
        assert_eq!(self.run(line), Value::ok(), "{line}");
    }

    /// Sends `bytes`, which hold `count` commands, while reading their replies, so that neither side's buffers
    /// can fill up and stop both.
    pub fn pipeline(&mut self, bytes: &[u8], count: usize) -> Vec<Value> {
        let mut writer = self.stream.try_clone().expect("a second handle");
        std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(bytes));
            (0..count).map(|_| self.recv()).collect()
        })
    }

    /// The next reply; fails the test if the connection ends or nothing comes.
    pub fn recv(&mut self) -> Value {
        match self.try_recv() {
            Ok(Some(value)) => value,
            Ok(None) => panic!("the server closed the connection; left over: {:?}", shown(self.rest())),
            Err(e) => panic!("receive: {e}; left over: {:?}", shown(self.rest())),
        }
    }

    /// The next reply; `None` when the server has closed the connection (orderly or by a reset).
    pub fn try_recv(&mut self) -> io::Result<Option<Value>> {
        loop {
            match parse(self.rest()) {
                Ok((value, used)) => {
                    self.start += used;
                    return Ok(Some(value));
                }
                Err(Incomplete::Broken(what)) => return Err(io::Error::new(ErrorKind::InvalidData, what)),
                Err(Incomplete::More) => {}
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Everything the server sends until it closes the connection.
    pub fn recv_until_closed(&mut self) -> Vec<Value> {
        let mut values = Vec::new();
        loop {
            match self.try_recv() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return values,
                Err(e) => panic!("the connection was to be closed: {e}; got {values:?}"),
            }
        }
    }

    /// Fails the test unless the server has closed the connection or does so now, sending nothing more.
    pub fn expect_closed(&mut self) {
        let values = self.recv_until_closed();
        assert!(values.is_empty(), "more came before the close: {values:?}");
    }

    /// Fails the test if a reply comes within `time`.
    pub fn expect_silence(&mut self, time: Duration) {
        assert!(self.rest().is_empty(), "left over: {:?}", shown(self.rest()));
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        match self.fill() {
            Ok(0) => panic!("the server closed the connection"),
            Ok(_) => panic!("the server sent {:?}", shown(self.rest())),
            Err(e) => assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{e}"),
        }
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }

    /// Waits until something has come from the server, without reading it.
    pub fn wait_readable(&self) {
        let Stream::Tcp(stream) = &self.stream else { panic!("TCP only") };
        stream.peek(&mut [0]).unwrap_or_else(|e| panic!("wait for a reply: {e}"));
    }

    /// Bytes received and not yet returned.
    pub fn rest(&self) -> &[u8] {
        &self.received[self.start..]
    }

    /// Reads once; answers how many bytes came, 0 at the end of the connection.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 && (self.start == self.received.len() || self.start > 1 << 20) {
            self.received.drain(..self.start);
            self.start = 0;
        }
        let old = self.received.len();
        let room = (old - self.start).clamp(64 * 1024, 16 << 20);
        self.received.resize(old + room, 0);
        let got = loop {
            match self.stream.read(&mut self.received[old..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break Ok(0),
                other => break other,
            }
        };
        self.received.truncate(old + *got.as_ref().unwrap_or(&0));
        got
    }
}

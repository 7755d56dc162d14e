//! A steady load, well below what a server can do, and how long its replies take. Never sends faster than it was told:
//! what a server cannot answer in time waits, and that wait counts from when the request was due.
//!
//! ```text
//! cargo bench --bench steady -- --port 7000 [--rate 10000] [--clients 20] [--keys 5000000] [--size 32]
//! ```
//!
//! SETs of random keys `key:N`, at equal distances, each on a connection that waits for nothing. For every line on
//! standard input it prints what it has seen since the one before, as JSON: microseconds from request to reply (p50,
//! p99, p999, max), how many, and how many were due while all connections waited. It ends with its input.
//!
//! Latencies are only as good as the generator's own CPU: run it by `chrt -f 50 taskset -c N`, away from the shards.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What it was told.
struct Options {
    port: u16,
    rate: u64,
    clients: usize,
    keys: u64,
    size: usize,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut told = Options { port: 0, rate: 10_000, clients: 20, keys: 5_000_000, size: 32 };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} lacks its value"))?;
        match name.as_str() {
            "--port" => told.port = value.parse()?,
            "--rate" => told.rate = value.parse()?,
            "--clients" => told.clients = value.parse()?,
            "--keys" => told.keys = value.parse()?,
            "--size" => told.size = value.parse()?,
            _ => return Err(format!("unknown: {name}").into()),
        }
    }
    Ok(told)
}

/// A connection, and when the request was due that it waits for.
struct Conn {
    socket: TcpStream,
    due: Option<Instant>,
}

/// What was seen since the last line.
#[derive(Default)]
struct Seen {
    waits_ns: Vec<u64>,
    late: u64,
}

impl Seen {
    fn print(&mut self) {
        self.waits_ns.sort_unstable();
        let count = self.waits_ns.len();
        let at = |part: f64| self.waits_ns.get((count as f64 * part) as usize).map_or(0, |ns| ns / 1000);
        let max = self.waits_ns.last().map_or(0, |ns| ns / 1000);
        let (p50, p99, p999, late) = (at(0.5), at(0.99), at(0.999), self.late);
        println!(r#"{{"p50": {p50}, "p99": {p99}, "p999": {p999}, "max": {max}, "count": {count}, "late": {late}}}"#);
        *self = Seen::default();
    }
}

/// The load.
struct Load {
    told: Options,
    conns: Vec<Conn>,
    /// Connections that wait for nothing.
    free: VecDeque<usize>,
    /// When requests were due that have no connection yet.
    waiting: VecDeque<Instant>,
    random: u64,
    seen: Seen,
}

impl Load {
    fn send(&mut self, due: Instant, at: usize) -> io::Result<()> {
        // xorshift64: the keys are to be spread, no more
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let key = format!("key:{}", self.random % self.told.keys);
        let (size, value) = (self.told.size, "y".repeat(self.told.size));
        let request = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${size}\r\n{value}\r\n", key.len());
        self.conns[at].due = Some(due);
        self.conns[at].socket.write_all(request.as_bytes())
    }

    fn receive(&mut self, at: usize) -> io::Result<()> {
        let mut reply = [0; 64];
        match self.conns[at].socket.read(&mut reply) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(_) if reply[0] != b'+' => {
                return Err(io::Error::other(format!("the server answers {}", String::from_utf8_lossy(&reply))));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(due) = self.conns[at].due.take() {
            self.seen.waits_ns.push(due.elapsed().as_nanos() as u64);
        }
        match self.waiting.pop_front() {
            Some(due) => self.send(due, at),
            None => {
                self.free.push_back(at);
                Ok(())
            }
        }
    }

    /// What tells which connections have something to read.
    fn poll(&self) -> io::Result<OwnedFd> {
        // SAFETY: a descriptor of our own, or an error.
        let poll = match unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } {
            ..0 => return Err(io::Error::last_os_error()),
            // SAFETY: nobody else has it.
            fd => unsafe { OwnedFd::from_raw_fd(fd) },
        };
        for (at, conn) in self.conns.iter().enumerate() {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: at as u64 };
            let (poll, socket) = (poll.as_raw_fd(), conn.socket.as_raw_fd());
            // SAFETY: both are open, and the event lives through the call.
            if unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_ADD, socket, &raw mut event) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(poll)
    }

    /// Runs until `lines` says that there are no more.
    fn run(&mut self, lines: &AtomicUsize) -> io::Result<()> {
        let every = Duration::from_nanos(1_000_000_000 / self.told.rate);
        let (mut next, mut printed) = (Instant::now(), 0);
        let poll = self.poll()?;
        let mut ready = vec![libc::epoll_event { events: 0, u64: 0 }; self.conns.len()];
        loop {
            let now = Instant::now();
            while next <= now {
                match self.free.pop_front() {
                    // the generator's own lateness is not the server's
                    Some(at) => self.send(Instant::now(), at)?,
                    None => {
                        self.seen.late += 1;
                        self.waiting.push_back(next);
                    }
                }
                next += every;
            }
            let left = next.saturating_duration_since(Instant::now());
            let timeout = libc::timespec { tv_sec: 0, tv_nsec: left.as_nanos() as i64 };
            // SAFETY: the array is as long as said and lives through the call, as does the time.
            let count = unsafe {
                let (first, most) = (ready.as_mut_ptr(), ready.len() as i32);
                libc::epoll_pwait2(poll.as_raw_fd(), first, most, &raw const timeout, std::ptr::null())
            };
            for event in &ready[..usize::try_from(count).unwrap_or(0)] {
                self.receive(event.u64 as usize)?;
            }
            match lines.load(Ordering::Relaxed) {
                usize::MAX => return Ok(()),
                lines if lines != printed => {
                    printed = lines;
                    self.seen.print();
                }
                _ => {}
            }
        }
    }
}

/// Lines that came on standard input; `usize::MAX` behind the last.
static LINES: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let told = options()?;
    if told.port == 0 {
        // `cargo bench` without arguments runs every bench in turn
        println!("steady: --port N says whom to load");
        return Ok(());
    }
    let mut conns = Vec::new();
    for _ in 0..told.clients {
        let socket = TcpStream::connect(("127.0.0.1", told.port))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        conns.push(Conn { socket, due: None });
    }
    std::thread::spawn(|| {
        for _ in io::stdin().lines() {
            LINES.fetch_add(1, Ordering::Relaxed);
        }
        LINES.store(usize::MAX, Ordering::Relaxed);
    });
    let free = (0..told.clients).collect();
    let mut load =
        Load { told, conns, free, waiting: VecDeque::new(), random: 0x9e37_79b9_7f4a_7c15, seen: Seen::default() };
    Ok(load.run(&LINES)?)
}

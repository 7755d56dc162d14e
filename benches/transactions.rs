//! What atomicity costs: server processor time of transactions and of commands with keys on several shards, beside
//! the plain commands they consist of, and what many clients see who want the same keys. Measures from outside, over
//! sockets.
//!
//! ```text
//! cargo bench --bench transactions -- [--seconds 3] [--server-cpu 0] [--load-cpu 1] SERVER [SERVER]
//!     SERVER: a command line in which {port} is filled in, such as 'target/release/pinion --shards 8 --port {port}'
//! ```
//!
//! "us/key" is the server's user and system time for one key that was read or written; "us/command" for one command of
//! the wire, MULTI and EXEC included. Run it on a machine that does nothing else.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Keys of each workload.
const KEYS: u64 = 100_000;
/// Connections of the pipelined workloads.
const CONNECTIONS: usize = 16;
/// Clients that want the same keys.
const RIVALS: usize = 50;
/// Keys of one multi-key command or transaction.
const TOGETHER: u64 = 10;
/// Keys that share a tag.
const TAGGED: u64 = 100;
/// Bytes of a value.
const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

type Failure = Box<dyn Error + Send + Sync>;

/// A server that ends with this value.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it through the shell, so that its command line may quote, and waits until it answers PING.
    fn start(command: &str, cpu: &str) -> Result<Server, Failure> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let line = format!("exec taskset -c {cpu} {}", command.replace("{port}", &port.to_string()));
        let child = Command::new("sh").args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        let server = Server { child, port };
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(50));
            let Ok(mut client) = Client::connect(port) else { continue };
            if client.call(b"PING\r\n", 1).is_ok() {
                return Ok(server);
            }
        }
        Err(format!("{command}: does not answer").into())
    }

    /// Processor time so far.
    fn time(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

/// One connection.
struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn connect(port: u16) -> Result<Client, Failure> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client { socket, received: Vec::new() })
    }

    fn call(&mut self, request: &[u8], replies: usize) -> Result<(), Failure> {
        self.socket.write_all(request)?;
        self.finish(replies)
    }

    /// Reads until so many replies are here; an error among them is a failure.
    fn finish(&mut self, mut replies: usize) -> Result<(), Failure> {
        self.received.clear();
        let (mut at, mut buffer) = (0, [0; 64 * 1024]);
        while replies > 0 {
            let bytes = self.socket.read(&mut buffer)?;
            if bytes == 0 {
                return Err("the server closed the connection".into());
            }
            self.received.extend_from_slice(&buffer[..bytes]);
            while replies > 0
                && let Some(end) = reply_end(&self.received, at)?
            {
                at = end;
                replies -= 1;
            }
        }
        Ok(())
    }
}

/// Where the reply that begins at `at` ends, if it is whole.
fn reply_end(bytes: &[u8], at: usize) -> Result<Option<usize>, Failure> {
    let Some(line) = bytes[at..].windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
    let end = at + line + 2;
    let text = std::str::from_utf8(&bytes[at + 1..at + line])?;
    match bytes[at] {
        b'-' => Err(text.to_string().into()),
        b'$' => {
            let length: i64 = text.parse()?;
            let whole = if length < 0 { end } else { end + length as usize + 2 };
            Ok((whole <= bytes.len()).then_some(whole))
        }
        b'*' => {
            let mut at = end;
            for _ in 0..text.parse::<i64>()?.max(0) {
                match reply_end(bytes, at)? {
                    Some(end) if end <= bytes.len() && at < bytes.len() => at = end,
                    _ => return Ok(None),
                }
            }
            Ok(Some(at))
        }
        _ => Ok(Some(end)),
    }
}

/// Random numbers that need no secrecy.
struct Dice(u64);

impl Dice {
    fn key(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % KEYS
    }
}

fn command(words: &[&str], request: &mut Vec<u8>) {
    let _ = write!(request, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
}

/// Writes one unit of a workload; answers its commands and keys.
type Unit = fn(&mut Dice, &mut Vec<u8>) -> (usize, u64);

fn one_set(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    command(&["SET", &format!("key:{:012}", dice.key()), VALUE], request);
    (1, 1)
}

fn one_get(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    command(&["GET", &format!("key:{:012}", dice.key())], request);
    (1, 1)
}

fn one_mset(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    let keys: Vec<String> = (0..TOGETHER).map(|_| format!("key:{:012}", dice.key())).collect();
    let words: Vec<&str> = ["MSET"].into_iter().chain(keys.iter().flat_map(|key| [&key[..], VALUE])).collect();
    command(&words, request);
    (1, TOGETHER)
}

fn one_mget(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    let keys: Vec<String> = (0..TOGETHER).map(|_| format!("key:{:012}", dice.key())).collect();
    let words: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(|key| &key[..])).collect();
    command(&words, request);
    (1, TOGETHER)
}

fn one_multi(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    let tag = dice.key() / TAGGED;
    command(&["MULTI"], request);
    for _ in 0..TOGETHER {
        command(&["SET", &tagged(tag, dice.key() % TAGGED), VALUE], request);
    }
    command(&["EXEC"], request);
    (TOGETHER as usize + 2, TOGETHER)
}

fn one_wide_multi(dice: &mut Dice, request: &mut Vec<u8>) -> (usize, u64) {
    command(&["MULTI"], request);
    for _ in 0..TOGETHER {
        command(&["SET", &format!("key:{:012}", dice.key()), VALUE], request);
    }
    command(&["EXEC"], request);
    (TOGETHER as usize + 2, TOGETHER)
}

/// A key of the tagged workload: as long as one of the plain ones.
fn tagged(tag: u64, number: u64) -> String {
    format!("{{{tag:06}}}:{number:07}")
}

/// Writes every key of all workloads once, so that each row overwrites and none inserts.
fn fill(server: &Server) -> Result<(), Failure> {
    let mut client = Client::connect(server.port)?;
    for first in (0..KEYS).step_by(TAGGED as usize) {
        let mut request = Vec::new();
        for number in 0..TAGGED {
            command(&["SET", &format!("key:{:012}", first + number), VALUE], &mut request);
            command(&["SET", &tagged(first / TAGGED, number), VALUE], &mut request);
        }
        client.call(&request, 2 * TAGGED as usize)?;
    }
    Ok(())
}

/// Runs pipelines of `pipeline` units on all connections for a while and prints a line.
fn row(name: &str, server: &Server, unit: Unit, pipeline: usize, span: Duration) -> Result<(), Failure> {
    let clients: Result<Vec<Client>, Failure> = (0..CONNECTIONS).map(|_| Client::connect(server.port)).collect();
    let (mut clients, mut dice) = (clients?, Dice(88_172_645_463_325_252));
    let (mut commands, mut keys, mut request) = (0, 0, Vec::new());
    let (begin, before) = (Instant::now(), server.time()?);
    while begin.elapsed() < span {
        let mut awaited = Vec::with_capacity(CONNECTIONS);
        for client in &mut clients {
            request.clear();
            let mut replies = 0;
            for _ in 0..pipeline {
                let (more, touched) = unit(&mut dice, &mut request);
                replies += more;
                keys += touched;
            }
            client.socket.write_all(&request)?;
            awaited.push(replies);
        }
        for (client, replies) in clients.iter_mut().zip(awaited) {
            client.finish(replies)?;
            commands += replies as u64;
        }
    }
    let (took, spent) = (begin.elapsed().as_secs_f64(), (server.time()? - before).as_secs_f64() * 1e6);
    println!(
        "  {name:34} {:9.0} {:9.3} {:9.3}",
        keys as f64 / took / 1e3,
        spent / keys as f64,
        spent / commands as f64
    );
    Ok(())
}

/// Many clients write the same keys at once: how long each waited at most.
fn rivals(server: &Server, span: Duration) -> Result<(), Failure> {
    let mut request = Vec::new();
    let keys: Vec<String> = (0..TOGETHER).map(|n| format!("same:{n}")).collect();
    let words: Vec<&str> = ["MSET"].into_iter().chain(keys.iter().flat_map(|key| [&key[..], VALUE])).collect();
    command(&words, &mut request);
    let one = || -> Result<(u64, Duration), Failure> {
        let mut client = Client::connect(server.port)?;
        let (begin, mut done, mut longest) = (Instant::now(), 0, Duration::ZERO);
        while begin.elapsed() < span {
            let asked = Instant::now();
            client.call(&request, 1)?;
            longest = longest.max(asked.elapsed());
            done += 1;
        }
        Ok((done, longest))
    };
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..RIVALS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked")?).collect::<Result<Vec<_>, _>>()
    })?;
    let all: u64 = results.iter().map(|(done, _)| done).sum();
    let least = results.iter().map(|(done, _)| *done).min().unwrap_or(0);
    let longest = results.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
    println!(
        "  {RIVALS} clients, MSET of the same {TOGETHER} keys: {:.0} k/s, fewest of a client {least}, \
         longest wait {:.1} ms",
        all as f64 / span.as_secs_f64() / 1e3,
        longest.as_secs_f64() * 1e3
    );
    let mut client = Client::connect(server.port)?;
    client.call(b"INFO everything\r\n", 1)?;
    let info = String::from_utf8_lossy(&client.received).into_owned();
    info.lines()
        .filter(|line| line.starts_with("transaction") || line.starts_with("locks_"))
        .for_each(|line| println!("  {line}"));
    Ok(())
}

fn main() -> Result<(), Failure> {
    let (mut seconds, mut server_cpu, mut load_cpu, mut servers) = (3.0, "0".to_string(), 1, Vec::new());
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        if !arg.starts_with("--") {
            servers.push(arg);
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} lacks its value"))?;
        match arg.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--server-cpu" => server_cpu = value,
            "--load-cpu" => load_cpu = value.parse()?,
            _ => return Err(format!("{arg}: not an argument of this program").into()),
        }
    }
    if servers.is_empty() {
        // `cargo bench` without arguments runs every bench in turn.
        println!("transactions: give it the command line of a server");
        return Ok(());
    }
    pinion::runtime::affinity::pin_to(load_cpu);
    let span = Duration::from_secs_f64(seconds);
    for line in &servers {
        let server = Server::start(line, &server_cpu)?;
        fill(&server)?;
        println!("{line}\n  {:34} {:>9} {:>9} {:>9}", "workload", "k keys/s", "us/key", "us/command");
        row("SET, pipeline 24", &server, one_set, 24, span)?;
        row("GET, pipeline 24", &server, one_get, 24, span)?;
        row("MULTI 10 SET EXEC, one tag, twice", &server, one_multi, 2, span)?;
        row("MULTI 10 SET EXEC, any keys, twice", &server, one_wide_multi, 2, span)?;
        row("MSET of 10, one at a time", &server, one_mset, 1, span)?;
        row("MGET of 10, one at a time", &server, one_mget, 1, span)?;
        row("SET, pipeline 10", &server, one_set, 10, span)?;
        row("GET, pipeline 10", &server, one_get, 10, span)?;
        rivals(&server, span)?;
    }
    Ok(())
}

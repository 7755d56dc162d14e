//! How long single commands wait while a server's table grows from nothing to millions of keys. Measures from outside,
//! over sockets; never looks into a server.
//!
//! ```text
//! cargo bench --bench growth -- [--keys 20000000] [--server-cpu 0] [--load-cpu 1] SERVER [SERVER]
//!     SERVER: a command line in which {port} is filled in, such as
//!     'target/release/pinion --save "" --shards 1 --port {port}'   'valkey-server --save "" --port {port}'
//! ```
//!
//! One connection sets the keys in pipelines of 100; another sets one new key at a time and waits for its reply, some
//! thousand times a second. A server that stops to grow its table delays whatever comes next on either: `single` is
//! the second connection's round trips, `batch` the first one's, whose maximum is the longest stop of all. The same
//! keys are then set once more: the same load with no growth, hence what the machine's noise amounts to. What `fill`
//! shows beyond `again` is growth. Run it on a machine that does nothing else.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Keys of one pipeline: few, so that a single command never waits long for a pipeline before it.
const BATCH: u64 = 100;
/// Rest of the second connection between two commands.
const REST: Duration = Duration::from_micros(150);
/// Bytes of a value.
const VALUE: [u8; 32] = [b'v'; 32];
/// Round trips kept of one phase, at most.
const SAMPLES_MAX: usize = 4_000_000;

type Failure = Box<dyn Error + Send + Sync>;

/// What the arguments say.
struct Options {
    keys: u64,
    server_cpu: String,
    load_cpu: usize,
    servers: Vec<String>,
}

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

/// One connection and its buffers.
struct Client {
    socket: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Client {
    fn connect(port: u16) -> Result<Client, Failure> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client { socket, request: Vec::new(), reply: vec![0; 16 * 1024] })
    }

    /// Sets the keys `from..to` of the family `prefix`; answers how long until the last reply was here.
    fn set(&mut self, prefix: char, from: u64, to: u64) -> Result<Duration, Failure> {
        self.request.clear();
        for key in from..to {
            write!(self.request, "*3\r\n$3\r\nSET\r\n$16\r\n{prefix}:{key:014}\r\n${}\r\n", VALUE.len())?;
            self.request.extend_from_slice(&VALUE);
            self.request.extend_from_slice(b"\r\n");
        }
        let begin = Instant::now();
        self.socket.write_all(&self.request)?;
        let wanted = (to - from) as usize * b"+OK\r\n".len();
        let mut got = 0;
        while got < wanted {
            let bytes = self.socket.read(&mut self.reply)?;
            if bytes == 0 || self.reply[..bytes].contains(&b'-') {
                return Err(format!("SET failed: {}", String::from_utf8_lossy(&self.reply[..bytes])).into());
            }
            got += bytes;
        }
        Ok(begin.elapsed())
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { keys: 20_000_000, server_cpu: "0".into(), load_cpu: 1, servers: Vec::new() };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        if !arg.starts_with("--") {
            options.servers.push(arg);
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} lacks its value"))?;
        match arg.as_str() {
            "--keys" => options.keys = value.parse()?,
            "--server-cpu" => options.server_cpu = value,
            "--load-cpu" => options.load_cpu = value.parse()?,
            _ => return Err(format!("{arg}: not an argument of this program").into()),
        }
    }
    Ok(options)
}

/// Starts a server through the shell, so that its command line may quote, and waits until it answers PING.
fn start(command: &str, cpu: &str) -> Result<Server, Failure> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let line = format!("exec taskset -c {cpu} {}", command.replace("{port}", &port.to_string()));
    let child = Command::new("sh").args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let server = Server { child, port };
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        let Ok(mut client) = Client::connect(port) else { continue };
        client.socket.write_all(b"PING\r\n")?;
        let mut reply = [0; 5];
        if client.socket.read_exact(&mut reply).is_ok() && &reply == b"+PONG" {
            return Ok(server);
        }
    }
    Err(format!("{command}: does not answer").into())
}

/// Sets all keys once while single commands are timed: round trips of single commands, then those of pipelines.
fn phase(port: u16, keys: u64) -> Result<[Vec<Duration>; 2], Failure> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let single = scope.spawn(|| -> Result<Vec<Duration>, Failure> {
            let mut client = Client::connect(port)?;
            let mut took = Vec::new();
            while !done.load(Ordering::Relaxed) && took.len() < SAMPLES_MAX {
                took.push(client.set('s', took.len() as u64, took.len() as u64 + 1)?);
                std::thread::sleep(REST);
            }
            Ok(took)
        });
        let fill = || -> Result<Vec<Duration>, Failure> {
            let mut client = Client::connect(port)?;
            let firsts = (0..keys).step_by(BATCH as usize);
            firsts.map(|first| client.set('k', first, (first + BATCH).min(keys))).collect()
        };
        let batch = fill();
        done.store(true, Ordering::Relaxed);
        let single = single.join().map_err(|_| "the second connection's thread panicked")?;
        Ok([single?, batch?])
    })
}

/// One line: the quantiles of `took`, in milliseconds.
fn print(phase: &str, what: &str, took: &mut [Duration]) {
    took.sort_unstable();
    let ms = |share: f64| {
        let at = took.get((took.len() as f64 * share) as usize).or(took.last());
        at.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    print!("  {phase:6} {what:7} {:9}", took.len());
    println!(" {:9.3} {:9.3} {:9.3} {:9.3}", ms(0.5), ms(0.99), ms(0.9999), ms(1.0));
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    if options.servers.is_empty() {
        // `cargo bench` without arguments runs every bench in turn.
        println!("growth: give it the command line of a server");
        return Ok(());
    }
    pinion::runtime::affinity::pin_to(options.load_cpu);
    for command in &options.servers {
        let server = start(command, &options.server_cpu)?;
        println!("{command}: {} keys, round trips in ms", options.keys);
        println!("  phase  of          count       p50       p99    p99.99       max");
        for name in ["fill", "again"] {
            let begin = Instant::now();
            let [mut single, mut batch] = phase(server.port, options.keys)?;
            let seconds = begin.elapsed().as_secs_f64();
            print(name, "single", &mut single);
            print(name, "batch", &mut batch);
            println!("  {name:6} in {seconds:.1} s");
        }
    }
    Ok(())
}

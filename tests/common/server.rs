//! Starts servers for tests on ports of their own and ends them by process id. Never touches a server it did not start.

use super::client::{Address, Client};
use super::value::Value;
use super::{PATIENCE, sys};
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Which server to start, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Command words: a program and what stands before its own arguments.
    pub program: Vec<String>,
    /// Whether it takes Pinion's own settings.
    pub is_pinion: bool,
    /// `--shards`
    pub shards: usize,
    /// `--io-driver`
    pub driver: String,
}

impl Setup {
    /// Pinion with this many shards on this driver.
    pub fn pinion(shards: usize, driver: &str) -> Setup {
        let program = vec![env!("CARGO_BIN_EXE_pinion").to_string()];
        Setup { program, is_pinion: true, shards, driver: driver.to_string() }
    }

    /// Another server, named by its command words separated by blanks.
    pub fn other(command: &str) -> Setup {
        let program = command.split_whitespace().map(str::to_string).collect();
        Setup { program, is_pinion: false, shards: 1, driver: String::new() }
    }

    /// Debian's redis-server: what replies are compared with.
    pub fn oracle() -> Setup {
        Setup::other("redis-server")
    }

    /// For the log: which setup a failure belongs to.
    pub fn name(&self) -> String {
        if self.is_pinion { format!("{} shards, {}", self.shards, self.driver) } else { self.program.join(" ") }
    }

    /// Every setup a test runs with: 1, 2 and 5 shards on both drivers.
    ///
    /// `PINION_TEST_SHARDS` and `PINION_TEST_DRIVERS` (comma-separated) narrow it. `PINION_TEST_SERVER` names another
    /// server to run the same tests against: `PINION_TEST_SERVER=redis-server` tests the tests.
    pub fn all() -> Vec<Setup> {
        if let Ok(command) = std::env::var("PINION_TEST_SERVER") {
            return vec![Setup::other(&command)];
        }
        let shards = std::env::var("PINION_TEST_SHARDS").unwrap_or_else(|_| "1,2,5".into());
        let drivers = std::env::var("PINION_TEST_DRIVERS").unwrap_or_else(|_| {
            if sys::has_io_uring() {
                return "uring,epoll".into();
            }
            eprintln!("note: io_uring is refused here; only the epoll driver is tested");
            "epoll".into()
        });
        let mut setups = Vec::new();
        for driver in drivers.split(',') {
            for count in shards.split(',') {
                setups.push(Setup::pinion(count.parse().expect("PINION_TEST_SHARDS"), driver));
            }
        }
        setups
    }

    /// One setup that exercises hops, for tests where all of them would only take longer.
    pub fn typical() -> Setup {
        let all = Setup::all();
        all.iter().find(|s| s.shards == 2).unwrap_or(&all[0]).clone()
    }
}

/// Runs `test` once for every setup; a failure names the setup.
pub fn each_setup(test: impl Fn(&Setup)) {
    for setup in Setup::all() {
        let _named = OnPanic(format!("with {}", setup.name()));
        test(&setup);
    }
}

/// Prints its text if the test fails while it lives.
pub struct OnPanic(pub String);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- {}", self.0);
        }
    }
}

/// Arguments of a server that is about to start.
#[derive(Debug, Clone)]
pub struct Launch {
    setup: Setup,
    args: Vec<String>,
    config: Option<String>,
    stdin: Option<String>,
    host: String,
    bind: Option<String>,
    unix: bool,
    default_save: bool,
    open_files: Option<u64>,
    fail_syncs: bool,
}

impl Launch {
    /// A server of this setup on 127.0.0.1 and a free port, with nothing saved.
    pub fn new(setup: &Setup) -> Launch {
        Launch {
            setup: setup.clone(),
            args: Vec::new(),
            config: None,
            stdin: None,
            host: "127.0.0.1".into(),
            bind: None,
            unix: false,
            default_save: false,
            open_files: None,
            fail_syncs: false,
        }
    }

    /// Adds arguments, separated by blanks; `''` stands for an empty one.
    pub fn args(mut self, line: &str) -> Launch {
        self.args.extend(line.split_whitespace().map(|word| if word == "''" { "" } else { word }.to_string()));
        self
    }

    /// Starts it from a configuration file with this text (the arguments still follow).
    pub fn config(mut self, text: &str) -> Launch {
        self.config = Some(text.into());
        self
    }

    /// Gives it this text as its configuration on standard input.
    pub fn stdin(mut self, text: &str) -> Launch {
        self.stdin = Some(text.into());
        self
    }

    /// Listens on this host instead of 127.0.0.1.
    pub fn host(mut self, host: &str) -> Launch {
        self.host = host.into();
        self
    }

    /// Listens on these addresses, separated by blanks; [`Server::address`] still names the host.
    pub fn bind(mut self, addresses: &str) -> Launch {
        self.bind = Some(addresses.into());
        self
    }

    /// Listens on a unix socket as well; the server's [`Server::unix`] is its address.
    pub fn unix(mut self) -> Launch {
        self.unix = true;
        self
    }

    /// Leaves the save points to it.
    pub fn default_save(mut self) -> Launch {
        self.default_save = true;
        self
    }

    /// Limits the server's open files.
    pub fn open_files(mut self, files: u64) -> Launch {
        self.open_files = Some(files);
        self
    }

    /// Has its `fdatasync` fail with EIO.
    pub fn fail_syncs(mut self) -> Launch {
        self.fail_syncs = true;
        self
    }

    /// Starts it and waits until it answers; fails the test if it does not.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|why| panic!("{:?} did not start: {why}", self.setup))
    }

    /// As [`Launch::start`], but answers why it did not start.
    pub fn try_start(&self) -> Result<Server, String> {
        self.start_until(false)
    }

    /// As [`Launch::start`], but it may be loading its data still.
    pub fn start_loading(&self) -> Server {
        self.start_until(true).unwrap_or_else(|why| panic!("{:?} did not start: {why}", self.setup))
    }

    fn start_until(&self, may_load: bool) -> Result<Server, String> {
        let mut last = String::new();
        for _ in 0..5 {
            let mut server = self.spawn(free_port(&self.host));
            match server.wait_ready(may_load) {
                Ok(()) => return Ok(server),
                Err(why) => last = format!("{why}\n{}", server.log()),
            }
            // Between probing and binding, another process may have taken the port: only then is a retry honest.
            if !last.to_lowercase().contains("in use") {
                break;
            }
        }
        Err(last)
    }

    /// Starts it on this port and waits for its end, which must come; returns status and output.
    pub fn start_failing(&self, port: u16) -> (ExitStatus, String) {
        let mut server = self.spawn(port);
        let status = server.wait_exit();
        (status, server.log())
    }

    fn spawn(&self, port: u16) -> Server {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("server-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).expect("a folder for the server");
        let log = dir.join("log");
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(&self.setup.program[0]);
        command.args(&self.setup.program[1..]);
        if let Some(text) = &self.config {
            let path = dir.join("test.conf");
            fs::write(&path, text).expect("a configuration file");
            command.arg(path);
        }
        if self.stdin.is_some() {
            command.arg("-");
        }
        if !self.default_save {
            command.args(["--save", ""]);
        }
        command.args(["--port", &port.to_string(), "--bind"]);
        command.args(self.bind.as_deref().unwrap_or(&self.host).split(' '));
        if self.setup.is_pinion {
            command.args(["--shards", &self.setup.shards.to_string(), "--io-driver", &self.setup.driver]);
        }
        let unix = short_socket_path(port);
        if self.unix {
            command.args(["--unixsocket", &unix]);
        }
        command.args(&self.args).current_dir(&dir);
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        sys::die_with_parent(&mut command);
        if let Some(files) = self.open_files {
            sys::limit_open_files(&mut command, files);
        }
        if self.fail_syncs && !sys::fail_syncs(&mut command) {
            println!("system calls cannot be made to fail here");
        }
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {:?}: {e}", self.setup.program));
        if let (Some(text), Some(mut stdin)) = (&self.stdin, child.stdin.take()) {
            // A server that refuses its arguments may have ended before it reads.
            let _ = stdin.write_all(text.as_bytes());
        }
        let address = Address::Tcp(self.host.clone(), port);
        Server { child, address, unix: self.unix.then_some(Address::Unix(unix)), dir, log, name: self.setup.name() }
    }
}

/// A unix socket's path may have 107 bytes; the target folder's may be longer already.
fn short_socket_path(port: u16) -> String {
    std::env::temp_dir().join(format!("pinion-test-{}-{port}.sock", std::process::id())).to_string_lossy().into_owned()
}

/// A port that was free a moment ago.
pub fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap_or_else(|e| panic!("probe a port on {host}: {e}"));
    listener.local_addr().expect("an address").port()
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: Address,
    /// Its unix socket, if it was asked for one.
    pub unix: Option<Address>,
    /// Its working directory; removed in the end.
    pub dir: PathBuf,
    log: PathBuf,
    name: String,
}

impl Server {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(_, port) => *port,
            Address::Unix(_) => 0,
        }
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    /// A new connection that speaks RESP3.
    pub fn client3(&self) -> Client {
        let mut client = self.client();
        let hello = client.run("HELLO 3");
        assert!(!hello.is_error(), "{hello:?}");
        client
    }

    /// All that it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Fails the test unless the server still runs and answers.
    pub fn assert_alive(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the server ended, {status}");
        }
        assert_eq!(self.client().run("PING"), super::Value::Simple(b"PONG".to_vec()));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        sys::kill(self.pid(), signal);
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the server") {
                return status;
            }
            assert!(Instant::now() < end, "the server did not end; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_ready(&mut self, may_load: bool) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("it ended, {status}"));
            }
            if let Ok(mut client) = Client::try_connect(&self.address) {
                client.send_raw(b"PING\r\n");
                // An error is an answer too: it may want a password.
                let answers =
                    |reply: Value| may_load || !matches!(reply, Value::Error(why) if why.starts_with(b"LOADING"));
                if client.try_recv().is_ok_and(|reply| reply.is_some_and(answers)) && self.owns_its_port() {
                    return Ok(());
                }
            }
            if Instant::now() > end {
                return Err("it does not answer".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whoever answered might be another process that took the port first; then ours is about to end.
    fn owns_its_port(&mut self) -> bool {
        thread::sleep(Duration::from_millis(10));
        !matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- the log of the server ({}), its end:", self.name);
            for line in tail.iter().rev() {
                eprintln!("    {line}");
            }
        }
        if let Some(Address::Unix(path)) = &self.unix {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

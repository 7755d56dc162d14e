//! Starts a server for each setup, and runs client programs to their end or time limit. Ends only what it started.

use crate::common::server::OnPanic;
use crate::common::{Launch, PATIENCE, Server, Setup, sys};
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) text: String,
    /// Its standard error.
    pub(crate) errors: String,
}

impl Output {
    /// Its standard output; fails the test unless the program ended with 0 and complained of nothing.
    pub(crate) fn clean(self) -> String {
        assert!(self.status.success() && self.errors.is_empty(), "{self:#?}");
        self.text
    }
}

/// A running program, killed when this goes away.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a stream to its end in a thread, so that the program never waits for room in a pipe.
fn drain(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs `command` with `input` on its standard input; fails the test if it has not ended within [`PATIENCE`].
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sys::die_with_parent(command);
    let mut child = Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/run --prepare")));
    let text = drain(child.0.stdout.take().expect("piped"));
    let errors = drain(child.0.stderr.take().expect("piped"));
    let mut stdin = child.0.stdin.take().expect("piped");
    let end = Instant::now() + PATIENCE;
    let status = thread::scope(|scope| {
        // A program that ends early leaves the rest of its input unread; its output says why.
        scope.spawn(move || stdin.write_all(input));
        loop {
            if let Some(status) = child.0.try_wait().expect("wait for a child") {
                return Some(status);
            }
            if Instant::now() > end {
                // The input's thread ends with the program.
                let _ = child.0.kill();
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    drop(child);
    let (text, errors) = (text.join().expect("read"), errors.join().expect("read"));
    let Some(status) = status else { panic!("{command:?} ran longer than {PATIENCE:?}:\n{text}\n{errors}") };
    Output { status, text, errors }
}

/// Starts `command` and returns once `enough` holds for the standard output so far, which it answers; the program is
/// then killed. Fails the test if the program ends before, or within [`PATIENCE`] has not written enough.
pub(crate) fn run_until(command: &mut Command, name: &str, enough: impl Fn(&str) -> bool) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.out", std::process::id()));
    let file = fs::File::create(&path).expect("a file for the output");
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file);
    sys::die_with_parent(command);
    let mut child = Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/run --prepare")));
    let end = Instant::now() + PATIENCE;
    loop {
        let ended = child.0.try_wait().expect("wait for a child");
        let text = fs::read_to_string(&path).expect("the output");
        if enough(&text) {
            let _ = fs::remove_file(&path);
            return text;
        }
        assert!(ended.is_none() && Instant::now() < end, "{command:?} {ended:?} wrote only:\n{text}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// One shard and several, on the first driver there is: clients cannot see drivers, the tests of sockets cover them.
fn setups() -> Vec<Setup> {
    let all = Setup::all();
    match &all[0] {
        first if first.is_pinion => [1, 3].map(|shards| Setup::pinion(shards, &first.driver)).to_vec(),
        other => vec![other.clone()],
    }
}

/// Runs `test` on a fresh server of every setup, and asks afterwards whether the server is still there.
pub(crate) fn each_server(test: impl Fn(&Setup, &Server)) {
    for setup in setups() {
        let _named = OnPanic(format!("with {}", setup.name()));
        let mut server = Launch::new(&setup).start();
        test(&setup, &server);
        server.assert_alive();
    }
}

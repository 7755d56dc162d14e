//! What is left of a process that dies of a fault: a report in its log, written by the signal's handler.
//!
//! The handler takes no lock and allocates nothing: it formats into a small buffer of its own and writes that to a
//! descriptor. What the report says of the server was made into text when it started. The unwinder is the one thing
//! in it that no standard allows there; it is called once before, so that it is loaded and set up, and an alarm ends
//! the process should it hang. Never goes on after a fault: the signal then ends the process as if nobody had caught
//! it, core file included.

use crate::base::clock;
use std::fmt::{self, Write as _};
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What a report needs to know before there is a fault.
#[derive(Debug)]
pub struct Setup {
    /// Where it goes; open until the process ends.
    pub descriptor: RawFd,
    /// Writes what a log line begins with. Runs in the handler: no lock that waits, no allocation.
    pub head: fn(&mut Line),
    /// What it says of the server: lines.
    pub facts: String,
}

struct Report {
    setup: Setup,
    /// When the process started, milliseconds since 1970.
    since_ms: u64,
    /// Where the program's own code lies: what debuggers count from, and its end.
    program: (usize, usize),
}

static REPORT: OnceLock<Report> = OnceLock::new();
static ENABLED: AtomicBool = AtomicBool::new(true);
/// The thread that writes the report; 0 as long as there is none.
static REPORTER: AtomicI32 = AtomicI32::new(0);

const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
const FRAMES_MAX: usize = 64;
/// Seconds that a report may take before the process is ended without the rest of it.
const REPORT_S_MAX: u32 = 10;

/// Writes reports from now on. A second call in one process does nothing.
pub fn install(setup: Setup) {
    if REPORT.set(Report { setup, since_ms: clock::unix_ms_now(), program: program() }).is_err() {
        return;
    }
    frames(&mut [std::ptr::null_mut(); FRAMES_MAX]);
    for signal in SIGNALS {
        // SAFETY: the action is fully initialised, and `on_fault` has the signature that SA_SIGINFO asks for. Threads
        // of the standard library have a stack for signals, without which SA_ONSTACK means nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigemptyset(&mut action.sa_mask);
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Whether a fault is reported, as `crash-log-enabled` says; it ends the process all the same.
pub fn enable(on: bool) {
    ENABLED.store(on, Ordering::Relaxed);
}

/// Writes `text` to the log past its lock, as what a panic says must get there whoever holds it.
pub fn say(text: &str) {
    let Some(report) = REPORT.get() else { return };
    let mut line = Line::new();
    (report.setup.head)(&mut line);
    line.flush(report.setup.descriptor);
    write_all(report.setup.descriptor, text.as_bytes());
    write_all(report.setup.descriptor, b"\n");
}

/// Ends the process as an invalid access to memory does, without making one.
pub fn segfault() -> ! {
    // SAFETY: raise touches no memory.
    unsafe {
        libc::raise(libc::SIGSEGV);
    }
    std::process::abort()
}

/// Text of bounded length; what does not fit is left out.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line { bytes: [0; 256], len: 0 }
    }

    fn push(&mut self, byte: u8) {
        if self.len < self.bytes.len() {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    /// Writes it out and begins anew.
    fn flush(&mut self, descriptor: RawFd) {
        write_all(descriptor, &self.bytes[..self.len]);
        self.len = 0;
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

fn write_all(descriptor: RawFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are those of a live slice; write(2) may be called in a signal handler.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            // nobody is left who could be told
            Err(_) | Ok(0) => return,
            Ok(written) => bytes = &bytes[written..],
        }
    }
}

/// The handler. One thread reports; others that fail meanwhile wait for the end it brings.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: gettid, alarm, pause, signal and raise touch no memory of ours. The kernel gave `info` and `context`,
    // which are valid until the handler returns.
    unsafe {
        let thread = libc::gettid();
        match REPORTER.compare_exchange(0, thread, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                if let Some(report) = REPORT.get().filter(|_| ENABLED.load(Ordering::Relaxed)) {
                    libc::signal(libc::SIGALRM, libc::SIG_DFL);
                    libc::alarm(REPORT_S_MAX);
                    report.write(signal, &*info, instruction(context));
                }
            }
            Err(first) if first != thread => loop {
                libc::pause();
            },
            // the report itself failed
            Err(_) => {}
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

impl Report {
    fn write(&self, signal: libc::c_int, info: &libc::siginfo_t, instruction: usize) {
        let out = self.setup.descriptor;
        write_all(out, b"\n\n=== PINION BUG REPORT START: Cut & paste starting from here ===\n");
        let version = env!("CARGO_PKG_VERSION");
        self.line(format_args!("Pinion {version} crashed by signal: {signal}, si_code: {}", info.si_code));
        // SAFETY: for signals that somebody sent (codes from 0 down) the kernel fills in who, for others an address.
        let (address, pid, uid) = unsafe { (info.si_addr(), info.si_pid(), info.si_uid()) };
        if info.si_code > 0 {
            self.line(format_args!("Accessing address: {address:p}"));
        } else {
            self.line(format_args!("Killed by PID: {pid}, UID: {uid}"));
        }
        if instruction != 0 {
            self.line(format_args!("Crashed running the instruction at: {:#x}", Place(self, instruction)));
        }
        let name = thread_name();
        let name = std::str::from_utf8(&name).unwrap_or("").trim_end_matches('\0');
        let seconds = clock::unix_ms_now().saturating_sub(self.since_ms) / 1000;
        self.line(format_args!("In thread: {name}, {seconds} seconds after the start"));
        write_all(out, b"\n------ INFO OUTPUT ------\n");
        write_all(out, self.setup.facts.as_bytes());
        copy_memory_figures(out);
        write_all(out, b"\n------ STACK TRACE ------\n");
        let mut addresses = [std::ptr::null_mut(); FRAMES_MAX];
        let found = frames(&mut addresses);
        let mut line = Line::new();
        for address in &addresses[..found] {
            let _ = writeln!(line, "{:#x}", Place(self, address.addr()));
            line.flush(out);
        }
        write_all(out, b"\naddr2line -f -C -e the same binary makes names and lines of what begins with a plus.\n");
        write_all(out, b"\n=== PINION BUG REPORT END. Make sure to include from START to END. ===\n\n");
    }

    fn line(&self, text: fmt::Arguments<'_>) {
        let mut line = Line::new();
        (self.setup.head)(&mut line);
        let _ = line.write_fmt(text);
        line.push(b'\n');
        line.flush(self.setup.descriptor);
    }
}

/// An address: in the program itself as a distance from its start, which does not change from start to start.
struct Place<'a>(&'a Report, usize);

impl fmt::LowerHex for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = self.0.program;
        if (start..end).contains(&self.1) {
            return write!(f, "pinion(+{:#x})", self.1 - start);
        }
        write!(f, "{:#x}", self.1)
    }
}

/// Where the program's file is mapped: the first byte and the one behind the last.
fn program() -> (usize, usize) {
    let path = std::env::current_exe().unwrap_or_default();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let of_file = maps.lines().filter(|line| !path.as_os_str().is_empty() && line.ends_with(&*path.to_string_lossy()));
    let ranges = of_file.filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    ranges.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).unwrap_or((0, 0))
}

/// Who called whom, from here outward; how many.
#[cfg(target_env = "gnu")]
fn frames(addresses: &mut [*mut libc::c_void; FRAMES_MAX]) -> usize {
    // SAFETY: the array has room for as many addresses as it is said to have.
    let found = unsafe { libc::backtrace(addresses.as_mut_ptr(), FRAMES_MAX as libc::c_int) };
    usize::try_from(found).unwrap_or(0)
}

/// Other C libraries have no unwinder to call.
#[cfg(not(target_env = "gnu"))]
fn frames(_: &mut [*mut libc::c_void; FRAMES_MAX]) -> usize {
    0
}

/// The instruction that ran when the signal came; 0 where that is not known.
///
/// # Safety
/// `context` is what the kernel gave the handler.
#[cfg(target_arch = "x86_64")]
unsafe fn instruction(context: *mut libc::c_void) -> usize {
    // SAFETY: handlers of SA_SIGINFO are given a ucontext_t.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] as usize }
}

/// As above.
///
/// # Safety
/// None of the kind: nothing is read.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn instruction(_: *mut libc::c_void) -> usize {
    0
}

fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the last of them zero.
    unsafe {
        libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
    }
    name
}

/// Writes what the kernel says of the memory and the threads of this process.
fn copy_memory_figures(out: RawFd) {
    // SAFETY: the path ends in a zero byte; `chunk` has room for as much as is read; open, read and close may be
    // called in a signal handler.
    unsafe {
        let file = libc::open(c"/proc/self/status".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let mut chunk = [0u8; 128];
        let mut line = Line::new();
        while let Ok(read @ 1..) = usize::try_from(libc::read(file, chunk.as_mut_ptr().cast(), chunk.len())) {
            for &byte in &chunk[..read] {
                line.push(byte);
                if byte == b'\n' {
                    let told = line.bytes.starts_with(b"Vm") || line.bytes.starts_with(b"Threads");
                    line.len *= usize::from(told);
                    line.flush(out);
                }
            }
        }
        libc::close(file);
    }
}

//! The system calls that tests need and std lacks. The only test file with `unsafe`.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Sends `signal` to the process `pid`.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: kill takes two integers and touches no memory of ours.
    let result = unsafe { libc::kill(pid as libc::pid_t, signal) };
    assert_eq!(result, 0, "kill {pid}: {}", io::Error::last_os_error());
}

/// Raises this process's limit on open files as far as allowed; answers the limit. Children inherit it.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a live rlimit.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
    }
    limit.rlim_cur
}

/// Has the kernel kill the child when the thread that starts it ends, so that no test run leaves a server behind.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: the hook runs between fork and exec and makes one system call, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// Gives the child at most `files` open files.
pub fn limit_open_files(command: &mut Command, files: u64) {
    // SAFETY: as in `die_with_parent`; the closure owns its copy of the number.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
            Ok(())
        });
    }
}

/// Lets a process that runs make no file longer than `bytes`.
pub fn limit_file_bytes(pid: u32, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the call reads a live rlimit and writes nothing.
    let result = unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "RLIMIT_FSIZE: {}", io::Error::last_os_error());
}

/// Has every `fdatasync` of the child fail as on a disk that fails, or answers false where that cannot be had.
#[cfg(target_arch = "x86_64")]
pub fn fail_syncs(command: &mut Command) -> bool {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // SAFETY: the hook runs between fork and exec and makes two system calls, which are async-signal-safe; the filter
    // that they read lives in the closure.
    unsafe {
        command.pre_exec(move || {
            let mut filter = [
                step(LOAD_NUMBER, 0, 0, 0),
                step(JUMP_IF_EQUAL, 0, 1, libc::SYS_fdatasync as u32),
                step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EIO as u32),
                step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
            ];
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
            let failed = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0;
            if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    true
}

/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub fn fail_syncs(_: &mut Command) -> bool {
    false
}

/// Sets a socket's receive buffer, bytes: a small one makes back-pressure show early.
pub fn set_receive_buffer(socket: &impl AsRawFd, bytes: i32) {
    // SAFETY: the option value is a live i32 and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "SO_RCVBUF: {}", io::Error::last_os_error());
}

/// Makes `close` send a reset instead of an orderly end (SO_LINGER of zero seconds).
pub fn reset_on_close(socket: &impl AsRawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option value is a live linger and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "SO_LINGER: {}", io::Error::last_os_error());
}

/// Bytes of memory a process holds (`VmRSS`).
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("kilobytes") * 1024
}

/// Open file descriptors of a process.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").count()
}

/// Processor time a process has used, user and system, in ticks of [`ticks_per_second`].
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

/// The unit of [`cpu_ticks`].
pub fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    (unsafe { libc::sysconf(libc::_SC_CLK_TCK) }) as u64
}

/// Whether this kernel and sandbox let an unprivileged `io_uring_setup` through.
pub fn has_io_uring() -> bool {
    let mut params = [0_u8; 120];
    // SAFETY: io_uring_params is 120 bytes; the kernel reads and writes only those.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if fd < 0 {
        return false;
    }
    // SAFETY: the call above returned this descriptor, and nothing else owns it.
    unsafe { libc::close(fd as i32) };
    true
}

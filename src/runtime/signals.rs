//! SIGTERM and SIGINT: blocked in every thread, waited for by one. Those that would end the process where a call's
//! error tells enough are ignored. Never runs code in a signal handler.

use std::io;

/// Blocks the ending signals for this thread and those it starts. Call it before the first thread.
pub fn block() -> io::Result<()> {
    // SAFETY: the set is initialised by sigemptyset before it is used, and lives on this stack.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        match libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Waits for an ending signal; its name.
pub fn wait() -> io::Result<&'static str> {
    let mut signal = 0;
    // SAFETY: as in `block`; `signal` outlives the call.
    let error = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigwait(&set, &mut signal)
    };
    match (error, signal) {
        (0, libc::SIGTERM) => Ok("SIGTERM"),
        (0, _) => Ok("SIGINT"),
        (error, _) => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Sends this process SIGTERM, so that [`wait`] returns: how SHUTDOWN ends the main thread.
pub fn raise_term() {
    // SAFETY: kill with our own process id touches no memory.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGTERM);
    }
}

/// Raises the soft limit of open files to `wanted`, as far as the hard limit lets it; what it is afterwards.
pub fn raise_open_files(wanted: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that outlives both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur < wanted {
            // root may raise the hard limit too; others get what there is
            let more = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
            let capped = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), rlim_max: limit.rlim_max };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &more) == 0 {
                limit = more;
            } else if libc::setrlimit(libc::RLIMIT_NOFILE, &capped) == 0 {
                limit = capped;
            }
        }
    }
    limit.rlim_cur
}

//! Small files beside the server: its process id, its unix socket.

use crate::admin::log;
use crate::base::config::Config;

/// Writes the process id where `pidfile` says.
pub fn write_pid_file(config: &Config) {
    if config.pidfile.is_empty() {
        return;
    }
    if let Err(error) = std::fs::write(&config.pidfile, format!("{}\n", std::process::id())) {
        log::warning(&format!("Failed to write PID file: {error}"));
    }
}

/// Takes away what would point at a server that is gone.
pub fn remove_at_end(config: &Config) {
    for path in [&config.pidfile, &config.unixsocket] {
        if !path.is_empty() {
            // gone already is as good
            let _ = std::fs::remove_file(path);
        }
    }
}

//! The server's own log: Redis's line format, to standard output or a file. Never called on a command's way.

use crate::base::clock;
use crate::base::config::{Config, LogLevel, LogTimestamp};
use crate::runtime::crash;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, OnceLock, PoisonError};

struct Log {
    file: Option<File>,
    level: LogLevel,
    timestamp: LogTimestamp,
}

static LOG: OnceLock<Mutex<Log>> = OnceLock::new();

/// Opens the log as the settings say. Call it once, before the first line; an error is the reason as one line.
pub fn init(config: &Config) -> Result<(), String> {
    let file = match config.logfile.as_str() {
        "" => None,
        path => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Some(opened.map_err(|e| format!("Can't open the log file: {path}: {e}"))?)
        }
    };
    let log = Log { file, level: config.loglevel, timestamp: config.log_timestamp_format };
    // a second start in one process (tests) keeps the first log
    let _ = LOG.set(Mutex::new(log));
    Ok(())
}

/// Takes over changed settings (CONFIG SET loglevel).
pub fn apply(config: &Config) {
    if let Some(log) = LOG.get() {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.level = config.loglevel;
        log.timestamp = config.log_timestamp_format;
    }
}

/// What an operator wants to know.
pub fn notice(text: &str) {
    line(LogLevel::Notice, '*', text);
}

/// What needs attention.
pub fn warning(text: &str) {
    line(LogLevel::Warning, '#', text);
}

fn line(level: LogLevel, mark: char, text: &str) {
    let Some(log) = LOG.get() else { return };
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if level < log.level {
        return;
    }
    let line = format!("{}{text}\n", Head(log.timestamp, clock::unix_ms_now(), mark));
    // a log that cannot be written has nowhere to say so
    let _ = match &mut log.file {
        Some(file) => file.write_all(line.as_bytes()),
        None => std::io::stdout().lock().write_all(line.as_bytes()),
    };
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Where the log goes: the file, or standard output.
pub fn descriptor() -> RawFd {
    let Some(log) = LOG.get() else { return libc::STDOUT_FILENO };
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.file.as_ref().map_or(libc::STDOUT_FILENO, File::as_raw_fd)
}

/// Begins a line of a crash report. Waits for nobody: who writes a line just now may be who crashed.
pub(crate) fn head_of_crash(line: &mut crash::Line) {
    let format = LOG.get().and_then(|log| log.try_lock().ok()).map_or(LogTimestamp::Legacy, |log| log.timestamp);
    // a line takes what fits
    let _ = write!(line, "{}", Head(format, clock::unix_ms_now(), '#'));
}

/// What a line begins with: the process, the time in milliseconds since 1970, and the mark of its level.
struct Head(LogTimestamp, u64, char);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:M ", std::process::id())?;
        timestamp(self.0, self.1, f)?;
        write!(f, " {} ", self.2)
    }
}

/// UTC; year, month and day after Howard Hinnant's "chrono-compatible low-level date algorithms".
fn timestamp(format: LogTimestamp, unix_ms: u64, to: &mut impl fmt::Write) -> fmt::Result {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let days = (seconds / 86_400) as i64 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match format {
        LogTimestamp::Milliseconds => write!(to, "{unix_ms}"),
        LogTimestamp::Iso8601 => write!(to, "{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{millis:03}+00:00"),
        LogTimestamp::Legacy => {
            write!(to, "{day:02} {} {year} {h:02}:{m:02}:{s:02}.{millis:03}", MONTHS[month as usize - 1])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(format: LogTimestamp, unix_ms: u64) -> String {
        let mut text = String::new();
        super::timestamp(format, unix_ms, &mut text).expect("text grows");
        text
    }

    #[test]
    fn dates_are_right() {
        let cases = [
            (0, "01 Jan 1970 00:00:00.000"),
            (951_782_400_123, "29 Feb 2000 00:00:00.123"),
            (1_795_228_262_001, "21 Nov 2026 02:31:02.001"),
        ];
        for (ms, text) in cases {
            assert_eq!(timestamp(LogTimestamp::Legacy, ms), text);
        }
        assert_eq!(timestamp(LogTimestamp::Iso8601, 0), "1970-01-01T00:00:00.000+00:00");
        assert_eq!(timestamp(LogTimestamp::Milliseconds, 17), "17");
    }
}

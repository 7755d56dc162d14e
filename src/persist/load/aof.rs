//! One append-only file of Redis: perhaps a snapshot first, then commands as RESP arrays. Transactions are given on
//! whole or not at all. Never changes the file.
//!
//! ```text
//! [snapshot] (command | "#" remark CR LF)*       remarks: times, with aof-timestamp-enabled
//! command = "*" words CR LF ("$" bytes CR LF word CR LF)*
//! ```

use crate::base::text::parse_u64;
use crate::persist::load::{LoadError, Refusal, Sink, Window, rdb};
use std::ops::Range;

/// Most words of one command.
const WORDS_MAX: u64 = 1 << 26;
/// Longest line that tells a length.
const LINE_BYTES_MAX: usize = 32;
/// Longest remark.
const REMARK_BYTES_MAX: usize = 64 * 1024;
/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the end of a command.
    Whole,
    /// In mid-command, or within a transaction: what begins at this byte was left out.
    Torn {
        /// Offset in the file.
        at: u64,
    },
}

/// Where the reader of a file's commands stands.
#[derive(Debug, Default)]
struct State {
    db: u64,
    /// Commands between MULTI and EXEC, and where the MULTI is.
    transaction: Option<(u64, Vec<Queued>)>,
}

#[derive(Debug)]
struct Queued {
    db: u64,
    at: u64,
    words: Vec<Vec<u8>>,
}

/// Why no command can be read.
enum Unread {
    /// More bytes are needed, at least so many in all.
    Short(usize),
    Wrong(&'static str),
}

/// Reads a file: its snapshot, if it begins with one, and its commands, from database 0 on.
pub fn read(window: &mut Window, sink: &mut dyn Sink) -> Result<Ending, LoadError> {
    window.fill(rdb_begin_bytes(window))?;
    if rdb::is_snapshot(window.unread()) {
        rdb::read(window, true, sink)?;
    }
    let mut state = State::default();
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut reported = window.position();
    loop {
        let at = window.position();
        match command(window.unread(), &mut words) {
            Ok(taken) => {
                if !words.is_empty() {
                    let unread = window.unread();
                    let words: Vec<&[u8]> = words.iter().map(|word| &unread[word.clone()]).collect();
                    state.take(at, &words, sink).map_err(|(at, why)| LoadError::refused(window.path(), at, why))?;
                }
                window.consume(taken);
            }
            Err(Unread::Wrong(why)) => {
                let why = format!("Bad file format reading the append only file: {why}");
                return Err(LoadError::damage(window.path(), at, why));
            }
            Err(Unread::Short(wanted)) => {
                if window.fill(wanted.max(window.unread().len() + 1))? {
                    continue;
                }
                if has_command_behind(window.unread()) {
                    let why = "a word that is longer than the rest of the file, with commands behind it";
                    return Err(LoadError::damage(window.path(), at, why));
                }
                sink.progress(window.len().saturating_sub(reported));
                return Ok(match state.transaction {
                    Some((at, _)) => Ending::Torn { at },
                    None if window.unread().is_empty() => Ending::Whole,
                    None => Ending::Torn { at },
                });
            }
        }
        if window.position() - reported >= PROGRESS_BYTES {
            sink.progress(window.position() - reported);
            reported = window.position();
        }
    }
}

/// Whether a command begins within bytes that begin as one and are none: then a length in them is wrong. A torn value
/// that itself holds commands looks the same; refusing it loses nothing.
fn has_command_behind(torn: &[u8]) -> bool {
    let begins = |at: usize| command(&torn[at..], &mut Vec::new()).is_ok();
    let mut ends = torn.windows(3).enumerate().filter(|(_, bytes)| bytes == b"\r\n*");
    ends.any(|(at, _)| begins(at + 2))
}

/// As much of a file as tells whether it begins with a snapshot.
fn rdb_begin_bytes(window: &Window) -> usize {
    window.len().min(9) as usize
}

impl State {
    fn take(&mut self, at: u64, words: &[&[u8]], sink: &mut dyn Sink) -> Result<(), (u64, Refusal)> {
        let wrong = |why: &str| Err((at, Refusal::Because(why.into())));
        let name = words[0];
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if name.len() > 8 {
            // none of those below
        } else if is(b"select") {
            match words.get(1).and_then(|db| parse_u64(db)) {
                Some(db) => self.db = db,
                None => return wrong("SELECT without a database"),
            }
            return Ok(());
        } else if is(b"multi") {
            if self.transaction.is_some() {
                return wrong("a MULTI within a MULTI");
            }
            self.transaction = Some((at, Vec::new()));
            return Ok(());
        } else if is(b"exec") {
            let Some((_, commands)) = self.transaction.take() else { return wrong("an EXEC without a MULTI") };
            for queued in commands {
                let words: Vec<&[u8]> = queued.words.iter().map(Vec::as_slice).collect();
                give(queued.db, &words, sink).map_err(|why| (queued.at, why))?;
            }
            return Ok(());
        }
        match &mut self.transaction {
            Some((_, commands)) => {
                let words = words.iter().map(|word| word.to_vec()).collect();
                commands.push(Queued { db: self.db, at, words });
                Ok(())
            }
            None => give(self.db, words, sink).map_err(|why| (at, why)),
        }
    }
}

/// Gives one command on.
fn give(db: u64, words: &[&[u8]], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let name = words[0];
    let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    if is(b"function") {
        return function(words, sink);
    }
    if is(b"eval") || is(b"evalsha") || is(b"script") || is(b"fcall") {
        let name = String::from_utf8_lossy(name);
        let why = format!("a script ({name}) instead of what it did: have the server that wrote it rewrite the file");
        return Err(Refusal::Because(why));
    }
    if is(b"ping") || is(b"publish") || is(b"spublish") || is(b"replconf") {
        return Ok(());
    }
    sink.command(db, words)
}

fn function(words: &[&[u8]], sink: &mut dyn Sink) -> Result<(), Refusal> {
    match words {
        [_, load, .., text] if load.eq_ignore_ascii_case(b"load") => {
            sink.function(text);
            Ok(())
        }
        _ => Err(Refusal::Because("a FUNCTION command other than LOAD".into())),
    }
}

/// Finds the words of the command at the beginning of `unread`, none for a remark; answers how many bytes it is.
fn command(unread: &[u8], words: &mut Vec<Range<usize>>) -> Result<usize, Unread> {
    words.clear();
    match unread.first() {
        None => return Err(Unread::Short(1)),
        Some(b'*') => {}
        Some(b'#') => {
            let end = unread.iter().take(REMARK_BYTES_MAX).position(|byte| *byte == b'\n');
            return match end {
                Some(end) => Ok(end + 1),
                None if unread.len() < REMARK_BYTES_MAX => Err(Unread::Short(unread.len() + 1)),
                None => Err(Unread::Wrong("a remark without an end")),
            };
        }
        Some(_) => return Err(Unread::Wrong("neither a command nor a remark")),
    }
    let (count, mut at) = length(unread, 1)?;
    if count == 0 || count > WORDS_MAX {
        return Err(Unread::Wrong("a command with an impossible number of words"));
    }
    for _ in 0..count {
        match unread.get(at) {
            None => return Err(Unread::Short(at + 1)),
            Some(b'$') => {}
            Some(_) => return Err(Unread::Wrong("a word without a length")),
        }
        let (len, from) = length(unread, at + 1)?;
        let end = usize::try_from(len).ok().and_then(|len| from.checked_add(len)?.checked_add(2));
        let end = end.ok_or(Unread::Wrong("a word of an impossible length"))?;
        match unread.get(end - 2..end) {
            None => return Err(Unread::Short(end)),
            Some(b"\r\n") => {}
            Some(_) => return Err(Unread::Wrong("a word of another length than it says")),
        }
        words.push(from..end - 2);
        at = end;
    }
    Ok(at)
}

/// The number at `at`, and where its line ends.
fn length(unread: &[u8], at: usize) -> Result<(u64, usize), Unread> {
    let line = &unread[at.min(unread.len())..];
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        let is_number = line.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\r');
        if line.len() < LINE_BYTES_MAX && is_number {
            return Err(Unread::Short(unread.len() + 1));
        }
        return Err(Unread::Wrong("a length that is no number"));
    };
    let number = line[..end].strip_suffix(b"\r").and_then(parse_u64);
    number.map(|number| (number, at + end + 1)).ok_or(Unread::Wrong("a length that is no number"))
}

//! The conversation with a migration's target, on a thread of its own: connect, AUTH, SELECT, RESTORE each key. Knows
//! no shard; every wait has the client's timeout.

use crate::base::text::{parse_i64, parse_u64};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Longest line that a target may answer.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// A key under way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    /// 0: it does not expire.
    pub(super) ttl_ms: u64,
    pub(super) replace: bool,
}

/// What a thread is to do.
pub(super) struct Errand {
    pub(super) number: u32,
    pub(super) host: String,
    pub(super) port: String,
    pub(super) db: i64,
    pub(super) timeout: Duration,
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) parcels: Vec<Parcel>,
    pub(super) reports: Sender<Report>,
    /// Wakes the core that waits for the report.
    pub(super) wake: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Errand({} keys)", self.parcels.len())
    }
}

/// What it has done.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) number: u32,
    /// Parcels that the target took, by index.
    pub(super) taken: Vec<usize>,
    pub(super) trouble: Option<Trouble>,
}

/// Why not all went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Connecting,
    Writing,
    Reading,
    /// The target's error, without its dash.
    Refused(String),
}

impl Trouble {
    /// The reply, as Redis words it.
    pub(super) fn text(&self) -> String {
        match self {
            Trouble::Connecting => "-IOERR error or timeout connecting to the client".into(),
            Trouble::Writing => "-IOERR error or timeout writing to target instance".into(),
            Trouble::Reading => "-IOERR error or timeout reading to target instance".into(),
            Trouble::Refused(error) => format!("-ERR Target instance replied with error: {error}"),
        }
    }
}

impl Errand {
    pub(super) fn run(self) {
        let mut taken = Vec::new();
        let trouble = self.talk(&mut taken).err();
        // the core may have ended
        let _ = self.reports.send(Report { number: self.number, taken, trouble });
        (self.wake)();
    }

    fn talk(&self, taken: &mut Vec<usize>) -> Result<(), Trouble> {
        let mut stream = self.connect()?;
        let mut before = 0;
        let mut request = Vec::new();
        if let Some(password) = &self.password {
            before += 1;
            match &self.user {
                Some(user) => command(&mut request, &[b"AUTH", user, password]),
                None => command(&mut request, &[b"AUTH", password]),
            }
        }
        before += 1;
        command(&mut request, &[b"SELECT", self.db.to_string().as_bytes()]);
        for parcel in &self.parcels {
            let ttl = parcel.ttl_ms.to_string();
            let words: &[&[u8]] = &[b"RESTORE", &parcel.key, ttl.as_bytes(), &parcel.payload, b"REPLACE"];
            command(&mut request, if parcel.replace { words } else { &words[..4] });
            if request.len() >= WRITE_BYTES {
                stream.write_all(&request).map_err(|_| Trouble::Writing)?;
                request.clear();
            }
        }
        stream.write_all(&request).map_err(|_| Trouble::Writing)?;
        let mut lines = Lines { stream, buffer: Vec::new(), from: 0 };
        let mut refused = None;
        for _ in 0..before {
            let line = lines.next()?;
            refused = refused.or_else(|| line.strip_prefix('-').map(str::to_string));
        }
        let unusable = refused.is_some();
        for index in 0..self.parcels.len() {
            let line = lines.next()?;
            match line.strip_prefix('-') {
                Some(error) => refused = refused.or_else(|| Some(error.to_string())),
                // taken, but by whom, or into which database?
                None if unusable => {}
                None => taken.push(index),
            }
        }
        refused.map_or(Ok(()), |error| Err(Trouble::Refused(error)))
    }

    fn connect(&self) -> Result<TcpStream, Trouble> {
        // as in Redis, a port that is no number is port 0
        let port = parse_u64(self.port.as_bytes()).and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let addresses = (self.host.as_str(), port).to_socket_addrs().map_err(|_| Trouble::Connecting)?;
        let mut trouble = Trouble::Connecting;
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    let set = stream
                        .set_nodelay(true)
                        .and_then(|()| stream.set_read_timeout(Some(self.timeout)))
                        .and_then(|()| stream.set_write_timeout(Some(self.timeout)));
                    return set.map(|()| stream).map_err(|_| Trouble::Connecting);
                }
                // Redis notices a refusal when it writes.
                Err(error) if error.kind() != ErrorKind::TimedOut => trouble = Trouble::Writing,
                Err(_) => {}
            }
        }
        Err(trouble)
    }
}

struct Lines {
    stream: TcpStream,
    buffer: Vec<u8>,
    from: usize,
}

impl Lines {
    fn next(&mut self) -> Result<String, Trouble> {
        loop {
            let unread = &self.buffer[self.from..];
            if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&unread[..end]).trim_end_matches('\r').to_string();
                self.from += end + 1;
                return Ok(line);
            }
            if unread.len() > LINE_BYTES_MAX {
                return Err(Trouble::Reading);
            }
            self.buffer.drain(..self.from);
            self.from = 0;
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(0) => return Err(Trouble::Reading),
                Ok(got) => self.buffer.extend_from_slice(&more[..got]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Trouble::Reading),
            }
        }
    }
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// A key's payload and expiry; no payload if it is not there.
type Copied<'a> = (Option<&'a [u8]>, Option<u64>);

/// What DUMP and PEXPIRETIME answered for each key, in a RESP2 array; `None` for anything else.
pub(super) fn copies(reply: &[u8]) -> Option<Vec<Copied<'_>>> {
    let (head, mut rest) = line(reply.strip_prefix(b"*")?)?;
    let count = parse_u64(head)?;
    let mut copies = Vec::new();
    for _ in 0..count / 2 {
        let (len, behind) = line(rest.strip_prefix(b"$")?)?;
        let payload = match parse_i64(len)? {
            -1 => {
                rest = behind;
                None
            }
            len => {
                let (payload, behind) = behind.split_at_checked(usize::try_from(len).ok()?)?;
                rest = behind.strip_prefix(b"\r\n")?;
                Some(payload)
            }
        };
        let (expire_ms, behind) = line(rest.strip_prefix(b":")?)?;
        rest = behind;
        copies.push((payload, u64::try_from(parse_i64(expire_ms)?).ok()));
    }
    Some(copies)
}

/// The bytes up to the next CR LF, and those behind it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_read() {
        let reply = b"*4\r\n$3\r\na\r\n\r\n:-1\r\n$-1\r\n:-2\r\n";
        let expected: Vec<Copied<'_>> = vec![(Some(b"a\r\n"), None), (None, None)];
        assert_eq!(copies(reply), Some(expected));
        assert_eq!(copies(b"*2\r\n$1\r\nx\r\n:77\r\n"), Some(vec![(Some(&b"x"[..]), Some(77))]));
        for wrong in [&b"-ERR x\r\n"[..], b"*2\r\n$5\r\nx\r\n:77\r\n", b"*2\r\n:1\r\n:1\r\n", b""] {
            assert_eq!(copies(wrong), None);
        }
    }
}

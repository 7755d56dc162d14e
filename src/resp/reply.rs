//! Writes replies in RESP2 or RESP3 straight into an output buffer. Never allocates but to grow that buffer.
//!
//! Formats: <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Every method writes one whole reply or the
//! header of an aggregate whose elements follow; what RESP2 lacks goes out as RESP2's nearest form, as Redis does it.

use crate::base::bytes::{BigPart, BigString, OutBuf};
use crate::base::limits::BIG_REPLY_BYTES_MIN;
use crate::base::text;
use std::fmt;
use std::io::Write as _;
use std::ops::Range;

/// Protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proto {
    /// What a connection starts with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Writes one command's reply.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Where to.
    pub out: &'a mut OutBuf,
    /// Which dialect.
    pub proto: Proto,
}

/// An aggregate whose length is not known yet: the place of its header. Give it to [`Reply::set_array_len`] or a
/// sibling, exactly once, inner ones before outer ones.
#[derive(Debug)]
#[must_use = "the header is missing until a length is set"]
pub struct Later {
    /// Offset of the header in `out.bytes`.
    at: usize,
    /// Large strings that stand before it.
    bigs: usize,
}

/// Bytes of the header that [`Later`] holds free: marker, one digit, CRLF. Longer headers shift what follows.
const LATER_BYTES: usize = 4;
/// Numbers below this have their header line ready in [`LINES`].
const LINES_COUNT: usize = 256;
/// Longest header or integer line: marker, sign, 19 digits, CRLF.
const LINE_BYTES_MAX: usize = 23;

/// Line of each small number: byte 0 is the marker's, then digits and CRLF; the last byte is the line's length.
static LINES: [[u8; 8]; LINES_COUNT] = lines();

const fn lines() -> [[u8; 8]; LINES_COUNT] {
    let mut lines = [[0u8; 8]; LINES_COUNT];
    let mut n = 0;
    while n < LINES_COUNT {
        let digits = if n < 10 {
            1
        } else if n < 100 {
            2
        } else {
            3
        };
        let mut rest = n;
        let mut at = digits;
        while at > 0 {
            lines[n][at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        lines[n][digits + 1] = b'\r';
        lines[n][digits + 2] = b'\n';
        lines[n][7] = digits as u8 + 3;
        n += 1;
    }
    lines
}

/// Appends `marker`, `n` in decimal, CRLF.
#[inline]
fn line(bytes: &mut Vec<u8>, marker: u8, n: i64) {
    if (0..LINES_COUNT as i64).contains(&n) {
        // A copy of fixed size, cut afterwards, is cheaper than one of the exact size.
        let mut ready = LINES[n as usize];
        let len = usize::from(ready[7]);
        ready[0] = marker;
        let end = bytes.len() + len;
        bytes.extend_from_slice(&ready);
        bytes.truncate(end);
    } else {
        long_line(bytes, marker, n);
    }
}

fn long_line(bytes: &mut Vec<u8>, marker: u8, n: i64) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(n).as_bytes();
    bytes.reserve(LINE_BYTES_MAX);
    bytes.push(marker);
    bytes.extend_from_slice(digits);
    bytes.extend_from_slice(b"\r\n");
}

/// Appends header, payload, CRLF.
#[inline]
fn block(bytes: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    bytes.reserve(payload.len() + LINE_BYTES_MAX + 2);
    line(bytes, marker, payload.len() as i64);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut OutBuf, proto: Proto) -> Self {
        Reply { out, proto }
    }

    #[inline]
    fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out.bytes.extend_from_slice(bytes);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.put(b"+OK\r\n");
    }

    /// `+text`. Line breaks become spaces, so that the stream stays in step.
    pub fn simple(&mut self, text: &str) {
        self.one_line(b'+', text.as_bytes());
    }

    /// `-text`: `text` begins with the error's code and has no `-` in front. Line breaks at its ends are dropped,
    /// others become spaces, as in Redis.
    pub fn error(&mut self, text: &str) {
        self.one_line(b'-', text.as_bytes());
    }

    /// As [`Reply::error`], for a text that is not UTF-8 (it quotes a client's bytes).
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.one_line(b'-', text);
    }

    /// As [`Reply::error`], formatted in place.
    pub fn error_fmt(&mut self, text: fmt::Arguments<'_>) {
        match text.as_str() {
            Some(text) => self.one_line(b'-', text.as_bytes()),
            None => {
                self.out.bytes.push(b'-');
                let start = self.out.bytes.len();
                // Writing to a Vec cannot fail; a Display that does leaves a shorter text, still one line.
                let _ = self.out.bytes.write_fmt(text);
                self.close_line(start);
            }
        }
    }

    fn one_line(&mut self, marker: u8, text: &[u8]) {
        self.out.bytes.reserve(text.len() + 3);
        self.out.bytes.push(marker);
        let start = self.out.bytes.len();
        self.put(text);
        self.close_line(start);
    }

    /// Makes what was written from `start` on one line and ends it.
    fn close_line(&mut self, start: usize) {
        let bytes = &mut self.out.bytes;
        let breaks = |b: u8| b == b'\r' || b == b'\n';
        if bytes[start..].iter().any(|&b| breaks(b)) {
            while bytes.len() > start && bytes.last().is_some_and(|&b| breaks(b)) {
                bytes.pop();
            }
            let leading = bytes[start..].iter().take_while(|&&b| breaks(b)).count();
            bytes.drain(start..start + leading);
            bytes[start..].iter_mut().filter(|b| breaks(**b)).for_each(|b| *b = b' ');
        }
        bytes.extend_from_slice(b"\r\n");
    }

    /// `:n`.
    #[inline]
    pub fn integer(&mut self, n: i64) {
        line(&mut self.out.bytes, b':', n);
    }

    /// A string, copied.
    #[inline]
    pub fn bulk(&mut self, payload: &[u8]) {
        block(&mut self.out.bytes, b'$', payload);
    }

    /// An integer as a string (`GET` of a number that is kept as one).
    #[inline]
    pub fn bulk_integer(&mut self, n: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(n).as_bytes());
    }

    /// A string, formatted in place.
    pub fn bulk_fmt(&mut self, text: fmt::Arguments<'_>) {
        let later = self.later();
        let start = self.out.bytes.len();
        // Writing to a Vec cannot fail; a Display that does leaves a shorter text, still framed.
        let _ = self.out.bytes.write_fmt(text);
        let len = self.out.bytes.len() - start;
        self.put(b"\r\n");
        self.set_len(later, b'$', len);
    }

    /// A string that may be large: sent from the value itself if it is, else copied.
    #[inline]
    pub fn big(&mut self, payload: &BigString) {
        self.big_part(payload, 0..payload.len());
    }

    /// As [`Reply::big`], a part of it. A writer has to copy all of the string while the reply is on its way.
    #[inline]
    pub fn big_part(&mut self, payload: &BigString, range: Range<usize>) {
        if range.len() < BIG_REPLY_BYTES_MIN {
            return self.bulk(&payload[range]);
        }
        line(&mut self.out.bytes, b'$', range.len() as i64);
        self.out.bigs.push((self.out.bytes.len(), BigPart::new(payload.clone(), range)));
        self.put(b"\r\n");
    }

    /// Nothing where a string or a number would be: `$-1`, RESP3 `_`.
    #[inline]
    pub fn null(&mut self) {
        self.put(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing where an array would be: `*-1`, RESP3 `_`.
    #[inline]
    pub fn null_array(&mut self) {
        self.put(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Header of an array of `n` elements, which follow.
    #[inline]
    pub fn array(&mut self, n: usize) {
        line(&mut self.out.bytes, b'*', n as i64);
    }

    /// Header of a map of `n` pairs, which follow; in RESP2 an array of twice as many elements.
    #[inline]
    pub fn map(&mut self, n: usize) {
        let (marker, n) = self.map_header(n);
        line(&mut self.out.bytes, marker, n as i64);
    }

    /// Header of a set of `n` elements, which follow; in RESP2 an array.
    #[inline]
    pub fn set(&mut self, n: usize) {
        let marker = if self.resp3() { b'~' } else { b'*' };
        line(&mut self.out.bytes, marker, n as i64);
    }

    /// Header of a push message of `n` elements, which follow; in RESP2 an array.
    #[inline]
    pub fn push(&mut self, n: usize) {
        let marker = if self.resp3() { b'>' } else { b'*' };
        line(&mut self.out.bytes, marker, n as i64);
    }

    /// A double in its shortest form that reads back equal; in RESP2 a string.
    pub fn double(&mut self, value: f64) {
        let text = text::double(value);
        if self.resp3() {
            self.one_line(b',', &text);
        } else {
            self.bulk(&text);
        }
    }

    /// A truth value; in RESP2 `:1` or `:0`.
    pub fn boolean(&mut self, value: bool) {
        match (self.resp3(), value) {
            (true, true) => self.put(b"#t\r\n"),
            (true, false) => self.put(b"#f\r\n"),
            (false, value) => self.integer(i64::from(value)),
        }
    }

    /// An integer of any size, in decimal digits; in RESP2 a string.
    pub fn big_number(&mut self, digits: &[u8]) {
        if self.resp3() {
            self.one_line(b'(', digits);
        } else {
            self.bulk(digits);
        }
    }

    /// A text for people, with its format of three letters (`txt`, `mkd`); in RESP2 a string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if !self.resp3() {
            return self.bulk(text);
        }
        assert!(format.len() == 3, "a verbatim string's format has three letters");
        line(&mut self.out.bytes, b'=', text.len() as i64 + 4);
        self.put(format.as_bytes());
        self.put(b":");
        self.put(text);
        self.put(b"\r\n");
    }

    /// Bytes that are a reply already (from another shard, or a script).
    pub fn raw(&mut self, encoded: &[u8]) {
        self.put(encoded);
    }

    /// An aggregate whose number of elements is known only after they are written.
    pub fn array_later(&mut self) -> Later {
        self.later()
    }

    fn later(&mut self) -> Later {
        let later = Later { at: self.out.bytes.len(), bigs: self.out.bigs.len() };
        self.put(&[0; LATER_BYTES]);
        later
    }

    /// It is an array of `n` elements.
    pub fn set_array_len(&mut self, later: Later, n: usize) {
        self.set_len(later, b'*', n);
    }

    /// It is a map of `n` pairs.
    pub fn set_map_len(&mut self, later: Later, n: usize) {
        let (marker, n) = self.map_header(n);
        self.set_len(later, marker, n);
    }

    /// It is a set of `n` elements.
    pub fn set_set_len(&mut self, later: Later, n: usize) {
        let marker = if self.resp3() { b'~' } else { b'*' };
        self.set_len(later, marker, n);
    }

    /// Takes back everything written since `later`, its header included (an error is to be answered instead).
    pub fn cancel(&mut self, later: Later) {
        self.out.bytes.truncate(later.at);
        self.out.bigs.truncate(later.bigs);
    }

    #[inline]
    fn map_header(&self, n: usize) -> (u8, usize) {
        if self.resp3() { (b'%', n) } else { (b'*', 2 * n) }
    }

    fn set_len(&mut self, later: Later, marker: u8, n: usize) {
        let bytes = &mut self.out.bytes;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(n).as_bytes();
        let shift = digits.len() - 1;
        if shift > 0 {
            let content = later.at + LATER_BYTES;
            let end = bytes.len();
            bytes.resize(end + shift, 0);
            bytes.copy_within(content..end, content + shift);
            self.out.bigs[later.bigs..].iter_mut().for_each(|(at, _)| *at += shift);
        }
        bytes[later.at] = marker;
        bytes[later.at + 1..][..digits.len()].copy_from_slice(digits);
        bytes[later.at + 1 + digits.len()..][..2].copy_from_slice(b"\r\n");
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;

//! Identifiers of stream entries: a time in milliseconds and a number within it. Never reads a clock.

use std::fmt;

/// Longest text that is looked at as an identifier, bytes (Redis).
const TEXT_BYTES_MAX: usize = 127;

/// One identifier; the order of a stream is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id {
    /// Milliseconds, mostly of Unix time.
    pub ms: u64,
    /// Number among those of one millisecond.
    pub seq: u64,
}

impl Id {
    /// Before every entry; no entry has it.
    pub const MIN: Id = Id { ms: 0, seq: 0 };
    /// The last possible one.
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    /// The one that follows; `None` after the last.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one before; `None` before the first.
    pub fn prev(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `<ms>` or `<ms>-<seq>` as Redis does (C's `strtoull`, up to a zero byte); `seq` is what a missing number
    /// stands for.
    pub fn parse(text: &[u8], seq: u64) -> Option<Id> {
        let text = cut(text)?;
        match text.iter().position(|byte| *byte == b'-') {
            None => Some(Id { ms: number(text)?, seq }),
            Some(dash) => Some(Id { ms: number(&text[..dash])?, seq: number(&text[dash + 1..])? }),
        }
    }

    /// Reads `<ms>-*`: the milliseconds.
    pub fn parse_ms(text: &[u8]) -> Option<u64> {
        number(cut(text)?.strip_suffix(b"-*")?)
    }

    /// As clients see it.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::BYTES_MAX], len: 0 };
        text.put(self.ms);
        text.bytes[usize::from(text.len)] = b'-';
        text.len += 1;
        text.put(self.seq);
        text
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An identifier's text on the stack.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    bytes: [u8; IdText::BYTES_MAX],
    len: u8,
}

impl IdText {
    const BYTES_MAX: usize = 41;

    fn put(&mut self, n: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(n).as_bytes();
        let at = usize::from(self.len);
        self.bytes[at..at + digits.len()].copy_from_slice(digits);
        self.len += digits.len() as u8;
    }
}

impl std::ops::Deref for IdText {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The text up to a zero byte; `None` if it is too long to be an identifier.
fn cut(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    (text.len() <= TEXT_BYTES_MAX).then_some(&text[..end])
}

/// An unsigned number as C reads it: blanks and a sign before it are taken, a negative one wraps around, but one that
/// is a plain negative integer is refused.
fn number(text: &[u8]) -> Option<u64> {
    if crate::base::text::parse_i64(text).is_some_and(|n| n < 0) {
        return None;
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut n = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!digits.is_empty()).then_some(if negative { n.wrapping_neg() } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_reads() {
        let id = |ms, seq| Some(Id { ms, seq });
        assert_eq!(Id::parse(b"5", 7), id(5, 7));
        assert_eq!(Id::parse(b"5-3", 7), id(5, 3));
        assert_eq!(Id::parse(b"18446744073709551615-18446744073709551615", 0), Some(Id::MAX));
        assert_eq!(Id::parse(b"05- +4", 0), id(5, 4));
        assert_eq!(Id::parse(b" 05-+4", 0), id(5, 4));
        assert_eq!(Id::parse(b"5-3\0x", 0), id(5, 3));
        assert_eq!(Id::parse(b"5--03", 0), id(5, 3u64.wrapping_neg()));
        for bad in ["", "-", "5-", "-5", "5--3", "x", "5-x", "18446744073709551616", "1-2-3", "5-*", "+", "$"] {
            assert_eq!(Id::parse(bad.as_bytes(), 0), None, "{bad}");
        }
        assert_eq!(Id::parse(&[b'0'; 128], 0), None);
        assert_eq!(Id::parse_ms(b"12-*"), Some(12));
        assert_eq!(Id::parse_ms(b"12"), None);
    }

    #[test]
    fn neighbours_and_text() {
        let id = Id { ms: 5, seq: u64::MAX };
        assert_eq!(id.next(), Some(Id { ms: 6, seq: 0 }));
        assert_eq!(id.next().and_then(Id::prev), Some(id));
        assert_eq!((Id::MAX.next(), Id::MIN.prev()), (None, None));
        assert_eq!(&*Id::MAX.text(), b"18446744073709551615-18446744073709551615");
        assert_eq!(&*Id { ms: 5, seq: 0 }.text(), b"5-0");
    }
}

//! One field of a JSON object, found without reading what stands behind it. Attributes are not checked when they are
//! set, so anything may be in them: what is no object has no fields.
//!
//! A field is a number, a string, `true` and `false` (1 and 0), `null`, or a list of these; an object inside the object
//! is not there. Names are compared as they stand, escapes in strings are `\n \r \t \\ \"`, others stand for the
//! character behind the backslash.

use super::run::Value;
use super::words::{is_space, unescape};
use std::borrow::Cow;

/// Lists in lists that are looked into.
const DEPTH_MAX: usize = 16;
/// Longest number, characters.
const NUMBER_CHARS_MAX: usize = 255;

/// The value of the field `name` of an object.
pub(super) fn field<'a>(object: &'a [u8], name: &[u8]) -> Option<Value<'a>> {
    if name.is_empty() {
        return None;
    }
    let mut json = Json { rest: object };
    json.expect(b'{')?;
    loop {
        json.blanks();
        let key = json.skip_string()?;
        json.expect(b':')?;
        json.blanks();
        if key == name {
            return json.value(DEPTH_MAX);
        }
        json.skip_value()?;
        json.expect(b',')?;
    }
}

/// What has not been read yet.
#[derive(Debug)]
struct Json<'a> {
    rest: &'a [u8],
}

fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

impl<'a> Json<'a> {
    fn blanks(&mut self) {
        while let [first, rest @ ..] = self.rest
            && is_space(*first)
        {
            self.rest = rest;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    /// What stands between the quotes.
    fn skip_string(&mut self) -> Option<&'a [u8]> {
        let body = self.rest.strip_prefix(b"\"")?;
        let mut at = 0;
        loop {
            match body.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.rest = &body[at + 1..];
        Some(&body[..at])
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.skip_string().map(drop),
            b'{' => self.skip_nested(b'{', b'}'),
            b'[' => self.skip_nested(b'[', b']'),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => {
                let count = self.rest.iter().take_while(|byte| is_number(**byte)).count();
                self.take(count);
                (count > 0).then_some(())
            }
        }
    }

    fn skip_nested(&mut self, open: u8, close: u8) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match *self.rest.first()? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                byte if byte == open => depth += 1,
                byte if byte == close => depth -= 1,
                _ => {}
            }
            self.take(1);
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        self.blanks();
        match self.rest.first()? {
            b'"' => self.string(),
            b'[' => self.list(depth),
            b't' => self.word(b"true", Value::Number(1.0)),
            b'f' => self.word(b"false", Value::Number(0.0)),
            b'n' => self.word(b"null", Value::Null),
            b'0'..=b'9' | b'-' | b'+' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        self.literal(word)?;
        let ends = |byte: &u8| is_space(*byte) || matches!(byte, b',' | b']' | b'}');
        self.rest.first().is_none_or(ends).then_some(value)
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let count = self.rest.iter().take(NUMBER_CHARS_MAX).take_while(|byte| is_number(**byte)).count();
        let text = std::str::from_utf8(self.take(count)).ok()?;
        text.parse().ok().map(Value::Number)
    }

    fn string(&mut self) -> Option<Value<'a>> {
        let body = self.skip_string()?;
        if !body.contains(&b'\\') {
            return Some(Value::Text(Cow::Borrowed(body)));
        }
        let mut bytes = Vec::with_capacity(body.len());
        let mut left = body.iter();
        while let Some(byte) = left.next() {
            let escaped = if *byte == b'\\' { left.next() } else { None };
            bytes.push(escaped.map_or(*byte, |byte| unescape(*byte)));
        }
        Some(Value::Text(Cow::Owned(bytes)))
    }

    fn list(&mut self, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        self.expect(b'[')?;
        self.blanks();
        let mut elements = Vec::new();
        if self.expect(b']').is_some() {
            return Some(Value::List(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            if self.expect(b']').is_some() {
                return Some(Value::List(elements));
            }
            self.expect(b',')?;
        }
    }
}

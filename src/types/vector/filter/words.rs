//! The words of an expression, read from left to right. Never knows what they mean together.

use super::run::Value;
use super::{Operator, Unclear};
use std::borrow::Cow;

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Value(Value<'static>),
    Field(Box<[u8]>),
    Operator(Operator),
    Open,
    Close,
}

/// Longest number, characters.
const NUMBER_CHARS_MAX: usize = 254;

/// Signs that operators are made of.
const SIGNS: &[u8] = b"+-*%/!()<>=|&";

/// Operators and parentheses; of several that fit the longest is meant.
const OPERATORS: &[(&[u8], Word)] = &[
    (b"(", Word::Open),
    (b")", Word::Close),
    (b"!", Word::Operator(Operator::Not)),
    (b"not", Word::Operator(Operator::Not)),
    (b"**", Word::Operator(Operator::Power)),
    (b"*", Word::Operator(Operator::Times)),
    (b"/", Word::Operator(Operator::Divide)),
    (b"%", Word::Operator(Operator::Modulo)),
    (b"+", Word::Operator(Operator::Plus)),
    (b"-", Word::Operator(Operator::Minus)),
    (b">", Word::Operator(Operator::Greater)),
    (b">=", Word::Operator(Operator::GreaterEqual)),
    (b"<", Word::Operator(Operator::Less)),
    (b"<=", Word::Operator(Operator::LessEqual)),
    (b"==", Word::Operator(Operator::Equal)),
    (b"!=", Word::Operator(Operator::NotEqual)),
    (b"in", Word::Operator(Operator::In)),
    (b"and", Word::Operator(Operator::And)),
    (b"&&", Word::Operator(Operator::And)),
    (b"or", Word::Operator(Operator::Or)),
    (b"||", Word::Operator(Operator::Or)),
];

/// A text and how far it has been read.
#[derive(Debug)]
pub(super) struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl Words<'_> {
    /// All words of `text`.
    pub(super) fn read(text: &[u8]) -> Result<Vec<Word>, Unclear> {
        let mut words = Words { text, at: 0 };
        let mut read = Vec::new();
        loop {
            words.skip(is_space);
            if words.at == text.len() {
                return Ok(read);
            }
            // Behind an operator, and at the beginning, a minus belongs to the number that follows.
            let signed = matches!(read.last(), None | Some(Word::Operator(_) | Word::Open));
            let word = words.word(signed);
            read.push(word.ok_or(Unclear { at: words.at % text.len() })?);
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip(&mut self, belongs: impl Fn(u8) -> bool) -> &[u8] {
        let begin = self.at;
        while self.peek(0).is_some_and(&belongs) {
            self.at += 1;
        }
        &self.text[begin..self.at]
    }

    fn word(&mut self, signed: bool) -> Option<Word> {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        match self.peek(0)? {
            b'0'..=b'9' => self.number().map(Word::Value),
            b'-' if signed && digit(self.peek(1)) => self.number().map(Word::Value),
            b'"' | b'\'' => self.string().map(Word::Value),
            b'.' if self.peek(1).is_none_or(is_name) => {
                self.at += 1;
                Some(Word::Field(self.skip(is_name).into()))
            }
            b'[' => self.list().map(Word::Value),
            byte if byte.is_ascii_alphabetic() || SIGNS.contains(&byte) => self.operator(),
            _ => None,
        }
    }

    fn operator(&mut self) -> Option<Word> {
        // Only as far as the longest word: a run of signs is looked at once for each of its words.
        let rest = &self.text[self.at..];
        let letters = rest.iter().take(5).take_while(|byte| byte.is_ascii_alphabetic()).count();
        if &rest[..letters] == b"null" {
            self.at += letters;
            return Some(Word::Value(Value::Null));
        }
        let fitting = OPERATORS.iter().filter(|(name, _)| rest.starts_with(name));
        let Some((name, word)) = fitting.max_by_key(|(name, _)| name.len()) else {
            self.skip(|byte| byte.is_ascii_alphabetic() || SIGNS.contains(&byte));
            return None;
        };
        self.at += name.len();
        Some(word.clone())
    }

    fn number(&mut self) -> Option<Value<'static>> {
        let begin = self.at;
        if self.peek(0) == Some(b'-') {
            self.at += 1;
        }
        self.skip(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E'));
        let text = &self.text[begin..self.at];
        let number = std::str::from_utf8(text).ok().filter(|text| text.len() <= NUMBER_CHARS_MAX)?;
        number.parse().ok().map(Value::Number)
    }

    fn string(&mut self) -> Option<Value<'static>> {
        let quote = self.peek(0)?;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek(0)?;
            self.at += 1;
            if byte == quote {
                return Some(Value::Text(Cow::Owned(bytes)));
            }
            let escaped = if byte == b'\\' { self.peek(0) } else { None };
            self.at += usize::from(escaped.is_some());
            bytes.push(escaped.map_or(byte, unescape));
        }
    }

    fn list(&mut self) -> Option<Value<'static>> {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            self.skip(is_space);
            let element = match self.peek(0)? {
                b']' => break,
                b'0'..=b'9' | b'-' => self.number()?,
                b'"' | b'\'' => self.string()?,
                _ => return None,
            };
            elements.push(element);
            self.skip(is_space);
            match self.peek(0)? {
                b']' => break,
                b',' => self.at += 1,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Value::List(elements))
    }
}

/// As C's `isspace`.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What a character behind a backslash stands for.
pub(super) fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}

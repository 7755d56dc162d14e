//! Replies as the wire carries them: every RESP2 and RESP3 type kept apart, so that tests compare exactly.

use std::fmt;

/// One reply. A null bulk, a null array and RESP3's null are three different values.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `+`
    Simple(Vec<u8>),
    /// `-`
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*`
    Array(Vec<Value>),
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `,` as its text, because how a double is written is part of the reply.
    Double(Vec<u8>),
    /// `#`
    Bool(bool),
    /// `(`
    BigNumber(Vec<u8>),
    /// `!`
    BulkError(Vec<u8>),
    /// `=` with its three-letter format and colon.
    Verbatim(Vec<u8>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
}

impl Value {
    /// A bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Value {
        Value::Bulk(bytes.as_ref().to_vec())
    }

    /// An array of bulk strings.
    pub fn bulks(items: &[&str]) -> Value {
        Value::Array(items.iter().map(Value::bulk).collect())
    }

    /// `+OK`
    pub fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    /// Whether it is an error of any form.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_) | Value::BulkError(_))
    }

    /// The bytes of a string of any kind or of an error; fails on other types.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Simple(b) | Value::Error(b) | Value::Bulk(b) | Value::Double(b) => b,
            Value::BigNumber(b) | Value::BulkError(b) => b,
            Value::Verbatim(b) => &b[4..],
            other => panic!("not a string: {other:?}"),
        }
    }

    /// As [`Value::bytes`], as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The number of an integer reply; fails on other types.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// The elements of an array, set or push; fails on other types.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Simple(b) => write!(f, "+{}", shown(b)),
            Value::Error(b) => write!(f, "-{}", shown(b)),
            Value::Int(n) => write!(f, ":{n}"),
            Value::Bulk(b) => write!(f, "\"{}\"", shown(b)),
            Value::NullBulk => write!(f, "(null bulk)"),
            Value::Array(items) => f.debug_list().entries(items).finish(),
            Value::NullArray => write!(f, "(null array)"),
            Value::Null => write!(f, "(null)"),
            Value::Double(b) => write!(f, ",{}", shown(b)),
            Value::Bool(b) => write!(f, "#{b}"),
            Value::BigNumber(b) => write!(f, "({}", shown(b)),
            Value::BulkError(b) => write!(f, "!{}", shown(b)),
            Value::Verbatim(b) => write!(f, "={}", shown(b)),
            Value::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Value::Set(items) => f.debug_set().entries(items).finish(),
            Value::Push(items) => write!(f, ">{items:?}"),
        }
    }
}

/// Bytes as text, escaped, long ones shortened to what tells them apart.
pub fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= 200 {
        return bytes.escape_ascii().to_string();
    }
    let sum = bytes.iter().fold(0_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(*b)));
    format!("{}... ({} bytes, sum {sum:08x})", bytes[..60].escape_ascii(), bytes.len())
}

/// Why bytes are not (yet) a reply.
#[derive(Debug)]
pub enum Incomplete {
    /// More bytes are needed.
    More,
    /// No RESP; the text says what stands there.
    Broken(String),
}

/// Reads one reply from the start of `bytes`: the value and how many bytes it took.
pub fn parse(bytes: &[u8]) -> Result<(Value, usize), Incomplete> {
    let mut at = 0;
    let value = parse_at(bytes, &mut at)?;
    Ok((value, at))
}

fn parse_at(bytes: &[u8], at: &mut usize) -> Result<Value, Incomplete> {
    let line = take_line(bytes, at)?;
    let (&kind, rest) = line.split_first().ok_or_else(|| Incomplete::Broken("an empty line".into()))?;
    let count = || number(rest);
    Ok(match kind {
        b'+' => Value::Simple(rest.to_vec()),
        b'-' => Value::Error(rest.to_vec()),
        b':' => Value::Int(number(rest)?),
        b'_' => Value::Null,
        b',' => Value::Double(rest.to_vec()),
        b'#' => Value::Bool(rest == b"t"),
        b'(' => Value::BigNumber(rest.to_vec()),
        b'$' if rest == b"-1" => Value::NullBulk,
        b'$' => Value::Bulk(take_bytes(bytes, at, count()?)?),
        b'!' => Value::BulkError(take_bytes(bytes, at, count()?)?),
        b'=' => Value::Verbatim(take_bytes(bytes, at, count()?)?),
        b'*' if rest == b"-1" => Value::NullArray,
        b'*' => Value::Array(take_items(bytes, at, count()?)?),
        b'~' => Value::Set(take_items(bytes, at, count()?)?),
        b'>' => Value::Push(take_items(bytes, at, count()?)?),
        b'%' => {
            let items = take_items(bytes, at, count()? * 2)?;
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        _ => return Err(Incomplete::Broken(format!("a reply that starts with {:?}", shown(line)))),
    })
}

fn number(text: &[u8]) -> Result<i64, Incomplete> {
    let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    parsed.ok_or_else(|| Incomplete::Broken(format!("no number: {:?}", shown(text))))
}

fn take_line<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Incomplete> {
    let rest = &bytes[*at..];
    let end = rest.windows(2).position(|w| w == b"\r\n").ok_or(Incomplete::More)?;
    *at += end + 2;
    Ok(&rest[..end])
}

fn take_bytes(bytes: &[u8], at: &mut usize, count: i64) -> Result<Vec<u8>, Incomplete> {
    let count = usize::try_from(count).map_err(|_| Incomplete::Broken(format!("a length of {count}")))?;
    let rest = &bytes[*at..];
    if rest.len() < count + 2 {
        return Err(Incomplete::More);
    }
    if &rest[count..count + 2] != b"\r\n" {
        return Err(Incomplete::Broken(format!("no line end after {count} bytes")));
    }
    *at += count + 2;
    Ok(rest[..count].to_vec())
}

fn take_items(bytes: &[u8], at: &mut usize, count: i64) -> Result<Vec<Value>, Incomplete> {
    let count = usize::try_from(count).map_err(|_| Incomplete::Broken(format!("a length of {count}")))?;
    (0..count).map(|_| parse_at(bytes, at)).collect()
}

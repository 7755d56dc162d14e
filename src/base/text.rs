//! Text as clients of Redis know it: numbers, patterns, quoting. Never allocates where a reply is written.

use std::ops::Deref;

/// A short text on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Short {
    bytes: [u8; Short::BYTES_MAX],
    len: u8,
}

impl Short {
    /// Most bytes it can hold.
    pub const BYTES_MAX: usize = 40;

    fn new() -> Self {
        Short { bytes: [0; Self::BYTES_MAX], len: 0 }
    }

    fn put(&mut self, text: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + text.len()].copy_from_slice(text);
        self.len += text.len() as u8;
    }

    fn zeros(&mut self, count: usize) {
        (0..count).for_each(|_| self.put(b"0"));
    }
}

impl Deref for Short {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The shortest decimal form that reads back as the same double, laid out as Redis 7.2 and later do in replies: whole
/// numbers and numbers with few leading zeros plainly, others with an exponent (`1e+21`); `inf`, `-inf`, `nan`, `-0`.
pub fn double(value: f64) -> Short {
    let mut text = Short::new();
    if !value.is_finite() {
        text.put(if value.is_nan() {
            b"nan"
        } else if value > 0.0 {
            b"inf"
        } else {
            b"-inf"
        });
        return text;
    }
    if value == value.trunc() && value.abs() < (1u64 << 62) as f64 && (value != 0.0 || value.is_sign_positive()) {
        text.put(itoa::Buffer::new().format(value as i64).as_bytes());
        return text;
    }
    if value.is_sign_negative() {
        text.put(b"-");
    }
    let (digits, exponent) = shortest_digits(value.abs());
    lay_out(&mut text, &digits, exponent, value.is_sign_negative());
    text
}

/// Decimal digits without leading or trailing zeros (but at least one digit) and the power of ten of the last one.
fn shortest_digits(value: f64) -> (Short, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut all = Short::new();
    all.put(whole.as_bytes());
    all.put(fraction.as_bytes());
    let mut last = exponent - fraction.len() as i32;
    let mut digits: &[u8] = &all;
    while digits.len() > 1 && digits[0] == b'0' {
        digits = &digits[1..];
    }
    while digits.len() > 1 && digits.ends_with(b"0") {
        digits = &digits[..digits.len() - 1];
        last += 1;
    }
    let mut text = Short::new();
    text.put(digits);
    (text, last)
}

/// Appends `digits * 10^last`.
fn lay_out(text: &mut Short, digits: &[u8], last: i32, negative: bool) {
    let count = digits.len() as i32;
    let exponent = (last + count - 1).abs();
    if last >= 0 && exponent < count + 7 {
        text.put(digits);
        text.zeros(last as usize);
    } else if last < 0 && (last > -7 || exponent < 4) {
        let whole = count + last;
        if whole <= 0 {
            text.put(b"0.");
            text.zeros(-whole as usize);
            text.put(digits);
        } else {
            text.put(&digits[..whole as usize]);
            text.put(b".");
            text.put(&digits[whole as usize..]);
        }
    } else {
        let shown = &digits[..digits.len().min(18 - usize::from(negative))];
        text.put(&shown[..1]);
        if shown.len() > 1 {
            text.put(b".");
            text.put(&shown[1..]);
        }
        text.put(if last + count - 1 < 0 { b"e-" } else { b"e+" });
        text.put(itoa::Buffer::new().format(exponent).as_bytes());
    }
}

/// The integer that `text` is the canonical decimal form of: an optional `-`, no `+`, no leading zeros, no blanks;
/// `None` for anything else and for what 64 bits do not hold.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    match digits {
        [b'0'] => return if negative { None } else { Some(0) },
        [b'1'..=b'9', ..] if digits.len() <= DIGITS_MAX => {}
        _ => return None,
    }
    // At most 19 digits: no u64 overflows.
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Digits of `i64::MAX`.
const DIGITS_MAX: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_parse_in_their_canonical_form_only() {
        for n in [0, 1, -1, 9, 10, 42, 1_000_000, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
        }
        let not = ["", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x1", "a", "9223372036854775808"];
        for text in not.iter().chain(&["-9223372036854775809", "99999999999999999999", "1:", "1/"]) {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }
}

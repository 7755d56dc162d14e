//! Text as clients of Redis know it: integers, doubles, sizes in memory. Never allocates.
//! Patterns are in `glob`, quoting in `words`, INCRBYFLOAT's sums in `long_double`.

use crate::base::long_double::{Kind, Scan};
use std::ops::Deref;

/// Reads a signed integer as strictly as Redis does: no sign `+`, no leading zeros, no blanks, no `-0`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        _ => (false, text),
    };
    if digits.first() == Some(&b'0') {
        return (text.len() == 1).then_some(0);
    }
    let magnitude = parse_digits(digits)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads an unsigned integer (a cursor, a stream id's part): digits only, leading zeros allowed.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    parse_digits(text)
}

#[inline]
fn parse_digits(digits: &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for (i, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits always fit.
        n = if i < 19 { n * 10 + u64::from(digit) } else { n.checked_mul(10)?.checked_add(u64::from(digit))? };
    }
    (!digits.is_empty()).then_some(n)
}

/// Reads a double as Redis takes scores and other floats: decimal or hexadecimal (`0x1p3`), `inf`, `infinity`, with
/// or without a sign. `None` for anything else: blanks, `nan`, and numbers too large or too small to be told from
/// infinity or zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let scan = Scan::of(text)?;
    let value = match scan.kind {
        Kind::Infinite => return Some(if scan.negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        Kind::Decimal => std::str::from_utf8(text).ok()?.parse().ok()?,
        Kind::Hex => {
            let (bits, sticky, exponent) = scan.hex_bits();
            let value = hex_f64(bits, sticky, exponent);
            if scan.negative { -value } else { value }
        }
    };
    let vanished = value == 0.0 && scan.nonzero();
    (value.is_finite() && !vanished).then_some(value)
}

/// The double nearest to `(bits + rest) * 2^exponent`, ties to even; `rest` is above 0 and below 1 if `sticky`.
fn hex_f64(bits: u128, sticky: bool, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let significant = 128 - i64::from(bits.leading_zeros());
    // Exponent of the lowest bit that is kept: 53 bits, fewer of a subnormal.
    let lowest = (exponent + significant - 53).max(-1074);
    if lowest > 971 {
        return f64::INFINITY;
    }
    let drop = lowest - exponent;
    let kept = if drop <= 0 {
        bits << -drop
    } else if drop > 128 {
        0
    } else {
        let (kept, half) = (bits.checked_shr(drop as u32).unwrap_or(0), 1u128 << (drop - 1));
        let rest = bits & (half | (half - 1));
        kept + u128::from(rest > half || rest == half && (sticky || kept & 1 == 1))
    };
    // Both factors and the product are exact; 2^lowest itself may be subnormal.
    kept as f64 * f64::powi(2.0, (lowest / 2) as i32) * f64::powi(2.0, (lowest - lowest / 2) as i32)
}

/// Reads a size in bytes: digits and a unit in any case, `b`, `k` `m` `g` (powers of 1000) or `kb` `mb` `gb` (of 1024).
/// No digits are 0, as in Redis; what 64 bits do not hold is refused.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = if digits.is_empty() { 0 } else { parse_u64(digits)? };
    number.checked_mul(factor)
}

/// A number of bytes for people, as INFO's `_human` fields have it: `512B`, `1.50M`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    format!("{:.2}{}", bytes as f64 / (1u64 << (10 * power)) as f64, UNITS[power as usize - 1])
}

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
///
/// Of several shortest forms this is the nearest one (Ryu); Redis's algorithm (Grisu2) misses it once in 400 numbers,
/// by one in the last digit, with a text that reads back equal too.
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
    if value == value.trunc() && value.abs() <= (1u64 << 62) as f64 && value.to_bits() != (-0.0f64).to_bits() {
        text.put(itoa::Buffer::new().format(value as i64).as_bytes());
        return text;
    }
    if value == 0.0 {
        text.put(b"-0");
        return text;
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    if (0.001..10_000.0).contains(&value.abs()) {
        text.put(shortest.as_bytes()); // plain in Ryu's layout too
        return text;
    }
    if value < 0.0 {
        text.put(b"-");
    }
    let (digits, exponent) = digits_of(shortest.trim_start_matches('-'));
    lay_out(&mut text, &digits, exponent, value < 0.0);
    text
}

/// A double as C's `%.17g` prints it, which older servers keep and DEBUG DIGEST takes in.
pub fn double_17(value: f64) -> String {
    if !value.is_finite() {
        let name = if value.is_nan() { "nan" } else { "inf" };
        return if value < 0.0 { format!("-{name}") } else { name.to_owned() };
    }
    let text = format!("{value:.16e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if (-4..17).contains(&exponent) {
        return trimmed(&format!("{value:.*}", (16 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// Of a number as Ryu writes it, above 0: the decimal digits without leading or trailing zeros, and the power of ten of
/// the last one.
fn digits_of(shortest: &str) -> (Short, i32) {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
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

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

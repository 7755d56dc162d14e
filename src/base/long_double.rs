//! The 80-bit floating-point arithmetic behind INCRBYFLOAT: what an x86 `long double` holds, adds and prints, done with
//! integers, so that sums come out as Redis's users know them on any CPU. Never used for scores, which are doubles.
//!
//! Format: IEEE 754 extended precision, 64 bits of mantissa, exponents -16445..=16320 of its lowest bit; every
//! operation rounds its exact result to nearest, ties to even.

use smallvec::SmallVec;

/// Exponent of the lowest mantissa bit: of the smallest subnormal, and of the largest number.
const EXPONENT_MIN: i32 = -16445;
const EXPONENT_MAX: i32 = 16320;
/// Longest text that is read, bytes (Redis: MAX_LONG_DOUBLE_CHARS).
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Decimal exponents beyond these overflow, or vanish, whatever the digits.
const TENS_MAX: i64 = 4_933;
const TENS_MIN: i64 = -4_952;
/// 5^27 is the highest power of five that fits a word.
const FIVES: u32 = 27;
/// 10^19 is the highest power of ten that fits a word.
const TENS: u32 = 19;

/// `mantissa * 2^exponent`, or infinite. The mantissa's top bit is set unless the number is zero or subnormal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    infinite: bool,
    mantissa: u64,
    exponent: i32,
}

/// A number in decimal, as people read it.
pub type Human = SmallVec<[u8; 64]>;

impl LongDouble {
    const ZERO: LongDouble = LongDouble { negative: false, infinite: false, mantissa: 0, exponent: EXPONENT_MIN };

    /// Reads what Redis takes as a float for INCRBYFLOAT: decimal, hexadecimal (`0x1p-3`), `inf`, `infinity`. `None`
    /// for anything else: spaces, `nan`, and numbers too large or too small to be told from infinity or zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let scan = Scan::of(text)?;
        let number = match scan.kind {
            Kind::Infinite => return Some(LongDouble { negative: scan.negative, infinite: true, ..Self::ZERO }),
            Kind::Decimal => Self::from_decimal(scan.negative, &scan.digits(), scan.exponent)?,
            Kind::Hex => {
                let (bits, sticky, exponent) = scan.hex_bits();
                Self::round(scan.negative, bits, sticky, exponent.clamp(-100_000, 100_000) as i32)
            }
        };
        let vanished = number.mantissa == 0 && scan.nonzero();
        if number.infinite || vanished { None } else { Some(number) }
    }

    /// `digits * 10^tens`; the digits have no leading zeros. `None` if it is beyond all bounds.
    fn from_decimal(negative: bool, digits: &[u8], tens: i64) -> Option<Self> {
        if digits.is_empty() {
            return Some(Self::ZERO);
        }
        let magnitude = tens + digits.len() as i64;
        if !(TENS_MIN..=TENS_MAX + 1).contains(&magnitude) {
            return None;
        }
        let tens = tens as i32; // within the bounds just checked, as the digits are few
        if digits.len() <= TENS as usize && (-(FIVES as i32)..=TENS as i32).contains(&tens) {
            let whole = digits.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
            return Some(Self::from_small(negative, whole, tens));
        }
        let mut big = Big::from_digits(digits);
        if tens >= 0 {
            big.multiply_power(5, FIVES, tens as u32);
            let (top, sticky, exponent) = big.top_bits();
            return Some(Self::round(negative, top, sticky, exponent + tens));
        }
        // Enough zero bits below that the quotient keeps 128 significant ones: 5^n has fewer than 2.33 n bits.
        let words = (-tens as usize * 7 / 3) / 64 + 3;
        big.shift_words(words);
        let sticky = big.divide_power(5, FIVES, -tens as u32);
        let (top, more, exponent) = big.top_bits();
        Some(Self::round(negative, top, sticky | more, exponent + tens - 64 * words as i32))
    }

    /// `whole * 10^tens` without a big number: `whole` is not 0 and `tens` is -27..=19.
    fn from_small(negative: bool, whole: u64, tens: i32) -> Self {
        if tens >= 0 {
            return Self::round(negative, u128::from(whole) * 10u128.pow(tens as u32), false, 0);
        }
        let lead = whole.leading_zeros() + 64;
        let (numerator, divisor) = (u128::from(whole) << lead, u128::from(5u64.pow(-tens as u32)));
        // 128 bits by at most 63: the quotient has at least 65, one more than the mantissa.
        Self::round(negative, numerator / divisor, numerator % divisor != 0, tens - lead as i32)
    }

    /// The number nearest to `(bits + rest) * 2^exponent` with `0 <= rest < 1`, and `rest > 0` if `sticky`; a sticky
    /// caller gives at least 65 significant bits.
    fn round(negative: bool, bits: u128, sticky: bool, exponent: i32) -> Self {
        if bits == 0 {
            return LongDouble { negative, ..Self::ZERO };
        }
        let significant = 128 - bits.leading_zeros() as i32;
        let drop = (significant - 64).max(EXPONENT_MIN - exponent);
        if drop > 128 {
            return LongDouble { negative, ..Self::ZERO };
        }
        let mut exponent = exponent + drop;
        let mut mantissa = if drop <= 0 {
            bits << -drop
        } else {
            let kept = if drop == 128 { 0 } else { bits >> drop };
            let half = 1u128 << (drop - 1);
            let rest = bits & (half | (half - 1));
            let up = rest > half || rest == half && (sticky || kept & 1 == 1);
            kept + u128::from(up)
        };
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
        let infinite = exponent > EXPONENT_MAX;
        let mantissa = if infinite { 0 } else { mantissa as u64 };
        LongDouble { negative, infinite, mantissa, exponent }
    }

    /// Neither infinite nor, as no operation here makes one, not-a-number.
    pub fn is_finite(self) -> bool {
        !self.infinite
    }

    /// The sum; `None` where it is infinite or undefined, which Redis refuses as "would produce NaN or Infinity".
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let a = u128::from(high.mantissa) << 62;
        let exponent = high.exponent - 62;
        let gap = exponent - low.exponent;
        let (b, sticky) = if gap <= 0 {
            (u128::from(low.mantissa) << -gap, false)
        } else if gap < 64 {
            (u128::from(low.mantissa >> gap), low.mantissa & ((1 << gap) - 1) != 0)
        } else {
            (0, low.mantissa != 0)
        };
        let sum = if high.negative == low.negative {
            Self::round(high.negative, a + b, sticky, exponent)
        } else if a >= b {
            // What was cut off `b` is borrowed: the difference lies just above `a - b - 1`.
            Self::round(high.negative, a - b - u128::from(sticky), sticky, exponent)
        } else {
            Self::round(low.negative, b - a, sticky, exponent)
        };
        sum.is_finite().then_some(sum)
    }

    /// The decimal form Redis stores: as `%.17Lf` rounds it, without trailing zeros; never an exponent. At most 4,951
    /// bytes, fewer than 40 for numbers below 2^64. Of an infinite number, `inf` or `-inf`.
    pub fn human(self) -> Human {
        let mut text = Human::new();
        if self.infinite {
            text.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
            return text;
        }
        if self.exponent >= 0 {
            if self.negative {
                text.push(b'-');
            }
            Big::from_shifted(self.mantissa, self.exponent as u32).write_decimal(&mut text);
            return text;
        }
        // In units of 10^-17: 64 bits by 57 fit, and the division by 2^n is a shift.
        const UNIT: u128 = 100_000_000_000_000_000;
        let (scaled, shift) = (u128::from(self.mantissa) * UNIT, -self.exponent);
        let units = if shift >= 128 {
            0
        } else {
            let (kept, half) = (scaled >> shift, 1u128 << (shift - 1));
            let rest = scaled & (half | (half - 1));
            kept + u128::from(rest > half || rest == half && kept & 1 == 1)
        };
        if self.negative && units != 0 {
            text.push(b'-');
        }
        text.extend_from_slice(itoa::Buffer::new().format((units / UNIT) as u64).as_bytes());
        let mut fraction = (units % UNIT) as u64;
        if fraction != 0 {
            let mut digits = [b'0'; 17];
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (fraction % 10) as u8;
                fraction /= 10;
            }
            let end = digits.iter().rposition(|&d| d != b'0').map_or(0, |last| last + 1);
            text.push(b'.');
            text.extend_from_slice(&digits[..end]);
        }
        text
    }
}

impl From<i64> for LongDouble {
    fn from(n: i64) -> Self {
        LongDouble::round(n < 0, u128::from(n.unsigned_abs()), false, 0)
    }
}

/// What kind of number a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digits, with or without a point and an exponent.
    Decimal,
    /// `0x`, hexadecimal digits with or without a point, with or without `p` and a binary exponent.
    Hex,
    /// `inf` or `infinity`, in any case.
    Infinite,
}

/// The parts of a number's text, as C's strtod divides it (but for `nan`, and for spaces in front, which are refused).
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) negative: bool,
    pub(crate) kind: Kind,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Of the last digit of the fraction: in tens, or for hexadecimal in twos.
    pub(crate) exponent: i64,
}

impl<'a> Scan<'a> {
    pub(crate) fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Scan { negative, kind: Kind::Infinite, whole: b"", fraction: b"", exponent: 0 });
        }
        let hex = rest.len() > 2 && rest[..2].eq_ignore_ascii_case(b"0x");
        let rest = if hex { &rest[2..] } else { rest };
        let digits = |text: &[u8]| {
            text.iter().take_while(|b| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() }).count()
        };
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, rest) = match rest.split_first() {
            Some((b'.', after)) => after.split_at(digits(after)),
            _ => (&b""[..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let shown = match rest.split_first() {
            None => 0,
            Some((mark, exponent)) if mark.eq_ignore_ascii_case(if hex { &b'p' } else { &b'e' }) => {
                Self::exponent(exponent)?
            }
            Some(_) => return None,
        };
        let below = fraction.len() as i64 * if hex { 4 } else { 1 };
        let kind = if hex { Kind::Hex } else { Kind::Decimal };
        Some(Scan { negative, kind, whole, fraction, exponent: shown - below })
    }

    /// An exponent's digits with their sign, held to ±10^12.
    fn exponent(text: &[u8]) -> Option<i64> {
        let (negative, digits) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n = digits.iter().fold(0i64, |n, d| (n * 10 + i64::from(d - b'0')).min(1_000_000_000_000));
        Some(if negative { -n } else { n })
    }

    /// All digits, without leading zeros.
    fn digits(&self) -> SmallVec<[u8; 64]> {
        self.whole.iter().chain(self.fraction).copied().skip_while(|&d| d == b'0').collect()
    }

    /// Whether any digit is not 0.
    pub(crate) fn nonzero(&self) -> bool {
        self.whole.iter().chain(self.fraction).any(|&d| d != b'0')
    }

    /// Of a hexadecimal number: `(bits + rest) * 2^exponent`, and whether there is a rest below 1, in which case `bits`
    /// has more than 120 significant ones.
    pub(crate) fn hex_bits(&self) -> (u128, bool, i64) {
        let (mut bits, mut sticky, mut exponent) = (0u128, false, self.exponent);
        for &digit in self.whole.iter().chain(self.fraction) {
            let digit = u128::from((digit as char).to_digit(16).unwrap_or(0));
            if bits >> 124 == 0 {
                bits = bits << 4 | digit;
            } else {
                sticky |= digit != 0;
                exponent += 4;
            }
        }
        (bits, sticky, exponent)
    }
}

/// A natural number in words, the lowest first, without zero words on top.
#[derive(Debug)]
struct Big(Vec<u64>);

impl Big {
    fn from_digits(digits: &[u8]) -> Self {
        let mut big = Big(Vec::with_capacity(digits.len() / 19 + 1));
        for chunk in digits.chunks(TENS as usize) {
            let value = chunk.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
            big.multiply_add(10u64.pow(chunk.len() as u32), value);
        }
        big
    }

    fn from_shifted(value: u64, shift: u32) -> Self {
        let wide = u128::from(value) << (shift % 64);
        let mut big = Big(vec![wide as u64, (wide >> 64) as u64]);
        big.trim();
        big.shift_words(shift as usize / 64);
        big
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn shift_words(&mut self, words: usize) {
        self.0.splice(0..0, std::iter::repeat_n(0, words));
    }

    fn multiply_add(&mut self, factor: u64, add: u64) {
        let mut carry = add;
        for word in &mut self.0 {
            let wide = u128::from(*word) * u128::from(factor) + u128::from(carry);
            *word = wide as u64;
            carry = (wide >> 64) as u64;
        }
        if carry != 0 {
            self.0.push(carry);
        }
    }

    /// Divides, rounding down; answers the remainder.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut rest = 0;
        for word in self.0.iter_mut().rev() {
            let wide = u128::from(rest) << 64 | u128::from(*word);
            *word = (wide / u128::from(divisor)) as u64;
            rest = (wide % u128::from(divisor)) as u64;
        }
        self.trim();
        rest
    }

    /// Multiplies by `base^power`; `base^step` fits a word.
    fn multiply_power(&mut self, base: u64, step: u32, power: u32) {
        (0..power / step).for_each(|_| self.multiply_add(base.pow(step), 0));
        self.multiply_add(base.pow(power % step), 0);
    }

    /// Divides by `base^power`, rounding down; answers whether there was a remainder.
    fn divide_power(&mut self, base: u64, step: u32, power: u32) -> bool {
        let mut rest = self.divide(base.pow(power % step));
        (0..power / step).for_each(|_| rest |= self.divide(base.pow(step)));
        rest != 0
    }

    /// The top 128 bits (a top word of 0 is possible), whether bits below were cut off, and the exponent of the lowest
    /// of them.
    fn top_bits(&self) -> (u128, bool, i32) {
        let count = self.0.len();
        let word = |back: usize| count.checked_sub(back).map_or(0, |i| u128::from(self.0[i]));
        let (first, second, third) = (word(1), word(2), word(3));
        let lead = (first as u64).leading_zeros() % 64;
        let top = (first << 64 | second) << lead | (third << lead) >> 64;
        let cut = (third as u64) << lead != 0 || self.0[..count.saturating_sub(3)].iter().any(|&w| w != 0);
        (top, cut, 64 * (count as i32 - 2) - lead as i32)
    }

    fn write_decimal(mut self, text: &mut Human) {
        let mut chunks: SmallVec<[u64; 4]> = SmallVec::new();
        while !self.0.is_empty() {
            chunks.push(self.divide(10u64.pow(TENS)));
        }
        let mut digits = itoa::Buffer::new();
        text.extend_from_slice(digits.format(chunks.pop().unwrap_or(0)).as_bytes());
        for chunk in chunks.iter().rev() {
            let shown = digits.format(*chunk).as_bytes();
            text.extend(std::iter::repeat_n(b'0', TENS as usize - shown.len()));
            text.extend_from_slice(shown);
        }
    }
}

#[cfg(test)]
#[path = "long_double_tests.rs"]
mod tests;

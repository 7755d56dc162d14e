//! The times that commands on fields take: spans and instants, in seconds and milliseconds. Never touches a key.

use crate::base::text::parse_i64;
use crate::commands::errors;

/// Latest expiry of a field, Unix milliseconds (Redis: 46 bits).
const EXPIRE_MS_MAX: i64 = (1 << 46) - 1;

/// How a time argument is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Milliseconds per unit: 1000 or 1.
    pub(crate) unit_ms: i64,
    /// A Unix time, not a span from now.
    pub(crate) absolute: bool,
}

impl Clock {
    /// EX.
    pub(crate) const SECONDS: Clock = Clock { unit_ms: 1000, absolute: false };
    /// PX.
    pub(crate) const MILLISECONDS: Clock = Clock { unit_ms: 1, absolute: false };
    /// EXAT.
    pub(crate) const UNIX_SECONDS: Clock = Clock { unit_ms: 1000, absolute: true };
    /// PXAT.
    pub(crate) const UNIX_MILLISECONDS: Clock = Clock { unit_ms: 1, absolute: true };

    /// The option that introduces a time.
    pub(crate) fn named(word: &[u8]) -> Option<Clock> {
        match () {
            () if word.eq_ignore_ascii_case(b"ex") => Some(Clock::SECONDS),
            () if word.eq_ignore_ascii_case(b"px") => Some(Clock::MILLISECONDS),
            () if word.eq_ignore_ascii_case(b"exat") => Some(Clock::UNIX_SECONDS),
            () if word.eq_ignore_ascii_case(b"pxat") => Some(Clock::UNIX_MILLISECONDS),
            () => None,
        }
    }
}

/// The Unix time in milliseconds that an argument of command `name` means. It may be past.
pub(crate) fn instant(text: &[u8], clock: Clock, now_ms: u64, name: &str) -> Result<u64, String> {
    let number = parse_i64(text).ok_or(errors::NOT_INTEGER)?;
    if number < 0 {
        return Err("ERR invalid expire time, must be >= 0".into());
    }
    let base = if clock.absolute { 0 } else { now_ms as i64 };
    let at = number.checked_mul(clock.unit_ms).and_then(|span| span.checked_add(base));
    match at.filter(|at| *at <= EXPIRE_MS_MAX) {
        Some(at) => Ok(at.cast_unsigned()),
        None => Err(format!("ERR invalid expire time in '{name}' command")),
    }
}

/// A whole second as TTL and its kin round: up.
pub(crate) fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

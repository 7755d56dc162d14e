//! The times that commands on fields take: spans and instants, in seconds and milliseconds. Never touches a key.

use crate::base::text::parse_i64;
use crate::commands::errors;
use crate::commands::time_unit::TimeUnit;

/// Latest expiry of a field, Unix milliseconds (Redis: 46 bits).
const EXPIRE_MS_MAX: i64 = (1 << 46) - 1;

/// The Unix time in milliseconds that an argument of command `name` means. It may be past.
pub(crate) fn instant(text: &[u8], unit: TimeUnit, now_ms: u64, name: &str) -> Result<u64, String> {
    let number = parse_i64(text).ok_or(errors::NOT_INTEGER)?;
    if number < 0 {
        return Err("ERR invalid expire time, must be >= 0".into());
    }
    let base = if unit.absolute { 0 } else { now_ms as i64 };
    let at = number.checked_mul(unit.ms).and_then(|span| span.checked_add(base));
    match at.filter(|at| *at <= EXPIRE_MS_MAX) {
        Some(at) => Ok(at.cast_unsigned()),
        None => Err(format!("ERR invalid expire time in '{name}' command")),
    }
}

/// A whole second as TTL and its kin round: up.
pub(crate) fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

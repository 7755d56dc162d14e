//! How commands say when something ends: a span or an instant, in seconds or milliseconds. Never reads the number.

/// How a time argument is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeUnit {
    /// Milliseconds per unit: 1000 or 1.
    pub(crate) ms: i64,
    /// A Unix time, not a span from now.
    pub(crate) absolute: bool,
}

impl TimeUnit {
    /// EX, SETEX, HEXPIRE.
    pub(crate) const SECONDS: TimeUnit = TimeUnit { ms: 1000, absolute: false };
    /// PX, PSETEX, HPEXPIRE.
    pub(crate) const MILLISECONDS: TimeUnit = TimeUnit { ms: 1, absolute: false };
    /// EXAT, HEXPIREAT.
    pub(crate) const UNIX_SECONDS: TimeUnit = TimeUnit { ms: 1000, absolute: true };
    /// PXAT, HPEXPIREAT.
    pub(crate) const UNIX_MILLISECONDS: TimeUnit = TimeUnit { ms: 1, absolute: true };

    /// The option that introduces a time.
    pub(crate) fn named(word: &[u8]) -> Option<TimeUnit> {
        match () {
            () if word.eq_ignore_ascii_case(b"ex") => Some(TimeUnit::SECONDS),
            () if word.eq_ignore_ascii_case(b"px") => Some(TimeUnit::MILLISECONDS),
            () if word.eq_ignore_ascii_case(b"exat") => Some(TimeUnit::UNIX_SECONDS),
            () if word.eq_ignore_ascii_case(b"pxat") => Some(TimeUnit::UNIX_MILLISECONDS),
            () => None,
        }
    }
}

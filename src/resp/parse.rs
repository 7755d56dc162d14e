//! Incremental parser of RESP requests and inline commands. Holds no bytes: it points into the caller's buffer.

/// One argument: where it stands in the buffer that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

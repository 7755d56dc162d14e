//! Writes replies in RESP2 or RESP3 straight into an output buffer. Never allocates but to grow that buffer.

use crate::base::bytes::OutBuf;

/// Protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proto {
    /// What a connection starts with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Writes one command's reply.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Where to.
    pub out: &'a mut OutBuf,
    /// Which dialect.
    pub proto: Proto,
}

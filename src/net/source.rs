//! Where bytes that a connection received lie until its commands have run. Never parses them.

use crate::runtime::driver::RecvBuf;

/// Where received bytes are.
#[derive(Debug)]
pub enum Source {
    /// In a buffer of the driver's pool.
    Received(RecvBuf),
    /// In the connection's own buffer.
    Kept(Vec<u8>),
}

impl std::ops::Deref for Source {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Source::Received(buffer) => buffer,
            Source::Kept(bytes) => bytes,
        }
    }
}

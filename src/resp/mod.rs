//! The wire format, sans I/O: bytes in, argument spans out; reply values in, bytes out. Never touches a socket.

pub mod big;
pub mod parse;
pub mod reply;

//! Error texts shared by several families, letter for letter as Redis sends them (without the leading `-`).

/// A command applied to a key of another type.
pub const WRONGTYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
/// Options that do not parse.
pub const SYNTAX: &str = "ERR syntax error";
/// An argument that is no 64-bit integer.
pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
/// An argument that is no float.
pub const NOT_FLOAT: &str = "ERR value is not a valid float";
/// A key that has to be there.
pub const NO_SUCH_KEY: &str = "ERR no such key";
/// A string that would pass proto-max-bulk-len.
pub const STRING_TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
/// A database number that `databases` does not reach.
pub const DB_OUT_OF_RANGE: &str = "ERR DB index is out of range";

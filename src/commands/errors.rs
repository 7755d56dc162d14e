//! Error texts shared by several families, letter for letter as Redis sends them (without the leading `-`).

use crate::commands::args::Args;
use crate::resp::reply::Reply;

/// A command applied to a key of another type.
pub const WRONGTYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
/// Options that do not parse.
pub const SYNTAX: &str = "ERR syntax error";
/// An argument that is no 64-bit integer.
pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
/// An integer that has to fit 32 bits.
pub const BEYOND_INT: &str = "ERR value is out of range, value must between -2147483648 and 2147483647";
/// An argument that is no float.
pub const NOT_FLOAT: &str = "ERR value is not a valid float";
/// A key that has to be there.
pub const NO_SUCH_KEY: &str = "ERR no such key";
/// A string that would pass proto-max-bulk-len.
pub const STRING_TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
/// A database number that `databases` does not reach.
pub const DB_OUT_OF_RANGE: &str = "ERR DB index is out of range";

/// Longest part of a client's own words that an error repeats, bytes (Redis).
const QUOTE_BYTES_MAX: usize = 128;

/// `ERR unknown command ...` for a request whose name is not in the table, with the arguments' begin.
pub fn unknown_command(args: &Args<'_>, reply: &mut Reply<'_>) {
    let mut quoted = Vec::new();
    for arg in args.from(1) {
        if quoted.len() >= QUOTE_BYTES_MAX {
            break;
        }
        let room = QUOTE_BYTES_MAX - quoted.len();
        quoted.push(b'\'');
        quoted.extend_from_slice(quote(arg, room));
        quoted.extend_from_slice(b"' ");
    }
    let name = quote(&args[0], QUOTE_BYTES_MAX);
    reply.error_bytes(&[b"ERR unknown command '", name, b"', with args beginning with: ", &quoted].concat());
}

/// `ERR unknown subcommand ...` for a container's name and a second argument that it does not have.
pub fn unknown_subcommand(args: &Args<'_>, reply: &mut Reply<'_>) {
    let name = quote(&args[1], QUOTE_BYTES_MAX);
    let parent = quote(&args[0], usize::MAX).to_ascii_uppercase();
    reply.error_bytes(&[b"ERR unknown subcommand '", name, b"'. Try ", &parent, b" HELP."].concat());
}

/// As [`unknown_subcommand`], from a command that checks the number of arguments of its subcommands itself (DEBUG,
/// CLIENT UNBLOCK).
pub fn subcommand_syntax(args: &Args<'_>, reply: &mut Reply<'_>) {
    let name = quote(&args[1], QUOTE_BYTES_MAX);
    let parent = quote(&args[0], usize::MAX).to_ascii_uppercase();
    let text = b"ERR unknown subcommand or wrong number of arguments for '";
    reply.error_bytes(&[text, name, b"'. Try ", &parent, b" HELP."].concat());
}

/// The code of an error, which its text begins with: its first word.
pub fn code(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\r')).unwrap_or(text.len());
    &text[..end]
}

/// `ERR wrong number of arguments ...`; `name` is the specification's, `parent|name` for a subcommand.
pub fn wrong_arity(name: &str, reply: &mut Reply<'_>) {
    reply.error_fmt(format_args!("ERR wrong number of arguments for '{name}' command"));
}

/// The begin of `bytes` as C's `%.*s` prints it: up to the first NUL.
fn quote(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end.min(bytes_max)]
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;

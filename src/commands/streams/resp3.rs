//! Replies of one shard's part in RESP2, told to a client that speaks RESP3. Knows only what stream commands answer.

use crate::base::text::parse_i64;
use crate::resp::reply::Reply;

/// Copies a RESP2 reply of bulks and arrays, with the one null there is as RESP3 has it.
pub(super) fn put_as_resp3(mut rest: &[u8], reply: &mut Reply<'_>) {
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = rest.split_at(end + 2);
        let payload = match line {
            b"*-1\r\n" => {
                reply.null_array();
                rest = after;
                continue;
            }
            [b'$', digits @ .., b'\r', b'\n'] => parse_i64(digits).map_or(0, |len| len as usize + 2),
            _ => 0,
        };
        reply.raw(line);
        reply.raw(&after[..payload.min(after.len())]);
        rest = &after[payload.min(after.len())..];
    }
}

//! Merges the replies of a command's parts into the one reply its client gets. Works on encoded bytes, so a part is the
//! command's ordinary function and nothing else.

use crate::base::bytes::OutBuf;
use crate::resp::reply::Proto;

/// End of the RESP value that starts at `at`; `None` if the bytes are not a whole value.
pub fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut left = 1usize;
    let mut at = at;
    while left > 0 {
        let kind = *bytes.get(at)?;
        let line = at + bytes[at..].windows(2).position(|w| w == b"\r\n")?;
        let digits = &bytes[at + 1..line];
        let number = || std::str::from_utf8(digits).ok()?.parse::<i64>().ok();
        at = line + 2;
        left -= 1;
        match kind {
            b'$' | b'=' | b'!' => {
                let len = number()?;
                if len >= 0 {
                    at += len as usize + 2;
                }
            }
            b'*' | b'~' | b'>' => left += usize::try_from(number()?).unwrap_or(0),
            b'%' => left += 2 * usize::try_from(number()?).unwrap_or(0),
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// Copies large strings into place, so that a part's reply is one run of bytes.
pub fn flatten(out: &mut OutBuf) {
    if out.bigs.is_empty() {
        return;
    }
    let mut flat = Vec::with_capacity(out.len());
    let mut from = 0;
    for (at, big) in out.bigs.drain(..) {
        flat.extend_from_slice(&out.bytes[from..at]);
        flat.extend_from_slice(&big);
        from = at;
    }
    flat.extend_from_slice(&out.bytes[from..]);
    out.bytes = flat;
}

/// The first part that answered an error, if one did.
fn first_error(parts: &[OutBuf]) -> Option<&[u8]> {
    parts.iter().map(|p| p.bytes.as_slice()).find(|b| b.first() == Some(&b'-'))
}

/// The integer a `:n` reply holds.
pub fn integer(reply: &[u8]) -> Option<i64> {
    let body = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(body).ok()?.parse().ok()
}

/// Adds up integer replies.
pub fn sum(parts: &[OutBuf], out: &mut Vec<u8>) {
    if let Some(error) = first_error(parts) {
        return out.extend_from_slice(error);
    }
    let total: i64 = parts.iter().filter_map(|p| integer(&p.bytes)).sum();
    out.extend_from_slice(format!(":{total}\r\n").as_bytes());
}

/// The first error, or the first part's reply.
pub fn all_ok(parts: &[OutBuf], out: &mut Vec<u8>) {
    let reply = first_error(parts).or_else(|| parts.first().map(|p| p.bytes.as_slice()));
    out.extend_from_slice(reply.unwrap_or(b"+OK\r\n"));
}

/// Puts array elements back into the order of the keys; `part_of_key[i]` is the part that key `i` went to.
pub fn by_key(parts: &[OutBuf], part_of_key: &[u32], out: &mut Vec<u8>) {
    if let Some(error) = first_error(parts) {
        return out.extend_from_slice(error);
    }
    out.extend_from_slice(format!("*{}\r\n", part_of_key.len()).as_bytes());
    let mut at: Vec<usize> = parts.iter().map(|p| header_end(&p.bytes)).collect();
    for &part in part_of_key {
        let bytes = &parts[part as usize].bytes;
        let start = at[part as usize];
        let end = value_end(bytes, start).expect("a part answers one element per key");
        out.extend_from_slice(&bytes[start..end]);
        at[part as usize] = end;
    }
}

/// Joins arrays (or, in RESP3, sets).
pub fn concat(parts: &[OutBuf], out: &mut Vec<u8>) {
    if let Some(error) = first_error(parts) {
        return out.extend_from_slice(error);
    }
    let mut count = 0i64;
    for part in parts {
        let end = header_end(&part.bytes);
        let header = std::str::from_utf8(&part.bytes[1..end - 2]).unwrap_or("0");
        count += header.parse::<i64>().unwrap_or(0);
    }
    let kind = parts.first().map_or(b'*', |p| p.bytes[0]);
    out.push(kind);
    out.extend_from_slice(format!("{count}\r\n").as_bytes());
    for part in parts {
        out.extend_from_slice(&part.bytes[header_end(&part.bytes)..]);
    }
}

/// One part's reply that is not null, starting the search at `first`.
pub fn draw(parts: &[OutBuf], first: usize, proto: Proto, out: &mut Vec<u8>) {
    let null: &[u8] = if proto == Proto::Resp3 { b"_\r\n" } else { b"$-1\r\n" };
    let found = (0..parts.len()).map(|i| parts[(first + i) % parts.len()].bytes.as_slice()).find(|b| *b != null);
    out.extend_from_slice(found.unwrap_or(null));
}

fn header_end(bytes: &[u8]) -> usize {
    bytes.windows(2).position(|w| w == b"\r\n").map_or(bytes.len(), |p| p + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(texts: &[&str]) -> Vec<OutBuf> {
        texts.iter().map(|t| OutBuf { bytes: t.as_bytes().to_vec(), bigs: Vec::new() }).collect()
    }

    #[test]
    fn by_key_restores_the_order_of_the_keys() {
        let mut out = Vec::new();
        by_key(&parts(&["*2\r\n$1\r\na\r\n$-1\r\n", "*1\r\n$4\r\nb\r\nb\r\n"]), &[0, 1, 0], &mut out);
        assert_eq!(out, b"*3\r\n$1\r\na\r\n$4\r\nb\r\nb\r\n$-1\r\n");
    }

    #[test]
    fn an_error_of_one_part_is_the_reply() {
        for merge in [sum, all_ok, concat] {
            let mut out = Vec::new();
            merge(&parts(&[":1\r\n", "-ERR no\r\n"]), &mut out);
            assert_eq!(out, b"-ERR no\r\n");
        }
    }

    #[test]
    fn sums_and_joins() {
        let mut out = Vec::new();
        sum(&parts(&[":1\r\n", ":41\r\n"]), &mut out);
        concat(&parts(&["*0\r\n", "*1\r\n$1\r\nk\r\n"]), &mut out);
        assert_eq!(out, b":42\r\n*1\r\n$1\r\nk\r\n");
    }

    #[test]
    fn draw_passes_over_empty_shards() {
        let mut out = Vec::new();
        draw(&parts(&["$-1\r\n", "$1\r\nk\r\n", "$-1\r\n"]), 2, Proto::Resp2, &mut out);
        assert_eq!(out, b"$1\r\nk\r\n");
    }

    #[test]
    fn value_end_knows_nested_values_and_refuses_cut_ones() {
        let whole = b"%1\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n";
        assert_eq!(value_end(whole, 0), Some(whole.len()));
        for cut in 0..whole.len() {
            assert_eq!(value_end(&whole[..cut], 0), None, "cut at {cut}");
        }
    }
}

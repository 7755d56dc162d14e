//! A line of words, as redis.conf, inline commands and CONFIG SET quote them. Never sees where a line ends.
//!
//! Words are separated by blanks. `"..."` knows `\n \r \t \b \a \xHH` and `\` before anything else; `'...'` knows
//! only `\'`. A closing quote must be followed by a blank or the end.

use std::io::Write;

/// The words of `line`; `None` if a quote is left open or runs into the next word.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_blank(*first)
        {
            rest = tail;
        }
        // A NUL ends the line, as it ends a C string.
        if matches!(rest, [] | [0, ..]) {
            return Some(words);
        }
        let (word, tail) = next_word(rest)?;
        words.push(word);
        rest = tail;
    }
}

/// C's isspace.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn next_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [0 | b' ' | b'\t' | b'\n' | b'\r', ..] => return Some((word, rest)),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                let tail = quoted(tail, *quote, &mut word)?;
                return match tail {
                    [next, ..] if !is_blank(*next) && *next != 0 => None,
                    _ => Some((word, tail)),
                };
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Reads up to the closing quote into `word`; returns what follows it.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return None,
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' && *escaped != 0 => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] if *byte == quote => return Some(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Appends `word` in double quotes, in the form [`split`] reads back; other than printable ASCII becomes `\xHH`.
pub fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => write!(out, "\\x{byte:02x}").expect("writing to memory"),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn check(line: &str, expected: Option<&[&str]>) {
        let words = super::split(line.as_bytes());
        let words: Option<Vec<String>> =
            words.map(|w| w.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect());
        let expected: Option<Vec<String>> = expected.map(|e| e.iter().map(|s| (*s).to_string()).collect());
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn words_and_quotes_are_read_as_redis_reads_them() {
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("save 3600 1\r\n", Some(&["save", "3600", "1"]));
        check("save \"\"", Some(&["save", ""]));
        check("a \"b c\" 'd e'", Some(&["a", "b c", "d e"]));
        check("\"\\x41\\n\\q\"", Some(&["A\nq"]));
        check("'\\n\\''", Some(&["\\n'"]));
        check("pre\"fix\"", Some(&["prefix"]));
        check("\"open", None);
        check("'open", None);
        check("\"a\"b", None);
        check("\"a\\", None);
        check("\"\\xZ1\"", Some(&["xZ1"]));
        check("a\0b", Some(&["a"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_is_quoted_reads_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let mut line = Vec::new();
            for word in &words {
                super::quote(word, &mut line);
                line.push(b' ');
            }
            prop_assert_eq!(super::split(&line), Some(words));
        }

        #[test]
        fn any_line_is_read_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = super::split(&line);
        }
    }
}

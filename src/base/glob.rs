//! Redis's glob patterns over bytes: `*`, `?`, `[a-z]`, `[^...]`, `\x`. Never allocates and never takes more than
//! pattern times text steps, whatever the pattern.

/// Whether all of `text` matches `pattern`; ASCII letters match without regard to case if `nocase`.
///
/// Nothing but the empty pattern matches an empty text, `*` does not either: so it is in Redis and Valkey, whose users
/// meet it where a pattern is not compared with `*` first (PSUBSCRIBE, KEYS `**`).
///
/// Only the last `*` seen can still change what it swallowed, so one saved position replaces recursion.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        let step = match text.get(t) {
            None if p == pattern.len() => return true,
            // More text can not help: a longer match for the star leaves even less.
            None => return false,
            Some(&byte) if p < pattern.len() => one(&pattern[p..], byte, nocase),
            Some(_) => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            (None, None) => return false,
        }
    }
}

/// Width of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let same = |a: u8| if nocase { a.eq_ignore_ascii_case(&byte) } else { a == byte };
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class(rest, byte, nocase).map(|width| width + 1),
        [b'\\', escaped, ..] => same(*escaped).then_some(2),
        [literal, ..] => same(*literal).then_some(1),
        [] => None,
    }
}

/// As [`one`] for what follows a `[`. A class that is not closed ends with the pattern, as in Redis.
fn class(rest: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
    let byte = fold(byte);
    let negated = rest.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut hit = false;
    loop {
        match &rest[at.min(rest.len())..] {
            [] => break,
            [b'\\', escaped, ..] => {
                hit |= fold(*escaped) == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(*from), fold(*to));
                hit |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [single, ..] => {
                hit |= fold(*single) == byte;
                at += 1;
            }
        }
    }
    (hit != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", false),
            ("a*", "a", true),
            ("a*", "b", false),
            ("**c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("[\\]]", "]", true),
            ("[^]x", "ax", true),
            ("[abc", "b", true),
            ("[", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("*?", "", false),
            ("?*", "ab", true),
            ("[a-", "-", true),
        ];
        for &(pattern, text, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} on {text}");
        }
        assert!(matches(b"H[A-C]*", b"hBx", true));
        assert!(!matches(b"H*", b"hx", false));
    }

    #[test]
    fn a_nasty_pattern_takes_few_steps() {
        assert!(!matches(&[&b"*a".repeat(500)[..], b"b"].concat(), &[b'a'; 100_000], false));
    }
}

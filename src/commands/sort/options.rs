//! The options of SORT, and the names that patterns make. Never looks at a key.

use crate::base::text::parse_i64;
use crate::commands::errors;

/// Parsed options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// BY a pattern with a `*`.
    pub(crate) by: Option<&'a [u8]>,
    /// BY a pattern without: the order stays as it is.
    pub(crate) unsorted: bool,
    /// GET patterns.
    pub(crate) get: Vec<&'a [u8]>,
    /// LIMIT.
    pub(crate) limit: Option<(i64, i64)>,
    /// DESC.
    pub(crate) descending: bool,
    /// ALPHA.
    pub(crate) alpha: bool,
    /// STORE.
    pub(crate) store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads the arguments from 2 on.
    pub(crate) fn parse(args: &'a [Vec<u8>], read_only: bool) -> Result<Self, &'static str> {
        let mut options = Options::default();
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let next = args.get(at + 1).map(Vec::as_slice);
            at += match next {
                _ if is("asc") => {
                    options.descending = false;
                    1
                }
                _ if is("desc") => {
                    options.descending = true;
                    1
                }
                _ if is("alpha") => {
                    options.alpha = true;
                    1
                }
                Some(offset) if is("limit") && at + 2 < args.len() => {
                    let offset = parse_i64(offset).ok_or(errors::NOT_INTEGER)?;
                    let count = parse_i64(&args[at + 2]).ok_or(errors::NOT_INTEGER)?;
                    options.limit = Some((offset, count));
                    3
                }
                Some(target) if is("store") && !read_only => {
                    options.store = Some(target);
                    2
                }
                Some(pattern) if is("by") => {
                    if has_star(pattern) {
                        options.by = Some(pattern);
                    } else {
                        options.unsorted = true;
                    }
                    2
                }
                Some(pattern) if is("get") => {
                    options.get.push(pattern);
                    2
                }
                _ => return Err(errors::SYNTAX),
            };
        }
        Ok(options)
    }

    /// The part of `len` elements that LIMIT leaves: first and count.
    pub(crate) fn part(&self, len: usize) -> (usize, usize) {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let first = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(len - first);
        (first, count)
    }
}

/// A pattern as C reads it: up to the first NUL.
fn text(pattern: &[u8]) -> &[u8] {
    pattern.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether the pattern makes names of keys.
pub(crate) fn has_star(pattern: &[u8]) -> bool {
    text(pattern).contains(&b'*')
}

/// What asks for the value that `pattern` names for `element`: a GET, or an HGET for `key->field`. `None` if it has no
/// `*` and thus names nothing.
pub(crate) fn question(pattern: &[u8], element: &[u8]) -> Option<Vec<Vec<u8>>> {
    let star = text(pattern).iter().position(|byte| *byte == b'*')?;
    let arrow = text(pattern)[star + 1..].windows(2).position(|two| two == b"->").map(|at| star + 1 + at);
    // An arrow at the very end is part of the name.
    let arrow = arrow.filter(|at| pattern.get(at + 2).is_some_and(|byte| *byte != 0));
    let end = arrow.unwrap_or(pattern.len());
    let key = [&pattern[..star], element, &pattern[star + 1..end]].concat();
    Some(match arrow {
        Some(arrow) => vec![b"HGET".to_vec(), key, pattern[arrow + 2..].to_vec()],
        None => vec![b"GET".to_vec(), key],
    })
}

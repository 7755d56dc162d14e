//! The manifest: a small text file that names what the log consists of, oldest first. Replaced as a whole, never
//! edited.
//!
//! ```text
//! pinion-aof 1
//! others 7d1c09e2                        append-only files of another server that stood beside, see `others`
//! base appendonly.aof.12.base.rdb        at most one: what the data was before the first set
//! set 13 4                               run 13 of the server, with 4 shards: its files are *.13.SHARD.N.log
//! from 13 2 5 1234                       shard 2 of run 13: segment 5 is the first one, block 1234 its first block
//! end 0f3a9c41                           crc32c of everything above it
//! ```

use std::fmt::Write;

/// What one run of the server logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its number; names its files and their epochs.
    pub number: u32,
    /// How many shards it had.
    pub shards: u16,
    /// Where each shard's log begins, if not with its first block: by shard, or empty.
    pub begins: Vec<Begin>,
}

/// Where a shard's log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Begin {
    /// Number of the first segment.
    pub segment: u32,
    /// Number of its first block.
    pub sequence: u64,
}

impl Set {
    /// A run whose logs begin with their first blocks.
    pub fn new(number: u32, shards: u16) -> Set {
        Set { number, shards, begins: Vec::new() }
    }

    /// Where a shard's log begins.
    pub fn begin(&self, shard: u16) -> Begin {
        self.begins.get(usize::from(shard)).copied().unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// [`others::mark`](super::others::mark) of when it was written; `None` of an older version: nobody knows.
    pub others: Option<u32>,
    /// File name of the snapshot that the log begins with.
    pub base: Option<String>,
    /// Runs of the server since then.
    pub sets: Vec<Set>,
}

const TITLE: &str = "pinion-aof 1";

impl Manifest {
    /// A number that no set has.
    pub fn next_number(&self) -> u32 {
        self.sets.iter().map(|set| set.number + 1).max().unwrap_or(1)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        if let Some(mark) = self.others {
            let _ = writeln!(text, "others {mark:08x}");
        }
        if let Some(base) = &self.base {
            let _ = writeln!(text, "base {base}");
        }
        for set in &self.sets {
            let _ = writeln!(text, "set {} {}", set.number, set.shards);
            for (shard, begin) in set.begins.iter().enumerate() {
                let _ = writeln!(text, "from {} {shard} {} {}", set.number, begin.segment, begin.sequence);
            }
        }
        let crc = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "end {crc:08x}");
        text
    }

    /// Reads a manifest; the error says what is wrong and in which line.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let mut manifest = Manifest::default();
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", number + 1);
            let bare = line.strip_suffix('\n').ok_or_else(|| wrong("it does not end"))?;
            if number == 0 {
                if bare != TITLE {
                    return Err(wrong("not a manifest of Pinion's log, or of a newer version"));
                }
                at += line.len();
                continue;
            }
            let (word, rest) = bare.split_once(' ').ok_or_else(|| wrong("one word alone"))?;
            match word {
                "others" if at == TITLE.len() + 1 => {
                    manifest.others = Some(u32::from_str_radix(rest, 16).map_err(|_| wrong("not a mark"))?);
                }
                "base" if manifest.base.is_none() && manifest.sets.is_empty() => {
                    manifest.base = Some(file_name(rest).ok_or_else(|| wrong("not a file name"))?);
                }
                "set" => {
                    let set = set(rest).ok_or_else(|| wrong("not a number and a number of shards"))?;
                    if manifest.sets.last().is_some_and(|last| last.number >= set.number) {
                        return Err(wrong("a set out of order"));
                    }
                    manifest.sets.push(set);
                }
                "from" => {
                    let last = manifest.sets.last_mut();
                    let begin = last.and_then(|set| begin(rest, set).map(|begin| set.begins.push(begin)));
                    begin.ok_or_else(|| wrong("not where a log of the set above begins"))?;
                }
                "end" => {
                    if u32::from_str_radix(rest, 16) != Ok(crc32c::crc32c(&text.as_bytes()[..at])) {
                        return Err(wrong("the checksum does not match"));
                    }
                    if at + line.len() != text.len() {
                        return Err(wrong("something follows the end"));
                    }
                    return Ok(manifest);
                }
                _ => return Err(wrong("not a word of a manifest")),
            }
            at += line.len();
        }
        Err("the end is missing".into())
    }
}

fn set(text: &str) -> Option<Set> {
    let (number, shards) = text.split_once(' ')?;
    let set = Set::new(number.parse().ok()?, shards.parse().ok()?);
    (set.shards > 0 && set.number < u32::MAX).then_some(set)
}

/// Where the next shard's log of `set` begins.
fn begin(text: &str, set: &Set) -> Option<Begin> {
    let mut words = text.split(' ');
    let names_it = words.next()?.parse() == Ok(set.number) && words.next()?.parse() == Ok(set.begins.len());
    let begin = Begin { segment: words.next()?.parse().ok()?, sequence: words.next()?.parse().ok()? };
    (names_it && set.begins.len() < usize::from(set.shards) && words.next().is_none()).then_some(begin)
}

/// A name that stays in its folder.
fn file_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && !text.contains('/') && text != "." && text != "..";
    fits.then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let begins = vec![Begin { segment: 7, sequence: 100 }, Begin::default()];
        let sets = vec![Set { begins, ..Set::new(3, 2) }, Set::new(4, 16)];
        Manifest { others: Some(77), base: Some("base 12.rdb".into()), sets }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for manifest in [sample(), Manifest::default()] {
            assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
        }
        assert_eq!((sample().next_number(), Manifest::default().next_number()), (5, 1));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let text = sample().text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(Manifest::parse(&changed).is_err(), "byte {at}: {changed}");
            }
            assert!(Manifest::parse(&text[..at]).is_err(), "cut at {at}");
        }
        assert!(Manifest::parse(&format!("{text}x 1\n")).is_err());
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["../x", "/etc/passwd", "", ".."] {
            let manifest = Manifest { base: Some(name.into()), ..Manifest::default() };
            assert!(Manifest::parse(&manifest.text()).is_err(), "{name}");
        }
    }
}

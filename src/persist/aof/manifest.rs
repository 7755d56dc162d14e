//! The manifest: a small text file that names what the log consists of, oldest first. Replaced as a whole, never
//! edited.
//!
//! ```text
//! pinion-aof 1
//! base appendonly.aof.12.base.rdb        at most one: what the data was before the first set
//! set 13 4                               run 13 of the server, with 4 shards: its files are *.13.SHARD.N.log
//! end 0f3a9c41                           crc32c of everything above it
//! ```

use std::fmt::Write;

/// What one run of the server logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Its number; names its files and their epochs.
    pub number: u32,
    /// How many shards it had.
    pub shards: u16,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
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
        if let Some(base) = &self.base {
            let _ = writeln!(text, "base {base}");
        }
        for set in &self.sets {
            let _ = writeln!(text, "set {} {}", set.number, set.shards);
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
    let set = Set { number: number.parse().ok()?, shards: shards.parse().ok()? };
    (set.shards > 0 && set.number < u32::MAX).then_some(set)
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
        let sets = vec![Set { number: 3, shards: 2 }, Set { number: 4, shards: 16 }];
        Manifest { base: Some("base 12.rdb".into()), sets }
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
            let manifest = Manifest { base: Some(name.into()), sets: Vec::new() };
            assert!(Manifest::parse(&manifest.text()).is_err(), "{name}");
        }
    }
}

//! The manifest: a small text file that names what the log consists of, oldest first. Replaced as a whole, never edited.
//!
//! ```text
//! pinion-aof 1
//! base appendonly.aof.12.base.rdb        at most one: what the data was before the first set
//! set 4                                  a run of the server with 4 shards
//! log 0 13 appendonly.aof.13.0.log       shard, epoch, file: in order within each shard
//! end 0f3a9c41                           crc32c of everything above it
//! ```

use std::fmt::Write;

/// One segment of a shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The shard.
    pub shard: u16,
    /// See the blocks' headers.
    pub epoch: u64,
    /// File name within the folder.
    pub file: String,
}

/// What one run of the server logged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// How many shards it had.
    pub shards: u16,
    /// Their segments, in order within each shard.
    pub segments: Vec<Segment>,
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
    /// The greatest epoch in use.
    pub fn last_epoch(&self) -> u64 {
        self.sets.iter().flat_map(|set| &set.segments).map(|segment| segment.epoch).max().unwrap_or(0)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        if let Some(base) = &self.base {
            let _ = writeln!(text, "base {base}");
        }
        for set in &self.sets {
            let _ = writeln!(text, "set {}", set.shards);
            for segment in &set.segments {
                let _ = writeln!(text, "log {} {} {}", segment.shard, segment.epoch, segment.file);
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
                "base" if manifest.base.is_none() && manifest.sets.is_empty() => {
                    manifest.base = Some(file_name(rest).ok_or_else(|| wrong("not a file name"))?);
                }
                "set" => {
                    let shards = rest.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("not a number of shards"))?;
                    manifest.sets.push(Set { shards, segments: Vec::new() });
                }
                "log" => {
                    let set = manifest.sets.last_mut().ok_or_else(|| wrong("a log outside a set"))?;
                    let segment = segment(rest).filter(|s| s.shard < set.shards);
                    set.segments.push(segment.ok_or_else(|| wrong("not a shard, an epoch and a file name"))?);
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

fn segment(text: &str) -> Option<Segment> {
    let mut words = text.splitn(3, ' ');
    let shard = words.next()?.parse().ok()?;
    let epoch = words.next()?.parse().ok()?;
    Some(Segment { shard, epoch, file: file_name(words.next()?)? })
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
        let segment = |shard, epoch| Segment { shard, epoch, file: format!("a b.{epoch}.{shard}.log") };
        Manifest {
            base: Some("base.rdb".into()),
            sets: vec![
                Set { shards: 2, segments: vec![segment(0, 1), segment(1, 2), segment(0, 3)] },
                Set { shards: 1, segments: vec![segment(0, 4)] },
            ],
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for manifest in [sample(), Manifest::default()] {
            assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
        }
        assert_eq!((sample().last_epoch(), Manifest::default().last_epoch()), (4, 0));
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

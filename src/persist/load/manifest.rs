//! The manifest of Redis's multi-part append-only file: which files it consists of, and in which order.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b
//! file appendonly.aof.1.incr.aof seq 1 type i        also h: history, to be deleted
//! ```

use crate::base::text::parse_u64;
use crate::base::words;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisManifest {
    /// A snapshot, or commands.
    pub base: Option<String>,
    /// What was logged since, oldest first.
    pub increments: Vec<String>,
}

impl RedisManifest {
    /// Reads a manifest; the error says what is wrong, and in which line.
    pub fn parse(text: &[u8]) -> Result<RedisManifest, String> {
        let mut manifest = RedisManifest::default();
        let mut newest = 0;
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let wrong = |what: &str| format!("line {}: {what}", index + 1);
            let words = words::split(line).ok_or_else(|| wrong("unbalanced quotes"))?;
            let (mut name, mut number, mut kind) = (None, None, None);
            for pair in words.chunks(2) {
                let [key, value] = pair else { return Err(wrong("a word without a value")) };
                match key.to_ascii_lowercase().as_slice() {
                    b"file" => name = file_name(value),
                    b"seq" => number = parse_u64(value),
                    b"type" => kind = value.first().copied(),
                    _ => {}
                }
            }
            let name = name.ok_or_else(|| wrong("no file name, or one of another folder"))?;
            let number = number.ok_or_else(|| wrong("no sequence number"))?;
            match kind {
                Some(b'b') if manifest.base.is_none() => manifest.base = Some(name),
                Some(b'b') => return Err(wrong("a second base")),
                Some(b'i') if number > newest => {
                    newest = number;
                    manifest.increments.push(name);
                }
                Some(b'i') => return Err(wrong("a sequence number that does not grow")),
                Some(b'h') => {}
                _ => return Err(wrong("an unknown type of file")),
            }
        }
        if manifest == RedisManifest::default() {
            return Err("it names no file".into());
        }
        Ok(manifest)
    }

    /// The files in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.base.iter().chain(&self.increments).map(String::as_str)
    }
}

fn file_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    (!name.is_empty() && !name.contains('/') && name != "." && name != "..").then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_writes() {
        let text = b"file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n\
            file appendonly.aof.4.incr.aof seq 4 type i\nfile \"a b.5.incr.aof\" seq 5 type i startoffset 7\n";
        let manifest = RedisManifest::parse(text).expect("it is right");
        let files: Vec<&str> = manifest.files().collect();
        assert_eq!(files, ["appendonly.aof.2.base.rdb", "appendonly.aof.4.incr.aof", "a b.5.incr.aof"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, why) in [
            ("", "it names no file"),
            ("#x\nfile a seq 1 type x\n", "line 2: an unknown type of file"),
            ("file ../a seq 1 type i\n", "line 1: no file name, or one of another folder"),
            ("file a seq 1 type b\nfile b seq 1 type b\n", "line 2: a second base"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", "line 2: a sequence number that does not grow"),
            ("file a type i\n", "line 1: no sequence number"),
            ("file a seq\n", "line 1: a word without a value"),
        ] {
            assert_eq!(RedisManifest::parse(text.as_bytes()), Err(why.into()), "{text}");
        }
    }
}

//! The value of one setting: how its words are checked, kept and shown. Knows no setting's name.

use std::io::Write;

use crate::base::config::{OutputLimits, SavePoint, ShutdownOn};
use crate::base::text::{parse_i64, parse_memory};

use super::special;

/// What a setting's words may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// A whole number in a range, both ends included.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// `auto`, or a whole number in a range.
    IntOrAuto {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// `hz`: any number from 0 up, then kept between 1 and 500, as Redis does.
    Hz,
    /// Permission bits, in octal.
    Octal,
    /// A number of bytes, with units as `1k` (1000) or `1kb` (1024), in a range.
    Size {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// As `Size`, or a percentage of `maxmemory`.
    SizeOrPercent,
    /// As `Size` up to `i64::MAX`, or -1 for no limit.
    SizeOrMinusOne,
    /// One of these words, whatever their case.
    OneOf(&'static [&'static str]),
    /// Several of these words; the first stands for none of the others.
    Several(&'static [&'static str]),
    /// Any UTF-8 text that passes the check.
    Text(fn(&str) -> Result<(), &'static str>),
    /// Any bytes: passwords.
    Secret,
    /// A folder that exists; kept as an absolute path.
    Folder,
    /// Addresses, 16 at most.
    Addresses,
    /// `save`: pairs of seconds and changes.
    SavePoints,
    /// `client-output-buffer-limit`: class, hard, soft, seconds; classes not named keep their limits.
    OutputLimits,
    /// Numbers from 0 to 100.
    Percentiles,
    /// Three numbers from -2000 to 2000.
    OomScores,
    /// `replicaof`: host and port, or `no one`.
    Primary,
    /// `notify-keyspace-events`: letters.
    Events,
}

/// A setting's value, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Kind::YesNo`].
    YesNo(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::IntOrAuto`]: `auto`.
    Auto,
    /// Of [`Kind::Octal`].
    Octal(u32),
    /// Of [`Kind::Size`].
    Size(u64),
    /// Of [`Kind::SizeOrPercent`], 1 to 100.
    Percent(u8),
    /// Of [`Kind::OneOf`].
    Word(&'static str),
    /// Of the kinds that are lists of words.
    Words(Vec<String>),
    /// Of the kinds that are free text.
    Bytes(Vec<u8>),
    /// Of [`Kind::SavePoints`].
    SavePoints(Vec<SavePoint>),
    /// Of [`Kind::OutputLimits`].
    Limits(OutputLimits),
    /// Of [`Kind::Percentiles`].
    Percentiles(Vec<f64>),
}

impl Kind {
    /// Whether one word with blanks stands for several words.
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Kind::Several(_)
                | Kind::Addresses
                | Kind::SavePoints
                | Kind::OutputLimits
                | Kind::Percentiles
                | Kind::OomScores
                | Kind::Primary
        )
    }

    /// Whether a line of a file may have its name alone, as Redis takes it.
    pub fn may_lack_words(self) -> bool {
        matches!(self, Kind::Addresses | Kind::SavePoints | Kind::OutputLimits | Kind::Percentiles)
    }

    /// Checks `words`, a setting's whole new value; `old` is the value so far, which an output limit builds on.
    /// Errors are Redis's texts, without a prefix.
    pub fn parse(self, words: &[&[u8]], old: &Value) -> Result<Value, String> {
        if !self.is_list() {
            return match words {
                [word] => self.parse_word(word),
                _ => Err("wrong number of arguments".into()),
            };
        }
        let split: Vec<&[u8]>;
        let words = match words {
            [one] => {
                split = one.split(|b| b" \t\r\n".contains(b)).filter(|w| !w.is_empty()).collect();
                &split[..]
            }
            several => several,
        };
        match self {
            Kind::Several(names) => special::several(words, names),
            Kind::Addresses => special::addresses(words),
            Kind::SavePoints => special::save_points(words),
            Kind::OutputLimits => special::output_limits(words, old),
            Kind::Percentiles => special::percentiles(words),
            Kind::OomScores => special::oom_scores(words),
            _ => special::primary(words),
        }
    }

    fn parse_word(self, word: &[u8]) -> Result<Value, String> {
        match self {
            Kind::YesNo => match word.to_ascii_lowercase().as_slice() {
                b"yes" => Ok(Value::YesNo(true)),
                b"no" => Ok(Value::YesNo(false)),
                _ => Err("argument must be 'yes' or 'no'".into()),
            },
            Kind::Int { min, max } => integer(word, min, max).map(Value::Int),
            Kind::IntOrAuto { .. } if word.eq_ignore_ascii_case(b"auto") => Ok(Value::Auto),
            Kind::IntOrAuto { min, max } => integer(word, min, max).map(Value::Int),
            Kind::Hz => integer(word, 0, i32::MAX.into()).map(|hz| Value::Int(hz.clamp(1, 500))),
            Kind::Octal => octal(word),
            Kind::Size { min, max } => match parse_memory(word) {
                Some(bytes) if (min..=max).contains(&bytes) => Ok(Value::Size(bytes)),
                Some(_) => Err(out_of_range(min, max)),
                None => Err("argument must be a memory value".into()),
            },
            Kind::SizeOrPercent => size_or_percent(word),
            Kind::SizeOrMinusOne => match word {
                b"-1" => Ok(Value::Int(-1)),
                _ => match parse_memory(word).map(i64::try_from) {
                    Some(Ok(bytes)) => Ok(Value::Int(bytes)),
                    Some(Err(_)) => Err(out_of_range(-1, i64::MAX)),
                    None => Err("argument must be a memory value".into()),
                },
            },
            Kind::OneOf(names) => one_of(word, names).map(Value::Word),
            Kind::Text(check) => {
                let text = std::str::from_utf8(word).map_err(|_| "argument must be valid UTF-8")?;
                check(text)?;
                Ok(Value::Bytes(word.to_vec()))
            }
            Kind::Folder => special::folder(word),
            Kind::Events => special::events(word),
            _ => Ok(Value::Bytes(word.to_vec())),
        }
    }
}

fn out_of_range(min: impl std::fmt::Display, max: impl std::fmt::Display) -> String {
    format!("argument must be between {min} and {max} inclusive")
}

fn integer(word: &[u8], min: i64, max: i64) -> Result<i64, String> {
    let number = parse_i64(word).ok_or("argument couldn't be parsed into an integer")?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(out_of_range(min, max)) }
}

fn octal(word: &[u8]) -> Result<Value, String> {
    let digits = !word.is_empty() && word.len() <= 16 && word.iter().all(|b| (b'0'..=b'7').contains(b));
    if !digits {
        return Err("argument couldn't be parsed as an octal number".into());
    }
    let bits = word.iter().fold(0u64, |sum, digit| sum * 8 + u64::from(digit - b'0'));
    if bits > 0o777 { Err(out_of_range(0, 777)) } else { Ok(Value::Octal(bits as u32)) }
}

fn size_or_percent(word: &[u8]) -> Result<Value, String> {
    let wrong = "argument must be a memory or percent value";
    let Some(percent) = word.strip_suffix(b"%") else {
        let bytes = parse_memory(word).ok_or(wrong)?;
        return match i64::try_from(bytes) {
            Ok(_) => Ok(Value::Size(bytes)),
            Err(_) => Err(out_of_range(0, i64::MAX)),
        };
    };
    match parse_i64(percent) {
        Some(0) => Ok(Value::Size(0)),
        Some(percent @ 1..=100) => Ok(Value::Percent(percent as u8)),
        Some(101..) => Err("percentage argument must be less or equal to 100".into()),
        _ => Err(wrong.into()),
    }
}

pub(super) fn one_of(word: &[u8], names: &'static [&'static str]) -> Result<&'static str, String> {
    names
        .iter()
        .find(|name| name.as_bytes().eq_ignore_ascii_case(word))
        .copied()
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))
}

impl Value {
    /// As CONFIG GET shows it.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Value::YesNo(yes) => if *yes { "yes" } else { "no" }.into(),
            Value::Int(number) => number.to_string().into(),
            Value::Auto => "auto".into(),
            Value::Octal(bits) => format!("{bits:o}").into(),
            Value::Size(bytes) => bytes.to_string().into(),
            Value::Percent(percent) => format!("{percent}%").into(),
            Value::Word(word) => (*word).into(),
            Value::Words(words) => words.join(" ").into(),
            Value::Bytes(bytes) => bytes.clone(),
            Value::SavePoints(points) => {
                joined(points.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
            }
            Value::Limits(limits) => joined(special::CLASSES.iter().map(|&(class, name, _)| {
                let limit = limits[class];
                format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
            })),
            Value::Percentiles(list) => joined(list.iter().map(|p| special::percentile_text(*p))),
        }
    }

    /// The value of a YesNo setting. This and its neighbours panic on a value of another kind: a row of the table
    /// that asks for the wrong one fails the table's tests.
    pub fn yes(&self) -> bool {
        match self {
            Value::YesNo(yes) => *yes,
            other => wrong_kind(other, "yes or no"),
        }
    }

    /// An Int, in a type that holds the setting's range.
    pub fn int<T: TryFrom<i64>>(&self) -> T {
        match self {
            Value::Int(number) => T::try_from(*number).unwrap_or_else(|_| wrong_kind(self, "a smaller integer")),
            other => wrong_kind(other, "an integer"),
        }
    }

    /// A Size, bytes.
    pub fn size(&self) -> u64 {
        match self {
            Value::Size(bytes) => *bytes,
            other => wrong_kind(other, "a size"),
        }
    }

    /// A SizeOrPercent: bytes, or the percentage below zero.
    pub fn size_or_percent(&self) -> i64 {
        match self {
            Value::Size(bytes) => *bytes as i64,
            Value::Percent(percent) => -i64::from(*percent),
            other => wrong_kind(other, "a size or a percentage"),
        }
    }

    /// An IntOrAuto; `None` is `auto`.
    pub fn int_or_auto<T: TryFrom<i64>>(&self) -> Option<T> {
        if *self == Value::Auto { None } else { Some(self.int()) }
    }

    /// Permission bits.
    pub fn octal(&self) -> u32 {
        match self {
            Value::Octal(bits) => *bits,
            other => wrong_kind(other, "octal"),
        }
    }

    /// A text that was checked to be UTF-8.
    pub fn string(&self) -> String {
        match self {
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => wrong_kind(other, "text"),
        }
    }

    /// A secret.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Bytes(bytes) => bytes.clone(),
            other => wrong_kind(other, "bytes"),
        }
    }

    /// A list of words.
    pub fn words(&self) -> Vec<String> {
        match self {
            Value::Words(words) => words.clone(),
            other => wrong_kind(other, "words"),
        }
    }

    /// Words that are numbers.
    pub fn numbers(&self) -> Vec<i32> {
        self.words().iter().filter_map(|word| word.parse().ok()).collect()
    }

    /// A OneOf.
    pub fn word(&self) -> &'static str {
        match self {
            Value::Word(word) => word,
            other => wrong_kind(other, "a word"),
        }
    }

    /// A OneOf, by the enum's `named`.
    pub fn one<T>(&self, named: fn(&str) -> Option<T>) -> T {
        named(self.word()).unwrap_or_else(|| wrong_kind(self, "a word of another setting"))
    }

    /// A Several of [`special::SHUTDOWN_OPTIONS`].
    pub fn shutdown_on(&self) -> ShutdownOn {
        let words = self.words();
        let has = |name: &str| words.iter().any(|word| word == name);
        ShutdownOn { save: has("save"), nosave: has("nosave"), now: has("now"), force: has("force") }
    }

    /// Save points.
    pub fn save_points(&self) -> Vec<SavePoint> {
        match self {
            Value::SavePoints(points) => points.clone(),
            other => wrong_kind(other, "save points"),
        }
    }

    /// Output limits.
    pub fn limits(&self) -> OutputLimits {
        match self {
            Value::Limits(limits) => *limits,
            other => wrong_kind(other, "output limits"),
        }
    }

    /// Percentiles.
    pub fn percentiles(&self) -> Vec<f64> {
        match self {
            Value::Percentiles(list) => list.clone(),
            other => wrong_kind(other, "percentiles"),
        }
    }

    /// As a configuration file has it: the words after the name, one entry per line.
    pub fn lines(&self, kind: Kind) -> Vec<Vec<u8>> {
        match (self, kind) {
            (Value::Limits(limits), _) => special::CLASSES
                .iter()
                .map(|&(class, _, name)| {
                    let limit = limits[class];
                    let (hard, soft) = (size_with_unit(limit.hard), size_with_unit(limit.soft));
                    format!("{name} {hard} {soft} {}", limit.soft_seconds).into()
                })
                .collect(),
            (Value::SavePoints(points), _) if !points.is_empty() => {
                points.iter().map(|point| format!("{} {}", point.seconds, point.changes).into()).collect()
            }
            (Value::Size(bytes), _) => vec![size_with_unit(*bytes).into()],
            (_, Kind::Text(_) | Kind::Secret | Kind::Folder | Kind::Events) => vec![quoted(&self.text())],
            _ => {
                let text = self.text();
                vec![if text.is_empty() { quoted(&text) } else { text }]
            }
        }
    }
}

fn wrong_kind(value: &Value, wanted: &str) -> ! {
    panic!("a setting's row wants {wanted} and has {value:?}")
}

fn joined(parts: impl Iterator<Item = String>) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        if !text.is_empty() {
            text.push(b' ');
        }
        text.write_all(part.as_bytes()).expect("writing to memory");
    }
    text
}

fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    crate::base::words::quote(bytes, &mut text);
    text
}

/// With the largest binary unit that divides it.
fn size_with_unit(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

//! Settings at start: arguments as redis-server takes them, redis.conf files with includes, standard input. Reads
//! files and nothing else; every failure is one line that says where and why.
//!
//! Order, later wins: the file (first argument without a dash), standard input (`-`), the other arguments.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::base::limits::{CONFIG_BYTES_MAX, CONFIG_FILES_MAX, CONFIG_INCLUDE_DEPTH_MAX};
use crate::base::{glob, words};
use crate::commands::table::CommandTable;

use super::ConfigStore;
use super::special::os_error;
use super::table::{RETIRED, Status, find, settings};
use super::value::{Kind, Value};

/// Longest part of a directive that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 120;

/// A start's settings.
#[derive(Debug)]
pub struct Loaded {
    /// All settings; `store.current` is what the server runs with, `store.file` what CONFIG REWRITE writes.
    pub store: ConfigStore,
    /// All commands, under the names that `rename-command` gave them.
    pub commands: CommandTable,
    /// For the log: settings that were given a value and have no effect, a line each.
    pub notes: Vec<String>,
}

/// Why there is nothing to start: an error, or a question that `text` answers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StartError {
    /// What to print: to standard output if `code` is 0, else to standard error.
    pub text: String,
    /// The process's exit code.
    pub code: i32,
}

impl StartError {
    fn fatal(text: impl Into<String>) -> Self {
        StartError { text: text.into(), code: 1 }
    }
}

/// Reads the settings that `args` ask for, the program's name not among them.
///
/// # Errors
/// One line that says where the fault is; or, with code 0, the version or the help that was asked for.
pub fn load(args: impl Iterator<Item = OsString>) -> Result<Loaded, StartError> {
    load_with(args, &mut io::stdin().lock())
}

/// As [`load`], with another standard input.
///
/// # Errors
/// As [`load`].
pub fn load_with(args: impl Iterator<Item = OsString>, stdin: &mut dyn Read) -> Result<Loaded, StartError> {
    let args: Vec<Vec<u8>> = args.map(OsStringExt::into_vec).collect();
    answer(&args)?;
    let plan = Plan::of(args)?;
    let mut loader = Loader::new(false);
    if let Some(file) = plan.file {
        let file = std::path::absolute(&file).map_err(|error| cannot_open(&file, &error))?;
        loader.file(&file, 0)?;
        loader.store.file = Some(file);
    }
    if plan.stdin {
        let text = read_bounded(stdin).map_err(|error| StartError::fatal(format!("Can't read stdin: {error}")))?;
        loader.text(&text, "stdin", 0)?;
    }
    for directive in plan.directives {
        loader.take(&directive, Place { source: "command line", line: None }, 0)?;
    }
    loader.finish()
}

/// Arguments that end the start.
fn answer(args: &[Vec<u8>]) -> Result<(), StartError> {
    let Some(first) = args.first() else { return Ok(()) };
    let text = match first.as_slice() {
        b"-v" | b"--version" => format!("Pinion server v={} malloc=mimalloc bits=64", env!("CARGO_PKG_VERSION")),
        b"-h" | b"--help" => super::reference::usage(),
        b"--settings" => super::reference::reference(),
        b"--test-memory" => return Err(StartError::fatal("Pinion tests no memory; use memtest86+ or memtester")),
        b"--check-system" => return Err(StartError::fatal("Pinion checks no system; tuning/ says what to look at")),
        _ => return Ok(()),
    };
    Err(StartError { text, code: 0 })
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    file: Option<PathBuf>,
    stdin: bool,
    directives: Vec<Directive>,
}

/// The words of one setting, and how to show it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Directive {
    words: Vec<Vec<u8>>,
    shown: Vec<u8>,
}

impl Plan {
    /// An argument with two dashes names a setting, those after it are its words. The first word may begin with two
    /// dashes too, except after `--save`, which then stands for `--save ""`. One argument may hold name and words.
    fn of(args: Vec<Vec<u8>>) -> Result<Plan, StartError> {
        let mut plan = Plan::default();
        let last = args.len().saturating_sub(1);
        let mut named_only = false;
        for (index, arg) in args.iter().enumerate() {
            if index == 0 && !arg.starts_with(b"-") {
                if !arg.is_empty() {
                    plan.file = Some(PathBuf::from(OsString::from_vec(arg.clone())));
                }
                continue;
            }
            if arg == b"-" && (index == 0 || index == last) {
                plan.stdin = true;
                continue;
            }
            let dashed = arg.starts_with(b"--");
            if dashed && !named_only {
                let words = words::split(&arg[2..]).ok_or_else(|| {
                    let place = Place { source: "command line", line: None };
                    place.error(&arg[2..], "Unbalanced quotes in configuration line")
                })?;
                named_only = words.len() == 1;
                let bare_save = words.len() == 1 && words[0].eq_ignore_ascii_case(b"save");
                plan.directives.push(Directive { words, shown: arg[2..].to_vec() });
                let next_is_name = args.get(index + 1).is_none_or(|next| next.starts_with(b"--"));
                if bare_save && next_is_name {
                    plan.word(b"");
                    named_only = false;
                }
            } else {
                plan.word(arg);
                named_only = false;
            }
        }
        plan.directives.retain(|directive| !directive.words.is_empty());
        Ok(plan)
    }

    fn word(&mut self, word: &[u8]) {
        if self.directives.is_empty() {
            self.directives.push(Directive::default());
        }
        let directive = self.directives.last_mut().expect("one was pushed");
        if !directive.shown.is_empty() {
            directive.shown.push(b' ');
        }
        words::quote(word, &mut directive.shown);
        directive.words.push(word.to_vec());
    }
}

/// Where a directive stands.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    source: &'a str,
    line: Option<usize>,
}

impl Place<'_> {
    /// The one line that says what is wrong with `directive` here.
    fn error(self, directive: &[u8], why: &str) -> StartError {
        StartError::fatal(format!("Fatal config error, {}: {why}", self.shown(directive)))
    }

    fn shown(self, directive: &[u8]) -> String {
        let text = String::from_utf8_lossy(directive);
        let mut text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) {
            text.truncate(end);
            text.push_str("...");
        }
        match self.line {
            Some(line) => format!("{} at line {line}: '{text}'", self.source),
            None => format!("{}: '{text}'", self.source),
        }
    }
}

fn cannot_open(path: &Path, error: &io::Error) -> StartError {
    StartError::fatal(format!("Fatal error, can't open config file '{}': {}", path.display(), os_error(error)))
}

fn read_bounded(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Gathers settings, directive by directive.
pub(super) struct Loader {
    pub(super) store: ConfigStore,
    /// For each setting: where it was last set, as an error would show it.
    pub(super) set_at: Vec<Option<String>>,
    commands: CommandTable,
    /// Skip what is faulty instead of failing: CONFIG REWRITE meets files edited since the start.
    lenient: bool,
    files_left: usize,
}

impl Loader {
    pub(super) fn new(lenient: bool) -> Self {
        Loader {
            store: ConfigStore::default(),
            set_at: vec![None; settings().len()],
            commands: CommandTable::new(),
            lenient,
            files_left: CONFIG_FILES_MAX,
        }
    }

    /// Reads one file; `depth` counts the files that include it.
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), StartError> {
        let opened = File::open(path).and_then(|mut file| read_bounded(&mut file));
        let text = opened.map_err(|error| cannot_open(path, &error))?;
        self.text(&text, &path.display().to_string(), depth)
    }

    /// Reads directives from `text`, one per line.
    pub(super) fn text(&mut self, text: &[u8], source: &str, depth: usize) -> Result<(), StartError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = Place { source, line: Some(index + 1) };
            let taken = match words::split(line) {
                Some(words) => self.take(&Directive { words, shown: line.to_vec() }, place, depth),
                None => Err(place.error(line, "Unbalanced quotes in configuration line")),
            };
            if !self.lenient {
                taken?;
            }
        }
        Ok(())
    }

    fn take(&mut self, directive: &Directive, place: Place<'_>, depth: usize) -> Result<(), StartError> {
        let Some((name, values)) = directive.words.split_first() else { return Ok(()) };
        let name = name.to_ascii_lowercase();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let index = find(&name);
        // A password does not belong in a log.
        let shown = match index {
            Some(index) if matches!(settings()[index].kind, Kind::Secret) => &name,
            _ => &directive.shown,
        };
        if name == b"include"
            && let [pattern] = values[..]
        {
            return self.include(pattern, place, shown, depth);
        }
        let result = match index {
            Some(index) => self.assign(index, &values, place.shown(shown)),
            None => self.other(&name, &values),
        };
        result.map_err(|why| place.error(shown, &why))
    }

    fn assign(&mut self, index: usize, values: &[&[u8]], place: String) -> Result<(), String> {
        if values.is_empty() && !settings()[index].kind.may_lack_words() {
            return Err("wrong number of arguments".into());
        }
        let setting = settings()[index];
        let old = &self.store.values[index];
        let mut value = setting.kind.parse(values, old)?;
        // Lines of save points add up, until an empty one; the first takes the place of the default.
        if let (Value::SavePoints(new), Value::SavePoints(old)) = (&mut value, old)
            && !new.is_empty()
            && self.set_at[index].is_some()
        {
            new.splice(0..0, old.iter().copied());
        }
        self.store.assign(index, value);
        self.set_at[index] = Some(place);
        Ok(())
    }

    /// Directives that are no settings.
    fn other(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), String> {
        match (name, values) {
            (b"rename-command", [old, new]) => self.rename(old, new),
            (b"user", _) => Err("there are no ACL users yet, only requirepass".into()),
            (b"loadmodule" | b"loadmodule-ex", _) => Err("Pinion loads no modules".into()),
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            _ if RETIRED.iter().any(|retired| retired.as_bytes() == name) => Ok(()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn rename(&mut self, old: &[u8], new: &[u8]) -> Result<(), String> {
        self.commands.rename(old, new).map_err(|error| error.to_string())?;
        let text = |word: &[u8]| String::from_utf8_lossy(word).to_ascii_lowercase();
        self.store.current.rename_command.push((text(old), text(new)));
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], place: Place<'_>, shown: &[u8], depth: usize) -> Result<(), StartError> {
        if depth >= CONFIG_INCLUDE_DEPTH_MAX {
            return Err(place.error(shown, "too many files include each other"));
        }
        let found = files_matching(pattern).map_err(|error| place.error(shown, &os_error(&error)))?;
        for path in found {
            if self.files_left == 0 {
                return Err(place.error(shown, "too many files are included"));
            }
            self.files_left -= 1;
            self.file(&path, depth + 1)?;
        }
        Ok(())
    }

    /// Checks what only the last value decides: refused settings, which a later line or argument may have put right.
    fn finish(self) -> Result<Loaded, StartError> {
        let mut notes = Vec::new();
        for (index, place) in self.set_at.iter().enumerate() {
            let (Some(place), setting) = (place, settings()[index]) else { continue };
            let value = &self.store.values[index];
            if let Err(why) = setting.may_be(value) {
                return Err(StartError::fatal(format!("Fatal config error, {place}: {why}")));
            }
            if let Status::NoEffect(why) = setting.status
                && *value != setting.default_value()
            {
                notes.push(format!("'{}' has no effect: {why}", setting.name));
            }
        }
        Ok(Loaded { store: self.store, commands: self.commands, notes })
    }
}

/// The files an `include` means, in the order of their names: the path itself, or what its globs match. A glob that
/// matches nothing is no error.
fn files_matching(pattern: &[u8]) -> io::Result<Vec<PathBuf>> {
    let is_glob = |part: &[u8]| part.iter().any(|byte| b"*?[".contains(byte));
    if !is_glob(pattern) {
        return Ok(vec![PathBuf::from(OsString::from_vec(pattern.to_vec()))]);
    }
    let root = if pattern.starts_with(b"/") { "/" } else { "" };
    let mut found = vec![PathBuf::from(root)];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for base in found {
            if is_glob(part) {
                next.extend(matching_entries(&base, part)?);
            } else {
                next.push(base.join(std::ffi::OsStr::from_bytes(part)));
            }
        }
        next.truncate(CONFIG_FILES_MAX + 1);
        found = next;
    }
    found.retain(|path| path.exists());
    Ok(found)
}

fn matching_entries(base: &Path, part: &[u8]) -> io::Result<Vec<PathBuf>> {
    let folder = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let hidden = name.as_bytes().starts_with(b".") && !part.starts_with(b".");
        if !hidden && glob::matches(part, name.as_bytes(), false) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| base.join(name)).collect())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

//! The rules of the house that no compiler checks: layers, first lines, `unsafe`, banned calls, file lengths.
//! Reads the sources as text; never builds or runs them.
//!
//! Each rule collects every offence before it fails, so one run shows all there is to mend.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src`, lowest layer first. A folder imports from lower rows only: neither upward nor sideways.
const LAYERS: [&[&str]; 9] = [
    &["base"],
    &["types", "resp", "runtime"],
    &["shard"],
    &["commands", "persist"],
    &["txn"],
    &["net"],
    &["repl", "script"],
    &["admin", "cluster", "sentinel"],
    &["server"],
];

/// What may stand at the top of the repository.
const TOP_LEVEL: [&str; 12] = [
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "flamegraphs",
    "rustfmt.toml",
    "src",
    "tests",
    "tuning",
];

/// Longest file, in lines. A file that grows past it holds a second idea that wants a file of its own.
const FILE_LINES_MAX: usize = 600;

/// Files that are longer, with the length each may have. A number here only ever goes down.
const LONG_FILES: [(&str, usize); 0] = [];

/// Widest line, in characters; rustfmt keeps code to it, this test keeps comments and texts to it.
const LINE_CHARS_MAX: usize = 120;

/// Where `unsafe` may stand: a path, or a prefix that ends in `*`.
const UNSAFE_ALLOWED: [&str; 9] = [
    "src/base/bytes.rs",
    "src/base/clock.rs",
    "src/base/thin.rs",
    "src/types/table.rs",
    "src/types/table/*",
    "src/types/table_*",
    "src/types/listpack*",
    "src/runtime/*",
    "tests/common/sys.rs",
];

/// Layers through which data flows: maps there hash with the server's seeded hasher, never with std's default.
const DATA_PATH: [&str; 5] = ["types", "shard", "commands", "txn", "net"];

/// Files that may read a clock or hold state per thread. The rest take time and state as arguments.
const CLOCK_ALLOWED: [&str; 4] = ["src/base/clock", "src/runtime/", "benches/", "tests/"];

/// A source file: its path from the root, its text, and its text with comments and literals blanked.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// The folder of `src` it belongs to; `None` for `lib.rs`, `main.rs` and everything outside `src`.
    fn layer(&self) -> Option<&str> {
        let (folder, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(folder)
    }

    /// Number of the line at byte `offset`, counted from one.
    fn line_at(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file of `src`, `tests` and `benches`, in the order of their paths.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches"] {
        collect(&root().join(folder), &mut paths);
    }
    paths.retain(|p| p.extension().is_some_and(|e| e == "rs"));
    paths.sort();
    paths.into_iter().map(|p| read_source(&p)).collect()
}

fn read_source(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let code = blank_comments_and_literals(&text);
    assert_eq!(text.len(), code.len(), "{}: blanking keeps offsets", path.display());
    Source { path: relative(path), text, code }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name == "target" || name == "node_modules" || name == "__pycache__" || name == ".git" {
            continue;
        }
        if path.is_dir() { collect(&path, into) } else { into.push(path) }
    }
}

/// Replaces comments, strings and character literals by spaces, byte for byte, so that offsets stay.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => find(bytes, at, b"\n"),
            [b'/', b'*', ..] => end_of_block_comment(bytes, at),
            [b'"', ..] => end_of_string(bytes, at + 1),
            [b'r', b'"' | b'#', ..] if !is_word_before(bytes, at) => end_of_raw_string(bytes, at),
            [b'\'', ..] => end_of_char(bytes, at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("literals and comments are blanked whole")
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    // `br"..."` is a raw string too; any other letter before the r makes it part of a name.
    at > 0 && is_word(bytes[at - 1]) && !(bytes[at - 1] == b'b' && (at < 2 || !is_word(bytes[at - 2])))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    bytes[from..].windows(what.len()).position(|w| w == what).map_or(bytes.len(), |i| from + i)
}

fn end_of_block_comment(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i < bytes.len() {
        match &bytes[i..] {
            [b'/', b'*', ..] => (depth, i) = (depth + 1, i + 2),
            [b'*', b'/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_raw_string(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return at; // a raw identifier
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    (find(bytes, at + 2 + hashes, &close) + close.len()).min(bytes.len())
}

fn end_of_char(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        return (find(bytes, at + 3, b"'") + 1).min(bytes.len());
    }
    // A lifetime has no closing quote right after its first character, which UTF-8 may spread over several bytes.
    let width = bytes.get(at + 1).map_or(1, |b| b.leading_ones().max(1)) as usize;
    if bytes.get(at + 1 + width) == Some(&b'\'') { at + 2 + width } else { at }
}

/// Byte offsets at which `word` stands alone in `code`.
fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || !is_word(bytes[at - 1]) || !is_word(word.as_bytes()[0]))
        .filter(|&at| {
            let last = word.as_bytes()[word.len() - 1];
            !is_word(last) || bytes.get(at + word.len()).is_none_or(|b| !is_word(*b))
        })
        .collect()
}

fn layer_row(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&folder))
}

fn is_listed(path: &str, list: &[&str]) -> bool {
    list.iter().any(|rule| match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *rule,
    })
}

/// Fails with every offence, one on a line.
fn report(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}\n{}\n", offences.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let mut offences = Vec::new();
    for source in sources() {
        let Some(folder) = source.layer() else { continue };
        let Some(row) = layer_row(folder) else {
            offences.push(format!("{}: the folder {folder} is in no layer", source.path));
            continue;
        };
        for at in words(&source.code, "crate::") {
            let rest = &source.code[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let allowed = name == folder || layer_row(&name).is_some_and(|other| other < row);
            if !allowed {
                offences.push(format!("{}:{}: imports `{name}`", source.path, source.line_at(at)));
            }
        }
    }
    report("a layer imports lower layers only, each named as `crate::folder::`", &offences);
}

#[test]
fn no_path_climbs_out_of_its_layer() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| s.layer().is_some()) {
        for at in words(&source.code, "super::super::") {
            offences.push(format!("{}:{}: write `crate::folder::`", source.path, source.line_at(at)));
        }
        for at in words(&source.code, "pub use crate::") {
            let rest = &source.code[at + "pub use crate::".len()..];
            if !rest.starts_with(source.layer().unwrap_or_default()) {
                offences.push(format!("{}:{}: a re-export hides a layer", source.path, source.line_at(at)));
            }
        }
        for at in words(&source.code, "include!") {
            offences.push(format!("{}:{}: `include!` hides a layer", source.path, source.line_at(at)));
        }
    }
    report("paths show the layer they lead to", &offences);
}

#[test]
fn files_open_with_what_they_are() {
    let offences: Vec<String> = sources()
        .iter()
        .filter(|s| s.text.lines().next().is_none_or(|line| line.len() < 8 || !line.starts_with("//! ")))
        .map(|s| s.path.clone())
        .collect();
    report("line one is `//!` and says what the file is", &offences);
}

#[test]
fn every_file_is_part_of_the_build() {
    let all = sources();
    let paths: BTreeSet<&str> = all.iter().map(|s| s.path.as_str()).collect();
    let mut offences = Vec::new();
    for source in all.iter().filter(|s| s.path.starts_with("src/")) {
        let path = Path::new(&source.path);
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let folder = path.parent().expect("a folder");
        let (name, parents) = if stem == "mod" {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            (name, parent_modules(folder.parent().expect("src at least")))
        } else {
            (stem.to_string(), parent_modules(folder))
        };
        if matches!(source.path.as_str(), "src/main.rs" | "src/lib.rs") {
            continue;
        }
        let file = path.file_name().expect("a name").to_string_lossy();
        let declared = parents.iter().filter(|p| paths.contains(p.as_str())).any(|parent| {
            let parent = all.iter().find(|s| s.path == *parent).expect("a listed path");
            !words(&parent.code, &format!("mod {name};")).is_empty()
        });
        let by_path = all.iter().any(|s| s.text.contains(&format!("#[path = \"{file}\"]")));
        if !declared && !by_path {
            offences.push(source.path.clone());
        }
    }
    report("a file that no `mod` names is dead", &offences);
}

/// The files that may declare the modules of `folder`.
fn parent_modules(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy();
    vec![format!("{folder}/mod.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs"), format!("{folder}.rs")]
}

#[test]
fn unsafe_stays_in_named_files() {
    let mut offences = Vec::new();
    for source in sources() {
        if is_listed(&source.path, &UNSAFE_ALLOWED) || source.path.starts_with("benches/") {
            continue;
        }
        for at in words(&source.code, "unsafe") {
            offences.push(format!("{}:{}", source.path, source.line_at(at)));
        }
    }
    report("`unsafe` stands only in the files of UNSAFE_ALLOWED", &offences);
}

#[test]
fn banned_calls_stay_out() {
    let everywhere = ["dbg!", "todo!", "unimplemented!", "static mut"];
    let clocks = ["Instant::now", "SystemTime::now", "thread_local!", "Utc::now"];
    let mut offences = Vec::new();
    for source in sources() {
        let tests = source.path.ends_with("_tests.rs");
        let clock_free = !tests && !CLOCK_ALLOWED.iter().any(|prefix| source.path.starts_with(prefix));
        let banned = everywhere.iter().chain(if clock_free { clocks.iter() } else { [].iter() });
        for word in banned {
            for at in words(&source.code, word) {
                offences.push(format!("{}:{}: `{word}`", source.path, source.line_at(at)));
            }
        }
    }
    report("calls that hide state, time or unfinished work", &offences);
}

#[test]
fn the_data_path_hashes_with_a_seeded_hasher() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| s.layer().is_some_and(|l| DATA_PATH.contains(&l))) {
        for at in words(&source.code, "std::collections::") {
            let end = source.code[at..].find(';').map_or(source.code.len(), |i| at + i);
            let used = &source.code[at..end.min(at + 200)];
            if ["HashMap", "HashSet", "hash_map", "hash_set"].iter().any(|name| used.contains(name)) {
                offences.push(format!("{}:{}", source.path, source.line_at(at)));
            }
        }
    }
    report("std's hash maps stay out of the data path: hashbrown with ahash instead", &offences);
}

#[test]
fn files_stay_short() {
    let exceptions: BTreeMap<&str, usize> = LONG_FILES.into_iter().collect();
    let mut offences = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let lines = source.text.lines().count();
        match exceptions.get(source.path.as_str()) {
            Some(&max) if lines > max => offences.push(format!("{}: {lines} lines, {max} allowed", source.path)),
            Some(&max) if lines <= FILE_LINES_MAX || lines + 50 < max => {
                offences.push(format!("{}: {lines} lines now, lower its number in LONG_FILES", source.path));
            }
            None if lines > FILE_LINES_MAX => offences.push(format!("{}: {lines} lines", source.path)),
            _ => {}
        }
        seen.insert(source.path);
    }
    offences.extend(exceptions.keys().filter(|p| !seen.contains(**p)).map(|p| format!("{p}: listed but gone")));
    report("one idea in a file, 600 lines at most", &offences);
}

#[test]
fn lines_fit_the_page() {
    let mut offences = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                offences.push(format!("{}:{}", source.path, index + 1));
            }
            if line.ends_with([' ', '\t']) {
                offences.push(format!("{}:{}: space at the end", source.path, index + 1));
            }
        }
    }
    report("120 characters at most", &offences);
}

#[test]
fn nothing_names_one_machine() {
    let mut paths = Vec::new();
    for name in TOP_LEVEL {
        let path = root().join(name);
        if path.is_dir() { collect(&path, &mut paths) } else { paths.push(path) }
    }
    // Written in pieces so that this file does not find itself.
    let banned = [concat!("..", "/shared"), concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut offences = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (index, line) in text.lines().enumerate() {
            if banned.iter().any(|b| line.contains(b)) {
                offences.push(format!("{}:{}", relative(&path), index + 1));
            }
        }
    }
    report("no path of somebody's own machine", &offences);
}

#[test]
fn the_top_level_is_as_agreed() {
    // `appendonlydir` and snapshots: what a server leaves that was started here, as the README says
    let ignored = [".git", "target", ".cargo", ".config", ".vscode", ".idea", "appendonlydir"];
    let mut offences = Vec::new();
    for entry in fs::read_dir(root()).expect("the repository") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let kept = ignored.contains(&name.as_str()) || name.ends_with(".rdb");
        if !TOP_LEVEL.contains(&name.as_str()) && !kept {
            offences.push(name);
        }
    }
    report("a newcomer reads the top level first: nothing stands there by chance", &offences);
}

#[test]
fn blanking_knows_comments_strings_and_lifetimes() {
    let cases = [
        ("a // b\nc", "a \nc"),
        ("a /* /* b */ */ c", "a  c"),
        ("x(\"a\\\"b\") y", "x( ) y"),
        ("r#\"unsafe\"# z", " z"),
        ("br\"x\" z", "b z"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("c == '\"' d", "c ==  d"),
        ("c == '\\'' d", "c ==  d"),
        ("'é' d", " d"),
        ("for r in x", "for r in x"),
    ];
    for (input, want) in cases {
        let got = blank_comments_and_literals(input);
        assert_eq!(got.len(), input.len(), "{input:?}");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&got), squeezed(want), "{input:?}");
    }
}

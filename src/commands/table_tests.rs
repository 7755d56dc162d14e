//! The registry: names found in any case, subcommands, renaming.

use super::*;
use crate::commands::args::lay_out;
use crate::commands::spec::{Group, KeyShape, Plan};
use crate::resp::parse::Span;

const SUBS: &[CommandSpec] = &[
    CommandSpec::new("one|get", 2, Group::Server, "1.0.0", Plan::Session),
    CommandSpec::new("one|no-evict", 3, Group::Server, "1.0.0", Plan::Session),
];
static SOME: &[CommandSpec] = &[
    CommandSpec::new("get", 2, Group::String, "1.0.0", Plan::Session),
    CommandSpec::container("one", Group::Server, "1.0.0", "", SUBS),
    CommandSpec::new("georadiusbymember_ro", -5, Group::Geo, "3.2.10", Plan::Session),
];

fn resolve(table: &CommandTable, line: &str) -> Resolved {
    let (buffer, spans) = lay_out(&line.split(' ').collect::<Vec<_>>());
    table.resolve(&Args::new(&buffer, &spans))
}

#[test]
fn every_name_is_found_in_any_case_and_nothing_else_is() {
    let table = CommandTable::new();
    assert!(!table.is_empty());
    for (id, spec) in table.iter() {
        assert_eq!(table.lookup_full(spec.name.as_bytes()), Some(id), "{}", spec.name);
        assert_eq!(table.lookup_full(spec.name.to_ascii_uppercase().as_bytes()), Some(id), "{}", spec.name);
        for wrong in [format!("{}x", spec.name), format!("x{}", spec.name), spec.name.replace('e', "\u{5}")] {
            let found = table.lookup_full(wrong.as_bytes());
            assert!(found.is_none_or(|found| table.get(found).name == wrong), "{wrong}");
        }
        assert_eq!(table.parent(id).map(|p| table.get(p).name), spec.name.rsplit_once('|').map(|(parent, _)| parent));
    }
    for nothing in ["", "|", "get|", "one|", "config|get|get", "\0", "a name much longer than three words"] {
        assert_eq!(table.lookup_full(nothing.as_bytes()), None, "{nothing}");
    }
}

#[test]
fn lower_case_agrees_with_ascii_byte_by_byte() {
    for byte in 0..=255u8 {
        for at in 0..8 {
            let mut bytes = *b"zAZ@[`{\xff";
            bytes[at] = byte;
            let expected = bytes.map(|b| b.to_ascii_lowercase());
            assert_eq!(lower(u64::from_le_bytes(bytes)).to_le_bytes(), expected);
        }
    }
}

#[test]
fn names_of_equal_words_but_other_length_differ() {
    let key = |name: &[u8]| NameKey::new(name, NONE);
    assert_ne!(key(b"a"), key(b"aa"));
    assert_ne!(key(b"aaaa"), key(b"aaaaa"));
    assert_ne!(key(b"abcdefgh"), key(b"abcdefghh"));
    assert_eq!(key(b"ABCdefghIJKLmnopQRSTuvwx"), key(b"abcdefghijklmnopqrstuvwx"));
    assert_eq!(key(b"abcdefghijklmnopqrstuvwxy"), None);
}

#[test]
fn requests_are_resolved_to_commands_and_subcommands() {
    let table = CommandTable::of(&[SOME]);
    let id = |name: &str| Resolved::Command(table.lookup_full(name.as_bytes()).unwrap());
    assert_eq!(resolve(&table, "GET k"), id("get"));
    assert_eq!(resolve(&table, "ONE"), id("one"));
    assert_eq!(resolve(&table, "one No-Evict on"), id("one|no-evict"));
    assert_eq!(resolve(&table, "one georadiusbymember_ro"), Resolved::UnknownSubcommand(CommandId(1)));
    assert_eq!(resolve(&table, "one|get"), Resolved::UnknownCommand);
    assert_eq!(resolve(&table, "no-evict"), Resolved::UnknownCommand);
    let subs: Vec<_> = table.subcommands(CommandId(1)).map(|(_, spec)| spec.short_name()).collect();
    assert_eq!(subs, ["get", "no-evict"]);
}

#[test]
fn a_command_can_be_renamed_and_taken_away() {
    let mut table = CommandTable::of(&[SOME]);
    let get = table.lookup(b"get").unwrap();
    let one = table.lookup(b"one").unwrap();
    assert_eq!(table.rename(b"nosuch", b"x"), Err(RenameError::NoSuchCommand));
    assert_eq!(table.rename(b"get", b"one"), Err(RenameError::TargetExists));
    assert_eq!(table.rename(b"GET", b"Get"), Ok(()));
    assert_eq!(table.lookup(b"get"), Some(get));

    let long = b"A-secret-name-of-more-than-three-words";
    assert_eq!(table.rename(b"get", long), Ok(()));
    assert_eq!((table.lookup(b"get"), table.lookup(&long.to_ascii_uppercase())), (None, Some(get)));
    assert_eq!(table.rename(long, b"take"), Ok(()));
    assert_eq!((table.lookup(long), table.lookup(b"TAKE")), (None, Some(get)));

    assert_eq!(table.rename(b"one", b""), Ok(()));
    assert_eq!(resolve(&table, "one get"), Resolved::UnknownCommand);
    assert_eq!(table.lookup(b""), None);
    // numbers stay what they were, for statistics by number
    assert_eq!((table.len(), table.get(one).name), (5, "one"));
    assert_eq!(table.commands().map(|(id, _)| id).collect::<Vec<_>>(), [get, CommandId(4)]);
    assert_eq!(table.rename(b"one", b"two"), Err(RenameError::NoSuchCommand));
}

#[test]
fn a_name_is_read_the_same_from_a_request_and_from_a_slice() {
    let name = b"GeTrangeX\xff\x00";
    for len in 0..=name.len() {
        for behind in [0, 20] {
            let buffer = [&name[..len], &vec![b'z'; behind]].concat();
            let spans = [Span { start: 0, len: len as u32 }];
            assert_eq!(Args::new(&buffer, &spans).word(0), (word(&name[..len.min(8)]), len));
        }
    }
}

#[test]
fn a_member_that_is_fetched_ahead_is_named_by_every_call() {
    let specs = FAMILIES.iter().copied().flatten().filter(|spec| spec.member != 0);
    let mut names = Vec::new();
    for spec in specs {
        let shortest = i32::from(spec.arity.abs());
        assert!(i32::from(spec.member) < shortest && i32::from(spec.member) > -(shortest - 1), "{}", spec.name);
        assert_eq!(spec.key_shape, KeyShape::One(1), "{}", spec.name);
        names.push(spec.name);
    }
    for name in ["hget", "hset", "sadd", "sismember", "zadd", "zscore"] {
        assert!(names.contains(&name), "{name}");
    }
}

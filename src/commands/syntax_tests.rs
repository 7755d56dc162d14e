//! The notation of arguments, and that every row is written in it.

use super::*;
use crate::commands::spec::Group;
use crate::commands::table::FAMILIES;

fn one(text: &str) -> Argument {
    let mut arguments = parse(text).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(arguments.len(), 1, "{text}");
    arguments.remove(0)
}

#[test]
fn words_and_kinds() {
    assert_eq!(parse(""), Some(vec![]));
    assert_eq!(one("value"), plain("value"));
    assert_eq!(one("count:int").kind, Kind::Integer);
    assert_eq!(one("increment:double").kind, Kind::Double);
    assert_eq!(one("pattern:pattern").kind, Kind::Pattern);
    assert_eq!(one("unix-time-seconds:unix").kind, Kind::UnixTime);
    assert_eq!(one("key#1").kind, Kind::Key(1));
    assert_eq!(one("GET"), pure_token("get".into(), "GET"));
    assert_eq!(one("libname=LIB-NAME"), pure_token("libname".into(), "LIB-NAME"));
    let ex = one("[EX seconds:int]");
    assert_eq!((ex.token.as_deref(), ex.optional, ex.name.as_str()), (Some("EX"), true, "seconds"));
    assert_eq!(one("addr/ip:port/").display.as_deref(), Some("ip:port"));
    assert_eq!(one("\"\" rest").token.as_deref(), Some(""));
}

#[test]
fn repetition_and_nesting() {
    let keys = one("key#0...");
    assert!(keys.multiple && !keys.multiple_token && !keys.optional);
    let get = one("[GET get-block={encoding offset:int}...+]");
    assert!(get.multiple && get.multiple_token && get.optional);
    assert_eq!(get.kind, Kind::Block(vec![plain("encoding"), one("offset:int")]));
    let choice = one("[condition=(NX|XX|IFEQ comparison-value)]");
    assert_eq!(choice.kind, Kind::OneOf(vec![one("NX"), one("XX"), one("IFEQ comparison-value")]));
    assert_eq!(parse("ON OFF"), Some(vec![one("ON"), one("OFF")]));
}

#[test]
fn what_is_no_notation_is_refused() {
    for bad in ["[a", "a]", "a=(b", "a=()", "a=", "a:float", "key#", " a", "a ", "a  b", "-", "a/b", "a=(b|)", "A:int"]
    {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn every_row_is_written_in_it() {
    let keys = |arguments: &[Argument]| arguments.iter().map(depth_keys).sum::<usize>();
    for spec in FAMILIES.iter().copied().flatten().flat_map(|spec| [&[*spec], spec.subcommands].concat()) {
        let arguments = parse(spec.syntax).unwrap_or_else(|| panic!("{}: {}", spec.name, spec.syntax));
        assert!(!spec.summary.is_empty() && spec.summary.ends_with('.'), "{}", spec.name);
        // A shard channel is routed like a key and documented as none.
        let routed = !spec.key_specs.is_empty() && spec.group != Group::PubSub;
        assert_eq!(keys(&arguments) > 0, routed, "{}", spec.name);
    }
}

/// Keys in an argument and what it holds.
fn depth_keys(argument: &Argument) -> usize {
    match &argument.kind {
        Kind::Key(_) => 1,
        Kind::OneOf(inner) | Kind::Block(inner) => inner.iter().map(depth_keys).sum(),
        _ => 0,
    }
}

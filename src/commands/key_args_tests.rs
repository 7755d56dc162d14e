//! Keys found among arguments, and calls cut into parts.

use super::*;
use crate::commands::args::lay_out;
use crate::commands::spec::{Group, Plan};

const RO: KeyFlags = key::RO | key::ACCESS;
const OW: KeyFlags = key::OW | key::UPDATE;

const fn command(arity: i16, specs: &'static [KeySpec]) -> CommandSpec {
    CommandSpec::new("x", arity, Group::Generic, "1.0.0", Plan::Session).key_specs(specs)
}

static GET: CommandSpec = command(2, &[KeySpec::one(RO, 1)]);
static COPY: CommandSpec = command(-3, &[KeySpec::one(RO, 1), KeySpec::one(OW, 2)]);
static MSET: CommandSpec = command(-3, &[KeySpec::range(OW, 1, -1, 2)]);
static BITOP: CommandSpec = command(-4, &[KeySpec::one(OW, 2), KeySpec::range(RO, 3, -1, 1)]);
static MSETEX: CommandSpec = command(-4, &[KeySpec::counted(OW, 1, 2)]);
static SET: CommandSpec =
    command(-3, &[KeySpec::one(RO | key::VARIABLE_FLAGS, 1)]).key_flags(|args| if args.len() > 3 { RO } else { OW });
const STORE: KeySpec = KeySpec {
    flags: OW,
    notes: "",
    begin: BeginSearch::Keyword { word: "STORE", from: 2 },
    find: FindKeys::Range { last: 0, step: 1, limit: 0 },
};
const STREAMS: KeySpec = KeySpec {
    flags: RO,
    notes: "",
    begin: BeginSearch::Keyword { word: "STREAMS", from: 1 },
    find: FindKeys::Range { last: -1, step: 1, limit: 2 },
};
const LAST: KeySpec = KeySpec {
    flags: RO,
    notes: "",
    begin: BeginSearch::Keyword { word: "KEYS", from: -2 },
    find: FindKeys::Range { last: -1, step: 1, limit: 0 },
};
static SORT: CommandSpec = command(-2, &[KeySpec::one(RO, 1), STORE]);
static XREAD: CommandSpec = command(-4, &[STREAMS]);
static MIGRATE: CommandSpec = command(-3, &[LAST]);

fn with<T>(line: &str, look: impl FnOnce(&Args<'_>) -> T) -> T {
    let (buffer, spans) = lay_out(&line.split(' ').collect::<Vec<_>>());
    look(&Args::new(&buffer, &spans))
}

/// The keys as `key:flags`, `R` or `W`; `!` if the arguments are not in order.
fn keys(spec: &CommandSpec, line: &str) -> String {
    with(line, |args| {
        let Ok(found) = spec.key_args(args) else { return "!".to_owned() };
        let show = |k: KeyArg| {
            format!("{}:{}", String::from_utf8_lossy(&args[k.index]), if k.flags & key::RO != 0 { "R" } else { "W" })
        };
        assert_eq!(spec.first_key(args), spec.key_indices(args).next());
        found.map(show).collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn keys_at_fixed_places() {
    assert_eq!(keys(&GET, "get a"), "a:R");
    assert_eq!(keys(&COPY, "copy a b db 1"), "a:R b:W");
    assert_eq!(keys(&MSET, "mset a 1 b 2"), "a:W b:W");
    assert_eq!(keys(&MSET, "mset a 1 b"), "a:W b:W");
    assert_eq!(keys(&BITOP, "bitop and d a b"), "d:W a:R b:R");
    assert_eq!(keys(&BITOP, "bitop and d"), "!");
    assert_eq!(keys(&command(1, &[]), "ping"), "");
}

#[test]
fn keys_behind_a_count() {
    assert_eq!(keys(&MSETEX, "msetex 2 a 1 b 2 ex 5"), "a:W b:W");
    for bad in ["0 a 1", "-1 a 1", "3 a 1 b 2", "01 a 1", "+1 a 1", "x a 1", "9223372036854775807 a 1", "1"] {
        assert_eq!(keys(&MSETEX, &format!("msetex {bad}")), "!", "{bad}");
    }
}

#[test]
fn keys_behind_a_word() {
    assert_eq!(keys(&SORT, "sort a store b"), "a:R b:W");
    assert_eq!(keys(&SORT, "sort a desc"), "a:R");
    assert_eq!(keys(&XREAD, "xread count 2 streams a b 0 0"), "a:R b:R");
    assert_eq!(keys(&MIGRATE, "migrate h p keys keys a b"), "a:R b:R");
}

#[test]
fn keys_of_migrate() {
    let spec = crate::commands::keys::COMMANDS.iter().find(|spec| spec.name == "migrate").unwrap();
    let keys = |line| keys(spec, &format!("migrate host 1 {line}"));
    assert_eq!(keys("k 0 1"), "k:W");
    assert_eq!(keys("k 0 1 auth keys auth2 keys keys copy"), "k:W");
    assert_eq!(keys(" 0 1 copy auth keys KEYS keys a"), "keys:W a:W");
    assert_eq!(keys(" 0 1 replace keys"), "!");
    assert_eq!(keys("k 0 1 keys a"), "!");
}

#[test]
fn flags_that_depend_on_the_call() {
    assert_eq!(keys(&SET, "set a 1"), "a:W");
    assert_eq!(keys(&SET, "set a 1 get"), "a:R");
}

#[test]
fn calls_are_cut_into_units() {
    let cut = |spec: &CommandSpec, line| with(line, |args| spec.key_cut(args));
    let units = |first, end, step, count_at| Some(KeyCut { first, end, step, count_at });
    assert_eq!(cut(&MSET, "mset a 1 b 2"), units(1, 5, 2, None));
    // a value is missing: the end is beyond the arguments
    assert_eq!(cut(&MSET, "mset a 1 b"), units(1, 5, 2, None));
    assert_eq!(cut(&MSETEX, "msetex 2 a 1 b 2 ex 5"), units(2, 6, 2, Some(1)));
    assert_eq!(cut(&MSETEX, "msetex 2 a 1 b"), units(2, 6, 2, Some(1)));
    assert_eq!(cut(&MSETEX, "msetex 3 a 1 b"), None);
    assert_eq!(cut(&BITOP, "bitop and d a"), None);
}

#[test]
fn keys_at_the_end_may_be_none() {
    let family = crate::commands::hyperloglog::COMMANDS;
    let pfmerge = family.iter().find(|spec| spec.name == "pfmerge").expect("a row");
    assert_eq!(keys(pfmerge, "pfmerge a"), "a:W");
    assert_eq!(keys(pfmerge, "pfmerge a b"), "a:W b:R");
    assert_eq!(keys(&BITOP, "bitop and d"), "!");
}

//! The table against the facts of Redis and Valkey; CONFIG GET and SET against their recorded answers.

use crate::commands::args::lay_out;
use std::collections::{BTreeMap, BTreeSet};

use super::table::{Change, Status, find, names, settings};
use super::value::Kind;
use super::*;
use crate::base::bytes::OutBuf;
use crate::resp::reply::Proto;

/// Setting names and defaults of one server, from a flat JSON object with one pair per line.
fn facts(json: &str) -> BTreeMap<&str, &str> {
    json.lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once("\": \""))
        .map(|(name, value)| (name.trim_start_matches('"'), value.trim_end_matches('"')))
        .collect()
}

const REDIS_7: &str = include_str!("../../tests/data/config-redis-7.0.json");
const REDIS_8: &str = include_str!("../../tests/data/config-redis-8.0.json");
const VALKEY_9: &str = include_str!("../../tests/data/config-valkey-9.1.json");
/// `CONFIG GET *` of a redis-server 7.0.15 started with `--save ''` and a port: name, tab, value.
const REDIS_7_LIVE: &str = include_str!("../../tests/data/config-redis-7.0.15-live.tsv");
/// What Redis 8.0 (Valkey 9.1 for its own settings) answers to CONFIG SET: name, tab, value, tab, `!` and the reason
/// it fails or `=` and what CONFIG GET shows then.
const ANSWERS: &str = include_str!("../../tests/data/config-answers.tsv");

/// Defaults that differ from the facts, and why.
const OTHER_DEFAULTS: [(&str, &str, &str); 5] = [
    ("bind", "* -::*", "the facts were taken from servers started with --bind 127.0.0.1"),
    ("port", "6379", "the facts were taken from servers on other ports"),
    ("dir", "", "the working directory"),
    ("save", "3600 1 300 100 60 10000", "the facts were taken from servers started with --save ''"),
    ("syslog-ident", "pinion", "our own name; nothing is sent to syslog"),
];

/// Where Redis 8.0 and Valkey 9.1 differ, Valkey's default is ours.
const AS_VALKEY: [&str; 9] = [
    "hide-user-data-from-log",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "repl-backlog-size",
    "replica-lazy-flush",
    "slave-lazy-flush",
];

fn shown(store: &ConfigStore, name: &str) -> String {
    match &store.get(&[name.as_bytes()])[..] {
        [(_, value)] => String::from_utf8_lossy(value).into_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

fn set(store: &mut ConfigStore, args: &[&str]) -> Result<Vec<&'static str>, String> {
    let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    store.set(&args, true).map(|changes| changes.names)
}

#[test]
fn every_setting_of_the_facts_is_known_with_its_default() {
    let store = ConfigStore::default();
    let mut offences = Vec::new();
    for (server, json) in [("Redis 7.0", REDIS_7), ("Redis 8.0", REDIS_8), ("Valkey 9.1", VALKEY_9)] {
        for (name, default) in facts(json) {
            if OTHER_DEFAULTS.iter().any(|other| other.0 == name) || server != "Valkey 9.1" && AS_VALKEY.contains(&name)
            {
                continue;
            }
            match &store.get(&[name.as_bytes()])[..] {
                [(_, ours)] if ours == default.as_bytes() => {}
                other => offences.push(format!("{server} {name}: {default:?}, ours {other:?}")),
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn defaults_that_differ_are_the_ones_listed() {
    let store = ConfigStore::default();
    for (name, ours, _) in OTHER_DEFAULTS {
        assert!(name == "dir" || shown(&store, name) == ours, "{name}");
    }
    let valkey = facts(VALKEY_9);
    for name in AS_VALKEY {
        assert_eq!(shown(&store, name), valkey[name]);
    }
}

#[test]
fn a_running_redis_shows_no_setting_we_do_not() {
    let store = ConfigStore::default();
    for line in REDIS_7_LIVE.lines() {
        let (name, value) = line.split_once('\t').expect("a tab");
        let ours = shown(&store, name);
        let expected_to_differ = OTHER_DEFAULTS.iter().any(|other| other.0 == name) || AS_VALKEY.contains(&name);
        assert!(ours == value || expected_to_differ, "{name}: {value}, ours {ours}");
    }
}

#[test]
fn recorded_answers_to_config_set_are_ours() {
    let mut offences = Vec::new();
    for line in ANSWERS.lines() {
        let [name, value, answer] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let setting = settings()[find(name.as_bytes()).expect("a known name")];
        let mut store = ConfigStore::default();
        let ours = match set(&mut store, &[name, value]) {
            Ok(_) => format!("={}", shown(&store, name)),
            Err(why) => format!("!{}", why.trim_start_matches(&refusal(name.as_bytes(), ""))),
        };
        let refused = match setting.status {
            Status::Refused { why, .. } => ours == format!("!{why}") && answer.starts_with('='),
            Status::Works | Status::NoEffect(_) => false,
        };
        let excused = ours != answer && (refused || excuse(name, value).is_some());
        if ours != answer && !excused {
            offences.push(format!("{name} {value:?}: {answer}, ours {ours}"));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// Answers that are not ours, and why.
fn excuse(name: &str, value: &str) -> Option<&'static str> {
    Some(match (name, value) {
        ("repl-backlog-size", _) => "Redis raises it to 16 KB when it makes the backlog, which we do not yet",
        ("save", "  60   5  ") => "several blanks between words are fine",
        ("shutdown-on-sigterm", "default ") => "a blank at the end is fine",
        ("slot-migration-max-failover-repl-bytes", "18446744073709551615") => "a number that wraps around is refused",
        _ => return None,
    })
}

#[test]
fn defaults_fill_the_typed_settings_with_their_defaults() {
    let mut store = ConfigStore::default();
    assert!(store.current.dir.starts_with('/'));
    store.current.dir = ".".into();
    assert_eq!(store.current, Config::default());
}

#[test]
fn every_value_in_range_fits_its_field() {
    for (index, setting) in settings().iter().enumerate() {
        let ends: Vec<String> = match setting.kind {
            Kind::Int { min, max } | Kind::IntOrAuto { min, max } => vec![min.to_string(), max.to_string()],
            Kind::Size { min, max } => vec![min.to_string(), max.to_string()],
            Kind::OneOf(words) => words.iter().map(|word| (*word).to_string()).collect(),
            Kind::Several(words) => words.iter().map(|word| (*word).to_string()).collect(),
            Kind::YesNo => vec!["yes".into(), "no".into()],
            Kind::Octal => vec!["0".into(), "777".into()],
            Kind::SizeOrPercent => vec!["100%".into(), i64::MAX.to_string()],
            _ => vec![setting.default.to_string()],
        };
        for end in ends {
            let mut store = ConfigStore::default();
            let value = setting.kind.parse(&[end.as_bytes()], &setting.default_value()).expect(setting.name);
            store.assign(index, value.clone());
            let text = value.text();
            let again = setting.kind.parse(&[&text], &setting.default_value());
            assert_eq!(again, Ok(value), "{}: what is shown reads back", setting.name);
        }
    }
}

#[test]
fn every_setting_that_may_change_takes_its_own_value_and_keeps_it() {
    let mut store = ConfigStore::default();
    set(&mut store, &["loglevel", "verbose"]).expect("a valid pair");
    for setting in settings() {
        let value = shown(&store, setting.name);
        let result = set(&mut store, &[setting.name, &value]);
        match setting.change {
            Change::Anytime => assert_eq!(result, Ok(vec![]), "{}", setting.name),
            Change::AtStart => assert!(result.unwrap_err().ends_with(" - can't set immutable config")),
            Change::Protected => assert!(result.unwrap_err().ends_with(" - can't set protected config")),
        }
        assert_eq!(shown(&store, setting.name), value);
    }
}

#[test]
fn names_are_unique_lower_case_and_aliases_show_the_same_value() {
    let all: BTreeSet<&str> = names().iter().map(|entry| entry.0).collect();
    assert_eq!(all.len(), names().len());
    assert!(all.iter().all(|name| name.to_ascii_lowercase() == *name));
    let mut store = ConfigStore::default();
    assert_eq!(set(&mut store, &["hash-max-ziplist-entries", "9"]), Ok(vec!["hash-max-listpack-entries"]));
    assert_eq!(shown(&store, "hash-max-listpack-entries"), "9");
    assert_eq!(set(&mut store, &["commandlog-execution-slower-than", "5"]), Ok(vec!["slowlog-log-slower-than"]));
    assert_eq!(store.current.slowlog_log_slower_than, 5);
}

fn got(store: &ConfigStore, patterns: &[&str]) -> Vec<String> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    store.get(&patterns).into_iter().map(|pair| pair.0).collect()
}

#[test]
fn get_takes_several_patterns_in_any_case() {
    let store = ConfigStore::default();
    assert_eq!(got(&store, &["hz", "nope", "HZ"]), ["hz"]);
    assert_eq!(got(&store, &["HZ"]), ["HZ"]);
    assert_eq!(got(&store, &["[hH]z"]), ["hz"]);
    assert_eq!(got(&store, &["MAXMEMORY-S*", "timeou?"]), ["maxmemory-samples", "timeout"]);
    assert_eq!(got(&store, &["hash-max-ziplist-*"]), ["hash-max-ziplist-entries", "hash-max-ziplist-value"]);
    assert_eq!(got(&store, &["rename-command", "include", "user"]), [""; 0]);
    assert_eq!(got(&store, &["key-load-d*"]), [""; 0]);
    assert_eq!(got(&store, &["key-load-delay"]), ["key-load-delay"]);
    let all = got(&store, &["*"]);
    assert!(all.is_sorted() && all.len() > 230, "{}", all.len());
}

#[test]
fn set_changes_all_or_nothing() {
    let mut store = ConfigStore::default();
    let before = store.current.clone();
    let texts: Vec<_> = store.get(&[b"*"]);
    for (args, reply) in [
        (
            &["timeout", "5", "hz", "x"][..],
            "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
        ),
        (&["timeout", "5", "nope", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'nope'"),
        (
            &["timeout", "5", "databases", "3", "nope", "1"],
            "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
        ),
        (&["hz", "x", "nope", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'nope'"),
        (&["hz", "11", "HZ", "12"], "ERR CONFIG SET failed (possibly related to argument 'HZ') - duplicate parameter"),
        (
            &["hz", "11", "dir", "/tmp"],
            "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        ),
        (&["include", "x"], "ERR Unknown option or number of arguments for CONFIG SET - 'include'"),
        (&["port", "1", "hz"], "ERR syntax error"),
        (
            &["hz", "11", "log-format", "json"],
            "ERR CONFIG SET failed (possibly related to argument 'log-format') - log lines are plain text",
        ),
    ] {
        assert_eq!(set(&mut store, args).unwrap_err(), reply);
        assert_eq!(store.current, before);
        assert_eq!(store.get(&[b"*"]), texts);
    }
    assert_eq!(set(&mut store, &["timeout", "5", "hz", "10", "maxclients", "7"]), Ok(vec!["maxclients", "timeout"]));
    assert_eq!((store.current.timeout_s, store.current.maxclients), (5, 7));
}

#[test]
fn a_change_can_be_taken_back() {
    let mut store = ConfigStore::default();
    let changes = store.set(&[b"maxclients", b"7"], false).expect("a valid pair");
    assert_eq!(store.current.maxclients, 7);
    store.undo(changes);
    assert_eq!((store.current.maxclients, shown(&store, "maxclients").as_str()), (10_000, "10000"));
}

#[test]
fn protected_settings_change_where_they_may() {
    for (allowed, local, works) in
        [("no", true, false), ("local", false, false), ("local", true, true), ("yes", false, true)]
    {
        let args = ["--enable-protected-configs", allowed].map(std::ffi::OsString::from);
        let mut store = load::load_with(args.into_iter(), &mut std::io::empty()).expect("valid").store;
        assert_eq!(store.set(&[b"dbfilename", b"x.rdb"], local).is_ok(), works, "{allowed} {local}");
    }
}

#[test]
fn values_become_typed() {
    let mut store = ConfigStore::default();
    let pairs = [
        ["client-output-buffer-limit", "pubsub 1mb 512kb 9"],
        ["latency-tracking-info-percentiles", "50 99.99"],
        ["shutdown-on-sigterm", "nosave now"],
        ["requirepass", "a b\u{1}"],
        ["maxmemory-policy", "allkeys-LFU"],
        ["hz", "9999"],
    ];
    set(&mut store, &pairs.concat()).expect("valid pairs");
    let config = &store.current;
    let pubsub = config.output_limits[crate::base::config::ClientClass::Pubsub];
    assert_eq!((pubsub.hard, pubsub.soft, pubsub.soft_seconds), (1 << 20, 1 << 19, 9));
    assert_eq!(config.latency_tracking_info_percentiles, [50.0, 99.99]);
    assert!(config.shutdown_on_sigterm.nosave && config.shutdown_on_sigterm.now && !config.shutdown_on_sigterm.save);
    assert_eq!(config.requirepass, b"a b\x01");
    assert_eq!(config.maxmemory_policy, crate::base::config::EvictionPolicy::AllkeysLfu);
    assert_eq!(config.hz, 500);
}

/// Answers one request with `answer`, in RESP3, as the bytes that leave.
fn asked(words: &[&str], answer: impl FnOnce(&Args<'_>, &mut Reply<'_>)) -> String {
    let (buffer, spans) = lay_out(words);
    let mut out = OutBuf::default();
    answer(&Args::new(&buffer, &spans), &mut Reply::new(&mut out, Proto::Resp3));
    String::from_utf8(out.bytes).expect("text")
}

#[test]
fn requests_are_answered_and_a_change_that_can_not_be_made_is_taken_back() {
    let mut store = ConfigStore::default();
    let get = |store: &ConfigStore| asked(&["CONFIG", "GET", "hz"], |args, reply| store.answer_get(args, reply));
    assert_eq!(get(&store), "%1\r\n$2\r\nhz\r\n$2\r\n10\r\n");

    let words = ["CONFIG", "SET", "hz", "20"];
    let refused = asked(&words, |args, reply| {
        store.answer_set(args, true, reply, |config, names| {
            assert_eq!((config.hz, names), (20, &["hz"][..]));
            Err(("hz", "no more ticks".into()))
        });
    });
    assert_eq!(refused, "-ERR CONFIG SET failed (possibly related to argument 'hz') - no more ticks\r\n");
    assert_eq!(get(&store), "%1\r\n$2\r\nhz\r\n$2\r\n10\r\n");

    let done = asked(&words, |args, reply| store.answer_set(args, true, reply, |_, _| Ok(())));
    assert_eq!((done.as_str(), store.current.hz), ("+OK\r\n", 20));
    let wrong = asked(&["CONFIG", "SET", "hz"], |args, reply| store.answer_set(args, true, reply, |_, _| Ok(())));
    assert_eq!(wrong, "-ERR syntax error\r\n");
    let unfiled = asked(&["CONFIG", "REWRITE"], |_, reply| store.answer_rewrite(reply));
    assert_eq!(unfiled, "-ERR The server is running without a config file\r\n");
}

/// A row that says a setting works is a promise: some code outside the settings reads its field.
#[test]
fn settings_that_work_are_read_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rows = String::new();
    for file in std::fs::read_dir(root.join("admin/config/table")).expect("the rows") {
        rows += &std::fs::read_to_string(file.expect("a file").path()).expect("text");
    }
    let rows = rows.replace("\n        ", " ");
    let code = read_below(&root);
    let mut offences = BTreeSet::new();
    // A row begins with its name and ends before the next one's.
    for row in rows.split("\n    ").filter(|row| row.contains(".fill(")) {
        let claims = !row.contains(".no_effect(") && !row.contains(".refused(");
        let field = row.split("c.").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        if claims && !code.contains(&format!(".{field}")) {
            offences.insert(field.to_string());
        }
    }
    assert!(offences.is_empty(), "{offences:?}");
}

/// All source below `folder`, the settings' own aside.
fn read_below(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() && !entry.ends_with("admin/config") {
            text += &read_below(&entry);
        } else if entry.extension().is_some_and(|e| e == "rs")
            && !["base/config.rs", "admin/config_tests.rs"].iter().any(|own| entry.ends_with(own))
        {
            text += &std::fs::read_to_string(&entry).expect("text");
        }
    }
    text
}

//! Our command table against those of Redis 7.0, Redis 8.0 and Valkey 9.1, as COMMAND INFO and COMMAND DOCS tell it.
//!
//! `data/commands-*.json` hold what those servers answer to COMMAND INFO, `data/command-docs-valkey-9.1.json` the
//! arguments and tips of COMMAND DOCS: facts about an interface, no prose. Where the servers disagree we follow Redis
//! 8.0, or Valkey where it allows more; each such place is in [`DIFFERS`] with its reason, and an entry that has
//! become untrue fails.

use pinion::admin::command::command;
use pinion::base::bytes::OutBuf;
use pinion::commands::args::Args;
use pinion::commands::spec::CommandTable;
use pinion::commands::table::Resolved;
use pinion::resp::parse::Span;
use pinion::resp::reply::{Proto, Reply};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Commands of the three servers that Pinion does not have yet. It only shrinks.
#[rustfmt::skip]
const STILL_TO_COME: &[&str] = &[
    "acl", "asking", "cluster", "clusterscan", "eval", "eval_ro", "evalsha", "evalsha_ro",
    "failover", "fcall", "fcall_ro", "function", "module", "psync", "readonly", "readwrite",
    "replconf", "replicaof", "script", "slaveof", "sync",
];

/// A difference we chose: server, commands, field, reason.
type Difference = (&'static str, &'static [&'static str], &'static str, &'static str);

const DIFFERS: &[Difference] = &[
    ("redis-7.0", CLIENT_BUSY_7_0, "flags", ALLOW_BUSY),
    ("redis-8.0", CLIENT_BUSY_8_0, "flags", ALLOW_BUSY),
    ("redis-7.0", &["memory|malloc-stats", "memory|purge"], "flags", WHILE_LOADING),
    ("redis-8.0", &["memory|malloc-stats", "memory|purge"], "flags", WHILE_LOADING),
    ("redis-7.0", &["wait"], "acl_categories", "it blocks, as later servers say"),
    ("redis-7.0", BLOCKING_7_0, "flags", "later servers let scripts call them, without waiting"),
    (
        "redis-7.0",
        &["command|getkeys", "command|getkeysandflags"],
        "arity",
        "later servers take a command without arguments",
    ),
    ("redis-7.0", &["sinterstore"], "key_specs", "it never looks at the destination, as later servers say"),
    ("redis-7.0", &["zrank", "zrevrank"], "arity", "later servers take WITHSCORE"),
    ("redis-7.0", &["client|pause"], "since", "the unstable version before 3.0 is no longer named"),
    ("valkey-9.1", &["hsetex"], "key_specs", "it may replace a field's value, as Redis says"),
    ("valkey-9.1", FIELD_EXPIRY, "since", "Redis had them first"),
    ("valkey-9.1", &["exec"], "flags", "SLOWLOG is how Redis calls the log that leaves EXEC out"),
    ("valkey-9.1", &["multi", "watch"], "flags", "Redis refuses them inside MULTI by their own errors"),
    ("valkey-9.1", &["georadius", "georadiusbymember"], "key_specs", "Redis does not call STORE's keys variable"),
    ("redis-8.0", VECTOR_SETS, "arity", "a command finds its shard by its key, so it has to have one"),
    ("redis-8.0", VECTOR_SETS, "acl_categories", "a user without @write must not write; later versions say so too"),
    ("valkey-9.1", &["client|reply"], "flags", "Redis lets CLIENT REPLY be queued in MULTI, Valkey refuses it"),
];
#[rustfmt::skip]
const VECTOR_SETS: &[&str] = &[
    "vadd", "vcard", "vdim", "vemb", "vgetattr", "vinfo", "vismember", "vlinks", "vrandmember", "vrem", "vsetattr",
    "vsim",
];
const BLOCKING_7_0: &[&str] = &["blmove", "blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin", "wait"];
const FIELD_EXPIRY: &[&str] = &[
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hgetdel",
    "hgetex",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "hsetex",
    "httl",
];
const CLIENT_BUSY_7_0: &[&str] = &[
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|id",
    "client|no-evict",
    "client|reply",
    "client|setname",
    "select",
];
const CLIENT_BUSY_8_0: &[&str] = &[
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|id",
    "client|no-evict",
    "client|no-touch",
    "client|reply",
    "client|setinfo",
    "client|setname",
    "select",
];
const ALLOW_BUSY: &str = "Valkey lets a connection look after itself while a script is busy";
const WHILE_LOADING: &str = "the allocator can be asked while data loads, as in Valkey";

/// One server's table: command and subcommand by full name.
type Facts = BTreeMap<String, Value>;

/// Names of the subcommands as a field of their container.
fn flatten(entry: &Value, facts: &mut Facts) {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut().expect("an entry is an object");
    if let Some(subcommands) = fields.remove("subcommands") {
        let subcommands = subcommands.as_array().expect("a list").clone();
        subcommands.iter().for_each(|sub| flatten(sub, facts));
    }
    fields.entry("key_specs").or_insert(json!([]));
    let name = fields["name"].as_str().expect("a name").to_owned();
    facts.insert(name, sorted(entry));
}

/// The same with every list of words in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            if items.iter().all(Value::is_string) {
                items.sort_by_key(|item| item.as_str().map(str::to_owned));
            }
            Value::Array(items)
        }
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, sorted(value))).collect(),
        other => other,
    }
}

fn servers() -> Vec<(&'static str, Facts)> {
    let texts = [
        ("redis-7.0", include_str!("data/commands-redis-7.0.json")),
        ("redis-8.0", include_str!("data/commands-redis-8.0.json")),
        ("valkey-9.1", include_str!("data/commands-valkey-9.1.json")),
    ];
    let parse = |text| {
        let mut facts = Facts::new();
        let entries: Vec<Value> = serde_json::from_str(text).expect("JSON");
        entries.iter().for_each(|entry| flatten(entry, &mut facts));
        facts
    };
    texts.into_iter().map(|(server, text)| (server, parse(text))).collect()
}

/// What COMMAND answers in RESP3, as JSON: maps are objects, sets are lists.
fn ask(table: &CommandTable, words: &[&str]) -> Value {
    let mut at = 0;
    let mut spans = Vec::new();
    for word in words {
        spans.push(Span { start: at, len: word.len() as u32 });
        at += word.len() as u32;
    }
    let line = words.concat();
    let mut args = Args::new(line.as_bytes(), &spans);
    let Resolved::Command(id) = table.resolve(&args) else { panic!("{words:?}") };
    let mut out = OutBuf::default();
    command(table, id, &mut args, &mut Reply { out: &mut out, proto: Proto::Resp3 });
    let text = String::from_utf8(out.bytes).expect("COMMAND speaks ASCII");
    let mut rest = text.as_str();
    let value = decode(&mut rest);
    assert!(rest.is_empty(), "one reply: {rest}");
    value
}

fn decode(rest: &mut &str) -> Value {
    let (line, after) = rest.split_once("\r\n").expect("a whole line");
    *rest = after;
    let (kind, line) = line.split_at(1);
    let count = || line.parse::<usize>().expect("a count");
    match kind {
        "+" => json!(line),
        ":" => json!(line.parse::<i64>().expect("a number")),
        "_" => Value::Null,
        "$" => {
            let (text, after) = rest.split_at(count());
            *rest = after.strip_prefix("\r\n").expect("the length is right");
            json!(text)
        }
        "*" | "~" => (0..count()).map(|_| decode(rest)).collect(),
        "%" => {
            let pair = |_| (decode(rest).as_str().expect("a field's name").to_owned(), decode(rest));
            Value::Object((0..count()).map(pair).collect::<Map<_, _>>())
        }
        _ => panic!("an unexpected reply: {kind}{line}"),
    }
}

/// Our table in the form of the facts, and group and `since` from COMMAND DOCS.
fn ours() -> Facts {
    let table = CommandTable::new();
    let docs = docs(&table);
    let mut facts = Facts::new();
    let mut add = |info: &Value, add: &mut dyn FnMut(&Value)| {
        let [name, arity, flags, first, last, step, acl, _tips, key_specs, subcommands] =
            info.as_array().expect("ten elements").as_slice()
        else {
            panic!("ten elements: {info}");
        };
        let mut key_specs = key_specs.clone();
        for spec in key_specs.as_array_mut().expect("a list") {
            spec.as_object_mut().expect("an object").remove("notes");
        }
        let name = name.as_str().expect("a name").to_owned();
        let entry = json!({
            "name": name, "arity": arity, "flags": flags, "acl_categories": acl, "key_specs": key_specs,
            "first_key": first, "last_key": last, "key_step": step,
            "group": docs[&name]["group"], "since": docs[&name]["since"],
        });
        facts.insert(name, sorted(entry));
        subcommands.as_array().expect("a list").iter().for_each(add);
    };
    let infos = ask(&table, &["command"]);
    for info in infos.as_array().expect("a list") {
        let mut below = Vec::new();
        add(info, &mut |sub| below.push(sub.clone()));
        for sub in below {
            add(&sub, &mut |deeper| panic!("no subcommand has subcommands: {deeper}"));
        }
    }
    facts
}

/// COMMAND DOCS of commands and subcommands.
fn docs(table: &CommandTable) -> Facts {
    let mut facts = Facts::new();
    let all = ask(table, &["command", "docs"]);
    for (name, entry) in all.as_object().expect("a map") {
        let none = Map::new();
        let subcommands = entry.get("subcommands").and_then(Value::as_object).unwrap_or(&none);
        facts.extend(subcommands.iter().map(|(name, entry)| (name.clone(), entry.clone())));
        facts.insert(name.clone(), entry.clone());
    }
    facts
}

fn differs(server: &str, name: &str, field: &str) -> Option<usize> {
    DIFFERS.iter().position(|(s, names, f, _)| *s == server && *f == field && names.contains(&name))
}

#[test]
fn command_info_agrees() {
    let ours = ours();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (server, theirs) in servers() {
        for (name, their) in &theirs {
            let Some(our) = ours.get(name) else { continue };
            for (field, value) in their.as_object().expect("an object") {
                if our[field] == *value {
                    continue;
                }
                match differs(server, name, field) {
                    Some(entry) => drop(used.insert((entry, name.clone()))),
                    None => wrong.push(format!("{name}: {field} is {}, of {server} {value}", our[field])),
                }
            }
        }
    }
    for (entry, (server, names, field, reason)) in DIFFERS.iter().enumerate() {
        for name in names.iter().filter(|name| !used.contains(&(entry, (**name).to_owned()))) {
            wrong.push(format!("{server} {name} {field}: no difference any more ({reason})"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn what_is_still_to_come_is_listed() {
    let ours = ours();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (_, theirs) in servers() {
        known.extend(theirs.into_keys());
    }
    let of_ours = |name: &&String| name.split('|').next().is_some_and(|parent| ours.contains_key(parent));
    let without = |name: &&String| !ours.contains_key(*name);
    let subcommands: Vec<_> = known.iter().filter(of_ours).filter(without).collect();
    assert!(subcommands.is_empty(), "subcommands of commands that we have: {subcommands:?}");

    let missing: BTreeSet<&str> =
        known.iter().filter(without).map(String::as_str).filter(|name| !name.contains('|')).collect();
    let listed: BTreeSet<&str> = STILL_TO_COME.iter().copied().collect();
    assert!(STILL_TO_COME.is_sorted());
    let unlisted: Vec<_> = missing.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&missing).collect();
    assert!(unlisted.is_empty(), "neither here nor listed: {unlisted:?}");
    assert!(stale.is_empty(), "listed, but here or unknown to all servers: {stale:?}");

    let invented: Vec<_> = ours.keys().filter(|name| !known.contains(*name)).collect();
    assert!(invented.is_empty(), "unknown to all servers: {invented:?}");
}

/// Without the key specification that Valkey's table gives some arguments that are no keys (the count of `FIELDS`).
fn only_keys_have_specs(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(only_keys_have_specs).collect()),
        Value::Object(mut fields) => {
            if fields.get("type").is_some_and(|kind| kind != "key") {
                fields.remove("key_spec_index");
            }
            Value::Object(fields.into_iter().map(|(name, value)| (name, only_keys_have_specs(value))).collect())
        }
        other => other,
    }
}

/// Tips and arguments by name, type, token and flags, as Valkey 9.1 has them.
#[test]
fn command_docs_agree() {
    let theirs: Facts = serde_json::from_str(include_str!("data/command-docs-valkey-9.1.json")).expect("JSON");
    let table = CommandTable::new();
    let mut wrong = Vec::new();
    for (name, our) in docs(&table) {
        let info = ask(&table, &["command", "info", &name]);
        let our = json!({
            "arguments": our.get("arguments").cloned().unwrap_or(json!([])),
            "group": our["group"],
            "tips": info[0][7],
        });
        if our["group"] == "module" {
            continue; // vector sets, which Valkey does not have and Redis 8.0 does not document
        }
        let Some(their) = theirs.get(&name) else { panic!("{name} is unknown to Valkey") };
        if sorted(our.clone()) != sorted(only_keys_have_specs(their.clone())) {
            wrong.push(format!("{name}:\n  ours   {our}\n  theirs {their}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// redis-cli makes hints of COMMAND DOCS; a missing sentence would show as a hole.
#[test]
fn every_command_is_documented() {
    let docs = docs(&CommandTable::new());
    for (name, entry) in &docs {
        let text = |field: &str| entry[field].as_str().unwrap_or_else(|| panic!("{name}: {field}"));
        assert!(text("summary").ends_with('.') && text("summary").len() > 10, "{name}");
        assert_eq!(text("since").split('.').count(), 3, "{name}");
        assert!(!text("group").is_empty(), "{name}");
    }
}

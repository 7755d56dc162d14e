//! Which commands are compared with random arguments, and without which words: read off Pinion's table and what the
//! other server says of its own commands. Never judges replies.

use crate::case::Command;
use crate::common::{Client, Launch, Setup, Value};
use crate::draw::{Form, forms};
use crate::peers;
use pinion::commands::spec::{CommandSpec, CommandTable};
use std::collections::{BTreeMap, BTreeSet};

/// Commands that are not called, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("shutdown", "ends the server"),
    ("debug", "its layout of memory is what differs"),
    ("quit", "ends the connection"),
    ("monitor", "changes the stream of replies"),
    ("client|reply", "changes the stream of replies"),
    ("client|pause", "holds everything up"),
    ("client|kill", "may end the connection, or the other one's"),
    ("client|tracking", "what is pushed depends on timing"),
    ("client|caching", "follows CLIENT TRACKING"),
    ("subscribe", "compared by `talk`"),
    ("psubscribe", "compared by `talk`"),
    ("ssubscribe", "compared by `talk`"),
    ("unsubscribe", "compared by `talk`"),
    ("punsubscribe", "compared by `talk`"),
    ("sunsubscribe", "compared by `talk`"),
    ("config|get", "the settings differ"),
    ("config|set", "stays behind for other cases"),
    ("config|rewrite", "writes files"),
    ("save", "writes files"),
    ("bgsave", "writes files"),
    ("bgrewriteaof", "writes files"),
    ("migrate", "connects to other servers"),
    ("spop", "random, and it stays so"),
    ("pfdebug", "the bytes of a sparse HyperLogLog are each server's own"),
    ("pfselftest", "takes a second"),
];

/// Leaves out what a server answers in an order of its own: SORT of what a pattern says is not to be sorted, and of
/// words that may be equal. And SORT of sorted sets, which Redis keeps as skiplists from then on.
pub(crate) fn tame(commands: &mut Vec<Command>) {
    peers::for_old_redis(commands);
    let word = |arg: &Vec<u8>, word: &[u8]| arg.eq_ignore_ascii_case(word);
    let sorts = |command: &Command| word(&command[0], b"sort") || word(&command[0], b"sort_ro");
    let is_own = |arg: &Vec<u8>| [&b"by"[..], b"alpha", b"e", b"key:3", b"key:10"].iter().any(|own| word(arg, own));
    commands.retain(|command| !(sorts(command) && command.iter().any(is_own)));
}

/// The commands that `peer` knows too, without option words that it does not know.
pub(crate) fn common_forms(peer: &Setup) -> Vec<Form> {
    let server = Launch::new(peer).start();
    let known = known_words(&mut server.client());
    let is_called = |spec: &CommandSpec| {
        let excused = LEFT_OUT.iter().any(|(name, _)| *name == spec.name);
        !excused && spec.subcommands.is_empty() && known.contains_key(spec.name)
    };
    let mut forms = forms(&CommandTable::new(), is_called);
    forms.iter_mut().for_each(|form| form.keep_words(&known[form.spec.name]));
    forms
}

/// Every command and subcommand of a server, with all option words of its arguments.
fn known_words(client: &mut Client) -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for pair in client.run("COMMAND DOCS").items().chunks(2) {
        add_command(&pair[0].text(), &pair[1], &mut known);
    }
    assert!(known.len() > 200, "COMMAND DOCS names {} commands", known.len());
    known
}

fn add_command(name: &str, docs: &Value, known: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut words = BTreeSet::new();
    for pair in docs.items().chunks(2) {
        match pair[0].text().as_str() {
            "arguments" => add_words(&pair[1], &mut words),
            "subcommands" => pair[1].items().chunks(2).for_each(|sub| add_command(&sub[0].text(), &sub[1], known)),
            _ => {}
        }
    }
    known.insert(name.to_string(), words);
}

/// Collects what stands behind `token` anywhere in a description of arguments.
fn add_words(arguments: &Value, words: &mut BTreeSet<String>) {
    for argument in arguments.items() {
        for pair in argument.items().chunks(2) {
            match pair[0].text().as_str() {
                "token" => drop(words.insert(pair[1].text().to_uppercase())),
                "arguments" => add_words(&pair[1], words),
                _ => {}
            }
        }
    }
}

//! Texts about the settings, made from the table: the usage line and the reference. Never written by hand twice.

use std::collections::BTreeMap;

use super::table::{Change, Status, settings};

/// What `--help` prints.
pub(super) fn usage() -> String {
    "Usage: pinion [/path/to/redis.conf] [--setting value ...] [-]
       pinion -             read settings from standard input
       pinion -v, --version
       pinion -h, --help
       pinion --settings    which settings work, which have no effect, which are refused, and why
       pinion check         looks through snapshots and logs (says how without a file)
       pinion aof export    writes an append-only file for another server (says how without a folder)

Settings are those of redis.conf. Pinion's own:
       --shards N           threads, each with its slice of the keys (0: one per CPU)
       --io-driver D        auto, uring or epoll
       --spin-us N          longest spin before a core sleeps (auto, or microseconds)
       --shard-port-base P  shard N also listens on port P + N (0: none)
       --pin-cores yes|no   pin each shard to a CPU
       --mesh-depth N       messages that fit between two shards
       --aof-segment-size B bytes of one file of a shard's log

Examples:
       pinion
       pinion --port 7777 --shards 4
       pinion /etc/redis/redis.conf --loglevel verbose
       echo 'maxclients 100' | pinion -"
        .into()
}

/// The reference of all settings, in Markdown: what works, what has no effect and why, what is refused and why.
pub fn reference() -> String {
    let mut works = Vec::new();
    let mut no_effect: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for setting in settings().iter().filter(|setting| !setting.hidden) {
        let name = format!("`{}`", setting.name);
        match setting.status {
            Status::Works if setting.change == Change::AtStart => works.push(format!("{name}*")),
            Status::Works => works.push(name),
            Status::NoEffect(why) => no_effect.entry(why).or_default().push(name),
            Status::Refused { why, .. } => refused.entry(why).or_default().push(name),
        }
    }
    let mut text = String::new();
    text.push_str("These work as in Redis (those with * only at start):\n");
    wrap(&mut text, "", &works.join(", "));
    text.push_str(
        "\nThese are refused unless they have their default, because it would hurt to believe they work:\n\n",
    );
    by_reason(&mut text, &refused);
    text.push_str("\nThese are accepted, kept, shown, and have no effect (the log says so at start):\n\n");
    by_reason(&mut text, &no_effect);
    text
}

fn by_reason(text: &mut String, reasons: &BTreeMap<&str, Vec<String>>) {
    for (why, names) in reasons {
        wrap(text, "- ", &format!("{why}: {}", names.join(", ")));
    }
}

/// Appends `line`, broken at blanks so that no line is wider than 110 characters.
fn wrap(text: &mut String, bullet: &str, line: &str) {
    let mut width = bullet.len();
    text.push_str(bullet);
    for (index, word) in line.split(' ').enumerate() {
        if index > 0 && width + word.len() + 1 > 110 {
            text.push('\n');
            text.push_str(&" ".repeat(bullet.len()));
            width = bullet.len();
        } else if index > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += word.len();
    }
    text.push('\n');
}

//! One random history of commands, drawn from its seed alone, and its cutting down to what still fails.

use crate::common::Random;
use crate::draw::{self, Form};
use crate::grammar::{self, Node, mutate};
use crate::pools::{self, Pools};
use std::time::{Duration, Instant};

/// A command's arguments.
pub(crate) type Command = Vec<Vec<u8>>;

/// A parsed list of grammars with their weights.
#[derive(Debug)]
pub(crate) struct Menu {
    entries: Vec<(usize, Node)>,
    total: usize,
    /// In place of grammars: commands with random arguments.
    forms: Vec<Form>,
    /// Takes out of a history what the server that is compared with answers in a way of its own.
    tame: fn(&mut Vec<Command>),
}

impl Menu {
    /// Parses weights and grammars.
    pub(crate) fn new<'a>(list: impl IntoIterator<Item = (usize, &'a str)>) -> Menu {
        let entries: Vec<(usize, Node)> = list.into_iter().map(|(w, line)| (w, grammar::parse(line))).collect();
        let total = entries.iter().map(|(w, _)| w).sum();
        Menu { entries, total, forms: Vec::new(), tame: |_| () }
    }

    /// Random arguments of these commands.
    pub(crate) fn of_forms(forms: Vec<Form>) -> Menu {
        Menu { entries: Vec::new(), total: 0, forms, tame: |_| () }
    }

    /// The same, with a rule for what a history must not have.
    pub(crate) fn tamed(self, tame: fn(&mut Vec<Command>)) -> Menu {
        Menu { tame, ..self }
    }

    /// What stands in the keyspace before.
    fn setting(&self) -> Vec<Command> {
        if self.forms.is_empty() { Vec::new() } else { draw::SETTING.map(draw::words).to_vec() }
    }

    /// A command of random arguments; what may wait in a transaction, where it does not.
    fn draw_call(&self, random: &mut Random) -> Vec<Command> {
        let form = random.one(&self.forms);
        let call = form.draw(random);
        if form.waits() { vec![draw::words("MULTI"), call, draw::words("EXEC")] } else { vec![call] }
    }

    fn draw(&self, random: &mut Random, pools: &Pools) -> Vec<Command> {
        if !self.forms.is_empty() {
            return self.draw_call(random);
        }
        let mut at = random.below(self.total);
        let mut args = Vec::new();
        for (weight, node) in &self.entries {
            if at < *weight {
                node.draw(random, pools, &mut args);
                break;
            }
            at -= weight;
        }
        while random.chance(6) {
            mutate(random, pools, &mut args);
        }
        vec![args]
    }
}

/// A history and how it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Where it came from.
    pub(crate) seed: u64,
    /// Whether the connection says HELLO 3 first.
    pub(crate) resp3: bool,
    /// Commands sent at a time.
    pub(crate) batch: usize,
    /// The commands, in order.
    pub(crate) commands: Vec<Command>,
}

impl Case {
    /// The case of this seed.
    pub(crate) fn draw(seed: u64, menu: &Menu) -> Case {
        let mut random = Random(seed);
        let pools = Pools::new();
        let resp3 = random.chance(50);
        let batch = if random.chance(50) { 1 } else { 2 + random.below(100) };
        let count = 20 + random.below(120);
        let mut commands: Vec<Command> = (0..count).flat_map(|_| menu.draw(&mut random, &pools)).collect();
        // A mutation may make any of these.
        commands.retain(|c| {
            !changes_the_stream(c) && !races_the_clock(c) && !compares_far_times(c) && !is_each_servers_own(c)
        });
        if menu.forms.is_empty() && random.chance(40) {
            add_transactions(&mut random, &pools, &mut commands);
        }
        (menu.tame)(&mut commands);
        commands.splice(0..0, menu.setting());
        commands.push(vec![b"DISCARD".to_vec()]);
        commands.extend(read_back(&mut random));
        Case { seed, resp3, batch, commands }
    }

    /// The same history with these commands only.
    pub(crate) fn with(&self, commands: Vec<Command>) -> Case {
        Case { commands, ..self.clone() }
    }

    /// Removes commands, then arguments, for as long as `fails` says that it still fails; until `time` is over.
    pub(crate) fn shrink(&self, time: Duration, mut fails: impl FnMut(&Case) -> bool) -> Case {
        let end = Instant::now() + time;
        let mut best = self.clone();
        let mut try_it = |candidate: Case, best: &mut Case| {
            if Instant::now() > end {
                return false;
            }
            let still = fails(&candidate);
            if still {
                *best = candidate;
            }
            still
        };
        try_it(Case { batch: 1, ..best.clone() }, &mut best);
        try_it(Case { resp3: false, ..best.clone() }, &mut best);
        let mut chunk = best.commands.len() / 2;
        while chunk > 0 {
            let mut at = 0;
            while at < best.commands.len() {
                let mut fewer = best.commands.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                if !try_it(best.with(fewer), &mut best) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        for at in 0..best.commands.len() {
            for arg in (1..best.commands[at].len()).rev() {
                let mut fewer = best.commands.clone();
                fewer[at].remove(arg);
                try_it(best.with(fewer), &mut best);
            }
        }
        best
    }
}

/// Puts MULTI in front of some commands and EXEC, now and then DISCARD, behind; before some of them a WATCH, and
/// between that and MULTI a few commands, which may change what is watched.
fn add_transactions(random: &mut Random, pools: &Pools, commands: &mut Vec<Command>) {
    let line = |text: &str| vec![text.as_bytes().to_vec()];
    let watch = grammar::parse("WATCH key+");
    let mut at = 0;
    while at < commands.len() {
        at += random.below(20);
        let end = at + 1 + random.below(8);
        if end >= commands.len() {
            break;
        }
        if random.chance(30) {
            let mut args = Vec::new();
            watch.draw(random, pools, &mut args);
            commands.insert(at.saturating_sub(random.below(4)), args);
        }
        commands.insert(at, line("MULTI"));
        let last = match random.below(20) {
            0 => "DISCARD",
            1 => "UNWATCH",
            2 => "MULTI",
            _ => "EXEC",
        };
        commands.insert(end + 1, line(last));
        at = end + 1;
    }
}

fn changes_the_stream(command: &Command) -> bool {
    let name = command[0].to_ascii_lowercase();
    let second = command.get(1).map(|a| a.to_ascii_lowercase()).unwrap_or_default();
    match name.as_slice() {
        b"quit" | b"monitor" | b"shutdown" | b"subscribe" | b"sync" | b"psync" => true,
        b"client" => [b"reply".as_slice(), b"pause", b"tracking", b"caching"].contains(&second.as_slice()),
        _ => false,
    }
}

/// Sets an expiry that may pass while the case runs, or that has passed: Redis stores such a string, and counts it
/// in DBSIZE until it happens to look.
fn races_the_clock(command: &Command) -> bool {
    let within = |at: usize, soon: i64| {
        let text = command.get(at).and_then(|arg| std::str::from_utf8(arg).ok());
        text.and_then(|t| t.parse::<i64>().ok()).is_some_and(|n| n > 0 && n < soon)
    };
    let option = |name: &[u8], soon: i64| {
        (1..command.len()).any(|at| command[at].eq_ignore_ascii_case(name) && within(at + 1, soon))
    };
    match command[0].to_ascii_lowercase().as_slice() {
        b"expire" | b"setex" | b"hexpire" => within(2, 60),
        b"pexpire" | b"psetex" | b"hpexpire" => within(2, 60_000),
        b"getex" | b"hgetex" | b"hsetex" => option(b"EX", 60) || option(b"PX", 60_000),
        b"set" | b"msetex" => {
            option(b"EX", 60)
                || option(b"PX", 60_000)
                || option(b"EXAT", 1_500_000_000)
                || option(b"PXAT", 1_500_000_000_000)
        }
        _ => false,
    }
}

/// Compares times (GT, LT) of which one is beyond the year 10889: there all are equal for Pinion.
fn compares_far_times(command: &Command) -> bool {
    let name = String::from_utf8_lossy(&command[0]).to_lowercase();
    let word = |word: &[u8]| command.iter().any(|arg| arg.eq_ignore_ascii_case(word));
    let latest = if name.contains("pexpire") { 279_000_000_000_000 } else { 279_000_000_000 };
    let time = command.get(2).and_then(|arg| std::str::from_utf8(arg).ok()).and_then(|text| text.parse::<i64>().ok());
    name.contains("expire") && (word(b"gt") || word(b"lt")) && time.is_some_and(|time| time > latest)
}

/// Starts in the middle of a SCAN, or lists every setting, or leaves a HELLO half done: Redis 7.0 sets the name before
/// it finds that the rest is wrong. Or has as many arguments as newer servers take (ZRANK with WITHSCORE, COMMAND
/// GETKEYS of a lone name): where Redis 7.0 does not queue such a command it drops the whole transaction.
fn is_each_servers_own(command: &Command) -> bool {
    let cursor = command.get(1).and_then(|arg| std::str::from_utf8(arg).ok()).and_then(|t| t.parse::<u64>().ok());
    match command[0].to_ascii_lowercase().as_slice() {
        b"scan" => cursor.is_some_and(|n| n > 0),
        b"xadd" => command.iter().any(|arg| arg == b"*"),
        b"hello" => {
            let word = |at: usize| command.get(at).map(|arg| arg.to_ascii_lowercase()).unwrap_or_default();
            let named = (2..command.len()).any(|at| word(at) == b"setname");
            named && !(command.len() == 4 && word(2) == b"setname")
        }
        b"config" => command.iter().any(|arg| arg == b"*"),
        b"zrank" | b"zrevrank" => command.len() > 3,
        b"command" => command.len() == 3 && command[1].to_ascii_lowercase().starts_with(b"getkeys"),
        _ => false,
    }
}

/// What reads the whole final state: which keys, what they hold, and for one database expiry and encoding.
fn read_back(random: &mut Random) -> Vec<Command> {
    let words = |line: &str| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Command>();
    let mut commands = Vec::new();
    let closely = random.below(4);
    for db in [0, 1, 2, 3, 15] {
        commands.push(words(&format!("SELECT {db}")));
        commands.push(words("DBSIZE"));
        commands.push(words("KEYS *"));
        commands.push([vec![b"MGET".to_vec()], pools::keys()].concat());
        if db != closely {
            continue;
        }
        for key in pools::keys() {
            commands.push(vec![b"PTTL".to_vec(), key.clone()]);
            commands.push([words("LRANGE"), vec![key.clone()], words("0 -1")].concat());
            commands.push(vec![b"HGETALL".to_vec(), key.clone()]);
            commands.push([words("ZRANGE"), vec![key.clone()], words("0 -1 WITHSCORES")].concat());
            commands.push(vec![b"XRANGE".to_vec(), key.clone(), b"-".to_vec(), b"+".to_vec()]);
            commands.push(vec![b"XINFO".to_vec(), b"STREAM".to_vec(), key.clone()]);
            commands.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key]);
        }
    }
    commands
}

/// A command as redis-cli takes it.
pub(crate) fn shown(command: &Command) -> String {
    let quoted = |arg: &Vec<u8>| {
        if !arg.is_empty() && arg.iter().all(|b| b.is_ascii_alphanumeric() || b"-+.:{}#*?[]_".contains(b)) {
            return String::from_utf8_lossy(arg).into_owned();
        }
        format!("\"{}\"", crate::common::value::shown(arg))
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

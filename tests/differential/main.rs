//! Random histories of commands, run here and on Debian's redis-server: every reply must be the same, and so must
//! the state that is left. A failing history is cut down to its shortest form and printed with its seed.
//!
//! `PINION_DIFF_SECONDS` and `PINION_DIFF_CASES` bound the run (60 seconds by default), `PINION_DIFF_SEED` is the
//! first seed, or `random`, `PINION_DIFF_WITHOUT` names commands to leave out (comma-separated), and
//! `PINION_DIFF_FAILURES` says after how many different failures to stop. `PINION_PEERS` is a root folder that holds
//! newer valkey-server and redis-server; without it, what only those answer is not compared.

#[path = "../common/mod.rs"]
mod common;

mod case;
mod commands;
mod compare;
mod grammar;
mod pair;
mod pools;

use case::{Case, Menu, shown};
use common::Setup;
use pair::{Mismatch, Pair};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time that cutting down one failure may take.
const SHRINK_TIME_MAX: Duration = Duration::from_secs(30);

/// How much is to be done.
struct Budget {
    seed: u64,
    cases: u64,
    time: Duration,
    /// Different failures after which a run stops looking for more.
    failures: usize,
    /// Names of commands to leave out, in lower case.
    without: Vec<String>,
}

/// Cases of one run, unless `PINION_DIFF_CASES` says otherwise: the same ones on every machine that has the time.
const CASES: u64 = 4000;

/// Commands of the menu that Pinion does not have yet.
const STILL_TO_COME: &str = "role,lastsave";

/// Commands with differences in corner cases (which of two errors comes first, the cursor 0 of several shards inside
/// EXEC, positions outside the map) that are neither mended nor listed with their reason yet.
/// `PINION_DIFF_UNSETTLED=1` compares them as well. It only shrinks.
const UNSETTLED: &str = "multi,exec,discard,watch,unwatch,hscan,sscan,zscan,zrange,zrangestore,georadius,\
     georadius_ro,georadiusbymember,georadiusbymember_ro,geosearch,geosearchstore";

impl Budget {
    fn from_env(seconds: u64) -> Budget {
        let number = |name: &str, default: u64| {
            let text = std::env::var(name).unwrap_or_default();
            if text.is_empty() { default } else { text.parse().unwrap_or_else(|_| panic!("{name}={text}")) }
        };
        let seed = match std::env::var("PINION_DIFF_SEED").as_deref() {
            Ok("random") => SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64,
            _ => number("PINION_DIFF_SEED", 1),
        };
        let time = Duration::from_secs(number("PINION_DIFF_SECONDS", seconds));
        let without = std::env::var("PINION_DIFF_WITHOUT").unwrap_or_default() + "," + STILL_TO_COME;
        let unsettled = if std::env::var("PINION_DIFF_UNSETTLED").is_ok() { "" } else { UNSETTLED };
        let without = without + "," + unsettled;
        Budget {
            seed,
            cases: number("PINION_DIFF_CASES", CASES),
            time,
            failures: number("PINION_DIFF_FAILURES", 12) as usize,
            without: without.to_lowercase().split(',').map(str::to_string).collect(),
        }
    }
}

/// Runs cases on every setup until the budget is used up; fails with all that was found.
fn compare_with(oracle: &Setup, setups: &[Setup], menu: &Menu, budget: &Budget) {
    let next = AtomicU64::new(0);
    let commands = AtomicU64::new(0);
    let found: Mutex<BTreeMap<String, String>> = Mutex::default();
    let end = Instant::now() + budget.time;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut pairs: Vec<Option<Pair>> = setups.iter().map(|_| None).collect();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let full = found.lock().expect("unbroken").len() >= budget.failures;
                    if number >= budget.cases || Instant::now() > end || full {
                        break;
                    }
                    // Every setup sees its own cases: the seeds differ, so more histories are tried in all.
                    let at = (number % setups.len() as u64) as usize;
                    let pair = pairs[at].get_or_insert_with(|| Pair::start(oracle, &setups[at]));
                    let mut case = Case::draw(budget.seed + number, menu);
                    let left_out = |c: &case::Command| String::from_utf8_lossy(&c[0]).to_lowercase();
                    case.commands.retain(|c| !budget.without.contains(&left_out(c)));
                    commands.fetch_add(case.commands.len() as u64, Ordering::Relaxed);
                    let Some(mismatch) = pair.run(&case) else { continue };
                    let kind = mismatch.kind();
                    if found.lock().expect("unbroken").contains_key(&kind) {
                        continue;
                    }
                    let text = describe(pair, &case, &mismatch);
                    found.lock().expect("unbroken").insert(kind, text);
                }
            });
        }
    });
    let found = found.into_inner().expect("unbroken");
    let cases = next.load(Ordering::Relaxed);
    println!("{cases} cases from seed {}, {} commands", budget.seed, commands.load(Ordering::Relaxed));
    let list: Vec<String> = found.into_values().collect();
    assert!(list.is_empty(), "{} kinds of difference:\n\n{}", list.len(), list.join("\n"));
}

/// The shortest history that shows the mismatch, with both replies.
fn describe(pair: &mut Pair, case: &Case, mismatch: &Mismatch) -> String {
    let kind = mismatch.kind();
    let start = case.with(case.commands[..=mismatch.at].to_vec());
    let small = start.shrink(SHRINK_TIME_MAX, |c| pair.run(c).is_some_and(|m| m.kind() == kind));
    let again = pair.run(&small);
    let last = again.as_ref().unwrap_or(mismatch);
    let mut text = format!("seed {} ({}{}", case.seed, pair.name, if small.resp3 { ", RESP3" } else { "" });
    text += &format!(", {} at a time){}\n", small.batch, if again.is_some() { "" } else { ", not every time" });
    for command in &small.commands {
        text += &format!("    {}\n", shown(command));
    }
    text + &format!("  {}: {}\n  theirs {:?}\n  ours   {:?}\n", shown(&last.command), last.why, last.theirs, last.ours)
}

#[test]
fn replies_are_those_of_redis() {
    let menu = Menu::new(commands::EVERYWHERE.iter().chain(commands::RARELY).copied());
    compare_with(&Setup::oracle(), &Setup::all(), &menu, &Budget::from_env(60));
}

#[test]
fn every_grammar_draws() {
    let newer = commands::NEWER.iter().map(|(_, weight, line)| (*weight, *line));
    for (weight, line) in commands::EVERYWHERE.iter().chain(commands::RARELY).copied().chain(newer) {
        let menu = Menu::new([(weight, line)]);
        let drawn = (0..50).map(|seed| Case::draw(seed, &menu).commands.len()).sum::<usize>();
        assert!(drawn > 0, "{line}");
    }
}

#[test]
fn newer_commands_answer_as_on_newer_servers() {
    let Ok(root) = std::env::var("PINION_PEERS") else {
        println!("PINION_PEERS is not set: nothing to compare with");
        return;
    };
    for name in ["valkey", "redis"] {
        let newer = commands::NEWER.iter().filter(|(server, ..)| *server == name || *server == "both");
        let help = commands::EVERYWHERE.iter().chain(commands::RARELY).copied();
        let menu = Menu::new(newer.map(|(_, weight, line)| (*weight * 4, *line)).chain(help));
        let peer = Setup::other(&format!("chroot {root} {name}-server"));
        compare_with(&peer, &Setup::all(), &menu, &Budget::from_env(20));
    }
}

//! Random histories of commands, run here and on Debian's redis-server: every reply must be the same, and so must
//! the state that is left. A failing history is cut down to its shortest form and printed with its seed.
//!
//! `PINION_DIFF_SECONDS` and `PINION_DIFF_CASES` bound the run (60 seconds by default), `PINION_DIFF_SEED` is the
//! first seed, or `random`, `PINION_DIFF_WITHOUT` names commands to leave out (comma-separated), `PINION_DIFF_ONLY` the
//! only ones to draw (the final state is read back all the same), and
//! `PINION_DIFF_FAILURES` says after how many different failures to stop. `PINION_PEERS` is a root folder that holds
//! newer valkey-server and redis-server; without it, what only those answer is not compared. `PINION_PEER` (valkey or
//! redis) asks for one of them alone.

#[path = "../common/mod.rs"]
mod common;

#[path = "../arguments/draw.rs"]
mod draw;

mod arguments;
mod case;
mod commands;
mod compare;
mod grammar;
mod pair;
mod peers;
mod pools;
mod replay;
mod talk;

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
    /// Names of commands to leave in, in lower case; none: all.
    only: Vec<String>,
}

/// The names of a list with commas between them.
fn words(list: &str) -> Vec<String> {
    list.to_lowercase().split(',').filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// Cases of one run, unless `PINION_DIFF_CASES` says otherwise: the same ones on every machine that has the time.
const CASES: u64 = 4000;

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
        let without = std::env::var("PINION_DIFF_WITHOUT").unwrap_or_default();
        Budget {
            seed,
            cases: number("PINION_DIFF_CASES", CASES),
            time,
            failures: number("PINION_DIFF_FAILURES", 12) as usize,
            without: words(&without),
            only: words(&std::env::var("PINION_DIFF_ONLY").unwrap_or_default()),
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
    let budget = Budget::from_env(60);
    let wanted = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        budget.only.is_empty() || words.any(|word| budget.only.contains(&word.to_lowercase()))
    };
    let lines = commands::EVERYWHERE.iter().chain(commands::RARELY).copied();
    let menu = Menu::new(lines.filter(|(_, line)| wanted(line))).tamed(peers::for_old_redis);
    compare_with(&Setup::oracle(), &Setup::all(), &menu, &budget);
}

#[test]
fn random_arguments_are_answered_as_by_redis() {
    let budget = Budget::from_env(30);
    let mut forms = arguments::common_forms(&Setup::oracle());
    forms.retain(|form| budget.only.is_empty() || budget.only.contains(&form.spec.name.to_string()));
    let menu = Menu::of_forms(forms).tamed(arguments::tame);
    compare_with(&Setup::oracle(), &Setup::all(), &menu, &budget);
}

#[test]
fn what_reaches_another_connection_is_that_of_redis() {
    let budget = Budget::from_env(30);
    let found = talk::compare(&Setup::oracle(), &Setup::all(), budget.seed, budget.time, budget.failures);
    assert!(found.is_empty(), "{} kinds of difference:\n\n{}", found.len(), found.join("\n"));
}

#[test]
fn histories_come_back_from_the_log() {
    let menu = Menu::new(commands::EVERYWHERE.iter().chain(commands::RARELY).copied());
    let budget = Budget::from_env(60);
    let setups = Setup::all();
    for setup in &setups {
        replay::read_back(setup, &menu, budget.seed, &budget.without, budget.time / 6 / setups.len() as u32);
    }
    // and what changed something although its arguments were odd
    let odd = Menu::of_forms(arguments::common_forms(&Setup::oracle())).tamed(arguments::tame);
    replay::read_back(&Setup::typical(), &odd, budget.seed, &budget.without, budget.time / 12);
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
        if std::env::var("PINION_PEER").is_ok_and(|only| only != name) {
            continue;
        }
        let newer = commands::NEWER.iter().filter(|(server, ..)| *server == name || *server == "both");
        let help = commands::EVERYWHERE.iter().chain(commands::RARELY).copied();
        let menu = Menu::new(newer.map(|(_, weight, line)| (*weight * 4, *line)).chain(help));
        let peer = Setup::other(&format!("chroot {root} {name}-server"));
        let menu = menu.tamed(if name == "valkey" { peers::for_valkey } else { peers::for_redis });
        compare_with(&peer, &Setup::all(), &menu, &Budget::from_env(20));
    }
}

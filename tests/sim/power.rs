//! The power goes, or a disk fails, while clients write. Under `appendfsync always` any sectors of the log writes under
//! way are on the disk, in any order: what comes back has everything that was acknowledged and of what was under way a
//! beginning. Under the other policies that holds for everything that no sync covered, and blocks may hold what an
//! earlier use left: what comes back has what WAITAOF told to be durable, and of each client's writes on one shard a
//! beginning. Never is a transaction there by halves. A write or sync that fails ends the server or has it refuse
//! writes.

use crate::author::Author;
use crate::bank::{self, Teller};
use crate::common::client::encode;
use crate::common::{Random, Value};
use crate::number;
use crate::world::{Died, Faults, Peer, World};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIVES: usize = 4;
const AUTHORS: usize = 5;
const TELLERS: usize = 2;

/// A folder that goes when this does, unless a test failed. In memory if that can be: no disk is to be waited for, its
/// whims are simulated.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
        let path = parent.join(name);
        std::fs::create_dir_all(&path).expect("a folder for data");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what was on disk: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// What one seed does.
#[derive(Debug, Clone, Copy)]
struct Terms {
    policy: &'static str,
    /// Whether an operation of the disk may fail.
    fails: bool,
    seed: u64,
}

/// Several lives of a server on the same files. Answers how many writes were acknowledged.
fn lives(terms: Terms) -> usize {
    let Terms { policy, fails, seed } = terms;
    let mut random = Random(seed);
    let folder = Folder::new(&format!("pinion-power-{}-PINION_SIM_SEED={seed}", std::process::id()));
    // small segments are often full, and a log of one is begun anew at the start: what it leaves is written over
    let segment = *random.one(&["64kb", "256kb", "64mb"]);
    let args =
        format!("--appendonly yes --appendfsync {policy} --aof-segment-size {segment} --dir {}", folder.0.display());
    let is_sure = policy == "always";
    // of what a client did on several shards, a beginning on each is there
    let is_single = !is_sure && random.chance(50);
    let authors = if is_sure || is_single { AUTHORS } else { 0 };
    let mut authors: Vec<Author> = (0..authors).map(|number| Author::new(number, random.next())).collect();
    let mut tellers: Vec<Teller> = (0..TELLERS).map(|number| Teller::new(number, random.next())).collect();
    let mut shards = 1;
    for life in 0..=LIVES {
        if !is_single && (life == 0 || random.chance(20)) {
            shards = *random.one(&[1, 2, 3, 5]);
        }
        let faults = Faults { date: 0, ..Faults::drawn(&mut random) };
        let mut world = World::new(shards, &args, faults, random.next());
        let mut reader = world.connect(0);
        let mut ask = |line: &str| world.call(&mut reader, line);
        let failed = |why| -> () { panic!("{terms:?}, life {life} on {shards} shards, PINION_SIM_SEED={seed}: {why}") };
        for author in &mut authors {
            let verified = if is_sure { author.verify(&mut ask) } else { author.verify_beginning(&mut ask) };
            verified.unwrap_or_else(failed);
        }
        bank::verify(&mut ask, &mut tellers).unwrap_or_else(failed);
        if life == LIVES {
            break;
        }
        let steps = random.below(12_000);
        let fails_at = if fails && random.chance(70) { random.below(steps + 1) } else { usize::MAX };
        let lived = catch_unwind(AssertUnwindSafe(|| {
            Life { world: &mut world, authors: &mut authors, tellers: &mut tellers, terms }.live(
                steps,
                fails_at,
                &mut random,
            );
        }));
        match lived {
            Err(panic) if !panic.is::<Died>() => resume_unwind(panic),
            Err(_) => assert!(is_sure, "only what cannot promise any more ends"),
            Ok(()) => {}
        }
        if !is_sure {
            tellers.iter_mut().for_each(Teller::lose_rest);
            world.lose_cache(&folder.0.join("appendonlydir"));
        }
        world.lose_power();
    }
    authors.iter().map(|author| author.acknowledged).sum::<usize>()
        + tellers.iter().map(Teller::progress).sum::<usize>()
}

/// The time between a start and the loss of power.
struct Life<'a> {
    world: &'a mut World,
    authors: &'a mut [Author],
    tellers: &'a mut [Teller],
    terms: Terms,
}

/// A client that asks what is durable: what had been acknowledged when it did.
type Asked = Option<(Vec<usize>, Vec<usize>)>;

impl Life<'_> {
    fn live(&mut self, steps: usize, fails_at: usize, random: &mut Random) {
        let count = self.authors.len() + self.tellers.len();
        let mut peers: Vec<Peer> = (0..count).map(|_| self.peer(random)).collect();
        let (for_authors, for_tellers) = peers.split_at_mut(self.authors.len());
        let mut missing = vec![0; self.tellers.len()];
        // a client whose writes are refused does no more
        let mut refused = vec![false; count];
        let (mut waiter, mut asked) = (self.peer(random), None);
        for step in 0..steps {
            if step == fails_at {
                self.world.net.fail_disk(random.below(self.world.shards()));
            }
            if self.terms.policy != "always" && random.below(400) == 0 {
                self.world.time.advance(random.below(1_500_000) as u64);
            }
            for ((author, peer), refused) in self.authors.iter_mut().zip(for_authors.iter_mut()).zip(&mut refused) {
                while author.is_waiting() && !*refused {
                    let Some(reply) = peer.reply() else { break };
                    *refused = is_refusal(&reply);
                    if !*refused {
                        author.hear(reply);
                    }
                }
                if !author.is_waiting() && !*refused {
                    peer.send(&author.next());
                }
            }
            let refused = &mut refused[self.authors.len()..];
            for (index, teller) in self.tellers.iter_mut().enumerate() {
                let (peer, missing) = (&mut for_tellers[index], &mut missing[index]);
                if *missing == 0 && !refused[index] {
                    let (bytes, replies) = teller.next_transfer();
                    peer.send(&bytes);
                    *missing = replies;
                } else if let Some(reply) = peer.reply() {
                    *missing -= 1;
                    refused[index] |= is_refusal(&reply);
                    if *missing == 0 && !refused[index] {
                        teller.done();
                    }
                }
            }
            if self.terms.policy == "everysec" {
                self.ask_what_is_durable(&mut waiter, &mut asked);
            }
            self.world.step();
        }
    }

    fn peer(&self, random: &mut Random) -> Peer {
        self.world.connect(random.below(self.world.shards()))
    }

    fn ask_what_is_durable(&mut self, waiter: &mut Peer, asked: &mut Asked) {
        let Some((authors, tellers)) = &*asked else {
            waiter.send(&encode(&["WAITAOF", "1", "0", "0"]));
            let authors = self.authors.iter().map(Author::progress).collect();
            *asked = Some((authors, self.tellers.iter().map(Teller::progress).collect()));
            return;
        };
        let Some(reply) = waiter.reply() else { return };
        if !reply.is_error() && reply.items()[0] == Value::Int(1) {
            self.authors.iter_mut().zip(authors).for_each(|(author, progress)| author.is_durable(*progress));
            self.tellers.iter_mut().zip(tellers).for_each(|(teller, progress)| teller.is_durable(*progress));
        }
        *asked = None;
    }
}

/// Whether the server takes no writes any more.
fn is_refusal(reply: &Value) -> bool {
    reply.is_error() && ["MISCONF", "EXECABORT"].iter().any(|code| reply.text().starts_with(code))
}

/// Fresh seeds until the time is over, or the one that is asked for.
fn seeds(policies: &[&'static str], fails: bool) {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let first = number("PINION_SIM_SEED").unwrap_or(fresh);
    let end = Instant::now() + Duration::from_secs(number("PINION_SIM_SECONDS").unwrap_or(10)) / 4;
    let (mut seeds, mut writes) = (0, 0);
    while seeds == 0 || (number("PINION_SIM_SEED").is_none() && Instant::now() < end) {
        let seed = first + seeds;
        let policy = policies[(seed % policies.len() as u64) as usize];
        writes += lives(Terms { policy, fails, seed });
        seeds += 1;
    }
    println!("{seeds} seeds from {first} on: {writes} acknowledged writes");
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    seeds(&["always"], false);
}

#[test]
fn what_was_acknowledged_survives_a_disk_that_fails() {
    seeds(&["always"], true);
}

#[test]
fn a_beginning_survives_a_loss_of_power_where_no_sync_is_waited_for() {
    seeds(&["everysec", "no"], false);
}

#[test]
fn a_beginning_survives_a_sync_that_fails() {
    seeds(&["everysec", "no"], true);
}

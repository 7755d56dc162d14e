//! The power goes while clients write under `appendfsync always`: of the log writes under way any sectors are on the
//! disk, in any order. What comes back has everything that was acknowledged, no transaction by halves, and of what was
//! under way a beginning.

use crate::author::Author;
use crate::bank::{self, Teller};
use crate::common::Random;
use crate::number;
use crate::world::{Faults, Peer, World};
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

/// Several lives of a server on the same files. Answers how many writes were acknowledged.
fn lives(seed: u64) -> usize {
    let mut random = Random(seed);
    let folder = Folder::new(&format!("pinion-power-{}-PINION_SIM_SEED={seed}", std::process::id()));
    let args = format!("--appendonly yes --appendfsync always --dir {}", folder.0.display());
    let mut authors: Vec<Author> = (0..AUTHORS).map(|number| Author::new(number, random.next())).collect();
    let mut tellers: Vec<Teller> = (0..TELLERS).map(|number| Teller::new(number, random.next())).collect();
    let mut shards = *random.one(&[1, 2, 3, 5]);
    for life in 0..=LIVES {
        if random.chance(20) {
            shards = *random.one(&[1, 2, 3, 5]);
        }
        let faults = Faults { date: 0, ..Faults::drawn(&mut random) };
        let mut world = World::new(shards, &args, faults, random.next());
        let mut reader = world.connect(0);
        let mut ask = |line: &str| world.call(&mut reader, line);
        let failed = |why| -> () { panic!("life {life} on {shards} shards, PINION_SIM_SEED={seed}: {why}") };
        authors.iter_mut().for_each(|author| author.verify(&mut ask).unwrap_or_else(failed));
        bank::verify(&mut ask, &mut tellers).unwrap_or_else(failed);
        if life < LIVES {
            let steps = random.below(12_000);
            live(&mut world, &mut authors, &mut tellers, steps, &mut random);
            world.lose_power();
        }
    }
    authors.iter().map(|author| author.acknowledged).sum()
}

fn live(world: &mut World, authors: &mut [Author], tellers: &mut [Teller], steps: usize, random: &mut Random) {
    let mut peers: Vec<Peer> = (0..AUTHORS + TELLERS).map(|_| world.connect(random.below(world.shards()))).collect();
    let (for_authors, for_tellers) = peers.split_at_mut(AUTHORS);
    let mut missing = vec![0; tellers.len()];
    for _ in 0..steps {
        for (author, peer) in authors.iter_mut().zip(for_authors.iter_mut()) {
            while author.is_waiting() {
                let Some(reply) = peer.reply() else { break };
                author.hear(reply);
            }
            if !author.is_waiting() {
                peer.send(&author.next());
            }
        }
        for ((teller, peer), missing) in tellers.iter_mut().zip(for_tellers.iter_mut()).zip(&mut missing) {
            if *missing == 0 {
                let (bytes, replies) = teller.next_transfer();
                peer.send(&bytes);
                *missing = replies;
            } else if peer.reply().is_some() {
                *missing -= 1;
                if *missing == 0 {
                    teller.done();
                }
            }
        }
        world.step();
    }
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let first = number("PINION_SIM_SEED").unwrap_or(fresh);
    let end = Instant::now() + Duration::from_secs(number("PINION_SIM_SECONDS").unwrap_or(10)) / 2;
    let (mut seeds, mut writes) = (0, 0);
    while seeds == 0 || (number("PINION_SIM_SEED").is_none() && Instant::now() < end) {
        writes += lives(first + seeds);
        seeds += 1;
    }
    println!("{seeds} seeds from {first} on: {writes} acknowledged writes, none lost");
}

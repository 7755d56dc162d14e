//! A whole server in one thread: its real cores, ticked one at a time in an order that a seed draws, over a simulated
//! network, mesh and time. The same seed always takes the same course.

use crate::common::Random;
use crate::common::value::{Incomplete, Value, parse};
use pinion::admin::config::load;
use pinion::admin::state::AdminState;
use pinion::base::clock::{Clock, ManualTime};
use pinion::base::config::Config;
use pinion::base::hash;
use pinion::commands::table::CommandTable;
use pinion::net::shared::{Shared, SharedParts};
use pinion::persist::aof::folder::Folder;
use pinion::runtime::driver::sim::{SimNet, StreamId, Weather, network};
use pinion::runtime::driver::{ChosenKind, Driver};
use pinion::runtime::mesh::relay::{Relay, relayed};
use pinion::server::core::Core;
use pinion::server::{boot, recovery, registry};
use pinion::txn::figures::TxnStats;
use pinion::txn::message::Message;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01, in microseconds: the date at which every simulation begins.
const START_US: u64 = 1_767_225_600_000_000;

/// What goes wrong, and how often, in percent of the chances it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) weather: Weather,
    /// A link between two cores, when it has carried something, rests for up to [`Faults::delay_us`].
    pub(crate) rest: usize,
    pub(crate) delay_us: u64,
    /// A core, after a tick, does nothing for up to ten times that long.
    pub(crate) slow: usize,
    /// Of a thousand steps: somebody sets the date.
    pub(crate) date: usize,
}

impl Faults {
    pub(crate) const NONE: Faults = Faults { weather: Weather::FAIR, rest: 0, delay_us: 0, slow: 0, date: 0 };

    /// A mixture that differs from seed to seed.
    pub(crate) fn drawn(random: &mut Random) -> Faults {
        let weather = Weather {
            stall: random.below(60) as u64,
            tear: random.below(60) as u64,
            accept_fails: random.below(30) as u64,
            disk_stall: random.below(80) as u64,
        };
        let delay_us = *random.one(&[20, 200, 5000]);
        Faults { weather, rest: random.below(90), delay_us, slow: random.below(20), date: random.below(3) }
    }
}

/// What a server unwinds with that ends itself: it would have exited there.
#[derive(Debug)]
pub(crate) struct Died;

/// What the disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What the files of the logs hold, by inode: a name may change.
fn contents(logs: &Path) -> BTreeMap<u64, Vec<u8>> {
    let files = std::fs::read_dir(logs).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_one = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "log" || kind == "spare");
    let content =
        |path: PathBuf| (std::fs::metadata(&path).expect("a log").ino(), std::fs::read(&path).expect("a log"));
    files.filter(is_one).map(content).collect()
}

/// Run and shard of a log's segment.
fn numbers(path: &Path) -> Option<(u32, usize)> {
    let mut words = path.file_name()?.to_str()?.strip_suffix(".log")?.rsplit('.').skip(1);
    let shard = words.next()?.parse().ok()?;
    Some((words.next()?.parse().ok()?, shard))
}

/// The server, and the time it lives in.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) net: SimNet,
    pub(crate) time: ManualTime,
    random: Random,
    faults: Faults,
    cores: Vec<Core>,
    /// Until when each core does nothing.
    resting: Vec<u64>,
    /// When each core last ticked.
    ticked: Vec<u64>,
    relay: Relay<Message>,
    /// Until when each link carries nothing, by sender and receiver.
    held: Vec<u64>,
    /// Grows with every step, so that what follows what is known even within a microsecond.
    pub(crate) steps: u64,
    /// What the files of the logs held at the start, by inode: where nothing was synced since, a loss of power
    /// leaves that.
    before: BTreeMap<u64, Vec<u8>>,
    /// Sum over what happened, to compare two runs.
    pub(crate) trace: u64,
}

impl World {
    /// A server of this many cores, started with `args` (separated by blanks), empty.
    pub(crate) fn new(shards: usize, args: &str, faults: Faults, seed: u64) -> World {
        hash::fix_seed(0x5EED);
        let fixed = "--save '' --protected-mode no --slowlog-log-slower-than -1 --latency-tracking no --mesh-depth 64 \
                     --logfile /dev/null";
        let words = fixed.split_whitespace().chain(args.split_whitespace());
        let words = words.map(|word| OsString::from(if word == "''" { "" } else { word }));
        let loaded = load(words).unwrap_or_else(|error| panic!("{error}"));
        pinion::admin::log::init(&loaded.store.current).unwrap_or_else(|error| panic!("{error}"));
        let time = ManualTime::new(START_US);
        let mut random = Random(seed);
        let (net, drivers, doorbells) = network(shards, random.next(), faults.weather).expect("a simulated network");
        let config = loaded.store.current.clone();
        let table = Arc::new(CommandTable::new());
        let mut handlers = registry::handlers(&table);
        handlers.fatal = |_| resume_unwind(Box::new(Died));
        let handlers = Arc::new(handlers);
        let shared = Arc::new(Shared::new(SharedParts {
            cores: shards,
            config: config.clone(),
            listening: pinion::net::listening::Listening::default(),
            table,
            doorbells,
            now_ms: START_US / 1000,
            run_id: "5".repeat(40),
            driver: ChosenKind::Sim.name(),
            admin: Box::new(AdminState::new(loaded.store, shards, seed)),
        }));
        // while it runs no log is begun anew, which threads of its own would do
        let at_start = Config { auto_aof_rewrite_min_size: config.aof_segment_bytes, ..config.clone() };
        let opened = recovery::open(&at_start, shards, &shared.loading).unwrap_or_else(|why| panic!("{why}"));
        if let Some(manifest) = &opened.manifest {
            shared.begin_logs();
            recovery::publish(&Folder::of(&config), manifest).unwrap_or_else(|why| panic!("{why}"));
        }
        let (ends, relay) = relayed(shards, config.mesh_depth);
        let cores = ends.into_iter().zip(drivers).zip(opened.kept).map(|((end, driver), kept)| {
            let clock = Clock::manual(&time);
            let mut core = boot::compose(end, driver, &shared, handlers.clone(), clock, random.next(), Duration::ZERO);
            if let Some(mut shard) = kept.shard {
                shard.now_ms = core.worker.clock.unix_ms();
                core.worker.install(shard);
            }
            if let Some(log) = kept.log {
                core.worker.keep_log(log);
            }
            core
        });
        World {
            net,
            cores: cores.collect(),
            resting: vec![0; shards],
            ticked: vec![0; shards],
            relay,
            held: vec![0; shards * shards],
            time,
            random,
            faults,
            steps: 0,
            before: contents(&Folder::of(&config).path),
            trace: 0,
        }
    }

    /// How many cores there are.
    pub(crate) fn shards(&self) -> usize {
        self.cores.len()
    }

    /// What goes wrong from now on.
    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.net.set_weather(faults.weather);
    }

    /// Lets something happen: a core ticks, or messages arrive. Time passes; all of it if there is nothing to do.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        self.time.advance(1 + self.random.below(10) as u64);
        if self.faults.date > 0 && self.random.below(1000) < self.faults.date {
            let by = self.random.below(4_000_000) as i64 - 2_000_000;
            self.time.set_date(by);
        }
        let now = self.time.mono_us();
        let links: Vec<usize> = (0..self.held.len()).filter(|link| self.can_carry(*link, now)).collect();
        let cores: Vec<usize> = (0..self.cores.len()).filter(|core| self.can_tick(*core, now)).collect();
        let choice = self.random.below(links.len() + cores.len());
        if let Some(link) = links.get(choice) {
            self.carry(*link, now);
        } else if let Some(core) = cores.get(choice - links.len()) {
            self.tick(*core, now);
        } else {
            self.skip(now);
        }
    }

    fn ends_of(&self, link: usize) -> (usize, usize) {
        (link / self.cores.len(), link % self.cores.len())
    }

    fn can_carry(&self, link: usize, now: u64) -> bool {
        let (from, to) = self.ends_of(link);
        self.held[link] <= now && self.relay.under_way(from, to) > 0
    }

    fn carry(&mut self, link: usize, now: u64) {
        let (from, to) = self.ends_of(link);
        let most = self.relay.under_way(from, to);
        let count = if self.faults.rest == 0 { most } else { 1 + self.random.below(most) };
        let carried = self.relay.carry(from, to, count);
        self.note(link as u64 * 1000 + carried as u64);
        if self.random.chance(self.faults.rest) {
            self.held[link] = now + 1 + self.random.below(self.faults.delay_us as usize) as u64;
        }
    }

    /// When a core wakes by itself.
    fn deadline(&self, core: usize) -> u64 {
        let timeout = self.cores[core].next_wait().timeout.unwrap_or(Duration::MAX);
        self.ticked[core].saturating_add(timeout.as_micros() as u64)
    }

    fn can_tick(&self, core: usize, now: u64) -> bool {
        let worker = &self.cores[core].worker;
        let Driver::Sim(driver) = &worker.driver else { panic!("a simulated core") };
        let woken = driver.has_work() || worker.router.mesh.has_inbound() || self.deadline(core) <= now;
        self.resting[core] <= now && woken
    }

    fn tick(&mut self, core: usize, now: u64) {
        assert!(self.cores[core].tick().expect("a simulated driver does not break"), "no core ends by itself");
        self.note(7_000_000 + core as u64);
        self.ticked[core] = now;
        if self.random.chance(self.faults.slow) {
            self.resting[core] = now + self.random.below(10 * self.faults.delay_us as usize + 1) as u64;
        }
    }

    /// Nothing can happen now: on to when something can.
    fn skip(&mut self, now: u64) {
        let held = (0..self.held.len()).filter(|link| {
            let (from, to) = self.ends_of(*link);
            self.relay.under_way(from, to) > 0
        });
        let held = held.map(|link| self.held[link]);
        let cores = (0..self.cores.len()).map(|core| self.deadline(core).max(self.resting[core]));
        let resting = self.resting.iter().copied().filter(|until| *until > now);
        let next = held.chain(cores).chain(resting).filter(|at| *at > now).min().unwrap_or(now + 1000);
        self.time.advance(next - now);
    }

    /// Everything that is under way comes to its end; then no lock may be held, nothing wait for one or be watched.
    pub(crate) fn wait_for_quiet(&mut self) {
        let left = |world: &World| -> Vec<String> {
            let routers = world.cores.iter().map(|core| &core.worker.router).enumerate();
            let left = routers.map(|(core, router)| {
                let (f, pending) = (router.txn_figures(), router.waiting() as u64);
                let text = format!(
                    "core {core}: {} locks, {} wait, {} keys watched, {pending} pending",
                    f.locks_held, f.locks_waiting, f.watched_keys
                );
                (f.locks_held + f.locks_waiting + f.watched_keys + pending, text)
            });
            left.filter(|(count, _)| *count > 0).map(|(_, text)| text).collect()
        };
        for _ in 0..100 {
            if left(self).is_empty() {
                return;
            }
            (0..1000).for_each(|_| self.step());
        }
        panic!("something is left when all clients are gone: {:?}", left(self));
    }

    /// The end: of the log writes under way any part is done.
    pub(crate) fn lose_power(mut self) {
        for core in &mut self.cores {
            let Driver::Sim(driver) = &mut core.worker.driver else { panic!("a simulated core") };
            driver.lose_power().expect("the test's disk works");
        }
    }

    /// As [`World::lose_power`] for logs that go through the page cache: of what was not synced any sectors are on the
    /// disk; elsewhere is what was there before, or what an earlier use of the blocks left.
    pub(crate) fn lose_cache(&mut self, logs: &Path) {
        let files = std::fs::read_dir(logs).expect("the logs").map(|entry| entry.expect("a file").path());
        let files: Vec<(u32, usize, PathBuf)> =
            files.filter_map(|path| numbers(&path).map(|(run, shard)| (run, shard, path))).collect();
        let newest = files.iter().map(|(run, ..)| *run).max().unwrap_or(0);
        let (share, recycles) = (self.random.below(101), self.random.chance(50));
        for (_, shard, path) in files.iter().filter(|(run, ..)| *run == newest) {
            let Driver::Sim(driver) = &self.cores[*shard].worker.driver else { panic!("a simulated core") };
            let mut now = std::fs::read(path).expect("a log");
            let inode = std::fs::metadata(path).expect("a log").ino();
            let before = driver.synced(path).or_else(|| self.before.get(&inode).map(Vec::as_slice));
            let mut before = before.unwrap_or_default().to_vec();
            before.resize(now.len(), 0);
            let earlier = files.iter().find(|(run, of, _)| run < &newest && of == shard);
            let stale = earlier.filter(|_| recycles).map(|(.., path)| std::fs::read(path).expect("a log"));
            let stale = stale.unwrap_or_default();
            for (index, (now, before)) in now.chunks_mut(SECTOR_BYTES).zip(before.chunks(SECTOR_BYTES)).enumerate() {
                if now == before || self.random.chance(share) {
                    continue;
                }
                now.copy_from_slice(before);
                let stale = stale.chunks(SECTOR_BYTES).nth(index).filter(|stale| stale.len() == now.len());
                if let Some(stale) = stale.filter(|_| before.iter().all(|byte| *byte == 0)) {
                    now.copy_from_slice(stale);
                }
            }
            std::fs::write(path, now).expect("written");
        }
    }

    /// What every core waits for.
    pub(crate) fn describe(&self) -> String {
        self.cores.iter().map(|core| core.worker.router.describe()).collect()
    }

    /// What the transactions of each core met with.
    pub(crate) fn transactions(&self) -> Vec<TxnStats> {
        self.cores.iter().map(|core| core.worker.router.txn_stats.clone()).collect()
    }

    /// Goes on until so many clients wait for keys and have joined all their queues.
    pub(crate) fn wait_for_waiters(&mut self, count: usize) {
        for _ in 0..1_000_000 {
            let waiting: usize = self.cores.iter().map(|core| core.worker.router.blocked_clients()).sum();
            let settled = self.cores.iter().all(|core| core.worker.router.all_have_entered());
            if waiting == count && settled {
                return;
            }
            self.step();
        }
        panic!("{count} clients were to wait");
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x100_0000_01B3).rotate_left(5);
    }

    /// A client of its own, that core `core` accepts.
    pub(crate) fn connect(&self, core: usize) -> Peer {
        Peer { net: self.net.clone(), stream: self.net.connect(core, 0), received: Vec::new() }
    }

    /// Runs one command to its reply, whatever else happens meanwhile.
    pub(crate) fn call(&mut self, peer: &mut Peer, line: &str) -> Value {
        let words: Vec<&str> = line.split_whitespace().collect();
        peer.send(&crate::common::client::encode(&words));
        self.reply_to(peer, line)
    }

    /// The next reply, whatever else happens meanwhile.
    pub(crate) fn receive(&mut self, peer: &mut Peer) -> Value {
        self.reply_to(peer, "what was sent before")
    }

    fn reply_to(&mut self, peer: &mut Peer, line: &str) -> Value {
        for _ in 0..1_000_000 {
            self.step();
            if let Some(reply) = peer.reply() {
                return reply;
            }
        }
        panic!("no reply to {line}");
    }
}

/// A simulated client's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    net: SimNet,
    stream: StreamId,
    received: Vec<u8>,
}

impl Peer {
    /// Sends bytes.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.net.send(self.stream, bytes);
    }

    /// The next reply, if it is whole by now.
    pub(crate) fn reply(&mut self) -> Option<Value> {
        self.received.extend(self.net.receive(self.stream));
        match parse(&self.received) {
            Ok((value, used)) => {
                self.received.drain(..used);
                Some(value)
            }
            Err(Incomplete::More) => None,
            Err(Incomplete::Broken(what)) => panic!("{what}"),
        }
    }

    /// Goes away.
    pub(crate) fn close(&self, reset: bool) {
        self.net.close(self.stream, reset);
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.net.is_closed_by_server(self.stream)
    }
}

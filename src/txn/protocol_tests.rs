//! The lock protocol, every way it can go: some transactions, some shards, and every order in which their messages can
//! arrive and single commands can slip in between. The tables and coordinators are the real ones; only the messages
//! between them are modelled, first in first out from each to each.
//!
//! Explored breadth first without a library: that every transaction ends is here "from every state that can be reached
//! there is a way to the end", which takes the whole graph with its cycles of retries, and no checker at hand looks at
//! those. States that differ only in how high the numbers of attempts are count as one, so the graph is finite. A
//! message that a coordinator only counts is delivered at once: it could arrive at any other time with the same effect.

use super::*;
use crate::txn::scheduling::{Next, REFUSALS_MAX, Scheduling};
use std::collections::VecDeque;

const R: Mode = Mode::Shared;
const W: Mode = Mode::Exclusive;

/// A key of a shard, and what is done with it.
type Access = (usize, LockKey, Mode);

/// Who takes part.
#[derive(Debug, Default)]
struct Cast {
    shards: usize,
    /// Transactions by the keys they claim.
    txns: Vec<Vec<Access>>,
    /// Clients that run single commands one after the other.
    singles: Vec<Vec<Access>>,
    /// Whether a transaction may claim all shards, by its place in `txns`.
    whole: Vec<(usize, Mode)>,
}

#[derive(Debug, Clone)]
enum ToShard {
    Claim { id: TxnId, priority: bool },
    Release(TxnId),
    Run(TxnId),
}

#[derive(Debug, Clone)]
enum ToCoordinator {
    Verdict(TxnId, Verdict),
    ComeAgain(TxnId),
    Ran,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Asking,
    Deferred,
    Running,
    Done,
}

#[derive(Debug, Clone)]
struct Coordinator {
    scheduling: Scheduling,
    phase: Phase,
    /// Grants of this attempt, then shards that have run.
    count: u64,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    table: LockTable,
    /// Refused as busy: by whom, and whose attempt.
    deferred: Vec<(TxnId, TxnId, usize)>,
    /// What ran here, in order: transactions by index, singles behind them.
    ran: Vec<usize>,
}

#[derive(Debug, Clone)]
struct World {
    last_id: u64,
    /// The transaction that has priority.
    priority: Option<usize>,
    /// Whether [`Shard::ran`] is kept. Without single commands locks held until the end are proof enough.
    keeps_order: bool,
    coordinators: Vec<Coordinator>,
    shards: Vec<Shard>,
    /// Under way, by transaction and shard.
    to_shard: Vec<Vec<VecDeque<ToShard>>>,
    to_coordinator: Vec<Vec<VecDeque<ToCoordinator>>>,
    /// How many commands each single client has run.
    progress: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Begin(usize),
    AtShard(usize, usize),
    AtCoordinator(usize, usize),
    Single(usize),
}

impl Cast {
    fn shards_of(&self, txn: usize) -> Vec<usize> {
        let mut shards: Vec<usize> = self.txns[txn].iter().map(|(shard, ..)| *shard).collect();
        if self.whole.iter().any(|(whole, _)| *whole == txn) {
            shards = (0..self.shards).collect();
        }
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    fn claim(&self, txn: usize, shard: usize) -> Claim {
        let mut claim = Claim::default();
        for (_, key, mode) in self.txns[txn].iter().filter(|(at, ..)| *at == shard) {
            claim.add(*key, *mode);
        }
        for (_, mode) in self.whole.iter().filter(|(whole, _)| *whole == txn) {
            claim.add_whole(*mode);
        }
        claim.seal();
        claim
    }

    fn start(&self) -> World {
        let queues = self.txns.len();
        let coordinator = Coordinator { scheduling: Scheduling::default(), phase: Phase::Idle, count: 0 };
        World {
            last_id: 0,
            priority: None,
            keeps_order: !self.singles.is_empty(),
            coordinators: vec![coordinator; self.txns.len()],
            shards: vec![Shard::default(); self.shards],
            to_shard: vec![vec![VecDeque::new(); self.shards]; queues],
            to_coordinator: vec![vec![VecDeque::new(); self.shards]; queues],
            progress: vec![0; self.singles.len()],
        }
    }

    /// What an actor did on a shard: its transaction's keys there, or a single command's key.
    fn accesses(&self, actor: usize, shard: usize, nth: usize) -> Claim {
        if actor < self.txns.len() {
            return self.claim(actor, shard);
        }
        let own = self.singles[actor - self.txns.len()].iter().filter(|(at, ..)| *at == shard).nth(nth);
        let (_, key, mode) = own.expect("it ran here");
        let mut claim = Claim::default();
        claim.add(*key, *mode);
        claim
    }
}

fn conflict(a: &Claim, b: &Claim) -> bool {
    if a.is_whole() || b.is_whole() {
        return a.mode().conflicts(b.mode());
    }
    a.keys().iter().any(|x| b.keys().iter().any(|y| x.0 == y.0 && x.1.conflicts(y.1)))
}

impl World {
    fn is_over(&self, cast: &Cast) -> bool {
        self.coordinators.iter().all(|c| c.phase == Phase::Done)
            && self.progress.iter().zip(&cast.singles).all(|(done, all)| *done == all.len())
            && self.to_shard.iter().flatten().all(VecDeque::is_empty)
            && self.to_coordinator.iter().flatten().all(VecDeque::is_empty)
    }

    fn actions(&self, cast: &Cast) -> Vec<Action> {
        let mut actions = Vec::new();
        for (txn, coordinator) in self.coordinators.iter().enumerate() {
            if coordinator.phase == Phase::Idle {
                actions.push(Action::Begin(txn));
            }
            for shard in 0..cast.shards {
                if !self.to_shard[txn][shard].is_empty() {
                    actions.push(Action::AtShard(txn, shard));
                }
                if !self.to_coordinator[txn][shard].is_empty() {
                    actions.push(Action::AtCoordinator(txn, shard));
                }
            }
        }
        for (client, commands) in cast.singles.iter().enumerate() {
            if let Some((shard, key, mode)) = commands.get(self.progress[client])
                && !self.shards[*shard].table.blocks(*key, *mode)
            {
                actions.push(Action::Single(client));
            }
        }
        actions
    }

    fn act(&mut self, cast: &Cast, action: Action) {
        match action {
            Action::Begin(txn) => self.begin(cast, txn),
            Action::AtShard(txn, shard) => {
                self.at_shard(cast, txn, shard);
                self.count_what_counts(cast);
            }
            Action::AtCoordinator(txn, shard) => {
                self.at_coordinator(cast, txn, shard);
                self.count_what_counts(cast);
            }
            Action::Single(client) => {
                let (shard, ..) = cast.singles[client][self.progress[client]];
                self.shards[shard].ran.push(cast.txns.len() + client);
                self.progress[client] += 1;
            }
        }
    }

    /// Delivers messages at coordinators as long as they start no attempt.
    fn count_what_counts(&mut self, cast: &Cast) {
        let counts = |c: &Coordinator, message: &ToCoordinator| match message {
            ToCoordinator::Ran | ToCoordinator::Verdict(_, Verdict::Granted) => true,
            ToCoordinator::Verdict(id, _) => *id != c.scheduling.id() || c.phase != Phase::Asking,
            ToCoordinator::ComeAgain(_) => false,
        };
        let next = |world: &World| {
            let mut all = (0..cast.txns.len()).flat_map(|txn| (0..cast.shards).map(move |shard| (txn, shard)));
            all.find(|(txn, shard)| {
                let head = world.to_coordinator[*txn][*shard].front();
                head.is_some_and(|head| counts(&world.coordinators[*txn], head))
            })
        };
        while let Some((txn, shard)) = next(self) {
            self.at_coordinator(cast, txn, shard);
        }
    }

    fn begin(&mut self, cast: &Cast, txn: usize) {
        let coordinator = &mut self.coordinators[txn];
        if coordinator.scheduling.wants_priority() && self.priority.is_none() {
            self.priority = Some(txn);
        }
        let priority = self.priority == Some(txn);
        self.last_id += 1;
        let (id, shards) = (TxnId(self.last_id), cast.shards_of(txn));
        coordinator.scheduling.begin(id, shards.len(), priority);
        (coordinator.phase, coordinator.count) = (Phase::Asking, 0);
        for shard in shards {
            self.to_shard[txn][shard].push_back(ToShard::Claim { id, priority });
        }
    }

    fn at_shard(&mut self, cast: &Cast, txn: usize, at: usize) {
        let message = self.to_shard[txn][at].pop_front().expect("the action says so");
        let shard = &mut self.shards[at];
        match message {
            ToShard::Claim { id, priority } => {
                let verdict = shard.table.schedule(id, cast.claim(txn, at), priority);
                if let Verdict::Refused(Refusal::Busy(by)) = verdict {
                    shard.deferred.push((by, id, txn));
                }
                if verdict != Verdict::Queued {
                    self.to_coordinator[txn][at].push_back(ToCoordinator::Verdict(id, verdict));
                }
            }
            ToShard::Run(id) => {
                let granted = shard.table.txns.get(&id).is_some_and(|t| t.granted);
                assert!(granted, "a transaction runs under its locks");
                if self.keeps_order {
                    shard.ran.push(txn);
                }
                self.release(at, id);
                self.to_coordinator[txn][at].push_back(ToCoordinator::Ran);
            }
            ToShard::Release(id) => self.release(at, id),
        }
        self.check_exclusion(at);
    }

    fn release(&mut self, at: usize, id: TxnId) {
        let shard = &mut self.shards[at];
        shard.table.release(id);
        for (_, deferred, txn) in shard.deferred.extract_if(.., |(by, ..)| *by == id) {
            self.to_coordinator[txn][at].push_back(ToCoordinator::ComeAgain(deferred));
        }
        while let Some(granted) = shard.table.next_grant() {
            let mut waiting = self.coordinators.iter().enumerate().filter(|(_, c)| c.scheduling.id() == granted);
            if let Some((txn, _)) = waiting.next() {
                let verdict = ToCoordinator::Verdict(granted, Verdict::Granted);
                self.to_coordinator[txn][at].push_back(verdict);
            }
        }
    }

    fn at_coordinator(&mut self, cast: &Cast, txn: usize, from: usize) {
        let message = self.to_coordinator[txn][from].pop_front().expect("the action says so");
        let shards = cast.shards_of(txn);
        let coordinator = &mut self.coordinators[txn];
        match message {
            ToCoordinator::ComeAgain(id) => {
                if coordinator.scheduling.on_come_again(id) {
                    self.begin(cast, txn);
                }
            }
            ToCoordinator::Ran => {
                coordinator.count += 1;
                if coordinator.count == shards.len() as u64 {
                    coordinator.phase = Phase::Done;
                    if self.priority == Some(txn) {
                        self.priority = None;
                    }
                }
            }
            ToCoordinator::Verdict(id, verdict) => {
                let next = coordinator.scheduling.on_verdict(id, verdict);
                let (phase, count, message) = match next {
                    Next::Wait => {
                        let counts = id == coordinator.scheduling.id() && verdict == Verdict::Granted;
                        coordinator.count += u64::from(counts && coordinator.phase == Phase::Asking);
                        return;
                    }
                    Next::Go => (Phase::Running, 0, ToShard::Run(id)),
                    Next::Again => (Phase::Idle, 0, ToShard::Release(id)),
                    Next::Defer => (Phase::Deferred, 0, ToShard::Release(id)),
                };
                (coordinator.phase, coordinator.count) = (phase, count);
                let all = next == Next::Go;
                for shard in shards.into_iter().filter(|shard| all || *shard != from) {
                    self.to_shard[txn][shard].push_back(message.clone());
                }
                if next == Next::Again {
                    self.begin(cast, txn);
                }
            }
        }
    }

    /// Nothing that conflicts is granted together.
    fn check_exclusion(&self, at: usize) {
        let granted: Vec<_> = self.shards[at].table.txns.iter().filter(|(_, t)| t.granted).collect();
        for (i, (a, one)) in granted.iter().enumerate() {
            for (b, other) in &granted[i + 1..] {
                assert!(!conflict(&one.claim, &other.claim), "{a:?} and {b:?} are held together: {self:?}");
            }
        }
    }

    /// At the end: no lock is left, and what ran is in one order on all shards, that of each client too.
    fn check_end(&self, cast: &Cast) {
        for shard in &self.shards {
            assert!(!shard.table.any_held() && shard.table.key_count() == 0, "locks are left: {self:?}");
            assert!(shard.deferred.is_empty(), "somebody was not told to come again: {self:?}");
        }
        assert_eq!(self.priority, None);
        // A node for each transaction, and for each command of each client.
        let first: Vec<usize> = (0..=cast.singles.len())
            .map(|n| cast.txns.len() + cast.singles[..n].iter().map(Vec::len).sum::<usize>())
            .collect();
        let mut before: Vec<(usize, usize)> = Vec::new();
        for (client, commands) in cast.singles.iter().enumerate() {
            before.extend((1..commands.len()).map(|n| (first[client] + n - 1, first[client] + n)));
        }
        for (at, shard) in self.shards.iter().enumerate() {
            let ran: Vec<(usize, Claim)> = (shard.ran.iter().enumerate())
                .map(|(i, actor)| {
                    let nth = shard.ran[..i].iter().filter(|other| *other == actor).count();
                    let node = match actor.checked_sub(cast.txns.len()) {
                        None => *actor,
                        Some(client) => {
                            let here = cast.singles[client].iter().enumerate().filter(|(_, (s, ..))| *s == at);
                            first[client] + here.map(|(n, _)| n).nth(nth).expect("it ran here")
                        }
                    };
                    (node, cast.accesses(*actor, at, nth))
                })
                .collect();
            for (i, (a, one)) in ran.iter().enumerate() {
                before.extend(ran[i + 1..].iter().filter(|(_, other)| conflict(one, other)).map(|(b, _)| (*a, *b)));
            }
        }
        // Take away what nothing comes before, until nothing is left.
        let mut left: Vec<usize> = (0..first[cast.singles.len()]).collect();
        while !left.is_empty() {
            let all = left.clone();
            left.retain(|node| before.iter().any(|(a, b)| b == node && all.contains(a)));
            assert!(left.len() < all.len(), "no serial order: {before:?} in {self:?}");
        }
    }

    /// Every number of an attempt that is in use, in order.
    fn ids(&self) -> Vec<TxnId> {
        let mut ids: Vec<TxnId> = self.coordinators.iter().map(|c| c.scheduling.id()).collect();
        ids.extend(self.shards.iter().flat_map(|s| s.table.txns.keys()));
        ids.extend(self.shards.iter().flat_map(|s| s.deferred.iter().flat_map(|(by, id, _)| [*by, *id])));
        for message in self.to_shard.iter().flatten().flatten() {
            let (ToShard::Claim { id, .. } | ToShard::Release(id) | ToShard::Run(id)) = message;
            ids.push(*id);
        }
        for message in self.to_coordinator.iter().flatten().flatten() {
            match message {
                ToCoordinator::Verdict(id, Verdict::Refused(Refusal::Busy(by))) => ids.extend([*id, *by]),
                ToCoordinator::Verdict(id, _) | ToCoordinator::ComeAgain(id) => ids.push(*id),
                ToCoordinator::Ran => {}
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What tells this state from others: every number is replaced by its rank, and transactions that claim the same
    /// stand in the order of their numbers.
    fn key(&self, cast: &Cast) -> Vec<u64> {
        let ids = self.ids();
        let rank = |id: &TxnId| ids.binary_search(id).expect("every number was collected") as u64;
        let same = |a: usize, b: usize| (0..cast.shards).all(|shard| cast.claim(a, shard) == cast.claim(b, shard));
        let class = |txn: usize| (0..=txn).find(|other| same(*other, txn)).expect("it is its own");
        let mut order: Vec<usize> = (0..cast.txns.len()).collect();
        order.sort_by_key(|txn| (class(*txn), self.coordinators[*txn].scheduling.id()));
        let place = |txn: usize| order.iter().position(|other| *other == txn).unwrap_or(txn) as u64;
        let mut key = vec![self.priority.map_or(99, place)];
        for c in order.iter().map(|txn| &self.coordinators[*txn]) {
            let refusals = u64::from(c.scheduling.refusals().min(REFUSALS_MAX));
            let priority = u64::from(c.scheduling.has_priority());
            key.extend([rank(&c.scheduling.id()), c.phase as u64, c.count, refusals, priority]);
        }
        for shard in &self.shards {
            let txns = shard.table.txns.iter();
            let mut txns: Vec<[u64; 4]> = txns
                .map(|(id, t)| [rank(id), u64::from(t.blockers), u64::from(t.granted), u64::from(t.priority)])
                .collect();
            txns.sort_unstable();
            key.push(txns.len() as u64);
            key.extend(txns.into_iter().flatten());
            key.push(shard.deferred.len() as u64);
            key.extend(shard.deferred.iter().flat_map(|(by, id, txn)| [rank(by), rank(id), place(*txn)]));
            key.push(shard.ran.len() as u64);
            key.extend(shard.ran.iter().map(|actor| place(*actor)));
        }
        for queue in order.iter().flat_map(|txn| &self.to_shard[*txn]) {
            key.push(queue.len() as u64);
            for message in queue {
                key.extend(match message {
                    ToShard::Claim { id, priority } => [u64::from(*priority), rank(id)],
                    ToShard::Release(id) => [2, rank(id)],
                    ToShard::Run(id) => [3, rank(id)],
                });
            }
        }
        for queue in order.iter().flat_map(|txn| &self.to_coordinator[*txn]) {
            key.push(queue.len() as u64);
            for message in queue {
                key.extend(match message {
                    ToCoordinator::Verdict(id, Verdict::Granted) => [0, rank(id), 0],
                    ToCoordinator::Verdict(id, Verdict::Queued) => [1, rank(id), 0],
                    ToCoordinator::Verdict(id, Verdict::Refused(Refusal::Late)) => [2, rank(id), 0],
                    ToCoordinator::Verdict(id, Verdict::Refused(Refusal::Busy(by))) => [3, rank(id), rank(by)],
                    ToCoordinator::ComeAgain(id) => [4, rank(id), 0],
                    ToCoordinator::Ran => [5, 0, 0],
                });
            }
        }
        key.extend(self.progress.iter().map(|done| *done as u64));
        key
    }
}

/// Walks through every state; returns how many there are.
fn explore(cast: &Cast) -> usize {
    let hashers = [RandomState::with_seeds(1, 2, 3, 4), RandomState::with_seeds(5, 6, 7, 8)];
    let digest = |world: &World| {
        let key = world.key(cast);
        hashers.each_ref().map(|hasher| hasher.hash_one(&key))
    };
    let mut numbers: HashMap<[u64; 2], u32, RandomState> = HashMap::default();
    let mut parents: Vec<Vec<u32>> = vec![Vec::new()];
    let mut ends: Vec<u32> = Vec::new();
    let mut queue = VecDeque::from([(0u32, cast.start())]);
    numbers.insert(digest(&cast.start()), 0);
    while let Some((number, world)) = queue.pop_front() {
        let actions = world.actions(cast);
        if world.is_over(cast) {
            world.check_end(cast);
            ends.push(number);
        }
        assert!(!actions.is_empty() || world.is_over(cast), "deadlock: {world:?}");
        for action in actions {
            let mut next = world.clone();
            next.act(cast, action);
            let fresh = parents.len() as u32;
            let known = *numbers.entry(digest(&next)).or_insert(fresh);
            if known == fresh {
                parents.push(Vec::new());
                queue.push_back((fresh, next));
            }
            parents[known as usize].push(number);
        }
    }
    let mut can_end = vec![false; parents.len()];
    let mut back = ends;
    while let Some(number) = back.pop() {
        if !std::mem::replace(&mut can_end[number as usize], true) {
            back.extend(&parents[number as usize]);
        }
    }
    let stuck = can_end.iter().filter(|end| !**end).count();
    assert_eq!(stuck, 0, "of {} states so many have no way to the end", parents.len());
    parents.len()
}

#[test]
fn two_writers_of_two_shards() {
    let both = vec![(0, 1, W), (1, 2, W)];
    assert!(explore(&Cast { shards: 2, txns: vec![both.clone(), both], ..Cast::default() }) > 300);
}

#[test]
fn three_writers_of_two_shards() {
    let both = vec![(0, 1, W), (1, 2, W)];
    assert!(explore(&Cast { shards: 2, txns: vec![both.clone(), both.clone(), both], ..Cast::default() }) > 400_000);
}

#[test]
fn a_ring_of_three_over_three_shards() {
    let txns = (0..3).map(|n| vec![(n, 1, W), ((n + 1) % 3, 1, W)]).collect();
    assert!(explore(&Cast { shards: 3, txns, ..Cast::default() }) > 80_000);
}

#[test]
fn readers_writers_and_single_commands() {
    let both = |mode| vec![(0, 1, mode), (1, 2, mode)];
    let singles = vec![vec![(0, 1, W), (1, 2, W)], vec![(1, 2, R), (0, 1, R)]];
    assert!(explore(&Cast { shards: 2, txns: vec![both(R), both(W)], singles, ..Cast::default() }) > 20_000);
}

#[test]
fn a_whole_shard_and_single_commands() {
    let txns = vec![vec![(0, 1, W), (1, 2, W)], Vec::new()];
    let singles = vec![vec![(0, 3, W), (1, 2, W)]];
    assert!(explore(&Cast { shards: 2, txns, singles, whole: vec![(1, W)] }) > 3_000);
}

#[test]
fn whole_shards_among_keys() {
    let txns = vec![vec![(0, 1, W), (1, 2, W)], Vec::new(), vec![(1, 2, R)]];
    assert!(explore(&Cast { shards: 2, txns, whole: vec![(1, W)], ..Cast::default() }) > 40_000);
}

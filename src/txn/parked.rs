//! Single-shard commands that a granted lock keeps from running, in the order of their connections: behind a command
//! that waits, everything else of its connection on this shard waits too. Runs nothing itself.
//!
//! Bounded by the connections: each has at most `limits::PARKED_REPLIES_MAX` commands under way.

use crate::txn::lock::{Claim, LockKey, TxnId};
use crate::txn::message::{CommandBatch, ConnId, Share, WatchKeys};
use ahash::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// A connection, and the core it is of.
pub(super) type Origin = (usize, ConnId);

/// What keeps a command from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// An earlier command of its connection.
    Turn,
    /// A lock on this key.
    Key(LockKey),
    /// Any lock: the command may touch every key.
    Any,
}

/// What comes after the commands of a connection.
#[derive(Debug)]
pub(super) enum Held {
    /// A transaction with priority.
    Share(Box<Share>),
    /// Keys to watch.
    Watch(Box<WatchKeys>),
}

/// A transaction that was refused, to be told when to come again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice {
    /// Core of its coordinator.
    pub(super) core: usize,
    /// Its index there.
    pub(super) pending: u32,
    /// The attempt.
    pub(super) txn: TxnId,
}

/// What waits of one connection.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// One command each.
    pub(super) commands: VecDeque<Box<CommandBatch>>,
    /// What follows them.
    pub(super) held: Vec<Held>,
    /// Whom to tell when they have run.
    pub(super) notices: Vec<Notice>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parked {
    chains: HashMap<Origin, Chain, RandomState>,
    /// Whose first command waits for a key.
    by_key: HashMap<LockKey, VecDeque<Origin>, RandomState>,
    /// Whose first command waits for every lock to go.
    by_any: VecDeque<Origin>,
}

impl Parked {
    /// Commands that wait.
    pub(super) fn len(&self) -> usize {
        self.chains.values().map(|chain| chain.commands.len()).sum()
    }

    /// A line for each connection, for people.
    pub(super) fn describe(&self) -> Vec<String> {
        let line = |(origin, chain): (&Origin, &Chain)| {
            let (commands, held, notices) = (chain.commands.len(), chain.held.len(), chain.notices.len());
            let waits = |queue: &VecDeque<Origin>| queue.contains(origin);
            let for_key = self.by_key.values().any(waits);
            format!(
                "connection {} of core {}: {commands} commands wait, for a key {for_key}, for all {}, with {held} \
                 shares and {notices} notices",
                origin.1.index,
                origin.0,
                waits(&self.by_any)
            )
        };
        self.chains.iter().map(line).collect()
    }

    /// Whether commands of a connection wait.
    pub(super) fn has(&self, origin: Origin) -> bool {
        !self.chains.is_empty() && self.chains.contains_key(&origin)
    }

    /// What waits of a connection.
    pub(super) fn chain(&mut self, origin: Origin) -> Option<&mut Chain> {
        self.chains.get_mut(&origin)
    }

    /// Adds a command.
    pub(super) fn add(&mut self, origin: Origin, command: Box<CommandBatch>, obstacle: Obstacle) {
        self.chains.entry(origin).or_default().commands.push_back(command);
        if obstacle != Obstacle::Turn {
            self.wait(origin, obstacle);
        }
    }

    /// Has the first command of a connection wait.
    pub(super) fn wait(&mut self, origin: Origin, obstacle: Obstacle) {
        match obstacle {
            Obstacle::Turn => {}
            Obstacle::Key(key) => self.by_key.entry(key).or_default().push_back(origin),
            Obstacle::Any => self.by_any.push_back(origin),
        }
    }

    /// Takes everything of a connection out, to be put back if not all of it can run.
    pub(super) fn take(&mut self, origin: Origin) -> Option<Chain> {
        self.chains.remove(&origin)
    }

    /// See [`Parked::take`].
    pub(super) fn put_back(&mut self, origin: Origin, chain: Chain) {
        self.chains.insert(origin, chain);
    }

    /// The connections whose first command waited for something in `claim`, in order; they wait for nothing now.
    pub(super) fn woken(&mut self, claim: &Claim) -> Vec<Origin> {
        if self.chains.is_empty() {
            return Vec::new();
        }
        let mut woken: Vec<Origin> = Vec::new();
        if claim.is_whole() {
            woken.extend(self.by_key.drain().flat_map(|(_, origins)| origins));
        }
        for (key, _) in claim.keys() {
            woken.extend(self.by_key.remove(key).into_iter().flatten());
        }
        woken.extend(self.by_any.drain(..));
        woken
    }
}

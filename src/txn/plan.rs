//! What a command needs of which shards: the form it takes over several of them, and what it locks there. Pure: looks
//! at the specification and the arguments, never at a key's value.

use crate::base::hash::{self, Position};
use crate::base::text;
use crate::commands::args::Args;
use crate::commands::context::{Foreign, Looks};
use crate::commands::key_args::KeyCut;
use crate::commands::spec::{CommandSpec, Gather, HOME_IS_LAST_KEY, Plan, RelayFn, flag, key};
use crate::txn::lock::{Claim, LockKey, Mode};
use crate::txn::message::{CommandBatch, RemoteCommand};
use crate::txn::router::owner;
use std::ops::Range;

/// What a transaction locks, by core.
pub(super) type Claims = Vec<(usize, Claim)>;

/// The parts of a command that is cut by its keys.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) units: Units,
    /// The units of each part, by core.
    pub(super) lists: Vec<(usize, Vec<u32>)>,
    /// The part of each key.
    pub(super) part_of_key: Vec<u32>,
}

/// How a command reaches its shards.
#[derive(Debug)]
pub(super) enum Form {
    /// Its arguments are not in order: its function says so, on any shard.
    Anywhere,
    /// It concerns the connection.
    Session,
    /// All on this core.
    One(usize),
    /// See [`Parts`].
    Parts(Parts, Gather),
    /// As `Parts`, if a check on every part agrees.
    Checked(Parts, Gather),
    /// Every shard runs it.
    Everywhere(Gather),
    /// Foreign keys are fetched for the home shard.
    TwoPhase {
        /// The core of the home key.
        home: usize,
        /// Keys of other cores.
        foreign: Vec<(usize, Foreign)>,
    },
    /// Round by round.
    Relay(RelayFn),
}

/// The fingerprint by which a key is locked.
pub(super) fn lock_key(key: &[u8]) -> LockKey {
    Position::of(key).0
}

/// What a command may do to its keys at most.
pub(super) fn mode(spec: &CommandSpec) -> Mode {
    if spec.has(flag::WRITE) { Mode::Exclusive } else { Mode::Shared }
}

/// Whether a command reaches keys that it does not name.
pub(super) fn touches_any(spec: &CommandSpec) -> bool {
    spec.has(flag::TOUCHES_ARBITRARY_KEYS) || matches!(spec.plan, Plan::AllShards(..) | Plan::ByCursor(_))
}

/// Whether a command with rounds makes names of keys that may be anywhere: SORT with a pattern.
fn names_others(spec: &CommandSpec, args: &Args<'_>) -> bool {
    spec.has(flag::TOUCHES_ARBITRARY_KEYS) && args.from(2).any(|word| word.contains(&b'*'))
}

/// The core whose turn it is at a SCAN cursor.
pub(super) fn core_of_cursor(args: &Args<'_>, cores: usize) -> usize {
    let slot = args.get(1).and_then(text::parse_u64).map_or(0, crate::types::table::cursor_slot);
    owner(slot, cores)
}

/// The form of a call.
pub(super) fn form(spec: &CommandSpec, args: &Args<'_>, db: usize, own: usize, cores: usize) -> Form {
    let at = |index: usize| owner(hash::slot(&args[index]), cores);
    if let (Some(looks), Plan::TwoPhase { home, .. }) = (spec.looks, spec.plan) {
        return look(spec, looks, args, db, home, cores);
    }
    match spec.plan {
        Plan::Session => Form::Session,
        Plan::TwoPhase { home, .. } if spec.has(flag::COPIES) => two_phase(spec, args, db, home, cores),
        _ if cores == 1 => Form::One(0),
        Plan::OneShard(_) => Form::One(spec.first_key(args).map_or(own, at)),
        Plan::ByCursor(_) => Form::One(core_of_cursor(args, cores)),
        Plan::Scatter(_, gather) => match parts(spec.key_cut(args), args, cores) {
            None => Form::Anywhere,
            Some(parts) if parts.lists.len() == 1 => Form::One(parts.lists[0].0),
            Some(parts) => Form::Parts(parts, gather),
        },
        Plan::CheckedScatter { gather, .. } => match parts(spec.key_cut(args), args, cores) {
            None => Form::Anywhere,
            Some(parts) if parts.lists.len() == 1 => Form::One(parts.lists[0].0),
            Some(parts) => Form::Checked(parts, gather),
        },
        Plan::AllShards(_, gather) => Form::Everywhere(gather),
        Plan::TwoPhase { home, .. } => two_phase(spec, args, db, home, cores),
        Plan::Relay { relay, .. } if names_others(spec, args) => Form::Relay(relay),
        Plan::Relay { relay, .. } => {
            let mut cores_of_keys = spec.key_indices(args).map(at);
            match cores_of_keys.next() {
                None => Form::Anywhere,
                Some(first) if cores_of_keys.all(|core| core == first) => Form::One(first),
                Some(_) => Form::Relay(relay),
            }
        }
    }
}

fn two_phase(spec: &CommandSpec, args: &Args<'_>, db: usize, home: usize, cores: usize) -> Form {
    let home = if home == HOME_IS_LAST_KEY { spec.key_indices(args).last().unwrap_or(home) } else { home };
    let (Ok(keys), Some(home)) = (spec.key_args(args), args.get(home)) else { return Form::Anywhere };
    let home = owner(hash::slot(home), cores);
    let mut foreign: Vec<(usize, Foreign)> = Vec::new();
    let apart = spec.has(flag::COPIES);
    for key in keys {
        let (index, key) = (key.index, &args[key.index]);
        let core = owner(hash::slot(key), cores);
        let wanted = core != home || (apart && index == 1);
        if wanted && !foreign.iter().any(|(_, f)| f.key == *key) {
            let cut = spec.cut.map(|cut| (cut, args.from(0).map(<[u8]>::to_vec).collect()));
            let key = key.to_vec();
            foreign.push((core, Foreign { key, db, apart, cut, ..Foreign::default() }));
        }
    }
    if foreign.is_empty() { Form::One(home) } else { Form::TwoPhase { home, foreign } }
}

/// A command of one key that may look through its value in steps.
fn look(spec: &CommandSpec, looks: &'static Looks, args: &Args<'_>, db: usize, home: usize, cores: usize) -> Form {
    let Some(key) = args.get(home) else { return Form::Anywhere };
    debug_assert!(spec.key_indices(args).eq([home]));
    let home = owner(hash::slot(key), cores);
    if !(looks.does)(args) {
        return Form::One(home);
    }
    let words = args.from(0).map(<[u8]>::to_vec).collect();
    let foreign = Foreign { key: key.to_vec(), db, look: Some((looks, words)), ..Foreign::default() };
    Form::TwoPhase { home, foreign: vec![(home, foreign)] }
}

/// Cuts a call by its keys; `None` if the arguments are not in order.
pub(super) fn parts(cut: Option<KeyCut>, args: &Args<'_>, cores: usize) -> Option<Parts> {
    let units = Units::of(cut?, args)?;
    let mut lists: Vec<(usize, Vec<u32>)> = Vec::new();
    let mut part_of_key = Vec::with_capacity(units.count());
    let mut part_of_core = vec![u32::MAX; cores];
    for (unit, at) in units.starts().enumerate() {
        let core = owner(hash::slot(&args[at]), cores);
        let part = &mut part_of_core[core];
        if *part == u32::MAX {
            *part = lists.len() as u32;
            lists.push((core, Vec::new()));
        }
        part_of_key.push(*part);
        lists[*part as usize].1.push(unit as u32);
    }
    Some(Parts { units, lists, part_of_key })
}

/// Adds what a call locks; `form` is its form.
pub(super) fn claim(spec: &CommandSpec, args: &Args<'_>, form: &Form, cores: usize, claims: &mut Claims) {
    match form {
        Form::Anywhere => return,
        // on its turn the connection may want all that they name, or everything
        Form::Session if spec.has(flag::LOCKS_ALL) => {
            for core in 0..cores {
                claim_on(claims, core).add_whole(Mode::Exclusive);
            }
            return;
        }
        Form::Session if !spec.has(flag::WRITE) => return,
        Form::Everywhere(_) => {
            for core in 0..cores {
                claim_on(claims, core).add_whole(mode(spec));
            }
            return;
        }
        Form::Relay(_) if names_others(spec, args) => {
            for core in 0..cores {
                claim_on(claims, core).add_whole(mode(spec));
            }
            return;
        }
        Form::One(core) if touches_any(spec) => {
            return claim_on(claims, *core).add_whole(mode(spec));
        }
        _ => {}
    }
    let Ok(keys) = spec.key_args(args) else { return };
    for found in keys {
        let reads = !spec.has(flag::WRITE) || found.flags & key::RO != 0;
        let pos = Position::of(&args[found.index]);
        let mode = if reads { Mode::Shared } else { Mode::Exclusive };
        claim_on(claims, owner(pos.slot(), cores)).add(pos.0, mode);
    }
    if let Form::One(core) = form {
        // without keys it still runs there
        claim_on(claims, *core);
    }
}

/// The claim on a core, empty if there was none.
pub(super) fn claim_on(claims: &mut Claims, core: usize) -> &mut Claim {
    let at = claims.iter().position(|(c, _)| *c == core).unwrap_or_else(|| {
        claims.push((core, Claim::default()));
        claims.len() - 1
    });
    &mut claims[at].1
}

/// How the arguments of a command are cut: a head, units of one key each, a tail.
#[derive(Debug)]
pub(super) struct Units {
    /// Arguments before the first key, the name included.
    head: Range<usize>,
    /// Index of the argument in the head that counts the keys, if one does.
    count_at: Option<usize>,
    /// First argument of the first unit, and the end of the last.
    keys: Range<usize>,
    /// Arguments per unit: the key, and its value if it has one.
    step: usize,
    /// Arguments behind the units.
    tail: Range<usize>,
}

impl Units {
    /// `None` if the arguments do not have the form that `cut` describes.
    fn of(cut: KeyCut, args: &Args<'_>) -> Option<Units> {
        let whole = cut.first < cut.end && (cut.end - cut.first).is_multiple_of(cut.step) && cut.end <= args.len();
        whole.then(|| Units {
            head: 0..cut.first,
            count_at: cut.count_at,
            keys: cut.first..cut.end,
            step: cut.step,
            tail: cut.end..args.len(),
        })
    }

    fn count(&self) -> usize {
        self.keys.len() / self.step
    }

    fn starts(&self) -> impl Iterator<Item = usize> {
        self.keys.clone().step_by(self.step)
    }

    /// Adds the part that holds these units to a batch.
    pub(super) fn push_part(&self, args: &Args<'_>, units: &[u32], command: RemoteCommand, batch: &mut CommandBatch) {
        let mut number = itoa::Buffer::new();
        let count = number.format(units.len()).as_bytes();
        let of_unit = |unit: &u32| {
            let start = self.keys.start + *unit as usize * self.step;
            start..start + self.step
        };
        let indices = || self.head.clone().chain(units.iter().flat_map(of_unit)).chain(self.tail.clone());
        let big = args.big().and_then(|(index, bytes)| {
            let place = indices().position(|i| i == index)?;
            Some((place as u32, bytes.clone()))
        });
        let skip = args.big_index();
        let words = indices().map(|i| match i {
            _ if Some(i) == self.count_at => count,
            _ if Some(i) == skip => &[][..],
            _ => &args[i],
        });
        batch.push(command, words, big);
    }
}

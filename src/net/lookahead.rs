//! Which memory the commands of a tick are about to read, fetched a few commands ahead. Never runs a command, never
//! changes an answer.

use crate::base::hash::Position;
use crate::commands::args::Args;
use crate::commands::spec::CommandSpec;
use crate::txn::hop::{PREFETCH_COMMANDS, member_word, prefetch, prefetch_members};
use crate::types::table::Table;

/// Keys of this core that the commands of a tick name, in the order of the commands. The memory of a few is fetched
/// before the command of the first runs, whichever connections they come from, so that their cache misses overlap.
/// Fetching further ahead gained nothing: the machine has not more misses under way.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    keys: Vec<Wanted>,
    /// Members of the keys' values that the commands look up: number of the key, position of the member.
    members: Vec<(u32, Position)>,
    /// Keys and members that were fetched.
    fetched: usize,
    members_fetched: usize,
    /// Number in the batch of the command that names the first key that was not.
    due: usize,
}

/// A key to be fetched: its command's number in the batch, its database, its position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) command: u32,
    pub(super) db: u32,
    pub(super) pos: Position,
}

impl Lookahead {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.members.clear();
        (self.fetched, self.members_fetched, self.due) = (0, 0, 0);
    }

    #[inline]
    pub(super) fn want(&mut self, key: Wanted, spec: &CommandSpec, args: &Args<'_>) {
        if let Some(member) = member_word(spec, args.len()).and_then(|at| args.get(at)) {
            self.members.push((self.keys.len() as u32, Position::of_member(member)));
        }
        self.keys.push(key);
    }

    /// Before a command.
    #[inline]
    pub(super) fn before(&mut self, command: usize, tables: &[Table]) {
        if command >= self.due {
            self.fetch(tables);
        }
    }

    /// Two rounds over a few keys: their buckets, then their entries; and where the values are large, two more over the
    /// members. One key alone gains nothing.
    fn fetch(&mut self, tables: &[Table]) {
        let group = &self.keys[self.fetched..(self.fetched + PREFETCH_COMMANDS).min(self.keys.len())];
        if group.len() > 1 {
            prefetch(tables, group.iter().map(|wanted| (wanted.db as usize, wanted.pos)));
        }
        let end = self.fetched + group.len();
        let rest = &self.members[self.members_fetched..];
        let members = &rest[..rest.iter().take_while(|(key, _)| (*key as usize) < end).count()];
        if members.len() > 1 {
            let member = |(key, member): &(u32, Position)| {
                let Wanted { db, pos, .. } = self.keys[*key as usize];
                (db as usize, pos, *member)
            };
            prefetch_members(tables, members.iter().map(member));
        }
        self.members_fetched += members.len();
        self.fetched = end;
        self.due = self.keys.get(self.fetched).map_or(usize::MAX, |w| w.command as usize);
    }
}

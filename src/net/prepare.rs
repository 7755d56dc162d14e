//! What a command of a batch names and where its key is, found before any of them runs. Never runs one.

use crate::base::hash::Position;
use crate::commands::args::Args;
use crate::commands::spec::{CommandSpec, KeyShape};
use crate::commands::table::{CommandId, Resolved};
use crate::net::dispatch::{Run, Work};
use crate::net::lookahead::Wanted;
use crate::net::worker::Worker;

/// What is looked up before a command runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prepared {
    /// A known command.
    Known(Known),
    /// No such command.
    Unknown,
    /// No such subcommand.
    UnknownSub,
}

/// A known command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: CommandId,
    /// Whether it may go the short way ([`Worker::run_plain`]).
    pub(super) plain: bool,
    /// Whether it may be timed together with others.
    pub(super) short: bool,
    /// The position of its first key if it has exactly one.
    pub(super) pos: Option<Position>,
}

/// The name of a command as it was sent, and what it names: pipelines repeat themselves.
#[derive(Debug, Clone, Copy)]
struct Named {
    word: u64,
    len: usize,
    id: CommandId,
}

/// Whether the next command is as short, and of the same name.
#[inline]
pub(super) fn is_alike(id: CommandId, next: Option<&Prepared>) -> bool {
    matches!(next, Some(Prepared::Known(next)) if next.short && next.id == id)
}

impl Worker {
    /// Looks up the commands of a run.
    pub(super) fn prepare(&mut self, work: &mut Work, run: &Run) {
        let Some(conn) = self.conn_at(run.conn) else {
            work.prepared.extend((0..run.count).map(|_| Prepared::Unknown));
            return;
        };
        let db = conn.session.db as u32;
        let mut named = None;
        for (i, command) in work.batch.commands[run.first..run.first + run.count].iter().enumerate() {
            let (bytes, spans) = work.batch.args(command, &run.source);
            let args = Args::new(bytes, spans);
            let prepared = self.look_up(&args, command.bytes, &mut named, |spec, pos| {
                work.ahead.want(Wanted { command: (run.first + i) as u32, db, pos }, spec, &args);
            });
            work.prepared.push(prepared);
        }
    }

    /// What a request names, and where; `want` is told of a key of this core.
    #[inline]
    fn look_up(
        &self,
        args: &Args<'_>,
        bytes: u32,
        named: &mut Option<Named>,
        want: impl FnOnce(&'static CommandSpec, Position),
    ) -> Prepared {
        let (word, len) = args.word(0);
        let id = match named {
            Some(named) if named.word == word && named.len == len => named.id,
            _ => {
                let id = match self.router.table.resolve(args) {
                    Resolved::Command(id) => id,
                    Resolved::UnknownCommand => return Prepared::Unknown,
                    Resolved::UnknownSubcommand(_) => return Prepared::UnknownSub,
                };
                let spec = self.router.table.get(id);
                // the first eight bytes of a longer name do not tell, nor those of a container
                let whole = len <= 8 && self.router.table.parent(id).is_none() && !spec.has_subcommands;
                *named = whole.then_some(Named { word, len, id });
                id
            }
        };
        let spec = self.router.table.get(id);
        let pos = match spec.key_shape {
            KeyShape::One(at) => args.get(at).map(Position::of),
            KeyShape::None | KeyShape::Many => None,
        };
        let here = pos.is_some_and(|pos| self.router.owner_of(pos) == self.router.core);
        if let Some(pos) = pos
            && here
        {
            want(spec, pos);
        }
        let plain = self.may_be_plain(spec, here) && spec.accepts(args.len());
        Prepared::Known(Known { id, plain, short: plain && Self::is_short(spec, args.len(), bytes), pos })
    }
}

//! Data from files into the shards. A loader, on a thread of its own, packs keys and commands into parcels for the
//! shards that own them; each core unpacks a few parcels per tick and answers its clients (`-LOADING ...`) in between.
//! A shard that falls behind has its loaders wait. Reads no file.
//!
//! ```text
//! loader --Feeder--> bounded queue --Intake--> shard        keys: still encoded, decoded by the shard
//!                                                          commands: of one shard each, run without a reply
//! ```
//! Order: what one feeder sends to one shard arrives in order. A command whose keys lie on several shards waits until
//! all that was fed before is in, and has ended before anything that follows is; one that can be cut by its keys is
//! cut.

use crate::base::hash::Position;
use crate::base::limits;
use crate::commands::args::{Args, lay_out_in};
use crate::commands::spec::Plan;
use crate::commands::table::{CommandId, CommandTable, Resolved};
use crate::resp::parse::Span;
use crate::resp::reply::Proto;
use crate::runtime::driver::Doorbells;
use crate::txn::loading::Loading;
use crate::txn::message::{CommandBatch, ConnId, Manner, Phase, RemoteCommand, Ticket};
use crate::txn::plan::{self, Form};
use crate::txn::router::owner;
use crate::types::rdb::Attributes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

mod unpack;

pub use unpack::{Unpacked, with_value};

/// In the place of the connection for which a transaction runs.
const LOADER: ConnId = ConnId { index: u32::MAX, generation: u32::MAX };

/// Loading goes no further: the server ends, or something failed, as [`Loading::failure`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Why a command cannot be fed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// See [`Stopped`].
    #[error("loading was stopped")]
    Stopped,
    /// The command makes no sense.
    #[error("{0}")]
    Refused(String),
}

impl From<Stopped> for FeedError {
    fn from(_: Stopped) -> Self {
        FeedError::Stopped
    }
}

/// What a loader sends to a shard.
#[derive(Debug)]
enum Parcel {
    /// About so many keys will come for this database of the shard.
    Expect(u16, u64),
    Entries(Box<Entries>),
    Commands(Box<CommandBatch>),
    /// One command over several shards.
    Whole(Box<CommandBatch>, SyncSender<()>),
    /// All that came before is in.
    Mark(SyncSender<()>),
    /// As `Mark`; nothing follows.
    End(SyncSender<()>),
}

/// Keys as a file holds them.
#[derive(Debug, Default)]
struct Entries {
    data: Vec<u8>,
    items: Vec<Item>,
    source: Source,
}

#[derive(Debug)]
struct Item {
    entry: Meta,
    pos: Position,
    key: Range<usize>,
    body: Range<usize>,
}

/// What a parcel's keys have in common.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file, for messages.
    pub file: Arc<str>,
    /// Version that the file was written in.
    pub version: u16,
    /// Keys and fields that have expired come in all the same: a log follows, which says when they go.
    pub keeps_expired: bool,
    /// Keys that are there are replaced; otherwise they are a mistake.
    pub replaces: bool,
}

/// What an encoded key has beside name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Its database.
    pub db: u16,
    /// Type of its value, see [`crate::types::rdb::kind`].
    pub kind: u8,
    /// Where it begins in the file.
    pub at: u64,
    /// Expiry and use.
    pub attributes: Attributes,
}

/// A shard's end of the queue.
#[derive(Debug)]
pub struct Intake {
    parcels: Receiver<Parcel>,
    loading: Arc<Loading>,
    /// Whom to tell when the transaction under way has ended.
    whole: Option<SyncSender<()>>,
}

/// A loader's end of the queues to all shards. A clone is another loader, whose parcels keep no order with this one's.
#[derive(Debug)]
pub struct Feeder {
    lines: Vec<SyncSender<Parcel>>,
    doorbells: Doorbells,
    loading: Arc<Loading>,
    table: Arc<CommandTable>,
    databases: usize,
    open: Vec<Open>,
    source: Source,
    data: Vec<u8>,
    spans: Vec<Span>,
}

/// What is being packed for one shard; one of the two is empty.
#[derive(Debug, Default)]
struct Open {
    entries: Option<Box<Entries>>,
    commands: Option<Box<CommandBatch>>,
}

/// The queues from loaders to `cores` shards with `databases` databases each.
pub fn feed(cores: usize, databases: usize, doorbells: &Doorbells, loading: &Arc<Loading>) -> (Feeder, Vec<Intake>) {
    let (lines, intakes) = (0..cores)
        .map(|_| {
            let (line, parcels) = sync_channel(limits::FEED_PARCELS_MAX);
            (line, Intake { parcels, loading: loading.clone(), whole: None })
        })
        .unzip();
    let feeder = Feeder {
        lines,
        doorbells: doorbells.clone(),
        loading: loading.clone(),
        // commands stand in logs under their own names, whatever clients have to call them
        table: Arc::new(CommandTable::new()),
        databases,
        open: (0..cores).map(|_| Open::default()).collect(),
        source: Source::default(),
        data: Vec::new(),
        spans: Vec::new(),
    };
    (feeder, intakes)
}

impl Clone for Feeder {
    fn clone(&self) -> Self {
        Feeder {
            lines: self.lines.clone(),
            doorbells: self.doorbells.clone(),
            loading: self.loading.clone(),
            table: self.table.clone(),
            databases: self.databases,
            open: self.lines.iter().map(|_| Open::default()).collect(),
            source: Source::default(),
            data: Vec::new(),
            spans: Vec::new(),
        }
    }
}

impl Feeder {
    /// Progress and failure.
    pub fn loading(&self) -> &Loading {
        &self.loading
    }

    /// Databases that the server has.
    pub fn databases(&self) -> usize {
        self.databases
    }

    /// Shards that are fed.
    pub fn shards(&self) -> usize {
        self.lines.len()
    }

    /// The keys that follow are of this file.
    pub fn begin_file(&mut self, source: Source) -> Result<(), Stopped> {
        self.flush()?;
        self.source = source;
        Ok(())
    }

    /// A database, which exists, will get about so many keys, as far as anybody knows.
    pub fn expect(&mut self, db: u16, keys: u64) -> Result<(), Stopped> {
        let share = keys / self.lines.len() as u64;
        (0..self.lines.len()).try_for_each(|core| {
            self.send_open(core)?;
            self.send(core, Parcel::Expect(db, share))
        })
    }

    /// A key with its encoded value; the database exists.
    pub fn entry(&mut self, meta: Meta, key: &[u8], body: &[u8]) -> Result<(), Stopped> {
        let pos = Position::of(key);
        let core = owner(pos.slot(), self.lines.len());
        if self.open[core].commands.is_some() {
            self.send_open(core)?;
        }
        let source = &self.source;
        let entries = self.open[core]
            .entries
            .get_or_insert_with(|| Box::new(Entries { source: source.clone(), ..Entries::default() }));
        let start = entries.data.len();
        entries.data.extend_from_slice(key);
        entries.data.extend_from_slice(body);
        let (middle, end) = (start + key.len(), entries.data.len());
        entries.items.push(Item { entry: meta, pos, key: start..middle, body: middle..end });
        if end >= limits::FEED_PARCEL_BYTES || entries.items.len() >= limits::FEED_PARCEL_ITEMS {
            self.send_open(core)?;
        }
        Ok(())
    }

    /// A command for database `db`, as a log says it. Runs without a trace; its reply is nobody's concern.
    pub fn command(&mut self, db: u16, words: &[&[u8]]) -> Result<(), FeedError> {
        let (mut data, mut spans) = (std::mem::take(&mut self.data), std::mem::take(&mut self.spans));
        lay_out_in(words, &mut data, &mut spans);
        let fed = match u32::try_from(data.len()) {
            Ok(_) => self.command_args(db, &Args::new(&data, &spans)),
            Err(_) => Err(FeedError::Refused("a command of more than 4 GB".into())),
        };
        (self.data, self.spans) = (data, spans);
        fed
    }

    /// As [`Feeder::command`].
    pub fn command_args(&mut self, db: u16, args: &Args<'_>) -> Result<(), FeedError> {
        let id = self.resolve(db, args)?;
        let spec = self.table.get(id);
        let manner = Manner { db, proto: Proto::Resp2, no_touch: false, tracker: None };
        let mut command = RemoteCommand::new(id, Phase::Run, manner, Ticket::Nobody);
        let cores = self.lines.len();
        if let Plan::OneShard(_) = spec.plan {
            command.pos = spec.first_key(args).map(|index| Position::of(&args[index]));
            let core = command.pos.map_or(0, |pos| owner(pos.slot(), cores));
            return self.push(core, command, args);
        }
        match plan::form(spec, args, usize::from(db), 0, cores) {
            Form::Session => Err(FeedError::Refused(format!("the command '{}' has no place in a log", spec.name))),
            Form::Anywhere => self.push(0, command, args),
            Form::One(core) => self.push(core, command, args),
            Form::Everywhere(_) => (0..cores).try_for_each(|core| self.push(core, command, args)),
            Form::Parts(parts, _) => {
                for (core, units) in &parts.lists {
                    let batch = self.open_commands(*core)?;
                    parts.units.push_part(args, units, command, batch);
                    self.send_if_full(*core)?;
                }
                Ok(())
            }
            Form::Checked(..) | Form::TwoPhase { .. } | Form::Relay(_) => {
                self.wait()?;
                let mut batch = Box::<CommandBatch>::default();
                batch.push_args(command, args);
                self.send_and_wait(0, |done| Parcel::Whole(batch, done)).map_err(FeedError::from)
            }
        }
    }

    fn resolve(&self, db: u16, args: &Args<'_>) -> Result<CommandId, FeedError> {
        let refused = |text: String| Err(FeedError::Refused(text));
        if args.is_empty() {
            return refused("a command without a name".into());
        }
        let name = || String::from_utf8_lossy(&args[0][..args[0].len().min(64)]).into_owned();
        if usize::from(db) >= self.databases {
            return refused(format!("database {db}, but this server has only {} (databases)", self.databases));
        }
        let Resolved::Command(id) = self.table.resolve(args) else {
            return refused(format!("Unknown command '{}' reading the append only file", name()));
        };
        if !self.table.get(id).accepts(args.len()) {
            return refused(format!("the command '{}' with {} arguments", name(), args.len() - 1));
        }
        Ok(id)
    }

    fn push(&mut self, core: usize, command: RemoteCommand, args: &Args<'_>) -> Result<(), FeedError> {
        self.open_commands(core)?.push_args(command, args);
        self.send_if_full(core)?;
        Ok(())
    }

    fn open_commands(&mut self, core: usize) -> Result<&mut CommandBatch, Stopped> {
        if self.open[core].entries.is_some() {
            self.send_open(core)?;
        }
        Ok(self.open[core].commands.get_or_insert_default())
    }

    fn send_if_full(&mut self, core: usize) -> Result<(), Stopped> {
        let full = self.open[core].commands.as_ref().is_some_and(|batch| {
            batch.data.len() >= limits::FEED_PARCEL_BYTES || batch.commands.len() >= limits::FEED_PARCEL_ITEMS
        });
        if full { self.send_open(core) } else { Ok(()) }
    }

    fn send_open(&mut self, core: usize) -> Result<(), Stopped> {
        if let Some(entries) = self.open[core].entries.take() {
            self.send(core, Parcel::Entries(entries))?;
        }
        if let Some(commands) = self.open[core].commands.take() {
            self.send(core, Parcel::Commands(commands))?;
        }
        Ok(())
    }

    /// Waits while the shard's queue is full.
    fn send(&self, core: usize, parcel: Parcel) -> Result<(), Stopped> {
        if self.loading.failure().is_some() {
            return Err(Stopped);
        }
        self.lines[core].send(parcel).map_err(|_| Stopped)?;
        self.doorbells.ring(core);
        Ok(())
    }

    fn send_and_wait(&self, core: usize, parcel: impl FnOnce(SyncSender<()>) -> Parcel) -> Result<(), Stopped> {
        let (done, ended) = sync_channel(1);
        self.send(core, parcel(done))?;
        ended.recv().map_err(|_| Stopped)
    }

    /// Sends what is packed.
    pub fn flush(&mut self) -> Result<(), Stopped> {
        (0..self.lines.len()).try_for_each(|core| self.send_open(core))
    }

    /// Returns when all that was fed is in.
    pub fn wait(&mut self) -> Result<(), Stopped> {
        self.wait_with(Parcel::Mark)
    }

    /// As [`Feeder::wait`]; then the shards are as they are without a loader. Call it once, when every other feeder's
    /// [`Feeder::wait`] has returned, and [`Loading::end`] behind it.
    pub fn end(mut self) -> Result<(), Stopped> {
        self.wait_with(Parcel::End)
    }

    fn wait_with(&mut self, parcel: fn(SyncSender<()>) -> Parcel) -> Result<(), Stopped> {
        self.flush()?;
        let (done, ended) = sync_channel(self.lines.len());
        for core in 0..self.lines.len() {
            self.send(core, parcel(done.clone()))?;
        }
        for _ in 0..self.lines.len() {
            ended.recv().map_err(|_| Stopped)?;
        }
        if self.loading.failure().is_some() { Err(Stopped) } else { Ok(()) }
    }
}

/// A command that names a time to live, not a time: it runs at the time of now.
fn is_relative(name: &str, args: &Args<'_>) -> bool {
    let any = |from: usize, words: &[&[u8]]| {
        args.from(from).any(|word| words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
    };
    match name {
        "set" | "getex" | "hsetex" | "hgetex" if args.len() > 3 => any(2, &[b"ex", b"px"]),
        "expire" | "pexpire" | "setex" | "psetex" | "hexpire" | "hpexpire" => true,
        "restore" => args.get(2) != Some(b"0") && !any(4, &[b"absttl"]),
        _ => false,
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;

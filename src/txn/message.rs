//! Everything one core can say to another: one closed enum, one handler per variant. Messages own what they carry.

use crate::base::bytes::{BigString, OutBuf};
use crate::base::hash::Position;
use crate::commands::args::Args;
use crate::commands::context::Foreign;
use crate::commands::debug::DatabaseDigest;
use crate::commands::table::CommandId;
use crate::persist::aof::frontier::Participants;
use crate::resp::parse::Span;
use crate::resp::reply::Proto;
use crate::shard::snapshot::CutOrder;
use crate::shard::tracking::Tracker;
use crate::txn::figures::Figures;
use crate::txn::lock::{Claim, TxnId, Verdict};
use crate::txn::news::{ChannelKind, Invalidation, Publication};
use crate::txn::wait::{Note, Visit};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A connection of some core: its place there, and which of the connections that had that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Index in the core's table of connections.
    pub index: u32,
    /// Counts the connections that had this index.
    pub generation: u32,
}

impl ConnId {
    /// No connection: what the server does by itself.
    pub const NOBODY: ConnId = ConnId { index: u32::MAX, generation: u32::MAX };
}

/// Where a reply that comes from another shard goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// A connection's reply slot.
    Slot {
        /// The connection.
        conn: ConnId,
        /// The slot's sequence number.
        seq: u32,
    },
    /// One part of a command that runs on several shards.
    Part {
        /// Index of the pending command.
        pending: u32,
        /// Index of the part.
        part: u32,
    },
    /// As `Part`; the shard that runs it counts the command in its statistics.
    Counted {
        /// Index of the pending command.
        pending: u32,
        /// Index of the part.
        part: u32,
    },
    /// Nobody waits for it.
    Nobody,
}

/// Which of a command's functions runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The command itself.
    Run,
    /// UNLINK of the source of a RENAME that went to another shard: tells `rename_from`, not `del`.
    Renamed,
    /// The list that a SORT over several shards has found: `SORT key element ...`.
    Sorted,
    /// The check of a `CheckedScatter`.
    Check,
    /// A subcommand of DEBUG that concerns keys.
    Debug,
    /// A command that waits if its keys on this shard cannot serve it.
    Wait(Visit),
    /// The cut of a snapshot.
    Cut(CutOrder),
    /// From here on nothing is journaled.
    EndJournal,
    /// Nothing: only the locks are wanted.
    Hold,
}

/// How the connection of a command wants it run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Selected database.
    pub db: u16,
    /// Reply dialect.
    pub proto: Proto,
    /// `CLIENT NO-TOUCH on`.
    pub no_touch: bool,
    /// The client, if it has CLIENT TRACKING on.
    pub tracker: Option<Tracker>,
}

/// One command inside a [`CommandBatch`].
#[derive(Debug, Clone, Copy)]
pub struct RemoteCommand {
    /// Where its reply goes.
    pub ticket: Ticket,
    /// Which command.
    pub id: CommandId,
    /// Which function.
    pub phase: Phase,
    /// Database, dialect, touch.
    pub manner: Manner,
    /// Position of the first key, if there is a key.
    pub pos: Option<Position>,
    /// First of its spans.
    pub first: u32,
    /// Number of its spans.
    pub count: u32,
    /// For a part of a command: how long it ran, in clock ticks, as far as that fits.
    pub took: u32,
}

impl RemoteCommand {
    /// A command without arguments yet, that has no one key.
    pub fn new(id: CommandId, phase: Phase, manner: Manner, ticket: Ticket) -> Self {
        RemoteCommand { ticket, id, phase, manner, pos: None, first: 0, count: 0, took: 0 }
    }
}

/// A command slower than the log's threshold, noted where it ran, logged where its client is.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// Index of the command in its batch.
    pub command: u32,
    /// How long it ran, microseconds.
    pub micros: u64,
}

/// Commands for one shard, gathered over one tick; the same box travels back with the replies.
#[derive(Debug, Default)]
pub struct CommandBatch {
    /// Argument bytes.
    pub data: Vec<u8>,
    /// Arguments in `data`.
    pub spans: Vec<Span>,
    /// The commands, in order.
    pub commands: Vec<RemoteCommand>,
    /// Arguments that travel uncopied: (command, argument, bytes).
    pub bigs: Vec<(u32, u32, BigString)>,
    /// Replies, one after the other.
    pub replies: OutBuf,
    /// End of each command's reply in `replies.bytes`.
    pub reply_ends: Vec<u32>,
    /// Commands that took long.
    pub slow: Vec<Slow>,
}

impl CommandBatch {
    /// Adds a command; its place is filled in. An argument of its own buffer is `big`, and empty among `args`.
    pub fn push<'a>(
        &mut self,
        mut command: RemoteCommand,
        args: impl Iterator<Item = &'a [u8]>,
        big: Option<(u32, BigString)>,
    ) {
        command.first = self.spans.len() as u32;
        for arg in args {
            self.spans.push(Span { start: self.data.len() as u32, len: arg.len() as u32 });
            self.data.extend_from_slice(arg);
        }
        command.count = self.spans.len() as u32 - command.first;
        if let Some((index, bytes)) = big {
            self.bigs.push((self.commands.len() as u32, index, bytes));
        }
        self.commands.push(command);
    }

    /// Adds a command with all its arguments, one in a buffer of its own uncopied.
    pub fn push_args(&mut self, command: RemoteCommand, args: &Args<'_>) {
        let big = args.big().map(|(at, bytes)| (at as u32, bytes.clone()));
        let skip = args.big_index();
        let words = (0..args.len()).map(|i| if Some(i) == skip { &[][..] } else { &args[i] });
        self.push(command, words, big);
    }

    /// A command and its arguments.
    pub fn args(&mut self, index: usize) -> (RemoteCommand, Args<'_>) {
        let command = self.commands[index];
        let spans = &self.spans[command.first as usize..(command.first + command.count) as usize];
        let at = self.bigs.partition_point(|(c, ..)| (*c as usize) < index);
        let args = match self.bigs.get_mut(at) {
            Some((c, arg, bytes)) if *c as usize == index => Args::with_big(&self.data, spans, *arg as usize, bytes),
            _ => Args::new(&self.data, spans),
        };
        (command, args)
    }

    /// Bytes of arguments in it.
    pub fn argument_bytes(&self) -> usize {
        self.data.len() + self.bigs.iter().map(|(.., bytes)| bytes.len()).sum::<usize>()
    }

    /// Empties it, keeping its buffers.
    pub fn clear(&mut self) {
        self.data.clear();
        self.spans.clear();
        self.commands.clear();
        self.bigs.clear();
        self.replies.clear();
        self.reply_ends.clear();
        self.slow.clear();
    }
}

/// A TwoPhase command with its fetched keys, for its home shard.
#[derive(Debug)]
pub struct HomeRun {
    /// Which command.
    pub id: CommandId,
    /// Database, dialect, touch.
    pub manner: Manner,
    /// All arguments.
    pub args: Vec<Vec<u8>>,
    /// What the other shards hold.
    pub foreign: Vec<Foreign>,
    /// The reply.
    pub reply: OutBuf,
    /// How long it ran, clock ticks.
    pub took: u64,
    /// What it wrote that is journaled in steps: see [`crate::shard::recording`].
    pub recording: Vec<u64>,
}

/// What a transaction has one shard do at a time. What was asked comes back with what was found.
#[derive(Debug, Default)]
pub struct Work {
    /// Commands to run.
    pub batch: Option<Box<CommandBatch>>,
    /// Keys to copy out; `found` is filled in.
    pub fetch: Vec<Foreign>,
    /// The client that reads those keys, if it caches what it reads.
    pub reader: Option<Tracker>,
    /// A TwoPhase command whose home is this shard.
    pub home: Option<Box<HomeRun>>,
}

impl Work {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.batch.is_none() && self.fetch.is_empty() && self.home.is_none()
    }
}

/// One shard's share of a transaction. The box travels to the shard and back.
#[derive(Debug)]
pub struct Share {
    /// Index of the transaction among those pending on its core.
    pub pending: u32,
    /// Number of the attempt.
    pub txn: TxnId,
    /// Whose.
    pub conn: ConnId,
    /// What it locks on this shard; empty when the locks are held already.
    pub claim: Claim,
    /// See [`crate::txn::lock`].
    pub priority: bool,
    /// Whether the connection watches keys here.
    pub watches: bool,
    /// Whether one of those has changed.
    pub changed: bool,
    /// What to do once the locks are held.
    pub work: Work,
    /// Release the locks after that.
    pub release: bool,
    /// With `release`: who has a part of it in the journal.
    pub participants: Option<Arc<Participants>>,
    /// Whether the coordinator waits for what comes of it.
    pub answer: bool,
    /// What became of the claim.
    pub verdict: Verdict,
}

/// Keys that a connection wants to watch on one shard.
#[derive(Debug)]
pub struct WatchKeys {
    /// Where the answer goes.
    pub pending: u32,
    /// Who watches.
    pub conn: ConnId,
    /// Their database.
    pub db: u16,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
}

/// A question to a core about itself. Answered in the order of arrival, between commands.
#[derive(Debug, Clone)]
pub enum Request {
    /// Connections as `CLIENT LIST` lines.
    ClientList(ClientFilter),
    /// Close the connections that the filter names.
    ClientKill(ClientFilter),
    /// Figures for INFO, MEMORY and LATENCY; with the latency histograms of commands if `histograms`.
    Figures {
        /// See above.
        histograms: bool,
    },
    /// `CONFIG RESETSTAT`.
    ResetStats,
    /// Channels or patterns with a subscriber (`PUBSUB CHANNELS`, `NUMPAT`).
    Channels {
        /// Which.
        kind: ChannelKind,
        /// Those that match it; `None` for all.
        pattern: Option<Vec<u8>>,
    },
    /// How many subscribers channels have (`PUBSUB NUMSUB`).
    Subscribers {
        /// Which kind of channel.
        kind: ChannelKind,
        /// Their names.
        names: Vec<Vec<u8>>,
    },
    /// CLIENT TRACKING: where the connection with this number is, if it is of this core; and from now on this client
    /// wants to hear of every key with these prefixes.
    Track {
        /// Number of the connection to redirect to.
        find: Option<u64>,
        /// Who wants to hear.
        tracker: Tracker,
        /// Of what.
        prefixes: Vec<Vec<u8>>,
    },
    /// A client no longer wants to hear of keys with these prefixes.
    EndBroadcast(Tracker, Vec<Vec<u8>>),
    /// A line for this core's monitors.
    MonitorLine(Vec<u8>),
    /// A switch of `DEBUG`, on or off.
    Switch(crate::commands::debug::Switch, bool),
    /// `DEBUG` text about a table, per database.
    TableStats(u16),
    /// Digests of this shard's databases.
    Digest,
    /// What it waits for, as text.
    Transactions,
    /// Take this many microseconds of nothing (`DEBUG SLEEP`).
    Hold(u64),
    /// `MEMORY PURGE`.
    Purge,
    /// `CLIENT UNBLOCK` of the client with this id, with an error or as if its time were over.
    Unblock {
        /// See above.
        client_id: u64,
        /// See above.
        error: bool,
    },
}

/// Which clients CLIENT LIST and CLIENT KILL mean. Empty fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct ClientFilter {
    /// Any of these ids.
    pub ids: Vec<u64>,
    /// None of these ids.
    pub not_ids: Vec<u64>,
    /// Remote address.
    pub addr: Option<Vec<u8>>,
    /// Not this remote address.
    pub not_addr: Option<Vec<u8>>,
    /// Local address.
    pub laddr: Option<Vec<u8>>,
    /// Not this local address.
    pub not_laddr: Option<Vec<u8>>,
    /// Type: normal, master, replica, pubsub.
    pub kind: Option<ClientKind>,
    /// Not this type.
    pub not_kind: Option<ClientKind>,
    /// User name.
    pub user: Option<Vec<u8>>,
    /// Not this user.
    pub not_user: Option<Vec<u8>>,
    /// At least this old, seconds.
    pub age_min_s: Option<u64>,
    /// Idle for at least this long, seconds.
    pub idle_min_s: Option<u64>,
    /// Has all these flags, as CLIENT LIST shows them.
    pub flags: Option<Vec<u8>>,
    /// Lacks all these flags.
    pub not_flags: Option<Vec<u8>>,
    /// Name given by CLIENT SETNAME.
    pub name: Option<Vec<u8>>,
    /// Not this name.
    pub not_name: Option<Vec<u8>>,
    /// Selected database.
    pub db: Option<u16>,
    /// Not this database.
    pub not_db: Option<u16>,
    /// Library name.
    pub lib_name: Option<Vec<u8>>,
    /// Not this library name.
    pub not_lib_name: Option<Vec<u8>>,
    /// Library version.
    pub lib_ver: Option<Vec<u8>>,
    /// Not this library version.
    pub not_lib_ver: Option<Vec<u8>>,
    /// Remote IP address.
    pub ip: Option<Vec<u8>>,
    /// Not this remote IP address.
    pub not_ip: Option<Vec<u8>>,
    /// Has these capabilities, one letter each.
    pub capa: Option<Vec<u8>>,
    /// Lacks one of these capabilities.
    pub not_capa: Option<Vec<u8>>,
    /// The client that asks, and whether it is to be passed over.
    pub skip: Option<u64>,
}

/// Client types as CLIENT LIST TYPE names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// An ordinary client.
    Normal,
    /// The link to a primary.
    Master,
    /// A replica.
    Replica,
    /// A subscriber.
    Pubsub,
}

/// What a core answers to a [`Request`].
#[derive(Debug)]
pub enum Answer {
    /// Done.
    Done,
    /// How many.
    Count(u64),
    /// See [`Request::Track`]: core and connection.
    Client(usize, ConnId),
    /// How many of each.
    Counts(Vec<u64>),
    /// See [`Request::Channels`].
    Names(Vec<Vec<u8>>),
    /// Client id and its line.
    Lines(Vec<(u64, String)>),
    /// Text.
    Text(String),
    /// See [`Request::Figures`].
    Figures(Box<Figures>),
    /// See [`Request::Digest`].
    Digest(Vec<DatabaseDigest>),
}

/// See the module.
#[derive(Debug)]
pub enum Message {
    /// Commands to run.
    Commands(Box<CommandBatch>),
    /// Their replies.
    Replies(Box<CommandBatch>),
    /// A transaction claims its locks on this shard.
    Schedule(Box<Share>),
    /// What became of the claim.
    Scheduled(Box<Share>),
    /// Work under locks that are held.
    Proceed(Box<Share>),
    /// What came of it.
    Proceeded(Box<Share>),
    /// An attempt gives its locks, or its place in the queue, back; with those who have a part of it in the journal.
    Release(TxnId, Option<Arc<Participants>>),
    /// An attempt that was refused as busy may come again.
    ComeAgain {
        /// Index of the transaction.
        pending: u32,
        /// The attempt.
        txn: TxnId,
    },
    /// Keys to watch.
    Watch(Box<WatchKeys>),
    /// They are watched.
    Watched {
        /// Index of the pending command.
        pending: u32,
    },
    /// A connection watches nothing any more.
    Unwatch(ConnId),
    /// A key that this connection watches has changed.
    WatchedChanged(ConnId),
    /// About a client that waits for keys.
    Wait(Box<Note>),
    /// Keys that clients of this core may have cached are no longer what they were.
    Invalidate(Box<Invalidation>),
    /// A message for a connection of this core to which another one redirects its invalidations.
    Redirected {
        /// Who gets it.
        to: ConnId,
        /// Who redirects: its core and itself.
        from: (usize, ConnId),
        /// See [`Invalidation::keys`].
        keys: Option<Arc<Vec<u8>>>,
    },
    /// The connection to which this one redirects its invalidations is gone.
    RedirectGone(ConnId),
    /// A message for this core's subscribers.
    Publish {
        /// The publisher's number for it, if it wants to know how many got it.
        pending: Option<u32>,
        /// The message.
        publication: Arc<Publication>,
    },
    /// How many got it.
    Published {
        /// As above.
        pending: u32,
        /// Times it was sent.
        receivers: u64,
    },
    /// An accepted socket to serve.
    Adopt {
        /// The socket.
        socket: OwnedFd,
        /// Its listener.
        listener: u32,
    },
    /// A question.
    Ask {
        /// Where the answer goes.
        ticket: Ticket,
        /// What.
        request: Box<Request>,
    },
    /// Its answer.
    Answer {
        /// Where it goes.
        ticket: Ticket,
        /// What.
        answer: Box<Answer>,
    },
}

//! What the commands of one connection have set: database, dialect, names, modes.

use crate::net::tracking::Tracking;
use crate::resp::reply::Proto;
use crate::txn::message::{CommandBatch, Manner, RemoteCommand};
use hashbrown::HashSet;

/// What `CLIENT REPLY` chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every reply is sent.
    On,
    /// None is.
    Off,
    /// The next command's is not.
    SkipNext,
    /// The running command's is not, unless it turns replies on.
    Skipping,
}

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub struct Multi {
    /// Queued so far.
    pub commands: Box<CommandBatch>,
    /// One was refused: EXEC will refuse all.
    pub aborted: bool,
    /// One of them writes.
    pub writes: bool,
    /// Whether one of them may need memory.
    pub needs_memory: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    /// Selected database.
    pub db: u16,
    /// Reply dialect.
    pub proto: Proto,
    /// Whether a password was given, or none is needed.
    pub authenticated: bool,
    /// `CLIENT NO-TOUCH on`.
    pub no_touch: bool,
    /// `CLIENT NO-EVICT on`.
    pub no_evict: bool,
    /// Streams every command (`MONITOR`).
    pub monitor: bool,
    /// See [`ReplyMode`].
    pub reply_mode: ReplyMode,
    /// `CLIENT SETNAME`.
    pub name: Box<[u8]>,
    /// `CLIENT SETINFO lib-name`.
    pub lib_name: Box<[u8]>,
    /// `CLIENT SETINFO lib-ver`.
    pub lib_ver: Box<[u8]>,
    /// `CLIENT CAPA redirect` (Valkey).
    pub capa_redirect: bool,
    /// `CLIENT IMPORT-SOURCE on` (Valkey).
    pub import_source: bool,
    /// Between MULTI and EXEC.
    pub multi: Option<Box<Multi>>,
    /// Cores on which it watches keys.
    pub watched: Vec<usize>,
    /// Which keys it watches, as hashes of database and key. Only for CLIENT LIST: the shards know.
    pub watched_keys: HashSet<u64>,
    /// Bytes of their names, and what watching them takes.
    pub watched_bytes: usize,
    /// Whether a shard has said that one of them changed. Only for CLIENT LIST: EXEC asks the shards.
    pub watched_changed: bool,
    /// `CLIENT TRACKING on`.
    pub tracking: Option<Box<Tracking>>,
}

/// About what a prefix of CLIENT TRACKING takes, here and where changes are seen.
const PREFIX_BYTES: usize = 128;

impl Session {
    /// What a fresh connection starts with.
    pub fn new(authenticated: bool) -> Self {
        Session {
            db: 0,
            proto: Proto::Resp2,
            authenticated,
            no_touch: false,
            no_evict: false,
            monitor: false,
            reply_mode: ReplyMode::On,
            name: Box::default(),
            lib_name: Box::default(),
            lib_ver: Box::default(),
            capa_redirect: false,
            import_source: false,
            multi: None,
            watched: Vec::new(),
            watched_keys: HashSet::new(),
            watched_bytes: 0,
            watched_changed: false,
            tracking: None,
        }
    }

    /// Forgets which keys it watches; answers the cores that know them.
    pub fn take_watched(&mut self) -> Vec<usize> {
        self.watched_keys = HashSet::new();
        (self.watched_bytes, self.watched_changed) = (0, false);
        std::mem::take(&mut self.watched)
    }

    /// Bytes of memory behind what it has queued and watches.
    pub fn memory_bytes(&self) -> usize {
        let queued = self.multi.as_ref().map_or(0, |multi| {
            multi.commands.argument_bytes() + multi.commands.commands.len() * size_of::<RemoteCommand>()
        });
        let prefixes = self.tracking.as_ref().map_or(0, |tracking| tracking.prefixes.len());
        queued + self.watched_bytes + prefixes * PREFIX_BYTES
    }

    /// How a command of this connection runs.
    pub fn manner(&self) -> Manner {
        let tracker = self.tracking.as_ref().map(|tracking| tracking.tracker());
        Manner { db: self.db, proto: self.proto, no_touch: self.no_touch, tracker }
    }
}

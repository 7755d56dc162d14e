//! What the commands of one connection have set: database, dialect, names, modes.

use crate::resp::reply::Proto;
use crate::txn::message::Manner;

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
}

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
        }
    }

    /// How a command of this connection runs.
    pub fn manner(&self) -> Manner {
        Manner { db: self.db, proto: self.proto, no_touch: self.no_touch }
    }
}

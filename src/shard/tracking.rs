//! What client-side caching needs to know of a shard: which keys clients read and which keys changed, in the order it
//! happened. Only collects, and only while someone on this shard may care; whoever runs the commands takes what was
//! collected and tells the clients. Never knows a connection but by number.

/// A client with CLIENT TRACKING on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracker {
    /// Core of its connection.
    pub core: u16,
    /// The connection's place there.
    pub index: u32,
    /// Which of the connections that had that place.
    pub generation: u32,
    /// Whether keys that this command reads are remembered.
    pub remembers: bool,
    /// Whether it does not want to hear of its own changes (`NOLOOP`).
    pub noloop: bool,
}

/// Something that happened to a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Noted {
    /// A client that caches read it.
    Read(Tracker, Box<[u8]>),
    /// It changed, through a command of this client if that tracks.
    Modified(Option<Tracker>, Box<[u8]>),
    /// A database was emptied.
    Flushed,
}

/// The collection.
#[derive(Debug, Default)]
pub struct TrackLog {
    /// Whether changes are noted: set while a client may have cached a key of this shard. Costs one test per change.
    pub active: bool,
    /// The client of the running command, if it tracks.
    pub caller: Option<Tracker>,
    /// What was noted since it was last taken.
    pub noted: Vec<Noted>,
}

impl TrackLog {
    /// Notes that the running command's client read a key.
    pub fn read(&mut self, by: Tracker, key: &[u8]) {
        self.active = true;
        self.noted.push(Noted::Read(by, key.into()));
    }

    /// Notes that a key changed, came or went.
    #[inline]
    pub fn modified(&mut self, key: &[u8]) {
        if self.active {
            self.noted.push(Noted::Modified(self.caller, key.into()));
        }
    }

    /// Bytes of the keys noted since there were `from` notes.
    pub fn noted_bytes(&self, from: usize) -> usize {
        let bytes = |note: &Noted| match note {
            Noted::Read(_, key) | Noted::Modified(_, key) => key.len() + size_of::<Noted>(),
            Noted::Flushed => 0,
        };
        self.noted.get(from..).map_or(0, |notes| notes.iter().map(bytes).sum())
    }

    /// Notes that a database was emptied, even if nobody tracks: flushes are counted.
    pub fn flushed(&mut self) {
        self.noted.push(Noted::Flushed);
    }
}

//! The registry: every [`CommandSpec`] under a dense number, and the way from a name on the wire to that number.
//! Immutable once the server runs (RENAME-COMMAND applies before); never knows how often a command was called.
//!
//! Nearly all names in use are commands of at most eight bytes: one lower-cased word, looked up in an open-addressed
//! table with at least three free places of four. Longer names and subcommands are in a second one, keyed by three
//! words and the parent's number; names beyond 24 bytes (only RENAME-COMMAND makes them) in a list. Measured, CPU time
//! of a lookup of GET: 10 ns with everything in the second table, 3 ns so.

use crate::base::limits::COMMANDS_MAX;
use crate::commands::args::Args;
use crate::commands::spec::CommandSpec;
use crate::commands::{
    bitmaps, connection, geo, hashes, hyperloglog, keys, lists, pubsub, server, sets, sort, streams, strings,
    transactions, vectors, zsets,
};

/// Number of a command or subcommand: 0.. in the order of the families, each container followed by its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

impl CommandId {
    /// As an index into an array with a place per command.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The families, in the order of their commands' numbers.
pub const FAMILIES: &[&[CommandSpec]] = &[
    bitmaps::COMMANDS,
    connection::COMMANDS,
    geo::COMMANDS,
    hashes::COMMANDS,
    hyperloglog::COMMANDS,
    keys::COMMANDS,
    lists::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    sets::COMMANDS,
    sort::COMMANDS,
    streams::COMMANDS,
    strings::COMMANDS,
    transactions::COMMANDS,
    vectors::COMMANDS,
    zsets::COMMANDS,
];

/// What a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// A command, or the subcommand that its second argument names. A container alone is found as itself; its arity
    /// then refuses it.
    Command(CommandId),
    /// No such command.
    UnknownCommand,
    /// A container, but no such subcommand.
    UnknownSubcommand(CommandId),
}

/// Why a RENAME-COMMAND directive is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// The old name is not there (any more).
    #[error("No such command in rename-command")]
    NoSuchCommand,
    /// The new name is taken.
    #[error("Target command name already exists")]
    TargetExists,
}

/// Longest name that is looked up by words, bytes.
const WORD_NAME_BYTES_MAX: usize = 24;
/// No command: an empty place, or no parent.
const NONE: u16 = u16::MAX;
/// Multiplier of Fibonacci hashing: the product's upper bits are the hash.
const FIBONACCI: u64 = 0x9e37_79b9_7f4a_7c15;

/// A command whose name has at most eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ShortName {
    /// The name, zero-padded.
    word: u64,
    len: u16,
    id: u16,
}

/// Any other name of at most [`WORD_NAME_BYTES_MAX`] bytes, in lower case, and whose subcommand it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NameKey {
    words: [u64; 3],
    len: u16,
    parent: u16,
}

impl NameKey {
    fn new(name: &[u8], parent: u16) -> Option<Self> {
        let part = |index: usize| {
            let begin = (8 * index).min(name.len());
            lower(word(&name[begin..(begin + 8).min(name.len())]))
        };
        let fits = name.len() <= WORD_NAME_BYTES_MAX;
        fits.then(|| NameKey { words: [part(0), part(1), part(2)], len: name.len() as u16, parent })
    }

    /// Whether it belongs into the first table.
    fn is_short(&self) -> bool {
        self.len <= 8 && self.parent == NONE
    }

    fn hash(&self) -> u64 {
        let [a, b, c] = self.words;
        let tail = u64::from(self.len) << 16 | u64::from(self.parent);
        let mixed = a ^ b.rotate_left(21) ^ c.rotate_left(42) ^ tail.wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed.wrapping_mul(FIBONACCI) >> 40
    }
}

/// At most eight bytes as a little-endian word, zero-padded.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let four = |at: usize| u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    // What is read twice is read at the same place, so it does not matter.
    match bytes.len() {
        0 => 0,
        len @ 1..=3 => {
            u64::from(bytes[0])
                | u64::from(bytes[len / 2]) << (len / 2 * 8)
                | u64::from(bytes[len - 1]) << (len * 8 - 8)
        }
        len => four(0) | four(len - 4) << (len * 8 - 32),
    }
}

/// ASCII upper case to lower case, eight bytes at once.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7f * ONES);
    let from_a = low_bits + (0x80 - b'A' as u64) * ONES;
    let past_z = low_bits + (0x7f - b'Z' as u64) * ONES;
    let upper = (from_a ^ past_z) & !word & (0x80 * ONES);
    word | upper >> 2
}

/// See the module.
#[derive(Debug, Clone)]
pub struct CommandTable {
    specs: Vec<&'static CommandSpec>,
    /// Parent of each, or [`NONE`].
    parents: Vec<u16>,
    /// Key of each under its present name; `None` if renamed to nothing or to a long name.
    keys: Vec<Option<NameKey>>,
    /// Open-addressed; the length is a power of two.
    short_places: Vec<ShortName>,
    /// 64 less the binary logarithm of that length.
    short_shift: u32,
    /// Open-addressed: numbers, [`NONE`] where free. The length is a power of two.
    places: Vec<u16>,
    /// Names too long for words, lower case.
    long_names: Vec<(Box<[u8]>, u16)>,
}

impl Default for CommandTable {
    fn default() -> Self {
        Self::new()
    }
}

impl CommandTable {
    /// The commands of [`FAMILIES`] under their own names.
    pub fn new() -> Self {
        Self::of(FAMILIES)
    }

    /// A table of other commands.
    pub fn of(families: &[&'static [CommandSpec]]) -> Self {
        let mut table = CommandTable {
            specs: vec![],
            parents: vec![],
            keys: vec![],
            short_places: vec![],
            short_shift: 63,
            places: vec![],
            long_names: vec![],
        };
        for spec in families.iter().copied().flatten() {
            let parent = table.push(spec, NONE);
            for sub in spec.subcommands {
                table.push(sub, parent);
            }
        }
        table.rebuild();
        table
    }

    fn push(&mut self, spec: &'static CommandSpec, parent: u16) -> u16 {
        let id = self.specs.len();
        assert!(id < COMMANDS_MAX, "more commands than base/limits foresees");
        let key = NameKey::new(spec.short_name().as_bytes(), parent);
        assert!(key.is_some() && !self.keys.contains(&key), "{} is not a new short name", spec.name);
        self.specs.push(spec);
        self.parents.push(parent);
        self.keys.push(key);
        id as u16
    }

    fn rebuild(&mut self) {
        let count = (self.specs.len() * 4).next_power_of_two();
        self.short_places = vec![ShortName { word: 0, len: 0, id: NONE }; count];
        self.short_shift = u64::BITS - count.trailing_zeros();
        self.places = vec![NONE; count];
        let mask = count - 1;
        for (id, key) in self.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            if key.is_short() {
                let mut at = (key.words[0].wrapping_mul(FIBONACCI) >> self.short_shift) as usize;
                while self.short_places[at].id != NONE {
                    at = (at + 1) & mask;
                }
                self.short_places[at] = ShortName { word: key.words[0], len: key.len, id: id as u16 };
            } else {
                let mut at = key.hash() as usize & mask;
                while self.places[at] != NONE {
                    at = (at + 1) & mask;
                }
                self.places[at] = id as u16;
            }
        }
    }

    /// The command whose name, at most eight bytes, is `word` once that is in lower case.
    #[inline]
    fn search_short(&self, word: u64, len: usize) -> Option<CommandId> {
        let word = lower(word);
        let mut at = (word.wrapping_mul(FIBONACCI) >> self.short_shift) as usize;
        // Ends: three of four places are free.
        loop {
            let place = self.short_places.get(at)?;
            if place.word == word && usize::from(place.len) == len {
                return (place.id != NONE).then_some(CommandId(place.id));
            }
            if place.id == NONE {
                return None;
            }
            at = (at + 1) & (self.short_places.len() - 1);
        }
    }

    fn search(&self, name: &[u8], parent: u16) -> Option<CommandId> {
        let Some(key) = NameKey::new(name, parent) else { return self.search_long(name, parent) };
        let mask = self.places.len() - 1;
        let mut at = key.hash() as usize & mask;
        // Ends, as above.
        loop {
            let id = *self.places.get(at)?;
            if id == NONE {
                return None;
            }
            if self.keys[usize::from(id)] == Some(key) {
                return Some(CommandId(id));
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn search_long(&self, name: &[u8], parent: u16) -> Option<CommandId> {
        let found = self.long_names.iter().find(|(long, _)| parent == NONE && long.eq_ignore_ascii_case(name));
        found.map(|(_, id)| CommandId(*id))
    }

    /// The command called `name`, in any case. No subcommands.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<CommandId> {
        if name.len() <= 8 {
            return self.search_short(word(name), name.len());
        }
        self.search(name, NONE)
    }

    /// The subcommand `name` of `parent`, in any case.
    #[inline]
    pub fn lookup_sub(&self, parent: CommandId, name: &[u8]) -> Option<CommandId> {
        self.search(name, parent.0)
    }

    /// A command, or with `parent|name` a subcommand (COMMAND INFO, ACL SETUSER).
    pub fn lookup_full(&self, name: &[u8]) -> Option<CommandId> {
        match name.iter().position(|&b| b == b'|') {
            Some(at) => self.lookup_sub(self.lookup(&name[..at])?, &name[at + 1..]),
            None => self.lookup(name),
        }
    }

    /// What a request names. The arguments are at least one.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Resolved {
        let (word, len) = args.word(0);
        let found = if len <= 8 { self.search_short(word, len) } else { self.search(&args[0], NONE) };
        let Some(id) = found else { return Resolved::UnknownCommand };
        if !self.get(id).has_subcommands || args.len() == 1 {
            return Resolved::Command(id);
        }
        match self.lookup_sub(id, &args[1]) {
            Some(sub) => Resolved::Command(sub),
            None => Resolved::UnknownSubcommand(id),
        }
    }

    /// The command that has this name in the specifications, renamed or not (what the server calls by itself).
    pub fn lookup_any(&self, name: &[u8]) -> Option<CommandId> {
        let is_it = |id: &CommandId| self.get(*id).name.as_bytes().eq_ignore_ascii_case(name);
        self.lookup(name).filter(is_it).or_else(|| self.iter().map(|(id, _)| id).find(is_it))
    }

    /// The specification of a command.
    #[inline]
    pub fn get(&self, id: CommandId) -> &'static CommandSpec {
        self.specs[id.index()]
    }

    /// The container that a subcommand belongs to.
    pub fn parent(&self, id: CommandId) -> Option<CommandId> {
        let parent = self.parents[id.index()];
        (parent != NONE).then_some(CommandId(parent))
    }

    /// Commands and subcommands, those renamed away included: the length of an array with a place per command.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// Every command and subcommand, those renamed away included.
    pub fn iter(&self) -> impl Iterator<Item = (CommandId, &'static CommandSpec)> + '_ {
        self.specs.iter().enumerate().map(|(id, spec)| (CommandId(id as u16), *spec))
    }

    /// The commands that can be called, without their subcommands.
    pub fn commands(&self) -> impl Iterator<Item = (CommandId, &'static CommandSpec)> + '_ {
        self.iter().filter(|(id, _)| self.parent(*id).is_none() && self.callable(*id))
    }

    /// The subcommands of `id`.
    pub fn subcommands(&self, id: CommandId) -> impl Iterator<Item = (CommandId, &'static CommandSpec)> + '_ {
        self.iter().skip(id.index() + 1).take(self.get(id).subcommands.len())
    }

    fn callable(&self, id: CommandId) -> bool {
        self.keys[id.index()].is_some() || self.long_names.iter().any(|(_, long)| *long == id.0)
    }

    /// RENAME-COMMAND `from` `to`; an empty `to` takes the command away. Its subcommands go with it.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), RenameError> {
        let id = self.lookup(from).ok_or(RenameError::NoSuchCommand)?;
        // Redis takes the old name away first, so a command may be renamed to itself.
        if self.lookup(to).is_some_and(|taken| taken != id) {
            return Err(RenameError::TargetExists);
        }
        self.long_names.retain(|(_, long)| *long != id.0);
        self.keys[id.index()] = if to.is_empty() { None } else { NameKey::new(to, NONE) };
        if to.len() > WORD_NAME_BYTES_MAX {
            self.long_names.push((to.to_ascii_lowercase().into_boxed_slice(), id.0));
        }
        self.rebuild();
        Ok(())
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

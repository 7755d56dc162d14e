//! The declarative command table's vocabulary: what a command is called, takes, touches, and how it travels.
//! Rows are written with the `const` builders of [`CommandSpec`]; a row that contradicts itself does not compile.
//! Never looks at a client or a key's value.
//!
//! One row, in the list that ends each family's file:
//! ```ignore
//! CommandSpec::new("append", 3, Group::String, "2.0.0", Plan::OneShard(append))
//!     .flags(WRITE | DENYOOM | FAST)
//!     .key_specs(&[KeySpec::one(key::RW | key::INSERT, 1)])
//!     .docs("Appends to a string, making the key if there is none.", "O(1)", "key#0 value"),
//! ```

use crate::commands::args::Args;
use crate::commands::blocking::Blocking;
use crate::commands::context::{CommandFn, CutFn, Looks};
use crate::commands::key_args::KeyArg;
use crate::resp::reply::Reply;

pub use crate::commands::flags::{Categories, Flags, KeyFlags, acl, flag, key};
pub use crate::commands::table::{CommandId, CommandTable};

/// How a command reaches the shards that hold its keys.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// No key: answered by the connection's own core at once (PING, CLIENT, CONFIG ...). The function lives above.
    Session,
    /// All keys on one shard (one key, or a key that is named twice).
    OneShard(CommandFn),
    /// Keys may be anywhere: each shard runs the function on its part of the keys, a gather merges the replies.
    Scatter(CommandFn, Gather),
    /// As Scatter, if the check function answers :1 on every part; otherwise the reply is `:0` and nothing happens
    /// (MSETNX, MSETEX with NX or XX).
    CheckedScatter {
        /// Answers `:1` if its part may go ahead.
        check: CommandFn,
        /// Does it.
        run: CommandFn,
        /// Reply when done.
        gather: Gather,
    },
    /// Reads keys of other shards first, then runs on the shard of the key at argument `home`, seeing them as
    /// [`crate::commands::context::Foreign`].
    TwoPhase {
        /// The function.
        run: CommandFn,
        /// Argument index of the key whose shard it runs on, or [`HOME_IS_LAST_KEY`].
        home: usize,
    },
    /// Writes to keys of several shards, or to one that only a look at others chooses (SMOVE, LMOVE, LMPOP). Where all
    /// keys are on one shard `run` does it there; otherwise `relay` says, round by round, which single-key commands run
    /// on which shards, all under the locks of one transaction.
    Relay {
        /// For one shard.
        run: CommandFn,
        /// For several.
        relay: RelayFn,
    },
    /// Every shard runs it (FLUSHALL, KEYS, DBSIZE).
    AllShards(CommandFn, Gather),
    /// The shard that argument 1, a SCAN cursor, names.
    ByCursor(CommandFn),
}

/// [`Plan::TwoPhase`] runs on the shard of its last key, wherever that stands (GEORADIUS with STORE).
pub const HOME_IS_LAST_KEY: usize = usize::MAX;

/// What a [`RelayFn`] sees.
#[derive(Debug)]
pub struct Relay<'a> {
    /// The command's arguments, its name first.
    pub args: &'a [Vec<u8>],
    /// The encoded RESP2 replies of the rounds so far, in the order of each round's commands.
    pub rounds: &'a [Vec<Vec<u8>>],
}

/// Answers the next round: commands with one key each (their first), run on their shards side by side. An empty round
/// ends the command; the reply has been written by then, and nothing has if commands follow. Rounds that only read come
/// first, so that an error reply leaves everything as it was.
pub type RelayFn = fn(&Relay<'_>, &mut Reply<'_>) -> Vec<Vec<Vec<u8>>>;

/// How the parts' replies become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Integers add up.
    Sum,
    /// Every part answers the same simple reply or the first error (MSET, FLUSHALL).
    AllOk,
    /// Array elements go back to the order of the keys (MGET).
    ByKey,
    /// Arrays are joined (KEYS).
    Concat,
    /// One part's non-null reply, drawn with each shard's key count as its weight (RANDOMKEY).
    Draw,
}

/// Family of a command, as COMMAND DOCS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
    Module,
}

impl Group {
    /// As COMMAND DOCS prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Module => "module",
        }
    }

    /// The ACL category that membership implies; none for groups that mix (`server`, `cluster`, `sentinel`)
    /// and for what Redis ships as a module.
    pub const fn category(self) -> Categories {
        match self {
            Group::Generic => acl::KEYSPACE,
            Group::String => acl::STRING,
            Group::List => acl::LIST,
            Group::Set => acl::SET,
            Group::SortedSet => acl::SORTEDSET,
            Group::Hash => acl::HASH,
            Group::PubSub => acl::PUBSUB,
            Group::Transactions => acl::TRANSACTION,
            Group::Connection => acl::CONNECTION,
            Group::Scripting => acl::SCRIPTING,
            Group::HyperLogLog => acl::HYPERLOGLOG,
            Group::Geo => acl::GEO,
            Group::Stream => acl::STREAM,
            Group::Bitmap => acl::BITMAP,
            Group::Server | Group::Cluster | Group::Sentinel | Group::Module => 0,
        }
    }
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginSearch {
    /// Nobody can tell without running the command.
    Unknown,
    /// At this argument.
    Index(i16),
    /// After this keyword, looked for from argument `from` on (from the end if negative).
    Keyword {
        /// The keyword, upper case.
        word: &'static str,
        /// Where to start looking; negative: backwards from the end.
        from: i16,
    },
}

/// Which arguments, from there, are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// Nobody can tell without running the command.
    Unknown,
    /// One every `step` arguments up to `last`.
    Range {
        /// Relative to the begin; negative: from the end of the arguments.
        last: i16,
        /// Distance of two keys.
        step: i16,
        /// If `last` is -1: 2 says half of the remaining arguments are keys, 3 a third ...; 0 and 1: no limit.
        limit: i16,
    },
    /// A count, then that many keys.
    KeyNum {
        /// Where the count is, relative to the begin.
        count: i16,
        /// Where the first key is, relative to the begin.
        first: i16,
        /// Distance of two keys.
        step: i16,
    },
}

/// One key specification, as COMMAND INFO describes them (Redis documentation, "Command key specifications").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to these keys.
    pub flags: KeyFlags,
    /// Remark that COMMAND INFO prints; empty: none.
    pub notes: &'static str,
    /// Where to begin.
    pub begin: BeginSearch,
    /// Which are keys.
    pub find: FindKeys,
}

impl KeySpec {
    /// The one key at argument `index`.
    pub const fn one(flags: KeyFlags, index: i16) -> Self {
        Self::range(flags, index, 0, 1)
    }

    /// Keys from argument `first`, every `step`, up to `last`: relative to `first`, or from the end if negative.
    pub const fn range(flags: KeyFlags, first: i16, last: i16, step: i16) -> Self {
        KeySpec { flags, notes: "", begin: BeginSearch::Index(first), find: FindKeys::Range { last, step, limit: 0 } }
    }

    /// The number of keys at argument `index`, then the keys, every `step`.
    pub const fn counted(flags: KeyFlags, index: i16, step: i16) -> Self {
        KeySpec {
            flags,
            notes: "",
            begin: BeginSearch::Index(index),
            find: FindKeys::KeyNum { count: 0, first: 1, step },
        }
    }

    /// With a remark.
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// First key, last key and step as COMMAND INFO has had them since 2.8; all zero without keys at fixed places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// Argument index of the first key.
    pub first: i16,
    /// Argument index of the last; negative: from the end.
    pub last: i16,
    /// Distance of two keys.
    pub step: i16,
}

/// What the router needs to know of a command's keys, worked out when the table is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShape {
    /// No keys.
    None,
    /// Exactly one, at this argument.
    One(usize),
    /// See [`CommandSpec::keys`].
    Many,
}

/// Flags of the keys of one call, for commands whose options change what they do to a key (SET with GET).
pub type KeyFlagsFn = fn(&Args<'_>) -> KeyFlags;

/// The keys of one call, for commands whose specifications do not find them (SORT); none if the arguments are not in
/// order.
pub type KeysFn = fn(&Args<'_>) -> Vec<KeyArg>;

/// A command or subcommand. What every request looks at comes first, in one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct CommandSpec {
    /// How it travels.
    pub plan: Plan,
    /// Worked out from `key_specs`.
    pub key_shape: KeyShape,
    /// See [`flag`].
    pub flags: Flags,
    /// See [`acl`].
    pub acl: Categories,
    /// Number of arguments, the name included; negative: at least that many.
    pub arity: i16,
    /// Fixed key positions, worked out from `key_specs`.
    pub keys: KeyRange,
    /// Argument that names the member of the key's value that is looked up first; 0: none, negative: from the end.
    pub member: i8,
    /// Whether there are `subcommands`.
    pub has_subcommands: bool,
    /// Where the keys are, and what happens to them.
    pub key_specs: &'static [KeySpec],
    /// For keys marked [`key::VARIABLE_FLAGS`].
    pub key_flags: Option<KeyFlagsFn>,
    /// Finds the keys in place of the specifications.
    pub keys_fn: Option<KeysFn>,
    /// Lower case; a subcommand's is `parent|name`.
    pub name: &'static str,
    /// Family.
    pub group: Group,
    /// Version of Redis (or Valkey) that had it first.
    pub since: &'static str,
    /// What follows the name, for commands that are only a prefix (CONFIG GET).
    pub subcommands: &'static [CommandSpec],
    /// Command tips for clients and proxies (`request_policy:all_shards` ...).
    pub tips: &'static [&'static str],
    /// One sentence.
    pub summary: &'static str,
    /// Big O.
    pub complexity: &'static str,
    /// The arguments, in the notation of `commands/syntax.rs`.
    pub syntax: &'static str,
    /// Version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Version since which users are advised otherwise, and to what.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Not for users (COMMAND DOCS' `syscmd`).
    pub internal: bool,
    /// How it waits, if it may.
    pub blocking: Option<&'static Blocking>,
    /// What it fetches of keys of other shards, if not the whole of each.
    pub cut: Option<CutFn>,
    /// How it looks through the value of its key in steps, if it may; its plan is [`Plan::TwoPhase`].
    pub looks: Option<&'static Looks>,
}

const _: () = assert!(std::mem::offset_of!(CommandSpec, key_specs) <= 64, "what every request looks at is one line");

impl CommandSpec {
    /// A command without flags or keys, in its group's ACL category and `@slow`.
    pub const fn new(name: &'static str, arity: i16, group: Group, since: &'static str, plan: Plan) -> Self {
        CommandSpec {
            name,
            arity,
            flags: 0,
            acl: group.category() | acl::SLOW,
            group,
            since,
            keys: KeyRange { first: 0, last: 0, step: 0 },
            key_specs: &[],
            key_shape: KeyShape::None,
            key_flags: None,
            keys_fn: None,
            plan,
            member: 0,
            has_subcommands: false,
            subcommands: &[],
            tips: &[],
            summary: "",
            complexity: "",
            syntax: "",
            history: &[],
            deprecated: None,
            internal: false,
            blocking: None,
            cut: None,
            looks: None,
        }
    }

    /// A command that is only a prefix of its subcommands.
    pub const fn container(
        name: &'static str,
        group: Group,
        since: &'static str,
        summary: &'static str,
        subcommands: &'static [CommandSpec],
    ) -> Self {
        let mut spec = Self::new(name, -2, group, since, Plan::Session).subcommands(subcommands);
        spec.acl = acl::SLOW;
        spec.summary = summary;
        spec.complexity = "Depends on subcommand.";
        spec
    }

    /// Sets the flags and the ACL categories that follow from them.
    pub const fn flags(mut self, flags: Flags) -> Self {
        assert!(flags & flag::WRITE == 0 || flags & flag::READONLY == 0, "write or readonly");
        self.flags |= flags;
        if flags & flag::WRITE != 0 {
            self.acl |= acl::WRITE;
        }
        if flags & flag::READONLY != 0 && !matches!(self.group, Group::Scripting) {
            self.acl |= acl::READ;
        }
        if flags & flag::ADMIN != 0 {
            self.acl |= acl::ADMIN | acl::DANGEROUS;
        }
        if flags & flag::PUBSUB != 0 {
            self.acl |= acl::PUBSUB;
        }
        if flags & flag::BLOCKING != 0 {
            self.acl |= acl::BLOCKING;
        }
        if flags & flag::FAST != 0 {
            self.acl = self.acl & !acl::SLOW | acl::FAST;
        }
        self
    }

    /// Names the argument with the member that is looked up first, so that it can be fetched ahead.
    pub const fn member(mut self, at: i8) -> Self {
        self.member = at;
        self
    }

    /// Adds ACL categories.
    pub const fn acl(mut self, categories: Categories) -> Self {
        self.acl |= categories;
        self
    }

    /// Takes ACL categories away that the group implies.
    pub const fn not_acl(mut self, categories: Categories) -> Self {
        self.acl &= !categories;
        self
    }

    /// Sets the key specifications, and what follows from them.
    pub const fn key_specs(mut self, specs: &'static [KeySpec]) -> Self {
        self.key_specs = specs;
        let (keys, movable) = legacy_range(specs);
        self.keys = keys;
        if movable {
            self.flags |= flag::MOVABLEKEYS;
        }
        self.key_shape = match specs {
            [] => KeyShape::None,
            [KeySpec { begin: BeginSearch::Index(i), find: FindKeys::Range { last: 0, .. }, .. }] => {
                assert!(*i > 0 && (*i < self.arity || *i < -self.arity), "the key is a mandatory argument");
                KeyShape::One(*i as usize)
            }
            _ => KeyShape::Many,
        };
        self
    }

    /// Sets the function that tells the flags of the keys of one call.
    pub const fn key_flags(mut self, key_flags: KeyFlagsFn) -> Self {
        self.key_flags = Some(key_flags);
        self
    }

    /// Sets the function that finds the keys in place of the specifications.
    pub const fn keys_by(mut self, keys: KeysFn) -> Self {
        self.keys_fn = Some(keys);
        self
    }

    /// Sets summary, complexity and arguments, the last in the notation of `commands/syntax.rs`.
    pub const fn docs(mut self, summary: &'static str, complexity: &'static str, syntax: &'static str) -> Self {
        self.summary = summary;
        self.complexity = complexity;
        self.syntax = syntax;
        self
    }

    /// Sets the history: version and change, oldest first.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }

    /// Sets the command tips.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Sets what may follow the name of a command that also stands alone.
    pub const fn subcommands(mut self, subcommands: &'static [CommandSpec]) -> Self {
        let mut i = 0;
        while i < subcommands.len() {
            assert!(is_sub_of(subcommands[i].name, self.name), "a subcommand is called parent|name");
            i += 1;
        }
        self.subcommands = subcommands;
        self.has_subcommands = !subcommands.is_empty();
        self
    }

    /// Marks it as superseded since `version` by `replacement`.
    pub const fn deprecated(mut self, version: &'static str, replacement: &'static str) -> Self {
        self.deprecated = Some((version, replacement));
        self
    }

    /// Sets what it fetches of keys of other shards.
    pub const fn fetches(mut self, cut: CutFn) -> Self {
        self.cut = Some(cut);
        self
    }

    /// Sets how it looks through a value.
    pub const fn looks(mut self, looks: &'static Looks) -> Self {
        self.looks = Some(looks);
        self.flags |= flag::COPIES;
        self
    }

    /// Sets how it waits; its plan is the command without waiting.
    pub const fn blocking(mut self, blocking: &'static Blocking) -> Self {
        assert!(self.flags & flag::BLOCKING != 0, "a command that waits says so in its flags");
        self.blocking = Some(blocking);
        self
    }

    /// Marks it as not meant for users.
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Whether any of the bits `flags` is set.
    #[inline]
    pub const fn has(&self, flags: Flags) -> bool {
        self.flags & flags != 0
    }

    /// Whether `count` arguments, the name included, are enough and not too many.
    #[inline]
    pub const fn accepts(&self, count: usize) -> bool {
        let count = count as i64;
        let arity = self.arity as i64;
        if arity >= 0 { count == arity } else { count >= -arity }
    }

    /// The part of the name after `|`; the whole name of a command.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }
}

/// Whether `name` is `parent|something`.
const fn is_sub_of(name: &str, parent: &str) -> bool {
    let (name, parent) = (name.as_bytes(), parent.as_bytes());
    if name.len() < parent.len() + 2 || name[parent.len()] != b'|' {
        return false;
    }
    let mut i = 0;
    while i < parent.len() {
        if name[i] != parent[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// `first, last, step` of the longest run of adjoining specifications, as COMMAND INFO has always told it, and whether
/// keys are left outside it.
const fn legacy_range(specs: &[KeySpec]) -> (KeyRange, bool) {
    let mut range = KeyRange { first: 0, last: 0, step: 0 };
    let mut movable = false;
    let mut i = 0;
    while i < specs.len() {
        let (begin, find) = (specs[i].begin, specs[i].find);
        i += 1;
        let (BeginSearch::Index(first), FindKeys::Range { last, step, limit }) = (begin, find) else {
            movable = true;
            continue;
        };
        let last = if last < 0 { last } else { first + last };
        let adjoins = range.first != 0 && range.step == 1 && step == 1 && range.last + 1 == first;
        if range.first == 0 {
            range = KeyRange { first, last, step };
            movable |= limit > 1;
        } else if adjoins {
            range.last = last;
        } else {
            movable = true;
        }
    }
    (range, movable)
}

//! Every setting Redis 7.0, Redis 8.0, Valkey 9.1 and Pinion know: one row each, grouped in files below. A row is data;
//! nothing here reads a file or talks to a client.
//!
//! To make a setting work: give its row `.fill(..)` and a field in [`Config`], and drop `.no_effect(..)` or
//! `.refused(..)`.

mod cluster;
mod keyspace;
mod network;
mod persistence;
mod replication;
mod system;
mod tls;

use std::sync::LazyLock;

use crate::base::config::Config;

use super::special;
use super::value::{Kind, Value};

/// What setting a setting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// What Redis's does.
    Works,
    /// Nothing, for this reason; any valid value is kept and shown.
    NoEffect(&'static str),
    /// Nothing, and believing otherwise would hurt: only the default, and these words, are taken.
    Refused {
        /// Why.
        why: &'static str,
        /// Values taken beside the default.
        also: &'static [&'static str],
    },
}

/// When a setting may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// At start and by CONFIG SET.
    Anytime,
    /// At start only.
    AtStart,
    /// By CONFIG SET only as `enable-protected-configs` permits.
    Protected,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name CONFIG REWRITE uses.
    pub name: &'static str,
    /// Other names: the older or the other server's word for it.
    pub aliases: &'static [&'static str],
    /// What its value may be.
    pub kind: Kind,
    /// Its default, as a file would have it.
    pub default: &'static str,
    /// What it does.
    pub status: Status,
    /// When it may change.
    pub change: Change,
    /// Shown only to who asks for it by name.
    pub hidden: bool,
    /// Writes a checked value into the typed settings.
    pub fill: Option<fn(&mut Config, &Value)>,
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Setting {
            name,
            aliases: &[],
            kind,
            default,
            status: Status::Works,
            change: Change::Anytime,
            hidden: false,
            fill: None,
        }
    }

    const fn also_named(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn fill(mut self, fill: fn(&mut Config, &Value)) -> Self {
        self.fill = Some(fill);
        self
    }

    const fn no_effect(mut self, why: &'static str) -> Self {
        self.status = Status::NoEffect(why);
        self
    }

    const fn refused(mut self, why: &'static str) -> Self {
        self.status = Status::Refused { why, also: &[] };
        self
    }

    const fn refused_but(mut self, also: &'static [&'static str], why: &'static str) -> Self {
        self.status = Status::Refused { why, also };
        self
    }

    const fn at_start(mut self) -> Self {
        self.change = Change::AtStart;
        self
    }

    const fn protected(mut self) -> Self {
        self.change = Change::Protected;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Its default, checked. Never fails: the table's tests parse every default.
    pub fn default_value(&self) -> Value {
        let none = match self.kind {
            Kind::OutputLimits => Value::Limits(Config::default().output_limits),
            _ => Value::YesNo(false),
        };
        self.kind.parse(&[self.default.as_bytes()], &none).unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }

    /// Checks a new value, then whether it may be set at all.
    ///
    /// # Errors
    /// Redis's text for a malformed value, or why this server does not take it.
    pub fn check(&self, words: &[&[u8]], old: &Value) -> Result<Value, String> {
        let value = self.kind.parse(words, old)?;
        self.may_be(&value)?;
        Ok(value)
    }

    /// Whether this server takes a well-formed value.
    ///
    /// # Errors
    /// Why not.
    pub fn may_be(&self, value: &Value) -> Result<(), &'static str> {
        match self.status {
            Status::Refused { why, also } => {
                let text = value.text();
                let taken = *value == self.default_value() || also.iter().any(|word| word.as_bytes() == text);
                if taken { Ok(()) } else { Err(why) }
            }
            Status::Works | Status::NoEffect(_) => Ok(()),
        }
    }
}

// ---- what rows are made of ----

const fn yes_no(name: &'static str, default: &'static str) -> Setting {
    Setting::new(name, Kind::YesNo, default)
}

const fn int(name: &'static str, min: i64, max: i64, default: &'static str) -> Setting {
    Setting::new(name, Kind::Int { min, max }, default)
}

/// A 32-bit number of things.
const fn count(name: &'static str, default: &'static str) -> Setting {
    int(name, 0, i32::MAX as i64, default)
}

/// A 64-bit number of things.
const fn long(name: &'static str, default: &'static str) -> Setting {
    int(name, 0, i64::MAX, default)
}

const fn port(name: &'static str, default: &'static str) -> Setting {
    int(name, 0, 65535, default)
}

const fn size(name: &'static str, min: u64, default: &'static str) -> Setting {
    Setting::new(name, Kind::Size { min, max: i64::MAX as u64 }, default)
}

const fn one_of(name: &'static str, words: &'static [&'static str], default: &'static str) -> Setting {
    Setting::new(name, Kind::OneOf(words), default)
}

const fn text(name: &'static str, default: &'static str) -> Setting {
    Setting::new(name, Kind::Text(special::any_text), default)
}

const fn secret(name: &'static str) -> Setting {
    Setting::new(name, Kind::Secret, "")
}

const NO_ACL: &str = "there are no ACL users yet, only requirepass";
const NO_CLUSTER: &str = "there is no cluster mode yet";
const NO_LUA: &str = "there are no scripts yet";
const NO_MODULES: &str = "Pinion loads no modules";
const NO_REPLICATION: &str = "there is no replication yet";
const NO_SNAPSHOT: &str = "it concerns neither what snapshots hold nor who may load them";
const NO_TLS: &str = "there is no TLS yet";
const ONE_THREAD_PER_SHARD: &str = "every shard does its own I/O on its own thread; see shards";

/// Names that once were settings: taken in files and arguments, and forgotten.
pub const RETIRED: [&str; 4] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands", "events-per-io-thread"];

/// All settings in the order of their names.
static SETTINGS: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
    let groups =
        [network::ROWS, keyspace::ROWS, persistence::ROWS, replication::ROWS, cluster::ROWS, tls::ROWS, system::ROWS];
    let mut rows: Vec<&Setting> = groups.into_iter().flatten().collect();
    rows.sort_by_key(|row| row.name);
    rows
});

/// Every name and alias in order, with the index of its setting.
static NAMES: LazyLock<Vec<(&'static str, usize)>> = LazyLock::new(|| {
    let named = |(index, row): (usize, &&'static Setting)| {
        std::iter::once(row.name).chain(row.aliases.iter().copied()).map(move |name| (name, index)).collect::<Vec<_>>()
    };
    let mut names: Vec<_> = SETTINGS.iter().enumerate().flat_map(named).collect();
    names.sort_unstable();
    names
});

/// All settings in the order of their names; an index into this is a setting's number everywhere.
pub fn settings() -> &'static [&'static Setting] {
    &SETTINGS
}

/// Every name and alias in order, with its setting's index.
pub fn names() -> &'static [(&'static str, usize)] {
    &NAMES
}

/// Index of the setting with this name or alias, whatever its case.
pub fn find(name: &[u8]) -> Option<usize> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let at = NAMES.binary_search_by_key(&name.as_str(), |entry| entry.0).ok()?;
    Some(NAMES[at].1)
}

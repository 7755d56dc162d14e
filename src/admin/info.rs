//! INFO's text from plain data. Collects nothing itself and never touches a shard: the server hands in [`InfoData`].
//!
//! Sections, fields and their order are those of Redis 8.0 and Valkey 9.1 together, so that what reads their INFO
//! (exporters, `redis-cli --stat`) reads ours; `# Shards` is our own. What we leave out, and why, is listed in the
//! tests, which compare with both servers' output.

pub mod data;
mod sections;

use crate::base::text::human_bytes;
use data::InfoData;
use std::fmt::{Display, Write as _};

/// Our own version.
pub const PINION_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One section of INFO, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Server,
    Clients,
    Memory,
    Persistence,
    Threads,
    Stats,
    Replication,
    Cpu,
    Modules,
    Commandstats,
    Errorstats,
    Latencystats,
    Cluster,
    Shards,
    Keyspace,
}

impl Section {
    /// Every section, the name that asks for it, and whether INFO without arguments prints it.
    const ALL: [(Section, &'static str, bool); 15] = [
        (Section::Server, "server", true),
        (Section::Clients, "clients", true),
        (Section::Memory, "memory", true),
        (Section::Persistence, "persistence", true),
        (Section::Threads, "threads", true),
        (Section::Stats, "stats", true),
        (Section::Replication, "replication", true),
        (Section::Cpu, "cpu", true),
        (Section::Modules, "modules", true),
        (Section::Commandstats, "commandstats", false),
        (Section::Errorstats, "errorstats", true),
        (Section::Latencystats, "latencystats", false),
        (Section::Cluster, "cluster", true),
        (Section::Shards, "shards", true),
        (Section::Keyspace, "keyspace", true),
    ];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Which sections a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sections(u32);

impl Sections {
    /// Reads the arguments of INFO: section names, `default`, `all`, `everything`, in any case. Names that nobody
    /// knows ask for nothing; no argument at all means `default`.
    pub fn parse<'a>(args: impl Iterator<Item = &'a [u8]>) -> Self {
        let of = |wanted: &dyn Fn(&str, bool) -> bool| {
            Section::ALL.iter().filter(|(_, name, default)| wanted(name, *default)).fold(0, |all, s| all | s.0.bit())
        };
        let default = of(&|_, default| default);
        let mut none = true;
        let mut sections = 0;
        for arg in args {
            none = false;
            let asked = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
            sections |= match () {
                () if asked("default") => default,
                () if asked("all") || asked("everything") => of(&|_, _| true),
                () => of(&|name, _| asked(name)),
            };
        }
        Sections(if none { default } else { sections })
    }

    fn has(self, section: Section) -> bool {
        self.0 & section.bit() != 0
    }

    /// Whether per-command figures are asked for; gathering them can be spared otherwise.
    pub fn commands(self) -> bool {
        self.has(Section::Commandstats)
    }

    /// Whether latency percentiles are asked for; gathering them can be spared otherwise.
    pub fn latencies(self) -> bool {
        self.has(Section::Latencystats)
    }
}

/// INFO's text: the sections asked for, an empty line between them.
pub fn render(info: &InfoData, sections: Sections) -> String {
    let mut page = Page::default();
    for (section, _, _) in Section::ALL.iter().filter(|s| sections.has(s.0)) {
        match section {
            Section::Server => sections::server(&mut page, &info.server),
            Section::Clients => sections::clients(&mut page, &info.clients),
            Section::Memory => sections::memory(&mut page, &info.memory),
            Section::Persistence => sections::persistence(&mut page, &info.persistence),
            Section::Threads => sections::threads(&mut page, &info.shards),
            Section::Stats => sections::stats(&mut page, info),
            Section::Replication => sections::replication(&mut page, &info.replication),
            Section::Cpu => sections::cpu(&mut page, &info.cpu),
            Section::Modules => page.section("Modules"),
            Section::Commandstats => sections::commandstats(&mut page, &info.commands),
            Section::Errorstats => sections::errorstats(&mut page, &info.errors),
            Section::Latencystats => sections::latencystats(&mut page, &info.latencies),
            Section::Cluster => sections::cluster(&mut page, &info.cluster),
            Section::Shards => sections::shards(&mut page, &info.server, &info.shards),
            Section::Keyspace => sections::keyspace(&mut page, &info.keyspace),
        }
    }
    page.text
}

/// The text as it grows.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        self.text.push_str("# ");
        self.text.push_str(title);
        self.text.push_str("\r\n");
    }

    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    /// `ok` or `err`.
    fn status(&mut self, name: &str, failed: bool) {
        self.field(name, if failed { "err" } else { "ok" });
    }

    /// A duration, -1 if there was none.
    fn seconds(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(seconds) => self.field(name, seconds),
            None => self.field(name, -1),
        }
    }

    /// With two decimals.
    fn decimal(&mut self, name: &str, value: f64) {
        self.field(name, format_args!("{value:.2}"));
    }

    /// With two decimals and a percent sign.
    fn percent(&mut self, name: &str, value: f64) {
        self.field(name, format_args!("{value:.2}%"));
    }

    /// `name:bytes` and `name_human:...`.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.human(name, bytes);
    }

    fn human(&mut self, name: &str, bytes: u64) {
        let _ = write!(self.text, "{name}_human:{}\r\n", human_bytes(bytes));
    }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;

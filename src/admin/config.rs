//! The settings as users see them: read from a file and arguments at start, shown and changed by CONFIG, written back.
//! Applies nothing: it keeps [`Config`] current and names what changed; the server acts on it.
//!
//! ```text
//! arguments, redis.conf, stdin -> load -> ConfigStore -> current: Config -> every other part
//!                                          ^  |
//!                         CONFIG SET ------+  +---> CONFIG GET, CONFIG REWRITE
//! ```
//! What a setting is called, may be, and does is one row in [`table`].

pub mod load;
mod reference;
mod rewrite;
pub mod special;
pub mod table;
pub mod value;

use std::path::PathBuf;

use crate::base::config::{Allowed, Config};
use crate::base::glob;
use crate::commands::args::Args;
use crate::resp::reply::Reply;

use table::{Change, Setting, find, names, settings};
use value::Value;

pub use load::{Loaded, StartError, load};
pub use reference::reference;

/// All settings with their values. One per process, on the core that runs CONFIG.
#[derive(Debug, Clone)]
pub struct ConfigStore {
    /// The values other parts read. Only this store's own functions change it.
    pub current: Config,
    /// The configuration file the server was started with, absolute.
    pub file: Option<PathBuf>,
    /// One value per setting, as [`settings`] orders them.
    values: Vec<Value>,
}

/// What a CONFIG SET changed, and how to take it back.
#[derive(Debug)]
pub struct Changes {
    /// Names of the settings whose values are different now, each once.
    pub names: Vec<&'static str>,
    before: ConfigStore,
}

impl Default for ConfigStore {
    fn default() -> Self {
        let mut store = ConfigStore { current: Config::default(), file: None, values: Vec::new() };
        for (index, setting) in settings().iter().enumerate() {
            store.values.push(setting.default_value());
            store.fill(index);
        }
        store
    }
}

impl ConfigStore {
    /// CONFIG GET: names and values that match any of `patterns` (globs, in any case), in the order of their names; a
    /// plain name is shown as it was asked for. Hidden settings answer only to their plain names.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for (position, &(name, index)) in names().iter().enumerate() {
            let shown = patterns.iter().find_map(|pattern| {
                let plain = !pattern.iter().any(|byte| b"*?[".contains(byte));
                let hit = if plain {
                    pattern.eq_ignore_ascii_case(name.as_bytes())
                } else {
                    !settings()[index].hidden && glob::matches(pattern, name.as_bytes(), true)
                };
                // What equals a name but for its case is UTF-8.
                hit.then(|| if plain { String::from_utf8_lossy(pattern).into_owned() } else { name.to_string() })
            });
            if let Some(shown) = shown {
                found.push((position, shown));
            }
        }
        found.into_iter().map(|(position, shown)| (shown, self.values[names()[position].1].text())).collect()
    }

    /// CONFIG SET: `args` are names and values in turn; all are checked before the first takes effect. `local` says
    /// that the client is on this machine, which some settings ask for.
    ///
    /// # Errors
    /// The reply's text, with its `ERR`; then nothing has changed.
    pub fn set(&mut self, args: &[&[u8]], local: bool) -> Result<Changes, String> {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(crate::commands::errors::SYNTAX.into());
        }
        let mut targets: Vec<(usize, &[u8], &[u8])> = Vec::new();
        for pair in args.chunks_exact(2) {
            let index = find(pair[0]).ok_or_else(|| {
                let name = String::from_utf8_lossy(pair[0]);
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            })?;
            self.may_change(settings()[index], local).map_err(|why| refusal(pair[0], why))?;
            if targets.iter().any(|target| target.1.eq_ignore_ascii_case(pair[0])) {
                return Err(refusal(pair[0], "duplicate parameter"));
            }
            targets.push((index, pair[0], pair[1]));
        }
        let mut after = self.clone();
        for &(index, name, value) in &targets {
            // a bad value is told by the setting's own name, other faults by the name that was given, as in Redis
            let told = |why: String| refusal(&name.to_ascii_lowercase(), &why);
            let value = settings()[index].check(&[value], &after.values[index]).map_err(told)?;
            after.assign(index, value);
        }
        let mut changed: Vec<usize> = targets.iter().map(|target| target.0).collect();
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|&index| self.values[index] != after.values[index]);
        let names = changed.into_iter().map(|index| settings()[index].name).collect();
        Ok(Changes { names, before: std::mem::replace(self, after) })
    }

    /// Takes back what [`Self::set`] did, because it could not be put into effect.
    pub fn undo(&mut self, changes: Changes) {
        *self = changes.before;
    }

    /// CONFIG REWRITE.
    ///
    /// # Errors
    /// The reply's text, with its `ERR`; then the file is as it was.
    pub fn rewrite(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("ERR The server is running without a config file".into());
        };
        rewrite::rewrite(file, &self.values)
            .map_err(|error| format!("ERR Rewriting config file: {}", special::os_error(&error)))
    }

    /// Answers `CONFIG GET pattern...`; `args` are the whole request.
    pub fn answer_get(&self, args: &Args<'_>, reply: &mut Reply<'_>) {
        let patterns: Vec<&[u8]> = args.from(2).collect();
        let found = self.get(&patterns);
        reply.map(found.len());
        for (name, value) in found {
            reply.bulk(name.as_bytes());
            reply.bulk(&value);
        }
    }

    /// Answers `CONFIG SET name value...`. `apply` puts the changes into effect before the client hears of them; if it
    /// fails, they are taken back and its error (the name of the setting, the reason) is the answer.
    pub fn answer_set(
        &mut self,
        args: &Args<'_>,
        local: bool,
        reply: &mut Reply<'_>,
        apply: impl FnOnce(&Config, &[&'static str]) -> Result<(), (&'static str, String)>,
    ) {
        let pairs: Vec<&[u8]> = args.from(2).collect();
        let changes = match self.set(&pairs, local) {
            Ok(changes) => changes,
            Err(error) => return reply.error(&error),
        };
        match apply(&self.current, &changes.names) {
            Ok(()) => reply.ok(),
            Err((name, why)) => {
                self.undo(changes);
                reply.error(&refusal(name.as_bytes(), &why));
            }
        }
    }

    /// Answers `CONFIG REWRITE`.
    pub fn answer_rewrite(&self, reply: &mut Reply<'_>) {
        match self.rewrite() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&error),
        }
    }

    fn may_change(&self, setting: &Setting, local: bool) -> Result<(), &'static str> {
        let protected_too = match self.current.enable_protected_configs {
            Allowed::Yes => true,
            Allowed::Local => local,
            Allowed::No => false,
        };
        match setting.change {
            Change::AtStart => Err("can't set immutable config"),
            Change::Protected if !protected_too => Err("can't set protected config"),
            Change::Protected | Change::Anytime => Ok(()),
        }
    }

    fn assign(&mut self, index: usize, value: Value) {
        self.values[index] = value;
        self.fill(index);
    }

    fn fill(&mut self, index: usize) {
        if let Some(fill) = settings()[index].fill {
            fill(&mut self.current, &self.values[index]);
        }
    }
}

/// The reply when CONFIG SET fails for one setting; the server uses it too, when a value can not be put into effect.
pub fn refusal(name: &[u8], why: &str) -> String {
    let name = String::from_utf8_lossy(name);
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

//! `oom-score-adj`: how willing the kernel is to kill this process when memory runs out. Reads and writes one file of
//! /proc, and nothing else.

use crate::base::config::{Config, OomScoreAdj};
use std::fs;

const FILE: &str = "/proc/self/oom_score_adj";
/// What the kernel takes.
const SCORES: (i32, i32) = (-1000, 1000);

/// See the module. One per process.
#[derive(Debug, Default)]
pub struct OomScore {
    /// What was there before the first change, while there is one.
    found: Option<i32>,
}

impl OomScore {
    /// Puts the settings into effect. An error is what the log is to say; everything is as it was then.
    pub fn apply(&mut self, config: &Config) -> Result<(), String> {
        let value = config.oom_score_adj_values.first().copied().unwrap_or(0);
        let (found, wanted) = match (config.oom_score_adj, self.found) {
            (OomScoreAdj::No, None) => return Ok(()),
            (OomScoreAdj::No, Some(found)) => (None, found),
            (how, found) => {
                let found = found.map_or_else(read, Ok)?;
                let base = if how == OomScoreAdj::Absolute { 0 } else { found };
                (Some(found), base.saturating_add(value).clamp(SCORES.0, SCORES.1))
            }
        };
        fs::write(FILE, format!("{wanted}\n")).map_err(|error| format!("Unable to write oom_score_adj: {error}"))?;
        self.found = found;
        Ok(())
    }
}

fn read() -> Result<i32, String> {
    let text = fs::read_to_string(FILE).map_err(|error| format!("Unable to read oom_score_adj: {error}"))?;
    text.trim().parse().map_err(|_| "Unable to read oom_score_adj: not a number".to_string())
}

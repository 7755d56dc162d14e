//! What every layer may use: clocks, hashes, texts, limits, counters, settings. Knows nothing of Redis servers.

pub mod bytes;
pub mod clock;
pub mod config;
pub mod glob;
pub mod hash;
pub mod limits;
pub mod long_double;
pub mod stats;
pub mod text;
pub mod thin;
pub mod version;
pub mod words;

//! What version of Redis clients are told they talk to. Never Pinion's own version, which is Cargo's.

/// HELLO, INFO and whatever else names a Redis version say this one: clients choose what they send by it.
pub const REDIS_VERSION: &str = "7.4.0";

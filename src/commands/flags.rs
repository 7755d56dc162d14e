//! Words of the command table: what a command does to the server, to whom it may be forbidden, what it does to its
//! keys. Bits with the names that COMMAND INFO prints; never a rule about them.

/// Command flags, bits of [`flag`].
pub type Flags = u32;

/// What a command does to the server, as COMMAND INFO names it, in the order COMMAND INFO prints it.
pub mod flag {
    use super::Flags;

    /// May change keys.
    pub const WRITE: Flags = 1 << 0;
    /// Reads keys, changes none.
    pub const READONLY: Flags = 1 << 1;
    /// Refused when memory is over `maxmemory` and nothing can be evicted.
    pub const DENYOOM: Flags = 1 << 2;
    /// Belongs to a module.
    pub const MODULE: Flags = 1 << 3;
    /// For operators; refused to clients that may not administrate.
    pub const ADMIN: Flags = 1 << 4;
    /// Publish/subscribe.
    pub const PUBSUB: Flags = 1 << 5;
    /// Not from a script.
    pub const NOSCRIPT: Flags = 1 << 6;
    /// May wait for something.
    pub const BLOCKING: Flags = 1 << 7;
    /// Allowed while a data set loads.
    pub const LOADING: Flags = 1 << 8;
    /// Allowed on a replica whose link is down (`replica-serve-stale-data no`).
    pub const STALE: Flags = 1 << 9;
    /// Not shown to MONITOR.
    pub const SKIP_MONITOR: Flags = 1 << 10;
    /// Not entered in SLOWLOG or COMMANDLOG (`skip_slowlog`, in Valkey 8.1 and later `skip_commandlog`).
    pub const SKIP_SLOWLOG: Flags = 1 << 11;
    /// Implies ASKING for its own keys (RESTORE-ASKING).
    pub const ASKING: Flags = 1 << 12;
    /// O(1) or O(log N), latency class `fast-command`.
    pub const FAST: Flags = 1 << 13;
    /// Allowed before AUTH.
    pub const NO_AUTH: Flags = 1 << 14;
    /// No write, yet it may be sent to replicas (PUBLISH, EVAL). Not printed by COMMAND INFO.
    pub const MAY_REPLICATE: Flags = 1 << 15;
    /// Sentinel has it too.
    pub const SENTINEL: Flags = 1 << 16;
    /// Only Sentinel has it.
    pub const ONLY_SENTINEL: Flags = 1 << 17;
    /// Its key arguments may be none (EVAL).
    pub const NO_MANDATORY_KEYS: Flags = 1 << 18;
    /// Allowed while a script runs for too long.
    pub const ALLOW_BUSY: Flags = 1 << 19;
    /// `first, last, step` does not tell where its keys are.
    pub const MOVABLEKEYS: Flags = 1 << 20;
    /// Not inside MULTI.
    pub const NO_MULTI: Flags = 1 << 21;
    /// Not while data loads asynchronously (`no_async_loading`).
    pub const NO_ASYNC_LOADING: Flags = 1 << 22;
    /// Reaches keys that it does not name (SORT BY, SCAN, KEYS). Not printed by COMMAND INFO.
    pub const TOUCHES_ARBITRARY_KEYS: Flags = 1 << 23;
    /// Runs at once between MULTI and EXEC instead of being queued. Not printed by COMMAND INFO.
    pub const NOT_QUEUED: Flags = 1 << 24;
    /// O(1) without Redis's flag [`FAST`]. Not printed by COMMAND INFO.
    pub const BRIEF: Flags = 1 << 25;

    /// Sent by its own relay, it stores what the relay has found (SORT). Not printed by COMMAND INFO.
    pub const STORES_FOUND: Flags = 1 << 26;
    /// What it does on its turn in a transaction happens within the transaction's locks (MIGRATE). Not printed by
    /// COMMAND INFO.
    pub const WITHIN_LOCKS: Flags = 1 << 27;
    /// A command of the connection that may see and change every key (DEBUG): a transaction with it locks all. Not
    /// printed by COMMAND INFO.
    pub const LOCKS_ALL: Flags = 1 << 28;
    /// Makes a copy of its first key (COPY), or looks through it (VSIM): what is too large to be done with at once is
    /// fetched for it in steps, also on the key's own shard. Not printed by COMMAND INFO.
    pub const COPIES: Flags = 1 << 29;

    /// Bit and name as COMMAND INFO prints it; bits that are not printed are not here.
    pub const NAMES: &[(Flags, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (MODULE, "module"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLEKEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// ACL categories, bits of [`acl`].
pub type Categories = u32;

/// ACL categories, in the order ACL CAT prints them.
pub mod acl {
    use super::Categories;

    /// `@keyspace`: keys of any type, databases.
    pub const KEYSPACE: Categories = 1 << 0;
    /// `@read`.
    pub const READ: Categories = 1 << 1;
    /// `@write`.
    pub const WRITE: Categories = 1 << 2;
    /// `@set`.
    pub const SET: Categories = 1 << 3;
    /// `@sortedset`.
    pub const SORTEDSET: Categories = 1 << 4;
    /// `@list`.
    pub const LIST: Categories = 1 << 5;
    /// `@hash`.
    pub const HASH: Categories = 1 << 6;
    /// `@string`.
    pub const STRING: Categories = 1 << 7;
    /// `@bitmap`.
    pub const BITMAP: Categories = 1 << 8;
    /// `@hyperloglog`.
    pub const HYPERLOGLOG: Categories = 1 << 9;
    /// `@geo`.
    pub const GEO: Categories = 1 << 10;
    /// `@stream`.
    pub const STREAM: Categories = 1 << 11;
    /// `@pubsub`.
    pub const PUBSUB: Categories = 1 << 12;
    /// `@admin`.
    pub const ADMIN: Categories = 1 << 13;
    /// `@fast`.
    pub const FAST: Categories = 1 << 14;
    /// `@slow`: all that is not `@fast`.
    pub const SLOW: Categories = 1 << 15;
    /// `@blocking`.
    pub const BLOCKING: Categories = 1 << 16;
    /// `@dangerous`.
    pub const DANGEROUS: Categories = 1 << 17;
    /// `@connection`.
    pub const CONNECTION: Categories = 1 << 18;
    /// `@transaction`.
    pub const TRANSACTION: Categories = 1 << 19;
    /// `@scripting`.
    pub const SCRIPTING: Categories = 1 << 20;

    /// Bit and name.
    pub const NAMES: &[(Categories, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];

    /// The category called `name` (no `@`, any case).
    pub fn find(name: &[u8]) -> Option<Categories> {
        NAMES.iter().find(|(_, n)| n.as_bytes().eq_ignore_ascii_case(name)).map(|(bit, _)| *bit)
    }
}

/// Bits of [`key`].
pub type KeyFlags = u16;

/// What a command does to a key it names, as COMMAND INFO's key specifications name it, in the order they are printed.
pub mod key {
    use super::KeyFlags;

    /// Reads the value, changes nothing.
    pub const RO: KeyFlags = 1 << 0;
    /// Reads and changes the value.
    pub const RW: KeyFlags = 1 << 1;
    /// Overwrites the value without a look at it.
    pub const OW: KeyFlags = 1 << 2;
    /// Removes the key.
    pub const RM: KeyFlags = 1 << 3;
    /// Returns or copies the user's data.
    pub const ACCESS: KeyFlags = 1 << 4;
    /// Changes the user's data, possibly depending on what it was.
    pub const UPDATE: KeyFlags = 1 << 5;
    /// Adds data, changes or removes none.
    pub const INSERT: KeyFlags = 1 << 6;
    /// Removes data, perhaps all.
    pub const DELETE: KeyFlags = 1 << 7;
    /// Not a key though it is found like one.
    pub const NOT_KEY: KeyFlags = 1 << 8;
    /// The specification misses keys.
    pub const INCOMPLETE: KeyFlags = 1 << 9;
    /// The other flags depend on the arguments.
    pub const VARIABLE_FLAGS: KeyFlags = 1 << 10;

    /// Bit and name.
    pub const NAMES: &[(KeyFlags, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

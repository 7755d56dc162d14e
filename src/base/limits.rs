//! Every bound of the server, named. A bound that depends on another says so and is checked at compile time.

/// Bytes of a segment of a log (`aof-segment-size`), and the bounds of what it may be set to.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// See [`LOG_SEGMENT_BYTES`].
pub const LOG_SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// See [`LOG_SEGMENT_BYTES`].
pub const LOG_SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Segments that a rewrite made superfluous and that stay to be written over, for each shard.
pub const LOG_SPARES_PER_SHARD: u64 = 2;
/// Bytes of all of them.
pub const LOG_SPARE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const _: () = assert!(LOG_SPARE_BYTES_MAX >= LOG_SEGMENT_BYTES_MAX);
/// Segments of a log that are full and not synced yet; the next one fills beyond its size meanwhile.
pub const LOG_SEGMENTS_BEHIND_MAX: usize = 4;
/// Logical databases (`databases`, Redis's default).
pub const DATABASES_DEFAULT: usize = 16;
/// Longest inline command line, bytes (Redis PROTO_INLINE_MAX_SIZE).
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one command (Redis: 1024 * 1024).
pub const ARGS_MAX: i64 = 1024 * 1024;
/// Largest argument, bytes, unless `proto-max-bulk-len` says otherwise.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Arguments and multibulk counts allowed before authentication (Redis: 10 and 16384).
pub const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
/// See [`UNAUTHENTICATED_ARGS_MAX`].
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16384;
/// An argument at least this long is collected in a buffer of its own, which becomes the value.
pub const BIG_ARG_BYTES_MIN: usize = 32 * 1024;
/// A reply of a string at least this long is sent from the value itself.
pub const BIG_REPLY_BYTES_MIN: usize = 16 * 1024;
/// A value with at least this many bytes behind it is freed in a later step, not by the command that removed it.
pub const LAZY_FREE_BYTES_MIN: usize = 64 * 1024;
/// A run of a list longer than this is not compressed (`list-compress-depth`): it would take a millisecond.
pub const LIST_COMPRESS_BYTES_MAX: usize = 256 * 1024;
/// Commands and subcommands of the table; their numbers are `u16`, the greatest of which means none.
pub const COMMANDS_MAX: usize = 1024;
/// Most databases (`databases`). Redis sets no bound; each takes memory on every shard.
pub const DATABASES_MAX: usize = 16 * 1024;
/// Most shards (`shards`): the mesh has a queue for every ordered pair of them.
pub const SHARDS_MAX: usize = 256;
/// Most messages in one queue of the mesh (`mesh-depth`).
pub const MESH_DEPTH_MAX: usize = 64 * 1024;
/// Longest spin before a core sleeps, microseconds (`spin-us`).
pub const SPIN_US_MAX: i64 = 1_000_000;
/// Largest configuration file or standard input, bytes.
pub const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files within files (`include`).
pub const CONFIG_INCLUDE_DEPTH_MAX: usize = 16;
/// Files in all that one start reads through `include`.
pub const CONFIG_FILES_MAX: usize = 1024;
/// Argument bytes gathered for one other core before they are sent ahead of the tick's end.
pub const HOP_BATCH_BYTES_MAX: usize = 64 * 1024;
/// Commands gathered for one other core before they are sent ahead of the tick's end: it runs them in one of its own.
pub const HOP_BATCH_COMMANDS_MAX: usize = 128;
/// A connection idle for so long keeps no buffers, milliseconds.
pub const IDLE_BUFFERS_MS: u64 = 1000;
/// Replies that wait for those of the same pipeline that other cores owe, bytes; more leave ahead of them.
pub const HELD_OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// A connection whose unsent replies pass this is not read from until it drains.
pub const OUTPUT_PAUSE_BYTES: usize = 16 * 1024 * 1024;
/// A connection whose commands have to wait is not read from once it holds this many bytes of input.
pub const INPUT_PAUSE_BYTES: usize = 1024 * 1024;
/// Commands parsed from one connection before others get their turn.
pub const COMMANDS_PER_TURN: usize = 4096;
/// Bytes of one connection's input that are parsed before others get their turn, but for the last command.
pub const BYTES_PER_TURN: usize = 64 * 1024;
const _: () = assert!(BYTES_PER_TURN < INPUT_PAUSE_BYTES);
/// Commands, but for those of one connection, that are parsed before they run.
pub const COMMANDS_PER_BATCH: usize = 1024;
/// How long commands run in one tick before what else arrived is kept for the next one, microseconds.
pub const RUN_TICK_US: u64 = 1000;
/// How long they run before those that were parsed with them wait for the next tick too, microseconds.
pub const RUN_CUT_US: u64 = 2000;
const _: () = assert!(RUN_TICK_US < RUN_CUT_US);
/// Bytes of messages to subscribers that one tick may make before what there is has to be sent.
pub const PUSHED_BYTES_PER_TICK: usize = 64 * 1024 * 1024;
/// Bytes of replies that one tick makes, but for those of one connection, before what there is has to be sent.
pub const OUTPUT_BYTES_PER_TICK: usize = 256 * 1024;
/// Bytes of the output buffers that a core keeps for reuse.
pub const SPARE_OUTPUTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An output buffer that grew beyond this is freed after it was sent.
pub const SPARE_OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Replies that went are forgotten once they are so many bytes.
pub const PARKED_BYTES_KEPT: usize = 64 * 1024;
/// What a fresh output buffer holds without growing.
pub const OUTPUT_BYTES_START: usize = 16 * 1024;
/// Connections that one cron step looks at.
pub const CRON_CONNECTIONS: usize = 1024;
/// Messages of one other core that one tick takes.
pub const MESSAGES_PER_PEER: usize = 256;
/// Distinct error codes that INFO errorstats counts.
pub const ERROR_CODES_MAX: usize = 128;
/// Arguments of a command that a log keeps.
pub const NOTED_ARGS_MAX: usize = 32;
/// Transactions, locks and connections of each core that DEBUG TRANSACTIONS shows.
pub const DESCRIBED_MAX: usize = 64;
/// Memory reserved at once for an announced argument; beyond it the buffer grows as bytes arrive.
pub const BIG_ARG_RESERVE_MAX: usize = 64 * 1024 * 1024;
/// Bytes of keys and values, or of commands, in one parcel of a loader to a shard; a larger one has a parcel to itself.
pub const FEED_PARCEL_BYTES: usize = 128 * 1024;
/// Keys or commands in one parcel.
pub const FEED_PARCEL_ITEMS: usize = 1024;
/// Parcels that wait for one shard; a loader waits when there are so many.
pub const FEED_PARCELS_MAX: usize = 16;
/// Parcels that a shard unpacks in one tick.
pub const FEED_PARCELS_PER_TICK: usize = 4;
/// Threads with which one core migrates keys (MIGRATE); further ones wait.
pub const MIGRATIONS_PER_CORE: usize = 16;
/// Objects freed lazily in one tick.
pub const FREE_STEP_OBJECTS: usize = 64;
/// A shard that nobody has asked for anything for so long writes a snapshot as fast as it can, milliseconds.
pub const SNAPSHOT_IDLE_AFTER_MS: u64 = 3;
/// How long a shard writes a snapshot in one tick, microseconds: while nobody asks it for anything, and otherwise.
pub const SNAPSHOT_IDLE_TICK_US: u64 = 200;
/// See [`SNAPSHOT_IDLE_TICK_US`].
pub const SNAPSHOT_BUSY_TICK_US: u64 = 30;
/// A shard that is asked for things does nothing for a snapshot between two such steps for so long, microseconds.
pub const SNAPSHOT_BUSY_PAUSE_US: u64 = 150;
/// Bytes of a snapshot that are written between two looks at the clock, and the places looked at for them.
pub const SNAPSHOT_STEP_BYTES: usize = 1024;
/// See [`SNAPSHOT_STEP_BYTES`].
pub const SNAPSHOT_STEP_LOOKS: usize = 128;
/// Bytes of a snapshot that a shard hands to the writer at once.
pub const SNAPSHOT_PART_BYTES: usize = 64 * 1024;
/// Bytes behind a value from which on it is written in steps.
pub const SNAPSHOT_LONG_BYTES: usize = 64 * 1024;
/// Bytes behind a value from which on whoever wants to change it waits until the snapshot has written it. What has less
/// is written at once, within 3 ms.
pub const SNAPSHOT_HUGE_BYTES: usize = 1024 * 1024;
/// How long a shard writes values in one tick that somebody waits for, microseconds.
pub const SNAPSHOT_AWAITED_TICK_US: u64 = 500;
/// Values that one shard has written first because somebody waits for them, at a time; others are written at once.
pub const SNAPSHOT_AWAITED_MAX: u64 = 1024;
/// How long a shard copies large values in one tick, microseconds, and bytes between two looks at the clock.
pub const COPY_TICK_US: u64 = 500;
/// See [`COPY_TICK_US`].
pub const COPY_STEP_BYTES: usize = 32 * 1024;
/// Bytes that wait for the log, with which no more of a large value is journaled for now.
pub const RECORDED_AHEAD_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a snapshot that a shard keeps while the writer's queue is full; with more it waits for the writer.
pub const SNAPSHOT_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// With so many it does not go on even with values that somebody waits for.
pub const SNAPSHOT_AWAITED_BYTES_MAX: usize = SNAPSHOT_KEPT_BYTES_MAX / 2;
/// How long a shard waits for the writer in one tick, microseconds.
pub const SNAPSHOT_WAIT_US: u64 = 10_000;
/// Entries that one step of active expiry looks at.
pub const EXPIRE_STEP_ENTRIES: usize = 4096;
/// Replies of one connection that may be outstanding on other cores, or wait for one that is; its next command waits.
pub const PARKED_REPLIES_MAX: usize = 512;
/// Most draws with repetition of one command (ZRANDMEMBER and its like with a negative count). Redis sets no bound.
pub const RANDOM_MEMBERS_MAX: usize = 1 << 24;
/// Most components of a vector (VADD, VSIM; as Redis 8.4).
pub const VECTOR_DIM_MAX: usize = 64 * 1024;
/// Most products of one projection to fewer components (REDUCE): input times output components, some 30 ms.
pub const VECTOR_PROJECTION_MAX: usize = 1 << 24;
/// Bounds of `M`, the links of an element in a vector set's graph (Redis HNSW_MIN_M, HNSW_MAX_M).
pub const VECTOR_LINKS: std::ops::RangeInclusive<i64> = 4..=4096;
/// Highest `EF` that VADD and VSIM take (Redis).
pub const VECTOR_EF_MAX: i64 = 1_000_000;
/// Elements that a search of a vector set keeps on its way, whatever `EF` says; COUNT may ask for more.
pub const VECTOR_EF_KEPT_MAX: usize = 16 * 1024;
/// Elements whose links a search with FILTER follows, whatever FILTER-EF says.
pub const VECTOR_FILTER_STEPS_MAX: usize = 16 * 1024;
/// Longest FILTER expression, bytes.
pub const VECTOR_FILTER_BYTES_MAX: usize = 64 * 1024;

//! The append-only log: each shard's effects, in blocks that tell torn from whole. Never decides when to sync.
//!
//! ```text
//! appenddirname/
//!   appendfilename.pinion      the manifest: which files make up the log, oldest first
//!   appendfilename.R.S.N.log   run R, shard S, segment N from 0 on: blocks
//! segment  = block*                     what follows the last block of a segment is of no meaning
//! block    = header (64 bytes), payload, zeros up to the block's size
//! payload  = commands as RESP arrays; SELECT when the database changes; a cross-shard transaction's part between
//!            PINION.BEGIN id shard shard ... and PINION.END id; huge values in pieces: see `shard/recording.rs`
//! ```
//!
//! Segments that a rewrite made superfluous stay, a few of them, as `appendfilename.R.S.N.spare`, and are renamed when
//! a log needs its next one.
//!
//! Run and segment make the epoch that every block carries, so that what an earlier use of a recycled file left behind
//! is never taken for the log. The blocks of a run's shard are numbered from 0 without a gap.

pub mod block;
pub mod cut;
pub mod folder;
pub mod frontier;
pub mod log;
mod maker;
pub mod manifest;
pub mod others;
pub mod pieces;
pub mod read;
pub mod record;

//! The append-only log: each shard's effects, in blocks that tell torn from whole. Never decides when to sync.
//!
//! ```text
//! appenddirname/
//!   appendfilename.pinion      the manifest: which files make up the log, oldest first
//!   appendfilename.E.S.log     one segment: shard S's blocks of epoch E
//! segment  = block*                     what follows the last block of a segment is of no meaning
//! block    = header (64 bytes), payload, zeros up to the block's size
//! payload  = commands as RESP arrays; SELECT when the database changes; a cross-shard transaction's part between
//!            PINION.BEGIN id shard shard ... and PINION.END id
//! ```
//!
//! Every use of a segment file has an epoch of its own, written in every block: what an earlier use of a recycled file left
//! behind is never taken for the log. Blocks of one epoch are numbered from 0 without a gap.

pub mod block;
pub mod cut;
pub mod manifest;
pub mod record;

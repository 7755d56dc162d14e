//! What Pinion keeps on disk: formats and their recovery, as functions from bytes to bytes wherever that is possible.
//! Never runs a command and never talks to a client.

pub mod aof;
pub mod bulk;
pub mod load;
pub mod lock;
pub mod rdb;
pub mod rdb_save;

//! Checkpoints: what a shard's file and the manifest hold, and how they are read again.
//!
//! Pure: bytes in, bytes out. Who writes when, and what a complete checkpoint is, the master decides
//! (docs/adr/0005-checkpoints.md).
//!
//! - `names`: the names of the files.
//! - `file`: a shard's file as the manifest lists it.
//! - `snapshot`, `stored`: a shard's file, written and read.
//! - `assembly`: a shard's state from the files of any number of shards.
//! - `manifest`: one checkpoint as a whole.
//! - `cursor`: which samples are done.

mod assembly;
pub mod cursor;
mod file;
mod manifest;
pub mod names;
mod snapshot;
mod stored;

pub use assembly::{Assembly, Error as AssemblyError, RestoredShard, needed};
pub use file::{File, FileError};
pub use manifest::{JobState, MANIFEST_FORMAT, Manifest, ManifestError};
pub use snapshot::{FORMAT, Sessions, ShardSnapshot};
pub use stored::StoredShard;

#[cfg(test)]
mod tests;

//! Checkpoints: what a shard's file and the manifest hold, and how they are read again.
//!
//! Pure: bytes in, bytes out. Who writes when, and what a complete checkpoint is, the master decides
//! (docs/adr/0017-files-and-checkpoints.md).
//!
//! - `names`: the names of the files.
//! - `file`: a shard's file as the manifest lists it.
//! - `places`: what lies where in a shard's file; `header`, `tail`: what lies around its values.
//! - `written`, `stored`: a shard's file, written and read a chunk at a time.
//! - `assembly`: a shard's state from the files of any number of shards.
//! - `manifest`: one checkpoint as a whole.
//! - `contents`: what a folder holds, by names alone; `retention`: which of it is kept.
//! - `cursor`: which samples are done.

mod assembly;
mod contents;
pub mod cursor;
mod file;
mod header;
mod manifest;
pub mod names;
mod places;
mod retention;
mod stored;
mod tail;
mod written;

pub use assembly::{Assembly, Error as AssemblyError, RestoredShard};
pub use contents::{Contents, NamedFile};
pub use file::{File, FileError, check_files};
pub use header::FORMAT;
pub use manifest::{JobState, MANIFEST_FORMAT, Manifest, ManifestError};
pub use retention::Retention;
pub use stored::StoredShard;
pub use tail::{Remembered, Sessions};
pub use written::{Ends, WrittenShard};

#[cfg(test)]
mod tests;

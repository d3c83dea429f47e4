//! The journal: what happened to a shard since it was last written whole, so that it can be made again, bit for bit,
//! when its process is gone.
//!
//! Pure: bytes in, bytes out. Who writes them where, and when a push may be acknowledged, the server decides
//! (docs/adr/0037-journal.md).
//!
//! - `record`: one thing that happened.
//! - `fields`: numbers one after another.
//! - `batch`: records that reach the disk together, or not at all.
//! - `segment`: a file of batches; a journal is a chain of them.
//! - `base`: the shard as it was written whole, on which the segments from its number on stand.
//! - `end`: where one ends that was kept when its job was over. `checked`: text behind its checksum.

mod base;
mod batch;
mod checked;
mod end;
mod fields;
mod record;
mod segment;

pub use base::{BASE_FORMAT, Base, BaseError};
pub use batch::{BATCH_HEADER_BYTES, seal};
pub use end::JournalEnd;
pub use record::{ChunkRecord, ChunkResult, FenceRecord, PushRecord, Record, RecordError};
pub use segment::{SEGMENT_HEADER_BYTES, Segment, SegmentEnd, SegmentError, SegmentHeader, names};

/// Takes what happens to a shard, in the order in which it happens.
pub trait Append: Send + Sync {
    /// Writes down one thing. Called with the locks held that order it among others: it must neither wait nor call
    /// back.
    fn append(&self, record: &Record<'_>);
}

#[cfg(test)]
mod tests;

//! The weights of one shard, received into where they belong.

use crate::progress::Progress;
use ps_core::ids::{ChunkId, Version};
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, BulkReader, ChunkBuffer, ChunkBytes};
use ps_proto::v1;
use std::ops::Range;
use tonic::Status;

// The wire is little-endian; a big-endian machine would need a swap.
const _: () = assert!(cfg!(target_endian = "little"), "weights are received as they lie in memory");

/// One shard's part of the weights, to be written by a pull.
#[derive(Debug)]
pub struct PartMut<'a> {
    /// The shard's values.
    pub values: &'a mut [f32],
    /// Where the shard begins in the model.
    pub start: usize,
    /// The number in the model of its first chunk.
    pub first: ChunkId,
    /// Its chunks, as ranges of the model.
    pub chunks: &'a [Range<usize>],
    /// Their versions.
    pub versions: &'a mut [Version],
    /// How all of it was written when it was received once; `None` before.
    pub held_as: &'a mut Option<Encoding>,
}

impl PartMut<'_> {
    /// Whether chunks that are what they were at the start need not be sent.
    pub fn has_start(&self, encoding: Encoding) -> bool {
        *self.held_as == Some(encoding)
    }

    /// The places of chunks of the model among those of the shard, which may have none such.
    fn indices(&self, run: &Range<ChunkId>) -> Option<Range<usize>> {
        let first = run.start.checked_sub(self.first)? as usize;
        Some(first..first + run.len())
    }
}

/// What comes before the weights.
#[derive(Clone, Debug)]
pub enum FirstMessage {
    /// They follow at once.
    Header(v1::PullHeader),
    /// Of a `PushPull`: the push is applied, and the weights wait at the gate.
    Acknowledged(v1::PushReply),
}

/// Receives what comes first; while the gate holds it, the server says now and then that it does.
///
/// # Errors
/// The call failed, or something else came.
pub async fn first(
    messages: &mut BulkReader<v1::PullMessage>,
    progress: &Progress,
) -> Result<FirstMessage, Status> {
    loop {
        match messages.next().await? {
            Some(bulk::Item::Header(header)) => return Ok(FirstMessage::Header(header)),
            Some(bulk::Item::Acknowledged(reply)) => return Ok(FirstMessage::Acknowledged(reply)),
            Some(bulk::Item::End) => progress.advanced(),
            other => return Err(unexpected("weights", &other)),
        }
    }
}

/// Receives the header of the weights.
///
/// # Errors
/// The call failed, or something else came.
pub async fn header(
    messages: &mut BulkReader<v1::PullMessage>,
    progress: &Progress,
) -> Result<v1::PullHeader, Status> {
    match first(messages, progress).await? {
        FirstMessage::Header(header) => Ok(header),
        other => Err(unexpected("weights", &other)),
    }
}

/// Receives the weights, written like this: every chunk once, whole, in runs of any order; but those that are what
/// they were at the start, where the part has that. `received` is
/// told the bytes of each run, `acknowledged` what comes in between.
///
/// # Errors
/// The call failed, was cut short, or brought something else.
pub async fn values(
    messages: &mut BulkReader<v1::PullMessage>,
    part: &mut PartMut<'_>,
    encoding: Encoding,
    progress: &Progress,
    received: impl Fn(u64),
    mut acknowledged: impl FnMut(v1::PushReply),
) -> Result<(), Status> {
    let mut missing = vec![true; part.chunks.len()];
    let mut encoded = Vec::new();
    while let Some(came) = messages.next().await? {
        match came {
            bulk::Item::Chunk => {
                received(place(messages, part, &mut missing, encoding, &mut encoded).await?);
                progress.advanced();
            }
            bulk::Item::Acknowledged(reply) => acknowledged(reply),
            bulk::Item::Header(_) | bulk::Item::End => (),
        }
    }
    if part.has_start(encoding) {
        // What was received at version 0 and did not come is at version 0.
        missing
            .iter_mut()
            .zip(&*part.versions)
            .for_each(|(missing, version)| *missing &= *version > 0);
    }
    let (expected, found) = (missing.len(), missing.iter().filter(|missing| !**missing).count());
    if found != expected {
        // The stream was cut, or what is at version 0 there is not here: a new attempt brings all of it.
        *part.held_as = None;
        return Err(Status::aborted(format!("{found} of {expected} chunks came")));
    }
    *part.held_as = Some(encoding);
    Ok(())
}

/// A part as the memory for its chunks.
struct PartBuffer<'a, 'b> {
    part: &'a mut PartMut<'b>,
    missing: &'a [bool],
    encoding: Encoding,
    /// Where chunks are received that are still to be decoded.
    encoded: &'a mut Vec<u8>,
    /// For which chunks it was taken.
    taken: Option<Range<ChunkId>>,
}

impl PartBuffer<'_, '_> {
    /// Where these chunks belong, if all of them are missing and lie together.
    fn range(&self, run: &Range<ChunkId>) -> Option<Range<usize>> {
        let indices = self.part.indices(run)?;
        let chunks = self.part.chunks.get(indices.clone())?;
        let is_missing = self.missing.get(indices)?.iter().all(|missing| *missing);
        let (first, last) = (chunks.first()?, chunks.last()?);
        let start = self.part.start;
        is_missing.then(|| first.start - start..last.end - start)
    }
}

impl ChunkBuffer for PartBuffer<'_, '_> {
    // Decoding them, or copying them to where they belong, is the one pass that there is.
    const LEAVES_FRAMES: bool = true;

    fn bytes_max(&self, run: Range<ChunkId>) -> usize {
        self.range(&run).map_or(0, |range| self.encoding.encoded_bytes(range.len()))
    }

    async fn take(&mut self, run: Range<ChunkId>) -> Result<&mut [u8], Status> {
        let range = self.range(&run).unwrap_or_default();
        self.taken = Some(run);
        if self.encoding == Encoding::F32 {
            return Ok(bytemuck::cast_slice_mut(&mut self.part.values[range]));
        }
        self.encoded.resize(self.encoding.encoded_bytes(range.len()), 0);
        Ok(self.encoded)
    }
}

async fn place(
    messages: &mut BulkReader<v1::PullMessage>,
    part: &mut PartMut<'_>,
    missing: &mut [bool],
    encoding: Encoding,
    encoded: &mut Vec<u8>,
) -> Result<u64, Status> {
    let mut buffer = PartBuffer { part, missing, encoding, encoded, taken: None };
    let chunk = messages.chunk(&mut buffer).await?;
    let run = chunk.run();
    let expected = buffer.bytes_max(run.clone());
    // The numbers come ahead of the values, and may not change after them.
    let is_frame = matches!(chunk.values, ChunkBytes::Frame(_));
    let is_placed = is_frame || buffer.taken.as_ref() == Some(&run);
    let range = buffer.range(&run).filter(|_| is_placed && chunk.bytes() == expected);
    let (Some(range), Some(indices)) = (range, buffer.part.indices(&run)) else {
        let found = format!("chunks {run:?} of {} bytes", chunk.bytes());
        return Err(unexpected(&format!("missing chunks, here of {expected} bytes"), &found));
    };
    match &chunk.values {
        ChunkBytes::Frame(frame) => encoding.decode(frame, &mut buffer.part.values[range]),
        ChunkBytes::Buffer(_) if encoding == Encoding::F32 => (),
        ChunkBytes::Buffer(_) => encoding.decode(buffer.encoded, &mut buffer.part.values[range]),
    }
    part.versions[indices.clone()].fill(chunk.version);
    missing[indices].fill(false);
    Ok(expected as u64)
}

/// Something that a server of this protocol does not send; retrying would not help.
pub fn unexpected(expected: &str, found: &dyn std::fmt::Debug) -> Status {
    Status::failed_precondition(format!("found {found:?}, expected {expected}"))
}

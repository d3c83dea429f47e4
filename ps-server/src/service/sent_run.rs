//! Chunks that are sent as one: what they are and where they begin is said once.

use ps_core::chunk::Chunk;
use ps_core::ids::Version;
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use ps_core::shard::ModelShard;
use ps_kernels::encoding::Encoding;
use ps_proto::v1;
use std::ops::Range;
use tonic::codegen::Bytes;

/// Chunks of one version that lie together in a message.
pub(super) struct SentRun {
    indices: Range<usize>,
    version: Version,
    elements: usize,
    bytes: Range<usize>,
}

impl SentRun {
    /// A run of one chunk, whose values are here in the message.
    pub(super) fn new(index: usize, chunk: &Chunk, bytes: Range<usize>) -> Self {
        let (version, elements) = (chunk.version(), chunk.weights().len());
        Self { indices: index..index + 1, version, elements, bytes }
    }

    /// Whether both together are encoded as if they were one, and are of one kind.
    pub(super) fn goes_on_with(&self, next: &Self, model: &ModelShard, encoding: Encoding) -> bool {
        self.version == next.version
            && self.indices.end == next.indices.start
            && model.kind(self.indices.start) == model.kind(next.indices.start)
            && self.elements + next.elements <= CHUNK_ELEMENTS_MAX
            && encoding.joins(self.elements)
    }

    /// Makes both one.
    pub(super) fn add(&mut self, next: Self) {
        self.indices.end = next.indices.end;
        self.elements += next.elements;
        self.bytes.end = next.bytes.end;
    }

    /// The run as it is sent, given the bytes of the message.
    pub(super) fn into_values(self, model: &ModelShard, message: &Bytes) -> v1::ChunkValues {
        v1::ChunkValues {
            index: model.id(self.indices.start),
            chunks: self.indices.len() as u32,
            version: self.version,
            values: message.slice(self.bytes),
        }
    }
}

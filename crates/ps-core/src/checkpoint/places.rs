//! What lies where in a shard's file: it follows from the model and the number of shards alone.

use crate::ids::{ChunkId, ShardId};
use crate::model_spec::ModelSpec;
use crate::partition::Partition;
use std::ops::Range;

/// Bytes before the values: the header is known only when all else is written, so that it has room of
/// one size. It names a handful of tensors.
pub(super) const HEADER_BYTES: usize = 4096;

/// Where the values of one shard lie in its file: all weights, then all of each state vector, so that
/// whoever knows safetensors reads them by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    pub(super) shard: ShardId,
    pub(super) partition: Partition,
    /// State vectors of the optimizer.
    pub(super) slots: usize,
}

impl Places {
    /// Those of the file of this shard of so many, of a model that is perhaps held by another number.
    pub(super) fn new(spec: &ModelSpec, shard: ShardId, shards: u32) -> Self {
        let partition = Partition::new(&spec.layout, spec.chunk_elements, shards);
        Self { shard, partition, slots: spec.optimizer.slots() }
    }

    /// The chunks that the file holds.
    pub(super) fn chunks(&self) -> Range<ChunkId> {
        self.partition.run(self.shard)
    }

    /// Elements of the whole model that it holds.
    pub(super) fn elements(&self) -> Range<usize> {
        self.partition.range(self.shard)
    }

    /// Elements of one of its chunks.
    pub(super) fn chunk_elements(&self, chunk: ChunkId) -> usize {
        self.partition.elements(chunk).len()
    }

    /// Where a chunk's part of a vector begins: vector 0 is the weights, the others are state vectors.
    pub(super) fn values(&self, chunk: ChunkId, vector: usize) -> u64 {
        let all = self.elements();
        let before = vector * all.len() + self.partition.elements(chunk).start - all.start;
        (HEADER_BYTES + before * size_of::<f32>()) as u64
    }

    /// Where what follows the values begins.
    pub(super) fn tail(&self) -> u64 {
        (HEADER_BYTES + (1 + self.slots) * self.elements().len() * size_of::<f32>()) as u64
    }
}

//! The weights that a worker starts a shard with.

use super::{ModelShard, Origin};
use crate::chunk::{self, Chunk};
use crate::ids::{ChunkId, ShardId};
use crate::model_spec::ModelSpec;
use std::ops::Range;

/// Why start weights cannot be taken.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(
        "init of shard {shard}: found chunk {found} with {bytes} bytes, expected chunk {expected} whole with {expected_bytes}"
    )]
    Chunk { shard: ShardId, found: u32, bytes: usize, expected: u32, expected_bytes: usize },
    #[error("init of shard {shard}: found {found} chunks, expected {expected}")]
    Incomplete { shard: ShardId, found: usize, expected: usize },
    #[error(
        "init of shard {shard}: digest of the start weights {found:#010x}, expected {expected:#010x}"
    )]
    Digest { shard: ShardId, found: u32, expected: u32 },
    #[error("init of shard {shard}: {error}")]
    Weights { shard: ShardId, error: chunk::Error },
}

/// Start weights as they arrive, chunk by chunk in order.
pub struct InitialWeights {
    shard: ShardId,
    spec: ModelSpec,
    /// The next chunk.
    next: ChunkId,
    digest: u32,
    ranges: Vec<Range<usize>>,
    chunks: Vec<Chunk>,
    hasher: crc32fast::Hasher,
}

impl InitialWeights {
    /// None yet, of those of this shard that have this CRC-32 together.
    pub fn new(shard: ShardId, spec: ModelSpec, digest: u32) -> Self {
        let partition = spec.partition();
        let (next, ranges) = (partition.run(shard).start, partition.chunks(shard));
        let hasher = crc32fast::Hasher::new();
        Self { shard, spec, next, digest, ranges, chunks: Vec::new(), hasher }
    }

    /// Takes the next chunk: little-endian `f32`, at any alignment.
    ///
    /// # Errors
    /// It is not the next one, not whole, or not finite.
    pub fn add(&mut self, id: ChunkId, values: &[u8]) -> Result<(), Error> {
        let (shard, expected) = (self.shard, self.next);
        let length = self.ranges.get(self.chunks.len()).map_or(0, ExactSizeIterator::len);
        let expected_bytes = length * size_of::<f32>();
        if id != expected || length == 0 || values.len() != expected_bytes {
            let bytes = values.len();
            return Err(Error::Chunk { shard, found: id, bytes, expected, expected_bytes });
        }
        self.hasher.update(values);
        let (values, _) = values.as_chunks();
        let weights = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let chunk = Chunk::new(weights, &self.spec.optimizer)
            .map_err(|error| Error::Weights { shard, error })?;
        self.chunks.push(chunk);
        self.next += 1;
        Ok(())
    }

    /// The shard's part of the model, when all of it came.
    ///
    /// # Errors
    /// Chunks are missing, or they are not what was announced.
    pub fn finish(self) -> Result<ModelShard, Error> {
        let (shard, expected) = (self.shard, self.ranges.len());
        if self.chunks.len() != expected {
            return Err(Error::Incomplete { shard, found: self.chunks.len(), expected });
        }
        let (found, expected) = (self.hasher.finalize(), self.digest);
        if found != expected {
            return Err(Error::Digest { shard, found, expected });
        }
        Ok(ModelShard::new(shard, self.spec, Origin::Start(expected), self.chunks))
    }
}

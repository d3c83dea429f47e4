//! The model part that a shard holds: its chunks, each behind its own lock.

use bytes::Bytes;
use parking_lot::Mutex;
use ps_core::TensorKind;
use ps_core::chunk::Chunk;
use ps_core::ids::ShardId;
use ps_core::model_spec::ModelSpec;
use ps_proto::convert::data::{ELEMENT_BYTES, Payload};
use ps_proto::v1;
use std::ops::Range;

/// Why a start cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A payload that is not the next chunk, whole.
    #[error(
        "init of shard {shard}: found chunk {found} with {bytes} bytes, expected chunk {expected} whole with {expected_bytes}"
    )]
    Chunk {
        /// The shard.
        shard: ShardId,
        /// What came.
        found: u32,
        /// How long it was.
        bytes: usize,
        /// What should have come.
        expected: u32,
        /// How long that is.
        expected_bytes: usize,
    },
    /// The start ended early.
    #[error("init of shard {shard}: found {found} chunks, expected {expected}")]
    Incomplete {
        /// The shard.
        shard: ShardId,
        /// Chunks that came.
        found: usize,
        /// Chunks of the shard.
        expected: usize,
    },
    /// The start is not the one that the header announced.
    #[error(
        "init of shard {shard}: digest of the start weights {found:#010x}, expected {expected:#010x}"
    )]
    Digest {
        /// The shard.
        shard: ShardId,
        /// Of what came.
        found: u32,
        /// Of what was announced.
        expected: u32,
    },
    /// A weight that is not finite, or a chunk of impossible size.
    #[error("init of shard {shard}: {error}")]
    Weights {
        /// The shard.
        shard: ShardId,
        /// What the chunk says.
        error: ps_core::chunk::Error,
    },
}

/// Where a shard's part of the model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a worker; the CRC-32 of the start weights, which others must have too.
    Start(u32),
    /// From the checkpoint of this number; whatever a worker would start from, it takes this.
    Checkpoint(u64),
}

/// A shard's part of the model.
pub struct Held {
    /// What everybody agreed on.
    pub spec: ModelSpec,
    /// Where it comes from.
    pub origin: Origin,
    chunks: Vec<Mutex<Chunk>>,
    kinds: Vec<TensorKind>,
    elements: Vec<usize>,
}

impl Held {
    /// A part with these chunks, which are those of the model's cut.
    pub(super) fn new(shard: ShardId, spec: ModelSpec, origin: Origin, chunks: Vec<Chunk>) -> Self {
        let partition = spec.partition();
        let kind = |range: &Range<usize>| match partition.is_state(range.start) {
            true => TensorKind::State,
            false => TensorKind::Trainable,
        };
        let kinds = partition.chunks(shard).iter().map(kind).collect();
        let elements = chunks.iter().map(|chunk| chunk.weights().len()).collect();
        Self { spec, origin, chunks: chunks.into_iter().map(Mutex::new).collect(), kinds, elements }
    }

    /// What kind of tensors a chunk holds; none holds both.
    pub fn kind(&self, index: usize) -> TensorKind {
        self.kinds.get(index).copied().unwrap_or_default()
    }

    /// Elements of a chunk, which need no lock.
    pub fn elements(&self, index: usize) -> usize {
        self.elements.get(index).copied().unwrap_or(0)
    }

    /// Chunks of this shard.
    pub fn chunks(&self) -> &[Mutex<Chunk>] {
        &self.chunks
    }

    /// Bytes of weights.
    pub fn weight_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.lock().bytes().len() as u64).sum()
    }

    /// Sum of the chunks' versions.
    pub fn version_sum(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.lock().version()).sum()
    }

    /// One chunk's weights and version, read together; `copy` has the chunk's lock.
    pub fn read(&self, index: usize, copy: impl FnOnce(&Chunk) -> Bytes) -> v1::ChunkValues {
        let chunk = self.chunks[index].lock();
        let (index, version) = (index as u32, chunk.version());
        v1::ChunkValues { index, version, values: copy(&chunk) }
    }
}

/// A start as it arrives, chunk by chunk in order.
pub struct Start {
    shard: ShardId,
    spec: ModelSpec,
    start_digest: u32,
    ranges: Vec<Range<usize>>,
    chunks: Vec<Chunk>,
    hasher: crc32fast::Hasher,
}

impl Start {
    /// An empty start of this shard.
    pub fn new(shard: ShardId, spec: ModelSpec, start_digest: u32) -> Self {
        let ranges = spec.partition().chunks(shard);
        let hasher = crc32fast::Hasher::new();
        Self { shard, spec, start_digest, ranges, chunks: Vec::new(), hasher }
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// It is not the next one, not whole, or not finite.
    pub fn add(&mut self, payload: &Payload) -> Result<(), Error> {
        let expected = self.chunks.len();
        let length = self.ranges.get(expected).map_or(0, ExactSizeIterator::len);
        let whole = payload.spans.is_empty()
            && payload.positions.is_empty()
            && payload.values.len() == length * ELEMENT_BYTES;
        if payload.index as usize != expected || length == 0 || !whole {
            return Err(Error::Chunk {
                shard: self.shard,
                found: payload.index,
                bytes: payload.values.len(),
                expected: expected as u32,
                expected_bytes: length * ELEMENT_BYTES,
            });
        }
        self.hasher.update(&payload.values);
        let weights = payload.values.chunks_exact(ELEMENT_BYTES);
        let weights = weights.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let chunk = Chunk::new(weights, &self.spec.optimizer)
            .map_err(|error| Error::Weights { shard: self.shard, error })?;
        self.chunks.push(chunk);
        Ok(())
    }

    /// The shard's part, when all of it came.
    ///
    /// # Errors
    /// Chunks are missing, or it is not the start that was announced.
    pub fn finish(self) -> Result<Held, Error> {
        let (shard, expected) = (self.shard, self.ranges.len());
        if self.chunks.len() != expected {
            return Err(Error::Incomplete { shard, found: self.chunks.len(), expected });
        }
        let found = self.hasher.finalize();
        if found != self.start_digest {
            return Err(Error::Digest { shard, found, expected: self.start_digest });
        }
        let origin = Origin::Start(self.start_digest);
        Ok(Held::new(shard, self.spec, origin, self.chunks))
    }
}

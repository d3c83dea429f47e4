//! Pulled weights, with the versions of the chunks that they came from.

use ps_core::ids::{ChunkId, Clock, ShardId, Version};
use ps_core::model_spec::ModelSpec;
use ps_kernels::encoding::Encoding;
use ps_runtime::pull::PartMut;
use std::ops::Range;

/// The weights of the whole model at one pull.
#[derive(Clone, Debug)]
pub struct Weights {
    values: Vec<f32>,
    clock: Clock,
    shards: Vec<ShardWeights>,
}

/// What of them one shard holds.
#[derive(Clone, Debug)]
struct ShardWeights {
    range: Range<usize>,
    first: ChunkId,
    chunks: Vec<Range<usize>>,
    versions: Vec<Version>,
    held_as: Option<Encoding>,
}

impl Weights {
    /// The weights of a model: zeros until they are pulled.
    pub fn new(spec: &ModelSpec) -> Self {
        let partition = spec.partition();
        let of_shard = |shard: ShardId| {
            let chunks = partition.chunks(shard);
            let versions = vec![0; chunks.len()];
            let (range, first) = (partition.range(shard), partition.run(shard).start);
            ShardWeights { range, first, chunks, versions, held_as: None }
        };
        Self {
            values: vec![0.0; spec.layout.elements()],
            clock: 0,
            shards: (0..spec.shards).map(of_shard).collect(),
        }
    }

    /// The values in layout order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Takes the values of others of the same model, and what is known of them; its own stay where they lie in memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.values.copy_from_slice(&other.values);
        self.shards.clone_from(&other.shards);
        self.clock = other.clock;
    }

    /// The step that they are for.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// CRC-32 of the values, little-endian.
    pub fn digest(&self) -> u32 {
        crc32fast::hash(bytemuck::cast_slice(&self.values))
    }

    /// Says for which step they are.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// The part of the model that a shard holds.
    pub(crate) fn range(&self, shard: ShardId) -> Range<usize> {
        self.shards[shard as usize].range.clone()
    }

    /// A shard's chunks, with their numbers in the model.
    pub(crate) fn chunks(
        &self,
        shard: ShardId,
    ) -> impl Iterator<Item = (ChunkId, &Range<usize>, Version)> {
        let part = &self.shards[shard as usize];
        let chunks = (part.first..).zip(&part.chunks).zip(&part.versions);
        chunks.map(|((id, range), version)| (id, range, *version))
    }

    /// The shards' parts, side by side.
    pub(crate) fn parts(&mut self) -> Vec<PartMut<'_>> {
        let mut rest: &mut [f32] = &mut self.values;
        let mut parts = Vec::with_capacity(self.shards.len());
        for part in &mut self.shards {
            let (values, after) = rest.split_at_mut(part.range.len());
            rest = after;
            parts.push(PartMut {
                values,
                start: part.range.start,
                first: part.first,
                chunks: &part.chunks,
                versions: &mut part.versions,
                held_as: &mut part.held_as,
            });
        }
        parts
    }
}

/// Weights of one model that are not needed at the moment: received into, computed on, and received
/// into again.
pub struct WeightsPool {
    spec: ModelSpec,
    free: Vec<Weights>,
}

impl WeightsPool {
    /// An empty pool; weights are made when they are taken.
    pub fn new(spec: ModelSpec) -> Self {
        Self { spec, free: Vec::new() }
    }

    /// Weights to pull into; what is in them counts for nothing.
    ///
    /// There are as many as are taken at once: one in hand, and one for each pull under way. One
    /// that is lost with an exchange that was given up is made anew.
    pub fn take(&mut self) -> Weights {
        self.free.pop().unwrap_or_else(|| Weights::new(&self.spec))
    }

    /// Gives weights back.
    pub fn put(&mut self, weights: Weights) {
        self.free.push(weights);
    }
}

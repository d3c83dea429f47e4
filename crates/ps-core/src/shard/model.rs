//! The part of the model that a shard holds: its chunks, each behind its own lock.

use crate::TensorKind;
use crate::chunk::Chunk;
use crate::ids::{ChunkId, ShardId};
use crate::model_spec::{ModelSpec, Origin};
use crate::parameters::{self, RuleSpan};
use parking_lot::Mutex;
use std::ops::Range;

/// A shard's part of the model.
pub struct ModelShard {
    /// What everybody agreed on.
    pub spec: ModelSpec,
    /// Where it comes from.
    pub origin: Origin,
    /// The number of its first chunk in the whole model.
    first: ChunkId,
    chunks: Vec<Mutex<Chunk>>,
    kinds: Vec<TensorKind>,
    elements: Vec<usize>,
    /// Empty where the optimizer's rule is that of all elements.
    rules: Vec<Vec<RuleSpan>>,
}

impl ModelShard {
    /// A part with these chunks, which are those of the model's cut.
    pub(super) fn new(shard: ShardId, spec: ModelSpec, origin: Origin, chunks: Vec<Chunk>) -> Self {
        let partition = spec.partition();
        let kind = |range: &Range<usize>| match partition.is_state(range.start) {
            true => TensorKind::State,
            false => TensorKind::Trainable,
        };
        let (first, ranges) = (partition.run(shard).start, partition.chunks(shard));
        let kinds = ranges.iter().map(kind).collect();
        let spans = |range: &Range<usize>| parameters::spans(&spec.layout, &spec.rules, range);
        let rules = match spec.rules.is_empty() {
            true => Vec::new(),
            false => ranges.iter().map(spans).collect(),
        };
        let elements = chunks.iter().map(|chunk| chunk.weights().len()).collect();
        let chunks = chunks.into_iter().map(Mutex::new).collect();
        Self { spec, origin, first, chunks, kinds, elements, rules }
    }

    /// The number in the whole model of a chunk of this shard.
    pub fn id(&self, index: usize) -> ChunkId {
        self.first + index as ChunkId
    }

    /// The place in this shard of a chunk of the whole model, if it is held here.
    pub fn index(&self, id: ChunkId) -> Option<usize> {
        let index = id.checked_sub(self.first)? as usize;
        (index < self.chunks.len()).then_some(index)
    }

    /// What kind of tensors a chunk holds; none holds both.
    pub fn kind(&self, index: usize) -> TensorKind {
        self.kinds.get(index).copied().unwrap_or_default()
    }

    /// The rules of a chunk's elements; empty: the optimizer's for all.
    pub fn rules(&self, index: usize) -> &[RuleSpan] {
        self.rules.get(index).map_or(&[], Vec::as_slice)
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
        (self.elements.iter().sum::<usize>() * size_of::<f32>()) as u64
    }

    /// Bytes of weights and of what the optimizer remembers of them.
    pub fn state_bytes(&self) -> usize {
        self.weight_bytes() as usize * (1 + self.spec.optimizer.slots())
    }

    /// The version of the chunk that was updated most.
    pub fn updates(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.lock().version()).max().unwrap_or(0)
    }

    /// Sum of the chunks' versions.
    pub fn version_sum(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.lock().version()).sum()
    }
}

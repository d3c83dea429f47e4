//! The grid of chunks that a model is cut into, and which server holds which of them.
//!
//! The flat model is cut into global chunks of one size, the trainable elements and the state elements
//! each from their own beginning: a chunk never mixes both, because they are applied differently.
//! Tensors may straddle chunks. The size is chosen when the model is initialised and is part of its
//! spec, so that another number of servers changes who holds a chunk and nothing else. A shard is a run
//! of chunks. Everybody who knows the spec derives the same partition, so it never travels.

use crate::Layout;
use crate::ids::{ChunkId, ShardId};
use crate::limits::{CHUNK_ELEMENTS_FULL, CHUNK_ELEMENTS_MIN};
use std::ops::Range;

/// Servers over which a model is cut evenly, however few hold it when it is initialised.
const SERVERS_MIN: u32 = 8;

/// Chunks of a server when they are as many as the grid is made for: one more or less is a twentieth.
const CHUNKS_PER_SERVER: usize = 20;

/// Elements of a chunk of a model that is initialised on so many servers: the largest bytes of a server over
/// the mean are at most 1.05 on this number of servers, and on up to 8, where each has at least 5 KiB.
pub fn chunk_elements(elements: usize, servers: u32) -> u32 {
    let chunks = CHUNKS_PER_SERVER * servers.max(SERVERS_MIN) as usize;
    (elements / chunks).clamp(CHUNK_ELEMENTS_MIN, CHUNK_ELEMENTS_FULL) as u32
}

/// The cut of one model over a number of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    elements: usize,
    state_start: usize,
    chunk_elements: usize,
    shards: u32,
}

impl Partition {
    /// Cuts a model over `shards` servers (at least one), in chunks of so many elements (at least one).
    pub fn new(layout: &Layout, chunk_elements: u32, shards: u32) -> Self {
        Self {
            elements: layout.elements(),
            state_start: layout.state_start(),
            chunk_elements: chunk_elements.max(1) as usize,
            shards: shards.max(1),
        }
    }

    /// Number of servers.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// The shard's chunks, by their numbers in the whole model.
    pub fn run(&self, shard: ShardId) -> Range<ChunkId> {
        self.first(shard)..self.first(shard.saturating_add(1))
    }

    /// Elements of the whole model that a shard holds; empty when there are more servers than chunks.
    pub fn range(&self, shard: ShardId) -> Range<usize> {
        let run = self.run(shard);
        self.border(run.start)..self.border(run.end)
    }

    /// Chunks of a shard, as element ranges of the whole model, in order.
    pub fn chunks(&self, shard: ShardId) -> Vec<Range<usize>> {
        self.run(shard).map(|chunk| self.elements(chunk)).collect()
    }

    /// Elements of the whole model that a chunk has.
    pub fn elements(&self, chunk: ChunkId) -> Range<usize> {
        self.border(chunk)..self.border(chunk + 1)
    }

    /// Whether a chunk that starts at this element holds state tensors.
    pub fn is_state(&self, element: usize) -> bool {
        element >= self.state_start
    }

    /// Chunks of trainable elements.
    fn trainable_chunks(&self) -> ChunkId {
        self.state_start.div_ceil(self.chunk_elements) as ChunkId
    }

    /// The element that a chunk begins at.
    fn border(&self, chunk: ChunkId) -> usize {
        let trainable = self.trainable_chunks();
        let start = |chunks: ChunkId| chunks as usize * self.chunk_elements;
        match chunk.checked_sub(trainable) {
            None => start(chunk),
            Some(state) => (self.state_start + start(state)).min(self.elements),
        }
    }

    /// The first chunk of a shard: the one that begins nearest to where an even cut would be.
    fn first(&self, shard: ShardId) -> ChunkId {
        // u128: elements * shards may exceed 64 bits only in theory, but a panic is no answer.
        let product = self.elements as u128 * u128::from(shard.min(self.shards));
        let even = (product / u128::from(self.shards)) as usize;
        let before = match even.checked_sub(self.state_start) {
            None => (even / self.chunk_elements) as ChunkId,
            Some(state) => self.trainable_chunks() + (state / self.chunk_elements) as ChunkId,
        };
        let (start, end) = (self.border(before), self.border(before + 1));
        before + ChunkId::from(end.abs_diff(even) < even - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorSpec;
    use proptest::prelude::*;

    fn layout(sizes: &[usize]) -> Layout {
        let tensors = sizes.iter().enumerate();
        Layout::new(tensors.map(|(i, &n)| TensorSpec::trainable(format!("t{i:03}"), [n])).collect())
            .unwrap()
    }

    fn cut(layout: &Layout, shards: u32) -> Partition {
        Partition::new(layout, chunk_elements(layout.elements(), shards), shards)
    }

    /// Largest part over mean part, in bytes: 1.0 is perfect balance.
    fn imbalance(partition: &Partition) -> f64 {
        let ranges = (0..partition.shards).map(|shard| partition.range(shard).len());
        let largest = ranges.max().unwrap_or(0);
        largest as f64 * f64::from(partition.shards) / partition.elements as f64
    }

    /// Design 4.5: one tensor is 60 % of the model, and the cut is still even.
    #[test]
    fn balanced_when_one_tensor_is_most_of_the_model() {
        let layout = layout(&[401_408, 512, 262_144, 512, 5_120, 10]);
        assert!(layout.range(0).len() as f64 / layout.elements() as f64 > 0.59);
        for shards in 2..=8 {
            let imbalance = imbalance(&cut(&layout, shards));
            assert!(imbalance <= 1.05, "{shards} servers: {imbalance}");
        }
    }

    #[test]
    fn the_grid_is_that_of_the_design() {
        let sizes =
            [(1, 1, 64), (159_010, 3, 993), (25_600_000, 4, 65_520), (2_000_000, 100, 1000)];
        for (elements, servers, expected) in sizes {
            assert_eq!(chunk_elements(elements, servers), expected);
        }
    }

    #[test]
    fn a_scalar_model_and_more_servers_than_chunks() {
        let layout = layout(&[1]);
        let partition = cut(&layout, 5);
        let chunks: Vec<_> = (0..5).flat_map(|shard| partition.chunks(shard)).collect();
        assert_eq!(chunks, vec![0..1]);
    }

    #[test]
    fn no_chunk_mixes_trainable_and_state() {
        let state = |name: &str, n| TensorSpec {
            name: name.into(),
            shape: vec![n],
            kind: crate::TensorKind::State,
        };
        let layout = Layout::new(vec![TensorSpec::trainable("w", [10]), state("mean", 6)]).unwrap();
        let chunks = cut(&layout, 1).chunks(0);
        assert_eq!(chunks, vec![0..10, 10..16]);
    }

    proptest! {
        #[test]
        fn chunks_tile_the_model(
            sizes in prop::collection::vec(1_usize..200_000, 1..6),
            shards in 1_u32..12,
        ) {
            let layout = layout(&sizes);
            let partition = cut(&layout, shards);
            let mut next = 0;
            for chunk in (0..shards).flat_map(|shard| partition.chunks(shard)) {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_ELEMENTS_FULL);
                next = chunk.end;
            }
            prop_assert_eq!(next, layout.elements());
        }

        /// Whatever number of servers a model was initialised on, and is held by now.
        #[test]
        fn servers_hold_as_much_and_only_the_holder_of_a_chunk_changes(
            trainable in 1_usize..3_000_000,
            state in 0_usize..100_000,
            first in 1_u32..24,
            now in 1_u32..24,
        ) {
            let state = TensorSpec {
                name: "s".into(), shape: vec![state], kind: crate::TensorKind::State,
            };
            let trainable = TensorSpec::trainable("t", [trainable]);
            let tensors = [trainable, state].into_iter().filter(|t| t.shape[0] > 0).collect();
            let layout = Layout::new(tensors).unwrap();
            let size = chunk_elements(layout.elements(), first);
            let (then, now_cut) =
                (Partition::new(&layout, size, first), Partition::new(&layout, size, now));
            let all = |cut: &Partition| -> Vec<Range<usize>> {
                (0..cut.shards()).flat_map(|shard| cut.chunks(shard)).collect()
            };
            prop_assert_eq!(all(&then), all(&now_cut));
            let mean = layout.elements() as f64 / f64::from(now);
            let largest = (0..now).map(|shard| now_cut.range(shard).len()).max().unwrap() as f64;
            prop_assert!(largest <= mean + f64::from(size) + 1.0, "{largest} of {mean}");
            if now <= first.max(8) && mean >= 1280.0 {
                prop_assert!(largest <= 1.05 * mean, "{largest} of {mean}");
            }
        }
    }
}

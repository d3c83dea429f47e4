//! Which server holds which elements, and how its part is cut into chunks.
//!
//! The flat model is cut into S contiguous ranges whose sizes differ by at most one element, each
//! range into chunks of at most [`CHUNK_ELEMENTS_MAX`] elements. Tensors may straddle both. A chunk
//! never mixes trainable and state elements, because the two are applied differently. Everybody who
//! knows the layout and S derives the same partition, so it never travels.

use crate::Layout;
use crate::ids::ShardId;
use crate::limits::CHUNK_ELEMENTS_MAX;
use std::ops::Range;

/// The cut of one model over a number of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    elements: usize,
    state_start: usize,
    shards: u32,
}

impl Partition {
    /// Cuts a model over `shards` servers (at least one).
    pub fn new(layout: &Layout, shards: u32) -> Self {
        Self {
            elements: layout.elements(),
            state_start: layout.state_start(),
            shards: shards.max(1),
        }
    }

    /// Number of servers.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Elements of the whole model that a shard holds; empty when there are more servers than
    /// elements.
    pub fn range(&self, shard: ShardId) -> Range<usize> {
        let cut = |index: u32| {
            // u128: elements * shards may exceed 64 bits only in theory, but a panic is no answer.
            let product = self.elements as u128 * u128::from(index.min(self.shards));
            (product / u128::from(self.shards)) as usize
        };
        cut(shard)..cut(shard.saturating_add(1))
    }

    /// Chunks of a shard, as element ranges of the whole model, in order.
    pub fn chunks(&self, shard: ShardId) -> Vec<Range<usize>> {
        let range = self.range(shard);
        let border = self.state_start.clamp(range.start, range.end);
        let mut chunks = Vec::new();
        for part in [range.start..border, border..range.end] {
            chunks.extend(cut_evenly(part));
        }
        chunks
    }

    /// Whether a chunk that starts at this element holds state tensors.
    pub fn is_state(&self, element: usize) -> bool {
        element >= self.state_start
    }
}

/// Cuts a range into the fewest chunks of nearly equal size.
fn cut_evenly(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let pieces = range.len().div_ceil(CHUNK_ELEMENTS_MAX);
    (0..pieces).map(move |piece| {
        let cut = |index: usize| {
            range.start + (range.len() as u128 * index as u128 / pieces as u128) as usize
        };
        cut(piece)..cut(piece + 1)
    })
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
            let imbalance = imbalance(&Partition::new(&layout, shards));
            assert!(imbalance <= 1.05, "{shards} servers: {imbalance}");
        }
    }

    #[test]
    fn a_scalar_model_and_more_servers_than_chunks() {
        let layout = layout(&[1]);
        let partition = Partition::new(&layout, 5);
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
        let chunks = Partition::new(&layout, 1).chunks(0);
        assert_eq!(chunks, vec![0..10, 10..16]);
    }

    proptest! {
        #[test]
        fn chunks_tile_the_model(
            sizes in prop::collection::vec(1_usize..200_000, 1..6),
            shards in 1_u32..12,
        ) {
            let layout = layout(&sizes);
            let partition = Partition::new(&layout, shards);
            let mut next = 0;
            for chunk in (0..shards).flat_map(|shard| partition.chunks(shard)) {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_ELEMENTS_MAX);
                next = chunk.end;
            }
            prop_assert_eq!(next, layout.elements());
            if layout.elements() >= 1024 * shards as usize {
                prop_assert!(imbalance(&partition) <= 1.05);
            }
        }
    }
}

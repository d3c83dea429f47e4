//! Which chunks of a shard a push covers.

use crate::gradient::Gradient;
use crate::weights::Weights;
use bytes::Bytes;
use ps_core::TensorKind;
use ps_core::ids::{ChunkId, ShardId, Version};
use ps_core::span::Span;
use ps_proto::convert::data::ChunkPayload;
use std::ops::Range;

/// A chunk that a push covers, without its values.
#[derive(Clone, Debug)]
pub(crate) struct ChunkPlan {
    /// Of the chunk in the whole model.
    index: ChunkId,
    /// Within the model.
    pub(crate) range: Range<usize>,
    /// What of it is covered; none for all.
    spans: Vec<Span>,
    pulled_version: Version,
}

impl ChunkPlan {
    /// The chunk on the wire, still without its values.
    pub(crate) fn payload(&self) -> ChunkPayload {
        let Self { index, spans, pulled_version, .. } = self.clone();
        ChunkPayload { index, spans, pulled_version, values: Bytes::new(), positions: Bytes::new() }
    }

    /// Number of covered elements.
    pub(crate) fn elements(&self) -> usize {
        match self.spans.as_slice() {
            [] => self.range.len(),
            spans => spans.iter().map(|span| span.len as usize).sum(),
        }
    }

    /// The covered elements, as ranges of a shard that begins here in the model.
    pub(crate) fn covered(&self, shard_start: usize) -> impl Iterator<Item = Range<usize>> {
        let first = self.range.start - shard_start;
        let whole = self.spans.is_empty().then_some(first..first + self.range.len());
        let shifted = move |range: Range<usize>| first + range.start..first + range.end;
        whole.into_iter().chain(self.spans.iter().map(move |span| shifted(span.range())))
    }
}

/// The chunks of a shard that a gradient covers with tensors of one kind.
pub(crate) fn plan(
    gradient: &Gradient,
    weights: &Weights,
    shard: ShardId,
    kind: TensorKind,
) -> Vec<ChunkPlan> {
    let state = gradient.state_start();
    let of_kind = |range: &Range<usize>| (range.start >= state) == (kind == TensorKind::State);
    let chunks = weights.chunks(shard).filter(|(_, range, _)| of_kind(range));
    let planned = chunks.filter_map(|(index, range, pulled_version)| {
        let spans = gradient.spans(range)?;
        Some(ChunkPlan { index, range: range.clone(), spans, pulled_version })
    });
    planned.collect()
}

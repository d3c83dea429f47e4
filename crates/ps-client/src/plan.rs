//! Which chunks of a shard a push covers, and which of them travel as one.

use crate::gradient::Gradient;
use crate::weights::Weights;
use bytes::Bytes;
use ps_core::TensorKind;
use ps_core::ids::{ChunkId, ShardId, Version};
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use ps_core::span::Span;
use ps_proto::convert::data::ChunkPayload;
use std::ops::Range;

/// A run of chunks that a push covers, without its values; more than one are covered whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedRun {
    /// The first of the chunks.
    first: ChunkId,
    /// How many they are.
    pub(crate) chunks: u32,
    /// Within the model.
    pub(crate) range: Range<usize>,
    /// What of a single chunk is covered; none for all.
    spans: Vec<Span>,
    pulled_version: Version,
}

impl PlannedRun {
    /// The run on the wire, still without its values.
    pub(crate) fn payload(&self) -> ChunkPayload {
        let Self { first: index, chunks, spans, pulled_version, .. } = self.clone();
        let (values, positions) = (Bytes::new(), Bytes::new());
        ChunkPayload { index, chunks, spans, pulled_version, values, positions }
    }

    /// The chunks.
    pub(crate) fn run(&self) -> Range<ChunkId> {
        self.first..self.first + self.chunks
    }

    /// Whether the next chunk, behind the run in the model, can travel with it.
    fn goes_on_with(&self, next: &Self) -> bool {
        let is_whole = self.spans.is_empty() && next.spans.is_empty();
        is_whole
            && self.pulled_version == next.pulled_version
            && self.first + self.chunks == next.first
            && self.range.len() + next.range.len() <= CHUNK_ELEMENTS_MAX
    }

    fn add(&mut self, next: &Self) {
        self.chunks += next.chunks;
        self.range.end = next.range.end;
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
) -> Vec<PlannedRun> {
    let state = gradient.state_start();
    let of_kind = |range: &Range<usize>| (range.start >= state) == (kind == TensorKind::State);
    let mut runs: Vec<PlannedRun> = Vec::new();
    for (first, range, pulled_version) in weights.chunks(shard) {
        let Some(spans) = gradient.spans(range).filter(|_| of_kind(range)) else { continue };
        let next = PlannedRun { first, chunks: 1, range: range.clone(), spans, pulled_version };
        match runs.last_mut().filter(|run| run.goes_on_with(&next)) {
            Some(run) => run.add(&next),
            None => runs.push(next),
        }
    }
    runs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ps_core::correction::Correction;
    use ps_core::coverage::Coverage;
    use ps_core::model_spec::ModelSpec;
    use ps_core::{Layout, TensorSpec};
    use ps_kernels::optimizer::Optimizer;
    use std::sync::Arc;

    /// Chunks of 64: four of a, which the last shares with b, one more of b, and one of s.
    fn model() -> ModelSpec {
        let tensors = vec![
            TensorSpec::trainable("a", [200]),
            TensorSpec::trainable("b", [100]),
            TensorSpec { name: "s".into(), shape: vec![9], kind: TensorKind::State },
        ];
        ModelSpec {
            layout: Layout::new(tensors).unwrap(),
            optimizer: Optimizer::parse("sgd", None, None).unwrap(),
            rules: Vec::new(),
            correction: Correction::None,
            bound: None,
            chunk_elements: 64,
            shards: 1,
        }
    }

    fn runs(coverage: [Coverage; 3], versions: &[Version], kind: TensorKind) -> Vec<(u32, u32)> {
        let model = model();
        let mut weights = Weights::new(&model);
        weights.parts()[0].versions.copy_from_slice(versions);
        let gradient = Gradient::begin(Arc::new(model.layout), coverage.into(), 0.0);
        let runs = plan(&gradient, &weights, 0, kind);
        runs.iter().map(|run| (run.first, run.chunks)).collect()
    }

    #[test]
    fn chunks_of_one_version_that_are_covered_whole_travel_as_one() {
        let whole = || [Coverage::Whole, Coverage::Whole, Coverage::Whole];
        assert_eq!(runs(whole(), &[7; 6], TensorKind::Trainable), [(0, 5)]);
        assert_eq!(runs(whole(), &[7; 6], TensorKind::State), [(5, 1)]);
        let moved = [7, 7, 8, 8, 7, 7];
        assert_eq!(runs(whole(), &moved, TensorKind::Trainable), [(0, 2), (2, 2), (4, 1)]);
        let partly = [Coverage::Whole, Coverage::Absent, Coverage::Absent];
        assert_eq!(runs(partly, &[7; 6], TensorKind::Trainable), [(0, 3), (3, 1)]);
        let rows = [Coverage::Rows(vec![0, 130].into()), Coverage::Whole, Coverage::Absent];
        assert_eq!(runs(rows, &[7; 6], TensorKind::Trainable), [(0, 1), (2, 1), (3, 1), (4, 1)]);
    }
}

//! Where an update is worked out before the chunk takes it.

use crate::span::Span;
use ps_kernels::optimizer::SLOTS_MAX;
use std::ops::Range;
use std::sync::Arc;

/// Room for what an update makes of one chunk's weights and of the optimizer's state vectors.
///
/// Results are known to be finite only once all of them are computed, and a chunk takes all or
/// nothing. A chunk that takes them all swaps its memory for this: it is written once, as if in place,
/// and what it leaves is still in the processor's cache for the next one.
#[derive(Debug, Default)]
pub struct UpdateBuffer {
    /// Empty until they are needed, then as long as the chunk: those of a shard are, but for the last
    /// ones, all of one length.
    weights: Arc<Vec<f32>>,
    /// As the weights; one for each of the optimizer's state vectors.
    slots: [Vec<f32>; SLOTS_MAX],
}

impl UpdateBuffer {
    /// A part of the memory for the weights of a chunk of this length, and for so many state vectors; that
    /// of others is empty.
    pub(super) fn part(
        &mut self,
        length: usize,
        slots: usize,
        range: Range<usize>,
    ) -> [&mut [f32]; 1 + SLOTS_MAX] {
        if Arc::get_mut(&mut self.weights).is_none() {
            // A chunk's weights of before, which are still being sent.
            self.weights = Arc::default();
        }
        let [first, second] = &mut self.slots;
        let all = [(0, Arc::make_mut(&mut self.weights)), (1, first), (2, second)];
        all.map(|(number, values)| {
            if number > slots {
                return &mut [][..];
            }
            values.resize(length, 0.0);
            &mut values[range.clone()]
        })
    }

    /// Moves what was computed into one chunk's weights and state vectors: one result after another for
    /// the elements that the spans cover.
    pub(super) fn commit(
        &mut self,
        spans: &[Span],
        weights: &mut Arc<Vec<f32>>,
        slots: &mut [Vec<f32>],
    ) {
        if spans.is_empty() {
            std::mem::swap(weights, &mut self.weights);
            slots
                .iter_mut()
                .zip(&mut self.slots)
                .for_each(|(slot, after)| std::mem::swap(slot, after));
            return;
        }
        scatter(spans, &self.weights, Arc::make_mut(weights).as_mut_slice());
        slots.iter_mut().zip(&self.slots).for_each(|(slot, after)| scatter(spans, after, slot));
    }
}

fn scatter(spans: &[Span], mut results: &[f32], values: &mut [f32]) {
    for span in spans {
        let (here, rest) = results.split_at(span.range().len());
        values[span.range()].copy_from_slice(here);
        results = rest;
    }
}

//! Where an update is worked out before the chunk takes it.

use crate::span::Span;
use ps_kernels::optimizer::SLOTS_MAX;
use std::ops::Range;

/// Room for what an update makes of one chunk's weights and of the optimizer's state vectors.
///
/// Results are known to be finite only once all of them are computed, and a chunk takes all or
/// nothing. A chunk that takes them all swaps its memory for this: it is written once, as if in place,
/// and what it leaves is still in the processor's cache for the next one.
#[derive(Debug, Default)]
pub struct UpdateBuffer {
    /// Each empty until it is needed, then as long as the chunk: those of a shard are, but for the last
    /// ones, all of one length.
    values: [Vec<f32>; 1 + SLOTS_MAX],
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
        let mut needed = 1 + slots;
        self.values.each_mut().map(|values| {
            if needed == 0 {
                return &mut [][..];
            }
            needed -= 1;
            values.resize(length, 0.0);
            &mut values[range.clone()]
        })
    }

    /// Moves what was computed into `all`, the weights and then the state vectors of one chunk:
    /// one result after another for the elements that the spans cover.
    pub(super) fn commit<'a>(
        &mut self,
        spans: &[Span],
        all: impl Iterator<Item = &'a mut Vec<f32>>,
    ) {
        for (values, results) in all.zip(&mut self.values) {
            match spans {
                [] => std::mem::swap(values, results),
                spans => scatter(spans, results, values),
            }
        }
    }
}

fn scatter(spans: &[Span], mut results: &[f32], values: &mut [f32]) {
    for span in spans {
        let (here, rest) = results.split_at(span.range().len());
        values[span.range()].copy_from_slice(here);
        results = rest;
    }
}

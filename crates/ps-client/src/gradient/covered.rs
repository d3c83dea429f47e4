//! What of a gradient is in a chunk, and where it lies in memory.

use super::{Gradient, TensorValues};
use crate::pool::Floats;
use bytes::Bytes;
use ps_core::coverage::Coverage;
use ps_core::span::Span;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::Range;
use std::sync::Arc;

/// A run of covered elements.
struct CoveredRun {
    /// In the model.
    range: Range<usize>,
    tensor: usize,
    /// Where it begins among the tensor's covered elements.
    offset: usize,
}

impl Gradient {
    /// What of a chunk this gradient covers; `None` for nothing.
    pub(crate) fn spans(&self, chunk: &Range<usize>) -> Option<Vec<Span>> {
        let mut spans: Vec<Span> = Vec::new();
        for CoveredRun { range, .. } in self.runs(chunk) {
            let (start, len) = ((range.start - chunk.start) as u32, range.len() as u32);
            match spans.last_mut() {
                Some(last) if last.start + last.len == start => last.len += len,
                _ => spans.push(Span { start, len }),
            }
        }
        match spans.as_slice() {
            [] => None,
            [all] if all.len as usize == chunk.len() => Some(Vec::new()),
            _ => Some(spans),
        }
    }

    /// Whether all that is covered of a chunk is there.
    pub(crate) fn has_arrived(&self, chunk: &Range<usize>) -> bool {
        let there = |tensor: usize| {
            self.0.coverage[tensor] == Coverage::Absent || self.0.tensors[tensor].get().is_some()
        };
        self.0.layout.tensors_in(chunk).all(there)
    }

    /// The covered values of a chunk that is there, gathered in the buffer where they do not
    /// lie together.
    pub(crate) fn floats<'a>(
        &'a self,
        chunk: &Range<usize>,
        buffer: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let runs = self.runs(chunk);
        if let Some((values, range)) = self.together(&runs) {
            return &values.floats.values()[range];
        }
        buffer.clear();
        runs.iter().for_each(|run| buffer.extend_from_slice(self.values(run)));
        buffer
    }

    /// The covered values of a chunk that is there, as they lie in memory, aligned like floats.
    pub(crate) fn covered(&self, chunk: &Range<usize>) -> Bytes {
        let runs = self.runs(chunk);
        if let Some((values, range)) = self.together(&runs) {
            return values.bytes.slice(range.start * ELEMENT_BYTES..range.end * ELEMENT_BYTES);
        }
        let mut joined = Vec::new();
        runs.iter().for_each(|run| joined.extend_from_slice(self.values(run)));
        Floats::new(joined, None).into_bytes()
    }

    /// Covered runs of a chunk, in order.
    fn runs(&self, chunk: &Range<usize>) -> Vec<CoveredRun> {
        let mut runs = Vec::new();
        for tensor in self.0.layout.tensors_in(chunk) {
            let whole = self.0.layout.range(tensor);
            let mut add = |elements: Range<usize>, offset: usize| {
                let range = elements.start.max(chunk.start)..elements.end.min(chunk.end);
                if !range.is_empty() {
                    let offset = offset + range.start - elements.start;
                    runs.push(CoveredRun { range, tensor, offset });
                }
            };
            match &self.0.coverage[tensor] {
                Coverage::Absent => (),
                Coverage::Whole => add(whole, 0),
                Coverage::Rows(rows) => {
                    let width = self.row(tensor);
                    let start = |row: u32| whole.start + row as usize * width;
                    let first = rows.partition_point(|row| start(*row) + width <= chunk.start);
                    let end = rows.partition_point(|row| start(*row) < chunk.end);
                    for number in first..end.max(first) {
                        let begin = start(rows[number]);
                        add(begin..begin + width, number * width);
                    }
                }
            }
        }
        runs
    }

    /// The buffer and range of runs that lie together in one.
    fn together(&self, runs: &[CoveredRun]) -> Option<(&TensorValues, Range<usize>)> {
        let values = |run: &CoveredRun| self.0.tensors[run.tensor].get();
        let first_run = runs.first()?;
        let first = values(first_run)?;
        let begin = first.begin + first_run.offset;
        let mut end = begin;
        for run in runs {
            let here = values(run)?;
            if !Arc::ptr_eq(&here.floats, &first.floats) || here.begin + run.offset != end {
                return None;
            }
            end += run.range.len();
        }
        Some((first, begin..end))
    }

    fn values(&self, run: &CoveredRun) -> &[f32] {
        let values = self.0.tensors[run.tensor].get();
        let values = values.map(|values| &values.floats.values()[values.begin + run.offset..]);
        &values.unwrap_or_default()[..run.range.len()]
    }
}

//! A gradient on its way to the servers: bytes that every retry sends again, unchanged.
//!
//! It can begin to leave before it is finished: its tensors arrive one after another, and a chunk
//! can be sent when all that it covers is there.

use super::clip::clip_scale;
use super::spare::{Floats, Spare};
use crate::compute::Coverage;
use bytes::Bytes;
use ps_core::Layout;
use ps_core::span::Span;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// A gradient in layout order, which tensors it covers, and how much of it is there.
#[derive(Clone, Debug)]
pub struct Gradient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    layout: Arc<Layout>,
    coverage: Vec<Coverage>,
    loss: f32,
    parts: Vec<OnceLock<Part>>,
    /// Tensors that are covered and not there yet.
    missing: watch::Sender<usize>,
    spare: Spare,
}

/// The covered elements of a tensor: a part of a buffer.
#[derive(Clone, Debug)]
struct Part {
    floats: Arc<Floats>,
    /// The same memory.
    bytes: Bytes,
    /// First of the tensor's elements in it.
    begin: usize,
}

impl Part {
    fn new(floats: Arc<Floats>, begin: usize) -> Self {
        Self { bytes: Floats::bytes_of(floats.clone()), floats, begin }
    }
}

/// A run of covered elements.
struct Piece {
    /// In the model.
    range: Range<usize>,
    tensor: usize,
    /// Where it begins among the tensor's covered elements.
    offset: usize,
}

impl Gradient {
    /// A gradient of the whole model, without a copy; `present[i]` says whether tensor i has one. Of
    /// a state tensor it is the new value.
    pub fn new(layout: Arc<Layout>, values: Vec<f32>, present: Vec<bool>, loss: f64) -> Self {
        let coverage = |present: &bool| if *present { Coverage::Whole } else { Coverage::Absent };
        let coverage = present.iter().map(coverage).collect();
        let gradient = Self::begin(layout, coverage, loss);
        let whole = Part::new(Arc::new(Floats::new(values, None)), 0);
        for (tensor, _) in present.iter().enumerate().filter(|(_, present)| **present) {
            gradient.put(
                tensor,
                Part { begin: gradient.0.layout.range(tensor).start, ..whole.clone() },
            );
        }
        gradient
    }

    /// A gradient none of which is there yet: what of each tensor will come.
    pub fn begin(layout: Arc<Layout>, coverage: Vec<Coverage>, loss: f64) -> Self {
        Self::with_spare(layout, coverage, loss, Spare::default())
    }

    /// The same; buffers come back to `spare` when their values have arrived.
    pub(crate) fn with_spare(
        layout: Arc<Layout>,
        coverage: Vec<Coverage>,
        loss: f64,
        spare: Spare,
    ) -> Self {
        let parts = coverage.iter().map(|_| OnceLock::new()).collect();
        let missing = coverage.iter().filter(|coverage| **coverage != Coverage::Absent).count();
        let (missing, loss) = (watch::Sender::new(missing), loss as f32);
        Self(Arc::new(Shared { layout, coverage, loss, parts, missing, spare }))
    }

    /// The values of a tensor are there: as many as are covered. A second time they count for nothing.
    pub fn fill(&self, tensor: usize, values: Vec<f32>) {
        let is_whole = self.0.coverage[tensor] == Coverage::Whole;
        let spare = is_whole.then(|| self.0.spare.clone());
        self.put(tensor, Part::new(Arc::new(Floats::new(values, spare)), 0));
    }

    fn put(&self, tensor: usize, part: Part) {
        if self.0.parts[tensor].set(part).is_ok() {
            self.0.missing.send_modify(|missing| *missing -= 1);
        }
    }

    /// Whether all of it is there.
    pub(super) fn is_complete(&self) -> bool {
        *self.0.missing.borrow() == 0
    }

    /// Waits until all of it is there.
    pub(crate) async fn complete(&self) {
        // The sender lives as long as this does.
        let _ = self.0.missing.subscribe().wait_for(|missing| *missing == 0).await;
    }

    /// Tells whoever looks again when more is there.
    pub(super) fn arrivals(&self) -> watch::Receiver<usize> {
        self.0.missing.subscribe()
    }

    pub(super) fn loss(&self) -> f32 {
        self.0.loss
    }

    /// Whether state tensors have new values.
    pub(super) fn has_state(&self) -> bool {
        let state = self.0.layout.state_start();
        let tensors = self.0.coverage.iter().enumerate();
        tensors.rev().take_while(|(tensor, _)| self.0.layout.range(*tensor).start >= state).any(
            |(tensor, coverage)| {
                *coverage != Coverage::Absent && !self.0.layout.range(tensor).is_empty()
            },
        )
    }

    /// First element of the state tensors.
    pub(super) fn state_start(&self) -> usize {
        self.0.layout.state_start()
    }

    /// Scales the gradient, all of which is there and no part of which has left, so that its
    /// Euclidean norm is at most this; state tensors have no part in it.
    pub(crate) fn clip(self, norm_max: f64) -> Self {
        let state = self.state_start();
        let is_trained = |tensor: &usize| self.0.layout.range(*tensor).start < state;
        let trained = (0..self.0.parts.len()).filter(is_trained);
        let parts = trained.map(|tensor| self.tensor(tensor));
        let Some(scale) = clip_scale(parts, norm_max) else { return self };
        let Shared { layout, coverage, loss, spare, .. } = &*self.0;
        let (layout, coverage) = (layout.clone(), coverage.clone());
        let clipped = Self::with_spare(layout, coverage, f64::from(*loss), spare.clone());
        for (tensor, part) in self.0.parts.iter().enumerate() {
            let Some(part) = part.get() else { continue };
            if is_trained(&tensor) {
                let scaled = self.tensor(tensor).iter().map(|value| value * scale);
                clipped.fill(tensor, scaled.collect());
            } else {
                clipped.put(tensor, part.clone());
            }
        }
        clipped
    }

    /// The covered values of a tensor.
    fn tensor(&self, tensor: usize) -> &[f32] {
        let count = match &self.0.coverage[tensor] {
            Coverage::Absent => 0,
            Coverage::Whole => self.0.layout.range(tensor).len(),
            Coverage::Rows(rows) => rows.len() * self.row(tensor),
        };
        let part = self.0.parts[tensor].get();
        part.map_or(&[], |part| &part.floats.values()[part.begin..part.begin + count])
    }

    /// Elements in a row of a table.
    fn row(&self, tensor: usize) -> usize {
        self.0.layout.tensors()[tensor].shape.iter().skip(1).product()
    }

    /// What of a chunk this gradient covers; `None` for nothing.
    pub(super) fn spans(&self, chunk: &Range<usize>) -> Option<Vec<Span>> {
        let mut spans: Vec<Span> = Vec::new();
        for Piece { range, .. } in self.pieces(chunk) {
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
    pub(super) fn has(&self, chunk: &Range<usize>) -> bool {
        let there = |tensor: usize| {
            self.0.coverage[tensor] == Coverage::Absent || self.0.parts[tensor].get().is_some()
        };
        self.0.layout.tensors_in(chunk).all(there)
    }

    /// The covered values of a chunk that is there, gathered in the room where they do not lie
    /// together.
    pub(super) fn floats<'a>(&'a self, chunk: &Range<usize>, room: &'a mut Vec<f32>) -> &'a [f32] {
        let pieces = self.pieces(chunk);
        if let Some((part, range)) = self.together(&pieces) {
            return &part.floats.values()[range];
        }
        room.clear();
        pieces.iter().for_each(|piece| room.extend_from_slice(self.values(piece)));
        room
    }

    /// The covered values of a chunk that is there, as they lie in memory, aligned like floats.
    pub(super) fn covered(&self, chunk: &Range<usize>) -> Bytes {
        let pieces = self.pieces(chunk);
        if let Some((part, range)) = self.together(&pieces) {
            return part.bytes.slice(range.start * ELEMENT_BYTES..range.end * ELEMENT_BYTES);
        }
        let mut joined = Vec::new();
        pieces.iter().for_each(|piece| joined.extend_from_slice(self.values(piece)));
        Floats::new(joined, None).into_bytes()
    }

    /// Covered runs of a chunk, in order.
    fn pieces(&self, chunk: &Range<usize>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for tensor in self.0.layout.tensors_in(chunk) {
            let whole = self.0.layout.range(tensor);
            let mut add = |elements: Range<usize>, offset: usize| {
                let range = elements.start.max(chunk.start)..elements.end.min(chunk.end);
                if !range.is_empty() {
                    let offset = offset + range.start - elements.start;
                    pieces.push(Piece { range, tensor, offset });
                }
            };
            match &self.0.coverage[tensor] {
                Coverage::Absent => (),
                Coverage::Whole => add(whole, 0),
                Coverage::Rows(rows) => {
                    let width = self.row(tensor);
                    let place = |row: u32| whole.start + row as usize * width;
                    let first = rows.partition_point(|row| place(*row) + width <= chunk.start);
                    let end = rows.partition_point(|row| place(*row) < chunk.end);
                    for number in first..end.max(first) {
                        let begin = place(rows[number]);
                        add(begin..begin + width, number * width);
                    }
                }
            }
        }
        pieces
    }

    /// The buffer and range of pieces that lie together in one.
    fn together(&self, pieces: &[Piece]) -> Option<(&Part, Range<usize>)> {
        let part = |piece: &Piece| self.0.parts[piece.tensor].get();
        let first = pieces.first()?;
        let held = part(first)?;
        let begin = held.begin + first.offset;
        let mut end = begin;
        for piece in pieces {
            let here = part(piece)?;
            if !Arc::ptr_eq(&here.floats, &held.floats) || here.begin + piece.offset != end {
                return None;
            }
            end += piece.range.len();
        }
        Some((held, begin..end))
    }

    fn values(&self, piece: &Piece) -> &[f32] {
        let part = self.0.parts[piece.tensor].get();
        let values = part.map(|part| &part.floats.values()[part.begin + piece.offset..]);
        &values.unwrap_or_default()[..piece.range.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::TensorSpec;

    fn layout() -> Arc<Layout> {
        let tensors = [("a", vec![3]), ("b", vec![4, 2]), ("c", vec![2])];
        let tensors = tensors.map(|(name, shape)| TensorSpec::trainable(name, shape));
        Arc::new(Layout::new(tensors.into()).unwrap())
    }

    fn sent(gradient: &Gradient, chunk: Range<usize>) -> (Vec<(u32, u32)>, Vec<f32>) {
        let spans = gradient.spans(&chunk).unwrap();
        let values = gradient.covered(&chunk);
        let floats: Vec<f32> = bytemuck::cast_slice(&values).to_vec();
        assert_eq!(gradient.floats(&chunk, &mut Vec::new()), floats);
        (spans.iter().map(|span| (span.start, span.len)).collect(), floats)
    }

    #[test]
    fn a_chunk_can_leave_when_all_that_it_covers_is_there() {
        let coverage = vec![Coverage::Whole, Coverage::Absent, Coverage::Whole];
        let gradient = Gradient::begin(layout(), coverage, 0.5);
        assert!(!gradient.has(&(0..6)) && !gradient.has(&(6..13)) && gradient.has(&(4..9)));
        gradient.fill(2, vec![7.0, 8.0]);
        assert!(!gradient.has(&(0..6)) && gradient.has(&(6..13)) && !gradient.is_complete());
        assert_eq!(sent(&gradient, 6..13), (vec![(5, 2)], vec![7.0, 8.0]));
        gradient.fill(0, vec![1.0, 2.0, 3.0]);
        assert!(gradient.is_complete());
        assert_eq!(sent(&gradient, 0..13), (vec![(0, 3), (11, 2)], vec![1.0, 2.0, 3.0, 7.0, 8.0]));
        assert_eq!(gradient.spans(&(4..9)), None);
    }

    #[test]
    fn of_a_table_the_rows_leave_that_were_looked_up() {
        let coverage = vec![Coverage::Absent, Coverage::Rows([0, 2, 3].into()), Coverage::Whole];
        let gradient = Gradient::begin(layout(), coverage, 0.5);
        gradient.fill(1, vec![1.0, 2.0, 5.0, 6.0, 7.0, 8.0]);
        gradient.fill(2, vec![9.0, 9.5]);
        let values = vec![1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.5];
        assert_eq!(sent(&gradient, 0..13), (vec![(3, 2), (7, 6)], values));
        // A border within a row, and one between rows that lie together.
        assert_eq!(sent(&gradient, 4..8), (vec![(0, 1), (3, 1)], vec![2.0, 5.0]));
        assert_eq!(sent(&gradient, 8..9), (vec![], vec![6.0]));
    }

    #[test]
    fn clipping_scales_all_alike() {
        let present = vec![true, false, true];
        let mut values = vec![0.0; 13];
        (values[0], values[12]) = (3.0, 4.0);
        let gradient = Gradient::new(layout(), values, present, 0.0).clip(1.0);
        let (_, values) = sent(&gradient, 0..13);
        assert!((values[0] - 0.6).abs() < 1e-6 && (values[4] - 0.8).abs() < 1e-6);
    }
}

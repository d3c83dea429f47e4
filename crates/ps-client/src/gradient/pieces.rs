//! What of a gradient is in a chunk, and where it lies in memory.

use super::{Gradient, Part};
use crate::spare::Floats;
use bytes::Bytes;
use ps_core::coverage::Coverage;
use ps_core::span::Span;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::Range;
use std::sync::Arc;

/// A run of covered elements.
struct Piece {
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
    pub(crate) fn has(&self, chunk: &Range<usize>) -> bool {
        let there = |tensor: usize| {
            self.0.coverage[tensor] == Coverage::Absent || self.0.parts[tensor].get().is_some()
        };
        self.0.layout.tensors_in(chunk).all(there)
    }

    /// The covered values of a chunk that is there, gathered in the room where they do not lie
    /// together.
    pub(crate) fn floats<'a>(&'a self, chunk: &Range<usize>, room: &'a mut Vec<f32>) -> &'a [f32] {
        let pieces = self.pieces(chunk);
        if let Some((part, range)) = self.together(&pieces) {
            return &part.floats.values()[range];
        }
        room.clear();
        pieces.iter().for_each(|piece| room.extend_from_slice(self.values(piece)));
        room
    }

    /// The covered values of a chunk that is there, as they lie in memory, aligned like floats.
    pub(crate) fn covered(&self, chunk: &Range<usize>) -> Bytes {
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

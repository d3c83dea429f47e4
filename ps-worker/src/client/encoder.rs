//! Gradients as they travel to one shard, and what was left out of them so far.

use super::{Gradient, Weights};
use bytes::{Bytes, BytesMut};
use ps_core::ids::{ShardId, Version};
use ps_core::span::Span;
use ps_core::wire::{POSITION_BYTES, TopK, Wire, add_residual, kept, leave_residual};
use ps_proto::convert::data::Payload;
use std::ops::Range;

/// Encodes pushes to one shard; keeps its working memory, and what they left out.
pub(super) struct Encoder {
    wire: Wire,
    /// By element of the shard; empty where nothing is ever left out.
    residual: Vec<f32>,
    top_k: TopK,
    /// What is to be sent of one chunk.
    values: Vec<f32>,
    /// The values of it that are sent, where not all of them are; working memory after that.
    kept: Vec<f32>,
    /// Taken apart into payloads, and whole again when they are gone.
    bytes: BytesMut,
}

/// One chunk of a push.
struct Part<'a> {
    /// In the model.
    range: &'a Range<usize>,
    /// Where the shard begins in the model.
    shard_start: usize,
    spans: &'a [Span],
}

impl Part<'_> {
    /// The covered elements, as ranges of the shard.
    fn covered(&self) -> impl Iterator<Item = Range<usize>> {
        let first = self.range.start - self.shard_start;
        let whole = self.spans.is_empty().then_some(first..first + self.range.len());
        let shifted = move |range: Range<usize>| first + range.start..first + range.end;
        whole.into_iter().chain(self.spans.iter().map(move |span| shifted(span.range())))
    }
}

impl Encoder {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            residual: Vec::new(),
            top_k: TopK::default(),
            values: Vec::new(),
            kept: Vec::new(),
            bytes: BytesMut::new(),
        }
    }

    /// The payloads for the shard; chunks without a present tensor are left out.
    pub(super) fn payloads(
        &mut self,
        gradient: &Gradient,
        shard: ShardId,
        weights: &Weights,
    ) -> Vec<Payload> {
        let elements = weights.chunks(shard).map(|(range, _)| range.len()).sum();
        if self.wire.has_feedback() {
            self.residual.resize(elements, 0.0);
        }
        if !self.wire.is_plain() {
            let sent = self.wire.top_k.map_or(elements, |share| kept(share, elements));
            self.bytes.reserve(self.wire.push.encoded_bytes(sent));
        }
        let shard_start = weights.chunks(shard).next().map_or(0, |(range, _)| range.start);
        let chunks = (0_u32..).zip(weights.chunks(shard));
        chunks
            .filter_map(|(index, (range, version))| {
                let spans = gradient.spans(range)?;
                let (values, positions) = if self.wire.is_plain() {
                    (gradient.covered(range, &spans), Bytes::new())
                } else {
                    self.encode(gradient, &Part { range, shard_start, spans: &spans })
                };
                Some(payload(index, spans, version, values, positions))
            })
            .collect()
    }

    /// One chunk's values, and their positions where not all are sent.
    fn encode(&mut self, gradient: &Gradient, part: &Part<'_>) -> (Bytes, Bytes) {
        gradient.floats(part.range, part.spans, &mut self.values);
        if !self.wire.has_feedback() {
            return (encoded(&mut self.bytes, self.wire, &self.values), Bytes::new());
        }
        let mut done = 0;
        for range in part.covered() {
            let values = &mut self.values[done..done + range.len()];
            done += range.len();
            add_residual(values, &self.residual[range]);
        }
        let positions = match self.wire.top_k {
            None => &[],
            Some(share) => worthwhile(
                self.top_k.select(&self.values, kept(share, self.values.len())),
                self.values.len(),
                self.wire,
            ),
        };
        self.kept.clear();
        self.kept.extend(positions.iter().map(|position| self.values[usize::from(*position)]));
        let sent = if positions.is_empty() { &self.values } else { &self.kept };
        let sent = encoded(&mut self.bytes, self.wire, sent);
        leave_residual(&mut self.values, positions, self.wire.push, &sent, &mut self.kept);
        let positions = positions.iter().flat_map(|position| position.to_le_bytes()).collect();
        let mut done = 0;
        for range in part.covered() {
            let values = &self.values[done..done + range.len()];
            done += range.len();
            self.residual[range].copy_from_slice(values);
        }
        (sent, positions)
    }
}

/// The positions, or none where the values of all elements are fewer bytes.
fn worthwhile(positions: &[u16], elements: usize, wire: Wire) -> &[u16] {
    let dense = wire.push.encoded_bytes(elements);
    let sparse = wire.push.encoded_bytes(positions.len()) + positions.len() * POSITION_BYTES;
    if sparse < dense { positions } else { &[] }
}

fn encoded(room: &mut BytesMut, wire: Wire, values: &[f32]) -> Bytes {
    room.resize(wire.push.encoded_bytes(values.len()), 0);
    wire.push.encode(values, room);
    room.split().freeze()
}

fn payload(
    index: u32,
    spans: Vec<Span>,
    pulled_version: Version,
    values: Bytes,
    positions: Bytes,
) -> Payload {
    Payload { index, spans, values, pulled_version, positions }
}

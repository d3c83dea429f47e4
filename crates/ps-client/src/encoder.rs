//! Gradients as they travel to one shard, where an encoding leaves something of them for later.

use super::Gradient;
use super::planned::Planned;
use bytes::Bytes;
use ps_core::settings::Wire;
use ps_core::span::Span;
use ps_kernels::encoding::{Encoding, POSITION_BYTES, TopK, add_residual, kept, leave_residual};
use ps_proto::convert::data::ChunkPayload;
use std::mem::replace;
use std::ops::Range;
use std::sync::Arc;

/// Encodes pushes to one shard; keeps its working memory, and what they left out.
pub(super) struct Encoder {
    wire: Wire,
    /// By element of the shard.
    residual: Vec<f32>,
    top_k: TopK,
    /// What is to be sent of one chunk.
    values: Vec<f32>,
    /// The values of it that are sent, where not all of them are; working memory before and after.
    kept: Vec<f32>,
    /// One for each push under way, written again when its push is done.
    rooms: Vec<Arc<Room>>,
}

/// One push's encoded values, chunk after chunk.
#[derive(Default)]
struct Room {
    bytes: Vec<u8>,
    filled: usize,
}

impl Room {
    /// Encodes values behind those that it holds; where they are.
    fn append(&mut self, encoding: Encoding, values: &[f32]) -> Range<usize> {
        let end = self.filled + encoding.encoded_bytes(values.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let begin = replace(&mut self.filled, end);
        encoding.encode(values, &mut self.bytes[begin..end]);
        begin..end
    }
}

/// A room as the payloads share it.
struct Shared(Arc<Room>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes[..self.0.filled]
    }
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
            rooms: Vec::new(),
        }
    }

    /// The payloads for these chunks of a shard; every attempt sends the same bytes.
    pub(super) fn payloads(
        &mut self,
        gradient: &Gradient,
        chunks: &[Planned],
        shard: Range<usize>,
    ) -> Vec<ChunkPayload> {
        self.residual.resize(shard.len(), 0.0);
        let mut room = self.unused_room();
        let encoded = chunks.iter().map(|chunk| {
            let Planned { range, spans, .. } = chunk;
            let part = Part { range, shard_start: shard.start, spans };
            let (values, positions) = self.encode(gradient, &part, &mut room);
            (values, ChunkPayload { positions, ..chunk.payload() })
        });
        let encoded: Vec<_> = encoded.collect();
        let room = Arc::new(room);
        let sent = Bytes::from_owner(Shared(room.clone()));
        self.rooms.push(room);
        let whole = |(values, payload)| ChunkPayload { values: sent.slice(values), ..payload };
        encoded.into_iter().map(whole).collect()
    }

    /// The room of a push that is done, or a new one.
    fn unused_room(&mut self) -> Room {
        let unused = self.rooms.iter().position(|room| Arc::strong_count(room) == 1);
        let unused = unused.map(|position| self.rooms.swap_remove(position));
        let bytes = unused.and_then(Arc::into_inner).map(|room| room.bytes);
        Room { bytes: bytes.unwrap_or_default(), filled: 0 }
    }

    /// Where one chunk's values are in the room, and their positions where not all are sent.
    fn encode(
        &mut self,
        gradient: &Gradient,
        part: &Part<'_>,
        room: &mut Room,
    ) -> (Range<usize>, Bytes) {
        let encoding = self.wire.push;
        let floats = gradient.floats(part.range, &mut self.kept);
        self.values.clear();
        self.values.extend_from_slice(floats);
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
        let sent = room.append(encoding, sent);
        let bytes = &room.bytes[sent.clone()];
        leave_residual(&mut self.values, positions, encoding, bytes, &mut self.kept);
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

//! Gradients as they travel to one shard, where an encoding leaves something of them for later.

use crate::gradient::Gradient;
use crate::plan::PlannedRun;
use bytes::Bytes;
use ps_core::settings::Wire;
use ps_kernels::encoding::{Encoding, POSITION_BYTES, TopK, add_residual, kept, leave_residual};
use ps_proto::convert::data::ChunkPayload;
use std::mem::replace;
use std::ops::Range;
use std::sync::Arc;

/// Encodes pushes to one shard; keeps its working memory, and what they left out.
pub(crate) struct Encoder {
    wire: Wire,
    /// By element of the shard.
    residual: Vec<f32>,
    top_k: TopK,
    /// What is to be sent of one chunk.
    values: Vec<f32>,
    /// The values of it that are sent, where not all of them are; working memory before and after.
    kept: Vec<f32>,
    /// One for each push under way, written again when its push is done.
    buffers: Vec<Arc<EncodedValues>>,
}

/// One push's encoded values, chunk after chunk.
#[derive(Default)]
struct EncodedValues {
    bytes: Vec<u8>,
    filled: usize,
}

impl EncodedValues {
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

/// Encoded values as the payloads share them.
struct SharedValues(Arc<EncodedValues>);

impl AsRef<[u8]> for SharedValues {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes[..self.0.filled]
    }
}

impl Encoder {
    pub(crate) fn new(wire: Wire) -> Self {
        Self {
            wire,
            residual: Vec::new(),
            top_k: TopK::default(),
            values: Vec::new(),
            kept: Vec::new(),
            buffers: Vec::new(),
        }
    }

    /// The payloads for these chunks of a shard; every attempt sends the same bytes.
    pub(crate) fn payloads(
        &mut self,
        gradient: &Gradient,
        chunks: &[PlannedRun],
        shard: Range<usize>,
    ) -> Vec<ChunkPayload> {
        self.residual.resize(shard.len(), 0.0);
        let mut buffer = self.unused_buffer();
        let encoded = chunks.iter().map(|chunk| {
            let (values, positions) = self.encode(gradient, chunk, shard.start, &mut buffer);
            (values, ChunkPayload { positions, ..chunk.payload() })
        });
        let encoded: Vec<_> = encoded.collect();
        let buffer = Arc::new(buffer);
        let sent = Bytes::from_owner(SharedValues(buffer.clone()));
        self.buffers.push(buffer);
        let whole = |(values, payload)| ChunkPayload { values: sent.slice(values), ..payload };
        encoded.into_iter().map(whole).collect()
    }

    /// The buffer of a push that is done, or a new one.
    fn unused_buffer(&mut self) -> EncodedValues {
        let unused = self.buffers.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let unused = unused.map(|position| self.buffers.swap_remove(position));
        let bytes = unused.and_then(Arc::into_inner).map(|buffer| buffer.bytes);
        EncodedValues { bytes: bytes.unwrap_or_default(), filled: 0 }
    }

    /// Where one chunk's values are in the buffer, and their positions where not all are sent.
    fn encode(
        &mut self,
        gradient: &Gradient,
        chunk: &PlannedRun,
        shard_start: usize,
        buffer: &mut EncodedValues,
    ) -> (Range<usize>, Bytes) {
        let encoding = self.wire.push;
        let floats = gradient.floats(&chunk.range, &mut self.kept);
        self.values.clear();
        self.values.extend_from_slice(floats);
        let mut done = 0;
        for range in chunk.covered(shard_start) {
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
        let sent = buffer.append(encoding, sent);
        let bytes = &buffer.bytes[sent.clone()];
        leave_residual(&mut self.values, positions, encoding, bytes, &mut self.kept);
        let positions = positions.iter().flat_map(|position| position.to_le_bytes()).collect();
        let mut done = 0;
        for range in chunk.covered(shard_start) {
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

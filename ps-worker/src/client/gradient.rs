//! A gradient on its way to the servers: bytes that every retry sends again, unchanged.

use super::Weights;
use bytes::{Bytes, BytesMut};
use ps_core::Layout;
use ps_core::ids::ShardId;
use ps_core::partition::covered_spans;
use ps_proto::convert::data::{ELEMENT_BYTES, Payload};
use std::ops::Range;
use std::sync::Arc;

/// A gradient in layout order, and which tensors it covers.
#[derive(Clone, Debug)]
pub struct Gradient {
    layout: Arc<Layout>,
    values: Bytes,
    present: Arc<[bool]>,
    loss: f32,
}

/// Floats as the bytes they are: little-endian on every machine that this runs on.
struct FloatBytes(Vec<f32>);

// The wire is little-endian; a big-endian machine would need a swap on both ends.
const _: () = assert!(cfg!(target_endian = "little"), "gradients are sent as they lie in memory");

impl AsRef<[u8]> for FloatBytes {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Gradient {
    /// A gradient of the whole model, without a copy; `present[i]` says whether tensor i has one.
    pub fn new(layout: Arc<Layout>, values: Vec<f32>, present: Vec<bool>, loss: f64) -> Self {
        Self {
            layout,
            values: Bytes::from_owner(FloatBytes(values)),
            present: present.into(),
            loss: loss as f32,
        }
    }

    pub(super) fn loss(&self) -> f32 {
        self.loss
    }

    /// The payloads for one shard; chunks without a present tensor are left out.
    pub(super) fn payloads(&self, shard: ShardId, weights: &Weights) -> Vec<Payload> {
        let chunks = (0_u32..).zip(weights.chunks(shard));
        chunks
            .filter_map(|(index, (range, pulled_version))| {
                let spans = covered_spans(&self.layout, &self.present, range)?;
                let values = self.covered(range, &spans);
                Some(Payload { index, spans, values, pulled_version })
            })
            .collect()
    }

    fn covered(&self, chunk: &Range<usize>, spans: &[ps_core::span::Span]) -> Bytes {
        let bytes = |start: usize, end: usize| {
            self.values.slice(start * ELEMENT_BYTES..end * ELEMENT_BYTES)
        };
        let part = |span: &ps_core::span::Span| {
            let start = chunk.start + span.start as usize;
            bytes(start, start + span.len as usize)
        };
        match spans {
            [] => bytes(chunk.start, chunk.end),
            [one] => part(one),
            many => {
                let mut joined = BytesMut::new();
                many.iter().for_each(|span| joined.extend_from_slice(&part(span)));
                joined.freeze()
            }
        }
    }
}

//! A gradient on its way to the servers: bytes that every retry sends again, unchanged.

use bytes::Bytes;
use ps_core::Layout;
use ps_core::partition::covered_spans;
use ps_core::span::Span;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::Range;
use std::sync::Arc;

/// A gradient in layout order, and which tensors it covers.
#[derive(Clone, Debug)]
pub struct Gradient {
    layout: Arc<Layout>,
    floats: Arc<Vec<f32>>,
    /// The same memory.
    values: Bytes,
    present: Arc<[bool]>,
    loss: f32,
}

/// Floats as the bytes they are: little-endian on every machine that this runs on.
struct FloatBytes(Arc<Vec<f32>>);

// The wire is little-endian; a big-endian machine would need a swap on both ends.
const _: () = assert!(cfg!(target_endian = "little"), "gradients are sent as they lie in memory");

impl AsRef<[u8]> for FloatBytes {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self.0.as_slice())
    }
}

impl Gradient {
    /// A gradient of the whole model, without a copy; `present[i]` says whether tensor i has one.
    pub fn new(layout: Arc<Layout>, values: Vec<f32>, present: Vec<bool>, loss: f64) -> Self {
        let floats = Arc::new(values);
        Self {
            layout,
            values: Bytes::from_owner(FloatBytes(floats.clone())),
            floats,
            present: present.into(),
            loss: loss as f32,
        }
    }

    pub(super) fn loss(&self) -> f32 {
        self.loss
    }

    /// What of a chunk this gradient covers; `None` for nothing.
    pub(super) fn spans(&self, chunk: &Range<usize>) -> Option<Vec<Span>> {
        covered_spans(&self.layout, &self.present, chunk)
    }

    /// The values of a chunk that spans cover, gathered in the room where they do not lie together.
    pub(super) fn floats<'a>(
        &'a self,
        chunk: &Range<usize>,
        spans: &[Span],
        room: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let values = &self.floats[chunk.clone()];
        match spans {
            [] => values,
            some => {
                room.clear();
                some.iter().for_each(|span| room.extend_from_slice(&values[span.range()]));
                room
            }
        }
    }

    /// The values of a chunk that spans cover, as they lie in memory, aligned like floats.
    pub(super) fn covered(&self, chunk: &Range<usize>, spans: &[Span]) -> Bytes {
        let bytes = |start: usize, end: usize| {
            self.values.slice(start * ELEMENT_BYTES..end * ELEMENT_BYTES)
        };
        let part = |span: &Span| {
            let start = chunk.start + span.start as usize;
            bytes(start, start + span.len as usize)
        };
        match spans {
            [] => bytes(chunk.start, chunk.end),
            [one] => part(one),
            many => {
                let mut joined = Vec::new();
                self.floats(chunk, many, &mut joined);
                Bytes::from_owner(FloatBytes(Arc::new(joined)))
            }
        }
    }
}

//! The chunks of a push to one shard, some of which may still be computed.

use super::encoder::Encoder;
use super::{Gradient, Weights};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use ps_core::ids::{ShardId, Version};
use ps_core::limits::MESSAGE_PAYLOAD_BYTES;
use ps_core::span::Span;
use ps_kernels::encoding::Encoding;
use ps_proto::convert::data::{ChunkPayload, ELEMENT_BYTES};
use ps_proto::v1;
use std::ops::Range;
use std::sync::Arc;

/// A chunk that a push covers, without its values.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Within the shard.
    index: u32,
    /// Within the model.
    pub(super) range: Range<usize>,
    /// What of it is covered; none for all.
    pub(super) spans: Vec<Span>,
    pulled_version: Version,
}

impl Planned {
    pub(super) fn payload(&self) -> ChunkPayload {
        let Self { index, spans, pulled_version, .. } = self.clone();
        ChunkPayload { index, spans, pulled_version, values: Bytes::new(), positions: Bytes::new() }
    }

    fn elements(&self) -> usize {
        match self.spans.as_slice() {
            [] => self.range.len(),
            spans => spans.iter().map(|span| span.len as usize).sum(),
        }
    }
}

/// What of a gradient goes in one push: trained tensors, or state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Trained,
    State,
}

/// The chunks of a shard that a gradient covers.
pub(super) fn plan(
    gradient: &Gradient,
    weights: &Weights,
    shard: ShardId,
    kind: Kind,
) -> Vec<Planned> {
    let state = gradient.state_start();
    let chunks = (0_u32..).zip(weights.chunks(shard));
    let of_kind = chunks.filter(|(_, (range, _))| (range.start >= state) == (kind == Kind::State));
    let planned = of_kind.filter_map(|(index, (range, pulled_version))| {
        let spans = gradient.spans(range)?;
        Some(Planned { index, range: range.clone(), spans, pulled_version })
    });
    planned.collect()
}

/// The chunks of a push, the same on every attempt.
#[derive(Clone)]
pub(super) enum Chunks {
    /// Encoded already, because what an encoding leaves out is kept.
    Encoded(Vec<ChunkPayload>),
    /// As they lie in the gradient, to be encoded while they are sent.
    Lying(Gradient, Arc<[Planned]>, Encoding),
}

impl Chunks {
    /// All of a gradient that is there, encoded.
    pub(super) fn encode(
        encoder: &mut Encoder,
        gradient: &Gradient,
        planned: &[Planned],
        shard: Range<usize>,
    ) -> Self {
        Self::Encoded(encoder.payloads(gradient, planned, shard))
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Encoded(payloads) => payloads.len(),
            Self::Lying(_, planned, _) => planned.len(),
        }
    }

    /// Bytes of their values as they are sent.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Encoded(payloads) => payloads.iter().map(ChunkPayload::bytes).sum(),
            Self::Lying(_, planned, encoding) => {
                planned.iter().map(|chunk| encoding.encoded_bytes(chunk.elements())).sum()
            }
        }
    }

    /// Whether all of them can be sent.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Encoded(_) => true,
            Self::Lying(gradient, planned, _) => {
                gradient.is_complete() || planned.iter().all(|chunk| gradient.has(&chunk.range))
            }
        }
    }

    /// Waits until all of them can be sent.
    pub(super) async fn complete(&self) {
        if let Self::Lying(gradient, ..) = self
            && !self.is_complete()
        {
            gradient.complete().await;
        }
    }

    /// All of them; they must be complete. Each is made when those before it are sent.
    pub(super) fn payloads(&self) -> Box<dyn Iterator<Item = ChunkPayload> + Send> {
        match self.clone() {
            Self::Encoded(payloads) => Box::new(payloads.into_iter()),
            Self::Lying(gradient, planned, encoding) => {
                let made = move |number: usize| payload(&gradient, &planned[number], encoding);
                Box::new((0..self.count()).map(made))
            }
        }
    }

    /// Groups of them for a message each, as soon as they can be sent; `None` when all can be already.
    pub(super) fn arriving(
        &self,
    ) -> Option<impl Stream<Item = Vec<v1::ChunkPayload>> + Send + use<>> {
        let Self::Lying(gradient, planned, encoding) = self else { return None };
        if self.is_complete() {
            return None;
        }
        let (gradient, encoding) = (gradient.clone(), *encoding);
        let waiting = (planned.to_vec(), gradient.arrivals());
        Some(unfold(waiting, move |(mut planned, mut arrivals)| {
            let gradient = gradient.clone();
            async move {
                while !planned.is_empty() {
                    let group = next_group(&gradient, &mut planned, encoding);
                    if !group.is_empty() {
                        return Some((group, (planned, arrivals)));
                    }
                    // What arrived since the last look counts as a change.
                    arrivals.changed().await.ok()?;
                }
                None
            }
        }))
    }
}

/// Chunks that are there, as many as make a message; those that are left stay.
fn next_group(
    gradient: &Gradient,
    planned: &mut Vec<Planned>,
    encoding: Encoding,
) -> Vec<v1::ChunkPayload> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    planned.retain(|chunk| {
        if bytes >= MESSAGE_PAYLOAD_BYTES || !gradient.has(&chunk.range) {
            return true;
        }
        let payload = payload(gradient, chunk, encoding);
        bytes += payload.bytes();
        group.push(payload.into());
        false
    });
    group
}

fn payload(gradient: &Gradient, chunk: &Planned, encoding: Encoding) -> ChunkPayload {
    let lying = gradient.covered(&chunk.range);
    let values = match encoding {
        Encoding::F32 => lying,
        _ => {
            let floats: &[f32] = bytemuck::cast_slice(&lying);
            let mut bytes = vec![0; encoding.encoded_bytes(lying.len() / ELEMENT_BYTES)];
            encoding.encode(floats, &mut bytes);
            bytes.into()
        }
    };
    ChunkPayload { values, ..chunk.payload() }
}
